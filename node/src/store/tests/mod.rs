//! Promises of the vault as a whole.

mod crash;
mod damage;
mod history;
mod processes;
mod promises;
mod rotation;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::vault::{Argon2Params, KeySlots, MasterKey};

use super::account::Paths;
use super::disk::Disk as _;
use super::fault::{Faults, FaultyDisk, MemoryDisk};
use super::*;

pub(super) const PASSWORD: &str = "correct-Horse7battery";
pub(super) const ALICE: [u8; 32] = [0xa1; 32];
pub(super) const BOB: [u8; 32] = [0xb0; 32];

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A disk in memory and the account on it.
pub(super) struct Device {
    pub(super) disk: MemoryDisk,
    pub(super) faults: Faults,
}

pub(super) fn data_dir() -> &'static Path {
    Path::new("/nowhere")
}

pub(super) fn paths() -> Paths {
    Paths::new(data_dir(), &AccountId(ALICE))
}

pub(super) fn master() -> MasterKey {
    MasterKey::generate(&mut rng(1))
}

pub(super) fn keys_of(slots: KeySlots) -> super::keys::Keys {
    super::keys::Keys::new(master(), slots)
}

pub(super) fn alice() -> AccountFile {
    AccountFile { username: "alice".into(), account_id: AccountId(ALICE) }
}

pub(super) fn file(name: &str) -> PathBuf {
    data_dir().join("accounts/a1a1a1a1a1a1a1a1").join(name)
}

impl Device {
    /// With a vault of alice's, unlocked.
    pub(super) fn new() -> (Self, Vault) {
        let device = Self { disk: MemoryDisk::new(), faults: Faults::default() };
        let vault = Vault::create(
            data_dir(),
            "alice",
            AccountId(ALICE),
            PASSWORD,
            Argon2Params::LEAST,
            device.options(),
            &mut rng(1),
        )
        .unwrap();
        (device, vault)
    }

    /// With a vault that needs no password, for tests that open thousands.
    pub(super) fn without_password() -> Self {
        let device = Self::of(MemoryDisk::new());
        let keys = keys_of(KeySlots::generate(Timestamp(0), &mut rng(2)));
        let file = super::keyfile::fresh(&master(), &KeySlots::generate(Timestamp(0), &mut rng(2)));
        device.disk.replace(&paths().slots, &file).unwrap();
        super::database::create(&device.disk, &paths(), &keys).unwrap();
        drop(device.open().unwrap());
        device
    }

    pub(super) fn of(disk: MemoryDisk) -> Self {
        Self { disk, faults: Faults::default() }
    }

    /// Opens what [`Self::without_password`] made.
    pub(super) fn open(&self) -> Result<Vault, StoreError> {
        let disk = self.options().disk;
        let lock = disk.lock(&paths().lock).unwrap();
        Vault::open_with_master(disk, paths(), master(), lock)
    }

    pub(super) fn options(&self) -> StoreOptions {
        StoreOptions {
            disk: Arc::new(FaultyDisk::new(self.disk.clone(), self.faults.clone())),
            index_in_background: false,
        }
    }

    pub(super) fn unlock(&self) -> Result<Vault, StoreError> {
        Vault::unlock(data_dir(), &alice(), PASSWORD, self.options())
    }
}

pub(super) fn id(number: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    id
}

pub(super) fn text_from(conversation: [u8; 32], number: u64, at: u64, text: &str) -> OwnedEntry {
    OwnedEntry { conversation, message_id: id(number), at, text: text.to_owned() }
}

pub(super) struct OwnedEntry {
    conversation: [u8; 32],
    message_id: [u8; 16],
    at: u64,
    text: String,
}

impl OwnedEntry {
    pub(super) fn as_new(&self) -> NewEntry<'_> {
        NewEntry {
            conversation: self.conversation,
            author: BOB,
            message_id: self.message_id,
            at: self.at,
            body: self.text.as_bytes(),
            text: Some(&self.text),
        }
    }
}

pub(super) fn append(vault: &Vault, conversation: [u8; 32], number: u64, at: u64, text: &str) -> u64 {
    let mut txn = vault.begin();
    let arrival = txn.append(text_from(conversation, number, at, text).as_new()).unwrap();
    vault.commit(txn).unwrap();
    arrival
}
