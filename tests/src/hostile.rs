//! A peer that keeps to no rule: it writes any bytes on a stream of any protocol.

use std::io;

use anyhow::anyhow;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::{Transport as _, transport::MemoryTransport, upgrade};
use libp2p::request_response::{self, Codec, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identity, noise, yamux};

/// Longest answer that is read, in bytes.
const ANSWER_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Streams that carry whatever they are given: the length before a frame too is the caller's.
#[derive(Debug, Clone, Default)]
pub struct Raw;

/// A hostile peer over the memory transport.
pub struct Hostile {
    swarm: Swarm<request_response::Behaviour<Raw>>,
}

impl Hostile {
    /// Speaks `protocol`, with the key of `seed`.
    ///
    /// # Errors
    /// When the swarm can't be made.
    pub fn speaking(protocol: &'static str, seed: [u8; 32]) -> anyhow::Result<Self> {
        let behaviour = request_response::Behaviour::new(
            [(StreamProtocol::new(protocol), ProtocolSupport::Full)],
            request_response::Config::default(),
        );
        let swarm = SwarmBuilder::with_existing_identity(identity::Keypair::ed25519_from_bytes(seed)?)
            .with_tokio()
            .with_other_transport(|key| -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
                Ok(MemoryTransport::default()
                    .upgrade(upgrade::Version::V1)
                    .authenticate(noise::Config::new(key)?)
                    .multiplex(yamux::Config::default()))
            })
            .map_err(|error| anyhow!("{error}"))?
            .with_behaviour(|_| behaviour)
            .map_err(|error| anyhow!("{error}"))?
            .with_swarm_config(|config| config.with_idle_connection_timeout(std::time::Duration::from_secs(600)))
            .build();
        Ok(Self { swarm })
    }

    /// Writes `bytes` on a stream of its own, and waits for what becomes of it: an answer, or its end.
    ///
    /// # Errors
    /// When the address or the peer id is none.
    pub async fn send(&mut self, peer: &str, address: &str, bytes: Vec<u8>) -> anyhow::Result<Option<Vec<u8>>> {
        let (peer, address): (PeerId, Multiaddr) = (peer.parse()?, address.parse()?);
        let sent = self.swarm.behaviour_mut().send_request_with_addresses(&peer, bytes, vec![address]);
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::Behaviour(request_response::Event::Message {
                    message: request_response::Message::Response { request_id, response },
                    ..
                }) if request_id == sent => return Ok(Some(response)),
                SwarmEvent::Behaviour(request_response::Event::OutboundFailure { request_id, .. })
                    if request_id == sent =>
                {
                    return Ok(None);
                }
                _ => {}
            }
        }
    }
}

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read(io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }
}

async fn read(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.take(ANSWER_MAX_BYTES).read_to_end(&mut bytes).await?;
    Ok(bytes)
}
