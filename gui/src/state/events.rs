//! What the node tells, unasked.

use secure_chat_node::api::{Event, MessageState};

use super::{Opened, Row, State, Tone};
use crate::ask::{Ask, account, contacts, network as net};
use crate::strings::tr;
use crate::text::Clock;

impl State {
    /// Something happened.
    pub(crate) fn event(&mut self, event: Event, clock: Clock, asks: &mut Vec<Ask>) {
        match event {
            Event::AccountUnlocked(account) => {
                // A new account comes with its answer, which knows that it is new.
                if !matches!(&self.session, super::Session::Closed(gate) if gate.busy) {
                    self.open(Opened::new(account, clock.now_ms, false), asks);
                }
            }
            Event::AccountLocked {} => {
                if self.opened().is_some() {
                    let left = self.locked();
                    self.close(left, asks);
                }
            }
            // What comes late, after the account was locked, is not shown.
            _ if self.opened().is_none() => {}
            Event::Lagged { .. } => self.read_again(asks),
            Event::NetworkState { .. } => asks.push(net::Ask::Status.into()),
            Event::SettingsChanged {} => asks.push(account::Ask::Settings.into()),
            Event::NameConflict { address } => {
                self.notices.keep(Tone::Bad, (tr().notice_name_conflict)(&address), None, clock.now_ms);
            }
            Event::SecurityAlert { severity, detail, subject, .. } => {
                let tone = match severity.as_str() {
                    "critical" => Tone::Bad,
                    "warning" => Tone::Warning,
                    _ => Tone::Plain,
                };
                self.notices.keep(tone, detail, subject, clock.now_ms);
                self.audited(asks);
            }
            event => self.chat_event(event, clock, asks),
        }
    }

    fn chat_event(&mut self, event: Event, clock: Clock, asks: &mut Vec<Ask>) {
        match event {
            Event::PresenceChanged { username, status, last_seen, .. } => {
                self.people.set_presence(&username, status, last_seen);
            }
            Event::Typing { conversation, username, active, .. } => {
                let known = self.people.contact(&conversation).is_some() || self.groups.get(&conversation).is_some();
                self.people.set_typing(&conversation, &username, active && known, clock.now_ms);
            }
            Event::UnreadChanged { conversation, .. } if self.groups.get(&conversation).is_some() => {
                self.read_groups(asks);
            }
            Event::UnreadChanged { conversation, unread } => {
                let looked_at = self.chat.timeline.as_ref().is_some_and(|timeline| {
                    timeline.conversation == conversation && timeline.read_up_to.is_some() && timeline.unseen == 0
                });
                // A count from before the mark that is under way would flicker.
                self.people.set_unread(&conversation, if looked_at && unread > 0 { 0 } else { unread });
            }
            Event::ContactRequest(request) => {
                let words = (tr().notice_request)(&request.username);
                self.notices.toast(Tone::Plain, words, clock.now_ms);
                self.people.asked(request);
            }
            Event::ContactAccepted(contact) => {
                self.notices.toast(Tone::Good, (tr().notice_accepted)(&contact.username), clock.now_ms);
                self.people.put(*contact);
                asks.push(contacts::Ask::Requests.into());
            }
            Event::ContactDeclined { request_id, username, .. } => {
                self.people.close_request(&request_id);
                self.notices.keep(Tone::Plain, (tr().notice_declined)(&username), None, clock.now_ms);
                asks.push(contacts::Ask::List.into());
            }
            Event::ContactKeyChanged { username, new_fingerprint, .. } => {
                self.people.key_changed(&username, &new_fingerprint);
                let words = (tr().notice_key_changed)(&username);
                self.notices.keep(Tone::Bad, words, Some(username), clock.now_ms);
            }
            event => self.message_event(event, clock, asks),
        }
    }

