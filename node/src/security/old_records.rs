//! Which nodes serve records that were replaced. A contact says in each encrypted message which number
//! their newest record has: a node that goes on to give an older one holds the newer one back, or lost it.
//! Pure: time comes with each call.

use std::collections::BTreeMap;

use secure_chat_protocol::id::{AccountId, Timestamp};
use secure_chat_protocol::limits::{DAY_MS, HOUR_MS, SECOND_MS};

/// A record that was announced mostly comes by itself: only after this time it is asked for.
pub const ASK_AFTER_MS: u64 = 5 * SECOND_MS;
/// A node at which the contact is present has this time to take their new record.
pub const STALE_AFTER_MS: u64 = 5 * 60 * SECOND_MS;
/// One at which they are not has longer: perhaps they could not reach it.
pub const STALE_AFTER_AWAY_MS: u64 = DAY_MS;
/// Until the record is here, the nodes are asked this often.
pub const ASK_EVERY_MS: u64 = HOUR_MS;
/// What did not come for so long is no longer asked for.
pub const ASK_UNTIL_MS: u64 = 7 * DAY_MS;
/// People who are watched at once: of more than these, the one watched for longest is let go.
pub const WATCHED_MAX: usize = 1_024;
/// People who are asked about at once.
pub const ASKED_AT_ONCE: usize = 16;

/// Somebody of whom there is a newer record than was given.
#[derive(Debug, Clone, Copy)]
struct Watch {
    /// The number that it has at least.
    seq: u64,
    /// Since when that is known.
    since: Timestamp,
    /// When the nodes are asked next.
    ask_at: Timestamp,
    /// A node gave an older one since.
    given_older: bool,
}

/// Everybody who is watched. In memory only.
#[derive(Debug, Default)]
pub struct OldRecords {
    watched: BTreeMap<AccountId, Watch>,
}

impl OldRecords {
    fn make_room(&mut self, of: &AccountId) {
        if self.watched.len() >= WATCHED_MAX && !self.watched.contains_key(of) {
            let first = self.watched.iter().min_by_key(|(_, watch)| watch.since).map(|(account, _)| *account);
            first.and_then(|first| self.watched.remove(&first));
        }
    }

    /// Somebody says what number their newest record has; ours has `held`. Says whether that is news.
    pub fn announced(&mut self, of: AccountId, seq: u64, held: u64, now: Timestamp) -> bool {
        let known = self.watched.get(&of).map_or(0, |watch| watch.seq).max(held);
        if seq <= known {
            return false;
        }
        self.make_room(&of);
        let ask_at = Timestamp(now.0.saturating_add(ASK_AFTER_MS));
        self.watched.insert(of, Watch { seq, since: now, ask_at, given_older: false });
        true
    }

    /// A node of theirs gave the record `seq`, of somebody who is `present` there. Says
    /// whether it had the time to know the one that there is: ours, `held`, or an announced one.
    pub fn given(&mut self, of: AccountId, seq: u64, held: u64, present: bool, now: Timestamp) -> bool {
        let known = self.watched.get(&of).map_or(0, |watch| watch.seq).max(held);
        if seq >= known {
            return false;
        }
        self.make_room(&of);
        let ask_at = Timestamp(now.0.saturating_add(STALE_AFTER_MS));
        let watch = self.watched.entry(of).or_insert(Watch { seq: known, since: now, ask_at, given_older: true });
        watch.given_older = true;
        if known > watch.seq {
            (watch.seq, watch.since) = (known, now);
        }
        let patience = if present { STALE_AFTER_MS } else { STALE_AFTER_AWAY_MS };
        now.0.saturating_sub(watch.since.0) >= patience
    }

    /// When the nodes are to be asked next.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.watched.values().map(|watch| watch.ask_at).min()
    }

    /// Those about whom the nodes are to be asked now. `held` tells the number of the record that is here.
    pub fn due(&mut self, now: Timestamp, held: impl Fn(&AccountId) -> u64) -> Vec<AccountId> {
        self.watched.retain(|account, watch| {
            let comes_no_more = now.0.saturating_sub(watch.since.0) >= ASK_UNTIL_MS;
            let is_well = !watch.given_older && held(account) >= watch.seq;
            !comes_no_more && !is_well
        });
        let due = self.watched.iter_mut().filter(|(_, watch)| watch.ask_at <= now).take(ASKED_AT_ONCE);
        due.map(|(account, watch)| {
            let stale_at = watch.since.0.saturating_add(STALE_AFTER_MS);
            let next = if now.0 < stale_at { stale_at } else { now.0.saturating_add(ASK_EVERY_MS) };
            (watch.ask_at, watch.given_older) = (Timestamp(next), false);
            *account
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: AccountId = AccountId([2; 32]);

    fn at(ms: u64) -> Timestamp {
        Timestamp(1_000_000 + ms)
    }

    #[test]
    fn a_node_that_is_only_slow_is_not_told_of() {
        let mut old = OldRecords::default();
        assert!(old.announced(BOB, 5, 4, at(0)));
        assert!(!old.announced(BOB, 5, 4, at(1)), "it is no news twice");
        assert!(!old.given(BOB, 4, 4, true, at(STALE_AFTER_MS - 1)));
        assert!(!old.given(BOB, 5, 5, true, at(STALE_AFTER_MS)), "what there is, is right");
    }

    #[test]
    fn a_node_that_goes_on_to_give_what_was_replaced_is_told_of() {
        let mut old = OldRecords::default();
        old.announced(BOB, 5, 4, at(0));
        assert!(old.given(BOB, 4, 4, true, at(STALE_AFTER_MS)));
        assert!(old.given(BOB, 4, 5, true, at(STALE_AFTER_MS + 1)), "though the record came another way");
        assert!(!old.given(BOB, 4, 6, true, at(STALE_AFTER_MS + 2)), "one that is newer still has its time as well");
    }

    #[test]
    fn a_node_that_the_contact_can_t_reach_has_longer() {
        let mut old = OldRecords::default();
        assert!(!old.given(BOB, 4, 5, false, at(0)));
        assert!(!old.given(BOB, 4, 5, false, at(STALE_AFTER_MS)));
        assert!(old.given(BOB, 4, 5, false, at(STALE_AFTER_AWAY_MS)));
    }

    #[test]
    fn what_was_announced_is_asked_for_until_it_is_here_but_not_for_ever() {
        let mut old = OldRecords::default();
        old.announced(BOB, 5, 4, at(0));
        assert_eq!(old.due(at(ASK_AFTER_MS - 1), |_| 4), []);
        assert_eq!(old.due(at(ASK_AFTER_MS), |_| 4), [BOB]);
        assert_eq!(old.due(at(ASK_AFTER_MS + 1), |_| 4), []);
        assert_eq!(old.due(at(STALE_AFTER_MS), |_| 4), [BOB]);
        assert_eq!(old.due(at(STALE_AFTER_MS + ASK_EVERY_MS), |_| 4), [BOB]);
        assert_eq!(old.due(at(ASK_UNTIL_MS), |_| 4), []);
        assert!(old.watched.is_empty());
        old.announced(BOB, 5, 4, at(0));
        assert_eq!(old.due(at(ASK_AFTER_MS), |_| 5), [], "it came by itself");
        assert!(old.watched.is_empty());
    }

    #[test]
    fn however_many_announce_something_no_memory_is_filled() {
        let mut old = OldRecords::default();
        for number in 0..3 * WATCHED_MAX as u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            old.announced(AccountId(id), u64::MAX, 0, at(number));
        }
        assert_eq!(old.watched.len(), WATCHED_MAX);
    }
}
