//! Attacks on groups from inside: a member with real keys, on the wire, who lies to
//! whole peers. Whatever she says, nobody reads or believes what they should not, the
//! honest agree on one view, and what they say to each other gets through.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that fails panics"
)]

mod cost;
mod floods;
mod full;
mod gone;
#[allow(dead_code, reason = "attacks on files need more of it")]
mod mallory;
mod retries;

use std::collections::BTreeSet;

use mallory::{Mallory, now};
use rand::SeedableRng;
use rand::rngs::StdRng;
use secure_chat_node::api::{Event, GroupState, JoinPolicy, Role, Status};
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::id::{AccountId, GroupId, MessageId};
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::membership::{About, Action};
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::sender_key::SenderKey;
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::content::{Content, MessageRef};
use secure_chat_protocol::wire::group::{GroupControl, SecretIn};
use secure_chat_protocol::wire::peer::{DeliveryStatus, PeerRefusal, PeerResponse};
use secure_chat_protocol::wire::rendezvous::PresenceStatus;
use secure_chat_tests::{Persona, TestNet};

/// Alice's group, with Bob and Mallory in it.
struct Scene {
    _net: TestNet,
    alice: Persona,
    bob: Persona,
    mallory: Mallory,
    group: String,
    id: GroupId,
}

async fn account(who: &Persona) -> AccountId {
    let status = who.handle().unwrap().account_invite().await.unwrap().invite;
    secure_chat_protocol::invite::Invite::parse(&status).unwrap().account_id()
}

async fn heard_of(who: &mut Persona, is: impl Fn(&Event) -> bool) {
    who.until(|event| is(&event).then_some(())).await.unwrap();
}

