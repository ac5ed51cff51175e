//! `cargo bench -p secure-chat-tests --bench messages`: whole messages between
//! whole peers on loopback TCP, from one person's `send` to the other's event:
//! validation, the ratchet, a durable commit on each side, the network. Beside
//! them, in the same run, what the network alone takes.
//!
//! Names of sections as arguments run only those: `latency stream waiting`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use secure_chat_node::api::{Event, EventStream, NodeHandle};
use secure_chat_node::config::NodeConfig;
use secure_chat_node::engine::Node;
use secure_chat_node::network::{
    Address, Network, NetworkConfig, NetworkEvent, NetworkHandle, PeerId, TransportKind, parse_address,
};
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::peer::{PeerRequest, PeerResponse};
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

const PASSWORD: &str = "Correct-Horse-7-Battery";
const TEXT_BYTES: usize = 200;
const SINGLE_MESSAGES: usize = 2_000;
const STREAM_MESSAGES: usize = 30_000;
const STREAM_IN_FLIGHT: usize = 512;
const WAITING_MESSAGES: usize = 10_000;

struct Peer {
    handle: NodeHandle,
    events: EventStream,
}

impl Peer {
    async fn start(dir: &Path, homes: &[String], new: bool, name: &str) -> anyhow::Result<Self> {
        let mut config = NodeConfig::new(dir.join(name));
        config.rendezvous = homes.to_vec();
        config.mdns = false;
        config.kdf = Argon2Params::LEAST;
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        let handle = Node::start(config)?;
        let events = handle.events();
        if new {
            handle.account_create(name, PASSWORD).await?;
        } else {
            handle.account_unlock(PASSWORD, None::<String>).await?;
        }
        Ok(Self { handle, events })
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

    async fn registered(&mut self) -> anyhow::Result<()> {
        self.until(|event| matches!(event, Event::NetworkState { registered: 1.., .. }).then_some(())).await
    }

    /// Waits until so many texts have come; says when the first and the last did.
    async fn reads(&mut self, count: usize) -> anyhow::Result<(Instant, Instant)> {
        let mut first = None;
        for _ in 0..count {
            self.until(|event| matches!(event, Event::MessageReceived(_)).then_some(())).await?;
            first.get_or_insert_with(Instant::now);
        }
        Ok((first.context("nothing was asked for")?, Instant::now()))
    }
}

async fn befriend(one: &mut Peer, other: &mut Peer) -> anyhow::Result<()> {
    let invite = other.handle.account_invite().await?.invite;
    one.handle.contacts_request(None::<String>, Some(invite), None::<String>).await?;
    let request = other.until(|event| match event {
        Event::ContactRequest(request) => Some(request.request_id),
        _ => None,
    });
    let request = request.await?;
    other.handle.contacts_accept(request).await?;
    one.until(|event| matches!(event, Event::ContactAccepted(_)).then_some(())).await
}

fn text(number: usize) -> String {
    let mut text = format!("{number:08} ");
    text.push_str(&"the river and the woods ".repeat(TEXT_BYTES / 24 + 1));
    text.truncate(TEXT_BYTES);
    text
}

fn percentiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default().as_secs_f64() * 1e3;
    (at(50), at(99))
}

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if runs("latency") || runs("stream") {
        runtime.block_on(online(runs("latency"), runs("stream")))?;
    }
    if runs("waiting") {
        runtime.block_on(waiting())?;
    }
    Ok(())
}

