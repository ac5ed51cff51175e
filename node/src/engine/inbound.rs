//! What comes in: requests of peers, and envelopes out of the own mailboxes.

use std::time::{Duration, Instant};

use secure_chat_protocol::crypto::kdf;
use secure_chat_protocol::id::{AccountId, MessageId, Timestamp};
use secure_chat_protocol::limits::{DAY_MS, HOUR_MS, PEER_FRAME_MAX_BYTES, REQUESTS_WAITING_MAX};
use secure_chat_protocol::prekey::{BundleIn, PreKeys};
use secure_chat_protocol::sealed::{EnvelopeIn, open};
use secure_chat_protocol::session::{DecryptError, Decrypted, SessionSet, peek_initial};
use secure_chat_protocol::wire::codec::{self, Bytes, Fixed};
use secure_chat_protocol::wire::content::{Content, MessageIn};
use secure_chat_protocol::wire::peer::{DeliveryStatus, PeerRefusal, PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous::StoredEnvelope;

use super::audit::Severity;
use super::groups::Group;
use super::state::{Open, rng};
use super::step::Step;
use crate::api::Event;
use crate::messaging::contact::Standing;
use crate::messaging::limits::{
    KITS_PER_CONNECTION_MAX, KITS_PER_HOUR_MAX, SEEN_KEEP_DAYS, STEP_SENDER_MAX_MESSAGES, STEP_SENDER_WAIT_MS,
};
use crate::network::{PeerId, Responder};
use crate::security::rules::Signal;
use crate::store::Table;

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// Over a connection, whose answer acknowledges it.
    Connection,
    /// Out of a mailbox: a receipt acknowledges it.
    Mailbox,
}

fn day(now: Timestamp) -> u32 {
    u32::try_from(now.0 / DAY_MS).unwrap_or(u32::MAX)
}

impl Open {
    /// A request of a peer.
    pub(super) fn inbound(&mut self, step: &mut Step<'_>, peer: PeerId, request: PeerRequest, responder: Responder) {
        let account = self.met.get(&peer).and_then(|met| met.account);
        let response = match self.has_place_for(peer, account, &request, step.now) {
            Ok(()) => self.response(step, peer, account, request),
            Err(retry_after_ms) => PeerResponse::Refused(PeerRefusal::SlowDown { retry_after_ms }),
        };
        step.answer(responder, response);
    }

    /// Whether there is a place for a request, before any work is done for it. Deliveries are
    /// paced by message; what is refused to whoever asks costs nothing.
    fn has_place_for(
        &mut self,
        peer: PeerId,
        account: Option<AccountId>,
        request: &PeerRequest,
        now: Timestamp,
    ) -> Result<(), u64> {
        let key = peer.to_ed25519().unwrap_or_default();
        match request {
            PeerRequest::Hello(_) => {
                let known = self.contacts.values().any(|contact| contact.peers.contains(&Fixed(key)));
                self.asking.hello(key, known, now)
            }
            PeerRequest::Bundle => self.asking.bundle(key, now),
            PeerRequest::GroupFetch(fetch) => {
                let is_member =
                    |account: &AccountId| self.groups.get(&fetch.group).is_some_and(|held| held.has(account));
                match account.filter(is_member) {
                    Some(member) => self.asking.fetch(fetch.group, member, now),
                    None => Ok(()),
                }
            }
            PeerRequest::Deliver { .. } => Ok(()),
        }
    }

