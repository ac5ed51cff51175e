//! What the person intends. Views say it; nothing else of theirs acts.

use secure_chat_node::api::{At, Message};
use secure_chat_protocol::id::Timestamp;

use super::answers::local_id;
use super::{Composing, Key, Row, ScrollTo, Search, Selection, Session, State, Step, Tab, Tone};
use crate::ask::{Ask, account, contacts, files, groups, messages, network as net};
use crate::strings::tr;
use crate::text::Clock;

/// What lies above everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// People and actions by name.
    Palette,
    /// A chat request by name or invite.
    NewChat {
        to: String,
    },
    /// Who is online.
    Online,
    /// The safety number of a contact.
    SafetyNumber(String),
    /// A link that wants to be opened.
    Link(String),
    /// What stays until it was seen.
    Notices,
    /// The report for trouble.
    Diagnostics(String),
    /// Keys, for those who don't want to use a mouse.
    Shortcuts,
    /// A file that is about to be shared.
    Share {
        path: String,
        to: Recipient,
    },
    /// Where a file is to be saved; the flag: it can run something.
    SaveFile {
        file_id: String,
        name: String,
        risky: bool,
    },
    /// A new group, or the settings of one.
    EditGroup(Option<String>),
    /// Public groups.
    FindGroup,
    /// People and a link for a group.
    InviteToGroup(String),
    ChangePassword,
    Rekey,
    ExportBackup,
    ImportBackup,
    Wipe,
    /// Something that can't be undone.
    Confirm(Confirm),
}

/// With whom a file is shared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Recipient {
    #[default]
    Nobody,
    Person(String),
    /// By its id.
    Group(String),
}

/// What can't be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Confirm {
    Block(String),
    Remove(String),
    Delete { message_id: String, mine: bool },
    RemoveRendezvous(String),
    AcceptKey { user: String, fingerprint: String },
    ClearLog,
    DeleteFile { file_id: String, name: String },
    LeaveGroup { group_id: String, name: String },
    RemoveMember { group_id: String, user: String },
    TransferGroup { group_id: String, user: String },
}

/// What the person wants.
#[derive(Debug)]
pub(crate) enum Intent {
    Go(Tab),
    Create {
        username: String,
        password: secure_chat_node::api::Password,
    },
    Unlock {
        username: String,
        password: secure_chat_node::api::Password,
    },
    Lock,
    /// The next step of getting started, or its end.
    Onboard(Option<Step>),
    OpenConversation(String),
    OpenRequest(String),
    OpenGroup(String),
    CloseSelection,
    Jump {
        conversation: String,
        message_id: String,
    },
    ScrollToEnd,
    Send,
    Reply(String),
    Edit(String),
    EditLast,
    CancelComposing,
    Retry {
        local: Option<u64>,
        message_id: String,
    },
    ToggleSearch,
    NextHit {
        back: bool,
    },
    Request {
        to: String,
        greeting: String,
    },
    Answer {
        request_id: String,
        ask: contacts::Ask,
    },
    Show(Overlay),
    CloseOverlay,
    AddRendezvous(String),
    Dial(String),
    Host,
    Set {
        key: Key,
        value: serde_json::Value,
    },
    Presence(secure_chat_node::api::Status),
    Share(files::Share),
    Download {
        file_id: String,
        path: String,
        confirm: bool,
    },
    ExportLog {
        path: String,
        format: &'static str,
    },
    ConfirmClearLog,
    /// Reads the audit log anew, with the filter as it is now.
    FilterLog,
    ReadLogOn,
    /// A dialog about a group asks.
    AskGroup(groups::Ask),
    SearchGroups(String),
    /// Something about the account as a whole: its password, a backup, its end.
    Care(account::Ask),
    Ask(Ask),
    Copy {
        text: String,
        said: &'static str,
    },
    OpenLink(String),
}

/// What only the desktop can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Copy(String),
    OpenLink(String),
    /// Nothing of the account may stay in the window's memory.
    Forget,
    /// The composer takes what is typed.
    FocusComposer,
}

impl<T: Into<Ask>> From<T> for Intent {
    fn from(ask: T) -> Self {
        Self::Ask(ask.into())
    }
}

