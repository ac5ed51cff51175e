//! The file that somebody shares: opened with care, since a path may name
//! anything, and read chunk by chunk.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use secure_chat_protocol::file::Geometry;
use serde::{Deserialize, Serialize};

use super::form::Form;

/// Why a file can't be shared or read again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The caller's: there is none.
    #[error("there is no such file")]
    Missing,
    /// The caller's.
    #[error("this is a directory: share the files in it, or an archive of it")]
    Directory,
    /// The caller's: a device, a pipe, a socket.
    #[error("this is not an ordinary file")]
    Special,
    /// The caller's or the environment's.
    #[error("the file can't be read: {0}")]
    Unreadable(io::Error),
    /// The caller's or the environment's: it is another file now.
    #[error("the file was changed meanwhile")]
    Changed,
    /// The caller's.
    #[error("the file is too long: at most 256 GiB can be shared")]
    TooLong,
    /// The account was locked, or the caller has gone.
    #[error("it was stopped")]
    Stopped,
}

impl From<io::Error> for SourceError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            io::ErrorKind::IsADirectory => Self::Directory,
            _ => Self::Unreadable(error),
        }
    }
}

/// By what one sees, without reading it, that a file was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Bytes.
    pub(crate) size: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub(crate) modified_ns: u64,
}

/// An open source.
pub(crate) struct Source {
    file: File,
    at: u64,
    pub(crate) stamp: Stamp,
}

fn stamp(metadata: &std::fs::Metadata) -> Stamp {
    let since = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Stamp { size: metadata.len(), modified_ns: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX) }
}

impl Source {
    /// Opens an ordinary file.
    ///
    /// # Errors
    /// [`SourceError`]
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        // Before it is opened: opening a pipe would wait for its other end.
        check(&std::fs::metadata(path)?)?;
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        check(&metadata)?;
        Ok(Self { file, at: 0, stamp: stamp(&metadata) })
    }

    /// Reads the plaintext of a chunk into `chunk`.
    ///
    /// # Errors
    /// [`SourceError::Changed`] when the file is shorter now.
    pub(crate) fn read_chunk(
        &mut self,
        geometry: &Geometry,
        index: u32,
        chunk: &mut Vec<u8>,
    ) -> Result<(), SourceError> {
        self.read(Form::Plain, geometry, index, chunk)
    }

    /// Reads a chunk of a file that lies there in this form.
    ///
    /// # Errors
    /// [`SourceError::Changed`] when the file is shorter now.
    pub(crate) fn read(
        &mut self,
        form: Form,
        geometry: &Geometry,
        index: u32,
        chunk: &mut Vec<u8>,
    ) -> Result<(), SourceError> {
        let (offset, length) = (form.offset(geometry, index), form.bytes(geometry, index));
        chunk.reserve_exact(geometry.sealed_bytes(index).saturating_sub(chunk.len()));
        // A buffer that was used before is long enough: nothing is filled with zeros.
        chunk.resize(length, 0);
        if self.at != offset {
            self.at = self.file.seek(SeekFrom::Start(offset))?;
        }
        match self.file.read_exact(chunk) {
            Ok(()) => {
                self.at = self.at.saturating_add(length as u64);
                Ok(())
            }
            Err(error) => {
                // Nobody knows where it stands now.
                self.at = u64::MAX;
                Err(if error.kind() == io::ErrorKind::UnexpectedEof { SourceError::Changed } else { error.into() })
            }
        }
    }

    /// Whether the file is still as it was when it was opened.
    ///
    /// # Errors
    /// [`SourceError::Changed`]
    pub(crate) fn still(&self) -> Result<(), SourceError> {
        if stamp(&self.file.metadata()?) == self.stamp { Ok(()) } else { Err(SourceError::Changed) }
    }
}

fn check(metadata: &std::fs::Metadata) -> Result<(), SourceError> {
    match metadata {
        it if it.is_dir() => Err(SourceError::Directory),
        it if !it.is_file() => Err(SourceError::Special),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ordinary_file_is_a_source() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Source::open(&dir.path().join("none")), Err(SourceError::Missing)));
        assert!(matches!(Source::open(dir.path()), Err(SourceError::Directory)));
        let pipe = std::path::Path::new("/dev/null");
        if cfg!(unix) {
            assert!(matches!(Source::open(pipe), Err(SourceError::Special)));
        }
    }

    #[test]
    fn a_file_that_became_shorter_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, vec![7; 300_000]).unwrap();
        let mut source = Source::open(&path).unwrap();
        let geometry = Geometry::for_size(300_000).unwrap();
        let mut chunk = Vec::new();
        source.read_chunk(&geometry, 1, &mut chunk).unwrap();
        assert_eq!(chunk, vec![7; 300_000 - 262_144]);
        source.read_chunk(&geometry, 0, &mut chunk).unwrap();
        assert_eq!(chunk.len(), 262_144);
        std::fs::write(&path, b"short").unwrap();
        assert!(matches!(source.read_chunk(&geometry, 1, &mut chunk), Err(SourceError::Changed)));
        assert!(matches!(source.still(), Err(SourceError::Changed)));
    }
}
