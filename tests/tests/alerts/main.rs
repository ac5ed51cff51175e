//! Precision and recall of the alert rules: fifty scripted attacks for each rule, each
//! inside an hour of ordinary traffic, by a simulated clock. `just alerts` prints the table.
//! `ordinary_day` has no script: real peers, of whom no rule at all may speak.
//! (That the signals come from the wire is shown rule by rule in `security.rs`, `turned_back.rs`,
//! `lying_node` and `audit_tampering.rs`.)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ordinary_day;

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use secure_chat_node::messaging::clock::ClockWatch;
use secure_chat_node::security::rules::{
    DECRYPT_FAILURES, MAILBOX_GARBAGE, MALFORMED_FRAMES, MESSAGES_FLOOD, NEW_SESSIONS, REPLAYS, REQUESTS_FLOOD, Rules,
    Signal, WRONG_PASSWORDS,
};
use secure_chat_protocol::id::{AccountId, Timestamp};

const HOUR_MS: u64 = 3_600_000;
const MINUTE_MS: u64 = 60_000;
/// Attacks of each kind.
const RUNS: u64 = 50;
/// Benign hours.
const HOURS: u64 = 50;
const SEED: u64 = 20_261_123;
const MALLORY: AccountId = AccountId([66; 32]);
const START_MS: u64 = 1_800_000_000_000;

type Script = Vec<(u64, Signal)>;

/// An hour of twenty people: chats, a morning's mail at once, deliveries that are repeated, a few
/// people who ask for a chat, new devices, messages that don't open, slips of the fingers.
fn ordinary(random: &mut StdRng) -> Script {
    let person = |random: &mut StdRng| AccountId([random.random_range(0..20); 32]);
    let mut script: Script = vec![(0, Signal::WrongPasswords(random.random_range(0..3)))];
    let morning = person(random);
    script.extend((0..600).map(|number| (number * 15, Signal::Message(morning))));
    for second in 0..3_600 {
        let at = second * 1_000 + random.random_range(0..1_000);
        for _ in 0..random.random_range(0..3) {
            script.push((at, Signal::Message(person(random))));
        }
        if second % 40 == 0 {
            let (who, mark) = (person(random), random.random::<[u8; 8]>());
            script.extend((0..random.random_range(1..3)).map(|again| (at + again, Signal::Replay(who, mark))));
        }
    }
    let mut rare = |count: u64, random: &mut StdRng, signal: &dyn Fn(AccountId) -> Signal| {
        for _ in 0..random.random_range(0..=count) {
            let (at, who) = (random.random_range(0..HOUR_MS), person(random));
            script.push((at, signal(who)));
        }
    };
    rare(6, random, &|_| Signal::Request);
    rare(8, random, &Signal::SessionStarted);
    rare(4, random, &|who| Signal::DecryptFailed(Some(who)));
    rare(2, random, &|_| Signal::DecryptFailed(None));
    rare(4, random, &|who| Signal::Malformed { peer: who.0, account: Some(who) });
    script
}

/// The attack of a rule, at a random time, as slow as the rule says that it is still one.
fn attack(rule: &str, random: &mut StdRng) -> Script {
    let (count, window_ms): (u32, u64) = match rule {
        "request.flood" => (REQUESTS_FLOOD, 10 * MINUTE_MS),
        "message.flood" => (MESSAGES_FLOOD, MINUTE_MS),
        "decrypt.failures" => (DECRYPT_FAILURES, 10 * MINUTE_MS),
        "message.replay" => (REPLAYS, 10 * MINUTE_MS),
        "session.churn" => (NEW_SESSIONS, 10 * MINUTE_MS),
        "network.malformed" => (MALFORMED_FRAMES, 10 * MINUTE_MS),
        "mailbox.invalid_envelope" => (MAILBOX_GARBAGE, MINUTE_MS),
        "account.brute_force" => (1, MINUTE_MS),
        other => panic!("no attack for {other}"),
    };
    let wrong = WRONG_PASSWORDS + random.random_range(0..20);
    let count = count + random.random_range(0..count);
    let took_ms = random.random_range(1..=window_ms);
    let begins = random.random_range(0..HOUR_MS - took_ms);
    let from = if random.random_bool(0.8) { Some(MALLORY) } else { None };
    let signal = || match rule {
        "request.flood" => Signal::Request,
        "message.flood" => Signal::Message(MALLORY),
        "decrypt.failures" => Signal::DecryptFailed(from),
        "message.replay" => Signal::Replay(MALLORY, [7; 8]),
        "session.churn" => Signal::SessionStarted(MALLORY),
        "network.malformed" => Signal::Malformed { peer: [66; 32], account: from },
        "mailbox.invalid_envelope" => Signal::MailboxGarbage,
        _ => Signal::WrongPasswords(wrong),
    };
    (0..count).map(|at| (begins + u64::from(at) * took_ms / u64::from(count), signal())).collect()
}

