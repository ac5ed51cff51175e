//! Delivery of the outbox: straight to a connected peer, else by trying to
//! reach one, else to the recipient's mailboxes; again until it is acknowledged.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::limits::DELIVERY_MAX_MESSAGES;
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::content::{Content, MessageIn};
use secure_chat_protocol::wire::peer::{DeliveryStatus, PeerRefusal, PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous::{Presence, PresenceStatus};

use super::audit::Severity;
use super::state::{Open, rng};
use super::step::Step;
use super::work::{Work, is_acknowledged};
use crate::api::MessageState;
use crate::messaging::contact::Standing;
use crate::messaging::limits::{
    DELIVERIES_IN_FLIGHT_MAX, DELIVERY_MAX_BYTES, DIRECT_AFTER_DEPOSIT_MS, REACH_PATIENCE_MS, RETRY_FIRST_MS,
    RETRY_MAX_MS, SESSION_RESET_EVERY_MS,
};
use crate::network::{Address, PeerId, RequestError, parse_address};

/// What is under way for one recipient. In memory only.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Rows of the outbox whose delivery waits for its answer.
    in_flight: BTreeSet<u64>,
    /// Deliveries that wait for their answers.
    deliveries: usize,
    /// Deposits wait for their answers.
    pub(super) depositing: bool,
    /// Since when the recipient is being reached.
    pub(super) trying: Option<Instant>,
    /// A bundle is being fetched.
    pub(super) fetching_bundle: bool,
    failures: u32,
    /// After a failure: not before this time.
    pub(super) not_before: Option<Instant>,
    deposit_failures: u32,
    /// After a deposit that no home took: the next one not before this time.
    pub(super) deposit_not_before: Option<Instant>,
    /// What the homes said when they refused the last deposit, in words for the person.
    deposit_refused: Option<String>,
    /// Raised when everything is encrypted anew: what was under way then is of the past.
    pub(super) epoch: u32,
    /// The session is to be replaced by the bundle that is being fetched.
    pub(super) replace_session: bool,
    /// When the last bundle was asked for because a session was lost.
    pub(super) reset_at: Option<Instant>,
    /// When what is owed of receipts goes.
    pub(super) receipts_at: Option<Instant>,
}

impl Lane {
    /// Waits longer after each failure; what the other side asks for is believed up to a bound.
    fn wait(failures: &mut u32, at_least_ms: u64) -> Instant {
        let own = RETRY_FIRST_MS.saturating_mul(1 << (*failures).min(16));
        *failures = failures.saturating_add(1);
        Instant::now() + Duration::from_millis(own.max(at_least_ms).min(RETRY_MAX_MS))
    }

    pub(super) fn failed(&mut self, at_least_ms: u64) {
        self.not_before = Some(Self::wait(&mut self.failures, at_least_ms));
    }

    pub(super) fn succeeded(&mut self) {
        (self.failures, self.not_before) = (0, None);
    }

    pub(super) fn deposit_failed(&mut self, at_least_ms: u64, refused: Option<String>) -> Instant {
        let at = Self::wait(&mut self.deposit_failures, at_least_ms);
        self.deposit_not_before = Some(at);
        self.deposit_refused = refused;
        at
    }

    pub(super) fn deposit_succeeded(&mut self) {
        (self.deposit_failures, self.deposit_not_before, self.deposit_refused) = (0, None, None);
    }

    /// What the homes said to the last deposit, and how long it waits.
    pub(super) fn deposit_refused(&self) -> Option<(Duration, &str)> {
        let wait = self.deposit_not_before?.saturating_duration_since(Instant::now());
        Some((wait, self.deposit_refused.as_deref()?))
    }

    pub(super) fn deposit_must_wait(&self) -> bool {
        self.deposit_not_before.is_some_and(|at| at > Instant::now())
    }

    fn answered(&mut self, rows: &[u64]) {
        self.deliveries = self.deliveries.saturating_sub(1);
        for row in rows {
            self.in_flight.remove(row);
        }
    }

    /// The person wants it now.
    pub(crate) fn retry_now(&mut self) {
        self.succeeded();
        self.deposit_succeeded();
    }

