//! Prekey bundles: each one-time kit is handed out once. Floor 2, over [`crate::rows`].

use std::ops::ControlFlow;

use secure_chat_protocol::id::{AccountId, PreKeyId};
use secure_chat_protocol::limits::KITS_MAX;
use secure_chat_protocol::wire::codec::Bytes;
use serde::{Deserialize, Serialize};

use crate::limits::KIT_IDS_KEEP_HOURS;
use crate::rows::{Expiring, Read, StoreError, Table, Totals, Write, get_row, key, put_row};

/// Bytes before a kit in its row: its id.
const ID_BYTES: usize = 16;

/// The row of one account's prekeys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreKeyRow {
    /// The encoded signed prekey.
    pub signed: Bytes,
    /// Number of the next kit.
    pub next: u64,
    /// Kits that are there.
    pub left: u32,
}

/// A checked one-time kit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKit {
    /// Its owner's name for it.
    pub id: PreKeyId,
    /// Its encoding.
    pub kit: Vec<u8>,
}

/// What is handed out for one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// The encoded signed prekey.
    pub signed: Vec<u8>,
    /// The encoded kit, when one was left.
    pub kit: Option<Vec<u8>>,
    /// Kits that are left.
    pub left: u32,
}

fn kit_key(account: &AccountId, number: u64) -> Vec<u8> {
    key(&[account.as_bytes(), &number.to_be_bytes()])
}

fn load(rows: &dyn Read, account: &AccountId) -> Result<Option<PreKeyRow>, StoreError> {
    get_row(rows, Table::PreKeys, account.as_bytes())
}

/// One-time kits that are left for an account.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn left(rows: &dyn Read, account: &AccountId) -> Result<u32, StoreError> {
    Ok(load(rows, account)?.map_or(0, |row| row.left))
}

/// Publishes a signed prekey and adds kits, up to [`KITS_MAX`]; those beyond it are not taken, nor
/// those that are here or were handed out: an owner who did not hear the answer publishes them again,
/// when some may be gone already. `replace` first forgets the kits that were not handed out, so that
/// they may come again with it. Answers how many are there now.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn publish(
    rows: &mut dyn Write,
    now_hour: u64,
    account: &AccountId,
    signed: &[u8],
    kits: &[NamedKit],
    replace: bool,
) -> Result<u32, StoreError> {
    let mut row = load(rows, account)?.unwrap_or_default();
    let mut totals = Totals::load(rows)?;
    if replace {
        totals.kits = totals.kits.saturating_sub(delete_kits(rows, account)?);
        row.left = 0;
    }
    for NamedKit { id, kit } in kits {
        if row.left as usize >= KITS_MAX {
            break;
        }
        let known = key(&[account.as_bytes(), id.as_bytes()]);
        if rows.get(Table::KitIds, &known)?.is_some() {
            continue;
        }
        rows.put(Table::KitIds, &known, &[])?;
        let forgotten = now_hour.saturating_add(KIT_IDS_KEEP_HOURS);
        totals.expire(rows, forgotten, &Expiring::Kit { account: *account, id: *id })?;
        rows.put(Table::Kits, &kit_key(account, row.next), &key(&[id.as_bytes(), kit]))?;
        row.next = row.next.saturating_add(1);
        row.left = row.left.saturating_add(1);
        totals.kits = totals.kits.saturating_add(1);
    }
    row.signed = Bytes(signed.to_vec());
    put_row(rows, Table::PreKeys, account.as_bytes(), &row)?;
    totals.save(rows)?;
    Ok(row.left)
}

/// Takes the prekeys of an account, with a kit when one is left and `with_kit` is set. The kit is
/// gone when this change is durable: the caller hands it out afterwards.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn take(rows: &mut dyn Write, account: &AccountId, with_kit: bool) -> Result<Option<Handed>, StoreError> {
    let Some(mut row) = load(rows, account)? else { return Ok(None) };
    let mut first: Option<(Vec<u8>, Vec<u8>)> = None;
    if with_kit {
        rows.range(Table::Kits, &kit_key(account, 0), &kit_key(account, u64::MAX), &mut |key, kit| {
            // Its id stays known, so that it is never handed out again.
            first = kit.get(ID_BYTES..).map(|kit| (key.to_vec(), kit.to_vec()));
            ControlFlow::Break(())
        })?;
    }
    let mut handed = Handed { signed: row.signed.0.clone(), kit: None, left: row.left };
    if let Some((key, kit)) = first {
        rows.delete(Table::Kits, &key)?;
        row.left = row.left.saturating_sub(1);
        put_row(rows, Table::PreKeys, account.as_bytes(), &row)?;
        let mut totals = Totals::load(rows)?;
        totals.kits = totals.kits.saturating_sub(1);
        totals.save(rows)?;
        handed.kit = Some(kit);
        handed.left = row.left;
    }
    Ok(Some(handed))
}

/// Forgets the prekeys of an account.
///
/// # Errors
/// [`StoreError`] when the storage fails.
pub fn forget(rows: &mut dyn Write, account: &AccountId) -> Result<(), StoreError> {
    let gone = delete_kits(rows, account)?;
    rows.delete(Table::PreKeys, account.as_bytes())?;
    let mut totals = Totals::load(rows)?;
    totals.kits = totals.kits.saturating_sub(gone);
    totals.save(rows)
}

