//! The daily key of ratchet rows: replaced without a gap, and gone when it is.

use secure_chat_protocol::limits::DAY_MS;

use super::*;
use crate::store::database;
use crate::store::table::Kind;

const ROWS: [(Table, &[u8]); 4] =
    [(Table::Sessions, b"bob"), (Table::Sessions, b"carol"), (Table::Prekeys, b"kit"), (Table::SenderKeys, b"group")];

fn device_with_rows() -> Device {
    let device = Device::without_password();
    let vault = device.open().unwrap();
    let mut txn = vault.begin();
    for (table, id) in ROWS {
        txn.put(table, id, id);
    }
    vault.commit(txn).unwrap();
    drop(vault);
    device
}

fn assert_rows(vault: &Vault) {
    for (table, id) in ROWS {
        assert_eq!(vault.begin().get(table, id).unwrap().as_deref(), Some(id));
    }
}

/// The sealed ratchet rows as they stand on a disk.
fn sealed_rows(disk: &MemoryDisk) -> Vec<(Table, [u8; 16], Vec<u8>)> {
    let database = database::open(&disk.copy(), &paths()).unwrap();
    let txn = redb::ReadableDatabase::begin_read(&database).unwrap();
    let mut rows = Vec::new();
    for table in Table::RATCHETS {
        for row in txn.open_table(table.keyed()).unwrap().range::<&[u8; 16]>(..).unwrap() {
            let (key, value) = row.unwrap();
            rows.push((table, *key.value(), value.value().to_vec()));
        }
    }
    rows
}

#[test]
fn a_crash_at_any_step_of_the_rotation_leaves_every_row_readable() {
    let template = device_with_rows();
    let mut finished = false;
    for operations in 0..200 {
        for seed in 0..3 {
            let device = Device::of(template.disk.copy());
            let vault = device.open().unwrap();
            device.faults.cut_after_operations(operations);
            let rotated = vault.rotate(Timestamp(DAY_MS));
            finished |= !device.faults.is_cut();
            assert_eq!(rotated.is_ok(), !device.faults.is_cut());
            device.faults.cut();
            drop(vault);
            let device = Device::of(device.disk.after_a_crash(&mut rng(operations * 10 + seed)));
            let vault = device.open().unwrap();
            assert_rows(&vault);
            assert!(!vault.rolled_back());
            vault.rotate(Timestamp(DAY_MS)).unwrap();
            vault.rotate(Timestamp(3 * DAY_MS)).unwrap();
            assert_rows(&vault);
        }
        if finished {
            return;
        }
    }
    panic!("the rotation did not finish");
}

#[test]
fn what_was_sealed_yesterday_opens_no_more_even_with_the_master_key() {
    let device = device_with_rows();
    let old = sealed_rows(&device.disk);
    assert_eq!(old.len(), ROWS.len());
    let vault = device.open().unwrap();
    assert!(vault.rotate(Timestamp(DAY_MS)).unwrap());
    drop(vault);
    let file = device.disk.read(&file("slots.key")).unwrap();
    let keys = keys_of(KeySlots::decode(&master(), &file).unwrap());
    for (table, key, row) in old {
        assert!(table.kind() == Kind::Ratchet && keys.open(table, &key, &row).unwrap().is_none());
    }
    for (table, key, row) in sealed_rows(&device.disk) {
        assert!(keys.open(table, &key, &row).unwrap().is_some());
    }
}

#[test]
fn a_full_disk_in_the_middle_of_a_rotation_leaves_every_row_readable() {
    let template = device_with_rows();
    for room in (0..40_000).step_by(3_000) {
        let device = Device::of(template.disk.copy());
        let vault = device.open().unwrap();
        device.faults.full_after_bytes(room);
        let _ = vault.rotate(Timestamp(DAY_MS));
        device.faults.make_room();
        assert_rows(&vault);
        vault.rotate(Timestamp(DAY_MS)).unwrap();
        assert_rows(&vault);
        drop(vault);
        assert_rows(&device.open().unwrap());
    }
}