impl Scene {
    async fn new() -> Self {
        let net = TestNet::new().unwrap();
        let (alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
        let owner = alice.handle().unwrap();
        let group = owner.groups_create("Hikers", None::<String>, false, JoinPolicy::Invite).await.unwrap().group_id;
        let link = owner.groups_invite(group.clone(), None::<String>, None).await.unwrap().invite.unwrap();
        bob.handle().unwrap().groups_join(None::<String>, Some(link.clone())).await.unwrap();
        heard_of(&mut bob, |event| matches!(event, Event::GroupJoined(_))).await;
        let mallory = Mallory::start();
        let id = mallory.join(&link).await;
        heard_of(&mut bob, |event| matches!(event, Event::GroupMemberJoined { .. })).await;
        Self { _net: net, alice, bob, mallory, group, id }
    }

    /// Everybody says a word, which the two others have: all hold all chains.
    async fn warm(&mut self) {
        // Mallory's addresses are told nobody: she is the one who connects.
        for who in self.both().await {
            self.mallory.fetch(who, self.id).await;
        }
        self.alice_says("one").await;
        hears(&mut self.bob, "one").await;
        self.bob_says("two").await;
        hears(&mut self.alice, "two").await;
        self.mallory.until(self.id, |inside| (inside.chains.len() == 2).then_some(())).await;
        // Alice sends Bob's as well, since she has it.
        let [alice, _] = self.both().await;
        self.mallory.catch_up(alice, self.id).await;
    }

    async fn alice_says(&self, text: &str) {
        self.alice.handle().unwrap().groups_send(&self.group, text, None::<String>).await.unwrap();
    }

    async fn bob_says(&self, text: &str) {
        self.bob.handle().unwrap().groups_send(&self.group, text, None::<String>).await.unwrap();
    }

    /// Makes Mallory an admin, and waits until all three know.
    async fn promote(&mut self) {
        self.alice.handle().unwrap().groups_set_role(&self.group, "mallory", Role::Admin).await.unwrap();
        heard_of(&mut self.bob, |event| matches!(event, Event::GroupRoleChanged { role: Role::Admin, .. })).await;
        let me = self.mallory.me;
        let role = move |inside: &mut mallory::Inside| inside.membership.as_ref()?.view().role(&me);
        self.mallory.until(self.id, |inside| role(inside).filter(|role| *role == Role::Admin)).await;
    }

    async fn both(&self) -> [AccountId; 2] {
        [account(&self.alice).await, account(&self.bob).await]
    }

    /// What Alice and Bob say to each other still gets through.
    async fn goes_on(&mut self) {
        self.alice_says("still here").await;
        hears(&mut self.bob, "still here").await;
        self.bob_says("so am I").await;
        hears(&mut self.alice, "so am I").await;
    }

    async fn members(&self, who: &Persona) -> BTreeSet<String> {
        let members = who.handle().unwrap().groups_members(&self.group).await.unwrap().members;
        members.into_iter().map(|member| member.username).collect()
    }

    async fn agree(&self) {
        loop {
            let mut views = BTreeSet::new();
            for who in [&self.alice, &self.bob] {
                let rows = who.handle().unwrap().groups_list().await.unwrap().groups;
                views.insert(rows.into_iter().find(|row| row.group_id == self.group).unwrap().view);
            }
            if views.len() == 1 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

async fn hears(who: &mut Persona, text: &str) {
    heard_of(who, |event| matches!(event, Event::GroupMessage(message) if message.text == text)).await;
}

async fn alerted(who: &mut Persona, rule: &str) {
    heard_of(who, |event| matches!(event, Event::SecurityAlert { kind, .. } if kind == rule)).await;
}

async fn texts(who: &Persona, group: &str) -> Vec<String> {
    let page = who.handle().unwrap().groups_history(group, None::<String>, Some(100_u32)).await.unwrap();
    page.messages.into_iter().map(|message| message.text).collect()
}

fn ghost() -> Action {
    let mut rng = StdRng::seed_from_u64(99);
    let identity = IdentityKeyPair::generate(&mut rng, now());
    let fields = RecordFields {
        name: Username::parse("ghost").unwrap(),
        peers: vec![peer_binding(&SigningKey::generate(&mut rng), identity.account_id())],
        addresses: Vec::new(),
        homes: Vec::new(),
        mailbox: None,
    };
    Action::Add { record: Bytes(Record::create(&identity, fields, None, now()).unwrap().encoded().to_vec()) }
}

#[tokio::test]
async fn an_insider_who_has_the_chain_key_cannot_speak_for_its_owner() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let [alice, _] = scene.both().await;
    // Alice's chain key and its name, under a signing key of Mallory's.
    let handed = scene.mallory.inside(scene.id, |inside| inside.chains[&alice][0].clone());
    let own = scene.mallory.chain(scene.id);
    let mut bytes = own.to_secret_bytes().expose().to_vec();
    bytes[1..17].copy_from_slice(&handed.chain.0);
    bytes[17..49].copy_from_slice(&handed.key.0);
    bytes[49..53].copy_from_slice(&(handed.number + 1).to_le_bytes());
    let mut forger = SenderKey::from_secret_bytes(&bytes).unwrap();
    let forged = scene.mallory.message(&mut forger, scene.id, alice, "I am Alice");
    scene.mallory.publish(scene.id, &forged).await;
    alerted(&mut scene.bob, "group.undecryptable").await;
    scene.goes_on().await;
    assert!(!texts(&scene.bob, &scene.group).await.contains(&"I am Alice".to_owned()));
}

#[tokio::test]
async fn a_message_that_is_said_again_is_shown_once() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let heard = scene.mallory.inside(scene.id, |inside| inside.heard.clone());
    for encoded in heard.iter().chain(&heard) {
        scene.mallory.publish(scene.id, encoded).await;
    }
    scene.goes_on().await;
    assert_eq!(texts(&scene.bob, &scene.group).await, ["one", "two", "still here", "so am I"]);
    assert_eq!(texts(&scene.alice, &scene.group).await, ["one", "two", "still here", "so am I"]);
}

#[tokio::test]
async fn what_was_said_in_one_group_is_not_taken_in_another() {
    let mut scene = Scene::new().await;
    let owner = scene.alice.handle().unwrap().clone();
    let other = owner.groups_create("Climbers", None::<String>, false, JoinPolicy::Invite).await.unwrap().group_id;
    let link = owner.groups_invite(other.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    scene.bob.handle().unwrap().groups_join(None::<String>, Some(link.clone())).await.unwrap();
    heard_of(&mut scene.bob, |event| matches!(event, Event::GroupJoined(_))).await;
    let elsewhere = scene.mallory.join(&link).await;
    // One chain for both groups, so that only the place differs.
    let [alice, bob] = scene.both().await;
    let mut key = scene.mallory.chain(scene.id);
    for (to, group) in [(alice, scene.id), (bob, scene.id), (alice, elsewhere), (bob, elsewhere)] {
        let chain = key.hand_to(to);
        scene.mallory.tell(to, group, GroupControl::Chain { chain, tokens: None }).await;
    }
    let said = scene.mallory.message(&mut key, scene.id, scene.mallory.me, "meet me at the hut");
    scene.mallory.publish(elsewhere, &said).await;
    alerted(&mut scene.bob, "group.undecryptable").await;
    scene.mallory.publish(scene.id, &said).await;
    hears(&mut scene.bob, "meet me at the hut").await;
    assert!(texts(&scene.bob, &other).await.is_empty());
    scene.goes_on().await;
}

#[tokio::test]
async fn who_signs_two_records_under_one_number_is_shown() {
    let mut scene = Scene::new().await;
    let [alice, _] = scene.both().await;
    scene.mallory.greets(alice).await;
    scene.mallory.forks_her_record();
    scene.mallory.greets(alice).await;
    alerted(&mut scene.alice, "record.forked").await;
    scene.goes_on().await;
}

#[tokio::test]
async fn keys_that_somebody_else_hands_over_change_nothing() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let [alice, bob] = scene.both().await;
    // Alice's chain, told to Bob by Mallory: as it is, and with another signing key.
    let handed = scene.mallory.inside(scene.id, |inside| inside.chains[&alice][0].clone());
    let mut changed = handed.clone();
    changed.signing = SigningKey::generate(&mut StdRng::seed_from_u64(5)).verifying_key().to_wire();
    for chain in [handed, changed] {
        scene.mallory.tell(bob, scene.id, GroupControl::Chain { chain, tokens: None }).await;
    }
    alerted(&mut scene.bob, "group.invalid_chain").await;
    // A new chain, said to be Alice's: it becomes Mallory's own, and nobody else speaks with it.
    let mut key = scene.mallory.chain(scene.id);
    let chain = key.hand_to(bob);
    scene.mallory.tell(bob, scene.id, GroupControl::Chain { chain, tokens: None }).await;
    let forged = scene.mallory.message(&mut key, scene.id, alice, "I am Alice");
    scene.mallory.publish(scene.id, &forged).await;
    // Somebody who is in no group of Bob's hands him a chain for Alice's: not even taken.
    let outsider = Mallory::named(1);
    outsider.learns_routes_of(&scene.mallory);
    let mut key = scene.mallory.chain(scene.id);
    let chain = key.hand_to(bob);
    let status = outsider.tell(bob, scene.id, GroupControl::Chain { chain, tokens: None }).await;
    assert!(!matches!(status, DeliveryStatus::Stored), "{status:?}");
    let stranger = scene.mallory.message(&mut key, scene.id, outsider.me, "let me in");
    scene.mallory.publish(scene.id, &stranger).await;
    // And one for a group that Bob is not in.
    let chain = scene.mallory.chain(scene.id).hand_to(bob);
    scene.mallory.tell(bob, GroupId([7; 32]), GroupControl::Chain { chain, tokens: None }).await;
    scene.goes_on().await;
    assert_eq!(scene.bob.handle().unwrap().groups_list().await.unwrap().groups.len(), 1);
    assert_eq!(texts(&scene.bob, &scene.group).await, ["one", "two", "still here", "so am I"]);
}

#[tokio::test]
async fn a_member_slips_in_no_ghost_and_takes_no_role() {
    let mut scene = Scene::new().await;
    let both = scene.both().await;
    let heads = scene.mallory.inside(scene.id, |inside| inside.membership.as_ref().unwrap().heads());
    let me = scene.mallory.me;
    let actions = [
        ghost(),
        Action::SetRole { member: me, role: Role::Owner },
        Action::Remove { member: both[1], seen: Vec::new() },
        Action::Transfer { member: me },
    ];
    for action in actions {
        let operation = scene.mallory.sign(scene.id, 1, heads.clone(), action);
        for to in both {
            let operations = vec![operation.clone()];
            scene.mallory.tell(to, scene.id, GroupControl::Operations { operations }).await;
        }
    }
    scene.goes_on().await;
    for who in [&scene.alice, &scene.bob] {
        assert_eq!(scene.members(who).await, ["alice", "bob", "mallory"].map(str::to_owned).into());
    }
    let members = scene.bob.handle().unwrap().groups_members(&scene.group).await.unwrap().members;
    let mallory = members.into_iter().find(|member| member.username == "mallory").unwrap();
    assert_eq!(mallory.role, Role::Member);
    scene.agree().await;
}

#[tokio::test]
async fn an_operation_with_a_wrong_signature_is_refused_with_an_alert() {
    let mut scene = Scene::new().await;
    scene.promote().await;
    let [_, bob] = scene.both().await;
    let heads = scene.mallory.inside(scene.id, |inside| inside.membership.as_ref().unwrap().heads());
    let mut operation = scene.mallory.sign(scene.id, 1, heads, ghost());
    let last = operation.0.len() - 1;
    operation.0[last] ^= 1;
    scene.mallory.tell(bob, scene.id, GroupControl::Operations { operations: vec![operation] }).await;
    alerted(&mut scene.bob, "group.invalid_operation").await;
    assert_eq!(scene.members(&scene.bob).await.len(), 3);
    scene.goes_on().await;
}

#[tokio::test]
async fn what_a_removed_admin_backdates_is_void_and_she_reads_nothing_more() {
    let mut scene = Scene::new().await;
    scene.promote().await;
    scene.warm().await;
    let [alice, bob] = scene.both().await;
    let before = scene.mallory.inside(scene.id, |inside| inside.membership.as_ref().unwrap().heads());
    scene.alice.handle().unwrap().groups_remove_member(&scene.group, "mallory").await.unwrap();
    // Alice speaks at once: the chain that Mallory has may not be used any more.
    scene.alice_says("at last").await;
    heard_of(&mut scene.bob, |event| matches!(event, Event::GroupMemberLeft { .. })).await;
    hears(&mut scene.bob, "at last").await;
    // As if she had done these while she was an admin.
    let revenge = scene.mallory.sign(scene.id, 1, before.clone(), Action::Remove { member: alice, seen: Vec::new() });
    let slipped = scene.mallory.sign(scene.id, 2, before, ghost());
    for to in [alice, bob] {
        let operations = vec![revenge.clone(), slipped.clone()];
        scene.mallory.tell(to, scene.id, GroupControl::Operations { operations }).await;
    }
    scene.goes_on().await;
    scene.agree().await;
    for who in [&scene.alice, &scene.bob] {
        assert_eq!(scene.members(who).await, ["alice", "bob"].map(str::to_owned).into());
    }
    for from in [alice, bob] {
        let answer = scene.mallory.fetch(from, scene.id).await;
        assert_eq!(answer, PeerResponse::Refused(PeerRefusal::NotAvailable));
    }
    let readable: BTreeSet<String> = scene.mallory.readable(scene.id).into_iter().collect();
    assert!(readable.is_subset(&["one".to_owned(), "two".to_owned()].into()), "she reads {readable:?}");
}

#[tokio::test]
async fn an_admin_who_tells_each_something_else_is_shown_and_all_agree() {
    let mut scene = Scene::new().await;
    scene.promote().await;
    let [alice, bob] = scene.both().await;
    let heads = scene.mallory.inside(scene.id, |inside| inside.membership.as_ref().unwrap().heads());
    let about = |name: &str| About {
        name: name.to_owned(),
        description: String::new(),
        join: JoinPolicy::Invite,
        public: false,
    };
    for (to, name) in [(alice, "Walkers"), (bob, "Runners")] {
        let update = Action::Update { about: about(name) };
        let operations = vec![scene.mallory.sign(scene.id, 1, heads.clone(), update)];
        scene.mallory.tell(to, scene.id, GroupControl::Operations { operations }).await;
    }
    // What each has gets to the other as they talk.
    scene.goes_on().await;
    scene.agree().await;
    for who in [&scene.alice, &scene.bob] {
        let alerts = who.handle().unwrap().security_alerts().await.unwrap().alerts;
        assert!(alerts.iter().any(|alert| alert.kind == "group.equivocation"), "{} sees it", who.name);
    }
}

/// Everybody's mark on what one of them was told.
async fn marks(who: &Persona, group: &str) -> Vec<(String, Option<String>)> {
    let page = who.handle().unwrap().groups_history(group, None::<String>, Some(100_u32)).await.unwrap();
    page.messages.into_iter().map(|message| (message.text, message.reason)).collect()
}

#[tokio::test]
async fn a_member_who_says_something_else_to_each_is_shown_to_all() {
    let mut scene = Scene::new().await;
    let mut carol = scene._net.persona("carol").await.unwrap();
    let link = scene.alice.handle().unwrap().groups_invite(scene.group.clone(), None::<String>, None).await.unwrap();
    carol.handle().unwrap().groups_join(None::<String>, link.invite).await.unwrap();
    heard_of(&mut carol, |event| matches!(event, Event::GroupJoined(_))).await;
    scene.warm().await;
    hears(&mut carol, "two").await;
    let [alice, bob] = scene.both().await;
    let carols = account(&carol).await;
    scene.mallory.finds(carols).await;
    // One chain, known to all; two messages in one place of it.
    let mut key = scene.mallory.chain(scene.id);
    for to in [alice, bob, carols] {
        let chain = key.hand_to(to);
        scene.mallory.tell(to, scene.id, GroupControl::Chain { chain, tokens: None }).await;
    }
    carol.away().await;
    let mut again = SenderKey::from_secret_bytes(key.to_secret_bytes().expose()).unwrap();
    let nine = scene.mallory.message(&mut key, scene.id, scene.mallory.me, "we leave at nine");
    let ten = scene.mallory.message(&mut again, scene.id, scene.mallory.me, "we leave at ten");
    scene.mallory.shows(alice, scene.id, &nine).await;
    scene.mallory.shows(bob, scene.id, &ten).await;
    hears(&mut scene.alice, "we leave at nine").await;
    hears(&mut scene.bob, "we leave at ten").await;
    // They see it when they compare what they have: nobody needs to say another word.
    let page = scene.alice.handle().unwrap().groups_history(&scene.group, None::<String>, None).await.unwrap();
    let own = page.messages.into_iter().find(|message| message.mine).unwrap().message_id;
    scene.alice.handle().unwrap().messages_retry(own).await.unwrap();
    for who in [&mut scene.alice, &mut scene.bob] {
        alerted(who, "group.split_message").await;
    }
    for (who, said) in [(&scene.alice, "we leave at nine"), (&scene.bob, "we leave at ten")] {
        let marked: Vec<_> = marks(who, &scene.group).await.into_iter().filter(|(_, mark)| mark.is_some()).collect();
        assert_eq!(marked.len(), 1, "{marked:?}");
        assert_eq!(marked[0].0, said);
    }
    // Whoever comes back later is told one of the two, and that there is another.
    scene.mallory.goes_silent();
    carol.back().await.unwrap();
    alerted(&mut carol, "group.split_message").await;
    scene.goes_on().await;
    hears(&mut carol, "so am I").await;
}

#[tokio::test]
async fn what_overtakes_its_message_is_applied_when_that_comes() {
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
    let text = |text: &str| Content::Text { text: text.to_owned(), reply_to: None };
    // Said in this order, and heard in the opposite one.
    let (edited, deleted) = (MessageRef { author: me, id: id(1) }, MessageRef { author: me, id: id(2) });
    let said = [
        (id(1), text("at nine")),
        (id(2), text("a secret")),
        (id(3), Content::Edit { target: edited.id, text: "at ten".to_owned() }),
        (id(4), Content::Reaction { target: edited, emoji: "👍".to_owned() }),
        (id(5), Content::Delete { target: deleted.id }),
    ];
    let said = said.map(|(id, body)| scene.mallory.saying(&mut key, scene.id, (me, id), body));
    for encoded in said.iter().rev() {
        scene.mallory.publish(scene.id, encoded).await;
    }
    scene.goes_on().await;
    for who in [&scene.alice, &scene.bob] {
        let page = who.handle().unwrap().groups_history(&scene.group, None::<String>, Some(100_u32)).await.unwrap();
        let of_hers = |id: MessageId| {
            let name = format!("{id}-{me}");
            page.messages.iter().find(|message| message.message_id == name).unwrap()
        };
        let first = of_hers(id(1));
        assert_eq!((first.text.as_str(), first.edited.is_some()), ("at ten", true), "{}", who.name);
        assert!(first.reactions.contains_key("👍"));
        assert!(of_hers(id(2)).deleted && of_hers(id(2)).text.is_empty());
    }
}

#[tokio::test]
async fn whoever_was_put_out_by_somebody_who_had_no_right_to_it_comes_back() {
    let mut scene = Scene::new().await;
    scene.promote().await;
    scene.warm().await;
    let [_, bob] = scene.both().await;
    let heads = scene.mallory.inside(scene.id, |inside| inside.membership.as_ref().unwrap().heads());
    // Mallory puts Bob out, and tells nobody but him.
    let removal = scene.mallory.sign(scene.id, 1, heads, Action::Remove { member: bob, seen: Vec::new() });
    scene.mallory.tell(bob, scene.id, GroupControl::Operations { operations: vec![removal.clone()] }).await;
    heard_of(&mut scene.bob, |event| matches!(event, Event::GroupLeft { .. })).await;
    // Alice, who does not know of it, puts Mallory out: what she did meanwhile is void.
    scene.alice.handle().unwrap().groups_remove_member(&scene.group, "mallory").await.unwrap();
    heard_of(&mut scene.bob, |event| matches!(event, Event::GroupJoined(_))).await;
    scene.goes_on().await;
    scene.agree().await;
    for who in [&scene.alice, &scene.bob] {
        assert_eq!(scene.members(who).await, ["alice", "bob"].map(str::to_owned).into());
    }
}

#[tokio::test]
async fn whoever_hides_is_seen_by_fellow_members_only_as_long_as_they_are() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let [alice, _] = scene.both().await;
    let handle = scene.alice.handle().unwrap().clone();
    handle.presence_set(Status::Invisible).await.unwrap();
    let PeerResponse::Hello(hello) = scene.mallory.greets(alice).await else { panic!("a member is not answered") };
    assert_eq!(hello.status, Some(PresenceStatus::Offline), "and yet shown as not there");
    handle.groups_remove_member(&scene.group, "mallory").await.unwrap();
    let answer = scene.mallory.greets(alice).await;
    assert_eq!(answer, PeerResponse::Refused(PeerRefusal::NotAvailable));
    scene.goes_on().await;
}

#[tokio::test]
async fn a_secret_of_somebody_who_is_no_admin_does_not_count() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    let both = scene.both().await;
    let secret = SecretIn { generation: 1 << 40, secret: Fixed([9; 32]) };
    for to in both {
        scene.mallory.tell(to, scene.id, GroupControl::Secret(secret.clone())).await;
    }
    scene.goes_on().await;
    // Mallory hears on under the secret that counts.
    let words = ["one", "two", "still here", "so am I"];
    scene.mallory.until(scene.id, |inside| (inside.heard.len() >= words.len()).then_some(())).await;
}

