//! The rendezvous nodes of this account: registered at, presence heard, tokens granted.

use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::limits::{
    GROUP_TOKENS_BATCH, HOMES_MAX, HOUR_MS, KITS_BATCH, KITS_LOW, RENDEZVOUS_FRAME_MAX_BYTES, TOKENS_BATCH,
};
use secure_chat_protocol::prekey::KitHolder;
use secure_chat_protocol::sealed::{MailboxKeys, TokenSeed};
use secure_chat_protocol::wire::codec::{self, Bytes, Fixed};
use secure_chat_protocol::wire::content::TokenGrant;
use secure_chat_protocol::wire::rendezvous::{
    ACCOUNTS_MAX, Presence, PresenceStatus, Push, Refusal, Request, Response, StoredEnvelope, TOKENS_PER_REQUEST_MAX,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::audit::Severity;
use super::state::{Open, rng};
use super::step::{Step, sentence};
use super::work::{HomeFault, Work};
use crate::api::{ApiError, Done, ErrorKind, Event, HostedAddress};
use crate::messaging::contact::{Granted, Standing};
use crate::messaging::limits::{RECORD_JUMP_MAX, RETRY_FIRST_MS, RETRY_MAX_MS};
use crate::network::{Address, NetworkHandle, PeerId, RequestError, parse_rendezvous};

/// How it stands with a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not connected.
    Away,
    /// Connected, registering.
    Registering,
    /// Registered; everything works.
    Ready,
    /// It refuses, in words for the person.
    Refused(String),
}

/// One rendezvous node of ours.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) address: Address,
    pub(crate) stage: Stage,
    /// The last position of the mailbox that was read.
    pub(super) cursor: u64,
    pub(super) fetching: bool,
    /// Something came while a fetch was under way.
    pub(super) again: bool,
    pub(super) first: bool,
    /// Envelopes whose messages must wait for others, since when, and up to where the rest was acknowledged.
    pub(super) deferred: Vec<(Instant, StoredEnvelope)>,
    pub(super) acknowledged: u64,
    pub(super) failures: u32,
    /// When something that it refused, or did not answer, is tried again.
    pub(super) retry_at: Option<Instant>,
    /// When the own record was last brought forward because of it.
    jumped_at: Option<Instant>,
    /// What it last refused, in words for the person, and until when that is of interest.
    notice: Option<(Instant, String)>,
    /// It did not take something that it needs to know: all is told again.
    untold: bool,
    /// What it has acknowledged of us.
    shown: Option<Shown>,
    /// It is being told.
    showing: bool,
}

/// What a home knows of us that may change while we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    status: PresenceStatus,
    /// Where we listen.
    addresses: Vec<String>,
    /// Whose presence we hear.
    watch: Vec<AccountId>,
}

impl Home {
    fn new(address: Address) -> Self {
        Self {
            address,
            stage: Stage::Away,
            cursor: 0,
            fetching: false,
            again: false,
            first: true,
            deferred: Vec::new(),
            acknowledged: 0,
            failures: 0,
            retry_at: None,
            jumped_at: None,
            notice: None,
            untold: false,
            shown: None,
            showing: false,
        }
    }

    /// Remembers what it refused, for the person, until it is asked again.
    pub(super) fn note(&mut self, fault: &HomeFault, until: Instant) {
        if matches!(fault, HomeFault::Refused(_)) {
            self.notice = Some((until, fault.sentence()));
        }
    }

    /// What it refused a moment ago.
    pub(super) fn notice(&self) -> Option<&str> {
        self.notice.as_ref().filter(|(until, _)| *until > Instant::now()).map(|(_, text)| text.as_str())
    }

    /// Tries again later, after each failure longer; the node's own wish is believed up to a bound.
    pub(super) fn retry_later(&mut self, at_least_ms: u64) -> Instant {
        let own = RETRY_FIRST_MS.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let at = Instant::now() + Duration::from_millis(own.max(at_least_ms).min(RETRY_MAX_MS));
        self.retry_at = Some(at);
        at
    }

