use super::*;
use crate::expiry::sweep;
use crate::store::memory::MemoryRows;
use secure_chat_protocol::validate::GroupName;

const ALICE: AccountId = AccountId([1; 32]);
const BOB: AccountId = AccountId([2; 32]);
const MALLORY: AccountId = AccountId([6; 32]);
const LIMITS: DirectoryLimits = DirectoryLimits { groups: 100 };

fn entry(group: u8, name: &str, author: AccountId, seq: u64) -> Entry {
    let looks = GroupName::parse(name).unwrap().looks();
    Entry {
        group: GroupId([group; 32]),
        looks: looks.iter().map(|look| look_key(look)).collect(),
        text: format!("{}\nall about it", name.to_lowercase()),
        admins: vec![author],
        author,
        seq,
        expires: Timestamp(1_000_000),
        hours: 24,
        listing: format!("{group} {name} {seq}").into_bytes(),
    }
}

fn put(rows: &mut MemoryRows, entry: &Entry) -> Response {
    publish(rows, &LIMITS, 0, entry).unwrap()
}

fn found(rows: &MemoryRows, query: &str) -> Vec<String> {
    let search_for = Search {
        words: query.split_whitespace().map(str::to_owned).collect(),
        after: Vec::new(),
        limit: 50,
        now: Timestamp(5),
    };
    match search(rows, &search_for).unwrap() {
        Response::Listings { listings, .. } => {
            listings.iter().map(|listing| String::from_utf8(listing.0.clone()).unwrap()).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_group_is_found_once_by_its_words_in_the_order_of_names() {
    let mut rows = MemoryRows::default();
    for (group, name) in [(1, "Zebras"), (2, "Alice in Wonderland"), (3, "Rust Fans")] {
        assert_eq!(put(&mut rows, &entry(group, name, ALICE, 1)), Response::Done);
    }
    assert_eq!(found(&rows, ""), ["2 Alice in Wonderland 1", "3 Rust Fans 1", "1 Zebras 1"]);
    assert_eq!(found(&rows, "fans rust"), ["3 Rust Fans 1"]);
    assert_eq!(found(&rows, "about"), found(&rows, ""), "descriptions are searched, too");
    assert!(found(&rows, "python").is_empty());
}

#[test]
fn a_name_and_its_look_alikes_are_the_first_group_s() {
    let mut rows = MemoryRows::default();
    put(&mut rows, &entry(1, "Alice", ALICE, 1));
    let taken = Response::Refused(Refusal::NameTaken);
    for name in ["alice", "ALICE", "A1ice", "AIice", "\u{410}lice"] {
        assert_eq!(put(&mut rows, &entry(2, name, MALLORY, 1)), taken, "{name}");
    }
    assert_eq!(put(&mut rows, &entry(2, "Alicia", MALLORY, 1)), Response::Done);
    // A renamed group gives its former name back.
    assert_eq!(put(&mut rows, &entry(1, "Wonderland", ALICE, 2)), Response::Done);
    assert_eq!(put(&mut rows, &entry(3, "A1ice", BOB, 1)), Response::Done);
    assert_eq!(put(&mut rows, &entry(1, "Alice", ALICE, 3)), taken);
    assert_eq!(found(&rows, "wonderland"), ["1 Wonderland 2"], "a refused renewal changes nothing");
}

#[test]
fn only_an_admin_of_the_former_entry_renews_or_withdraws() {
    let mut rows = MemoryRows::default();
    put(&mut rows, &Entry { admins: vec![ALICE, BOB], ..entry(1, "Rust Fans", ALICE, 5) });
    let before = rows.clone();
    // Forged: Mallory names herself, even beside the true admins.
    let forged = Entry { admins: vec![MALLORY, ALICE], ..entry(1, "Rust Fans", MALLORY, 6) };
    assert_eq!(put(&mut rows, &forged), Response::Refused(Refusal::NameTaken));
    assert_eq!(withdraw(&mut rows, &MALLORY, &GroupId([1; 32])).unwrap(), Response::Refused(Refusal::Invalid));
    assert_eq!(put(&mut rows, &entry(1, "Rust Fans!", ALICE, 5)), Response::Refused(Refusal::Stale { seq: 5 }));
    assert_eq!(put(&mut rows, &entry(1, "Rust Fans", ALICE, 5)), Response::Done, "the same again");
    assert_eq!(rows, before);
    // Bob renews and names himself alone: Alice may not any more.
    assert_eq!(put(&mut rows, &entry(1, "Rust Fans", BOB, 6)), Response::Done);
    assert_eq!(put(&mut rows, &entry(1, "Rust Fans", ALICE, 7)), Response::Refused(Refusal::NameTaken));
    assert_eq!(withdraw(&mut rows, &ALICE, &GroupId([1; 32])).unwrap(), Response::Refused(Refusal::Invalid));
    assert_eq!(withdraw(&mut rows, &BOB, &GroupId([1; 32])).unwrap(), Response::Done);
    assert_eq!(withdraw(&mut rows, &BOB, &GroupId([1; 32])).unwrap(), Response::Done);
    assert_eq!(put(&mut rows, &entry(2, "Rust Fans", MALLORY, 1)), Response::Done);
}

#[test]
fn an_entry_ends_with_its_time_unless_it_was_renewed() {
    let mut rows = MemoryRows::default();
    put(&mut rows, &entry(1, "Rust Fans", ALICE, 1));
    publish(&mut rows, &LIMITS, 10, &entry(1, "Rust Fans", ALICE, 2)).unwrap();
    assert_eq!(sweep(&mut rows, 24).unwrap().listings, 0);
    assert_eq!(found(&rows, ""), ["1 Rust Fans 2"]);
    assert_eq!(sweep(&mut rows, 34).unwrap().listings, 1);
    for table in [Table::Listings, Table::ListingNames, Table::ListingOwners, Table::Expiry] {
        assert_eq!(rows.count(table), 0, "{table:?}");
    }
    assert_eq!(ServiceTotals::load(&rows).unwrap(), ServiceTotals::default());
}

#[test]
fn an_entry_that_is_over_by_the_wall_clock_is_not_shown_and_its_name_not_free() {
    let mut rows = MemoryRows::default();
    put(&mut rows, &Entry { expires: Timestamp(5), ..entry(1, "Rust Fans", ALICE, 1) });
    assert!(found(&rows, "").is_empty());
    assert_eq!(
        super::entry(&rows, &GroupId([1; 32]), Timestamp(5)).unwrap(),
        Response::Listings { listings: vec![], next: None }
    );
    // A clock that jumps ahead gives nobody's name away.
    assert_eq!(put(&mut rows, &entry(2, "Rust Fans", MALLORY, 1)), Response::Refused(Refusal::NameTaken));
}

#[test]
fn quotas_hold_under_a_flood() {
    let mut rows = MemoryRows::default();
    let publish_all = |rows: &mut MemoryRows, author: AccountId, from: u8| {
        let listed = |n: &u8| put(rows, &entry(*n, &format!("group number {n}"), author, 1)) == Response::Done;
        (from..from + 80).filter(listed).count()
    };
    assert_eq!(publish_all(&mut rows, MALLORY, 0), LISTINGS_PER_ACCOUNT);
    assert_eq!(publish_all(&mut rows, ALICE, 80), LISTINGS_PER_ACCOUNT);
    assert_eq!(publish_all(&mut rows, BOB, 160), LISTINGS_PER_ACCOUNT);
    let full = publish(&mut rows, &DirectoryLimits { groups: 96 }, 0, &entry(255, "one more", AccountId([9; 32]), 1));
    assert_eq!(full.unwrap(), Response::Refused(Refusal::Full));
}

#[test]
fn a_search_looks_at_a_bounded_number_and_goes_on_to_the_end() {
    let mut rows = MemoryRows::default();
    for n in 0_u16..300 {
        let mut one = entry(1, &format!("group number {n}"), AccountId([n as u8; 32]), 1);
        one.group.0[..2].copy_from_slice(&n.to_le_bytes());
        publish(&mut rows, &DirectoryLimits { groups: 1_000 }, 0, &one).unwrap();
    }
    let (mut after, mut seen, mut pages) = (Vec::new(), 0, 0);
    loop {
        let asked = Search { words: vec![], after, limit: 50, now: Timestamp(0) };
        let Response::Listings { listings, next } = search(&rows, &asked).unwrap() else { panic!() };
        assert!(listings.len() <= 50);
        (seen, pages) = (seen + listings.len(), pages + 1);
        match next {
            Some(next) => after = next.0,
            None => break,
        }
    }
    assert_eq!((seen, pages), (300, 6));
}

#[test]
fn a_cursor_made_up_by_a_stranger_does_no_harm() {
    let mut rows = MemoryRows::default();
    put(&mut rows, &entry(1, "Rust Fans", ALICE, 1));
    for after in [vec![0xff; 512], vec![0xff], vec![0], vec![0xfe; 100]] {
        let asked = Search { words: vec![], after, limit: 50, now: Timestamp(0) };
        assert!(search(&rows, &asked).is_ok());
    }
}

#[test]
fn a_long_name_has_a_short_key_of_its_own() {
    let long = "\u{fdfa}".repeat(60);
    let (one, other) = (look_key(&long), look_key(&format!("{}a", &long[..177])));
    assert!(one.len() <= LISTING_KEY_MAX_BYTES && one != other);
}
