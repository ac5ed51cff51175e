//! The group's log at the rendezvous nodes, for members who are away: every message
//! is appended there, sealed under the group secret, and read by whoever comes
//! back. The nodes see an id that is random to them, sizes and times.

use std::time::{Duration, Instant};

use secure_chat_protocol::group_log::{LogKeys, log_as_mailbox, work as log_work};
use secure_chat_protocol::id::{AccountId, EnvelopeId, GroupId, Timestamp};
use secure_chat_protocol::limits::WORK_MIN_BITS;
use secure_chat_protocol::membership::GroupSecret;
use secure_chat_protocol::sender_key::GroupMessageIn;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{GroupLogRequest, LogEntry, LogStamp, Refusal, Request, Response};
use secure_chat_protocol::work::Solver;

use super::Group;
use super::chat::place_key;
use super::order::as_said;
use super::writing::{Appended, Rest};
use crate::api::MessageState;
use crate::engine::proofs::{Proof, Prover};
use crate::engine::state::{Open, rng};
use crate::engine::step::Step;
use crate::engine::work::Work;
use crate::messaging::group::{KeptSecret, Unacknowledged};
use crate::messaging::limits::{
    FETCH_BYTES, GROUP_APPEND_PATIENCE_MS, GROUP_LOGS_EVERY_MS, GROUP_NUMBER_MAX, GROUP_SYNC_SOON_MS,
};
use crate::network::{Address, NetworkHandle, parse_rendezvous};
use crate::store::Table;

/// Nodes where one group keeps its log.
const LOG_NODES_MAX: usize = 3;
/// Messages that are appended at one node in one batch.
const LOG_AT_ONCE: usize = 16;
/// Secrets under which members may still write: the present one and those just before.
const READ_SECRETS: usize = 3;

/// What was read of a log.
pub(crate) struct LogPage {
    pub(crate) group: GroupId,
    pub(crate) node: String,
    /// Which group secret's log: its generation, and who made it.
    pub(crate) secret: (u64, AccountId),
    /// Behind which place it was asked to begin.
    pub(crate) after: u64,
    /// Nothing where the node did not answer.
    pub(crate) entries: Option<Vec<LogEntry>>,
    pub(crate) more: bool,
}

impl Open {
    /// Where a group's log stands: at the homes of its most senior admins, so that all
    /// members come to the same nodes.
    fn log_nodes(&self, group: GroupId) -> Vec<Address> {
        let Some(view) = self.groups.get(&group).and_then(Group::view) else { return Vec::new() };
        let mut nodes: Vec<String> = Vec::new();
        for account in view.admins() {
            let homes = if account == self.me {
                self.home_addresses()
            } else {
                self.contacts.get(&account).map(|contact| contact.homes.clone()).unwrap_or_default()
            };
            for home in homes {
                if nodes.len() < LOG_NODES_MAX && !nodes.contains(&home) {
                    nodes.push(home);
                }
            }
        }
        nodes.iter().filter_map(|node| parse_rendezvous(node).ok()).collect()
    }

    /// Appends what some member who is away is not known to have to the log, at all its
    /// nodes; again after a restart, until a node has it. Each node has its own pace: one
    /// that is slow, or does not answer, holds up no other.
    pub(super) fn log_unheard(&mut self, step: &mut Step<'_>, group: GroupId) {
        let nodes = self.log_nodes(group);
        let all_here =
            self.groups.get(&group).and_then(Group::view).is_none_or(|view| {
                view.members.keys().all(|account| *account == self.me || self.is_connected(*account))
            });
        let Some(held) = self.groups.get_mut(&group).filter(|held| held.is_joined()) else { return };
        let Some(secret) = held.secret() else { return };
        let published = &mut held.published;
        // Whoever is here has it in a moment; the next comparison tells.
        let due: Vec<Unacknowledged> = held
            .row
            .unacknowledged
            .iter()
            .filter(|message| !(all_here && !message.logged && published.insert((message.chain, message.number))))
            .copied()
            .collect();
        let first = due.iter().find(|message| !message.logged).map(|message| message.order);
        let now = Instant::now();
        for node in held.writing.ready(&nodes, now) {
            let name = node.to_string();
            let lane = held.writing.lane(&name);
            let Some(from) = lane.next.or(first) else { continue };
            let mut batch = Vec::new();
            for message in due.iter().filter(|message| message.order >= from) {
                if batch.len() >= LOG_AT_ONCE {
                    break;
                }
                let row =
                    step.txn.get(Table::GroupLog, &place_key(group, message.chain, message.number)).ok().flatten();
                if let Some((_, encoded)) = row.as_deref().and_then(|row| row.split_first_chunk::<8>()) {
                    batch.push((*message, secret.seal(encoded, &mut rng())));
                }
            }
            let Some((last, _)) = batch.last() else { continue };
            lane.begin(last.order.saturating_add(1));
            let (net, keys, now) = ((self.net.clone(), self.proofs.prover()), secret.log_keys(), step.now);
            let node = node.clone();
            step.work(async move {
                let appended = append_in_order(&net, &node, &keys, batch, now).await;
                Work::GroupLogged { group, node: name, appended }
            });
        }
    }

