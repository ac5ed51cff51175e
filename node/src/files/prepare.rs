//! The first pass over a file that is to be shared: it is read once, from its
//! beginning to its end, and encrypted, only for the hashes.
//!
//! One thread reads and hashes the plaintext, others encrypt and hash the chunks; the
//! first lends them a hand when they fall behind, so that no core waits. Buffers go
//! round, and memory stays the same whatever the file's size.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};

use secure_chat_protocol::crypto::sha256::RunningSha256;
use secure_chat_protocol::file::{ChunkCipher, Digests, FileKey, Geometry, LEAF_BYTES, Leaves, leaf};
use secure_chat_protocol::id::FileId;

use super::limits::CHUNKS_IN_MEMORY_BYTES;
use super::source::{Source, SourceError, Stamp};
use crate::stack::wiping;

/// A file that was read whole.
pub(crate) struct Prepared {
    pub(crate) geometry: Geometry,
    pub(crate) digests: Digests,
    pub(crate) stamp: Stamp,
}

/// A chunk on its way from the reader to those who encrypt.
struct Plain {
    index: u32,
    chunk: Vec<u8>,
}

/// Reads and encrypts the file at `path`, and keeps the hashes.
///
/// # Errors
/// [`SourceError`]; also when the file changes meanwhile.
pub(crate) fn prepare(path: &Path, file: FileId, key: FileKey, stopped: &AtomicBool) -> Result<Prepared, SourceError> {
    let mut source = Source::open(path)?;
    let geometry = Geometry::for_size(source.stamp.size).map_err(|_| SourceError::TooLong)?;
    let cipher = ChunkCipher::new(key, file, geometry);
    let digests = pass(&mut source, &cipher, stopped)?;
    source.still()?;
    Ok(Prepared { geometry, digests, stamp: source.stamp })
}

/// The pipeline.
///
/// # Errors
/// [`SourceError`]
pub(crate) fn pass(source: &mut Source, cipher: &ChunkCipher, stopped: &AtomicBool) -> Result<Digests, SourceError> {
    let geometry = *cipher.geometry();
    let buffers = CHUNKS_IN_MEMORY_BYTES.checked_div(geometry.chunk_bytes() as usize).unwrap_or(0).max(3);
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let workers = cores.saturating_sub(1).clamp(1, 4).min(geometry.count() as usize);
    let leaves = Mutex::new(vec![[0_u8; LEAF_BYTES]; geometry.count() as usize]);
    let (plain, waiting) = sync_channel::<Plain>(buffers);
    let (used, free) = channel::<Vec<u8>>();
    for _ in 0..buffers {
        // The receiver is alive: it is in this function.
        let _ = used.send(Vec::new());
    }
    let waiting = Mutex::new(waiting);
    let sha256 = std::thread::scope(|scope| {
        for _ in 0..workers {
            let (used, waiting, leaves) = (used.clone(), &waiting, &leaves);
            // The system may keep the stack of a thread that has ended.
            scope.spawn(wiping(move || Crew { cipher, waiting, used: &used, leaves }.work()));
        }
        let crew = Crew { cipher, waiting: &waiting, used: &used, leaves: &leaves };
        read(source, &crew, &free, plain, stopped)
    })?;
    let leaves = leaves.into_inner().unwrap_or_else(PoisonError::into_inner);
    let leaves = Leaves::new(leaves, &geometry).ok_or(SourceError::Changed)?;
    Ok(Digests { leaves, sha256 })
}

fn read(
    source: &mut Source,
    crew: &Crew<'_>,
    free: &Receiver<Vec<u8>>,
    plain: SyncSender<Plain>,
    stopped: &AtomicBool,
) -> Result<[u8; 32], SourceError> {
    let (mut sha256, geometry) = (RunningSha256::default(), crew.cipher.geometry());
    for index in 0..geometry.count() {
        if stopped.load(Ordering::Relaxed) {
            return Err(SourceError::Stopped);
        }
        let mut chunk = loop {
            if let Ok(chunk) = free.try_recv() {
                break chunk;
            }
            // All buffers are under way. Whoever would wait encrypts one of them instead.
            if !crew.lend_a_hand() {
                break free.recv().map_err(|_| SourceError::Stopped)?;
            }
        };
        source.read_chunk(geometry, index, &mut chunk)?;
        sha256.update(&chunk);
        plain.send(Plain { index, chunk }).map_err(|_| SourceError::Stopped)?;
    }
    drop(plain);
    while crew.lend_a_hand() {}
    Ok(sha256.finish())
}

/// Those who encrypt, only for the hashes.
struct Crew<'c> {
    cipher: &'c ChunkCipher,
    waiting: &'c Mutex<Receiver<Plain>>,
    used: &'c Sender<Vec<u8>>,
    leaves: &'c Mutex<Vec<[u8; LEAF_BYTES]>>,
}

impl Crew<'_> {
    /// Until nothing more comes.
    fn work(&self) {
        loop {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(next) = next else { return };
            self.encrypt(next);
        }
    }

    /// Encrypts one chunk, if one waits. While somebody of the crew waits for one, none does.
    fn lend_a_hand(&self) -> bool {
        let next = self.waiting.try_lock().ok().and_then(|waiting| waiting.try_recv().ok());
        next.map(|next| self.encrypt(next)).is_some()
    }

    fn encrypt(&self, Plain { index, mut chunk }: Plain) {
        if self.cipher.seal(index, &mut chunk).is_ok() {
            let hash = leaf(&chunk);
            let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = leaves.get_mut(index as usize) {
                *place = hash;
            }
        }
        // The reader may have stopped.
        let _ = self.used.send(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_chat_protocol::file::FirstPass;

    #[test]
    fn the_pipeline_hashes_what_one_pass_in_order_hashes() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0_usize, 1, 262_144, 262_145, 5 * 262_144 + 17] {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 1_000).to_le_bytes()[0]).collect();
            let path = dir.path().join("a");
            std::fs::write(&path, &bytes).unwrap();
            let (key, file) = (|| FileKey::from_bytes([3; 32]), FileId([4; 32]));
            let prepared = prepare(&path, file, key(), &AtomicBool::new(false)).unwrap();
            let cipher = ChunkCipher::new(key(), file, Geometry::for_size(size as u64).unwrap());
            let mut one = FirstPass::new(&cipher);
            for index in 0..cipher.geometry().count() {
                let from = usize::try_from(cipher.geometry().offset(index)).unwrap();
                one.take(&mut bytes[from..from + cipher.geometry().plain_bytes(index)].to_vec()).unwrap();
            }
            let one = one.finish().unwrap();
            assert_eq!((prepared.digests.leaves, prepared.digests.sha256), (one.leaves, one.sha256));
        }
    }

    #[test]
    fn it_stops_when_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, vec![0; 1_000_000]).unwrap();
        let stopped = prepare(&path, FileId([4; 32]), FileKey::from_bytes([3; 32]), &AtomicBool::new(true));
        assert!(matches!(stopped, Err(SourceError::Stopped)));
    }
}