impl State {
    /// Does what the person intends, as far as this side can.
    pub(crate) fn intend(&mut self, intent: Intent, clock: Clock, asks: &mut Vec<Ask>) -> Option<Effect> {
        match intent {
            Intent::Create { username, password } => {
                self.enter();
                asks.push(account::Ask::Create { username, password }.into());
            }
            Intent::Unlock { username, password } => {
                self.enter();
                asks.push(account::Ask::Unlock { username, password }.into());
            }
            Intent::Copy { text, said } => {
                self.notices.toast(Tone::Plain, said, clock.now_ms);
                return Some(Effect::Copy(text));
            }
            Intent::Ask(ask) => asks.push(ask),
            // A backup is imported before any account is open.
            Intent::Care(ask) => {
                self.caring = Some(Ok(()));
                asks.push(ask.into());
            }
            Intent::Show(Overlay::ImportBackup) => {
                self.caring = None;
                self.overlay = Some(Overlay::ImportBackup);
            }
            Intent::CloseOverlay if self.opened().is_none() => self.overlay = None,
            // All that follows needs an open account.
            _ if self.opened().is_none() => {}
            Intent::Lock => {
                self.chat.save_draft(clock.now_ms, true, asks);
                asks.push(account::Ask::Lock.into());
                self.close(asks);
                return Some(Effect::Forget);
            }
            Intent::OpenLink(address) => {
                self.overlay = None;
                return Some(Effect::OpenLink(address));
            }
            intent => return self.intend_inside(intent, clock, asks),
        }
        None
    }

    fn enter(&mut self) {
        if let Session::Closed(gate) = &mut self.session {
            gate.busy = true;
            gate.error = None;
        }
    }

    fn intend_inside(&mut self, intent: Intent, clock: Clock, asks: &mut Vec<Ask>) -> Option<Effect> {
        match intent {
            Intent::Go(tab) => self.go(tab, clock, asks),
            Intent::Onboard(step) => {
                if let Some(opened) = self.opened_mut() {
                    opened.onboarding = step;
                }
            }
            Intent::Show(overlay) => self.show(overlay, asks),
            Intent::CloseOverlay => {
                self.overlay = None;
                self.safety = None;
                self.requesting = None;
            }
            Intent::Request { to, greeting } => {
                self.requesting = Some(Ok(()));
                asks.push(contacts::Ask::Request { to, greeting }.into());
            }
            Intent::Answer { request_id, ask } => {
                // A second click on Accept is not a second answer.
                if self.answering.insert(request_id) {
                    asks.push(ask.into());
                }
            }
            Intent::AddRendezvous(address) => {
                self.network.adding = true;
                self.network.add_error = None;
                asks.push(net::Ask::AddRendezvous(address).into());
            }
            Intent::Dial(address) => {
                self.network.dialling = true;
                self.network.dial_error = None;
                asks.push(net::Ask::Dial(address).into());
            }
            Intent::Host => {
                self.network.host_starting = true;
                self.network.host_error = None;
                asks.push(net::Ask::Host.into());
            }
            Intent::Set { key, value } => {
                self.set(key, value, asks);
            }
            Intent::Presence(status) => asks.push(account::Ask::Presence(status).into()),
            intent => return self.intend_more(intent, clock, asks),
        }
        None
    }

    /// Changes a setting here at once, and in the vault.
    pub(crate) fn set(&mut self, key: Key, value: serde_json::Value, asks: &mut Vec<Ask>) {
        let (key, value) = self.preferences.set(key, value);
        self.preferences_changed = true;
        asks.push(account::Ask::Set { key, value }.into());
    }

