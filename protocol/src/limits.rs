//! Every bound of the protocol, each with its unit in its name. Floor 1.

/// Milliseconds in a second.
pub const SECOND_MS: u64 = 1_000;
/// Milliseconds in an hour.
pub const HOUR_MS: u64 = 3_600 * SECOND_MS;
/// Milliseconds in a day.
pub const DAY_MS: u64 = 24 * HOUR_MS;

// --- names and texts

/// Shortest username, in characters.
pub const USERNAME_MIN_CHARS: usize = 3;
/// Longest username, in characters.
pub const USERNAME_MAX_CHARS: usize = 30;
/// Shortest password, in characters.
pub const PASSWORD_MIN_CHARS: usize = 8;
/// Longest password, in bytes: bounds the work of the strength estimate.
pub const PASSWORD_MAX_BYTES: usize = 1_024;
/// Longest text of one message, in bytes.
pub const TEXT_MAX_BYTES: usize = 16 * 1024;
/// Longest greeting of a chat request, in bytes.
pub const GREETING_MAX_BYTES: usize = 1_024;
/// Longest reaction, in bytes: one emoji with its modifiers.
pub const REACTION_MAX_BYTES: usize = 64;
/// Longest address in a record or an invite, in bytes.
pub const ADDRESS_MAX_BYTES: usize = 512;

// --- records

/// Home rendezvous nodes that a record names.
pub const HOMES_MAX: usize = 8;
/// Peers (devices' network keys) that a record names.
pub const RECORD_PEERS_MAX: usize = 4;
/// Addresses that an invite or a profile names.
pub const ADDRESSES_MAX: usize = 16;
/// Longest encoded record, in bytes.
pub const RECORD_MAX_BYTES: usize = 16 * 1024;
/// Longest invite, in bytes of its text.
pub const INVITE_MAX_BYTES: usize = 4 * 1024;

// --- prekeys and sessions

/// One-time kits made at once.
pub const KITS_BATCH: usize = 50;
/// Kits are made anew below this number.
pub const KITS_LOW: usize = 20;
/// One-time kits kept at a rendezvous node for one account.
pub const KITS_MAX: usize = 200;
/// The signed prekey is replaced after this time.
pub const SIGNED_PREKEY_ROTATE_MS: u64 = 7 * DAY_MS;
/// A replaced signed prekey is kept this long, for messages under way.
pub const SIGNED_PREKEY_KEEP_MS: u64 = 30 * DAY_MS;
/// A signed prekey promises to be opened this long after it was made: a week in use
/// and the time it is kept afterwards. Someone who is away longer keeps it until they return.
pub const SIGNED_PREKEY_LIFETIME_MS: u64 = SIGNED_PREKEY_ROTATE_MS + SIGNED_PREKEY_KEEP_MS;
/// Nobody starts a session from a signed prekey older than this.
pub const SIGNED_PREKEY_USABLE_MS: u64 = 365 * DAY_MS;
/// A signed prekey may have been made this far in the future, by clocks that differ.
pub const CLOCK_SKEW_MS: u64 = DAY_MS;
/// Own signed prekeys kept at once, the current one included.
pub const SIGNED_PREKEYS_MAX: usize = 16;
/// Own one-time kits kept at once, over all that hand them out: the oldest go first.
pub const KITS_STORED_MAX: usize = 1_000;
/// First messages remembered for one signed prekey, against replay. When it is full,
/// only first messages that use a kit are accepted until the next rotation.
pub const FIRST_MESSAGES_MAX: usize = 4_096;
/// A signed prekey that has met this many first messages is replaced at once.
pub const FIRST_MESSAGES_ROTATE: usize = FIRST_MESSAGES_MAX / 2;
/// Longest encoded bundle, in bytes.
pub const BUNDLE_MAX_BYTES: usize = 4 * 1024;
/// Longest encoded header of a first message, in bytes.
pub const INITIAL_HEADER_MAX_BYTES: usize = 2 * 1024;
/// A peer that sends so many messages in a row on another session than ours, one
/// that we met later than ours, is followed there.
pub const SESSION_FOLLOW_AFTER: u8 = 3;
/// Used message keys of the newest receiving chain whose message is remembered, to
/// tell a repeated message from another one under the same key.
pub const RECENT_MESSAGES_MAX: usize = 16;
/// Message keys skipped at once in one chain.
pub const SKIP_MAX: u32 = 1_000;
/// Skipped message keys kept for one session.
pub const SKIPPED_KEYS_MAX: usize = 2_000;
/// Receiving chains kept for one session.
pub const RECEIVING_CHAINS_MAX: usize = 5;
/// Skipped message keys and old chains are kept this long.
pub const SKIPPED_KEYS_KEEP_MS: u64 = 30 * DAY_MS;
/// Sessions kept for one contact, the active one included.
pub const SESSIONS_MAX: usize = 5;
/// An archived session is kept this long.
pub const SESSION_ARCHIVE_KEEP_MS: u64 = 30 * DAY_MS;

