//! Hostile peers over the wire: strangers who keep to no rule, and a program that
//! speaks libp2p and nothing else. They are bounded, told and cut off; others are served.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use futures::{AsyncWriteExt as _, StreamExt as _};
use libp2p::core::transport::MemoryTransport;
use libp2p::core::{Transport as _, upgrade};
use libp2p::{StreamProtocol, SwarmBuilder, noise, yamux};
use rand::SeedableRng;
use rand::rngs::StdRng;
use secure_chat_node::api::{Event, MessageState, NodeHandle, Status};
use secure_chat_node::clock::WallClock;
use secure_chat_node::network::limits::GARBAGE_MAX;
use secure_chat_node::network::{
    Network, NetworkConfig, NetworkEvent, NetworkHandle, PeerId, TransportKind, parse_address,
};
use secure_chat_node::security::asking::HELLO_BURST;
use secure_chat_node::security::rate::STRANGER_BURST;
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::id::MessageId;
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::limits::{PEER_FRAME_MAX_BYTES, REQUEST_EXPIRES_MS, REQUESTS_WAITING_MAX, SECOND_MS};
use secure_chat_protocol::prekey::BundleIn;
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::session::SessionSet;
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::wire::codec::{self, Bytes};
use secure_chat_protocol::wire::content::{Content, MESSAGE_VERSION, MessageIn, Profile};
use secure_chat_protocol::wire::peer::{DeliveryStatus, Hello, PEER_PROTOCOL, PeerRefusal, PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous::PresenceStatus;
use secure_chat_tests::{Persona, TestNet, become_contacts};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Somebody with keys and a network, and a program that asks as it likes.
struct Stranger {
    identity: IdentityKeyPair,
    record: Record,
    net: NetworkHandle,
    rng: StdRng,
    /// Right by the clock of whom they ask.
    clock: WallClock,
    /// With whom they asked last.
    sessions: Option<SessionSet>,
    events: mpsc::Receiver<NetworkEvent>,
}

impl Stranger {
    fn new(number: u8, name: &str, clock: &WallClock) -> Self {
        let mut rng = StdRng::seed_from_u64(u64::from(number));
        let now = clock.now();
        let identity = IdentityKeyPair::generate(&mut rng, now);
        let seed = [number; 32];
        let peer = SigningKey::from_seed(&Secret::filled(|out| out.copy_from_slice(&seed)));
        let fields = RecordFields {
            name: Username::parse(name).unwrap(),
            peers: vec![peer_binding(&peer, identity.account_id())],
            addresses: Vec::new(),
            homes: Vec::new(),
            mailbox: None,
        };
        let record = Record::create(&identity, fields, None, now).unwrap();
        let (net, events) = Network::start(NetworkConfig::new(Zeroizing::new(seed), TransportKind::Memory)).unwrap();
        Self { identity, record, net, rng, clock: clock.clone(), sessions: None, events }
    }

    /// Says hello; the peer of who is there, and the answer.
    async fn hello(&self, to: &NodeHandle) -> (PeerId, PeerResponse) {
        let status = to.network_status().await.unwrap();
        let peer: PeerId = status.peer_id.parse().unwrap();
        let addresses = status.listen.iter().map(|address| parse_address(address).unwrap()).collect();
        let hello = Hello { record: Bytes(self.record.encoded().to_vec()), addresses: Vec::new(), status: None };
        (peer, self.net.request(peer, addresses, PeerRequest::Hello(hello)).await.unwrap())
    }

    /// Says hello, and is answered; the peer of who is there.
    async fn greets(&self, to: &NodeHandle) -> PeerId {
        let (peer, answer) = self.hello(to).await;
        assert!(matches!(answer, PeerResponse::Hello(_)), "{answer:?}");
        peer
    }

    /// Asks for a chat, as the protocol says.
    async fn asks(&mut self, to: &NodeHandle, greeting: &str) -> DeliveryStatus {
        let (peer, now) = (self.greets(to).await, self.clock.now());
        let answer = self.net.request(peer, Vec::new(), PeerRequest::Bundle).await.unwrap();
        let PeerResponse::Bundle { bundle } = answer else { panic!("{answer:?}") };
        let bundle: BundleIn = codec::decode(&bundle.0, PEER_FRAME_MAX_BYTES).unwrap();
        let bundle = bundle.verify(now, None).unwrap();
        let mut sessions = SessionSet::new(self.identity.account_id(), bundle.identity().account_id());
        sessions.initiate(&self.identity, &bundle, now, &mut self.rng).unwrap();
        let record = Bytes(self.record.encoded().to_vec());
        let profile = Profile { record, addresses: Vec::new(), tokens: None };
        let message = MessageIn {
            version: MESSAGE_VERSION,
            id: MessageId::random(&mut self.rng),
            seq: 1,
            floor: 1,
            sent: now,
            record_seq: self.record.seq(),
            body: Content::Request { greeting: greeting.to_owned(), profile, invite: None },
        };
        let ciphertext = sessions.encrypt(&message.encode().unwrap(), now, &mut self.rng).unwrap();
        self.sessions = Some(sessions);
        self.delivers(peer, ciphertext).await
    }

    /// Says any bytes in the session with whom they asked.
    async fn babbles(&mut self, to: &NodeHandle, plaintext: &[u8]) -> DeliveryStatus {
        let (peer, now) = (self.greets(to).await, self.clock.now());
        let sessions = self.sessions.as_mut().unwrap();
        let ciphertext = sessions.encrypt(plaintext, now, &mut self.rng).unwrap();
        self.delivers(peer, ciphertext).await
    }

    async fn delivers(&self, peer: PeerId, ciphertext: Vec<u8>) -> DeliveryStatus {
        let deliver = PeerRequest::Deliver { messages: vec![Bytes(ciphertext)] };
        match self.net.request(peer, Vec::new(), deliver).await.unwrap() {
            PeerResponse::Delivered { statuses } => statuses[0],
            PeerResponse::Refused(PeerRefusal::SlowDown { retry_after_ms }) => {
                DeliveryStatus::SlowDown { retry_after_ms }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Requests that wait for an answer, those that were set aside included.
async fn waiting(alice: &Persona) -> usize {
    let handle = alice.handle().unwrap();
    let aside = handle.security_quarantine(None::<String>).await.unwrap().messages.len();
    handle.contacts_requests().await.unwrap().incoming.len() + aside
}

#[tokio::test]
async fn thirty_two_requests_wait_and_no_more_until_one_is_answered_or_too_old() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let mut strangers = Vec::new();
    for number in 0..=REQUESTS_WAITING_MAX {
        let number = u8::try_from(number + 1).unwrap();
        strangers.push(Stranger::new(number, &format!("stranger{number}"), &alice.clock));
    }
    let (last, first) = strangers.split_last_mut().unwrap();
    for stranger in first {
        assert_eq!(stranger.asks(alice.handle().unwrap(), "Hi").await, DeliveryStatus::Stored);
    }
    assert_eq!(last.asks(alice.handle().unwrap(), "Me, too").await, DeliveryStatus::Full);
    assert_eq!(waiting(&alice).await, REQUESTS_WAITING_MAX);

    let one = alice.handle().unwrap().contacts_requests().await.unwrap().incoming[0].request_id.clone();
    alice.handle().unwrap().contacts_decline(one).await.unwrap();
    assert_eq!(last.asks(alice.handle().unwrap(), "And now?").await, DeliveryStatus::Stored);
    assert_eq!(waiting(&alice).await, REQUESTS_WAITING_MAX);

    // Nobody answers them: a month later there is room for others.
    alice.away().await;
    alice.clock.jump(i64::try_from(REQUEST_EXPIRES_MS + SECOND_MS).unwrap());
    alice.back().await.unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    while waiting(&alice).await > 0 {
        assert!(tokio::time::Instant::now() < until, "old requests are still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut late = Stranger::new(200, "late", &alice.clock);
    assert_eq!(late.asks(alice.handle().unwrap(), "Hello").await, DeliveryStatus::Stored);
    assert_eq!(waiting(&alice).await, 1);
}

#[tokio::test]
async fn a_stranger_who_says_a_contact_s_name_stops_nothing_and_is_set_aside() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let mut mallory = Stranger::new(66, "Bob", &alice.clock);
    assert_eq!(mallory.asks(alice.handle().unwrap(), "It's me, on a new phone").await, DeliveryStatus::Stored);
    let handle = alice.handle().unwrap();
    assert_eq!(handle.contacts_requests().await.unwrap().incoming.len(), 0, "it does not ring");
    assert_eq!(handle.security_quarantine(None::<String>).await.unwrap().messages.len(), 1, "it may be looked at");
    assert!(handle.contacts_list().await.unwrap().contacts.iter().all(|contact| contact.new_fingerprint.is_none()));
    alice.says("bob", "still you").await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "still you");
}

#[tokio::test]
async fn the_same_words_of_several_links_and_names_like_a_contact_s_are_set_aside() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bill) = (net.persona("alice").await.unwrap(), net.persona("bill").await.unwrap());
    become_contacts(&mut alice, &mut bill).await.unwrap();
    let offer = "Dear friend, I have an offer for you alone";
    let asked = [
        ("first", offer, None),
        ("second", "dear  friend, I HAVE an offer for you alone", Some("repeated")),
        ("third", offer, Some("repeated")),
        ("b1ll", "It's me, on a new phone", Some("looks_like_contact")),
        ("linker", "Have a look at prizes.org/win", Some("link")),
        ("grace", "Shall we talk?", None),
    ];
    for (number, (name, greeting, reason)) in (1..).zip(asked) {
        let mut stranger = Stranger::new(number, name, &alice.clock);
        let before = alice.handle().unwrap().contacts_requests().await.unwrap().incoming.len();
        assert_eq!(stranger.asks(alice.handle().unwrap(), greeting).await, DeliveryStatus::Stored);
        let rings = alice.handle().unwrap().contacts_requests().await.unwrap().incoming.len() > before;
        assert_eq!(rings, reason.is_none(), "{name} says {greeting:?}");
        let aside = alice.handle().unwrap().security_quarantine(None::<String>).await.unwrap().messages;
        let found = aside.iter().find(|message| message.username == name);
        let reasons: Vec<&str> = found.iter().flat_map(|message| &message.reasons).map(AsRef::as_ref).collect();
        assert_eq!(reasons, Vec::from_iter(reason), "{name} says {greeting:?}");
    }
    assert!(alice.audited().await.unwrap().contains("request.quarantined"));
    // Nobody is told whether they rang: all were answered alike. What was set aside may still be accepted.
    let aside = alice.handle().unwrap().security_quarantine(None::<String>).await.unwrap().messages;
    assert_eq!(aside.len(), 4);
    alice.handle().unwrap().security_release(aside[0].message_id.clone()).await.unwrap();
    assert_eq!(alice.handle().unwrap().contacts_requests().await.unwrap().incoming.len(), 3);
}

#[tokio::test]
async fn a_stranger_who_floods_takes_no_place_of_others() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut bob, &mut alice).await.unwrap();
    let mut mallory = Stranger::new(66, "mallory", &alice.clock);
    let mut taken = 0;
    for _ in 0..4 * STRANGER_BURST {
        let status = mallory.asks(alice.handle().unwrap(), "Hi").await;
        taken += u64::from(!matches!(status, DeliveryStatus::SlowDown { .. }));
    }
    assert!((1..=STRANGER_BURST + 4).contains(&taken), "{taken} of a stranger's messages were looked at");
    let mut friend = Stranger::new(7, "friend", &alice.clock);
    assert_eq!(friend.asks(alice.handle().unwrap(), "Hello").await, DeliveryStatus::Stored);
    assert!(waiting(&alice).await <= 2, "one of each");
    bob.says("alice", "still here").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "still here");
    let alerts = alice.handle().unwrap().security_alerts().await.unwrap().alerts;
    assert!(alerts.iter().any(|alert| alert.kind == "rate.limited"), "{alerts:?}");
}

