//! Fetching a file from all who hold it. Each holder has a task that asks for
//! chunks and reads them; threads check, decrypt and write what came. A holder that
//! sends wrong bytes is dropped, and what it was asked for goes to the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use secure_chat_protocol::file::{ChunkCipher, FileKey, Geometry, Leaves};
use secure_chat_protocol::id::{AccountId, BlobId, FileId};
use secure_chat_protocol::wire::codec::Fixed;
use secure_chat_protocol::wire::rendezvous::{BlobRequest, Refusal, Request, Response};
use secure_chat_protocol::wire::transfer::{ANSWER_HEADER_BYTES, AnswerHeader, FetchRefusal, FetchRequest};
use tokio::sync::{Notify, mpsc, watch};

use super::form::Form;
use super::limits::{
    BATCH_CHUNKS, CHUNKS_IN_MEMORY_BYTES, HOLDER_RETRIES, HOLDER_SILENT_MAX, HOLDERS_AT_ONCE_MAX,
    NODE_REQUESTS_AT_ONCE_MAX,
};
use super::plan::{Plan, Window};
use super::target::{self, Target, TargetError};
use super::write::{Arrived, Buffer, Buffers, write};
use crate::api::Routes;
use crate::network::{Address, NetworkHandle, PeerId, PeerStream, Route};

/// Somebody who has the file.
pub(crate) enum Holder {
    /// A connected peer, and who that is.
    Peer(PeerId, AccountId),
    /// A rendezvous node where the file waits.
    Node(Place),
}

/// Where a file waits at a rendezvous node.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) home: Address,
    pub(crate) blob: BlobId,
    pub(crate) read_token: Fixed<32>,
}

/// What is to be fetched.
pub(crate) struct Job {
    pub(crate) file: FileId,
    /// Who shared it: of all holders, only their word about it is final.
    pub(crate) author: AccountId,
    pub(crate) key: FileKey,
    pub(crate) geometry: Geometry,
    pub(crate) root: [u8; 32],
    pub(crate) sha256: [u8; 32],
    pub(crate) leaves: Option<Leaves>,
    pub(crate) target: PathBuf,
    /// How it is to lie there.
    pub(crate) form: Form,
    /// It may have been put there in a former life, which ended before that was noted.
    pub(crate) may_be_there: bool,
    pub(crate) holders: Vec<Holder>,
    /// Holders that turn up later.
    pub(crate) more: mpsc::Receiver<Holder>,
    pub(crate) progress: Arc<Progress>,
    /// Ends the transfer when it changes, or when its sender is dropped.
    pub(crate) stop: watch::Receiver<()>,
}

/// How far a transfer has come; read while it runs.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes of the file that are here and right.
    pub(crate) done: AtomicU64,
    direct: AtomicU64,
    relayed: AtomicU64,
    stored: AtomicU64,
    liars: Mutex<BTreeSet<String>>,
    /// Who handed over a part of it, and how many.
    handed: Mutex<BTreeMap<String, u64>>,
}

