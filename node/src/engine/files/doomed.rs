//! What waits at rendezvous nodes and is to go: each node is asked until it says that it has deleted it, also
//! in another life of this peer. What it does not delete expires there.

use std::collections::{BTreeMap, HashMap, HashSet};
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

/// When nodes are asked about one of them, and how often that was in vain.
#[derive(Debug, Clone, Copy)]
struct Turn {
    next: Instant,
    failures: u32,
}

impl Turn {
    const fn first(now: Instant) -> Self {
        Self { next: now, failures: 0 }
    }
}

/// All of it. Each has its own turn: a node that is gone keeps nothing from being deleted at the others.
#[derive(Default)]
pub(super) struct Doomed {
    rows: BTreeMap<FileId, DoomedRow>,
    turns: HashMap<FileId, Turn>,
    /// Nodes are asked about these now.
    asked: HashSet<FileId>,
    /// When to come back.
    pub(super) next: Option<Instant>,
}

impl Doomed {
    /// As the vault has it.
    pub(super) fn new(rows: BTreeMap<FileId, DoomedRow>, now: Instant) -> Self {
        let turns = rows.keys().map(|file| (*file, Turn::first(now))).collect();
        let mut doomed = Self { rows, turns, ..Self::default() };
        doomed.find_next();
        doomed
    }

    fn find_next(&mut self) {
        // Whoever answers makes room, and the next ones are asked then.
        let room = self.asked.len() < DOOMED_AT_ONCE_MAX;
        let waiting = self.turns.iter().filter(|(file, _)| room && !self.asked.contains(file));
        self.next = waiting.map(|(_, turn)| turn.next).min();
    }

    /// One more, to be asked about at once; with what is left already of the same file.
    fn doom(&mut self, mut row: DoomedRow, now: Instant) {
        if let Some(before) = self.rows.remove(&row.file) {
            let known = |upload: &Upload| row.uploads.iter().any(|new| new.seed == upload.seed);
            let rest: Vec<_> = before.uploads.into_iter().filter(|upload| !known(upload)).collect();
            row.uploads.extend(rest);
            // What is being asked about now does not know of all of them.
            row.again |= before.again || self.asked.contains(&row.file);
            row.until = row.until.max(before.until);
        }
        self.turns.insert(row.file, Turn::first(now));
        self.rows.insert(row.file, row);
        self.find_next();
    }

    /// Those whose turn it is, the longest waiting first; and those that are over, which are left out from now on.
    fn due(&mut self, now: Instant, is_over: impl Fn(&DoomedRow) -> bool) -> (Vec<DoomedRow>, Vec<FileId>) {
        let ripe = self.turns.iter().filter(|(file, turn)| turn.next <= now && !self.asked.contains(file));
        let mut ripe: Vec<(Instant, FileId)> = ripe.map(|(file, turn)| (turn.next, *file)).collect();
        ripe.sort_unstable();
        let (mut due, mut over) = (Vec::new(), Vec::new());
        for (_, file) in ripe {
            let Some(row) = self.rows.get(&file) else { continue };
            if is_over(row) {
                over.push(file);
            } else if self.asked.len() < DOOMED_AT_ONCE_MAX {
                self.asked.insert(file);
                due.push(row.clone());
            }
        }
        over.iter().for_each(|file| self.forget(file));
        self.find_next();
        (due, over)
    }

    fn forget(&mut self, file: &FileId) {
        self.rows.remove(file);
        self.turns.remove(file);
    }

    /// Nodes were asked, and these did not delete. Whether there is something new to be kept.
    fn answered(&mut self, file: FileId, left: Vec<Upload>, now: Instant) -> bool {
        self.asked.remove(&file);
        let Some(row) = self.rows.get_mut(&file) else {
            self.find_next();
            return false;
        };
        let turn = self.turns.entry(file).or_insert(Turn::first(now));
        let (wait_ms, changed) = if !left.is_empty() {
            let fewer = !row.again && left.len() < row.uploads.len();
            if fewer {
                row.uploads = left;
            }
            let wait = RETRY_FIRST_MS.saturating_mul(1 << turn.failures.min(16)).min(DOOMED_RETRY_MAX_MS);
            turn.failures = turn.failures.saturating_add(1);
            (wait, fewer)
        } else if std::mem::take(&mut row.again) {
            turn.failures = 0;
            (DOOMED_AGAIN_MS, true)
        } else {
            self.forget(&file);
            self.find_next();
            return true;
        };
        turn.next = now + Duration::from_millis(wait_ms);
        self.find_next();
        changed
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
        if self.files.doomed.rows.len() >= FILES_MAX {
            // Too many to be kept: asked about this once.
            return self.ask_to_delete(step, doomed);
        }
        self.files.doomed.doom(doomed, Instant::now());
        self.store_doomed(step, row.id());
        self.tend_doomed(step);
    }

    fn store_doomed(&self, step: &mut Step<'_>, file: FileId) {
        match self.files.doomed.rows.get(&file).map(DoomedRow::encode) {
            Some(Ok(bytes)) => step.txn.put(Table::Files, &doomed_key(file), &bytes),
            Some(Err(error)) => tracing::error!(%error, "what is to be deleted can't be encoded"),
            None => step.txn.delete(Table::Files, &doomed_key(file)),
        }
    }

