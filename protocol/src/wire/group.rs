//! A group's life between two of its members: what [`Content::Group`](super::content::Content)
//! carries inside a pairwise session, what is fetched over a connection, and the
//! link that invites. Untrusted until the engine has checked it.

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

use crate::id::{AccountId, ChainId, GroupId, MessageHash, MessageId, OperationId, Timestamp};
use crate::limits::{
    ADDRESS_MAX_BYTES, ADDRESSES_MAX, GROUP_ANSWER_MESSAGES_MAX, GROUP_GOSSIP_MAX_BYTES, GROUP_HEADS_MAX,
    GROUP_INVITE_OTHERS_MAX, GROUP_LIST_MAX, GROUP_MESSAGE_MAX_BYTES, GROUP_NAMED_MAX, GROUP_OPERATION_MAX_BYTES,
    GROUP_OPERATIONS_MAX, GROUP_PARENTS_MAX, GROUP_PLACES_MAX, GROUP_UNREACHED_MAX, INVITE_MAX_BYTES,
    PEER_FRAME_MAX_BYTES, PLAINTEXT_MAX_BYTES, RECEIPT_MAX_IDS, RECORD_MAX_BYTES,
};
use crate::membership::About;
use crate::sender_key::ChainIn;
use crate::wire::codec::{self, Bytes, DecodeError, EncodeError, Fixed};
use crate::wire::content::{ReceiptKind, TokenGrant};

/// The version of [`GroupControlIn`] that this code writes and understands.
pub const GROUP_CONTROL_VERSION: u8 = 1;
/// How the link that invites to a group begins.
pub const GROUP_INVITE_SCHEME: &str = "secure-chat-group:";
const GROUP_INVITE_VERSION: u8 = 1;

/// One control message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupControlIn {
    /// [`GROUP_CONTROL_VERSION`].
    pub version: u8,
    /// What it says.
    pub body: GroupControl,
}

/// Where somebody listens, as another member was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonIn {
    /// Whose addresses.
    pub account: AccountId,
    /// Multiaddr texts.
    #[serde(deserialize_with = "codec::bounded::<_, _, ADDRESSES_MAX>")]
    pub addresses: Vec<String>,
}

/// The secret of an invite link.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitePass {
    /// Which link.
    pub id: Fixed<16>,
    /// What only whoever has the link knows.
    pub secret: Fixed<16>,
}

impl std::fmt::Debug for InvitePass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InvitePass")
    }
}

/// What one member, or somebody who would be one, tells another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupControl {
    /// Would you join?
    Invitation {
        /// What the group says of itself.
        about: About,
        /// How many are in it.
        members: u32,
    },
    /// I would join.
    JoinRequest {
        /// The asker's encoded record.
        record: Bytes,
        /// Where the asker listens.
        #[serde(deserialize_with = "codec::bounded::<_, _, ADDRESSES_MAX>")]
        addresses: Vec<String>,
        /// From a link.
        pass: Option<InvitePass>,
    },
    /// The answer to a [`GroupControl::JoinRequest`] that waits or was refused.
    JoinAnswer(JoinAnswer),
    /// Operations on the membership, parents first.
    Operations {
        /// Encoded [`OperationIn`](crate::membership::OperationIn)s.
        #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_OPERATIONS_MAX>")]
        operations: Vec<Bytes>,
    },
    /// You are in: all operations have been told before this.
    Welcome {
        /// The newest of them.
        #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_LIST_MAX>")]
        heads: Vec<OperationId>,
        /// The present group secret.
        secret: SecretIn,
        /// Where members listen.
        #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_LIST_MAX>")]
        people: Vec<PersonIn>,
    },
    /// The group secret from now on.
    Secret(SecretIn),
    /// The author's chain.
    Chain {
        /// The chain.
        chain: ChainIn,
        /// What deposits in the author's mailboxes cost the recipient, if they run out of it.
        tokens: Option<TokenGrant>,
    },
    /// The recipient's chain is missing here.
    ChainRequest {
        /// Which.
        chain: ChainId,
    },
    /// Where members listen.
    People {
        /// At most [`GROUP_LIST_MAX`].
        #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_LIST_MAX>")]
        people: Vec<PersonIn>,
    },
    /// Messages of the recipient that were read.
    Receipt {
        /// Read.
        kind: ReceiptKind,
        /// At most [`RECEIPT_MAX_IDS`].
        #[serde(deserialize_with = "codec::bounded::<_, _, RECEIPT_MAX_IDS>")]
        ids: Vec<MessageId>,
    },
    /// More of what deposits in the author's mailboxes cost the recipient.
    Tokens(TokenGrant),
    /// A change of the membership by its author, with all that goes with it: so that it
    /// costs each other member one message.
    Change {
        /// An encoded [`OperationIn`](crate::membership::OperationIn).
        operation: Bytes,
        /// The group secret from now on, if the roster changed and the recipient is in it.
        secret: Option<SecretIn>,
        /// Where somebody who comes in listens.
        #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_LIST_MAX>")]
        people: Vec<PersonIn>,
    },
}

