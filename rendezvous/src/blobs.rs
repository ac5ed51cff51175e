//! Blobs: encrypted chunks of files for recipients who are away. Floor 2, over [`crate::rows`].
//!
//! The rows say which chunks are there; the chunks lie in files ([`crate::store::chunks`]). A chunk
//! is written and synced before its bit is set, and its file is deleted after its row: whatever
//! the rows promise is there. Room is charged when a blob is created, whole, so that a flood of
//! chunks can't pass a quota; whoever takes room and sends nothing loses it after some hours.

use secure_chat_protocol::blob::blob_id;
use secure_chat_protocol::id::{AccountId, BlobId, EnvelopeId, MailboxId};
use secure_chat_protocol::limits::{
    BLOB_CHUNK_MAX_BYTES, BLOB_CHUNKS_MAX, BLOB_EXPIRES_MAX_HOURS, BLOB_MAX_BYTES, BLOB_OWNER_MAX_BYTES,
};
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{BlobState, Refusal, Response};
use serde::{Deserialize, Serialize};

use crate::limits::{
    BLOB_DOWNLOADS_MAX, BLOB_GROWS_MAX_HOURS, BLOB_IDLE_KEEP_HOURS, BLOBS_PER_PAYER, BLOBS_STORED_MAX_BYTES,
};
use crate::rows::{Expiring, Read, ServiceTotals, StoreError, Table, Totals, Write, get_row, key, put_row};

/// What blobs may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobLimits {
    /// Bytes in one blob.
    pub bytes: u64,
    /// Bytes that one account or one mailbox is charged with.
    pub payer_bytes: u64,
    /// Hours until a blob is deleted, at most.
    pub expires_hours: u32,
    /// Bytes in all blobs of the node.
    pub node_bytes: u64,
}

impl Default for BlobLimits {
    fn default() -> Self {
        Self {
            bytes: BLOB_MAX_BYTES,
            payer_bytes: BLOB_OWNER_MAX_BYTES,
            expires_hours: BLOB_EXPIRES_MAX_HOURS,
            node_bytes: BLOBS_STORED_MAX_BYTES,
        }
    }
}

/// Who is charged with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payer {
    /// The account of whoever made it.
    Account(AccountId),
    /// A recipient's mailbox.
    Mailbox(MailboxId),
}

impl Payer {
    fn key(&self) -> Vec<u8> {
        match self {
            Self::Account(account) => key(&[&[0], account.as_bytes()]),
            Self::Mailbox(mailbox) => key(&[&[1], mailbox.as_bytes()]),
        }
    }
}

/// The row of one blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRow {
    owner_hash: Fixed<32>,
    read_hash: Fixed<32>,
    chunk_bytes: u32,
    chunks: u32,
    expires_hour: u64,
    payer: Payer,
    downloads: u32,
    present: Bytes,
}

impl BlobRow {
    fn bytes(&self) -> u64 {
        u64::from(self.chunk_bytes).saturating_mul(u64::from(self.chunks))
    }

    fn state(&self, now_hour: u64) -> BlobState {
        BlobState {
            chunk_bytes: self.chunk_bytes,
            chunks: self.chunks,
            present: self.present.clone(),
            downloads: self.downloads,
            expires_hours: u32::try_from(self.expires_hour.saturating_sub(now_hour)).unwrap_or(u32::MAX),
        }
    }

    fn has(&self, index: u32) -> bool {
        self.state(0).has(index)
    }

    /// How many chunks are there.
    fn present(&self) -> u32 {
        self.present.0.iter().map(|byte| byte.count_ones()).sum()
    }

    /// When to look whether more of it has come.
    fn look_hour(&self, now_hour: u64) -> u64 {
        now_hour.saturating_add(BLOB_IDLE_KEEP_HOURS).min(self.expires_hour)
    }
}

/// A charge on somebody.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct PayerRow {
    blobs: u32,
    bytes: u64,
}

