//! Every bound of files, each with its unit in its name.

use std::time::Duration;

/// Shared and offered files that are kept in the list.
pub const FILES_MAX: usize = 20_000;
/// Files that are fetched at once; others wait for their turn.
pub const DOWNLOADS_AT_ONCE_MAX: usize = 4;
/// So many of them from one sharer: one who is slow, or shares much, keeps nobody else waiting.
pub const DOWNLOADS_OF_ONE_SHARER_MAX: usize = 3;
/// Holders that one file is fetched from at once; others take their place when they end.
pub const HOLDERS_AT_ONCE_MAX: usize = 8;
/// Peers that one attempt asks, those included who came later.
pub const HOLDERS_ASKED_MAX: usize = 32;
/// Files that are read for the first time at once.
pub const PREPARED_AT_ONCE_MAX: usize = 2;
/// Commands that wait for one download to end.
pub const WAITERS_MAX: usize = 16;
/// A longer file asks to be confirmed, in bytes.
pub const CONFIRM_ABOVE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of chunks that one transfer holds in memory, at least two chunks.
pub const CHUNKS_IN_MEMORY_BYTES: usize = 6 * 1024 * 1024;
/// Chunks asked for in one request.
pub const BATCH_CHUNKS: u16 = 2;
/// Least number of chunks under way from one holder.
pub const WINDOW_MIN_CHUNKS: u32 = 2;
/// Most chunks under way from one holder.
pub const WINDOW_MAX_CHUNKS: u32 = 32;
/// Chunks may wait so long behind one another before fewer are asked for.
pub const WINDOW_QUEUE_MAX: Duration = Duration::from_millis(4);
/// Requests of one stream that wait for their turn.
pub const REQUESTS_WAITING_MAX: usize = 32;
/// A holder that sends nothing for this time is given up.
pub const HOLDER_SILENT_MAX: Duration = Duration::from_secs(30);
/// A holder whose stream breaks is asked again after these times, before it is given up; from the first on
/// whenever it has handed over something.
pub const HOLDER_RETRIES: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(1_000)];
/// Streams on which one account fetches from us at once: each holds a thread and some buffers.
pub const STREAMS_PER_READER_MAX: usize = 32;
/// A stream on which nothing is asked for this time is closed.
pub const STREAM_IDLE_MAX: Duration = Duration::from_secs(120);
/// What was written goes to the disk each time after so many bytes, and no more than twice that ever waits to:
/// the vault's commits, and with them chat, wait behind what a file system has to write before them.
pub const SYNC_EVERY_BYTES: u64 = 2 * 1024 * 1024;
/// A received file of more bytes is left to the disk as it comes, and does not stay in the system's cache as well.
pub const LEFT_IN_MEMORY_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Room on the disk that is taken ahead of what is written, in bytes.
pub const RESERVED_AHEAD_BYTES: u64 = 16 * 1024 * 1024;
/// Names tried for a received file: `name (1).ext` and so on.
pub const NAMES_TRIED_MAX: u32 = 10_000;
/// Progress is told this often, in milliseconds.
pub const PROGRESS_EVERY_MS: u64 = 400;
/// First wait before a transfer that broke is tried again, in milliseconds.
pub const RETRY_FIRST_MS: u64 = 500;
/// Longest such wait, in milliseconds.
pub const RETRY_MAX_MS: u64 = 60_000;
/// Room that must be left on the disk beside a received file, in bytes.
pub const ROOM_LEFT_BYTES: u64 = 16 * 1024 * 1024;
/// What is looked at of a file to tell its type, in bytes.
pub const HEAD_BYTES: usize = 560;
/// Chunks that are fetched from, or sent to, one rendezvous node at once.
pub const NODE_REQUESTS_AT_ONCE_MAX: usize = 8;
/// Rendezvous nodes at which a file waits for its recipient.
pub const UPLOAD_HOMES_MAX: usize = 2;
/// Files that are sent to rendezvous nodes at once.
pub const UPLOADS_AT_ONCE_MAX: usize = 2;
/// A file that never expires waits so long at a rendezvous node, in hours: a week.
pub const UPLOAD_HOURS: u32 = 7 * 24;
/// Nodes are asked this often how many fetched a file that waits there.
pub const COUNTS_EVERY: Duration = Duration::from_secs(600);
/// Files that are asked about at once.
pub const COUNTS_AT_ONCE_MAX: usize = 64;
/// A node that asks to slow down is asked again so often.
pub const SLOW_DOWNS_MAX: u32 = 30;
/// Files that nodes are asked to delete at once.
pub const DOOMED_AT_ONCE_MAX: usize = 16;
/// What was on its way to a node when it was to be deleted is deleted once more after this time, in milliseconds.
pub const DOOMED_AGAIN_MS: u64 = 30_000;
/// Longest wait before a node that did not delete is asked again, in milliseconds.
pub const DOOMED_RETRY_MAX_MS: u64 = 3_600_000;
