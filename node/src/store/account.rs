//! Where an account's files are, and which accounts there are: all that can be
//! known while everything is locked.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secure_chat_protocol::id::AccountId;
use serde::{Deserialize, Serialize};

use super::disk::{Disk, FileDisk};
use super::error::StoreError;

/// Accounts that are listed at most: more folders are not looked at.
const ACCOUNTS_MAX: usize = 1_000;
/// Digits of the account id that name its folder.
const FOLDER_DIGITS: usize = 16;

/// An account on this device, readable while it is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountFile {
    /// Its username.
    pub username: String,
    /// Whose it is.
    pub account_id: AccountId,
}

#[derive(Serialize, Deserialize)]
struct AccountJson {
    username: String,
    account_id: String,
}

impl AccountFile {
    pub(super) fn to_json(&self) -> Vec<u8> {
        let json = AccountJson { username: self.username.clone(), account_id: self.account_id.to_string() };
        serde_json::to_vec_pretty(&json).unwrap_or_default()
    }

    fn from_json(bytes: &[u8]) -> Option<Self> {
        let json: AccountJson = serde_json::from_slice(bytes).ok()?;
        Some(Self { username: json.username, account_id: AccountId::from_str(&json.account_id).ok()? })
    }
}

/// The files of one account.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub(super) folder: PathBuf,
    pub(super) account: PathBuf,
    pub(super) header: PathBuf,
    pub(super) slots: PathBuf,
    pub(super) database: PathBuf,
    pub(super) lock: PathBuf,
}

impl Paths {
    pub(super) fn new(data_dir: &Path, account: &AccountId) -> Self {
        let digits = account.to_string();
        Self::of_folder(data_dir.join("accounts").join(digits.get(..FOLDER_DIGITS).unwrap_or_default()))
    }

    /// The same files in a folder beside, whose name ends otherwise.
    pub(super) fn aside(&self, extension: &str) -> Self {
        Self::of_folder(self.folder.with_extension(extension))
    }

    pub(super) fn of_folder(folder: PathBuf) -> Self {
        Self {
            account: folder.join("account.json"),
            header: folder.join("vault.key"),
            slots: folder.join("slots.key"),
            database: folder.join("state.redb"),
            lock: folder.join("lock"),
            folder,
        }
    }

    /// The account that stands here, if its folder is complete.
    pub(super) fn account(&self, disk: &dyn Disk) -> Result<Option<AccountFile>, StoreError> {
        match disk.read(&self.account) {
            Ok(bytes) => Ok(AccountFile::from_json(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The accounts of this device, by name. A folder that was not finished, or
/// whose `account.json` can't be read, is left out.
///
/// # Errors
/// [`StoreError::Io`] when the folder can't be read.
pub fn list_accounts(data_dir: &Path) -> Result<Vec<AccountFile>, StoreError> {
    let folders = match std::fs::read_dir(data_dir.join("accounts")) {
        Ok(folders) => folders,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut accounts = Vec::new();
    for folder in folders.take(ACCOUNTS_MAX) {
        let folder = folder?.path();
        // One that is being made, or exchanged for another.
        if folder.extension().is_some() {
            continue;
        }
        let Ok(bytes) = FileDisk.read(&folder.join("account.json")) else { continue };
        accounts.extend(AccountFile::from_json(&bytes));
    }
    accounts.sort_by_key(|account| account.username.to_lowercase());
    Ok(accounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_listed_once_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(list_accounts(dir.path()).unwrap(), []);
        let alice = AccountFile { username: "alice".into(), account_id: AccountId([7; 32]) };
        let paths = Paths::new(dir.path(), &alice.account_id);
        FileDisk.make_dir(&paths.folder).unwrap();
        assert_eq!(list_accounts(dir.path()).unwrap(), []);
        FileDisk.replace(&paths.account, &alice.to_json()).unwrap();
        assert_eq!(list_accounts(dir.path()).unwrap(), [alice]);
    }
}
