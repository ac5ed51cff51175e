//! What others may fetch from us, and who they are: written by the engine after
//! its commits, read by the tasks that serve.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use secure_chat_protocol::file::{ChunkCipher, Leaves};
use secure_chat_protocol::id::{AccountId, FileId};

/// A file that can be fetched.
pub(crate) struct Served {
    /// Encrypts it.
    pub(crate) cipher: ChunkCipher,
    /// Where it is read in place.
    pub(crate) path: PathBuf,
    /// The hashes of its chunks, once they were needed.
    pub(crate) leaves: OnceLock<Arc<Leaves>>,
    /// Who may have it.
    pub(crate) readers: HashSet<AccountId>,
}

#[derive(Default)]
struct Inner {
    files: HashMap<FileId, Arc<Served>>,
    /// Who may not have anything, though they are readers: blocked, removed, with changed keys.
    kept_out: HashSet<AccountId>,
}

/// All of them. Clones share one state.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<Inner>>);

impl Shelf {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Others may fetch this file from now on.
    pub(crate) fn put(&self, file: FileId, served: Served) {
        self.inner().files.insert(file, Arc::new(served));
    }

    /// Nobody may any more.
    pub(crate) fn remove(&self, file: &FileId) {
        self.inner().files.remove(file);
    }

    /// Whether somebody is to get nothing.
    pub(crate) fn keep_out(&self, account: AccountId, out: bool) {
        if out {
            self.inner().kept_out.insert(account);
        } else {
            self.inner().kept_out.remove(&account);
        }
    }

    /// The file, if this account may have it now. Asked again for every request, so
    /// that what was taken back stops in the middle.
    pub(crate) fn get(&self, file: &FileId, reader: &AccountId) -> Option<Arc<Served>> {
        let inner = self.inner();
        let served = inner.files.get(file)?;
        (served.readers.contains(reader) && !inner.kept_out.contains(reader)).then(|| Arc::clone(served))
    }
}
