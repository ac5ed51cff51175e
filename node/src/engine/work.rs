//! Asynchronous work of the engine, and the results that come back as inputs.

use secure_chat_protocol::id::{AccountId, EnvelopeId, GroupId};
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::group::GroupMissing;
use secure_chat_protocol::wire::peer::{DeliveryStatus, Hello, PeerResponse};
use secure_chat_protocol::wire::rendezvous::{Found, Presence, Refusal, Response, StoredEnvelope};

use super::deposit::Deposits;
use super::groups::{Appended, ListedGroup, LogPage};
use super::homes::Shown;
use super::state::Opening;
use crate::api::{Account, Dialled, HostedAddress, OnlineUsers, Reply, RequestMade, User};
use crate::messaging::limits::RETRY_MAX_MS;
use crate::network::{Address, DialError, PeerId, RequestError, Status};

/// What comes back to the engine.
pub(crate) enum Done {
    /// An account was made or opened, or was not.
    Opened {
        result: Result<Box<Opening>, crate::api::ApiError>,
        /// Whose password was tried, and what was known of attempts before.
        attempt: Option<(crate::store::AccountFile, crate::security::attempts::Attempts)>,
        reply: Reply<Account>,
    },
    /// Work of the account that was opened at this count.
    Work { generation: u64, work: Box<Work> },
}

/// Results of work for the open account.
pub(crate) enum Work {
    /// A delivery was answered.
    Delivered { to: AccountId, peer: PeerId, epoch: u32, rows: Vec<u64>, result: Result<PeerResponse, RequestError> },
    /// A hello was answered.
    Hello { peer: PeerId, result: Result<Hello, RequestError> },
    /// Deposits were made, or not.
    Deposited { to: AccountId, epoch: u32, deposits: Deposits },
    /// A bundle was fetched, with the newest record that came with it.
    Bundle { of: AccountId, bundle: Option<Vec<u8>>, found: Vec<(Address, Found)> },
    /// What nodes say of somebody who announced a newer record.
    Records { found: Vec<(Address, Found)> },
    /// A home answered the registration.
    Registered { home: Address, result: Result<Response, RequestError> },
    /// A home has everything it needs from us.
    HomeReady { home: Address, result: Result<(Shown, Vec<Presence>), HomeFault> },
    /// A home was told what has changed of us.
    HomeShown { home: Address, result: Result<(Shown, Vec<Presence>), HomeFault> },
    /// A home's mail.
    Mail { home: Address, result: Result<(Vec<StoredEnvelope>, bool), HomeFault> },
    /// A home was told something; it matters only when it failed.
    HomeTold { home: Address, result: Result<Response, RequestError> },
    /// Somebody was looked up for a request.
    LookedUp { found: Vec<(Address, Found)>, user: String, purpose: LookupPurpose, asked: usize },
    /// Who is online, as the homes say.
    Online { people: Vec<Found>, reply: Reply<OnlineUsers> },
    /// An address was dialled.
    Dialled { result: Result<PeerId, DialError>, reply: Reply<Dialled> },
    /// The network's state, for whoever asked.
    Network { status: Option<Status>, want: NetworkWant },
    /// The host of a rendezvous node answered.
    Hosted { result: Result<String, String>, reply: Reply<HostedAddress> },
    /// What became of a batch for a group's log at one node.
    GroupLogged { group: GroupId, node: String, appended: Appended },
    /// A page of a group's log at a node.
    GroupLog(LogPage),
    /// The directories said whether a public group's name is taken.
    GroupNamed { taken: bool, naming: super::groups::Naming },
    /// The directories were told of a public group.
    GroupListed { group: GroupId, taken: bool },
    /// The directories answered a search.
    GroupsFound { listings: Vec<Bytes>, reply: Reply<crate::api::GroupsFound> },
    /// The directories answered what they know of a group that is to be joined.
    GroupEntry { listed: ListedGroup, reply: Reply<crate::api::GroupJoining> },
    /// The nodes said how an admin who may be asked to be let in is reached.
    AdminFound { group: GroupId, admin: AccountId, found: Vec<Found> },
    /// A member answered what is missing of a group.
    GroupFetched { group: GroupId, from: AccountId, result: Result<GroupMissing, RequestError> },
    /// Something about a file is done.
    File(super::files::FileWork),
    /// The password was changed, or was not.
    PasswordChanged {
        account: crate::store::AccountFile,
        before: crate::security::attempts::Attempts,
        result: Result<(), crate::api::ApiError>,
        reply: Reply<crate::api::Done>,
    },
    /// A backup was written, or was not.
    BackedUp {
        result: Result<crate::api::BackupWritten, crate::api::ApiError>,
        reply: Reply<crate::api::BackupWritten>,
    },
    /// The whole audit log from `first` on was looked at; `None` when it could not be read.
    AuditWalked { first: u64, ok: Option<bool> },
    /// More of a cleared audit log is to be deleted.
    AuditSweep,
    /// A report was written but for its signature.
    AuditWritten { result: Result<super::export::Written, crate::api::ApiError>, reply: Reply<crate::api::Exported> },
    /// A contact was tried, so that it may be reached from now on.
    Tried,
}

/// What a lookup is for.
pub(crate) enum LookupPurpose {
    /// `users.find`.
    Find(Reply<User>),
    /// `contacts.request`.
    Request { greeting: String, reply: Reply<RequestMade> },
}

/// Who asked for the network's state.
pub(crate) enum NetworkWant {
    Status(Reply<crate::api::NetworkStatus>),
    Connections(Reply<crate::api::Connections>),
    Diagnostics(Reply<crate::api::Diagnostics>),
    All(Reply<crate::api::NodeStatus>),
    Invite(Reply<crate::api::Invite>),
}

/// Why a home did not do what it was asked.
#[derive(Debug, Clone)]
pub(crate) enum HomeFault {
    Refused(Refusal),
    Network(RequestError),
    /// It answered with something else than was asked for.
    Nonsense,
}

impl HomeFault {
    /// How long to wait at least before asking again, in milliseconds.
    pub(crate) const fn wait_ms(&self) -> u64 {
        match self {
            Self::Refused(Refusal::SlowDown { retry_after_ms }) => *retry_after_ms,
            Self::Refused(Refusal::NameTaken | Refusal::Full) => RETRY_MAX_MS,
            _ => 0,
        }
    }

    /// For the person.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Refused(Refusal::NameTaken) => "somebody else has this name at the node".into(),
            Self::Refused(Refusal::Full) => "the node is full".into(),
            Self::Refused(Refusal::SlowDown { retry_after_ms }) => {
                format!("the node asks to slow down, for {} s", retry_after_ms.div_ceil(1000))
            }
            Self::Refused(refusal) => format!("the node refuses: {refusal:?}"),
            Self::Network(error) => error.to_string(),
            Self::Nonsense => "the node gives an answer that doesn't fit the question".into(),
        }
    }
}

/// One envelope, to be sealed and deposited.
pub(crate) struct Parcel {
    pub(crate) id: EnvelopeId,
    pub(crate) inner: Vec<u8>,
    pub(crate) last_row: u64,
    pub(crate) token: Option<Token>,
}

/// A delivery token: which one of whose grant.
#[derive(Clone, Copy)]
pub(crate) struct Token {
    pub(crate) seed: Fixed<32>,
    pub(crate) index: u32,
}

/// Whether the recipient has a message, as far as its answer says.
pub(crate) const fn is_acknowledged(status: DeliveryStatus) -> bool {
    matches!(status, DeliveryStatus::Stored)
}
