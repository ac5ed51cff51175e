//! Many whole peers in one process, and everything that they hear.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use secure_chat_node::api::{Event, JoinPolicy, NodeHandle};
use secure_chat_node::config::NodeConfig;
use secure_chat_node::engine::Node;
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const PASSWORD: &str = "Correct-Horse-7-Battery";
const PATIENCE: Duration = Duration::from_secs(120);

/// Who can connect to whom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Everybody to everybody.
    Mesh,
    /// Everybody to the first alone: the others listen nowhere, and nobody relays.
    Star,
}

/// What somebody heard.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A message in the group.
    Text(String),
    /// This member came in.
    Came(String),
    /// This peer is in now.
    Joined,
}

struct Heard {
    who: usize,
    at: Instant,
    what: What,
}

/// The peers, by number; the first founds the group.
pub(crate) struct Crowd {
    folder: tempfile::TempDir,
    shape: Shape,
    node: RendezvousNode,
    home: String,
    handles: Vec<Option<NodeHandle>>,
    coming: Vec<JoinHandle<anyhow::Result<(usize, NodeHandle)>>>,
    inbox: mpsc::UnboundedReceiver<Heard>,
    tell: mpsc::UnboundedSender<Heard>,
    log: Vec<Heard>,
}

fn name(who: usize) -> String {
    format!("member{who:03}")
}

/// Physical memory of this process, in MiB.
pub(crate) fn memory_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// Time of processors that this process has taken.
pub(crate) fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // The 14th and 15th field, in ticks of which each second has a hundred (proc(5)).
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Starts a peer and passes on what it hears.
async fn run(
    who: usize,
    config: NodeConfig,
    new: bool,
    tell: mpsc::UnboundedSender<Heard>,
) -> anyhow::Result<(usize, NodeHandle)> {
    let handle = Node::start(config)?;
    let (mut events, mut ready) = (handle.events(), handle.events());
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let what = match event.event {
                Event::GroupMessage(message) => What::Text(message.text),
                Event::GroupMemberJoined { username, .. } => What::Came(username),
                Event::GroupJoined(_) => What::Joined,
                _ => continue,
            };
            // Nobody listens any more when the run is over.
            let _ = tell.send(Heard { who, at: Instant::now(), what });
        }
    });
    if new {
        handle.account_create(name(who), PASSWORD).await?;
    } else {
        handle.account_unlock(PASSWORD, None::<String>).await?;
    }
    let registered = async {
        while let Some(event) = ready.next().await {
            if matches!(event.event, Event::NetworkState { registered: 1.., .. }) {
                return Ok(());
            }
        }
        anyhow::bail!("a peer stopped")
    };
    tokio::time::timeout(PATIENCE, registered).await.context("a peer could not register")??;
    Ok((who, handle))
}

impl Crowd {
    /// Starts a rendezvous node and so many peers.
    pub(crate) async fn start(shape: Shape, count: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut config = RendezvousConfig::new(folder.path().join("node"));
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        if shape == Shape::Star {
            (config.limits.relay.reservations, config.limits.relay.circuits) = (0, 0);
        }
        let node = RendezvousNode::start(config).await?;
        let home = node.addresses().into_iter().next().context("the node listens nowhere")?;
        let (tell, inbox) = mpsc::unbounded_channel();
        let (handles, coming, log) = ((0..count).map(|_| None).collect(), Vec::new(), Vec::new());
        let mut crowd = Self { folder, shape, node, home, handles, coming, inbox, tell, log };
        let all: Vec<usize> = (0..count).collect();
        let began = Instant::now();
        for some in all.chunks(8) {
            let starts: Vec<_> = some.iter().map(|who| tokio::spawn(crowd.launch(*who, true))).collect();
            for start in starts {
                let (who, handle) = start.await??;
                crowd.handles[who] = Some(handle);
            }
        }
        println!("{count} peers run after {:.1} s, {:.0} MiB", began.elapsed().as_secs_f64(), memory_mib());
        Ok(crowd)
    }

