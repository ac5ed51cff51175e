//! Leaving an own file at a rendezvous node for somebody who is away: the same
//! encrypted chunks, under capabilities that the node can't connect with anybody.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use rand::Rng as _;
use secure_chat_protocol::blob::BlobKeys;
use secure_chat_protocol::file::{ChunkCipher, Leaves};
use secure_chat_protocol::id::MailboxId;
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{BlobCharge, BlobRequest, BlobState, Refusal, Request, Response};
use tokio::sync::{mpsc, watch};

use super::limits::{NODE_REQUESTS_AT_ONCE_MAX, SLOW_DOWNS_MAX};
use super::source::{Source, SourceError};
use crate::network::{Address, NetworkHandle, RequestError};

/// What is to be left, and where.
pub(crate) struct Leaving {
    pub(crate) home: Address,
    pub(crate) keys: BlobKeys,
    /// The recipient's mailbox and one of their tokens; without it, the own account pays.
    pub(crate) charge: Option<(MailboxId, Fixed<32>)>,
    pub(crate) hours: u32,
    pub(crate) cipher: ChunkCipher,
    pub(crate) leaves: Arc<Leaves>,
    pub(crate) path: PathBuf,
    /// Bytes of the file that are there.
    pub(crate) done: Arc<AtomicU64>,
    /// Ends it when it changes, or when its sender is dropped.
    pub(crate) stop: watch::Receiver<()>,
}

/// Why a file is not left.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeaveError {
    /// The environment's: try again later.
    #[error("the rendezvous node can't be reached: {0}")]
    Network(#[from] RequestError),
    /// The node's: it takes nothing more.
    #[error("the rendezvous node has no room for the file")]
    Full,
    /// The caller's: the file is too long for this node.
    #[error("the file is too long for the rendezvous node")]
    TooLarge,
    /// The node's.
    #[error("the rendezvous node refuses the file")]
    Refused,
    /// The caller's: the source is not what it was.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
}

impl LeaveError {
    /// Whether it may succeed later by itself.
    pub(crate) const fn passes(&self) -> bool {
        matches!(self, Self::Network(_) | Self::Stopped)
    }
}

/// Leaves a file at a node; goes on where an earlier attempt ended.
///
/// # Errors
/// [`LeaveError`]
pub(crate) async fn leave(leaving: Leaving, net: NetworkHandle) -> Result<(), LeaveError> {
    let mut stop = leaving.stop.clone();
    tokio::select! {
        left = leave_all(&leaving, &net) => left,
        _ = stop.changed() => Err(LeaveError::Stopped),
    }
}

async fn leave_all(leaving: &Leaving, net: &NetworkHandle) -> Result<(), LeaveError> {
    let geometry = *leaving.cipher.geometry();
    // All chunks have the length of the first, so that the last one tells nothing.
    let chunk_bytes = geometry.sealed_bytes(0);
    let state = create(leaving, net, chunk_bytes).await?;
    let (chunks, mut read) = mpsc::channel::<Result<(u32, Vec<u8>), SourceError>>(2);
    let reading = Reading {
        path: leaving.path.clone(),
        cipher: ChunkCipher::new(leaving.cipher.key(), leaving.cipher.file(), geometry),
        leaves: leaving.leaves.clone(),
    };
    let missing: Vec<u32> = (0..geometry.count()).filter(|index| !state.has(*index)).collect();
    let here: u64 =
        (0..geometry.count()).filter(|index| state.has(*index)).map(|index| geometry.plain_bytes(index) as u64).sum();
    leaving.done.store(here, Ordering::Relaxed);
    crate::stack::spawn_blocking(move || reading.read(&missing, chunk_bytes, &chunks));
    let mut flights = futures::stream::FuturesUnordered::new();
    let mut more = true;
    loop {
        tokio::select! {
            chunk = read.recv(), if more && flights.len() < NODE_REQUESTS_AT_ONCE_MAX => match chunk {
                Some(chunk) => {
                    let (index, sealed) = chunk?;
                    flights.push(async move { put(leaving, net, index, sealed).await.map(|()| index) });
                }
                None => more = false,
            },
            Some(landed) = flights.next(), if !flights.is_empty() => {
                leaving.done.fetch_add(geometry.plain_bytes(landed?) as u64, Ordering::Relaxed);
            }
            else => return Ok(()),
        }
    }
}

