//! The daily key of rows that must not be readable later, in a small file of two
//! slots beside the database.
//!
//! A database that writes copies leaves old ciphertext in its free pages. What
//! holds ratchet states is therefore sealed under a key that is replaced every
//! day: once all rows are rewritten, the old key's slot is erased, and what the
//! free pages hold opens no more. The order, each step durable before the next:
//!
//! 1. [`KeySlots::rotate`]: write the new slot; the old one stays,
//! 2. rewrite every row that [`RotatingTableKey::is_current`] denies,
//! 3. [`KeySlots::retire_previous`]: erase the old slot.
//!
//! A crash between them leaves both slots, and the next start goes on with 2.
//! A write that is torn hits the slot that nothing depends on.

use std::fmt;

use rand_core::CryptoRng;

use super::keys::{MasterKey, TableKey};
use super::row::RowError;
use crate::crypto::aead::{self, TAG_BYTES, XNONCE_BYTES};
use crate::crypto::secret::{Secret, SecretBytes};
use crate::id::Timestamp;
use crate::limits::VAULT_KEY_ROTATE_MS;

/// The layout that this code writes and reads.
const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
/// Version, generation, time, nonce, key, tag.
const SLOT_BYTES: usize = 1 + 4 + 8 + XNONCE_BYTES + KEY_BYTES + TAG_BYTES;
/// Slots stand in sectors of their own: a torn write reaches one of them.
const SLOT_STRIDE_BYTES: usize = 4096;
const GENERATION_BYTES: usize = 4;

/// Bytes of the key file.
pub const KEY_FILE_BYTES: usize = 2 * SLOT_STRIDE_BYTES;

/// Neither slot of the key file opens (the environment's fault), so no ratchet
/// row can be opened: sessions have to start anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the vault's key file is damaged or belongs to another vault")]
pub struct SlotsError;

/// Bytes to write into the key file in place, and to make durable before the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotWrite {
    /// Where, from the start of the file.
    pub offset_bytes: usize,
    /// What: sealed under the master key, or zeros.
    pub bytes: Vec<u8>,
}

struct Slot {
    generation: u32,
    since: Timestamp,
    key: Secret<KEY_BYTES>,
}

impl Slot {
    /// Two generations that follow each other never share a place.
    const fn offset_bytes(generation: u32) -> usize {
        if generation.is_multiple_of(2) { 0 } else { SLOT_STRIDE_BYTES }
    }

    fn new<R: CryptoRng + ?Sized>(generation: u32, since: Timestamp, rng: &mut R) -> Self {
        Self { generation, since, key: Secret::random(rng) }
    }

