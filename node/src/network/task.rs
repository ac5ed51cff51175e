//! The one task that owns the swarm. It awaits nothing but the swarm itself, the
//! handles' commands and answers, room for events, and time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use libp2p::core::multiaddr::Protocol;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{ConnectionId, Swarm};
use libp2p::{Multiaddr, mdns, upnp};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::address::{Address, PeerId};
use super::address_book::AddressBook;
use super::behaviour::Behaviour;
use super::dial_error;
use super::event::{Answer, DialError, Nat, NetworkError, NetworkEvent};
use super::handle::{Command, NetworkConfig};
use super::inbound::Inbound;
use super::limits::{
    EVENTS_BACKLOG_MAX, EVENTS_RESERVED, INBOUND_MAX, LINKS_MAX, PORT_GRACE, PORT_POLL, PROTECTED_MAX, SHUTDOWN_GRACE,
    SWEEP_EVERY,
};
use super::links::Link;
use super::outbound::Outbound;
use super::peers::Peers;
use super::reach::Reach;
use super::requests::Flights;
use super::streams::{Cuts, Streams};
use super::traffic::Traffic;
use super::transport;

/// Idle connections are ours to close, not libp2p's: it would not know which are dear.
const SWARM_IDLE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Addresses of one peer dialled at once by libp2p: all of them.
const DIAL_CONCURRENCY: std::num::NonZeroU8 = std::num::NonZeroU8::MAX;
/// Messages between the swarm and the task of one connection that may wait, each way:
/// with libp2p's few, both wake each other for every single request.
const HANDLER_BUFFER: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN.saturating_add(31);
const CONNECTION_BUFFER: usize = 32;
/// Commands taken between two looks at the swarm.
const COMMANDS_AT_ONCE: usize = 64;

/// The swarm and all that is known around it.
pub(super) struct Task {
    pub(super) me: libp2p::PeerId,
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) book: AddressBook,
    pub(super) peers: Peers,
    pub(super) outbound: Outbound,
    pub(super) flights: Flights,
    pub(super) reaches: HashMap<libp2p::PeerId, Reach>,
    pub(super) links: Vec<Link>,
    pub(super) inbound: Inbound,
    pub(super) dials: HashMap<ConnectionId, oneshot::Sender<Result<PeerId, DialError>>>,
    /// What we listen with, relays aside.
    pub(super) listeners: Vec<ListenerId>,
    pub(super) protected: HashSet<libp2p::PeerId>,
    /// Peers that sent too much garbage, and until when they stay out.
    pub(super) kept_out: HashMap<libp2p::PeerId, Instant>,
    pub(super) cuts: Cuts,
    pub(super) nat: Nat,
    pub(super) events: mpsc::Sender<NetworkEvent>,
    pub(super) backlog: VecDeque<NetworkEvent>,
    commands: mpsc::Receiver<Command>,
    answers: mpsc::Receiver<Answer>,
    next_sweep: Instant,
    stopping: Option<oneshot::Sender<()>>,
}

impl Task {
    /// Builds the swarm and starts to listen.
    pub(super) fn new(
        keys: &Keypair,
        config: &NetworkConfig,
        rendezvous: Vec<(PeerId, Address)>,
        traffic: &Arc<Traffic>,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<NetworkEvent>,
    ) -> Result<Self, NetworkError> {
        let mut swarm = swarm(keys, config, traffic)?;
        let mut listeners = Vec::new();
        for address in &config.listen {
            let listener = swarm
                .listen_on(address.0.clone())
                .map_err(|error| NetworkError::Listen { address: address.clone(), reason: dial_error::text(&error) })?;
            listeners.push(listener);
        }
        let (to_answers, answers) = mpsc::channel(INBOUND_MAX);
        let now = Instant::now();
        let mut task = Self {
            me: *swarm.local_peer_id(),
            swarm,
            book: AddressBook::default(),
            peers: Peers::default(),
            outbound: Outbound::default(),
            flights: Flights::default(),
            reaches: HashMap::new(),
            links: Vec::new(),
            inbound: Inbound::new(to_answers, Arc::new(Semaphore::new(INBOUND_MAX))),
            dials: HashMap::new(),
            listeners,
            protected: HashSet::new(),
            kept_out: HashMap::new(),
            cuts: Cuts::default(),
            nat: Nat::Unknown,
            events,
            backlog: VecDeque::new(),
            commands,
            answers,
            next_sweep: now + SWEEP_EVERY,
            stopping: None,
        };
        task.set_rendezvous(rendezvous, now);
        Ok(task)
    }

