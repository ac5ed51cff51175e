//! Stacks that remember: what a function held in its frame stays there after it
//! returned, until something else is called as deep. (Heap memory is wiped by
//! the allocator, see `lib.rs`.)

use std::hint::black_box;

/// How much of the stack is wiped, in bytes: as deep as what handles secrets goes.
const DEPTH_BYTES: usize = 512 * 1024;

/// Overwrites this thread's stack below the caller.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let mut below = [0_u8; DEPTH_BYTES];
    // Somebody might look at it: it has to be there, and to be zeros.
    black_box(&mut below);
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
