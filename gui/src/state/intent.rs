//! What the person can want, and what lies above everything else. Views say
//! it; nothing else of theirs acts.

use super::{Key, Step, Tab};
use crate::ask::{Ask, account, contacts, desktop, files, groups};
use crate::strings::tr;

/// What lies above everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// People and actions by name.
    Palette,
    /// A chat request by name or invite.
    NewChat {
        to: String,
    },
    /// Who is online.
    Online,
    /// The safety number of a contact.
    SafetyNumber(String),
    /// A link that wants to be opened.
    Link(String),
    /// What stays until it was seen.
    Notices,
    /// The report for trouble.
    Diagnostics(String),
    /// Keys, for those who don't want to use a mouse.
    Shortcuts,
    /// A file that is about to be shared.
    Share {
        path: String,
        to: Recipient,
    },
    /// Where a file is to be saved; the flag: it can run something.
    SaveFile {
        file_id: String,
        name: String,
        risky: bool,
    },
    /// Any emoji as a reaction to the message with this id.
    React(String),
    /// A new group, or the settings of one.
    EditGroup(Option<String>),
    /// Public groups.
    FindGroup,
    /// People and a link for a group.
    InviteToGroup(String),
    ChangePassword,
    Rekey,
    ExportBackup,
    ImportBackup,
    Wipe,
    /// Something that can't be undone.
    Confirm(Confirm),
}

/// With whom a file is shared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Recipient {
    #[default]
    Nobody,
    Person(String),
    /// By its id.
    Group(String),
}

/// What can't be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Confirm {
    Block(String),
    Remove(String),
    Delete { message_id: String, mine: bool },
    RemoveRendezvous(String),
    AcceptKey { user: String, fingerprint: String },
    ClearLog,
    DeleteFile { file_id: String, name: String },
    LeaveGroup { group_id: String, name: String },
    RemoveMember { group_id: String, user: String },
    TransferGroup { group_id: String, user: String },
    BanMember { group_id: String, user: String },
    ResetSession(String),
}

/// What the person wants.
#[derive(Debug)]
pub(crate) enum Intent {
    Go(Tab),
    Create {
        username: String,
        password: secure_chat_node::api::Password,
    },
    Unlock {
        username: String,
        password: secure_chat_node::api::Password,
    },
    /// Hides everything; the way in is that of this account.
    Lock,
    /// The same, and the way in is the choice of accounts.
    LogOut,
    /// The next step of getting started, or its end.
    Onboard(Option<Step>),
    OpenConversation(String),
    OpenRequest(String),
    OpenGroup(String),
    CloseSelection,
    Jump {
        conversation: String,
        message_id: String,
    },
    ScrollToEnd,
    Send,
    Reply(String),
    Edit(String),
    EditLast,
    CancelComposing,
    Retry {
        local: Option<u64>,
        message_id: String,
    },
    ToggleSearch,
    NextHit {
        back: bool,
    },
    Request {
        to: String,
        greeting: String,
    },
    Answer {
        request_id: String,
        ask: contacts::Ask,
    },
    Show(Overlay),
    CloseOverlay,
    AddRendezvous(String),
    Dial(String),
    Host,
    Set {
        key: Key,
        value: serde_json::Value,
    },
    Presence(secure_chat_node::api::Status),
    Share(files::Share),
    /// Asks about files that were dropped or pasted, one after the other.
    ShareSeveral(Vec<String>),
    /// The small picture of a file is looked at.
    Preview(String),
    /// A path from the desktop's chooser, beginning with this one.
    Pick {
        pick: desktop::Pick,
        path: String,
    },
    /// To this path, or to where the settings say.
    Download {
        file_id: String,
        path: Option<String>,
        confirm: bool,
    },
    ExportLog {
        path: String,
        format: &'static str,
    },
    ConfirmClearLog,
    /// Reads the audit log anew, with the filter as it is now.
    FilterLog,
    ReadLogOn,
    /// A dialog about a group asks.
    AskGroup(groups::Ask),
    SearchGroups(String),
    /// Something about the account as a whole: its password, a backup, its end.
    Care(account::Ask),
    Ask(Ask),
    Copy {
        text: String,
        said: &'static str,
    },
    OpenLink(String),
}

/// What only the desktop can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Copy(String),
    OpenLink(String),
    /// Nothing of the account may stay in the window's memory.
    Forget,
    /// The composer takes what is typed.
    FocusComposer,
}

impl<T: Into<Ask>> From<T> for Intent {
    fn from(ask: T) -> Self {
        Self::Ask(ask.into())
    }
}

/// What the toast says when something was copied.
pub(crate) fn copied(text: impl Into<String>) -> Intent {
    Intent::Copy { text: text.into(), said: tr().copied }
}
