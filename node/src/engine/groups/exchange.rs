//! How messages and operations get around: compared with other members, which gets everything
//! that was missed. Published is not delivered: only what a member says to have counts as that.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use rand::seq::{IndexedRandom, IteratorRandom};
use secure_chat_protocol::id::{AccountId, ChainId, GroupId};
use secure_chat_protocol::limits::GROUP_ANSWER_MESSAGES_MAX;
use secure_chat_protocol::membership::{Membership, View};
use secure_chat_protocol::sender_key::GroupMessageIn;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::group::{GROUP_MISSING_MAX_BYTES, GroupControl, GroupFetch, GroupMissing};
use secure_chat_protocol::wire::peer::{PeerRefusal, PeerRequest, PeerResponse};

use super::chat::{Heard, place_key};
use super::roster::Taken;
use super::{Group, twins};
use crate::api::{ApiError, Done, MessageState};
use crate::engine::state::{Open, rng};
use crate::engine::step::Step;
use crate::engine::work::Work;
use crate::messaging::group::Progress;
use crate::messaging::limits::{
    CONNECT_EVERY_MS, GROUP_ASK_AGAIN_MS, GROUP_ASK_IN_TURN, GROUP_ASK_PATIENCE_MS, GROUP_NEIGHBOURS, GROUP_NUMBER_MAX,
    GROUP_SYNC_APART_MS, GROUP_SYNC_AT_ONCE, GROUP_SYNC_EVERY_MS, SEEK_FIRST_MS,
};
use crate::network::RequestError;
use crate::store::Table;

/// Rows that one sweep takes out.
const SWEEP_ROWS: usize = 2_000;
/// Messages of one author in one answer that are not by them, or not messages, before the
/// rest under their name is left unread.
const FORGED_IN_ANSWER_MAX: usize = 8;

impl Open {
    /// Asks a member for what is missing here, unless others are asked already and have
    /// just begun: whoever comes back is not to be told everything by everybody. Those
    /// who are slow hold up nobody.
    fn ask_in_turn(&mut self, step: &mut Step<'_>, group: GroupId, account: AccountId) {
        let now = Instant::now();
        let patience = Duration::from_millis(GROUP_ASK_PATIENCE_MS);
        let Some(held) = self.groups.get_mut(&group) else { return };
        let fresh = held.asking.values().filter(|since| now.duration_since(**since) < patience).count();
        if fresh < GROUP_ASK_IN_TURN {
            return self.ask_member(step, group, account);
        }
        let soon = now + patience;
        held.sync_at = Some(held.sync_at.map_or(soon, |at| at.min(soon)));
        self.wake_at(soon);
    }

    /// Asks members for what is missing here: `first` if they are connected, else any.
    pub(super) fn ask_members(&mut self, step: &mut Step<'_>, group: GroupId, first: Option<AccountId>) {
        let Some(view) = self.groups.get(&group).and_then(Group::view) else { return };
        let there: Vec<AccountId> =
            view.members.keys().copied().filter(|who| *who != self.me && self.is_connected(*who)).collect();
        let chosen = first.filter(|first| there.contains(first)).or_else(|| there.choose(&mut rng()).copied());
        if let Some(chosen) = chosen {
            self.ask_in_turn(step, group, chosen);
        }
    }

