//! The audit log's end: each entry carries the hash of the one before, so that
//! nothing can be taken out or put in between.

use secure_chat_protocol::crypto::kdf;
use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::wire::codec;
use serde::{Deserialize, Serialize};

use super::state::Open;
use super::step::Step;
use crate::api::Event;
use crate::messaging::limits::ROW_MAX_BYTES;
use crate::store::{StoreError, Table, Vault};

/// One entry, as the vault keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditEntry {
    /// [`entry_hash`] of the entry before; zeros for the first.
    pub(crate) previous: [u8; 32],
    pub(crate) at: Timestamp,
    pub(crate) kind: String,
    pub(crate) severity: String,
    pub(crate) detail: String,
}

fn entry_hash(number: u64, encoded: &[u8]) -> [u8; 32] {
    kdf::hash_fields("audit-entry", &[&number.to_le_bytes(), encoded])
}

/// Where the next entry goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AuditTail {
    next: u64,
    hash: [u8; 32],
}

impl AuditTail {
    pub(crate) fn load(vault: &Vault) -> Result<Self, StoreError> {
        let Some(last) = vault.last_number(Table::Audit)? else { return Ok(Self { next: 1, hash: [0; 32] }) };
        let row = vault.scan_from(Table::Audit, last, 1)?.pop();
        let hash = row.map(|(number, bytes)| entry_hash(number, &bytes)).unwrap_or_default();
        Ok(Self { next: last.saturating_add(1), hash })
    }
}

/// How much an entry matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Open {
    /// Adds an entry to the audit log.
    pub(crate) fn audit(&mut self, step: &mut Step<'_>, kind: &str, severity: Severity, detail: impl Into<String>) {
        let entry = AuditEntry {
            previous: self.audit.hash,
            at: step.now,
            kind: kind.to_owned(),
            severity: severity.name().to_owned(),
            detail: detail.into(),
        };
        let Ok(bytes) = codec::encode(&entry, ROW_MAX_BYTES) else { return };
        let number = self.audit.next.max(1);
        step.txn.put_at(Table::Audit, number, &bytes);
        self.audit = AuditTail { next: number.saturating_add(1), hash: entry_hash(number, &bytes) };
        step.tell(Event::SecurityAudit { kind: entry.kind, severity: entry.severity, detail: entry.detail });
    }

    /// Adds an entry to the audit log and warns the person.
    pub(crate) fn alert(
        &mut self,
        step: &mut Step<'_>,
        kind: &str,
        severity: Severity,
        subject: Option<String>,
        detail: &str,
    ) {
        self.audit(step, kind, severity, detail);
        step.tell(Event::SecurityAlert {
            kind: kind.to_owned(),
            severity: severity.name().to_owned(),
            subject,
            detail: detail.to_owned(),
        });
    }
}