    fn intend_more(&mut self, intent: Intent, clock: Clock, asks: &mut Vec<Ask>) -> Option<Effect> {
        match intent {
            Intent::Share(share) => self.share(share, asks),
            Intent::Download { file_id, path, confirm } => {
                self.overlay = None;
                self.download(file_id, path, confirm, asks);
            }
            Intent::ExportLog { path, format } => self.export_log(path, format, asks),
            Intent::ConfirmClearLog => self.confirm_clear(),
            Intent::FilterLog => self.security.read(asks),
            Intent::ReadLogOn => self.security.read_on(asks),
            Intent::AskGroup(ask) => {
                self.groups.asking = Some(Ok(()));
                asks.push(ask.into());
            }
            Intent::SearchGroups(query) => self.groups.search(&query, asks),
            Intent::OpenGroup(id) => {
                self.overlay = None;
                self.open_group(&id, clock, asks);
                return Some(Effect::FocusComposer);
            }
            intent => return self.intend_chat(intent, clock, asks),
        }
        None
    }

    fn go(&mut self, tab: Tab, clock: Clock, asks: &mut Vec<Ask>) {
        self.swap_selection(tab, clock, asks);
        if self.tab != tab {
            self.tab = tab;
            self.set(Key::Tab, tab.name().into(), asks);
        }
        match tab {
            Tab::Network => self.network.read_at_ms = 0,
            Tab::Profile => asks.extend([Ask::from(account::Ask::Status), account::Ask::Invite.into()]),
            Tab::Groups => self.read_groups(asks),
            Tab::Files => self.read_files(asks),
            Tab::Security => self.look_at_security(asks),
            Tab::Chat => {}
        }
    }

    /// Chat and groups share what shows a conversation; each remembers which was open in it.
    fn swap_selection(&mut self, tab: Tab, clock: Clock, asks: &mut Vec<Ask>) {
        let of_groups = matches!(self.chat.selection, Selection::Group(_));
        let here = match tab {
            Tab::Chat => of_groups,
            Tab::Groups => !of_groups,
            _ => false,
        };
        if !here {
            return;
        }
        let selection = self.chat.selection.clone();
        self.leave_conversation(clock, asks);
        match std::mem::replace(&mut self.chat.beside, selection) {
            Selection::Conversation(name) if self.people.contact(&name).is_some() => {
                self.open_conversation(&name, clock, asks);
            }
            Selection::Group(id) if self.groups.get(&id).is_some() => self.open_group(&id, clock, asks),
            _ => {}
        }
    }

    fn show(&mut self, overlay: Overlay, asks: &mut Vec<Ask>) {
        match &overlay {
            Overlay::Online => asks.push(contacts::Ask::Online.into()),
            Overlay::SafetyNumber(user) => {
                self.safety = None;
                asks.push(contacts::Ask::SafetyNumber(user.clone()).into());
            }
            Overlay::Notices => self.notices.see_all(),
            _ => {}
        }
        if matches!(&overlay, Overlay::FindGroup) {
            self.groups.found.clear();
            self.groups.search("", asks);
        }
        self.groups.asking = None;
        self.groups.invite = None;
        self.files.sharing = None;
        self.caring = None;
        self.requesting = None;
        self.overlay = Some(overlay);
    }

    fn intend_chat(&mut self, intent: Intent, clock: Clock, asks: &mut Vec<Ask>) -> Option<Effect> {
        match intent {
            Intent::OpenConversation(name) => {
                self.overlay = None;
                self.open_conversation(&name, clock, asks);
                return Some(Effect::FocusComposer);
            }
            Intent::OpenRequest(id) => {
                self.tab = Tab::Chat;
                self.leave_conversation(clock, asks);
                self.chat.selection = Selection::Request(id);
            }
            Intent::CloseSelection => self.leave_conversation(clock, asks),
            Intent::Jump { conversation, message_id } => {
                self.overlay = None;
                if self.groups.get(&conversation).is_some() {
                    self.open_group(&conversation, clock, asks);
                } else {
                    self.open_conversation(&conversation, clock, asks);
                }
                self.jump(conversation, message_id, asks);
            }
            Intent::ScrollToEnd => self.scroll_to_end(asks),
            Intent::ToggleSearch => {
                let open = !self.chat.search.open && self.chat.conversation().is_some();
                self.chat.search = Search { open, ..Search::default() };
                if !open {
                    if let Some(timeline) = &mut self.chat.timeline {
                        timeline.found = None;
                    }
                    return Some(Effect::FocusComposer);
                }
            }
            Intent::NextHit { back } => {
                let search = &mut self.chat.search;
                let hits = search.hits.len().max(1);
                search.at = if back { search.at + hits - 1 } else { search.at + 1 } % hits;
                self.show_hit(asks);
            }
            intent => return self.intend_composer(intent, clock, asks),
        }
        None
    }

