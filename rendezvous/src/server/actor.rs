//! The server's one task: it drives the swarm and awaits nothing else. Storage and checks run on
//! other threads, and their answers come back through a channel.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::request_response::{self, InboundFailure, InboundRequestId, Message, ResponseChannel};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, ping};
use secure_chat_protocol::wire::rendezvous::{Refusal, Response};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::limits::{IN_FLIGHT_MAX, STOP_GRACE, STRANGER_CHECK_EVERY, SWEEP_EVERY};
use crate::metrics::{Fault, Metrics};
use crate::operation::{Change, Effect, Moment, Outcome, Query};
use crate::rows::StoreError;
use crate::server::behaviour::{Behaviour, BehaviourEvent};
use crate::server::chunks::Chunks;
use crate::server::clock::Clock;
use crate::server::codec::{Inbound, Lease, Memory, Outbound, Unread};
use crate::server::desk::{Context, Desk};
use crate::server::fetches::Fetches;
use crate::server::gate::Origin;
use crate::server::pending::{Done, Pending, reply};
use crate::server::requests::{Check, Next};
use crate::store::workers::Workers;
use crate::store::{Reply, Store};

/// When to ask again that was refused because the node is busy, in milliseconds.
const BUSY_RETRY_MS: u64 = 250;
/// How often what the storage holds is read for the metrics.
const TOTALS_EVERY: Duration = Duration::from_secs(10);

/// Stops the server: what waits is answered first.
pub(super) struct Stop {
    pub(super) done: oneshot::Sender<()>,
}

/// What the server is made of.
pub(super) struct Server {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) desk: Desk,
    pub(super) store: Arc<dyn Store>,
    pub(super) workers: Arc<Workers>,
    pub(super) chunks: Chunks,
    pub(super) clock: Clock,
    pub(super) memory: Memory,
    pub(super) metrics: Arc<Metrics>,
    pub(super) addresses: watch::Sender<Vec<String>>,
    /// Whether listening addresses are told to peers as external ones.
    pub(super) advertise_listen: bool,
}

/// What the loop keeps beside the server's state.
pub(super) struct Running {
    pub(super) server: Server,
    /// Bounded by [`IN_FLIGHT_MAX`]: no more requests are let in.
    done: mpsc::UnboundedSender<Done>,
    in_flight: usize,
    fetches: Fetches,
    /// Requests whose answers are not written yet.
    unanswered: usize,
    stopping: bool,
}

