//! Own files that wait at rendezvous nodes for a recipient who is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use secure_chat_protocol::file::ChunkCipher;
use secure_chat_protocol::id::{AccountId, FileId, GroupId, MailboxId, MessageId};
use secure_chat_protocol::limits::{HOUR_MS, MANIFEST_LEAVES_MAX};
use secure_chat_protocol::wire::rendezvous::PresenceStatus;
use secure_chat_protocol::wire::transfer::FileControl;
use tokio::sync::watch;

use super::FileWork;
use super::share::content;
use crate::api::{ApiError, Direction, Done, ErrorKind, Event, FileState};
use crate::engine::state::{Open, rng};
use crate::engine::step::{Step, sentence};
use crate::engine::work::Work;
use crate::files::limits::{PROGRESS_EVERY_MS, RETRY_FIRST_MS, RETRY_MAX_MS, UPLOAD_HOURS, UPLOADS_AT_ONCE_MAX};
use crate::files::row::{FileRow, Upload, stored_leaves};
use crate::files::source::SourceError;
use crate::files::upload::{LeaveError, Leaving, leave};
use crate::network::parse_rendezvous;

/// What becomes of a file that is left nowhere.
const GOES_OVER_LATER: &str = "It goes over when whoever wants it and you are both there.";

/// An upload that runs.
pub(super) struct Uploading {
    attempt: u64,
    pub(super) done: Arc<AtomicU64>,
    pub(super) told: u64,
    /// Dropping it ends the upload.
    _stop: watch::Sender<()>,
}

impl Open {
    /// Whether somebody is known to be away, and not only not here yet.
    fn is_away(&self, account: AccountId) -> bool {
        let told = self.presence.get(&account).map(|presence| presence.status);
        let tried = self.lanes.get(&account).is_some_and(|lane| lane.must_wait());
        !self.is_connected(account) && (told == Some(PresenceStatus::Offline) || tried)
    }

    fn is_anybody_away(&self, group: GroupId) -> bool {
        let view = self.groups.get(&group).filter(|group| group.is_joined()).and_then(|group| group.view());
        view.is_some_and(|view| view.members.keys().any(|member| *member != self.me && !self.is_connected(*member)))
    }

    /// Leaves files for those who are away.
    pub(super) fn start_uploads(&mut self, step: &mut Step<'_>) {
        let (most, doubtful) = (self.settings.upload_max_bytes, self.clock.is_doubtful());
        let wanted = |row: &&FileRow| {
            row.mine
                && row.state == FileState::Shared
                && (row.group.is_some() || row.downloaded_by.is_empty())
                && row.manifest.size <= most
                && !row.is_over(step.now, doubtful)
                && (row.uploads.is_empty() || row.uploads.iter().any(|upload| !upload.done))
                && step.now.since_ms(row.at) <= u64::from(UPLOAD_HOURS).saturating_mul(HOUR_MS)
        };
        let mut wanted: Vec<(_, FileId, AccountId, Option<GroupId>)> =
            self.files.rows.values().filter(wanted).map(|row| (row.at, row.id(), row.peer, row.group)).collect();
        wanted.sort_unstable();
        for (_, file, peer, group) in wanted {
            if self.files.uploading.len() >= UPLOADS_AT_ONCE_MAX {
                return;
            }
            let paused = self.files.pauses.get(&file).and_then(|pause| pause.until);
            let idle = !self.files.uploading.contains_key(&file) && paused.is_none();
            let wait = match group {
                Some(group) => self.is_anybody_away(group),
                None => self.contacts.get(&peer).is_some_and(|contact| contact.may_chat()) && self.is_away(peer),
            };
            if idle && wait {
                if self.plan_upload(step, file, peer, group) {
                    self.start_upload(step, file);
                } else {
                    self.not_left(step, file, "There is no rendezvous node to leave it at.");
                }
            }
        }
    }

