//! The own mailboxes at the homes: read, taken in, and acknowledged once durable.

use std::time::{Duration, Instant};

use secure_chat_protocol::wire::rendezvous::{Request, Response, StoredEnvelope};

use super::homes::ask;
use super::state::Open;
use super::step::Step;
use super::work::{HomeFault, Work};
use crate::messaging::limits::{
    ENVELOPE_DEFERRED_MS, ENVELOPES_DEFERRED_MAX, FETCH_BYTES, FETCH_FIRST_BYTES, RETRY_FIRST_MS,
};
use crate::network::{Address, NetworkHandle, PeerId};
use crate::store::Table;

async fn fetch(
    net: &NetworkHandle,
    home: &Address,
    after: u64,
    max_bytes: u32,
) -> Result<(Vec<StoredEnvelope>, bool), HomeFault> {
    match ask(net, home, Request::Fetch { after, max_bytes }).await? {
        Response::Mail { envelopes, more } => Ok((envelopes, more)),
        _ => Err(HomeFault::Nonsense),
    }
}

impl Open {
    /// Reads on in the mailbox at a home.
    pub(super) fn fetch_from(&mut self, step: &mut Step<'_>, peer: PeerId) {
        let Some(home) = self.homes.get_mut(&peer) else { return };
        if home.fetching {
            home.again = true;
            return;
        }
        (home.fetching, home.again) = (true, false);
        let max = if std::mem::take(&mut home.first) { FETCH_FIRST_BYTES } else { FETCH_BYTES };
        let (net, address, after) = (self.net.clone(), home.address.clone(), home.cursor);
        step.work(async move {
            let result = fetch(&net, &address, after, max).await;
            Work::Mail { home: address, result }
        });
    }

    /// Mail came: it is acknowledged at the home once it is durable here.
    pub(super) fn mail(
        &mut self,
        step: &mut Step<'_>,
        address: &Address,
        result: Result<(Vec<StoredEnvelope>, bool), HomeFault>,
    ) {
        let Some(peer) = address.peer_id() else { return };
        let Some(home) = self.homes.get_mut(&peer) else { return };
        home.fetching = false;
        let (envelopes, more) = match result {
            Ok(mail) => mail,
            Err(fault) => {
                tracing::debug!(fault = fault.sentence(), "a mailbox could not be read");
                let at = home.retry_later(fault.wait_ms());
                home.note(&fault, at);
                self.wake_at(at);
                return self.tell_network(step);
            }
        };
        home.failures = 0;
        let fresh: Vec<StoredEnvelope> = envelopes.into_iter().filter(|envelope| envelope.seq > home.cursor).collect();
        let again = std::mem::take(&mut home.again);
        let progressed = fresh.last().map(|envelope| home.cursor = envelope.seq).is_some();
        self.receive_mail(step, peer, fresh);
        self.acknowledge_mail(step, peer);
        if (more && progressed) || again {
            self.fetch_from(step, peer);
        } else if !more {
            self.drained = step.now;
            step.txn.put(Table::Meta, b"drained", &step.now.0.to_le_bytes());
        }
    }

    /// Takes envelopes in, and those before them that had to wait.
    fn receive_mail(&mut self, step: &mut Step<'_>, peer: PeerId, fresh: Vec<StoredEnvelope>) {
        let mut waiting = self.homes.get_mut(&peer).map(|home| std::mem::take(&mut home.deferred)).unwrap_or_default();
        let now = Instant::now();
        for envelope in fresh {
            if !self.receive_envelope(step, &envelope, false) {
                waiting.push((now, envelope));
            }
        }
        let too_many = waiting.len().saturating_sub(ENVELOPES_DEFERRED_MAX);
        let mut still = Vec::new();
        for (place, (since, envelope)) in waiting.into_iter().enumerate() {
            let last_try = place < too_many || since.elapsed() > Duration::from_millis(ENVELOPE_DEFERRED_MS);
            if !self.receive_envelope(step, &envelope, last_try) {
                still.push((since, envelope));
            }
        }
        if let Some(home) = self.homes.get_mut(&peer) {
            home.deferred = still;
            if !home.deferred.is_empty() {
                let at = now + Duration::from_millis(RETRY_FIRST_MS);
                home.retry_at = Some(at);
                self.wake_at(at);
            }
        }
    }

    /// Tells a home up to where its mail is durable here.
    fn acknowledge_mail(&mut self, step: &mut Step<'_>, peer: PeerId) {
        let Some(home) = self.homes.get_mut(&peer) else { return };
        let waiting = home.deferred.iter().map(|(_, envelope)| envelope.seq).min();
        let up_to = waiting.map_or(home.cursor, |first| first.saturating_sub(1));
        if up_to == 0 || up_to <= home.acknowledged {
            return;
        }
        home.acknowledged = up_to;
        let (net, address) = (self.net.clone(), home.address.clone());
        step.work(async move {
            let result = net.rendezvous(address.clone(), Request::Acknowledge { up_to }).await;
            Work::HomeTold { home: address, result }
        });
    }
}
