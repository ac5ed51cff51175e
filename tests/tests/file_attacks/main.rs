//! Files under attack, over the real wire: peers with rebuilt programs, and a node that
//! writes down all that it hears.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that fails panics"
)]

mod blobs;
mod impostor;
#[path = "../group_attacks/mallory.rs"]
#[allow(dead_code, reason = "attacks on groups need more of it")]
mod mallory;
mod manifests;
#[path = "../lying_node/node.rs"]
#[allow(dead_code, reason = "others need more of it")]
mod node;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use blobs::Blobs;
use impostor::{Impostor, answer, ask, question, tell};
use node::LyingNode;
use rand::{Rng as _, SeedableRng as _};
use secure_chat_node::api::{Direction, Event, FileState, FileView, JoinPolicy};
use secure_chat_node::network::PeerStream;
use secure_chat_protocol::id::FileId;
use secure_chat_protocol::wire::transfer::{AnswerHeader, FetchRefusal, FetchRequest};
use secure_chat_tests::{Persona, TestNet, become_contacts, goes_away};

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

    fn text(&self) -> String {
        self.0.path().to_string_lossy().into_owned()
    }
}

async fn share(from: &Persona, to: Option<&str>, group: Option<&str>, path: &Path) -> String {
    let path = path.to_string_lossy().into_owned();
    let (to, group) = (to.map(str::to_owned), group.map(str::to_owned));
    let shared = from.handle().unwrap().files_share(path, to, group, None, None::<String>, None::<bool>);
    shared.await.unwrap().file_id
}

async fn offered(to: &mut Persona) -> FileView {
    let offered = to.until(|event| match event {
        Event::FileShared(file) => Some(*file),
        _ => None,
    });
    offered.await.unwrap()
}

async fn left_at_a_node(from: &mut Persona, file: &str) {
    let left = from.until(|event| match event {
        Event::FileCompleted { file_id, direction: Direction::Upload, .. } => (file_id == file).then_some(()),
        Event::FileFailed { reason, .. } => panic!("{reason}"),
        _ => None,
    });
    left.await.unwrap();
}

/// What a liar does with a chunk that it was asked for.
#[derive(Debug, Clone, Copy)]
enum Lie {
    /// One bit is another.
    Forged,
    /// It is the next one, under this number.
    Swapped,
    /// It says another number.
    Reordered,
    /// It is shorter, and says so.
    Truncated,
    /// It comes twice.
    Duplicated,
    /// It is one of another file.
    Mixed,
}

/// Hands on what `peer` sends, with a lie in each chunk.
async fn lie_on(
    liar: Impostor,
    mut reader: PeerStream,
    honest: secure_chat_node::network::PeerId,
    lie: Lie,
    other: FileId,
    told: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let mut source = liar.open(honest).await;
    loop {
        let FetchRequest::Chunks { file, first, count } = question(&mut reader).await? else { return Ok(()) };
        for index in first..first + u32::from(count) {
            let (from, at) = match lie {
                Lie::Swapped => (file, if index == 0 { 1 } else { index - 1 }),
                Lie::Mixed => (other, index),
                _ => (file, index),
            };
            ask(&mut source, &FetchRequest::Chunks { file: from, first: at, count: 1 }).await?;
            let (header, mut body) = answer(&mut source).await?;
            let AnswerHeader::Chunk { length, .. } = header else { return Ok(()) };
            let mut header = AnswerHeader::Chunk { index, length };
            match lie {
                Lie::Forged => body[1_000] ^= 1,
                Lie::Reordered => header = AnswerHeader::Chunk { index: index + 1, length },
                Lie::Truncated => {
                    body.truncate(1_000);
                    header = AnswerHeader::Chunk { index, length: 1_000 };
                }
                Lie::Duplicated => tell(&mut reader, header, &body).await?,
                Lie::Swapped | Lie::Mixed => {}
            }
            told.fetch_add(1, Ordering::SeqCst);
            tell(&mut reader, header, &body).await?;
        }
    }
}

