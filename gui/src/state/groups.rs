//! The groups that this account is in, the one that is open, and what was
//! found among public ones.

use std::collections::HashMap;

use secure_chat_node::api::Message;
use serde_json::Value;

use super::{DRAFTS_READ_MAX, Overlay, Row, Selection, State, Tab, Timeline, Tone, is_muted};
use crate::ask::groups::{self as ask, Answer, FoundGroup, Group, Link, Member};
use crate::ask::{Ask, messages};
use crate::strings::tr;
use crate::text::Clock;

/// The groups tab.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pub(crate) list: Vec<Group>,
    pub(crate) loaded: bool,
    /// The list is being read; and whether it has to be read once more after that.
    reading: bool,
    stale: bool,
    /// What the list is narrowed to.
    pub(crate) query: String,
    /// Of the group that is open.
    pub(crate) members: Vec<Member>,
    /// Who is kept out of it.
    pub(crate) banned: Vec<Member>,
    /// Who wants to join it.
    pub(crate) requests: Vec<Member>,
    /// Its open invite links, while their dialog is open.
    pub(crate) links: Vec<Link>,
    /// The members are shown beside the conversation.
    pub(crate) members_open: bool,
    pub(crate) found: Vec<FoundGroup>,
    pub(crate) searching: bool,
    serial: u64,
    /// A dialog's question is under way, or why it was refused.
    pub(crate) asking: Option<Result<(), String>>,
    /// The invite of the group whose dialog is open.
    pub(crate) invite: Option<String>,
    /// The last line of a group, where it came in while the window was open.
    pub(crate) last: HashMap<String, (String, u64)>,
}

impl Groups {
    /// The group of this id.
    pub(crate) fn get(&self, group_id: &str) -> Option<&Group> {
        self.list.iter().find(|group| group.group_id == group_id)
    }

    /// Unread messages of groups that are not muted.
    pub(crate) fn unread(&self, now_ms: u64) -> u64 {
        self.list.iter().filter(|group| !is_muted(group.muted_until, now_ms)).map(|group| group.unread).sum()
    }

    /// Answers that others wait for: to who wants in, and to invites.
    pub(crate) fn waiting(&self) -> u64 {
        let invites = self.list.iter().filter(|group| group.state == "invited").count() as u64;
        invites + self.list.iter().filter(|group| group.leads()).map(|group| group.requests).sum::<u64>()
    }

    /// Searches public groups.
    pub(crate) fn search(&mut self, query: &str, asks: &mut Vec<Ask>) {
        self.serial += 1;
        self.searching = true;
        asks.push(ask::Ask::Search { query: query.to_owned(), serial: self.serial }.into());
    }

    fn set_unread(&mut self, group_id: &str, unread: u64) {
        if let Some(group) = self.list.iter_mut().find(|group| group.group_id == group_id) {
            group.unread = unread;
        }
    }
}

impl State {
    /// The group that is open.
    pub(crate) fn group(&self) -> Option<&Group> {
        match &self.chat.selection {
            Selection::Group(id) => self.groups.get(id),
            _ => None,
        }
    }

    /// Reads the list of groups, where the node has groups.
    pub(super) fn read_groups(&mut self, asks: &mut Vec<Ask>) {
        // However much happens at once: one reading is under way, and at most one more follows.
        if std::mem::replace(&mut self.groups.reading, true) {
            self.groups.stale = true;
        } else {
            asks.push(ask::Ask::List.into());
        }
    }

    fn read_members(&self, group_id: &str, asks: &mut Vec<Ask>) {
        asks.push(ask::Ask::Members(group_id.to_owned()).into());
        if self.groups.get(group_id).is_some_and(Group::leads) {
            asks.push(ask::Ask::Requests(group_id.to_owned()).into());
        }
    }

    /// Opens a group at its end.
    pub(super) fn open_group(&mut self, group_id: &str, clock: Clock, asks: &mut Vec<Ask>) {
        self.tab = Tab::Groups;
        if self.chat.selection == Selection::Group(group_id.to_owned()) {
            return;
        }
        self.leave_conversation(clock, asks);
        self.groups.members.clear();
        self.groups.banned.clear();
        self.groups.requests.clear();
        self.chat.selection = Selection::Group(group_id.to_owned());
        self.chat.timeline = Some(Timeline::new(group_id));
        let group_id = group_id.to_owned();
        self.read_members(&group_id, asks);
        asks.push(ask::Ask::History { group_id, page: messages::Page::Latest }.into());
    }

