//! Gossip, as groups use it.

use std::collections::HashSet;

use secure_chat_node::network::limits::{GOSSIP_MAX_BYTES, GOSSIP_TOPIC_MAX_BYTES};
use secure_chat_node::network::{GossipError, NetworkEvent};

use crate::testbed::{MEMORY, Peer};

#[tokio::test]
async fn more_topics_than_libp2p_allows_by_default_are_all_heard() {
    let (alice, _) = Peer::listening(1, MEMORY).await;
    let (mut bob, at) = Peer::listening(2, MEMORY).await;
    let topics: HashSet<String> = (0..700).map(|number| format!("{number:064}")).collect();
    for topic in &topics {
        alice.handle.subscribe(topic.clone()).await.unwrap();
    }
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
