//! How a transfer ends: whole, to be tried again, given up, or later than somebody wanted.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use secure_chat_protocol::id::{FileId, MessageId};
use secure_chat_protocol::wire::transfer::{FetchRefusal, FileControl};

use super::Pause;
use super::download::target_error;
use super::share::content;
use crate::api::{ApiError, Direction, Downloaded, ErrorKind, Event, FileState, Routes};
use crate::engine::audit::Severity;
use crate::engine::state::{Open, rng};
use crate::engine::step::Step;
use crate::engine::work::Work;
use crate::files::fetch::{FetchError, Here};
use crate::files::kind::Kind;
use crate::files::limits::{RETRY_FIRST_MS, RETRY_MAX_MS};
use crate::files::row::{DiscardedRow, encode_leaves, leaves_key};
use crate::files::target::TargetError;
use crate::store::Table;

/// An author who says that they have nothing is asked so often before the transfer fails.
const REFUSALS_MAX: u32 = 6;

impl Open {
    /// A transfer has ended.
    pub(super) fn fetched(
        &mut self,
        step: &mut Step<'_>,
        file: FileId,
        attempt: u64,
        target: &Path,
        result: Result<(Here, Kind), FetchError>,
    ) {
        if self.files.running.get(&file).is_none_or(|running| running.attempt != attempt) {
            // It was paused, cancelled or deleted meanwhile.
            return self.ended_late(step, file, target, result);
        }
        let running = self.files.running.remove(&file);
        self.files.look_again();
        let liars = running.as_ref().map(|running| running.progress.liars()).unwrap_or_default();
        let holders = running.as_ref().map(|running| running.progress.holders()).unwrap_or_default();
        let done = running.as_ref().map_or(0, |running| running.progress.done.load(Ordering::Relaxed));
        let came = running.map(|running| running.progress.routes()).unwrap_or_default();
        let in_vain = came == Routes::default() || !liars.is_empty();
        for liar in liars {
            let text = "Somebody who hands a file on sent something else. It was thrown away, and others are asked.";
            self.alert(step, "file.forged", Severity::Warning, Some(liar), text);
        }
        if let Some(pause) = self.files.pauses.get_mut(&file).filter(|_| !in_vain) {
            // It was not in vain: the next wait is a short one again.
            *pause = Pause::default();
        }
        let before = self.files.routes.remove(&file).unwrap_or_default();
        let routes = before.plus(came);
        match &result {
            // Nothing was kept of it.
            Ok(_) | Err(FetchError::Corrupt | FetchError::Target(TargetError::NotTaken(_))) => {
                self.files.reached.remove(&file);
            }
            Err(_) => {
                let reached = self.files.reached.entry(file).or_default();
                *reached = done.max(*reached);
            }
        }
        if result.is_err() {
            self.files.routes.insert(file, routes);
        }
        match result {
            Ok((here, kind)) => self.completed(step, file, here, kind, (routes, holders)),
            Err(FetchError::Stopped) => self.set_file_state(step, file, FileState::Waiting, None),
            Err(FetchError::NoHolder) => self.try_later(step, file, false),
            Err(FetchError::Refused(FetchRefusal::Busy | FetchRefusal::Unreadable)) => {
                self.try_later(step, file, false)
            }
            Err(FetchError::Refused(FetchRefusal::NotHere)) => self.try_later(step, file, true),
            // An attempt that was halted has not let go of it yet.
            Err(FetchError::Target(error)) if error.is_busy() => self.try_later(step, file, false),
            Err(error) => self.failed(step, file, &error),
        }
    }

    /// An attempt that was halted has ended: perhaps it was whole before it heard of that, perhaps
    /// something of it was left after all was removed.
    fn ended_late(
        &mut self,
        step: &mut Step<'_>,
        file: FileId,
        target: &Path,
        result: Result<(Here, Kind), FetchError>,
    ) {
        self.files.look_again();
        let row = self.files.rows.get(&file);
        let lies_at = row.and_then(|row| row.path.as_deref()).map(Path::new);
        let is_wanted = lies_at == Some(target) && self.is_under_way(file);
        let is_here = row.is_some_and(|row| row.state == FileState::Completed);
        match result {
            Ok((here, kind)) if is_wanted => {
                self.files.running.remove(&file);
                let routes = self.files.routes.remove(&file).unwrap_or_default();
                self.completed(step, file, here, kind, (routes, 0));
            }
            Ok((here, _)) if here.was_put && !(is_here && lies_at == Some(&here.path)) => {
                self.remove_put(step, here.path);
            }
            Err(_) if !is_wanted => {
                let path = target.to_string_lossy().into_owned();
                self.discard(step, DiscardedRow { file, path, grew: true });
            }
            _ => {}
        }
    }

