//! Sender keys: each member of a group has a chain of message keys and a signing
//! key of its own, handed to the others over pairwise sessions. Floor 6.
//!
//! `mk = HMAC(CK, 01)`, `CK' = HMAC(CK, 02)`. The body of a message is encrypted
//! under `HKDF-Expand(mk, L(group/msg) ‖ nonce)`, and the whole is signed by the
//! chain's own Ed25519 key, so that another member, who has the chain key as
//! well, can't speak in the author's name.
//!
//! A chain key that was handed out stays readable for whoever has it: therefore
//! [`SenderKey::encrypt`] refuses while somebody holds the chain who may not
//! read on, and the owner begins a new one.

mod receiving;

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

pub use self::receiving::{ChainError, GroupDecryptError, MemberChains};
use crate::crypto::aead::{self, NONCE_BYTES, TAG_BYTES, XNONCE_BYTES};
use crate::crypto::ed25519::{Purpose, Signature, SigningKey};
use crate::crypto::kdf;
use crate::crypto::secret::{Secret, SecretBytes};
use crate::crypto::state::{StateError, StateReader, StateWriter};
use crate::id::{AccountId, ChainId, GroupId, MessageHash, Timestamp, ViewId};
use crate::limits::{
    GROUP_CHAIN_MAX_MESSAGES, GROUP_CHAIN_ROTATE_MS, GROUP_HEADS_MAX, GROUP_MEMBERS_MAX, GROUP_MESSAGE_MAX_BYTES,
};
use crate::padding;
use crate::wire::codec::{self, Bytes, DecodeError, EncodeError, Fixed};

/// The version of [`GroupMessageIn`] that this code writes and understands.
pub const GROUP_MESSAGE_VERSION: u8 = 1;
const STATE_VERSION: u8 = 2;
/// The body key is used once, so that its nonce needs not differ.
const BODY_NONCE: [u8; NONCE_BYTES] = [0; NONCE_BYTES];

/// An encrypted group message as it travels: not to be believed before
/// [`MemberChains::decrypt`]. The group is not in it, and yet signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMessageIn {
    /// [`GROUP_MESSAGE_VERSION`].
    pub version: u8,
    /// Who says to have written it.
    pub author: AccountId,
    /// Which of the author's chains.
    pub chain: ChainId,
    /// Its number in the chain, from 0.
    pub number: u32,
    /// The membership that the author saw.
    pub view: ViewId,
    /// The newest messages that the author had seen, sorted, at most [`GROUP_HEADS_MAX`].
    #[serde(deserialize_with = "codec::bounded::<_, _, GROUP_HEADS_MAX>")]
    pub heads: Vec<MessageHash>,
    /// Nonce (24), padded body, tag (16).
    pub ciphertext: Bytes,
    /// By the chain's key, for [`Purpose::GroupMessage`].
    pub signature: Fixed<64>,
}

impl GroupMessageIn {
    /// Its encoding.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`]
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(self, GROUP_MESSAGE_MAX_BYTES)
    }

    /// Decodes and checks every bound.
    ///
    /// # Errors
    /// [`DecodeError`] (the sender's fault).
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message: Self = codec::decode(bytes, GROUP_MESSAGE_MAX_BYTES)?;
        let sorted = message.heads.is_sorted_by(|one, other| one < other);
        let whole = message.version == GROUP_MESSAGE_VERSION && message.heads.len() <= GROUP_HEADS_MAX && sorted;
        if whole { Ok(message) } else { Err(DecodeError::Malformed) }
    }

    /// Names an encoded message.
    #[must_use]
    pub fn hash(encoded: &[u8]) -> MessageHash {
        MessageHash(kdf::hash_fields("group-msg-id", &[encoded]))
    }

    fn heads_bytes(&self) -> Vec<u8> {
        self.heads.iter().flat_map(|head| head.0).collect()
    }

    fn signed_by(&self, key: &SigningKey, group: GroupId) -> Signature {
        let (number, heads) = (self.number.to_le_bytes(), self.heads_bytes());
        key.sign(Purpose::GroupMessage, &self.fields(&group, &number, &heads))
    }

    /// What is signed: `group ‖ author ‖ view ‖ chain ‖ n ‖ heads ‖ ciphertext`.
    fn fields<'a>(&'a self, group: &'a GroupId, number: &'a [u8; 4], heads: &'a [u8]) -> [&'a [u8]; 7] {
        [
            group.as_ref(),
            self.author.as_ref(),
            self.view.as_ref(),
            self.chain.as_ref(),
            number,
            heads,
            &self.ciphertext.0,
        ]
    }
}

