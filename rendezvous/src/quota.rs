//! How much anybody may ask: token buckets, and a price in work for strangers that rises with the
//! load. Floor 1: pure, time is an argument, memory is bounded.

use std::collections::HashMap;
use std::hash::Hash;

use secure_chat_protocol::limits::{WORK_MAX_BITS, WORK_MIN_BITS};
use serde::{Deserialize, Serialize};

use crate::limits::BUCKETS_MAX;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// What may be taken at once.
    pub burst: u64,
    /// What flows in each second.
    pub per_second: u64,
}

impl Rate {
    /// A rate.
    #[must_use]
    pub const fn new(burst: u64, per_second: u64) -> Self {
        Self { burst, per_second }
    }
}

/// Too much was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much was asked; try again in {retry_after_ms} ms")]
pub struct SlowDown {
    /// When it would be granted, in milliseconds from now.
    pub retry_after_ms: u64,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Thousandths of what is left.
    level_milli: u64,
    at_ms: u64,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub const fn full(rate: Rate, now_ms: u64) -> Self {
        Self { level_milli: rate.burst.saturating_mul(1_000), at_ms: now_ms }
    }

    fn refill(&mut self, rate: Rate, now_ms: u64) {
        let flowed = now_ms.saturating_sub(self.at_ms).saturating_mul(rate.per_second);
        self.level_milli = self.level_milli.saturating_add(flowed).min(rate.burst.saturating_mul(1_000));
        // A clock that goes back must not stop the flow once it goes on.
        self.at_ms = now_ms;
    }

    /// Takes `cost`, or says when it could. What costs more than a whole bucket costs a whole bucket.
    ///
    /// # Errors
    /// [`SlowDown`]; nothing was taken then.
    pub fn take(&mut self, rate: Rate, cost: u64, now_ms: u64) -> Result<(), SlowDown> {
        self.refill(rate, now_ms);
        let cost_milli = cost.min(rate.burst).saturating_mul(1_000);
        if self.level_milli >= cost_milli {
            self.level_milli = self.level_milli.saturating_sub(cost_milli);
            return Ok(());
        }
        let missing = cost_milli.saturating_sub(self.level_milli);
        Err(SlowDown { retry_after_ms: missing.div_ceil(rate.per_second.max(1)) })
    }

    /// Gives back what was taken in vain.
    pub fn give(&mut self, rate: Rate, cost: u64) {
        let milli = self.level_milli.saturating_add(cost.saturating_mul(1_000));
        self.level_milli = milli.min(rate.burst.saturating_mul(1_000));
    }

    fn is_full(&self, rate: Rate, now_ms: u64) -> bool {
        let mut at_now = *self;
        at_now.refill(rate, now_ms);
        at_now.level_milli >= rate.burst.saturating_mul(1_000)
    }
}

/// A bucket for each of many, at most [`BUCKETS_MAX`]. When there are more, the newcomers share one.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    of: HashMap<K, Bucket>,
    crowd: Bucket,
    pruned_at_ms: u64,
}

impl<K: Hash + Eq> Buckets<K> {
    /// None asked yet.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, of: HashMap::new(), crowd: Bucket::full(rate, 0), pruned_at_ms: 0 }
    }

    /// Takes `cost` from the bucket of `whose`.
    ///
    /// # Errors
    /// [`SlowDown`]; nothing was taken then.
    pub fn take(&mut self, whose: K, cost: u64, now_ms: u64) -> Result<(), SlowDown> {
        let rate = self.rate;
        if self.of.len() >= BUCKETS_MAX && !self.of.contains_key(&whose) {
            self.prune(now_ms);
            if self.of.len() >= BUCKETS_MAX {
                return self.crowd.take(rate, cost, now_ms);
            }
        }
        self.of.entry(whose).or_insert_with(|| Bucket::full(rate, now_ms)).take(rate, cost, now_ms)
    }

    /// Gives back what `whose` took in vain.
    pub fn give(&mut self, whose: &K, cost: u64) {
        if let Some(bucket) = self.of.get_mut(whose) {
            bucket.give(self.rate, cost);
        }
    }

    /// Forgets the full ones, at most once a second: they say nothing.
    fn prune(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.pruned_at_ms) >= 1_000 {
            self.pruned_at_ms = now_ms;
            self.of.retain(|_, bucket| !bucket.is_full(self.rate, now_ms));
        }
    }
}

