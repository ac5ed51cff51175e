//! Files that were shared, how far they are, and what is about to be shared.

use std::collections::HashMap;

use secure_chat_node::api::ErrorKind;
use secure_chat_node::files::limits::CONFIRM_ABOVE_BYTES;
use serde::Deserialize;
use serde_json::Value;

use super::{State, Tone};
use crate::ask::Ask;
use crate::ask::files::{self as ask, Answer, Deed, File, Share};
use crate::strings::tr;
use crate::text::Clock;

/// The speed is that of this time, in milliseconds.
const SPEED_OVER_MS: u64 = 3_000;

/// How far a transfer is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) done: u64,
    pub(crate) total: u64,
    /// Bytes a second; 0 until it is known.
    pub(crate) speed: u64,
    /// It goes from here to a rendezvous node, and doesn't come.
    pub(crate) upload: bool,
    measured: Option<(u64, u64)>,
}

impl Progress {
    /// So many bytes are there now.
    pub(crate) fn at(&mut self, done: u64, total: u64, now_ms: u64) {
        let (since_ms, since_done) = *self.measured.get_or_insert((now_ms, done));
        let passed_ms = now_ms.saturating_sub(since_ms);
        if passed_ms > 0 && done >= since_done {
            self.speed = (done - since_done).saturating_mul(1_000) / passed_ms;
        }
        if passed_ms >= SPEED_OVER_MS || done < since_done {
            self.measured = Some((now_ms, done));
        }
        (self.done, self.total) = (done, total);
    }

    /// Milliseconds until all is there, where the speed is known.
    pub(crate) fn left_ms(&self) -> Option<u64> {
        let left = self.total.saturating_sub(self.done);
        (self.speed > 0).then(|| left.saturating_mul(1_000) / self.speed)
    }

    /// From 0 to 1.
    pub(crate) fn share(&self) -> f32 {
        if self.total == 0 { 0.0 } else { (self.done as f64 / self.total as f64).clamp(0.0, 1.0) as f32 }
    }
}

/// Which files are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Source {
    #[default]
    All,
    Personal,
    Groups,
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Order {
    #[default]
    Newest,
    Name,
    Largest,
    ExpiresSoon,
}

/// The files tab.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) list: Vec<File>,
    pub(crate) loaded: bool,
    /// The list is being read; and whether it has to be read once more after that.
    reading: bool,
    stale: bool,
    pub(crate) source: Source,
    pub(crate) order: Order,
    pub(crate) query: String,
    pub(crate) progress: HashMap<String, Progress>,
    /// A file is being shared, or why it was not.
    pub(crate) sharing: Option<Result<(), String>>,
    /// What was shared last, by its path.
    asked: String,
    /// The path of a file that is shared only after the person said once more that it is meant.
    pub(crate) unconfirmed: Option<String>,
    /// Why a file could not be fetched.
    pub(crate) errors: HashMap<String, String>,
    /// Where files were saved.
    pub(crate) saved: HashMap<String, String>,
}

impl Files {
    /// The file of this id.
    pub(crate) fn get(&self, file_id: &str) -> Option<&File> {
        self.list.iter().find(|file| file.file_id == file_id)
    }

    /// The files to show, in their order.
    pub(crate) fn shown(&self) -> Vec<&File> {
        let query = self.query.trim().to_lowercase();
        let mut shown: Vec<&File> = self
            .list
            .iter()
            .filter(|file| match self.source {
                Source::All => true,
                Source::Personal => file.group_id.is_none(),
                Source::Groups => file.group_id.is_some(),
            })
            .filter(|file| {
                query.is_empty()
                    || file.name.to_lowercase().contains(&query)
                    || file.from.to_lowercase().contains(&query)
            })
            .collect();
        match self.order {
            Order::Newest => shown.sort_by_key(|file| std::cmp::Reverse(file.at)),
            Order::Name => shown.sort_by_key(|file| file.name.to_lowercase()),
            Order::Largest => shown.sort_by_key(|file| std::cmp::Reverse(file.size)),
            Order::ExpiresSoon => shown.sort_by_key(|file| (file.expires_at.is_none(), file.expires_at)),
        }
        shown
    }

