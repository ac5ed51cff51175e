//! Groups under fire: members change the roster, fall out of touch, act on what is no
//! longer so, and speak; everything arrives in any order, and everything that is said
//! reaches everybody, those who were put out as well. In the end the members name one
//! view, and nobody has read what was said while they were not in the author's roster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::id::{AccountId, GroupId, Timestamp};
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::limits::{DAY_MS, GROUP_CHAINS_UNREAD_MAX, GROUP_MEMBERS_MAX};
use secure_chat_protocol::membership::{About, Action, JoinPolicy, Membership, OperationError, Role};
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::sender_key::{
    ChainIn, GroupDecryptError, GroupMessageIn, MemberChains, SendContext, SenderKey,
};
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::wire::codec::Bytes;

const NOW: Timestamp = Timestamp(2 * DAY_MS);
const PEOPLE: usize = 6;

/// What is on its way to somebody.
#[derive(Clone)]
enum Parcel {
    Operation(Vec<u8>),
    /// Over the author's own session.
    Chain(usize, ChainIn),
    Message(GroupMessageIn),
}

struct Person {
    identity: IdentityKeyPair,
    record: Record,
    membership: Option<Membership>,
    own: Option<SenderKey>,
    chains: BTreeMap<AccountId, MemberChains>,
    inbox: Vec<Parcel>,
    read: BTreeSet<u32>,
}

impl Person {
    fn new(number: usize) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(number as u64);
        let identity = IdentityKeyPair::generate(&mut rng, Timestamp(DAY_MS));
        let fields = RecordFields {
            name: Username::parse(&format!("person{number}")).unwrap(),
            peers: vec![peer_binding(&SigningKey::generate(&mut rng), identity.account_id())],
            addresses: Vec::new(),
            homes: Vec::new(),
            mailbox: None,
        };
        let record = Record::create(&identity, fields, None, Timestamp(DAY_MS)).unwrap();
        let (chains, inbox, read) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Self { identity, record, membership: None, own: None, chains, inbox, read }
    }

    fn id(&self) -> AccountId {
        self.identity.account_id()
    }

    /// Takes one parcel as the engine would; gives it back if it came too early.
    fn take(&mut self, parcel: Parcel, ids: &[AccountId]) -> Option<Parcel> {
        let membership = self.membership.as_mut().unwrap();
        match &parcel {
            Parcel::Operation(operation) => {
                let early = matches!(membership.add(operation), Err(OperationError::MissingParents(_)));
                early.then_some(parcel)
            }
            Parcel::Chain(author, chain) => {
                let author = ids[*author];
                if !membership.view().has(&author) {
                    return Some(parcel);
                }
                let group = membership.group();
                let chains = self.chains.entry(author).or_insert_with(|| MemberChains::new(group, author));
                chains.accept(chain, NOW).unwrap();
                None
            }
            Parcel::Message(message) => {
                let Some(chains) = self.chains.get_mut(&message.author) else { return Some(parcel) };
                match chains.decrypt(message, NOW) {
                    Ok(text) => {
                        let number = u32::from_le_bytes(text.expose().try_into().unwrap());
                        assert!(self.read.insert(number), "shown once");
                        None
                    }
                    Err(GroupDecryptError::UnknownChain) => Some(parcel),
                    Err(_) => None,
                }
            }
        }
    }
}

struct World {
    people: Vec<Person>,
    ids: Vec<AccountId>,
    group: GroupId,
    /// For each message: its author, and who was in the author's roster.
    said: Vec<(usize, BTreeSet<AccountId>)>,
    /// How many chains each began.
    begun: Vec<usize>,
    rng: ChaCha20Rng,
}

impl World {
    /// The first owns, the second is an admin, four are in, two are out.
    fn new(seed: u64) -> Self {
        let mut people: Vec<Person> = (0..PEOPLE).map(Person::new).collect();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let about =
            About { name: "Hikers".into(), description: String::new(), join: JoinPolicy::Invite, public: false };
        let mut base = Membership::create(&people[0].identity, &people[0].record, about, &mut rng).unwrap();
        for person in &people[1..4] {
            let record = Bytes(person.record.encoded().to_vec());
            base.act(&people[0].identity, Action::Add { record }).unwrap();
        }
        base.act(&people[0].identity, Action::SetRole { member: people[1].id(), role: Role::Admin }).unwrap();
        for person in &mut people {
            person.membership = Some(base.clone());
        }
        let ids = people.iter().map(Person::id).collect();
        Self { people, ids, group: base.group(), said: Vec::new(), begun: vec![0; PEOPLE], rng }
    }

    fn send(&mut self, from: usize, parcel: &Parcel) {
        for to in (0..PEOPLE).filter(|to| *to != from) {
            self.people[to].inbox.push(parcel.clone());
        }
    }

