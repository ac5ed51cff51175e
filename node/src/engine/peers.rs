//! Connected peers: who they are, and what the network tells of them.

use std::time::Instant;

use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::limits::{ADDRESS_MAX_BYTES, ADDRESSES_MAX};
use secure_chat_protocol::record::Record;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::peer::{Hello, PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous::PresenceStatus;

use super::audit::Severity;
use super::groups::GoesOn;
use super::state::Open;
use super::step::Step;
use super::work::Work;
use crate::api::{At, Event, Status};
use crate::messaging::contact::Standing;
use crate::messaging::limits::LOCAL_PEERS_MAX;
use crate::messaging::settings::ChosenPresence;
use crate::network::{NetworkEvent, PeerId, RequestError, parse_address};
use crate::security::rules::Signal;

impl Open {
    /// What the network tells.
    pub(super) fn network_event(&mut self, step: &mut Step<'_>, event: NetworkEvent) {
        match event {
            NetworkEvent::Listening(address) => {
                if !self.listening.contains(&address) {
                    self.listening.push(address);
                }
                self.show_homes(step);
            }
            NetworkEvent::ListenerClosed(address) => {
                self.listening.retain(|listening| *listening != address);
                self.show_homes(step);
            }
            NetworkEvent::Connected { peer, first, .. } => {
                let met = self.met.entry(peer).or_default();
                met.since.get_or_insert_with(Instant::now);
                if first {
                    self.greet(step, peer);
                    self.tell_network(step);
                }
            }
            NetworkEvent::Disconnected { peer, last: true } => self.peer_left(step, peer),
            NetworkEvent::Discovered { peer, addresses } => {
                if self.local.len() < LOCAL_PEERS_MAX || self.local.contains_key(&peer) {
                    self.local.insert(peer, addresses);
                }
                self.greet(step, peer);
            }
            NetworkEvent::Expired { peer } => {
                self.local.remove(&peer);
            }
            NetworkEvent::Inbound { peer, request, responder } => self.inbound(step, peer, request, responder),
            NetworkEvent::Gossip { topic, data, forwarder, id } => {
                match self.gossiped(step, &topic, &data, forwarder) {
                    GoesOn::Nowhere => {}
                    GoesOn::ToEach(topics) => self.net.pass_on_to(topics, data),
                    GoesOn::ToMesh => self.net.pass_on(id, forwarder),
                }
            }
            NetworkEvent::Stream { peer, stream } => self.serve_files(step, peer, stream),
            NetworkEvent::Push { node, push } => self.pushed(step, node, push),
            NetworkEvent::RendezvousConnected { node } => self.home_connected(step, node),
            NetworkEvent::RendezvousDisconnected { node, .. } => self.home_lost(step, node),
            NetworkEvent::NatChanged(_) | NetworkEvent::Relayed { .. } => self.tell_network(step),
            NetworkEvent::Malformed { peer, .. } => {
                let account = self.met.get(&peer).and_then(|met| met.account);
                let text = "A peer sent something that can't be understood.";
                self.audit_about(
                    step,
                    "network.frame",
                    Severity::Info,
                    account.map(|account| account.to_string()),
                    text,
                );
                self.observe(step, &Signal::Malformed { peer: peer.to_ed25519().unwrap_or_default(), account });
            }
            _ => {}
        }
    }

    fn peer_left(&mut self, step: &mut Step<'_>, peer: PeerId) {
        let account = self.met.remove(&peer).and_then(|met| met.account);
        if let Some(account) = account.filter(|account| !self.is_connected(*account)) {
            let before = self.told.remove(&account).map_or(Status::Online, view);
            // Who did not want to be seen was not.
            if let Some(contact) = self.contacts.get_mut(&account).filter(|_| before != Status::Offline) {
                contact.last_seen = Some(step.now);
                step.contacts.insert(account);
            }
            self.tell_presence(step, account, before);
            step.deliver.insert(account);
            if self.meets_in_group(account) {
                self.seek_neighbours_soon();
            }
        }
        self.files.peer_left(&peer);
        self.tell_network(step);
    }

    /// Whether somebody is not to learn that we are here.
    pub(super) fn hides_from(&self, account: AccountId) -> bool {
        self.contacts.get(&account).is_some_and(|contact| contact.blocked)
            || (self.settings.presence == ChosenPresence::Invisible && !self.deals_with(account))
    }

    /// Whether somebody is a contact, or has to do with a group of ours still.
    fn deals_with(&self, account: AccountId) -> bool {
        match self.contacts.get(&account).map(|contact| contact.standing) {
            None | Some(Standing::Gone) => false,
            Some(Standing::Member) => self.meets_in_group(account),
            Some(_) => true,
        }
    }

    /// Who we are, for somebody who may be a contact.
    pub(super) fn hello(&self, to: Option<AccountId>) -> Hello {
        let knows = to.is_some_and(|account| self.deals_with(account));
        Hello {
            record: Bytes(self.record.encoded().to_vec()),
            addresses: if knows && self.settings.share_addresses { self.told_addresses() } else { Vec::new() },
            // Without a word one is taken to be online.
            status: match self.shown_status() {
                PresenceStatus::Invisible => Some(PresenceStatus::Offline),
                shown => knows.then_some(shown),
            },
        }
    }

    /// Asks a peer who it is, unless that was done or we hide.
    fn greet(&mut self, step: &mut Step<'_>, peer: PeerId) {
        let known =
            self.contacts.values().find(|contact| contact.peers.iter().any(|key| Some(key.0) == peer.to_ed25519()));
        let account = known.map(|contact| contact.account);
        let hidden = match account {
            Some(account) => self.hides_from(account),
            None => self.settings.presence == ChosenPresence::Invisible,
        };
        if self.homes.contains_key(&peer) || hidden || self.met.get(&peer).is_some_and(|met| met.greeted) {
            return;
        }
        if let Some(met) = self.met.get_mut(&peer) {
            met.greeted = true;
            if std::mem::replace(&mut met.greeting, true) {
                met.again = true;
                return;
            }
            met.heard = false;
        }
        let (net, hello, addresses) =
            (self.net.clone(), self.hello(account), self.local.get(&peer).cloned().unwrap_or_default());
        step.work(async move {
            let result = match net.request(peer, addresses, PeerRequest::Hello(hello)).await {
                Ok(PeerResponse::Hello(hello)) => Ok(hello),
                Ok(_) => Err(RequestError::Malformed),
                Err(error) => Err(error),
            };
            Work::Hello { peer, result }
        });
    }

    /// Says hello again to somebody who may know more than at the first time, or has more to say.
    pub(super) fn greet_again(&mut self, step: &mut Step<'_>, account: AccountId) {
        for peer in self.peers_of(account) {
            if let Some(met) = self.met.get_mut(&peer) {
                met.greeted = false;
                self.greet(step, peer);
            }
        }
    }

    pub(super) fn greet_all(&mut self, step: &mut Step<'_>) {
        let peers: Vec<PeerId> = self.met.iter().filter(|(_, met)| !met.greeted).map(|(peer, _)| *peer).collect();
        for peer in peers {
            self.greet(step, peer);
        }
    }

    /// A greeting was answered, or not.
    pub(super) fn greeted(&mut self, step: &mut Step<'_>, peer: PeerId, result: Result<Hello, RequestError>) {
        let ok = result.is_ok();
        let (mut again, mut heard) = (false, None);
        if let Some(met) = self.met.get_mut(&peer) {
            met.greeting = false;
            again = std::mem::take(&mut met.again);
            heard = met.account.filter(|_| met.heard);
        }
        if let Ok(mut hello) = result {
            if let Some(told) = heard.and_then(|account| self.told.get(&account)) {
                hello.status = Some(*told);
            }
            self.meet(step, peer, &hello);
        }
        self.reached(step, peer, ok);
        if again {
            if let Some(met) = self.met.get_mut(&peer) {
                met.greeted = false;
            }
            self.greet(step, peer);
        }
    }

    /// Somebody says who they are: believed if the record names the peer id of the connection.
    pub(super) fn meet(&mut self, step: &mut Step<'_>, peer: PeerId, hello: &Hello) -> Option<AccountId> {
        // Whoever says the same again is not looked at again: each look checks several signatures.
        let said = self.met.get(&peer).and_then(|met| met.account).and_then(|account| self.greeted.get(&account));
        let record = match said.filter(|said| said.encoded() == hello.record.0) {
            Some(said) => said.clone(),
            None => Record::decode(&hello.record.0).ok()?,
        };
        let account = record.account_id();
        let key = peer.to_ed25519()?;
        if account == self.me || !record.peer_keys().any(|named| *named == key) {
            return None;
        }
        let before = self.status_of(account);
        let was_here = self.is_connected(account);
        let met = self.met.entry(peer).or_default();
        if met.account.is_some_and(|known| known != account) {
            // One connection speaks for one account: else one peer could be a crowd.
            return None;
        }
        met.account = Some(account);
        met.greeted = true;
        met.since.get_or_insert_with(Instant::now);
        if self.greeted.len() < LOCAL_PEERS_MAX || self.greeted.contains_key(&account) {
            self.greeted.insert(account, record.clone());
        }
        // The record that was known stays; the connection is theirs all the same.
        self.has_forked(step, &record);
        let Some(contact) = self.contacts.get_mut(&account).filter(|contact| !contact.blocked) else {
            return Some(account);
        };
        contact.learn(&record);
        let addresses = plausible_addresses(&hello.addresses);
        if !addresses.is_empty() {
            contact.addresses = addresses;
        }
        let hides = hello.status.is_some_and(|status| view(status) == Status::Offline);
        if !hides || before != Status::Offline {
            contact.last_seen = Some(step.now);
        }
        step.contacts.insert(account);
        if let Some(status) = hello.status {
            self.told.insert(account, status);
        }
        let chats = self
            .contacts
            .get(&account)
            .is_some_and(|contact| matches!(contact.standing, Standing::Accepted | Standing::Member));
        self.met_member(step, account);
        self.lane(account).succeeded();
        step.deliver.insert(account);
        if was_here {
            self.files.look_again();
        } else {
            let groups = &self.groups;
            self.files.came(account, |group| groups.get(&group).is_some_and(|group| group.has(&account)));
        }
        self.tell_presence(step, account, before);
        if chats {
            let net = self.net.clone();
            step.work(async move {
                net.protect(peer, true).await;
                Work::Tried
            });
        }
        Some(account)
    }

    /// Whether somebody is there, as far as is known.
    pub(super) fn status_of(&self, account: AccountId) -> Status {
        if self.is_connected(account) {
            return self.told.get(&account).map_or(Status::Online, |status| view(*status));
        }
        self.presence.get(&account).map_or(Status::Offline, |presence| view(presence.status))
    }

    pub(super) fn tell_presence(&self, step: &mut Step<'_>, account: AccountId, before: Status) {
        let now = self.status_of(account);
        let Some(contact) = self.contacts.get(&account).filter(|contact| contact.standing == Standing::Accepted) else {
            return;
        };
        if now != before {
            step.tell(Event::PresenceChanged {
                username: contact.username.clone(),
                account_id: account.to_string(),
                status: now,
                last_seen: contact.last_seen.map(At),
            });
        }
    }

    pub(super) fn shown_status(&self) -> PresenceStatus {
        if self.settings.share_presence { self.settings.presence.status() } else { PresenceStatus::Invisible }
    }

    /// Says hello again to everybody who is connected, because the presence changed.
    pub(super) fn say_status(&mut self, step: &mut Step<'_>) {
        for met in self.met.values_mut() {
            met.greeted = false;
        }
        self.greet_all(step);
    }

    /// Tells contacts how we are reached now.
    pub(super) fn tell_profile(&mut self, step: &mut Step<'_>) {
        let chats: Vec<AccountId> =
            self.contacts.values().filter(|contact| contact.may_chat()).map(|contact| contact.account).collect();
        for account in chats {
            let profile = self.profile(step, account, false);
            let id = secure_chat_protocol::id::MessageId::random(&mut super::state::rng());
            let body = secure_chat_protocol::wire::content::Content::Profile(profile);
            if let Err(error) = self.enqueue(step, account, id, body, false) {
                tracing::debug!(%error, "a contact is not told of the new record");
            }
        }
    }
}

/// The addresses that somebody tells, as far as they are addresses, and not too many.
pub(in crate::engine) fn plausible_addresses(told: &[String]) -> Vec<String> {
    let plausible = told.iter().filter(|address| address.len() <= ADDRESS_MAX_BYTES && parse_address(address).is_ok());
    plausible.take(ADDRESSES_MAX).cloned().collect()
}

/// As the application sees it.
pub(super) const fn view(status: PresenceStatus) -> Status {
    match status {
        PresenceStatus::Online => Status::Online,
        PresenceStatus::Away => Status::Away,
        PresenceStatus::Invisible | PresenceStatus::Offline => Status::Offline,
    }
}
