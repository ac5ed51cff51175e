//! The log of a group for members who are away: entries are appended, read by position, and
//! deleted by expiry only. The node sees a log id, sizes and times. It does not see whose group it
//! is: capabilities are derived from the group's secret (see [`crate::group_log`]), and any
//! connection will do, such as a throw-away one.

use serde::{Deserialize, Serialize};

use crate::id::{EnvelopeId, LogId};
use crate::wire::codec::{Bytes, Fixed};

/// Entries in one answer.
pub const LOG_ENTRIES_MAX: usize = 4_096;

/// What is asked of a group's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupLogRequest {
    /// Appends an entry; the first one creates the log. Answered by [`super::Response::Appended`]
    /// once it is durable, also for a double.
    Append {
        /// The Ed25519 key that may write, whose hash is the log id.
        write_key: Fixed<32>,
        /// The hash of what must be shown to read; must be the same in every append.
        read_hash: Fixed<32>,
        /// Chosen by the sender; doubles vanish.
        id: EnvelopeId,
        /// At most [`crate::limits::ENVELOPE_MAX_BYTES`].
        sealed: Bytes,
        /// By `write_key` (see [`crate::group_log::LogKeys::sign_append`]).
        signature: Fixed<64>,
        /// Needed when the log is not there yet; otherwise not looked at.
        stamp: Option<LogStamp>,
    },
    /// Reads entries. Answered by [`super::Response::Log`].
    Read {
        /// Which log.
        log: LogId,
        /// Whose hash was given when the log was created.
        read_token: Fixed<32>,
        /// Starts behind this position; 0 for the beginning.
        after: u64,
        /// Stops before the answer passes this size.
        max_bytes: u32,
    },
}

/// Work that was done for the creation of a log: a [`crate::work::Stamp`] over the log id in the
/// place of a mailbox, the entry's id and the entry (see [`crate::group_log::work`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStamp {
    /// Hours since 1970, by the node's clock.
    pub hour: u64,
    /// What makes the stamp good.
    pub nonce: u64,
}

/// An entry of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its position: ascending from 1, never used twice.
    pub position: u64,
    /// The sender's name for it.
    pub id: EnvelopeId,
    /// What was appended.
    pub sealed: Bytes,
}
