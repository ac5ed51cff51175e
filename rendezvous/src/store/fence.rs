//! A database file that can be fenced off: from then on nothing reaches the disk, as after a kill.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

/// Fences a file off.
#[derive(Debug, Clone, Default)]
pub struct Fence(Arc<Gates>);

#[derive(Debug, Default)]
struct Gates {
    cut: AtomicBool,
    /// The disk says that it is full: for the tests.
    full: AtomicBool,
}

impl Fence {
    /// From now on, every write fails.
    pub fn raise(&self) {
        self.0.cut.store(true, Ordering::SeqCst);
    }

    /// Whether it was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.cut.load(Ordering::SeqCst)
    }

    /// Lets the disk be full, or no longer.
    #[cfg(test)]
    pub(super) fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        if self.is_raised() {
            return Err(io::Error::other("the storage was cut off"));
        }
        if self.0.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

/// A file behind a [`Fence`].
pub struct FencedFile {
    file: FileBackend,
    fence: Fence,
}

impl FencedFile {
    /// A file behind `fence`.
    ///
    /// # Errors
    /// [`DatabaseError`] when the file can't be used.
    pub fn new(file: File, fence: Fence) -> Result<Self, DatabaseError> {
        Ok(Self { file: FileBackend::new(file)?, fence })
    }
}

impl fmt::Debug for FencedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FencedFile").field("fence", &self.fence).finish_non_exhaustive()
    }
}

impl StorageBackend for FencedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fence.check()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fence.check()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fence.check()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
