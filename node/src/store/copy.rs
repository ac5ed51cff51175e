//! A whole vault as a stream of rows, and a vault made from one: what the
//! re-key, the backup and the restore stand on.
//!
//! Rows of keyed tables are named by a keyed hash of an id that is stored nowhere, so a
//! copy keeps the keys of those hashes (and nothing else of the old keys).

use redb::ReadTransaction;
use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::vault::{Argon2Params, KeySlots, MasterKey, VaultHeader};
use zeroize::Zeroizing;

use super::account::{AccountFile, Paths};
use super::batch::Batch;
use super::database::{self, Store};
use super::disk::Disk;
use super::entry::Stored;
use super::error::StoreError;
use super::history;
use super::keyfile;
use super::keys::Keys;
use super::state::{Fields, State};
use super::table::{BODIES, Kind, Table};
use super::vault::{Vault, now, take_lock};

/// The layout of the stream.
const STREAM_VERSION: u8 = 1;
const HEAD: u8 = 0;
const KEYED: u8 = 1;
const NUMBERED: u8 = 2;
const MESSAGE: u8 = 3;
const END: u8 = 4;
/// Stands for a row that goes on no day.
const NEVER: u32 = u32::MAX;
/// Bytes of rows that one commit of a copy takes.
const COMMIT_BYTES: usize = 1024 * 1024;
/// Longest row of the stream, in bytes.
pub(super) const ROW_MAX_BYTES: usize = super::batch::VALUE_MAX_BYTES + 4 * 1024;

/// What a copy begins with.
pub(super) struct Head {
    pub(super) account: AccountFile,
    epoch: u64,
    next_arrival: u64,
    /// The keys of the hashes that name rows.
    indexes: Zeroizing<Vec<u8>>,
}

/// One row of the stream.
pub(super) enum Row {
    Head(Head),
    Keyed { table: Table, record_key: [u8; 16], day: Option<u32>, value: Zeroizing<Vec<u8>> },
    Numbered { table: Table, number: u64, value: Zeroizing<Vec<u8>> },
    Message(Stored),
    End,
}

fn table(number: u8) -> Result<Table, StoreError> {
    Table::ALL.get(usize::from(number)).copied().ok_or(StoreError::Damaged { what: "the backup" })
}

impl Row {
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(256));
        match self {
            Self::Head(head) => {
                out.extend_from_slice(&[HEAD, STREAM_VERSION]);
                out.extend_from_slice(head.account.account_id.as_ref());
                out.extend_from_slice(&head.epoch.to_le_bytes());
                out.extend_from_slice(&head.next_arrival.to_le_bytes());
                out.extend_from_slice(&u32::try_from(head.indexes.len()).unwrap_or_default().to_le_bytes());
                out.extend_from_slice(&head.indexes);
                out.extend_from_slice(head.account.username.as_bytes());
            }
            Self::Keyed { table, record_key, day, value } => {
                out.extend_from_slice(&[KEYED, *table as u8]);
                out.extend_from_slice(record_key);
                out.extend_from_slice(&day.unwrap_or(NEVER).to_le_bytes());
                out.extend_from_slice(value);
            }
            Self::Numbered { table, number, value } => {
                out.extend_from_slice(&[NUMBERED, *table as u8]);
                out.extend_from_slice(&number.to_le_bytes());
                out.extend_from_slice(value);
            }
            Self::Message(stored) => {
                out.push(MESSAGE);
                out.extend_from_slice(&stored.entry.arrival.to_le_bytes());
                out.extend_from_slice(&Zeroizing::new(stored.encode()));
            }
            Self::End => out.push(END),
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged { what: "the backup" };
        let mut fields = Fields(bytes);
        let [kind] = fields.take()?;
        let value = |fields: &Fields<'_>| Zeroizing::new(fields.0.to_vec());
        match kind {
            HEAD => {
                let [version] = fields.take()?;
                if version != STREAM_VERSION {
                    return Err(StoreError::UnsupportedVersion { found: u32::from(version) });
                }
                let account_id = AccountId(fields.take()?);
                let (epoch, next_arrival) = (u64::from_le_bytes(fields.take()?), u64::from_le_bytes(fields.take()?));
                let length = usize::try_from(u32::from_le_bytes(fields.take()?)).map_err(|_| damaged())?;
                let indexes = Zeroizing::new(fields.take_slice(length)?.to_vec());
                let username = String::from_utf8(fields.0.to_vec()).map_err(|_| damaged())?;
                Ok(Self::Head(Head { account: AccountFile { username, account_id }, epoch, next_arrival, indexes }))
            }
            KEYED => {
                let [number] = fields.take()?;
                let table = table(number)?;
                let record_key = fields.take()?;
                let day = Some(u32::from_le_bytes(fields.take()?)).filter(|day| *day != NEVER);
                if table.kind() == Kind::Numbered {
                    return Err(damaged());
                }
                Ok(Self::Keyed { table, record_key, day, value: value(&fields) })
            }
            NUMBERED => {
                let [number] = fields.take()?;
                let table = table(number)?;
                if table.kind() != Kind::Numbered {
                    return Err(damaged());
                }
                Ok(Self::Numbered { table, number: u64::from_le_bytes(fields.take()?), value: value(&fields) })
            }
            MESSAGE => {
                let arrival = u64::from_le_bytes(fields.take()?);
                Ok(Self::Message(Stored::decode(arrival, fields.0)?))
            }
            END => Ok(Self::End),
            _ => Err(damaged()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Keyed { value, .. } | Self::Numbered { value, .. } => value.len().saturating_add(64),
            Self::Message(stored) => stored.entry.body.len().saturating_add(256),
            Self::Head(_) | Self::End => 64,
        }
    }
}