async fn joins(owner: &mut Persona, other: &mut Persona, group: &str) {
    become_contacts(owner, other).await.unwrap();
    owner.handle().unwrap().groups_invite(group, Some(other.name.clone()), None).await.unwrap();
    other.until(|event| matches!(event, Event::GroupInvited { .. }).then_some(())).await.unwrap();
    other.handle().unwrap().groups_join(Some(group.to_owned()), None::<String>).await.unwrap();
    other.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_who_lies_about_chunks_is_dropped_and_the_file_arrives_from_the_other() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    alice.handle().unwrap().settings_set("upload_max_bytes", serde_json::json!(0)).await.unwrap();
    let made = alice.handle().unwrap().groups_create("Hikers", None::<String>, false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    joins(&mut alice, &mut bob, &group).await;
    joins(&mut alice, &mut carol, &group).await;
    let from = Folder::new();
    let other = share(&alice, None, Some(&group), &from.write("other.zip", &bytes(24_000_000, 1))).await;
    let other: FileId = other.parse().unwrap();
    offered(&mut bob).await;
    // From here on it is not Carol's program that runs with her keys.
    goes_away(&mut carol, &mut alice).await.unwrap();
    for (seed, lie) in
        [Lie::Forged, Lie::Swapped, Lie::Reordered, Lie::Truncated, Lie::Duplicated, Lie::Mixed].into_iter().enumerate()
    {
        let told = Arc::new(AtomicUsize::new(0));
        // So much that the one who is honest has not sent it all before the other one was asked.
        let content = bytes(24_000_000, 10 + seed as u64);
        let (counter, (send, honest)) = (told.clone(), tokio::sync::watch::channel(None));
        let liar = Impostor::of(&carol, move |liar, stream| {
            let (told, honest) = (counter.clone(), *honest.borrow());
            async move { lie_on(liar, stream, honest.unwrap(), lie, other, told).await }
        });
        send.send_replace(Some(liar.meets(&alice).await));
        liar.meets(&bob).await;
        let file = share(&alice, None, Some(&group), &from.write(&format!("{lie:?}.zip"), &content)).await;
        offered(&mut bob).await;
        let to = Folder::new();
        let done = bob.handle().unwrap().files_download(file, Some(to.text()), None::<bool>).await.unwrap();
        assert_eq!(std::fs::read(&done.path).unwrap(), content, "{lie:?}");
        let told = told.load(Ordering::SeqCst);
        assert!(told > 0, "{lie:?}: nobody asked the liar");
        // What was under way when the first was noticed, and no more: 92 chunks there are.
        assert!(told <= 8, "{lie:?}: {told} chunks were taken from the liar");
        liar.ends().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_ever_used_with_a_nonce_for_other_bytes() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let from = Folder::new();
    let content = bytes(600_000, 1);
    let path = from.write("a.zip", &content);
    let file: FileId = share(&alice, Some("bob"), None, &path).await.parse().unwrap();
    offered(&mut bob).await;
    bob.away().await;
    let reader = Impostor::of(&bob, |_, _| async { Ok(()) });
    let peer = reader.meets(&alice).await;
    let mut stream = reader.open(peer).await;
    let chunk = |first| FetchRequest::Chunks { file, first, count: 1 };
    ask(&mut stream, &chunk(1)).await.unwrap();
    let (header, before) = answer(&mut stream).await.unwrap();
    assert!(matches!(header, AnswerHeader::Chunk { index: 1, .. }));
    // In the middle of the transfer one byte changes, in place, and the file looks as it did.
    let written = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut changed = content.clone();
    changed[300_000] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
    ask(&mut stream, &chunk(1)).await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap().0, AnswerHeader::Refused(FetchRefusal::Changed));
    // What was not changed is the same as ever.
    ask(&mut stream, &chunk(0)).await.unwrap();
    assert!(matches!(answer(&mut stream).await.unwrap().0, AnswerHeader::Chunk { index: 0, .. }));
    std::fs::write(&path, &content).unwrap();
    ask(&mut stream, &chunk(1)).await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap().1, before);
    std::fs::remove_file(&path).unwrap();
    let mut again = reader.open(peer).await;
    ask(&mut again, &chunk(1)).await.unwrap();
    assert_eq!(answer(&mut again).await.unwrap().0, AnswerHeader::Refused(FetchRefusal::Changed), "it is gone");
    // Somebody else's file, or none: the same answer.
    ask(&mut again, &FetchRequest::Leaves { file: FileId([7; 32]) }).await.unwrap();
    assert_eq!(answer(&mut again).await.unwrap().0, AnswerHeader::Refused(FetchRefusal::NotHere));
}

