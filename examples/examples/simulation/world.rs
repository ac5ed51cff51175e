//! The peers and nodes of a simulation, how they start, leave, die and return.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use indicatif::ProgressBar;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use secure_chat_node::api::{Event, NodeHandle};
use secure_chat_node::config::{NodeConfig, Transport};
use secure_chat_node::engine::Node;
use secure_chat_node::network::Partition;
use secure_chat_node::store::fault::{Faults, FaultyDisk};
use secure_chat_node::store::{FileDisk, StoreOptions};
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use tempfile::TempDir;

use crate::{Carrier, Options};

/// Everybody's password.
const PASSWORD: &str = "Correct-Horse-7-Battery";
/// Longer than anything should take, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(90);

/// A message as its sender was told that it is safe.
pub(crate) struct SentMessage {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) at: Instant,
    pub(crate) recipient_online: bool,
    pub(crate) seen_after: Option<Duration>,
}

/// What was sent, and when it was shown.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) messages: Vec<SentMessage>,
    by_text: HashMap<String, usize>,
    pub(crate) shown: usize,
    requests: Vec<(usize, String)>,
    accepted: usize,
}

/// One peer.
pub(crate) struct Peer {
    pub(crate) name: String,
    dir: PathBuf,
    pub(crate) handle: Option<NodeHandle>,
    faults: Faults,
    /// Whom it can't reach.
    pub(crate) partition: Partition,
    pub(crate) friends: BTreeSet<usize>,
    pub(crate) wire_bytes: u64,
}

/// One rendezvous node.
struct Host {
    dir: PathBuf,
    node: Option<RendezvousNode>,
    address: String,
}

/// Everything.
pub(crate) struct World {
    carrier: Carrier,
    hosts: Vec<Host>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) kills: usize,
    _folder: TempDir,
}

