//! Full-text search over the history: segments of the index from the newest to
//! the oldest, and a look at everything that they do not know yet.

use std::collections::BTreeSet;

use redb::{ReadOnlyTable, ReadTransaction};

use super::database::{self, Store};
use super::entry::Entry;
use super::error::StoreError;
use super::history::{HistoryReader, open_entry};
use super::index::{self, Token};
use super::postings;
use super::state::Segment;
use super::table::BODIES;
use super::words::Query;

/// Messages that one search returns at most.
pub const SEARCH_MAX_MESSAGES: usize = 1_000;
/// What lies behind this many bytes of a query is not looked at.
pub const QUERY_MAX_BYTES: usize = 1_024;

impl HistoryReader {
    /// Up to `limit` messages in which every word of `query` begins a word,
    /// whatever case and accents, the last to arrive first.
    ///
    /// # Errors
    /// [`StoreError::Locked`], or those of the disk.
    pub fn search(&self, query: &str, conversation: Option<&[u8; 32]>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let store = self.store()?;
        let query = query.get(..query.floor_char_boundary(QUERY_MAX_BYTES)).unwrap_or_default();
        let Some(query) = Query::new(query) else { return Ok(Vec::new()) };
        store.with_read(|txn| {
            let bodies = txn.open_table(BODIES)?;
            let limit = limit.min(SEARCH_MAX_MESSAGES);
            let search = Search { store: &store, bodies, query: &query, conversation, limit, found: Vec::new() };
            search.run(txn)
        })
    }
}

struct Search<'s> {
    store: &'s Store,
    bodies: ReadOnlyTable<u64, &'static [u8]>,
    query: &'s Query,
    conversation: Option<&'s [u8; 32]>,
    limit: usize,
    found: Vec<Entry>,
}

impl Search<'_> {
    fn run(mut self, txn: &ReadTransaction) -> Result<Vec<Entry>, StoreError> {
        let keys = &self.store.keys;
        let indexed_upto = database::read_state(txn, keys)?.indexed_upto;
        self.look_through_the_tail(indexed_upto)?;
        let tokens: Vec<Token> = self
            .conversation
            .map(|conversation| Token::conversation(keys, conversation))
            .into_iter()
            .chain(self.query.tokens().into_iter().map(|word| Token::word(keys, word)))
            .collect();
        let segments = database::read_segments(txn, keys)?;
        let (patches, segments): (Vec<Segment>, Vec<Segment>) = segments.into_iter().partition(|segment| segment.patch);
        let mut unsure = index::dirty_messages(txn)?;
        for patch in &patches {
            if self.is_full() {
                break;
            }
            unsure.extend(candidates(txn, self.store, patch, &tokens)?);
        }
        for segment in segments.iter().rev() {
            if self.is_full() {
                break;
            }
            let mut hits: BTreeSet<u64> = candidates(txn, self.store, segment, &tokens)?.into_iter().collect();
            hits.extend(unsure.range(segment.first..=segment.last));
            self.look_at(hits.into_iter().rev())?;
        }
        Ok(self.found)
    }

    const fn is_full(&self) -> bool {
        self.found.len() >= self.limit
    }

    fn look_through_the_tail(&mut self, from: u64) -> Result<(), StoreError> {
        for row in self.bodies.range(from..)?.rev() {
            if self.is_full() {
                break;
            }
            let (arrival, row) = row?;
            self.found.extend(self.hit(arrival.value(), row.value()));
        }
        Ok(())
    }

    fn look_at(&mut self, arrivals: impl Iterator<Item = u64>) -> Result<(), StoreError> {
        for arrival in arrivals {
            if self.is_full() {
                break;
            }
            let Some(row) = self.bodies.get(arrival)? else { continue };
            self.found.extend(self.hit(arrival, row.value()));
        }
        Ok(())
    }

    /// The message, if it is one that is looked for. A damaged one is not.
    fn hit(&self, arrival: u64, row: &[u8]) -> Option<Entry> {
        let stored = open_entry(&self.store.keys, arrival, row).ok()?;
        let here = self.conversation.is_none_or(|conversation| stored.entry.conversation == *conversation);
        let matches = here && stored.text().is_some_and(|text| self.query.matches(text));
        matches.then_some(stored.entry)
    }
}

/// The messages of a segment that have all tokens, as far as the index can tell.
fn candidates(
    txn: &ReadTransaction,
    store: &Store,
    segment: &Segment,
    tokens: &[Token],
) -> Result<Vec<u64>, StoreError> {
    let mut hits: Option<Vec<u64>> = None;
    for token in tokens {
        // A damaged row does not narrow the search: nothing may be missed.
        let Some(having) = index::lookup(txn, &store.keys, segment, *token)? else { continue };
        let both = match hits {
            Some(hits) => postings::intersect(&hits, &having),
            None => having,
        };
        if both.is_empty() {
            return Ok(both);
        }
        hits = Some(both);
    }
    Ok(hits.unwrap_or_else(|| (segment.first..=segment.last).collect()))
}
