//! Alert rules under attack. Every attack comes over the wire, from a real peer or from a
//! stolen key. (`alerts.rs` counts what the rules make of attacks and of ordinary traffic.)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use secure_chat_node::api::{ErrorKind, Event};
use secure_chat_node::messaging::outbox::Outgoing;
use secure_chat_node::network::{Network, NetworkConfig, NetworkHandle, PeerId, TransportKind, parse_address};
use secure_chat_node::security::rules::{
    DECRYPT_FAILURES, MALFORMED_FRAMES, MESSAGES_FLOOD, NEW_SESSIONS, REPLAYS, REQUESTS_FLOOD, WRONG_PASSWORDS,
};
use secure_chat_node::store::{StoreOptions, Table, Vault, list_accounts};
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::peer::{Hello, PEER_PROTOCOL, PeerRequest, PeerResponse};
use secure_chat_tests::hostile::Hostile;
use secure_chat_tests::{PASSWORD, Persona, TestNet, become_contacts};
use zeroize::Zeroizing;

async fn alerted(persona: &mut Persona, rule: &str) {
    let found = persona.until(|event| match event {
        Event::SecurityAlert { kind, .. } if kind == rule => Some(()),
        _ => None,
    });
    found.await.unwrap_or_else(|error| panic!("no alert {rule}: {error}"));
}

/// The network key and record of somebody whose disk and password were stolen, and
/// what waited to be sent; in the hands of a program that keeps to no rule.
struct Stolen {
    net: NetworkHandle,
    record: Vec<u8>,
    waiting: Vec<Vec<u8>>,
    _events: tokio::sync::mpsc::Receiver<secure_chat_node::network::NetworkEvent>,
}

fn steal(from: &Persona) -> Stolen {
    let account = list_accounts(from.dir()).unwrap().pop().unwrap();
    let vault = Vault::unlock(from.dir(), &account, PASSWORD, StoreOptions::default()).unwrap();
    let txn = vault.begin();
    let seed: [u8; 32] = txn.get(Table::Meta, b"peer").unwrap().unwrap().try_into().unwrap();
    let identity = IdentityKeyPair::from_secret_bytes(&txn.get(Table::Meta, b"identity").unwrap().unwrap()).unwrap();
    let key = SigningKey::from_seed(&Secret::filled(|out| out.copy_from_slice(&seed)));
    let fields = RecordFields {
        name: Username::parse(&from.name).unwrap(),
        peers: vec![peer_binding(&key, identity.account_id())],
        addresses: Vec::new(),
        homes: Vec::new(),
        mailbox: None,
    };
    let record = Record::create(&identity, fields, None, Timestamp(1)).unwrap().encoded().to_vec();
    let rows = vault.scan_from(Table::Outbox, 0, 100).unwrap();
    let waiting = rows.iter().map(|(_, row)| Outgoing::decode(row).unwrap().ciphertext.0).collect();
    let mut config = NetworkConfig::new(Zeroizing::new(seed), TransportKind::Memory);
    config.listen = vec![parse_address("/memory/0").unwrap()];
    let (net, events) = Network::start(config).unwrap();
    Stolen { net, record, waiting, _events: events }
}