    fn clear_fields(generation: u32, since: Timestamp) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&generation.to_le_bytes());
        out.extend_from_slice(&since.0.to_le_bytes());
        out
    }

    fn write<R: CryptoRng + ?Sized>(&self, master: &MasterKey, rng: &mut R) -> SlotWrite {
        let clear = Self::clear_fields(self.generation, self.since);
        let mut nonce = [0; XNONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let sealed = aead::xseal(&slot_key(master), &nonce, &clear, self.key.expose());
        let mut bytes = [clear.as_slice(), &nonce, &sealed].concat();
        bytes.resize(SLOT_STRIDE_BYTES, 0);
        SlotWrite { offset_bytes: Self::offset_bytes(self.generation), bytes }
    }

    /// The slot at `offset_bytes` of the file, if there is one that opens.
    fn read(master: &MasterKey, file: &[u8], offset_bytes: usize) -> Option<Self> {
        let slot = file.get(offset_bytes..)?.get(..SLOT_BYTES)?;
        let ([version], rest) = slot.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (since, rest) = rest.split_first_chunk()?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        let (generation, since) = (u32::from_le_bytes(*generation), Timestamp(u64::from_le_bytes(*since)));
        if *version != VERSION || Self::offset_bytes(generation) != offset_bytes {
            return None;
        }
        let (body, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
        let body: &[u8; KEY_BYTES] = body.try_into().ok()?;
        let clear = Self::clear_fields(generation, since);
        let mut opened = Ok(());
        let key = Secret::filled(|out| {
            out.copy_from_slice(body);
            opened = aead::xopen_in_place(&slot_key(master), nonce, &clear, out, tag);
        });
        opened.ok().map(|()| Self { generation, since, key })
    }
}

fn slot_key(master: &MasterKey) -> Secret<32> {
    master.derive("key-slots")
}

/// The daily key and, while rows are rewritten, the one before it.
pub struct KeySlots {
    current: Slot,
    previous: Option<Slot>,
}

impl KeySlots {
    /// The first daily key of a vault.
    pub fn generate<R: CryptoRng + ?Sized>(now: Timestamp, rng: &mut R) -> Self {
        Self { current: Slot::new(1, now, rng), previous: None }
    }

    /// The whole key file, [`KEY_FILE_BYTES`] long: for a new vault, or one that is sealed under a new master key.
    #[must_use]
    pub fn encode<R: CryptoRng + ?Sized>(&self, master: &MasterKey, rng: &mut R) -> Vec<u8> {
        let mut file = vec![0; KEY_FILE_BYTES];
        for slot in [Some(&self.current), self.previous.as_ref()].into_iter().flatten() {
            let write = slot.write(master, rng);
            for (to, from) in file.iter_mut().skip(write.offset_bytes).zip(write.bytes) {
                *to = from;
            }
        }
        file
    }

    /// Reads a key file. The newer slot that opens is the current key.
    ///
    /// # Errors
    /// [`SlotsError`] when neither opens.
    pub fn decode(master: &MasterKey, file: &[u8]) -> Result<Self, SlotsError> {
        let slots = [0, SLOT_STRIDE_BYTES].map(|offset_bytes| Slot::read(master, file, offset_bytes));
        match slots {
            [Some(a), Some(b)] => {
                let (current, previous) = if a.generation > b.generation { (a, b) } else { (b, a) };
                Ok(Self { current, previous: Some(previous) })
            }
            [Some(current), None] | [None, Some(current)] => Ok(Self { current, previous: None }),
            [None, None] => Err(SlotsError),
        }
    }

    /// Makes a new key when the current one is a day old. Nothing happens while
    /// the one before it is still there (its rows are not rewritten yet), nor
    /// when the clock went back.
    pub fn rotate<R: CryptoRng + ?Sized>(
        &mut self,
        master: &MasterKey,
        now: Timestamp,
        rng: &mut R,
    ) -> Option<SlotWrite> {
        if self.previous.is_some() || now.since_ms(self.current.since) < VAULT_KEY_ROTATE_MS {
            return None;
        }
        let generation = self.current.generation.checked_add(1)?;
        let next = Slot::new(generation, now, rng);
        let write = next.write(master, rng);
        self.previous = Some(std::mem::replace(&mut self.current, next));
        Some(write)
    }

    /// Whether rows under the former key may be left, so that they must be rewritten.
    #[must_use]
    pub const fn is_rewriting(&self) -> bool {
        self.previous.is_some()
    }

    /// Forgets the former key, and says what erases it from the file. Only after
    /// every row was rewritten durably.
    pub fn retire_previous(&mut self) -> Option<SlotWrite> {
        let previous = self.previous.take()?;
        let offset_bytes = Slot::offset_bytes(previous.generation);
        Some(SlotWrite { offset_bytes, bytes: vec![0; SLOT_STRIDE_BYTES] })
    }

    /// Since when the current key is in use.
    #[must_use]
    pub const fn current_since(&self) -> Timestamp {
        self.current.since
    }

    /// The keys of a table whose rows are rewritten daily. To be derived anew
    /// after [`Self::rotate`] and [`Self::retire_previous`].
    #[must_use]
    pub fn table_key(&self, master: &MasterKey, name: &'static str) -> RotatingTableKey {
        let salt = master.derive("daily");
        let of = |slot: &Slot| (slot.generation, TableKey::derive(salt.expose(), &slot.key, name));
        RotatingTableKey { current: of(&self.current), previous: self.previous.as_ref().map(of) }
    }
}

impl fmt::Debug for KeySlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySlots({}, rewriting: {})", self.current.generation, self.is_rewriting())
    }
}

