//! Stacks that remember: what a function held in its frame stays there after it
//! returned, until something else is called as deep. (Heap memory is wiped by
//! the allocator, see `lib.rs`.)

use std::hint::black_box;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

/// How much of the stack is wiped, in bytes: as deep as what handles secrets goes.
const DEPTH_BYTES: usize = 512 * 1024;

/// Overwrites this thread's stack below the caller.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let mut below = [0_u8; DEPTH_BYTES];
    // Somebody might look at it: it has to be there, and to be zeros.
    black_box(&mut below);
}

/// How long a worker of the runtime waits for the others, so that each wipes its own stack.
const WORKERS_MEET_WITHIN: Duration = Duration::from_millis(20);

/// Overwrites the stacks of the runtime's workers: what the network signs and what streams carry
/// passed over them. A worker that is busy all the time is left out; it overwrites its stack itself.
pub(crate) async fn wipe_workers(runtime: &Handle) {
    let workers = runtime.metrics().num_workers();
    let meeting = Arc::new((Mutex::new(0_usize), Condvar::new()));
    let tasks: Vec<_> = (0..workers)
        .map(|_| {
            let meeting = Arc::clone(&meeting);
            runtime.spawn(async move { wipe_and_meet(&meeting, workers, WORKERS_MEET_WITHIN) })
        })
        .collect();
    for task in tasks {
        // An error means that the runtime ends, and its threads with it.
        let _ = task.await;
    }
}

/// Keeps its worker until all others are here, or it would do their share as well.
fn wipe_and_meet((here, came): &(Mutex<usize>, Condvar), all: usize, within: Duration) {
    wipe_stack();
    let mut count = here.lock().unwrap_or_else(PoisonError::into_inner);
    *count = count.saturating_add(1);
    came.notify_all();
    // Late or not, the stack is wiped.
    let _ = came.wait_timeout_while(count, within, |count| *count < all);
}

/// Runs `work` where it may block, and wipes that thread's stack when it has ended: the thread
/// is kept for other work, and may sleep for long until then. All of this crate's work that
/// handles secrets and blocks is started here.
pub(crate) fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(wiping(work))
}

/// `work`, with the stack below it wiped when it has ended.
pub(crate) fn wiping<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    move || {
        let out = called(work);
        wipe_stack();
        out
    }
}

/// The same for work with what `held` owns, which is let go of after the stack was wiped: whoever
/// sees that it's gone knows that no copy of it is left on that stack.
pub(crate) fn wiping_with<H, T>(held: H, work: impl FnOnce(&H) -> T) -> impl FnOnce() -> T {
    move || {
        let out = called(|| work(&held));
        wipe_stack();
        drop(held);
        out
    }
}

/// A frame of its own, which [`wipe_stack`] reaches.
#[inline(never)]
fn called<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_worker_wipes_its_own_stack() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().unwrap();
        let meeting = Arc::new((Mutex::new(0_usize), Condvar::new()));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let meeting = Arc::clone(&meeting);
                runtime.spawn(async move {
                    wipe_and_meet(&meeting, 3, Duration::from_secs(30));
                    std::thread::current().id()
                })
            })
            .collect();
        let threads: HashSet<_> = tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect();
        assert_eq!(threads.len(), 3, "who waits for the others keeps its worker");
        runtime.block_on(wipe_workers(runtime.handle()));
    }
}
