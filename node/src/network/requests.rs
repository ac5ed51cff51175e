//! Requests that leave: reaching the peer, sending what waits, and their answers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::core::multiaddr::Protocol;
use libp2p::request_response::{OutboundFailure, OutboundRequestId};
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use secure_chat_protocol::wire::peer::PeerResponse;
use secure_chat_protocol::wire::rendezvous;

use super::address::{Address, Route, is_relayed};
use super::dial_error::{self, Cause};
use super::event::{DialError, RequestError};
use super::frame::Read;
use super::limits::{ADDRESSES_PER_PEER_MAX, DIRECT_ROUND_WAIT_MAX, DIRECT_ROUND_WAIT_MIN};
use super::outbound::{Outgoing, Reply};
use super::reach::{Failed, Reach, Way};
use super::task::Task;

/// Requests that were sent and have no answer yet.
#[derive(Default)]
pub(super) struct Flights {
    peer: HashMap<OutboundRequestId, Reply<PeerResponse>>,
    node: HashMap<OutboundRequestId, Reply<rendezvous::Response>>,
}

impl Task {
    /// A handle asks something of a peer.
    pub(super) fn ask(&mut self, peer: PeerId, addresses: Vec<Address>, outgoing: Outgoing, now: Instant) {
        if peer == self.me {
            return outgoing.fail(RequestError::DialFailed(DialError::Ourselves));
        }
        let (relayed, direct): (Vec<_>, Vec<_>) = addresses
            .into_iter()
            .filter(|address| address.peer_id().is_none_or(|named| named.0 == peer))
            .take(ADDRESSES_PER_PEER_MAX)
            .map(|address| address.0)
            .partition(is_relayed);
        if let Some(reach) = self.reaches.get_mut(&peer) {
            reach.learn(direct.iter().map(super::address::without_peer), now);
        }
        self.book.add(peer, direct, now);
        if let Err(outgoing) = self.outbound.push(peer, outgoing) {
            return outgoing.fail(RequestError::Busy);
        }
        if self.peers.is_connected(&peer) {
            self.send_waiting(peer);
        } else {
            self.reach(peer, relayed, now);
        }
    }

    /// Sends what waits for this peer, as far as its streams carry it.
    pub(super) fn send_waiting(&mut self, peer: PeerId) {
        if self.peers.is_draining(&peer) {
            return;
        }
        while self.peers.is_connected(&peer) {
            let Some(outgoing) = self.outbound.next(&peer) else { return };
            self.peers.touch(&peer, Instant::now());
            let behaviour = self.swarm.behaviour_mut();
            match outgoing {
                Outgoing::Peer { request, reply } => {
                    let id = behaviour.peer.send_request(&peer, Read::Whole(*request, 0));
                    self.flights.peer.insert(id, reply);
                }
                Outgoing::Node { request, reply } => {
                    let id = behaviour.node.send_request(&peer, Read::Whole(*request, 0));
                    self.flights.node.insert(id, reply);
                }
            }
        }
    }

    /// Starts to reach a peer, unless that is under way.
    pub(super) fn reach(&mut self, peer: PeerId, mut relayed: Vec<Multiaddr>, now: Instant) {
        if self.reaches.contains_key(&peer) {
            return;
        }
        let direct = self.book.addresses(&peer).to_vec();
        // A rendezvous node is not reached through another one.
        if !self.links.iter().any(|link| link.node == peer) {
            let via = self.links.iter().filter(|link| self.peers.has_direct(&link.node));
            relayed.extend(via.map(|link| through(&link.address, link.node, peer)));
        }
        let mut unique = Vec::new();
        for address in relayed {
            let address = named(address, peer);
            if !unique.contains(&address) {
                unique.push(address);
            }
        }
        let reach = Reach::new(direct, unique, now);
        if reach.is_hopeless() {
            return self.fail_waiting(peer, &RequestError::NoAddress);
        }
        self.reaches.insert(peer, reach);
        self.on_reaches_due(now);
    }

    /// Dials what is due, and gives up what took too long.
    pub(super) fn on_reaches_due(&mut self, now: Instant) {
        let ripe: Vec<PeerId> =
            self.reaches.iter().filter(|(_, reach)| reach.next() <= now).map(|(peer, _)| *peer).collect();
        for peer in ripe {
            let Some(reach) = self.reaches.get_mut(&peer) else { continue };
            if reach.is_over(now) {
                self.give_up(peer, DialError::Timeout);
                continue;
            }
            for (way, addresses) in reach.due(now) {
                self.dial_leg(peer, way, addresses, now);
            }
        }
    }

    fn dial_leg(&mut self, peer: PeerId, way: Way, addresses: Vec<Multiaddr>, now: Instant) {
        let options = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(addresses).build();
        let id = options.connection_id();
        if let Some(reach) = self.reaches.get_mut(&peer) {
            reach.dialling(way, id);
        }
        if let Err(error) = self.swarm.dial(options) {
            self.on_reach_failed(peer, id, &error, now);
        }
    }

