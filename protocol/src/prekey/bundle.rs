//! What a stranger needs to start a session, as it travels and as it was verified.

use serde::{Deserialize, Serialize};

use crate::crypto::ed25519::Signature;
use crate::crypto::kem::{self, EncapsulationKey};
use crate::crypto::x25519::PublicKey;
use crate::id::{AccountId, PreKeyId, Timestamp};
use crate::identity::{IdentityError, IdentityIn, IdentityKeyPair, PublicIdentity, Purpose};
use crate::limits;
use crate::wire::codec::Fixed;

/// The version of signed prekeys that is spoken here.
pub const BUNDLE_VERSION: u8 = 1;

/// Why a bundle was not accepted: the fault of its owner, or of the node that served it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The identity does not certify itself.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A bundle of somebody else.
    #[error("the bundle belongs to another account")]
    WrongAccount,
    /// From a later version of the protocol.
    #[error("the bundle has an unknown version")]
    UnknownVersion,
    /// The signed prekey was not signed as such by the identity.
    #[error("the signed prekey's signature is wrong")]
    SignedPreKeySignature,
    /// The kit was not signed as such by the identity.
    #[error("the one-time kit's signature is wrong")]
    KitSignature,
    /// A key in it is unusable, although it was signed.
    #[error("the bundle contains an unusable key")]
    BadKey,
    /// Its times contradict each other, or it was made in the future.
    #[error("the bundle's times are impossible")]
    BadTimes,
    /// Older than anyone may use.
    #[error("the bundle is too old")]
    Expired,
}

/// A signed prekey as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPreKeyIn {
    /// [`BUNDLE_VERSION`].
    pub version: u8,
    /// Its name.
    pub id: PreKeyId,
    /// `SPK`, X25519.
    pub dh_key: Fixed<32>,
    /// `KSPK`, ML-KEM-768.
    pub kem_key: Fixed<{ kem::ENCAPSULATION_KEY_BYTES }>,
    /// When it was made, by its owner's clock.
    pub created: Timestamp,
    /// Until when its owner promises to keep it.
    pub expires: Timestamp,
    /// By `IK_sig`, for [`Purpose::SignedPreKey`], over the account id and all of the above.
    pub signature: Fixed<64>,
}

impl SignedPreKeyIn {
    /// Signs it anew. Its present signature is ignored.
    #[must_use]
    pub fn signed(mut self, identity: &IdentityKeyPair) -> Self {
        self.signature =
            self.with_fields(&identity.account_id(), |fields| identity.sign(Purpose::SignedPreKey, fields).to_wire());
        self
    }

    /// Checks it against its owner's identity.
    ///
    /// One whose owner has been away for longer than it promises is not refused:
    /// it is [`VerifiedBundle::is_stale`], and the best there is.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn verify(&self, owner: &PublicIdentity, now: Timestamp) -> Result<SignedPreKey, BundleError> {
        if self.version != BUNDLE_VERSION {
            return Err(BundleError::UnknownVersion);
        }
        let signature = Signature::from(self.signature);
        self.with_fields(&owner.account_id(), |fields| owner.verify(Purpose::SignedPreKey, fields, &signature))
            .map_err(|_| BundleError::SignedPreKeySignature)?;
        let lifetime_ms = self.expires.since_ms(self.created);
        if lifetime_ms == 0
            || lifetime_ms > limits::SIGNED_PREKEY_USABLE_MS
            || self.created > now.plus_ms(limits::CLOCK_SKEW_MS)
        {
            return Err(BundleError::BadTimes);
        }
        if now.since_ms(self.created) > limits::SIGNED_PREKEY_USABLE_MS {
            return Err(BundleError::Expired);
        }
        Ok(SignedPreKey {
            id: self.id,
            dh_key: PublicKey::from_bytes(self.dh_key.0),
            kem_key: EncapsulationKey::from_bytes(&self.kem_key.0).map_err(|_| BundleError::BadKey)?,
            created: self.created,
            expires: self.expires,
        })
    }

    fn with_fields<T>(&self, account_id: &AccountId, use_fields: impl FnOnce(&[&[u8]]) -> T) -> T {
        use_fields(&[
            account_id.as_bytes(),
            &[self.version],
            self.id.as_bytes(),
            &self.dh_key.0,
            &self.kem_key.0,
            &self.created.0.to_le_bytes(),
            &self.expires.0.to_le_bytes(),
        ])
    }
}

