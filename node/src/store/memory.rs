//! A disk in memory, for tests: it knows what a crash would leave of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::{Rng, RngExt};
use redb::StorageBackend;

use super::disk::{Disk, DiskLock};

/// Sectors are written whole or not at all.
const SECTOR_BYTES: usize = 512;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A disk in memory that knows which of its writes were synced.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    files: Arc<Mutex<BTreeMap<PathBuf, Arc<Mutex<MemoryFile>>>>>,
    locked: Arc<Mutex<Vec<PathBuf>>>,
}

#[derive(Debug, Default)]
struct MemoryFile {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(*length, 0),
        Change::Write(offset, data) => {
            let end = offset.saturating_add(data.len());
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            if let Some(target) = bytes.get_mut(*offset..end) {
                target.copy_from_slice(data);
            }
        }
    }
}

impl MemoryFile {
    fn change(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// What a crash leaves: everything synced, and any of the sectors that were not.
    fn after_a_crash<R: Rng + ?Sized>(&self, rng: &mut R) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        // Often all or nothing arrives; in between, each sector for itself.
        let chance = match rng.random_range(0..4) {
            0 => 0.0,
            1 => 1.0,
            _ => rng.random_range(0.0..1.0),
        };
        for change in &self.pending {
            match change {
                Change::Length(_) => {
                    if rng.random_bool(chance) {
                        apply(&mut bytes, change);
                    }
                }
                Change::Write(offset, data) => {
                    let mut at = *offset;
                    for sector in data.chunks(SECTOR_BYTES) {
                        if rng.random_bool(chance) {
                            apply(&mut bytes, &Change::Write(at, sector.to_vec()));
                        }
                        at = at.saturating_add(sector.len());
                    }
                }
            }
        }
        bytes
    }
}

impl MemoryDisk {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk that a machine finds after it lost its power now. This one is left as it is.
    pub fn after_a_crash<R: Rng + ?Sized>(&self, rng: &mut R) -> Self {
        let files = lock(&self.files);
        let images = files.iter().map(|(path, file)| {
            let bytes = lock(file).after_a_crash(rng);
            (
                path.clone(),
                Arc::new(Mutex::new(MemoryFile { live: bytes.clone(), durable: bytes, pending: Vec::new() })),
            )
        });
        Self { files: Arc::new(Mutex::new(images.collect())), locked: Arc::default() }
    }

    /// A copy of the disk as a backup would have it.
    #[must_use]
    pub fn copy(&self) -> Self {
        let files = lock(&self.files);
        let copies = files.iter().map(|(path, file)| {
            let live = lock(file).live.clone();
            (path.clone(), Arc::new(Mutex::new(MemoryFile { durable: live.clone(), live, pending: Vec::new() })))
        });
        Self { files: Arc::new(Mutex::new(copies.collect())), locked: Arc::default() }
    }

    /// Changes a file behind the vault's back.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        if let Ok(file) = self.file(path) {
            let mut file = lock(&file);
            change(&mut file.live);
            file.durable = file.live.clone();
            file.pending.clear();
        }
    }

    fn file(&self, path: &Path) -> io::Result<Arc<Mutex<MemoryFile>>> {
        lock(&self.files).get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[derive(Debug)]
struct MemoryBackend(Arc<Mutex<MemoryFile>>);

fn index(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(io::Error::other)
}

impl StorageBackend for MemoryBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).live.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let file = lock(&self.0);
        let start = index(offset)?;
        let bytes = file.live.get(start..start.saturating_add(out.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        lock(&self.0).change(Change::Length(index(len)?));
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        lock(&self.0).sync();
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        lock(&self.0).change(Change::Write(index(offset)?, data.to_vec()));
        Ok(())
    }
}

struct MemoryLock(Arc<Mutex<Vec<PathBuf>>>, PathBuf);

impl DiskLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        lock(&self.0).retain(|path| *path != self.1);
    }
}

impl Disk for MemoryDisk {
    fn make_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(lock(&*self.file(path)?).live.clone())
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = MemoryFile { live: bytes.to_vec(), durable: bytes.to_vec(), pending: Vec::new() };
        lock(&self.files).insert(path.to_path_buf(), Arc::new(Mutex::new(file)));
        Ok(())
    }
    fn overwrite(&self, path: &Path, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(path)?;
        let mut file = lock(&file);
        file.change(Change::Write(index(offset_bytes)?, bytes.to_vec()));
        file.sync();
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        lock(&self.files).remove(path);
        Ok(())
    }
    fn move_dir(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = lock(&self.files);
        let moved: Vec<_> = files.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in moved {
            let name = path.strip_prefix(from).map(|name| to.join(name)).map_err(io::Error::other)?;
            if let Some(file) = files.remove(&path) {
                files.insert(name, file);
            }
        }
        Ok(())
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        lock(&self.files).retain(|path, _| !path.starts_with(dir));
        Ok(())
    }
    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(lock(&*self.file(path)?).live.len() as u64)
    }
    fn database(&self, path: &Path, new: bool) -> io::Result<Box<dyn StorageBackend>> {
        if new {
            self.replace(path, &[])?;
        }
        Ok(Box::new(MemoryBackend(self.file(path)?)))
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut locked = lock(&self.locked);
        if locked.iter().any(|held| held == path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        locked.push(path.to_path_buf());
        Ok(Box::new(MemoryLock(Arc::clone(&self.locked), path.to_path_buf())))
    }
}
