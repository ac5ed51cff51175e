//! What everybody in between learns from a day of three people: everything that a rendezvous node
//! stored, was asked, and everything that crossed the wire is searched for what
//! `docs/threat-model.md` says is not there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition, TableHandle as _};
use secure_chat_node::api::{Direction, Event, Expiry, JoinPolicy, MessageState, Status};
use secure_chat_protocol::id::{AccountId, FileId, GroupId};
use secure_chat_protocol::wire::codec;
use secure_chat_protocol::wire::rendezvous::{BlobCharge, BlobRequest, Request};
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use secure_chat_tests::memory::Needles;
use secure_chat_tests::tap::Tap;
use secure_chat_tests::{PASSWORD, Persona, TestNet, become_contacts};

const TEXTS: [&str; 5] = [
    "the amber lighthouse blinks at midnight",
    "an answer that is read from a mailbox",
    "only members hear of the copper harbour",
    "said in the group while somebody is away",
    "Shall we talk?",
];
const GROUP: &str = "Velvet Lighthouse Society";
const ABOUT: &str = "About lamps and their keepers";
const FILE: &str = "velvet-contract.txt";
const LINE: &str = "The undersigned keeper promises to light the lamp. ";
const REQUEST_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Everything under a folder, by path.
fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
}

/// Every row of a node's database, key and value, by table.
fn rows(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let database = redb::Database::open(path).unwrap();
    let read = database.begin_read().unwrap();
    let mut all = BTreeMap::new();
    for table in read.list_tables().unwrap() {
        let name = table.name().to_owned();
        let table = read.open_table(TableDefinition::<&[u8], &[u8]>::new(&name)).unwrap();
        let mut bytes = Vec::new();
        for row in table.iter().unwrap() {
            let (key, value) = row.unwrap();
            bytes.extend_from_slice(key.value());
            bytes.extend_from_slice(value.value());
        }
        all.insert(name, bytes);
    }
    all
}

fn port(address: &str) -> u16 {
    let mut parts = address.split('/').skip_while(|part| *part != "tcp");
    parts.nth(1).unwrap().parse().unwrap()
}

async fn account(of: &Persona) -> (AccountId, String) {
    let status = of.handle().unwrap().account_status().await.unwrap();
    (status.account_id.unwrap().parse().unwrap(), status.peer_id.unwrap())
}

async fn sent(by: &mut Persona, id: &str) {
    by.until(|event| match event {
        Event::MessageState { message_id, state: MessageState::Sent, .. } if message_id == id => Some(()),
        _ => None,
    })
    .await
    .unwrap();
}

async fn hears(who: &mut Persona, text: &str) {
    who.until(|event| match event {
        Event::GroupMessage(message) if message.text == text => Some(()),
        _ => None,
    })
    .await
    .unwrap();
}

async fn joins(who: &mut Persona, owner: &Persona, group: &str) {
    owner.handle().unwrap().groups_invite(group, Some(who.name.clone()), None).await.unwrap();
    who.until(|event| matches!(event, Event::GroupInvited { .. }).then_some(())).await.unwrap();
    who.handle().unwrap().groups_join(Some(group.to_owned()), None::<String>).await.unwrap();
    who.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
}