type Take<'a> = dyn FnMut(Row) -> Result<(), StoreError> + 'a;

impl Store {
    /// Hands out every row of one moment's vault; `ratchets` says whether those of sessions too.
    pub(super) fn copy_rows(
        &self,
        account: &AccountFile,
        ratchets: bool,
        take: &mut Take<'_>,
    ) -> Result<(), StoreError> {
        let (txn, state) = {
            let writer = self.writer();
            (self.begin_read()?, writer.state.clone())
        };
        take(Row::Head(Head {
            account: account.clone(),
            epoch: state.epoch,
            next_arrival: state.next_arrival,
            indexes: self.keys.index_keys(),
        }))?;
        for table in Table::ALL {
            match table.kind() {
                Kind::Ratchet if !ratchets => {}
                Kind::Numbered => self.copy_numbered(&txn, table, take)?,
                _ => self.copy_keyed(&txn, table, take)?,
            }
        }
        let bodies = txn.open_table(BODIES)?;
        for row in bodies.range::<u64>(..)? {
            let (arrival, row) = row?;
            take(Row::Message(history::open_entry(&self.keys, arrival.value(), row.value())?))?;
        }
        take(Row::End)
    }

    fn copy_numbered(&self, txn: &ReadTransaction, table: Table, take: &mut Take<'_>) -> Result<(), StoreError> {
        for row in txn.open_table(table.numbered())?.range::<u64>(..)? {
            let (number, row) = row?;
            let number = number.value();
            // What was damaged on the disk stays behind; the audit log's own check tells of it.
            match self.keys.open(table, &number.to_be_bytes(), row.value()) {
                Ok(Some(value)) => take(Row::Numbered { table, number, value: Zeroizing::new(value) })?,
                Ok(None) | Err(StoreError::Damaged { .. }) if table == Table::Audit => {}
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn copy_keyed(&self, txn: &ReadTransaction, table: Table, take: &mut Take<'_>) -> Result<(), StoreError> {
        for row in txn.open_table(table.keyed())?.range::<&[u8; 16]>(..)? {
            let (key, row) = row?;
            let record_key = *key.value();
            let day = if table.kind() == Kind::Expiring { Keys::day(row.value()) } else { None };
            if let Some(value) = self.keys.open(table, &record_key, row.value())? {
                take(Row::Keyed { table, record_key, day, value: Zeroizing::new(value) })?;
            }
        }
        Ok(())
    }
}

/// A vault that is being made from rows, in a folder that is none of an account's yet.
pub(super) struct Copy<'d> {
    disk: &'d dyn Disk,
    paths: Paths,
    database: redb::Database,
    keys: Keys,
    state: State,
    account: AccountFile,
    rows: Vec<Row>,
    bytes: usize,
    _lock: Box<dyn super::disk::DiskLock>,
}

impl<'d> Copy<'d> {
    /// Begins: makes the keys and the empty database. `turned_back`: sessions must not go on.
    pub(super) fn begin(
        disk: &'d dyn Disk,
        paths: Paths,
        head: Head,
        password: &str,
        kdf: Argon2Params,
        turned_back: bool,
    ) -> Result<Self, StoreError> {
        disk.remove_dir(&paths.folder)?;
        disk.make_dir(&paths.folder)?;
        let lock = take_lock(disk, &paths)?;
        let (header, master) = VaultHeader::create(password, kdf, &mut rand::rng())?;
        disk.replace(&paths.header, &header.to_bytes())?;
        let slots = KeySlots::generate(now(), &mut rand::rng());
        disk.replace(&paths.slots, &keyfile::fresh(&master, &slots))?;
        let mut keys = Keys::new(master, slots);
        database::create(disk, &paths, &keys)?;
        let database = database::open(disk, &paths)?;
        keys.use_index_keys(&head.indexes)?;
        let state = State {
            epoch: head.epoch.saturating_add(1),
            next_arrival: head.next_arrival,
            rolled_back: turned_back,
            ..State::new()
        };
        let mut copy =
            Self { disk, paths, database, keys, state, account: head.account, rows: Vec::new(), bytes: 0, _lock: lock };
        let indexes = head.indexes;
        copy.commit(&|txn, keys| database::write_index_keys(txn, keys, &indexes))?;
        Ok(copy)
    }

    fn commit(
        &mut self,
        apply: &dyn Fn(&redb::WriteTransaction, &Keys) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.state.epoch = self.state.epoch.saturating_add(1);
        let keys = &self.keys;
        database::write(&self.database, keys, &self.state, &|txn| apply(txn, keys))
    }

    /// Takes a row; writes them in portions.
    pub(super) fn row(&mut self, row: Row) -> Result<(), StoreError> {
        self.bytes = self.bytes.saturating_add(row.bytes());
        self.rows.push(row);
        if self.bytes >= COMMIT_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let last = rows
            .iter()
            .filter_map(|row| if let Row::Message(stored) = row { Some(stored.entry.arrival) } else { None });
        self.state.next_arrival = last.max().map_or(0, |last| last.saturating_add(1)).max(self.state.next_arrival);
        let batch = Batch::copied(&self.keys, &rows)?;
        self.commit(&|txn, _| batch.apply(txn))
    }

    /// Everything is there: names the account, so that the folder counts.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        self.flush()?;
        self.disk.replace(&self.paths.account, &self.account.to_json())?;
        Ok(())
    }
}

impl Vault {
    /// What the vault says whose it is.
    pub(super) fn account_file(&self) -> Result<AccountFile, StoreError> {
        let Store { disk, paths, .. } = &*self.store;
        paths.account(&**disk)?.ok_or(StoreError::Damaged { what: "the account's file" })
    }

