//! Throw-away peers that leave deposits: a rendezvous node must not learn from the
//! connection who writes to whom, or wants to. Each has a key of its own, speaks to one node for
//! one mailbox, one log, one file or about one person, lives for a few requests, and never listens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures::StreamExt as _;
use libp2p::identity::Keypair;
use libp2p::request_response::{self, Event, Message, OutboundFailure, OutboundRequestId, ProtocolSupport};
use libp2p::swarm::{Swarm, SwarmEvent};
use secure_chat_protocol::blob::blob_id;
use secure_chat_protocol::group_log::log_id;
use secure_chat_protocol::id::{AccountId, BlobId, LogId, MailboxId};
use secure_chat_protocol::wire::rendezvous::{
    BlobRequest, GroupLogRequest, RENDEZVOUS_PROTOCOL, Request, Response, Who,
};
use tokio::sync::{mpsc, oneshot};

use super::address::{Address, PeerId};
use super::behaviour::{NodeFrames, requests};
use super::dial_error;
use super::event::{DialError, RequestError};
use super::frame::{Frames, Read};
use super::limits::{
    COURIER_CHUNKS_MAX, COURIER_DEPOSITS_MAX, COURIER_IDLE, COURIER_IN_FLIGHT_MAX, COURIER_LIFETIME, COURIER_QUEUE_MAX,
    COURIERS_MAX, REQUEST_TIMEOUT,
};
use super::outbound::Reply;
use super::partition::Partition;
use super::traffic::Traffic;
use super::transport::{self, TransportKind};

/// What a throw-away peer is for. Deposits into different mailboxes, different logs and different
/// files, and questions about different people, never share a connection: that would tell the node that they are one person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Purpose {
    Mailbox(MailboxId),
    Log(LogId),
    Blob(BlobId),
    /// Questions about one person at a node where we are not registered.
    Person(AccountId),
    Other,
}