    fn put(&mut self, file: File) {
        match self.list.iter_mut().find(|known| known.file_id == file.file_id) {
            Some(known) => *known = file,
            None => self.list.push(file),
        }
    }
}

/// Whether a file of this name can run something when it is opened.
pub(crate) fn is_risky(name: &str) -> bool {
    const RISKY: &[&str] = &[
        "apk", "app", "appimage", "bat", "cmd", "com", "cpl", "deb", "desktop", "dmg", "docm", "exe", "gadget", "hta",
        "html", "iso", "jar", "js", "lnk", "msi", "pif", "pkg", "ps1", "py", "reg", "rpm", "scr", "sh", "svg", "vbs",
        "wsf", "xlsm",
    ];
    let extension = name.trim_end_matches(['.', ' ']).rsplit_once('.').map_or("", |(_, extension)| extension);
    RISKY.iter().any(|risky| extension.eq_ignore_ascii_case(risky))
}

/// Whether a file is so long that the node asks once more before it moves it.
pub(crate) fn is_very_long(bytes: u64) -> bool {
    bytes > CONFIRM_ABOVE_BYTES
}

/// What the events about a transfer say.
#[derive(Deserialize)]
struct Told {
    file_id: String,
    #[serde(default)]
    bytes_done: u64,
    #[serde(default)]
    bytes_total: u64,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    mine: bool,
    #[serde(default)]
    direction: Option<String>,
}

impl State {
    /// Reads the list of files, where the node has files.
    pub(super) fn read_files(&mut self, asks: &mut Vec<Ask>) {
        // However much happens at once: one reading is under way, and at most one more follows.
        if std::mem::replace(&mut self.files.reading, true) {
            self.files.stale = true;
        } else {
            asks.push(ask::Ask::List.into());
        }
    }

    /// Something happened to a file; `kind` is the type of the event.
    pub(crate) fn file_event(&mut self, kind: &str, event: &Value, clock: Clock, asks: &mut Vec<Ask>) {
        let Ok(told) = Told::deserialize(event) else { return self.read_files(asks) };
        let name = || {
            let known = self.files.list.iter().find(|file| file.file_id == told.file_id);
            told.name.clone().or_else(|| known.map(|file| file.name.clone())).unwrap_or_default()
        };
        match kind {
            "file.progress" => {
                let progress = self.files.progress.entry(told.file_id.clone()).or_default();
                progress.upload = told.direction.as_deref() == Some("upload");
                progress.at(told.bytes_done, told.bytes_total, clock.now_ms);
                // The state of the row came with the beginning of the transfer.
                return if self.files.list.iter().any(|file| file.file_id == told.file_id) {
                } else {
                    self.read_files(asks);
                };
            }
            "file.shared" => {
                if let Ok(file) = File::deserialize(event) {
                    if !file.mine && !told.mine {
                        let from = told.from.as_deref().unwrap_or(&file.from);
                        let words = (tr().file_came)(from, &file.name);
                        self.notices.toast(Tone::Plain, words, clock.now_ms);
                    }
                    self.files.put(file);
                }
            }
            // What was left at a rendezvous node is not told: the row says so.
            "file.completed" if told.direction.as_deref() == Some("upload") => {
                self.files.progress.remove(&told.file_id);
                self.files.errors.remove(&told.file_id);
            }
            "file.completed" => {
                self.notices.toast(Tone::Good, (tr().file_completed)(&name()), clock.now_ms);
                self.files.progress.remove(&told.file_id);
                self.files.errors.remove(&told.file_id);
            }
            "file.failed" => {
                let reason = told.reason.clone().unwrap_or_else(|| tr().file_failed.to_owned());
                self.files.progress.remove(&told.file_id);
                self.files.errors.insert(told.file_id.clone(), reason);
            }
            "file.downloaded" => {
                if let Some(by) = &told.username {
                    self.notices.toast(Tone::Plain, (tr().file_downloaded_by)(by, &name()), clock.now_ms);
                }
            }
            "file.deleted" => self.files.list.retain(|file| file.file_id != told.file_id),
            _ => {}
        }
        self.read_files(asks);
    }

