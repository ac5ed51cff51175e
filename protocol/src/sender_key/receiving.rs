//! The chains of another member: what opens their messages.

use super::{BODY_NONCE, ChainIn, ChainKey, GroupMessageIn, STATE_VERSION, associated, body_key};
use crate::crypto::aead::{self, TAG_BYTES, XNONCE_BYTES};
use crate::crypto::ed25519::{Purpose, Signature, VerifyingKey};
use crate::crypto::secret::{Secret, SecretBytes};
use crate::crypto::state::{StateError, StateReader, StateWriter};
use crate::id::{AccountId, ChainId, GroupId, Timestamp, ViewId};
use crate::limits::{GROUP_CHAIN_IDLE_MS, GROUP_CHAINS_MAX, GROUP_CHAINS_UNREAD_MAX, SKIP_MAX, SKIPPED_KEYS_KEEP_MS};
use crate::padding;
use crate::wire::codec::Fixed;

/// Why a chain was not accepted. The sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Its signing key is unusable.
    #[error("the chain's signing key is unusable")]
    BadKey,
    /// Another chain has this name already.
    #[error("another chain has this name already")]
    Conflict,
}

/// Why a group message was not opened. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupDecryptError {
    /// This chain was not handed over yet, or is long gone.
    #[error("the chain of the message is not known")]
    UnknownChain,
    /// Not signed by the chain's owner, or meant for another group.
    #[error("the message is not signed by its author for this group")]
    Forged,
    /// Its key was used already.
    #[error("the message was opened before")]
    Duplicate,
    /// Written before the chain was handed over.
    #[error("the message was written before its chain was handed over")]
    TooOld,
    /// It lies too far ahead.
    #[error("too many messages are missing before this one")]
    SkipLimit,
    /// Signed by its author, and yet not a message.
    #[error("the message is signed by its author, and can't be read")]
    Malformed,
}

/// The key of a message that did not arrive yet. Boxed, so that the vector
/// leaves no copies of the key when it grows.
struct SkippedKey {
    number: u32,
    since: Timestamp,
    key: Box<Secret<32>>,
}

pub(super) struct MemberChain {
    chain: ChainId,
    signing: VerifyingKey,
    view: ViewId,
    first: u32,
    key: ChainKey,
    next: u32,
    /// Ascending.
    skipped: Vec<SkippedKey>,
    /// When it was handed over, or something of it came last.
    touched: Timestamp,
}

/// What opening one message changes.
enum Change {
    Forward { key: ChainKey, skipped: Vec<SkippedKey> },
    TakeSkipped { at: usize },
}

impl MemberChain {
    /// Whether it was read, lacks nothing, and nothing came of it for long.
    fn is_idle(&self, now: Timestamp) -> bool {
        self.next > self.first && self.skipped.is_empty() && now.since_ms(self.touched) > GROUP_CHAIN_IDLE_MS
    }

    /// What opening `number` changes; `room` is how many more keys may be set aside.
    fn plan(&self, number: u32, room: usize, now: Timestamp) -> Result<(Secret<32>, Change), GroupDecryptError> {
        if number < self.next {
            let Ok(at) = self.skipped.binary_search_by_key(&number, |skipped| skipped.number) else {
                let old = number < self.first;
                return Err(if old { GroupDecryptError::TooOld } else { GroupDecryptError::Duplicate });
            };
            let key = self.skipped.get(at).ok_or(GroupDecryptError::Duplicate)?;
            return Ok((key.key.duplicate(), Change::TakeSkipped { at }));
        }
        let ahead = number.saturating_sub(self.next);
        if ahead as usize > room || number == u32::MAX {
            return Err(GroupDecryptError::SkipLimit);
        }
        let mut key = ChainKey(self.key.0.duplicate());
        let mut skipped = Vec::new();
        for number in self.next..number {
            let (message, next) = key.step();
            skipped.push(SkippedKey { number, since: now, key: Box::new(message) });
            key = next;
        }
        let (message, key) = key.step();
        Ok((message, Change::Forward { key, skipped }))
    }

    fn commit(&mut self, number: u32, change: Change, now: Timestamp) {
        self.touched = now;
        match change {
            Change::Forward { key, skipped } => {
                self.skipped.extend(skipped);
                self.key = key;
                self.next = number.saturating_add(1);
            }
            Change::TakeSkipped { at } => drop(self.skipped.remove(at)),
        }
    }
}

/// The chains of one member in one group, newest last.
pub struct MemberChains {
    group: GroupId,
    author: AccountId,
    #[expect(clippy::vec_box, reason = "moving chains themselves would leave copies of their keys behind")]
    pub(super) chains: Vec<Box<MemberChain>>,
}

impl std::fmt::Debug for MemberChains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemberChains({} of {:?})", self.chains.len(), self.author)
    }
}

impl MemberChains {
    /// None yet.
    #[must_use]
    pub const fn new(group: GroupId, author: AccountId) -> Self {
        Self { group, author, chains: Vec::new() }
    }

    /// Takes over a chain that its owner handed over. The caller has made sure
    /// that it came over the owner's own session, and that the owner is in the
    /// roster. Says whether it was new.
    ///
    /// # Errors
    /// [`ChainError`]
    pub fn accept(&mut self, chain: &ChainIn, now: Timestamp) -> Result<bool, ChainError> {
        let signing = VerifyingKey::from_bytes(&chain.signing.0).map_err(|_| ChainError::BadKey)?;
        if let Some(known) = self.chains.iter().find(|known| known.chain == chain.chain) {
            return if known.signing == signing { Ok(false) } else { Err(ChainError::Conflict) };
        }
        self.drop_idle(GROUP_CHAINS_MAX.saturating_sub(1), now);
        if self.chains.len() >= GROUP_CHAINS_UNREAD_MAX {
            self.chains.remove(0);
        }
        self.chains.push(Box::new(MemberChain {
            chain: chain.chain,
            signing,
            view: chain.view,
            first: chain.number,
            key: ChainKey(Secret::from_bytes(chain.key.0)),
            next: chain.number,
            skipped: Vec::new(),
            touched: now,
        }));
        Ok(true)
    }

