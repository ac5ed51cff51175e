//! A vault on the real disk, and a process that is killed while it writes there.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rand::RngExt;

use super::*;

const CHILD: &str = "store::tests::processes::the_child_that_is_killed";
const CHILD_DIR: &str = "SECURE_CHAT_TEST_CHILD_DIR";

fn unlock(dir: &Path) -> Result<Vault, StoreError> {
    Vault::unlock(dir, &alice(), PASSWORD, StoreOptions::default())
}

/// Not a test of its own: writes until it is killed, and says what it committed.
#[test]
#[ignore = "started by a_process_killed_at_any_moment_loses_nothing_acknowledged"]
fn the_child_that_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let vault = unlock(Path::new(&dir)).unwrap();
    let first = vault.last_number(Table::Audit).unwrap().map_or(0, |last| last + 1);
    for number in first.. {
        let mut txn = vault.begin();
        txn.put_at(Table::Audit, number, &number.to_le_bytes());
        txn.put(Table::Sessions, b"bob", &number.to_le_bytes());
        txn.append(text_from(BOB, number, number, &format!("message {number}")).as_new()).unwrap();
        vault.commit(txn).unwrap();
        println!("\ncommitted {number}");
        if number % 16 == 0 {
            vault.index_step().unwrap();
        }
    }
}

#[test]
fn a_process_killed_at_any_moment_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut rng, params) = (rng(5), Argon2Params::LEAST);
    let create =
        Vault::create(dir.path(), "alice", AccountId(ALICE), PASSWORD, params, StoreOptions::default(), &mut rng);
    drop(create.unwrap());
    assert_eq!(list_accounts(dir.path()).unwrap(), [alice()]);
    let mut expected = 0;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([CHILD, "--exact", "--ignored", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let enough = expected + rng.random_range(1..60);
        let committed = |line: &str| line.strip_prefix("committed ").map(|number| number.parse::<u64>().unwrap() + 1);
        while expected < enough {
            expected = lines.next().unwrap().ok().as_deref().and_then(committed).unwrap_or(expected);
        }
        assert!(matches!(unlock(dir.path()), Err(StoreError::InUse)), "the child has it");
        std::thread::sleep(std::time::Duration::from_micros(rng.random_range(0..3_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            expected = committed(&line).unwrap_or(expected);
        }
        let vault = unlock(dir.path()).unwrap();
        let last = vault.last_number(Table::Audit).unwrap().unwrap();
        assert!(
            last + 1 == expected || last == expected,
            "round {round}: {last} is the last, {expected} were committed"
        );
        expected = last + 1;
        assert_eq!(vault.scan(Table::Audit).unwrap().len() as u64, expected);
        assert_eq!(vault.begin().get(Table::Sessions, b"bob").unwrap().unwrap(), last.to_le_bytes());
        let history = vault.history();
        assert_eq!((history.total().unwrap(), history.count(&BOB).unwrap()), (expected, expected));
        assert_eq!(history.search("message", None, 1_000).unwrap().len() as u64, expected.min(1_000));
        assert!(!vault.rolled_back());
    }
}
