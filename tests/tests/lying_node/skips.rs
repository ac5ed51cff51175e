//! A contact or a stranger whose messages are made to harm: they count far ahead, skip without end, come
//! back to their author, or begin sessions with keys that are none.

use secure_chat_node::api::Event;
use secure_chat_protocol::handshake::InitialHeaderIn;
use secure_chat_protocol::limits::{RECEIVING_CHAINS_MAX, SKIP_MAX, SKIPPED_KEYS_MAX};
use secure_chat_protocol::session::SessionSet;
use secure_chat_protocol::wire::codec::{self, Bytes, Fixed};
use secure_chat_protocol::wire::content::{Content, Profile};
use secure_chat_protocol::wire::peer::DeliveryStatus;
use secure_chat_tests::{Persona, TestNet};

use crate::rebuilt::Rebuilt;

async fn alice_and_mallory() -> (TestNet, Persona, Rebuilt) {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let mallory = Rebuilt::befriends(&mut alice, 66, "mallory", Vec::new()).await;
    (net, alice, mallory)
}

/// Message keys that Alice keeps for what did not come.
async fn kept_for_skipped(alice: &Persona) -> usize {
    let sessions = alice.handle().unwrap().security_facts().await.unwrap().sessions;
    sessions.iter().map(|session| session.skipped_keys).sum()
}

async fn is_read(alice: &mut Persona, mallory: &mut Rebuilt, text: &str) {
    let next = mallory.seals_text(text);
    assert_eq!(mallory.delivers(next).await, DeliveryStatus::Stored);
    assert_eq!(alice.reads().await.unwrap(), text);
}

/// The session, with the number of its next message set to the last that there is.
fn at_the_end(mallory: &mut Rebuilt) -> SessionSet {
    let bytes = |sessions: &SessionSet| sessions.to_secret_bytes().expose().to_vec();
    let before = bytes(&mallory.sessions);
    let kept = mallory.copies_session();
    mallory.seals_text("thrown away");
    let after = bytes(&mallory.sessions);
    mallory.sessions = kept;
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    // Behind the chain's key, which every message replaces.
    let is_counter = |at: &usize| {
        let of_key = at - 32..*at;
        let key_changed = before[of_key.clone()].iter().zip(&after[of_key]).filter(|(a, b)| a != b).count() > 20;
        key_changed && number(&before, *at) < 10_000 && number(&after, *at) == number(&before, *at) + 1
    };
    let found: Vec<usize> = (32..before.len() - 4).filter(is_counter).collect();
    assert_eq!(found.len(), 1, "the counter is found");
    let mut forged = before.clone();
    forged[found[0]..found[0] + 4].copy_from_slice(&(u32::MAX - 1).to_le_bytes());
    SessionSet::from_secret_bytes(&forged).unwrap()
}

#[tokio::test]
async fn a_message_that_counts_to_the_end_of_numbers_is_refused_and_changes_nothing() {
    let (_net, mut alice, mut mallory) = alice_and_mallory().await;
    is_read(&mut alice, &mut mallory, "before").await;
    let forged = at_the_end(&mut mallory);
    let kept = std::mem::replace(&mut mallory.sessions, forged);
    let ahead = mallory.seals_text("four thousand million ahead");
    mallory.sessions = kept;
    for _ in 0..3 {
        let status = mallory.delivers(ahead.clone()).await;
        assert!(matches!(status, DeliveryStatus::SlowDown { .. }), "{status:?}");
    }
    assert_eq!(kept_for_skipped(&alice).await, 0);
    is_read(&mut alice, &mut mallory, "after").await;
}

#[tokio::test]
async fn who_skips_without_end_costs_a_bounded_memory_and_can_still_talk() {
    let (_net, mut alice, mut mallory) = alice_and_mallory().await;
    let skip = SKIP_MAX as usize;
    let first: Vec<Vec<u8>> = (0..skip + 2).map(|number| mallory.seals_text(&format!("{number}"))).collect();
    let status = mallory.delivers(first[skip + 1].clone()).await;
    assert!(matches!(status, DeliveryStatus::SlowDown { .. }), "one further than may be skipped: {status:?}");
    assert_eq!(kept_for_skipped(&alice).await, 0);
    assert_eq!(mallory.delivers(first[skip].clone()).await, DeliveryStatus::Stored);
    assert_eq!(alice.reads().await.unwrap(), format!("{skip}"));
    assert_eq!(kept_for_skipped(&alice).await, skip);
    assert_eq!(mallory.delivers(first[skip + 1].clone()).await, DeliveryStatus::Stored);
    assert_eq!(alice.reads().await.unwrap(), format!("{}", skip + 1));
    // As much again fills all the room there is; one more is refused until something of it came.
    let second: Vec<Vec<u8>> = (0..skip + 3).map(|number| mallory.seals_text(&format!("again {number}"))).collect();
    assert_eq!(mallory.delivers(second[skip].clone()).await, DeliveryStatus::Stored);
    assert_eq!(alice.reads().await.unwrap(), format!("again {skip}"));
    assert_eq!(kept_for_skipped(&alice).await, SKIPPED_KEYS_MAX);
    let status = mallory.delivers(second[skip + 2].clone()).await;
    assert!(matches!(status, DeliveryStatus::SlowDown { .. }), "{status:?}");
    assert_eq!(kept_for_skipped(&alice).await, SKIPPED_KEYS_MAX);
    assert_eq!(mallory.delivers(first[0].clone()).await, DeliveryStatus::Stored);
    assert_eq!(alice.reads().await.unwrap(), "0");
    assert_eq!(mallory.delivers(second[skip + 2].clone()).await, DeliveryStatus::Stored);
    assert_eq!(alice.reads().await.unwrap(), format!("again {}", skip + 2));
    assert_eq!(kept_for_skipped(&alice).await, SKIPPED_KEYS_MAX);
}

