//! The audit log, alerts, and facts about keys and storage.

use secure_chat_node::api::{At, NodeHandle};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::activity::{Activity, activity};
use super::{Answered, by_name};

/// Entries read at once.
pub(crate) const PAGE_ENTRIES: u32 = 200;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) at: At,
    pub(crate) kind: String,
    pub(crate) severity: String,
    pub(crate) detail: String,
}

/// A page of the log.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Log {
    #[serde(default)]
    pub(crate) entries: Vec<Entry>,
    /// Nobody has changed or removed an entry.
    #[serde(default)]
    pub(crate) chain_ok: Option<bool>,
    #[serde(default)]
    pub(crate) more: Option<bool>,
    /// Where the next page begins.
    #[serde(default)]
    pub(crate) next_before: Option<u64>,
}

/// Something suspicious.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Alert {
    #[serde(default, alias = "id")]
    pub(crate) alert_id: Value,
    pub(crate) at: At,
    pub(crate) kind: String,
    pub(crate) severity: String,
    #[serde(default)]
    pub(crate) subject: Option<String>,
    /// The subject's name, if it is a contact.
    #[serde(default)]
    pub(crate) username: Option<String>,
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) count: u64,
}

/// A chat request that was set aside instead of shown.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct SetAside {
    pub(crate) message_id: String,
    #[serde(default)]
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) account_id: String,
    #[serde(default)]
    pub(crate) fingerprint: String,
    #[serde(default)]
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) at: At,
    /// In the node's words.
    #[serde(default)]
    pub(crate) reasons: Vec<String>,
}

/// A contact's encrypted session.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct SessionFact {
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) account_id: String,
    #[serde(default)]
    pub(crate) verified: bool,
    #[serde(default)]
    pub(crate) active: bool,
    #[serde(default)]
    pub(crate) since: Option<At>,
    #[serde(default)]
    pub(crate) last_used: Option<At>,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) severity: Option<&'static str>,
    pub(crate) query: String,
    /// Not older than this, and the days that it stands for.
    pub(crate) since: Option<(u32, At)>,
}

#[derive(Debug)]
pub(crate) enum Ask {
    /// Entries before `before`, the newest without; `serial` names the filter.
    Log {
        before: Option<u64>,
        filter: Filter,
        serial: u64,
    },
    Alerts,
    /// What the last days had, as of now, in milliseconds.
    Activity(u64),
    Facts,
    Dismiss(Value),
    Export {
        path: String,
        format: &'static str,
    },
    Clear,
    SetAside,
    /// Shows a request that was set aside after all.
    Release(String),
    /// Declines it, unseen by whoever asked.
    Discard(String),
    /// Starts the encrypted session with a contact anew.
    ResetSession(String),
}

#[derive(Debug)]
pub(crate) enum Answer {
    Log { before: Option<u64>, serial: u64, result: Answered<Log> },
    Alerts(Answered<Vec<Alert>>),
    Activity(Answered<Activity>),
    Facts(Answered<Map<String, Value>>),
    Dismissed(Answered<()>),
    Exported { path: String, result: Answered<u64> },
    Cleared(Answered<()>),
    SetAside(Answered<Vec<SetAside>>),
    Released(Answered<()>),
    Discarded(Answered<()>),
    SessionReset { user: String, result: Answered<()> },
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Quarantine {
    messages: Vec<SetAside>,
}

#[derive(Deserialize)]
struct Exported {
    entries: u64,
}

impl Ask {
    pub(super) async fn perform(self, node: &NodeHandle) -> Answer {
        match self {
            Self::Log { before, filter, serial } => {
                let query = (!filter.query.is_empty()).then_some(filter.query);
                let since = filter.since.map(|(_, at)| at);
                let params = json!({"before": before, "limit": PAGE_ENTRIES, "severity": filter.severity,
                    "query": query, "since": since});
                Answer::Log { before, serial, result: by_name::ask(node, "security.audit_log", params).await }
            }
            Self::Alerts => {
                let result = by_name::ask::<Alerts>(node, "security.alerts", json!({})).await;
                Answer::Alerts(result.map(|list| list.alerts))
            }
            Self::Activity(now_ms) => Answer::Activity(activity(node, now_ms).await),
            Self::Facts => Answer::Facts(by_name::ask(node, "security.facts", json!({})).await),
            Self::Dismiss(alert) => {
                Answer::Dismissed(by_name::tell(node, "security.dismiss", json!({"alert_id": alert})).await)
            }
            Self::Export { path, format } => {
                let params = json!({"path": path, "format": format});
                let result = by_name::ask::<Exported>(node, "security.export", params).await;
                Answer::Exported { path, result: result.map(|exported| exported.entries) }
            }
            Self::Clear => Answer::Cleared(by_name::tell(node, "security.clear", json!({"confirm": true})).await),
            Self::SetAside => {
                let result = by_name::ask::<Quarantine>(node, "security.quarantine", json!({})).await;
                Answer::SetAside(result.map(|quarantine| quarantine.messages))
            }
            Self::Release(message_id) => {
                let params = json!({"message_id": message_id});
                Answer::Released(by_name::tell(node, "security.release", params).await)
            }
            Self::Discard(request_id) => Answer::Discarded(node.contacts_decline(request_id).await.map(|_| ())),
            Self::ResetSession(user) => {
                let result = by_name::tell(node, "security.reset_session", json!({"user": user})).await;
                Answer::SessionReset { user, result }
            }
        }
    }
}
