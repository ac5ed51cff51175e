//! The file beside the database: the daily key's two slots, and behind them how
//! new the database was when it was last looked at.
//!
//! An old copy of the database put back in its place is behind that mirror.
//! (Old copies of both are noticed by what the home nodes keep.)

use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::vault::{KEY_FILE_BYTES, KeySlots, MasterKey, SlotWrite};

use super::batch;
use super::database::{Store, Writer};
use super::error::StoreError;
use super::keys::Keys;

/// Two places for the mirror, written in turn: a torn write leaves the other.
const MIRRORS: [u64; 2] = [0, 1];
const MIRROR_STRIDE_BYTES: u64 = 4096;
const MIRROR_SCHEMA: u8 = 1;
/// The mirror is renewed after this many commits.
const MIRROR_COMMITS: u64 = 1024;

const fn mirror_offset(place: u64) -> u64 {
    KEY_FILE_BYTES as u64 + place * MIRROR_STRIDE_BYTES
}

/// A whole key file, with nothing in its mirror.
pub(super) fn fresh(master: &MasterKey, slots: &KeySlots) -> Vec<u8> {
    let mut file = slots.encode(master, &mut rand::rng());
    file.resize(file.len().saturating_add(2 * usize::try_from(MIRROR_STRIDE_BYTES).unwrap_or_default()), 0);
    file
}

/// The newest epoch that the mirror knows, and at which place.
pub(super) fn mirrored_epoch(keys: &Keys, file: &[u8]) -> Option<(u64, u64)> {
    let read = |place: u64| {
        let record = file.get(usize::try_from(mirror_offset(place)).ok()?..)?;
        let (length, rest) = record.split_first_chunk()?;
        let sealed = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
        let plain = keys.mirror.open(&place.to_be_bytes(), MIRROR_SCHEMA, sealed).ok()?;
        plain.expose().first_chunk().map(|epoch| (u64::from_le_bytes(*epoch), place))
    };
    MIRRORS.into_iter().filter_map(read).max()
}

impl Store {
    /// Writes the epoch of the last commit into the key file.
    pub(super) fn mirror(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let epoch = writer.state.epoch;
        if epoch == writer.mirrored {
            return Ok(());
        }
        // Never over the newest one: this write may be torn.
        let place = 1_u64.saturating_sub(writer.mirror_place);
        let sealed = self.keys.mirror.seal(&place.to_be_bytes(), MIRROR_SCHEMA, &epoch.to_le_bytes(), &mut rand::rng());
        let length = u16::try_from(sealed.len()).unwrap_or_default().to_le_bytes();
        let record = [length.as_slice(), &sealed].concat();
        self.disk.overwrite(&self.paths.slots, mirror_offset(place), &record)?;
        (writer.mirrored, writer.mirror_place) = (epoch, place);
        Ok(())
    }

    /// [`Self::mirror`], now and then. A failure waits for the next time: the commit itself is durable.
    pub(super) fn mirror_sometimes(&self, writer: &mut Writer) {
        if writer.state.epoch.saturating_sub(writer.mirrored) >= MIRROR_COMMITS {
            let _ = self.mirror(writer);
        }
    }

    /// Replaces the daily key when it is a day old: the new one into its slot,
    /// then every ratchet row under it, then the old slot erased, each durable
    /// before the next. Returns whether rows were rewritten.
    pub(super) fn rotate(&self, now: Timestamp) -> Result<bool, StoreError> {
        let mut writer = self.writer();
        if !self.keys.is_rewriting() {
            // From the file, so that a failed write leaves the keys in use as they were.
            let file = self.disk.read(&self.paths.slots)?;
            let damaged = |_| StoreError::Damaged { what: "the account's daily key file" };
            let (slots, write) = self.keys.rotated(&file, now).map_err(damaged)?;
            if let Some(SlotWrite { offset_bytes, bytes }) = write {
                self.disk.overwrite(&self.paths.slots, offset_bytes as u64, &bytes)?;
            } else if !slots.is_rewriting() {
                return Ok(false);
            }
            self.keys.adopt(slots);
        }
        self.finish_rotation(&mut writer)?;
        Ok(true)
    }

    /// Rewrites what is left under the former daily key, and erases that.
    pub(super) fn finish_rotation(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let next = writer.state.clone();
        self.commit(writer, next, &|txn| batch::reseal_ratchets(txn, &self.keys))?;
        if let Some(SlotWrite { offset_bytes, bytes }) = self.keys.retire_previous() {
            self.disk.overwrite(&self.paths.slots, offset_bytes as u64, &bytes)?;
        }
        Ok(())
    }
}
