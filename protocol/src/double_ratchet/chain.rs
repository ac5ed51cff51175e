//! The symmetric chains: `mk = HMAC(CK, 01)`, `CK' = HMAC(CK, 02)`, and the chain of
//! a receiver with the keys of the messages it skipped.

use crate::crypto::kdf;
use crate::crypto::secret::Secret;
use crate::crypto::state::{StateError, StateReader, StateWriter};
use crate::crypto::x25519::{NonContributory, PublicKey, SecretKey};
use crate::id::Timestamp;
use crate::limits;

use super::RatchetError;

/// The root key: each Diffie-Hellman turns it.
pub(super) struct RootKey(pub(super) Secret<32>);

/// What one turn of the root key gives.
pub(super) struct Turn {
    pub(super) root: RootKey,
    pub(super) chain: ChainKey,
    /// The key of the headers of the chain after this one.
    pub(super) next_header: Secret<32>,
}

impl RootKey {
    /// `HKDF(salt = RK, ikm = DH, info = L(dr/root))`.
    pub(super) fn turn(&self, own: &SecretKey, theirs: &PublicKey) -> Result<Turn, NonContributory> {
        let shared = own.diffie_hellman(theirs)?;
        let output: Secret<96> = kdf::hkdf(self.0.expose(), &[shared.expose()], &[b"secure-chat/1/dr/root"]);
        let (root, rest) = output.split::<32, 64>();
        let (chain, next_header) = rest.split::<32, 32>();
        Ok(Turn { root: Self(root), chain: ChainKey(chain), next_header })
    }
}

/// The key of one message's body.
pub(super) struct MessageKey(pub(super) Secret<32>);

impl MessageKey {
    /// `HKDF-Expand(mk, L(dr/msg) ‖ nonce)`: a state that was rolled back comes to the
    /// same `mk`, but never to the same key, since the nonce is random.
    pub(super) fn body_key(&self, nonce: &[u8]) -> Secret<32> {
        kdf::hkdf_expand(&self.0, &[b"secure-chat/1/dr/msg", nonce])
    }
}

/// The key of a chain.
pub(super) struct ChainKey(pub(super) Secret<32>);

impl ChainKey {
    /// The key of the present message, and the chain's next key.
    pub(super) fn step(&self) -> (MessageKey, Self) {
        let (message, next) = kdf::hmac_sha256_pair(&self.0, &[1], &[2]);
        (MessageKey(message), Self(next))
    }
}

/// The key of a message that did not arrive yet. Boxed, so that the vector around
/// leaves no copies of the key when it grows or shrinks.
struct SkippedKey {
    number: u32,
    since: Timestamp,
    key: Box<Secret<32>>,
}

/// A message whose key was used: enough to tell a repetition from another message.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Recent {
    number: u32,
    mark: u32,
}

/// A chain of the other side's messages.
pub(super) struct ReceivingChain {
    header_key: Secret<32>,
    /// `None` once the other side has begun another chain.
    chain: Option<ChainKey>,
    /// The number of the first message whose key was not derived yet.
    next: u32,
    /// Ascending.
    skipped: Vec<SkippedKey>,
    /// Newest last; only while the chain is open.
    recent: Vec<Recent>,
    touched: Timestamp,
}

/// What opening one message would change in its chain. Nothing has been changed yet.
pub(super) struct Step {
    pub(super) key: MessageKey,
    change: Change,
}

enum Change {
    Forward { next_chain: ChainKey, skipped: Vec<SkippedKey> },
    TakeSkipped { at: usize },
}

/// Derives the keys of the messages from `from` up to and without `to`.
fn skip(chain: ChainKey, from: u32, to: u32, now: Timestamp) -> Result<(ChainKey, Vec<SkippedKey>), RatchetError> {
    let count = to.checked_sub(from).ok_or(RatchetError::Rollback)?;
    if count > limits::SKIP_MAX {
        return Err(RatchetError::SkipLimit);
    }
    let mut chain = chain;
    let mut skipped = Vec::new();
    for number in from..to {
        let (key, next) = chain.step();
        skipped.push(SkippedKey { number, since: now, key: Box::new(key.0) });
        chain = next;
    }
    Ok((chain, skipped))
}

impl ReceivingChain {
    pub(super) const fn new(header_key: Secret<32>, chain: ChainKey, now: Timestamp) -> Self {
        Self { header_key, chain: Some(chain), next: 0, skipped: Vec::new(), recent: Vec::new(), touched: now }
    }

    pub(super) const fn header_key(&self) -> &Secret<32> {
        &self.header_key
    }

    pub(super) const fn skipped_count(&self) -> usize {
        self.skipped.len()
    }