    /// A node has taken these messages of a batch.
    pub(in crate::engine) fn group_logged(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        node: &str,
        appended: &Appended,
    ) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        held.writing.lane(node).ended(appended, Instant::now());
        if appended.taken.is_empty() {
            return;
        }
        let mut news = Vec::new();
        for waiting in held.row.unacknowledged.iter_mut().filter(|waiting| !waiting.logged) {
            waiting.logged = appended.taken.iter().any(|message| message.message == waiting.message);
            if waiting.logged {
                news.push(waiting.message);
            }
        }
        if !news.is_empty() {
            step.groups.insert(group);
        }
        for message in news {
            let sent = self.advance_state(step, AccountId(group.0), message, MessageState::Sent, None);
            if let Err(error) = sent {
                tracing::error!(%error, "a message's state can't be stored");
            }
        }
        self.log_unheard(step, group);
    }

    /// Reads on in the logs of all groups, after coming back.
    pub(in crate::engine) fn read_logs(&mut self, step: &mut Step<'_>) {
        let groups: Vec<GroupId> =
            self.groups.values().filter(|held| held.is_joined()).map(|held| held.row.group).collect();
        for group in groups {
            if let Some(held) = self.groups.get_mut(&group) {
                held.read_all_at = None;
            }
            self.read_log(step, group);
            self.log_unheard(step, group);
        }
    }

    /// Reads on in a group's logs, at all its nodes: those of the newest secrets, under
    /// which members may still write, and now and then those that were not read to their end.
    pub(super) fn read_log(&mut self, step: &mut Step<'_>, group: GroupId) {
        let nodes = self.log_nodes(group);
        let Some(held) = self.groups.get_mut(&group).filter(|held| held.is_joined()) else { return };
        if nodes.is_empty() {
            held.row.secrets.iter_mut().for_each(|kept| kept.behind = false);
            return;
        }
        let now = Instant::now();
        let all = held.read_all_at.is_none_or(|at| now >= at);
        if all {
            held.read_all_at = Some(now + Duration::from_millis(GROUP_LOGS_EVERY_MS));
        }
        let secrets = &held.row.secrets;
        held.reading.retain(|secret| secrets.iter().any(|kept| (kept.secret.generation, kept.author) == *secret));
        let newest = held.row.secrets.len().saturating_sub(READ_SECRETS);
        let wanted = held.row.secrets.iter().enumerate().filter(|(at, kept)| *at >= newest || (all && kept.behind));
        for (_, kept) in wanted {
            let secret = (kept.secret.generation, kept.author);
            for node in nodes.iter().filter(|node| held.reading.may_read(secret, &node.to_string(), now)) {
                read_on(&self.net, step, group, kept, node);
            }
        }
    }

    /// A page of a log came. A node may lie about it: what is not sealed by a member opens to nothing.
    pub(in crate::engine) fn log_read(&mut self, step: &mut Step<'_>, page: &LogPage) {
        let Some(entries) = &page.entries else { return };
        let Some(held) = self.groups.get_mut(&page.group).filter(|held| held.is_joined()) else { return };
        // Two admins may have made one of the same generation.
        let asked = |kept: &&mut KeptSecret| (kept.secret.generation, kept.author) == page.secret;
        let Some(kept) = held.row.secrets.iter_mut().find(asked) else { return };
        let last = entries.iter().map(|entry| entry.position).max().unwrap_or(0);
        let cursor = kept.cursors.entry(page.node.clone()).or_insert(0);
        // It was turned back meanwhile: what lies between is not to be left out.
        let fits = page.after <= *cursor;
        let advanced = fits && last > *cursor;
        if advanced {
            *cursor = last;
        }
        let ended = fits && kept.behind && !page.more;
        kept.behind &= !ended;
        let secret = GroupSecret::from_wire(kept.secret.secret);
        if advanced || ended {
            step.groups.insert(page.group);
        }
        let mut unread = None::<u64>;
        let opened = entries.iter().filter_map(|entry| Some((entry.position, secret.open(&entry.sealed.0)?)));
        let opened: Vec<_> = opened.collect();
        let came = (entries.as_slice(), opened.len(), page.more);
        let goes_on = held.reading.goes_on(page.secret, &page.node, came, Instant::now());
        let said = as_said(opened, |(_, encoded)| {
            GroupMessageIn::decode(encoded).ok().map(|message| (message.chain, message.number))
        });
        for (position, encoded) in said {
            // It was asked for here: nobody floods us with it.
            if !self.group_message(step, page.group, &encoded, Some(self.me))
                && self.may_be_read_later(step, page.group, &encoded)
            {
                unread = Some(unread.map_or(position, |first| first.min(position)));
            }
        }
        let Some(held) = self.groups.get_mut(&page.group).filter(|held| held.is_joined()) else { return };
        let Some(kept) = held.row.secrets.iter_mut().find(asked) else { return };
        if let Some(unread) = unread {
            let first = kept.unread.entry(page.node.clone()).or_insert(unread);
            *first = unread.min(*first);
            step.groups.insert(page.group);
        }
        if goes_on && advanced {
            let node = parse_rendezvous(&page.node).ok();
            if let (Some(node), Some(kept)) = (node, self.kept_secret(page)) {
                read_on(&self.net, step, page.group, kept, &node);
            }
        }
    }

    fn kept_secret(&self, page: &LogPage) -> Option<&KeptSecret> {
        let secrets = &self.groups.get(&page.group)?.row.secrets;
        secrets.iter().find(|kept| (kept.secret.generation, kept.author) == page.secret)
    }

    /// Whether a message that could not be read now may be once its author or chain is known.
    fn may_be_read_later(&mut self, step: &Step<'_>, group: GroupId, encoded: &[u8]) -> bool {
        let Ok(message) = GroupMessageIn::decode(encoded) else { return false };
        let hash = GroupMessageIn::hash(encoded);
        let me = self.me;
        let Some(held) = self.groups.get(&group) else { return false };
        let Some(view) = held.view() else { return false };
        // Of whoever has gone only that counts which the others had read; the chain for it may come yet.
        let former = !view.has(&message.author) && view.former.contains_key(&message.author);
        let gone = former && message.number >= view.counts_below(&message.author, &message.chain);
        if message.author == me || gone || message.number >= GROUP_NUMBER_MAX || self.has_seen(step, group, &hash) {
            return false;
        }
        if !view.has(&message.author) && !former {
            return true;
        }
        self.chains_of(step, group, message.author).is_ok_and(|chains| !chains.knows(message.chain))
    }

    /// Whether the logs of all secrets that need it are to be read now.
    pub(super) fn is_behind(&self, group: GroupId) -> bool {
        self.groups.get(&group).is_some_and(|held| {
            held.row.secrets.iter().any(|kept| kept.behind) && held.read_all_at.is_none_or(|at| Instant::now() >= at)
        })
    }

    /// More authors or chains are known: reads again, a moment later, what could not be
    /// read of the logs.
    pub(super) fn read_again_soon(&mut self, group: GroupId) {
        let soon = Instant::now() + Duration::from_millis(GROUP_SYNC_SOON_MS);
        let Some(held) = self.groups.get_mut(&group) else { return };
        if held.row.secrets.iter().any(|kept| !kept.unread.is_empty()) {
            held.read_again = true;
            held.sync_at = Some(held.sync_at.map_or(soon, |at| at.min(soon)));
            self.wake_at(soon);
        }
    }

    /// Reads again what could not be read of the logs, if that is due.
    pub(super) fn read_again(&mut self, step: &mut Step<'_>, group: GroupId) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        if std::mem::take(&mut held.read_again) && held.row.read_again() {
            held.read_all_at = None;
            step.groups.insert(group);
            self.read_log(step, group);
        }
    }
}

