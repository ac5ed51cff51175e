//! What members of a group see of each other, who lets strangers in, and what is
//! refused: with real vaults and sessions; only the wire is in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use std::time::Duration;

use secure_chat_node::api::{ApiError, At, ErrorKind, Event, GroupState, JoinPolicy, MessageState, Role};
use secure_chat_protocol::id::Timestamp;
use secure_chat_tests::{Persona, TestNet};

fn kind<T>(result: Result<T, ApiError>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind)
}

/// A group of the first, and the link that lets the others in.
async fn founded(owner: &Persona) -> (String, String) {
    let handle = owner.handle().unwrap();
    let made = handle.groups_create("Hikers", None::<String>, false, JoinPolicy::Invite).await.unwrap();
    let link = handle.groups_invite(made.group_id.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    (made.group_id, link)
}

async fn joins(who: &mut Persona, link: &str) {
    who.handle().unwrap().groups_join(None::<String>, Some(link.to_owned())).await.unwrap();
    who.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
}

async fn says(who: &Persona, group: &str, text: &str) -> String {
    who.handle().unwrap().groups_send(group, text, None::<String>).await.unwrap().message_id
}

async fn hears(who: &mut Persona, text: &str) -> String {
    who.until(|event| match event {
        Event::GroupMessage(message) if message.text == text => Some(message.message_id),
        _ => None,
    })
    .await
    .unwrap_or_else(|error| panic!("{} did not hear {text:?}: {error}", who.name))
}

async fn in_state(who: &mut Persona, id: &str, wanted: MessageState) {
    who.until(|event| match event {
        Event::MessageState { message_id, state, .. } if message_id == id && state == wanted => Some(()),
        _ => None,
    })
    .await
    .unwrap();
}

async fn state_of(who: &Persona, group: &str, id: &str) -> MessageState {
    let page = who.handle().unwrap().groups_history(group, None::<String>, Some(100_u32)).await.unwrap();
    page.messages.into_iter().find(|message| message.message_id == id).unwrap().state
}

#[tokio::test]
async fn a_message_is_read_when_all_have_read_it() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let (group, link) = founded(&alice).await;
    joins(&mut bob, &link).await;
    joins(&mut carol, &link).await;
    let first = says(&alice, &group, "first").await;
    let second = says(&alice, &group, "second").await;
    hears(&mut bob, "second").await;
    hears(&mut carol, "second").await;
    in_state(&mut alice, &second, MessageState::Delivered).await;
    bob.handle().unwrap().groups_mark_read(group.clone(), second.clone()).await.unwrap();
    // What Bob says after his receipt comes after it.
    says(&bob, &group, "I have read it").await;
    hears(&mut alice, "I have read it").await;
    assert_eq!(state_of(&alice, &group, &second).await, MessageState::Delivered);
    carol.handle().unwrap().groups_mark_read(group.clone(), second.clone()).await.unwrap();
    in_state(&mut alice, &second, MessageState::Read).await;
    assert_eq!(state_of(&alice, &group, &first).await, MessageState::Read);
}

#[tokio::test]
async fn who_tells_nobody_what_they_read_is_not_given_away() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let mut bob = net.persona("bob").await.unwrap();
    let (group, link) = founded(&alice).await;
    joins(&mut bob, &link).await;
    let quiet = serde_json::Value::Bool(false);
    bob.handle().unwrap().settings_set("read_receipts", quiet.clone()).await.unwrap();
    bob.handle().unwrap().settings_set("typing", quiet).await.unwrap();
    let said = says(&alice, &group, "hello").await;
    hears(&mut bob, "hello").await;
    in_state(&mut alice, &said, MessageState::Delivered).await;
    bob.handle().unwrap().groups_mark_read(group.clone(), said.clone()).await.unwrap();
    bob.handle().unwrap().messages_typing(group.clone()).await.unwrap();
    says(&bob, &group, "hi").await;
    hears(&mut alice, "hi").await;
    assert_eq!(state_of(&alice, &group, &said).await, MessageState::Delivered);
}

