//! Sealed mailboxes: deposit, fetch, acknowledge, expire. Floor 2, over [`crate::rows`].
//!
//! An envelope stays until its recipient acknowledges it or it expires. That
//! it was here is remembered until it would have expired, so that a deposit that is
//! repeated because its answer was lost does not come back after it was fetched.
//!
//! Hours are hours of the node's own running time, not of the wall clock: a clock that
//! jumps deletes nothing, and while the node is down nobody's mail grows old.

use std::ops::ControlFlow;

use secure_chat_protocol::id::{EnvelopeId, MailboxId};
use secure_chat_protocol::limits::{
    ENVELOPE_MAX_BYTES, MAILBOX_EXPIRES_MS, MAILBOX_MAX_BYTES, MAILBOX_MAX_ENVELOPES, TOKENS_MAX,
};
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{ENVELOPES_MAX, Refusal, Response, StoredEnvelope};
use serde::{Deserialize, Serialize};

use crate::limits::{HOUR_MS, MAILBOX_UNUSED_KEEP_HOURS, SWEEP_BATCH_ROWS, TOKENS_NODE_MAX};
use crate::rows::{Expiring, Read, StoreError, Table, Totals, Write, get_row, key, number_at_end, put_row};

/// Bytes before the sealed envelope in its row: the envelope's id.
const ID_BYTES: usize = 16;

/// What a mailbox may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Envelopes in one mailbox.
    pub envelopes: u64,
    /// Bytes in one mailbox.
    pub bytes: u64,
    /// Hours until an envelope is deleted.
    pub expires_hours: u64,
    /// Bytes in all mailboxes of the node.
    pub node_bytes: u64,
}

impl Default for MailboxLimits {
    fn default() -> Self {
        Self {
            envelopes: MAILBOX_MAX_ENVELOPES,
            bytes: MAILBOX_MAX_BYTES,
            expires_hours: MAILBOX_EXPIRES_MS / HOUR_MS,
            node_bytes: crate::limits::STORED_MAX_BYTES,
        }
    }
}

impl MailboxLimits {
    /// Strangers fill half of a mailbox, and of the node, at most: the rest is for those whom its owner knows.
    #[must_use]
    fn for_whom(&self, paid: Paid) -> Self {
        match paid {
            Paid::Token { .. } => *self,
            Paid::Work => Self {
                envelopes: self.envelopes.div_ceil(2),
                bytes: self.bytes.div_ceil(2),
                node_bytes: self.node_bytes.div_ceil(2),
                ..*self
            },
        }
    }
}

/// The row of one mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxRow {
    /// Position of the last envelope that came in; they count from 1.
    pub last: u64,
    /// Envelopes that wait.
    pub count: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Unspent delivery tokens.
    pub tokens: u32,
    /// The hour of the node's life in which it was last opened.
    pub opened_hour: u64,
}

/// How a deposit is paid, after the door has checked what can be checked without storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// By a token with this hash, if it is unspent.
    Token {
        /// The token's hash.
        hash: [u8; 32],
        /// What a stranger would pay now, for the refusal.
        work_bits: u8,
    },
    /// By a stamp that was checked.
    Work,
}

/// An envelope to be left in a mailbox.
#[derive(Debug, Clone)]
pub struct Deposit {
    /// Whose.
    pub mailbox: MailboxId,
    /// The sender's name for it.
    pub id: EnvelopeId,
    /// What it holds.
    pub sealed: Vec<u8>,
    /// How it is paid.
    pub paid: Paid,
}

/// What came of a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deposited {
    /// It is there now.
    Stored {
        /// Envelopes that wait.
        waiting: u64,
    },
    /// It was there before; nothing was spent.
    Double,
    /// It was not taken; nothing was spent.
    Refused(Refusal),
}

fn load(rows: &dyn Read, mailbox: &MailboxId) -> Result<Option<MailboxRow>, StoreError> {
    get_row(rows, Table::Mailboxes, mailbox.as_bytes())
}

