//! The state in one `redb` file: one writer thread with group commit, reads on worker threads.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use redb::{
    Builder, Database, DatabaseError, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition,
};

use crate::limits::{STORE_CACHE_BYTES, WORKER_THREADS};
use crate::operation::{Change, Moment, Query, Rules};
use crate::rows::{Read, StoreError, Table, Totals, Visit, get_row, lived_ms};
use crate::store::fence::{Fence, FencedFile};
use crate::store::workers::Workers;
use crate::store::writer::{self, Waiting};
use crate::store::{Reply, Store};

/// The format of the database that this version writes: 2 has groups, logs and blobs.
const FORMAT: u32 = 2;
/// The oldest that it reads. What 2 added is empty in one of format 1, and nothing else changed.
const FORMAT_OLDEST: u32 = 1;
const FORMAT_KEY: &[u8] = b"format";

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The engine's tables. Rows of one mailbox, log or blob lie side by side in one of them, whatever their kind:
/// a deposit then touches one or two pages, and not one in each of four trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Tree {
    Names,
    Records,
    PreKeys,
    Kits,
    KitIds,
    Boxes,
    Expiry,
    Node,
    Listings,
    ListingNames,
    ListingOwners,
    Logs,
    Blobs,
    BlobPayers,
}

/// Every tree, in the order of its number.
pub(super) const TREES: [Tree; 14] = [
    Tree::Names,
    Tree::Records,
    Tree::PreKeys,
    Tree::Kits,
    Tree::KitIds,
    Tree::Boxes,
    Tree::Expiry,
    Tree::Node,
    Tree::Listings,
    Tree::ListingNames,
    Tree::ListingOwners,
    Tree::Logs,
    Tree::Blobs,
    Tree::BlobPayers,
];

/// Where the kind of a mailbox's row stands in its key: behind the mailbox.
const KIND_AT: usize = 32;

/// The tree of a table, and the kind of its rows there.
pub(super) const fn tree(table: Table) -> (Tree, Option<u8>) {
    match table {
        Table::Names => (Tree::Names, None),
        Table::Records => (Tree::Records, None),
        Table::PreKeys => (Tree::PreKeys, None),
        Table::Kits => (Tree::Kits, None),
        Table::KitIds => (Tree::KitIds, None),
        Table::Mailboxes => (Tree::Boxes, Some(0)),
        Table::Seen => (Tree::Boxes, Some(1)),
        Table::Envelopes => (Tree::Boxes, Some(2)),
        Table::Tokens => (Tree::Boxes, Some(3)),
        Table::Expiry => (Tree::Expiry, None),
        Table::Node => (Tree::Node, None),
        Table::Listings => (Tree::Listings, None),
        Table::ListingNames => (Tree::ListingNames, None),
        Table::ListingOwners => (Tree::ListingOwners, None),
        Table::Logs => (Tree::Logs, Some(0)),
        Table::LogSeen => (Tree::Logs, Some(1)),
        Table::LogEntries => (Tree::Logs, Some(2)),
        Table::Blobs => (Tree::Blobs, Some(0)),
        Table::BlobReceipts => (Tree::Blobs, Some(1)),
        Table::BlobPayers => (Tree::BlobPayers, None),
    }
}

/// The engine's name of a tree.
pub(super) fn definition(tree: Tree) -> Definition {
    TableDefinition::new(match tree {
        Tree::Names => "names",
        Tree::Records => "records",
        Tree::PreKeys => "prekeys",
        Tree::Kits => "kits",
        Tree::KitIds => "kit_ids",
        Tree::Boxes => "boxes",
        Tree::Expiry => "expiry",
        Tree::Node => "node",
        Tree::Listings => "listings",
        Tree::ListingNames => "listing_names",
        Tree::ListingOwners => "listing_owners",
        Tree::Logs => "logs",
        Tree::Blobs => "blobs",
        Tree::BlobPayers => "blob_payers",
    })
}

/// The key of a row in its tree.
pub(super) fn tree_key(kind: Option<u8>, key: &[u8]) -> Cow<'_, [u8]> {
    match (kind, key.split_at_checked(KIND_AT)) {
        (Some(kind), Some((mailbox, rest))) => Cow::Owned([mailbox, &[kind], rest].concat()),
        _ => Cow::Borrowed(key),
    }
}

