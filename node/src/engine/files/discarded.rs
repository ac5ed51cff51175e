//! What lies on this disk of files that nobody wants any more: noted until it is gone, so that a death
//! between the decision and the deed leaves nothing for good; and how much lies there of those that are wanted.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use secure_chat_protocol::id::FileId;

use super::FileWork;
use crate::api::{Event, FileState};
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::engine::work::Work;
use crate::files::limits::FILES_MAX;
use crate::files::row::{DiscardedRow, FileRow, discarded_key};
use crate::files::target::{growing, remove_growing};
use crate::store::Table;

/// All of it.
#[derive(Default)]
pub(super) struct Discarded {
    rows: BTreeMap<FileId, DiscardedRow>,
    /// What an earlier life of this peer left was looked at.
    looked: bool,
}

impl Discarded {
    /// As the vault has it.
    pub(super) const fn new(rows: BTreeMap<FileId, DiscardedRow>) -> Self {
        Self { rows, looked: false }
    }
}

/// Whether it is gone.
fn remove(row: &DiscardedRow) -> io::Result<bool> {
    let path = PathBuf::from(&row.path);
    if row.grew {
        return remove_growing(&path, row.file);
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

impl Open {
    /// Removes what was fetched in part.
    pub(super) fn remove_growing(&mut self, step: &mut Step<'_>, row: &FileRow) {
        if let Some(path) = row.path.clone() {
            self.discard(step, DiscardedRow { file: row.id(), path, grew: true });
        }
    }

    /// Removes an encrypted copy.
    pub(super) fn remove_copy(&mut self, step: &mut Step<'_>, row: &FileRow) {
        if let Some(path) = row.path.clone() {
            self.discard(step, DiscardedRow { file: row.id(), path, grew: false });
        }
    }

    /// Notes that something is to go, and removes it once that is durable.
    pub(super) fn discard(&mut self, step: &mut Step<'_>, row: DiscardedRow) {
        let rows = &mut self.files.discarded.rows;
        if rows.len() < FILES_MAX || rows.contains_key(&row.file) {
            rows.insert(row.file, row.clone());
            match row.encode() {
                Ok(bytes) => step.txn.put(Table::Files, &discarded_key(row.file), &bytes),
                Err(error) => tracing::error!(%error, "what is to be removed can't be encoded"),
            }
        }
        step.work(async move {
            let file = row.file;
            let removing = crate::stack::spawn_blocking(move || remove(&row));
            let gone = match removing.await {
                Ok(Ok(gone)) => gone,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "what is left of a file could not be removed");
                    false
                }
                Err(_) => false,
            };
            Work::File(FileWork::Discarded { file, gone })
        });
    }

    /// It was tried to remove something. What is in use now is removed by whoever uses it; what could not be
    /// removed is tried again in the next life.
    pub(super) fn discarded(&mut self, step: &mut Step<'_>, file: FileId, gone: bool) {
        if gone && self.files.discarded.rows.remove(&file).is_some() {
            step.txn.delete(Table::Files, &discarded_key(file));
        }
    }

    /// Looks, once in a life, at what the one before left: what nobody wants goes, the rest is measured.
    pub(super) fn look_at_leftovers(&mut self, step: &mut Step<'_>) {
        if std::mem::replace(&mut self.files.discarded.looked, true) {
            return;
        }
        for row in self.files.discarded.rows.values().cloned().collect::<Vec<_>>() {
            let wanted = self.files.rows.get(&row.file).and_then(|it| it.path.as_ref()) == Some(&row.path)
                && self.is_under_way(row.file);
            if wanted {
                self.discarded(step, row.file, true);
            } else {
                self.discard(step, row);
            }
        }
        let halted = |row: &&FileRow| {
            !row.mine && matches!(row.state, FileState::Paused | FileState::Waiting | FileState::Failed)
        };
        let halted = self.files.rows.values().filter(halted);
        let targets: Vec<(FileId, PathBuf)> =
            halted.filter_map(|row| Some((row.id(), row.path.as_deref()?.into()))).collect();
        if targets.is_empty() {
            return;
        }
        step.work(async move {
            let measuring = crate::stack::spawn_blocking(move || {
                let measure = |(file, target): (FileId, PathBuf)| {
                    let length = std::fs::symlink_metadata(growing(&target, file)).ok()?.len();
                    Some((file, length))
                };
                targets.into_iter().filter_map(measure).collect()
            });
            Work::File(FileWork::Measured { lengths: measuring.await.unwrap_or_default() })
        });
    }

    /// So long are files that grow. An attempt that looks at their chunks knows it better.
    pub(super) fn measured(&mut self, step: &mut Step<'_>, lengths: Vec<(FileId, u64)>) {
        for (file, length) in lengths {
            let Some(row) = self.files.rows.get(&file).filter(|row| row.state != FileState::Completed) else {
                continue;
            };
            if self.files.running.contains_key(&file) || self.files.reached.contains_key(&file) {
                continue;
            }
            self.files.reached.insert(file, length.min(row.manifest.size));
            if let Some(view) = self.file_view(file) {
                step.tell(Event::FileState(Box::new(view)));
            }
        }
    }
}