async fn create(leaving: &Leaving, net: &NetworkHandle, chunk_bytes: usize) -> Result<BlobState, LeaveError> {
    let request = Request::Blob(BlobRequest::Create {
        owner_hash: leaving.keys.owner_hash(),
        read_hash: leaving.keys.read_hash(),
        chunk_bytes: u32::try_from(chunk_bytes).map_err(|_| LeaveError::TooLarge)?,
        chunks: leaving.cipher.geometry().count(),
        expires_hours: leaving.hours,
        charge: match leaving.charge {
            Some((mailbox, token)) => BlobCharge::Mailbox { mailbox, token },
            None => BlobCharge::Account,
        },
    });
    match ask(leaving, net, request).await? {
        Response::Blob(state) => Ok(state),
        _ => Err(LeaveError::Refused),
    }
}

async fn put(leaving: &Leaving, net: &NetworkHandle, index: u32, sealed: Vec<u8>) -> Result<(), LeaveError> {
    let (blob, owner_token) = (leaving.keys.blob_id(), leaving.keys.owner_token());
    let request = Request::Blob(BlobRequest::Put { blob, owner_token, index, sealed: Bytes(sealed) });
    match ask(leaving, net, request).await? {
        Response::Done => Ok(()),
        _ => Err(LeaveError::Refused),
    }
}

/// Asks the node, under a throw-away peer id where a token pays.
async fn ask(leaving: &Leaving, net: &NetworkHandle, request: Request) -> Result<Response, LeaveError> {
    for _ in 0..SLOW_DOWNS_MAX {
        let home = leaving.home.clone();
        let answer = match leaving.charge {
            Some(_) => net.deposit(home, request.clone()).await?,
            None => net.rendezvous(home, request.clone()).await?,
        };
        match answer {
            Response::Refused(Refusal::SlowDown { retry_after_ms }) => {
                tokio::time::sleep(Duration::from_millis(retry_after_ms.clamp(10, 10_000))).await;
            }
            Response::Refused(Refusal::Full) => return Err(LeaveError::Full),
            Response::Refused(Refusal::TooLarge { .. }) => return Err(LeaveError::TooLarge),
            Response::Refused(_) => return Err(LeaveError::Refused),
            other => return Ok(other),
        }
    }
    Err(LeaveError::Network(RequestError::Busy))
}

/// The thread that reads and encrypts.
struct Reading {
    path: PathBuf,
    cipher: ChunkCipher,
    leaves: Arc<Leaves>,
}

impl Reading {
    fn read(self, missing: &[u32], chunk_bytes: usize, chunks: &mpsc::Sender<Result<(u32, Vec<u8>), SourceError>>) {
        let mut source = match Source::open(&self.path) {
            Ok(source) => source,
            Err(error) => return drop(chunks.blocking_send(Err(error))),
        };
        for index in missing {
            tracing::trace!(target: "transfer", index, "a chunk goes to a node");
            let chunk = self.chunk(&mut source, *index, chunk_bytes);
            let failed = chunk.is_err();
            if chunks.blocking_send(chunk.map(|chunk| (*index, chunk))).is_err() || failed {
                return;
            }
        }
    }

    fn chunk(&self, source: &mut Source, index: u32, chunk_bytes: usize) -> Result<Vec<u8>, SourceError> {
        let mut chunk = Vec::with_capacity(chunk_bytes);
        source.read_chunk(self.cipher.geometry(), index, &mut chunk)?;
        self.cipher.seal(index, &mut chunk).map_err(|_| SourceError::Changed)?;
        // Other bytes under the same key and nonce must never leave.
        if !self.leaves.fits(index, &chunk) {
            return Err(SourceError::Changed);
        }
        let sealed = chunk.len();
        chunk.resize(chunk_bytes, 0);
        if let Some(filler) = chunk.get_mut(sealed..) {
            // Not to be told from ciphertext.
            rand::rng().fill_bytes(filler);
        }
        Ok(chunk)
    }
}

/// Deletes what was left at a node. Whether it is gone there.
pub(crate) async fn delete(home: Address, keys: &BlobKeys, paid: bool, net: &NetworkHandle) -> bool {
    let request = Request::Blob(BlobRequest::Delete { blob: keys.blob_id(), owner_token: keys.owner_token() });
    let deleted = if paid { net.deposit(home, request).await } else { net.rendezvous(home, request).await };
    match deleted {
        Ok(Response::Done | Response::Refused(Refusal::NotFound)) => true,
        Ok(_) => false,
        Err(error) => {
            tracing::debug!(%error, "a blob could not be deleted yet");
            false
        }
    }
}
