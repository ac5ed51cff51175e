//! The rendezvous nodes that are kept connected: when to dial which again, and
//! when to ask it for a relay reservation. A state machine: time and jitter come
//! from the caller.

use std::time::{Duration, Instant};

use libp2p::core::transport::ListenerId;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use super::event::LinkState;
use super::limits::{LINK_BACKOFF_MAX, LINK_BACKOFF_MIN, RESERVATION_BACKOFF_MAX, RESERVATION_BACKOFF_MIN};

/// One configured rendezvous node.
pub(super) struct Link {
    pub(super) node: PeerId,
    /// Where it is, without `/p2p/`.
    pub(super) address: Multiaddr,
    pub(super) error: Option<String>,
    dial: Dial,
    failures: u32,
    reservation: Reservation,
    reservation_failures: u32,
}

enum Dial {
    Wait(Instant),
    Dialling(ConnectionId),
    Connected,
}

enum Reservation {
    /// Not connected, or this node does not relay.
    None,
    AskAt(Instant),
    /// The relay client has a time limit of its own; then the listener closes.
    Asked(ListenerId),
    Confirmed(ListenerId),
}

/// What a link asks to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Todo {
    Dial,
    Reserve,
}

impl Link {
    pub(super) fn new(node: PeerId, address: Multiaddr, now: Instant) -> Self {
        Self {
            node,
            address,
            error: None,
            dial: Dial::Wait(now),
            failures: 0,
            reservation: Reservation::None,
            reservation_failures: 0,
        }
    }

    /// What is to be done now.
    pub(super) fn due(&self, now: Instant) -> Option<Todo> {
        match (&self.dial, &self.reservation) {
            (Dial::Wait(at), _) if *at <= now => Some(Todo::Dial),
            (Dial::Connected, Reservation::AskAt(at)) if *at <= now => Some(Todo::Reserve),
            _ => None,
        }
    }

    /// When something is to be done next.
    pub(super) fn next(&self) -> Option<Instant> {
        match (&self.dial, &self.reservation) {
            (Dial::Wait(at), _) | (Dial::Connected, Reservation::AskAt(at)) => Some(*at),
            _ => None,
        }
    }

    pub(super) fn dialling(&mut self, id: ConnectionId) {
        self.dial = Dial::Dialling(id);
    }

    pub(super) fn is_dialling(&self, id: ConnectionId) -> bool {
        matches!(self.dial, Dial::Dialling(dialling) if dialling == id)
    }

    /// The node is connected, whoever dialled.
    pub(super) fn connected(&mut self, now: Instant) {
        self.dial = Dial::Connected;
        self.failures = 0;
        self.error = None;
        if matches!(self.reservation, Reservation::None) {
            self.reservation = Reservation::AskAt(now);
        }
    }

    /// The dial failed, or the last connection ended. `jitter` is between 0 and 1.
    pub(super) fn lost(&mut self, reason: String, jitter: f64, now: Instant) {
        let was_connected = matches!(self.dial, Dial::Connected);
        self.error = Some(reason);
        self.dial = Dial::Wait(now + backoff(LINK_BACKOFF_MIN, LINK_BACKOFF_MAX, self.failures, jitter));
        self.failures = if was_connected { 1 } else { self.failures.saturating_add(1) };
        self.reservation = Reservation::None;
    }

    pub(super) fn asked(&mut self, listener: ListenerId) {
        self.reservation = Reservation::Asked(listener);
    }

    /// The node relays for us. True when that is news.
    pub(super) fn reserved(&mut self) -> bool {
        let Reservation::Asked(listener) = self.reservation else { return false };
        self.reservation = Reservation::Confirmed(listener);
        self.reservation_failures = 0;
        true
    }

    /// The reservation was refused or lost. True when this listener is this link's.
    pub(super) fn unreserved(&mut self, listener: ListenerId, jitter: f64, now: Instant) -> bool {
        match self.reservation {
            Reservation::Asked(mine) | Reservation::Confirmed(mine) if mine == listener => {
                self.ask_later(jitter, now);
                true
            }
            _ => false,
        }
    }

    /// Ask again after a while.
    pub(super) fn ask_later(&mut self, jitter: f64, now: Instant) {
        let wait = backoff(RESERVATION_BACKOFF_MIN, RESERVATION_BACKOFF_MAX, self.reservation_failures, jitter);
        self.reservation_failures = self.reservation_failures.saturating_add(1);
        self.reservation = match self.dial {
            Dial::Connected => Reservation::AskAt(now + wait),
            _ => Reservation::None,
        };
    }

    pub(super) fn relays(&self) -> bool {
        matches!(self.reservation, Reservation::Confirmed(_))
    }

    pub(super) fn state(&self) -> LinkState {
        match self.dial {
            Dial::Connected => LinkState::Connected,
            _ if self.failures == 0 || self.error.is_none() => LinkState::Connecting,
            _ => LinkState::Unreachable,
        }
    }
}

/// Doubles from `least` up to `most`, then takes between half and all of it.
fn backoff(least: Duration, most: Duration, failures: u32, jitter: f64) -> Duration {
    let full = least.saturating_mul(1_u32.checked_shl(failures.min(20)).unwrap_or(u32::MAX)).min(most);
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(now: Instant) -> Link {
        Link::new(PeerId::random(), "/memory/1".parse().unwrap(), now)
    }

    #[test]
    fn a_lost_node_is_dialled_ever_more_seldom_until_it_answers() {
        let mut now = Instant::now();
        let mut link = link(now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert_eq!(link.due(now), Some(Todo::Dial));
            link.dialling(ConnectionId::new_unchecked(1));
            assert_eq!(link.due(now), None);
            link.lost("refused".to_owned(), 1.0, now);
            let next = link.next().unwrap();
            waits.push(next - now);
            now = next;
        }
        assert_eq!(waits[0], LINK_BACKOFF_MIN);
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(*waits.last().unwrap(), LINK_BACKOFF_MAX);
        assert_eq!(link.state(), LinkState::Unreachable);
        link.connected(now);
        link.lost("ended".to_owned(), 0.0, now);
        assert!(link.next().unwrap() - now <= LINK_BACKOFF_MAX / 2, "success resets the wait");
        assert!(link.next().unwrap() - now <= LINK_BACKOFF_MIN);
    }

    #[test]
    fn a_lost_reservation_is_asked_for_again() {
        let now = Instant::now();
        let mut link = link(now);
        link.connected(now);
        assert_eq!(link.due(now), Some(Todo::Reserve));
        let listener = ListenerId::next();
        link.asked(listener);
        assert!(link.reserved() && !link.reserved() && link.relays());
        assert!(!link.unreserved(ListenerId::next(), 0.5, now));
        assert!(link.unreserved(listener, 0.5, now));
        assert!(!link.relays());
        assert_eq!(link.due(now + RESERVATION_BACKOFF_MIN), Some(Todo::Reserve));
    }
}