/// What the run leaves behind.
struct Seen {
    wires: Vec<(&'static str, Vec<u8>)>,
    requests: Vec<(String, Request)>,
    folder: PathBuf,
    people: Vec<(String, AccountId, String)>,
    group: GroupId,
    file: FileId,
    _net: TestNet,
}

/// Three people with one node: requests, messages, a file and a group, with one of them away for a while.
async fn a_day() -> Seen {
    let mut net = TestNet::over_tcp().unwrap();
    let folder = net.folder().join("node");
    let (witness, asked) = mpsc::channel();
    let config = RendezvousConfig::new(&folder).listening_on("/ip4/127.0.0.1/tcp/0");
    let node = RendezvousNode::start_watched(config, Some(witness)).await.unwrap();
    let at = node.addresses().remove(0);
    let to_node = Tap::before(([127, 0, 0, 1], port(&at)).into()).await.unwrap();
    net.use_home(&format!("{}/p2p/{}", to_node.multiaddr(), node.peer_id()));

    let (mut alice, mut bob) = (net.persona("alicequartz").await.unwrap(), net.persona("bobquartz").await.unwrap());
    let mut carol = net.persona("carolquartz").await.unwrap();
    let status = bob.handle().unwrap().network_status().await.unwrap();
    let to_bob = Tap::before(([127, 0, 0, 1], port(&status.listen[0])).into()).await.unwrap();
    let through = format!("{}/p2p/{}", to_bob.multiaddr(), status.peer_id);
    alice.handle().unwrap().network_dial(through).await.unwrap();
    become_contacts(&mut alice, &mut bob).await.unwrap();
    become_contacts(&mut alice, &mut carol).await.unwrap();
    let mut people = Vec::new();
    for person in [&alice, &bob, &carol] {
        let (id, peer) = account(person).await;
        people.push((person.name.clone(), id, peer));
    }
    alice.says("bobquartz", TEXTS[0]).await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), TEXTS[0]);
    let made = alice.handle().unwrap().groups_create(GROUP, Some(ABOUT.to_owned()), false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    joins(&mut bob, &alice, &group).await;
    joins(&mut carol, &alice, &group).await;
    alice.handle().unwrap().groups_send(group.as_str(), TEXTS[2], None::<String>).await.unwrap();
    hears(&mut bob, TEXTS[2]).await;
    hears(&mut carol, TEXTS[2]).await;

    bob.away().await;
    alice
        .until(|event| match event {
            Event::PresenceChanged { username, status: Status::Offline, .. } => (username == "bobquartz").then_some(()),
            _ => None,
        })
        .await
        .unwrap();
    let id = alice.says("bobquartz", TEXTS[1]).await.unwrap();
    sent(&mut alice, &id).await;
    alice.handle().unwrap().groups_send(group.as_str(), TEXTS[3], None::<String>).await.unwrap();
    hears(&mut carol, TEXTS[3]).await;
    let path = net.folder().join(FILE);
    std::fs::write(&path, LINE.repeat(20_000)).unwrap();
    let (path, to) = (path.to_string_lossy().into_owned(), Some("bobquartz".to_owned()));
    let none = None::<String>;
    let shared = alice.handle().unwrap().files_share(path, to, none.clone(), None::<Expiry>, none, None::<bool>).await;
    let file = shared.unwrap().file_id;
    alice
        .until(|event| match event {
            Event::FileCompleted { file_id, direction: Direction::Upload, .. } => (file_id == file).then_some(()),
            Event::FileFailed { reason, .. } => panic!("{reason}"),
            _ => None,
        })
        .await
        .unwrap();
    // What the disk holds while Bob is away: afterwards some of it is deleted.
    node.stop().await;
    let mut kept = Vec::new();
    files(&folder, &mut kept);
    assert!(kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > 1_000_000, "the file is at the node");
    let config = RendezvousConfig::new(&folder).listening_on(at.split("/p2p/").next().unwrap());
    let node = RendezvousNode::start(config).await.unwrap();
    bob.back().await.unwrap();
    bob.until(|event| match event {
        Event::MessageReceived(message) if message.text == TEXTS[1] => Some(()),
        _ => None,
    })
    .await
    .unwrap();
    bob.handle().unwrap().files_download(file.clone(), None::<String>, None::<bool>).await.unwrap();
    for mut person in [alice, bob, carol] {
        person.away().await;
    }
    node.stop().await;
    let mut wires = vec![("to the node", to_node.heard()), ("between two people", to_bob.heard())];
    wires.push(("the node's disk while a person was away", kept.into_iter().flat_map(|(_, bytes)| bytes).collect()));
    let (group, file) = (group.parse().unwrap(), file.parse().unwrap());
    Seen { wires, requests: asked.try_iter().collect(), folder, people, group, file, _net: net }
}

/// What nobody in between may read, wherever they look.
fn content(seen: &Seen) -> Needles {
    let mut needles = Needles::default();
    for text in TEXTS.into_iter().chain([GROUP, ABOUT, FILE, LINE, PASSWORD, "text/plain"]) {
        needles.add(text, text.as_bytes());
    }
    needles.add("the group's id", seen.group.as_ref()).add("the file's id", seen.file.as_ref());
    needles.add("the group's id as text", seen.group.to_string().as_bytes());
    needles.add("the file's id as text", seen.file.to_string().as_bytes());
    needles
}

