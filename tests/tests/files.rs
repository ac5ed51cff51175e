//! Files between people, with everything real but the wire.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail as the test does")]

use std::path::{Path, PathBuf};

use secure_chat_node::api::{
    ApiError, Direction, Downloaded, ErrorKind, Event, Expiry, FileState, FileView, JoinPolicy, NodeHandle,
};
use secure_chat_tests::{Persona, TestNet, become_contacts, goes_away};

/// Bytes that repeat nowhere soon, the same for the same seed.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    use rand::{Rng as _, SeedableRng as _};
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

async fn share(from: &Persona, to: &str, path: &Path) -> Result<String, ApiError> {
    let path = path.to_string_lossy().into_owned();
    let shared = from
        .handle()
        .unwrap()
        .files_share(path, Some(to.to_owned()), None::<String>, None::<Expiry>, None::<String>, None::<bool>)
        .await?;
    Ok(shared.file_id)
}

async fn offered(to: &mut Persona) -> FileView {
    to.until(|event| match event {
        Event::FileShared(file) => Some(*file),
        _ => None,
    })
    .await
    .unwrap()
}

async fn download(by: &Persona, file: &str, folder: &Folder) -> Result<Downloaded, ApiError> {
    by.handle().unwrap().files_download(file, Some(folder.text()), None::<bool>).await
}

async fn state(of: &NodeHandle, file: &str) -> Option<FileState> {
    let files = of.files_list(None, None::<String>).await.unwrap().files;
    files.into_iter().find(|row| row.file_id == file).map(|row| row.state)
}

async fn two(net: &TestNet) -> (Persona, Persona) {
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    (alice, bob)
}

#[tokio::test]
async fn a_file_arrives_whole_directly_and_its_sender_learns_of_it() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = two(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    let content = bytes(3 * 1024 * 1024 + 17, 1);
    let file = share(&alice, "bob", &from.write("report.pdf", &content)).await.unwrap();
    let view = offered(&mut bob).await;
    assert_eq!((view.file_id.as_str(), view.name.as_str(), view.size), (file.as_str(), "report.pdf", 3_145_745));
    assert_eq!((view.from.as_str(), view.mine, view.state), ("alice", false, FileState::Offered));
    let done = download(&bob, &file, &to).await.unwrap();
    assert_eq!(std::fs::read(to.path().join("report.pdf")).unwrap(), content);
    assert_eq!(to.names(), ["report.pdf"], "nothing else is left in the folder");
    assert!(done.routes.direct > 3_145_745 && done.routes.relayed == 0 && done.routes.stored == 0);
    assert_eq!(done.bytes, 3_145_745);
    let by = alice.until(|event| match event {
        Event::FileDownloaded { file_id, username, .. } if file_id == file => Some(username),
        _ => None,
    });
    assert_eq!(by.await.unwrap(), "bob");
    assert_eq!(state(bob.handle().unwrap(), &file).await, Some(FileState::Completed));
    assert_eq!(state(alice.handle().unwrap(), &file).await, Some(FileState::Shared));
    let history =
        bob.handle().unwrap().messages_history("alice", None::<String>, None::<String>, None::<String>, None::<u32>);
    let shown = history.await.unwrap().messages.pop().unwrap().file.unwrap();
    assert_eq!((shown.file_id, shown.state), (file, FileState::Completed));
}

