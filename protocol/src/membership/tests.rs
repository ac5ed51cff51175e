use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::crypto::ed25519::SigningKey;
use crate::id::{AccountId, ChainId, OperationId, Timestamp};
use crate::identity::IdentityKeyPair;
use crate::limits::{DAY_MS, GROUP_MEMBERS_MAX};
use crate::record::{Record, RecordFields, peer_binding};
use crate::validate::Username;
use crate::wire::codec::{Bytes, Fixed};

struct Person {
    identity: IdentityKeyPair,
    record: Record,
}

impl Person {
    fn new(number: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(number);
        let identity = IdentityKeyPair::generate(&mut rng, Timestamp(DAY_MS));
        let peer = peer_binding(&SigningKey::generate(&mut rng), identity.account_id());
        let fields = RecordFields {
            name: Username::parse(&format!("person{number}")).unwrap(),
            peers: vec![peer],
            addresses: Vec::new(),
            homes: Vec::new(),
            mailbox: None,
        };
        let record = Record::create(&identity, fields, None, Timestamp(DAY_MS)).unwrap();
        Self { identity, record }
    }

    fn id(&self) -> AccountId {
        self.identity.account_id()
    }

    fn added(&self) -> Action {
        Action::Add { record: Bytes(self.record.encoded().to_vec()) }
    }
}

fn people(count: u64) -> Vec<Person> {
    (1..=count).map(Person::new).collect()
}

fn about(name: &str) -> About {
    About { name: name.into(), description: String::new(), join: JoinPolicy::Invite, public: false }
}

fn group(owner: &Person) -> Membership {
    Membership::create(&owner.identity, &owner.record, about("Hikers"), &mut ChaCha20Rng::seed_from_u64(3)).unwrap()
}

fn removed(person: &Person) -> Action {
    Action::Remove { member: person.id(), seen: Vec::new() }
}

fn role(person: &Person, role: Role) -> Action {
    Action::SetRole { member: person.id(), role }
}

/// A group in which the first owns, the second is an admin or owner, and the rest are members.
fn grown(people: &[Person], second: Role) -> Membership {
    let mut group = group(&people[0]);
    for person in &people[1..] {
        group.act(&people[0].identity, person.added()).unwrap();
    }
    group.act(&people[0].identity, role(&people[1], second)).unwrap();
    group
}

/// Tells `to` everything that `from` knows.
fn tell(from: &Membership, to: &mut Membership) {
    for operation in from.operations() {
        to.add(operation.encoded()).unwrap();
    }
}

fn agree(one: &mut Membership, other: &mut Membership) {
    let (before, its) = (one.clone(), other.clone());
    tell(&its, one);
    tell(&before, other);
    assert_eq!(one.view(), other.view());
}

#[test]
fn a_group_begins_with_its_owner_and_names_itself() {
    let all = people(2);
    let group = group(&all[0]);
    assert_eq!(group.view().role(&all[0].id()), Some(Role::Owner));
    let first = group.operations().next().unwrap().encoded().to_vec();
    assert_eq!(Membership::open(&first).unwrap().view(), group.view());
    // Somebody else can't begin a group of this id.
    let mut forged: OperationIn = crate::wire::codec::decode(&first, 8_192).unwrap();
    forged.author = all[1].id();
    let bytes = crate::wire::codec::encode(&forged, 8_192).unwrap();
    assert_eq!(Membership::open(&bytes).unwrap_err(), OperationError::WrongGroup);
}

#[test]
fn nobody_acts_above_their_role() {
    let all = people(5);
    let mut group = grown(&all[..4], Role::Admin);
    let (owner, admin, member, other) = (&all[0], &all[1], &all[2], &all[3]);
    for (who, action) in [
        (member, all[4].added()),
        (member, removed(other)),
        (member, role(member, Role::Owner)),
        (member, Action::Update { about: about("Mine") }),
        (admin, removed(owner)),
        (admin, role(admin, Role::Owner)),
        (admin, role(member, Role::Admin)),
        (admin, Action::Transfer { member: admin.id() }),
        (admin, Action::Ban { member: owner.id(), seen: Vec::new() }),
        (owner, role(&all[4], Role::Admin)),
    ] {
        assert_eq!(group.act(&who.identity, action.clone()).unwrap_err(), OperationError::NotAllowed, "{action:?}");
    }
    assert!(group.act(&admin.identity, all[4].added()).is_ok());
    assert!(group.act(&admin.identity, removed(other)).is_ok());
    assert_eq!(group.act(&other.identity, Action::Leave { seen: Vec::new() }).unwrap_err(), OperationError::NotAllowed);
    assert!(matches!(
        group.act(&Person::new(9).identity, Action::Leave { seen: Vec::new() }).unwrap_err(),
        OperationError::BadSequence | OperationError::Forged
    ));
}

