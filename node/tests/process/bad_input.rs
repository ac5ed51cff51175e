//! Bad input to the real program: each gets the kind of error that `interfaces.md` names,
//! or a sentence in the shell, and nothing is lost.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::peer::{PASSWORD, Peer, script};
use crate::two_peers::acquainted;

fn data(answer: &Value) -> &Value {
    &answer["error"]["data"]
}

/// Where the only account of this data directory keeps a file.
fn account_file(data_dir: &Path, name: &str) -> PathBuf {
    let account = std::fs::read_dir(data_dir.join("accounts")).unwrap().next().unwrap().unwrap();
    account.path().join(name)
}

#[test]
fn names_with_control_or_look_alike_characters_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    let names = [
        "al\u{7}ce",
        "al\u{1b}[2Jce",
        "alice\u{200b}",
        "\u{202e}ecila",
        "\u{430}lice",
        "ａｌｉｃｅ",
        "al\nce",
        "al-ce",
    ];
    for name in names {
        let answer = peer.call("account.create", json!({"username": name, "password": PASSWORD}));
        assert_eq!(data(&answer), &json!({"kind": "invalid_input", "field": "username"}), "{name:?}");
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(!said.chars().any(char::is_control), "a log or a terminal may show it: {said:?}");
    }
    assert_eq!(peer.result("account.list", json!({})), json!({"accounts": []}));
}

#[test]
fn a_text_over_16_kib_is_refused_with_the_limit_and_one_of_16_kib_arrives() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut alice, mut bob) = (Peer::with_account(a.path(), "alice"), Peer::with_account(b.path(), "bob"));
    acquainted(&mut alice, &mut bob);
    let answer = alice.call("messages.send", json!({"to": "bob", "text": "x".repeat(16 * 1024 + 1)}));
    assert_eq!((&data(&answer)["kind"], &data(&answer)["limit_bytes"]), (&json!("too_large"), &json!(16 * 1024)));
    assert_eq!(data(&alice.call("messages.send", json!({"to": "bob", "text": " \n "})))["kind"], "invalid_input");
    let longest = "é".repeat(8 * 1024);
    alice.result("messages.send", json!({"to": "bob", "text": longest}));
    assert_eq!(bob.event("message.received")["text"], json!(longest));
}

#[test]
fn what_is_no_multiaddress_or_no_rendezvous_address_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::with_account(dir.path(), "alice");
    let wrong = json!({"kind": "invalid_input", "field": "address"});
    for address in ["", "localhost:4001", "/ip4/256.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/99999", "/dns4//tcp/1", "tcp"] {
        assert_eq!(data(&peer.call("network.dial", json!({"address": address}))), &wrong, "{address:?}");
        assert_eq!(data(&peer.call("network.add_rendezvous", json!({"address": address}))), &wrong, "{address:?}");
    }
    // An address, but whose it is, nobody knows.
    let nameless = peer.call("network.add_rendezvous", json!({"address": "/ip4/127.0.0.1/tcp/4001"}));
    assert_eq!(data(&nameless), &wrong);
    assert!(nameless["error"]["message"].as_str().unwrap().contains("/p2p/"), "{nameless}");
    let unused = peer.call("network.dial", json!({"address": "/ip4/127.0.0.1/tcp/9"}));
    assert_eq!(data(&unused)["kind"], "not_connected");
    assert_eq!(peer.result("network.status", json!({}))["rendezvous"], json!([]));
}

#[test]
fn a_peer_that_is_no_rendezvous_node_is_shown_as_one_that_does_not_serve() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut alice, mut bob) = (Peer::with_account(a.path(), "alice"), Peer::with_account(b.path(), "bob"));
    let bobs = bob.result("network.status", json!({}))["listen"][0].clone();
    alice.result("network.add_rendezvous", json!({"address": bobs}));
    let node = loop {
        alice.event("network.state");
        let node = alice.result("network.status", json!({}))["rendezvous"][0].clone();
        if node["state"] != "connecting" && node["state"] != "connected" {
            break node;
        }
    };
    assert_eq!(node["state"], "refused");
    assert!(node["detail"].as_str().unwrap().len() > 10, "{node}");
}