impl Progress {
    fn count(&self, holder: &str, way: Way, bytes: u64) {
        let mut handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        match handed.get_mut(holder) {
            Some(parts) => *parts = parts.saturating_add(1),
            None => drop(handed.insert(holder.to_owned(), 1)),
        }
        drop(handed);
        let counter = match way {
            Way::Direct => &self.direct,
            Way::Relayed => &self.relayed,
            Way::Stored => &self.stored,
        };
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    fn caught(&self, liar: String) {
        self.liars.lock().unwrap_or_else(PoisonError::into_inner).insert(liar);
    }

    /// Holders other than the author who sent something else: accounts, and addresses of nodes.
    pub(crate) fn liars(&self) -> Vec<String> {
        self.liars.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// How many parts of it a holder handed over.
    fn handed_by(&self, holder: &str) -> u64 {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).get(holder).copied().unwrap_or(0)
    }

    /// How many handed over a part of it.
    pub(crate) fn holders(&self) -> usize {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Encrypted bytes that came by each way, those that came twice included.
    pub(crate) fn routes(&self) -> Routes {
        Routes {
            direct: self.direct.load(Ordering::Relaxed),
            relayed: self.relayed.load(Ordering::Relaxed),
            stored: self.stored.load(Ordering::Relaxed),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Direct,
    Relayed,
    Stored,
}

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The holders' or the environment's: try again later.
    #[error("nobody who has the file can be reached now")]
    NoHolder,
    /// The author's: they do not hand it over.
    #[error("{0}")]
    Refused(FetchRefusal),
    /// The author's: they sent something else.
    #[error("what was sent is not the file")]
    Lied,
    /// The sharer's: the whole is not what the manifest says.
    #[error("the whole file is not what its sender announced")]
    Corrupt,
    /// The caller's or the environment's.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
}

/// What the tasks and threads of one transfer share.
pub(super) struct Shared {
    pub(super) cipher: ChunkCipher,
    pub(super) leaves: Leaves,
    plan: Mutex<Plan>,
    /// Something in the plan changed.
    changed: Notify,
    pub(super) progress: Arc<Progress>,
    failed: Mutex<Option<TargetError>>,
    pub(super) over: AtomicBool,
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all chunks are here.
    pub(super) fn is_whole(&self) -> bool {
        self.plan().is_whole()
    }

    fn geometry(&self) -> &Geometry {
        self.cipher.geometry()
    }

    /// A chunk is written.
    pub(super) fn arrived(&self, index: u32) {
        let bytes = self.geometry().plain_bytes(index) as u64;
        let whole = {
            let mut plan = self.plan();
            plan.arrived(index);
            plan.is_whole()
        };
        self.progress.done.fetch_add(bytes, Ordering::Relaxed);
        if whole {
            self.end();
        }
    }

    /// Chunks that were asked for do not come.
    pub(super) fn give_back(&self, chunks: impl IntoIterator<Item = u32>) {
        let mut plan = self.plan();
        chunks.into_iter().for_each(|index| plan.give_back(index));
        drop(plan);
        self.changed.notify_waiters();
    }

    /// It can't be written.
    pub(super) fn fail(&self, error: TargetError) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.end();
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// Why one holder is done.
#[derive(Debug, Clone, Copy)]
enum End {
    /// There is nothing left to ask for.
    Done,
    Broken,
    Refused(FetchRefusal),
    Lied,
}

/// What the end of one holder says of the file. That others than its author refuse it or send
/// something else says only that they are no holders now.
fn verdict(end: End, is_author: bool) -> Option<FetchError> {
    match end {
        End::Done => None,
        End::Refused(refusal) if is_author => Some(FetchError::Refused(refusal)),
        End::Lied if is_author => Some(FetchError::Lied),
        End::Broken | End::Refused(_) | End::Lied => Some(FetchError::NoHolder),
    }
}

/// Whether a transfer was told to stop.
pub(super) fn is_stopped(stop: &watch::Receiver<()>) -> bool {
    stop.has_changed().unwrap_or(true)
}

/// What was found where the file is to be.
enum Found {
    /// All of it.
    Whole(PathBuf),
    /// What came of it so far.
    Part(Box<Part>),
}

struct Part {
    growing: Target,
    here: Vec<u32>,
    cipher: ChunkCipher,
    leaves: Leaves,
}

/// A file that is here whole.
pub(crate) struct Here {
    /// Where.
    pub(crate) path: PathBuf,
    /// This attempt put it there. If not, it was found, and may be somebody's own.
    pub(crate) was_put: bool,
    /// The hashes of its chunks, if a holder had to be asked for them.
    pub(crate) leaves: Option<Vec<u8>>,
}

/// Fetches a file, checks it, and puts it in its place.
///
/// # Errors
/// [`FetchError`]; what came so far stays, for the next attempt.
pub(crate) async fn fetch(job: Job, net: NetworkHandle) -> Result<Here, FetchError> {
    let fetched = fetch_all(job, net).await;
    tracing::trace!(target: "transfer", "a transfer has ended");
    fetched
}

async fn fetch_all(mut job: Job, net: NetworkHandle) -> Result<Here, FetchError> {
    let (leaves, new_leaves) = match job.leaves.take() {
        Some(leaves) => (leaves, None),
        None => {
            let mut stop = job.stop.clone();
            let leaves = tokio::select! {
                leaves = fetch_leaves(&job, &net) => leaves?,
                _ = stop.changed() => return Err(FetchError::Stopped),
            };
            let bytes = leaves.to_bytes();
            (leaves, Some(bytes))
        }
    };
    let cipher = ChunkCipher::new(job.key, job.file, job.geometry);
    // Never waited for, so that it goes on telling.
    let stop = job.stop.clone();
    let (target, form, file, may_be_there) = (job.target.clone(), job.form, job.file, job.may_be_there);
    let stopped = stop.clone();
    let found = crate::stack::spawn_blocking(move || {
        let told = || is_stopped(&stopped);
        if may_be_there && let Some(path) = target::is_there(&target, form, file, &cipher, &leaves, told)? {
            return Ok(Found::Whole(path));
        }
        tracing::trace!(target: "transfer", "a file begins to grow");
        if told() {
            // Not all was looked at, or it is not wanted any more: nothing new begins to grow.
            return Err(TargetError::Io(io::ErrorKind::Interrupted.into()));
        }
        let mut growing = Target::open(&target, form, file)?;
        let here = growing.find(&cipher, &leaves, told)?;
        Ok(Found::Part(Box::new(Part { growing, here, cipher, leaves })))
    });
    let found = found.await.map_err(|_| FetchError::Stopped)?;
    if is_stopped(&stop) {
        return Err(FetchError::Stopped);
    }
    let Part { growing, here, cipher, leaves } = match found? {
        Found::Part(part) => *part,
        Found::Whole(path) => {
            job.progress.done.store(job.geometry.size(), Ordering::Relaxed);
            return Ok(Here { path, was_put: false, leaves: new_leaves });
        }
    };
    let done: u64 = here.iter().map(|index| job.geometry.plain_bytes(*index) as u64).sum();
    job.progress.done.store(done, Ordering::Relaxed);
    let plan = Plan::new(job.geometry.count(), &here);
    let whole = plan.is_whole();
    let shared = Arc::new(Shared {
        cipher,
        leaves,
        plan: Mutex::new(plan),
        changed: Notify::new(),
        progress: job.progress.clone(),
        failed: Mutex::new(None),
        over: AtomicBool::new(whole),
    });
    let buffers = CHUNKS_IN_MEMORY_BYTES.checked_div(job.geometry.chunk_bytes() as usize).unwrap_or(0).max(3);
    let (to_writer, arrivals) = mpsc::channel(buffers);
    let writing = {
        let (shared, stop) = (shared.clone(), stop.clone());
        crate::stack::spawn_blocking(move || write(growing, &shared, arrivals, &stop))
    };
    let room = Buffers::new(buffers);
    let run = Run { net, file: job.file, author: job.author, shared: shared.clone(), to_writer, room };
    let last = tokio::select! {
        last = run.all(job.holders, job.more) => last,
        _ = job.stop.changed() => Some(FetchError::Stopped),
    };
    shared.end();
    // Its channel is closed: it ends.
    let written = writing.await.map_err(|_| FetchError::Stopped)?;
    if let Some(error) = shared.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error.into());
    }
    let (growing, sha256) = written?;
    if is_stopped(&stop) {
        return Err(FetchError::Stopped);
    }
    if !shared.plan().is_whole() {
        return Err(last.unwrap_or(FetchError::NoHolder));
    }
    if sha256 != Some(job.sha256) {
        return Err(FetchError::Corrupt);
    }
    let (target, size) = (job.target, job.form.size(&job.geometry));
    let finished = crate::stack::spawn_blocking(move || {
        tracing::trace!(target: "transfer", "a file is whole");
        growing.finish(&target, size)
    });
    let path = finished.await.map_err(|_| FetchError::Stopped)??;
    Ok(Here { path, was_put: true, leaves: new_leaves })
}

/// Asks the holders for the hashes of the chunks, one holder after the other.
async fn fetch_leaves(job: &Job, net: &NetworkHandle) -> Result<Leaves, FetchError> {
    let mut last = FetchError::NoHolder;
    for holder in &job.holders {
        // Files that wait at nodes carry their hashes in the manifest.
        let Holder::Peer(peer, account) = holder else { continue };
        let is_author = *account == job.author;
        let Ok(mut stream) = net.open_stream(*peer).await else { continue };
        let asking = async {
            ask(&mut stream, &FetchRequest::Leaves { file: job.file }).await?;
            stream.flush().await?;
            let header = read_header(&mut stream).await?;
            let AnswerHeader::Leaves { length } = header else { return Ok((header, Vec::new())) };
            let mut bytes = vec![0; length as usize];
            stream.read_exact(&mut bytes).await?;
            io::Result::Ok((header, bytes))
        };
        match tokio::time::timeout(HOLDER_SILENT_MAX, asking).await {
            Ok(Ok((AnswerHeader::Refused(refusal), _))) if is_author => last = FetchError::Refused(refusal),
            Ok(Ok((AnswerHeader::Refused(_), _))) => {}
            Ok(Ok((_, bytes))) => match Leaves::verify(&bytes, &job.geometry, &job.root) {
                Ok(leaves) => return Ok(leaves),
                Err(_) if is_author => last = FetchError::Lied,
                Err(_) => job.progress.caught(account.to_string()),
            },
            _ => {}
        }
    }
    Err(last)
}

async fn ask(stream: &mut PeerStream, request: &FetchRequest) -> io::Result<()> {
    let bytes = request.encode().map_err(|_| io::ErrorKind::InvalidInput)?;
    let length = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&length.to_le_bytes()).await?;
    stream.write_all(&bytes).await
}

async fn read_header(stream: &mut PeerStream) -> io::Result<AnswerHeader> {
    let mut header = [0; ANSWER_HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    AnswerHeader::from_bytes(header).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// A chunk that a node was asked for: given back unless it comes.
struct Asked<'s> {
    shared: &'s Shared,
    index: Option<u32>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.shared.give_back(self.index.take());
    }
}

/// One transfer that runs.
struct Run {
    net: NetworkHandle,
    file: FileId,
    author: AccountId,
    shared: Arc<Shared>,
    to_writer: mpsc::Sender<Arrived>,
    /// Room for chunks in memory.
    room: Arc<Buffers>,
}

impl Run {
    /// Fetches from several holders at once, until nothing is left or nobody is.
    async fn all(self, holders: Vec<Holder>, mut more: mpsc::Receiver<Holder>) -> Option<FetchError> {
        let (mut waiting, mut running) = (VecDeque::from(holders), FuturesUnordered::new());
        let mut last = None;
        let mut open = true;
        loop {
            while running.len() < HOLDERS_AT_ONCE_MAX
                && let Some(holder) = waiting.pop_front()
            {
                running.push(self.ask_holder(holder));
            }
            tokio::select! {
                ended = running.next() => match ended {
                    Some(None) => {}
                    Some(Some(FetchError::NoHolder)) => {
                        last.get_or_insert(FetchError::NoHolder);
                    }
                    Some(Some(word)) => last = Some(word),
                    None => return last,
                },
                holder = more.recv(), if open => match holder {
                    Some(holder) => waiting.push_back(holder),
                    None => open = false,
                },
            }
        }
    }

