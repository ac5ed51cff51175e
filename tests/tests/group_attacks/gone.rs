//! What counts of somebody who is put out, and what an admin or a member may say that
//! outlasts them.

use secure_chat_protocol::wire::group::PersonIn;

use super::*;

/// Waits until the text stands in somebody's history.
async fn has(who: &Persona, group: &str, text: &str) {
    for _ in 0..1_200 {
        if texts(who, group).await.iter().any(|known| known == text) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{} never had {text:?}", who.name);
}

#[tokio::test]
async fn a_chain_of_which_nothing_came_takes_away_nothing_that_its_owner_said_before() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let [alice, bob] = scene.both().await;
    let mut key = scene.mallory.chain(scene.id);
    for to in [alice, bob] {
        let chain = key.hand_to(to);
        scene.mallory.tell(to, scene.id, GroupControl::Chain { chain, tokens: None }).await;
    }
    scene.bob.away().await;
    let said = scene.mallory.message(&mut key, scene.id, scene.mallory.me, "I know where it is");
    scene.mallory.shows(alice, scene.id, &said).await;
    hears(&mut scene.alice, "I know where it is").await;
    // Another chain, and not a word in it.
    let chain = scene.mallory.chain(scene.id).hand_to(alice);
    scene.mallory.tell(alice, scene.id, GroupControl::Chain { chain, tokens: None }).await;
    scene.mallory.goes_silent();
    scene.alice.handle().unwrap().groups_remove_member(&scene.group, "mallory").await.unwrap();
    scene.bob.back().await.unwrap();
    has(&scene.bob, &scene.group, "I know where it is").await;
    scene.goes_on().await;
    scene.agree().await;
    assert_eq!(scene.members(&scene.bob).await.len(), 2);
}

/// What somebody said in a chain that reaches one member only after the news of their removal:
/// everybody else has it, and so does that one in the end.
#[tokio::test]
async fn a_chain_that_comes_after_its_owner_has_gone_is_read_as_far_as_the_others_read_it() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let [alice, bob] = scene.both().await;
    let (mut key, mut unheard) = (scene.mallory.chain(scene.id), scene.mallory.chain(scene.id));
    let chain = key.hand_to(alice);
    scene.mallory.tell(alice, scene.id, GroupControl::Chain { chain, tokens: None }).await;
    let late = key.hand_to(bob);
    let said = scene.mallory.message(&mut key, scene.id, scene.mallory.me, "I know where it is");
    scene.mallory.shows(alice, scene.id, &said).await;
    hears(&mut scene.alice, "I know where it is").await;
    scene.alice.handle().unwrap().groups_remove_member(&scene.group, "mallory").await.unwrap();
    heard_of(&mut scene.bob, |event| matches!(event, Event::GroupMemberLeft { .. })).await;
    assert!(!texts(&scene.bob, &scene.group).await.contains(&"I know where it is".to_owned()));
    scene.mallory.tell(bob, scene.id, GroupControl::Chain { chain: late, tokens: None }).await;
    hears(&mut scene.bob, "I know where it is").await;
    // What nobody had read of her, in this chain or in another, counts for nobody.
    let after = scene.mallory.message(&mut key, scene.id, scene.mallory.me, "and so do they");
    let chain = unheard.hand_to(bob);
    scene.mallory.tell(bob, scene.id, GroupControl::Chain { chain, tokens: None }).await;
    let other = scene.mallory.message(&mut unheard, scene.id, scene.mallory.me, "we all do");
    for encoded in [&after, &other] {
        scene.mallory.publish(scene.id, encoded).await;
    }
    scene.goes_on().await;
    scene.agree().await;
    for who in [&scene.alice, &scene.bob] {
        let texts = texts(who, &scene.group).await;
        assert!(!texts.iter().any(|text| text == "and so do they" || text == "we all do"), "{}", who.name);
    }
}

#[tokio::test]
async fn an_edit_that_comes_after_a_later_one_changes_nothing() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let both = scene.both().await;
    let mut key = scene.mallory.chain(scene.id);
    for to in both {
        let chain = key.hand_to(to);
        scene.mallory.tell(to, scene.id, GroupControl::Chain { chain, tokens: None }).await;
    }
    let me = scene.mallory.me;
    let id = |number| MessageId([number; 16]);
    let edit = |text: &str| Content::Edit { target: id(1), text: text.to_owned() };
    let mut say = async |number, body| {
        // No two of them at one time.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        scene.mallory.saying(&mut key, scene.id, (me, id(number)), body)
    };
    let text = say(1, Content::Text { text: "at nine".to_owned(), reply_to: None }).await;
    let ten = say(2, edit("at ten")).await;
    let eleven = say(3, edit("at eleven")).await;
    let end = say(4, Content::Text { text: "the end".to_owned(), reply_to: None }).await;
    for encoded in [&text, &eleven, &ten, &end] {
        scene.mallory.publish(scene.id, encoded).await;
    }
    for who in [&mut scene.alice, &mut scene.bob] {
        hears(who, "the end").await;
    }
    scene.goes_on().await;
    for who in [&scene.alice, &scene.bob] {
        let texts = texts(who, &scene.group).await;
        assert!(texts.contains(&"at eleven".to_owned()) && !texts.contains(&"at ten".to_owned()), "{}", who.name);
    }
}

