//! Whatever the window can do, scripts can: every command of `NodeHandle` is
//! carried out over the JSON-RPC of a real process. Which commands there are
//! and what each wants comes from the dispatch table itself: its names are
//! `METHODS`, and what a command lacks is what its refusal names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use secure_chat_node::api::METHODS;
use secure_chat_tests::PASSWORD;
use secure_chat_tests::process::{ProcessNode, ProcessPeer};
use serde_json::{Map, Value, json};
use tokio::process::Command;

/// Only a promise that is broken waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than any command has parameters, times what is tried for each.
const TRIES_MAX: usize = 60;

const INVALID_PARAMS: i64 = -32602;
const APPLICATION_ERROR: i64 = -32000;

/// What the application itself refuses here, in the order of the table, and why: the account is open already,
/// nothing waits to be answered, nobody else is in the group, the one file is one's own and on its way nowhere, only
/// what may be left out was asked for and is missing, there is no window. All else is carried out.
const REFUSED: &[(&str, &str)] = &[
    ("account.create", "account_exists"),
    ("account.unlock", "conflict"),
    ("account.import", "conflict"),
    ("security.dismiss", "not_found"),
    ("security.clear", "confirmation_required"),
    ("network.add_rendezvous", "conflict"),
    ("network.remove_rendezvous", "not_allowed"),
    ("network.host_rendezvous", "not_allowed"),
    ("network.stop_hosting", "not_found"),
    ("contacts.request", "invalid_input"),
    ("contacts.cancel_request", "not_found"),
    ("contacts.accept", "not_found"),
    ("contacts.decline", "not_found"),
    ("contacts.accept_key_change", "not_found"),
    ("groups.join", "invalid_input"),
    ("groups.approve", "not_found"),
    ("groups.reject", "not_found"),
    ("groups.set_role", "not_found"),
    ("groups.remove_member", "not_found"),
    ("groups.ban", "not_found"),
    ("groups.unban", "not_found"),
    ("groups.transfer", "not_found"),
    ("groups.revoke_invite", "not_found"),
    ("groups.delete_local", "not_allowed"),
    ("files.share", "invalid_input"),
    ("files.download", "not_allowed"),
    ("files.cancel", "conflict"),
    ("files.pause", "not_allowed"),
    ("files.resume", "not_allowed"),
    ("files.preview", "not_found"),
];

fn peer(dir: &Path, name: &str, home: &str) -> ProcessPeer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-process"));
    command.args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--rendezvous", home]);
    command.arg("--data-dir").arg(dir.join(name));
    ProcessPeer::start(command).unwrap()
}

/// What a command came to.
#[derive(Debug)]
enum Outcome {
    Done,
    /// The application's own kind of refusal.
    Refused(String),
}

/// Alice, whose commands are called, and bob, with whom she has something to do.
struct Town {
    alice: ProcessPeer,
    bob: ProcessPeer,
    dir: PathBuf,
    home: String,
    /// Accounts that alice has had: a wiped one leaves its name at the node.
    names: usize,
    /// What a parameter of this name can be: ids that are real.
    known: Map<String, Value>,
    files: usize,
}

impl Town {
    async fn ask(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.alice.ask(method, params.clone()).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        answer.unwrap_or_else(|_| panic!("{method} was not answered")).unwrap()
    }

    async fn result(&mut self, method: &str, params: Value) -> Value {
        self.alice.call(method, params).await.unwrap()
    }

    fn know(&mut self, name: &str, value: impl Into<Value>) {
        self.known.insert(name.to_owned(), value.into());
    }

    /// A path where nothing is yet, beside the file that is shared.
    fn fresh_path(&mut self) -> String {
        self.files += 1;
        self.dir.join(format!("written-{}", self.files)).display().to_string()
    }

    /// An open account with a contact, a message, a group and a file: whatever
    /// the last command took away is made again.
    async fn settle(&mut self) {
        if self.result("account.status", json!({})).await["state"] != "unlocked" {
            let unlocked = self.alice.call("account.unlock", json!({"password": PASSWORD})).await;
            if unlocked.is_err() {
                self.names += 1;
                let name = format!("alice{}", self.names);
                self.result("account.create", json!({"username": name, "password": PASSWORD})).await;
            }
        }
        self.befriend().await;
        let me = self.result("account.status", json!({})).await["username"].as_str().unwrap().to_owned();
        let sent = self.result("messages.send", json!({"to": "bob", "text": "hello"})).await;
        let requests = self.result("contacts.requests", json!({})).await;
        let request = requests["incoming"][0]["request_id"].clone();
        let groups = self.result("groups.list", json!({})).await["groups"].clone();
        let joined = groups.as_array().unwrap().iter().find(|group| group["role"] == "owner");
        let group = match joined {
            Some(group) => group["group_id"].clone(),
            None => {
                let made = json!({"name": "circle", "public": false, "join": "open"});
                self.result("groups.create", made).await["group_id"].clone()
            }
        };
        let said = self.result("groups.send", json!({"group_id": group, "text": "hello all"})).await;
        let files = self.result("files.list", json!({})).await["files"].clone();
        let file = match files.as_array().unwrap().iter().find(|file| file["state"] == "shared") {
            Some(file) => file["file_id"].clone(),
            None => {
                let path = self.dir.join("plan.txt");
                std::fs::write(&path, "the plan").unwrap();
                self.result("files.share", json!({"path": path, "to": "bob"})).await["file_id"].clone()
            }
        };
        for (name, value) in [
            ("message_id", sent["message_id"].clone()),
            ("messages.mark_read.up_to", sent["message_id"].clone()),
            ("groups.mark_read.up_to", said["message_id"].clone()),
            ("request_id", request),
            ("group_id", group),
            ("file_id", file),
            ("username", me.into()),
            ("conversation", "bob".into()),
            ("user", "bob".into()),
            ("to", "bob".into()),
        ] {
            self.know(name, value);
        }
    }

