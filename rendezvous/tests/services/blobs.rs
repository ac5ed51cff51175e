use futures::StreamExt;
use futures::stream::FuturesUnordered;
use secure_chat_protocol::blob::BlobKeys;
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::id::EnvelopeId;
use secure_chat_protocol::limits::BLOB_CHUNK_MAX_BYTES;
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{BlobCharge, BlobRequest, BlobState, Refusal, Request, Response};
use secure_chat_rendezvous::quota::Rate;

use crate::start;
use crate::support::{Client, Person, loopback_node, memory_node, refused, stranger};

const CHUNK: u32 = 16 * 1024;

pub(crate) fn keys(byte: u8) -> BlobKeys {
    BlobKeys::from_seed(Secret::from_bytes([byte; 32]))
}

pub(crate) fn create(keys: &BlobKeys, chunks: u32, charge: BlobCharge) -> Request {
    Request::Blob(BlobRequest::Create {
        owner_hash: keys.owner_hash(),
        read_hash: keys.read_hash(),
        chunk_bytes: CHUNK,
        chunks,
        expires_hours: 24,
        charge,
    })
}

fn content(index: u32) -> Vec<u8> {
    vec![index as u8 ^ 0x5a; CHUNK as usize]
}

pub(crate) fn put(keys: &BlobKeys, index: u32) -> Request {
    let sealed = Bytes(content(index));
    Request::Blob(BlobRequest::Put { blob: keys.blob_id(), owner_token: keys.owner_token(), index, sealed })
}

fn get(keys: &BlobKeys, index: u32) -> Request {
    Request::Blob(BlobRequest::Get { blob: keys.blob_id(), read_token: keys.read_token(), index })
}

async fn stat(client: &Client, keys: &BlobKeys) -> BlobState {
    match client.ask(&Request::Blob(BlobRequest::Stat { blob: keys.blob_id(), token: keys.owner_token() })).await {
        Response::Blob(state) => state,
        other => panic!("{other:?}"),
    }
}

fn files(directory: &std::path::Path) -> usize {
    let inside = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_dir(entry.unwrap().path()).unwrap().count();
    std::fs::read_dir(directory.join("chunks")).unwrap().map(inside).sum()
}

#[tokio::test]
async fn an_upload_goes_on_after_a_kill_and_is_read_by_whoever_has_the_read_token() {
    let directory = tempfile::tempdir().unwrap();
    let (node, address) = start(loopback_node(directory.path())).await;
    let (alice, keys) = (Person::new("alice", 1), keys(1));
    let alices = alice.join(&address).await;
    assert!(matches!(alices.ask(&create(&keys, 10, BlobCharge::Account)).await, Response::Blob(_)));
    for index in [0, 4, 9] {
        assert_eq!(alices.ask(&put(&keys, index)).await, Response::Done);
    }
    node.abort().await;

    let (node, address) = start(loopback_node(directory.path())).await;
    let alices = alice.join(&address).await;
    let state = stat(&alices, &keys).await;
    let there: Vec<u32> = (0..10).filter(|index| state.has(*index)).collect();
    assert_eq!(there, [0, 4, 9], "what was acknowledged is there");
    for index in (0..10).filter(|index| !state.has(*index)) {
        assert_eq!(alices.ask(&put(&keys, index)).await, Response::Done);
    }
    assert!(stat(&alices, &keys).await.is_complete());
    // Bob, whom the node never sees by name.
    let bob = Client::connect(stranger(2), &address).await;
    for index in 0..10 {
        assert_eq!(bob.ask(&get(&keys, index)).await, Response::Chunk { sealed: Bytes(content(index)) });
    }
    let count = BlobRequest::CountDownload {
        blob: keys.blob_id(),
        read_token: keys.read_token(),
        receipt: EnvelopeId([1; 16]),
    };
    for _ in 0..3 {
        assert_eq!(bob.ask(&Request::Blob(count.clone())).await, Response::Done);
    }
    assert_eq!(stat(&alices, &keys).await.downloads, 1);
    let delete = BlobRequest::Delete { blob: keys.blob_id(), owner_token: keys.owner_token() };
    assert_eq!(alices.ask(&Request::Blob(delete)).await, Response::Done);
    assert_eq!(bob.ask(&get(&keys, 0)).await, refused(Refusal::NotFound));
    node.stop().await;
    assert_eq!(files(directory.path()), 0, "its file is gone");
}