/// A blob to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Create {
    /// What must be shown to write and delete, as its hash.
    pub owner_hash: Fixed<32>,
    /// What must be shown to read, as its hash.
    pub read_hash: Fixed<32>,
    /// Length of each chunk, in bytes.
    pub chunk_bytes: u32,
    /// How many.
    pub chunks: u32,
    /// Deleted after so many hours.
    pub expires_hours: u32,
    /// Who is charged.
    pub payer: Payer,
    /// The hash of the delivery token that a mailbox's charge spends.
    pub token_hash: Option<[u8; 32]>,
}

impl Create {
    /// Checks what needs no storage.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] or [`Refusal::TooLarge`]: the caller's fault.
    pub fn check(&self, limits: &BlobLimits) -> Result<(), Refusal> {
        let too_large = |limit: u64| Refusal::TooLarge { limit_bytes: u32::try_from(limit).unwrap_or(u32::MAX) };
        if self.chunk_bytes == 0 || self.chunks == 0 || self.expires_hours == 0 {
            return Err(Refusal::Invalid);
        }
        if self.chunk_bytes as usize > BLOB_CHUNK_MAX_BYTES {
            return Err(too_large(BLOB_CHUNK_MAX_BYTES as u64));
        }
        let bytes = u64::from(self.chunk_bytes).saturating_mul(u64::from(self.chunks));
        if self.chunks > BLOB_CHUNKS_MAX || bytes > limits.bytes {
            return Err(too_large(limits.bytes));
        }
        Ok(())
    }
}

/// Makes room for a blob; the same again says what is there.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn create(
    rows: &mut dyn Write,
    limits: &BlobLimits,
    now_hour: u64,
    create: &Create,
) -> Result<Response, StoreError> {
    let refused = |refusal| Ok(Response::Refused(refusal));
    let blob = blob_id(&create.owner_hash, &create.read_hash);
    if let Some(row) = load(rows, &blob)? {
        let same = row.chunk_bytes == create.chunk_bytes && row.chunks == create.chunks;
        return if same { Ok(Response::Blob(row.state(now_hour))) } else { refused(Refusal::Invalid) };
    }
    let row = BlobRow {
        owner_hash: create.owner_hash,
        read_hash: create.read_hash,
        chunk_bytes: create.chunk_bytes,
        chunks: create.chunks,
        expires_hour: now_hour.saturating_add(u64::from(create.expires_hours.min(limits.expires_hours))),
        payer: create.payer,
        downloads: 0,
        present: Bytes(vec![0; (create.chunks as usize).div_ceil(8)]),
    };
    let mut services = ServiceTotals::load(rows)?;
    let mut charged: PayerRow = get_row(rows, Table::BlobPayers, &create.payer.key())?.unwrap_or_default();
    let full = charged.blobs >= BLOBS_PER_PAYER
        || charged.bytes.saturating_add(row.bytes()) > limits.payer_bytes
        || services.blob_bytes.saturating_add(row.bytes()) > limits.node_bytes;
    if full {
        return refused(Refusal::Full);
    }
    if let (Payer::Mailbox(mailbox), Some(hash)) = (&create.payer, &create.token_hash)
        && !crate::mailbox::spend_token(rows, mailbox, hash)?
    {
        return refused(Refusal::NotFound);
    }
    charged.blobs = charged.blobs.saturating_add(1);
    charged.bytes = charged.bytes.saturating_add(row.bytes());
    services.blobs = services.blobs.saturating_add(1);
    services.blob_bytes = services.blob_bytes.saturating_add(row.bytes());
    put_row(rows, Table::BlobPayers, &create.payer.key(), &charged)?;
    put_row(rows, Table::Blobs, blob.as_bytes(), &row)?;
    services.save(rows)?;
    let mut totals = Totals::load(rows)?;
    let growing = Expiring::GrowingBlob {
        blob,
        expires_hour: row.expires_hour,
        whole_by_hour: now_hour.saturating_add(BLOB_GROWS_MAX_HOURS),
        present: 0,
    };
    totals.expire(rows, row.look_hour(now_hour), &growing)?;
    totals.save(rows)?;
    Ok(Response::Blob(row.state(now_hour)))
}

