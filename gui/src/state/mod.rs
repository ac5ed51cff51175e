//! What the window shows. Changed by three things only: what the person
//! intends ([`State::intend`]), what the node tells ([`State::event`]) and
//! what it answers ([`State::answer`]). Each returns what to ask next; none
//! waits, paints or knows of a thread.

mod answers;
mod chat;
mod desktop;
mod events;
mod files;
mod groups;
mod heights;
mod intent;
mod intents;
mod network;
mod notices;
mod people;
mod preferences;
mod previews;
mod reading;
mod row;
mod security;
mod session;
mod timeline;
mod writing;

pub(crate) use chat::{Chat, Composing, Search, Selection};
pub(crate) use desktop::Desktop;
pub(crate) use files::{Files, Order, Progress, Source, is_risky, is_very_long};
pub(crate) use groups::Groups;
pub(crate) use heights::Heights;
pub(crate) use intent::{Confirm, Effect, Intent, Overlay, Recipient, copied};
pub(crate) use network::{Network, Reach};
pub(crate) use notices::{Notices, Tone};
pub(crate) use people::{People, is_muted};
pub(crate) use preferences::{Key, Look, Preferences, SCALES};
pub(crate) use previews::{Preview, Previews};
pub(crate) use row::{Quote, Reaction, Row, Shared, text_of, text_with};
pub(crate) use security::Security;
pub(crate) use session::{Gate, Left, Opened, Session, Step};
pub(crate) use timeline::{ScrollTo, Timeline};

use secure_chat_node::api::{ErrorKind, SafetyNumberView};

use crate::ask::security as security_asks;
use crate::ask::{self, Ask, account, by_name, contacts, groups as group_asks, messages, network as net};
use crate::text::Clock;

/// Drafts read when an account is opened: those of the latest conversations.
const DRAFTS_READ_MAX: usize = 200;
/// The network tab is read again after this time, in milliseconds.
const NETWORK_EVERY_MS: u64 = 5_000;
/// The facts of the security tab are read again after this time, in milliseconds.
const SECURITY_EVERY_MS: u64 = 5_000;

/// Who did nothing for this time is taken to be away, in milliseconds.
const PRESENT_FOR_MS: u64 = 3 * 60_000;
/// The node is told no more often that somebody is there, in milliseconds.
const KEEP_OPEN_EVERY_MS: u64 = 60_000;

/// The parts of the window that the rail leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tab {
    #[default]
    Chat,
    Groups,
    Files,
    Security,
    Network,
    Profile,
}

impl Tab {
    /// In the order of the rail.
    pub(crate) const ALL: [Self; 6] =
        [Self::Chat, Self::Groups, Self::Files, Self::Security, Self::Network, Self::Profile];

    /// Whether the node can do what the tab is for.
    pub(crate) fn is_here(self) -> bool {
        match self {
            Self::Chat | Self::Network | Self::Profile => true,
            Self::Groups => by_name::knows("groups.list"),
            Self::Files => by_name::knows("files.list"),
            Self::Security => by_name::knows("security.audit_log"),
        }
    }

    /// Those that are shown, in the order of the rail.
    pub(crate) fn shown() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|tab| tab.is_here())
    }

    /// The name under which the vault remembers it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Groups => "groups",
            Self::Files => "files",
            Self::Security => "security",
            Self::Network => "network",
            Self::Profile => "profile",
        }
    }

    /// The tab of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::shown().find(|tab| tab.name() == name)
    }
}

/// Everything that the window shows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) session: Session,
    pub(crate) tab: Tab,
    /// The person went to a tab: that which was open last, which the settings name, no longer matters.
    tab_chosen: bool,
    pub(crate) people: People,
    pub(crate) chat: Chat,
    pub(crate) groups: Groups,
    pub(crate) files: Files,
    /// Small pictures of shared images.
    pub(crate) previews: Previews,
    /// What the desktop's dialogs said.
    pub(crate) desktop: Desktop,
    pub(crate) security: Security,
    pub(crate) network: Network,
    pub(crate) preferences: Preferences,
    /// The preferences were read, or changed: the window has to follow.
    pub(crate) preferences_changed: bool,
    pub(crate) notices: Notices,
    pub(crate) overlay: Option<Overlay>,
    /// The safety number that the open overlay shows.
    pub(crate) safety: Option<Result<SafetyNumberView, String>>,
    /// A chat request is being sent, or why it was not.
    pub(crate) requesting: Option<Result<(), String>>,
    /// When the person last did something, and when the node was last asked
    /// for something on their behalf, in milliseconds.
    acted_ms: u64,
    told_ms: u64,
    /// When the node was last told what was read, in milliseconds.
    marked_at_ms: u64,
    /// Something about the account as a whole is under way, or why it was refused.
    pub(crate) caring: Option<Result<(), String>>,
    /// Answers to a request that are under way.
    pub(crate) answering: std::collections::HashSet<String>,
}

