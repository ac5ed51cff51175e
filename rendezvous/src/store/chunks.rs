//! The files of blobs: one for each, named by the blob's id, chunks at multiples of their length.
//! They hold ciphertext and nothing else. Floor 3.
//!
//! Whether a chunk is there is said by the rows ([`crate::blobs`]), never by the files: a kill in
//! the middle of a write leaves bytes that nobody was promised, and they are written again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use secure_chat_protocol::id::BlobId;

use crate::rows::StoreError;
use crate::store::fence::Fence;

/// The directory of the files.
#[derive(Debug)]
pub struct ChunkFiles {
    root: PathBuf,
    fence: Fence,
}

fn failed(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull,
        _ => StoreError::Io(error.to_string()),
    }
}

impl ChunkFiles {
    /// The files in `root`, which is there.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, fence: Fence::default() }
    }

    /// From now on nothing reaches the disk.
    pub fn fence(&self) {
        self.fence.raise();
    }

    /// `ab/abcd…`: no directory grows too large.
    fn path(&self, blob: &BlobId) -> PathBuf {
        let name = blob.to_string();
        self.root.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// Writes a chunk; it is durable once this returns.
    ///
    /// # Errors
    /// [`StoreError`]: the disk is full, fails, or was cut off.
    pub fn write(&self, blob: &BlobId, offset: u64, chunk: &[u8]) -> Result<(), StoreError> {
        if self.fence.is_raised() {
            return Err(StoreError::Closed);
        }
        let mut file = self.open_to_write(blob).map_err(|e| failed(&e))?;
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.write_all(chunk)).map_err(|e| failed(&e))?;
        if self.fence.is_raised() {
            return Err(StoreError::Closed);
        }
        file.sync_data().map_err(|e| failed(&e))
    }

    fn open_to_write(&self, blob: &BlobId) -> io::Result<File> {
        let path = self.path(blob);
        let mut options = OpenOptions::new();
        options.write(true);
        match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let directory = path.parent().unwrap_or(&self.root);
        if !directory.is_dir() {
            make_directory(directory)?;
            sync_directory(&self.root)?;
        }
        options.create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        sync_directory(directory)?;
        Ok(file)
    }

    /// Reads a chunk.
    ///
    /// # Errors
    /// [`StoreError`]: the disk fails, or the file is shorter than the rows say.
    pub fn read(&self, blob: &BlobId, offset: u64, bytes: usize) -> Result<Vec<u8>, StoreError> {
        let mut file = File::open(self.path(blob)).map_err(|e| failed(&e))?;
        let mut chunk = vec![0; bytes];
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut chunk)).map_err(|e| failed(&e))?;
        Ok(chunk)
    }

    /// Deletes a blob's file; it may be gone already.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub fn remove(&self, blob: &BlobId) -> Result<(), StoreError> {
        if self.fence.is_raised() {
            return Err(StoreError::Closed);
        }
        match fs::remove_file(self.path(blob)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&error)),
            _ => Ok(()),
        }
    }

    /// Deletes the files of blobs that `known` does not know: those that a kill left behind.
    /// Answers how many. Files with other names are nobody's business here and stay.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub fn remove_unknown(&self, known: impl Fn(&BlobId) -> Result<bool, StoreError>) -> Result<u64, StoreError> {
        let mut removed = 0_u64;
        for directory in fs::read_dir(&self.root).map_err(|e| failed(&e))?.flatten() {
            let Ok(files) = fs::read_dir(directory.path()) else { continue };
            for file in files.flatten() {
                let Some(blob) = file.file_name().to_str().and_then(|name| name.parse::<BlobId>().ok()) else {
                    continue;
                };
                if self.path(&blob) == file.path() && !known(&blob)? {
                    self.remove(&blob)?;
                    removed = removed.saturating_add(1);
                }
            }
        }
        Ok(removed)
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes a new entry of a directory durable. Only Unix knows how; elsewhere the file system does it.
fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_back_in_any_order_and_a_removed_blob_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let (files, blob) = (ChunkFiles::new(directory.path().to_owned()), BlobId([7; 32]));
        files.write(&blob, 10, &[2; 10]).unwrap();
        files.write(&blob, 0, &[1; 10]).unwrap();
        assert_eq!((files.read(&blob, 0, 10).unwrap(), files.read(&blob, 10, 10).unwrap()), (vec![1; 10], vec![2; 10]));
        assert!(files.read(&blob, 15, 10).is_err(), "behind the end");
        files.remove(&blob).unwrap();
        files.remove(&blob).unwrap();
        assert!(files.read(&blob, 0, 10).is_err());
    }

    #[test]
    fn files_that_nobody_knows_are_deleted_and_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let files = ChunkFiles::new(directory.path().to_owned());
        let (known, unknown) = (BlobId([1; 32]), BlobId([2; 32]));
        files.write(&known, 0, b"1").unwrap();
        files.write(&unknown, 0, b"2").unwrap();
        fs::write(directory.path().join("README"), "the operator's").unwrap();
        assert_eq!(files.remove_unknown(|blob| Ok(*blob == known)), Ok(1));
        assert!(files.read(&known, 0, 1).is_ok() && files.read(&unknown, 0, 1).is_err());
        assert!(directory.path().join("README").exists());
    }

    #[test]
    fn nothing_is_written_behind_the_fence() {
        let directory = tempfile::tempdir().unwrap();
        let files = ChunkFiles::new(directory.path().to_owned());
        files.fence();
        assert_eq!(files.write(&BlobId([1; 32]), 0, b"1"), Err(StoreError::Closed));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
