//! How fast something comes, so that a flood is noticed once and put off.

use std::time::{Duration, Instant};

use crate::messaging::limits::GROUP_PACE_MS;

/// Whether it was too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It was not.
    Fine,
    /// For the first time in this window.
    JustPassed,
    /// As before.
    Passed,
}

/// How much came in the present window of time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    began: Option<Instant>,
    count: u32,
}

impl Window {
    /// Whether more came in the present window than is fine.
    pub(super) fn has_passed(&self, now: Instant, most: u32) -> bool {
        let present = self.began.is_some_and(|began| now.duration_since(began) < Duration::from_millis(GROUP_PACE_MS));
        present && self.count > most
    }

    /// One more came; at most `most` in one window are fine.
    pub(super) fn note(&mut self, now: Instant, most: u32) -> Pace {
        let over = self.began.is_none_or(|began| now.duration_since(began) >= Duration::from_millis(GROUP_PACE_MS));
        if over {
            *self = Self { began: Some(now), count: 0 };
        }
        self.count = self.count.saturating_add(1);
        match self.count.checked_sub(most.saturating_add(1)) {
            None => Pace::Fine,
            Some(0) => Pace::JustPassed,
            Some(_) => Pace::Passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_noticed_once_in_each_window() {
        let (mut window, now) = (Window::default(), Instant::now());
        let paces: Vec<Pace> = (0..4).map(|_| window.note(now, 2)).collect();
        assert_eq!(paces, [Pace::Fine, Pace::Fine, Pace::JustPassed, Pace::Passed]);
        assert_eq!(window.note(now + Duration::from_millis(GROUP_PACE_MS), 2), Pace::Fine);
    }
}
