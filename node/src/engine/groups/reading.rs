//! How much of each log was read lately: a rendezvous node can make up entries without end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::limits::{LOG_MAX_BYTES, LOG_MAX_ENTRIES};
use secure_chat_protocol::wire::rendezvous::LogEntry;

use crate::messaging::limits::GROUP_LOGS_EVERY_MS;

/// Pages of which nothing was sealed by a member before a log is left alone for a while.
const UNREADABLE_PAGES_MAX: u32 = 3;

/// Which group secret's log: its generation, and who made it.
type Secret = (u64, AccountId);

#[derive(Default)]
struct Read {
    entries: u64,
    bytes: u64,
    unreadable: u32,
    /// It is left alone until then.
    until: Option<Instant>,
}

/// The logs of one group, at all its nodes.
#[derive(Default)]
pub(super) struct Reading(BTreeMap<(Secret, String), Read>);

impl Reading {
    /// Forgets the logs of secrets that are kept no more.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Secret) -> bool) {
        self.0.retain(|(secret, _), _| is_kept(secret));
    }

    /// Whether a log may be read now.
    pub(super) fn may_read(&self, secret: Secret, node: &str, now: Instant) -> bool {
        let until = self.0.get(&(secret, node.to_owned())).and_then(|read| read.until);
        until.is_none_or(|until| now >= until)
    }

    /// A page came of which so many entries could be opened. Says whether the next one is asked
    /// for: not once there is more than an honest node keeps, or nothing of a member's in some pages.
    pub(super) fn goes_on(
        &mut self,
        secret: Secret,
        node: &str,
        (entries, opened, more): (&[LogEntry], usize, bool),
        now: Instant,
    ) -> bool {
        let key = (secret, node.to_owned());
        if !more {
            self.0.remove(&key);
            return false;
        }
        let read = self.0.entry(key).or_default();
        if read.until.is_some() {
            *read = Read::default();
        }
        let bytes: usize = entries.iter().map(|entry| entry.sealed.0.len()).sum();
        read.entries = read.entries.saturating_add(entries.len() as u64);
        read.bytes = read.bytes.saturating_add(bytes as u64);
        read.unreadable = if opened == 0 { read.unreadable.saturating_add(1) } else { 0 };
        let endless = read.entries > LOG_MAX_ENTRIES || read.bytes > LOG_MAX_BYTES;
        if endless || read.unreadable >= UNREADABLE_PAGES_MAX {
            read.until = Some(now + Duration::from_millis(GROUP_LOGS_EVERY_MS));
        }
        read.until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use secure_chat_protocol::id::EnvelopeId;
    use secure_chat_protocol::wire::codec::Bytes;

    use super::*;

    fn page() -> Vec<LogEntry> {
        let entry = |position| LogEntry { position, id: EnvelopeId([0; 16]), sealed: Bytes(vec![0; 4_096]) };
        (1..=250).map(entry).collect()
    }

    const SECRET: Secret = (1, AccountId([1; 32]));

    #[test]
    fn a_log_of_which_nothing_opens_is_left_alone_for_a_while() {
        let (mut reading, now, page) = (Reading::default(), Instant::now(), page());
        let mut ask = |opened, now| reading.goes_on(SECRET, "a", (page.as_slice(), opened, true), now);
        assert!(ask(0, now) && ask(0, now) && ask(1, now) && ask(0, now) && ask(0, now));
        assert!(!ask(0, now));
        assert!(!reading.may_read(SECRET, "a", now) && reading.may_read(SECRET, "b", now));
        let later = now + Duration::from_millis(GROUP_LOGS_EVERY_MS);
        assert!(reading.may_read(SECRET, "a", later));
        assert!(reading.goes_on(SECRET, "a", (page.as_slice(), 0, true), later), "once more so much");
        assert!(!reading.goes_on(SECRET, "a", (page.as_slice(), 250, false), later));
        assert!(reading.may_read(SECRET, "a", later), "its end was shown");
    }

    #[test]
    fn no_more_is_read_at_once_than_an_honest_node_keeps() {
        let (mut reading, now, page) = (Reading::default(), Instant::now(), page());
        let pages =
            (0..1_000).take_while(|_| reading.goes_on(SECRET, "a", (page.as_slice(), 250, true), now)).count() as u64;
        let bytes = 250 * 4_096;
        assert!(pages * 250 <= LOG_MAX_ENTRIES && pages * bytes <= LOG_MAX_BYTES, "{pages}");
        assert!((pages + 1) * 250 > LOG_MAX_ENTRIES || (pages + 1) * bytes > LOG_MAX_BYTES, "{pages}");
    }
}
