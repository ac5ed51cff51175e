//! Stacks that remember: what a function held in its frame stays there after it
//! returned, until something else is called as deep. (Heap memory is wiped by
//! the allocator, see `lib.rs`.)

use std::hint::black_box;

/// How much of the stack is wiped, in bytes: as deep as what handles secrets goes.
const DEPTH_BYTES: usize = 512 * 1024;

/// Overwrites this thread's stack below the caller.
#[inline(never)]
pub fn wipe_stack() {
    let mut below = [0_u8; DEPTH_BYTES];
    // Somebody might look at it: it has to be there, and to be zeros.
    black_box(&mut below);
}
