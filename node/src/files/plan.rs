//! Which chunks are still to be asked for, and how many at once. State machines
//! without I/O: time comes from the caller.

use std::time::{Duration, Instant};

use super::limits::{WINDOW_MAX_CHUNKS, WINDOW_MIN_CHUNKS, WINDOW_QUEUE_MAX};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Missing,
    Asked,
    Here,
}

/// The chunks of one file, shared by all holders it is fetched from.
#[derive(Debug)]
pub(super) struct Plan {
    chunks: Vec<Chunk>,
    /// No chunk before this one is missing.
    first: usize,
    left: usize,
}

impl Plan {
    /// Of a file with `count` chunks, of which some are here.
    pub(super) fn new(count: u32, here: &[u32]) -> Self {
        let mut plan = Self { chunks: vec![Chunk::Missing; count as usize], first: 0, left: count as usize };
        here.iter().for_each(|index| plan.arrived(*index));
        plan
    }

    /// Up to `most` missing chunks in a row: the first one, and how many.
    pub(super) fn take(&mut self, most: u16) -> Option<(u32, u16)> {
        let missing = self.chunks.iter().skip(self.first).position(|chunk| *chunk == Chunk::Missing)?;
        self.first = self.first.saturating_add(missing);
        let mut taken = 0_u16;
        for chunk in self.chunks.iter_mut().skip(self.first).take(usize::from(most)) {
            if *chunk != Chunk::Missing {
                break;
            }
            *chunk = Chunk::Asked;
            taken = taken.saturating_add(1);
        }
        u32::try_from(self.first).ok().map(|first| (first, taken))
    }

    fn set(&mut self, index: u32, to: Chunk) -> Option<Chunk> {
        let chunk = self.chunks.get_mut(index as usize)?;
        Some(std::mem::replace(chunk, to))
    }

    /// A chunk is here, and is the right one.
    pub(super) fn arrived(&mut self, index: u32) {
        if self.set(index, Chunk::Here).is_some_and(|before| before != Chunk::Here) {
            self.left = self.left.saturating_sub(1);
        }
    }

    /// A chunk that was asked for does not come.
    pub(super) fn give_back(&mut self, index: u32) {
        if self.chunks.get(index as usize) == Some(&Chunk::Asked) {
            self.set(index, Chunk::Missing);
            self.first = self.first.min(index as usize);
        }
    }

    /// Whether all are here.
    pub(super) const fn is_whole(&self) -> bool {
        self.left == 0
    }
}

/// How many chunks to have under way from one holder: as many as come in the time
/// that the line itself takes, and a little more. What is beyond that would only wait
/// in buffers, where chat waits behind it, and come twice after a break.
#[derive(Debug)]
pub(super) struct Window {
    chunks: u32,
    since: Instant,
    arrived: u32,
    /// The shortest time from asking to arrival.
    least: Duration,
}

impl Window {
    pub(super) const fn new(now: Instant) -> Self {
        Self { chunks: WINDOW_MIN_CHUNKS, since: now, arrived: 0, least: Duration::MAX }
    }

    /// A chunk came that was asked for at that time.
    pub(super) fn arrived(&mut self, asked: Instant, now: Instant) {
        self.arrived = self.arrived.saturating_add(1);
        self.least = self.least.min(now.saturating_duration_since(asked));
        let passed = now.saturating_duration_since(self.since);
        if self.arrived >= self.chunks.saturating_mul(2) || passed >= Duration::from_secs(1) {
            let per_second = f64::from(self.arrived) / passed.as_secs_f64().max(0.001);
            // A quarter more, to find out whether the line carries it.
            let wanted = 1.25 * per_second * self.least.saturating_add(WINDOW_QUEUE_MAX).as_secs_f64();
            // Twice at most from one look to the next.
            let most = self.chunks.saturating_mul(2).min(WINDOW_MAX_CHUNKS);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it saturates, and is held within bounds"
            )]
            let wanted = wanted.ceil() as u32;
            self.chunks = wanted.clamp(WINDOW_MIN_CHUNKS, most);
            (self.since, self.arrived) = (now, 0);
        }
    }

    /// How many.
    pub(super) const fn chunks(&self) -> u32 {
        self.chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_given_back_is_handed_out_again_first() {
        let mut plan = Plan::new(10, &[3]);
        assert_eq!(plan.take(4), Some((0, 3)), "not over what is here");
        assert_eq!(plan.take(4), Some((4, 4)));
        plan.arrived(0);
        plan.give_back(1);
        plan.give_back(0);
        assert_eq!(plan.take(4), Some((1, 1)));
        assert_eq!(plan.take(4), Some((8, 2)));
        assert_eq!(plan.take(4), None);
        (0..10).for_each(|index| plan.arrived(index));
        assert!(plan.is_whole());
    }

    /// A line on which a chunk takes `transfer`, and an answer `delay` more; returns
    /// the window that comes of it.
    fn settled(transfer: Duration, delay: Duration) -> u32 {
        let mut now = Instant::now();
        let mut window = Window::new(now);
        let mut asked = std::collections::VecDeque::new();
        let mut free_at = now;
        for _ in 0..500 {
            while asked.len() < window.chunks() as usize {
                free_at = free_at.max(now) + transfer;
                asked.push_back((now, free_at + delay));
            }
            let (at, arrives) = asked.pop_front().unwrap();
            now = now.max(arrives);
            window.arrived(at, now);
        }
        window.chunks()
    }

    #[test]
    fn what_is_under_way_fits_the_line() {
        let ms = Duration::from_millis;
        assert_eq!(settled(ms(250), ms(50)), WINDOW_MIN_CHUNKS, "a slow line has little under way");
        assert!(settled(ms(1), ms(100)) >= 24, "a long and fast one much");
        assert!(settled(ms(1), ms(0)) <= 8, "a short one no more than keeps it busy");
    }

    proptest! {
        #[test]
        fn whatever_breaks_every_chunk_is_handed_out_until_it_is_here(breaks in proptest::collection::vec(any::<bool>(), 0..200)) {
            let mut plan = Plan::new(40, &[5, 6, 39]);
            let mut breaks = breaks.into_iter();
            let mut rounds = 0;
            while !plan.is_whole() {
                let (first, count) = plan.take(3).expect("nothing is under way");
                for index in first..first + u32::from(count) {
                    if breaks.next().unwrap_or(false) { plan.give_back(index) } else { plan.arrived(index) }
                }
                rounds += 1;
                prop_assert!(rounds < 400);
            }
        }
    }
}
