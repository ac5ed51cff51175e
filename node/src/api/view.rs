//! What the application is shown: plain values, serialised as `interfaces.md` names them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::At;

/// An answer that says nothing but that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Done {}

/// `account.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accounts {
    /// The accounts of this data directory.
    pub accounts: Vec<AccountEntry>,
}

/// One account of a data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountEntry {
    /// Its name.
    pub username: String,
    /// 64 hexadecimal digits.
    pub account_id: String,
}

/// `account.create` and `account.unlock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its name.
    pub username: String,
    /// 64 hexadecimal digits.
    pub account_id: String,
    /// The libp2p peer id of this device.
    pub peer_id: String,
    /// The account id in groups of four digits.
    pub fingerprint: String,
}

/// Whether an account is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// There is none in this data directory.
    None,
    /// There is at least one, and none is open.
    Locked,
    /// One is open.
    Unlocked,
}

/// `account.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountStatus {
    /// None, locked or unlocked.
    pub state: AccountState,
    /// The open account's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The open account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// This device's peer id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// The account id in groups of four digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// When it was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlocked_at: Option<At>,
    /// When it locks itself, unless somebody acts before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_at: Option<At>,
}

/// `account.invite`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invite {
    /// A `secure-chat:` link.
    pub invite: String,
}

/// `account.password_strength`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PasswordStrength {
    /// 0 (guessed at once) to 4 (strong).
    pub score: u8,
    /// Sentences.
    pub warnings: Vec<String>,
    /// What the rules still ask for; empty when the password is acceptable.
    pub missing: Vec<String>,
}

/// `network.status`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct NetworkStatus {
    /// This device's peer id; empty while locked.
    pub peer_id: String,
    /// Addresses that the peer listens on, with `/p2p/`.
    pub listen: Vec<String>,
    /// Open connections.
    pub connections: usize,
    /// The rendezvous nodes and how it stands with them.
    pub rendezvous: Vec<RendezvousState>,
    /// `unknown`, `public` or `private`.
    pub nat: String,
    /// Relays that carry connections to this peer.
    pub relayed_via: Vec<String>,
    /// Mail that the recipients' rendezvous nodes refuse for now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_back: Vec<HeldBack>,
}

/// Mail for somebody that their rendezvous nodes refuse for now. It is kept, and offered again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldBack {
    /// The recipient's name.
    pub username: String,
    /// The recipient's account.
    pub account_id: String,
    /// What the nodes say.
    pub detail: String,
    /// When it is offered again, in seconds.
    pub retry_in_s: u64,
}

/// One rendezvous node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RendezvousState {
    /// Its multiaddr, with `/p2p/`.
    pub address: String,
    /// Its peer id.
    pub peer_id: String,
    /// `connecting`, `connected`, `registered`, `refused` or `unreachable`.
    pub state: String,
    /// Why, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The last round trip, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
}

/// `network.dial`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dialled {
    /// Who answered.
    pub peer_id: String,
}

/// `network.connections`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Connections {
    /// The open connections.
    pub connections: Vec<Connection>,
}

/// How a connection reaches its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// From machine to machine.
    Direct,
    /// Through a rendezvous node, which can't read it.
    Relayed,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Connection {
    /// Whose.
    pub peer_id: String,
    /// The contact's name, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The contact's account, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The remote address.
    pub address: String,
    /// `tcp`, `quic` or `memory`.
    pub transport: String,
    /// Direct or relayed.
    pub route: Route,
    /// The last round trip, in milliseconds; null before the first.
    pub rtt_ms: Option<f64>,
    /// Since when.
    pub since: At,
}

/// `network.traffic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Bytes on the wire, a point a few seconds.
    pub points: Vec<TrafficPoint>,
}

/// Bytes since the point before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TrafficPoint {
    /// The end of the interval.
    pub at: At,
    /// Received.
    pub bytes_in: u64,
    /// Sent.
    pub bytes_out: u64,
}

/// `network.host_rendezvous` and `network.add_rendezvous`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostedAddress {
    /// Its multiaddr, with `/p2p/`.
    pub address: String,
}

/// `network.diagnostics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostics {
    /// Text without secrets, names or addresses of others.
    pub text: String,
}

/// `settings.get` and `settings.set`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingsView {
    /// Each setting and its value.
    pub settings: BTreeMap<String, serde_json::Value>,
}

/// `users.online`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OnlineUsers {
    /// Who is online, as far as rendezvous nodes and the local network tell.
    pub users: Vec<User>,
}

/// Somebody, contact or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// Their name.
    pub username: String,
    /// Their account.
    pub account_id: String,
    /// A peer id of theirs; empty when none is known.
    pub peer_id: String,
    /// The account id in groups of four digits.
    pub fingerprint: String,
    /// Whether they are online.
    pub online: bool,
}

