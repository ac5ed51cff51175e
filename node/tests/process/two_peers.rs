//! Two headless peers and nothing else: no rendezvous node, no directory.

use serde_json::{Value, json};

use crate::peer::{PASSWORD, Peer};

/// Alice and Bob, who have agreed to chat.
pub(crate) fn acquainted(alice: &mut Peer, bob: &mut Peer) {
    let invite = bob.result("account.invite", Value::Null)["invite"].clone();
    alice.result("contacts.request", json!({"invite": invite, "greeting": "It's me"}));
    let request = bob.event("contact.request");
    assert_eq!((&request["username"], &request["greeting"]), (&json!("alice"), &json!("It's me")));
    bob.result("contacts.accept", json!({"request_id": request["request_id"]}));
    assert_eq!(alice.event("contact.accepted")["username"], "bob");
}

#[test]
fn two_peers_meet_by_an_invite_and_chat() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut alice, mut bob) = (Peer::with_account(a.path(), "alice"), Peer::with_account(b.path(), "bob"));
    acquainted(&mut alice, &mut bob);
    let sent = alice.result("messages.send", json!({"to": "bob", "text": "hello"}));
    let received = bob.event("message.received");
    assert_eq!(
        (&received["text"], &received["from"], &received["mine"]),
        (&json!("hello"), &json!("alice"), &json!(false))
    );
    let delivered =
        std::iter::repeat_with(|| alice.event("message.state")).find(|event| event["state"] == "delivered").unwrap();
    assert_eq!(delivered["message_id"], sent["message_id"]);
    bob.result("messages.send", json!({"to": "alice", "text": "hi", "reply_to": received["message_id"]}));
    assert_eq!(alice.event("message.received")["text"], "hi");
    let history = bob.result("messages.history", json!({"conversation": "alice"}));
    let texts: Vec<&str> =
        history["messages"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["hello", "hi"]);
}

#[test]
fn pipelined_messages_arrive_once_and_in_order() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut alice, mut bob) = (Peer::with_account(a.path(), "alice"), Peer::with_account(b.path(), "bob"));
    acquainted(&mut alice, &mut bob);
    for number in 0..1_000 {
        alice.ask("messages.send", json!({"to": "bob", "text": number.to_string()}));
    }
    for number in 0..1_000 {
        assert_eq!(bob.event("message.received")["text"], number.to_string());
    }
}

#[test]
fn a_message_answered_before_a_kill_arrives_after_it() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut alice, mut bob) = (Peer::with_account(a.path(), "alice"), Peer::with_account(b.path(), "bob"));
    acquainted(&mut alice, &mut bob);
    bob.kill();
    alice.result("messages.send", json!({"to": "bob", "text": "for later"}));
    alice.kill();
    // Both come back, at other addresses, with no directory to ask: Bob finds Alice again by her invite.
    let mut alice = Peer::start(a.path());
    alice.result("account.unlock", json!({"password": PASSWORD}));
    let mut bob = Peer::start(b.path());
    bob.result("account.unlock", json!({"password": PASSWORD}));
    let address = alice.result("network.status", Value::Null)["listen"][0].clone();
    bob.result("network.dial", json!({"address": address}));
    assert_eq!(bob.event("message.received")["text"], "for later");
}
