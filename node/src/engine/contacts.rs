//! Contacts and chat requests.

use secure_chat_protocol::id::{AccountId, MessageId};
use secure_chat_protocol::identity::{IdentityIn, PublicIdentity};
use secure_chat_protocol::invite::Invite;
use secure_chat_protocol::limits::REQUESTS_WAITING_MAX;
use secure_chat_protocol::record::Record;
use secure_chat_protocol::safety_number::safety_number;
use secure_chat_protocol::validate::{Username, check_greeting};
use secure_chat_protocol::wire::codec::Fixed;
use secure_chat_protocol::wire::content::{Content, MessageIn, Profile};

use super::audit::Severity;
use super::invited;
use super::peers::plausible_addresses;
use super::state::{Open, encode_request, rng};
use super::step::{Step, sentence};
use super::work::LookupPurpose;
use crate::api::{
    self, Accepted, ApiError, At, Contacts, Done, ErrorKind, Event, Reply, RequestMade, RequestState, Requests,
    SafetyNumberView, params,
};
use crate::messaging::contact::{Contact, Standing};
use crate::messaging::limits::{CONTACTS_MAX, FORGOTTEN_AT_ONCE_MAX};
use crate::messaging::request::Request;
use crate::messaging::settings::WhoMayRequest;
use crate::network::PeerId;
use crate::store::Table;

fn no_request() -> ApiError {
    ApiError::not_found("There is no such request that waits for an answer.")
}

impl Open {
    /// Whom a text names: a contact's name, an account id, a peer id.
    pub(super) fn resolve(&self, user: &str) -> Result<AccountId, ApiError> {
        let user = user.trim().trim_start_matches('@');
        if let Ok(account) = user.parse::<AccountId>() {
            return Ok(account);
        }
        let folded = user.to_ascii_lowercase();
        let named: Vec<&Contact> =
            self.contacts.values().filter(|contact| contact.username.to_ascii_lowercase() == folded).collect();
        // A name is that of the one who was first met under it: strangers who ask under the
        // same one, or whom one only shares a group with, don't make it ambiguous.
        let rank = |contact: &Contact| match contact.standing {
            Standing::Accepted => 0,
            Standing::Requested => 1,
            Standing::Asked => 2,
            Standing::Member | Standing::Gone => 3,
        };
        let first = named.iter().map(|contact| rank(contact)).min();
        let named: Vec<&Contact> = named.into_iter().filter(|contact| Some(rank(contact)) == first).collect();
        match named.as_slice() {
            [contact] => return Ok(contact.account),
            [] => {}
            _ => {
                let fingerprints = named.iter().map(|contact| contact.account.fingerprint()).collect();
                let text = "Several people have this name. Name one by the account id.";
                return Err(ApiError { fingerprints, ..ApiError::new(ErrorKind::Conflict, text) });
            }
        }
        let peer = user.parse::<PeerId>().ok().and_then(|peer| peer.to_ed25519());
        let by_peer = self.contacts.values().find(|contact| contact.peers.iter().any(|key| Some(key.0) == peer));
        by_peer
            .map(|contact| contact.account)
            .ok_or_else(|| ApiError::not_found(format!("There is no contact named {user:?}.")))
    }

    pub(super) fn store_request(&self, step: &mut Step<'_>, id: MessageId) {
        match self.requests.get(&id) {
            Some(request) => step.txn.put(Table::Requests, id.as_ref(), &encode_request(request)),
            None => step.txn.delete(Table::Requests, id.as_ref()),
        }
    }

