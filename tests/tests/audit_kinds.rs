//! What the audit log has to tell of a day on which much happens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use secure_chat_node::api::{ErrorKind, Event, ExportFormat, JoinPolicy, Role};
use secure_chat_node::security::rules::MALFORMED_FRAMES;
use secure_chat_protocol::limits::SIGNED_PREKEY_ROTATE_MS;
use secure_chat_protocol::wire::peer::PEER_PROTOCOL;
use secure_chat_tests::hostile::Hostile;
use secure_chat_tests::{PASSWORD, Persona, TestNet, become_contacts};

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

    let (alices, bobs) = (alice.audited().await.unwrap(), bob.audited().await.unwrap());
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
        "group.member_added",
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
    for kind in
        ["file.downloaded", "group.joined", "group.left", "group.role_changed", "request.accepted", "request.received"]
    {
        assert!(bobs.contains(kind), "{kind} is not in {bobs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_about_keys_nodes_and_people_is_in_the_log() {
    let mut net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let mut carol = net.persona("carol").await.unwrap();
    let stranger = net.persona("stranger").await.unwrap();
    become_contacts(&mut alice, &mut carol).await.unwrap();
    let handle = alice.handle().unwrap().clone();

    let invite = handle.account_invite().await.unwrap().invite;
    stranger.handle().unwrap().contacts_request(None::<String>, invite, "Who are you?".to_owned()).await.unwrap();
    let request = alice.until(|event| match event {
        Event::ContactRequest(request) => Some(request.request_id),
        _ => None,
    });
    let request = request.await.unwrap();
    handle.contacts_decline(request).await.unwrap();
    handle.security_reset_session("carol").await.unwrap();

    let node = net.rendezvous().await.unwrap();
    let address = handle.network_add_rendezvous(node.addresses().remove(0)).await.unwrap().address;
    handle.network_remove_rendezvous(address).await.unwrap();

    let group = handle.groups_create("Hikers", None::<String>, false, JoinPolicy::Invite).await.unwrap().group_id;
    handle.groups_invite(group.clone(), "carol".to_owned(), None).await.unwrap();
    carol.until(|event| matches!(event, Event::GroupInvited { .. }).then_some(())).await.unwrap();
    carol.handle().unwrap().groups_join(group.clone(), None::<String>).await.unwrap();
    alice.until(|event| matches!(event, Event::GroupMemberJoined { .. }).then_some(())).await.unwrap();
    handle.groups_remove_member(group, "carol").await.unwrap();

    let other = "Another-Horse-8-Battery";
    let refused = handle.account_change_password("Wrong-Horse-7-Battery", other).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::WrongPassword);
    handle.account_change_password(PASSWORD, other).await.unwrap();
    handle.account_rekey(other).await.unwrap();
    let path = |name: &str| net.folder().join(name).display().to_string();
    handle.account_export(path("alice.backup"), "Passphrase-of-the-backup-9").await.unwrap();
    handle.security_export(path("log.json"), ExportFormat::Json).await.unwrap();

    let log = alice.audited().await.unwrap();
    for kind in [
        "account.password_change_failed",
        "account.password_changed",
        "account.rekeyed",
        "audit.exported",
        "backup.made",
        "group.member_added",
        "group.member_removed",
        "rendezvous.added",
        "rendezvous.removed",
        "request.declined",
        "session.reset",
    ] {
        assert!(log.contains(kind), "{kind} is not in {log:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_is_dismissed_is_gone_for_good_and_the_log_says_so() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let status = alice.handle().unwrap().network_status().await.unwrap();
    let mut mallory = Hostile::speaking(PEER_PROTOCOL, [66; 32]).unwrap();
    for _ in 0..MALFORMED_FRAMES {
        mallory.send(&status.peer_id, &status.listen[0], vec![0xff; 64]).await.unwrap();
    }
    let raised = alice.until(|event| match event {
        Event::SecurityAlert { alert_id, .. } => Some(alert_id),
        _ => None,
    });
    let raised = raised.await.unwrap();
    let handle = alice.handle().unwrap().clone();
    assert_eq!(handle.security_alerts().await.unwrap().alerts[0].alert_id, raised);
    handle.security_dismiss(raised.clone()).await.unwrap();
    assert!(handle.security_alerts().await.unwrap().alerts.is_empty());
    assert_eq!(handle.security_dismiss(raised).await.unwrap_err().kind, ErrorKind::NotFound);
    let log = alice.audited().await.unwrap();
    for kind in ["network.frame", "network.malformed", "alert.dismissed"] {
        assert!(log.contains(kind), "{kind} is not in {log:?}");
    }
    alice.away().await;
    alice.back().await.unwrap();
    assert!(alice.handle().unwrap().security_alerts().await.unwrap().alerts.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replacement_of_the_signed_prekey_is_in_the_log() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    assert!(!alice.audited().await.unwrap().contains("session.rotated"));
    alice.away().await;
    alice.clock.jump(i64::try_from(SIGNED_PREKEY_ROTATE_MS).unwrap() + 1_000);
    alice.back().await.unwrap();
    while !alice.audited().await.unwrap().contains("session.rotated") {
        tokio::task::yield_now().await;
    }
}
