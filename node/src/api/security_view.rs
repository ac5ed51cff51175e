//! What the application is shown of the account's security: the audit log,
//! alerts, facts about keys, and what was set aside.

use serde::{Deserialize, Serialize};

use super::At;

/// `security.audit_log`: newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditLog {
    /// Entries that the filter takes.
    pub entries: Vec<AuditEntryView>,
    /// Nothing was found taken out, put in, changed or moved; looked at again
    /// after every unlock, and with every page for the page.
    pub chain_ok: bool,
    /// The whole log was looked at since the account was opened.
    pub chain_checked: bool,
    /// There may be older entries: ask again with `before` set to `next_before`.
    pub more: bool,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_before: Option<u64>,
    /// What is no longer there, because the log is bounded or was cleared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned: Option<PrunedView>,
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntryView {
    /// Its number.
    pub seq: u64,
    /// When.
    pub at: At,
    /// Such as `account.unlocked`.
    pub kind: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// The account it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A sentence.
    pub detail: String,
}

/// What the log no longer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrunedView {
    /// How many entries.
    pub entries: u64,
    /// The time of the last of them.
    pub until: At,
    /// How many of each kind.
    pub kinds: std::collections::BTreeMap<String, u64>,
}

/// `security.alerts`: newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alerts {
    /// Those that were not dismissed.
    pub alerts: Vec<Alert>,
}

/// One alert; the same thing happening again is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Names it in `security.dismiss`.
    pub alert_id: String,
    /// The last time.
    pub at: At,
    /// The first time.
    pub first_at: At,
    /// The rule.
    pub kind: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// The account it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Its name, if it is a contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A sentence.
    pub detail: String,
    /// How often.
    pub count: u64,
}

/// How `security.export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// One JSON document.
    Json,
    /// A table for spreadsheets.
    Csv,
    /// A page that needs nothing else, with no script.
    Html,
}

/// `security.export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Entries that were written.
    pub entries: u64,
}

/// `account.export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BackupWritten {
    /// The file's length.
    pub bytes: u64,
}

/// `security.quarantine` and `security.release`: what is set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantine {
    /// Newest first.
    pub messages: Vec<QuarantinedMessage>,
}

/// A chat request that was set aside instead of shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantinedMessage {
    /// Names it in `security.release`, and the request in `contacts.decline`.
    pub message_id: String,
    /// The name of who asks.
    pub username: String,
    /// Their account.
    pub account_id: String,
    /// The account id in groups of four digits.
    pub fingerprint: String,
    /// What they wrote.
    pub text: String,
    /// When it came.
    pub at: At,
    /// Why it was set aside: `link`, `repeated`, `looks_like_contact` or `by_hand`.
    pub reasons: Vec<String>,
}

/// `security.facts`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SecurityFacts {
    /// How it stands with the contacts' encrypted sessions, at most 500 of them.
    pub sessions: Vec<SessionFact>,
    /// One-time kits that others can still take.
    pub prekeys_left: usize,
    /// When keys were made.
    pub key_ages: KeyAges,
    /// Safety numbers that were compared.
    pub verified: VerifiedFacts,
    /// The vault.
    pub vault: VaultFacts,
}

/// A contact's encrypted session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionFact {
    /// The contact's name.
    pub username: String,
    /// The contact's account.
    pub account_id: String,
    /// The account id in groups of four digits.
    pub fingerprint: String,
    /// The safety number was compared.
    pub verified: bool,
    /// There is a session.
    pub active: bool,
    /// They have answered in it.
    pub answered: bool,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<At>,
    /// When it was last used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<At>,
    /// Keys kept for messages that did not arrive yet.
    pub skipped_keys: usize,
}

/// When keys were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeyAges {
    /// The identity.
    pub identity: At,
    /// The signed prekey.
    pub signed_prekey: At,
}

/// How many contacts were verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VerifiedFacts {
    /// Of so many contacts …
    pub contacts: usize,
    /// … this many were verified.
    pub verified: usize,
}

/// The vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VaultFacts {
    /// What it takes on the disk.
    pub bytes: u64,
    /// Memory of the password's key derivation.
    pub kdf_memory_kib: u32,
    /// Its passes.
    pub kdf_passes: u32,
    /// Entries of the audit log.
    pub audit_entries: u64,
}
