//! Who is connected, for whom they speak, what they asked for and what they should hear: the part
//! of the server that decides, without a network and without a disk. Floor 4.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use libp2p::PeerId;
use rand::SeedableRng;
use rand::rngs::StdRng;
use secure_chat_protocol::id::{AccountId, MailboxId, Timestamp};
use secure_chat_protocol::identity::PublicIdentity;
use secure_chat_protocol::limits::{ADDRESSES_MAX, BLOB_CHUNK_MAX_BYTES};
use secure_chat_protocol::wire::rendezvous::{Found, Presence, PresenceStatus, Push, Refusal, Response};

use crate::blobs::BlobLimits;
use crate::config::Limits;
use crate::door;
use crate::limits::{FAULTS_MAX, FOUND_ADDRESSES_MAX_BYTES, MAILBOXES_PER_PEER, PUSH_FAILURES_MAX};
use crate::metrics::{Fault, Metrics};
use crate::operation::{Effect, Moment, Outcome};
use crate::presence::Presences;
use crate::push::PushQueue;
use crate::rows::StoreError;
use crate::server::Witness;
use crate::server::gate::Origin;
use crate::server::quotas::Quotas;

/// One connected peer, over however many connections.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) account: Option<AccountId>,
    pub(super) identity: Option<Box<PublicIdentity>>,
    pub(super) addresses: Vec<String>,
    pub(super) mailbox: Option<MailboxId>,
    told_of: Vec<MailboxId>,
    pub(super) challenge: Option<[u8; 32]>,
    pub(super) origin: Option<Origin>,
    /// Reservations and circuits that it has at the relay.
    relayed: u32,
    faults: u32,
    last_asked_ms: u64,
    push: PushQueue,
}

/// What must be remembered of a request until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// Nothing.
    Plain,
    /// A stranger's deposit.
    Stranger(MailboxId),
    /// It may make something new.
    Newcomer,
    /// A chunk is read: what was charged beyond its size is given back.
    Read,
}

/// The state.
pub(super) struct Desk {
    pub(super) server: PeerId,
    pub(super) rng: StdRng,
    pub(super) peers: HashMap<PeerId, Peer>,
    speakers: HashMap<AccountId, BTreeSet<PeerId>>,
    listeners: HashMap<MailboxId, BTreeSet<PeerId>>,
    pub(super) presences: Presences,
    pub(super) quotas: Quotas,
    pub(super) blob_limits: BlobLimits,
    /// Peers for whom there is news.
    due: BTreeSet<PeerId>,
    pub(super) metrics: Arc<Metrics>,
    /// Sees every request, where somebody watches.
    pub(super) witness: Option<Witness>,
}

impl Desk {
    /// Nobody is here yet. `seed` makes the challenges.
    #[must_use]
    pub(super) fn new(server: PeerId, limits: &Limits, seed: [u8; 32], metrics: Arc<Metrics>) -> Self {
        Self {
            server,
            rng: StdRng::from_seed(seed),
            peers: HashMap::new(),
            speakers: HashMap::new(),
            listeners: HashMap::new(),
            presences: Presences::default(),
            quotas: Quotas::new(&limits.rates),
            blob_limits: limits.rules().blob,
            due: BTreeSet::new(),
            metrics,
            witness: None,
        }
    }

    /// A peer is here, perhaps over one more connection.
    pub(super) fn connected(&mut self, peer: PeerId, origin: Option<Origin>, at: Moment) {
        let entry = self.peers.entry(peer).or_default();
        entry.origin = origin.or(entry.origin);
        entry.last_asked_ms = at.lived_ms;
    }

    /// A peer's last connection is gone.
    pub(super) fn disconnected(&mut self, peer: &PeerId, at: Moment) {
        let Some(gone) = self.peers.remove(peer) else { return };
        self.due.remove(peer);
        self.presences.unwatch(peer);
        for mailbox in gone.told_of {
            remove_from(&mut self.listeners, &mailbox, peer);
        }
        if let Some(account) = gone.account {
            self.hush(*peer, account, at.wall);
        }
    }

