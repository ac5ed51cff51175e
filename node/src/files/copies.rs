//! Copies that lie encrypted in the data directory: what they are called, and how one gets
//! something readable out of them.

use std::path::{Path, PathBuf};

use secure_chat_protocol::crypto::sha256::RunningSha256;
use secure_chat_protocol::file::ChunkCipher;
use secure_chat_protocol::id::{AccountId, FileId};

use super::form::Form;
use super::limits::{HEAD_BYTES, SYNC_EVERY_BYTES};
use super::source::{Source, SourceError};
use super::target::{Target, TargetError};

/// Why there is no readable copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// The environment's: the encrypted one can't be read, or is damaged.
    #[error("the encrypted copy can't be read: {0}")]
    Source(#[from] SourceError),
    /// The caller's or the environment's.
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// The folder of an account's encrypted copies. Nothing else lies there.
pub(crate) fn folder(data_dir: &Path, account: AccountId) -> PathBuf {
    let digits = account.to_string();
    data_dir.join("files").join(digits.get(..16).unwrap_or(&digits))
}

/// What the encrypted copy of a file is called there.
pub(crate) fn sealed_name(file: FileId) -> String {
    format!("{file}.sealed")
}

/// How what lies at a path lies there.
pub(crate) fn form_of(folder: &Path, path: &Path) -> Form {
    if path.parent() == Some(folder) { Form::Sealed } else { Form::Plain }
}

/// The beginning of a file, to judge its type.
pub(crate) fn head(path: &Path, cipher: &ChunkCipher) -> Result<Vec<u8>, SourceError> {
    let mut chunk = Vec::new();
    Source::open(path)?.read(Form::Sealed, cipher.geometry(), 0, &mut chunk)?;
    if !Form::Sealed.to_plain(cipher, 0, &mut chunk) {
        return Err(SourceError::Changed);
    }
    chunk.truncate(HEAD_BYTES);
    Ok(chunk)
}

/// Decrypts a copy to `target`, or the next name that is free, and says where that is. It is
/// held against the hash of the whole before it has its name.
pub(crate) fn copy_out(
    copy: &Path,
    cipher: &ChunkCipher,
    sha256: [u8; 32],
    target: &Path,
) -> Result<PathBuf, CopyError> {
    let mut source = Source::open(copy)?;
    let mut growing = Target::open(target, Form::Plain, cipher.file())?;
    if let Err(error) = decrypt(&mut source, cipher, sha256, &mut growing) {
        growing.discard();
        return Err(error);
    }
    Ok(growing.finish(target, cipher.geometry().size())?)
}

fn decrypt(source: &mut Source, cipher: &ChunkCipher, sha256: [u8; 32], growing: &mut Target) -> Result<(), CopyError> {
    let geometry = *cipher.geometry();
    let (mut hash, mut chunk, mut unsynced) = (RunningSha256::default(), Vec::new(), 0_u64);
    for index in 0..geometry.count() {
        source.read(Form::Sealed, &geometry, index, &mut chunk)?;
        if !Form::Sealed.to_plain(cipher, index, &mut chunk) {
            return Err(SourceError::Changed.into());
        }
        hash.update(&chunk);
        growing.write(&geometry, index, &chunk).map_err(TargetError::from)?;
        unsynced = unsynced.saturating_add(chunk.len() as u64);
        if unsynced >= SYNC_EVERY_BYTES {
            unsynced = 0;
            growing.sync().map_err(TargetError::NotTaken)?;
        }
    }
    if hash.finish() == sha256 { Ok(()) } else { Err(SourceError::Changed.into()) }
}