    /// A dial has failed; it may have been one of an attempt to reach a peer.
    pub(super) fn on_reach_failed(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        error: &libp2p::swarm::DialError,
        now: Instant,
    ) {
        let Some(reach) = self.reaches.get_mut(&peer) else { return };
        // libp2p takes the first address that answers, whoever does: a stranger at an old
        // address must not hide the peer at its new one.
        let stranger = match error {
            libp2p::swarm::DialError::WrongPeerId { address, .. } => {
                self.book.remove(peer, address);
                reach.forget(&super::address::without_peer(address))
            }
            _ => false,
        };
        let Cause { error, passing } = dial_error::cause(error);
        let wait = rand::random_range(DIRECT_ROUND_WAIT_MIN..=DIRECT_ROUND_WAIT_MAX);
        match reach.failed(id, passing || stranger, wait, now) {
            Failed::Foreign => {}
            Failed::GoesOn => reach.note(error),
            Failed::Hopeless => {
                reach.note(error);
                let error = reach.error().unwrap_or(DialError::NoAddress);
                self.give_up(peer, error);
            }
        }
    }

    fn give_up(&mut self, peer: PeerId, error: DialError) {
        self.reaches.remove(&peer);
        if !self.peers.is_connected(&peer) {
            self.fail_waiting(peer, &RequestError::DialFailed(error));
        }
    }

    fn fail_waiting(&mut self, peer: PeerId, error: &RequestError) {
        for outgoing in self.outbound.take(&peer) {
            outgoing.fail(error.clone());
        }
    }

    pub(super) fn on_peer_answer(
        &mut self,
        peer: PeerId,
        over: ConnectionId,
        id: OutboundRequestId,
        answer: PeerResponse,
    ) {
        if let Some(reply) = self.flights.peer.remove(&id) {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(Ok(answer));
        }
        self.on_flight_done(peer, Some(over));
    }

    pub(super) fn on_node_answer(
        &mut self,
        peer: PeerId,
        over: ConnectionId,
        id: OutboundRequestId,
        answer: rendezvous::Response,
    ) {
        if let Some(reply) = self.flights.node.remove(&id) {
            let _ = reply.send(Ok(answer));
        }
        self.on_flight_done(peer, Some(over));
    }

    pub(super) fn on_peer_failure(
        &mut self,
        peer: PeerId,
        over: ConnectionId,
        id: OutboundRequestId,
        failure: &OutboundFailure,
    ) {
        if let Some(reply) = self.flights.peer.remove(&id) {
            let _ = reply.send(Err(request_error(failure)));
        }
        self.on_flight_failed(peer, over, failure);
    }

    pub(super) fn on_node_failure(
        &mut self,
        peer: PeerId,
        over: ConnectionId,
        id: OutboundRequestId,
        failure: &OutboundFailure,
    ) {
        if let Some(reply) = self.flights.node.remove(&id) {
            let _ = reply.send(Err(request_error(failure)));
        }
        self.on_flight_failed(peer, over, failure);
    }

    fn on_flight_failed(&mut self, peer: PeerId, over: ConnectionId, failure: &OutboundFailure) {
        self.on_flight_done(peer, None);
        if matches!(failure, OutboundFailure::Timeout) && self.peers.silent(&peer, over) {
            self.swarm.close_connection(over);
        }
    }

    fn on_flight_done(&mut self, peer: PeerId, over: Option<ConnectionId>) {
        self.outbound.done(&peer);
        if let Some(over) = over {
            self.peers.alive(&peer, over);
        }
        self.send_waiting(peer);
    }

    /// Dials an address that a person named.
    pub(super) fn dial(
        &mut self,
        address: &Address,
        reply: tokio::sync::oneshot::Sender<Result<super::PeerId, DialError>>,
    ) {
        let peer = address.peer_id();
        if let Some(peer) = peer
            && self.peers.is_connected(&peer.0)
            && (address.is_relayed() || self.best_route(&peer.0) == Some(Route::Direct))
        {
            let _ = reply.send(Ok(peer));
            return;
        }
        let options = match peer {
            Some(peer) => {
                DialOpts::peer_id(peer.0).condition(PeerCondition::Always).addresses(vec![address.0.clone()]).build()
            }
            None => DialOpts::unknown_peer_id().address(address.0.clone()).build(),
        };
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials.insert(id, reply)),
            Err(error) => drop(reply.send(Err(dial_error::cause(&error).error))),
        }
    }
}

/// `…/p2p/RELAY/p2p-circuit/p2p/PEER`.
fn through(relay_address: &Multiaddr, relay: PeerId, peer: PeerId) -> Multiaddr {
    relay_address.clone().with(Protocol::P2p(relay)).with(Protocol::P2pCircuit).with(Protocol::P2p(peer))
}

/// The circuit's address with the peer at its end.
fn named(address: Multiaddr, peer: PeerId) -> Multiaddr {
    match address.iter().last() {
        Some(Protocol::P2pCircuit) => address.with(Protocol::P2p(peer)),
        _ => address,
    }
}

pub(super) fn request_error(failure: &OutboundFailure) -> RequestError {
    match failure {
        OutboundFailure::DialFailure => {
            RequestError::DialFailed(DialError::Failed("the connection has just ended".to_owned()))
        }
        OutboundFailure::Timeout => RequestError::Timeout,
        OutboundFailure::ConnectionClosed => RequestError::Closed,
        OutboundFailure::UnsupportedProtocols => RequestError::Unsupported,
        OutboundFailure::Io(error) => match error.kind() {
            std::io::ErrorKind::InvalidInput => RequestError::TooLarge,
            std::io::ErrorKind::InvalidData => RequestError::Malformed,
            _ => RequestError::Closed,
        },
    }
}

const _: () = assert!(Duration::as_millis(&DIRECT_ROUND_WAIT_MIN) < Duration::as_millis(&DIRECT_ROUND_WAIT_MAX));
