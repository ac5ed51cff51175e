//! Every bound of the network, with its unit in its name or type.

use std::time::Duration;

/// Addresses kept for one peer.
pub const ADDRESSES_PER_PEER_MAX: usize = 16;
/// Peers whose addresses are kept; the one unused longest goes first.
pub const ADDRESS_BOOK_PEERS_MAX: usize = 4_096;

/// Commands of the handles that wait for the swarm's task; a caller waits for room.
pub const COMMANDS_MAX: usize = 1_024;
/// Events that wait for their reader.
pub const EVENTS_MAX: usize = 1_024;
/// Inbound requests are refused when the reader of events leaves less room than
/// this, so that connection events always find some.
pub const EVENTS_RESERVED: usize = 64;
/// Connection events kept while the channel of events is full.
pub const EVENTS_BACKLOG_MAX: usize = 4_096;

/// Requests that wait for their turn or their connection, for one peer.
pub const QUEUED_PER_PEER_MAX: usize = 2_048;
/// Requests that wait in all.
pub const QUEUED_MAX: usize = 16_384;
/// Requests under way to one peer at once: below half of [`STREAMS_PER_CONNECTION_MAX`],
/// because streams in and out share that bound at both ends.
pub const IN_FLIGHT_PER_PEER_MAX: usize = 64;
/// Requests under way to one rendezvous node at once.
pub const IN_FLIGHT_PER_NODE_MAX: usize = 40;
/// Requests of one peer that may wait for an answer of ours: twice what an honest
/// peer sends, because it may count an answer as come before we count it as gone.
pub const INBOUND_PER_PEER_MAX: usize = 128;
/// Requests of all peers that may wait for an answer of ours.
pub const INBOUND_MAX: usize = 1_024;
/// Bytes of requests of one peer that may wait for an answer of ours.
pub const INBOUND_PER_PEER_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of requests of all peers that may wait for an answer of ours.
pub const INBOUND_MAX_BYTES: usize = 128 * 1024 * 1024;
/// Request streams of one connection, in and out together.
pub const STREAMS_PER_CONNECTION_MAX: usize = 256;
/// Bytes of long frames that are being read at once, over all connections.
pub const FRAME_BYTES_IN_FLIGHT_MAX: usize = 128 * 1024 * 1024;
/// Frames up to this size don't count towards [`FRAME_BYTES_IN_FLIGHT_MAX`], in bytes.
pub const FRAME_SMALL_BYTES: usize = 64 * 1024;

/// A frame that is not there after this time is given up, and its stream with it.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// A request stream lives no longer: both frames and what the other does between.
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(25);
/// A request is given up after this time, its wait for a connection included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A peer that can't be reached in this time is out of reach for now.
pub const REACH_TIMEOUT: Duration = Duration::from_secs(8);
/// Direct addresses are ahead of relayed ones by this time.
pub const RELAY_HEAD_START: Duration = Duration::from_millis(250);
/// Direct dials that failed for a passing reason are tried this often.
pub const DIRECT_ROUNDS_MAX: u8 = 4;
/// Least wait between two rounds of direct dials.
pub const DIRECT_ROUND_WAIT_MIN: Duration = Duration::from_millis(40);
/// Most wait between two rounds of direct dials.
pub const DIRECT_ROUND_WAIT_MAX: Duration = Duration::from_millis(160);
/// The retry time named when we are too busy for an inbound request, in milliseconds.
pub const SLOW_DOWN_MS: u64 = 250;

/// Streams for files that peers may have open with us, in all.
pub const STREAMS_INBOUND_MAX: usize = 128;
/// Streams for files that one peer may have open with us.
pub const STREAMS_PER_PEER_MAX: usize = 16;
/// A stream that is not open after this time is given up.
pub const STREAM_OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// First wait before a lost rendezvous node is dialled again.
pub const LINK_BACKOFF_MIN: Duration = Duration::from_millis(250);
/// Longest wait before a lost rendezvous node is dialled again.
pub const LINK_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Rendezvous nodes kept connected at once.
pub const LINKS_MAX: usize = 16;
/// First wait before a refused or lost relay reservation is asked for again.
pub const RESERVATION_BACKOFF_MIN: Duration = Duration::from_secs(2);
/// Longest wait before a refused or lost relay reservation is asked for again.
pub const RESERVATION_BACKOFF_MAX: Duration = Duration::from_secs(300);

