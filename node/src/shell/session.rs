//! What the shell remembers while it runs. Nothing of it goes to disk.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::ask::Ask;
use super::render::{safe, strip_number};
use super::style::Style;
use crate::api::NodeHandle;

/// Messages whose numbers are remembered.
const NUMBERED_MAX_MESSAGES: usize = 10_000;

/// Usernames for the completion.
pub(super) type Names = Arc<Mutex<BTreeSet<String>>>;

/// One run of the shell.
pub(super) struct Session {
    pub(super) handle: NodeHandle,
    pub(super) style: Style,
    pub(super) ask: Ask,
    /// The open chat: what is typed goes there.
    pub(super) chat: Option<String>,
    /// The own name, while unlocked.
    pub(super) me: Option<String>,
    pub(super) names: Names,
    pub(super) numbers: Numbers,
    /// Rendezvous nodes that know us, as last told.
    pub(super) registered: usize,
}

impl Session {
    pub(super) fn new(handle: NodeHandle, style: Style, ask: Ask) -> Self {
        Self {
            handle,
            style,
            ask,
            chat: None,
            me: None,
            names: Names::default(),
            numbers: Numbers::default(),
            registered: 0,
        }
    }

    /// Forgets what belongs to the account.
    pub(super) fn forget(&mut self) {
        (self.chat, self.me, self.registered) = (None, None, 0);
        self.numbers = Numbers::default();
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// `alice → bob> `
    pub(super) fn prompt(&self) -> String {
        let me = self.me.as_deref().unwrap_or("secure-chat");
        match &self.chat {
            Some(chat) => format!("{} → {}> ", safe(me), safe(chat)),
            None => format!("{}> ", safe(me)),
        }
    }

    /// Adds a name to those that are completed.
    pub(super) fn note_name(&self, name: &str) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    /// Reads the names of contacts and requests for the completion.
    pub(super) async fn refresh_names(&self) {
        if self.me.is_none() {
            return;
        }
        let mut names = BTreeSet::new();
        if let Ok(list) = self.handle.contacts_list().await {
            names.extend(list.contacts.into_iter().map(|contact| contact.username));
        }
        if let Ok(requests) = self.handle.contacts_requests().await {
            names.extend(requests.incoming.into_iter().chain(requests.outgoing).map(|request| request.username));
        }
        self.names.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
    }
}

/// Short numbers for messages, whose ids nobody wants to type.
#[derive(Default)]
pub(super) struct Numbers {
    by_id: HashMap<String, u64>,
    /// Oldest first, with ascending numbers without gaps.
    ids: VecDeque<String>,
    last: u64,
}

impl Numbers {
    /// The message's number: the one that it has, or the next.
    pub(super) fn of(&mut self, message_id: &str) -> u64 {
        if let Some(number) = self.by_id.get(message_id) {
            return *number;
        }
        if self.ids.len() >= NUMBERED_MAX_MESSAGES
            && let Some(oldest) = self.ids.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.last = self.last.saturating_add(1);
        self.by_id.insert(message_id.to_owned(), self.last);
        self.ids.push_back(message_id.to_owned());
        self.last
    }

    /// The number, if the message was shown.
    pub(super) fn known(&self, message_id: &str) -> Option<u64> {
        self.by_id.get(message_id).copied()
    }

    /// The message that `#12` or `12` means; a text that is no number is an id itself.
    pub(super) fn resolve(&self, text: &str) -> Option<String> {
        let Some(number) = strip_number(text) else { return Some(text.to_owned()) };
        let from_the_end = usize::try_from(self.last.checked_sub(number)?).ok()?;
        let index = self.ids.len().checked_sub(1)?.checked_sub(from_the_end)?;
        self.ids.get(index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_the_message_that_was_shown_with_it() {
        let mut numbers = Numbers::default();
        assert_eq!((numbers.of("a"), numbers.of("b"), numbers.of("a")), (1, 2, 1));
        assert_eq!(numbers.resolve("#2").as_deref(), Some("b"));
        assert_eq!(numbers.resolve("1").as_deref(), Some("a"));
        assert_eq!((numbers.resolve("#3"), numbers.resolve("0")), (None, None));
        assert_eq!(numbers.resolve("b0ff").as_deref(), Some("b0ff"), "an id may be given as it is");
    }

    #[test]
    fn old_numbers_are_forgotten_and_never_given_anew() {
        let mut numbers = Numbers::default();
        for n in 0..=NUMBERED_MAX_MESSAGES {
            numbers.of(&format!("id{n}"));
        }
        assert_eq!(numbers.resolve("#1"), None);
        assert_eq!(numbers.resolve("#2").as_deref(), Some("id1"));
        assert_eq!(numbers.by_id.len(), NUMBERED_MAX_MESSAGES);
    }
}
