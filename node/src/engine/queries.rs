//! People, network and settings: what is asked, looked up and shown.

use std::collections::BTreeMap;

use futures::future::join_all;
use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::invite::{Invite, InviteFields};
use secure_chat_protocol::record::Record;
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::wire::rendezvous::{Found, PresenceStatus, RECORDS_MAX, Request, Response, Who};

use super::audit::Severity;
use super::homes::Stage;
use super::invited;
use super::state::{Open, rng};
use super::step::{Step, sentence};
use super::work::{LookupPurpose, NetworkWant, Work};
use crate::api::{
    self, ApiError, At, Connection, Connections, Counts, Diagnostics, Dialled, Done, ErrorKind, Event, HeldBack,
    NetworkStatus, OnlineUsers, RendezvousState, Reply, Route, SettingsView, Traffic, User,
};
use crate::messaging::contact::Standing;
use crate::messaging::limits::HELD_BACK_MAX;
use crate::messaging::settings::ChosenPresence;
use crate::network::{Address, PeerId, Status, parse_address};
use crate::store::Table;

fn user_view(record: &Record, online: bool) -> User {
    let peer = record.peer_keys().next().and_then(|key| PeerId::from_ed25519(*key).ok());
    User {
        username: record.name().as_str().to_owned(),
        account_id: record.account_id().to_string(),
        peer_id: peer.map(|peer| peer.to_string()).unwrap_or_default(),
        fingerprint: record.account_id().fingerprint(),
        online,
    }
}

const fn is_online(status: PresenceStatus) -> bool {
    matches!(status, PresenceStatus::Online | PresenceStatus::Away)
}

impl Open {
    pub(super) fn ready_homes(&self) -> Vec<Address> {
        self.homes.values().filter(|home| home.stage == Stage::Ready).map(|home| home.address.clone()).collect()
    }

    /// `users.online`: what the homes say, and who is on the local network.
    pub(super) fn users_online(&mut self, step: &mut Step<'_>, reply: Reply<OnlineUsers>) {
        let (net, homes) = (self.net.clone(), self.ready_homes());
        step.work(async move {
            let ask = |home| {
                net.rendezvous(
                    home,
                    Request::Online { after: None, limit: u16::try_from(RECORDS_MAX).unwrap_or(u16::MAX) },
                )
            };
            let answers = join_all(homes.into_iter().map(ask)).await;
            let people = answers.into_iter().filter_map(|answer| match answer {
                Ok(Response::Found { people, .. }) => Some(people),
                _ => None,
            });
            Work::Online { people: people.flatten().collect(), reply }
        });
    }

    fn online(&self, people: &[Found]) -> OnlineUsers {
        let mut users = BTreeMap::new();
        let seen = self.met.values().filter_map(|met| met.account);
        let seen = seen.filter(|account| self.status_of(*account) != api::Status::Offline);
        let connected = seen.filter_map(|account| self.greeted.get(&account));
        let told = people
            .iter()
            .filter(|found| is_online(found.presence.status))
            .filter_map(|found| Record::decode(&found.record.0).ok());
        for record in connected.cloned().chain(told) {
            if record.account_id() != self.me {
                users.entry(record.account_id()).or_insert_with(|| user_view(&record, true));
            }
        }
        OnlineUsers { users: users.into_values().collect() }
    }

    /// `users.find`.
    pub(super) fn find_user(&mut self, step: &mut Step<'_>, username: &str, reply: Reply<User>) {
        match Username::parse(username.trim().trim_start_matches('@')) {
            Ok(name) => self.look_up(step, name.as_str(), LookupPurpose::Find(reply)),
            Err(error) => step.reply(reply, Err(ApiError::invalid("username", sentence(&error.to_string())))),
        }
    }

    /// Asks all homes for somebody.
    pub(super) fn look_up(&mut self, step: &mut Step<'_>, user: &str, purpose: LookupPurpose) {
        let user = user.trim().trim_start_matches('@').to_owned();
        let who =
            user.parse::<AccountId>().map_or_else(|_| Who::Name(user.clone()), |account| Who::Accounts(vec![account]));
        let (net, homes) = (self.net.clone(), self.ready_homes());
        step.work(async move {
            let asked = homes.len();
            let ask = |home: Address| {
                let (net, who) = (net.clone(), who.clone());
                async move { (home.clone(), net.rendezvous(home, Request::Lookup(who)).await) }
            };
            let answers = join_all(homes.into_iter().map(ask)).await;
            let found = answers.into_iter().flat_map(|(home, answer)| match answer {
                Ok(Response::Found { people, .. }) => people.into_iter().map(|person| (home.clone(), person)).collect(),
                _ => Vec::new(),
            });
            Work::LookedUp { found: found.collect(), user, purpose, asked }
        });
    }