// --- padding

/// Plaintexts up to [`PADDING_SMALL_UP_TO_BYTES`] are padded to this step.
pub const PADDING_SMALL_STEP_BYTES: usize = 256;
/// Where the larger step begins.
pub const PADDING_SMALL_UP_TO_BYTES: usize = 4 * 1024;
/// Longer plaintexts are padded to this step.
pub const PADDING_LARGE_STEP_BYTES: usize = 4 * 1024;

// --- messages under way

/// Longest plaintext of one message before padding, in bytes.
pub const PLAINTEXT_MAX_BYTES: usize = 40 * 1024;
/// Longest encrypted message, in bytes.
pub const CIPHERTEXT_MAX_BYTES: usize = 48 * 1024;
/// Longest sealed envelope in a mailbox, in bytes. It may carry many messages.
pub const ENVELOPE_MAX_BYTES: usize = 64 * 1024;
/// Messages that one delivery or one envelope carries.
pub const DELIVERY_MAX_MESSAGES: usize = 256;
/// Longest frame between peers, in bytes.
pub const PEER_FRAME_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Longest frame between a peer and a rendezvous node, in bytes.
pub const RENDEZVOUS_FRAME_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Message ids that one receipt names.
pub const RECEIPT_MAX_IDS: usize = 512;

// --- requests

/// Chat requests that may wait for an answer.
pub const REQUESTS_WAITING_MAX: usize = 32;
/// A chat request that nobody answers ends after this time.
pub const REQUEST_EXPIRES_MS: u64 = 30 * DAY_MS;

// --- mailboxes

/// Envelopes in one mailbox.
pub const MAILBOX_MAX_ENVELOPES: u64 = 20_000;
/// Bytes in one mailbox.
pub const MAILBOX_MAX_BYTES: u64 = 50 * 1024 * 1024;
/// An envelope that nobody fetched is deleted after this time.
pub const MAILBOX_EXPIRES_MS: u64 = 21 * DAY_MS;
/// Mailbox keys are replaced after this time.
pub const MAILBOX_KEY_ROTATE_MS: u64 = 7 * DAY_MS;
/// A replaced mailbox key is kept this long.
pub const MAILBOX_KEY_KEEP_MS: u64 = 30 * DAY_MS;
/// Mailbox keys kept at once, the current one included: more than a year without draining the homes.
pub const MAILBOX_KEYS_MAX: usize = 64;
/// Delivery tokens handed to a contact at once.
pub const TOKENS_BATCH: u32 = 128;
/// Delivery tokens handed to a member of a group, who is no contact, at once.
pub const GROUP_TOKENS_BATCH: u32 = 32;
/// Delivery tokens of one mailbox at a rendezvous node.
pub const TOKENS_MAX: usize = 100_000;
/// Least proof of work asked of a stranger's deposit, in leading zero bits.
pub const WORK_MIN_BITS: u8 = 16;
/// Most proof of work that a peer is ready to do, in leading zero bits.
pub const WORK_MAX_BITS: u8 = 26;

