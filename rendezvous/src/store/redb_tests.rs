use std::sync::mpsc::channel;

use proptest::prelude::*;
use secure_chat_protocol::id::{EnvelopeId, MailboxId};
use secure_chat_protocol::wire::rendezvous::{Refusal, Response};

use super::*;
use crate::mailbox::{Deposit, Paid};
use crate::operation::{Effect, Outcome};

const BOX: MailboxId = MailboxId([3; 32]);

type Answer = Result<Outcome, StoreError>;

fn open(directory: &Path) -> RedbStore {
    RedbStore::open(&directory.join("db"), Rules::default()).unwrap().0
}

fn start(store: &RedbStore, change: Change) -> std::sync::mpsc::Receiver<Answer> {
    let (done, answer) = channel();
    let reply = move |outcome| {
        let _ = done.send(outcome);
    };
    store.change(change, Moment::default(), Box::new(reply));
    answer
}

fn change(store: &RedbStore, change: Change) -> Answer {
    start(store, change).recv().unwrap()
}

fn deposit(n: u8) -> Change {
    Change::Deposit(Deposit { mailbox: BOX, id: EnvelopeId([n; 16]), sealed: vec![n; 300], paid: Paid::Work })
}

fn waiting(store: &RedbStore) -> Vec<u8> {
    let (done, answer) = channel();
    let fetch = Query::Fetch { mailbox: BOX, after: 0, max_bytes: usize::MAX };
    store.query(fetch, Box::new(move |outcome| done.send(outcome).unwrap()));
    match answer.recv().unwrap().unwrap().response {
        Response::Mail { envelopes, .. } => envelopes.iter().map(|envelope| envelope.id.0[0]).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn many_at_once_share_commits_and_each_gets_its_own_answer() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    change(&store, Change::Open(BOX)).unwrap();
    let before = store.commits();
    let answers: Vec<_> = (0..200).map(|n| start(&store, deposit(n % 100))).collect();
    let outcomes: Vec<Outcome> = answers.into_iter().map(|answer| answer.recv().unwrap().unwrap()).collect();
    let doubles = outcomes.iter().filter(|outcome| outcome.effect == Effect::Double).count();
    assert_eq!((doubles, waiting(&store).len()), (100, 100));
    assert!(store.commits() - before < 150, "{} commits for 200 changes", store.commits() - before);
}

#[test]
fn a_refusal_in_a_batch_changes_nothing_for_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    change(&store, Change::Open(BOX)).unwrap();
    let lost = Deposit { mailbox: MailboxId([9; 32]), id: EnvelopeId([0; 16]), sealed: vec![1], paid: Paid::Work };
    let answers = [start(&store, deposit(1)), start(&store, Change::Deposit(lost)), start(&store, deposit(2))];
    let responses: Vec<Response> = answers.into_iter().map(|answer| answer.recv().unwrap().unwrap().response).collect();
    assert_eq!(responses, vec![Response::Done, Response::Refused(Refusal::NotFound), Response::Done]);
    assert_eq!(waiting(&store), vec![1, 2]);
}

#[test]
fn a_full_disk_is_said_loses_nothing_and_ends_when_there_is_room_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    change(&store, Change::Open(BOX)).unwrap();
    change(&store, deposit(1)).unwrap();
    store.shared.fence.set_full(true);
    let answers: Vec<_> = (2..30).map(|n| start(&store, deposit(n))).collect();
    for answer in answers {
        assert!(answer.recv().unwrap().is_err(), "nothing is acknowledged that is not durable");
    }
    assert!(!store.healthy());
    store.shared.fence.set_full(false);
    assert_eq!(change(&store, deposit(30)).unwrap().response, Response::Done);
    assert!(store.healthy());
    assert_eq!(waiting(&store), vec![1, 30]);
    drop(store);
    assert_eq!(waiting(&open(directory.path())), vec![1, 30]);
}

#[test]
fn a_database_is_opened_once_and_one_of_a_newer_version_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let again = RedbStore::open(&directory.path().join("db"), Rules::default());
    assert_eq!(again.err(), Some(StoreError::InUse));
    drop(store);
    {
        let database = Database::open(directory.path().join("db")).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(definition(Tree::Node)).unwrap().insert(FORMAT_KEY, [0, 0, 0, 9].as_slice()).unwrap();
        transaction.commit().unwrap();
    }
    let newer = RedbStore::open(&directory.path().join("db"), Rules::default());
    assert_eq!(newer.err(), Some(StoreError::UnsupportedVersion { found: 9, known: FORMAT }));
}

#[test]
fn after_it_is_closed_every_change_is_answered_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let answer = start(&store, Change::Open(BOX));
    store.close();
    assert!(answer.recv().unwrap().is_ok(), "what waited was carried out");
    assert_eq!(change(&store, deposit(1)), Err(StoreError::Closed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The fence falls at any moment: while changes wait, while one is written, between two syncs.
    #[test]
    fn what_was_acknowledged_before_a_cut_is_there_after_it(
        cuts in proptest::collection::vec((0_usize..40, 0_u64..3_000), 1..5)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (mut acknowledged, mut asked, mut next) = (Vec::new(), Vec::new(), 0_u8);
        for (answered_before, pause_us) in cuts {
            let store = open(directory.path());
            change(&store, Change::Open(BOX)).unwrap();
            let answers: Vec<_> = (0..40)
                .map(|_| {
                    next = next.wrapping_add(1);
                    asked.push(next);
                    (next, start(&store, deposit(next)))
                })
                .collect();
            for (number, (n, answer)) in answers.into_iter().enumerate() {
                if number == answered_before {
                    std::thread::sleep(std::time::Duration::from_micros(pause_us));
                    store.cut();
                }
                if matches!(answer.recv(), Ok(Ok(_))) {
                    acknowledged.push(n);
                }
            }
        }
        let found = waiting(&open(directory.path()));
        for n in &acknowledged {
            prop_assert_eq!(found.iter().filter(|id| *id == n).count(), 1, "envelope {} of {:?}", n, found);
        }
        prop_assert!(found.iter().all(|id| asked.contains(id)), "nothing is there that nobody sent");
    }
}

#[test]
fn a_database_of_the_first_format_is_read_on_and_from_then_on_marked() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let marked = |write: Option<[u8; 4]>| {
        let database = Database::open(directory.path().join("db")).unwrap();
        let transaction = database.begin_write().unwrap();
        let found = {
            let mut node = transaction.open_table(definition(Tree::Node)).unwrap();
            if let Some(format) = write {
                node.insert(FORMAT_KEY, format.as_slice()).unwrap();
            }
            node.get(FORMAT_KEY).unwrap().unwrap().value().to_vec()
        };
        transaction.commit().unwrap();
        found
    };
    marked(Some([0, 0, 0, 1]));
    drop(open(directory.path()));
    assert_eq!(marked(None), FORMAT.to_be_bytes());
}
