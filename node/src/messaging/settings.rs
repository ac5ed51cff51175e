//! The person's settings: their names, defaults and what they accept.

use std::collections::BTreeMap;

use secure_chat_protocol::limits::{CHUNK_MIN_BYTES, MANIFEST_LEAVES_MAX};
use secure_chat_protocol::wire::rendezvous::PresenceStatus;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{ApiError, SettingsView};

/// Who may ask for a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhoMayRequest {
    /// Everybody.
    Everyone,
    /// Whoever has an invite that was made here.
    Invited,
    /// Nobody.
    Nobody,
}

/// Which types of files may be shared and fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilePolicy {
    /// Documents, images, media, archives and code of the well-known types.
    Known,
    /// All.
    All,
}

/// What the person shows of themselves while the account is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChosenPresence {
    /// There and active.
    Online,
    /// There, and not at hand.
    Away,
    /// Shown as offline.
    Invisible,
}

impl ChosenPresence {
    /// As rendezvous nodes are told it.
    #[must_use]
    pub const fn status(self) -> PresenceStatus {
        match self {
            Self::Online => PresenceStatus::Online,
            Self::Away => PresenceStatus::Away,
            Self::Invisible => PresenceStatus::Invisible,
        }
    }
}

/// The person's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Locks the account after so many minutes without a command; 0 for never.
    pub auto_lock_minutes: u32,
    /// Tells others when their messages were read.
    pub read_receipts: bool,
    /// Tells others that one is writing.
    pub typing: bool,
    /// Tells others when one is online.
    pub share_presence: bool,
    /// What others see, until the person chooses otherwise: also after a restart, so that nobody who chose to be
    /// invisible is seen because the program was started again.
    pub presence: ChosenPresence,
    /// Tells rendezvous nodes and contacts the own addresses, also in invites, so that others connect directly.
    pub share_addresses: bool,
    /// Shows desktop notifications.
    pub notifications: bool,
    /// Shows what a message says in its notification.
    pub notification_content: bool,
    /// Who may ask for a chat.
    pub who_may_request: WhoMayRequest,
    /// Rendezvous nodes that were added, besides those of the configuration.
    pub rendezvous: Vec<String>,
    /// Where received files go unless it is said; nothing for `downloads` in the data directory.
    pub download_folder: Option<String>,
    /// Received files are kept encrypted in the data directory, unless it is said where to put them.
    pub encrypt_received_files: bool,
    /// Which types of files may be shared and fetched.
    pub file_policy: FilePolicy,
    /// Longest file that is left at rendezvous nodes for somebody who is away, in bytes; 0 for none.
    pub upload_max_bytes: u64,
    /// What the window remembers of itself: opaque here, at most 64 KiB.
    pub window: Value,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auto_lock_minutes: 15,
            read_receipts: true,
            typing: true,
            share_presence: true,
            presence: ChosenPresence::Online,
            share_addresses: true,
            notifications: true,
            notification_content: false,
            who_may_request: WhoMayRequest::Everyone,
            rendezvous: Vec::new(),
            download_folder: None,
            encrypt_received_files: false,
            file_policy: FilePolicy::Known,
            upload_max_bytes: UPLOAD_MAX_BYTES,
            window: Value::Null,
        }
    }
}

/// Files up to this size are left at rendezvous nodes unless it is set otherwise: 50 MB.
const UPLOAD_MAX_BYTES: u64 = 50_000_000;
/// Longest file that can be left at a rendezvous node, in bytes: whoever reads it there has nobody to ask for
/// the hashes of its chunks, and a message has room for so many.
const UPLOAD_LIMIT_BYTES: u64 = MANIFEST_LEAVES_MAX as u64 * CHUNK_MIN_BYTES as u64;
/// The longest setting, in bytes of its JSON.
const SETTING_MAX_BYTES: usize = 64 * 1024;
/// The longest time until the account locks itself, in minutes: a week.
const AUTO_LOCK_MAX_MINUTES: u32 = 7 * 24 * 60;

impl Settings {
    /// The settings as they were stored. What this version doesn't know is left out; of a value that it can't read,
    /// and of all if nothing can be read, that counts which tells others least: nobody is shown who did not want it.
    #[must_use]
    pub fn restore(json: &[u8]) -> Self {
        if let Ok(settings) = serde_json::from_slice(json) {
            return settings;
        }
        let quiet = Self {
            read_receipts: false,
            typing: false,
            share_presence: false,
            presence: ChosenPresence::Invisible,
            share_addresses: false,
            who_may_request: WhoMayRequest::Invited,
            ..Self::default()
        };
        let Ok(Value::Object(stored)) = serde_json::from_slice(json) else { return quiet };
        let (Ok(Value::Object(mut all)), Ok(least)) =
            (serde_json::to_value(Self::default()), serde_json::to_value(&quiet))
        else {
            return quiet;
        };
        for (key, value) in stored {
            let Some(known) = all.get_mut(&key) else { continue };
            let default = std::mem::replace(known, value);
            if serde_json::from_value::<Self>(Value::Object(all.clone())).is_err() {
                all.insert(key.clone(), least.get(&key).cloned().unwrap_or(default));
            }
        }
        serde_json::from_value(Value::Object(all)).unwrap_or(quiet)
    }

