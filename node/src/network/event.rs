//! What the network tells its owner, and the errors of what it was asked.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use secure_chat_protocol::wire::peer::{PeerRefusal, PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous::Push;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::address::{Address, AddressError, PeerId, Route, Transport};
use super::frame::Fault;
use super::streams::PeerStream;

/// Names a gossip message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipId(pub(super) libp2p::gossipsub::MessageId);

/// What happened.
#[derive(Debug)]
pub enum NetworkEvent {
    /// We listen there; the address ends in our own peer id.
    Listening(Address),
    /// We no longer listen there.
    ListenerClosed(Address),
    /// A connection stands.
    Connected {
        /// With whom.
        peer: PeerId,
        /// Direct or relayed.
        route: Route,
        /// How the bytes travel on the first leg.
        transport: Transport,
        /// The remote address.
        address: Address,
        /// It is the only connection with this peer.
        first: bool,
    },
    /// A connection has ended.
    Disconnected {
        /// With whom.
        peer: PeerId,
        /// No other connection with this peer is left.
        last: bool,
    },
    /// The best route to a connected peer is another one now.
    RouteChanged {
        /// Whose.
        peer: PeerId,
        /// The new one.
        route: Route,
    },
    /// Somebody is on the same local network (mDNS).
    Discovered {
        /// Who says to be.
        peer: PeerId,
        /// Where.
        addresses: Vec<Address>,
    },
    /// Somebody was not heard of on the local network any more.
    Expired {
        /// Who.
        peer: PeerId,
    },
    /// A peer asks; answer with [`super::NetworkHandle::respond`].
    Inbound {
        /// Who, authenticated by the connection.
        peer: PeerId,
        /// What.
        request: PeerRequest,
        /// Takes the answer. Dropping it answers [`PeerRefusal::NotAvailable`].
        responder: Responder,
    },
    /// A peer opens a stream, to fetch parts of files.
    Stream {
        /// Who, authenticated by the connection.
        peer: PeerId,
        /// The stream.
        stream: PeerStream,
    },
    /// A rendezvous node tells something unasked. Any connected peer can send
    /// this: look whether `node` is one that you trust with it.
    Push {
        /// Who tells.
        node: PeerId,
        /// What.
        push: Push,
    },
    /// A configured rendezvous node is connected.
    RendezvousConnected {
        /// Which.
        node: PeerId,
    },
    /// A configured rendezvous node is no longer connected, or could not be reached.
    RendezvousDisconnected {
        /// Which.
        node: PeerId,
        /// Why, in words for people.
        reason: String,
    },
    /// A rendezvous node relays connections to us from now on.
    Relayed {
        /// Which.
        node: PeerId,
    },
    /// What is known of our reachability has changed.
    NatChanged(Nat),
    /// A message of a gossip topic. Anonymous: whoever forwarded it need not be its author.
    Gossip {
        /// The topic's name.
        topic: String,
        /// The message.
        data: Vec<u8>,
        /// Who handed it to us.
        forwarder: PeerId,
        /// Names it for [`NetworkHandle::pass_on`](super::NetworkHandle::pass_on): nothing is passed on by itself.
        id: GossipId,
    },
    /// A connected peer subscribed to a gossip topic.
    GossipSubscribed {
        /// Who.
        peer: PeerId,
        /// The topic's name.
        topic: String,
    },
    /// A peer sent something unreadable; its stream was cut off.
    Malformed {
        /// Who.
        peer: PeerId,
        /// What is wrong with it.
        fault: Fault,
        /// How many times within the last minute, this one included.
        count: u32,
        /// It was disconnected for it.
        disconnected: bool,
    },
    /// Somebody was refused a connection, because there are too many or they
    /// could not prove who they are.
    ConnectionRefused {
        /// From where, if it is known.
        from: Option<IpAddr>,
    },
}

/// Whether others can dial us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Nat {
    /// Nobody has tried yet.
    #[default]
    Unknown,
    /// A rendezvous node dialled us back.
    Public,
    /// No address of ours could be dialled.
    Private,
}

impl Nat {
    /// `unknown`, `public` or `private`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

/// The answer to one inbound request. Holds a place among [`super::limits::INBOUND_MAX`].
pub struct Responder {
    pub(super) id: u64,
    pub(super) answers: mpsc::Sender<Answer>,
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// An answer on its way to the swarm's task.
pub(super) struct Answer {
    pub(super) id: u64,
    pub(super) response: PeerResponse,
    _place: OwnedSemaphorePermit,
}

impl Responder {
    /// Hands the answer to the network.
    pub fn respond(mut self, response: PeerResponse) {
        self.send(response);
    }

    /// There is no answer, not even that there is none: whoever asked has to wait in vain.
    pub(super) fn never(mut self) {
        self.place = None;
    }

