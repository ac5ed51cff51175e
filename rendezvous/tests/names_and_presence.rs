//! Registration, lookup, prekeys and presence, as peers meet them over the network.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod support;

use std::collections::HashSet;

use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::limits::KITS_LOW;
use secure_chat_protocol::prekey::BundleIn;
use secure_chat_protocol::wire::codec::{self, Bytes};
use secure_chat_protocol::wire::rendezvous::{Found, PresenceStatus, Push, Refusal, Request, Response, Who};
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use support::{Client, Person, loopback_node, memory_node, refused, register};

async fn start(config: RendezvousConfig) -> (RendezvousNode, String) {
    let node = RendezvousNode::start(config).await.unwrap();
    let address = node.addresses().first().unwrap().clone();
    (node, address)
}

async fn find(client: &Client, name: &str) -> Option<Found> {
    match client.ask(&Request::Lookup(Who::Name(name.to_owned()))).await {
        Response::Found { people, more: false } => people.into_iter().next(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn somebody_who_registered_is_found_by_name_and_by_account_over_every_transport() {
    let directory = tempfile::tempdir().unwrap();
    let quic = RendezvousConfig::new(directory.path().join("quic")).listening_on("/ip4/127.0.0.1/udp/0/quic-v1");
    for (number, config) in
        [memory_node(&directory.path().join("memory")), loopback_node(&directory.path().join("tcp")), quic]
            .into_iter()
            .enumerate()
    {
        let (node, address) = start(config).await;
        let (alice, bob) = (Person::new("Alice", number as u64 * 2), Person::new("bob", number as u64 * 2 + 1));
        let client = alice.connect(&address).await;
        let expected = Response::Registered { new: true, kits_left: 0 };
        assert_eq!(client.ask(&alice.registration()).await, expected);
        let bobs = bob.join(&address).await;
        let found = find(&bobs, "aLICE").await.unwrap();
        assert_eq!((found.record.0.as_slice(), found.addresses.len()), (alice.record.encoded(), 0));
        assert_eq!(find(&bobs, "carol").await, None);
        let who = Who::Accounts(vec![AccountId([0; 32]), bob.account(), alice.account()]);
        match bobs.ask(&Request::Lookup(who)).await {
            Response::Found { people, .. } => assert_eq!(people.len(), 2),
            other => panic!("{other:?}"),
        }
        node.stop().await;
    }
}

#[tokio::test]
async fn a_taken_name_a_stale_record_and_a_record_of_another_peer_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(memory_node(directory.path())).await;
    let (alice, mallory) = (Person::new("alice", 1), Person::new("ALICE", 2));
    let client = alice.join(&address).await;
    let mallorys = mallory.connect(&address).await;
    assert_eq!(mallorys.ask(&mallory.registration()).await, refused(Refusal::NameTaken));
    assert_eq!(mallorys.ask(&alice.registration()).await, refused(Refusal::Invalid), "it names another peer");
    let newer = alice.renamed("alicia");
    assert_eq!(client.ask(&register(&newer)).await, Response::Registered { new: false, kits_left: 0 });
    assert_eq!(client.ask(&alice.registration()).await, refused(Refusal::Stale { seq: 2 }));
    let mut forged = newer.encoded().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(client.ask(&Request::Register { record: Bytes(forged) }).await, refused(Refusal::Invalid));
    // The name that was given up is free.
    assert!(matches!(mallorys.ask(&mallory.registration()).await, Response::Registered { new: true, .. }));
    assert_eq!(client.ask(&Request::Unregister).await, Response::Done);
    assert_eq!(find(&mallorys, "alicia").await, None);
}

#[tokio::test]
async fn only_those_who_registered_may_ask_about_others() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(memory_node(directory.path())).await;
    let client = Client::connect(support::stranger(1), &address).await;
    let account = AccountId([1; 32]);
    for request in [
        Request::Lookup(Who::Name("alice".to_owned())),
        Request::Online { after: None, limit: 10 },
        Request::Watch { accounts: vec![account] },
        Request::SetPresence(PresenceStatus::Online),
        Request::Announce { addresses: vec![] },
        Request::PublishPreKeys { signed: Bytes(vec![]), kits: vec![], replace: false },
        Request::Unregister,
    ] {
        assert_eq!(client.ask(&request).await, refused(Refusal::NotRegistered), "{request:?}");
    }
    assert!(matches!(client.ask(&Request::Info).await, Response::Info(_)));
    // Whoever has an account's id may write to it, wherever they are registered themselves.
    assert_eq!(client.ask(&Request::TakeBundle { account }).await, refused(Refusal::NotFound));
    let by_id = Request::Lookup(Who::Accounts(vec![account]));
    assert!(matches!(client.ask(&by_id).await, Response::Found { people, .. } if people.is_empty()));
}

#[tokio::test]
async fn names_and_records_outlive_a_restart_and_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let alice = Person::new("alice", 1);
    let (node, address) = start(memory_node(directory.path())).await;
    let peer_id = node.peer_id();
    alice.join(&address).await;
    node.stop().await;
    for _ in 0..2 {
        let (node, address) = start(memory_node(directory.path())).await;
        assert_eq!(node.peer_id(), peer_id);
        let client = alice.connect(&address).await;
        let renewed = Response::Registered { new: false, kits_left: 0 };
        assert_eq!(client.ask(&alice.registration()).await, renewed);
        node.abort().await;
    }
}

