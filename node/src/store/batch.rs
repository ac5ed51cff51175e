//! What a transaction comes to: sealed rows, written to the database at once.

use std::collections::BTreeMap;

use redb::{ReadableTable, WriteTransaction};
use zeroize::Zeroizing;

use super::copy::Row as CopiedRow;
use super::entry::{ENTRY_SCHEMA, Entry, Stored};
use super::error::StoreError;
use super::keys::Keys;
use super::table::{BODIES, BY_ID, COUNTS, DIRTY, EXPIRY, INDEX, Kind, STATE, TIMELINE, Table};
use super::transaction::{Change, Staged};

/// Longest value of a row, in bytes.
pub(super) const VALUE_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Sealed rows.
#[derive(Default)]
pub(super) struct Batch {
    keyed: Vec<KeyedRow>,
    numbered: Vec<(Table, u64, Option<Vec<u8>>)>,
    bodies: Vec<(u64, Option<Vec<u8>>)>,
    appeared: Vec<Place>,
    disappeared: Vec<Place>,
    dirty: Vec<u64>,
}

struct KeyedRow {
    table: Table,
    record_key: [u8; 16],
    day: Option<u32>,
    row: Option<Vec<u8>>,
}

/// Where a message is found.
struct Place {
    arrival: u64,
    timeline: [u8; 32],
    by_id: [u8; 16],
    conversation: [u8; 16],
}

impl Place {
    fn of(keys: &Keys, stored: &Stored, conversation: [u8; 16]) -> Self {
        let Entry { arrival, at, author, message_id, .. } = &stored.entry;
        let timeline = timeline_key(&conversation, *at, *arrival);
        Self { arrival: *arrival, timeline, by_id: keys.message_key(author, message_id), conversation }
    }
}

/// `conversation 16 ‖ hybrid time 8 ‖ arrival 8`, big-endian, so that rows stand in order.
pub(super) fn timeline_key(conversation: &[u8; 16], at: u64, arrival: u64) -> [u8; 32] {
    let mut key = [0; 32];
    let (left, right) = key.split_at_mut(16);
    left.copy_from_slice(conversation);
    let (time, number) = right.split_at_mut(8);
    time.copy_from_slice(&at.to_be_bytes());
    number.copy_from_slice(&arrival.to_be_bytes());
    key
}

fn expiry_key(table: Table, day: u32, record_key: &[u8; 16]) -> [u8; 21] {
    let mut key = [0; 21];
    let bytes = [table as u8].into_iter().chain(day.to_be_bytes()).chain(*record_key);
    key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    key
}

/// The rows of [`EXPIRY`] of a table before a day.
pub(super) fn expiry_range(table: Table, before_day: u32) -> std::ops::Range<[u8; 21]> {
    expiry_key(table, 0, &[0; 16])..expiry_key(table, before_day, &[0; 16])
}

/// Makes every table, so that a reader never meets one that is missing.
pub(super) fn create_tables(txn: &WriteTransaction) -> Result<(), StoreError> {
    for table in Table::ALL {
        if table.kind() == Kind::Numbered {
            txn.open_table(table.numbered())?;
        } else {
            txn.open_table(table.keyed())?;
        }
    }
    for table in [STATE, BODIES, INDEX] {
        txn.open_table(table)?;
    }
    txn.open_table(TIMELINE)?;
    txn.open_table(BY_ID)?;
    txn.open_table(COUNTS)?;
    txn.open_table(DIRTY)?;
    txn.open_table(EXPIRY)?;
    Ok(())
}

