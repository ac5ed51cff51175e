//! Power is lost at any moment: what is found is a state that was committed,
//! and never an older one than the last that was acknowledged.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use secure_chat_protocol::limits::DAY_MS;

use super::*;

const KEYED: [Table; 4] = [Table::Contacts, Table::Sessions, Table::Prekeys, Table::Seen];
const IDS: u8 = 5;
const CONVERSATIONS: [[u8; 32]; 2] = [ALICE, BOB];

/// What a vault should hold.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Model {
    keyed: BTreeMap<(Table, u8), Vec<u8>>,
    numbered: BTreeMap<u64, Vec<u8>>,
    /// Arrival → conversation, number, time, text.
    entries: BTreeMap<u64, (usize, u64, u64, String)>,
}

impl Model {
    /// Stages a few random changes here and in `txn`.
    fn step(&mut self, txn: &mut Txn<'_>, rng: &mut ChaCha20Rng, number: &mut u64) {
        for _ in 0..rng.random_range(1..6) {
            *number += 1;
            let (value, key) = (number.to_le_bytes(), rng.random_range(0..IDS));
            match rng.random_range(0..8) {
                0 => {
                    let table = KEYED[rng.random_range(0..KEYED.len())];
                    self.keyed.remove(&(table, key));
                    txn.delete(table, &[key]);
                }
                1 | 2 => {
                    let table = KEYED[rng.random_range(0..KEYED.len())];
                    let value = value.repeat(rng.random_range(1..200));
                    txn.put(table, &[key], &value);
                    self.keyed.insert((table, key), value);
                }
                3 => {
                    txn.put_at(Table::Outbox, *number, &value);
                    self.numbered.insert(*number, value.to_vec());
                }
                4 if !self.numbered.is_empty() => {
                    let (first, _) = self.numbered.pop_first().unwrap();
                    txn.delete_at(Table::Outbox, first);
                }
                5 if !self.entries.is_empty() => {
                    let at = rng.random_range(0..self.entries.len());
                    let arrival = *self.entries.keys().nth(at).unwrap();
                    if rng.random_bool(0.3) {
                        self.entries.remove(&arrival);
                        txn.remove(arrival).unwrap();
                    } else {
                        let text = format!("changed word{}", *number % 7);
                        txn.update(arrival, text.as_bytes(), Some(&text)).unwrap();
                        self.entries.get_mut(&arrival).unwrap().3 = text;
                    }
                }
                _ => {
                    let conversation = rng.random_range(0..CONVERSATIONS.len());
                    let (at, text) = (rng.random_range(0..50), format!("hello word{}", *number % 7));
                    let entry = text_from(CONVERSATIONS[conversation], *number, at, &text);
                    let arrival = txn.append(entry.as_new()).unwrap();
                    self.entries.insert(arrival, (conversation, *number, at, text));
                }
            }
        }
    }

    /// Everything in the vault, read in every way there is.
    fn read(vault: &Vault) -> Self {
        let (txn, history) = (vault.begin(), vault.history());
        let mut model = Self::default();
        for (table, key) in KEYED.into_iter().flat_map(|table| (0..IDS).map(move |key| (table, key))) {
            model.keyed.extend(txn.get(table, &[key]).unwrap().map(|value| ((table, key), value)));
        }
        model.numbered = vault.scan_from(Table::Outbox, 0, usize::MAX).unwrap().into_iter().collect();
        for (number, conversation) in CONVERSATIONS.iter().enumerate() {
            let (entries, more) = history.page(conversation, Page::Latest, PAGE_MAX_MESSAGES).unwrap();
            assert_eq!((entries.len() as u64, more), (history.count(conversation).unwrap(), false));
            for entry in entries {
                assert_eq!(history.find(&entry.author, &entry.message_id).unwrap().as_ref(), Some(&entry));
                let message = u64::from_le_bytes(*entry.message_id.first_chunk().unwrap());
                let text = String::from_utf8(entry.body).unwrap();
                model.entries.insert(entry.arrival, (number, message, entry.at, text));
            }
        }
        assert_eq!(history.total().unwrap(), model.entries.len() as u64);
        for word in ["hello", "changed", "word3"] {
            let found: Vec<u64> = history.search(word, None, 1000).unwrap().iter().map(|entry| entry.arrival).collect();
            let naive = model.entries.iter().rev().filter(|(_, (.., text))| text.contains(word));
            assert_eq!(found, naive.map(|(arrival, _)| *arrival).collect::<Vec<_>>(), "{word}");
        }
        model
    }
}