/// Runs until it is stopped or the stop channel is gone.
pub(super) async fn run(server: Server, mut stop: mpsc::Receiver<Stop>) {
    let (done, mut completions) = mpsc::unbounded_channel();
    let mut running =
        Running { server, done, in_flight: 0, fetches: Fetches::default(), unanswered: 0, stopping: false };
    let mut sweep = ticks(SWEEP_EVERY);
    let mut strangers = ticks(STRANGER_CHECK_EVERY);
    let mut totals = ticks(TOTALS_EVERY);
    let leap = std::sync::Arc::clone(&running.server.clock.leap);
    running.read_totals();
    running.server.chunks.remove_unknown();
    let stopped = loop {
        tokio::select! {
            event = running.server.swarm.select_next_some() => running.swarm_event(event),
            Some(done) = completions.recv() => running.completed(done),
            asked = stop.recv() => break asked,
            _ = sweep.tick() => running.sweep(),
            () = leap.made() => running.sweep(),
            _ = strangers.tick() => running.let_strangers_go(),
            _ = totals.tick() => running.read_totals(),
        }
        running.push_news();
    };
    running.wind_up(&mut completions).await;
    drop(running);
    if let Some(stop) = stopped {
        let _ = stop.done.send(());
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Running {
    pub(super) fn now(&self) -> Moment {
        self.server.clock.now()
    }

    /// Answers what was taken in, for a short while, and takes in nothing more.
    async fn wind_up(&mut self, completions: &mut mpsc::UnboundedReceiver<Done>) {
        self.stopping = true;
        let _ = timeout(STOP_GRACE, async {
            while self.unanswered > 0 {
                tokio::select! {
                    event = self.server.swarm.select_next_some() => self.swarm_event(event),
                    Some(done) = completions.recv() => self.completed(done),
                }
            }
        })
        .await;
    }

    fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Requests(event)) => self.request_event(event),
            SwarmEvent::Behaviour(BehaviourEvent::Pushes(event)) => self.push_event(event),
            SwarmEvent::Behaviour(BehaviourEvent::Relay(event)) => self.relay_event(&event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { connection, result: Err(error), .. }))
                // A peer without the ping protocol is there all the same.
                if !matches!(error, ping::Failure::Unsupported) => {
                    self.server.swarm.close_connection(connection);
                }
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                let origin = Origin::of(endpoint.get_remote_address());
                let now = self.now();
                self.server.desk.connected(peer_id, origin, now);
                self.server.metrics.connections.inc();
                self.server.metrics.peers.set(self.server.desk.peer_count().try_into().unwrap_or(i64::MAX));
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established, .. } => {
                self.server.metrics.connections.dec();
                if num_established == 0 {
                    let now = self.now();
                    self.server.desk.disconnected(&peer_id, now);
                    self.server.metrics.peers.set(self.server.desk.peer_count().try_into().unwrap_or(i64::MAX));
                    self.note_online();
                }
            }
            SwarmEvent::IncomingConnectionError { .. } => {
                self.server.metrics.connections_denied.inc();
            }
            SwarmEvent::NewListenAddr { address, .. } => self.listening(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.no_longer_listening(&address),
            SwarmEvent::ListenerClosed { reason: Err(error), .. } | SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener failed");
            }
            _ => {}
        }
    }

    fn request_event(&mut self, event: request_response::Event<Inbound, Outbound>) {
        match event {
            request_response::Event::Message {
                peer,
                message: Message::Request { request_id, request, channel },
                ..
            } => {
                self.unanswered = self.unanswered.saturating_add(1);
                self.request(peer, request_id, request, channel);
            }
            request_response::Event::ResponseSent { request_id, .. } => self.written(request_id),
            request_response::Event::InboundFailure { peer, request_id, error, .. } => {
                self.written(request_id);
                // An answer that is not taken in time; what else fails is no fault.
                if matches!(error, InboundFailure::Timeout) {
                    self.fault(peer, Fault::Slow);
                }
            }
            // The node asks nothing by this protocol.
            request_response::Event::Message { message: Message::Response { .. }, .. }
            | request_response::Event::OutboundFailure { .. } => {}
        }
    }

    fn request(&mut self, peer: PeerId, id: InboundRequestId, inbound: Inbound, channel: ResponseChannel<Outbound>) {
        let Inbound { request, mut lease } = inbound;
        let busy = Response::Refused(Refusal::SlowDown { retry_after_ms: BUSY_RETRY_MS });
        let request = match request {
            Ok(request) => request,
            Err(Unread::NoRoom) => return self.respond(channel, busy, lease),
            // The channel is dropped, which cuts the stream off.
            Err(Unread::Fault(fault)) => return self.fault(peer, fault),
        };
        if self.stopping || self.in_flight >= IN_FLIGHT_MAX || !self.fetches.admit(peer, id, &request, &mut lease) {
            return self.respond(channel, busy, lease);
        }
        let now = self.now();
        let (next, context) = self.server.desk.request(peer, request, now);
        if let Next::Answer(response) = next {
            self.note_online();
            self.respond(channel, response, lease);
            return;
        }
        self.in_flight = self.in_flight.saturating_add(1);
        self.server.metrics.in_flight.set(self.in_flight.try_into().unwrap_or(i64::MAX));
        let pending = Pending { peer, context, channel: Some(channel), lease, done: self.done.clone() };
        match next {
            Next::Answer(_) => {}
            Next::Change(change) => self.server.store.change(change, now, reply(pending)),
            Next::Query(query) => self.server.store.query(query, reply(pending)),
            Next::Check(check) => self.check(check, now, pending),
            Next::Put(put) => self.server.chunks.put(put, now, reply(pending)),
            Next::Get(slot) => self.server.chunks.get(slot, reply(pending)),
        }
    }

    fn written(&mut self, id: InboundRequestId) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.fetches.written(id);
    }

    fn check(&self, check: Check, now: Moment, pending: Pending) {
        let store = Arc::clone(&self.server.store);
        self.server.workers.run(Box::new(move || match check() {
            Ok(change) => store.change(change, now, reply(pending)),
            Err(refusal) => pending.answer(Ok(refusal.into())),
        }));
    }

    fn completed(&mut self, done: Done) {
        let Done { peer, context, channel, lease, result } = done;
        let now = self.now();
        match &result {
            Ok(Outcome { effect: Effect::BlobsGone(blobs), .. }) => self.server.chunks.remove(blobs.clone()),
            Ok(Outcome { effect: Effect::Swept(swept), .. }) => {
                self.server.metrics.swept(swept);
                self.server.chunks.remove(swept.blobs.clone());
                if swept.more {
                    self.sweep();
                }
            }
            Ok(Outcome { effect: Effect::Totals(totals, services), .. }) => {
                self.server.metrics.totals(totals);
                self.server.metrics.services(services);
            }
            Err(error) if *error != StoreError::Closed => tracing::error!(%error, "the storage failed"),
            _ => {}
        }
        let Some(channel) = channel else { return };
        self.in_flight = self.in_flight.saturating_sub(1);
        self.server.metrics.in_flight.set(self.in_flight.try_into().unwrap_or(i64::MAX));
        let response = self.server.desk.finish(peer, context, result, now);
        self.note_online();
        self.respond(channel, response, lease);
    }

    fn respond(&mut self, channel: ResponseChannel<Outbound>, response: Response, lease: Option<Lease>) {
        self.server.metrics.response(&response);
        // An error means that the peer is gone or did not wait: it asks again.
        let _ = self.server.swarm.behaviour_mut().requests.send_response(channel, Outbound { response, lease });
    }

    fn fault(&mut self, peer: PeerId, fault: Fault) {
        if self.server.desk.fault(&peer, fault) {
            self.disconnect(peer);
        }
    }

    pub(super) fn disconnect(&mut self, peer: PeerId) {
        self.server.metrics.disconnected.inc();
        let _ = self.server.swarm.disconnect_peer_id(peer);
    }

    pub(super) fn note_online(&self) {
        self.server.metrics.online.set(self.server.desk.online_count().try_into().unwrap_or(i64::MAX));
    }

    fn sweep(&self) {
        self.server.store.change(Change::Sweep, self.now(), self.own_reply());
    }

    fn read_totals(&self) {
        let used = self.server.memory.used_bytes();
        self.server.metrics.request_memory_bytes.set(used.try_into().unwrap_or(i64::MAX));
        self.server.store.query(Query::Totals, self.own_reply());
    }

    /// For what the server asks of its storage on its own account.
    fn own_reply(&self) -> Reply {
        let (done, peer) = (self.done.clone(), *self.server.swarm.local_peer_id());
        Box::new(move |result| {
            let _ = done.send(Done { peer, context: Context::Plain, channel: None, lease: None, result });
        })
    }
}

/// An address with the peer id behind it.
pub(super) fn full_address(address: &Multiaddr, peer: PeerId) -> String {
    address.clone().with_p2p(peer).unwrap_or_else(|whole| whole).to_string()
}