    /// Lookups were answered: those that are signed and fit the question count.
    fn looked_up(
        &mut self,
        step: &mut Step<'_>,
        found: Vec<(Address, Found)>,
        user: &str,
        purpose: LookupPurpose,
        asked: usize,
    ) {
        let mut people = BTreeMap::<AccountId, (Record, Vec<String>, bool)>::new();
        for (node, person) in found {
            self.learn_at(step, &node, &person);
            let Ok(record) = Record::decode(&person.record.0) else { continue };
            if !(record.name().as_str().eq_ignore_ascii_case(user) || record.account_id().to_string() == user) {
                self.alert(
                    step,
                    "rendezvous.wrong_answer",
                    Severity::Warning,
                    None,
                    "A rendezvous node answered with somebody who was not asked for.",
                );
                continue;
            }
            self.name_shows(step, &record);
            let online = is_online(person.presence.status);
            let newer = people.get(&record.account_id()).is_none_or(|(known, _, _)| record.seq() > known.seq());
            if newer {
                people.insert(record.account_id(), (record, person.addresses, online));
            }
        }
        for record in self.greeted.values().filter(|record| record.name().as_str().eq_ignore_ascii_case(user)) {
            let online = self.status_of(record.account_id()) != api::Status::Offline;
            people.entry(record.account_id()).or_insert_with(|| (record.clone(), Vec::new(), online));
        }
        let one = self.the_one(people, user, asked);
        match purpose {
            LookupPurpose::Find(reply) => step.reply(reply, one.map(|(record, _, online)| user_view(&record, online))),
            LookupPurpose::Request { greeting, reply } => {
                let result =
                    one.and_then(|(record, addresses, _)| self.request_by_record(step, &record, addresses, greeting));
                step.reply(reply, result);
            }
        }
    }

    fn the_one(
        &self,
        people: BTreeMap<AccountId, (Record, Vec<String>, bool)>,
        user: &str,
        asked: usize,
    ) -> Result<(Record, Vec<String>, bool), ApiError> {
        // A name is pinned to the one that was first met under it.
        let pinned = self
            .contacts
            .values()
            .find(|contact| contact.standing != Standing::Gone && contact.username.eq_ignore_ascii_case(user));
        if let Some(person) = pinned.and_then(|contact| people.get(&contact.account)) {
            return Ok(person.clone());
        }
        let fingerprints: Vec<String> = people.keys().map(AccountId::fingerprint).collect();
        let mut all = people.into_values();
        match (all.next(), all.next()) {
            (Some(person), None) => Ok(person),
            (None, _) if asked == 0 => Err(ApiError::new(
                ErrorKind::NotConnected,
                "No rendezvous node is connected, and nobody of this name is on the local network.",
            )),
            (None, _) => Err(ApiError::not_found(format!("Nobody is called {user:?}."))),
            _ => Err(ApiError {
                fingerprints,
                ..ApiError::new(
                    ErrorKind::Conflict,
                    "This name means different people on different rendezvous nodes. Name one by the account id.",
                )
            }),
        }
    }

    /// `presence.set`.
    pub(super) fn set_presence(&mut self, step: &mut Step<'_>, status: api::Status) -> Result<Done, ApiError> {
        let chosen = match status {
            api::Status::Online => ChosenPresence::Online,
            api::Status::Away => ChosenPresence::Away,
            api::Status::Invisible => ChosenPresence::Invisible,
            api::Status::Offline => return Err(ApiError::invalid("status", "Choose online, away or invisible.")),
        };
        if self.settings.presence != chosen {
            self.settings.presence = chosen;
            self.store_settings(step);
        }
        self.show_presence(step);
        Ok(Done {})
    }

    /// Tells everybody who may know what is shown of the person now.
    fn show_presence(&mut self, step: &mut Step<'_>) {
        self.show_homes(step);
        self.say_status(step);
    }

    pub(super) fn store_settings(&self, step: &mut Step<'_>) {
        if let Ok(json) = serde_json::to_vec(&self.settings) {
            step.txn.put(Table::Notes, b"settings", &json);
        }
        step.tell(Event::SettingsChanged {});
    }

    /// `settings.set`.
    pub(super) fn set_setting(
        &mut self,
        step: &mut Step<'_>,
        key: &str,
        value: serde_json::Value,
    ) -> Result<SettingsView, ApiError> {
        self.settings = self.settings.with(key, value)?;
        self.store_settings(step);
        if key != "window" {
            self.audit(step, "settings.changed", Severity::Info, format!("The setting {key} was changed."));
        }
        if matches!(key, "share_presence" | "presence") {
            self.show_presence(step);
        }
        if key == "share_addresses" {
            self.show_homes(step);
        }
        self.settings.view(Some(key))
    }