/// Alice and Bob at a node that keeps blobs, and writes down what it hears.
async fn at_a_node_that_listens() -> (TestNet, LyingNode, Blobs, Persona, Persona) {
    let node = LyingNode::start().await;
    let blobs = Blobs::at(&node);
    let mut net = TestNet::new().unwrap();
    net.use_home(&node.address);
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    (net, node, blobs, alice, bob)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_counts_a_download_once_and_its_sharer_learns_of_it() {
    let (_net, node, blobs, mut alice, mut bob) = at_a_node_that_listens().await;
    let (from, to) = (Folder::new(), Folder::new());
    goes_away(&mut bob, &mut alice).await.unwrap();
    let content = bytes(700_000, 3);
    let file = share(&alice, Some("bob"), None, &from.write("a.zip", &content)).await;
    left_at_a_node(&mut alice, &file).await;
    alice.away().await;
    bob.back().await.unwrap();
    offered(&mut bob).await;
    let done = bob.handle().unwrap().files_download(file.clone(), Some(to.text()), None::<bool>).await.unwrap();
    assert!(done.routes.stored > 0);
    blobs.hears(|kept| kept.blobs.values().any(|blob| blob.downloads() == 1)).await;
    bob.away().await;
    // What Bob says about it himself is lost: only the node can tell.
    node.tamper(|known| known.mailboxes.clear());
    alice.back().await.unwrap();
    // She may have asked before she was registered.
    if downloads(&alice).await != [1] {
        let counted = alice.until(|event| match event {
            Event::FileState(view) if view.file_id == file => Some(view.downloads),
            _ => None,
        });
        assert_eq!(counted.await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_delete_is_asked_again_also_in_the_next_life() {
    let (_net, _node, blobs, mut alice, mut bob) = at_a_node_that_listens().await;
    let from = Folder::new();
    goes_away(&mut bob, &mut alice).await.unwrap();
    let file = share(&alice, Some("bob"), None, &from.write("a.zip", &bytes(700_000, 3))).await;
    left_at_a_node(&mut alice, &file).await;
    blobs.kept().keeps = true;
    alice.handle().unwrap().files_delete(file.clone()).await.unwrap();
    blobs.hears(|kept| kept.deletes > 2).await;
    assert_eq!(blobs.kept().blobs.len(), 1);
    alice.killed().await;
    blobs.kept().keeps = false;
    alice.back().await.unwrap();
    blobs.hears(|kept| kept.blobs.is_empty()).await;
    assert!(state(&alice).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_a_node_hears_of_a_file_tells_neither_name_nor_type_nor_exact_size() {
    let (_net, _node, blobs, mut alice, mut bob) = at_a_node_that_listens().await;
    let (from, to) = (Folder::new(), Folder::new());
    goes_away(&mut bob, &mut alice).await.unwrap();
    let sizes = [1_234_567_usize, 1_234_568, 1_300_001];
    let mut shapes = Vec::new();
    for size in sizes {
        let name = format!("letter-of-resignation-{size}.pdf");
        let mut content = b"%PDF-1.7 Dear Director, ".to_vec();
        content.extend(bytes(size - content.len(), size as u64));
        let file = share(&alice, Some("bob"), None, &from.write(&name, &content)).await;
        left_at_a_node(&mut alice, &file).await;
    }
    alice.away().await;
    bob.back().await.unwrap();
    for _ in sizes {
        let file = offered(&mut bob).await;
        assert!(file.name.starts_with("letter") && file.mime == "application/pdf");
        let done = bob.handle().unwrap().files_download(file.file_id, Some(to.text()), None::<bool>).await.unwrap();
        assert!(done.routes.stored > 0 && done.routes.direct == 0);
    }
    assert_eq!(state(&bob).await, [FileState::Completed; 3]);
    let kept = blobs.kept();
    for blob in kept.blobs.values() {
        let lengths: Vec<usize> = blob.chunks.values().map(Vec::len).collect();
        assert!(lengths.iter().all(|length| *length == blob.chunk_bytes as usize), "all are of one length");
        shapes.push((blob.chunk_bytes, blob.count));
    }
    assert_eq!(shapes, [(262_160, 5); 3], "three sizes look like one");
    assert!(kept.heard.len() > 30, "it heard of the three");
    let holds = |request: &[u8], needle: &[u8]| request.windows(needle.len()).any(|part| part == needle);
    for request in &kept.heard {
        // Long enough not to stand in ciphertext by chance.
        for needle in [b"letter-of".as_slice(), b"resignation", b"application/pdf", b"%PDF-1.7", b"Director"] {
            assert!(!holds(request, needle), "{:?} was heard", String::from_utf8_lossy(needle));
        }
        // Long ones are ciphertext, in which any four bytes may happen to stand.
        for size in sizes.iter().filter(|_| request.len() < 10_000) {
            let size = u32::try_from(*size).unwrap();
            assert!(!holds(request, &size.to_le_bytes()) && !holds(request, &size.to_be_bytes()), "its size was heard");
        }
    }
}

async fn downloads(of: &Persona) -> Vec<usize> {
    let files = of.handle().unwrap().files_list(None, None::<String>).await.unwrap().files;
    files.into_iter().map(|row| row.downloads).collect()
}

async fn state(of: &Persona) -> Vec<FileState> {
    let files = of.handle().unwrap().files_list(None, None::<String>).await.unwrap().files;
    files.into_iter().map(|row| row.state).collect()
}