    fn response(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        account: Option<AccountId>,
        request: PeerRequest,
    ) -> PeerResponse {
        match request {
            PeerRequest::Hello(hello) => {
                if let Some(met) = self.met.get_mut(&peer) {
                    met.heard = true;
                }
                match self.meet(step, peer, &hello) {
                    Some(account) if self.hides_from(account) => PeerResponse::Refused(PeerRefusal::NotAvailable),
                    Some(account) => PeerResponse::Hello(self.hello(Some(account))),
                    None => PeerResponse::Refused(PeerRefusal::Invalid),
                }
            }
            PeerRequest::Bundle => match account {
                Some(account) if !self.hides_from(account) => self.own_bundle(step, peer),
                Some(_) => PeerResponse::Refused(PeerRefusal::NotAvailable),
                None => PeerResponse::Refused(PeerRefusal::HelloFirst),
            },
            PeerRequest::GroupFetch(fetch) => match account {
                Some(account) => self.answer_fetch(step, account, &fetch),
                None => PeerResponse::Refused(PeerRefusal::HelloFirst),
            },
            PeerRequest::Deliver { messages } => match account {
                Some(account) => self.take_delivery(step, account, &messages),
                None => PeerResponse::Refused(PeerRefusal::HelloFirst),
            },
        }
    }

    /// A delivery over a connection. One whose sender has to wait costs nothing but this look.
    fn take_delivery(&mut self, step: &mut Step<'_>, from: AccountId, messages: &[Bytes]) -> PeerResponse {
        if let Err(retry_after_ms) = self.rates.may_try(from, self.trusts(from), step.now) {
            self.tell_slowed(step, from);
            return PeerResponse::Refused(PeerRefusal::SlowDown { retry_after_ms });
        }
        let delivered = step.delivered.entry(from).or_default();
        if *delivered >= STEP_SENDER_MAX_MESSAGES {
            return PeerResponse::Refused(PeerRefusal::SlowDown { retry_after_ms: STEP_SENDER_WAIT_MS });
        }
        *delivered = delivered.saturating_add(messages.len());
        let receive = |message: &Bytes| self.receive(step, from, &message.0, Via::Connection);
        PeerResponse::Delivered { statuses: messages.iter().map(receive).collect() }
    }

    /// Whether somebody is no stranger: whoever only asked for a chat still is one.
    fn trusts(&self, account: AccountId) -> bool {
        let standing = self.contacts.get(&account).map(|contact| contact.standing);
        matches!(standing, Some(Standing::Accepted | Standing::Member | Standing::Requested))
    }

    /// Says that somebody sends more than is taken.
    fn tell_slowed(&mut self, step: &mut Step<'_>, from: AccountId) {
        let known = self.trusts(from);
        if self.rates.is_told(from, known, step.now) {
            let text = "More messages came than are taken at once. The rest is asked to wait; nothing is lost.";
            self.alert(step, "rate.limited", Severity::Warning, known.then(|| from.to_string()), text);
        }
    }

    /// Whether a peer that asks may have a one-time kit: beyond a few, the signed prekey
    /// must do, so that nobody empties the store that strangers' first messages need.
    fn kit_is_due(&mut self, peer: PeerId) -> bool {
        let hour_ago = Instant::now().checked_sub(Duration::from_millis(HOUR_MS));
        self.kits_given.retain(|at| hour_ago.is_none_or(|hour_ago| *at > hour_ago));
        let Some(met) = self.met.get_mut(&peer) else { return false };
        if met.kits >= KITS_PER_CONNECTION_MAX || self.kits_given.len() >= KITS_PER_HOUR_MAX {
            return false;
        }
        met.kits = met.kits.saturating_add(1);
        self.kits_given.push_back(Instant::now());
        true
    }

    fn own_bundle(&mut self, step: &mut Step<'_>, peer: PeerId) -> PeerResponse {
        let kit = if self.kit_is_due(peer) { self.prekeys.take_kit_public() } else { None };
        if self.prekeys.maintain(&self.identity, step.now, &mut rng()).any() || kit.is_some() {
            step.prekeys = true;
        }
        let bundle = BundleIn { identity: self.identity.public().to_wire(), signed: self.prekeys.signed_public(), kit };
        match codec::encode(&bundle, PEER_FRAME_MAX_BYTES) {
            Ok(bytes) => PeerResponse::Bundle { bundle: Bytes(bytes) },
            Err(_) => PeerResponse::Refused(PeerRefusal::NotAvailable),
        }
    }

