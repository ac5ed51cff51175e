//! The owner's side of a mailbox: the key that opens it at a node, and the
//! weekly keys that open what lies in it.

use std::fmt;

use rand_core::CryptoRng;

use super::descriptor::{self, MailboxDescriptorIn, mailbox_id};
use crate::crypto::ed25519::{BadSignature, SigningKey, VerifyingKey};
use crate::crypto::kem::DecapsulationKey;
use crate::crypto::secret::SecretBytes;
use crate::crypto::state::{StateError, StateReader, StateWriter};
use crate::crypto::x25519::SecretKey;
use crate::id::{MailboxId, Timestamp};
use crate::identity::{IdentityKeyPair, Purpose, Signature};
use crate::limits::{MAILBOX_KEY_KEEP_MS, MAILBOX_KEY_ROTATE_MS, MAILBOX_KEYS_MAX};
use crate::wire::codec::{Bytes, Fixed};

/// Version of the stored form.
const STATE_VERSION: u8 = 1;

pub(super) struct MailboxKey {
    id: u32,
    pub(super) agreement: SecretKey,
    pub(super) kem: DecapsulationKey,
    pub(super) binding: [u8; 32],
    created: Timestamp,
    replaced: Option<Timestamp>,
}

impl MailboxKey {
    fn generate<R: CryptoRng + ?Sized>(auth: &SigningKey, id: u32, created: Timestamp, rng: &mut R) -> Self {
        let (agreement, kem) = (SecretKey::generate(rng), DecapsulationKey::generate(rng));
        let auth_key = auth.verifying_key();
        let kem_key = kem.encapsulation_key();
        let binding = descriptor::binding(auth_key.as_bytes(), id, agreement.public().as_bytes(), kem_key.as_bytes());
        Self { id, agreement, kem, binding, created, replaced: None }
    }

    fn write(&self, writer: &mut StateWriter) {
        writer.u32(self.id).x25519(&self.agreement).kem(&self.kem).fixed(&self.binding).time(self.created);
        match self.replaced {
            Some(at) => writer.u8(1).time(at),
            None => writer.u8(0),
        };
    }

    fn read(reader: &mut StateReader<'_>) -> Result<Self, StateError> {
        Ok(Self {
            id: reader.u32()?,
            agreement: reader.x25519()?,
            kem: reader.kem()?,
            binding: reader.fixed()?,
            created: reader.time()?,
            replaced: match reader.u8()? {
                0 => None,
                1 => Some(reader.time()?),
                _ => return Err(StateError),
            },
        })
    }
}

/// One's own mailbox. Has at least one key; the last one is the current one.
pub struct MailboxKeys {
    auth: SigningKey,
    older: Vec<MailboxKey>,
    current: MailboxKey,
}

impl MailboxKeys {
    /// A new mailbox.
    pub fn generate<R: CryptoRng + ?Sized>(now: Timestamp, rng: &mut R) -> Self {
        let auth = SigningKey::generate(rng);
        let current = MailboxKey::generate(&auth, 1, now, rng);
        Self { auth, older: Vec::new(), current }
    }

    /// Replaces the current key when it is a week old, and deletes keys that were
    /// replaced 30 days before `drained`: the last time at which all homes were
    /// found empty. Until then senders may not have heard of the replacement, or
    /// what they sent may still lie there. Returns whether something changed, so
    /// that the keys must be stored and, after a replacement, published.
    pub fn maintain<R: CryptoRng + ?Sized>(&mut self, now: Timestamp, drained: Timestamp, rng: &mut R) -> bool {
        let before = self.older.len();
        let drained = drained.min(now);
        self.older.retain(|key| key.replaced.is_none_or(|at| at.plus_ms(MAILBOX_KEY_KEEP_MS) > drained));
        let deleted = before != self.older.len();
        let due = now.since_ms(self.current.created) >= MAILBOX_KEY_ROTATE_MS;
        // Homes that are never drained must not make the list endless; the current key then lives longer.
        let room = self.older.len() + 1 < MAILBOX_KEYS_MAX;
        let Some(id) = self.current.id.checked_add(1).filter(|_| due && room) else { return deleted };
        let next = MailboxKey::generate(&self.auth, id, now, rng);
        let mut replaced = std::mem::replace(&mut self.current, next);
        replaced.replaced = Some(now);
        self.older.push(replaced);
        true
    }

