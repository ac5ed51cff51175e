//! Promises about the account as a whole: its password, its keys, its backup,
//! its audit log. Each with a real vault on the disk.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use secure_chat_node::api::{At, AuditEntryView, AuditLog, ErrorKind, ExportFormat, NodeHandle, PrunedView};
use secure_chat_node::config::{Bounds, NodeConfig, Transport};
use secure_chat_node::engine::Node;
use secure_chat_node::security::log::BLOCK_ENTRIES;
use secure_chat_node::security::report;
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_tests::{PASSWORD, TestNet, become_contacts};

const OTHER: &str = "Another-Horse-8-Battery";
const PASSPHRASE: &str = "Passphrase-of-the-backup-9";

fn peer(dir: &Path) -> NodeHandle {
    bounded(dir, Bounds::default())
}

fn bounded(dir: &Path, bounds: Bounds) -> NodeHandle {
    let mut config = NodeConfig::new(dir);
    config.bounds = bounds;
    config.mdns = false;
    config.kdf = Argon2Params::LEAST;
    config.transport = Transport::Memory;
    config.listen = vec!["/memory/0".to_owned()];
    Node::start(config).expect("a peer starts")
}

async fn log(peer: &NodeHandle, kind: Option<&str>) -> AuditLog {
    let none = None::<String>;
    let kind = kind.map(str::to_owned);
    peer.security_audit_log(None, 500_u32, kind, none.clone(), None::<At>, None::<At>, none).await.expect("a page")
}

fn kinds(log: &AuditLog) -> Vec<&str> {
    log.entries.iter().map(|entry| entry.kind.as_str()).collect()
}

