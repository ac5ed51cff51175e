//! The open account: everything the engine knows, in memory, mirrored in the vault.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::CryptoRng;
use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::id::{AccountId, GroupId, MessageId, Timestamp};
use secure_chat_protocol::identity::IdentityKeyPair;
use secure_chat_protocol::limits::{ADDRESSES_MAX, HOMES_MAX};
use secure_chat_protocol::prekey::PreKeys;
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::sealed::MailboxKeys;
use secure_chat_protocol::session::SessionSet;
use secure_chat_protocol::validate::Username;
use secure_chat_protocol::wire::rendezvous::{Presence, PresenceStatus};
use zeroize::Zeroizing;

use super::audit::AuditTail;
use super::deliver::Lane;
use super::files::Files;
use super::groups::Group;
use super::homes::Home;
use super::proofs::Proofs;
use super::step::Step;
use crate::api::{ApiError, ErrorKind, TrafficPoint};
use crate::config::NodeConfig;
use crate::messaging::clock::ClockWatch;
use crate::messaging::contact::Contact;
use crate::messaging::outbox::{Outbox, Outgoing};
use crate::messaging::request::Request;
use crate::messaging::settings::Settings;
use crate::network::{Address, NetworkHandle, PeerId};
use crate::security::asking::Asking;
use crate::security::old_records::OldRecords;
use crate::security::rate::Rates;
use crate::security::rules::Rules;
use crate::security::spam::{Reason, StrangerWatch};
use crate::store::{StoreError, Table, Vault};

/// An account that was just made or opened: what the vault holds, before the network.
pub(crate) struct Opening {
    pub(crate) vault: Arc<Vault>,
    pub(crate) held: Held,
    pub(crate) created: bool,
    pub(crate) keys_lost: bool,
    /// It comes out of a backup.
    pub(crate) restored: bool,
}

/// What the vault holds.
pub(crate) struct Held {
    pub(crate) username: Username,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) peer_seed: Zeroizing<[u8; 32]>,
    pub(crate) prekeys: PreKeys,
    pub(crate) mailbox: MailboxKeys,
    pub(crate) record: Option<Record>,
    pub(crate) drained: Timestamp,
    pub(crate) settings: Settings,
    pub(crate) contacts: BTreeMap<AccountId, Contact>,
    pub(crate) requests: BTreeMap<MessageId, Request>,
    pub(crate) outbox: Outbox,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) files: super::files::Rows,
    pub(crate) audit: AuditTail,
    pub(crate) quarantine: BTreeMap<MessageId, Vec<Reason>>,
    /// What the clock showed when it was last believed.
    pub(crate) last_write: Option<Timestamp>,
    /// What it showed when it fell into doubt.
    pub(crate) clock_doubt: Option<Timestamp>,
}

/// A peer with an open connection.
#[derive(Debug, Default, Clone)]
pub(crate) struct Met {
    /// Whose, once it said so and proved it.
    pub(crate) account: Option<AccountId>,
    /// Since when it is connected, by the monotonic clock.
    pub(crate) since: Option<Instant>,
    /// It was asked who it is.
    pub(crate) greeted: bool,
    /// A greeting of ours is on its way. They go one after the other: else an older status could come last.
    pub(crate) greeting: bool,
    /// There is more to say once it is answered.
    pub(crate) again: bool,
    /// They greeted us meanwhile: what they say there is as new as their answer, or newer.
    pub(crate) heard: bool,
    /// One-time kits that it was given.
    pub(crate) kits: u32,
}

