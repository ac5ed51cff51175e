//! Rows of the node's state: what a storage engine offers to the rules above it. Floor 1.
//!
//! A change touches the rows of one mailbox or of one account, plus counters of the
//! node, so that every rule is expressible on an engine that knows compare-and-set
//! of a single key, append, range reads and expiry.

use std::ops::ControlFlow;

use secure_chat_protocol::id::{AccountId, BlobId, EnvelopeId, GroupId, LogId, MailboxId, PreKeyId};
use secure_chat_protocol::limits::ENVELOPE_MAX_BYTES;
use secure_chat_protocol::wire::codec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longest encoded row that is not an envelope, in bytes.
const ROW_MAX_BYTES: usize = 64 * 1024;

/// The tables, and how their keys are made. Numbers are big-endian, so that keys sort as numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// folded name → account 32
    Names,
    /// account 32 → [`crate::registry::RecordRow`]
    Records,
    /// account 32 → [`crate::prekeys::PreKeyRow`]
    PreKeys,
    /// account 32, number 8 → kit id 16, encoded one-time kit
    Kits,
    /// account 32, kit id 16 → nothing: kits that are or were here, so that none comes twice
    KitIds,
    /// mailbox 32 → [`crate::mailbox::MailboxRow`]
    Mailboxes,
    /// mailbox 32, position 8 → envelope id 16, sealed envelope
    Envelopes,
    /// mailbox 32, envelope id 16 → position 8: doubles vanish here
    Seen,
    /// hour 8, number 8 → [`Expiring`]. The number ascends, so that rows are appended.
    Expiry,
    /// mailbox 32, token hash 32 → nothing
    Tokens,
    /// what the node keeps for itself, by name
    Node,
    /// group 32 → an entry of the directory
    Listings,
    /// what a name looks like → the group that has it
    ListingNames,
    /// account 32, group 32 → nothing: who listed what
    ListingOwners,
    /// log 32 → [`crate::group_log::LogRow`]
    Logs,
    /// log 32, position 8 → entry id 16, sealed entry
    LogEntries,
    /// log 32, entry id 16 → position 8: doubles vanish here
    LogSeen,
    /// blob 32 → [`crate::blobs::BlobRow`]
    Blobs,
    /// kind 1, account or mailbox 32 → what it is charged with
    BlobPayers,
    /// blob 32, receipt 16 → nothing: downloads that were counted
    BlobReceipts,
}

/// What expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiring {
    /// An envelope, and the memory that it was here.
    Envelope {
        /// Whose.
        mailbox: MailboxId,
        /// Its position.
        position: u64,
        /// The sender's name for it.
        id: EnvelopeId,
    },
    /// A mailbox, if nobody opened it since.
    Mailbox(MailboxId),
    /// The memory that a kit was here.
    Kit {
        /// Whose.
        account: AccountId,
        /// Its name.
        id: PreKeyId,
    },
    /// An entry of the directory, if it was not renewed since.
    Listing {
        /// Which group.
        group: GroupId,
        /// The entry's number.
        seq: u64,
    },
    /// An entry of a group's log.
    LogEntry {
        /// Which log.
        log: LogId,
        /// Its position.
        position: u64,
        /// The sender's name for it.
        id: EnvelopeId,
    },
    /// A blob.
    Blob(BlobId),
    /// A blob that was not whole, if nothing came of it since.
    GrowingBlob {
        /// Which.
        blob: BlobId,
        /// When it expires, so that one that was made anew is told apart.
        expires_hour: u64,
        /// Until when it must be whole.
        whole_by_hour: u64,
        /// Chunks of it that were there.
        present: u32,
    },
}

/// Why the storage did not do what was asked. Always the environment's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full: nothing was changed. Free some space and start the node again.
    #[error("the disk is full; free some space and start the node again")]
    DiskFull,
    /// Another process has the database.
    #[error("the database is in use by another process")]
    InUse,
    /// The database was made by a newer version of this program.
    #[error("the database has format {found}, this program knows {known}: use a newer version")]
    UnsupportedVersion {
        /// Its format.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// The database or a row of it is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Io(String),
    /// The storage was closed.
    #[error("the storage is closed")]
    Closed,
}

