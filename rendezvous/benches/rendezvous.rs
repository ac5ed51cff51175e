//! What a node must reach, each figure beside its limit and beside something to compare it with.
//!
//! `cargo bench -p secure-chat-rendezvous`, or a part of it: `-- store`, `-- network`, `-- memory`,
//! `-- restart`. The number of envelopes for the restart can be set with `ENVELOPES` (1,000,000).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement that fails panics")]

#[path = "../tests/program/mod.rs"]
mod program;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use program::Program;
use secure_chat_protocol::id::MailboxId;
use secure_chat_protocol::sealed::token_hash;
use secure_chat_protocol::wire::rendezvous::{PresenceStatus, Request, Response};
use secure_chat_rendezvous::mailbox::{Deposit, Paid};
use secure_chat_rendezvous::operation::{Change, Moment, Rules};
use secure_chat_rendezvous::rows::StoreError;
use secure_chat_rendezvous::store::Store;
use secure_chat_rendezvous::store::redb::RedbStore;
use support::{Client, Person, by_token, envelope_id, stranger};

const ENVELOPE_BYTES: usize = 1_024;
const IN_FLIGHT: usize = 64;
const DEPOSITS_LIMIT_PER_S: f64 = 5_000.0;
const IDLE_CLIENTS: usize = 1_000;
const IDLE_LIMIT_KIB: f64 = 64.0;
const RESTART_LIMIT: Duration = Duration::from_secs(2);

/// Lets the load of one peer through.
const CONFIG: &str = "[limits.rates]\n\
    requests_per_peer = { burst = 100000000, per_second = 100000000 }\n\
    requests_in_all = { burst = 100000000, per_second = 100000000 }\n\
    deposit_bytes_per_peer = { burst = 100000000000, per_second = 100000000000 }\n\
    stored_bytes_per_peer = { burst = 100000000000, per_second = 100000000000 }\n";

fn main() {
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("{:<66} {:>14} {:>14}", "", "measured", "limit");
    if wanted("store") {
        store();
    }
    if wanted("network") {
        runtime.block_on(network());
    }
    if wanted("memory") {
        runtime.block_on(memory());
    }
    if wanted("restart") {
        runtime.block_on(restart());
    }
}

fn line(what: &str, measured: &str, limit: &str) {
    println!("{what:<66} {measured:>14} {limit:>14}");
}

fn at() -> Moment {
    Moment { lived_ms: 0, wall: support::now() }
}

/// Opens mailboxes.
fn open_many(store: &RedbStore, boxes: u64) {
    let (done, answers) = channel();
    for n in 0..boxes {
        let done = done.clone();
        store.change(Change::Open(mailbox(n)), at(), Box::new(move |outcome| done.send(outcome).unwrap()));
    }
    (0..boxes).for_each(|_| assert!(answers.recv().unwrap().is_ok()));
}

/// Deposits `count` envelopes, `in_flight` at once, one after the other into many mailboxes.
fn deposit_many(store: &RedbStore, boxes: u64, count: u64, in_flight: usize) {
    let (done, answers) = channel::<Result<(), StoreError>>();
    let mut under_way = 0;
    for n in 0..count {
        if under_way == in_flight {
            answers.recv().unwrap().unwrap();
            under_way -= 1;
        }
        let deposit = Deposit {
            mailbox: mailbox(n % boxes),
            id: envelope_id(n),
            sealed: vec![u8::try_from(n % 251).unwrap(); ENVELOPE_BYTES],
            paid: Paid::Work,
        };
        let done = done.clone();
        let reply = move |outcome: Result<secure_chat_rendezvous::operation::Outcome, StoreError>| {
            let _ = done.send(outcome.map(|outcome| assert_eq!(outcome.response, Response::Done)));
        };
        store.change(Change::Deposit(deposit), at(), Box::new(reply));
        under_way += 1;
    }
    for _ in 0..under_way {
        answers.recv().unwrap().unwrap();
    }
}

/// Mailbox ids are hashes: they scatter.
fn mailbox(n: u64) -> MailboxId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    MailboxId(token_hash(&secure_chat_protocol::wire::codec::Fixed(bytes)).0)
}

