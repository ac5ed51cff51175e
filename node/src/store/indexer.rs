//! The thread that keeps the search index up with what arrives.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::database::Store;
use crate::stack::wiping_with;

/// Between two steps the thread leaves the disk to others for this long.
const PAUSE: Duration = Duration::from_millis(20);

/// Wakes the thread; when it is dropped, the thread ends.
pub(super) struct Indexer {
    wake: SyncSender<()>,
}

impl Indexer {
    /// Starts the thread. Without one (the system has none to give), searches
    /// look through more, and find the same.
    pub(super) fn start(store: &Arc<Store>) -> Option<Self> {
        let (wake, woken) = sync_channel(1);
        let store = Arc::downgrade(store);
        let thread = thread::Builder::new().name("vault-index".to_owned());
        thread.spawn(move || run(&store, &woken)).ok()?;
        Some(Self { wake })
    }

    /// There may be something to do. Never blocks.
    pub(super) fn wake(&self) {
        // A full channel means that the thread is about to look anyway.
        let _ = self.wake.try_send(());
    }
}

fn run(store: &Weak<Store>, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        // The vault is kept open for the length of a step only, and let go of once its keys are off this stack:
        // whoever waits for it to be gone need not wait for this thread to come back from its sleep.
        let step = |store: Arc<Store>| wiping_with(store, |store| store.index_step())();
        while let Some(Ok(true)) = store.upgrade().map(step) {
            thread::sleep(PAUSE);
        }
    }
}