    pub(super) fn must_wait(&self) -> bool {
        self.not_before.is_some_and(|at| at > Instant::now())
    }

    /// Memory went back to what is on disk; what is under way comes to nothing.
    pub(crate) fn reset(&mut self) {
        *self = Self { reset_at: self.reset_at, epoch: self.epoch.wrapping_add(1), ..Self::default() };
    }
}

/// How long the recipient asks to wait before a message is sent again, in milliseconds.
const fn asked_wait_ms(status: &DeliveryStatus) -> Option<u64> {
    match status {
        DeliveryStatus::Full => Some(RETRY_FIRST_MS),
        DeliveryStatus::SlowDown { retry_after_ms } => Some(*retry_after_ms),
        _ => None,
    }
}

impl Open {
    pub(super) fn lane(&mut self, account: AccountId) -> &mut Lane {
        self.lanes.entry(account).or_default()
    }

    /// A connected peer of this account.
    pub(super) fn peer_of(&self, account: AccountId) -> Option<(PeerId, Instant)> {
        self.met.iter().find_map(|(peer, met)| (met.account == Some(account)).then_some((*peer, met.since?)))
    }

    /// The accounts that have been connected for so long.
    pub(super) fn connected_since(&self, long: Duration) -> impl Iterator<Item = &AccountId> {
        let there = self.met.values().filter(move |met| met.since.is_some_and(|since| since.elapsed() >= long));
        there.filter_map(|met| met.account.as_ref())
    }

    pub(super) fn is_connected(&self, account: AccountId) -> bool {
        self.peer_of(account).is_some()
    }

    /// Does what can be done now for what waits for this recipient.
    pub(super) fn deliver(&mut self, step: &mut Step<'_>, account: AccountId) {
        let Some(contact) = self.contacts.get(&account) else { return };
        if contact.new_key.is_some() || !self.outbox.has(&account) || !self.encrypt_waiting(step, account) {
            return;
        }
        if let Some((peer, since)) = self.peer_of(account) {
            return self.deliver_to(step, account, peer, since);
        }
        let hint = self.presence.get(&account).map(|presence| presence.status);
        let contact_peers = self.contacts.get(&account).is_some_and(|contact| !contact.peers.is_empty());
        let must_wait = self.lane(account).must_wait();
        if contact_peers && hint != Some(PresenceStatus::Offline) && !must_wait {
            self.reach(step, account);
            // An address that swallows packets answers late or never: the mailbox need not wait for it.
            let patient_until = self.lane(account).trying.map(|since| since + Duration::from_millis(REACH_PATIENCE_MS));
            if let Some(until) = patient_until.filter(|until| *until > Instant::now()) {
                return self.wake_at(until);
            }
        }
        self.deposit(step, account);
        if let Some(at) = self.lane(account).not_before {
            self.wake_at(at);
        }
    }

    /// Encrypts the rows that are not yet; says whether there is a session to do it with.
    fn encrypt_waiting(&mut self, step: &mut Step<'_>, account: AccountId) -> bool {
        // They are encrypted in order: those that are not yet are the last ones.
        let is_plain = |row: &u64| self.outbox.get(*row).is_some_and(|out| out.ciphertext.0.is_empty());
        let mut waiting: Vec<u64> = self.outbox.rows_for(&account).rev().take_while(is_plain).collect();
        if waiting.is_empty() {
            return true;
        }
        waiting.reverse();
        let can = self.sessions_with(step, account).is_ok_and(|sessions| sessions.can_encrypt());
        if !can {
            self.fetch_bundle(step, account);
            return false;
        }
        for row in waiting {
            let Some(plaintext) = self.outbox.get(row).map(|out| out.plaintext.0.clone()) else { continue };
            let now = step.now;
            let Ok(sessions) = self.sessions_with(step, account) else { return false };
            match sessions.encrypt(&plaintext, now, &mut rng()) {
                Ok(ciphertext) => {
                    if let Some(out) = self.outbox.get_mut(row) {
                        out.ciphertext = Bytes(ciphertext);
                    }
                    step.rows.insert(row);
                    step.sessions.insert(account);
                }
                Err(error) => {
                    tracing::debug!(%error, "a message could not be encrypted");
                    return false;
                }
            }
        }
        true
    }

