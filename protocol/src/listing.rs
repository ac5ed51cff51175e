//! A public group's entry in the directory of a rendezvous node: signed by one of its admins, so
//! that the node can list or hide it, and change nothing. Floor 4.
//!
//! An entry says how to ask for membership, not who is a member: whoever joins judges the group by
//! its signed operations ([`crate::membership`]), never by this.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, GroupId, Timestamp};
use crate::identity::{IdentityError, IdentityIn, IdentityKeyPair, Purpose, Signature};
use crate::limits::{CLOCK_SKEW_MS, LISTING_ADMINS_MAX, LISTING_HOMES_MAX, LISTING_LIFETIME_MAX_MS, LISTING_MAX_BYTES};
use crate::validate::{AddressError, GroupName, GroupNameError, TextError, check_group_description, check_home};
use crate::wire::codec::{self, DecodeError, Fixed};

/// The version of [`ListingIn`] that this code writes and understands.
pub const LISTING_VERSION: u8 = 1;
const SIGNATURE_BYTES: usize = 64;

/// Who may join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ListedJoin {
    /// Whoever asks.
    Open,
    /// Whoever asks and is approved by an admin.
    Approval,
    /// Whoever has an invite.
    Invite,
}

/// An admin whom one may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedAdmin {
    /// Who.
    pub account: AccountId,
    /// Rendezvous nodes that know this account, as multiaddr texts with `/p2p/…`; its record is
    /// looked up there, or at the node that serves the entry.
    #[serde(deserialize_with = "codec::bounded::<_, _, LISTING_HOMES_MAX>")]
    pub homes: Vec<String>,
}

/// An entry as it travels: not to be believed before [`ListingIn::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingIn {
    /// [`LISTING_VERSION`].
    pub version: u8,
    /// Which group.
    pub group: GroupId,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Who may join.
    pub join: ListedJoin,
    /// How many members it has, by the author's word.
    pub members: u32,
    /// Whom to ask: 1 to [`LISTING_ADMINS_MAX`], the author among them, no two the same.
    #[serde(deserialize_with = "codec::bounded::<_, _, LISTING_ADMINS_MAX>")]
    pub admins: Vec<ListedAdmin>,
    /// From 1; each renewal has a higher one.
    pub seq: u64,
    /// When it was made, by its author's clock.
    pub issued: Timestamp,
    /// Not listed from then on; at most [`LISTING_LIFETIME_MAX_MS`] after `issued`.
    pub expires: Timestamp,
    /// Who signed it.
    pub author: IdentityIn,
    /// By the author, for [`Purpose::DirectoryEntry`], over one field: the encoding of all fields above.
    pub signature: Fixed<SIGNATURE_BYTES>,
}