#[test]
fn a_damaged_or_newer_vault_is_named_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::with_account(dir.path(), "alice");
    let account = peer.result("account.status", json!({}))["account_id"].clone();
    assert!(peer.end().success());
    let (keys, state) = (account_file(dir.path(), "vault.key"), account_file(dir.path(), "state.redb"));
    let harm = |file: &Path, change: fn(&mut Vec<u8>), kind: &str, words: &str| {
        let whole = std::fs::read(file).unwrap();
        let mut harmed = whole.clone();
        change(&mut harmed);
        std::fs::write(file, &harmed).unwrap();
        let mut peer = Peer::start(dir.path());
        assert_eq!(peer.refusal("account.unlock", json!({"password": PASSWORD})), kind);
        assert!(peer.end().success());
        let (_, said) = script(dir.path(), &["login", PASSWORD]);
        assert!(said.to_lowercase().contains(words), "{said}");
        assert_eq!(std::fs::read(file).unwrap(), harmed, "left as it was");
        std::fs::write(file, whole).unwrap();
    };
    harm(&state, |bytes| bytes.truncate(bytes.len() / 2), "vault_damaged", "damaged");
    harm(&state, Vec::clear, "vault_damaged", "damaged");
    harm(&keys, |bytes| bytes.truncate(30), "vault_damaged", "damaged");
    harm(&keys, |bytes| bytes[8] = 9, "unsupported_version", "newer");
    let mut peer = Peer::start(dir.path());
    assert_eq!(peer.result("account.unlock", json!({"password": PASSWORD}))["account_id"], account);
}

/// A file system of this size at `dir`, gone when dropped; nothing where that is not allowed.
struct SmallDisk<'d>(&'d Path);

impl<'d> SmallDisk<'d> {
    fn mount(dir: &'d Path, bytes: usize) -> Option<Self> {
        let size = format!("size={bytes}");
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // One that is not mounted any more needs nothing.
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[test]
fn a_disk_that_is_really_full_is_named_and_loses_nothing_that_was_answered() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(_disk) = SmallDisk::mount(a.path(), 16 * 1024 * 1024) else {
        println!("SKIPPED: a full disk needs to mount one, as root on Linux");
        return;
    };
    let (mut alice, mut bob) = (Peer::with_account(a.path(), "alice"), Peer::with_account(b.path(), "bob"));
    acquainted(&mut alice, &mut bob);
    bob.kill();
    let filler = a.path().join("filler");
    let text = "long ".repeat(3_000);
    let mut sent = Vec::new();
    let refused = loop {
        if sent.len() == 5 {
            // Something else takes the rest of the disk.
            let mut file = std::fs::File::create(&filler).unwrap();
            while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        }
        let answer = alice.call("messages.send", json!({"to": "bob", "text": text}));
        match answer["result"]["message_id"].as_str() {
            Some(id) => sent.push(id.to_owned()),
            None => break answer,
        }
    };
    assert_eq!(data(&refused)["kind"], "disk_full", "{refused}");
    std::fs::remove_file(&filler).unwrap();
    let last = alice.result("messages.send", json!({"to": "bob", "text": "room again"}));
    sent.push(last["message_id"].as_str().unwrap().to_owned());
    assert!(alice.end().success());
    let mut alice = Peer::start(a.path());
    alice.result("account.unlock", json!({"password": PASSWORD}));
    let page = alice.result("messages.history", json!({"conversation": "bob", "limit": 500}));
    let kept: Vec<&str> =
        page["messages"].as_array().unwrap().iter().map(|row| row["message_id"].as_str().unwrap()).collect();
    assert_eq!(kept, sent);
    assert!(alice.end().success());
}
