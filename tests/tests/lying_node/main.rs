//! A rendezvous node that lies to whole peers, over the real wire. Each lie is noticed, and told as
//! an alert, or does no harm; none of them loses, doubles or discloses a message for good.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that fails panics"
)]

mod group_logs;
mod groups;
mod mail;
mod node;
mod rebuilt;
mod records;
mod refusals;
mod rules;
mod skips;
mod spoilt;
mod switches;
mod work;

use node::LyingNode;
use rand::SeedableRng;
use rand::rngs::StdRng;
use secure_chat_node::api::{ApiError, ContactState, ErrorKind, Event, MessageState};
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::prekey::{BundleIn, PreKeys};
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::sealed::MailboxKeys;
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::wire::codec::{self, Bytes};
use secure_chat_protocol::wire::rendezvous::{
    Found, Presence, PresenceStatus, Refusal, Request, Response, StoredEnvelope, Who,
};
use secure_chat_tests::{Persona, TestNet, become_contacts};

/// Alice and Bob, who know each other, and the node that both use.
async fn contacts() -> (TestNet, LyingNode, Persona, Persona) {
    let (net, node, mut alice, mut bob) = strangers().await;
    become_contacts(&mut alice, &mut bob).await.unwrap();
    (net, node, alice, bob)
}

/// Alice and Bob, who don't know each other yet.
async fn strangers() -> (TestNet, LyingNode, Persona, Persona) {
    let node = LyingNode::start().await;
    let mut net = TestNet::new().unwrap();
    net.use_home(&node.address);
    let (alice, bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    (net, node, alice, bob)
}

async fn alerted(persona: &mut Persona, rule: &str) {
    let found = persona.until(|event| match event {
        Event::SecurityAlert { kind, .. } if kind == rule => Some(()),
        _ => None,
    });
    found.await.unwrap_or_else(|error| panic!("no alert {rule}: {error}"));
}

async fn in_state(persona: &mut Persona, id: &str, wanted: MessageState) {
    let found = persona.until(|event| match event {
        Event::MessageState { message_id, state, .. } if message_id == id && state == wanted => Some(()),
        _ => None,
    });
    found.await.unwrap();
}

/// Somebody whom the node made up, keys and all.
struct Invented {
    identity: IdentityKeyPair,
    peer: SigningKey,
    mailbox: MailboxKeys,
    rng: StdRng,
}

fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(elapsed.as_millis()).unwrap())
}

impl Invented {
    fn new() -> Self {
        Self::seeded(66)
    }

    fn seeded(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let identity = IdentityKeyPair::generate(&mut rng, now());
        let (peer, mailbox) = (SigningKey::generate(&mut rng), MailboxKeys::generate(now(), &mut rng));
        Self { identity, peer, mailbox, rng }
    }

    fn record(&self, name: &str) -> Vec<u8> {
        let fields = RecordFields {
            name: Username::parse(name).unwrap(),
            peers: vec![peer_binding(&self.peer, self.identity.account_id())],
            addresses: Vec::new(),
            homes: Vec::new(),
            mailbox: Some(self.mailbox.descriptor(&self.identity)),
        };
        Record::create(&self.identity, fields, None, now()).unwrap().encoded().to_vec()
    }

    fn found(&self, name: &str) -> Response {
        let presence =
            Presence { account: self.identity.account_id(), status: PresenceStatus::Offline, last_seen: None };
        let person = Found { record: Bytes(self.record(name)), addresses: Vec::new(), presence };
        Response::Found { people: vec![person], more: false }
    }

    fn bundle(&mut self) -> Response {
        let prekeys = PreKeys::generate(&self.identity, now(), &mut self.rng);
        let bundle =
            BundleIn { identity: self.identity.public().to_wire(), signed: prekeys.signed_public(), kit: None };
        Response::Bundle { bundle: Bytes(codec::encode(&bundle, 1 << 16).unwrap()) }
    }
}

