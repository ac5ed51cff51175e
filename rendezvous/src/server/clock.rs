//! Two clocks: how long the node has run in all its lives, which never jumps, and the wall clock,
//! which peers are told and stamps are dated by.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use secure_chat_protocol::id::Timestamp;

use crate::operation::Moment;

/// The clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    lived_before_ms: u64,
    started: Instant,
}

impl Clock {
    /// Goes on where the node's former life ended.
    #[must_use]
    pub(super) fn resume(lived_before_ms: u64) -> Self {
        Self { lived_before_ms, started: Instant::now() }
    }

    /// Now, by both.
    #[must_use]
    pub(super) fn now(&self) -> Moment {
        let ran_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment {
            lived_ms: self.lived_before_ms.saturating_add(ran_ms),
            wall: Timestamp(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}
