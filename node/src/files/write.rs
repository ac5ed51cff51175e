//! The threads behind a transfer: one checks each chunk against its hash, decrypts
//! it and writes it; one hashes the plaintext; one hands it to the disk.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use secure_chat_protocol::crypto::sha256::RunningSha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::fetch::{Shared, is_stopped};
use super::form::Form;
use super::limits::{LEFT_IN_MEMORY_MAX_BYTES, SYNC_EVERY_BYTES};
use super::target::{Target, TargetError};
use crate::stack::wiping;

/// Room for chunks in memory: so many buffers, which go round.
pub(super) struct Buffers {
    places: Arc<Semaphore>,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { places: Arc::new(Semaphore::new(most)), free: Mutex::default() })
    }

    /// The next buffer that is free, with whatever was in it before.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Buffer> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        let bytes = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Some(Buffer { bytes, home: self.clone(), _place: place })
    }
}

/// One of them. Dropping it makes it free.
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    home: Arc<Buffers>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.free.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.bytes));
    }
}

/// A chunk that came, and may be wrong.
pub(super) struct Arrived {
    pub(super) index: u32,
    pub(super) chunk: Buffer,
    /// Set when it is.
    pub(super) lied: Arc<OnceLock<()>>,
}

/// Checks, decrypts and writes what comes, until nothing more does. Returns the
/// growing file, and the plaintext's SHA-256 when it is whole and nobody said `stop`.
pub(super) fn write(
    mut growing: Target,
    shared: &Shared,
    mut arrivals: mpsc::Receiver<Arrived>,
    stop: &watch::Receiver<()>,
) -> Result<(Target, Option<[u8; 32]>), TargetError> {
    let count = shared.cipher.geometry().count();
    let mut reader = growing.file()?;
    let onto_disk = OntoDisk { file: growing.file()?, form: growing.form(), shared, hashed: &AtomicU32::new(0) };
    let hashed = onto_disk.hashed;
    let (hash, to_hash) = sync_channel::<Arrived>(2);
    // Whoever writes waits until the sync before has ended: no more than two of them are ever to come.
    let (sync, to_sync) = sync_channel::<()>(0);
    std::thread::scope(|scope| {
        let syncing = scope.spawn(move || onto_disk.sync(&to_sync));
        let hashing = scope.spawn(wiping(move || hash_in_order(&to_hash, hashed)));
        take_all(&mut growing, shared, &mut arrivals, &hash, &sync);
        drop((hash, sync));
        let (mut sha256, mut next) = hashing.join().unwrap_or_default();
        if let Ok(Err(error)) = syncing.join() {
            growing.discard();
            return Err(TargetError::NotTaken(error));
        }
        if !shared.over.load(Ordering::SeqCst) || !shared.is_whole() {
            return Ok((growing, None));
        }
        // What came out of order, or was there before, is read again.
        let mut chunk = Vec::new();
        let (form, geometry) = (growing.form(), shared.cipher.geometry());
        reader.seek(SeekFrom::Start(form.offset(geometry, next)))?;
        while next < count {
            if is_stopped(stop) {
                return Ok((growing, None));
            }
            chunk.clear();
            (&reader).take(form.bytes(geometry, next) as u64).read_to_end(&mut chunk)?;
            if !form.to_plain(&shared.cipher, next, &mut chunk) {
                return Ok((growing, None));
            }
            sha256.update(&chunk);
            next = next.saturating_add(1);
        }
        Ok((growing, Some(sha256.finish())))
    })
}