    /// An envelope out of a mailbox. Says whether it is dealt with: one whose messages
    /// must wait for others is to be tried again, unless this is the `last_try`.
    pub(super) fn receive_envelope(&mut self, step: &mut Step<'_>, envelope: &StoredEnvelope, last_try: bool) -> bool {
        // Of the bytes too: a node that changes them must not hide what another node has.
        let mark = kdf::hash_fields("envelope", &[envelope.id.as_ref(), &envelope.sealed.0]);
        if step.txn.get(Table::Seen, &mark).is_ok_and(|seen| seen.is_some()) {
            return true;
        }
        let opened = open(&self.mailbox, &envelope.sealed.0).ok();
        let Some(inner) = opened.and_then(|inner| EnvelopeIn::decode(inner.expose()).ok()) else {
            // Nothing is kept of it, or whoever fills mailboxes would fill this disk as well.
            let text = "An envelope in the mailbox could not be opened.";
            self.audit(step, "mailbox.envelope", Severity::Warning, text);
            self.observe(step, &Signal::MailboxGarbage);
            return true;
        };
        let (mut lost, mut early) = (false, false);
        for message in &inner.messages {
            match self.receive(step, inner.from, &message.0, Via::Mailbox) {
                DeliveryStatus::NoSession => lost = true,
                DeliveryStatus::SlowDown { .. } => early = true,
                _ => {}
            }
        }
        if early && !last_try {
            return false;
        }
        step.txn.put_until(Table::Seen, &mark, day(step.now).saturating_add(SEEN_KEEP_DAYS), b"");
        if let Some(granted) = self.contacts.get_mut(&inner.from).and_then(|contact| contact.granted.as_mut()) {
            granted.used = granted.used.saturating_add(1);
            step.contacts.insert(inner.from);
        }
        if lost {
            self.mail_did_not_open(step, inner.from);
        }
        self.grant_more(step, inner.from);
        true
    }

    /// One encrypted message. Its status is told only once everything it changed is durable.
    pub(super) fn receive(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        ciphertext: &[u8],
        via: Via,
    ) -> DeliveryStatus {
        let is_known = self.contacts.get(&from).is_some_and(|contact| contact.standing != Standing::Gone);
        if via == Via::Connection
            && let Err(retry_after_ms) = self.rates.take(from, self.trusts(from), step.now)
        {
            self.tell_slowed(step, from);
            return DeliveryStatus::SlowDown { retry_after_ms };
        }
        let mark = kdf::hash_fields("seen", &[from.as_ref(), ciphertext]);
        match step.txn.get(Table::Seen, &mark) {
            Ok(Some(id)) => {
                self.observe(step, &Self::replay_signal(from, &mark));
                if let (Via::Mailbox, Ok(id)) = (via, <[u8; 16]>::try_from(id.as_slice())) {
                    self.owe_receipt(step, from, MessageId(id));
                }
                return DeliveryStatus::Stored;
            }
            Ok(None) => {}
            Err(_) => return DeliveryStatus::SlowDown { retry_after_ms: 1_000 },
        }
        if self.contacts.get(&from).is_some_and(|contact| contact.blocked) {
            return DeliveryStatus::Taken;
        }
        if is_known {
            self.receive_known(step, from, ciphertext, via, &mark)
        } else if self.contacts.contains_key(&from) {
            self.receive_parted(step, from, ciphertext, via, &mark)
        } else {
            self.receive_first(step, from, ciphertext, via, &mark)
        }
    }

    fn mark_seen(&self, step: &mut Step<'_>, mark: &[u8; 32], message: &MessageIn) {
        let id: &[u8] = if message.seq > 0 { &message.id.0 } else { b"" };
        step.txn.put_until(Table::Seen, mark, day(step.now).saturating_add(SEEN_KEEP_DAYS), id);
    }