fn position_key(mailbox: &MailboxId, position: u64) -> Vec<u8> {
    key(&[mailbox.as_bytes(), &position.to_be_bytes()])
}

/// Leaves an envelope.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn deposit(
    rows: &mut dyn Write,
    limits: &MailboxLimits,
    now_hour: u64,
    deposit: &Deposit,
) -> Result<Deposited, StoreError> {
    let Deposit { mailbox, id, sealed, paid } = deposit;
    let Some(mut row) = load(rows, mailbox)? else { return Ok(Deposited::Refused(Refusal::NotFound)) };
    let seen = key(&[mailbox.as_bytes(), id.as_bytes()]);
    if rows.get(Table::Seen, &seen)?.is_some() {
        return Ok(Deposited::Double);
    }
    let bytes = sealed.len() as u64;
    if sealed.len() > ENVELOPE_MAX_BYTES {
        let limit_bytes = u32::try_from(ENVELOPE_MAX_BYTES).unwrap_or(u32::MAX);
        return Ok(Deposited::Refused(Refusal::TooLarge { limit_bytes }));
    }
    let mut totals = Totals::load(rows)?;
    let limits = limits.for_whom(*paid);
    let full = row.count >= limits.envelopes
        || row.bytes.saturating_add(bytes) > limits.bytes
        || totals.envelope_bytes.saturating_add(bytes) > limits.node_bytes;
    if full {
        return Ok(Deposited::Refused(Refusal::Full));
    }
    if let Paid::Token { hash, work_bits } = paid {
        if !rows.delete(Table::Tokens, &key(&[mailbox.as_bytes(), hash]))? {
            return Ok(Deposited::Refused(Refusal::WorkNeeded { bits: *work_bits }));
        }
        row.tokens = row.tokens.saturating_sub(1);
        totals.tokens = totals.tokens.saturating_sub(1);
    }
    row.last = row.last.saturating_add(1);
    row.count = row.count.saturating_add(1);
    row.bytes = row.bytes.saturating_add(bytes);
    totals.envelopes = totals.envelopes.saturating_add(1);
    totals.envelope_bytes = totals.envelope_bytes.saturating_add(bytes);
    let expires = now_hour.saturating_add(limits.expires_hours);
    rows.put(Table::Envelopes, &position_key(mailbox, row.last), &key(&[id.as_bytes(), sealed]))?;
    rows.put(Table::Seen, &seen, &row.last.to_be_bytes())?;
    let expiring = Expiring::Envelope { mailbox: *mailbox, position: row.last, id: *id };
    totals.expire(rows, expires, &expiring)?;
    put_row(rows, Table::Mailboxes, mailbox.as_bytes(), &row)?;
    totals.save(rows)?;
    Ok(Deposited::Stored { waiting: row.count })
}

/// Spends a delivery token for something else than a deposit. Answers whether it was there.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn spend_token(rows: &mut dyn Write, mailbox: &MailboxId, hash: &[u8; 32]) -> Result<bool, StoreError> {
    let Some(mut row) = load(rows, mailbox)? else { return Ok(false) };
    if !rows.delete(Table::Tokens, &key(&[mailbox.as_bytes(), hash]))? {
        return Ok(false);
    }
    row.tokens = row.tokens.saturating_sub(1);
    put_row(rows, Table::Mailboxes, mailbox.as_bytes(), &row)?;
    let mut totals = Totals::load(rows)?;
    totals.tokens = totals.tokens.saturating_sub(1);
    totals.save(rows)?;
    Ok(true)
}

