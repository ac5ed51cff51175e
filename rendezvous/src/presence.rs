//! Who is online, and who wants to know. In memory only: it is never written down. Floor 1, pure.
//!
//! Somebody who is invisible is shown as offline since they went invisible, to everyone; somebody who
//! has said nothing yet is not shown either, so that connecting invisibly shows no flicker.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use libp2p::PeerId;
use secure_chat_protocol::id::{AccountId, Timestamp};
use secure_chat_protocol::wire::rendezvous::{Presence, PresenceStatus};

use crate::limits::LAST_SEEN_MAX;

/// The presences.
#[derive(Debug, Default)]
pub struct Presences {
    /// What each peer of an account said of itself; accounts without peers are not in it.
    said: HashMap<AccountId, BTreeMap<PeerId, PresenceStatus>>,
    /// Accounts that are shown as online or away.
    shown: BTreeMap<AccountId, PresenceStatus>,
    last_seen: HashMap<AccountId, Timestamp>,
    watchers: HashMap<AccountId, BTreeSet<PeerId>>,
    watching: HashMap<PeerId, BTreeSet<AccountId>>,
}

impl Presences {
    /// A peer says how its account is to be shown. Answers what watchers should hear, if it changed.
    pub fn set(
        &mut self,
        account: AccountId,
        peer: PeerId,
        status: PresenceStatus,
        now: Timestamp,
    ) -> Option<Presence> {
        self.said.entry(account).or_default().insert(peer, status);
        self.settle(account, now)
    }

    /// A peer is gone.
    pub fn leave(&mut self, account: AccountId, peer: PeerId, now: Timestamp) -> Option<Presence> {
        let peers = self.said.get_mut(&account)?;
        peers.remove(&peer);
        if peers.is_empty() {
            self.said.remove(&account);
        }
        self.settle(account, now)
    }

    /// An account is forgotten, and with it when it was last seen.
    pub fn forget(&mut self, account: AccountId, now: Timestamp) -> Option<Presence> {
        self.said.remove(&account);
        let changed = self.settle(account, now);
        self.last_seen.remove(&account);
        changed.map(|presence| Presence { last_seen: None, ..presence })
    }

    fn settle(&mut self, account: AccountId, now: Timestamp) -> Option<Presence> {
        let said = self.said.get(&account);
        let any = |status| said.is_some_and(|peers| peers.values().any(|said| *said == status));
        let status = if any(PresenceStatus::Online) {
            Some(PresenceStatus::Online)
        } else if any(PresenceStatus::Away) {
            Some(PresenceStatus::Away)
        } else {
            None
        };
        let before = self.shown.get(&account).copied();
        if before == status {
            return None;
        }
        match status {
            Some(status) => {
                self.shown.insert(account, status);
            }
            None => {
                self.shown.remove(&account);
            }
        }
        self.note_seen(account, now);
        Some(self.shown(&account))
    }

    fn note_seen(&mut self, account: AccountId, now: Timestamp) {
        if self.last_seen.len() >= LAST_SEEN_MAX
            && !self.last_seen.contains_key(&account)
            && let Some(other) = self.last_seen.keys().next().copied()
        {
            self.last_seen.remove(&other);
        }
        self.last_seen.insert(account, now);
    }

    /// How an account is shown.
    #[must_use]
    pub fn shown(&self, account: &AccountId) -> Presence {
        let status = self.shown.get(account).copied().unwrap_or(PresenceStatus::Offline);
        Presence { account: *account, status, last_seen: self.last_seen.get(account).copied() }
    }

