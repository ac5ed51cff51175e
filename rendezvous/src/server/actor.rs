//! The server's one task: it drives the swarm and awaits nothing else. Storage and checks run on
//! other threads, and their answers come back through a channel.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::request_response::{self, InboundFailure, InboundRequestId, Message, OutboundFailure, ResponseChannel};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, ping, relay};
use secure_chat_protocol::wire::rendezvous::{Push, PushResponse, Refusal, Request, Response};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::limits::{FETCH_MAX_BYTES, IN_FLIGHT_MAX, STOP_GRACE, STRANGER_CHECK_EVERY, STRANGER_IDLE, SWEEP_EVERY};
use crate::metrics::{Fault, Metrics};
use crate::operation::{Change, Effect, Moment, Outcome, Query};
use crate::rows::StoreError;
use crate::server::behaviour::{Behaviour, BehaviourEvent};
use crate::server::clock::Clock;
use crate::server::codec::{Inbound, Lease, Memory, Outbound, Unread};
use crate::server::desk::{Context, Desk};
use crate::server::gate::Origin;
use crate::server::requests::{Check, Next};
use crate::store::workers::Workers;
use crate::store::{Reply, Store};

/// Requests for mail of one peer that are carried out or written at once: their answers are large.
const FETCHES_PER_PEER: u32 = 4;
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
    pub(super) clock: Clock,
    pub(super) memory: Memory,
    pub(super) metrics: Arc<Metrics>,
    pub(super) addresses: watch::Sender<Vec<String>>,
    /// Whether listening addresses are told to peers as external ones.
    pub(super) advertise_listen: bool,
}

/// A request that waits for storage or a check. If it is lost on the way, because the storage was
/// closed, that is noticed.
struct Pending {
    peer: PeerId,
    context: Context,
    channel: Option<ResponseChannel<Outbound>>,
    lease: Option<Lease>,
    done: mpsc::UnboundedSender<Done>,
}

struct Done {
    peer: PeerId,
    context: Context,
    channel: Option<ResponseChannel<Outbound>>,
    lease: Option<Lease>,
    result: Result<Outcome, StoreError>,
}

impl Pending {
    fn answer(mut self, result: Result<Outcome, StoreError>) {
        self.send(result);
    }

    fn send(&mut self, result: Result<Outcome, StoreError>) {
        if let Some(channel) = self.channel.take() {
            let (peer, context, lease) = (self.peer, self.context, self.lease.take());
            let _ = self.done.send(Done { peer, context, channel: Some(channel), lease, result });
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.send(Err(StoreError::Closed));
    }
}

/// What the loop keeps beside the server's state.
struct Running {
    server: Server,
    /// Bounded by [`IN_FLIGHT_MAX`]: no more requests are let in.
    done: mpsc::UnboundedSender<Done>,
    in_flight: usize,
    /// Requests for mail whose answers are not written yet.
    fetches: HashMap<InboundRequestId, PeerId>,
    fetching: HashMap<PeerId, u32>,
    /// Requests whose answers are not written yet.
    unanswered: usize,
    stopping: bool,
}

/// Runs until it is stopped or the stop channel is gone.
pub(super) async fn run(server: Server, mut stop: mpsc::Receiver<Stop>) {
    let (done, mut completions) = mpsc::unbounded_channel();
    let mut running = Running {
        server,
        done,
        in_flight: 0,
        fetches: HashMap::new(),
        fetching: HashMap::new(),
        unanswered: 0,
        stopping: false,
    };
    let mut sweep = ticks(SWEEP_EVERY);
    let mut strangers = ticks(STRANGER_CHECK_EVERY);
    let mut totals = ticks(TOTALS_EVERY);
    running.read_totals();
    let stopped = loop {
        tokio::select! {
            event = running.server.swarm.select_next_some() => running.swarm_event(event),
            Some(done) = completions.recv() => running.completed(done),
            asked = stop.recv() => break asked,
            _ = sweep.tick() => running.sweep(),
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
    fn now(&self) -> Moment {
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

    fn listening(&mut self, address: Multiaddr) {
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

    fn no_longer_listening(&mut self, address: &Multiaddr) {
        if self.server.advertise_listen {
            self.server.swarm.remove_external_address(address);
        }
        let text = full_address(address, *self.server.swarm.local_peer_id());
        self.server.addresses.send_modify(|addresses| addresses.retain(|known| *known != text));
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
        if self.stopping || self.in_flight >= IN_FLIGHT_MAX || !self.admit_fetch(peer, id, &request, &mut lease) {
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
        }
    }

    /// Answers with mail are large and may be written slowly: few at once for each peer, and their place is counted.
    fn admit_fetch(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        request: &Request,
        lease: &mut Option<Lease>,
    ) -> bool {
        let Request::Fetch { max_bytes, .. } = request else { return true };
        let fetching = self.fetching.entry(peer).or_default();
        let bytes = (*max_bytes as usize).min(FETCH_MAX_BYTES);
        if *fetching >= FETCHES_PER_PEER || !lease.as_mut().is_none_or(|lease| lease.grow(bytes)) {
            return false;
        }
        *fetching = fetching.saturating_add(1);
        self.fetches.insert(id, peer);
        true
    }

    fn written(&mut self, id: InboundRequestId) {
        self.unanswered = self.unanswered.saturating_sub(1);
        let Some(peer) = self.fetches.remove(&id) else { return };
        if let Some(fetching) = self.fetching.get_mut(&peer) {
            *fetching = fetching.saturating_sub(1);
            if *fetching == 0 {
                self.fetching.remove(&peer);
            }
        }
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
            Ok(Outcome { effect: Effect::Swept(swept), .. }) => {
                self.server.metrics.swept(swept);
                if swept.more {
                    self.sweep();
                }
            }
            Ok(Outcome { effect: Effect::Totals(totals), .. }) => self.server.metrics.totals(totals),
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

    fn disconnect(&mut self, peer: PeerId) {
        self.server.metrics.disconnected.inc();
        let _ = self.server.swarm.disconnect_peer_id(peer);
    }

    fn push_event(&mut self, event: request_response::Event<Push, PushResponse>) {
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

    fn push_news(&mut self) {
        while let Some((peer, push)) = self.server.desk.next_push() {
            self.server.swarm.behaviour_mut().pushes.send_request(&peer, push);
        }
    }

    fn relay_event(&mut self, event: &relay::Event) {
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

    fn let_strangers_go(&mut self) {
        let idle_ms = u64::try_from(STRANGER_IDLE.as_millis()).unwrap_or(u64::MAX);
        let now = self.now();
        for peer in self.server.desk.silent_strangers(idle_ms, now) {
            self.disconnect(peer);
        }
    }

    fn note_online(&self) {
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

fn reply(pending: Pending) -> Reply {
    Box::new(move |result| pending.answer(result))
}

/// An address with the peer id behind it.
pub(super) fn full_address(address: &Multiaddr, peer: PeerId) -> String {
    address.clone().with_p2p(peer).unwrap_or_else(|whole| whole).to_string()
}
