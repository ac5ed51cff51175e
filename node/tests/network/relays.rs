//! Through a relay, and past it.

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use secure_chat_node::network::{NetworkEvent, PeerStream, Route};

use crate::testbed::{MEMORY, Node, PATIENCE, Peer, QUIC, TCP, address, config, echoed, numbered};

/// A peer that nobody can dial, but for its relay.
async fn behind_relay(seed: u8, listen: &str, node: &Node) -> Peer {
    let mut config = config(seed, listen);
    config.listen.clear();
    config.rendezvous = vec![node.address.clone()];
    let mut peer = Peer::start(config);
    peer.until(|event| matches!(event, NetworkEvent::Relayed { .. }).then_some(())).await;
    peer
}

async fn reached_through_the_relay(listen: &str) {
    let node = Node::start(9, listen).await;
    let bob = behind_relay(2, listen, &node).await;
    let mut alice = behind_relay(1, listen, &node).await;
    let to = bob.id;
    let _echo = bob.echo();
    assert_eq!(alice.handle.request(to, Vec::new(), numbered(1)).await, Ok(echoed(1)));
    let route = alice.until(|event| match event {
        NetworkEvent::Connected { peer, route, .. } if peer == to => Some(route),
        _ => None,
    });
    assert_eq!(route.await, Route::Relayed);
    let status = alice.handle.status().await.unwrap();
    let connection = status.connections.iter().find(|connection| connection.peer == to).unwrap();
    assert_eq!(connection.route, Route::Relayed);
    assert!(connection.address.is_relayed());
}

#[tokio::test]
async fn a_peer_without_any_address_is_reached_through_the_relay_over_memory() {
    reached_through_the_relay(MEMORY).await;
}

#[tokio::test]
async fn a_peer_without_any_address_is_reached_through_the_relay_over_tcp() {
    reached_through_the_relay(TCP).await;
}

#[tokio::test]
async fn a_direct_connection_replaces_the_relayed_one_and_loses_nothing() {
    let node = Node::start(9, MEMORY).await;
    let mut bob = config(2, MEMORY);
    bob.rendezvous = vec![node.address.clone()];
    let mut bob = Peer::start(bob);
    let at = bob.listens().await;
    bob.until(|event| matches!(event, NetworkEvent::Relayed { .. }).then_some(())).await;
    let mut alice = behind_relay(1, MEMORY, &node).await;
    let to = bob.id;
    let _echo = bob.echo();
    assert_eq!(alice.handle.request(to, Vec::new(), numbered(0)).await, Ok(echoed(0)));
    assert_eq!(alice.handle.dial(at).await, Ok(to));
    alice
        .until(|event| {
            matches!(event, NetworkEvent::RouteChanged { peer, route: Route::Direct } if peer == to).then_some(())
        })
        .await;
    // While the relayed one goes, requests go on, and none is lost.
    for number in 1..200 {
        assert_eq!(alice.handle.request(to, Vec::new(), numbered(number)).await, Ok(echoed(number)));
    }
    alice
        .until(|event| matches!(event, NetworkEvent::Disconnected { peer, last: false } if peer == to).then_some(()))
        .await;
    let status = alice.handle.status().await.unwrap();
    let routes: Vec<_> = status.connections.iter().filter(|c| c.peer == to).map(|c| c.route).collect();
    assert_eq!(routes, [Route::Direct]);
}

async fn stream_to(from: &Peer, to: &mut Peer) -> (PeerStream, PeerStream) {
    let mut opened = from.handle.open_stream(to.id).await.unwrap();
    opened.write_all(b"?").await.unwrap();
    opened.flush().await.unwrap();
    let mut taken = to
        .until(|event| match event {
            NetworkEvent::Stream { stream, .. } => Some(stream),
            _ => None,
        })
        .await;
    taken.read_exact(&mut [0]).await.unwrap();
    (opened, taken)
}

