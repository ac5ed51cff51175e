//! Received files that are kept encrypted in the data directory, when that is wished.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use std::path::{Path, PathBuf};

use secure_chat_node::api::{ErrorKind, Event, FileState, FileView, JoinPolicy, Status};
use secure_chat_tests::{Persona, TestNet, become_contacts};
use serde_json::json;

const LETTER: &[u8] = b"%PDF-1.7 Dear Director, I resign.";

/// All files under a folder.
fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
    found
}

async fn offered(to: &mut Persona) -> FileView {
    let offered = to.until(|event| match event {
        Event::FileShared(file) => Some(*file),
        _ => None,
    });
    offered.await.unwrap()
}

async fn row(of: &Persona, file: &str) -> FileView {
    let files = of.handle().unwrap().files_list(None, None::<String>).await.unwrap().files;
    files.into_iter().find(|row| row.file_id == file).unwrap()
}

async fn joins(owner: &mut Persona, other: &mut Persona, group: &str) {
    become_contacts(owner, other).await.unwrap();
    owner.handle().unwrap().groups_invite(group, Some(other.name.clone()), None).await.unwrap();
    other.until(|event| matches!(event, Event::GroupInvited { .. }).then_some(())).await.unwrap();
    other.handle().unwrap().groups_join(Some(group.to_owned()), None::<String>).await.unwrap();
    other.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_kept_encrypted_can_be_read_by_nobody_else_and_be_handed_on() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    alice.handle().unwrap().settings_set("upload_max_bytes", json!(0)).await.unwrap();
    bob.handle().unwrap().settings_set("encrypt_received_files", json!(true)).await.unwrap();
    let made = alice.handle().unwrap().groups_create("Board", None::<String>, false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    joins(&mut alice, &mut bob, &group).await;
    joins(&mut alice, &mut carol, &group).await;
    let folder = tempfile::tempdir().unwrap();
    let content = LETTER.repeat(20_000);
    std::fs::write(folder.path().join("letter.pdf"), &content).unwrap();
    let path = folder.path().join("letter.pdf").to_string_lossy().into_owned();
    let shared =
        alice.handle().unwrap().files_share(path, None::<String>, Some(group), None, None::<String>, None::<bool>);
    let file = shared.await.unwrap().file_id;
    offered(&mut bob).await;
    offered(&mut carol).await;
    let done = bob.handle().unwrap().files_download(file.clone(), None::<String>, None::<bool>).await.unwrap();
    assert_eq!(done.bytes, content.len() as u64);
    let view = row(&bob, &file).await;
    assert_eq!((view.state, view.encrypted, view.path, view.warning), (FileState::Completed, true, None, None));
    for (path, bytes) in everything(bob.dir()) {
        let shown = bytes.windows(8).any(|part| part == &LETTER[9..17]);
        assert!(!shown && !path.to_string_lossy().contains("letter"), "{path:?} shows something");
    }
    // Also after a restart: where it is, is known, and it is handed on.
    bob.away().await;
    bob.back().await.unwrap();
    alice.away().await;
    carol
        .until(|event| match event {
            Event::PresenceChanged { username, status: Status::Offline, .. } => (username == "alice").then_some(()),
            _ => None,
        })
        .await
        .unwrap();
    let carols = tempfile::tempdir().unwrap();
    let to = carols.path().to_string_lossy().into_owned();
    let done = carol.handle().unwrap().files_download(file.clone(), Some(to), None::<bool>).await.unwrap();
    assert_eq!(std::fs::read(done.path).unwrap(), content);
    // Bob wants to read it.
    let error = bob.handle().unwrap().files_download(file.clone(), None::<String>, None::<bool>).await.unwrap_err();
    assert_eq!((error.kind, error.field), (ErrorKind::InvalidInput, Some("path")));
    let bobs = tempfile::tempdir().unwrap();
    let to = bobs.path().to_string_lossy().into_owned();
    let copy = bob.handle().unwrap().files_download(file.clone(), Some(to), None::<bool>).await.unwrap();
    assert_eq!(copy.path, bobs.path().join("letter.pdf").to_string_lossy());
    assert_eq!(std::fs::read(copy.path).unwrap(), content);
    // What he deletes is gone from the disk.
    bob.handle().unwrap().files_delete(file).await.unwrap();
    bob.away().await;
    assert!(everything(&bob.dir().join("files")).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_copy_goes_on_after_a_death_and_a_damaged_one_is_noticed() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    bob.handle().unwrap().settings_set("encrypt_received_files", json!(true)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let content = LETTER.repeat(600_000);
    std::fs::write(folder.path().join("letter.pdf"), &content).unwrap();
    let path = folder.path().join("letter.pdf").to_string_lossy().into_owned();
    let to = Some("bob".to_owned());
    let shared = alice.handle().unwrap().files_share(path, to, None::<String>, None, None::<String>, None::<bool>);
    let file = shared.await.unwrap().file_id;
    offered(&mut bob).await;
    let (handle, id) = (bob.handle().unwrap().clone(), file.clone());
    let waiting = tokio::spawn(async move { handle.files_download(id, None::<String>, None::<bool>).await });
    bob.until(|event| match event {
        Event::FileState(view) => (view.state == FileState::Downloading).then_some(()),
        _ => None,
    })
    .await
    .unwrap();
    bob.killed().await;
    assert!(waiting.await.unwrap().is_err());
    bob.back().await.unwrap();
    bob.until(|event| match event {
        Event::FileState(view) => (view.state == FileState::Completed).then_some(()),
        _ => None,
    })
    .await
    .unwrap();
    let bobs = tempfile::tempdir().unwrap();
    let to = bobs.path().to_string_lossy().into_owned();
    let copy = bob.handle().unwrap().files_download(file.clone(), Some(to.clone()), None::<bool>).await.unwrap();
    assert_eq!(std::fs::read(copy.path).unwrap(), content);
    let (sealed, mut bytes) = everything(&bob.dir().join("files")).remove(0);
    if let Some(byte) = bytes.get_mut(1_000_000) {
        *byte ^= 1;
    }
    std::fs::write(sealed, bytes).unwrap();
    let error = bob.handle().unwrap().files_download(file, Some(to), None::<bool>).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Storage, "{}", error.message);
    let names: Vec<_> = std::fs::read_dir(bobs.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["letter.pdf"], "nothing of the damaged one");
}
