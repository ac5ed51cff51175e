//! The swarm: what protocols the node speaks, over which transports, with which bounds.

use std::num::NonZeroU32;
use std::time::Duration;

use libp2p::core::upgrade;
use libp2p::identity::Keypair;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder, Transport, autonat, core::transport::MemoryTransport, identify,
    memory_connection_limits, noise, ping, relay, tcp, yamux,
};
use secure_chat_protocol::wire::rendezvous::{PUSH_PROTOCOL, RENDEZVOUS_PROTOCOL};

use crate::config::{Limits, RelayLimits, TransportKind};
use crate::limits::{
    CONNECTIONS_PENDING_MAX, CONNECTIONS_PER_PEER, PING_EVERY, PING_TIMEOUT, PUSH_STREAMS_PER_CONNECTION,
    REQUEST_TIMEOUT, STREAMS_PER_CONNECTION, SUBSTREAMS_PER_CONNECTION,
};
use crate::server::StartError;
use crate::server::codec::{Memory, PushCodec, RequestCodec};
use crate::server::gate::{Gate, GateLimits};

/// What identify says of this program.
const AGENT: &str = concat!("secure-chat-rendezvous/", env!("CARGO_PKG_VERSION"));
/// What identify says of the protocols' family.
const PROTOCOL_VERSION: &str = "/secure-chat/1";
/// Connections end when the peer goes, or when the server decides: not by the swarm's timer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3_600);
/// Identify repeats itself this often.
const IDENTIFY_EVERY: Duration = Duration::from_secs(3_600);
/// Transport and security handshake must be done in this time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Events that one connection may have waiting for the swarm: small, since there are many connections.
const EVENTS_PER_CONNECTION: usize = 4;
/// QUIC data that a peer may have under way on one stream, in bytes.
const QUIC_STREAM_BYTES: u32 = 1024 * 1024;
/// QUIC data that a peer may have under way on one connection, in bytes.
const QUIC_CONNECTION_BYTES: u32 = 4 * 1024 * 1024;

/// The protocols of the node.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    gate: Gate,
    memory: memory_connection_limits::Behaviour,
    /// Requests of peers.
    pub requests: request_response::Behaviour<RequestCodec>,
    /// Pushes to peers.
    pub pushes: request_response::Behaviour<PushCodec>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay: relay::Behaviour,
    autonat: autonat::v2::server::Behaviour,
}

impl Behaviour {
    fn new(key: &Keypair, limits: &Limits, memory: &Memory) -> Self {
        let peer = key.public().to_peer_id();
        let requests = request_response::Behaviour::with_codec(
            RequestCodec { memory: memory.clone() },
            [(StreamProtocol::new(RENDEZVOUS_PROTOCOL), ProtocolSupport::Inbound)],
            request_response::Config::default()
                .with_request_timeout(REQUEST_TIMEOUT)
                .with_max_concurrent_streams(STREAMS_PER_CONNECTION),
        );
        let pushes = request_response::Behaviour::with_codec(
            PushCodec,
            [(StreamProtocol::new(PUSH_PROTOCOL), ProtocolSupport::Outbound)],
            request_response::Config::default()
                .with_request_timeout(REQUEST_TIMEOUT)
                .with_max_concurrent_streams(PUSH_STREAMS_PER_CONNECTION),
        );
        let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), key.public())
            .with_agent_version(AGENT.to_owned())
            .with_interval(IDENTIFY_EVERY)
            .with_cache_size(0)
            .with_hide_listen_addrs(true);
        Self {
            gate: Gate::new(GateLimits {
                connections: limits.connections,
                pending: CONNECTIONS_PENDING_MAX,
                per_peer: CONNECTIONS_PER_PEER,
                per_address: limits.connections_per_address,
            }),
            memory: memory_connection_limits::Behaviour::with_max_bytes(limits.memory_bytes),
            requests,
            pushes,
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_EVERY).with_timeout(PING_TIMEOUT)),
            relay: relay_server(peer, &limits.relay),
            autonat: autonat::v2::server::Behaviour::default(),
        }
    }
}

fn relay_server(peer: PeerId, limits: &RelayLimits) -> relay::Behaviour {
    let unlimited = relay::Config {
        max_reservations: limits.reservations,
        max_reservations_per_peer: limits.reservations_per_peer,
        reservation_duration: Duration::from_secs(limits.reservation_s),
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.circuits,
        max_circuits_per_peer: limits.circuits_per_peer,
        max_circuit_duration: Duration::from_secs(limits.circuit_s),
        max_circuit_bytes: limits.circuit_bytes,
        circuit_src_rate_limiters: Vec::new(),
    };
    let burst = |burst: u32| NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let config = unlimited
        .reservation_rate_per_peer(burst(limits.reservations_burst_per_peer), Duration::from_secs(30))
        .reservation_rate_per_ip(burst(limits.reservations_burst_per_address), Duration::from_secs(1))
        .circuit_src_per_peer(burst(limits.circuits_burst_per_peer), Duration::from_secs(2))
        .circuit_src_per_ip(burst(limits.circuits_burst_per_address), Duration::from_secs(1));
    let mut relay = relay::Behaviour::new(peer, config);
    // Without it, and without an external address, no reservation is ever granted.
    relay.set_status(Some(relay::Status::Enable));
    relay
}

fn multiplexing() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(SUBSTREAMS_PER_CONNECTION);
    config
}

/// Builds the swarm; it listens nowhere yet.
///
/// # Errors
/// [`StartError::Network`] when a transport can't be made.
pub(super) fn swarm(
    key: Keypair,
    transport: TransportKind,
    limits: &Limits,
    memory: &Memory,
) -> Result<Swarm<Behaviour>, StartError> {
    let failed = |e: &dyn std::error::Error| StartError::Network(e.to_string());
    let builder = SwarmBuilder::with_existing_identity(key).with_tokio();
    let configure = |config: libp2p::swarm::Config| {
        config
            .with_idle_connection_timeout(IDLE_TIMEOUT)
            .with_per_connection_event_buffer_size(EVENTS_PER_CONNECTION)
            .with_max_negotiating_inbound_streams(STREAMS_PER_CONNECTION)
    };
    Ok(match transport {
        TransportKind::Internet => builder
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, multiplexing)
            .map_err(|e| failed(&e))?
            .with_quic_config(|mut quic| {
                quic.max_concurrent_stream_limit = u32::try_from(SUBSTREAMS_PER_CONNECTION).unwrap_or(u32::MAX);
                quic.max_stream_data = QUIC_STREAM_BYTES;
                quic.max_connection_data = QUIC_CONNECTION_BYTES;
                quic
            })
            .with_behaviour(|key| Behaviour::new(key, limits, memory))
            .map_err(|e| failed(&e))?
            .with_swarm_config(configure)
            .with_connection_timeout(HANDSHAKE_TIMEOUT)
            .build(),
        TransportKind::Memory => builder
            .with_other_transport(|key| {
                let security = noise::Config::new(key)?;
                let transport = MemoryTransport::default().upgrade(upgrade::Version::V1);
                Ok(transport.authenticate(security).multiplex(multiplexing()))
            })
            .map_err(|e| failed(&e))?
            .with_behaviour(|key| Behaviour::new(key, limits, memory))
            .map_err(|e| failed(&e))?
            .with_swarm_config(configure)
            .with_connection_timeout(HANDSHAKE_TIMEOUT)
            .build(),
    })
}
