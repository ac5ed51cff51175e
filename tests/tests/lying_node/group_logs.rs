//! A rendezvous node that keeps a group's log badly: it holds up nobody, and keeps nobody busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use secure_chat_node::api::{Event, JoinPolicy, MessageState};
use secure_chat_protocol::id::EnvelopeId;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{GroupLogRequest, LogEntry, Refusal, Request, Response};
use secure_chat_tests::{Persona, TestNet};

use super::{LyingNode, in_state, strangers};

/// A group of Alice's with Bob in it.
async fn hikers(alice: &Persona, bob: &mut Persona) -> String {
    let owner = alice.handle().unwrap();
    let group = owner.groups_create("Hikers", None::<String>, false, JoinPolicy::Invite).await.unwrap().group_id;
    let link = owner.groups_invite(group.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    bob.handle().unwrap().groups_join(None::<String>, Some(link)).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
    group
}

async fn says(who: &Persona, group: &str, text: &str) -> String {
    who.handle().unwrap().groups_send(group, text, None::<String>).await.unwrap().message_id
}

/// The next message is this.
async fn hears(who: &mut Persona, text: &str) {
    let next = who.until(|event| match event {
        Event::GroupMessage(message) => Some(message.text),
        _ => None,
    });
    assert_eq!(next.await.unwrap(), text);
}

/// Longer than a node that takes them needs for all, and shorter than anybody waits for one answer.
const SOON: Duration = Duration::from_secs(25);

#[tokio::test]
async fn a_node_that_answers_no_append_holds_up_no_other_one() {
    let slow = LyingNode::start().await;
    let mut net = TestNet::new().unwrap();
    net.use_home(&slow.address);
    let _honest = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    let group = hikers(&alice, &mut bob).await;
    says(&alice, &group, "hello").await;
    hears(&mut bob, "hello").await;
    slow.ignores(|request| matches!(request, Request::GroupLog(GroupLogRequest::Append { .. })));
    bob.away().await;
    let mut last = String::new();
    for number in 0..40 {
        last = says(&alice, &group, &number.to_string()).await;
    }
    let logged = tokio::time::timeout(SOON, in_state(&mut alice, &last, MessageState::Sent));
    logged.await.expect("all wait for the node that does not answer");
    assert!(slow.ignored() > 0, "it was not asked at all");
    // Nobody but the node can tell Bob, in the order in which it was said.
    alice.away().await;
    // He may have heard all of it before the second node knows him.
    bob.back().await.unwrap();
    let wanted: Vec<_> = std::iter::once("hello".to_owned()).chain((0..40).map(|number| number.to_string())).collect();
    loop {
        let page = bob.handle().unwrap().groups_history(group.clone(), None::<String>, Some(100_u32)).await.unwrap();
        let heard: Vec<_> = page.messages.into_iter().map(|message| message.text).collect();
        if heard == wanted {
            break;
        }
        assert!(heard.len() < wanted.len(), "{heard:?}");
        bob.until(|event| matches!(event, Event::GroupMessage(_)).then_some(())).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_would_have_an_append_later_gets_it_in_its_order() {
    let (_net, node, mut alice, mut bob) = strangers().await;
    let group = hikers(&alice, &mut bob).await;
    bob.away().await;
    let taken = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (kept, mut busy) = (Arc::clone(&taken), 0_u32);
    node.lies(move |request, honest, _| match request {
        Request::GroupLog(GroupLogRequest::Append { id, .. }) => {
            // Every third is put off, once or for good.
            busy += 1;
            if busy % 3 == 0 || (9..12).contains(&busy) {
                return Response::Refused(Refusal::SlowDown { retry_after_ms: 20 });
            }
            kept.lock().unwrap().push(*id);
            Response::Appended { position: u64::from(busy) }
        }
        _ => honest,
    });
    let mut all = Vec::new();
    for number in 0..12 {
        all.push(says(&alice, &group, &number.to_string()).await);
    }
    let mut sent = Vec::new();
    while sent.len() < all.len() {
        let next = alice.until(|event| match event {
            Event::MessageState { message_id, state: MessageState::Sent, .. } => Some(message_id),
            _ => None,
        });
        sent.push(next.await.unwrap());
    }
    assert_eq!(sent, all, "the node has them in another order");
    assert_eq!(taken.lock().unwrap().len(), all.len());
}

#[tokio::test]
async fn a_log_without_end_keeps_nobody_busy() {
    let (_net, node, alice, mut bob) = strangers().await;
    let read = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&read);
    node.lies(move |request, honest, _| match request {
        Request::GroupLog(GroupLogRequest::Read { after, .. }) => {
            count.fetch_add(1, Ordering::Relaxed);
            let garbage = |number| LogEntry {
                position: after + number,
                id: EnvelopeId([number as u8; 16]),
                sealed: Bytes(vec![7; 1_000]),
            };
            Response::Log { entries: (1..=20).map(garbage).collect(), more: true }
        }
        _ => honest,
    });
    let group = hikers(&alice, &mut bob).await;
    let began = std::time::Instant::now();
    // A time that is measured: page after page there would be hundreds.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (pages, minutes) = (read.load(Ordering::Relaxed), 1 + began.elapsed().as_secs() / 60);
    // Two members, the logs of a few secrets, three pages of each.
    assert!((1..=30 * minutes).contains(&pages), "{pages} pages were read");
    says(&alice, &group, "still here").await;
    hears(&mut bob, "still here").await;
}