/// What became of a request to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JoinAnswer {
    /// An admin will decide.
    Waiting,
    /// No.
    Rejected,
    /// The link is over or was revoked.
    InviteOver,
    /// The group is full.
    Full,
    /// The asker is banned.
    Banned,
    /// The one who was asked can't take anybody in (any more).
    NotHere,
}

/// A group secret with its place in their order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretIn {
    /// One more than that of the secret before; of two with one number that of the
    /// lower author counts.
    pub generation: u64,
    /// The secret.
    pub secret: Fixed<32>,
}

impl std::fmt::Debug for SecretIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretIn({})", self.generation)
    }
}

fn within(people: &[PersonIn]) -> bool {
    let bounded = |person: &PersonIn| person.addresses.iter().all(|a| a.len() <= ADDRESS_MAX_BYTES);
    people.len() <= GROUP_LIST_MAX && people.iter().all(bounded)
}

impl GroupControl {
    /// Its encoding, with the version.
    ///
    /// # Errors
    /// [`EncodeError`]
    pub fn encode(self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(&GroupControlIn { version: GROUP_CONTROL_VERSION, body: self }, PLAINTEXT_MAX_BYTES)
    }

    /// Decodes and checks every bound.
    ///
    /// # Errors
    /// [`DecodeError`] (the sender's fault).
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let control: GroupControlIn = codec::decode(bytes, PLAINTEXT_MAX_BYTES)?;
        if control.version == GROUP_CONTROL_VERSION && control.body.within_bounds() {
            Ok(control.body)
        } else {
            Err(DecodeError::Malformed)
        }
    }

    fn within_bounds(&self) -> bool {
        match self {
            Self::Invitation { about, .. } => about.check().is_ok(),
            Self::JoinRequest { record, addresses, .. } => {
                record.0.len() <= RECORD_MAX_BYTES
                    && addresses.len() <= ADDRESSES_MAX
                    && addresses.iter().all(|address| address.len() <= ADDRESS_MAX_BYTES)
            }
            Self::Operations { operations } => {
                operations.iter().all(|operation| operation.0.len() <= GROUP_OPERATION_MAX_BYTES)
            }
            Self::Welcome { heads, people, .. } => heads.len() <= GROUP_LIST_MAX && within(people),
            Self::People { people } => within(people),
            Self::Change { operation, people, .. } => operation.0.len() <= GROUP_OPERATION_MAX_BYTES && within(people),
            Self::Receipt { ids, .. } => ids.len() <= RECEIPT_MAX_IDS,
            Self::JoinAnswer(_)
            | Self::Secret(_)
            | Self::Chain { .. }
            | Self::ChainRequest { .. }
            | Self::Tokens(_) => true,
        }
    }
}

