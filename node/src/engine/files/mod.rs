//! Files as the engine sees them: which there are, how each stands, and when what
//! is done about it. The bytes are moved by tasks of their own ([`crate::files`]).

mod control;
mod copies;
mod counts;
mod discarded;
mod doomed;
mod download;
mod ended;
mod plan;
mod share;
mod turns;
mod upload;
mod view;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use secure_chat_protocol::file::ChunkCipher;
use secure_chat_protocol::id::{AccountId, BlobId, FileId, GroupId, MessageId, Timestamp};
use secure_chat_protocol::limits::DAY_MS;
use secure_chat_protocol::wire::transfer::Preview;
use tokio::sync::{Semaphore, mpsc, watch};

use self::discarded::Discarded;
use self::doomed::Doomed;
use self::share::Sharing;
use self::upload::Uploading;
use super::state::Open;
use super::step::Step;
use crate::api::{Direction, Downloaded, Event, FileState, Reply, Routes};
use crate::files::copies::form_of;
use crate::files::fetch::{FetchError, Here, Holder, Progress};
use crate::files::kind::Kind;
use crate::files::limits::{PREPARED_AT_ONCE_MAX, PROGRESS_EVERY_MS, STREAMS_PER_READER_MAX};
use crate::files::prepare::Prepared;
use crate::files::row::{self, DiscardedRow, DoomedRow, FileRow, Row, Upload, encode_leaves, leaves_key};
use crate::files::shelf::{Readers, Served, Shelf};
use crate::files::source::SourceError;
use crate::files::target::TargetError;
use crate::files::upload::LeaveError;
use crate::messaging::limits::SEEN_KEEP_DAYS;
use crate::network::PeerId;
use crate::store::{StoreError, Table, Vault};

/// Why a file is in no list any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Taken back, or forgotten here.
    Deleted,
    /// Its time is over.
    Expired,
}

/// What is known of a file once it was read.
pub(crate) struct Read {
    prepared: Prepared,
    kind: Kind,
    preview: Option<Preview>,
}

/// What was done about a file, apart from the engine.
pub(crate) enum FileWork {
    /// A file that is to be shared was read.
    Prepared { sharing: Box<Sharing>, result: Result<Box<Read>, SourceError> },
    /// It was looked where a file may go.
    Placed { file: FileId, result: Result<PathBuf, TargetError>, reply: Reply<Downloaded> },
    /// A file was left at a rendezvous node, or was not.
    Left { file: FileId, at: usize, attempt: u64, result: Result<(), LeaveError> },
    /// Own files were asked for, and are not what they were when they were shared.
    Changed { files: Vec<FileId> },
    /// Nodes were asked to delete what waits there; these did not.
    Removed { file: FileId, left: Vec<Upload> },
    /// It was tried to remove what is left of a file.
    Discarded { file: FileId, gone: bool },
    /// So many bytes of files lie there that came in part.
    Measured { lengths: Vec<(FileId, u64)> },
    /// Nodes have counted downloads of an own file.
    Counted { file: FileId, downloads: u32 },
    /// A transfer has ended.
    Fetched { file: FileId, attempt: u64, target: PathBuf, result: Result<(Here, Kind), FetchError> },
}

/// A transfer that runs.
struct Running {
    attempt: u64,
    progress: Arc<Progress>,
    told: u64,
    /// Whom it is fetched from, or was.
    peers: HashSet<PeerId>,
    /// The same of what waits at nodes.
    blobs: HashSet<BlobId>,
    more: mpsc::Sender<Holder>,
    /// Dropping it ends the transfer.
    _stop: watch::Sender<()>,
}

/// When a transfer that broke is tried again.
#[derive(Debug, Clone, Copy, Default)]
struct Pause {
    failures: u32,
    refusals: u32,
    until: Option<Instant>,
}

/// Whether somebody who came lets a transfer be tried at once, as its author or as a member of its group.
const fn ends_pause(pause: Pause, is_author: bool, is_member: bool) -> bool {
    is_author || (is_member && pause.refusals == 0)
}

