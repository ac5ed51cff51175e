//! The audit log with a million entries: appending, first pages of filters, an export.
//! `cargo bench -p secure-chat-node --bench audit -- --entries 100000` for a quick look.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use secure_chat_node::api::{At, ExportFormat, NodeHandle};
use secure_chat_node::config::{NodeConfig, Transport};
use secure_chat_node::engine::Node;
use secure_chat_node::security::log::{
    AuditEntry, AuditHead, BLOCK_ENTRIES, Block, ENTRY_MAX_BYTES, Severity, block_of, entry_hash,
};
use secure_chat_node::store::{StoreOptions, Table, Vault, list_accounts};
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_protocol::wire::codec;

const PASSWORD: &str = "Correct-Horse-7-Battery";
const KINDS: [&str; 6] = [
    "session.started",
    "settings.changed",
    "account.unlocked",
    "account.locked",
    "request.received",
    "message.undecryptable",
];

fn line(what: &str, figure: &str, bound: &str) {
    println!("{what:<58} {figure:>24}   {bound}");
}

fn peer(dir: &Path) -> NodeHandle {
    let mut config = NodeConfig::new(dir);
    config.mdns = false;
    config.kdf = Argon2Params::LEAST;
    config.transport = Transport::Memory;
    config.listen = vec!["/memory/0".to_owned()];
    Node::start(config).unwrap()
}

/// Appends as the engine does: a step of 16 entries is one commit.
fn fill(dir: &Path, entries: u64) -> Duration {
    let account = list_accounts(dir).unwrap().pop().unwrap();
    let vault = Vault::unlock(dir, &account, PASSWORD, StoreOptions::default()).unwrap();
    let row = vault.begin().get(Table::Meta, b"audit-head").unwrap().unwrap();
    let mut head: AuditHead = codec::decode_own(&row, 64 * 1024).unwrap();
    let mut block = Block::default();
    let began = Instant::now();
    let mut done = 0;
    while done < entries {
        let mut txn = vault.begin();
        for _ in 0..16 {
            let kind = KINDS[(done % 7 % 6) as usize];
            let entry = AuditEntry {
                previous: head.hash,
                at: Timestamp(1_700_000_000_000 + done * 1_000),
                kind: kind.to_owned(),
                severity: if done == entries / 2 { Severity::Critical } else { Severity::Info },
                subject: Some(format!("{:064x}", done % 200)),
                detail: format!("Something of the kind {kind} happened, for the {} time.", done % 100),
            };
            let bytes = codec::encode(&entry, ENTRY_MAX_BYTES).unwrap();
            let number = head.next;
            txn.put_at(Table::Audit, number, &bytes);
            block.add(&entry);
            (head.hash, head.next) = (entry_hash(number, &bytes), number + 1);
            if block_of(head.next) != block_of(number) {
                let row = [b"audit-block".as_slice(), &(number / BLOCK_ENTRIES).to_le_bytes()].concat();
                txn.put(Table::Meta, &row, &std::mem::take(&mut block).encode().unwrap());
            }
            done += 1;
        }
        txn.put(Table::Meta, b"audit-head", &codec::encode(&head, 64 * 1024).unwrap());
        vault.commit(txn).unwrap();
    }
    began.elapsed()
}

fn memory_mib(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find(|line| line.starts_with(field)).and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

async fn page(peer: &NodeHandle, what: &str, kind: Option<&str>, severity: Option<&str>, query: Option<&str>) {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let (mut worst, mut found) = (Duration::ZERO, 0);
    for _ in 0..5 {
        let began = Instant::now();
        let log =
            peer.security_audit_log(None, 50_u32, text(kind), text(severity), None::<At>, None::<At>, text(query));
        found = log.await.unwrap().entries.len();
        worst = worst.max(began.elapsed());
    }
    line(
        &format!("first page: {what} ({found} found)"),
        &format!("{:.1} ms at most", worst.as_secs_f64() * 1e3),
        "< 50 ms",
    );
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--entries").skip(1);
    let entries: u64 = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(990_000);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let alice = peer(dir);
    alice.account_create("alice", PASSWORD).await.unwrap();
    alice.shutdown().await;
    let took = fill(dir, entries);
    line(
        &format!("{entries} entries: append, amortised"),
        &format!("{:.3} ms", took.as_secs_f64() * 1e3 / entries as f64),
        "< 1 ms",
    );
    let alice = peer(dir);
    let began = Instant::now();
    alice.account_unlock(PASSWORD, None).await.unwrap();
    line("unlock, with the key derivation", &format!("{:.0} ms", began.elapsed().as_secs_f64() * 1e3), "");
    page(&alice, "everything", None, None, None).await;
    page(&alice, "one kind", Some("account"), None, None).await;
    page(&alice, "one critical entry in the middle", None, Some("critical"), None).await;
    page(&alice, "words in every entry", None, None, Some("happened")).await;
    page(&alice, "words in no entry", None, None, Some("mailbox garbage")).await;
    let before = memory_mib("VmRSS:");
    let began = Instant::now();
    let path = dir.join("log.csv").display().to_string();
    let written = alice.security_export(path, ExportFormat::Csv).await.unwrap().entries;
    let rate = written as f64 / began.elapsed().as_secs_f64();
    line("export as CSV", &format!("{rate:.0} entries/s"), "");
    line("memory before the export / at most", &format!("{before:.0} / {:.0} MiB", memory_mib("VmHWM:")), "flat");
    let began = Instant::now();
    alice.account_lock().await.unwrap();
    line("lock to wiped", &format!("{:.1} ms", began.elapsed().as_secs_f64() * 1e3), "< 100 ms");
    alice.shutdown().await;
}