fn folder_of(dir: &Path) -> PathBuf {
    let mut folders =
        std::fs::read_dir(dir.join("accounts")).expect("accounts").map(|folder| folder.expect("one").path());
    folders.find(|folder| folder.extension().is_none()).expect("an account")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_shuts_the_old_one_out() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let alice = peer(dir.path());
    alice.account_create("alice", PASSWORD).await?;
    let wrong = alice.account_change_password(OTHER, OTHER).await.unwrap_err();
    assert_eq!(wrong.kind, ErrorKind::WrongPassword);
    assert_eq!(alice.account_change_password(PASSWORD, "short").await.unwrap_err().field, Some("new"));
    alice.account_change_password(PASSWORD, OTHER).await?;
    alice.account_lock().await?;
    assert_eq!(alice.account_unlock(PASSWORD, None).await.unwrap_err().kind, ErrorKind::WrongPassword);
    alice.account_unlock(OTHER, None).await?;
    assert!(kinds(&log(&alice, None).await).contains(&"account.password_changed"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn delays_after_wrong_passwords_survive_a_restart() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let alice = peer(dir.path());
    alice.account_create("alice", PASSWORD).await?;
    alice.account_lock().await?;
    for _ in 0..4 {
        let refused = alice.account_unlock(OTHER, None).await.unwrap_err();
        if refused.kind == ErrorKind::RateLimited {
            break;
        }
        assert_eq!(refused.kind, ErrorKind::WrongPassword);
    }
    alice.shutdown().await;
    let alice = peer(dir.path());
    let refused = alice.account_unlock(PASSWORD, None).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::RateLimited, "even the right password waits");
    assert!(refused.retry_after_ms.is_some_and(|wait| wait > 0 && wait <= 2_000));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rekeyed_vault_holds_everything_under_other_keys() -> anyhow::Result<()> {
    let net = TestNet::new()?;
    let (mut alice, mut bob) = (net.persona("alice").await?, net.persona("bob").await?);
    become_contacts(&mut bob, &mut alice).await?;
    bob.says("alice", "before the new keys").await?;
    assert_eq!(alice.reads().await?, "before the new keys");
    let folder = folder_of(alice.dir());
    let header = std::fs::read(folder.join("vault.key"))?;
    let wrong = alice.handle()?.account_rekey(OTHER).await.unwrap_err();
    assert_eq!(wrong.kind, ErrorKind::WrongPassword);
    assert!(alice.handle()?.account_status().await?.username.is_some(), "a wrong password closes nothing");
    alice.handle()?.account_rekey(PASSWORD).await?;
    assert_ne!(std::fs::read(folder.join("vault.key"))?, header);
    assert_eq!(alice.texts_of("bob").await?, ["before the new keys"]);
    let found = alice.handle()?.messages_search("keys", None, None).await?;
    assert_eq!(found.messages.len(), 1);
    // The session goes on: it is the same device, and nothing was turned back.
    bob.says("alice", "after the new keys").await?;
    assert_eq!(alice.reads().await?, "after the new keys");
    assert!(log(alice.handle()?, None).await.chain_ok);
    let left: Vec<_> = std::fs::read_dir(alice.dir().join("accounts"))?.collect();
    assert_eq!(left.len(), 1, "nothing of the old vault is left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_another_device_with_sessions_of_its_own() -> anyhow::Result<()> {
    let mut net = TestNet::new()?;
    let _node = net.rendezvous().await?;
    let (mut alice, mut bob) = (net.persona("alice").await?, net.persona("bob").await?);
    become_contacts(&mut bob, &mut alice).await?;
    bob.says("alice", "kept in the backup").await?;
    assert_eq!(alice.reads().await?, "kept in the backup");
    let file = alice.dir().join("alice.backup");
    let path = file.display().to_string();
    assert_eq!(alice.handle()?.account_export(path.clone(), "weak").await.unwrap_err().field, Some("passphrase"));
    let nowhere = alice.handle()?.account_export("/nowhere/at/all", PASSPHRASE).await.unwrap_err();
    assert_eq!(nowhere.field, Some("path"));
    let written = alice.handle()?.account_export(path.clone(), PASSPHRASE).await?;
    assert_eq!(written.bytes, std::fs::metadata(&file)?.len());
    let again = alice.handle()?.account_export(path.clone(), PASSPHRASE).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Conflict, "nothing is overwritten");
    let peer_before = alice.handle()?.account_status().await?.peer_id;
    alice.away().await;

    let mut second = net.device("alice-2", "alice");
    second
        .start(|handle| {
            let path = path.clone();
            async move { handle.account_import(path, PASSPHRASE, OTHER).await.map(drop) }
        })
        .await?;
    assert_ne!(second.handle()?.account_status().await?.peer_id, peer_before);
    assert_eq!(second.texts_of("bob").await?, ["kept in the backup"]);
    let facts = second.handle()?.security_facts().await?;
    assert_eq!(facts.sessions.len(), 1);
    second.says("bob", "from the second device").await?;
    assert_eq!(bob.reads().await?, "from the second device");
    bob.says("alice", "an answer").await?;
    assert_eq!(second.reads().await?, "an answer");
    let alerts = second.handle()?.security_alerts().await?.alerts;
    assert!(alerts.iter().any(|alert| alert.kind == "backup.restored"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_wrong_in_any_way_restores_nothing() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let alice = peer(&dir.path().join("one"));
    alice.account_create("alice", PASSWORD).await?;
    let file = dir.path().join("alice.backup");
    alice.account_export(file.display().to_string(), PASSPHRASE).await?;
    let whole = std::fs::read(&file)?;
    alice.account_lock().await?;
    let over = alice.account_import(file.display().to_string(), PASSPHRASE, OTHER).await.unwrap_err();
    assert_eq!(over.kind, ErrorKind::AccountExists, "never over an account that is there");
    alice.account_unlock(PASSWORD, None).await?;

    let other = peer(&dir.path().join("two"));
    let bad = dir.path().join("bad.backup");
    let attempt = async |bytes: &[u8], passphrase: &str| {
        std::fs::write(&bad, bytes).expect("a file");
        let error = other.account_import(bad.display().to_string(), passphrase, OTHER).await.unwrap_err();
        assert!(other.account_list().await.expect("a list").accounts.is_empty());
        error.kind
    };
    assert_eq!(attempt(&whole, OTHER).await, ErrorKind::WrongPassword);
    for length in [0, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
        assert_eq!(attempt(&whole[..length], PASSPHRASE).await, ErrorKind::VaultDamaged, "{length} bytes");
    }
    let mut newer = whole.clone();
    newer[8] = 2;
    assert_eq!(attempt(&newer, PASSPHRASE).await, ErrorKind::UnsupportedVersion);
    let mut changed = whole.clone();
    let middle = whole.len() * 2 / 3;
    changed[middle] ^= 1;
    assert_eq!(attempt(&changed, PASSPHRASE).await, ErrorKind::VaultDamaged);
    assert_eq!(attempt(&[whole.as_slice(), b"more"].concat(), PASSPHRASE).await, ErrorKind::VaultDamaged);
    std::fs::write(&bad, &whole)?;
    other.account_import(bad.display().to_string(), PASSPHRASE, OTHER).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_account_leaves_nothing_on_the_disk() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let alice = peer(dir.path());
    alice.account_create("alice", PASSWORD).await?;
    assert_eq!(alice.account_wipe(OTHER, None).await.unwrap_err().kind, ErrorKind::WrongPassword);
    alice.account_wipe(PASSWORD, None).await?;
    assert!(alice.account_list().await?.accounts.is_empty());
    assert_eq!(std::fs::read_dir(dir.path().join("accounts"))?.count(), 0);
    alice.account_create("alice", PASSWORD).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_paged_filtered_exported_and_cleared() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let alice = peer(dir.path());
    let account = alice.account_create("alice", PASSWORD).await?;
    for minutes in 1..=700_u32 {
        alice.settings_set("auto_lock_minutes", minutes).await?;
    }
    let all = log(&alice, None).await;
    assert!(all.chain_ok && all.more && all.entries.len() == 500);
    let none = None::<String>;
    let rest = alice
        .security_audit_log(all.next_before, 500_u32, none.clone(), none.clone(), None::<At>, None::<At>, none.clone())
        .await?;
    assert!(!rest.more && rest.entries.last().is_some_and(|entry| entry.seq == 1));
    assert_eq!(kinds(&log(&alice, Some("account")).await), ["account.created"]);
    let wrong =
        alice.security_audit_log(None, 501_u32, none.clone(), none.clone(), None::<At>, None::<At>, none.clone());
    assert_eq!(wrong.await.unwrap_err().field, Some("limit"));
    for (format, name) in [(ExportFormat::Json, "a.json"), (ExportFormat::Csv, "a.csv"), (ExportFormat::Html, "a.html")]
    {
        let path = dir.path().join(name);
        let exported = alice.security_export(path.display().to_string(), format).await?;
        let text = std::fs::read_to_string(&path)?;
        assert_eq!(report::verify(&text).map(|id| id.to_string()), Ok(account.account_id.clone()), "{name}");
        assert!(exported.entries > 700);
    }
    let unconfirmed = alice.security_clear(None).await.unwrap_err();
    assert_eq!(unconfirmed.kind, ErrorKind::ConfirmationRequired);
    alice.security_clear(true).await?;
    let cleared = log(&alice, None).await;
    assert_eq!((kinds(&cleared), cleared.chain_ok), (vec!["audit.cleared"], true));
    assert!(cleared.pruned.is_some_and(|pruned| pruned.kinds["settings.changed"] == 700));
    alice.account_lock().await?;
    alice.account_unlock(PASSWORD, None).await?;
    assert!(log(&alice, None).await.chain_ok, "and it is still whole after the next unlock");
    Ok(())
}

/// All entries, the latest first, once the whole chain was looked at.
async fn whole_log(peer: &NodeHandle) -> (Vec<AuditEntryView>, PrunedView) {
    let (mut entries, mut before, none) = (Vec::new(), None, None::<String>);
    while !log(peer, None).await.chain_checked {
        tokio::task::yield_now().await;
    }
    loop {
        let page = peer.security_audit_log(before, 500_u32, none.clone(), none.clone(), None, None, none.clone());
        let page = page.await.expect("a page");
        assert!(page.chain_ok, "the chain is whole");
        entries.extend(page.entries);
        before = page.next_before;
        if !page.more {
            return (entries, page.pruned.expect("what went is summed up"));
        }
    }
}

/// What is there and what went are together all that ever was.
fn adds_up((entries, pruned): &(Vec<AuditEntryView>, PrunedView), bound: u64) {
    let (last, first) = (entries.first().expect("entries"), entries.last().expect("entries"));
    assert_eq!(last.seq - first.seq + 1, entries.len() as u64, "no gap");
    assert_eq!(pruned.entries, first.seq - 1, "the summary counts every entry that went");
    assert_eq!(pruned.kinds.values().sum::<u64>(), pruned.entries, "each under its kind");
    assert!(pruned.until.0 <= first.at.0, "and until when");
    let most = bound + BLOCK_ENTRIES;
    assert!((bound - BLOCK_ENTRIES..=most).contains(&(entries.len() as u64)), "{} of {bound}", entries.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_outgrows_its_bound_keeps_a_whole_chain_and_a_sum_of_what_went() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let bounds = Bounds { audit_max_entries: 2 * BLOCK_ENTRIES, ..Bounds::default() };
    let alice = bounded(dir.path(), bounds);
    let account = alice.account_create("alice", PASSWORD).await?;
    for number in 0..5 * u32::try_from(BLOCK_ENTRIES)? {
        alice.settings_set("auto_lock_minutes", 1 + number % 7).await?;
    }
    let before = whole_log(&alice).await;
    adds_up(&before, bounds.audit_max_entries);
    assert_eq!(before.1.kinds["account.created"], 1, "what went first is in the sum: {:?}", before.1.kinds);
    alice.account_lock().await?;
    alice.account_unlock(PASSWORD, None).await?;
    let after = whole_log(&alice).await;
    adds_up(&after, bounds.audit_max_entries);
    assert_eq!(after.1, before.1, "the sum is kept");
    let path = dir.path().join("log.json");
    let exported = alice.security_export(path.display().to_string(), ExportFormat::Json).await?;
    let text = std::fs::read_to_string(&path)?;
    assert_eq!(report::verify(&text).map(|id| id.to_string()), Ok(account.account_id));
    let report: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!(report["pruned"]["entries"], after.1.entries, "the export says what went");
    assert!(exported.entries >= after.0.len() as u64);
    // Another program, which starts with all of it, finds nothing amiss.
    alice.shutdown().await;
    let alice = bounded(dir.path(), bounds);
    alice.account_unlock(PASSWORD, None).await?;
    adds_up(&whole_log(&alice).await, bounds.audit_max_entries);
    let alerts = alice.security_alerts().await?.alerts;
    assert!(alerts.is_empty(), "{alerts:?}");
    Ok(())
}
