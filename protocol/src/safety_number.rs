//! The number that two people compare to know that nobody stands between them.
//! Floor 3.
//!
//! Each side's half is an iterated SHA-512 over its identity, as Signal does it:
//! the 5,200 rounds make it dearer to look for keys whose 30 digits collide.

use std::fmt::Write as _;

use crate::crypto::kdf;
use crate::crypto::secret::equal_in_constant_time;
use crate::identity::PublicIdentity;

/// Rounds of SHA-512 for each half.
pub const ROUNDS: usize = 5_200;
/// Groups of five digits that a half has.
const GROUPS_OF_A_HALF: usize = 6;
/// What the text of the QR code starts with; the number is its version.
const QR_PREFIX: &str = "secure-chat-safety:1:";

/// What both sides see the same, whoever computes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafetyNumber {
    /// 12 groups of 5 digits, with a space between.
    pub digits: String,
    /// The text of the QR code: both full hashes in hexadecimal.
    pub qr: String,
}

impl SafetyNumber {
    /// Whether `text`, as scanned from the other side's screen, is this number's QR text.
    #[must_use]
    pub fn verify_qr(&self, text: &str) -> bool {
        equal_in_constant_time(self.qr.as_bytes(), text.trim().as_bytes())
    }
}

/// The number of two identities, in whichever order they are given.
#[must_use]
pub fn safety_number(a: &PublicIdentity, b: &PublicIdentity) -> SafetyNumber {
    let mut halves = [half(a), half(b)];
    halves.sort_unstable();
    let mut digits = String::with_capacity(71);
    let mut qr = String::from(QR_PREFIX);
    for hash in &halves {
        for group in hash.chunks_exact(5).take(GROUPS_OF_A_HALF) {
            let value = group.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte)) % 100_000;
            let space = if digits.is_empty() { "" } else { " " };
            // Writing to a String can't fail.
            let _ = write!(digits, "{space}{value:05}");
        }
        for byte in hash {
            let _ = write!(qr, "{byte:02x}");
        }
    }
    SafetyNumber { digits, qr }
}

/// `H_0 = SHA512(L(safety) ‖ IK_sig ‖ IK_dh)`, `H_i = SHA512(H_{i-1} ‖ IK_sig ‖ IK_dh)`.
/// All fields have fixed lengths.
fn half(identity: &PublicIdentity) -> [u8; 64] {
    let (sig_key, dh_key) = (identity.sig_key().as_bytes(), identity.dh_key().as_bytes());
    let first = kdf::sha512(&[&kdf::label("safety"), sig_key, dh_key]);
    (1..ROUNDS).fold(first, |hash, _| kdf::sha512(&[&hash, sig_key, dh_key]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Timestamp;
    use crate::identity::IdentityKeyPair;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    fn person(seed: u64) -> IdentityKeyPair {
        IdentityKeyPair::generate(&mut ChaCha20Rng::seed_from_u64(seed), Timestamp(seed))
    }

    #[test]
    fn both_sides_see_the_same_sixty_digits() {
        let (alice, bob) = (person(1), person(2));
        let number = safety_number(alice.public(), bob.public());
        assert_eq!(number, safety_number(bob.public(), alice.public()));
        let groups: Vec<&str> = number.digits.split(' ').collect();
        assert_eq!(groups.len(), 12);
        assert!(groups.iter().all(|group| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_digit())));
    }

    #[test]
    fn someone_in_between_changes_the_number() {
        let (alice, bob, mallory) = (person(1), person(2), person(3));
        let honest = safety_number(alice.public(), bob.public());
        let attacked = safety_number(alice.public(), mallory.public());
        assert_ne!(honest.digits, attacked.digits);
        assert!(!honest.verify_qr(&attacked.qr));
        assert!(honest.verify_qr(&format!("{}\n", honest.qr)));
        assert!(!honest.verify_qr(""));
    }
}