/// Opens a mailbox, and makes it when it is not there. Whoever calls this has seen the proof that it is the caller's.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn open(
    rows: &mut dyn Write,
    mailboxes_max: u64,
    now_hour: u64,
    mailbox: &MailboxId,
) -> Result<Response, StoreError> {
    let found = load(rows, mailbox)?;
    let new = found.is_none();
    let mut row = found.unwrap_or_default();
    if new {
        let mut totals = Totals::load(rows)?;
        if totals.mailboxes >= mailboxes_max {
            return Ok(Response::Refused(Refusal::Full));
        }
        totals.mailboxes = totals.mailboxes.saturating_add(1);
        totals.expire(rows, now_hour.saturating_add(MAILBOX_UNUSED_KEEP_HOURS), &Expiring::Mailbox(*mailbox))?;
        totals.save(rows)?;
    }
    if new || row.opened_hour != now_hour {
        row.opened_hour = now_hour;
        put_row(rows, Table::Mailboxes, mailbox.as_bytes(), &row)?;
    }
    Ok(Response::Mailbox { waiting: row.count, tokens: row.tokens, new })
}

/// Adds hashes of delivery tokens; those that are there stay single.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn add_tokens(rows: &mut dyn Write, mailbox: &MailboxId, hashes: &[[u8; 32]]) -> Result<Response, StoreError> {
    let Some(mut row) = load(rows, mailbox)? else { return Ok(Response::Refused(Refusal::NotFound)) };
    let mut totals = Totals::load(rows)?;
    let adds = hashes.len() as u64;
    if u64::from(row.tokens).saturating_add(adds) > TOKENS_MAX as u64
        || totals.tokens.saturating_add(adds) > TOKENS_NODE_MAX
    {
        return Ok(Response::Refused(Refusal::Full));
    }
    for hash in hashes {
        let key = key(&[mailbox.as_bytes(), hash]);
        if rows.get(Table::Tokens, &key)?.is_none() {
            rows.put(Table::Tokens, &key, &[])?;
            row.tokens = row.tokens.saturating_add(1);
            totals.tokens = totals.tokens.saturating_add(1);
        }
    }
    put_row(rows, Table::Mailboxes, mailbox.as_bytes(), &row)?;
    totals.save(rows)?;
    Ok(Response::Done)
}

/// Reads envelopes behind `after`, at most `max_bytes` of them, but at least one when there is one.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn fetch(rows: &dyn Read, mailbox: &MailboxId, after: u64, max_bytes: usize) -> Result<Response, StoreError> {
    let mut envelopes: Vec<StoredEnvelope> = Vec::new();
    let (mut bytes, mut more, mut damaged) = (0_usize, false, false);
    let first = position_key(mailbox, after.saturating_add(1));
    rows.range(Table::Envelopes, &first, &position_key(mailbox, u64::MAX), &mut |key, value| {
        let Some((id, sealed)) = value.split_first_chunk::<ID_BYTES>() else {
            damaged = true;
            return ControlFlow::Break(());
        };
        bytes = bytes.saturating_add(value.len()).saturating_add(FRAMING_BYTES);
        if (bytes > max_bytes && !envelopes.is_empty()) || envelopes.len() >= ENVELOPES_MAX {
            more = true;
            return ControlFlow::Break(());
        }
        let seq = number_at_end(key).unwrap_or_default();
        envelopes.push(StoredEnvelope { seq, id: EnvelopeId(*id), sealed: Bytes(sealed.to_vec()) });
        ControlFlow::Continue(())
    })?;
    if damaged {
        return Err(StoreError::Damaged("an envelope without an id".to_owned()));
    }
    Ok(Response::Mail { envelopes, more })
}

/// What the encoding adds to an envelope at most: position and length.
const FRAMING_BYTES: usize = 16;

/// Deletes everything up to and with `up_to`. That it was here stays known until it would have expired.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn acknowledge(rows: &mut dyn Write, mailbox: &MailboxId, up_to: u64) -> Result<Response, StoreError> {
    let Some(mut row) = load(rows, mailbox)? else { return Ok(Response::Refused(Refusal::NotFound)) };
    let mut gone: Vec<(Vec<u8>, u64)> = Vec::new();
    rows.range(Table::Envelopes, &position_key(mailbox, 0), &position_key(mailbox, up_to), &mut |key, value| {
        gone.push((key.to_vec(), value.len().saturating_sub(ID_BYTES) as u64));
        ControlFlow::Continue(())
    })?;
    if gone.is_empty() {
        return Ok(Response::Done);
    }
    let mut totals = Totals::load(rows)?;
    for (key, bytes) in gone {
        rows.delete(Table::Envelopes, &key)?;
        forget_one(&mut row, &mut totals, bytes);
    }
    put_row(rows, Table::Mailboxes, mailbox.as_bytes(), &row)?;
    totals.save(rows)?;
    Ok(Response::Done)
}

