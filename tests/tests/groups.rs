//! Groups of people with real vaults and sessions; only the wire is in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what is shared by tests fails as they do")]

use secure_chat_node::api::{ApiError, ErrorKind, Event, GroupState, JoinPolicy, MessageState, Role};
use secure_chat_tests::{Persona, TestNet, become_contacts};

fn kind<T>(result: Result<T, ApiError>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind)
}

/// Makes a group of the first, who invites the others one by one; all are contacts of the first.
async fn group_of(people: &mut [&mut Persona]) -> String {
    let (owner, others) = people.split_first_mut().unwrap();
    let made = owner.handle().unwrap().groups_create("Hikers", None::<String>, false, JoinPolicy::Invite);
    let group = made.await.unwrap().group_id;
    for other in others {
        become_contacts(owner, other).await.unwrap();
        join(owner, other, &group).await;
    }
    group
}

async fn join(owner: &mut Persona, other: &mut Persona, group: &str) {
    owner.handle().unwrap().groups_invite(group, Some(other.name.clone()), None).await.unwrap();
    other.until(|event| matches!(event, Event::GroupInvited { .. }).then_some(())).await.unwrap();
    other.handle().unwrap().groups_join(Some(group.to_owned()), None::<String>).await.unwrap();
    other.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
}

async fn says(who: &Persona, group: &str, text: &str) -> String {
    who.handle().unwrap().groups_send(group, text, None::<String>).await.unwrap().message_id
}

/// Waits for the text in the group.
async fn hears(who: &mut Persona, text: &str) {
    who.until(|event| match event {
        Event::GroupMessage(message) if message.text == text => Some(()),
        _ => None,
    })
    .await
    .unwrap_or_else(|error| panic!("{} did not hear {text:?}: {error}", who.name));
}

/// Waits until the text stands in the group's history, whenever it came.
async fn has(who: &Persona, group: &str, text: &str) {
    for _ in 0..1_200 {
        if texts(who, group).await.iter().any(|known| known == text) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{} never had {text:?}", who.name);
}

async fn texts(who: &Persona, group: &str) -> Vec<String> {
    let page = who.handle().unwrap().groups_history(group, None::<String>, Some(500_u32)).await.unwrap();
    page.messages.into_iter().map(|message| message.text).collect()
}

async fn view(who: &Persona, group: &str) -> String {
    let groups = who.handle().unwrap().groups_list().await.unwrap().groups;
    groups.into_iter().find(|row| row.group_id == group).unwrap().view
}

/// Waits until everybody agrees on who is in the group.
async fn agree(people: &[&Persona], group: &str) {
    for _ in 0..600 {
        let mut views = std::collections::BTreeSet::new();
        for who in people {
            views.insert(view(who, group).await);
        }
        if views.len() == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the members do not agree");
}

#[tokio::test]
async fn three_people_with_no_rendezvous_node_talk_in_a_group() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let group = group_of(&mut [&mut alice, &mut bob, &mut carol]).await;
    let id = says(&alice, &group, "welcome").await;
    hears(&mut bob, "welcome").await;
    hears(&mut carol, "welcome").await;
    let delivered = alice.until(|event| match event {
        Event::MessageState { message_id, state: MessageState::Delivered, .. } => Some(message_id),
        _ => None,
    });
    assert_eq!(delivered.await.unwrap(), id);
    // Bob and Carol are no contacts of each other.
    says(&bob, &group, "hello @carol").await;
    hears(&mut alice, "hello @carol").await;
    hears(&mut carol, "hello @carol").await;
    says(&carol, &group, "hi all").await;
    hears(&mut alice, "hi all").await;
    hears(&mut bob, "hi all").await;
    let row = carol.handle().unwrap().groups_list().await.unwrap().groups.remove(0);
    assert_eq!((row.unread, row.mentions, row.members), (2, 1, 3));
    agree(&[&alice, &bob, &carol], &group).await;
}

#[tokio::test]
async fn a_member_away_catches_up_and_a_removed_one_reads_nothing_more() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let group = group_of(&mut [&mut alice, &mut bob, &mut carol]).await;
    says(&alice, &group, "first").await;
    hears(&mut bob, "first").await;
    hears(&mut carol, "first").await;
    carol.away().await;
    for number in 0..20 {
        says(&alice, &group, &format!("{number}")).await;
    }
    hears(&mut bob, "19").await;
    carol.back().await.unwrap();
    hears(&mut carol, "19").await;
    let expected: Vec<String> =
        std::iter::once("first".to_owned()).chain((0..20).map(|number| number.to_string())).collect();
    assert_eq!(texts(&carol, &group).await, expected);
    alice.handle().unwrap().groups_remove_member(group.clone(), "carol").await.unwrap();
    says(&alice, &group, "without carol").await;
    hears(&mut bob, "without carol").await;
    carol.until(|event| matches!(event, Event::GroupLeft { .. }).then_some(())).await.unwrap();
    says(&bob, &group, "indeed").await;
    hears(&mut alice, "indeed").await;
    assert_eq!(texts(&carol, &group).await, expected, "a removed member reads nothing more");
    let refused = carol.handle().unwrap().groups_send(group.clone(), "let me in", None::<String>).await;
    assert_eq!(kind(refused), Some(ErrorKind::NotAllowed));
    let members = alice.handle().unwrap().groups_members(group).await.unwrap().members;
    assert_eq!(members.iter().map(|member| member.username.as_str()).collect::<Vec<_>>(), ["alice", "bob"]);
}

