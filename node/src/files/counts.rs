//! How often a file that waits at a rendezvous node was fetched: readers tell the node, which
//! can't say who they are, and whoever left it there asks.

use secure_chat_protocol::blob::BlobKeys;
use secure_chat_protocol::id::EnvelopeId;
use secure_chat_protocol::wire::rendezvous::{BlobRequest, Request, Response};

use super::fetch::Place;
use crate::network::{Address, NetworkHandle};

/// A blob of ours at a node.
pub(crate) struct Left {
    pub(crate) home: Address,
    pub(crate) keys: BlobKeys,
    /// A delivery token of the recipient paid for it: the node is not to learn who left it.
    pub(crate) paid: bool,
}

/// Tells the node that the whole file was fetched from it, under a throw-away peer id.
pub(crate) async fn count(place: Place, receipt: EnvelopeId, net: &NetworkHandle) {
    let request = BlobRequest::CountDownload { blob: place.blob, read_token: place.read_token, receipt };
    if let Err(error) = net.deposit(place.home, Request::Blob(request)).await {
        tracing::debug!(%error, "a node was not told of a download");
    }
}

/// The most downloads that one of these nodes counted.
pub(crate) async fn counted(left: Vec<Left>, net: &NetworkHandle) -> u32 {
    let mut most = 0;
    for Left { home, keys, paid } in left {
        let request = Request::Blob(BlobRequest::Stat { blob: keys.blob_id(), token: keys.owner_token() });
        let answer = if paid { net.deposit(home, request).await } else { net.rendezvous(home, request).await };
        match answer {
            Ok(Response::Blob(state)) => most = most.max(state.downloads),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a node does not say how often a file was fetched"),
        }
    }
    most
}
