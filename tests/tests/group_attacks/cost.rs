//! What a change of the membership costs the other members, counted on the wire.

use secure_chat_node::api::Event;
use secure_chat_protocol::id::AccountId;

use super::{Mallory, Scene, heard_of};

/// A change that adds somebody holds their record, and travels with a frame around it.
const CHANGE_MAX_BYTES: usize = 2_048;
/// The first message of a session shows whoever starts it, and agrees on its keys.
const FIRST_MAX_BYTES: usize = 4_096;

/// The sizes of what somebody told a hostile member over their session, from a place on.
fn told_by(mallory: &Mallory, scene: &Scene, who: AccountId, from: usize) -> Vec<usize> {
    mallory.inside(scene.id, |inside| {
        inside.told.iter().skip(from).filter(|(teller, _)| *teller == who).map(|(_, bytes)| *bytes).collect()
    })
}

/// Waits until somebody has told so much.
async fn until_told(mallory: &Mallory, scene: &Scene, who: AccountId, from: usize, count: usize) {
    let enough = |inside: &mut super::mallory::Inside| {
        let told = inside.told.iter().skip(from).filter(|(teller, _)| *teller == who).count();
        (told >= count).then_some(())
    };
    mallory.until(scene.id, enough).await;
}

/// Of what a member tells another, nothing overtakes: what came before their next word is all
/// that the addition brought about.
#[tokio::test]
async fn adding_a_member_costs_each_other_member_one_small_message() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let [alice, bob] = scene.both().await;
    let before = scene.mallory.inside(scene.id, |inside| inside.told.len());
    let owner = scene.alice.handle().unwrap();
    let link = owner.groups_invite(scene.group.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    // The link is a change as well.
    until_told(&scene.mallory, &scene, alice, before, 1).await;
    let newcomer = Mallory::named(1);
    newcomer.join(&link).await;
    heard_of(
        &mut scene.bob,
        |event| matches!(event, Event::GroupMemberJoined { username, .. } if username == "mallory1"),
    )
    .await;
    // The newcomer's addresses are told nobody: it is the one who connects.
    newcomer.finds(bob).await;
    newcomer.greets(bob).await;
    until_told(&newcomer, &scene, bob, 0, 1).await;
    // The next word of each: a change of its own.
    owner.groups_update(&scene.group, Some("Climbers".to_owned()), None::<String>, None).await.unwrap();
    until_told(&scene.mallory, &scene, alice, before, 3).await;
    scene.bob.handle().unwrap().groups_leave(&scene.group).await.unwrap();
    until_told(&scene.mallory, &scene, bob, before, 1).await;
    until_told(&newcomer, &scene, bob, 0, 2).await;
    let (from_alice, from_bob) =
        (told_by(&scene.mallory, &scene, alice, before), told_by(&scene.mallory, &scene, bob, before));
    // The link, the addition, the name; and the secret that Bob leaves behind may be there already.
    assert!((3..=4).contains(&from_alice.len()), "{from_alice:?}");
    assert!(from_alice.iter().all(|bytes| *bytes <= CHANGE_MAX_BYTES), "{from_alice:?}");
    assert_eq!(from_bob.len(), 1, "the other members tell each other nothing but that Bob left: {from_bob:?}");
    // Each other member tells the newcomer their chain, and nothing else.
    let from_bob = told_by(&newcomer, &scene, bob, 0);
    assert_eq!(from_bob.len(), 2, "{from_bob:?}");
    assert!(from_bob.iter().all(|bytes| *bytes <= FIRST_MAX_BYTES), "{from_bob:?}");
    println!("added: told {:?} bytes by the admin, {from_bob:?} to the newcomer", from_alice.get(1));
}
