//! The vault at rest: how a password opens a master key, and how records are
//! sealed under it. The store in `node` keeps the bytes; what they mean is
//! decided here. Floor 3.
//!
//! `password → Argon2id → wrapping key → master key → one key for each table`.
//! Rows that hold ratchet states are sealed under a key that is replaced daily
//! ([`KeySlots`]), so that old ciphertext in free pages of the database can't be
//! opened any more once the old key is erased.

mod header;
mod keys;
mod row;
mod slots;

pub use header::{Argon2Params, CreateError, HeaderError, UnlockError, VaultHeader};
pub use keys::{MasterKey, TableKey};
pub use row::{ROW_OVERHEAD_BYTES, RowError};
pub use slots::{KEY_FILE_BYTES, KeySlots, RotatingTableKey, SlotWrite, SlotsError};
