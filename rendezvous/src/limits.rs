//! Every bound of this node that is not the protocol's, each with its unit in its name. Floor 1.

use std::time::Duration;

pub use secure_chat_protocol::limits::HOUR_MS;

// --- storage

/// Changes that one commit holds at most.
pub const COMMIT_MAX_CHANGES: usize = 256;
/// A commit waits for further changes no longer than this.
pub const COMMIT_WINDOW: Duration = Duration::from_millis(10);
/// Cache of the database, in bytes.
pub const STORE_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Threads that read the database and check signatures.
pub const WORKER_THREADS: usize = 2;
/// Requests that wait for storage or for a signature check, in all: later ones are told to slow down.
pub const IN_FLIGHT_MAX: usize = 8_192;
/// Rows that one expiry sweep deletes.
pub const SWEEP_BATCH_ROWS: usize = 512;
/// How often expired rows are looked for.
pub const SWEEP_EVERY: Duration = Duration::from_secs(60);

// --- what is kept

/// Accounts that are registered here.
pub const ACCOUNTS_MAX: u64 = 1_000_000;
/// Mailboxes here.
pub const MAILBOXES_MAX: u64 = 4_000_000;
/// Bytes in all mailboxes, unless the configuration says otherwise.
pub const STORED_MAX_BYTES: u64 = 20 * 1024 * 1024 * 1024;
/// Delivery tokens here.
pub const TOKENS_NODE_MAX: u64 = 50_000_000;
/// A mailbox that nobody opened for so many hours of the node's life is deleted.
pub const MAILBOX_UNUSED_KEEP_HOURS: u64 = 365 * 24;
/// That a one-time kit was here is remembered for so many hours of the node's life.
pub const KIT_IDS_KEEP_HOURS: u64 = 365 * 24;
/// Groups that are listed here, unless the configuration says otherwise.
pub const LISTINGS_NODE_MAX: u64 = 50_000;
/// Groups that one account lists.
pub const LISTINGS_PER_ACCOUNT: usize = 32;
/// Longest key that is made of a group's name, in bytes.
pub const LISTING_KEY_MAX_BYTES: usize = 200;
/// Entries that one search looks at.
pub const SEARCH_MAX_ROWS: usize = 2_000;
/// Words of one search.
pub const SEARCH_MAX_WORDS: usize = 8;
/// Bytes in all logs of groups, unless the configuration says otherwise.
pub const LOGS_STORED_MAX_BYTES: u64 = 10 * 1024 * 1024 * 1024;
/// Positions that a log may use in an hour of the node's life: more than can be appended.
pub const LOG_POSITIONS_PER_HOUR: u64 = 1 << 24;
/// Bytes in all blobs, unless the configuration says otherwise.
pub const BLOBS_STORED_MAX_BYTES: u64 = 20 * 1024 * 1024 * 1024;
/// Blobs that one account or one mailbox is charged with.
pub const BLOBS_PER_PAYER: u32 = 1_000;
/// A blob of which nothing came for so many hours of the node's life is deleted, unless it is whole.
pub const BLOB_IDLE_KEEP_HOURS: u64 = 2;
/// A blob must be whole after so many hours of the node's life, or it is deleted.
pub const BLOB_GROWS_MAX_HOURS: u64 = 24;
/// Downloads of one blob that are counted.
pub const BLOB_DOWNLOADS_MAX: u32 = 1_024;
/// Threads that write, read and delete chunks.
pub const CHUNK_THREADS: usize = 4;
/// Records in one answer, in bytes: leaves room for their addresses.
pub const FOUND_MAX_BYTES: usize = 1_000_000;
/// Addresses in one answer, in bytes.
pub const FOUND_ADDRESSES_MAX_BYTES: usize = 512 * 1024;
/// Envelopes in one answer, in bytes, whatever was asked for.
pub const FETCH_MAX_BYTES: usize = 1024 * 1024;

// --- connections

/// Longest request, in bytes: the largest are chunks of blobs.
pub const REQUEST_MAX_BYTES: usize = 1024 * 1024 + 64 * 1024;
/// Bytes of all requests that are being read or carried out.
pub const REQUESTS_IN_MEMORY_MAX_BYTES: usize = 128 * 1024 * 1024;
/// Part of a request that is read before its place is counted, in bytes.
pub const REQUEST_READ_STEP_BYTES: usize = 16 * 1024;
/// A request must be read, carried out and answered in this time.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// It must have come in this time.
pub const READ_TIMEOUT: Duration = Duration::from_secs(8);
/// Requests under way on one connection.
pub const STREAMS_PER_CONNECTION: usize = 128;
/// Pushes under way on one connection.
pub const PUSH_STREAMS_PER_CONNECTION: usize = 4;
/// Substreams on one connection, of all protocols.
pub const SUBSTREAMS_PER_CONNECTION: usize = 256;
/// Malformed, oversized or slow requests, after which a peer's connections are closed.
pub const FAULTS_MAX: u32 = 8;
/// Pushes that fail one after another, after which a peer's connections are closed.
pub const PUSH_FAILURES_MAX: u32 = 3;
/// Mailboxes of which one peer is told when something comes in.
pub const MAILBOXES_PER_PEER: usize = 8;
/// Connections from one network address (loopback excepted).
pub const CONNECTIONS_PER_ADDRESS: u32 = 64;
/// Connections of one peer.
pub const CONNECTIONS_PER_PEER: u32 = 8;
/// Connections whose handshake is not done.
pub const CONNECTIONS_PENDING_MAX: u32 = 512;
/// Connections in all, unless the configuration says otherwise.
pub const CONNECTIONS_MAX: u32 = 10_000;
/// Memory of the process beyond which no new connection is taken, unless the configuration says otherwise.
pub const MEMORY_MAX_BYTES: usize = 4 * 1024 * 1024 * 1024;
/// A peer that neither registered nor opened a mailbox nor uses the relay is let go after this silence.
pub const STRANGER_IDLE: Duration = Duration::from_secs(120);
/// How often silent strangers are looked for.
pub const STRANGER_CHECK_EVERY: Duration = Duration::from_secs(15);
/// How often a peer is asked whether it is there.
pub const PING_EVERY: Duration = Duration::from_secs(30);
/// It must answer in this time.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// A clean stop waits this long for requests under way.
pub const STOP_GRACE: Duration = Duration::from_secs(2);

// --- presence

/// Accounts of which the node remembers when they were last online.
pub const LAST_SEEN_MAX: usize = 200_000;

// --- rate limits

/// Peers, addresses or mailboxes for which the node remembers how much they asked.
pub const BUCKETS_MAX: usize = 100_000;