#[tokio::test]
async fn members_see_who_is_typing() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let mut bob = net.persona("bob").await.unwrap();
    let (group, link) = founded(&alice).await;
    joins(&mut bob, &link).await;
    says(&bob, &group, "hello").await;
    hears(&mut alice, "hello").await;
    bob.handle().unwrap().messages_typing(group.clone()).await.unwrap();
    let typing = alice.until(|event| match event {
        Event::Typing { conversation, username, active: true, .. } => Some((conversation, username)),
        _ => None,
    });
    assert_eq!(typing.await.unwrap(), (group, "bob".to_owned()));
}

#[tokio::test]
async fn a_second_admin_lets_in_when_the_first_never_comes() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let (group, link) = founded(&alice).await;
    joins(&mut bob, &link).await;
    alice.handle().unwrap().groups_set_role(group.clone(), "bob", Role::Admin).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupRoleChanged { role: Role::Admin, .. }).then_some(())).await.unwrap();
    // This link names Bob as well.
    let link =
        alice.handle().unwrap().groups_invite(group.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    says(&alice, &group, "bye").await;
    hears(&mut bob, "bye").await;
    alice.away().await;
    joins(&mut carol, &link).await;
    says(&carol, &group, "let in by bob").await;
    hears(&mut bob, "let in by bob").await;
    // Alice finds the request in her mailbox when she comes back: nobody is in twice.
    alice.back().await.unwrap();
    says(&bob, &group, "welcome back").await;
    hears(&mut alice, "welcome back").await;
    hears(&mut carol, "welcome back").await;
    assert_eq!(alice.handle().unwrap().groups_members(group).await.unwrap().members.len(), 3);
}

#[tokio::test]
async fn a_request_that_one_admin_approves_is_settled_for_all() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let owner = alice.handle().unwrap().clone();
    let made = owner.groups_create("Hikers", None::<String>, true, JoinPolicy::Approval).await.unwrap();
    let group = made.group_id;
    let link = owner.groups_invite(group.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    joins(&mut bob, &link).await;
    owner.groups_set_role(group.clone(), "bob", Role::Admin).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupRoleChanged { role: Role::Admin, .. }).then_some(())).await.unwrap();
    // The entry that names both takes its time to the directory.
    owner.groups_update(group.clone(), None::<String>, Some("Sundays".to_owned()), None).await.unwrap();
    let seeker = carol.handle().unwrap().clone();
    while seeker.groups_search("hikers").await.unwrap().groups.first().is_none_or(|g| g.description != "Sundays") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    carol.handle().unwrap().groups_join(Some(group.clone()), None::<String>).await.unwrap();
    // Both are asked in the end; one of them decides.
    alice.until(|event| matches!(event, Event::GroupJoinRequested(_)).then_some(())).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupJoinRequested(_)).then_some(())).await.unwrap();
    bob.handle().unwrap().groups_approve(group.clone(), "carol").await.unwrap();
    carol.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
    alice.until(|event| matches!(event, Event::GroupMemberJoined { .. }).then_some(())).await.unwrap();
    assert!(owner.groups_requests(group).await.unwrap().requests.is_empty(), "the request is settled for Alice too");
}

#[tokio::test]
async fn an_invite_that_is_over_or_a_group_that_is_gone_lets_nobody_in() {
    let net = TestNet::new().unwrap();
    let alice = net.persona("alice").await.unwrap();
    let mut bob = net.persona("bob").await.unwrap();
    let (group, link) = founded(&alice).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let past = At(Timestamp(u64::try_from(now.as_millis()).unwrap() - 1));
    let refused = alice.handle().unwrap().groups_invite(group.clone(), None::<String>, Some(past)).await.unwrap_err();
    assert_eq!(refused.field, Some("expires"));
    let soon = At(Timestamp(u64::try_from(now.as_millis()).unwrap() + 1_500));
    let short = alice.handle().unwrap().groups_invite(group.clone(), None::<String>, Some(soon)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    let refused = bob.handle().unwrap().groups_join(None::<String>, short.invite).await;
    assert_eq!(kind(refused), Some(ErrorKind::Expired));
    let damaged = bob.handle().unwrap().groups_join(None::<String>, Some(link[..link.len() - 3].to_owned())).await;
    assert_eq!(damaged.unwrap_err().field, Some("invite"));
    // Alice was the only one, and goes.
    alice.handle().unwrap().groups_leave(group.clone()).await.unwrap();
    bob.handle().unwrap().groups_join(None::<String>, Some(link)).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupLeft { .. }).then_some(())).await.unwrap();
    assert!(bob.handle().unwrap().groups_list().await.unwrap().groups.iter().all(|row| row.state == GroupState::Left));
}

