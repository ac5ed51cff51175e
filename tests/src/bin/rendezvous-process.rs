//! A rendezvous node in a process of its own, for tests that kill it. Prints the
//! line that `secure-chat-rendezvous serve` prints, and runs until it is killed
//! or its standard input ends.

use anyhow::Context as _;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use tokio::io::AsyncReadExt as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().context("usage: rendezvous-process DIR MULTIADDR...")?;
    let config = arguments.fold(RendezvousConfig::new(dir), RendezvousConfig::listening_on);
    let node = RendezvousNode::start(config).await?;
    for address in node.addresses() {
        println!("{}", serde_json::json!({ "event": "listening", "peer_id": node.peer_id(), "address": address }));
    }
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    node.stop().await;
    Ok(())
}
