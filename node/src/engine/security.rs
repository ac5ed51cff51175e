//! Commands of the `security` namespace.

use std::sync::Arc;

use secure_chat_protocol::id::{AccountId, MessageId};
use secure_chat_protocol::wire::codec;
use secure_chat_protocol::wire::content::Content;

use super::audit::Severity;
use super::audit_reader::{AuditPage, page};
use super::export;
use super::state::{Open, rng};
use super::step::{Step, storage};
use super::work::Work;
use crate::api::{
    Alert, Alerts, ApiError, At, AuditEntryView, AuditLog, Command, Done, ErrorKind, Event, KeyAges, PrunedView,
    Quarantine, QuarantinedMessage, Reply, SecurityFacts, SessionFact, VaultFacts, VerifiedFacts, params,
};
use crate::messaging::contact::Standing;
use crate::security::log::{AuditEntry, Filter, Severity as Level};
use crate::security::spam::Reason;
use crate::stack::wiping_with;
use crate::store::Table;

/// Entries of a page, unless it is said.
const AUDIT_PAGE: u32 = 50;
/// Entries of a page at most.
const AUDIT_PAGE_MAX: u32 = 500;
/// Longest query, in bytes.
const AUDIT_QUERY_MAX_BYTES: usize = 256;
/// Contacts whose sessions are told.
const FACTS_SESSIONS_MAX: usize = 500;
const QUARANTINE_ROW: &[u8] = b"quarantine";
const QUARANTINE_MAX_BYTES: usize = 64 * 1024;

/// An entry as the application sees it.
pub(super) fn entry_view(seq: u64, entry: AuditEntry) -> AuditEntryView {
    AuditEntryView {
        seq,
        at: At(entry.at),
        kind: entry.kind,
        severity: entry.severity.name().to_owned(),
        subject: entry.subject,
        detail: entry.detail,
    }
}

fn filter(params: &params::SecurityAuditLog) -> Result<Filter, ApiError> {
    let severity = params.severity.as_deref().map(|name| {
        Level::parse(name).ok_or_else(|| ApiError::invalid("severity", "Choose info, warning or critical."))
    });
    let query = params.query.as_deref().map(str::trim).filter(|query| !query.is_empty());
    if query.is_some_and(|query| query.len() > AUDIT_QUERY_MAX_BYTES) {
        return Err(ApiError::invalid("query", "The query is too long."));
    }
    Ok(Filter {
        kind: params.kind.clone().filter(|kind| !kind.is_empty()),
        severity: severity.transpose()?,
        since: params.since.map(|at| at.0),
        until: params.until.map(|at| at.0),
        query: query.map(str::to_lowercase),
    })
}

impl Open {
    /// Commands of the namespace; hands all others back.
    pub(super) fn security_command(&mut self, step: &mut Step<'_>, command: Command) -> Option<Command> {
        match command {
            Command::SecurityAuditLog(params, reply) => self.audit_log(step, &params, reply),
            Command::SecurityAlerts(_, reply) => step.reply(reply, Ok(self.alerts_view())),
            Command::SecurityDismiss(params, reply) => {
                let result = self.dismiss(step, &params.alert_id);
                step.reply(reply, result);
            }
            Command::SecurityFactsGet(_, reply) => {
                let facts = self.facts(step);
                step.reply(reply, facts);
            }
            Command::SecurityClear(params, reply) => {
                let result = self.clear(step, params.confirm);
                step.reply(reply, result);
            }
            Command::SecurityExport(params, reply) => export::begin(self, step, params, reply),
            Command::SecurityResetSession(params, reply) => {
                let result = self.reset_session(step, &params.user);
                step.reply(reply, result);
            }
            Command::SecurityQuarantine(params, reply) => {
                let result = self.set_aside(step, params.message_id.as_deref());
                step.reply(reply, result);
            }
            Command::SecurityRelease(params, reply) => {
                let result = self.release(step, params.message_id.as_deref());
                step.reply(reply, result);
            }
            other => return Some(other),
        }
        None
    }