/// Works until the plug is pulled. Returns the last acknowledged state, and the one that was under way.
fn work(vault: &Vault, mut model: Model, rng: &mut ChaCha20Rng, number: &mut u64) -> (Model, Model) {
    for _ in 0..60 {
        let mut txn = vault.begin();
        let mut next = model.clone();
        next.step(&mut txn, rng, number);
        match rng.random_range(0..12) {
            0 => continue,
            1 => drop(vault.rotate(Timestamp(*number * DAY_MS))),
            2 => while vault.index_step().is_ok_and(|more| more) {},
            _ => {}
        }
        if vault.commit(txn).is_err() {
            return (model, next);
        }
        model = next;
    }
    (model.clone(), model)
}

fn crashes(seeds: std::ops::Range<u64>) {
    let template = Device::without_password();
    let mut cut_in_time = 0;
    for seed in seeds {
        let (rng, mut number) = (&mut rng(seed), 0);
        let mut disk = template.disk.copy();
        let mut model = Model::default();
        for round in 0..4 {
            let device = Device::of(disk);
            device.faults.cut_after_operations(rng.random_range(0..220));
            // The plug may be pulled while the vault is opened and repaired.
            if let Ok(vault) = device.open() {
                let found = Model::read(&vault);
                assert_eq!(found, model, "seed {seed}, round {round}");
                let (acknowledged, under_way) = work(&vault, model, rng, &mut number);
                cut_in_time += u64::from(device.faults.is_cut());
                device.faults.cut();
                drop(vault);
                disk = device.disk.after_a_crash(rng);
                let vault = Device::of(disk.clone()).open().unwrap();
                let found = Model::read(&vault);
                assert!(found == acknowledged || found == under_way, "seed {seed}, round {round}");
                assert!(!vault.rolled_back());
                model = found;
                drop(vault);
                disk = disk.copy();
            } else {
                assert!(device.faults.is_cut(), "seed {seed}, round {round}");
                disk = device.disk.after_a_crash(rng);
            }
        }
    }
    assert!(cut_in_time > 0, "the plug was pulled in the middle of the work");
}

// In parts, so that they run side by side.
#[test]
fn a_crash_at_any_moment_loses_nothing_acknowledged() {
    crashes(0..150);
}

#[test]
fn a_crash_at_any_other_moment_loses_nothing_acknowledged() {
    crashes(1_000..1_150);
}

/// `SECURE_CHAT_CRASH_SEEDS=20000 cargo test -p secure-chat-node --release crashes_for_a_night -- --ignored`
#[test]
#[ignore = "as long as one likes"]
fn crashes_for_a_night() {
    let seeds = std::env::var("SECURE_CHAT_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    crashes(10_000..10_000 + seeds.unwrap_or(2_000));
}

#[test]
fn nothing_is_written_after_the_plug_was_pulled() {
    let device = Device::without_password();
    let vault = device.open().unwrap();
    append(&vault, BOB, 1, 10, "hello");
    device.faults.cut();
    let before: Vec<Vec<u8>> = ["state.redb", "slots.key"].map(|name| device.disk.read(&file(name)).unwrap()).into();
    let mut txn = vault.begin();
    txn.put(Table::Contacts, b"bob", b"1");
    assert!(vault.commit(txn).is_err());
    drop(vault);
    let after: Vec<Vec<u8>> = ["state.redb", "slots.key"].map(|name| device.disk.read(&file(name)).unwrap()).into();
    assert!(before == after);
}
