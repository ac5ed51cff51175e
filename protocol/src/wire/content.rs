//! What one person says to another inside a session: the plaintext of every
//! pairwise message. Untrusted until the engine has checked it.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, GroupId, MessageId, Timestamp};
use crate::limits::{
    ADDRESS_MAX_BYTES, ADDRESSES_MAX, GREETING_MAX_BYTES, PLAINTEXT_MAX_BYTES, REACTION_MAX_BYTES, RECEIPT_MAX_IDS,
    RECORD_MAX_BYTES, TEXT_MAX_BYTES,
};
use crate::wire::codec::{self, Bytes, DecodeError, EncodeError, Fixed};

/// The version of [`MessageIn`] that this code writes and understands.
pub const MESSAGE_VERSION: u8 = 1;

/// One message of a pairwise session, before padding and encryption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageIn {
    /// [`MESSAGE_VERSION`].
    pub version: u8,
    /// Chosen by the sender; doubles of it are shown once.
    pub id: MessageId,
    /// The sender's position of this message towards this recipient, from 1; 0
    /// for what need not arrive in order (receipts, typing).
    pub seq: u64,
    /// The lowest position that the sender still keeps for this recipient: what is
    /// below it was acknowledged or given up, so that nothing waits for it.
    pub floor: u64,
    /// When the sender wrote it, by the sender's clock.
    pub sent: Timestamp,
    /// The seq of the sender's own username record: shows a node that serves an old one.
    pub record_seq: u64,
    /// What is said.
    pub body: Content,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// A text in the conversation, at most [`TEXT_MAX_BYTES`].
    Text {
        /// UTF-8.
        text: String,
        /// The message that this one answers, by its author and id.
        reply_to: Option<MessageRef>,
    },
    /// Replaces the text of an earlier message of the same author.
    Edit {
        /// The author's earlier message.
        target: MessageId,
        /// The new text.
        text: String,
    },
    /// Takes back an earlier message of the same author, for everyone.
    Delete {
        /// The author's earlier message.
        target: MessageId,
    },
    /// Sets, or with an empty emoji takes back, the author's reaction to a message.
    Reaction {
        /// The message reacted to.
        target: MessageRef,
        /// One emoji, at most [`REACTION_MAX_BYTES`], or empty.
        emoji: String,
    },
    /// Messages of the recipient that arrived or were read.
    Receipt {
        /// Arrived, or read.
        kind: ReceiptKind,
        /// At most [`RECEIPT_MAX_IDS`].
        ids: Vec<MessageId>,
    },
    /// The author is writing, or has stopped.
    Typing {
        /// Writing.
        active: bool,
    },
    /// Asks for a chat: the first message to somebody new.
    Request {
        /// A greeting, at most [`GREETING_MAX_BYTES`].
        greeting: String,
        /// Who asks, and how they are reached.
        profile: Profile,
        /// The `nonce` of the recipient's invite, when the asker has one.
        invite: Option<Fixed<16>>,
    },
    /// The answer to [`Content::Request`]: yes.
    Accepted {
        /// Who answers, and how they are reached.
        profile: Profile,
    },
    /// The answer to [`Content::Request`]: no.
    Declined,
    /// Takes back an unanswered [`Content::Request`].
    Cancelled,
    /// How the author is reached has changed.
    Profile(Profile),
    /// Nothing, but that [`MessageIn::floor`] has risen: the sender gave something up.
    FloorRaised,
    /// The author starts over: what was not acknowledged comes again under this session.
    SessionReset,
    /// Part of a group's life, carried pairwise (see `wire::group`).
    Group {
        /// Which group.
        group: GroupId,
        /// The encoded group control message.
        payload: Bytes,
    },
    /// Part of a file's life, carried pairwise (see `wire::transfer`).
    File {
        /// The encoded file control message.
        payload: Bytes,
    },
    /// The author is writing in a group of both.
    GroupTyping {
        /// Which.
        group: GroupId,
    },
}

/// A message in a conversation, named by its author and its id: ids are unique
/// only for one author, so that nobody can claim another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MessageRef {
    /// Who wrote it.
    pub author: AccountId,
    /// Which of theirs.
    pub id: MessageId,
}