    /// `contacts.request`.
    pub(super) fn request(&mut self, step: &mut Step<'_>, params: params::ContactsRequest, reply: Reply<RequestMade>) {
        let greeting = params.greeting.unwrap_or_default();
        if let Err(error) = check_greeting(&greeting) {
            return step.reply(reply, Err(ApiError::invalid("greeting", sentence(&error.to_string()))));
        }
        let user = params.user.unwrap_or_default();
        let link = params
            .invite
            .or_else(|| user.trim().to_ascii_lowercase().starts_with("secure-chat:").then(|| user.clone()));
        if let Some(link) = link {
            let result = self.request_by_invite(step, &link, greeting);
            return step.reply(reply, result);
        }
        if user.trim().is_empty() {
            return step.reply(reply, Err(ApiError::invalid("user", "Say whom: by name, account id or invite.")));
        }
        let met = self.resolve(&user).ok().and_then(|account| self.contacts.get(&account)).and_then(Contact::record);
        let local = met.or_else(|| self.met_by(&user));
        match local {
            Some(record) => {
                let result = self.request_by_record(step, &record, Vec::new(), greeting);
                step.reply(reply, result);
            }
            None => self.look_up(step, user.trim(), LookupPurpose::Request { greeting, reply }),
        }
    }

    /// Somebody who said hello and is called so, has this account or this peer id; only if it is one.
    fn met_by(&self, user: &str) -> Option<Record> {
        let user = user.trim();
        let peer = user.parse::<PeerId>().ok().and_then(|peer| peer.to_ed25519());
        let fits = |record: &&Record| {
            record.name().as_str().eq_ignore_ascii_case(user)
                || record.account_id().to_string() == user
                || record.peer_keys().any(|key| Some(*key) == peer)
        };
        let mut fitting = self.greeted.values().filter(fits);
        fitting.next().filter(|_| fitting.next().is_none()).cloned()
    }

    fn request_by_invite(
        &mut self,
        step: &mut Step<'_>,
        link: &str,
        greeting: String,
    ) -> Result<RequestMade, ApiError> {
        let invite = Invite::parse(link).map_err(|error| ApiError::invalid("invite", sentence(&error.to_string())))?;
        if invite.is_expired(step.now) {
            return Err(ApiError::new(ErrorKind::Expired, "This invite is over. Ask for a new one."));
        }
        let mut contact = self.begin_contact(invite.account_id(), invite.identity().to_wire(), invite.name())?;
        if contact.record.0.is_empty() {
            contact.peers = invite.peer_keys().map(|key| Fixed(*key)).collect();
            contact.homes = invite.homes().to_vec();
        }
        contact.addresses = invite.addresses().to_vec();
        self.ask(step, contact, greeting, Some(Fixed(*invite.nonce())))
    }

    pub(super) fn request_by_record(
        &mut self,
        step: &mut Step<'_>,
        record: &Record,
        addresses: Vec<String>,
        greeting: String,
    ) -> Result<RequestMade, ApiError> {
        let mut contact = self.begin_contact(record.account_id(), record.identity().to_wire(), record.name())?;
        contact.learn(record);
        let addresses = plausible_addresses(&addresses);
        if !addresses.is_empty() {
            contact.addresses = addresses;
        }
        self.ask(step, contact, greeting, None)
    }

    fn begin_contact(&self, account: AccountId, identity: IdentityIn, name: &Username) -> Result<Contact, ApiError> {
        if account == self.me {
            return Err(ApiError::new(ErrorKind::NotAllowed, "That is you."));
        }
        match self.contacts.get(&account) {
            Some(contact) if contact.blocked => {
                Err(ApiError::new(ErrorKind::NotAllowed, "You have blocked them. Unblock them first."))
            }
            Some(contact) if contact.standing == Standing::Accepted => {
                Err(ApiError::new(ErrorKind::Conflict, "You are in contact already."))
            }
            Some(contact) if contact.standing == Standing::Requested => {
                Err(ApiError::new(ErrorKind::Conflict, "Your request waits for an answer."))
            }
            Some(contact) => Ok(contact.clone()),
            None if self.known_contacts() >= CONTACTS_MAX => {
                Err(ApiError::new(ErrorKind::Full, "There are too many contacts."))
            }
            None => Ok(Contact::new(account, identity, name.as_str(), Standing::Requested)),
        }
    }