fn load(rows: &dyn Read, blob: &BlobId) -> Result<Option<BlobRow>, StoreError> {
    get_row(rows, Table::Blobs, blob.as_bytes())
}

/// A chunk and what was shown to write or read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Which blob.
    pub blob: BlobId,
    /// The hash of what was shown.
    pub shown: Fixed<32>,
    /// Which chunk.
    pub index: u32,
}

/// Where a chunk goes or lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Write it here.
    Free {
        /// The length it must have, in bytes.
        chunk_bytes: u32,
    },
    /// It is there.
    Taken {
        /// Its length, in bytes.
        chunk_bytes: u32,
    },
    /// No such blob or chunk, or a wrong capability: all are told alike.
    None,
}

/// Where a chunk goes, for whoever may write.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn place_to_write(rows: &dyn Read, slot: &Slot) -> Result<Place, StoreError> {
    Ok(match load(rows, &slot.blob)? {
        Some(row) if row.owner_hash == slot.shown && slot.index < row.chunks => {
            let chunk_bytes = row.chunk_bytes;
            if row.has(slot.index) { Place::Taken { chunk_bytes } } else { Place::Free { chunk_bytes } }
        }
        _ => Place::None,
    })
}

/// Where a chunk lies, for whoever may read.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn place_to_read(rows: &dyn Read, slot: &Slot) -> Result<Place, StoreError> {
    Ok(match load(rows, &slot.blob)? {
        Some(row) if row.read_hash == slot.shown && row.has(slot.index) => {
            Place::Taken { chunk_bytes: row.chunk_bytes }
        }
        _ => Place::None,
    })
}

/// Notes that a chunk is durable in its file. [`Refusal::NotFound`] when the blob was deleted meanwhile.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn chunk_stored(rows: &mut dyn Write, slot: &Slot) -> Result<Response, StoreError> {
    let Some(mut row) = load(rows, &slot.blob)?.filter(|row| row.owner_hash == slot.shown) else {
        return Ok(Response::Refused(Refusal::NotFound));
    };
    let at = usize::try_from(slot.index / 8).unwrap_or(usize::MAX);
    if let Some(byte) = row.present.0.get_mut(at) {
        *byte |= 1 << (slot.index % 8);
        put_row(rows, Table::Blobs, slot.blob.as_bytes(), &row)?;
    }
    Ok(Response::Done)
}

/// What is there, for whoever may write or read. `shown` is the hash under either label.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn stat(
    rows: &dyn Read,
    blob: &BlobId,
    as_owner: &Fixed<32>,
    as_reader: &Fixed<32>,
    now_hour: u64,
) -> Result<Response, StoreError> {
    Ok(match load(rows, blob)? {
        Some(row) if row.owner_hash == *as_owner || row.read_hash == *as_reader => Response::Blob(row.state(now_hour)),
        _ => Response::Refused(Refusal::NotFound),
    })
}

/// Counts a download once for each receipt.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn count_download(
    rows: &mut dyn Write,
    blob: &BlobId,
    shown: &Fixed<32>,
    receipt: &EnvelopeId,
) -> Result<Response, StoreError> {
    let Some(mut row) = load(rows, blob)?.filter(|row| row.read_hash == *shown) else {
        return Ok(Response::Refused(Refusal::NotFound));
    };
    let receipt = key(&[blob.as_bytes(), receipt.as_bytes()]);
    if row.downloads >= BLOB_DOWNLOADS_MAX || rows.get(Table::BlobReceipts, &receipt)?.is_some() {
        return Ok(Response::Done);
    }
    rows.put(Table::BlobReceipts, &receipt, &[])?;
    row.downloads = row.downloads.saturating_add(1);
    put_row(rows, Table::Blobs, blob.as_bytes(), &row)?;
    Ok(Response::Done)
}