    /// Whether the own record may be brought forward because of what this node says, once an hour.
    fn may_jump(&mut self) -> bool {
        let recent = self.jumped_at.is_some_and(|at| at.elapsed() < Duration::from_millis(HOUR_MS));
        if !recent {
            self.jumped_at = Some(Instant::now());
        }
        !recent
    }

    /// What was read but could not be stored must be read again.
    pub(crate) fn fetch_again(&mut self) {
        (self.cursor, self.acknowledged, self.fetching, self.again) = (0, 0, false, false);
        self.deferred.clear();
    }
}

/// What a home needs from us, once we are registered.
struct Setup {
    signed: Bytes,
    kits: Option<Vec<Bytes>>,
    mailbox: Arc<MailboxKeys>,
    client: Vec<u8>,
    tokens: Vec<Fixed<32>>,
    shown: Shown,
}

pub(super) async fn ask(net: &NetworkHandle, home: &Address, request: Request) -> Result<Response, HomeFault> {
    match net.rendezvous(home.clone(), request).await {
        Ok(Response::Refused(refusal)) => Err(HomeFault::Refused(refusal)),
        Ok(response) => Ok(response),
        Err(error) => Err(HomeFault::Network(error)),
    }
}

/// Tells a home what is new to it of us, in one order. Answers with what it knows then, and with the presence of
/// those who are watched, if these are new.
async fn show(
    net: &NetworkHandle,
    home: &Address,
    before: Option<Shown>,
    shown: Shown,
) -> Result<(Shown, Vec<Presence>), HomeFault> {
    if before.as_ref().is_none_or(|before| before.status != shown.status) {
        ask(net, home, Request::SetPresence(shown.status)).await?;
    }
    if before.as_ref().is_none_or(|before| before.addresses != shown.addresses) {
        ask(net, home, Request::Announce { addresses: shown.addresses.clone() }).await?;
    }
    if before.is_some_and(|before| before.watch == shown.watch) {
        return Ok((shown, Vec::new()));
    }
    match ask(net, home, Request::Watch { accounts: shown.watch.clone() }).await? {
        Response::Presence(presences) => Ok((shown, presences)),
        _ => Err(HomeFault::Nonsense),
    }
}

async fn set_up(net: &NetworkHandle, home: &Address, setup: Setup) -> Result<(Shown, Vec<Presence>), HomeFault> {
    let kits = setup.kits.clone().unwrap_or_default();
    ask(net, home, Request::PublishPreKeys { signed: setup.signed, kits, replace: setup.kits.is_some() }).await?;
    let Response::Challenge(challenge) = ask(net, home, Request::Challenge).await? else {
        return Err(HomeFault::Nonsense);
    };
    let server = home.peer_id().map(|peer| peer.to_bytes()).unwrap_or_default();
    let (mailbox, client) = (setup.mailbox, setup.client);
    // Not on a thread of the runtime, whose stack would keep the key.
    let sign = move || Request::OpenMailbox {
        auth_key: mailbox.auth_key(),
        signature: mailbox.sign_open(&server, &client, &challenge.0),
    };
    let Ok(open) = crate::stack::spawn_blocking(sign).await else { return Err(HomeFault::Nonsense) };
    let Response::Mailbox { tokens, .. } = ask(net, home, open).await? else {
        return Err(HomeFault::Nonsense);
    };
    if (tokens as usize) < setup.tokens.len() {
        for hashes in setup.tokens.chunks(TOKENS_PER_REQUEST_MAX) {
            // A node that has no room for more tokens still does all else.
            if let Err(fault) = ask(net, home, Request::AddTokens { hashes: hashes.to_vec() }).await {
                tracing::debug!(fault = fault.sentence(), "a rendezvous node does not take delivery tokens");
                break;
            }
        }
    }
    show(net, home, None, setup.shown).await
}

