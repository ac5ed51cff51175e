//! The rows of `interfaces.md` for accounts, the network, settings, people, contacts and
//! messages: each method takes what its row says, and answers with the fields that it names.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::peer::{PASSWORD, Peer};
use crate::two_peers::acquainted;

/// Every field is there.
pub(crate) fn has(value: &Value, fields: &str) {
    let there: BTreeSet<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    for field in fields.split_whitespace() {
        assert!(there.contains(field), "no {field} in {value}");
    }
}

pub(crate) fn kind(answer: &Value) -> (&Value, &Value) {
    (&answer["error"]["data"]["kind"], &answer["error"]["data"]["field"])
}

fn groups_of_hex(text: &Value) {
    let text = text.as_str().unwrap();
    assert!(text.split(' ').all(|group| group.len() == 4 && group.bytes().all(|b| b.is_ascii_hexdigit())), "{text}");
}

pub(crate) fn in_utc(at: &Value) {
    let at = at.as_str().unwrap();
    assert!(at.contains('T') && at.ends_with('Z'), "{at}");
}

#[test]
fn accounts() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    assert_eq!(peer.result("account.list", json!({})), json!({"accounts": []}));
    assert_eq!(peer.result("account.status", json!({})), json!({"state": "none"}));
    let strength = peer.result("account.password_strength", json!({"password": "abc", "username": "alice"}));
    has(&strength, "score warnings missing");
    assert!(strength["score"].as_u64().unwrap() <= 4 && !strength["missing"].as_array().unwrap().is_empty());
    let made = peer.result("account.create", json!({"username": "Alice", "password": PASSWORD}));
    has(&made, "username account_id peer_id fingerprint");
    groups_of_hex(&made["fingerprint"]);
    let listed = peer.result("account.list", json!({}))["accounts"][0].clone();
    assert_eq!((&listed["username"], &listed["account_id"]), (&json!("Alice"), &made["account_id"]));
    let status = peer.result("account.status", json!({}));
    has(&status, "state username peer_id fingerprint unlocked_at account_id");
    in_utc(&status["unlocked_at"]);
    assert!(peer.result("account.invite", json!({}))["invite"].as_str().unwrap().starts_with("secure-chat:"));
    peer.result("account.lock", json!({}));
    assert_eq!(peer.result("account.status", json!({}))["state"], "locked");
    let again = peer.result("account.unlock", json!({"password": PASSWORD, "username": "alice"}));
    assert_eq!(again, made, "the name is compared without case");
    let other = peer.call("account.unlock", json!({"password": PASSWORD}));
    assert_eq!(kind(&other).0, "conflict");
}

#[test]
fn the_network_settings_and_the_whole_status() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::with_account(dir.path(), "alice");
    let node = "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    assert_eq!(peer.result("network.add_rendezvous", json!({"address": node}))["address"], node);
    assert_eq!(kind(&peer.call("network.add_rendezvous", json!({"address": node}))).0, "conflict");
    let status = peer.result("network.status", json!({}));
    has(&status, "peer_id listen connections rendezvous nat relayed_via");
    has(&status["rendezvous"][0], "address peer_id state");
    peer.result("network.remove_rendezvous", json!({"address": node}));
    assert_eq!(kind(&peer.call("network.remove_rendezvous", json!({"address": node}))).0, "not_found");
    assert_eq!(peer.result("network.connections", json!({})), json!({"connections": []}));
    has(&peer.result("network.traffic", json!({"since": "2026-01-01T00:00:00Z"})), "points");
    assert_eq!(kind(&peer.call("network.host_rendezvous", json!({}))).0, "not_allowed");
    assert!(!peer.result("network.diagnostics", json!({}))["text"].as_str().unwrap().contains("alice"));

    let all = peer.result("settings.get", json!({}))["settings"].clone();
    assert!(all.as_object().unwrap().len() > 5, "{all}");
    let one = peer.result("settings.set", json!({"key": "typing", "value": false}));
    assert_eq!(one["settings"]["typing"], false);
    assert_eq!(peer.event("settings.changed")["type"], "settings.changed");
    assert_eq!(kind(&peer.call("settings.set", json!({"key": "colour", "value": 1}))).0, "invalid_input");

    let status = peer.result("status", json!({}));
    has(&status, "version uptime_s account network storage outbox counts");
    has(&status["storage"], "path bytes");
    has(&status["outbox"], "queued");
    has(&status["counts"], "contacts groups messages files");
    assert_eq!(status["account"]["state"], "unlocked");
}