    fn start_upload(&mut self, step: &mut Step<'_>, file: FileId) {
        let Some(row) = self.files.rows.get(&file) else { return };
        let Some((at, upload)) = row.uploads.iter().enumerate().find(|(_, upload)| !upload.done) else { return };
        let (Some(path), Ok(geometry), Ok(home)) =
            (row.path.clone(), row.manifest.geometry(), parse_rendezvous(&upload.home))
        else {
            return;
        };
        // Readers of a blob have nobody to ask for the hashes but the manifest.
        let leaves = stored_leaves(&step.txn, file, &geometry).filter(|_| geometry.count() <= MANIFEST_LEAVES_MAX);
        let Some(leaves) = leaves else { return };
        let left_hours = row.manifest.expires.map(|expires| expires.since_ms(step.now).div_ceil(HOUR_MS));
        let hours = left_hours.map_or(UPLOAD_HOURS, |hours| u32::try_from(hours).unwrap_or(UPLOAD_HOURS).max(1));
        let (stop, stopped) = watch::channel(());
        let done = Arc::new(AtomicU64::new(0));
        let leaving = Leaving {
            home,
            keys: upload.keys(),
            charge: upload.token.and_then(|token| self.mailbox_of(row.peer).map(|mailbox| (mailbox, token))),
            hours: hours.min(UPLOAD_HOURS),
            cipher: ChunkCipher::new(row.manifest.key.to_key(), file, geometry),
            leaves: Arc::new(leaves),
            path: path.into(),
            done: done.clone(),
            stop: stopped,
        };
        self.files.attempts = self.files.attempts.saturating_add(1);
        let attempt = self.files.attempts;
        self.files.uploading.insert(file, Uploading { attempt, done, told: 0, _stop: stop });
        let next = Instant::now() + Duration::from_millis(PROGRESS_EVERY_MS);
        self.files.next_progress.get_or_insert(next);
        self.wake_at(next);
        let net = self.net.clone();
        step.work(async move {
            let result = leave(leaving, net).await;
            Work::File(FileWork::Left { file, at, attempt, result })
        });
    }

    fn mailbox_of(&self, account: AccountId) -> Option<MailboxId> {
        let record = self.contacts.get(&account)?.record()?;
        record.mailbox().map(|descriptor| descriptor.mailbox_id())
    }

    /// An upload has ended.
    pub(super) fn left(
        &mut self,
        step: &mut Step<'_>,
        file: FileId,
        at: usize,
        attempt: u64,
        result: Result<(), LeaveError>,
    ) {
        if self.files.uploading.get(&file).is_none_or(|uploading| uploading.attempt != attempt) {
            return;
        }
        self.files.uploading.remove(&file);
        self.files.look_again();
        match result {
            Ok(()) => self.is_left(step, file, at),
            Err(LeaveError::Source(SourceError::Changed | SourceError::Missing)) => {
                self.source_changed(step, file);
            }
            Err(error) if error.passes() => {
                let pause = self.files.pauses.entry(file).or_default();
                let wait = RETRY_FIRST_MS.saturating_mul(1 << pause.failures.min(16)).min(RETRY_MAX_MS);
                pause.failures = pause.failures.saturating_add(1);
                let until = Instant::now() + Duration::from_millis(wait);
                pause.until = Some(until);
                self.wake_at(until);
            }
            // Refused before the room was paid for: what pays for it is kept, and used again.
            Err(error @ (LeaveError::Full | LeaveError::TooLarge)) => self.no_room(step, file, at, &error),
            Err(error) => {
                // This node does not take it; perhaps the next one.
                if let Some(row) = self.files.rows.get_mut(&file) {
                    if at < row.uploads.len() {
                        row.uploads.remove(at);
                    }
                    step.files.insert(file);
                    if row.uploads.is_empty() {
                        // Not tried again by itself: it waits for the recipient to come.
                        self.files.pauses.entry(file).or_default().until =
                            Some(Instant::now() + Duration::from_millis(HOUR_MS));
                        self.not_left(step, file, &sentence(&error.to_string()));
                    }
                }
            }
        }
    }

    /// A file is at no node: the person is told once, and can try again or wait until both are there.
    fn not_left(&mut self, step: &mut Step<'_>, file: FileId, why: &str) {
        let reason = format!("{why} {GOES_OVER_LATER}");
        if self.files.rows.get(&file).is_none_or(|row| row.reason.as_ref() == Some(&reason)) {
            return;
        }
        self.set_file_state(step, file, FileState::Shared, Some(reason.clone()));
        step.tell(Event::FileFailed { file_id: file.to_string(), direction: Direction::Upload, reason });
    }

