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

#[tokio::test]
async fn who_answers_with_what_follows_nothing_is_not_asked_again_and_again() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let [alice, bob] = scene.both().await;
    // Messages in Alice's name that she did not sign: each would cost a verification.
    let handed = scene.mallory.inside(scene.id, |inside| inside.chains[&alice][0].clone());
    let mut bytes = scene.mallory.chain(scene.id).to_secret_bytes().expose().to_vec();
    bytes[1..17].copy_from_slice(&handed.chain.0);
    bytes[17..49].copy_from_slice(&handed.key.0);
    bytes[49..53].copy_from_slice(&(handed.number + 1).to_le_bytes());
    let mut forger = SenderKey::from_secret_bytes(&bytes).unwrap();
    let forge = |_| scene.mallory.message(&mut forger, scene.id, alice, "I am Alice");
    let forged: Vec<_> = (0..90).map(forge).collect();
    let orphan = scene.mallory.sign(scene.id, 1, vec![OperationId([7; 32])], ghost());
    scene.mallory.answers_with(bob, vec![orphan.clone()], forged);
    let (before, began) = (scene.mallory.asked(), Instant::now());
    scene.mallory.tell(bob, scene.id, GroupControl::Operations { operations: vec![orphan] }).await;
    alerted(&mut scene.bob, "group.undecryptable").await;
    scene.goes_on().await;
    // A time that is measured: if each answer made the next question, there would be thousands.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (asked, most) = (scene.mallory.asked() - before, 6 + 2 * began.elapsed().as_secs());
    assert!((1..=most).contains(&asked), "asked {asked} times, at most {most}");
    let alerts = scene.bob.handle().unwrap().security_alerts().await.unwrap().alerts;
    let verified: u64 = alerts.iter().filter(|alert| alert.kind == "group.undecryptable").map(|a| a.count).sum();
    assert!(verified <= 8 * (asked + 1), "{verified} were verified of {asked} answers");
    scene.goes_on().await;
}
