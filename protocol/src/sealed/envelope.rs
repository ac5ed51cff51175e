//! Sealing and opening: `version ‖ key id (4) ‖ EK (32) ‖ ML-KEM ciphertext (1088) ‖
//! ChaCha20-Poly1305(padded inner) ‖ tag`.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::descriptor::MailboxDescriptor;
use super::keys::{MailboxKey, MailboxKeys};
use crate::crypto::aead::{self, NONCE_BYTES, TAG_BYTES};
use crate::crypto::kdf;
use crate::crypto::kem::CIPHERTEXT_BYTES;
use crate::crypto::secret::{Secret, SecretBytes};
use crate::crypto::x25519::{KEY_BYTES, PublicKey, SecretKey};
use crate::id::AccountId;
use crate::limits::{CIPHERTEXT_MAX_BYTES, DELIVERY_MAX_MESSAGES, ENVELOPE_MAX_BYTES, PADDING_SMALL_STEP_BYTES};
use crate::padding;
use crate::wire::codec::{self, Bytes, DecodeError, EncodeError};

/// The layout that this code writes and reads.
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + KEY_BYTES + CIPHERTEXT_BYTES;
/// A store that allocates in powers of two would take twice the space for the
/// last bytes of [`ENVELOPE_MAX_BYTES`]: the longest envelope stays below.
const PADDED_MAX_BYTES: usize = ENVELOPE_MAX_BYTES - PADDING_SMALL_STEP_BYTES - HEADER_BYTES - TAG_BYTES;

/// Most inner bytes of an envelope.
pub const ENVELOPE_INNER_MAX_BYTES: usize = PADDED_MAX_BYTES - 1;

/// What an envelope carries. Untrusted: anybody can seal one, and only the
/// sessions inside prove who `from` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeIn {
    /// Who says that they sent it.
    pub from: AccountId,
    /// Encrypted messages, oldest first; 1 to [`DELIVERY_MAX_MESSAGES`].
    pub messages: Vec<Bytes>,
}

/// Why the inside of an envelope was not accepted. The sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not an encoding of an envelope.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// No message, too many, or one that is too long.
    #[error("the envelope carries no message, too many, or one that is too long")]
    Bounds,
}

impl EnvelopeIn {
    fn is_bounded(&self) -> bool {
        let count = self.messages.len();
        let fits = |message: &Bytes| message.0.len() <= CIPHERTEXT_MAX_BYTES;
        count > 0 && count <= DELIVERY_MAX_MESSAGES && self.messages.iter().all(fits)
    }

    /// The inner bytes, for [`seal`].
    ///
    /// # Errors
    /// [`EncodeError`] when they are too many for one envelope.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        if !self.is_bounded() {
            return Err(EncodeError::Unencodable);
        }
        codec::encode(self, ENVELOPE_INNER_MAX_BYTES)
    }

    /// Reads what [`open`] returned.
    ///
    /// # Errors
    /// [`EnvelopeError`]
    pub fn decode(inner: &[u8]) -> Result<Self, EnvelopeError> {
        let envelope: Self = codec::decode(inner, ENVELOPE_INNER_MAX_BYTES)?;
        if envelope.is_bounded() { Ok(envelope) } else { Err(EnvelopeError::Bounds) }
    }
}

/// Why an envelope was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The caller's fault.
    #[error("{bytes} bytes don't fit into one envelope, which takes {ENVELOPE_INNER_MAX_BYTES}")]
    TooLong {
        /// How many there are.
        bytes: usize,
    },
    /// The recipient's fault: their mailbox key gives no shared secret.
    #[error("the recipient's mailbox key is unusable")]
    BadKey,
}

/// Why an envelope does not open. The sender's fault, or that of the node in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Written by a newer version.
    #[error("the envelope has version {0}, which is not known here")]
    UnsupportedVersion(u8),
    /// Sealed to a key that was never there, or is deleted by now.
    #[error("the envelope is sealed to mailbox key {0}, which is not there (any more)")]
    UnknownKey(u32),
    /// Cut short, changed, or sealed to somebody else.
    #[error("the envelope is damaged or sealed to somebody else")]
    Damaged,
}

fn padded_len(inner: usize) -> usize {
    padding::padded_length(inner).min(PADDED_MAX_BYTES)
}

/// Key and nonce of an envelope. Both are used once: `EK` is fresh.
fn envelope_key(
    binding: &[u8; 32],
    header: &[u8],
    agreed: &Secret<32>,
    encapsulated: &Secret<32>,
) -> (Secret<32>, Secret<NONCE_BYTES>) {
    let transcript = kdf::hash_fields("sealed", &[binding, header]);
    let ikm: [&[u8]; 2] = [agreed.expose(), encapsulated.expose()];
    let keys: Secret<44> = kdf::hkdf(&[0; 32], &ikm, &[&kdf::label("sealed"), &transcript]);
    keys.split()
}