#[tokio::test]
async fn a_swapped_bundle_is_noticed_and_nothing_is_said_to_it() {
    let (_net, node, mut alice, mut bob) = strangers().await;
    bob.away().await;
    let mut mallory = Invented::new();
    node.lies(move |request, honest, _| match request {
        Request::TakeBundle { .. } => mallory.bundle(),
        _ => honest,
    });
    alice
        .handle()
        .unwrap()
        .contacts_request(Some("bob".to_owned()), None::<String>, Some("a secret".to_owned()))
        .await
        .unwrap();
    alerted(&mut alice, "bundle.invalid").await;
    assert_eq!(node.known().deposits, 0, "nothing left for keys that are not Bob's");
}

#[tokio::test]
async fn a_bundle_put_together_from_two_people_s_keys_is_noticed() {
    let (_net, node, mut alice, mut bob) = strangers().await;
    bob.away().await;
    let mut mallory = Invented::new();
    node.lies(move |request, honest, _| match (request, &honest) {
        (Request::TakeBundle { .. }, Response::Bundle { bundle }) => {
            // Bob's identity, Mallory's prekey.
            let Response::Bundle { bundle: other } = mallory.bundle() else { unreachable!() };
            let mut mixed: BundleIn = codec::decode(&bundle.0, 1 << 16).unwrap();
            mixed.signed = codec::decode::<BundleIn>(&other.0, 1 << 16).unwrap().signed;
            Response::Bundle { bundle: Bytes(codec::encode(&mixed, 1 << 16).unwrap()) }
        }
        _ => honest,
    });
    alice.handle().unwrap().contacts_request(Some("bob".to_owned()), None::<String>, None::<String>).await.unwrap();
    alerted(&mut alice, "bundle.invalid").await;
    assert_eq!(node.known().deposits, 0);
}

#[tokio::test]
async fn a_kit_that_is_handed_out_twice_costs_no_message() {
    let (net, node, alice, mut bob) = strangers().await;
    let carol = net.persona("carol").await.unwrap();
    bob.away().await;
    let mut first: Option<Response> = None;
    node.lies(move |request, honest, _| match request {
        Request::TakeBundle { .. } => first.get_or_insert(honest).clone(),
        _ => honest,
    });
    for (who, greeting) in [(&alice, "from alice"), (&carol, "from carol")] {
        who.handle()
            .unwrap()
            .contacts_request(Some("bob".to_owned()), None::<String>, Some(greeting.to_owned()))
            .await
            .unwrap();
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while node.known().deposits < 2 {
        assert!(std::time::Instant::now() < deadline, "both requests are left at the node");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    node.repents();
    bob.back().await.unwrap();
    // The first one opens. The second can't, is told so once the two meet, and comes again.
    for who in [&alice, &carol] {
        who.handle().unwrap().users_find("bob").await.unwrap();
    }
    let request = |event| match event {
        Event::ContactRequest(request) => Some(request.username),
        _ => None,
    };
    let mut heard = vec![bob.until(request).await.unwrap(), bob.until(request).await.unwrap()];
    heard.sort();
    assert_eq!(heard, ["alice", "carol"]);
}

#[tokio::test]
async fn mail_that_is_withheld_arrives_once_when_the_two_meet() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    bob.away().await;
    node.lies(|request, honest, _| match request {
        Request::Fetch { .. } => Response::Mail { envelopes: Vec::new(), more: false },
        Request::OpenMailbox { .. } => Response::Mailbox { waiting: 0, tokens: 100, new: false },
        _ => honest,
    });
    let id = alice.says("bob", "are you there?").await.unwrap();
    in_state(&mut alice, &id, MessageState::Sent).await;
    bob.back().await.unwrap();
    // The node says nothing; the two connect by what they know of each other.
    assert_eq!(bob.reads().await.unwrap(), "are you there?");
    in_state(&mut alice, &id, MessageState::Delivered).await;
    node.repents();
    let last = alice.says("bob", "good").await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "good");
    in_state(&mut alice, &last, MessageState::Delivered).await;
    assert_eq!(bob.texts_of("alice").await.unwrap(), ["are you there?", "good"]);
}

