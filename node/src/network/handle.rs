//! The door to the network: cheap to clone, usable from any task.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use libp2p::identity::Keypair;
use secure_chat_protocol::wire::peer::{PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::address::{Address, AddressError, PeerId, Route};
use super::courier::Couriers;
use super::event::{DialError, GossipId, NetworkError, NetworkEvent, RequestError, Responder, Status};
use super::limits::{
    COMMANDS_MAX, EVENTS_MAX, GOSSIP_MAX_BYTES, GOSSIP_TOPIC_MAX_BYTES, PROCESS_MEMORY_MAX_BYTES, REQUEST_TIMEOUT,
};
use super::outbound::{Outgoing, Reply};
use super::partition::Partition;
use super::plug::Plug;
use super::streams::{self, PeerStream, Streams};
use super::task::Task;
use super::traffic::Traffic;
use super::transport::TransportKind;

/// What a network is started with.
pub struct NetworkConfig {
    /// The Ed25519 seed of our network key.
    pub key: Zeroizing<[u8; 32]>,
    /// Where to listen. May be empty: then only we can dial.
    pub listen: Vec<Address>,
    /// Which kinds of addresses are spoken.
    pub transport: TransportKind,
    /// Look for peers on the local network, and be seen there.
    pub mdns: bool,
    /// Ask the router to let others in.
    pub upnp: bool,
    /// Rendezvous nodes to keep connected, each with its peer id.
    pub rendezvous: Vec<Address>,
    /// No new connections when the process holds more physical memory than this, in bytes.
    pub process_memory_max_bytes: usize,
    /// What everything passes that leaves. Tests pull it.
    pub plug: Plug,
    /// Whom this peer can't reach, in tests and simulations.
    pub partition: Partition,
}

impl NetworkConfig {
    /// Of this key, with nothing switched on and nowhere to listen.
    #[must_use]
    pub fn new(key: Zeroizing<[u8; 32]>, transport: TransportKind) -> Self {
        let process_memory_max_bytes = PROCESS_MEMORY_MAX_BYTES;
        let (listen, rendezvous) = (Vec::new(), Vec::new());
        let (plug, partition) = (Plug::default(), Partition::default());
        Self { key, listen, transport, mdns: false, upnp: false, rendezvous, process_memory_max_bytes, plug, partition }
    }
}

/// What the handles ask of the swarm's task.
pub(super) enum Command {
    Ask { peer: PeerId, addresses: Vec<Address>, outgoing: Outgoing },
    Dial { address: Address, reply: oneshot::Sender<Result<PeerId, DialError>> },
    Disconnect(PeerId),
    Protect(PeerId, bool),
    SetRendezvous(Vec<(PeerId, Address)>),
    Status(oneshot::Sender<Status>),
    Route(PeerId, oneshot::Sender<Option<Route>>),
    Subscribe(String, oneshot::Sender<Result<(), GossipError>>),
    Unsubscribe(String),
    Publish { topic: String, data: Vec<u8>, reply: oneshot::Sender<Result<(), GossipError>> },
    GossipWith { ticket: u64, peers: HashSet<PeerId> },
    PassOn { id: GossipId, forwarder: PeerId },
    PassOnTo { topics: Vec<String>, data: Vec<u8> },
    Shutdown(oneshot::Sender<()>),
}

/// Why a gossip topic or message was refused. The caller's fault, but for `Stopped`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GossipError {
    /// The name of the topic is too long.
    #[error("a topic's name may take {GOSSIP_TOPIC_MAX_BYTES} bytes")]
    TopicTooLong,
    /// There are too many topics.
    #[error("there are too many topics")]
    TooManyTopics,
    /// The message is too long.
    #[error("a gossip message may take {GOSSIP_MAX_BYTES} bytes")]
    TooLong,
    /// Nobody who is connected listens to this topic.
    #[error("nobody who is connected listens to this topic")]
    NobodyListens,
    /// The same bytes were published a short while ago.
    #[error("this was published already")]
    Duplicate,
    /// The queues to the other peers are full.
    #[error("the network is too busy")]
    Busy,
    /// The network was shut down.
    #[error("the network has stopped")]
    Stopped,
}

/// Starts networks.
pub struct Network;