/// The open account.
pub(crate) struct Open {
    pub(crate) vault: Arc<Vault>,
    pub(crate) config: Arc<NodeConfig>,
    pub(crate) net: NetworkHandle,
    pub(crate) peer_id: PeerId,
    pub(crate) me: AccountId,
    pub(crate) username: Username,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) peer_seed: Zeroizing<[u8; 32]>,
    pub(crate) prekeys: PreKeys,
    pub(crate) mailbox: Arc<MailboxKeys>,
    pub(crate) record: Record,
    pub(crate) drained: Timestamp,
    pub(crate) settings: Settings,
    pub(crate) contacts: BTreeMap<AccountId, Contact>,
    pub(crate) requests: BTreeMap<MessageId, Request>,
    pub(crate) sessions: HashMap<AccountId, SessionSet>,
    pub(crate) outbox: Outbox,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    /// Gossip topics that are listened to, and whose they are.
    pub(crate) topics: HashMap<String, GroupId>,
    /// Shared and offered files.
    pub(crate) files: Files,
    pub(crate) audit: AuditTail,
    /// Requests that were set aside, and why.
    pub(crate) quarantine: BTreeMap<MessageId, Vec<Reason>>,
    pub(crate) strangers: StrangerWatch,
    /// The alert rules.
    pub(crate) rules: Rules,
    /// Nodes that give records which were replaced.
    pub(crate) old_records: OldRecords,
    /// The highest number of a record that each contact announced.
    pub(crate) newest: HashMap<AccountId, u64>,
    /// How much others may still deliver now.
    pub(crate) rates: Rates,
    /// Searches for proofs of work, which end with the account.
    pub(crate) proofs: Proofs,
    /// How much others may still ask now.
    pub(crate) asking: Asking,
    /// Deliveries under way, for each recipient.
    pub(crate) lanes: HashMap<AccountId, Lane>,
    /// Connected peers.
    pub(crate) met: HashMap<PeerId, Met>,
    /// People on the local network, by peer, with the addresses that mDNS told.
    pub(crate) local: HashMap<PeerId, Vec<Address>>,
    /// Records of people that said hello, contacts or not.
    pub(crate) greeted: HashMap<AccountId, Record>,
    /// The configured rendezvous nodes.
    pub(crate) homes: BTreeMap<PeerId, Home>,
    /// What homes tell of contacts.
    pub(crate) presence: HashMap<AccountId, Presence>,
    /// What contacts told themselves, on a connection.
    pub(crate) told: HashMap<AccountId, PresenceStatus>,
    /// Where this peer listens, as last seen.
    pub(crate) listening: Vec<Address>,
    pub(crate) unlocked_at: Timestamp,
    pub(crate) last_activity: Instant,
    pub(crate) clock: ClockWatch,
    /// Up to which contact sessions were swept in this round.
    pub(crate) sessions_swept: Option<AccountId>,
    pub(crate) started: Instant,
    pub(crate) traffic: VecDeque<TrafficPoint>,
    pub(crate) traffic_total: (u64, u64),
    /// When the next tick is due.
    pub(crate) due: Instant,
    pub(crate) next_maintenance: Instant,
    pub(crate) next_connect: Instant,
    /// When neighbours in groups are sought next, and how long after that.
    pub(crate) next_seek: Instant,
    pub(crate) seek_pause: Duration,
    /// Not before this is the pause the shortest again.
    pub(crate) seek_anew: Instant,
    pub(crate) next_traffic: Instant,
    pub(crate) last_typing: HashMap<AccountId, Instant>,
    /// When the work of a step that could not be stored begins again.
    pub(crate) recover_at: Option<Instant>,
    /// When kits were given to peers that asked this device itself.
    pub(crate) kits_given: VecDeque<Instant>,
}

/// The generator of everything random in the engine.
pub(crate) fn rng() -> impl CryptoRng {
    rand::rng()
}

fn damaged(what: &'static str) -> StoreError {
    StoreError::Damaged { what }
}

impl Held {
    /// Reads everything but the sessions.
    pub(crate) fn load(vault: &Vault, now: Timestamp) -> Result<(Self, bool), StoreError> {
        let txn = vault.begin();
        let meta = |key: &[u8]| txn.get(Table::Meta, key);
        let kept = |key: &[u8]| meta(key).map(|bytes| bytes.map(Zeroizing::new));
        let identity = kept(b"identity")?.ok_or(damaged("the account's identity"))?;
        let identity = IdentityKeyPair::from_secret_bytes(&identity).map_err(|_| damaged("the account's identity"))?;
        let name = meta(b"username")?.and_then(|name| String::from_utf8(name).ok());
        let username = name.and_then(|name| Username::parse(&name).ok()).ok_or(damaged("the account's name"))?;
        let seed = kept(b"peer")?
            .and_then(|seed| <[u8; 32]>::try_from(seed.as_slice()).ok())
            .ok_or(damaged("the network key"))?;
        let mailbox = kept(b"mailbox")?.ok_or(damaged("the mailbox keys"))?;
        let mailbox = MailboxKeys::from_secret_bytes(&mailbox).map_err(|_| damaged("the mailbox keys"))?;
        let record = meta(b"record")?.and_then(|record| Record::decode(&record).ok());
        let number =
            |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()).map(u64::from_le_bytes);
        let drained = Timestamp(number(meta(b"drained")?).unwrap_or_default());
        let last_write = number(meta(b"last-write")?).map(Timestamp);
        let clock_doubt = number(meta(b"clock-doubt")?).map(Timestamp);
        let stored = txn
            .get(Table::Prekeys, b"own")?
            .map(Zeroizing::new)
            .and_then(|bytes| PreKeys::from_secret_bytes(&bytes).ok());
        let lost = stored.is_none();
        let prekeys = stored.unwrap_or_else(|| PreKeys::generate(&identity, now, &mut rng()));
        let settings = txn.get(Table::Notes, b"settings")?;
        let settings = settings.map(|json| Settings::restore(&json)).unwrap_or_default();
        let rows = vault.scan(Table::Contacts)?;
        let contacts = rows.iter().map(|row| Contact::decode(row).map_err(|_| damaged("a contact")));
        let contacts = contacts
            .map(|contact| contact.map(|contact| (contact.account, contact)))
            .collect::<Result<BTreeMap<_, _>, _>>()?;
        let requests = vault.scan(Table::Requests)?;
        let requests =
            requests.iter().filter_map(|row| decode_request(row)).map(|request| (request.id, request)).collect();
        let mut rows = Vec::new();
        let mut from = 0;
        loop {
            let page = vault.scan_from(Table::Outbox, from, 1_000)?;
            let Some((last, _)) = page.last() else { break };
            from = last.saturating_add(1);
            for (row, bytes) in page {
                rows.push((row, Outgoing::decode(&bytes).map_err(|_| damaged("the outbox"))?));
            }
        }
        let deposited = |contact: &Contact| contact.deposited_upto.saturating_add(1);
        let behind = contacts.values().map(deposited).max().unwrap_or(1);
        let outbox = Outbox::load(rows, number(meta(b"outbox-next")?).unwrap_or(1).max(behind));
        let groups = super::groups::load(vault)?;
        let audit = AuditTail::load(vault)?;
        let files = super::files::load(vault)?;
        let held = Self {
            username,
            identity,
            peer_seed: Zeroizing::new(seed),
            prekeys,
            mailbox,
            record,
            drained,
            settings,
            contacts,
            requests,
            outbox,
            groups,
            files,
            audit,
            quarantine: Open::load_quarantine(vault)?,
            last_write,
            clock_doubt,
        };
        Ok((held, lost))
    }
}

