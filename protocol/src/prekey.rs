//! One's own prekeys: the signed one of this week, older ones that messages under
//! way may still use, the one-time kits, and the memory of first messages that
//! were seen. Floor 4.
//!
//! A signed prekey is replaced weekly while its owner is there; the old one is
//! deleted 30 days after it was *replaced*, so that someone who was away for
//! months still opens what was sent to their last one.

mod bundle;

use std::collections::{BTreeSet, VecDeque};

use rand_core::CryptoRng;

pub use self::bundle::{
    BUNDLE_VERSION, BundleError, BundleIn, Kit, KitIn, SignedPreKey, SignedPreKeyIn, VerifiedBundle,
};
use crate::crypto::kem::DecapsulationKey;
use crate::crypto::secret::SecretBytes;
use crate::crypto::state::{StateError, StateReader, StateWriter};
use crate::crypto::x25519::SecretKey;
use crate::id::{PreKeyId, Timestamp};
use crate::identity::IdentityKeyPair;
use crate::limits;
use crate::wire::codec::Fixed;

/// Version of the stored form.
const STATE_VERSION: u8 = 1;
/// Bytes kept of `SHA256(EK_A)`.
const EPHEMERAL_MARK_BYTES: usize = 16;

/// Who hands a kit out. Each kit has one holder, since two would hand it out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KitHolder(pub [u8; 32]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KitState {
    /// With nobody yet.
    Here,
    /// At a node that hands it out.
    With(KitHolder),
    /// With a peer that may use it.
    HandedOut,
}

#[derive(Debug)]
struct KitPair {
    id: PreKeyId,
    dh: SecretKey,
    kem: DecapsulationKey,
    signature: Fixed<64>,
    state: KitState,
}

impl KitPair {
    fn generate<R: CryptoRng + ?Sized>(identity: &IdentityKeyPair, rng: &mut R) -> Self {
        let mut pair = Self {
            id: PreKeyId::random(rng),
            dh: SecretKey::generate(rng),
            kem: DecapsulationKey::generate(rng),
            signature: Fixed([0; 64]),
            state: KitState::Here,
        };
        pair.signature = pair.public().signed(identity).signature;
        pair
    }

    fn public(&self) -> KitIn {
        KitIn {
            id: self.id,
            dh_key: self.dh.public().to_wire(),
            kem_key: Fixed(*self.kem.encapsulation_key().as_bytes()),
            signature: self.signature,
        }
    }
}

#[derive(Debug)]
struct SignedPair {
    id: PreKeyId,
    dh: SecretKey,
    kem: DecapsulationKey,
    created: Timestamp,
    expires: Timestamp,
    signature: Fixed<64>,
    replaced: Option<Timestamp>,
    /// Starts of the hashes of the ephemeral keys of first messages that used it.
    seen: BTreeSet<[u8; EPHEMERAL_MARK_BYTES]>,
}

impl SignedPair {
    fn generate<R: CryptoRng + ?Sized>(identity: &IdentityKeyPair, now: Timestamp, rng: &mut R) -> Self {
        let mut pair = Self {
            id: PreKeyId::random(rng),
            dh: SecretKey::generate(rng),
            kem: DecapsulationKey::generate(rng),
            created: now,
            expires: now.plus_ms(limits::SIGNED_PREKEY_LIFETIME_MS),
            signature: Fixed([0; 64]),
            replaced: None,
            seen: BTreeSet::new(),
        };
        pair.signature = pair.public().signed(identity).signature;
        pair
    }

    fn public(&self) -> SignedPreKeyIn {
        SignedPreKeyIn {
            version: BUNDLE_VERSION,
            id: self.id,
            dh_key: self.dh.public().to_wire(),
            kem_key: Fixed(*self.kem.encapsulation_key().as_bytes()),
            created: self.created,
            expires: self.expires,
            signature: self.signature,
        }
    }
}

/// What [`PreKeys::maintain`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// There is a new signed prekey: publish it.
    pub rotated: bool,
    /// Old signed prekeys that were deleted.
    pub deleted: usize,
    /// Kits that were made: publish them.
    pub kits_made: usize,
}

impl Changes {
    /// Whether anything must be stored.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.rotated || self.deleted > 0 || self.kits_made > 0
    }
}

/// The secret halves that a first message names.
pub(crate) struct NamedKeys<'a> {
    pub(crate) signed_dh: &'a SecretKey,
    pub(crate) signed_kem: &'a DecapsulationKey,
    pub(crate) kit: Option<(&'a SecretKey, &'a DecapsulationKey)>,
}

/// A first message names a prekey that is not here, or was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupError {
    Unknown,
    Replay,
    Full,
}

/// One's own prekeys, with their secret halves.
#[derive(Debug)]
pub struct PreKeys {
    /// Newest last; never empty.
    signed: Vec<SignedPair>,
    /// Oldest first.
    kits: VecDeque<KitPair>,
}

