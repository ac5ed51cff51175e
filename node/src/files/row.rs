//! A file as the vault keeps it.

use std::collections::BTreeSet;

use secure_chat_protocol::blob::BlobKeys;
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::file::{Geometry, Leaves};
use secure_chat_protocol::id::{AccountId, FileId, GroupId, MessageId, Timestamp};
use secure_chat_protocol::wire::codec::{self, Bytes, DecodeError, EncodeError, Fixed};
use secure_chat_protocol::wire::transfer::{Manifest, StoredAt};
use serde::{Deserialize, Serialize};

use super::source::Stamp;
use crate::api::FileState;
use crate::store::{Table, Txn};

/// Longest row, in bytes: the hashes of the longest file, and some room.
const ROW_MAX_BYTES: usize = 3 * 1024 * 1024;

/// A shared or offered file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FileRow {
    /// What it is. Its leaves are in a row of their own.
    pub(crate) manifest: Manifest,
    /// Shared by this account.
    pub(crate) mine: bool,
    /// The other side: the recipient of an own file, else who shared it. Of an own file in a group: who pays for
    /// its room at rendezvous nodes, this account or a member.
    pub(crate) peer: AccountId,
    /// Shared in this group.
    pub(crate) group: Option<GroupId>,
    /// The message in the conversation that shares it.
    pub(crate) message: MessageId,
    /// When it was shared, or came.
    pub(crate) at: Timestamp,
    /// How it stands.
    pub(crate) state: FileState,
    /// Why, where there is something to say.
    pub(crate) reason: Option<String>,
    /// What the person should know before they open it.
    pub(crate) warning: Option<String>,
    /// An own file: where it is. Else: where it goes, or where it went.
    pub(crate) path: Option<String>,
    /// Of an own file, when it was shared.
    pub(crate) stamp: Option<Stamp>,
    /// Who has it whole.
    pub(crate) downloaded_by: BTreeSet<AccountId>,
    /// Where it waits for the recipient.
    pub(crate) places: Vec<StoredAt>,
    /// Of an own file: what is left at rendezvous nodes for its recipient.
    pub(crate) uploads: Vec<Upload>,
}

/// An own file at a rendezvous node, or on its way there.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Upload {
    /// The node's address.
    pub(crate) home: String,
    /// What the blob's capabilities come from.
    pub(crate) seed: Fixed<32>,
    /// Spent for its room, from the recipient's delivery tokens; without one, the own account pays.
    pub(crate) token: Option<Fixed<32>>,
    /// All of it is there.
    pub(crate) done: bool,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upload(done: {})", self.done)
    }
}

impl Upload {
    /// The capabilities of the blob.
    pub(crate) fn keys(&self) -> BlobKeys {
        BlobKeys::from_seed(Secret::from_bytes(self.seed.0))
    }

    /// For the recipient.
    pub(crate) fn place(&self) -> StoredAt {
        let keys = self.keys();
        StoredAt { home: self.home.clone(), blob: keys.blob_id(), read_token: keys.read_token() }
    }
}

#[derive(Serialize, Deserialize)]
enum Stored {
    File(Box<FileRow>),
    Leaves(Bytes),
    Doomed(Box<DoomedRow>),
    Discarded(Box<DiscardedRow>),
}

/// What waits at rendezvous nodes of a file that is gone, and is to go too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DoomedRow {
    /// The file that it was.
    pub(crate) file: FileId,
    /// Where it waits.
    pub(crate) uploads: Vec<Upload>,
    /// It expires there by then.
    pub(crate) until: Timestamp,
    /// Once is not enough.
    pub(crate) again: bool,
}

impl DoomedRow {
    /// For the vault.
    ///
    /// # Errors
    /// [`EncodeError`]
    pub(crate) fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(&Stored::Doomed(Box::new(self.clone())), ROW_MAX_BYTES)
    }
}

/// Where that stands.
pub(crate) fn doomed_key(file: FileId) -> Vec<u8> {
    [b"doomed".as_slice(), file.as_ref()].concat()
}

