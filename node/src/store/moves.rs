//! Folders of accounts that are exchanged, deleted, or were left half done; and
//! the small file beside the vault that counts wrong passwords.
//!
//! `X` is an account, `X.new` one that is being made, `X.old` one whose re-keyed
//! successor takes its place. Whoever works on a folder holds its lock.

use std::io;
use std::path::{Path, PathBuf};

use secure_chat_protocol::vault::{Argon2Params, VaultHeader};

use super::account::{AccountFile, Paths};
use super::copy::{Copy, Row};
use super::disk::{Disk, FileDisk};
use super::error::StoreError;
use super::vault::{StoreOptions, Vault, take_lock};

/// Folders that are looked at.
const FOLDERS_MAX: usize = 3_000;

/// Seals a whole vault anew under a fresh master key and fresh daily keys, and
/// exchanges the two. A crash leaves the old vault or the new one. Slow.
///
/// # Errors
/// Those of [`Vault::unlock`]. The old vault is still there then.
pub fn rekey(
    data_dir: &Path,
    account: &AccountFile,
    password: &str,
    kdf: Argon2Params,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    let disk = &*options.disk;
    let paths = Paths::new(data_dir, &account.account_id);
    let (aside, before) = (paths.aside("new"), paths.aside("old"));
    let old = StoreOptions { index_in_background: false, ..options.clone() };
    let old = Vault::unlock(data_dir, account, password, old)?;
    let turned_back = old.rolled_back();
    let mut copy: Option<Copy<'_>> = None;
    let copied = old.store.copy_rows(account, true, &mut |row| match (row, &mut copy) {
        (Row::Head(head), None) => {
            copy = Some(Copy::begin(disk, aside.clone(), head, password, kdf, turned_back)?);
            Ok(())
        }
        (Row::End, _) => Ok(()),
        (row, Some(copy)) => copy.row(row),
        _ => Err(StoreError::Damaged { what: "the account's database" }),
    });
    let copied = copied.and_then(|()| copy.map_or(Ok(()), Copy::finish));
    // Closed before its folder moves: on closing it writes into its files.
    drop(old);
    if let Err(error) = copied {
        let _ = disk.remove_dir(&aside.folder);
        return Err(error);
    }
    let lock = take_lock(disk, &paths)?;
    disk.move_dir(&paths.folder, &before.folder)?;
    disk.move_dir(&aside.folder, &paths.folder)?;
    erase(disk, &before)?;
    drop(lock);
    Ok(())
}

/// Overwrites the keys of a vault and deletes it.
fn erase(disk: &dyn Disk, paths: &Paths) -> Result<(), StoreError> {
    for (path, bytes) in [(&paths.header, VaultHeader::BYTES as u64), (&paths.slots, 0)] {
        let length = disk.len(path).unwrap_or(bytes);
        let zeros = vec![0; usize::try_from(length).unwrap_or_default().min(64 * 1024)];
        // A file that is missing holds no key.
        let _ = disk.overwrite(path, 0, &zeros);
    }
    Ok(disk.remove_dir(&paths.folder)?)
}

/// Deletes an account for good: first its keys, then everything.
///
/// # Errors
/// [`StoreError::InUse`], or those of the disk.
pub fn wipe(data_dir: &Path, account: &AccountFile, options: &StoreOptions) -> Result<(), StoreError> {
    let paths = Paths::new(data_dir, &account.account_id);
    let lock = take_lock(&*options.disk, &paths)?;
    erase(&*options.disk, &paths)?;
    drop(lock);
    Ok(())
}

/// Finishes or takes back what a crash left half done: exchanges of folders, and
/// accounts that were not completely made. Folders that somebody works on are left alone.
///
/// # Errors
/// [`StoreError::Io`] when the folders can't be read.
pub fn finish_moves(data_dir: &Path) -> Result<(), StoreError> {
    let folders = match std::fs::read_dir(data_dir.join("accounts")) {
        Ok(folders) => folders,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let folders: Vec<PathBuf> =
        folders.take(FOLDERS_MAX).filter_map(|folder| folder.ok().map(|folder| folder.path())).collect();
    // Those that lost their name first: they decide what becomes of the new ones.
    for folder in folders.iter().filter(|folder| ends_with(folder, "old")) {
        finish_exchange(folder);
    }
    for folder in folders.iter().filter(|folder| !ends_with(folder, "old")) {
        let finished = !ends_with(folder, "new") && folder.join("account.json").exists();
        if folder.is_dir() && !finished {
            remove_unlocked(folder);
        }
    }
    Ok(())
}

fn ends_with(folder: &Path, extension: &str) -> bool {
    folder.extension().is_some_and(|found| found == extension)
}

fn finish_exchange(old: &Path) {
    let (account, new) = (old.with_extension(""), old.with_extension("new"));
    let Ok(_lock) = FileDisk.lock(&old.join("lock")) else { return };
    if account.exists() {
        // The successor is in its place.
    } else if new.join("account.json").exists() {
        if FileDisk.move_dir(&new, &account).is_err() {
            return;
        }
    } else {
        // An error leaves everything for the next start.
        let _ = FileDisk.move_dir(old, &account);
        return;
    }
    let _ = erase(&FileDisk, &Paths::of_folder(old.to_owned()));
}

fn remove_unlocked(folder: &Path) {
    if let Ok(_lock) = FileDisk.lock(&folder.join("lock")) {
        // It is looked at again under the lock: its maker may have been about to finish.
        if ends_with(folder, "new") || !folder.join("account.json").exists() {
            let _ = FileDisk.remove_dir(folder);
        }
    }
}

fn attempts_path(data_dir: &Path, account: &AccountFile) -> PathBuf {
    Paths::new(data_dir, &account.account_id).folder.join("attempts")
}

/// What is kept of wrong passwords; nothing when there were none.
#[must_use]
pub fn read_attempts(data_dir: &Path, account: &AccountFile) -> Option<Vec<u8>> {
    match FileDisk.read(&attempts_path(data_dir, account)) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // It is there and can't be read: judged like one that was tampered with.
        Err(_) => Some(Vec::new()),
    }
}

/// Keeps what is to be kept of wrong passwords; without anything, forgets them.
///
/// # Errors
/// Those of the disk.
pub fn write_attempts(data_dir: &Path, account: &AccountFile, bytes: Option<&[u8]>) -> Result<(), StoreError> {
    let path = attempts_path(data_dir, account);
    match bytes {
        Some(bytes) => FileDisk.replace(&path, bytes)?,
        None => FileDisk.remove(&path)?,
    }
    Ok(())
}