    async fn befriend(&mut self) {
        let known = self.result("contacts.list", json!({})).await;
        if known["contacts"].as_array().unwrap().iter().any(|contact| contact["state"] == "accepted") {
            return;
        }
        // Whatever stands between the two is out of the way first, on both sides.
        let _ = self.alice.call("contacts.unblock", json!({"user": "bob"})).await;
        let _ = self.alice.call("contacts.remove", json!({"user": "bob"})).await;
        let theirs = self.bob.call("contacts.list", json!({})).await.unwrap();
        for contact in theirs["contacts"].as_array().unwrap() {
            self.bob.call("contacts.remove", json!({"user": contact["account_id"]})).await.unwrap();
        }
        while self.alice.events.try_recv().is_ok() {}
        let invite = self.bob.call("account.invite", json!({})).await.unwrap()["invite"].clone();
        self.result("contacts.request", json!({"invite": invite})).await;
        let met = async {
            while self.alice.event_or_nothing("contact.accepted").await.is_none() {
                // Somebody who asks again and again is set aside.
                let _ = self.bob.call("security.release", json!({})).await;
                let requests = self.bob.call("contacts.requests", json!({})).await.unwrap();
                for request in requests["incoming"].as_array().unwrap() {
                    let _ = self.bob.call("contacts.accept", json!({"request_id": request["request_id"]})).await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, met).await.expect("bob never heard of the request");
    }

    /// What might go into a parameter of this name, the likeliest first.
    fn candidates(&mut self, method: &str, field: &str, said: &str) -> Vec<Value> {
        let known = self.known.get(&format!("{method}.{field}")).or_else(|| self.known.get(field));
        let mut candidates: Vec<Value> = known.cloned().into_iter().collect();
        // "unknown variant `x`, expected one of `a`, `b`"
        if let Some((_, expected)) = said.split_once("expected") {
            candidates.extend(expected.split('`').skip(1).step_by(2).map(Value::from));
        }
        match field {
            "path" => candidates.push(self.fresh_path().into()),
            "password" | "passphrase" | "old" => candidates.push(PASSWORD.into()),
            "new" => candidates.push(PASSWORD.into()),
            "emoji" => candidates.push("👍".into()),
            "key" => candidates.push("typing".into()),
            "value" => candidates.push(true.into()),
            _ => {}
        }
        candidates.extend([json!("something"), json!(true), json!(1), json!([]), json!({})]);
        candidates
    }

    /// Calls a command until its parameters are such that it is carried out.
    async fn call(&mut self, method: &str) -> Outcome {
        let mut params = Map::new();
        // For the parameter that was named last: what else it could be.
        let mut trying: Option<(String, std::vec::IntoIter<Value>)> = None;
        for _ in 0..TRIES_MAX {
            let answer = self.ask(method, &Value::Object(params.clone())).await;
            let Some(error) = answer.get("error") else { return Outcome::Done };
            let code = error["code"].as_i64().unwrap();
            if code == APPLICATION_ERROR {
                println!("{method} is refused: {}", error["message"]);
                return Outcome::Refused(error["data"]["kind"].as_str().unwrap().to_owned());
            }
            assert_eq!(code, INVALID_PARAMS, "{method} is in the table and not behind the door: {error}");
            let field = error["data"]["field"].as_str().unwrap_or_else(|| panic!("{method}: {error}")).to_owned();
            let said = error["message"].as_str().unwrap();
            let next = match &mut trying {
                Some((tried, values)) if *tried == field && !said.contains("expected one of") => values.next(),
                _ => {
                    let mut values = self.candidates(method, &field, said).into_iter();
                    let first = values.find(|value| params.get(&field) != Some(value));
                    trying = Some((field.clone(), values));
                    first
                }
            };
            params.insert(field.clone(), next.unwrap_or_else(|| panic!("{method}: nothing fits {field}: {error}")));
        }
        panic!("{method} takes nothing that was tried: {params:?}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_handle_is_carried_out_over_json_rpc() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rendezvous-process"));
    command.arg(dir.join("node")).arg("/ip4/127.0.0.1/tcp/0");
    let node = ProcessNode::start(command).await.unwrap();
    let home = node.address.clone();
    let mut bob = peer(&dir, "bob", &home);
    bob.call("account.create", json!({"username": "bob", "password": PASSWORD})).await.unwrap();
    bob.registered().await.unwrap();
    let alice = peer(&dir, "alice", &home);
    let mut town = Town { alice, bob, dir, home, names: 0, known: Map::new(), files: 0 };
    let address = town.home.clone();
    town.know("address", address);

    let mut refused = Vec::new();
    for method in METHODS {
        town.settle().await;
        match town.call(method).await {
            Outcome::Done => {}
            Outcome::Refused(kind) => refused.push((*method, kind)),
        }
    }
    println!("{} of {} commands were carried out", METHODS.len() - refused.len(), METHODS.len());
    println!("refused by the application itself: {refused:?}");
    let refused: Vec<(&str, &str)> = refused.iter().map(|(method, kind)| (*method, kind.as_str())).collect();
    assert_eq!(refused, REFUSED, "what is carried out, and what is refused why");
}