/// What lies on this disk of a file that nobody wants any more, and is to go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DiscardedRow {
    /// The file that it was.
    pub(crate) file: FileId,
    /// Where it was to go, or is.
    pub(crate) path: String,
    /// It grew beside that place; else it lies there.
    pub(crate) grew: bool,
}

impl DiscardedRow {
    /// For the vault.
    ///
    /// # Errors
    /// [`EncodeError`]
    pub(crate) fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(&Stored::Discarded(Box::new(self.clone())), ROW_MAX_BYTES)
    }
}

/// Where that stands.
pub(crate) fn discarded_key(file: FileId) -> Vec<u8> {
    [b"discarded".as_slice(), file.as_ref()].concat()
}

/// A row of the table of files.
pub(crate) enum Row {
    /// A file.
    File(Box<FileRow>),
    /// What is left of one at nodes.
    Doomed(Box<DoomedRow>),
    /// What is left of one on this disk.
    Discarded(Box<DiscardedRow>),
}

impl FileRow {
    /// Which.
    pub(crate) const fn id(&self) -> FileId {
        self.manifest.file
    }

    /// For the vault.
    ///
    /// # Errors
    /// [`EncodeError`]
    pub(crate) fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut row = self.clone();
        row.manifest.leaves = Bytes::default();
        codec::encode(&Stored::File(Box::new(row)), ROW_MAX_BYTES)
    }

    /// Whether its time is over. See [`is_over`].
    pub(crate) fn is_over(&self, now: Timestamp, doubtful: bool) -> bool {
        is_over(self.manifest.expires, now, doubtful)
    }
}

/// Whether the time of a file is over. Never by a clock that is in doubt: what it says may be years off,
/// and what is refused or deleted then does not come back.
pub(crate) fn is_over(expires: Option<Timestamp>, now: Timestamp, doubtful: bool) -> bool {
    !doubtful && expires.is_some_and(|expires| expires <= now)
}

/// A row of the table of files; nothing for the rows that hold hashes.
///
/// # Errors
/// [`DecodeError`]
pub(crate) fn decode(row: &[u8]) -> Result<Option<Row>, DecodeError> {
    match codec::decode_own(row, ROW_MAX_BYTES)? {
        Stored::File(file) => Ok(Some(Row::File(file))),
        Stored::Doomed(doomed) => Ok(Some(Row::Doomed(doomed))),
        Stored::Discarded(discarded) => Ok(Some(Row::Discarded(discarded))),
        Stored::Leaves(_) => Ok(None),
    }
}

/// Where the hashes of a file's chunks stand.
pub(crate) fn leaves_key(file: FileId) -> Vec<u8> {
    [b"leaves".as_slice(), file.as_ref()].concat()
}

/// The hashes of a file's chunks, for the vault.
///
/// # Errors
/// [`EncodeError`]
pub(crate) fn encode_leaves(leaves: Vec<u8>) -> Result<Vec<u8>, EncodeError> {
    codec::encode(&Stored::Leaves(Bytes(leaves)), ROW_MAX_BYTES)
}

/// The hashes of a file's chunks, out of the vault, staged ones included.
pub(crate) fn stored_leaves(txn: &Txn<'_>, file: FileId, geometry: &Geometry) -> Option<Leaves> {
    let row = txn.get(Table::Files, &leaves_key(file)).ok()??;
    let Ok(Stored::Leaves(bytes)) = codec::decode_own(&row, ROW_MAX_BYTES) else { return None };
    let (hashes, _) = bytes.0.as_chunks::<32>();
    Leaves::new(hashes.to_vec(), geometry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_over_by_a_clock_in_doubt() {
        let (before, expires, after) = (Timestamp(1), Some(Timestamp(2)), Timestamp(3));
        assert!(is_over(expires, after, false) && !is_over(expires, after, true));
        assert!(!is_over(expires, before, false) && !is_over(None, after, false));
    }
}
