//! Promises of the vault as a whole.

mod promises;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::vault::Argon2Params;

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

    #[expect(dead_code, reason = "for the tests of crashes")]
    pub(super) fn of(disk: MemoryDisk) -> Self {
        Self { disk, faults: Faults::default() }
    }

    pub(super) fn options(&self) -> StoreOptions {
        StoreOptions { disk: Arc::new(FaultyDisk::new(self.disk.clone(), self.faults.clone())) }
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
