//! What the application is shown of files.

use serde::{Deserialize, Serialize};

use super::At;

/// How it stands with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// An own file that others may fetch.
    Shared,
    /// An own file whose source was changed, moved or deleted: nobody can fetch it
    /// until it is as it was.
    Changed,
    /// Somebody else's, not asked for yet.
    Offered,
    /// Asked for; nobody who has it can be reached now, or others come first.
    Waiting,
    /// On its way.
    Downloading,
    /// Halted by the person.
    Paused,
    /// Here, whole and verified.
    Completed,
    /// Given up, with a reason.
    Failed,
    /// Given up by the person.
    Cancelled,
}

/// Which files a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSource {
    /// Shared between two people.
    Personal,
    /// Shared in groups.
    Group,
}

/// When a file goes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Expiry {
    /// Not.
    #[default]
    #[serde(rename = "never")]
    Never,
    /// After a day.
    #[serde(rename = "24h")]
    Day,
    /// After a week.
    #[serde(rename = "1w")]
    Week,
}

/// Encrypted bytes that came by each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Routes {
    /// From machine to machine.
    pub direct: u64,
    /// Through a rendezvous node, from somebody who was there.
    pub relayed: u64,
    /// Out of a rendezvous node, where they waited.
    pub stored: u64,
}

impl Routes {
    /// Together with what came in another attempt.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            direct: self.direct.saturating_add(other.direct),
            relayed: self.relayed.saturating_add(other.relayed),
            stored: self.stored.saturating_add(other.stored),
        }
    }
}

/// A shared file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileView {
    /// Names it.
    pub file_id: String,
    /// Its name, made safe.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its media type, by its name and content.
    pub mime: String,
    /// Who shares it.
    pub from: String,
    /// Their account.
    pub account_id: String,
    /// With whom, for an own file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// In which group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// The message that shares it.
    pub message_id: String,
    /// The contact's username, or a group id.
    pub conversation: String,
    /// When it was shared.
    pub at: At,
    /// When it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<At>,
    /// How many have it whole.
    pub downloads: usize,
    /// How it stands.
    pub state: FileState,
    /// Shared by this account.
    pub mine: bool,
    /// What its sharer says about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub caption: String,
    /// Bytes that are here.
    pub bytes_done: u64,
    /// Where it is, or goes; nothing for a copy that is kept encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The copy here is kept encrypted: `files.download` with a path makes a readable one.
    pub encrypted: bool,
    /// Why it stands so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the person should know before they open it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// There is a small picture of it: `files.preview`.
    pub preview: bool,
    /// It waits at this number of rendezvous nodes.
    pub stored_at: usize,
}

/// `files.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Files {
    /// The newest first.
    pub files: Vec<FileView>,
}

/// `files.share`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileShared {
    /// Names the file.
    pub file_id: String,
    /// The message that shares it.
    pub message_id: String,
}

/// `files.download`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Downloaded {
    /// Of the file.
    pub bytes: u64,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    /// Where it is.
    pub path: String,
    /// By which ways it came in this run of the program.
    pub routes: Routes,
    /// How many handed it over: people and rendezvous nodes, in the attempt that ended it.
    pub holders: usize,
    /// What the person should know before they open it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// `files.preview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilePreview {
    /// Always `image/jpeg`.
    pub mime: String,
    /// In base64.
    pub data: String,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// Which way bytes of a file go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To this device.
    Download,
    /// To rendezvous nodes.
    Upload,
}
