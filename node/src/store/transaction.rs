//! A step of the engine: changes staged in memory, read back from there, and
//! written all at once by [`super::Vault::commit`] or not at all.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use redb::ReadTransaction;
use zeroize::Zeroizing;

use super::batch::{VALUE_MAX_BYTES, expiry_range};
use super::database::Store;
use super::entry::{Entry, NewEntry, Stored};
use super::error::StoreError;
use super::history;
use super::table::{EXPIRY, Kind, Table};

/// Staged changes over a snapshot of the vault. Dropped without a commit, it leaves nothing.
pub struct Txn<'v> {
    store: &'v Store,
    snapshot: OnceLock<ReadTransaction>,
    staged: Staged,
}

/// What a transaction changes.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) keyed: BTreeMap<(Table, [u8; 16]), Option<Row>>,
    pub(super) numbered: BTreeMap<(Table, u64), Option<Zeroizing<Vec<u8>>>>,
    pub(super) entries: BTreeMap<u64, Change>,
    ids: HashMap<([u8; 32], [u8; 16]), u64>,
    pub(super) rollback_handled: bool,
}

/// A staged row of a keyed table.
pub(super) struct Row {
    pub(super) value: Zeroizing<Vec<u8>>,
    pub(super) day: Option<u32>,
}

/// What happens to a message.
pub(super) enum Change {
    New(Stored),
    Changed(Stored),
    Removed(Stored),
}

impl Change {
    pub(super) const fn stored(&self) -> &Stored {
        match self {
            Self::New(stored) | Self::Changed(stored) | Self::Removed(stored) => stored,
        }
    }

    const fn present(&self) -> Option<&Stored> {
        match self {
            Self::New(stored) | Self::Changed(stored) => Some(stored),
            Self::Removed(_) => None,
        }
    }
}

impl Staged {
    pub(super) fn is_empty(&self) -> bool {
        self.keyed.is_empty() && self.numbered.is_empty() && self.entries.is_empty() && !self.rollback_handled
    }
}

impl<'v> Txn<'v> {
    pub(super) fn new(store: &'v Store) -> Self {
        Self { store, snapshot: OnceLock::new(), staged: Staged::default() }
    }

    pub(super) fn into_staged(self) -> Staged {
        self.staged
    }

    /// Whether nothing is staged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    /// Reads from this transaction's snapshot; from a new one if the disk failed meanwhile.
    fn read<T>(&self, read: impl Fn(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let snapshot = match self.snapshot.get() {
            Some(snapshot) => snapshot,
            None => {
                let fresh = self.store.begin_read()?;
                self.snapshot.get_or_init(|| fresh)
            }
        };
        match read(snapshot) {
            Err(StoreError::Stalled) => self.store.with_read(read),
            other => other,
        }
    }

    /// The value under `id`, staged changes included.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row was changed or moved, or those of the disk.
    pub fn get(&self, table: Table, id: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let record_key = self.store.keys.record_key(table, id);
        if let Some(staged) = self.staged.keyed.get(&(table, record_key)) {
            return Ok(staged.as_ref().map(|row| row.value.to_vec()));
        }
        let read = |txn: &ReadTransaction| {
            let rows = txn.open_table(table.keyed())?;
            let Some(row) = rows.get(&record_key)? else { return Ok(None) };
            self.store.keys.open(table, &record_key, row.value())
        };
        match self.read(read)? {
            // The daily key may have been replaced since the snapshot was taken.
            None if table.kind() == Kind::Ratchet => self.store.with_read(read),
            found => Ok(found),
        }
    }

    /// Stages a value under `id`. On a table whose rows expire, this one does not.
    pub fn put(&mut self, table: Table, id: &[u8], value: &[u8]) {
        self.put_row(table, id, value, None);
    }

    /// Stages a value under `id` that goes when [`Self::expire`] is asked for a
    /// later day than `day` (days since 1970). For [`Table::Seen`].
    pub fn put_until(&mut self, table: Table, id: &[u8], day: u32, value: &[u8]) {
        debug_assert!(table.kind() == Kind::Expiring, "rows of {table:?} do not expire");
        self.put_row(table, id, value, Some(day));
    }

    fn put_row(&mut self, table: Table, id: &[u8], value: &[u8], day: Option<u32>) {
        debug_assert!(table.kind() != Kind::Numbered, "{table:?} is numbered");
        let record_key = self.store.keys.record_key(table, id);
        let row = Row { value: Zeroizing::new(value.to_vec()), day };
        self.staged.keyed.insert((table, record_key), Some(row));
    }

    /// Stages the end of the row under `id`.
    pub fn delete(&mut self, table: Table, id: &[u8]) {
        debug_assert!(table.kind() != Kind::Numbered, "{table:?} is numbered");
        let record_key = self.store.keys.record_key(table, id);
        self.staged.keyed.insert((table, record_key), None);
    }

    /// Stages the end of up to `limit` committed rows whose day lies before
    /// `before_day`, and says how many they are: fewer than `limit` are all.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn expire(&mut self, table: Table, before_day: u32, limit: usize) -> Result<usize, StoreError> {
        let range = expiry_range(table, before_day);
        let keys = self.read(|txn| {
            let expiry = txn.open_table(EXPIRY)?;
            let mut keys = Vec::new();
            for row in expiry.range::<&[u8; 21]>(&range.start..&range.end)?.take(limit) {
                let (key, ()) = (row?.0, ());
                keys.extend(key.value().last_chunk::<16>().copied());
            }
            Ok(keys)
        })?;
        for key in &keys {
            self.staged.keyed.entry((table, *key)).or_insert(None);
        }
        Ok(keys.len())
    }

