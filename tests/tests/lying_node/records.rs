//! Records that were replaced, and nodes that go on to give them.

use secure_chat_node::api::{Event, MessageState};
use secure_chat_node::security::old_records::{STALE_AFTER_AWAY_MS, STALE_AFTER_MS};
use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::record::Record;
use secure_chat_protocol::wire::peer::DeliveryStatus;
use secure_chat_protocol::wire::rendezvous::{PresenceStatus, Request, Response, Who};
use secure_chat_tests::Persona;
use tokio::sync::mpsc;

use crate::node::{Account, LyingNode};
use crate::rebuilt::Rebuilt;
use crate::{contacts, in_state};

/// How often a node was told of for old records, whom it was about, and in which words.
async fn told(by: &Persona) -> Vec<(u64, Option<String>, String)> {
    let alerts = by.handle().unwrap().security_alerts().await.unwrap().alerts;
    let of = alerts.into_iter().filter(|alert| alert.kind == "rendezvous.old_record");
    of.map(|alert| (alert.count, alert.subject, alert.detail)).collect()
}

fn record_at(node: &LyingNode, account: AccountId) -> Vec<u8> {
    node.known().accounts[&account].record.clone()
}

fn peer_of(node: &LyingNode) -> &str {
    node.address.rsplit('/').next().unwrap()
}

/// Bob takes a second node, and Alice has heard so from himself.
async fn takes_another_home(alice: &mut Persona, bob: &mut Persona) -> LyingNode {
    let second = LyingNode::start().await;
    bob.handle().unwrap().network_add_rendezvous(second.address.clone()).await.unwrap();
    bob.until(|event| matches!(event, Event::NetworkState { registered: 2, .. }).then_some(())).await.unwrap();
    bob.says("alice", "I have moved").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "I have moved");
    second
}

fn later(persona: &Persona, ms: u64) {
    persona.clock.jump(i64::try_from(ms).unwrap());
}

#[tokio::test]
async fn an_old_record_of_a_contact_changes_nothing_and_the_node_that_goes_on_to_give_it_is_told() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    let account = node.known().named("bob").unwrap();
    let old = record_at(&node, account);
    let second = takes_another_home(&mut alice, &mut bob).await;
    let (before, after) = (Record::decode(&old).unwrap(), Record::decode(&record_at(&second, account)).unwrap());
    assert!(after.seq() > before.seq() && after.homes().len() > before.homes().len());
    node.lies(move |_, honest, _| match honest {
        Response::Found { mut people, more } => {
            people.iter_mut().for_each(|person| person.record.0.clone_from(&old));
            Response::Found { people, more }
        }
        other => other,
    });
    alice.handle().unwrap().users_find("bob").await.unwrap();
    assert_eq!(told(&alice).await, [], "it may not know yet");
    later(&alice, STALE_AFTER_MS);
    alice.handle().unwrap().users_find("bob").await.unwrap();
    let of = told(&alice).await;
    assert_eq!(of.len(), 1);
    assert_eq!((of[0].0, of[0].1.as_deref()), (1, Some(account.to_string().as_str())));
    assert!(of[0].2.contains(peer_of(&node)), "{of:?}");
    // Alice still knows where Bob is: what she has to say lies at his second node as well.
    bob.away().await;
    let id = alice.says("bob", "still you").await.unwrap();
    in_state(&mut alice, &id, MessageState::Sent).await;
    assert_eq!(second.known().deposits, 1);
    bob.back().await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "still you");
}

#[tokio::test]
async fn nodes_that_give_what_there_is_are_never_told() {
    let (_net, node, mut alice, mut bob) = contacts().await;
    let account = node.known().named("bob").unwrap();
    let old = record_at(&node, account);
    takes_another_home(&mut alice, &mut bob).await;
    for _ in 0..5 {
        alice.handle().unwrap().users_find("bob").await.unwrap();
        later(&alice, STALE_AFTER_MS);
    }
    // A node that Bob can't reach, and one that he has left, have nothing newer.
    bob.away().await;
    node.tamper(|known| known.accounts.get_mut(&account).unwrap().record = old);
    for _ in 0..5 {
        alice.handle().unwrap().users_find("bob").await.unwrap();
        later(&alice, STALE_AFTER_MS);
    }
    assert_eq!(told(&alice).await, []);
    later(&alice, STALE_AFTER_AWAY_MS);
    alice.handle().unwrap().users_find("bob").await.unwrap();
    assert_eq!(told(&alice).await.len(), 1, "for a whole day he will have reached it");
}

#[tokio::test]
async fn a_record_that_a_contact_announces_is_asked_for_and_a_node_that_holds_it_back_is_told() {
    let (_net, node, mut alice, _bob) = contacts().await;
    let mut carol = Rebuilt::befriends(&mut alice, 77, "carol", vec![node.address.clone()]).await;
    let account = carol.account();
    let register = |record: &Record| {
        let mut known = Account::default();
        known.record = record.encoded().to_vec();
        node.tamper(|all| all.accounts.insert(account, known));
    };
    register(&carol.record);
    let (tell, mut asked) = mpsc::unbounded_channel();
    node.lies(move |request, honest, _| {
        let Response::Found { mut people, more } = honest else { return honest };
        people.iter_mut().for_each(|person| person.presence.status = PresenceStatus::Online);
        if matches!(request, Request::Lookup(Who::Accounts(accounts)) if accounts[..] == [account]) {
            tell.send(()).unwrap();
        }
        Response::Found { people, more }
    });
    // What Carol says names her second record; the one that carries it never comes.
    let newest = carol.renews_record().clone();
    let text = carol.seals_text("hello");
    assert_eq!(carol.delivers(text).await, DeliveryStatus::Stored);
    assert_eq!(alice.reads().await.unwrap(), "hello");
    // Alice asks of her own accord, and is given the first.
    asked.recv().await.unwrap();
    alice.handle().unwrap().users_find("carol").await.unwrap();
    assert_eq!(told(&alice).await, []);
    later(&alice, STALE_AFTER_MS);
    alice.handle().unwrap().users_find("carol").await.unwrap();
    let of = told(&alice).await;
    assert_eq!(of.len(), 1);
    assert_eq!(of[0].1, Some(account.to_string()));
    // A node that gives what there is is told of no more.
    register(&newest);
    for _ in 0..3 {
        alice.handle().unwrap().users_find("carol").await.unwrap();
        later(&alice, STALE_AFTER_MS);
    }
    assert_eq!(told(&alice).await, of);
}
