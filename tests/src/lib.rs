//! A test network: personas with real vaults, and rendezvous nodes, over the
//! memory transport. Tests wait for events, never for time to pass.

pub mod hold;
pub mod hostile;
pub mod memory;
pub mod process;
pub mod tap;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use secure_chat_node::api::{Event, EventStream, NodeHandle, Status};
use secure_chat_node::clock::WallClock;
use secure_chat_node::config::{Bounds, NodeConfig, Transport};
use secure_chat_node::engine::Node;
use secure_chat_node::network::plug::Plug;
use secure_chat_node::store::fault::{Faults, FaultyDisk};
use secure_chat_node::store::{FileDisk, StoreOptions};
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use tempfile::TempDir;

/// Everybody's password.
pub const PASSWORD: &str = "Correct-Horse-7-Battery";

/// Longer than anything takes on a machine that is busy with other things: only
/// a promise that is broken waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place for personas and nodes, which goes with the test.
pub struct TestNet {
    folder: TempDir,
    homes: Vec<String>,
    tcp: bool,
}

impl TestNet {
    /// With no rendezvous node.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, homes: Vec::new(), tcp: false })
    }

    /// As [`Self::new`], over TCP on the loopback interface.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub fn over_tcp() -> anyhow::Result<Self> {
        Ok(Self { tcp: true, ..Self::new()? })
    }

    /// Where everything is kept.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Starts a rendezvous node, which everybody who starts later uses.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn rendezvous(&mut self) -> anyhow::Result<RendezvousNode> {
        let dir = self.folder.path().join(format!("rendezvous-{}", self.homes.len()));
        let node = RendezvousNode::start(RendezvousConfig::new(dir).in_memory()).await?;
        self.homes.push(node.addresses().into_iter().next().context("the node listens nowhere")?);
        Ok(node)
    }

    /// Everybody who starts later uses the rendezvous node at `address`, wherever it comes from.
    pub fn use_home(&mut self, address: &str) {
        self.homes.push(address.to_owned());
    }

    /// A device of somebody, which is not started yet.
    #[must_use]
    pub fn device(&self, folder: &str, name: &str) -> Persona {
        Persona::at(self.folder.path().join(folder), self.homes.clone(), name, self.tcp)
    }

    /// Makes an account and starts its peer.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn persona(&self, name: &str) -> anyhow::Result<Persona> {
        let mut persona = Persona::at(self.folder.path().join(name), self.homes.clone(), name, self.tcp);
        persona.run(true).await?;
        Ok(persona)
    }
}

/// Somebody with a peer, which may be away.
pub struct Persona {
    dir: PathBuf,
    homes: Vec<String>,
    /// Of those, how many are waited for when the peer starts.
    homes_there: usize,
    tcp: bool,
    /// The username.
    pub name: String,
    /// Makes the disk fail on purpose.
    pub faults: Faults,
    /// Takes the network and the disk away at a send.
    pub plug: Plug,
    /// The wall clock, to be set wrong.
    pub clock: WallClock,
    /// How much is kept, from the next start on.
    pub bounds: Bounds,
    handle: Option<NodeHandle>,
    events: Option<EventStream>,
}

impl Persona {
    fn at(dir: PathBuf, homes: Vec<String>, name: &str, tcp: bool) -> Self {
        Self {
            dir,
            homes_there: homes.len(),
            homes,
            tcp,
            name: name.to_owned(),
            faults: Faults::default(),
            plug: Plug::default(),
            clock: WallClock::default(),
            bounds: Bounds::default(),
            handle: None,
            events: None,
        }
    }