fn store() {
    const COUNT: u64 = 60_000;
    for in_flight in [1, IN_FLIGHT, 256] {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = RedbStore::open(&directory.path().join("db"), Rules::default()).unwrap();
        open_many(&store, 500);
        let count = if in_flight == 1 { COUNT / 20 } else { COUNT };
        let (opened, started) = (store.commits(), Instant::now());
        deposit_many(&store, 500, count, in_flight);
        let rate = count as f64 / started.elapsed().as_secs_f64();
        let limit = if in_flight == IN_FLIGHT { format!("≥ {DEPOSITS_LIMIT_PER_S}/s") } else { String::new() };
        line(&format!("store: durable deposits of 1 KiB, {in_flight} in flight"), &format!("{rate:.0}/s"), &limit);
        line("  changes in one commit", &format!("{:.1}", count as f64 / (store.commits() - opened) as f64), "≤ 256");
    }
    let syncs = raw_syncs();
    line("  compare: append 1 KiB to a file and sync it", &format!("{syncs:.0}/s"), "");
}

fn raw_syncs() -> f64 {
    use std::io::Write;
    const COUNT: u32 = 1_000;
    let directory = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(directory.path().join("log")).unwrap();
    let started = Instant::now();
    for _ in 0..COUNT {
        file.write_all(&[7; ENVELOPE_BYTES]).unwrap();
        file.sync_data().unwrap();
    }
    f64::from(COUNT) / started.elapsed().as_secs_f64()
}