    /// The mailbox's name.
    #[must_use]
    pub fn mailbox_id(&self) -> MailboxId {
        mailbox_id(self.auth.verifying_key().as_bytes())
    }

    /// The key whose hash is the mailbox's name.
    #[must_use]
    pub fn auth_key(&self) -> Fixed<32> {
        self.auth.verifying_key().to_wire()
    }

    /// The current key's number: it grows with each replacement.
    #[must_use]
    pub const fn current_key_id(&self) -> u32 {
        self.current.id
    }

    pub(super) fn key(&self, id: u32) -> Option<&MailboxKey> {
        std::iter::once(&self.current).chain(&self.older).find(|key| key.id == id)
    }

    /// What senders need to know, signed by the owner.
    #[must_use]
    pub fn descriptor(&self, identity: &IdentityKeyPair) -> MailboxDescriptorIn {
        let mut descriptor = MailboxDescriptorIn {
            auth_key: self.auth_key(),
            key_id: self.current.id,
            x25519: self.current.agreement.public().to_wire(),
            kem: Bytes(self.current.kem.encapsulation_key().as_bytes().to_vec()),
            created: self.current.created,
            signature: Fixed([0; 64]),
        };
        descriptor.sign(identity);
        descriptor
    }

    /// Answers a node's challenge. The signature names both ends of the
    /// connection, so that it opens nothing anywhere else.
    #[must_use]
    pub fn sign_open(&self, server_peer: &[u8], client_peer: &[u8], challenge: &[u8; 32]) -> Fixed<64> {
        self.auth.sign(Purpose::MailboxOpen, &[server_peer, client_peer, challenge]).to_wire()
    }

    /// For the vault.
    #[must_use]
    pub fn to_secret_bytes(&self) -> SecretBytes {
        let mut writer = StateWriter::with_capacity(64 + 256 * (self.older.len() + 1));
        writer.u8(STATE_VERSION).ed25519(&self.auth).count(self.older.len());
        for key in self.older.iter().chain(std::iter::once(&self.current)) {
            key.write(&mut writer);
        }
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
        let auth = reader.ed25519()?;
        let count = reader.count(MAILBOX_KEYS_MAX)?;
        let older = (0..count).map(|_| MailboxKey::read(&mut reader)).collect::<Result<_, _>>()?;
        let current = MailboxKey::read(&mut reader)?;
        reader.finish()?;
        Ok(Self { auth, older, current })
    }
}

impl fmt::Debug for MailboxKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailboxKeys(current: {}, older: {})", self.current.id, self.older.len())
    }
}

