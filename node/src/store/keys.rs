//! The vault's keys, and how each kind of row is sealed with them.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::vault::{KeySlots, MasterKey, RotatingTableKey, RowError, SlotWrite, SlotsError, TableKey};

use zeroize::Zeroizing;

use super::error::StoreError;
use super::table::{Kind, Table};

/// The layout of rows of [`Table`]s: the engine's bytes as they are.
const ROW_SCHEMA: u8 = 1;
/// Stands before a row that goes on no day.
const NEVER: u32 = u32::MAX;
const DAY_BYTES: usize = 4;

/// Derived once, when the vault is opened.
pub(super) struct Keys {
    pub(super) master: MasterKey,
    tables: [TableKey; Table::ALL.len()],
    pub(super) state: TableKey,
    pub(super) bodies: TableKey,
    pub(super) by_id: TableKey,
    pub(super) conversations: TableKey,
    pub(super) index: TableKey,
    pub(super) words: TableKey,
    pub(super) mirror: TableKey,
    ratchets: RwLock<Ratchets>,
}

struct Ratchets {
    slots: KeySlots,
    keys: [RotatingTableKey; Table::RATCHETS.len()],
}

impl Ratchets {
    fn new(master: &MasterKey, slots: KeySlots) -> Self {
        let keys = Table::RATCHETS.map(|table| slots.table_key(master, table.key_name()));
        Self { slots, keys }
    }

    fn key(&self, table: Table) -> &RotatingTableKey {
        let [sessions, prekeys, sender_keys] = &self.keys;
        match table {
            Table::Prekeys => prekeys,
            Table::SenderKeys => sender_keys,
            _ => sessions,
        }
    }
}

impl Keys {
    pub(super) fn new(master: MasterKey, slots: KeySlots) -> Self {
        let ratchets = Ratchets::new(&master, slots);
        Self {
            tables: Table::ALL.map(|table| master.table_key(table.key_name())),
            state: master.table_key("state"),
            bodies: master.table_key("bodies"),
            by_id: master.table_key("by-id"),
            conversations: master.table_key("conversations"),
            index: master.table_key("index"),
            words: master.table_key("words"),
            mirror: master.table_key("mirror"),
            ratchets: RwLock::new(ratchets),
            master,
        }
    }

    /// The keys of the hashes that name rows, in the order of the tables.
    pub(super) fn index_keys(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(self.tables.len().saturating_mul(32)));
        self.tables.iter().for_each(|table| out.extend_from_slice(table.index_key()));
        out
    }

    /// Names rows as the vault did that this one is a copy of. A table that was unknown then keeps its own.
    pub(super) fn use_index_keys(&mut self, keys: &[u8]) -> Result<(), StoreError> {
        let (whole, []) = keys.as_chunks::<32>() else { return Err(StoreError::Damaged { what: "the backup" }) };
        if whole.len() > self.tables.len() {
            return Err(StoreError::UnsupportedVersion { found: 2 });
        }
        for (table, key) in self.tables.iter_mut().zip(whole) {
            table.use_index_key(key);
        }
        Ok(())
    }

    fn table(&self, table: Table) -> &TableKey {
        // `Table::ALL` is in the order of the tables' numbers: a test says so.
        &self.tables[table as usize]
    }

    fn ratchets(&self) -> RwLockReadGuard<'_, Ratchets> {
        self.ratchets.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a row is called in the database.
    pub(super) fn record_key(&self, table: Table, id: &[u8]) -> [u8; 16] {
        self.table(table).index(id)
    }

    /// What a message is called in the database.
    pub(super) fn message_key(&self, author: &[u8; 32], message_id: &[u8; 16]) -> [u8; 16] {
        let mut id = [0_u8; 48];
        let (left, right) = id.split_at_mut(32);
        left.copy_from_slice(author);
        right.copy_from_slice(message_id);
        self.by_id.index(&id)
    }

    /// Seals a row; `day` is when it goes, where rows do.
    pub(super) fn seal(&self, table: Table, record_key: &[u8], day: Option<u32>, plain: &[u8]) -> Vec<u8> {
        let rng = &mut rand::rng();
        match table.kind() {
            Kind::Ratchet => self.ratchets().key(table).seal(record_key, ROW_SCHEMA, plain, rng),
            Kind::Keyed | Kind::Numbered => self.table(table).seal(record_key, ROW_SCHEMA, plain, rng),
            Kind::Expiring => {
                let sealed = self.table(table).seal(record_key, ROW_SCHEMA, plain, rng);
                [&day.unwrap_or(NEVER).to_le_bytes(), sealed.as_slice()].concat()
            }
        }
    }

    /// Opens what [`Self::seal`] made. `None`: sealed under a daily key that is gone for good.
    pub(super) fn open(&self, table: Table, record_key: &[u8], row: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let opened = match table.kind() {
            Kind::Ratchet => self.ratchets().key(table).open(record_key, ROW_SCHEMA, row),
            Kind::Keyed | Kind::Numbered => self.table(table).open(record_key, ROW_SCHEMA, row),
            Kind::Expiring => {
                let sealed = row.get(DAY_BYTES..).ok_or(RowError::Damaged)?;
                self.table(table).open(record_key, ROW_SCHEMA, sealed)
            }
        };
        match opened {
            Ok(plain) => Ok(Some(plain.expose().to_vec())),
            Err(RowError::Stale) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The day on which a row of an expiring table goes.
    pub(super) fn day(row: &[u8]) -> Option<u32> {
        row.first_chunk().map(|day| u32::from_le_bytes(*day)).filter(|day| *day != NEVER)
    }

    /// The key slots of the key file `file`, rotated if that is due at `now`,
    /// and what has to be written to the file before they are adopted.
    pub(super) fn rotated(&self, file: &[u8], now: Timestamp) -> Result<(KeySlots, Option<SlotWrite>), SlotsError> {
        let mut slots = KeySlots::decode(&self.master, file)?;
        let write = slots.rotate(&self.master, now, &mut rand::rng());
        Ok((slots, write))
    }

    /// Uses other daily keys from here on.
    pub(super) fn adopt(&self, slots: KeySlots) {
        let fresh = Ratchets::new(&self.master, slots);
        *self.ratchets.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// Whether rows may be left under the former daily key.
    pub(super) fn is_rewriting(&self) -> bool {
        self.ratchets().slots.is_rewriting()
    }

    /// Whether a ratchet row has to be sealed anew.
    pub(super) fn is_outdated(&self, table: Table, row: &[u8]) -> bool {
        !self.ratchets().key(table).is_current(row)
    }

    /// Forgets the former daily key, and says what erases it from the file.
    pub(super) fn retire_previous(&self) -> Option<SlotWrite> {
        let mut ratchets = self.ratchets.write().unwrap_or_else(PoisonError::into_inner);
        let write = ratchets.slots.retire_previous()?;
        let keys = Table::RATCHETS.map(|table| ratchets.slots.table_key(&self.master, table.key_name()));
        ratchets.keys = keys;
        Some(write)
    }
}