#[tokio::test]
async fn a_stranger_who_says_hello_without_end_is_asked_to_wait_and_others_are_met() {
    let net = TestNet::new().unwrap();
    let alice = net.persona("alice").await.unwrap();
    let mallory = Stranger::new(66, "mallory", &alice.clock);
    let peer = mallory.greets(alice.handle().unwrap()).await;
    let began = std::time::Instant::now();
    let hello = Hello { record: Bytes(mallory.record.encoded().to_vec()), addresses: Vec::new(), status: None };
    let asked = (0..4 * HELLO_BURST).map(|_| {
        let (net, hello) = (mallory.net.clone(), hello.clone());
        async move { net.request(peer, Vec::new(), PeerRequest::Hello(hello)).await }
    });
    let answers = futures::future::join_all(asked).await;
    let met = answers.iter().filter(|answer| matches!(answer, Ok(PeerResponse::Hello(_)))).count() as u64;
    let slowed = |answer: &&_| matches!(answer, Ok(PeerResponse::Refused(PeerRefusal::SlowDown { .. })));
    assert!(met <= HELLO_BURST + began.elapsed().as_secs() + 1, "{met} hellos were looked at");
    assert!(answers.iter().filter(slowed).count() as u64 >= HELLO_BURST, "told to wait, not cut off");
    let mut friend = Stranger::new(7, "friend", &alice.clock);
    assert_eq!(friend.asks(alice.handle().unwrap(), "Hello").await, DeliveryStatus::Stored);
}