fn forget_one(row: &mut MailboxRow, totals: &mut Totals, bytes: u64) {
    row.count = row.count.saturating_sub(1);
    row.bytes = row.bytes.saturating_sub(bytes);
    totals.envelopes = totals.envelopes.saturating_sub(1);
    totals.envelope_bytes = totals.envelope_bytes.saturating_sub(bytes);
}

/// Deletes an envelope whose time has come, and the memory of it. Answers whether it was still there.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn expire(
    rows: &mut dyn Write,
    totals: &mut Totals,
    mailbox: &MailboxId,
    position: u64,
    id: &EnvelopeId,
) -> Result<bool, StoreError> {
    rows.delete(Table::Seen, &key(&[mailbox.as_bytes(), id.as_bytes()]))?;
    let envelope = position_key(mailbox, position);
    let Some(value) = rows.get(Table::Envelopes, &envelope)? else { return Ok(false) };
    rows.delete(Table::Envelopes, &envelope)?;
    let bytes = value.len().saturating_sub(ID_BYTES) as u64;
    let found = load(rows, mailbox)?;
    let there = found.is_some();
    let mut row = found.unwrap_or_default();
    forget_one(&mut row, totals, bytes);
    if there {
        put_row(rows, Table::Mailboxes, mailbox.as_bytes(), &row)?;
    }
    Ok(true)
}

/// How far a mailbox is with being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retired {
    /// It stays: it was opened meanwhile, and has a later expiry now. Or it was gone before.
    Not,
    /// It is deleted in part: the next sweep goes on.
    Partly,
    /// It is gone.
    Gone,
}

/// Deletes a mailbox that was not opened for long, its tokens first and in batches.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn retire(
    rows: &mut dyn Write,
    totals: &mut Totals,
    now_hour: u64,
    mailbox: &MailboxId,
) -> Result<Retired, StoreError> {
    let Some(mut row) = load(rows, mailbox)? else { return Ok(Retired::Not) };
    let due = row.opened_hour.saturating_add(MAILBOX_UNUSED_KEEP_HOURS);
    if due > now_hour {
        totals.expire(rows, due, &Expiring::Mailbox(*mailbox))?;
        return Ok(Retired::Not);
    }
    let mut tokens: Vec<Vec<u8>> = Vec::new();
    let (first, last) = (key(&[mailbox.as_bytes(), &[0; 32]]), key(&[mailbox.as_bytes(), &[0xff; 32]]));
    rows.range(Table::Tokens, &first, &last, &mut |key, _| {
        tokens.push(key.to_vec());
        if tokens.len() < SWEEP_BATCH_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    for token in &tokens {
        rows.delete(Table::Tokens, token)?;
    }
    let removed = tokens.len() as u64;
    totals.tokens = totals.tokens.saturating_sub(removed);
    if tokens.len() >= SWEEP_BATCH_ROWS {
        row.tokens = row.tokens.saturating_sub(u32::try_from(removed).unwrap_or(u32::MAX));
        put_row(rows, Table::Mailboxes, mailbox.as_bytes(), &row)?;
        return Ok(Retired::Partly);
    }
    rows.delete(Table::Mailboxes, mailbox.as_bytes())?;
    totals.mailboxes = totals.mailboxes.saturating_sub(1);
    Ok(Retired::Gone)
}

#[cfg(test)]
#[path = "mailbox_tests.rs"]
mod tests;
