//! A record as it travels, and what it takes to believe it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::crypto::ed25519::{SigningKey, VerifyingKey};
use crate::id::{AccountId, Timestamp};
use crate::identity::{IdentityError, IdentityIn, IdentityKeyPair, PublicIdentity, Purpose, Signature};
use crate::limits::{ADDRESSES_MAX, HOMES_MAX, RECORD_MAX_BYTES, RECORD_PEERS_MAX};
use crate::sealed::{DescriptorError, MailboxDescriptor, MailboxDescriptorIn};
use crate::validate::{AddressError, Username, UsernameError, check_address, check_home};
use crate::wire::codec::{self, DecodeError, Fixed};

/// The version of [`RecordIn`] that this code writes and understands.
pub const RECORD_VERSION: u8 = 1;
pub(super) const SIGNATURE_BYTES: usize = 64;

/// A record as it travels: not to be believed before [`RecordIn::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordIn {
    /// [`RECORD_VERSION`].
    pub version: u8,
    /// The username.
    pub name: String,
    /// Whose it is.
    pub identity: IdentityIn,
    /// Their network keys: 1 to [`RECORD_PEERS_MAX`], no two the same.
    #[serde(deserialize_with = "codec::bounded::<_, _, RECORD_PEERS_MAX>")]
    pub peers: Vec<PeerBindingIn>,
    /// Where they may be reached: hints, as multiaddr texts.
    #[serde(deserialize_with = "codec::bounded::<_, _, ADDRESSES_MAX>")]
    pub addresses: Vec<String>,
    /// Their home rendezvous nodes, multiaddr texts that end in `/p2p/…`.
    #[serde(deserialize_with = "codec::bounded::<_, _, HOMES_MAX>")]
    pub homes: Vec<String>,
    /// Their mailbox at those nodes.
    pub mailbox: Option<MailboxDescriptorIn>,
    /// 1 for the first record of an account; grows by one.
    pub seq: u64,
    /// [`super::Record::hash`] of the record before; zeros in the first.
    pub prev_hash: Fixed<32>,
    /// When it was made, by its owner's clock.
    pub issued: Timestamp,
    /// By the identity, for [`Purpose::Record`], over one field: the encoding of all fields above.
    pub signature: Fixed<SIGNATURE_BYTES>,
}

/// A network key that names an account as its owner. The record that holds it is
/// the owner's word for the key, so the two are bound both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerBindingIn {
    /// libp2p's Ed25519 public key.
    pub peer_key: Fixed<32>,
    /// By that key, for [`Purpose::PeerOwner`], over the account id.
    pub signature: Fixed<SIGNATURE_BYTES>,
}

impl PeerBindingIn {
    fn verify(&self, account: AccountId) -> Result<(), RecordError> {
        let key = VerifyingKey::from_bytes(&self.peer_key.0).map_err(|_| RecordError::Peer)?;
        key.verify(Purpose::PeerOwner, &[account.as_bytes()], &Signature::from(self.signature))
            .map_err(|_| RecordError::Peer)
    }
}

/// Binds the network key `peer` to `account`.
#[must_use]
pub fn peer_binding(peer: &SigningKey, account: AccountId) -> PeerBindingIn {
    PeerBindingIn {
        peer_key: peer.verifying_key().to_wire(),
        signature: peer.sign(Purpose::PeerOwner, &[account.as_bytes()]).to_wire(),
    }
}

/// Why a record was not accepted: the fault of whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not an encoding of a record.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Written by a newer version.
    #[error("the record has version {0}, which is not known here")]
    Version(u8),
    /// The name is none.
    #[error("the record's name is not valid: {0}")]
    Name(#[from] UsernameError),
    /// The identity does not certify itself.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A list is longer than allowed, has doubles, or names no peer; or the whole is too long.
    #[error("the record breaks a bound")]
    Bounds,
    /// An address is none.
    #[error("an address of the record is not valid: {0}")]
    Address(#[from] AddressError),
    /// A network key does not name this account as its owner.
    #[error("a network key of the record belongs to somebody else")]
    Peer,
    /// The mailbox is not the identity's.
    #[error(transparent)]
    Mailbox(#[from] DescriptorError),
    /// The number does not fit the record that is said to be the one before.
    #[error("the record's number does not fit the one before it")]
    Sequence,
    /// Not signed by the identity.
    #[error("the record's signature is wrong")]
    BadSignature,
}

impl RecordIn {
    /// Decodes a record; [`Self::verify`] comes next.
    ///
    /// # Errors
    /// [`RecordError::Decode`]
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        Ok(codec::decode(bytes, RECORD_MAX_BYTES)?)
    }

    pub(super) fn check(&self) -> Result<Checked, RecordError> {
        if self.version != RECORD_VERSION {
            return Err(RecordError::Version(self.version));
        }
        self.check_bounds()?;
        let name = Username::parse(&self.name)?;
        let identity = self.identity.verify()?;
        let encoded = self.encode()?;
        let signed = encoded.get(..encoded.len().saturating_sub(SIGNATURE_BYTES)).ok_or(RecordError::Bounds)?;
        identity
            .verify(Purpose::Record, &[signed], &Signature::from(self.signature))
            .map_err(|_| RecordError::BadSignature)?;
        self.peers.iter().try_for_each(|peer| peer.verify(identity.account_id()))?;
        let mailbox = self.mailbox.as_ref().map(|mailbox| mailbox.verify(&identity)).transpose()?;
        Ok(Checked { name, identity, mailbox, encoded })
    }

    fn check_bounds(&self) -> Result<(), RecordError> {
        let peers: HashSet<&Fixed<32>> = self.peers.iter().map(|peer| &peer.peer_key).collect();
        let bounded = (1..=RECORD_PEERS_MAX).contains(&self.peers.len())
            && peers.len() == self.peers.len()
            && self.addresses.len() <= ADDRESSES_MAX
            && self.homes.len() <= HOMES_MAX;
        if !bounded {
            return Err(RecordError::Bounds);
        }
        // Exactly the first record has none before it.
        if self.seq == 0 || (self.seq == 1) != (self.prev_hash.0 == [0; 32]) {
            return Err(RecordError::Sequence);
        }
        self.addresses.iter().try_for_each(|address| check_address(address).map(|_| ()))?;
        self.homes.iter().try_for_each(|home| check_home(home).map(|_| ()))?;
        Ok(())
    }

    fn encode(&self) -> Result<Vec<u8>, RecordError> {
        codec::encode(self, RECORD_MAX_BYTES).map_err(|_| RecordError::Bounds)
    }

    pub(super) fn sign(&mut self, identity: &IdentityKeyPair) -> Result<(), RecordError> {
        let mut signed = self.encode()?;
        signed.truncate(signed.len().saturating_sub(SIGNATURE_BYTES));
        self.signature = identity.sign(Purpose::Record, &[&signed]).to_wire();
        Ok(())
    }
}

/// What a record is made of, once it was found to be true.
pub(super) struct Checked {
    pub(super) name: Username,
    pub(super) identity: PublicIdentity,
    pub(super) mailbox: Option<MailboxDescriptor>,
    pub(super) encoded: Vec<u8>,
}
