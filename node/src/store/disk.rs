//! Where the vault's files live: the real disk, behind a trait so that a test
//! can pull its plug. Lowest floor of the store.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use redb::StorageBackend;
use redb::backends::FileBackend;

/// Longest of the small files, in bytes.
const SMALL_FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Held as long as the vault is open. Dropping it lets others in.
pub trait DiskLock: Send + Sync {}

/// Files of one vault. Whatever returns `Ok` after a write is durable.
pub trait Disk: Send + Sync {
    /// Makes a directory and its parents, for the owner alone.
    ///
    /// # Errors
    /// Those of the disk.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    /// A small file's bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or those of the disk.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Writes a file as a whole: after a crash it has the old bytes or the new ones.
    ///
    /// # Errors
    /// Those of the disk.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Writes into an existing file in place, so that what stood there is gone.
    ///
    /// # Errors
    /// Those of the disk.
    fn overwrite(&self, path: &Path, offset_bytes: u64, bytes: &[u8]) -> io::Result<()>;
    /// Deletes a file, if it is there.
    ///
    /// # Errors
    /// Those of the disk.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Gives a directory another name, which nothing has yet.
    ///
    /// # Errors
    /// Those of the disk.
    fn move_dir(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Deletes a directory with everything in it, if it is there.
    ///
    /// # Errors
    /// Those of the disk.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// How long a file is, in bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or those of the disk.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// The file that holds the database; `new` makes an empty one, and otherwise it has to be there.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or those of the disk.
    fn database(&self, path: &Path, new: bool) -> io::Result<Box<dyn StorageBackend>>;
    /// Keeps others out.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
}

/// The machine's disk: files 0600, directories 0700.
#[derive(Debug, Default, Clone, Copy)]
pub struct FileDisk;

struct FileLock(#[expect(dead_code, reason = "the lock is the open file")] File);
impl DiskLock for FileLock {}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes names in a directory durable. Where directories can't be opened, the file system does it itself.
fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) if cfg!(unix) => File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}

impl Disk for FileDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)?;
        sync_dir(dir)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(SMALL_FILE_MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let fresh: PathBuf = path.with_file_name(name);
        let mut file = private().write(true).create(true).truncate(true).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&fresh, path)?;
        sync_dir(path)
    }

    fn overwrite(&self, path: &Path, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(SeekFrom::Start(offset_bytes))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_dir(path),
        }
    }

    fn move_dir(&self, from: &Path, to: &Path) -> io::Result<()> {
        if to.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(from, to)?;
        sync_dir(to)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => sync_dir(dir),
        }
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        fs::metadata(path).map(|metadata| metadata.len())
    }

    fn database(&self, path: &Path, new: bool) -> io::Result<Box<dyn StorageBackend>> {
        let file = private().read(true).write(true).create(new).truncate(new).open(path)?;
        if new {
            file.sync_all()?;
            sync_dir(path)?;
        }
        let backend = FileBackend::new(file).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Box::new(backend))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let file = private().write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(Box::new(FileLock(file)))
    }
}

/// Hands redb a backend of any kind. The vault's own lock file keeps others
/// out, so redb's locks are not passed on: after a failure the database is
/// opened anew while a slow reader may still hold the old one.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Box<dyn StorageBackend>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_only_the_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        FileDisk.make_dir(&folder).unwrap();
        let path = folder.join("vault.key");
        FileDisk.replace(&path, b"old and longer").unwrap();
        FileDisk.replace(&path, b"new").unwrap();
        assert_eq!(FileDisk.read(&path).unwrap(), b"new");
        FileDisk.overwrite(&path, 1, b"o").unwrap();
        assert_eq!(FileDisk.read(&path).unwrap(), b"now");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
        FileDisk.remove(&path).unwrap();
        FileDisk.remove(&path).unwrap();
        assert_eq!(FileDisk.read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_lock_is_held_by_one_and_free_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = FileDisk.lock(&path).unwrap();
        assert_eq!(FileDisk.lock(&path).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert!(FileDisk.lock(&path).is_ok());
    }
}