    fn ask(
        &mut self,
        step: &mut Step<'_>,
        mut contact: Contact,
        greeting: String,
        invite: Option<Fixed<16>>,
    ) -> Result<RequestMade, ApiError> {
        let (account, id) = (contact.account, MessageId::random(&mut rng()));
        if contact.standing == Standing::Asked {
            // They asked first: this is the answer.
            let waiting = self
                .requests
                .values()
                .find(|request| request.incoming && request.is_pending() && request.account == account);
            let waiting = waiting.map(|request| request.id.to_string()).ok_or_else(no_request)?;
            self.accept(step, &waiting)?;
            return Ok(RequestMade { request_id: waiting });
        }
        if self.requests.values().filter(|request| !request.incoming && request.is_pending()).count() >= CONTACTS_MAX {
            return Err(ApiError::new(ErrorKind::Full, "Too many of your requests wait for an answer."));
        }
        contact.standing = Standing::Requested;
        let request = Request {
            id,
            account,
            username: contact.username.clone(),
            incoming: false,
            greeting: greeting.clone(),
            at: step.now,
            state: RequestState::Pending,
        };
        self.contacts.insert(account, contact);
        step.contacts.insert(account);
        let profile = self.profile(step, account, false);
        self.enqueue(step, account, id, Content::Request { greeting, profile, invite }, false)?;
        self.requests.insert(id, request);
        self.store_request(step, id);
        self.audit(step, "request.sent", Severity::Info, "A chat request was sent.");
        Ok(RequestMade { request_id: id.to_string() })
    }

    /// Somebody new asks. Says whether the request can be understood.
    pub(super) fn asked(&mut self, step: &mut Step<'_>, identity: &PublicIdentity, message: &MessageIn) -> bool {
        let Content::Request { profile, .. } = &message.body else { return false };
        let Ok(record) = Record::decode(&profile.record.0) else { return false };
        let account = identity.account_id();
        if record.account_id() != account || self.known_contacts() >= CONTACTS_MAX {
            return false;
        }
        let known = self.contacts.remove(&account);
        let mut contact =
            known.unwrap_or_else(|| Contact::new(account, identity.to_wire(), record.name().as_str(), Standing::Asked));
        contact.standing = Standing::Asked;
        contact.inbox = crate::messaging::contact::Inbox::default();
        contact.inbox.shown(message.seq);
        self.contacts.insert(account, contact);
        self.apply_profile(step, account, profile);
        self.note_request(step, account, message);
        true
    }

    fn note_request(&mut self, step: &mut Step<'_>, account: AccountId, message: &MessageIn) {
        let Content::Request { greeting, .. } = &message.body else { return };
        let username = self.conversation_name(account);
        let request = Request {
            id: message.id,
            account,
            username,
            incoming: true,
            greeting: greeting.clone(),
            at: step.now,
            state: RequestState::Pending,
        };
        step.contacts.insert(account);
        let view = request.view();
        self.requests.insert(request.id, request);
        self.store_request(step, message.id);
        let subject = Some(account.to_string());
        self.audit_about(step, "request.received", Severity::Info, subject, "Somebody asked for a chat.");
        self.observe(step, &crate::security::rules::Signal::Request);
        if !self.judge_request(step, message.id) {
            step.tell(Event::ContactRequest(view));
        }
    }