/// What the person shows to others, and sees of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Connected and active.
    Online,
    /// Connected, but not there.
    Away,
    /// Connected, but shown as offline.
    Invisible,
    /// Not connected.
    Offline,
}

/// `contacts.request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestMade {
    /// Names the request in `contacts.cancel_request`.
    pub request_id: String,
}

/// `contacts.requests`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// From others.
    pub incoming: Vec<ChatRequest>,
    /// To others.
    pub outgoing: Vec<ChatRequest>,
}

/// Where a chat request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Waits for an answer.
    Pending,
    /// Answered with yes.
    Accepted,
    /// Answered with no.
    Declined,
    /// Taken back.
    Cancelled,
    /// Nobody answered in time.
    Expired,
    /// Could not be delivered.
    Failed,
}

/// One chat request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChatRequest {
    /// Names it.
    pub request_id: String,
    /// The other's name.
    pub username: String,
    /// The other's account.
    pub account_id: String,
    /// The account id in groups of four digits.
    pub fingerprint: String,
    /// What the asker wrote.
    pub greeting: String,
    /// When.
    pub at: At,
    /// Pending, or how it ended.
    pub state: RequestState,
}

/// `contacts.accept`: the conversation that it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// The contact's username.
    pub conversation: String,
}

/// `contacts.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contacts {
    /// All contacts, blocked ones included.
    pub contacts: Vec<Contact>,
}

/// How it stands with a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// Both agreed to chat.
    Accepted,
    /// The own request waits for an answer.
    Requested,
    /// Their messages are refused.
    Blocked,
    /// Their keys changed: sending waits for the person.
    KeyChanged,
}

/// One contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// Their name, pinned when first met.
    pub username: String,
    /// Their account.
    pub account_id: String,
    /// A peer id of theirs; empty when none is known.
    pub peer_id: String,
    /// The account id in groups of four digits.
    pub fingerprint: String,
    /// How it stands.
    pub state: ContactState,
    /// The safety number was compared.
    pub verified: bool,
    /// Online now.
    pub online: bool,
    /// Online, away or offline.
    pub status: Status,
    /// When last online, if they tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<At>,
    /// Messages not read yet.
    pub unread: u64,
    /// Muted until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<At>,
    /// The last message of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message: Option<Message>,
    /// With a changed key: the new fingerprint that waits for a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_fingerprint: Option<String>,
}

/// `contacts.safety_number`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SafetyNumberView {
    /// 60 digits in 12 groups of 5.
    pub number: String,
    /// The text of a QR code.
    pub qr: String,
}

/// `messages.send`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Names the message.
    pub message_id: String,
}

/// How far a message got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Durable here, on its way.
    Queued,
    /// Taken by a mailbox.
    Sent,
    /// Acknowledged end to end.
    Delivered,
    /// Seen by the recipient.
    Read,
    /// Given up, with a reason.
    Failed,
    /// From somebody else.
    Received,
}

/// A message, as histories, searches and events show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Names it: author and id, opaque.
    pub message_id: String,
    /// The contact's username, or a group id.
    pub conversation: String,
    /// The contact's account, or a group id.
    pub conversation_id: String,
    /// The author's name.
    pub from: String,
    /// The author's account.
    pub account_id: String,
    /// Written by this account.
    pub mine: bool,
    /// Empty when it was deleted.
    pub text: String,
    /// When it was written, by its author's clock, made plausible.
    pub at: At,
    /// How far it got.
    pub state: MessageState,
    /// Why it failed, or what is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// When it was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<At>,
    /// It was taken back by its author.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Emoji, and the accounts that chose it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reactions: BTreeMap<String, Vec<String>>,
    /// The file that it shares; its text is the caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Box<super::FileView>>,
}

/// `messages.history` and `messages.search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Messages {
    /// Oldest first in a history, newest first in a search.
    pub messages: Vec<Message>,
    /// There are more in the direction that was asked for.
    pub more: bool,
}

/// `messages.draft`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// What was written and not sent.
    pub text: String,
}

/// `status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeStatus {
    /// The program's version.
    pub version: String,
    /// Seconds since the peer was started.
    pub uptime_s: u64,
    /// As `account.status`.
    pub account: AccountStatus,
    /// As `network.status`.
    pub network: NetworkStatus,
    /// The vault on disk.
    pub storage: StorageStatus,
    /// What waits to be delivered.
    pub outbox: OutboxStatus,
    /// How much there is.
    pub counts: Counts,
}

/// The vault on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StorageStatus {
    /// The data directory.
    pub path: String,
    /// Bytes that the open account takes.
    pub bytes: u64,
}

/// What waits to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct OutboxStatus {
    /// Messages.
    pub queued: usize,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Contacts.
    pub contacts: usize,
    /// Groups.
    pub groups: usize,
    /// Messages.
    pub messages: u64,
    /// Files.
    pub files: usize,
}
