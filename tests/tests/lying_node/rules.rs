//! Precision and recall of the rules that speak at once, when a node shows other keys, spoilt or
//! wrong answers: every lie goes over the wire, in between honest answers. `just alerts` prints the table.

use std::collections::BTreeMap;

use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{Request, Response, Who};
use secure_chat_tests::Persona;

use crate::node::LyingNode;
use crate::{Invented, contacts};

/// Lies of each kind.
const LIES: u64 = 50;
/// Honest answers before each lie.
const HONEST: usize = 5;
const RULES: [&str; 3] = ["contact.key_changed", "rendezvous.invalid_record", "rendezvous.wrong_answer"];

/// How often each alert was raised until now.
async fn raised(by: &Persona) -> BTreeMap<String, u64> {
    let alerts = by.handle().unwrap().security_alerts().await.unwrap().alerts;
    let mut all = BTreeMap::new();
    for alert in alerts {
        *all.entry(alert.kind).or_default() += alert.count;
    }
    all
}

/// What was raised since.
async fn since(by: &Persona, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut now = raised(by).await;
    now.iter_mut().for_each(|(kind, count)| *count -= before.get(kind).copied().unwrap_or_default());
    now.retain(|_, count| *count > 0);
    now
}

/// The node answers lookups with a lie that the rule is there for.
fn lies(node: &LyingNode, rule: &str, number: u64) {
    let mallory = Invented::seeded(1_000 + number);
    let rule = rule.to_owned();
    node.lies(move |request, honest, _| {
        let Request::Lookup(Who::Name(_)) = request else { return honest };
        match rule.as_str() {
            "contact.key_changed" => mallory.found("bob"),
            "rendezvous.wrong_answer" => mallory.found("mallory"),
            _ => {
                let Response::Found { mut people, more } = honest else { return honest };
                for person in &mut people {
                    let at = number as usize * 7 % person.record.0.len();
                    let mut spoilt = person.record.0.clone();
                    spoilt[at] ^= 1 << (number % 8);
                    person.record = Bytes(spoilt);
                }
                Response::Found { people, more }
            }
        }
    });
}

#[tokio::test]
async fn each_lie_about_people_is_told_and_no_honest_answer_is() {
    let (_net, node, alice, _bob) = contacts().await;
    let (mut found, mut right, mut all, mut benign) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), 0);
    for number in 0..LIES {
        for rule in RULES {
            node.repents();
            let before = raised(&alice).await;
            for _ in 0..HONEST {
                alice.handle().unwrap().users_find("bob").await.unwrap();
            }
            benign += since(&alice, &before).await.values().sum::<u64>();
            lies(&node, rule, number);
            let before = raised(&alice).await;
            let _ = alice.handle().unwrap().users_find("bob").await;
            let told = since(&alice, &before).await;
            *found.entry(rule).or_insert(0) += u64::from(told.contains_key(rule));
            for (kind, count) in told {
                *all.entry(kind.clone()).or_insert(0) += count;
                *right.entry(kind.clone()).or_insert(0) += if kind == rule { count } else { 0 };
            }
        }
    }
    println!("{LIES} lies of each kind over the wire, {HONEST} honest answers before each");
    println!("{:<26} {:>8} {:>7} {:>10}", "rule", "attacks", "recall", "precision");
    for rule in RULES {
        let recall = found[rule] as f64 / LIES as f64;
        let precision = right[rule] as f64 / all[rule] as f64;
        println!("{rule:<26} {LIES:>8} {recall:>7.3} {precision:>10.3}");
        assert!(recall == 1.0 && precision == 1.0, "{rule}: {found:?}, {right:?} of {all:?}");
    }
    let honest = HONEST as u64 * LIES * RULES.len() as u64;
    println!("alerts at {honest} honest answers: {benign}");
    assert_eq!(benign, 0);
}
