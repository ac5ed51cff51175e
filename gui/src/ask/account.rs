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
    ChangePassword { old: Password, new: Password },
    Rekey { password: Password },
    Export { path: String, passphrase: Password },
    Import { path: String, passphrase: Password, password: Password },
    Wipe { password: Password },
}

/// What was done about the account as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Care {
    PasswordChanged,
    Rekeyed,
    Exported { path: String },
    Imported,
    Wiped,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Cared(Care, Answered<()>),
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
            care => care.perform_care(node).await,
        }
    }

    async fn perform_care(self, node: &NodeHandle) -> Answer {
        // Typed, so that no copy of a password is left in a value that nobody wipes.
        let (care, result) = match self {
            Self::ChangePassword { old, new } => {
                (Care::PasswordChanged, node.account_change_password(old, new).await.map(|_| ()))
            }
            Self::Rekey { password } => (Care::Rekeyed, node.account_rekey(password).await.map(|_| ())),
            Self::Export { path, passphrase } => {
                let result = node.account_export(path.clone(), passphrase).await.map(|_| ());
                (Care::Exported { path }, result)
            }
            Self::Import { path, passphrase, password } => {
                (Care::Imported, node.account_import(path, passphrase, password).await.map(|_| ()))
            }
            Self::Wipe { password } => (Care::Wiped, node.account_wipe(password, None).await.map(|_| ())),
            // The others are asked above.
            _ => return Answer::Locked(Ok(())),
        };
        Answer::Cared(care, result)
    }
}