/// Deletes a blob, if what was shown is its owner's. Answers whether its file is to be deleted.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn delete(rows: &mut dyn Write, blob: &BlobId, shown: &Fixed<32>) -> Result<(Response, bool), StoreError> {
    let Some(row) = load(rows, blob)? else { return Ok((Response::Done, false)) };
    if row.owner_hash != *shown {
        return Ok((Response::Refused(Refusal::NotFound), false));
    }
    let mut services = ServiceTotals::load(rows)?;
    remove(rows, &mut services, blob, &row)?;
    services.save(rows)?;
    Ok((Response::Done, true))
}

/// Deletes a blob whose time has come. Answers whether it was there.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn expire(
    rows: &mut dyn Write,
    services: &mut ServiceTotals,
    blob: &BlobId,
    now_hour: u64,
) -> Result<bool, StoreError> {
    // One that was deleted and made anew has an expiry of its own.
    let Some(row) = load(rows, blob)?.filter(|row| row.expires_hour <= now_hour) else { return Ok(false) };
    remove(rows, services, blob, &row)?;
    Ok(true)
}

/// What was known of a blob that was not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Which.
    pub blob: BlobId,
    /// When it expires.
    pub expires_hour: u64,
    /// Until when it must be whole.
    pub whole_by_hour: u64,
    /// Chunks of it that were there.
    pub present: u32,
}

/// Looks whether a blob has grown: deletes it when nothing came, lets it be until its time once it is
/// whole, and comes back else. Answers whether it was deleted.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn look_again(
    rows: &mut dyn Write,
    totals: &mut Totals,
    services: &mut ServiceTotals,
    look: &Look,
    now_hour: u64,
) -> Result<bool, StoreError> {
    // One that was deleted and made anew has a look of its own.
    let row = load(rows, &look.blob)?.filter(|row| row.expires_hour == look.expires_hour);
    let Some(row) = row else { return Ok(false) };
    let (present, whole) = (row.present(), row.present() >= row.chunks);
    let idle = !whole && (present <= look.present || now_hour >= look.whole_by_hour);
    if idle || row.expires_hour <= now_hour {
        remove(rows, services, &look.blob, &row)?;
        return Ok(true);
    }
    if whole {
        totals.expire(rows, row.expires_hour, &Expiring::Blob(look.blob))?;
        return Ok(false);
    }
    let Look { blob, expires_hour, whole_by_hour, .. } = *look;
    let growing = Expiring::GrowingBlob { blob, expires_hour, whole_by_hour, present };
    totals.expire(rows, row.look_hour(now_hour), &growing)?;
    Ok(false)
}

fn remove(rows: &mut dyn Write, services: &mut ServiceTotals, blob: &BlobId, row: &BlobRow) -> Result<(), StoreError> {
    rows.delete(Table::Blobs, blob.as_bytes())?;
    let mut receipts: Vec<Vec<u8>> = Vec::new();
    let (first, last) = (key(&[blob.as_bytes(), &[0; 16]]), key(&[blob.as_bytes(), &[0xff; 16]]));
    rows.range(Table::BlobReceipts, &first, &last, &mut |key, _| {
        receipts.push(key.to_vec());
        std::ops::ControlFlow::Continue(())
    })?;
    for receipt in &receipts {
        rows.delete(Table::BlobReceipts, receipt)?;
    }
    let payer = row.payer.key();
    let mut charged: PayerRow = get_row(rows, Table::BlobPayers, &payer)?.unwrap_or_default();
    charged.blobs = charged.blobs.saturating_sub(1);
    charged.bytes = charged.bytes.saturating_sub(row.bytes());
    if charged.blobs == 0 {
        rows.delete(Table::BlobPayers, &payer)?;
    } else {
        put_row(rows, Table::BlobPayers, &payer, &charged)?;
    }
    services.blobs = services.blobs.saturating_sub(1);
    services.blob_bytes = services.blob_bytes.saturating_sub(row.bytes());
    Ok(())
}

/// Whether a blob is known, for the search for files that nobody knows any more.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn is_known(rows: &dyn Read, blob: &BlobId) -> Result<bool, StoreError> {
    Ok(rows.get(Table::Blobs, blob.as_bytes())?.is_some())
}

#[cfg(test)]
#[path = "blobs_tests.rs"]
mod tests;
