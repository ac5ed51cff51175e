//! Proofs of work that nodes ask for: one search at a time, called off when the account is
//! locked, and none for a while for a node that asks for work and then takes nothing for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use secure_chat_protocol::limits::{HOUR_MS, SECOND_MS};
use secure_chat_protocol::work::{Solver, Stamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::network::PeerId;

/// Tries between two looks at whether the proof is still wanted.
const PORTION_TRIES: u64 = 1 << 16;
/// A node that took nothing for the work that it had asked for gets no more for this long, and twice
/// as long each time it happens again, in milliseconds.
const WASTED_FIRST_MS: u64 = 30 * SECOND_MS;
const WASTED_MAX_MS: u64 = HOUR_MS;
/// Nodes that are remembered: of more than these, the one whose time is over first is forgotten.
const NODES_MAX: usize = 256;

/// What is remembered of a node that asked for work.
struct Asker {
    /// Who waits for it waits to see what became of the proof before.
    turn: Arc<Semaphore>,
    /// How often it has got work since it last took something for it.
    unpaid: u32,
    /// Until when it gets no more.
    until: Instant,
}

struct Searches {
    place: Arc<Semaphore>,
    stopped: AtomicBool,
    askers: Mutex<HashMap<PeerId, Asker>>,
}

/// A proof that a node asked for. Kept until the node has answered to it: nobody else works for that node meanwhile.
pub(crate) struct Proof {
    pub(crate) stamp: Stamp,
    _turn: OwnedSemaphorePermit,
}

/// Owns the searches of an open account: they end when it is dropped.
pub(crate) struct Proofs(Prover);

/// Searches for proofs.
#[derive(Clone)]
pub(crate) struct Prover(Arc<Searches>);

impl Proofs {
    pub(crate) fn new() -> Self {
        let place = Arc::new(Semaphore::new(1));
        let searches = Searches { place, stopped: AtomicBool::new(false), askers: Mutex::new(HashMap::new()) };
        Self(Prover(Arc::new(searches)))
    }

    pub(crate) fn prover(&self) -> Prover {
        self.0.clone()
    }
}

impl Drop for Proofs {
    fn drop(&mut self) {
        self.0.0.stopped.store(true, Ordering::Relaxed);
        // Whoever waits for the place waits no longer.
        self.0.0.place.close();
    }
}

impl Prover {
    /// A proof that `node` has asked for. There is none while the node owes something for an earlier
    /// one: it is to say [`Self::accepted`] first, or a while has to pass.
    pub(crate) async fn prove_asked(
        &self,
        node: PeerId,
        solver: impl FnOnce() -> Option<Solver> + Send + 'static,
    ) -> Option<Proof> {
        let turn = self.asker(node, |asker| Arc::clone(&asker.turn)).acquire_owned().await.ok()?;
        if self.asker(node, |asker| Instant::now() < asker.until) {
            return None;
        }
        let place = self.place().await?;
        // Until it is known how it ends, it is in vain.
        self.asker(node, |asker| asker.owes(Instant::now()));
        let stamp = self.search(place, solver).await?;
        Some(Proof { stamp, _turn: turn })
    }

    /// A proof of our own accord.
    pub(crate) async fn prove(&self, solver: impl FnOnce() -> Option<Solver> + Send + 'static) -> Option<Stamp> {
        let place = self.place().await?;
        self.search(place, solver).await
    }

    /// A node has taken what a proof was made for.
    pub(crate) fn accepted(&self, node: PeerId) {
        self.asker(node, |asker| (asker.unpaid, asker.until) = (0, Instant::now()));
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.place).acquire_owned().await.ok()
    }

    async fn search(
        &self,
        place: OwnedSemaphorePermit,
        solver: impl FnOnce() -> Option<Solver> + Send + 'static,
    ) -> Option<Stamp> {
        let searches = Arc::clone(&self.0);
        let search = move || {
            // Kept here: the search goes on for a moment after whoever asked has gone.
            let _place = place;
            let mut solver = solver()?;
            while !searches.stopped.load(Ordering::Relaxed) {
                if let Some(stamp) = solver.advance(PORTION_TRIES) {
                    return Some(stamp);
                }
            }
            None
        };
        crate::stack::spawn_blocking(search).await.ok().flatten()
    }

    fn asker<T>(&self, node: PeerId, act: impl FnOnce(&mut Asker) -> T) -> T {
        let mut askers = self.0.askers.lock().unwrap_or_else(PoisonError::into_inner);
        if askers.len() >= NODES_MAX && !askers.contains_key(&node) {
            let first = askers.iter().min_by_key(|(_, asker)| asker.until).map(|(node, _)| *node);
            first.and_then(|first| askers.remove(&first));
        }
        let new = || Asker { turn: Arc::new(Semaphore::new(1)), unpaid: 0, until: Instant::now() };
        act(askers.entry(node).or_insert_with(new))
    }
}

