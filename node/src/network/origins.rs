//! How many inbound connections one network address may hold: one neighbour with many keys
//! must not take all places. (A rendezvous node has the like in its `gate`, with bounds of its own;
//! node and rendezvous never import each other.)

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};

/// There are too many connections from one network address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many connections from one network address")]
pub(super) struct TooMany;

/// The behaviour.
pub(super) struct Origins {
    max: u32,
    open: HashMap<ConnectionId, IpAddr>,
    counts: HashMap<IpAddr, u32>,
}

/// An IPv4 address or an IPv6 network of 64 bits. `None` for loopback, for transports without
/// addresses, and for relayed connections, whose address is the relay's: these are not limited here.
fn origin(address: &Multiaddr) -> Option<IpAddr> {
    if address.iter().any(|part| matches!(part, Protocol::P2pCircuit)) {
        return None;
    }
    let ip = address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)),
        _ => None,
    })?;
    match ip {
        ip if ip.is_loopback() => None,
        IpAddr::V4(_) => Some(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Some(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
        }
    }
}

impl Origins {
    /// Nobody is here yet.
    pub(super) fn new(max: u32) -> Self {
        Self { max, open: HashMap::new(), counts: HashMap::new() }
    }

    fn enter(&mut self, id: ConnectionId, from: Option<IpAddr>) -> Result<(), TooMany> {
        let Some(from) = from else { return Ok(()) };
        let count = self.counts.entry(from).or_default();
        if *count >= self.max {
            return Err(TooMany);
        }
        *count = count.saturating_add(1);
        self.open.insert(id, from);
        Ok(())
    }

    fn leave(&mut self, id: ConnectionId) {
        let Some(from) = self.open.remove(&id) else { return };
        if let Some(count) = self.counts.get_mut(&from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&from);
            }
        }
    }
}

impl NetworkBehaviour for Origins {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.enter(id, origin(remote)).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
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

    fn from(address: &str) -> Option<IpAddr> {
        origin(&address.parse().unwrap())
    }

    #[test]
    fn one_address_can_not_take_all_places_and_gives_them_back() {
        let mut origins = Origins::new(2);
        let (near, other) = (from("/ip4/203.0.113.5/tcp/1"), from("/ip4/203.0.113.6/tcp/1"));
        let id = ConnectionId::new_unchecked;
        assert_eq!((origins.enter(id(1), near), origins.enter(id(2), near)), (Ok(()), Ok(())));
        assert_eq!(origins.enter(id(3), near), Err(TooMany));
        assert_eq!(origins.enter(id(4), other), Ok(()));
        origins.leave(id(3));
        assert_eq!(origins.enter(id(3), near), Err(TooMany), "what was refused gives nothing back");
        origins.leave(id(1));
        assert_eq!(origins.enter(id(3), near), Ok(()));
        (0..5).for_each(|n| origins.leave(id(n)));
        assert!(origins.open.is_empty() && origins.counts.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_relayed_connections_are_the_relay_s() {
        assert_eq!(from("/ip6/2001:db8::1/tcp/1"), from("/ip6/2001:db8::ffff:2/udp/9/quic-v1"));
        assert_ne!(from("/ip6/2001:db8::1/tcp/1"), from("/ip6/2001:db8:0:1::1/tcp/1"));
        assert_eq!(from("/ip6/::ffff:203.0.113.5/tcp/1"), from("/ip4/203.0.113.5/tcp/1"));
        let relay = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
        assert_eq!(from(&format!("/ip4/203.0.113.5/tcp/1/p2p/{relay}/p2p-circuit/p2p/{relay}")), None);
        assert_eq!((from("/ip4/127.0.0.1/tcp/1"), from("/memory/7")), (None, None));
    }
}
