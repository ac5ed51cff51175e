//! The audit log as it is shown, alerts, and facts about keys and storage.

use serde_json::{Map, Value};

use super::{Overlay, State, Tab, Tone};
use crate::ask::activity::Activity;
use crate::ask::security::{self as ask, Alert, Answer, Entry, Filter, SessionFact, SetAside};
use crate::ask::{Answered, Ask, contacts};
use crate::strings::tr;
use crate::text::Clock;

/// Entries kept in memory; the log itself may be longer.
const ENTRIES_MAX: usize = 100_000;

/// The security tab.
#[derive(Debug, Default)]
pub(crate) struct Security {
    /// Newest first.
    pub(crate) entries: Vec<Entry>,
    pub(crate) more: bool,
    pub(crate) loading: bool,
    pub(crate) loaded: bool,
    /// Whether the chain of hashes over the log is whole, where the node says so.
    pub(crate) chain_ok: Option<bool>,
    pub(crate) filter: Filter,
    serial: u64,
    next_before: Option<u64>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) facts: Map<String, Value>,
    /// The contacts' encrypted sessions, out of the facts.
    pub(crate) sessions: Vec<SessionFact>,
    /// Chat requests that were set aside.
    pub(crate) set_aside: Vec<SetAside>,
    /// How much there was on each of the last days.
    pub(crate) activity: Option<Activity>,
    /// When the facts were read last, in milliseconds.
    pub(crate) read_at_ms: u64,
    /// Why the log could not be read.
    pub(crate) error: Option<String>,
    pub(crate) exporting: bool,
    /// Where the last export was written and how many entries it has, or why it was not.
    pub(crate) exported: Option<Result<(String, u64), String>>,
}

impl Security {
    /// Reads the log anew, with the filter as it is now.
    pub(crate) fn read(&mut self, asks: &mut Vec<Ask>) {
        self.serial += 1;
        self.loading = true;
        let filter = self.filter.clone();
        asks.push(ask::Ask::Log { before: None, filter, serial: self.serial }.into());
    }

    /// Reads on where what is loaded ends.
    pub(crate) fn read_on(&mut self, asks: &mut Vec<Ask>) {
        let last = self.entries.last().map(|entry| entry.seq);
        let Some(before) = self.next_before.or(last) else { return };
        if !self.more || self.loading || self.entries.len() >= ENTRIES_MAX {
            return;
        }
        self.loading = true;
        let (before, filter) = (Some(before), self.filter.clone());
        asks.push(ask::Ask::Log { before, filter, serial: self.serial }.into());
    }

    fn read_everything(&mut self, asks: &mut Vec<Ask>) {
        self.read(asks);
        asks.extend([Ask::from(ask::Ask::Alerts), ask::Ask::Facts.into(), ask::Ask::SetAside.into()]);
    }

    fn page(&mut self, before: Option<u64>, serial: u64, result: Answered<ask::Log>) {
        if serial != self.serial {
            return;
        }
        (self.loading, self.loaded) = (false, true);
        let page = match result {
            Ok(page) => page,
            Err(error) => {
                self.error = Some(error.message);
                return;
            }
        };
        self.error = None;
        self.chain_ok = page.chain_ok.or(self.chain_ok);
        let full = page.entries.len() >= ask::PAGE_ENTRIES as usize;
        self.more = page.more.unwrap_or(full);
        self.next_before = page.next_before;
        let mut entries = page.entries;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
        match before {
            Some(before) => self.entries.extend(entries.into_iter().filter(|entry| entry.seq < before)),
            None => self.entries = entries,
        }
    }
}

impl State {
    /// The tab is looked at: read what it shows.
    pub(super) fn look_at_security(&mut self, asks: &mut Vec<Ask>) {
        if Tab::Security.is_here() {
            self.security.read_everything(asks);
        }
    }

    /// The log has a new entry.
    pub(super) fn audited(&mut self, asks: &mut Vec<Ask>) {
        // One reading for all that came in one frame: while it is under way, the next waits.
        if self.tab == Tab::Security && !self.security.loading {
            self.look_at_security(asks);
        }
    }

