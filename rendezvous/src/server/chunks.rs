//! How chunks of blobs come and go: the rows say where, the files take them, the rows note it. Each
//! step runs on a thread that may wait for the disk; the network does not wait.

use std::sync::Arc;
use std::sync::mpsc::channel;

use secure_chat_protocol::id::BlobId;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{Refusal, Response};

use crate::blobs::{Place, Slot};
use crate::operation::{Change, Effect, Moment, Outcome, Query};
use crate::rows::StoreError;
use crate::store::chunks::ChunkFiles;
use crate::store::workers::Workers;
use crate::store::{Reply, Store};

/// A chunk to be stored.
pub(super) struct Put {
    pub(super) slot: Slot,
    pub(super) sealed: Vec<u8>,
}

/// What moves chunks.
#[derive(Clone)]
pub(super) struct Chunks {
    pub(super) store: Arc<dyn Store>,
    pub(super) files: Arc<ChunkFiles>,
    pub(super) workers: Arc<Workers>,
}

fn offset(slot: &Slot, chunk_bytes: u32) -> u64 {
    u64::from(slot.index).saturating_mul(u64::from(chunk_bytes))
}

impl Chunks {
    /// Stores a chunk, then answers.
    pub(super) fn put(&self, put: Put, at: Moment, reply: Reply) {
        let (chunks, slot) = (self.clone(), put.slot);
        self.locate(Query::PlaceToWrite(slot), reply, move |place, reply| match place {
            Place::None => reply(Ok(Refusal::NotFound.into())),
            Place::Taken { .. } => reply(Ok(Response::Done.into())),
            Place::Free { chunk_bytes } if put.sealed.len() != chunk_bytes as usize => {
                reply(Ok(Refusal::Invalid.into()));
            }
            Place::Free { chunk_bytes } => chunks.write(put, chunk_bytes, at, reply),
        });
    }

    /// Reads a chunk, then answers.
    pub(super) fn get(&self, slot: Slot, reply: Reply) {
        let chunks = self.clone();
        self.locate(Query::PlaceToRead(slot), reply, move |place, reply| match place {
            Place::Taken { chunk_bytes } => chunks.read(slot, chunk_bytes, reply),
            Place::Free { .. } | Place::None => reply(Ok(Refusal::NotFound.into())),
        });
    }

    fn locate(&self, query: Query, reply: Reply, placed: impl FnOnce(Place, Reply) + Send + 'static) {
        let found = move |result: Result<Outcome, StoreError>| match result {
            Ok(Outcome { effect: Effect::Placed(place), .. }) => placed(place, reply),
            other => reply(other),
        };
        self.store.query(query, Box::new(found));
    }

    fn write(self, put: Put, chunk_bytes: u32, at: Moment, reply: Reply) {
        let workers = Arc::clone(&self.workers);
        workers.run(Box::new(move || {
            let Put { slot, sealed } = put;
            if let Err(error) = self.files.write(&slot.blob, offset(&slot, chunk_bytes), &sealed) {
                return reply(Err(error));
            }
            drop(sealed);
            let chunks = self.clone();
            let noted = move |result: Result<Outcome, StoreError>| {
                if matches!(&result, Ok(Outcome { response: Response::Refused(_), .. })) {
                    // Deleted while it was written: the file must not outlive it.
                    chunks.remove(vec![slot.blob]);
                }
                reply(result);
            };
            self.store.change(Change::ChunkStored(slot), at, Box::new(noted));
        }));
    }

    fn read(self, slot: Slot, chunk_bytes: u32, reply: Reply) {
        let workers = Arc::clone(&self.workers);
        workers.run(Box::new(move || {
            match self.files.read(&slot.blob, offset(&slot, chunk_bytes), chunk_bytes as usize) {
                Ok(sealed) => reply(Ok(Response::Chunk { sealed: Bytes(sealed) }.into())),
                // It may have been deleted since the rows were read: only then is the failure none of the disk's.
                Err(error) => self.locate(Query::PlaceToRead(slot), reply, move |place, reply| match place {
                    Place::None => reply(Ok(Refusal::NotFound.into())),
                    Place::Free { .. } | Place::Taken { .. } => reply(Err(error)),
                }),
            }
        }));
    }

    /// Deletes the files of blobs whose rows are gone.
    pub(super) fn remove(&self, blobs: Vec<BlobId>) {
        if blobs.is_empty() {
            return;
        }
        let files = Arc::clone(&self.files);
        self.workers.run(Box::new(move || {
            for blob in &blobs {
                if let Err(error) = files.remove(blob) {
                    tracing::warn!(%error, "the file of a deleted blob stays; the next start deletes it");
                }
            }
        }));
    }

    /// Deletes files that a kill left behind.
    pub(super) fn remove_unknown(&self) {
        let (files, store) = (Arc::clone(&self.files), Arc::clone(&self.store));
        self.workers.run(Box::new(move || {
            let known = |blob: &BlobId| {
                let (tell, told) = channel();
                let reply = move |result: Result<Outcome, StoreError>| {
                    // Whoever asked waits for it.
                    let _ = tell.send(result);
                };
                store.query(Query::KnownBlob(*blob), Box::new(reply));
                let outcome = told.recv().unwrap_or(Err(StoreError::Closed))?;
                Ok(outcome.response == Response::Done)
            };
            match files.remove_unknown(known) {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "deleted files of blobs that are gone"),
                Err(error) => tracing::warn!(%error, "files of blobs that are gone were not looked for"),
            }
        }));
    }
}
