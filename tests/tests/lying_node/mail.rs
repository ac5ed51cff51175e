//! Deposits, and the questions that come before them, as the node sees them.

use rand::SeedableRng;
use rand::rngs::StdRng;
use secure_chat_node::api::{Event, MessageState};
use secure_chat_node::network::{Network, NetworkConfig, NetworkHandle, TransportKind, parse_rendezvous};
use secure_chat_protocol::id::{AccountId, EnvelopeId};
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::prekey::{BundleIn, PreKeys};
use secure_chat_protocol::record::Record;
use secure_chat_protocol::sealed::{EnvelopeIn, MailboxDescriptor, seal};
use secure_chat_protocol::session::SessionSet;
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{Payment, Refusal, Request, Response};
use secure_chat_tests::{Persona, TestNet};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::node::LyingNode;
use crate::{contacts, in_state, now};

#[tokio::test]
async fn a_deposit_that_is_refused_costs_no_token() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    bob.away().await;
    let (told, mut payments) = mpsc::unbounded_channel();
    let mut refusals = 2;
    node.lies(move |request, honest, _| {
        let Request::Deposit { payment, .. } = request else { return honest };
        told.send(payment.clone()).unwrap();
        if refusals == 0 {
            return honest;
        }
        refusals -= 1;
        Response::Refused(Refusal::Full)
    });
    let id = alice.says("bob", "hello").await.unwrap();
    in_state(&mut alice, &id, MessageState::Sent).await;
    let first = payments.recv().await.unwrap();
    assert!(matches!(first, Payment::Token(_)), "a contact pays with a token");
    for _ in 0..2 {
        assert_eq!(payments.recv().await.unwrap(), first, "the token that nobody took is there again");
    }
}

/// A message of a session that neither of two contacts has, as one reaches who lost a session.
fn unreadable() -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(5);
    let (one, two) = (IdentityKeyPair::generate(&mut rng, now()), IdentityKeyPair::generate(&mut rng, now()));
    let mut prekeys = PreKeys::generate(&two, now(), &mut rng);
    let bundle = BundleIn { identity: two.public().to_wire(), signed: prekeys.signed_public(), kit: None };
    let mut ours = SessionSet::new(one.account_id(), two.account_id());
    ours.initiate(&one, &bundle.verify(now(), None).unwrap(), now(), &mut rng).unwrap();
    let first = ours.encrypt(b"hello", now(), &mut rng).unwrap();
    let mut theirs = SessionSet::new(two.account_id(), one.account_id());
    theirs.decrypt(&two, &mut prekeys, &first, now()).unwrap();
    theirs.encrypt(b"and back", now(), &mut rng).unwrap()
}

/// Somebody with a network and no account.
fn stranger() -> (NetworkHandle, mpsc::Receiver<secure_chat_node::network::NetworkEvent>) {
    Network::start(NetworkConfig::new(Zeroizing::new([99; 32]), TransportKind::Memory)).unwrap()
}

fn mailbox_of(node: &LyingNode, account: AccountId) -> MailboxDescriptor {
    Record::decode(&node.known().accounts[&account].record).unwrap().mailbox().unwrap().clone()
}

/// Leaves mail for `to` that claims to be of `from`, over the wire.
async fn leave(node: &LyingNode, from: AccountId, to: AccountId, message: Vec<u8>) {
    let mailbox = mailbox_of(node, to);
    let inner = EnvelopeIn { from, messages: vec![Bytes(message)] }.encode().unwrap();
    let sealed = seal(&mailbox, &inner, &mut StdRng::seed_from_u64(6)).unwrap();
    let request = Request::Deposit {
        mailbox: mailbox.mailbox_id(),
        payment: Payment::Token(Fixed([1; 32])),
        id: EnvelopeId([8; 16]),
        sealed: Bytes(sealed),
    };
    let (net, _events) = stranger();
    let answer = net.deposit(parse_rendezvous(&node.address).unwrap(), request).await.unwrap();
    assert_eq!(answer, Response::Done);
}

