//! Alerts as they are shown: the same thing again is counted, not listed again.

use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::limits::DAY_MS;
use serde::{Deserialize, Serialize};

use super::log::Severity;

/// Alerts that are kept; the oldest goes first.
pub const ALERTS_MAX: usize = 256;
/// Longest encoding of all alerts, in bytes.
pub const ALERTS_MAX_BYTES: usize = 512 * 1024;
/// The same thing after this time is another alert.
const GROUP_MS: u64 = DAY_MS;

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAlert {
    /// Names it.
    pub id: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// The rule.
    pub kind: String,
    /// How much it matters.
    pub severity: Severity,
    /// The account it is about.
    pub subject: Option<String>,
    /// A sentence.
    pub detail: String,
    /// How often.
    pub count: u64,
}

/// All alerts that were not dismissed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlertBook {
    alerts: Vec<StoredAlert>,
    last_id: u64,
}

impl AlertBook {
    /// Something happened: a new alert, or one that is counted on.
    pub fn raise(
        &mut self,
        now: Timestamp,
        kind: &str,
        severity: Severity,
        subject: Option<String>,
        detail: &str,
    ) -> &StoredAlert {
        let same = |alert: &StoredAlert| {
            alert.kind == kind && alert.subject == subject && now.since_ms(alert.last) <= GROUP_MS
        };
        let mut alert = match self.alerts.iter().position(same) {
            Some(at) => self.alerts.remove(at),
            None => {
                self.last_id = self.last_id.saturating_add(1);
                let (kind, detail) = (kind.to_owned(), String::new());
                StoredAlert { id: self.last_id, first: now, last: now, kind, severity, subject, detail, count: 0 }
            }
        };
        alert.last = now;
        alert.count = alert.count.saturating_add(1);
        alert.severity = alert.severity.max(severity);
        detail.clone_into(&mut alert.detail);
        if self.alerts.len() >= ALERTS_MAX {
            self.alerts.remove(0);
        }
        let at = self.alerts.len();
        self.alerts.push(alert);
        &self.alerts[at]
    }

    /// Takes an alert away. Says whether it was there.
    pub fn dismiss(&mut self, id: u64) -> bool {
        let before = self.alerts.len();
        self.alerts.retain(|alert| alert.id != id);
        before != self.alerts.len()
    }

    /// Newest first.
    pub fn iter(&self) -> impl Iterator<Item = &StoredAlert> {
        self.alerts.iter().rev()
    }
}

impl StoredAlert {
    /// Whether it is told again: at the first time, the second, the fourth, and so on.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.count.is_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raise(book: &mut AlertBook, at: u64, subject: &str) -> (u64, u64) {
        let alert = book.raise(Timestamp(at), "decrypt.failures", Severity::Warning, Some(subject.into()), "text");
        (alert.id, alert.count)
    }

    #[test]
    fn the_same_thing_is_counted_and_another_is_listed() {
        let mut book = AlertBook::default();
        assert_eq!(raise(&mut book, 1, "bob"), (1, 1));
        assert_eq!(raise(&mut book, 2, "bob"), (1, 2));
        assert_eq!(raise(&mut book, 3, "carol"), (2, 1));
        assert_eq!(raise(&mut book, 2 * DAY_MS, "bob"), (3, 1), "a day later it is something new");
        assert_eq!(book.iter().map(|alert| alert.id).collect::<Vec<_>>(), [3, 2, 1]);
    }

    #[test]
    fn what_was_dismissed_comes_again_as_a_new_alert() {
        let mut book = AlertBook::default();
        raise(&mut book, 1, "bob");
        assert!(book.dismiss(1) && !book.dismiss(1));
        assert_eq!(raise(&mut book, 2, "bob"), (2, 1));
    }

    #[test]
    fn a_flood_of_alerts_fills_no_memory() {
        let mut book = AlertBook::default();
        for at in 0..2 * ALERTS_MAX as u64 {
            raise(&mut book, at, &format!("{at:0>64}"));
        }
        assert_eq!(book.iter().count(), ALERTS_MAX);
        assert!(secure_chat_protocol::wire::codec::encode(&book, ALERTS_MAX_BYTES).is_ok());
    }
}
