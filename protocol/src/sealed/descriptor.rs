//! What senders know of a mailbox: its name and its present key, signed by its owner.

use serde::{Deserialize, Serialize};

use crate::crypto::ed25519::VerifyingKey;
use crate::crypto::kdf;
use crate::crypto::kem::{ENCAPSULATION_KEY_BYTES, EncapsulationKey};
use crate::crypto::x25519::PublicKey;
use crate::id::{MailboxId, Timestamp};
use crate::identity::{IdentityKeyPair, PublicIdentity, Purpose, Signature};
use crate::wire::codec::{Bytes, Fixed};

/// The name of the mailbox that answers to an authentication key.
#[must_use]
pub fn mailbox_id(auth_key: &[u8; 32]) -> MailboxId {
    MailboxId(kdf::hash_fields("mbox", &[auth_key]))
}

/// A mailbox as it travels: not to be believed before [`MailboxDescriptorIn::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxDescriptorIn {
    /// Ed25519 key that opens the mailbox at a node; its hash is the mailbox id.
    pub auth_key: Fixed<32>,
    /// Which of the owner's mailbox keys the next two are.
    pub key_id: u32,
    /// X25519.
    pub x25519: Fixed<32>,
    /// ML-KEM-768 encapsulation key.
    pub kem: Bytes,
    /// When the key was made, by its owner's clock.
    pub created: Timestamp,
    /// By the owner's identity, for [`Purpose::Mailbox`], over the fields above in their order.
    pub signature: Fixed<64>,
}

/// Why a mailbox was not accepted. The fault of whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// A key is no key.
    #[error("a key of the mailbox is unusable")]
    BadKey,
    /// Not signed by that identity.
    #[error("the mailbox's signature is wrong")]
    BadSignature,
}

impl MailboxDescriptorIn {
    fn signed_fields<T>(&self, act: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (key_id, created) = (self.key_id.to_le_bytes(), self.created.0.to_le_bytes());
        act(&[&self.auth_key.0, &key_id, &self.x25519.0, &self.kem.0, &created])
    }

    pub(super) fn sign(&mut self, identity: &IdentityKeyPair) {
        self.signature = self.signed_fields(|fields| identity.sign(Purpose::Mailbox, fields)).to_wire();
    }

    /// Checks that `identity` names this mailbox as its own, and that its keys are keys.
    ///
    /// # Errors
    /// [`DescriptorError`]
    pub fn verify(&self, identity: &PublicIdentity) -> Result<MailboxDescriptor, DescriptorError> {
        let signature = Signature::from(self.signature);
        self.signed_fields(|fields| identity.verify(Purpose::Mailbox, fields, &signature))
            .map_err(|_| DescriptorError::BadSignature)?;
        VerifyingKey::from_bytes(&self.auth_key.0).map_err(|_| DescriptorError::BadKey)?;
        let kem: &[u8; ENCAPSULATION_KEY_BYTES] =
            self.kem.0.as_slice().try_into().map_err(|_| DescriptorError::BadKey)?;
        Ok(MailboxDescriptor {
            mailbox_id: mailbox_id(&self.auth_key.0),
            agreement: PublicKey::from_bytes(self.x25519.0),
            kem: EncapsulationKey::from_bytes(kem).map_err(|_| DescriptorError::BadKey)?,
            binding: binding(&self.auth_key.0, self.key_id, &self.x25519.0, kem),
            wire: self.clone(),
        })
    }
}

/// What ties an envelope to one key of one mailbox.
pub(super) fn binding(auth_key: &[u8; 32], key_id: u32, x25519: &[u8; 32], kem: &[u8]) -> [u8; 32] {
    kdf::hash_fields("mailbox-key", &[auth_key, &key_id.to_le_bytes(), x25519, kem])
}

/// A verified mailbox: envelopes can be sealed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxDescriptor {
    mailbox_id: MailboxId,
    pub(super) agreement: PublicKey,
    pub(super) kem: EncapsulationKey,
    pub(super) binding: [u8; 32],
    wire: MailboxDescriptorIn,
}

impl MailboxDescriptor {
    /// Where envelopes are deposited.
    #[must_use]
    pub const fn mailbox_id(&self) -> MailboxId {
        self.mailbox_id
    }

    /// Which of the owner's mailbox keys it names.
    #[must_use]
    pub const fn key_id(&self) -> u32 {
        self.wire.key_id
    }

    /// When that key was made, by its owner's clock.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        self.wire.created
    }

    /// As it travels.
    #[must_use]
    pub const fn to_wire(&self) -> &MailboxDescriptorIn {
        &self.wire
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::super::MailboxKeys;
    use super::*;

    fn alice() -> (IdentityKeyPair, MailboxDescriptorIn) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let identity = IdentityKeyPair::generate(&mut rng, Timestamp(0));
        let descriptor = MailboxKeys::generate(Timestamp(5), &mut rng).descriptor(&identity);
        (identity, descriptor)
    }

    #[test]
    fn a_mailbox_is_its_owners_and_nobody_elses() {
        let (identity, descriptor) = alice();
        let verified = descriptor.verify(identity.public()).unwrap();
        assert_eq!(verified.mailbox_id(), mailbox_id(&descriptor.auth_key.0));
        assert_eq!((verified.key_id(), verified.created()), (1, Timestamp(5)));
        assert_eq!(verified.to_wire(), &descriptor);
        let mallory = IdentityKeyPair::generate(&mut ChaCha20Rng::seed_from_u64(2), Timestamp(0));
        assert_eq!(descriptor.verify(mallory.public()), Err(DescriptorError::BadSignature));
    }

    #[test]
    fn every_changed_field_is_refused() {
        let (identity, descriptor) = alice();
        let changes: [fn(&mut MailboxDescriptorIn); 7] = [
            |d| d.auth_key.0[0] ^= 1,
            |d| d.key_id += 1,
            |d| d.x25519.0[31] ^= 0x80,
            |d| d.kem.0[700] ^= 1,
            |d| d.kem.0.truncate(1183),
            |d| d.created.0 += 1,
            |d| d.signature.0[63] ^= 0x80,
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut changed = descriptor.clone();
            change(&mut changed);
            assert_eq!(changed.verify(identity.public()), Err(DescriptorError::BadSignature), "change {at}");
        }
    }

    #[test]
    fn a_signed_key_that_is_no_key_is_refused() {
        let (identity, descriptor) = alice();
        let changes: [fn(&mut MailboxDescriptorIn); 3] =
            [|d| d.kem.0 = vec![0xff; 1184], |d| d.kem.0.clear(), |d| d.auth_key.0 = [0; 32]];
        for change in changes {
            let mut changed = descriptor.clone();
            change(&mut changed);
            changed.sign(&identity);
            assert_eq!(changed.verify(identity.public()), Err(DescriptorError::BadKey));
        }
    }
}
