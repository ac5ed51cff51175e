//! What is selected, written and searched in the chat tab.

use std::collections::HashMap;

use secure_chat_node::api::Message;

use super::timeline::Timeline;
use crate::ask::{self, messages};

/// A draft is saved when nothing was typed for this time, in milliseconds.
const DRAFT_SETTLES_MS: u64 = 800;
/// "Is writing" is told no more often, in milliseconds.
const TYPING_EVERY_MS: u64 = 4_000;

/// What the content beside the list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Selection {
    #[default]
    None,
    Conversation(String),
    Request(String),
    /// A group, by its id.
    Group(String),
}

/// What the composer is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Composing {
    #[default]
    New,
    Reply(String),
    /// Editing a message; what stood in the composer before comes back after it.
    Edit {
        message_id: String,
        before: String,
    },
}

/// A search and what it found.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// Set while the search bar of the conversation is open.
    pub(crate) open: bool,
    pub(crate) query: String,
    /// The query that was asked last.
    pub(crate) serial: u64,
    pub(crate) waiting: bool,
    pub(crate) hits: Vec<Message>,
    pub(crate) more: bool,
    /// The hit that is shown.
    pub(crate) at: usize,
    /// Why there is no result.
    pub(crate) error: Option<String>,
}

/// The chat tab.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    pub(crate) selection: Selection,
    /// What was selected in the other of the two tabs with conversations.
    pub(crate) beside: Selection,
    pub(crate) timeline: Option<Timeline>,
    drafts: HashMap<String, String>,
    pub(crate) composing: Composing,
    /// The conversation whose draft changed, and when.
    unsaved: Option<(String, u64)>,
    typed_at_ms: u64,
    next_local: u64,
    /// In the open conversation.
    pub(crate) search: Search,
    /// In all conversations, beside the list.
    pub(crate) search_all: Search,
    /// Why the last message was not taken.
    pub(crate) error: Option<String>,
}

impl Chat {
    /// The open conversation.
    pub(crate) fn conversation(&self) -> Option<&str> {
        match &self.selection {
            Selection::Conversation(name) | Selection::Group(name) => Some(name),
            Selection::None | Selection::Request(_) => None,
        }
    }

    /// What was written to somebody and not sent.
    pub(crate) fn draft(&self, conversation: &str) -> &str {
        self.drafts.get(conversation).map_or("", String::as_str)
    }

    /// The same, to write on.
    pub(crate) fn draft_mut(&mut self, conversation: &str) -> &mut String {
        self.drafts.entry(conversation.to_owned()).or_default()
    }

    /// A draft was read from the vault. What the person typed meanwhile counts more.
    pub(crate) fn draft_loaded(&mut self, conversation: &str, text: String) {
        if !text.is_empty() {
            let draft = self.draft_mut(conversation);
            if draft.is_empty() {
                *draft = text;
            }
        }
    }

    /// The text in the composer changed.
    pub(crate) fn typed(&mut self, conversation: &str, now_ms: u64, asks: &mut Vec<ask::Ask>) {
        self.error = None;
        if matches!(self.composing, Composing::Edit { .. }) {
            return;
        }
        self.unsaved = Some((conversation.to_owned(), now_ms));
        if now_ms.saturating_sub(self.typed_at_ms) >= TYPING_EVERY_MS && !self.draft(conversation).is_empty() {
            self.typed_at_ms = now_ms;
            asks.push(messages::Ask::Typing { conversation: conversation.to_owned() }.into());
        }
    }

    /// Saves what was written once it has settled; `None` when there is
    /// nothing to save, else when to come back, in milliseconds.
    pub(crate) fn save_draft(&mut self, now_ms: u64, at_once: bool, asks: &mut Vec<ask::Ask>) -> Option<u64> {
        let (conversation, since_ms) = self.unsaved.as_ref()?;
        let waited = now_ms.saturating_sub(*since_ms);
        if !at_once && waited < DRAFT_SETTLES_MS {
            return Some(DRAFT_SETTLES_MS - waited);
        }
        let text = match &self.composing {
            Composing::Edit { before, .. } if self.conversation() == Some(conversation) => before.clone(),
            _ => self.draft(conversation).to_owned(),
        };
        asks.push(messages::Ask::SaveDraft { conversation: conversation.clone(), text }.into());
        self.unsaved = None;
        None
    }