fn people(seen: &Seen) -> Needles {
    let mut needles = Needles::default();
    for (name, account, _) in &seen.people {
        needles.add(name.clone(), name.as_bytes()).add(format!("account of {name}"), account.as_bytes());
        needles.add(format!("account of {name} as text"), account.to_string().as_bytes());
    }
    needles
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_in_between_learns_what_the_threat_model_keeps_from_them() {
    let seen = a_day().await;
    let (content, names) = (content(&seen), people(&seen));
    let nothing = |needles: &Needles, bytes: &[u8], place: &str| {
        let found: BTreeSet<&str> = needles.within(bytes).into_iter().map(|(name, _)| name).collect();
        assert!(found.is_empty(), "{place} holds {found:?}");
    };
    // The network: neither content nor names, on any wire.
    for (place, bytes) in &seen.wires {
        assert!(bytes.len() > 20_000, "{place}: only {} bytes", bytes.len());
        nothing(&content, bytes, place);
        println!("{place}: {} bytes searched", bytes.len());
    }
    for (place, bytes) in &seen.wires[..2] {
        nothing(&names, bytes, place);
    }
    // The operator, at the disk: no content in any file or row; names only where they are registered.
    let mut kept = Vec::new();
    files(&seen.folder, &mut kept);
    for (path, bytes) in &kept {
        nothing(&content, bytes, &path.display().to_string());
    }
    let database = kept.iter().find(|(path, _)| path.extension().is_some_and(|end| end == "redb")).unwrap();
    for (table, bytes) in rows(&database.0) {
        nothing(&content, &bytes, &table);
        let found: BTreeSet<&str> = names.within(&bytes).into_iter().map(|(name, _)| name).collect();
        println!("table {table}: {} bytes, names and accounts found: {}", bytes.len(), found.len());
        // Who is registered, their keys, and whose mailbox or account a stored file is charged to.
        let registered = ["names", "records", "prekeys", "kits", "kit_ids", "blob_payers", "expiry"];
        assert!(found.is_empty() || registered.contains(&table.as_str()), "{table}: {found:?}");
    }
    check_requests(&seen, &content, &names);
}

/// The operator, at the wire: what the node was asked, after its own decryption.
fn check_requests(seen: &Seen, content: &Needles, names: &Needles) {
    let registered: BTreeSet<&str> = seen.people.iter().map(|(_, _, peer)| peer.as_str()).collect();
    let mut sizes = BTreeMap::<&str, BTreeSet<usize>>::new();
    let mut counts = BTreeMap::<&str, usize>::new();
    for (peer, request) in &seen.requests {
        let bytes = codec::encode(request, REQUEST_MAX_BYTES).unwrap();
        assert!(content.within(&bytes).is_empty(), "{request:?}");
        let of_whom: Vec<_> = names.within(&bytes).into_iter().map(|(name, _)| name.to_owned()).collect();
        let kind = match request {
            Request::Deposit { sealed, .. } => {
                sizes.entry("deposit").or_default().insert(sealed.0.len());
                assert!(!registered.contains(peer.as_str()), "a deposit under its sender's own peer id");
                assert!(of_whom.is_empty(), "a deposit names {of_whom:?}");
                "deposit"
            }
            Request::GroupLog(_) => {
                assert!(of_whom.is_empty(), "a group's log names {of_whom:?}");
                assert!(!registered.contains(peer.as_str()), "a group's log under a member's own peer id");
                "group log"
            }
            Request::Blob(BlobRequest::Create { charge: BlobCharge::Account, .. }) => "blob, charged to an account",
            Request::Blob(_) => {
                assert!(of_whom.is_empty(), "a blob names {of_whom:?}");
                "blob"
            }
            _ => "other",
        };
        *counts.entry(kind).or_default() += 1;
    }
    println!("requests: {counts:?}; sizes of deposits: {:?}", sizes.get("deposit"));
    assert!(counts.contains_key("deposit") && counts.contains_key("group log"), "{counts:?}");
}