#[tokio::test]
async fn names_that_mislead_are_refused_and_taken_ones_are_told() {
    let mut net = TestNet::new().unwrap();
    let node = net.rendezvous().await.unwrap();
    let alice = net.persona("alice").await.unwrap();
    let bob = net.persona("bob").await.unwrap();
    for name in ["", "   ", &"x".repeat(61), "Hik\u{202e}ers", "Hik\u{200b}ers"] {
        let refused = alice.handle().unwrap().groups_create(name, None::<String>, true, JoinPolicy::Open).await;
        assert_eq!(refused.unwrap_err().field, Some("name"), "{name:?}");
    }
    alice.handle().unwrap().groups_create("Hikers", None::<String>, true, JoinPolicy::Open).await.unwrap();
    while bob.handle().unwrap().groups_search("hikers").await.unwrap().groups.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let handle = bob.handle().unwrap();
    let own = handle.groups_create("Walkers", None::<String>, true, JoinPolicy::Open).await.unwrap().group_id;
    // The same to the eye: a Cyrillic letter in it.
    for name in ["hikers", "Hikers", "H\u{456}kers"] {
        let made = handle.groups_create(name, None::<String>, true, JoinPolicy::Open).await.unwrap_err();
        assert_eq!((made.kind, made.field), (ErrorKind::NameTaken, Some("name")), "{name:?}");
        let renamed = handle.groups_update(own.clone(), Some(name.to_owned()), None::<String>, None).await;
        assert_eq!(renamed.unwrap_err().kind, ErrorKind::NameTaken, "{name:?}");
        // What nobody finds by its name may be called as it likes.
        handle.groups_create(name, None::<String>, false, JoinPolicy::Invite).await.unwrap();
    }
    assert_eq!(handle.groups_list().await.unwrap().groups.len(), 4, "nothing was made of what was refused");
    // Its own name is not taken, and that of nobody else neither.
    for name in ["walkers", "Walkers on Sundays"] {
        handle.groups_update(own.clone(), Some(name.to_owned()), None::<String>, None).await.unwrap();
    }
    // Who can ask nobody goes on, and is told when it is listed.
    let offline = TestNet::new().unwrap();
    let mut carol = offline.persona("carol").await.unwrap();
    carol.handle().unwrap().groups_create("Hikers", None::<String>, true, JoinPolicy::Open).await.unwrap();
    carol.handle().unwrap().network_add_rendezvous(node.addresses().remove(0)).await.unwrap();
    let told = carol.until(|event| match event {
        Event::SecurityAlert { kind, .. } if kind == "group.name_taken" => Some(()),
        _ => None,
    });
    told.await.unwrap();
}

#[tokio::test]
async fn who_knows_the_inviter_from_before_finds_them_where_the_link_says() {
    let net = TestNet::new().unwrap();
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    let (_, link) = founded(&alice).await;
    joins(&mut bob, &link).await;
    bob.away().await;
    alice.away().await;
    // Both listen somewhere else from now on, and there is nobody who could tell the other.
    alice.back().await.unwrap();
    bob.back().await.unwrap();
    let (_, link) = founded(&alice).await;
    joins(&mut bob, &link).await;
}

