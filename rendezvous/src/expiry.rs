//! What expires: envelopes and mailboxes, entries of the directory, of logs, blobs. Floor 2, over
//! the rules.
//!
//! Hours are hours of the node's own running time, not of the wall clock: a clock that
//! jumps deletes nothing, and while the node is down nothing grows old.

use std::ops::ControlFlow;

use secure_chat_protocol::id::BlobId;

use crate::limits::SWEEP_BATCH_ROWS;
use crate::mailbox::{self, Retired};
use crate::rows::{Expiring, ServiceTotals, StoreError, Table, Totals, Write, decode_row, key};
use crate::{blobs, directory, group_log};

/// What one sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Envelopes that were deleted unread.
    pub envelopes: u64,
    /// Mailboxes that nobody opened for long.
    pub mailboxes: u64,
    /// Groups that were taken off the list.
    pub listings: u64,
    /// Entries of logs that were deleted.
    pub log_entries: u64,
    /// Blobs that were deleted; their files are to follow.
    pub blobs: Vec<BlobId>,
    /// There is more to do.
    pub more: bool,
}

/// Deletes what expired, at most [`SWEEP_BATCH_ROWS`] rows at once.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn sweep(rows: &mut dyn Write, now_hour: u64) -> Result<Swept, StoreError> {
    let mut due: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut swept = Swept::default();
    let last = key(&[&now_hour.to_be_bytes(), &[0xff; 8]]);
    rows.range(Table::Expiry, &[0; 16], &last, &mut |key, value| {
        if due.len() >= SWEEP_BATCH_ROWS {
            swept.more = true;
            return ControlFlow::Break(());
        }
        due.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    let mut totals = Totals::load(rows)?;
    let mut services = ServiceTotals::load(rows)?;
    for (key, expiring) in due {
        match decode_row(Table::Expiry, &expiring)? {
            Expiring::Envelope { mailbox, position, id } => {
                let gone = mailbox::expire(rows, &mut totals, &mailbox, position, &id)?;
                swept.envelopes = swept.envelopes.saturating_add(u64::from(gone));
            }
            Expiring::Kit { account, id } => {
                rows.delete(Table::KitIds, &crate::rows::key(&[account.as_bytes(), id.as_bytes()]))?;
            }
            Expiring::Mailbox(mailbox) => match mailbox::retire(rows, &mut totals, now_hour, &mailbox)? {
                Retired::Not => {}
                Retired::Gone => swept.mailboxes = swept.mailboxes.saturating_add(1),
                Retired::Partly => {
                    swept.more = true;
                    continue;
                }
            },
            Expiring::Listing { group, seq } => {
                let gone = directory::expire(rows, &mut services, &group, seq)?;
                swept.listings = swept.listings.saturating_add(u64::from(gone));
            }
            Expiring::LogEntry { log, position, id } => {
                let gone = group_log::expire(rows, &mut services, &log, position, &id)?;
                swept.log_entries = swept.log_entries.saturating_add(u64::from(gone));
            }
            Expiring::Blob(blob) => {
                if blobs::expire(rows, &mut services, &blob, now_hour)? {
                    swept.blobs.push(blob);
                }
            }
            Expiring::GrowingBlob { blob, expires_hour, whole_by_hour, present } => {
                let look = blobs::Look { blob, expires_hour, whole_by_hour, present };
                if blobs::look_again(rows, &mut totals, &mut services, &look, now_hour)? {
                    swept.blobs.push(blob);
                }
            }
        }
        rows.delete(Table::Expiry, &key)?;
    }
    totals.save(rows)?;
    services.save(rows)?;
    Ok(swept)
}
