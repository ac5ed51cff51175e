//! Group messages beside vodozemac's Megolm, in one run and on one core:
//! `cargo bench -p secure-chat-protocol --bench sender_keys`.
//!
//! Both sides take turns and the median of the rounds is printed. Ours pads 256
//! bytes to 512, names the membership and what it has seen, and draws a random
//! nonce for each message; a chain is replaced every 100 messages, and that is counted.
#![allow(clippy::unwrap_used, reason = "a measurement: a failure ends it")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;

use secure_chat_protocol::id::{AccountId, GroupId, MessageHash, Timestamp, ViewId};
use secure_chat_protocol::sender_key::{GroupMessageIn, MemberChains, SendContext, SenderKey};
use vodozemac::megolm::{GroupSession, InboundGroupSession, SessionConfig};

const MESSAGE: [u8; 256] = [0x5a; 256];
const ROUNDS: usize = 9;
const MESSAGES: usize = 5_000;
const GROUP: GroupId = GroupId([1; 32]);
const ALICE: AccountId = AccountId([2; 32]);
const VIEW: ViewId = ViewId([3; 32]);
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Seconds for all messages to be encrypted, and to be decrypted.
fn ours() -> (f64, f64) {
    let roster = BTreeSet::from([ALICE, AccountId([4; 32])]);
    let heads = [MessageHash([5; 32])];
    let context = SendContext { group: GROUP, author: ALICE, view: VIEW, roster: &roster, heads: &heads, now: NOW };
    let mut key = SenderKey::generate(VIEW, NOW, &mut rand::rng());
    let mut chains = Vec::new();
    let mut messages = Vec::with_capacity(MESSAGES);
    chains.push(key.hand_to(AccountId([4; 32])));
    let began = Instant::now();
    for _ in 0..MESSAGES {
        if key.must_rotate(&roster, NOW) {
            key = SenderKey::generate(VIEW, NOW, &mut rand::rng());
            chains.push(key.hand_to(AccountId([4; 32])));
        }
        messages.push(key.encrypt(&context, &MESSAGE, &mut rand::rng()).unwrap().encode().unwrap());
    }
    let encrypted = began.elapsed().as_secs_f64();
    let mut known = MemberChains::new(GROUP, ALICE);
    let (mut chains, mut left) = (chains.into_iter(), 0);
    let began = Instant::now();
    for message in &messages {
        if left == 0 {
            known.accept(&chains.next().unwrap()).unwrap();
            left = 100;
        }
        left -= 1;
        black_box(known.decrypt(&GroupMessageIn::decode(message).unwrap(), NOW).unwrap());
    }
    (encrypted, began.elapsed().as_secs_f64())
}

fn megolm() -> (f64, f64) {
    let mut session = GroupSession::new(SessionConfig::version_1());
    let mut inbound = InboundGroupSession::new(&session.session_key(), SessionConfig::version_1());
    let mut messages = Vec::with_capacity(MESSAGES);
    let began = Instant::now();
    for _ in 0..MESSAGES {
        messages.push(session.encrypt(MESSAGE));
    }
    let encrypted = began.elapsed().as_secs_f64();
    let began = Instant::now();
    for message in &messages {
        black_box(inbound.decrypt(message).unwrap());
    }
    (encrypted, began.elapsed().as_secs_f64())
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let (mut own, mut other) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for _ in 0..ROUNDS {
        let (encrypt, decrypt) = ours();
        own.0.push(encrypt);
        own.1.push(decrypt);
        let (encrypt, decrypt) = megolm();
        other.0.push(encrypt);
        other.1.push(decrypt);
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = |seconds: Vec<f64>| MESSAGES as f64 / median(seconds);
    println!("group messages of 256 bytes a second, one core");
    println!("                 encrypt    decrypt");
    println!("  ours          {:>8.0}   {:>8.0}", rate(own.0), rate(own.1));
    println!("  Megolm        {:>8.0}   {:>8.0}", rate(other.0), rate(other.1));
}
