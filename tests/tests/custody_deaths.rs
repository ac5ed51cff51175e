//! Whatever dies while an account is made, restored, sealed anew or given another password:
//! afterwards it can be opened, or was never there. The disk is cut off at each write in turn.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secure_chat_node::api::{AccountState, ApiError, ErrorKind, NodeHandle};
use secure_chat_node::config::{NodeConfig, Transport};
use secure_chat_node::engine::Node;
use secure_chat_node::store::fault::{Faults, FaultyDisk};
use secure_chat_node::store::{FileDisk, StoreOptions};
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_tests::PASSWORD;

const OTHER: &str = "Another-Horse-8-Battery";
const PASSPHRASE: &str = "Passphrase-of-the-backup-9";
/// No command of these takes more writes than this.
const WRITES_MAX: u64 = 2_000;
/// A run that has come so far jumps by this many writes: what it does there it did before.
const DENSE: u64 = 16;
const STRIDE: u64 = 9;

fn peer(dir: &Path, faults: &Faults) -> NodeHandle {
    let mut config = NodeConfig::new(dir);
    config.mdns = false;
    config.kdf = Argon2Params::LEAST;
    config.transport = Transport::Memory;
    config.listen = vec!["/memory/0".to_owned()];
    let disk = Arc::new(FaultyDisk::new(FileDisk, faults.clone()));
    Node::start_on(config, StoreOptions { disk, ..StoreOptions::default() }).expect("a peer starts")
}

async fn accounts(of: &NodeHandle) -> usize {
    of.account_list().await.expect("a list").accounts.len()
}

/// Runs `act` on a fresh data directory with the disk cut off after so many writes. What it
/// answered is handed to `check` with a peer that was started again on what is left. Goes on until
/// `act` comes to its end before the cut.
async fn at_every_write<P: AsyncFn(&Path), A, C>(prepare: P, act: A, check: C)
where
    A: AsyncFn(&NodeHandle, &Faults, u64) -> Result<(), ApiError>,
    C: AsyncFn(&NodeHandle, bool, u64),
{
    let (mut writes, mut runs) = (0, 0);
    while writes < WRITES_MAX {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path()).await;
        let faults = Faults::default();
        let dying = peer(dir.path(), &faults);
        let done = act(&dying, &faults, writes).await.is_ok();
        let whole = !faults.is_cut();
        faults.cut();
        dying.shutdown().await;
        let after = peer(dir.path(), &Faults::default());
        check(&after, done, writes).await;
        after.shutdown().await;
        runs += 1;
        if whole && done {
            println!("{runs} deaths, at up to {writes} writes");
            return;
        }
        writes += if writes < DENSE { 1 } else { STRIDE };
    }
    panic!("it never came to its end");
}

