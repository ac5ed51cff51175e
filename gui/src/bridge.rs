//! The bridge between the window's thread, which must never wait, and the
//! node, which is asynchronous. The window puts questions in; answers and
//! events come out of a bounded channel, and wake the window.

use std::sync::Arc;
use std::time::Duration;

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

/// What comes from the node's side.
pub(crate) enum Incoming {
    /// The node runs.
    Started,
    /// The node could not start: a sentence.
    Failed(String),
    Event(NumberedEvent),
    Answer(Answer),
}

/// Wakes the window.
type Wake = Arc<dyn Fn() + Send + Sync>;

/// The window's end of the bridge.
pub struct Bridge {
    runtime: tokio::runtime::Handle,
    incoming: mpsc::Receiver<Incoming>,
    answers: mpsc::Sender<Incoming>,
    lane: mpsc::Sender<Ask>,
    node: tokio::sync::watch::Receiver<Option<NodeHandle>>,
    attention: Arc<Attention>,
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
        let wake: Wake = Arc::new(move || ctx.request_repaint());
        let desktop = Desktop::new(Arc::clone(&attention));
        let back = answers.clone();
        runtime.spawn(async move {
            match start.await {
                Ok(node) => {
                    let events = node.events();
                    node_is.send_replace(Some(node.clone()));
                    tell(&back, &wake, Incoming::Started).await;
                    let answers = back.clone();
                    let waking = Arc::clone(&wake);
                    tokio::spawn(async move { one_after_the_other(node, in_order, answers, waking).await });
                    listen(events, back, wake, desktop).await;
                }
                Err(sentence) => tell(&back, &wake, Incoming::Failed(sentence)).await,
            }
            // Keeps the receiver's value alive for as long as the window asks.
            node_is.closed().await;
        });
        Self { runtime, incoming, answers, lane, node, attention }
    }

    /// Asks the node; the answer comes in later. Before the node runs, and
    /// when too much waits already, the question is dropped, and says so by `false`.
    pub(crate) fn ask(&self, ask: Ask, ctx: &egui::Context) -> bool {
        if ask.in_order() {
            return self.lane.try_send(ask).is_ok();
        }
        let Some(node) = self.node.borrow().clone() else { return false };
        let (answers, ctx) = (self.answers.clone(), ctx.clone());
        self.runtime.spawn(async move {
            let answer = ask.perform(&node).await;
            if answers.send(Incoming::Answer(answer)).await.is_ok() {
                ctx.request_repaint();
            }
        });
        true
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
        wake();
    }
}

/// Asks what must reach the node in the order in which it was asked.
async fn one_after_the_other(
    node: NodeHandle,
    mut asks: mpsc::Receiver<Ask>,
    window: mpsc::Sender<Incoming>,
    wake: Wake,
) {
    while let Some(ask) = asks.recv().await {
        let answer = ask.perform(&node).await;
        tell(&window, &wake, Incoming::Answer(answer)).await;
    }
}

async fn listen(mut events: EventStream, window: mpsc::Sender<Incoming>, wake: Wake, mut desktop: Desktop) {
    while let Some(event) = events.next().await {
        desktop.notify(&event.event);
        tell(&window, &wake, Incoming::Event(event)).await;
    }
}
