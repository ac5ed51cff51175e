//! The account locks itself when nobody is there, and keeps strangers out when its owner wants that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::{Duration, Instant};

use secure_chat_node::api::{AccountState, ErrorKind, Event, NodeHandle};
use secure_chat_node::config::{NodeConfig, Transport};
use secure_chat_node::engine::Node;
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_tests::{PASSWORD, Persona, TestNet};

/// What the setting counts in here.
const MINUTE: Duration = Duration::from_millis(150);

fn peer(dir: &Path) -> NodeHandle {
    let mut config = NodeConfig::new(dir);
    config.mdns = false;
    config.kdf = Argon2Params::LEAST;
    config.transport = Transport::Memory;
    config.listen = vec!["/memory/0".to_owned()];
    config.auto_lock_minute = MINUTE;
    Node::start(config).expect("a peer starts")
}

async fn state(of: &NodeHandle) -> AccountState {
    of.account_status().await.unwrap().state
}

async fn locked(by: &NodeHandle) -> Duration {
    let (mut events, began) = (by.events(), Instant::now());
    while !matches!(events.next().await.unwrap().event, Event::AccountLocked {}) {}
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_locks_itself_when_nobody_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let alice = peer(dir.path());
    alice.account_create("alice", PASSWORD).await.unwrap();
    let default = alice.settings_get("auto_lock_minutes".to_owned()).await.unwrap();
    assert_eq!(default.settings["auto_lock_minutes"], 15);
    alice.settings_set("auto_lock_minutes", 3_u32).await.unwrap();
    let idle = locked(&alice).await;
    assert!(idle >= 2 * MINUTE, "locked after {idle:?}, with three of {MINUTE:?} set");
    assert_eq!(state(&alice).await, AccountState::Locked);
    assert_eq!(alice.contacts_list().await.unwrap_err().kind, ErrorKind::Locked);
    alice.account_unlock(PASSWORD, None).await.unwrap();
    let log = alice.security_audit_log(None, 50_u32, "account".to_owned(), None, None, None, None).await.unwrap();
    assert!(log.entries.iter().any(|entry| entry.kind == "account.locked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_there_is_not_locked_out() {
    let dir = tempfile::tempdir().unwrap();
    let alice = peer(dir.path());
    alice.account_create("alice", PASSWORD).await.unwrap();
    alice.settings_set("auto_lock_minutes", 4_u32).await.unwrap();
    for _ in 0..8 {
        tokio::time::sleep(MINUTE).await;
        alice.messages_search("anything", None, None).await.unwrap();
    }
    assert_eq!(state(&alice).await, AccountState::Unlocked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_off_stays_off_and_absurd_times_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let alice = peer(dir.path());
    alice.account_create("alice", PASSWORD).await.unwrap();
    for absurd in ["10081", "4294967296", "-1", "1.5", "\"soon\"", "null", "true", "1e30"] {
        let value: serde_json::Value = serde_json::from_str(absurd).unwrap();
        let refused = alice.settings_set("auto_lock_minutes", value).await.unwrap_err();
        assert_eq!((refused.kind, refused.field), (ErrorKind::InvalidInput, Some("value")), "{absurd}");
    }
    alice.settings_set("auto_lock_minutes", 10_080_u32).await.unwrap();
    alice.settings_set("auto_lock_minutes", 0_u32).await.unwrap();
    let status = alice.account_status().await.unwrap();
    assert!(status.lock_at.is_none(), "off means never");
    tokio::time::sleep(4 * MINUTE).await;
    assert_eq!(state(&alice).await, AccountState::Unlocked);
}

/// Waits until nothing waits to be sent.
async fn handed_over(by: &Persona) {
    while by.handle().unwrap().status().await.unwrap().outbox.queued > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_people_with_an_invite_reach_who_wants_that() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (stranger, friend) = (net.persona("stranger").await.unwrap(), net.persona("friend").await.unwrap());
    let invite = alice.handle().unwrap().account_invite().await.unwrap().invite;
    alice.handle().unwrap().settings_set("who_may_request", "invited").await.unwrap();
    let (none, name) = (None::<String>, "alice".to_owned());
    stranger.handle().unwrap().contacts_request(name, none.clone(), "Hello, it is me".to_owned()).await.unwrap();
    handed_over(&stranger).await;
    // The invite was made before the setting, and is good after a restart.
    alice.away().await;
    alice.back().await.unwrap();
    friend.handle().unwrap().contacts_request(none, invite, "You gave me this".to_owned()).await.unwrap();
    let first = alice.until(|event| match event {
        Event::ContactRequest(request) => Some(request.username),
        _ => None,
    });
    assert_eq!(first.await.unwrap(), "friend");
    let waiting = alice.handle().unwrap().contacts_requests().await.unwrap().incoming;
    assert_eq!(waiting.iter().map(|request| request.username.as_str()).collect::<Vec<_>>(), ["friend"]);
    let refused = alice.handle().unwrap().settings_set("who_may_request", "friends_of_friends").await.unwrap_err();
    assert_eq!(refused.field, Some("value"));
}
