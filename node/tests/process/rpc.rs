//! JSON-RPC on standard input and output.

use serde_json::{Value, json};

use crate::peer::{PASSWORD, Peer, signal};

#[test]
fn bad_lines_get_their_codes_and_the_peer_keeps_running() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    let mut code = |line: &str| {
        peer.say(line);
        peer.next_answer().unwrap()["error"]["code"].clone()
    };
    assert_eq!(code("{\"jsonrpc\""), -32700);
    assert_eq!(code("[]"), -32600);
    assert_eq!(code("17"), -32600);
    assert_eq!(code("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"account.explode\"}"), -32601);
    assert_eq!(code(&format!("\"{}\"", "x".repeat(2 * 1024 * 1024))), -32700);
    let missing = peer.call("messages.send", json!({"to": "bob"}));
    assert_eq!((&missing["error"]["code"], &missing["error"]["data"]["field"]), (&json!(-32602), &json!("text")));
    let unknown = peer.call("account.list", json!({"colour": "red"}));
    assert_eq!((&unknown["error"]["code"], &unknown["error"]["data"]["field"]), (&json!(-32602), &json!("colour")));
    assert_eq!(peer.result("account.status", json!({}))["state"], "none");
    assert!(peer.end().success());
}

#[test]
fn requests_may_be_pipelined_and_batched() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    let mut ids: Vec<u64> = (0..500).map(|_| peer.ask("account.status", Value::Null)).collect();
    while !ids.is_empty() {
        let answer = peer.next_answer().unwrap();
        assert_eq!(answer["result"]["state"], "none");
        ids.swap_remove(ids.iter().position(|id| answer["id"] == *id).expect("each is answered once"));
    }
    peer.say(r#"[{"jsonrpc":"2.0","id":"a","method":"account.list"},{"jsonrpc":"2.0","method":"account.list"},{}]"#);
    let batch = peer.next_answer().unwrap();
    assert_eq!(batch.as_array().unwrap().len(), 2, "{batch}");
    assert_eq!(batch[0]["result"], json!({"accounts": []}));
}

#[test]
fn the_end_of_input_is_a_clean_stop_after_all_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    let create = peer.ask("account.create", json!({"username": "alice", "password": PASSWORD}));
    let status = peer.ask("account.status", Value::Null);
    peer.end_input();
    let mut answered: Vec<u64> =
        std::iter::from_fn(|| peer.next_answer()).map(|answer| answer["id"].as_u64().unwrap()).collect();
    answered.sort_unstable();
    assert_eq!(answered, [create, status]);
    assert!(peer.end().success());
    let mut peer = Peer::start(dir.path());
    assert_eq!(peer.result("account.unlock", json!({"password": PASSWORD}))["username"], "alice");
}

#[test]
fn sigterm_and_ctrl_c_are_clean_stops() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["TERM", "INT"] {
        let mut peer = Peer::start(dir.path());
        peer.result("account.status", Value::Null);
        signal(&peer.child, name);
        assert_eq!(peer.next_answer(), None, "standard output ends");
        assert!(peer.child.wait().unwrap().success(), "{name}");
    }
}

#[test]
fn a_killed_peer_lost_nothing_that_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::with_account(dir.path(), "alice");
    let before = peer.result("account.status", Value::Null);
    peer.result("settings.set", json!({"key": "typing", "value": false}));
    peer.kill();
    let mut peer = Peer::start(dir.path());
    assert_eq!(peer.result("account.status", Value::Null)["state"], "locked");
    let after = peer.result("account.unlock", json!({"password": PASSWORD}));
    assert_eq!((&after["account_id"], &after["peer_id"]), (&before["account_id"], &before["peer_id"]));
    assert_eq!(peer.result("settings.get", json!({"key": "typing"}))["settings"]["typing"], false);
}

#[test]
fn a_second_process_is_told_that_the_vault_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Peer::with_account(dir.path(), "alice");
    let mut second = Peer::start(dir.path());
    assert_eq!(second.refusal("account.unlock", json!({"password": PASSWORD})), "vault_in_use");
    first.result("account.lock", Value::Null);
    assert_eq!(second.result("account.unlock", json!({"password": PASSWORD}))["username"], "alice");
}

#[test]
fn each_bad_account_call_gets_the_kind_that_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    let password = |text: &str| json!({"username": "alice", "password": text});
    assert_eq!(peer.refusal("account.unlock", json!({"password": PASSWORD})), "no_account");
    assert_eq!(peer.refusal("contacts.list", json!({})), "no_account");
    for name in ["al", "alice smith", "al\u{456}ce", &"a".repeat(31), ""] {
        let answer = peer.call("account.create", json!({"username": name, "password": PASSWORD}));
        assert_eq!(answer["error"]["data"], json!({"kind": "invalid_input", "field": "username"}), "{name}");
    }
    let weak = peer.call("account.create", password("Password1!"));
    assert_eq!(weak["error"]["data"], json!({"kind": "invalid_input", "field": "password"}));
    peer.result("account.create", password(PASSWORD));
    assert_eq!(peer.refusal("account.create", json!({"username": "carol", "password": PASSWORD})), "conflict");
    peer.result("account.lock", Value::Null);
    assert_eq!(peer.refusal("contacts.list", json!({})), "locked");
    assert_eq!(peer.refusal("account.create", json!({"username": "ALICE", "password": PASSWORD})), "account_exists");
    assert_eq!(peer.refusal("account.unlock", json!({"password": "Wrong-Horse-7"})), "wrong_password");
    assert_eq!(peer.result("account.status", Value::Null)["state"], "locked");
}

#[test]
fn events_are_numbered_without_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::with_account(dir.path(), "alice");
    for value in [false, true, false] {
        peer.result("settings.set", json!({"key": "typing", "value": value}));
    }
    let mut seen = vec![peer.next_event()];
    while seen.iter().filter(|event| event["type"] == "settings.changed").count() < 3 {
        seen.push(peer.next_event());
    }
    let numbers: Vec<u64> = seen.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    assert!(seen.iter().any(|event| event["type"] == "account.unlocked"));
}