    fn intend_composer(&mut self, intent: Intent, clock: Clock, asks: &mut Vec<Ask>) -> Option<Effect> {
        let conversation = self.chat.conversation()?.to_owned();
        match intent {
            Intent::Send => self.send(&conversation, clock, asks),
            Intent::Reply(id) => {
                self.chat.end_edit(&conversation);
                self.chat.composing = Composing::Reply(id);
            }
            Intent::Edit(id) => {
                let text = self.chat.timeline.as_ref()?.row(&id)?.text.clone();
                self.chat.edit(&conversation, &id, &text);
            }
            Intent::EditLast => {
                let row = self.chat.timeline.as_ref()?.newest_own()?;
                let (id, text) = (row.id.clone(), row.text.clone());
                self.chat.edit(&conversation, &id, &text);
            }
            Intent::CancelComposing => self.chat.end_edit(&conversation),
            Intent::Retry { local: None, message_id } => asks.push(messages::Ask::Retry { message_id }.into()),
            Intent::Retry { local: Some(local), .. } => {
                let row = self.chat.timeline.as_mut()?.take_refused(local)?;
                self.write(&conversation, row.text, row.reply_to, clock, asks);
            }
            _ => return None,
        }
        Some(Effect::FocusComposer)
    }

    fn send(&mut self, conversation: &str, clock: Clock, asks: &mut Vec<Ask>) {
        let text = self.chat.draft(conversation).trim().to_owned();
        if text.is_empty() {
            return;
        }
        match std::mem::take(&mut self.chat.composing) {
            Composing::Edit { message_id, before } => {
                *self.chat.draft_mut(conversation) = before;
                let unchanged = self
                    .chat
                    .timeline
                    .as_ref()
                    .and_then(|timeline| timeline.row(&message_id))
                    .is_some_and(|row| row.text == text);
                if !unchanged {
                    asks.push(messages::Ask::Edit { message_id, text }.into());
                }
            }
            composing => {
                let reply_to = if let Composing::Reply(id) = composing { Some(id) } else { None };
                self.chat.clear_draft(conversation, asks);
                self.write(conversation, text, reply_to, clock, asks);
            }
        }
    }

    /// Shows an own message at once, and hands it to the node.
    fn write(&mut self, conversation: &str, text: String, reply_to: Option<String>, clock: Clock, asks: &mut Vec<Ask>) {
        let local = self.chat.local();
        let message = Message {
            message_id: local_id(local),
            conversation: conversation.to_owned(),
            from: self.opened().map(|opened| opened.account.username.clone()).unwrap_or_default(),
            account_id: self.me().to_owned(),
            mine: true,
            text: text.clone(),
            at: At(Timestamp(clock.now_ms)),
            reply_to: reply_to.clone(),
            ..messages::blank()
        };
        self.people.touch(&message);
        let row = Row { id: String::new(), local: Some(local), ..Row::new(&message, self.me()) };
        self.scroll_to_end(asks);
        if let Some(timeline) = &mut self.chat.timeline {
            timeline.write(row);
        }
        let conversation = conversation.to_owned();
        asks.push(if self.is_group(&conversation) {
            groups::Ask::Send { group_id: conversation, text, reply_to, local }.into()
        } else {
            messages::Ask::Send { conversation, text, reply_to, local }.into()
        });
    }

    /// Moves the open conversation to a message, and reads what lies around it where it isn't loaded.
    pub(super) fn jump(&mut self, conversation: String, message_id: String, asks: &mut Vec<Ask>) {
        let Some(timeline) = &mut self.chat.timeline else { return };
        timeline.found = Some(message_id.clone());
        if timeline.place(&message_id).is_some() {
            timeline.scroll_to = Some(ScrollTo::Message(message_id));
        } else {
            asks.push(self.history_ask(conversation, messages::Page::Around(message_id)));
        }
    }

