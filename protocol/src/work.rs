//! Proof of work for deposits of strangers, who have no delivery token. Floor 4.
//!
//! A stamp is good for one envelope in one mailbox at one node, for an hour or
//! two. The node keeps no list of stamps: the same envelope with the same id is
//! a double that vanishes, and any other needs another stamp.

use crate::crypto::kdf;
use crate::id::{EnvelopeId, MailboxId, Timestamp};
use crate::limits::{HOUR_MS, WORK_MAX_BITS};

/// What a stamp is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deposit<'a> {
    /// The node's peer id, in bytes.
    pub node_peer: &'a [u8],
    /// The mailbox.
    pub mailbox: &'a MailboxId,
    /// The envelope's id.
    pub id: &'a EnvelopeId,
    /// The sealed envelope.
    pub sealed: &'a [u8],
}

impl Deposit<'_> {
    /// What every try starts with.
    fn subject(&self, hour: u64) -> [u8; 32] {
        let envelope = kdf::sha256(self.sealed);
        let fields: [&[u8]; 5] = [self.node_peer, &self.mailbox.0, &self.id.0, &envelope, &hour.to_le_bytes()];
        kdf::hash_fields("work", &fields)
    }
}

/// The proof that work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Hours since 1970, by the node's clock.
    pub hour: u64,
    /// What makes the hash small.
    pub nonce: u64,
}

/// Why a stamp was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// The node's fault: no peer does that much work.
    #[error("the node asks for {bits} bits of work, at most {WORK_MAX_BITS} are done")]
    TooMuch {
        /// What it asks for.
        bits: u8,
    },
    /// Not found within the tries that the caller allowed.
    #[error("no stamp was found within the tries allowed")]
    GaveUp,
}

/// Why a stamp is refused. The sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// Neither for this hour nor for the one before.
    #[error("the stamp is for another hour")]
    WrongHour,
    /// Too little work, or done for something else.
    #[error("the stamp does not show enough work")]
    TooWeak,
}

/// The search for a stamp, in portions, so that it can be called off in between.
#[derive(Debug, Clone)]
pub struct Solver {
    subject: [u8; 32],
    hour: u64,
    bits: u8,
    next_nonce: u64,
}

impl Solver {
    /// Starts a search. `now` is the node's clock, `bits` what it asks for.
    ///
    /// # Errors
    /// [`SolveError::TooMuch`] above [`WORK_MAX_BITS`].
    pub fn new(deposit: &Deposit<'_>, now: Timestamp, bits: u8) -> Result<Self, SolveError> {
        if bits > WORK_MAX_BITS {
            return Err(SolveError::TooMuch { bits });
        }
        let hour = hour_of(now);
        Ok(Self { subject: deposit.subject(hour), hour, bits, next_nonce: 0 })
    }

    /// Tries `tries` more. `None` when none was good.
    pub fn advance(&mut self, tries: u64) -> Option<Stamp> {
        let end = self.next_nonce.saturating_add(tries);
        let found =
            (self.next_nonce..end).find(|nonce| leading_zero_bits(&self.subject, *nonce) >= u32::from(self.bits));
        self.next_nonce = found.map_or(end, |nonce| nonce.saturating_add(1));
        found.map(|nonce| Stamp { hour: self.hour, nonce })
    }
}

/// Finds a stamp in at most `max_tries`; 2^`bits` are needed on average.
///
/// # Errors
/// [`SolveError`]
pub fn solve(deposit: &Deposit<'_>, now: Timestamp, bits: u8, max_tries: u64) -> Result<Stamp, SolveError> {
    Solver::new(deposit, now, bits)?.advance(max_tries).ok_or(SolveError::GaveUp)
}