    /// Where the vault is.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    async fn run(&mut self, new: bool) -> anyhow::Result<()> {
        let name = self.name.clone();
        self.start(|handle| async move {
            if new {
                handle.account_create(name, PASSWORD).await.map(drop)
            } else {
                handle.account_unlock(PASSWORD, None::<String>).await.map(drop)
            }
        })
        .await
    }

    /// Starts the peer, and opens an account as the caller says.
    ///
    /// # Errors
    /// When it can't be started or opened.
    pub async fn start<F>(&mut self, open: impl FnOnce(NodeHandle) -> F) -> anyhow::Result<()>
    where
        F: Future<Output = Result<(), secure_chat_node::api::ApiError>>,
    {
        let mut config = NodeConfig::new(&self.dir);
        config.rendezvous.clone_from(&self.homes);
        config.mdns = false;
        config.kdf = Argon2Params::LEAST;
        config.clock = self.clock.clone();
        config.bounds = self.bounds;
        config.transport = if self.tcp { Transport::Internet } else { Transport::Memory };
        config.listen = vec![if self.tcp { "/ip4/127.0.0.1/tcp/0" } else { "/memory/0" }.to_owned()];
        config.upnp = false;
        self.faults = Faults::default();
        let dying = self.faults.clone();
        self.plug = Plug::new(move || dying.cut());
        config.plug = self.plug.clone();
        let disk = Arc::new(FaultyDisk::new(FileDisk, self.faults.clone()));
        let handle = Node::start_on(config, StoreOptions { disk, ..StoreOptions::default() })?;
        self.events = Some(handle.events());
        open(handle.clone()).await?;
        self.handle = Some(handle);
        if self.homes_there > 0 {
            let all = self.homes_there;
            self.until(|event| {
                matches!(event, Event::NetworkState { registered, .. } if registered == all).then_some(())
            })
            .await?;
        }
        Ok(())
    }

    /// So many of the rendezvous nodes are still there when the peer comes back.
    pub const fn finds_homes(&mut self, there: usize) {
        self.homes_there = there;
    }

    /// Comes back, from the vault.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn back(&mut self) -> anyhow::Result<()> {
        self.run(false).await
    }

    /// Leaves: the swarm is dropped and the vault closed.
    pub async fn away(&mut self) {
        self.events = None;
        if let Some(handle) = self.handle.take() {
            handle.shutdown().await;
        }
    }

    /// Dies: nothing reaches the disk any more, whatever was about to be written.
    pub async fn killed(&mut self) {
        self.faults.cut();
        self.away().await;
    }

    /// What is on the disk now, as a thief or a backup program would take it.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn snapshot(&self) -> anyhow::Result<TempDir> {
        let copy = tempfile::tempdir()?;
        copy_folder(&self.dir, copy.path())?;
        Ok(copy)
    }

    /// Turns the disk of a peer that is away back to a snapshot.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn restore(&self, snapshot: &TempDir) -> anyhow::Result<()> {
        std::fs::remove_dir_all(&self.dir)?;
        copy_folder(snapshot.path(), &self.dir)
    }

    /// The handle on the running peer.
    ///
    /// # Errors
    /// When the peer is away.
    pub fn handle(&self) -> anyhow::Result<&NodeHandle> {
        self.handle.as_ref().context("the peer is away")
    }

    /// Waits for an event that `pick` takes.
    ///
    /// # Errors
    /// When the peer stops, or nothing comes.
    pub async fn until<T>(&mut self, pick: impl Fn(Event) -> Option<T>) -> anyhow::Result<T> {
        let events = self.events.as_mut().context("the peer is away")?;
        let wait = async {
            loop {
                let event = events.next().await.context("the peer stopped")?;
                if let Some(found) = pick(event.event) {
                    return Ok(found);
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.map_err(|_| anyhow!("{} waited in vain", self.name))?
    }

    /// From here on only what happens next is waited for.
    pub fn forget_events(&mut self) {
        self.events = self.handle.as_ref().map(NodeHandle::events);
    }

    /// The kinds of the last 500 entries of the audit log.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn audited(&self) -> anyhow::Result<BTreeSet<String>> {
        let none = || None::<String>;
        let log = self.handle()?.security_audit_log(None, 500_u32, none(), none(), None, None, none());
        Ok(log.await?.entries.into_iter().map(|entry| entry.kind).collect())
    }

    /// Waits for the next text and returns it.
    ///
    /// # Errors
    /// As [`Self::until`].
    pub async fn reads(&mut self) -> anyhow::Result<String> {
        self.until(|event| match event {
            Event::MessageReceived(message) => Some(message.text),
            _ => None,
        })
        .await
    }

    /// Sends a text.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn says(&self, to: &str, text: &str) -> anyhow::Result<String> {
        Ok(self.handle()?.messages_send(to, text, None::<String>).await?.message_id)
    }

    /// The texts of somebody in a conversation, oldest first.
    ///
    /// # Errors
    /// When the history can't be read.
    pub async fn texts_of(&self, other: &str) -> anyhow::Result<Vec<String>> {
        let page = self
            .handle()?
            .messages_history(other, None::<String>, None::<String>, None::<String>, Some(500_u32))
            .await?;
        Ok(page.messages.into_iter().filter(|message| message.from == other).map(|message| message.text).collect())
    }
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// `one` asks `other`, who accepts.
///
/// # Errors
/// When that does not happen.
pub async fn become_contacts(one: &mut Persona, other: &mut Persona) -> anyhow::Result<()> {
    let invite = other.handle()?.account_invite().await?.invite;
    one.handle()?.contacts_request(None::<String>, Some(invite), Some("Shall we talk?".to_owned())).await?;
    let request = other.until(|event| match event {
        Event::ContactRequest(request) => Some(request.request_id),
        _ => None,
    });
    let request = request.await?;
    other.handle()?.contacts_accept(request).await?;
    one.until(|event| matches!(event, Event::ContactAccepted(_)).then_some(())).await
}

/// `who` stops, and `seen_by` sees them go: who was not seen to come before that would not be seen to go.
///
/// # Errors
/// When that is not seen.
pub async fn goes_away(who: &mut Persona, seen_by: &mut Persona) -> anyhow::Result<()> {
    let name = who.name.clone();
    let changed = |event| match event {
        Event::PresenceChanged { username, status, .. } => (username == name).then_some(status),
        _ => None,
    };
    let contacts = seen_by.handle()?.contacts_list().await?.contacts;
    let mut unseen = contacts.iter().any(|contact| contact.username == name && contact.status == Status::Offline);
    while unseen {
        unseen = seen_by.until(changed).await? == Status::Offline;
    }
    // An older going that nobody has read of yet is not this one.
    seen_by.forget_events();
    who.away().await;
    while seen_by.until(changed).await? != Status::Offline {}
    Ok(())
}
