//! Whoever dies, at whichever commit and at whichever send, before it or after it: what was answered is
//! there, once and in order, a chat request reaches its end, and who was removed from a group stays out. Each scenario runs again and again, with a
//! death one commit or one send later, until it comes to its own end before the death.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::Duration;

use secure_chat_node::api::{ContactState, ErrorKind, Event, JoinPolicy, MessageState, RequestState};
use secure_chat_node::network::plug::Pull;
use secure_chat_tests::{Persona, TestNet, become_contacts};

/// No scenario has more commits or sends than this.
const DEATHS_MAX: u64 = 200;
/// Texts that are said in each run of a talk.
const TEXTS: u64 = 3;

/// What is counted until somebody dies.
#[derive(Debug, Clone, Copy)]
enum At {
    Commit,
    Send(Pull),
}

impl At {
    /// From now on somebody dies after so many.
    fn arm(self, dying: &Persona, number: u64) {
        match self {
            Self::Commit => dying.faults.cut_after_syncs(number),
            Self::Send(pull) => dying.plug.pull_at(number, pull),
        }
    }

    /// Waits until they are dead.
    fn death(self, dying: &Persona) -> impl Future<Output = ()> + use<> {
        let (faults, plug) = (dying.faults.clone(), dying.plug.clone());
        async move {
            match self {
                // A disk tells nobody that it is gone.
                Self::Commit => {
                    while !faults.is_cut() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                Self::Send(_) => plug.pulled().await,
            }
        }
    }
}

/// Lets `run` happen with a death at each commit or send in turn, until it says that nobody died.
async fn at_every(what: At, mut run: impl AsyncFnMut(u64) -> bool) {
    let began = std::time::Instant::now();
    for number in 0..DEATHS_MAX {
        if run(number).await {
            println!("{number} deaths, {what:?}, in {:.1} s", began.elapsed().as_secs_f64());
            assert!(number > 2, "there was next to nothing to die at");
            return;
        }
    }
    panic!("it never came to its end");
}

/// Waits until a message of `from` is delivered; whether somebody died before.
async fn is_delivered(from: &mut Persona, message: &str, death: impl Future<Output = ()>) -> bool {
    let delivered = from.until(|event| match event {
        Event::MessageState { message_id, state: MessageState::Delivered, .. } if message_id == message => Some(()),
        _ => None,
    });
    tokio::select! {
        delivered = delivered => delivered.is_ok(),
        () = death => false,
    }
}

async fn two() -> (TestNet, secure_chat_rendezvous::RendezvousNode, Persona, Persona) {
    let mut net = TestNet::new().unwrap();
    let node = net.rendezvous().await.unwrap();
    let (alice, bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    (net, node, alice, bob)
}

async fn the_sender_dies(what: At) {
    let (_net, _node, mut alice, mut bob) = two().await;
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let mut promised = Vec::new();
    at_every(what, async |number| {
        what.arm(&alice, number);
        let death = what.death(&alice);
        let mut last = None;
        for text in 0..TEXTS {
            let text = format!("{number}/{text}");
            let Ok(id) = alice.says("bob", &text).await else { break };
            promised.push(text);
            last = Some(id);
        }
        let whole = match last {
            Some(last) => is_delivered(&mut alice, &last, death).await,
            None => false,
        };
        let whole = whole && !alice.faults.is_cut();
        alice.killed().await;
        alice.back().await.unwrap();
        whole
    })
    .await;
    alice.says("bob", "last").await.unwrap();
    while bob.reads().await.unwrap() != "last" {}
    let shown = bob.texts_of("alice").await.unwrap();
    let once: BTreeSet<_> = shown.iter().collect();
    assert_eq!(once.len(), shown.len(), "nothing is shown twice");
    let mut rest = shown.iter();
    for text in &promised {
        assert!(rest.any(|other| other == text), "{text} is there, and in order");
    }
}

async fn the_recipient_dies(what: At) {
    let (_net, _node, mut alice, mut bob) = two().await;
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let mut sent = Vec::new();
    at_every(what, async |number| {
        what.arm(&bob, number);
        let death = what.death(&bob);
        let mut last = String::new();
        for text in 0..TEXTS {
            let text = format!("{number}/{text}");
            last = alice.says("bob", &text).await.unwrap();
            sent.push(text);
        }
        let whole = is_delivered(&mut alice, &last, death).await && !bob.faults.is_cut();
        bob.killed().await;
        bob.back().await.unwrap();
        whole
    })
    .await;
    alice.says("bob", "last").await.unwrap();
    sent.push("last".to_owned());
    while bob.reads().await.unwrap() != "last" {}
    assert_eq!(bob.texts_of("alice").await.unwrap(), sent);
}

async fn request_of(persona: &Persona) -> Option<String> {
    // A peer whose disk is gone has locked itself.
    let requests = persona.handle().unwrap().contacts_requests().await.ok()?;
    let waiting = requests.incoming.into_iter().find(|request| request.state == RequestState::Pending);
    waiting.map(|request| request.request_id)
}

async fn are_contacts(persona: &Persona, other: &str) -> bool {
    let contacts = persona.handle().unwrap().contacts_list().await.unwrap().contacts;
    contacts.iter().any(|contact| contact.username == other && contact.state == ContactState::Accepted)
}

/// Alice asks, Bob accepts. An error when one of them is dead.
async fn ask_and_accept(alice: &mut Persona, bob: &mut Persona, asked: &mut bool) -> anyhow::Result<()> {
    alice.handle()?.contacts_request("bob".to_owned(), None::<String>, None::<String>).await?;
    *asked = true;
    let request = bob.until(|event| match event {
        Event::ContactRequest(request) => Some(request.request_id),
        _ => None,
    });
    let request = request.await?;
    bob.handle()?.contacts_accept(request).await?;
    alice.until(|event| matches!(event, Event::ContactAccepted(_)).then_some(())).await
}

/// One run: somebody dies in it, or it comes to its end; the two are in contact in the end all the same.
async fn request_with_a_death(what: At, number: u64, alice_dies: bool) -> bool {
    let (_net, _node, mut alice, mut bob) = two().await;
    let dying = if alice_dies { &alice } else { &bob };
    what.arm(dying, number);
    let (death, faults) = (what.death(dying), dying.faults.clone());
    let mut asked = false;
    let whole = tokio::select! {
        done = ask_and_accept(&mut alice, &mut bob, &mut asked) => done.is_ok(),
        () = death => false,
    };
    let whole = whole && !faults.is_cut();
    let dying = if alice_dies { &mut alice } else { &mut bob };
    dying.killed().await;
    dying.back().await.unwrap();
    if !asked {
        // What fails was not promised to anybody, and the person asks again. It may have become
        // durable, and only its answer was lost.
        let again = alice.handle().unwrap().contacts_request("bob".to_owned(), None::<String>, None::<String>).await;
        assert!(again.is_ok() || again.is_err_and(|error| error.kind == ErrorKind::Conflict));
    }
    if !are_contacts(&bob, "alice").await {
        while request_of(&bob).await.is_none() {
            bob.until(|event| matches!(event, Event::ContactRequest(_)).then_some(())).await.unwrap();
        }
        let request = request_of(&bob).await.unwrap();
        bob.handle().unwrap().contacts_accept(request).await.unwrap();
    }
    while !are_contacts(&alice, "bob").await {
        alice.until(|event| matches!(event, Event::ContactAccepted(_)).then_some(())).await.unwrap();
    }
    alice.says("bob", "hello").await.unwrap();
    assert_eq!(bob.reads().await.unwrap(), "hello");
    bob.says("alice", "and hello").await.unwrap();
    assert_eq!(alice.reads().await.unwrap(), "and hello");
    whole
}

/// Alice's new group, which Bob and Carol have joined.
async fn group_of(alice: &Persona, others: &mut [&mut Persona]) -> String {
    let owner = alice.handle().unwrap();
    let made = owner.groups_create("Hikers", None::<String>, false, JoinPolicy::Invite).await.unwrap();
    let group = made.group_id;
    let link = owner.groups_invite(group.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    for other in others {
        other.handle().unwrap().groups_join(None::<String>, Some(link.clone())).await.unwrap();
        let joined = |event| matches!(event, Event::GroupJoined(row) if row.group_id == group).then_some(());
        other.until(joined).await.unwrap();
    }
    group
}

async fn hears(who: &mut Persona, text: &str) -> anyhow::Result<()> {
    who.until(|event| matches!(event, Event::GroupMessage(message) if message.text == text).then_some(())).await
}

async fn group_texts(who: &Persona, group: &str) -> Vec<String> {
    let page = who.handle().unwrap().groups_history(group, None::<String>, Some(500_u32)).await.unwrap();
    page.messages.into_iter().map(|message| message.text).collect()
}

/// Alice removes Carol and speaks to the others under a new chain; she dies in the middle of it.
async fn who_removes_somebody_dies(what: At) {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let (mut bob, mut carol) = (net.persona("bob").await.unwrap(), net.persona("carol").await.unwrap());
    at_every(what, async |number| {
        let group = group_of(&alice, &mut [&mut bob, &mut carol]).await;
        let text = |what: &str| format!("{what} {number}");
        alice.handle().unwrap().groups_send(group.clone(), text("before"), None::<String>).await.unwrap();
        hears(&mut bob, &text("before")).await.unwrap();
        hears(&mut carol, &text("before")).await.unwrap();
        what.arm(&alice, number);
        let death = what.death(&alice);
        let removed = alice.handle().unwrap().groups_remove_member(group.clone(), "carol").await.is_ok();
        let said = alice.handle().unwrap().groups_send(group.clone(), text("without"), None::<String>).await;
        let said = said.ok().filter(|_| removed);
        let whole = match &said {
            Some(said) => is_delivered(&mut alice, &said.message_id, death).await,
            None => false,
        };
        let whole = whole && !alice.faults.is_cut();
        alice.killed().await;
        alice.back().await.unwrap();
        if !removed {
            // It may have become durable, and only its answer was lost.
            let _ = alice.handle().unwrap().groups_remove_member(group.clone(), "carol").await;
        }
        alice.handle().unwrap().groups_send(group.clone(), text("after"), None::<String>).await.unwrap();
        hears(&mut bob, &text("after")).await.unwrap();
        // What was said before the death may come after what was said since.
        while said.is_some() && !group_texts(&bob, &group).await.contains(&text("without")) {
            bob.until(|event| matches!(event, Event::GroupMessage(_)).then_some(())).await.unwrap();
        }
        let heard = group_texts(&bob, &group).await;
        assert_eq!(heard.iter().collect::<BTreeSet<_>>().len(), heard.len(), "nothing is shown twice: {heard:?}");
        if said.is_some() {
            assert!(!group_texts(&carol, &group).await.contains(&text("without")), "{number}");
        }
        assert!(!group_texts(&carol, &group).await.contains(&text("after")), "{number}");
        whole
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_survives_the_death_of_who_removes_at_every_commit() {
    who_removes_somebody_dies(At::Commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_survives_the_death_of_who_removes_before_every_send() {
    who_removes_somebody_dies(At::Send(Pull::Before)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_survives_the_death_of_who_removes_after_every_send() {
    who_removes_somebody_dies(At::Send(Pull::After)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_to_the_sender_survives_its_death_at_any_sync() {
    the_sender_dies(At::Commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_to_the_sender_survives_its_death_before_any_send() {
    the_sender_dies(At::Send(Pull::Before)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_to_the_sender_survives_its_death_after_any_send() {
    the_sender_dies(At::Send(Pull::After)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_the_death_of_the_recipient_at_any_sync() {
    the_recipient_dies(At::Commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_the_death_of_the_recipient_before_any_send() {
    the_recipient_dies(At::Send(Pull::Before)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_the_death_of_the_recipient_after_any_send() {
    the_recipient_dies(At::Send(Pull::After)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_survives_the_death_of_who_asks_at_every_commit() {
    at_every(At::Commit, async |number| request_with_a_death(At::Commit, number, true).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_survives_the_death_of_who_asks_before_every_send() {
    let what = At::Send(Pull::Before);
    at_every(what, async |number| request_with_a_death(what, number, true).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_survives_the_death_of_who_asks_after_every_send() {
    let what = At::Send(Pull::After);
    at_every(what, async |number| request_with_a_death(what, number, true).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_survives_the_death_of_who_is_asked_at_every_commit() {
    at_every(At::Commit, async |number| request_with_a_death(At::Commit, number, false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_survives_the_death_of_who_is_asked_before_every_send() {
    let what = At::Send(Pull::Before);
    at_every(what, async |number| request_with_a_death(what, number, false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_survives_the_death_of_who_is_asked_after_every_send() {
    let what = At::Send(Pull::After);
    at_every(what, async |number| request_with_a_death(what, number, false).await).await;
}
