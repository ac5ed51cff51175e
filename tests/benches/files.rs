//! `cargo bench -p secure-chat-tests --bench files`: files through the whole product,
//! beside what the cipher, the hash and the network alone take in the same run.
//! `MEGABYTES=1024` sets the size; names of sections as arguments run only those:
//! `pipeline direct waiting chat`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use secure_chat_node::api::{Direction, Event, EventStream, MessageState, NodeHandle, Status};
use secure_chat_node::config::NodeConfig;
use secure_chat_node::engine::Node;
use secure_chat_node::network::{Network, NetworkConfig, NetworkEvent, TransportKind, parse_address};
use secure_chat_protocol::crypto::sha256::RunningSha256;
use secure_chat_protocol::file::{ChunkCipher, FileKey, Geometry, leaf};
use secure_chat_protocol::id::FileId;
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use zeroize::Zeroizing;

const PASSWORD: &str = "Correct-Horse-7-Battery";
const CHUNK_BYTES: usize = 262_144;
/// Files that wait at nodes have at most this size by default.
const WAITING_BYTES: usize = 50_000_000;

struct Peer {
    handle: NodeHandle,
    events: EventStream,
}

impl Peer {
    async fn start(dir: &Path, name: &str, homes: &[String], new: bool) -> anyhow::Result<Self> {
        let mut config = NodeConfig::new(dir.join(name));
        config.rendezvous = homes.to_vec();
        config.mdns = false;
        config.kdf = Argon2Params::LEAST;
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        let handle = Node::start(config)?;
        let mut peer = Self { events: handle.events(), handle };
        if new {
            peer.handle.account_create(name, PASSWORD).await?;
        } else {
            peer.handle.account_unlock(PASSWORD, None::<String>).await?;
        }
        if !homes.is_empty() && new {
            peer.until(|event| matches!(event, Event::NetworkState { registered: 1.., .. }).then_some(())).await?;
        }
        Ok(peer)
    }

    async fn until<T>(&mut self, pick: impl Fn(Event) -> Option<T>) -> anyhow::Result<T> {
        let wait = async {
            loop {
                if let Some(found) = pick(self.events.next().await.context("the peer stopped")?.event) {
                    return Ok(found);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(120), wait).await?
    }

    async fn share(&self, path: &Path) -> anyhow::Result<String> {
        let (path, to) = (path.to_string_lossy().into_owned(), Some("bob".to_owned()));
        let shared = self.handle.files_share(path, to, None::<String>, None, None::<String>, None::<bool>);
        Ok(shared.await?.file_id)
    }

    async fn offered(&mut self) -> anyhow::Result<String> {
        self.until(|event| match event {
            Event::FileShared(file) => Some(file.file_id),
            _ => None,
        })
        .await
    }

    async fn download(&self, file: &str, folder: &Path) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.handle.files_download(file, Some(folder.to_string_lossy().into_owned()), None::<bool>).await?;
        Ok(started.elapsed())
    }
}

async fn pair(dir: &Path, homes: &[String]) -> anyhow::Result<(Peer, Peer)> {
    let (mut alice, mut bob) =
        (Peer::start(dir, "alice", homes, true).await?, Peer::start(dir, "bob", homes, true).await?);
    let invite = bob.handle.account_invite().await?.invite;
    alice.handle.contacts_request(None::<String>, Some(invite), None::<String>).await?;
    let request = bob.until(|event| match event {
        Event::ContactRequest(request) => Some(request.request_id),
        _ => None,
    });
    let request = request.await?;
    bob.handle.contacts_accept(request).await?;
    alice.until(|event| matches!(event, Event::ContactAccepted(_)).then_some(())).await?;
    Ok((alice, bob))
}

fn file_of(dir: &Path, name: &str, bytes: usize) -> anyhow::Result<PathBuf> {
    let path = dir.join(name);
    let block: Vec<u8> = (0..CHUNK_BYTES).map(|at| (at % 251) as u8).collect();
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    for at in (0..bytes).step_by(CHUNK_BYTES) {
        std::io::Write::write_all(&mut file, block.get(..CHUNK_BYTES.min(bytes - at)).unwrap_or_default())?;
    }
    std::io::Write::flush(&mut file)?;
    Ok(path)
}

fn rate(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / 1e6 / took.as_secs_f64()
}

fn cipher(bytes: usize) -> anyhow::Result<ChunkCipher> {
    Ok(ChunkCipher::new(FileKey::from_bytes([1; 32]), FileId([2; 32]), Geometry::for_size(bytes as u64)?))
}

/// What AEAD, leaf hash and plaintext hash take on one core, in seconds a byte.
fn limits(bytes: usize) -> anyhow::Result<(f64, f64, f64)> {
    let cipher = cipher(bytes)?;
    let rounds = (bytes / CHUNK_BYTES).max(1);
    let mut took = [Duration::ZERO; 3];
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + 16);
    let mut hash = RunningSha256::default();
    for index in 0..rounds {
        chunk.clear();
        chunk.resize(cipher.geometry().plain_bytes(index as u32), 7);
        let started = Instant::now();
        hash.update(&chunk);
        let hashed = Instant::now();
        cipher.seal(index as u32, &mut chunk)?;
        let sealed = Instant::now();
        std::hint::black_box(leaf(&chunk));
        took = [took[0] + (sealed - hashed), took[1] + sealed.elapsed(), took[2] + (hashed - started)];
    }
    let each = |took: Duration| took.as_secs_f64() / (rounds * CHUNK_BYTES) as f64;
    Ok((each(took[0]), each(took[1]), each(took[2])))
}