    fn scroll_to_end(&mut self, asks: &mut Vec<Ask>) {
        let Some(timeline) = &mut self.chat.timeline else { return };
        timeline.found = None;
        timeline.unseen = 0;
        timeline.scroll_to = Some(ScrollTo::Bottom);
        if timeline.newer.more {
            timeline.newer.loading = true;
            let conversation = timeline.conversation.clone();
            asks.push(self.history_ask(conversation, messages::Page::Latest));
        }
    }
}

/// What the toast says when something was copied.
pub(crate) fn copied(text: impl Into<String>) -> Intent {
    Intent::Copy { text: text.into(), said: tr().copied }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Answer;
    use crate::state::Opened;
    use crate::state::people::tests::{contact, message};
    use secure_chat_node::api::{Account, ApiError, ErrorKind, Event, MessageState};

    const NOW: Clock = Clock { now_ms: 1_700_000_000_000 };

    fn in_conversation() -> (State, Vec<Ask>) {
        let mut state = State::default();
        let mut asks = Vec::new();
        let account = Account {
            username: "alice".into(),
            account_id: "a".into(),
            peer_id: String::new(),
            fingerprint: String::new(),
        };
        state.open(Opened::new(account, 0, false), &mut asks);
        state.people.set_contacts(vec![contact("bob"), contact("carol")]);
        state.intend(Intent::OpenConversation("bob".into()), NOW, &mut asks);
        history(&mut state, vec![], messages::Page::Latest);
        asks.clear();
        (state, asks)
    }

    fn history(state: &mut State, messages: Vec<Message>, page: messages::Page) {
        let conversation = state.chat.conversation().unwrap().to_owned();
        let answer = messages::Answer::History { conversation, page, result: Ok((messages, false)) };
        state.answer(Answer::Messages(answer), NOW, &mut Vec::new());
    }

    fn type_and_send(state: &mut State, text: &str, asks: &mut Vec<Ask>) {
        *state.chat.draft_mut("bob") = text.to_owned();
        state.intend(Intent::Send, NOW, asks);
    }

    fn sends(asks: &[Ask]) -> Vec<(String, u64)> {
        asks.iter()
            .filter_map(|ask| match ask {
                Ask::Messages(messages::Ask::Send { text, local, .. }) => Some((text.clone(), *local)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_sent_message_is_shown_at_once_and_the_draft_is_gone() {
        let (mut state, mut asks) = in_conversation();
        type_and_send(&mut state, "  hello \n", &mut asks);
        assert_eq!(sends(&asks), [("hello".to_owned(), 1)]);
        assert_eq!(state.chat.draft("bob"), "");
        let rows = state.chat.timeline.as_ref().unwrap().rows();
        assert_eq!((rows.len(), rows[0].state), (1, MessageState::Queued));
        type_and_send(&mut state, "   ", &mut asks);
        assert_eq!(sends(&asks).len(), 1, "nothing is no message");
    }

    #[test]
    fn a_message_that_was_not_taken_can_be_sent_again() {
        let (mut state, mut asks) = in_conversation();
        type_and_send(&mut state, "hello", &mut asks);
        let error = ApiError::new(ErrorKind::DiskFull, "The disk is full.");
        let refused = messages::Answer::Sent { conversation: "bob".into(), local: 1, result: Err(error) };
        state.answer(Answer::Messages(refused), NOW, &mut asks);
        let row = state.chat.timeline.as_ref().unwrap().rows()[0].clone();
        assert_eq!((row.state, row.reason.as_deref()), (MessageState::Failed, Some("The disk is full.")));
        asks.clear();
        state.intend(Intent::Retry { local: Some(1), message_id: String::new() }, NOW, &mut asks);
        assert_eq!(sends(&asks), [("hello".to_owned(), 2)]);
        assert_eq!(state.chat.timeline.as_ref().unwrap().rows().len(), 1);
    }

    #[test]
    fn the_list_follows_an_own_message_to_its_delivery() {
        let (mut state, mut asks) = in_conversation();
        type_and_send(&mut state, "hello", &mut asks);
        let sent = messages::Answer::Sent { conversation: "bob".into(), local: 1, result: Ok("m1".into()) };
        state.answer(Answer::Messages(sent), NOW, &mut asks);
        let delivered = Event::MessageState {
            message_id: "m1".into(),
            conversation: "bob".into(),
            state: MessageState::Delivered,
            reason: None,
        };
        state.event(delivered, NOW, &mut asks);
        let last = state.people.contact("bob").unwrap().last_message.clone().unwrap();
        assert_eq!((last.text.as_str(), last.state), ("hello", MessageState::Delivered));
    }

    #[test]
    fn a_draft_stays_with_its_conversation() {
        let (mut state, mut asks) = in_conversation();
        state.chat.draft_mut("bob").push_str("for bob");
        state.chat.typed("bob", NOW.now_ms, &mut asks);
        asks.clear();
        state.intend(Intent::OpenConversation("carol".into()), NOW, &mut asks);
        assert_eq!(state.chat.draft("carol"), "");
        assert!(
            asks.iter()
                .any(|ask| matches!(ask, Ask::Messages(messages::Ask::SaveDraft { text, .. }) if text == "for bob"))
        );
        state.intend(Intent::OpenConversation("bob".into()), NOW, &mut asks);
        assert_eq!(state.chat.draft("bob"), "for bob");
    }

    #[test]
    fn an_edit_asks_for_an_edit_and_an_unchanged_one_for_nothing() {
        let (mut state, mut asks) = in_conversation();
        history(&mut state, vec![message("m1", "bob", 1, true)], messages::Page::Latest);
        state.intend(Intent::EditLast, NOW, &mut asks);
        assert_eq!(state.chat.draft("bob"), "text of m1");
        state.intend(Intent::Send, NOW, &mut asks);
        assert!(asks.is_empty());
        state.intend(Intent::Edit("m1".into()), NOW, &mut asks);
        type_and_send(&mut state, "better", &mut asks);
        assert!(
            matches!(&asks[..], [Ask::Messages(messages::Ask::Edit { message_id, text })] if message_id == "m1" && text == "better")
        );
    }

    #[test]
    fn a_jump_reads_what_is_not_loaded_and_only_that() {
        let (mut state, mut asks) = in_conversation();
        history(&mut state, vec![message("near", "bob", 9, false)], messages::Page::Latest);
        state.intend(Intent::Jump { conversation: "bob".into(), message_id: "near".into() }, NOW, &mut asks);
        assert!(asks.is_empty());
        state.intend(Intent::Jump { conversation: "bob".into(), message_id: "far".into() }, NOW, &mut asks);
        assert_eq!(asks.len(), 1);
        history(&mut state, vec![message("far", "bob", 1, false)], messages::Page::Around("far".into()));
        let timeline = state.chat.timeline.as_ref().unwrap();
        assert_eq!(timeline.scroll_to, Some(ScrollTo::Message("far".into())));
        assert!(timeline.newer.more);
        // Sending from there leads back to the end.
        asks.clear();
        type_and_send(&mut state, "hello", &mut asks);
        assert!(
            asks.iter()
                .any(|ask| matches!(ask, Ask::Messages(messages::Ask::History { page: messages::Page::Latest, .. })))
        );
    }

    #[test]
    fn a_second_click_is_not_a_second_answer() {
        let (mut state, mut asks) = in_conversation();
        for _ in 0..2 {
            let ask = contacts::Ask::Accept("r".into());
            state.intend(Intent::Answer { request_id: "r".into(), ask }, NOW, &mut asks);
        }
        assert_eq!(asks.len(), 1);
    }

    #[test]
    fn locking_hides_everything_before_the_node_has_answered() {
        let (mut state, mut asks) = in_conversation();
        assert_eq!(state.intend(Intent::Lock, NOW, &mut asks), Some(Effect::Forget));
        assert!(state.opened().is_none() && state.people.contacts().is_empty());
        assert!(asks.iter().any(|ask| matches!(ask, Ask::Account(account::Ask::Lock))));
        // And nothing can be opened from behind the lock.
        state.intend(Intent::OpenConversation("bob".into()), NOW, &mut asks);
        assert_eq!(state.chat.selection, Selection::None);
    }
}