    /// How to open the message with this number, whose nonce begins with `mark`.
    pub(super) fn plan(&self, number: u32, mark: u32, room: usize, now: Timestamp) -> Result<Step, RatchetError> {
        if number < self.next {
            return self.plan_skipped(number, mark);
        }
        // A message beyond the end that its sender announced: the sender was rolled back, or is two.
        let chain = self.chain.as_ref().ok_or(RatchetError::Rollback)?;
        let (key, next_chain, skipped) = if number == self.next {
            let (key, next_chain) = chain.step();
            (key, next_chain, Vec::new())
        } else {
            let (chain, skipped) = skip(ChainKey(chain.0.duplicate()), self.next, number, now)?;
            let (key, next_chain) = chain.step();
            (key, next_chain, skipped)
        };
        // The number after this one must exist, and the skipped keys must fit.
        if number == u32::MAX || skipped.len() > room {
            return Err(RatchetError::SkipLimit);
        }
        Ok(Step { key, change: Change::Forward { next_chain, skipped } })
    }

    fn plan_skipped(&self, number: u32, mark: u32) -> Result<Step, RatchetError> {
        if let Ok(at) = self.skipped.binary_search_by_key(&number, |skipped| skipped.number) {
            let key = self.skipped.get(at).ok_or(RatchetError::Duplicate)?;
            return Ok(Step { key: MessageKey(key.key.duplicate()), change: Change::TakeSkipped { at } });
        }
        let other_message = self.recent.iter().any(|recent| recent.number == number && recent.mark != mark);
        Err(if other_message { RatchetError::Rollback } else { RatchetError::Duplicate })
    }

    /// Carries out what was planned, after the message was opened.
    pub(super) fn commit(&mut self, change: Step, number: u32, mark: u32, now: Timestamp) {
        match change.change {
            Change::Forward { next_chain, skipped } => {
                self.skipped.extend(skipped);
                self.chain = Some(next_chain);
                self.next = number.saturating_add(1);
                self.touched = now;
            }
            Change::TakeSkipped { at } => drop(self.skipped.remove(at)),
        }
        if self.chain.is_some() {
            if self.recent.len() >= limits::RECENT_MESSAGES_MAX {
                self.recent.remove(0);
            }
            self.recent.push(Recent { number, mark });
        }
    }

    /// What the end of this chain after `length` messages would leave to be kept.
    pub(super) fn plan_end(&self, length: u32, room: usize, now: Timestamp) -> Result<ChainEnd, RatchetError> {
        let Some(chain) = &self.chain else { return Ok(ChainEnd { length: self.next, skipped: Vec::new() }) };
        let (_, skipped) = skip(ChainKey(chain.0.duplicate()), self.next, length, now)?;
        if skipped.len() > room {
            return Err(RatchetError::SkipLimit);
        }
        Ok(ChainEnd { length, skipped })
    }

    /// Ends the chain: from here on it opens only what it skipped.
    pub(super) fn end(&mut self, end: ChainEnd, now: Timestamp) {
        self.skipped.extend(end.skipped);
        self.next = end.length;
        self.chain = None;
        self.recent = Vec::new();
        self.touched = now;
    }

    /// Forgets skipped keys that are too old. Whether the chain itself is still needed.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        let keep = |since: Timestamp| now.since_ms(since) <= limits::SKIPPED_KEYS_KEEP_MS;
        self.skipped.retain(|skipped| keep(skipped.since));
        self.chain.is_some() || keep(self.touched)
    }

    pub(super) fn write(&self, out: &mut StateWriter) {
        out.fixed(self.header_key.expose()).u32(self.next).time(self.touched);
        out.u8(u8::from(self.chain.is_some()));
        if let Some(chain) = &self.chain {
            out.fixed(chain.0.expose());
        }
        out.count(self.skipped.len());
        for skipped in &self.skipped {
            out.u32(skipped.number).time(skipped.since).fixed(skipped.key.expose());
        }
        out.count(self.recent.len());
        for recent in &self.recent {
            out.u32(recent.number).u32(recent.mark);
        }
    }

    pub(super) fn read(from: &mut StateReader<'_>) -> Result<Self, StateError> {
        let (header_key, next, touched) = (from.secret()?, from.u32()?, from.time()?);
        let chain = if from.u8()? == 1 { Some(ChainKey(from.secret()?)) } else { None };
        let count = from.count(limits::SKIPPED_KEYS_MAX)?;
        let mut skipped = Vec::with_capacity(count);
        for _ in 0..count {
            let (number, since) = (from.u32()?, from.time()?);
            skipped.push(SkippedKey { number, since, key: Box::new(from.secret()?) });
        }
        let count = from.count(limits::RECENT_MESSAGES_MAX)?;
        let mut recent = Vec::with_capacity(count);
        for _ in 0..count {
            recent.push(Recent { number: from.u32()?, mark: from.u32()? });
        }
        Ok(Self { header_key, chain, next, skipped, recent, touched })
    }
}

/// The planned end of a chain.
pub(super) struct ChainEnd {
    length: u32,
    skipped: Vec<SkippedKey>,
}

impl ChainEnd {
    pub(super) const fn skipped_count(&self) -> usize {
        self.skipped.len()
    }
}