    fn ask_to_delete(&self, step: &mut Step<'_>, doomed: DoomedRow) {
        let (file, net) = (doomed.file, self.net.clone());
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
        if self.files.doomed.answered(file, left, Instant::now()) {
            self.store_doomed(step, file);
        }
        self.tend_doomed(step);
    }

    /// Asks those whose turn it is.
    pub(super) fn tend_doomed(&mut self, step: &mut Step<'_>) {
        let now = Instant::now();
        if self.files.doomed.next.is_some_and(|at| at <= now) {
            let (wall, doubtful) = (step.now, self.clock.is_doubtful());
            let (due, over) = self.files.doomed.due(now, |row| !doubtful && row.until <= wall);
            over.into_iter().for_each(|file| self.store_doomed(step, file));
            due.into_iter().for_each(|row| self.ask_to_delete(step, row));
        }
        if let Some(at) = self.files.doomed.next {
            self.wake_at(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use secure_chat_protocol::id::Timestamp;
    use secure_chat_protocol::wire::codec::Fixed;

    use super::*;

    fn upload(seed: u8) -> Upload {
        Upload { home: "gone".to_owned(), seed: Fixed([seed; 32]), token: None, done: true }
    }

    fn row(number: u8) -> DoomedRow {
        let uploads = vec![upload(number), upload(number | 0x80)];
        DoomedRow { file: FileId([number; 32]), uploads, until: Timestamp(1_000), again: false }
    }

    fn many(count: u8, now: Instant) -> Doomed {
        Doomed::new((0..count).map(|number| (FileId([number; 32]), row(number))).collect(), now)
    }

    fn never(_: &DoomedRow) -> bool {
        false
    }

    #[test]
    fn one_that_can_t_be_deleted_keeps_no_other_from_its_turn() {
        let mut now = Instant::now();
        let mut doomed = many(3 * 16, now);
        let mut asked = HashSet::new();
        // The nodes of the first 16 are gone; those of the others answer.
        while let Some(at) = doomed.next.filter(|_| asked.len() < 48) {
            assert!(at <= now, "the others wait for those that are gone");
            let (due, _) = doomed.due(now, never);
            assert!(due.len() <= DOOMED_AT_ONCE_MAX);
            for row in due {
                let left = if row.file.0[0] < 16 { row.uploads } else { Vec::new() };
                asked.insert(row.file);
                doomed.answered(row.file, left, now);
            }
            now += Duration::from_millis(1);
        }
        assert_eq!((asked.len(), doomed.rows.len()), (48, 16));
    }

    #[test]
    fn a_node_that_is_gone_is_asked_less_and_less_often_and_nothing_is_written_meanwhile() {
        let (start, mut now) = (Instant::now(), Instant::now());
        let mut doomed = many(20, now);
        let mut writes = 0;
        let mut asks = 0;
        while now < start + Duration::from_secs(3_600) {
            let (due, _) = doomed.due(now, never);
            asks += due.len();
            for row in due {
                writes += usize::from(doomed.answered(row.file, row.uploads, now));
            }
            now = doomed.next.expect("something is left");
        }
        assert_eq!((doomed.rows.len(), writes), (20, 0));
        // 0.5 s, 1 s, 2 s and so on: twelve to thirteen times in the first hour.
        assert!(asks <= 20 * 14, "{asks}");
    }

    #[test]
    fn what_one_of_two_nodes_deleted_is_asked_of_the_other_alone() {
        let now = Instant::now();
        let mut doomed = many(1, now);
        let (due, _) = doomed.due(now, never);
        assert!(doomed.answered(due[0].file, vec![upload(0)], now), "that is kept");
        let (due, _) = doomed.due(now + Duration::from_secs(1), never);
        assert_eq!(due[0].uploads.len(), 1);
        assert!(doomed.answered(due[0].file, Vec::new(), now));
        assert!(doomed.rows.is_empty() && doomed.next.is_none());
    }

    #[test]
    fn what_is_left_of_an_earlier_upload_of_a_file_is_not_forgotten_for_a_later_one() {
        let now = Instant::now();
        let mut doomed = many(1, now);
        assert_eq!(doomed.due(now, never).0.len(), 1);
        let later = DoomedRow { uploads: vec![upload(7)], ..row(0) };
        doomed.doom(later, now);
        // The answer is about the earlier ones alone.
        assert!(doomed.answered(FileId([0; 32]), Vec::new(), now));
        let (due, _) = doomed.due(now + Duration::from_millis(DOOMED_AGAIN_MS), never);
        assert_eq!(due[0].uploads.len(), 3);
        assert!(doomed.answered(due[0].file, Vec::new(), now) && doomed.rows.is_empty());
    }

    #[test]
    fn what_has_expired_at_its_node_is_asked_about_no_more() {
        let now = Instant::now();
        let mut doomed = many(2, now);
        let (due, over) = doomed.due(now, |row| row.file.0[0] == 1);
        assert_eq!((due.len(), over), (1, vec![FileId([1; 32])]));
        assert_eq!(doomed.rows.len(), 1);
    }
}
