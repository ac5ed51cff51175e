//! Two people, each a process of its own, so that the memory of each side can be told apart.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use secure_chat_tests::PASSWORD;
use secure_chat_tests::process::ProcessPeer;
use serde_json::{Value, json};
use tokio::process::Command;

use super::CHUNK_BYTES;

/// The kernel counts processor time in these: `getconf CLK_TCK`.
const TICKS_PER_SECOND: f64 = 100.0;

/// One side.
pub(super) struct Side {
    pub(super) peer: ProcessPeer,
    pid: u32,
}

/// What one side took from the machine.
pub(super) struct Took {
    pub(super) peak_mb: f64,
    pub(super) cpu_s: f64,
}

impl Side {
    pub(super) async fn start(dir: &Path, name: &str, home: Option<&str>, new: bool) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer-process"));
        command.args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--data-dir"]).arg(dir.join(name));
        command.args(home.iter().flat_map(|home| ["--rendezvous", home]));
        let mut peer = ProcessPeer::start(command)?;
        if new {
            peer.call("account.create", json!({"username": name, "password": PASSWORD})).await?;
        } else {
            peer.call("account.unlock", json!({"password": PASSWORD})).await?;
        }
        if home.is_some() && new {
            peer.registered().await?;
        }
        let pid = peer.id().context("the peer ended")?;
        Ok(Self { peer, pid })
    }

    fn cpu_s(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // After the name of the program, which stands in brackets: utime and stime are the 12th and 13th.
        let (_, rest) = stat.rsplit_once(") ").context("no name")?;
        let ticks: Vec<f64> = rest.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
    }

    /// Forgets the peak so far, that of the password's key derivation. Returns the processor time.
    pub(super) fn begin(&self) -> anyhow::Result<f64> {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid), "5")?;
        self.cpu_s()
    }

    /// Since [`Self::begin`], which returned `cpu_s`.
    pub(super) fn took(&self, cpu_s: f64) -> anyhow::Result<Took> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM")).context("no peak")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no peak")?.parse()?;
        Ok(Took { peak_mb: kib * 1024.0 / 1e6, cpu_s: self.cpu_s()? - cpu_s })
    }

    /// Asks, and waits as long as it takes.
    async fn long(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        let mut answer = self.peer.ask(method, params).await?.await?;
        anyhow::ensure!(answer.get("error").is_none(), "{method}: {answer}");
        Ok(answer["result"].take())
    }

    pub(super) async fn share(&mut self, path: &Path) -> anyhow::Result<String> {
        let shared = self.long("files.share", json!({"path": path, "to": "bob", "expires": "never"})).await?;
        Ok(shared["file_id"].as_str().context("no id")?.to_owned())
    }

    pub(super) async fn offered(&mut self) -> anyhow::Result<String> {
        Ok(self.peer.event("file.shared").await?["file_id"].as_str().context("no id")?.to_owned())
    }

    /// Fetches a file into `folder`, and removes it again.
    pub(super) async fn download(&mut self, file: &str, folder: &Path) -> anyhow::Result<Duration> {
        std::fs::create_dir_all(folder)?;
        let started = Instant::now();
        self.long("files.download", json!({"file_id": file, "path": folder})).await?;
        let took = started.elapsed();
        std::fs::remove_dir_all(folder)?;
        Ok(took)
    }
}

/// Alice and Bob, who are contacts.
pub(super) async fn pair(dir: &Path, home: Option<&str>) -> anyhow::Result<(Side, Side)> {
    let mut alice = Side::start(dir, "alice", home, true).await?;
    let mut bob = Side::start(dir, "bob", home, true).await?;
    let invite = bob.peer.call("account.invite", json!({})).await?["invite"].take();
    alice.peer.call("contacts.request", json!({"invite": invite})).await?;
    let request = bob.peer.event("contact.request").await?["request_id"].take();
    bob.peer.call("contacts.accept", json!({"request_id": request})).await?;
    alice.peer.event("contact.accepted").await?;
    Ok((alice, bob))
}

/// A file of so many bytes.
pub(super) fn file_of(dir: &Path, name: &str, bytes: usize) -> anyhow::Result<PathBuf> {
    let path = dir.join(name);
    let block: Vec<u8> = (0..CHUNK_BYTES).map(|at| (at % 251) as u8).collect();
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    for at in (0..bytes).step_by(CHUNK_BYTES) {
        std::io::Write::write_all(&mut file, block.get(..CHUNK_BYTES.min(bytes - at)).unwrap_or_default())?;
    }
    std::io::Write::flush(&mut file)?;
    file.get_ref().sync_all()?;
    Ok(path)
}
