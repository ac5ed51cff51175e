//! `cargo bench -p secure-chat-tests --bench files`: files through the whole product, two
//! headless peers in processes of their own, beside what the cipher, the hash and the
//! network alone reach in the same run. `MEGABYTES=1024` sets the size, `ROUNDS=3` how often;
//! names of sections as arguments run only those: `pipeline direct chat waiting breaks wormhole`.

#[path = "files/bare.rs"]
mod bare;
#[path = "../tests/file_breaks/scenario.rs"]
mod breaks;
#[path = "files/people.rs"]
mod people;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use secure_chat_tests::process::ProcessNode;
use serde_json::json;
use tokio::process::Command;

use bare::{Work, bare, limit};
use people::{Side, file_of, pair};

const CHUNK_BYTES: usize = 262_144;
/// Files that wait at nodes have at most this size by default.
const WAITING_BYTES: usize = 50_000_000;
/// Least part of the bare transport, and of cipher and hash, that is to be reached, in per cent.
const LEAST_PART: f64 = 80.0;
/// Most memory of one side, in MB.
const PEAK_MAX_MB: f64 = 60.0;
/// Least rate to and from a rendezvous node, in MB/s.
const WAITING_LEAST: f64 = 100.0;
/// Most of a file that comes twice, beyond what is in flight when it breaks, in per cent.
const AGAIN_MAX: f64 = 2.0;
/// Most time that chat takes while a file moves.
const CHAT_MAX: Duration = Duration::from_millis(20);

fn rate(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / 1e6 / took.as_secs_f64()
}

fn middle(rates: &mut [f64]) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

fn met(it: bool) -> &'static str {
    if it { "met" } else { "MISSED" }
}

async fn pipeline(dir: &Path, bytes: usize, rounds: usize) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(2);
    let sample = bytes.min(512_000_000);
    let (mut alice, _bob) = pair(dir, None).await?;
    let path = file_of(dir, "big.zip", bytes)?;
    alice.share(&path).await?;
    let (aead, sha256) = (limit(Work::Aead, 1, sample)?, limit(Work::Sha256, 1, sample)?);
    println!("one core: AEAD {aead:.0} MB/s, SHA-256 {sha256:.0} MB/s");
    let (mut limits, mut reached) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        limits.push(limit(Work::All, cores, sample)?);
        let started = Instant::now();
        alice.share(&path).await?;
        reached.push(rate(bytes, started.elapsed()));
    }
    let (limit, reached) = (middle(&mut limits), middle(&mut reached));
    let part = reached / limit * 100.0;
    println!("plaintext hash, AEAD and leaf hash on {cores} cores, from memory: {limit:.0} MB/s");
    println!(
        "files.share, from the call to the durable message: {reached:.0} MB/s, {part:.0} % of it (≥ {LEAST_PART} %: {})",
        met(part >= LEAST_PART)
    );
    Ok(())
}

async fn direct(dir: &Path, bytes: usize, rounds: usize) -> anyhow::Result<f64> {
    let (mut alice, mut bob) = pair(dir, None).await?;
    let path = file_of(dir, "big.zip", bytes)?;
    let (mut limits, mut reached) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        limits.push(bare(bytes).await?);
        alice.share(&path).await?;
        let file = bob.offered().await?;
        let (from, to) = (alice.begin()?, bob.begin()?);
        let took = bob.download(&file, &dir.join("downloads")).await?;
        let (from, to) = (alice.took(from)?, bob.took(to)?);
        reached.push(rate(bytes, took));
        println!(
            "  round {}: bare {:.0} MB/s, whole {:.0} MB/s; processor: sender {:.1} s, receiver {:.1} s",
            round + 1,
            limits.last().copied().unwrap_or_default(),
            reached.last().copied().unwrap_or_default(),
            from.cpu_s,
            to.cpu_s
        );
        for (who, peak) in [("sender", from.peak_mb), ("receiver", to.peak_mb)] {
            println!("  peak memory of the {who}: {peak:.0} MB (< {PEAK_MAX_MB} MB: {})", met(peak < PEAK_MAX_MB));
        }
    }
    let (limit, reached) = (middle(&mut limits), middle(&mut reached));
    let part = reached / limit * 100.0;
    println!("bare libp2p stream, cipher and hash inline: {limit:.0} MB/s");
    println!(
        "the whole product, from files.download to the synced file: {reached:.0} MB/s, {part:.0} % of it (≥ {LEAST_PART} %: {})",
        met(part >= LEAST_PART)
    );
    Ok(reached)
}