impl Asker {
    fn owes(&mut self, now: Instant) {
        let wait_ms = WASTED_FIRST_MS.checked_shl(self.unpaid).unwrap_or(WASTED_MAX_MS).min(WASTED_MAX_MS);
        // So many that the longest wait is reached, and no shift overflows.
        self.unpaid = self.unpaid.saturating_add(1).min(16);
        self.until = now + Duration::from_millis(wait_ms);
    }
}

#[cfg(test)]
mod tests {
    use secure_chat_protocol::id::{EnvelopeId, MailboxId, Timestamp};
    use secure_chat_protocol::limits::WORK_MAX_BITS;
    use secure_chat_protocol::work::Deposit;

    use super::*;

    fn node(number: u8) -> PeerId {
        let key = secure_chat_protocol::crypto::ed25519::SigningKey::from_seed(
            &secure_chat_protocol::crypto::secret::Secret::filled(|out| out.copy_from_slice(&[number; 32])),
        );
        PeerId::from_ed25519(key.verifying_key().to_wire().0).unwrap()
    }

    fn solver(bits: u8) -> Option<Solver> {
        let (mailbox, id) = (MailboxId([1; 32]), EnvelopeId([2; 16]));
        let deposit = Deposit { node_peer: b"node", mailbox: &mailbox, id: &id, sealed: b"sealed" };
        Solver::new(&deposit, Timestamp(0), bits).ok()
    }

    /// More work than this test has time for.
    fn endless() -> Option<Solver> {
        solver(WORK_MAX_BITS)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn searches_end_when_the_account_is_locked_those_that_wait_too() {
        let proofs = Proofs::new();
        let searching: Vec<_> = (0..32)
            .map(|number| {
                let prover = proofs.prover();
                tokio::spawn(async move { prover.prove_asked(node(number), endless).await })
            })
            .collect();
        let place = Arc::clone(&proofs.0.0.place);
        while place.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let began = Instant::now();
        drop(proofs);
        for search in searching {
            assert!(search.await.unwrap().is_none());
        }
        assert!(began.elapsed() < Duration::from_secs(10), "they went on for {:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_node_that_takes_nothing_for_its_work_gets_no_more_for_a_while() {
        let proofs = Proofs::new();
        let prover = proofs.prover();
        assert!(prover.prove_asked(node(1), || solver(4)).await.is_some());
        assert!(prover.prove_asked(node(1), || solver(4)).await.is_none());
        assert!(prover.prove_asked(node(2), || solver(4)).await.is_some(), "another node is another matter");
        assert!(prover.prove(|| solver(4)).await.is_some(), "and so is what nobody asked for");
        let waits = |prover: &Prover| prover.asker(node(1), |asker| asker.until.duration_since(Instant::now()));
        assert!(waits(&prover) <= Duration::from_millis(WASTED_FIRST_MS));
        for _ in 0..40 {
            prover.asker(node(1), |asker| asker.owes(Instant::now()));
        }
        assert!(waits(&prover) > Duration::from_millis(WASTED_MAX_MS / 2), "longer each time");
        assert!(waits(&prover) <= Duration::from_millis(WASTED_MAX_MS), "but not for ever");
        prover.accepted(node(1));
        assert!(prover.prove_asked(node(1), || solver(4)).await.is_some(), "who takes something is served");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_at_once_for_an_honest_node_take_turns_and_all_get_theirs() {
        let proofs = Proofs::new();
        let proving: Vec<_> = (0..16)
            .map(|_| {
                let prover = proofs.prover();
                tokio::spawn(async move {
                    let proof = prover.prove_asked(node(1), || solver(4)).await;
                    tokio::task::yield_now().await;
                    prover.accepted(node(1));
                    proof.is_some()
                })
            })
            .collect();
        for proof in proving {
            assert!(proof.await.unwrap());
        }
    }
}
