//! What the composer does: sending, replying, editing, trying again; and where
//! the open conversation is moved.

use secure_chat_node::api::{At, Message};
use secure_chat_protocol::id::Timestamp;

use super::answers::local_id;
use super::{Composing, Effect, Intent, Row, ScrollTo, State};
use crate::ask::{Ask, groups, messages};
use crate::text::Clock;

impl State {
    /// Does what the person intends with the composer.
    pub(super) fn intend_composer(&mut self, intent: Intent, clock: Clock, asks: &mut Vec<Ask>) -> Option<Effect> {
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

    /// Back to where the newest message is.
    pub(super) fn scroll_to_end(&mut self, asks: &mut Vec<Ask>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Answer;
    use crate::ask::{account, contacts};
    use crate::state::people::tests::{contact, message};
    use crate::state::{Opened, Selection, Tab};
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

    #[test]
    fn logging_out_forgets_even_whose_account_was_open() {
        let (mut state, mut asks) = in_conversation();
        state.chat.draft_mut("bob").push_str("secret draft");
        assert_eq!(state.intend(Intent::LogOut, NOW, &mut asks), Some(Effect::Forget));
        assert!(asks.iter().any(|ask| matches!(ask, Ask::Account(account::Ask::Lock))), "the node wipes its keys");
        let shown = format!("{state:?}");
        for word in ["bob", "secret draft", "alice"] {
            assert!(!shown.contains(word), "{word} is still there");
        }
    }

    #[test]
    fn a_look_at_the_groups_leaves_the_conversation_open() {
        let (mut state, mut asks) = in_conversation();
        for tab in [Tab::Groups, Tab::Groups, Tab::Files, Tab::Chat] {
            state.intend(Intent::Go(tab), NOW, &mut asks);
        }
        assert_eq!(state.chat.selection, Selection::Conversation("bob".into()));
    }
}
