//! Requests that come in: bounded for each peer and in all, handed to the owner,
//! answered through the swarm's task.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use libp2p::PeerId;
use libp2p::request_response::{InboundRequestId, ResponseChannel};
use secure_chat_protocol::wire::peer::{PeerRefusal, PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous::{Push, PushResponse};
use tokio::sync::{Semaphore, mpsc};

use super::event::{Answer, NetworkEvent, Responder};
use super::frame::{Fault, Read};
use super::limits::{GARBAGE_MAX, GARBAGE_WINDOW, INBOUND_MAX_BYTES, KEPT_OUT_MAX, SLOW_DOWN_MS};
use super::task::Task;

/// Requests that wait for an answer of ours.
pub(super) struct Inbound {
    waiting: HashMap<u64, ResponseChannel<PeerResponse>>,
    by_request: HashMap<InboundRequestId, Waiting>,
    bytes: usize,
    next_id: u64,
    answers: mpsc::Sender<Answer>,
    places: Arc<Semaphore>,
}

struct Waiting {
    id: u64,
    peer: PeerId,
    bytes: usize,
}

impl Inbound {
    pub(super) fn new(answers: mpsc::Sender<Answer>, places: Arc<Semaphore>) -> Self {
        Self { waiting: HashMap::new(), by_request: HashMap::new(), bytes: 0, next_id: 0, answers, places }
    }

    /// A responder with a place of its own, or none when too many wait.
    fn open(&mut self, peer: PeerId, request: InboundRequestId, bytes: usize) -> Option<Responder> {
        if self.bytes.saturating_add(bytes) > INBOUND_MAX_BYTES {
            return None;
        }
        let place = self.places.clone().try_acquire_owned().ok()?;
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        self.by_request.insert(request, Waiting { id, peer, bytes });
        Some(Responder { id, answers: self.answers.clone(), place: Some(place) })
    }
}

impl Task {
    pub(super) fn on_peer_request(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        request: Read<PeerRequest>,
        channel: ResponseChannel<PeerResponse>,
    ) {
        let (request, bytes) = match request {
            Read::Whole(request, bytes) => (request, bytes),
            Read::Bad(fault) => return self.on_garbage(peer, fault),
        };
        let welcome = self.has_room() && self.peers.takes_inbound(&peer, bytes);
        let responder = if welcome { self.inbound.open(peer, id, bytes) } else { None };
        let Some(responder) = responder else {
            let refusal = PeerResponse::Refused(PeerRefusal::SlowDown { retry_after_ms: SLOW_DOWN_MS });
            return self.send_response(channel, refusal);
        };
        self.inbound.waiting.insert(responder.id, channel);
        self.peers.inbound_opened(&peer, bytes);
        self.peers.touch(&peer, Instant::now());
        self.tell(NetworkEvent::Inbound { peer: super::PeerId(peer), request, responder });
    }

    /// The owner answers.
    pub(super) fn on_answer(&mut self, answer: Answer) {
        if let Some(channel) = self.inbound.waiting.remove(&answer.id) {
            self.send_response(channel, answer.response);
        }
    }

    fn send_response(&mut self, channel: ResponseChannel<PeerResponse>, response: PeerResponse) {
        // An error says that the connection or the time is over: the asker knows.
        let _ = self.swarm.behaviour_mut().peer.send_response(channel, response);
    }

    /// An inbound request is over: answered, or not answerable any more.
    pub(super) fn on_inbound_over(&mut self, request: InboundRequestId) {
        if let Some(Waiting { id, peer, bytes }) = self.inbound.by_request.remove(&request) {
            self.inbound.waiting.remove(&id);
            self.inbound.bytes = self.inbound.bytes.saturating_sub(bytes);
            self.peers.inbound_closed(&peer, bytes);
        }
    }

    pub(super) fn on_push(&mut self, peer: PeerId, push: Read<Push>, channel: ResponseChannel<PushResponse>) {
        let push = match push {
            Read::Whole(push, _) => push,
            Read::Bad(fault) => return self.on_garbage(peer, fault),
        };
        if !self.links.iter().any(|link| link.node == peer) {
            tracing::debug!("a push of somebody who is no rendezvous node of ours is not answered");
            return;
        }
        let _ = self.swarm.behaviour_mut().push.send_response(channel, PushResponse);
        self.peers.touch(&peer, Instant::now());
        self.tell(NetworkEvent::Push { node: super::PeerId(peer), push });
    }

    /// This peer is not let in again for a while.
    fn keep_out(&mut self, peer: PeerId, now: Instant) {
        self.kept_out.retain(|_, until| *until > now);
        if self.kept_out.len() >= KEPT_OUT_MAX {
            let oldest = self.kept_out.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer);
            oldest.and_then(|oldest| self.kept_out.remove(&oldest));
        }
        self.kept_out.insert(peer, now + GARBAGE_WINDOW);
    }

    /// The stream is cut off by dropping its channel; whoever goes on is disconnected.
    fn on_garbage(&mut self, peer: PeerId, fault: Fault) {
        let now = Instant::now();
        let count = self.peers.garbage(&peer, now);
        let disconnected = count >= GARBAGE_MAX;
        if disconnected {
            self.keep_out(peer, now);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.tell_if_room(NetworkEvent::Malformed { peer: super::PeerId(peer), fault, count, disconnected });
    }
}
