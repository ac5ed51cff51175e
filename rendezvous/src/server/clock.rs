//! Two clocks: how long the node has run in all its lives, which never jumps, and the wall clock,
//! which peers are told and stamps are dated by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use secure_chat_protocol::id::Timestamp;
use tokio::sync::Notify;

use crate::operation::Moment;

/// Time that a test let pass at once.
#[derive(Debug, Default)]
pub(super) struct Leap {
    ms: AtomicU64,
    made: Notify,
}

impl Leap {
    /// Lets time pass.
    pub(super) fn make(&self, time: Duration) {
        self.ms.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.made.notify_one();
    }

    /// Waits until some was let pass.
    pub(super) async fn made(&self) {
        self.made.notified().await;
    }
}

/// The clocks.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    lived_before_ms: u64,
    started: Instant,
    pub(super) leap: Arc<Leap>,
}

impl Clock {
    /// Goes on where the node's former life ended.
    #[must_use]
    pub(super) fn resume(lived_before_ms: u64) -> Self {
        Self { lived_before_ms, started: Instant::now(), leap: Arc::default() }
    }

    /// Now, by both.
    #[must_use]
    pub(super) fn now(&self) -> Moment {
        let ran_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let leapt_ms = self.leap.ms.load(Ordering::Relaxed);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        Moment {
            lived_ms: self.lived_before_ms.saturating_add(ran_ms).saturating_add(leapt_ms),
            wall: wall.plus_ms(leapt_ms),
        }
    }
}