#[tokio::test]
async fn many_chains_that_were_all_left_open_keep_a_bounded_memory() {
    const LEFT_OUT: usize = 150;
    let (_net, mut alice, mut mallory) = alice_and_mallory().await;
    for round in 0..3 * RECEIVING_CHAINS_MAX {
        for _ in 0..LEFT_OUT {
            mallory.seals_text("never sent");
        }
        is_read(&mut alice, &mut mallory, &format!("round {round}")).await;
        // What she answers turns the ratchet: the next one is of another chain.
        alice.says("mallory", &format!("heard {round}")).await.unwrap();
        assert_eq!(mallory.reads().await, format!("heard {round}"));
    }
    let kept = kept_for_skipped(&alice).await;
    assert!((LEFT_OUT..=LEFT_OUT * RECEIVING_CHAINS_MAX).contains(&kept), "{kept} keys are kept");
}

#[tokio::test]
async fn what_comes_back_to_its_author_is_not_opened_and_harms_no_session() {
    let (_net, mut alice, mut mallory) = alice_and_mallory().await;
    is_read(&mut alice, &mut mallory, "before").await;
    alice.says("mallory", "from alice").await.unwrap();
    let mut own = Vec::new();
    // Among what she has sent until now is the text.
    for _ in 0..2 {
        own.push(mallory.receives().await);
    }
    for message in own {
        assert_ne!(mallory.delivers(message).await, DeliveryStatus::Stored);
    }
    assert_eq!(alice.texts_of("mallory").await.unwrap(), ["before"]);
    is_read(&mut alice, &mut mallory, "after").await;
}

/// A first message with another beginning.
fn begun_otherwise(message: &[u8], change: impl FnOnce(&mut InitialHeaderIn)) -> Vec<u8> {
    let (start, rest) = message.split_at(2);
    let (length, rest) = rest.split_at(2);
    let (header, body) = rest.split_at(usize::from(u16::from_le_bytes(length.try_into().unwrap())));
    let mut header: InitialHeaderIn = codec::decode(header, 1 << 12).unwrap();
    change(&mut header);
    let header = codec::encode(&header, 1 << 12).unwrap();
    [start, &u16::try_from(header.len()).unwrap().to_le_bytes(), &header, body].concat()
}

#[tokio::test]
async fn a_first_message_that_was_weakened_is_refused_and_costs_no_kit() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let mut mallory = Rebuilt::meets(&alice, 66, "mallory", Vec::new()).await;
    let other = Rebuilt::meets(&alice, 67, "somebody", Vec::new()).await;
    mallory.begins().await;
    let left = alice.handle().unwrap().security_facts().await.unwrap().prekeys_left;
    let profile = Profile { record: Bytes(mallory.record.encoded().to_vec()), addresses: Vec::new(), tokens: None };
    let first = mallory.seals(Content::Request { greeting: "Hi".to_owned(), profile, invite: None }, 1);
    type Change<'a> = Box<dyn FnOnce(&mut InitialHeaderIn) + 'a>;
    let weakened: Vec<Change<'_>> = vec![
        Box::new(|header| header.suite += 1),
        Box::new(|header| header.suite = 0),
        Box::new(|header| header.kit = None),
        Box::new(|header| header.kit = Some(header.signed)),
        Box::new(|header| header.ciphertext = Fixed([0; _])),
        Box::new(|header| header.ephemeral = Fixed([0; 32])),
        Box::new(|header| header.identity = other.identity.public().to_wire()),
    ];
    for (at, change) in weakened.into_iter().enumerate() {
        let status = mallory.delivers(begun_otherwise(&first, change)).await;
        assert!(!matches!(status, DeliveryStatus::Stored | DeliveryStatus::SlowDown { .. }), "{at}: {status:?}");
    }
    assert_eq!(alice.handle().unwrap().contacts_requests().await.unwrap().incoming.len(), 0);
    assert_eq!(alice.handle().unwrap().security_facts().await.unwrap().prekeys_left, left);
    assert_eq!(mallory.delivers(first).await, DeliveryStatus::Stored, "as it was it opens");
    let name = alice.until(|event| match event {
        Event::ContactRequest(request) => Some(request.username),
        _ => None,
    });
    assert_eq!(name.await.unwrap(), "mallory");
}
