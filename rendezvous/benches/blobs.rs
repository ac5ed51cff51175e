//! A file of 50 MB for somebody who is away: up and down again through one node on loopback, beside
//! what the disk takes alone. `cargo bench -p secure-chat-rendezvous --bench blobs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement that fails panics")]

#[path = "../tests/program/mod.rs"]
mod program;
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use program::Program;
use secure_chat_protocol::blob::BlobKeys;
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{BlobCharge, BlobRequest, Request, Response};
use support::{Client, Person, stranger};

const FILE_BYTES: usize = 50_000_000;
const IN_FLIGHT: usize = 8;
const ROUNDS: u8 = 4;
const LIMIT_MB_S: f64 = 100.0;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("{:<66} {:>14} {:>14}", "", "measured", "limit");
    runtime.block_on(async {
        for chunk_bytes in [256 * 1024 + 16, 1024 * 1024 + 16] {
            through_one_node(chunk_bytes).await;
        }
    });
}

fn line(what: &str, mb_s: f64, limit: &str) {
    println!("{what:<66} {:>9.0} MB/s {limit:>14}", mb_s);
}

async fn all(client: &Client, chunks: u32, request: impl Fn(u32) -> Request) -> f64 {
    let (mut under_way, mut next, started) = (FuturesUnordered::new(), 0, Instant::now());
    while next < chunks || !under_way.is_empty() {
        while under_way.len() < IN_FLIGHT && next < chunks {
            under_way.push(client.start(&request(next)));
            next += 1;
        }
        let answer = under_way.next().await.unwrap().unwrap();
        assert!(matches!(answer, Response::Done | Response::Chunk { .. }), "{answer:?}");
    }
    FILE_BYTES as f64 / 1e6 / started.elapsed().as_secs_f64()
}

async fn through_one_node(chunk_bytes: usize) {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]).await;
    let sender = Person::new("alice", 1).join(&program.address).await;
    let chunks = u32::try_from(FILE_BYTES.div_ceil(chunk_bytes)).unwrap();
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let keys = BlobKeys::from_seed(Secret::from_bytes([round; 32]));
        let create = BlobRequest::Create {
            owner_hash: keys.owner_hash(),
            read_hash: keys.read_hash(),
            chunk_bytes: u32::try_from(chunk_bytes).unwrap(),
            chunks,
            expires_hours: 24,
            charge: BlobCharge::Account,
        };
        assert!(matches!(sender.ask(&Request::Blob(create)).await, Response::Blob(_)));
        let (blob, owner_token, read_token) = (keys.blob_id(), keys.owner_token(), keys.read_token());
        let sealed = Bytes(vec![7; chunk_bytes]);
        let put = |index| Request::Blob(BlobRequest::Put { blob, owner_token, index, sealed: sealed.clone() });
        up.push(all(&sender, chunks, put).await);
        let reader = Client::connect(stranger(10 + u64::from(round)), &program.address).await;
        down.push(all(&reader, chunks, |index| Request::Blob(BlobRequest::Get { blob, read_token, index })).await);
    }
    let best = |rates: &[f64]| rates.iter().copied().fold(0.0, f64::max);
    let worst = |rates: &[f64]| rates.iter().copied().fold(f64::INFINITY, f64::min);
    let limit = format!("≥ {LIMIT_MB_S} MB/s");
    let kib = chunk_bytes / 1024;
    line(&format!("up: 50 MB in chunks of {kib} KiB, {IN_FLIGHT} in flight, each durable: best"), best(&up), &limit);
    line("  the slowest of the rounds", worst(&up), "");
    line(&format!("down: 50 MB in chunks of {kib} KiB, {IN_FLIGHT} in flight: best"), best(&down), &limit);
    line("  the slowest of the rounds", worst(&down), "");
    line("  compare: the same chunks written to a file, each synced", disk(directory.path(), chunk_bytes, chunks), "");
}

fn disk(directory: &std::path::Path, chunk_bytes: usize, chunks: u32) -> f64 {
    let mut file = std::fs::File::create(directory.join("compare")).unwrap();
    let (chunk, started) = (vec![7; chunk_bytes], Instant::now());
    for _ in 0..chunks {
        file.write_all(&chunk).unwrap();
        file.sync_data().unwrap();
    }
    FILE_BYTES as f64 / 1e6 / started.elapsed().as_secs_f64()
}