/// Checks a stamp: two hashes, and no state.
///
/// # Errors
/// [`WorkError`]
pub fn check(deposit: &Deposit<'_>, stamp: &Stamp, bits: u8, now: Timestamp) -> Result<(), WorkError> {
    let hour = hour_of(now);
    if stamp.hour > hour || stamp.hour.saturating_add(1) < hour {
        return Err(WorkError::WrongHour);
    }
    let enough = leading_zero_bits(&deposit.subject(stamp.hour), stamp.nonce) >= u32::from(bits);
    if enough { Ok(()) } else { Err(WorkError::TooWeak) }
}

const fn hour_of(time: Timestamp) -> u64 {
    time.0 / HOUR_MS
}

/// Of `SHA256(subject ‖ nonce)`, whose input is one block.
fn leading_zero_bits(subject: &[u8; 32], nonce: u64) -> u32 {
    let mut input = [0; 40];
    let (first, last) = input.split_at_mut(32);
    first.copy_from_slice(subject);
    last.copy_from_slice(&nonce.to_le_bytes());
    let hash = kdf::sha256(&input);
    let zeros = hash.iter().take_while(|byte| **byte == 0).count();
    let next = hash.get(zeros).map_or(0, |byte| byte.leading_zeros());
    u32::try_from(zeros).unwrap_or(u32::MAX).saturating_mul(8).saturating_add(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BITS: u8 = 10;
    const NOW: Timestamp = Timestamp(1_000 * HOUR_MS + 1);

    fn deposit() -> Deposit<'static> {
        Deposit { node_peer: b"node", mailbox: &MailboxId([1; 32]), id: &EnvelopeId([2; 16]), sealed: b"sealed" }
    }

    #[test]
    fn a_stamp_is_good_for_this_hour_and_the_next() {
        let stamp = solve(&deposit(), NOW, BITS, u64::MAX).unwrap();
        assert_eq!(stamp.hour, 1_000);
        assert_eq!(check(&deposit(), &stamp, BITS, NOW), Ok(()));
        assert_eq!(check(&deposit(), &stamp, BITS, NOW.plus_ms(HOUR_MS)), Ok(()));
        assert_eq!(check(&deposit(), &stamp, BITS, NOW.plus_ms(2 * HOUR_MS)), Err(WorkError::WrongHour));
        assert_eq!(check(&deposit(), &stamp, BITS, Timestamp(999 * HOUR_MS)), Err(WorkError::WrongHour));
    }

    #[test]
    fn a_stamp_is_good_for_nothing_else() {
        let stamp = solve(&deposit(), NOW, BITS, u64::MAX).unwrap();
        let others = [
            Deposit { node_peer: b"other", ..deposit() },
            Deposit { mailbox: &MailboxId([9; 32]), ..deposit() },
            Deposit { id: &EnvelopeId([9; 16]), ..deposit() },
            Deposit { sealed: b"other", ..deposit() },
        ];
        for other in others {
            assert_eq!(check(&other, &stamp, BITS, NOW), Err(WorkError::TooWeak), "{other:?}");
        }
        assert_eq!(check(&deposit(), &stamp, 60, NOW), Err(WorkError::TooWeak));
        let later = Stamp { hour: stamp.hour - 1, ..stamp };
        assert_eq!(check(&deposit(), &later, BITS, NOW), Err(WorkError::TooWeak), "the hour is part of the work");
    }

    #[test]
    fn a_search_can_be_called_off_and_goes_on_where_it_stopped() {
        let whole = solve(&deposit(), NOW, BITS, u64::MAX).unwrap();
        let mut solver = Solver::new(&deposit(), NOW, BITS).unwrap();
        let found = std::iter::repeat_with(|| solver.advance(7)).find_map(|stamp| stamp).unwrap();
        assert_eq!(found, whole);
        assert_eq!(solve(&deposit(), NOW, BITS, whole.nonce), Err(SolveError::GaveUp));
    }

    #[test]
    fn no_node_can_ask_for_endless_work() {
        assert_eq!(solve(&deposit(), NOW, WORK_MAX_BITS + 1, 1), Err(SolveError::TooMuch { bits: WORK_MAX_BITS + 1 }));
    }
}