    /// Fetches from one holder; says what its end means for the file.
    async fn ask_holder(&self, holder: Holder) -> Option<FetchError> {
        let (name, is_author) = match &holder {
            Holder::Peer(_, account) => (account.to_string(), *account == self.author),
            Holder::Node(place) => (place.home.to_string(), false),
        };
        let mut retries = HOLDER_RETRIES.into_iter();
        let end = loop {
            let before = self.shared.progress.handed_by(&name);
            let end = self.fetch_from(&name, &holder).await;
            // However often its stream breaks: whoever hands over something between is a holder.
            if self.shared.progress.handed_by(&name) > before {
                retries = HOLDER_RETRIES.into_iter();
            }
            // It may not know yet who we are, or its stream broke and not its connection.
            match retries.next().filter(|_| matches!(end, End::Broken)) {
                Some(wait) if !self.ends_within(wait).await => {}
                _ => break end,
            }
        };
        if matches!(end, End::Lied) && !is_author {
            self.shared.progress.caught(name);
        }
        verdict(end, is_author)
    }

    /// Waits this long, unless the transfer is over before.
    async fn ends_within(&self, wait: Duration) -> bool {
        let passed = tokio::time::sleep(wait);
        tokio::pin!(passed);
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.shared.is_over() {
                return true;
            }
            tokio::select! {
                () = &mut passed => return false,
                () = changed => {}
            }
        }
    }

