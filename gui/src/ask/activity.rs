//! How much the audit log says of each of the last days: counted over the log
//! itself, whatever of it is shown.

use chrono::{Datelike as _, Local, TimeZone as _};
use secure_chat_node::api::{At, NodeHandle};
use secure_chat_protocol::id::Timestamp;
use serde_json::json;

use super::security::Log;
use super::{Answered, by_name};

/// Days that are counted.
pub(crate) const DAYS: usize = 14;
/// Entries read at once: as many as the node gives.
const PAGE_ENTRIES: u32 = 500;
/// More than these are not counted.
const PAGES_MAX: usize = 20;
/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;

/// Usual entries of the log, and those that are more than usual, day by day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Activity {
    /// Today first.
    pub(crate) days: [[u32; 2]; DAYS],
    /// The log is so long that the oldest of these days are not counted as a whole.
    pub(crate) cut: bool,
}

impl Activity {
    fn count(&mut self, at_ms: u64, now_ms: u64, notable: bool) {
        let ago = local_day(now_ms).zip(local_day(at_ms)).and_then(|(now, at)| usize::try_from(now - at).ok());
        if let Some(count) =
            ago.and_then(|ago| self.days.get_mut(ago)).and_then(|day| day.get_mut(usize::from(notable)))
        {
            *count += 1;
        }
    }

    /// Of all days together.
    pub(crate) fn total(&self, notable: bool) -> u64 {
        self.days.iter().filter_map(|day| day.get(usize::from(notable))).map(|count| u64::from(*count)).sum()
    }
}

/// A number that is the same for two moments of one day, where the person lives.
fn local_day(at_ms: u64) -> Option<i32> {
    let at = Local.timestamp_millis_opt(i64::try_from(at_ms).ok()?).single()?;
    Some(at.num_days_from_ce())
}

/// Counts the entries of the last days.
pub(super) async fn activity(node: &NodeHandle, now_ms: u64) -> Answered<Activity> {
    let mut activity = Activity::default();
    let since = At(Timestamp(now_ms.saturating_sub(DAYS as u64 * DAY_MS)));
    let mut before: Option<u64> = None;
    for _ in 0..PAGES_MAX {
        let params = json!({"before": before, "limit": PAGE_ENTRIES, "since": since});
        let page: Log = by_name::ask(node, "security.audit_log", params).await?;
        for entry in &page.entries {
            activity.count(entry.at.0.0, now_ms, entry.severity != "info");
        }
        before = page.next_before;
        if before.is_none() {
            return Ok(activity);
        }
    }
    activity.cut = true;
    Ok(activity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_counts_for_its_day_where_the_person_lives() {
        let noon = |days_ago: i64| {
            let at = Local.with_ymd_and_hms(2026, 1, 31, 12, 0, 0).unwrap() - chrono::Duration::days(days_ago);
            u64::try_from(at.timestamp_millis()).unwrap()
        };
        let (now, hour) = (noon(0), 3_600_000);
        let mut activity = Activity::default();
        for (at, notable) in [(now, false), (now - 11 * hour, true), (now - 13 * hour, false), (noon(13), true)] {
            activity.count(at, now, notable);
        }
        // Before the first of these days, and after now, where clocks were turned.
        activity.count(noon(14), now, false);
        activity.count(now + 48 * hour, now, false);
        assert_eq!((activity.days[0], activity.days[1], activity.days[13]), ([1, 1], [1, 0], [0, 1]));
        assert_eq!((activity.total(false), activity.total(true)), (2, 2));
    }
}