/// A one-time kit as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KitIn {
    /// Its name.
    pub id: PreKeyId,
    /// `OPK`, X25519.
    pub dh_key: Fixed<32>,
    /// `KOPK`, ML-KEM-768.
    pub kem_key: Fixed<{ kem::ENCAPSULATION_KEY_BYTES }>,
    /// By `IK_sig`, for [`Purpose::Kit`], over the account id and all of the above.
    pub signature: Fixed<64>,
}

impl KitIn {
    /// Signs it anew. Its present signature is ignored.
    #[must_use]
    pub fn signed(mut self, identity: &IdentityKeyPair) -> Self {
        self.signature =
            self.with_fields(&identity.account_id(), |fields| identity.sign(Purpose::Kit, fields).to_wire());
        self
    }

    /// Checks it against its owner's identity.
    ///
    /// # Errors
    /// [`BundleError::KitSignature`], [`BundleError::BadKey`]
    pub fn verify(&self, owner: &PublicIdentity) -> Result<Kit, BundleError> {
        let signature = Signature::from(self.signature);
        self.with_fields(&owner.account_id(), |fields| owner.verify(Purpose::Kit, fields, &signature))
            .map_err(|_| BundleError::KitSignature)?;
        Ok(Kit {
            id: self.id,
            dh_key: PublicKey::from_bytes(self.dh_key.0),
            kem_key: EncapsulationKey::from_bytes(&self.kem_key.0).map_err(|_| BundleError::BadKey)?,
        })
    }

    fn with_fields<T>(&self, account_id: &AccountId, use_fields: impl FnOnce(&[&[u8]]) -> T) -> T {
        use_fields(&[account_id.as_bytes(), self.id.as_bytes(), &self.dh_key.0, &self.kem_key.0])
    }
}

/// A bundle as it travels: not to be believed before [`BundleIn::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleIn {
    /// Whose it is.
    pub identity: IdentityIn,
    /// The current signed prekey.
    pub signed: SignedPreKeyIn,
    /// A one-time kit, unless none is left.
    pub kit: Option<KitIn>,
}

impl BundleIn {
    /// Checks all of it; `expected` is the account that was asked for.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn verify(&self, now: Timestamp, expected: Option<AccountId>) -> Result<VerifiedBundle, BundleError> {
        let identity = self.identity.verify()?;
        if expected.is_some_and(|expected| expected != identity.account_id()) {
            return Err(BundleError::WrongAccount);
        }
        let signed = self.signed.verify(&identity, now)?;
        let kit = self.kit.as_ref().map(|kit| kit.verify(&identity)).transpose()?;
        Ok(VerifiedBundle { identity, signed, kit })
    }
}

/// A verified signed prekey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPreKey {
    pub(crate) id: PreKeyId,
    pub(crate) dh_key: PublicKey,
    pub(crate) kem_key: EncapsulationKey,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
}

/// A verified one-time kit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kit {
    pub(crate) id: PreKeyId,
    pub(crate) dh_key: PublicKey,
    pub(crate) kem_key: EncapsulationKey,
}

/// A verified bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBundle {
    pub(crate) identity: PublicIdentity,
    pub(crate) signed: SignedPreKey,
    pub(crate) kit: Option<Kit>,
}

impl VerifiedBundle {
    /// Whose it is.
    #[must_use]
    pub const fn identity(&self) -> &PublicIdentity {
        &self.identity
    }

    /// When the signed prekey was made: of several bundles of one account, the newest is the best.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        self.signed.created
    }

    /// Whether the owner has not replaced the signed prekey for so long that they must be
    /// away, or the node that served it keeps back a newer one: ask other nodes as well.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now > self.signed.expires
    }

    /// Whether there is a one-time kit in it.
    #[must_use]
    pub const fn has_kit(&self) -> bool {
        self.kit.is_some()
    }
}
