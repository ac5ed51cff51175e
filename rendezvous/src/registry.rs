//! Who has which name: first come, signed, hash-chained. Floor 2, over [`crate::rows`].
//!
//! An account is the hash of its keys, so that "somebody else" is never a matter of
//! opinion: under a taken name, another account is refused whatever it says.

use secure_chat_protocol::id::{AccountId, Timestamp};
use secure_chat_protocol::identity::PublicIdentity;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{Found, Presence, PresenceStatus, Refusal, Response, Who};
use serde::{Deserialize, Serialize};

use crate::limits::{ACCOUNTS_MAX, FOUND_MAX_BYTES};
use crate::rows::{Read, StoreError, Table, Totals, Write, get_row, put_row};

/// What a record says that was verified: its signature is good, and it names the caller's peer id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub account: AccountId,
    /// Their name, folded.
    pub name: String,
    /// The record's place in the account's chain.
    pub seq: u64,
    /// The hash of the record before it.
    pub prev_hash: [u8; 32],
    /// Its own hash.
    pub hash: [u8; 32],
    /// The Ed25519 keys of the peers that it names.
    pub peers: Vec<[u8; 32]>,
    /// Whose keys signed it.
    pub identity: PublicIdentity,
    /// The record as it came.
    pub record: Vec<u8>,
}

/// The row of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRow {
    /// The name, folded.
    pub name: String,
    /// The record's place in the chain.
    pub seq: u64,
    /// The record's hash.
    pub hash: [u8; 32],
    /// The record.
    pub record: Bytes,
    /// When the account came here first.
    pub since: Timestamp,
}

/// What came of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// The record stands.
    Accepted {
        /// The account was not known before.
        new: bool,
    },
    /// It does not.
    Refused(Refusal),
}

/// Folds a name as names are compared: without case. Names are ASCII.
#[must_use]
pub fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Registers or renews a record.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn register(rows: &mut dyn Write, claim: &Claim, now: Timestamp) -> Result<Registered, StoreError> {
    let stored: Option<RecordRow> = get_row(rows, Table::Records, claim.account.as_bytes())?;
    if let Some(stored) = &stored {
        match follows(stored, claim) {
            Follows::Same => return Ok(Registered::Accepted { new: false }),
            Follows::Next => {}
            Follows::No(refusal) => return Ok(Registered::Refused(refusal)),
        }
    }
    if let Some(owner) = rows.get(Table::Names, claim.name.as_bytes())?
        && owner != claim.account.as_bytes()
    {
        return Ok(Registered::Refused(Refusal::NameTaken));
    }
    let new = stored.is_none();
    if new {
        let mut totals = Totals::load(rows)?;
        if totals.accounts >= ACCOUNTS_MAX {
            return Ok(Registered::Refused(Refusal::Full));
        }
        totals.accounts = totals.accounts.saturating_add(1);
        totals.save(rows)?;
    }
    if let Some(old) = stored.as_ref().filter(|old| old.name != claim.name) {
        rows.delete(Table::Names, old.name.as_bytes())?;
    }
    rows.put(Table::Names, claim.name.as_bytes(), claim.account.as_bytes())?;
    let row = RecordRow {
        name: claim.name.clone(),
        seq: claim.seq,
        hash: claim.hash,
        record: Bytes(claim.record.clone()),
        since: stored.map_or(now, |old| old.since),
    };
    put_row(rows, Table::Records, claim.account.as_bytes(), &row)?;
    Ok(Registered::Accepted { new })
}

enum Follows {
    Same,
    Next,
    No(Refusal),
}

/// Whether a claim may take the place of what is stored. A record that is several steps ahead is
/// taken without the steps between, since the account may have registered elsewhere meanwhile:
/// its signature is by the same keys. The step right behind must name the stored one.
fn follows(stored: &RecordRow, claim: &Claim) -> Follows {
    if claim.seq < stored.seq {
        return Follows::No(Refusal::Stale { seq: stored.seq });
    }
    if claim.seq == stored.seq {
        return if claim.record == stored.record.0 {
            Follows::Same
        } else {
            Follows::No(Refusal::Stale { seq: stored.seq })
        };
    }
    if claim.seq == stored.seq.saturating_add(1) && claim.prev_hash != stored.hash {
        return Follows::No(Refusal::Invalid);
    }
    Follows::Next
}

/// Forgets an account, its name and its prekeys.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn unregister(rows: &mut dyn Write, account: &AccountId) -> Result<Response, StoreError> {
    let Some(row) = get_row::<RecordRow>(rows, Table::Records, account.as_bytes())? else { return Ok(Response::Done) };
    rows.delete(Table::Names, row.name.as_bytes())?;
    rows.delete(Table::Records, account.as_bytes())?;
    crate::prekeys::forget(rows, account)?;
    let mut totals = Totals::load(rows)?;
    totals.accounts = totals.accounts.saturating_sub(1);
    totals.save(rows)?;
    Ok(Response::Done)
}

/// Looks people up; the caller adds their addresses and presence.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn lookup(rows: &dyn Read, who: &Who) -> Result<Response, StoreError> {
    match who {
        Who::Name(name) => {
            let owner = rows.get(Table::Names, fold(name).as_bytes())?;
            let account = owner.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(AccountId);
            records(rows, account.as_slice(), false)
        }
        Who::Accounts(accounts) => records(rows, accounts, false),
    }
}

/// The records of `accounts`, as far as they are known here and fit into one answer. `more` says
/// that there are others behind them.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn records(rows: &dyn Read, accounts: &[AccountId], more: bool) -> Result<Response, StoreError> {
    let mut people = Vec::new();
    let mut bytes = 0_usize;
    for account in accounts {
        let Some(row) = get_row::<RecordRow>(rows, Table::Records, account.as_bytes())? else { continue };
        bytes = bytes.saturating_add(row.record.0.len());
        if bytes > FOUND_MAX_BYTES && !people.is_empty() {
            return Ok(Response::Found { people, more: true });
        }
        let presence = Presence { account: *account, status: PresenceStatus::Offline, last_seen: None };
        people.push(Found { record: row.record, addresses: Vec::new(), presence });
    }
    Ok(Response::Found { people, more })
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