#[tokio::test]
async fn who_greets_learns_the_name_and_nobody_does_from_who_is_invisible() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut bob, &mut alice).await.unwrap();
    let curious = Stranger::new(66, "curious", &alice.clock);
    let (_, PeerResponse::Hello(hello)) = curious.hello(alice.handle().unwrap()).await else { panic!("no answer") };
    assert_eq!(Record::decode(&hello.record.0).unwrap().name().as_str(), "alice");
    assert!(hello.addresses.is_empty() && hello.status.is_none(), "and nothing but the record: {hello:?}");
    // Who is told nothing takes somebody for online: that is for those who may be seen.
    let shares = |on: bool| alice.handle().unwrap().settings_set("share_presence", serde_json::Value::Bool(on));
    shares(false).await.unwrap();
    let (_, PeerResponse::Hello(hello)) = curious.hello(alice.handle().unwrap()).await else { panic!("no answer") };
    assert_eq!(hello.status, Some(PresenceStatus::Offline));
    shares(true).await.unwrap();

    alice.handle().unwrap().presence_set(Status::Invisible).await.unwrap();
    let mut late = Stranger::new(67, "late", &alice.clock);
    for stranger in [&late, &curious] {
        let (peer, answer) = stranger.hello(alice.handle().unwrap()).await;
        assert!(matches!(answer, PeerResponse::Refused(PeerRefusal::NotAvailable)), "{answer:?}");
        let bundle = stranger.net.request(peer, Vec::new(), PeerRequest::Bundle).await.unwrap();
        assert!(matches!(bundle, PeerResponse::Refused(PeerRefusal::NotAvailable)), "{bundle:?}");
    }
    // Contacts go on, and she does not greet the stranger by herself.
    bob.says("alice", "still you").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "still you");
    while let Ok(event) = late.events.try_recv() {
        assert!(!matches!(event, NetworkEvent::Inbound { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn what_is_no_message_although_it_opens_is_told() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let mut mallory = Stranger::new(66, "mallory", &alice.clock);
    assert_eq!(mallory.asks(alice.handle().unwrap(), "Hello").await, DeliveryStatus::Stored);
    let request = alice.until(|event| match event {
        Event::ContactRequest(request) => Some(request.request_id),
        _ => None,
    });
    let request = request.await.unwrap();
    alice.handle().unwrap().contacts_accept(request).await.unwrap();
    let status = mallory.babbles(alice.handle().unwrap(), &[0xff; 64]).await;
    assert_eq!(status, DeliveryStatus::Invalid);
    let alerts = alice.handle().unwrap().security_alerts().await.unwrap().alerts;
    assert_eq!(alerts.iter().map(|alert| alert.kind.as_str()).collect::<Vec<_>>(), ["message.malformed"]);
}

/// A program that opens streams and writes what it likes. It ends with the test's runtime.
fn mallory(to: &str) -> libp2p_stream::Control {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|key| {
            MemoryTransport::default()
                .upgrade(upgrade::Version::V1)
                .authenticate(noise::Config::new(key).expect("noise"))
                .multiplex(yamux::Config::default())
        })
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3_600)))
        .build();
    let control = swarm.behaviour().new_control();
    swarm.dial(to.parse::<libp2p::Multiaddr>().unwrap()).unwrap();
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    control
}

