//! The directory of groups, logs of groups and blobs, as peers meet them over the network.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

#[path = "../program/mod.rs"]
mod program;
#[path = "../support/mod.rs"]
mod support;

mod blobs;
mod directory;
mod group_log;
mod kill;
mod slow_readers;
mod what_the_node_keeps;

use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};

async fn start(config: RendezvousConfig) -> (RendezvousNode, String) {
    let node = RendezvousNode::start(config).await.unwrap();
    let address = node.addresses().first().unwrap().clone();
    (node, address)
}