#[test]
fn a_ghost_member_can_not_be_slipped_in() {
    let all = people(3);
    let mut group = grown(&all[..2], Role::Member);
    // A server, or anybody who signs for somebody else, gets nowhere.
    let honest = group.act(&all[0].identity, all[2].added()).unwrap();
    let mut ghost = honest.wire.clone();
    ghost.action = Person::new(77).added();
    let bytes = crate::wire::codec::encode(&ghost, 8_192).unwrap();
    assert_eq!(group.add(&bytes), Err(OperationError::Forged));
    let mut other =
        Membership::create(&all[1].identity, &all[1].record, about("Other"), &mut ChaCha20Rng::seed_from_u64(8))
            .unwrap();
    assert_eq!(other.add(honest.encoded()), Err(OperationError::WrongGroup));
    for at in 0..honest.encoded().len() {
        let mut changed = honest.encoded().to_vec();
        changed[at] ^= 1;
        assert!(group.clone().add(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn a_record_is_verified_only_for_a_member_whose_operation_has_its_place() {
    let all = people(3);
    let mut group = grown(&all[..2], Role::Member);
    let mut wire = OperationIn {
        version: OPERATION_VERSION,
        group: group.group(),
        author: all[1].id(),
        seq: 1,
        parents: vec![OperationId([7; 32])],
        action: Action::Add { record: Bytes(vec![1; 64]) },
        signature: Fixed([0; 64]),
    };
    // A record that is none is not even looked at while its parents are missing, nor if nobody signed.
    let encoded = |wire: &OperationIn| crate::wire::codec::encode(wire, 8_192).unwrap();
    assert_eq!(group.add(&encoded(&wire)), Err(OperationError::MissingParents(vec![OperationId([7; 32])])));
    wire.parents = group.heads();
    assert_eq!(group.add(&encoded(&wire)), Err(OperationError::Forged));
    let bytes = encoded(&wire);
    let signed = &bytes[..bytes.len() - 64];
    wire.signature = all[1].identity.sign(crate::identity::Purpose::GroupOperation, &[signed]).to_wire();
    assert_eq!(group.add(&encoded(&wire)), Err(OperationError::Malformed));
}

#[test]
fn of_two_owners_who_remove_each_other_the_senior_prevails() {
    let all = people(3);
    let base = grown(&all, Role::Owner);
    let (mut one, mut two) = (base.clone(), base);
    two.act(&all[1].identity, removed(&all[0])).unwrap();
    two.act(&all[1].identity, removed(&all[2])).unwrap();
    one.act(&all[0].identity, removed(&all[1])).unwrap();
    agree(&mut one, &mut two);
    assert_eq!(one.view().roster(), [all[0].id(), all[2].id()].into());
}

#[test]
fn what_a_removed_admin_backdates_is_void() {
    let all = people(5);
    let mut one = grown(&all[..3], Role::Admin);
    let mut revenge = one.clone();
    one.act(&all[0].identity, removed(&all[1])).unwrap();
    one.act(&all[0].identity, Action::Update { about: about("After") }).unwrap();
    // The removed one signs operations that pretend not to know of it.
    revenge.act(&all[1].identity, removed(&all[2])).unwrap();
    revenge.act(&all[1].identity, all[3].added()).unwrap();
    revenge.act(&all[1].identity, Action::Update { about: about("Revenge") }).unwrap();
    agree(&mut one, &mut revenge);
    assert_eq!(one.view().roster(), [all[0].id(), all[2].id()].into());
    assert_eq!(one.view().about.name, "After");
    // Whom a voided operation took in does nothing either.
    let later = revenge.act(&all[3].identity, Action::Leave { seen: Vec::new() });
    assert_eq!(later.unwrap_err(), OperationError::NotAllowed);
}

#[test]
fn a_demotion_voids_only_what_needed_the_role() {
    let all = people(4);
    let mut one = grown(&all[..3], Role::Admin);
    let mut two = one.clone();
    one.act(&all[0].identity, role(&all[1], Role::Member)).unwrap();
    two.act(&all[1].identity, all[3].added()).unwrap();
    two.act(&all[1].identity, Action::Leave { seen: Vec::new() }).unwrap();
    agree(&mut one, &mut two);
    assert_eq!(one.view().roster(), [all[0].id(), all[2].id()].into(), "nobody was added, and the demoted one left");
}

#[test]
fn a_removal_outweighs_a_concurrent_addition_and_a_ban_lasts() {
    let all = people(4);
    let mut one = grown(&all[..3], Role::Admin);
    let mut two = one.clone();
    let seen = vec![ChainPlace { chain: ChainId([4; 16]), next: 7 }];
    one.act(&all[0].identity, Action::Ban { member: all[2].id(), seen: seen.clone() }).unwrap();
    two.act(&all[1].identity, all[2].added()).unwrap();
    agree(&mut one, &mut two);
    assert!(!one.view().has(&all[2].id()));
    assert_eq!(one.view().former.get(&all[2].id()), Some(&seen));
    assert_eq!(one.act(&all[1].identity, all[2].added()).unwrap_err(), OperationError::NotAllowed);
    one.act(&all[1].identity, Action::Unban { member: all[2].id() }).unwrap();
    one.act(&all[1].identity, all[2].added()).unwrap();
    assert_eq!(one.view().role(&all[2].id()), Some(Role::Member));
    assert!(one.view().banned.is_empty());
}

#[test]
fn whoever_goes_is_read_in_each_of_their_chains_as_far_as_was_seen() {
    let all = people(3);
    let mut group = grown(&all, Role::Admin);
    let place = |chain: u8, next| ChainPlace { chain: ChainId([chain; 16]), next };
    let (member, other) = (all[2].id(), ChainId([9; 16]));
    assert_eq!(group.view().counts_below(&member, &other), u32::MAX);
    let seen = vec![place(1, 5), place(2, 1), place(4, 0)];
    group.act(&all[0].identity, Action::Remove { member, seen }).unwrap();
    let below: Vec<u32> = (1..=4).map(|chain| group.view().counts_below(&member, &ChainId([chain; 16]))).collect();
    assert_eq!(below, [5, 1, 0, 0]);
    assert_eq!(group.view().counts_below(&Person::new(8).id(), &ChainId([1; 16])), 0, "who never was in it");
    let again = Membership::load(group.operations().map(Operation::encoded)).unwrap();
    assert_eq!(again.view(), group.view());
}

#[test]
fn what_was_seen_of_a_chain_is_said_once_and_not_of_too_many() {
    let all = people(3);
    let mut group = grown(&all, Role::Admin);
    let place = |chain: usize, next| ChainPlace { chain: ChainId((chain as u128).to_be_bytes()), next };
    let many = |count| (0..count).map(|chain| place(chain, 1)).collect::<Vec<_>>();
    for seen in
        [vec![place(1, 1), place(1, 2)], vec![place(2, 1), place(1, 1)], many(crate::limits::GROUP_SEEN_MAX + 1)]
    {
        let refused = group.act(&all[0].identity, Action::Remove { member: all[2].id(), seen });
        assert_eq!(refused.unwrap_err(), OperationError::Malformed);
    }
    let seen = many(crate::limits::GROUP_SEEN_MAX);
    group.act(&all[0].identity, Action::Remove { member: all[2].id(), seen }).unwrap();
}

#[test]
fn who_equivocates_is_settled_the_same_way_for_all_and_shown() {
    let all = people(4);
    let base = grown(&all[..2], Role::Admin);
    let (mut one, mut two) = (base.clone(), base);
    one.act(&all[1].identity, all[2].added()).unwrap();
    two.act(&all[1].identity, all[3].added()).unwrap();
    agree(&mut one, &mut two);
    assert_eq!(one.view().members.len(), 3, "only one of the two counts");
    assert_eq!(one.view().equivocators, [all[1].id()].into());
}

#[test]
fn who_floods_with_doubles_fills_nothing_and_makes_nobody_equivocate() {
    let all = people(4);
    let mut group = grown(&all, Role::Admin);
    let (admin, gone) = (&all[1], &all[3]);
    let parents = group.heads();
    group.act(&admin.identity, removed(gone)).unwrap();
    let doubles = (0..60).map(|number| {
        let place = ChainPlace { chain: ChainId([number; 16]), next: 1 };
        let wire = OperationIn {
            version: OPERATION_VERSION,
            group: group.group(),
            author: gone.id(),
            seq: 1,
            parents: parents.clone(),
            action: Action::Leave { seen: vec![place] },
            signature: Fixed([0; 64]),
        };
        Operation::sign(&gone.identity, wire).unwrap()
    });
    let doubles: Vec<Operation> = doubles.collect();
    let taken = doubles.iter().filter(|double| group.add(double.encoded()).is_ok()).count();
    assert!(taken < 20, "{taken} doubles were taken");
    for name in ["Climbers", "Swimmers"] {
        group.act(&admin.identity, Action::Update { about: about(name) }).unwrap();
    }
    assert_eq!(group.view().about.name, "Swimmers");
    assert!(!group.view().equivocators.contains(&admin.id()), "an honest admin seems to equivocate");
    // Whoever knows other doubles comes to the same members.
    let mut other = grown(&all, Role::Admin);
    other.act(&admin.identity, removed(gone)).unwrap();
    doubles.iter().rev().for_each(|double| drop(other.add(double.encoded())));
    assert_eq!(other.view().members, group.view().members);
}

#[test]
fn a_group_is_handed_over_and_never_without_an_owner() {
    let all = people(3);
    let mut one = grown(&all, Role::Admin);
    one.act(&all[0].identity, Action::Transfer { member: all[2].id() }).unwrap();
    assert_eq!(one.view().role(&all[2].id()), Some(Role::Owner));
    assert_eq!(one.view().role(&all[0].id()), Some(Role::Admin));
    one.act(&all[2].identity, Action::Leave { seen: Vec::new() }).unwrap();
    assert_eq!(one.view().role(&all[0].id()), Some(Role::Owner), "the most senior admin");
    one.act(&all[0].identity, role(&all[1], Role::Owner)).unwrap();
    assert_eq!(one.view().role(&all[1].id()), Some(Role::Owner));
}

#[test]
fn an_invite_is_open_until_it_is_revoked() {
    let all = people(2);
    let mut one = grown(&all, Role::Admin);
    let hash = Fixed(invite_hash(&[1; 16], &[2; 16]));
    one.act(&all[1].identity, Action::Invite { id: Fixed([1; 16]), hash, expires: None }).unwrap();
    assert_eq!(one.view().invites.get(&[1; 16]).map(|invite| invite.hash), Some(hash.0));
    one.act(&all[0].identity, Action::RevokeInvite { id: Fixed([1; 16]) }).unwrap();
    assert!(one.view().invites.is_empty());
}

#[test]
fn what_follows_something_unknown_waits_for_it() {
    let all = people(3);
    let one = grown(&all, Role::Admin);
    let operations: Vec<_> = one.operations().map(|operation| operation.encoded().to_vec()).collect();
    let mut two = Membership::open(&operations[0]).unwrap();
    let error = two.add(&operations[2]).unwrap_err();
    assert!(matches!(error, OperationError::MissingParents(missing) if missing.len() == 1));
    let lacking: Vec<_> = one.missing_at(&two.heads()).map(|operation| operation.encoded().to_vec()).collect();
    assert_eq!(lacking, operations[1..]);
}

#[test]
fn names_that_mislead_are_refused() {
    for name in ["", "  ", " a", "a\u{200b}b", "a\u{202e}b", "a\nb", &"x".repeat(61)] {
        assert!(about(name).check().is_err(), "{name:?}");
    }
    assert!(about("Grüße aus 日本 🎉").check().is_ok());
}

#[test]
fn a_secret_says_nothing_to_outsiders_and_opens_for_members() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (secret, other) = (GroupSecret::generate(&mut rng), GroupSecret::generate(&mut rng));
    let sealed = secret.seal(b"message", &mut rng);
    assert_eq!(secret.open(&sealed).as_deref(), Some(b"message".as_slice()));
    assert_eq!(other.open(&sealed), None);
    assert!(secret.topic() != other.topic() && secret.log_keys().log_id() != other.log_keys().log_id());
    let (alice, bob) = (AccountId([1; 32]), AccountId([2; 32]));
    let topics = [secret.topic(), secret.topic_of(&alice), secret.topic_of(&bob), other.topic_of(&alice)];
    assert_eq!(topics.iter().collect::<BTreeSet<_>>().len(), topics.len(), "nobody listens for another");
    assert_eq!(topics[1], secret.topic_of(&alice));
    assert_eq!(sealed.len(), secret.seal(&[0; 300], &mut rng).len(), "sizes are padded");
}

/// What somebody does in a random history: who, what, to whom.
fn random_action(kind: u8, person: &Person) -> Action {
    match kind {
        0..=3 => person.added(),
        4..=5 => removed(person),
        6 => Action::Ban { member: person.id(), seen: Vec::new() },
        7 => Action::Unban { member: person.id() },
        8 => role(person, Role::Admin),
        9 => role(person, Role::Owner),
        10 => role(person, Role::Member),
        11 => Action::Transfer { member: person.id() },
        12 => Action::Leave { seen: Vec::new() },
        _ => Action::Update { about: about(&format!("Name {kind}")) },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Random operations by random members under random partitions, with members who
    /// equivocate and backdate, told in any order, end in one view.
    #[test]
    fn any_order_of_delivery_ends_in_one_view(
        steps in proptest::collection::vec((0..4_usize, 0..6_usize, 0..15_u8, 0..6_usize, 0..4_usize, any::<bool>()), 1..40),
        seed in any::<u64>(),
    ) {
        let all = people(6);
        let base = grown(&all[..4], Role::Admin);
        let mut sides = vec![base; 4];
        for (side, author, kind, object, other, meet) in steps {
            // An author may speak on a side that lacks their last operations: equivocation and backdating.
            let _ = sides[side].act(&all[author].identity, random_action(kind, &all[object]));
            if meet && side != other {
                let known = sides[other].clone();
                tell(&known, &mut sides[side]);
            }
        }
        let mut operations: Vec<Vec<u8>> = Vec::new();
        for side in &sides {
            operations.extend(side.operations().map(|operation| operation.encoded().to_vec()));
        }
        let mut views = Vec::new();
        for shuffle in 0..3 {
            operations.shuffle(&mut ChaCha20Rng::seed_from_u64(seed.wrapping_add(shuffle)));
            let mut waiting = operations.clone();
            let mut member = sides[0].clone();
            while !waiting.is_empty() {
                let before = waiting.len();
                waiting.retain(|operation| matches!(member.add(operation), Err(OperationError::MissingParents(_))));
                prop_assert!(waiting.len() < before, "every operation finds its place");
            }
            let again = Membership::load(member.operations().map(Operation::encoded)).unwrap();
            prop_assert_eq!(again.view(), member.view());
            views.push(member.view().clone());
        }
        prop_assert_eq!(&views[0], &views[1]);
        prop_assert_eq!(&views[0], &views[2]);
        prop_assert!(views[0].members.is_empty() || !views[0].admins().is_empty());
    }
}

#[test]
fn a_change_beside_another_change_of_the_roster_is_known_as_one() {
    let people = people(5);
    let mut one = grown(&people[..4], Role::Admin);
    let mut other = Membership::load(one.operations().map(Operation::encoded)).unwrap();
    let removal = one.act(&people[0].identity, removed(&people[2])).unwrap();
    assert_eq!(one.place_beside_another(removal.encoded()), None);
    let renamed = other.act(&people[1].identity, Action::Update { about: about("Climbers") }).unwrap();
    let addition = other.act(&people[1].identity, people[4].added()).unwrap();
    one.add(renamed.encoded()).unwrap();
    // The removal is beside a new name: nobody came or went by that.
    assert_eq!(one.place_beside_another(removal.encoded()), None);
    one.add(addition.encoded()).unwrap();
    let place = |operation: &Operation| one.operations().position(|known| known.id() == operation.id());
    for operation in [&removal, &addition] {
        assert_eq!(one.place_beside_another(operation.encoded()), place(operation));
    }
    let later = one.act(&people[0].identity, removed(&people[3])).unwrap();
    assert_eq!(one.place_beside_another(later.encoded()), None);
}

#[test]
fn of_two_whom_two_admins_add_at_once_for_the_last_place_one_is_in_the_same_for_all() {
    let people = people(2);
    let mut one = grown(&people, Role::Admin);
    // All others are added by the owner; only the last two differ from each other.
    for number in 3..GROUP_MEMBERS_MAX as u64 {
        one.act(&people[0].identity, Person::new(number).added()).unwrap();
    }
    assert_eq!(one.view().members.len(), GROUP_MEMBERS_MAX - 1);
    let mut other = Membership::load(one.operations().map(Operation::encoded)).unwrap();
    let (first, second) = (Person::new(2_001), Person::new(2_002));
    let by_owner = one.act(&people[0].identity, first.added()).unwrap();
    let by_admin = other.act(&people[1].identity, second.added()).unwrap();
    for full in [&mut one, &mut other] {
        assert_eq!(full.act(&people[0].identity, Person::new(2_003).added()).err(), Some(OperationError::Full));
    }
    one.add(by_admin.encoded()).unwrap();
    other.add(by_owner.encoded()).unwrap();
    assert_eq!(one.view(), other.view());
    assert_eq!(one.view().members.len(), GROUP_MEMBERS_MAX);
    let has = |group: &Membership, person: &Person| group.view().has(&person.id());
    assert!(has(&one, &first) != has(&one, &second), "one of the two is in");
    let (inside, outside) = if has(&one, &first) { (&first, &second) } else { (&second, &first) };
    // Nobody has signed that the other is out: they follow when somebody makes room.
    one.act(&people[0].identity, removed(inside)).unwrap();
    assert!(!has(&one, inside) && has(&one, outside));
}
