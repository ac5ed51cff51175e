//! Starting, stopping, and staying connected.

use std::net::TcpListener;

use secure_chat_node::network::{NetworkError, NetworkEvent, Route};

use crate::testbed::{MEMORY, Node, Peer, TCP, address, config, echoed, numbered};

#[tokio::test]
async fn shutdown_frees_the_port_at_once_and_tells_the_others() {
    let (mut alice, _) = Peer::listening(1, TCP).await;
    let (bob, at) = Peer::listening(2, TCP).await;
    let (to, stop) = (bob.id, bob.handle.clone());
    let _echo = bob.echo();
    assert_eq!(alice.handle.request(to, vec![at.clone()], numbered(1)).await, Ok(echoed(1)));
    stop.shutdown().await;
    let port: u16 = at.to_string().split('/').nth(4).unwrap().parse().unwrap();
    // std's listener does not share the port: this fails while anybody still listens.
    TcpListener::bind(("127.0.0.1", port)).unwrap();
    let last = alice.until(|event| match event {
        NetworkEvent::Disconnected { peer, last } if peer == to => Some(last),
        _ => None,
    });
    assert!(last.await);
    stop.shutdown().await; // A second time does nothing.
}

#[tokio::test]
async fn dropping_every_handle_ends_the_network() {
    let (mut alice, _) = Peer::listening(1, MEMORY).await;
    let Peer { handle, mut events, .. } = Peer::start(config(2, MEMORY));
    drop(handle);
    while events.recv().await.is_some() {}
    alice.handle.shutdown().await;
    while alice.events.recv().await.is_some() {}
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let Err(error) = secure_chat_node::network::Network::start(config(1, &listen)) else { panic!("it is taken") };
    assert!(matches!(&error, NetworkError::Listen { address: named, .. } if *named == address(&listen)), "{error}");
    let mut nameless = config(1, TCP);
    nameless.rendezvous = vec![address("/ip4/127.0.0.1/tcp/4001")];
    let Err(error) = secure_chat_node::network::Network::start(nameless) else { panic!("it has no peer id") };
    assert!(matches!(error, NetworkError::Rendezvous { .. }));
}

#[tokio::test]
async fn a_rendezvous_node_that_restarts_is_connected_and_relays_again() {
    let node = Node::start(9, TCP).await;
    let (at, peer) = (node.address.clone(), node.peer);
    let mut alice = config(1, TCP);
    alice.rendezvous = vec![at.clone()];
    let mut alice = Peer::start(alice);
    let relays = |event| matches!(event, NetworkEvent::Relayed { node } if node == peer).then_some(());
    alice
        .until(|event| matches!(event, NetworkEvent::RendezvousConnected { node } if node == peer).then_some(()))
        .await;
    alice.until(relays).await;
    let status = alice.handle.status().await.unwrap();
    assert_eq!(status.relayed_via, [peer]);
    assert!(status.external.iter().any(secure_chat_node::network::Address::is_relayed));
    node.kill().await;
    alice
        .until(|event| matches!(event, NetworkEvent::RendezvousDisconnected { node, .. } if node == peer).then_some(()))
        .await;
    let status = alice.handle.status().await.unwrap();
    assert_eq!((status.relayed_via.len(), status.rendezvous.len()), (0, 1));
    let at = at.to_string();
    let _node = Node::start(9, at.rsplit_once("/p2p/").unwrap().0).await;
    alice.until(relays).await;
}

#[tokio::test]
async fn rendezvous_nodes_can_be_replaced_while_it_runs() {
    let (first, second) = (Node::start(8, MEMORY).await, Node::start(9, MEMORY).await);
    let (mut alice, _) = Peer::listening(1, MEMORY).await;
    for node in [&first, &second, &first] {
        alice.handle.set_rendezvous(vec![node.address.clone()]).await.unwrap();
        let peer = node.peer;
        alice.until(|event| matches!(event, NetworkEvent::Relayed { node } if node == peer).then_some(())).await;
        let status = alice.handle.status().await.unwrap();
        assert_eq!(status.relayed_via, [peer]);
    }
    alice.handle.set_rendezvous(Vec::new()).await.unwrap();
    let gone = first.peer;
    alice.until(|event| matches!(event, NetworkEvent::Disconnected { peer, .. } if peer == gone).then_some(())).await;
    assert!(alice.handle.status().await.unwrap().rendezvous.is_empty());
}

#[tokio::test]
async fn connections_are_told_with_their_route() {
    let (mut alice, _) = Peer::listening(1, MEMORY).await;
    let (mut bob, at) = Peer::listening(2, MEMORY).await;
    assert_eq!(alice.handle.dial(at).await, Ok(bob.id));
    for (peer, other) in [(&mut alice, bob.id), (&mut bob, PeerOf::ALICE.id())] {
        let connected = peer.until(|event| match event {
            NetworkEvent::Connected { peer, route, first, .. } if peer == other => Some((route, first)),
            _ => None,
        });
        assert_eq!(connected.await, (Route::Direct, true));
    }
    alice.handle.disconnect(bob.id).await;
    bob.until(|event| matches!(event, NetworkEvent::Disconnected { last: true, .. }).then_some(())).await;
}

struct PeerOf([u8; 32]);

impl PeerOf {
    const ALICE: Self = Self([1; 32]);

    fn id(&self) -> secure_chat_node::network::PeerId {
        secure_chat_node::network::PeerId::from_seed(&self.0).unwrap()
    }
}
