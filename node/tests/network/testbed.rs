//! Peers for the tests, and the rendezvous node that they meet: a raw libp2p swarm
//! that relays, and answers what it is asked.

use std::time::Duration;

use futures::StreamExt as _;
use futures::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::core::Transport as _;
use libp2p::core::transport::MemoryTransport;
use libp2p::identity::Keypair;
use libp2p::request_response::{self, Event, Message, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, SwarmBuilder, identify, noise, ping, relay, yamux};
use secure_chat_node::network::{
    Address, Network, NetworkConfig, NetworkEvent, NetworkHandle, PeerId, Responder, TransportKind, parse_address,
};
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::peer::{PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous::{PUSH_PROTOCOL, Push, RENDEZVOUS_PROTOCOL, Response};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Nothing here takes that long; it only keeps a broken test from hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub(crate) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
pub(crate) const MEMORY: &str = "/memory/0";

pub(crate) fn address(text: &str) -> Address {
    parse_address(text).unwrap()
}

pub(crate) fn kind_of(listen: &str) -> TransportKind {
    if listen.starts_with("/memory") { TransportKind::Memory } else { TransportKind::Internet }
}

pub(crate) fn config(seed: u8, listen: &str) -> NetworkConfig {
    let mut config = NetworkConfig::new(Zeroizing::new([seed; 32]), kind_of(listen));
    config.listen = vec![address(listen)];
    config
}

/// A peer under test.
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) handle: NetworkHandle,
    pub(crate) events: mpsc::Receiver<NetworkEvent>,
}

impl Peer {
    pub(crate) fn start(config: NetworkConfig) -> Self {
        let (handle, events) = Network::start(config).unwrap();
        Self { id: handle.peer_id(), handle, events }
    }

    /// Starts a peer and waits until it listens.
    pub(crate) async fn listening(seed: u8, listen: &str) -> (Self, Address) {
        let mut peer = Self::start(config(seed, listen));
        let address = peer.listens().await;
        (peer, address)
    }

    pub(crate) async fn listens(&mut self) -> Address {
        self.until(|event| match event {
            NetworkEvent::Listening(address) => Some(address),
            _ => None,
        })
        .await
    }

    /// Waits for an event, and skips those before it.
    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(NetworkEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the event comes")
    }

    pub(crate) async fn inbound(&mut self) -> (PeerId, PeerRequest, Responder) {
        self.until(|event| match event {
            NetworkEvent::Inbound { peer, request, responder } => Some((peer, request, responder)),
            _ => None,
        })
        .await
    }

    /// Answers every request with a bundle that holds what [`numbered`] was given.
    pub(crate) fn echo(mut self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            while let Some(event) = self.events.recv().await {
                if let NetworkEvent::Inbound { request: PeerRequest::Deliver { mut messages }, responder, .. } = event {
                    let bundle = messages.pop().unwrap_or_default();
                    self.handle.respond(responder, PeerResponse::Bundle { bundle });
                }
            }
        })
    }
}

/// A request that holds a number.
pub(crate) fn numbered(number: u32) -> PeerRequest {
    PeerRequest::Deliver { messages: vec![Bytes(number.to_le_bytes().to_vec())] }
}

/// The answer of [`Peer::echo`] to [`numbered`].
pub(crate) fn echoed(number: u32) -> PeerResponse {
    PeerResponse::Bundle { bundle: Bytes(number.to_le_bytes().to_vec()) }
}

/// Frames of raw bytes, so that tests can send anything.
#[derive(Clone, Default)]
pub(crate) struct RawFrames;

async fn read_raw(io: &mut (impl AsyncRead + Unpin + Send)) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn write_raw(io: &mut (impl AsyncWrite + Unpin + Send), bytes: &[u8]) -> std::io::Result<()> {
    io.write_all(&(bytes.len() as u32).to_le_bytes()).await?;
    io.write_all(bytes).await
}

