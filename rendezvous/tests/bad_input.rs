//! Garbage, oversized and slow streams: cut off and counted, without harm to others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod support;

use std::time::Instant;

use secure_chat_protocol::wire::rendezvous::{Request, Response};
use secure_chat_rendezvous::metrics::Fault;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use support::{Client, Frame, frame, loopback_node, stranger};

async fn start(config: RendezvousConfig) -> (RendezvousNode, String) {
    let node = RendezvousNode::start(config).await.unwrap();
    let address = node.addresses().first().unwrap().clone();
    (node, address)
}

async fn counted(node: &RendezvousNode, fault: Fault, times: u64) {
    let deadline = Instant::now() + support::PATIENCE;
    while node.metrics().fault_count(fault) < times {
        assert!(Instant::now() < deadline, "{fault:?} was counted {} times", node.metrics().fault_count(fault));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn garbage_oversized_and_cut_frames_are_counted_and_harm_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let (node, address) = start(loopback_node(directory.path())).await;
    let bystander = Client::connect(stranger(1), &address).await;
    let rogue = Client::connect(stranger(2), &address).await;
    assert!(rogue.raw(Frame::Bytes([&8_u32.to_le_bytes()[..], &[0xff; 8]].concat())).await.is_err());
    counted(&node, Fault::Garbage, 1).await;
    assert!(rogue.raw(Frame::Bytes([&u32::MAX.to_le_bytes()[..], &[0; 100]].concat())).await.is_err());
    counted(&node, Fault::Oversized, 1).await;
    // A canonical request with a byte behind it inside the frame.
    let request = Request::Info.encode().unwrap();
    let longer = [&2_u32.to_le_bytes()[..], &request, &[0]].concat();
    assert!(rogue.raw(Frame::Bytes(longer)).await.is_err());
    counted(&node, Fault::Garbage, 2).await;
    let mut cut = frame(&Request::Challenge);
    cut[0] += 9;
    assert!(rogue.raw(Frame::Bytes(cut)).await.is_err());
    counted(&node, Fault::Cut, 1).await;
    assert!(matches!(rogue.ask(&Request::Info).await, Response::Info(_)), "a few mistakes are forgiven");
    assert!(matches!(bystander.ask(&Request::Info).await, Response::Info(_)));
}

#[tokio::test]
async fn a_peer_that_keeps_sending_garbage_is_disconnected_and_others_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(loopback_node(directory.path())).await;
    let bystander = Client::connect(stranger(1), &address).await;
    let mut rogue = Client::connect(stranger(2), &address).await;
    for _ in 0..8 {
        let _ = rogue.raw(Frame::Bytes([&1_u32.to_le_bytes()[..], &[0xff]].concat())).await;
    }
    rogue.wait_closed().await;
    assert!(matches!(bystander.ask(&Request::Info).await, Response::Info(_)));
}

#[tokio::test]
async fn streams_that_hang_are_cut_off_in_ten_seconds_while_others_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let (node, address) = start(loopback_node(directory.path())).await;
    let bystander = Client::connect(stranger(1), &address).await;
    let rogue = Client::connect(stranger(2), &address).await;
    let hanging: Vec<_> = (0..4).map(|n| rogue.begin(Frame::Hang(frame(&Request::Challenge)[..n].to_vec()))).collect();
    let half_served = rogue.ask(&Request::Info).await;
    assert!(matches!(half_served, Response::Info(_)));
    counted(&node, Fault::Slow, 4).await;
    assert!(matches!(bystander.ask(&Request::Info).await, Response::Info(_)));
    drop(hanging);
}

#[tokio::test]
async fn more_streams_than_are_served_at_once_do_not_disturb_others() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(loopback_node(directory.path())).await;
    let bystander = Client::connect(stranger(1), &address).await;
    let rogue = Client::connect(stranger(2), &address).await;
    let hanging: Vec<_> = (0..300).map(|_| rogue.begin(Frame::Hang(vec![9, 0, 0, 0, 1]))).collect();
    for _ in 0..20 {
        assert!(matches!(bystander.ask(&Request::Info).await, Response::Info(_)));
    }
    drop(hanging);
}