    fn ask_member(&mut self, step: &mut Step<'_>, group: GroupId, account: AccountId) {
        let Some((peer, _)) = self.peer_of(account) else { return };
        let Some(held) = self.groups.get_mut(&group).filter(|held| held.is_joined()) else { return };
        let Some(membership) = &held.membership else { return };
        let now = Instant::now();
        if let Some(since) = held.asking.get(&account) {
            // What is to be asked has changed meanwhile: again, soon. Whoever leaves us without an answer
            // makes nobody hurry.
            let fresh = now.duration_since(*since) < Duration::from_millis(GROUP_ASK_PATIENCE_MS);
            let soon = now + Duration::from_millis(if fresh { GROUP_ASK_AGAIN_MS } else { GROUP_SYNC_APART_MS });
            held.sync_at = Some(held.sync_at.map_or(soon, |at| at.min(soon)));
            return self.wake_at(soon);
        }
        held.asking.insert(account, now);
        let fetch = GroupFetch {
            group,
            heads: membership.heads(),
            places: held.row.missing_from(),
            newest: held.row.heads.clone(),
            named: held.gaps.named(),
        };
        let net = self.net.clone();
        step.work(async move {
            let mut answer = net.request(peer, Vec::new(), PeerRequest::GroupFetch(fetch.clone())).await;
            // Whoever pages through much is asked to wait now and then, and goes on.
            if let Ok(PeerResponse::Refused(PeerRefusal::SlowDown { retry_after_ms })) = answer {
                tokio::time::sleep(Duration::from_millis(retry_after_ms.min(GROUP_SYNC_APART_MS))).await;
                answer = net.request(peer, Vec::new(), PeerRequest::GroupFetch(fetch)).await;
            }
            let result = match answer {
                Ok(PeerResponse::GroupMissing(missing)) => Ok(missing),
                Ok(_) => Err(RequestError::Malformed),
                Err(error) => Err(error),
            };
            Work::GroupFetched { group, from: account, result }
        });
    }

