//! What the node counts, for Prometheus. No identity is in it, and no address. Floor 1.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use secure_chat_protocol::wire::rendezvous::{
    BlobRequest, DirectoryRequest, GroupLogRequest, Refusal, Request, Response,
};

use crate::expiry::Swept;
use crate::rows::{ServiceTotals, Totals};

pub mod http;

/// A count that only grows.
type Count = Counter<u64, AtomicU64>;
/// A count that goes up and down.
type Level = Gauge<i64, AtomicI64>;
type Label = [(&'static str, &'static str); 1];

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A frame that does not decode.
    Garbage,
    /// A frame that is too long.
    Oversized,
    /// A request that did not come, or an answer that was not read, in time.
    Slow,
    /// A stream that ended inside a frame.
    Cut,
}

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Oversized => "oversized",
            Self::Slow => "slow",
            Self::Cut => "cut",
        }
    }
}

/// All counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Label, Count>,
    refusals: Family<Label, Count>,
    faults: Family<Label, Count>,
    /// Envelopes that were taken.
    pub deposits: Count,
    /// Envelopes that were there before.
    pub doubles: Count,
    /// Envelopes that were handed to their recipients.
    pub fetched: Count,
    /// Envelopes that nobody fetched.
    pub expired: Count,
    /// Pushes that were seen.
    pub pushes: Count,
    /// Pushes that failed.
    pub pushes_failed: Count,
    /// Connections that were not taken.
    pub connections_denied: Count,
    /// Peers that were disconnected for what they did.
    pub disconnected: Count,
    /// Connections.
    pub connections: Level,
    /// Peers.
    pub peers: Level,
    /// Accounts shown as online or away.
    pub online: Level,
    /// Reservations at the relay.
    pub relay_reservations: Level,
    /// Circuits through the relay.
    pub relay_circuits: Level,
    /// Reservations and circuits that the relay denied.
    pub relay_denied: Count,
    /// Requests that wait for storage or a check.
    pub in_flight: Level,
    /// Requests and answers in memory, in bytes.
    pub request_memory_bytes: Level,
    accounts: Level,
    mailboxes: Level,
    envelopes: Level,
    envelope_bytes: Level,
    tokens: Level,
    kits: Level,
    listings: Level,
    logs: Level,
    log_entries: Level,
    log_bytes: Level,
    log_entries_expired: Count,
    blobs: Level,
    blob_bytes: Level,
    blobs_expired: Count,
    /// Bytes of chunks that were handed out.
    chunk_bytes_read: Count,
}

fn counted<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let mut all = Registry::with_prefix("secure_chat_rendezvous");
        let r = &mut all;
        Self {
            requests: counted(r, "requests", "Requests of peers, by kind"),
            refusals: counted(r, "refusals", "Requests that were refused, by reason"),
            faults: counted(r, "faults", "Streams that were cut off, by what was wrong with them"),
            deposits: counted(r, "deposits", "Envelopes taken"),
            doubles: counted(r, "deposit_doubles", "Envelopes that were there before"),
            fetched: counted(r, "fetched", "Envelopes handed to their recipients"),
            expired: counted(r, "expired", "Envelopes deleted unread"),
            pushes: counted(r, "pushes", "Pushes that were seen"),
            pushes_failed: counted(r, "pushes_failed", "Pushes that failed"),
            connections_denied: counted(r, "connections_denied", "Connections that were not taken"),
            disconnected: counted(r, "disconnected", "Peers that were disconnected for what they did or did not"),
            connections: counted(r, "connections", "Connections"),
            peers: counted(r, "peers", "Connected peers"),
            online: counted(r, "online", "Accounts shown as online or away"),
            relay_reservations: counted(r, "relay_reservations", "Reservations at the relay"),
            relay_circuits: counted(r, "relay_circuits", "Circuits through the relay"),
            relay_denied: counted(r, "relay_denied", "Reservations and circuits denied"),
            in_flight: counted(r, "in_flight", "Requests that wait for storage or for a check"),
            request_memory_bytes: counted(r, "request_memory_bytes", "Requests and answers in memory"),
            accounts: counted(r, "accounts", "Registered accounts"),
            mailboxes: counted(r, "mailboxes", "Mailboxes"),
            envelopes: counted(r, "envelopes", "Envelopes that wait"),
            envelope_bytes: counted(r, "envelope_bytes", "Envelopes that wait, in bytes"),
            tokens: counted(r, "tokens", "Unspent delivery tokens"),
            kits: counted(r, "kits", "One-time prekey kits"),
            listings: counted(r, "listings", "Groups in the directory"),
            logs: counted(r, "logs", "Logs of groups"),
            log_entries: counted(r, "log_entries", "Entries in logs of groups"),
            log_bytes: counted(r, "log_bytes", "Entries in logs of groups, in bytes"),
            log_entries_expired: counted(r, "log_entries_expired", "Entries of logs whose time was over"),
            blobs: counted(r, "blobs", "Files that wait for somebody"),
            blob_bytes: counted(r, "blob_bytes", "Room made for files that wait for somebody, in bytes"),
            blobs_expired: counted(r, "blobs_expired", "Files whose time was over"),
            chunk_bytes_read: counted(r, "chunk_bytes_read", "Chunks of files handed out, in bytes"),
            registry: all,
        }
    }
}