/// The node's side of [`MailboxKeys::sign_open`]: which mailbox the caller owns.
///
/// # Errors
/// [`BadSignature`] when it does not prove that (the caller's fault).
pub fn verify_open(
    auth_key: &Fixed<32>,
    server_peer: &[u8],
    client_peer: &[u8],
    challenge: &[u8; 32],
    signature: &Fixed<64>,
) -> Result<MailboxId, BadSignature> {
    let key = VerifyingKey::from_bytes(&auth_key.0).map_err(|_| BadSignature)?;
    let fields: [&[u8]; 3] = [server_peer, client_peer, challenge];
    key.verify(Purpose::MailboxOpen, &fields, &Signature::from(*signature))?;
    Ok(mailbox_id(&auth_key.0))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::limits::DAY_MS;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(1)
    }

    fn day(days: u64) -> Timestamp {
        Timestamp(days * DAY_MS)
    }

    #[test]
    fn a_challenge_is_answered_for_one_connection_only() {
        let keys = MailboxKeys::generate(day(0), &mut rng());
        let (auth_key, signature) = (keys.auth_key(), keys.sign_open(b"node", b"alice", &[7; 32]));
        let verify = |server: &[u8], client: &[u8], challenge: u8| {
            verify_open(&auth_key, server, client, &[challenge; 32], &signature)
        };
        assert_eq!(verify(b"node", b"alice", 7), Ok(keys.mailbox_id()));
        assert!(verify(b"other node", b"alice", 7).is_err());
        assert!(verify(b"node", b"mallory", 7).is_err());
        assert!(verify(b"node", b"alice", 8).is_err());
        assert!(verify(b"nodea", b"lice", 7).is_err(), "fields don't run into each other");
        let other = MailboxKeys::generate(day(0), &mut ChaCha20Rng::seed_from_u64(2)).auth_key();
        assert!(verify_open(&other, b"node", b"alice", &[7; 32], &signature).is_err());
        assert!(verify_open(&Fixed([0; 32]), b"node", b"alice", &[7; 32], &signature).is_err());
    }

    #[test]
    fn keys_are_replaced_weekly_and_the_mailbox_keeps_its_name() {
        let mut keys = MailboxKeys::generate(day(0), &mut rng());
        let name = keys.mailbox_id();
        assert!(!keys.maintain(day(6), day(6), &mut rng()));
        assert!(keys.maintain(day(7), day(7), &mut rng()));
        assert_eq!((keys.current_key_id(), keys.mailbox_id()), (2, name));
        assert!(keys.key(1).is_some(), "kept for what is under way");
        keys.maintain(day(37), day(37), &mut rng());
        assert!(keys.key(1).is_none() && keys.key(2).is_some());
    }

    #[test]
    fn a_key_is_never_deleted_before_the_homes_were_drained() {
        let mut keys = MailboxKeys::generate(day(0), &mut rng());
        keys.maintain(day(7), day(7), &mut rng());
        keys.maintain(day(400), day(36), &mut rng());
        assert!(keys.key(1).is_some());
        keys.maintain(day(400), day(37), &mut rng());
        assert!(keys.key(1).is_none());
    }

    #[test]
    fn a_drain_that_lies_in_the_future_deletes_nothing_early() {
        let mut keys = MailboxKeys::generate(day(0), &mut rng());
        keys.maintain(day(7), day(7), &mut rng());
        keys.maintain(day(20), day(9_999), &mut rng());
        assert!(keys.key(1).is_some());
    }

    #[test]
    fn homes_that_are_never_drained_make_no_endless_list() {
        let mut keys = MailboxKeys::generate(day(0), &mut rng());
        for week in 1..200 {
            keys.maintain(day(week * 7), day(0), &mut rng());
        }
        assert_eq!(keys.older.len() + 1, MAILBOX_KEYS_MAX);
        assert!(keys.key(1).is_some());
        assert!(MailboxKeys::from_secret_bytes(keys.to_secret_bytes().expose()).is_ok());
    }

    #[test]
    fn a_clock_that_went_back_changes_nothing() {
        let mut keys = MailboxKeys::generate(day(50), &mut rng());
        assert!(!keys.maintain(day(3), day(3), &mut rng()));
    }

    #[test]
    fn the_keys_come_back_from_the_vault() {
        let mut keys = MailboxKeys::generate(day(0), &mut rng());
        keys.maintain(day(7), day(7), &mut rng());
        let bytes = keys.to_secret_bytes();
        let restored = MailboxKeys::from_secret_bytes(bytes.expose()).unwrap();
        assert!(restored.to_secret_bytes() == bytes);
        assert_eq!(restored.mailbox_id(), keys.mailbox_id());
        let identity = IdentityKeyPair::generate(&mut rng(), day(0));
        assert_eq!(restored.descriptor(&identity), keys.descriptor(&identity));
        for length in 0..bytes.len() {
            assert!(MailboxKeys::from_secret_bytes(&bytes.expose()[..length]).is_err());
        }
    }
}