async fn pipeline(dir: &Path, bytes: usize) -> anyhow::Result<()> {
    let (aead, leaf, plain) = limits(bytes.min(256_000_000))?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(2) as f64;
    let limit = cores / (aead + leaf + plain) / 1e6;
    println!(
        "AEAD {:.0} MB/s, SHA-256 {:.0} MB/s a core; all three on {cores} cores: {limit:.0} MB/s",
        1e-6 / aead,
        1e-6 / leaf
    );
    let (alice, _bob) = pair(dir, &[]).await?;
    let path = file_of(dir, "big.zip", bytes)?;
    alice.share(&path).await?;
    let started = Instant::now();
    alice.share(&path).await?;
    let reached = rate(bytes, started.elapsed());
    println!(
        "files.share, from the call to the durable message: {reached:.0} MB/s, {:.0} % of it",
        reached / limit * 100.0
    );
    Ok(())
}

/// The same transport, with cipher and hash inline and nothing else.
async fn bare(bytes: usize) -> anyhow::Result<f64> {
    let start = |seed: u8| -> anyhow::Result<_> {
        let mut config = NetworkConfig::new(Zeroizing::new([seed; 32]), TransportKind::Internet);
        config.listen = vec![parse_address("/ip4/127.0.0.1/tcp/0")?];
        Ok(Network::start(config)?)
    };
    let ((from, mut from_events), (to, mut to_events)) = (start(1)?, start(2)?);
    let address = loop {
        if let NetworkEvent::Listening(address) = from_events.recv().await.context("no event")? {
            break address;
        }
    };
    let peer = to.dial(address).await?;
    tokio::spawn(async move { while to_events.recv().await.is_some() {} });
    let geometry = *cipher(bytes)?.geometry();
    let sending = tokio::spawn(async move {
        let cipher = cipher(bytes)?;
        while let Some(event) = from_events.recv().await {
            let NetworkEvent::Stream { mut stream, .. } = event else { continue };
            let mut chunk = Vec::with_capacity(CHUNK_BYTES + 16);
            for index in 0..geometry.count() {
                chunk.clear();
                chunk.resize(geometry.plain_bytes(index), 7);
                cipher.seal(index, &mut chunk)?;
                std::hint::black_box(leaf(&chunk));
                stream.write_all(&chunk).await?;
            }
            stream.close().await?;
            break;
        }
        anyhow::Ok(from_events)
    });
    let mut stream = to.open_stream(peer).await?;
    stream.write_all(&[0]).await?;
    stream.flush().await?;
    let (cipher, started) = (cipher(bytes)?, Instant::now());
    let mut chunk = Vec::new();
    for index in 0..geometry.count() {
        chunk.resize(geometry.sealed_bytes(index), 0);
        stream.read_exact(&mut chunk).await?;
        std::hint::black_box(leaf(&chunk));
        cipher.open(index, &mut chunk)?;
    }
    let reached = rate(bytes, started.elapsed());
    let _events = sending.await??;
    from.shutdown().await;
    to.shutdown().await;
    Ok(reached)
}

fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

async fn direct(dir: &Path, bytes: usize) -> anyhow::Result<()> {
    let limit = bare(bytes).await?;
    println!("bare stream, cipher and hash inline: {limit:.0} MB/s");
    let (alice, mut bob) = pair(dir, &[]).await?;
    alice.share(&file_of(dir, "big.zip", bytes)?).await?;
    let file = bob.offered().await?;
    let folder = dir.join("downloads");
    std::fs::create_dir_all(&folder)?;
    let reached = rate(bytes, bob.download(&file, &folder).await?);
    println!(
        "the whole product, from files.download to the synced file: {reached:.0} MB/s, {:.0} % of it",
        reached / limit * 100.0
    );
    if let Some(mib) = peak_memory_mib() {
        println!("peak memory of both peers and the bare stream together: {mib:.0} MiB");
    }
    Ok(())
}

async fn waiting(dir: &Path) -> anyhow::Result<()> {
    let config = RendezvousConfig::new(dir.join("node")).listening_on("/ip4/127.0.0.1/tcp/0");
    let node = RendezvousNode::start(config).await?;
    let homes: Vec<String> = node.addresses().into_iter().take(1).collect();
    let (mut alice, bob) = pair(dir, &homes).await?;
    bob.handle.shutdown().await;
    alice.until(|event| matches!(event, Event::PresenceChanged { status: Status::Offline, .. }).then_some(())).await?;
    let path = file_of(dir, "waits.zip", WAITING_BYTES)?;
    let file = alice.share(&path).await?;
    let started = Instant::now();
    alice
        .until(|event| match event {
            Event::FileCompleted { file_id, direction: Direction::Upload, .. } => (file_id == file).then_some(()),
            _ => None,
        })
        .await?;
    println!(
        "50 MB to a rendezvous node, until the recipient is told: {:.0} MB/s",
        rate(WAITING_BYTES, started.elapsed())
    );
    alice.handle.shutdown().await;
    let mut bob = Peer::start(dir, "bob", &homes, false).await?;
    let file = bob.offered().await?;
    let took = bob.download(&file, dir).await?;
    println!("50 MB out of it: {:.0} MB/s", rate(WAITING_BYTES, took));
    bob.handle.shutdown().await;
    node.stop().await;
    Ok(())
}

async fn chat(dir: &Path, bytes: usize) -> anyhow::Result<()> {
    let (mut alice, mut bob) = pair(dir, &[]).await?;
    let file = {
        alice.share(&file_of(dir, "big.zip", bytes)?).await?;
        bob.offered().await?
    };
    let folder = dir.join("downloads");
    std::fs::create_dir_all(&folder)?;
    let (handle, to) = (bob.handle.clone(), folder.to_string_lossy().into_owned());
    let moving = tokio::spawn(async move { handle.files_download(file, Some(to), None::<bool>).await });
    let mut took = Vec::new();
    while !moving.is_finished() {
        let started = Instant::now();
        let id = alice.handle.messages_send("bob", "quick", None::<String>).await?.message_id;
        alice
            .until(|event| match event {
                Event::MessageState { message_id, state: MessageState::Delivered, .. } => {
                    (message_id == id).then_some(())
                }
                _ => None,
            })
            .await?;
        took.push(started.elapsed());
    }
    moving.await??;
    took.sort_unstable();
    let at = |part: usize| {
        took.get((took.len() * part / 100).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    println!(
        "chat while it moves, from send to acknowledgement, {} messages: p50 {:.1?}, p99 {:.1?}",
        took.len(),
        at(50),
        at(99)
    );
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let megabytes: usize = std::env::var("MEGABYTES").map_or(Ok(1_024), |text| text.parse())?;
    let bytes = megabytes << 20;
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    println!("{megabytes} MiB");
    for name in ["pipeline", "direct", "waiting", "chat"] {
        let folder = tempfile::tempdir()?;
        match name {
            _ if !wants(name) => {}
            "pipeline" => pipeline(folder.path(), bytes).await?,
            "direct" => direct(folder.path(), bytes).await?,
            "waiting" => waiting(folder.path()).await?,
            _ => chat(folder.path(), bytes).await?,
        }
    }
    Ok(())
}
