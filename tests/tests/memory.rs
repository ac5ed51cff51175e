//! What is left in the memory of a peer after its account was locked, seen from another
//! process: nothing that opens anything, and nothing that was written.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use secure_chat_node::store::{StoreOptions, Table, Vault, list_accounts};
use secure_chat_protocol::crypto::argon2id::{Cost, argon2id};
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::crypto::{aead, kdf};
use secure_chat_protocol::id::AccountId;
use secure_chat_tests::memory::{Found, Needles};
use secure_chat_tests::process::{ProcessNode, ProcessPeer};
use serde_json::json;
use tokio::process::Command;

const PASSWORD: &str = "Memorable-Walrus-7-Battery";
const NEXT_PASSWORD: &str = "Forgotten-Walrus-8-Battery";
const SAID: &str = "the walrus sleeps at noon behind the lighthouse";

fn peer(dir: &Path, home: &str) -> ProcessPeer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-process"));
    command.args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--rendezvous", home]);
    command.arg("--data-dir").arg(dir);
    ProcessPeer::start(command).unwrap()
}

fn folder(dir: &Path) -> PathBuf {
    let folders = std::fs::read_dir(dir.join("accounts")).unwrap().map(|entry| entry.unwrap().path());
    folders.into_iter().find(|path| path.is_dir()).unwrap()
}

/// The keys of the vault's header, derived as `docs/protocol.md` says, by other code than the vault's.
fn header_keys(needles: &mut Needles, header: &[u8], password: &str) {
    let (clear, rest) = header.split_at(8 + 1 + 1 + 4 + 4 + 1 + 32 + 24);
    let number = |at: usize| u32::from_le_bytes(clear[at..at + 4].try_into().unwrap());
    let cost = Cost { memory_kib: number(10), passes: number(14), lanes: u32::from(clear[18]) };
    let root: Secret<32> = argon2id(password.as_bytes(), &clear[19..51], cost).unwrap();
    let keys: Secret<64> = kdf::hkdf_expand(&root, &[&kdf::label("vault/wrap"), clear]);
    let (wrap, commitment) = keys.split::<32, 32>();
    assert_eq!(commitment.expose(), &rest[..32], "the derivation is the documented one");
    let nonce = clear[51..75].try_into().unwrap();
    let associated = [clear, &rest[..32]].concat();
    let master = aead::xopen(&wrap, &nonce, &associated, &rest[32..80]).unwrap();
    needles.add("password's root", root.expose()).add("wrapping key", wrap.expose());
    needles.add("master key", &master);
    let master = Secret::from_slice(&master).unwrap();
    for table in ["bodies", "meta", "contacts"] {
        let keys: Secret<64> =
            kdf::hkdf(&[], &[Secret::<32>::expose(&master)], &[&kdf::label("db/"), table.as_bytes()]);
        needles.add(format!("key of table {table}"), &keys.expose()[..32]);
    }
}

