//! Disks that go back, and devices that are there twice: each is told, no session
//! goes on with keys that were used before, and the chat heals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use secure_chat_node::api::{Event, NodeHandle};
use secure_chat_tests::{Persona, TestNet, become_contacts};

const OTHER: &str = "Another-Horse-8-Battery";
const PASSPHRASE: &str = "Passphrase-of-the-backup-9";

async fn alerted(persona: &mut Persona, rule: &str) {
    let found = persona.until(|event| match event {
        Event::SecurityAlert { kind, .. } if kind == rule => Some(()),
        _ => None,
    });
    found.await.unwrap_or_else(|error| panic!("no alert {rule}: {error}"));
}

async fn alerts(of: &NodeHandle) -> Vec<String> {
    of.security_alerts().await.unwrap().alerts.into_iter().map(|alert| alert.kind).collect()
}

async fn reads(who: &mut Persona, text: &str) {
    who.until(|event| match event {
        Event::MessageReceived(message) if message.text == text => Some(()),
        _ => None,
    })
    .await
    .unwrap_or_else(|error| panic!("{} never read {text:?}: {error}", who.name));
}

fn database(dir: &Path) -> PathBuf {
    let folders = std::fs::read_dir(dir.join("accounts")).unwrap().map(|entry| entry.unwrap().path());
    folders.into_iter().find(|path| path.is_dir()).unwrap().join("state.redb")
}

async fn talk(one: &mut Persona, other: &mut Persona, text: &str) {
    one.says(&other.name, text).await.unwrap();
    reads(other, text).await;
}

async fn two(net: &TestNet) -> (Persona, Persona) {
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    talk(&mut alice, &mut bob, "first").await;
    talk(&mut bob, &mut alice, "second").await;
    (alice, bob)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_database_put_in_place_is_told_and_the_chat_heals() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = two(&net).await;
    alice.away().await;
    let old = std::fs::read(database(alice.dir())).unwrap();
    alice.back().await.unwrap();
    talk(&mut alice, &mut bob, "third").await;
    talk(&mut bob, &mut alice, "fourth").await;
    alice.away().await;
    std::fs::write(database(alice.dir()), old).unwrap();
    alice.back().await.unwrap();
    alerted(&mut alice, "vault.rolled_back").await;
    talk(&mut alice, &mut bob, "after the rollback").await;
    talk(&mut bob, &mut alice, "and back").await;
    assert_eq!(bob.texts_of("alice").await.unwrap(), ["first", "third", "after the rollback"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_disk_that_was_turned_back_alarms_the_peer_and_the_session_heals() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = two(&net).await;
    alice.away().await;
    let old = alice.snapshot().unwrap();
    alice.back().await.unwrap();
    talk(&mut alice, &mut bob, "third").await;
    talk(&mut alice, &mut bob, "fourth").await;
    alice.away().await;
    alice.restore(&old).unwrap();
    alice.back().await.unwrap();
    // All files are as old: only Bob can notice, by a message in a place that was taken.
    alice.says("bob", "third, otherwise").await.unwrap();
    alerted(&mut bob, "session.turned_back").await;
    talk(&mut alice, &mut bob, "healed").await;
    talk(&mut bob, &mut alice, "and back").await;
    let texts = bob.texts_of("alice").await.unwrap();
    for text in ["first", "third", "fourth", "healed"] {
        assert_eq!(texts.iter().filter(|known| *known == text).count(), 1, "{text}: {texts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_as_old_in_all_its_files_is_told_by_the_node_that_knows_a_newer_record() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = two(&net).await;
    let another = net.rendezvous().await.unwrap();
    alice.away().await;
    let old = alice.snapshot().unwrap();
    alice.back().await.unwrap();
    // Her next record, since it names one more node, is at the first one.
    alice.handle().unwrap().network_add_rendezvous(another.addresses().remove(0)).await.unwrap();
    let both = |event| matches!(event, Event::NetworkState { registered: 2, .. }).then_some(());
    alice.until(both).await.unwrap();
    alice.away().await;
    alice.restore(&old).unwrap();
    alice.back().await.unwrap();
    let told = alerts(alice.handle().unwrap()).await;
    assert!(told.contains(&"record.turned_back".to_owned()), "{told:?}");
    assert!(!told.contains(&"vault.rolled_back".to_owned()), "nothing on the disk shows it: {told:?}");
    talk(&mut bob, &mut alice, "are you there?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_device_is_told_to_those_it_writes_to() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = two(&net).await;
    alice.away().await;
    let copy = alice.snapshot().unwrap();
    alice.back().await.unwrap();
    talk(&mut alice, &mut bob, "from the one that is real").await;
    let mut clone = net.device("clone", "alice");
    std::fs::create_dir_all(clone.dir()).unwrap();
    clone.restore(&copy).unwrap();
    clone.back().await.unwrap();
    clone.says("bob", "from its clone").await.unwrap();
    alerted(&mut bob, "session.turned_back").await;
    let seen = bob.handle().unwrap().security_alerts().await.unwrap().alerts;
    let alert = seen.iter().find(|alert| alert.kind == "session.turned_back").unwrap();
    assert_eq!((alert.username.as_deref(), alert.severity.as_str()), (Some("alice"), "critical"));
}

/// The first device and the restored one never go on with one session: whichever writes, under
/// whatever interleaving, no message is lost, doubled, or opened under keys of the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_and_the_first_device_never_share_a_session() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (alice, mut bob) = two(&net).await;
    let path = alice.dir().join("alice.backup").display().to_string();
    alice.handle().unwrap().account_export(path.clone(), PASSPHRASE).await.unwrap();
    let mut second = net.device("alice-2", "alice");
    second.start(|handle| async move { handle.account_import(path, PASSPHRASE, OTHER).await.map(drop) }).await.unwrap();
    assert!(alerts(second.handle().unwrap()).await.contains(&"backup.restored".to_owned()));
    let sessions = async |of: &Persona| {
        let facts = of.handle().unwrap().security_facts().await.unwrap();
        facts.sessions.into_iter().find(|fact| fact.username == "bob").and_then(|fact| fact.since).map(|at| at.0.0)
    };
    assert_ne!(sessions(&alice).await, sessions(&second).await, "the backup brought a session along");
    for round in 0..3 {
        second.says("bob", &format!("second {round}")).await.unwrap();
        reads(&mut bob, &format!("second {round}")).await;
        alice.says("bob", &format!("first {round}")).await.unwrap();
        reads(&mut bob, &format!("first {round}")).await;
    }
    let texts = bob.texts_of("alice").await.unwrap();
    let distinct: std::collections::BTreeSet<&String> = texts.iter().collect();
    assert_eq!((texts.len(), distinct.len()), (7, 7), "{texts:?}");
    // Nothing was taken for a rollback: every message came under a session of its own device.
    assert!(!alerts(bob.handle().unwrap()).await.contains(&"session.turned_back".to_owned()));
}
