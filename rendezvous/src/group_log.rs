//! Logs of groups for members who are away: append, read, expire. Floor 2, over [`crate::rows`].
//!
//! A log belongs to whoever has its write key; who that is, or to which group, the node does not
//! know. Entries are deleted by expiry only: no reader can take them from another. An entry's id is
//! remembered as long as the entry, so that a double vanishes.

use std::ops::ControlFlow;

use secure_chat_protocol::id::{EnvelopeId, LogId};
use secure_chat_protocol::limits::{LOG_EXPIRES_MS, LOG_MAX_BYTES, LOG_MAX_ENTRIES};
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{LOG_ENTRIES_MAX, LogEntry, Refusal, Response};
use serde::{Deserialize, Serialize};

use crate::limits::{HOUR_MS, LOG_POSITIONS_PER_HOUR, LOGS_STORED_MAX_BYTES};
use crate::rows::{
    Expiring, Read, ServiceTotals, StoreError, Table, Totals, Write, get_row, key, number_at_end, put_row,
};

/// Bytes before the sealed entry in its row: the entry's id.
const ID_BYTES: usize = 16;
/// What the encoding adds to an entry at most: position and length.
const FRAMING_BYTES: usize = 16;

/// What logs may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Entries in one log.
    pub entries: u64,
    /// Bytes in one log.
    pub bytes: u64,
    /// Hours until an entry is deleted.
    pub expires_hours: u64,
    /// Bytes in all logs of the node.
    pub node_bytes: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            entries: LOG_MAX_ENTRIES,
            bytes: LOG_MAX_BYTES,
            expires_hours: LOG_EXPIRES_MS / HOUR_MS,
            node_bytes: LOGS_STORED_MAX_BYTES,
        }
    }
}

/// The row of one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// The hash of what must be shown to read.
    pub read_hash: [u8; 32],
    /// Position of the last entry.
    pub last: u64,
    /// Entries.
    pub count: u64,
    /// Their size, in bytes.
    pub bytes: u64,
}

/// An entry to be appended; the door has checked its signature.
#[derive(Debug, Clone)]
pub struct Append {
    /// Which log.
    pub log: LogId,
    /// The hash of what must be shown to read.
    pub read_hash: [u8; 32],
    /// The sender's name for it.
    pub id: EnvelopeId,
    /// What it holds.
    pub sealed: Vec<u8>,
    /// Whether a stamp was shown that pays for a new log.
    pub paid: bool,
    /// What a new log costs now, for the refusal.
    pub work_bits: u8,
}

/// A question for entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLog {
    /// Which log.
    pub log: LogId,
    /// The hash of what was shown.
    pub read_hash: [u8; 32],
    /// Behind this position.
    pub after: u64,
    /// At most so much, but at least one entry when there is one.
    pub max_bytes: usize,
}

/// What came of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is there now.
    Stored {
        /// Where it stands.
        position: u64,
        /// It is the first of a new log.
        new: bool,
    },
    /// It was there before.
    Double {
        /// Where it stands.
        position: u64,
    },
    /// It was not taken.
    Refused(Refusal),
}

fn position_key(log: &LogId, position: u64) -> Vec<u8> {
    key(&[log.as_bytes(), &position.to_be_bytes()])
}

fn load(rows: &dyn Read, log: &LogId) -> Result<Option<LogRow>, StoreError> {
    get_row(rows, Table::Logs, log.as_bytes())
}

