//! The node's identity: one Ed25519 key in a file of its own. Whoever loses it loses every address
//! and invite that names this node.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use libp2p::identity::Keypair;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFileError {
    /// The file is not a key. The operator's fault: restore it from the backup.
    #[error("{0} is not an identity key; restore it from your backup, or move it away to start with a new identity")]
    Malformed(PathBuf),
    /// The file can't be read or written.
    #[error("the identity key {path} can't be used: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the key at `path`, or makes one there, readable by its owner only.
///
/// # Errors
/// [`IdentityFileError`]
pub(crate) fn load_or_create(path: &Path) -> Result<Keypair, IdentityFileError> {
    let failed = |source| IdentityFileError::Io { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(bytes) => {
            warn_when_readable_by_others(path);
            Keypair::from_protobuf_encoding(&bytes).map_err(|_| IdentityFileError::Malformed(path.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = Keypair::generate_ed25519();
            let bytes = key.to_protobuf_encoding().map_err(|_| IdentityFileError::Malformed(path.to_owned()))?;
            write_new(path, &bytes).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes the file whole or not at all, and never over another.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.new", std::process::id()));
    let partial = PathBuf::from(partial);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let linked = written.and_then(|()| fs::hard_link(&partial, path));
    fs::remove_file(&partial)?;
    linked?;
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(unix)]
fn warn_when_readable_by_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "the identity key can be read by others: chmod 600 it");
    }
}

#[cfg(not(unix))]
fn warn_when_readable_by_others(_: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_stays_the_same_and_is_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.key");
        let first = load_or_create(&path).unwrap().public();
        assert_eq!(load_or_create(&path).unwrap().public(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_damaged_key_is_an_error_and_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.key");
        fs::write(&path, b"").unwrap();
        assert!(matches!(load_or_create(&path), Err(IdentityFileError::Malformed(_))));
        assert_eq!(fs::read(&path).unwrap(), b"");
    }
}
