//! Fetching what others share: when it starts, and what the person can do about it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom as _;
use secure_chat_protocol::file::ChunkCipher;
use secure_chat_protocol::id::{AccountId, FileId, GroupId, MessageId};
use secure_chat_protocol::wire::transfer::FileControl;
use tokio::sync::{mpsc, watch};

use super::share::{confirm, content, look_at};
use super::turns::in_turn;
use super::{FileWork, Gone, Running};
use crate::api::{ApiError, Done, Downloaded, ErrorKind, Event, FileState, Reply, params};
use crate::engine::groups::Group;
use crate::engine::state::{Open, rng};
use crate::engine::step::{Step, sentence};
use crate::engine::work::Work;
use crate::files::copies::{form_of, head, sealed_name};
use crate::files::fetch::{FetchError, Holder, Job, Place, Progress, fetch};
use crate::files::form::Form;
use crate::files::kind::judge;
use crate::files::limits::{
    DOWNLOADS_AT_ONCE_MAX, DOWNLOADS_OF_ONE_SHARER_MAX, HOLDERS_ASKED_MAX, PROGRESS_EVERY_MS, WAITERS_MAX,
};
use crate::files::row::{FileRow, stored_leaves};
use crate::files::target::{TargetError, place};
use crate::network::{PeerId, parse_rendezvous};

/// The rendezvous nodes where a file waits.
fn places(row: &FileRow) -> impl Iterator<Item = Place> {
    row.places.iter().filter_map(|place| {
        let home = parse_rendezvous(&place.home).ok()?;
        Some(Place { home, blob: place.blob, read_token: place.read_token })
    })
}

/// The author, if they are here, and so many of the others that all asked are no more than the most.
fn author_and_some<T>(author: Option<T>, others: Vec<T>, asked: usize) -> Vec<T> {
    // Whoever shared it has it for sure: they are asked even after many others.
    author.into_iter().chain(others.into_iter().take(HOLDERS_ASKED_MAX.saturating_sub(asked))).collect()
}

