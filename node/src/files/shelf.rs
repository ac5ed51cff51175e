//! What others may fetch from us, and who they are: written by the engine after
//! its commits, read by the tasks that serve.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use secure_chat_protocol::file::{ChunkCipher, Leaves};
use secure_chat_protocol::id::{AccountId, FileId, GroupId};

use super::form::Form;

/// A file that can be fetched.
pub(crate) struct Served {
    /// Encrypts it.
    pub(crate) cipher: ChunkCipher,
    /// Shared by this account: what it says of it is final.
    pub(crate) mine: bool,
    /// Where it is read in place.
    pub(crate) path: PathBuf,
    /// How it lies there.
    pub(crate) form: Form,
    /// The hashes of its chunks, once they were needed.
    pub(crate) leaves: OnceLock<Arc<Leaves>>,
    /// Who may have it.
    pub(crate) readers: Readers,
}

/// Who may have a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// One person, as long as one talks with them.
    Person(AccountId),
    /// Whoever is in the group when they ask.
    Members(GroupId),
}

#[derive(Default)]
struct Inner {
    files: HashMap<FileId, Arc<Served>>,
    /// Whom one does not talk with: removed, with changed keys.
    no_chat: HashSet<AccountId>,
    /// Who gets nothing at all.
    blocked: HashSet<AccountId>,
    members: HashMap<GroupId, HashSet<AccountId>>,
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

    /// How it stands with somebody.
    pub(crate) fn know(&self, account: AccountId, chats: bool, blocked: bool) {
        let mut inner = self.inner();
        if chats {
            inner.no_chat.remove(&account);
        } else {
            inner.no_chat.insert(account);
        }
        if blocked {
            inner.blocked.insert(account);
        } else {
            inner.blocked.remove(&account);
        }
    }

    /// Which groups one is in, and who else is now. Of others nothing is served.
    pub(crate) fn know_groups(&self, members: HashMap<GroupId, HashSet<AccountId>>) {
        self.inner().members = members;
    }

    /// The file, if this account may have it now. Asked again for every request, so
    /// that what was taken back stops in the middle.
    pub(crate) fn get(&self, file: &FileId, reader: &AccountId) -> Option<Arc<Served>> {
        let inner = self.inner();
        let served = inner.files.get(file)?;
        let may = match &served.readers {
            Readers::Person(account) => account == reader && !inner.no_chat.contains(reader),
            Readers::Members(group) => inner.members.get(group).is_some_and(|members| members.contains(reader)),
        };
        (may && !inner.blocked.contains(reader)).then(|| Arc::clone(served))
    }
}

#[cfg(test)]
mod tests {
    use secure_chat_protocol::file::{FileKey, Geometry};

    use super::*;

    const BOB: AccountId = AccountId([2; 32]);
    const CAROL: AccountId = AccountId([3; 32]);

    fn shelf(readers: Readers) -> (Shelf, FileId) {
        let (shelf, file) = (Shelf::default(), FileId([1; 32]));
        let cipher = ChunkCipher::new(FileKey::from_bytes([0; 32]), file, Geometry::for_size(1).unwrap());
        let leaves = OnceLock::new();
        shelf.put(file, Served { cipher, mine: true, path: "a".into(), form: Form::Plain, leaves, readers });
        (shelf, file)
    }

    #[test]
    fn only_the_one_it_is_for_gets_a_file_and_only_while_one_talks_with_them() {
        let (shelf, file) = shelf(Readers::Person(BOB));
        assert!(shelf.get(&file, &BOB).is_some() && shelf.get(&file, &CAROL).is_none());
        shelf.know(BOB, false, false);
        assert!(shelf.get(&file, &BOB).is_none());
        shelf.know(BOB, true, false);
        assert!(shelf.get(&file, &BOB).is_some());
        shelf.remove(&file);
        assert!(shelf.get(&file, &BOB).is_none());
    }

    #[test]
    fn who_was_removed_from_a_group_or_is_blocked_gets_nothing_of_it() {
        let group = GroupId([9; 32]);
        let (shelf, file) = shelf(Readers::Members(group));
        assert!(shelf.get(&file, &BOB).is_none(), "nobody is known to be in it yet");
        shelf.know_groups([(group, [BOB, CAROL].into())].into());
        shelf.know(BOB, false, false);
        shelf.know(CAROL, false, true);
        assert!(shelf.get(&file, &BOB).is_some() && shelf.get(&file, &CAROL).is_none());
        shelf.know_groups([(group, [CAROL].into())].into());
        assert!(shelf.get(&file, &BOB).is_none());
    }

    #[test]
    fn a_group_that_one_left_gets_nothing_more() {
        let group = GroupId([9; 32]);
        let (shelf, file) = shelf(Readers::Members(group));
        shelf.know_groups([(group, [BOB].into())].into());
        assert!(shelf.get(&file, &BOB).is_some());
        shelf.know_groups(HashMap::new());
        assert!(shelf.get(&file, &BOB).is_none());
    }
}
