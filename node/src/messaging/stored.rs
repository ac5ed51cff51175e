//! A message as the history keeps it, and its name in the application API.

use secure_chat_protocol::id::{AccountId, FileId, MessageId, Timestamp};
use secure_chat_protocol::wire::codec::{self, DecodeError, EncodeError};
use secure_chat_protocol::wire::content::MessageRef;
use serde::{Deserialize, Serialize};

use super::limits::ROW_MAX_BYTES;
use crate::api::MessageState;

/// What the history keeps of a message, apart from its author, id and place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// When it was written, by its author's clock, at most when it came.
    pub sent: Timestamp,
    /// Empty when it was deleted.
    pub text: String,
    /// What it answers.
    pub reply_to: Option<MessageRef>,
    /// When it was last changed.
    pub edited: Option<Timestamp>,
    /// Its author took it back.
    pub deleted: bool,
    /// Who reacted how; one reaction each.
    pub reactions: Vec<(AccountId, String)>,
    /// How far it got.
    pub state: MessageState,
    /// Why it failed; of a message of somebody else, what is wrong with it.
    pub reason: Option<String>,
    /// Its place in the author's order.
    pub seq: u64,
    /// The file that it shares.
    pub file: Option<FileId>,
}

impl StoredMessage {
    /// For the vault.
    ///
    /// # Errors
    /// [`EncodeError`] when reactions made it too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(self, ROW_MAX_BYTES)
    }

    /// From the vault.
    ///
    /// # Errors
    /// [`DecodeError`] when it was written by a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode_own(bytes, ROW_MAX_BYTES)
    }

    /// Sets, or with an empty emoji takes back, somebody's reaction. Says whether it changed.
    pub fn react(&mut self, who: AccountId, emoji: &str) -> bool {
        let before = self.reactions.clone();
        self.reactions.retain(|(account, _)| *account != who);
        if !emoji.is_empty() {
            self.reactions.push((who, emoji.to_owned()));
        }
        before != self.reactions
    }

    /// What a search looks at.
    #[must_use]
    pub fn searchable(&self) -> Option<&str> {
        (!self.deleted && !self.text.is_empty()).then_some(self.text.as_str())
    }
}

/// The name of a message in the application API: opaque to everybody else.
#[must_use]
pub fn message_name(message: MessageRef) -> String {
    format!("{}-{}", message.id, message.author)
}

/// Reads [`message_name`] back.
#[must_use]
pub fn parse_message_name(name: &str) -> Option<MessageRef> {
    let (id, author) = name.split_once('-')?;
    Some(MessageRef { id: id.parse::<MessageId>().ok()?, author: author.parse::<AccountId>().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_name_reads_back() {
        let message = MessageRef { author: AccountId([3; 32]), id: MessageId([4; 16]) };
        assert_eq!(parse_message_name(&message_name(message)), Some(message));
        assert_eq!(parse_message_name("nonsense"), None);
    }

    #[test]
    fn one_person_has_one_reaction() {
        let mut message = StoredMessage {
            sent: Timestamp(1),
            text: "hi".into(),
            reply_to: None,
            edited: None,
            deleted: false,
            reactions: Vec::new(),
            state: MessageState::Received,
            reason: None,
            seq: 1,
            file: None,
        };
        assert!(message.react(AccountId([1; 32]), "👍"));
        assert!(message.react(AccountId([1; 32]), "🎉"));
        assert!(!message.react(AccountId([1; 32]), "🎉"));
        assert_eq!(message.reactions.len(), 1);
        assert!(message.react(AccountId([1; 32]), ""));
        assert!(message.reactions.is_empty());
        assert_eq!(StoredMessage::decode(&message.encode().unwrap()), Ok(message));
    }
}