async fn chat(dir: &Path, bytes: usize) -> anyhow::Result<()> {
    let (mut alice, mut bob) = pair(dir, None).await?;
    alice.share(&file_of(dir, "big.zip", bytes)?).await?;
    let (file, folder) = (bob.offered().await?, dir.join("downloads"));
    // At rest first, to compare.
    for (moving, times) in [(false, 500), (true, usize::MAX)] {
        let ended = if moving {
            std::fs::create_dir_all(&folder)?;
            Some(bob.peer.ask("files.download", json!({"file_id": file, "path": folder})).await?)
        } else {
            None
        };
        let mut ended = ended;
        let (mut shown, mut acknowledged) = (Vec::new(), Vec::new());
        while shown.len() < times && ended.as_mut().is_none_or(|ended| ended.try_recv().is_err()) {
            let started = Instant::now();
            alice.peer.call("messages.send", json!({"to": "bob", "text": "quick"})).await?;
            bob.peer.event("message.received").await?;
            shown.push(started.elapsed());
            while alice.peer.event("message.state").await?["state"] != "delivered" {}
            acknowledged.push(started.elapsed());
        }
        let what = if moving { "while it moves" } else { "at rest" };
        println!("chat {what}, {} messages, one after the other:", shown.len());
        // An acknowledgement waits some milliseconds for company, so that it is not part of the promise.
        for (until, mut took, promised) in
            [("the other's event", shown, moving), ("the sender's tick", acknowledged, false)]
        {
            took.sort_unstable();
            let at = |part: usize| took.get(took.len() * part / 100).or(took.last()).copied().unwrap_or_default();
            let (middle, late) = (at(50), at(99));
            print!("  from send to {until}: p50 {middle:.1?}, p99 {late:.1?}");
            println!(
                "{}",
                if promised { format!(" (< {CHAT_MAX:?}: {})", met(late < CHAT_MAX)) } else { String::new() }
            );
        }
    }
    Ok(())
}

async fn waiting(dir: &Path, rounds: usize) -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rendezvous-process"));
    command.arg(dir.join("node")).arg("/ip4/127.0.0.1/tcp/0");
    let node = ProcessNode::start(command).await?;
    let home = Some(node.address.as_str());
    let (mut alice, mut bob) = pair(dir, home).await?;
    let path = file_of(dir, "waits.zip", WAITING_BYTES)?;
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bob.peer.stop().await?;
        while alice.peer.event("presence.changed").await?["status"] != "offline" {}
        alice.share(&path).await?;
        let started = Instant::now();
        while alice.peer.event("file.completed").await?["direction"] != "upload" {}
        up.push(rate(WAITING_BYTES, started.elapsed()));
        alice.peer.stop().await?;
        bob = Side::start(dir, "bob", home, false).await?;
        let file = bob.offered().await?;
        down.push(rate(WAITING_BYTES, bob.download(&file, &dir.join("downloads")).await?));
        alice = Side::start(dir, "alice", home, false).await?;
        while alice.peer.event("presence.changed").await?["status"] != "online" {}
    }
    for (what, rates) in [("to a rendezvous node, until the recipient is told", &mut up), ("out of it", &mut down)] {
        let reached = middle(rates);
        println!("50 MB {what}: {reached:.0} MB/s (≥ {WAITING_LEAST} MB/s: {})", met(reached >= WAITING_LEAST));
    }
    Ok(())
}

async fn broken() {
    let deaths: usize = breaks::DEATHS.iter().sum();
    let outcome = breaks::twenty_deaths_and_two_changes_of_route().await;
    let part = outcome.again as f64 / breaks::FILE_BYTES as f64 * 100.0;
    println!(
        "50 MB, {deaths} SIGKILLs, direct, relayed, stored: {part:.2} % sent again beyond what was in flight (< {AGAIN_MAX} %: {}), {:.1} MB in flight at the deaths",
        met(part < AGAIN_MAX),
        outcome.in_flight as f64 / 1e6
    );
}

/// `magic-wormhole` on the same machine, when it is installed.
async fn wormhole(dir: &Path, bytes: usize, ours: Option<f64>) -> anyhow::Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/magic-wormhole");
    let path = file_of(dir, "big.bin", bytes)?;
    let output = Command::new("bash").arg(script).arg(path).output().await?;
    if output.status.code() == Some(3) {
        println!("magic-wormhole is not installed; seen elsewhere: 225 MB/s whole, 341 in its data phase");
    } else {
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let mut seconds = text.split_whitespace().map(str::parse::<f64>);
        let (whole, least) = (seconds.next().context("no time")??, seconds.next().context("no time")??);
        let each = |seconds: f64| rate(bytes, Duration::from_secs_f64(seconds.max(0.001)));
        let (whole, data) = (each(whole), each(whole - least));
        let ahead = ours.map_or("", |ours| met(ours > data));
        println!("magic-wormhole: {whole:.0} MB/s whole, {data:.0} without its handshake; to be behind us: {ahead}");
    }
    println!("c-toxcore, seen elsewhere: 12 to 18 MB/s");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let number = |name: &str, default: usize| std::env::var(name).map_or(Ok(default), |text| text.parse());
    let (megabytes, rounds) = (number("MEGABYTES", 1_024)?, number("ROUNDS", 3)?.max(1));
    let bytes = megabytes << 20;
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    println!("{megabytes} MiB, the middle of {rounds} rounds");
    let mut ours = None;
    for name in ["pipeline", "direct", "chat", "waiting", "breaks", "wormhole"] {
        let folder = tempfile::tempdir()?;
        match name {
            _ if !wants(name) => {}
            "pipeline" => pipeline(folder.path(), bytes, rounds).await?,
            "direct" => ours = Some(direct(folder.path(), bytes, rounds).await?),
            "chat" => chat(folder.path(), bytes).await?,
            "waiting" => waiting(folder.path(), rounds).await?,
            "breaks" => broken().await,
            _ => wormhole(folder.path(), bytes, ours).await?,
        }
    }
    Ok(())
}
