//! What the audit log has to tell of a day on which much happens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use secure_chat_node::api::{Event, JoinPolicy, Role};
use secure_chat_protocol::limits::SIGNED_PREKEY_ROTATE_MS;
use secure_chat_tests::{PASSWORD, Persona, TestNet, become_contacts};

/// The kinds of entries in somebody's log.
async fn kinds(of: &Persona) -> BTreeSet<String> {
    let none = || None::<String>;
    let log = of.handle().unwrap().security_audit_log(None, 500_u32, none(), none(), None, None, none());
    log.await.unwrap().entries.into_iter().map(|entry| entry.kind).collect()
}

async fn shared(by: &Persona, net: &TestNet, name: &str) -> Result<String, secure_chat_node::api::ApiError> {
    let path = net.folder().join(name);
    std::fs::write(&path, "some words").unwrap();
    let (path, to) = (path.display().to_string(), Some("bob".to_owned()));
    let shared = by.handle().unwrap().files_share(path, to, None::<String>, None, None::<String>, None::<bool>);
    shared.await.map(|shared| shared.file_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_people_files_and_groups_is_in_the_log() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let handle = alice.handle().unwrap().clone();

    let file = shared(&alice, &net, "words.txt").await.unwrap();
    shared(&alice, &net, "words.unheard-of").await.unwrap_err();
    bob.until(|event| matches!(event, Event::FileShared(_)).then_some(())).await.unwrap();
    let to = net.folder().join("here.txt").display().to_string();
    bob.handle().unwrap().files_download(file, Some(to), None::<bool>).await.unwrap();

    let made = handle.groups_create("Hikers", None::<String>, false, JoinPolicy::Invite).await.unwrap();
    let group = made.group_id;
    handle.groups_invite(group.clone(), Some("bob".to_owned()), None).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupInvited { .. }).then_some(())).await.unwrap();
    bob.handle().unwrap().groups_join(Some(group.clone()), None::<String>).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
    alice.until(|event| matches!(event, Event::GroupMemberJoined { .. }).then_some(())).await.unwrap();
    handle.groups_set_role(group.clone(), "bob", Role::Admin).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupRoleChanged { .. }).then_some(())).await.unwrap();
    handle.groups_ban(group, "bob").await.unwrap();
    bob.until(|event| matches!(event, Event::GroupLeft { .. }).then_some(())).await.unwrap();

    handle.contacts_verify("bob", true).await.unwrap();
    handle.contacts_block("bob").await.unwrap();
    handle.contacts_unblock("bob").await.unwrap();
    handle.contacts_remove("bob").await.unwrap();
    handle.settings_set("typing", false).await.unwrap();
    handle.account_lock().await.unwrap();
    handle.account_unlock("Wrong-Horse-7-Battery", None).await.unwrap_err();
    handle.account_unlock(PASSWORD, None).await.unwrap();

    let (alices, bobs) = (kinds(&alice).await, kinds(&bob).await);
    for kind in [
        "account.created",
        "account.locked",
        "account.unlock_failed",
        "account.unlocked",
        "contact.blocked",
        "contact.removed",
        "contact.unblocked",
        "contact.verified",
        "file.refused",
        "file.shared",
        "group.created",
        "group.member_banned",
        "group.member_joined",
        "group.member_left",
        "group.role_changed",
        "request.sent",
        "session.started",
        "settings.changed",
    ] {
        assert!(alices.contains(kind), "{kind} is not in {alices:?}");
    }
    for kind in ["file.downloaded", "group.joined", "group.role_changed", "request.accepted", "request.received"] {
        assert!(bobs.contains(kind), "{kind} is not in {bobs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replacement_of_the_signed_prekey_is_in_the_log() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    assert!(!kinds(&alice).await.contains("session.rotated"));
    alice.away().await;
    alice.clock.jump(i64::try_from(SIGNED_PREKEY_ROTATE_MS).unwrap() + 1_000);
    alice.back().await.unwrap();
    while !kinds(&alice).await.contains("session.rotated") {
        tokio::task::yield_now().await;
    }
}