    /// `network.dial`.
    pub(super) fn dial(&mut self, step: &mut Step<'_>, address: &str, reply: Reply<Dialled>) {
        match parse_address(address.trim()) {
            Ok(address) => {
                let net = self.net.clone();
                step.work(async move { Work::Dialled { result: net.dial(address).await, reply } });
            }
            Err(error) => step.reply(reply, Err(ApiError::invalid("address", sentence(&error.to_string())))),
        }
    }

    /// Asks the network how it stands, for somebody.
    pub(super) fn ask_network(&mut self, step: &mut Step<'_>, want: NetworkWant) {
        let net = self.net.clone();
        step.work(async move { Work::Network { status: net.status().await, want } });
    }

    /// A result of asynchronous work.
    pub(super) fn worked(&mut self, step: &mut Step<'_>, work: Work) {
        match work {
            Work::Delivered { to, peer, epoch, rows, result } => self.delivered(step, to, (peer, epoch), &rows, result),
            Work::Hello { peer, result } => self.greeted(step, peer, result),
            Work::Deposited { to, epoch, deposits } => self.deposited(step, to, epoch, &deposits),
            Work::Bundle { of, bundle, found } => self.bundled(step, of, bundle, &found),
            Work::Records { found } => found.iter().for_each(|(node, person)| self.learn_at(step, node, person)),
            Work::Registered { home, result } => self.registered(step, &home, result),
            Work::HomeReady { home, result } => self.home_ready(step, &home, result),
            Work::Mail { home, result } => self.mail(step, &home, result),
            Work::HomeTold { home, result } => self.home_told(step, &home, result),
            Work::HomeShown { home, result } => self.home_shown(step, &home, result),
            Work::LookedUp { found, user, purpose, asked } => self.looked_up(step, found, &user, purpose, asked),
            Work::Online { people, reply } => {
                let online = self.online(&people);
                step.reply(reply, Ok(online));
            }
            Work::Dialled { result, reply } => {
                let result = result.map(|peer| Dialled { peer_id: peer.to_string() });
                step.reply(
                    reply,
                    result.map_err(|error| ApiError::new(ErrorKind::NotConnected, sentence(&error.to_string()))),
                );
            }
            Work::BackedUp { result, reply } => self.backed_up(step, result, reply),
            Work::AuditWalked { first, ok } => self.audit_walked(step, first, ok),
            Work::AuditSweep => self.sweep_audit(step),
            Work::AuditWritten { result, reply } => {
                let result = result.and_then(|written| self.sign_export(written));
                step.reply(reply, result);
            }
            Work::Network { status: Some(status), want } => self.network_answered(step, &status, want),
            Work::GroupLogged { group, node, appended } => self.group_logged(step, group, &node, &appended),
            Work::GroupLog(page) => self.log_read(step, &page),
            Work::GroupListed { group, taken } => self.group_listed(step, group, taken),
            Work::GroupsFound { listings, reply } => {
                let found = self.groups_found(step, &listings);
                step.reply(reply, Ok(found));
            }
            Work::GroupEntry { listed, reply } => {
                let joining = self.group_entry(step, &listed);
                step.reply(reply, joining);
            }
            Work::GroupNamed { taken, naming } => self.named(step, taken, naming),
            Work::AdminFound { group, admin, found } => self.admin_found(step, group, admin, &found),
            Work::GroupFetched { group, from, result } => self.group_fetched(step, group, from, result),
            Work::File(work) => self.file_worked(step, work),
            Work::Network { status: None, .. } | Work::Hosted { .. } | Work::PasswordChanged { .. } | Work::Tried => {}
        }
    }

    fn network_answered(&mut self, step: &mut Step<'_>, status: &Status, want: NetworkWant) {
        match want {
            NetworkWant::Status(reply) => step.reply(reply, Ok(self.network_view(status))),
            NetworkWant::Connections(reply) => step.reply(reply, Ok(self.connections_view(status))),
            NetworkWant::Diagnostics(reply) => step.reply(reply, Ok(self.diagnostics(status))),
            NetworkWant::Invite(reply) => {
                let invite = self.invite(step, status);
                step.reply(reply, invite);
            }
            NetworkWant::All(_) => {}
        }
    }

    fn invite(&self, step: &mut Step<'_>, status: &Status) -> Result<api::Invite, ApiError> {
        let mut addresses: Vec<String> =
            status.external.iter().chain(&status.listen).map(ToString::to_string).collect();
        addresses.dedup();
        addresses.truncate(if self.settings.share_addresses { 4 } else { 0 });
        let fields = InviteFields {
            name: self.username.clone(),
            peers: self.peer_id.to_ed25519().into_iter().collect(),
            addresses,
            homes: self.home_addresses(),
            mailbox: Some(self.mailbox.mailbox_id()),
            expires: Some(step.now.plus_ms(invited::INVITE_LIFETIME_MS)),
        };
        let invite = Invite::create(&self.identity, fields, &mut rng())
            .map_err(|error| ApiError::new(ErrorKind::Internal, sentence(&error.to_string())))?;
        invited::remember(step, *invite.nonce());
        Ok(api::Invite { invite: invite.to_link() })
    }