    /// Sends what waits over an open connection: while one delivery is stored at
    /// the other side, the next is on its way. Their order is that of the positions
    /// inside, whichever comes first.
    fn deliver_to(&mut self, step: &mut Step<'_>, account: AccountId, peer: PeerId, since: Instant) {
        let standing = self.contacts.get(&account).map(|contact| contact.standing);
        let is_new = !matches!(standing, Some(Standing::Accepted | Standing::Member));
        let lane = self.lane(account);
        // To somebody new one at a time, so that the request comes before what follows it.
        let most = if is_new { 1 } else { DELIVERIES_IN_FLIGHT_MAX };
        if lane.deliveries >= most {
            return;
        }
        if let Some(at) = lane.not_before.filter(|_| lane.must_wait()) {
            return self.wake_at(at);
        }
        let deposited = self.contacts.get(&account).map_or(0, |contact| contact.deposited_upto);
        let again_at = since + Duration::from_millis(DIRECT_AFTER_DEPOSIT_MS);
        let first = if again_at <= Instant::now() { 0 } else { deposited.saturating_add(1) };
        let under_way = self.lanes.get(&account).map(|lane| &lane.in_flight);
        let is_next = |row: &u64| *row >= first && !under_way.is_some_and(|rows| rows.contains(row));
        let (mut rows, mut messages, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
        for row in self.outbox.rows_for(&account).filter(is_next) {
            let Some(out) = self.outbox.get(row) else { continue };
            bytes = bytes.saturating_add(out.ciphertext.0.len());
            if messages.len() >= DELIVERY_MAX_MESSAGES || (bytes > DELIVERY_MAX_BYTES && !messages.is_empty()) {
                break;
            }
            rows.push(row);
            messages.push(out.ciphertext.clone());
        }
        if rows.is_empty() {
            return self.wake_at(again_at);
        }
        let lane = self.lane(account);
        lane.deliveries += 1;
        lane.in_flight.extend(&rows);
        let (net, epoch) = (self.net.clone(), self.lane(account).epoch);
        step.work(async move {
            let result = net.request(peer, Vec::new(), PeerRequest::Deliver { messages }).await;
            Work::Delivered { to: account, peer, epoch, rows, result }
        });
    }

    /// Where a contact may be reached: what they told, what mDNS told, and relays at their homes.
    pub(super) fn addresses_of(&self, account: AccountId, peer: PeerId) -> Vec<Address> {
        let Some(contact) = self.contacts.get(&account) else { return Vec::new() };
        let relayed = contact.homes.iter().map(|home| format!("{home}/p2p-circuit/p2p/{peer}"));
        let told = contact.addresses.iter().cloned().chain(relayed);
        let mut all: Vec<Address> = self.local.get(&peer).cloned().unwrap_or_default();
        all.extend(told.filter_map(|text| parse_address(&text).ok()));
        all
    }

    pub(super) fn peers_of(&self, account: AccountId) -> Vec<PeerId> {
        let keys = self.contacts.get(&account).map(|contact| contact.peers.clone()).unwrap_or_default();
        keys.into_iter().filter_map(|key| PeerId::from_ed25519(key.0).ok()).collect()
    }

    /// Tries to reach a contact: whoever answers is greeted, and deliveries follow.
    pub(super) fn reach(&mut self, step: &mut Step<'_>, account: AccountId) {
        let Some(peer) = self.peers_of(account).into_iter().next() else { return };
        if self.lane(account).trying.is_some() || self.is_connected(account) {
            return;
        }
        self.lane(account).trying = Some(Instant::now());
        let (net, addresses, hello) = (self.net.clone(), self.addresses_of(account, peer), self.hello(Some(account)));
        step.work(async move {
            let result = match net.request(peer, addresses, PeerRequest::Hello(hello)).await {
                Ok(PeerResponse::Hello(hello)) => Ok(hello),
                Ok(_) => Err(RequestError::Malformed),
                Err(error) => Err(error),
            };
            Work::Hello { peer, result }
        });
    }

    /// Reaching a contact has failed, or has been answered.
    pub(super) fn reached(&mut self, step: &mut Step<'_>, peer: PeerId, ok: bool) {
        let Some(key) = peer.to_ed25519().map(Fixed) else { return };
        let named = self.contacts.values().filter(|contact| contact.peers.contains(&key));
        let accounts: Vec<AccountId> = named.map(|contact| contact.account).collect();
        for account in accounts {
            self.files.look_again();
            let lane = self.lane(account);
            lane.trying = None;
            if ok {
                lane.succeeded()
            } else {
                lane.failed(0);
                // Somewhere else than they said last, perhaps.
                let there = |presence: &Presence| presence.status != PresenceStatus::Offline;
                if self.presence.get(&account).is_some_and(there) && !self.is_connected(account) {
                    self.ask_nodes_for(step, account);
                }
            }
            step.deliver.insert(account);
        }
    }

    /// Whether the answer to a delivery says that all arrived, and nothing else waits for it.
    pub(super) fn may_wait(&self, to: AccountId, rows: &[u64], result: &Result<PeerResponse, RequestError>) -> bool {
        let Ok(PeerResponse::Delivered { statuses }) = result else { return false };
        let arrived = |status: &DeliveryStatus| matches!(status, DeliveryStatus::Stored | DeliveryStatus::Taken);
        let under_way = self.lanes.get(&to).map_or(0, |lane| lane.in_flight.len());
        statuses.len() == rows.len() && statuses.iter().all(arrived) && self.outbox.count_for(&to) <= under_way
    }

    /// The answer to a delivery.
    pub(super) fn delivered(
        &mut self,
        step: &mut Step<'_>,
        to: AccountId,
        (peer, epoch): (PeerId, u32),
        rows: &[u64],
        result: Result<PeerResponse, RequestError>,
    ) {
        self.lane(to).answered(rows);
        step.deliver.insert(to);
        let statuses = match result {
            Ok(PeerResponse::Delivered { statuses }) if statuses.len() == rows.len() => statuses,
            Ok(PeerResponse::Refused(PeerRefusal::HelloFirst)) => {
                for met in self.met.values_mut().filter(|met| met.account == Some(to)) {
                    met.greeted = false;
                }
                self.lane(to).failed(0);
                return self.greet_all(step);
            }
            Ok(PeerResponse::Refused(PeerRefusal::SlowDown { retry_after_ms })) => {
                return self.lane(to).failed(retry_after_ms);
            }
            result => {
                if matches!(result, Err(RequestError::NoAddress | RequestError::DialFailed(_))) {
                    // Not connected, whatever was heard of it: the mailbox is next.
                    self.met.remove(&peer);
                }
                self.drop_fleeting(step, rows);
                return self.lane(to).failed(0);
            }
        };
        // One failure for the whole delivery; and what another one was told stands.
        match statuses.iter().filter_map(asked_wait_ms).max() {
            Some(wait_ms) => self.lane(to).failed(wait_ms),
            None if !self.lane(to).must_wait() => self.lane(to).succeeded(),
            None => {}
        }
        let mut lost = false;
        for (row, status) in rows.iter().zip(statuses) {
            match status {
                DeliveryStatus::NoSession => lost = true,
                DeliveryStatus::Full | DeliveryStatus::SlowDown { .. } => {}
                DeliveryStatus::Invalid => self.give_up(step, *row, "The recipient's device could not read it."),
                DeliveryStatus::Stored | DeliveryStatus::Taken => {
                    self.acknowledged(step, *row, is_acknowledged(status))
                }
            }
        }
        if lost && self.lane(to).epoch == epoch {
            self.session_lost(step, to);
        }
    }

    /// A row has arrived: end to end, or it was at least taken.
    pub(super) fn acknowledged(&mut self, step: &mut Step<'_>, row: u64, end_to_end: bool) {
        let Some(out) = self.outbox.remove(row) else { return };
        step.rows.insert(row);
        self.file_announced(step, out.message);
        if out.shown {
            let state = if end_to_end { MessageState::Delivered } else { MessageState::Sent };
            if let Err(error) = self.advance_state(step, out.to, out.message, state, None) {
                tracing::error!(%error, "a message's state can't be stored");
            }
        }
    }

    /// A row will not be delivered.
    pub(super) fn give_up(&mut self, step: &mut Step<'_>, row: u64, reason: &str) {
        let Some(out) = self.outbox.remove(row) else { return };
        step.rows.insert(row);
        if out.shown {
            let failed = self.advance_state(step, out.to, out.message, MessageState::Failed, Some(reason.to_owned()));
            if let Err(error) = failed {
                tracing::error!(%error, "a message's state can't be stored");
            }
        }
        if out.seq > 0 && self.contacts.get(&out.to).is_some_and(|contact| contact.may_chat()) {
            let id = secure_chat_protocol::id::MessageId::random(&mut rng());
            if let Err(error) = self.enqueue(step, out.to, id, Content::FloorRaised, false) {
                tracing::debug!(%error, "the recipient is not told of what was given up");
            }
        }
    }

    /// What is worth nothing later is not tried again.
    fn drop_fleeting(&mut self, step: &mut Step<'_>, rows: &[u64]) {
        for row in rows {
            let typing = self.outbox.get(*row).filter(|out| out.seq == 0).is_some_and(|out| {
                let said = MessageIn::decode(&out.plaintext.0);
                said.is_ok_and(|said| matches!(said.body, Content::Typing { .. } | Content::GroupTyping { .. }))
            });
            if typing {
                self.outbox.remove(*row);
                step.rows.insert(*row);
            }
        }
    }

    /// The other side can't open what we send: a new session, and everything again under it.
    pub(super) fn session_lost(&mut self, step: &mut Step<'_>, account: AccountId) {
        let every = Duration::from_millis(SESSION_RESET_EVERY_MS);
        let recent = self.lane(account).reset_at.is_some_and(|at| at.elapsed() < every);
        if recent {
            return self.lane(account).failed(SESSION_RESET_EVERY_MS);
        }
        self.lane(account).reset_at = Some(Instant::now());
        if let Ok(sessions) = self.sessions_with(step, account) {
            sessions.reset();
            step.sessions.insert(account);
        }
        self.encrypt_anew(step, account);
        self.audit(
            step,
            "session.reset",
            Severity::Warning,
            "A contact could not open a message: a new session begins.",
        );
    }

    /// A bundle replaced a session whose mail could not be opened: everything goes again under the new one.
    pub(super) fn session_replaced(&mut self, step: &mut Step<'_>, account: AccountId) {
        self.lane(account).replace_session = false;
        self.encrypt_anew(step, account);
        let id = secure_chat_protocol::id::MessageId::random(&mut rng());
        if let Err(error) = self.enqueue(step, account, id, Content::SessionReset, false) {
            tracing::debug!(%error, "a contact is not told of the new session");
        }
    }

    /// Everything that waits for a contact is encrypted under the session that speaks now.
    pub(super) fn encrypt_anew(&mut self, step: &mut Step<'_>, account: AccountId) {
        let rows: Vec<u64> = self.outbox.rows_for(&account).collect();
        for row in rows {
            if let Some(out) = self.outbox.get_mut(row) {
                out.ciphertext = Bytes::default();
                step.rows.insert(row);
            }
        }
        if let Some(contact) = self.contacts.get_mut(&account) {
            contact.deposited_upto = 0;
            step.contacts.insert(account);
        }
        let lane = self.lane(account);
        lane.epoch = lane.epoch.wrapping_add(1);
        step.deliver.insert(account);
    }

    /// After a rollback of the vault: every session starts anew, since both sides may disagree.
    pub(crate) fn replace_all_sessions(&mut self, step: &mut Step<'_>) {
        let accounts: Vec<AccountId> = self.contacts.keys().copied().collect();
        for account in accounts {
            if let Ok(sessions) = self.sessions_with(step, account) {
                sessions.reset();
                step.sessions.insert(account);
            }
            self.encrypt_anew(step, account);
            let id = secure_chat_protocol::id::MessageId::random(&mut rng());
            if let Err(error) = self.enqueue(step, account, id, Content::SessionReset, false) {
                tracing::debug!(%error, "a contact is not told of the new session");
            }
        }
        self.replace_all_chains(step);
    }
}
