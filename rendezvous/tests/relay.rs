//! The relay lets a chat and a 50 MB file through, on loopback, with the default limits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod support;

use std::time::Duration;

use futures::StreamExt;
use libp2p::request_response::{self, Message, ProtocolSupport};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, identify, noise, relay, tcp, yamux};
use secure_chat_rendezvous::RendezvousNode;
use support::{Frame, RawCodec, loopback_node, stranger};

const CHUNK_BYTES: usize = 1024 * 1024;
const CHUNKS: usize = 52;
/// Longer than a chat's silence that the stock limits would allow, in messages that each wait for their answer.
const CHAT_MESSAGES: usize = 500;

#[derive(NetworkBehaviour)]
struct Peer {
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    chat: request_response::Behaviour<RawCodec>,
}

fn peer(seed: u64) -> Swarm<Peer> {
    SwarmBuilder::with_existing_identity(stranger(seed))
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key, relay| Peer {
            relay,
            identify: identify::Behaviour::new(identify::Config::new("/test/1".to_owned(), key.public())),
            chat: request_response::Behaviour::new(
                [(StreamProtocol::new("/test/chat/1"), ProtocolSupport::Full)],
                request_response::Config::default().with_request_timeout(support::PATIENCE),
            ),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3_600)))
        .build()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_and_a_file_of_50_mb_pass_through_one_circuit() {
    let directory = tempfile::tempdir().unwrap();
    let node = RendezvousNode::start(loopback_node(directory.path())).await.unwrap();
    let relay: Multiaddr = node.addresses()[0].parse().unwrap();
    let mut bob = peer(1);
    let bob_id = *bob.local_peer_id();
    let through = relay.with(libp2p::multiaddr::Protocol::P2pCircuit);
    bob.listen_on(through.clone()).unwrap();
    let reserved = tokio::time::timeout(support::PATIENCE, async {
        while !matches!(
            bob.select_next_some().await,
            SwarmEvent::Behaviour(PeerEvent::Relay(relay::client::Event::ReservationReqAccepted { .. }))
        ) {}
    });
    reserved.await.expect("a reservation");
    let mut alice = peer(2);
    let circuit = through.with_p2p(bob_id).unwrap();
    alice.dial(DialOpts::peer_id(bob_id).addresses(vec![circuit]).build()).unwrap();
    let (count, received) = tokio::sync::watch::channel(0);
    let answering = tokio::spawn(answer_all(bob, count));
    let sent = tokio::time::timeout(support::PATIENCE * 4, send_all(alice, bob_id)).await;
    assert_eq!(sent.expect("everything passes in time"), CHUNKS + CHAT_MESSAGES);
    assert_eq!(*received.borrow(), CHUNKS * CHUNK_BYTES + CHAT_MESSAGES * 100);
    answering.abort();
    node.stop().await;
}

/// Sends the file, several chunks at once, then the chat, one message after the other.
async fn send_all(mut alice: Swarm<Peer>, bob: libp2p::PeerId) -> usize {
    let (mut sent, mut answered) = (0, 0);
    loop {
        match alice.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } if peer_id == bob => {
                assert!(endpoint.is_relayed(), "the route is the relay");
                for _ in 0..4 {
                    alice.behaviour_mut().chat.send_request(&bob, Frame::Bytes(vec![1; CHUNK_BYTES]));
                    sent += 1;
                }
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
            SwarmEvent::Behaviour(PeerEvent::Chat(event)) => match event {
                request_response::Event::Message { message: Message::Response { .. }, .. } => {
                    answered += 1;
                    if sent < CHUNKS {
                        alice.behaviour_mut().chat.send_request(&bob, Frame::Bytes(vec![1; CHUNK_BYTES]));
                        sent += 1;
                    } else if answered >= CHUNKS && sent < CHUNKS + CHAT_MESSAGES {
                        alice.behaviour_mut().chat.send_request(&bob, Frame::Bytes(vec![2; 100]));
                        sent += 1;
                    } else if answered == CHUNKS + CHAT_MESSAGES {
                        return answered;
                    }
                }
                request_response::Event::OutboundFailure { error, .. } => panic!("after {answered}: {error}"),
                _ => {}
            },
            _ => {}
        }
    }
}

async fn answer_all(mut bob: Swarm<Peer>, count: tokio::sync::watch::Sender<usize>) {
    loop {
        if let SwarmEvent::Behaviour(PeerEvent::Chat(request_response::Event::Message {
            message: Message::Request { request: Frame::Bytes(chunk), channel, .. },
            ..
        })) = bob.select_next_some().await
        {
            count.send_modify(|bytes| *bytes += chunk.len());
            bob.behaviour_mut().chat.send_response(channel, vec![1]).unwrap();
        }
    }
}