/// Told to the threads that read own files when the account is locked.
#[derive(Default)]
struct Stopping(Arc<AtomicBool>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All files, and what is under way.
pub(crate) struct Files {
    rows: BTreeMap<FileId, FileRow>,
    running: HashMap<FileId, Running>,
    uploading: HashMap<FileId, Uploading>,
    doomed: Doomed,
    discarded: Discarded,
    waiters: HashMap<FileId, Vec<Reply<Downloaded>>>,
    pauses: HashMap<FileId, Pause>,
    /// What came in attempts that broke, and by which routes.
    routes: HashMap<FileId, Routes>,
    /// How far attempts came that ended before the file was whole, in bytes.
    reached: HashMap<FileId, u64>,
    /// Under way when the vault was opened.
    resumed: HashSet<FileId>,
    /// Downloads of own files as nodes have counted them.
    counted: HashMap<FileId, u32>,
    next_counts: Option<Instant>,
    /// When the next file is over, at the earliest.
    next_expiry: Option<Timestamp>,
    /// The same, by the clock that only flows forward.
    expires_at: Option<Instant>,
    shelf: Shelf,
    /// Where encrypted copies lie.
    copies: PathBuf,
    /// Something happened after which a transfer may start.
    look: bool,
    /// The shelf does not know yet who is in which group.
    groups_unknown: bool,
    attempts: u64,
    preparing: Arc<Semaphore>,
    stopping: Stopping,
    /// One for each stream on which somebody fetches, and one that stays here.
    readers: HashMap<AccountId, Arc<()>>,
    /// Messages that tell where a file waits, until they are under way.
    announcing: HashMap<MessageId, FileId>,
    next_progress: Option<Instant>,
}

/// What the vault holds.
#[derive(Default)]
pub(crate) struct Rows {
    files: BTreeMap<FileId, FileRow>,
    doomed: BTreeMap<FileId, DoomedRow>,
    discarded: BTreeMap<FileId, DiscardedRow>,
}

pub(super) fn load(vault: &Vault) -> Result<Rows, StoreError> {
    let mut rows = Rows::default();
    for bytes in vault.scan(Table::Files)? {
        let decoded = row::decode(&bytes).map_err(|_| StoreError::Damaged { what: "the list of files" })?;
        match decoded {
            Some(Row::File(mut file)) => {
                if file.state == FileState::Downloading {
                    file.state = FileState::Waiting;
                }
                rows.files.insert(file.id(), *file);
            }
            Some(Row::Doomed(doomed)) => drop(rows.doomed.insert(doomed.file, *doomed)),
            Some(Row::Discarded(discarded)) => drop(rows.discarded.insert(discarded.file, *discarded)),
            None => {}
        }
    }
    Ok(rows)
}

fn gone_key(file: FileId) -> Vec<u8> {
    [b"file-gone".as_slice(), file.as_ref()].concat()
}

const EXPIRED: &[u8] = b"expired";
const DELETED: &[u8] = b"deleted";

/// Why a file is gone, and who shared it; of own files nobody offers the id.
fn gone_mark(gone: Gone, author: Option<AccountId>) -> Vec<u8> {
    let why = if gone == Gone::Expired { EXPIRED } else { DELETED };
    [why, author.as_ref().map_or(&[][..], |author| author.as_bytes().as_slice())].concat()
}

/// Marks without an author, of own files and of former versions, are nobody's.
fn is_mark_of_another(mark: &[u8], from: AccountId) -> bool {
    let author = mark.strip_prefix(EXPIRED).or_else(|| mark.strip_prefix(DELETED)).unwrap_or_default();
    !author.is_empty() && author != from.as_bytes().as_slice()
}

impl Files {
    /// `copies` is where encrypted copies lie.
    pub(super) fn new(rows: Rows, copies: PathBuf) -> Self {
        let mut files = Self {
            rows: rows.files,
            running: HashMap::new(),
            uploading: HashMap::new(),
            doomed: Doomed::new(rows.doomed, Instant::now()),
            discarded: Discarded::new(rows.discarded),
            waiters: HashMap::new(),
            pauses: HashMap::new(),
            routes: HashMap::new(),
            reached: HashMap::new(),
            resumed: HashSet::new(),
            counted: HashMap::new(),
            next_counts: None,
            next_expiry: None,
            expires_at: None,
            shelf: Shelf::default(),
            copies,
            look: true,
            groups_unknown: true,
            attempts: 0,
            announcing: HashMap::new(),
            preparing: Arc::new(Semaphore::new(PREPARED_AT_ONCE_MAX)),
            stopping: Stopping::default(),
            readers: HashMap::new(),
            next_progress: None,
        };
        files.rows.values().for_each(|row| files.shelve(row));
        let under_way = files.rows.values().filter(|row| row.state == FileState::Waiting);
        files.resumed = under_way.map(FileRow::id).collect();
        files.find_next_expiry();
        files
    }

    /// The vault says otherwise: what is under way ends, and starts anew from there.
    pub(super) fn reload(&mut self, rows: Rows) {
        for id in self.rows.keys().filter(|id| !rows.files.contains_key(id)) {
            self.shelf.remove(id);
        }
        self.running.clear();
        self.uploading.clear();
        (self.rows, self.doomed) = (rows.files, Doomed::new(rows.doomed, Instant::now()));
        self.discarded = Discarded::new(rows.discarded);
        self.rows.values().for_each(|row| self.shelve(row));
        (self.look, self.groups_unknown) = (true, true);
        self.find_next_expiry();
    }

    fn find_next_expiry(&mut self) {
        self.next_expiry = self.rows.values().filter_map(|row| row.manifest.expires).min();
    }

    /// A place for one more stream of this account, to be kept as long as it is served; nothing if it has too many.
    fn reader_place(&mut self, account: AccountId) -> Option<Arc<()>> {
        self.readers.retain(|_, place| Arc::strong_count(place) > 1);
        let place = self.readers.entry(account).or_default();
        (Arc::strong_count(place) <= STREAMS_PER_READER_MAX).then(|| Arc::clone(place))
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Somebody came, or something else happened after which a transfer may start.
    pub(super) fn look_again(&mut self) {
        self.look = true;
    }

    /// A peer is gone: when it is back, running transfers ask it anew.
    pub(super) fn peer_left(&mut self, peer: &PeerId) {
        self.look = true;
        for running in self.running.values_mut() {
            running.peers.remove(peer);
        }
    }

    /// Somebody is here who was not: what broke with them is tried again without delay. Of a group's file any
    /// member may have it; but a wait after a refusal of its author only the author ends.
    pub(super) fn came(&mut self, account: AccountId, is_member_of: impl Fn(GroupId) -> bool) {
        self.look = true;
        for (file, pause) in &mut self.pauses {
            let Some(row) = self.rows.get(file).filter(|row| !row.mine) else { continue };
            let is_member = row.group.is_some_and(&is_member_of);
            if ends_pause(*pause, row.peer == account, is_member) {
                pause.until = None;
            }
        }
    }

    /// When to come back, for progress and for what broke.
    pub(super) fn next(&self) -> Option<Instant> {
        self.pauses
            .values()
            .filter_map(|pause| pause.until)
            .chain(self.next_progress)
            .chain(self.expires_at)
            .chain(self.doomed.next)
            .min()
    }

    /// Lets those who may fetch this file, if it is an own one.
    fn shelve(&self, row: &FileRow) {
        // A member who has a group's file whole hands it on.
        let served = row.mine || (row.group.is_some() && row.state == FileState::Completed);
        let (Some(path), true, Ok(geometry)) = (&row.path, served, row.manifest.geometry()) else { return };
        self.shelf.put(
            row.id(),
            Served {
                cipher: ChunkCipher::new(row.manifest.key.to_key(), row.id(), geometry),
                mine: row.mine,
                path: path.into(),
                form: form_of(&self.copies, path.as_ref()),
                leaves: OnceLock::new(),
                readers: row.group.map_or(Readers::Person(row.peer), Readers::Members),
            },
        );
    }
}

impl Open {
    /// Stages the rows that changed, and starts what can be started.
    pub(super) fn finish_files(&mut self, step: &mut Step<'_>) {
        for account in &step.contacts {
            let contact = self.contacts.get(account);
            let chats = contact.is_some_and(|contact| contact.may_chat());
            self.files.shelf.know(*account, chats, contact.is_some_and(|contact| contact.blocked));
        }
        if !step.groups.is_empty() || self.files.groups_unknown {
            self.files.groups_unknown = false;
            let joined = self.groups.iter().filter(|(_, group)| group.is_joined());
            let members = joined.filter_map(|(id, group)| {
                let view = group.view()?;
                Some((*id, view.members.keys().copied().collect::<HashSet<_>>()))
            });
            self.files.shelf.know_groups(members.collect());
        }
        if !step.groups.is_empty() && !self.files.announcing.is_empty() {
            self.groups_announced(step);
        }
        if std::mem::take(&mut self.files.look) {
            self.look_at_leftovers(step);
            self.add_holders();
            self.start_downloads(step);
            self.start_uploads(step);
        }
        for id in std::mem::take(&mut step.files) {
            match self.files.rows.get(&id).map(FileRow::encode) {
                Some(Ok(bytes)) => step.txn.put(Table::Files, id.as_ref(), &bytes),
                Some(Err(error)) => tracing::error!(%error, "a file's row can't be encoded"),
                None => {
                    step.txn.delete(Table::Files, id.as_ref());
                    step.txn.delete(Table::Files, &leaves_key(id));
                }
            }
        }
    }

    /// A new file: its row, and the hashes of its chunks.
    fn keep_file(&mut self, step: &mut Step<'_>, row: FileRow, leaves: Vec<u8>) {
        let id = row.id();
        if let Some(bytes) =
            Some(leaves).filter(|leaves| !leaves.is_empty()).and_then(|leaves| encode_leaves(leaves).ok())
        {
            step.txn.put(Table::Files, &leaves_key(id), &bytes);
        }
        self.files.shelve(&row);
        self.files.next_expiry = self.files.next_expiry.into_iter().chain(row.manifest.expires).min();
        self.files.rows.insert(id, row);
        self.files.look = true;
        step.files.insert(id);
    }

    /// Why a file is not in the list, as far as that is remembered.
    fn why_gone(&self, step: &Step<'_>, id: FileId) -> Option<Gone> {
        let mark = step.txn.get(Table::Seen, &gone_key(id)).ok()??;
        Some(if mark.starts_with(EXPIRED) { Gone::Expired } else { Gone::Deleted })
    }

    /// Whether an id is that of a file of somebody else, in the list or gone from it: whoever offers
    /// it now has taken it from them.
    fn is_of_another(&self, step: &Step<'_>, id: FileId, from: AccountId, group: Option<GroupId>) -> bool {
        if let Some(row) = self.files.rows.get(&id) {
            return row.mine || row.peer != from || row.group != group;
        }
        let mark = step.txn.get(Table::Seen, &gone_key(id)).ok().flatten();
        mark.is_some_and(|mark| is_mark_of_another(&mark, from))
    }

    /// Takes a file out of the list: nobody can fetch it any more, and what was
    /// fetched of it in part goes.
    pub(super) fn forget_file(&mut self, step: &mut Step<'_>, id: FileId, gone: Gone) {
        let Some(row) = self.files.rows.remove(&id) else { return };
        step.files.insert(id);
        self.files.shelf.remove(&id);
        self.files.running.remove(&id);
        self.files.pauses.remove(&id);
        self.files.routes.remove(&id);
        self.files.reached.remove(&id);
        self.files.counted.remove(&id);
        self.files.announcing.retain(|_, announced| *announced != id);
        let mark = gone_mark(gone, (!row.mine).then_some(row.peer));
        let today = u32::try_from(step.now.0 / DAY_MS).unwrap_or(u32::MAX);
        step.txn.put_until(Table::Seen, &gone_key(id), today.saturating_add(SEEN_KEEP_DAYS), &mark);
        self.answer_waiters(step, id, &Err(download::gone(gone)));
        if !row.mine && row.state != FileState::Completed {
            self.remove_growing(step, &row);
        } else if self.is_sealed(&row) {
            self.remove_copy(step, &row);
        }
        if row.mine {
            self.remove_uploads(step, &row);
        }
        self.strike_message(step, &row);
        step.tell(Event::FileDeleted { file_id: id.to_string(), expired: gone == Gone::Expired });
    }

    /// What is done about files from time to time.
    pub(super) fn tend_files(&mut self, step: &mut Step<'_>) {
        self.ask_counts(step);
        self.tend_doomed(step);
        let now = Instant::now();
        // While the clock is in doubt nothing is over: it is not waited for.
        let wait = self.files.next_expiry.map(|at| Duration::from_millis(at.since_ms(step.now)));
        self.files.expires_at = wait.filter(|wait| !wait.is_zero()).and_then(|wait| now.checked_add(wait));
        let ripe = |pause: &Pause| pause.until.is_some_and(|until| until <= now);
        if self.files.pauses.values().any(ripe) {
            self.files.pauses.values_mut().filter(|pause| ripe(pause)).for_each(|pause| pause.until = None);
            self.files.look = true;
        }
        if self.files.next_progress.is_some_and(|at| at <= now) {
            self.tell_progress(step);
            self.tell_uploads(step);
            let more = !self.files.running.is_empty() || !self.files.uploading.is_empty();
            self.files.next_progress = more.then(|| now + Duration::from_millis(PROGRESS_EVERY_MS));
        }
    }

    fn tell_progress(&mut self, step: &mut Step<'_>) {
        for (id, running) in &mut self.files.running {
            let before = self.files.reached.get(id).copied().unwrap_or_default();
            let done = running.progress.done.load(Ordering::Relaxed).max(before);
            let Some(row) = self.files.rows.get(id).filter(|_| done != running.told) else { continue };
            running.told = done;
            step.tell(Event::FileProgress {
                file_id: id.to_string(),
                direction: Direction::Download,
                bytes_done: done,
                bytes_total: row.manifest.size,
            });
        }
    }

    /// Takes out what is over, at once: whatever is done next finds it gone.
    pub(super) fn expire_files(&mut self, step: &mut Step<'_>) {
        let doubtful = self.clock.is_doubtful();
        if doubtful || self.files.next_expiry.is_none_or(|at| at > step.now) {
            return;
        }
        let over = |row: &&FileRow| row.is_over(step.now, doubtful);
        let over: Vec<FileId> = self.files.rows.values().filter(over).map(FileRow::id).collect();
        for id in over {
            self.forget_file(step, id, Gone::Expired);
        }
        self.files.find_next_expiry();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: AccountId = AccountId([1; 32]);
    const MALLORY: AccountId = AccountId([2; 32]);

    #[test]
    fn what_is_gone_is_remembered_for_its_author_alone() {
        for gone in [Gone::Expired, Gone::Deleted] {
            let mark = gone_mark(gone, Some(MALLORY));
            assert!(is_mark_of_another(&mark, ALICE) && !is_mark_of_another(&mark, MALLORY));
            assert!(!is_mark_of_another(&gone_mark(gone, None), ALICE));
            assert_eq!(mark.starts_with(EXPIRED), gone == Gone::Expired);
        }
    }

    #[test]
    fn what_its_author_refused_waits_for_its_author_whoever_else_comes() {
        let (broken, refused) = (Pause::default(), Pause { refusals: 1, ..Pause::default() });
        assert!(ends_pause(broken, false, true) && ends_pause(broken, true, false));
        assert!(ends_pause(refused, true, true) && !ends_pause(refused, false, true));
        assert!(!ends_pause(broken, false, false), "a stranger to its group has nothing of it");
    }

    #[test]
    fn one_account_has_so_many_streams_and_no_more() {
        let mut files = Files::new(Rows::default(), PathBuf::new());
        let mut places: Vec<_> = (0..STREAMS_PER_READER_MAX).map(|_| files.reader_place(MALLORY).unwrap()).collect();
        assert!(files.reader_place(MALLORY).is_none());
        assert!(files.reader_place(ALICE).is_some(), "others are served");
        places.pop();
        assert!(files.reader_place(MALLORY).is_some());
    }

    #[test]
    fn locking_tells_those_who_read() {
        let files = Files::new(Rows::default(), PathBuf::new());
        let told = files.stopping.0.clone();
        assert!(!told.load(Ordering::Relaxed));
        drop(files);
        assert!(told.load(Ordering::Relaxed));
    }
}