#[tokio::test]
async fn a_wrong_capability_or_chunk_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(memory_node(directory.path())).await;
    let alices = Person::new("alice", 1).join(&address).await;
    let outsider = Client::connect(stranger(2), &address).await;
    let (mine, other) = (keys(1), keys(2));
    alices.ask(&create(&mine, 2, BlobCharge::Account)).await;
    alices.ask(&put(&mine, 0)).await;
    let blob = mine.blob_id();
    let not_found = refused(Refusal::NotFound);
    let ask = |request| async { outsider.ask(&Request::Blob(request)).await };
    let sealed = Bytes(content(1));
    for wrong in [other.owner_token(), mine.read_token(), mine.owner_hash(), Fixed([0; 32])] {
        let put = BlobRequest::Put { blob, owner_token: wrong, index: 1, sealed: sealed.clone() };
        assert_eq!(ask(put).await, not_found);
        assert_eq!(ask(BlobRequest::Delete { blob, owner_token: wrong }).await, not_found);
    }
    for wrong in [other.read_token(), mine.owner_token(), mine.read_hash()] {
        assert_eq!(ask(BlobRequest::Get { blob, read_token: wrong, index: 0 }).await, not_found);
    }
    let short = BlobRequest::Put { blob, owner_token: mine.owner_token(), index: 1, sealed: Bytes(vec![1; 100]) };
    assert_eq!(ask(short).await, refused(Refusal::Invalid), "every chunk has the blob's length");
    let behind = BlobRequest::Put { blob, owner_token: mine.owner_token(), index: 2, sealed };
    assert_eq!(ask(behind).await, not_found);
    // One that is there is not replaced.
    let again = Bytes(vec![0xee; CHUNK as usize]);
    let replace = BlobRequest::Put { blob, owner_token: mine.owner_token(), index: 0, sealed: again };
    assert_eq!(ask(replace).await, Response::Done);
    assert_eq!(outsider.ask(&get(&mine, 0)).await, Response::Chunk { sealed: Bytes(content(0)) });
    assert_eq!(outsider.ask(&get(&mine, 1)).await, not_found, "not there yet");
    assert_eq!(outsider.ask(&create(&other, 1, BlobCharge::Account)).await, refused(Refusal::NotRegistered));
}

#[tokio::test]
async fn quotas_hold_under_a_flood_of_many_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = memory_node(directory.path());
    config.limits.blob_bytes = u64::from(CHUNK) * 8;
    config.limits.blob_bytes_per_account = u64::from(CHUNK) * 20;
    let (_node, address) = start(config).await;
    let alices = Person::new("alice", 1).join(&address).await;
    let mut asked: FuturesUnordered<_> =
        (0..60).map(|n| alices.start(&create(&keys(n), 5, BlobCharge::Account))).collect();
    let mut made = 0;
    while let Some(answer) = asked.next().await {
        match answer.unwrap() {
            Response::Blob(_) => made += 1,
            other => assert_eq!(other, refused(Refusal::Full)),
        }
    }
    assert_eq!(made, 4);
    let large = alices.ask(&create(&keys(99), 9, BlobCharge::Account)).await;
    assert_eq!(large, refused(Refusal::TooLarge { limit_bytes: CHUNK * 8 }));
    let other = Person::new("bob", 2).join(&address).await;
    assert!(matches!(other.ask(&create(&keys(100), 5, BlobCharge::Account)).await, Response::Blob(_)));
}