    /// The draft was sent: there is none any longer.
    pub(crate) fn clear_draft(&mut self, conversation: &str, asks: &mut Vec<ask::Ask>) {
        self.drafts.remove(conversation);
        self.unsaved = None;
        self.typed_at_ms = 0;
        let conversation = conversation.to_owned();
        asks.push(messages::Ask::SaveDraft { conversation, text: String::new() }.into());
    }

    /// Begins to edit an own message.
    pub(crate) fn edit(&mut self, conversation: &str, message_id: &str, text: &str) {
        self.end_edit(conversation);
        let before = std::mem::replace(self.draft_mut(conversation), text.to_owned());
        self.composing = Composing::Edit { message_id: message_id.to_owned(), before };
    }

    /// Ends a reply or an edit; after an edit the draft is what it was.
    pub(crate) fn end_edit(&mut self, conversation: &str) {
        if let Composing::Edit { before, .. } = std::mem::take(&mut self.composing) {
            *self.draft_mut(conversation) = before;
        }
    }

    /// A name for a message that the node has not named yet.
    pub(crate) fn local(&mut self) -> u64 {
        self.next_local += 1;
        self.next_local
    }
}

impl Search {
    /// Asks for the query as it is now; an empty one finds nothing.
    pub(crate) fn ask(&mut self, conversation: Option<&str>, asks: &mut Vec<ask::Ask>) {
        self.serial += 1;
        self.at = 0;
        self.error = None;
        let query = self.query.trim();
        if query.is_empty() {
            self.hits.clear();
            self.waiting = false;
            return;
        }
        self.waiting = true;
        let conversation = conversation.map(str::to_owned);
        asks.push(messages::Ask::Search { query: query.to_owned(), conversation, serial: self.serial }.into());
    }

    /// What was found, unless the query is another one by now.
    pub(crate) fn found(&mut self, serial: u64, result: ask::Answered<(Vec<Message>, bool)>) {
        if serial != self.serial {
            return;
        }
        self.waiting = false;
        match result {
            Ok((hits, more)) => (self.hits, self.more) = (hits, more),
            Err(error) => {
                self.hits.clear();
                self.error = Some(error.message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_saved_once_it_has_settled() {
        let mut chat = Chat::default();
        let mut asks = Vec::new();
        chat.draft_mut("bob").push_str("hel");
        chat.typed("bob", 10_000, &mut asks);
        assert_eq!(asks.len(), 1, "typing is told at once");
        asks.clear();
        assert_eq!(chat.save_draft(10_100, false, &mut asks), Some(DRAFT_SETTLES_MS - 100));
        assert!(asks.is_empty());
        assert_eq!(chat.save_draft(10_000 + DRAFT_SETTLES_MS, false, &mut asks), None);
        assert!(matches!(&asks[..], [ask::Ask::Messages(messages::Ask::SaveDraft { text, .. })] if text == "hel"));
    }

    #[test]
    fn typing_is_not_told_with_every_letter() {
        let mut chat = Chat::default();
        let mut asks = Vec::new();
        chat.draft_mut("bob").push('x');
        for ms in 0..1_000 {
            chat.typed("bob", 10_000 + ms, &mut asks);
        }
        assert_eq!(asks.len(), 1);
    }

    #[test]
    fn a_draft_survives_an_edit() {
        let mut chat = Chat::default();
        chat.draft_mut("bob").push_str("unsent");
        chat.edit("bob", "m1", "old text");
        assert_eq!(chat.draft("bob"), "old text");
        chat.edit("bob", "m2", "other text");
        chat.end_edit("bob");
        assert_eq!(chat.draft("bob"), "unsent");
    }

    #[test]
    fn a_loaded_draft_does_not_overwrite_what_is_being_typed() {
        let mut chat = Chat::default();
        chat.draft_mut("bob").push_str("new");
        chat.draft_loaded("bob", "old".into());
        assert_eq!(chat.draft("bob"), "new");
    }

    #[test]
    fn the_answer_to_an_older_query_is_ignored() {
        let mut search = Search { query: "a".into(), ..Search::default() };
        let mut asks = Vec::new();
        search.ask(None, &mut asks);
        let old = search.serial;
        search.query = "ab".into();
        search.ask(None, &mut asks);
        search.found(old, Ok((Vec::new(), true)));
        assert!(search.waiting && !search.more);
    }
}
