//! The one thread that writes: it drains a queue, commits up to [`COMMIT_MAX_CHANGES`] changes at
//! once, and answers after the commit. If a batch fails, its changes are carried out one by one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use redb::{Durability, WriteTransaction};

use crate::limits::{COMMIT_MAX_CHANGES, COMMIT_WINDOW};
use crate::operation::{Change, Moment, Outcome, Rules};
use crate::rows::{Read, StoreError, Table, Visit, Write};
use crate::store::Reply;
use crate::store::redb::{Shared, TREES, Tree, definition, get_from, range_of, storage_error, tree, tree_key};

/// A change that waits.
pub(super) struct Waiting {
    pub(super) change: Change,
    pub(super) at: Moment,
    pub(super) reply: Reply,
}

/// How long a batch waits for company. Whoever was answered together asks again together, a moment
/// later: without a pause, large batches and tiny ones would take turns.
struct Company {
    /// How many came together lately; falls slowly.
    expected: usize,
    /// How long the last commit took.
    commit_took: Duration,
}

/// Fewer changes than this are not worth waiting for.
const COMPANY_MIN_CHANGES: usize = 8;
/// The part of a commit's time that is spent on waiting for company.
const COMPANY_SHARE: u32 = 4;

impl Company {
    const fn none() -> Self {
        Self { expected: 1, commit_took: Duration::ZERO }
    }

    /// Until when a batch that starts now may wait.
    fn patience(&self) -> Duration {
        if self.expected < COMPANY_MIN_CHANGES {
            return Duration::ZERO;
        }
        (self.commit_took / COMPANY_SHARE).min(COMMIT_WINDOW)
    }

    fn came(&mut self, changes: usize, commit_took: Duration) {
        self.expected = changes.max(self.expected.saturating_sub(self.expected.div_ceil(8)));
        self.commit_took = commit_took;
    }
}

/// Runs until the queue's senders are gone or the storage is cut off.
pub(super) fn run(shared: &Arc<Shared>, rules: &Rules, queue: &Receiver<Waiting>) {
    let mut company = Company::none();
    while let Ok(first) = queue.recv() {
        let mut batch = Vec::with_capacity(company.expected.min(COMMIT_MAX_CHANGES));
        batch.push(first);
        gather(queue, &mut batch, &company);
        let (changes, started) = (batch.len(), Instant::now());
        commit_and_answer(shared, rules, batch);
        company.came(changes, started.elapsed());
        if shared.fence.is_raised() {
            return;
        }
    }
}

fn gather(queue: &Receiver<Waiting>, batch: &mut Vec<Waiting>, company: &Company) {
    let until = Instant::now() + company.patience();
    while batch.len() < COMMIT_MAX_CHANGES {
        let next = if batch.len() < company.expected {
            queue.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
        } else {
            queue.try_recv().ok()
        };
        match next {
            Some(waiting) => batch.push(waiting),
            None => return,
        }
    }
}

fn commit_and_answer(shared: &Shared, rules: &Rules, batch: Vec<Waiting>) {
    let changes: Vec<(&Change, Moment)> = batch.iter().map(|waiting| (&waiting.change, waiting.at)).collect();
    shared.batches.fetch_add(1, Ordering::Relaxed);
    match commit(shared, rules, &changes) {
        Ok(outcomes) => {
            shared.set_healthy(true);
            for (waiting, outcome) in batch.into_iter().zip(outcomes) {
                (waiting.reply)(Ok(outcome));
            }
        }
        Err(error) => {
            if shared.fence.is_raised() {
                return;
            }
            shared.set_healthy(false);
            tracing::warn!(%error, changes = batch.len(), "a commit failed; its changes are tried one by one");
            for waiting in batch {
                let outcome = retry_alone(shared, rules, &waiting);
                (waiting.reply)(outcome);
            }
        }
    }
}

fn retry_alone(shared: &Shared, rules: &Rules, waiting: &Waiting) -> Result<Outcome, StoreError> {
    // After an error of the disk the engine refuses everything until it is opened anew.
    shared.reopen_if_broken()?;
    let outcomes = commit(shared, rules, &[(&waiting.change, waiting.at)])?;
    shared.set_healthy(true);
    outcomes.into_iter().next().ok_or(StoreError::Closed)
}

