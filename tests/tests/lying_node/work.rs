//! A node that asks for work, and takes nothing for it.

use std::time::{Duration, Instant};

use secure_chat_node::api::{Event, JoinPolicy};
use secure_chat_protocol::limits::WORK_MAX_BITS;
use secure_chat_protocol::wire::rendezvous::{GroupLogRequest, Refusal, Request, Response};
use secure_chat_tests::Persona;
use tokio::sync::mpsc;

use super::strangers;

/// Work that is to end with the account ends within this time.
const SOON: Duration = Duration::from_secs(5);

/// Alice's group with Bob, who then is away: what she says goes to the log.
async fn alone_in_a_group(alice: &Persona, bob: &mut Persona) -> String {
    let owner = alice.handle().unwrap();
    let group = owner.groups_create("Hikers", None::<String>, false, JoinPolicy::Invite).await.unwrap().group_id;
    let link = owner.groups_invite(group.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    bob.handle().unwrap().groups_join(None::<String>, Some(link)).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
    bob.away().await;
    group
}

#[test]
fn work_that_a_node_has_asked_for_ends_when_the_account_is_locked() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (_net, node, mut alice, mut bob) = strangers().await;
        let (told, mut asked) = mpsc::unbounded_channel();
        node.lies(move |request, honest, _| {
            let Request::GroupLog(GroupLogRequest::Append { .. }) = request else { return honest };
            let _ = told.send(());
            Response::Refused(Refusal::WorkNeeded { bits: WORK_MAX_BITS })
        });
        let group = alone_in_a_group(&alice, &mut bob).await;
        for number in 0..16 {
            alice.handle().unwrap().groups_send(&group, format!("{number}"), None::<String>).await.unwrap();
        }
        asked.recv().await.unwrap();
        alice.handle().unwrap().account_lock().await.unwrap();
        alice.away().await;
    });
    // A runtime ends only once all that it has begun and that can't be stopped from outside has ended.
    let began = Instant::now();
    drop(runtime);
    assert!(began.elapsed() < SOON, "it went on for {:?}", began.elapsed());
}

#[tokio::test]
async fn a_node_that_takes_nothing_for_work_is_not_worked_for_again_and_again() {
    let (_net, node, alice, mut bob) = strangers().await;
    let (told, mut asked) = mpsc::unbounded_channel();
    node.lies(move |request, honest, _| {
        let Request::GroupLog(GroupLogRequest::Append { stamp, .. }) = request else { return honest };
        let _ = told.send(stamp.is_some());
        Response::Refused(Refusal::WorkNeeded { bits: 1 })
    });
    let group = alone_in_a_group(&alice, &mut bob).await;
    let (mut plain, mut paid, messages) = (0, 0, 3);
    for number in 0..messages {
        alice.handle().unwrap().groups_send(&group, format!("{number}"), None::<String>).await.unwrap();
        // Each is tried, at once or when it is the next one's turn.
        while plain <= number {
            match asked.recv().await.unwrap() {
                true => paid += 1,
                false => plain += 1,
            }
        }
    }
    assert!(paid <= 1, "{paid} times worked for a node that takes nothing");
    alice.handle().unwrap().groups_send(&group, "the last one", None::<String>).await.unwrap();
    node.repents();
}
