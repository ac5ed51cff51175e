//! Own files that wait at rendezvous nodes for a recipient who is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::file::ChunkCipher;
use secure_chat_protocol::id::{AccountId, FileId, GroupId, MailboxId, MessageId};
use secure_chat_protocol::limits::{HOUR_MS, MANIFEST_LEAVES_MAX};
use secure_chat_protocol::sealed::TokenSeed;
use secure_chat_protocol::wire::codec::Fixed;
use secure_chat_protocol::wire::rendezvous::PresenceStatus;
use secure_chat_protocol::wire::transfer::FileControl;
use tokio::sync::watch;

use super::FileWork;
use super::share::content;
use crate::api::{Direction, Event, FileState};
use crate::engine::state::{Open, rng};
use crate::engine::step::{Step, sentence};
use crate::engine::work::Work;
use crate::files::limits::{
    PROGRESS_EVERY_MS, RETRY_FIRST_MS, RETRY_MAX_MS, UPLOAD_HOMES_MAX, UPLOAD_HOURS, UPLOADS_AT_ONCE_MAX,
};
use crate::files::row::{FileRow, Upload, stored_leaves};
use crate::files::source::SourceError;
use crate::files::upload::{LeaveError, Leaving, leave};
use crate::network::parse_rendezvous;

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
                self.plan_upload(step, file, peer);
                self.start_upload(step, file);
            }
        }
    }

    /// Where a file is to wait, and who pays for the room: noted before anything leaves.
    fn plan_upload(&mut self, step: &mut Step<'_>, file: FileId, peer: AccountId) {
        if self.files.rows.get(&file).is_none_or(|row| !row.uploads.is_empty()) {
            return;
        }
        let (mut token, mut theirs) = (None, Vec::new());
        let contact = self.contacts.get_mut(&peer).filter(|contact| !contact.homes.is_empty());
        let grant = contact.and_then(|contact| contact.tokens.as_mut().map(|grant| (grant, &contact.homes)));
        if let Some((grant, homes)) = grant.filter(|(grant, _)| grant.count > 0) {
            theirs.clone_from(homes);
            token = Some(TokenSeed::from_wire(grant.seed).token(grant.first));
            grant.first = grant.first.saturating_add(1);
            grant.count = grant.count.saturating_sub(1);
        }
        let homes = if token.is_some() { theirs } else { self.home_addresses() };
        if token.is_some() {
            step.contacts.insert(peer);
        }
        let upload =
            |home: String| Upload { home, seed: Fixed(*Secret::<32>::random(&mut rng()).expose()), token, done: false };
        let uploads = homes.into_iter().take(UPLOAD_HOMES_MAX).map(upload).collect();
        if let Some(row) = self.files.rows.get_mut(&file) {
            row.uploads = uploads;
            step.files.insert(file);
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
                        let reason = sentence(&error.to_string());
                        step.tell(Event::FileFailed {
                            file_id: file.to_string(),
                            direction: Direction::Upload,
                            reason,
                        });
                    }
                }
            }
        }
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
            let (file_id, reason) = (file.to_string(), sentence(&error.to_string()));
            step.tell(Event::FileFailed { file_id, direction: Direction::Upload, reason });
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
        let (peer, group, places) = (row.peer, row.group, row.places.clone());
        step.files.insert(file);
        let id = MessageId::random(&mut rng());
        let told = content(FileControl::Stored { file, places }).and_then(|body| match group {
            Some(group) => self.say(step, group, id, body),
            None => self.enqueue(step, peer, id, body, false).map(drop),
        });
        match told {
            Ok(()) if group.is_none() => drop(self.files.announcing.insert(id, file)),
            Ok(()) => step.tell(Event::FileCompleted {
                file_id: file.to_string(),
                direction: Direction::Upload,
                downloaded: None,
            }),
            Err(error) => tracing::debug!(%error, "the recipient is not told where the file waits"),
        }
    }

    /// A message is under way: if it says where a file waits, this device may go now.
    pub(in crate::engine) fn file_announced(&mut self, step: &mut Step<'_>, message: MessageId) {
        if let Some(file) = self.files.announcing.remove(&message) {
            let file_id = file.to_string();
            step.tell(Event::FileCompleted { file_id, direction: Direction::Upload, downloaded: None });
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
