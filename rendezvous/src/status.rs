//! Asks a running node how it is, as a peer would: over the network, under a throw-away identity.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{self, Message, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use secure_chat_protocol::wire::rendezvous::{NodeInfo, RENDEZVOUS_PROTOCOL, Request, Response};
use secure_chat_rendezvous::server::codec::{Inbound, RequestCodec};

/// The node must have answered in this time.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks the node at `address` and prints what it says.
pub(crate) async fn ask(address: &str, json: bool) -> anyhow::Result<()> {
    let address: Multiaddr = address.parse().with_context(|| format!("{address} is not a multiaddr"))?;
    let Some(Protocol::P2p(peer)) = address.iter().last() else {
        bail!("{address} does not end in /p2p/PEER_ID");
    };
    let started = Instant::now();
    let info = tokio::time::timeout(PATIENCE, info(peer, address.clone()))
        .await
        .with_context(|| format!("{address} did not answer within {} seconds", PATIENCE.as_secs()))??;
    Ok(print(&address, peer, &info, started.elapsed(), json)?)
}

async fn info(peer: PeerId, address: Multiaddr) -> anyhow::Result<NodeInfo> {
    let mut swarm = client()?;
    swarm.dial(DialOpts::peer_id(peer).addresses(vec![address]).build())?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == peer => {
                swarm.behaviour_mut().send_request(&peer, Inbound { request: Ok(Request::Info), lease: None });
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => bail!("the node is not reached: {error}"),
            SwarmEvent::Behaviour(request_response::Event::Message {
                message: Message::Response { response, .. },
                ..
            }) => match response.response {
                Response::Info(info) => return Ok(info),
                Response::Refused(refusal) => bail!("the node refuses: {refusal:?}"),
                _ => bail!("the node answers something else than was asked"),
            },
            SwarmEvent::Behaviour(request_response::Event::OutboundFailure { error, .. }) => {
                bail!("the node does not answer: {error}")
            }
            _ => {}
        }
    }
}

fn client() -> anyhow::Result<Swarm<request_response::Behaviour<RequestCodec>>> {
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_quic()
        .with_dns()?
        .with_behaviour(|_| {
            let protocols = [(StreamProtocol::new(RENDEZVOUS_PROTOCOL), ProtocolSupport::Outbound)];
            request_response::Behaviour::with_codec(
                RequestCodec::default(),
                protocols,
                request_response::Config::default(),
            )
        })?
        .build())
}

fn print(address: &Multiaddr, peer: PeerId, info: &NodeInfo, took: Duration, json: bool) -> std::io::Result<()> {
    let now = i128::from(info.now.0).saturating_mul(1_000_000);
    let now = time::OffsetDateTime::from_unix_timestamp_nanos(now)
        .ok()
        .and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_default();
    let version = secure_chat_protocol::validate::escape_for_terminal(&info.version);
    let answered_ms = took.as_millis();
    if json {
        let line = serde_json::json!({
            "address": address.to_string(),
            "peer_id": peer.to_string(),
            "version": info.version,
            "now": now,
            "envelope_max_bytes": info.envelope_max_bytes,
            "work_bits": info.work_bits,
            "answered_ms": answered_ms,
        });
        return crate::print(&line.to_string());
    }
    crate::print(&format!(
        "{address}\n  version          {version}\n  its clock        {now}\n  longest envelope {} bytes\n  \
         strangers' work  {} bits\n  answered in      {answered_ms} ms (with the connection)",
        info.envelope_max_bytes, info.work_bits
    ))
}
