//! Points in time as people write them, in the machine's own time zone.

use chrono::{DateTime, Datelike, Local, TimeZone};
use secure_chat_node::api::At;

use crate::strings::tr;

/// Where "now" comes from, so that tests can stop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Clock {
    /// Milliseconds since the Unix epoch.
    pub(crate) now_ms: u64,
}

impl Clock {
    /// The system's clock, read now.
    pub(crate) fn system() -> Self {
        let now_ms = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        Self { now_ms }
    }
}

fn local(at_ms: u64) -> Option<DateTime<Local>> {
    Local.timestamp_millis_opt(i64::try_from(at_ms).ok()?).single()
}

/// `14:32`.
pub(crate) fn time_of_day(at_ms: u64) -> String {
    local(at_ms).map_or_else(String::new, |at| at.format("%H:%M").to_string())
}

/// `Saturday, 31 January 2026, 14:32`.
pub(crate) fn long_date_time(at: At) -> String {
    local(at.0.0).map_or_else(String::new, |at| at.format("%A, %-d %B %Y, %H:%M").to_string())
}

/// `31.01.26 14:32:05`.
pub(crate) fn date_time(at: At) -> String {
    local(at.0.0).map_or_else(String::new, |at| at.format("%d.%m.%y %H:%M:%S").to_string())
}

/// `812 B`, `4.2 KB`, `31 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1_000.0 {
            break;
        }
        value /= 1_024.0;
        unit = next;
    }
    if unit == "B" || value >= 10.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A number that is the same for two moments of one day.
fn day(at_ms: u64) -> Option<i32> {
    local(at_ms).map(|at| at.date_naive().num_days_from_ce())
}

/// What stands above the first message of a day, or `None` where `before`
/// is of the same day.
pub(crate) fn day_label(at_ms: u64, before_ms: Option<u64>, clock: Clock) -> Option<String> {
    let this = day(at_ms)?;
    if before_ms.and_then(day) == Some(this) {
        return None;
    }
    let ago = day(clock.now_ms)?.saturating_sub(this);
    Some(match ago {
        0 => tr().today.to_owned(),
        1 => tr().yesterday.to_owned(),
        2..=6 => local(at_ms)?.format("%A").to_string(),
        _ => local(at_ms)?.format("%A, %-d %B %Y").to_string(),
    })
}

/// A moment as a list shows it: the time today, the weekday this week, then the date.
pub(crate) fn when(at_ms: u64, clock: Clock) -> String {
    let (Some(at), Some(this), Some(today)) = (local(at_ms), day(at_ms), day(clock.now_ms)) else {
        return String::new();
    };
    match today.saturating_sub(this) {
        ..=0 => at.format("%H:%M").to_string(),
        1 => tr().yesterday.to_owned(),
        2..=6 => at.format("%a").to_string(),
        _ => at.format("%d.%m.%y").to_string(),
    }
}

/// `3 min`, `2 h 05 min`, `4 d 2 h`.
pub(crate) fn duration(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0 => tr().less_than_a_minute.to_owned(),
        1..=59 => format!("{minutes} min"),
        60..=1_439 => format!("{} h {:02} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1_440, minutes / 60 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn a_day_is_named_once() {
        let now_ms = 1_700_000_000_000;
        let clock = Clock { now_ms };
        assert_eq!(day_label(now_ms, None, clock).as_deref(), Some(tr().today));
        assert_eq!(day_label(now_ms, Some(now_ms), clock), None);
        assert_eq!(day_label(now_ms - DAY_MS, Some(now_ms - 9 * DAY_MS), clock).as_deref(), Some(tr().yesterday));
    }

    #[test]
    fn no_time_is_too_far_away() {
        for at_ms in [0, u64::MAX, i64::MAX as u64] {
            let clock = Clock { now_ms: u64::MAX };
            let _ = (time_of_day(at_ms), when(at_ms, clock), day_label(at_ms, Some(1), clock), duration(at_ms));
        }
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(duration(59_000), tr().less_than_a_minute);
        assert_eq!(duration(2 * 3_600_000 + 5 * 60_000), "2 h 05 min");
        assert_eq!(duration(4 * DAY_MS + 2 * 3_600_000), "4 d 2 h");
    }
}