/// The keys in the vault's rows, from a copy of its files.
fn row_keys(needles: &mut Needles, dir: &Path, bob: AccountId) {
    let copy = tempfile::tempdir().unwrap();
    let (from, to) = (folder(dir), copy.path().join("accounts").join(folder(dir).file_name().unwrap()));
    std::fs::create_dir_all(&to).unwrap();
    for file in ["account.json", "vault.key", "slots.key", "state.redb"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let account = list_accounts(copy.path()).unwrap().pop().unwrap();
    let vault = Vault::unlock(copy.path(), &account, PASSWORD, StoreOptions::default()).unwrap();
    let txn = vault.begin();
    let row = |table, key: &[u8]| txn.get(table, key).unwrap().unwrap();
    let identity = row(Table::Meta, b"identity");
    needles.add("identity's signing key", &identity[1..33]).add("identity's agreement key", &identity[33..65]);
    needles.add("network key", &row(Table::Meta, b"peer"));
    needles.add("mailbox key", &row(Table::Meta, b"mailbox")[1..33]);
    let session = row(Table::Sessions, bob.as_bytes());
    assert_eq!(session[170], 0, "Alice wrote last: her state is one of sending");
    needles.add("session's root key", &session[106..138]).add("session's chain key", &session[267..299]);
    needles.add("session's ratchet key", &session[171..203]);
}

fn only(found: &Found, names: &[&str]) {
    let places: Vec<_> = found.iter().filter(|(name, _)| !names.contains(&name.as_str())).collect();
    assert!(places.is_empty(), "{places:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_leaves_no_key_no_password_and_no_message_in_memory() {
    let folder_of_all = tempfile::tempdir().unwrap();
    let dir = folder_of_all.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rendezvous-process"));
    command.arg(dir.join("node")).arg("/ip4/127.0.0.1/tcp/0");
    let node = ProcessNode::start(command).await.unwrap();
    let (mut alice, mut bob) = (peer(&dir.join("alice"), &node.address), peer(&dir.join("bob"), &node.address));
    alice.call("account.create", json!({"username": "alice", "password": PASSWORD})).await.unwrap();
    let account = bob.call("account.create", json!({"username": "bob", "password": PASSWORD})).await.unwrap();
    let bobs: AccountId = account["account_id"].as_str().unwrap().parse().unwrap();
    alice.registered().await.unwrap();
    bob.registered().await.unwrap();
    alice.call("contacts.request", json!({"user": "bob"})).await.unwrap();
    let request = bob.event("contact.request").await.unwrap();
    bob.call("contacts.accept", json!({"request_id": request["request_id"]})).await.unwrap();
    alice.event("contact.accepted").await.unwrap();
    bob.call("messages.send", json!({"to": "alice", "text": SAID})).await.unwrap();
    alice.event("message.received").await.unwrap();
    alice.call("account.lock", json!({})).await.unwrap();

    let process = alice.id().unwrap();
    let mut needles = Needles::default();
    needles.add("password", PASSWORD.as_bytes()).add("message", SAID.as_bytes());
    let header = std::fs::read(folder(&dir.join("alice")).join("vault.key")).unwrap();
    header_keys(&mut needles, &header, PASSWORD);
    only(&needles.search(process).unwrap(), &[]);

    alice.call("account.unlock", json!({"password": PASSWORD})).await.unwrap();
    alice.registered().await.unwrap();
    let answered = alice.call("messages.send", json!({"to": "bob", "text": "an answer"})).await.unwrap();
    while alice.event("message.state").await.unwrap()["message_id"] != answered["message_id"] {}
    alice.call("messages.history", json!({"conversation": "bob"})).await.unwrap();
    row_keys(&mut needles, &dir.join("alice"), bobs);
    let open = needles.search(process).unwrap();
    let held = ["master key", "key of table bodies", "identity's signing key", "session's chain key"];
    for name in held {
        assert!(open.contains_key(name), "{name} is not where it is used: the search proves nothing");
    }
    for name in ["password", "password's root", "wrapping key"] {
        assert!(!open.contains_key(name), "{name} is kept after it was used, at {:?}", open.get(name));
    }
    let began = Instant::now();
    alice.call("account.lock", json!({})).await.unwrap();
    let took = began.elapsed();
    let locked = needles.search(process).unwrap();
    println!("lock to wiped: {:.1} ms (bound: 100); looked for {:?}", ms(took), needles.names());
    only(&locked, &[]);

    // Passwords that were typed and are no longer wanted are gone while the account is open.
    alice.call("account.unlock", json!({"password": PASSWORD})).await.unwrap();
    alice.call("account.change_password", json!({"old": PASSWORD, "new": NEXT_PASSWORD})).await.unwrap();
    let mut typed = Needles::default();
    typed.add("password", PASSWORD.as_bytes()).add("new password", NEXT_PASSWORD.as_bytes());
    only(&typed.search(process).unwrap(), &[]);
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