/// The keys of one table of ratchet rows. A row is `generation (4) ‖ sealed row`.
///
/// Record keys come from [`TableKey::index`] of the master key's table, which stays the same.
#[derive(Debug)]
pub struct RotatingTableKey {
    current: (u32, TableKey),
    previous: Option<(u32, TableKey)>,
}

impl RotatingTableKey {
    /// As [`TableKey::seal`], under the current daily key.
    #[must_use]
    pub fn seal<R: CryptoRng + ?Sized>(&self, record_key: &[u8], schema: u8, plaintext: &[u8], rng: &mut R) -> Vec<u8> {
        let (generation, key) = &self.current;
        key.seal_behind(&generation.to_le_bytes(), record_key, schema, plaintext, rng)
    }

    /// As [`TableKey::open`], with the daily key that the row names.
    ///
    /// # Errors
    /// [`RowError`], [`RowError::Stale`] when that key is gone.
    pub fn open(&self, record_key: &[u8], schema: u8, sealed: &[u8]) -> Result<SecretBytes, RowError> {
        let (generation, row) = sealed.split_first_chunk::<GENERATION_BYTES>().ok_or(RowError::Damaged)?;
        let generation = u32::from_le_bytes(*generation);
        let keys = [Some(&self.current), self.previous.as_ref()];
        let (_, key) = keys.into_iter().flatten().find(|(known, _)| *known == generation).ok_or(RowError::Stale)?;
        key.open(record_key, schema, row)
    }

    /// Whether a row is sealed under the current key; any other has to be rewritten.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        sealed.first_chunk() == Some(&self.current.0.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::limits::DAY_MS;

    struct Disk {
        master: MasterKey,
        file: Vec<u8>,
        rng: ChaCha20Rng,
    }

    impl Disk {
        fn new() -> (Self, KeySlots) {
            let mut rng = ChaCha20Rng::seed_from_u64(1);
            let master = MasterKey::generate(&mut rng);
            let slots = KeySlots::generate(Timestamp(0), &mut rng);
            let file = slots.encode(&master, &mut rng);
            (Self { master, file, rng }, slots)
        }

        fn write(&mut self, write: &SlotWrite, bytes_until_the_crash: usize) {
            let length = write.bytes.len().min(bytes_until_the_crash);
            self.file[write.offset_bytes..write.offset_bytes + length].copy_from_slice(&write.bytes[..length]);
        }

        fn reopen(&self) -> KeySlots {
            KeySlots::decode(&self.master, &self.file).unwrap()
        }

        fn rotate(&mut self, slots: &mut KeySlots, day: u64) -> Option<SlotWrite> {
            slots.rotate(&self.master, Timestamp(day * DAY_MS), &mut self.rng)
        }
    }

    #[test]
    fn an_old_row_opens_until_its_key_is_retired_and_never_after() {
        let (mut disk, mut slots) = Disk::new();
        let old = slots.table_key(&disk.master, "session").seal(b"alice", 1, b"state", &mut disk.rng);
        assert_eq!(disk.rotate(&mut slots, 0), None, "not due yet");
        let write = disk.rotate(&mut slots, 1).unwrap();
        disk.write(&write, usize::MAX);
        let keys = disk.reopen().table_key(&disk.master, "session");
        assert!(!keys.is_current(&old));
        assert_eq!(keys.open(b"alice", 1, &old).unwrap().expose(), b"state");
        let new = keys.seal(b"alice", 1, b"state", &mut disk.rng);
        assert!(keys.is_current(&new));
        assert_eq!(disk.rotate(&mut slots, 3), None, "never while rows of the former key may be left");
        let write = slots.retire_previous().unwrap();
        disk.write(&write, usize::MAX);
        let keys = disk.reopen().table_key(&disk.master, "session");
        assert_eq!(keys.open(b"alice", 1, &new).unwrap().expose(), b"state");
        assert_eq!(keys.open(b"alice", 1, &old), Err(RowError::Stale));
        assert!(disk.rotate(&mut slots, 3).is_some());
    }

