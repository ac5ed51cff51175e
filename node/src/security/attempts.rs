//! Delays after wrong passwords, which outlive the program: how many there were
//! and when the last one was stands in a small file beside the vault.
//!
//! It slows down a person at the keyboard. Whoever can write the file, or has a
//! copy of the disk, is held up by the key derivation alone.

use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::limits::SECOND_MS;
use serde::{Deserialize, Serialize};

/// Wrong passwords before the next attempt must wait.
pub const WRONG_PASSWORDS_FREE: u32 = 3;
/// The longest such wait.
pub const WRONG_PASSWORD_WAIT_MAX_MS: u64 = 5 * 60 * SECOND_MS;

/// Wrong passwords in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// Since the account was last opened.
    pub wrong: u32,
    /// When the last one was typed.
    pub last: Timestamp,
}

impl Attempts {
    /// What the file says. One that can't be understood was tampered with: the longest wait.
    #[must_use]
    pub fn parse(file: &[u8], now: Timestamp) -> Self {
        serde_json::from_slice(file).unwrap_or(Self { wrong: 32, last: now })
    }

    /// For the file.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        serde_json::to_vec(&self).unwrap_or_default()
    }

    /// Another wrong one.
    #[must_use]
    pub fn failed(self, now: Timestamp) -> Self {
        Self { wrong: self.wrong.saturating_add(1), last: now }
    }

    /// How long the next attempt has to wait, in milliseconds. A clock that was
    /// turned back makes it longer, never longer than the longest wait.
    #[must_use]
    pub fn wait_ms(self, now: Timestamp) -> u64 {
        let Some(over) = self.wrong.checked_sub(WRONG_PASSWORDS_FREE) else { return 0 };
        let wait = SECOND_MS.saturating_mul(1 << over.min(16)).min(WRONG_PASSWORD_WAIT_MAX_MS);
        let until = self.last.plus_ms(wait);
        until.since_ms(now).min(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_and_end() {
        let mut attempts = Attempts::default();
        let mut waits = Vec::new();
        for _ in 0..14 {
            attempts = attempts.failed(Timestamp(1_000_000));
            waits.push(attempts.wait_ms(Timestamp(1_000_000)) / SECOND_MS);
        }
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(attempts.wait_ms(Timestamp(1_000_000 + WRONG_PASSWORD_WAIT_MAX_MS)), 0);
    }

    #[test]
    fn a_clock_that_is_turned_back_makes_nothing_shorter_nor_endless() {
        let attempts = Attempts { wrong: 20, last: Timestamp(u64::MAX / 2) };
        assert_eq!(attempts.wait_ms(Timestamp(5)), WRONG_PASSWORD_WAIT_MAX_MS);
    }

    #[test]
    fn a_file_that_was_tampered_with_means_the_longest_wait() {
        let now = Timestamp(77);
        assert_eq!(Attempts::parse(b"{\"wrong\":-1}", now).wait_ms(now), WRONG_PASSWORD_WAIT_MAX_MS);
        let four = Attempts { wrong: 4, last: now };
        assert_eq!(Attempts::parse(&four.to_bytes(), now), four);
    }
}
