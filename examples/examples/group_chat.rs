//! Three people talk in a private group, with no server and no rendezvous node;
//! one is away for a while, and one is removed at the end.
//!
//! `cargo run --release --example group_chat`

use std::path::Path;

use anyhow::Context as _;
use secure_chat_node::api::{Event, EventStream, JoinPolicy, NodeHandle};
use secure_chat_node::config::NodeConfig;
use secure_chat_node::engine::Node;

const PASSWORD: &str = "Correct-Horse-7-Battery";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let alice = peer(folder.path(), "alice", true).await?;
    let bob = peer(folder.path(), "bob", true).await?;
    let mut carol = peer(folder.path(), "carol", true).await?;
    let (mut alices_events, mut bobs_events, mut carols_events) = (alice.events(), bob.events(), carol.events());

    // Alice makes a group. She is its owner: she may do everything, admins may let people in and
    // put members out, members read and write. Every peer keeps to that by itself: there is nobody
    // else who could.
    let group = alice.groups_create("Hikers", None::<String>, false, JoinPolicy::Invite).await?.group_id;

    // Whoever has the link may join, until it ends or is revoked.
    let link = alice.groups_invite(group.clone(), None::<String>, None).await?.invite.context("a link")?;
    for (name, peer, events) in [("bob", &bob, &mut bobs_events), ("carol", &carol, &mut carols_events)] {
        peer.groups_join(None::<String>, Some(link.clone())).await?;
        next(events, |event| matches!(event, Event::GroupJoined(_)).then_some(())).await?;
        println!("{name}: I am in");
    }

    // A message is encrypted once, with a key that each member got from Bob over a session of their
    // own. Carol and Bob are no contacts of each other.
    bob.groups_send(group.clone(), "Sunday at nine?", None::<String>).await?;
    println!("alice reads: {}", heard(&mut alices_events).await?);
    println!("carol reads: {}", heard(&mut carols_events).await?);

    // Carol goes. What she misses, any member gives her when she is back.
    carol.shutdown().await;
    alice.groups_send(group.clone(), "At ten, please.", None::<String>).await?;
    println!("bob reads: {}", heard(&mut bobs_events).await?);
    bob.groups_send(group.clone(), "Ten it is.", None::<String>).await?;
    println!("alice reads: {}", heard(&mut alices_events).await?);
    carol = peer(folder.path(), "carol", false).await?;
    carols_events = carol.events();
    while texts(&carol, &group).await?.len() < 3 {
        carols_events.next().await.context("carol's peer stopped")?;
    }
    println!("carol catches up: {:?}", texts(&carol, &group).await?);

    // Before the next message everybody takes a new key, which Carol does not get.
    alice.groups_remove_member(group.clone(), "carol").await?;
    alice.groups_send(group.clone(), "The two of us, then.", None::<String>).await?;
    println!("bob reads: {}", heard(&mut bobs_events).await?);
    while carol.groups_send(group.clone(), "Hello?", None::<String>).await.is_ok() {
        carols_events.next().await.context("carol's peer stopped")?;
    }
    assert!(!texts(&carol, &group).await?.contains(&"The two of us, then.".to_owned()));
    println!("carol reads nothing more");

    for peer in [alice, bob, carol] {
        peer.shutdown().await;
    }
    Ok(())
}

/// What a peer shows of a group, oldest first.
async fn texts(peer: &NodeHandle, group: &str) -> anyhow::Result<Vec<String>> {
    let page = peer.groups_history(group, None::<String>, Some(50_u32)).await?;
    Ok(page.messages.into_iter().map(|message| message.text).collect())
}

/// Waits for the next message in a group.
async fn heard(events: &mut EventStream) -> anyhow::Result<String> {
    next(events, |event| match event {
        Event::GroupMessage(message) => Some(message.text),
        _ => None,
    })
    .await
}

/// Starts a peer, with a new account or with the one that its folder holds.
async fn peer(folder: &Path, name: &str, new: bool) -> anyhow::Result<NodeHandle> {
    let mut config = NodeConfig::new(folder.join(name));
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    config.mdns = false;
    let peer = Node::start(config)?;
    if new {
        peer.account_create(name, PASSWORD).await?;
    } else {
        peer.account_unlock(PASSWORD, None::<String>).await?;
    }
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