pub(crate) fn encode_request(request: &Request) -> Vec<u8> {
    secure_chat_protocol::wire::codec::encode(request, crate::messaging::limits::ROW_MAX_BYTES).unwrap_or_default()
}

fn decode_request(row: &[u8]) -> Option<Request> {
    secure_chat_protocol::wire::codec::decode_own(row, crate::messaging::limits::ROW_MAX_BYTES).ok()
}

impl Open {
    /// The account, with a network that has started.
    pub(crate) fn new(
        opening: Opening,
        config: Arc<NodeConfig>,
        net: NetworkHandle,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let Opening { vault, held, .. } = opening;
        let started = Instant::now();
        let me = held.identity.account_id();
        let mailbox = Arc::new(held.mailbox);
        let record = match held.record {
            Some(record) => record,
            None => first_record(&held.identity, &held.username, &held.peer_seed, &mailbox, now)?,
        };
        let due = started + Duration::from_millis(10);
        let copies = crate::files::copies::folder(&config.data_dir, me);
        Ok(Self {
            vault,
            config,
            peer_id: net.peer_id(),
            net,
            me,
            username: held.username,
            identity: held.identity,
            peer_seed: held.peer_seed,
            prekeys: held.prekeys,
            mailbox,
            record,
            drained: held.drained,
            settings: held.settings,
            contacts: held.contacts,
            requests: held.requests,
            sessions: HashMap::new(),
            outbox: held.outbox,
            groups: held.groups,
            topics: HashMap::new(),
            files: Files::new(held.files, copies),
            audit: held.audit,
            quarantine: held.quarantine,
            strangers: StrangerWatch::default(),
            rules: Rules::default(),
            old_records: OldRecords::default(),
            newest: HashMap::new(),
            rates: Rates::new(now),
            proofs: Proofs::new(),
            asking: Asking::new(now),
            lanes: HashMap::new(),
            met: HashMap::new(),
            local: HashMap::new(),
            greeted: HashMap::new(),
            homes: BTreeMap::new(),
            presence: HashMap::new(),
            told: HashMap::new(),
            listening: Vec::new(),
            unlocked_at: now,
            last_activity: started,
            clock: ClockWatch::new(now, 0, held.last_write, held.clock_doubt),
            sessions_swept: None,
            started,
            traffic: VecDeque::new(),
            traffic_total: (0, 0),
            due,
            next_maintenance: due,
            next_connect: due,
            next_seek: due,
            seek_pause: Duration::from_millis(crate::messaging::limits::SEEK_FIRST_MS),
            seek_anew: due,
            next_traffic: due,
            last_typing: HashMap::new(),
            recover_at: None,
            kits_given: VecDeque::new(),
        })
    }

