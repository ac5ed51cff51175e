//! The time of the engine's steps: the wall clock's, while it can be believed.

use std::ops::Bound;

use secure_chat_protocol::id::{AccountId, Timestamp};

use super::audit::Severity;
use super::state::Open;
use super::step::Step;
use crate::messaging::limits::SESSIONS_SWEPT_AT_ONCE;
use crate::store::Table;

impl Open {
    /// What time it is, and whether the wall clock just fell into doubt.
    pub(super) fn tell_time(&mut self, wall: Timestamp) -> (Timestamp, bool) {
        let monotonic_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let jumped = self.clock.observe(wall, monotonic_ms);
        (self.clock.time(), jumped)
    }

    /// Tells the person that the clock is in doubt.
    pub(super) fn clock_jumped(&mut self, step: &mut Step<'_>) {
        let text = "The clock jumped: please set it right. Until it is, or has shown its time for a week, nothing is \
                    deleted by age, no key is replaced, and messages carry the time that was known before.";
        self.alert(step, "clock.jumped", Severity::Warning, None, text);
        self.note_time(step);
    }

    /// Remembers what the clock shows for the next start. Says whether it is believed.
    pub(super) fn note_time(&self, step: &mut Step<'_>) -> bool {
        match self.clock.in_doubt_since() {
            Some(since) => step.txn.put(Table::Meta, b"clock-doubt", &since.0.to_le_bytes()),
            None => {
                step.txn.delete(Table::Meta, b"clock-doubt");
                step.txn.put(Table::Meta, b"last-write", &step.now.0.to_le_bytes());
            }
        }
        !self.clock.is_doubtful()
    }

    /// Deletes the keys of messages that did not come for too long, and sessions that were
    /// set aside, of some contacts at a time.
    pub(super) fn expire_sessions(&mut self, step: &mut Step<'_>) {
        let after = self.sessions_swept.map_or(Bound::Unbounded, Bound::Excluded);
        let some: Vec<AccountId> =
            self.contacts.range((after, Bound::Unbounded)).take(SESSIONS_SWEPT_AT_ONCE).map(|(id, _)| *id).collect();
        self.sessions_swept = some.last().copied().filter(|_| some.len() == SESSIONS_SWEPT_AT_ONCE);
        for account in some {
            let was_loaded = self.sessions.contains_key(&account);
            let now = step.now;
            if self.sessions_with(step, account).is_ok_and(|sessions| sessions.expire(now)) {
                step.sessions.insert(account);
            } else if !was_loaded {
                self.sessions.remove(&account);
            }
        }
    }
}
