//! Between a peer and a rendezvous node, over one authenticated libp2p
//! connection (protocol `/secure-chat/rendezvous/1`). Requests go both ways: the
//! node pushes [`Push`] as requests of its own, so that no client polls.
//!
//! Each request has a stream of its own: the asker writes one frame, the other
//! answers with one frame. A frame is its length in bytes as a 32-bit
//! little-endian number, at most [`RENDEZVOUS_FRAME_MAX_BYTES`], then the
//! encoding; a stream that ends inside a frame is an error.

use serde::{Deserialize, Serialize};

mod blob;
mod directory;
mod group_log;

pub use blob::{BlobCharge, BlobRequest, BlobState};
pub use directory::{CURSOR_MAX_BYTES, DirectoryRequest, LISTINGS_MAX, QUERY_MAX_BYTES};
pub use group_log::{GroupLogRequest, LOG_ENTRIES_MAX, LogEntry, LogStamp};

use crate::id::{AccountId, EnvelopeId, MailboxId, Timestamp};
use crate::limits::{ADDRESSES_MAX, KITS_MAX, RENDEZVOUS_FRAME_MAX_BYTES};
use crate::wire::codec::{self, Bytes, DecodeError, EncodeError, Fixed};

/// The libp2p protocol name of requests from peers to the node.
pub const RENDEZVOUS_PROTOCOL: &str = "/secure-chat/rendezvous/1";
/// The libp2p protocol name of pushes from the node to its peers.
pub const PUSH_PROTOCOL: &str = "/secure-chat/push/1";
/// Accounts that one [`Request::Watch`] or [`Request::Lookup`] names.
pub const ACCOUNTS_MAX: usize = 1_000;
/// Records that one answer lists.
pub const RECORDS_MAX: usize = 100;
/// Envelopes that one answer lists.
pub const ENVELOPES_MAX: usize = 4_096;
/// Token hashes that one [`Request::AddTokens`] carries.
pub const TOKENS_PER_REQUEST_MAX: usize = 4_096;

/// What a peer asks a rendezvous node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The node's limits. Answered by [`Response::Info`].
    Info,
    /// Registers or renews the caller's record; the connection then speaks for
    /// that account. The record must name the peer id of this connection, its seq
    /// must not be behind the stored one's. Answered by [`Response::Registered`].
    Register {
        /// The encoded, signed [`crate::record::RecordIn`].
        record: Bytes,
    },
    /// Gives the caller's name and everything kept for it back. Answered by [`Response::Done`].
    Unregister,
    /// Where the caller listens, replacing what it said before. Answered by [`Response::Done`].
    Announce {
        /// Multiaddr texts, at most [`ADDRESSES_MAX`].
        #[serde(deserialize_with = "codec::bounded::<_, _, ADDRESSES_MAX>")]
        addresses: Vec<String>,
    },
    /// Looks somebody up by name or account. Answered by [`Response::Found`]
    /// (empty when nobody is).
    Lookup(Who),
    /// Who is online and not invisible, in pages. Answered by [`Response::Found`].
    Online {
        /// Starts behind this account.
        after: Option<AccountId>,
        /// At most [`RECORDS_MAX`].
        limit: u16,
    },
    /// Sets the caller's presence, which nobody is shown before. Answered by [`Response::Done`].
    SetPresence(PresenceStatus),
    /// Names the accounts whose presence the node pushes to the caller from now
    /// on, replacing the former list. Answered by [`Response::Presence`].
    Watch {
        /// At most [`ACCOUNTS_MAX`].
        #[serde(deserialize_with = "codec::bounded::<_, _, ACCOUNTS_MAX>")]
        accounts: Vec<AccountId>,
    },
    /// Publishes a signed prekey and one-time kits. Answered by [`Response::Kits`].
    PublishPreKeys {
        /// The encoded [`crate::prekey::SignedPreKeyIn`].
        signed: Bytes,
        /// Encoded [`crate::prekey::KitIn`], added to those there are.
        #[serde(deserialize_with = "codec::bounded::<_, _, KITS_MAX>")]
        kits: Vec<Bytes>,
        /// Forget the kits published before.
        replace: bool,
    },
    /// Takes a prekey bundle of an account; each kit is handed out once. Answered
    /// by [`Response::Bundle`].
    TakeBundle {
        /// Whose.
        account: AccountId,
    },
    /// Asks for a challenge, used up by the next [`Request::OpenMailbox`] on this
    /// connection. Answered by [`Response::Challenge`].
    Challenge,
    /// Proves that a mailbox is the caller's and makes it the connection's: it is
    /// created when it is not there. Answered by [`Response::Mailbox`].
    OpenMailbox {
        /// Ed25519 authentication key, whose hash is the mailbox id.
        auth_key: Fixed<32>,
        /// Signature over both peer ids and the challenge (see [`crate::sealed`]).
        signature: Fixed<64>,
    },
    /// Adds hashes of delivery tokens to the opened mailbox. Answered by [`Response::Done`].
    AddTokens {
        /// At most [`TOKENS_PER_REQUEST_MAX`].
        #[serde(deserialize_with = "codec::bounded::<_, _, TOKENS_PER_REQUEST_MAX>")]
        hashes: Vec<Fixed<32>>,
    },
    /// Reads the opened mailbox. Answered by [`Response::Mail`].
    Fetch {
        /// Starts behind this position; 0 for the beginning.
        after: u64,
        /// Stops before the answer passes this size.
        max_bytes: u32,
    },
    /// Deletes everything of the opened mailbox up to and with this position:
    /// the caller has it durably. Answered by [`Response::Done`].
    Acknowledge {
        /// A position that [`Response::Mail`] named.
        up_to: u64,
    },
    /// Leaves an envelope in a mailbox, on any connection. Answered by
    /// [`Response::Done`] once it is durable, also for a double.
    Deposit {
        /// Whose.
        mailbox: MailboxId,
        /// What it costs.
        payment: Payment,
        /// Chosen by the sender; doubles vanish.
        id: EnvelopeId,
        /// What [`crate::sealed::seal`] made.
        sealed: Bytes,
    },
    /// Asks the directory of public groups.
    Directory(DirectoryRequest),
    /// Asks a group's log.
    GroupLog(GroupLogRequest),
    /// Asks for encrypted chunks of files.
    Blob(BlobRequest),
}