/// The associated data of a body: the place it belongs to.
fn associated(group: GroupId, chain: ChainId, number: u32) -> [u8; 52] {
    let mut out = [0; 52];
    let (first, rest) = out.split_at_mut(32);
    let (second, third) = rest.split_at_mut(16);
    first.copy_from_slice(&group.0);
    second.copy_from_slice(&chain.0);
    third.copy_from_slice(&number.to_le_bytes());
    out
}

/// A chain's key.
struct ChainKey(Secret<32>);

impl ChainKey {
    /// The key of the present message, and the chain's next key.
    fn step(&self) -> (Secret<32>, Self) {
        let (message, next) = kdf::hmac_sha256_pair(&self.0, &[1], &[2]);
        (message, Self(next))
    }
}

fn body_key(message_key: &Secret<32>, nonce: &[u8; XNONCE_BYTES]) -> Secret<32> {
    kdf::hkdf_expand(message_key, &[b"secure-chat/1/group/msg", nonce])
}

/// A chain as its owner hands it to another member, over their session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainIn {
    /// Names the chain.
    pub chain: ChainId,
    /// The number of the first message that the key below opens.
    pub number: u32,
    /// The chain key at that number.
    pub key: Fixed<32>,
    /// The key that its messages are signed with.
    pub signing: Fixed<32>,
    /// The membership that it was begun under.
    pub view: ViewId,
}

impl std::fmt::Debug for ChainIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChainIn({:?} from {})", self.chain, self.number)
    }
}

/// Why a group message could not be made. The caller's to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupEncryptError {
    /// Somebody holds the chain who is no longer in the roster, or it is old: begin another.
    #[error("the chain must be replaced before anything is sent")]
    MustRotate,
    /// Too long, or too many heads.
    #[error("the message is too long")]
    TooLong,
}

/// The own chain in one group.
pub struct SenderKey {
    chain: ChainId,
    key: ChainKey,
    number: u32,
    signing: SigningKey,
    view: ViewId,
    created: Timestamp,
    /// Who was handed the chain, and from which number on.
    holders: BTreeMap<AccountId, u32>,
    /// The key of number 0: whoever was handed the chain and lost it gets the same again, so
    /// that they can read what was said meanwhile. It opens nothing but own messages.
    origin: ChainKey,
}

impl std::fmt::Debug for SenderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SenderKey({:?} at {})", self.chain, self.number)
    }
}

impl SenderKey {
    /// A new chain, for the membership `view`.
    pub fn generate<R: CryptoRng + ?Sized>(view: ViewId, now: Timestamp, rng: &mut R) -> Self {
        let (chain, origin) = (ChainId::random(rng), Secret::random(rng));
        Self {
            chain,
            key: ChainKey(origin.duplicate()),
            origin: ChainKey(origin),
            number: 0,
            signing: SigningKey::generate(rng),
            view,
            created: now,
            holders: BTreeMap::new(),
        }
    }

    /// Names the chain.
    #[must_use]
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// The number of the next message.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Who was handed the chain.
    pub fn holders(&self) -> impl Iterator<Item = &AccountId> {
        self.holders.keys()
    }

    /// Whether somebody was handed the chain.
    #[must_use]
    pub fn is_held_by(&self, member: &AccountId) -> bool {
        self.holders.contains_key(member)
    }

    /// Whether another chain must be begun before the next message: somebody holds
    /// this one who is not in `roster`, or it is old or long.
    #[must_use]
    pub fn must_rotate(&self, roster: &BTreeSet<AccountId>, now: Timestamp) -> bool {
        self.number >= GROUP_CHAIN_MAX_MESSAGES
            || now.since_ms(self.created) >= GROUP_CHAIN_ROTATE_MS
            || !self.holders.keys().all(|holder| roster.contains(holder))
    }

