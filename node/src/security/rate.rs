//! Token buckets for what others deliver: time is passed in.

use std::collections::HashMap;

use secure_chat_protocol::id::{AccountId, Timestamp};
use secure_chat_protocol::limits::SECOND_MS;

/// Messages that one contact may deliver at once.
pub const CONTACT_BURST: u64 = 100_000;
/// Messages a second that one contact may deliver for long.
pub const CONTACT_PER_SECOND: u64 = 1_000;
/// Messages of one sender that may fail to open at once: each costs as much as many that open.
pub const FAILURES_BURST: u64 = 32;
/// Messages a second of one sender that may fail to open, for long.
pub const FAILURES_PER_SECOND: u64 = 4;
/// First messages that one stranger may deliver at once.
pub const STRANGER_BURST: u64 = 8;
/// First messages a second of one stranger, for long.
pub const STRANGER_PER_SECOND: u64 = 1;
/// First messages that all strangers together may deliver at once.
pub const STRANGERS_BURST: u64 = 64;
/// First messages a second of all strangers together, for long.
pub const STRANGERS_PER_SECOND: u64 = 2;
/// Senders whose rates are remembered: the one that was quiet longest goes first.
const SENDERS_MAX: usize = 4_096;
/// Between two alerts about one sender who is asked to wait, in milliseconds.
const TOLD_EVERY_MS: u64 = 10 * SECOND_MS;

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

    fn fill(&mut self, now: Timestamp) {
        // A thousandth of a token a millisecond for each token a second. A clock that goes back gives nothing.
        let gained = now.since_ms(self.at).saturating_mul(self.per_second);
        self.level = self.level.saturating_add(gained).min(self.burst.saturating_mul(1_000));
        self.at = now;
    }

    /// Whether there is a token, which stays.
    ///
    /// # Errors
    /// When there is none: how long until there is one, in milliseconds.
    pub fn look(&mut self, now: Timestamp) -> Result<(), u64> {
        self.fill(now);
        if self.level >= 1_000 {
            return Ok(());
        }
        Err(1_000_u64.saturating_sub(self.level).div_ceil(self.per_second.max(1)).max(1))
    }

    /// Takes one token.
    ///
    /// # Errors
    /// When there is none: how long until there is one, in milliseconds.
    pub fn take(&mut self, now: Timestamp) -> Result<(), u64> {
        self.look(now)?;
        self.level = self.level.saturating_sub(1_000);
        Ok(())
    }
}

/// How much one sender may still deliver.
#[derive(Debug, Clone, Copy)]
struct Sender {
    messages: Bucket,
    failures: Bucket,
    known: bool,
    last: Timestamp,
    told: Option<Timestamp>,
}

impl Sender {
    const fn new(known: bool, now: Timestamp) -> Self {
        let (burst, per_second) =
            if known { (CONTACT_BURST, CONTACT_PER_SECOND) } else { (STRANGER_BURST, STRANGER_PER_SECOND) };
        Self {
            messages: Bucket::new(burst, per_second, now),
            failures: Bucket::new(FAILURES_BURST, FAILURES_PER_SECOND, now),
            known,
            last: now,
            told: None,
        }
    }
}

/// How much everybody may still deliver over connections. In memory only, bounded.
#[derive(Debug)]
pub struct Rates {
    senders: HashMap<AccountId, Sender>,
    strangers: Bucket,
}

impl Rates {
    /// Nobody has delivered anything.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { senders: HashMap::new(), strangers: Bucket::new(STRANGERS_BURST, STRANGERS_PER_SECOND, now) }
    }

    fn sender(&mut self, from: AccountId, known: bool, now: Timestamp) -> &mut Sender {
        if self.senders.len() >= SENDERS_MAX && !self.senders.contains_key(&from) {
            let quiet = self.senders.iter().min_by_key(|(_, sender)| sender.last).map(|(account, _)| *account);
            quiet.and_then(|account| self.senders.remove(&account));
        }
        let sender = self.senders.entry(from).or_insert_with(|| Sender::new(known, now));
        if sender.known != known {
            *sender = Sender { failures: sender.failures, told: sender.told, ..Sender::new(known, now) };
        }
        sender.last = now;
        sender
    }

    /// Whether a sender whose messages did not open has to wait.
    ///
    /// # Errors
    /// How long, in milliseconds.
    pub fn may_try(&mut self, from: AccountId, known: bool, now: Timestamp) -> Result<(), u64> {
        self.sender(from, known, now).failures.look(now)
    }

    /// Takes the place of one message. A stranger who sends too much costs no other stranger a place.
    ///
    /// # Errors
    /// How long to wait until there is one, in milliseconds.
    pub fn take(&mut self, from: AccountId, known: bool, now: Timestamp) -> Result<(), u64> {
        let sender = self.sender(from, known, now);
        sender.failures.look(now)?;
        sender.messages.take(now)?;
        if known { Ok(()) } else { self.strangers.take(now) }
    }

    /// A message did not open.
    pub fn failed(&mut self, from: AccountId, known: bool, now: Timestamp) {
        // Whether there was a token was looked at before.
        let _ = self.sender(from, known, now).failures.take(now);
    }

    /// Whether it is time to tell, or to tell again, that this sender is asked to wait.
    pub fn is_told(&mut self, from: AccountId, known: bool, now: Timestamp) -> bool {
        let sender = self.sender(from, known, now);
        let due = sender.told.is_none_or(|told| now.0 < told.0 || now.since_ms(told) >= TOLD_EVERY_MS);
        if due {
            sender.told = Some(now);
        }
        due
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

    const MALLORY: AccountId = AccountId([66; 32]);
    const BOB: AccountId = AccountId([2; 32]);

    #[test]
    fn what_does_not_open_is_paced_for_its_sender_alone() {
        let mut rates = Rates::new(Timestamp(0));
        let mut tried = 0;
        for ms in 0..10_000_u64 {
            if rates.take(MALLORY, true, Timestamp(ms)).is_ok() {
                rates.failed(MALLORY, true, Timestamp(ms));
                tried += 1;
            }
            assert_eq!(rates.take(BOB, true, Timestamp(ms)), Ok(()), "another is not asked to wait");
        }
        assert!((FAILURES_BURST..=FAILURES_BURST + 10 * FAILURES_PER_SECOND + 1).contains(&tried), "{tried}");
    }

    #[test]
    fn one_stranger_takes_no_place_of_another() {
        let mut rates = Rates::new(Timestamp(0));
        let taken = (0..10_000).filter(|_| rates.take(MALLORY, false, Timestamp(0)).is_ok()).count() as u64;
        assert_eq!(taken, STRANGER_BURST);
        assert_eq!(rates.take(BOB, false, Timestamp(0)), Ok(()));
    }

    #[test]
    fn strangers_without_number_fill_no_memory_and_no_time() {
        let mut rates = Rates::new(Timestamp(0));
        let mut taken = 0;
        for number in 0..3 * SENDERS_MAX as u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            taken += u64::from(rates.take(AccountId(id), false, Timestamp(number / 1_000)).is_ok());
        }
        assert_eq!(taken, STRANGERS_BURST);
        assert!(rates.senders.len() <= SENDERS_MAX);
    }

    #[test]
    fn who_is_asked_to_wait_is_told_about_now_and_then() {
        let mut rates = Rates::new(Timestamp(0));
        let told = (0..60_000_u64).filter(|ms| rates.is_told(MALLORY, true, Timestamp(*ms))).count() as u64;
        assert_eq!(told, 60_000 / TOLD_EVERY_MS);
    }
}
