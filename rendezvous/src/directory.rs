//! The directory of public groups. Floor 2, over [`crate::rows`].
//!
//! A name is the first group's that takes it, and so are names that a person may take for it. An
//! entry is renewed by any admin that the former entry names. It is deleted when its time is over
//! by the node's own running time; who searches sees none that is over by the wall clock either.

use std::ops::ControlFlow;

use secure_chat_protocol::crypto::kdf;
use secure_chat_protocol::id::{AccountId, GroupId, Timestamp};
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{Refusal, Response};
use serde::{Deserialize, Serialize};

use crate::limits::{LISTING_KEY_MAX_BYTES, LISTINGS_PER_ACCOUNT, SEARCH_MAX_ROWS};
use crate::rows::{Expiring, Read, ServiceTotals, StoreError, Table, Totals, Write, get_row, key, put_row};

/// An entry that the door has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which group.
    pub group: GroupId,
    /// What its name looks like, in one or two forms, as keys.
    pub looks: Vec<Vec<u8>>,
    /// Name and description in lower case: what is searched.
    pub text: String,
    /// Accounts that may renew or withdraw it.
    pub admins: Vec<AccountId>,
    /// Who signed it: the account that the connection speaks for.
    pub author: AccountId,
    /// Its number.
    pub seq: u64,
    /// When it ends, by the wall clock.
    pub expires: Timestamp,
    /// Hours until then.
    pub hours: u64,
    /// The entry as it came.
    pub listing: Vec<u8>,
}

/// The row of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ListingRow {
    looks: Vec<Bytes>,
    text: String,
    admins: Vec<AccountId>,
    /// Who listed it first: whose quota it counts for.
    publisher: AccountId,
    seq: u64,
    expires: Timestamp,
    listing: Bytes,
}

/// The row of one look of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct NameRow {
    group: GroupId,
    /// The form that searches go by, so that a group is found once.
    first: bool,
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// In lower case; all of them must occur.
    pub words: Vec<String>,
    /// Behind this key.
    pub after: Vec<u8>,
    /// At most so many.
    pub limit: usize,
    /// Entries that are over by then are not shown.
    pub now: Timestamp,
}

/// How much a node lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryLimits {
    /// Groups in all.
    pub groups: u64,
}

/// Behind every key: they begin as UTF-8 does.
const BEHIND_ALL: &[u8] = &[0xff];

/// The key of a look: itself, or its beginning and its hash when it is long.
#[must_use]
pub fn look_key(look: &str) -> Vec<u8> {
    let bytes = look.as_bytes();
    if bytes.len() <= LISTING_KEY_MAX_BYTES {
        return bytes.to_vec();
    }
    let kept = bytes.get(..LISTING_KEY_MAX_BYTES.saturating_sub(32)).unwrap_or_default();
    key(&[kept, &kdf::sha256(bytes)])
}

/// Lists a group or renews its entry.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn publish(
    rows: &mut dyn Write,
    limits: &DirectoryLimits,
    now_hour: u64,
    entry: &Entry,
) -> Result<Response, StoreError> {
    let stored: Option<ListingRow> = get_row(rows, Table::Listings, entry.group.as_bytes())?;
    if let Some(stored) = &stored {
        if stored.listing.0 == entry.listing {
            return Ok(Response::Done);
        }
        // By the former entry's word, not by its own: else anybody could name themselves.
        if !stored.admins.contains(&entry.author) {
            return Ok(Response::Refused(Refusal::NameTaken));
        }
        if entry.seq <= stored.seq {
            return Ok(Response::Refused(Refusal::Stale { seq: stored.seq }));
        }
    }
    for look in &entry.looks {
        let owner: Option<NameRow> = get_row(rows, Table::ListingNames, look)?;
        if owner.is_some_and(|owner| owner.group != entry.group) {
            return Ok(Response::Refused(Refusal::NameTaken));
        }
    }
    let publisher = stored.as_ref().map_or(entry.author, |stored| stored.publisher);
    let mut services = ServiceTotals::load(rows)?;
    match &stored {
        Some(stored) => remove_names(rows, stored)?,
        None if services.listings >= limits.groups || listed_by(rows, &publisher)? >= LISTINGS_PER_ACCOUNT => {
            return Ok(Response::Refused(Refusal::Full));
        }
        None => services.listings = services.listings.saturating_add(1),
    }
    for (number, look) in entry.looks.iter().enumerate() {
        put_row(rows, Table::ListingNames, look, &NameRow { group: entry.group, first: number == 0 })?;
    }
    let row = ListingRow {
        looks: entry.looks.iter().cloned().map(Bytes).collect(),
        text: entry.text.clone(),
        admins: entry.admins.clone(),
        publisher,
        seq: entry.seq,
        expires: entry.expires,
        listing: Bytes(entry.listing.clone()),
    };
    put_row(rows, Table::Listings, entry.group.as_bytes(), &row)?;
    rows.put(Table::ListingOwners, &key(&[publisher.as_bytes(), entry.group.as_bytes()]), &[])?;
    services.save(rows)?;
    let mut totals = Totals::load(rows)?;
    let expiring = Expiring::Listing { group: entry.group, seq: entry.seq };
    totals.expire(rows, now_hour.saturating_add(entry.hours), &expiring)?;
    totals.save(rows)?;
    Ok(Response::Done)
}

