//! Sealed mailboxes, as peers meet them over the network.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod support;

use secure_chat_protocol::limits::{ENVELOPE_MAX_BYTES, WORK_MIN_BITS};
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{Payment, Push, Refusal, Request, Response};
use secure_chat_rendezvous::quota::Rate;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use support::{Client, Person, by_token, by_work, loopback_node, memory_node, refused, stranger};

async fn start(config: RendezvousConfig) -> (RendezvousNode, String) {
    let node = RendezvousNode::start(config).await.unwrap();
    let address = node.addresses().first().unwrap().clone();
    (node, address)
}

/// Opens the mailbox of `person` with `tokens` tokens in it.
async fn with_tokens(person: &Person, address: &str, tokens: u32) -> Client {
    let client = person.connect(address).await;
    assert!(matches!(client.open(&person.mailbox).await, Response::Mailbox { .. }));
    let hashes = person.tokens.hashes(0..tokens);
    assert_eq!(client.ask(&Request::AddTokens { hashes }).await, Response::Done);
    client
}

#[tokio::test]
async fn what_is_deposited_waits_through_restart_and_kill_until_it_is_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let bob = Person::new("bob", 1);
    let mailbox = bob.mailbox.mailbox_id();
    let (node, address) = start(loopback_node(directory.path())).await;
    let mut bobs = with_tokens(&bob, &address, 10).await;
    let sender = Client::connect(stranger(2), &address).await;
    for id in 0..3 {
        let deposit = by_token(mailbox, &bob.tokens, id, u64::from(id), 1_000);
        assert_eq!(sender.ask(&deposit).await, Response::Done);
    }
    assert!(matches!(bobs.pushed().await, Push::Mail { waiting: 1.. }), "whoever opened it hears of it");
    node.stop().await;

    let (node, address) = start(loopback_node(directory.path())).await;
    let bobs = bob.connect(&address).await;
    assert_eq!(bobs.open(&bob.mailbox).await, Response::Mailbox { waiting: 3, tokens: 7, new: false });
    let mail = bobs.fetch_all().await;
    assert_eq!(mail.iter().map(|envelope| envelope.seq).collect::<Vec<_>>(), vec![1, 2, 3]);
    assert_eq!(mail[0].sealed.0, vec![7; 1_000]);
    assert_eq!(bobs.ask(&Request::Acknowledge { up_to: 2 }).await, Response::Done);
    node.abort().await;

    let (_node, address) = start(loopback_node(directory.path())).await;
    let bobs = bob.connect(&address).await;
    assert_eq!(bobs.open(&bob.mailbox).await, Response::Mailbox { waiting: 1, tokens: 7, new: false });
    // The answer to the first deposit was lost, so the sender repeats it: it was fetched already.
    let sender = Client::connect(stranger(3), &address).await;
    assert_eq!(sender.ask(&by_token(mailbox, &bob.tokens, 0, 0, 1_000)).await, Response::Done);
    assert_eq!(bobs.fetch_all().await.len(), 1, "a double vanishes");
}

#[tokio::test]
async fn the_same_deposit_many_times_at_once_is_one_envelope_and_spends_one_token() {
    let directory = tempfile::tempdir().unwrap();
    let bob = Person::new("bob", 1);
    let (_node, address) = start(memory_node(directory.path())).await;
    let bobs = with_tokens(&bob, &address, 2).await;
    let sender = Client::connect(stranger(2), &address).await;
    let deposit = by_token(bob.mailbox.mailbox_id(), &bob.tokens, 0, 7, 100);
    let asked: Vec<_> = (0..50).map(|_| sender.start(&deposit)).collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), Response::Done);
    }
    assert_eq!(bobs.open(&bob.mailbox).await, Response::Mailbox { waiting: 1, tokens: 1, new: false });
    // The token is spent: it pays for nothing else.
    let other = by_token(bob.mailbox.mailbox_id(), &bob.tokens, 0, 8, 100);
    assert_eq!(sender.ask(&other).await, refused(Refusal::WorkNeeded { bits: WORK_MIN_BITS }));
}

#[tokio::test]
async fn a_stranger_pays_with_work_for_this_node_this_mailbox_and_this_envelope() {
    let directory = tempfile::tempdir().unwrap();
    let bob = Person::new("bob", 1);
    let mailbox = bob.mailbox.mailbox_id();
    let (_node, address) = start(memory_node(directory.path())).await;
    let bobs = with_tokens(&bob, &address, 0).await;
    let sender = Client::connect(stranger(2), &address).await;
    let bits = match sender.ask(&Request::Info).await {
        Response::Info(info) => info.work_bits,
        other => panic!("{other:?}"),
    };
    let deposit = by_work(sender.server, mailbox, bits, 1, 500);
    assert_eq!(sender.ask(&deposit).await, Response::Done);
    let Request::Deposit { payment, .. } = deposit else { unreachable!() };
    let needed = refused(Refusal::WorkNeeded { bits });
    let other =
        |payment, id| Request::Deposit { mailbox, payment, id: support::envelope_id(id), sealed: Bytes(vec![7; 500]) };
    assert_eq!(sender.ask(&other(payment, 2)).await, needed, "the stamp was for another envelope");
    assert_eq!(sender.ask(&other(Payment::Token(Fixed([1; 32])), 3)).await, needed);
    let elsewhere = by_work(sender.peer_id, mailbox, bits, 4, 500);
    assert_eq!(sender.ask(&elsewhere).await, needed, "the stamp was for another node");
    assert_eq!(bobs.fetch_all().await.len(), 1);
}

