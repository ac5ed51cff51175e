//! The wall clock. A peer reads it nowhere else, so that a test can set it wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use secure_chat_protocol::id::Timestamp;

/// The machine's clock, as far as nobody has set this one apart from it. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct WallClock {
    off_ms: Arc<AtomicI64>,
}

impl WallClock {
    /// The time it shows; 1970 when that would be earlier.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let machine = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Timestamp(machine.saturating_add_signed(self.off_ms.load(Ordering::Relaxed)))
    }

    /// Sets it this much further, or back, in milliseconds.
    pub fn jump(&self, by_ms: i64) {
        self.off_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}
