//! Much of what costs whoever hears it, said by a member: everybody goes on as before.

use std::time::{Duration, Instant};

use secure_chat_protocol::id::OperationId;

use super::*;

#[tokio::test]
async fn operations_that_follow_nothing_hold_up_nobody() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let [_, bob] = scene.both().await;
    let added = ghost();
    let orphan = |number: u64| {
        let mut parent = [0; 32];
        parent[..8].copy_from_slice(&number.to_le_bytes());
        scene.mallory.sign(scene.id, 1, vec![OperationId(parent)], added.clone())
    };
    let orphans: Vec<_> = (1..=1_000).map(orphan).collect();
    let told = async |some: &[Bytes], at_once| {
        let began = Instant::now();
        for operations in some.chunks(at_once) {
            let operations = operations.to_vec();
            scene.mallory.tell(bob, scene.id, GroupControl::Operations { operations }).await;
        }
        began.elapsed()
    };
    let alone = told(&orphans[..40], 1).await;
    told(&orphans[40..960], 30).await;
    let among_many = told(&orphans[960..], 1).await;
    // If all that wait were verified again with each, this would take ten times as long.
    assert!(among_many < 4 * alone + Duration::from_secs(1), "{alone:?}, and then {among_many:?}");
    // What he is told meanwhile of what he lacks finds its place.
    scene.alice.handle().unwrap().groups_set_role(&scene.group, "bob", Role::Admin).await.unwrap();
    heard_of(&mut scene.bob, |event| matches!(event, Event::GroupRoleChanged { role: Role::Admin, .. })).await;
    scene.goes_on().await;
    scene.agree().await;
}

#[tokio::test]
async fn who_signs_one_place_again_and_again_is_put_off_like_whoever_floods() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let both = scene.both().await;
    let mut key = scene.mallory.chain(scene.id);
    for to in both {
        let chain = key.hand_to(to);
        scene.mallory.tell(to, scene.id, GroupControl::Chain { chain, tokens: None }).await;
    }
    let before = key.to_secret_bytes();
    let first = scene.mallory.message(&mut key, scene.id, scene.mallory.me, "we leave at nine");
    scene.mallory.publish(scene.id, &first).await;
    hears(&mut scene.bob, "we leave at nine").await;
    let flood = async {
        loop {
            let mut again = SenderKey::from_secret_bytes(before.expose()).unwrap();
            let double = scene.mallory.message(&mut again, scene.id, scene.mallory.me, "we leave at ten");
            scene.mallory.publish(scene.id, &double).await;
        }
    };
    tokio::select! {
        () = flood => {}
        () = alerted(&mut scene.bob, "group.flood") => {}
    }
    let alerts = scene.bob.handle().unwrap().security_alerts().await.unwrap().alerts;
    assert!(alerts.iter().any(|alert| alert.kind == "group.split_message"));
    scene.goes_on().await;
}