    async fn fetch_from(&self, name: &str, holder: &Holder) -> End {
        let lied = Arc::new(OnceLock::new());
        let peer = match holder {
            Holder::Peer(peer, _) => *peer,
            Holder::Node(place) => return self.fetch_node(name, place, &lied).await,
        };
        let Ok(stream) = self.net.open_stream(peer).await else { return End::Broken };
        let way = match self.net.route(peer).await {
            Some(Route::Relayed) => Way::Relayed,
            _ => Way::Direct,
        };
        tracing::trace!(target: "transfer", "a peer is asked");
        let mut asked = VecDeque::new();
        let end = self.fetch_stream(stream, (name, way), &lied, &mut asked).await;
        self.shared.give_back(asked.into_iter().map(|(index, _)| index));
        match end {
            Ok(end) => end,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => End::Lied,
            Err(_) => End::Broken,
        }
    }

    async fn fetch_stream(
        &self,
        mut stream: PeerStream,
        (name, way): (&str, Way),
        lied: &Arc<OnceLock<()>>,
        asked: &mut VecDeque<(u32, Instant)>,
    ) -> io::Result<End> {
        let mut window = Window::new(Instant::now());
        loop {
            if lied.get().is_some() {
                return Ok(End::Lied);
            }
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.shared.is_over() {
                return Ok(End::Done);
            }
            self.ask_for_more(&mut stream, &window, asked).await?;
            let Some((expected, asked_at)) = asked.front().copied() else {
                // The rest is under way from others.
                changed.await;
                continue;
            };
            let reading = async {
                match read_header(&mut stream).await? {
                    AnswerHeader::Chunk { index, length } if self.is(expected, index, length) => {
                        self.read_chunk(&mut stream, index, length, lied).await.map(Ok)
                    }
                    AnswerHeader::Refused(refusal) => Ok(Err(refusal)),
                    _ => Err(io::ErrorKind::InvalidData.into()),
                }
            };
            let silent = || io::Error::from(io::ErrorKind::TimedOut);
            let arrived = match tokio::time::timeout(HOLDER_SILENT_MAX, reading).await.map_err(|_| silent())?? {
                Ok(arrived) => arrived,
                Err(refusal) => return Ok(End::Refused(refusal)),
            };
            self.shared.progress.count(name, way, arrived.chunk.bytes.len() as u64);
            tracing::trace!(target: "transfer", index = arrived.index, ?way, "a chunk came");
            window.arrived(asked_at, Instant::now());
            asked.pop_front();
            if self.to_writer.send(arrived).await.is_err() {
                return Ok(End::Done);
            }
        }
    }