    /// `peer` speaks for `account` no longer.
    fn hush(&mut self, peer: PeerId, account: AccountId, now: Timestamp) {
        remove_from(&mut self.speakers, &account, &peer);
        if let Some(changed) = self.presences.leave(account, peer, now) {
            self.tell_watchers(changed);
        }
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.account = None;
            peer.identity = None;
            peer.addresses = Vec::new();
        }
    }

    /// Peers that are connected.
    #[must_use]
    pub(super) fn peer_count(&self) -> usize {
        self.peers.len()
    }

    /// Accounts that are shown as online or away.
    #[must_use]
    pub(super) fn online_count(&self) -> usize {
        self.presences.online_count()
    }

    /// A request or a push of this peer was malformed, oversized or slow. Answers whether it is to be disconnected.
    pub(super) fn fault(&mut self, peer: &PeerId, fault: Fault) -> bool {
        self.metrics.fault(fault);
        let Some(peer) = self.peers.get_mut(peer) else { return false };
        peer.faults = peer.faults.saturating_add(1);
        peer.faults >= FAULTS_MAX
    }

    /// The peer uses the relay more, or less.
    pub(super) fn relayed(&mut self, peer: &PeerId, more: bool, at: Moment) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.relayed = if more { peer.relayed.saturating_add(1) } else { peer.relayed.saturating_sub(1) };
            peer.last_asked_ms = at.lived_ms;
        }
    }

    /// Peers that neither registered nor opened a mailbox nor use the relay, and have asked nothing for `idle_ms`.
    #[must_use]
    pub(super) fn silent_strangers(&self, idle_ms: u64, at: Moment) -> Vec<PeerId> {
        let silent = |peer: &Peer| {
            peer.account.is_none()
                && peer.mailbox.is_none()
                && peer.relayed == 0
                && at.lived_ms.saturating_sub(peer.last_asked_ms) >= idle_ms
        };
        self.peers.iter().filter(|(_, peer)| silent(peer)).map(|(id, _)| *id).collect()
    }

    pub(super) fn asked(&mut self, peer: &PeerId, at: Moment) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.last_asked_ms = at.lived_ms;
        }
    }

    pub(super) fn tell_watchers(&mut self, presence: Presence) {
        let watchers: Vec<PeerId> = self.presences.watchers(&presence.account).collect();
        for watcher in watchers {
            self.news(watcher, |queue| queue.presence(presence));
        }
    }

    fn news(&mut self, peer: PeerId, tell: impl FnOnce(&mut PushQueue)) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            tell(&mut entry.push);
            self.due.insert(peer);
        }
    }

    /// The next push to send, if there is one.
    pub(super) fn next_push(&mut self) -> Option<(PeerId, Push)> {
        while let Some(peer) = self.due.pop_first() {
            if let Some(push) = self.peers.get_mut(&peer).and_then(|entry| entry.push.next()) {
                return Some((peer, push));
            }
        }
        None
    }

    /// The push under way was seen.
    pub(super) fn push_seen(&mut self, peer: PeerId) {
        self.news(peer, PushQueue::seen);
    }

    /// The push under way failed. Answers whether the peer is to be disconnected: it comes back and asks.
    pub(super) fn push_failed(&mut self, peer: PeerId) -> bool {
        let mut failures = 0;
        self.news(peer, |queue| failures = queue.failed());
        failures >= PUSH_FAILURES_MAX
    }

    /// A request was carried out by the storage, or refused on the way: does what follows from it,
    /// and answers what the peer is told.
    pub(super) fn finish(
        &mut self,
        peer: PeerId,
        context: Context,
        result: Result<Outcome, StoreError>,
        at: Moment,
    ) -> Response {
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(StoreError::DiskFull) => return Response::Refused(Refusal::Full),
            Err(_) => return Response::Refused(Refusal::Internal),
        };
        let mut response = outcome.response;
        self.settle(peer, context, &response, at);
        self.follow(peer, outcome.effect, at);
        if let Response::Found { people, more } = &mut response {
            self.complete(people, more);
        }
        response
    }

    /// Gives back, or charges, what could only be known afterwards.
    fn settle(&mut self, peer: PeerId, context: Context, response: &Response, at: Moment) {
        match context {
            Context::Plain => {}
            Context::Read => {
                let read = if let Response::Chunk { sealed } = response { sealed.0.len() } else { 0 };
                let origin = self.peers.get(&peer).and_then(|peer| peer.origin);
                self.quotas.blob_unread(peer, origin, BLOB_CHUNK_MAX_BYTES.saturating_sub(read));
            }
            Context::Stranger(mailbox) => {
                if *response == Response::Done {
                    self.quotas.price.note(mailbox.0, at.lived_ms);
                }
            }
            Context::Newcomer => {
                let new =
                    matches!(response, Response::Registered { new: true, .. } | Response::Mailbox { new: true, .. });
                if !new && let Some(origin) = self.peers.get(&peer).and_then(|peer| peer.origin) {
                    self.quotas.newcomers.give(&origin, 1);
                }
            }
        }
    }

    fn follow(&mut self, peer: PeerId, effect: Effect, at: Moment) {
        match effect {
            Effect::None | Effect::Swept(_) | Effect::Totals(..) | Effect::Placed(_) | Effect::BlobsGone(_) => {}
            Effect::LogMade(log) => self.quotas.price.note(log.0, at.lived_ms),
            Effect::Double => {
                self.metrics.doubles.inc();
            }
            Effect::Registered { account, peers, identity } => {
                self.registered(peer, account, &peers, identity, at.wall)
            }
            Effect::Unregistered(account) => self.unregistered(account, at.wall),
            Effect::Opened(mailbox) => self.opened(peer, mailbox),
            Effect::MailArrived { mailbox, waiting } => {
                self.metrics.deposits.inc();
                let listeners: Vec<PeerId> = self.listeners.get(&mailbox).into_iter().flatten().copied().collect();
                for listener in listeners {
                    self.news(listener, |queue| queue.mail(waiting));
                }
            }
            Effect::KitsLow { account, left } => {
                let speakers: Vec<PeerId> = self.speakers.get(&account).into_iter().flatten().copied().collect();
                for speaker in speakers {
                    self.news(speaker, |queue| queue.kits_low(left));
                }
            }
        }
    }

    fn registered(
        &mut self,
        peer: PeerId,
        account: AccountId,
        named: &[[u8; 32]],
        identity: Box<PublicIdentity>,
        now: Timestamp,
    ) {
        let Some(before) = self.peers.get(&peer).map(|peer| peer.account) else { return };
        if let Some(before) = before.filter(|before| *before != account) {
            self.hush(peer, before, now);
        }
        // A device that the new record no longer names must not go on speaking for the account.
        let speakers: Vec<PeerId> = self.speakers.get(&account).into_iter().flatten().copied().collect();
        for speaker in speakers {
            if !door::peer_key(&speaker).is_some_and(|key| named.contains(&key)) {
                self.hush(speaker, account, now);
            }
        }
        self.speakers.entry(account).or_default().insert(peer);
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.account = Some(account);
            peer.identity = Some(identity);
        }
    }

    fn unregistered(&mut self, account: AccountId, now: Timestamp) {
        for speaker in self.speakers.get(&account).cloned().unwrap_or_default() {
            self.hush(speaker, account, now);
        }
        if let Some(changed) = self.presences.forget(account, now) {
            self.tell_watchers(changed);
        }
    }

    fn opened(&mut self, peer: PeerId, mailbox: MailboxId) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.mailbox = Some(mailbox);
        if entry.told_of.contains(&mailbox) {
            return;
        }
        entry.told_of.push(mailbox);
        let oldest = (entry.told_of.len() > MAILBOXES_PER_PEER).then(|| entry.told_of.remove(0));
        if let Some(oldest) = oldest {
            remove_from(&mut self.listeners, &oldest, &peer);
        }
        self.listeners.entry(mailbox).or_default().insert(peer);
    }

    /// Adds presence and addresses to records. Whoever is shown as offline is shown without addresses,
    /// so that these don't tell that somebody is there after all.
    fn complete(&self, people: &mut Vec<Found>, more: &mut bool) {
        let mut bytes = 0_usize;
        let mut room = people.len();
        for (number, found) in people.iter_mut().enumerate() {
            found.presence = self.presences.shown(&found.presence.account);
            if found.presence.status != PresenceStatus::Offline {
                found.addresses = self.addresses(&found.presence.account);
            }
            bytes = found.addresses.iter().fold(bytes, |sum, address| sum.saturating_add(address.len()));
            if bytes > FOUND_ADDRESSES_MAX_BYTES {
                room = number.max(1);
                break;
            }
        }
        if room < people.len() {
            people.truncate(room);
            *more = true;
        }
    }

    fn addresses(&self, account: &AccountId) -> Vec<String> {
        let speakers = self.speakers.get(account).into_iter().flatten();
        let said = speakers.filter_map(|speaker| self.peers.get(speaker)).flat_map(|peer| &peer.addresses);
        said.take(ADDRESSES_MAX).cloned().collect()
    }
}

fn remove_from<K: std::hash::Hash + Eq>(sets: &mut HashMap<K, BTreeSet<PeerId>>, key: &K, peer: &PeerId) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(peer);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