    fn audit_log(&mut self, step: &mut Step<'_>, params: &params::SecurityAuditLog, reply: Reply<AuditLog>) {
        let limit = params.limit.unwrap_or(AUDIT_PAGE);
        if limit == 0 || limit > AUDIT_PAGE_MAX {
            let text = format!("Between 1 and {AUDIT_PAGE_MAX} entries can be read at once.");
            return step.reply(reply, Err(ApiError::invalid("limit", text)));
        }
        let filter = match filter(params) {
            Ok(filter) => filter,
            Err(error) => return step.reply(reply, Err(error)),
        };
        let (vault, head, before) = (Arc::clone(&self.vault), self.audit.head.clone(), params.before);
        let (checked, pruned) = (self.audit.checked, self.pruned_view());
        step.work(async move {
            let read = wiping_with(vault, move |vault| {
                let found = page(vault, &head, &filter, before, limit as usize).map_err(|error| storage(&error))?;
                let AuditPage { entries, next_before, whole } = found;
                Ok(AuditLog {
                    entries: entries.into_iter().map(|(seq, entry)| entry_view(seq, entry)).collect(),
                    chain_ok: whole && !head.broken,
                    chain_checked: checked,
                    more: next_before.is_some(),
                    next_before,
                    pruned,
                })
            });
            let result = crate::stack::spawn_blocking(read).await.unwrap_or_else(|_| Err(ApiError::stopped()));
            // Whoever asked may have gone.
            let _ = reply.send(result);
            Work::Tried
        });
    }

    pub(super) fn pruned_view(&self) -> Option<PrunedView> {
        let pruned = &self.audit.pruned;
        (pruned.entries > 0).then(|| PrunedView {
            entries: pruned.entries,
            until: At(pruned.until),
            kinds: pruned.kinds.clone(),
        })
    }

    fn alerts_view(&self) -> Alerts {
        let name = |subject: &Option<String>| {
            let account = subject.as_deref()?.parse::<AccountId>().ok()?;
            self.contacts.get(&account).map(|contact| contact.username.clone())
        };
        let view = |alert: &crate::security::alerts::StoredAlert| Alert {
            alert_id: alert.id.to_string(),
            at: At(alert.last),
            first_at: At(alert.first),
            kind: alert.kind.clone(),
            severity: alert.severity.name().to_owned(),
            subject: alert.subject.clone(),
            username: name(&alert.subject),
            detail: alert.detail.clone(),
            count: alert.count,
        };
        Alerts { alerts: self.audit.alerts.iter().map(view).collect() }
    }

    fn dismiss(&mut self, step: &mut Step<'_>, id: &str) -> Result<Done, ApiError> {
        let found = id.parse().is_ok_and(|id| self.audit.alerts.dismiss(id));
        if !found {
            return Err(ApiError::not_found("There is no such alert."));
        }
        self.store_alerts(step);
        self.audit(step, "alert.dismissed", Severity::Info, "An alert was dismissed.");
        Ok(Done {})
    }

    fn clear(&mut self, step: &mut Step<'_>, confirm: Option<bool>) -> Result<Done, ApiError> {
        if confirm != Some(true) {
            let text = "This deletes the audit log for good. Say confirm: true if you mean it.";
            return Err(ApiError::new(ErrorKind::ConfirmationRequired, text));
        }
        self.clear_audit(step);
        Ok(Done {})
    }

    fn facts(&mut self, step: &Step<'_>) -> Result<SecurityFacts, ApiError> {
        let shown: Vec<(AccountId, String, bool)> = self
            .contacts
            .values()
            .filter(|contact| contact.standing == Standing::Accepted)
            .map(|contact| (contact.account, contact.username.clone(), contact.verified))
            .collect();
        let verified = VerifiedFacts {
            contacts: shown.len(),
            verified: shown.iter().filter(|(_, _, verified)| *verified).count(),
        };
        let mut sessions = Vec::new();
        for (account, username, verified) in shown.into_iter().take(FACTS_SESSIONS_MAX) {
            let facts = self.sessions_with(step, account).map_err(|error| storage(&error))?.facts();
            sessions.push(SessionFact {
                username,
                account_id: account.to_string(),
                fingerprint: account.fingerprint(),
                verified,
                active: facts.active,
                answered: facts.answered,
                since: facts.since.map(At),
                last_used: facts.last_used.map(At),
                skipped_keys: facts.skipped_keys,
            });
        }
        let kdf = self.vault.kdf().map_err(|error| storage(&error))?;
        Ok(SecurityFacts {
            sessions,
            prekeys_left: self.prekeys.kits_here(),
            key_ages: KeyAges {
                identity: At(self.identity.public().to_wire().created),
                signed_prekey: At(self.prekeys.signed_created()),
            },
            verified,
            vault: VaultFacts {
                bytes: self.vault.bytes_on_disk(),
                kdf_memory_kib: kdf.memory_kib(),
                kdf_passes: kdf.passes(),
                audit_entries: self.audit.head.entries(),
            },
        })
    }

