//! Two peers meet and chat, with no server and no rendezvous node.
//!
//! `cargo run --release --example two_peers`

use std::path::Path;

use anyhow::Context as _;
use secure_chat_node::api::{Event, EventStream, MessageState, NodeHandle};
use secure_chat_node::config::NodeConfig;
use secure_chat_node::engine::Node;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // Everything that happens to a peer comes as an event. Listen first, act then.
    let alice = peer(folder.path(), "alice").await?;
    let bob = peer(folder.path(), "bob").await?;
    let (mut alices_events, mut bobs_events) = (alice.events(), bob.events());

    // An invite carries who Bob is and where he is. He hands it over as he likes: by mail, or as a QR code.
    let invite = bob.account_invite().await?.invite;
    alice.contacts_request(None::<String>, Some(invite), Some("Hi Bob, it's Alice".to_owned())).await?;

    // Nobody can write to Bob before he agrees.
    let request = next(&mut bobs_events, |event| match event {
        Event::ContactRequest(request) => Some(request),
        _ => None,
    })
    .await?;
    println!("bob:   {} asks: {:?}", request.username, request.greeting);
    bob.contacts_accept(request.request_id).await?;
    next(&mut alices_events, |event| matches!(event, Event::ContactAccepted(_)).then_some(())).await?;

    // Sending answers once the message is on Alice's disk: from then on it can't be lost.
    alice.messages_send("bob", "Can you read this?", None::<String>).await?;
    let message = next(&mut bobs_events, |event| match event {
        Event::MessageReceived(message) => Some(message),
        _ => None,
    })
    .await?;
    println!("bob:   {} says: {:?}", message.from, message.text);
    bob.messages_send("alice", "Loud and clear.", Some(message.message_id)).await?;

    // Bob's device acknowledged it, end to end.
    next(&mut alices_events, |event| {
        matches!(event, Event::MessageState { state: MessageState::Delivered, .. }).then_some(())
    })
    .await?;
    println!("alice: delivered");

    // Both see the same number if nobody stands between them.
    let number = alice.contacts_safety_number("bob").await?.number;
    assert_eq!(number, bob.contacts_safety_number("alice").await?.number);
    println!("both:  safety number {number}");

    for peer in [alice, bob] {
        peer.shutdown().await;
    }
    Ok(())
}

/// Starts a peer with a new account. Its data directory holds nothing readable but the name.
async fn peer(folder: &Path, name: &str) -> anyhow::Result<NodeHandle> {
    let mut config = NodeConfig::new(folder.join(name));
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    config.mdns = false;
    let peer = Node::start(config)?;
    peer.account_create(name, "Correct-Horse-7-Battery").await?;
    Ok(peer)
}

/// Waits for the event that `wanted` picks.
async fn next<T>(events: &mut EventStream, wanted: impl Fn(Event) -> Option<T>) -> anyhow::Result<T> {
    loop {
        let event = events.next().await.context("the peer stopped")?;
        if let Some(found) = wanted(event.event) {
            return Ok(found);
        }
    }
}