    pub(super) fn network_view(&self, status: &Status) -> NetworkStatus {
        let link = |info: &crate::network::LinkInfo| {
            let home = self.homes.get(&info.node);
            let (state, detail) = match (home.map(|home| &home.stage), info.state) {
                (Some(Stage::Ready), _) => ("registered", home.and_then(|home| home.notice()).map(str::to_owned)),
                (Some(Stage::Refused(why)), _) => ("refused", Some(why.clone())),
                (_, crate::network::LinkState::Connected) => ("connected", None),
                (_, crate::network::LinkState::Connecting) => ("connecting", None),
                (_, crate::network::LinkState::Unreachable) => ("unreachable", info.error.clone()),
            };
            RendezvousState {
                address: info.address.to_string(),
                peer_id: info.node.to_string(),
                state: state.into(),
                detail,
                rtt_ms: info.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
            }
        };
        NetworkStatus {
            peer_id: status.peer_id.to_string(),
            listen: status.listen.iter().map(ToString::to_string).collect(),
            connections: status.connections.len(),
            rendezvous: status.rendezvous.iter().map(link).collect(),
            nat: status.nat.name().to_owned(),
            relayed_via: status.relayed_via.iter().map(ToString::to_string).collect(),
            held_back: self.held_back(),
        }
    }

    /// Whose mail no rendezvous node of theirs takes now, and what the nodes say.
    fn held_back(&self) -> Vec<HeldBack> {
        let refused = self.lanes.iter().filter_map(|(account, lane)| Some((account, lane.deposit_refused()?)));
        let view = |(account, (wait, detail)): (&AccountId, (std::time::Duration, &str))| HeldBack {
            username: self.conversation_name(*account),
            account_id: account.to_string(),
            detail: detail.to_owned(),
            retry_in_s: wait.as_secs().saturating_add(1),
        };
        refused.filter(|(account, _)| self.outbox.has(account)).take(HELD_BACK_MAX).map(view).collect()
    }

    fn connections_view(&self, status: &Status) -> Connections {
        let view = |info: &crate::network::ConnectionInfo| {
            let account = self.met.get(&info.peer).and_then(|met| met.account);
            let contact =
                account.and_then(|account| self.contacts.get(&account)).filter(|contact| contact.state().is_some());
            let since = info.since.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
            Connection {
                peer_id: info.peer.to_string(),
                username: contact.map(|contact| contact.username.clone()),
                account_id: contact.map(|contact| contact.account.to_string()),
                address: info.address.to_string(),
                transport: info.transport.name().to_owned(),
                route: match info.route {
                    crate::network::Route::Direct => Route::Direct,
                    crate::network::Route::Relayed => Route::Relayed,
                },
                rtt_ms: info.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
                since: At(secure_chat_protocol::id::Timestamp(u64::try_from(since).unwrap_or(u64::MAX))),
            }
        };
        Connections { connections: status.connections.iter().map(view).collect() }
    }

    /// Facts for a report of trouble: numbers only, no names, addresses or keys.
    fn diagnostics(&self, status: &Status) -> Diagnostics {
        let view = self.network_view(status);
        let relayed = status.connections.iter().filter(|info| info.route == crate::network::Route::Relayed).count();
        let states: Vec<&str> = view.rendezvous.iter().map(|node| node.state.as_str()).collect();
        let counts = self.counts();
        let text = format!(
            "Secure Chat {}\nlisteners: {}\nconnections: {} ({relayed} relayed)\nrendezvous nodes: {}\nNAT: {}\ncontacts: {}\n\
             messages: {}\nwaiting to be delivered: {}\nvault: {} bytes\n",
            env!("CARGO_PKG_VERSION"),
            view.listen.len(),
            view.connections,
            states.join(", "),
            view.nat,
            counts.contacts,
            counts.messages,
            self.outbox.len(),
            self.vault.bytes_on_disk(),
        );
        Diagnostics { text }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            contacts: self.contacts.values().filter(|contact| contact.state().is_some()).count(),
            groups: self.groups.values().filter(|group| group.is_joined()).count(),
            messages: self.vault.history().total().unwrap_or_default(),
            files: self.files.len(),
        }
    }

    pub(super) fn traffic_since(&self, since: Option<At>) -> Traffic {
        Traffic {
            points: self.traffic.iter().filter(|point| since.is_none_or(|since| point.at > since)).copied().collect(),
        }
    }
}