fn take_all(
    growing: &mut Target,
    shared: &Shared,
    arrivals: &mut mpsc::Receiver<Arrived>,
    hash: &SyncSender<Arrived>,
    sync: &SyncSender<()>,
) {
    let mut unsynced = 0_u64;
    while let Some(mut arrived) = arrivals.blocking_recv() {
        let index = arrived.index;
        // The hash comes first: what nobody vouches for is not even decrypted.
        let right = shared.leaves.fits(index, &arrived.chunk.bytes);
        let written = match growing.form() {
            _ if !right => None,
            Form::Plain => {
                let opened = shared.cipher.open(index, &mut arrived.chunk.bytes).is_ok();
                opened.then(|| growing.write(shared.cipher.geometry(), index, &arrived.chunk.bytes))
            }
            Form::Sealed => {
                let written = growing.write(shared.cipher.geometry(), index, &arrived.chunk.bytes);
                shared.cipher.open(index, &mut arrived.chunk.bytes).is_ok().then_some(written)
            }
        };
        match written {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                shared.give_back([index]);
                return shared.fail(error.into());
            }
            None => {
                let _ = arrived.lied.set(());
                shared.give_back([index]);
                continue;
            }
        }
        tracing::trace!(target: "transfer", index, "a chunk is written");
        unsynced = unsynced.saturating_add(arrived.chunk.bytes.len() as u64);
        if unsynced >= SYNC_EVERY_BYTES {
            unsynced = 0;
            if sync.send(()).is_err() {
                // The thread has ended: the disk did not take it.
                return shared.end();
            }
        }
        // The thread lives as long as this channel.
        let _ = hash.send(arrived);
        shared.arrived(index);
    }
}

/// Hashes chunks as long as they come in order, and tells how many were.
fn hash_in_order(to_hash: &Receiver<Arrived>, hashed: &AtomicU32) -> (RunningSha256, u32) {
    let (mut sha256, mut next) = (RunningSha256::default(), 0_u32);
    while let Ok(arrived) = to_hash.recv() {
        if arrived.index == next {
            sha256.update(&arrived.chunk.bytes);
            next = next.saturating_add(1);
            hashed.store(next, Ordering::Release);
        }
    }
    (sha256, next)
}

/// What hands the growing file to the disk.
struct OntoDisk<'s> {
    file: File,
    form: Form,
    shared: &'s Shared,
    /// So many chunks from the first one on are written and hashed: nobody reads them again here.
    hashed: &'s AtomicU32,
}

impl OntoDisk<'_> {
    /// Each time when it is told to. What is on the disk then, and not read again, need not stay in the
    /// system's cache: a long file would take all of it, each page of it fresh memory, which costs the
    /// system more than the copying does, and others their place.
    fn sync(&self, to_sync: &Receiver<()>) -> io::Result<()> {
        let geometry = self.shared.cipher.geometry();
        let mut left = 0;
        while to_sync.recv().is_ok() {
            let until = self.form.offset(geometry, self.hashed.load(Ordering::Acquire));
            self.file.sync_data()?;
            if geometry.size() > LEFT_IN_MEMORY_MAX_BYTES && until > left {
                leave_to_disk(&self.file, left, until);
                left = until;
            }
        }
        Ok(())
    }
}

/// Lets the system forget its copy of a part of a file. It forgets only what is on the disk.
#[cfg(target_os = "linux")]
fn leave_to_disk(file: &File, from: u64, until: u64) {
    let Some(length) = std::num::NonZeroU64::new(until.saturating_sub(from)) else { return };
    if let Err(error) = rustix::fs::fadvise(file, from, Some(length), rustix::fs::Advice::DontNeed) {
        tracing::debug!(%error, "a file system that keeps what was written");
    }
}

#[cfg(not(target_os = "linux"))]
fn leave_to_disk(_: &File, _: u64, _: u64) {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn what_the_system_forgets_is_read_as_it_was_written() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|at| (at / 1_000).to_le_bytes()[0]).collect();
        for synced in [true, false] {
            file.set_len(0).unwrap();
            file.rewind().unwrap();
            file.write_all(&bytes).unwrap();
            if synced {
                file.sync_data().unwrap();
            }
            leave_to_disk(&file, 0, bytes.len() as u64);
            let mut read = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut read).unwrap();
            assert!(read == bytes, "synced: {synced}");
        }
    }
}