    pub(super) fn files_answer(&mut self, answer: Answer, clock: Clock, asks: &mut Vec<Ask>) {
        match answer {
            Answer::Preview { file_id, picture } => self.previews.came(&file_id, picture),
            Answer::List(result) => {
                self.files.reading = false;
                if std::mem::take(&mut self.files.stale) {
                    self.read_files(asks);
                }
                if let Some(list) = self.toast_error(result, clock) {
                    let moving = |file: &File| matches!(file.state.as_str(), "downloading" | "paused" | "waiting");
                    // Of an upload no state tells: its events do, until it ends.
                    let is_moving = |id: &String, progress: &Progress| {
                        let file = list.iter().find(|file| file.file_id == *id);
                        file.is_some_and(|file| moving(file) || (progress.upload && file.state == "shared"))
                    };
                    self.files.progress.retain(|id, progress| is_moving(id, progress));
                    for file in list.iter().filter(|file| moving(file)) {
                        let progress = self.files.progress.entry(file.file_id.clone()).or_default();
                        (progress.done, progress.total) = (file.bytes_done.max(progress.done), file.size);
                    }
                    self.files.list = list;
                    self.files.loaded = true;
                }
            }
            Answer::Shared(Ok(())) => {
                self.files.sharing = None;
                self.overlay = None;
                self.notices.toast(Tone::Good, tr().file_shared, clock.now_ms);
                self.read_files(asks);
                // No event tells of one's own message: its place in the conversation is read.
                self.read_end(asks);
                self.share_next(asks);
            }
            Answer::Shared(Err(error)) if error.kind == ErrorKind::ConfirmationRequired => {
                self.files.sharing = None;
                self.files.unconfirmed = Some(self.files.asked.clone());
            }
            Answer::Shared(Err(error)) => self.files.sharing = Some(Err(error.message)),
            Answer::Downloaded { file_id, result } => {
                self.files.progress.remove(&file_id);
                match result {
                    Ok(path) => {
                        self.files.errors.remove(&file_id);
                        if let Some(path) = path {
                            self.notices.toast(Tone::Good, (tr().file_saved)(&path), clock.now_ms);
                            self.files.saved.insert(file_id, path);
                        }
                    }
                    Err(error) => {
                        self.files.errors.insert(file_id, error.message);
                    }
                }
                self.read_files(asks);
            }
            Answer::Done { file_id, deed, result } => {
                if self.toast_error(result, clock).is_some() {
                    self.files.errors.remove(&file_id);
                    if matches!(deed, Deed::Cancel | Deed::Delete) {
                        self.files.progress.remove(&file_id);
                    }
                }
                self.read_files(asks);
            }
        }
    }

    /// Shares a file.
    pub(super) fn share(&mut self, share: Share, asks: &mut Vec<Ask>) {
        self.files.sharing = Some(Ok(()));
        self.files.asked.clone_from(&share.path);
        asks.push(ask::Ask::Share(share).into());
    }

    /// Fetches a file to `path`, or to where the settings say.
    pub(super) fn download(&mut self, file_id: String, path: Option<String>, confirm: bool, asks: &mut Vec<Ask>) {
        self.files.errors.remove(&file_id);
        let file = self.files.get(&file_id);
        // A copy of what is here already is made at once.
        if !file.is_some_and(File::is_kept) {
            let total = file.map_or(0, |file| file.size);
            self.files.progress.insert(file_id.clone(), Progress { total, ..Progress::default() });
        }
        asks.push(ask::Ask::Download { file_id, path, confirm }.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_what_came_in_over_the_last_seconds() {
        let mut progress = Progress::default();
        progress.at(0, 10_000, 1_000);
        assert_eq!(progress.left_ms(), None);
        progress.at(2_000, 10_000, 2_000);
        assert_eq!((progress.speed, progress.left_ms()), (2_000, Some(4_000)));
        assert!((progress.share() - 0.2).abs() < 0.001);
    }

    #[test]
    fn a_file_that_runs_is_risky_whatever_its_name_looks_like() {
        for name in ["setup.EXE", "invoice.pdf.exe", "photo.jpg.scr", "run.sh", "a.js. "] {
            assert!(is_risky(name), "{name}");
        }
        for name in ["photo.jpg", "notes", "exe", "report.pdf"] {
            assert!(!is_risky(name), "{name}");
        }
    }
}
