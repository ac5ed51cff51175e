//! A group that has as many members as one may have. (It takes a while: a peer learns of 997 people,
//! each with a signed record.)

use secure_chat_protocol::limits::GROUP_MEMBERS_MAX;

use super::*;

/// Operations in one message of a session.
const OPERATIONS_A_MESSAGE: usize = 24;

#[tokio::test]
async fn whoever_would_be_the_1001st_member_is_told_that_the_group_is_full() {
    let mut scene = Scene::new().await;
    scene.promote().await;
    let [alice, _] = scene.both().await;
    let owner = scene.alice.handle().unwrap().clone();
    let link = owner.groups_invite(scene.group.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    // An admin adds people whom nobody ever meets.
    let room = GROUP_MEMBERS_MAX - scene.members(&scene.alice).await.len();
    for operations in scene.mallory.adds(scene.id, room).chunks(OPERATIONS_A_MESSAGE) {
        let operations = operations.to_vec();
        let status = scene.mallory.tell(alice, scene.id, GroupControl::Operations { operations }).await;
        assert_eq!(status, DeliveryStatus::Stored);
    }
    let count = async || owner.groups_members(&scene.group).await.unwrap().members.len();
    assert_eq!(count().await, GROUP_MEMBERS_MAX);

    let mut carol = scene._net.persona("carol").await.unwrap();
    carol.handle().unwrap().groups_join(None::<String>, Some(link)).await.unwrap();
    let told = |event| match event {
        Event::GroupLeft { reason, .. } => Some(reason),
        _ => None,
    };
    assert_eq!(carol.until(told).await.unwrap(), "The group is full.");
    assert_eq!(carol.handle().unwrap().groups_list().await.unwrap().groups.len(), 0);
    assert_eq!(count().await, GROUP_MEMBERS_MAX);
}