/// Asks `count` requests, [`IN_FLIGHT`] at once; answers how many were answered each second, and
/// the median and the 99th percentile of the time that one took.
async fn ask_many(client: &Client, count: u64, request: impl Fn(u64) -> Request) -> (f64, Duration, Duration) {
    let (mut under_way, mut next) = (FuturesUnordered::new(), 0);
    let mut times = Vec::new();
    let started = Instant::now();
    while (times.len() as u64) < count {
        while under_way.len() < IN_FLIGHT && next < count {
            let (asked, answer) = (Instant::now(), client.start(&request(next)));
            under_way.push(async move { (answer.await.unwrap(), asked.elapsed()) });
            next += 1;
        }
        let (answer, took) = under_way.next().await.unwrap();
        assert!(!matches!(answer, Response::Refused(_)), "{answer:?}");
        times.push(took);
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    times.sort_unstable();
    (rate, times[times.len() / 2], times[times.len() * 99 / 100])
}

async fn program_with(directory: &Path) -> Program {
    std::fs::write(directory.join("config.toml"), CONFIG).unwrap();
    Program::start(directory, &[]).await
}

async fn network() {
    const COUNT: u64 = 15_000;
    let directory = tempfile::tempdir().unwrap();
    let program = program_with(directory.path()).await;
    let bob = Person::new("bob", 1);
    let bobs = bob.connect(&program.address).await;
    bobs.open(&bob.mailbox).await;
    let tokens = u32::try_from(COUNT).unwrap();
    for first in (0..tokens).step_by(4_096) {
        let hashes = bob.tokens.hashes(first..(first + 4_096).min(tokens));
        assert_eq!(bobs.ask(&Request::AddTokens { hashes }).await, Response::Done);
    }
    let sender = Client::connect(stranger(2), &program.address).await;
    let mailbox = bob.mailbox.mailbox_id();
    let deposit = |n: u64| by_token(mailbox, &bob.tokens, u32::try_from(n).unwrap(), n, ENVELOPE_BYTES);
    let (rate, p50, p99) = ask_many(&sender, COUNT, deposit).await;
    line(
        &format!("node over loopback TCP: durable deposits, {IN_FLIGHT} in flight, one sender"),
        &format!("{rate:.0}/s"),
        &format!("≥ {DEPOSITS_LIMIT_PER_S}/s"),
    );
    line("  from asking to the answer, p50", &format!("{p50:.1?}"), "");
    line("  from asking to the answer, p99", &format!("{p99:.1?}"), "");
    let (rate, ..) = ask_many(&sender, COUNT, |_| Request::Info).await;
    line("  compare: the same requests without storage", &format!("{rate:.0}/s"), "");
    let started = Instant::now();
    let fetched = bobs.fetch_all().await;
    let rate = fetched.len() as f64 / started.elapsed().as_secs_f64();
    assert_eq!(fetched.len() as u64, COUNT);
    line("  fetching them", &format!("{rate:.0}/s"), "");
}

/// Resident memory of a process, in KiB.
fn resident_kib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn memory() {
    let directory = tempfile::tempdir().unwrap();
    let program = program_with(directory.path()).await;
    // The first one warms up what does not grow.
    let warm = joined(0, &program.address).await;
    let before = resident_kib(program.pid);
    let mut clients = Vec::with_capacity(IDLE_CLIENTS);
    for seed in 0..IDLE_CLIENTS as u64 {
        clients.push(joined(seed + 1, &program.address).await);
    }
    // Identify and the first pings are over by then.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let each = (resident_kib(program.pid) - before) / IDLE_CLIENTS as f64;
    line(
        &format!("memory for each of {IDLE_CLIENTS} idle TCP clients, registered, mailbox open"),
        &format!("{each:.1} KiB"),
        &format!("≤ {IDLE_LIMIT_KIB} KiB"),
    );
    line("  compare: the process before they came", &format!("{:.1} MiB", before / 1_024.0), "");
    drop((warm, clients));
}

async fn joined(seed: u64, address: &str) -> Arc<Client> {
    let person = Person::new(&format!("person_{seed}"), seed);
    let client = person.join(address).await;
    client.ask(&Request::SetPresence(PresenceStatus::Online)).await;
    client.open(&person.mailbox).await;
    Arc::new(client)
}

async fn restart() {
    let count: u64 = std::env::var("ENVELOPES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("rendezvous.redb");
    {
        let (store, _) = RedbStore::open(&database, Rules::default()).unwrap();
        let boxes = count.div_ceil(1_000).max(1);
        open_many(&store, boxes);
        let started = Instant::now();
        deposit_many(&store, boxes, count, 1_024);
        let rate = count as f64 / started.elapsed().as_secs_f64();
        line(&format!("filling {count} envelopes of 1 KiB, 1,024 in flight"), &format!("{rate:.0}/s"), "");
    }
    let bytes = std::fs::metadata(&database).unwrap().len();
    line("  disk for each waiting KiB", &format!("{:.2} KiB", bytes as f64 / count as f64 / 1_024.0), "");
    for (what, clean) in [("after a clean stop", true), ("after kill -9 under load", false)] {
        if !clean {
            kill_under_load(directory.path()).await;
        }
        let started = Instant::now();
        let mut program = program_with(directory.path()).await;
        let listening = started.elapsed();
        let client = Client::connect(stranger(5), &program.address).await;
        assert!(matches!(client.ask(&Request::Info).await, Response::Info(_)));
        let answered = started.elapsed();
        let limit = format!("≤ {} s", RESTART_LIMIT.as_secs());
        line(&format!("restart with {count} envelopes {what}, to listening"), &format!("{listening:.0?}"), &limit);
        line("  to the first answer", &format!("{answered:.0?}"), "");
        program.end_by("TERM").await;
    }
}

async fn kill_under_load(directory: &Path) {
    let mut program = program_with(directory).await;
    let bob = Person::new("bob", 1);
    let bobs = bob.connect(&program.address).await;
    bobs.open(&bob.mailbox).await;
    bobs.ask(&Request::AddTokens { hashes: bob.tokens.hashes(0..2_000) }).await;
    let mut answers: Vec<_> = (0..500_u32)
        .map(|n| {
            bobs.start(&by_token(bob.mailbox.mailbox_id(), &bob.tokens, n, u64::from(n) + (1 << 40), ENVELOPE_BYTES))
        })
        .collect();
    let last_before_the_kill = answers.remove(20);
    let _ = last_before_the_kill.await;
    program.kill();
}