/// What a member has, and would have from another: over a connection whose other
/// end has said who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupFetch {
    /// Which group.
    pub group: GroupId,
    /// The newest operations that the asker knows.
    #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_LIST_MAX>")]
    pub heads: Vec<OperationId>,
    /// For each chain, the number from which on messages are missing, at most [`GROUP_PLACES_MAX`].
    #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_PLACES_MAX>")]
    pub places: Vec<(ChainId, u32)>,
    /// The newest messages that the asker has seen, at most [`GROUP_HEADS_MAX`]: whoever
    /// knows one of them under the same place as another message sees a split.
    #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_HEADS_MAX>")]
    pub newest: Vec<MessageHash>,
    /// Messages that others named and the asker lacks, at most [`GROUP_NAMED_MAX`].
    #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_NAMED_MAX>")]
    pub named: Vec<MessageHash>,
}

impl GroupFetch {
    /// Whether it keeps the bounds.
    #[must_use]
    pub fn within_bounds(&self) -> bool {
        self.heads.len() <= GROUP_LIST_MAX.max(GROUP_PARENTS_MAX)
            && self.places.len() <= GROUP_PLACES_MAX
            && self.newest.len() <= GROUP_HEADS_MAX
            && self.named.len() <= GROUP_NAMED_MAX
    }
}

/// What the asker lacks, as far as it fits one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMissing {
    /// Encoded operations, parents first.
    #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_OPERATIONS_MAX>")]
    pub operations: Vec<Bytes>,
    /// Encoded messages, in the order in which they came to whoever answers.
    #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_ANSWER_MESSAGES_MAX>")]
    pub messages: Vec<Bytes>,
    /// Encoded messages that were asked for by their hashes, and are not among the others.
    #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_NAMED_MAX>")]
    pub named: Vec<Bytes>,
    /// For each of the asker's own chains, up to where whoever answers has it.
    #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_PLACES_MAX>")]
    pub yours: Vec<(ChainId, u32)>,
    /// There is more.
    pub more: bool,
}

impl GroupMissing {
    /// Whether it keeps the bounds.
    #[must_use]
    pub fn within_bounds(&self) -> bool {
        self.operations.iter().all(|operation| operation.0.len() <= GROUP_OPERATION_MAX_BYTES)
            && self.messages.iter().chain(&self.named).all(|message| message.0.len() <= GROUP_MESSAGE_MAX_BYTES)
            && self.named.len() <= GROUP_NAMED_MAX
            && self.yours.len() <= GROUP_PLACES_MAX
    }
}

/// Who passes a published message on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PassOn {
    /// Whoever receives it: the publisher did not reach many.
    All,
    /// Whoever is connected to one of these members, whom the publisher did not reach, by the
    /// first bytes of their account ids. (That two share them costs a copy.)
    To(#[serde(deserialize_with = "codec::bounded::<_, _, GROUP_UNREACHED_MAX>")] Vec<Fixed<4>>),
}

impl PassOn {
    /// To these, if they are few enough to be named.
    #[must_use]
    pub fn to(unreached: &[AccountId]) -> Self {
        if unreached.len() > GROUP_UNREACHED_MAX {
            return Self::All;
        }
        Self::To(unreached.iter().map(short).collect())
    }

    /// Of these, who are connected to whoever received it, those to whom they pass it on.
    pub fn concerned<'a>(&self, connected: impl IntoIterator<Item = &'a AccountId>) -> Vec<&'a AccountId> {
        let named = |account: &&AccountId| match self {
            Self::All => true,
            Self::To(unreached) => unreached.contains(&short(account)),
        };
        connected.into_iter().filter(named).collect()
    }
}

fn short(account: &AccountId) -> Fixed<4> {
    let [a, b, c, d, ..] = account.0;
    Fixed([a, b, c, d])
}

/// What is published on a group's topic, sealed with the group secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupGossip {
    /// Who passes it on.
    pub pass_on: PassOn,
    /// The encoded message.
    pub message: Bytes,
}