    /// Opens a message in one of the sessions with its sender, or says what they are told instead.
    fn open_in_session(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        ciphertext: &[u8],
        via: Via,
    ) -> Result<Decrypted, DeliveryStatus> {
        if self.sessions_with(step, from).is_err() {
            return Err(DeliveryStatus::SlowDown { retry_after_ms: 1_000 });
        }
        let sessions = self.sessions.get_mut(&from).ok_or(DeliveryStatus::NoSession)?;
        let opened = sessions.decrypt(&self.identity, &mut self.prekeys, ciphertext, step.now);
        let opened = opened.map_err(|error| self.did_not_open(step, from, error, via))?;
        step.sessions.insert(from);
        step.prekeys |= opened.new_session;
        Ok(opened)
    }

    fn receive_known(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        ciphertext: &[u8],
        via: Via,
        mark: &[u8; 32],
    ) -> DeliveryStatus {
        let opened = match self.open_in_session(step, from, ciphertext, via) {
            Ok(opened) => opened,
            Err(status) => return status,
        };
        if opened.new_session {
            let text = "A contact started an encrypted session.";
            self.audit_about(step, "session.started", Severity::Info, Some(from.to_string()), text);
            self.observe(step, &Signal::SessionStarted(from));
            step.tell(Event::SessionEstablished {
                username: self.conversation_name(from),
                account_id: from.to_string(),
            });
        }
        if opened.replaced_active {
            self.encrypt_anew(step, from);
        }
        match MessageIn::decode(opened.plaintext.expose()) {
            Ok(message) => {
                self.mark_seen(step, mark, &message);
                if matches!(message.body, Content::Text { .. }) {
                    self.observe(step, &Signal::Message(from));
                }
                self.arrive(step, from, message, via);
                DeliveryStatus::Stored
            }
            Err(error) => {
                if via == Via::Connection {
                    self.rates.failed(from, self.trusts(from), step.now);
                }
                let text = format!("A contact sent a message that can't be understood: {error}.");
                self.alert(step, "message.malformed", Severity::Warning, Some(from.to_string()), &text);
                DeliveryStatus::Invalid
            }
        }
    }

    fn did_not_open(&mut self, step: &mut Step<'_>, from: AccountId, error: DecryptError, via: Via) -> DeliveryStatus {
        if via == Via::Connection {
            self.rates.failed(from, self.trusts(from), step.now);
        }
        let status = match error {
            DecryptError::SkipLimit | DecryptError::TooManyFirstMessages => {
                return DeliveryStatus::SlowDown { retry_after_ms: 2_000 };
            }
            DecryptError::Rollback => return self.turned_back(step, from),
            // Exact repetitions were recognised before: what has a key that was used and
            // is another message comes from a vault that was turned back.
            DecryptError::NoSession | DecryptError::UnknownPreKey | DecryptError::Duplicate => {
                DeliveryStatus::NoSession
            }
            DecryptError::Replay => DeliveryStatus::Taken,
            _ => DeliveryStatus::Invalid,
        };
        // From a mailbox, nobody has proved to be who the envelope says.
        let subject = (via == Via::Connection).then(|| from.to_string());
        let text = format!("A message could not be opened: {error}.");
        let proved = (via == Via::Connection).then_some(from);
        if error == DecryptError::Replay {
            self.audit_about(step, "message.replay_refused", Severity::Warning, subject, text);
            self.observe(step, &Signal::FirstMessageReplay(proved));
        } else {
            self.audit_about(step, "message.undecryptable", Severity::Warning, subject, text);
            self.observe(step, &Signal::DecryptFailed(proved));
        }
        status
    }

    /// Two different messages had one place in the session: the contact's state was
    /// turned back, or there are two of them. Only they can have made either.
    fn turned_back(&mut self, step: &mut Step<'_>, from: AccountId) -> DeliveryStatus {
        let text = "A contact's encrypted session was turned back: their device was restored from a backup, or there \
                    are two of it. A new session begins.";
        self.alert(step, "session.turned_back", Severity::Critical, Some(from.to_string()), text);
        self.session_lost(step, from);
        DeliveryStatus::NoSession
    }

