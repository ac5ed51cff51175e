//! A network that is cut in two, for tests and simulations: what [`crate::store::fault`] is to the
//! disk. Without one, which is how every program runs, nothing is ever cut.
//!
//! Connections to peers on the other side end, and none is made, in either direction; whoever
//! dials is told so at once, and goes on trying as with everybody who is away.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};

use super::address::PeerId;

/// The other side can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network is cut")]
struct Apart;

#[derive(Debug, Default)]
struct Sides {
    other: HashSet<libp2p::PeerId>,
    waker: Option<Waker>,
}

/// Whom one peer can't reach. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Partition(Arc<Mutex<Sides>>);

impl Partition {
    /// From now on these are on the other side, and nobody else is.
    pub fn cut(&self, others: impl IntoIterator<Item = PeerId>) {
        let mut sides = self.lock();
        sides.other = others.into_iter().map(|peer| peer.0).collect();
        if let Some(waker) = sides.waker.take() {
            waker.wake();
        }
    }

    /// Everybody can be reached again.
    pub fn heal(&self) {
        self.cut([]);
    }

    /// Whether somebody is on the other side.
    #[must_use]
    pub fn parts_from(&self, peer: PeerId) -> bool {
        self.lock().other.contains(&peer.0)
    }

    fn lock(&self) -> MutexGuard<'_, Sides> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The behaviour that keeps a swarm on its side.
pub(super) struct Keeper {
    partition: Partition,
    connected: HashSet<libp2p::PeerId>,
}

impl Keeper {
    pub(super) fn new(partition: Partition) -> Self {
        Self { partition, connected: HashSet::new() }
    }

    fn judge(&self, peer: libp2p::PeerId) -> Result<(), ConnectionDenied> {
        if self.partition.parts_from(PeerId(peer)) { Err(ConnectionDenied::new(Apart)) } else { Ok(()) }
    }
}

impl NetworkBehaviour for Keeper {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<libp2p::PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        peer.map_or(Ok(()), |peer| self.judge(peer))?;
        Ok(Vec::new())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: libp2p::PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge(peer)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: libp2p::PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge(peer)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                self.connected.insert(established.peer_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, remaining_established: 0, .. }) => {
                self.connected.remove(&peer_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: libp2p::PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        let mut sides = self.partition.lock();
        sides.waker = Some(context.waker().clone());
        let Some(peer_id) = self.connected.iter().find(|peer| sides.other.contains(*peer)).copied() else {
            return Poll::Pending;
        };
        drop(sides);
        self.connected.remove(&peer_id);
        Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::All })
    }
}
