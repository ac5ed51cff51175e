//! The same entry again and again: after the first few it is counted, and one entry
//! says how often it came. Whoever sends garbage can't push the audit log out. Pure.

use std::collections::VecDeque;

use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::limits::SECOND_MS;
use serde::{Deserialize, Serialize};

use super::log::Severity;

/// Equal entries that are written one by one, within the window.
pub const REPEATS_WRITTEN: u32 = 3;
/// Entries are equal for so long after the first.
pub const REPEATS_WINDOW_MS: u64 = 10 * 60 * SECOND_MS;
/// Entries that are watched at once: the oldest ends when there are more.
const WATCHED_MAX: usize = 16;
/// As much of a sentence is remembered, in bytes.
const DETAIL_MAX_BYTES: usize = 512;
/// Longest encoding of all, in bytes.
pub const REPEATS_MAX_BYTES: usize = 16 * 1024;
/// What the members of groups do to each other: merged like all that others cause.
const OTHERS: [&str; 4] = ["group.member_joined", "group.member_left", "group.member_banned", "group.role_changed"];
/// What the person does, and what happens once: never merged.
const OWN: [&str; 10] =
    ["account", "alert", "audit", "backup", "clock", "contact", "file", "group", "settings", "vault"];

/// Equal entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// Of this kind.
    pub kind: String,
    /// How much they matter.
    pub severity: Severity,
    /// Whom they are about.
    pub subject: Option<String>,
    /// What they say.
    pub detail: String,
    since: Timestamp,
    written: u32,
    /// How many were not written.
    pub merged: u64,
}

/// All that are watched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Repeats {
    watched: VecDeque<Repeat>,
}

fn cut(detail: &str) -> &str {
    let end = (0..=DETAIL_MAX_BYTES.min(detail.len())).rev().find(|at| detail.is_char_boundary(*at));
    detail.get(..end.unwrap_or_default()).unwrap_or_default()
}

impl Repeats {
    /// An entry wants to be written. Says whether it is: otherwise it was counted.
    pub fn admits(
        &mut self,
        now: Timestamp,
        kind: &str,
        severity: Severity,
        subject: Option<&str>,
        detail: &str,
    ) -> bool {
        if OWN.contains(&kind.split('.').next().unwrap_or(kind)) && !OTHERS.contains(&kind) {
            return true;
        }
        let detail = cut(detail);
        let same = |known: &&mut Repeat| {
            known.kind == kind && known.subject.as_deref() == subject && known.detail == detail && !known.is_over(now)
        };
        if let Some(known) = self.watched.iter_mut().find(same) {
            known.severity = known.severity.max(severity);
            if known.written < REPEATS_WRITTEN {
                known.written = known.written.saturating_add(1);
                return true;
            }
            known.merged = known.merged.saturating_add(1);
            return false;
        }
        let (kind, subject, detail) = (kind.to_owned(), subject.map(str::to_owned), detail.to_owned());
        self.watched.push_back(Repeat { kind, severity, subject, detail, since: now, written: 1, merged: 0 });
        true
    }

    /// Takes out what is to be summed up: all, or what has ended.
    pub fn ended(&mut self, now: Timestamp, all: bool) -> Vec<Repeat> {
        let mut ended = Vec::new();
        let over = self.watched.len().saturating_sub(WATCHED_MAX);
        ended.extend(self.watched.drain(..over));
        let (past, still): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.watched).into_iter().partition(|repeat| all || repeat.is_over(now));
        self.watched = still;
        ended.extend(past);
        ended.retain(|repeat| repeat.merged > 0);
        ended
    }
}

impl Repeat {
    /// A clock that went back ends it too.
    const fn is_over(&self, now: Timestamp) -> bool {
        now.0 < self.since.0 || now.0.saturating_sub(self.since.0) > REPEATS_WINDOW_MS
    }

    /// The sentence of the one entry that stands for those that were not written.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{} The same again: {} times more.", self.detail, self.merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_chat_protocol::wire::codec;

    fn admits(repeats: &mut Repeats, at: u64, kind: &str, subject: &str) -> bool {
        repeats.admits(Timestamp(at), kind, Severity::Info, Some(subject), "It happened.")
    }

    #[test]
    fn equal_entries_are_counted_and_summed_up() {
        let mut repeats = Repeats::default();
        let written = (0..1_000).filter(|at| admits(&mut repeats, *at, "message.undecryptable", "mallory")).count();
        assert_eq!(written, REPEATS_WRITTEN as usize);
        assert!(admits(&mut repeats, 1, "message.undecryptable", "bob"), "another sender is another entry");
        assert!(repeats.ended(Timestamp(2_000), false).is_empty());
        let ended = repeats.ended(Timestamp(REPEATS_WINDOW_MS + 1), false);
        assert_eq!(ended.iter().map(|repeat| repeat.merged).collect::<Vec<_>>(), [997]);
        assert_eq!(ended[0].sentence(), "It happened. The same again: 997 times more.");
        assert!(admits(&mut repeats, REPEATS_WINDOW_MS + 2, "message.undecryptable", "mallory"), "and it begins anew");
    }

    #[test]
    fn what_the_person_does_is_never_merged() {
        let mut repeats = Repeats::default();
        assert!((0..100).all(|at| admits(&mut repeats, at, "settings.changed", "-")));
        assert!((0..100).all(|at| admits(&mut repeats, at, "account.unlock_failed", "-")));
    }

    #[test]
    fn a_flood_of_senders_fills_no_memory_and_loses_no_count() {
        let mut repeats = Repeats::default();
        let mut summed = 0;
        for at in 0..10_000_u64 {
            let sender = format!("{:064}", at / 100);
            admits(&mut repeats, at / 1_000, "message.undecryptable", &sender);
            summed += repeats.ended(Timestamp(at / 1_000), false).iter().map(|repeat| repeat.merged).sum::<u64>();
            assert!(repeats.watched.len() <= WATCHED_MAX);
        }
        summed += repeats.ended(Timestamp(10), true).iter().map(|repeat| repeat.merged).sum::<u64>();
        assert_eq!(summed, 10_000 - 100 * u64::from(REPEATS_WRITTEN));
    }

    #[test]
    fn as_many_as_there_may_be_fit_their_row() {
        let mut repeats = Repeats::default();
        for number in 0..WATCHED_MAX {
            let detail = "é".repeat(3_000);
            repeats.admits(Timestamp(1), &"k".repeat(64), Severity::Info, Some(&format!("{number:064}")), &detail);
        }
        assert!(codec::encode(&repeats, REPEATS_MAX_BYTES).is_ok());
    }
}