/// How many came lately: rises by one with each, falls by `cools_per_second`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Heat {
    level_milli: u64,
    at_ms: u64,
}

impl Heat {
    fn level_milli(&self, cools_per_second: u64, now_ms: u64) -> u64 {
        let cooled = now_ms.saturating_sub(self.at_ms).saturating_mul(cools_per_second);
        self.level_milli.saturating_sub(cooled)
    }
}

/// The price of a stranger's deposit, in bits of work: each doubling beyond what is normal costs a bit more.
#[derive(Debug)]
pub struct WorkPrice {
    mailbox: Rate,
    node: Rate,
    node_heat: Heat,
    mailboxes: HashMap<[u8; 32], Heat>,
}

/// A stamp was made for a price that has risen since: one bit less is taken, too.
const SLACK_BITS: u8 = 1;

impl WorkPrice {
    /// `mailbox` and `node` say how many strangers' deposits are normal for one mailbox and for all.
    #[must_use]
    pub fn new(mailbox: Rate, node: Rate) -> Self {
        Self { mailbox, node, node_heat: Heat::default(), mailboxes: HashMap::new() }
    }

    /// What a stranger's deposit costs now, in leading zero bits; for a mailbox when one is named.
    #[must_use]
    pub fn bits(&self, mailbox: Option<&[u8; 32]>, now_ms: u64) -> u8 {
        let node = extra_bits(&self.node_heat, self.node, now_ms);
        let own =
            mailbox.and_then(|id| self.mailboxes.get(id)).map_or(0, |heat| extra_bits(heat, self.mailbox, now_ms));
        WORK_MIN_BITS.saturating_add(node).saturating_add(own).min(WORK_MAX_BITS)
    }

    /// What a stamp must have to be taken now.
    #[must_use]
    pub fn accepted_bits(&self, mailbox: &[u8; 32], now_ms: u64) -> u8 {
        self.bits(Some(mailbox), now_ms).saturating_sub(SLACK_BITS).max(WORK_MIN_BITS)
    }

    /// A stranger's deposit was taken.
    pub fn note(&mut self, mailbox: [u8; 32], now_ms: u64) {
        heat_up(&mut self.node_heat, self.node, now_ms);
        if self.mailboxes.len() >= BUCKETS_MAX && !self.mailboxes.contains_key(&mailbox) {
            let rate = self.mailbox;
            self.mailboxes.retain(|_, heat| heat.level_milli(rate.per_second, now_ms) > 0);
            if self.mailboxes.len() >= BUCKETS_MAX {
                return;
            }
        }
        heat_up(self.mailboxes.entry(mailbox).or_default(), self.mailbox, now_ms);
    }
}

fn heat_up(heat: &mut Heat, rate: Rate, now_ms: u64) {
    let most = rate.burst.saturating_mul(1_000) << (WORK_MAX_BITS - WORK_MIN_BITS);
    heat.level_milli = heat.level_milli(rate.per_second, now_ms).saturating_add(1_000).min(most);
    heat.at_ms = now_ms;
}