fn played(mut script: Script) -> Vec<&'static str> {
    script.sort_by_key(|(at, _)| *at);
    let mut rules = Rules::default();
    let seen = script.iter().filter_map(|(at, signal)| rules.observe(Timestamp(START_MS + at), signal));
    seen.map(|raised| raised.kind).collect()
}

#[derive(Default)]
struct Score {
    attacks: u64,
    found: u64,
    right: u64,
    wrong: u64,
    benign: u64,
}

/// A clock that is looked at each second; says whether a jump was seen.
fn clock_hour(random: &mut StdRng, jump_ms: i64) -> bool {
    let mut watch = ClockWatch::new(Timestamp(START_MS), 0, Some(Timestamp(START_MS - 1_000)), None);
    let (jumps_at, drift_ppm) = (random.random_range(0..3_600), random.random_range(0..100));
    let (mut off_ms, mut seen) = (0_i64, false);
    for second in 1..=3_600_u64 {
        if second == jumps_at {
            off_ms += jump_ms;
        }
        // Drift, and a server that sets the clock right by up to two seconds.
        let set = if second % 600 == 0 { random.random_range(-2_000..2_000) } else { 0 };
        let wall = START_MS + second * 1_000 + second * drift_ppm / 1_000;
        seen |= watch.observe(Timestamp(wall.saturating_add_signed(off_ms + set)), second * 1_000);
    }
    seen
}

#[test]
fn every_rule_finds_every_attack_and_an_hour_of_ordinary_traffic_raises_nothing() {
    let mut random = StdRng::seed_from_u64(SEED);
    let rules = [
        "request.flood",
        "message.flood",
        "decrypt.failures",
        "message.replay",
        "session.churn",
        "network.malformed",
        "mailbox.invalid_envelope",
        "account.brute_force",
    ];
    let mut scores: BTreeMap<&str, Score> = rules.iter().map(|rule| (*rule, Score::default())).collect();
    for rule in rules {
        for _ in 0..RUNS {
            let mut script = ordinary(&mut random);
            script.extend(attack(rule, &mut random));
            let raised = played(script);
            let score = scores.get_mut(rule).unwrap();
            score.attacks += 1;
            score.found += u64::from(raised.contains(&rule));
            for kind in raised {
                let score = scores.get_mut(kind).unwrap();
                if kind == rule { score.right += 1 } else { score.wrong += 1 }
            }
        }
    }
    let mut false_alerts = 0;
    for _ in 0..HOURS {
        for kind in played(ordinary(&mut random)) {
            scores.get_mut(kind).unwrap().benign += 1;
            false_alerts += 1;
        }
    }
    let mut clock = Score::default();
    for _ in 0..RUNS {
        // Forward, a machine may only have slept: a week is not too long for that.
        let forward = random.random_bool(0.5);
        let hours = if forward { random.random_range(8 * 24..90_000_i64) } else { -random.random_range(7..90_000_i64) };
        let jump = hours * i64::try_from(HOUR_MS).unwrap();
        clock.attacks += 1;
        clock.found += u64::from(clock_hour(&mut random, jump));
        clock.benign += u64::from(clock_hour(&mut random, 0));
    }
    clock.right = clock.found;
    false_alerts += clock.benign;
    scores.insert("clock.jumped", clock);

    println!("{RUNS} attacks of each kind in an hour of ordinary traffic, {HOURS} hours without; seed {SEED}");
    println!("{:<26} {:>8} {:>7} {:>10} {:>17}", "rule", "attacks", "recall", "precision", "false in benign h");
    for (rule, score) in &scores {
        let recall = score.found as f64 / score.attacks as f64;
        let precision = score.right as f64 / (score.right + score.wrong + score.benign).max(1) as f64;
        println!(
            "{rule:<26} {:>8} {recall:>7.3} {precision:>10.3} {:>17.3}",
            score.attacks,
            score.benign as f64 / HOURS as f64
        );
        assert!(recall == 1.0, "{rule} missed an attack");
    }
    let each_hour = false_alerts as f64 / HOURS as f64;
    println!("false alerts in an hour of ordinary traffic, all rules: {each_hour:.3} (bound: 1)");
    assert!(each_hour <= 1.0);
}
