//! What can go wrong in the vault, in sentences for the person who sees them.

use std::io;

use secure_chat_protocol::vault::{CreateError, HeaderError, RowError, UnlockError};

/// Why the vault did not do what was asked. Unless said otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The caller's fault.
    #[error("the password is wrong")]
    WrongPassword,
    /// The caller's fault: another process, or this one, has the vault open.
    #[error("this account is already open in another program; close it there first")]
    InUse,
    /// The environment's fault: a file is missing, cut short or changed.
    #[error("{what} is damaged; restore the account from a backup")]
    Damaged {
        /// The file or the record, for a person.
        what: &'static str,
    },
    /// The caller's fault: the program is older than the vault.
    #[error("this account was written by a newer version of the program (format {found}); update the program")]
    UnsupportedVersion {
        /// The version that was found.
        found: u32,
    },
    /// Somebody weakened the header: typing the password would not be safe.
    #[error("the key derivation of this account was tampered with; do not type the password, restore a backup")]
    Tampered,
    /// The environment's fault.
    #[error("the disk is full; make room and try again")]
    DiskFull,
    /// The environment's fault: key derivation needs more memory than there is.
    #[error("there is not enough memory to unlock the account; close other programs and try again")]
    OutOfMemory,
    /// The caller's fault.
    #[error("there is no such account on this device")]
    NoAccount,
    /// The caller's fault.
    #[error("an account with this name or identity exists on this device already")]
    Exists,
    /// The caller's fault.
    #[error("the password is too long; choose one of at most 1024 bytes")]
    PasswordTooLong,
    /// The caller's fault: a record is longer than the vault takes.
    #[error("a record of {bytes} bytes is too long to be stored")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The caller's fault: no such message.
    #[error("there is no such message")]
    NoMessage,
    /// The caller's fault: the vault was locked meanwhile.
    #[error("the account is locked")]
    Locked,
    /// The environment's fault: an earlier failure of the disk stops this until it is opened anew.
    #[error("the disk failed a moment ago; lock and unlock the account")]
    Stalled,
    /// The environment's fault.
    #[error("the disk failed: {0}")]
    Io(#[source] io::Error),
}

impl StoreError {
    /// Whether the disk may be in another state than memory believes.
    pub(super) const fn concerns_the_disk(&self) -> bool {
        matches!(self, Self::DiskFull | Self::Stalled | Self::Io(_) | Self::Damaged { .. })
    }
}

/// What the sentence names when the database does not hold what it should.
pub(super) const DATABASE: &str = "the account's database";

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::DiskFull,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::Damaged { what: DATABASE },
            _ => Self::Io(error),
        }
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        use redb::Error as E;
        match error {
            E::Io(error) => error.into(),
            E::PreviousIo | E::LockPoisoned(_) | E::DatabaseClosed => Self::Stalled,
            E::DatabaseAlreadyOpen => Self::InUse,
            E::UpgradeRequired(found) => Self::UnsupportedVersion { found: u32::from(found) },
            E::ValueTooLarge(bytes) => Self::TooLarge { bytes },
            E::Corrupted(_)
            | E::RepairAborted
            | E::TableTypeMismatch { .. }
            | E::TableIsMultimap(_)
            | E::TypeDefinitionChanged { .. }
            | E::TableDoesNotExist(_) => Self::Damaged { what: DATABASE },
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }
}

macro_rules! through_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

through_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError
);

impl From<HeaderError> for StoreError {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::Damaged => Self::Damaged { what: "the account's key file" },
            HeaderError::UnsupportedVersion(found) => Self::UnsupportedVersion { found: u32::from(found) },
            HeaderError::Weak | HeaderError::Absurd => Self::Tampered,
        }
    }
}

impl From<UnlockError> for StoreError {
    fn from(error: UnlockError) -> Self {
        match error {
            UnlockError::WrongPassword => Self::WrongPassword,
            UnlockError::Damaged => Self::Damaged { what: "the account's key file" },
            UnlockError::OutOfMemory => Self::OutOfMemory,
        }
    }
}

impl From<CreateError> for StoreError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::OutOfMemory => Self::OutOfMemory,
            CreateError::PasswordTooLong => Self::PasswordTooLong,
        }
    }
}

impl From<RowError> for StoreError {
    fn from(error: RowError) -> Self {
        match error {
            RowError::UnsupportedVersion(found) => Self::UnsupportedVersion { found: u32::from(found) },
            RowError::Damaged | RowError::Stale => Self::Damaged { what: "a record of the account" },
        }
    }
}
