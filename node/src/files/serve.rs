//! Handing a file over: requests come in on a stream, encrypted chunks go out.
//!
//! A thread reads, encrypts and hashes ahead of the network, as far as a few
//! buffers reach. What it encrypted leaves only if it has the hash that the
//! chunk had when the file was shared: nothing else may go out under this key.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use secure_chat_protocol::file::Leaves;
use secure_chat_protocol::id::{AccountId, FileId};
use secure_chat_protocol::limits::FETCH_REQUEST_MAX_BYTES;
use secure_chat_protocol::wire::transfer::{AnswerHeader, FetchRefusal, FetchRequest};
use tokio::sync::mpsc;

use super::limits::{CHUNKS_IN_MEMORY_BYTES, HOLDER_SILENT_MAX, REQUESTS_WAITING_MAX, STREAM_IDLE_MAX};
use super::row::stored_leaves;
use super::shelf::{Served, Shelf};
use super::source::{Source, SourceError};
use crate::network::PeerStream;
use crate::store::Vault;

/// Encrypted chunks that wait for the network on one stream.
const FRAMES_AHEAD: usize = 4;

struct Frame {
    header: AnswerHeader,
    body: Vec<u8>,
}

/// Own files of which one stream tells that they were changed.
const CHANGED_MAX: usize = 64;

/// Serves one stream of somebody, until it ends. Returns the own files that turned out to be others than those
/// that were shared.
pub(crate) async fn serve(stream: PeerStream, reader: AccountId, shelf: Shelf, vault: Weak<Vault>) -> Vec<FileId> {
    let (mut incoming, mut outgoing) = stream.split();
    let (to_desk, requests) = mpsc::channel(REQUESTS_WAITING_MAX);
    let (to_wire, mut frames) = mpsc::channel::<Frame>(FRAMES_AHEAD);
    let (used, free) = mpsc::channel(FRAMES_AHEAD.saturating_add(2));
    let desk = Desk { shelf, vault, reader, open: None, changed: Vec::new() };
    let working = crate::stack::spawn_blocking(move || desk.work(requests, &to_wire, free));
    let taking = async {
        while let Ok(Some(request)) = read_request(&mut incoming).await {
            if to_desk.send(request).await.is_err() {
                break;
            }
        }
        drop(to_desk);
        // What was asked for before still goes out.
        std::future::pending::<()>().await;
    };
    let giving = async {
        while let Some(frame) = frames.recv().await {
            let flushes = frames.is_empty();
            let writing = async {
                outgoing.write_all(&frame.header.to_bytes()).await?;
                outgoing.write_all(&frame.body).await?;
                if flushes { outgoing.flush().await } else { Ok(()) }
            };
            in_time(HOLDER_SILENT_MAX, writing).await?;
            // The desk takes a new buffer when none comes back.
            let _ = used.try_send(frame.body);
        }
        in_time(HOLDER_SILENT_MAX, outgoing.close()).await
    };
    tokio::select! {
        () = taking => {}
        ended = giving => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a stream for a file has ended");
            }
        }
    }
    drop(frames);
    // It ends with its channels.
    working.await.unwrap_or_default()
}

/// A reader who takes nothing for this time is given up: it would hold a thread and buffers.
async fn in_time(limit: Duration, writing: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::time::timeout(limit, writing).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The next request; nothing at the end of the stream or after a long silence.
async fn read_request(incoming: &mut (impl futures::AsyncRead + Unpin)) -> io::Result<Option<FetchRequest>> {
    let read = async {
        let mut length = [0; 2];
        if let Err(error) = incoming.read_exact(&mut length).await {
            return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
        }
        let length = usize::from(u16::from_le_bytes(length));
        if length > FETCH_REQUEST_MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; length];
        incoming.read_exact(&mut bytes).await?;
        FetchRequest::decode(&bytes).map(Some).map_err(|_| io::ErrorKind::InvalidData.into())
    };
    tokio::time::timeout(STREAM_IDLE_MAX, read).await.unwrap_or(Ok(None))
}

/// What a stream has open.
struct Desk {
    shelf: Shelf,
    /// Not kept open by whoever fetches.
    vault: Weak<Vault>,
    reader: AccountId,
    open: Option<Opened>,
    /// Own files that were found to be others now.
    changed: Vec<FileId>,
}

struct Opened {
    file: FileId,
    source: Source,
    served: Arc<Served>,
    leaves: Arc<Leaves>,
}

impl Desk {
    fn work(
        mut self,
        mut requests: mpsc::Receiver<FetchRequest>,
        to_wire: &mpsc::Sender<Frame>,
        mut free: mpsc::Receiver<Vec<u8>>,
    ) -> Vec<FileId> {
        while let Some(request) = requests.blocking_recv() {
            let gone = match request {
                FetchRequest::Leaves { file } => {
                    let frame = match self.opened(file) {
                        Ok(opened) => leaves_frame(&opened.leaves),
                        Err(refusal) => self.refuse(file, refusal),
                    };
                    to_wire.blocking_send(frame).is_err()
                }
                FetchRequest::Chunks { file, first, count } => {
                    self.send_chunks(file, first, count, to_wire, &mut free).is_err()
                }
            };
            if gone {
                break;
            }
        }
        self.changed
    }