/// Reads rows.
pub trait Read {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the rows from `first` to `last`, both included, in ascending order,
    /// until `visit` breaks off.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    fn range(&self, table: Table, first: &[u8], last: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// What [`Read::range`] calls with each key and value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Reads and changes rows, all of one change or none.
pub trait Write: Read {
    /// Sets a row.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// Removes a row; answers whether it was there.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError>;
}

/// Reads a row of a known type.
///
/// # Errors
/// [`StoreError`] when the storage fails or the row does not decode.
pub fn get_row<T: DeserializeOwned>(rows: &dyn Read, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
    rows.get(table, key)?.map(|bytes| decode_row(table, &bytes)).transpose()
}

/// Decodes a row.
///
/// # Errors
/// [`StoreError::Damaged`] when it does not decode.
pub fn decode_row<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, StoreError> {
    codec::decode_own(bytes, ROW_MAX_BYTES).map_err(|e| StoreError::Damaged(format!("a row of {table:?}: {e}")))
}

/// Sets a row of a known type.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn put_row<T: Serialize>(rows: &mut dyn Write, table: Table, key: &[u8], row: &T) -> Result<(), StoreError> {
    let bytes = codec::encode(row, ROW_MAX_BYTES).map_err(|e| StoreError::Io(format!("a row of {table:?}: {e}")))?;
    rows.put(table, key, &bytes)
}

/// A key made of parts.
#[must_use]
pub fn key(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// The big-endian number at the end of a key.
#[must_use]
pub fn number_at_end(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// What the whole node holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Registered accounts.
    pub accounts: u64,
    /// Mailboxes.
    pub mailboxes: u64,
    /// Envelopes that wait.
    pub envelopes: u64,
    /// Their size, in bytes.
    pub envelope_bytes: u64,
    /// Unspent delivery tokens.
    pub tokens: u64,
    /// One-time kits.
    pub kits: u64,
    /// How many rows [`Table::Expiry`] ever had.
    pub expiries: u64,
}

/// What the whole node holds of groups' entries, logs and blobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTotals {
    /// Groups in the directory.
    pub listings: u64,
    /// Logs of groups.
    pub logs: u64,
    /// Entries in them.
    pub log_entries: u64,
    /// Their size, in bytes.
    pub log_bytes: u64,
    /// Blobs.
    pub blobs: u64,
    /// The room that was made for them, in bytes.
    pub blob_bytes: u64,
}

impl ServiceTotals {
    /// Reads them.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    pub fn load(rows: &dyn Read) -> Result<Self, StoreError> {
        Ok(get_row(rows, Table::Node, SERVICE_TOTALS_KEY)?.unwrap_or_default())
    }

    /// Writes them.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    pub fn save(&self, rows: &mut dyn Write) -> Result<(), StoreError> {
        put_row(rows, Table::Node, SERVICE_TOTALS_KEY, self)
    }
}

const SERVICE_TOTALS_KEY: &[u8] = b"service_totals";
const TOTALS_KEY: &[u8] = b"totals";
const LIVED_KEY: &[u8] = b"lived_ms";

impl Totals {
    /// Reads them.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    pub fn load(rows: &dyn Read) -> Result<Self, StoreError> {
        Ok(get_row(rows, Table::Node, TOTALS_KEY)?.unwrap_or_default())
    }

    /// Notes what expires in an hour of the node's life. The totals are to be saved afterwards.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    pub fn expire(&mut self, rows: &mut dyn Write, hour: u64, what: &Expiring) -> Result<(), StoreError> {
        let key = key(&[&hour.to_be_bytes(), &self.expiries.to_be_bytes()]);
        self.expiries = self.expiries.saturating_add(1);
        put_row(rows, Table::Expiry, &key, what)
    }

    /// Writes them.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    pub fn save(&self, rows: &mut dyn Write) -> Result<(), StoreError> {
        put_row(rows, Table::Node, TOTALS_KEY, self)
    }
}

/// How long this node has run in all its lives, in milliseconds, as last noted.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn lived_ms(rows: &dyn Read) -> Result<u64, StoreError> {
    Ok(get_row(rows, Table::Node, LIVED_KEY)?.unwrap_or_default())
}

/// Notes how long this node has run; never goes back.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn note_lived_ms(rows: &mut dyn Write, now_ms: u64) -> Result<(), StoreError> {
    let noted = lived_ms(rows)?;
    put_row(rows, Table::Node, LIVED_KEY, &now_ms.max(noted))
}

const _: () = assert!(ROW_MAX_BYTES >= ENVELOPE_MAX_BYTES);