    /// Another member has answered what was missing.
    pub(in crate::engine) fn group_fetched(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        from: AccountId,
        result: Result<GroupMissing, RequestError>,
    ) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        held.asking.remove(&from);
        let Ok(missing) = result else { return };
        if !held.is_joined() || !held.has(&from) {
            return;
        }
        if !missing.operations.is_empty() {
            match self.take_operations(step, group, from, &missing.operations) {
                Taken::All => {}
                Taken::Some => self.ask_members(step, group, Some(from)),
                // Whoever tells only what follows nothing is not asked for more at once.
                Taken::None => self.compare_later(group),
            }
        }
        let mut news = false;
        let mut forged = HashMap::<AccountId, usize>::new();
        for message in &missing.messages {
            // Each costs a verification. The share of one author is used up by nobody else's.
            let Ok(message) = GroupMessageIn::decode(&message.0).map(|decoded| (decoded.author, &message.0)) else {
                continue;
            };
            let (author, encoded) = message;
            if forged.get(&author).is_some_and(|count| *count >= FORGED_IN_ANSWER_MAX) {
                continue;
            }
            match self.hear(step, group, encoded, Some(from)) {
                Heard::New => news = true,
                Heard::Nothing | Heard::Refused => {}
                Heard::Forged => {
                    let count = forged.entry(author).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
        for message in &missing.named {
            news |= self.named_message(step, group, &message.0, from);
        }
        self.acknowledge(step, group, from, &missing.yours);
        if missing.more && news {
            self.ask_member(step, group, from);
        }
    }

    /// Members are compared with again once some time has passed.
    fn compare_later(&mut self, group: GroupId) {
        let later = Instant::now() + Duration::from_millis(GROUP_SYNC_APART_MS);
        let Some(held) = self.groups.get_mut(&group) else { return };
        held.sync_at = Some(held.sync_at.map_or(later, |at| at.min(later)));
        self.wake_at(later);
    }

    /// A member asks for what they lack: what they name shows what they have.
    pub(in crate::engine) fn answer_fetch(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        fetch: &GroupFetch,
    ) -> PeerResponse {
        let group = fetch.group;
        let member = self.groups.get(&group).is_some_and(|held| held.is_joined() && held.has(&from));
        if !member || !fetch.within_bounds() {
            return PeerResponse::Refused(PeerRefusal::NotAvailable);
        }
        self.acknowledge(step, group, from, &fetch.places);
        let Some(held) = self.groups.get(&group) else { return PeerResponse::Refused(PeerRefusal::NotAvailable) };
        let Some(membership) = &held.membership else { return PeerResponse::Refused(PeerRefusal::NotAvailable) };
        let ahead = fetch.heads.iter().any(|head| !membership.knows(head))
            || fetch.places.iter().any(|(chain, next)| {
                let own = held.row.places.get(chain);
                *next != u32::MAX && own.is_some_and(|own| own.known && own.author != self.me && own.next < *next)
            });
        let missing = collect(step, held, membership, from, fetch);
        self.note_lacking(step, group, &fetch.newest, from);
        if ahead {
            self.ask_in_turn(step, group, from);
        }
        PeerResponse::GroupMissing(missing)
    }

    /// A member has our chains up to these numbers.
    fn acknowledge(&mut self, step: &mut Step<'_>, group: GroupId, from: AccountId, places: &[(ChainId, u32)]) {
        let me = self.me;
        let Some(held) = self.groups.get_mut(&group) else { return };
        let mut any = false;
        for (chain, next) in places {
            let sent = held.row.places.get(chain).filter(|progress| progress.author == me).map(|own| own.next);
            let Some(next) = sent.filter(|sent| next <= sent).map(|_| *next) else { continue };
            let known = held.acknowledged.entry(from).or_default().entry(*chain).or_insert(0);
            any |= next > *known;
            *known = next.max(*known);
        }
        if any {
            self.settle_acknowledged(step, group);
        }
    }

    /// Own messages that all members have are delivered; that some have, sent.
    pub(super) fn settle_acknowledged(&mut self, step: &mut Step<'_>, group: GroupId) {
        let me = self.me;
        let Some(held) = self.groups.get_mut(&group) else { return };
        let Some(view) = held.membership.as_ref().map(Membership::view) else { return };
        let others: Vec<&AccountId> = view.members.keys().filter(|account| **account != me).collect();
        let acknowledged = &held.acknowledged;
        let (mut sent, mut delivered) = (Vec::new(), Vec::new());
        let mut unacknowledged = std::mem::take(&mut held.row.unacknowledged);
        unacknowledged.retain(|message| {
            let has = |account: &&AccountId| {
                let upto = acknowledged.get(*account).and_then(|chains| chains.get(&message.chain));
                upto.is_some_and(|upto| *upto > message.number)
            };
            let lacks = |account: &&AccountId| held.row.is_for(account, message) && !has(account);
            let place = (message.chain, message.number);
            if !others.is_empty() && !others.iter().any(lacks) {
                held.sent.remove(&place);
                delivered.push(message.message);
                return false;
            }
            if !held.sent.contains(&place) && others.iter().any(has) {
                held.sent.insert(place);
                sent.push(message.message);
            }
            true
        });
        let oldest = unacknowledged.front().map(|message| message.order);
        held.row.came.retain(|_, came| oldest.is_some_and(|oldest| *came > oldest));
        held.row.unacknowledged = unacknowledged;
        if !delivered.is_empty() {
            let open: std::collections::BTreeSet<_> =
                held.row.unacknowledged.iter().map(|message| (message.chain, message.number)).collect();
            held.published.retain(|place| open.contains(place));
            step.groups.insert(group);
        }
        let sent = sent.into_iter().map(|message| (message, MessageState::Sent));
        for (message, state) in sent.chain(delivered.into_iter().map(|message| (message, MessageState::Delivered))) {
            if let Err(error) = self.advance_state(step, AccountId(group.0), message, state, None) {
                tracing::error!(%error, "a message's state can't be stored");
            }
        }
    }

    /// A member is connected: both compare what they have.
    pub(in crate::engine) fn met_member(&mut self, step: &mut Step<'_>, account: AccountId) {
        let shared: Vec<GroupId> = self
            .groups
            .values()
            .filter(|held| held.is_joined() && held.has(&account))
            .map(|held| held.row.group)
            .collect();
        if !shared.is_empty() {
            // Their record may name another peer id than the one that was known.
            self.gossip_with_members(step);
        }
        for group in shared {
            self.ask_in_turn(step, group, account);
        }
    }

    /// What is due for groups; says when to come back.
    pub(in crate::engine) fn tick_groups(&mut self, step: &mut Step<'_>) {
        let now = Instant::now();
        if self.topics.is_empty() && !self.groups.is_empty() {
            self.follow_topics(step);
        }
        self.send_group_receipts(step);
        self.ask_next_admins(step);
        self.ask_for_gaps(step);
        let mut due = Vec::new();
        for held in self.groups.values_mut().filter(|held| held.is_joined()) {
            if held.sync_at.is_none_or(|at| at <= now) {
                held.sync_at = Some(now + Duration::from_millis(GROUP_SYNC_EVERY_MS));
                held.compared_at = Some(now);
                due.push(held.row.group);
            }
        }
        for group in due {
            self.compare(step, group);
            self.ask_for_chains(step, group);
            self.read_again(step, group);
            if self.is_alone(group) || self.is_behind(group) {
                self.read_log(step, group);
            }
            self.log_unheard(step, group);
        }
        if let Some(next) = self.groups.values().filter(|held| held.is_joined()).filter_map(|held| held.sync_at).min() {
            self.wake_at(next);
        }
    }

    /// Compares with one member at random, and with some of those who are not known to
    /// have everything of ours.
    fn compare(&mut self, step: &mut Step<'_>, group: GroupId) {
        let Some(held) = self.groups.get(&group) else { return };
        let Some(view) = held.view() else { return };
        let others = view.members.keys().copied().filter(|account| *account != self.me);
        let there: Vec<AccountId> = others.filter(|account| self.is_connected(*account)).collect();
        let behind = |account: &AccountId| {
            held.row.unacknowledged.iter().any(|message| {
                let upto = held.acknowledged.get(account).and_then(|chains| chains.get(&message.chain));
                held.row.is_for(account, message) && upto.is_none_or(|upto| *upto <= message.number)
            })
        };
        let mut asked: Vec<AccountId> = there.iter().copied().filter(behind).sample(&mut rng(), GROUP_SYNC_AT_ONCE);
        asked.extend(there.choose(&mut rng()).copied());
        for account in asked {
            if !self.groups.get(&group).is_some_and(|held| held.asking.contains_key(&account)) {
                self.ask_member(step, group, account);
            }
        }
    }

    /// Whether no other member is connected, so that only the log tells anything.
    fn is_alone(&self, group: GroupId) -> bool {
        let members = self.groups.get(&group).and_then(Group::view).map(|view| &view.members);
        members.is_some_and(|members| !members.keys().any(|account| self.is_connected(*account)))
    }

    /// Chains that were seen and not handed over are asked for.
    fn ask_for_chains(&mut self, step: &mut Step<'_>, group: GroupId) {
        let now = step.now;
        let Some(held) = self.groups.get_mut(&group) else { return };
        let Some(view) = held.membership.as_ref().map(Membership::view) else { return };
        // For whoever is away one question waits already, or what is more than one.
        let outbox = &self.outbox;
        let asked = held.row.chains_to_ask_for(now, |author| view.has(author) && !outbox.has(author));
        for (author, chain) in asked {
            step.groups.insert(group);
            self.tell_member(step, author, group, GroupControl::ChainRequest { chain });
        }
    }

    /// Connects to some members, so that what is published gets around.
    pub(in crate::engine) fn seek_neighbours(&mut self, step: &mut Step<'_>, group: GroupId) {
        let Some(view) = self.groups.get(&group).filter(|held| held.is_joined()).and_then(Group::view) else { return };
        let others: Vec<AccountId> = view.members.keys().copied().filter(|account| *account != self.me).collect();
        let (there, away): (Vec<_>, Vec<_>) = others.into_iter().partition(|account| self.is_connected(*account));
        let wanted = GROUP_NEIGHBOURS.saturating_sub(there.len());
        for account in away.into_iter().sample(&mut rng(), wanted) {
            if !self.lanes.get(&account).is_some_and(|lane| lane.must_wait()) {
                self.reach(step, account);
            }
        }
    }

    /// `messages.retry` in a group: compares with everybody who is there, now.
    pub(in crate::engine) fn retry_in_group(&mut self, step: &mut Step<'_>, group: GroupId) -> Result<Done, ApiError> {
        self.joined(&group.to_string())?;
        self.seek_neighbours(step, group);
        self.compare(step, group);
        Ok(Done {})
    }

    /// Sweeps what is over.
    pub(in crate::engine) fn maintain_groups(&mut self, step: &mut Step<'_>, today: u32) {
        if let Err(error) = step.txn.expire(Table::GroupLog, today, SWEEP_ROWS) {
            tracing::warn!(%error, "group messages could not be swept");
        }
        self.expire_overtaking(step);
        self.part_from_members(step);
        let mut gaps = BTreeSet::new();
        for held in self.groups.values_mut().filter(|held| held.is_joined()) {
            let before = held.row.places.len();
            held.row.expire(step.now);
            if held.row.places.len() != before {
                step.groups.insert(held.row.group);
            }
            let behind = held.row.places.values().filter(|progress| progress.known && !progress.later.is_empty());
            gaps.extend(behind.map(|progress| (held.row.group, progress.author)));
        }
        for (group, author) in gaps {
            let now = step.now;
            if self.chains_of(step, group, author).is_ok_and(|chains| chains.expire(now)) {
                step.chains.insert((group, author));
            }
        }
    }

    /// Somebody went with whom we share a group: soon others are sought, or they once more.
    pub(in crate::engine) fn seek_neighbours_soon(&mut self) {
        let now = Instant::now();
        // Not from the beginning each time that somebody comes and goes who does so all the time.
        if self.seek_anew <= now {
            self.seek_anew = now + Duration::from_millis(CONNECT_EVERY_MS);
            self.seek_pause = Duration::from_millis(SEEK_FIRST_MS);
        }
        self.next_seek = self.next_seek.min(now + self.seek_pause);
        self.wake_at(self.next_seek);
    }

    pub(in crate::engine) fn seek_all_neighbours(&mut self, step: &mut Step<'_>) {
        let groups: Vec<GroupId> = self.groups.keys().copied().collect();
        for group in groups {
            self.seek_neighbours(step, group);
        }
    }
}

/// Up to where a chain is read by those who know this view.
pub(super) fn counted_end(view: &View, chain: ChainId, progress: &Progress) -> u32 {
    progress.end().min(GROUP_NUMBER_MAX).min(view.counts_below(&progress.author, &chain))
}

/// What a member lacks, as far as it fits one answer.
fn collect(
    step: &Step<'_>,
    held: &Group,
    membership: &Membership,
    from: AccountId,
    fetch: &GroupFetch,
) -> GroupMissing {
    let mut room = GROUP_MISSING_MAX_BYTES;
    let mut more = false;
    let mut operations = Vec::new();
    for operation in membership.missing_at(&fetch.heads) {
        let Some(left) = room.checked_sub(operation.encoded().len().saturating_add(8)) else {
            more = true;
            break;
        };
        room = left;
        operations.push(Bytes(operation.encoded().to_vec()));
    }
    let has: std::collections::HashMap<ChainId, u32> = fetch.places.iter().copied().collect();
    let mut found = Vec::new();
    'chains: for (chain, progress) in held.row.places.iter().filter(|(_, p)| p.known && p.author != from) {
        // What nobody counts any more is not passed on: it would crowd out what is missing.
        let end = counted_end(membership.view(), *chain, progress);
        for number in has.get(chain).copied().unwrap_or(0)..end {
            let row = step.txn.get(Table::GroupLog, &place_key(fetch.group, *chain, number)).ok().flatten();
            let Some((order, encoded)) = row.as_deref().and_then(|row| row.split_first_chunk::<8>()) else { continue };
            let left = room.checked_sub(encoded.len().saturating_add(8));
            let Some(left) = left.filter(|_| found.len() < GROUP_ANSWER_MESSAGES_MAX) else {
                more = true;
                break 'chains;
            };
            room = left;
            found.push((u64::from_be_bytes(*order), Bytes(encoded.to_vec())));
            let twin = twins::twin(step, held, *chain, number).filter(|_| found.len() < GROUP_ANSWER_MESSAGES_MAX);
            if let Some((twin, left)) = twin.and_then(|twin| room.checked_sub(twin.len()).map(|left| (twin, left))) {
                room = left;
                found.push((u64::from_be_bytes(*order), Bytes(twin)));
            }
        }
    }
    found.sort_by_key(|(order, _)| *order);
    let named = twins::named(step, held, membership.view(), fetch, from, &mut room);
    let theirs = held.row.places.iter().filter(|(_, progress)| progress.author == from && progress.known);
    GroupMissing {
        operations,
        messages: found.into_iter().map(|(_, message)| message).collect(),
        named,
        yours: theirs.map(|(chain, progress)| (*chain, progress.next)).collect(),
        more,
    }
}
