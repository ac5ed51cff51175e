//! What is due by time: receipts, retries, maintenance of keys, sweeps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use secure_chat_protocol::crypto::ed25519::SigningKey;
use secure_chat_protocol::id::{AccountId, MessageId, Timestamp};
use secure_chat_protocol::limits::DAY_MS;
use secure_chat_protocol::record::{Record, RecordFields, peer_binding};
use secure_chat_protocol::sealed::MailboxKeys;

use super::audit::Severity;
use super::state::{Open, rng, secret};
use super::step::Step;
use crate::api::{At, TrafficPoint};
use crate::messaging::contact::Standing;
use crate::messaging::limits::{
    CONNECT_AT_ONCE_MAX, CONNECT_EVERY_MS, MAINTENANCE_EVERY_MS, OUTBOX_EXPIRES_MS, TRAFFIC_EVERY_MS,
    TRAFFIC_POINTS_MAX,
};
use crate::stack::wiping_with;
use crate::store::Table;

/// Rows that one sweep takes out.
const SWEEP_ROWS: usize = 2_000;

impl Open {
    /// Does what is due, and says when to come back.
    pub(super) fn tick(&mut self, step: &mut Step<'_>) {
        let now = Instant::now();
        self.due = now + Duration::from_millis(CONNECT_EVERY_MS);
        if self.next_traffic <= now {
            self.next_traffic = now + Duration::from_millis(TRAFFIC_EVERY_MS);
            self.note_traffic(step);
        }
        if self.next_connect <= now {
            self.next_connect = now + Duration::from_millis(CONNECT_EVERY_MS);
            self.seek_contacts(step);
        }
        if self.next_seek <= now {
            self.next_seek = now + self.seek_pause;
            self.seek_pause = self.seek_pause.saturating_mul(2).min(Duration::from_millis(CONNECT_EVERY_MS));
            self.seek_all_neighbours(step);
        }
        if self.next_maintenance <= now {
            self.next_maintenance = now + Duration::from_millis(MAINTENANCE_EVERY_MS);
            self.maintain(step);
        }
        if self.recover_at.take_if(|at| *at <= now).is_some() {
            self.recover(step);
        }
        self.retry_homes(step);
        let owed: Vec<AccountId> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.receipts_at.is_some_and(|at| at <= now))
            .map(|(account, _)| *account)
            .collect();
        for account in owed {
            self.send_receipts(step, account);
        }
        self.replace_sessions(step);
        self.ask_for_records(step);
        self.tick_groups(step);
        self.tend_files(step);
        step.deliver.extend(self.outbox.recipients());
        let lanes =
            self.lanes.values().flat_map(|lane| [lane.receipts_at, lane.not_before, lane.deposit_not_before]).flatten();
        let homes = self.homes.values().filter_map(|home| home.retry_at);
        let waits = lanes.chain(homes).chain(self.recover_at).filter(|at| *at > now);
        let first =
            waits.chain([self.next_maintenance, self.next_connect, self.next_seek]).chain(self.files.next()).min();
        if let Some(first) = first {
            self.wake_at(first);
        }
    }

    fn note_traffic(&mut self, step: &Step<'_>) {
        let (received, sent) = self.net.traffic();
        let (before_in, before_out) = std::mem::replace(&mut self.traffic_total, (received, sent));
        let point = TrafficPoint {
            at: At(step.now),
            bytes_in: received.saturating_sub(before_in),
            bytes_out: sent.saturating_sub(before_out),
        };
        if point.bytes_in > 0 || point.bytes_out > 0 {
            self.traffic.push_back(point);
            if self.traffic.len() > TRAFFIC_POINTS_MAX {
                self.traffic.pop_front();
            }
        }
    }

    /// Tries contacts that are not connected and of whom no home tells, a few at a time.
    fn seek_contacts(&mut self, step: &mut Step<'_>) {
        let lonely = self.contacts.values().filter(|contact| {
            contact.standing == Standing::Accepted && !contact.blocked && !contact.addresses.is_empty()
        });
        let lonely: Vec<AccountId> = lonely
            .map(|contact| contact.account)
            .filter(|account| {
                !self.is_connected(*account)
                    && !self.presence.contains_key(account)
                    && !self.lanes.get(account).is_some_and(|lane| lane.must_wait())
            })
            .take(CONNECT_AT_ONCE_MAX)
            .collect();
        for account in lonely {
            self.reach(step, account);
        }
        let owed =
            self.contacts.values().filter(|contact| !contact.receipts_due.is_empty()).map(|contact| contact.account);
        let owed: Vec<AccountId> =
            owed.filter(|account| self.lanes.get(account).is_none_or(|lane| lane.receipts_at.is_none())).collect();
        for account in owed {
            self.send_receipts(step, account);
        }
    }

    /// Looks after keys and sweeps what is over; not while the clock is in doubt.
    fn maintain(&mut self, step: &mut Step<'_>) {
        self.sum_up_repeats(step, false);
        if !self.note_time(step) {
            return;
        }
        self.expire_sessions(step);
        let changes = self.prekeys.maintain(&self.identity, step.now, &mut rng());
        if changes.rotated {
            let text = "The signed prekey, with which others begin sessions, was replaced.";
            self.audit(step, "session.rotated", Severity::Info, text);
        }
        if changes.any() {
            step.prekeys = true;
            self.register_everywhere(step);
        }
        self.maintain_mailbox(step);
        let today = u32::try_from(step.now.0 / DAY_MS).unwrap_or(u32::MAX);
        if let Err(error) = step.txn.expire(Table::Seen, today, SWEEP_ROWS) {
            tracing::warn!(%error, "the vault could not be swept");
        }
        self.maintain_groups(step, today);
        let over: Vec<MessageId> =
            self.requests.values_mut().filter_map(|request| request.expire(step.now).then_some(request.id)).collect();
        for id in over {
            self.store_request(step, id);
        }
        self.forget_strangers(step);
        let before = Timestamp(step.now.0.saturating_sub(OUTBOX_EXPIRES_MS));
        for row in self.outbox.older_than(before) {
            self.give_up(step, row, "It could not be delivered for 30 days.");
        }
        let vault = Arc::clone(&self.vault);
        let now = step.now;
        step.work(async move {
            let kept = crate::stack::spawn_blocking(wiping_with(vault, move |vault| vault.rotate(now))).await;
            if let Ok(Err(error)) = kept {
                tracing::warn!(%error, "the daily key could not be replaced");
            }
            super::work::Work::Tried
        });
    }

    fn maintain_mailbox(&mut self, step: &mut Step<'_>) {
        let Ok(mut keys) = MailboxKeys::from_secret_bytes(self.mailbox.to_secret_bytes().expose()) else { return };
        if keys.maintain(step.now, self.drained, &mut rng()) {
            step.txn.put(Table::Meta, b"mailbox", keys.to_secret_bytes().expose());
            self.mailbox = Arc::new(keys);
            step.new_record = true;
        }
    }

    /// Signs the next record without telling anybody.
    pub(super) fn renew_record_quietly(&mut self, step: &mut Step<'_>) {
        let key = SigningKey::from_seed(&secret(&self.peer_seed));
        let fields = RecordFields {
            peers: vec![peer_binding(&key, self.me)],
            mailbox: Some(self.mailbox.descriptor(&self.identity)),
            ..self.record.to_fields()
        };
        if let Ok(record) = Record::create(&self.identity, fields, Some(&self.record), step.now) {
            step.txn.put(Table::Meta, b"record", record.encoded());
            self.record = record;
        }
    }
}
