//! Gossip, as groups use it.

use std::collections::HashSet;

use secure_chat_node::network::limits::{GOSSIP_MAX_BYTES, GOSSIP_TOPIC_MAX_BYTES};
use secure_chat_node::network::{GossipError, NetworkEvent, PeerId};

use crate::testbed::{MEMORY, Peer};

/// All of them share groups.
async fn admit_all(peers: &[&Peer]) {
    let all: HashSet<PeerId> = peers.iter().map(|peer| peer.id).collect();
    for peer in peers {
        peer.handle.gossip_with(all.clone()).await;
    }
}

/// Waits until a peer is told that another listens to a topic.
async fn hears_of(peer: &mut Peer, topic: &str) {
    peer.until(|event| match event {
        NetworkEvent::GossipSubscribed { topic: told, .. } => (told == topic).then_some(()),
        _ => None,
    })
    .await;
}

/// The next message that is published and comes.
async fn next_message(peer: &mut Peer) -> Vec<u8> {
    peer.until(|event| match event {
        NetworkEvent::Gossip { data, .. } => Some(data),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn more_topics_than_libp2p_allows_by_default_are_all_heard() {
    let (alice, _) = Peer::listening(1, MEMORY).await;
    let (mut bob, at) = Peer::listening(2, MEMORY).await;
    let topics: HashSet<String> = (0..700).map(|number| format!("{number:064}")).collect();
    for topic in &topics {
        alice.handle.subscribe(topic.clone()).await.unwrap();
    }
    admit_all(&[&alice, &bob]).await;
    alice.handle.dial(at).await.unwrap();
    let mut heard = HashSet::new();
    while heard.len() < topics.len() {
        heard.insert(
            bob.until(|event| match event {
                NetworkEvent::GossipSubscribed { topic, .. } => Some(topic),
                _ => None,
            })
            .await,
        );
    }
    assert_eq!(heard, topics);
}

#[tokio::test]
async fn a_burst_of_the_longest_messages_arrives() {
    let (alice, _) = Peer::listening(1, MEMORY).await;
    let (mut bob, at) = Peer::listening(2, MEMORY).await;
    admit_all(&[&alice, &bob]).await;
    bob.handle.subscribe("t".to_owned()).await.unwrap();
    assert_eq!(alice.handle.publish("t".to_owned(), vec![0]).await, Err(GossipError::NobodyListens));
    let mut alice = alice;
    alice.handle.dial(at).await.unwrap();
    alice.until(|event| matches!(event, NetworkEvent::GossipSubscribed { .. }).then_some(())).await;
    for number in 0..20_u8 {
        alice.handle.publish("t".to_owned(), vec![number; GOSSIP_MAX_BYTES]).await.unwrap();
    }
    let mut numbers = HashSet::new();
    while numbers.len() < 20 {
        let (topic, data, forwarder) = bob
            .until(|event| match event {
                NetworkEvent::Gossip { topic, data, forwarder, .. } => Some((topic, data, forwarder)),
                _ => None,
            })
            .await;
        assert_eq!((topic.as_str(), data.len(), forwarder), ("t", GOSSIP_MAX_BYTES, alice.id));
        numbers.insert(data[0]);
    }
    let too_long = alice.handle.publish("t".to_owned(), vec![0; GOSSIP_MAX_BYTES + 1]).await;
    assert_eq!(too_long, Err(GossipError::TooLong));
    let long = "x".repeat(GOSSIP_TOPIC_MAX_BYTES + 1);
    assert_eq!(alice.handle.subscribe(long).await, Err(GossipError::TopicTooLong));
}

#[tokio::test]
async fn a_message_goes_further_only_when_it_is_passed_on() {
    let (alice, _) = Peer::listening(1, MEMORY).await;
    let (mut bob, at_bob) = Peer::listening(2, MEMORY).await;
    let (mut carol, _) = Peer::listening(3, MEMORY).await;
    for peer in [&alice, &bob, &carol] {
        peer.handle.subscribe("t".to_owned()).await.unwrap();
    }
    admit_all(&[&alice, &bob, &carol]).await;
    let mut alice = alice;
    for peer in [&mut alice, &mut carol] {
        peer.handle.dial(at_bob.clone()).await.unwrap();
        peer.until(|event| matches!(event, NetworkEvent::GossipSubscribed { .. }).then_some(())).await;
    }
    bob.until(|event| matches!(event, NetworkEvent::GossipSubscribed { .. }).then_some(())).await;
    // Kept back, passed on: Carol hears the second, and never the first.
    alice.handle.publish("t".to_owned(), vec![1]).await.unwrap();
    alice.handle.publish("t".to_owned(), vec![2]).await.unwrap();
    loop {
        let (data, forwarder, id) = bob
            .until(|event| match event {
                NetworkEvent::Gossip { data, forwarder, id, .. } => Some((data, forwarder, id)),
                _ => None,
            })
            .await;
        if data == [2] {
            bob.handle.pass_on(id, forwarder);
            break;
        }
    }
    bob.handle.publish("t".to_owned(), vec![3]).await.unwrap();
    let mut heard = HashSet::new();
    while heard.len() < 2 {
        heard.insert(
            carol
                .until(|event| match event {
                    NetworkEvent::Gossip { data, .. } => Some(data[0]),
                    _ => None,
                })
                .await,
        );
    }
    assert_eq!(heard, HashSet::from([2, 3]));
}

#[tokio::test]
async fn who_was_not_admitted_hears_neither_topics_nor_messages_however_much_they_say_themselves() {
    let (mut alice, _) = Peer::listening(1, MEMORY).await;
    let (mut bob, at_bob) = Peer::listening(2, MEMORY).await;
    let (mut carol, at_carol) = Peer::listening(3, MEMORY).await;
    let all = HashSet::from([alice.id, bob.id, carol.id]);
    for peer in [&alice, &bob, &carol] {
        peer.handle.subscribe("t".to_owned()).await.unwrap();
    }
    // Carol knows the topic and admits everybody; Alice shares no group with her.
    carol.handle.gossip_with(all.clone()).await;
    bob.handle.gossip_with(all.clone()).await;
    alice.handle.gossip_with(HashSet::from([bob.id])).await;
    alice.handle.dial(at_carol.clone()).await.unwrap();
    alice.handle.dial(at_bob).await.unwrap();
    hears_of(&mut alice, "t").await;
    alice.handle.publish("t".to_owned(), vec![1]).await.unwrap();
    assert_eq!(next_message(&mut bob).await, [1]);
    // Now she does, on the connection that stands: what Carol said before counts from here.
    alice.handle.gossip_with(all.clone()).await;
    hears_of(&mut alice, "t").await;
    hears_of(&mut carol, "t").await;
    alice.handle.publish("t".to_owned(), vec![2]).await.unwrap();
    assert_eq!(next_message(&mut carol).await, [2], "and nothing of before");
    assert_eq!(next_message(&mut bob).await, [2]);
    // And no longer: neither what is said nor what is listened to from now on.
    alice.handle.gossip_with(HashSet::from([bob.id])).await;
    alice.handle.subscribe("u".to_owned()).await.unwrap();
    alice.handle.publish("t".to_owned(), vec![3]).await.unwrap();
    assert_eq!(next_message(&mut bob).await, [3]);
    // Once more, over a new connection.
    alice.handle.gossip_with(all).await;
    let gone = |event| matches!(event, NetworkEvent::Disconnected { last: true, .. }).then_some(());
    alice.until(gone).await;
    let mut told = Vec::new();
    let ended = |event| match event {
        NetworkEvent::GossipSubscribed { topic, .. } => {
            told.push(topic);
            None
        }
        NetworkEvent::Gossip { data, .. } => panic!("heard {data:?}"),
        NetworkEvent::Disconnected { .. } => Some(()),
        _ => None,
    };
    carol.until(ended).await;
    assert!(told.is_empty(), "was told of {told:?}");
    alice.handle.dial(at_carol).await.unwrap();
    hears_of(&mut alice, "t").await;
    hears_of(&mut carol, "u").await;
    alice.handle.publish("t".to_owned(), vec![4]).await.unwrap();
    assert_eq!(next_message(&mut carol).await, [4]);
}

#[tokio::test]
async fn of_two_that_say_who_is_admitted_the_later_counts() {
    let (mut alice, _) = Peer::listening(1, MEMORY).await;
    let (bob, at_bob) = Peer::listening(2, MEMORY).await;
    admit_all(&[&alice, &bob]).await;
    bob.handle.subscribe("t".to_owned()).await.unwrap();
    let nobody = alice.handle.gossip_with(HashSet::new());
    let bob_alone = alice.handle.gossip_with(HashSet::from([bob.id]));
    bob_alone.await;
    nobody.await;
    alice.handle.dial(at_bob).await.unwrap();
    hears_of(&mut alice, "t").await;
}
