//! The running node and its handle. Floor 5: what acts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm};
use secure_chat_protocol::wire::rendezvous::Request;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::{RendezvousConfig, TransportKind};
use crate::identity_key::{self, IdentityFileError};
use crate::limits::{CHUNK_THREADS, WORKER_THREADS};
use crate::metrics::{self, Metrics};
use crate::rows::StoreError;
use crate::server::actor::{Server, Stop, full_address};
use crate::server::behaviour::Behaviour;
use crate::server::chunks::Chunks;
use crate::server::clock::{Clock, Leap};
use crate::server::codec::Memory;
use crate::server::desk::Desk;
use crate::store::Store;
use crate::store::chunks::ChunkFiles;
use crate::store::redb::RedbStore;
use crate::store::workers::Workers;

mod actor;
mod behaviour;
mod chunks;
mod clock;
pub mod codec;
mod connections;
mod desk;
mod fetches;
pub mod gate;
mod pending;
mod quotas;
mod requests;
mod services;

/// Listening must have begun in this time.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A directory can't be made. The environment's fault.
    #[error("the directory {path} can't be used: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The identity key can't be had.
    #[error(transparent)]
    Identity(#[from] IdentityFileError),
    /// The storage does not open.
    #[error("the database {path} does not open: {source}")]
    Storage {
        /// Which.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// An address is none, or none that this transport can listen on. The caller's fault.
    #[error("{address} is not an address to listen on: {reason}")]
    Address {
        /// As it was given.
        address: String,
        /// Why.
        reason: String,
    },
    /// The network does not work.
    #[error("the network does not start: {0}")]
    Network(String),
    /// The address for metrics can't be had.
    #[error("metrics can't be served at {address}: {source}")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// All that an operator can learn from what peers ask: the peer id, and the request
/// as the node understood it. For tests of what that tells.
pub type Witness = std::sync::mpsc::Sender<(String, Request)>;

/// A running rendezvous node. Dropping it stops it; [`Self::stop`] waits until that is done.
pub struct RendezvousNode {
    peer_id: PeerId,
    addresses: watch::Receiver<Vec<String>>,
    metrics: Arc<Metrics>,
    metrics_address: Option<SocketAddr>,
    metrics_task: Option<JoinHandle<()>>,
    stop: mpsc::Sender<Stop>,
    task: JoinHandle<()>,
    store: Arc<RedbStore>,
    files: Arc<ChunkFiles>,
    workers: [Arc<Workers>; 2],
    leap: Arc<Leap>,
}

impl RendezvousNode {
    /// Starts a node inside the current tokio runtime; it listens once this returns.
    ///
    /// # Errors
    /// [`StartError`] says what does not work and whose fault it is.
    pub async fn start(config: RendezvousConfig) -> Result<Self, StartError> {
        Self::start_watched(config, None).await
    }

    /// As [`Self::start`], with somebody who sees every request.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start_watched(config: RendezvousConfig, witness: Option<Witness>) -> Result<Self, StartError> {
        let addresses = listen_addresses(&config)?;
        let external = parse_all(&config.external)?;
        make_directories(&config)?;
        let key = identity_key::load_or_create(&config.identity_path())?;
        let peer_id = key.public().to_peer_id();
        let Opened { store, past, workers, files, chunk_workers } = open_storage(&config).await?;
        let memory = Memory::default();
        let metrics = Arc::new(Metrics::default());
        metrics.totals(&past.totals);
        let mut swarm = behaviour::swarm(key, config.transport, &config.limits, &memory)?;
        for address in &external {
            swarm.add_external_address(address.clone());
        }
        let advertise_listen = external.is_empty();
        let listening = listen(&mut swarm, &addresses, advertise_listen).await?;
        let (addresses, watched) = watch::channel(listening);
        let mut desk = Desk::new(peer_id, &config.limits, rand::random(), Arc::clone(&metrics));
        desk.witness = witness;
        let (metrics_address, metrics_task) = serve_metrics(&config, &metrics, &store).await?;
        let chunks = Chunks {
            store: Arc::clone(&store) as Arc<dyn Store>,
            files: Arc::clone(&files),
            workers: Arc::clone(&chunk_workers),
        };
        let clock = Clock::resume(past.lived_ms);
        let leap = Arc::clone(&clock.leap);
        let server = Server {
            swarm,
            desk,
            store: Arc::clone(&store) as Arc<dyn Store>,
            workers: Arc::clone(&workers),
            chunks,
            clock,
            memory,
            metrics: Arc::clone(&metrics),
            addresses,
            advertise_listen,
        };
        let (stop, stops) = mpsc::channel(1);
        let task = tokio::spawn(actor::run(server, stops));
        Ok(Self {
            peer_id,
            addresses: watched,
            metrics,
            metrics_address,
            metrics_task,
            stop,
            task,
            store,
            files,
            workers: [workers, chunk_workers],
            leap,
        })
    }

    /// Where it listens: multiaddr texts that end in `/p2p/…`.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.borrow().clone()
    }

    /// Tells of addresses that come and go, when a network interface does.
    #[must_use]
    pub fn watch_addresses(&self) -> watch::Receiver<Vec<String>> {
        self.addresses.clone()
    }

    /// Its peer id.
    #[must_use]
    pub fn peer_id(&self) -> String {
        self.peer_id.to_string()
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where metrics are served.
    #[must_use]
    pub const fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Lets time pass at once, by both of its clocks, and looks for what is over by then. For tests of what expires.
    pub fn let_pass(&self, time: std::time::Duration) {
        self.leap.make(time);
    }

    /// Stops cleanly: what was taken in is answered, what is stored is closed.
    pub async fn stop(mut self) {
        let (done, stopped) = oneshot::channel();
        if self.stop.send(Stop { done }).await.is_ok() {
            let _ = stopped.await;
        }
        let _ = (&mut self.task).await;
        self.end_storage(|store| store.close()).await;
    }

    /// Stops as a kill would: nothing more is answered or written, connections just end.
    pub async fn abort(mut self) {
        self.store.fence();
        self.files.fence();
        self.task.abort();
        let _ = (&mut self.task).await;
        self.end_storage(|store| store.cut()).await;
    }

    async fn end_storage(&mut self, end: impl FnOnce(&RedbStore) + Send + 'static) {
        if let Some(task) = self.metrics_task.take() {
            task.abort();
        }
        let (store, workers) = (Arc::clone(&self.store), self.workers.clone());
        let _ = tokio::task::spawn_blocking(move || {
            workers.iter().for_each(|workers| workers.stop());
            end(&store);
        })
        .await;
    }
}

impl Drop for RendezvousNode {
    fn drop(&mut self) {
        if let Some(task) = self.metrics_task.take() {
            task.abort();
        }
    }
}

fn parse(address: &str) -> Result<Multiaddr, StartError> {
    address.parse().map_err(|e: libp2p::multiaddr::Error| StartError::Address {
        address: address.to_owned(),
        reason: e.to_string(),
    })
}

fn parse_all(addresses: &[String]) -> Result<Vec<Multiaddr>, StartError> {
    addresses.iter().map(|address| parse(address)).collect()
}

/// Where to listen, and whether it is an error if that does not work.
fn listen_addresses(config: &RendezvousConfig) -> Result<Vec<(Multiaddr, bool)>, StartError> {
    if !config.listen.is_empty() {
        return Ok(parse_all(&config.listen)?.into_iter().map(|address| (address, true)).collect());
    }
    let (needed, optional): (&[&str], &[&str]) = match config.transport {
        TransportKind::Internet => (
            &["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"],
            // A machine may have no IPv6.
            &["/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1"],
        ),
        TransportKind::Memory => (&["/memory/0"], &[]),
    };
    let needed = needed.iter().map(|address| Ok((parse(address)?, true)));
    needed.chain(optional.iter().map(|address| Ok((parse(address)?, false)))).collect()
}

/// Makes the directories that are not there, for their owner only.
fn make_directories(config: &RendezvousConfig) -> Result<(), StartError> {
    let (identity, database) = (config.identity_path(), config.database_path());
    let parents = [identity.parent(), database.parent()];
    let chunks = config.chunks_path();
    for directory in parents.into_iter().flatten().chain([config.data_dir.as_path(), chunks.as_path()]) {
        if !directory.as_os_str().is_empty() {
            make_directory(directory).map_err(|source| StartError::Directory { path: directory.to_owned(), source })?;
        }
    }
    Ok(())
}

fn make_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

struct Opened {
    store: Arc<RedbStore>,
    past: crate::store::redb::Past,
    workers: Arc<Workers>,
    files: Arc<ChunkFiles>,
    chunk_workers: Arc<Workers>,
}

/// Opening reads the disk, so it runs off the runtime's threads.
async fn open_storage(config: &RendezvousConfig) -> Result<Opened, StartError> {
    let (path, chunks, rules) = (config.database_path(), config.chunks_path(), config.limits.rules());
    let failed = {
        let path = path.clone();
        move |source| StartError::Storage { path, source }
    };
    let opened = tokio::task::spawn_blocking(move || {
        let (store, past) = RedbStore::open(&path, rules)?;
        let start =
            |name, threads| Workers::start(name, threads).map(Arc::new).map_err(|e| StoreError::Io(e.to_string()));
        Ok(Opened {
            store: Arc::new(store),
            past,
            workers: start("rendezvous-check", WORKER_THREADS)?,
            files: Arc::new(ChunkFiles::new(chunks)),
            chunk_workers: start("rendezvous-chunk", CHUNK_THREADS)?,
        })
    })
    .await;
    opened.unwrap_or(Err(StoreError::Closed)).map_err(failed)
}

/// Listens everywhere, and waits until each listener has an address.
async fn listen(
    swarm: &mut Swarm<Behaviour>,
    addresses: &[(Multiaddr, bool)],
    advertise: bool,
) -> Result<Vec<String>, StartError> {
    let mut waiting: Vec<(ListenerId, Multiaddr, bool)> = Vec::new();
    for (address, needed) in addresses {
        match swarm.listen_on(address.clone()) {
            Ok(id) => waiting.push((id, address.clone(), *needed)),
            Err(error) if *needed => {
                return Err(StartError::Address { address: address.to_string(), reason: error.to_string() });
            }
            Err(_) => {}
        }
    }
    let mut found = Vec::new();
    let deadline = tokio::time::Instant::now() + LISTEN_TIMEOUT;
    loop {
        // Once each listener has an address, those that are known already are taken, too.
        let event = if waiting.is_empty() {
            match next_event(swarm).now_or_never() {
                Some(event) => event,
                None => return Ok(found),
            }
        } else {
            tokio::time::timeout_at(deadline, next_event(swarm))
                .await
                .map_err(|_| StartError::Network("listening did not begin in time".to_owned()))?
        };
        match event {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                waiting.retain(|(id, ..)| *id != listener_id);
                if advertise {
                    swarm.add_external_address(address.clone());
                }
                let address = full_address(&address, *swarm.local_peer_id());
                tracing::info!(%address, "listening");
                found.push(address);
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                let failed = waiting.iter().position(|(id, ..)| *id == listener_id).map(|at| waiting.remove(at));
                if let (Some((_, address, true)), Err(error)) = (failed, reason) {
                    return Err(StartError::Address { address: address.to_string(), reason: error.to_string() });
                }
            }
            _ => {}
        }
    }
}

async fn next_event(swarm: &mut Swarm<Behaviour>) -> SwarmEvent<behaviour::BehaviourEvent> {
    futures::StreamExt::select_next_some(swarm).await
}

async fn serve_metrics(
    config: &RendezvousConfig,
    metrics: &Arc<Metrics>,
    store: &Arc<RedbStore>,
) -> Result<(Option<SocketAddr>, Option<JoinHandle<()>>), StartError> {
    let Some(address) = config.metrics else { return Ok((None, None)) };
    let store = Arc::clone(store);
    let ready: metrics::http::Ready = Arc::new(move || store.healthy());
    let (bound, serving) = metrics::http::serve(address, Arc::clone(metrics), ready)
        .await
        .map_err(|source| StartError::Metrics { address, source })?;
    Ok((Some(bound), Some(tokio::spawn(serving))))
}
