//! A member who is killed by SIGKILL in the middle of a rotation ends in the same
//! view as all others, with real processes: whoever removes, and whoever hears of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use secure_chat_tests::PASSWORD;
use secure_chat_tests::process::{ProcessNode, ProcessPeer};
use serde_json::{Value, json};
use tokio::process::Command;

/// Rotations in which somebody dies.
const ROUNDS: usize = 8;
/// The longest that they live after the rotation began, in milliseconds.
const LIFE_MAX_MS: u64 = 60;
/// A run is repeated with the seed that a failure names.
const SEED: u64 = 20_261_123;
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Scene {
    folder: tempfile::TempDir,
    home: String,
    group: String,
    /// Alice, who owns the group; Bob and Carol; Dave, who is put out in each round.
    peers: Vec<ProcessPeer>,
}

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];
const ALICE: usize = 0;
const BOB: usize = 1;
const DAVE: usize = 3;

fn command(dir: &Path, name: &str, home: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-process"));
    command.args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--rendezvous", home]);
    command.arg("--data-dir").arg(dir.join(name));
    command
}

impl Scene {
    async fn new(home: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut peers = Vec::new();
        for name in NAMES {
            let mut peer = ProcessPeer::start(command(folder.path(), name, home)).unwrap();
            peer.call("account.create", json!({"username": name, "password": PASSWORD})).await.unwrap();
            peers.push(peer);
        }
        let made = json!({"name": "Hikers", "public": false, "join": "invite"});
        let group = peers[ALICE].call("groups.create", made).await.unwrap()["group_id"].as_str().unwrap().to_owned();
        Self { folder, home: home.to_owned(), group, peers }
    }

    async fn call(&mut self, who: usize, method: &str, mut params: Value) -> Value {
        params["group_id"] = self.group.clone().into();
        self.peers[who].call(method, params).await.unwrap()
    }

    /// Begins something whose answer may never come.
    async fn begin(&mut self, who: usize, method: &str, mut params: Value) {
        params["group_id"] = self.group.clone().into();
        drop(self.peers[who].ask(method, params).await.unwrap());
    }

    async fn killed(&mut self, who: usize) {
        self.peers[who].kill().await.unwrap();
        self.peers[who] = ProcessPeer::start(command(self.folder.path(), NAMES[who], &self.home)).unwrap();
        self.peers[who].call("account.unlock", json!({"password": PASSWORD})).await.unwrap();
    }

    /// The group as one of them sees it.
    async fn row(&mut self, who: usize) -> Value {
        let groups = self.peers[who].call("groups.list", json!({})).await.unwrap();
        let rows = groups["groups"].as_array().unwrap();
        rows.iter().find(|row| row["group_id"] == self.group.as_str()).cloned().unwrap_or_default()
    }

    async fn members(&mut self, who: usize) -> BTreeSet<String> {
        let members = self.call(who, "groups.members", json!({})).await;
        let members = members["members"].as_array().unwrap();
        members.iter().map(|member| member["username"].as_str().unwrap().to_owned()).collect()
    }

    async fn texts(&mut self, who: usize) -> Vec<String> {
        let page = self.call(who, "groups.history", json!({"limit": 500})).await;
        let messages = page["messages"].as_array().unwrap();
        messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until these agree on who is in the group.
    async fn agree(&mut self, who: &[usize]) {
        let agreed = async {
            loop {
                let mut views = BTreeSet::new();
                for who in who {
                    let row = self.row(*who).await;
                    views.insert((row["state"].to_string(), row["view"].to_string()));
                }
                if views.len() == 1 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, agreed).await.expect("they never agreed");
    }

    /// Waits until this text stands in the history of each.
    async fn have(&mut self, who: &[usize], text: &str) {
        for who in who {
            let came = async {
                while !self.texts(*who).await.iter().any(|known| known == text) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::time::timeout(PATIENCE, came).await.unwrap_or_else(|_| panic!("{} lacks {text:?}", NAMES[*who]));
        }
    }

    async fn joins(&mut self, who: usize, link: &Value) {
        self.peers[who].call("groups.join", json!({"invite": link})).await.unwrap();
        let joined = async {
            while self.row(who).await["state"] != "joined" {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, joined).await.unwrap_or_else(|_| panic!("{} was not let in", NAMES[who]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_killed_in_the_middle_of_a_rotation_ends_in_the_same_view() {
    let node_folder = tempfile::tempdir().unwrap();
    let mut node = Command::new(env!("CARGO_BIN_EXE_rendezvous-process"));
    node.arg(node_folder.path()).arg("/ip4/127.0.0.1/tcp/0");
    let node = ProcessNode::start(node).await.unwrap();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut scene = Scene::new(&node.address).await;
    let link = scene.call(ALICE, "groups.invite", json!({})).await["invite"].clone();
    for who in [BOB, 2] {
        scene.joins(who, &link).await;
    }
    let mut not_for_dave = Vec::new();
    for round in 0..ROUNDS {
        scene.joins(DAVE, &link).await;
        scene.agree(&[ALICE, BOB, 2, DAVE]).await;
        scene.call(ALICE, "groups.send", json!({"text": format!("welcome {round}")})).await;
        scene.have(&[BOB, 2, DAVE], &format!("welcome {round}")).await;
        // The removal, and at once something that is not for Dave any more; and death at some moment of it.
        let (victim, secret) = (if round % 2 == 0 { ALICE } else { BOB }, format!("secret {round}"));
        scene.begin(ALICE, "groups.remove_member", json!({"user": "dave"})).await;
        scene.begin(ALICE, "groups.send", json!({"text": secret})).await;
        scene.begin(BOB, "groups.send", json!({"text": format!("bob {round}")})).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..LIFE_MAX_MS))).await;
        scene.killed(victim).await;
        // Whether Alice died before or after the commit: Dave is to go.
        let removed = !scene.members(ALICE).await.contains("dave");
        if removed {
            not_for_dave.push(secret);
        } else {
            scene.call(ALICE, "groups.remove_member", json!({"user": "dave"})).await;
        }
        scene.agree(&[ALICE, BOB, 2]).await;
        assert_eq!(scene.members(BOB).await, NAMES[..3].iter().map(|name| (*name).to_owned()).collect());
        for (who, name) in [(ALICE, "alice"), (BOB, "bob"), (2, "carol")] {
            let text = format!("{name} after {round}");
            scene.call(who, "groups.send", json!({"text": text})).await;
            scene.have(&[ALICE, BOB, 2], &text).await;
            not_for_dave.push(text);
        }
        let out = async {
            while scene.row(DAVE).await["state"] != "left" {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, out).await.expect("dave was never told");
        let read: Vec<String> = scene.texts(DAVE).await;
        let leaked: Vec<&String> = not_for_dave.iter().filter(|text| read.contains(text)).collect();
        assert!(leaked.is_empty(), "seed {SEED}, round {round}: dave reads {leaked:?}");
    }
    for who in [ALICE, BOB, 2] {
        let texts = scene.texts(who).await;
        let once: BTreeSet<&String> = texts.iter().collect();
        assert_eq!(once.len(), texts.len(), "{} sees something twice", NAMES[who]);
    }
}