/// The key of a row in its table.
fn table_key(kind: Option<u8>, key: &[u8]) -> Cow<'_, [u8]> {
    match (kind, key.split_at_checked(KIND_AT)) {
        (Some(_), Some((mailbox, [_, rest @ ..]))) => Cow::Owned([mailbox, rest].concat()),
        _ => Cow::Borrowed(key),
    }
}

/// What the writer and the readers share.
pub(super) struct Shared {
    database: RwLock<Option<Arc<Database>>>,
    path: PathBuf,
    pub(super) fence: Fence,
    healthy: AtomicBool,
    pub(super) batches: AtomicU64,
}

impl Shared {
    /// The open database.
    pub(super) fn database(&self) -> Result<Arc<Database>, StoreError> {
        self.database.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreError::Closed)
    }

    pub(super) fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
    }

    /// Opens the database anew when an error of the disk has broken it. Readers that are under way
    /// keep the old one open; the next change tries again.
    pub(super) fn reopen_if_broken(&self) -> Result<(), StoreError> {
        let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = slot.take() {
            let works = database.begin_write().and_then(|transaction| Ok(transaction.abort()?)).is_ok();
            if works || Arc::strong_count(&database) > 1 {
                *slot = Some(database);
                return if works { Ok(()) } else { Err(StoreError::Io("the database must be opened anew".to_owned())) };
            }
        }
        *slot = Some(Arc::new(open_database(&self.path, &self.fence)?));
        Ok(())
    }
}

fn open_database(path: &Path, fence: &Fence) -> Result<Database, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|e| io_error(&e))?;
    let backend = FencedFile::new(file, fence.clone()).map_err(database_error)?;
    Builder::new().set_cache_size(STORE_CACHE_BYTES).create_with_backend(backend).map_err(database_error)
}

fn database_error(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse,
        DatabaseError::UpgradeRequired(found) => {
            StoreError::Damaged(format!("the file has an old format of the storage engine ({found})"))
        }
        DatabaseError::Storage(error) => storage_error(&error.into()),
        other => StoreError::Damaged(other.to_string()),
    }
}

fn io_error(error: &io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::StorageFull { StoreError::DiskFull } else { StoreError::Io(error.to_string()) }
}

/// Says in our words what the engine reported.
pub(super) fn storage_error(error: &redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) => io_error(error),
        redb::Error::Corrupted(what) => StoreError::Damaged(what.clone()),
        redb::Error::DatabaseClosed => StoreError::Closed,
        other => StoreError::Io(other.to_string()),
    }
}

/// Reads a row.
pub(super) fn get_from(
    tree: &impl ReadableTable<&'static [u8], &'static [u8]>,
    kind: Option<u8>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let found = tree.get(&*tree_key(kind, key)).map_err(|e: StorageError| storage_error(&e.into()))?;
    Ok(found.map(|value| value.value().to_vec()))
}

/// Visits a range of rows.
pub(super) fn range_of(
    tree: &impl ReadableTable<&'static [u8], &'static [u8]>,
    kind: Option<u8>,
    first: &[u8],
    last: &[u8],
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    let (first, last) = (tree_key(kind, first), tree_key(kind, last));
    for row in tree.range(&*first..=&*last).map_err(|e| storage_error(&e.into()))? {
        let (key, value) = row.map_err(|e| storage_error(&e.into()))?;
        if visit(&table_key(kind, key.value()), value.value()).is_break() {
            break;
        }
    }
    Ok(())
}

struct Snapshot(ReadTransaction);

impl Snapshot {
    fn open(&self, tree: Tree) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, StoreError> {
        self.0.open_table(definition(tree)).map_err(|e| storage_error(&e.into()))
    }
}

impl Read for Snapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let (tree, kind) = tree(table);
        get_from(&self.open(tree)?, kind, key)
    }

    fn range(&self, table: Table, first: &[u8], last: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let (tree, kind) = tree(table);
        range_of(&self.open(tree)?, kind, first, last, visit)
    }
}

/// The state in one `redb` file.
pub struct RedbStore {
    shared: Arc<Shared>,
    queue: Mutex<Option<Sender<Waiting>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    readers: Workers,
}

/// What an opened store says of its past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// How long the node had run when that was last noted, in milliseconds.
    pub lived_ms: u64,
    /// What it holds.
    pub totals: Totals,
}