async fn send(control: &mut libp2p_stream::Control, to: &str, bytes: &[u8], end: bool) -> Option<libp2p::Stream> {
    let mut stream = control.open_stream(to.parse().unwrap(), StreamProtocol::new(PEER_PROTOCOL)).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    if end {
        stream.close().await.ok()?
    } else {
        stream.flush().await.ok()?
    }
    Some(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_oversized_and_slow_streams_are_cut_off_and_told_while_two_people_chat() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let status = alice.handle().unwrap().network_status().await.unwrap();
    let peer = status.peer_id;
    let mut control = mallory(&status.listen[0]);
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    // Half a frame that never goes on: it may stay, and holds up nobody.
    let slow = loop {
        match send(&mut control, &peer, &[9, 0, 0, 0, 1], false).await {
            Some(stream) => break stream,
            // The connection is not there yet.
            None => assert!(tokio::time::Instant::now() < until),
        }
        tokio::task::yield_now().await;
    };
    let kinds: [(&[u8], bool); 3] = [
        (&[3, 0, 0, 0, 255, 255, 255], true), // no request
        (&[0, 225, 245, 5], false),           // a frame of 100 MB
        (&[9, 0, 0, 0, 1], true),             // cut off in the middle
    ];
    let mut cut_off = false;
    for round in 0..GARBAGE_MAX {
        let (bytes, end) = kinds[round as usize % kinds.len()];
        cut_off |= send(&mut control, &peer, bytes, end).await.is_none();
        alice.says("bob", &format!("{round}")).await.unwrap();
        assert_eq!(bob.reads().await.unwrap(), format!("{round}"), "others are served in between");
    }
    drop(slow);
    // It is counted, told once it is no accident, and shown the door.
    let alerts = alice.handle().unwrap().security_alerts().await.unwrap().alerts;
    assert!(alerts.iter().any(|alert| alert.kind == "network.malformed"), "{alerts:?}");
    while !cut_off {
        assert!(tokio::time::Instant::now() < until, "it may still send");
        cut_off = send(&mut control, &peer, &[0, 0, 0, 0], true).await.is_none();
        tokio::task::yield_now().await;
    }
    let id = bob.says("alice", "and back").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "and back");
    let delivered = bob.until(|event| match event {
        Event::MessageState { message_id, state: MessageState::Delivered, .. } => Some(message_id),
        _ => None,
    });
    assert_eq!(delivered.await.unwrap(), id);
}
