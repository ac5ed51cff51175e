//! Why a message could not be encrypted or decrypted, and whose fault it is.

use crate::double_ratchet::RatchetError;
use crate::handshake::RespondError;

/// Why a message was not encrypted. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The caller's fault: [`super::SessionSet::initiate`] first.
    #[error("there is no session with this peer yet")]
    NoSession,
    /// The caller's fault.
    #[error("the message takes {bytes} bytes, the limit is {limit_bytes}")]
    TooLong {
        /// What it takes.
        bytes: usize,
        /// [`crate::limits::PLAINTEXT_MAX_BYTES`].
        limit_bytes: usize,
    },
    /// Nobody's fault: 2³² − 1 messages without an answer. Start another session.
    #[error("the session is used up")]
    Exhausted,
}

/// Why a message was not decrypted. Neither the sessions nor the prekeys have changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// The sender's fault, or it was changed under way.
    #[error("the message is malformed")]
    Malformed,
    /// From a later version of the protocol.
    #[error("the message has an unknown version")]
    UnknownVersion,
    /// A first message with another suite of algorithms.
    #[error("the message uses unknown algorithms")]
    UnknownSuite,
    /// Nothing here opens it: it was changed under way, or one side has lost or restored its state.
    #[error("no session opens the message")]
    NoSession,
    /// It belongs to a session here, but its body was changed under way.
    #[error("the message was changed under way")]
    Changed,
    /// It was opened before.
    #[error("the message was opened before")]
    Duplicate,
    /// Another message had the same place in the session: the peer was restored from a
    /// backup, or there are two of it. Start another session, and tell the person.
    #[error("the peer's session was turned back")]
    Rollback,
    /// A first message that was accepted before, and whose session is gone.
    #[error("the first message was seen before")]
    Replay,
    /// Too far ahead of what has arrived: to be tried again when the messages before it are there.
    #[error("too many messages before this one are missing")]
    SkipLimit,
    /// A first message that names a prekey that is not here, or no longer.
    #[error("the message was made for a key that is gone")]
    UnknownPreKey,
    /// A first message of somebody else than the peer, or of oneself.
    #[error("the message comes from another account")]
    WrongIdentity,
    /// A first message without a one-time kit, after very many of those.
    #[error("too many first messages")]
    TooManyFirstMessages,
    /// The sender's fault: a key of low order.
    #[error("the message's keys give no shared secret")]
    NonContributory,
}

impl From<RatchetError> for DecryptError {
    fn from(error: RatchetError) -> Self {
        match error {
            RatchetError::NotOurs => Self::NoSession,
            RatchetError::Malformed | RatchetError::Exhausted => Self::Malformed,
            RatchetError::BodyChanged => Self::Changed,
            RatchetError::Duplicate => Self::Duplicate,
            RatchetError::Rollback => Self::Rollback,
            RatchetError::SkipLimit => Self::SkipLimit,
            RatchetError::NonContributory => Self::NonContributory,
        }
    }
}

impl From<RespondError> for DecryptError {
    fn from(error: RespondError) -> Self {
        match error {
            RespondError::UnknownSuite => Self::UnknownSuite,
            RespondError::Identity(_) => Self::Malformed,
            RespondError::UnknownPreKey => Self::UnknownPreKey,
            RespondError::Replay => Self::Replay,
            RespondError::Full => Self::TooManyFirstMessages,
            RespondError::NonContributory => Self::NonContributory,
        }
    }
}
