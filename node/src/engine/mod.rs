//! The engine: the one actor that owns the node's state. It takes commands,
//! network events, results of asynchronous work and ticks; calls the state
//! machines; commits; then acts. Floor 4.
//!
//! It has a thread of its own, because a commit waits for the disk. Inputs that
//! have come together share one step, and so one commit.

mod account;
mod audit;
mod audit_reader;
mod bundles;
mod clock;
mod commands;
mod contacts;
mod content;
mod custody;
mod deliver;
mod deposit;
mod export;
mod files;
mod groups;
mod homes;
mod inbound;
mod invited;
mod mail;
mod messages;
mod newest_records;
mod peers;
mod proofs;
mod queries;
mod security;
mod state;
mod step;
mod tick;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, oneshot};

use self::state::Open;
use self::work::{Done, Work};
use crate::api::{At, Command, Event, NodeHandle, NumberedEvent};
use crate::config::NodeConfig;
use crate::messaging::limits::{COMMANDS_MAX, COMMIT_WINDOW_MS, GOSSIP_COMMIT_WINDOW_MS, RESULTS_MAX, STEP_MAX_INPUTS};
use crate::network::NetworkEvent;
use crate::store::StoreOptions;

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The caller's: there must be a tokio runtime.
    #[error("the node can only be started inside a tokio runtime")]
    NoRuntime,
    /// The environment's.
    #[error("the node's thread can't be started: {0}")]
    Thread(#[source] std::io::Error),
    /// The environment's.
    #[error("the data directory {path:?} can't be used: {error}")]
    DataDir {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Starts nodes.
pub struct Node;

impl Node {
    /// Starts a node, with no account open. It runs until [`NodeHandle::shutdown`],
    /// or until the last handle is dropped.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(config: NodeConfig) -> Result<NodeHandle, StartError> {
        Self::start_on(config, StoreOptions::default())
    }

    /// As [`Self::start`], with vaults on a disk of the caller's choice: tests
    /// take one that fails on purpose ([`crate::store::fault`]).
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start_on(config: NodeConfig, store: StoreOptions) -> Result<NodeHandle, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|error| StartError::DataDir { path: config.data_dir.clone(), error })?;
        if let Err(error) = crate::store::finish_moves(&config.data_dir) {
            tracing::warn!(%error, "what was left half done in the data directory could not be looked at");
        }
        let (commands, command_inbox) = mpsc::channel(COMMANDS_MAX);
        let (results, result_inbox) = mpsc::channel(RESULTS_MAX);
        let (events, _) = broadcast::channel(crate::api::EVENTS_BUFFERED);
        let handle = NodeHandle::new(commands, &events);
        let engine = Engine {
            config: Arc::new(config),
            store,
            runtime,
            results,
            events,
            event_seq: 0,
            started: Instant::now(),
            open: None,
            opening: false,
            generation: 0,
            hosted: None,
            closed: std::sync::Weak::new(),
        };
        let inboxes = Inboxes {
            commands: command_inbox,
            results: result_inbox,
            network: None,
            stopping: None,
            commands_turn: false,
        };
        let threaded = move || {
            let local = tokio::runtime::Builder::new_current_thread().enable_time().build();
            match local {
                Ok(local) => local.block_on(engine.run(inboxes)),
                Err(error) => tracing::error!(%error, "the engine can't be started"),
            }
        };
        std::thread::Builder::new().name("engine".into()).spawn(threaded).map_err(StartError::Thread)?;
        Ok(handle)
    }
}

/// Where inputs come from.
pub(crate) struct Inboxes {
    commands: mpsc::Receiver<Command>,
    results: mpsc::Receiver<Done>,
    network: Option<mpsc::Receiver<NetworkEvent>>,
    stopping: Option<oneshot::Sender<()>>,
    /// Whose turn it is: however much others send, the person is heard.
    commands_turn: bool,
}

/// One input of the engine.
pub(crate) enum Input {
    Command(Box<Command>),
    Network(Box<NetworkEvent>),
    Done(Box<Done>),
    Tick,
    NobodyLeft,
}

impl Inboxes {
    async fn next(&mut self, tick: Instant) -> Input {
        let network = async {
            match &mut self.network {
                Some(network) => network.recv().await,
                None => None,
            }
        };
        tokio::select! {
            biased;
            Some(done) = self.results.recv() => Input::Done(Box::new(done)),
            Some(event) = network => Input::Network(Box::new(event)),
            command = self.commands.recv() => match command {
                Some(command) => Input::Command(Box::new(command)),
                None => Input::NobodyLeft,
            },
            () = tokio::time::sleep_until(tick.into()) => Input::Tick,
        }
    }

    /// What has come meanwhile, without waiting.
    fn ready(&mut self) -> Option<Input> {
        if let Ok(done) = self.results.try_recv() {
            return Some(Input::Done(Box::new(done)));
        }
        self.commands_turn = !self.commands_turn;
        if self.commands_turn
            && let Ok(command) = self.commands.try_recv()
        {
            return Some(Input::Command(Box::new(command)));
        }
        if let Some(Ok(event)) = self.network.as_mut().map(mpsc::Receiver::try_recv) {
            return Some(Input::Network(Box::new(event)));
        }
        self.commands.try_recv().ok().map(|command| Input::Command(Box::new(command)))
    }
}