    /// `security.reset_session`: ours is set aside, and the contact is told under a new one.
    fn reset_session(&mut self, step: &mut Step<'_>, user: &str) -> Result<Done, ApiError> {
        let account = self.resolve(user)?;
        if !self.contacts.get(&account).is_some_and(|contact| contact.may_chat()) {
            return Err(ApiError::new(ErrorKind::NotAllowed, "There is no session with somebody who is no contact."));
        }
        self.sessions_with(step, account).map_err(|error| storage(&error))?.reset();
        step.sessions.insert(account);
        self.encrypt_anew(step, account);
        self.enqueue(step, account, MessageId::random(&mut rng()), Content::SessionReset, false)?;
        let text = "The encrypted session with a contact was started anew, by hand.";
        self.audit_about(step, "session.reset", Severity::Info, Some(account.to_string()), text);
        Ok(Done {})
    }

    /// Sets a request aside because of what is in it, before it is shown. Says whether.
    pub(super) fn judge_request(&mut self, step: &mut Step<'_>, id: MessageId) -> bool {
        let Some(request) = self.requests.get(&id) else { return false };
        let names = self.contacts.values().filter(|contact| contact.standing == Standing::Accepted);
        let names = names.map(|contact| contact.username.as_str());
        let reasons = self.strangers.judge(request.account.0, &request.username, &request.greeting, names);
        if reasons.is_empty() {
            return false;
        }
        let subject = Some(request.account.to_string());
        self.quarantine.insert(id, reasons);
        self.store_quarantine(step);
        let text = "A chat request of somebody new looks like spam, and was set aside.";
        self.audit_about(step, "request.quarantined", Severity::Info, subject, text);
        true
    }

    fn store_quarantine(&mut self, step: &mut Step<'_>) {
        let requests = &self.requests;
        self.quarantine.retain(|id, _| requests.get(id).is_some_and(|request| request.is_pending()));
        if let Ok(bytes) = codec::encode(&self.quarantine, QUARANTINE_MAX_BYTES) {
            step.txn.put(Table::Meta, QUARANTINE_ROW, &bytes);
        }
    }

    /// What was set aside before, from the vault.
    pub(super) fn load_quarantine(
        vault: &crate::store::Vault,
    ) -> Result<std::collections::BTreeMap<MessageId, Vec<Reason>>, crate::store::StoreError> {
        let row = vault.begin().get(Table::Meta, QUARANTINE_ROW)?;
        Ok(row.and_then(|bytes| codec::decode_own(&bytes, QUARANTINE_MAX_BYTES).ok()).unwrap_or_default())
    }

    fn quarantine_view(&self) -> Quarantine {
        let view = |(id, reasons): (&MessageId, &Vec<Reason>)| {
            let request = self.requests.get(id).filter(|request| request.incoming && request.is_pending())?;
            Some(QuarantinedMessage {
                message_id: id.to_string(),
                username: request.username.clone(),
                account_id: request.account.to_string(),
                fingerprint: request.account.fingerprint(),
                text: request.greeting.clone(),
                at: At(request.at),
                reasons: reasons.iter().map(|reason| reason.name().to_owned()).collect(),
            })
        };
        let mut messages: Vec<QuarantinedMessage> = self.quarantine.iter().filter_map(view).collect();
        messages.sort_by_key(|message| std::cmp::Reverse(message.at));
        Quarantine { messages }
    }

    fn waiting(&self, id: &str) -> Result<MessageId, ApiError> {
        let id = id
            .parse::<MessageId>()
            .ok()
            .filter(|id| self.requests.get(id).is_some_and(|request| request.incoming && request.is_pending()));
        id.ok_or_else(|| ApiError::not_found("There is no such request that waits for an answer."))
    }

    fn set_aside(&mut self, step: &mut Step<'_>, id: Option<&str>) -> Result<Quarantine, ApiError> {
        if let Some(id) = id {
            let id = self.waiting(id)?;
            self.quarantine.entry(id).or_insert_with(|| vec![Reason::ByHand]);
            self.store_quarantine(step);
        }
        Ok(self.quarantine_view())
    }

    fn release(&mut self, step: &mut Step<'_>, id: Option<&str>) -> Result<Quarantine, ApiError> {
        let ids = match id {
            Some(id) => {
                let id = self.waiting(id)?;
                if !self.quarantine.contains_key(&id) {
                    return Err(ApiError::not_found("This request is not in the quarantine."));
                }
                vec![id]
            }
            None => self.quarantine.keys().copied().collect(),
        };
        for id in ids {
            self.quarantine.remove(&id);
            if let Some(request) = self.requests.get(&id).filter(|request| request.is_pending()) {
                step.tell(Event::ContactRequest(request.view()));
            }
        }
        self.store_quarantine(step);
        Ok(self.quarantine_view())
    }
}
