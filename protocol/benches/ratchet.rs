//! Sessions beside vodozemac's (Olm, configuration version 1), in one run and on
//! one core: `cargo bench -p secure-chat-protocol --bench ratchet`.
//!
//! Both sides take turns and the median of the rounds is printed, so that another
//! load on the machine touches both alike. Ours pads 256 bytes to 512, encrypts
//! headers, and draws a random nonce for each message.
#![allow(clippy::unwrap_used, reason = "a measurement: a failure ends it")]

use std::hint::black_box;
use std::time::Instant;

use secure_chat_protocol::crypto::kem;
use secure_chat_protocol::crypto::x25519;
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::prekey::{BundleIn, PreKeys, VerifiedBundle};
use secure_chat_protocol::session::SessionSet;
use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig};

const MESSAGE: [u8; 256] = [0x5a; 256];
const ROUNDS: usize = 9;
const MESSAGES: usize = 20_000;
const TURNS: usize = 1_000;
const SET_UPS: usize = 40;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct Ours {
    alice: (IdentityKeyPair, PreKeys, SessionSet),
    bob: (IdentityKeyPair, PreKeys, SessionSet),
}

fn bundle(identity: &IdentityKeyPair, prekeys: &mut PreKeys) -> BundleIn {
    let kit = prekeys.take_kit_public();
    BundleIn { identity: identity.public().to_wire(), signed: prekeys.signed_public(), kit }
}

fn start(alice: &IdentityKeyPair, bob: &VerifiedBundle) -> SessionSet {
    let mut sessions = SessionSet::new(alice.account_id(), bob.identity().account_id());
    sessions.initiate(alice, bob, NOW, &mut rand::rng()).unwrap();
    sessions
}

impl Ours {
    fn new() -> Self {
        let person = || {
            let identity = IdentityKeyPair::generate(&mut rand::rng(), NOW);
            let prekeys = PreKeys::generate(&identity, NOW, &mut rand::rng());
            (identity, prekeys)
        };
        let ((alice, alices), (bob, mut bobs)) = (person(), person());
        let verified = bundle(&bob, &mut bobs).verify(NOW, None).unwrap();
        let from_alice = start(&alice, &verified);
        let from_bob = SessionSet::new(bob.account_id(), alice.account_id());
        let mut ours = Self { alice: (alice, alices, from_alice), bob: (bob, bobs, from_bob) };
        ours.turn();
        ours
    }

    /// One message each way.
    fn turn(&mut self) {
        let said = self.alice.2.encrypt(&MESSAGE, NOW, &mut rand::rng()).unwrap();
        self.bob.2.decrypt(&self.bob.0, &mut self.bob.1, &said, NOW).unwrap();
        let said = self.bob.2.encrypt(&MESSAGE, NOW, &mut rand::rng()).unwrap();
        self.alice.2.decrypt(&self.alice.0, &mut self.alice.1, &said, NOW).unwrap();
    }
}

struct Theirs {
    alice: Session,
    bob: Session,
}

fn olm_pair() -> (Account, Account, vodozemac::Curve25519PublicKey) {
    let (alice, mut bob) = (Account::new(), Account::new());
    bob.generate_one_time_keys(1);
    let one_time_key = *bob.one_time_keys().values().next().unwrap();
    bob.mark_keys_as_published();
    (alice, bob, one_time_key)
}

fn olm_sessions(alice: &Account, bob: &mut Account, one_time_key: vodozemac::Curve25519PublicKey) -> Theirs {
    let config = SessionConfig::version_1;
    let mut from_alice = alice.create_outbound_session(config(), bob.curve25519_key(), one_time_key).unwrap();
    let OlmMessage::PreKey(first) = from_alice.encrypt(MESSAGE).unwrap() else { unreachable!("the first message") };
    let opened = bob.create_inbound_session(config(), alice.curve25519_key(), &first).unwrap();
    Theirs { alice: from_alice, bob: opened.session }
}

impl Theirs {
    fn new() -> Self {
        let (alice, mut bob, one_time_key) = olm_pair();
        let mut theirs = olm_sessions(&alice, &mut bob, one_time_key);
        theirs.turn();
        theirs
    }

    fn turn(&mut self) {
        let said = self.alice.encrypt(MESSAGE).unwrap();
        black_box(self.bob.decrypt(&said).unwrap());
        let said = self.bob.encrypt(MESSAGE).unwrap();
        black_box(self.alice.decrypt(&said).unwrap());
    }
}

fn rate(count: usize, act: &mut dyn FnMut()) -> f64 {
    let started = Instant::now();
    act();
    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    let count = count as f64;
    count / started.elapsed().as_secs_f64()
}

