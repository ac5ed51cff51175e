//! Who does not share their addresses tells them to nobody: no node, no contact, no invite.

use secure_chat_protocol::invite::Invite;
use secure_chat_protocol::wire::rendezvous::Request;
use secure_chat_tests::{Persona, TestNet};
use tokio::sync::mpsc;

use crate::node::LyingNode;
use crate::rebuilt::Rebuilt;

async fn invite(by: &Persona) -> Invite {
    Invite::parse(&by.handle().unwrap().account_invite().await.unwrap().invite).unwrap()
}

async fn shares(who: &Persona, shares: bool) {
    who.handle().unwrap().settings_set("share_addresses", serde_json::Value::Bool(shares)).await.unwrap();
}

#[tokio::test]
async fn who_does_not_share_their_addresses_tells_them_to_nobody() {
    let node = LyingNode::start().await;
    let mut net = TestNet::new().unwrap();
    net.use_home(&node.address);
    let (tell, mut announced) = mpsc::unbounded_channel();
    node.lies(move |request, honest, _| {
        if let Request::Announce { addresses } = request {
            tell.send(addresses.is_empty()).unwrap();
        }
        honest
    });
    let mut alice = net.persona("alice").await.unwrap();
    let mut carol = Rebuilt::befriends(&mut alice, 77, "carol", Vec::new()).await;
    // All of them have something to tell.
    while announced.recv().await.unwrap() {}
    assert!(!carol.greets().await.addresses.is_empty());
    assert!(!carol.is_accepted().await.addresses.is_empty());
    assert!(!invite(&alice).await.addresses().is_empty());

    while announced.try_recv().is_ok() {}
    shares(&alice, false).await;
    assert!(announced.recv().await.unwrap(), "the node forgets what it knew");
    assert!(carol.greets().await.addresses.is_empty());
    assert!(invite(&alice).await.addresses().is_empty());
    alice.away().await;
    alice.back().await.unwrap();
    assert!(announced.recv().await.unwrap());
    let mut dave = Rebuilt::befriends(&mut alice, 78, "dave", Vec::new()).await;
    assert!(dave.is_accepted().await.addresses.is_empty());
    assert!(dave.greets().await.addresses.is_empty());
    assert!(announced.try_recv().is_err(), "nothing was announced since");

    shares(&alice, true).await;
    assert!(!announced.recv().await.unwrap());
    assert!(!dave.greets().await.addresses.is_empty());
}
