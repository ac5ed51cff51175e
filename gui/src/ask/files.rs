//! Files that were shared.

use secure_chat_node::api::{At, NodeHandle};
use serde::Deserialize;
use serde_json::json;

use super::{Answered, by_name};

/// A file, as `files.list` and the events show it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct File {
    pub(crate) file_id: String,
    pub(crate) name: String,
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) mime: String,
    #[serde(default)]
    pub(crate) from: String,
    #[serde(default)]
    pub(crate) to: Option<String>,
    #[serde(default)]
    pub(crate) group_id: Option<String>,
    #[serde(default)]
    pub(crate) at: At,
    #[serde(default)]
    pub(crate) expires_at: Option<At>,
    #[serde(default)]
    pub(crate) downloads: u64,
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) mine: bool,
    #[serde(default)]
    pub(crate) caption: Option<String>,
    /// Where it was saved.
    #[serde(default)]
    pub(crate) path: Option<String>,
    #[serde(default)]
    pub(crate) bytes_done: u64,
    /// Why it stands so.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// What to know before it is opened.
    #[serde(default)]
    pub(crate) warning: Option<String>,
    /// Rendezvous nodes where it waits.
    #[serde(default)]
    pub(crate) stored_at: u64,
}

/// What is shared, and with whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) path: String,
    pub(crate) to: Option<String>,
    pub(crate) group_id: Option<String>,
    pub(crate) expires: &'static str,
    pub(crate) caption: String,
    /// It can run something, and the person knows.
    pub(crate) confirm: bool,
}

/// What can be done about a file that moves or lies here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Pause,
    Resume,
    Cancel,
    Retry,
    Delete,
}

impl Deed {
    fn method(self) -> &'static str {
        match self {
            Self::Pause => "files.pause",
            Self::Resume => "files.resume",
            Self::Cancel => "files.cancel",
            Self::Retry => "files.retry",
            Self::Delete => "files.delete",
        }
    }
}

#[derive(Debug)]
pub(crate) enum Ask {
    List,
    Share(Share),
    /// `confirm`: it can run something, and the person knows.
    Download {
        file_id: String,
        path: String,
        confirm: bool,
    },
    Do {
        file_id: String,
        deed: Deed,
    },
}

#[derive(Debug)]
pub(crate) enum Answer {
    List(Answered<Vec<File>>),
    Shared(Answered<()>),
    Downloaded { file_id: String, path: String, result: Answered<()> },
    Done { file_id: String, deed: Deed, result: Answered<()> },
}

#[derive(Deserialize)]
struct Files {
    files: Vec<File>,
}

impl Ask {
    pub(super) async fn perform(self, node: &NodeHandle) -> Answer {
        match self {
            Self::List => {
                let result = by_name::ask::<Files>(node, "files.list", json!({})).await;
                Answer::List(result.map(|list| list.files))
            }
            Self::Share(share) => {
                let caption = (!share.caption.is_empty()).then_some(share.caption);
                let params = json!({
                    "path": share.path, "to": share.to, "group_id": share.group_id,
                    "expires": share.expires, "caption": caption, "confirm": share.confirm.then_some(true),
                });
                Answer::Shared(by_name::tell(node, "files.share", params).await)
            }
            Self::Download { file_id, path, confirm } => {
                let params = json!({"file_id": file_id, "path": path, "confirm": confirm.then_some(true)});
                let result = by_name::tell(node, "files.download", params).await;
                Answer::Downloaded { file_id, path, result }
            }
            Self::Do { file_id, deed } => {
                let result = by_name::tell(node, deed.method(), json!({"file_id": file_id})).await;
                Answer::Done { file_id, deed, result }
            }
        }
    }
}
