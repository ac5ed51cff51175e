//! What time it is: the wall clock's, as long as that can be believed. While it is in
//! doubt, time goes on from what was known before, and nothing is deleted by age.

use secure_chat_protocol::id::Timestamp;

use super::limits::{CLOCK_BACK_MS, CLOCK_BELIEVED_AGAIN_MS, CLOCK_CLOSED_MS, CLOCK_FORWARD_MS, CLOCK_NEVER_BEFORE};

/// A clock that jumped.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// What it showed when the doubt began.
    since: Timestamp,
    /// What time it was then, as far as was known before.
    believed: Timestamp,
    /// When that was by the clock that only flows forward.
    monotonic_ms: u64,
    /// It may be this much later than what was known, in milliseconds.
    later_ms: u64,
}

impl Doubt {
    fn believed(&self, monotonic_ms: u64) -> Timestamp {
        self.believed.plus_ms(monotonic_ms.saturating_sub(self.monotonic_ms))
    }
}

/// Compares the wall clock with time that only flows forward.
#[derive(Debug, Clone, Copy)]
pub struct ClockWatch {
    wall: Timestamp,
    monotonic_ms: u64,
    doubt: Option<Doubt>,
}

fn is_off(shown: Timestamp, known: Timestamp, later_ms: u64) -> bool {
    known >= CLOCK_NEVER_BEFORE && (known.since_ms(shown) > CLOCK_BACK_MS || shown.since_ms(known) > later_ms)
}

impl ClockWatch {
    /// Begins at this moment. `last_known` is what the clock showed when it was last
    /// believed: one that stands well before that is in doubt from the start, as is one
    /// that stands further behind it than anybody stays away. `in_doubt_since` is what
    /// it showed when an earlier run began to doubt it.
    #[must_use]
    pub fn new(
        wall: Timestamp,
        monotonic_ms: u64,
        last_known: Option<Timestamp>,
        in_doubt_since: Option<Timestamp>,
    ) -> Self {
        let doubt = last_known.filter(|known| is_off(wall, *known, CLOCK_CLOSED_MS)).map(|believed| {
            let same = in_doubt_since.filter(|since| *since <= wall && !is_off(wall, *since, CLOCK_CLOSED_MS));
            Doubt { since: same.unwrap_or(wall), believed, monotonic_ms, later_ms: CLOCK_CLOSED_MS }
        });
        let mut clock = Self { wall, monotonic_ms, doubt };
        clock.settle();
        clock
    }

    /// Looks at both clocks; says whether the wall clock just fell into doubt.
    pub fn observe(&mut self, wall: Timestamp, monotonic_ms: u64) -> bool {
        let passed_ms = monotonic_ms.saturating_sub(self.monotonic_ms);
        let expected = self.wall.plus_ms(passed_ms);
        // A machine that slept wakes up with a wall clock that went on and a monotonic one that did not.
        let jumped = is_off(wall, expected, CLOCK_FORWARD_MS);
        let was_in_doubt = self.doubt.is_some();
        if jumped {
            let (believed, later_ms) = match &self.doubt {
                Some(doubt) => (doubt.believed(monotonic_ms), doubt.later_ms),
                None => (expected, CLOCK_FORWARD_MS),
            };
            self.doubt = Some(Doubt { since: wall, believed, monotonic_ms, later_ms });
        }
        (self.wall, self.monotonic_ms) = (wall, monotonic_ms);
        self.settle();
        jumped && !was_in_doubt
    }

    /// Ends a doubt: the clock shows what it should again, or has stood by its time for long.
    fn settle(&mut self) {
        let (wall, monotonic_ms) = (self.wall, self.monotonic_ms);
        self.doubt = self.doubt.filter(|doubt| {
            is_off(wall, doubt.believed(monotonic_ms), doubt.later_ms)
                && wall.since_ms(doubt.since) < CLOCK_BELIEVED_AGAIN_MS
        });
    }

    /// Whether nothing may be deleted by age.
    #[must_use]
    pub const fn is_doubtful(&self) -> bool {
        self.doubt.is_some()
    }

    /// What the clock showed when it fell into doubt, for the next start; nothing while it is believed.
    #[must_use]
    pub fn in_doubt_since(&self) -> Option<Timestamp> {
        self.doubt.map(|doubt| doubt.since)
    }

    /// The time: what the clock shows, or, while it is in doubt, what it showed
    /// before and what has flowed since.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.doubt.map_or(self.wall, |doubt| doubt.believed(self.monotonic_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_chat_protocol::limits::DAY_MS;

    fn day(day: u64) -> Timestamp {
        CLOCK_NEVER_BEFORE.plus_ms(day * DAY_MS)
    }

    const START: u64 = 1_000;

    #[test]
    fn a_jump_by_a_year_either_way_puts_the_clock_in_doubt_until_it_is_back_and_time_flows_on() {
        for there in [day(START + 365), day(START - 365)] {
            let mut clock = ClockWatch::new(day(START), 0, None, None);
            assert!(!clock.observe(day(START).plus_ms(1_000), 1_000));
            assert!(clock.observe(there, 2_000));
            assert!(clock.is_doubtful());
            assert_eq!(clock.time(), day(START).plus_ms(2_000));
            assert!(!clock.observe(there.plus_ms(500), 2_500));
            assert_eq!(clock.time(), day(START).plus_ms(2_500));
            assert!(!clock.observe(day(START).plus_ms(3_000), 3_000));
            assert!(!clock.is_doubtful());
            assert_eq!(clock.time(), day(START).plus_ms(3_000));
        }
    }

    #[test]
    fn time_that_flows_is_believed_and_so_is_a_night_asleep() {
        let mut clock = ClockWatch::new(day(START), 5, Some(day(START - 1)), None);
        assert!(!clock.observe(day(START + 2), 2 * DAY_MS + 5));
        assert!(!clock.observe(day(START + 5), 2 * DAY_MS + 6));
        assert!(!clock.is_doubtful());
        assert_eq!(clock.time(), day(START + 5));
    }

    #[test]
    fn a_clock_before_the_last_write_or_long_after_it_is_in_doubt() {
        assert!(ClockWatch::new(day(START), 0, Some(day(START + 3)), None).is_doubtful());
        assert!(ClockWatch::new(day(START), 0, Some(day(START - 400)), None).is_doubtful());
        assert!(!ClockWatch::new(day(START), 0, Some(day(START - 100)), None).is_doubtful());
    }

    #[test]
    fn a_clock_that_starts_wrong_and_is_set_right_is_believed_at_once() {
        let mut clock = ClockWatch::new(Timestamp(0), 0, Some(day(START)), None);
        assert_eq!(clock.time(), day(START));
        assert!(!clock.observe(day(START + 20), 100));
        assert_eq!((clock.is_doubtful(), clock.time()), (false, day(START + 20)));
        // A time before there was this program is no knowledge.
        let mut clock = ClockWatch::new(Timestamp(5), 0, None, None);
        assert!(!clock.observe(day(START), 100));
        assert_eq!(clock.time(), day(START));
    }

    #[test]
    fn a_clock_that_stands_by_it_for_a_week_is_believed_across_restarts() {
        let known = Some(day(START - 400));
        let since = ClockWatch::new(day(START), 0, known, None).in_doubt_since();
        assert_eq!(since, Some(day(START)));
        assert!(ClockWatch::new(day(START + 3), 0, known, since).is_doubtful());
        assert!(!ClockWatch::new(day(START + 8), 0, known, since).is_doubtful());
        assert!(ClockWatch::new(day(START + 300), 0, known, since).is_doubtful(), "it jumped again");
    }
}