    /// Forgets chains that were read, the oldest first, until `most` are left.
    fn drop_idle(&mut self, most: usize, now: Timestamp) {
        let mut over = self.chains.len().saturating_sub(most);
        self.chains.retain(|chain| {
            let goes = over > 0 && chain.is_idle(now);
            over = over.saturating_sub(usize::from(goes));
            !goes
        });
    }

    /// Whether this chain was handed over.
    #[must_use]
    pub fn knows(&self, chain: ChainId) -> bool {
        self.chains.iter().any(|known| known.chain == chain)
    }

    /// Opens a message, once. A failed attempt leaves everything as it was.
    ///
    /// # Errors
    /// [`GroupDecryptError`]
    pub fn decrypt(&mut self, message: &GroupMessageIn, now: Timestamp) -> Result<SecretBytes, GroupDecryptError> {
        if message.author != self.author {
            return Err(GroupDecryptError::Forged);
        }
        let set_aside: usize = self.chains.iter().map(|known| known.skipped.len()).sum();
        let room = (SKIP_MAX as usize).saturating_sub(set_aside);
        let chain = self.chains.iter_mut().find(|known| known.chain == message.chain);
        let chain = chain.ok_or(GroupDecryptError::UnknownChain)?;
        let (number, heads) = (message.number.to_le_bytes(), message.heads_bytes());
        chain
            .signing
            .verify(
                Purpose::GroupMessage,
                &message.fields(&self.group, &number, &heads),
                &Signature::from(message.signature),
            )
            .map_err(|_| GroupDecryptError::Forged)?;
        let (key, change) = chain.plan(message.number, room, now)?;
        let (nonce, rest) =
            message.ciphertext.0.split_first_chunk::<XNONCE_BYTES>().ok_or(GroupDecryptError::Malformed)?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(GroupDecryptError::Malformed)?;
        let mut plaintext = SecretBytes::from_vec(body.to_vec());
        let place = associated(self.group, message.chain, message.number);
        aead::open_in_place(&body_key(&key, nonce), &BODY_NONCE, &place, plaintext.expose_mut(), tag)
            .map_err(|_| GroupDecryptError::Malformed)?;
        let opened = padding::unpad(plaintext.expose()).map_err(|_| GroupDecryptError::Malformed)?.to_vec();
        chain.commit(message.number, change, now);
        Ok(SecretBytes::from_vec(opened))
    }

    /// Forgets keys of messages that are missing for too long, and chains that are not
    /// needed any more. Says whether there were any.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let chains = self.chains.len();
        self.drop_idle(GROUP_CHAINS_MAX, now);
        // The newest may be in use, however long its owner says nothing.
        let newest = self.chains.last().map(|chain| chain.chain);
        let over = |chain: &MemberChain| now.since_ms(chain.touched) > SKIPPED_KEYS_KEEP_MS;
        self.chains.retain(|chain| Some(chain.chain) == newest || !over(chain));
        let mut any = self.chains.len() != chains;
        for chain in &mut self.chains {
            let before = chain.skipped.len();
            chain.skipped.retain(|skipped| now.since_ms(skipped.since) <= SKIPPED_KEYS_KEEP_MS);
            any |= chain.skipped.len() != before;
        }
        any
    }

    /// For the vault.
    #[must_use]
    pub fn to_secret_bytes(&self) -> SecretBytes {
        let mut out = StateWriter::with_capacity(self.chains.len().saturating_mul(192).saturating_add(80));
        out.u8(STATE_VERSION).fixed(&self.group.0).fixed(&self.author.0).count(self.chains.len());
        for chain in &self.chains {
            out.fixed(&chain.chain.0).fixed(chain.signing.as_bytes()).fixed(&chain.view.0);
            out.u32(chain.first).u32(chain.next).time(chain.touched);
            out.fixed(chain.key.0.expose()).count(chain.skipped.len());
            for skipped in &chain.skipped {
                out.u32(skipped.number).time(skipped.since).fixed(skipped.key.expose());
            }
        }
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
        let (group, author) = (GroupId(from.fixed()?), AccountId(from.fixed()?));
        let count = from.count(GROUP_CHAINS_UNREAD_MAX)?;
        let mut chains = Vec::with_capacity(count);
        for _ in 0..count {
            let chain = ChainId(from.fixed()?);
            let signing: Fixed<32> = Fixed(from.fixed()?);
            let signing = VerifyingKey::from_bytes(&signing.0).map_err(|_| StateError)?;
            let view = ViewId(from.fixed()?);
            let (first, next, touched) = (from.u32()?, from.u32()?, from.time()?);
            let key = ChainKey(from.secret()?);
            let waiting = from.count(SKIP_MAX as usize)?;
            let mut skipped = Vec::with_capacity(waiting);
            for _ in 0..waiting {
                let (number, since) = (from.u32()?, from.time()?);
                skipped.push(SkippedKey { number, since, key: Box::new(from.secret()?) });
            }
            chains.push(Box::new(MemberChain { chain, signing, view, first, key, next, skipped, touched }));
        }
        from.finish()?;
        Ok(Self { group, author, chains })
    }
}