    /// Opens and takes streams.
    pub(super) fn streams(&self) -> Streams {
        Streams { control: self.swarm.behaviour().streams.new_control(), cuts: self.cuts.clone() }
    }

    /// Runs until it is told to stop, or nobody is left who could tell.
    pub(super) async fn run(mut self) {
        let events = self.events.clone();
        while self.stopping.is_none() && !events.is_closed() {
            let now = Instant::now();
            self.on_time(now);
            let next = tokio::time::Instant::from_std(self.next(now));
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                command = self.commands.recv() => match command {
                    Some(command) => self.on_commands(command),
                    None => break,
                },
                Some(answer) = self.answers.recv() => self.on_answer(answer),
                room = events.reserve(), if !self.backlog.is_empty() => match (room, self.backlog.pop_front()) {
                    (Ok(room), Some(event)) => room.send(event),
                    _ => break,
                },
                () = tokio::time::sleep_until(next) => {}
            }
        }
        self.stop().await;
    }

    fn on_commands(&mut self, first: Command) {
        self.on_command(first);
        for _ in 1..COMMANDS_AT_ONCE {
            match self.commands.try_recv() {
                Ok(command) if self.stopping.is_none() => self.on_command(command),
                _ => break,
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Ask { peer, addresses, outgoing } => self.ask(peer.0, addresses, outgoing, now),
            Command::Dial { address, reply } => self.dial(&address, reply),
            Command::Disconnect(peer) => {
                // An error says that there is no connection to close.
                let _ = self.swarm.disconnect_peer_id(peer.0);
            }
            Command::Protect(peer, true) if self.protected.len() >= PROTECTED_MAX => {
                tracing::warn!(%peer, "too many connections are kept open: this one is not");
            }
            Command::Protect(peer, true) => drop(self.protected.insert(peer.0)),
            Command::Protect(peer, false) => drop(self.protected.remove(&peer.0)),
            Command::SetRendezvous(nodes) => self.set_rendezvous(nodes, now),
            Command::Route(peer, reply) => drop(reply.send(self.best_route(&peer.0))),
            Command::Status(reply) => drop(reply.send(self.status())),
            Command::Subscribe(topic, reply) => drop(reply.send(self.subscribe(&topic))),
            Command::Unsubscribe(topic) => self.unsubscribe(&topic),
            Command::Publish { topic, data, reply } => drop(reply.send(self.publish(&topic, data))),
            Command::GossipWith { ticket, peers } => self.gossip_with(ticket, peers),
            Command::PassOn { id, forwarder } => self.pass_on(&id, forwarder),
            Command::PassOnTo { topics, data } => self.pass_on_to(topics, &data),
            Command::Shutdown(reply) => self.stopping = Some(reply),
        }
    }

    /// Does what is due.
    fn on_time(&mut self, now: Instant) {
        self.on_reaches_due(now);
        self.on_links_due(now);
        let outbound = &self.outbound;
        for id in self.peers.drained(now, |peer| outbound.in_flight(peer)) {
            self.swarm.close_connection(id);
        }
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_EVERY;
            let (outbound, links, protected) = (&self.outbound, &self.links, &self.protected);
            let idle = self.peers.idle(now, |peer| {
                protected.contains(peer)
                    || links.iter().any(|link| link.node == *peer)
                    || outbound.in_flight(peer) > 0
                    || outbound.wants(peer)
            });
            for peer in idle {
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }

    fn next(&self, now: Instant) -> Instant {
        let reaches = self.reaches.values().map(Reach::next);
        let links = self.links.iter().filter_map(Link::next);
        reaches.chain(links).chain(self.peers.next_drain(now)).fold(self.next_sweep, Instant::min)
    }

    /// Tells the owner. When it reads too slowly, the event waits here.
    pub(super) fn tell(&mut self, event: NetworkEvent) {
        let event = if self.backlog.is_empty() {
            match self.events.try_send(event) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(event)) => event,
            }
        } else {
            event
        };
        if self.backlog.len() >= EVENTS_BACKLOG_MAX {
            tracing::warn!("the owner of the network does not read its events: the oldest is dropped");
            self.backlog.pop_front();
        }
        self.backlog.push_back(event);
    }

    /// There is room for events that others cause at will, and still for those that
    /// must not be lost.
    pub(super) fn has_room(&self) -> bool {
        self.backlog.is_empty() && self.events.capacity() > EVENTS_RESERVED
    }

    /// Tells what others can cause at will: it may be lost when the owner is slow.
    pub(super) fn tell_if_room(&mut self, event: NetworkEvent) {
        if self.has_room() {
            self.tell(event);
        }
    }

    fn set_rendezvous(&mut self, nodes: Vec<(PeerId, Address)>, now: Instant) {
        let mut nodes: Vec<_> =
            nodes.into_iter().map(|(node, address)| (node.0, super::address::without_peer(&address.0))).collect();
        if nodes.len() > LINKS_MAX {
            tracing::warn!("only the first {LINKS_MAX} rendezvous nodes are kept connected");
            nodes.truncate(LINKS_MAX);
        }
        let (kept, gone) = std::mem::take(&mut self.links)
            .into_iter()
            .partition(|link| nodes.iter().any(|(node, address)| link.node == *node && link.address == *address));
        self.links = kept;
        for link in Vec::<Link>::into_iter(gone) {
            // Its reservation goes with the connection. (Removing the listener alone can
            // make libp2p's relay client panic when an answer is under way.)
            if !nodes.iter().any(|(node, _)| link.node == *node) {
                let _ = self.swarm.disconnect_peer_id(link.node);
            }
        }
        for (node, address) in nodes {
            if node == self.me || self.links.iter().any(|link| link.node == node) {
                continue;
            }
            let mut link = Link::new(node, address, now);
            if self.peers.has_direct(&node) {
                link.connected(now);
            }
            self.links.push(link);
        }
    }

    /// Closes what listens and what is connected, within a short grace.
    async fn stop(mut self) {
        for peer in self.swarm.connected_peers().copied().collect::<Vec<_>>() {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let ports: Vec<SocketAddr> = self.swarm.listeners().filter_map(udp_port).collect();
        for listener in std::mem::take(&mut self.listeners) {
            self.swarm.remove_listener(listener);
        }
        let goodbye = async {
            while self.swarm.network_info().connection_counters().num_connections() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        // Whoever does not take leave in time is cut off.
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, goodbye).await;
        let stopping = self.stopping.take();
        drop(self);
        wait_until_free(&ports).await;
        if let Some(stopped) = stopping {
            let _ = stopped.send(());
        }
    }
}

