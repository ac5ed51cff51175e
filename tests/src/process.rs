//! Peers and rendezvous nodes in processes of their own, talked to as scripts
//! do: lines of JSON-RPC. They die by SIGKILL.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};

/// Longer than anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// A running program that speaks JSON-RPC, killed when dropped.
pub struct ProcessPeer {
    child: Child,
    /// Nothing once it was told to end.
    stdin: Option<ChildStdin>,
    waiting: Waiting,
    /// Its events.
    pub events: mpsc::UnboundedReceiver<Value>,
    last_id: u64,
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Value>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProcessPeer {
    /// Starts it.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdin = Some(child.stdin.take().context("no standard input")?);
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let (waiting, (told, events)) = (Waiting::default(), mpsc::unbounded_channel());
        let answers = Arc::clone(&waiting);
        tokio::spawn(async move {
            // A program that was killed may end in the middle of a line.
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(mut line) = serde_json::from_str::<Value>(&line) else { break };
                if let Some(id) = line["id"].as_u64() {
                    if let Some(answer) = lock(&answers).remove(&id) {
                        let _ = answer.send(line);
                    }
                } else {
                    let _ = told.send(line["params"].take());
                }
            }
            // Nobody answers those any more.
            lock(&answers).clear();
        });
        Ok(Self { child, stdin, waiting, events, last_id: 0 })
    }

    /// Asks; the answer comes later, or never when the program dies.
    ///
    /// # Errors
    /// When the program is dead.
    pub async fn ask(&mut self, method: &str, params: Value) -> anyhow::Result<oneshot::Receiver<Value>> {
        self.last_id += 1;
        let (answer, answered) = oneshot::channel();
        lock(&self.waiting).insert(self.last_id, answer);
        let line = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        let stdin = self.stdin.as_mut().context("the peer was stopped")?;
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(answered)
    }

    /// Asks and waits for the result.
    ///
    /// # Errors
    /// When the program is dead, or refuses.
    pub async fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        let answer = self.ask(method, params).await?;
        let mut answer = tokio::time::timeout(PATIENCE, answer).await??;
        if let Some(error) = answer.get("error") {
            return Err(anyhow!("{method}: {error}"));
        }
        Ok(answer["result"].take())
    }

    /// Waits for an event of this type.
    ///
    /// # Errors
    /// When the program dies, or it does not come.
    pub async fn event(&mut self, kind: &str) -> anyhow::Result<Value> {
        let wait = async {
            loop {
                let event = self.events.recv().await.context("the peer ended")?;
                if event["type"] == kind {
                    return Ok(event);
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.map_err(|_| anyhow!("no {kind} came"))?
    }

    /// The next event of this type, if one comes soon: for what may need a push in between.
    pub async fn event_or_nothing(&mut self, kind: &str) -> Option<Value> {
        let wait = async {
            loop {
                let event = self.events.recv().await?;
                if event["type"] == kind {
                    return Some(event);
                }
            }
        };
        tokio::time::timeout(Duration::from_millis(200), wait).await.ok().flatten()
    }

    /// Waits until the peer is registered at its rendezvous nodes.
    ///
    /// # Errors
    /// As [`Self::event`].
    pub async fn registered(&mut self) -> anyhow::Result<()> {
        let registered = async {
            while self.event("network.state").await?["registered"] == 0 {}
            Ok(())
        };
        tokio::time::timeout(PATIENCE, registered).await.map_err(|_| anyhow!("the peer was not registered"))?
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it as a person does: its standard input ends, and what is under way is finished.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.stdin.take();
        tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        Ok(())
    }

    /// SIGKILL, and its end.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// A running rendezvous node.
pub struct ProcessNode {
    child: Child,
    /// Where it listens, with `/p2p/`.
    pub address: String,
}

impl ProcessNode {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let line = lines.next_line().await?.context("the node ended")?;
        let line: Value = serde_json::from_str(&line)?;
        let address = line["address"].as_str().context("no address")?.to_owned();
        // A pipe that nobody reads would end the node when it writes the next line.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address })
    }

    /// SIGKILL, and its end.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}