impl Open {
    /// Makes the homes those of the configuration and the settings.
    pub(crate) fn set_homes(&mut self, step: &mut Step<'_>) {
        let texts = self.home_addresses();
        let addresses: Vec<Address> = texts.iter().filter_map(|text| parse_rendezvous(text).ok()).collect();
        let wanted: std::collections::BTreeMap<PeerId, Address> =
            addresses.iter().filter_map(|address| Some((address.peer_id()?, address.clone()))).collect();
        self.homes.retain(|peer, _| wanted.contains_key(peer));
        for (peer, address) in wanted {
            self.homes.entry(peer).or_insert_with(|| Home::new(address));
        }
        let net = self.net.clone();
        step.work(async move {
            if let Err(error) = net.set_rendezvous(addresses).await {
                tracing::warn!(%error, "a rendezvous node can't be used");
            }
            Work::Tried
        });
        if self.record.homes() != texts.as_slice()
            || self.record.mailbox().is_none_or(|mailbox| mailbox.key_id() != self.mailbox.current_key_id())
        {
            step.new_record = true;
        }
    }

    pub(super) fn add_home(&mut self, step: &mut Step<'_>, address: &str) -> Result<HostedAddress, ApiError> {
        let parsed =
            parse_rendezvous(address).map_err(|error| ApiError::invalid("address", sentence(&error.to_string())))?;
        let text = parsed.to_string();
        if self.home_addresses().contains(&text) {
            return Err(ApiError::new(ErrorKind::Conflict, "This rendezvous node is used already."));
        }
        if self.home_addresses().len() >= HOMES_MAX {
            return Err(ApiError::new(ErrorKind::Full, format!("At most {HOMES_MAX} rendezvous nodes can be used.")));
        }
        self.settings.rendezvous.push(text.clone());
        self.store_settings(step);
        self.set_homes(step);
        self.audit(step, "rendezvous.added", Severity::Info, "A rendezvous node was added.");
        Ok(HostedAddress { address: text })
    }

    pub(super) fn remove_home_checked(&mut self, step: &mut Step<'_>, address: &str) -> Result<Done, ApiError> {
        if self.config.rendezvous.iter().any(|configured| configured == address) {
            return Err(ApiError::new(
                ErrorKind::NotAllowed,
                "This rendezvous node comes from the configuration. Remove it there.",
            ));
        }
        if !self.settings.rendezvous.iter().any(|added| added == address) {
            return Err(ApiError::not_found("This rendezvous node is not used."));
        }
        self.remove_home(step, address);
        self.audit(step, "rendezvous.removed", Severity::Info, "A rendezvous node was removed.");
        Ok(Done {})
    }

    pub(super) fn remove_home(&mut self, step: &mut Step<'_>, address: &str) {
        self.settings.rendezvous.retain(|added| added != address);
        self.store_settings(step);
        self.set_homes(step);
    }

    /// Registers at all connected homes, because the own record has changed.
    pub(super) fn register_everywhere(&mut self, step: &mut Step<'_>) {
        let connected: Vec<PeerId> =
            self.homes.iter().filter(|(_, home)| home.stage != Stage::Away).map(|(peer, _)| *peer).collect();
        for peer in connected {
            self.home_connected(step, peer);
        }
    }

    /// A home is connected: registers there.
    pub(super) fn home_connected(&mut self, step: &mut Step<'_>, peer: PeerId) {
        let Some(home) = self.homes.get_mut(&peer) else { return };
        // One that knows us goes on to serve while it is told what is new.
        if home.stage != Stage::Ready {
            home.stage = Stage::Registering;
        }
        home.first = true;
        let (net, home, record) = (self.net.clone(), home.address.clone(), Bytes(self.record.encoded().to_vec()));
        step.work(async move {
            let result = net.rendezvous(home.clone(), Request::Register { record }).await;
            Work::Registered { home, result }
        });
    }

    pub(super) fn home_lost(&mut self, step: &mut Step<'_>, peer: PeerId) {
        let Some(home) = self.homes.get_mut(&peer) else { return };
        *home = Home { again: false, ..Home::new(home.address.clone()) };
        if !self.homes.values().any(|home| home.stage == Stage::Ready) {
            // Nobody tells any more: what was heard may be over.
            self.presence.clear();
        }
        self.tell_network(step);
    }

    pub(super) fn tell_network(&self, step: &mut Step<'_>) {
        let registered = self.homes.values().filter(|home| home.stage == Stage::Ready).count();
        step.tell(Event::NetworkState { connections: self.met.len(), registered });
    }

