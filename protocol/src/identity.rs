//! Who somebody is: an Ed25519 key that signs and an X25519 key that agrees, bound
//! together, and named by the hash of both. Floor 3.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::crypto::ed25519::{BadSignature, SigningKey, VerifyingKey};
pub use crate::crypto::ed25519::{Purpose, Signature};
use crate::crypto::kdf;
use crate::crypto::secret::SecretBytes;
use crate::crypto::state::{StateError, StateReader, StateWriter};
use crate::crypto::x25519::{PublicKey, SecretKey};
use crate::id::{AccountId, Timestamp};
use crate::wire::codec::Fixed;

/// Version of the stored form of an identity's secrets.
const STATE_VERSION: u8 = 1;

/// Why an identity was not accepted. Always the fault of whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// `IK_sig` is no usable Ed25519 key.
    #[error("the identity's signing key is unusable")]
    BadKey,
    /// `IK_dh` is not certified by `IK_sig`.
    #[error("the identity's signature is wrong")]
    BadSignature,
}

/// An identity as it travels: not to be believed before [`IdentityIn::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdentityIn {
    /// `IK_sig`, Ed25519.
    pub sig_key: Fixed<32>,
    /// `IK_dh`, X25519.
    pub dh_key: Fixed<32>,
    /// When it was made, by its owner's clock.
    pub created: Timestamp,
    /// By `IK_sig`, for [`Purpose::Identity`], over `IK_dh` and `created`.
    pub signature: Fixed<64>,
}

impl IdentityIn {
    /// Checks that the keys belong together.
    ///
    /// # Errors
    /// [`IdentityError`]
    pub fn verify(&self) -> Result<PublicIdentity, IdentityError> {
        let sig_key = VerifyingKey::from_bytes(&self.sig_key.0).map_err(|_| IdentityError::BadKey)?;
        let dh_key = PublicKey::from_bytes(self.dh_key.0);
        let signature = Signature::from(self.signature);
        sig_key
            .verify(Purpose::Identity, &[dh_key.as_bytes(), &self.created.0.to_le_bytes()], &signature)
            .map_err(|_| IdentityError::BadSignature)?;
        Ok(PublicIdentity::new(sig_key, dh_key, self.created, signature))
    }
}

/// A verified identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicIdentity {
    account_id: AccountId,
    sig_key: VerifyingKey,
    dh_key: PublicKey,
    created: Timestamp,
    signature: Signature,
}

impl PublicIdentity {
    fn new(sig_key: VerifyingKey, dh_key: PublicKey, created: Timestamp, signature: Signature) -> Self {
        let account_id = AccountId(kdf::hash_fields("acct", &[sig_key.as_bytes(), dh_key.as_bytes()]));
        Self { account_id, sig_key, dh_key, created, signature }
    }

    /// The hash of both keys.
    #[must_use]
    pub const fn account_id(&self) -> AccountId {
        self.account_id
    }

    /// `IK_sig`.
    #[must_use]
    pub const fn sig_key(&self) -> &VerifyingKey {
        &self.sig_key
    }

    /// `IK_dh`.
    #[must_use]
    pub const fn dh_key(&self) -> &PublicKey {
        &self.dh_key
    }

    /// When it was made, by its owner's clock.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// As it travels.
    #[must_use]
    pub fn to_wire(&self) -> IdentityIn {
        IdentityIn {
            sig_key: self.sig_key.to_wire(),
            dh_key: self.dh_key.to_wire(),
            created: self.created,
            signature: self.signature.to_wire(),
        }
    }

    /// Checks that `signature` is this identity's over `fields` for `purpose`.
    ///
    /// # Errors
    /// [`BadSignature`] when it is not.
    pub fn verify(&self, purpose: Purpose, fields: &[&[u8]], signature: &Signature) -> Result<(), BadSignature> {
        self.sig_key.verify(purpose, fields, signature)
    }
}

/// One's own identity with its secret keys.
#[derive(Debug)]
pub struct IdentityKeyPair {
    signing: SigningKey,
    agreement: SecretKey,
    public: PublicIdentity,
}