#[tokio::test]
async fn a_peer_that_floods_is_slowed_down_with_a_time_and_no_other_pays_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = memory_node(directory.path());
    // Less than one longest chunk flows in a second: a read is charged as one until its size is known.
    let rate = Rate::new(4 * BLOB_CHUNK_MAX_BYTES as u64, 1_000);
    config.limits.rates.blob_bytes_per_peer = rate;
    let (_node, address) = start(config).await;
    let alices = Person::new("alice", 1).join(&address).await;
    let keys = keys(1);
    alices.ask(&create(&keys, 200, BlobCharge::Account)).await;
    alices.ask(&put(&keys, 0)).await;
    let greedy = Client::connect(stranger(2), &address).await;
    let mut taken = 0;
    let slowed = loop {
        match greedy.ask(&get(&keys, 0)).await {
            Response::Chunk { .. } => taken += 1,
            other => break other,
        }
        assert!(taken < 1_000, "a flood without an end");
    };
    assert!(matches!(slowed, Response::Refused(Refusal::SlowDown { retry_after_ms: 1.. })), "{slowed:?}");
    // What was charged beyond the chunks' true size was given back.
    assert!(taken > 100, "{taken} chunks of 16 KiB out of four times the longest");
    let other = Client::connect(stranger(3), &address).await;
    assert!(matches!(other.ask(&get(&keys, 0)).await, Response::Chunk { .. }));
    assert_eq!(alices.ask(&put(&keys, 1)).await, Response::Done);
}

#[tokio::test]
async fn a_sender_whom_the_node_does_not_know_leaves_a_file_on_a_recipient_s_token() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(memory_node(directory.path())).await;
    let bob = Person::new("bob", 1);
    let bobs = bob.connect(&address).await;
    bobs.open(&bob.mailbox).await;
    assert_eq!(bobs.ask(&Request::AddTokens { hashes: bob.tokens.hashes(0..1) }).await, Response::Done);
    let sender = Client::connect(stranger(2), &address).await;
    let (mailbox, token) = (bob.mailbox.mailbox_id(), bob.tokens.token(0));
    let charge = BlobCharge::Mailbox { mailbox, token };
    assert!(matches!(sender.ask(&create(&keys(1), 1, charge.clone())).await, Response::Blob(_)));
    assert!(matches!(sender.ask(&create(&keys(1), 1, charge.clone())).await, Response::Blob(_)), "asked again");
    assert_eq!(sender.ask(&create(&keys(2), 1, charge)).await, refused(Refusal::NotFound), "a token pays once");
    assert_eq!(sender.ask(&put(&keys(1), 0)).await, Response::Done);
    assert!(matches!(bobs.ask(&get(&keys(1), 0)).await, Response::Chunk { .. }));
}

#[tokio::test]
async fn the_longest_chunk_passes_and_a_longer_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(loopback_node(directory.path())).await;
    let alices = Person::new("alice", 1).join(&address).await;
    let keys = keys(1);
    let create = |chunk_bytes: usize| {
        Request::Blob(BlobRequest::Create {
            owner_hash: keys.owner_hash(),
            read_hash: keys.read_hash(),
            chunk_bytes: u32::try_from(chunk_bytes).unwrap(),
            chunks: 1,
            expires_hours: u32::MAX,
            charge: BlobCharge::Account,
        })
    };
    let too_large = Refusal::TooLarge { limit_bytes: u32::try_from(BLOB_CHUNK_MAX_BYTES).unwrap() };
    assert_eq!(alices.ask(&create(BLOB_CHUNK_MAX_BYTES + 1)).await, refused(too_large));
    let Response::Blob(state) = alices.ask(&create(BLOB_CHUNK_MAX_BYTES)).await else { panic!() };
    assert_eq!(state.expires_hours, 720, "no blob lives for ever");
    let sealed = Bytes(vec![3; BLOB_CHUNK_MAX_BYTES]);
    let put = BlobRequest::Put { blob: keys.blob_id(), owner_token: keys.owner_token(), index: 0, sealed };
    assert_eq!(alices.ask(&Request::Blob(put)).await, Response::Done);
    assert!(matches!(alices.ask(&get(&keys, 0)).await, Response::Chunk { .. }));
}

#[tokio::test]
async fn a_file_that_a_kill_left_behind_is_deleted_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let (node, _) = start(memory_node(directory.path())).await;
    node.stop().await;
    let orphan = keys(7).blob_id().to_string();
    let folder = directory.path().join("chunks").join(&orphan[..2]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&orphan), b"left behind").unwrap();
    let (node, _) = start(memory_node(directory.path())).await;
    node.stop().await;
    assert_eq!(files(directory.path()), 0);
}