    /// A home answered the registration.
    pub(super) fn registered(
        &mut self,
        step: &mut Step<'_>,
        address: &Address,
        result: Result<Response, RequestError>,
    ) {
        let Some(peer) = address.peer_id().filter(|peer| self.homes.contains_key(peer)) else { return };
        match result {
            Ok(Response::Registered { kits_left, .. }) => self.set_up_home(step, peer, kits_left as usize),
            // The vault is older than what this account has signed, or went another way from there:
            // continues behind it, with a gap, since what the node has is not what we would follow.
            Ok(Response::Refused(refusal @ (Refusal::Stale { .. } | Refusal::Invalid)))
                if self.homes.get_mut(&peer).is_some_and(Home::may_jump) =>
            {
                let seq = if let Refusal::Stale { seq } = refusal { seq } else { self.record.seq() };
                if seq.saturating_sub(self.record.seq()) > RECORD_JUMP_MAX {
                    return self.home_refused(step, peer, &HomeFault::Refused(refusal));
                }
                while self.record.seq() <= seq {
                    let before = self.record.seq();
                    self.renew_record_quietly(step);
                    if self.record.seq() == before {
                        return;
                    }
                }
                self.alert(step, "record.turned_back", Severity::Warning, None, "A rendezvous node knows a newer record of this account: the vault was turned back, or the account is used elsewhere.");
                step.new_record = true;
            }
            Ok(Response::Refused(refusal)) => {
                if refusal == Refusal::NameTaken {
                    step.tell(Event::NameConflict { address: address.to_string() });
                }
                self.home_refused(step, peer, &HomeFault::Refused(refusal));
            }
            Ok(_) => self.home_refused(step, peer, &HomeFault::Nonsense),
            Err(error) => self.home_refused(step, peer, &HomeFault::Network(error)),
        }
    }

    fn home_refused(&mut self, step: &mut Step<'_>, peer: PeerId, fault: &HomeFault) {
        if let Some(home) = self.homes.get_mut(&peer) {
            home.stage = Stage::Refused(fault.sentence());
            home.fetching = false;
            let at = home.retry_later(fault.wait_ms());
            self.wake_at(at);
        }
        self.tell_network(step);
    }

    /// Asks homes again that refused or did not answer, once their time has come.
    pub(super) fn retry_homes(&mut self, step: &mut Step<'_>) {
        let now = Instant::now();
        let due: Vec<(PeerId, Stage)> = self
            .homes
            .iter_mut()
            .filter(|(_, home)| home.retry_at.is_some_and(|at| at <= now))
            .map(|(peer, home)| {
                home.retry_at = None;
                (*peer, home.stage.clone())
            })
            .collect();
        for (peer, stage) in due {
            let untold = self.homes.get_mut(&peer).is_some_and(|home| std::mem::take(&mut home.untold));
            match stage {
                Stage::Ready if untold => self.home_connected(step, peer),
                Stage::Ready => self.fetch_from(step, peer),
                Stage::Registering | Stage::Refused(_) => self.home_connected(step, peer),
                Stage::Away => {}
            }
        }
    }

    /// Begins again what the work of a step that could not be stored would have done.
    pub(super) fn recover(&mut self, step: &mut Step<'_>) {
        for home in self.homes.values_mut() {
            home.retry_at = Some(Instant::now());
            home.showing = false;
        }
        self.retry_homes(step);
        self.show_homes(step);
        self.follow_topics(step);
        step.deliver.extend(self.outbox.recipients());
    }

