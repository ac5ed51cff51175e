//! Requests on their way through storage and checks, which run on other threads.

use libp2p::PeerId;
use libp2p::request_response::ResponseChannel;
use tokio::sync::mpsc;

use crate::operation::Outcome;
use crate::rows::StoreError;
use crate::server::codec::{Lease, Outbound};
use crate::server::desk::Context;
use crate::store::Reply;

/// A request that waits for storage or a check. If it is lost on the way, because the storage was
/// closed, that is noticed.
pub(super) struct Pending {
    pub(super) peer: PeerId,
    pub(super) context: Context,
    pub(super) channel: Option<ResponseChannel<Outbound>>,
    pub(super) lease: Option<Lease>,
    pub(super) done: mpsc::UnboundedSender<Done>,
}

/// A request that storage or a check is done with.
pub(super) struct Done {
    pub(super) peer: PeerId,
    pub(super) context: Context,
    pub(super) channel: Option<ResponseChannel<Outbound>>,
    pub(super) lease: Option<Lease>,
    pub(super) result: Result<Outcome, StoreError>,
}

impl Pending {
    /// Hands the answer to the server.
    pub(super) fn answer(mut self, result: Result<Outcome, StoreError>) {
        self.send(result);
    }

    fn send(&mut self, result: Result<Outcome, StoreError>) {
        if let Some(channel) = self.channel.take() {
            let (peer, context, lease) = (self.peer, self.context, self.lease.take());
            let _ = self.done.send(Done { peer, context, channel: Some(channel), lease, result });
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.send(Err(StoreError::Closed));
    }
}

/// What hands the answer to the server.
pub(super) fn reply(pending: Pending) -> Reply {
    Box::new(move |result| pending.answer(result))
}
