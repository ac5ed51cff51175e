//! Full disks, and files that somebody cut, changed or moved about.

use redb::ReadableTable;

use super::*;
use crate::store::database;
use crate::store::table::{BODIES, STATE, TIMELINE};

fn vault_with_rows(device: &Device) {
    let vault = device.open().unwrap();
    let mut txn = vault.begin();
    txn.put(Table::Contacts, b"bob", b"contact");
    txn.put(Table::Notes, b"bob", b"draft");
    vault.commit(txn).unwrap();
    for number in 0..20 {
        append(&vault, BOB, number, number, &format!("text {number}"));
    }
}

#[test]
fn a_full_disk_is_named_loses_nothing_and_is_over_when_there_is_room() {
    type Fill = fn(&Faults, u64);
    let fillings: [Fill; 2] =
        [|faults, more| faults.full_after_bytes(more), |faults, more| faults.full_at_length(1_600_000 + 64 * more)];
    for (way, filling) in fillings.into_iter().enumerate() {
        for more in (0..60_000).step_by(5_000) {
            let device = Device::without_password();
            let vault = device.open().unwrap();
            filling(&device.faults, more);
            let text = "long ".repeat(3_000);
            let mut kept = 0;
            let error = loop {
                let mut txn = vault.begin();
                txn.append(text_from(BOB, kept, kept, &text).as_new()).unwrap();
                txn.put_at(Table::Audit, kept, b"sent");
                match vault.commit(txn) {
                    Ok(()) => kept += 1,
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, StoreError::DiskFull), "{error}");
            match vault.history().total() {
                Ok(total) => assert_eq!(total, kept, "readable while the disk is full"),
                // Where not even what is there can be written over, the database can't be opened anew.
                Err(error) => assert!(matches!(error, StoreError::DiskFull) && way == 0, "{error}"),
            }
            device.faults.make_room();
            append(&vault, BOB, kept, kept, "and on it goes");
            assert_eq!(vault.history().total().unwrap(), kept + 1);
            drop(vault);
            let vault = device.open().unwrap();
            assert_eq!(vault.history().count(&BOB).unwrap(), kept + 1);
            assert_eq!(vault.scan(Table::Audit).unwrap().len() as u64, kept);
        }
    }
}

#[test]
fn a_full_disk_at_unlock_is_named() {
    let device = Device::without_password();
    device.faults.full_after_bytes(0);
    assert!(matches!(device.open(), Err(StoreError::DiskFull)));
    device.faults.make_room();
    assert!(device.open().is_ok());
}