#[tokio::test]
async fn each_kit_is_handed_out_once_however_many_ask_at_once_and_whatever_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let (node, address) = start(memory_node(directory.path())).await;
    let (mut alice, bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let mut alices = alice.join(&address).await;
    let publication = alice.publication(30);
    assert_eq!(alices.ask(&publication).await, Response::Kits { left: 30 });
    assert_eq!(alices.ask(&publication).await, Response::Kits { left: 30 }, "published twice counts once");
    let bobs = bob.join(&address).await;
    let take = Request::TakeBundle { account: alice.account() };
    let mut kits = HashSet::new();
    let mut without = 0;
    let asked: Vec<_> = (0..20).map(|_| bobs.start(&take)).collect();
    for answer in asked {
        note_kit(&answer.await.unwrap(), &alice, &mut kits, &mut without);
    }
    match alices.pushed().await {
        Push::KitsLow { left } => assert!((left as usize) < KITS_LOW),
        other => panic!("{other:?}"),
    }
    node.abort().await;
    let (_node, address) = start(memory_node(directory.path())).await;
    alice.join(&address).await;
    let bobs = bob.join(&address).await;
    for _ in 0..15 {
        note_kit(&bobs.ask(&take).await, &alice, &mut kits, &mut without);
    }
    assert_eq!((kits.len(), without), (30, 5));
}

fn note_kit(response: &Response, owner: &Person, kits: &mut HashSet<[u8; 16]>, without: &mut usize) {
    let Response::Bundle { bundle } = response else { panic!("{response:?}") };
    let bundle: BundleIn = codec::decode(&bundle.0, 8_192).unwrap();
    bundle.verify(support::now(), Some(owner.account())).unwrap();
    match bundle.kit {
        Some(kit) => assert!(kits.insert(kit.id.0), "a kit came twice"),
        None => *without += 1,
    }
}

#[tokio::test]
async fn prekeys_that_somebody_else_signed_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(memory_node(directory.path())).await;
    let (alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let alices = alice.join(&address).await;
    assert_eq!(alices.ask(&bob.publication(3)).await, refused(Refusal::Invalid));
    let take = Request::TakeBundle { account: alice.account() };
    assert_eq!(alices.ask(&take).await, refused(Refusal::NotFound));
}

#[tokio::test]
async fn watchers_are_told_who_comes_and_goes_and_never_of_the_invisible() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(memory_node(directory.path())).await;
    let (alice, bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let mut bobs = bob.join(&address).await;
    let watch = Request::Watch { accounts: vec![alice.account()] };
    match bobs.ask(&watch).await {
        Response::Presence(all) => assert_eq!(all[0].status, PresenceStatus::Offline),
        other => panic!("{other:?}"),
    }
    let alices = alice.join(&address).await;
    alices.ask(&Request::Announce { addresses: vec!["/ip4/192.0.2.1/tcp/1".to_owned()] }).await;
    alices.ask(&Request::SetPresence(PresenceStatus::Invisible)).await;
    let hidden = find(&bobs, "alice").await.unwrap();
    assert_eq!((hidden.presence.status, hidden.presence.last_seen), (PresenceStatus::Offline, None));
    assert!(hidden.addresses.is_empty(), "addresses would tell that she is there");
    alices.ask(&Request::SetPresence(PresenceStatus::Online)).await;
    assert_eq!(next_status(&mut bobs).await, PresenceStatus::Online, "the first that is heard of her");
    assert_eq!(find(&bobs, "alice").await.unwrap().addresses.len(), 1);
    match bobs.ask(&Request::Online { after: None, limit: 10 }).await {
        Response::Found { people, more } => assert_eq!((people.len(), more), (1, false)),
        other => panic!("{other:?}"),
    }
    alices.ask(&Request::SetPresence(PresenceStatus::Away)).await;
    assert_eq!(next_status(&mut bobs).await, PresenceStatus::Away);
    drop(alices);
    assert_eq!(next_status(&mut bobs).await, PresenceStatus::Offline);
}

async fn next_status(client: &mut Client) -> PresenceStatus {
    match client.pushed().await {
        Push::Presence(all) => {
            let last = all.last().unwrap();
            assert!(last.last_seen.is_some());
            last.status
        }
        other => panic!("{other:?}"),
    }
}