#[tokio::test]
async fn one_admin_says_no_while_another_says_yes_and_all_agree() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let mut dave = net.persona("dave").await.unwrap();
    let owner = alice.handle().unwrap().clone();
    let made = owner.groups_create("Hikers", None::<String>, true, JoinPolicy::Approval).await.unwrap();
    let group = made.group_id;
    let link = owner.groups_invite(group.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    joins(&mut bob, &link).await;
    owner.groups_set_role(group.clone(), "bob", Role::Admin).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupRoleChanged { role: Role::Admin, .. }).then_some(())).await.unwrap();
    owner.groups_update(group.clone(), None::<String>, Some("Sundays".to_owned()), None).await.unwrap();
    let seeker = carol.handle().unwrap().clone();
    while seeker.groups_search("hikers").await.unwrap().groups.first().is_none_or(|g| g.description != "Sundays") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let admin = bob.handle().unwrap().clone();
    for who in [&mut carol, &mut dave] {
        who.handle().unwrap().groups_join(Some(group.clone()), None::<String>).await.unwrap();
        alice.until(|event| matches!(event, Event::GroupJoinRequested(_)).then_some(())).await.unwrap();
        bob.until(|event| matches!(event, Event::GroupJoinRequested(_)).then_some(())).await.unwrap();
    }
    // Of Carol's request the no comes first; of Dave's both at once.
    owner.groups_reject(group.clone(), "carol").await.unwrap();
    // Both have told her to wait, and then Alice no.
    for _ in 0..3 {
        let state = carol.until(|event| match event {
            Event::GroupUpdated(row) => Some(row.state),
            Event::GroupLeft { .. } => Some(GroupState::Left),
            _ => None,
        });
        assert_eq!(state.await.unwrap(), GroupState::Pending, "Bob may still say yes");
    }
    admin.groups_approve(group.clone(), "carol").await.unwrap();
    carol.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
    let (no, yes) =
        tokio::join!(owner.groups_reject(group.clone(), "dave"), admin.groups_approve(group.clone(), "dave"));
    // Whoever was told of the yes first had nobody to refuse any more.
    assert!(no.is_ok() || kind(no) == Some(ErrorKind::NotFound));
    yes.unwrap();
    dave.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
    says(&dave, &group, "hello all").await;
    for who in [&mut alice, &mut bob, &mut carol] {
        hears(who, "hello all").await;
    }
    let mut views = std::collections::BTreeSet::new();
    for who in [&alice, &bob, &carol, &dave] {
        let rows = who.handle().unwrap().groups_list().await.unwrap().groups;
        let row = rows.into_iter().find(|row| row.group_id == group).unwrap();
        assert_eq!((row.state, row.members), (GroupState::Joined, 4), "{}", who.name);
        views.insert(row.view);
        let waiting = who.handle().unwrap().groups_requests(group.clone()).await;
        assert!(waiting.is_err() || waiting.unwrap().requests.is_empty(), "{}", who.name);
    }
    assert_eq!(views.len(), 1);
}

#[tokio::test]
async fn what_is_said_at_once_is_read_in_the_log_in_its_order() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let mut bob = net.persona("bob").await.unwrap();
    let (group, link) = founded(&alice).await;
    joins(&mut bob, &link).await;
    says(&alice, &group, "first").await;
    hears(&mut bob, "first").await;
    bob.away().await;
    // The log is not there before the first of them: each would have to pay for it.
    let expected: Vec<String> =
        std::iter::once("first".to_owned()).chain((0..40).map(|number| number.to_string())).collect();
    let mut last = String::new();
    for text in &expected[1..] {
        last = says(&alice, &group, text).await;
    }
    while state_of(&alice, &group, &last).await == MessageState::Queued {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    alice.away().await;
    bob.back().await.unwrap();
    while history(&bob, &group).await.len() < expected.len() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(history(&bob, &group).await, expected);
}