#[tokio::test]
async fn the_replacement_of_a_session_is_asked_for_until_its_bundle_comes() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    let (me, them) = (node.known().named("alice").unwrap(), node.known().named("bob").unwrap());
    bob.away().await;
    let mut refusals = 1;
    node.lies(move |request, honest, _| match request {
        Request::TakeBundle { .. } if refusals > 0 => {
            refusals -= 1;
            Response::Refused(Refusal::NotFound)
        }
        _ => honest,
    });
    leave(&node, them, me, unreadable()).await;
    // Nothing of Alice's waits for Bob: only the replacement itself asks again.
    alice.until(|event| matches!(event, Event::SessionEstablished { .. }).then_some(())).await.unwrap();
    node.repents();
    bob.back().await.unwrap();
    alice.says("bob", "under the new session").await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "under the new session");
}

async fn peer_id(persona: &Persona) -> Vec<u8> {
    let status = persona.handle().unwrap().network_status().await.unwrap();
    status.peer_id.parse::<libp2p::PeerId>().unwrap().to_bytes()
}

#[tokio::test]
async fn the_recipient_s_node_does_not_learn_who_asks_for_their_keys() {
    let (hers, his) = (LyingNode::start().await, LyingNode::start().await);
    let (mut net, mut other) = (TestNet::new().unwrap(), TestNet::new().unwrap());
    net.use_home(&hers.address);
    other.use_home(&his.address);
    let alice = net.persona("alice").await.unwrap();
    let mut bob = other.persona("bob").await.unwrap();
    let invite = bob.handle().unwrap().account_invite().await.unwrap().invite;
    bob.away().await;
    let (told, mut deposits) = mpsc::unbounded_channel();
    his.lies(move |request, honest, _| {
        if matches!(request, Request::Deposit { .. }) {
            told.send(()).unwrap();
        }
        honest
    });
    alice.handle().unwrap().contacts_request(None::<String>, Some(invite), None::<String>).await.unwrap();
    deposits.recv().await.unwrap();
    let (them, me) = (his.known().named("bob").unwrap(), peer_id(&alice).await);
    let asked = his.known().asked;
    assert!(asked.iter().any(|(_, about)| *about == them), "the bundle came from Bob's node");
    assert!(asked.iter().all(|(asker, _)| *asker != me), "under another peer id than Alice's");
    his.repents();
    bob.back().await.unwrap();
    bob.until(|event| matches!(event, Event::ContactRequest(_)).then_some(())).await.unwrap();
}

#[tokio::test]
async fn receipts_for_mail_go_later_and_together() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    // Nothing is left to say of how they met.
    let id = bob.says("alice", "hello").await.unwrap();
    in_state(&mut bob, &id, MessageState::Delivered).await;
    let id = alice.says("bob", "hello").await.unwrap();
    in_state(&mut alice, &id, MessageState::Delivered).await;
    bob.away().await;
    for number in 0..5 {
        let id = alice.says("bob", &format!("{number}")).await.unwrap();
        in_state(&mut alice, &id, MessageState::Sent).await;
    }
    alice.away().await;
    let hers = mailbox_of(&node, node.known().named("alice").unwrap()).mailbox_id();
    let (told, mut seen) = mpsc::unbounded_channel();
    node.lies(move |request, honest, _| {
        match request {
            Request::Fetch { .. } => told.send(("fetched", std::time::Instant::now())).unwrap(),
            Request::Deposit { mailbox, .. } if *mailbox == hers => {
                told.send(("acknowledged", std::time::Instant::now())).unwrap();
            }
            _ => {}
        }
        honest
    });
    let before = node.known().deposits;
    bob.back().await.unwrap();
    for number in 0..5 {
        assert_eq!(bob.reads().await.unwrap(), format!("{number}"));
    }
    let mut fetched = None;
    let acknowledged = loop {
        let (what, at) = seen.recv().await.unwrap();
        if what == "acknowledged" {
            break at;
        }
        fetched.get_or_insert(at);
    };
    let waited = acknowledged - fetched.expect("nothing is acknowledged before it came");
    assert!(waited >= std::time::Duration::from_secs(2), "{waited:?} would show the node when Bob came");
    alice.back().await.unwrap();
    // All five were in that one envelope.
    assert_eq!(node.known().deposits, before + 1);
    bob.says("alice", "all read").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "all read");
    let page =
        alice.handle().unwrap().messages_history("bob", None::<String>, None::<String>, None::<String>, None::<u32>);
    let states: Vec<MessageState> =
        page.await.unwrap().messages.iter().filter(|message| message.mine).map(|message| message.state).collect();
    assert_eq!(states, [MessageState::Delivered; 6]);
}