/// A connection over which requests went is closed after this time without one.
pub const IDLE_USED: Duration = Duration::from_secs(600);
/// A connection over which nothing was asked is closed after this time.
pub const IDLE_UNUSED: Duration = Duration::from_secs(60);
/// How often idle connections are looked for.
pub const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// A relayed connection is closed this long after a direct one stands beside it,
/// even with requests under way.
pub const DRAIN_MAX: Duration = Duration::from_secs(3);
/// A relayed connection is left quiet for this time before it is closed.
pub const DRAIN_QUIET: Duration = Duration::from_millis(100);

/// Time between two pings.
pub const PING_INTERVAL: Duration = Duration::from_secs(15);
/// A ping that is not answered in this time has failed.
pub const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection is closed after this number of failures in a row, pings and requests together.
pub const FAILURES_MAX: u8 = 2;
/// A peer is disconnected, and kept out for [`GARBAGE_WINDOW`], when it sent this much garbage in [`GARBAGE_WINDOW`].
pub const GARBAGE_MAX: u32 = 8;
/// The time over which garbage is counted.
pub const GARBAGE_WINDOW: Duration = Duration::from_secs(60);
/// Peers that are kept out at once; beyond that the oldest is forgiven.
pub const KEPT_OUT_MAX: usize = 1_024;
/// Peers whose connections are kept open though nobody uses them.
pub const PROTECTED_MAX: usize = 4_096;

/// Established connections in all.
pub const CONNECTIONS_MAX: u32 = 1_024;
/// Established inbound connections.
pub const CONNECTIONS_INBOUND_MAX: u32 = 512;
/// Inbound connections from one network address, those in their handshake included (loopback and relayed ones excepted).
pub const CONNECTIONS_PER_ADDRESS_MAX: u32 = 64;
/// Established connections of one peer: direct and relayed, from both sides, and
/// those of a former life that nobody has noticed to be dead.
pub const CONNECTIONS_PER_PEER_MAX: u32 = 8;
/// Inbound connections that are being established.
pub const CONNECTIONS_PENDING_INBOUND_MAX: u32 = 128;
/// Outbound connections that are being established.
pub const CONNECTIONS_PENDING_OUTBOUND_MAX: u32 = 256;
/// No new connections when the process holds more physical memory than this, in bytes, unless
/// the configuration says otherwise.
pub const PROCESS_MEMORY_MAX_BYTES: usize = 4 * 1024 * 1024 * 1024;
/// A connection must be encrypted and authenticated in this time.
pub const UPGRADE_TIMEOUT: Duration = Duration::from_secs(15);
/// A QUIC handshake must be over in this time. Nothing tells that nobody listens at
/// a UDP port, so this is how long a dial to a peer that is away takes; it leaves
/// room for two lost packets (they are repeated after 1 s and 3 s, RFC 9002).
pub const QUIC_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(4);

/// Longest gossip message, in bytes.
pub const GOSSIP_MAX_BYTES: usize = 64 * 1024;
/// Gossip topics at once, at every peer: two of each group, and of half of them those of two older secrets.
pub const GOSSIP_TOPICS_MAX: usize = 4_000;
/// Longest topic name, in bytes.
pub const GOSSIP_TOPIC_MAX_BYTES: usize = 64;

/// Throw-away peers for deposits at once; the one idle longest goes first.
pub const COURIERS_MAX: usize = 16;
/// Deposits that wait for one throw-away peer.
pub const COURIER_QUEUE_MAX: usize = 256;
/// Deposits of one throw-away peer that are under way at once.
pub const COURIER_IN_FLIGHT_MAX: usize = 32;
/// A throw-away peer ends after this number of deposits.
pub const COURIER_DEPOSITS_MAX: usize = 256;
/// A throw-away peer ends after this number of requests for chunks of one file.
pub const COURIER_CHUNKS_MAX: usize = 16_384;
/// A throw-away peer ends after this time without a deposit.
pub const COURIER_IDLE: Duration = Duration::from_secs(30);
/// A throw-away peer ends after this time in any case.
pub const COURIER_LIFETIME: Duration = Duration::from_secs(300);

/// At the end, open connections get this time to say goodbye.
pub const SHUTDOWN_GRACE: Duration = Duration::from_millis(250);
/// At the end, QUIC gets this time to close its sockets.
pub const PORT_GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether it has.
pub const PORT_POLL: Duration = Duration::from_millis(10);