/// Why an entry was not accepted: the fault of whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// Not an encoding of an entry.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Written by a newer version.
    #[error("the group's entry has version {0}, which is not known here")]
    Version(u8),
    /// The name is none.
    #[error(transparent)]
    Name(#[from] GroupNameError),
    /// The description is none.
    #[error(transparent)]
    Description(#[from] TextError),
    /// The author's identity does not certify itself.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A home is no address.
    #[error("an address of the group's entry is not valid: {0}")]
    Address(#[from] AddressError),
    /// A list is too long, has doubles or does not name the author; the number is zero; or it has no member.
    #[error("the group's entry breaks a bound")]
    Bounds,
    /// It expired, is from the future, or would live too long.
    #[error("the group's entry is not of this time")]
    Time,
    /// Not signed by the author.
    #[error("the signature of the group's entry is wrong")]
    BadSignature,
}

/// What an admin decides of an entry.
#[derive(Debug, Clone)]
pub struct ListingFields {
    /// Which group.
    pub group: GroupId,
    /// Its name.
    pub name: GroupName,
    /// What it is about.
    pub description: String,
    /// Who may join.
    pub join: ListedJoin,
    /// How many members it has.
    pub members: u32,
    /// Whom to ask, the author among them.
    pub admins: Vec<ListedAdmin>,
    /// Higher than the former entry's; 1 for the first.
    pub seq: u64,
    /// How long it is good, in milliseconds; at most [`LISTING_LIFETIME_MAX_MS`].
    pub lifetime_ms: u64,
}

impl ListingIn {
    /// Decodes an entry; [`Self::verify`] comes next.
    ///
    /// # Errors
    /// [`ListingError::Decode`]
    pub fn decode(bytes: &[u8]) -> Result<Self, ListingError> {
        Ok(codec::decode(bytes, LISTING_MAX_BYTES)?)
    }

    /// Checks everything that an entry says of itself.
    ///
    /// # Errors
    /// [`ListingError`]
    pub fn verify(self, now: Timestamp) -> Result<Listing, ListingError> {
        if self.version != LISTING_VERSION {
            return Err(ListingError::Version(self.version));
        }
        let name = GroupName::parse(&self.name)?;
        check_group_description(&self.description)?;
        let author = self.author.verify()?;
        self.check_bounds(author.account_id())?;
        self.check_time(now)?;
        let encoded = self.encode()?;
        author
            .verify(Purpose::DirectoryEntry, &[signed_part(&encoded)?], &Signature::from(self.signature))
            .map_err(|_| ListingError::BadSignature)?;
        Ok(Listing { name, author: author.account_id(), encoded, wire: self })
    }

    fn check_bounds(&self, author: AccountId) -> Result<(), ListingError> {
        let accounts: HashSet<AccountId> = self.admins.iter().map(|admin| admin.account).collect();
        let bounded = self.admins.len() <= LISTING_ADMINS_MAX
            && accounts.len() == self.admins.len()
            && accounts.contains(&author)
            && self.admins.iter().all(|admin| admin.homes.len() <= LISTING_HOMES_MAX)
            && self.seq > 0
            && self.members > 0;
        if !bounded {
            return Err(ListingError::Bounds);
        }
        self.admins.iter().flat_map(|admin| &admin.homes).try_for_each(|home| check_home(home).map(|_| ()))?;
        Ok(())
    }

    fn check_time(&self, now: Timestamp) -> Result<(), ListingError> {
        let of_this_time = self.issued <= now.plus_ms(CLOCK_SKEW_MS)
            && self.expires > now
            && self.expires > self.issued
            && self.expires.since_ms(self.issued) <= LISTING_LIFETIME_MAX_MS;
        if of_this_time { Ok(()) } else { Err(ListingError::Time) }
    }

    fn encode(&self) -> Result<Vec<u8>, ListingError> {
        codec::encode(self, LISTING_MAX_BYTES).map_err(|_| ListingError::Bounds)
    }
}

fn signed_part(encoded: &[u8]) -> Result<&[u8], ListingError> {
    encoded.get(..encoded.len().saturating_sub(SIGNATURE_BYTES)).ok_or(ListingError::Bounds)
}

/// A verified entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    name: GroupName,
    author: AccountId,
    encoded: Vec<u8>,
    wire: ListingIn,
}

impl Listing {
    /// Makes and signs an entry.
    ///
    /// # Errors
    /// [`ListingError`] when the fields break a rule.
    pub fn create(identity: &IdentityKeyPair, fields: ListingFields, now: Timestamp) -> Result<Self, ListingError> {
        let mut wire = ListingIn {
            version: LISTING_VERSION,
            group: fields.group,
            name: fields.name.as_str().to_owned(),
            description: fields.description,
            join: fields.join,
            members: fields.members,
            admins: fields.admins,
            seq: fields.seq,
            issued: now,
            expires: now.plus_ms(fields.lifetime_ms),
            author: identity.public().to_wire(),
            signature: Fixed([0; SIGNATURE_BYTES]),
        };
        let encoded = wire.encode()?;
        wire.signature = identity.sign(Purpose::DirectoryEntry, &[signed_part(&encoded)?]).to_wire();
        wire.verify(now)
    }

    /// Decodes and verifies an entry.
    ///
    /// # Errors
    /// [`ListingError`]
    pub fn decode(bytes: &[u8], now: Timestamp) -> Result<Self, ListingError> {
        ListingIn::decode(bytes)?.verify(now)
    }

    /// As it travels and is stored.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Which group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.wire.group
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &GroupName {
        &self.name
    }

    /// What it is about. Others wrote it: escape it before it is shown.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.wire.description
    }

    /// Who may join.
    #[must_use]
    pub const fn join(&self) -> ListedJoin {
        self.wire.join
    }

    /// How many members it has, by the author's word.
    #[must_use]
    pub const fn members(&self) -> u32 {
        self.wire.members
    }

    /// Whom to ask; the author is among them.
    #[must_use]
    pub fn admins(&self) -> &[ListedAdmin] {
        &self.wire.admins
    }

    /// Whether `account` is one of the admins that it names, so that a renewal may be theirs.
    #[must_use]
    pub fn names(&self, account: &AccountId) -> bool {
        self.wire.admins.iter().any(|admin| admin.account == *account)
    }

    /// Who signed it.
    #[must_use]
    pub const fn author(&self) -> AccountId {
        self.author
    }

    /// Its number.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.wire.seq
    }

    /// When it was made, by its author's clock.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.wire.issued
    }

    /// Not listed from then on.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.wire.expires
    }
}

#[cfg(test)]
#[path = "listing/tests.rs"]
mod tests;