impl Batch {
    /// Seals what a transaction changes. Messages below `indexed_upto` that the index does not know become dirty.
    pub(super) fn seal(keys: &Keys, staged: &Staged, indexed_upto: u64) -> Result<Self, StoreError> {
        let mut batch = Self::default();
        for ((table, record_key), row) in &staged.keyed {
            let sealed =
                row.as_ref().map(|row| bounded(&row.value, |value| keys.seal(*table, record_key, row.day, value)));
            let day = row.as_ref().and_then(|row| row.day);
            batch.keyed.push(KeyedRow { table: *table, record_key: *record_key, day, row: sealed.transpose()? });
        }
        for ((table, number), value) in &staged.numbered {
            let seal = |value: &[u8]| keys.seal(*table, &number.to_be_bytes(), None, value);
            let sealed = value.as_ref().map(|value| bounded(value, seal));
            batch.numbered.push((*table, *number, sealed.transpose()?));
        }
        let mut conversations = BTreeMap::new();
        for (arrival, change) in &staged.entries {
            let stored = change.stored();
            let conversation = stored.entry.conversation;
            let conversation =
                *conversations.entry(conversation).or_insert_with(|| keys.conversations.index(&conversation));
            let place = Place::of(keys, stored, conversation);
            match change {
                Change::Removed(_) => {
                    batch.bodies.push((*arrival, None));
                    batch.disappeared.push(place);
                    continue;
                }
                Change::New(_) => batch.appeared.push(place),
                Change::Changed(_) => {}
            }
            batch.bodies.push((*arrival, Some(seal_entry(keys, stored)?)));
            if *arrival < indexed_upto {
                batch.dirty.push(*arrival);
            }
        }
        // In the order of their keys, so that a leaf of the tree is touched once.
        batch.appeared.sort_unstable_by_key(|place| place.by_id);
        Ok(batch)
    }

    /// Seals rows of another vault.
    pub(super) fn copied(keys: &Keys, rows: &[CopiedRow]) -> Result<Self, StoreError> {
        let mut batch = Self::default();
        for row in rows {
            match row {
                CopiedRow::Keyed { table, record_key, day, value } => {
                    let sealed = bounded(value, |value| keys.seal(*table, record_key, *day, value))?;
                    batch.keyed.push(KeyedRow { table: *table, record_key: *record_key, day: *day, row: Some(sealed) });
                }
                CopiedRow::Numbered { table, number, value } => {
                    let sealed = bounded(value, |value| keys.seal(*table, &number.to_be_bytes(), None, value))?;
                    batch.numbered.push((*table, *number, Some(sealed)));
                }
                CopiedRow::Message(stored) => {
                    batch.bodies.push((stored.entry.arrival, Some(seal_entry(keys, stored)?)));
                    batch.appeared.push(Place::of(keys, stored, keys.conversations.index(&stored.entry.conversation)));
                }
                CopiedRow::Head(_) | CopiedRow::End => {}
            }
        }
        Ok(batch)
    }

    /// Writes the rows.
    pub(super) fn apply(&self, txn: &WriteTransaction) -> Result<(), StoreError> {
        for rows in self.keyed.chunk_by(|a, b| a.table == b.table) {
            apply_keyed(txn, rows)?;
        }
        for rows in self.numbered.chunk_by(|a, b| a.0 == b.0) {
            let Some((table, ..)) = rows.first() else { continue };
            let mut table = txn.open_table(table.numbered())?;
            for (_, number, row) in rows {
                match row {
                    Some(row) => drop(table.insert(number, row.as_slice())?),
                    None => drop(table.remove(number)?),
                }
            }
        }
        self.apply_history(txn)
    }