impl GroupGossip {
    /// For the group secret to seal.
    ///
    /// # Errors
    /// [`EncodeError`] when the message is longer than one may be.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(self, GROUP_GOSSIP_MAX_BYTES)
    }

    /// What the group secret opened.
    ///
    /// # Errors
    /// [`DecodeError`] for what no member's software sends.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let gossip: Self = codec::decode(bytes, GROUP_GOSSIP_MAX_BYTES)?;
        if gossip.message.0.len() > GROUP_MESSAGE_MAX_BYTES {
            return Err(DecodeError::Malformed);
        }
        Ok(gossip)
    }
}

/// A link that lets in whoever has it, until it ends or is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupInvite {
    version: u8,
    /// Which group.
    pub group: GroupId,
    /// Its name when the link was made.
    pub name: String,
    /// What lets in.
    pub pass: InvitePass,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Whom to ask: the text of an [`Invite`](crate::invite::Invite).
    pub inviter: String,
    /// Whom to ask if the inviter never comes, at most [`GROUP_INVITE_OTHERS_MAX`].
    #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_INVITE_OTHERS_MAX>")]
    pub others: Vec<OtherAdmin>,
}

/// Another admin, and a rendezvous node that knows how they are reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherAdmin {
    /// Who.
    pub account: AccountId,
    /// Multiaddr text.
    pub home: String,
}

/// Why a text is no group invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupInviteError {
    /// It does not start with [`GROUP_INVITE_SCHEME`].
    #[error("a group invite starts with {GROUP_INVITE_SCHEME}")]
    NotAnInvite,
    /// Cut short, changed or too long.
    #[error("the invite is damaged or incomplete: copy all of it, or ask for a new one")]
    Damaged,
}

impl GroupInvite {
    /// A link.
    #[must_use]
    pub fn new(group: GroupId, name: String, pass: InvitePass, expires: Option<Timestamp>, inviter: String) -> Self {
        Self { version: GROUP_INVITE_VERSION, group, name, pass, expires, inviter, others: Vec::new() }
    }

    /// The same, that names other admins as well.
    #[must_use]
    pub fn with_others(mut self, others: Vec<OtherAdmin>) -> Self {
        self.others = others;
        self.others.truncate(GROUP_INVITE_OTHERS_MAX);
        self
    }