    #[test]
    fn a_torn_write_loses_no_key_that_a_row_needs() {
        for cut in 0..=SLOT_BYTES {
            let (mut disk, mut slots) = Disk::new();
            let row = slots.table_key(&disk.master, "session").seal(b"alice", 1, b"state", &mut disk.rng);
            let write = disk.rotate(&mut slots, 1).unwrap();
            disk.write(&write, cut);
            let mut slots = disk.reopen();
            assert!(slots.table_key(&disk.master, "session").open(b"alice", 1, &row).is_ok(), "cut at {cut}");
            if slots.is_rewriting() {
                let row = slots.table_key(&disk.master, "session").seal(b"alice", 1, b"state", &mut disk.rng);
                let write = slots.retire_previous().unwrap();
                disk.write(&write, cut / 2);
                assert!(disk.reopen().table_key(&disk.master, "session").open(b"alice", 1, &row).is_ok());
            }
        }
    }

    #[test]
    fn a_row_of_a_former_generation_is_no_row_of_this_one() {
        let (mut disk, mut slots) = Disk::new();
        let old = slots.table_key(&disk.master, "session").seal(b"alice", 1, b"state", &mut disk.rng);
        disk.rotate(&mut slots, 1).unwrap();
        let keys = slots.table_key(&disk.master, "session");
        let relabelled = [&2_u32.to_le_bytes(), &old[4..]].concat();
        assert_eq!(keys.open(b"alice", 1, &relabelled), Err(RowError::Damaged));
    }

    #[test]
    fn every_flipped_bit_of_a_slot_is_refused_and_so_is_another_vaults_file() {
        let (disk, _) = Disk::new();
        for bit in 0..SLOT_BYTES * 8 {
            let mut file = disk.file.clone();
            file[SLOT_STRIDE_BYTES + bit / 8] ^= 1 << (bit % 8);
            assert!(KeySlots::decode(&disk.master, &file).is_err(), "bit {bit}");
        }
        let other = MasterKey::generate(&mut ChaCha20Rng::seed_from_u64(9));
        assert!(KeySlots::decode(&other, &disk.file).is_err());
        assert!(KeySlots::decode(&disk.master, &disk.file[..100]).is_err());
        assert!(KeySlots::decode(&disk.master, &[]).is_err());
    }

    #[test]
    fn a_slot_counts_only_in_its_own_place() {
        let (mut disk, mut slots) = Disk::new();
        let first = disk.file[SLOT_STRIDE_BYTES..].to_vec();
        let write = disk.rotate(&mut slots, 1).unwrap();
        disk.write(&write, usize::MAX);
        disk.file[..SLOT_STRIDE_BYTES].copy_from_slice(&first);
        assert!(!disk.reopen().is_rewriting(), "the copy of a slot is no second key");
        disk.file[SLOT_STRIDE_BYTES..].fill(0);
        assert!(KeySlots::decode(&disk.master, &disk.file).is_err());
    }

    #[test]
    fn a_clock_that_went_back_rotates_nothing() {
        let (mut disk, mut slots) = Disk::new();
        disk.rotate(&mut slots, 9).unwrap();
        slots.retire_previous().unwrap();
        assert_eq!(disk.rotate(&mut slots, 2), None);
        assert_eq!(slots.current_since(), Timestamp(9 * DAY_MS));
    }
}