#[tokio::test]
async fn a_link_to_somebody_else_s_group_leads_nowhere() {
    let mut scene = Scene::new().await;
    let net = &scene._net;
    let mut carol = net.persona("carol").await.unwrap();
    // Mallory, a mere member, makes a link to Alice's group that names herself, and plays the admin.
    let (link, own) = scene.mallory.own_link(scene.id);
    carol.handle().unwrap().groups_join(None::<String>, Some(link)).await.unwrap();
    let asked = scene.mallory.asked_by(scene.id).await;
    let secret = SecretIn { generation: 9, secret: Fixed([9; 32]) };
    for operations in [own, scene.mallory.operations(scene.id)] {
        let heads = scene.mallory.inside(scene.id, |inside| inside.membership.as_ref().unwrap().heads());
        scene.mallory.tell(asked, scene.id, GroupControl::Operations { operations }).await;
        let welcome = GroupControl::Welcome { heads, secret: secret.clone(), people: Vec::new() };
        scene.mallory.tell(asked, scene.id, welcome).await;
        alerted(&mut carol, "group.invalid_welcome").await;
    }
    assert_eq!(carol.handle().unwrap().groups_list().await.unwrap().groups[0].state, GroupState::Pending);
    assert_eq!(scene.members(&scene.alice).await.len(), 3);
    scene.goes_on().await;
}

