//! People with two rendezvous nodes: they are registered at both, mail for them lies at all that they
//! name and is shown once, one node may be gone, and a name that means two people is nobody's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use secure_chat_node::api::{ApiError, ErrorKind, Event, MessageState};
use secure_chat_rendezvous::RendezvousNode;
use secure_chat_tests::{PASSWORD, Persona, TestNet, become_contacts};

/// What a node has counted under a name.
fn counted(node: &RendezvousNode, name: &str) -> u64 {
    let text = node.metrics().text();
    let name = format!("secure_chat_rendezvous_{name} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).expect("such a count").parse().unwrap()
}

/// Both have both nodes.
async fn two_of_each() -> (TestNet, [RendezvousNode; 2], Persona, Persona) {
    let mut net = TestNet::new().unwrap();
    let nodes = [net.rendezvous().await.unwrap(), net.rendezvous().await.unwrap()];
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    (net, nodes, alice, bob)
}

async fn says_all(from: &mut Persona, to: &str, texts: &[&str], wanted: MessageState) {
    for text in texts {
        let id = from.says(to, text).await.unwrap();
        let there = from.until(|event| match event {
            Event::MessageState { message_id, state, .. } if message_id == id && state == wanted => Some(()),
            _ => None,
        });
        there.await.unwrap();
    }
}

/// These, and no others, are there or soon will be: what one node hands out may come before the other node is there.
async fn has_all(who: &mut Persona, from: &str, texts: &[&str]) {
    while who.texts_of(from).await.unwrap().len() < texts.len() {
        who.until(|event| matches!(event, Event::MessageReceived(_)).then_some(())).await.unwrap();
    }
    assert_eq!(who.texts_of(from).await.unwrap(), texts);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_lies_at_every_node_that_its_recipient_names_and_is_shown_once() {
    let (_net, nodes, mut alice, mut bob) = two_of_each().await;
    for who in [&alice, &bob] {
        let homes = who.handle().unwrap().network_status().await.unwrap().rendezvous;
        assert!(homes.len() == 2 && homes.iter().all(|home| home.state == "registered"), "{homes:?}");
    }
    bob.away().await;
    let before = nodes.each_ref().map(|node| counted(node, "deposits_total"));
    says_all(&mut alice, "bob", &["one", "two", "three"], MessageState::Sent).await;
    alice.away().await;
    for (node, before) in nodes.iter().zip(before) {
        assert!(counted(node, "deposits_total") >= before + 3, "each text lies at each node");
    }
    bob.back().await.unwrap();
    has_all(&mut bob, "alice", &["one", "two", "three"]).await;
    alice.back().await.unwrap();
    says_all(&mut alice, "bob", &["four"], MessageState::Delivered).await;
    for node in &nodes {
        assert!(counted(node, "fetched_total") > 0, "Bob has looked at both");
    }
    has_all(&mut bob, "alice", &["one", "two", "three", "four"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_takes_nothing_with_it() {
    let (_net, nodes, mut alice, mut bob) = two_of_each().await;
    let [first, second] = nodes;
    bob.away().await;
    says_all(&mut alice, "bob", &["one", "two"], MessageState::Sent).await;
    first.abort().await;
    says_all(&mut alice, "bob", &["three", "four"], MessageState::Sent).await;
    alice.away().await;
    bob.finds_homes(1);
    bob.back().await.unwrap();
    has_all(&mut bob, "alice", &["one", "two", "three", "four"]).await;
    // The way back is there too, and so is the one from peer to peer.
    says_all(&mut bob, "alice", &["and back"], MessageState::Sent).await;
    alice.finds_homes(1);
    alice.back().await.unwrap();
    has_all(&mut alice, "bob", &["and back"]).await;
    says_all(&mut alice, "bob", &["five"], MessageState::Delivered).await;
    has_all(&mut bob, "alice", &["one", "two", "three", "four", "five"]).await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_without_a_common_node_reach_each_other_at_the_other_s() {
    let (mut hers, mut his) = (TestNet::new().unwrap(), TestNet::new().unwrap());
    let (at_alice, at_bob) = (hers.rendezvous().await.unwrap(), his.rendezvous().await.unwrap());
    let (mut alice, mut bob) = (hers.persona("alice").await.unwrap(), his.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    bob.away().await;
    let before = [&at_alice, &at_bob].map(|node| counted(node, "deposits_total"));
    says_all(&mut alice, "bob", &["where you look"], MessageState::Sent).await;
    assert_eq!(counted(&at_alice, "deposits_total"), before[0], "nothing for Bob lies where he never looks");
    assert!(counted(&at_bob, "deposits_total") > before[1]);
    alice.away().await;
    bob.back().await.unwrap();
    has_all(&mut bob, "alice", &["where you look"]).await;
}

fn kind_of<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (ErrorKind, Vec<String>) {
    let error = result.unwrap_err();
    (error.kind, error.fingerprints)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_means_two_people_is_nobody_s_until_one_is_named_by_fingerprint() {
    let mut all = TestNet::new().unwrap();
    let mut people = Vec::new();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let mut one = TestNet::new().unwrap();
        let node = one.rendezvous().await.unwrap();
        all.use_home(&node.addresses()[0]);
        nodes.push(node);
        people.push((one.persona("bob").await.unwrap(), one));
    }
    let alice = all.persona("alice").await.unwrap();
    let mut accounts = Vec::new();
    for (bob, _) in &people {
        let here = bob.handle().unwrap().account_list().await.unwrap().accounts.remove(0);
        accounts.push((here.account_id, bob.handle().unwrap().account_status().await.unwrap().fingerprint.unwrap()));
    }
    let mut fingerprints: Vec<String> = accounts.iter().map(|(_, fingerprint)| fingerprint.clone()).collect();
    fingerprints.sort();
    let handle = alice.handle().unwrap();
    let (kind, mut named) = kind_of(handle.users_find("bob").await);
    named.sort();
    assert_eq!((kind, &named), (ErrorKind::Conflict, &fingerprints));
    let asked = handle.contacts_request(Some("bob".to_owned()), None::<String>, None::<String>).await;
    let (kind, mut named) = kind_of(asked);
    named.sort();
    assert_eq!((kind, named), (ErrorKind::Conflict, fingerprints), "nobody is asked by chance");
    assert_eq!(handle.contacts_requests().await.unwrap().outgoing.len(), 0);
    // The one who is named by account gets the request; from then on the name is theirs.
    let (account, fingerprint) = accounts[1].clone();
    handle.contacts_request(Some(account), None::<String>, None::<String>).await.unwrap();
    let bob = &mut people[1].0;
    let request = bob.until(|event| match event {
        Event::ContactRequest(request) => Some(request.request_id),
        _ => None,
    });
    let request = request.await.unwrap();
    bob.handle().unwrap().contacts_accept(request).await.unwrap();
    assert_eq!(handle.users_find("bob").await.unwrap().fingerprint, fingerprint);
    assert_eq!(people[0].0.handle().unwrap().contacts_requests().await.unwrap().incoming.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_name_that_is_taken_at_a_node_is_told_so() {
    let mut net = TestNet::new().unwrap();
    let node = net.rendezvous().await.unwrap();
    let first = net.persona("bob").await.unwrap();
    let mut second = net.device("another", "bob");
    second.finds_homes(0);
    second.start(|handle| async move { handle.account_create("Bob", PASSWORD).await.map(drop) }).await.unwrap();
    let told = second.until(|event| match event {
        Event::NameConflict { address } => Some(address),
        _ => None,
    });
    assert_eq!(told.await.unwrap(), node.addresses()[0]);
    let home = second.handle().unwrap().network_status().await.unwrap().rendezvous.remove(0);
    assert_eq!(home.detail.as_deref(), Some("somebody else has this name at the node"));
    assert_eq!(second.handle().unwrap().users_find("bob").await.unwrap_err().kind, ErrorKind::NotConnected);
    drop(first);
}
