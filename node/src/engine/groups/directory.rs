//! Public groups: listed in the directories of the rendezvous nodes, found and
//! joined there. A directory can list or hide; what it says of a group is signed,
//! and whoever joins judges the group by its signed operations alone.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use secure_chat_protocol::id::{AccountId, GroupId, Timestamp};
use secure_chat_protocol::limits::{LISTING_ADMINS_MAX, LISTING_HOMES_MAX, LISTING_LIFETIME_MAX_MS};
use secure_chat_protocol::listing::{ListedAdmin, ListedJoin, Listing, ListingFields};
use secure_chat_protocol::membership::{About, JoinPolicy, Role, View};
use secure_chat_protocol::record::Record;
use secure_chat_protocol::validate::GroupName;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::group::OtherAdmin;
use secure_chat_protocol::wire::rendezvous::{DirectoryRequest, Found, LISTINGS_MAX, Refusal, Request, Response, Who};

use super::Group;
use crate::api::{ApiError, ErrorKind, GroupFound, GroupJoining, GroupsFound, Reply};
use crate::engine::audit::Severity;
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::engine::work::Work;
use crate::network::{Address, NetworkHandle, RequestError, parse_rendezvous};

/// Answers of one directory that one search reads.
const SEARCH_PAGES_MAX: usize = 4;

const fn listed(join: JoinPolicy) -> ListedJoin {
    match join {
        JoinPolicy::Open => ListedJoin::Open,
        JoinPolicy::Approval => ListedJoin::Approval,
        JoinPolicy::Invite => ListedJoin::Invite,
    }
}

const fn policy(join: ListedJoin) -> JoinPolicy {
    match join {
        ListedJoin::Open => JoinPolicy::Open,
        ListedJoin::Approval => JoinPolicy::Approval,
        ListedJoin::Invite => JoinPolicy::Invite,
    }
}

/// What the directories say of a group that is to be joined.
pub(crate) struct ListedGroup {
    pub(crate) group: GroupId,
    pub(crate) listings: Vec<Bytes>,
    /// Records of the admins that it names.
    pub(crate) people: Vec<Found>,
}

impl Open {
    /// Lists a public group of ours at all homes, or renews its entry there.
    pub(in crate::engine) fn list_group(&mut self, step: &mut Step<'_>, group: GroupId) {
        let Some(held) = self.groups.get(&group).filter(|held| held.is_joined()) else { return };
        let (Some(view), Some(Role::Admin | Role::Owner)) = (held.view(), held.role(&self.me)) else { return };
        if !view.about.public {
            return;
        }
        let Ok(name) = GroupName::parse(&view.about.name) else { return };
        let homes_of = |account: &AccountId| {
            let mut homes = if *account == self.me {
                self.home_addresses()
            } else {
                self.contacts.get(account).map(|contact| contact.homes.clone()).unwrap_or_default()
            };
            homes.truncate(LISTING_HOMES_MAX);
            homes
        };
        // The one who signs is always among those whom one may ask.
        let others = view.admins().into_iter().filter(|account| *account != self.me);
        let admins = std::iter::once(self.me).chain(others).take(LISTING_ADMINS_MAX);
        let fields = ListingFields {
            group,
            name,
            description: view.about.description.clone(),
            join: listed(view.about.join),
            members: u32::try_from(view.members.len()).unwrap_or(u32::MAX),
            admins: admins.map(|account| ListedAdmin { homes: homes_of(&account), account }).collect(),
            // Later entries have higher numbers, whichever admin signs them.
            seq: step.now.0,
            lifetime_ms: LISTING_LIFETIME_MAX_MS,
        };
        match Listing::create(&self.identity, fields, step.now) {
            Ok(listing) => self.publish_listing(step, group, &listing),
            Err(error) => tracing::debug!(%error, "a group can't be listed"),
        }
    }

    fn publish_listing(&self, step: &mut Step<'_>, group: GroupId, listing: &Listing) {
        let (net, homes, me, now) = (self.net.clone(), self.ready_homes(), self.me, step.now);
        let admins = self.groups.get(&group).and_then(Group::view).map(View::admins).unwrap_or_default();
        let listing = Bytes(listing.encoded().to_vec());
        step.work(async move {
            let mut taken = false;
            for home in homes {
                let request = Request::Directory(DirectoryRequest::Publish { listing: listing.clone() });
                let answer = net.rendezvous(home.clone(), request).await;
                // Whoever has just become an admin may come before the entry that names them.
                taken |= matches!(answer, Ok(Response::Refused(Refusal::NameTaken)))
                    && !is_listed_without(&net, home, group, me, &admins, now).await;
            }
            Work::GroupListed { group, taken }
        });
    }

