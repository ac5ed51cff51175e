//! What a single vault promises, step by step.

use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::limits::DAY_MS;

use super::*;

fn texts(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| String::from_utf8(entry.body.clone()).unwrap()).collect()
}

#[test]
fn a_transaction_reads_what_it_staged_and_nobody_else_does_before_the_commit() {
    let (_device, vault) = Device::new();
    let mut txn = vault.begin();
    txn.put(Table::Contacts, b"bob", b"1");
    txn.put_at(Table::Outbox, 7, b"envelope");
    let arrival = txn.append(text_from(BOB, 1, 10, "hello").as_new()).unwrap();
    assert_eq!(txn.get(Table::Contacts, b"bob").unwrap().unwrap(), b"1");
    assert_eq!(txn.get_at(Table::Outbox, 7).unwrap().unwrap(), b"envelope");
    assert_eq!(txn.find(&BOB, &id(1)).unwrap().unwrap().arrival, arrival);
    assert_eq!(vault.begin().get(Table::Contacts, b"bob").unwrap(), None);
    assert_eq!(vault.history().find(&BOB, &id(1)).unwrap(), None);
    vault.commit(txn).unwrap();
    let mut txn = vault.begin();
    assert_eq!(txn.get(Table::Contacts, b"bob").unwrap().unwrap(), b"1");
    assert_eq!(txn.find(&BOB, &id(1)).unwrap().unwrap().body, b"hello");
    txn.delete(Table::Contacts, b"bob");
    txn.delete_at(Table::Outbox, 7);
    txn.remove(arrival).unwrap();
    assert_eq!(txn.get(Table::Contacts, b"bob").unwrap(), None);
    assert_eq!(txn.get_at(Table::Outbox, 7).unwrap(), None);
    assert_eq!(txn.find(&BOB, &id(1)).unwrap(), None);
    drop(txn);
    assert_eq!(vault.begin().get(Table::Contacts, b"bob").unwrap().unwrap(), b"1", "dropped, not committed");
}

#[test]
fn what_was_committed_is_there_after_the_next_unlock() {
    let (device, vault) = Device::new();
    let mut txn = vault.begin();
    for number in [3, 1, 2_u8] {
        txn.put_at(Table::Audit, u64::from(number), &[number]);
        txn.put(Table::Sessions, &[number], &[number]);
    }
    vault.commit(txn).unwrap();
    let arrival = append(&vault, BOB, 1, 10, "first");
    let epoch = vault.epoch();
    drop(vault);
    let vault = device.unlock().unwrap();
    assert_eq!(vault.scan(Table::Audit).unwrap(), [[1], [2], [3]]);
    assert_eq!(vault.scan_from(Table::Audit, 2, 1).unwrap(), [(2, vec![2])]);
    assert_eq!(vault.last_number(Table::Audit).unwrap(), Some(3));
    assert_eq!(vault.last_number(Table::Outbox).unwrap(), None);
    let mut sessions = vault.scan(Table::Sessions).unwrap();
    sessions.sort();
    assert_eq!(sessions, [[1], [2], [3]]);
    assert!(append(&vault, BOB, 2, 11, "second") > arrival, "arrival numbers go on");
    assert!(vault.epoch() > epoch && !vault.rolled_back());
    assert_eq!(vault.history().total().unwrap(), 2);
}

#[test]
fn an_edited_or_removed_message_is_so_everywhere() {
    let (_device, vault) = Device::new();
    let (one, two) = (append(&vault, BOB, 1, 10, "one apple"), append(&vault, BOB, 2, 20, "two"));
    append(&vault, ALICE, 3, 30, "three apples");
    let history = vault.history();
    assert_eq!((history.count(&BOB).unwrap(), history.count(&ALICE).unwrap(), history.total().unwrap()), (2, 1, 3));
    let mut txn = vault.begin();
    txn.update(one, b"pear", Some("pear")).unwrap();
    txn.remove(two).unwrap();
    assert_eq!(txn.entry(one).unwrap().unwrap().body, b"pear");
    assert!(matches!(txn.update(two, b"", None), Err(StoreError::NoMessage)));
    vault.commit(txn).unwrap();
    let (page, more) = history.page(&BOB, Page::Latest, 10).unwrap();
    assert_eq!((texts(&page), more), (vec!["pear".to_owned()], false));
    assert_eq!((history.count(&BOB).unwrap(), history.find(&BOB, &id(2)).unwrap()), (1, None));
    assert_eq!(texts(&history.search("APPLE", None, 9).unwrap()), ["three apples"]);
    assert_eq!(texts(&history.search("pea", Some(&BOB), 9).unwrap()), ["pear"]);
    assert!(history.search("pea", Some(&ALICE), 9).unwrap().is_empty());
}

