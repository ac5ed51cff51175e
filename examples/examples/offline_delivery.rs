//! A message for somebody who is away waits, sealed, at a rendezvous node.
//!
//! `cargo run --release --example offline_delivery`

use std::path::Path;

use anyhow::Context as _;
use secure_chat_node::api::{Event, EventStream, MessageState, NodeHandle};
use secure_chat_node::config::NodeConfig;
use secure_chat_node::engine::Node;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};

const PASSWORD: &str = "Correct-Horse-7-Battery";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // Usually it runs elsewhere (`secure-chat-rendezvous serve`), and there may be several.
    let config = RendezvousConfig::new(folder.path().join("rendezvous")).listening_on("/ip4/127.0.0.1/tcp/0");
    let rendezvous = RendezvousNode::start(config).await?;
    let address = rendezvous.addresses().first().cloned().context("the rendezvous node listens nowhere")?;

    let alice = start(folder.path(), "alice", &address)?;
    alice.account_create("alice", PASSWORD).await?;
    let bob = start(folder.path(), "bob", &address)?;
    bob.account_create("bob", PASSWORD).await?;
    let (mut alices_events, mut bobs_events) = (alice.events(), bob.events());

    // With a rendezvous node, a name is enough to find somebody.
    registered(&mut bobs_events, &bob).await?;
    alice.contacts_request(Some("bob".to_owned()), None::<String>, None::<String>).await?;
    let request = next(&mut bobs_events, |event| match event {
        Event::ContactRequest(request) => Some(request),
        _ => None,
    })
    .await?;
    bob.contacts_accept(request.request_id).await?;
    next(&mut alices_events, |event| matches!(event, Event::ContactAccepted(_)).then_some(())).await?;
    println!("alice and bob are contacts");

    bob.shutdown().await;
    println!("bob is away");
    alice.messages_send("bob", "Call me when you are back.", None::<String>).await?;
    // `sent`: the rendezvous node has it. It sees neither who wrote it nor what it says.
    reached(&mut alices_events, MessageState::Sent).await?;
    println!("the message waits at the rendezvous node");
    alice.shutdown().await;
    println!("alice is away, too");

    let bob = start(folder.path(), "bob", &address)?;
    let mut bobs_events = bob.events();
    bob.account_unlock(PASSWORD, None::<String>).await?;
    let message = next(&mut bobs_events, |event| match event {
        Event::MessageReceived(message) => Some(message),
        _ => None,
    })
    .await?;
    println!("bob is back and reads: {:?}", message.text);

    // His acknowledgement finds Alice when she comes back.
    let alice = start(folder.path(), "alice", &address)?;
    let mut alices_events = alice.events();
    alice.account_unlock(PASSWORD, None::<String>).await?;
    reached(&mut alices_events, MessageState::Delivered).await?;
    println!("alice is back and sees: delivered");

    for peer in [alice, bob] {
        peer.shutdown().await;
    }
    rendezvous.stop().await;
    Ok(())
}

fn start(folder: &Path, name: &str, rendezvous: &str) -> anyhow::Result<NodeHandle> {
    let mut config = NodeConfig::new(folder.join(name));
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    config.rendezvous = vec![rendezvous.to_owned()];
    config.mdns = false;
    Ok(Node::start(config)?)
}

/// Waits until the peer's name is known at the rendezvous node.
async fn registered(events: &mut EventStream, peer: &NodeHandle) -> anyhow::Result<()> {
    while !peer.network_status().await?.rendezvous.iter().any(|node| node.state == "registered") {
        events.next().await.context("the peer stopped")?;
    }
    Ok(())
}

/// Waits until a message got this far.
async fn reached(events: &mut EventStream, wanted: MessageState) -> anyhow::Result<()> {
    next(events, |event| matches!(event, Event::MessageState { state, .. } if state == wanted).then_some(())).await
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