impl RedbStore {
    /// Opens the database at `path`, and makes it when it is not there.
    ///
    /// # Errors
    /// [`StoreError`]: in use, damaged, made by a newer version, or the disk fails.
    pub fn open(path: &Path, rules: Rules) -> Result<(Self, Past), StoreError> {
        let fence = Fence::default();
        let database = open_database(path, &fence)?;
        let past = prepare(&database)?;
        let shared = Arc::new(Shared {
            database: RwLock::new(Some(Arc::new(database))),
            path: path.to_owned(),
            fence,
            healthy: AtomicBool::new(true),
            batches: AtomicU64::new(0),
        });
        let (queue, waiting) = channel();
        let for_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("rendezvous-writer".to_owned())
            .spawn(move || writer::run(&for_writer, &rules, &waiting))
            .map_err(|e| io_error(&e))?;
        let readers = Workers::start("rendezvous-reader", WORKER_THREADS).map_err(|e| io_error(&e))?;
        Ok((Self { shared, queue: Mutex::new(Some(queue)), writer: Mutex::new(Some(writer)), readers }, past))
    }

    /// From now on nothing reaches the disk; [`Store::cut`] ends the threads.
    pub fn fence(&self) {
        self.shared.fence.raise();
    }

    /// How many commits were made, for measurements.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.batches.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
        self.readers.stop();
        self.shared.database.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Makes the tables of a new database, checks the format of an old one.
fn prepare(database: &Database) -> Result<Past, StoreError> {
    let mut transaction = database.begin_write().map_err(|e| storage_error(&e.into()))?;
    transaction.set_quick_repair(true);
    for tree in TREES {
        transaction.open_table(definition(tree)).map_err(|e| storage_error(&e.into()))?;
    }
    {
        let mut node = transaction.open_table(definition(Tree::Node)).map_err(|e| storage_error(&e.into()))?;
        let found = node.get(FORMAT_KEY).map_err(|e| storage_error(&e.into()))?.map(|value| value.value().to_vec());
        if let Some(bytes) = found {
            check_format(&bytes)?;
        }
        // From here on an older program refuses it.
        node.insert(FORMAT_KEY, FORMAT.to_be_bytes().as_slice()).map_err(|e| storage_error(&e.into()))?;
    }
    transaction.commit().map_err(|e| storage_error(&e.into()))?;
    let snapshot = Snapshot(database.begin_read().map_err(|e| storage_error(&e.into()))?);
    Ok(Past { lived_ms: lived_ms(&snapshot)?, totals: Totals::load(&snapshot)? })
}

fn check_format(bytes: &[u8]) -> Result<(), StoreError> {
    let found = bytes.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
    match found {
        Some(FORMAT_OLDEST..=FORMAT) => Ok(()),
        Some(found) => Err(StoreError::UnsupportedVersion { found, known: FORMAT }),
        None => Err(StoreError::Damaged("the format of the database".to_owned())),
    }
}

impl Store for RedbStore {
    fn change(&self, change: Change, at: Moment, reply: Reply) {
        let waiting = Waiting { change, at, reply };
        let refused = match self.queue.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(queue) => queue.send(waiting).err().map(|e| e.0),
            None => Some(waiting),
        };
        if let Some(waiting) = refused {
            (waiting.reply)(Err(StoreError::Closed));
        }
    }

    fn query(&self, query: Query, reply: Reply) {
        let shared = Arc::clone(&self.shared);
        self.readers.run(Box::new(move || {
            let snapshot = shared
                .database()
                .and_then(|database| database.begin_read().map(Snapshot).map_err(|e| storage_error(&e.into())));
            reply(snapshot.and_then(|snapshot| query.run(&snapshot)));
        }));
    }

    fn healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed)
    }

    fn close(&self) {
        self.end();
    }

    fn cut(&self) {
        self.shared.fence.raise();
        self.end();
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads a row through a snapshot of its own: for tests and measurements.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn read_totals(store: &RedbStore) -> Result<Totals, StoreError> {
    let database = store.shared.database()?;
    let snapshot = Snapshot(database.begin_read().map_err(|e| storage_error(&e.into()))?);
    Ok(get_row(&snapshot, Table::Node, b"totals")?.unwrap_or_default())
}

#[cfg(test)]
#[path = "redb_tests.rs"]
mod tests;