/// Runs each act once a round, in turns, and prints how often each happens in a second.
fn beside(name: &str, count: usize, mut ours: impl FnMut(), mut theirs: impl FnMut()) {
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (rates, act) in rates.iter_mut().zip([&mut ours as &mut dyn FnMut(), &mut theirs]) {
            rates.push(rate(count, act));
        }
    }
    let [ours, theirs] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates.get(ROUNDS / 2).copied().unwrap_or_default()
    });
    println!("{name:32} {ours:>12.0} {theirs:>12.0}");
}

fn alone(name: &str, count: usize, act: &mut dyn FnMut()) {
    println!("{name:32} {:>12.0} {:>12}", rate(count, act), "–");
}

fn messages() {
    let (mut ours, mut theirs) = (Ours::new(), Theirs::new());
    let (mut our_messages, mut their_messages) = (Vec::new(), Vec::new());
    let (mut our_opened, mut their_opened) = (Ours::new(), Theirs::new());
    beside(
        "encrypt 256 bytes, messages/s",
        MESSAGES,
        || {
            for _ in 0..MESSAGES {
                black_box(ours.alice.2.encrypt(&MESSAGE, NOW, &mut rand::rng()).unwrap());
            }
        },
        || {
            for _ in 0..MESSAGES {
                black_box(theirs.alice.encrypt(MESSAGE).unwrap());
            }
        },
    );
    for _ in 0..MESSAGES * ROUNDS {
        our_messages.push(our_opened.alice.2.encrypt(&MESSAGE, NOW, &mut rand::rng()).unwrap());
        their_messages.push(their_opened.alice.encrypt(MESSAGE).unwrap());
    }
    let (mut our_messages, mut their_messages) = (our_messages.iter(), their_messages.iter());
    let bob = &mut our_opened.bob;
    beside(
        "decrypt 256 bytes, messages/s",
        MESSAGES,
        || {
            for message in our_messages.by_ref().take(MESSAGES) {
                black_box(bob.2.decrypt(&bob.0, &mut bob.1, message, NOW).unwrap());
            }
        },
        || {
            for message in their_messages.by_ref().take(MESSAGES) {
                black_box(their_opened.bob.decrypt(message).unwrap());
            }
        },
    );
    beside(
        "ping-pong, turns/s",
        2 * TURNS,
        || (0..TURNS).for_each(|_| our_opened.turn()),
        || (0..TURNS).for_each(|_| their_opened.turn()),
    );
    alone("state to bytes, sessions/s", MESSAGES, &mut || {
        (0..MESSAGES).for_each(|_| drop(black_box(our_opened.alice.2.to_secret_bytes())));
    });
}

/// Ours verifies three signatures and encapsulates to ML-KEM-768; theirs is 3DH alone.
fn set_ups() {
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let Ours { alice, bob: (bob, mut bobs, _) } = Ours::new();
            let bundles: Vec<_> = (0..SET_UPS).map(|_| bundle(&bob, &mut bobs)).collect();
            (alice.0, bob, bobs, bundles)
        })
        .collect();
    let mut pairs: Vec<Vec<_>> = (0..ROUNDS).map(|_| (0..SET_UPS).map(|_| olm_pair()).collect()).collect();
    beside(
        "sessions set up, both sides/s",
        SET_UPS,
        || {
            let (alice, bob, mut bobs, bundles) = rounds.pop().unwrap();
            for bundle in bundles {
                let mut from_alice = start(&alice, &bundle.verify(NOW, None).unwrap());
                let first = from_alice.encrypt(&MESSAGE, NOW, &mut rand::rng()).unwrap();
                let mut from_bob = SessionSet::new(bob.account_id(), alice.account_id());
                black_box(from_bob.decrypt(&bob, &mut bobs, &first, NOW).unwrap());
            }
        },
        || {
            for (alice, mut bob, one_time_key) in pairs.pop().unwrap() {
                black_box(olm_sessions(&alice, &mut bob, one_time_key));
            }
        },
    );
}

fn main() {
    println!("{:32} {:>12} {:>12}", "", "secure-chat", "vodozemac");
    messages();
    set_ups();
    alone("identities, keypairs/s", 2_000, &mut || {
        (0..2_000).for_each(|_| drop(black_box(IdentityKeyPair::generate(&mut rand::rng(), NOW))));
    });
    alone("X25519 keypairs/s", 10_000, &mut || {
        (0..10_000).for_each(|_| drop(black_box(x25519::SecretKey::generate(&mut rand::rng()))));
    });
    alone("ML-KEM-768 keypairs/s", 5_000, &mut || {
        (0..5_000).for_each(|_| {
            black_box(kem::DecapsulationKey::generate(&mut rand::rng()).encapsulation_key());
        });
    });
}