    /// Whether this is the password. Slow: derives a key.
    ///
    /// # Errors
    /// [`StoreError::WrongPassword`], [`StoreError::Damaged`], [`StoreError::OutOfMemory`], or those of the disk.
    pub fn check_password(&self, password: &str) -> Result<(), StoreError> {
        self.master_of(password).map(drop)
    }

    fn master_of(&self, password: &str) -> Result<(VaultHeader, MasterKey), StoreError> {
        let header = VaultHeader::parse(&self.store.disk.read(&self.store.paths.header)?)?;
        let master = header.unlock(password)?;
        Ok((header, master))
    }

    /// Wraps the master key under another password. Slow: derives two keys. A
    /// crash leaves the old password or the new one.
    ///
    /// # Errors
    /// As [`Self::check_password`], and [`StoreError::PasswordTooLong`].
    pub fn change_password(&self, old: &str, new: &str) -> Result<(), StoreError> {
        let (header, master) = self.master_of(old)?;
        let changed = header.rewrap(&master, new, &mut rand::rng())?;
        self.store.disk.replace(&self.store.paths.header, &changed.to_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back_and_cut_ones_are_refused() {
        let row = Row::Keyed {
            table: Table::Seen,
            record_key: [7; 16],
            day: Some(9),
            value: Zeroizing::new(b"value".to_vec()),
        };
        let bytes = row.encode();
        let Ok(Row::Keyed { table: Table::Seen, record_key, day: Some(9), value }) = Row::decode(&bytes) else {
            panic!("another row came back");
        };
        assert_eq!((record_key, value.as_slice()), ([7; 16], b"value".as_slice()));
        assert!((0..22).all(|length| Row::decode(&bytes[..length]).is_err()));
        assert!(Row::decode(&[9]).is_err() && Row::decode(&[KEYED, 200]).is_err());
    }
}
