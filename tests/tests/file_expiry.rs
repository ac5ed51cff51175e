//! What is kept of a file, how long and how much. When its day is over, or it was taken back, it is gone:
//! from the sharer, from the recipient, from the rendezvous node, and also for who was away at the time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use std::path::Path;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use secure_chat_node::api::{Direction, Downloaded, ErrorKind, Event, Expiry, FileState};
use secure_chat_protocol::limits::HOUR_MS;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use secure_chat_tests::{Persona, TestNet, become_contacts, goes_away};

const DAY_AND_HOUR_MS: u64 = 25 * HOUR_MS;
/// Longest that anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

async fn share_for_a_day(from: &Persona, folder: &Path, name: &str, content: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    let (path, to) = (path.to_string_lossy().into_owned(), Some("bob".to_owned()));
    let expires = Some(Expiry::Day);
    let shared = from.handle().unwrap().files_share(path, to, None::<String>, expires, None::<String>, None::<bool>);
    shared.await.unwrap().file_id
}

async fn offered(to: &mut Persona) {
    to.until(|event| matches!(event, Event::FileShared(_)).then_some(())).await.unwrap();
}

async fn expired(at: &mut Persona, file: &str) {
    at.until(|event| match event {
        Event::FileDeleted { file_id, expired } if file_id == file => expired.then_some(()),
        _ => None,
    })
    .await
    .unwrap();
}

async fn in_state(of: &mut Persona, wanted: FileState) {
    of.until(|event| match event {
        Event::FileState(view) => (view.state == wanted).then_some(()),
        _ => None,
    })
    .await
    .unwrap();
}

async fn listed(of: &Persona) -> usize {
    of.handle().unwrap().files_list(None, None::<String>).await.unwrap().files.len()
}

async fn left_at_a_node(from: &mut Persona, file: &str) {
    from.until(|event| match event {
        Event::FileCompleted { file_id, direction: Direction::Upload, .. } => (file_id == file).then_some(()),
        _ => None,
    })
    .await
    .unwrap();
}

/// Files that lie under a folder, whole or growing.
fn lying(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| if path.is_dir() { lying(&path) } else { 1 }).sum()
}

