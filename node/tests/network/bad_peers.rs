//! Peers that send garbage are cut off and counted, without harm to others.

use futures::StreamExt as _;
use futures::io::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{StreamProtocol, SwarmBuilder, noise, yamux};
use secure_chat_node::network::limits::GARBAGE_MAX;
use secure_chat_node::network::{Address, Fault, NetworkEvent, PeerId};
use secure_chat_protocol::wire::peer::PEER_PROTOCOL;

use crate::testbed::{Peer, TCP, config, multiaddr, numbered};

/// A peer that can open streams and write anything.
async fn mallory(at: &Address) -> (PeerId, libp2p_stream::Control, tokio::task::JoinHandle<()>) {
    let keys = libp2p::identity::Keypair::ed25519_from_bytes([66; 32]).unwrap();
    let mut swarm = SwarmBuilder::with_existing_identity(keys)
        .with_tokio()
        .with_tcp(libp2p::tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(crate::testbed::PATIENCE))
        .build();
    let control = swarm.behaviour().new_control();
    let id = swarm.local_peer_id().to_string().parse().unwrap();
    swarm.dial(multiaddr(at)).unwrap();
    let task = tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    (id, control, task)
}

async fn send(control: &mut libp2p_stream::Control, to: PeerId, bytes: &[u8], end: bool) -> libp2p::Stream {
    let to: libp2p::PeerId = to.to_string().parse().unwrap();
    let mut stream = control.open_stream(to, StreamProtocol::new(PEER_PROTOCOL)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    if end {
        stream.close().await.unwrap();
    } else {
        stream.flush().await.unwrap();
    }
    stream
}

async fn malformed(bob: &mut Peer, from: PeerId) -> (Fault, bool) {
    bob.until(|event| match event {
        NetworkEvent::Malformed { peer, fault, disconnected, .. } => {
            assert_eq!(peer, from);
            Some((fault, disconnected))
        }
        _ => None,
    })
    .await
}

#[tokio::test]
async fn garbage_is_cut_off_and_counted_while_others_are_served() {
    let (mut bob, at) = Peer::listening(2, TCP).await;
    let alice = Peer::start(config(1, TCP));
    let (from, mut control, _swarm) = mallory(&at).await;

    let mut cut = send(&mut control, bob.id, &[3, 0, 0, 0, 255, 255, 255], false).await;
    assert_eq!(malformed(&mut bob, from).await, (Fault::Malformed, false));
    let mut rest = Vec::new();
    // Either the end or a reset, but no answer.
    let _ = cut.read_to_end(&mut rest).await;
    assert!(rest.is_empty());

    let _huge = send(&mut control, bob.id, &100_000_000_u32.to_le_bytes(), false).await;
    assert_eq!(malformed(&mut bob, from).await, (Fault::TooLong, false));
    let _half = send(&mut control, bob.id, &[9, 0, 0, 0, 1], true).await;
    assert_eq!(malformed(&mut bob, from).await, (Fault::CutOff, false));

    // A stream that never goes on holds up nobody.
    let _slow = send(&mut control, bob.id, &[9, 0, 0, 0, 1], false).await;
    let (handle, to, there) = (alice.handle.clone(), bob.id, vec![at.clone()]);
    let asking = tokio::spawn(async move { handle.request(to, there, numbered(1)).await });
    let (_, _, responder) = bob.inbound().await;
    responder.respond(crate::testbed::echoed(1));
    assert_eq!(asking.await.unwrap(), Ok(crate::testbed::echoed(1)));
    // Ten seconds later it is given up, too.
    assert_eq!(malformed(&mut bob, from).await, (Fault::TooSlow, false));

    for count in 5..=GARBAGE_MAX {
        let _garbage = send(&mut control, bob.id, &[0, 0, 0, 0], true).await;
        assert_eq!(malformed(&mut bob, from).await, (Fault::Malformed, count == GARBAGE_MAX));
    }
    let gone = |event| matches!(event, NetworkEvent::Disconnected { peer, .. } if peer == from).then_some(());
    bob.until(gone).await;
    // When it comes back at once, it is shown the door.
    let (again, _, _swarm) = mallory(&at).await;
    assert_eq!(again, from);
    bob.until(gone).await;
    let status = bob.handle.status().await.unwrap();
    assert_eq!(status.connections.iter().map(|connection| connection.peer).collect::<Vec<_>>(), [alice.id]);
}

#[tokio::test]
async fn a_flood_of_unanswered_requests_is_refused_beyond_its_bound() {
    use secure_chat_node::network::limits::INBOUND_PER_PEER_MAX;
    let (mut bob, at) = Peer::listening(2, TCP).await;
    let (_, mut control, _swarm) = mallory(&at).await;
    // `Bundle` without content: one byte.
    let request = [1, 0, 0, 0, 2];
    let mut streams = Vec::new();
    let mut held = Vec::new();
    for _ in 0..INBOUND_PER_PEER_MAX {
        streams.push(send(&mut control, bob.id, &request, true).await);
        held.push(bob.inbound().await.2);
    }
    let mut refused = send(&mut control, bob.id, &request, true).await;
    let mut answer = Vec::new();
    refused.read_to_end(&mut answer).await.unwrap();
    let answer = secure_chat_protocol::wire::peer::PeerResponse::decode(&answer[4..]).unwrap();
    use secure_chat_protocol::wire::peer::{PeerRefusal, PeerResponse};
    assert!(matches!(answer, PeerResponse::Refused(PeerRefusal::SlowDown { .. })));
}
