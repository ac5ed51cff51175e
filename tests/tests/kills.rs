//! No message that was answered to its sender is lost or shown twice, in order
//! for each sender, with real processes that die by SIGKILL at random points.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use secure_chat_tests::PASSWORD;
use secure_chat_tests::process::{ProcessNode, ProcessPeer};
use serde_json::json;
use tokio::process::Command;

/// SIGKILLs of one run, on either side and on the rendezvous node.
const KILLS: usize = 200;
/// The longest that everybody lives between two of them, in milliseconds.
const LIFE_MAX_MS: u64 = 250;
/// A run is repeated with the seed that a failure names.
const SEED: u64 = 20_261_123;

struct Side {
    name: &'static str,
    other: &'static str,
    peer: ProcessPeer,
    sent: usize,
    answered: Vec<String>,
    flight: Vec<(String, tokio::sync::oneshot::Receiver<serde_json::Value>)>,
}

fn peer_command(dir: &Path, name: &str, home: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-process"));
    command.args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--rendezvous", home]);
    command.arg("--data-dir").arg(dir.join(name));
    command
}

fn node_command(dir: &Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rendezvous-process"));
    command.arg(dir.join("node")).arg(listen);
    command
}

impl Side {
    async fn make(dir: &Path, name: &'static str, other: &'static str, home: &str) -> Self {
        let mut peer = ProcessPeer::start(peer_command(dir, name, home)).unwrap();
        peer.call("account.create", json!({"username": name, "password": PASSWORD})).await.unwrap();
        Self { name, other, peer, sent: 0, answered: Vec::new(), flight: Vec::new() }
    }

    async fn killed(&mut self, dir: &Path, home: &str) {
        self.peer.kill().await.unwrap();
        self.settle().await;
        self.peer = ProcessPeer::start(peer_command(dir, self.name, home)).unwrap();
        self.peer.call("account.unlock", json!({"password": PASSWORD})).await.unwrap();
    }

    async fn send(&mut self) {
        self.sent += 1;
        let text = format!("{} {}", self.name, self.sent);
        let params = json!({"to": self.other, "text": text});
        self.flight.push((text, self.peer.ask("messages.send", params).await.unwrap()));
        if self.flight.len() >= 8 {
            self.settle().await;
        }
    }

    /// Waits for all answers; those of a dead peer never come.
    async fn settle(&mut self) {
        for (text, answer) in self.flight.drain(..) {
            if let Ok(answer) = answer.await {
                assert!(answer.get("error").is_none(), "{text}: {answer}");
                self.answered.push(text);
            }
        }
    }

    /// The texts of the other side as they are in this vault, oldest first.
    async fn shown(&mut self) -> Vec<String> {
        let mut pages = Vec::new();
        let mut params = json!({"conversation": self.other, "limit": 500});
        loop {
            let page = self.peer.call("messages.history", params.clone()).await.unwrap();
            let messages = page["messages"].as_array().unwrap().clone();
            let first = messages.first().map(|message| message["message_id"].clone());
            pages.push(messages);
            if page["more"] != true {
                break;
            }
            params["before"] = first.unwrap();
        }
        let all = pages.into_iter().rev().flatten();
        let theirs = all.filter(|message| message["from"] == self.other);
        theirs.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    }
}

fn number(text: &str) -> usize {
    text.rsplit(' ').next().unwrap().parse().unwrap()
}

fn check(shown: &[String], answered: &[String]) {
    let numbers: Vec<usize> = shown.iter().map(|text| number(text)).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "doubled or out of order: {numbers:?}");
    let lost: Vec<&String> = answered.iter().filter(|text| !shown.contains(text)).collect();
    assert!(lost.is_empty(), "answered to their sender, and lost: {lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answered_message_is_lost_or_doubled_by_two_hundred_kills() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut node = ProcessNode::start(node_command(dir, "/ip4/127.0.0.1/tcp/0")).await.unwrap();
    let home = node.address.clone();
    let listen = home.split("/p2p/").next().unwrap().to_owned();
    let mut alice = Side::make(dir, "alice", "bob", &home).await;
    let mut bob = Side::make(dir, "bob", "alice", &home).await;
    let invite = bob.peer.call("account.invite", json!({})).await.unwrap()["invite"].clone();
    alice.peer.call("contacts.request", json!({"invite": invite})).await.unwrap();
    let request = bob.peer.event("contact.request").await.unwrap()["request_id"].clone();
    bob.peer.call("contacts.accept", json!({"request_id": request})).await.unwrap();
    alice.peer.event("contact.accepted").await.unwrap();

    for _ in 0..KILLS {
        let until = tokio::time::Instant::now() + Duration::from_millis(random.random_range(0..LIFE_MAX_MS));
        while tokio::time::Instant::now() < until {
            let side = if random.random_bool(0.5) { &mut alice } else { &mut bob };
            side.send().await;
            tokio::time::sleep(Duration::from_millis(random.random_range(0..10))).await;
        }
        match random.random_range(0..5) {
            0 | 1 => alice.killed(dir, &home).await,
            2 | 3 => bob.killed(dir, &home).await,
            _ => {
                node.kill().await.unwrap();
                node = ProcessNode::start(node_command(dir, &listen)).await.unwrap();
            }
        }
    }
    alice.settle().await;
    bob.settle().await;
    let last = [format!("alice {}", alice.sent + 1), format!("bob {}", bob.sent + 1)];
    alice.send().await;
    bob.send().await;
    alice.settle().await;
    bob.settle().await;
    let arrived = async {
        loop {
            let shown = [bob.shown().await.last().cloned(), alice.shown().await.last().cloned()];
            if shown.iter().flatten().eq(last.iter()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), arrived).await.expect("the last messages did not arrive");
    check(&bob.shown().await, &alice.answered);
    check(&alice.shown().await, &bob.answered);
    println!("seed {SEED}: {KILLS} kills, {} and {} messages answered", alice.answered.len(), bob.answered.len());
    assert!(alice.answered.len() > KILLS && bob.answered.len() > KILLS, "hardly anything was sent");
}