impl Network {
    /// Starts the swarm in a task of its own. It ends with [`NetworkHandle::shutdown`],
    /// or when the last handle or the receiver of the events is dropped.
    ///
    /// # Errors
    /// [`NetworkError`]. Nothing is left running then.
    pub fn start(config: NetworkConfig) -> Result<(NetworkHandle, mpsc::Receiver<NetworkEvent>), NetworkError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| NetworkError::NoRuntime)?;
        let mut seed = Zeroizing::new(*config.key);
        let keys = Keypair::ed25519_from_bytes(seed.as_mut_slice()).map_err(|_| NetworkError::BadKey)?;
        let rendezvous = named_nodes(config.rendezvous.clone())?;
        let traffic = Arc::new(Traffic::default());
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (events, reader) = mpsc::channel(EVENTS_MAX);
        let accepting = events.downgrade();
        let task = Task::new(&keys, &config, rendezvous, &traffic, inbox, events)?;
        let streams = task.streams();
        streams::accept(streams.clone(), accepting);
        let couriers = Arc::new(Couriers::new(config.transport, traffic.clone(), config.partition.clone()));
        let (me, gossip_tickets, plug) = (PeerId(keys.public().to_peer_id()), Arc::default(), config.plug);
        let handle = NetworkHandle { me, commands, traffic, couriers, streams, gossip_tickets, plug };
        runtime.spawn(task.run());
        Ok((handle, reader))
    }
}

fn named_nodes(addresses: Vec<Address>) -> Result<Vec<(PeerId, Address)>, NetworkError> {
    let named = addresses.into_iter().map(|address| match address.peer_id() {
        Some(_) if address.is_relayed() => {
            Err(NetworkError::Rendezvous { address, error: AddressError::UnsupportedTransport })
        }
        Some(node) => Ok((node, address)),
        None => Err(NetworkError::Rendezvous { address, error: AddressError::NoPeerId }),
    });
    named.collect()
}

/// The door to a running network.
#[derive(Clone)]
pub struct NetworkHandle {
    me: PeerId,
    commands: mpsc::Sender<Command>,
    traffic: Arc<Traffic>,
    couriers: Arc<Couriers>,
    streams: Streams,
    gossip_tickets: Arc<AtomicU64>,
    plug: Plug,
}