    /// A contact asks, though it stands otherwise: both asked each other, or they lost their contacts.
    pub(super) fn asked_again(&mut self, step: &mut Step<'_>, from: AccountId, profile: &Profile, message: &MessageIn) {
        self.apply_profile(step, from, profile);
        let takes = self.takes_request(step, &message.body);
        let Some(contact) = self.contacts.get_mut(&from) else { return };
        match contact.standing {
            Standing::Requested | Standing::Accepted => {
                contact.standing = Standing::Accepted;
                step.contacts.insert(from);
                let profile = self.profile(step, from, true);
                if let Err(error) =
                    self.enqueue(step, from, MessageId::random(&mut rng()), Content::Accepted { profile }, false)
                {
                    tracing::debug!(%error, "a contact is not answered");
                }
                self.in_contact(step, from);
            }
            Standing::Asked => {
                let old: Vec<MessageId> = self
                    .requests
                    .values()
                    .filter(|request| request.incoming && request.account == from)
                    .map(|request| request.id)
                    .collect();
                for id in old {
                    self.requests.remove(&id);
                    self.store_request(step, id);
                }
                self.note_request(step, from, message);
            }
            // A member of a group asks: as if they were new.
            Standing::Member if takes => {
                contact.standing = Standing::Asked;
                self.note_request(step, from, message);
            }
            Standing::Member | Standing::Gone => {}
        }
    }

    /// Whether the person wants to be asked so, and there is room for it.
    pub(super) fn takes_request(&self, step: &Step<'_>, request: &Content) -> bool {
        let waiting = self.requests.values().filter(|request| request.incoming && request.is_pending()).count();
        waiting < REQUESTS_WAITING_MAX && self.welcomes(step, request)
    }

    /// Whether the person wants to be asked so.
    pub(super) fn welcomes(&self, step: &Step<'_>, request: &Content) -> bool {
        match self.settings.who_may_request {
            WhoMayRequest::Everyone => true,
            WhoMayRequest::Invited => {
                matches!(request, Content::Request { invite: Some(nonce), .. } if invited::knows(step, nonce))
            }
            WhoMayRequest::Nobody => false,
        }
    }

    fn incoming(&self, id: &str) -> Result<(MessageId, AccountId), ApiError> {
        let id = id.parse::<MessageId>().map_err(|_| no_request())?;
        let request =
            self.requests.get(&id).filter(|request| request.incoming && request.is_pending()).ok_or_else(no_request)?;
        Ok((id, request.account))
    }

    /// `contacts.accept`.
    pub(super) fn accept(&mut self, step: &mut Step<'_>, id: &str) -> Result<Accepted, ApiError> {
        let (id, account) = self.incoming(id)?;
        let profile = self.profile(step, account, true);
        self.enqueue(step, account, MessageId::random(&mut rng()), Content::Accepted { profile }, false)?;
        self.end_request(step, id, RequestState::Accepted);
        if let Some(contact) = self.contacts.get_mut(&account) {
            contact.standing = Standing::Accepted;
        }
        self.audit(step, "request.accepted", Severity::Info, "A chat request was accepted.");
        self.in_contact(step, account);
        Ok(Accepted { conversation: self.conversation_name(account) })
    }

    /// Both agreed.
    fn in_contact(&mut self, step: &mut Step<'_>, account: AccountId) {
        let open: Vec<MessageId> = self
            .requests
            .values()
            .filter(|request| request.account == account && request.is_pending())
            .map(|request| request.id)
            .collect();
        for id in open {
            self.end_request(step, id, RequestState::Accepted);
        }
        step.contacts.insert(account);
        self.show_homes(step);
        self.greet_again(step, account);
        if let Some(view) = self.contacts.get(&account).and_then(|contact| self.contact_view(contact, step)) {
            step.tell(Event::ContactAccepted(Box::new(view)));
        }
    }

    fn end_request(&mut self, step: &mut Step<'_>, id: MessageId, state: RequestState) {
        if let Some(request) = self.requests.get_mut(&id) {
            request.state = state;
            self.store_request(step, id);
        }
    }

    /// `contacts.decline`.
    pub(super) fn decline(&mut self, step: &mut Step<'_>, id: &str) -> Result<Done, ApiError> {
        let (id, account) = self.incoming(id)?;
        self.enqueue(step, account, MessageId::random(&mut rng()), Content::Declined, false)?;
        self.end_request(step, id, RequestState::Declined);
        self.part(step, account);
        self.audit(step, "request.declined", Severity::Info, "A chat request was declined.");
        Ok(Done {})
    }