impl PreKeys {
    /// A first signed prekey and a first batch of kits.
    pub fn generate<R: CryptoRng + ?Sized>(identity: &IdentityKeyPair, now: Timestamp, rng: &mut R) -> Self {
        let mut prekeys = Self { signed: vec![SignedPair::generate(identity, now, rng)], kits: VecDeque::new() };
        prekeys.refill(identity, rng);
        prekeys
    }

    /// Replaces the signed prekey after a week, or early when it met very many first
    /// messages; deletes replaced ones after 30 days; makes kits when few are here.
    ///
    /// Not to be called while the clock is in doubt.
    pub fn maintain<R: CryptoRng + ?Sized>(
        &mut self,
        identity: &IdentityKeyPair,
        now: Timestamp,
        rng: &mut R,
    ) -> Changes {
        let before = self.signed.len();
        self.signed.retain(|pair| {
            pair.replaced.is_none_or(|replaced| now.since_ms(replaced) <= limits::SIGNED_PREKEY_KEEP_MS)
        });
        let deleted = before.saturating_sub(self.signed.len());
        let due = self.signed.last().is_none_or(|current| {
            now.since_ms(current.created) >= limits::SIGNED_PREKEY_ROTATE_MS
                || current.seen.len() >= limits::FIRST_MESSAGES_ROTATE
        });
        let rotated = due && self.signed.len() < limits::SIGNED_PREKEYS_MAX;
        if rotated {
            if let Some(current) = self.signed.last_mut() {
                current.replaced = Some(now);
            }
            self.signed.push(SignedPair::generate(identity, now, rng));
        }
        let here = self.kits_here();
        let kits_made = if here < limits::KITS_LOW { self.refill(identity, rng) } else { 0 };
        Changes { rotated, deleted, kits_made }
    }

    fn refill<R: CryptoRng + ?Sized>(&mut self, identity: &IdentityKeyPair, rng: &mut R) -> usize {
        let missing = limits::KITS_BATCH.saturating_sub(self.kits_here());
        for _ in 0..missing {
            if self.kits.len() >= limits::KITS_STORED_MAX {
                // Those that were handed out go first: the others still wait for their first message.
                let handed = self.kits.iter().position(|kit| kit.state == KitState::HandedOut);
                self.kits.remove(handed.unwrap_or(0));
            }
            self.kits.push_back(KitPair::generate(identity, rng));
        }
        missing
    }

    /// Kits that nobody else has yet.
    #[must_use]
    pub fn kits_here(&self) -> usize {
        self.kits.iter().filter(|kit| kit.state == KitState::Here).count()
    }

    /// When the current signed prekey was made.
    #[must_use]
    pub fn signed_created(&self) -> Timestamp {
        self.signed.last().map(|pair| pair.created).unwrap_or_default()
    }

    /// The current signed prekey, to be published. `None` never happens.
    fn current(&self) -> &SignedPair {
        match self.signed.last() {
            Some(current) => current,
            None => unreachable!("the current signed prekey is only ever replaced"),
        }
    }

    /// The current signed prekey, to be published.
    #[must_use]
    pub fn signed_public(&self) -> SignedPreKeyIn {
        self.current().public()
    }

    /// The kits that nobody else has yet. They stay here: see [`Self::kits_for`] and [`Self::mark_handed_out`].
    #[must_use]
    pub fn kits_public(&self) -> Vec<KitIn> {
        self.kits.iter().filter(|kit| kit.state == KitState::Here).map(KitPair::public).collect()
    }

    /// Sets kits aside for `holder` until it has `wanted` of them, as far as there are
    /// enough here, and returns all that are the holder's. Store the state before they leave.
    pub fn kits_for(&mut self, holder: KitHolder, wanted: usize) -> Vec<KitIn> {
        let theirs = KitState::With(holder);
        let mut missing = wanted.saturating_sub(self.kits.iter().filter(|kit| kit.state == theirs).count());
        for kit in self.kits.iter_mut().filter(|kit| kit.state == KitState::Here) {
            if missing == 0 {
                break;
            }
            kit.state = theirs;
            missing = missing.saturating_sub(1);
        }
        self.kits.iter().filter(|kit| kit.state == theirs).map(KitPair::public).collect()
    }

    /// Kits that are with `holder`, as far as is known here.
    #[must_use]
    pub fn kits_with(&self, holder: KitHolder) -> usize {
        self.kits.iter().filter(|kit| kit.state == KitState::With(holder)).count()
    }

    /// `holder` says that it has `left` kits: the oldest others were handed out.
    pub fn holder_has_left(&mut self, holder: KitHolder, left: usize) {
        let theirs = KitState::With(holder);
        let mut gone = self.kits.iter().filter(|kit| kit.state == theirs).count().saturating_sub(left);
        for kit in self.kits.iter_mut().filter(|kit| kit.state == theirs) {
            if gone == 0 {
                break;
            }
            kit.state = KitState::HandedOut;
            gone = gone.saturating_sub(1);
        }
    }

    /// These kits are no longer to be handed out, because others have them.
    pub fn mark_handed_out(&mut self, ids: &[PreKeyId]) {
        for kit in self.kits.iter_mut().filter(|kit| ids.contains(&kit.id)) {
            kit.state = KitState::HandedOut;
        }
    }

