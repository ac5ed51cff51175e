//! A directory that lies: it can hide a group, list it, or spoil what is said of it. It
//! can't rename it unnoticed, join it, or make anybody believe that they are in it.

use std::sync::{Arc, Mutex};

use secure_chat_node::api::{ErrorKind, Event, GroupState, JoinPolicy};
use secure_chat_protocol::limits::LISTING_LIFETIME_MAX_MS;
use secure_chat_protocol::listing::{ListedAdmin, ListedJoin, Listing, ListingFields};
use secure_chat_protocol::validate::GroupName;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{DirectoryRequest, Request, Response, Who};

use super::{Invented, LyingNode, alerted, now, strangers};

/// What the directory does with what it was told.
type Spoil = fn(&[Bytes], &Invented) -> Vec<Bytes>;

/// Keeps what is published, and answers with what `spoil` makes of it. Asked for the
/// invented admin, it knows them.
fn lists(node: &LyingNode, kept: &Arc<Mutex<Vec<Bytes>>>, spoil: Spoil) {
    let (kept, mallory) = (kept.clone(), Invented::new());
    node.lies(move |request, honest, _| match request {
        Request::Directory(DirectoryRequest::Publish { listing }) => {
            *kept.lock().unwrap() = vec![listing.clone()];
            Response::Done
        }
        Request::Directory(DirectoryRequest::Search { .. } | DirectoryRequest::Entry { .. }) => {
            Response::Listings { listings: spoil(&kept.lock().unwrap(), &mallory), next: None }
        }
        Request::Lookup(Who::Accounts(accounts)) if accounts.contains(&mallory.identity.account_id()) => {
            mallory.found("mallory")
        }
        _ => honest,
    });
}

fn honest(kept: &[Bytes], _: &Invented) -> Vec<Bytes> {
    kept.to_vec()
}

fn hides(_: &[Bytes], _: &Invented) -> Vec<Bytes> {
    Vec::new()
}

fn renames(kept: &[Bytes], _: &Invented) -> Vec<Bytes> {
    let rename = |listing: &Bytes| {
        let name = listing.0.windows(6).position(|window| window == b"Hikers").unwrap();
        let mut bytes = listing.0.clone();
        bytes[name..name + 6].copy_from_slice(b"Bikers");
        Bytes(bytes)
    };
    kept.iter().map(rename).collect()
}

/// A newer entry for the group, signed by somebody who says to be its admin.
fn usurps(kept: &[Bytes], mallory: &Invented) -> Vec<Bytes> {
    let usurp = |listing: &Bytes| {
        let known = Listing::decode(&listing.0, now()).unwrap();
        let fields = ListingFields {
            group: known.group(),
            name: GroupName::parse("Hikers").unwrap(),
            description: String::new(),
            join: ListedJoin::Open,
            members: 1,
            admins: vec![ListedAdmin { account: mallory.identity.account_id(), homes: Vec::new() }],
            seq: known.seq() + 1,
            lifetime_ms: LISTING_LIFETIME_MAX_MS,
        };
        Bytes(Listing::create(&mallory.identity, fields, now()).unwrap().encoded().to_vec())
    };
    kept.iter().map(usurp).collect()
}

#[tokio::test]
async fn a_directory_can_hide_a_group_and_not_rename_it_unnoticed() {
    let (_net, node, alice, mut bob) = strangers().await;
    let kept = Arc::new(Mutex::new(Vec::new()));
    lists(&node, &kept, honest);
    let made = alice.handle().unwrap().groups_create("Hikers", None::<String>, true, JoinPolicy::Open).await.unwrap();
    let seeker = bob.handle().unwrap().clone();
    while seeker.groups_search("hikers").await.unwrap().groups.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    lists(&node, &kept, hides);
    assert!(seeker.groups_search("hikers").await.unwrap().groups.is_empty());
    let refused = seeker.groups_join(Some(made.group_id.clone()), None::<String>).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NotFound);
    lists(&node, &kept, renames);
    assert!(seeker.groups_search("bikers").await.unwrap().groups.is_empty());
    alerted(&mut bob, "rendezvous.invalid_listing").await;
    lists(&node, &kept, honest);
    seeker.groups_join(Some(made.group_id), None::<String>).await.unwrap();
    bob.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_names_an_admin_of_its_own_gets_nobody_in_and_reads_nothing() {
    let (_net, node, alice, bob) = strangers().await;
    let kept = Arc::new(Mutex::new(Vec::new()));
    lists(&node, &kept, honest);
    let owner = alice.handle().unwrap();
    let made = owner.groups_create("Hikers", None::<String>, true, JoinPolicy::Open).await.unwrap();
    let seeker = bob.handle().unwrap().clone();
    while seeker.groups_search("hikers").await.unwrap().groups.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    lists(&node, &kept, usurps);
    seeker.groups_join(Some(made.group_id.clone()), None::<String>).await.unwrap();
    let row = seeker.groups_list().await.unwrap().groups.remove(0);
    assert_eq!(row.state, GroupState::Pending, "whoever was named is no admin, and lets nobody in");
    let refused = seeker.groups_send(made.group_id.clone(), "hello?", None::<String>).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NotAllowed);
    assert_eq!(owner.groups_members(made.group_id).await.unwrap().members.len(), 1);
}
