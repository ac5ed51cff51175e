//! Encrypted chunks of files for recipients who are away. The node sees a blob id, a number of
//! chunks that all have one length, times, and who pays for the room. Capabilities come from
//! [`crate::blob`]; reading needs no account, so that a throw-away connection will do.

use serde::{Deserialize, Serialize};

use crate::id::{BlobId, EnvelopeId, MailboxId};
use crate::wire::codec::{Bytes, Fixed};

/// What is asked of blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobRequest {
    /// Makes room for a blob; the same again changes nothing. Answered by [`super::Response::Blob`].
    Create {
        /// What must be shown to write and delete, as its hash; the blob id is the hash of both hashes.
        owner_hash: Fixed<32>,
        /// What must be shown to read, as its hash.
        read_hash: Fixed<32>,
        /// Length of each chunk, in bytes, at most [`crate::limits::BLOB_CHUNK_MAX_BYTES`].
        chunk_bytes: u32,
        /// How many, at most [`crate::limits::BLOB_CHUNKS_MAX`].
        chunks: u32,
        /// Deleted after so many hours, at most [`crate::limits::BLOB_EXPIRES_MAX_HOURS`].
        expires_hours: u32,
        /// Who pays for the room.
        charge: BlobCharge,
    },
    /// Stores a chunk, in any order. One that is there is not replaced. Answered by
    /// [`super::Response::Done`] once it is durable.
    Put {
        /// Which blob.
        blob: BlobId,
        /// The owner's capability.
        owner_token: Fixed<32>,
        /// Which chunk, from 0.
        index: u32,
        /// Exactly the blob's `chunk_bytes`.
        sealed: Bytes,
    },
    /// Reads a chunk. Answered by [`super::Response::Chunk`]. At most
    /// [`crate::limits::LARGE_ANSWERS_MAX`] at once.
    Get {
        /// Which blob.
        blob: BlobId,
        /// The readers' capability.
        read_token: Fixed<32>,
        /// Which chunk, from 0.
        index: u32,
    },
    /// What is there. Answered by [`super::Response::Blob`].
    Stat {
        /// Which blob.
        blob: BlobId,
        /// The owner's or the readers' capability.
        token: Fixed<32>,
    },
    /// Deletes a blob. Answered by [`super::Response::Done`], also when it is not there.
    Delete {
        /// Which blob.
        blob: BlobId,
        /// The owner's capability.
        owner_token: Fixed<32>,
    },
    /// Counts a download that was finished. Answered by [`super::Response::Done`].
    CountDownload {
        /// Which blob.
        blob: BlobId,
        /// The readers' capability.
        read_token: Fixed<32>,
        /// Chosen at random by the reader, the same when it asks again: counted once.
        receipt: EnvelopeId,
    },
}

/// Who pays for a blob's room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobCharge {
    /// The account that the connection speaks for.
    Account,
    /// A recipient: the sender stays unknown. The token is one of the mailbox's delivery tokens.
    Mailbox {
        /// Whose.
        mailbox: MailboxId,
        /// Spent by this.
        token: Fixed<32>,
    },
}

/// What is there of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobState {
    /// Length of each chunk, in bytes.
    pub chunk_bytes: u32,
    /// How many there will be.
    pub chunks: u32,
    /// One bit for each chunk, the lowest bit of the first byte is chunk 0: set when it is durable here.
    pub present: Bytes,
    /// Downloads that were counted.
    pub downloads: u32,
    /// Hours until it is deleted.
    pub expires_hours: u32,
}

impl BlobState {
    /// Whether a chunk is there.
    #[must_use]
    pub fn has(&self, index: u32) -> bool {
        let byte = usize::try_from(index / 8).ok().and_then(|at| self.present.0.get(at));
        index < self.chunks && byte.is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    /// Whether all chunks are there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        (0..self.chunks).all(|index| self.has(index))
    }
}
