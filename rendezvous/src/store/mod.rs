//! Where the node's state lives: a trait from the first day, so that a node that outgrows one
//! machine moves its state to a distributed engine. Floor 3, over [`crate::operation`].

use crate::operation::{Change, Moment, Outcome, Query};
use crate::rows::StoreError;

pub mod chunks;
pub mod fence;
#[cfg(test)]
pub mod memory;
pub mod redb;
pub mod workers;
mod writer;

/// Takes the answer to a change or a query. Called once, on a thread of the store: it must not block.
pub type Reply = Box<dyn FnOnce(Result<Outcome, StoreError>) + Send>;

/// Keeps the node's state.
///
/// Changes are carried out one after another, each wholly or not at all. Each one touches the rows
/// of one mailbox or one account, and is one of: compare-and-set of a key, an append to a mailbox
/// with a check for doubles, a range read, an expiry.
pub trait Store: Send + Sync + 'static {
    /// Carries out a change, and answers when it is durable.
    fn change(&self, change: Change, at: Moment, reply: Reply);

    /// Reads. Sees every change that was answered before.
    fn query(&self, query: Query, reply: Reply);

    /// Whether the last commit worked.
    fn healthy(&self) -> bool;

    /// Carries out what waits, then closes. Blocks until that is done; later calls are answered [`StoreError::Closed`].
    fn close(&self);

    /// Stops as a kill would: what is not durable yet is lost, and nothing is written any more.
    /// Blocks until the storage is let go.
    fn cut(&self);
}