    /// Says why not. That a file was changed its sharer is to hear as well.
    fn refuse(&mut self, file: FileId, refusal: FetchRefusal) -> Frame {
        self.open = None;
        if refusal == FetchRefusal::Changed && self.changed.len() < CHANGED_MAX && !self.changed.contains(&file) {
            self.changed.push(file);
        }
        refused(refusal)
    }

    fn send_chunks(
        &mut self,
        file: FileId,
        first: u32,
        count: u16,
        to_wire: &mpsc::Sender<Frame>,
        free: &mut mpsc::Receiver<Vec<u8>>,
    ) -> Result<(), ()> {
        for index in first..first.saturating_add(u32::from(count)) {
            let buffer = free.try_recv().unwrap_or_default();
            let frame = match self.opened(file).and_then(|opened| opened.chunk(index, buffer)) {
                Ok(body) => {
                    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
                    Frame { header: AnswerHeader::Chunk { index, length }, body }
                }
                Err(refusal) => return to_wire.blocking_send(self.refuse(file, refusal)).map_err(|_| ()),
            };
            to_wire.blocking_send(frame).map_err(|_| ())?;
        }
        Ok(())
    }

    /// The file, if the reader may have it at this moment.
    fn opened(&mut self, file: FileId) -> Result<&mut Opened, FetchRefusal> {
        let served = self.shelf.get(&file, &self.reader).ok_or(FetchRefusal::NotHere)?;
        let same = self.open.take().filter(|open| open.file == file && Arc::ptr_eq(&open.served, &served));
        let opened = match same {
            Some(opened) => opened,
            None => {
                let leaves = self.leaves(file, &served)?;
                let source = Source::open(&served.path).map_err(|error| refusal(&error, served.mine))?;
                if source.stamp.size != served.form.size(served.cipher.geometry()) {
                    return Err(changed(served.mine));
                }
                Opened { file, source, served, leaves }
            }
        };
        Ok(self.open.insert(opened))
    }

    fn leaves(&self, file: FileId, served: &Served) -> Result<Arc<Leaves>, FetchRefusal> {
        if let Some(leaves) = served.leaves.get() {
            return Ok(Arc::clone(leaves));
        }
        let vault = self.vault.upgrade().ok_or(FetchRefusal::Unreadable)?;
        let leaves = stored_leaves(&vault.begin(), file, served.cipher.geometry()).ok_or(FetchRefusal::Unreadable)?;
        drop(vault);
        Ok(Arc::clone(served.leaves.get_or_init(|| Arc::new(leaves))))
    }
}

impl Opened {
    fn chunk(&mut self, index: u32, mut chunk: Vec<u8>) -> Result<Vec<u8>, FetchRefusal> {
        let cipher = &self.served.cipher;
        if index >= cipher.geometry().count() {
            return Err(FetchRefusal::NotHere);
        }
        let (form, mine) = (self.served.form, self.served.mine);
        self.source.read(form, cipher.geometry(), index, &mut chunk).map_err(|error| refusal(&error, mine))?;
        // Other bytes under the same key and nonce must never leave.
        let fits = form.to_sealed(cipher, index, &mut chunk) && self.leaves.fits(index, &chunk);
        if fits { Ok(chunk) } else { Err(changed(mine)) }
    }
}

fn leaves_frame(leaves: &Leaves) -> Frame {
    let body = leaves.to_bytes();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    Frame { header: AnswerHeader::Leaves { length }, body }
}

fn refused(refusal: FetchRefusal) -> Frame {
    Frame { header: AnswerHeader::Refused(refusal), body: Vec::new() }
}

/// That a file is another one now is for its author to say; of other copies only that they are gone.
const fn changed(mine: bool) -> FetchRefusal {
    if mine { FetchRefusal::Changed } else { FetchRefusal::NotHere }
}

fn refusal(error: &SourceError, mine: bool) -> FetchRefusal {
    match error {
        SourceError::Changed | SourceError::Missing | SourceError::Directory | SourceError::Special => changed(mine),
        SourceError::Unreadable(_) | SourceError::TooLong | SourceError::Stopped => FetchRefusal::Unreadable,
    }
}

const _: () = assert!(CHUNKS_IN_MEMORY_BYTES >= FRAMES_AHEAD * 1024 * 1024);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_of_an_own_file_is_said_that_it_was_changed() {
        assert_eq!(refusal(&SourceError::Missing, true), FetchRefusal::Changed);
        assert_eq!(refusal(&SourceError::Missing, false), FetchRefusal::NotHere);
        assert_eq!(refusal(&SourceError::Stopped, false), FetchRefusal::Unreadable);
    }

    #[tokio::test]
    async fn a_reader_who_reads_nothing_is_given_up() {
        let late = in_time(Duration::ZERO, std::future::pending()).await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
