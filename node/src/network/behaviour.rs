//! All that a peer's swarm can do, composed of libp2p's behaviours.

use libp2p::StreamProtocol;
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    autonat, connection_limits, dcutr, identify, mdns, memory_connection_limits, ping, relay, request_response, upnp,
};
use request_response::ProtocolSupport;
use secure_chat_protocol::wire::peer::{PEER_PROTOCOL, PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous::{self, PUSH_PROTOCOL, RENDEZVOUS_PROTOCOL};

use super::frame::Frames;
use super::gossip::Gossip;
use super::limits::{
    CONNECTIONS_INBOUND_MAX, CONNECTIONS_MAX, CONNECTIONS_PENDING_INBOUND_MAX, CONNECTIONS_PENDING_OUTBOUND_MAX,
    CONNECTIONS_PER_ADDRESS_MAX, CONNECTIONS_PER_PEER_MAX, PING_INTERVAL, PING_TIMEOUT, STREAM_TIMEOUT,
    STREAMS_PER_CONNECTION_MAX,
};
use super::origins::Origins;
use super::partition::{Keeper, Partition};

/// What identify says of us: nothing that tells versions or systems apart.
const IDENTIFY_PROTOCOL: &str = "/secure-chat/1";
const IDENTIFY_AGENT: &str = "secure-chat";

pub(super) type PeerFrames = Frames<PeerRequest, PeerResponse>;
pub(super) type NodeFrames = Frames<rendezvous::Request, rendezvous::Response>;
pub(super) type PushFrames = Frames<rendezvous::Push, rendezvous::PushResponse>;

/// The limits come first, so that what they refuse never reaches the others.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    origins: Origins,
    memory: memory_connection_limits::Behaviour,
    partition: Keeper,
    pub(super) peer: request_response::Behaviour<PeerFrames>,
    pub(super) node: request_response::Behaviour<NodeFrames>,
    pub(super) push: request_response::Behaviour<PushFrames>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay: relay::client::Behaviour,
    dcutr: dcutr::Behaviour,
    autonat: autonat::v2::client::Behaviour,
    upnp: Toggle<upnp::tokio::Behaviour>,
    mdns: Toggle<mdns::tokio::Behaviour>,
    pub(super) gossip: Gossip,
    pub(super) streams: libp2p_stream::Behaviour,
}

impl Behaviour {
    pub(super) fn new(
        keys: &Keypair,
        relay: relay::client::Behaviour,
        mdns: Toggle<mdns::tokio::Behaviour>,
        upnp: Toggle<upnp::tokio::Behaviour>,
        memory_max_bytes: usize,
        partition: Partition,
    ) -> Result<Self, String> {
        let me = keys.public().to_peer_id();
        let identify = identify::Config::new(IDENTIFY_PROTOCOL.to_owned(), keys.public())
            .with_agent_version(IDENTIFY_AGENT.to_owned())
            .with_hide_listen_addrs(true);
        let ping = ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT);
        Ok(Self {
            limits: connection_limits::Behaviour::new(connection_limits()),
            origins: Origins::new(CONNECTIONS_PER_ADDRESS_MAX),
            memory: memory_connection_limits::Behaviour::with_max_bytes(memory_max_bytes),
            partition: Keeper::new(partition),
            peer: requests(Frames::new(), PEER_PROTOCOL, ProtocolSupport::Full),
            node: requests(Frames::new(), RENDEZVOUS_PROTOCOL, ProtocolSupport::Outbound),
            push: requests(Frames::new(), PUSH_PROTOCOL, ProtocolSupport::Inbound),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
            relay,
            dcutr: dcutr::Behaviour::new(me),
            autonat: autonat::v2::client::Behaviour::default(),
            upnp,
            mdns,
            gossip: Gossip::new()?,
            streams: libp2p_stream::Behaviour::new(),
        })
    }
}

/// Requests of one protocol, framed and bounded by us.
pub(super) fn requests<Q, A>(
    frames: Frames<Q, A>,
    protocol: &'static str,
    support: ProtocolSupport,
) -> request_response::Behaviour<Frames<Q, A>>
where
    Frames<Q, A>: request_response::Codec<Protocol = StreamProtocol> + Clone + Send + 'static,
{
    let config = request_response::Config::default()
        .with_request_timeout(STREAM_TIMEOUT)
        .with_max_concurrent_streams(STREAMS_PER_CONNECTION_MAX);
    request_response::Behaviour::with_codec(frames, [(StreamProtocol::new(protocol), support)], config)
}

fn connection_limits() -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_established(Some(CONNECTIONS_MAX))
        .with_max_established_incoming(Some(CONNECTIONS_INBOUND_MAX))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
        .with_max_pending_incoming(Some(CONNECTIONS_PENDING_INBOUND_MAX))
        .with_max_pending_outgoing(Some(CONNECTIONS_PENDING_OUTBOUND_MAX))
}