impl State {
    /// The open account.
    pub(crate) fn opened(&self) -> Option<&Opened> {
        match &self.session {
            Session::Open(opened) => Some(opened),
            _ => None,
        }
    }

    fn opened_mut(&mut self) -> Option<&mut Opened> {
        match &mut self.session {
            Session::Open(opened) => Some(opened),
            _ => None,
        }
    }

    /// The way in to the open account, once it is locked.
    fn locked(&self) -> Left {
        self.opened().map_or(Left::Never, |opened| Left::Locked(opened.account.username.clone()))
    }

    fn me(&self) -> &str {
        self.opened().map_or("", |opened| &opened.account.account_id)
    }

    /// The node runs: which accounts are there?
    pub(crate) fn started(&mut self, asks: &mut Vec<Ask>) {
        self.session = Session::Closed(Gate::default());
        asks.push(account::Ask::List.into());
    }

    /// The node could not start.
    pub(crate) fn failed(&mut self, sentence: String) {
        self.session = Session::Broken(sentence);
    }

    /// Forgets everything that an account showed; `left` says which way in is shown.
    fn close(&mut self, left: Left, asks: &mut Vec<Ask>) {
        let mut notices = Notices::default();
        std::mem::swap(&mut notices, &mut self.notices);
        let gate = Gate { left, ..Gate::default() };
        *self = Self { session: Session::Closed(gate), preferences_changed: true, ..Self::default() };
        asks.push(account::Ask::List.into());
    }

    /// An account was opened: read what there is to show.
    fn open(&mut self, opened: Opened, asks: &mut Vec<Ask>) {
        // The answer and the event both say so.
        if self.opened().is_some_and(|open| open.account.account_id == opened.account.account_id) {
            return;
        }
        self.session = Session::Open(Box::new(opened));
        asks.extend([Ask::from(account::Ask::Settings), account::Ask::Status.into(), account::Ask::Invite.into()]);
        self.read_lists(asks);
    }

    fn read_lists(&mut self, asks: &mut Vec<Ask>) {
        asks.extend([Ask::from(contacts::Ask::List), contacts::Ask::Requests.into(), net::Ask::Status.into()]);
        self.read_groups(asks);
        self.read_files(asks);
    }

    /// Something was missed: everything that is shown is read again.
    fn read_again(&mut self, asks: &mut Vec<Ask>) {
        self.read_lists(asks);
        self.read_end(asks);
        if self.tab == Tab::Security {
            self.look_at_security(asks);
        }
    }

    /// Reads the end of the open conversation again.
    fn read_end(&mut self, asks: &mut Vec<Ask>) {
        if let Some(timeline) = &mut self.chat.timeline {
            timeline.newer.loading = true;
            let conversation = timeline.conversation.clone();
            asks.push(self.history_ask(conversation, messages::Page::Latest));
        }
    }

    /// A page of a conversation with one person, or of a group.
    fn history_ask(&self, conversation: String, page: messages::Page) -> Ask {
        if self.is_group(&conversation) {
            group_asks::Ask::History { group_id: conversation, page }.into()
        } else {
            messages::Ask::History { conversation, page }.into()
        }
    }

    /// Whether the open conversation is that of this group.
    fn is_group(&self, conversation: &str) -> bool {
        matches!(&self.chat.selection, Selection::Group(id) if id == conversation)
    }

    /// The person did something: moved the mouse, pressed a key.
    pub(crate) fn acted(&mut self, clock: Clock) {
        self.acted_ms = clock.now_ms;
    }

