//! The open database: reads on snapshots, one writer, and what happens after the disk failed.
//!
//! redb refuses everything after a failed write until it is opened anew. Doing
//! so also answers whether the commit that failed is on the disk after all: the
//! epoch, which grows with every commit, says so.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::{Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::account::Paths;
use super::disk::{Backend, Disk, DiskLock};
use super::error::{DATABASE, StoreError};
use super::keys::Keys;
use super::state::{SCHEMA, Segment, State};
use super::table::{INDEX_KEYS_ROW, SEGMENTS_ROW, STATE, STATE_ROW};

/// Memory that redb may use for pages, in bytes.
const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// Seals [`State`] and the list of segments; the schema itself stands inside.
const STATE_SCHEMA: u8 = 1;

/// Everything of an unlocked vault.
pub(super) struct Store {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) paths: Paths,
    pub(super) keys: Keys,
    pub(super) next_arrival: AtomicU64,
    /// One builder of the index at a time.
    pub(super) indexing: Mutex<()>,
    opened: RwLock<Opened>,
    writer: Mutex<Writer>,
    lock: Mutex<Option<Box<dyn DiskLock>>>,
    /// Goes last, when keys are wiped, the database is closed and the lock is given back.
    pub(super) alive: Arc<()>,
}

enum Opened {
    Open(Box<Database>),
    /// It could not be opened again yet.
    Failed,
    Locked,
}

/// What only the writer knows.
pub(super) struct Writer {
    /// As of the last commit.
    pub(super) state: State,
    /// The epoch of a commit that was reported as failed, and whose fate is not known.
    unsettled: Option<u64>,
    /// Messages changed while a segment that may hold them is being built.
    pub(super) touched: Option<BTreeSet<u64>>,
    /// The epoch in the key file.
    pub(super) mirrored: u64,
    /// Which of the mirror's two places has it.
    pub(super) mirror_place: u64,
}

/// Opens the database file, which has to be there.
pub(super) fn open(disk: &dyn Disk, paths: &Paths) -> Result<Database, StoreError> {
    let damaged = StoreError::Damaged { what: DATABASE };
    match disk.len(&paths.database) {
        Ok(0) => return Err(damaged),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(damaged),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let backend = Backend(disk.database(&paths.database, false)?);
    let build = || Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend);
    // redb returns errors for nearly every damage; for the rest, a panic must not take the program along.
    match catch_unwind(AssertUnwindSafe(build)) {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(damaged),
    }
}

/// Makes the database of a new vault.
pub(super) fn create(disk: &dyn Disk, paths: &Paths, keys: &Keys) -> Result<(), StoreError> {
    let backend = Backend(disk.database(&paths.database, true)?);
    let database = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend)?;
    write(&database, keys, &State::new(), &|txn| super::batch::create_tables(txn))
}

pub(super) type Apply<'a> = dyn Fn(&WriteTransaction) -> Result<(), StoreError> + 'a;

pub(super) fn write(database: &Database, keys: &Keys, state: &State, apply: &Apply<'_>) -> Result<(), StoreError> {
    let mut txn = database.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    // Two syncs instead of one, and no walk through the whole file after a kill.
    txn.set_quick_repair(true);
    apply(&txn)?;
    let row = keys.state.seal(&STATE_ROW.to_be_bytes(), STATE_SCHEMA, &state.encode(), &mut rand::rng());
    txn.open_table(STATE)?.insert(STATE_ROW, row.as_slice())?;
    Ok(txn.commit()?)
}

/// The counters as of a snapshot.
pub(super) fn read_state(txn: &ReadTransaction, keys: &Keys) -> Result<State, StoreError> {
    let row = read_own_row(txn, keys, STATE_ROW)?.ok_or(StoreError::Damaged { what: DATABASE })?;
    State::decode(&row)
}

/// The segments of the index as of a snapshot.
pub(super) fn read_segments(txn: &ReadTransaction, keys: &Keys) -> Result<Vec<Segment>, StoreError> {
    read_own_row(txn, keys, SEGMENTS_ROW)?.map_or(Ok(Vec::new()), |row| Segment::decode_all(&row))
}

/// Writes the list of segments.
pub(super) fn write_segments(txn: &WriteTransaction, keys: &Keys, segments: &[Segment]) -> Result<(), StoreError> {
    let plain = Segment::encode_all(segments);
    let row = keys.state.seal(&SEGMENTS_ROW.to_be_bytes(), STATE_SCHEMA, &plain, &mut rand::rng());
    txn.open_table(STATE)?.insert(SEGMENTS_ROW, row.as_slice())?;
    Ok(())
}

/// The keys that name rows, if the vault is a copy of another.
pub(super) fn read_index_keys(txn: &ReadTransaction, keys: &Keys) -> Result<Option<Vec<u8>>, StoreError> {
    read_own_row(txn, keys, INDEX_KEYS_ROW)
}

