//! Token buckets for what others deliver: time is passed in.

use secure_chat_protocol::id::Timestamp;

/// Messages that one contact may deliver at once.
pub const CONTACT_BURST: u64 = 100_000;
/// Messages a second that one contact may deliver for long.
pub const CONTACT_PER_SECOND: u64 = 20_000;
/// First messages that all strangers together may deliver at once.
pub const STRANGERS_BURST: u64 = 64;
/// First messages a second of all strangers together, for long.
pub const STRANGERS_PER_SECOND: u64 = 2;

/// Fills with time, empties with use.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// Thousandths of a token.
    level: u64,
    burst: u64,
    per_second: u64,
    at: Timestamp,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub const fn new(burst: u64, per_second: u64, now: Timestamp) -> Self {
        Self { level: burst.saturating_mul(1_000), burst, per_second, at: now }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// When there is none: how long until there is one, in milliseconds.
    pub fn take(&mut self, now: Timestamp) -> Result<(), u64> {
        // A thousandth of a token a millisecond for each token a second. A clock that goes back gives nothing.
        let gained = now.since_ms(self.at).saturating_mul(self.per_second);
        self.level = self.level.saturating_add(gained).min(self.burst.saturating_mul(1_000));
        self.at = now;
        match self.level.checked_sub(1_000) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None => Err(1_000_u64.saturating_sub(self.level).div_ceil(self.per_second.max(1)).max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(10, 2, Timestamp(0));
        assert_eq!((0..20).filter(|_| bucket.take(Timestamp(0)).is_ok()).count(), 10);
        assert_eq!(bucket.take(Timestamp(0)), Err(500));
        assert_eq!(bucket.take(Timestamp(500)), Ok(()));
        let taken = (0..10_000_u64).filter(|ms| bucket.take(Timestamp(1_000 + ms)).is_ok()).count();
        assert!((19..=22).contains(&taken), "{taken} in ten seconds");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::new(1, 1, Timestamp(1_000_000));
        assert!(bucket.take(Timestamp(1_000_000)).is_ok());
        assert!(bucket.take(Timestamp(5)).is_err());
    }
}
