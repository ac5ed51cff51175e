use std::collections::BTreeMap;

use proptest::prelude::*;
use rand_chacha::rand_core::SeedableRng;
use secure_chat_protocol::identity::IdentityKeyPair;

use super::*;
use crate::store::memory::MemoryRows;

fn identity() -> PublicIdentity {
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
    IdentityKeyPair::generate(&mut rng, Timestamp(0)).public().clone()
}

fn claim(account: u8, name: &str, seq: u64) -> Claim {
    claim_of(&identity(), account, name, seq)
}

fn claim_of(identity: &PublicIdentity, account: u8, name: &str, seq: u64) -> Claim {
    Claim {
        account: AccountId([account; 32]),
        name: fold(name),
        seq,
        prev_hash: hash_of(account, seq.wrapping_sub(1)),
        hash: hash_of(account, seq),
        peers: vec![[account; 32]],
        identity: identity.clone(),
        record: [account.to_be_bytes().as_slice(), &seq.to_be_bytes(), name.as_bytes()].concat(),
    }
}

fn hash_of(account: u8, seq: u64) -> [u8; 32] {
    let mut hash = [account; 32];
    hash[..8].copy_from_slice(&seq.to_be_bytes());
    hash
}

fn try_register(rows: &mut MemoryRows, claim: &Claim) -> Registered {
    register(rows, claim, Timestamp(1)).unwrap()
}

fn owner(rows: &MemoryRows, name: &str) -> Option<AccountId> {
    match lookup(rows, &Who::Name(name.to_owned())).unwrap() {
        Response::Found { people, .. } => people.first().map(|found| found.presence.account),
        other => panic!("{other:?}"),
    }
}

const NEW: Registered = Registered::Accepted { new: true };
const RENEWED: Registered = Registered::Accepted { new: false };

#[test]
fn a_name_belongs_to_whoever_came_first_however_it_is_written() {
    let mut rows = MemoryRows::default();
    assert_eq!(try_register(&mut rows, &claim(1, "Alice", 0)), NEW);
    assert_eq!(try_register(&mut rows, &claim(2, "aLICE", 0)), Registered::Refused(Refusal::NameTaken));
    assert_eq!(owner(&rows, "ALICE"), Some(AccountId([1; 32])));
    assert_eq!(Totals::load(&rows).unwrap().accounts, 1, "a refused registration leaves nothing behind");
}

#[test]
fn registering_again_is_a_renewal() {
    let mut rows = MemoryRows::default();
    assert_eq!(try_register(&mut rows, &claim(1, "alice", 4)), NEW);
    assert_eq!(try_register(&mut rows, &claim(1, "alice", 4)), RENEWED);
    assert_eq!(try_register(&mut rows, &claim(1, "alice", 5)), RENEWED);
}

#[test]
fn an_older_record_or_another_of_the_same_number_is_stale() {
    let mut rows = MemoryRows::default();
    try_register(&mut rows, &claim(1, "alice", 4));
    let stale = Registered::Refused(Refusal::Stale { seq: 4 });
    assert_eq!(try_register(&mut rows, &claim(1, "alice", 3)), stale);
    assert_eq!(try_register(&mut rows, &claim(1, "alice2", 4)), stale, "two records of one number are a fork");
    assert_eq!(owner(&rows, "alice2"), None);
}

#[test]
fn the_next_record_must_name_the_one_before() {
    let mut rows = MemoryRows::default();
    try_register(&mut rows, &claim(1, "alice", 4));
    let forked = Claim { prev_hash: [0; 32], ..claim(1, "alice", 5) };
    assert_eq!(try_register(&mut rows, &forked), Registered::Refused(Refusal::Invalid));
    assert_eq!(try_register(&mut rows, &Claim { prev_hash: [0; 32], ..claim(1, "alice", 7) }), RENEWED);
}

#[test]
fn a_new_name_frees_the_old_one_and_unregistering_frees_both_name_and_account() {
    let mut rows = MemoryRows::default();
    try_register(&mut rows, &claim(1, "alice", 0));
    assert_eq!(try_register(&mut rows, &claim(1, "alicia", 1)), RENEWED);
    assert_eq!(try_register(&mut rows, &claim(2, "alice", 0)), NEW);
    unregister(&mut rows, &AccountId([1; 32])).unwrap();
    assert_eq!((owner(&rows, "alicia"), owner(&rows, "alice")), (None, Some(AccountId([2; 32]))));
    assert_eq!(Totals::load(&rows).unwrap().accounts, 1);
}

#[test]
fn a_name_change_to_a_taken_name_changes_nothing() {
    let mut rows = MemoryRows::default();
    try_register(&mut rows, &claim(1, "alice", 0));
    try_register(&mut rows, &claim(2, "bob", 0));
    let before = rows.clone();
    assert_eq!(try_register(&mut rows, &claim(1, "bob", 1)), Registered::Refused(Refusal::NameTaken));
    assert_eq!(rows, before);
}

#[test]
fn accounts_are_found_by_id_and_unknown_ones_left_out() {
    let mut rows = MemoryRows::default();
    try_register(&mut rows, &claim(1, "alice", 0));
    let who = Who::Accounts(vec![AccountId([9; 32]), AccountId([1; 32])]);
    match lookup(&rows, &who).unwrap() {
        Response::Found { people, more: false } => assert_eq!(people.len(), 1),
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// Whatever is claimed in whatever order: a name has one owner, who says that it is theirs.
    #[test]
    fn every_name_has_exactly_the_owner_whose_record_says_so(
        steps in proptest::collection::vec((0_u8..5, 0_usize..4, 0_u64..6, any::<bool>(), any::<bool>()), 1..80)
    ) {
        let names = ["ann", "ben", "cat", "dan"];
        let identity = identity();
        let mut rows = MemoryRows::default();
        let mut owners: BTreeMap<String, u8> = BTreeMap::new();
        let mut known: BTreeMap<u8, (u64, String)> = BTreeMap::new();
        for (account, name, seq, chained, leave) in steps {
            if leave {
                unregister(&mut rows, &AccountId([account; 32])).unwrap();
                if let Some((_, name)) = known.remove(&account) {
                    owners.remove(&name);
                }
                continue;
            }
            let mut claim = claim_of(&identity, account, names[name], seq);
            if !chained {
                claim.prev_hash = [0xee; 32];
            }
            let outcome = try_register(&mut rows, &claim);
            let taken = owners.get(&claim.name).is_some_and(|owner| *owner != account);
            let expected = match known.get(&account) {
                Some((old, _)) if seq < *old => Registered::Refused(Refusal::Stale { seq: *old }),
                Some((old, old_name)) if seq == *old && *old_name == claim.name => RENEWED,
                Some((old, _)) if seq == *old => Registered::Refused(Refusal::Stale { seq: *old }),
                Some((old, _)) if seq == *old + 1 && !chained => Registered::Refused(Refusal::Invalid),
                _ if taken => Registered::Refused(Refusal::NameTaken),
                before => Registered::Accepted { new: before.is_none() },
            };
            prop_assert_eq!(&outcome, &expected);
            if matches!(outcome, Registered::Accepted { .. }) {
                if let Some((_, old_name)) = known.insert(account, (seq, claim.name.clone())) {
                    owners.remove(&old_name);
                }
                owners.insert(claim.name.clone(), account);
            }
            for name in names {
                prop_assert_eq!(owner(&rows, name), owners.get(name).map(|owner| AccountId([*owner; 32])));
            }
            prop_assert_eq!(Totals::load(&rows).unwrap().accounts, known.len() as u64);
        }
    }
}