fn set(level: &Level, value: u64) {
    level.set(i64::try_from(value).unwrap_or(i64::MAX));
}

impl Metrics {
    /// All counts in the text format of Prometheus (OpenMetrics 1.0).
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A request came.
    pub fn request(&self, request: &Request) {
        self.requests.get_or_create(&[("kind", kind(request))]).inc();
    }

    /// An answer goes out.
    pub fn response(&self, response: &Response) {
        match response {
            Response::Refused(refusal) => {
                self.refusals.get_or_create(&[("reason", reason(refusal))]).inc();
            }
            Response::Mail { envelopes, .. } => {
                self.fetched.inc_by(envelopes.len() as u64);
            }
            Response::Chunk { sealed } => {
                self.chunk_bytes_read.inc_by(sealed.0.len() as u64);
            }
            _ => {}
        }
    }

    /// A stream was cut off.
    pub fn fault(&self, fault: Fault) {
        self.faults.get_or_create(&[("kind", fault.name())]).inc();
    }

    /// How many faults of a kind there were.
    #[must_use]
    pub fn fault_count(&self, fault: Fault) -> u64 {
        self.faults.get_or_create(&[("kind", fault.name())]).get()
    }

    /// A sweep was made.
    pub fn swept(&self, swept: &Swept) {
        self.expired.inc_by(swept.envelopes);
        self.log_entries_expired.inc_by(swept.log_entries);
        self.blobs_expired.inc_by(swept.blobs.len() as u64);
    }

    /// What the storage holds.
    pub fn totals(&self, totals: &Totals) {
        set(&self.accounts, totals.accounts);
        set(&self.mailboxes, totals.mailboxes);
        set(&self.envelopes, totals.envelopes);
        set(&self.envelope_bytes, totals.envelope_bytes);
        set(&self.tokens, totals.tokens);
        set(&self.kits, totals.kits);
    }

    /// What the storage holds of groups' entries, logs and blobs.
    pub fn services(&self, totals: &ServiceTotals) {
        set(&self.listings, totals.listings);
        set(&self.logs, totals.logs);
        set(&self.log_entries, totals.log_entries);
        set(&self.log_bytes, totals.log_bytes);
        set(&self.blobs, totals.blobs);
        set(&self.blob_bytes, totals.blob_bytes);
    }
}

const fn kind(request: &Request) -> &'static str {
    match request {
        Request::Info => "info",
        Request::Register { .. } => "register",
        Request::Unregister => "unregister",
        Request::Announce { .. } => "announce",
        Request::Lookup(_) => "lookup",
        Request::Online { .. } => "online",
        Request::SetPresence(_) => "set_presence",
        Request::Watch { .. } => "watch",
        Request::PublishPreKeys { .. } => "publish_prekeys",
        Request::TakeBundle { .. } => "take_bundle",
        Request::Challenge => "challenge",
        Request::OpenMailbox { .. } => "open_mailbox",
        Request::AddTokens { .. } => "add_tokens",
        Request::Fetch { .. } => "fetch",
        Request::Acknowledge { .. } => "acknowledge",
        Request::Deposit { .. } => "deposit",
        Request::Directory(DirectoryRequest::Publish { .. }) => "publish_group",
        Request::Directory(DirectoryRequest::Withdraw { .. }) => "withdraw_group",
        Request::Directory(DirectoryRequest::Search { .. } | DirectoryRequest::Entry { .. }) => "search_groups",
        Request::GroupLog(GroupLogRequest::Append { .. }) => "append_log",
        Request::GroupLog(GroupLogRequest::Read { .. }) => "read_log",
        Request::Blob(BlobRequest::Create { .. }) => "create_blob",
        Request::Blob(BlobRequest::Put { .. }) => "put_blob",
        Request::Blob(BlobRequest::Get { .. }) => "get_blob",
        Request::Blob(BlobRequest::Stat { .. }) => "stat_blob",
        Request::Blob(BlobRequest::Delete { .. }) => "delete_blob",
        Request::Blob(BlobRequest::CountDownload { .. }) => "count_download",
    }
}

const fn reason(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NotRegistered => "not_registered",
        Refusal::NoMailboxOpened => "no_mailbox_opened",
        Refusal::NameTaken => "name_taken",
        Refusal::Stale { .. } => "stale",
        Refusal::Invalid => "invalid",
        Refusal::NotFound => "not_found",
        Refusal::Full => "full",
        Refusal::WorkNeeded { .. } => "work_needed",
        Refusal::SlowDown { .. } => "slow_down",
        Refusal::TooLarge { .. } => "too_large",
        Refusal::Internal => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_what_was_counted() {
        let metrics = Metrics::default();
        metrics.request(&Request::Info);
        metrics.fault(Fault::Garbage);
        metrics.totals(&Totals { envelopes: 7, ..Totals::default() });
        let text = metrics.text();
        for line in [
            "secure_chat_rendezvous_requests_total{kind=\"info\"} 1",
            "secure_chat_rendezvous_faults_total{kind=\"garbage\"} 1",
            "secure_chat_rendezvous_envelopes 7",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
    }
}
