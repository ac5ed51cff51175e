//! Answers with mail, entries or chunks are large, and may be written slowly: few at once for each
//! peer, and the room that they take is counted.

use std::collections::HashMap;

use libp2p::PeerId;
use libp2p::request_response::InboundRequestId;
use secure_chat_protocol::limits::{BLOB_CHUNK_MAX_BYTES, LARGE_ANSWERS_MAX};
use secure_chat_protocol::wire::rendezvous::{BlobRequest, GroupLogRequest, Request};

use crate::limits::FETCH_MAX_BYTES;
use crate::server::codec::Lease;

/// Large answers that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    of: HashMap<InboundRequestId, PeerId>,
    per_peer: HashMap<PeerId, u32>,
}

/// How large the answer may get, in bytes; `None` for the others.
fn large_answer(request: &Request) -> Option<usize> {
    match request {
        Request::Fetch { max_bytes, .. } | Request::GroupLog(GroupLogRequest::Read { max_bytes, .. }) => {
            Some((*max_bytes as usize).min(FETCH_MAX_BYTES))
        }
        Request::Blob(BlobRequest::Get { .. }) => Some(BLOB_CHUNK_MAX_BYTES),
        _ => None,
    }
}

impl Fetches {
    /// Lets a request in unless its answer is one too many or finds no room.
    pub(super) fn admit(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        request: &Request,
        lease: &mut Option<Lease>,
    ) -> bool {
        let Some(bytes) = large_answer(request) else { return true };
        let under_way = self.per_peer.get(&peer).copied().unwrap_or_default();
        if under_way >= LARGE_ANSWERS_MAX || !lease.as_mut().is_none_or(|lease| lease.grow(bytes)) {
            return false;
        }
        self.per_peer.insert(peer, under_way.saturating_add(1));
        self.of.insert(id, peer);
        true
    }

    /// An answer was written, or will never be.
    pub(super) fn written(&mut self, id: InboundRequestId) {
        let Some(peer) = self.of.remove(&id) else { return };
        if let Some(under_way) = self.per_peer.get_mut(&peer) {
            *under_way = under_way.saturating_sub(1);
            if *under_way == 0 {
                self.per_peer.remove(&peer);
            }
        }
    }
}
