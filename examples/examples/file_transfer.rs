//! Alice shares a file with Bob: once while he is there, once while he is away.
//!
//! `cargo run --release --example file_transfer [MEGABYTES]`
//!
//! A file never passes through the message that shares it. The message carries a
//! manifest: the file's own key, and the hashes of its encrypted chunks. Whoever
//! has the manifest may take the chunks from anybody, and knows of each whether
//! it is right.

use std::path::Path;

use anyhow::Context as _;
use secure_chat_node::api::{Direction, Event, EventStream, Expiry, FileView, NodeHandle, Status};
use secure_chat_node::config::NodeConfig;
use secure_chat_node::engine::Node;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let megabytes: usize = std::env::args().nth(1).map_or(Ok(20), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let node =
        RendezvousNode::start(RendezvousConfig::new(folder.path().join("node")).listening_on("/ip4/127.0.0.1/tcp/0"))
            .await?;
    let home = node.addresses().into_iter().next().context("the node listens nowhere")?;
    let alice = peer(folder.path(), "alice", &home, true).await?;
    let bob = peer(folder.path(), "bob", &home, true).await?;
    become_contacts(&alice, &bob).await?;

    // --- Bob is there

    let photo = folder.path().join("photo.zip");
    std::fs::write(&photo, vec![7; megabytes * 1_000_000])?;
    let (mut alices, mut bobs) = (alice.events(), bob.events());
    // Answers once the file was read and hashed, and the message that shares it is durable.
    let shared = share(&alice, &photo, "Look at this").await?;
    let offer = offered(&mut bobs).await?;
    println!("bob:   {} shares {:?}, {} bytes: {:?}", offer.from, offer.name, offer.size, offer.caption);

    // Answers once the file is whole, verified and in its place. Nothing is ever overwritten.
    let started = std::time::Instant::now();
    let done =
        bob.files_download(offer.file_id, Some(text(folder.path().join("bobs-downloads"))?), None::<bool>).await?;
    println!("bob:   {} in {:.1?}, {:?}", done.path, started.elapsed(), done.routes);

    // Alice learns who has it.
    let whose = wait(&mut alices, |event| match event {
        Event::FileDownloaded { username, file_id, .. } if file_id == shared => Some(username),
        _ => None,
    });
    println!("alice: {} has it now", whose.await?);

    // --- Bob is away

    bob.shutdown().await;
    wait(&mut alices, |event| matches!(event, Event::PresenceChanged { status: Status::Offline, .. }).then_some(()))
        .await?;
    let shared = share(&alice, &photo, "And once more").await?;
    // The chunks go to Bob's rendezvous node, which sees neither name nor type nor exact size.
    wait(&mut alices, |event| match event {
        Event::FileCompleted { file_id, direction: Direction::Upload, .. } if file_id == shared => Some(()),
        _ => None,
    })
    .await?;
    println!("alice: it waits for bob; I may go");
    alice.shutdown().await;

    let bob = peer(folder.path(), "bob", &home, false).await?;
    let mut bobs = bob.events();
    bob.account_unlock(PASSWORD, None::<String>).await?;
    let offer = offered(&mut bobs).await?;
    let done = bob
        .files_download(offer.file_id, Some(text(folder.path().join("bobs-later-downloads"))?), None::<bool>)
        .await?;
    println!("bob:   {}, {:?}", done.path, done.routes);
    anyhow::ensure!(done.routes.direct == 0 && done.routes.stored > 0, "it came out of the node");
    anyhow::ensure!(std::fs::read(&done.path)? == std::fs::read(&photo)?, "and it is the same");

    bob.shutdown().await;
    node.stop().await;
    Ok(())
}

const PASSWORD: &str = "Correct-Horse-7-Battery";

/// Starts a peer, with a new account if there is none.
async fn peer(folder: &Path, name: &str, home: &str, new: bool) -> anyhow::Result<NodeHandle> {
    let mut config = NodeConfig::new(folder.join(name));
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    config.rendezvous = vec![home.to_owned()];
    config.mdns = false;
    std::fs::create_dir_all(folder.join("bobs-downloads"))?;
    std::fs::create_dir_all(folder.join("bobs-later-downloads"))?;
    let peer = Node::start(config)?;
    if new {
        let mut events = peer.events();
        peer.account_create(name, PASSWORD).await?;
        wait(&mut events, |event| matches!(event, Event::NetworkState { registered: 1, .. }).then_some(())).await?;
    }
    Ok(peer)
}

async fn become_contacts(alice: &NodeHandle, bob: &NodeHandle) -> anyhow::Result<()> {
    let (mut alices, mut bobs) = (alice.events(), bob.events());
    let invite = bob.account_invite().await?.invite;
    alice.contacts_request(None::<String>, Some(invite), None::<String>).await?;
    let request = wait(&mut bobs, |event| match event {
        Event::ContactRequest(request) => Some(request.request_id),
        _ => None,
    });
    bob.contacts_accept(request.await?).await?;
    wait(&mut alices, |event| matches!(event, Event::ContactAccepted(_)).then_some(())).await
}

async fn share(from: &NodeHandle, path: &Path, caption: &str) -> anyhow::Result<String> {
    let to = Some("bob".to_owned());
    let caption = Some(caption.to_owned());
    let shared = from.files_share(text(path)?, to, None::<String>, Some(Expiry::Week), caption, None::<bool>).await?;
    Ok(shared.file_id)
}

async fn offered(events: &mut EventStream) -> anyhow::Result<FileView> {
    wait(events, |event| match event {
        Event::FileShared(file) => Some(*file),
        _ => None,
    })
    .await
}

fn text(path: impl AsRef<Path>) -> anyhow::Result<String> {
    Ok(path.as_ref().to_str().context("a path that is not text")?.to_owned())
}

/// Waits for the event that `wanted` picks.
async fn wait<T>(events: &mut EventStream, wanted: impl Fn(Event) -> Option<T>) -> anyhow::Result<T> {
    loop {
        let event = events.next().await.context("the peer stopped")?;
        if let Some(found) = wanted(event.event) {
            return Ok(found);
        }
    }
}