/// Deletes the kits that were not handed out, and forgets that they were here.
fn delete_kits(rows: &mut dyn Write, account: &AccountId) -> Result<u64, StoreError> {
    let mut kits: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    rows.range(Table::Kits, &kit_key(account, 0), &kit_key(account, u64::MAX), &mut |number, kit| {
        let id = kit.get(..ID_BYTES).unwrap_or_default();
        kits.push((number.to_vec(), key(&[account.as_bytes(), id])));
        ControlFlow::Continue(())
    })?;
    for (number, id) in &kits {
        rows.delete(Table::Kits, number)?;
        rows.delete(Table::KitIds, id)?;
    }
    Ok(kits.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryRows;

    const ALICE: AccountId = AccountId([1; 32]);
    const BOB: AccountId = AccountId([2; 32]);

    fn kit(n: u8) -> NamedKit {
        NamedKit { id: PreKeyId([n; 16]), kit: vec![n] }
    }

    #[test]
    fn each_kit_is_handed_out_once_and_the_signed_prekey_remains() {
        let mut rows = MemoryRows::default();
        let kits: Vec<NamedKit> = (0..3).map(kit).collect();
        assert_eq!(publish(&mut rows, 0, &ALICE, b"signed", &kits, false).unwrap(), 3);
        let mut seen = Vec::new();
        while let Some(kit) = take(&mut rows, &ALICE, true).unwrap().unwrap().kit {
            assert!(!seen.contains(&kit), "kit {kit:?} came twice");
            seen.push(kit);
        }
        assert_eq!(seen, vec![vec![0], vec![1], vec![2]], "oldest first");
        let last = take(&mut rows, &ALICE, true).unwrap().unwrap();
        assert_eq!((last.signed.as_slice(), last.kit, last.left), (b"signed".as_slice(), None, 0));
        assert_eq!(Totals::load(&rows).unwrap().kits, 0);
    }

    #[test]
    fn kits_of_one_account_are_not_taken_for_another() {
        let mut rows = MemoryRows::default();
        publish(&mut rows, 0, &ALICE, b"a", &[kit(1)], false).unwrap();
        publish(&mut rows, 0, &BOB, b"b", &[kit(2)], false).unwrap();
        assert_eq!(take(&mut rows, &BOB, true).unwrap().unwrap().kit, Some(vec![2]));
        assert_eq!(take(&mut rows, &BOB, true).unwrap().unwrap().kit, None);
        assert_eq!(take(&mut rows, &ALICE, true).unwrap().unwrap().kit, Some(vec![1]));
    }

    #[test]
    fn replacing_forgets_the_kits_before_and_no_more_than_the_limit_is_kept() {
        let mut rows = MemoryRows::default();
        publish(&mut rows, 0, &ALICE, b"1", &[kit(1)], false).unwrap();
        let many: Vec<NamedKit> = (2..u8::MAX).map(kit).collect();
        assert!(many.len() > KITS_MAX);
        assert_eq!(publish(&mut rows, 0, &ALICE, b"2", &many, true).unwrap() as usize, KITS_MAX);
        assert_eq!(take(&mut rows, &ALICE, true).unwrap().unwrap().kit, Some(vec![2]));
        forget(&mut rows, &ALICE).unwrap();
        assert_eq!(take(&mut rows, &ALICE, true).unwrap(), None);
        assert_eq!(Totals::load(&rows).unwrap().kits, 0);
    }

    #[test]
    fn a_kit_that_is_published_again_is_not_handed_out_again() {
        let mut rows = MemoryRows::default();
        publish(&mut rows, 0, &ALICE, b"1", &[kit(1), kit(2)], false).unwrap();
        assert_eq!(take(&mut rows, &ALICE, true).unwrap().unwrap().kit, Some(vec![1]));
        assert_eq!(publish(&mut rows, 0, &ALICE, b"1", &[kit(1), kit(2), kit(3)], false).unwrap(), 2);
        assert_eq!(take(&mut rows, &ALICE, true).unwrap().unwrap().kit, Some(vec![2]));
        // The owner replaces all by what it believes to be here and a new one: kit 3 was never handed out.
        assert_eq!(publish(&mut rows, 0, &ALICE, b"1", &[kit(1), kit(2), kit(3), kit(4)], true).unwrap(), 2);
        assert_eq!(Totals::load(&rows).unwrap().kits, 2);
        assert_eq!(take(&mut rows, &ALICE, true).unwrap().unwrap().kit, Some(vec![3]));
        assert_eq!(take(&mut rows, &ALICE, true).unwrap().unwrap().kit, Some(vec![4]));
        assert_eq!(take(&mut rows, &ALICE, true).unwrap().unwrap().kit, None);
        while crate::expiry::sweep(&mut rows, KIT_IDS_KEEP_HOURS).unwrap().more {}
        assert_eq!((rows.count(Table::KitIds), rows.count(Table::Expiry)), (0, 0), "it is forgotten in the end");
    }

    #[test]
    fn a_bundle_without_a_kit_spends_none() {
        let mut rows = MemoryRows::default();
        publish(&mut rows, 0, &ALICE, b"1", &[kit(1)], false).unwrap();
        assert_eq!(take(&mut rows, &ALICE, false).unwrap().unwrap().kit, None);
        assert_eq!(left(&rows, &ALICE).unwrap(), 1);
    }
}
