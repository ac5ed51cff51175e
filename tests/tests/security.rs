//! Alert rules under attack. Every attack comes over the wire, from a real peer or from a
//! stolen key. (`alerts` counts what the rules make of attacks and of ordinary traffic.)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::arithmetic_side_effects)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use secure_chat_node::api::{ErrorKind, Event};
use secure_chat_node::messaging::outbox::Outgoing;
use secure_chat_node::network::{Network, NetworkConfig, NetworkHandle, PeerId, TransportKind, parse_address};
use secure_chat_node::security::rate::{FAILURES_BURST, FAILURES_PER_SECOND};
use secure_chat_node::security::rules::{
    DECRYPT_FAILURES, MALFORMED_FRAMES, MESSAGES_FLOOD, NEW_SESSIONS, REPLAYS, REQUESTS_FLOOD, WRONG_PASSWORDS,
};
use secure_chat_node::store::{StoreOptions, Table, Vault, list_accounts};
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::limits::DELIVERY_MAX_MESSAGES;
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::peer::{DeliveryStatus, Hello, PEER_PROTOCOL, PeerRequest, PeerResponse};
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
    assert!(alice.audited().await.unwrap().contains("message.undecryptable"), "each of them is in the log");
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
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            other => panic!("{other:?}"),
        }
    }
    loop {
        match alice.handle().unwrap().account_unlock(PASSWORD, None).await {
            Ok(_) => break,
            Err(refused) => {
                let wait = refused.retry_after_ms.unwrap();
                tokio::time::sleep(Duration::from_millis(wait)).await;
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

/// As much physical memory as this process holds now.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// What became of messages that don't open.
#[derive(Default)]
struct Flood {
    sent: u64,
    tried: u64,
    put_off: u64,
}

impl Stolen {
    /// Delivers garbage, no message like the one before, as fast as it goes.
    async fn flood(net: NetworkHandle, to: PeerId, lane: u64, stop: Arc<AtomicBool>) -> Flood {
        let mut flood = Flood::default();
        while !stop.load(Ordering::Relaxed) {
            let garbage = |at: u64| Bytes([((lane << 48) | (flood.sent + at)).to_le_bytes(); 40].concat());
            let messages: Vec<Bytes> = (0..DELIVERY_MAX_MESSAGES as u64).map(garbage).collect();
            flood.sent += messages.len() as u64;
            match net.request(to, Vec::new(), PeerRequest::Deliver { messages }).await {
                Ok(PeerResponse::Delivered { statuses }) => {
                    let slow = |status: &&DeliveryStatus| matches!(status, DeliveryStatus::SlowDown { .. });
                    let put_off = statuses.iter().filter(slow).count();
                    flood.put_off += put_off as u64;
                    flood.tried += (statuses.len() - put_off) as u64;
                }
                Ok(_) => flood.put_off += DELIVERY_MAX_MESSAGES as u64,
                Err(_) => break,
            }
        }
        flood
    }
}

/// Rows of a table in the vault of somebody who is away.
fn rows(of: &Persona, table: Table) -> usize {
    let account = list_accounts(of.dir()).unwrap().pop().unwrap();
    let vault = Vault::unlock(of.dir(), &account, PASSWORD, StoreOptions::default()).unwrap();
    vault.scan(table).unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_contact_starves_nobody_and_fills_neither_memory_nor_disk() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut mallory) = (net.persona("alice").await.unwrap(), net.persona("mallory").await.unwrap());
    let mut bob = net.persona("bob").await.unwrap();
    become_contacts(&mut mallory, &mut alice).await.unwrap();
    become_contacts(&mut bob, &mut alice).await.unwrap();
    mallory.away().await;
    let stolen = steal(&mallory);
    stolen.deliver(&alice, &[]).await;
    let peer: PeerId = alice.handle().unwrap().network_status().await.unwrap().peer_id.parse().unwrap();
    let (before_kib, began, stop) = (resident_kib(), Instant::now(), Arc::new(AtomicBool::new(false)));
    let flood = |lane| tokio::spawn(Stolen::flood(stolen.net.clone(), peer, lane, Arc::clone(&stop)));
    let floods: Vec<_> = (0..16).map(flood).collect();
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let sent = Instant::now();
        bob.says("alice", &format!("{number}")).await.unwrap();
        assert_eq!(alice.reads().await.unwrap(), format!("{number}"));
        // Her own commands are heard as well.
        assert_eq!(alice.handle().unwrap().contacts_list().await.unwrap().contacts.len(), 2);
        slowest = slowest.max(sent.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let mut all = Flood::default();
    for flood in floods {
        let one = flood.await.unwrap();
        (all.sent, all.tried, all.put_off) = (all.sent + one.sent, all.tried + one.tried, all.put_off + one.put_off);
    }
    let grown_kib = resident_kib().saturating_sub(before_kib);
    let alerts = alice.handle().unwrap().security_alerts().await.unwrap().alerts;
    let kinds: Vec<&str> = alerts.iter().map(|alert| alert.kind.as_str()).collect();
    let log = alice.handle().unwrap().security_audit_log(
        None,
        500_u32,
        None::<String>,
        None::<String>,
        None,
        None,
        None::<String>,
    );
    let entries = log.await.unwrap().entries.len();
    alice.away().await;
    let seen = rows(&alice, Table::Seen);
    println!(
        "{} sent in {:?}, {} tried, {} put off; slowest of another: {slowest:?}; grown by {grown_kib} KiB; \
         {entries} entries, {seen} rows",
        all.sent,
        began.elapsed(),
        all.tried,
        all.put_off
    );
    let most = FAILURES_BURST + (began.elapsed().as_secs() + 1) * FAILURES_PER_SECOND;
    assert!(all.tried <= most, "{} were tried, {most} at most", all.tried);
    assert!(all.put_off > all.tried, "the rest is put off");
    assert!(kinds.contains(&"decrypt.failures") && kinds.contains(&"rate.limited"), "{kinds:?}");
    assert!(slowest < Duration::from_secs(10), "another waited {slowest:?}");
    assert!(grown_kib < 64 * 1024, "memory grew by {grown_kib} KiB");
    assert!(entries < 60 && seen < 60, "{entries} entries, {seen} rows");
}