/// Why a file that was there is not.
pub(super) fn gone(gone: Gone) -> ApiError {
    match gone {
        Gone::Expired => ApiError::new(ErrorKind::Expired, "The time of this file is over."),
        Gone::Deleted => ApiError::not_found("This file was deleted."),
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

pub(super) fn target_error(error: &TargetError) -> ApiError {
    let text = sentence(&error.to_string());
    match error {
        TargetError::DiskFull { .. } => ApiError::new(ErrorKind::DiskFull, text),
        TargetError::NoFolder(_) | TargetError::ReadOnly(_) => ApiError::invalid("path", text),
        TargetError::Io(_) if error.is_busy() => {
            ApiError::new(ErrorKind::Conflict, "The file is being written there already.")
        }
        TargetError::NotTaken(cause) if is_full(cause) => ApiError::new(ErrorKind::DiskFull, text),
        TargetError::Io(_) | TargetError::NotTaken(_) => ApiError::new(ErrorKind::Storage, text),
    }
}

impl Open {
    pub(in crate::engine) fn download_file(
        &mut self,
        step: &mut Step<'_>,
        params: params::FilesDownload,
        reply: Reply<Downloaded>,
    ) {
        // What is here already is no matter of who may still fetch it.
        if let Some(row) = self.file_row(step, &params.file_id).ok().filter(|row| self.is_kept_sealed(row)) {
            return self.copy_out(step, row, params.path, reply);
        }
        let (file, name, size) = match self.check_download(step, &params) {
            Ok(checked) => checked,
            Err(error) => {
                self.note_refusal(step, &error);
                return step.reply(reply, Err(error));
            }
        };
        if self.is_under_way(file) && params.path.is_none() {
            return self.wait_for(step, file, reply);
        }
        let copies = self.files.copies.clone();
        if params.path.as_ref().is_some_and(|path| Path::new(path).starts_with(&copies)) {
            let text = "Encrypted copies lie in this folder, and nothing else.";
            return step.reply(reply, Err(ApiError::invalid("path", text)));
        }
        let (default, own_name) = if self.settings.encrypt_received_files {
            (copies, sealed_name(file))
        } else {
            let folder = self.settings.download_folder.clone().map(PathBuf::from);
            (folder.unwrap_or_else(|| self.config.data_dir.join("downloads")), name.clone())
        };
        step.work(async move {
            let looking = crate::stack::spawn_blocking(move || match params.path {
                Some(path) => place(path.as_ref(), &name, size),
                None => {
                    std::fs::create_dir_all(&default)?;
                    place(&default, &own_name, size)
                }
            });
            let stopped = || TargetError::Io(std::io::ErrorKind::Interrupted.into());
            let result = looking.await.unwrap_or_else(|_| Err(stopped()));
            Work::File(FileWork::Placed { file, result, reply })
        });
    }

    fn check_download(
        &self,
        step: &Step<'_>,
        params: &params::FilesDownload,
    ) -> Result<(FileId, String, u64), ApiError> {
        let row = self.file_row(step, &params.file_id)?;
        if row.mine {
            return Err(ApiError::new(ErrorKind::NotAllowed, "This is your own file: it is where you shared it from."));
        }
        match row.group {
            Some(group) => drop(self.joined(&group.to_string())?),
            None => drop(self.chat_with(&row.peer.to_string())?),
        }
        self.check_policy(&row.manifest.name, "file_id")?;
        confirm(row.manifest.size, params.confirm)?;
        Ok((row.id(), row.manifest.name.clone(), row.manifest.size))
    }

    pub(super) fn is_under_way(&self, file: FileId) -> bool {
        let state = self.files.rows.get(&file).map(|row| row.state);
        matches!(state, Some(FileState::Waiting | FileState::Downloading | FileState::Paused))
    }

    fn wait_for(&mut self, step: &mut Step<'_>, file: FileId, reply: Reply<Downloaded>) {
        let waiters = self.files.waiters.entry(file).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        if waiters.len() >= WAITERS_MAX {
            let text = "Too many wait for this file already.";
            return step.reply(reply, Err(ApiError::new(ErrorKind::Full, text)));
        }
        waiters.push(reply);
    }

    /// It was looked where the file may go.
    pub(super) fn placed(
        &mut self,
        step: &mut Step<'_>,
        file: FileId,
        result: Result<PathBuf, TargetError>,
        reply: Reply<Downloaded>,
    ) {
        let target = match result {
            Ok(target) => target.to_string_lossy().into_owned(),
            Err(error) => return step.reply(reply, Err(target_error(&error))),
        };
        let under_way = self.is_under_way(file);
        let Some(row) = self.files.rows.get_mut(&file) else {
            return step.reply(reply, Err(gone(Gone::Deleted)));
        };
        if under_way && row.path.as_ref() != Some(&target) {
            let text = "This file is being fetched to another place. Cancel that first.";
            return step.reply(reply, Err(ApiError::new(ErrorKind::Conflict, text)));
        }
        if !under_way {
            row.path = Some(target);
            self.set_file_state(step, file, FileState::Waiting, None);
        }
        self.files.pauses.remove(&file);
        self.files.look_again();
        self.wait_for(step, file, reply);
    }

    pub(super) fn set_file_state(
        &mut self,
        step: &mut Step<'_>,
        file: FileId,
        state: FileState,
        reason: Option<String>,
    ) {
        let Some(row) = self.files.rows.get_mut(&file) else { return };
        if row.state != state || row.reason != reason {
            (row.state, row.reason) = (state, reason);
            step.files.insert(file);
            if let Some(view) = self.file_view(file) {
                step.tell(Event::FileState(Box::new(view)));
            }
        }
    }

    /// Starts what waits, as far as there is somebody to fetch it from.
    pub(super) fn start_downloads(&mut self, step: &mut Step<'_>) {
        let idle = |row: &&FileRow| {
            let paused = self.files.pauses.get(&row.id()).and_then(|pause| pause.until);
            row.state == FileState::Waiting && paused.is_none() && !self.files.running.contains_key(&row.id())
        };
        let waiting = self.files.rows.values().filter(idle).map(|row| (row.at, row.id(), row.peer)).collect();
        for (_, file, sharer) in in_turn(waiting, &self.sharers_running()) {
            if self.files.running.len() >= DOWNLOADS_AT_ONCE_MAX {
                return;
            }
            if self.sharers_running().get(&sharer).is_none_or(|count| *count < DOWNLOADS_OF_ONE_SHARER_MAX) {
                self.start_download(step, file);
            }
        }
    }

    /// How many files of each sharer are fetched now.
    fn sharers_running(&self) -> HashMap<AccountId, usize> {
        let mut counts = HashMap::new();
        for row in self.files.running.keys().filter_map(|file| self.files.rows.get(file)) {
            let count: &mut usize = counts.entry(row.peer).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }

    fn start_download(&mut self, step: &mut Step<'_>, file: FileId) {
        let Some(row) = self.files.rows.get(&file) else { return };
        let from = row.peer;
        let group = row.group;
        let may = match group {
            Some(group) => self.groups.get(&group).is_some_and(Group::is_joined),
            None => self.contacts.get(&from).is_some_and(|contact| contact.may_chat()),
        };
        if !may || row.is_over(step.now, self.clock.is_doubtful()) {
            return;
        }
        let peers = self.holders_here(from, group, &HashSet::new());
        if self.peer_of(from).is_none() && !self.lane(from).must_wait() {
            self.reach(step, from);
        }
        let Some(row) = self.files.rows.get(&file) else { return };
        let asked = peers.iter().map(|(peer, _)| *peer).collect();
        let blobs = places(row).map(|place| place.blob).collect();
        // Nodes come after the first of those, who is the author: they have it for sure.
        let mut holders: Vec<Holder> = peers.into_iter().map(|(peer, account)| Holder::Peer(peer, account)).collect();
        let first = holders.len().min(1);
        holders.splice(first..first, places(row).map(Holder::Node));
        if holders.is_empty() {
            return;
        }
        let (Some(target), Ok(geometry)) = (row.path.clone(), row.manifest.geometry()) else { return };
        let form = form_of(&self.files.copies, target.as_ref());
        let cipher = ChunkCipher::new(row.manifest.key.to_key(), file, geometry);
        self.files.attempts = self.files.attempts.saturating_add(1);
        let (attempt, progress) = (self.files.attempts, Arc::new(Progress::default()));
        let (stop, stopped) = watch::channel(());
        let (more, later) = mpsc::channel(8);
        let job = Job {
            file,
            author: from,
            key: row.manifest.key.to_key(),
            geometry,
            root: row.manifest.root.0,
            sha256: row.manifest.sha256.0,
            leaves: stored_leaves(&step.txn, file, &geometry),
            form,
            target: target.into(),
            may_be_there: self.files.resumed.contains(&file),
            holders,
            more: later,
            progress: progress.clone(),
            stop: stopped,
        };
        let running = Running { attempt, progress, told: u64::MAX, peers: asked, blobs, more, _stop: stop };
        self.files.running.insert(file, running);
        // What of it was to go is wanted again.
        self.discarded(step, file, true);
        self.set_file_state(step, file, FileState::Downloading, None);
        let at = Instant::now() + Duration::from_millis(PROGRESS_EVERY_MS);
        self.files.next_progress.get_or_insert(at);
        self.wake_at(at);
        let (net, name) = (self.net.clone(), self.files.rows.get(&file).map(|row| row.manifest.name.clone()));
        step.work(async move {
            let target = job.target.clone();
            let result = match fetch(job, net).await {
                Ok(here) => {
                    let (there, name) = (here.path.clone(), name.unwrap_or_default());
                    let kind = crate::stack::spawn_blocking(move || match form {
                        Form::Plain => look_at(&there, &name),
                        Form::Sealed => judge(&name, &head(&there, &cipher).unwrap_or_default()),
                    })
                    .await;
                    kind.map(|kind| (here, kind)).map_err(|_| FetchError::Stopped)
                }
                Err(error) => Err(error),
            };
            Work::File(FileWork::Fetched { file, attempt, target, result })
        });
    }

    /// Who may have a file and is connected, its author first; without those who were `asked` already.
    /// Of many members not always the same are asked: most may not have it.
    fn holders_here(
        &self,
        author: AccountId,
        group: Option<GroupId>,
        asked: &HashSet<PeerId>,
    ) -> Vec<(PeerId, AccountId)> {
        let new = |account: AccountId| {
            let peer = self.peer_of(account).map(|(peer, _)| peer).filter(|peer| !asked.contains(peer));
            peer.map(|peer| (peer, account))
        };
        let view = group.and_then(|group| self.groups.get(&group)).and_then(Group::view);
        let others = view.into_iter().flat_map(|view| view.members.keys()).filter(|account| **account != author);
        let mut others: Vec<_> = others.copied().filter_map(new).collect();
        others.shuffle(&mut rng());
        author_and_some(new(author), others, asked.len())
    }

    /// Lets running transfers fetch also from those who came meanwhile, and from the nodes where a file waits since.
    pub(super) fn add_holders(&mut self) {
        let mut came = Vec::new();
        for (file, running) in &self.files.running {
            let Some(row) = self.files.rows.get(file) else { continue };
            let peers = self.holders_here(row.peer, row.group, &running.peers);
            let nodes = places(row).filter(|place| !running.blobs.contains(&place.blob));
            let new = peers.into_iter().map(|(peer, account)| Holder::Peer(peer, account));
            came.extend(new.chain(nodes.map(Holder::Node)).map(|holder| (*file, holder)));
        }
        for (file, holder) in came {
            let Some(running) = self.files.running.get_mut(&file) else { continue };
            let (peer, blob) = match &holder {
                Holder::Peer(peer, _) => (Some(*peer), None),
                Holder::Node(place) => (None, Some(place.blob)),
            };
            if running.more.try_send(holder).is_ok() {
                running.peers.extend(peer);
                running.blobs.extend(blob);
            }
        }
    }

    fn own_download(&self, step: &Step<'_>, name: &str) -> Result<(FileId, FileState), ApiError> {
        let row = self.file_row(step, name)?;
        if row.mine {
            return Err(ApiError::new(ErrorKind::NotAllowed, "This is your own file: nothing of it is fetched."));
        }
        Ok((row.id(), row.state))
    }

    /// An own file by its id.
    fn is_own_file(&self, step: &Step<'_>, name: &str) -> Result<Option<FileId>, ApiError> {
        let row = self.file_row(step, name)?;
        Ok(row.mine.then(|| row.id()))
    }

    pub(in crate::engine) fn cancel_file(&mut self, step: &mut Step<'_>, name: &str) -> Result<Done, ApiError> {
        if let Some(file) = self.is_own_file(step, name)? {
            return self.cancel_upload(step, file);
        }
        let (file, state) = self.own_download(step, name)?;
        if !self.is_under_way(file) && state != FileState::Failed {
            return Err(ApiError::new(ErrorKind::Conflict, "This file is not being fetched."));
        }
        self.files.running.remove(&file);
        self.files.pauses.remove(&file);
        self.files.routes.remove(&file);
        self.files.reached.remove(&file);
        if let Some(row) = self.files.rows.get(&file).cloned() {
            self.remove_growing(step, &row);
        }
        self.set_file_state(step, file, FileState::Cancelled, None);
        self.answer_waiters(step, file, &Err(ApiError::new(ErrorKind::Conflict, "The download was cancelled.")));
        self.files.look_again();
        Ok(Done {})
    }

    pub(in crate::engine) fn pause_file(&mut self, step: &mut Step<'_>, name: &str) -> Result<Done, ApiError> {
        let (file, _) = self.own_download(step, name)?;
        if !self.is_under_way(file) {
            return Err(ApiError::new(ErrorKind::Conflict, "This file is not being fetched."));
        }
        if let Some(running) = self.files.running.remove(&file) {
            let before = self.files.routes.remove(&file).unwrap_or_default();
            self.files.routes.insert(file, before.plus(running.progress.routes()));
            self.files.reached.insert(file, running.progress.done.load(Ordering::Relaxed));
        }
        self.set_file_state(step, file, FileState::Paused, None);
        self.files.look_again();
        Ok(Done {})
    }

    pub(in crate::engine) fn resume_file(&mut self, step: &mut Step<'_>, name: &str) -> Result<Done, ApiError> {
        let (file, state) = self.own_download(step, name)?;
        match state {
            FileState::Paused => self.set_file_state(step, file, FileState::Waiting, None),
            FileState::Waiting | FileState::Downloading => {}
            _ => return Err(ApiError::new(ErrorKind::Conflict, "This file is not halted.")),
        }
        self.files.pauses.remove(&file);
        self.files.look_again();
        Ok(Done {})
    }

    pub(in crate::engine) fn retry_file(&mut self, step: &mut Step<'_>, name: &str) -> Result<Done, ApiError> {
        if let Some(file) = self.is_own_file(step, name)? {
            return self.retry_upload(step, file);
        }
        let (file, _) = self.own_download(step, name)?;
        let row = self.files.rows.get(&file);
        if row.is_none_or(|row| row.path.is_none() || row.state == FileState::Completed) {
            return Err(ApiError::new(ErrorKind::Conflict, "There is nothing to try again. Use files.download."));
        }
        if let Some(lane) = row.map(|row| row.peer).map(|peer| self.lane(peer)) {
            lane.retry_now();
        }
        self.files.pauses.remove(&file);
        if !self.files.running.contains_key(&file) {
            self.set_file_state(step, file, FileState::Waiting, None);
        }
        self.files.look_again();
        Ok(Done {})
    }

    pub(in crate::engine) fn delete_file(&mut self, step: &mut Step<'_>, name: &str) -> Result<Done, ApiError> {
        let row = self.file_row(step, name)?;
        let (file, mine, peer, group) = (row.id(), row.mine, row.peer, row.group);
        if let Some(group) = group.filter(|group| mine && self.groups.get(group).is_some_and(Group::is_joined)) {
            let body = content(FileControl::Deleted { file })?;
            self.say(step, group, MessageId::random(&mut rng()), body)?;
        } else if mine && self.contacts.get(&peer).is_some_and(|contact| contact.may_chat()) {
            let body = content(FileControl::Deleted { file })?;
            self.enqueue(step, peer, MessageId::random(&mut rng()), body, false)?;
        }
        self.forget_file(step, file, Gone::Deleted);
        Ok(Done {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_author_is_asked_also_after_many_others_were() {
        let others = || (1..40).collect();
        assert_eq!(author_and_some(Some(0), others(), HOLDERS_ASKED_MAX), [0]);
        assert_eq!(author_and_some(None, others(), HOLDERS_ASKED_MAX), Vec::<i32>::new());
        assert_eq!(author_and_some(Some(0), others(), HOLDERS_ASKED_MAX - 2), [0, 1, 2]);
    }
}