#[tokio::test]
async fn a_link_lets_in_until_it_is_revoked_and_an_admin_decides_otherwise() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let owner = alice.handle().unwrap().clone();
    let group = owner.groups_create("Hikers", None::<String>, false, JoinPolicy::Approval).await.unwrap().group_id;
    let link = owner.groups_invite(group.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    bob.handle().unwrap().groups_join(None::<String>, Some(link.clone())).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
    says(&bob, &group, "in by a link").await;
    hears(&mut alice, "in by a link").await;
    assert_eq!(
        kind(bob.handle().unwrap().groups_join(None::<String>, Some(link.clone())).await),
        Some(ErrorKind::Conflict)
    );
    owner.groups_revoke_invite(group.clone(), link.clone()).await.unwrap();
    carol.handle().unwrap().groups_join(None::<String>, Some(link)).await.unwrap();
    carol.until(|event| matches!(event, Event::GroupLeft { .. }).then_some(())).await.unwrap();
    assert_eq!(owner.groups_members(group).await.unwrap().members.len(), 2);
}

#[tokio::test]
async fn everybody_acts_within_their_role_and_the_last_owner_stays() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let group = group_of(&mut [&mut alice, &mut bob, &mut carol]).await;
    let (owner, member) = (alice.handle().unwrap().clone(), bob.handle().unwrap().clone());
    agree(&[&alice, &bob, &carol], &group).await;
    assert_eq!(kind(member.groups_remove_member(group.clone(), "carol").await), Some(ErrorKind::NotAllowed));
    assert_eq!(kind(member.groups_invite(group.clone(), None::<String>, None).await), Some(ErrorKind::NotAllowed));
    assert_eq!(kind(member.groups_set_role(group.clone(), "bob", Role::Owner).await), Some(ErrorKind::NotAllowed));
    let renamed = member.groups_update(group.clone(), Some("Mine".to_owned()), None::<String>, None);
    assert_eq!(kind(renamed.await), Some(ErrorKind::NotAllowed));
    assert_eq!(kind(owner.groups_leave(group.clone()).await), Some(ErrorKind::NotAllowed));
    assert_eq!(kind(owner.groups_set_role(group.clone(), "alice", Role::Member).await), Some(ErrorKind::NotAllowed));
    assert_eq!(kind(owner.groups_remove_member(group.clone(), "nobody").await), Some(ErrorKind::NotFound));
    let empty = owner.groups_create("  ", None::<String>, false, JoinPolicy::Open).await.unwrap_err();
    assert_eq!(empty.field, Some("name"));
    let long = owner.groups_create("x".repeat(61), None::<String>, false, JoinPolicy::Open).await.unwrap_err();
    assert_eq!(long.field, Some("name"));
    owner.groups_transfer(group.clone(), "bob").await.unwrap();
    bob.until(|event| match event {
        Event::GroupRoleChanged { role: Role::Owner, .. } => Some(()),
        _ => None,
    })
    .await
    .unwrap();
    owner.groups_leave(group.clone()).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupMemberLeft { .. }).then_some(())).await.unwrap();
    member.groups_update(group.clone(), Some("Climbers".to_owned()), None::<String>, None).await.unwrap();
    says(&bob, &group, "alice is gone").await;
    hears(&mut carol, "alice is gone").await;
    agree(&[&bob, &carol], &group).await;
    assert!(!texts(&alice, &group).await.contains(&"alice is gone".to_owned()));
    owner.groups_delete_local(group.clone()).await.unwrap();
    assert_eq!(kind(owner.groups_members(group).await), Some(ErrorKind::NotFound));
}

#[tokio::test]
async fn edits_reactions_and_deletions_reach_all_members() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let group = group_of(&mut [&mut alice, &mut bob, &mut carol]).await;
    let id = says(&alice, &group, "helo").await;
    hears(&mut bob, "helo").await;
    hears(&mut carol, "helo").await;
    alice.handle().unwrap().messages_edit(id.clone(), "hello").await.unwrap();
    for who in [&mut bob, &mut carol] {
        let edited = who.until(|event| match event {
            Event::MessageEdited(message) => Some(message.text),
            _ => None,
        });
        assert_eq!(edited.await.unwrap(), "hello");
    }
    bob.handle().unwrap().messages_react(id.clone(), "👍").await.unwrap();
    carol.until(|event| matches!(event, Event::MessageReaction(_)).then_some(())).await.unwrap();
    assert_eq!(kind(bob.handle().unwrap().messages_edit(id.clone(), "mine").await), Some(ErrorKind::NotAllowed));
    alice.handle().unwrap().messages_delete(id, Some(true)).await.unwrap();
    for who in [&mut bob, &mut carol] {
        who.until(|event| matches!(event, Event::MessageDeleted { .. }).then_some(())).await.unwrap();
        assert_eq!(texts(who, &group).await, [""]);
    }
}