    fn apply_history(&self, txn: &WriteTransaction) -> Result<(), StoreError> {
        if self.bodies.is_empty() {
            return Ok(());
        }
        let mut bodies = txn.open_table(BODIES)?;
        for (arrival, row) in &self.bodies {
            match row {
                Some(row) => drop(bodies.insert(arrival, row.as_slice())?),
                None => drop(bodies.remove(arrival)?),
            }
        }
        let mut by_id = txn.open_table(BY_ID)?;
        let mut timeline = txn.open_table(TIMELINE)?;
        let mut balance: BTreeMap<[u8; 16], i64> = BTreeMap::new();
        for place in &self.appeared {
            by_id.insert(&place.by_id, place.arrival)?;
            timeline.insert(&place.timeline, ())?;
            *balance.entry(place.conversation).or_default() += 1;
        }
        for place in &self.disappeared {
            // The id may name a later message of the same author by now: that one stays.
            if by_id.get(&place.by_id)?.is_some_and(|arrival| arrival.value() == place.arrival) {
                by_id.remove(&place.by_id)?;
            }
            timeline.remove(&place.timeline)?;
            *balance.entry(place.conversation).or_default() -= 1;
        }
        let mut counts = txn.open_table(COUNTS)?;
        for (conversation, change) in balance {
            let before = counts.get(&conversation)?.map_or(0, |count| count.value());
            match before.saturating_add_signed(change) {
                0 => drop(counts.remove(&conversation)?),
                after => drop(counts.insert(&conversation, after)?),
            }
        }
        let mut dirty = txn.open_table(DIRTY)?;
        for arrival in &self.dirty {
            dirty.insert(arrival, ())?;
        }
        Ok(())
    }
}

fn apply_keyed(txn: &WriteTransaction, rows: &[KeyedRow]) -> Result<(), StoreError> {
    let Some(KeyedRow { table, .. }) = rows.first() else { return Ok(()) };
    let mut expiry = if table.kind() == Kind::Expiring { Some(txn.open_table(EXPIRY)?) } else { None };
    let mut open = txn.open_table(table.keyed())?;
    for KeyedRow { record_key, day, row, .. } in rows {
        let before = match row {
            Some(row) => open.insert(record_key, row.as_slice())?,
            None => open.remove(record_key)?,
        };
        let Some(expiry) = &mut expiry else { continue };
        if let Some(day) = before.and_then(|row| Keys::day(row.value())) {
            expiry.remove(&expiry_key(*table, day, record_key))?;
        }
        if let Some(day) = day {
            expiry.insert(&expiry_key(*table, *day, record_key), ())?;
        }
    }
    Ok(())
}

/// Seals every ratchet row anew that is not under the current daily key. A row
/// that does not open is left: it opens no better later, and harms nobody.
pub(super) fn reseal_ratchets(txn: &WriteTransaction, keys: &Keys) -> Result<(), StoreError> {
    for table in Table::RATCHETS {
        let mut open = txn.open_table(table.keyed())?;
        let mut outdated = Vec::new();
        for row in open.iter()? {
            let (key, row) = row?;
            if keys.is_outdated(table, row.value()) {
                outdated.push((*key.value(), keys.open(table, key.value(), row.value())));
            }
        }
        for (key, plain) in outdated {
            if let Ok(Some(plain)) = plain.map(|plain| plain.map(Zeroizing::new)) {
                open.insert(&key, keys.seal(table, &key, None, &plain).as_slice())?;
            }
        }
    }
    Ok(())
}

/// Deletes the ratchet rows that open no more, since their daily key is gone for good.
pub(super) fn drop_lost_ratchets(txn: &WriteTransaction, keys: &Keys) -> Result<(), StoreError> {
    for table in Table::RATCHETS {
        txn.open_table(table.keyed())?.retain(|key, row| matches!(keys.open(table, key, row), Ok(Some(_))))?;
    }
    Ok(())
}

fn bounded(value: &[u8], seal: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<Vec<u8>, StoreError> {
    if value.len() > VALUE_MAX_BYTES {
        return Err(StoreError::TooLarge { bytes: value.len() });
    }
    Ok(seal(value))
}

fn seal_entry(keys: &Keys, stored: &Stored) -> Result<Vec<u8>, StoreError> {
    let record_key = stored.entry.arrival.to_be_bytes();
    bounded(&stored.encode(), |plain| keys.bodies.seal(&record_key, ENTRY_SCHEMA, plain, &mut rand::rng()))
}
