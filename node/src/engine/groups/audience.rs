//! With whom gossip is exchanged: those who share a group. Topics say nothing to
//! others, but which of them one listens to, and when one writes, would.

use std::collections::{BTreeSet, HashSet};

use secure_chat_protocol::id::AccountId;

use super::Group;
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::engine::work::Work;
use crate::network::PeerId;

impl Open {
    /// Lets all members of all groups hear what is published, and nobody else.
    pub(in crate::engine) fn gossip_with_members(&self, step: &mut Step<'_>) {
        let joined = self.groups.values().filter(|held| held.is_joined());
        let members: BTreeSet<AccountId> =
            joined.filter_map(Group::view).flat_map(|view| view.members.keys().copied()).collect();
        let named = members.iter().filter_map(|account| self.contacts.get(account)).flat_map(|contact| &contact.peers);
        let mut peers: HashSet<PeerId> = named.filter_map(|key| PeerId::from_ed25519(key.0).ok()).collect();
        let there = self.met.iter().filter(|(_, met)| met.account.is_some_and(|account| members.contains(&account)));
        peers.extend(there.map(|(peer, _)| *peer));
        let told = self.net.gossip_with(peers);
        step.work(async move {
            told.await;
            Work::Tried
        });
    }
}
