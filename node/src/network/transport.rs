//! How bytes travel: TCP with Noise and Yamux, QUIC, DNS in front, a relay client
//! beside; or all of it inside this process, for tests and simulations.

use std::sync::Arc;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, MemoryTransport, OrTransport};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport as _, dns, noise, quic, relay, tcp, yamux};

use super::limits::{QUIC_HANDSHAKE_TIMEOUT, UPGRADE_TIMEOUT};
use super::traffic::{Counted, CountedMuxer, Traffic};

/// Which kinds of addresses a network speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransportKind {
    /// TCP and QUIC over IP.
    #[default]
    Internet,
    /// `/memory/N`, inside this process.
    Memory,
}

/// A transport whose connections are encrypted, authenticated and multiplexed.
pub(super) type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// The transport of this kind, without relays.
pub(super) fn direct(keys: &Keypair, kind: TransportKind, traffic: &Arc<Traffic>) -> Result<Connections, noise::Error> {
    match kind {
        TransportKind::Internet => internet(keys, traffic),
        TransportKind::Memory => memory(keys, traffic),
    }
}

/// The transport of this kind, which also dials and listens through relays.
pub(super) fn with_relay(
    keys: &Keypair,
    kind: TransportKind,
    traffic: &Arc<Traffic>,
) -> Result<(Connections, relay::client::Behaviour), noise::Error> {
    let direct = direct(keys, kind, traffic)?;
    let (relayed, behaviour) = relay::client::new(keys.public().to_peer_id());
    let relayed = relayed
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keys)?)
        .multiplex(yamux::Config::default())
        .timeout(UPGRADE_TIMEOUT);
    // The relay's comes first: it alone refuses addresses that name no relay.
    let both = OrTransport::new(relayed, direct).map(|either, _| match either {
        futures::future::Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        futures::future::Either::Right((peer, muxer)) => (peer, muxer),
    });
    Ok((both.boxed(), behaviour))
}

fn internet(keys: &Keypair, traffic: &Arc<Traffic>) -> Result<Connections, noise::Error> {
    match dns::tokio::Transport::system(ip(keys, traffic)?) {
        Ok(transport) => Ok(transport.boxed()),
        Err(error) => {
            tracing::warn!(%error, "the system's DNS configuration can't be read: only numeric addresses will work");
            ip(keys, traffic)
        }
    }
}

fn ip(keys: &Keypair, traffic: &Arc<Traffic>) -> Result<Connections, noise::Error> {
    let counters = traffic.clone();
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .map(move |stream, _| Counted::new(stream, counters.clone()))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keys)?)
        .multiplex(yamux::Config::default())
        .timeout(UPGRADE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let counters = traffic.clone();
    let mut config = quic::Config::new(keys);
    config.handshake_timeout = QUIC_HANDSHAKE_TIMEOUT;
    let quic = quic::tokio::Transport::new(config).map(move |(peer, muxer), _| {
        let muxer = CountedMuxer::new(StreamMuxerBox::new(muxer), counters.clone());
        (peer, StreamMuxerBox::new(muxer))
    });
    Ok(OrTransport::new(quic, tcp).map(|either, _| either.into_inner()).boxed())
}

fn memory(keys: &Keypair, traffic: &Arc<Traffic>) -> Result<Connections, noise::Error> {
    let counters = traffic.clone();
    Ok(MemoryTransport::default()
        .map(move |stream, _| Counted::new(stream, counters.clone()))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keys)?)
        .multiplex(yamux::Config::default())
        .timeout(UPGRADE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed())
}
