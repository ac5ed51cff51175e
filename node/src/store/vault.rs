//! An unlocked vault: what the engine holds.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use rand::CryptoRng;
use secure_chat_protocol::id::{AccountId, Epoch, Timestamp};
use secure_chat_protocol::vault::{Argon2Params, KeySlots, MasterKey, VaultHeader};

use super::account::{AccountFile, Paths, list_accounts};
use super::batch::{self, Batch};
use super::database::{self, Store, Writer};
use super::disk::{Disk, DiskLock, FileDisk};
use super::error::{DATABASE, StoreError};
use super::history::HistoryReader;
use super::index;
use super::indexer::Indexer;
use super::keyfile;
use super::keys::Keys;
use super::table::{Kind, Table};
use super::transaction::Txn;

/// How a vault is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// Where its files are. Tests take one that fails on purpose ([`super::fault`]).
    pub disk: Arc<dyn Disk>,
    /// A thread keeps the search index up with what arrives. Otherwise
    /// [`Vault::index_step`] does, when it is called.
    pub index_in_background: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { disk: Arc::new(FileDisk), index_in_background: true }
    }
}

/// An unlocked vault. Dropping it locks it.
pub struct Vault {
    pub(super) store: Arc<Store>,
    indexer: Option<Indexer>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Vault {
    /// Makes the vault of a new account and unlocks it. Slow: derives a key from the password.
    ///
    /// A crash in the middle leaves no account: the next attempt starts over. So does
    /// one before `first` was written, what the account can't be without.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name or the identity is taken on this
    /// device, [`StoreError::DiskFull`], [`StoreError::OutOfMemory`], or those of the disk.
    pub fn create<R: CryptoRng + ?Sized>(
        data_dir: &Path,
        username: &str,
        account_id: AccountId,
        password: &str,
        kdf: Argon2Params,
        options: StoreOptions,
        rng: &mut R,
    ) -> Result<Self, StoreError> {
        Self::create_with(data_dir, username, account_id, password, kdf, options, rng, |_| {})
    }

    /// As [`Self::create`], with what is written before the account counts as made.
    ///
    /// # Errors
    /// As [`Self::create`].
    #[expect(clippy::too_many_arguments, reason = "one more than `create`, which everybody else uses")]
    pub fn create_with<R: CryptoRng + ?Sized>(
        data_dir: &Path,
        username: &str,
        account_id: AccountId,
        password: &str,
        kdf: Argon2Params,
        options: StoreOptions,
        rng: &mut R,
        first: impl FnOnce(&mut Txn<'_>),
    ) -> Result<Self, StoreError> {
        let StoreOptions { disk, index_in_background } = options;
        let paths = Paths::new(data_dir, &account_id);
        let taken = |account: &AccountFile| account.username.to_lowercase() == username.to_lowercase();
        if paths.account(&*disk)?.is_some() || list_accounts(data_dir)?.iter().any(taken) {
            return Err(StoreError::Exists);
        }
        disk.make_dir(&paths.folder)?;
        let lock = take_lock(&*disk, &paths)?;
        let (header, master) = VaultHeader::create(password, kdf, rng)?;
        disk.replace(&paths.header, &header.to_bytes())?;
        disk.replace(&paths.slots, &keyfile::fresh(&master, &KeySlots::generate(now(), rng)))?;
        // Keys are derived twice here; the first ones only seal the empty state.
        let file = disk.read(&paths.slots)?;
        let slots = KeySlots::decode(&master, &file).map_err(|_| StoreError::Damaged { what: DATABASE })?;
        let keys = Keys::new(master, slots);
        database::create(&*disk, &paths, &keys)?;
        let mut vault = Self::open(disk, paths, keys, &file, false, lock)?;
        let mut txn = vault.begin();
        first(&mut txn);
        vault.commit(txn)?;
        let account = AccountFile { username: username.to_owned(), account_id };
        vault.store.disk.replace(&vault.store.paths.account, &account.to_json())?;
        vault.start_indexer(index_in_background);
        Ok(vault)
    }

    /// Unlocks a vault. Slow: derives a key from the password.
    ///
    /// # Errors
    /// [`StoreError::NoAccount`], [`StoreError::InUse`], [`StoreError::WrongPassword`],
    /// [`StoreError::Damaged`], [`StoreError::UnsupportedVersion`], [`StoreError::Tampered`],
    /// [`StoreError::DiskFull`], [`StoreError::OutOfMemory`], or those of the disk.
    pub fn unlock(
        data_dir: &Path,
        account: &AccountFile,
        password: &str,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let StoreOptions { disk, index_in_background } = options;
        let paths = Paths::new(data_dir, &account.account_id);
        if disk.len(&paths.account).is_err() {
            return Err(StoreError::NoAccount);
        }
        let lock = take_lock(&*disk, &paths)?;
        let missing = |_| StoreError::Damaged { what: "the account's key file" };
        let header = VaultHeader::parse(&disk.read(&paths.header).map_err(missing)?)?;
        let master = header.unlock(password)?;
        let mut vault = Self::open_with_master(disk, paths, master, lock)?;
        vault.start_indexer(index_in_background);
        Ok(vault)
    }

    fn start_indexer(&mut self, wanted: bool) {
        self.indexer = if wanted { Indexer::start(&self.store) } else { None };
        self.wake_indexer(&self.store.writer());
    }

    fn wake_indexer(&self, writer: &Writer) {
        if let Some(indexer) = self.indexer.as_ref().filter(|_| index::is_due(&writer.state)) {
            indexer.wake();
        }
    }

    /// The part of [`Self::unlock`] after the password.
    pub(super) fn open_with_master(
        disk: Arc<dyn Disk>,
        paths: Paths,
        master: MasterKey,
        lock: Box<dyn DiskLock>,
    ) -> Result<Self, StoreError> {
        let mut file = match disk.read(&paths.slots) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        // Without the daily key no ratchet row opens, but everything else does: sessions start anew.
        let (slots, lost) = match KeySlots::decode(&master, &file) {
            Ok(slots) => (slots, false),
            Err(_) => {
                let slots = KeySlots::generate(now(), &mut rand::rng());
                file = keyfile::fresh(&master, &slots);
                disk.replace(&paths.slots, &file)?;
                (slots, true)
            }
        };
        Self::open(disk, paths, Keys::new(master, slots), &file, lost, lock)
    }

    fn open(
        disk: Arc<dyn Disk>,
        paths: Paths,
        mut keys: Keys,
        key_file: &[u8],
        slots_lost: bool,
        lock: Box<dyn DiskLock>,
    ) -> Result<Self, StoreError> {
        let database = database::open(&*disk, &paths)?;
        let snapshot = redb::ReadableDatabase::begin_read(&database)?;
        let state = database::read_state(&snapshot, &keys)?;
        if let Some(indexes) = database::read_index_keys(&snapshot, &keys)?.map(zeroize::Zeroizing::new) {
            keys.use_index_keys(&indexes)?;
        }
        drop(snapshot);
        let mirror = keyfile::mirrored_epoch(&keys, key_file);
        let mirrored = mirror.map(|(epoch, _)| epoch);
        // A new vault's mirror is empty; later, an empty one means that somebody emptied it.
        let behind = slots_lost || mirrored.map_or(state.epoch > 1, |mirrored| state.epoch < mirrored);
        let vault = Self { store: Arc::new(Store::new(disk, paths, keys, database, state, lock)), indexer: None };
        let store = &vault.store;
        let mut writer = store.writer();
        writer.mirror_place = mirror.map_or(0, |(_, place)| place);
        writer.state.epoch = writer.state.epoch.max(mirrored.unwrap_or_default());
        let mut next = writer.state.clone();
        next.rolled_back |= behind;
        store.commit(&mut writer, next, &|txn| {
            if behind { batch::drop_lost_ratchets(txn, &store.keys) } else { Ok(()) }
        })?;
        store.mirror(&mut writer)?;
        if store.keys.is_rewriting() {
            store.finish_rotation(&mut writer)?;
        }
        drop(writer);
        Ok(vault)
    }

    /// Ends when the vault is closed: when nobody holds it any more, its keys are wiped and its
    /// files are closed.
    #[must_use]
    pub fn alive(&self) -> Weak<()> {
        Arc::downgrade(&self.store.alive)
    }

    /// Begins a transaction: pure memory until [`Self::commit`].
    #[must_use]
    pub fn begin(&self) -> Txn<'_> {
        Txn::new(&self.store)
    }

    /// Writes everything that `txn` staged, durably and at once.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::TooLarge`], [`StoreError::Stalled`], or those of the
    /// disk. Nothing is changed then.
    pub fn commit(&self, txn: Txn<'_>) -> Result<(), StoreError> {
        let staged = txn.into_staged();
        if staged.is_empty() {
            return Ok(());
        }
        let store = &self.store;
        let mut writer = store.writer();
        let batch = Batch::seal(&store.keys, &staged, writer.state.indexed_upto)?;
        let mut next = writer.state.clone();
        if let Some((last, _)) = staged.entries.last_key_value() {
            next.next_arrival = next.next_arrival.max(last.saturating_add(1));
        }
        next.rolled_back &= !staged.rollback_handled;
        store.commit(&mut writer, next, &|txn| batch.apply(txn))?;
        if let Some(touched) = &mut writer.touched {
            touched.extend(staged.entries.keys());
        }
        store.mirror_sometimes(&mut writer);
        self.wake_indexer(&writer);
        Ok(())
    }

    /// All values of a table: of a numbered one in the order of the numbers, of
    /// any other in no order. For small tables.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row was changed or moved, or those of the disk.
    pub fn scan(&self, table: Table) -> Result<Vec<Vec<u8>>, StoreError> {
        if table.kind() == Kind::Numbered {
            let rows = self.scan_from(table, 0, usize::MAX)?;
            return Ok(rows.into_iter().map(|(_, value)| value).collect());
        }
        self.store.with_read(|txn| {
            let rows = txn.open_table(table.keyed())?;
            let mut values = Vec::new();
            for row in rows.range::<&[u8; 16]>(..)? {
                let (key, row) = row?;
                values.extend(self.store.keys.open(table, key.value(), row.value())?);
            }
            Ok(values)
        })
    }

    /// Up to `limit` rows of a numbered table from number `from` on, in order.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row was changed or moved, or those of the disk.
    pub fn scan_from(&self, table: Table, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.store.with_read(|txn| {
            let rows = txn.open_table(table.numbered())?;
            let mut values = Vec::new();
            for row in rows.range(from..)?.take(limit) {
                let (number, row) = row?;
                let number = number.value();
                let value = self.store.keys.open(table, &number.to_be_bytes(), row.value())?;
                values.extend(value.map(|value| (number, value)));
            }
            Ok(values)
        })
    }

    /// The last number of a numbered table.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn last_number(&self, table: Table) -> Result<Option<u64>, StoreError> {
        self.store.with_read(|txn| {
            let rows = txn.open_table(table.numbered())?;
            let last = rows.range::<u64>(..)?.next_back().transpose()?;
            Ok(last.map(|(number, _)| number.value()))
        })
    }

