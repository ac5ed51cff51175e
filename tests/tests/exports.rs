//! Exports and backups that can't be written, or are none: what is said, and that nothing is lost
//! or left behind. The one about room needs a small file system and skips itself where it may not mount one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use secure_chat_node::api::{ApiError, ErrorKind, ExportFormat, NodeHandle};
use secure_chat_node::config::{NodeConfig, Transport};
use secure_chat_node::engine::Node;
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_tests::PASSWORD;

const PASSPHRASE: &str = "Passphrase-of-the-backup-9";

async fn alice(dir: &Path) -> NodeHandle {
    let mut config = NodeConfig::new(dir);
    config.mdns = false;
    config.kdf = Argon2Params::LEAST;
    config.transport = Transport::Memory;
    config.listen = vec!["/memory/0".to_owned()];
    let alice = Node::start(config).expect("a peer starts");
    alice.account_create("alice", PASSWORD).await.unwrap();
    alice
}

/// Both that write a file where the person says.
async fn both(alice: &NodeHandle, path: &Path) -> [ApiError; 2] {
    let path = path.to_string_lossy().into_owned();
    let backup = alice.account_export(path.clone(), PASSPHRASE).await.unwrap_err();
    let report = alice.security_export(path, ExportFormat::Html).await.unwrap_err();
    [backup, report]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_to_no_place_says_so_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let alice = alice(&dir.path().join("alice")).await;
    let taken = dir.path().join("taken");
    std::fs::write(&taken, b"mine").unwrap();
    let places: [(PathBuf, ErrorKind); 5] = [
        ("relative.backup".into(), ErrorKind::InvalidInput),
        (dir.path().join("no/such/folder/a.backup"), ErrorKind::InvalidInput),
        (taken.join("below-a-file"), ErrorKind::InvalidInput),
        ("/proc/nobody-writes-here".into(), ErrorKind::InvalidInput),
        (taken.clone(), ErrorKind::Conflict),
    ];
    for (place, kind) in places {
        for error in both(&alice, &place).await {
            assert_eq!((error.kind, error.field), (kind, Some("path")), "{place:?}: {error:?}");
        }
    }
    assert_eq!(std::fs::read(&taken).unwrap(), b"mine");
    let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["alice", "taken"], "nothing half done is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_without_room_says_so_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "secure-chat-test"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: no file system may be mounted here");
        return;
    }
    let alice = alice(&dir.path().join("alice")).await;
    for minutes in 1..=1_000_u32 {
        alice.settings_set("auto_lock_minutes", minutes).await.unwrap();
    }
    let errors = both(&alice, &small.join("export")).await;
    let left = std::fs::read_dir(&small).unwrap().count();
    let elsewhere = alice.account_export(dir.path().join("there").display().to_string(), PASSPHRASE).await;
    Command::new("umount").arg("--lazy").arg(&small).status().unwrap();
    assert_eq!(errors.map(|error| error.kind), [ErrorKind::DiskFull, ErrorKind::DiskFull]);
    assert_eq!(left, 0, "nothing half written is left");
    elsewhere.expect("and with room it works");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_another_version_is_named_as_that() {
    let dir = tempfile::tempdir().unwrap();
    let first = alice(&dir.path().join("one")).await;
    let file = dir.path().join("alice.backup");
    first.account_export(file.display().to_string(), PASSPHRASE).await.unwrap();
    first.account_wipe(PASSWORD, None).await.unwrap();
    let whole = std::fs::read(&file).unwrap();
    for version in [0_u8, 2, 255] {
        let mut other = whole.clone();
        other[8] = version;
        std::fs::write(&file, other).unwrap();
        let refused = first.account_import(file.display().to_string(), PASSPHRASE, PASSWORD).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::UnsupportedVersion, "version {version}");
        assert!(first.account_list().await.unwrap().accounts.is_empty());
    }
    std::fs::write(&file, whole).unwrap();
    first.account_import(file.display().to_string(), PASSPHRASE, PASSWORD).await.unwrap();
}
