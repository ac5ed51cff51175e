//! What the swarm reports, sorted to whom it concerns.

use std::net::IpAddr;
use std::time::{Instant, SystemTime};

use libp2p::core::ConnectedPoint;
use libp2p::core::multiaddr::Protocol;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, autonat, gossipsub, mdns, ping, relay, request_response};
use request_response::{Event as Request, Message};
use secure_chat_protocol::wire::peer::{PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous;

use super::Address;
use super::address::{is_relayed, without_peer};
use super::behaviour::BehaviourEvent;
use super::dial_error;
use super::event::{Nat, NetworkEvent};
use super::frame::Read;
use super::peers::Connection;
use super::task::Task;

impl Task {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = Instant::now();
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event, now),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_opened(peer_id, connection_id, &endpoint, now);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                // Also with a cause: what we close may break while it is closed.
                self.cuts.cut(super::PeerId(peer_id));
                let reason = cause.map_or_else(|| "the connection was closed".to_owned(), |cause| cause.to_string());
                self.on_closed(peer_id, connection_id, reason, now);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, connection_id, error } => {
                self.on_dial_failed(peer_id, connection_id, &error, now);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(%error, "an inbound connection was not established");
                self.tell_if_room(NetworkEvent::ConnectionRefused { from: ip_of(&send_back_addr) });
            }
            SwarmEvent::NewListenAddr { address, .. } if !is_relayed(&address) => {
                self.tell(NetworkEvent::Listening(self.own(address)));
            }
            SwarmEvent::ExpiredListenAddr { address, .. } if !is_relayed(&address) => {
                self.tell(NetworkEvent::ListenerClosed(self.own(address)));
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.on_listener_closed(listener_id, addresses, reason, now);
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener has a problem"),
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => self.look_at_nat(None),
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent, now: Instant) {
        match event {
            BehaviourEvent::Peer(event) => self.on_peer_event(event),
            BehaviourEvent::Node(event) => self.on_node_event(event),
            BehaviourEvent::Push(event) => self.on_push_event(event),
            BehaviourEvent::Ping(event) => self.on_ping(event),
            BehaviourEvent::Relay(relay::client::Event::ReservationReqAccepted { relay_peer_id, .. }) => {
                let link = self.links.iter_mut().find(|link| link.node == relay_peer_id);
                if link.is_some_and(super::links::Link::reserved) {
                    self.tell(NetworkEvent::Relayed { node: super::PeerId(relay_peer_id) });
                }
            }
            BehaviourEvent::Dcutr(event) => tracing::debug!(ok = event.result.is_ok(), "hole punching has ended"),
            BehaviourEvent::Autonat(autonat::v2::client::Event { result, .. }) => {
                self.look_at_nat(Some(result.is_ok()));
            }
            BehaviourEvent::Upnp(event) => tracing::debug!(?event, "the router has answered"),
            BehaviourEvent::Mdns(event) => self.on_mdns(event, now),
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Identify(_) | BehaviourEvent::Relay(_) | BehaviourEvent::Streams(()) => {}
        }
    }

    fn on_peer_event(&mut self, event: Request<Read<PeerRequest>, PeerResponse>) {
        match event {
            Request::Message { peer, message: Message::Request { request_id, request, channel }, .. } => {
                self.on_peer_request(peer, request_id, request, channel);
            }
            Request::Message { peer, connection_id, message: Message::Response { request_id, response } } => {
                self.on_peer_answer(peer, connection_id, request_id, response);
            }
            Request::OutboundFailure { peer, connection_id, request_id, error } => {
                self.on_peer_failure(peer, connection_id, request_id, &error);
            }
            Request::InboundFailure { request_id, .. } | Request::ResponseSent { request_id, .. } => {
                self.on_inbound_over(request_id);
            }
        }
    }

    fn on_node_event(&mut self, event: Request<Read<rendezvous::Request>, rendezvous::Response>) {
        match event {
            Request::Message { peer, connection_id, message: Message::Response { request_id, response } } => {
                self.on_node_answer(peer, connection_id, request_id, response);
            }
            Request::OutboundFailure { peer, connection_id, request_id, error } => {
                self.on_node_failure(peer, connection_id, request_id, &error);
            }
            // We don't speak the node's side of this protocol: there are no requests.
            Request::Message { .. } | Request::InboundFailure { .. } | Request::ResponseSent { .. } => {}
        }
    }

    fn on_push_event(&mut self, event: Request<Read<rendezvous::Push>, rendezvous::PushResponse>) {
        if let Request::Message { peer, message: Message::Request { request, channel, .. }, .. } = event {
            self.on_push(peer, request, channel);
        }
    }

    fn on_ping(&mut self, ping::Event { peer, connection, result }: ping::Event) {
        match result {
            Ok(rtt) => self.peers.round_trip(&peer, connection, rtt),
            Err(ping::Failure::Unsupported) => {}
            Err(_) => {
                if self.peers.silent(&peer, connection) {
                    self.swarm.close_connection(connection);
                }
            }
        }
    }

    fn on_opened(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint, now: Instant) {
        if self.kept_out.get(&peer).is_some_and(|until| *until > now) {
            self.swarm.close_connection(id);
        }
        let address = remote_address(endpoint, peer);
        let relay = is_relayed(&address).then(|| relay_of(&address)).flatten();
        let connection = Connection::new(id, address.clone(), relay, SystemTime::now());
        let (route, transport) = (connection.route, connection.transport);
        let change = self.peers.opened(peer, connection, now);
        self.reaches.remove(&peer);
        if let ConnectedPoint::Dialer { address, .. } = endpoint {
            self.book.worked(peer, address, now);
        }
        if let Some(reply) = self.dials.remove(&id) {
            let _ = reply.send(Ok(super::PeerId(peer)));
        }
        let named = super::PeerId(peer);
        self.tell(NetworkEvent::Connected {
            peer: named,
            route,
            transport,
            address: Address(address),
            first: change.sole,
        });
        if let Some(route) = change.route {
            self.tell(NetworkEvent::RouteChanged { peer: named, route });
        }
        if route == super::Route::Direct {
            self.on_node_connected(peer, now);
        }
        self.send_waiting(peer);
    }

    fn on_closed(&mut self, peer: PeerId, id: ConnectionId, reason: String, now: Instant) {
        let change = self.peers.closed(peer, id);
        let named = super::PeerId(peer);
        self.tell(NetworkEvent::Disconnected { peer: named, last: change.sole });
        if let Some(route) = change.route {
            self.tell(NetworkEvent::RouteChanged { peer: named, route });
        }
        if !self.peers.has_direct(&peer) {
            self.on_node_lost(peer, reason, now);
        }
        if self.peers.is_connected(&peer) {
            self.send_waiting(peer);
        } else if self.outbound.wants(&peer) {
            self.reach(peer, Vec::new(), now);
        }
    }

    fn on_dial_failed(
        &mut self,
        peer: Option<PeerId>,
        id: ConnectionId,
        error: &libp2p::swarm::DialError,
        now: Instant,
    ) {
        tracing::debug!(%error, "a dial has failed");
        if let Some(reply) = self.dials.remove(&id) {
            let _ = reply.send(Err(dial_error::cause(error).error));
        }
        if let Some(peer) = peer {
            self.on_reach_failed(peer, id, error, now);
        }
        self.on_link_failed(id, &dial_error::cause(error).error, now);
    }

    fn on_listener_closed(
        &mut self,
        id: ListenerId,
        addresses: Vec<Multiaddr>,
        reason: Result<(), std::io::Error>,
        now: Instant,
    ) {
        if let Some(link) = self
            .links
            .iter_mut()
            .find_map(|link| link.unreserved(id, rand::random_range(0.0..1.0), now).then_some(link.node))
        {
            tracing::debug!(node = %link, ?reason, "a relay reservation was refused or has ended");
            return;
        }
        self.listeners.retain(|listener| *listener != id);
        if let Err(error) = reason {
            tracing::warn!(%error, "a listener has closed");
        }
        for address in addresses.into_iter().filter(|address| !is_relayed(address)) {
            self.tell(NetworkEvent::ListenerClosed(self.own(address)));
        }
    }

    fn on_mdns(&mut self, event: mdns::Event, now: Instant) {
        match event {
            mdns::Event::Discovered(found) => {
                let mut peers: Vec<(PeerId, Vec<Address>)> = Vec::new();
                for (peer, address) in found {
                    if peer == self.me {
                        continue;
                    }
                    let address = Address(without_peer(&address).with(Protocol::P2p(peer)));
                    match peers.iter_mut().find(|(known, _)| *known == peer) {
                        Some((_, addresses)) => addresses.push(address),
                        None => peers.push((peer, vec![address])),
                    }
                }
                for (peer, mut addresses) in peers {
                    addresses.truncate(super::limits::ADDRESSES_PER_PEER_MAX);
                    self.book.add(peer, addresses.iter().map(|address| address.0.clone()), now);
                    self.tell_if_room(NetworkEvent::Discovered { peer: super::PeerId(peer), addresses });
                }
            }
            mdns::Event::Expired(gone) => {
                let mut told = Vec::new();
                for (peer, address) in gone {
                    self.book.remove(peer, &address);
                    if !told.contains(&peer) {
                        told.push(peer);
                        self.tell(NetworkEvent::Expired { peer: super::PeerId(peer) });
                    }
                }
            }
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let forwarder = super::PeerId(propagation_source);
                let topic = message.topic.into_string();
                let id = super::event::GossipId(message_id);
                self.tell_if_room(NetworkEvent::Gossip { topic, data: message.data, forwarder, id });
            }
            gossipsub::Event::Subscribed { peer_id, topic, .. } => {
                let topic = topic.into_string();
                self.tell_if_room(NetworkEvent::GossipSubscribed { peer: super::PeerId(peer_id), topic });
            }
            gossipsub::Event::SlowPeer { .. } => tracing::debug!("gossip to a slow peer was dropped"),
            gossipsub::Event::Unsubscribed { .. } | gossipsub::Event::GossipsubNotSupported { .. } => {}
        }
    }

    /// Public once any address was confirmed from outside; private once one was denied.
    fn look_at_nat(&mut self, test: Option<bool>) {
        let confirmed = self.swarm.external_addresses().any(|address| !is_relayed(address));
        let nat = match (confirmed, test) {
            (true, _) => Nat::Public,
            (false, Some(false)) => Nat::Private,
            (false, _) if self.nat == Nat::Public => Nat::Unknown,
            (false, _) => self.nat,
        };
        if nat != self.nat {
            self.nat = nat;
            self.tell(NetworkEvent::NatChanged(nat));
        }
    }

    /// An address of ours, with our peer id.
    pub(super) fn own(&self, address: Multiaddr) -> Address {
        Address(address).with_peer(super::PeerId(self.me))
    }
}

/// The other end of a connection; with the relay, where one carries it.
fn remote_address(endpoint: &ConnectedPoint, peer: PeerId) -> Multiaddr {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => address.clone(),
        ConnectedPoint::Listener { local_addr, .. } if is_relayed(local_addr) => {
            let circuit: Multiaddr =
                local_addr.iter().take_while(|part| !matches!(part, Protocol::P2pCircuit)).collect();
            circuit.with(Protocol::P2pCircuit).with(Protocol::P2p(peer))
        }
        ConnectedPoint::Listener { send_back_addr, .. } => send_back_addr.clone(),
    }
}

fn relay_of(address: &Multiaddr) -> Option<PeerId> {
    address.iter().find_map(|part| if let Protocol::P2p(peer) = part { Some(peer) } else { None })
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    })
}