/// Seals `inner` so that only the mailbox's owner can open it. Its size shows in steps only.
///
/// # Errors
/// [`SealError`]
pub fn seal<R: CryptoRng + ?Sized>(to: &MailboxDescriptor, inner: &[u8], rng: &mut R) -> Result<Vec<u8>, SealError> {
    if inner.len() > ENVELOPE_INNER_MAX_BYTES {
        return Err(SealError::TooLong { bytes: inner.len() });
    }
    seal_padded(to, inner, padded_len(inner.len()), rng)
}

fn seal_padded<R: CryptoRng + ?Sized>(
    to: &MailboxDescriptor,
    inner: &[u8],
    padded: usize,
    rng: &mut R,
) -> Result<Vec<u8>, SealError> {
    let ephemeral = SecretKey::generate(rng);
    let agreed = ephemeral.diffie_hellman(&to.agreement).map_err(|_| SealError::BadKey)?;
    let (ciphertext, encapsulated) = to.kem.encapsulate(rng);
    let mut out = Vec::with_capacity(HEADER_BYTES + padded + TAG_BYTES);
    out.push(VERSION);
    out.extend_from_slice(&to.key_id().to_le_bytes());
    out.extend_from_slice(ephemeral.public().as_bytes());
    out.extend_from_slice(ciphertext.as_slice());
    let (key, nonce) = envelope_key(&to.binding, &out, &agreed, &encapsulated);
    padding::pad_up_to(inner, padded, &mut out);
    let (header, body) = out.split_at_mut(HEADER_BYTES);
    let tag = aead::seal_in_place(&key, nonce.expose(), header, body);
    out.extend_from_slice(&tag);
    Ok(out)
}

/// Opens an envelope with the mailbox key that it names.
///
/// # Errors
/// [`OpenError`]
pub fn open(keys: &MailboxKeys, sealed: &[u8]) -> Result<SecretBytes, OpenError> {
    match sealed.first() {
        Some(&VERSION) if sealed.len() <= ENVELOPE_MAX_BYTES => {}
        Some(&VERSION) | None => return Err(OpenError::Damaged),
        Some(version) => return Err(OpenError::UnsupportedVersion(*version)),
    }
    let (header, rest) = sealed.split_first_chunk::<HEADER_BYTES>().ok_or(OpenError::Damaged)?;
    let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(OpenError::Damaged)?;
    let (key, nonce) = key_of(keys, header)?;
    let mut inner = body.to_vec();
    aead::open_in_place(&key, nonce.expose(), header, &mut inner, tag).map_err(|_| OpenError::Damaged)?;
    match padding::marked_length(&inner) {
        // The padding is canonical: the size that shows is the one that belongs to the content.
        Ok(length) if padded_len(length) == inner.len() => inner.truncate(length),
        _ => {
            inner.zeroize();
            return Err(OpenError::Damaged);
        }
    }
    Ok(SecretBytes::from_vec(inner))
}