    fn set_up_home(&mut self, step: &mut Step<'_>, peer: PeerId, kits_left: usize) {
        let holder = KitHolder(peer.to_ed25519().unwrap_or_default());
        self.prekeys.holder_has_left(holder, kits_left);
        self.prekeys.maintain(&self.identity, step.now, &mut rng());
        // More than we know of: their secrets are lost, and whoever gets one could not be read.
        let unknown = kits_left > self.prekeys.kits_with(holder);
        let kits = (kits_left < KITS_LOW || unknown).then(|| {
            let kits = self.prekeys.kits_for(holder, KITS_BATCH);
            kits.iter().filter_map(|kit| codec::encode(kit, RENDEZVOUS_FRAME_MAX_BYTES).ok().map(Bytes)).collect()
        });
        step.prekeys = true;
        let signed =
            codec::encode(&self.prekeys.signed_public(), RENDEZVOUS_FRAME_MAX_BYTES).map(Bytes).unwrap_or_default();
        let Some(address) = self.homes.get(&peer).map(|home| home.address.clone()) else { return };
        let setup = Setup {
            signed,
            kits,
            mailbox: Arc::clone(&self.mailbox),
            client: self.peer_id.to_bytes(),
            tokens: self.all_token_hashes(),
            shown: self.shown(),
        };
        let net = self.net.clone();
        step.work(async move {
            let result = set_up(&net, &address, setup).await;
            Work::HomeReady { home: address, result }
        });
    }

    /// A home has everything it needs from us, or it refused.
    pub(super) fn home_ready(
        &mut self,
        step: &mut Step<'_>,
        address: &Address,
        result: Result<(Shown, Vec<Presence>), HomeFault>,
    ) {
        let Some(peer) = address.peer_id().filter(|peer| self.homes.contains_key(peer)) else { return };
        match result {
            Ok((shown, presences)) => {
                if let Some(home) = self.homes.get_mut(&peer) {
                    (home.stage, home.failures, home.retry_at) = (Stage::Ready, 0, None);
                    home.shown = Some(shown);
                    if home.untold {
                        // Something new was for all homes while this one was set up.
                        home.retry_at = Some(Instant::now());
                        self.wake_at(Instant::now());
                    }
                }
                self.presences(step, presences);
                self.show_homes(step);
                self.fetch_from(step, peer);
                self.read_logs(step);
                self.list_groups(step);
                step.deliver.extend(self.outbox.recipients());
                for lane in self.lanes.values_mut() {
                    lane.succeeded();
                    lane.deposit_succeeded();
                }
                self.tell_network(step);
            }
            Err(fault) => self.home_refused(step, peer, &fault),
        }
    }

    /// A home tells something unasked.
    pub(super) fn pushed(&mut self, step: &mut Step<'_>, node: PeerId, push: Push) {
        if !self.homes.contains_key(&node) {
            return;
        }
        match push {
            Push::Presence(presences) => self.presences(step, presences),
            Push::Mail { .. } => self.fetch_from(step, node),
            Push::KitsLow { .. } => self.home_connected(step, node),
        }
    }

    fn presences(&mut self, step: &mut Step<'_>, presences: Vec<Presence>) {
        for presence in presences {
            let Some(contact) = self.contacts.get_mut(&presence.account) else { continue };
            if let Some(seen) = presence.last_seen.filter(|seen| contact.last_seen.is_none_or(|known| *seen > known)) {
                contact.last_seen = Some(seen);
                step.contacts.insert(presence.account);
            }
            let before = self.status_of(presence.account);
            self.presence.insert(presence.account, presence);
            if presence.status != PresenceStatus::Offline {
                self.lane(presence.account).succeeded();
            }
            step.deliver.insert(presence.account);
            self.files.look_again();
            self.tell_presence(step, presence.account, before);
        }
    }

    fn watched(&self) -> Vec<AccountId> {
        let chats = self.contacts.values().filter(|contact| contact.standing == Standing::Accepted && !contact.blocked);
        chats.map(|contact| contact.account).take(ACCOUNTS_MAX).collect()
    }

    /// What homes are to know of us.
    fn shown(&self) -> Shown {
        let addresses = if self.settings.share_addresses { self.told_addresses() } else { Vec::new() };
        Shown { status: self.shown_status(), addresses, watch: self.watched() }
    }

    /// Tells every home that is ready what has changed of us since it was told, one change after the other:
    /// whoever chose to be invisible a moment ago is not shown because an older word came later.
    pub(super) fn show_homes(&mut self, step: &mut Step<'_>) {
        let wanted = self.shown();
        let differs = |home: &Home| home.shown.as_ref() != Some(&wanted);
        for home in self.homes.values_mut().filter(|home| home.stage == Stage::Ready && differs(home)) {
            if std::mem::replace(&mut home.showing, true) {
                continue;
            }
            let (net, home, before) = (self.net.clone(), home.address.clone(), home.shown.clone());
            let wanted = wanted.clone();
            step.work(async move {
                let result = show(&net, &home, before, wanted).await;
                Work::HomeShown { home, result }
            });
        }
    }

