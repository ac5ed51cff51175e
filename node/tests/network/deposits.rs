//! Deposits under throw-away peer ids, and pushes.

use std::collections::HashSet;

use secure_chat_node::network::limits::COURIER_DEPOSITS_MAX;
use secure_chat_node::network::{DialError, NetworkEvent, RequestError};
use secure_chat_protocol::id::{EnvelopeId, MailboxId};
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{Payment, Push, Request, Response};

use crate::testbed::{MEMORY, Node, Peer, TCP, address, config};

fn deposit(mailbox: u8) -> Request {
    Request::Deposit {
        mailbox: MailboxId([mailbox; 32]),
        payment: Payment::Token(Fixed([0; 32])),
        id: EnvelopeId([0; 16]),
        sealed: Bytes(vec![0; 100]),
    }
}

#[tokio::test]
async fn the_node_sees_another_peer_id_for_each_mailbox_and_never_the_real_one() {
    for listen in [MEMORY, TCP] {
        let mut node = Node::start(9, listen).await;
        let (alice, _) = Peer::listening(1, listen).await;
        assert_eq!(alice.handle.rendezvous(node.address.clone(), Request::Info).await, Ok(Response::Done));
        assert_eq!(node.askers.recv().await, Some(alice.id));
        let mut seen = HashSet::new();
        for mailbox in 0..3 {
            assert_eq!(alice.handle.deposit(node.address.clone(), deposit(mailbox)).await, Ok(Response::Done));
            seen.insert(node.askers.recv().await.unwrap());
        }
        assert_eq!(seen.len(), 3);
        assert!(!seen.contains(&alice.id));
    }
}

#[tokio::test]
async fn a_throw_away_peer_id_ends_after_some_deposits() {
    let mut node = Node::start(9, MEMORY).await;
    let (alice, _) = Peer::listening(1, MEMORY).await;
    let mut seen = HashSet::new();
    let total = COURIER_DEPOSITS_MAX + 1;
    let asking: Vec<_> = (0..total)
        .map(|_| {
            let (handle, node) = (alice.handle.clone(), node.address.clone());
            tokio::spawn(async move { handle.deposit(node, deposit(1)).await })
        })
        .collect();
    for answer in asking {
        assert_eq!(answer.await.unwrap(), Ok(Response::Done));
        seen.insert(node.askers.recv().await.unwrap());
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn a_deposit_at_a_dead_node_fails_at_once_and_later_succeeds() {
    let node = Node::start(9, TCP).await;
    let at = node.address.clone();
    node.kill().await;
    let (alice, _) = Peer::listening(1, TCP).await;
    let failed = alice.handle.deposit(at.clone(), deposit(1)).await;
    assert_eq!(failed, Err(RequestError::DialFailed(DialError::Refused)));
    let text = at.to_string();
    let _node = Node::start(9, text.rsplit_once("/p2p/").unwrap().0).await;
    assert_eq!(alice.handle.deposit(at, deposit(1)).await, Ok(Response::Done));
    let nameless = address("/ip4/127.0.0.1/tcp/1");
    assert_eq!(alice.handle.deposit(nameless, deposit(1)).await, Err(RequestError::NoAddress));
}

#[tokio::test]
async fn a_push_is_told_when_it_comes_from_a_node_of_ours() {
    let (mine, foreign) = (Node::start(8, MEMORY).await, Node::start(9, MEMORY).await);
    let mut alice = config(1, MEMORY);
    alice.rendezvous = vec![mine.address.clone()];
    let mut alice = Peer::start(alice);
    assert_eq!(alice.handle.dial(foreign.address.clone()).await, Ok(foreign.peer));
    alice.until(|event| matches!(event, NetworkEvent::RendezvousConnected { .. }).then_some(())).await;
    foreign.push(alice.id, Push::Mail { waiting: 666 });
    // What the foreign node says must not be told, so wait until its answer, a refusal to
    // answer, has gone: a request over the same connection is behind it.
    assert_eq!(alice.handle.rendezvous(foreign.address.clone(), Request::Info).await, Ok(Response::Done));
    mine.push(alice.id, Push::Mail { waiting: 7 });
    let push = alice.until(|event| match event {
        NetworkEvent::Push { node, push } => Some((node, push)),
        _ => None,
    });
    assert_eq!(push.await, (mine.peer, Push::Mail { waiting: 7 }));
}