fn key_of(keys: &MailboxKeys, header: &[u8; HEADER_BYTES]) -> Result<(Secret<32>, Secret<NONCE_BYTES>), OpenError> {
    let (_, rest) = header.split_first_chunk::<1>().ok_or(OpenError::Damaged)?;
    let (key_id, rest) = rest.split_first_chunk().ok_or(OpenError::Damaged)?;
    let (ephemeral, ciphertext) = rest.split_first_chunk().ok_or(OpenError::Damaged)?;
    let ciphertext: &[u8; CIPHERTEXT_BYTES] = ciphertext.try_into().map_err(|_| OpenError::Damaged)?;
    let key_id = u32::from_le_bytes(*key_id);
    let MailboxKey { agreement, kem, binding, .. } = keys.key(key_id).ok_or(OpenError::UnknownKey(key_id))?;
    let agreed = agreement.diffie_hellman(&PublicKey::from_bytes(*ephemeral)).map_err(|_| OpenError::Damaged)?;
    Ok(envelope_key(binding, header, &agreed, &kem.decapsulate(ciphertext)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::id::Timestamp;
    use crate::identity::IdentityKeyPair;

    fn mailbox(seed: u64) -> (MailboxKeys, MailboxDescriptor) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let identity = IdentityKeyPair::generate(&mut rng, Timestamp(0));
        let keys = MailboxKeys::generate(Timestamp(0), &mut rng);
        let descriptor = keys.descriptor(&identity).verify(identity.public()).unwrap();
        (keys, descriptor)
    }

    fn sealed_to(descriptor: &MailboxDescriptor, inner: &[u8]) -> Vec<u8> {
        seal(descriptor, inner, &mut ChaCha20Rng::seed_from_u64(9)).unwrap()
    }

    #[test]
    fn an_envelope_opens_for_its_owner_only() {
        let (keys, descriptor) = mailbox(1);
        let sealed = sealed_to(&descriptor, b"inner");
        assert_eq!(open(&keys, &sealed).unwrap().expose(), b"inner");
        assert_eq!(open(&mailbox(2).0, &sealed), Err(OpenError::Damaged));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let (keys, descriptor) = mailbox(1);
        let sealed = sealed_to(&descriptor, b"inner");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(open(&keys, &changed).is_err(), "byte {at} bit {bit}");
            }
        }
        for length in 0..sealed.len() {
            assert!(open(&keys, &sealed[..length]).is_err());
        }
        assert!(open(&keys, &[sealed.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn sizes_show_steps_only_and_fit_the_limit() {
        let (keys, descriptor) = mailbox(1);
        let size = |length: usize| sealed_to(&descriptor, &vec![1; length]).len();
        assert_eq!(size(0), size(255));
        assert_eq!(size(256), size(511));
        assert_eq!(size(4_096), size(8_191));
        assert!(size(ENVELOPE_INNER_MAX_BYTES) <= 65_400);
        assert_eq!(size(ENVELOPE_INNER_MAX_BYTES), size(ENVELOPE_INNER_MAX_BYTES - 1));
        let longest = vec![0; ENVELOPE_INNER_MAX_BYTES];
        assert_eq!(open(&keys, &sealed_to(&descriptor, &longest)).unwrap().expose(), longest);
        let refusal = seal(&descriptor, &[longest, vec![0]].concat(), &mut ChaCha20Rng::seed_from_u64(9));
        assert_eq!(refusal, Err(SealError::TooLong { bytes: ENVELOPE_INNER_MAX_BYTES + 1 }));
    }

    #[test]
    fn a_size_that_does_not_belong_to_the_content_is_refused() {
        let (keys, descriptor) = mailbox(1);
        let sealed = |padded| seal_padded(&descriptor, b"inner", padded, &mut ChaCha20Rng::seed_from_u64(9)).unwrap();
        assert!(open(&keys, &sealed(256)).is_ok());
        for odd in [6, 255, 257, 512, 4_096] {
            assert_eq!(open(&keys, &sealed(odd)), Err(OpenError::Damaged), "{odd} bytes");
        }
    }

    #[test]
    fn nothing_in_an_envelope_stays_the_same() {
        let (_, descriptor) = mailbox(1);
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let (one, two) = (seal(&descriptor, b"same", &mut rng).unwrap(), seal(&descriptor, b"same", &mut rng).unwrap());
        let same = one.iter().zip(&two).skip(5).filter(|(a, b)| a == b).count();
        assert!(same < one.len() / 64, "{same} bytes are the same");
    }

    #[test]
    fn an_old_envelope_opens_until_its_key_is_deleted() {
        const DAY_MS: u64 = crate::limits::DAY_MS;
        let (mut keys, descriptor) = mailbox(1);
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let sealed = sealed_to(&descriptor, b"inner");
        let day = |days: u64| Timestamp(days * DAY_MS);
        assert!(keys.maintain(day(8), day(8), &mut rng));
        assert!(open(&keys, &sealed).is_ok());
        keys.maintain(day(60), day(30), &mut rng);
        assert!(open(&keys, &sealed).is_ok(), "the homes were not drained since");
        keys.maintain(day(60), day(60), &mut rng);
        assert_eq!(open(&keys, &sealed), Err(OpenError::UnknownKey(1)));
    }

    #[test]
    fn the_inside_is_bounded_both_ways() {
        let envelope = |messages: Vec<Bytes>| EnvelopeIn { from: AccountId([1; 32]), messages };
        let one = envelope(vec![Bytes(vec![7; 100])]);
        assert_eq!(EnvelopeIn::decode(&one.encode().unwrap()), Ok(one));
        assert!(envelope(vec![]).encode().is_err());
        assert!(envelope(vec![Bytes(vec![]); DELIVERY_MAX_MESSAGES + 1]).encode().is_err());
        assert!(envelope(vec![Bytes(vec![0; CIPHERTEXT_MAX_BYTES + 1])]).encode().is_err());
        assert!(envelope(vec![Bytes(vec![0; CIPHERTEXT_MAX_BYTES]); 2]).encode().is_err());
        let none = codec::encode(&envelope(vec![]), 64).unwrap();
        assert_eq!(EnvelopeIn::decode(&none), Err(EnvelopeError::Bounds));
        assert!(matches!(EnvelopeIn::decode(&[0; 10]), Err(EnvelopeError::Decode(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_sealed_opens(inner in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0x80)], 0..6_000)) {
            let (keys, descriptor) = mailbox(1);
            let opened = open(&keys, &sealed_to(&descriptor, &inner)).unwrap();
            prop_assert_eq!(opened.expose(), inner);
        }
    }
}
