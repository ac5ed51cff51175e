//! Whether the wall clock can be believed: a jump against the monotonic clock
//! suspends everything that deletes by age.

use secure_chat_protocol::id::Timestamp;

use super::limits::CLOCK_JUMP_MS;

/// Compares the wall clock with time that only flows forward.
#[derive(Debug, Clone, Copy)]
pub struct ClockWatch {
    wall: Timestamp,
    monotonic_ms: u64,
    doubtful: bool,
}

impl ClockWatch {
    /// Begins at this moment. `last_known` is when the vault was last written: a
    /// clock that stands well before it is in doubt from the start, as is one that
    /// stands more than a year behind it.
    #[must_use]
    pub fn new(wall: Timestamp, monotonic_ms: u64, last_known: Option<Timestamp>) -> Self {
        let doubtful = last_known.is_some_and(|known| {
            known.since_ms(wall) > CLOCK_JUMP_MS || wall.since_ms(known) > 180 * secure_chat_protocol::limits::DAY_MS
        });
        Self { wall, monotonic_ms, doubtful }
    }

    /// Looks at both clocks; says whether a jump was just found.
    pub fn observe(&mut self, wall: Timestamp, monotonic_ms: u64) -> bool {
        let expected = self.wall.plus_ms(monotonic_ms.saturating_sub(self.monotonic_ms));
        let off = wall.since_ms(expected).max(expected.since_ms(wall));
        (self.wall, self.monotonic_ms) = (wall, monotonic_ms);
        let jumped = off > CLOCK_JUMP_MS;
        self.doubtful |= jumped;
        jumped
    }

    /// Whether nothing may be deleted by age until the program starts again.
    #[must_use]
    pub const fn is_doubtful(&self) -> bool {
        self.doubtful
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_chat_protocol::limits::DAY_MS;

    #[test]
    fn a_jump_by_a_year_puts_the_clock_in_doubt() {
        let mut clock = ClockWatch::new(Timestamp(DAY_MS), 0, None);
        assert!(!clock.observe(Timestamp(DAY_MS + 1_000), 1_000));
        assert!(clock.observe(Timestamp(366 * DAY_MS), 2_000));
        assert!(clock.is_doubtful());
    }

    #[test]
    fn time_that_flows_is_believed() {
        let mut clock = ClockWatch::new(Timestamp(DAY_MS), 5, Some(Timestamp(DAY_MS - 1)));
        assert!(!clock.observe(Timestamp(3 * DAY_MS), 2 * DAY_MS + 5));
        assert!(!clock.is_doubtful());
    }

    #[test]
    fn a_clock_before_the_last_write_is_in_doubt() {
        assert!(ClockWatch::new(Timestamp(DAY_MS), 0, Some(Timestamp(3 * DAY_MS))).is_doubtful());
    }
}
