//! Deposits into the mailboxes of recipients who are away.

use futures::future::join_all;
use secure_chat_protocol::id::{AccountId, EnvelopeId, Timestamp};
use secure_chat_protocol::limits::{DELIVERY_MAX_MESSAGES, WORK_MIN_BITS};
use secure_chat_protocol::sealed::{ENVELOPE_INNER_MAX_BYTES, EnvelopeIn, MailboxDescriptor, TokenSeed, seal};
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{Payment, Refusal, Request, Response};
use secure_chat_protocol::work::{self, Solver, Stamp};

use super::proofs::{Proof, Prover};
use super::state::{Open, rng};
use super::step::Step;
use super::work::{HomeFault, Parcel, Token, Work};
use crate::api::MessageState;
use crate::messaging::limits::{DEPOSIT_AGAIN_MS, DEPOSITING_MAX_MESSAGES, DEPOSITS_IN_FLIGHT_MAX};
use crate::network::{Address, NetworkHandle, RequestError, parse_rendezvous};

/// Room that the envelope's own fields and each message's length take, in bytes.
const ENVELOPE_FIELDS_BYTES: usize = 64;
const MESSAGE_LENGTH_BYTES: usize = 5;

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
        let (net, prover) = (self.net.clone(), self.proofs.prover());
        let errand = Errand { net, prover, now: step.now, homes, descriptor };
        let epoch = self.lane(account).epoch;
        step.work(async move { errand.deposit_all((account, epoch), parcels).await });
    }

    /// Messages that neither a recipient nor a mailbox has taken yet.
    pub(super) fn queued(&self) -> usize {
        let waiting = |to: AccountId| {
            let at_homes = self.contacts.get(&to).map_or(0, |contact| contact.deposited_upto);
            self.outbox.rows_for(&to).filter(|row| *row > at_homes).count()
        };
        self.outbox.recipients().map(waiting).sum()
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
        for parcel in &mut parcels {
            if grant.count == 0 {
                break;
            }
            parcel.token = Some(Token { seed: grant.seed, index: grant.first });
            grant.first = grant.first.saturating_add(1);
            grant.count = grant.count.saturating_sub(1);
        }
        step.contacts.insert(account);
        parcels
    }

    /// Takes tokens back that no home has spent, the last ones first: those that were
    /// given out after them have to be back before they are.
    fn take_back(&mut self, step: &mut Step<'_>, account: AccountId, unspent: &[Token]) {
        let Some(grant) = self.contacts.get_mut(&account).and_then(|contact| contact.tokens.as_mut()) else { return };
        for token in unspent.iter().rev() {
            if token.seed == grant.seed && token.index.checked_add(1) == Some(grant.first) {
                grant.first = token.index;
                grant.count = grant.count.saturating_add(1);
                step.contacts.insert(account);
            }
        }
    }

    /// Deposits were made, or not.
    pub(super) fn deposited(&mut self, step: &mut Step<'_>, to: AccountId, epoch: u32, deposits: &Deposits) {
        let Deposits { upto, wait_ms, ref refused, ref unspent } = *deposits;
        self.lane(to).depositing = false;
        self.take_back(step, to, unspent);
        step.deliver.insert(to);
        if self.lane(to).epoch != epoch {
            // What lies there now can't be opened any more: it goes again, encrypted anew.
            return;
        }
        match wait_ms {
            Some(wait_ms) => {
                let words = refused.as_ref().map(|refusal| HomeFault::Refused(*refusal).sentence());
                let is_news = words.is_some();
                let at = self.lane(to).deposit_failed(wait_ms, words);
                self.wake_at(at);
                if is_news {
                    self.tell_network(step);
                }
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
}

/// What became of parcels that went together.
#[derive(Default)]
pub(crate) struct Deposits {
    /// Rows up to this one are at one home at least.
    upto: Option<u64>,
    /// After a failure: how long to wait at least, in milliseconds.
    wait_ms: Option<u64>,
    /// What a home said to it.
    refused: Option<Refusal>,
    /// Tokens of parcels that no home took, in their order.
    unspent: Vec<Token>,
}

/// No home took a parcel.
struct NotTaken {
    wait_ms: u64,
    /// What a home said to it.
    refused: Option<Refusal>,
    /// Its token, if no home can have spent it.
    unspent: Option<Token>,
}

/// A home did not take an envelope.
struct DepositFault {
    wait_ms: u64,
    /// What it said.
    refused: Option<Refusal>,
    /// It did not say so: it may have taken it, and the token.
    maybe_taken: bool,
}

/// What it takes to leave parcels in the mailboxes of one recipient.
struct Errand {
    net: NetworkHandle,
    prover: Prover,
    now: Timestamp,
    homes: Vec<Address>,
    descriptor: MailboxDescriptor,
}

impl Errand {
    /// Seals and deposits parcels, each at all homes. In order: the rows up to the
    /// first parcel that no home took are done.
    async fn deposit_all(&self, (to, epoch): (AccountId, u32), parcels: Vec<Parcel>) -> Work {
        let results = join_all(parcels.into_iter().map(|parcel| self.deposit_one(parcel))).await;
        let mut all = Deposits::default();
        for result in results {
            match result {
                Ok(row) if all.wait_ms.is_none() => all.upto = Some(row),
                Ok(_) => {}
                Err(NotTaken { wait_ms, refused, unspent }) => {
                    all.wait_ms = Some(all.wait_ms.unwrap_or(0).max(wait_ms));
                    all.refused = all.refused.or(refused);
                    all.unspent.extend(unspent);
                }
            }
        }
        Work::Deposited { to, epoch, deposits: all }
    }

    async fn deposit_one(&self, parcel: Parcel) -> Result<u64, NotTaken> {
        let (to, inner, token) = (self.descriptor.clone(), parcel.inner, parcel.token);
        let sealed = crate::stack::spawn_blocking(move || seal(&to, &inner, &mut rng())).await;
        let Ok(Ok(sealed)) = sealed else { return Err(NotTaken { wait_ms: 0, refused: None, unspent: token }) };
        let secret = token.map(|token| TokenSeed::from_wire(token.seed).token(token.index));
        let at_homes = self.homes.iter().map(|home| self.deposit_at(home, parcel.id, &sealed, secret));
        let results = join_all(at_homes).await;
        if results.iter().any(Result::is_ok) {
            return Ok(parcel.last_row);
        }
        let faults = results.iter().filter_map(|result| result.as_ref().err());
        let wait_ms = faults.clone().map(|fault| fault.wait_ms).max().unwrap_or(0);
        let unspent = token.filter(|_| !faults.clone().any(|fault| fault.maybe_taken));
        let refused = faults.clone().find_map(|fault| fault.refused);
        Err(NotTaken { wait_ms, refused, unspent })
    }

    /// Deposits one envelope at one home.
    async fn deposit_at(
        &self,
        home: &Address,
        id: EnvelopeId,
        sealed: &[u8],
        token: Option<Fixed<32>>,
    ) -> Result<(), DepositFault> {
        let mailbox = self.descriptor.mailbox_id();
        let not_taken = || DepositFault { wait_ms: 0, refused: None, maybe_taken: false };
        let mut payment = match token {
            Some(token) => Payment::Token(token),
            None => {
                let stamp = self.prover.prove(self.solver(home, id, sealed, WORK_MIN_BITS)).await;
                paid_with(stamp.ok_or_else(not_taken)?)
            }
        };
        let mut proof = None::<Proof>;
        // A token may be unknown there yet, or the price of strangers may have risen: once.
        for _ in 0..2 {
            let request = Request::Deposit { mailbox, payment: payment.clone(), id, sealed: Bytes(sealed.to_vec()) };
            match self.net.deposit(home.clone(), request).await {
                Ok(Response::Done) => {
                    if let (Some(_), Some(node)) = (proof, home.peer_id()) {
                        self.prover.accepted(node);
                    }
                    return Ok(());
                }
                Ok(Response::Refused(Refusal::WorkNeeded { bits })) if proof.is_none() => {
                    let node = home.peer_id().ok_or_else(not_taken)?;
                    let found = self.prover.prove_asked(node, self.solver(home, id, sealed, bits)).await;
                    payment = paid_with(proof.insert(found.ok_or_else(not_taken)?).stamp);
                }
                Ok(Response::Refused(refusal)) => {
                    let wait_ms = match refusal {
                        Refusal::SlowDown { retry_after_ms } => retry_after_ms,
                        _ => 0,
                    };
                    return Err(DepositFault { wait_ms, refused: Some(refusal), maybe_taken: false });
                }
                Err(RequestError::NoAddress | RequestError::DialFailed(_)) => return Err(not_taken()),
                _ => return Err(DepositFault { maybe_taken: true, ..not_taken() }),
            }
        }
        Err(not_taken())
    }

    fn solver(
        &self,
        home: &Address,
        id: EnvelopeId,
        sealed: &[u8],
        bits: u8,
    ) -> impl FnOnce() -> Option<Solver> + Send + use<> {
        let (node, mailbox, now) = (home.peer_id().map(|node| node.to_bytes()), self.descriptor.mailbox_id(), self.now);
        let sealed = sealed.to_vec();
        move || {
            let deposit = work::Deposit { node_peer: &node?, mailbox: &mailbox, id: &id, sealed: &sealed };
            Solver::new(&deposit, now, bits).ok()
        }
    }
}

const fn paid_with(stamp: Stamp) -> Payment {
    Payment::Work { hour: stamp.hour, nonce: stamp.nonce }
}