#[tokio::test]
async fn files_of_all_awkward_sizes_arrive() {
    let net = TestNet::new().unwrap();
    let (alice, mut bob) = two(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    for size in [0, 1, 16 * 1024, 262_143, 262_144, 262_145] {
        let content = bytes(size, size as u64);
        let file = share(&alice, "bob", &from.write(&format!("{size}.txt"), &content)).await.unwrap();
        offered(&mut bob).await;
        let done = download(&bob, &file, &to).await.unwrap();
        assert_eq!(std::fs::read(&done.path).unwrap(), content, "{size} bytes");
    }
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let net = TestNet::new().unwrap();
    let (alice, mut bob) = two(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    to.write("a.txt", b"bob's own");
    for (name, content) in [("a (1).txt", b"first"), ("a (2).txt", b"again")] {
        let file = share(&alice, "bob", &from.write("a.txt", content)).await.unwrap();
        offered(&mut bob).await;
        download(&bob, &file, &to).await.unwrap();
        assert_eq!(std::fs::read(to.path().join(name)).unwrap(), content);
    }
    assert_eq!(std::fs::read(to.path().join("a.txt")).unwrap(), b"bob's own");
}

#[tokio::test]
async fn what_can_not_be_shared_is_told_clearly() {
    let net = TestNet::new().unwrap();
    let (alice, _bob) = two(&net).await;
    let from = Folder::new();
    let kind = |result: Result<String, ApiError>| result.unwrap_err().kind;
    assert_eq!(kind(share(&alice, "bob", &from.path().join("none.txt")).await), ErrorKind::NotFound);
    std::fs::create_dir(from.path().join("folder.txt")).unwrap();
    let error = share(&alice, "bob", &from.path().join("folder.txt")).await.unwrap_err();
    assert_eq!((error.kind, error.field), (ErrorKind::InvalidInput, Some("path")));
    assert!(error.message.contains("directory"), "{}", error.message);
    let long = from.write("film.mp4", b"");
    std::fs::File::options().write(true).open(&long).unwrap().set_len(5 << 30).unwrap();
    let error = share(&alice, "bob", &long).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ConfirmationRequired);
    assert!(error.message.contains(" 5 GiB"), "{}", error.message);
    let text = from.write("a.txt", b"x");
    let error = share(&alice, "carol", &text).await.unwrap_err();
    assert!(error.message.contains("contacts.request"), "the hint how to get a chat: {}", error.message);
    assert_eq!(kind(share(&alice, "bob", &from.write("setup.exe", b"MZ")).await), ErrorKind::NotAllowed);
    alice.handle().unwrap().settings_set("file_policy", serde_json::json!("all")).await.unwrap();
    share(&alice, "bob", &from.path().join("setup.exe")).await.unwrap();
}

#[tokio::test]
async fn what_can_not_be_fetched_is_told_before_it_starts() {
    let net = TestNet::new().unwrap();
    let (alice, mut bob) = two(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    let file = share(&alice, "bob", &from.write("a.txt", b"hello")).await.unwrap();
    offered(&mut bob).await;
    let into = |path: String| bob.handle().unwrap().files_download(file.clone(), Some(path), None::<bool>);
    let error = into(to.path().join("no/such/folder").to_string_lossy().into_owned()).await.unwrap_err();
    assert_eq!((error.kind, error.field), (ErrorKind::InvalidInput, Some("path")));
    let unknown = bob.handle().unwrap().files_download("00".repeat(32), Some(to.text()), None::<bool>).await;
    assert_eq!(unknown.unwrap_err().kind, ErrorKind::NotFound);
    let own = alice.handle().unwrap().files_download(file.clone(), Some(to.text()), None::<bool>).await;
    assert_eq!(own.unwrap_err().kind, ErrorKind::NotAllowed);
    assert_eq!(state(bob.handle().unwrap(), &file).await, Some(FileState::Offered), "nothing was lost");
}

#[tokio::test]
async fn a_download_goes_on_where_the_death_of_either_side_left_it() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = two(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    let content = bytes(24 * 1024 * 1024, 7);
    let file = share(&alice, "bob", &from.write("film.mp4", &content)).await.unwrap();
    offered(&mut bob).await;
    let started = bob.handle().unwrap().clone();
    let (id, folder) = (file.clone(), to.text());
    let waiting = tokio::spawn(async move { started.files_download(id, Some(folder), None::<bool>).await });
    let begun = |event| match event {
        Event::FileState(view) => (view.state == FileState::Downloading).then_some(()),
        _ => None,
    };
    bob.until(begun).await.unwrap();
    bob.killed().await;
    assert!(waiting.await.unwrap().is_err(), "the peer that was asked is gone");
    bob.back().await.unwrap();
    let whole = |event| match event {
        Event::FileCompleted { downloaded, .. } => downloaded,
        _ => None,
    };
    alice.killed().await;
    alice.back().await.unwrap();
    let done = bob.until(whole).await.unwrap();
    assert_eq!(std::fs::read(&done.path).unwrap(), content);
    assert_eq!(to.names(), ["film.mp4"]);
}

#[tokio::test]
async fn a_changed_source_never_leaves_under_the_old_key() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = two(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    let path = from.write("a.txt", &bytes(600_000, 1));
    let file = share(&alice, "bob", &path).await.unwrap();
    offered(&mut bob).await;
    // The same length, so that only the content tells.
    std::fs::write(&path, bytes(600_000, 2)).unwrap();
    let error = download(&bob, &file, &to).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("changed"), "{}", error.message);
    assert_eq!(state(bob.handle().unwrap(), &file).await, Some(FileState::Failed));
    // Who shared it hears of it too.
    let noticed = |wanted| {
        move |event| match event {
            Event::FileState(view) => (view.state == wanted).then_some(view.reason),
            _ => None,
        }
    };
    let reason = alice.until(noticed(FileState::Changed)).await.unwrap().unwrap();
    assert!(reason.contains("Share it again"), "{reason}");
    // As it was: it is the same file again.
    std::fs::write(&path, bytes(600_000, 1)).unwrap();
    bob.handle().unwrap().files_retry(file.clone()).await.unwrap();
    let done = bob.until(|event| match event {
        Event::FileCompleted { direction: Direction::Download, downloaded, .. } => downloaded,
        _ => None,
    });
    assert_eq!(std::fs::read(done.await.unwrap().path).unwrap(), bytes(600_000, 1));
    assert_eq!(alice.until(noticed(FileState::Shared)).await.unwrap(), None);
}

#[tokio::test]
async fn a_file_that_was_taken_back_is_gone_on_both_sides() {
    let net = TestNet::new().unwrap();
    let (alice, mut bob) = two(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    let file = share(&alice, "bob", &from.write("a.txt", b"secret")).await.unwrap();
    offered(&mut bob).await;
    alice.handle().unwrap().files_delete(file.clone()).await.unwrap();
    bob.until(|event| matches!(event, Event::FileDeleted { expired: false, .. }).then_some(())).await.unwrap();
    assert_eq!(download(&bob, &file, &to).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(state(bob.handle().unwrap(), &file).await, None);
    assert_eq!(state(alice.handle().unwrap(), &file).await, None);
    assert!(from.path().join("a.txt").exists(), "the sharer's own file stays");
    assert!(to.names().is_empty());
}

#[tokio::test]
async fn a_paused_download_waits_and_a_cancelled_one_leaves_nothing() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = two(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    let content = bytes(2 * 1024 * 1024, 3);
    let file = share(&alice, "bob", &from.write("a.zip", &content)).await.unwrap();
    offered(&mut bob).await;
    alice.away().await;
    let handle = bob.handle().unwrap().clone();
    let (id, folder) = (file.clone(), to.text());
    let waiting = tokio::spawn(async move { handle.files_download(id, Some(folder), None::<bool>).await });
    bob.until(|event| match event {
        Event::FileState(view) => (view.state == FileState::Waiting).then_some(()),
        _ => None,
    })
    .await
    .unwrap();
    bob.handle().unwrap().files_pause(file.clone()).await.unwrap();
    bob.away().await;
    drop(waiting);
    alice.back().await.unwrap();
    bob.back().await.unwrap();
    assert_eq!(state(bob.handle().unwrap(), &file).await, Some(FileState::Paused), "also after a restart");
    bob.handle().unwrap().files_resume(file.clone()).await.unwrap();
    let done = bob.until(|event| match event {
        Event::FileCompleted { downloaded, .. } => downloaded,
        _ => None,
    });
    assert_eq!(std::fs::read(done.await.unwrap().path).unwrap(), content);
    let other = share(&alice, "bob", &from.write("b.zip", &content)).await.unwrap();
    offered(&mut bob).await;
    alice.away().await;
    let handle = bob.handle().unwrap().clone();
    let (id, folder) = (other.clone(), to.text());
    let waiting = tokio::spawn(async move { handle.files_download(id, Some(folder), None::<bool>).await });
    bob.until(|event| match event {
        Event::FileState(view) => (view.file_id == other && view.state == FileState::Waiting).then_some(()),
        _ => None,
    })
    .await
    .unwrap();
    bob.handle().unwrap().files_cancel(other.clone()).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(to.names(), ["a.zip"]);
}

#[tokio::test]
async fn only_those_with_whom_a_file_was_shared_may_fetch_it() {
    let net = TestNet::new().unwrap();
    let (alice, mut bob) = two(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    let file = share(&alice, "bob", &from.write("a.txt", b"for bob")).await.unwrap();
    offered(&mut bob).await;
    // Bob has the manifest; from now on Alice wants to hear nothing of him.
    alice.handle().unwrap().contacts_block("bob").await.unwrap();
    let handle = bob.handle().unwrap().clone();
    let (id, folder) = (file.clone(), to.text());
    let waiting = tokio::spawn(async move { handle.files_download(id, Some(folder), None::<bool>).await });
    bob.until(|event| match event {
        Event::FileState(view) => (view.state == FileState::Waiting && view.bytes_done == 0).then_some(()),
        _ => None,
    })
    .await
    .unwrap();
    alice.handle().unwrap().contacts_unblock("bob").await.unwrap();
    bob.handle().unwrap().files_retry(file).await.unwrap();
    assert_eq!(std::fs::read(waiting.await.unwrap().unwrap().path).unwrap(), b"for bob");
}

#[tokio::test]
async fn an_image_is_seen_before_it_is_fetched_and_only_by_whom_it_is_for() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = two(&net).await;
    let from = Folder::new();
    let picture = image::RgbImage::from_fn(1_200, 800, |x, y| image::Rgb([(x / 5) as u8, (y / 4) as u8, 128]));
    picture.save(from.path().join("alps.png")).unwrap();
    goes_away(&mut bob, &mut alice).await.unwrap();
    let file = share(&alice, "bob", &from.path().join("alps.png")).await.unwrap();
    left_at_a_node(&mut alice, &file).await;
    bob.back().await.unwrap();
    let view = offered(&mut bob).await;
    assert!(view.preview && view.state == FileState::Offered && view.bytes_done == 0);
    let preview = bob.handle().unwrap().files_preview(file.clone()).await.unwrap();
    assert_eq!((preview.mime.as_str(), preview.width, preview.height), ("image/jpeg", 320, 213));
    let jpeg = data_encoding::BASE64.decode(preview.data.as_bytes()).unwrap();
    let seen = image::load_from_memory_with_format(&jpeg, image::ImageFormat::Jpeg).unwrap().to_rgb8();
    assert_eq!(seen.dimensions(), (320, 213));
    let (there, here) = (picture.get_pixel(600, 400), seen.get_pixel(160, 106));
    assert!(there.0.iter().zip(here.0).all(|(there, here)| there.abs_diff(here) < 20), "{there:?} {here:?}");
    // What the node keeps shows nothing of it.
    let disk = everything(&net.folder().join("rendezvous-0"));
    let head: Vec<u8> = jpeg.iter().take(64).copied().collect();
    assert!(!disk.iter().any(|(_, bytes)| bytes.windows(64).any(|part| part == head)));
    // What is no image, whatever it says, has none, and is told as what it is.
    let file = share(&alice, "bob", &from.write("fake.png", b"GIF8, or so")).await.unwrap();
    let view = offered(&mut bob).await;
    assert!(!view.preview);
    assert_eq!(bob.handle().unwrap().files_preview(file.clone()).await.unwrap_err().kind, ErrorKind::NotFound);
    let done = download(&bob, &file, &Folder::new()).await.unwrap();
    assert!(done.warning.unwrap().contains("is not image/png"), "whoever fetched it is warned");
}

async fn left_at_a_node(from: &mut Persona, file: &str) {
    from.until(|event| match event {
        Event::FileCompleted { file_id, direction: Direction::Upload, .. } => (file_id == file).then_some(()),
        Event::FileFailed { reason, .. } => panic!("{reason}"),
        _ => None,
    })
    .await
    .unwrap();
}

/// All that lies under a folder.
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

#[tokio::test]
async fn a_file_reaches_somebody_who_is_never_there_at_the_same_time() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = two(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    goes_away(&mut bob, &mut alice).await.unwrap();
    let content = bytes(5 * 1024 * 1024 + 3, 5);
    let file = share(&alice, "bob", &from.write("holiday-in-lugano.jpg", &content)).await.unwrap();
    left_at_a_node(&mut alice, &file).await;
    let disk = everything(&net.folder().join("rendezvous-0"));
    let holds = |needle: &[u8]| disk.iter().any(|(_, bytes)| bytes.windows(needle.len()).any(|part| part == needle));
    assert!(!holds(b"holiday") && !holds(b"image/jpeg") && !holds(&content[..64]), "the node knows nothing of it");
    alice.away().await;
    bob.back().await.unwrap();
    offered(&mut bob).await;
    let done = download(&bob, &file, &to).await.unwrap();
    assert_eq!(std::fs::read(&done.path).unwrap(), content);
    assert!(done.routes.stored >= 5 * 1024 * 1024 && done.routes.direct == 0 && done.routes.relayed == 0);
}

#[tokio::test]
async fn a_node_that_lies_is_dropped_and_the_sender_hands_the_file_over() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = two(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    goes_away(&mut bob, &mut alice).await.unwrap();
    let content = bytes(2 * 1024 * 1024, 6);
    let file = share(&alice, "bob", &from.write("a.zip", &content)).await.unwrap();
    left_at_a_node(&mut alice, &file).await;
    // The node changes one byte in each chunk that it stores.
    let mut spoiled = 0;
    for (path, mut bytes) in everything(&net.folder().join("rendezvous-0")) {
        if bytes.len() > 1024 * 1024 && path.extension().is_none_or(|extension| extension != "redb") {
            bytes.iter_mut().skip(100_000).step_by(262_160).for_each(|byte| *byte ^= 1);
            std::fs::write(path, bytes).unwrap();
            spoiled += 1;
        }
    }
    assert_eq!(spoiled, 1);
    bob.back().await.unwrap();
    offered(&mut bob).await;
    let done = download(&bob, &file, &to).await.unwrap();
    assert_eq!(std::fs::read(&done.path).unwrap(), content);
    assert!(done.routes.direct > 0);
}

async fn joins(owner: &mut Persona, other: &mut Persona, group: &str) {
    become_contacts(owner, other).await.unwrap();
    owner.handle().unwrap().groups_invite(group, Some(other.name.clone()), None).await.unwrap();
    other.until(|event| matches!(event, Event::GroupInvited { .. }).then_some(())).await.unwrap();
    other.handle().unwrap().groups_join(Some(group.to_owned()), None::<String>).await.unwrap();
    other.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
}

#[tokio::test]
async fn a_group_gets_a_file_and_members_hand_it_on() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    // Nothing is left at nodes: only members have it.
    alice.handle().unwrap().settings_set("upload_max_bytes", serde_json::json!(0)).await.unwrap();
    let made = alice.handle().unwrap().groups_create("Hikers", None::<String>, false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    joins(&mut alice, &mut bob, &group).await;
    joins(&mut alice, &mut carol, &group).await;
    let (from, bobs, carols) = (Folder::new(), Folder::new(), Folder::new());
    let content = bytes(1_500_000, 9);
    let path = from.write("map.pdf", &content).to_string_lossy().into_owned();
    let shared = alice.handle().unwrap().files_share(
        path,
        None::<String>,
        Some(group.clone()),
        Some(Expiry::Week),
        Some("for Sunday".to_owned()),
        None::<bool>,
    );
    let file = shared.await.unwrap().file_id;
    let view = offered(&mut bob).await;
    assert_eq!((view.group_id.as_deref(), view.caption.as_str()), (Some(group.as_str()), "for Sunday"));
    offered(&mut carol).await;
    let done = download(&bob, &file, &bobs).await.unwrap();
    assert_eq!(std::fs::read(&done.path).unwrap(), content);
    // Whoever shared it is gone; Bob has it.
    goes_away(&mut alice, &mut bob).await.unwrap();
    let done = download(&carol, &file, &carols).await.unwrap();
    assert_eq!(std::fs::read(&done.path).unwrap(), content);
    assert_eq!(done.routes.stored, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_hands_on_also_a_file_whose_hashes_are_in_no_message() {
    // The manifest has no room for so many.
    const LENGTH: u64 = 513 * 262_144;
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let made = alice.handle().unwrap().groups_create("Hikers", None::<String>, false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    joins(&mut alice, &mut bob, &group).await;
    joins(&mut alice, &mut carol, &group).await;
    let (from, bobs, carols) = (Folder::new(), Folder::new(), Folder::new());
    let path = from.write("film.mp4", b"");
    std::fs::File::options().write(true).open(&path).unwrap().set_len(LENGTH).unwrap();
    let path = path.to_string_lossy().into_owned();
    let shared =
        alice.handle().unwrap().files_share(path, None::<String>, Some(group), None, None::<String>, None::<bool>);
    let file = shared.await.unwrap().file_id;
    offered(&mut bob).await;
    offered(&mut carol).await;
    let bobs_copy = download(&bob, &file, &bobs).await.unwrap();
    // Also in another life.
    bob.killed().await;
    goes_away(&mut alice, &mut carol).await.unwrap();
    bob.back().await.unwrap();
    let done = download(&carol, &file, &carols).await.unwrap();
    assert_eq!((done.holders, done.bytes, done.sha256), (1, LENGTH, bobs_copy.sha256));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_s_file_comes_from_all_who_have_it_at_once() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    alice.handle().unwrap().settings_set("upload_max_bytes", serde_json::json!(0)).await.unwrap();
    let made = alice.handle().unwrap().groups_create("Hikers", None::<String>, false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    joins(&mut alice, &mut bob, &group).await;
    joins(&mut alice, &mut carol, &group).await;
    let (from, bobs, carols) = (Folder::new(), Folder::new(), Folder::new());
    let content = bytes(24_000_000, 9);
    let path = from.write("film.mp4", &content).to_string_lossy().into_owned();
    let shared =
        alice.handle().unwrap().files_share(path, None::<String>, Some(group), None, None::<String>, None::<bool>);
    let file = shared.await.unwrap().file_id;
    offered(&mut bob).await;
    offered(&mut carol).await;
    let done = download(&bob, &file, &bobs).await.unwrap();
    assert_eq!(done.holders, 1, "nobody but Alice has it");
    let done = download(&carol, &file, &carols).await.unwrap();
    assert_eq!(done.holders, 2, "Alice and Bob hand it over");
    assert_eq!(std::fs::read(&done.path).unwrap(), content);
    assert!(done.routes.direct < 24_000_000 + 12_000_000, "no chunk is fetched from both: {:?}", done.routes);
}