async fn online(latency: bool, stream: bool) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut alice = Peer::start(folder.path(), &[], true, "alice").await?;
    let mut bob = Peer::start(folder.path(), &[], true, "bob").await?;
    befriend(&mut alice, &mut bob).await?;
    for number in 0..50 {
        alice.handle.messages_send("bob", text(number), None::<String>).await?;
        bob.reads(1).await?;
    }
    let raw = RawPair::start().await?;
    if latency {
        println!("one message at a time, {TEXT_BYTES} B of text      p50 ms    p99 ms");
        let mut times = Vec::with_capacity(SINGLE_MESSAGES);
        for number in 0..SINGLE_MESSAGES {
            let start = Instant::now();
            alice.handle.messages_send("bob", text(number), None::<String>).await?;
            bob.reads(1).await?;
            times.push(start.elapsed());
        }
        let (p50, p99) = percentiles(times);
        println!("{:<42} {p50:>9.3} {p99:>9.3}   (to reach: 2 and 10)", "send to the other's event, durable twice");
        let (p50, p99) = percentiles(raw.round_trips(SINGLE_MESSAGES).await?);
        println!("{:<42} {p50:>9.3} {p99:>9.3}", "libp2p request-response, nothing else");
        let (p50, p99) = percentiles(plain_tcp(SINGLE_MESSAGES).await?);
        println!("{:<42} {p50:>9.3} {p99:>9.3}", "plain TCP, there and back");
    }
    if stream {
        println!("\nsustained, one way                            messages/s");
        let start = Instant::now();
        let sender = alice.handle.clone();
        let sending = tokio::spawn(async move {
            let mut flight = FuturesUnordered::new();
            for number in 0..STREAM_MESSAGES {
                let sender = sender.clone();
                flight.push(async move { sender.messages_send("bob", text(number), None::<String>).await });
                if flight.len() >= STREAM_IN_FLIGHT {
                    flight.next().await.transpose()?;
                }
            }
            while flight.next().await.transpose()?.is_some() {}
            Ok::<_, anyhow::Error>(Instant::now())
        });
        let (_, last) = bob.reads(STREAM_MESSAGES).await?;
        let durable = sending.await??;
        let rate = |until: Instant| STREAM_MESSAGES as f64 / (until - start).as_secs_f64();
        println!("{:<44} {:>11.0}   (to reach: 10,000)", "shown at the other side, durable on both", rate(last));
        println!("{:<44} {:>11.0}", "of which: durable at the sender", rate(durable));
        println!("{:<44} {:>11.0}", "libp2p request-response, 64 in flight", raw.stream(STREAM_MESSAGES).await?);
        println!("{:<44} {:>11.0}", "plain TCP, a write for each", plain_tcp_stream(STREAM_MESSAGES).await?);
    }
    raw.stop().await;
    alice.handle.shutdown().await;
    bob.handle.shutdown().await;
    Ok(())
}

async fn waiting() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let node = RendezvousNode::start(
        RendezvousConfig::new(folder.path().join("node")).listening_on("/ip4/127.0.0.1/tcp/0".to_owned()),
    );
    let node = node.await?;
    let homes: Vec<String> = node.addresses().into_iter().take(1).collect();
    let mut alice = Peer::start(folder.path(), &homes, true, "alice").await?;
    let mut bob = Peer::start(folder.path(), &homes, true, "bob").await?;
    alice.registered().await?;
    bob.registered().await?;
    befriend(&mut alice, &mut bob).await?;
    alice.handle.messages_send("bob", text(0), None::<String>).await?;
    bob.reads(1).await?;
    bob.handle.shutdown().await;
    drop(bob);

    println!("\n{WAITING_MESSAGES} messages for a peer who is away");
    let start = Instant::now();
    let mut flight = FuturesUnordered::new();
    for number in 0..WAITING_MESSAGES {
        let sender = alice.handle.clone();
        flight.push(async move { sender.messages_send("bob", text(number), None::<String>).await });
        if flight.len() >= STREAM_IN_FLIGHT {
            flight.next().await.transpose()?;
        }
    }
    while flight.next().await.transpose()?.is_some() {}
    let durable = start.elapsed();
    let mut states = 0;
    while states < WAITING_MESSAGES {
        states += alice
            .until(|event| match event {
                Event::MessageState { state, .. } => {
                    Some(usize::from(state == secure_chat_node::api::MessageState::Sent))
                }
                _ => None,
            })
            .await?;
    }
    println!("durable at the sender after                {:>8.0} ms", durable.as_secs_f64() * 1e3);
    println!(
        "all at the mailbox after                   {:>8.0} ms   (to reach: 5,000)",
        start.elapsed().as_secs_f64() * 1e3
    );
    // Only the mailbox can bring them now.
    alice.handle.shutdown().await;
    let start = Instant::now();
    let mut bob = Peer::start(folder.path(), &homes, false, "bob").await?;
    let unlocked = start.elapsed();
    bob.registered().await?;
    let online = Instant::now();
    let (first, last) = bob.reads(WAITING_MESSAGES).await?;
    println!(
        "unlocked {:.0} ms after the start, online {:.0} ms after",
        unlocked.as_secs_f64() * 1e3,
        (online - start).as_secs_f64() * 1e3
    );
    println!(
        "first of them shown, after coming online   {:>8.0} ms   (to reach: 100)",
        first.saturating_duration_since(online).as_secs_f64() * 1e3
    );
    println!(
        "all of them shown, after coming online     {:>8.0} ms   (to reach: 1,000)",
        last.saturating_duration_since(online).as_secs_f64() * 1e3
    );
    bob.handle.shutdown().await;
    node.stop().await;
    Ok(())
}