/// Somebody, by name or by account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// By username, compared without case.
    Name(String),
    /// By accounts, at most [`RECORDS_MAX`].
    Accounts(#[serde(deserialize_with = "codec::bounded::<_, _, RECORDS_MAX>")] Vec<AccountId>),
}

/// What a deposit costs its sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payment {
    /// A contact's: one of the owner's single-use delivery tokens.
    Token(Fixed<32>),
    /// A stranger's: a stamp made by [`crate::work`].
    Work {
        /// The hour that the stamp is for: hours since 1970.
        hour: u64,
        /// What makes the stamp good.
        nonce: u64,
    },
}

/// Whether somebody can be reached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PresenceStatus {
    /// Connected and active.
    Online,
    /// Connected, but the person is not there.
    Away,
    /// Connected, but shown to others as offline.
    Invisible,
    /// Not connected.
    Offline,
}

/// What the node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// Done; nothing more to say.
    Done,
    /// To [`Request::Info`].
    Info(NodeInfo),
    /// To [`Request::Register`]. Holds whether it was new here.
    Registered {
        /// The account was not known here before: publish prekeys and tokens.
        new: bool,
        /// One-time kits that are left.
        kits_left: u32,
    },
    /// To [`Request::Lookup`] and [`Request::Online`].
    Found {
        /// Whoever was found.
        #[serde(deserialize_with = "codec::bounded::<_, _, RECORDS_MAX>")]
        people: Vec<Found>,
        /// There are more behind the last one.
        more: bool,
    },
    /// To [`Request::Watch`].
    Presence(#[serde(deserialize_with = "codec::bounded::<_, _, ACCOUNTS_MAX>")] Vec<Presence>),
    /// To [`Request::PublishPreKeys`].
    Kits {
        /// One-time kits that are there now.
        left: u32,
    },
    /// To [`Request::TakeBundle`]: an encoded [`crate::prekey::BundleIn`], with a
    /// kit unless none is left.
    Bundle {
        /// The bundle.
        bundle: Bytes,
    },
    /// To [`Request::Challenge`].
    Challenge(Fixed<32>),
    /// To [`Request::OpenMailbox`].
    Mailbox {
        /// Envelopes that wait.
        waiting: u64,
        /// Unspent delivery tokens.
        tokens: u32,
        /// It was not there before.
        new: bool,
    },
    /// To [`Request::Fetch`].
    Mail {
        /// In the order of their arrival, at most [`ENVELOPES_MAX`].
        #[serde(deserialize_with = "codec::bounded::<_, _, ENVELOPES_MAX>")]
        envelopes: Vec<StoredEnvelope>,
        /// There are more behind the last one.
        more: bool,
    },
    /// Not done, and why.
    Refused(Refusal),
    /// To [`DirectoryRequest::Search`] and [`DirectoryRequest::Entry`].
    Listings {
        /// Encoded, signed [`crate::listing::ListingIn`]: to be verified by whoever asked.
        #[serde(deserialize_with = "codec::bounded::<_, _, LISTINGS_MAX>")]
        listings: Vec<Bytes>,
        /// There may be more: ask again with this as `after`.
        next: Option<Bytes>,
    },
    /// To [`GroupLogRequest::Append`].
    Appended {
        /// Where the entry stands in the log.
        position: u64,
    },
    /// To [`GroupLogRequest::Read`].
    Log {
        /// In the order of their arrival, at most [`LOG_ENTRIES_MAX`].
        #[serde(deserialize_with = "codec::bounded::<_, _, LOG_ENTRIES_MAX>")]
        entries: Vec<LogEntry>,
        /// There are more behind the last one.
        more: bool,
    },
    /// To [`BlobRequest::Create`] and [`BlobRequest::Stat`].
    Blob(BlobState),
    /// To [`BlobRequest::Get`].
    Chunk {
        /// What was stored.
        sealed: Bytes,
    },
}

