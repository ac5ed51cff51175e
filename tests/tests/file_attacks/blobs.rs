//! What a node does with blobs, in the memory of the test, and all that it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secure_chat_protocol::blob::{blob_id, owner_hash, read_hash};
use secure_chat_protocol::id::{BlobId, EnvelopeId};
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{BlobRequest, BlobState, Refusal, Request, Response};

use tokio::sync::Notify;

use crate::node::LyingNode;

pub(crate) struct Blob {
    owner: Fixed<32>,
    read: Fixed<32>,
    pub(crate) chunk_bytes: u32,
    pub(crate) count: u32,
    pub(crate) chunks: BTreeMap<u32, Vec<u8>>,
    receipts: BTreeSet<EnvelopeId>,
}

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) blobs: BTreeMap<BlobId, Blob>,
    /// Every request as it came, in its encoding.
    pub(crate) heard: Vec<Vec<u8>>,
    /// It does not delete, and says so.
    pub(crate) keeps: bool,
    /// How often it was asked to.
    pub(crate) deletes: usize,
}

/// A clone shares what is kept.
#[derive(Clone, Default)]
pub(crate) struct Blobs(Arc<Mutex<Kept>>, Arc<Notify>);

impl Blobs {
    /// From now on the node keeps blobs.
    pub(crate) fn at(node: &LyingNode) -> Self {
        let blobs = Self::default();
        let here = blobs.clone();
        node.lies(move |request, honest, _| {
            let mut kept = here.kept();
            kept.heard.push(request.clone().encode().unwrap());
            let answer = match request {
                Request::Blob(request) => kept.answer(request),
                _ => honest,
            };
            drop(kept);
            here.1.notify_one();
            answer
        });
        blobs
    }

    /// Waits until what is kept is as the test wants it.
    pub(crate) async fn hears(&self, wanted: impl Fn(&Kept) -> bool) {
        let wait = async {
            while !wanted(&self.kept()) {
                self.1.notified().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.expect("the node heard nothing of it");
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn answer(&mut self, request: &BlobRequest) -> Response {
        let missing = Response::Refused(Refusal::NotFound);
        match request.clone() {
            BlobRequest::Create { owner_hash, read_hash, chunk_bytes, chunks, .. } => {
                let (chunks, receipts, count) = (BTreeMap::new(), BTreeSet::new(), chunks);
                let made = Blob { owner: owner_hash, read: read_hash, chunk_bytes, count, chunks, receipts };
                Response::Blob(self.blobs.entry(blob_id(&owner_hash, &read_hash)).or_insert(made).state())
            }
            BlobRequest::Put { blob, owner_token, index, sealed } => match self.blobs.get_mut(&blob) {
                Some(blob) if blob.owner == owner_hash(&owner_token) => {
                    blob.chunks.insert(index, sealed.0);
                    Response::Done
                }
                _ => missing,
            },
            BlobRequest::Get { blob, read_token, index } => {
                let blob = self.blobs.get(&blob).filter(|blob| blob.read == read_hash(&read_token));
                let chunk = blob.and_then(|blob| blob.chunks.get(&index)).cloned();
                chunk.map_or(missing, |chunk| Response::Chunk { sealed: Bytes(chunk) })
            }
            BlobRequest::Stat { blob, token } => {
                let blob = self.blobs.get(&blob);
                let blob = blob.filter(|blob| blob.owner == owner_hash(&token) || blob.read == read_hash(&token));
                blob.map_or(missing, |blob| Response::Blob(blob.state()))
            }
            BlobRequest::Delete { blob, .. } => {
                self.deletes += 1;
                if self.keeps {
                    return Response::Refused(Refusal::SlowDown { retry_after_ms: 10 });
                }
                self.blobs.remove(&blob);
                Response::Done
            }
            BlobRequest::CountDownload { blob, read_token, receipt } => match self.blobs.get_mut(&blob) {
                Some(blob) if blob.read == read_hash(&read_token) => {
                    blob.receipts.insert(receipt);
                    Response::Done
                }
                _ => missing,
            },
        }
    }
}

impl Blob {
    /// How often it was counted.
    pub(crate) fn downloads(&self) -> usize {
        self.receipts.len()
    }

    fn state(&self) -> BlobState {
        let mut present = vec![0_u8; (self.count as usize).div_ceil(8)];
        for index in self.chunks.keys() {
            present[(index / 8) as usize] |= 1 << (index % 8);
        }
        BlobState {
            chunk_bytes: self.chunk_bytes,
            chunks: self.count,
            present: Bytes(present),
            downloads: u32::try_from(self.receipts.len()).unwrap(),
            expires_hours: 24,
        }
    }
}