/// Requests for mail, for entries of logs or for chunks that one peer has under way at one node: a
/// node tells further ones to slow down, since their answers are large.
pub const LARGE_ANSWERS_MAX: u32 = 8;

// --- the directory of public groups

/// Longest name of a group, in characters.
pub const GROUP_NAME_MAX_CHARS: usize = 60;
/// Longest description of a group, in bytes.
pub const GROUP_DESCRIPTION_MAX_BYTES: usize = 1_024;
/// Admins that an entry names.
pub const LISTING_ADMINS_MAX: usize = 8;
/// Homes of one admin that an entry names.
pub const LISTING_HOMES_MAX: usize = 3;
/// Longest encoded entry, in bytes.
pub const LISTING_MAX_BYTES: usize = 16 * 1024;
/// An entry is good for no longer than this: it is renewed by an admin meanwhile.
pub const LISTING_LIFETIME_MAX_MS: u64 = 30 * DAY_MS;

// --- logs of groups

/// Entries in one log.
pub const LOG_MAX_ENTRIES: u64 = 20_000;
/// Bytes in one log.
pub const LOG_MAX_BYTES: u64 = 50 * 1024 * 1024;
/// An entry is deleted after this time, whoever read it.
pub const LOG_EXPIRES_MS: u64 = 30 * DAY_MS;

// --- blobs

/// Longest chunk of a blob, in bytes: 1 MiB, with room for a tag.
pub const BLOB_CHUNK_MAX_BYTES: usize = 1024 * 1024 + 64;
/// Chunks of one blob.
pub const BLOB_CHUNKS_MAX: u32 = 16_384;
/// Longest blob, in bytes, unless the node's configuration says otherwise: a file of 50 MB with its padding.
pub const BLOB_MAX_BYTES: u64 = 52 * 1024 * 1024;
/// Bytes of all blobs that one account or one mailbox is charged with, unless the node's configuration says otherwise.
pub const BLOB_OWNER_MAX_BYTES: u64 = 512 * 1024 * 1024;
/// A blob is deleted after this time, in hours: 30 days.
pub const BLOB_EXPIRES_MAX_HOURS: u32 = 30 * 24;

// --- key derivation from a password

/// Memory of Argon2id for a new vault, in KiB.
pub const ARGON2_MEMORY_KIB: u32 = 64 * 1024;
/// Passes of Argon2id for a new vault.
pub const ARGON2_PASSES: u32 = 3;
/// A vault that asks for less memory is refused, in KiB.
pub const ARGON2_MEMORY_MIN_KIB: u32 = 19 * 1024;
/// A vault that asks for fewer passes is refused.
pub const ARGON2_PASSES_MIN: u32 = 2;
/// A vault that asks for more memory is refused, in KiB.
pub const ARGON2_MEMORY_MAX_KIB: u32 = 1024 * 1024;
/// A vault that asks for more passes is refused.
pub const ARGON2_PASSES_MAX: u32 = 64;
/// A vault that asks for more lanes is refused.
pub const ARGON2_LANES_MAX: u8 = 16;

// --- the vault

/// The key of rows that hold ratchet states is replaced after this time.
pub const VAULT_KEY_ROTATE_MS: u64 = DAY_MS;

// --- groups