/// The socket of a QUIC listener.
fn udp_port(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Udp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// Waits until these sockets are closed: QUIC keeps them a little longer, to drain
/// what is still on its way to connections that have ended (RFC 9000, section 10.2).
async fn wait_until_free(ports: &[SocketAddr]) {
    let end = Instant::now() + PORT_GRACE;
    for port in ports {
        while std::net::UdpSocket::bind(port).is_err() && Instant::now() < end {
            tokio::time::sleep(PORT_POLL).await;
        }
    }
}

fn swarm(keys: &Keypair, config: &NetworkConfig, traffic: &Arc<Traffic>) -> Result<Swarm<Behaviour>, NetworkError> {
    let me = keys.public().to_peer_id();
    let setup = |error: String| NetworkError::Setup(error);
    let (transport, relay) =
        transport::with_relay(keys, config.transport, traffic).map_err(|error| setup(error.to_string()))?;
    let mdns = config.mdns.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), me)).and_then(|mdns| {
        mdns.inspect_err(|error| tracing::warn!(%error, "peers on the local network can't be looked for")).ok()
    });
    let upnp = config.upnp.then(upnp::tokio::Behaviour::default);
    let (memory, partition) = (config.process_memory_max_bytes, config.partition.clone());
    let behaviour =
        Behaviour::new(keys, relay, Toggle::from(mdns), Toggle::from(upnp), memory, partition).map_err(setup)?;
    let swarm_config = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(SWARM_IDLE)
        .with_notify_handler_buffer_size(HANDLER_BUFFER)
        .with_per_connection_event_buffer_size(CONNECTION_BUFFER)
        .with_dial_concurrency_factor(DIAL_CONCURRENCY);
    Ok(Swarm::new(transport, behaviour, me, swarm_config))
}
