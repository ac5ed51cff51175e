//! Files that are on their way: several at once, in turns, and taken back in the middle. Transfers are held where
//! a test wants them, so that nothing here depends on who is faster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use secure_chat_node::api::{ApiError, Direction, Downloaded, ErrorKind, Event, FileState, FileView, JoinPolicy};
use secure_chat_node::files::limits::{DOWNLOADS_AT_ONCE_MAX, DOWNLOADS_OF_ONE_SHARER_MAX};
use secure_chat_tests::hold::{ASKED, BEGINS, ENDED, ENDS, Transfers, WRITTEN};
use secure_chat_tests::{Persona, TestNet, become_contacts, goes_away};
use tokio::task::JoinHandle;

const CHUNK_BYTES: usize = 262_144;
/// Longest that anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn text(&self) -> String {
        self.0.path().to_string_lossy().into_owned()
    }

    /// The names in it, sorted.
    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

async fn share(from: &Persona, to: &str, path: &Path) -> String {
    let path = path.to_string_lossy().into_owned();
    let shared = from
        .handle()
        .unwrap()
        .files_share(path, Some(to.to_owned()), None::<String>, None, None::<String>, None::<bool>)
        .await;
    shared.unwrap().file_id
}

async fn offered(to: &mut Persona) {
    to.until(|event| matches!(event, Event::FileShared(_)).then_some(())).await.unwrap();
}

/// Asks for a file, and waits apart.
fn download(by: &Persona, file: &str, folder: &Folder) -> JoinHandle<Result<Downloaded, ApiError>> {
    let (handle, file, folder) = (by.handle().unwrap().clone(), file.to_owned(), folder.text());
    tokio::spawn(async move { handle.files_download(file, Some(folder), None::<bool>).await })
}

/// What came of it.
async fn answered(waiting: JoinHandle<Result<Downloaded, ApiError>>) -> Result<Downloaded, ApiError> {
    tokio::time::timeout(PATIENCE, waiting).await.expect("no answer").unwrap()
}

async fn in_state(of: &mut Persona, file: &str, wanted: FileState) {
    of.until(|event| match event {
        Event::FileState(view) => (view.file_id == file && view.state == wanted).then_some(()),
        _ => None,
    })
    .await
    .unwrap();
}

async fn list(of: &Persona) -> Vec<FileView> {
    of.handle().unwrap().files_list(None, None::<String>).await.unwrap().files
}

/// Says something, which arrives.
async fn says(from: &Persona, to: &mut Persona, text: &str) {
    from.says(&to.name, text).await.unwrap();
    assert_eq!(to.reads().await.unwrap(), text);
}

