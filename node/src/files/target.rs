//! Where a received file is written: under a name of its own beside its target,
//! checked, synced, and only then renamed; nothing is ever overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use secure_chat_protocol::file::{ChunkCipher, Geometry, Leaves};
use secure_chat_protocol::id::FileId;
use secure_chat_protocol::limits::FILE_NAME_MAX_BYTES;
use secure_chat_protocol::validate::safe_file_name;

use super::form::Form;
use super::limits::{NAMES_TRIED_MAX, ROOM_LEFT_BYTES};

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
}

impl From<io::Error> for TargetError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { needed_bytes: 0 },
            _ => Self::Io(error),
        }
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

/// The name under which a file grows.
pub(crate) fn growing(target: &Path, file: FileId) -> PathBuf {
    let id = file.to_string();
    target.with_file_name(format!(".{}.part", id.get(..24).unwrap_or(&id)))
}

/// Whether the file is in its place already: whoever put it there died before
/// saying so.
///
/// # Errors
/// Those of the disk.
pub(crate) fn is_there(
    target: &Path,
    form: Form,
    id: FileId,
    cipher: &ChunkCipher,
    leaves: &Leaves,
) -> Result<bool, TargetError> {
    let size = form.size(cipher.geometry());
    let alike = fs::symlink_metadata(target).is_ok_and(|it| it.is_file() && it.len() == size);
    if !alike || growing(target, id).exists() {
        return Ok(false);
    }
    let mut there = Target { file: File::open(target)?, path: target.to_owned(), form, at: 0 };
    Ok(size == 0 || there.find(cipher, leaves, || false)?.len() == leaves.len())
}

/// A file that grows.
pub(crate) struct Target {
    file: File,
    path: PathBuf,
    form: Form,
    at: u64,
}

impl Target {
    /// Opens the growing file of this target, or makes it: for the owner alone, and not executable.
    ///
    /// # Errors
    /// [`TargetError`]
    pub(crate) fn open(target: &Path, form: Form, file: FileId) -> Result<Self, TargetError> {
        let path = growing(target, file);
        // Not through a link that somebody put there.
        if fs::symlink_metadata(&path).is_ok_and(|there| !there.is_file()) {
            return Err(TargetError::Io(io::ErrorKind::AlreadyExists.into()));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        Ok(Self { file, path, form, at: 0 })
    }

    /// A second handle on the same file, for what reads it again or syncs it.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn file(&self) -> io::Result<File> {
        File::open(&self.path)
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
        if self.at != offset {
            self.at = self.file.seek(SeekFrom::Start(offset))?;
        }
        let written = self.file.write_all(bytes);
        // After an error nobody knows where it stands.
        self.at = if written.is_ok() { self.at.saturating_add(bytes.len() as u64) } else { u64::MAX };
        written
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

    /// Gives it up.
    pub(crate) fn discard(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "a growing file could not be removed");
        }
    }

    /// Puts the whole file in its place, or under the next name that is free.
    ///
    /// # Errors
    /// [`TargetError`]; then the growing file stays.
    pub(crate) fn finish(self, target: &Path, size: u64) -> Result<PathBuf, TargetError> {
        self.file.set_len(size)?;
        self.file.sync_all()?;
        for number in 0..NAMES_TRIED_MAX {
            let named = numbered(target, number);
            match move_to(&self.path, &named) {
                Ok(()) => {
                    if let Some(folder) = target.parent().filter(|_| cfg!(unix)) {
                        File::open(folder)?.sync_all()?;
                    }
                    return Ok(named);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(TargetError::Io(io::ErrorKind::AlreadyExists.into()))
    }
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
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without links.
        Err(_) if fs::symlink_metadata(to).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
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
