//! Where a received file is written: under a name of its own beside its target,
//! checked, synced, and only then renamed; nothing is ever overwritten.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use secure_chat_protocol::file::{ChunkCipher, Geometry, Leaves};
use secure_chat_protocol::id::FileId;
use secure_chat_protocol::limits::FILE_NAME_MAX_BYTES;
use secure_chat_protocol::validate::safe_file_name;

use super::form::Form;
use super::limits::{NAMES_TRIED_MAX, RESERVED_AHEAD_BYTES, ROOM_LEFT_BYTES};

/// Why a file can't be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// The caller's: there is no such folder.
    #[error("there is no folder {0:?}")]
    NoFolder(PathBuf),
    /// The caller's: one may not write there.
    #[error("nothing can be written into {0:?}")]
    ReadOnly(PathBuf),
    /// The environment's.
    #[error("the disk has no room: {needed_bytes} bytes are needed there")]
    DiskFull {
        /// For the whole file.
        needed_bytes: u64,
    },
    /// The environment's.
    #[error("the file can't be written: {0}")]
    Io(io::Error),
    /// The environment's: what was written is not on the disk, and was thrown away.
    #[error("the disk did not take what was written: {0}")]
    NotTaken(io::Error),
}

impl From<io::Error> for TargetError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { needed_bytes: 0 },
            _ => Self::Io(error),
        }
    }
}

impl TargetError {
    /// Whether another task still writes there: it may be tried again.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Where a file goes: `path` may be a folder, or name the file. Looks whether it
/// can be written there at all, and whether there is room.
///
/// # Errors
/// [`TargetError`]
pub(crate) fn place(path: &Path, name: &str, needed_bytes: u64) -> Result<PathBuf, TargetError> {
    let path = std::path::absolute(path)?;
    let target = if path.is_dir() { path.join(safe_file_name(name)) } else { path };
    let folder = target.parent().filter(|folder| folder.is_dir());
    let Some(folder) = folder.filter(|_| target.file_name().is_some()) else {
        return Err(TargetError::NoFolder(target.parent().unwrap_or(&target).to_owned()));
    };
    match tempfile_in(folder) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            return Err(TargetError::ReadOnly(folder.to_owned()));
        }
        Err(error) => return Err(error.into()),
    }
    if free_bytes(folder).is_some_and(|free| free < needed_bytes.saturating_add(ROOM_LEFT_BYTES)) {
        return Err(TargetError::DiskFull { needed_bytes });
    }
    Ok(target)
}

/// Whether a file can be made in this folder.
fn tempfile_in(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".secure-chat-{:016x}", rand::random::<u64>()));
    OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(probe)
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// The name under which a file grows. All of the id, which its sharer chose: another file never has this name.
pub(crate) fn growing(target: &Path, file: FileId) -> PathBuf {
    target.with_file_name(format!(".{file}.part"))
}

