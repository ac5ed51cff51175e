//! Reads the audit log: rows with their checks, and pages that pass by blocks
//! in which a filter finds nothing. Runs beside the engine.

use crate::security::log::{AuditEntry, AuditHead, BLOCK_ENTRIES, Block, Filter, block_of, entry_hash};
use crate::store::{StoreError, Table, Vault};

/// Rows that one page looks at before it says "go on from here".
const PAGE_ROWS_MAX: usize = 12_288;

/// Where the summary of a block stands.
pub(crate) fn block_row(block: u64) -> Vec<u8> {
    [b"audit-block".as_slice(), &block.to_le_bytes()].concat()
}

/// Rows of the log.
pub(crate) struct Rows {
    /// Number, entry, and the hash that the next one has to name.
    pub(crate) rows: Vec<(u64, AuditEntry, [u8; 32])>,
    /// None is missing, damaged or moved.
    pub(crate) whole: bool,
}

/// Reads `from..upto`, past what is damaged.
pub(crate) fn read_rows(vault: &Vault, from: u64, upto: u64) -> Result<Rows, StoreError> {
    let wanted = usize::try_from(upto.saturating_sub(from)).unwrap_or(usize::MAX);
    let (found, mut whole) = match vault.scan_from(Table::Audit, from, wanted) {
        Ok(found) => (found, true),
        Err(StoreError::Damaged { .. }) => (one_by_one(vault, from, upto)?, false),
        Err(error) => return Err(error),
    };
    let mut rows = Vec::with_capacity(found.len());
    let mut expected = from;
    let mut previous: Option<[u8; 32]> = None;
    for (number, bytes) in found.into_iter().filter(|(number, _)| *number < upto) {
        let Some(entry) = AuditEntry::decode(&bytes) else {
            whole = false;
            continue;
        };
        whole &= number == expected && previous.is_none_or(|hash| hash == entry.previous);
        expected = number.saturating_add(1);
        let hash = entry_hash(number, &bytes);
        previous = Some(hash);
        rows.push((number, entry, hash));
    }
    whole &= expected == upto.max(from);
    Ok(Rows { rows, whole })
}

fn one_by_one(vault: &Vault, from: u64, upto: u64) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let txn = vault.begin();
    let mut found = Vec::new();
    for number in from..upto {
        match txn.get_at(Table::Audit, number) {
            Ok(Some(bytes)) => found.push((number, bytes)),
            Ok(None) | Err(StoreError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A page of the log.
pub(crate) struct AuditPage {
    /// Newest first.
    pub(crate) entries: Vec<(u64, AuditEntry)>,
    /// Where to go on; `None` at the log's beginning.
    pub(crate) next_before: Option<u64>,
    /// What was looked at is as it should be.
    pub(crate) whole: bool,
}

/// The newest entries below `before` that `filter` takes, `limit` at most.
pub(crate) fn page(
    vault: &Vault,
    head: &AuditHead,
    filter: &Filter,
    before: Option<u64>,
    limit: usize,
) -> Result<AuditPage, StoreError> {
    let txn = vault.begin();
    let mut at = before.unwrap_or(u64::MAX).min(head.next);
    let mut page = AuditPage { entries: Vec::new(), next_before: None, whole: true };
    let mut looked = 0_usize;
    while at > head.first && looked < PAGE_ROWS_MAX {
        let block = block_of(at.saturating_sub(1));
        let start = block.saturating_mul(BLOCK_ENTRIES).max(head.first);
        let ended = block < block_of(head.next);
        if ended && *filter != Filter::default() {
            let summary = txn.get(Table::Meta, &block_row(block)).ok().flatten();
            if summary.and_then(|bytes| Block::decode(&bytes)).is_some_and(|block| !filter.may_take(&block)) {
                at = start;
                continue;
            }
        }
        let rows = read_rows(vault, start, at)?;
        looked = looked.saturating_add(rows.rows.len());
        page.whole &= rows.whole;
        for (number, entry, _) in rows.rows.into_iter().rev() {
            if !filter.takes(&entry) {
                continue;
            }
            if page.entries.len() >= limit {
                page.next_before = page.entries.last().map(|(number, _)| *number);
                return Ok(page);
            }
            page.entries.push((number, entry));
        }
        at = start;
    }
    page.next_before = (at > head.first).then_some(at);
    Ok(page)
}