/// Members of one group.
pub const GROUP_MEMBERS_MAX: usize = 1_000;
/// Operations on the membership of one group, over its whole life.
pub const GROUP_OPERATIONS_MAX: usize = 8_192;
/// Operations that one operation names as its parents.
pub const GROUP_PARENTS_MAX: usize = 16;
/// Operations without effect that are taken of one account that is no admin.
pub const GROUP_WASTED_OPERATIONS_MAX: usize = 16;
/// Longest encoded operation, in bytes: it may carry a record.
pub const GROUP_OPERATION_MAX_BYTES: usize = 8 * 1024;
/// Invites of one group that are open at once.
pub const GROUP_INVITES_MAX: usize = 256;
/// Admins that a link names besides the one who made it.
pub const GROUP_INVITE_OTHERS_MAX: usize = 2;
/// Chains of one member of which a removal says how far they are read.
pub const GROUP_SEEN_MAX: usize = 64;
/// Messages that one group message names as the newest it has seen.
pub const GROUP_HEADS_MAX: usize = 16;
/// Messages that one question to a member asks for by their hashes.
pub const GROUP_NAMED_MAX: usize = 64;
/// Chains kept for one member of a group once they were read and nothing comes of them.
pub const GROUP_CHAINS_MAX: usize = 5;
/// Chains kept for one member while messages of them may still come: somebody who was
/// away is handed all that were begun meanwhile before they have read the first.
pub const GROUP_CHAINS_UNREAD_MAX: usize = 64;
/// A chain that was read, lacks nothing, and of which nothing came for this long may go.
pub const GROUP_CHAIN_IDLE_MS: u64 = HOUR_MS;
/// A member's chain is replaced after so many messages.
pub const GROUP_CHAIN_MAX_MESSAGES: u32 = 100;
/// A member's chain is replaced after this time.
pub const GROUP_CHAIN_ROTATE_MS: u64 = 7 * DAY_MS;
/// Longest encoded group message, in bytes.
pub const GROUP_MESSAGE_MAX_BYTES: usize = 48 * 1024;
/// Members whom a publisher names as not reached; of more than these none are named.
pub const GROUP_UNREACHED_MAX: usize = 64;
/// Longest encoded message with whom it did not reach, in bytes.
pub const GROUP_GOSSIP_MAX_BYTES: usize = GROUP_MESSAGE_MAX_BYTES + 512;
/// Operations in one control message, in bytes of their encodings.
pub const GROUP_SYNC_MAX_BYTES: usize = 32 * 1024;
/// Messages in one answer to a member who lacks some.
pub const GROUP_ANSWER_MESSAGES_MAX: usize = 2_000;
/// People in one list of a control message.
pub const GROUP_LIST_MAX: usize = 1_000;
/// Group secrets that are kept, the present one included: for what was sent under earlier ones.
pub const GROUP_SECRETS_MAX: usize = 8;
/// Group secrets that are kept until their logs were read.
pub const GROUP_SECRETS_UNREAD_MAX: usize = 64;
/// Chains whose positions one request for missing messages names.
pub const GROUP_PLACES_MAX: usize = 5_000;
// --- files

/// Smallest chunk of a file, in bytes of plaintext.
pub const CHUNK_MIN_BYTES: u32 = 256 * 1024;
/// Largest chunk of a file, in bytes of plaintext: those of very long files.
pub const CHUNK_MAX_BYTES: u32 = 4 * 1024 * 1024;
/// Chunks of one file: with the largest ones, 256 GiB.
pub const FILE_CHUNKS_MAX: u32 = 65_536;
/// The last chunk of a file is padded to a multiple of this.
pub const LAST_CHUNK_STEP_BYTES: usize = 16 * 1024;
/// Longest name of a file, in bytes.
pub const FILE_NAME_MAX_BYTES: usize = 255;
/// Longest media type, in bytes.
pub const MIME_MAX_BYTES: usize = 127;
/// Longest caption of a file, in bytes.
pub const CAPTION_MAX_BYTES: usize = 4 * 1024;
/// Longest preview of an image, in bytes.
pub const PREVIEW_MAX_BYTES: usize = 10 * 1024;
/// Longest side of a preview, in pixels.
pub const PREVIEW_MAX_PIXELS: u16 = 320;
/// Files with at most this number of chunks carry the hashes of them in the manifest.
pub const MANIFEST_LEAVES_MAX: u32 = 512;
/// Chunks that one request to a holder names.
pub const FETCH_MAX_CHUNKS: u16 = 64;
/// Longest request to a holder, in bytes.
pub const FETCH_REQUEST_MAX_BYTES: usize = 64;