    /// An own file is not what it was when it was shared: nobody gets it, and the person is told.
    pub(super) fn source_changed(&mut self, step: &mut Step<'_>, file: FileId) {
        if self.files.rows.get(&file).is_some_and(|row| row.mine) {
            let text = "The file was changed or moved after it was shared. Share it again.";
            self.set_file_state(step, file, FileState::Changed, Some(text.to_owned()));
        }
    }

    /// A node has no room for a file: the other ones are tried, and all of them again after a while.
    fn no_room(&mut self, step: &mut Step<'_>, file: FileId, at: usize, error: &LeaveError) {
        let Some(row) = self.files.rows.get_mut(&file) else { return };
        to_the_end(&mut row.uploads, at);
        let waiting = row.uploads.iter().filter(|upload| !upload.done).count();
        let nowhere = row.uploads.iter().all(|upload| !upload.done);
        step.files.insert(file);
        let pause = self.files.pauses.entry(file).or_default();
        pause.refusals = pause.refusals.saturating_add(1);
        if (pause.refusals as usize) < waiting {
            return;
        }
        let until = Instant::now() + Duration::from_millis(HOUR_MS);
        (pause.refusals, pause.until) = (0, Some(until));
        self.wake_at(until);
        if nowhere {
            self.not_left(step, file, &sentence(&error.to_string()));
        }
    }

    /// A file is whole at a node: the recipient is told.
    fn is_left(&mut self, step: &mut Step<'_>, file: FileId, at: usize) {
        self.files.pauses.remove(&file);
        let Some(row) = self.files.rows.get_mut(&file) else { return };
        if let Some(upload) = row.uploads.get_mut(at) {
            upload.done = true;
        }
        row.places = row.uploads.iter().filter(|upload| upload.done).map(Upload::place).collect();
        step.files.insert(file);
        self.set_file_state(step, file, FileState::Shared, None);
        match self.tell_places(step, file) {
            Ok(id) => drop(self.files.announcing.insert(id, file)),
            Err(error) => tracing::debug!(%error, "the recipient is not told where the file waits"),
        }
    }

    /// Says where an own file waits, to those who may fetch it. Names the message that says it.
    fn tell_places(&mut self, step: &mut Step<'_>, file: FileId) -> Result<MessageId, ApiError> {
        let row = self.files.rows.get(&file).ok_or_else(|| ApiError::not_found("There is no such file."))?;
        let (peer, group) = (row.peer, row.group);
        let body = content(FileControl::Stored { file, places: row.places.clone() })?;
        let id = MessageId::random(&mut rng());
        match group {
            Some(group) => self.say(step, group, id, body)?,
            None => drop(self.enqueue(step, peer, id, body, false)?),
        }
        Ok(id)
    }

    /// The person wants an own file left at nodes, and not only when it is tried again by itself.
    pub(super) fn retry_upload(&mut self, step: &mut Step<'_>, file: FileId) -> Result<Done, ApiError> {
        if let Some(text) = self.files.rows.get(&file).and_then(|row| self.why_not_left(step, row)) {
            return Err(ApiError::new(ErrorKind::Conflict, text));
        }
        self.files.pauses.remove(&file);
        self.set_file_state(step, file, FileState::Shared, None);
        self.files.look_again();
        Ok(Done {})
    }

