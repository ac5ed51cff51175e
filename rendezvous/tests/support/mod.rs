//! A small peer for the tests: it speaks to a node over libp2p with frames of its own making, so
//! that it also sends what a well-behaved peer would not.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::core::{Transport, transport::MemoryTransport, upgrade};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, Codec, Message, OutboundFailure, OutboundRequestId, ProtocolSupport};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::id::{AccountId, EnvelopeId, MailboxId, Timestamp};
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::prekey::{KitHolder, PreKeys};
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::sealed::{MailboxKeys, TokenSeed};
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::wire::codec::{self, Bytes};
use secure_chat_protocol::wire::rendezvous::{
    PUSH_PROTOCOL, Payment, Push, PushResponse, RENDEZVOUS_PROTOCOL, Refusal, Request, Response, StoredEnvelope,
};
use secure_chat_protocol::work;
use secure_chat_rendezvous::RendezvousConfig;
use tokio::sync::{mpsc, oneshot};

/// Nothing on loopback takes this long: a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the peer writes on a stream.
#[derive(Debug, Clone)]
pub enum Frame {
    /// These bytes, and waits for the answer.
    Bytes(Vec<u8>),
    /// These bytes, then nothing more, and the stream stays open.
    Hang(Vec<u8>),
}

/// A frame as the protocol says.
pub fn frame(request: &Request) -> Vec<u8> {
    let bytes = request.encode().unwrap();
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes.as_slice()].concat()
}

#[derive(Debug, Clone, Default)]
pub struct RawCodec;

impl Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Frame;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Frame> {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(Frame::Bytes(bytes))
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        frame: Frame,
    ) -> io::Result<()> {
        match frame {
            Frame::Bytes(bytes) => io.write_all(&bytes).await,
            Frame::Hang(bytes) => {
                io.write_all(&bytes).await?;
                io.flush().await?;
                futures::future::pending().await
            }
        }
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }
}

#[derive(NetworkBehaviour)]
struct PeerBehaviour {
    requests: request_response::Behaviour<RawCodec>,
    pushes: request_response::Behaviour<RawCodec>,
}

/// Why there was no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The stream failed.
    Failed(OutboundFailure),
    /// The node closed the stream without an answer.
    Nothing,
}

struct Ask {
    frame: Frame,
    answer: oneshot::Sender<Result<Vec<u8>, NoAnswer>>,
}

/// A connected peer.
pub struct Client {
    pub peer_id: PeerId,
    pub server: PeerId,
    asks: mpsc::UnboundedSender<Ask>,
    pub pushes: mpsc::UnboundedReceiver<Push>,
    pub closed: tokio::sync::watch::Receiver<bool>,
}

fn swarm(key: Keypair, memory: bool) -> Swarm<PeerBehaviour> {
    let behaviour = |_: &Keypair| PeerBehaviour {
        requests: request_response::Behaviour::new(
            [(StreamProtocol::new(RENDEZVOUS_PROTOCOL), ProtocolSupport::Outbound)],
            request_response::Config::default().with_request_timeout(PATIENCE).with_max_concurrent_streams(400),
        ),
        pushes: request_response::Behaviour::new(
            [(StreamProtocol::new(PUSH_PROTOCOL), ProtocolSupport::Inbound)],
            request_response::Config::default(),
        ),
    };
    let config = |config: libp2p::swarm::Config| config.with_idle_connection_timeout(Duration::from_secs(3_600));
    let builder = SwarmBuilder::with_existing_identity(key).with_tokio();
    if memory {
        return builder
            .with_other_transport(|key| {
                MemoryTransport::default()
                    .upgrade(upgrade::Version::V1)
                    .authenticate(noise::Config::new(key).unwrap())
                    .multiplex(yamux::Config::default())
            })
            .unwrap()
            .with_behaviour(behaviour)
            .unwrap()
            .with_swarm_config(config)
            .build();
    }
    builder
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_quic()
        .with_behaviour(behaviour)
        .unwrap()
        .with_swarm_config(config)
        .build()
}

impl Client {
    /// Connects to the node at `address`, which ends in `/p2p/…`.
    pub async fn connect(key: Keypair, address: &str) -> Self {
        Self::try_connect(key, address).await.expect("the node is there")
    }

