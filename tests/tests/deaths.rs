//! Sessions heal when a vault was turned back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use secure_chat_tests::{TestNet, become_contacts};

#[tokio::test]
async fn whoever_lost_their_vault_is_alarming_and_talks_again_after_a_look() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let before = bob.snapshot().unwrap();
    for number in 0..30 {
        alice.says("bob", &format!("{number}")).await.unwrap();
        assert_eq!(bob.reads().await.unwrap(), format!("{number}"));
        bob.says("alice", &format!("{number} too")).await.unwrap();
        assert_eq!(alice.reads().await.unwrap(), format!("{number} too"));
    }
    bob.away().await;
    bob.restore(&before).unwrap();
    bob.back().await.unwrap();
    // The vault is older than what was said: the sessions heal, and nothing new is lost.
    bob.says("alice", "what did I miss?").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "what did I miss?");
    alice.says("bob", "thirty numbers").await.unwrap();
    while bob.reads().await.unwrap() != "thirty numbers" {}
}
