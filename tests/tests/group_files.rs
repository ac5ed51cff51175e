//! Files for somebody who is away, where they wait at rendezvous nodes: a group's, from members with and without
//! a node of their own, until they are fetched, expire or are taken back; and what the person can do about it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use secure_chat_node::api::{
    ApiError, Direction, Downloaded, ErrorKind, Event, Expiry, FileState, FileView, JoinPolicy,
};
use secure_chat_protocol::limits::HOUR_MS;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use secure_chat_tests::hold::{Transfers, WRITTEN};
use secure_chat_tests::{Persona, TestNet, become_contacts, goes_away};

/// A chunk is about to be read for a rendezvous node.
const LEAVES: &str = "a chunk goes to a node";
const CHUNK_BYTES: usize = 262_144;
/// Longest that anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// Where somebody's files are, and how they are shared with a group or one contact.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    async fn download(&self, by: &Persona, file: &str) -> Result<Downloaded, ApiError> {
        let to = Some(self.0.path().to_string_lossy().into_owned());
        let fetching = by.handle().unwrap().files_download(file.to_owned(), to, None::<bool>);
        tokio::time::timeout(PATIENCE, fetching).await.expect("no answer")
    }
}

async fn share(from: &Persona, to: Option<&str>, group: Option<&str>, path: &Path) -> String {
    let (path, to, group) = (path.to_string_lossy().into_owned(), to.map(str::to_owned), group.map(str::to_owned));
    let sharing = from.handle().unwrap().files_share(path, to, group, Some(Expiry::Day), None::<String>, None::<bool>);
    sharing.await.unwrap().file_id
}

async fn offered(to: &mut Persona) {
    to.until(|event| matches!(event, Event::FileShared(_)).then_some(())).await.unwrap();
}

/// It lies at a node, and those who are away find the word of it: whoever shared it may go.
async fn left_at_a_node(from: &mut Persona, file: &str) {
    from.until(|event| match event {
        Event::FileCompleted { file_id, direction: Direction::Upload, .. } => (file_id == file).then_some(()),
        Event::FileFailed { reason, .. } => panic!("{reason}"),
        _ => None,
    })
    .await
    .unwrap();
}

async fn not_left(from: &mut Persona, file: &str) -> String {
    from.until(|event| match event {
        Event::FileFailed { file_id, direction: Direction::Upload, reason } => (file_id == file).then_some(reason),
        _ => None,
    })
    .await
    .unwrap()
}

async fn row(of: &Persona, file: &str) -> Option<FileView> {
    let files = of.handle().unwrap().files_list(None, None::<String>).await.unwrap().files;
    files.into_iter().find(|row| row.file_id == file)
}