    /// `contacts.cancel_request`.
    pub(super) fn cancel_request(&mut self, step: &mut Step<'_>, id: &str) -> Result<Done, ApiError> {
        let id = id.parse::<MessageId>().map_err(|_| no_request())?;
        let request = self
            .requests
            .get(&id)
            .filter(|request| !request.incoming && request.is_pending())
            .ok_or_else(no_request)?;
        let account = request.account;
        self.enqueue(step, account, MessageId::random(&mut rng()), Content::Cancelled, false)?;
        self.end_request(step, id, RequestState::Cancelled);
        self.part(step, account);
        Ok(Done {})
    }

    fn part(&mut self, step: &mut Step<'_>, account: AccountId) {
        let shared = self.shares_group(account);
        if let Some(contact) = self.contacts.get_mut(&account) {
            contact.standing = if shared { Standing::Member } else { Standing::Gone };
            step.contacts.insert(account);
        }
    }

    /// Contacts, without those that only wait to be forgotten.
    pub(super) fn known_contacts(&self) -> usize {
        self.contacts.values().filter(|contact| contact.standing != Standing::Gone).count()
    }

    /// Forgets people with whom there was never a word, once nothing waits for them.
    pub(super) fn forget_strangers(&mut self, step: &mut Step<'_>) {
        let strangers = self.contacts.values().filter(|contact| {
            contact.standing == Standing::Gone
                && !contact.blocked
                && contact.last_place == (0, 0)
                && contact.receipts_due.is_empty()
                && !self.outbox.has(&contact.account)
                && !self.is_connected(contact.account)
        });
        let strangers: Vec<AccountId> = strangers.map(|contact| contact.account).take(FORGOTTEN_AT_ONCE_MAX).collect();
        for account in strangers {
            let over: Vec<MessageId> = self
                .requests
                .values()
                .filter(|request| request.account == account && !request.is_pending())
                .map(|request| request.id)
                .collect();
            for id in over {
                self.requests.remove(&id);
                self.store_request(step, id);
            }
            self.contacts.remove(&account);
            self.sessions.remove(&account);
            self.lanes.remove(&account);
            self.newest.remove(&account);
            step.contacts.insert(account);
            step.txn.delete(Table::Sessions, account.as_ref());
        }
    }

    fn pending_with(&self, account: AccountId, incoming: bool) -> Option<MessageId> {
        self.requests
            .values()
            .find(|request| request.account == account && request.incoming == incoming && request.is_pending())
            .map(|request| request.id)
    }

    /// Our request was accepted.
    pub(super) fn accepted(&mut self, step: &mut Step<'_>, from: AccountId, profile: &Profile) {
        self.apply_profile(step, from, profile);
        let Some(contact) = self.contacts.get_mut(&from).filter(|contact| contact.standing == Standing::Requested)
        else {
            return;
        };
        contact.standing = Standing::Accepted;
        let profile = self.profile(step, from, true);
        if let Err(error) = self.enqueue(step, from, MessageId::random(&mut rng()), Content::Profile(profile), false) {
            tracing::debug!(%error, "the profile could not be sent");
        }
        self.in_contact(step, from);
    }

    /// Our request was declined.
    pub(super) fn declined(&mut self, step: &mut Step<'_>, from: AccountId) {
        let Some(id) = self.pending_with(from, false) else { return };
        self.end_request(step, id, RequestState::Declined);
        step.tell(Event::ContactDeclined {
            request_id: id.to_string(),
            username: self.conversation_name(from),
            account_id: from.to_string(),
        });
        self.part(step, from);
    }

