//! What goes wrong, in the words of the person's interface.

use serde::Serialize;

/// The kind of an application error, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The account is locked.
    Locked,
    /// There is no account in this data directory.
    NoAccount,
    /// The name is here already.
    AccountExists,
    /// The password is wrong.
    WrongPassword,
    /// A parameter is not acceptable; `field` names it.
    InvalidInput,
    /// There is no such thing.
    NotFound,
    /// The contact's keys have changed; sending waits for the person.
    KeyChanged,
    /// A bound is reached.
    Full,
    /// The disk has no room.
    DiskFull,
    /// Another process has the vault open.
    VaultInUse,
    /// The vault can't be read.
    VaultDamaged,
    /// Written by a newer version of the program.
    UnsupportedVersion,
    /// Say explicitly that you mean it.
    ConfirmationRequired,
    /// Not permitted here.
    NotAllowed,
    /// Somebody else has the name.
    NameTaken,
    /// Nobody can be reached.
    NotConnected,
    /// Too often; `retry_after_ms` says when to come back.
    RateLimited,
    /// Longer than `limit_bytes`.
    TooLarge,
    /// Its time is over.
    Expired,
    /// Contradicts what is there.
    Conflict,
    /// The disk or the database failed.
    Storage,
    /// A fault of the program.
    Internal,
}

/// An application error: what happened, and what to do now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// For programs.
    pub kind: ErrorKind,
    /// For people: a sentence.
    #[serde(skip)]
    pub message: String,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    /// When to come back, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The limit that was passed, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
    /// The accounts that an ambiguous name may mean.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
}

impl ApiError {
    /// An error of this kind with a sentence for the person.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            field: None,
            retry_after_ms: None,
            limit_bytes: None,
            fingerprints: Vec::new(),
        }
    }

    /// A parameter is not acceptable.
    #[must_use]
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self { field: Some(field), ..Self::new(ErrorKind::InvalidInput, message) }
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// The account is locked.
    #[must_use]
    pub fn locked() -> Self {
        Self::new(ErrorKind::Locked, "The account is locked. Unlock it with its password first.")
    }

    /// The node has stopped.
    #[must_use]
    pub fn stopped() -> Self {
        Self::new(ErrorKind::Internal, "The peer has stopped. Start it again.")
    }
}

/// Why a call by name failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No such method.
    #[error("there is no method {0:?}")]
    UnknownMethod(String),
    /// The parameters don't fit the method.
    #[error("{message}")]
    InvalidParams {
        /// What is wrong.
        message: String,
        /// The parameter at fault, where it is known.
        field: Option<String>,
    },
    /// The method was carried out and failed.
    #[error(transparent)]
    Api(#[from] ApiError),
}
