//! Deposits into the mailboxes of recipients who are away, and the bundles that
//! sessions with them start from.

use futures::future::join_all;
use secure_chat_protocol::id::{AccountId, EnvelopeId, MailboxId};
use secure_chat_protocol::limits::{DELIVERY_MAX_MESSAGES, WORK_MIN_BITS};
use secure_chat_protocol::prekey::BundleIn;
use secure_chat_protocol::record::{Record, Succession};
use secure_chat_protocol::sealed::{ENVELOPE_INNER_MAX_BYTES, EnvelopeIn, MailboxDescriptor, TokenSeed, seal};
use secure_chat_protocol::wire::codec::{self, Bytes, Fixed};
use secure_chat_protocol::wire::peer::{PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous::{Found, Payment, Refusal, Request, Response, Who};
use secure_chat_protocol::work::{self, Solver};

use super::audit::Severity;
use super::now;
use super::peers::plausible_addresses;
use super::state::{Open, rng};
use super::step::Step;
use super::work::{Parcel, Work};
use crate::api::{Event, MessageState};
use crate::messaging::limits::{DEPOSIT_AGAIN_MS, DEPOSITING_MAX_MESSAGES, DEPOSITS_IN_FLIGHT_MAX};
use crate::network::{Address, NetworkHandle, parse_rendezvous};

/// Room that the envelope's own fields and each message's length take, in bytes.
const ENVELOPE_FIELDS_BYTES: usize = 64;
const MESSAGE_LENGTH_BYTES: usize = 5;
/// Tries of a proof of work between two looks at whether it is still wanted.
const WORK_PORTION: u64 = 1 << 20;

impl Open {
    /// Packs what waits for a recipient who is away into envelopes, and deposits them.
    pub(super) fn deposit(&mut self, step: &mut Step<'_>, account: AccountId) {
        let Some(contact) = self.contacts.get(&account) else { return };
        let descriptor = contact.record().and_then(|record| record.mailbox().cloned());
        let homes: Vec<Address> = contact.homes.iter().filter_map(|home| parse_rendezvous(home).ok()).collect();
        let (Some(descriptor), false) = (descriptor, homes.is_empty()) else { return };
        let lost = contact.deposited_upto > 0 && step.now.since_ms(contact.deposited_at) > DEPOSIT_AGAIN_MS;
        let first = if lost { 0 } else { contact.deposited_upto.saturating_add(1) };
        let lane = self.lane(account);
        if lane.depositing {
            return;
        }
        if let Some(at) = lane.deposit_not_before.filter(|_| lane.deposit_must_wait()) {
            return self.wake_at(at);
        }
        if let Some(contact) = self.contacts.get_mut(&account).filter(|_| lost) {
            contact.deposited_upto = 0;
            step.contacts.insert(account);
        }
        let parcels = self.pack(account, first);
        if parcels.is_empty() {
            return;
        }
        let parcels = self.pay(step, account, parcels);
        self.lane(account).depositing = true;
        let (net, epoch) = (self.net.clone(), self.lane(account).epoch);
        step.work(async move { deposit_all(net, (account, epoch), homes, descriptor, parcels).await });
    }

    fn pack(&self, account: AccountId, first: u64) -> Vec<Parcel> {
        let (mut parcels, mut total) = (Vec::new(), 0_usize);
        let (mut messages, mut bytes, mut last) = (Vec::<Bytes>::new(), ENVELOPE_FIELDS_BYTES, 0);
        let mut close = |messages: &mut Vec<Bytes>, last: u64| {
            if let Ok(inner) = (EnvelopeIn { from: self.me, messages: std::mem::take(messages) }).encode() {
                parcels.push(Parcel { id: EnvelopeId::random(&mut rng()), inner, last_row: last, token: None });
            }
            parcels.len() >= DEPOSITS_IN_FLIGHT_MAX
        };
        for row in self.outbox.rows_for(&account).filter(|row| *row >= first) {
            let Some(out) = self.outbox.get(row).filter(|out| !out.ciphertext.0.is_empty()) else { break };
            let more = out.ciphertext.0.len().saturating_add(MESSAGE_LENGTH_BYTES);
            if total >= DEPOSITING_MAX_MESSAGES {
                break;
            }
            total = total.saturating_add(1);
            let full = messages.len() >= DELIVERY_MAX_MESSAGES || bytes.saturating_add(more) > ENVELOPE_INNER_MAX_BYTES;
            if full && !messages.is_empty() {
                if close(&mut messages, last) {
                    return parcels;
                }
                bytes = ENVELOPE_FIELDS_BYTES;
            }
            bytes = bytes.saturating_add(more);
            messages.push(out.ciphertext.clone());
            last = row;
        }
        if !messages.is_empty() {
            close(&mut messages, last);
        }
        parcels
    }

    /// Spends the contact's tokens on the parcels, as far as there are any.
    fn pay(&mut self, step: &mut Step<'_>, account: AccountId, mut parcels: Vec<Parcel>) -> Vec<Parcel> {
        let Some(grant) = self.contacts.get_mut(&account).and_then(|contact| contact.tokens.as_mut()) else {
            return parcels;
        };
        let seed = TokenSeed::from_wire(grant.seed);
        for parcel in &mut parcels {
            if grant.count == 0 {
                break;
            }
            parcel.token = Some(seed.token(grant.first));
            grant.first = grant.first.saturating_add(1);
            grant.count = grant.count.saturating_sub(1);
        }
        step.contacts.insert(account);
        parcels
    }

    /// Deposits were made, or not.
    pub(super) fn deposited(
        &mut self,
        step: &mut Step<'_>,
        to: AccountId,
        epoch: u32,
        (upto, wait_ms): (Option<u64>, Option<u64>),
    ) {
        self.lane(to).depositing = false;
        step.deliver.insert(to);
        if self.lane(to).epoch != epoch {
            // What lies there now can't be opened any more: it goes again, encrypted anew.
            return;
        }
        match wait_ms {
            Some(wait_ms) => {
                let at = self.lane(to).deposit_failed(wait_ms);
                self.wake_at(at);
            }
            None => self.lane(to).deposit_succeeded(),
        }
        let Some(upto) = upto else { return };
        if let Some(contact) = self.contacts.get_mut(&to) {
            let before = contact.deposited_upto;
            // The time is that of the oldest deposit that nobody has acknowledged.
            if before == 0 || self.outbox.rows_for(&to).next().is_none_or(|row| row > before) {
                contact.deposited_at = step.now;
            }
            contact.deposited_upto = before.max(upto);
            step.contacts.insert(to);
        }
        let rows: Vec<u64> = self.outbox.rows_for(&to).take_while(|row| *row <= upto).collect();
        for row in rows {
            let Some(out) = self.outbox.get(row) else { continue };
            let (seq, shown, message) = (out.seq, out.shown, out.message);
            self.file_announced(step, message);
            if seq == 0 {
                self.acknowledged(step, row, false);
            } else if shown && let Err(error) = self.advance_state(step, to, message, MessageState::Sent, None) {
                tracing::error!(%error, "a message's state can't be stored");
            }
        }
    }

    /// Fetches a bundle of a contact, to start a session with.
    pub(super) fn fetch_bundle(&mut self, step: &mut Step<'_>, account: AccountId) {
        let Some(contact) = self.contacts.get(&account) else { return };
        let homes: Vec<Address> = contact.homes.iter().filter_map(|home| parse_rendezvous(home).ok()).collect();
        let own: Vec<Address> = self.homes.values().map(|home| home.address.clone()).collect();
        let mut nodes = own;
        nodes.extend(homes);
        let mut seen = std::collections::BTreeSet::new();
        nodes.retain(|node| seen.insert(node.to_string()));
        let peers: Vec<_> =
            self.peers_of(account).into_iter().map(|peer| (peer, self.addresses_of(account, peer))).collect();
        let connected = self.is_connected(account);
        if self.lane(account).fetching_bundle || self.lane(account).must_wait() {
            if let Some(at) = self.lane(account).not_before {
                self.wake_at(at);
            }
            return;
        }
        self.lane(account).fetching_bundle = true;
        let (net, hello) = (self.net.clone(), self.hello(Some(account)));
        let online = connected
            || self
                .presence
                .get(&account)
                .is_none_or(|p| p.status != secure_chat_protocol::wire::rendezvous::PresenceStatus::Offline);
        step.work(async move {
            let (mut bundle, mut found) = (None, Vec::new());
            if online {
                for (peer, addresses) in peers {
                    if net.request(peer, addresses, PeerRequest::Hello(hello.clone())).await.is_ok()
                        && let Ok(PeerResponse::Bundle { bundle: bytes }) =
                            net.request(peer, Vec::new(), PeerRequest::Bundle).await
                    {
                        bundle = Some(bytes.0);
                        break;
                    }
                }
            }
            for node in nodes {
                if let Ok(Response::Found { people, .. }) =
                    net.rendezvous(node.clone(), Request::Lookup(Who::Accounts(vec![account]))).await
                {
                    found.extend(people);
                }
                if bundle.is_none()
                    && let Ok(Response::Bundle { bundle: bytes }) =
                        net.rendezvous(node, Request::TakeBundle { account }).await
                {
                    bundle = Some(bytes.0);
                }
            }
            Work::Bundle { of: account, bundle, found }
        });
    }

    /// A bundle came, or did not.
    pub(super) fn bundled(
        &mut self,
        step: &mut Step<'_>,
        account: AccountId,
        bundle: Option<Vec<u8>>,
        found: &[Found],
    ) {
        self.lane(account).fetching_bundle = false;
        let replace = self.lane(account).replace_session;
        for person in found {
            self.learn(step, person);
        }
        let verified = bundle
            .and_then(|bytes| codec::decode::<BundleIn>(&bytes, codec_limit()).ok())
            .map(|bundle| bundle.verify(step.now, Some(account)));
        let started = match verified {
            Some(Ok(bundle)) => match self.sessions_with(step, account) {
                Ok(sessions) => {
                    if replace {
                        sessions.reset();
                    }
                    let started = self
                        .sessions
                        .get_mut(&account)
                        .map(|sessions| sessions.initiate(&self.identity, &bundle, step.now, &mut rng()));
                    started.map_or(Err("no session".to_owned()), |started| started.map_err(|error| error.to_string()))
                }
                Err(error) => Err(error.to_string()),
            },
            Some(Err(error)) => {
                self.alert(
                    step,
                    "bundle.invalid",
                    Severity::Warning,
                    Some(account.to_string()),
                    &format!("A prekey bundle was refused: {error}."),
                );
                Err(error.to_string())
            }
            None => Err("no bundle".into()),
        };
        step.deliver.insert(account);
        match started {
            Ok(()) => {
                step.sessions.insert(account);
                self.lane(account).succeeded();
                if replace {
                    self.session_replaced(step, account);
                }
                self.audit(step, "session.started", Severity::Info, "An encrypted session was started.");
                step.tell(Event::SessionEstablished {
                    username: self.conversation_name(account),
                    account_id: account.to_string(),
                });
            }
            Err(_) => {
                let lane = self.lane(account);
                lane.failed(0);
                if let Some(at) = lane.not_before {
                    self.wake_at(at);
                }
            }
        }
    }

    /// Takes over what a node says of somebody, if it is signed and newer.
    pub(super) fn learn(&mut self, step: &mut Step<'_>, person: &Found) {
        let Ok(record) = Record::decode(&person.record.0) else {
            return self.alert(
                step,
                "rendezvous.invalid_record",
                Severity::Warning,
                None,
                "A rendezvous node gave a record with a wrong signature.",
            );
        };
        let account = record.account_id();
        let Some(contact) = self.contacts.get_mut(&account) else { return };
        if contact.record().is_some_and(|known| record.compared_with(&known) == Succession::Forked) {
            let text = "A contact's identity has signed two different records under one number: the account is used \
                        in two places that don't know of each other, or by somebody else as well.";
            return self.alert(step, "record.forked", Severity::Critical, Some(account.to_string()), text);
        }
        let newer = contact.learn(&record);
        let told = plausible_addresses(&person.addresses);
        let reachable = !told.is_empty() && contact.addresses.is_empty();
        if reachable {
            contact.addresses = told;
        }
        step.contacts.insert(account);
        if newer || reachable {
            step.deliver.insert(account);
        }
    }
}

fn codec_limit() -> usize {
    secure_chat_protocol::limits::RENDEZVOUS_FRAME_MAX_BYTES
}

/// Seals and deposits parcels, each at all homes. In order: the rows up to the
/// first parcel that no home took are done.
async fn deposit_all(
    net: NetworkHandle,
    (to, epoch): (AccountId, u32),
    homes: Vec<Address>,
    descriptor: MailboxDescriptor,
    parcels: Vec<Parcel>,
) -> Work {
    let results = join_all(parcels.into_iter().map(|parcel| deposit_one(&net, &homes, &descriptor, parcel))).await;
    let (mut upto, mut wait_ms) = (None, None);
    for result in results {
        match result {
            Ok(row) if wait_ms.is_none() => upto = Some(row),
            Ok(_) => {}
            Err(wait) => wait_ms = Some(wait_ms.unwrap_or(0).max(wait)),
        }
    }
    Work::Deposited { to, epoch, upto, wait_ms }
}

async fn deposit_one(
    net: &NetworkHandle,
    homes: &[Address],
    descriptor: &MailboxDescriptor,
    parcel: Parcel,
) -> Result<u64, u64> {
    let (to, inner) = (descriptor.clone(), parcel.inner);
    let sealed = tokio::task::spawn_blocking(move || seal(&to, &inner, &mut rng()))
        .await
        .map_err(|_| 0_u64)?
        .map_err(|_| 0_u64)?;
    let mailbox = descriptor.mailbox_id();
    let at_homes = homes.iter().map(|home| deposit_at(net, home, mailbox, parcel.id, &sealed, parcel.token));
    let results = join_all(at_homes).await;
    if results.iter().any(Result::is_ok) {
        return Ok(parcel.last_row);
    }
    Err(results.into_iter().filter_map(Result::err).max().unwrap_or(0))
}

/// Deposits one envelope at one home; on failure, how long to wait in milliseconds.
async fn deposit_at(
    net: &NetworkHandle,
    home: &Address,
    mailbox: MailboxId,
    id: EnvelopeId,
    sealed: &[u8],
    token: Option<Fixed<32>>,
) -> Result<(), u64> {
    let mut payment = match token {
        Some(token) => Payment::Token(token),
        None => stamp(home, mailbox, id, sealed, WORK_MIN_BITS).await.ok_or(0_u64)?,
    };
    // A token may be unknown there yet, and the price of strangers may have risen.
    for _ in 0..3 {
        let request = Request::Deposit { mailbox, payment: payment.clone(), id, sealed: Bytes(sealed.to_vec()) };
        match net.deposit(home.clone(), request).await {
            Ok(Response::Done) => return Ok(()),
            Ok(Response::Refused(Refusal::WorkNeeded { bits })) => {
                payment = stamp(home, mailbox, id, sealed, bits).await.ok_or(0_u64)?;
            }
            Ok(Response::Refused(Refusal::SlowDown { retry_after_ms })) => return Err(retry_after_ms),
            _ => return Err(0),
        }
    }
    Err(0)
}

async fn stamp(home: &Address, mailbox: MailboxId, id: EnvelopeId, sealed: &[u8], bits: u8) -> Option<Payment> {
    let node = home.peer_id()?.to_bytes();
    let sealed = sealed.to_vec();
    let solve = move || {
        let deposit = work::Deposit { node_peer: &node, mailbox: &mailbox, id: &id, sealed: &sealed };
        let mut solver = Solver::new(&deposit, now(), bits).ok()?;
        loop {
            if let Some(stamp) = solver.advance(WORK_PORTION) {
                return Some(Payment::Work { hour: stamp.hour, nonce: stamp.nonce });
            }
        }
    };
    tokio::task::spawn_blocking(solve).await.ok().flatten()
}