/// Appends an entry, and makes the log when it is not there.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn append(
    rows: &mut dyn Write,
    limits: &LogLimits,
    now_hour: u64,
    append: &Append,
) -> Result<Appended, StoreError> {
    let Append { log, read_hash, id, sealed, paid, work_bits } = append;
    let found = load(rows, log)?;
    let new = found.is_none();
    // Positions of a log that is made anew lie behind all it ever had: a log is forgotten only
    // after its entries have expired, hours later.
    let first = now_hour.saturating_mul(LOG_POSITIONS_PER_HOUR);
    let mut row = found.unwrap_or(LogRow { read_hash: *read_hash, last: first, count: 0, bytes: 0 });
    let seen = key(&[log.as_bytes(), id.as_bytes()]);
    if let Some(position) = rows.get(Table::LogSeen, &seen)?.as_deref().and_then(number_at_end) {
        return Ok(Appended::Double { position });
    }
    if row.read_hash != *read_hash {
        return Ok(Appended::Refused(Refusal::Invalid));
    }
    let bytes = sealed.len() as u64;
    let mut services = ServiceTotals::load(rows)?;
    let full = row.count >= limits.entries
        || row.bytes.saturating_add(bytes) > limits.bytes
        || services.log_bytes.saturating_add(bytes) > limits.node_bytes;
    if full {
        return Ok(Appended::Refused(Refusal::Full));
    }
    if new && !paid {
        return Ok(Appended::Refused(Refusal::WorkNeeded { bits: *work_bits }));
    }
    row.last = row.last.saturating_add(1);
    row.count = row.count.saturating_add(1);
    row.bytes = row.bytes.saturating_add(bytes);
    services.logs = services.logs.saturating_add(u64::from(new));
    services.log_entries = services.log_entries.saturating_add(1);
    services.log_bytes = services.log_bytes.saturating_add(bytes);
    rows.put(Table::LogEntries, &position_key(log, row.last), &key(&[id.as_bytes(), sealed]))?;
    rows.put(Table::LogSeen, &seen, &row.last.to_be_bytes())?;
    put_row(rows, Table::Logs, log.as_bytes(), &row)?;
    services.save(rows)?;
    let mut totals = Totals::load(rows)?;
    let expiring = Expiring::LogEntry { log: *log, position: row.last, id: *id };
    totals.expire(rows, now_hour.saturating_add(limits.expires_hours), &expiring)?;
    totals.save(rows)?;
    Ok(Appended::Stored { position: row.last, new })
}

/// Reads entries. A wrong token is told as if there were no log.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn read(rows: &dyn Read, asked: &ReadLog) -> Result<Response, StoreError> {
    if load(rows, &asked.log)?.is_none_or(|row| row.read_hash != asked.read_hash) {
        return Ok(Response::Refused(Refusal::NotFound));
    }
    let mut entries: Vec<LogEntry> = Vec::new();
    let (mut bytes, mut more, mut damaged) = (0_usize, false, false);
    let (first, last) = (position_key(&asked.log, asked.after.saturating_add(1)), position_key(&asked.log, u64::MAX));
    rows.range(Table::LogEntries, &first, &last, &mut |key, value| {
        let Some((id, sealed)) = value.split_first_chunk::<ID_BYTES>() else {
            damaged = true;
            return ControlFlow::Break(());
        };
        bytes = bytes.saturating_add(value.len()).saturating_add(FRAMING_BYTES);
        if (bytes > asked.max_bytes && !entries.is_empty()) || entries.len() >= LOG_ENTRIES_MAX {
            more = true;
            return ControlFlow::Break(());
        }
        let position = number_at_end(key).unwrap_or_default();
        entries.push(LogEntry { position, id: EnvelopeId(*id), sealed: Bytes(sealed.to_vec()) });
        ControlFlow::Continue(())
    })?;
    if damaged {
        return Err(StoreError::Damaged("an entry of a log without an id".to_owned()));
    }
    Ok(Response::Log { entries, more })
}

/// Deletes an entry whose time has come, and with the last one the log. Answers whether it was there.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn expire(
    rows: &mut dyn Write,
    services: &mut ServiceTotals,
    log: &LogId,
    position: u64,
    id: &EnvelopeId,
) -> Result<bool, StoreError> {
    rows.delete(Table::LogSeen, &key(&[log.as_bytes(), id.as_bytes()]))?;
    let entry = position_key(log, position);
    let Some(value) = rows.get(Table::LogEntries, &entry)? else { return Ok(false) };
    rows.delete(Table::LogEntries, &entry)?;
    let bytes = value.len().saturating_sub(ID_BYTES) as u64;
    services.log_entries = services.log_entries.saturating_sub(1);
    services.log_bytes = services.log_bytes.saturating_sub(bytes);
    let Some(mut row) = load(rows, log)? else { return Ok(true) };
    row.count = row.count.saturating_sub(1);
    row.bytes = row.bytes.saturating_sub(bytes);
    if row.count == 0 {
        rows.delete(Table::Logs, log.as_bytes())?;
        services.logs = services.logs.saturating_sub(1);
    } else {
        put_row(rows, Table::Logs, log.as_bytes(), &row)?;
    }
    Ok(true)
}

#[cfg(test)]
#[path = "group_log_tests.rs"]
mod tests;