impl Purpose {
    fn of(request: &Request) -> Self {
        match request {
            Request::Deposit { mailbox, .. } => Self::Mailbox(*mailbox),
            Request::GroupLog(GroupLogRequest::Append { write_key, .. }) => Self::Log(log_id(write_key)),
            Request::GroupLog(GroupLogRequest::Read { log, .. }) => Self::Log(*log),
            Request::Blob(request) => Self::Blob(match request {
                BlobRequest::Create { owner_hash, read_hash, .. } => blob_id(owner_hash, read_hash),
                BlobRequest::Put { blob, .. }
                | BlobRequest::Get { blob, .. }
                | BlobRequest::Stat { blob, .. }
                | BlobRequest::Delete { blob, .. }
                | BlobRequest::CountDownload { blob, .. } => *blob,
            }),
            Request::TakeBundle { account } => Self::Person(*account),
            Request::Lookup(Who::Accounts(accounts)) => match accounts.as_slice() {
                [account] => Self::Person(*account),
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }

    /// Requests after which a new throw-away peer takes over. Chunks of one file belong together anyway.
    const fn requests_max(self) -> usize {
        match self {
            Self::Blob(_) => COURIER_CHUNKS_MAX,
            Self::Mailbox(_) | Self::Log(_) | Self::Person(_) | Self::Other => COURIER_DEPOSITS_MAX,
        }
    }
}

type Errand = (PeerId, Purpose);

/// The throw-away peers that are alive.
pub(super) struct Couriers {
    kind: TransportKind,
    traffic: Arc<Traffic>,
    partition: Partition,
    alive: Mutex<HashMap<Errand, Courier>>,
}

struct Courier {
    parcels: mpsc::Sender<Parcel>,
    born: Instant,
    last_use: Instant,
    deposits: usize,
}

struct Parcel {
    request: Request,
    reply: Reply<Response>,
}

impl Couriers {
    pub(super) fn new(kind: TransportKind, traffic: Arc<Traffic>, partition: Partition) -> Self {
        Self { kind, traffic, partition, alive: Mutex::default() }
    }

    /// Asks the node under a throw-away peer id.
    pub(super) async fn deposit(&self, node: Address, request: Request) -> Result<Response, RequestError> {
        if node.peer_id().is_some_and(|peer| self.partition.parts_from(peer)) {
            return Err(RequestError::DialFailed(DialError::Refused));
        }
        let (reply, answer) = oneshot::channel();
        let mut parcel = Parcel { request, reply };
        let delivery = async {
            loop {
                let courier = self.courier(&node, &parcel.request)?;
                match courier.send(parcel).await {
                    Ok(()) => break,
                    // It ended just now: another one takes over.
                    Err(mpsc::error::SendError(back)) => parcel = back,
                }
            }
            answer.await.map_err(|_| RequestError::Closed)?
        };
        tokio::time::timeout(REQUEST_TIMEOUT, delivery).await.unwrap_or(Err(RequestError::Timeout))
    }

    /// No courier takes anything any more; those on their way finish.
    pub(super) fn stop(&self) {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn courier(&self, node: &Address, request: &Request) -> Result<mpsc::Sender<Parcel>, RequestError> {
        let peer = node.peer_id().ok_or(RequestError::NoAddress)?;
        let purpose = Purpose::of(request);
        let now = Instant::now();
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.retain(|(_, purpose), courier| {
            !courier.parcels.is_closed()
                && courier.deposits < purpose.requests_max()
                && now < courier.born + COURIER_LIFETIME
        });
        let errand = (peer, purpose);
        if !alive.contains_key(&errand) {
            if alive.len() >= COURIERS_MAX {
                let oldest = alive.iter().min_by_key(|(_, courier)| courier.last_use).map(|(errand, _)| *errand);
                if let Some(oldest) = oldest {
                    alive.remove(&oldest);
                }
            }
            let parcels = hire(node.clone(), peer, self.kind, &self.traffic)?;
            alive.insert(errand, Courier { parcels, born: now, last_use: now, deposits: 0 });
        }
        let courier = alive.get_mut(&errand).ok_or(RequestError::Closed)?;
        courier.deposits = courier.deposits.saturating_add(1);
        courier.last_use = now;
        Ok(courier.parcels.clone())
    }
}

/// Starts a throw-away peer with a fresh key.
fn hire(
    node: Address,
    peer: PeerId,
    kind: TransportKind,
    traffic: &Arc<Traffic>,
) -> Result<mpsc::Sender<Parcel>, RequestError> {
    let failed = |error: String| RequestError::DialFailed(DialError::Failed(error));
    let keys = Keypair::generate_ed25519();
    let transport = transport::direct(&keys, kind, traffic).map_err(|error| failed(error.to_string()))?;
    let behaviour = requests(Frames::new(), RENDEZVOUS_PROTOCOL, ProtocolSupport::Outbound);
    let config = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(COURIER_IDLE);
    let swarm = Swarm::new(transport, behaviour, keys.public().to_peer_id(), config);
    let (parcels, inbox) = mpsc::channel(COURIER_QUEUE_MAX);
    let errand = Run { swarm, node, peer: peer.0, inbox, flights: HashMap::new(), error: None };
    tokio::spawn(errand.run());
    Ok(parcels)
}

/// One throw-away peer at work.
struct Run {
    swarm: Swarm<request_response::Behaviour<NodeFrames>>,
    node: Address,
    peer: libp2p::PeerId,
    inbox: mpsc::Receiver<Parcel>,
    flights: HashMap<OutboundRequestId, Reply<Response>>,
    /// Why the last dial failed.
    error: Option<DialError>,
}

impl Run {
    /// Until nothing was left for a while, or nobody hands over anything any more.
    async fn run(mut self) {
        let mut open = true;
        while open || !self.flights.is_empty() {
            let idle = self.flights.is_empty();
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                parcel = self.inbox.recv(), if open && self.flights.len() < COURIER_IN_FLIGHT_MAX => match parcel {
                    Some(parcel) => self.take(parcel),
                    None => open = false,
                },
                () = tokio::time::sleep(COURIER_IDLE), if idle => self.inbox.close(),
            }
        }
    }

    fn take(&mut self, Parcel { request, reply }: Parcel) {
        if reply.is_closed() {
            return;
        }
        let addresses = vec![self.node.0.clone()];
        let id = self.swarm.behaviour_mut().send_request_with_addresses(&self.peer, Read::Whole(request, 0), addresses);
        self.flights.insert(id, reply);
    }

    fn on_event(&mut self, event: SwarmEvent<Event<Read<Request>, Response>>) {
        match event {
            SwarmEvent::Behaviour(Event::Message { message: Message::Response { request_id, response }, .. }) => {
                self.answer(request_id, Ok(response));
            }
            SwarmEvent::Behaviour(Event::OutboundFailure { request_id, error, .. }) => {
                let error = match (&error, &self.error) {
                    (OutboundFailure::DialFailure, Some(dial)) => RequestError::DialFailed(dial.clone()),
                    _ => super::requests::request_error(&error),
                };
                self.answer(request_id, Err(error));
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => {
                self.error = Some(dial_error::cause(&error).error);
                // Whoever waits for this connection is told by the behaviour's own event.
                self.inbox.close();
            }
            SwarmEvent::ConnectionClosed { .. } => self.inbox.close(),
            _ => {}
        }
    }

    fn answer(&mut self, id: OutboundRequestId, answer: Result<Response, RequestError>) {
        if let Some(reply) = self.flights.remove(&id) {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(answer);
        }
    }
}
