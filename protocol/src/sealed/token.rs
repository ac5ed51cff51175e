//! Delivery tokens: what a contact pays a deposit with. Each is used once, and
//! nobody but the two who know the seed can tell that two of them belong together.

use std::fmt;
use std::ops::Range;

use rand_core::CryptoRng;

use crate::crypto::kdf;
use crate::crypto::secret::Secret;
use crate::wire::codec::Fixed;

/// What the tokens of one contact are derived from.
pub struct TokenSeed(Secret<32>);

impl TokenSeed {
    /// A new one, for a new contact.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(Secret::random(rng))
    }

    /// As it came in a message.
    #[must_use]
    pub const fn from_wire(seed: Fixed<32>) -> Self {
        Self(Secret::from_bytes(seed.0))
    }

    /// As it travels, inside an encrypted message only.
    #[must_use]
    pub const fn to_wire(&self) -> Fixed<32> {
        Fixed(*self.0.expose())
    }

    /// Token number `index`.
    #[must_use]
    pub fn token(&self, index: u32) -> Fixed<32> {
        let tag = kdf::hmac_sha256(self.0.expose(), &[&kdf::label("token"), &index.to_le_bytes()]);
        Fixed(*tag.expose())
    }

    /// The hashes of a run of tokens: what the mailbox's owner gives to its nodes.
    #[must_use]
    pub fn hashes(&self, indexes: Range<u32>) -> Vec<Fixed<32>> {
        indexes.map(|index| token_hash(&self.token(index))).collect()
    }
}

impl fmt::Debug for TokenSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSeed")
    }
}

/// What a node stores of a token, so that a stolen database pays for nothing.
#[must_use]
pub fn token_hash(token: &Fixed<32>) -> Fixed<32> {
    Fixed(kdf::hash_fields("token-hash", &[&token.0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_come_to_the_same_tokens_and_each_is_another() {
        let seed = TokenSeed::from_wire(Fixed([7; 32]));
        let same = TokenSeed::from_wire(seed.to_wire());
        assert_eq!(seed.token(3), same.token(3));
        assert_ne!(seed.token(3), seed.token(4));
        assert_ne!(seed.token(3), TokenSeed::from_wire(Fixed([8; 32])).token(3));
        assert_eq!(seed.hashes(3..5), [token_hash(&seed.token(3)), token_hash(&seed.token(4))]);
        assert_ne!(token_hash(&seed.token(3)), seed.token(3));
        assert_eq!(format!("{seed:?}"), "TokenSeed");
    }
}
