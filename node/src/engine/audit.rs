//! The audit log's end: each entry carries the hash of the one before, so that
//! nothing can be taken out or put in between, and a row of its own says where
//! the log begins and ends.

use std::sync::{Arc, Weak};

use secure_chat_protocol::crypto::kdf;
use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::wire::codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::audit_reader::{block_row, read_rows};
use super::state::Open;
use super::step::Step;
use super::work::Work;
use crate::api::Event;
use crate::security::alerts::{ALERTS_MAX_BYTES, AlertBook};
pub(crate) use crate::security::log::Severity;
use crate::security::log::{
    AuditEntry, AuditHead, BLOCK_ENTRIES, Block, ENTRY_MAX_BYTES, Pruned, block_of, entry_hash,
};
use crate::security::repeats::{REPEATS_MAX_BYTES, Repeats};
use crate::security::rules::Signal;
use crate::store::{StoreError, Table, Txn, Vault};

const HEAD_ROW: &[u8] = b"audit-head";
const PRUNED_ROW: &[u8] = b"audit-pruned";
const REPEATS_ROW: &[u8] = b"audit-repeats";
const ALERTS_ROW: &[u8] = b"alerts";
const SMALL_ROW_MAX_BYTES: usize = 64 * 1024;
/// Rows of a cleared log that one step deletes.
const SWEEP_ROWS: u64 = 8 * BLOCK_ENTRIES;
/// Longest sentence of an entry, in bytes.
const DETAIL_MAX_BYTES: usize = 4 * 1024;

/// The log's end, the block that is being filled, and what is shown of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditTail {
    pub(crate) head: AuditHead,
    pub(crate) block: Block,
    pub(crate) pruned: Pruned,
    pub(crate) alerts: AlertBook,
    pub(crate) repeats: Repeats,
    /// Found changed just now: to be told.
    pub(crate) found_broken: bool,
    /// The whole log was looked at since the account was opened.
    pub(crate) checked: bool,
}

/// A row of our own, or nothing; with whether it was fine.
fn own_row<T: DeserializeOwned + Default>(txn: &Txn<'_>, row: &[u8], limit_bytes: usize) -> (T, bool) {
    match txn.get(Table::Meta, row) {
        Ok(None) => (T::default(), true),
        Ok(Some(bytes)) => {
            codec::decode_own(&bytes, limit_bytes).map_or_else(|_| (T::default(), false), |row| (row, true))
        }
        Err(_) => (T::default(), false),
    }
}

impl AuditTail {
    /// Reads the end of the log. What was done to it is told, and stops nothing.
    pub(crate) fn load(vault: &Vault) -> Result<Self, StoreError> {
        let txn = vault.begin();
        let (mut head, whole) = own_row::<AuditHead>(&txn, HEAD_ROW, SMALL_ROW_MAX_BYTES);
        let (pruned, _) = own_row(&txn, PRUNED_ROW, SMALL_ROW_MAX_BYTES);
        let (repeats, _) = own_row(&txn, REPEATS_ROW, REPEATS_MAX_BYTES);
        let (alerts, _) = own_row(&txn, ALERTS_ROW, ALERTS_MAX_BYTES);
        let span = vault.numbered_span(Table::Audit)?;
        let was_broken = head.broken;
        head.broken |= !whole || !fits(vault, &head, span);
        let found_broken = head.broken && !was_broken;
        if let Some((_, last, _)) = span {
            head.next = head.next.max(last.saturating_add(1));
        }
        let from = block_of(head.next).saturating_mul(BLOCK_ENTRIES).max(head.first);
        let mut block = Block::default();
        for (_, entry, _) in read_rows(vault, from, head.next)?.rows {
            block.add(&entry);
        }
        Ok(Self { head, block, pruned, alerts, repeats, found_broken, checked: false })
    }
}

/// Whether the rows end where the head says, and are as many.
fn fits(vault: &Vault, head: &AuditHead, span: Option<(u64, u64, u64)>) -> bool {
    let Some((lowest, last, rows)) = span.filter(|(_, last, _)| *last >= head.first) else {
        return head.entries() == 0;
    };
    // Below the first entry stand rows of a cleared log that are not deleted yet.
    let counted = lowest < head.first || rows == head.entries();
    let end = read_rows(vault, last, last.saturating_add(1)).ok();
    let ends = end.and_then(|end| end.rows.last().map(|(_, _, hash)| *hash == head.hash)).unwrap_or(false);
    last.saturating_add(1) == head.next && counted && ends
}

/// Walks the whole log: whether each entry names the one before. Ends early when the vault is closed.
pub(crate) fn walk(vault: &Weak<Vault>, head: &AuditHead) -> Option<bool> {
    let (mut at, mut previous) = (head.first, head.before_first);
    while at < head.next {
        let upto = at.saturating_add(BLOCK_ENTRIES).min(head.next);
        let page = read_rows(&*vault.upgrade()?, at, upto).ok()?;
        if !page.whole {
            return Some(false);
        }
        for (_, entry, hash) in page.rows {
            if entry.previous != previous {
                return Some(false);
            }
            previous = hash;
        }
        at = upto;
        // Others want the processor too.
        std::thread::yield_now();
    }
    Some(previous == head.hash)
}

