//! One signed operation: its encoding, and what can be checked of it alone.

use serde::{Deserialize, Serialize};

use crate::crypto::kdf;
use crate::id::{AccountId, ChainId, GroupId, OperationId, Timestamp};
use crate::identity::{IdentityKeyPair, PublicIdentity, Purpose, Signature};
use crate::limits::{GROUP_OPERATION_MAX_BYTES, GROUP_PARENTS_MAX, GROUP_SEEN_MAX};
use crate::record::Record;
use crate::validate::{GroupName, GroupNameError, TextError, check_group_description};
use crate::wire::codec::{self, Bytes, Fixed};

/// The version of [`OperationIn`] that this code writes and understands.
pub const OPERATION_VERSION: u8 = 1;
const SIGNATURE_BYTES: usize = 64;

/// What a member may do. Ordered: whoever is higher may do all that the lower may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads, writes, leaves.
    Member,
    /// Also adds people, removes and bans members, invites, renames and describes.
    Admin,
    /// Also removes anybody, sets roles and hands the group over.
    Owner,
}

/// How one comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinPolicy {
    /// Whoever asks is added by the first admin who hears it.
    Open,
    /// An admin decides.
    Approval,
    /// Only with an invitation.
    Invite,
}

/// What a group says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// What it is about; may be empty.
    pub description: String,
    /// How one comes in.
    pub join: JoinPolicy,
    /// It is listed in the directory.
    pub public: bool,
}

/// Why a name or a description is none. The fault of whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AboutError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] GroupNameError),
    /// The description is none.
    #[error(transparent)]
    Description(#[from] TextError),
}

impl About {
    /// Checks name and description.
    ///
    /// # Errors
    /// [`AboutError`]
    pub fn check(&self) -> Result<(), AboutError> {
        GroupName::parse(&self.name)?;
        check_group_description(&self.description)?;
        Ok(())
    }
}

/// How far one of somebody's chains was read by whoever removed them: what comes later
/// in it is read by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainPlace {
    /// Which chain.
    pub chain: ChainId,
    /// The number of the first message that does not count any more.
    pub next: u32,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Begins the group: the author is its owner. The first of all operations.
    Create {
        /// Chosen at random: makes the group's id.
        nonce: Fixed<32>,
        /// What the group says of itself.
        about: About,
        /// The author's encoded record.
        record: Bytes,
    },
    /// Takes somebody in, as a member.
    Add {
        /// Their encoded record: who they are, and how they are reached.
        record: Bytes,
    },
    /// Puts somebody out.
    Remove {
        /// Whom.
        member: AccountId,
        /// How far each of their chains is read, by chain, at most [`GROUP_SEEN_MAX`].
        #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_SEEN_MAX>")]
        seen: Vec<ChainPlace>,
    },
    /// The author goes.
    Leave {
        /// How far the author wrote in each chain, by chain, at most [`GROUP_SEEN_MAX`].
        #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_SEEN_MAX>")]
        seen: Vec<ChainPlace>,
    },
    /// Puts somebody out, and keeps them out.
    Ban {
        /// Whom.
        member: AccountId,
        /// How far each of their chains is read, by chain, at most [`GROUP_SEEN_MAX`].
        #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_SEEN_MAX>")]
        seen: Vec<ChainPlace>,
    },
    /// Ends a ban.
    Unban {
        /// Whose.
        member: AccountId,
    },
    /// Gives somebody another role.
    SetRole {
        /// Whom.
        member: AccountId,
        /// Which.
        role: Role,
    },
    /// Makes somebody the owner and the author an admin.
    Transfer {
        /// To whom.
        member: AccountId,
    },
    /// Changes what the group says of itself.
    Update {
        /// All of it.
        about: About,
    },
    /// Opens an invite link.
    Invite {
        /// Names it.
        id: Fixed<16>,
        /// [`invite_hash`] of its secret.
        hash: Fixed<32>,
        /// When it ends.
        expires: Option<Timestamp>,
    },
    /// Ends an invite link.
    RevokeInvite {
        /// Which.
        id: Fixed<16>,
    },
}

/// What an operation tells of an invite's secret.
#[must_use]
pub fn invite_hash(id: &[u8; 16], secret: &[u8; 16]) -> [u8; 32] {
    kdf::hash_fields("group-invite", &[id, secret])
}

impl Action {
    /// The account that it puts out.
    #[must_use]
    pub const fn removes(&self, author: AccountId) -> Option<AccountId> {
        match self {
            Self::Remove { member, .. } | Self::Ban { member, .. } => Some(*member),
            Self::Leave { .. } => Some(author),
            _ => None,
        }
    }

