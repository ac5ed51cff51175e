//! The open conversation: the messages that are loaded, in order, and how
//! high each is on the screen.

use std::collections::HashMap;

use secure_chat_node::api::MessageState;

use super::heights::Heights;
use super::row::{Quote, Row};

/// Messages kept in memory; beyond it those far from what is read are let go.
pub(crate) const LOADED_MAX: usize = 100_000;
/// Messages let go at once.
const LET_GO: usize = 2_000;
/// States that came in before the answer that names their message.
const EARLY_STATES_MAX: usize = 1_024;
/// Quoted messages that are not loaded themselves.
const QUOTES_MAX: usize = 1_024;

/// One end of what is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct End {
    /// There are more messages beyond it.
    pub(crate) more: bool,
    /// They are being read.
    pub(crate) loading: bool,
}

/// Where the list is asked to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScrollTo {
    Bottom,
    Message(String),
    UnreadLine,
}

/// The loaded messages, to read only.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    rows: &'a [Row],
    places: &'a HashMap<String, i64>,
    base: i64,
    quotes: &'a HashMap<String, Quote>,
}

impl<'a> Rows<'a> {
    /// The row of this number.
    pub(crate) fn get(&self, index: usize) -> Option<&'a Row> {
        self.rows.get(index)
    }

    /// What a reply to message `id` quotes, where it is known.
    pub(crate) fn quote(&self, id: &str) -> Option<Quote> {
        let place = self.places.get(id).and_then(|place| usize::try_from(place - self.base).ok());
        let row = place.and_then(|place| self.rows.get(place));
        row.map(Row::quote).or_else(|| self.quotes.get(id).cloned())
    }
}

/// The loaded messages of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) conversation: String,
    rows: Vec<Row>,
    pub(crate) heights: Heights,
    /// Row number of a message plus `base`, so that rows can come in at the front.
    places: HashMap<String, i64>,
    base: i64,
    pub(crate) older: End,
    pub(crate) newer: End,
    /// Something was read at least once.
    pub(crate) loaded: bool,
    /// The first message that was unread when the conversation was opened.
    pub(crate) first_unread: Option<String>,
    /// The end of the conversation is in view.
    pub(crate) at_end: bool,
    /// Messages that came in below what is looked at.
    pub(crate) unseen: u64,
    /// The message that was jumped to.
    pub(crate) found: Option<String>,
    pub(crate) scroll_to: Option<ScrollTo>,
    early: HashMap<String, (MessageState, Option<String>)>,
    quotes: HashMap<String, Quote>,
    /// Marked as read up to here.
    pub(crate) read_up_to: Option<String>,
    /// Seen up to here, and not marked yet.
    pub(crate) seen_up_to: Option<String>,
}

impl Timeline {
    /// An empty one, waiting for its first page.
    pub(crate) fn new(conversation: &str) -> Self {
        let mut timeline = Self { conversation: conversation.to_owned(), ..Self::default() };
        timeline.newer.loading = true;
        timeline.at_end = true;
        timeline.scroll_to = Some(ScrollTo::Bottom);
        timeline
    }

    /// The messages, oldest first.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Rows to read and their heights to change, for the list.
    pub(crate) fn parts(&mut self) -> (Rows<'_>, &mut Heights) {
        let rows = Rows { rows: &self.rows, places: &self.places, base: self.base, quotes: &self.quotes };
        (rows, &mut self.heights)
    }

    /// The row number of a message.
    pub(crate) fn place(&self, id: &str) -> Option<usize> {
        usize::try_from(self.places.get(id)? - self.base).ok()
    }

    /// A loaded message.
    pub(crate) fn row(&self, id: &str) -> Option<&Row> {
        self.rows.get(self.place(id)?)
    }

    fn row_mut(&mut self, id: &str) -> Option<&mut Row> {
        let place = self.place(id)?;
        self.rows.get_mut(place)
    }

    /// The newest message of the other side that the node knows.
    pub(crate) fn newest_received(&self) -> Option<&str> {
        self.rows.iter().rev().find(|row| !row.mine && !row.id.is_empty()).map(|row| row.id.as_str())
    }