/// The node's limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// The program's version.
    pub version: String,
    /// The node's clock.
    pub now: Timestamp,
    /// Longest envelope, in bytes.
    pub envelope_max_bytes: u32,
    /// What a stranger's deposit costs now, in leading zero bits.
    pub work_bits: u8,
}

/// Somebody who was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The encoded, signed [`crate::record::RecordIn`].
    pub record: Bytes,
    /// Where they said that they listen.
    #[serde(deserialize_with = "codec::bounded::<_, _, ADDRESSES_MAX>")]
    pub addresses: Vec<String>,
    /// [`PresenceStatus::Invisible`] never appears here.
    pub presence: Presence,
}

/// Somebody's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Whose.
    pub account: AccountId,
    /// Online, away or offline.
    pub status: PresenceStatus,
    /// When they were last online, if the node knows.
    pub last_seen: Option<Timestamp>,
}

/// An envelope in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEnvelope {
    /// Its position, ascending from 1.
    pub seq: u64,
    /// The sender's name for it.
    pub id: EnvelopeId,
    /// What was deposited.
    pub sealed: Bytes,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The request needs [`Request::Register`] first.
    NotRegistered,
    /// The request needs [`Request::OpenMailbox`] first.
    NoMailboxOpened,
    /// Somebody else has this name here.
    NameTaken,
    /// A newer record is known here.
    Stale {
        /// The seq of the newer one.
        seq: u64,
    },
    /// A signature, a record or a challenge is wrong, or a bound is broken.
    Invalid,
    /// No such account or mailbox here.
    NotFound,
    /// The mailbox or the node has no room.
    Full,
    /// The token is unknown or spent, or the stamp is too weak: this much work is needed.
    WorkNeeded {
        /// Leading zero bits.
        bits: u8,
    },
    /// Too many: try again after this time.
    SlowDown {
        /// Milliseconds.
        retry_after_ms: u64,
    },
    /// Longer than this node takes.
    TooLarge {
        /// Its limit.
        limit_bytes: u32,
    },
    /// The node failed; the request may be tried again.
    Internal,
}

/// What the node tells a peer unasked; answered by [`PushResponse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Push {
    /// Presences that changed, of accounts that the peer watches.
    Presence(#[serde(deserialize_with = "codec::bounded::<_, _, ACCOUNTS_MAX>")] Vec<Presence>),
    /// Something came into the opened mailbox.
    Mail {
        /// Envelopes that wait.
        waiting: u64,
    },
    /// Few one-time kits are left.
    KitsLow {
        /// How many.
        left: u32,
    },
}

/// The answer to [`Push`]: seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushResponse;

macro_rules! framed {
    ($($name:ident),*) => {$(
        impl $name {
            /// Its encoding.
            ///
            /// # Errors
            /// [`EncodeError`].
            pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
                codec::encode(self, RENDEZVOUS_FRAME_MAX_BYTES)
            }

            /// Decodes one.
            ///
            /// # Errors
            /// [`DecodeError`].
            pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
                codec::decode(bytes, RENDEZVOUS_FRAME_MAX_BYTES)
            }
        }
    )*};
}

framed!(Request, Response, Push, PushResponse);