    /// As [`Self::connect`], when the node may be gone.
    pub async fn try_connect(key: Keypair, address: &str) -> Option<Self> {
        let address: Multiaddr = address.parse().unwrap();
        let server = address.iter().find_map(|part| match part {
            libp2p::multiaddr::Protocol::P2p(peer) => Some(peer),
            _ => None,
        });
        let server = server.expect("an address with a peer id");
        let peer_id = key.public().to_peer_id();
        let memory = address.to_string().starts_with("/memory");
        let mut swarm = swarm(key, memory);
        swarm.dial(DialOpts::peer_id(server).addresses(vec![address]).build()).ok()?;
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => break,
                SwarmEvent::OutgoingConnectionError { .. } => return None,
                _ => {}
            }
        }
        let (asks, queue) = mpsc::unbounded_channel();
        let (pushed, pushes) = mpsc::unbounded_channel();
        let (close, closed) = tokio::sync::watch::channel(false);
        tokio::spawn(drive(swarm, server, queue, pushed, close));
        Some(Self { peer_id, server, asks, pushes, closed })
    }

    /// Writes a frame and reads the raw answer.
    pub async fn raw(&self, frame: Frame) -> Result<Vec<u8>, NoAnswer> {
        self.begin(frame).await
    }

    /// Writes a frame at once; the answer comes later.
    pub fn begin(&self, frame: Frame) -> impl Future<Output = Result<Vec<u8>, NoAnswer>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let _ = self.asks.send(Ask { frame, answer });
        async move {
            let answer = tokio::time::timeout(PATIENCE, answered).await.expect("an answer in time");
            let bytes = answer.unwrap_or(Err(NoAnswer::Nothing))?;
            if bytes.is_empty() { Err(NoAnswer::Nothing) } else { Ok(bytes) }
        }
    }

    /// Asks at once; the answer comes later.
    pub fn start(&self, request: &Request) -> impl Future<Output = Result<Response, NoAnswer>> + Send + use<> {
        let answer = self.begin(Frame::Bytes(frame(request)));
        async move {
            let bytes = answer.await?;
            let (length, body) = bytes.split_first_chunk::<4>().expect("a length");
            assert_eq!(u32::from_le_bytes(*length) as usize, body.len(), "exactly one frame comes back");
            Ok(Response::decode(body).expect("an answer that decodes"))
        }
    }

    /// Asks and waits for the answer.
    pub async fn ask(&self, request: &Request) -> Response {
        self.start(request).await.expect("an answer")
    }

    /// The next push.
    pub async fn pushed(&mut self) -> Push {
        tokio::time::timeout(PATIENCE, self.pushes.recv()).await.expect("a push in time").expect("a connection")
    }

    /// Waits until the node has closed the connection.
    pub async fn wait_closed(&mut self) {
        let closed = tokio::time::timeout(PATIENCE, self.closed.wait_for(|closed| *closed)).await;
        closed.expect("closed in time").expect("a driver");
    }

    /// Proves that the mailbox is its own and opens it.
    pub async fn open(&self, keys: &MailboxKeys) -> Response {
        let Response::Challenge(challenge) = self.ask(&Request::Challenge).await else { panic!("a challenge") };
        let signature = keys.sign_open(&self.server.to_bytes(), &self.peer_id.to_bytes(), &challenge.0);
        self.ask(&Request::OpenMailbox { auth_key: keys.auth_key(), signature }).await
    }

    /// All that waits in the opened mailbox.
    pub async fn fetch_all(&self) -> Vec<StoredEnvelope> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            match self.ask(&Request::Fetch { after, max_bytes: 1 << 20 }).await {
                Response::Mail { envelopes, more } => {
                    after = envelopes.last().map_or(after, |last| last.seq);
                    all.extend(envelopes);
                    if !more {
                        return all;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

async fn drive(
    mut swarm: Swarm<PeerBehaviour>,
    server: PeerId,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    pushed: mpsc::UnboundedSender<Push>,
    close: tokio::sync::watch::Sender<bool>,
) {
    let mut waiting: HashMap<OutboundRequestId, oneshot::Sender<Result<Vec<u8>, NoAnswer>>> = HashMap::new();
    loop {
        tokio::select! {
            ask = asks.recv() => {
                let Some(Ask { frame, answer }) = ask else { return };
                let id = swarm.behaviour_mut().requests.send_request(&server, frame);
                waiting.insert(id, answer);
            }
            event = swarm.select_next_some() => match event {
                SwarmEvent::Behaviour(PeerBehaviourEvent::Requests(event)) => match event {
                    request_response::Event::Message { message: Message::Response { request_id, response }, .. } => {
                        if let Some(answer) = waiting.remove(&request_id) { let _ = answer.send(Ok(response)); }
                    }
                    request_response::Event::OutboundFailure { request_id, error, .. } => {
                        if let Some(answer) = waiting.remove(&request_id) { let _ = answer.send(Err(NoAnswer::Failed(error))); }
                    }
                    _ => {}
                },
                SwarmEvent::Behaviour(PeerBehaviourEvent::Pushes(request_response::Event::Message {
                    message: Message::Request { request: Frame::Bytes(bytes), channel, .. }, ..
                })) => {
                    let push = Push::decode(&bytes[4..]).expect("a push that decodes");
                    let seen = PushResponse.encode().unwrap();
                    let seen = [&u32::try_from(seen.len()).unwrap().to_le_bytes(), seen.as_slice()].concat();
                    let _ = swarm.behaviour_mut().pushes.send_response(channel, seen);
                    let _ = pushed.send(push);
                }
                SwarmEvent::ConnectionClosed { num_established: 0, .. } => { close.send_replace(true); }
                _ => {}
            }
        }
    }
}

/// Somebody with an account, a peer key and a mailbox, all made from a seed.
pub struct Person {
    pub identity: IdentityKeyPair,
    pub peer: SigningKey,
    pub record: Record,
    pub mailbox: MailboxKeys,
    pub prekeys: PreKeys,
    pub tokens: TokenSeed,
    pub rng: ChaCha20Rng,
}

pub fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(elapsed.as_millis()).unwrap())
}

impl Person {
    pub fn new(name: &str, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let identity = IdentityKeyPair::generate(&mut rng, now());
        let peer = SigningKey::generate(&mut rng);
        let mailbox = MailboxKeys::generate(now(), &mut rng);
        let prekeys = PreKeys::generate(&identity, now(), &mut rng);
        let tokens = TokenSeed::generate(&mut rng);
        let record = Record::create(&identity, fields(name, &peer, &identity, &mailbox), None, now()).unwrap();
        Self { identity, peer, record, mailbox, prekeys, tokens, rng }
    }

    pub fn account(&self) -> AccountId {
        self.identity.account_id()
    }

    pub fn key(&self) -> Keypair {
        keypair(&self.peer)
    }

    /// The next record, under another name.
    pub fn renamed(&self, name: &str) -> Record {
        let fields = fields(name, &self.peer, &self.identity, &self.mailbox);
        Record::create(&self.identity, fields, Some(&self.record), now()).unwrap()
    }

    pub fn registration(&self) -> Request {
        register(&self.record)
    }

    pub async fn connect(&self, address: &str) -> Client {
        Client::connect(self.key(), address).await
    }

    /// Connects and registers.
    pub async fn join(&self, address: &str) -> Client {
        let client = self.connect(address).await;
        match client.ask(&self.registration()).await {
            Response::Registered { .. } => client,
            other => panic!("{other:?}"),
        }
    }

    /// The prekeys, with `kits` kits for the node.
    pub fn publication(&mut self, kits: usize) -> Request {
        let encode = |kit| Bytes(codec::encode(&kit, 8_192).unwrap());
        Request::PublishPreKeys {
            signed: Bytes(codec::encode(&self.prekeys.signed_public(), 8_192).unwrap()),
            kits: self.prekeys.kits_for(KitHolder([1; 32]), kits).into_iter().map(encode).collect(),
            replace: false,
        }
    }
}

fn fields(name: &str, peer: &SigningKey, identity: &IdentityKeyPair, mailbox: &MailboxKeys) -> RecordFields {
    RecordFields {
        name: Username::parse(name).unwrap(),
        peers: vec![peer_binding(peer, identity.account_id())],
        addresses: Vec::new(),
        homes: Vec::new(),
        mailbox: Some(mailbox.descriptor(identity)),
    }
}

pub fn register(record: &Record) -> Request {
    Request::Register { record: Bytes(record.encoded().to_vec()) }
}

pub fn keypair(key: &SigningKey) -> Keypair {
    let mut seed = *key.expose();
    Keypair::ed25519_from_bytes(&mut seed).unwrap()
}

/// A throw-away key.
pub fn stranger(seed: u64) -> Keypair {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    keypair(&SigningKey::from_seed(&Secret::from_bytes(bytes)))
}

pub fn envelope_id(n: u64) -> EnvelopeId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    EnvelopeId(id)
}