#[test]
fn a_truncated_database_is_named_and_not_made_anew() {
    let device = Device::without_password();
    vault_with_rows(&device);
    let whole = device.disk.read(&file("state.redb")).unwrap();
    for length in [0, 1, 100, 511, 4096, 8192, 70_000, whole.len() / 2, whole.len() - 4096] {
        let cut = Device::of(device.disk.copy());
        cut.disk.tamper(&file("state.redb"), |bytes| bytes.truncate(length));
        let error = cut.open().err().unwrap_or_else(|| panic!("{length} bytes opened"));
        assert!(matches!(error, StoreError::Damaged { .. }), "{length} bytes: {error}");
        assert_eq!(cut.disk.read(&file("state.redb")).unwrap().len(), length, "left as it was");
    }
    let gone = Device::of(device.disk.copy());
    gone.disk.remove(&file("state.redb")).unwrap();
    assert!(matches!(gone.open(), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_damaged_or_newer_key_file_is_named_before_the_password_is_asked() {
    let (device, vault) = Device::new();
    drop(vault);
    let with = |harm: fn(&mut Vec<u8>)| {
        let harmed = Device::of(device.disk.copy());
        harmed.disk.tamper(&file("vault.key"), harm);
        harmed.unlock().unwrap_err()
    };
    assert!(matches!(with(|bytes| bytes.truncate(30)), StoreError::Damaged { .. }));
    assert!(matches!(with(|bytes| bytes[60] ^= 1), StoreError::Damaged { .. }));
    assert!(matches!(with(|bytes| bytes[8] = 9), StoreError::UnsupportedVersion { found: 9 }));
}

/// Changes the database as somebody with redb and no keys would.
fn meddle(device: &Device, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = database::open(&device.disk, &paths()).unwrap();
    let txn = database.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

#[test]
fn a_database_of_a_newer_version_is_named() {
    let device = Device::without_password();
    let mut newer = crate::store::state::State::new().encode();
    newer[0] = 2;
    let keys = keys_of(KeySlots::generate(Timestamp(0), &mut rng(2)));
    let row = keys.state.seal(&0_u64.to_be_bytes(), 1, &newer, &mut rng(3));
    meddle(&device, |txn| drop(txn.open_table(STATE).unwrap().insert(0, row.as_slice()).unwrap()));
    assert!(matches!(device.open(), Err(StoreError::UnsupportedVersion { found: 2 })));
}

#[test]
fn rows_moved_within_a_table_or_to_another_are_refused() {
    let device = Device::without_password();
    vault_with_rows(&device);
    let keys = keys_of(KeySlots::generate(Timestamp(0), &mut rng(2)));
    let contact = keys.record_key(Table::Contacts, b"bob");
    let (mallory, note) = (keys.record_key(Table::Contacts, b"mallory"), keys.record_key(Table::Notes, b"bob"));
    meddle(&device, |txn| {
        let mut contacts = txn.open_table(Table::Contacts.keyed()).unwrap();
        let row = contacts.get(&contact).unwrap().unwrap().value().to_vec();
        contacts.insert(&mallory, row.as_slice()).unwrap();
        txn.open_table(Table::Notes.keyed()).unwrap().insert(&note, row.as_slice()).unwrap();
        let mut bodies = txn.open_table(BODIES).unwrap();
        let (one, two) =
            (bodies.get(3).unwrap().unwrap().value().to_vec(), bodies.get(4).unwrap().unwrap().value().to_vec());
        bodies.insert(3, two.as_slice()).unwrap();
        bodies.insert(4, one.as_slice()).unwrap();
    });
    let vault = device.open().unwrap();
    let txn = vault.begin();
    assert_eq!(txn.get(Table::Contacts, b"bob").unwrap().unwrap(), b"contact");
    assert!(matches!(txn.get(Table::Contacts, b"mallory"), Err(StoreError::Damaged { .. })));
    assert!(matches!(txn.get(Table::Notes, b"bob"), Err(StoreError::Damaged { .. })));
    assert!(matches!(txn.entry(3), Err(StoreError::Damaged { .. })));
    let (page, _) = vault.history().page(&BOB, Page::Latest, 50).unwrap();
    assert_eq!(page.len(), 18, "the others stay readable");
    assert_eq!(vault.history().search("text", None, 50).unwrap().len(), 18);
}

#[test]
fn a_message_shown_in_another_conversation_is_refused() {
    let device = Device::without_password();
    vault_with_rows(&device);
    let keys = keys_of(KeySlots::generate(Timestamp(0), &mut rng(2)));
    let forged = crate::store::batch::timeline_key(&keys.conversations.index(&ALICE), 9, 5);
    meddle(&device, |txn| drop(txn.open_table(TIMELINE).unwrap().insert(&forged, ()).unwrap()));
    let vault = device.open().unwrap();
    assert!(vault.history().page(&ALICE, Page::Latest, 50).unwrap().0.is_empty());
}

#[test]
fn a_record_that_is_too_long_is_refused_and_the_rest_goes_on() {
    let device = Device::without_password();
    let vault = device.open().unwrap();
    let mut txn = vault.begin();
    txn.put(Table::Notes, b"x", &vec![1; 5 * 1024 * 1024]);
    assert!(matches!(vault.commit(txn), Err(StoreError::TooLarge { .. })));
    append(&vault, BOB, 1, 1, "fine");
}
