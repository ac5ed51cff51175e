//! What two contacts see of each other, and what each of them may keep to themselves: who is there, who
//! is away or invisible, when somebody was last there, what was read, and who is writing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use secure_chat_node::api::{At, Contact, Event, MessageState, Status};
use secure_chat_tests::{PASSWORD, Persona, TestNet, become_contacts};

async fn two(with_node: bool) -> (TestNet, Option<secure_chat_rendezvous::RendezvousNode>, Persona, Persona) {
    let mut net = TestNet::new().unwrap();
    let node = if with_node { Some(net.rendezvous().await.unwrap()) } else { None };
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    (net, node, alice, bob)
}

async fn switches(who: &Persona, key: &str, on: bool) {
    who.handle().unwrap().settings_set(key, serde_json::Value::Bool(on)).await.unwrap();
}

/// Alice, as Bob sees her.
async fn alice_to(bob: &Persona) -> Contact {
    bob.handle().unwrap().contacts_list().await.unwrap().contacts.remove(0)
}

/// Bob sees Alice so, now or soon; when she was last there.
async fn sees(bob: &mut Persona, wanted: Status) -> Option<At> {
    loop {
        let alice = alice_to(bob).await;
        if alice.status == wanted {
            return alice.last_seen;
        }
        let news =
            |event| matches!(event, Event::PresenceChanged { username, .. } if username == "alice").then_some(());
        bob.until(news).await.unwrap();
    }
}

/// Bob sees Alice nowhere, and neither does the node whom he asks: what it said of her before is said.
async fn vanishes(bob: &mut Persona) -> Option<At> {
    sees(bob, Status::Offline).await;
    while bob.handle().unwrap().users_online().await.unwrap().users.iter().any(|user| user.username == "alice") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // It was told in events, too, that she was there before.
    bob.forget_events();
    sees(bob, Status::Offline).await
}

/// Bob reads a text, and before it nothing tells that Alice is there.
async fn reads_unseen(bob: &mut Persona, wanted: &str) {
    let text = bob.until(|event| match event {
        Event::MessageReceived(message) => Some(message.text),
        Event::PresenceChanged { status, .. } => {
            assert_eq!(status, Status::Offline, "it shows that Alice is there");
            None
        }
        _ => None,
    });
    assert_eq!(text.await.unwrap(), wanted);
    let alice = alice_to(bob).await;
    assert!(!alice.online && alice.status == Status::Offline);
    let online = bob.handle().unwrap().users_online().await.unwrap().users;
    assert!(online.iter().all(|user| user.username != "alice"), "{online:?}");
}