fn listed_by(rows: &dyn Read, publisher: &AccountId) -> Result<usize, StoreError> {
    let mut count = 0_usize;
    let (first, last) = (key(&[publisher.as_bytes(), &[0; 32]]), key(&[publisher.as_bytes(), &[0xff; 32]]));
    rows.range(Table::ListingOwners, &first, &last, &mut |_, _| {
        count = count.saturating_add(1);
        if count >= LISTINGS_PER_ACCOUNT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(count)
}

fn remove_names(rows: &mut dyn Write, row: &ListingRow) -> Result<(), StoreError> {
    for look in &row.looks {
        rows.delete(Table::ListingNames, &look.0)?;
    }
    Ok(())
}

fn remove(
    rows: &mut dyn Write,
    services: &mut ServiceTotals,
    group: &GroupId,
    row: &ListingRow,
) -> Result<(), StoreError> {
    remove_names(rows, row)?;
    rows.delete(Table::Listings, group.as_bytes())?;
    rows.delete(Table::ListingOwners, &key(&[row.publisher.as_bytes(), group.as_bytes()]))?;
    services.listings = services.listings.saturating_sub(1);
    Ok(())
}

/// Takes a group off the list, if `account` may.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn withdraw(rows: &mut dyn Write, account: &AccountId, group: &GroupId) -> Result<Response, StoreError> {
    let Some(row) = get_row::<ListingRow>(rows, Table::Listings, group.as_bytes())? else {
        return Ok(Response::Done);
    };
    if !row.admins.contains(account) {
        return Ok(Response::Refused(Refusal::Invalid));
    }
    let mut services = ServiceTotals::load(rows)?;
    remove(rows, &mut services, group, &row)?;
    services.save(rows)?;
    Ok(Response::Done)
}

/// Deletes an entry whose time has come, unless it was renewed. Answers whether it was deleted.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn expire(
    rows: &mut dyn Write,
    services: &mut ServiceTotals,
    group: &GroupId,
    seq: u64,
) -> Result<bool, StoreError> {
    let Some(row) = get_row::<ListingRow>(rows, Table::Listings, group.as_bytes())? else { return Ok(false) };
    if row.seq != seq {
        return Ok(false);
    }
    remove(rows, services, group, &row)?;
    Ok(true)
}

/// The entry of one group, if it is listed.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn entry(rows: &dyn Read, group: &GroupId, now: Timestamp) -> Result<Response, StoreError> {
    let row: Option<ListingRow> = get_row(rows, Table::Listings, group.as_bytes())?;
    let listings = row.filter(|row| row.expires > now).map(|row| row.listing).into_iter().collect();
    Ok(Response::Listings { listings, next: None })
}

/// Searches, in the order of names. Looks at a bounded number of entries at once: an answer may
/// hold fewer than were asked for, and still name where to go on.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn search(rows: &dyn Read, search: &Search) -> Result<Response, StoreError> {
    let mut keys: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut more = false;
    if search.after.as_slice() >= BEHIND_ALL {
        return Ok(Response::Listings { listings: Vec::new(), next: None });
    }
    rows.range(Table::ListingNames, &search.after, BEHIND_ALL, &mut |key, value| {
        if key == search.after.as_slice() {
            return ControlFlow::Continue(());
        }
        if keys.len() >= SEARCH_MAX_ROWS {
            more = true;
            return ControlFlow::Break(());
        }
        keys.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    let mut listings = Vec::new();
    let mut last = None;
    for (key, value) in keys {
        if listings.len() >= search.limit {
            more = true;
            break;
        }
        let name: NameRow = crate::rows::decode_row(Table::ListingNames, &value)?;
        last = Some(Bytes(key));
        if !name.first {
            continue;
        }
        let row: Option<ListingRow> = get_row(rows, Table::Listings, name.group.as_bytes())?;
        let fits =
            |row: &ListingRow| row.expires > search.now && search.words.iter().all(|word| row.text.contains(word));
        listings.extend(row.filter(fits).map(|row| row.listing));
    }
    Ok(Response::Listings { listings, next: if more { last } else { None } })
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