#[test]
fn what_was_seen_goes_when_its_day_is_over() {
    let (_device, vault) = Device::new();
    let mut txn = vault.begin();
    for day in 10..20_u8 {
        txn.put_until(Table::Seen, &[day], u32::from(day), &[day]);
    }
    txn.put(Table::Seen, b"for good", b"!");
    vault.commit(txn).unwrap();
    let mut txn = vault.begin();
    txn.put_until(Table::Seen, &[11], 30, b"again");
    vault.commit(txn).unwrap();
    let mut txn = vault.begin();
    assert_eq!(txn.expire(Table::Seen, 15, 3).unwrap(), 3);
    vault.commit(txn).unwrap();
    let mut txn = vault.begin();
    assert_eq!(txn.expire(Table::Seen, 15, 3).unwrap(), 1, "10 and 12 to 14 are gone, 11 was seen again");
    vault.commit(txn).unwrap();
    let txn = vault.begin();
    assert_eq!(txn.get(Table::Seen, &[10]).unwrap(), None);
    assert_eq!(txn.get(Table::Seen, &[11]).unwrap().unwrap(), b"again");
    assert_eq!(txn.get(Table::Seen, &[15]).unwrap().unwrap(), [15]);
    assert_eq!(vault.scan(Table::Seen).unwrap().len(), 7);
}

#[test]
fn a_locked_vault_answers_nobody() {
    let (device, vault) = Device::new();
    append(&vault, BOB, 1, 10, "hello");
    let history = vault.history();
    assert!(matches!(device.unlock(), Err(StoreError::InUse)));
    drop(vault);
    assert!(matches!(history.total(), Err(StoreError::Locked)));
    assert!(matches!(history.search("hello", None, 1), Err(StoreError::Locked)));
    assert!(device.unlock().is_ok());
}

#[test]
fn a_wrong_password_or_another_account_opens_nothing() {
    let (device, vault) = Device::new();
    drop(vault);
    let wrong = Vault::unlock(data_dir(), &alice(), "correct-horse7battery", device.options());
    assert!(matches!(wrong, Err(StoreError::WrongPassword)));
    let nobody = AccountFile { username: "carol".into(), account_id: AccountId([9; 32]) };
    assert!(matches!(Vault::unlock(data_dir(), &nobody, PASSWORD, device.options()), Err(StoreError::NoAccount)));
    let again = Vault::create(
        data_dir(),
        "alice2",
        AccountId(ALICE),
        PASSWORD,
        Argon2Params::LEAST,
        device.options(),
        &mut rng(2),
    );
    assert!(matches!(again, Err(StoreError::Exists)));
    assert!(device.unlock().is_ok());
}

#[test]
fn the_daily_key_is_replaced_once_a_day_and_rows_stay_readable() {
    let (device, vault) = Device::new();
    let mut txn = vault.begin();
    txn.put(Table::Sessions, b"bob", b"ratchet");
    txn.put(Table::Prekeys, b"kit", b"private");
    vault.commit(txn).unwrap();
    let later = Timestamp(u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap());
    assert!(!vault.rotate(later).unwrap(), "not due");
    let before = vault.begin();
    assert!(before.get(Table::Contacts, b"bob").unwrap().is_none(), "takes its snapshot");
    assert!(vault.rotate(later.plus_ms(DAY_MS)).unwrap());
    assert_eq!(before.get(Table::Sessions, b"bob").unwrap().unwrap(), b"ratchet", "over an older snapshot too");
    assert!(!vault.rotate(later.plus_ms(DAY_MS + 1)).unwrap());
    drop(before);
    drop(vault);
    let vault = device.unlock().unwrap();
    assert_eq!(vault.begin().get(Table::Prekeys, b"kit").unwrap().unwrap(), b"private");
    assert!(!vault.rolled_back());
}

#[test]
fn an_old_copy_of_the_database_is_noticed_until_it_was_dealt_with() {
    let (device, vault) = Device::new();
    let mut txn = vault.begin();
    txn.put(Table::Sessions, b"bob", b"old state");
    vault.commit(txn).unwrap();
    let backup = device.disk.copy();
    append(&vault, BOB, 1, 10, "sent meanwhile");
    drop(vault);
    let old = backup.read(&file("state.redb")).unwrap();
    device.disk.tamper(&file("state.redb"), |bytes| *bytes = old);
    let vault = device.unlock().unwrap();
    assert!(vault.rolled_back());
    drop(vault);
    let vault = device.unlock().unwrap();
    assert!(vault.rolled_back(), "until the engine says so");
    let mut txn = vault.begin();
    txn.rollback_handled();
    vault.commit(txn).unwrap();
    drop(vault);
    assert!(!device.unlock().unwrap().rolled_back());
}

#[test]
fn a_lost_or_emptied_key_file_costs_the_sessions_and_nothing_else() {
    type Harm = fn(&mut Vec<u8>);
    let harms: [Harm; 3] = [|bytes| bytes.fill(0), Vec::clear, |bytes| bytes.truncate(20)];
    for harm in harms {
        let (device, vault) = Device::new();
        let mut txn = vault.begin();
        txn.put(Table::Sessions, b"bob", b"ratchet");
        txn.put(Table::Contacts, b"bob", b"contact");
        vault.commit(txn).unwrap();
        drop(vault);
        device.disk.tamper(&file("slots.key"), harm);
        let vault = device.unlock().unwrap();
        assert!(vault.rolled_back());
        assert_eq!(vault.begin().get(Table::Sessions, b"bob").unwrap(), None);
        assert_eq!(vault.begin().get(Table::Contacts, b"bob").unwrap().unwrap(), b"contact");
    }
}
