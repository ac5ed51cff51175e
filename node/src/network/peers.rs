//! The open connections, by peer: routes, round trips, idleness, and which relayed
//! ones are to give way to direct ones.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use super::address::{Route, Transport};
use super::limits::{
    DRAIN_MAX, DRAIN_QUIET, FAILURES_MAX, GARBAGE_WINDOW, IDLE_UNUSED, IDLE_USED, INBOUND_PER_PEER_MAX,
    INBOUND_PER_PEER_MAX_BYTES,
};

/// One connection.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) address: Multiaddr,
    pub(super) transport: Transport,
    pub(super) route: Route,
    /// The relay that carries it.
    pub(super) relay: Option<PeerId>,
    pub(super) rtt: Option<Duration>,
    pub(super) since: SystemTime,
    failures: u8,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, address: Multiaddr, relay: Option<PeerId>, since: SystemTime) -> Self {
        let transport = super::address::transport_of(&address);
        let route = super::address::route_of(&address);
        Self { id, address, transport, route, relay, rtt: None, since, failures: 0 }
    }
}

/// A connected peer.
struct Peer {
    connections: Vec<Connection>,
    last_use: Instant,
    used: bool,
    /// Requests of it that wait for our answer.
    inbound: usize,
    /// The bytes of those.
    inbound_bytes: usize,
    /// Since when a relayed connection is to give way.
    draining: Option<Instant>,
    garbage_since: Instant,
    garbage: u32,
}

impl Peer {
    fn route(&self) -> Option<Route> {
        let direct = self.connections.iter().any(|connection| connection.route == Route::Direct);
        match (direct, self.connections.is_empty()) {
            (true, _) => Some(Route::Direct),
            (false, false) => Some(Route::Relayed),
            (false, true) => None,
        }
    }

    fn has_relayed(&self) -> bool {
        self.connections.iter().any(|connection| connection.route == Route::Relayed)
    }
}

/// What a connection that was opened or closed changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The peer's only connection was opened, or its last one closed.
    pub(super) sole: bool,
    /// The best route to a peer that stays connected is another one now.
    pub(super) route: Option<Route>,
}

/// All connected peers.
#[derive(Default)]
pub(super) struct Peers {
    peers: HashMap<PeerId, Peer>,
}

impl Peers {
    pub(super) fn opened(&mut self, peer: PeerId, connection: Connection, now: Instant) -> Change {
        let entry = self.peers.entry(peer).or_insert_with(|| Peer {
            connections: Vec::new(),
            last_use: now,
            used: false,
            inbound: 0,
            inbound_bytes: 0,
            draining: None,
            garbage_since: now,
            garbage: 0,
        });
        let before = entry.route();
        entry.connections.push(connection);
        let after = entry.route();
        if after == Some(Route::Direct) && entry.has_relayed() && entry.draining.is_none() {
            entry.draining = Some(now);
        }
        Change { sole: before.is_none(), route: after.filter(|_| before.is_some() && before != after) }
    }

    pub(super) fn closed(&mut self, peer: PeerId, id: ConnectionId) -> Change {
        let Some(entry) = self.peers.get_mut(&peer) else { return Change { sole: false, route: None } };
        let before = entry.route();
        entry.connections.retain(|connection| connection.id != id);
        let after = entry.route();
        if after != Some(Route::Direct) || !entry.has_relayed() {
            entry.draining = None;
        }
        if after.is_none() {
            self.peers.remove(&peer);
        }
        Change { sole: after.is_none(), route: after.filter(|_| before != after) }
    }