#[tokio::test]
async fn two_who_both_listen_elsewhere_than_they_said_last_find_each_other_by_what_their_node_knows() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    bob.away().await;
    alice.away().await;
    // No mail comes, and this node connects nobody.
    node.lies(|request, honest, _| match request {
        Request::Fetch { .. } => Response::Mail { envelopes: Vec::new(), more: false },
        _ => honest,
    });
    alice.back().await.unwrap();
    bob.back().await.unwrap();
    let id = alice.says("bob", "you moved, too?").await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "you moved, too?");
    in_state(&mut alice, &id, MessageState::Delivered).await;
}

#[tokio::test]
async fn mail_that_is_doubled_and_replayed_is_shown_once() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    bob.away().await;
    let mut all: Vec<StoredEnvelope> = Vec::new();
    node.lies(move |request, honest, _| match honest {
        // All that ever came, twice, with new positions and once under new names.
        Response::Mail { envelopes, .. } => {
            all.extend(envelopes);
            let Request::Fetch { after, .. } = request else { unreachable!() };
            if *after > 1_000_000 {
                return Response::Mail { envelopes: Vec::new(), more: false };
            }
            let renamed = all.iter().cloned().map(|mut envelope| {
                envelope.id.0[0] ^= 0xff;
                envelope
            });
            let doubled = all.iter().cloned().chain(all.iter().cloned()).chain(renamed);
            let envelopes = doubled
                .enumerate()
                .map(|(n, envelope)| StoredEnvelope { seq: 1_000_001 + n as u64, ..envelope })
                .collect();
            Response::Mail { envelopes, more: false }
        }
        other => other,
    });
    for text in ["one", "two", "three"] {
        let id = alice.says("bob", text).await.unwrap();
        in_state(&mut alice, &id, MessageState::Sent).await;
    }
    for _ in 0..3 {
        bob.back().await.unwrap();
        let last = alice.says("bob", "over").await.unwrap();
        in_state(&mut alice, &last, MessageState::Delivered).await;
        bob.away().await;
    }
    bob.back().await.unwrap();
    let texts = bob.texts_of("alice").await.unwrap();
    assert_eq!(texts, ["one", "two", "three", "over", "over", "over"]);
}

#[tokio::test]
async fn an_envelope_that_was_changed_is_noticed_and_the_others_are_read() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    bob.away().await;
    for text in ["one", "two"] {
        let id = alice.says("bob", text).await.unwrap();
        in_state(&mut alice, &id, MessageState::Sent).await;
    }
    node.lies(|_, honest, _| match honest {
        Response::Mail { mut envelopes, more } => {
            if let Some(byte) = envelopes.first_mut().and_then(|envelope| envelope.sealed.0.last_mut()) {
                *byte ^= 1;
            }
            let forged = StoredEnvelope { seq: 999, id: [9; 16].into_id(), sealed: Bytes(vec![1; 2_000]) };
            envelopes.push(forged);
            Response::Mail { envelopes, more }
        }
        other => other,
    });
    bob.back().await.unwrap();
    alerted(&mut bob, "mailbox.invalid_envelope").await;
    assert!(bob.audited().await.unwrap().contains("mailbox.envelope"));
    node.repents();
    assert_eq!(bob.reads().await.unwrap(), "one", "what was spoilt comes again from the sender");
    assert_eq!(bob.reads().await.unwrap(), "two");
}

trait IntoId {
    fn into_id(self) -> secure_chat_protocol::id::EnvelopeId;
}

impl IntoId for [u8; 16] {
    fn into_id(self) -> secure_chat_protocol::id::EnvelopeId {
        secure_chat_protocol::id::EnvelopeId(self)
    }
}

#[tokio::test]
async fn other_keys_under_a_known_name_stop_sending_until_the_person_looks() {
    let (_net, node, mut alice, _bob) = contacts().await;
    let mallory = Invented::new();
    node.lies(move |request, honest, _| match request {
        Request::Lookup(Who::Name(name)) if name == "bob" => mallory.found("bob"),
        _ => honest,
    });
    let _ = alice.handle().unwrap().users_find("bob").await;
    alerted(&mut alice, "contact.key_changed").await;
    let refused = alice.says("bob", "a secret").await.unwrap_err();
    assert_eq!(refused.downcast_ref::<ApiError>().map(|error| error.kind), Some(ErrorKind::KeyChanged));
    // Whoever accepts other keys all the same finds that in the log.
    let handle = alice.handle().unwrap();
    let new = handle.contacts_list().await.unwrap().contacts.remove(0).new_fingerprint.unwrap();
    handle.contacts_accept_key_change("bob", new).await.unwrap();
    assert!(alice.audited().await.unwrap().contains("contact.key_accepted"));
}