    /// Something happened in a group; `kind` is the type of the event.
    pub(super) fn group_event(&mut self, kind: &str, event: &Value, clock: Clock, asks: &mut Vec<Ask>) {
        let word = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let group_id = word("group_id").to_owned();
        let open = self.group().is_some_and(|group| group.group_id == group_id);
        let name = self.groups.get(&group_id).map_or(word("name"), |group| &group.name).to_owned();
        match kind {
            "group.invited" => {
                let words = (tr().group_invites_to)(word("username"), word("name"));
                self.notices.toast(Tone::Plain, words, clock.now_ms);
            }
            "group.joined" => self.notices.toast(Tone::Good, (tr().group_joined)(&name), clock.now_ms),
            "group.left" => {
                if open {
                    self.leave_conversation(clock, asks);
                }
                let words = format!("{}. {}", (tr().group_left)(&name), word("reason"));
                self.notices.keep(Tone::Plain, words.trim().to_owned(), None, clock.now_ms);
            }
            "group.join_requested" => {
                let words = (tr().group_wants_in)(word("username"), &name);
                self.notices.toast(Tone::Plain, words, clock.now_ms);
            }
            _ => {}
        }
        if open {
            self.read_members(&group_id, asks);
        }
        self.read_groups(asks);
    }

    /// Somebody wrote in a group.
    pub(super) fn group_message(&mut self, message: &Message, asks: &mut Vec<Ask>) {
        self.people.set_typing(&message.conversation, &message.from, false, 0);
        let line = format!("{}: {}", message.from, super::text_of(message));
        self.groups.last.insert(message.conversation.clone(), (line, message.at.0.0));
        let row = Row::new(message, self.me());
        if let Some(timeline) = self.chat.timeline.as_mut().filter(|open| open.conversation == message.conversation) {
            timeline.receive(row);
        }
        // The unread count and the order of the list are the node's to say.
        self.read_groups(asks);
    }

    pub(super) fn groups_answer(&mut self, answer: Answer, clock: Clock, asks: &mut Vec<Ask>) {
        match answer {
            Answer::List(result) => {
                self.groups.reading = false;
                if std::mem::take(&mut self.groups.stale) {
                    self.read_groups(asks);
                }
                if let Some(list) = self.toast_error(result, clock) {
                    if !self.groups.loaded {
                        let latest = list.iter().take(DRAFTS_READ_MAX).map(|group| group.group_id.clone());
                        asks.extend(latest.map(|conversation| Ask::from(messages::Ask::LoadDraft { conversation })));
                    }
                    self.groups.list = list;
                    self.groups.loaded = true;
                }
            }
            Answer::Created(Ok(group_id)) => {
                self.groups.asking = None;
                self.overlay = None;
                self.read_groups(asks);
                self.open_group(&group_id, clock, asks);
            }
            Answer::Joined(Ok(state)) => {
                self.groups.asking = None;
                self.overlay = None;
                let words = if state == "pending" { tr().group_join_pending } else { tr().group_join_done };
                self.notices.toast(Tone::Good, words, clock.now_ms);
                self.read_groups(asks);
            }
            Answer::Updated { group_id, result: Ok(()) } => {
                self.groups.asking = None;
                self.overlay = None;
                self.read_groups(asks);
                self.read_members(&group_id, asks);
            }
            Answer::Created(Err(error)) | Answer::Joined(Err(error)) | Answer::Updated { result: Err(error), .. } => {
                self.groups.asking = Some(Err(error.message));
            }
            Answer::Found { serial, result } => {
                if serial == self.groups.serial {
                    self.groups.searching = false;
                    self.groups.found = self.toast_error(result, clock).unwrap_or_default();
                }
            }
            answer => self.members_answer(answer, clock, asks),
        }
    }

    fn members_answer(&mut self, answer: Answer, clock: Clock, asks: &mut Vec<Ask>) {
        let open = self.group().map(|group| group.group_id.clone());
        match answer {
            Answer::Members { group_id, result } if open.as_ref() == Some(&group_id) => {
                (self.groups.members, self.groups.banned) = self.toast_error(result, clock).unwrap_or_default();
            }
            Answer::Requests { group_id, result: Ok(requests) } if open.as_ref() == Some(&group_id) => {
                self.groups.requests = requests;
            }
            Answer::Links { group_id, result: Ok(links) } if self.invites_to(&group_id) => self.groups.links = links,
            Answer::Revoked { group_id, result } => {
                if self.toast_error(result, clock).is_some() {
                    self.notices.toast(Tone::Plain, tr().link_revoked, clock.now_ms);
                    self.groups.invite = None;
                }
                asks.push(ask::Ask::Links(group_id).into());
            }
            Answer::Invited { group_id, user, result } => match (result, user) {
                (Ok(_), Some(user)) => {
                    self.groups.asking = None;
                    self.notices.toast(Tone::Good, (tr().group_invited)(&user), clock.now_ms);
                }
                (Ok(invite), None) => {
                    self.groups.asking = None;
                    self.groups.invite = invite;
                    asks.push(ask::Ask::Links(group_id).into());
                }
                (Err(error), _) => self.groups.asking = Some(Err(error.message)),
            },
            Answer::Left { group_id, result } => {
                if self.toast_error(result, clock).is_some() && open.as_ref() == Some(&group_id) {
                    self.leave_conversation(clock, asks);
                }
                self.read_groups(asks);
            }
            Answer::Changed { group_id, result } => {
                let _ = self.toast_error(result, clock);
                self.read_groups(asks);
                self.read_members(&group_id, asks);
            }
            Answer::Message(answer) => {
                if matches!(answer, messages::Answer::Sent { .. }) {
                    self.read_groups(asks);
                }
                self.messages_answer(answer, clock, asks);
            }
            _ => {}
        }
    }