    fn act(&mut self, author: usize, kind: u8, object: usize) {
        let member = self.ids[object];
        let record = Bytes(self.people[object].record.encoded().to_vec());
        let action = match kind {
            0..=1 => Action::Add { record },
            2..=3 => Action::Remove { member, seen: Vec::new() },
            4 => Action::SetRole { member, role: Role::Admin },
            5 => Action::SetRole { member, role: Role::Owner },
            6 => Action::Ban { member, seen: Vec::new() },
            _ => Action::Leave { seen: Vec::new() },
        };
        let Person { identity, membership, .. } = &mut self.people[author];
        if let Ok(operation) = membership.as_mut().unwrap().act(identity, action) {
            let parcel = Parcel::Operation(operation.encoded().to_vec());
            self.send(author, &parcel);
        }
    }

    fn speak(&mut self, author: usize) {
        let me = self.ids[author];
        let view = self.people[author].membership.as_ref().unwrap().view().clone();
        let roster = view.roster();
        if !roster.contains(&me) {
            return;
        }
        let person = &mut self.people[author];
        if person.own.as_ref().is_none_or(|own| own.must_rotate(&roster, NOW)) {
            person.own = Some(SenderKey::generate(view.id, NOW, &mut self.rng));
            self.begun[author] += 1;
        }
        let own = person.own.as_mut().unwrap();
        let lacking: Vec<AccountId> = roster.iter().filter(|id| **id != me && !own.is_held_by(id)).copied().collect();
        let handed: Vec<_> = lacking.into_iter().map(|id| (id, own.hand_to(id))).collect();
        let number = u32::try_from(self.said.len()).unwrap();
        let context =
            SendContext { group: self.group, author: me, view: view.id, roster: &roster, heads: &[], now: NOW };
        let message = own.encrypt(&context, &number.to_le_bytes(), &mut self.rng).unwrap();
        for (id, chain) in handed {
            let to = self.ids.iter().position(|known| *known == id).unwrap();
            self.people[to].inbox.push(Parcel::Chain(author, chain));
        }
        self.send(author, &Parcel::Message(message));
        self.said.push((author, roster));
    }

    /// Somebody hears so many of what waits for them, in any order.
    fn hear(&mut self, who: usize, most: usize) {
        let Self { people, ids, rng, .. } = self;
        let person = &mut people[who];
        person.inbox.shuffle(rng);
        let left = person.inbox.len().saturating_sub(most);
        for parcel in person.inbox.split_off(left) {
            let early = person.take(parcel, ids);
            person.inbox.extend(early);
        }
    }

    /// Everybody hears everything.
    fn heal(&mut self) {
        for _ in 0..60 {
            for who in 0..PEOPLE {
                self.hear(who, usize::MAX);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn one_view_one_set_of_messages_and_no_reader_outside_the_roster(
        steps in proptest::collection::vec((0..10_u8, 0..PEOPLE, 0..9_u8, 0..PEOPLE), 1..60),
        seed in any::<u64>(),
    ) {
        let mut world = World::new(seed);
        let mut put_out = BTreeSet::new();
        for (step, who, kind, object) in steps {
            match step {
                0..=2 => {
                    world.act(who, kind, object);
                    match kind {
                        2 | 3 | 6 => drop(put_out.insert(object)),
                        7.. => drop(put_out.insert(who)),
                        _ => {}
                    }
                }
                3..=6 => world.speak(who),
                _ => {
                    let most = world.rng.random_range(0..8);
                    world.hear(who, most);
                }
            }
        }
        world.heal();
        let views: Vec<_> = world.people.iter().map(|person| person.membership.as_ref().unwrap().view()).collect();
        for view in &views {
            prop_assert_eq!(view, &views[0], "all name one view");
        }
        for (number, (author, roster)) in world.said.iter().enumerate() {
            let number = u32::try_from(number).unwrap();
            for (who, person) in world.people.iter().enumerate().filter(|(who, _)| who != author) {
                let reads = person.read.contains(&number);
                prop_assert!(!reads || roster.contains(&person.id()), "{who} read {number}, and was not in the roster");
                // Who was never put out, and hears somebody who was never put out, has everything.
                let stayed = !put_out.contains(&who) && !put_out.contains(author);
                let present = views[0].has(&person.id()) && views[0].has(&world.ids[*author]);
                if stayed && present && roster.contains(&person.id()) && world.begun[*author] <= GROUP_CHAINS_UNREAD_MAX {
                    prop_assert!(reads, "{who} lacks {number}");
                }
            }
        }
    }
}

#[test]
fn the_thousand_and_first_is_not_let_in() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let owner = Person::new(0);
    let about = About { name: "Crowd".into(), description: String::new(), join: JoinPolicy::Open, public: true };
    let mut group = Membership::create(&owner.identity, &owner.record, about, &mut rng).unwrap();
    for number in 1..GROUP_MEMBERS_MAX {
        let record = Bytes(Person::new(number).record.encoded().to_vec());
        group.act(&owner.identity, Action::Add { record }).unwrap();
    }
    assert_eq!(group.view().members.len(), GROUP_MEMBERS_MAX);
    let record = Bytes(Person::new(GROUP_MEMBERS_MAX).record.encoded().to_vec());
    let refused = group.act(&owner.identity, Action::Add { record }).unwrap_err();
    assert_eq!(refused, OperationError::Full);
    assert_eq!(group.view().members.len(), GROUP_MEMBERS_MAX);
}
