//! How often own files were fetched: as their readers say themselves, and as the nodes count
//! where the files wait.

use std::time::Instant;

use secure_chat_protocol::id::FileId;

use super::FileWork;
use crate::api::{Event, Routes};
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::engine::work::Work;
use crate::files::counts::{Left, count, counted};
use crate::files::fetch::Place;
use crate::files::limits::{COUNTS_AT_ONCE_MAX, COUNTS_EVERY};
use crate::files::row::FileRow;
use crate::network::parse_rendezvous;

impl Open {
    /// A file is here: where it came out of a node, the node counts it.
    pub(super) fn count_at_nodes(&self, step: &mut Step<'_>, row: &FileRow, routes: Routes) {
        // A file of which nothing came from there was not fetched there.
        let Some(place) = row.places.first().filter(|_| routes.stored > 0) else { return };
        let Ok(home) = parse_rendezvous(&place.home) else { return };
        let place = Place { home, blob: place.blob, read_token: place.read_token };
        let receipt = row.manifest.key.to_key().download_receipt(&place.blob, &self.me);
        let net = self.net.clone();
        step.work(async move {
            count(place, receipt, &net).await;
            Work::Tried
        });
    }

    /// Asks the nodes, from time to time.
    pub(super) fn ask_counts(&mut self, step: &mut Step<'_>) {
        let now = Instant::now();
        if self.files.next_counts.is_some_and(|at| at > now) {
            return;
        }
        self.files.next_counts = Some(now + COUNTS_EVERY);
        let waits = |row: &&FileRow| row.mine && row.uploads.iter().any(|upload| upload.done);
        let left = |row: &FileRow| {
            let uploads = row.uploads.iter().filter(|upload| upload.done);
            let known = uploads.filter_map(|upload| {
                let home = parse_rendezvous(&upload.home).ok()?;
                Some(Left { home, keys: upload.keys(), paid: upload.token.is_some() })
            });
            (row.id(), known.collect::<Vec<_>>())
        };
        let asked: Vec<_> = self.files.rows.values().filter(waits).map(left).take(COUNTS_AT_ONCE_MAX).collect();
        for (file, left) in asked {
            let net = self.net.clone();
            step.work(async move {
                let downloads = counted(left, &net).await;
                Work::File(FileWork::Counted { file, downloads })
            });
        }
    }

    /// Nodes have counted so many downloads.
    pub(super) fn counted(&mut self, step: &mut Step<'_>, file: FileId, downloads: u32) {
        let before = self.downloads(file);
        self.files.counted.insert(file, downloads);
        if self.downloads(file) > before
            && let Some(view) = self.file_view(file)
        {
            step.tell(Event::FileState(Box::new(view)));
        }
    }

    /// How many have fetched a file, as far as is known: whoever says so themselves is
    /// counted by the node as well.
    pub(super) fn downloads(&self, file: FileId) -> usize {
        let told = self.files.rows.get(&file).map_or(0, |row| row.downloaded_by.len());
        let counted = self.files.counted.get(&file).copied().unwrap_or_default();
        told.max(usize::try_from(counted).unwrap_or(usize::MAX))
    }
}
