//! All the buckets of a node: who may ask how much of what.

use libp2p::PeerId;
use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::wire::rendezvous::{Refusal, Request, Who};

use crate::config::Rates;
use crate::quota::{Bucket, Buckets, Rate, SlowDown, WorkPrice};
use crate::server::gate::Origin;

/// Requests that everybody of the watchers hears of, or that write much, count as so many.
const LOUD_REQUEST_COST: u64 = 10;

/// A search of the directory costs what looking up so many people does.
const SEARCH_COST: u64 = 5;

/// The buckets.
#[derive(Debug)]
pub(super) struct Quotas {
    requests_per_peer: Buckets<PeerId>,
    requests_per_address: Buckets<Origin>,
    requests_in_all: (Bucket, Rate),
    lookups_per_peer: Buckets<PeerId>,
    bundles_per_peer: Buckets<PeerId>,
    kits_per_account: Buckets<AccountId>,
    deposit_bytes_per_peer: Buckets<PeerId>,
    deposit_bytes_per_address: Buckets<Origin>,
    strangers_per_address: Buckets<Origin>,
    stored_bytes_per_peer: Buckets<PeerId>,
    blob_bytes_per_peer: Buckets<PeerId>,
    blob_bytes_per_address: Buckets<Origin>,
    /// New registrations and mailboxes from one address.
    pub newcomers: Buckets<Origin>,
    /// What a stranger's deposit costs.
    pub price: WorkPrice,
}

impl From<SlowDown> for Refusal {
    fn from(slow_down: SlowDown) -> Self {
        Self::SlowDown { retry_after_ms: slow_down.retry_after_ms }
    }
}

impl Quotas {
    /// Nobody asked yet.
    #[must_use]
    pub(super) fn new(rates: &Rates) -> Self {
        Self {
            requests_per_peer: Buckets::new(rates.requests_per_peer),
            requests_per_address: Buckets::new(rates.requests_per_address),
            requests_in_all: (Bucket::full(rates.requests_in_all, 0), rates.requests_in_all),
            lookups_per_peer: Buckets::new(rates.lookups_per_peer),
            bundles_per_peer: Buckets::new(rates.bundles_per_peer),
            kits_per_account: Buckets::new(rates.kits_per_account),
            deposit_bytes_per_peer: Buckets::new(rates.deposit_bytes_per_peer),
            deposit_bytes_per_address: Buckets::new(rates.deposit_bytes_per_address),
            strangers_per_address: Buckets::new(rates.strangers_per_address),
            stored_bytes_per_peer: Buckets::new(rates.stored_bytes_per_peer),
            blob_bytes_per_peer: Buckets::new(rates.blob_bytes_per_peer),
            blob_bytes_per_address: Buckets::new(rates.blob_bytes_per_address),
            newcomers: Buckets::new(rates.newcomers_per_address),
            price: WorkPrice::new(rates.strangers_per_mailbox, rates.strangers_in_all),
        }
    }

    /// Charges a request as such.
    ///
    /// # Errors
    /// [`SlowDown`]
    pub(super) fn request(
        &mut self,
        peer: PeerId,
        origin: Option<Origin>,
        request: &Request,
        now_ms: u64,
    ) -> Result<(), SlowDown> {
        let cost = match request {
            Request::SetPresence(_) | Request::Watch { .. } | Request::Online { .. } | Request::Unregister => {
                LOUD_REQUEST_COST
            }
            _ => 1,
        };
        self.requests_per_peer.take(peer, cost, now_ms)?;
        if let Some(origin) = origin {
            self.requests_per_address.take(origin, cost, now_ms)?;
        }
        let (bucket, rate) = &mut self.requests_in_all;
        bucket.take(*rate, cost, now_ms)
    }

    /// Charges a lookup.
    ///
    /// # Errors
    /// [`SlowDown`]
    pub(super) fn lookup(&mut self, peer: PeerId, who: &Who, now_ms: u64) -> Result<(), SlowDown> {
        let people = match who {
            // A name may be a guess: it costs what finding ten known people does.
            Who::Name(_) => 10,
            Who::Accounts(accounts) => accounts.len() as u64,
        };
        self.lookups_per_peer.take(peer, people.div_ceil(10), now_ms)
    }

    /// Charges a bundle; answers whether it may come with a one-time kit.
    ///
    /// # Errors
    /// [`SlowDown`]
    pub(super) fn bundle(&mut self, peer: PeerId, of: AccountId, now_ms: u64) -> Result<bool, SlowDown> {
        self.bundles_per_peer.take(peer, 1, now_ms)?;
        Ok(self.kits_per_account.take(of, 1, now_ms).is_ok())
    }

    /// Charges a contact's deposit.
    ///
    /// # Errors
    /// [`SlowDown`]
    pub(super) fn contact(
        &mut self,
        peer: PeerId,
        origin: Option<Origin>,
        bytes: usize,
        now_ms: u64,
    ) -> Result<(), SlowDown> {
        self.deposit_bytes_per_peer.take(peer, bytes as u64, now_ms)?;
        origin.map_or(Ok(()), |origin| self.deposit_bytes_per_address.take(origin, bytes as u64, now_ms))
    }

    /// Charges a search of the directory.
    ///
    /// # Errors
    /// [`SlowDown`]
    pub(super) fn search(&mut self, peer: PeerId, now_ms: u64) -> Result<(), SlowDown> {
        self.lookups_per_peer.take(peer, SEARCH_COST, now_ms)
    }

    /// Charges a chunk that comes or goes.
    ///
    /// # Errors
    /// [`SlowDown`]
    pub(super) fn blob(
        &mut self,
        peer: PeerId,
        origin: Option<Origin>,
        bytes: usize,
        now_ms: u64,
    ) -> Result<(), SlowDown> {
        self.blob_bytes_per_peer.take(peer, bytes as u64, now_ms)?;
        origin.map_or(Ok(()), |origin| self.blob_bytes_per_address.take(origin, bytes as u64, now_ms))
    }

    /// Gives back what was charged for bytes of a chunk that were none.
    pub(super) fn blob_unread(&mut self, peer: PeerId, origin: Option<Origin>, bytes: usize) {
        self.blob_bytes_per_peer.give(&peer, bytes as u64);
        if let Some(origin) = origin {
            self.blob_bytes_per_address.give(&origin, bytes as u64);
        }
    }

    /// Charges a stranger's deposit.
    ///
    /// # Errors
    /// [`SlowDown`]
    pub(super) fn stranger(&mut self, origin: Option<Origin>, now_ms: u64) -> Result<(), SlowDown> {
        origin.map_or(Ok(()), |origin| self.strangers_per_address.take(origin, 1, now_ms))
    }

    /// Charges what may make something new.
    ///
    /// # Errors
    /// [`SlowDown`]
    pub(super) fn newcomer(&mut self, origin: Option<Origin>, now_ms: u64) -> Result<(), SlowDown> {
        origin.map_or(Ok(()), |origin| self.newcomers.take(origin, 1, now_ms))
    }

    /// Charges what a peer has stored for itself: tokens and prekeys.
    ///
    /// # Errors
    /// [`SlowDown`]
    pub(super) fn store(&mut self, peer: PeerId, bytes: usize, now_ms: u64) -> Result<(), SlowDown> {
        self.stored_bytes_per_peer.take(peer, bytes as u64, now_ms)
    }
}