impl request_response::Codec for RawFrames {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> std::io::Result<Vec<u8>> {
        read_raw(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> std::io::Result<Vec<u8>> {
        read_raw(io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> std::io::Result<()> {
        write_raw(io, &bytes).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> std::io::Result<()> {
        write_raw(io, &bytes).await
    }
}

#[derive(NetworkBehaviour)]
pub(crate) struct NodeBehaviour {
    relay: relay::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    requests: request_response::Behaviour<RawFrames>,
    pushes: request_response::Behaviour<RawFrames>,
}

/// A minimal rendezvous node.
pub(crate) struct Node {
    pub(crate) address: Address,
    pub(crate) peer: PeerId,
    /// Who asked something, in order.
    pub(crate) askers: mpsc::UnboundedReceiver<PeerId>,
    pushes: mpsc::UnboundedSender<(PeerId, Push)>,
    task: tokio::task::JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start(seed: u8, listen: &str) -> Self {
        let keys = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
        let mut swarm = node_swarm(keys, listen);
        swarm.listen_on(listen.parse().unwrap()).unwrap();
        let at = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        swarm.add_external_address(at.clone());
        let peer: PeerId = swarm.local_peer_id().to_string().parse().unwrap();
        let (told, askers) = mpsc::unbounded_channel();
        let (pushes, inbox) = mpsc::unbounded_channel();
        let task = tokio::spawn(serve(swarm, told, inbox));
        Self { address: address(&format!("{at}/p2p/{peer}")), peer, askers, pushes, task }
    }

    pub(crate) fn push(&self, to: PeerId, push: Push) {
        self.pushes.send((to, push)).unwrap();
    }

    /// Ends it without a goodbye.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn node_swarm(keys: Keypair, listen: &str) -> Swarm<NodeBehaviour> {
    let behaviour = |keys: &Keypair| NodeBehaviour {
        relay: relay::Behaviour::new(keys.public().to_peer_id(), relay::Config::default()),
        identify: identify::Behaviour::new(identify::Config::new("/test".to_owned(), keys.public())),
        ping: ping::Behaviour::default(),
        requests: request_response::Behaviour::new(
            [(StreamProtocol::new(RENDEZVOUS_PROTOCOL), ProtocolSupport::Inbound)],
            request_response::Config::default(),
        ),
        pushes: request_response::Behaviour::new(
            [(StreamProtocol::new(PUSH_PROTOCOL), ProtocolSupport::Outbound)],
            request_response::Config::default(),
        ),
    };
    let idle = |config: libp2p::swarm::Config| config.with_idle_connection_timeout(PATIENCE);
    let builder = SwarmBuilder::with_existing_identity(keys).with_tokio();
    match kind_of(listen) {
        TransportKind::Memory => builder
            .with_other_transport(|keys| {
                MemoryTransport::default()
                    .upgrade(libp2p::core::upgrade::Version::V1Lazy)
                    .authenticate(noise::Config::new(keys).unwrap())
                    .multiplex(yamux::Config::default())
            })
            .unwrap()
            .with_behaviour(behaviour)
            .unwrap()
            .with_swarm_config(idle)
            .build(),
        TransportKind::Internet => builder
            .with_tcp(libp2p::tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_quic()
            .with_behaviour(behaviour)
            .unwrap()
            .with_swarm_config(idle)
            .build(),
    }
}

async fn serve(
    mut swarm: Swarm<NodeBehaviour>,
    askers: mpsc::UnboundedSender<PeerId>,
    mut pushes: mpsc::UnboundedReceiver<(PeerId, Push)>,
) {
    loop {
        tokio::select! {
            Some((to, push)) = pushes.recv() => {
                let to: libp2p::PeerId = to.to_string().parse().unwrap();
                swarm.behaviour_mut().pushes.send_request(&to, push.encode().unwrap());
            }
            event = swarm.select_next_some() => {
                if let SwarmEvent::Behaviour(NodeBehaviourEvent::Requests(Event::Message {
                    peer, message: Message::Request { channel, .. }, ..
                })) = event {
                    let _ = askers.send(peer.to_string().parse().unwrap());
                    let done = Response::Done.encode().unwrap();
                    let _ = swarm.behaviour_mut().requests.send_response(channel, done);
                }
            }
        }
    }
}

pub(crate) fn multiaddr(address: &Address) -> Multiaddr {
    address.to_string().parse().unwrap()
}
