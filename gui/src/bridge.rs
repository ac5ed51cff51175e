//! The bridge between the window's thread, which must never wait, and the
//! node, which is asynchronous. The window puts questions in; answers and
//! events come out of a bounded channel, and wake the window.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use secure_chat_node::api::{EventStream, NodeHandle, NumberedEvent};
use tokio::sync::mpsc;

use crate::ask::{Answer, Ask};
use crate::notify::{Attention, Desktop};

/// Answers and events that wait for the window; when it is full, the node's
/// own event buffer takes over, and says so when that overflows.
const INCOMING_MAX: usize = 8_192;
/// Questions that wait for their turn.
const LANE_MAX: usize = 4_096;
/// How long the window waits for the node to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// What comes in draws no more than one frame in this time: forty a second
/// are smooth, and in a flood the rest of the processor is the node's.
const FRAME_EVERY: Duration = Duration::from_millis(25);

/// What comes from the node's side.
pub(crate) enum Incoming {
    /// The node runs.
    Started,
    /// The node could not start: a sentence.
    Failed(String),
    Event(NumberedEvent),
    Answer(Answer),
}

/// Wakes the window, once for all that comes in before it paints.
struct Wake {
    ctx: egui::Context,
    since: Instant,
    /// It was woken, and has not painted yet.
    woken: AtomicBool,
    /// When it painted last, in milliseconds after `since`.
    painted_ms: AtomicU64,
}

impl Wake {
    fn new(ctx: egui::Context) -> Arc<Self> {
        let (woken, painted_ms) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { ctx, since: Instant::now(), woken, painted_ms })
    }

    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    /// Something came in.
    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            let painted = Duration::from_millis(self.painted_ms.load(Ordering::Relaxed));
            self.ctx.request_repaint_after((painted + FRAME_EVERY).saturating_sub(self.now()));
        }
    }

    /// The window is about to look at what came in: whatever comes now wakes it anew.
    fn paints(&self) {
        let now_ms = u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX);
        self.painted_ms.store(now_ms, Ordering::Relaxed);
        self.woken.store(false, Ordering::Release);
    }
}

/// The window's end of the bridge.
pub struct Bridge {
    runtime: tokio::runtime::Handle,
    incoming: mpsc::Receiver<Incoming>,
    answers: mpsc::Sender<Incoming>,
    lane: mpsc::Sender<Ask>,
    node: tokio::sync::watch::Receiver<Option<NodeHandle>>,
    attention: Arc<Attention>,
    wake: Arc<Wake>,
}

impl Bridge {
    /// Starts the node on `runtime` and connects the window `ctx` with it.
    /// `start` must end with the handle of a running node, or a sentence that
    /// says why there is none.
    pub fn start<F>(runtime: tokio::runtime::Handle, ctx: egui::Context, start: F) -> Self
    where
        F: Future<Output = Result<NodeHandle, String>> + Send + 'static,
    {
        let (answers, incoming) = mpsc::channel(INCOMING_MAX);
        let (lane, in_order) = mpsc::channel(LANE_MAX);
        let (node_is, node) = tokio::sync::watch::channel(None);
        let attention = Arc::new(Attention::default());
        let wake = Wake::new(ctx);
        let waking = Arc::clone(&wake);
        let desktop = Desktop::new(Arc::clone(&attention));
        let back = answers.clone();
        runtime.spawn(async move {
            match start.await {
                Ok(node) => {
                    let events = node.events();
                    node_is.send_replace(Some(node.clone()));
                    tell(&back, &waking, Incoming::Started).await;
                    let (answers, wake) = (back.clone(), Arc::clone(&waking));
                    tokio::spawn(async move { one_after_the_other(node, in_order, answers, wake).await });
                    listen(events, back, waking, desktop).await;
                }
                Err(sentence) => tell(&back, &waking, Incoming::Failed(sentence)).await,
            }
            // Keeps the receiver's value alive for as long as the window asks.
            node_is.closed().await;
        });
        Self { runtime, incoming, answers, lane, node, attention, wake }
    }

    /// Asks the node; the answer comes in later. Before the node runs, and
    /// when too much waits already, the question is dropped, and says so by `false`.
    pub(crate) fn ask(&self, ask: Ask) -> bool {
        if ask.in_order() {
            return self.lane.try_send(ask).is_ok();
        }
        let Some(node) = self.node.borrow().clone() else { return false };
        let (answers, wake) = (self.answers.clone(), Arc::clone(&self.wake));
        self.runtime.spawn(async move {
            let answer = ask.perform(&node).await;
            tell(&answers, &wake, Incoming::Answer(answer)).await;
        });
        true
    }

    /// A frame begins: what comes in from now on is for the next one.
    pub(crate) fn paints(&self) {
        self.wake.paints();
    }

    /// What came in, if anything did.
    pub(crate) fn next(&mut self) -> Option<Incoming> {
        self.incoming.try_recv().ok()
    }

    /// What the desktop notifications have to know about the window.
    pub(crate) fn attention(&self) -> &Attention {
        &self.attention
    }

    /// Asks what is still to be asked and stops the node: everything that was
    /// written is on disk when it returns.
    pub(crate) fn finish(&self, last: Vec<Ask>) {
        let Some(node) = self.node.borrow().clone() else { return };
        let (done, finished) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            for ask in last {
                // Nobody is left to hear the answer.
                let _ = ask.perform(&node).await;
            }
            node.shutdown().await;
            // The window may have given up waiting.
            let _ = done.send(());
        });
        if finished.recv_timeout(STOP_WITHIN).is_err() {
            tracing::warn!("the node did not stop in time");
        }
    }
}

async fn tell(window: &mpsc::Sender<Incoming>, wake: &Wake, incoming: Incoming) {
    if window.send(incoming).await.is_ok() {
        wake.wake();
    }
}

/// Asks what must reach the node in the order in which it was asked.
async fn one_after_the_other(
    node: NodeHandle,
    mut asks: mpsc::Receiver<Ask>,
    window: mpsc::Sender<Incoming>,
    wake: Arc<Wake>,
) {
    while let Some(ask) = asks.recv().await {
        let answer = ask.perform(&node).await;
        tell(&window, &wake, Incoming::Answer(answer)).await;
    }
}

async fn listen(mut events: EventStream, window: mpsc::Sender<Incoming>, wake: Arc<Wake>, mut desktop: Desktop) {
    while let Some(event) = events.next().await {
        desktop.notify(&event.event);
        tell(&window, &wake, Incoming::Event(event)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_flood_wakes_the_window_once_for_each_frame() {
        let ctx = egui::Context::default();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let delays = Arc::clone(&asked);
        ctx.set_request_repaint_callback(move |request| delays.lock().unwrap().push(request.delay));
        let wake = Wake::new(ctx);
        for _ in 0..1_000 {
            wake.wake();
        }
        assert_eq!(asked.lock().unwrap().len(), 1);
        // The first frames ask for one more by themselves.
        for _ in 0..4 {
            wake.paints();
            wake.ctx.run_ui(egui::RawInput::default(), |_| {}).textures_delta.clear();
        }
        asked.lock().unwrap().clear();
        wake.wake();
        wake.wake();
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "what comes after the frame began wakes it anew");
        assert!(asked[0] <= FRAME_EVERY, "{:?}", asked[0]);
    }
}