    /// The lowest and the last number of a numbered table, and how many rows it has.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn numbered_span(&self, table: Table) -> Result<Option<(u64, u64, u64)>, StoreError> {
        self.store.with_read(|txn| {
            let rows = txn.open_table(table.numbered())?;
            let mut all = rows.range::<u64>(..)?;
            let Some(first) = all.next().transpose()?.map(|(number, _)| number.value()) else { return Ok(None) };
            let last = all.next_back().transpose()?.map_or(first, |(number, _)| number.value());
            Ok(Some((first, last, redb::ReadableTableMetadata::len(&rows)?)))
        })
    }

    /// What the key derivation of the password costs.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or those of the disk.
    pub fn kdf(&self) -> Result<Argon2Params, StoreError> {
        Ok(VaultHeader::parse(&self.store.disk.read(&self.store.paths.header)?)?.params())
    }

    /// Indexes what is due for the search, one segment of messages at most (some
    /// 50 ms), and says whether there is more to do. Commits go on meanwhile, but
    /// for the few milliseconds of its own. Only needed without
    /// [`StoreOptions::index_in_background`].
    ///
    /// # Errors
    /// Those of [`Self::commit`]. The search then looks through what is not indexed.
    pub fn index_step(&self) -> Result<bool, StoreError> {
        self.store.index_step()
    }

    /// Reads the history, from any thread.
    #[must_use]
    pub fn history(&self) -> HistoryReader {
        HistoryReader::new(&self.store)
    }

    /// Whether the vault was found older than it was known to be, such as an old
    /// copy put back in its place: sessions in it must not be used any more.
    /// Stays set until a transaction with [`Txn::rollback_handled`].
    #[must_use]
    pub fn rolled_back(&self) -> bool {
        self.store.writer().state.rolled_back
    }

    /// Grows with every commit. To be mirrored outside the device.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.store.writer().state.epoch)
    }

    /// Replaces the key of the ratchet rows when it is a day old at `now`, and
    /// rewrites them. Returns whether that happened. Not to be called while the
    /// clock is not believed.
    ///
    /// # Errors
    /// Those of [`Self::commit`]. The old key and rows are then still in use.
    pub fn rotate(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.store.rotate(now)
    }

    /// What the vault takes on the disk, in bytes.
    #[must_use]
    pub fn bytes_on_disk(&self) -> u64 {
        let Store { disk, paths, .. } = &*self.store;
        let files = [&paths.account, &paths.header, &paths.slots, &paths.database];
        files.into_iter().filter_map(|path| disk.len(path).ok()).sum()
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        // Without it, only copies from before the last unlock would be noticed.
        let _ = self.store.mirror(&mut self.store.writer());
        self.store.close();
    }
}

pub(super) fn take_lock(disk: &dyn Disk, paths: &Paths) -> Result<Box<dyn DiskLock>, StoreError> {
    disk.lock(&paths.lock).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StoreError::InUse,
        io::ErrorKind::NotFound => StoreError::NoAccount,
        _ => error.into(),
    })
}
