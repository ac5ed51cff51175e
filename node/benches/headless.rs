//! `cargo bench -p secure-chat-node --bench headless`: the headless peer as a
//! process of its own: from its start to the first answer, from the password to
//! the first connection, and what it takes from the machine while nothing happens.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use secure_chat_node::api::{Event, NodeHandle};
use secure_chat_node::config::NodeConfig;
use secure_chat_node::engine::Node;
use secure_chat_protocol::vault::{Argon2Params, VaultHeader};
use serde_json::{Value, json};

const PASSWORD: &str = "Correct-Horse-7-Battery";
const STARTS: usize = 20;
const CONTACTS: usize = 50;
const IDLE: Duration = Duration::from_secs(30);
/// The kernel counts processor time in these: `getconf CLK_TCK`.
const TICKS_PER_SECOND: f64 = 100.0;

struct Headless {
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::Receiver<Value>,
}

impl Headless {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_secure-chat-node"))
            .args(["rpc", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--data-dir"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().context("no standard input")?;
        let stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str(&line) else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, stdin, lines })
    }

    fn line(&self) -> anyhow::Result<Value> {
        Ok(self.lines.recv_timeout(Duration::from_secs(60))?)
    }

    fn call(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        writeln!(self.stdin, "{}", json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))?;
        loop {
            let mut line = self.line()?;
            if line["id"] == 1 {
                anyhow::ensure!(line.get("error").is_none(), "{method}: {line}");
                return Ok(line["result"].take());
            }
        }
    }

    fn until(&self, pick: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        loop {
            let line = self.line()?;
            if line["method"] == "event" && pick(&line["params"]) {
                return Ok(line["params"].clone());
            }
        }
    }

    /// Processor time so far, in seconds.
    fn processor_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().context("no fields")?.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        Ok((ticks(11) + ticks(12)) / TICKS_PER_SECOND)
    }

    /// A figure of `/proc/PID/status` in MiB.
    fn memory_mib(&self, name: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with(name)).context("no such figure")?;
        Ok(line.split_whitespace().nth(1).context("no figure")?.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e3
}

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let start = Instant::now();
        Headless::start(&folder.path().join("empty"))?.call("account.list", &json!({}))?;
        times.push(start.elapsed());
    }
    println!(
        "start to the first answer, median of {STARTS}     {:>7.1} ms    (to reach: 50; deltachat-rpc-server: 14)",
        median_ms(times)
    );
    let derivation = derivation()?;
    println!("the key derivation alone                      {:>7.1} ms", derivation.as_secs_f64() * 1e3);

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let dir = folder.path().join("headless");
    let mut peer = Headless::start(&dir)?;
    peer.call("account.create", &json!({"username": "headless", "password": PASSWORD}))?;
    let mut others = Vec::new();
    for number in 0..CONTACTS {
        others.push(runtime.block_on(friend(folder.path(), number))?);
        let invite = runtime.block_on(others[number].account_invite())?.invite;
        peer.call("contacts.request", &json!({"invite": invite}))?;
        peer.until(|event| event["type"] == "contact.accepted")?;
    }
    let mut times = Vec::new();
    for _ in 0..5 {
        drop(peer);
        peer = Headless::start(&dir)?;
        peer.call("account.list", &json!({}))?;
        let start = Instant::now();
        peer.call("account.unlock", &json!({"password": PASSWORD}))?;
        peer.until(|event| event["type"] == "network.state" && event["connections"].as_u64() > Some(0))?;
        times.push(start.elapsed().saturating_sub(derivation));
    }
    println!("unlocked and connected, derivation aside      {:>7.1} ms    (to reach: 300)", median_ms(times));

    // Whatever follows the start has gone by.
    std::thread::sleep(Duration::from_secs(15));
    let before = peer.processor_seconds()?;
    let start = Instant::now();
    std::thread::sleep(IDLE);
    let share = (peer.processor_seconds()? - before) / start.elapsed().as_secs_f64() * 100.0;
    println!("\nidle for {} s with {CONTACTS} contacts, all online", IDLE.as_secs());
    println!("processor, of one core                        {share:>7.2} %     (to reach: 0.3)");
    println!(
        "memory, resident                              {:>7.1} MiB   (to reach: 30; deltachat-rpc-server: 10 to 14)",
        peer.memory_mib("VmRSS:")?
    );
    println!("memory, of its own (not file pages)           {:>7.1} MiB", peer.memory_mib("RssAnon:")?);
    for other in others {
        runtime.block_on(other.shutdown());
    }
    Ok(())
}

/// How long the derivation of the vault's key takes here.
fn derivation() -> anyhow::Result<Duration> {
    let (header, _) = VaultHeader::create(PASSWORD, Argon2Params::default(), &mut rand::rng())?;
    let start = Instant::now();
    header.unlock(PASSWORD)?;
    Ok(start.elapsed())
}

/// Somebody who accepts every request.
async fn friend(folder: &Path, number: usize) -> anyhow::Result<NodeHandle> {
    let mut config = NodeConfig::new(folder.join(format!("friend-{number}")));
    config.mdns = false;
    config.kdf = Argon2Params::LEAST;
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let handle = Node::start(config)?;
    handle.account_create(format!("friend_{number}"), PASSWORD).await?;
    let (mut events, answers) = (handle.events(), handle.clone());
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let Event::ContactRequest(request) = event.event {
                let _ = answers.contacts_accept(request.request_id).await;
            }
        }
    });
    Ok(handle)
}
