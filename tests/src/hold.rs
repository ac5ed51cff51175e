//! Holds transfers where a test wants them: the threads that write tell of each step in a trace, and
//! whoever listens to that trace can let them stand there. Nothing is left to luck or to time.

#![allow(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt as _};

/// A chunk is written; held before it counts as one that is here.
pub const WRITTEN: &str = "a chunk is written";
/// A growing file is about to be opened.
pub const BEGINS: &str = "a file begins to grow";
/// A whole file is about to get its name.
pub const ENDS: &str = "a file is whole";

/// A peer is asked for chunks. It is told of by a task, and can't be held.
pub const ASKED: &str = "a peer is asked";
/// A transfer has ended, however it did. It is told of by a task, and can't be held.
pub const ENDED: &str = "a transfer has ended";

/// Longer than anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where threads are to stand, and how many do.
#[derive(Default)]
struct Place {
    wanted: Option<(&'static str, Option<u64>)>,
    standing: usize,
    /// How often each step was told of.
    passed: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Shared {
    place: Mutex<Place>,
    changed: Condvar,
    came: Notify,
}

impl Shared {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stands still as long as this step is wanted.
    fn pass(&self, step: &Step) {
        let holds = |place: &Place| {
            place.wanted.is_some_and(|(text, index)| step.text == text && index.is_none_or(|it| step.index == Some(it)))
        };
        let mut place = self.place();
        *place.passed.entry(step.text.clone()).or_default() += 1;
        self.came.notify_waiters();
        if !holds(&place) {
            return;
        }
        place.standing += 1;
        while holds(&place) {
            place = self.changed.wait(place).unwrap_or_else(PoisonError::into_inner);
        }
        place.standing -= 1;
    }
}

/// What a trace says.
#[derive(Default)]
struct Step {
    text: String,
    index: Option<u64>,
}

impl Visit for Step {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.text = format!("{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "index" {
            self.index = Some(value);
        }
    }
}

struct Listener(Arc<Shared>);

impl<S: tracing::Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut step = Step::default();
        event.record(&mut step);
        self.0.pass(&step);
    }
}

static SHARED: OnceLock<Arc<Shared>> = OnceLock::new();
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// All transfers of this process. One test at a time has it; dropping it lets everything go on.
pub struct Transfers {
    shared: Arc<Shared>,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Transfers {
    /// Waits for its turn.
    ///
    /// # Panics
    /// When something else in this process listens to the traces.
    pub async fn of_this_process() -> Self {
        let turn = TURN.lock().await;
        let shared = SHARED.get_or_init(|| {
            let shared = Arc::new(Shared::default());
            let filter = Targets::new().with_target("transfer", LevelFilter::TRACE);
            let listener = Listener(Arc::clone(&shared)).with_filter(filter);
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(listener))
                .expect("nothing else listens");
            shared
        });
        shared.place().passed.clear();
        Self { shared: Arc::clone(shared), _turn: turn }
    }

    /// From now on every transfer stands at this step, of the chunk with this number if one is said.
    pub fn hold_at(&self, step: &'static str, index: Option<u32>) {
        self.shared.place().wanted = Some((step, index.map(u64::from)));
        self.shared.changed.notify_all();
    }

    /// Waits until so many stand there.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn standing(&self, count: usize) {
        self.until("stand where they are held", |place| place.standing >= count).await;
    }

    /// Waits until this step was told of so often since the test began.
    ///
    /// # Panics
    /// When it is not.
    pub async fn passed(&self, step: &str, count: usize) {
        self.until(step, |place| place.passed.get(step).is_some_and(|passed| *passed >= count)).await;
    }

    async fn until(&self, what: &str, there: impl Fn(&Place) -> bool) {
        let wait = async {
            loop {
                let came = self.shared.came.notified();
                tokio::pin!(came);
                came.as_mut().enable();
                if there(&self.shared.place()) {
                    return;
                }
                came.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not enough: {what}"));
    }

    /// How many stand there now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.place().standing
    }

    /// Lets them go on.
    pub fn release(&self) {
        self.shared.place().wanted = None;
        self.shared.changed.notify_all();
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        self.release();
    }
}
