//! What the server does about listeners, pushes, relayed peers and silent ones.

use libp2p::request_response::{self, Message, OutboundFailure};
use libp2p::{Multiaddr, relay};
use secure_chat_protocol::wire::rendezvous::{Push, PushResponse};

use crate::limits::STRANGER_IDLE;
use crate::server::actor::{Running, Server, full_address};

impl Running {
    pub(super) fn listening(&mut self, address: Multiaddr) {
        if self.server.advertise_listen {
            self.server.swarm.add_external_address(address.clone());
        }
        let text = full_address(&address, *self.server.swarm.local_peer_id());
        tracing::info!(address = %text, "listening");
        self.server.addresses.send_modify(|addresses| {
            if !addresses.contains(&text) {
                addresses.push(text);
            }
        });
    }

    pub(super) fn no_longer_listening(&mut self, address: &Multiaddr) {
        if self.server.advertise_listen {
            self.server.swarm.remove_external_address(address);
        }
        let text = full_address(address, *self.server.swarm.local_peer_id());
        self.server.addresses.send_modify(|addresses| addresses.retain(|known| *known != text));
    }

    pub(super) fn push_event(&mut self, event: request_response::Event<Push, PushResponse>) {
        match event {
            request_response::Event::Message { peer, message: Message::Response { .. }, .. } => {
                self.server.metrics.pushes.inc();
                self.server.desk.push_seen(peer);
            }
            request_response::Event::OutboundFailure { peer, error, .. } => {
                self.server.metrics.pushes_failed.inc();
                // Whoever does not speak the protocol wants no pushes.
                let unwanted = matches!(error, OutboundFailure::UnsupportedProtocols);
                if self.server.desk.push_failed(peer) && !unwanted {
                    self.disconnect(peer);
                }
            }
            _ => {}
        }
    }

    pub(super) fn push_news(&mut self) {
        while let Some((peer, push)) = self.server.desk.next_push() {
            self.server.swarm.behaviour_mut().pushes.send_request(&peer, push);
        }
    }

    pub(super) fn relay_event(&mut self, event: &relay::Event) {
        let now = self.now();
        let Server { desk, metrics, .. } = &mut self.server;
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id, renewed: false } => {
                metrics.relay_reservations.inc();
                desk.relayed(src_peer_id, true, now);
            }
            relay::Event::ReservationClosed { src_peer_id } | relay::Event::ReservationTimedOut { src_peer_id } => {
                metrics.relay_reservations.dec();
                desk.relayed(src_peer_id, false, now);
            }
            relay::Event::CircuitReqAccepted { src_peer_id, .. } => {
                metrics.relay_circuits.inc();
                desk.relayed(src_peer_id, true, now);
            }
            relay::Event::CircuitClosed { src_peer_id, .. } => {
                metrics.relay_circuits.dec();
                desk.relayed(src_peer_id, false, now);
            }
            relay::Event::ReservationReqDenied { .. } | relay::Event::CircuitReqDenied { .. } => {
                metrics.relay_denied.inc();
            }
            _ => {}
        }
    }

    pub(super) fn let_strangers_go(&mut self) {
        let idle_ms = u64::try_from(STRANGER_IDLE.as_millis()).unwrap_or(u64::MAX);
        let now = self.now();
        for peer in self.server.desk.silent_strangers(idle_ms, now) {
            self.disconnect(peer);
        }
    }
}