/// All states that files pass through and all that are completed, until `count` are.
fn states_until_completed(of: &Persona, count: usize) -> JoinHandle<Vec<(String, FileState)>> {
    let mut events = of.handle().unwrap().events();
    let all = async move {
        let (mut states, mut completed) = (Vec::new(), 0);
        while completed < count {
            if let Event::FileState(view) = events.next().await.expect("the peer stopped").event {
                completed += usize::from(view.state == FileState::Completed);
                states.push((view.file_id, view.state));
            }
        }
        states
    };
    tokio::spawn(async move { tokio::time::timeout(PATIENCE, all).await.expect("not all arrive") })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_a_few_files_move_at_once_and_all_get_their_turn_and_chat_goes_on() {
    const CHUNKS: usize = 32;
    let transfers = Transfers::of_this_process().await;
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    let mut carol = net.persona("carol").await.unwrap();
    become_contacts(&mut alice, &mut bob).await.unwrap();
    become_contacts(&mut carol, &mut bob).await.unwrap();
    let (from, to) = (Folder::new(), Folder::new());
    let (mut files, mut contents) = (Vec::new(), Vec::new());
    // Alice shares much, and Carol a little after her.
    for number in 0..8 {
        let content = bytes(CHUNKS * CHUNK_BYTES, number);
        let sharer = if number < 6 { &alice } else { &carol };
        files.push(share(sharer, "bob", &from.write(&format!("{number}.zip"), &content)).await);
        offered(&mut bob).await;
        contents.push(content);
    }
    let told = states_until_completed(&bob, files.len());
    transfers.hold_at(WRITTEN, Some(5));
    let mut waiting = Vec::new();
    for file in &files {
        waiting.push(download(&bob, file, &to));
        in_state(&mut bob, file, FileState::Waiting).await;
    }
    transfers.standing(DOWNLOADS_AT_ONCE_MAX).await;
    let rows = list(&bob).await;
    let moving = rows.iter().filter(|row| row.state == FileState::Downloading);
    let moving: BTreeSet<&str> = moving.map(|row| row.file_id.as_str()).collect();
    assert_eq!(moving, BTreeSet::from([&*files[0], &*files[1], &*files[2], &*files[6]]), "a place is left for Carol");
    assert_eq!(rows.iter().filter(|row| row.state == FileState::Waiting).count(), 4, "the others say that they wait");
    let each = rows.iter().filter(|row| row.state == FileState::Downloading).map(|row| row.bytes_done);
    assert_eq!(each.collect::<BTreeSet<_>>(), [5 * CHUNK_BYTES as u64].into(), "each of them moved");
    assert_eq!(transfers.count(), DOWNLOADS_AT_ONCE_MAX);
    // They stand, with all that was asked for on the line; and then they move.
    says(&bob, &mut alice, "do you hear me?").await;
    says(&alice, &mut bob, "I do").await;
    transfers.hold_at(WRITTEN, Some(u32::try_from(CHUNKS).unwrap() - 1));
    says(&bob, &mut carol, "and you?").await;
    says(&carol, &mut bob, "I do too").await;
    transfers.standing(DOWNLOADS_AT_ONCE_MAX).await;
    transfers.release();
    for (number, waiting) in waiting.into_iter().enumerate() {
        let done = answered(waiting).await.unwrap();
        assert_eq!(std::fs::read(done.path).unwrap(), contents[number]);
    }
    assert_eq!(to.names(), (0..8).map(|number| format!("{number}.zip")).collect::<Vec<_>>());

    let (mut moving, mut begun, mut most) = (BTreeSet::new(), Vec::new(), 0);
    for (file, state) in told.await.unwrap() {
        if state == FileState::Downloading {
            moving.insert(file.clone());
            begun.push(file);
        } else {
            moving.remove(&file);
        }
        let alices = moving.iter().filter(|file| files[..6].contains(file)).count();
        assert!(moving.len() <= DOWNLOADS_AT_ONCE_MAX && alices <= DOWNLOADS_OF_ONE_SHARER_MAX);
        most = most.max(moving.len());
    }
    assert_eq!(most, DOWNLOADS_AT_ONCE_MAX);
    assert_eq!(begun.len(), files.len(), "none begins twice");
    let turn = |file: &String| begun.iter().position(|begun| begun == file);
    // Several of Alice's may end at the same moment: then some that are older come before it, and never all.
    assert!(turn(&files[7]) < turn(&files[5]), "Carol's second one does not wait for all of Alice's");
}

async fn left_at_a_node(from: &mut Persona, file: &str) {
    let left = from.until(|event| match event {
        Event::FileCompleted { file_id, direction: Direction::Upload, .. } => (file_id == file).then_some(()),
        _ => None,
    });
    left.await.unwrap();
}

async fn deleted(at: &mut Persona, file: &str) {
    let gone = at.until(|event| match event {
        Event::FileDeleted { file_id, expired } if file_id == file => Some(expired),
        _ => None,
    });
    assert!(!gone.await.unwrap());
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_back_in_the_middle_leaves_nothing_at_the_recipient_nor_at_the_node() {
    let transfers = Transfers::of_this_process().await;
    // Once the recipient hears of it at once, and once they die in the middle and hear of it later.
    for dies in [false, true] {
        let mut net = TestNet::new().unwrap();
        let _node = net.rendezvous().await.unwrap();
        let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
        become_contacts(&mut alice, &mut bob).await.unwrap();
        let (from, to) = (Folder::new(), Folder::new());
        goes_away(&mut bob, &mut alice).await.unwrap();
        // Far more than has come and waits in memory when they die: what is written still must not make it whole.
        let file = share(&alice, "bob", &from.write("a.zip", &bytes(80 * CHUNK_BYTES, 1))).await;
        left_at_a_node(&mut alice, &file).await;
        let chunks = net.folder().join("rendezvous-0/chunks");
        assert_eq!(lying(&chunks), 1);
        bob.back().await.unwrap();
        offered(&mut bob).await;
        transfers.hold_at(WRITTEN, Some(20));
        let waiting = download(&bob, &file, &to);
        transfers.standing(1).await;
        assert_eq!(lying(to.path()), 1, "a part of it is there");
        if dies {
            bob.killed().await;
            assert!(answered(waiting).await.is_err(), "the peer that was asked is gone");
            transfers.release();
            transfers.passed(ENDED, 2).await;
            assert_eq!(lying(to.path()), 1, "what came is kept for the next life");
            alice.handle().unwrap().files_delete(file.clone()).await.unwrap();
            empties(&chunks).await;
            bob.back().await.unwrap();
            deleted(&mut bob, &file).await;
        } else {
            alice.handle().unwrap().files_delete(file.clone()).await.unwrap();
            deleted(&mut bob, &file).await;
            let error = answered(waiting).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound);
            assert!(error.message.contains("deleted"), "{}", error.message);
            transfers.release();
            empties(&chunks).await;
        }
        empties(to.path()).await;
        assert!(list(&alice).await.is_empty() && list(&bob).await.is_empty());
        says(&bob, &mut alice, "as you like").await;
        let error = answered(download(&bob, &file, &to)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert_eq!((lying(to.path()), lying(&chunks), from.names()), (0, 0, vec!["a.zip".to_owned()]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_deletes_what_they_fetch_keeps_nothing_wherever_it_stands() {
    let transfers = Transfers::of_this_process().await;
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let (from, to) = (Folder::new(), Folder::new());
    let path = from.write("a.zip", &bytes(40 * CHUNK_BYTES, 1));
    // Before there is anything on the disk, in the middle, and when it is whole and about to get its name.
    for (round, (step, index)) in [(BEGINS, None), (WRITTEN, Some(20)), (ENDS, None)].into_iter().enumerate() {
        for cancels in [false, true] {
            let file = share(&alice, "bob", &path).await;
            offered(&mut bob).await;
            transfers.hold_at(step, index);
            let waiting = download(&bob, &file, &to);
            transfers.standing(1).await;
            let handle = bob.handle().unwrap();
            if cancels {
                handle.files_cancel(file.clone()).await.unwrap();
            } else {
                handle.files_delete(file.clone()).await.unwrap();
            }
            assert!(answered(waiting).await.is_err());
            transfers.release();
            transfers.passed(ENDED, 2 * round + 1 + usize::from(cancels)).await;
            empties(to.path()).await;
            let states: Vec<_> = list(&bob).await.into_iter().filter(|row| row.file_id == file).collect();
            assert_eq!(states.first().map(|row| row.state), cancels.then_some(FileState::Cancelled));
        }
    }
    assert!(list(&alice).await.iter().all(|row| row.state == FileState::Shared && row.downloads == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_it_came_is_shown_also_while_it_is_halted() {
    let transfers = Transfers::of_this_process().await;
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let (from, to) = (Folder::new(), Folder::new());
    let content = bytes(40 * CHUNK_BYTES, 1);
    let file = share(&alice, "bob", &from.write("a.zip", &content)).await;
    offered(&mut bob).await;
    transfers.hold_at(WRITTEN, Some(20));
    let waiting = download(&bob, &file, &to);
    transfers.standing(1).await;
    bob.handle().unwrap().files_pause(file.clone()).await.unwrap();
    let shown = async |of: &Persona| list(of).await.first().map(|row| (row.state, row.bytes_done)).unwrap();
    assert_eq!(shown(&bob).await, (FileState::Paused, 20 * CHUNK_BYTES as u64));
    transfers.release();
    transfers.passed(ENDED, 1).await;
    assert_eq!(shown(&bob).await, (FileState::Paused, 20 * CHUNK_BYTES as u64));
    bob.killed().await;
    assert!(answered(waiting).await.is_err(), "the peer that was asked is gone");
    bob.back().await.unwrap();
    let lies_there = bob.until(|event| match event {
        Event::FileState(view) if view.state == FileState::Paused => Some(view.bytes_done),
        _ => None,
    });
    assert!(lies_there.await.unwrap() >= 20 * CHUNK_BYTES as u64, "what came is shown in the next life too");
    bob.handle().unwrap().files_resume(file.clone()).await.unwrap();
    let done = bob.until(|event| match event {
        Event::FileCompleted { downloaded, .. } => downloaded,
        _ => None,
    });
    assert_eq!(std::fs::read(done.await.unwrap().path).unwrap(), content);
    assert_eq!(shown(&bob).await, (FileState::Completed, 40 * CHUNK_BYTES as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_use_when_it_was_to_go_goes_in_the_next_life() {
    let transfers = Transfers::of_this_process().await;
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let (from, to) = (Folder::new(), Folder::new());
    let path = from.write("a.zip", &bytes(80 * CHUNK_BYTES, 1));
    for (round, cancels) in [false, true].into_iter().enumerate() {
        let file = share(&alice, "bob", &path).await;
        offered(&mut bob).await;
        transfers.hold_at(WRITTEN, Some(20));
        let waiting = download(&bob, &file, &to);
        transfers.standing(1).await;
        let handle = bob.handle().unwrap();
        if cancels {
            handle.files_cancel(file.clone()).await.unwrap();
        } else {
            handle.files_delete(file.clone()).await.unwrap();
        }
        assert!(answered(waiting).await.is_err());
        bob.killed().await;
        transfers.release();
        transfers.passed(ENDED, round + 1).await;
        assert_eq!(lying(to.path()), 1, "nobody was left to remove it");
        bob.back().await.unwrap();
        empties(to.path()).await;
        let states: Vec<_> = list(&bob).await.into_iter().filter(|row| row.file_id == file).collect();
        assert_eq!(states.first().map(|row| row.state), cancels.then_some(FileState::Cancelled));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_whole_when_it_is_halted_is_here_and_is_not_fetched_again() {
    let transfers = Transfers::of_this_process().await;
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let (from, to) = (Folder::new(), Folder::new());
    let content = bytes(40 * CHUNK_BYTES, 1);
    let path = from.write("a.zip", &content);
    for (round, resumes) in [false, true].into_iter().enumerate() {
        let file = share(&alice, "bob", &path).await;
        offered(&mut bob).await;
        transfers.hold_at(ENDS, None);
        let waiting = download(&bob, &file, &to);
        transfers.standing(1).await;
        bob.handle().unwrap().files_pause(file.clone()).await.unwrap();
        if resumes {
            bob.handle().unwrap().files_resume(file.clone()).await.unwrap();
        }
        transfers.release();
        let done = answered(waiting).await.unwrap();
        assert_eq!(std::fs::read(&done.path).unwrap(), content);
        assert!(done.routes.direct < 41 * 262_160, "nothing came twice: {:?}", done.routes);
        assert_eq!(list(&bob).await.first().map(|row| row.state), Some(FileState::Completed));
        let wait = async {
            while lying(to.path()) != round + 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("something else is left");
    }
    assert_eq!(to.names(), ["a (1).zip", "a.zip"]);
}

async fn joins(owner: &mut Persona, other: &mut Persona, group: &str) {
    become_contacts(owner, other).await.unwrap();
    owner.handle().unwrap().groups_invite(group, Some(other.name.clone()), None).await.unwrap();
    other.until(|event| matches!(event, Event::GroupInvited { .. }).then_some(())).await.unwrap();
    other.handle().unwrap().groups_join(Some(group.to_owned()), None::<String>).await.unwrap();
    other.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_deletes_a_group_s_file_hands_on_nothing_more_of_it() {
    const CHUNKS: usize = 200;
    let transfers = Transfers::of_this_process().await;
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    alice.handle().unwrap().settings_set("upload_max_bytes", serde_json::json!(0)).await.unwrap();
    let made = alice.handle().unwrap().groups_create("Hikers", None::<String>, false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    for other in [&mut bob, &mut carol] {
        joins(&mut alice, other, &group).await;
    }
    let (from, bobs, carols) = (Folder::new(), Folder::new(), Folder::new());
    let content = bytes(CHUNKS * CHUNK_BYTES, 9);
    let path = from.write("film.mp4", &content).to_string_lossy().into_owned();
    let shared =
        alice.handle().unwrap().files_share(path, None::<String>, Some(group), None, None::<String>, None::<bool>);
    let file = shared.await.unwrap().file_id;
    offered(&mut bob).await;
    offered(&mut carol).await;
    answered(download(&bob, &file, &bobs)).await.unwrap();
    goes_away(&mut alice, &mut carol).await.unwrap();
    transfers.hold_at(WRITTEN, Some(10));
    let waiting = download(&carol, &file, &carols);
    transfers.standing(1).await;
    bob.handle().unwrap().files_delete(file.clone()).await.unwrap();
    transfers.release();
    in_state(&mut carol, &file, FileState::Downloading).await;
    // More than what was on the line does not come, and that is no failure: others may have it.
    in_state(&mut carol, &file, FileState::Waiting).await;
    assert_eq!(carols.names(), [format!(".{file}.part")]);
    assert_eq!(bobs.names(), ["film.mp4"], "what he has in a folder of his own is his");
    alice.back().await.unwrap();
    let done = answered(waiting).await.unwrap();
    assert_eq!(std::fs::read(done.path).unwrap(), content);
    assert_eq!(carols.names(), ["film.mp4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_who_comes_while_a_file_is_fetched_hands_on_the_rest() {
    const CHUNKS: usize = 200;
    let transfers = Transfers::of_this_process().await;
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    alice.handle().unwrap().settings_set("upload_max_bytes", serde_json::json!(0)).await.unwrap();
    let made = alice.handle().unwrap().groups_create("Hikers", None::<String>, false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    for other in [&mut bob, &mut carol] {
        joins(&mut alice, other, &group).await;
    }
    let (from, bobs, carols) = (Folder::new(), Folder::new(), Folder::new());
    let content = bytes(CHUNKS * CHUNK_BYTES, 9);
    let path = from.write("film.mp4", &content).to_string_lossy().into_owned();
    let shared =
        alice.handle().unwrap().files_share(path, None::<String>, Some(group), None, None::<String>, None::<bool>);
    let file = shared.await.unwrap().file_id;
    offered(&mut bob).await;
    offered(&mut carol).await;
    answered(download(&bob, &file, &bobs)).await.unwrap();
    bob.away().await;
    transfers.hold_at(WRITTEN, Some(10));
    let waiting = download(&carol, &file, &carols);
    transfers.standing(1).await;
    transfers.passed(ASKED, 2).await;
    bob.back().await.unwrap();
    // Once for Bob, once for Carol, and now Bob for Carol.
    transfers.passed(ASKED, 3).await;
    alice.away().await;
    transfers.release();
    let done = answered(waiting).await.unwrap();
    assert_eq!(done.holders, 2);
    assert_eq!(std::fs::read(done.path).unwrap(), content);
}