    /// How far each chain of the one that it puts out is read. In no other is anything read.
    #[must_use]
    pub fn seen(&self) -> &[ChainPlace] {
        match self {
            Self::Remove { seen, .. } | Self::Ban { seen, .. } | Self::Leave { seen } => seen,
            _ => &[],
        }
    }

    fn record(&self) -> Option<&Bytes> {
        match self {
            Self::Create { record, .. } | Self::Add { record } => Some(record),
            _ => None,
        }
    }

    fn about(&self) -> Option<&About> {
        match self {
            Self::Create { about, .. } | Self::Update { about } => Some(about),
            _ => None,
        }
    }
}

/// An operation as it travels: not to be believed before [`super::Membership::add`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationIn {
    /// [`OPERATION_VERSION`].
    pub version: u8,
    /// Which group.
    pub group: GroupId,
    /// Whose operation.
    pub author: AccountId,
    /// The author's own count of operations in this group, from 1.
    pub seq: u64,
    /// The newest operations that the author knew, ascending, at most [`GROUP_PARENTS_MAX`].
    #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_PARENTS_MAX>")]
    pub parents: Vec<OperationId>,
    /// What it does.
    pub action: Action,
    /// By the author's identity, for [`Purpose::GroupOperation`], over one field: the encoding of all fields above.
    pub signature: Fixed<64>,
}

/// An operation whose own bounds were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub(super) id: OperationId,
    pub(super) wire: OperationIn,
    pub(super) encoded: Vec<u8>,
    pub(super) record: Option<Box<Record>>,
}

impl Operation {
    pub(super) fn sign(identity: &IdentityKeyPair, mut wire: OperationIn) -> Option<Self> {
        wire.signature = Fixed([0; SIGNATURE_BYTES]);
        let mut signed = codec::encode(&wire, GROUP_OPERATION_MAX_BYTES).ok()?;
        signed.truncate(signed.len().saturating_sub(SIGNATURE_BYTES));
        wire.signature = identity.sign(Purpose::GroupOperation, &[&signed]).to_wire();
        Self::decode(&codec::encode(&wire, GROUP_OPERATION_MAX_BYTES).ok()?)
    }

    /// Decodes and checks every bound and the record; not yet the signature.
    pub(super) fn decode(encoded: &[u8]) -> Option<Self> {
        Self::read(encoded)?.with_record()
    }

    /// Decodes and checks what costs next to nothing: neither the signature nor the record.
    pub(super) fn read(encoded: &[u8]) -> Option<Self> {
        let wire: OperationIn = codec::decode(encoded, GROUP_OPERATION_MAX_BYTES).ok()?;
        let ascending = wire.parents.is_sorted_by(|one, other| one < other);
        let bounded = wire.version == OPERATION_VERSION && wire.parents.len() <= GROUP_PARENTS_MAX && ascending;
        let about = wire.action.about().is_none_or(|about| about.check().is_ok());
        // Each chain once: all who read it come to the same end of it.
        let once = wire.action.seen().is_sorted_by(|one, other| one.chain < other.chain);
        if !bounded || !about || !once {
            return None;
        }
        let id = OperationId(kdf::hash_fields("group-op-id", &[encoded]));
        Some(Self { id, wire, encoded: encoded.to_vec(), record: None })
    }

    /// Decodes and checks the record too, if it carries one: several signatures.
    pub(super) fn with_record(mut self) -> Option<Self> {
        if let Some(bytes) = self.wire.action.record() {
            self.record = Some(Box::new(Record::decode(&bytes.0).ok()?));
        }
        Some(self)
    }

    pub(super) fn is_signed_by(&self, identity: &PublicIdentity) -> bool {
        let signed = self.encoded.get(..self.encoded.len().saturating_sub(SIGNATURE_BYTES)).unwrap_or_default();
        identity.verify(Purpose::GroupOperation, &[signed], &Signature::from(self.wire.signature)).is_ok()
    }

    /// Names it.
    #[must_use]
    pub const fn id(&self) -> OperationId {
        self.id
    }

    /// Who did it.
    #[must_use]
    pub const fn author(&self) -> AccountId {
        self.wire.author
    }

    /// What it does.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.wire.action
    }

    /// The record of the one whom it takes in.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.record.as_deref()
    }

    /// As it travels.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Whom it takes in.
    pub(super) fn adds(&self) -> Option<AccountId> {
        self.record.as_ref().map(|record| record.account_id())
    }
}
