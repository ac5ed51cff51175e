//! A clock that jumps by a year, either way, while the peer runs or while it is
//! closed: it is told, nothing is lost or given up, and messages go on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use secure_chat_node::api::{Event, MessageState};
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::limits::DAY_MS;
use secure_chat_tests::{Persona, TestNet, become_contacts};

const YEAR_MS: i64 = 365 * DAY_MS as i64;

async fn in_state(persona: &mut Persona, id: &str, wanted: MessageState) {
    let found = persona.until(|event| match event {
        Event::MessageState { message_id, state, .. } if message_id == id => match state {
            MessageState::Failed => Some(false),
            state => (state == wanted).then_some(true),
        },
        _ => None,
    });
    assert!(found.await.unwrap(), "a message was given up");
}

async fn alerts(persona: &Persona, kind: &str) -> usize {
    let alerts = persona.handle().unwrap().security_alerts().await.unwrap().alerts;
    alerts.iter().filter(|alert| alert.kind == kind).count()
}

/// Says it and waits until it is acknowledged end to end.
async fn arrives(from: &mut Persona, to: &mut Persona, text: &str) {
    let id = from.says(&to.name, text).await.unwrap();
    assert_eq!(to.reads().await.unwrap(), text);
    in_state(from, &id, MessageState::Delivered).await;
}

/// Alice's clock jumps while she runs; and back.
async fn jumps_while_it_runs(by_ms: i64) {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    arrives(&mut alice, &mut bob, "before").await;
    bob.away().await;
    let waiting = alice.says("bob", "waiting").await.unwrap();
    in_state(&mut alice, &waiting, MessageState::Sent).await;
    let before = alice.clock.now();
    alice.clock.jump(by_ms);
    // Into the mailbox by a clock that is wrong: paid, taken, and read by one that is right.
    let wrong = alice.says("bob", "by a wrong clock").await.unwrap();
    in_state(&mut alice, &wrong, MessageState::Sent).await;
    assert_eq!(alerts(&alice, "clock.jumped").await, 1);
    bob.back().await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "waiting");
    assert_eq!(bob.reads().await.unwrap(), "by a wrong clock");
    in_state(&mut alice, &wrong, MessageState::Delivered).await;
    arrives(&mut alice, &mut bob, "there").await;
    arrives(&mut bob, &mut alice, "and back").await;
    let page =
        alice.handle().unwrap().messages_history("bob", None::<String>, None::<String>, None::<String>, None::<u32>);
    let times: Vec<Timestamp> = page.await.unwrap().messages.iter().map(|message| message.at.0).collect();
    assert!(times.iter().all(|at| at.since_ms(before) < DAY_MS && before.since_ms(*at) < DAY_MS), "{times:?}");
    alice.clock.jump(-by_ms);
    arrives(&mut alice, &mut bob, "right again").await;
    assert_eq!(alerts(&alice, "clock.jumped").await, 1, "a clock that was set right is no new alarm");
    let all = ["before", "waiting", "by a wrong clock", "there", "right again"];
    assert_eq!(bob.texts_of("alice").await.unwrap(), all);
}

#[tokio::test]
async fn a_clock_that_jumps_forward_by_a_year_is_told_and_messages_go_on() {
    jumps_while_it_runs(YEAR_MS).await;
}

#[tokio::test]
async fn a_clock_that_jumps_back_by_a_year_is_told_and_messages_go_on() {
    jumps_while_it_runs(-YEAR_MS).await;
}

/// What waits when the peer is closed is still there, and not too old, when it starts under a wrong clock.
async fn jumps_while_it_is_closed(by_ms: i64) {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    arrives(&mut alice, &mut bob, "before").await;
    bob.away().await;
    alice.says("bob", "waiting").await.unwrap();
    alice.away().await;
    alice.clock.jump(by_ms);
    alice.back().await.unwrap();
    // Everything that deletes by age looks 10 ms after the start; that it did nothing is told by no event.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(alerts(&alice, "clock.jumped").await, 1);
    alice.says("bob", "by a wrong clock").await.unwrap();
    alice.away().await;
    // The same again: that it was so at the last start is no proof.
    alice.back().await.unwrap();
    alice.away().await;
    alice.clock.jump(-by_ms);
    alice.back().await.unwrap();
    bob.back().await.unwrap();
    bob.handle().unwrap().network_dial(address(&alice).await).await.unwrap();
    for text in ["waiting", "by a wrong clock"] {
        assert_eq!(bob.reads().await.unwrap(), text);
    }
    arrives(&mut bob, &mut alice, "all there").await;
    assert_eq!(bob.texts_of("alice").await.unwrap(), ["before", "waiting", "by a wrong clock"]);
}

async fn address(persona: &Persona) -> String {
    let status = persona.handle().unwrap().network_status().await.unwrap();
    status.listen.into_iter().next().unwrap()
}

#[tokio::test]
async fn a_year_forward_while_closed_gives_nothing_up() {
    jumps_while_it_is_closed(YEAR_MS).await;
}

#[tokio::test]
async fn a_year_back_while_closed_gives_nothing_up() {
    jumps_while_it_is_closed(-YEAR_MS).await;
}

#[tokio::test]
async fn somebody_whose_clock_is_a_year_off_can_ask_and_be_asked() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    bob.clock.jump(YEAR_MS);
    become_contacts(&mut alice, &mut bob).await.unwrap();
    arrives(&mut alice, &mut bob, "hello").await;
    alice.clock.jump(-YEAR_MS);
    let mut carol = net.persona("carol").await.unwrap();
    become_contacts(&mut carol, &mut alice).await.unwrap();
    arrives(&mut alice, &mut carol, "hello").await;
}