    /// The value at `number` of a numbered table, staged changes included.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row was changed or moved, or those of the disk.
    pub fn get_at(&self, table: Table, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(staged) = self.staged.numbered.get(&(table, number)) {
            return Ok(staged.as_ref().map(|value| value.to_vec()));
        }
        self.read(|txn| {
            let rows = txn.open_table(table.numbered())?;
            let Some(row) = rows.get(number)? else { return Ok(None) };
            self.store.keys.open(table, &number.to_be_bytes(), row.value())
        })
    }

    /// Stages a value at `number` of a numbered table.
    pub fn put_at(&mut self, table: Table, number: u64, value: &[u8]) {
        debug_assert!(table.kind() == Kind::Numbered, "{table:?} is not numbered");
        self.staged.numbered.insert((table, number), Some(Zeroizing::new(value.to_vec())));
    }

    /// Stages the end of the row at `number`.
    pub fn delete_at(&mut self, table: Table, number: u64) {
        debug_assert!(table.kind() == Kind::Numbered, "{table:?} is not numbered");
        self.staged.numbered.insert((table, number), None);
    }

    /// Stages a message at the end of the history and returns its arrival
    /// number. The caller has looked ([`Self::find`]) whether it is there already.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    pub fn append(&mut self, entry: NewEntry<'_>) -> Result<u64, StoreError> {
        check_body(entry.body)?;
        let arrival = self.store.next_arrival.fetch_add(1, Ordering::Relaxed);
        self.staged.ids.insert((entry.author, entry.message_id), arrival);
        self.staged.entries.insert(arrival, Change::New(Stored::new(arrival, &entry)));
        Ok(arrival)
    }

    /// The message that `author` named `message_id`, staged changes included.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its row was changed or moved, or those of the disk.
    pub fn find(&self, author: &[u8; 32], message_id: &[u8; 16]) -> Result<Option<Entry>, StoreError> {
        let arrival = match self.staged.ids.get(&(*author, *message_id)) {
            Some(arrival) => Some(*arrival),
            None => self.read(|txn| history::arrival_of(txn, &self.store.keys, author, message_id))?,
        };
        arrival.map_or(Ok(None), |arrival| self.entry(arrival))
    }

    /// The message with this arrival number, staged changes included.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its row was changed or moved, or those of the disk.
    pub fn entry(&self, arrival: u64) -> Result<Option<Entry>, StoreError> {
        Ok(self.stored(arrival)?.map(|stored| stored.entry))
    }

    fn stored(&self, arrival: u64) -> Result<Option<Stored>, StoreError> {
        match self.staged.entries.get(&arrival) {
            Some(change) => Ok(change.present().cloned()),
            None => self.read(|txn| history::stored(txn, &self.store.keys, arrival)),
        }
    }

    /// Stages another body and text for a message; its place stays.
    ///
    /// # Errors
    /// [`StoreError::NoMessage`], [`StoreError::TooLarge`], or those of the disk.
    pub fn update(&mut self, arrival: u64, body: &[u8], text: Option<&str>) -> Result<(), StoreError> {
        check_body(body)?;
        if let Some(Change::New(stored) | Change::Changed(stored)) = self.staged.entries.get_mut(&arrival) {
            stored.change(body, text);
            return Ok(());
        }
        let mut stored = self.stored(arrival)?.ok_or(StoreError::NoMessage)?;
        stored.change(body, text);
        self.staged.entries.insert(arrival, Change::Changed(stored));
        Ok(())
    }

    /// Stages the end of a message. One that is not there is left in peace.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn remove(&mut self, arrival: u64) -> Result<(), StoreError> {
        match self.staged.entries.remove(&arrival) {
            Some(Change::New(stored)) => {
                self.staged.ids.remove(&(stored.entry.author, stored.entry.message_id));
            }
            Some(Change::Changed(stored) | Change::Removed(stored)) => {
                self.staged.entries.insert(arrival, Change::Removed(stored));
            }
            None => {
                if let Some(stored) = self.stored(arrival)? {
                    self.staged.entries.insert(arrival, Change::Removed(stored));
                }
            }
        }
        Ok(())
    }

    /// Stages that the engine dealt with a rollback ([`super::Vault::rolled_back`]).
    pub fn rollback_handled(&mut self) {
        self.staged.rollback_handled = true;
    }
}

const fn check_body(body: &[u8]) -> Result<(), StoreError> {
    // Leaves room for the fields before it.
    if body.len() > VALUE_MAX_BYTES / 2 { Err(StoreError::TooLarge { bytes: body.len() }) } else { Ok(()) }
}