    /// Their request was taken back.
    pub(super) fn cancelled(&mut self, step: &mut Step<'_>, from: AccountId) {
        let Some(id) = self.pending_with(from, true) else { return };
        self.end_request(step, id, RequestState::Cancelled);
        self.part(step, from);
    }

    pub(super) fn requests_view(&self) -> Requests {
        let (mut incoming, mut outgoing): (Vec<_>, Vec<_>) =
            self.requests.values().partition(|request| request.incoming);
        incoming.sort_by_key(|request| request.at);
        outgoing.sort_by_key(|request| request.at);
        incoming.retain(|request| request.is_pending() && !self.quarantine.contains_key(&request.id));
        let view = |list: Vec<&Request>| list.into_iter().map(Request::view).collect();
        Requests { incoming: view(incoming), outgoing: view(outgoing) }
    }

    pub(super) fn contacts_view(&self, step: &Step<'_>) -> Result<Contacts, ApiError> {
        let mut contacts: Vec<api::Contact> =
            self.contacts.values().filter_map(|contact| self.contact_view(contact, step)).collect();
        contacts.sort_by_key(|contact| std::cmp::Reverse(contact.last_message.as_ref().map(|message| message.at)));
        Ok(Contacts { contacts })
    }

    pub(super) fn contact_view(&self, contact: &Contact, step: &Step<'_>) -> Option<api::Contact> {
        let status = self.status_of(contact.account);
        let last =
            step.txn.entry(contact.last_place.1).ok().flatten().filter(|entry| entry.conversation == contact.account.0);
        let last = last.and_then(|entry| {
            let stored = crate::messaging::stored::StoredMessage::decode(&entry.body).ok()?;
            Some(self.view(&entry, &stored))
        });
        Some(api::Contact {
            username: contact.username.clone(),
            account_id: contact.account.to_string(),
            peer_id: self.peers_of(contact.account).first().map(ToString::to_string).unwrap_or_default(),
            fingerprint: contact.account.fingerprint(),
            state: contact.state()?,
            verified: contact.verified,
            online: matches!(status, api::Status::Online | api::Status::Away),
            status,
            last_seen: contact.last_seen.map(At),
            unread: contact.unread,
            muted_until: contact.muted_until.map(At),
            last_message: last,
            new_fingerprint: contact.new_key.map(|account| account.fingerprint()),
        })
    }

    fn shown_contact(&mut self, step: &mut Step<'_>, user: &str) -> Result<&mut Contact, ApiError> {
        let account = self.resolve(user)?;
        step.contacts.insert(account);
        let contact = self
            .contacts
            .get_mut(&account)
            .filter(|contact| !matches!(contact.standing, Standing::Gone | Standing::Member) || contact.blocked);
        contact.ok_or_else(|| ApiError::not_found("There is no such contact."))
    }

    pub(super) fn remove_contact(&mut self, step: &mut Step<'_>, user: &str) -> Result<Done, ApiError> {
        let account = self.shown_contact(step, user)?.account;
        let rows: Vec<u64> = self.outbox.rows_for(&account).collect();
        for row in rows {
            if let Some(out) = self.outbox.remove(row) {
                step.rows.insert(row);
                if out.shown {
                    self.advance_state(
                        step,
                        account,
                        out.message,
                        api::MessageState::Failed,
                        Some("The contact was removed.".into()),
                    )?;
                }
            }
        }
        self.part(step, account);
        self.show_homes(step);
        self.audit_about(step, "contact.removed", Severity::Info, Some(account.to_string()), "A contact was removed.");
        Ok(Done {})
    }

    pub(super) fn block(&mut self, step: &mut Step<'_>, user: &str, blocked: bool) -> Result<Done, ApiError> {
        let account = self.resolve(user)?;
        let contact =
            self.contacts.get_mut(&account).ok_or_else(|| ApiError::not_found("There is no such contact."))?;
        contact.blocked = blocked;
        step.contacts.insert(account);
        if let Some(id) = self.pending_with(account, true).filter(|_| blocked) {
            self.end_request(step, id, RequestState::Declined);
            self.part(step, account);
        }
        let kind = if blocked { "contact.blocked" } else { "contact.unblocked" };
        self.audit(
            step,
            kind,
            Severity::Info,
            if blocked { "A contact was blocked." } else { "A contact was unblocked." },
        );
        self.show_homes(step);
        Ok(Done {})
    }