#[tokio::test]
async fn a_death_at_any_sync_of_a_rotation_ends_in_the_same_view() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let group = group_of(&mut [&mut alice, &mut bob, &mut carol]).await;
    says(&alice, &group, "before").await;
    hears(&mut bob, "before").await;
    hears(&mut carol, "before").await;
    let mut gone = false;
    for syncs in 0..6 {
        alice.faults.cut_after_syncs(syncs);
        if !gone {
            gone = alice.handle().unwrap().groups_remove_member(group.clone(), "carol").await.is_ok();
        }
        let _ = alice.handle().unwrap().groups_send(group.clone(), format!("cut {syncs}"), None::<String>).await;
        alice.killed().await;
        alice.back().await.unwrap();
    }
    if !gone {
        // A death may have come between the commit and the answer.
        let _ = alice.handle().unwrap().groups_remove_member(group.clone(), "carol").await;
    }
    says(&alice, &group, "after").await;
    hears(&mut bob, "after").await;
    agree(&[&alice, &bob], &group).await;
    assert!(!texts(&carol, &group).await.contains(&"after".to_owned()));
    let heard = texts(&bob, &group).await;
    let once: std::collections::BTreeSet<_> = heard.iter().collect();
    assert_eq!(once.len(), heard.len(), "nothing is shown twice");
}

#[tokio::test]
async fn the_log_keeps_what_was_said_while_nobody_else_was_there() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let group = group_of(&mut [&mut alice, &mut bob, &mut carol]).await;
    says(&alice, &group, "first").await;
    hears(&mut bob, "first").await;
    hears(&mut carol, "first").await;
    bob.away().await;
    carol.away().await;
    let sent = says(&alice, &group, "to those who are away").await;
    alice
        .until(|event| {
            matches!(event, Event::MessageState { message_id, state: MessageState::Sent, .. } if message_id == sent)
                .then_some(())
        })
        .await
        .unwrap();
    // Carol is removed while she is away; what comes after is not for her.
    alice.handle().unwrap().groups_remove_member(group.clone(), "carol").await.unwrap();
    let sent = says(&alice, &group, "without carol").await;
    alice
        .until(|event| {
            matches!(event, Event::MessageState { message_id, state: MessageState::Sent, .. } if message_id == sent)
                .then_some(())
        })
        .await
        .unwrap();
    alice.away().await;
    bob.back().await.unwrap();
    has(&bob, &group, "to those who are away").await;
    has(&bob, &group, "without carol").await;
    carol.back().await.unwrap();
    while carol.handle().unwrap().groups_list().await.unwrap().groups[0].state != GroupState::Left {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(!texts(&carol, &group).await.contains(&"without carol".to_owned()));
}

#[tokio::test]
async fn a_public_group_is_found_and_joined_by_strangers() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let owner = alice.handle().unwrap().clone();
    let about = Some("Walks on Sundays".to_owned());
    let group = owner.groups_create("Hikers", about, true, JoinPolicy::Open).await.unwrap().group_id;
    let mut found = Vec::new();
    while found.is_empty() {
        found = bob.handle().unwrap().groups_search("hik sundays").await.unwrap().groups;
    }
    assert_eq!((found[0].group_id.clone(), found[0].name.as_str(), found[0].members), (group.clone(), "Hikers", 1));
    bob.handle().unwrap().groups_join(Some(group.clone()), None::<String>).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
    says(&bob, &group, "hello").await;
    hears(&mut alice, "hello").await;
    owner.groups_update(group.clone(), None::<String>, None::<String>, Some(JoinPolicy::Approval)).await.unwrap();
    carol.handle().unwrap().groups_join(Some(group.clone()), None::<String>).await.unwrap();
    alice.until(|event| matches!(event, Event::GroupJoinRequested(_)).then_some(())).await.unwrap();
    assert_eq!(owner.groups_requests(group.clone()).await.unwrap().requests.len(), 1);
    owner.groups_approve(group.clone(), "carol").await.unwrap();
    carol.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
    says(&carol, &group, "me too").await;
    hears(&mut alice, "me too").await;
    hears(&mut bob, "me too").await;
    // Somebody banned stays out.
    owner.groups_ban(group.clone(), "carol").await.unwrap();
    carol.until(|event| matches!(event, Event::GroupLeft { .. }).then_some(())).await.unwrap();
    carol.handle().unwrap().groups_join(Some(group.clone()), None::<String>).await.unwrap();
    carol.until(|event| matches!(event, Event::GroupLeft { .. }).then_some(())).await.unwrap();
    assert_eq!(owner.groups_members(group).await.unwrap().members.len(), 2);
    let none = bob.handle().unwrap().groups_join(Some("00".repeat(32)), None::<String>).await;
    assert_eq!(kind(none), Some(ErrorKind::NotFound));
}