    /// Accounts that are online or away, behind `after`, and whether there are more.
    #[must_use]
    pub fn online(&self, after: Option<AccountId>, limit: usize) -> (Vec<AccountId>, bool) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found: Vec<AccountId> = self
            .shown
            .range((from, Bound::Unbounded))
            .map(|(account, _)| *account)
            .take(limit.saturating_add(1))
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        (found, more)
    }

    /// How many are shown as online or away.
    #[must_use]
    pub fn online_count(&self) -> usize {
        self.shown.len()
    }

    /// From now on `peer` hears of these accounts, and of no others. Answers how they are shown now.
    pub fn watch(&mut self, peer: PeerId, accounts: &[AccountId]) -> Vec<Presence> {
        self.unwatch(&peer);
        for account in accounts {
            self.watchers.entry(*account).or_default().insert(peer);
        }
        if !accounts.is_empty() {
            self.watching.insert(peer, accounts.iter().copied().collect());
        }
        accounts.iter().map(|account| self.shown(account)).collect()
    }

    /// `peer` hears of nobody any more.
    pub fn unwatch(&mut self, peer: &PeerId) {
        for account in self.watching.remove(peer).unwrap_or_default() {
            if let Some(watchers) = self.watchers.get_mut(&account) {
                watchers.remove(peer);
                if watchers.is_empty() {
                    self.watchers.remove(&account);
                }
            }
        }
    }

    /// Who wants to hear of an account.
    pub fn watchers(&self, account: &AccountId) -> impl Iterator<Item = PeerId> + '_ {
        self.watchers.get(account).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PresenceStatus::{Away, Invisible, Offline, Online};

    const ALICE: AccountId = AccountId([1; 32]);
    const BOB: AccountId = AccountId([2; 32]);

    fn at(ms: u64) -> Timestamp {
        Timestamp(ms)
    }

    #[test]
    fn invisible_is_never_shown_and_connecting_invisibly_shows_nothing() {
        let (mut presences, peer) = (Presences::default(), PeerId::random());
        assert_eq!(presences.set(ALICE, peer, Invisible, at(5)), None);
        assert_eq!(presences.shown(&ALICE), Presence { account: ALICE, status: Offline, last_seen: None });
        assert_eq!(presences.online(None, 10), (vec![], false));
        presences.set(ALICE, peer, Online, at(6));
        let gone = presences.set(ALICE, peer, Invisible, at(7)).unwrap();
        assert_eq!((gone.status, gone.last_seen), (Offline, Some(at(7))), "as if they had left");
        assert_eq!(presences.leave(ALICE, peer, at(9)), None, "leaving invisibly shows nothing");
        assert_eq!(presences.shown(&ALICE).last_seen, Some(at(7)));
    }

    #[test]
    fn an_account_is_online_while_any_of_its_peers_is() {
        let (mut presences, phone, desk) = (Presences::default(), PeerId::random(), PeerId::random());
        assert_eq!(presences.set(ALICE, phone, Online, at(1)).unwrap().status, Online);
        assert_eq!(presences.set(ALICE, desk, Away, at(2)), None);
        assert_eq!(presences.leave(ALICE, phone, at(3)).unwrap().status, Away);
        let left = presences.leave(ALICE, desk, at(4)).unwrap();
        assert_eq!((left.status, left.last_seen), (Offline, Some(at(4))));
        assert!(presences.said.is_empty() && presences.shown.is_empty());
    }

    #[test]
    fn a_new_list_of_watched_accounts_replaces_the_old_one() {
        let (mut presences, peer) = (Presences::default(), PeerId::random());
        presences.watch(peer, &[ALICE]);
        presences.watch(peer, &[BOB]);
        assert_eq!(presences.watchers(&ALICE).count(), 0);
        assert_eq!(presences.watchers(&BOB).collect::<Vec<_>>(), vec![peer]);
        presences.unwatch(&peer);
        assert!(presences.watchers.is_empty() && presences.watching.is_empty());
    }

    #[test]
    fn pages_of_who_is_online_miss_nobody() {
        let mut presences = Presences::default();
        let all: Vec<AccountId> = (0..25_u8).map(|n| AccountId([n; 32])).collect();
        for account in &all {
            presences.set(*account, PeerId::random(), Online, at(1));
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (page, more) = presences.online(after, 10);
            after = page.last().copied();
            seen.extend(page);
            if !more {
                break;
            }
        }
        assert_eq!(seen, all);
    }
}