    fn dir(&self, who: usize) -> PathBuf {
        self.folder.path().join(name(who))
    }

    fn launch(&self, who: usize, new: bool) -> impl Future<Output = anyhow::Result<(usize, NodeHandle)>> + use<> {
        let mut config = NodeConfig::new(self.dir(who));
        config.rendezvous = vec![self.home.clone()];
        config.mdns = false;
        config.kdf = Argon2Params::LEAST;
        config.process_memory_max_bytes = usize::MAX;
        let reachable = self.shape == Shape::Mesh || who == 0;
        config.listen = if reachable { vec!["/ip4/127.0.0.1/tcp/0".to_owned()] } else { Vec::new() };
        run(who, config, new, self.tell.clone())
    }

    fn handle(&self, who: usize) -> anyhow::Result<NodeHandle> {
        self.handles[who].clone().context("the peer is away")
    }

    /// The first makes a group and a link that lets everybody in.
    pub(crate) async fn found_group(&self) -> anyhow::Result<(String, String)> {
        let owner = self.handle(0)?;
        let group = owner.groups_create("Hikers", None::<String>, false, JoinPolicy::Invite).await?.group_id;
        let link = owner.groups_invite(group.clone(), None::<String>, None).await?.invite.context("no link")?;
        Ok((group, link))
    }

    /// Somebody asks to join, and the owner greets them: how long it took until they read that.
    pub(crate) async fn join(&mut self, who: usize, group: &str, link: &str) -> anyhow::Result<Duration> {
        let start = Instant::now();
        self.handle(who)?.groups_join(None::<String>, Some(link.to_owned())).await?;
        self.wait(|heard| heard.who == 0 && heard.what == What::Came(name(who)), PATIENCE).await?;
        let hello = format!("hello {}", name(who));
        self.say(0, group, &hello).await?;
        let read = self.wait(|heard| heard.who == who && heard.what == What::Text(hello.clone()), PATIENCE).await?;
        Ok(read - start)
    }

    /// Says something; when it was asked for.
    pub(crate) async fn say(&mut self, who: usize, group: &str, text: &str) -> anyhow::Result<Instant> {
        let start = Instant::now();
        self.handle(who)?.groups_send(group, text, None::<String>).await?;
        Ok(start)
    }

    /// Says something without waiting for the answer.
    pub(crate) fn send(&self, who: usize, group: &str, text: String) -> JoinHandle<anyhow::Result<()>> {
        let (handle, group) = (self.handle(who), group.to_owned());
        tokio::spawn(async move {
            handle?.groups_send(group, text, None::<String>).await?;
            Ok(())
        })
    }

    /// Removes a member.
    pub(crate) async fn remove(&self, who: usize, group: &str, member: usize) -> anyhow::Result<()> {
        self.handle(who)?.groups_remove_member(group, name(member)).await?;
        Ok(())
    }

    /// Bytes that somebody sent so far.
    pub(crate) async fn bytes_sent(&self, who: usize) -> anyhow::Result<u64> {
        Ok(self.traffic(who).await?.1)
    }

    /// Bytes that somebody received and sent so far.
    pub(crate) async fn traffic(&self, who: usize) -> anyhow::Result<(u64, u64)> {
        let points = self.handle(who)?.network_traffic(None).await?.points;
        Ok((points.iter().map(|point| point.bytes_in).sum(), points.iter().map(|point| point.bytes_out).sum()))
    }

    /// These stop: the swarm is dropped and the vault closed.
    pub(crate) fn leave(&mut self, some: &BTreeSet<usize>) {
        for who in some {
            if let Some(handle) = self.handles[*who].take() {
                tokio::spawn(async move { handle.shutdown().await });
            }
        }
    }

    /// These start again, from their vaults.
    pub(crate) fn come_back(&mut self, some: &BTreeSet<usize>) {
        let starts: Vec<_> = some.iter().map(|who| tokio::spawn(self.launch(*who, false))).collect();
        self.coming.extend(starts);
    }

