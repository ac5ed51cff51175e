//! Accounts and settings.

use std::collections::BTreeMap;

use secure_chat_node::api::{Account, AccountEntry, AccountStatus, NodeHandle, Password, PasswordStrength, Status};

use super::Answered;

#[derive(Debug)]
pub(crate) enum Ask {
    List,
    Status,
    Create { username: String, password: Password },
    Unlock { username: String, password: Password },
    Lock,
    Invite,
    Strength { username: String, password: Password },
    Settings,
    Set { key: String, value: serde_json::Value },
    Presence(Status),
}

#[derive(Debug)]
pub(crate) enum Answer {
    List(Answered<Vec<AccountEntry>>),
    Status(Answered<AccountStatus>),
    Created(Answered<Account>),
    Unlocked(Answered<Account>),
    Locked(Answered<()>),
    Invite(Answered<String>),
    Strength(Answered<PasswordStrength>),
    Settings(Answered<BTreeMap<String, serde_json::Value>>),
    Set(Answered<BTreeMap<String, serde_json::Value>>),
    Presence(Status, Answered<()>),
}

impl Ask {
    pub(super) async fn perform(self, node: &NodeHandle) -> Answer {
        match self {
            Self::List => Answer::List(node.account_list().await.map(|list| list.accounts)),
            Self::Status => Answer::Status(node.account_status().await),
            Self::Create { username, password } => Answer::Created(node.account_create(username, password).await),
            Self::Unlock { username, password } => Answer::Unlocked(node.account_unlock(password, username).await),
            Self::Lock => Answer::Locked(node.account_lock().await.map(|_| ())),
            Self::Invite => Answer::Invite(node.account_invite().await.map(|invite| invite.invite)),
            Self::Strength { username, password } => {
                let username = (!username.is_empty()).then_some(username);
                Answer::Strength(node.account_password_strength(password, username).await)
            }
            Self::Settings => Answer::Settings(node.settings_get(None).await.map(|view| view.settings)),
            Self::Set { key, value } => Answer::Set(node.settings_set(key, value).await.map(|view| view.settings)),
            Self::Presence(status) => Answer::Presence(status, node.presence_set(status).await.map(|_| ())),
        }
    }
}
