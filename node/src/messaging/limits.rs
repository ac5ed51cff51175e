//! Every bound of messaging, each with its unit in its name.

use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::limits::{DAY_MS, GROUP_CHAIN_MAX_MESSAGES, HOUR_MS, SECOND_MS};

/// Commands, events and results that one step of the engine takes together.
pub const STEP_MAX_INPUTS: usize = 256;
/// Messages of one sender that one step takes, and how long the rest is asked to wait: others come in between.
pub const STEP_SENDER_MAX_MESSAGES: usize = 1_024;
/// See [`STEP_SENDER_MAX_MESSAGES`].
pub const STEP_SENDER_WAIT_MS: u64 = 100;
/// Commands that wait for the engine.
pub const COMMANDS_MAX: usize = 1_024;
/// Results of asynchronous work that wait for the engine.
pub const RESULTS_MAX: usize = 1_024;
/// Contacts, requested and blocked ones included.
pub const CONTACTS_MAX: usize = 10_000;
/// People who are forgotten in one sweep.
pub const FORGOTTEN_AT_ONCE_MAX: usize = 500;
/// Messages that wait to be delivered, to all contacts together.
pub const OUTBOX_MAX_MESSAGES: usize = 100_000;
/// Bytes of messages in one delivery to a peer.
pub const DELIVERY_MAX_BYTES: usize = 1024 * 1024;
/// Deliveries to one recipient that are under way at once.
pub const DELIVERIES_IN_FLIGHT_MAX: usize = 2;
/// How long what hurries nobody waits for company, to share a commit with it.
pub const COMMIT_WINDOW_MS: u64 = 5;
/// How long a message of a group waits for others, to share a commit with them.
pub const GOSSIP_COMMIT_WINDOW_MS: u64 = 10;
/// Messages of one contact that wait for an earlier one.
pub const HELD_MAX_MESSAGES: usize = 10_000;
/// Envelopes on their way to the mailboxes of one contact.
pub const DEPOSITS_IN_FLIGHT_MAX: usize = 8;
/// Bytes of one fetch from a mailbox: the first one, which is to be shown at once.
pub const FETCH_FIRST_BYTES: u32 = 128 * 1024;
/// Bytes of one fetch from a mailbox.
pub const FETCH_BYTES: u32 = 1024 * 1024;
/// First wait after a failed delivery.
pub const RETRY_FIRST_MS: u64 = 2 * SECOND_MS;
/// Longest wait between deliveries.
pub const RETRY_MAX_MS: u64 = 10 * 60 * SECOND_MS;
/// While a recipient is being reached, mailboxes are left out for this long.
pub const REACH_PATIENCE_MS: u64 = 700;
/// A message that went to mailboxes is offered directly only after this time
/// on a connection: its acknowledgement is probably under way.
pub const DIRECT_AFTER_DEPOSIT_MS: u64 = 10 * SECOND_MS;
/// A deposit that nobody acknowledged is made again after this time.
pub const DEPOSIT_AGAIN_MS: u64 = 2 * DAY_MS;
/// Recipients whose mail is refused, that the network's status names.
pub const HELD_BACK_MAX: usize = 16;
/// A message that could not be delivered is given up after this time.
pub const OUTBOX_EXPIRES_MS: u64 = 30 * DAY_MS;
/// One-time kits that one connection is given by this device itself.
pub const KITS_PER_CONNECTION_MAX: u32 = 3;
/// One-time kits that this device itself gives away in an hour, to all together.
pub const KITS_PER_HOUR_MAX: usize = 200;
/// Envelopes of one home that wait for others, before the oldest are given up.
pub const ENVELOPES_DEFERRED_MAX: usize = 64;
/// How long an envelope waits for others whose messages come before its own.
pub const ENVELOPE_DEFERRED_MS: u64 = 10 * 60 * SECOND_MS;
/// Messages in deposits that are under way together: fewer than a session skips,
/// so that they open in whatever order they arrive.
pub const DEPOSITING_MAX_MESSAGES: usize = 900;
/// Numbers that the own record is brought forward by at once.
pub const RECORD_JUMP_MAX: u64 = 1_000;
/// Receipts for messages out of a mailbox wait this long, so that they don't
/// show the node when the recipient came, and go together.
pub const RECEIPTS_DELAY_MS: u64 = 2 * SECOND_MS;
/// At most this is added to [`RECEIPTS_DELAY_MS`], at random.
pub const RECEIPTS_JITTER_MS: u64 = 2 * SECOND_MS;
/// Between two attempts to replace a session that the other side has lost.
pub const SESSION_RESET_EVERY_MS: u64 = 10 * SECOND_MS;
/// Between two resets because of a mailbox message that did not open.
pub const MAILBOX_RESET_EVERY_MS: u64 = HOUR_MS;
/// What was received is remembered this long, to know doubles by.
pub const SEEN_KEEP_DAYS: u32 = 31;
/// A clock that goes back further than this against the monotonic one is in doubt.
pub const CLOCK_BACK_MS: u64 = 6 * HOUR_MS;
/// A clock that goes forward further than this against the monotonic one, which
/// stands still while the machine sleeps, is in doubt.
pub const CLOCK_FORWARD_MS: u64 = 7 * DAY_MS;
/// A clock that shows, at the start, a time later than this after the last one known is in doubt.
pub const CLOCK_CLOSED_MS: u64 = 180 * DAY_MS;
/// A clock in doubt is believed once it has stood by its time for this long.
pub const CLOCK_BELIEVED_AGAIN_MS: u64 = 7 * DAY_MS;
/// A clock that shows a time before this one, the beginning of 2026, tells nothing.
pub const CLOCK_NEVER_BEFORE: Timestamp = Timestamp(1_767_225_600_000);
/// Contacts whose sessions are looked through in one maintenance.
pub const SESSIONS_SWEPT_AT_ONCE: usize = 64;
/// Messages that a page of a conversation holds at most.
pub const HISTORY_PAGE_MAX: u32 = 500;
/// Messages that a page of a conversation holds unless it is said.
pub const HISTORY_PAGE: u32 = 50;
/// Longest draft, in bytes.
pub const DRAFT_MAX_BYTES: usize = 64 * 1024;
/// People that are on the local network, remembered for `users.online`.
pub const LOCAL_PEERS_MAX: usize = 1_024;
/// Typing is told at most this often.
pub const TYPING_EVERY_MS: u64 = 3 * SECOND_MS;
/// Traffic is noted this often.
pub const TRAFFIC_EVERY_MS: u64 = 5 * SECOND_MS;
/// Points of traffic that are kept.
pub const TRAFFIC_POINTS_MAX: usize = 720;
/// Keys are looked after, and what is over is swept, this often.
pub const MAINTENANCE_EVERY_MS: u64 = 10 * 60 * SECOND_MS;
/// Contacts that nobody has seen are tried again this often, a few at a time.
pub const CONNECT_EVERY_MS: u64 = 60 * SECOND_MS;
/// After a member of a group went, neighbours are sought after this time, then after twice as
/// long each time, up to [`CONNECT_EVERY_MS`]: whoever was cut off may be back in a moment.
pub const SEEK_FIRST_MS: u64 = 2 * SECOND_MS;
/// Contacts tried together.
pub const CONNECT_AT_ONCE_MAX: usize = 16;
/// Longest encoded record of the vault that messaging writes, in bytes.
pub const ROW_MAX_BYTES: usize = 1024 * 1024;
/// Groups, left ones and invitations included.
pub const GROUPS_MAX: usize = 1_000;
/// Requests to join one group that wait for an admin.
pub const GROUP_APPLICANTS_MAX: usize = 256;
/// Numbers of a chain above this are refused: a new chain begins long before.
pub const GROUP_NUMBER_MAX: u32 = 2 * GROUP_CHAIN_MAX_MESSAGES;
/// Chains of one member whose places are kept.
pub const GROUP_PLACES_PER_MEMBER_MAX: usize = 8;
/// What the records and addresses of all who ask to join one group may take, in bytes.
pub const GROUP_APPLICANTS_MAX_BYTES: usize = 512 * 1024;
/// Longest row of a group, in bytes.
pub const GROUP_ROW_MAX_BYTES: usize = 3 * 1024 * 1024;
/// What waits for one member before they are welcomed once more, in messages.
pub const GROUP_WELCOMES_WAITING_MAX: usize = 256;
/// Control messages of one group that came before their author was known to be a member:
/// of all members together, since a newcomer gets the chains of all at once.
pub const GROUP_EARLY_MAX: usize = 2_048;
/// The same of one sender.
pub const GROUP_EARLY_EACH_MAX: usize = 8;
/// The same in bytes.
pub const GROUP_EARLY_MAX_BYTES: usize = 768 * 1024;
/// Changes of and reactions to messages that did not come yet, in one group.
pub const GROUP_OVERTAKING_MAX: usize = 1_024;
/// The same of one member.
pub const GROUP_OVERTAKING_EACH_MAX: usize = 64;
/// The same of one message.
pub const GROUP_OVERTAKING_OF_ONE_MAX: usize = 32;
/// Of those, how many are of one member.
pub const GROUP_OVERTAKING_OF_ONE_EACH_MAX: usize = 4;
/// Own messages of one group that not all members are known to have.
pub const GROUP_UNACKNOWLEDGED_MAX: usize = 2_000;
/// Operations in one row of the vault.
pub const GROUP_PAGE_OPERATIONS: usize = 64;
/// Messages of one group whose chain did not come yet, in memory.
pub const GROUP_WAITING_MAX: usize = 512;
/// Operations of one group that wait for those before them, in memory.
pub const GROUP_ORPHANS_MAX: usize = 1_024;
/// Of those, how many one teller may have waiting.
pub const GROUP_ORPHANS_EACH_MAX: usize = 128;
/// Chains of one group that were seen and not handed over.
pub const GROUP_UNKNOWN_CHAINS_MAX: usize = 256;
/// Of those, how many may be said to be of one member.
pub const GROUP_UNKNOWN_CHAINS_EACH_MAX: usize = 4;
/// How often a member is asked for one of them.
pub const GROUP_CHAIN_ASKS_MAX: u8 = 3;
/// How far ahead of all that is known the next group secret may be.
pub const GROUP_GENERATIONS_AHEAD_MAX: u64 = 1 << 20;
/// How far the first group secret may be that an account is told as it comes in.
pub const GROUP_GENERATIONS_FIRST_MAX: u64 = 1 << 48;
/// Group messages are kept this long for members who lack them.
pub const GROUP_KEEP_DAYS: u32 = 30;
/// In groups with more members nobody tells what was read: each message would cost each member one.
pub const GROUP_READ_MEMBERS_MAX: usize = 100;
/// In groups with more members nobody tells that they are typing.
pub const GROUP_TYPING_MEMBERS_MAX: usize = 50;
/// An admin who was asked to let somebody in has this time, before the next one is asked.
pub const GROUP_ASK_NEXT_MS: u64 = 8 * SECOND_MS;
/// Members compare what they have this often.
pub const GROUP_SYNC_EVERY_MS: u64 = 10 * SECOND_MS;
/// Logs of older secrets that were not read to their end are tried again this often.
pub const GROUP_LOGS_EVERY_MS: u64 = 60 * SECOND_MS;
/// A node of a group's log that has not answered after this time is not waited for.
pub const GROUP_APPEND_PATIENCE_MS: u64 = 5 * SECOND_MS;
/// So long it is left alone then, if there is another.
pub const GROUP_APPEND_PAUSE_MS: u64 = 30 * SECOND_MS;
/// After an own message, members are asked whether it came, this much later.
pub const GROUP_SYNC_SOON_MS: u64 = 500;
/// Whoever is connected for less than this may not have said yet what they listen to.
pub const GROUP_SUBSCRIBED_AFTER_MS: u64 = SECOND_MS;
/// Whoever writes much compares no more often than this.
pub const GROUP_SYNC_APART_MS: u64 = 5 * SECOND_MS;
/// Messages that one member may publish in [`GROUP_PACE_MS`] before the rest is put off.
pub const GROUP_BURST_MESSAGES: u32 = 2_000;
/// Strangers whom one admin lets into one group by themselves in [`GROUP_PACE_MS`].
pub const GROUP_BURST_JOINS: u32 = 40;
/// The time over which floods are measured.
pub const GROUP_PACE_MS: u64 = 10 * SECOND_MS;
/// What somebody has seen and we have not is given this time to come by itself, before it is asked for.
pub const GROUP_GAP_GRACE_MS: u64 = 500;
/// A gap that is still there after so many questions is no longer asked for.
pub const GROUP_GAP_ASKS_MAX: u8 = 4;
/// Gaps of one group that are remembered.
pub const GROUP_GAPS_MAX: usize = 256;
/// Places of one group at which somebody signed two messages, and both are kept.
pub const GROUP_TWINS_MAX: usize = 64;
/// The newest messages of one group whose hashes are remembered, so that the vault is not asked.
pub const GROUP_RECENT_MAX: usize = 2_048;
/// Members who are asked together for what is missing here.
pub const GROUP_ASK_IN_TURN: usize = 2;
/// Whoever has not answered after this time no longer counts towards [`GROUP_ASK_IN_TURN`].
pub const GROUP_ASK_PATIENCE_MS: u64 = 500;
/// Whoever is to be asked something else while a question is under way is asked again after this time.
pub const GROUP_ASK_AGAIN_MS: u64 = 20;
/// Members that are asked at once whether they have what was said here.
pub const GROUP_SYNC_AT_ONCE: usize = 4;
/// Connections to members of one group that are sought.
pub const GROUP_NEIGHBOURS: usize = 8;
/// The owner of a chain that is missing is asked for it after this time, and again.
pub const GROUP_CHAIN_ASK_MS: u64 = 20 * SECOND_MS;
