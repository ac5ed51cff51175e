//! `cargo bench -p secure-chat-node --bench network`: requests between two peers on
//! loopback, beside plain TCP in the same run. The gaps between rows say more than
//! the figures.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use secure_chat_node::network::{
    Address, Network, NetworkConfig, NetworkEvent, NetworkHandle, PeerId, TransportKind, parse_address,
};
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::peer::{PeerRequest, PeerResponse};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

const PAYLOAD_BYTES: usize = 256;
const ROUND_TRIPS: usize = 5_000;
const PIPELINED: usize = 40_000;
const IN_FLIGHT: usize = 64;
const BULK_BYTES: usize = 256 * 1024;
const BULK_COUNT: usize = 2_000;
const BULK_IN_FLIGHT: usize = 8;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{PAYLOAD_BYTES} B there and back, on loopback");
    println!("{:<26} {:>9} {:>9} {:>16} {:>18}", "", "p50 µs", "p99 µs", "64 in flight/s", "256 KiB × 8 MB/s");
    for (name, listen) in [
        ("TCP + Noise + Yamux", "/ip4/127.0.0.1/tcp/0"),
        ("QUIC", "/ip4/127.0.0.1/udp/0/quic-v1"),
        ("memory + Noise + Yamux", "/memory/0"),
    ] {
        let row = runtime.block_on(network(listen))?;
        row.print(name);
    }
    runtime.block_on(plain_tcp())?.print("plain TCP, nothing else");
    Ok(())
}

struct Row {
    p50: Duration,
    p99: Duration,
    per_second: f64,
    megabytes_per_second: f64,
}

impl Row {
    fn print(&self, name: &str) {
        println!(
            "{name:<26} {:>9} {:>9} {:>16.0} {:>18.0}",
            self.p50.as_micros(),
            self.p99.as_micros(),
            self.per_second,
            self.megabytes_per_second
        );
    }
}

fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    (at(50), at(99))
}

async fn network(listen: &str) -> Result<Row, Failure> {
    let (alice, _events) = start(1, listen)?;
    let (bob, mut events) = start(2, listen)?;
    let at = loop {
        match events.recv().await.ok_or("the network has stopped")? {
            NetworkEvent::Listening(address) => break address,
            _ => continue,
        }
    };
    let to = bob.peer_id();
    tokio::spawn(echo(events));
    ask(&alice, to, &at, PAYLOAD_BYTES).await?;

    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        ask(&alice, to, &at, PAYLOAD_BYTES).await?;
        times.push(start.elapsed());
    }
    let (p50, p99) = percentiles(times);

    let per_second = PIPELINED as f64 / pipelined(&alice, to, &at, PAYLOAD_BYTES, PIPELINED, IN_FLIGHT).await?;
    let seconds = pipelined(&alice, to, &at, BULK_BYTES, BULK_COUNT, BULK_IN_FLIGHT).await?;
    let megabytes_per_second = (BULK_BYTES * BULK_COUNT) as f64 / seconds / 1e6;
    alice.shutdown().await;
    bob.shutdown().await;
    Ok(Row { p50, p99, per_second, megabytes_per_second })
}

fn start(seed: u8, listen: &str) -> Result<(NetworkHandle, mpsc::Receiver<NetworkEvent>), Failure> {
    let kind = if listen.starts_with("/memory") { TransportKind::Memory } else { TransportKind::Internet };
    let mut config = NetworkConfig::new(Zeroizing::new([seed; 32]), kind);
    config.listen = vec![parse_address(listen)?];
    Ok(Network::start(config)?)
}

/// Answers small requests with as much, long ones with a few bytes.
async fn echo(mut events: mpsc::Receiver<NetworkEvent>) {
    while let Some(event) = events.recv().await {
        if let NetworkEvent::Inbound { request: PeerRequest::Deliver { mut messages }, responder, .. } = event {
            let mut bundle = messages.pop().unwrap_or_default();
            bundle.0.truncate(PAYLOAD_BYTES);
            responder.respond(PeerResponse::Bundle { bundle });
        }
    }
}

async fn ask(alice: &NetworkHandle, to: PeerId, at: &Address, bytes: usize) -> Result<(), Failure> {
    let request = PeerRequest::Deliver { messages: vec![Bytes(vec![7; bytes])] };
    alice.request(to, vec![at.clone()], request).await?;
    Ok(())
}

/// Seconds for `count` requests, `in_flight` at once.
async fn pipelined(
    alice: &NetworkHandle,
    to: PeerId,
    at: &Address,
    bytes: usize,
    count: usize,
    in_flight: usize,
) -> Result<f64, Failure> {
    let start = Instant::now();
    let mut flying = FuturesUnordered::new();
    for _ in 0..count {
        if flying.len() == in_flight {
            flying.next().await.unwrap_or(Ok(()))?;
        }
        flying.push(ask(alice, to, at, bytes));
    }
    while let Some(answer) = flying.next().await {
        answer?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// The same with a length in front of each message on one plain connection.
async fn plain_tcp() -> Result<Row, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    tokio::spawn(async move {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        let _ = stream.set_nodelay(true);
        let mut buffer = vec![0; BULK_BYTES];
        while let Ok(length) = stream.read_u32_le().await {
            let Some(message) = buffer.get_mut(..length as usize) else { return };
            if stream.read_exact(message).await.is_err() || stream.write_all(&[7; PAYLOAD_BYTES]).await.is_err() {
                return;
            }
        }
    });
    let mut stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    let frame = |bytes: usize| [&(bytes as u32).to_le_bytes()[..], &vec![7; bytes]].concat();
    let (small, bulk) = (frame(PAYLOAD_BYTES), frame(BULK_BYTES));
    let mut answer = [0; PAYLOAD_BYTES];
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        stream.write_all(&small).await?;
        stream.read_exact(&mut answer).await?;
        times.push(start.elapsed());
    }
    let (p50, p99) = percentiles(times);
    let (mut reader, mut writer) = stream.into_split();
    let mut seconds = Vec::new();
    for (frame, count, in_flight) in [(small, PIPELINED, IN_FLIGHT), (bulk, BULK_COUNT, BULK_IN_FLIGHT)] {
        let start = Instant::now();
        let window = tokio::sync::Semaphore::new(in_flight);
        let send = async {
            for _ in 0..count {
                window.acquire().await?.forget();
                writer.write_all(&frame).await?;
            }
            Ok::<(), Failure>(())
        };
        let receive = async {
            for _ in 0..count {
                reader.read_exact(&mut answer).await?;
                window.add_permits(1);
            }
            Ok::<(), Failure>(())
        };
        tokio::try_join!(send, receive)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let (Some(small_seconds), Some(bulk_seconds)) = (seconds.first(), seconds.get(1)) else {
        return Err("nothing was measured".into());
    };
    Ok(Row {
        p50,
        p99,
        per_second: PIPELINED as f64 / small_seconds,
        megabytes_per_second: (BULK_BYTES * BULK_COUNT) as f64 / bulk_seconds / 1e6,
    })
}
