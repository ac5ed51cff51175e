use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::expiry::sweep;
use crate::store::memory::MemoryRows;

const BOX: MailboxId = MailboxId([7; 32]);
const OTHER: MailboxId = MailboxId([8; 32]);

fn limits() -> MailboxLimits {
    // Half of it for strangers.
    MailboxLimits { envelopes: 10, bytes: 2_000, expires_hours: 24, node_bytes: 20_000 }
}

fn opened(mailboxes: &[MailboxId]) -> MemoryRows {
    let mut rows = MemoryRows::default();
    for mailbox in mailboxes {
        open(&mut rows, 100, 0, mailbox).unwrap();
    }
    rows
}

/// What is held, whatever was held before.
fn held(rows: &MemoryRows) -> Totals {
    Totals { expiries: 0, ..Totals::load(rows).unwrap() }
}

fn stranger(mailbox: MailboxId, id: u8, bytes: usize) -> Deposit {
    Deposit { mailbox, id: EnvelopeId([id; 16]), sealed: vec![id; bytes], paid: Paid::Work }
}

fn ids(rows: &MemoryRows, mailbox: &MailboxId) -> Vec<(u64, u8)> {
    match fetch(rows, mailbox, 0, usize::MAX).unwrap() {
        Response::Mail { envelopes, .. } => envelopes.iter().map(|e| (e.seq, e.id.0[0])).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_envelope_stays_until_it_is_acknowledged() {
    let mut rows = opened(&[BOX]);
    for id in 1..=3 {
        assert_eq!(
            deposit(&mut rows, &limits(), 0, &stranger(BOX, id, 10)).unwrap(),
            Deposited::Stored { waiting: u64::from(id) }
        );
    }
    assert_eq!(ids(&rows, &BOX), vec![(1, 1), (2, 2), (3, 3)]);
    acknowledge(&mut rows, &BOX, 2).unwrap();
    acknowledge(&mut rows, &BOX, 2).unwrap();
    assert_eq!(ids(&rows, &BOX), vec![(3, 3)]);
    assert_eq!(Totals::load(&rows).unwrap().envelopes, 1);
}

#[test]
fn a_double_vanishes_even_after_the_first_was_fetched_and_acknowledged() {
    let mut rows = opened(&[BOX]);
    deposit(&mut rows, &limits(), 0, &stranger(BOX, 1, 10)).unwrap();
    assert_eq!(deposit(&mut rows, &limits(), 0, &stranger(BOX, 1, 10)).unwrap(), Deposited::Double);
    acknowledge(&mut rows, &BOX, 1).unwrap();
    assert_eq!(deposit(&mut rows, &limits(), 1, &stranger(BOX, 1, 10)).unwrap(), Deposited::Double);
    assert_eq!(ids(&rows, &BOX), vec![]);
}

#[test]
fn the_same_envelope_id_in_another_mailbox_is_another_envelope() {
    let mut rows = opened(&[BOX, OTHER]);
    deposit(&mut rows, &limits(), 0, &stranger(BOX, 1, 10)).unwrap();
    assert_eq!(deposit(&mut rows, &limits(), 0, &stranger(OTHER, 1, 10)).unwrap(), Deposited::Stored { waiting: 1 });
}

#[test]
fn a_token_pays_once_and_a_double_or_a_full_mailbox_spends_none() {
    let mut rows = opened(&[BOX]);
    let hash = [9; 32];
    add_tokens(&mut rows, &BOX, &[hash, hash]).unwrap();
    assert_eq!(Totals::load(&rows).unwrap().tokens, 1, "the same token counts once");
    let paid = |id: u8, bytes| Deposit { paid: Paid::Token { hash, work_bits: 17 }, ..stranger(BOX, id, bytes) };
    assert_eq!(deposit(&mut rows, &limits(), 0, &paid(1, 2_001)).unwrap(), Deposited::Refused(Refusal::Full));
    assert_eq!(deposit(&mut rows, &limits(), 0, &paid(1, 10)).unwrap(), Deposited::Stored { waiting: 1 });
    assert_eq!(deposit(&mut rows, &limits(), 0, &paid(1, 10)).unwrap(), Deposited::Double);
    let refused = Deposited::Refused(Refusal::WorkNeeded { bits: 17 });
    assert_eq!(deposit(&mut rows, &limits(), 0, &paid(2, 10)).unwrap(), refused);
    assert_eq!(Totals::load(&rows).unwrap().tokens, 0);
}

#[test]
fn a_token_of_one_mailbox_does_not_pay_for_another() {
    let mut rows = opened(&[BOX, OTHER]);
    add_tokens(&mut rows, &BOX, &[[9; 32]]).unwrap();
    let wrong = Deposit { paid: Paid::Token { hash: [9; 32], work_bits: 16 }, ..stranger(OTHER, 1, 10) };
    let refused = Deposited::Refused(Refusal::WorkNeeded { bits: 16 });
    assert_eq!(deposit(&mut rows, &limits(), 0, &wrong).unwrap(), refused);
}

#[test]
fn a_full_mailbox_or_node_says_so_and_takes_again_once_there_is_room() {
    let mut rows = opened(&[BOX, OTHER]);
    for id in 1..=5 {
        deposit(&mut rows, &limits(), 0, &stranger(BOX, id, 10)).unwrap();
    }
    assert_eq!(deposit(&mut rows, &limits(), 0, &stranger(BOX, 6, 10)).unwrap(), Deposited::Refused(Refusal::Full));
    let tight = MailboxLimits { node_bytes: 120, ..limits() };
    assert_eq!(deposit(&mut rows, &tight, 0, &stranger(OTHER, 1, 11)).unwrap(), Deposited::Refused(Refusal::Full));
    acknowledge(&mut rows, &BOX, 1).unwrap();
    assert!(matches!(deposit(&mut rows, &limits(), 0, &stranger(BOX, 6, 10)).unwrap(), Deposited::Stored { .. }));
}

#[test]
fn however_many_strangers_flood_a_mailbox_there_is_room_for_those_whom_its_owner_knows() {
    let mut rows = opened(&[BOX, OTHER]);
    let hashes: Vec<[u8; 32]> = (1..=5).map(|byte| [byte; 32]).collect();
    add_tokens(&mut rows, &BOX, &hashes).unwrap();
    let known = |id: u8, bytes| Deposit {
        paid: Paid::Token { hash: [id - 100; 32], work_bits: 17 },
        ..stranger(BOX, id, bytes)
    };
    let mut stored = 0;
    for id in 1..=100 {
        let outcome = deposit(&mut rows, &limits(), 0, &stranger(BOX, id, 10)).unwrap();
        stored += u64::from(matches!(outcome, Deposited::Stored { .. }));
    }
    assert_eq!(stored, limits().envelopes / 2);
    for id in 101..=105 {
        let outcome = deposit(&mut rows, &limits(), 0, &known(id, 10)).unwrap();
        assert!(matches!(outcome, Deposited::Stored { .. }), "{outcome:?}");
    }
    // The same for the node as a whole.
    let tight = MailboxLimits { node_bytes: 200, ..limits() };
    assert_eq!(deposit(&mut rows, &tight, 0, &stranger(OTHER, 1, 1)).unwrap(), Deposited::Refused(Refusal::Full));
    add_tokens(&mut rows, &OTHER, &[[1; 32]]).unwrap();
    let outcome = deposit(&mut rows, &tight, 0, &Deposit { mailbox: OTHER, ..known(101, 50) }).unwrap();
    assert!(matches!(outcome, Deposited::Stored { .. }), "{outcome:?}");
}

#[test]
fn a_mailbox_that_nobody_opened_takes_nothing() {
    let mut rows = MemoryRows::default();
    assert_eq!(deposit(&mut rows, &limits(), 0, &stranger(BOX, 1, 10)).unwrap(), Deposited::Refused(Refusal::NotFound));
    assert_eq!(rows, MemoryRows::default());
}

#[test]
fn a_page_keeps_to_its_size_and_says_that_there_is_more() {
    let mut rows = opened(&[BOX]);
    for id in 1..=4 {
        deposit(&mut rows, &limits(), 0, &stranger(BOX, id, 100)).unwrap();
    }
    let page = |after, max| match fetch(&rows, &BOX, after, max).unwrap() {
        Response::Mail { envelopes, more } => (envelopes.iter().map(|e| e.seq).collect::<Vec<_>>(), more),
        other => panic!("{other:?}"),
    };
    assert_eq!(page(0, 300), (vec![1, 2], true));
    assert_eq!(page(2, 300), (vec![3, 4], false));
    assert_eq!(page(0, 1), (vec![1], true), "one envelope comes however small the page");
    assert_eq!(page(u64::MAX, 300), (vec![], false));
}

#[test]
fn what_nobody_fetched_expires_and_nothing_before() {
    let mut rows = opened(&[BOX]);
    deposit(&mut rows, &limits(), 10, &stranger(BOX, 1, 10)).unwrap();
    deposit(&mut rows, &limits(), 11, &stranger(BOX, 2, 10)).unwrap();
    assert_eq!(sweep(&mut rows, 33).unwrap().envelopes, 0);
    assert_eq!(sweep(&mut rows, 34).unwrap().envelopes, 1);
    assert_eq!(ids(&rows, &BOX), vec![(2, 2)]);
    sweep(&mut rows, 35).unwrap();
    assert_eq!((rows.count(Table::Seen), rows.count(Table::Envelopes)), (0, 0));
    assert_eq!(held(&rows), Totals { mailboxes: 1, ..Totals::default() });
    // The position goes on: a recipient's cursor never meets a number again.
    deposit(&mut rows, &limits(), 40, &stranger(BOX, 1, 10)).unwrap();
    assert_eq!(ids(&rows, &BOX), vec![(3, 1)]);
}

#[test]
fn an_unused_mailbox_is_deleted_with_its_tokens_and_a_used_one_is_kept() {
    let mut rows = opened(&[BOX, OTHER]);
    let hashes: Vec<[u8; 32]> = (0..SWEEP_BATCH_ROWS as u64 + 10)
        .map(|n| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            hash
        })
        .collect();
    add_tokens(&mut rows, &BOX, &hashes).unwrap();
    open(&mut rows, 100, 100, &OTHER).unwrap();
    while sweep(&mut rows, MAILBOX_UNUSED_KEEP_HOURS).unwrap().more {}
    assert_eq!(rows.count(Table::Tokens), 0);
    assert_eq!(load(&rows, &BOX).unwrap(), None);
    assert!(load(&rows, &OTHER).unwrap().is_some());
    while sweep(&mut rows, MAILBOX_UNUSED_KEEP_HOURS + 100).unwrap().more {}
    assert_eq!(load(&rows, &OTHER).unwrap(), None);
    assert_eq!(held(&rows), Totals::default());
    assert_eq!(rows.count(Table::Expiry), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Deposit { mailbox: u8, id: u8, bytes: usize },
    Acknowledge { mailbox: u8, up_to: u64 },
    Pass { hours: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..3_u8, 0..12_u8, 1..400_usize).prop_map(|(mailbox, id, bytes)| Step::Deposit { mailbox, id, bytes }),
        2 => (0..3_u8, 0..12_u64).prop_map(|(mailbox, up_to)| Step::Acknowledge { mailbox, up_to }),
        1 => (0..40_u64).prop_map(|hours| Step::Pass { hours }),
    ]
}

/// What a mailbox should be, said as simply as possible.
#[derive(Default)]
struct Model {
    last: u64,
    waiting: BTreeMap<u64, (u8, usize, u64)>,
    seen: BTreeSet<(u64, u8)>,
}

proptest! {
    #[test]
    fn any_history_agrees_with_the_simplest_mailbox(steps in proptest::collection::vec(step(), 1..120)) {
        let boxes: Vec<MailboxId> = (0..3).map(|n| MailboxId([n; 32])).collect();
        let mut rows = opened(&boxes);
        let mut models: Vec<Model> = boxes.iter().map(|_| Model::default()).collect();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Deposit { mailbox, id, bytes } => {
                    let model = &mut models[mailbox as usize];
                    let held: usize = model.waiting.values().map(|(_, bytes, _)| bytes).sum();
                    let outcome = deposit(&mut rows, &limits(), now, &stranger(boxes[mailbox as usize], id, bytes)).unwrap();
                    if model.seen.iter().any(|(_, seen)| *seen == id) {
                        prop_assert_eq!(outcome, Deposited::Double);
                    } else if model.waiting.len() >= 5 || held + bytes > 1_000 {
                        prop_assert_eq!(outcome, Deposited::Refused(Refusal::Full));
                    } else {
                        model.last += 1;
                        model.waiting.insert(model.last, (id, bytes, now + 24));
                        model.seen.insert((now + 24, id));
                        prop_assert_eq!(outcome, Deposited::Stored { waiting: model.waiting.len() as u64 });
                    }
                }
                Step::Acknowledge { mailbox, up_to } => {
                    acknowledge(&mut rows, &boxes[mailbox as usize], up_to).unwrap();
                    models[mailbox as usize].waiting.retain(|seq, _| *seq > up_to);
                }
                Step::Pass { hours } => {
                    now += hours;
                    while sweep(&mut rows, now).unwrap().more {}
                    for model in &mut models {
                        model.waiting.retain(|_, (_, _, expires)| *expires > now);
                        model.seen.retain(|(expires, _)| *expires > now);
                    }
                }
            }
            let mut totals = Totals { mailboxes: 3, ..Totals::default() };
            for (mailbox, model) in boxes.iter().zip(&models) {
                let expected: Vec<(u64, u8)> = model.waiting.iter().map(|(seq, (id, _, _))| (*seq, *id)).collect();
                prop_assert_eq!(ids(&rows, mailbox), expected);
                totals.envelopes += model.waiting.len() as u64;
                totals.envelope_bytes += model.waiting.values().map(|(_, bytes, _)| *bytes as u64).sum::<u64>();
            }
            prop_assert_eq!(held(&rows), totals);
        }
    }
}
