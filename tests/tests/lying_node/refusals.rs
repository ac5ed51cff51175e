//! A node that has no room or no time says so: the peer waits as long as it was asked to, and the person sees why.

use std::time::{Duration, Instant};

use secure_chat_node::api::{Event, MessageState, NetworkStatus};
use secure_chat_protocol::wire::rendezvous::{PresenceStatus, Refusal, Request, Response};
use secure_chat_tests::Persona;
use tokio::sync::mpsc;

use crate::{contacts, in_state};

/// Longer than the peer would wait on its own.
const WAIT: Duration = Duration::from_millis(3_500);

fn slow_down() -> Response {
    Response::Refused(Refusal::SlowDown { retry_after_ms: u64::try_from(WAIT.as_millis()).unwrap() })
}

/// The network's status, once it is as it should be.
async fn shown(by: &mut Persona, wanted: impl Fn(&NetworkStatus) -> bool) -> NetworkStatus {
    loop {
        let status = by.handle().unwrap().network_status().await.unwrap();
        if wanted(&status) {
            return status;
        }
        by.until(|event| matches!(event, Event::NetworkState { .. }).then_some(())).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_takes_no_mail_now_is_given_time_and_the_person_sees_whose_mail_waits() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    bob.away().await;
    let (told, mut asked) = mpsc::unbounded_channel();
    let mut refusals = vec![slow_down(), Response::Refused(Refusal::Full)];
    node.lies(move |request, honest, _| {
        let Request::Deposit { .. } = request else { return honest };
        told.send(Instant::now()).unwrap();
        refusals.pop().unwrap_or(honest)
    });
    let id = alice.says("bob", "hello").await.unwrap();
    asked.recv().await.unwrap();
    let full = shown(&mut alice, |status| !status.held_back.is_empty()).await.held_back.remove(0);
    assert_eq!((full.username.as_str(), full.detail.as_str()), ("bob", "the node is full"));
    let refused = asked.recv().await.unwrap();
    let slow = shown(&mut alice, |status| status.held_back.iter().any(|held| held.detail.contains("slow down"))).await;
    assert!(slow.held_back[0].retry_in_s >= 2, "{:?}", slow.held_back);
    assert!(asked.recv().await.unwrap() - refused >= WAIT, "it was asked again before its time");
    in_state(&mut alice, &id, MessageState::Sent).await;
    assert!(alice.handle().unwrap().network_status().await.unwrap().held_back.is_empty());
}

#[tokio::test]
async fn a_node_that_does_not_hand_mail_out_now_is_given_time_and_the_person_sees_it() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    bob.away().await;
    let id = alice.says("bob", "hello").await.unwrap();
    in_state(&mut alice, &id, MessageState::Sent).await;
    alice.away().await;
    let (told, mut asked) = mpsc::unbounded_channel();
    let mut refusals = vec![slow_down()];
    node.lies(move |request, honest, _| {
        let Request::Fetch { .. } = request else { return honest };
        told.send(Instant::now()).unwrap();
        refusals.pop().unwrap_or(honest)
    });
    bob.back().await.unwrap();
    let refused = asked.recv().await.unwrap();
    let status = shown(&mut bob, |status| status.rendezvous[0].detail.is_some()).await;
    assert_eq!(status.rendezvous[0].state, "registered", "all else works");
    assert_eq!(status.rendezvous[0].detail.as_deref(), Some("the node asks to slow down, for 4 s"));
    assert_eq!(bob.reads().await.unwrap(), "hello");
    assert!(asked.recv().await.unwrap() - refused >= WAIT, "it was asked again before its time");
}

#[tokio::test]
async fn what_a_node_had_no_time_to_hear_is_told_again() {
    let (_net, node, alice, _bob) = contacts().await;
    let (told, mut asked) = mpsc::unbounded_channel();
    let mut refusals = vec![slow_down()];
    node.lies(move |request, honest, _| {
        let Request::SetPresence(status) = request else { return honest };
        told.send((Instant::now(), *status)).unwrap();
        refusals.pop().unwrap_or(honest)
    });
    alice.handle().unwrap().presence_set(secure_chat_node::api::Status::Away).await.unwrap();
    let (refused, _) = asked.recv().await.unwrap();
    let (again, status) = asked.recv().await.unwrap();
    assert_eq!(status, PresenceStatus::Away);
    assert!(again - refused >= WAIT, "it was asked again before its time");
}