#[tokio::test]
async fn a_member_who_answers_nothing_holds_up_nobody() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    scene.mallory.goes_silent();
    // More than one chain's worth, so that a rotation is among it.
    for number in 0..120 {
        scene.alice_says(&format!("{number}")).await;
    }
    hears(&mut scene.bob, "119").await;
    let heard = texts(&scene.bob, &scene.group).await;
    assert_eq!(heard.len(), 100, "a page of the newest");
    scene.bob_says("all of it").await;
    hears(&mut scene.alice, "all of it").await;
    scene.alice.handle().unwrap().groups_remove_member(&scene.group, "mallory").await.unwrap();
    scene.goes_on().await;
    scene.agree().await;
}

#[tokio::test]
async fn a_flood_of_messages_is_put_off_with_one_alert() {
    let mut scene = Scene::new().await;
    scene.warm().await;
    // Of a chain that was never handed over: each costs her nothing, and is new to the topic.
    let mut key = scene.mallory.chain(scene.id);
    let said = scene.mallory.message(&mut key, scene.id, scene.mallory.me, "buy");
    let flood = async {
        loop {
            scene.mallory.publish(scene.id, &said).await;
        }
    };
    tokio::select! {
        () = flood => {}
        () = alerted(&mut scene.bob, "group.flood") => {}
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn a_flood_of_strangers_is_put_off_with_one_alert() {
    let net = TestNet::new().unwrap();
    let mut alice = net.persona("alice").await.unwrap();
    let owner = alice.handle().unwrap().clone();
    let group = owner.groups_create("Hikers", None::<String>, false, JoinPolicy::Invite).await.unwrap().group_id;
    let link = owner.groups_invite(group.clone(), None::<String>, None).await.unwrap().invite.unwrap();
    // One wave is a flood, if the machine is fast enough to take it as one.
    let asked = std::cell::Cell::new(0_u64);
    let flood = async {
        loop {
            let wave: Vec<Mallory> = (asked.get()..asked.get() + 42).map(Mallory::named).collect();
            futures::future::join_all(wave.iter().map(|mallory| mallory.ask(&link))).await;
            asked.set(asked.get() + 42);
        }
    };
    tokio::select! {
        () = flood => {}
        () = alerted(&mut alice, "group.join_flood") => {}
    }
    let members = owner.groups_members(group).await.unwrap().members.len() as u64;
    assert!(members <= 41 + asked.get(), "{members} of {} are in", asked.get() + 42);
}