    fn send(&mut self, response: PeerResponse) {
        let Some(place) = self.place.take() else { return };
        // The channel has room for as many answers as there are places: this fails
        // only when the network has stopped.
        let _ = self.answers.try_send(Answer { id: self.id, response, _place: place });
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.send(PeerResponse::Refused(PeerRefusal::NotAvailable));
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Responder({})", self.id)
    }
}

/// One open connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// With whom.
    pub peer: PeerId,
    /// The remote address.
    pub address: Address,
    /// How the bytes travel on the first leg.
    pub transport: Transport,
    /// Direct or relayed.
    pub route: Route,
    /// The last round trip.
    pub rtt: Option<Duration>,
    /// Since when.
    pub since: SystemTime,
}

/// A configured rendezvous node and how it stands with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkInfo {
    /// Its address, with its peer id.
    pub address: Address,
    /// Its peer id.
    pub node: PeerId,
    /// Whether it is connected.
    pub state: LinkState,
    /// It relays connections to us.
    pub relays: bool,
    /// The last round trip.
    pub rtt: Option<Duration>,
    /// Why it could not be reached last time.
    pub error: Option<String>,
}

/// Whether a rendezvous node is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// Being dialled for the first time, or again after a loss.
    Connecting,
    /// Connected.
    Connected,
    /// The last dial failed; it will be tried again.
    Unreachable,
}

/// How the network stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Our own peer id.
    pub peer_id: PeerId,
    /// Where we listen, without relays, each with our peer id.
    pub listen: Vec<Address>,
    /// Where others can reach us from outside, as far as it was confirmed; relays included.
    pub external: Vec<Address>,
    /// Whether others can dial us.
    pub nat: Nat,
    /// The open connections.
    pub connections: Vec<ConnectionInfo>,
    /// The configured rendezvous nodes.
    pub rendezvous: Vec<LinkInfo>,
    /// The rendezvous nodes that relay connections to us.
    pub relayed_via: Vec<PeerId>,
}

/// Why the network could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The caller's: not a key.
    #[error("the network key is not valid")]
    BadKey,
    /// The caller's: an address that can't be listened on.
    #[error("can't listen on {address}: {reason}")]
    Listen {
        /// Which.
        address: Address,
        /// Why.
        reason: String,
    },
    /// The caller's: an address of a rendezvous node.
    #[error("{address}: {error}")]
    Rendezvous {
        /// Which.
        address: Address,
        /// What is wrong with it.
        error: AddressError,
    },
    /// The caller's: there must be a tokio runtime.
    #[error("the network can only be started inside a tokio runtime")]
    NoRuntime,
    /// The environment's.
    #[error("the network can't be set up: {0}")]
    Setup(String),
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The caller's: nobody has said where this peer is, and no rendezvous node could relay.
    #[error("no address of this peer is known")]
    NoAddress,
    /// The peer's or the environment's: nothing answers there. Nothing was sent.
    #[error("the peer can't be reached: {0}")]
    DialFailed(#[from] DialError),
    /// The peer's or the environment's: no answer in time. It may have been carried out.
    #[error("no answer in time")]
    Timeout,
    /// The peer's or the environment's: the connection or the stream ended before
    /// the answer. It may have been carried out.
    #[error("the connection ended before the answer")]
    Closed,
    /// The peer's: its answer can't be read.
    #[error("the answer can't be read")]
    Malformed,
    /// The peer's: it doesn't speak this protocol.
    #[error("the other side doesn't speak this protocol")]
    Unsupported,
    /// The caller's: the request is beyond the limit of a frame. Nothing was sent.
    #[error("the request is too long")]
    TooLarge,
    /// The caller's: too many requests wait already. Nothing was sent.
    #[error("too many requests wait already")]
    Busy,
    /// The network was shut down.
    #[error("the network has stopped")]
    Stopped,
}

impl RequestError {
    /// Whether it is certain that the peer has not seen the request.
    #[must_use]
    pub fn was_never_sent(&self) -> bool {
        matches!(self, Self::NoAddress | Self::DialFailed(_) | Self::TooLarge | Self::Busy | Self::Unsupported)
    }
}

/// Why a dial failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody listens there.
    #[error("nobody listens there")]
    Refused,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// Somebody else answers there: the peer's key is another one.
    #[error("somebody else answers at this address: {found}")]
    WrongPeer {
        /// Who.
        found: PeerId,
    },
    /// It is our own address.
    #[error("this is our own address")]
    Ourselves,
    /// Our own limits are reached.
    #[error("there are too many connections")]
    TooMany,
    /// There is nothing to dial.
    #[error("no address is known")]
    NoAddress,
    /// The address can't be dialled by this transport.
    #[error("this kind of address can't be dialled here")]
    Unsupported,
    /// Anything else, in libp2p's words.
    #[error("{0}")]
    Failed(String),
    /// The network was shut down.
    #[error("the network has stopped")]
    Stopped,
}