    /// Reads what the vault holds again, after a step that could not be stored.
    pub(crate) fn reload(&mut self) -> Result<(), StoreError> {
        let (held, _) = Held::load(&self.vault, self.config.clock.now())?;
        self.prekeys = held.prekeys;
        self.mailbox = Arc::new(held.mailbox);
        if let Some(record) = held.record {
            self.record = record;
        }
        self.settings = held.settings;
        self.contacts = held.contacts;
        self.requests = held.requests;
        self.outbox = held.outbox;
        self.groups = held.groups;
        self.files.reload(held.files);
        self.audit = held.audit;
        self.quarantine = held.quarantine;
        self.drained = held.drained;
        self.sessions.clear();
        for lane in self.lanes.values_mut() {
            lane.reset();
        }
        for home in self.homes.values_mut() {
            home.fetch_again();
        }
        Ok(())
    }

    /// A step could not be stored, and the work that it began was dropped: begins it again, a little later.
    pub(crate) fn recover_soon(&mut self) {
        let at = Instant::now() + Duration::from_millis(crate::messaging::limits::RETRY_FIRST_MS);
        self.recover_at = Some(at);
        self.wake_at(at);
    }

    /// The sessions with somebody, read when they are first needed.
    pub(crate) fn sessions_with(&mut self, step: &Step<'_>, account: AccountId) -> Result<&mut SessionSet, StoreError> {
        if !self.sessions.contains_key(&account) {
            let stored = step.txn.get(Table::Sessions, account.as_ref())?.map(Zeroizing::new);
            let sessions = stored.and_then(|bytes| SessionSet::from_secret_bytes(&bytes).ok());
            self.sessions.insert(account, sessions.unwrap_or_else(|| SessionSet::new(self.me, account)));
        }
        self.sessions.get_mut(&account).ok_or(damaged("a session"))
    }

    /// The configured rendezvous nodes, those of the configuration first.
    pub(crate) fn home_addresses(&self) -> Vec<String> {
        let mut all = self.config.rendezvous.clone();
        all.extend(self.settings.rendezvous.iter().cloned());
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|address| seen.insert(address.clone()));
        all.truncate(HOMES_MAX);
        all
    }

    /// Makes the record anew when what it says has changed.
    pub(crate) fn renew_record(&mut self, step: &mut Step<'_>) {
        let key = SigningKey::from_seed(&secret(&self.peer_seed));
        let fields = RecordFields {
            name: self.username.clone(),
            peers: vec![peer_binding(&key, self.me)],
            addresses: Vec::new(),
            homes: self.home_addresses(),
            mailbox: Some(self.mailbox.descriptor(&self.identity)),
        };
        match Record::create(&self.identity, fields, Some(&self.record), step.now) {
            Ok(record) => {
                step.txn.put(Table::Meta, b"record", record.encoded());
                self.record = record;
                self.register_everywhere(step);
                self.tell_profile(step);
            }
            Err(error) => tracing::error!(%error, "the own record can't be made"),
        }
    }

    /// Where this peer listens, for others: no wildcard, loopback only if there is nothing else.
    pub(crate) fn told_addresses(&self) -> Vec<String> {
        let mut all: Vec<String> = self.listening.iter().map(ToString::to_string).collect();
        all.sort_by_key(|address| address.contains("/127.0.0.1/") || address.contains("/::1/"));
        all.truncate(ADDRESSES_MAX);
        all
    }

    /// Somebody acted: the account stays open for longer.
    pub(crate) fn active(&mut self) {
        self.last_activity = Instant::now();
    }

    pub(crate) fn lock_at(&self) -> Option<Duration> {
        let minutes = self.settings.auto_lock_minutes;
        (minutes > 0).then(|| self.config.auto_lock_minute.saturating_mul(minutes))
    }

    pub(crate) fn lock_is_due(&self) -> bool {
        self.lock_at().is_some_and(|idle| self.last_activity.elapsed() >= idle)
    }

    pub(crate) fn next_tick(&self) -> Instant {
        let lock = self.lock_at().map(|idle| self.last_activity + idle);
        lock.map_or(self.due, |lock| lock.min(self.due))
    }

    /// Asks for a tick at this time at the latest.
    pub(crate) fn wake_at(&mut self, at: Instant) {
        self.due = self.due.min(at);
    }
}

pub(crate) fn secret(seed: &[u8; 32]) -> Secret<32> {
    Secret::filled(|bytes| bytes.copy_from_slice(seed))
}

fn first_record(
    identity: &IdentityKeyPair,
    username: &Username,
    seed: &[u8; 32],
    mailbox: &MailboxKeys,
    now: Timestamp,
) -> Result<Record, ApiError> {
    let fields = RecordFields {
        name: username.clone(),
        peers: vec![peer_binding(&SigningKey::from_seed(&secret(seed)), identity.account_id())],
        addresses: Vec::new(),
        homes: Vec::new(),
        mailbox: Some(mailbox.descriptor(identity)),
    };
    Record::create(identity, fields, None, now).map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))
}
