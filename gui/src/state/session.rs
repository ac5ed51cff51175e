//! Whether an account is open, and the way there.

use secure_chat_node::api::{Account, AccountEntry, ApiError, PasswordStrength};

/// What the window can show at all.
#[derive(Debug, Default)]
pub(crate) enum Session {
    /// The node is starting.
    #[default]
    Starting,
    /// The node could not start: a sentence.
    Broken(String),
    /// No account is open.
    Closed(Gate),
    /// An account is open.
    Open(Box<Opened>),
}

/// How the way in came to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nobody was in yet: the program was just started, or the account is gone.
    #[default]
    Never,
    /// The account of this name was locked: its owner comes back to it.
    Locked(String),
    /// Somebody logged out: whoever comes next chooses an account.
    LoggedOut,
}

/// The way in.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub(crate) left: Left,
    /// `None` until the list was read.
    pub(crate) accounts: Option<Vec<AccountEntry>>,
    /// The key is being derived.
    pub(crate) busy: bool,
    /// Why it failed.
    pub(crate) error: Option<ApiError>,
    /// What the node thinks of the password that is being chosen.
    pub(crate) strength: Option<PasswordStrength>,
}

/// An open account.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) account: Account,
    /// When it was opened, in milliseconds.
    pub(crate) since_ms: u64,
    /// When it locks itself, unless somebody acts before, in milliseconds.
    pub(crate) locks_at_ms: Option<u64>,
    /// Where a new account stands in getting started.
    pub(crate) onboarding: Option<Step>,
    /// An invite to this account.
    pub(crate) invite: Option<Result<String, String>>,
}

/// What follows the name and password of a new account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The own invite.
    Invite,
    /// A rendezvous node.
    Rendezvous,
}

impl Opened {
    /// An account that was just opened, and perhaps just made.
    pub(crate) fn new(account: Account, now_ms: u64, is_new: bool) -> Self {
        Self { account, since_ms: now_ms, locks_at_ms: None, onboarding: is_new.then_some(Step::Invite), invite: None }
    }
}
