use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::limits::DAY_MS;

const HOME: &str = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
const NOW: Timestamp = Timestamp(1_000 * DAY_MS);

fn person(seed: u64) -> IdentityKeyPair {
    IdentityKeyPair::generate(&mut ChaCha20Rng::seed_from_u64(seed), Timestamp(0))
}

fn fields(author: &IdentityKeyPair) -> ListingFields {
    ListingFields {
        group: GroupId([9; 32]),
        name: GroupName::parse("Rust Fans").unwrap(),
        description: "Ferris and friends".into(),
        join: ListedJoin::Approval,
        members: 3,
        admins: vec![ListedAdmin { account: author.account_id(), homes: vec![HOME.into()] }],
        seq: 1,
        lifetime_ms: 7 * DAY_MS,
    }
}

/// An entry as a hostile program would sign it.
fn signed(change: impl FnOnce(&mut ListingIn)) -> Result<Listing, ListingError> {
    let alice = person(1);
    let mut wire = Listing::create(&alice, fields(&alice), NOW).unwrap().wire;
    change(&mut wire);
    wire.signature = Fixed([0; 64]);
    let encoded = codec::encode(&wire, 1 << 20).unwrap();
    wire.signature = alice.sign(Purpose::DirectoryEntry, &[&encoded[..encoded.len() - 64]]).to_wire();
    wire.verify(NOW)
}

#[test]
fn an_entry_says_whom_to_ask() {
    let alice = person(1);
    let entry = Listing::create(&alice, fields(&alice), NOW).unwrap();
    let received = Listing::decode(entry.encoded(), NOW.plus_ms(6 * DAY_MS)).unwrap();
    assert_eq!(received, entry);
    assert!(received.names(&alice.account_id()) && !received.names(&person(2).account_id()));
    assert_eq!((received.author(), received.members(), received.seq()), (alice.account_id(), 3, 1));
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let alice = person(1);
    let bytes = Listing::create(&alice, fields(&alice), NOW).unwrap().encoded().to_vec();
    for at in 0..bytes.len() {
        assert!(Listing::decode(&bytes[..at], NOW).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(Listing::decode(&changed, NOW).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_signed_entry_that_breaks_a_rule_is_refused() {
    assert!(signed(|_| ()).is_ok());
    assert_eq!(signed(|wire| wire.version = 2), Err(ListingError::Version(2)));
    assert!(matches!(signed(|wire| wire.name = "a\u{202e}b".into()), Err(ListingError::Name(_))));
    assert!(matches!(signed(|wire| wire.description = "a".repeat(1_025)), Err(ListingError::Description(_))));
    assert_eq!(signed(|wire| wire.admins.clear()), Err(ListingError::Bounds));
    assert_eq!(signed(|wire| wire.admins.push(wire.admins[0].clone())), Err(ListingError::Bounds));
    assert_eq!(signed(|wire| wire.admins[0].account = person(2).account_id()), Err(ListingError::Bounds));
    assert_eq!(signed(|wire| wire.admins[0].homes = vec![HOME.into(); 4]), Err(ListingError::Bounds));
    assert!(matches!(signed(|wire| wire.admins[0].homes = vec!["/memory/1".into()]), Err(ListingError::Address(_))));
    assert_eq!(signed(|wire| wire.seq = 0), Err(ListingError::Bounds));
    assert_eq!(signed(|wire| wire.members = 0), Err(ListingError::Bounds));
    let mallory = person(2).public().to_wire();
    assert_eq!(signed(|wire| wire.author = mallory), Err(ListingError::Bounds));
}

#[test]
fn an_entry_ends_and_none_lives_for_ever() {
    let alice = person(1);
    let entry = Listing::create(&alice, fields(&alice), NOW).unwrap();
    let at = |now| Listing::decode(entry.encoded(), now).map(|_| ());
    assert_eq!(at(NOW.plus_ms(7 * DAY_MS)), Err(ListingError::Time));
    assert_eq!(at(Timestamp(NOW.0 - DAY_MS - 1)), Err(ListingError::Time), "from the future");
    let endless = ListingFields { lifetime_ms: 31 * DAY_MS, ..fields(&alice) };
    assert_eq!(Listing::create(&alice, endless, NOW), Err(ListingError::Time));
}

#[test]
fn a_list_that_is_too_long_is_refused_before_it_is_allocated() {
    let alice = person(1);
    let mut wire = Listing::create(&alice, fields(&alice), NOW).unwrap().wire;
    wire.admins = vec![ListedAdmin { account: AccountId([1; 32]), homes: vec![] }; 9];
    let encoded = codec::encode(&wire, 1 << 20).unwrap();
    assert!(matches!(ListingIn::decode(&encoded), Err(ListingError::Decode(_))));
}
