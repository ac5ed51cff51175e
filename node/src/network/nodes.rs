//! Keeping the rendezvous nodes connected, and what the handles ask besides requests.

use std::collections::HashSet;
use std::time::Instant;

use libp2p::core::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{PeerId, gossipsub};

use super::address::{Address, Route, is_relayed};
use super::event::{ConnectionInfo, DialError, GossipId, LinkInfo, NetworkEvent, Status};
use super::handle::GossipError;
use super::limits::GOSSIP_TOPICS_MAX;
use super::links::Todo;
use super::task::Task;

impl Task {
    /// Dials lost rendezvous nodes and asks connected ones for relay reservations.
    pub(super) fn on_links_due(&mut self, now: Instant) {
        for link in &mut self.links {
            match link.due(now) {
                None => {}
                Some(Todo::Dial) => {
                    let options = DialOpts::peer_id(link.node)
                        .condition(PeerCondition::Always)
                        .addresses(vec![link.address.clone()])
                        .build();
                    let id = options.connection_id();
                    match self.swarm.dial(options) {
                        Ok(()) => link.dialling(id),
                        Err(error) => link.lost(error.to_string(), jitter(), now),
                    }
                }
                Some(Todo::Reserve) => {
                    let address = link.address.clone().with(Protocol::P2p(link.node)).with(Protocol::P2pCircuit);
                    match self.swarm.listen_on(address) {
                        Ok(listener) => link.asked(listener),
                        Err(error) => {
                            tracing::warn!(%error, "a relay can't be asked for a reservation");
                            link.ask_later(jitter(), now);
                        }
                    }
                }
            }
        }
    }

    pub(super) fn on_node_connected(&mut self, peer: PeerId, now: Instant) {
        let Some(link) = self.links.iter_mut().find(|link| link.node == peer) else { return };
        let news = link.state() != super::LinkState::Connected;
        link.connected(now);
        if news {
            self.tell(NetworkEvent::RendezvousConnected { node: super::PeerId(peer) });
        }
    }

    pub(super) fn on_node_lost(&mut self, peer: PeerId, reason: String, now: Instant) {
        let Some(link) = self.links.iter_mut().find(|link| link.node == peer) else { return };
        if link.state() == super::LinkState::Connected {
            link.lost(reason.clone(), jitter(), now);
            self.tell(NetworkEvent::RendezvousDisconnected { node: super::PeerId(peer), reason });
        }
    }

    pub(super) fn on_link_failed(&mut self, id: ConnectionId, error: &DialError, now: Instant) {
        let Some(link) = self.links.iter_mut().find(|link| link.is_dialling(id)) else { return };
        let (node, reason) = (super::PeerId(link.node), error.to_string());
        link.lost(reason.clone(), jitter(), now);
        self.tell(NetworkEvent::RendezvousDisconnected { node, reason });
    }

    pub(super) fn best_route(&self, peer: &PeerId) -> Option<Route> {
        if self.peers.has_direct(peer) {
            Some(Route::Direct)
        } else {
            self.peers.is_connected(peer).then_some(Route::Relayed)
        }
    }

    pub(super) fn status(&self) -> Status {
        let connections = self.peers.connections().map(|(peer, connection)| ConnectionInfo {
            peer: super::PeerId(*peer),
            address: Address(connection.address.clone()),
            transport: connection.transport,
            route: connection.route,
            rtt: connection.rtt,
            since: connection.since,
        });
        let rendezvous = self.links.iter().map(|link| LinkInfo {
            address: Address(link.address.clone()).with_peer(super::PeerId(link.node)),
            node: super::PeerId(link.node),
            state: link.state(),
            relays: link.relays(),
            rtt: self.peers.rtt(&link.node),
            error: link.error.clone(),
        });
        let relayed_via = self.links.iter().filter(|link| link.relays()).map(|link| super::PeerId(link.node));
        Status {
            peer_id: super::PeerId(self.me),
            listen: self.swarm.listeners().filter(|a| !is_relayed(a)).map(|a| self.own(a.clone())).collect(),
            external: self.swarm.external_addresses().map(|address| self.own(address.clone())).collect(),
            nat: self.nat,
            connections: connections.collect(),
            rendezvous: rendezvous.collect(),
            relayed_via: relayed_via.collect(),
        }
    }

    pub(super) fn subscribe(&mut self, topic: &str) -> Result<(), GossipError> {
        let gossip = &mut self.swarm.behaviour_mut().gossip.router;
        if gossip.topics().count() >= GOSSIP_TOPICS_MAX {
            return Err(GossipError::TooManyTopics);
        }
        match gossip.subscribe(&gossipsub::IdentTopic::new(topic)) {
            Ok(_) => Ok(()),
            Err(gossipsub::SubscriptionError::NotAllowed) => Err(GossipError::TooManyTopics),
            Err(gossipsub::SubscriptionError::PublishError(_)) => Err(GossipError::Busy),
        }
    }

    pub(super) fn gossip_with(&mut self, ticket: u64, peers: HashSet<super::PeerId>) {
        self.swarm.behaviour_mut().gossip.admit_only(ticket, peers.into_iter().map(|peer| peer.0).collect());
    }

    pub(super) fn unsubscribe(&mut self, topic: &str) {
        self.swarm.behaviour_mut().gossip.router.unsubscribe(&gossipsub::IdentTopic::new(topic));
    }

    pub(super) fn pass_on(&mut self, id: &GossipId, forwarder: super::PeerId) {
        let gossip = &mut self.swarm.behaviour_mut().gossip.router;
        gossip.report_message_validation_result(&id.0, &forwarder.0, gossipsub::MessageAcceptance::Accept);
    }

    pub(super) fn pass_on_to(&mut self, topics: Vec<String>, data: &[u8]) {
        for topic in topics {
            if let Err(error) = self.publish(&topic, data.to_vec()) {
                tracing::debug!(%error, "a gossip message was not passed on");
            }
        }
    }

    pub(super) fn publish(&mut self, topic: &str, data: Vec<u8>) -> Result<(), GossipError> {
        use gossipsub::PublishError;
        match self.swarm.behaviour_mut().gossip.router.publish(gossipsub::IdentTopic::new(topic), data) {
            Ok(_) => Ok(()),
            Err(PublishError::Duplicate) => Err(GossipError::Duplicate),
            Err(PublishError::MessageTooLarge) => Err(GossipError::TooLong),
            Err(PublishError::AllQueuesFull(_)) => Err(GossipError::Busy),
            Err(_) => Err(GossipError::NobodyListens),
        }
    }
}

fn jitter() -> f64 {
    rand::random_range(0.0..1.0)
}