    /// A home was told what has changed of us, or did not take it.
    pub(super) fn home_shown(
        &mut self,
        step: &mut Step<'_>,
        address: &Address,
        result: Result<(Shown, Vec<Presence>), HomeFault>,
    ) {
        let Some(home) = address.peer_id().and_then(|peer| self.homes.get_mut(&peer)) else { return };
        home.showing = false;
        match result {
            Ok((shown, presences)) => {
                home.shown = Some(shown);
                self.presences(step, presences);
                self.show_homes(step);
            }
            Err(fault) => self.told_in_vain(step, address, &fault),
        }
    }

    /// Asks every home to one thing; nobody waits for the answer. One that is being set up is set up once more.
    pub(super) fn tell_homes(&mut self, step: &mut Step<'_>, request: &Request) {
        let mut ready = Vec::new();
        for home in self.homes.values_mut() {
            match home.stage {
                Stage::Ready => ready.push(home.address.clone()),
                Stage::Registering => home.untold = true,
                Stage::Away | Stage::Refused(_) => {}
            }
        }
        for home in ready {
            let (net, request) = (self.net.clone(), request.clone());
            step.work(async move {
                let result = net.rendezvous(home.clone(), request).await;
                Work::HomeTold { home, result }
            });
        }
    }

    /// A home answered something that nobody waits for.
    pub(super) fn home_told(&mut self, step: &mut Step<'_>, home: &Address, result: Result<Response, RequestError>) {
        match result {
            Ok(Response::Refused(refusal)) => self.told_in_vain(step, home, &HomeFault::Refused(refusal)),
            Ok(_) => {}
            Err(error) => self.told_in_vain(step, home, &HomeFault::Network(error)),
        }
    }

    /// A home did not take something that it should know. What it had no time for, or did not answer, is told
    /// again, with all else.
    fn told_in_vain(&mut self, step: &mut Step<'_>, home: &Address, fault: &HomeFault) {
        let Some(home) = home.peer_id().and_then(|peer| self.homes.get_mut(&peer)) else { return };
        if home.stage == Stage::Away || (fault.wait_ms() == 0 && matches!(fault, HomeFault::Refused(_))) {
            return tracing::debug!(fault = fault.sentence(), "a rendezvous node was not told");
        }
        let at = home.retry_later(fault.wait_ms());
        home.note(fault, at);
        (home.untold, home.acknowledged) = (true, 0);
        self.wake_at(at);
        self.tell_network(step);
    }

    /// Grants a contact tokens for our mailboxes, and tells the homes their hashes.
    pub(super) fn grant(&mut self, step: &mut Step<'_>, to: AccountId) -> Option<TokenGrant> {
        let contact = self.contacts.get_mut(&to)?;
        let granted = contact.granted.get_or_insert_with(|| Granted {
            seed: TokenSeed::generate(&mut rng()).to_wire(),
            issued: 0,
            used: 0,
        });
        let first = granted.issued;
        let count = if contact.standing == Standing::Member { GROUP_TOKENS_BATCH } else { TOKENS_BATCH };
        granted.issued = first.saturating_add(count);
        let (seed, until) = (granted.seed, granted.issued);
        step.contacts.insert(to);
        let hashes = TokenSeed::from_wire(seed).hashes(first..until);
        self.tell_homes(step, &Request::AddTokens { hashes });
        Some(TokenGrant { seed, first, count })
    }

    fn all_token_hashes(&self) -> Vec<Fixed<32>> {
        let granted = self.contacts.values().filter_map(|contact| contact.granted.as_ref());
        granted
            .flat_map(|granted| {
                TokenSeed::from_wire(granted.seed).hashes(granted.issued.saturating_sub(TOKENS_BATCH)..granted.issued)
            })
            .collect()
    }
}