/// Removes what grew of a file, unless a task still writes to it. Whether it is gone.
///
/// # Errors
/// Those of the disk.
pub(crate) fn remove_growing(target: &Path, file: FileId) -> io::Result<bool> {
    let path = growing(target, file);
    let there = match fs::symlink_metadata(&path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    // Whoever writes has it locked, and removes it themselves when they end, or still need it.
    let lock = if there.is_file() { Some(File::open(&path)?) } else { None };
    if let Some(Err(TryLockError::WouldBlock)) = lock.as_ref().map(File::try_lock) {
        return Ok(false);
    }
    fs::remove_file(&path)?;
    Ok(true)
}

/// Where the file is already, if it is: whoever put it there died before saying so.
///
/// # Errors
/// Those of the disk.
pub(crate) fn is_there(
    target: &Path,
    form: Form,
    id: FileId,
    cipher: &ChunkCipher,
    leaves: &Leaves,
    stopped: impl FnMut() -> bool,
) -> Result<Option<PathBuf>, TargetError> {
    let size = form.size(cipher.geometry());
    let part = growing(target, id);
    let linked = put_by_link(&part, target);
    let is_linked = linked.is_some();
    let path = linked.unwrap_or_else(|| target.to_owned());
    let alike = fs::symlink_metadata(&path).is_ok_and(|it| it.is_file() && it.len() == size);
    if !alike || (part.exists() && !is_linked) {
        return Ok(None);
    }
    let mut there = Target { file: File::open(&path)?, path, form, at: 0, reserved: 0 };
    let whole = size == 0 || there.find(cipher, leaves, stopped)?.len() == leaves.len();
    if whole && is_linked {
        fs::remove_file(&part)?;
    }
    Ok(whole.then_some(there.path))
}

/// Where a growing file was put by a link, if whoever put it there died before its old name was gone.
fn put_by_link(part: &Path, target: &Path) -> Option<PathBuf> {
    if !part.exists() {
        return None;
    }
    let names = (0..NAMES_TRIED_MAX).map(|number| numbered(target, number));
    names.take_while(|name| fs::symlink_metadata(name).is_ok()).find(|name| is_same_file(part, name))
}

/// Whether two names are of one file.
#[cfg(unix)]
fn is_same_file(one: &Path, other: &Path) -> bool {
    let of = |path: &Path| fs::symlink_metadata(path).ok().map(|it| identity(&it));
    of(one).is_some_and(|one| of(other) == Some(one))
}

#[cfg(not(unix))]
fn is_same_file(_: &Path, _: &Path) -> bool {
    false
}

/// The device and the number of a file.
#[cfg(unix)]
fn identity(file: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (file.dev(), file.ino())
}

/// Opens the growing file, or makes it, for one task alone.
fn open_alone(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => tracing::debug!(%error, "a file system without locks"),
    }
    // Whoever had it before may have put it in its place between the two calls.
    if lies_at(&file, path) { Ok(file) } else { Err(io::ErrorKind::WouldBlock.into()) }
}

/// Whether an open file still has this name.
#[cfg(unix)]
fn lies_at(file: &File, path: &Path) -> bool {
    let of = |it: io::Result<fs::Metadata>| it.ok().map(|it| identity(&it));
    of(file.metadata()).is_some_and(|open| of(fs::symlink_metadata(path)) == Some(open))
}

#[cfg(not(unix))]
fn lies_at(_: &File, _: &Path) -> bool {
    true
}

/// Whether a file has another name, under which it may be whole and in use.
#[cfg(unix)]
fn has_other_names(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(file.metadata()?.nlink() > 1)
}

#[cfg(not(unix))]
fn has_other_names(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// Takes room on the disk without changing the file. A journal then has less to wait for: where blocks are
/// found only while data is written, the next commit of anything on this disk waits for that data.
#[cfg(target_os = "linux")]
fn take_room(file: &File, from: u64, length: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, from, length)?)
}