#[tokio::test]
async fn who_waits_for_a_stream_over_the_relayed_connection_hears_of_its_end_when_a_direct_one_replaces_it() {
    let node = Node::start(9, TCP).await;
    let mut bob = config(2, TCP);
    bob.rendezvous = vec![node.address.clone()];
    let mut bob = Peer::start(bob);
    let at = bob.listens().await;
    bob.until(|event| matches!(event, NetworkEvent::Relayed { .. }).then_some(())).await;
    let mut alice = behind_relay(1, TCP, &node).await;
    let to = bob.id;
    let by_relay = address(&format!("{}/p2p-circuit/p2p/{to}", node.address));
    assert_eq!(alice.handle.dial(by_relay).await, Ok(to));
    let (mut opened, mut taken) = stream_to(&alice, &mut bob).await;
    assert_eq!(alice.handle.dial(at).await, Ok(to));
    let (mut one, mut other) = ([0], [0]);
    let both = async { tokio::join!(opened.read_exact(&mut one), taken.read_exact(&mut other)) };
    let (one, other) = tokio::time::timeout(PATIENCE, both).await.expect("nobody wakes them");
    assert!(one.is_err() && other.is_err());
    alice
        .until(|event| matches!(event, NetworkEvent::Disconnected { peer, last: false } if peer == to).then_some(()))
        .await;
    stream_to(&alice, &mut bob).await;
}

#[tokio::test]
async fn direct_is_preferred_where_both_ways_exist() {
    let node = Node::start(9, TCP).await;
    let mut bob = config(2, TCP);
    bob.rendezvous = vec![node.address.clone()];
    let mut bob = Peer::start(bob);
    let at = bob.listens().await;
    bob.until(|event| matches!(event, NetworkEvent::Relayed { .. }).then_some(())).await;
    let mut alice = behind_relay(1, TCP, &node).await;
    let to = bob.id;
    let _echo = bob.echo();
    assert_eq!(alice.handle.request(to, vec![at], numbered(1)).await, Ok(echoed(1)));
    let route = alice.until(|event| match event {
        NetworkEvent::Connected { peer, route, .. } if peer == to => Some(route),
        _ => None,
    });
    assert_eq!(route.await, Route::Direct);
}

#[tokio::test]
async fn a_dead_address_does_not_keep_the_relay_from_being_used() {
    let node = Node::start(9, TCP).await;
    let bob = behind_relay(2, TCP, &node).await;
    let alice = behind_relay(1, TCP, &node).await;
    let to = bob.id;
    let _echo = bob.echo();
    let dead = crate::testbed::address("/ip4/127.0.0.1/tcp/1");
    assert_eq!(alice.handle.request(to, vec![dead], numbered(1)).await, Ok(echoed(1)));
}

#[tokio::test]
async fn hole_punching_finds_a_direct_way_though_nobody_named_an_address() {
    for direct in [TCP, QUIC] {
        // The node must see them come from the socket they listen with: same transport.
        let node = Node::start(9, direct).await;
        let known_to_the_node = async |seed| {
            let mut config = config(seed, TCP);
            config.listen = vec![address(direct)];
            config.rendezvous = vec![node.address.clone()];
            let mut peer = Peer::start(config);
            peer.until(|event| matches!(event, NetworkEvent::Relayed { .. }).then_some(())).await;
            peer
        };
        let bob = known_to_the_node(2).await;
        let mut alice = known_to_the_node(1).await;
        let to = bob.id;
        let _echo = bob.echo();
        assert_eq!(alice.handle.request(to, Vec::new(), numbered(1)).await, Ok(echoed(1)));
        alice
            .until(|event| {
                matches!(event, NetworkEvent::RouteChanged { peer, route: Route::Direct } if peer == to).then_some(())
            })
            .await;
        assert_eq!(alice.handle.request(to, Vec::new(), numbered(2)).await, Ok(echoed(2)));
    }
}