    /// The chain at its present place, for another member; notes that they have it.
    /// Whoever had it already gets it at the place where they got it first.
    pub fn hand_to(&mut self, member: AccountId) -> ChainIn {
        let number = *self.holders.entry(member).or_insert(self.number);
        let key = if number == self.number {
            self.key.0.duplicate()
        } else {
            (0..number).fold(ChainKey(self.origin.0.duplicate()), |key, _| key.step().1).0
        };
        ChainIn {
            chain: self.chain,
            number,
            key: Fixed(*key.expose()),
            signing: self.signing.verifying_key().to_wire(),
            view: self.view,
        }
    }

    /// Encrypts and signs a message for the members in `roster`. The state that
    /// this leaves must be durable before the message leaves.
    ///
    /// # Errors
    /// [`GroupEncryptError`]
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        context: &SendContext<'_>,
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<GroupMessageIn, GroupEncryptError> {
        if self.must_rotate(context.roster, context.now) {
            return Err(GroupEncryptError::MustRotate);
        }
        let mut heads = context.heads.to_vec();
        heads.sort_unstable();
        heads.dedup();
        let fits = padding::padded_length(plaintext.len()) <= GROUP_MESSAGE_MAX_BYTES - 2_048;
        if heads.len() > GROUP_HEADS_MAX || !fits {
            return Err(GroupEncryptError::TooLong);
        }
        let (message_key, next) = self.key.step();
        let mut nonce = [0; XNONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let room = padding::padded_length(plaintext.len()).saturating_add(XNONCE_BYTES + TAG_BYTES);
        let mut body = Vec::with_capacity(room);
        body.extend_from_slice(&nonce);
        padding::pad_into(plaintext, &mut body);
        let place = associated(context.group, self.chain, self.number);
        let sealed = body.get_mut(XNONCE_BYTES..).ok_or(GroupEncryptError::TooLong)?;
        let tag = aead::seal_in_place(&body_key(&message_key, &nonce), &BODY_NONCE, &place, sealed);
        body.extend_from_slice(&tag);
        let mut message = GroupMessageIn {
            version: GROUP_MESSAGE_VERSION,
            author: context.author,
            chain: self.chain,
            number: self.number,
            view: context.view,
            heads,
            ciphertext: Bytes(body),
            signature: Fixed([0; 64]),
        };
        message.signature = message.signed_by(&self.signing, context.group).to_wire();
        self.key = next;
        self.number = self.number.saturating_add(1);
        Ok(message)
    }

    /// For the vault.
    #[must_use]
    pub fn to_secret_bytes(&self) -> SecretBytes {
        let mut out = StateWriter::with_capacity(self.holders.len().saturating_mul(36).saturating_add(224));
        out.u8(STATE_VERSION).fixed(&self.chain.0).fixed(self.key.0.expose()).u32(self.number);
        out.ed25519(&self.signing).fixed(&self.view.0).time(self.created).count(self.holders.len());
        for (holder, first) in &self.holders {
            out.fixed(&holder.0).u32(*first);
        }
        out.fixed(self.origin.0.expose());
        out.finish()
    }

    /// From the vault.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are not what [`Self::to_secret_bytes`] wrote.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut from = StateReader::new(bytes);
        if from.u8()? != STATE_VERSION {
            return Err(StateError);
        }
        let chain = ChainId(from.fixed()?);
        let key = ChainKey(from.secret()?);
        let (number, signing) = (from.u32()?, from.ed25519()?);
        let (view, created) = (ViewId(from.fixed()?), from.time()?);
        // Those who were removed stay holders until the chain is replaced.
        let count = from.count(GROUP_MEMBERS_MAX.saturating_mul(2))?;
        let mut holders = BTreeMap::new();
        for _ in 0..count {
            holders.insert(AccountId(from.fixed()?), from.u32()?.min(number));
        }
        let origin = ChainKey(from.secret()?);
        from.finish()?;
        Ok(Self { chain, key, number, signing, view, created, holders, origin })
    }
}

/// Where and for whom a message is encrypted.
#[derive(Debug, Clone, Copy)]
pub struct SendContext<'a> {
    /// The group.
    pub group: GroupId,
    /// The own account.
    pub author: AccountId,
    /// The membership as the author sees it.
    pub view: ViewId,
    /// Who may read it.
    pub roster: &'a BTreeSet<AccountId>,
    /// The newest messages seen.
    pub heads: &'a [MessageHash],
    /// The time.
    pub now: Timestamp,
}

#[cfg(test)]
mod tests;