/// Asks a node for what comes next in the log of a secret.
fn read_on(net: &NetworkHandle, step: &mut Step<'_>, group: GroupId, kept: &KeptSecret, node: &Address) {
    let name = node.to_string();
    let after = kept.cursors.get(&name).copied().unwrap_or(0);
    let keys = GroupSecret::from_wire(kept.secret.secret).log_keys();
    let (net, node, secret) = (net.clone(), node.clone(), (kept.secret.generation, kept.author));
    step.work(async move {
        let read =
            GroupLogRequest::Read { log: keys.log_id(), read_token: keys.read_token(), after, max_bytes: FETCH_BYTES };
        let (entries, more) = match net.deposit(node, Request::GroupLog(read)).await {
            Ok(Response::Log { entries, more }) => (Some(entries), more),
            // A log that was never written to is not there.
            Ok(Response::Refused(Refusal::NotFound)) => (Some(Vec::new()), false),
            _ => (None, false),
        };
        Work::GroupLog(LogPage { group, node: name, secret, after, entries, more })
    });
}

/// What became of an append.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Append {
    Taken,
    /// The node will never take it.
    Refused,
    /// The node did not answer in time, has no room now, or wants more work than it gets.
    Unreached,
}

/// Appends one message after the other at one node. It ends at one that the node could not be
/// asked to take: what was said later would be read before it. After a while it ends as well,
/// so that what was taken is told.
async fn append_in_order(
    net: &(NetworkHandle, Prover),
    node: &Address,
    keys: &LogKeys,
    batch: Vec<(Unacknowledged, Vec<u8>)>,
    now: Timestamp,
) -> Appended {
    let (began, patience) = (Instant::now(), Duration::from_millis(GROUP_APPEND_PATIENCE_MS));
    let mut taken = Vec::new();
    for (message, sealed) in batch {
        if began.elapsed() > patience {
            return Appended { taken, rest: Rest::From(message.order) };
        }
        let entry = EnvelopeId::random(&mut rng());
        match append(net, node, keys, (entry, &sealed), now).await {
            Append::Taken => taken.push(message),
            Append::Refused => {}
            Append::Unreached => return Appended { taken, rest: Rest::Given },
        }
    }
    Appended { taken, rest: Rest::Nothing }
}