/// What a receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReceiptKind {
    /// It is durable on the recipient's device.
    Delivered,
    /// The recipient has seen it.
    Read,
}

/// How somebody is reached; told to contacts only, inside sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The encoded, signed [`crate::record::RecordIn`].
    pub record: Bytes,
    /// Where the author listens, as multiaddr texts.
    pub addresses: Vec<String>,
    /// What deposits in the author's mailboxes cost this recipient.
    pub tokens: Option<TokenGrant>,
}

/// Single-use delivery tokens, derived from one seed (see [`crate::sealed`]).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenGrant {
    /// The seed.
    pub seed: Fixed<32>,
    /// The first unused token.
    pub first: u32,
    /// How many may be used from there.
    pub count: u32,
}

impl std::fmt::Debug for TokenGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenGrant({} from {})", self.count, self.first)
    }
}

/// Why a message that decodes is refused. The sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Not an encoding of a message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Written by a newer version.
    #[error("the message has version {0}, which is not known here")]
    Version(u8),
    /// A text, list or address is longer than its limit.
    #[error("a part of the message is longer than allowed")]
    TooLong,
}

impl MessageIn {
    /// Its encoding, before padding.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] over [`PLAINTEXT_MAX_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(self, PLAINTEXT_MAX_BYTES)
    }

    /// Decodes and checks every bound.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let message: Self = codec::decode(bytes, PLAINTEXT_MAX_BYTES)?;
        if message.version != MESSAGE_VERSION {
            return Err(ContentError::Version(message.version));
        }
        if message.body.within_bounds() { Ok(message) } else { Err(ContentError::TooLong) }
    }
}

impl Content {
    fn within_bounds(&self) -> bool {
        match self {
            Self::Text { text, .. } | Self::Edit { text, .. } => text.len() <= TEXT_MAX_BYTES,
            Self::Reaction { emoji, .. } => emoji.len() <= REACTION_MAX_BYTES,
            Self::Receipt { ids, .. } => ids.len() <= RECEIPT_MAX_IDS,
            Self::Request { greeting, profile, .. } => greeting.len() <= GREETING_MAX_BYTES && profile.within_bounds(),
            Self::Accepted { profile } | Self::Profile(profile) => profile.within_bounds(),
            Self::Delete { .. }
            | Self::Typing { .. }
            | Self::GroupTyping { .. }
            | Self::Declined
            | Self::Cancelled
            | Self::FloorRaised
            | Self::SessionReset
            | Self::Group { .. }
            | Self::File { .. } => true,
        }
    }

    /// Whether it takes a place in the order of the conversation and stays in
    /// the outbox until it is acknowledged.
    #[must_use]
    pub const fn is_sequenced(&self) -> bool {
        !matches!(
            self,
            Self::Receipt { .. }
                | Self::Typing { .. }
                | Self::GroupTyping { .. }
                | Self::SessionReset
                | Self::FloorRaised
        )
    }
}

impl Profile {
    fn within_bounds(&self) -> bool {
        self.record.0.len() <= RECORD_MAX_BYTES
            && self.addresses.len() <= ADDRESSES_MAX
            && self.addresses.iter().all(|address| address.len() <= ADDRESS_MAX_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: Content) -> MessageIn {
        MessageIn {
            version: MESSAGE_VERSION,
            id: MessageId([1; 16]),
            seq: 1,
            floor: 1,
            sent: Timestamp(1_700_000_000_000),
            record_seq: 1,
            body,
        }
    }

    #[test]
    fn an_over_long_text_is_refused_when_it_arrives() {
        let long = message(Content::Text { text: "x".repeat(TEXT_MAX_BYTES + 1), reply_to: None });
        assert_eq!(MessageIn::decode(&long.encode().unwrap()), Err(ContentError::TooLong));
    }

    #[test]
    fn an_unknown_version_is_refused() {
        let mut newer = message(Content::Declined);
        newer.version = 2;
        assert_eq!(MessageIn::decode(&newer.encode().unwrap()), Err(ContentError::Version(2)));
    }

    #[test]
    fn a_message_reads_back() {
        let said = message(Content::Text { text: "hello".into(), reply_to: None });
        assert_eq!(MessageIn::decode(&said.encode().unwrap()), Ok(said));
    }
}
