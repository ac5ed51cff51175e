use secure_chat_protocol::id::GroupId;
use secure_chat_protocol::limits::DAY_MS;
use secure_chat_protocol::listing::{ListedAdmin, ListedJoin, Listing, ListingFields};
use secure_chat_protocol::validate::GroupName;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{DirectoryRequest, Refusal, Request, Response};

use crate::start;
use crate::support::{Client, Person, loopback_node, memory_node, now, refused, stranger};

fn listing(author: &Person, group: u8, name: &str, seq: u64, others: &[&Person]) -> Listing {
    let admins = [author].into_iter().chain(others.iter().copied());
    let fields = ListingFields {
        group: GroupId([group; 32]),
        name: GroupName::parse(name).unwrap(),
        description: "Ferris and friends".into(),
        join: ListedJoin::Approval,
        members: 3,
        admins: admins.map(|admin| ListedAdmin { account: admin.account(), homes: vec![] }).collect(),
        seq,
        lifetime_ms: 7 * DAY_MS,
    };
    Listing::create(&author.identity, fields, now()).unwrap()
}

fn publish(listing: &Listing) -> Request {
    Request::Directory(DirectoryRequest::Publish { listing: Bytes(listing.encoded().to_vec()) })
}

fn search(query: &str) -> Request {
    Request::Directory(DirectoryRequest::Search { query: query.into(), after: None, limit: 50 })
}

async fn found(client: &Client, query: &str) -> Vec<String> {
    match client.ask(&search(query)).await {
        Response::Listings { listings, next: None } => {
            let name = |bytes: &Bytes| Listing::decode(&bytes.0, now()).unwrap().name().to_string();
            listings.iter().map(name).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_listed_group_is_found_by_others_and_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let (node, address) = start(loopback_node(directory.path())).await;
    let alices = alice.join(&address).await;
    let entry = listing(&alice, 1, "Rust Fans", 1, &[]);
    assert_eq!(alices.ask(&publish(&entry)).await, Response::Done);
    node.abort().await;

    let (_node, address) = start(loopback_node(directory.path())).await;
    let bobs = bob.join(&address).await;
    assert_eq!(found(&bobs, "rust ferris").await, ["Rust Fans"]);
    let of = Request::Directory(DirectoryRequest::Entry { group: GroupId([1; 32]) });
    let Response::Listings { listings, .. } = bobs.ask(&of).await else { panic!() };
    assert_eq!(listings, [Bytes(entry.encoded().to_vec())], "as it was signed");
    let withdraw = Request::Directory(DirectoryRequest::Withdraw { group: GroupId([1; 32]) });
    assert_eq!(bobs.ask(&withdraw).await, refused(Refusal::Invalid));
    assert_eq!(alice.join(&address).await.ask(&withdraw).await, Response::Done);
    assert!(found(&bobs, "").await.is_empty());
}

#[tokio::test]
async fn entries_that_are_forged_stolen_or_squat_on_a_name_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, mallory) = (Person::new("alice", 1), Person::new("mallory", 6));
    let (_node, address) = start(memory_node(directory.path())).await;
    let (alices, mallorys) = (alice.join(&address).await, mallory.join(&address).await);
    let entry = listing(&alice, 1, "Rust Fans", 1, &[]);
    assert_eq!(mallorys.ask(&publish(&entry)).await, refused(Refusal::Invalid), "another's entry");
    assert_eq!(alices.ask(&publish(&entry)).await, Response::Done);
    // Mallory's own entry for Alice's group, or under a name that looks like hers.
    assert_eq!(mallorys.ask(&publish(&listing(&mallory, 1, "Other", 2, &[&alice]))).await, refused(Refusal::NameTaken));
    let squat = listing(&mallory, 2, "Rust F\u{430}ns", 1, &[]);
    assert_eq!(mallorys.ask(&publish(&squat)).await, refused(Refusal::NameTaken));
    let mut changed = entry.encoded().to_vec();
    changed[40] ^= 1;
    let changed = Request::Directory(DirectoryRequest::Publish { listing: Bytes(changed) });
    assert_eq!(alices.ask(&changed).await, refused(Refusal::Invalid));
    // An older entry of her own does not come back.
    assert_eq!(alices.ask(&publish(&listing(&alice, 1, "Rust Fans", 2, &[&mallory]))).await, Response::Done);
    assert_eq!(alices.ask(&publish(&entry)).await, refused(Refusal::Stale { seq: 2 }));
    // Now that Mallory is named, she may renew.
    assert_eq!(mallorys.ask(&publish(&listing(&mallory, 1, "Rust Fans", 3, &[&alice]))).await, Response::Done);
    assert_eq!(found(&alices, "").await, ["Rust Fans"]);
}

#[tokio::test]
async fn who_is_not_registered_neither_lists_nor_searches_and_searching_is_limited() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(memory_node(directory.path())).await;
    let nobody = Client::connect(stranger(1), &address).await;
    assert_eq!(nobody.ask(&search("")).await, refused(Refusal::NotRegistered));
    let alice = Person::new("alice", 1);
    let entry = listing(&alice, 1, "Rust Fans", 1, &[]);
    assert_eq!(nobody.ask(&publish(&entry)).await, refused(Refusal::NotRegistered));
    let alices = alice.join(&address).await;
    let mut slowed = 0;
    for _ in 0..150 {
        if let Response::Refused(Refusal::SlowDown { retry_after_ms: 1.. }) = alices.ask(&search("x")).await {
            slowed += 1;
        }
    }
    assert!(slowed > 20, "{slowed} of 150 searches at once were slowed down");
    let long = search(&"x".repeat(201));
    let answer = Person::new("bob", 2).join(&address).await.ask(&long).await;
    assert_eq!(answer, refused(Refusal::Invalid));
}