impl IdentityKeyPair {
    /// A new one, `created` now.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R, created: Timestamp) -> Self {
        Self::assembled(SigningKey::generate(rng), SecretKey::generate(rng), created)
    }

    fn assembled(signing: SigningKey, agreement: SecretKey, created: Timestamp) -> Self {
        let signature = signing.sign(Purpose::Identity, &[agreement.public().as_bytes(), &created.0.to_le_bytes()]);
        let public = PublicIdentity::new(signing.verifying_key(), *agreement.public(), created, signature);
        Self { signing, agreement, public }
    }

    /// What others may know.
    #[must_use]
    pub const fn public(&self) -> &PublicIdentity {
        &self.public
    }

    /// The hash of both public keys.
    #[must_use]
    pub const fn account_id(&self) -> AccountId {
        self.public.account_id
    }

    /// The secret half of `IK_dh`, for the handshake.
    #[must_use]
    pub const fn agreement_key(&self) -> &SecretKey {
        &self.agreement
    }

    /// Signs `fields` for `purpose` with `IK_sig`.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, fields: &[&[u8]]) -> Signature {
        self.signing.sign(purpose, fields)
    }

    /// For the vault: a version, both secret keys and the time.
    #[must_use]
    pub fn to_secret_bytes(&self) -> SecretBytes {
        let mut writer = StateWriter::with_capacity(105);
        writer.u8(STATE_VERSION).ed25519(&self.signing).x25519(&self.agreement).time(self.public.created);
        writer.finish()
    }

    /// From the vault.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are not what [`Self::to_secret_bytes`] wrote.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = StateReader::new(bytes);
        if reader.u8()? != STATE_VERSION {
            return Err(StateError);
        }
        let identity = Self::assembled(reader.ed25519()?, reader.x25519()?, reader.time()?);
        reader.finish()?;
        Ok(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec::{decode, encode};
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    fn alice() -> IdentityKeyPair {
        IdentityKeyPair::generate(&mut ChaCha20Rng::seed_from_u64(1), Timestamp(1_000))
    }

    #[test]
    fn an_identity_certifies_itself_over_the_wire() {
        let bytes = encode(&alice().public().to_wire(), 200).unwrap();
        let received = decode::<IdentityIn>(&bytes, 200).unwrap().verify().unwrap();
        assert_eq!(&received, alice().public());
        assert_eq!(received.account_id(), alice().account_id());
    }

    #[test]
    fn every_flipped_bit_of_an_identity_is_refused() {
        let wire = alice().public().to_wire();
        let flip = |bytes: &mut [u8], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
        for bit in 0..256 {
            let mut changed = wire.clone();
            flip(&mut changed.sig_key.0, bit);
            assert!(changed.verify().is_err());
            let mut changed = wire.clone();
            flip(&mut changed.dh_key.0, bit);
            assert_eq!(changed.verify(), Err(IdentityError::BadSignature));
        }
        for bit in 0..512 {
            let mut changed = wire.clone();
            flip(&mut changed.signature.0, bit);
            assert_eq!(changed.verify(), Err(IdentityError::BadSignature));
        }
        let changed = IdentityIn { created: Timestamp(1_001), ..wire };
        assert_eq!(changed.verify(), Err(IdentityError::BadSignature));
    }

    #[test]
    fn keys_can_not_change_their_places() {
        // An X25519 key that happens to be a point on the other curve is no signing key of this identity.
        let wire = alice().public().to_wire();
        let swapped = IdentityIn { sig_key: wire.dh_key, dh_key: wire.sig_key, ..wire };
        assert!(swapped.verify().is_err());
    }

    #[test]
    fn another_agreement_key_is_another_account() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let signing = SigningKey::generate(&mut rng);
        let seed = crate::crypto::secret::Secret::from_bytes(*signing.expose());
        let one = IdentityKeyPair::assembled(signing, SecretKey::generate(&mut rng), Timestamp(0));
        let two = IdentityKeyPair::assembled(SigningKey::from_seed(&seed), SecretKey::generate(&mut rng), Timestamp(0));
        assert_ne!(one.account_id(), two.account_id());
    }

    #[test]
    fn an_identity_comes_back_from_the_vault() {
        let bytes = alice().to_secret_bytes();
        let restored = IdentityKeyPair::from_secret_bytes(bytes.expose()).unwrap();
        assert_eq!(restored.public(), alice().public());
        let signature = restored.sign(Purpose::Record, &[b"name"]);
        assert!(alice().public().verify(Purpose::Record, &[b"name"], &signature).is_ok());
        assert!(IdentityKeyPair::from_secret_bytes(&bytes.expose()[1..]).is_err());
    }
}