    pub(super) fn safety_number(&self, user: &str) -> Result<SafetyNumberView, ApiError> {
        let account = self.resolve(user)?;
        let contact = self.contacts.get(&account).ok_or_else(|| ApiError::not_found("There is no such contact."))?;
        let theirs = contact
            .identity
            .verify()
            .map_err(|error| ApiError::new(ErrorKind::VaultDamaged, sentence(&error.to_string())))?;
        let number = safety_number(self.identity.public(), &theirs);
        Ok(SafetyNumberView { number: number.digits, qr: number.qr })
    }

    pub(super) fn verify(&mut self, step: &mut Step<'_>, user: &str, verified: bool) -> Result<Done, ApiError> {
        self.shown_contact(step, user)?.verified = verified;
        self.audit(
            step,
            "contact.verified",
            Severity::Info,
            if verified { "A safety number was compared." } else { "A verification was taken back." },
        );
        Ok(Done {})
    }

    /// A known name shows another account: sending stops until the person looks.
    pub(super) fn name_shows(&mut self, step: &mut Step<'_>, record: &Record) {
        let folded = record.name().folded();
        let other = record.account_id();
        let pinned = self.contacts.values_mut().find(|contact| {
            contact.username.to_ascii_lowercase() == folded
                && contact.standing == Standing::Accepted
                && contact.account != other
                && contact.new_key != Some(other)
        });
        let Some(contact) = pinned else { return };
        contact.new_key = Some(other);
        contact.verified = false;
        let (username, account) = (contact.username.clone(), contact.account);
        step.contacts.insert(account);
        step.tell(Event::ContactKeyChanged {
            username,
            account_id: account.to_string(),
            new_fingerprint: other.fingerprint(),
        });
        self.alert(
            step,
            "contact.key_changed",
            Severity::Critical,
            Some(account.to_string()),
            "The keys under a known name have changed.",
        );
    }

    pub(super) fn accept_key_change(
        &mut self,
        step: &mut Step<'_>,
        user: &str,
        fingerprint: &str,
    ) -> Result<Done, ApiError> {
        let contact = self.shown_contact(step, user)?;
        let account = contact.account;
        let Some(new) = contact.new_key else { return Err(ApiError::not_found("Their keys have not changed.")) };
        let given: String = fingerprint.split_whitespace().collect::<String>().to_ascii_lowercase();
        if given == account.to_string() {
            // The person keeps the keys that are known: whoever shows others is not this contact.
            contact.new_key = None;
            step.deliver.insert(account);
            return Ok(Done {});
        }
        if given != new.to_string() {
            return Err(ApiError::invalid("fingerprint", "That is not the fingerprint that is new."));
        }
        // The old account keeps its conversation under a name that says so; the name is free for the new one.
        contact.new_key = None;
        contact.username = format!("{}_old", contact.username);
        contact.standing = Standing::Gone;
        self.audit(
            step,
            "contact.key_accepted",
            Severity::Warning,
            "The changed keys of a contact were accepted: a new request can be sent to them.",
        );
        Ok(Done {})
    }

    pub(super) fn mute(&mut self, step: &mut Step<'_>, user: &str, until: Option<At>) -> Result<Done, ApiError> {
        let now = step.now;
        let contact = self.shown_contact(step, user)?;
        contact.muted_until = until
            .map(|at| at.0)
            .or(Some(secure_chat_protocol::id::Timestamp(253_402_300_799_000)))
            .filter(|at| *at > now);
        Ok(Done {})
    }
}