    /// The newest own message that can be changed.
    pub(crate) fn newest_own(&self) -> Option<&Row> {
        self.rows.iter().rev().find(|row| row.mine && !row.deleted && row.local.is_none())
    }

    /// Everything that is loaded is let go for this page.
    pub(crate) fn replace(&mut self, rows: Vec<Row>, older_more: bool, newer_more: bool) {
        // What the node has not answered yet is in no page of its history.
        let waiting: Vec<Row> = self.rows.drain(..).filter(|row| row.local.is_some()).collect();
        self.rows = rows;
        if !newer_more {
            self.rows.extend(waiting);
            self.unseen = 0;
        }
        self.heights = Heights::new(self.rows.iter().map(Row::estimate));
        self.older = End { more: older_more, loading: false };
        self.newer = End { more: newer_more, loading: false };
        self.loaded = true;
        self.number();
    }

    fn number(&mut self) {
        self.base = 0;
        self.places = self
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| !row.id.is_empty())
            .map(|(i, row)| (row.id.clone(), i as i64))
            .collect();
    }

    /// Older messages came in.
    pub(crate) fn prepend(&mut self, mut rows: Vec<Row>, more: bool) {
        rows.retain(|row| !self.places.contains_key(&row.id));
        self.base -= rows.len() as i64;
        for (i, row) in rows.iter().enumerate() {
            self.places.insert(row.id.clone(), self.base + i as i64);
        }
        self.heights.insert(0, rows.iter().map(Row::estimate));
        self.rows.splice(0..0, rows);
        self.older = End { more, loading: false };
        if self.rows.len() > LOADED_MAX {
            let keep = LOADED_MAX - LET_GO;
            for row in self.rows.drain(keep..) {
                self.places.remove(&row.id);
            }
            self.heights.remove(keep..usize::MAX);
            self.newer.more = true;
        }
    }

    /// Newer messages came in, in a conversation that was entered in the middle.
    pub(crate) fn append(&mut self, rows: Vec<Row>, more: bool) {
        for row in rows {
            if !self.places.contains_key(&row.id) {
                self.push(row);
            }
        }
        self.newer = End { more, loading: false };
        if !more {
            self.unseen = 0;
        }
    }

    fn push(&mut self, row: Row) {
        if !row.id.is_empty() {
            self.places.insert(row.id.clone(), self.base + self.rows.len() as i64);
        }
        self.heights.push(row.estimate());
        self.rows.push(row);
        if self.rows.len() > LOADED_MAX {
            for row in self.rows.drain(..LET_GO) {
                self.places.remove(&row.id);
            }
            self.heights.remove(0..LET_GO);
            self.base += LET_GO as i64;
            self.older.more = true;
        }
    }

    /// A message came in, or one of another window of this account.
    pub(crate) fn receive(&mut self, row: Row) {
        if self.places.contains_key(&row.id) {
            self.change(row);
            return;
        }
        if self.newer.more {
            // The end of the conversation isn't loaded: it will come with its page.
            self.unseen += 1;
            return;
        }
        if !self.at_end && !row.mine {
            self.unseen += 1;
        }
        let place = self.rows.iter().rposition(|other| other.at_ms <= row.at_ms).map_or(0, |before| before + 1);
        if place == self.rows.len() {
            self.push(row);
        } else {
            // It was written before others that are here already.
            self.heights.insert(place, std::iter::once(row.estimate()));
            self.rows.insert(place, row);
            self.number();
        }
    }

    /// An own message was written; the node has yet to take it.
    pub(crate) fn write(&mut self, row: Row) {
        self.first_unread = None;
        self.scroll_to = Some(ScrollTo::Bottom);
        self.push(row);
    }

    /// The node has taken the message and named it.
    pub(crate) fn sent(&mut self, local: u64, id: &str) {
        let Some(place) = self.rows.iter().rposition(|row| row.local == Some(local)) else { return };
        if self.places.contains_key(id) {
            // A page of the history brought it first.
            self.rows.remove(place);
            self.heights.remove(place..place + 1);
            self.number();
            return;
        }
        let early = self.early.remove(id);
        let Some(row) = self.rows.get_mut(place) else { return };
        row.local = None;
        row.id = id.to_owned();
        if let Some((state, reason)) = early {
            row.state = state;
            row.reason = reason;
        }
        self.places.insert(id.to_owned(), self.base + place as i64);
    }

    /// The node did not take the message.
    pub(crate) fn refused(&mut self, local: u64, reason: &str) {
        if let Some(row) = self.rows.iter_mut().rev().find(|row| row.local == Some(local)) {
            row.state = MessageState::Failed;
            row.reason = Some(reason.to_owned());
        }
    }

    /// Takes a message that the node did not take out again, to try it anew.
    pub(crate) fn take_refused(&mut self, local: u64) -> Option<Row> {
        let place = self.rows.iter().rposition(|row| row.local == Some(local) && row.state == MessageState::Failed)?;
        self.heights.remove(place..place + 1);
        let row = self.rows.remove(place);
        self.number();
        Some(row)
    }

    /// A message got further, or failed. Never moves back, except into a new try.
    pub(crate) fn set_state(&mut self, id: &str, state: MessageState, reason: Option<String>) {
        if let Some(row) = self.row_mut(id) {
            let back = state < row.state && row.state != MessageState::Failed;
            if !back {
                row.state = state;
                row.reason = reason;
            }
        } else if self.early.len() < EARLY_STATES_MAX {
            self.early.insert(id.to_owned(), (state, reason));
        }
    }

    /// A message is different now: edited, or reacted to.
    pub(crate) fn change(&mut self, row: Row) {
        if let Some(old) = self.row_mut(&row.id) {
            *old = row;
        }
    }

    /// A message was deleted. An own copy goes; one that its author took back leaves a trace.
    pub(crate) fn delete(&mut self, id: &str, leaves_trace: bool) {
        if leaves_trace {
            if let Some(row) = self.row_mut(id) {
                row.deleted = true;
                row.text.clear();
                row.reactions.clear();
                row.file = None;
            }
        } else if let Some(place) = self.place(id) {
            self.rows.remove(place);
            self.heights.remove(place..place + 1);
            self.number();
        }
    }

    /// Puts the unread line before the last `unread` received messages.
    pub(crate) fn mark_unread(&mut self, unread: u64) {
        let unread = usize::try_from(unread).unwrap_or(usize::MAX);
        self.first_unread =
            self.rows.iter().rev().filter(|row| !row.mine).take(unread).last().map(|row| row.id.clone());
        if self.first_unread.is_some() {
            // Until the list has been painted, nobody knows whether its end is seen.
            self.at_end = false;
            self.scroll_to = Some(ScrollTo::UnreadLine);
        }
    }

    /// What a reply quotes, where it is known.
    pub(crate) fn quote(&self, id: &str) -> Option<Quote> {
        let rows = Rows { rows: &self.rows, places: &self.places, base: self.base, quotes: &self.quotes };
        rows.quote(id)
    }

    /// Keeps what a reply quotes.
    pub(crate) fn keep_quote(&mut self, id: &str, quote: Quote) {
        if self.quotes.len() < QUOTES_MAX {
            self.quotes.insert(id.to_owned(), quote);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn row(id: &str, at_ms: u64, mine: bool) -> Row {
        Row {
            id: id.to_owned(),
            local: None,
            mine,
            from: if mine { "alice" } else { "bob" }.to_owned(),
            text: format!("text of {id}"),
            at_ms,
            state: if mine { MessageState::Queued } else { MessageState::Received },
            reason: None,
            reply_to: None,
            edited: false,
            deleted: false,
            reactions: Vec::new(),
            file: None,
        }
    }

    fn ids(timeline: &Timeline) -> Vec<&str> {
        timeline.rows().iter().map(|row| row.id.as_str()).collect()
    }

    fn of(rows: Vec<Row>) -> Timeline {
        let mut timeline = Timeline::new("bob");
        timeline.replace(rows, false, false);
        timeline
    }

    #[test]
    fn pages_join_without_doubles() {
        let mut timeline = of(vec![row("c", 3, true), row("d", 4, false)]);
        timeline.prepend(vec![row("a", 1, true), row("b", 2, true), row("c", 3, true)], false);
        timeline.append(vec![row("d", 4, false), row("e", 5, false)], false);
        assert_eq!(ids(&timeline), ["a", "b", "c", "d", "e"]);
        for (i, id) in ["a", "b", "c", "d", "e"].iter().enumerate() {
            assert_eq!(timeline.place(id), Some(i));
        }
        assert_eq!(timeline.heights.len(), 5);
    }

    #[test]
    fn a_late_message_stands_where_it_was_written() {
        let mut timeline = of(vec![row("a", 1, true), row("c", 3, true)]);
        timeline.receive(row("b", 2, false));
        timeline.receive(row("b", 2, false));
        assert_eq!(ids(&timeline), ["a", "b", "c"]);
        assert_eq!(timeline.place("c"), Some(2));
    }

    #[test]
    fn a_delivery_that_overtakes_its_answer_is_not_lost() {
        let mut timeline = of(vec![]);
        timeline.write(Row { id: String::new(), local: Some(7), ..row("", 1, true) });
        timeline.set_state("x", MessageState::Delivered, None);
        timeline.sent(7, "x");
        assert_eq!(timeline.row("x").map(|row| row.state), Some(MessageState::Delivered));
    }

    #[test]
    fn a_message_that_was_read_does_not_become_unread() {
        let mut timeline = of(vec![row("a", 1, true)]);
        timeline.set_state("a", MessageState::Read, None);
        timeline.set_state("a", MessageState::Delivered, None);
        assert_eq!(timeline.row("a").map(|row| row.state), Some(MessageState::Read));
    }

    #[test]
    fn a_failed_message_can_be_tried_again() {
        let mut timeline = of(vec![row("a", 1, true)]);
        timeline.set_state("a", MessageState::Failed, Some("no one there".into()));
        timeline.set_state("a", MessageState::Queued, None);
        assert_eq!(timeline.row("a").map(|row| (row.state, row.reason.is_some())), Some((MessageState::Queued, false)));
    }

    #[test]
    fn the_unread_line_stands_before_the_first_unread_message_of_the_other() {
        let mut timeline = of(vec![row("a", 1, false), row("b", 2, false), row("c", 3, true), row("d", 4, false)]);
        timeline.mark_unread(2);
        assert_eq!(timeline.first_unread.as_deref(), Some("b"));
        timeline.mark_unread(0);
        assert_eq!(timeline.first_unread, None);
    }

    #[test]
    fn messages_below_an_unloaded_gap_are_counted_not_shown() {
        let mut timeline = Timeline::new("bob");
        timeline.replace(vec![row("a", 1, false)], true, true);
        timeline.receive(row("z", 99, false));
        assert_eq!((ids(&timeline), timeline.unseen), (vec!["a"], 1));
    }

    #[test]
    fn what_comes_in_below_is_counted_while_something_else_is_read() {
        let mut timeline = of(vec![row("a", 1, false)]);
        timeline.receive(row("b", 2, false));
        assert_eq!(timeline.unseen, 0);
        timeline.at_end = false;
        timeline.receive(row("c", 3, false));
        timeline.receive(row("d", 4, true));
        assert_eq!(timeline.unseen, 1);
    }

    #[test]
    fn memory_is_bounded_in_both_directions() {
        let mut timeline = of((0..LOADED_MAX).map(|i| row(&format!("m{i}"), i as u64 + 10, false)).collect());
        timeline.receive(row("new", u64::MAX, false));
        assert!(timeline.rows().len() <= LOADED_MAX && timeline.older.more);
        assert_eq!(timeline.row("new").map(|row| row.at_ms), Some(u64::MAX));
        timeline.prepend((0..LET_GO + 1).map(|i| row(&format!("o{i}"), 1, false)).collect(), false);
        assert!(timeline.rows().len() <= LOADED_MAX && timeline.newer.more);
        assert_eq!(timeline.place("o0"), Some(0));
        assert_eq!(timeline.heights.len(), timeline.rows().len());
    }

    #[test]
    fn a_message_taken_back_leaves_a_trace_and_a_deleted_copy_none() {
        let mut timeline = of(vec![row("a", 1, false), row("b", 2, true)]);
        timeline.delete("a", true);
        timeline.delete("b", false);
        assert_eq!(ids(&timeline), ["a"]);
        assert!(timeline.rows()[0].deleted && timeline.rows()[0].text.is_empty());
    }
}
