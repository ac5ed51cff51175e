//! Who is in a group, with which role: a graph of signed operations, each judged
//! by the roles that held at its causal past. The same set of operations gives
//! every member the same [`View`], in whatever order they came. Floor 6.
//!
//! Concurrent operations settle by strong removal: removing or demoting somebody
//! voids what they did concurrently, and of two who remove each other the senior
//! prevails. So nobody who was removed takes revenge with a backdated operation.
//! An author who signs two operations with one number equivocates: the one with
//! the lower id counts, for everybody, and the author is shown.

mod graph;
mod operation;
mod resolve;
mod secret;
mod view;

pub use self::graph::{Membership, OperationError};
pub use self::operation::{
    About, AboutError, Action, ChainPlace, JoinPolicy, OPERATION_VERSION, Operation, OperationIn, Role, invite_hash,
};
pub use self::secret::GroupSecret;
pub use self::view::{InviteView, MemberView, View};

#[cfg(test)]
mod tests;