/// A deposit that is paid with a token.
pub fn by_token(mailbox: MailboxId, seed: &TokenSeed, token: u32, id: u64, bytes: usize) -> Request {
    let payment = Payment::Token(seed.token(token));
    Request::Deposit { mailbox, payment, id: envelope_id(id), sealed: Bytes(vec![7; bytes]) }
}

/// A deposit that is paid with work.
pub fn by_work(server: PeerId, mailbox: MailboxId, bits: u8, id: u64, bytes: usize) -> Request {
    let (id, sealed, node_peer) = (envelope_id(id), vec![7; bytes], server.to_bytes());
    let deposit = work::Deposit { node_peer: &node_peer, mailbox: &mailbox, id: &id, sealed: &sealed };
    let stamp = work::solve(&deposit, now(), bits, u64::MAX).unwrap();
    let payment = Payment::Work { hour: stamp.hour, nonce: stamp.nonce };
    Request::Deposit { mailbox, payment, id, sealed: Bytes(sealed) }
}

pub fn refused(refusal: Refusal) -> Response {
    Response::Refused(refusal)
}

/// A node inside this process only.
pub fn memory_node(directory: &Path) -> RendezvousConfig {
    RendezvousConfig::new(directory).in_memory()
}

/// A node on loopback.
pub fn loopback_node(directory: &Path) -> RendezvousConfig {
    RendezvousConfig::new(directory).listening_on("/ip4/127.0.0.1/tcp/0")
}