    /// Whether somebody is in front of the screen, as far as one can tell.
    fn somebody_is_there(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.acted_ms) < PRESENT_FOR_MS
    }

    /// The account locks itself when nothing is asked for a while; whoever
    /// only reads asks for nothing, and yet is there.
    fn keep_open(&mut self, now_ms: u64, asks: &mut Vec<Ask>) {
        let waited = now_ms.saturating_sub(self.told_ms) >= KEEP_OPEN_EVERY_MS;
        if waited && self.acted_ms > self.told_ms && self.opened().is_some() {
            self.told_ms = now_ms;
            asks.push(contacts::Ask::Requests.into());
        }
    }

    /// What has to be asked because time passed. Returns when to come back,
    /// in milliseconds, if ever.
    pub(crate) fn tick(&mut self, clock: Clock, focused: bool, asks: &mut Vec<Ask>) -> Option<u64> {
        let now_ms = clock.now_ms;
        let draft = self.chat.save_draft(now_ms, false, asks);
        let typing = self.people.typing_ends_in_ms(now_ms);
        let toast = self.notices.toast_ends_in_ms(now_ms);
        let network = self.watch_network(now_ms, focused, asks);
        let security = self.watch_security(now_ms, focused, asks);
        self.keep_open(now_ms, asks);
        // What comes in while nobody is there is not read, and must not keep the account open.
        let read = self.mark_read(now_ms, focused && self.somebody_is_there(now_ms), asks);
        [draft, typing, toast, network, security, read].into_iter().flatten().min()
    }

    /// While somebody looks at it, the network tab is read again and again.
    fn watch_network(&mut self, now_ms: u64, focused: bool, asks: &mut Vec<Ask>) -> Option<u64> {
        if !focused || self.tab != Tab::Network || self.opened().is_none() {
            return None;
        }
        let waited = now_ms.saturating_sub(self.network.read_at_ms);
        if waited < NETWORK_EVERY_MS {
            return Some(NETWORK_EVERY_MS - waited);
        }
        self.network.read_at_ms = now_ms;
        asks.extend([Ask::from(net::Ask::Status), net::Ask::Connections.into(), net::Ask::Traffic.into()]);
        Some(NETWORK_EVERY_MS)
    }

    /// Of keys and storage no event tells: while somebody looks at them, they are read again and again.
    fn watch_security(&mut self, now_ms: u64, focused: bool, asks: &mut Vec<Ask>) -> Option<u64> {
        if !focused || self.tab != Tab::Security || self.opened().is_none() {
            return None;
        }
        let waited = now_ms.saturating_sub(self.security.read_at_ms);
        if waited < SECURITY_EVERY_MS {
            return Some(SECURITY_EVERY_MS - waited);
        }
        self.security.read_at_ms = now_ms;
        asks.extend([Ask::from(security_asks::Ask::Facts), security_asks::Ask::Activity(now_ms).into()]);
        Some(SECURITY_EVERY_MS)
    }

    /// Loads more of the conversation where the list nears the end of what is loaded.
    pub(crate) fn load_around(&mut self, first: usize, last: usize, asks: &mut Vec<Ask>) {
        /// Rows before the end at which more are asked for.
        const AHEAD: usize = 40;
        let Some(timeline) = &mut self.chat.timeline else { return };
        let conversation = timeline.conversation.clone();
        let mut pages = Vec::new();
        if first < AHEAD
            && timeline.older.more
            && !timeline.older.loading
            && let Some(oldest) = timeline.rows().iter().find(|row| !row.id.is_empty())
        {
            pages.push(messages::Page::Before(oldest.id.clone()));
            timeline.older.loading = true;
        }
        if last + AHEAD > timeline.rows().len()
            && timeline.newer.more
            && !timeline.newer.loading
            && let Some(newest) = timeline.rows().iter().rev().find(|row| !row.id.is_empty())
        {
            pages.push(messages::Page::After(newest.id.clone()));
            timeline.newer.loading = true;
        }
        asks.extend(pages.into_iter().map(|page| self.history_ask(conversation.clone(), page)));
    }

    /// Opens a conversation at its end.
    fn open_conversation(&mut self, name: &str, clock: Clock, asks: &mut Vec<Ask>) {
        self.tab = Tab::Chat;
        if self.chat.conversation() == Some(name) {
            return;
        }
        self.leave_conversation(clock, asks);
        self.chat.selection = Selection::Conversation(name.to_owned());
        self.chat.timeline = Some(Timeline::new(name));
        let conversation = name.to_owned();
        asks.push(messages::Ask::History { conversation, page: messages::Page::Latest }.into());
    }

    /// What is left behind when something else is selected.
    fn leave_conversation(&mut self, clock: Clock, asks: &mut Vec<Ask>) {
        self.mark_seen(clock.now_ms, asks);
        self.chat.save_draft(clock.now_ms, true, asks);
        if let Some(conversation) = self.chat.conversation().map(str::to_owned) {
            self.chat.end_edit(&conversation);
        }
        self.chat.selection = Selection::None;
        self.chat.timeline = None;
        self.chat.search = Search::default();
        self.chat.error = None;
    }

    fn toast_error<T>(&mut self, result: ask::Answered<T>, clock: Clock) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            // What was under way when the account was locked is nobody's fault.
            Err(error) if error.kind == ErrorKind::Locked => None,
            Err(error) => {
                self.notices.toast(Tone::Bad, error.message, clock.now_ms);
                None
            }
        }
    }
}

/// What tests of the window build their states from.
#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::people::tests::{contact, message};
    pub(crate) use super::timeline::tests::row;
}
