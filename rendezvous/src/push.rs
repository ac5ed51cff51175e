//! What waits to be pushed to one peer. News of the same kind replaces older news, and one push is
//! under way at a time: a slow peer costs a bounded amount of memory. Floor 1, pure.

use std::collections::BTreeMap;

use secure_chat_protocol::id::AccountId;
use secure_chat_protocol::wire::rendezvous::{ACCOUNTS_MAX, Presence, Push};

/// The queue of one peer.
#[derive(Debug, Default)]
pub(crate) struct PushQueue {
    presences: BTreeMap<AccountId, Presence>,
    mail: Option<u64>,
    kits_left: Option<u32>,
    under_way: Option<Push>,
    failures: u32,
}

impl PushQueue {
    /// Somebody's presence changed.
    pub(crate) fn presence(&mut self, presence: Presence) {
        if self.presences.len() < ACCOUNTS_MAX || self.presences.contains_key(&presence.account) {
            self.presences.insert(presence.account, presence);
        }
    }

    /// Something came in.
    pub(crate) fn mail(&mut self, waiting: u64) {
        self.mail = Some(waiting);
    }

    /// Few kits are left.
    pub(crate) fn kits_low(&mut self, left: u32) {
        self.kits_left = Some(left);
    }

    /// What to send now; nothing while another push is under way. Mail goes first.
    pub(crate) fn next(&mut self) -> Option<Push> {
        if self.under_way.is_some() {
            return None;
        }
        let push = if let Some(waiting) = self.mail.take() {
            Push::Mail { waiting }
        } else if !self.presences.is_empty() {
            Push::Presence(std::mem::take(&mut self.presences).into_values().collect())
        } else {
            Push::KitsLow { left: self.kits_left.take()? }
        };
        self.under_way = Some(push.clone());
        Some(push)
    }

    /// The push under way was seen.
    pub(crate) fn seen(&mut self) {
        self.under_way = None;
        self.failures = 0;
    }

    /// The push under way failed: it waits again, unless newer news took its place. Answers how many
    /// failed one after another.
    pub(crate) fn failed(&mut self) -> u32 {
        match self.under_way.take() {
            Some(Push::Mail { waiting }) => self.mail = self.mail.or(Some(waiting)),
            Some(Push::KitsLow { left }) => self.kits_left = self.kits_left.or(Some(left)),
            Some(Push::Presence(presences)) => {
                for presence in presences {
                    self.presences.entry(presence.account).or_insert(presence);
                }
            }
            None => {}
        }
        self.failures = self.failures.saturating_add(1);
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_chat_protocol::wire::rendezvous::PresenceStatus;

    fn presence(account: u8, status: PresenceStatus) -> Presence {
        Presence { account: AccountId([account; 32]), status, last_seen: None }
    }

    #[test]
    fn news_while_a_push_is_under_way_is_joined_into_one() {
        let mut queue = PushQueue::default();
        queue.mail(1);
        assert_eq!(queue.next(), Some(Push::Mail { waiting: 1 }));
        for waiting in 2..100 {
            queue.mail(waiting);
        }
        assert_eq!(queue.next(), None);
        queue.seen();
        assert_eq!(queue.next(), Some(Push::Mail { waiting: 99 }));
        queue.seen();
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn a_failed_push_is_sent_again_but_never_over_newer_news() {
        let mut queue = PushQueue::default();
        queue.presence(presence(1, PresenceStatus::Online));
        queue.presence(presence(2, PresenceStatus::Online));
        assert!(queue.next().is_some());
        queue.presence(presence(1, PresenceStatus::Offline));
        assert_eq!(queue.failed(), 1);
        let both = vec![presence(1, PresenceStatus::Offline), presence(2, PresenceStatus::Online)];
        assert_eq!(queue.next(), Some(Push::Presence(both)));
        queue.seen();
        assert_eq!(queue.next(), None);
    }
}