#[test]
fn people_and_contacts() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut alice, mut bob) = (Peer::with_account(a.path(), "alice"), Peer::with_account(b.path(), "bob"));
    for status in ["online", "away", "invisible", "online"] {
        alice.result("presence.set", json!({"status": status}));
    }
    assert_eq!(alice.call("presence.set", json!({"status": "dancing"}))["error"]["code"], -32602);
    let invite = bob.result("account.invite", json!({}))["invite"].clone();
    let asked = alice.result("contacts.request", json!({"invite": invite, "greeting": "Hi"}));
    has(&asked, "request_id");
    let request = bob.event("contact.request");
    let fields = "request_id username fingerprint greeting at state account_id";
    has(&request, fields);
    has(&bob.result("contacts.requests", json!({}))["incoming"][0], fields);
    has(&alice.result("contacts.requests", json!({}))["outgoing"][0], fields);
    alice.result("contacts.cancel_request", json!({"request_id": asked["request_id"]}));
    assert_eq!(kind(&alice.call("contacts.cancel_request", json!({"request_id": "x"}))).0, "not_found");
    let again = alice.result("contacts.request", json!({"invite": invite}));
    let request = std::iter::repeat_with(|| bob.event("contact.request"))
        .find(|request| request["request_id"] == again["request_id"])
        .unwrap();
    assert_eq!(
        bob.result("contacts.accept", json!({"request_id": request["request_id"]})),
        json!({"conversation": "alice"})
    );
    let accepted = alice.event("contact.accepted");
    let fields = "username peer_id fingerprint state verified online unread account_id";
    has(&accepted, fields);
    has(&alice.result("contacts.list", json!({}))["contacts"][0], fields);
    has(&alice.result("users.online", json!({}))["users"][0], "username peer_id fingerprint account_id");
    let connection = alice.result("network.connections", json!({}))["connections"][0].clone();
    has(&connection, "peer_id username address transport route rtt_ms since");
    in_utc(&connection["since"]);

    let number = alice.result("contacts.safety_number", json!({"user": "bob"}));
    has(&number, "number qr");
    let groups: Vec<&str> = number["number"].as_str().unwrap().split(' ').collect();
    assert!(groups.len() == 12 && groups.iter().all(|group| group.len() == 5), "{number}");
    assert_eq!(bob.result("contacts.safety_number", json!({"user": "alice"})), number);
    // A name, an account id or a peer id.
    for user in ["username", "account_id", "peer_id"] {
        alice.result("contacts.verify", json!({"user": accepted[user], "verified": true}));
    }
    assert_eq!(kind(&alice.call("contacts.verify", json!({"user": "carol", "verified": true}))).0, "not_found");
    let no_change = alice.call("contacts.accept_key_change", json!({"user": "bob", "fingerprint": "00"}));
    assert_eq!(kind(&no_change).0, "not_found");
    alice.result("contacts.mute", json!({"user": "bob", "until": "2100-01-01T00:00:00Z"}));
    assert_eq!(alice.result("contacts.list", json!({}))["contacts"][0]["muted_until"], json!("2100-01-01T00:00:00Z"));
    alice.result("contacts.block", json!({"user": "bob"}));
    assert_eq!(alice.result("contacts.list", json!({}))["contacts"][0]["state"], "blocked");
    alice.result("contacts.unblock", json!({"user": "bob"}));
    alice.result("contacts.remove", json!({"user": "bob"}));
    assert_eq!(alice.result("contacts.list", json!({})), json!({"contacts": []}));
    let nobody = alice.call("users.find", json!({"username": "nobody"}));
    assert_eq!(kind(&nobody).0, "not_connected", "no rendezvous node could be asked");
}

#[test]
fn messages() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut alice, mut bob) = (Peer::with_account(a.path(), "alice"), Peer::with_account(b.path(), "bob"));
    acquainted(&mut alice, &mut bob);
    let first = alice.result("messages.send", json!({"to": "bob", "text": "one"}))["message_id"].clone();
    let received = bob.event("message.received");
    has(&received, "message_id conversation from text at state account_id");
    in_utc(&received["at"]);
    let answer = json!({"to": "alice", "text": "two", "reply_to": received["message_id"]});
    let second = bob.result("messages.send", answer)["message_id"].clone();
    assert_eq!(alice.event("message.received")["reply_to"], first);
    alice.result("messages.edit", json!({"message_id": first, "text": "One"}));
    assert_eq!(bob.event("message.edited")["text"], "One");
    bob.result("messages.react", json!({"message_id": first, "emoji": "👍"}));
    has(&alice.event("message.reaction")["reactions"], "👍");
    bob.result("messages.react", json!({"message_id": first, "emoji": ""}));
    assert!(alice.event("message.reaction").get("reactions").is_none());
    bob.result("messages.typing", json!({"to": "alice"}));
    has(&alice.event("typing"), "conversation username active");
    assert_eq!(alice.result("messages.draft", json!({"conversation": "bob", "text": "dear"})), json!({"text": "dear"}));
    assert_eq!(alice.result("messages.draft", json!({"conversation": "bob"})), json!({"text": "dear"}));

    let page = alice.result("messages.history", json!({"conversation": "bob", "limit": 1}));
    has(&page, "messages more");
    assert_eq!((&page["messages"][0]["message_id"], &page["more"]), (&second, &json!(true)));
    let before = alice.result("messages.history", json!({"conversation": "bob", "before": second}));
    assert_eq!(before["messages"][0]["message_id"], first);
    has(&before["messages"][0], "message_id conversation from text at state edited");
    let after = alice.result("messages.history", json!({"conversation": "bob", "after": first}));
    assert_eq!(after["messages"][0]["message_id"], second);
    let around = alice.result("messages.history", json!({"conversation": "bob", "around": first}));
    assert_eq!(around["messages"].as_array().unwrap().len(), 2);
    let too_many = alice.call("messages.history", json!({"conversation": "bob", "limit": 501}));
    assert_eq!(kind(&too_many), (&json!("invalid_input"), &json!("limit")));
    assert_eq!(alice.result("messages.history", json!({"conversation": "bob", "limit": 500}))["more"], false);
    let found = alice.result("messages.search", json!({"query": "two", "conversation": "bob", "limit": 5}));
    assert_eq!(found["messages"][0]["message_id"], second);

    alice.result("messages.mark_read", json!({"conversation": "bob", "up_to": second}));
    assert_eq!(alice.event("unread.changed")["unread"], 0);
    std::iter::repeat_with(|| bob.event("message.state")).find(|event| event["state"] == "read").unwrap();
    assert_eq!(kind(&alice.call("messages.retry", json!({"message_id": "x"}))).0, "not_found");
    alice.result("messages.delete", json!({"message_id": first, "for_everyone": true}));
    assert_eq!(bob.event("message.deleted")["message_id"], first);
    let stranger = alice.call("messages.send", json!({"to": "carol", "text": "hi"}));
    assert_eq!(kind(&stranger).0, "not_found");
}