    /// Whether the dialog that invites to this group is open.
    fn invites_to(&self, group_id: &str) -> bool {
        matches!(&self.overlay, Some(Overlay::InviteToGroup(open)) if open == group_id)
    }

    /// Tells the node what was read of the open group.
    pub(super) fn mark_group_read(&mut self, group_id: &str, up_to: String, asks: &mut Vec<Ask>) {
        self.groups.set_unread(group_id, 0);
        asks.push(ask::Ask::MarkRead { group_id: group_id.to_owned(), up_to }.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::people::tests::message;
    use secure_chat_node::api::{Account, Event};
    use serde_json::json;

    const NOW: Clock = Clock { now_ms: 1_700_000_000_000 };

    fn in_group() -> State {
        let mut state = State::default();
        let mut asks = Vec::new();
        let account = Account {
            username: "alice".into(),
            account_id: "a".into(),
            peer_id: String::new(),
            fingerprint: String::new(),
        };
        state.open(super::super::Opened::new(account, 0, false), &mut asks);
        let group: Group =
            serde_json::from_value(json!({"group_id": "g1", "name": "Readers", "role": "owner"})).unwrap();
        state.groups_answer(Answer::List(Ok(vec![group])), NOW, &mut asks);
        state.open_group("g1", NOW, &mut asks);
        let page = messages::Page::Latest;
        let answer = messages::Answer::History { conversation: "g1".into(), page, result: Ok((vec![], false)) };
        state.groups_answer(Answer::Message(answer), NOW, &mut asks);
        state
    }

    #[test]
    fn a_message_of_the_open_group_stands_in_its_conversation() {
        let mut state = in_group();
        let message = Message { text: "hello all".into(), ..message("m1", "g1", 5, false) };
        state.group_message(&Message { from: "bob".into(), ..message }, &mut Vec::new());
        let rows = state.chat.timeline.as_ref().unwrap().rows();
        assert_eq!((rows.len(), rows[0].from.as_str(), rows[0].text.as_str()), (1, "bob", "hello all"));
    }

    #[test]
    fn whoever_writes_in_a_group_is_named_until_the_message_is_there() {
        let mut state = in_group();
        let typing = |who: &str| Event::Typing {
            conversation: "g1".into(),
            username: who.into(),
            account_id: String::new(),
            active: true,
        };
        state.event(typing("bob"), NOW, &mut Vec::new());
        state.event(typing("carol"), NOW, &mut Vec::new());
        assert_eq!(state.people.typing("g1", NOW.now_ms), ["bob", "carol"]);
        let message = Message { from: "bob".into(), ..message("m1", "g1", 5, false) };
        state.event(Event::GroupMessage(Box::new(message)), NOW, &mut Vec::new());
        assert_eq!(state.people.typing("g1", NOW.now_ms), ["carol"]);
        assert!(state.people.typing("g1", NOW.now_ms + 60_000).is_empty());
    }

    #[test]
    fn what_is_written_in_a_group_goes_to_the_group() {
        let mut state = in_group();
        let mut asks = Vec::new();
        state.chat.draft_mut("g1").push_str("hello");
        state.intend(super::super::Intent::Send, NOW, &mut asks);
        assert!(asks.iter().any(|ask| matches!(ask, Ask::Groups(ask::Ask::Send { group_id, text, .. }) if group_id == "g1" && text == "hello")));
        assert!(!asks.iter().any(|ask| matches!(ask, Ask::Messages(messages::Ask::Send { .. }))));
    }

    #[test]
    fn who_is_removed_is_shown_out() {
        let mut state = in_group();
        let event = json!({"type": "group.left", "group_id": "g1"});
        state.group_event("group.left", &event, NOW, &mut Vec::new());
        assert_eq!(state.chat.selection, Selection::None);
        assert!(state.chat.timeline.is_none());
    }

    #[test]
    fn the_answer_of_an_older_search_is_not_shown() {
        let mut state = in_group();
        let mut asks = Vec::new();
        state.groups.search("a", &mut asks);
        state.groups.search("ab", &mut asks);
        let found = FoundGroup {
            group_id: "x".into(),
            name: "X".into(),
            description: String::new(),
            members: 1,
            join: "open".into(),
        };
        state.groups_answer(Answer::Found { serial: 1, result: Ok(vec![found]) }, NOW, &mut asks);
        assert!(state.groups.found.is_empty() && state.groups.searching);
    }
}
