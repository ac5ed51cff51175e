//! A file of 50 MB between two processes that die by SIGKILL while it moves, and
//! whose route changes twice: directly, through a relay, out of a rendezvous node.
//! A test holds it against its promises, and a benchmark prints its figures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "whatever fails here fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use secure_chat_tests::PASSWORD;
use secure_chat_tests::process::{ProcessNode, ProcessPeer};
use serde_json::json;
use tokio::process::Command;

pub(crate) const FILE_BYTES: usize = 50_000_000;
const CHUNK_BYTES: usize = 262_144;
/// Deaths while the file moves; those at a change of route come on top.
pub(crate) const DEATHS: [usize; 3] = [7, 7, 6];
const ROUTES: [&str; 3] = ["Direct", "Relayed", "Stored"];
/// Longest that anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

struct Side {
    name: &'static str,
    dir: PathBuf,
    home: String,
    /// Without a port of its own, it is reached through the relay alone.
    listens: bool,
    peer: ProcessPeer,
}

fn command(dir: &Path, name: &str, home: &str, listens: bool) -> Command {
    let log = std::fs::File::options().append(true).create(true).open(dir.join(format!("{name}.log"))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-process"));
    command.args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--rendezvous", home]);
    command.args((!listens).then_some("--listens-nowhere"));
    command.arg("--data-dir").arg(dir.join(name));
    command.env("PEER_PROCESS_LOG", "transfer=trace").stderr(Stdio::from(log));
    command
}

impl Side {
    async fn make(dir: &Path, name: &'static str, home: &str) -> Self {
        let mut peer = ProcessPeer::start(command(dir, name, home, true)).unwrap();
        peer.call("account.create", json!({"username": name, "password": PASSWORD})).await.unwrap();
        peer.registered().await.unwrap();
        Self { name, dir: dir.to_owned(), home: home.to_owned(), listens: true, peer }
    }

    async fn back(&mut self) {
        self.peer = ProcessPeer::start(command(&self.dir, self.name, &self.home, self.listens)).unwrap();
        self.peer.call("account.unlock", json!({"password": PASSWORD})).await.unwrap();
    }

    async fn dies_and_comes_back(&mut self) {
        self.peer.kill().await.unwrap();
        self.back().await;
    }
}

/// The only file of a folder whose name ends like this: how long it is.
fn length(folder: &Path, ending: &str) -> Option<u64> {
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut named = files.filter(|file| file.file_name().to_string_lossy().ends_with(ending));
    // It may be renamed at this moment.
    named.next().and_then(|file| file.metadata().ok()).map(|metadata| metadata.len())
}

/// Waits until a part of what is missing has come, so that `deaths` more fit in.
async fn moved(folder: &Path, deaths: usize, from: &mut u64, until: u64) {
    let step = until.saturating_sub(*from) / (deaths as u64 + 1);
    let wait = async {
        loop {
            // No event tells how far it is to the millisecond; the disk does.
            match length(folder, ".part") {
                Some(length) if length > *from + step => return length,
                _ => assert_eq!(length(folder, ".zip"), None, "it arrived before all had died"),
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    };
    *from = tokio::time::timeout(PATIENCE, wait).await.expect("nothing moves");
}

/// What the log of the receiver tells of one phase.
#[derive(Default)]
struct Told {
    /// By which routes chunks came, and how many bytes by each.
    came: BTreeMap<String, u64>,
    /// Bytes of chunks that came though they were on the disk already.
    again: u64,
    /// Bytes of chunks that came, and were not on the disk when somebody died.
    in_flight: u64,
    /// Chunks that were in flight at a death.
    unsure: BTreeSet<usize>,
}

fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(name)?;
    rest.split_whitespace().next()
}

fn tell(log: &str, written: &mut BTreeSet<usize>) -> Told {
    let mut told = Told::default();
    let mut coming = BTreeMap::<usize, u64>::new();
    for line in log.lines() {
        let Some(index) = field(line, "index=").and_then(|index| index.parse::<usize>().ok()) else { continue };
        let bytes = CHUNK_BYTES.min(FILE_BYTES - index * CHUNK_BYTES) as u64;
        match field(line, "way=") {
            Some(way) => {
                *told.came.entry(way.to_owned()).or_default() += bytes;
                if written.contains(&index) {
                    told.again += bytes;
                } else if let Some(lost) = coming.insert(index, bytes) {
                    told.in_flight += lost;
                }
            }
            None => {
                coming.remove(&index);
                written.insert(index);
            }
        }
    }
    told.in_flight += coming.values().sum::<u64>();
    told.unsure.extend(coming.into_keys());
    told
}

async fn become_contacts(alice: &mut Side, bob: &mut Side) {
    let invite = bob.peer.call("account.invite", json!({})).await.unwrap()["invite"].take();
    alice.peer.call("contacts.request", json!({"invite": invite})).await.unwrap();
    let request = bob.peer.event("contact.request").await.unwrap()["request_id"].take();
    bob.peer.call("contacts.accept", json!({"request_id": request})).await.unwrap();
    alice.peer.event("contact.accepted").await.unwrap();
}

fn node_command(dir: &Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rendezvous-process"));
    command.arg(dir.join("node")).arg(listen);
    command
}

/// What came twice.
pub(crate) struct Outcome {
    /// Bytes of chunks that were on the disk already.
    pub(crate) again: u64,
    /// Bytes of chunks that were in flight when somebody died.
    pub(crate) in_flight: u64,
}

/// Moves the file; all but what came twice is looked at here.
pub(crate) async fn twenty_deaths_and_two_changes_of_route() -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (dir, to) = (folder.path(), folder.path().join("downloads"));
    std::fs::create_dir(&to).unwrap();
    let mut content = vec![0; FILE_BYTES];
    rand_chacha::ChaCha8Rng::seed_from_u64(20).fill_bytes(&mut content);
    std::fs::write(dir.join("film.zip"), &content).unwrap();
    let mut node = ProcessNode::start(node_command(dir, "/ip4/127.0.0.1/tcp/0")).await.unwrap();
    let home = node.address.clone();
    let listen = home.split("/p2p/").next().unwrap().to_owned();
    let mut alice = Side::make(dir, "alice", &home).await;
    let mut bob = Side::make(dir, "bob", &home).await;
    become_contacts(&mut alice, &mut bob).await;
    // Nothing is left at the node before its turn comes.
    alice.peer.call("settings.set", json!({"key": "upload_max_bytes", "value": 0})).await.unwrap();
    let shared = json!({"path": dir.join("film.zip"), "to": "bob", "expires": "never"});
    alice.peer.call("files.share", shared).await.unwrap();
    let file = bob.peer.event("file.shared").await.unwrap()["file_id"].take();
    // Who waits for the answer dies with him.
    let _answer = bob.peer.ask("files.download", json!({"file_id": file, "path": to})).await.unwrap();

    let (mut at, mut ends) = (0, Vec::new());
    for (phase, deaths) in DEATHS.into_iter().enumerate() {
        if phase == 1 {
            (alice.listens, bob.listens) = (false, false);
            alice.back().await;
            bob.back().await;
        } else if phase == 2 {
            alice.back().await;
            alice.peer.call("settings.set", json!({"key": "upload_max_bytes", "value": FILE_BYTES})).await.unwrap();
            while alice.peer.event("file.completed").await.unwrap()["direction"] != "upload" {}
            alice.peer.kill().await.unwrap();
            bob.back().await;
        }
        let until = FILE_BYTES as u64 * (phase as u64 + 1) / DEATHS.len() as u64;
        for death in 0..deaths {
            moved(&to, deaths - death, &mut at, until).await;
            match (phase, death % 2) {
                (_, 0) => bob.dies_and_comes_back().await,
                (2, _) => {
                    node.kill().await.unwrap();
                    node = ProcessNode::start(node_command(dir, &listen)).await.unwrap();
                }
                _ => alice.dies_and_comes_back().await,
            }
        }
        if phase < 2 {
            moved(&to, 0, &mut at, until).await;
            bob.peer.kill().await.unwrap();
            alice.peer.kill().await.unwrap();
        } else {
            while bob.peer.event("file.completed").await.unwrap()["direction"] != "download" {}
        }
        ends.push(usize::try_from(std::fs::metadata(dir.join("bob.log")).unwrap().len()).unwrap());
    }
    assert_eq!(std::fs::read(to.join("film.zip")).unwrap(), content);

    let log = std::fs::read_to_string(dir.join("bob.log")).unwrap();
    let (mut written, mut unsure, mut from) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut outcome = Outcome { again: 0, in_flight: 0 };
    for (end, route) in ends.into_iter().zip(ROUTES) {
        let told = tell(&log[from..end], &mut written);
        println!("  {:?}, {} bytes again, {} in flight at deaths", told.came, told.again, told.in_flight);
        // After a death the relay may be there first, and carries it until the direct way is.
        let carried = told.came.keys().filter(|came| route != "Direct" || *came != "Relayed");
        assert_eq!(carried.collect::<Vec<_>>(), [route], "the route that carried this part");
        assert!(told.came[route] > FILE_BYTES as u64 / 10, "a good part of it");
        assert!(told.in_flight <= 7 * 8 * 1024 * 1024, "no more than the window is in flight");
        unsure.extend(told.unsure);
        from = end;
        outcome.again += told.again;
        outcome.in_flight += told.in_flight;
    }
    // What was written at the moment of a death is there, and nobody was left to tell of it.
    let told = |chunk: &usize| written.contains(chunk) || unsure.contains(chunk);
    assert_eq!((0..FILE_BYTES.div_ceil(CHUNK_BYTES)).find(|chunk| !told(chunk)), None, "a chunk that nobody told of");
    outcome
}