    async fn next(&mut self, until: Instant) -> Option<()> {
        let heard = tokio::time::timeout_at(until.into(), self.inbox.recv()).await.ok()??;
        self.log.push(heard);
        Some(())
    }

    /// Waits until something was heard, now or before; when.
    async fn wait(&mut self, is: impl Fn(&Heard) -> bool, patience: Duration) -> anyhow::Result<Instant> {
        let (until, mut seen) = (Instant::now() + patience, 0);
        loop {
            if let Some(found) = self.log[seen..].iter().find(|heard| is(heard)) {
                return Ok(found.at);
            }
            seen = self.log.len();
            self.next(until).await.context("what was waited for did not come")?;
        }
    }

    /// Waits until all of these heard a text; when the last did.
    pub(crate) async fn heard_by(
        &mut self,
        text: &str,
        all: &BTreeSet<usize>,
        patience: Duration,
    ) -> anyhow::Result<Instant> {
        self.all_hear(&What::Text(text.to_owned()), all, patience).await
    }

    /// Waits until all of these know that somebody came in; when the last did.
    pub(crate) async fn came_to(
        &mut self,
        newcomer: usize,
        all: &BTreeSet<usize>,
        patience: Duration,
    ) -> anyhow::Result<Instant> {
        self.all_hear(&What::Came(name(newcomer)), all, patience).await
    }

    async fn all_hear(&mut self, what: &What, all: &BTreeSet<usize>, patience: Duration) -> anyhow::Result<Instant> {
        let mut last = None;
        let (until, mut missing, mut seen) = (Instant::now() + patience, all.clone(), 0);
        loop {
            for heard in &self.log[seen..] {
                if heard.what == *what && missing.remove(&heard.who) {
                    last = Some(heard.at);
                }
            }
            seen = self.log.len();
            if missing.is_empty() {
                return last.context("nobody was to hear it");
            }
            self.next(until).await.with_context(|| format!("not heard by {missing:?}"))?;
        }
    }

    /// Waits until so many of these texts were heard, each counted once for each member, or
    /// until nothing more comes.
    pub(crate) async fn collect(
        &mut self,
        count: usize,
        texts: &BTreeSet<String>,
        patience: Duration,
    ) -> BTreeMap<(String, usize), Instant> {
        let (mut found, mut seen, until) = (BTreeMap::new(), 0, Instant::now() + patience);
        loop {
            for heard in &self.log[seen..] {
                if let What::Text(text) = &heard.what
                    && texts.contains(text)
                {
                    found.entry((text.clone(), heard.who)).or_insert(heard.at);
                }
            }
            seen = self.log.len();
            if found.len() >= count || self.next(until).await.is_none() {
                return found;
            }
        }
    }

    /// What somebody heard so far.
    pub(crate) fn heard(&self, who: usize) -> Vec<What> {
        self.log.iter().filter(|heard| heard.who == who).map(|heard| heard.what.clone()).collect()
    }

    /// Waits until the first so many members name one view.
    pub(crate) async fn agree(&self, group: &str, members: usize, patience: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + patience;
        loop {
            let mut views = BTreeSet::new();
            for who in 0..members {
                let groups = self.handle(who)?.groups_list().await?.groups;
                views.insert(groups.into_iter().find(|row| row.group_id == group).context("no group")?.view);
            }
            if views.len() == 1 {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < until, "the members do not agree");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Everybody stops.
    pub(crate) async fn stop(mut self) {
        for coming in self.coming.drain(..) {
            if let Ok(Ok((who, handle))) = coming.await {
                self.handles[who] = Some(handle);
            }
        }
        let stops: Vec<_> = self.handles.iter_mut().filter_map(Option::take).collect();
        futures::future::join_all(stops.iter().map(NodeHandle::shutdown)).await;
        self.node.stop().await;
    }
}
