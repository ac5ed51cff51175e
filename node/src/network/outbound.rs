//! Requests that wait for a connection or for their turn. `request-response` fails
//! whatever is beyond its streams; here it waits instead, within bounds.

use std::collections::{HashMap, VecDeque};

use libp2p::PeerId;
use secure_chat_protocol::wire::peer::{PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous;
use tokio::sync::oneshot;

use super::event::RequestError;
use super::limits::{IN_FLIGHT_PER_NODE_MAX, IN_FLIGHT_PER_PEER_MAX, QUEUED_MAX, QUEUED_PER_PEER_MAX};

/// Where the answer goes.
pub(super) type Reply<A> = oneshot::Sender<Result<A, RequestError>>;

/// A request that is to leave.
pub(super) enum Outgoing {
    Peer { request: Box<PeerRequest>, reply: Reply<PeerResponse> },
    Node { request: Box<rendezvous::Request>, reply: Reply<rendezvous::Response> },
}

impl Outgoing {
    pub(super) fn fail(self, error: RequestError) {
        // Whoever asked may have gone: then there is nobody to tell.
        match self {
            Self::Peer { reply, .. } => drop(reply.send(Err(error))),
            Self::Node { reply, .. } => drop(reply.send(Err(error))),
        }
    }

    fn is_abandoned(&self) -> bool {
        match self {
            Self::Peer { reply, .. } => reply.is_closed(),
            Self::Node { reply, .. } => reply.is_closed(),
        }
    }

    fn in_flight_max(&self) -> usize {
        match self {
            Self::Peer { .. } => IN_FLIGHT_PER_PEER_MAX,
            Self::Node { .. } => IN_FLIGHT_PER_NODE_MAX,
        }
    }
}

/// All requests that wait, by peer.
#[derive(Default)]
pub(super) struct Outbound {
    lanes: HashMap<PeerId, Lane>,
    waiting: usize,
}

#[derive(Default)]
struct Lane {
    queue: VecDeque<Outgoing>,
    in_flight: usize,
}

impl Outbound {
    /// Appends a request, or hands it back when there is no room.
    pub(super) fn push(&mut self, peer: PeerId, outgoing: Outgoing) -> Result<(), Outgoing> {
        if self.waiting >= QUEUED_MAX {
            return Err(outgoing);
        }
        let lane = self.lanes.entry(peer).or_default();
        if lane.queue.len() >= QUEUED_PER_PEER_MAX {
            return Err(outgoing);
        }
        lane.queue.push_back(outgoing);
        self.waiting = self.waiting.saturating_add(1);
        Ok(())
    }

    /// The next request that may leave now; it counts as under way from here on.
    pub(super) fn next(&mut self, peer: &PeerId) -> Option<Outgoing> {
        let lane = self.lanes.get_mut(peer)?;
        while let Some(first) = lane.queue.front() {
            let abandoned = first.is_abandoned();
            if !abandoned && lane.in_flight >= first.in_flight_max() {
                return None;
            }
            let outgoing = lane.queue.pop_front();
            self.waiting = self.waiting.saturating_sub(1);
            if !abandoned {
                lane.in_flight = lane.in_flight.saturating_add(1);
                return outgoing;
            }
        }
        self.tidy(peer);
        None
    }

    /// A request that was under way has its answer or its error.
    pub(super) fn done(&mut self, peer: &PeerId) {
        if let Some(lane) = self.lanes.get_mut(peer) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
        self.tidy(peer);
    }

    /// Takes all that wait for this peer.
    pub(super) fn take(&mut self, peer: &PeerId) -> VecDeque<Outgoing> {
        let Some(lane) = self.lanes.get_mut(peer) else { return VecDeque::new() };
        let queue = std::mem::take(&mut lane.queue);
        self.waiting = self.waiting.saturating_sub(queue.len());
        self.tidy(peer);
        queue
    }

    /// Somebody still waits for this peer.
    pub(super) fn wants(&self, peer: &PeerId) -> bool {
        self.lanes.get(peer).is_some_and(|lane| lane.queue.iter().any(|outgoing| !outgoing.is_abandoned()))
    }

    pub(super) fn in_flight(&self, peer: &PeerId) -> usize {
        self.lanes.get(peer).map_or(0, |lane| lane.in_flight)
    }

    fn tidy(&mut self, peer: &PeerId) {
        if self.lanes.get(peer).is_some_and(|lane| lane.queue.is_empty() && lane.in_flight == 0) {
            self.lanes.remove(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> (Outgoing, oneshot::Receiver<Result<PeerResponse, RequestError>>) {
        let (reply, answer) = oneshot::channel();
        (Outgoing::Peer { request: Box::new(PeerRequest::Bundle), reply }, answer)
    }

    #[test]
    fn no_more_leave_than_the_streams_carry_and_the_rest_waits() {
        let (mut outbound, peer) = (Outbound::default(), PeerId::random());
        let answers: Vec<_> = (0..300)
            .map(|_| {
                let (outgoing, answer) = request();
                assert!(outbound.push(peer, outgoing).is_ok());
                answer
            })
            .collect();
        let mut left = 0;
        while left < answers.len() {
            let leaving = std::iter::from_fn(|| outbound.next(&peer)).count();
            assert!(leaving > 0 && leaving <= IN_FLIGHT_PER_PEER_MAX);
            (0..leaving).for_each(|_| outbound.done(&peer));
            left += leaving;
        }
        assert!(outbound.lanes.is_empty(), "nothing is remembered of a peer that nobody waits for");
    }

    #[test]
    fn what_is_beyond_the_bound_is_handed_back_at_once() {
        let (mut outbound, peer) = (Outbound::default(), PeerId::random());
        let mut answers = Vec::new();
        for _ in 0..QUEUED_PER_PEER_MAX {
            let (outgoing, answer) = request();
            answers.push(answer);
            assert!(outbound.push(peer, outgoing).is_ok());
        }
        assert!(outbound.push(peer, request().0).is_err());
        assert!(outbound.push(PeerId::random(), request().0).is_ok(), "other peers are not concerned");
    }

    #[test]
    fn a_request_that_nobody_waits_for_is_not_sent() {
        let (mut outbound, peer) = (Outbound::default(), PeerId::random());
        let (outgoing, answer) = request();
        assert!(outbound.push(peer, outgoing).is_ok());
        assert!(outbound.wants(&peer));
        drop(answer);
        assert!(!outbound.wants(&peer));
        assert!(outbound.next(&peer).is_none());
    }
}