impl Stolen {
    async fn deliver(&self, to: &Persona, messages: &[Vec<u8>]) {
        let status = to.handle().unwrap().network_status().await.unwrap();
        let peer: PeerId = status.peer_id.parse().unwrap();
        let addresses: Vec<_> = status.listen.iter().map(|address| parse_address(address).unwrap()).collect();
        let hello = Hello { record: Bytes(self.record.clone()), addresses: Vec::new(), status: None };
        self.net.request(peer, addresses, PeerRequest::Hello(hello)).await.unwrap();
        for message in messages {
            let request = PeerRequest::Deliver { messages: vec![Bytes(message.clone())] };
            let answer = self.net.request(peer, Vec::new(), request).await.unwrap();
            assert!(matches!(answer, PeerResponse::Delivered { .. }));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_requests_is_told() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let invite = alice.handle().unwrap().account_invite().await.unwrap().invite;
    for number in 0..REQUESTS_FLOOD {
        let stranger = net.persona(&format!("stranger{number}")).await.unwrap();
        let link = Some(invite.clone());
        stranger.handle().unwrap().contacts_request(None::<String>, link, Some("Hi".to_owned())).await.unwrap();
        alice
            .until(|event| matches!(event, Event::ContactRequest(_) | Event::SecurityAlert { .. }).then_some(()))
            .await
            .unwrap();
    }
    let alerts = alice.handle().unwrap().security_alerts().await.unwrap().alerts;
    let kinds: Vec<&str> = alerts.iter().map(|alert| alert.kind.as_str()).collect();
    assert_eq!(kinds, ["request.flood"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_messages_is_told_and_names_who_sends_it() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut mallory) = (net.persona("alice").await.unwrap(), net.persona("mallory").await.unwrap());
    become_contacts(&mut mallory, &mut alice).await.unwrap();
    for number in 0..MESSAGES_FLOOD {
        mallory.says("alice", &format!("message {number}")).await.unwrap();
    }
    alerted(&mut alice, "message.flood").await;
    let alerts = alice.handle().unwrap().security_alerts().await.unwrap().alerts;
    assert_eq!(alerts.first().and_then(|alert| alert.username.as_deref()), Some("mallory"));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_never_open_are_told() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut mallory) = (net.persona("alice").await.unwrap(), net.persona("mallory").await.unwrap());
    become_contacts(&mut mallory, &mut alice).await.unwrap();
    mallory.away().await;
    let garbage: Vec<Vec<u8>> = (0..DECRYPT_FAILURES).map(|byte| vec![u8::try_from(byte).unwrap(); 700]).collect();
    steal(&mallory).deliver(&alice, &garbage).await;
    alerted(&mut alice, "decrypt.failures").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_replayed_is_shown_once_and_told() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut mallory) = (net.persona("alice").await.unwrap(), net.persona("mallory").await.unwrap());
    become_contacts(&mut mallory, &mut alice).await.unwrap();
    alice.away().await;
    mallory.says("alice", "again and again").await.unwrap();
    mallory.away().await;
    alice.back().await.unwrap();
    let stolen = steal(&mallory);
    let message = stolen.waiting.last().cloned().unwrap();
    // What waited before it comes first, or it would wait for that.
    stolen.deliver(&alice, &stolen.waiting).await;
    stolen.deliver(&alice, &vec![message; REPLAYS as usize]).await;
    alerted(&mut alice, "message.replay").await;
    assert_eq!(alice.texts_of("mallory").await.unwrap(), ["again and again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_new_session_after_another_is_told() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut mallory) = (net.persona("alice").await.unwrap(), net.persona("mallory").await.unwrap());
    become_contacts(&mut mallory, &mut alice).await.unwrap();
    for number in 0..NEW_SESSIONS {
        mallory.handle().unwrap().security_reset_session("alice").await.unwrap();
        mallory.says("alice", &format!("session {number}")).await.unwrap();
        alice.until(|event| matches!(event, Event::MessageReceived(_)).then_some(())).await.unwrap();
    }
    let alerts = alice.handle().unwrap().security_alerts().await.unwrap().alerts;
    assert!(alerts.iter().any(|alert| alert.kind == "session.churn"), "{alerts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_the_password_is_told_once_the_account_is_open() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    alice.handle().unwrap().account_lock().await.unwrap();
    let mut wrong = 0;
    while wrong < WRONG_PASSWORDS {
        let refused = alice.handle().unwrap().account_unlock("Wrong-Horse-7-Battery", None).await.unwrap_err();
        match refused.kind {
            ErrorKind::WrongPassword => wrong += 1,
            ErrorKind::RateLimited => {
                let wait = refused.retry_after_ms.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
            }
            other => panic!("{other:?}"),
        }
    }
    loop {
        match alice.handle().unwrap().account_unlock(PASSWORD, None).await {
            Ok(_) => break,
            Err(refused) => {
                let wait = refused.retry_after_ms.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
            }
        }
    }
    alerted(&mut alice, "account.brute_force").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_sends_garbage_is_told_and_the_others_go_on() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut bob, &mut alice).await.unwrap();
    let status = alice.handle().unwrap().network_status().await.unwrap();
    let mut mallory = Hostile::speaking(PEER_PROTOCOL, [66; 32]).unwrap();
    // A length that is absurd, one that is cut off, bytes that are no request.
    let garbage = [vec![0xff; 64], vec![200, 0, 0, 0, 1, 2, 3], [5_u32.to_le_bytes().as_slice(), &[0xee; 5]].concat()];
    for bytes in garbage.iter().cycle().take(MALFORMED_FRAMES as usize) {
        mallory.send(&status.peer_id, &status.listen[0], bytes.clone()).await.unwrap();
    }
    alerted(&mut alice, "network.malformed").await;
    bob.says("alice", "still here?").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "still here?");
}
