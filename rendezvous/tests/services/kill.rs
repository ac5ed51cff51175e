//! The real program, killed with SIGKILL under load: chunks and entries that it acknowledged are
//! there when it comes back, and no file is left that nobody knows.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::group_log::LogKeys;
use secure_chat_protocol::limits::WORK_MIN_BITS;
use secure_chat_protocol::wire::rendezvous::{BlobCharge, BlobRequest, GroupLogRequest, Request, Response};

use crate::blobs::{create, keys, put};
use crate::group_log::append;
use crate::program::Program;
use crate::support::{Client, Person};

const KILLS: u64 = 12;
const IN_FLIGHT: usize = 8;
const CHUNKS: u32 = 200;

enum Acknowledged {
    Chunk(u32),
    Entry { id: u64, position: u64 },
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_chunk_and_entry_survives_kill_after_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let (alice, file, log) = (Person::new("alice", 1), keys(1), LogKeys::derive(&Secret::from_bytes([3; 32])));
    let (mut chunks, mut entries) = (Vec::new(), BTreeMap::new());
    let mut next = 0_u32;
    for _ in 0..KILLS {
        let mut program = Program::start(directory.path(), &[]).await;
        let client = alice.join(&program.address).await;
        check(&client, &chunks, &entries).await;
        assert!(matches!(client.ask(&create(&file, CHUNKS, BlobCharge::Account)).await, Response::Blob(_)));
        let kill_after = rng.next_u64() % 12;
        let (mut under_way, mut answered) = (FuturesUnordered::new(), 0);
        while answered < kill_after {
            while under_way.len() < IN_FLIGHT {
                let (index, id) = (next, u64::from(next));
                next += 1;
                let entry = append(&client, &log, id, 300, (entries.is_empty()).then_some(WORK_MIN_BITS));
                let (chunk, entry) =
                    (client.start(&put(&file, index % CHUNKS)), client.start(&Request::GroupLog(entry)));
                under_way.push(async move { (index % CHUNKS, id, chunk.await, entry.await) });
            }
            note(under_way.next().await.unwrap(), &mut chunks, &mut entries);
            answered += 1;
        }
        program.kill();
        while let Some(done) = under_way.next().await {
            note(done, &mut chunks, &mut entries);
        }
    }
    let program = Program::start(directory.path(), &[]).await;
    check(&alice.join(&program.address).await, &chunks, &entries).await;
    assert!(chunks.len() > 20 && entries.len() > 20, "{} chunks, {} entries", chunks.len(), entries.len());
}

type Done = (u32, u64, Result<Response, crate::support::NoAnswer>, Result<Response, crate::support::NoAnswer>);

fn note((index, id, chunk, entry): Done, chunks: &mut Vec<u32>, entries: &mut BTreeMap<u64, u64>) {
    let chunk = matches!(chunk, Ok(Response::Done)).then_some(Acknowledged::Chunk(index));
    let entry = match entry {
        Ok(Response::Appended { position }) => Some(Acknowledged::Entry { id, position }),
        _ => None,
    };
    for done in [chunk, entry].into_iter().flatten() {
        match done {
            Acknowledged::Chunk(index) => chunks.push(index),
            Acknowledged::Entry { id, position } => {
                assert_eq!(*entries.entry(id).or_insert(position), position, "entry {id} moved");
            }
        }
    }
}

async fn check(client: &Client, chunks: &[u32], entries: &BTreeMap<u64, u64>) {
    let (file, log) = (keys(1), LogKeys::derive(&Secret::from_bytes([3; 32])));
    for index in chunks {
        let get = BlobRequest::Get { blob: file.blob_id(), read_token: file.read_token(), index: *index };
        match client.ask(&Request::Blob(get)).await {
            Response::Chunk { sealed } => assert!(sealed.0.iter().all(|byte| *byte == (*index as u8) ^ 0x5a)),
            other => panic!("chunk {index} was acknowledged: {other:?}"),
        }
    }
    let read = GroupLogRequest::Read { log: log.log_id(), read_token: log.read_token(), after: 0, max_bytes: 1 << 20 };
    let found: BTreeMap<u64, u64> = match client.ask(&Request::GroupLog(read)).await {
        Response::Log { entries: found, more: false } => {
            let mut by_id = BTreeMap::new();
            for entry in found {
                let id = u64::from_be_bytes(entry.id.0[..8].try_into().unwrap());
                assert_eq!(by_id.insert(id, entry.position), None, "entry {id} is there twice");
            }
            by_id
        }
        Response::Refused(_) if entries.is_empty() => return,
        other => panic!("{other:?}"),
    };
    for (id, position) in entries {
        assert_eq!(found.get(id), Some(position), "entry {id} was acknowledged");
    }
}