async fn presence_is_shown_as_it_is_set(with_node: bool) {
    let (_net, _node, mut alice, mut bob) = two(with_node).await;
    sees(&mut bob, Status::Online).await;
    for status in [Status::Away, Status::Online, Status::Away, Status::Invisible, Status::Online, Status::Invisible] {
        alice.handle().unwrap().presence_set(status).await.unwrap();
        if status == Status::Invisible {
            vanishes(&mut bob).await;
        } else {
            sees(&mut bob, status).await;
        }
    }
    // A node may say last that she was there until she hid.
    let hid = bob.clock.now();
    assert!(alice_to(&bob).await.last_seen.is_some());
    alice.says("bob", "nobody sees me").await.unwrap();
    reads_unseen(&mut bob, "nobody sees me").await;
    bob.says("alice", "but I hear you").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "but I hear you");
    assert!(alice_to(&bob).await.last_seen.unwrap().0 <= hid);
    // She goes and comes, and is not seen.
    alice.handle().unwrap().presence_set(Status::Online).await.unwrap();
    sees(&mut bob, Status::Online).await;
    switches(&alice, "share_presence", false).await;
    vanishes(&mut bob).await;
    let hid = bob.clock.now();
    alice.away().await;
    alice.back().await.unwrap();
    alice.says("bob", "still unseen").await.unwrap();
    reads_unseen(&mut bob, "still unseen").await;
    assert!(alice_to(&bob).await.last_seen.unwrap().0 <= hid);
    // Of her own will she is seen again, and when she was last there.
    switches(&alice, "share_presence", true).await;
    sees(&mut bob, Status::Online).await;
    let before = bob.clock.now();
    alice.away().await;
    let last_seen = sees(&mut bob, Status::Offline).await.unwrap();
    assert!(last_seen.0 >= before, "{last_seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_sees_who_is_there_or_away_and_neither_who_is_invisible_nor_when_they_were_there() {
    presence_is_shown_as_it_is_set(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_a_rendezvous_node_show_it() {
    presence_is_shown_as_it_is_set(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shares_no_presence_is_not_seen_by_a_new_contact_either() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    switches(&alice, "share_presence", false).await;
    become_contacts(&mut alice, &mut bob).await.unwrap();
    sees(&mut bob, Status::Offline).await;
    alice.says("bob", "nobody sees me").await.unwrap();
    reads_unseen(&mut bob, "nobody sees me").await;
}

async fn nobody_is_seen_who_hid_before(with_node: bool) {
    let (_net, _node, mut alice, mut bob) = two(with_node).await;
    sees(&mut bob, Status::Online).await;
    alice.handle().unwrap().presence_set(Status::Invisible).await.unwrap();
    vanishes(&mut bob).await;
    let hid = bob.clock.now();
    // The program is ended, dies, and the account is locked.
    alice.away().await;
    alice.back().await.unwrap();
    alice.says("bob", "after a restart").await.unwrap();
    reads_unseen(&mut bob, "after a restart").await;
    alice.killed().await;
    alice.back().await.unwrap();
    alice.says("bob", "after a death").await.unwrap();
    reads_unseen(&mut bob, "after a death").await;
    let handle = alice.handle().unwrap().clone();
    handle.account_lock().await.unwrap();
    handle.account_unlock(PASSWORD, None::<String>).await.unwrap();
    alice.says("bob", "after a lock").await.unwrap();
    reads_unseen(&mut bob, "after a lock").await;
    assert!(alice_to(&bob).await.last_seen.is_none_or(|seen| seen.0 <= hid));
    let settings = handle.settings_get(Some("presence".to_owned())).await.unwrap().settings;
    assert_eq!(settings["presence"], "invisible", "and she is told so");
    // Only when she says so is she seen again, also after the next start.
    handle.presence_set(Status::Online).await.unwrap();
    sees(&mut bob, Status::Online).await;
    alice.away().await;
    sees(&mut bob, Status::Offline).await;
    alice.back().await.unwrap();
    alice.says("bob", "here I am").await.unwrap();
    sees(&mut bob, Status::Online).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_invisible_stays_so_after_a_restart_a_death_and_a_lock() {
    nobody_is_seen_who_hid_before(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_a_rendezvous_node_show_who_hid_before() {
    nobody_is_seen_who_hid_before(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hides_while_a_rendezvous_node_gets_to_know_them_is_not_shown_by_it() {
    let (_net, _node, mut alice, mut bob) = two(true).await;
    let handle = alice.handle().unwrap().clone();
    for _ in 0..5 {
        handle.presence_set(Status::Online).await.unwrap();
        sees(&mut bob, Status::Online).await;
        handle.account_lock().await.unwrap();
        alice.forget_events();
        handle.account_unlock(PASSWORD, None::<String>).await.unwrap();
        // It is on its way to the node that she is online.
        for status in [Status::Invisible, Status::Online, Status::Away, Status::Invisible] {
            handle.presence_set(status).await.unwrap();
        }
        let known = alice.until(|event| matches!(event, Event::NetworkState { registered: 1, .. }).then_some(()));
        known.await.unwrap();
        vanishes(&mut bob).await;
    }
}

async fn state_of(by: &Persona, with: &str, message: &str) -> MessageState {
    let page = by.handle().unwrap().messages_history(with, None::<String>, None::<String>, None::<String>, None::<u32>);
    page.await.unwrap().messages.into_iter().find(|found| found.message_id == message).unwrap().state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_learns_what_was_read_and_who_is_writing_only_where_that_is_wanted() {
    let (_net, _node, mut alice, mut bob) = two(false).await;
    for (on, texts) in [(false, ["first", "and that?"]), (true, ["second", "and this?"])] {
        switches(&bob, "read_receipts", on).await;
        switches(&bob, "typing", on).await;
        let id = alice.says("bob", texts[0]).await.unwrap();
        assert_eq!(bob.reads().await.unwrap(), texts[0]);
        let handle = bob.handle().unwrap();
        handle.messages_typing("alice").await.unwrap();
        handle.messages_mark_read("alice", id.clone()).await.unwrap();
        bob.says("alice", texts[1]).await.unwrap();
        // What Bob says last comes last.
        let (mut wrote, mut read) = (false, false);
        while !(wrote && read) {
            let event = alice.until(|event| match event {
                Event::Typing { .. } => Some("wrote"),
                Event::MessageState { state: MessageState::Read, .. } => Some("read"),
                Event::MessageReceived(_) => Some("text"),
                _ => None,
            });
            match event.await.unwrap() {
                "wrote" => wrote = true,
                "read" => read = true,
                _ if on => {}
                _ => break,
            }
        }
        assert_eq!((wrote, read), (on, on));
        let state = if on { MessageState::Read } else { MessageState::Delivered };
        assert_eq!(state_of(&alice, "bob", &id).await, state);
    }
}
