//! From a request to what is to be done: an answer at once, a change, a query, or a check that
//! leads to a change.

use libp2p::PeerId;
use rand::Rng;
use secure_chat_protocol::id::{AccountId, EnvelopeId, MailboxId};
use secure_chat_protocol::limits::{ADDRESSES_MAX, ENVELOPE_MAX_BYTES, KITS_MAX, RECORD_MAX_BYTES};
use secure_chat_protocol::sealed::token_hash;
use secure_chat_protocol::validate::check_address;
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{
    ACCOUNTS_MAX, NodeInfo, Payment, PresenceStatus, RECORDS_MAX, Refusal, Request, Response, TOKENS_PER_REQUEST_MAX,
    Who,
};

use crate::blobs::Slot;
use crate::door::{self, Stamped};
use crate::limits::FETCH_MAX_BYTES;
use crate::mailbox::{Deposit, Paid};
use crate::operation::{Change, Moment, Query};
use crate::server::chunks::Put;
use crate::server::desk::{Context, Desk, Peer};

/// A check that runs on a worker thread.
pub(super) type Check = Box<dyn FnOnce() -> Result<Change, Refusal> + Send>;

/// What is to be done with a request.
pub(super) enum Next {
    /// Answer it now.
    Answer(Response),
    /// Carry out a change, then answer.
    Change(Change),
    /// Read, then answer.
    Query(Query),
    /// Check, then carry out what comes of it.
    Check(Check),
    /// Store a chunk of a blob, then answer.
    Put(Put),
    /// Read a chunk of a blob, then answer.
    Get(Slot),
}

pub(super) type Step = Result<(Next, Context), Refusal>;

fn answer(response: Response) -> Step {
    Ok((Next::Answer(response), Context::Plain))
}

pub(super) fn change(change: Change) -> Step {
    Ok((Next::Change(change), Context::Plain))
}

pub(super) fn query(query: Query) -> Step {
    Ok((Next::Query(query), Context::Plain))
}

impl Desk {
    /// Takes a request.
    pub(super) fn request(&mut self, peer: PeerId, request: Request, at: Moment) -> (Next, Context) {
        self.asked(&peer, at);
        self.metrics.request(&request);
        if let Some(witness) = &self.witness {
            // Nobody may watch any more.
            let _ = witness.send((peer.to_string(), request.clone()));
        }
        self.take(peer, request, at)
            .unwrap_or_else(|refusal| (Next::Answer(Response::Refused(refusal)), Context::Plain))
    }

    fn take(&mut self, peer: PeerId, request: Request, at: Moment) -> Step {
        let origin = self.peers.get(&peer).and_then(|peer| peer.origin);
        self.quotas.request(peer, origin, &request, at.lived_ms)?;
        match request {
            Request::Info => answer(Response::Info(self.info(at))),
            Request::Register { record } => self.register(peer, record, at),
            Request::Unregister => change(Change::Unregister(self.account(&peer)?)),
            Request::Announce { addresses } => self.announce(peer, addresses),
            Request::Lookup(who) => self.lookup(peer, who, at),
            Request::Online { after, limit } => self.online(peer, after, limit),
            Request::SetPresence(status) => self.set_presence(peer, status, at),
            Request::Watch { accounts } => self.watch(peer, &accounts),
            Request::PublishPreKeys { signed, kits, replace } => self.publish(peer, signed, kits, replace, at),
            Request::TakeBundle { account } => {
                // Whoever is registered elsewhere may start a session too, but takes no kit.
                let with_kit = self.quotas.bundle(peer, account, at.lived_ms)? && self.account(&peer).is_ok();
                change(Change::TakeBundle { account, with_kit })
            }
            Request::Challenge => self.challenge(peer),
            Request::OpenMailbox { auth_key, signature } => self.open_mailbox(peer, auth_key, signature, at),
            Request::AddTokens { hashes } => self.add_tokens(peer, &hashes, at),
            Request::Fetch { after, max_bytes } => {
                let max_bytes = (max_bytes as usize).min(FETCH_MAX_BYTES);
                query(Query::Fetch { mailbox: self.mailbox(&peer)?, after, max_bytes })
            }
            Request::Acknowledge { up_to } => change(Change::Acknowledge { mailbox: self.mailbox(&peer)?, up_to }),
            Request::Deposit { mailbox, payment, id, sealed } => {
                self.deposit(peer, mailbox, &payment, id, sealed.0, at)
            }
            Request::Directory(request) => self.directory(peer, request, at),
            Request::GroupLog(request) => self.group_log(peer, request, at),
            Request::Blob(request) => self.blob(peer, request, at),
        }
    }

