//! The bundles that sessions start from: asked for at the recipient itself, at the own
//! homes and at theirs; and what these tell of people.

use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::limits::{ADDRESSES_MAX, RENDEZVOUS_FRAME_MAX_BYTES};
use secure_chat_protocol::prekey::BundleIn;
use secure_chat_protocol::record::{Record, Succession};
use secure_chat_protocol::wire::codec;
use secure_chat_protocol::wire::peer::{PeerRequest, PeerResponse};
use secure_chat_protocol::wire::rendezvous::{Found, Request, Response, Who};

use super::audit::Severity;
use super::peers::plausible_addresses;
use super::state::{Open, rng};
use super::step::Step;
use super::work::Work;
use crate::api::Event;
use crate::messaging::contact::Contact;
use crate::network::{Address, parse_rendezvous};

impl Open {
    /// Fetches a bundle of a contact, to start a session with.
    pub(super) fn fetch_bundle(&mut self, step: &mut Step<'_>, account: AccountId) {
        let Some(contact) = self.contacts.get(&account) else { return };
        let theirs = contact.homes.iter().filter_map(|home| parse_rendezvous(home).ok());
        let theirs = theirs.filter(|home| !home.peer_id().is_some_and(|node| self.homes.contains_key(&node)));
        let own = self.homes.values().map(|home| (home.address.clone(), true));
        let nodes: Vec<(Address, bool)> = own.chain(theirs.map(|home| (home, false))).collect();
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
            for (node, ours) in nodes {
                let question = Request::Lookup(Who::Accounts(vec![account]));
                if let Ok(Response::Found { people, .. }) = net.ask_about(node.clone(), ours, question).await {
                    found.extend(people.into_iter().map(|person| (node.clone(), person)));
                }
                if bundle.is_none()
                    && let Ok(Response::Bundle { bundle: bytes }) =
                        net.ask_about(node, ours, Request::TakeBundle { account }).await
                {
                    bundle = Some(bytes.0);
                }
            }
            Work::Bundle { of: account, bundle, found }
        });
    }

    /// Asks again for bundles that are to replace sessions and did not come, whether or
    /// not anything waits for those contacts.
    pub(super) fn replace_sessions(&mut self, step: &mut Step<'_>) {
        let open = self.lanes.iter().filter(|(_, lane)| lane.replace_session && !lane.fetching_bundle);
        let open: Vec<AccountId> = open.map(|(account, _)| *account).collect();
        for account in open {
            self.fetch_bundle(step, account);
        }
    }

    /// A bundle came, or did not.
    pub(super) fn bundled(
        &mut self,
        step: &mut Step<'_>,
        account: AccountId,
        bundle: Option<Vec<u8>>,
        found: &[(Address, Found)],
    ) {
        self.lane(account).fetching_bundle = false;
        let replace = self.lane(account).replace_session;
        for (node, person) in found {
            self.learn_at(step, node, person);
        }
        let verified = bundle
            .and_then(|bytes| codec::decode::<BundleIn>(&bytes, RENDEZVOUS_FRAME_MAX_BYTES).ok())
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
                    if let Some(Err(error)) = &started {
                        self.refused_bundle(step, account, error);
                    }
                    started.map_or(Err("no session".to_owned()), |started| started.map_err(|error| error.to_string()))
                }
                Err(error) => Err(error.to_string()),
            },
            Some(Err(error)) => {
                self.refused_bundle(step, account, &error);
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
                // A replacement that was asked for is asked for again: see `replace_sessions`.
                let lane = self.lane(account);
                lane.failed(0);
                if let Some(at) = lane.not_before {
                    self.wake_at(at);
                }
            }
        }
    }

    fn refused_bundle(&mut self, step: &mut Step<'_>, account: AccountId, error: &dyn std::error::Error) {
        let text = format!("A prekey bundle was refused: {error}.");
        self.alert(step, "bundle.invalid", Severity::Warning, Some(account.to_string()), &text);
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
        if self.has_forked(step, &record) {
            return;
        }
        let Some(contact) = self.contacts.get_mut(&account) else { return };
        let newer = contact.learn(&record);
        // What they told themselves is tried as well, until they tell again.
        let mut told = plausible_addresses(&person.addresses);
        told.retain(|address| !contact.addresses.contains(address));
        let reachable = !told.is_empty();
        if reachable {
            contact.addresses.truncate(ADDRESSES_MAX / 2);
            contact.addresses.append(&mut told);
            contact.addresses.truncate(ADDRESSES_MAX);
        }
        step.contacts.insert(account);
        if newer || reachable {
            step.deliver.insert(account);
        }
    }

    /// Whether a contact's identity has signed another record under the number of the one that is known; that is told.
    pub(super) fn has_forked(&mut self, step: &mut Step<'_>, record: &Record) -> bool {
        let account = record.account_id();
        let known = self.contacts.get(&account).filter(|contact| !contact.has(record));
        let known = known.and_then(Contact::record);
        if !known.is_some_and(|known| record.compared_with(&known) == Succession::Forked) {
            return false;
        }
        let text = "A contact's identity has signed two different records under one number: the account is used \
                    in two places that don't know of each other, or by somebody else as well.";
        self.alert(step, "record.forked", Severity::Critical, Some(account.to_string()), text);
        true
    }
}