/// What a message says: unique, and with a few words to be searched for.
pub(crate) fn text(number: usize) -> String {
    format!("message {number} over the river and through the woods")
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl World {
    /// Starts all nodes and peers; every peer is registered everywhere when this returns.
    pub(crate) async fn start(options: &Options, bar: &ProgressBar) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut world = Self {
            carrier: options.transport,
            hosts: Vec::new(),
            peers: Vec::new(),
            ledger: Arc::default(),
            kills: 0,
            _folder: folder,
        };
        for number in 0..options.rendezvous {
            let dir = world._folder.path().join(format!("rendezvous-{number}"));
            let mut host = Host { dir, node: None, address: String::new() };
            world.start_host(&mut host).await?;
            world.hosts.push(host);
        }
        for number in 0..usize::from(options.peers) {
            bar.set_message(format!("starting peer {}", number + 1));
            let dir = world._folder.path().join(format!("peer-{number}"));
            let name = format!("peer_{number}");
            world.peers.push(Peer {
                name,
                dir,
                handle: None,
                faults: Faults::default(),
                partition: Partition::default(),
                friends: BTreeSet::new(),
                wire_bytes: 0,
            });
            world.start_peer(number, true).await?;
        }
        for number in 0..world.peers.len() {
            world.registered(number).await?;
        }
        Ok(world)
    }

    async fn start_host(&self, host: &mut Host) -> anyhow::Result<()> {
        let mut config = RendezvousConfig::new(&host.dir);
        let listen = match (self.carrier, host.address.split_once("/p2p/")) {
            (_, Some((before, _))) => before.to_owned(),
            (Carrier::Tcp, None) => "/ip4/127.0.0.1/tcp/0".to_owned(),
            (Carrier::Memory, None) => format!("/memory/{}", 7_000 + self.hosts.len()),
        };
        if self.carrier == Carrier::Memory {
            config = config.in_memory();
        }
        let node = RendezvousNode::start(config.listening_on(listen)).await?;
        host.address = node.addresses().into_iter().next().context("the rendezvous node listens nowhere")?;
        host.node = Some(node);
        Ok(())
    }

    /// Starts a peer, from its vault unless it is `new`, and notes what it is shown.
    pub(crate) async fn start_peer(&mut self, number: usize, new: bool) -> anyhow::Result<()> {
        let homes = self.homes();
        let carrier = self.carrier;
        let peer = self.peers.get_mut(number).context("no such peer")?;
        let mut config = NodeConfig::new(&peer.dir);
        config.rendezvous = homes;
        config.mdns = false;
        config.kdf = Argon2Params::LEAST;
        config.partition = peer.partition.clone();
        (config.transport, config.listen) = match carrier {
            Carrier::Tcp => (Transport::Internet, vec!["/ip4/127.0.0.1/tcp/0".to_owned()]),
            Carrier::Memory => (Transport::Memory, vec!["/memory/0".to_owned()]),
        };
        peer.faults = Faults::default();
        let disk = Arc::new(FaultyDisk::new(FileDisk, peer.faults.clone()));
        let handle = Node::start_on(config, StoreOptions { disk, ..StoreOptions::default() })?;
        let mut events = handle.events();
        let (ledger, name) = (Arc::clone(&self.ledger), number);
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                lock(&ledger).note(name, event.event);
            }
        });
        if new {
            handle.account_create(peer.name.clone(), PASSWORD).await?;
        } else {
            handle.account_unlock(PASSWORD, None::<String>).await?;
        }
        peer.handle = Some(handle);
        Ok(())
    }

    /// Waits until a peer is registered at all nodes.
    async fn registered(&self, number: usize) -> anyhow::Result<()> {
        let handle = self.handle(number)?;
        let mut events = handle.events();
        let registered = async {
            loop {
                let status = handle.network_status().await?;
                if status.rendezvous.iter().all(|node| node.state == "registered") {
                    return Ok::<_, anyhow::Error>(());
                }
                events.next().await.context("the peer stopped")?;
            }
        };
        tokio::time::timeout(PATIENCE, registered)
            .await
            .map_err(|_| anyhow!("peer {number} was not registered in time"))?
    }

    /// The addresses of the rendezvous nodes.
    pub(crate) fn homes(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.address.clone()).collect()
    }

    pub(crate) fn handle(&self, number: usize) -> anyhow::Result<NodeHandle> {
        self.peers.get(number).and_then(|peer| peer.handle.clone()).context("the peer is away")
    }

    /// Everybody asks up to three others by name, who accept.
    pub(crate) async fn befriend(&mut self, random: &mut ChaCha8Rng) -> anyhow::Result<()> {
        let count = self.peers.len();
        let mut asked = 0;
        for from in 0..count {
            for _ in 0..3 {
                let to = random.random_range(0..count);
                let known = self.peers.get(from).is_some_and(|peer| peer.friends.contains(&to));
                if to == from || known {
                    continue;
                }
                let name = self.peers.get(to).map(|peer| peer.name.clone()).unwrap_or_default();
                self.handle(from)?
                    .contacts_request(Some(name), None::<String>, Some("Shall we talk?".to_owned()))
                    .await?;
                asked += 1;
                self.befriended(from, to);
                self.accept_until(asked).await?;
            }
        }
        Ok(())
    }

    fn befriended(&mut self, one: usize, other: usize) {
        for (a, b) in [(one, other), (other, one)] {
            if let Some(peer) = self.peers.get_mut(a) {
                peer.friends.insert(b);
            }
        }
    }

    /// Accepts what was asked until so many requests are answered at both ends.
    async fn accept_until(&self, asked: usize) -> anyhow::Result<()> {
        let answered = async {
            while lock(&self.ledger).accepted < asked * 2 {
                let waiting = std::mem::take(&mut lock(&self.ledger).requests);
                for (number, id) in waiting {
                    self.handle(number)?.contacts_accept(id).await?;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok::<_, anyhow::Error>(())
        };
        tokio::time::timeout(PATIENCE, answered)
            .await
            .map_err(|_| anyhow!("request {asked} was not answered in time"))?
    }

    /// Sends one message; it counts once the sender was told that it is safe.
    pub(crate) async fn send(&self, from: usize, to: usize) -> anyhow::Result<()> {
        let handle = self.handle(from)?;
        let name = self.peers.get(to).map(|peer| peer.name.clone()).unwrap_or_default();
        let recipient_online = self.peers.get(to).is_some_and(|peer| peer.handle.is_some());
        let number = {
            let mut ledger = lock(&self.ledger);
            let number = ledger.messages.len();
            ledger.messages.push(SentMessage { from, to, at: Instant::now(), recipient_online, seen_after: None });
            ledger.by_text.insert(text(number), number);
            number
        };
        handle.messages_send(name, text(number), None::<String>).await.with_context(|| format!("message {number}"))?;
        Ok(())
    }

    /// A peer leaves in good order: its network is closed, its vault too.
    pub(crate) async fn leave(&mut self, number: usize) {
        self.count_bytes(number).await;
        if let Some(handle) = self.peers.get_mut(number).and_then(|peer| peer.handle.take()) {
            handle.shutdown().await;
        }
    }

    /// A peer dies: nothing reaches its disk any more, whatever it was about to write.
    pub(crate) async fn kill(&mut self, number: usize) {
        self.kills += 1;
        if let Some(peer) = self.peers.get_mut(number) {
            peer.faults.cut();
        }
        self.leave(number).await;
    }

    /// The first rendezvous node dies and comes back, with its state, at its address.
    pub(crate) async fn kill_host(&mut self) -> anyhow::Result<()> {
        if self.carrier == Carrier::Memory {
            // A port in memory is not given back by those who die: nobody could come back to it.
            return Ok(());
        }
        let mut host = self.hosts.remove(0);
        if let Some(node) = host.node.take() {
            node.abort().await;
        }
        self.kills += 1;
        let started = self.start_host(&mut host).await;
        self.hosts.insert(0, host);
        started
    }

    async fn count_bytes(&mut self, number: usize) {
        let Ok(handle) = self.handle(number) else { return };
        if let Ok(traffic) = handle.network_traffic(None).await
            && let Some(peer) = self.peers.get_mut(number)
        {
            peer.wire_bytes += traffic.points.iter().map(|point| point.bytes_out).sum::<u64>();
        }
    }

    /// Everybody is back; waits until all is shown.
    pub(crate) async fn settle(&mut self, bar: &ProgressBar) -> anyhow::Result<()> {
        for number in 0..self.peers.len() {
            if self.handle(number).is_err() {
                self.start_peer(number, false).await?;
            }
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let (shown, all) = {
                let ledger = lock(&self.ledger);
                (ledger.messages.iter().filter(|message| message.seen_after.is_some()).count(), ledger.messages.len())
            };
            bar.set_position(shown as u64);
            if shown >= all {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for number in 0..self.peers.len() {
            self.count_bytes(number).await;
        }
        Ok(())
    }

    /// Stops everything.
    pub(crate) async fn stop(mut self) {
        for number in 0..self.peers.len() {
            self.leave(number).await;
        }
        for host in &mut self.hosts {
            if let Some(node) = host.node.take() {
                node.stop().await;
            }
        }
    }
}

impl Ledger {
    fn note(&mut self, peer: usize, event: Event) {
        match event {
            Event::MessageReceived(message) => {
                self.shown += 1;
                let number = self.by_text.get(&message.text).copied();
                let known = number.and_then(|number| self.messages.get_mut(number));
                if let Some(known) = known.filter(|known| known.to == peer) {
                    known.seen_after.get_or_insert(known.at.elapsed());
                }
            }
            Event::ContactRequest(request) => self.requests.push((peer, request.request_id)),
            Event::ContactAccepted(_) => self.accepted += 1,
            _ => {}
        }
    }
}
