//! The real program, killed with SIGKILL under load: what it acknowledged is there when it comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod program;
mod support;

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use program::Program;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use secure_chat_protocol::wire::rendezvous::{Request, Response};
use support::{Client, Person, by_token, stranger};

const KILLS: u64 = 25;
const IN_FLIGHT: usize = 32;
/// At most so many deposits are acknowledged before each kill.
const ACKNOWLEDGED_MAX: u64 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_deposit_survives_kill_after_kill_exactly_once_and_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let bob = Person::new("bob", 1);
    let mailbox = bob.mailbox.mailbox_id();
    // What was acknowledged, and where it was seen in the mailbox.
    let mut acknowledged: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    let mut next = 0_u64;
    for kill in 0..KILLS {
        let mut program = Program::start(directory.path(), &[]).await;
        let bobs = bob.connect(&program.address).await;
        check_mailbox(&bobs, &bob, &mut acknowledged).await;
        let first_token = u32::try_from(next).unwrap();
        let hashes = bob.tokens.hashes(first_token..first_token + 300);
        assert_eq!(bobs.ask(&Request::AddTokens { hashes }).await, Response::Done);

        let sender = Client::connect(stranger(100 + kill), &program.address).await;
        let kill_after = rng.next_u64() % ACKNOWLEDGED_MAX;
        let mut under_way = FuturesUnordered::new();
        let mut answered = 0;
        while answered < kill_after {
            while under_way.len() < IN_FLIGHT {
                let id = next;
                next += 1;
                let answer = sender.start(&by_token(mailbox, &bob.tokens, u32::try_from(id).unwrap(), id, 700));
                under_way.push(async move { (id, answer.await) });
            }
            let (id, answer) = under_way.next().await.unwrap();
            assert_eq!(answer.unwrap(), Response::Done);
            acknowledged.insert(id, None);
            answered += 1;
        }
        program.kill();
        // Some were acknowledged while the kill was under way.
        while let Some((id, answer)) = under_way.next().await {
            if matches!(answer, Ok(Response::Done)) {
                acknowledged.insert(id, None);
            }
        }
    }
    let program = Program::start(directory.path(), &[]).await;
    let bobs = bob.connect(&program.address).await;
    check_mailbox(&bobs, &bob, &mut acknowledged).await;
    assert!(acknowledged.len() > 500, "{} deposits were acknowledged", acknowledged.len());
}

async fn check_mailbox(bobs: &Client, bob: &Person, acknowledged: &mut BTreeMap<u64, Option<u64>>) {
    assert!(matches!(bobs.open(&bob.mailbox).await, Response::Mailbox { .. }));
    let mut found = BTreeMap::new();
    for envelope in bobs.fetch_all().await {
        let id = u64::from_be_bytes(envelope.id.0[..8].try_into().unwrap());
        assert_eq!(envelope.sealed.0.len(), 700);
        assert_eq!(found.insert(id, envelope.seq), None, "envelope {id} is there twice");
    }
    for (id, place) in acknowledged.iter_mut() {
        let seq = found.get(id).copied();
        assert!(seq.is_some(), "envelope {id} was acknowledged and is gone");
        assert!(place.is_none() || *place == seq, "envelope {id} moved");
        *place = seq;
    }
}