    /// Why there is nothing to leave of an own file.
    fn why_not_left(&self, step: &Step<'_>, row: &FileRow) -> Option<&'static str> {
        if row.state == FileState::Changed {
            Some("The file was changed or moved after it was shared. Share it again.")
        } else if row.manifest.size > self.settings.upload_max_bytes {
            Some("The file is longer than what is left at rendezvous nodes: see the setting upload_max_bytes.")
        } else if row.group.is_none() && !row.downloaded_by.is_empty() {
            Some("The file was fetched already.")
        } else if !row.uploads.is_empty() && row.uploads.iter().all(|upload| upload.done) {
            Some("The file waits at rendezvous nodes already.")
        } else if step.now.since_ms(row.at) > u64::from(UPLOAD_HOURS).saturating_mul(HOUR_MS) {
            Some("The file was shared more than a week ago. Share it again.")
        } else {
            None
        }
    }

    /// The person wants an own file at no node: what lies there already goes. Whoever may have it still can
    /// fetch it from here.
    pub(super) fn cancel_upload(&mut self, step: &mut Step<'_>, file: FileId) -> Result<Done, ApiError> {
        let is_on_its_way = |row: &&mut FileRow| row.uploads.iter().any(|upload| !upload.done);
        let Some(row) = self.files.rows.get_mut(&file).filter(is_on_its_way) else {
            let text = "Nothing of this file is on its way to a rendezvous node. To take it back, use files.delete.";
            return Err(ApiError::new(ErrorKind::Conflict, text));
        };
        let was = row.clone();
        (row.uploads, row.places) = (Vec::new(), Vec::new());
        self.remove_uploads(step, &was);
        self.files.pauses.remove(&file);
        self.files.announcing.retain(|_, announced| *announced != file);
        let reason = format!("It is left at no rendezvous node. {GOES_OVER_LATER}");
        self.set_file_state(step, file, FileState::Cancelled, Some(reason));
        if !was.places.is_empty()
            && let Err(error) = self.tell_places(step, file)
        {
            tracing::debug!(%error, "the recipient is not told that the file waits nowhere any more");
        }
        self.files.look_again();
        Ok(Done {})
    }

    /// A message is under way: if it says where a file waits, this device may go now.
    pub(in crate::engine) fn file_announced(&mut self, step: &mut Step<'_>, message: MessageId) {
        if let Some(file) = self.files.announcing.remove(&message) {
            let file_id = file.to_string();
            step.tell(Event::FileCompleted { file_id, direction: Direction::Upload, downloaded: None });
        }
    }

    /// Groups have changed: what says in them where a file waits may be with all, or in their logs.
    pub(super) fn groups_announced(&mut self, step: &mut Step<'_>) {
        let waits = |message: MessageId, group: GroupId| {
            let held = self.groups.get(&group).into_iter().flat_map(|held| &held.row.unacknowledged);
            held.into_iter().any(|told| told.message == message && !told.logged)
        };
        let group_of = |file: FileId| self.files.rows.get(&file).and_then(|row| row.group);
        let announced = self.files.announcing.iter().map(|(message, file)| (*message, group_of(*file)));
        let under_way = announced.filter(|(message, group)| group.is_some_and(|group| !waits(*message, group)));
        for message in under_way.map(|(message, _)| message).collect::<Vec<_>>() {
            self.file_announced(step, message);
        }
    }

    /// How far uploads have come.
    pub(super) fn tell_uploads(&mut self, step: &mut Step<'_>) {
        for (file, uploading) in &mut self.files.uploading {
            let done = uploading.done.load(Ordering::Relaxed);
            let Some(row) = self.files.rows.get(file).filter(|_| done != uploading.told) else { continue };
            uploading.told = done;
            step.tell(Event::FileProgress {
                file_id: file.to_string(),
                direction: Direction::Upload,
                bytes_done: done,
                bytes_total: row.manifest.size,
            });
        }
    }
}

/// Lets all the others go before one.
fn to_the_end(uploads: &mut [Upload], at: usize) {
    if let Some(later) = uploads.get_mut(at..).filter(|later| !later.is_empty()) {
        later.rotate_left(1);
    }
}

#[cfg(test)]
mod tests {
    use secure_chat_protocol::wire::codec::Fixed;

    use super::*;

    #[test]
    fn a_node_without_room_is_tried_after_the_others_with_the_same_token() {
        let upload = |home: &str, token| Upload {
            home: home.to_owned(),
            seed: Fixed([1; 32]),
            token: Some(Fixed([token; 32])),
            done: false,
        };
        let mut uploads = vec![upload("full", 7), upload("other", 8)];
        to_the_end(&mut uploads, 0);
        let order: Vec<_> = uploads.iter().map(|upload| (upload.home.as_str(), upload.token)).collect();
        assert_eq!(order, [("other", Some(Fixed([8; 32]))), ("full", Some(Fixed([7; 32])))]);
        to_the_end(&mut uploads, 5);
        assert_eq!(uploads.len(), 2);
    }
}