fn commit(shared: &Shared, rules: &Rules, changes: &[(&Change, Moment)]) -> Result<Vec<Outcome>, StoreError> {
    let database = shared.database()?;
    let mut transaction = database.begin_write().map_err(|e| storage_error(&e.into()))?;
    transaction.set_durability(Durability::Immediate).map_err(|e| StoreError::Io(e.to_string()))?;
    // Without it, opening after a kill walks the whole file.
    transaction.set_quick_repair(true);
    let outcomes = apply_all(&transaction, rules, changes);
    match outcomes {
        Ok(outcomes) => {
            transaction.commit().map_err(|e| storage_error(&e.into()))?;
            Ok(outcomes)
        }
        Err(error) => {
            // The error that led here says more than one of the abort.
            let _ = transaction.abort();
            Err(error)
        }
    }
}

fn apply_all(
    transaction: &WriteTransaction,
    rules: &Rules,
    changes: &[(&Change, Moment)],
) -> Result<Vec<Outcome>, StoreError> {
    let mut rows = Open::new(transaction)?;
    let outcomes = changes.iter().map(|(change, at)| change.apply(&mut rows, rules, *at)).collect::<Result<_, _>>()?;
    rows.write_back()?;
    Ok(outcomes)
}

type Rows<'txn> = redb::Table<'txn, &'static [u8], &'static [u8]>;

/// The trees of one write transaction.
struct Open<'txn> {
    trees: Vec<Rows<'txn>>,
    /// Rows of the node itself: each change of a batch reads and writes them, the disk once.
    node: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'txn> Open<'txn> {
    fn new(transaction: &'txn WriteTransaction) -> Result<Self, StoreError> {
        let open = |tree: &Tree| transaction.open_table(definition(*tree)).map_err(|e| storage_error(&e.into()));
        Ok(Self { trees: TREES.iter().map(open).collect::<Result<_, _>>()?, node: BTreeMap::new() })
    }

    fn tree(&self, tree: Tree) -> Result<&Rows<'txn>, StoreError> {
        self.trees.get(tree as usize).ok_or(StoreError::Closed)
    }

    fn tree_mut(&mut self, tree: Tree) -> Result<&mut Rows<'txn>, StoreError> {
        self.trees.get_mut(tree as usize).ok_or(StoreError::Closed)
    }

    fn put_in(&mut self, tree: Tree, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.tree_mut(tree)?.insert(key, value).map_err(|e| storage_error(&e.into()))?;
        Ok(())
    }

    fn delete_in(&mut self, tree: Tree, key: &[u8]) -> Result<bool, StoreError> {
        let removed = self.tree_mut(tree)?.remove(key).map_err(|e| storage_error(&e.into()))?;
        Ok(removed.is_some())
    }

    fn write_back(&mut self) -> Result<(), StoreError> {
        for (key, value) in std::mem::take(&mut self.node) {
            match value {
                Some(value) => self.put_in(Tree::Node, &key, &value)?,
                None => {
                    self.delete_in(Tree::Node, &key)?;
                }
            }
        }
        Ok(())
    }
}

impl Read for Open<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if table == Table::Node
            && let Some(value) = self.node.get(key)
        {
            return Ok(value.clone());
        }
        let (tree, kind) = tree(table);
        get_from(self.tree(tree)?, kind, key)
    }

    /// Nobody reads a range of [`Table::Node`], so that what waits to be written back is not missed.
    fn range(&self, table: Table, first: &[u8], last: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let (tree, kind) = tree(table);
        range_of(self.tree(tree)?, kind, first, last, visit)
    }
}

impl Write for Open<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if table == Table::Node {
            self.node.insert(key.to_vec(), Some(value.to_vec()));
            return Ok(());
        }
        let (tree, kind) = tree(table);
        self.put_in(tree, &tree_key(kind, key), value)
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        if table == Table::Node {
            let was_there = self.get(table, key)?.is_some();
            self.node.insert(key.to_vec(), None);
            return Ok(was_there);
        }
        let (tree, kind) = tree(table);
        self.delete_in(tree, &tree_key(kind, key))
    }
}