    /// Fetches from a rendezvous node, as somebody whom it does not know.
    async fn fetch_node(&self, name: &str, place: &Place, lied: &Arc<OnceLock<()>>) -> End {
        let mut flights = FuturesUnordered::new();
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if lied.get().is_some() {
                return End::Lied;
            }
            if self.shared.is_over() {
                return End::Done;
            }
            while flights.len() < NODE_REQUESTS_AT_ONCE_MAX {
                let Some((index, _)) = self.shared.plan().take(1) else { break };
                let asked = Asked { shared: &self.shared, index: Some(index) };
                flights.push(async move { (asked, self.fetch_blob(place, index).await) });
            }
            let landed = tokio::select! {
                landed = flights.next(), if !flights.is_empty() => landed,
                // The rest is under way from others.
                () = changed => continue,
            };
            let Some((mut asked, result)) = landed else { continue };
            match result {
                Ok(chunk) => {
                    self.shared.progress.count(name, Way::Stored, chunk.bytes.len() as u64);
                    let Some(index) = asked.index.take() else { continue };
                    tracing::trace!(target: "transfer", index, way = ?Way::Stored, "a chunk came");
                    let arrived = Arrived { index, chunk, lied: lied.clone() };
                    if self.to_writer.send(arrived).await.is_err() {
                        return End::Done;
                    }
                }
                Err(end) => return end,
            }
        }
    }

    async fn fetch_blob(&self, place: &Place, index: u32) -> Result<Buffer, End> {
        let mut room = self.room.take().await.ok_or(End::Broken)?;
        let get = BlobRequest::Get { blob: place.blob, read_token: place.read_token, index };
        match self.net.deposit(place.home.clone(), Request::Blob(get)).await {
            Ok(Response::Chunk { sealed }) => {
                room.bytes = sealed.0;
                // The last one was filled up, so that the node sees chunks of one length.
                room.bytes.truncate(self.shared.geometry().sealed_bytes(index));
                Ok(room)
            }
            Ok(Response::Refused(Refusal::NotFound)) => Err(End::Refused(FetchRefusal::NotHere)),
            Ok(Response::Refused(Refusal::SlowDown { .. } | Refusal::Internal | Refusal::Full)) => {
                Err(End::Refused(FetchRefusal::Busy))
            }
            Ok(Response::Refused(_)) => Err(End::Refused(FetchRefusal::Unreadable)),
            Ok(_) => Err(End::Lied),
            Err(_) => Err(End::Broken),
        }
    }

    async fn ask_for_more(
        &self,
        stream: &mut PeerStream,
        window: &Window,
        asked: &mut VecDeque<(u32, Instant)>,
    ) -> io::Result<()> {
        let mut wrote = false;
        while asked.len().saturating_add(usize::from(BATCH_CHUNKS)) <= window.chunks() as usize {
            let Some((first, count)) = self.shared.plan().take(BATCH_CHUNKS) else { break };
            let now = Instant::now();
            asked.extend((first..first.saturating_add(u32::from(count))).map(|index| (index, now)));
            ask(stream, &FetchRequest::Chunks { file: self.file, first, count }).await?;
            wrote = true;
        }
        if wrote { stream.flush().await } else { Ok(()) }
    }

    /// Whether this is the answer that is due.
    fn is(&self, expected: u32, index: u32, length: u32) -> bool {
        index == expected && length as usize == self.shared.geometry().sealed_bytes(index)
    }

    async fn read_chunk(
        &self,
        stream: &mut PeerStream,
        index: u32,
        length: u32,
        lied: &Arc<OnceLock<()>>,
    ) -> io::Result<Arrived> {
        let mut chunk = self.room.take().await.ok_or(io::ErrorKind::ConnectionAborted)?;
        chunk.bytes.resize(length as usize, 0);
        stream.read_exact(&mut chunk.bytes).await?;
        Ok(Arrived { index, chunk, lied: lied.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_author_s_word_about_a_file_is_final() {
        for end in [End::Refused(FetchRefusal::Changed), End::Refused(FetchRefusal::NotHere), End::Lied, End::Broken] {
            assert!(matches!(verdict(end, false), Some(FetchError::NoHolder)), "{end:?}");
        }
        let changed = verdict(End::Refused(FetchRefusal::Changed), true);
        assert!(matches!(changed, Some(FetchError::Refused(FetchRefusal::Changed))));
        assert!(matches!(verdict(End::Lied, true), Some(FetchError::Lied)));
        assert!(verdict(End::Done, true).is_none() && verdict(End::Done, false).is_none());
    }
}