/// Two bare networks that answer each other.
struct RawPair {
    alice: NetworkHandle,
    bob: NetworkHandle,
    at: Address,
    to: PeerId,
    /// The network lives as long as somebody listens.
    _alice_events: tokio::sync::mpsc::Receiver<NetworkEvent>,
}

impl RawPair {
    async fn start() -> anyhow::Result<Self> {
        let start = |seed: u8| -> anyhow::Result<_> {
            let mut config = NetworkConfig::new(Zeroizing::new([seed; 32]), TransportKind::Internet);
            config.listen = vec![parse_address("/ip4/127.0.0.1/tcp/0")?];
            Ok(Network::start(config)?)
        };
        let ((alice, alice_events), (bob, mut events)) = (start(1)?, start(2)?);
        let at = loop {
            if let NetworkEvent::Listening(address) = events.recv().await.context("the network has stopped")? {
                break address;
            }
        };
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let NetworkEvent::Inbound { request: PeerRequest::Deliver { mut messages }, responder, .. } = event {
                    responder.respond(PeerResponse::Bundle { bundle: messages.pop().unwrap_or_default() });
                }
            }
        });
        let pair = Self { to: bob.peer_id(), alice, bob, at, _alice_events: alice_events };
        pair.ask().await?;
        Ok(pair)
    }

    async fn ask(&self) -> anyhow::Result<()> {
        let request = PeerRequest::Deliver { messages: vec![Bytes(vec![7; TEXT_BYTES])] };
        self.alice.request(self.to, vec![self.at.clone()], request).await?;
        Ok(())
    }

    async fn round_trips(&self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let start = Instant::now();
            self.ask().await?;
            times.push(start.elapsed());
        }
        Ok(times)
    }

    async fn stream(&self, count: usize) -> anyhow::Result<f64> {
        let start = Instant::now();
        let mut flight = FuturesUnordered::new();
        for _ in 0..count {
            flight.push(self.ask());
            if flight.len() >= 64 {
                flight.next().await.transpose()?;
            }
        }
        while flight.next().await.transpose()?.is_some() {}
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }

    async fn stop(self) {
        self.alice.shutdown().await;
        self.bob.shutdown().await;
    }
}

async fn plain_tcp(count: usize) -> anyhow::Result<Vec<Duration>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    tokio::spawn(async move {
        if let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; TEXT_BYTES];
            while stream.read_exact(&mut bytes).await.is_ok() && stream.write_all(&bytes).await.is_ok() {}
        }
    });
    let mut stream = tokio::net::TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    let mut bytes = [7; TEXT_BYTES];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        stream.write_all(&bytes).await?;
        stream.read_exact(&mut bytes).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// Messages in a second that arrive, each written for itself, with nothing stored and nothing encrypted.
async fn plain_tcp_stream(count: usize) -> anyhow::Result<f64> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let reading = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut bytes = [0; TEXT_BYTES];
        for _ in 0..count {
            stream.read_exact(&mut bytes).await?;
        }
        Ok::<_, std::io::Error>(Instant::now())
    });
    let mut stream = tokio::net::TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    let start = Instant::now();
    for _ in 0..count {
        stream.write_all(&[7; TEXT_BYTES]).await?;
    }
    Ok(count as f64 / (reading.await?? - start).as_secs_f64())
}