fn put_own<T: Serialize>(step: &mut Step<'_>, row: &[u8], value: &T, limit_bytes: usize) {
    match codec::encode(value, limit_bytes) {
        Ok(bytes) => step.txn.put(Table::Meta, row, &bytes),
        Err(error) => tracing::error!(%error, "a row of the audit log can't be encoded"),
    }
}

fn cut(mut text: String) -> String {
    if text.len() > DETAIL_MAX_BYTES {
        let end = (0..=DETAIL_MAX_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

impl Open {
    /// Adds an entry to the audit log.
    pub(crate) fn audit(&mut self, step: &mut Step<'_>, kind: &str, severity: Severity, detail: impl Into<String>) {
        self.audit_about(step, kind, severity, None, detail);
    }

    /// Adds an entry about somebody to the audit log. The same again and again is counted.
    pub(crate) fn audit_about(
        &mut self,
        step: &mut Step<'_>,
        kind: &str,
        severity: Severity,
        subject: Option<String>,
        detail: impl Into<String>,
    ) {
        let detail = detail.into();
        let repeats = &mut self.audit.repeats;
        let admitted = repeats.admits(step.now, kind, severity, subject.as_deref(), &detail);
        self.sum_up_repeats(step, false);
        if admitted {
            self.append_audit(step, kind, severity, subject, detail);
        } else {
            put_own(step, REPEATS_ROW, &self.audit.repeats, REPEATS_MAX_BYTES);
        }
    }

    /// Writes what was counted: all, or what has ended.
    pub(crate) fn sum_up_repeats(&mut self, step: &mut Step<'_>, all: bool) {
        let ended = self.audit.repeats.ended(step.now, all);
        if ended.is_empty() {
            return;
        }
        for repeat in ended {
            let sentence = repeat.sentence();
            self.append_audit(step, &repeat.kind, repeat.severity, repeat.subject, sentence);
        }
        put_own(step, REPEATS_ROW, &self.audit.repeats, REPEATS_MAX_BYTES);
    }

    fn append_audit(
        &mut self,
        step: &mut Step<'_>,
        kind: &str,
        severity: Severity,
        subject: Option<String>,
        detail: String,
    ) {
        let tail = &mut self.audit;
        let entry = AuditEntry {
            previous: tail.head.hash,
            at: step.now,
            kind: kind.to_owned(),
            severity,
            subject,
            detail: cut(detail),
        };
        let Ok(bytes) = codec::encode(&entry, ENTRY_MAX_BYTES) else { return };
        let number = tail.head.next;
        step.txn.put_at(Table::Audit, number, &bytes);
        tail.block.add(&entry);
        tail.head.hash = entry_hash(number, &bytes);
        tail.head.next = number.saturating_add(1);
        if block_of(tail.head.next) != block_of(number) {
            self.end_block(step, block_of(number));
        }
        put_own(step, HEAD_ROW, &self.audit.head, SMALL_ROW_MAX_BYTES);
        let severity = entry.severity.name().to_owned();
        step.tell(Event::SecurityAudit { kind: entry.kind, severity, detail: entry.detail });
    }

    fn end_block(&mut self, step: &mut Step<'_>, block: u64) {
        let full = std::mem::take(&mut self.audit.block);
        if let Some(bytes) = full.encode() {
            step.txn.put(Table::Meta, &block_row(block), &bytes);
        }
        if self.audit.head.entries() > self.config.bounds.audit_max_entries {
            self.prune_block(step);
        }
    }

    /// The oldest block goes; a sealed summary says what it was.
    fn prune_block(&mut self, step: &mut Step<'_>) {
        let head = &mut self.audit.head;
        let block = block_of(head.first);
        let end = block.saturating_add(1).saturating_mul(BLOCK_ENTRIES).min(head.next);
        let last = end.saturating_sub(1);
        if let Ok(Some(bytes)) = step.txn.get_at(Table::Audit, last) {
            head.before_first = entry_hash(last, &bytes);
        }
        for number in head.first..end {
            step.txn.delete_at(Table::Audit, number);
        }
        head.first = end;
        self.forget_block(step, block);
        put_own(step, PRUNED_ROW, &self.audit.pruned, SMALL_ROW_MAX_BYTES);
    }

    fn forget_block(&mut self, step: &mut Step<'_>, block: u64) {
        let row = block_row(block);
        let summary = step.txn.get(Table::Meta, &row).ok().flatten().and_then(|bytes| Block::decode(&bytes));
        for ((kind, _), entries) in summary.iter().flat_map(|summary| &summary.kinds) {
            self.audit.pruned.add(kind, *entries, summary.as_ref().map_or(step.now, |summary| summary.upto));
        }
        step.txn.delete(Table::Meta, &row);
    }

    /// Empties the log; that it was done is the first entry of what follows.
    pub(crate) fn clear_audit(&mut self, step: &mut Step<'_>) {
        let (first, next) = (self.audit.head.first, self.audit.head.next);
        let entries = self.audit.head.entries();
        for block in block_of(first)..block_of(next) {
            self.forget_block(step, block);
        }
        let open = std::mem::take(&mut self.audit.block);
        for ((kind, _), entries) in &open.kinds {
            self.audit.pruned.add(kind, *entries, open.upto);
        }
        let head = &mut self.audit.head;
        (head.first, head.before_first, head.broken) = (next, head.hash, false);
        self.audit.checked = true;
        put_own(step, PRUNED_ROW, &self.audit.pruned, SMALL_ROW_MAX_BYTES);
        for number in first..next.min(first.saturating_add(SWEEP_ROWS)) {
            step.txn.delete_at(Table::Audit, number);
        }
        let detail = format!("The audit log was cleared: {entries} entries went.");
        self.audit(step, "audit.cleared", Severity::Warning, detail);
        if entries > SWEEP_ROWS {
            step.work(async { Work::AuditSweep });
        }
    }

    /// Deletes more of what was cleared.
    pub(crate) fn sweep_audit(&mut self, step: &mut Step<'_>) {
        let first = self.audit.head.first;
        let Ok(Some((lowest, ..))) = self.vault.numbered_span(Table::Audit) else { return };
        for number in lowest..first.min(lowest.saturating_add(SWEEP_ROWS)) {
            step.txn.delete_at(Table::Audit, number);
        }
        if lowest.saturating_add(SWEEP_ROWS) < first {
            step.work(async { Work::AuditSweep });
        }
    }

    /// Says what was found when the log was read, and looks at all of it in the background.
    pub(crate) fn check_audit(&mut self, step: &mut Step<'_>) {
        if std::mem::take(&mut self.audit.found_broken) {
            self.tell_broken(step);
        }
        self.sweep_audit(step);
        let (vault, head) = (Arc::downgrade(&self.vault), self.audit.head.clone());
        step.work(async move {
            let first = head.first;
            let ok = crate::stack::spawn_blocking(move || walk(&vault, &head)).await.ok().flatten();
            Work::AuditWalked { first, ok }
        });
    }

    /// The whole log was looked at.
    pub(crate) fn audit_walked(&mut self, step: &mut Step<'_>, first: u64, ok: Option<bool>) {
        // What was pruned or cleared meanwhile is missing for a good reason.
        if first != self.audit.head.first {
            return;
        }
        self.audit.checked |= ok.is_some();
        if ok == Some(false) && !self.audit.head.broken {
            self.audit.head.broken = true;
            self.tell_broken(step);
        }
    }

    fn tell_broken(&mut self, step: &mut Step<'_>) {
        let text = "The audit log was changed outside of this program: entries are missing, moved or damaged. \
                    Somebody had access to this device's disk.";
        self.alert(step, "audit.tampered", Severity::Critical, None, text);
    }

    /// Warns the person; the same again is counted, and told less and less often.
    pub(crate) fn alert(
        &mut self,
        step: &mut Step<'_>,
        kind: &str,
        severity: Severity,
        subject: Option<String>,
        detail: &str,
    ) {
        let alert = self.audit.alerts.raise(step.now, kind, severity, subject, detail);
        let told = alert.is_told().then(|| alert.clone());
        put_own(step, ALERTS_ROW, &self.audit.alerts, ALERTS_MAX_BYTES);
        let Some(alert) = told else { return };
        self.audit_about(step, kind, severity, alert.subject.clone(), detail);
        step.tell(Event::SecurityAlert {
            alert_id: alert.id.to_string(),
            count: alert.count,
            kind: alert.kind,
            severity: alert.severity.name().to_owned(),
            subject: alert.subject,
            detail: alert.detail,
        });
    }

    pub(crate) fn store_alerts(&self, step: &mut Step<'_>) {
        put_own(step, ALERTS_ROW, &self.audit.alerts, ALERTS_MAX_BYTES);
    }

    /// Shows something to the alert rules.
    pub(crate) fn observe(&mut self, step: &mut Step<'_>, signal: &Signal) {
        if let Some(raised) = self.rules.observe(step.now, signal) {
            let subject = raised.subject.map(|account| account.to_string());
            self.alert(step, raised.kind, raised.severity, subject, raised.detail);
        }
    }

    /// The short mark of a message for the rule on replays.
    pub(crate) fn replay_signal(from: AccountId, mark: &[u8; 32]) -> Signal {
        let hash = kdf::hash_fields("replay", &[mark]);
        Signal::Replay(from, hash.first_chunk().copied().unwrap_or_default())
    }
}