    /// Removes a file that was put in its place when nobody wanted it any more.
    fn remove_put(&self, step: &mut Step<'_>, path: PathBuf) {
        step.work(async move {
            if let Err(error) = tokio::fs::remove_file(path).await {
                tracing::debug!(%error, "a file that is not wanted any more could not be removed");
            }
            Work::Tried
        });
    }

    fn completed(
        &mut self,
        step: &mut Step<'_>,
        file: FileId,
        here: Here,
        kind: Kind,
        (routes, holders): (Routes, usize),
    ) {
        self.files.pauses.remove(&file);
        self.files.resumed.remove(&file);
        self.files.reached.remove(&file);
        let Some(row) = self.files.rows.get_mut(&file) else { return };
        // Whoever hands a group's file on needs them.
        if let Some(Ok(bytes)) = here.leaves.filter(|_| row.group.is_some()).map(encode_leaves) {
            step.txn.put(Table::Files, &leaves_key(file), &bytes);
        }
        let path = here.path.to_string_lossy().into_owned();
        row.path = Some(path.clone());
        row.warning = kind.warning.clone();
        let (from, bytes, sha256) = (row.peer, row.manifest.size, FileId(row.manifest.sha256.0).to_string());
        self.set_file_state(step, file, FileState::Completed, None);
        step.files.insert(file);
        if let Some(row) = self.files.rows.get(&file) {
            self.files.shelve(row);
            self.count_at_nodes(step, row, routes);
        }
        let told = content(FileControl::Downloaded { file })
            .and_then(|body| self.enqueue(step, from, MessageId::random(&mut rng()), body, false));
        if let Err(error) = told {
            tracing::debug!(%error, "the sender is not told that the file arrived");
        }
        let downloaded = Downloaded { bytes, sha256, path, routes, holders, warning: kind.warning };
        step.tell(Event::FileCompleted {
            file_id: file.to_string(),
            direction: Direction::Download,
            downloaded: Some(downloaded.clone()),
        });
        let text = "A file was downloaded, and is what was announced.";
        self.audit_about(step, "file.downloaded", Severity::Info, Some(from.to_string()), text);
        self.answer_waiters(step, file, &Ok(downloaded));
    }

    pub(super) fn answer_waiters(&mut self, step: &mut Step<'_>, file: FileId, result: &Result<Downloaded, ApiError>) {
        for waiter in self.files.waiters.remove(&file).unwrap_or_default() {
            step.reply(waiter, result.clone());
        }
    }

    fn try_later(&mut self, step: &mut Step<'_>, file: FileId, refused: bool) {
        let pause = self.files.pauses.entry(file).or_default();
        let wait = RETRY_FIRST_MS.saturating_mul(1 << pause.failures.min(16)).min(RETRY_MAX_MS);
        pause.failures = pause.failures.saturating_add(1);
        pause.refusals = if refused { pause.refusals.saturating_add(1) } else { 0 };
        let at = Instant::now() + Duration::from_millis(wait);
        pause.until = Some(at);
        if pause.refusals >= REFUSALS_MAX {
            return self.failed(step, file, &FetchError::Refused(FetchRefusal::NotHere));
        }
        self.set_file_state(step, file, FileState::Waiting, None);
        self.wake_at(at);
    }

    fn failed(&mut self, step: &mut Step<'_>, file: FileId, error: &FetchError) {
        self.files.pauses.remove(&file);
        let subject = self.files.rows.get(&file).map(|row| row.peer.to_string());
        let api = match error {
            FetchError::Target(error) => {
                let mut api = target_error(error);
                api.message.push_str(match error {
                    TargetError::NotTaken(_) => " It begins anew: retry when that is mended.",
                    _ => " What came so far is kept: retry when that is mended.",
                });
                api
            }
            FetchError::Refused(FetchRefusal::Changed) => ApiError::new(
                ErrorKind::Conflict,
                "The sender's file was changed after it was shared. Ask for it to be shared again.",
            ),
            FetchError::Lied | FetchError::Corrupt => {
                let text = "What was sent as a file is not what was announced. It was thrown away.";
                self.alert(step, "file.forged", Severity::Warning, subject, text);
                ApiError::new(ErrorKind::Conflict, text)
            }
            FetchError::Refused(_) | FetchError::NoHolder | FetchError::Stopped => {
                ApiError::new(ErrorKind::NotConnected, "The sender does not hand the file over. Retry later.")
            }
        };
        if let Some(row) = self.files.rows.get(&file).filter(|_| matches!(error, FetchError::Corrupt)).cloned() {
            self.remove_growing(step, &row);
        }
        self.set_file_state(step, file, FileState::Failed, Some(api.message.clone()));
        step.tell(Event::FileFailed {
            file_id: file.to_string(),
            direction: Direction::Download,
            reason: api.message.clone(),
        });
        self.answer_waiters(step, file, &Err(api));
    }
}
