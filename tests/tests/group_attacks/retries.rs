//! What could not be taken at first comes again, with the same bytes, and is taken then; and
//! whoever asks without end gets no more than their share.

use secure_chat_node::api::Event;
use secure_chat_node::security::asking::{FETCH_BURST, FETCH_PER_SECOND};
use secure_chat_protocol::membership::GroupSecret;
use secure_chat_protocol::wire::codec::Fixed;
use secure_chat_protocol::wire::group::{GroupControl, SecretIn};
use secure_chat_protocol::wire::peer::{DeliveryStatus, PeerRefusal, PeerResponse};

use super::{Mallory, Scene, heard_of};

/// A newcomer's first message that is quicker than the operation that took them in, with a one-time
/// kit and without one.
#[tokio::test]
async fn a_newcomer_s_first_message_that_comes_early_is_taken_when_it_comes_again() {
    let mut scene = Scene::new().await;
    let [_, bob] = scene.both().await;
    scene.mallory.finds(bob).await;
    let link = scene.alice.handle().unwrap().groups_invite(scene.group.clone(), None::<String>, None).await;
    let link = link.unwrap().invite.unwrap();
    for (number, with_kit) in [(1, true), (2, false)] {
        let newcomer = Mallory::named(number);
        newcomer.learns_routes_of(&scene.mallory);
        let chain = scene.mallory.chain(scene.id).hand_to(bob);
        let said = GroupControl::Chain { chain, tokens: None };
        let early = newcomer.seals(bob, scene.id, said, with_kit).await;
        for attempt in 0..3 {
            let status = newcomer.hand_over(bob, &early).await.unwrap();
            assert!(matches!(status, DeliveryStatus::SlowDown { .. }), "{status:?}, with kit: {with_kit}, {attempt}");
        }
        newcomer.join(&link).await;
        let name = format!("mallory{number}");
        heard_of(
            &mut scene.bob,
            |event| matches!(event, Event::GroupMemberJoined { username, .. } if *username == name),
        )
        .await;
        assert_eq!(newcomer.hand_over(bob, &early).await, Some(DeliveryStatus::Stored), "with kit: {with_kit}");
    }
}

/// The topic of a secret that could not be stored at first: it is listened to once it is.
#[tokio::test]
async fn a_topic_is_listened_to_although_the_step_that_named_it_failed_at_first() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    scene.promote().await;
    let [_, bob] = scene.both().await;
    let secret = SecretIn { generation: 9, secret: Fixed([9; 32]) };
    let told = scene.mallory.seals(bob, scene.id, GroupControl::Secret(secret.clone()), true).await;
    scene.bob.faults.refuse_one_write();
    assert_eq!(scene.mallory.hand_over(bob, &told).await, None, "what is not stored is not acknowledged");
    assert_eq!(scene.mallory.hand_over(bob, &told).await, Some(DeliveryStatus::Stored));
    scene.mallory.listened_to(&GroupSecret::from_wire(secret.secret).topic()).await;
}

#[tokio::test]
async fn a_member_who_asks_for_everything_without_end_is_asked_to_wait_and_the_others_talk() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let [alice, _] = scene.both().await;
    let began = std::time::Instant::now();
    let answers = scene.mallory.floods(alice, scene.id, 8 * FETCH_BURST).await;
    let told = answers.iter().filter(|answer| matches!(answer, PeerResponse::GroupMissing(_))).count() as u64;
    let most = FETCH_BURST + (began.elapsed().as_secs() + 1) * FETCH_PER_SECOND;
    assert!((1..=most).contains(&told), "{told} answers, at most {most}");
    let slowed = |answer: &&_| matches!(answer, PeerResponse::Refused(PeerRefusal::SlowDown { .. }));
    assert_eq!(told + answers.iter().filter(slowed).count() as u64, 8 * FETCH_BURST);
    scene.goes_on().await;
}