fn extra_bits(heat: &Heat, rate: Rate, now_ms: u64) -> u8 {
    let ratio = heat.level_milli(rate.per_second, now_ms) / rate.burst.saturating_mul(1_000).max(1);
    u8::try_from(ratio.checked_ilog2().map_or(0, |log| log.saturating_add(1))).unwrap_or(WORK_MAX_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEN: Rate = Rate::new(10, 1);

    #[test]
    fn a_burst_is_granted_then_the_rate() {
        let mut bucket = Bucket::full(TEN, 0);
        for _ in 0..10 {
            assert_eq!(bucket.take(TEN, 1, 0), Ok(()));
        }
        assert_eq!(bucket.take(TEN, 1, 0), Err(SlowDown { retry_after_ms: 1_000 }));
        assert_eq!(bucket.take(TEN, 1, 999), Err(SlowDown { retry_after_ms: 1 }));
        assert_eq!(bucket.take(TEN, 1, 1_000), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_neither_grants_nor_locks_out() {
        let mut bucket = Bucket::full(TEN, 1_000_000);
        bucket.take(TEN, 10, 1_000_000).unwrap();
        assert!(bucket.take(TEN, 1, 5).is_err());
        assert_eq!(bucket.take(TEN, 1, 1_005), Ok(()));
    }

    #[test]
    fn one_peer_s_greed_costs_no_other() {
        let mut buckets: Buckets<u32> = Buckets::new(TEN);
        while buckets.take(1, 1, 0).is_ok() {}
        assert_eq!(buckets.take(2, 1, 0), Ok(()));
    }

    #[test]
    fn newcomers_beyond_the_bound_share_a_bucket_and_memory_stays_bounded() {
        let mut buckets: Buckets<usize> = Buckets::new(TEN);
        for peer in 0..BUCKETS_MAX {
            buckets.take(peer, 1, 10_000).unwrap();
        }
        let granted = (0..100).filter(|n| buckets.take(BUCKETS_MAX + n, 1, 10_000).is_ok()).count();
        assert_eq!((granted, buckets.of.len()), (10, BUCKETS_MAX));
        // Once the others have filled up again they are forgotten.
        assert_eq!(buckets.take(usize::MAX, 1, 20_000), Ok(()));
        assert_eq!(buckets.of.len(), 1);
    }

    #[test]
    fn the_price_rises_with_a_flood_and_falls_again() {
        let mut price = WorkPrice::new(TEN, Rate::new(1_000, 100));
        let (flooded, quiet) = ([1; 32], [2; 32]);
        assert_eq!(price.bits(Some(&flooded), 0), WORK_MIN_BITS);
        for _ in 0..40 {
            price.note(flooded, 0);
        }
        assert_eq!(price.bits(Some(&flooded), 0), WORK_MIN_BITS + 3);
        assert_eq!(price.accepted_bits(&flooded, 0), WORK_MIN_BITS + 2);
        assert_eq!(price.bits(Some(&quiet), 0), WORK_MIN_BITS, "another mailbox does not pay for it");
        assert_eq!(price.bits(Some(&flooded), 60_000), WORK_MIN_BITS);
        for _ in 0..1_000_000 {
            price.note(flooded, 60_000);
        }
        assert_eq!(price.bits(Some(&flooded), 60_000), WORK_MAX_BITS);
    }

    proptest! {
        #[test]
        fn no_more_is_granted_than_burst_and_rate_allow(
            burst in 1_u64..50, per_second in 0_u64..20, steps in proptest::collection::vec((0_u64..5_000, 1_u64..10), 1..200)
        ) {
            let rate = Rate::new(burst, per_second);
            let mut bucket = Bucket::full(rate, 0);
            let (mut now, mut granted) = (0_u64, 0_u64);
            for (wait, cost) in steps {
                now += wait;
                let cost = cost.min(burst);
                match bucket.take(rate, cost, now) {
                    Ok(()) => granted += cost,
                    Err(SlowDown { retry_after_ms }) if per_second > 0 => {
                        let mut later = bucket;
                        prop_assert!(later.take(rate, cost, now + retry_after_ms).is_ok(), "the time that was named is enough");
                    }
                    Err(_) => {}
                }
                prop_assert!(granted * 1_000 <= burst * 1_000 + per_second * now);
            }
        }
    }
}