    /// What is told of groups, files and the log, by the type of the event.
    fn event_by_name(&mut self, event: &Event, clock: Clock, asks: &mut Vec<Ask>) {
        let Ok(value) = serde_json::to_value(event) else { return };
        let kind = value.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
        match kind.split_once('.').map_or("", |(namespace, _)| namespace) {
            "group" => self.group_event(kind, &value, clock, asks),
            "file" => self.file_event(kind, &value, clock, asks),
            "security" => self.audited(asks),
            _ => {}
        }
    }

    fn message_event(&mut self, event: Event, clock: Clock, asks: &mut Vec<Ask>) {
        match event {
            Event::MessageReceived(message) => {
                self.people.set_typing(&message.conversation, &message.from, false, 0);
                if self.people.contact(&message.conversation).is_none() {
                    asks.push(contacts::Ask::List.into());
                }
                self.people.touch(&message);
                let row = Row::new(&message, self.me());
                if let Some(timeline) =
                    self.chat.timeline.as_mut().filter(|open| open.conversation == message.conversation)
                {
                    timeline.receive(row);
                }
            }
            Event::GroupMessage(message) => self.group_message(&message, asks),
            Event::MessageEdited(message) | Event::MessageReaction(message) => {
                let is_last = |id: &str| id == message.message_id;
                if self
                    .people
                    .contact(&message.conversation)
                    .and_then(|c| c.last_message.as_ref())
                    .is_some_and(|last| is_last(&last.message_id))
                {
                    self.people.touch(&message);
                }
                let row = Row::new(&message, self.me());
                if let Some(timeline) =
                    self.chat.timeline.as_mut().filter(|open| open.conversation == message.conversation)
                {
                    timeline.change(row);
                }
            }
            Event::MessageState { message_id, conversation, state, reason } => {
                self.last_message_state(&conversation, &message_id, state);
                if let Some(timeline) = self.chat.timeline.as_mut().filter(|open| open.conversation == conversation) {
                    timeline.set_state(&message_id, state, reason);
                }
            }
            Event::MessageDeleted { message_id, conversation } => {
                self.message_deleted(&message_id, &conversation, asks)
            }
            event => self.event_by_name(&event, clock, asks),
        }
    }

    fn last_message_state(&mut self, conversation: &str, message_id: &str, state: MessageState) {
        if let Some(last) = self.people.contact_mut(conversation).and_then(|contact| contact.last_message.as_mut())
            && last.message_id == message_id
        {
            last.state = state;
        }
    }