/// Keeps the keys that name rows.
pub(super) fn write_index_keys(txn: &WriteTransaction, keys: &Keys, plain: &[u8]) -> Result<(), StoreError> {
    let row = keys.state.seal(&INDEX_KEYS_ROW.to_be_bytes(), STATE_SCHEMA, plain, &mut rand::rng());
    txn.open_table(STATE)?.insert(INDEX_KEYS_ROW, row.as_slice())?;
    Ok(())
}

fn read_own_row(txn: &ReadTransaction, keys: &Keys, row: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let table = txn.open_table(STATE)?;
    let Some(sealed) = table.get(row)? else { return Ok(None) };
    let plain = keys.state.open(&row.to_be_bytes(), STATE_SCHEMA, sealed.value());
    let plain = plain.map_err(|_| StoreError::Damaged { what: DATABASE })?;
    Ok(Some(plain.expose().to_vec()))
}

enum Fate {
    /// The commit that failed left nothing.
    Undone,
    /// It is there, and durable.
    Done,
}

impl Store {
    /// Takes over an open database.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        paths: Paths,
        keys: Keys,
        database: Database,
        state: State,
        lock: Box<dyn DiskLock>,
    ) -> Self {
        debug_assert_eq!(SCHEMA, 1, "older schemas would have to be brought forward here");
        Self {
            disk,
            paths,
            keys,
            next_arrival: AtomicU64::new(state.next_arrival),
            indexing: Mutex::new(()),
            opened: RwLock::new(Opened::Open(Box::new(database))),
            writer: Mutex::new(Writer { state, unsettled: None, touched: None, mirrored: 0, mirror_place: 0 }),
            lock: Mutex::new(Some(lock)),
            alive: Arc::new(()),
        }
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Result<ReadTransaction, StoreError> {
        match &*self.opened.read().unwrap_or_else(PoisonError::into_inner) {
            Opened::Open(database) => Ok(database.begin_read()?),
            Opened::Failed => Err(StoreError::Stalled),
            Opened::Locked => Err(StoreError::Locked),
        }
    }

    /// A snapshot; the database is opened anew if the disk failed before.
    pub(super) fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        match self.snapshot() {
            Err(StoreError::Stalled) => {
                self.recover(&mut self.writer(), None)?;
                self.snapshot()
            }
            other => other,
        }
    }

    /// Reads from a snapshot; if the disk failed, once more after opening the database anew.
    pub(super) fn with_read<T>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.begin_read().and_then(|txn| read(&txn)) {
            Err(StoreError::Stalled) => {
                self.recover(&mut self.writer(), None)?;
                read(&self.snapshot()?)
            }
            other => other,
        }
    }

    /// One durable transaction. `next` is the state to be written with it; its epoch is set here.
    ///
    /// On an error nothing is changed.
    pub(super) fn commit(&self, writer: &mut Writer, mut next: State, apply: &Apply<'_>) -> Result<(), StoreError> {
        next.epoch = writer.state.epoch.saturating_add(1);
        let mut again = true;
        loop {
            let (tried, result) = match &*self.opened.read().unwrap_or_else(PoisonError::into_inner) {
                Opened::Open(database) => (Some(next.epoch), write(database, &self.keys, &next, apply)),
                Opened::Failed => (None, Err(StoreError::Stalled)),
                Opened::Locked => return Err(StoreError::Locked),
            };
            let Err(error) = result else { break };
            if !error.concerns_the_disk() {
                return Err(error);
            }
            match self.recover(writer, tried) {
                Ok(Fate::Done) => break,
                // It was an earlier failure that came to light now: this commit was not tried yet.
                Ok(Fate::Undone) if again && matches!(error, StoreError::Stalled) => again = false,
                Ok(Fate::Undone) => return Err(error),
                Err(_) => {
                    writer.unsettled = writer.unsettled.or(tried);
                    return Err(error);
                }
            }
        }
        writer.state = next;
        Ok(())
    }

    /// Opens the database anew, and finds out what became of the commit that was tried.
    fn recover(&self, writer: &mut Writer, tried: Option<u64>) -> Result<Fate, StoreError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*opened, Opened::Locked) {
            return Err(StoreError::Locked);
        }
        // Closes the old one first.
        *opened = Opened::Failed;
        let database = open(&*self.disk, &self.paths)?;
        let state = read_state(&database.begin_read()?, &self.keys)?;
        let found = Some(state.epoch);
        let fate = if state.epoch == writer.state.epoch {
            writer.unsettled = None;
            Fate::Undone
        } else if found == writer.unsettled {
            // Its caller was told that it failed: memory and disk disagree until the next unlock.
            return Err(StoreError::Stalled);
        } else if found == tried {
            // There, but perhaps not durable: a commit on top of it makes it so.
            write(&database, &self.keys, &state, &|_| Ok(()))?;
            Fate::Done
        } else {
            return Err(StoreError::Damaged { what: DATABASE });
        };
        *opened = Opened::Open(Box::new(database));
        Ok(fate)
    }

    /// Closes the database and lets others in. Later calls find it locked.
    pub(super) fn close(&self) {
        *self.opened.write().unwrap_or_else(PoisonError::into_inner) = Opened::Locked;
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