    /// A kit for a peer that asks this device itself; marked as handed out. Store the
    /// state before it leaves.
    pub fn take_kit_public(&mut self) -> Option<KitIn> {
        let kit = self.kits.iter_mut().find(|kit| kit.state == KitState::Here)?;
        kit.state = KitState::HandedOut;
        Some(kit.public())
    }

    /// The secret halves for a first message, unless it was seen before.
    pub(crate) fn lookup(
        &self,
        signed: &PreKeyId,
        kit: Option<&PreKeyId>,
        ephemeral_hash: &[u8; 32],
    ) -> Result<NamedKeys<'_>, LookupError> {
        let signed = self.signed.iter().find(|pair| pair.id == *signed).ok_or(LookupError::Unknown)?;
        if signed.seen.contains(&mark(ephemeral_hash)) {
            return Err(LookupError::Replay);
        }
        let kit = match kit {
            Some(id) => {
                let pair = self.kits.iter().find(|pair| pair.id == *id).ok_or(LookupError::Unknown)?;
                Some((&pair.dh, &pair.kem))
            }
            // Without a kit nothing but the memory stands against a replay.
            None if signed.seen.len() >= limits::FIRST_MESSAGES_MAX => return Err(LookupError::Full),
            None => None,
        };
        Ok(NamedKeys { signed_dh: &signed.dh, signed_kem: &signed.kem, kit })
    }

    /// A first message was opened: deletes its kit, and remembers it.
    pub(crate) fn used(&mut self, signed: &PreKeyId, kit: Option<&PreKeyId>, ephemeral_hash: &[u8; 32]) {
        if let Some(id) = kit {
            self.kits.retain(|pair| pair.id != *id);
        }
        let pair = self.signed.iter_mut().find(|pair| pair.id == *signed);
        if let Some(pair) = pair.filter(|pair| pair.seen.len() < limits::FIRST_MESSAGES_MAX) {
            pair.seen.insert(mark(ephemeral_hash));
        }
    }

    /// For the vault.
    #[must_use]
    pub fn to_secret_bytes(&self) -> SecretBytes {
        let mut out = StateWriter::with_capacity(self.kits.len().saturating_mul(256).saturating_add(4_096));
        out.u8(STATE_VERSION).count(self.signed.len());
        for pair in &self.signed {
            out.fixed(pair.id.as_bytes()).x25519(&pair.dh).kem(&pair.kem);
            out.time(pair.created).time(pair.expires).fixed(&pair.signature.0);
            out.u8(u8::from(pair.replaced.is_some())).time(pair.replaced.unwrap_or_default());
            out.count(pair.seen.len());
            pair.seen.iter().for_each(|seen| {
                out.fixed(seen);
            });
        }
        out.count(self.kits.len());
        for kit in &self.kits {
            out.fixed(kit.id.as_bytes()).x25519(&kit.dh).kem(&kit.kem).fixed(&kit.signature.0);
            match kit.state {
                KitState::Here => out.u8(0),
                KitState::With(holder) => out.u8(1).fixed(&holder.0),
                KitState::HandedOut => out.u8(2),
            };
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
        let signed = (0..from.count(limits::SIGNED_PREKEYS_MAX)?).map(|_| read_signed(&mut from));
        let signed = signed.collect::<Result<Vec<_>, _>>()?;
        let kits = (0..from.count(limits::KITS_STORED_MAX)?).map(|_| read_kit(&mut from));
        let kits = kits.collect::<Result<VecDeque<_>, _>>()?;
        from.finish()?;
        if signed.is_empty() { Err(StateError) } else { Ok(Self { signed, kits }) }
    }
}

fn mark(ephemeral_hash: &[u8; 32]) -> [u8; EPHEMERAL_MARK_BYTES] {
    std::array::from_fn(|at| ephemeral_hash.get(at).copied().unwrap_or_default())
}

fn read_signed(from: &mut StateReader<'_>) -> Result<SignedPair, StateError> {
    let mut pair = SignedPair {
        id: PreKeyId(from.fixed()?),
        dh: from.x25519()?,
        kem: from.kem()?,
        created: from.time()?,
        expires: from.time()?,
        signature: Fixed(from.fixed()?),
        replaced: None,
        seen: BTreeSet::new(),
    };
    let (replaced, at) = (from.u8()? == 1, from.time()?);
    pair.replaced = replaced.then_some(at);
    for _ in 0..from.count(limits::FIRST_MESSAGES_MAX)? {
        pair.seen.insert(from.fixed()?);
    }
    Ok(pair)
}

fn read_kit(from: &mut StateReader<'_>) -> Result<KitPair, StateError> {
    Ok(KitPair {
        id: PreKeyId(from.fixed()?),
        dh: from.x25519()?,
        kem: from.kem()?,
        signature: Fixed(from.fixed()?),
        state: match from.u8()? {
            0 => KitState::Here,
            1 => KitState::With(KitHolder(from.fixed()?)),
            2 => KitState::HandedOut,
            _ => return Err(StateError),
        },
    })
}

#[cfg(test)]
mod tests;
