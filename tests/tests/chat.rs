//! Two people talk, with everything real but the wire.

use secure_chat_node::api::{ApiError, ErrorKind, Event, MessageState, RequestState};
use secure_chat_tests::{TestNet, become_contacts};

fn kind(error: &anyhow::Error) -> Option<ErrorKind> {
    error.downcast_ref::<ApiError>().map(|error| error.kind)
}

#[tokio::test]
async fn two_peers_with_no_rendezvous_node_chat_and_acknowledge() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let id = alice.says("bob", "hello").await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "hello");
    let delivered = alice.until(|event| match event {
        Event::MessageState { message_id, state: MessageState::Delivered, .. } => Some(message_id),
        _ => None,
    });
    assert_eq!(delivered.await.unwrap(), id);
}

#[tokio::test]
async fn a_message_waits_in_the_mailbox_while_neither_is_there_at_the_same_time() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    bob.away().await;
    for number in 0..20 {
        alice.says("bob", &format!("{number}")).await.unwrap();
    }
    let sent = |event| matches!(event, Event::MessageState { state: MessageState::Sent, .. }).then_some(());
    for _ in 0..20 {
        alice.until(sent).await.unwrap();
    }
    alice.away().await;
    bob.back().await.unwrap();
    for number in 0..20 {
        assert_eq!(bob.reads().await.unwrap(), format!("{number}"));
    }
    assert_eq!(bob.texts_of("alice").await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_decline_ends_the_request() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    let invite = bob.handle().unwrap().account_invite().await.unwrap().invite;
    alice.handle().unwrap().contacts_request(None::<String>, Some(invite), None::<String>).await.unwrap();
    let request = bob.until(|event| match event {
        Event::ContactRequest(request) => Some(request.request_id),
        _ => None,
    });
    let request = request.await.unwrap();
    bob.handle().unwrap().contacts_decline(request.clone()).await.unwrap();
    alice.until(|event| matches!(event, Event::ContactDeclined { .. }).then_some(())).await.unwrap();
    let requests = alice.handle().unwrap().contacts_requests().await.unwrap();
    assert_eq!(requests.outgoing.first().map(|request| request.state), Some(RequestState::Declined));
    assert_eq!(kind(&alice.says("bob", "why?").await.unwrap_err()), Some(ErrorKind::NotAllowed));
    assert!(bob.handle().unwrap().contacts_accept(request).await.is_err(), "an ended request can't be accepted");
}

#[tokio::test]
async fn a_blocked_contact_is_not_heard() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    bob.handle().unwrap().contacts_block("alice").await.unwrap();
    let id = alice.says("bob", "do you hear me?").await.unwrap();
    alice
        .until(|event| {
            matches!(event, Event::MessageState { message_id, state: MessageState::Sent, .. } if message_id == id)
                .then_some(())
        })
        .await
        .unwrap();
    assert_eq!(bob.texts_of("alice").await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn edits_reactions_and_deletions_reach_the_other_side() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let id = alice.says("bob", "helo").await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "helo");
    alice.handle().unwrap().messages_edit(id.clone(), "hello").await.unwrap();
    let edited = bob.until(|event| match event {
        Event::MessageEdited(message) => Some(message.text),
        _ => None,
    });
    assert_eq!(edited.await.unwrap(), "hello");
    bob.handle().unwrap().messages_react(id.clone(), "👍").await.unwrap();
    let reacted = alice.until(|event| match event {
        Event::MessageReaction(message) => Some(message.reactions.contains_key("👍")),
        _ => None,
    });
    assert!(reacted.await.unwrap());
    assert_eq!(
        bob.handle().unwrap().messages_edit(id.clone(), "mine").await.unwrap_err().kind,
        ErrorKind::NotAllowed,
        "nobody edits another's message"
    );
    alice.handle().unwrap().messages_delete(id, Some(true)).await.unwrap();
    bob.until(|event| matches!(event, Event::MessageDeleted { .. }).then_some(())).await.unwrap();
    assert_eq!(bob.texts_of("alice").await.unwrap(), [""]);
}

#[tokio::test]
async fn a_full_disk_says_so_and_loses_nothing() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    alice.says("bob", "before").await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "before");
    let delivered = |event| matches!(event, Event::MessageState { state: MessageState::Delivered, .. }).then_some(());
    alice.until(delivered).await.unwrap();
    alice.faults.full_after_bytes(0);
    let refused = alice.says("bob", "lost").await.unwrap_err();
    assert_eq!(kind(&refused), Some(ErrorKind::DiskFull));
    alice.faults.make_room();
    alice.away().await;
    alice.back().await.unwrap();
    alice.says("bob", "after").await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "after");
    assert_eq!(bob.texts_of("alice").await.unwrap(), ["before", "after"]);
}