#[tokio::test]
async fn what_somebody_said_before_their_last_chain_outlasts_their_leaving() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let mut dave = net.persona("dave").await.unwrap();
    let (group, link) = founded(&alice).await;
    for who in [&mut bob, &mut carol, &mut dave] {
        joins(who, &link).await;
    }
    says(&bob, &group, "first").await;
    for who in [&mut alice, &mut carol] {
        hears(who, "first").await;
    }
    carol.away().await;
    says(&bob, &group, "before").await;
    hears(&mut alice, "before").await;
    // Bob begins another chain, since Dave has the first.
    alice.handle().unwrap().groups_remove_member(group.clone(), "dave").await.unwrap();
    bob.until(|event| matches!(event, Event::GroupMemberLeft { .. }).then_some(())).await.unwrap();
    says(&bob, &group, "after").await;
    hears(&mut alice, "after").await;
    bob.handle().unwrap().groups_leave(group.clone()).await.unwrap();
    let left = |event| matches!(event, Event::GroupMemberLeft { username, .. } if username == "bob").then_some(());
    alice.until(left).await.unwrap();
    bob.away().await;
    carol.back().await.unwrap();
    let heard = async {
        while !history(&carol, &group).await.contains(&"before".to_owned()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), heard).await.expect("Carol never had it");
}

/// Batches of messages that somebody misses, with a change of the roster before each.
const MISSED_BATCHES: usize = 6;
/// More than a chain's worth.
const MISSED_IN_EACH: usize = 110;

#[tokio::test]
async fn who_was_long_away_misses_nothing_of_many_chains_and_secrets() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    let (group, link) = founded(&alice).await;
    joins(&mut bob, &link).await;
    says(&alice, &group, "first").await;
    hears(&mut bob, "first").await;
    bob.away().await;
    for batch in 0..MISSED_BATCHES {
        joins(&mut carol, &link).await;
        let mut last = String::new();
        for number in 0..MISSED_IN_EACH {
            last = says(&alice, &group, &format!("{batch}-{number}")).await;
        }
        // Until it lies in the log.
        while state_of(&alice, &group, &last).await == MessageState::Queued {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        alice.handle().unwrap().groups_remove_member(group.clone(), "carol").await.unwrap();
        carol.until(|event| matches!(event, Event::GroupLeft { .. }).then_some(())).await.unwrap();
    }
    // Nobody is there who could tell Bob anything but the node.
    let last = says(&alice, &group, "the end").await;
    while state_of(&alice, &group, &last).await == MessageState::Queued {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    alice.away().await;
    carol.away().await;
    bob.back().await.unwrap();
    let expected = MISSED_BATCHES * MISSED_IN_EACH + 2;
    let all = async {
        loop {
            let texts = history(&bob, &group).await;
            if texts.len() >= expected {
                return texts;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let Ok(texts) = tokio::time::timeout(Duration::from_secs(60), all).await else {
        let texts = history(&bob, &group).await;
        let lost: Vec<usize> = (0..MISSED_BATCHES)
            .map(|batch| texts.iter().filter(|text| text.starts_with(&format!("{batch}-"))).count())
            .collect();
        panic!("Bob has {} of {expected}; of each batch {lost:?}", texts.len());
    };
    let once: std::collections::BTreeSet<&String> = texts.iter().collect();
    assert_eq!((once.len(), texts.len()), (expected, expected), "nothing twice");
}

/// All texts of a group.
async fn history(who: &Persona, group: &str) -> Vec<String> {
    let (mut texts, mut before) = (Vec::new(), None::<String>);
    loop {
        let page = who.handle().unwrap().groups_history(group, before, Some(500_u32)).await.unwrap();
        before = page.messages.first().map(|message| message.message_id.clone());
        texts.extend(page.messages.into_iter().map(|message| message.text));
        if !page.more {
            return texts;
        }
    }
}

#[tokio::test]
async fn an_empty_search_shows_every_public_group_and_no_private_one() {
    let mut net = TestNet::new().unwrap();
    let _node = net.rendezvous().await.unwrap();
    let (alice, bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    let (owner, seeker) = (alice.handle().unwrap(), bob.handle().unwrap());
    for (name, public) in [("Family", false), ("Hikers", true), ("Readers", true)] {
        owner.groups_create(name, None::<String>, public, JoinPolicy::Open).await.unwrap();
    }
    // The entries take their time to the directory.
    let mut found = Vec::new();
    while found.len() < 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        found = seeker.groups_search("").await.unwrap().groups;
    }
    let names: std::collections::BTreeSet<&str> = found.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["Hikers", "Readers"]);
}