    fn message_deleted(&mut self, message_id: &str, conversation: &str, asks: &mut Vec<Ask>) {
        let is_last = self
            .people
            .contact(conversation)
            .and_then(|contact| contact.last_message.as_ref())
            .is_some_and(|last| last.message_id == message_id);
        if is_last {
            asks.push(contacts::Ask::List.into());
        }
        // Whether it leaves a trace is for the node to say: read it again.
        if let Some(timeline) = self.chat.timeline.as_mut().filter(|open| open.conversation == conversation) {
            timeline.delete(message_id, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Answer, messages};
    use crate::state::people::tests::{contact, message};
    use crate::state::{Intent, Session, Tab};
    use secure_chat_node::api::{Account, ChatRequest, Contact, ContactState, RequestState, Status};

    const NOW: Clock = Clock { now_ms: 1_700_000_000_000 };

    fn account() -> Account {
        Account {
            username: "alice".into(),
            account_id: "account of alice".into(),
            peer_id: String::new(),
            fingerprint: "0000".into(),
        }
    }

    fn open(contacts: Vec<Contact>) -> State {
        let mut state = State::default();
        let mut asks = Vec::new();
        state.started(&mut asks);
        state.event(Event::AccountUnlocked(account()), NOW, &mut asks);
        state.people.set_contacts(contacts);
        state
    }

    fn in_conversation(name: &str) -> State {
        let mut state = open(vec![contact(name)]);
        let mut asks = Vec::new();
        state.intend(Intent::OpenConversation(name.into()), NOW, &mut asks);
        let answer = messages::Answer::History {
            conversation: name.into(),
            page: messages::Page::Latest,
            result: Ok((vec![], false)),
        };
        state.answer(Answer::Messages(answer), NOW, &mut asks);
        state
    }

    #[test]
    fn opening_an_account_reads_its_lists() {
        let mut state = State::default();
        let mut asks = Vec::new();
        state.started(&mut asks);
        state.event(Event::AccountUnlocked(account()), NOW, &mut asks);
        assert!(state.opened().is_some());
        let asked = asks.len();
        assert!(asked > 4);
        // The event of one's own unlock changes nothing more.
        state.event(Event::AccountUnlocked(account()), NOW, &mut asks);
        assert_eq!(asks.len(), asked);
    }

    #[test]
    fn locking_forgets_everything_that_was_shown() {
        let mut state = in_conversation("bob");
        let mut asks = Vec::new();
        state.event(Event::MessageReceived(Box::new(message("1", "bob", 5, false))), NOW, &mut asks);
        state.chat.draft_mut("bob").push_str("secret draft");
        state.notices.keep(Tone::Bad, "about bob", Some("bob".into()), 0);
        state.event(Event::AccountLocked {}, NOW, &mut asks);
        assert!(matches!(state.session, Session::Closed(_)));
        let shown = format!("{state:?}");
        for word in ["bob", "secret draft", "text of 1"] {
            assert!(!shown.contains(word), "{word} is still there");
        }
        assert_eq!(shown.matches("alice").count(), 1, "her name alone, over the field for her password: {shown}");
        // What was under way when it was locked is not shown either.
        state.event(Event::MessageReceived(Box::new(message("2", "bob", 6, false))), NOW, &mut asks);
        assert!(!format!("{state:?}").contains("text of 2"));
    }

    #[test]
    fn a_message_stands_in_the_open_conversation_and_in_the_list() {
        let mut state = in_conversation("bob");
        let mut asks = Vec::new();
        state.event(Event::MessageReceived(Box::new(message("1", "bob", 5, false))), NOW, &mut asks);
        state.event(Event::MessageReceived(Box::new(message("2", "carol", 6, false))), NOW, &mut asks);
        let timeline = state.chat.timeline.as_ref().unwrap();
        assert_eq!(timeline.rows().len(), 1);
        assert!(state.people.contact("bob").unwrap().last_message.is_some());
        // Somebody who is not in the list yet: it is read again.
        assert!(asks.iter().any(|ask| matches!(ask, Ask::Contacts(contacts::Ask::List))));
    }

    #[test]
    fn a_stranger_is_not_shown_as_writing() {
        let mut state = open(vec![contact("bob")]);
        for who in ["mallory", "bob"] {
            let (conversation, username, account_id) = (who.to_owned(), who.to_owned(), String::new());
            let typing = Event::Typing { conversation, username, account_id, active: true };
            state.event(typing, NOW, &mut Vec::new());
        }
        assert!(state.people.is_typing("bob", NOW.now_ms) && !state.people.is_typing("mallory", NOW.now_ms));
    }

    #[test]
    fn what_is_looked_at_is_marked_as_read_once() {
        let mut state = in_conversation("bob");
        let mut asks = Vec::new();
        state.event(Event::MessageReceived(Box::new(message("1", "bob", 5, false))), NOW, &mut asks);
        let marks = |asks: &[Ask]| {
            asks.iter().filter(|ask| matches!(ask, Ask::Messages(messages::Ask::MarkRead { .. }))).count()
        };
        state.tick(NOW, true, &mut asks);
        assert_eq!(marks(&asks), 0, "nobody is there");
        state.acted(NOW);
        state.tick(NOW, false, &mut asks);
        assert_eq!(marks(&asks), 0, "nobody looks");
        state.tick(NOW, true, &mut asks);
        state.tick(NOW, true, &mut asks);
        assert_eq!(marks(&asks), 1);
    }

    #[test]
    fn what_was_seen_is_read_however_soon_one_looks_at_something_else() {
        let up_to = |asks: &[Ask]| {
            let marked = asks.iter().rev().find_map(|ask| match ask {
                Ask::Messages(messages::Ask::MarkRead { up_to, .. }) => Some(up_to.clone()),
                _ => None,
            });
            marked.unwrap_or_default()
        };
        for goes in [Intent::Go(Tab::Files), Intent::Go(Tab::Groups)] {
            let mut state = in_conversation("bob");
            let mut asks = Vec::new();
            state.acted(NOW);
            for id in ["1", "2"] {
                state.event(Event::MessageReceived(Box::new(message(id, "bob", 5, false))), NOW, &mut asks);
                state.tick(NOW, true, &mut asks);
            }
            assert_eq!(up_to(&asks), "1", "not every frame is worth a commit");
            // The third came in after the last frame.
            state.event(Event::MessageReceived(Box::new(message("3", "bob", 5, false))), NOW, &mut asks);
            state.intend(goes, NOW, &mut asks);
            assert_eq!(up_to(&asks), "2");
        }
    }

    #[test]
    fn whoever_reads_keeps_the_account_open_and_whoever_left_does_not() {
        let mut state = in_conversation("bob");
        let mut asks = Vec::new();
        state.acted(NOW);
        state.tick(NOW, true, &mut asks);
        assert!(asks.iter().any(|ask| matches!(ask, Ask::Contacts(contacts::Ask::Requests))));
        asks.clear();
        for minute in 1..30 {
            let clock = Clock { now_ms: NOW.now_ms + minute * 60_000 };
            state.event(
                Event::MessageReceived(Box::new(message(&minute.to_string(), "bob", 5, false))),
                clock,
                &mut asks,
            );
            state.tick(clock, true, &mut asks);
        }
        let acts = |ask: &&Ask| matches!(ask, Ask::Contacts(_) | Ask::Messages(messages::Ask::MarkRead { .. }));
        assert!(asks.iter().filter(acts).count() <= 3, "{asks:?}");
    }

    #[test]
    fn a_request_waits_until_it_is_answered() {
        let mut state = open(vec![]);
        let mut asks = Vec::new();
        let request = ChatRequest {
            request_id: "r".into(),
            username: "carol".into(),
            account_id: "c".into(),
            fingerprint: "1".into(),
            greeting: "hi".into(),
            at: Default::default(),
            state: RequestState::Pending,
        };
        state.event(Event::ContactRequest(request.clone()), NOW, &mut asks);
        state.event(Event::ContactRequest(request), NOW, &mut asks);
        assert_eq!(state.people.incoming.len(), 1);
        let closed = contacts::Answer::RequestClosed { request_id: "r".into(), result: Ok(()) };
        state.answer(Answer::Contacts(closed), NOW, &mut asks);
        assert!(state.people.incoming.is_empty());
    }

    #[test]
    fn a_changed_key_stays_to_be_seen() {
        let mut state = open(vec![contact("bob")]);
        let mut asks = Vec::new();
        let event =
            Event::ContactKeyChanged { username: "bob".into(), account_id: String::new(), new_fingerprint: "9".into() };
        state.event(event, NOW, &mut asks);
        assert_eq!(state.people.contact("bob").unwrap().state, ContactState::KeyChanged);
        assert_eq!(state.notices.unseen(), 1);
    }

    #[test]
    fn a_listener_that_fell_behind_reads_the_lists_again() {
        let mut state = in_conversation("bob");
        let mut asks = Vec::new();
        state.event(Event::Lagged { missed: 9 }, NOW, &mut asks);
        assert!(asks.iter().any(|ask| matches!(ask, Ask::Contacts(contacts::Ask::List))));
        assert!(asks.iter().any(|ask| matches!(ask, Ask::Messages(messages::Ask::History { .. }))));
    }

    #[test]
    fn presence_is_that_of_the_last_word() {
        let mut state = open(vec![contact("bob")]);
        let mut asks = Vec::new();
        for status in [Status::Online, Status::Away, Status::Offline] {
            let event =
                Event::PresenceChanged { username: "bob".into(), account_id: String::new(), status, last_seen: None };
            state.event(event, NOW, &mut asks);
            assert_eq!(state.people.contact("bob").unwrap().status, status);
        }
        assert!(!state.people.contact("bob").unwrap().online);
    }
}
