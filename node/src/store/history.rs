//! Reading the history: pages of a conversation, single messages, counts.

use std::ops::Bound;
use std::sync::{Arc, Weak};

use redb::{ReadTransaction, ReadableTableMetadata};

use super::batch::timeline_key;
use super::database::Store;
use super::entry::{ENTRY_SCHEMA, Entry, Stored};
use super::error::StoreError;
use super::keys::Keys;
use super::table::{BODIES, BY_ID, COUNTS, TIMELINE};

/// Messages in one page at most.
pub const PAGE_MAX_MESSAGES: usize = 1_000;

/// Which messages of a conversation. A place is a message's hybrid time and arrival number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The newest.
    Latest,
    /// Those before this place, without it.
    Before((u64, u64)),
    /// Those after this place, without it.
    After((u64, u64)),
    /// Half of them before this place, the others from it on.
    Around((u64, u64)),
}

/// Reads committed messages, from any thread. Cheap to clone; does not keep the vault open.
#[derive(Clone)]
pub struct HistoryReader {
    store: Weak<Store>,
}

/// The arrival number of the message that `author` named `message_id`.
pub(super) fn arrival_of(
    txn: &ReadTransaction,
    keys: &Keys,
    author: &[u8; 32],
    message_id: &[u8; 16],
) -> Result<Option<u64>, StoreError> {
    let by_id = txn.open_table(BY_ID)?;
    Ok(by_id.get(&keys.message_key(author, message_id))?.map(|arrival| arrival.value()))
}

/// The message with this arrival number.
pub(super) fn stored(txn: &ReadTransaction, keys: &Keys, arrival: u64) -> Result<Option<Stored>, StoreError> {
    let bodies = txn.open_table(BODIES)?;
    bodies.get(arrival)?.map(|row| open_entry(keys, arrival, row.value())).transpose()
}

/// Opens a row of [`BODIES`].
pub(super) fn open_entry(keys: &Keys, arrival: u64, row: &[u8]) -> Result<Stored, StoreError> {
    let plain = keys.bodies.open(&arrival.to_be_bytes(), ENTRY_SCHEMA, row);
    let plain = plain.map_err(|_| StoreError::Damaged { what: "a message of the history" })?;
    Stored::decode(arrival, plain.expose())
}

impl HistoryReader {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::downgrade(store) }
    }

    pub(super) fn store(&self) -> Result<Arc<Store>, StoreError> {
        self.store.upgrade().ok_or(StoreError::Locked)
    }

    /// Up to `limit` messages of a conversation, oldest first, and whether there
    /// are more in the direction that was asked for (around: in either).
    ///
    /// A message whose row was damaged is left out, so that the others stay readable.
    ///
    /// # Errors
    /// [`StoreError::Locked`], or those of the disk.
    pub fn page(&self, conversation: &[u8; 32], page: Page, limit: usize) -> Result<(Vec<Entry>, bool), StoreError> {
        let store = self.store()?;
        let limit = limit.min(PAGE_MAX_MESSAGES);
        store.with_read(|txn| {
            let range = Range { txn, conversation: store.keys.conversations.index(conversation) };
            let (keys, more) = match page {
                Page::Latest => range.older(None, limit)?,
                Page::Before(place) => range.older(Some(place), limit)?,
                Page::After(place) => range.newer(Bound::Excluded(place), limit)?,
                Page::Around(place) => {
                    let (mut keys, older) = range.older(Some(place), limit / 2)?;
                    let (next, newer) = range.newer(Bound::Included(place), limit.saturating_sub(keys.len()))?;
                    keys.extend(next);
                    (keys, older || newer)
                }
            };
            Ok((entries(txn, &store.keys, conversation, &keys)?, more))
        })
    }

    /// The message that `author` named `message_id`.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Damaged`], or those of the disk.
    pub fn find(&self, author: &[u8; 32], message_id: &[u8; 16]) -> Result<Option<Entry>, StoreError> {
        let store = self.store()?;
        store.with_read(|txn| {
            let Some(arrival) = arrival_of(txn, &store.keys, author, message_id)? else { return Ok(None) };
            Ok(stored(txn, &store.keys, arrival)?.map(|stored| stored.entry))
        })
    }

    /// How many messages a conversation has.
    ///
    /// # Errors
    /// [`StoreError::Locked`], or those of the disk.
    pub fn count(&self, conversation: &[u8; 32]) -> Result<u64, StoreError> {
        let store = self.store()?;
        let key = store.keys.conversations.index(conversation);
        store.with_read(|txn| Ok(txn.open_table(COUNTS)?.get(&key)?.map_or(0, |count| count.value())))
    }

    /// How many messages there are.
    ///
    /// # Errors
    /// [`StoreError::Locked`], or those of the disk.
    pub fn total(&self) -> Result<u64, StoreError> {
        self.store()?.with_read(|txn| Ok(txn.open_table(BODIES)?.len()?))
    }
}

type TimelineKeys = Vec<[u8; 32]>;

/// One conversation in the timeline.
struct Range<'t> {
    txn: &'t ReadTransaction,
    conversation: [u8; 16],
}

impl Range<'_> {
    fn key(&self, (at, arrival): (u64, u64)) -> [u8; 32] {
        timeline_key(&self.conversation, at, arrival)
    }

    /// The last `limit` before a place, oldest first, and whether there are older ones.
    fn older(&self, before: Option<(u64, u64)>, limit: usize) -> Result<(TimelineKeys, bool), StoreError> {
        let first = self.key((0, 0));
        let end = self.key(before.unwrap_or((u64::MAX, u64::MAX)));
        let timeline = self.txn.open_table(TIMELINE)?;
        let range = timeline.range::<&[u8; 32]>(&first..&end)?.rev();
        let (mut keys, more) = take(range.map(|row| row.map(|(key, _)| *key.value())), limit)?;
        keys.reverse();
        Ok((keys, more))
    }

    /// The first `limit` from a place on, and whether there are newer ones.
    fn newer(&self, from: Bound<(u64, u64)>, limit: usize) -> Result<(TimelineKeys, bool), StoreError> {
        let (start, last) = (from.map(|place| self.key(place)), self.key((u64::MAX, u64::MAX)));
        let timeline = self.txn.open_table(TIMELINE)?;
        let range = timeline.range::<&[u8; 32]>((start.as_ref(), Bound::Included(&last)))?;
        take(range.map(|row| row.map(|(key, _)| *key.value())), limit)
    }
}

/// The first `limit`, and whether there is one more.
fn take(
    rows: impl Iterator<Item = Result<[u8; 32], redb::StorageError>>,
    limit: usize,
) -> Result<(TimelineKeys, bool), StoreError> {
    let mut keys = rows.take(limit.saturating_add(1)).collect::<Result<TimelineKeys, _>>()?;
    let more = keys.len() > limit;
    keys.truncate(limit);
    Ok((keys, more))
}

fn entries(
    txn: &ReadTransaction,
    keys: &Keys,
    conversation: &[u8; 32],
    timeline: &[[u8; 32]],
) -> Result<Vec<Entry>, StoreError> {
    let bodies = txn.open_table(BODIES)?;
    let mut entries = Vec::with_capacity(timeline.len());
    for key in timeline {
        let arrival = key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let Some(row) = bodies.get(arrival)? else { continue };
        match open_entry(keys, arrival, row.value()) {
            // The timeline is not sealed: what it says is checked against what is.
            Ok(Stored { entry, .. }) if entry.conversation == *conversation => entries.push(entry),
            Ok(_) | Err(StoreError::Damaged { .. }) => tracing::warn!("a damaged message was left out of a page"),
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}
