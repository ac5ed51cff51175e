//! Group messages beside vodozemac's Megolm and OpenMLS, in one run and on one
//! core: `.ci/bench sender_keys`.
//!
//! All take turns, in rounds, and the median of the rounds is printed with the
//! fastest and the slowest, so that another load on the machine touches all alike.
//! Each side is measured from 256 bytes of text to the bytes that travel, and back.
//! Ours pads to 512 bytes, names the membership and what was seen, and draws a random
//! nonce for each message; a chain is replaced every 100 messages, and that is counted.
//! OpenMLS keeps its group in its store in memory, as it always does.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;

use openmls::prelude::tls_codec::Deserialize as _;
use openmls::prelude::*;
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use secure_chat_protocol::id::{AccountId, GroupId as OurGroup, MessageHash, Timestamp, ViewId};
use secure_chat_protocol::sender_key::{GroupMessageIn, MemberChains, SendContext, SenderKey};
use vodozemac::megolm::{GroupSession, InboundGroupSession, SessionConfig};

const MESSAGE: [u8; 256] = [0x5a; 256];
const ROUNDS: usize = 15;
const MESSAGES: usize = 2_000;
const GROUP: OurGroup = OurGroup([1; 32]);
const ALICE: AccountId = AccountId([2; 32]);
const BOB: AccountId = AccountId([4; 32]);
const VIEW: ViewId = ViewId([3; 32]);
const NOW: Timestamp = Timestamp(1_700_000_000_000);
const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Seconds for all messages to be encrypted, and to be decrypted.
type Round = (f64, f64);

fn ours() -> Round {
    let roster = BTreeSet::from([ALICE, BOB]);
    let heads = [MessageHash([5; 32])];
    let context = SendContext { group: GROUP, author: ALICE, view: VIEW, roster: &roster, heads: &heads, now: NOW };
    let mut key = SenderKey::generate(VIEW, NOW, &mut rand::rng());
    let mut chains = vec![key.hand_to(BOB)];
    let mut messages = Vec::with_capacity(MESSAGES);
    let began = Instant::now();
    for _ in 0..MESSAGES {
        if key.must_rotate(&roster, NOW) {
            key = SenderKey::generate(VIEW, NOW, &mut rand::rng());
            chains.push(key.hand_to(BOB));
        }
        messages.push(key.encrypt(&context, &MESSAGE, &mut rand::rng()).unwrap().encode().unwrap());
    }
    let encrypted = began.elapsed().as_secs_f64();
    let mut known = MemberChains::new(GROUP, ALICE);
    let (mut chains, mut left) = (chains.into_iter(), 0);
    let began = Instant::now();
    for message in &messages {
        if left == 0 {
            known.accept(&chains.next().unwrap(), NOW).unwrap();
            left = 100;
        }
        left -= 1;
        let opened = known.decrypt(&GroupMessageIn::decode(message).unwrap(), NOW).unwrap();
        assert_eq!(black_box(opened).expose(), MESSAGE);
    }
    (encrypted, began.elapsed().as_secs_f64())
}

fn megolm() -> Round {
    let mut session = GroupSession::new(SessionConfig::version_1());
    let mut inbound = InboundGroupSession::new(&session.session_key(), SessionConfig::version_1());
    let mut messages = Vec::with_capacity(MESSAGES);
    let began = Instant::now();
    for _ in 0..MESSAGES {
        messages.push(session.encrypt(MESSAGE).to_bytes());
    }
    let encrypted = began.elapsed().as_secs_f64();
    let began = Instant::now();
    for message in &messages {
        let message = vodozemac::megolm::MegolmMessage::try_from(message.as_slice()).unwrap();
        assert_eq!(black_box(inbound.decrypt(&message).unwrap()).plaintext, MESSAGE);
    }
    (encrypted, began.elapsed().as_secs_f64())
}

/// Somebody with a store, keys and a name.
struct Member {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
}

impl Member {
    fn new(name: &str) -> Self {
        let provider = OpenMlsRustCrypto::default();
        let signer = SignatureKeyPair::new(SUITE.signature_algorithm()).unwrap();
        signer.store(provider.storage()).unwrap();
        let credential = CredentialWithKey {
            credential: BasicCredential::new(name.into()).into(),
            signature_key: signer.public().into(),
        };
        Self { provider, signer, credential }
    }
}

fn openmls() -> Round {
    let (alice, bob) = (Member::new("alice"), Member::new("bob"));
    let config = MlsGroupCreateConfig::builder().ciphersuite(SUITE).use_ratchet_tree_extension(true).build();
    let mut group = MlsGroup::new(&alice.provider, &alice.signer, &config, alice.credential.clone()).unwrap();
    let package = KeyPackage::builder().build(SUITE, &bob.provider, &bob.signer, bob.credential.clone()).unwrap();
    let (_, welcome, _) = group.add_members(&alice.provider, &alice.signer, &[package.key_package().clone()]).unwrap();
    group.merge_pending_commit(&alice.provider).unwrap();
    let welcome = MlsMessageIn::tls_deserialize_exact(welcome.to_bytes().unwrap()).unwrap();
    let MlsMessageBodyIn::Welcome(welcome) = welcome.extract() else { panic!("not a welcome") };
    let staged = StagedWelcome::new_from_welcome(&bob.provider, &MlsGroupJoinConfig::default(), welcome, None).unwrap();
    let mut joined = staged.into_group(&bob.provider).unwrap();
    let mut messages = Vec::with_capacity(MESSAGES);
    let began = Instant::now();
    for _ in 0..MESSAGES {
        let message = group.create_message(&alice.provider, &alice.signer, &MESSAGE).unwrap();
        messages.push(message.to_bytes().unwrap());
    }
    let encrypted = began.elapsed().as_secs_f64();
    let began = Instant::now();
    for message in &messages {
        let message = MlsMessageIn::tls_deserialize_exact(message).unwrap().try_into_protocol_message().unwrap();
        let opened = joined.process_message(&bob.provider, message).unwrap().into_content();
        let ProcessedMessageContent::ApplicationMessage(text) = opened else { panic!("not a text") };
        assert_eq!(black_box(text.into_bytes()), MESSAGE);
    }
    (encrypted, began.elapsed().as_secs_f64())
}

/// Messages a second in the median round, the slowest and the fastest.
fn rates(mut seconds: Vec<f64>) -> (f64, f64, f64) {
    seconds.sort_by(f64::total_cmp);
    let at = |place: usize| MESSAGES as f64 / seconds[place];
    (at(seconds.len() / 2), at(seconds.len() - 1), at(0))
}

fn main() {
    let sides: [(&str, fn() -> Round); 3] = [("ours", ours), ("Megolm", megolm), ("OpenMLS", openmls)];
    let mut rounds = [const { (Vec::new(), Vec::new()) }; 3];
    for _ in 0..ROUNDS {
        for ((_, run), (encrypt, decrypt)) in sides.iter().zip(&mut rounds) {
            let round = run();
            encrypt.push(round.0);
            decrypt.push(round.1);
        }
    }
    println!("group messages of 256 bytes a second, one core, median of {ROUNDS} rounds in turns (slowest, fastest)");
    println!("  {:<10} {:>26}   {:>26}", "", "encrypt", "decrypt");
    for ((name, _), (encrypt, decrypt)) in sides.iter().zip(rounds) {
        let show = |(median, least, most): (f64, f64, f64)| format!("{median:>8.0} ({least:>7.0},{most:>7.0})");
        println!("  {name:<10} {:>26}   {:>26}", show(rates(encrypt)), show(rates(decrypt)));
    }
    println!("  to reach: ours above both in both columns");
}
