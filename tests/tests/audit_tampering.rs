//! A thief with the disk, but without the password, changes the audit log of a real
//! vault: whatever they do to its rows is told after the next unlock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use secure_chat_node::api::{At, Event};
use secure_chat_tests::{Persona, TestNet};

/// The audit log's name in the database, which tells nothing.
const ROWS: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("l");

async fn tampered(change: impl FnOnce(&mut Vec<(u64, Vec<u8>)>)) -> Persona {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    for minutes in 1..=40_u32 {
        alice.handle().unwrap().settings_set("auto_lock_minutes", minutes).await.unwrap();
    }
    alice.away().await;
    let accounts = std::fs::read_dir(alice.dir().join("accounts")).unwrap();
    let folder = accounts.map(|folder| folder.unwrap().path()).next().unwrap();
    let database = Database::open(folder.join("state.redb")).unwrap();
    let mut rows: Vec<(u64, Vec<u8>)> = {
        let txn = database.begin_read().unwrap();
        let table = txn.open_table(ROWS).unwrap();
        table.iter().unwrap().map(|row| row.map(|(key, row)| (key.value(), row.value().to_vec())).unwrap()).collect()
    };
    change(&mut rows);
    let txn = database.begin_write().unwrap();
    {
        let mut table = txn.open_table(ROWS).unwrap();
        table.retain(|_, _| false).unwrap();
        for (number, row) in &rows {
            table.insert(number, row.as_slice()).unwrap();
        }
    }
    txn.commit().unwrap();
    drop(database);
    alice.back().await.unwrap();
    // The folder goes with the net.
    std::mem::forget(net);
    alice
}

async fn is_told(mut alice: Persona) {
    let told = |event| match event {
        Event::SecurityAlert { kind, .. } if kind == "audit.tampered" => Some(()),
        _ => None,
    };
    alice.until(told).await.unwrap();
    let none = None::<String>;
    let alice = alice.handle().unwrap();
    let log = alice.security_audit_log(None, 500_u32, none.clone(), none.clone(), None::<At>, None::<At>, none);
    assert!(!log.await.unwrap().chain_ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_at_its_end_is_told() {
    is_told(tampered(|rows| rows.truncate(rows.len() - 3)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_at_its_beginning_is_told() {
    is_told(tampered(|rows| drop(rows.drain(..5))).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_taken_out_is_told() {
    is_told(tampered(|rows| drop(rows.remove(20))).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_changed_places_are_told() {
    let swap = |rows: &mut Vec<(u64, Vec<u8>)>| {
        let (ten, eleven) = (rows[10].1.clone(), rows[11].1.clone());
        (rows[10].1, rows[11].1) = (eleven, ten);
    };
    is_told(tampered(swap).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_changed_is_told() {
    is_told(tampered(|rows| rows[15].1[40] ^= 1).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_put_in_from_elsewhere_is_told() {
    is_told(tampered(|rows| rows[12].1 = rows[30].1.clone()).await).await;
}