impl NetworkHandle {
    /// Our own peer id.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.me
    }

    /// Asks a peer, over an open connection or a new one. All addresses are tried
    /// together: those given, those known, and after a short head start those
    /// relayed by rendezvous nodes.
    ///
    /// # Errors
    /// [`RequestError`], whose variants say whose fault it is, and whether the peer
    /// may have seen the request.
    pub async fn request(
        &self,
        peer: PeerId,
        addresses: Vec<Address>,
        request: PeerRequest,
    ) -> Result<PeerResponse, RequestError> {
        self.ask(peer, addresses, |reply| Outgoing::Peer { request: Box::new(request), reply }).await
    }

    /// Asks a rendezvous node, under our own peer id.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn rendezvous(
        &self,
        node: Address,
        request: rendezvous::Request,
    ) -> Result<rendezvous::Response, RequestError> {
        let peer = node.peer_id().ok_or(RequestError::NoAddress)?;
        self.ask(peer, vec![node], |reply| Outgoing::Node { request: Box::new(request), reply }).await
    }

    /// Asks a rendezvous node as somebody else: over a connection whose peer id was
    /// made for a few deposits into one mailbox, and is forgotten afterwards.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn deposit(
        &self,
        node: Address,
        request: rendezvous::Request,
    ) -> Result<rendezvous::Response, RequestError> {
        if self.commands.is_closed() {
            return Err(RequestError::Stopped);
        }
        self.plug.carry(self.couriers.deposit(node, request)).await.unwrap_or(Err(RequestError::Stopped))
    }

    /// Asks a rendezvous node about somebody: under our own peer id where we are
    /// registered (`ours`), else over a connection of its own, as with deposits, so that
    /// the recipient's node does not learn who is about to write to them.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn ask_about(
        &self,
        node: Address,
        ours: bool,
        request: rendezvous::Request,
    ) -> Result<rendezvous::Response, RequestError> {
        if ours { self.rendezvous(node, request).await } else { self.deposit(node, request).await }
    }

    /// Opens a stream with a connected peer.
    ///
    /// # Errors
    /// [`RequestError::Closed`], `Timeout` or `Unsupported`.
    pub async fn open_stream(&self, peer: PeerId) -> Result<PeerStream, RequestError> {
        streams::open(self.streams.clone(), peer).await
    }

    /// The best route to a connected peer.
    pub async fn route(&self, peer: PeerId) -> Option<Route> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Route(peer, reply)).await.ok()?;
        answer.await.ok()?
    }

    async fn ask<A>(
        &self,
        peer: PeerId,
        addresses: Vec<Address>,
        outgoing: impl FnOnce(Reply<A>) -> Outgoing,
    ) -> Result<A, RequestError> {
        let (reply, answer) = oneshot::channel();
        let ask = async {
            let command = Command::Ask { peer, addresses, outgoing: outgoing(reply) };
            self.commands.send(command).await.map_err(|_| RequestError::Stopped)?;
            answer.await.map_err(|_| RequestError::Stopped)?
        };
        let ask = async { tokio::time::timeout(REQUEST_TIMEOUT, ask).await.unwrap_or(Err(RequestError::Timeout)) };
        self.plug.carry(ask).await.unwrap_or(Err(RequestError::Stopped))
    }

    /// Answers an inbound request. Never blocks.
    pub fn respond(&self, responder: Responder, response: PeerResponse) {
        if self.plug.passes() {
            responder.respond(response);
        } else {
            responder.never();
        }
    }

    /// Dials an address, and says who answered.
    ///
    /// # Errors
    /// [`DialError`].
    pub async fn dial(&self, address: Address) -> Result<PeerId, DialError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Dial { address, reply }).await.map_err(|Stopped| DialError::Stopped)?;
        answer.await.unwrap_or(Err(DialError::Stopped))
    }

    /// Closes all connections with a peer.
    pub async fn disconnect(&self, peer: PeerId) {
        // A network that has stopped is connected to nobody.
        let _ = self.send(Command::Disconnect(peer)).await;
    }

    /// Keeps the connection of a peer open though nobody uses it, or no longer.
    pub async fn protect(&self, peer: PeerId, protect: bool) {
        let _ = self.send(Command::Protect(peer, protect)).await;
    }

    /// Replaces the rendezvous nodes that are kept connected.
    ///
    /// # Errors
    /// [`NetworkError::Rendezvous`] for an address without peer id; then nothing changes.
    pub async fn set_rendezvous(&self, nodes: Vec<Address>) -> Result<(), NetworkError> {
        let nodes = named_nodes(nodes)?;
        let _ = self.send(Command::SetRendezvous(nodes)).await;
        Ok(())
    }

    /// How the network stands; nothing once it has stopped.
    pub async fn status(&self) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Status(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Bytes received and sent since the start, deposits included.
    #[must_use]
    pub fn traffic(&self) -> (u64, u64) {
        self.traffic.totals()
    }

    /// Exchanges gossip with these peers, and with nobody else from now on: others who are
    /// connected learn neither what is listened to, nor that anything is published. Of several
    /// calls the last one counts, in whatever order the futures that they return are driven.
    pub fn gossip_with(&self, peers: HashSet<PeerId>) -> impl Future<Output = ()> + Send + use<> {
        let ticket = self.gossip_tickets.fetch_add(1, Ordering::Relaxed);
        let commands = self.commands.clone();
        async move {
            // An error means that the network has stopped.
            let _ = commands.send(Command::GossipWith { ticket, peers }).await;
        }
    }

    /// Listens to a gossip topic.
    ///
    /// # Errors
    /// [`GossipError`].
    pub async fn subscribe(&self, topic: String) -> Result<(), GossipError> {
        if topic.len() > GOSSIP_TOPIC_MAX_BYTES {
            return Err(GossipError::TopicTooLong);
        }
        let (reply, answer) = oneshot::channel();
        self.send(Command::Subscribe(topic, reply)).await.map_err(|Stopped| GossipError::Stopped)?;
        answer.await.unwrap_or(Err(GossipError::Stopped))
    }

    /// No longer listens to a gossip topic.
    pub async fn unsubscribe(&self, topic: String) {
        let _ = self.send(Command::Unsubscribe(topic)).await;
    }

    /// Publishes to a gossip topic. That is a hint, not a delivery: it may get lost
    /// on the way without a sign.
    ///
    /// # Errors
    /// [`GossipError`].
    pub async fn publish(&self, topic: String, data: Vec<u8>) -> Result<(), GossipError> {
        if topic.len() > GOSSIP_TOPIC_MAX_BYTES {
            return Err(GossipError::TopicTooLong);
        }
        if data.len() > GOSSIP_MAX_BYTES {
            return Err(GossipError::TooLong);
        }
        let (reply, answer) = oneshot::channel();
        let publish = async {
            self.send(Command::Publish { topic, data, reply }).await.map_err(|Stopped| GossipError::Stopped)?;
            answer.await.unwrap_or(Err(GossipError::Stopped))
        };
        self.plug.carry(publish).await.unwrap_or(Err(GossipError::Stopped))
    }

    /// Passes a gossip message on to neighbours who may not have it. One that is no longer
    /// remembered, or that comes while the network is very busy, is not passed on.
    pub fn pass_on(&self, id: GossipId, forwarder: PeerId) {
        // Nobody relies on it: who lacks a message asks for it.
        if self.plug.passes() {
            let _ = self.commands.try_send(Command::PassOn { id, forwarder });
        }
    }

    /// Passes a gossip message on by other topics. One that nobody listens to, or that comes while
    /// the network is very busy, is not passed on.
    pub fn pass_on_to(&self, topics: Vec<String>, data: Vec<u8>) {
        if self.plug.passes() {
            let _ = self.commands.try_send(Command::PassOnTo { topics, data });
        }
    }

    /// Says goodbye to all peers and stops. When this returns, nothing listens any more.
    pub async fn shutdown(&self) {
        self.couriers.stop();
        let (reply, stopped) = oneshot::channel();
        if self.send(Command::Shutdown(reply)).await.is_ok() {
            // An error means that it has stopped already.
            let _ = stopped.await;
        }
    }

    async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }
}

/// The network has stopped.
struct Stopped;