    /// The text. Who has it may join: it is to be kept as secret as the group.
    ///
    /// # Errors
    /// [`EncodeError`]
    pub fn to_link(&self) -> Result<String, EncodeError> {
        let mut bytes = codec::encode(self, INVITE_MAX_BYTES.saturating_mul(2))?;
        let check = crate::crypto::kdf::hash_fields("group-invite-check", &[&bytes]);
        bytes.extend_from_slice(check.first_chunk::<4>().unwrap_or(&[0; 4]));
        Ok(format!("{GROUP_INVITE_SCHEME}{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()))
    }

    /// Reads a link. White space and upper case make no difference.
    ///
    /// # Errors
    /// [`GroupInviteError`]
    pub fn parse(text: &str) -> Result<Self, GroupInviteError> {
        if text.len() > INVITE_MAX_BYTES.saturating_mul(8) {
            return Err(GroupInviteError::Damaged);
        }
        let text: String = text.split_whitespace().collect();
        let scheme = text.get(..GROUP_INVITE_SCHEME.len()).ok_or(GroupInviteError::NotAnInvite)?;
        if !scheme.eq_ignore_ascii_case(GROUP_INVITE_SCHEME) {
            return Err(GroupInviteError::NotAnInvite);
        }
        let payload = text.get(GROUP_INVITE_SCHEME.len()..).unwrap_or_default().to_ascii_uppercase();
        let bytes = BASE32_NOPAD.decode(payload.as_bytes()).map_err(|_| GroupInviteError::Damaged)?;
        let (body, check) = bytes.split_last_chunk::<4>().ok_or(GroupInviteError::Damaged)?;
        let expected = crate::crypto::kdf::hash_fields("group-invite-check", &[body]);
        if !expected.starts_with(check) {
            return Err(GroupInviteError::Damaged);
        }
        let invite: Self =
            codec::decode(body, INVITE_MAX_BYTES.saturating_mul(2)).map_err(|_| GroupInviteError::Damaged)?;
        let bounded = invite.others.iter().all(|other| other.home.len() <= ADDRESS_MAX_BYTES);
        if invite.version == GROUP_INVITE_VERSION && bounded { Ok(invite) } else { Err(GroupInviteError::Damaged) }
    }
}

/// Room that messages and operations may take in one [`GroupMissing`], in bytes.
pub const GROUP_MISSING_MAX_BYTES: usize = PEER_FRAME_MAX_BYTES / 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_survives_mail_programs_and_refuses_a_changed_character() {
        let pass = InvitePass { id: Fixed([1; 16]), secret: Fixed([2; 16]) };
        let invite = GroupInvite::new(GroupId([3; 32]), "Hikers".into(), pass, Some(Timestamp(5)), "x".repeat(600));
        let link = invite.to_link().unwrap();
        let wrapped: String =
            link.as_bytes().chunks(70).map(|line| format!("{}\r\n", std::str::from_utf8(line).unwrap())).collect();
        for text in [link.clone(), wrapped, link.to_ascii_uppercase()] {
            assert_eq!(GroupInvite::parse(&text), Ok(invite.clone()));
        }
        for at in GROUP_INVITE_SCHEME.len()..link.len() {
            let mut changed = link.clone().into_bytes();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            assert!(GroupInvite::parse(std::str::from_utf8(&changed).unwrap()).is_err(), "character {at}");
        }
        assert_eq!(GroupInvite::parse("secure-chat:abc"), Err(GroupInviteError::NotAnInvite));
    }

    #[test]
    fn what_is_published_goes_on_to_those_alone_whom_its_author_did_not_reach() {
        let [near, far, away] = [1, 2, 3].map(|name| AccountId([name; 32]));
        let connected = [near, far];
        assert_eq!(PassOn::to(&[far, away]).concerned(&connected), [&far]);
        assert!(PassOn::to(&[]).concerned(&connected).is_empty());
        let many: Vec<AccountId> = (0..=GROUP_UNREACHED_MAX).map(|name| AccountId([name as u8 + 10; 32])).collect();
        assert_eq!(PassOn::to(&many).concerned(&connected), [&near, &far], "too many to be named");
    }

    #[test]
    fn lists_beyond_their_bounds_are_refused() {
        let person = PersonIn { account: AccountId([1; 32]), addresses: vec![String::new(); ADDRESSES_MAX + 1] };
        let control = GroupControl::People { people: vec![person.clone()] };
        assert_eq!(GroupControl::decode(&control.encode().unwrap()), Err(DecodeError::Malformed));
        let control = GroupControl::Change { operation: Bytes(Vec::new()), secret: None, people: vec![person] };
        assert_eq!(GroupControl::decode(&control.encode().unwrap()), Err(DecodeError::Malformed));
        let operation = Bytes(vec![0; GROUP_OPERATION_MAX_BYTES + 1]);
        let control = GroupControl::Change { operation, secret: None, people: Vec::new() };
        assert_eq!(GroupControl::decode(&control.encode().unwrap()), Err(DecodeError::Malformed));
        let ids = vec![MessageId([0; 16]); RECEIPT_MAX_IDS + 1];
        let control = GroupControl::Receipt { kind: ReceiptKind::Read, ids };
        assert_eq!(GroupControl::decode(&control.encode().unwrap()), Err(DecodeError::Malformed));
        let about = About { name: " ".into(), ..crate::membership::View::default().about };
        let control = GroupControl::Invitation { about, members: 1 };
        assert_eq!(GroupControl::decode(&control.encode().unwrap()), Err(DecodeError::Malformed));
    }
}