#[tokio::test]
async fn what_waits_for_somebody_whose_keys_changed_goes_once_the_person_decides() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    bob.away().await;
    let mallory = Invented::new();
    node.lies(move |request, honest, _| match request {
        Request::Lookup(Who::Name(name)) if name == "bob" => mallory.found("bob"),
        Request::Deposit { .. } => Response::Refused(Refusal::Full),
        _ => honest,
    });
    let id = alice.says("bob", "said before").await.unwrap();
    let _ = alice.handle().unwrap().users_find("bob").await;
    alerted(&mut alice, "contact.key_changed").await;
    let contact = alice.handle().unwrap().contacts_list().await.unwrap().contacts.remove(0);
    assert_eq!(contact.state, ContactState::KeyChanged, "the banner");
    assert!(contact.new_fingerprint.is_some_and(|new| new != contact.fingerprint));
    // The two are connected, and what was said before still waits.
    node.tamper(|known| known.mailboxes.clear());
    // A deposit that was on its way when the keys changed is not to get through now.
    node.lies(|request, honest, _| match request {
        Request::Deposit { .. } => Response::Refused(Refusal::Full),
        _ => honest,
    });
    bob.back().await.unwrap();
    bob.says("alice", "it is me").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "it is me");
    let page =
        alice.handle().unwrap().messages_history("bob", None::<String>, None::<String>, None::<String>, None::<u32>);
    let queued = page.await.unwrap().messages.into_iter().find(|message| message.mine).unwrap();
    assert_eq!(queued.state, MessageState::Queued);
    assert_eq!(bob.texts_of("alice").await.unwrap(), Vec::<String>::new());
    // Neither a guess nor a typing mistake decides.
    let handle = alice.handle().unwrap();
    assert_eq!(handle.contacts_accept_key_change("bob", "00").await.unwrap_err().kind, ErrorKind::InvalidInput);
    // The person has compared: the keys that are known are Bob's.
    handle.contacts_accept_key_change("bob", contact.fingerprint).await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "said before");
    in_state(&mut alice, &id, MessageState::Delivered).await;
}

#[tokio::test]
async fn a_user_who_is_made_up_or_tampered_with_is_noticed() {
    let (_net, node, mut alice, _bob) = strangers().await;
    let mallory = Invented::new();
    let record = mallory.record("carol");
    node.lies(move |request, honest, _| match request {
        Request::Lookup(Who::Name(_)) => {
            let mut spoilt = record.clone();
            spoilt[5] ^= 1;
            let Response::Found { mut people, more } = mallory.found("carol") else { unreachable!() };
            people[0].record = Bytes(spoilt);
            Response::Found { people, more }
        }
        _ => honest,
    });
    assert!(alice.handle().unwrap().users_find("carol").await.is_err());
    alerted(&mut alice, "rendezvous.invalid_record").await;
    // A true record of somebody who was not asked for.
    let mallory = Invented::new();
    node.lies(move |request, honest, _| match request {
        Request::Lookup(Who::Name(_)) => mallory.found("mallory"),
        _ => honest,
    });
    assert!(alice.handle().unwrap().users_find("carol").await.is_err());
    alerted(&mut alice, "rendezvous.wrong_answer").await;
}

#[tokio::test]
async fn a_node_that_answers_nonsense_stops_nobody() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    node.lies(|_, _, _| Response::Presence(Vec::new()));
    for text in ["one", "two"] {
        let id = alice.says("bob", text).await.unwrap();
        assert_eq!(bob.reads().await.unwrap(), text);
        in_state(&mut alice, &id, MessageState::Delivered).await;
    }
}