/// The actor.
pub(crate) struct Engine {
    pub(crate) config: Arc<NodeConfig>,
    pub(crate) store: StoreOptions,
    /// Where asynchronous work runs.
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) results: mpsc::Sender<Done>,
    events: broadcast::Sender<NumberedEvent>,
    event_seq: u64,
    pub(crate) started: Instant,
    /// The open account.
    pub(crate) open: Option<Box<Open>>,
    /// An account is being made or opened.
    pub(crate) opening: bool,
    /// Counts the times that an account was opened: results of an earlier one are dropped.
    pub(crate) generation: u64,
    /// The rendezvous node that this process hosts.
    pub(crate) hosted: Option<String>,
    /// The vault that was open before, as long as something still holds it.
    closed: std::sync::Weak<()>,
}

impl Engine {
    async fn run(mut self, mut inboxes: Inboxes) {
        loop {
            let tick =
                self.open.as_ref().map_or_else(|| Instant::now() + Duration::from_secs(3600), |open| open.next_tick());
            let mut input = inboxes.next(tick).await;
            let mut batch = Vec::new();
            let began = Instant::now();
            while batch.len() < STEP_MAX_INPUTS
                && let Some(patience) = self.may_wait(&input)
            {
                let until = began + patience;
                let Ok(next) = tokio::time::timeout_at(until.into(), inboxes.next(tick)).await else { break };
                batch.push(std::mem::replace(&mut input, next));
            }
            loop {
                match input {
                    Input::NobodyLeft => {
                        self.close(&mut inboxes).await;
                        return;
                    }
                    Input::Command(command) if matches!(*command, Command::Shutdown(_)) => {
                        if let Command::Shutdown(done) = *command {
                            inboxes.stopping = Some(done);
                        }
                        break;
                    }
                    other => batch.push(other),
                }
                match inboxes.ready() {
                    Some(next) if batch.len() < STEP_MAX_INPUTS => input = next,
                    Some(next) => {
                        batch.push(next);
                        break;
                    }
                    None => break,
                }
            }
            self.take(batch, &mut inboxes).await;
            if let Some(done) = inboxes.stopping.take() {
                self.close(&mut inboxes).await;
                // Whoever asked may have gone.
                let _ = done.send(());
                return;
            }
        }
    }

    /// How long an input may wait for company: it hurries nobody, and shares the commit of what comes next.
    fn may_wait(&self, input: &Input) -> Option<Duration> {
        let open = self.open.as_ref()?;
        let done = match input {
            Input::Network(event) if matches!(**event, NetworkEvent::Gossip { .. }) => {
                return Some(Duration::from_millis(GOSSIP_COMMIT_WINDOW_MS));
            }
            Input::Done(done) => done,
            _ => return None,
        };
        let Done::Work { generation, work } = &**done else { return None };
        match &**work {
            Work::Delivered { to, rows, result, .. } if *generation == self.generation => {
                open.may_wait(*to, rows, result).then_some(Duration::from_millis(COMMIT_WINDOW_MS))
            }
            _ => None,
        }
    }

    /// Carries inputs out: those that change which account is open one by one,
    /// runs of all others in one step.
    async fn take(&mut self, batch: Vec<Input>, inboxes: &mut Inboxes) {
        let mut run = Vec::new();
        for input in batch {
            match input {
                Input::Command(command) if account::changes_account(&command) => {
                    self.step(std::mem::take(&mut run));
                    self.account_command(*command, inboxes).await;
                }
                Input::Done(done) if matches!(*done, Done::Opened { .. }) => {
                    self.step(std::mem::take(&mut run));
                    self.opened(*done, inboxes).await;
                }
                Input::Command(command) if self.open.is_none() => self.locked_command(*command),
                other => run.push(other),
            }
        }
        self.step(run);
        if self.open.as_ref().is_some_and(|open| open.lock_is_due()) {
            self.lock(inboxes).await;
        }
    }

    /// Tells an event.
    pub(crate) fn tell(&mut self, event: Event) {
        self.event_seq = self.event_seq.saturating_add(1);
        // An error means that nobody listens.
        let _ = self.events.send(NumberedEvent { seq: self.event_seq, at: At(self.config.clock.now()), event });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_much_others_send_the_person_is_heard() {
        let (commands, command_inbox) = mpsc::channel(1);
        let (_results, results) = mpsc::channel(1);
        let (others, network) = mpsc::channel(8);
        let mut inboxes =
            Inboxes { commands: command_inbox, results, network: Some(network), stopping: None, commands_turn: false };
        let peer = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA".parse().unwrap();
        for _ in 0..8 {
            others.try_send(NetworkEvent::Expired { peer }).unwrap();
        }
        commands.try_send(Command::Shutdown(oneshot::channel().0)).unwrap();
        assert!((0..2).any(|_| matches!(inboxes.ready(), Some(Input::Command(_)))));
    }
}
