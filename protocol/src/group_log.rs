//! The capabilities of a group's log on a rendezvous node, for members who are away. All come
//! from the group's secret, which changes when somebody is removed; a node sees neither the secret
//! nor the group, and logs of one group can't be told to belong together. Floor 4.

use std::fmt;

use crate::crypto::ed25519::{BadSignature, SigningKey, VerifyingKey};
use crate::crypto::kdf;
use crate::crypto::secret::Secret;
use crate::id::{EnvelopeId, LogId, MailboxId};
use crate::identity::{Purpose, Signature};
use crate::wire::codec::Fixed;
use crate::work;

/// What the members of a group hold of its log.
pub struct LogKeys {
    write: SigningKey,
    read: Secret<32>,
}

impl LogKeys {
    /// From the group's present secret.
    #[must_use]
    pub fn derive(group_secret: &Secret<32>) -> Self {
        let of = |purpose: &str| kdf::hmac_sha256(group_secret.expose(), &[&kdf::label(purpose)]);
        Self { write: SigningKey::from_seed(&of("log-write")), read: of("log-read") }
    }

    /// The key that may append: sent with every append.
    #[must_use]
    pub fn write_key(&self) -> Fixed<32> {
        self.write.verifying_key().to_wire()
    }

    /// The log's name.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        log_id(&self.write_key())
    }

    /// Shown to read.
    #[must_use]
    pub const fn read_token(&self) -> Fixed<32> {
        Fixed(*self.read.expose())
    }

    /// What the node stores of it.
    #[must_use]
    pub fn read_hash(&self) -> Fixed<32> {
        read_hash(&self.read_token())
    }

    /// Signs an append at one node: by [`Purpose::LogAppend`] over the node's peer id, the read
    /// hash, the entry's id and `SHA256` of the entry.
    #[must_use]
    pub fn sign_append(&self, node_peer: &[u8], id: &EnvelopeId, sealed: &[u8]) -> Fixed<64> {
        let (read_hash, entry) = (self.read_hash(), kdf::sha256(sealed));
        self.write.sign(Purpose::LogAppend, &[node_peer, &read_hash.0, &id.0, &entry]).to_wire()
    }
}

impl fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKeys")
    }
}

/// The log that answers to a write key.
#[must_use]
pub fn log_id(write_key: &Fixed<32>) -> LogId {
    LogId(kdf::hash_fields("log", &[&write_key.0]))
}

/// What a node stores of the token that may read.
#[must_use]
pub fn read_hash(token: &Fixed<32>) -> Fixed<32> {
    Fixed(kdf::hash_fields("log-read-hash", &[&token.0]))
}

/// The subject of the work that creates a log: [`work::solve`] and [`work::check`] take it.
/// `log_as_mailbox` is [`log_as_mailbox`] of the log's id.
#[must_use]
pub const fn work<'a>(
    node_peer: &'a [u8],
    log_as_mailbox: &'a MailboxId,
    id: &'a EnvelopeId,
    sealed: &'a [u8],
) -> work::Deposit<'a> {
    work::Deposit { node_peer, mailbox: log_as_mailbox, id, sealed }
}

/// A log's id in the place of a mailbox's. Both are hashes of keys, with other labels: no log is a mailbox.
#[must_use]
pub const fn log_as_mailbox(log: LogId) -> MailboxId {
    MailboxId(log.0)
}

/// Checks an append as a node does, and tells which log it is for.
///
/// # Errors
/// [`BadSignature`] when it is not signed by the key for that node, or the key is none.
pub fn verify_append(
    write_key: &Fixed<32>,
    node_peer: &[u8],
    read_hash: &Fixed<32>,
    id: &EnvelopeId,
    sealed: &[u8],
    signature: &Fixed<64>,
) -> Result<LogId, BadSignature> {
    let key = VerifyingKey::from_bytes(&write_key.0).map_err(|_| BadSignature)?;
    let entry = kdf::sha256(sealed);
    let fields: [&[u8]; 4] = [node_peer, &read_hash.0, &id.0, &entry];
    key.verify(Purpose::LogAppend, &fields, &Signature::from(*signature))?;
    Ok(log_id(write_key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: u8) -> LogKeys {
        LogKeys::derive(&Secret::from_bytes([byte; 32]))
    }

    #[test]
    fn all_members_come_to_the_same_log_and_another_secret_to_another() {
        assert_eq!(keys(1).log_id(), keys(1).log_id());
        assert_eq!(keys(1).read_hash(), read_hash(&keys(1).read_token()));
        assert_ne!(keys(1).log_id(), keys(2).log_id());
        assert_ne!(keys(1).read_token(), keys(2).read_token());
        assert_ne!(keys(1).read_token().0, *keys(1).write.expose());
        assert_eq!(format!("{:?}", keys(1)), "LogKeys");
    }

    #[test]
    fn an_append_holds_for_one_node_one_log_and_one_entry_only() {
        let (keys, id) = (keys(1), EnvelopeId([3; 16]));
        let signature = keys.sign_append(b"node", &id, b"entry");
        let verify = |node: &[u8], read: Fixed<32>, id: EnvelopeId, entry: &[u8]| {
            verify_append(&keys.write_key(), node, &read, &id, entry, &signature)
        };
        let read = keys.read_hash();
        assert_eq!(verify(b"node", read, id, b"entry"), Ok(keys.log_id()));
        assert!(verify(b"other", read, id, b"entry").is_err());
        assert!(verify(b"node", Fixed([0; 32]), id, b"entry").is_err());
        assert!(verify(b"node", read, EnvelopeId([4; 16]), b"entry").is_err());
        assert!(verify(b"node", read, id, b"other").is_err());
        let other = super::tests::keys(2).write_key();
        assert!(verify_append(&other, b"node", &read, &id, b"entry", &signature).is_err());
        assert!(verify_append(&Fixed([0; 32]), b"node", &read, &id, b"entry", &signature).is_err());
    }
}
