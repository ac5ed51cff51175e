//! The pace of what others ask over connections: who they are met by, bundles, and what groups
//! have. Each is looked at only once there is a place for it. Time is passed in.

use std::collections::HashMap;
use std::hash::Hash;

use secure_chat_protocol::id::{AccountId, GroupId, Timestamp};

use super::rate::Bucket;

/// Hellos that one peer may say at once: one when it connects, and one when its status changes.
pub const HELLO_BURST: u64 = 64;
/// Hellos a second of one peer, for long.
pub const HELLO_PER_SECOND: u64 = 1;
/// Hellos that all peers of people who are not known may say at once. Each takes several signatures to check.
pub const STRANGERS_HELLO_BURST: u64 = 256;
/// Hellos a second of all of them together, for long.
pub const STRANGERS_HELLO_PER_SECOND: u64 = 32;
/// Bundles that one peer may ask for at once.
pub const BUNDLE_BURST: u64 = 64;
/// Bundles a second that one peer may ask for, for long.
pub const BUNDLE_PER_SECOND: u64 = 1;
/// Times that one member may ask at once what is missing in one group. Whoever was away for long is
/// given up to 2,000 messages each time.
pub const FETCH_BURST: u64 = 32;
/// Times a second that one member may ask, for long.
pub const FETCH_PER_SECOND: u64 = 4;
/// Peers and members of each kind whose pace is remembered: the one that was quiet longest goes first.
const ASKERS_MAX: usize = 4_096;

/// A bounded number of buckets, each made full.
#[derive(Debug)]
struct Paces<K> {
    buckets: HashMap<K, (Bucket, Timestamp)>,
    burst: u64,
    per_second: u64,
}

impl<K: Copy + Eq + Hash> Paces<K> {
    fn new(burst: u64, per_second: u64) -> Self {
        Self { buckets: HashMap::new(), burst, per_second }
    }

    fn take(&mut self, who: K, now: Timestamp) -> Result<(), u64> {
        if self.buckets.len() >= ASKERS_MAX && !self.buckets.contains_key(&who) {
            let quiet = self.buckets.iter().min_by_key(|(_, (_, last))| *last).map(|(who, _)| *who);
            quiet.and_then(|quiet| self.buckets.remove(&quiet));
        }
        let fresh = || (Bucket::new(self.burst, self.per_second, now), now);
        let (bucket, last) = self.buckets.entry(who).or_insert_with(fresh);
        *last = now;
        bucket.take(now)
    }
}

/// How much everybody may still ask over connections. In memory only, bounded; it outlasts the
/// connections, so that coming again gains nothing. Each refusal says how long to wait, in milliseconds.
#[derive(Debug)]
pub struct Asking {
    hellos: Paces<[u8; 32]>,
    strangers: Bucket,
    bundles: Paces<[u8; 32]>,
    fetches: Paces<(GroupId, AccountId)>,
}

impl Asking {
    /// Nobody has asked for anything.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            hellos: Paces::new(HELLO_BURST, HELLO_PER_SECOND),
            strangers: Bucket::new(STRANGERS_HELLO_BURST, STRANGERS_HELLO_PER_SECOND, now),
            bundles: Paces::new(BUNDLE_BURST, BUNDLE_PER_SECOND),
            fetches: Paces::new(FETCH_BURST, FETCH_PER_SECOND),
        }
    }

    /// A peer, by its public key, says who it is: `known` if it is the peer of somebody known.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn hello(&mut self, peer: [u8; 32], known: bool, now: Timestamp) -> Result<(), u64> {
        self.hellos.take(peer, now)?;
        if known { Ok(()) } else { self.strangers.take(now) }
    }

    /// A peer asks for a bundle.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn bundle(&mut self, peer: [u8; 32], now: Timestamp) -> Result<(), u64> {
        self.bundles.take(peer, now)
    }

    /// A member asks what is missing in a group.
    ///
    /// # Errors
    /// How long they have to wait.
    pub fn fetch(&mut self, group: GroupId, from: AccountId, now: Timestamp) -> Result<(), u64> {
        self.fetches.take((group, from), now)
    }
}

#[cfg(test)]
mod tests {
    use secure_chat_protocol::limits::GROUP_ANSWER_MESSAGES_MAX;

    use super::*;

    const GROUP: GroupId = GroupId([7; 32]);

    fn key(number: u64) -> [u8; 32] {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn a_flood_of_hellos_of_strangers_costs_no_contact_theirs() {
        let mut asking = Asking::new(Timestamp(0));
        let taken = (0..10_000).filter(|peer| asking.hello(key(*peer), false, Timestamp(0)).is_ok()).count() as u64;
        assert_eq!(taken, STRANGERS_HELLO_BURST);
        assert_eq!(asking.hello(key(70_000), true, Timestamp(0)), Ok(()));
        assert!(asking.hellos.buckets.len() <= ASKERS_MAX);
    }

    #[test]
    fn whoever_connects_now_and_then_is_never_asked_to_wait() {
        let mut asking = Asking::new(Timestamp(0));
        // Four times in a row, twice a minute, for an hour.
        for at in (0..3_600_000).step_by(30_000) {
            for again in 0..4 {
                assert_eq!(asking.hello(key(1), false, Timestamp(at + again)), Ok(()));
            }
        }
    }

    #[test]
    fn fifty_members_who_compare_all_the_time_are_never_asked_to_wait() {
        let mut asking = Asking::new(Timestamp(0));
        for at in (0..600_000).step_by(1_000) {
            for member in 0..50 {
                assert_eq!(asking.fetch(GROUP, AccountId(key(member)), Timestamp(at)), Ok(()));
            }
        }
    }

    #[test]
    fn whoever_was_away_for_long_pages_through_all_of_it() {
        let mut asking = Asking::new(Timestamp(0));
        let (mut at, mut pages, me) = (0, 0, AccountId([1; 32]));
        // Pages one after the other, as fast as a loopback answers, waiting as long as they are told.
        while pages * GROUP_ANSWER_MESSAGES_MAX < 200_000 {
            match asking.fetch(GROUP, me, Timestamp(at)) {
                Ok(()) => (at, pages) = (at + 5, pages + 1),
                Err(wait_ms) => at += wait_ms,
            }
        }
        assert!(at < 20_000, "{pages} pages took {at} ms");
    }

    #[test]
    fn one_who_asks_without_end_gets_the_pace_and_no_more() {
        let mut asking = Asking::new(Timestamp(0));
        let me = AccountId([1; 32]);
        let taken = (0..10_000).filter(|ms| asking.fetch(GROUP, me, Timestamp(*ms)).is_ok()).count() as u64;
        assert!((FETCH_BURST..=FETCH_BURST + 10 * FETCH_PER_SECOND + 1).contains(&taken), "{taken}");
        assert_eq!(asking.fetch(GroupId([8; 32]), me, Timestamp(10_000)), Ok(()), "another group is another matter");
        let taken = (0..10_000).filter(|ms| asking.bundle(key(1), Timestamp(*ms)).is_ok()).count() as u64;
        assert!(taken <= BUNDLE_BURST + 10 * BUNDLE_PER_SECOND + 1, "{taken}");
    }
}