/// Waits until nothing lies under a folder: no event tells of it.
async fn empties(folder: &Path) {
    let wait = async {
        while lying(folder) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("something is left");
}

fn passes(who: &Persona) {
    who.clock.jump(i64::try_from(DAY_AND_HOUR_MS).unwrap());
}

async fn two(net: &TestNet) -> (Persona, Persona) {
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    (alice, bob)
}

async fn download(by: &Persona, file: &str, to: &Path) -> Result<Downloaded, secure_chat_node::api::ApiError> {
    by.handle().unwrap().files_download(file, Some(to.to_string_lossy().into_owned()), None::<bool>).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_shared_for_a_day_is_gone_everywhere_also_for_those_who_were_away() {
    let mut net = TestNet::new().unwrap();
    let node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = two(&net).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let seen = share_for_a_day(&alice, from.path(), "seen.zip", &bytes(700_000, 1)).await;
    offered(&mut bob).await;
    goes_away(&mut bob, &mut alice).await.unwrap();
    let unseen = share_for_a_day(&alice, from.path(), "unseen.zip", &bytes(700_000, 2)).await;
    left_at_a_node(&mut alice, &unseen).await;
    let chunks = net.folder().join("rendezvous-0/chunks");
    while lying(&chunks) < 2 {
        // The first one waits there as well: Bob has not fetched it.
        left_at_a_node(&mut alice, &seen).await;
    }
    alice.away().await;
    // Nobody is there but the node: a little before the day is over nothing happens, and then it deletes.
    node.let_pass(Duration::from_millis(23 * HOUR_MS));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(lying(&chunks), 2, "it deletes nothing before its time");
    node.let_pass(Duration::from_millis(3 * HOUR_MS));
    empties(&chunks).await;
    passes(&alice);
    passes(&bob);
    alice.back().await.unwrap();
    assert_eq!(listed(&alice).await, 0);
    bob.back().await.unwrap();
    assert_eq!(listed(&bob).await, 0);
    assert_eq!(download(&bob, &seen, to.path()).await.unwrap_err().kind, ErrorKind::Expired);
    // What was said while he was away arrives, and that of the file shows nothing.
    alice.says("bob", "are you there?").await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "are you there?");
    assert_eq!(listed(&bob).await, 0);
    assert_eq!(download(&bob, &unseen, to.path()).await.unwrap_err().kind, ErrorKind::NotFound);
    for who in [&alice, &bob] {
        let other = if who.name == "alice" { "bob" } else { "alice" };
        let page = who.handle().unwrap().messages_history(other, None::<String>, None::<String>, None::<String>, None);
        let messages = page.await.unwrap().messages;
        assert!(messages.iter().all(|message| message.file.is_none()), "{} still sees a file", who.name);
    }
    assert_eq!((lying(to.path()), lying(from.path())), (0, 2), "the sharer's own files stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sharer_serves_nobody_after_the_day_whatever_the_recipient_s_clock_shows() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = two(&net).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = share_for_a_day(&alice, from.path(), "a.zip", &bytes(700_000, 1)).await;
    offered(&mut bob).await;
    passes(&alice);
    // Whatever is done next finds it gone.
    alice.says("bob", "a day later").await.unwrap();
    expired(&mut alice, &file).await;
    let (handle, id, folder) = (bob.handle().unwrap().clone(), file.clone(), to.path().to_string_lossy().into_owned());
    let waiting = tokio::spawn(async move { handle.files_download(id, Some(folder), None::<bool>).await });
    in_state(&mut bob, FileState::Downloading).await;
    in_state(&mut bob, FileState::Waiting).await;
    passes(&bob);
    assert_eq!(listed(&bob).await, 0);
    expired(&mut bob, &file).await;
    assert_eq!(waiting.await.unwrap().unwrap_err().kind, ErrorKind::Expired);
    empties(to.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_expires_while_it_is_fetched_is_given_up_and_leaves_nothing() {
    let net = TestNet::new().unwrap();
    let (alice, mut bob) = two(&net).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = bytes(96_000_000, 1);
    // Once both go on, and once the recipient dies with a part of it on the disk.
    for dies in [false, true] {
        let file = share_for_a_day(&alice, from.path(), "a.zip", &content).await;
        offered(&mut bob).await;
        let handle = bob.handle().unwrap().clone();
        let (id, folder) = (file.clone(), to.path().to_string_lossy().into_owned());
        let waiting = tokio::spawn(async move { handle.files_download(id, Some(folder), None::<bool>).await });
        in_state(&mut bob, FileState::Downloading).await;
        let grows = async {
            while lying(to.path()) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, grows).await.expect("it does not begin to grow");
        if dies {
            bob.killed().await;
            assert!(waiting.await.unwrap().is_err(), "the peer that was asked is gone");
            passes(&bob);
            bob.back().await.unwrap();
        } else {
            passes(&bob);
            bob.says("alice", "a day later").await.unwrap();
            expired(&mut bob, &file).await;
            assert_eq!(waiting.await.unwrap().unwrap_err().kind, ErrorKind::Expired);
        }
        assert_eq!(listed(&bob).await, 0);
        empties(to.path()).await;
        assert_eq!(download(&bob, &file, to.path()).await.unwrap_err().kind, ErrorKind::Expired);
        passes(&alice);
        assert_eq!(listed(&alice).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_back_leaves_the_node_at_once_and_whoever_was_away_never_gets_it() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = two(&net).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    goes_away(&mut bob, &mut alice).await.unwrap();
    let file = share_for_a_day(&alice, from.path(), "a.zip", &bytes(700_000, 1)).await;
    left_at_a_node(&mut alice, &file).await;
    let chunks = net.folder().join("rendezvous-0/chunks");
    assert_eq!(lying(&chunks), 1);
    alice.handle().unwrap().files_delete(file.clone()).await.unwrap();
    empties(&chunks).await;
    alice.says("bob", "a mistake").await.unwrap();
    bob.back().await.unwrap();
    // The manifest waited for him, and so did the word that it was taken back.
    let gone = bob.until(|event| match event {
        Event::FileDeleted { file_id, expired } if file_id == file => Some(expired),
        _ => None,
    });
    assert!(!gone.await.unwrap());
    assert_eq!((listed(&alice).await, listed(&bob).await), (0, 0));
    assert_eq!(download(&bob, &file, to.path()).await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_files_fills_a_node_up_to_its_quota_and_the_rest_goes_directly() {
    const FILES: usize = 6;
    let mut net = TestNet::new().unwrap();
    let mut config = RendezvousConfig::new(net.folder().join("small")).in_memory();
    // Room for two files of three chunks, and not for a third.
    config.limits.blob_bytes_per_account = 7 * 262_160;
    let node = RendezvousNode::start(config).await.unwrap();
    net.use_home(&node.addresses().remove(0));
    let (mut alice, mut bob) = two(&net).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    goes_away(&mut bob, &mut alice).await.unwrap();
    let mut files = Vec::new();
    for number in 0..FILES {
        let content = bytes(700_000, number as u64);
        files.push(share_for_a_day(&alice, from.path(), &format!("{number}.zip"), &content).await);
    }
    let (mut left, mut refused) = (0, 0);
    while left + refused < FILES {
        let told = alice.until(|event| match event {
            Event::FileCompleted { direction: Direction::Upload, .. } => Some(Ok(())),
            Event::FileFailed { direction: Direction::Upload, reason, .. } => Some(Err(reason)),
            _ => None,
        });
        match told.await.unwrap() {
            Ok(()) => left += 1,
            Err(reason) => {
                assert!(reason.contains("no room"), "{reason}");
                refused += 1;
            }
        }
    }
    assert_eq!((left, refused), (2, FILES - 2));
    assert_eq!(lying(&net.folder().join("small/chunks")), 2, "nothing half is left there");
    // Nothing is lost: what has no room there waits with its sharer.
    bob.back().await.unwrap();
    for _ in 0..FILES {
        offered(&mut bob).await;
    }
    for (number, file) in files.iter().enumerate() {
        let done = download(&bob, file, to.path()).await.unwrap();
        assert_eq!(std::fs::read(done.path).unwrap(), bytes(700_000, number as u64));
    }
}