#[cfg(not(target_os = "linux"))]
fn take_room(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A file that grows.
pub(crate) struct Target {
    file: File,
    path: PathBuf,
    form: Form,
    at: u64,
    /// Up to here room was taken, in bytes.
    reserved: u64,
}

impl Target {
    /// Opens the growing file of this target, or makes it: for the owner alone, and not executable.
    ///
    /// # Errors
    /// [`TargetError`]; one that [is busy](TargetError::is_busy) while another task has it open.
    pub(crate) fn open(target: &Path, form: Form, file: FileId) -> Result<Self, TargetError> {
        let path = growing(target, file);
        // Not through a link that somebody put there.
        if fs::symlink_metadata(&path).is_ok_and(|there| !there.is_file()) {
            return Err(TargetError::Io(io::ErrorKind::AlreadyExists.into()));
        }
        let mut file = open_alone(&path)?;
        if has_other_names(&file)? {
            // Writing to it would change what lies under the other name: it begins anew.
            fs::remove_file(&path)?;
            file = open_alone(&path)?;
        }
        Ok(Self { file, path, form, at: 0, reserved: 0 })
    }

    /// Takes the room for what is written next, and for some more.
    fn reserve(&mut self, until: u64, size: u64) -> io::Result<()> {
        let ahead = until.saturating_add(RESERVED_AHEAD_BYTES).min(size).max(until);
        match take_room(&self.file, self.reserved, ahead.saturating_sub(self.reserved)) {
            Ok(()) => self.reserved = ahead,
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                return Err(error);
            }
            // Not every file system can: it is only slower.
            Err(_) => self.reserved = u64::MAX,
        }
        Ok(())
    }

    /// A second handle on the same file, for what reads it again or syncs it. Both share one
    /// place in the file, and the lock.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// How the file will lie there.
    pub(crate) const fn form(&self) -> Form {
        self.form
    }

    /// Writes a chunk.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn write(&mut self, geometry: &Geometry, index: u32, bytes: &[u8]) -> io::Result<()> {
        let offset = self.form.offset(geometry, index);
        let until = offset.saturating_add(bytes.len() as u64);
        if until > self.reserved {
            self.reserve(until, self.form.size(geometry))?;
        }
        if self.at != offset {
            self.at = self.file.seek(SeekFrom::Start(offset))?;
        }
        let written = self.file.write_all(bytes);
        // After an error nobody knows where it stands.
        self.at = if written.is_ok() { self.at.saturating_add(bytes.len() as u64) } else { u64::MAX };
        written
    }

    /// Hands what was written to the disk.
    ///
    /// # Errors
    /// Those of the disk. It is to be [given up](Self::discard) then.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Which chunks an earlier attempt left whole: each is encrypted again and held
    /// against its hash, so that nothing needs to be noted while it is written.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn find(
        &mut self,
        cipher: &ChunkCipher,
        leaves: &Leaves,
        mut stopped: impl FnMut() -> bool,
    ) -> io::Result<Vec<u32>> {
        let (geometry, length) = (*cipher.geometry(), self.file.metadata()?.len());
        let (mut found, mut chunk) = (Vec::new(), Vec::new());
        if length == 0 {
            return Ok(found);
        }
        self.file.seek(SeekFrom::Start(0))?;
        self.at = u64::MAX;
        for index in 0..geometry.count() {
            if self.form.offset(&geometry, index) >= length || stopped() {
                break;
            }
            chunk.clear();
            chunk.reserve(geometry.sealed_bytes(index));
            (&self.file).take(self.form.bytes(&geometry, index) as u64).read_to_end(&mut chunk)?;
            if self.form.to_sealed(cipher, index, &mut chunk) && leaves.fits(index, &chunk) {
                found.push(index);
            }
        }
        Ok(found)
    }

    /// Gives it up. So does whoever could not sync it: what the disk did not take reads as if it had, until
    /// it is gone, and no later sync tells.
    pub(crate) fn discard(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "a growing file could not be removed");
        }
    }

    /// Puts the whole file in its place, or under the next name that is free.
    ///
    /// # Errors
    /// [`TargetError`]; then the growing file stays, unless the disk did not take it.
    pub(crate) fn finish(self, target: &Path, size: u64) -> Result<PathBuf, TargetError> {
        self.file.set_len(size)?;
        if let Err(error) = self.file.sync_all() {
            self.discard();
            return Err(TargetError::NotTaken(error));
        }
        for number in 0..NAMES_TRIED_MAX {
            let named = numbered(target, number);
            match move_to(&self.path, &named) {
                Ok(()) => {
                    return match target.parent().map_or(Ok(()), sync_folder) {
                        Ok(()) => Ok(named),
                        Err(error) => {
                            // Nobody knows whether it has its name after a power cut: it has none.
                            fs::remove_file(&named)?;
                            Err(TargetError::NotTaken(error))
                        }
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(TargetError::Io(io::ErrorKind::AlreadyExists.into()))
    }
}

/// Hands a new name to the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    // A folder that one may write to and not read, or a file system that has no such thing, is no failed disk.
    let no_such_thing = |error: &io::Error| {
        use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
        matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
    };
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if !no_such_thing(&error) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// `name.ext`, `name (1).ext`, `name (2).ext` …
fn numbered(target: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return target.to_owned();
    }
    let name = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let mut stem = name(target.file_stem()).unwrap_or_default();
    let extension = name(target.extension()).map(|extension| format!(".{extension}")).unwrap_or_default();
    let ending = format!(" ({number}){extension}");
    // A name that is as long as names may be has no room for a number.
    let room = FILE_NAME_MAX_BYTES.saturating_sub(ending.len());
    stem.truncate(stem.floor_char_boundary(room));
    target.with_file_name(stem + &ending)
}

/// Renames without ever replacing what is there.
fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        // It was put there before, by somebody who died between the two calls.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_same_file(from, to) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without links.
        Err(_) => rename_to_free(from, to),
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // This file system can't do that either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => rename_unless_there(from, to),
        renamed => renamed.map_err(io::Error::from),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    rename_unless_there(from, to)
}

fn rename_unless_there(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(to).is_ok() { Err(io::ErrorKind::AlreadyExists.into()) } else { fs::rename(from, to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: FileId = FileId([0xab; 32]);

    #[test]
    fn nothing_is_overwritten_and_nothing_can_be_run() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.txt");
        fs::write(&target, "mine").unwrap();
        for (round, name) in [(1, "a (1).txt"), (2, "a (2).txt")] {
            let mut growing = Target::open(&target, Form::Plain, ID).unwrap();
            let geometry = Geometry::for_size(7).unwrap();
            growing.write(&geometry, 0, format!("round {round}").as_bytes()).unwrap();
            let put = growing.finish(&target, 7).unwrap();
            assert_eq!(put, dir.path().join(name));
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                assert_eq!(fs::metadata(&put).unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
        assert_eq!(fs::read_to_string(dir.path().join("a (2).txt")).unwrap(), "round 2");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "no growing file is left");
    }

    #[test]
    fn where_nothing_can_be_written_is_told_before_it_starts() {
        let dir = tempfile::tempdir().unwrap();
        let place = |path: &Path, bytes| place(path, "../evil\u{202e}.txt", bytes);
        assert_eq!(place(dir.path(), 1).unwrap(), dir.path().join("evil.txt"));
        assert_eq!(place(&dir.path().join("b.txt"), 1).unwrap(), dir.path().join("b.txt"));
        assert!(matches!(place(&dir.path().join("no/such"), 1), Err(TargetError::NoFolder(_))));
        if cfg!(unix) {
            assert!(matches!(place(dir.path(), 1 << 60), Err(TargetError::DiskFull { .. })));
        }
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(matches!(place(&dir.path().join("file/in"), 1), Err(TargetError::NoFolder(_))));
    }

    #[test]
    fn a_name_that_is_as_long_as_names_may_be_is_shortened_for_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join(format!("{}x.txt", "é".repeat(125)));
        assert_eq!(target.file_name().unwrap().len(), 255);
        for round in 0..3 {
            let put = Target::open(&target, Form::Plain, ID).unwrap().finish(&target, 0).unwrap();
            let name = put.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(name.len() <= 255 && name.ends_with(".txt"), "{name}");
            assert!(round == 0 || name.ends_with(&format!("é ({round}).txt")), "{name}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn files_whose_ids_begin_alike_do_not_grow_in_one_place() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.txt");
        let mut other = ID;
        other.0[31] ^= 1;
        let (geometry, alices) = (Geometry::for_size(4).unwrap(), Target::open(&target, Form::Plain, ID).unwrap());
        let mut mallorys = Target::open(&target, Form::Plain, other).unwrap();
        let put = alices.finish(&target, 4).unwrap();
        mallorys.write(&geometry, 0, b"evil").unwrap();
        assert_eq!(fs::read(put).unwrap(), [0; 4]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn room_is_taken_ahead_and_shows_in_no_length() {
        use std::os::unix::fs::MetadataExt as _;

        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.zip");
        let geometry = Geometry::for_size(64 * 1024 * 1024).unwrap();
        let mut file = Target::open(&target, Form::Plain, ID).unwrap();
        file.write(&geometry, 0, &vec![7; 262_144]).unwrap();
        let there = fs::metadata(growing(&target, ID)).unwrap();
        assert_eq!(there.len(), 262_144, "what came is told by the length");
        assert!(there.blocks() * 512 >= RESERVED_AHEAD_BYTES, "{} blocks", there.blocks());
        let put = file.finish(&target, 262_144).unwrap();
        assert_eq!(fs::metadata(put).unwrap().len(), 262_144);
    }

    #[test]
    fn what_somebody_still_writes_to_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.txt");
        assert!(remove_growing(&target, ID).unwrap());
        let writing = Target::open(&target, Form::Plain, ID).unwrap();
        assert!(!remove_growing(&target, ID).unwrap());
        assert!(growing(&target, ID).exists());
        drop(writing);
        assert!(remove_growing(&target, ID).unwrap());
        assert!(!growing(&target, ID).exists());
    }

    /// A file of the kernel's takes every write, and can't be synced: as a disk that fails later than it should.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_disk_does_not_take_gets_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let (target, path) = (dir.path().join("a.txt"), growing(&dir.path().join("a.txt"), ID));
        fs::write(&path, "whole").unwrap();
        let file = OpenOptions::new().read(true).write(true).open("/proc/self/comm").unwrap();
        let growing = Target { file, path, form: Form::Plain, at: 0, reserved: 0 };
        growing.sync().unwrap_err();
        assert!(matches!(growing.finish(&target, 5), Err(TargetError::NotTaken(_))));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "neither a name nor what can't be trusted");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_can_not_be_synced_is_no_failed_disk() {
        let dir = tempfile::tempdir().unwrap();
        sync_folder(dir.path()).unwrap();
        assert!(sync_folder(&dir.path().join("none")).is_err());
        if cfg!(target_os = "linux") {
            sync_folder(Path::new("/proc/self")).unwrap();
        }
    }

    #[test]
    fn one_task_at_a_time_writes_a_growing_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.txt");
        let first = Target::open(&target, Form::Plain, ID).unwrap();
        assert!(Target::open(&target, Form::Plain, ID).err().unwrap().is_busy());
        drop(first);
        assert!(Target::open(&target, Form::Plain, ID).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn what_a_death_left_under_two_names_is_found_and_never_written_to() {
        use secure_chat_protocol::file::FileKey;

        let dir = tempfile::tempdir().unwrap();
        let (target, second) = (dir.path().join("a.txt"), dir.path().join("a (1).txt"));
        fs::write(&target, "mine").unwrap();
        fs::write(&second, "whole").unwrap();
        fs::hard_link(&second, growing(&target, ID)).unwrap();
        let geometry = Geometry::for_size(5).unwrap();
        let cipher = ChunkCipher::new(FileKey::from_bytes([3; 32]), ID, geometry);
        let mut chunk = b"whole".to_vec();
        cipher.seal(0, &mut chunk).unwrap();
        let leaves = Leaves::new(vec![secure_chat_protocol::file::leaf(&chunk)], &geometry).unwrap();
        let there = || is_there(&target, Form::Plain, ID, &cipher, &leaves, || false).unwrap();
        assert_eq!(there(), Some(second.clone()));
        assert!(!growing(&target, ID).exists());
        // Whatever else has two names is left alone.
        fs::hard_link(&second, growing(&target, ID)).unwrap();
        let mut anew = Target::open(&target, Form::Plain, ID).unwrap();
        anew.write(&geometry, 0, b"other").unwrap();
        assert_eq!(fs::read(&second).unwrap(), b"whole");
    }

    #[cfg(unix)]
    #[test]
    fn a_move_that_was_half_done_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "whole").unwrap();
        fs::hard_link(&from, &to).unwrap();
        move_to(&from, &to).unwrap();
        assert!(!from.exists() && to.exists());
        fs::write(&from, "other").unwrap();
        assert_eq!(move_to(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(rename_to_free(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(&to).unwrap();
        rename_to_free(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"other");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_the_growing_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.txt");
        fs::write(dir.path().join("precious"), "old").unwrap();
        std::os::unix::fs::symlink(dir.path().join("precious"), growing(&target, ID)).unwrap();
        assert!(Target::open(&target, Form::Plain, ID).is_err());
    }
}