    /// A request came or went.
    pub(super) fn touch(&mut self, peer: &PeerId, now: Instant) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.last_use = now;
            entry.used = true;
        }
    }

    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(super) fn has_direct(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).and_then(Peer::route) == Some(Route::Direct)
    }

    /// New requests wait while a relayed connection gives way to a direct one.
    pub(super) fn is_draining(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|entry| entry.draining.is_some())
    }

    /// Whether one more request of so many bytes may wait for an answer.
    pub(super) fn takes_inbound(&self, peer: &PeerId, bytes: usize) -> bool {
        self.peers.get(peer).is_some_and(|entry| {
            entry.inbound < INBOUND_PER_PEER_MAX
                && entry.inbound_bytes.saturating_add(bytes) <= INBOUND_PER_PEER_MAX_BYTES
        })
    }

    pub(super) fn inbound_opened(&mut self, peer: &PeerId, bytes: usize) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.inbound = entry.inbound.saturating_add(1);
            entry.inbound_bytes = entry.inbound_bytes.saturating_add(bytes);
        }
    }

    pub(super) fn inbound_closed(&mut self, peer: &PeerId, bytes: usize) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.inbound = entry.inbound.saturating_sub(1);
            entry.inbound_bytes = entry.inbound_bytes.saturating_sub(bytes);
        }
    }

    /// The relayed connections that can be closed now, because a direct one stands
    /// beside them and nothing is under way (`in_flight` says what of ours is).
    pub(super) fn drained(&self, now: Instant, in_flight: impl Fn(&PeerId) -> usize) -> Vec<ConnectionId> {
        let mut drained = Vec::new();
        for (peer, entry) in &self.peers {
            let Some(since) = entry.draining else { continue };
            let quiet = entry.inbound == 0 && in_flight(peer) == 0 && now >= since + DRAIN_QUIET;
            if quiet || now >= since + DRAIN_MAX {
                let relayed = entry.connections.iter().filter(|connection| connection.route == Route::Relayed);
                drained.extend(relayed.map(|connection| connection.id));
            }
        }
        drained
    }

    /// When [`Self::drained`] is to be asked next.
    pub(super) fn next_drain(&self, now: Instant) -> Option<Instant> {
        let first = self.peers.values().filter_map(|entry| entry.draining).min()?;
        Some((first + DRAIN_QUIET).max(now + DRAIN_QUIET / 4))
    }

    /// A round trip over this connection took this long.
    pub(super) fn round_trip(&mut self, peer: &PeerId, id: ConnectionId, rtt: Duration) {
        if let Some(connection) = self.connection_mut(peer, id) {
            connection.rtt = Some(rtt);
            connection.failures = 0;
        }
    }

    /// An answer came over this connection.
    pub(super) fn alive(&mut self, peer: &PeerId, id: ConnectionId) {
        if let Some(connection) = self.connection_mut(peer, id) {
            connection.failures = 0;
        }
    }

    /// A ping or a request over this connection timed out. True when it is to be given up.
    pub(super) fn silent(&mut self, peer: &PeerId, id: ConnectionId) -> bool {
        let Some(connection) = self.connection_mut(peer, id) else { return false };
        connection.failures = connection.failures.saturating_add(1);
        connection.failures >= FAILURES_MAX
    }

    /// Counts garbage of this peer: how much there was within the window.
    pub(super) fn garbage(&mut self, peer: &PeerId, now: Instant) -> u32 {
        let Some(entry) = self.peers.get_mut(peer) else { return 1 };
        if now >= entry.garbage_since + GARBAGE_WINDOW {
            entry.garbage_since = now;
            entry.garbage = 0;
        }
        entry.garbage = entry.garbage.saturating_add(1);
        entry.garbage
    }

    /// Peers whose connections nobody has used for long, except those that `keep` names
    /// and the relays of connections that stay.
    pub(super) fn idle(&self, now: Instant, keep: impl Fn(&PeerId) -> bool) -> Vec<PeerId> {
        let relays: HashSet<PeerId> = self.connections().filter_map(|(_, connection)| connection.relay).collect();
        let idle = self.peers.iter().filter(|(peer, entry)| {
            let allowed = if entry.used { IDLE_USED } else { IDLE_UNUSED };
            entry.inbound == 0 && now >= entry.last_use + allowed && !relays.contains(peer) && !keep(peer)
        });
        idle.map(|(peer, _)| *peer).collect()
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = (&PeerId, &Connection)> {
        self.peers.iter().flat_map(|(peer, entry)| entry.connections.iter().map(move |connection| (peer, connection)))
    }

    /// The last round trip to this peer over any connection.
    pub(super) fn rtt(&self, peer: &PeerId) -> Option<Duration> {
        self.peers.get(peer)?.connections.iter().filter_map(|connection| connection.rtt).min()
    }

    fn connection_mut(&mut self, peer: &PeerId, id: ConnectionId) -> Option<&mut Connection> {
        self.peers.get_mut(peer)?.connections.iter_mut().find(|connection| connection.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(id: usize) -> Connection {
        let address = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        Connection::new(ConnectionId::new_unchecked(id), address, None, SystemTime::UNIX_EPOCH)
    }

    fn relayed(id: usize, relay: PeerId) -> Connection {
        let address = format!("/ip4/127.0.0.1/tcp/1/p2p/{relay}/p2p-circuit").parse().unwrap();
        Connection::new(ConnectionId::new_unchecked(id), address, Some(relay), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn a_relayed_connection_gives_way_once_nothing_is_under_way() {
        let (mut peers, peer, now) = (Peers::default(), PeerId::random(), Instant::now());
        assert_eq!(peers.opened(peer, relayed(1, PeerId::random()), now), Change { sole: true, route: None });
        assert!(!peers.is_draining(&peer));
        assert_eq!(peers.opened(peer, direct(2), now), Change { sole: false, route: Some(Route::Direct) });
        assert!(peers.is_draining(&peer));
        let quiet = now + DRAIN_QUIET;
        assert!(peers.drained(quiet, |_| 1).is_empty(), "a request of ours is under way");
        peers.inbound_opened(&peer, 10);
        assert!(peers.drained(quiet, |_| 0).is_empty(), "a request of theirs is under way");
        peers.inbound_closed(&peer, 10);
        assert_eq!(peers.drained(quiet, |_| 0), [ConnectionId::new_unchecked(1)]);
        assert_eq!(peers.drained(now + DRAIN_MAX, |_| 1), [ConnectionId::new_unchecked(1)]);
        assert_eq!(peers.closed(peer, ConnectionId::new_unchecked(1)), Change { sole: false, route: None });
        assert!(!peers.is_draining(&peer));
        assert_eq!(peers.closed(peer, ConnectionId::new_unchecked(2)), Change { sole: true, route: None });
    }

    #[test]
    fn losing_the_direct_connection_changes_the_route_back() {
        let (mut peers, peer, now) = (Peers::default(), PeerId::random(), Instant::now());
        peers.opened(peer, direct(1), now);
        peers.opened(peer, relayed(2, PeerId::random()), now);
        let change = peers.closed(peer, ConnectionId::new_unchecked(1));
        assert_eq!(change, Change { sole: false, route: Some(Route::Relayed) });
        assert!(!peers.is_draining(&peer));
    }

    #[test]
    fn idle_connections_are_found_but_not_relays_or_those_kept() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let (unused, used, relay, kept, behind) =
            (PeerId::random(), PeerId::random(), PeerId::random(), PeerId::random(), PeerId::random());
        for (id, peer) in [unused, used, relay, kept].into_iter().enumerate() {
            peers.opened(peer, direct(id), now);
        }
        peers.opened(behind, relayed(9, relay), now);
        peers.touch(&used, now);
        peers.touch(&behind, now);
        assert_eq!(peers.idle(now + IDLE_UNUSED, |peer| *peer == kept), [unused]);
        let mut long = peers.idle(now + IDLE_USED, |peer| *peer == kept);
        long.sort();
        let mut expected = vec![unused, used, behind];
        expected.sort();
        assert_eq!(long, expected);
    }

    #[test]
    fn a_connection_that_stays_silent_is_given_up_and_an_answer_redeems_it() {
        let (mut peers, peer, now) = (Peers::default(), PeerId::random(), Instant::now());
        let id = ConnectionId::new_unchecked(1);
        peers.opened(peer, direct(1), now);
        assert!(!peers.silent(&peer, id));
        peers.alive(&peer, id);
        assert!(!peers.silent(&peer, id));
        assert!(peers.silent(&peer, id));
    }

    #[test]
    fn requests_wait_for_answers_within_their_number_and_their_bytes() {
        let (mut peers, peer, now) = (Peers::default(), PeerId::random(), Instant::now());
        assert!(!peers.takes_inbound(&peer, 1), "somebody who is not connected asks nothing");
        peers.opened(peer, direct(1), now);
        peers.inbound_opened(&peer, INBOUND_PER_PEER_MAX_BYTES - 1);
        assert!(peers.takes_inbound(&peer, 1) && !peers.takes_inbound(&peer, 2));
        peers.inbound_closed(&peer, INBOUND_PER_PEER_MAX_BYTES - 1);
        (0..INBOUND_PER_PEER_MAX).for_each(|_| peers.inbound_opened(&peer, 1));
        assert!(!peers.takes_inbound(&peer, 1));
        peers.inbound_closed(&peer, 1);
        assert!(peers.takes_inbound(&peer, 1));
    }

    #[test]
    fn garbage_is_counted_within_its_window() {
        let (mut peers, peer, now) = (Peers::default(), PeerId::random(), Instant::now());
        peers.opened(peer, direct(1), now);
        assert_eq!((peers.garbage(&peer, now), peers.garbage(&peer, now)), (1, 2));
        assert_eq!(peers.garbage(&peer, now + GARBAGE_WINDOW), 1);
    }
}