    /// The directories were told of a group; somebody else may have its name there.
    pub(in crate::engine) fn group_listed(&mut self, step: &mut Step<'_>, group: GroupId, taken: bool) {
        if taken && self.groups.contains_key(&group) {
            let text = "A rendezvous node lists another group under this group's name, or under one that looks \
                        like it: there it is not found. Rename it to have it listed.";
            self.alert(step, "group.name_taken", Severity::Warning, Some(group.to_string()), text);
            self.tell_group(step, group);
        }
    }

    /// Public groups of ours are listed anew, after a home became ready and now and then.
    pub(in crate::engine) fn list_groups(&mut self, step: &mut Step<'_>) {
        let groups: Vec<GroupId> = self.groups.keys().copied().collect();
        for group in groups {
            self.list_group(step, group);
        }
    }

    /// Takes a group off the lists, when this account leaves it as the last.
    pub(in crate::engine) fn withdraw_listing(&mut self, step: &mut Step<'_>, group: GroupId) {
        self.tell_homes(step, &Request::Directory(DirectoryRequest::Withdraw { group }));
    }

    /// `groups.search`.
    pub(super) fn search_groups(&mut self, step: &mut Step<'_>, query: String, reply: Reply<GroupsFound>) {
        let (net, homes) = (self.net.clone(), self.ready_homes());
        if homes.is_empty() {
            let text = "No rendezvous node is connected: public groups are found there.";
            return step.reply(reply, Err(ApiError::new(ErrorKind::NotConnected, text)));
        }
        step.work(async move {
            let asked = homes.into_iter().map(|home| search(&net, home, &query));
            let listings = join_all(asked).await.into_iter().flatten().collect();
            Work::GroupsFound { listings, reply }
        });
    }

    /// The directories answered a search: only entries that are signed are shown, of
    /// several for one group the newest.
    pub(in crate::engine) fn groups_found(&mut self, step: &mut Step<'_>, listings: &[Bytes]) -> GroupsFound {
        let mut newest = BTreeMap::<GroupId, Listing>::new();
        let mut forged = false;
        for bytes in listings {
            let Ok(listing) = Listing::decode(&bytes.0, step.now) else {
                forged = true;
                continue;
            };
            if newest.get(&listing.group()).is_none_or(|known| known.seq() < listing.seq()) {
                newest.insert(listing.group(), listing);
            }
        }
        if forged {
            let text = "A rendezvous node listed a group whose entry is not signed as it must be.";
            self.alert(step, "rendezvous.invalid_listing", Severity::Warning, None, text);
        }
        let view = |(group, listing): (&GroupId, &Listing)| GroupFound {
            group_id: group.to_string(),
            name: listing.name().as_str().to_owned(),
            description: listing.description().to_owned(),
            members: listing.members(),
            join: policy(listing.join()),
        };
        GroupsFound { groups: newest.iter().map(view).collect() }
    }

    /// `groups.join` of a group that only the directories know.
    pub(super) fn join_listed(&mut self, step: &mut Step<'_>, name: &str, reply: Reply<GroupJoining>) {
        let homes = self.ready_homes();
        let Ok(group) = name.trim().parse::<GroupId>() else {
            return step.reply(reply, Err(ApiError::not_found("There is no such group.")));
        };
        if homes.is_empty() {
            let text = "You know no such group, and no rendezvous node is connected that could.";
            return step.reply(reply, Err(ApiError::new(ErrorKind::NotConnected, text)));
        }
        let (net, now) = (self.net.clone(), step.now);
        step.work(async move { Work::GroupEntry { listed: look_up(&net, homes, group, now).await, reply } });
    }

