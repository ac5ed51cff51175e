//! The sealed vault on redb: records, the history of messages and its search
//! index, all encrypted under keys that the password opens. Floor 2.
//!
//! One folder for each account: `account.json` (name and id), `vault.key` (the
//! wrapped master key), `slots.key` (the daily key of ratchet rows, and how new
//! the database is), `state.redb`, `lock`.
//!
//! In the clear on the disk are: how many rows each (nameless) table has and
//! how long they are in steps, and for messages their order, time and which of
//! them share a conversation. Names, ids, texts and keys are not.
//!
//! The files from below: [`error`](StoreError), `disk`, `memory`, [`fault`] · `table`,
//! `state`, `entry`, `keys`, `account` · `batch`, `database`, `keyfile` ·
//! `transaction`, `history` · `index`, `search` · `indexer` · `vault`. `words` and
//! `postings` know no database.

mod account;
mod backup;
mod batch;
mod copy;
mod database;
mod disk;
mod entry;
mod error;
pub mod fault;
mod history;
mod index;
mod indexer;
mod keyfile;
mod keys;
mod memory;
mod moves;
mod postings;
mod search;
mod state;
mod table;
mod transaction;
mod vault;
mod words;

pub use account::{AccountFile, list_accounts};
pub use backup::{BACKUP_CHUNK_BYTES, restore};
pub use disk::{Disk, DiskLock, FileDisk};
pub use entry::{Entry, NewEntry};
pub use error::StoreError;
pub use history::{HistoryReader, PAGE_MAX_MESSAGES, Page};
pub use moves::{finish_moves, read_attempts, rekey, wipe, write_attempts};
pub use search::{QUERY_MAX_BYTES, SEARCH_MAX_MESSAGES};
pub use table::Table;
pub use transaction::Txn;
pub use vault::{StoreOptions, Vault};

#[cfg(test)]
mod tests;