/// Appends at one node; the first append creates the log there and pays with work, once.
async fn append(
    (net, prover): &(NetworkHandle, Prover),
    node: &Address,
    keys: &LogKeys,
    (id, sealed): (EnvelopeId, &[u8]),
    now: Timestamp,
) -> Append {
    let Some(peer) = node.peer_id() else { return Append::Unreached };
    let signature = keys.sign_append(&peer.to_bytes(), &id, sealed);
    let patience = Duration::from_millis(GROUP_APPEND_PATIENCE_MS);
    let (mut proof, mut waited) = (None::<Proof>, false);
    loop {
        let request = GroupLogRequest::Append {
            write_key: keys.write_key(),
            read_hash: keys.read_hash(),
            id,
            sealed: Bytes(sealed.to_vec()),
            signature,
            stamp: proof.as_ref().map(|proof| LogStamp { hour: proof.stamp.hour, nonce: proof.stamp.nonce }),
        };
        let asked = net.deposit(node.clone(), Request::GroupLog(request));
        match tokio::time::timeout(patience, asked).await {
            Ok(Ok(Response::Appended { .. })) => {
                if proof.is_some() {
                    prover.accepted(peer);
                }
                return Append::Taken;
            }
            Ok(Ok(Response::Refused(Refusal::WorkNeeded { bits }))) if proof.is_none() => {
                let (node, log, sealed) = (peer.to_bytes(), log_as_mailbox(keys.log_id()), sealed.to_vec());
                let solver =
                    move || Solver::new(&log_work(&node, &log, &id, &sealed), now, bits.max(WORK_MIN_BITS)).ok();
                proof = prover.prove_asked(peer, solver).await;
                if proof.is_none() {
                    return Append::Unreached;
                }
            }
            Ok(Ok(Response::Refused(Refusal::SlowDown { retry_after_ms }))) if !waited => {
                waited = true;
                tokio::time::sleep(patience.min(Duration::from_millis(retry_after_ms))).await;
            }
            // A refusal that passes: the same message is the next one there.
            Ok(Ok(Response::Refused(Refusal::SlowDown { .. } | Refusal::Full | Refusal::Internal))) => {
                return Append::Unreached;
            }
            Ok(Ok(_)) => return Append::Refused,
            Ok(Err(_)) | Err(_) => return Append::Unreached,
        }
    }
}