    /// The directories answered what they know of a group: asks one of its admins.
    pub(in crate::engine) fn group_entry(
        &mut self,
        step: &mut Step<'_>,
        listed: &ListedGroup,
    ) -> Result<GroupJoining, ApiError> {
        let entries = listed.listings.iter().filter_map(|bytes| Listing::decode(&bytes.0, step.now).ok());
        let entry = entries.filter(|listing| listing.group() == listed.group).max_by_key(Listing::seq);
        let entry = entry.ok_or_else(|| ApiError::not_found("There is no such public group."))?;
        if entry.join() == ListedJoin::Invite {
            return Err(ApiError::new(ErrorKind::NotAllowed, "One joins this group only with an invite."));
        }
        let mut reachable = BTreeSet::new();
        for person in &listed.people {
            let named = Record::decode(&person.record.0).is_ok_and(|record| entry.names(&record.account_id()));
            let Some(account) = named.then(|| self.meet_admin(step, person)).flatten() else { continue };
            reachable.insert((!self.is_connected(account) && person.presence.status == OFFLINE, account));
        }
        // Whoever is online answers at once; else the request waits in a mailbox.
        let via = reachable.first().map(|(_, account)| *account);
        let via = via.ok_or_else(|| ApiError::not_found("None of the group's admins can be found now."))?;
        let about = About {
            name: entry.name().as_str().to_owned(),
            description: entry.description().to_owned(),
            join: policy(entry.join()),
            public: true,
        };
        let asked = self.ask_to_join(step, listed.group, about, via, None)?;
        let others = reachable.into_iter().map(|(_, account)| OtherAdmin { account, home: String::new() });
        self.may_ask(step, listed.group, others.collect());
        Ok(asked)
    }

    /// The roster or the name of a public group has changed: the first of the admins renews its entry.
    pub(super) fn renew_listing(&mut self, step: &mut Step<'_>, group: GroupId, before: &View) {
        let Some(view) = self.groups.get(&group).and_then(Group::view) else { return };
        let changed = view.members.len() != before.members.len() || view.about != before.about;
        if changed && view.about.public && view.admins().first() == Some(&self.me) {
            self.list_group(step, group);
        }
    }
}

const OFFLINE: secure_chat_protocol::wire::rendezvous::PresenceStatus =
    secure_chat_protocol::wire::rendezvous::PresenceStatus::Offline;

/// The entries that one directory has for some words.
pub(super) async fn search(net: &NetworkHandle, home: Address, query: &str) -> Vec<Bytes> {
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..SEARCH_PAGES_MAX {
        let limit = u16::try_from(LISTINGS_MAX).unwrap_or(u16::MAX);
        let request = DirectoryRequest::Search { query: query.to_owned(), after: after.take(), limit };
        let answer: Result<Response, RequestError> = net.rendezvous(home.clone(), Request::Directory(request)).await;
        let Ok(Response::Listings { listings, next }) = answer else { break };
        found.extend(listings);
        after = next;
        if after.is_none() {
            break;
        }
    }
    found
}

/// Whether a directory has the group by the word of another of its admins, who did not know that we
/// are one. Then nobody else has its name.
async fn is_listed_without(
    net: &NetworkHandle,
    home: Address,
    group: GroupId,
    me: AccountId,
    admins: &[AccountId],
    now: Timestamp,
) -> bool {
    let request = Request::Directory(DirectoryRequest::Entry { group });
    let Ok(Response::Listings { listings, .. }) = net.rendezvous(home, request).await else { return false };
    let mut entries = listings.iter().filter_map(|bytes| Listing::decode(&bytes.0, now).ok());
    entries.any(|entry| entry.group() == group && !entry.names(&me) && admins.contains(&entry.author()))
}

/// A group's entries, and the records of the admins that they name.
async fn look_up(net: &NetworkHandle, homes: Vec<Address>, group: GroupId, now: Timestamp) -> ListedGroup {
    let mut listings = Vec::new();
    for home in &homes {
        let request = Request::Directory(DirectoryRequest::Entry { group });
        if let Ok(Response::Listings { listings: found, .. }) = net.rendezvous(home.clone(), request).await {
            listings.extend(found);
        }
    }
    let mut asked = BTreeMap::<String, (Address, bool, BTreeSet<AccountId>)>::new();
    for listing in listings.iter().filter_map(|bytes| Listing::decode(&bytes.0, now).ok()) {
        for admin in listing.admins() {
            let theirs = admin.homes.iter().filter_map(|home| parse_rendezvous(home).ok());
            for home in homes.iter().cloned().chain(theirs) {
                let ours = homes.contains(&home);
                asked.entry(home.to_string()).or_insert_with(|| (home, ours, BTreeSet::new())).2.insert(admin.account);
            }
        }
    }
    let mut people = Vec::new();
    for (home, ours, accounts) in asked.into_values() {
        let request = Request::Lookup(Who::Accounts(accounts.into_iter().collect()));
        if let Ok(Response::Found { people: found, .. }) = net.ask_about(home, ours, request).await {
            people.extend(found);
        }
    }
    ListedGroup { group, listings, people }
}