    pub(super) fn account(&self, peer: &PeerId) -> Result<AccountId, Refusal> {
        self.peers.get(peer).and_then(|peer| peer.account).ok_or(Refusal::NotRegistered)
    }

    fn mailbox(&self, peer: &PeerId) -> Result<MailboxId, Refusal> {
        self.peers.get(peer).and_then(|peer| peer.mailbox).ok_or(Refusal::NoMailboxOpened)
    }

    fn peer(&mut self, peer: &PeerId) -> Result<&mut Peer, Refusal> {
        self.peers.get_mut(peer).ok_or(Refusal::Internal)
    }

    fn info(&self, at: Moment) -> NodeInfo {
        NodeInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: at.wall,
            envelope_max_bytes: u32::try_from(ENVELOPE_MAX_BYTES).unwrap_or(u32::MAX),
            work_bits: self.quotas.price.bits(None, at.lived_ms),
        }
    }

    fn register(&mut self, peer: PeerId, record: Bytes, at: Moment) -> Step {
        if record.0.len() > RECORD_MAX_BYTES {
            return Err(Refusal::Invalid);
        }
        let origin = self.peer(&peer)?.origin;
        self.quotas.newcomer(origin, at.lived_ms)?;
        let check: Check =
            Box::new(move || door::claim(record.0, &peer).map(|claim| Change::Register(Box::new(claim))));
        Ok((Next::Check(check), Context::Newcomer))
    }

    fn announce(&mut self, peer: PeerId, addresses: Vec<String>) -> Step {
        self.account(&peer)?;
        if addresses.len() > ADDRESSES_MAX || addresses.iter().any(|address| check_address(address).is_err()) {
            return Err(Refusal::Invalid);
        }
        self.peer(&peer)?.addresses = addresses;
        answer(Response::Done)
    }

    fn lookup(&mut self, peer: PeerId, who: Who, at: Moment) -> Step {
        // Whoever has an account's id has it from its owner: only names are for those who gave theirs.
        if matches!(who, Who::Name(_)) {
            self.account(&peer)?;
        }
        self.quotas.lookup(peer, &who, at.lived_ms)?;
        if matches!(&who, Who::Accounts(accounts) if accounts.len() > RECORDS_MAX) {
            return Err(Refusal::Invalid);
        }
        query(Query::Lookup(who))
    }

    fn online(&mut self, peer: PeerId, after: Option<AccountId>, limit: u16) -> Step {
        self.account(&peer)?;
        let (accounts, more) = self.presences.online(after, usize::from(limit).clamp(1, RECORDS_MAX));
        query(Query::Records { accounts, more })
    }

    fn set_presence(&mut self, peer: PeerId, status: PresenceStatus, at: Moment) -> Step {
        let account = self.account(&peer)?;
        if let Some(changed) = self.presences.set(account, peer, status, at.wall) {
            self.tell_watchers(changed);
        }
        answer(Response::Done)
    }

    fn watch(&mut self, peer: PeerId, accounts: &[AccountId]) -> Step {
        self.account(&peer)?;
        if accounts.len() > ACCOUNTS_MAX {
            return Err(Refusal::Invalid);
        }
        answer(Response::Presence(self.presences.watch(peer, accounts)))
    }

    fn publish(&mut self, peer: PeerId, signed: Bytes, kits: Vec<Bytes>, replace: bool, at: Moment) -> Step {
        let account = self.account(&peer)?;
        if kits.len() > KITS_MAX {
            return Err(Refusal::Invalid);
        }
        let bytes = kits.iter().fold(signed.0.len(), |sum, kit| sum.saturating_add(kit.0.len()));
        self.quotas.store(peer, bytes, at.lived_ms)?;
        let owner = self.peer(&peer)?.identity.clone().ok_or(Refusal::NotRegistered)?;
        let check: Check = Box::new(move || {
            let kits = door::prekeys(&owner, &signed.0, kits, at.wall)?;
            Ok(Change::Publish { account, signed: signed.0, kits, replace })
        });
        Ok((Next::Check(check), Context::Plain))
    }

    fn challenge(&mut self, peer: PeerId) -> Step {
        let mut challenge = [0; 32];
        self.rng.fill_bytes(&mut challenge);
        self.peer(&peer)?.challenge = Some(challenge);
        answer(Response::Challenge(Fixed(challenge)))
    }

    fn open_mailbox(&mut self, peer: PeerId, auth_key: Fixed<32>, signature: Fixed<64>, at: Moment) -> Step {
        let challenge = self.peer(&peer)?.challenge.take().ok_or(Refusal::Invalid)?;
        let origin = self.peer(&peer)?.origin;
        self.quotas.newcomer(origin, at.lived_ms)?;
        let server = self.server;
        let check: Check =
            Box::new(move || door::mailbox_owner(&auth_key, &server, &peer, &challenge, &signature).map(Change::Open));
        Ok((Next::Check(check), Context::Newcomer))
    }

    fn add_tokens(&mut self, peer: PeerId, hashes: &[Fixed<32>], at: Moment) -> Step {
        let mailbox = self.mailbox(&peer)?;
        if hashes.len() > TOKENS_PER_REQUEST_MAX {
            return Err(Refusal::Invalid);
        }
        self.quotas.store(peer, hashes.len().saturating_mul(32), at.lived_ms)?;
        change(Change::AddTokens { mailbox, hashes: hashes.iter().map(|hash| hash.0).collect() })
    }

    fn deposit(
        &mut self,
        peer: PeerId,
        mailbox: MailboxId,
        payment: &Payment,
        id: EnvelopeId,
        sealed: Vec<u8>,
        at: Moment,
    ) -> Step {
        if sealed.len() > ENVELOPE_MAX_BYTES {
            let limit_bytes = u32::try_from(ENVELOPE_MAX_BYTES).unwrap_or(u32::MAX);
            return Err(Refusal::TooLarge { limit_bytes });
        }
        let origin = self.peers.get(&peer).and_then(|peer| peer.origin);
        let price = self.quotas.price.bits(Some(&mailbox.0), at.lived_ms);
        match *payment {
            Payment::Token(token) => {
                self.quotas.contact(peer, origin, sealed.len(), at.lived_ms)?;
                let paid = Paid::Token { hash: token_hash(&token).0, work_bits: price };
                change(Change::Deposit(Deposit { mailbox, id, sealed, paid }))
            }
            Payment::Work { hour, nonce } => {
                self.quotas.stranger(origin, at.lived_ms)?;
                let bits = self.quotas.price.accepted_bits(&mailbox.0, at.lived_ms);
                let (server, now) = (self.server, at.wall);
                let check: Check = Box::new(move || {
                    let stamped = Stamped { server: &server, mailbox: &mailbox, id: &id, sealed: &sealed, hour, nonce };
                    door::stamp(&stamped, bits, price, now)?;
                    Ok(Change::Deposit(Deposit { mailbox, id, sealed, paid: Paid::Work }))
                });
                Ok((Next::Check(check), Context::Stranger(mailbox)))
            }
        }
    }
}