#[tokio::test]
async fn work_gets_harder_for_a_mailbox_that_strangers_flood() {
    let directory = tempfile::tempdir().unwrap();
    let bob = Person::new("bob", 1);
    let mut config = memory_node(directory.path());
    config.limits.rates.strangers_per_mailbox = Rate::new(2, 0);
    let (_node, address) = start(config).await;
    with_tokens(&bob, &address, 0).await;
    let sender = Client::connect(stranger(2), &address).await;
    let mailbox = bob.mailbox.mailbox_id();
    for id in 0..4 {
        assert_eq!(sender.ask(&by_work(sender.server, mailbox, WORK_MIN_BITS + 1, id, 10)).await, Response::Done);
    }
    let answer = sender.ask(&by_token(mailbox, &bob.tokens, 0, 9, 10)).await;
    assert_eq!(answer, refused(Refusal::WorkNeeded { bits: WORK_MIN_BITS + 2 }));
}

#[tokio::test]
async fn a_mailbox_opens_only_to_its_owner_and_each_challenge_once() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(memory_node(directory.path())).await;
    let (bob, mallory) = (Person::new("bob", 1), Person::new("mallory", 2));
    let (bobs, mallorys) = (bob.connect(&address).await, mallory.connect(&address).await);
    assert_eq!(bobs.ask(&Request::Fetch { after: 0, max_bytes: 1 }).await, refused(Refusal::NoMailboxOpened));
    assert_eq!(bobs.ask(&Request::Acknowledge { up_to: 1 }).await, refused(Refusal::NoMailboxOpened));
    assert_eq!(bobs.ask(&Request::AddTokens { hashes: vec![] }).await, refused(Refusal::NoMailboxOpened));

    let Response::Challenge(challenge) = bobs.ask(&Request::Challenge).await else { panic!() };
    let signature = bob.mailbox.sign_open(&bobs.server.to_bytes(), &bobs.peer_id.to_bytes(), &challenge.0);
    let open = Request::OpenMailbox { auth_key: bob.mailbox.auth_key(), signature };
    // Mallory saw the answer and has a challenge of his own.
    mallorys.ask(&Request::Challenge).await;
    assert_eq!(mallorys.ask(&open).await, refused(Refusal::Invalid));
    assert!(matches!(bobs.ask(&open).await, Response::Mailbox { new: true, .. }));
    assert_eq!(bobs.ask(&open).await, refused(Refusal::Invalid), "the challenge is used up");
    // A failed try uses the challenge up, too.
    let Response::Challenge(_) = bobs.ask(&Request::Challenge).await else { panic!() };
    assert_eq!(bobs.ask(&open).await, refused(Refusal::Invalid));
    assert_eq!(bobs.ask(&open).await, refused(Refusal::Invalid));
}

#[tokio::test]
async fn a_full_mailbox_an_unknown_one_and_a_long_envelope_are_refused_and_spend_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let bob = Person::new("bob", 1);
    let mut config = memory_node(directory.path());
    config.limits.mailbox_envelopes = 2;
    let (_node, address) = start(config).await;
    let bobs = with_tokens(&bob, &address, 5).await;
    let sender = Client::connect(stranger(2), &address).await;
    let mailbox = bob.mailbox.mailbox_id();
    let long = by_token(mailbox, &bob.tokens, 0, 0, ENVELOPE_MAX_BYTES + 1);
    let limit_bytes = u32::try_from(ENVELOPE_MAX_BYTES).unwrap();
    assert_eq!(sender.ask(&long).await, refused(Refusal::TooLarge { limit_bytes }));
    let unknown = by_token(Person::new("carol", 9).mailbox.mailbox_id(), &bob.tokens, 0, 0, 10);
    assert_eq!(sender.ask(&unknown).await, refused(Refusal::NotFound));
    for id in 0..2 {
        assert_eq!(sender.ask(&by_token(mailbox, &bob.tokens, id, u64::from(id), 10)).await, Response::Done);
    }
    assert_eq!(sender.ask(&by_token(mailbox, &bob.tokens, 2, 2, 10)).await, refused(Refusal::Full));
    let waiting = bobs.fetch_all().await;
    bobs.ask(&Request::Acknowledge { up_to: waiting.last().unwrap().seq }).await;
    assert_eq!(sender.ask(&by_token(mailbox, &bob.tokens, 2, 2, 10)).await, Response::Done);
}

#[tokio::test]
async fn whoever_asks_too_much_is_told_when_to_come_back_and_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = memory_node(directory.path());
    config.limits.rates.requests_per_peer = Rate::new(5, 1);
    config.limits.rates.deposit_bytes_per_peer = Rate::new(1_000, 1);
    let (_node, address) = start(config).await;
    let bob = Person::new("bob", 1);
    let bobs = with_tokens(&bob, &address, 5).await;
    let greedy = Client::connect(stranger(2), &address).await;
    let mailbox = bob.mailbox.mailbox_id();
    assert_eq!(greedy.ask(&by_token(mailbox, &bob.tokens, 0, 0, 900)).await, Response::Done);
    let slow = greedy.ask(&by_token(mailbox, &bob.tokens, 1, 1, 900)).await;
    assert!(matches!(slow, Response::Refused(Refusal::SlowDown { retry_after_ms: 700_000..=800_000 })), "{slow:?}");
    for _ in 0..3 {
        assert!(matches!(greedy.ask(&Request::Info).await, Response::Info(_)));
    }
    assert!(matches!(
        greedy.ask(&Request::Info).await,
        Response::Refused(Refusal::SlowDown { retry_after_ms: 1..=1_000 })
    ));
    assert_eq!(bobs.fetch_all().await.len(), 1);
}
