//! What waits at rendezvous nodes and is to go: each node is asked until it says that it has deleted it, also
//! in another life of this peer. What it does not delete expires there.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use secure_chat_protocol::id::FileId;
use secure_chat_protocol::limits::HOUR_MS;

use super::FileWork;
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::engine::work::Work;
use crate::files::limits::{
    DOOMED_AGAIN_MS, DOOMED_AT_ONCE_MAX, DOOMED_RETRY_MAX_MS, FILES_MAX, RETRY_FIRST_MS, UPLOAD_HOURS,
};
use crate::files::row::{DoomedRow, FileRow, Upload, doomed_key};
use crate::files::upload::delete;
use crate::network::parse_rendezvous;
use crate::store::Table;

/// All of it.
#[derive(Default)]
pub(super) struct Doomed {
    rows: BTreeMap<FileId, DoomedRow>,
    /// Nodes are asked about these now.
    asked: HashSet<FileId>,
    failures: u32,
    pub(super) next: Option<Instant>,
}

impl Doomed {
    /// As the vault has it.
    pub(super) fn new(rows: BTreeMap<FileId, DoomedRow>) -> Self {
        let next = (!rows.is_empty()).then(Instant::now);
        Self { rows, next, ..Self::default() }
    }

    fn come_back_in(&mut self, wait_ms: u64) -> Instant {
        let at = Instant::now() + Duration::from_millis(wait_ms);
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
        at
    }
}

impl Open {
    /// Deletes what waits at nodes.
    pub(super) fn remove_uploads(&mut self, step: &mut Step<'_>, row: &FileRow) {
        // What an upload that ends now has on the line may come to the node after the word that it is to go.
        let again = self.files.uploading.remove(&row.id()).is_some();
        if row.uploads.is_empty() {
            return;
        }
        let until = step.now.plus_ms(u64::from(UPLOAD_HOURS).saturating_mul(HOUR_MS));
        let doomed = DoomedRow { file: row.id(), uploads: row.uploads.clone(), until, again };
        if self.files.doomed.rows.len() < FILES_MAX {
            self.files.doomed.rows.insert(row.id(), doomed.clone());
            self.store_doomed(step, row.id());
        }
        self.ask_to_delete(step, doomed);
    }

    fn store_doomed(&self, step: &mut Step<'_>, file: FileId) {
        match self.files.doomed.rows.get(&file).map(DoomedRow::encode) {
            Some(Ok(bytes)) => step.txn.put(Table::Files, &doomed_key(file), &bytes),
            Some(Err(error)) => tracing::error!(%error, "what is to be deleted can't be encoded"),
            None => step.txn.delete(Table::Files, &doomed_key(file)),
        }
    }

    fn ask_to_delete(&mut self, step: &mut Step<'_>, doomed: DoomedRow) {
        let (file, net) = (doomed.file, self.net.clone());
        self.files.doomed.asked.insert(file);
        step.work(async move {
            let mut left = Vec::new();
            for upload in doomed.uploads {
                // An address that is none was never left anything at.
                let Ok(home) = parse_rendezvous(&upload.home) else { continue };
                if !delete(home, &upload.keys(), upload.token.is_some(), &net).await {
                    left.push(upload);
                }
            }
            Work::File(FileWork::Removed { file, left })
        });
    }

    /// Nodes were asked to delete something; some did not.
    pub(super) fn removed(&mut self, step: &mut Step<'_>, file: FileId, left: Vec<Upload>) {
        let doomed = &mut self.files.doomed;
        doomed.asked.remove(&file);
        let Some(row) = doomed.rows.get_mut(&file) else { return };
        let wait_ms = if !left.is_empty() {
            if !row.again {
                row.uploads = left;
            }
            let wait = RETRY_FIRST_MS.saturating_mul(1 << doomed.failures.min(16)).min(DOOMED_RETRY_MAX_MS);
            doomed.failures = doomed.failures.saturating_add(1);
            wait
        } else {
            doomed.failures = 0;
            if !std::mem::take(&mut row.again) {
                doomed.rows.remove(&file);
                return self.store_doomed(step, file);
            }
            DOOMED_AGAIN_MS
        };
        let at = doomed.come_back_in(wait_ms);
        self.wake_at(at);
        self.store_doomed(step, file);
    }

    /// Asks again, when it is time.
    pub(super) fn tend_doomed(&mut self, step: &mut Step<'_>) {
        if self.files.doomed.next.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.files.doomed.next = None;
        let (now, doubtful) = (step.now, self.clock.is_doubtful());
        let over = |row: &&DoomedRow| !doubtful && row.until <= now;
        let over: Vec<FileId> = self.files.doomed.rows.values().filter(over).map(|row| row.file).collect();
        for file in over {
            self.files.doomed.rows.remove(&file);
            self.store_doomed(step, file);
        }
        let Doomed { rows, asked, .. } = &self.files.doomed;
        let room = DOOMED_AT_ONCE_MAX.saturating_sub(asked.len());
        let idle = rows.values().filter(|row| !asked.contains(&row.file));
        let due: Vec<DoomedRow> = idle.take(room).cloned().collect();
        if rows.len() > asked.len().saturating_add(due.len()) {
            let at = self.files.doomed.come_back_in(RETRY_FIRST_MS);
            self.wake_at(at);
        }
        for row in due {
            self.ask_to_delete(step, row);
        }
    }
}