/// Both edits were said by a clock that is a day ahead of all others.
#[tokio::test]
async fn edits_by_a_clock_that_is_ahead_keep_their_order() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let both = scene.both().await;
    let mut key = scene.mallory.chain(scene.id);
    for to in both {
        let chain = key.hand_to(to);
        scene.mallory.tell(to, scene.id, GroupControl::Chain { chain, tokens: None }).await;
    }
    let (me, tomorrow) = (scene.mallory.me, now().plus_ms(secure_chat_protocol::limits::DAY_MS));
    let mut say = |number: u8, body| {
        let sent = tomorrow.plus_ms(u64::from(number));
        scene.mallory.saying_at(sent, &mut key, scene.id, (me, MessageId([number; 16])), body)
    };
    let edit = |text: &str| Content::Edit { target: MessageId([1; 16]), text: text.to_owned() };
    let text = say(1, Content::Text { text: "at nine".to_owned(), reply_to: None });
    let (ten, eleven) = (say(2, edit("at ten")), say(3, edit("at eleven")));
    let end = say(4, Content::Text { text: "the end".to_owned(), reply_to: None });
    for encoded in [&text, &eleven] {
        scene.mallory.publish(scene.id, encoded).await;
    }
    for who in [&mut scene.alice, &mut scene.bob] {
        heard_of(who, |event| matches!(event, Event::MessageEdited(message) if message.text == "at eleven")).await;
    }
    for encoded in [&ten, &end] {
        scene.mallory.publish(scene.id, encoded).await;
    }
    for who in [&mut scene.alice, &mut scene.bob] {
        hears(who, "the end").await;
    }
    let shown = now().plus_ms(1_000);
    for who in [&scene.alice, &scene.bob] {
        let page = who.handle().unwrap().groups_history(&scene.group, None::<String>, Some(100_u32)).await.unwrap();
        let edited = page.messages.into_iter().find(|message| message.edited.is_some()).unwrap();
        assert_eq!(edited.text, "at eleven", "{}", who.name);
        assert!(edited.edited.unwrap().0 <= shown, "{} is shown a time that has not come", who.name);
    }
}

#[tokio::test]
async fn an_edit_after_the_clock_was_set_back_is_seen_by_all() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let owner = scene.alice.handle().unwrap().clone();
    let said = owner.groups_send(&scene.group, "at nine", None::<String>).await.unwrap().message_id;
    hears(&mut scene.bob, "at nine").await;
    for (text, by_ms) in [("at ten", -3_600_000), ("at eleven", 0)] {
        owner.messages_edit(said.clone(), text).await.unwrap();
        heard_of(&mut scene.bob, |event| matches!(event, Event::MessageEdited(message) if message.text == text)).await;
        scene.alice.clock.jump(by_ms);
    }
}

#[tokio::test]
async fn what_a_member_says_that_nobody_understands_is_told() {
    let mut scene = Scene::new().await;
    let [alice, _] = scene.both().await;
    scene.mallory.babbles(alice, scene.id, vec![0xff; 40]).await;
    alerted(&mut scene.alice, "group.malformed").await;
    scene.goes_on().await;
}

#[tokio::test]
async fn a_secret_beyond_all_others_is_refused_with_an_alert() {
    let mut scene = Scene::new().await;
    scene.promote().await;
    scene.warm().await;
    let both = scene.both().await;
    let secret = SecretIn { generation: u64::MAX, secret: Fixed([9; 32]) };
    for to in both {
        scene.mallory.tell(to, scene.id, GroupControl::Secret(secret.clone())).await;
    }
    for who in [&mut scene.alice, &mut scene.bob] {
        alerted(who, "group.invalid_secret").await;
    }
    scene.alice.handle().unwrap().groups_remove_member(&scene.group, "mallory").await.unwrap();
    scene.goes_on().await;
    scene.agree().await;
}

#[tokio::test]
async fn who_is_put_out_while_another_admin_takes_somebody_in_does_not_keep_the_secret_of_that() {
    let mut scene = Scene::new().await;
    scene.promote().await;
    let [alice, _] = scene.both().await;
    // Mallory knew nothing of Bob's removal: so Bob is told this secret as well.
    let operation = scene.mallory.adds(scene.id, 1).remove(0);
    let known = scene.mallory.inside(scene.id, |inside| inside.secrets.len());
    scene.alice.handle().unwrap().groups_remove_member(&scene.group, "bob").await.unwrap();
    let more = |count: usize| move |inside: &mut mallory::Inside| (inside.secrets.len() > count).then_some(());
    scene.mallory.until(scene.id, more(known)).await;
    let secret = Some(SecretIn { generation: 9, secret: Fixed([9; 32]) });
    let change = GroupControl::Change { operation, secret, people: Vec::new() };
    assert_eq!(scene.mallory.tell(alice, scene.id, change).await, DeliveryStatus::Stored);
    scene.mallory.until(scene.id, more(known + 1)).await;
    let last = scene.mallory.inside(scene.id, |inside| inside.secrets.last().copied());
    scene.mallory.listened_to(&secure_chat_protocol::membership::GroupSecret::from_wire(last.unwrap()).topic()).await;
}

#[tokio::test]
async fn a_member_changes_nothing_in_where_another_is_found() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let [alice, bob] = scene.both().await;
    scene.mallory.finds(bob).await;
    let known = scene.mallory.addresses_of(bob);
    assert!(!known.is_empty());
    scene.bob.away().await;
    for addresses in [vec!["/memory/1".to_owned()], Vec::new()] {
        let people = vec![PersonIn { account: bob, addresses }];
        scene.mallory.tell(alice, scene.id, GroupControl::People { people }).await;
    }
    // Whoever comes in is told what Alice knows.
    let link = scene.alice.handle().unwrap().groups_invite(scene.group.clone(), None::<String>, None).await.unwrap();
    let newcomer = Mallory::named(1);
    newcomer.join(&link.invite.unwrap()).await;
    assert_eq!(newcomer.addresses_of(bob), known);
    scene.bob.back().await.unwrap();
    scene.goes_on().await;
}
