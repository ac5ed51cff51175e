//! A stranger who fills a mailbox at a real rendezvous node, and pays for it: others still leave mail
//! there, its owner reads theirs, is told, and keeps nothing of the flood.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use secure_chat_node::api::{Event, MessageState};
use secure_chat_node::network::{Network, NetworkConfig, TransportKind, parse_rendezvous};
use secure_chat_node::store::{StoreOptions, Table, Vault, list_accounts};
use secure_chat_protocol::id::{EnvelopeId, MailboxId, Timestamp};
use secure_chat_protocol::limits::WORK_MIN_BITS;
use secure_chat_protocol::record::Record;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{Payment, Refusal, Request, Response};
use secure_chat_protocol::work::{self, Solver};
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use secure_chat_tests::{PASSWORD, Persona, TestNet, become_contacts};
use zeroize::Zeroizing;

/// Envelopes that the mailbox takes: half of them from strangers.
const MAILBOX: u64 = 40;
const MESSAGES: usize = 5;

fn vault(of: &Persona) -> Vault {
    let account = list_accounts(of.dir()).unwrap().pop().unwrap();
    Vault::unlock(of.dir(), &account, PASSWORD, StoreOptions::default()).unwrap()
}

fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(elapsed.as_millis()).unwrap())
}

/// Leaves garbage in a mailbox until the node takes no more; how much it took.
async fn flood(home: &str, mailbox: MailboxId) -> u64 {
    let config = NetworkConfig::new(Zeroizing::new([66; 32]), TransportKind::Memory);
    let (net, _events) = Network::start(config).unwrap();
    let home = parse_rendezvous(home).unwrap();
    let node = home.peer_id().unwrap().to_bytes();
    let (mut rng, mut taken, mut bits) = (StdRng::seed_from_u64(66), 0, WORK_MIN_BITS);
    loop {
        let id = EnvelopeId::random(&mut rng);
        let sealed: Vec<u8> = (0..2_000).map(|_| rng.random()).collect();
        let deposit = work::Deposit { node_peer: &node, mailbox: &mailbox, id: &id, sealed: &sealed };
        let mut solver = Solver::new(&deposit, now(), bits).unwrap();
        let stamp = loop {
            if let Some(stamp) = solver.advance(1 << 20) {
                break stamp;
            }
        };
        let payment = Payment::Work { hour: stamp.hour, nonce: stamp.nonce };
        let request = Request::Deposit { mailbox, payment, id, sealed: Bytes(sealed) };
        match net.deposit(home.clone(), request).await.unwrap() {
            Response::Done => taken += 1,
            Response::Refused(Refusal::WorkNeeded { bits: needed }) => bits = needed,
            Response::Refused(Refusal::Full) => return taken,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_fills_a_mailbox_keeps_nobody_s_mail_out_and_leaves_nothing_behind() {
    let mut net = TestNet::new().unwrap();
    let mut config = RendezvousConfig::new(net.folder().join("node")).in_memory();
    config.limits.mailbox_envelopes = MAILBOX;
    let node = RendezvousNode::start(config).await.unwrap();
    let home = node.addresses().remove(0);
    net.use_home(&home);
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut bob, &mut alice).await.unwrap();
    alice.away().await;
    let held = vault(&alice);
    let record = Record::decode(&held.begin().get(Table::Meta, b"record").unwrap().unwrap()).unwrap();
    let seen = held.scan(Table::Seen).unwrap().len();
    drop(held);
    let taken = flood(&home, record.mailbox().unwrap().mailbox_id()).await;
    // What lay there before counts.
    assert!((MAILBOX / 2 - 3..=MAILBOX / 2).contains(&taken), "a stranger fills half of it: {taken}");
    for number in 0..MESSAGES {
        let id = bob.says("alice", &format!("{number}")).await.unwrap();
        let sent = bob.until(|event| match event {
            Event::MessageState { message_id, state: MessageState::Sent, .. } if message_id == id => Some(()),
            _ => None,
        });
        sent.await.unwrap();
    }
    alice.back().await.unwrap();
    for number in 0..MESSAGES {
        assert_eq!(alice.reads().await.unwrap(), format!("{number}"));
    }
    let handle = alice.handle().unwrap();
    let alerts = handle.security_alerts().await.unwrap().alerts;
    let alert = alerts.iter().find(|alert| alert.kind == "mailbox.invalid_envelope").expect("it is told");
    assert_eq!(alert.count, taken, "and counted");
    let all =
        handle.security_audit_log(None, 500_u32, "mailbox".to_owned(), None::<String>, None, None, None::<String>);
    let entries = all.await.unwrap().entries.len();
    assert!(entries <= 10, "{entries} entries for {taken} envelopes");
    alice.away().await;
    let left = vault(&alice).scan(Table::Seen).unwrap().len();
    assert!(left - seen <= 3 * MESSAGES, "{left} rows remember what came, {seen} before");
    bob.away().await;
    node.stop().await;
}