/// Waits until a file stands as it should: what comes while a peer starts is told before anybody listens.
async fn stands(of: &Persona, file: &str, wanted: impl Fn(&FileView) -> bool) {
    let wait = async {
        while !row(of, file).await.is_some_and(|row| wanted(&row)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not as it should be at {}", of.name));
}

/// The same of what was said in a group.
async fn has_heard(who: &Persona, group: &str, wanted: &str) {
    let wait = async {
        loop {
            let page = who.handle().unwrap().groups_history(group, None::<String>, Some(100_u32)).await.unwrap();
            if page.messages.iter().any(|message| message.text == wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} did not hear {wanted:?}", who.name));
}

/// Files that lie under a folder.
fn lying(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| if path.is_dir() { lying(&path) } else { 1 }).sum()
}

/// Waits until so many lie under a folder: no event tells of it.
async fn lie(folder: &Path, count: usize) {
    let wait = async {
        while lying(folder) != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} lie there", lying(folder)));
}

async fn joins(owner: &mut Persona, other: &mut Persona, group: &str) {
    become_contacts(owner, other).await.unwrap();
    owner.handle().unwrap().groups_invite(group, Some(other.name.clone()), None).await.unwrap();
    other.until(|event| matches!(event, Event::GroupInvited { .. }).then_some(())).await.unwrap();
    other.handle().unwrap().groups_join(Some(group.to_owned()), None::<String>).await.unwrap();
    other.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
}

async fn hears(who: &mut Persona, wanted: &str) {
    who.until(|event| match event {
        Event::GroupMessage(message) => (message.text == wanted).then_some(()),
        _ => None,
    })
    .await
    .unwrap();
}

/// A group of Alice, Bob and Carol, in which each has heard each.
async fn three(net: &TestNet) -> ([Persona; 3], String) {
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    let mut carol = net.persona("carol").await.unwrap();
    let made = alice.handle().unwrap().groups_create("Hikers", None::<String>, false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    joins(&mut alice, &mut bob, &group).await;
    joins(&mut alice, &mut carol, &group).await;
    let mut all = [alice, bob, carol];
    for speaker in 0..3 {
        let name = all[speaker].name.clone();
        all[speaker].handle().unwrap().groups_send(group.clone(), name.clone(), None::<String>).await.unwrap();
        for listener in (0..3).filter(|listener| *listener != speaker) {
            hears(&mut all[listener], &name).await;
        }
    }
    (all, group)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_who_was_away_fetches_a_group_s_file_from_the_node_when_nobody_else_is_there() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let ([mut alice, mut bob, mut carol], group) = three(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    goes_away(&mut carol, &mut alice).await.unwrap();
    let content = bytes(1_500_000, 1);
    let file = share(&alice, None, Some(&group), &from.write("route.txt", &content)).await;
    offered(&mut bob).await;
    left_at_a_node(&mut alice, &file).await;
    alice.away().await;
    bob.away().await;
    carol.back().await.unwrap();
    stands(&carol, &file, |row| row.stored_at == 1).await;
    let done = to.download(&carol, &file).await.unwrap();
    assert_eq!(std::fs::read(&done.path).unwrap(), content);
    assert!(
        done.routes.stored >= 1_500_000 && done.routes.direct == 0 && done.routes.relayed == 0,
        "{:?}",
        done.routes
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_group_shared_for_a_day_is_gone_from_the_node_and_for_who_was_away_all_the_time() {
    let mut net = TestNet::new().unwrap();
    let node = net.rendezvous().await.unwrap();
    let ([mut alice, mut bob, mut carol], group) = three(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    goes_away(&mut carol, &mut alice).await.unwrap();
    let file = share(&alice, None, Some(&group), &from.write("route.txt", &bytes(700_000, 2))).await;
    left_at_a_node(&mut alice, &file).await;
    let chunks = net.folder().join("rendezvous-0/chunks");
    assert_eq!(lying(&chunks), 1);
    alice.away().await;
    bob.away().await;
    node.let_pass(Duration::from_millis(26 * HOUR_MS));
    lie(&chunks, 0).await;
    for who in [&alice, &carol] {
        who.clock.jump(i64::try_from(25 * HOUR_MS).unwrap());
    }
    carol.back().await.unwrap();
    alice.back().await.unwrap();
    assert!(row(&alice, &file).await.is_none());
    // What was said meanwhile arrives, and nothing of the file.
    alice.handle().unwrap().groups_send(group.clone(), "a day later", None::<String>).await.unwrap();
    has_heard(&carol, &group, "a day later").await;
    assert!(row(&carol, &file).await.is_none());
    let refused = to.download(&carol, &file).await.unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::NotFound | ErrorKind::Expired), "{:?}", refused.kind);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_back_from_a_group_leaves_the_node_and_who_was_away_never_gets_it() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let ([mut alice, mut bob, mut carol], group) = three(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    goes_away(&mut carol, &mut alice).await.unwrap();
    let file = share(&alice, None, Some(&group), &from.write("route.txt", &bytes(700_000, 3))).await;
    offered(&mut bob).await;
    left_at_a_node(&mut alice, &file).await;
    let chunks = net.folder().join("rendezvous-0/chunks");
    assert_eq!(lying(&chunks), 1);
    alice.handle().unwrap().files_delete(file.clone()).await.unwrap();
    lie(&chunks, 0).await;
    let gone = bob.until(|event| match event {
        Event::FileDeleted { file_id, expired } => (file_id == file).then_some(expired),
        _ => None,
    });
    assert!(!gone.await.unwrap());
    alice.handle().unwrap().groups_send(group.clone(), "a mistake", None::<String>).await.unwrap();
    carol.back().await.unwrap();
    // It was shared, taken back and explained while she was away.
    has_heard(&carol, &group, "a mistake").await;
    for who in [&alice, &bob, &carol] {
        assert!(row(who, &file).await.is_none(), "{} has it in the list", who.name);
    }
    assert_eq!(to.download(&carol, &file).await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_a_node_leaves_a_group_s_file_where_another_member_is() {
    let mut net = TestNet::new().unwrap();
    // Before there is a node: she has none.
    let mut carol = net.persona("carol").await.unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    let made = alice.handle().unwrap().groups_create("Hikers", None::<String>, false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    joins(&mut alice, &mut bob, &group).await;
    joins(&mut alice, &mut carol, &group).await;
    carol.handle().unwrap().groups_send(group.clone(), "hello", None::<String>).await.unwrap();
    hears(&mut alice, "hello").await;
    hears(&mut bob, "hello").await;
    let (from, to) = (Folder::new(), Folder::new());
    bob.away().await;
    let content = bytes(1_500_000, 4);
    let file = share(&carol, None, Some(&group), &from.write("route.txt", &content)).await;
    left_at_a_node(&mut carol, &file).await;
    carol.away().await;
    alice.away().await;
    bob.back().await.unwrap();
    stands(&bob, &file, |row| row.stored_at == 1).await;
    let done = to.download(&bob, &file).await.unwrap();
    assert_eq!(std::fs::read(&done.path).unwrap(), content);
    assert!(done.routes.stored >= 1_500_000 && done.routes.direct == 0, "{:?}", done.routes);
    // And what she takes back goes from there.
    carol.back().await.unwrap();
    carol.handle().unwrap().files_delete(file.clone()).await.unwrap();
    lie(&net.folder().join("rendezvous-0/chunks"), 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_has_a_node_the_person_is_told_that_a_file_waits_for_both() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    let made = alice.handle().unwrap().groups_create("Hikers", None::<String>, false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    joins(&mut alice, &mut bob, &group).await;
    let (from, to) = (Folder::new(), Folder::new());
    goes_away(&mut bob, &mut alice).await.unwrap();
    let content = bytes(300_000, 5);
    let file = share(&alice, None, Some(&group), &from.write("route.txt", &content)).await;
    let reason = not_left(&mut alice, &file).await;
    assert!(reason.contains("no rendezvous node") && reason.contains("both there"), "{reason}");
    assert_eq!(row(&alice, &file).await.unwrap().reason, Some(reason));
    bob.back().await.unwrap();
    offered(&mut bob).await;
    assert_eq!(std::fs::read(to.download(&bob, &file).await.unwrap().path).unwrap(), content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_and_a_node_serve_one_file_together_also_when_it_came_to_the_node_later() {
    const CHUNKS: usize = 100;
    let transfers = Transfers::of_this_process().await;
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let ([mut alice, mut bob, mut carol], group) = three(&net).await;
    let (from, to) = (Folder::new(), Folder::new());
    let settings = alice.handle().unwrap().clone();
    settings.settings_set("upload_max_bytes", serde_json::json!(0)).await.unwrap();
    goes_away(&mut bob, &mut alice).await.unwrap();
    let content = bytes(CHUNKS * CHUNK_BYTES, 6);
    let file = share(&alice, None, Some(&group), &from.write("film.txt", &content)).await;
    offered(&mut carol).await;
    transfers.hold_at(WRITTEN, Some(3));
    let fetched = tokio::join!(to.download(&carol, &file), async {
        transfers.standing(1).await;
        // In the middle of it the file goes to a node, for Bob.
        settings.settings_set("upload_max_bytes", serde_json::json!(CHUNKS * CHUNK_BYTES)).await.unwrap();
        settings.files_retry(file.clone()).await.unwrap();
        left_at_a_node(&mut alice, &file).await;
        stands(&carol, &file, |row| row.stored_at == 1).await;
        transfers.release();
    });
    let done = fetched.0.unwrap();
    assert_eq!(std::fs::read(&done.path).unwrap(), content);
    assert!(done.routes.direct > 0 && done.routes.stored > 0, "{:?}", done.routes);
    assert_eq!(done.holders, 2, "Alice and the node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_to_a_node_is_stopped_at_a_word_and_goes_there_at_another() {
    let transfers = Transfers::of_this_process().await;
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let (from, to) = (Folder::new(), Folder::new());
    let sharer = alice.handle().unwrap().clone();
    goes_away(&mut bob, &mut alice).await.unwrap();
    let content = bytes(8 * CHUNK_BYTES, 7);
    transfers.hold_at(LEAVES, Some(4));
    let file = share(&alice, Some("bob"), None, &from.write("a.txt", &content)).await;
    transfers.standing(1).await;
    let chunks = net.folder().join("rendezvous-0/chunks");
    lie(&chunks, 1).await;
    sharer.files_cancel(file.clone()).await.unwrap();
    transfers.release();
    lie(&chunks, 0).await;
    let stopped = row(&alice, &file).await.unwrap();
    assert_eq!((stopped.state, stopped.stored_at), (FileState::Cancelled, 0));
    assert!(stopped.reason.unwrap().contains("no rendezvous node"));
    // Not even in another life does it go there by itself.
    alice.away().await;
    alice.back().await.unwrap();
    let sharer = alice.handle().unwrap().clone();
    assert_eq!(row(&alice, &file).await.unwrap().state, FileState::Cancelled);
    let twice = sharer.files_cancel(file.clone()).await.unwrap_err();
    assert_eq!(twice.kind, ErrorKind::Conflict, "{}", twice.message);
    assert_eq!(lying(&chunks), 0);
    sharer.files_retry(file.clone()).await.unwrap();
    left_at_a_node(&mut alice, &file).await;
    let left = row(&alice, &file).await.unwrap();
    assert_eq!((left.state, left.stored_at, left.reason), (FileState::Shared, 1, None));
    for refused in [sharer.files_cancel(file.clone()).await, sharer.files_retry(file.clone()).await] {
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Conflict, "it waits there whole");
    }
    alice.away().await;
    bob.back().await.unwrap();
    offered(&mut bob).await;
    let done = to.download(&bob, &file).await.unwrap();
    assert_eq!(std::fs::read(&done.path).unwrap(), content);
    assert!(done.routes.stored > 0 && done.routes.direct == 0, "{:?}", done.routes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_had_no_room_at_a_node_is_left_there_at_a_word_once_there_is() {
    let mut net = TestNet::new().unwrap();
    let mut config = RendezvousConfig::new(net.folder().join("small")).in_memory();
    // Room for one file of three chunks, and not for two.
    config.limits.blob_bytes_per_account = 4 * 262_160;
    let node = RendezvousNode::start(config).await.unwrap();
    net.use_home(&node.addresses().remove(0));
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let (from, to) = (Folder::new(), Folder::new());
    let sharer = alice.handle().unwrap().clone();
    goes_away(&mut bob, &mut alice).await.unwrap();
    let first = share(&alice, Some("bob"), None, &from.write("1.txt", &bytes(700_000, 8))).await;
    left_at_a_node(&mut alice, &first).await;
    let content = bytes(700_000, 9);
    let second = share(&alice, Some("bob"), None, &from.write("2.txt", &content)).await;
    let reason = not_left(&mut alice, &second).await;
    assert!(reason.contains("no room"), "{reason}");
    assert_eq!(row(&alice, &second).await.unwrap().reason, Some(reason));
    sharer.files_delete(first).await.unwrap();
    lie(&net.folder().join("small/chunks"), 0).await;
    // By itself it would be tried again in an hour.
    sharer.files_retry(second.clone()).await.unwrap();
    left_at_a_node(&mut alice, &second).await;
    assert_eq!(row(&alice, &second).await.unwrap().reason, None);
    alice.away().await;
    bob.back().await.unwrap();
    offered(&mut bob).await;
    assert_eq!(std::fs::read(to.download(&bob, &second).await.unwrap().path).unwrap(), content);
}