async fn with_account(dir: &Path) {
    let alice = peer(dir, &Faults::default());
    alice.account_create("alice", PASSWORD).await.unwrap();
    alice.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_dies_while_it_is_made_opens_or_was_never_there() {
    at_every_write(
        async |_| {},
        async |alice, faults, writes| {
            faults.cut_after_operations(writes);
            alice.account_create("alice", PASSWORD).await.map(drop)
        },
        async |alice, done, writes| {
            let there = accounts(alice).await == 1;
            assert!(there || !done, "answered, and lost ({writes} writes)");
            let opened = if there {
                alice.account_unlock(PASSWORD, None).await
            } else {
                alice.account_create("alice", PASSWORD).await
            };
            opened.unwrap_or_else(|error| panic!("there: {there}, after {writes} writes: {error:?}"));
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_dies_while_its_password_changes_opens_with_one_of_both() {
    at_every_write(
        with_account,
        async |alice, faults, writes| {
            alice.account_unlock(PASSWORD, None).await.unwrap();
            faults.cut_after_operations(writes);
            alice.account_change_password(PASSWORD, OTHER).await.map(drop)
        },
        async |alice, done, writes| {
            let new = alice.account_unlock(OTHER, None).await.map_err(|error| error.kind);
            assert!(new.is_ok() || !done, "changed, and not ({writes} writes)");
            if let Err(kind) = new {
                assert_eq!(kind, ErrorKind::WrongPassword, "after {writes} writes");
                alice.account_unlock(PASSWORD, None).await.unwrap_or_else(|error| panic!("{writes} writes: {error:?}"));
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_dies_while_it_is_sealed_anew_opens_with_all_it_had() {
    at_every_write(
        with_account,
        async |alice, faults, writes| {
            alice.account_unlock(PASSWORD, None).await.unwrap();
            alice.messages_draft("nobody", "kept".to_owned()).await.ok();
            alice.settings_set("typing", false).await.unwrap();
            faults.cut_after_operations(writes);
            alice.account_rekey(PASSWORD).await.map(drop)
        },
        async |alice, _, writes| {
            assert_eq!(accounts(alice).await, 1, "after {writes} writes");
            alice.account_unlock(PASSWORD, None).await.unwrap_or_else(|error| panic!("{writes} writes: {error:?}"));
            let typing = alice.settings_get("typing".to_owned()).await.unwrap();
            assert_eq!(typing.settings["typing"], false, "after {writes} writes");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_dies_while_it_is_restored_opens_or_was_never_there() {
    let kept = tempfile::tempdir().unwrap();
    let backup = kept.path().join("alice.backup").display().to_string();
    let alice = peer(&kept.path().join("one"), &Faults::default());
    alice.account_create("alice", PASSWORD).await.unwrap();
    alice.account_export(backup.clone(), PASSPHRASE).await.unwrap();
    alice.shutdown().await;
    at_every_write(
        async |_| {},
        async |second, faults, writes| {
            faults.cut_after_operations(writes);
            second.account_import(backup.clone(), PASSPHRASE, OTHER).await.map(drop)
        },
        async |second, done, writes| {
            let there = accounts(second).await == 1;
            assert!(there || !done, "answered, and lost ({writes} writes)");
            let opened = if there {
                second.account_unlock(OTHER, None).await
            } else {
                second.account_import(backup.clone(), PASSPHRASE, OTHER).await
            };
            opened.unwrap_or_else(|error| panic!("there: {there}, after {writes} writes: {error:?}"));
        },
    )
    .await;
}

fn database(dir: &Path) -> PathBuf {
    let folders = std::fs::read_dir(dir.join("accounts")).unwrap().map(|entry| entry.unwrap().path());
    folders.into_iter().find(|path| path.is_dir()).unwrap().join("state.redb")
}

/// An account whose database is older than its other files know.
async fn turned_back(dir: &Path) {
    with_account(dir).await;
    let old = std::fs::read(database(dir)).unwrap();
    let alice = peer(dir, &Faults::default());
    alice.account_unlock(PASSWORD, None).await.unwrap();
    alice.settings_set("typing", false).await.unwrap();
    alice.shutdown().await;
    std::fs::write(database(dir), old).unwrap();
}

async fn rollbacks_told(of: &NodeHandle) -> usize {
    let alerts = of.security_alerts().await.unwrap().alerts;
    alerts.iter().filter(|alert| alert.kind == "vault.rolled_back").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_dealt_with_and_told_once_whatever_dies_while_that_is_done() {
    at_every_write(
        turned_back,
        async |alice, faults, writes| {
            faults.cut_after_operations(writes);
            let opened = alice.account_unlock(PASSWORD, None).await.map(drop);
            let open = alice.account_status().await.unwrap().state == AccountState::Unlocked;
            assert_eq!(open, opened.is_ok(), "told one thing, found another ({writes} writes)");
            opened
        },
        async |alice, _, writes| {
            alice.account_unlock(PASSWORD, None).await.unwrap_or_else(|error| panic!("{writes} writes: {error:?}"));
            assert_eq!(rollbacks_told(alice).await, 1, "after {writes} writes");
        },
    )
    .await;
}

/// Between two lengths of a disk that is full, in bytes.
const ROOM_STRIDE: u64 = 16 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn an_unlock_that_finds_no_room_leaves_the_account_locked_and_works_once_there_is_some() {
    for room in 0.. {
        let dir = tempfile::tempdir().unwrap();
        turned_back(dir.path()).await;
        let faults = Faults::default();
        let alice = peer(dir.path(), &faults);
        faults.full_after_bytes(room * ROOM_STRIDE);
        let opened = alice.account_unlock(PASSWORD, None).await.map(drop);
        let state = alice.account_status().await.unwrap().state;
        faults.make_room();
        let Err(error) = &opened else {
            assert!(room > 0, "nothing is written without room");
            return;
        };
        assert_eq!(state, AccountState::Locked, "after {error:?}, with room for {room} strides");
        alice.account_unlock(PASSWORD, None).await.unwrap_or_else(|error| panic!("room for {room}: {error:?}"));
        assert_eq!(rollbacks_told(&alice).await, 1, "with room for {room} strides");
        alice.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_for_whose_new_vault_there_is_no_room_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let alice = peer(dir.path(), &faults);
    alice.account_create("alice", PASSWORD).await.unwrap();
    alice.settings_set("typing", false).await.unwrap();
    faults.full_at_length(0);
    let refused = alice.account_rekey(PASSWORD).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::DiskFull);
    assert_eq!(alice.account_status().await.unwrap().state, AccountState::Unlocked);
    assert_eq!(alice.settings_get("typing".to_owned()).await.unwrap().settings["typing"], false);
    faults.make_room();
    alice.account_rekey(PASSWORD).await.unwrap();
    assert_eq!(alice.account_status().await.unwrap().state, AccountState::Unlocked);
}
