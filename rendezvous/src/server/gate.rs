//! How many connections there may be: in all, in their handshake, of one peer, from one network
//! address. The stock behaviour of libp2p knows no addresses, and remembers every peer id for good,
//! which throw-away ones turn into a leak.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm, ListenFailure, NetworkBehaviour,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};

/// A network address as limits count it: an IPv4 address, or an IPv6 network of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(IpAddr);

impl Origin {
    /// Where a connection comes from; `None` for loopback and transports without addresses, which are not limited.
    #[must_use]
    pub fn of(address: &Multiaddr) -> Option<Self> {
        let ip = address.iter().find_map(|part| match part {
            Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
            Protocol::Ip6(ip) => Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)),
            _ => None,
        })?;
        match ip {
            ip if ip.is_loopback() => None,
            IpAddr::V4(_) => Some(Self(ip)),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Some(Self(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))))
            }
        }
    }
}

/// The bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateLimits {
    /// Connections in all.
    pub connections: u32,
    /// In their handshake.
    pub pending: u32,
    /// Of one peer.
    pub per_peer: u32,
    /// From one network address.
    pub per_address: u32,
}

/// A connection was one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many connections ({0:?})")]
pub struct TooMany(pub &'static str);

#[derive(Debug, Clone, Copy)]
struct Open {
    peer: Option<PeerId>,
    origin: Option<Origin>,
}

/// The behaviour.
pub struct Gate {
    limits: GateLimits,
    open: HashMap<ConnectionId, Open>,
    pending: HashSet<ConnectionId>,
    per_peer: HashMap<PeerId, u32>,
    per_origin: HashMap<Origin, u32>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("open", &self.open.len()).finish_non_exhaustive()
    }
}

impl Gate {
    /// Nobody is here yet.
    #[must_use]
    pub fn new(limits: GateLimits) -> Self {
        Self {
            limits,
            open: HashMap::new(),
            pending: HashSet::new(),
            per_peer: HashMap::new(),
            per_origin: HashMap::new(),
        }
    }

    fn enter(&mut self, id: ConnectionId, origin: Option<Origin>) -> Result<(), TooMany> {
        if self.open.len() >= self.limits.connections as usize {
            return Err(TooMany("in all"));
        }
        if self.pending.len() >= self.limits.pending as usize {
            return Err(TooMany("in their handshake"));
        }
        if let Some(origin) = origin {
            let count = self.per_origin.entry(origin).or_default();
            if *count >= self.limits.per_address {
                return Err(TooMany("from one address"));
            }
            *count = count.saturating_add(1);
        }
        self.pending.insert(id);
        self.open.insert(id, Open { peer: None, origin });
        Ok(())
    }

    fn establish(&mut self, id: ConnectionId, peer: PeerId, origin: Option<Origin>) -> Result<(), TooMany> {
        self.pending.remove(&id);
        let count = self.per_peer.entry(peer).or_default();
        if *count >= self.limits.per_peer {
            return Err(TooMany("of one peer"));
        }
        *count = count.saturating_add(1);
        self.open.entry(id).or_insert(Open { peer: None, origin }).peer = Some(peer);
        Ok(())
    }

    fn leave(&mut self, id: ConnectionId) {
        self.pending.remove(&id);
        let Some(open) = self.open.remove(&id) else { return };
        if let Some(origin) = open.origin {
            decrease(&mut self.per_origin, &origin);
        }
        if let Some(peer) = open.peer {
            decrease(&mut self.per_peer, &peer);
        }
    }
}

fn decrease<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.enter(id, Origin::of(remote)).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.establish(id, peer, Origin::of(remote)).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.establish(id, peer, None).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => self.leave(connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(GateLimits { connections: 10, pending: 3, per_peer: 2, per_address: 4 })
    }

    fn id(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    fn origin(address: &str) -> Option<Origin> {
        Origin::of(&address.parse().unwrap())
    }

    #[test]
    fn one_address_can_not_take_all_places_and_gives_them_back() {
        let (mut gate, from) = (gate(), origin("/ip4/203.0.113.5/tcp/1"));
        for n in 0..4 {
            gate.enter(id(n), from).unwrap();
            gate.establish(id(n), PeerId::random(), from).unwrap();
        }
        assert_eq!(gate.enter(id(4), from), Err(TooMany("from one address")));
        assert_eq!(gate.enter(id(5), origin("/ip4/203.0.113.6/tcp/1")), Ok(()));
        gate.leave(id(0));
        assert_eq!(gate.enter(id(6), from), Ok(()));
        for n in 0..7 {
            gate.leave(id(n));
        }
        assert!(
            gate.open.is_empty() && gate.per_origin.is_empty() && gate.per_peer.is_empty() && gate.pending.is_empty()
        );
    }

    #[test]
    fn handshakes_that_hang_and_peers_that_multiply_are_bounded() {
        let mut gate = gate();
        for n in 0..3 {
            gate.enter(id(n), None).unwrap();
        }
        assert_eq!(gate.enter(id(3), None), Err(TooMany("in their handshake")));
        let peer = PeerId::random();
        gate.establish(id(0), peer, None).unwrap();
        gate.establish(id(1), peer, None).unwrap();
        assert_eq!(gate.establish(id(2), peer, None), Err(TooMany("of one peer")));
    }

    #[test]
    fn loopback_is_not_limited_and_an_ipv6_network_counts_as_one() {
        assert_eq!(origin("/ip4/127.0.0.1/tcp/1"), None);
        assert_eq!(origin("/memory/7"), None);
        assert_eq!(origin("/ip6/2001:db8::1/tcp/1"), origin("/ip6/2001:db8::ffff:2/udp/9/quic-v1"));
        assert_ne!(origin("/ip6/2001:db8::1/tcp/1"), origin("/ip6/2001:db8:0:1::1/tcp/1"));
        assert_eq!(origin("/ip6/::ffff:203.0.113.5/tcp/1"), origin("/ip4/203.0.113.5/tcp/1"));
    }
}