    /// All of them by name, or one.
    ///
    /// # Errors
    /// [`ApiError`] when there is no setting of that name.
    pub fn view(&self, key: Option<&str>) -> Result<SettingsView, ApiError> {
        let all = match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map.into_iter().collect::<BTreeMap<_, _>>(),
            _ => BTreeMap::new(),
        };
        match key {
            None => Ok(SettingsView { settings: all }),
            Some(key) => {
                let value = all.get(key).cloned().ok_or_else(|| unknown(key))?;
                Ok(SettingsView { settings: BTreeMap::from([(key.to_owned(), value)]) })
            }
        }
    }

    /// These settings with one of them changed.
    ///
    /// # Errors
    /// [`ApiError`] when there is no setting of that name, or it doesn't take that value.
    pub fn with(&self, key: &str, value: Value) -> Result<Self, ApiError> {
        if key == "rendezvous" {
            return Err(ApiError::invalid("key", "Use network.add_rendezvous and network.remove_rendezvous for this."));
        }
        if serde_json::to_vec(&value).map_or(usize::MAX, |json| json.len()) > SETTING_MAX_BYTES {
            return Err(ApiError::invalid("value", "The value is too long: a setting takes at most 64 KiB."));
        }
        let mut all = serde_json::to_value(self).map_err(|_| unknown(key))?;
        *all.get_mut(key).ok_or_else(|| unknown(key))? = value;
        let changed: Self = serde_json::from_value(all)
            .map_err(|error| ApiError::invalid("value", format!("{key} does not take this value: {error}.")))?;
        if changed.auto_lock_minutes > AUTO_LOCK_MAX_MINUTES {
            return Err(ApiError::invalid("value", "The account locks itself after at most a week; 0 means never."));
        }
        if key == "upload_max_bytes" && changed.upload_max_bytes > UPLOAD_LIMIT_BYTES {
            let text = format!(
                "At most {UPLOAD_LIMIT_BYTES} bytes of a file wait at rendezvous nodes; longer ones go over when both \
                 are there. 0 means none."
            );
            return Err(ApiError { limit_bytes: Some(UPLOAD_LIMIT_BYTES), ..ApiError::invalid("value", text) });
        }
        Ok(changed)
    }
}

fn unknown(key: &str) -> ApiError {
    ApiError::invalid("key", format!("There is no setting {key:?}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_takes_only_what_fits_it() {
        let settings = Settings::default();
        assert!(!settings.with("typing", Value::Bool(false)).unwrap().typing);
        assert_eq!(settings.with("typing", Value::from(3)).unwrap_err().field, Some("value"));
        let hidden = settings.with("presence", Value::from("invisible")).unwrap();
        assert_eq!(hidden.presence, ChosenPresence::Invisible);
        assert_eq!(settings.with("presence", Value::from("offline")).unwrap_err().field, Some("value"));
        assert_eq!(settings.with("no_such", Value::Null).unwrap_err().field, Some("key"));
        let most = settings.with("upload_max_bytes", Value::from(UPLOAD_LIMIT_BYTES)).unwrap();
        assert_eq!(most.upload_max_bytes, 134_217_728);
        let refused = settings.with("upload_max_bytes", Value::from(UPLOAD_LIMIT_BYTES + 1)).unwrap_err();
        assert_eq!((refused.field, refused.limit_bytes), (Some("value"), Some(UPLOAD_LIMIT_BYTES)));
        assert!(refused.message.contains("134217728"), "{}", refused.message);
        assert_eq!(settings.with("auto_lock_minutes", Value::from(1_000_000)).unwrap_err().field, Some("value"));
    }

    #[test]
    fn settings_that_cannot_be_read_show_nobody_who_did_not_want_it() {
        let newer = br#"{"typing":false,"presence":"invisible","sounds":{"volume":3},"share_addresses":true}"#;
        let read = Settings::restore(newer);
        assert_eq!((read.typing, read.presence), (false, ChosenPresence::Invisible));
        assert!(read.share_addresses && read.read_receipts, "what can be read counts, what is not there is as always");
        let other = br#"{"presence":"do_not_disturb","share_presence":true,"auto_lock_minutes":5}"#;
        let read = Settings::restore(other);
        assert_eq!((read.presence, read.auto_lock_minutes), (ChosenPresence::Invisible, 5));
        let garbage = Settings::restore(b"{");
        assert!(!garbage.share_presence && !garbage.share_addresses && !garbage.read_receipts && !garbage.typing);
    }
}
