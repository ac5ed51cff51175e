//! Disks that fail on purpose, for tests: pulled plugs, torn writes, no room.
//!
//! A test that only drops a vault proves nothing about crashes, since `Drop`
//! closes it in peace. [`Faults::cut`] first: from then on nothing reaches the
//! file, so what is read afterwards is what a crash would have left.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redb::StorageBackend;

use super::disk::{Disk, DiskLock};

pub use super::memory::MemoryDisk;

/// When a disk fails. Clones share one state.
#[derive(Debug, Clone)]
pub struct Faults(Arc<FaultState>);

#[derive(Debug)]
struct FaultState {
    cut: AtomicBool,
    operations: AtomicU64,
    syncs: AtomicU64,
    cut_at_operation: AtomicU64,
    cut_at_sync: AtomicU64,
    room_bytes: AtomicU64,
    length_max_bytes: AtomicU64,
    refuse_one: AtomicBool,
}

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::new(FaultState {
            cut: AtomicBool::new(false),
            operations: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            cut_at_operation: AtomicU64::new(u64::MAX),
            cut_at_sync: AtomicU64::new(u64::MAX),
            room_bytes: AtomicU64::new(u64::MAX),
            length_max_bytes: AtomicU64::new(u64::MAX),
            refuse_one: AtomicBool::new(false),
        }))
    }
}

impl Faults {
    /// The plug is pulled now: from here on every write and sync fails and changes nothing.
    pub fn cut(&self) {
        self.0.cut.store(true, Ordering::SeqCst);
    }

    /// The plug is pulled after `operations` more writes, changes of length and syncs.
    pub fn cut_after_operations(&self, operations: u64) {
        self.0.cut_at_operation.store(self.operations().saturating_add(operations), Ordering::SeqCst);
    }

    /// The plug is pulled after `syncs` more syncs: the next one fails.
    pub fn cut_after_syncs(&self, syncs: u64) {
        self.0.cut_at_sync.store(self.syncs().saturating_add(syncs), Ordering::SeqCst);
    }

    /// The disk is full after `bytes` more, though files could be made longer (as on a sparse file system).
    pub fn full_after_bytes(&self, bytes: u64) {
        self.0.room_bytes.store(bytes, Ordering::SeqCst);
    }

    /// No file can become longer than `bytes`.
    pub fn full_at_length(&self, bytes: u64) {
        self.0.length_max_bytes.store(bytes, Ordering::SeqCst);
    }

    /// The next write finds no room, and those after it do: one step fails, and the vault goes on.
    pub fn refuse_one_write(&self) {
        self.0.refuse_one.store(true, Ordering::SeqCst);
    }

    /// There is room again.
    pub fn make_room(&self) {
        self.full_after_bytes(u64::MAX);
        self.full_at_length(u64::MAX);
    }

    /// Whether the plug was pulled.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::SeqCst)
    }

    /// Writes, changes of length and syncs so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.operations.load(Ordering::SeqCst)
    }

    /// Syncs so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.0.syncs.load(Ordering::SeqCst)
    }

    fn operation(&self) -> io::Result<()> {
        if self.0.operations.fetch_add(1, Ordering::SeqCst) >= self.0.cut_at_operation.load(Ordering::SeqCst) {
            self.cut();
        }
        if self.is_cut() { Err(io::Error::other("the disk was cut off")) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        if self.0.syncs.fetch_add(1, Ordering::SeqCst) >= self.0.cut_at_sync.load(Ordering::SeqCst) {
            self.cut();
        }
        self.operation()
    }

    fn write(&self, bytes: usize) -> io::Result<()> {
        self.operation()?;
        if self.0.refuse_one.swap(false, Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let bytes = bytes as u64;
        let take = |room: u64| if room == u64::MAX { Some(room) } else { room.checked_sub(bytes) };
        match self.0.room_bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(_) => Ok(()),
            Err(_) => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn set_len(&self, now: u64, len: u64) -> io::Result<()> {
        self.operation()?;
        if len > now && len > self.0.length_max_bytes.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

/// Any disk, failing when [`Faults`] say so.
pub struct FaultyDisk<D> {
    disk: D,
    faults: Faults,
}

impl<D: Disk> FaultyDisk<D> {
    /// `disk` behind `faults`.
    pub const fn new(disk: D, faults: Faults) -> Self {
        Self { disk, faults }
    }
}

#[derive(Debug)]
struct FaultyBackend {
    backend: Box<dyn StorageBackend>,
    faults: Faults,
}

impl StorageBackend for FaultyBackend {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.set_len(self.backend.len()?, len)?;
        self.backend.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.faults.sync()?;
        self.backend.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.write(data.len())?;
        self.backend.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }
}

impl<D: Disk> Disk for FaultyDisk<D> {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.operation()?;
        self.disk.make_dir(dir)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.faults.write(bytes.len())?;
        self.faults.sync()?;
        self.disk.replace(path, bytes)
    }
    fn overwrite(&self, path: &Path, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        self.faults.write(0)?;
        if let Err(error) = self.faults.sync() {
            // The plug was pulled between the write and its sync: half of it arrived.
            let (half, _) = bytes.split_at(bytes.len() / 2);
            self.disk.overwrite(path, offset_bytes, half)?;
            return Err(error);
        }
        self.disk.overwrite(path, offset_bytes, bytes)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.faults.operation()?;
        self.disk.remove(path)
    }
    fn move_dir(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.sync()?;
        self.disk.move_dir(from, to)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.operation()?;
        self.disk.remove_dir(dir)
    }
    fn len(&self, path: &Path) -> io::Result<u64> {
        self.disk.len(path)
    }
    fn database(&self, path: &Path, new: bool) -> io::Result<Box<dyn StorageBackend>> {
        if new {
            self.faults.operation()?;
        }
        let backend = self.disk.database(path, new)?;
        Ok(Box::new(FaultyBackend { backend, faults: self.faults.clone() }))
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }
}