    /// A message of somebody with whom we parted: they may ask again, and acknowledge
    /// what was said last; all else is dropped.
    fn receive_parted(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        ciphertext: &[u8],
        via: Via,
        mark: &[u8; 32],
    ) -> DeliveryStatus {
        let opened = match self.open_in_session(step, from, ciphertext, via) {
            Ok(opened) => opened,
            Err(status) => return status,
        };
        let Ok(message) = MessageIn::decode(opened.plaintext.expose()) else { return DeliveryStatus::Invalid };
        self.mark_seen(step, mark, &message);
        let identity = self.contacts.get(&from).and_then(|contact| contact.identity.verify().ok());
        match (&message.body, identity) {
            (Content::Request { .. }, Some(identity)) => {
                if !self.takes_request(step, &message.body) || !self.asked(step, &identity, &message) {
                    return DeliveryStatus::Taken;
                }
            }
            (Content::Group { group, payload }, Some(identity)) => {
                if !self.meet_in_group(step, &identity, *group, &payload.0) {
                    return DeliveryStatus::Taken;
                }
                self.arrive(step, from, message, via);
                return DeliveryStatus::Stored;
            }
            (Content::Receipt { kind, ids }, _) => {
                if let Err(error) = self.apply_receipt(step, from, *kind, ids) {
                    tracing::debug!(%error, "a receipt was not applied");
                }
            }
            _ => return DeliveryStatus::Taken,
        }
        if via == Via::Mailbox && message.seq > 0 {
            self.owe_receipt(step, from, message.id);
        }
        DeliveryStatus::Stored
    }

    /// The first message of somebody who is no contact: it must ask for a chat.
    fn receive_first(
        &mut self,
        step: &mut Step<'_>,
        from: AccountId,
        ciphertext: &[u8],
        via: Via,
        mark: &[u8; 32],
    ) -> DeliveryStatus {
        let Ok(identity) = peek_initial(ciphertext) else { return DeliveryStatus::NoSession };
        if identity.account_id() != from || from == self.me {
            return DeliveryStatus::Invalid;
        }
        if self.requests.values().filter(|request| request.incoming && request.is_pending()).count()
            >= REQUESTS_WAITING_MAX
        {
            self.observe(step, &Signal::RequestsFull);
            return DeliveryStatus::Full;
        }
        // Who comes early comes again, with the same bytes: then their keys must still be there.
        let may_be_early = self.groups.values().any(Group::is_coming);
        let before = may_be_early.then(|| self.prekeys.to_secret_bytes());
        let mut sessions = SessionSet::new(self.me, from);
        let opened = match sessions.decrypt(&self.identity, &mut self.prekeys, ciphertext, step.now) {
            Ok(opened) => opened,
            Err(error) => return self.did_not_open(step, from, error, via),
        };
        step.prekeys = true;
        let Ok(message) = MessageIn::decode(opened.plaintext.expose()) else { return DeliveryStatus::Invalid };
        let heard = match &message.body {
            Content::Request { .. } if !self.welcomes(step, &message.body) => {
                return DeliveryStatus::Taken;
            }
            Content::Request { .. } => self.asked(step, &identity, &message),
            Content::Group { group, payload } => self.meet_in_group(step, &identity, *group, &payload.0),
            _ => false,
        };
        if !heard {
            return match &message.body {
                Content::Group { group, payload } if self.comes_early(*group, &payload.0) => {
                    if let Some(before) = before.and_then(|bytes| PreKeys::from_secret_bytes(bytes.expose()).ok()) {
                        self.prekeys = before;
                    }
                    DeliveryStatus::SlowDown { retry_after_ms: 1_000 }
                }
                _ => DeliveryStatus::Invalid,
            };
        }
        self.sessions.insert(from, sessions);
        step.sessions.insert(from);
        self.mark_seen(step, mark, &message);
        if matches!(message.body, Content::Group { .. }) {
            self.arrive(step, from, message, via);
            return DeliveryStatus::Stored;
        }
        if via == Via::Mailbox {
            self.owe_receipt(step, from, message.id);
        }
        DeliveryStatus::Stored
    }
}
