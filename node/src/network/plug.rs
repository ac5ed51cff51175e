//! What everything passes that leaves a peer. A test pulls it at a send of its choice, and the disk with
//! it, as a power cut would: what was sent before is with the others, what comes after is with nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// On which side of a send the plug is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// It does not leave any more.
    Before,
    /// It is the last that leaves; its answer reaches nobody.
    After,
}

/// Carries what is sent, until it is pulled. Clones are the same plug; the default one is never pulled.
#[derive(Clone, Default)]
pub struct Plug(Option<Arc<Line>>);

struct Line {
    sends: AtomicU64,
    /// At which send, and on which side of it.
    pull_at: Mutex<Option<(u64, Pull)>>,
    cut: watch::Sender<bool>,
    /// The last send is over.
    dead: watch::Sender<bool>,
    then: Box<dyn Fn() + Send + Sync>,
}

/// What becomes of a send.
enum Fate {
    Leaves,
    LeavesLast,
    Stays,
}

impl Plug {
    /// One that may be pulled; `then` cuts off what else dies with it.
    pub fn new(then: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Line {
            sends: AtomicU64::new(0),
            pull_at: Mutex::new(None),
            cut: watch::Sender::new(false),
            dead: watch::Sender::new(false),
            then: Box::new(then),
        })))
    }

    /// Pulls it at the send that comes after `sends` more.
    pub fn pull_at(&self, sends: u64, when: Pull) {
        let Some(line) = &self.0 else { return };
        let at = self.sends().saturating_add(sends);
        *line.pull_at.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, when));
    }

    /// Things that were to leave so far.
    #[must_use]
    pub fn sends(&self) -> u64 {
        self.0.as_ref().map_or(0, |line| line.sends.load(Ordering::SeqCst))
    }

    /// Waits until it was pulled, and the last thing has left.
    pub async fn pulled(&self) {
        match &self.0 {
            // An error means that nobody is left who could pull it: this holds it itself.
            Some(line) => drop(line.dead.subscribe().wait_for(|dead| *dead).await),
            None => std::future::pending().await,
        }
    }

    fn next(line: &Line) -> Fate {
        let number = line.sends.fetch_add(1, Ordering::SeqCst);
        let pull_at = line.pull_at.lock().unwrap_or_else(PoisonError::into_inner);
        if *line.cut.borrow() {
            return Fate::Stays;
        }
        match *pull_at {
            Some((at, when)) if number >= at => {
                line.cut.send_replace(true);
                (line.then)();
                if when == Pull::After {
                    return Fate::LeavesLast;
                }
                line.dead.send_replace(true);
                Fate::Stays
            }
            _ => Fate::Leaves,
        }
    }

    /// Carries out a send; `None` when it did not leave, or nobody is left to hear of it.
    pub(crate) async fn carry<T>(&self, send: impl Future<Output = T>) -> Option<T> {
        let Some(line) = &self.0 else { return Some(send.await) };
        match Self::next(line) {
            Fate::Leaves => Some(send.await),
            Fate::LeavesLast => {
                send.await;
                line.dead.send_replace(true);
                None
            }
            Fate::Stays => None,
        }
    }

    /// As [`Self::carry`], for what is handed over at once.
    pub(crate) fn passes(&self) -> bool {
        let Some(line) = &self.0 else { return true };
        match Self::next(line) {
            Fate::Leaves => true,
            Fate::LeavesLast => {
                line.dead.send_replace(true);
                true
            }
            Fate::Stays => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn left(plug: &Plug, sends: u32) -> Vec<u32> {
        let mut left = Vec::new();
        for number in 0..sends {
            let _ = plug.carry(async { left.push(number) }).await;
        }
        left
    }

    #[tokio::test]
    async fn what_comes_after_the_pull_does_not_leave() {
        for (when, expected) in [(Pull::Before, vec![0, 1]), (Pull::After, vec![0, 1, 2])] {
            let cut = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&cut);
            let plug = Plug::new(move || counted.store(counted.load(Ordering::SeqCst) + 1, Ordering::SeqCst));
            plug.pull_at(2, when);
            assert_eq!(left(&plug, 6).await, expected);
            plug.pulled().await;
            assert!(!plug.passes());
            assert_eq!(cut.load(Ordering::SeqCst), 1);
        }
        assert_eq!(left(&Plug::default(), 3).await, [0, 1, 2]);
    }
}
