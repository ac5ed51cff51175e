//! A chat request reaches its end whoever dies on the way, at every commit; and
//! sessions heal when a vault was turned back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use secure_chat_node::api::{ContactState, ErrorKind, Event, RequestState};
use secure_chat_tests::{Persona, TestNet, become_contacts};

/// Syncs after which somebody dies, each in a run of its own.
const DEATHS: u64 = 8;

async fn request_of(persona: &mut Persona) -> Option<String> {
    // A peer whose disk is gone has locked itself.
    let requests = persona.handle().unwrap().contacts_requests().await.ok()?;
    let waiting = requests.incoming.into_iter().find(|request| request.state == RequestState::Pending);
    waiting.map(|request| request.request_id)
}

async fn are_contacts(persona: &mut Persona, other: &str) -> bool {
    let contacts = persona.handle().unwrap().contacts_list().await.unwrap().contacts;
    contacts.iter().any(|contact| contact.username == other && contact.state == ContactState::Accepted)
}

/// Alice asks, Bob accepts, both talk; `dying` loses its disk after so many syncs.
async fn request_with_a_death(syncs: u64, alice_dies: bool) {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    let dying = if alice_dies { &alice } else { &bob };
    dying.faults.cut_after_syncs(syncs);
    // What fails here was not promised to anybody; the person asks again below.
    let asked =
        alice.handle().unwrap().contacts_request("bob".to_owned(), None::<String>, None::<String>).await.is_ok();
    if asked && !alice_dies {
        // Bob may die before he could show it.
        let shown = bob.until(|event| matches!(event, Event::ContactRequest(_)).then_some(()));
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), shown).await;
        if let Some(request) = request_of(&mut bob).await {
            let _ = bob.handle().unwrap().contacts_accept(request).await;
        }
    }
    let dying = if alice_dies { &mut alice } else { &mut bob };
    dying.killed().await;
    dying.back().await.unwrap();
    if alice_dies && !asked {
        // It may have become durable, and only its answer was lost.
        let again = alice.handle().unwrap().contacts_request("bob".to_owned(), None::<String>, None::<String>).await;
        assert!(again.is_ok() || again.is_err_and(|error| error.kind == ErrorKind::Conflict));
    }
    if !are_contacts(&mut bob, "alice").await {
        while request_of(&mut bob).await.is_none() {
            bob.until(|event| matches!(event, Event::ContactRequest(_)).then_some(())).await.unwrap();
        }
        let request = request_of(&mut bob).await.unwrap();
        bob.handle().unwrap().contacts_accept(request).await.unwrap();
    }
    while !are_contacts(&mut alice, "bob").await {
        alice.until(|event| matches!(event, Event::ContactAccepted(_)).then_some(())).await.unwrap();
    }
    alice.says("bob", "hello").await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "hello");
    bob.says("alice", "and hello").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "and hello");
}

#[tokio::test]
async fn a_request_survives_the_death_of_who_asks_at_every_commit() {
    for syncs in 0..DEATHS {
        println!("dies after {syncs} syncs");
        request_with_a_death(syncs, true).await;
    }
}

#[tokio::test]
async fn a_request_survives_the_death_of_who_is_asked_at_every_commit() {
    for syncs in 0..DEATHS {
        println!("dies after {syncs} syncs");
        request_with_a_death(syncs, false).await;
    }
}

#[tokio::test]
async fn whoever_lost_their_vault_is_alarming_and_talks_again_after_a_look() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let before = bob.snapshot().unwrap();
    for number in 0..30 {
        alice.says("bob", &format!("{number}")).await.unwrap();
        assert_eq!(bob.reads().await.unwrap(), format!("{number}"));
        bob.says("alice", &format!("{number} too")).await.unwrap();
        assert_eq!(alice.reads().await.unwrap(), format!("{number} too"));
    }
    bob.away().await;
    bob.restore(&before).unwrap();
    bob.back().await.unwrap();
    // The vault is older than what was said: the sessions heal, and nothing new is lost.
    bob.says("alice", "what did I miss?").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "what did I miss?");
    alice.says("bob", "thirty numbers").await.unwrap();
    while bob.reads().await.unwrap() != "thirty numbers" {}
}