    pub(super) fn security_answer(&mut self, answer: Answer, clock: Clock, asks: &mut Vec<Ask>) {
        match answer {
            Answer::Log { before, serial, result } => self.security.page(before, serial, result),
            Answer::Alerts(Ok(alerts)) => self.security.alerts = alerts,
            Answer::Facts(Ok(facts)) => {
                let sessions = facts.get("sessions").cloned().unwrap_or_default();
                self.security.sessions = serde_json::from_value(sessions).unwrap_or_default();
                self.security.facts = facts;
            }
            Answer::Activity(Ok(activity)) => self.security.activity = Some(activity),
            Answer::SetAside(Ok(set_aside)) => self.security.set_aside = set_aside,
            // The next reading makes them good.
            Answer::Alerts(Err(_)) | Answer::Facts(Err(_)) | Answer::Activity(Err(_)) | Answer::SetAside(Err(_)) => {}
            Answer::Released(result) => {
                if self.toast_error(result, clock).is_some() {
                    self.notices.toast(Tone::Plain, tr().released, clock.now_ms);
                }
                asks.extend([Ask::from(ask::Ask::SetAside), contacts::Ask::Requests.into()]);
            }
            Answer::Discarded(result) => {
                let _ = self.toast_error(result, clock);
                asks.push(ask::Ask::SetAside.into());
            }
            Answer::SessionReset { user, result } => {
                if self.toast_error(result, clock).is_some() {
                    self.notices.toast(Tone::Good, (tr().session_reset)(&user), clock.now_ms);
                }
                self.audited(asks);
            }
            Answer::Dismissed(result) => {
                if self.toast_error(result, clock).is_some() {
                    asks.push(ask::Ask::Alerts.into());
                }
            }
            Answer::Exported { path, result } => {
                self.security.exporting = false;
                self.security.exported = Some(result.map(|entries| (path, entries)).map_err(|error| error.message));
            }
            Answer::Cleared(result) => {
                if self.toast_error(result, clock).is_some() {
                    self.notices.toast(Tone::Plain, tr().audit_cleared, clock.now_ms);
                }
                self.look_at_security(asks);
            }
        }
    }

    /// Exports the log.
    pub(super) fn export_log(&mut self, path: String, format: &'static str, asks: &mut Vec<Ask>) {
        self.security.exporting = true;
        self.security.exported = None;
        asks.push(ask::Ask::Export { path, format }.into());
    }

    /// Asks before the log is cleared.
    pub(super) fn confirm_clear(&mut self) {
        self.overlay = Some(Overlay::Confirm(super::Confirm::ClearLog));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_chat_node::api::At;

    fn entry(seq: u64) -> Entry {
        Entry { seq, at: At::default(), kind: "k".into(), severity: "info".into(), detail: String::new() }
    }

    fn log(entries: impl IntoIterator<Item = u64>, more: bool) -> Answered<ask::Log> {
        Ok(ask::Log {
            entries: entries.into_iter().map(entry).collect(),
            chain_ok: Some(true),
            more: Some(more),
            next_before: None,
        })
    }

    #[test]
    fn pages_follow_each_other_without_doubles() {
        let mut security = Security::default();
        let mut asks = Vec::new();
        security.read(&mut asks);
        security.page(None, 1, log(6..=9, true));
        security.read_on(&mut asks);
        security.read_on(&mut asks);
        assert_eq!(asks.len(), 2, "while one page is read, no other is asked for");
        security.page(Some(6), 1, log(3..=6, false));
        let numbers: Vec<_> = security.entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(numbers, [9, 8, 7, 6, 5, 4, 3]);
        security.read_on(&mut asks);
        assert_eq!(asks.len(), 2, "there is no more");
    }

    #[test]
    fn the_page_of_an_older_filter_is_not_shown() {
        let mut security = Security::default();
        let mut asks = Vec::new();
        security.read(&mut asks);
        security.filter.severity = Some("critical");
        security.read(&mut asks);
        security.page(None, 1, log([1], false));
        assert!(security.entries.is_empty() && security.loading);
    }
}
