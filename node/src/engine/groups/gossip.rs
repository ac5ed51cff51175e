//! What is published to those who are there, and where it goes on to from whoever received it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use secure_chat_protocol::id::{AccountId, GroupId};
use secure_chat_protocol::membership::GroupSecret;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::group::{GroupGossip, PassOn};

use super::Group;
use super::chat::Heard;
use crate::engine::state::{Open, rng};
use crate::engine::step::Step;
use crate::engine::work::Work;
use crate::messaging::group::GroupRow;
use crate::messaging::limits::GROUP_SUBSCRIBED_AFTER_MS;
use crate::network::PeerId;

/// Topics of all members that are listened to for one group: of the newest secrets, since
/// not everybody has the newest at the same time.
const TOPICS_PER_GROUP: usize = 3;
/// To so many members something is passed on one by one; for more there is the mesh.
const PASSED_ON_EACH_MAX: usize = 8;

fn secrets(row: &GroupRow) -> impl Iterator<Item = GroupSecret> {
    row.secrets.iter().rev().map(|kept| GroupSecret::from_wire(kept.secret.secret))
}

/// Where something that was published goes on to from here.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::engine) enum GoesOn {
    /// Its author reached all whom we could reach.
    Nowhere,
    /// To a few members alone, by their topics: others would have it twice.
    ToEach(Vec<String>),
    /// To the neighbours of the mesh of the topic on which it came.
    ToMesh,
}

impl GoesOn {
    /// From whoever is connected to these members, besides the one who sent it here, and received it on this
    /// topic: of all members, or their own.
    fn from_here(on: &PassOn, members: BTreeSet<&AccountId>, secret: &GroupSecret, topic: &str) -> Self {
        let concerned = on.concerned(members);
        let of_all = secret.topic();
        match concerned.len() {
            0 => Self::Nowhere,
            1..=PASSED_ON_EACH_MAX if *on != PassOn::All => {
                Self::ToEach(concerned.into_iter().map(|account| secret.topic_of(account)).collect())
            }
            _ if topic == of_all => Self::ToMesh,
            // The topic of one member has no mesh.
            _ => Self::ToEach(vec![of_all]),
        }
    }
}

impl Open {
    /// Listens to the topics of all groups, and to no others.
    pub(in crate::engine) fn follow_topics(&mut self, step: &mut Step<'_>) {
        self.gossip_with_members(step);
        let joined = self.groups.values().filter(|held| held.is_joined());
        let topics = |held: &Group, secret: GroupSecret| {
            [secret.topic(), secret.topic_of(&self.me)].map(|topic| (topic, held.row.group))
        };
        // Those of the secrets that count come first: if there are too many, older ones are not listened to.
        let (mut current, mut older) = (Vec::new(), Vec::new());
        for held in joined {
            current.extend(held.secret().into_iter().flat_map(|secret| topics(held, secret)));
            older.extend(secrets(&held.row).take(TOPICS_PER_GROUP).flat_map(|secret| topics(held, secret)));
        }
        current.append(&mut older);
        let wanted: HashMap<String, GroupId> = current.iter().cloned().collect();
        let old: Vec<String> = self.topics.keys().filter(|topic| !wanted.contains_key(*topic)).cloned().collect();
        let new = current.into_iter().map(|(topic, _)| topic).filter(|topic| !self.topics.contains_key(topic));
        let new: Vec<String> = new.collect();
        let before = std::mem::replace(&mut self.topics, wanted);
        if old.is_empty() && new.is_empty() {
            return;
        }
        step.topics_before.get_or_insert(before);
        let net = self.net.clone();
        step.work(async move {
            for topic in old {
                net.unsubscribe(topic).await;
            }
            for topic in new {
                if let Err(error) = net.subscribe(topic).await {
                    tracing::warn!(%error, "a group's topic can't be listened to");
                }
            }
            Work::Tried
        });
    }

    /// Publishes a message to those who are there.
    pub(super) fn publish(&mut self, step: &mut Step<'_>, group: GroupId, encoded: &[u8]) {
        let Some(held) = self.groups.get(&group) else { return };
        let (Some(secret), Some(view)) = (held.secret(), held.view()) else { return };
        let settled = Duration::from_millis(GROUP_SUBSCRIBED_AFTER_MS);
        let connected: BTreeSet<AccountId> = self.connected_since(settled).copied().collect();
        let there = |account: &&AccountId| **account == self.me || connected.contains(account);
        let unreached: Vec<AccountId> = view.members.keys().filter(|account| !there(account)).copied().collect();
        let gossip = GroupGossip { pass_on: PassOn::to(&unreached), message: Bytes(encoded.to_vec()) };
        let Ok(gossip) = gossip.encode() else { return };
        step.published.push((secret.topic(), secret.seal(&gossip, &mut rng())));
    }

    /// Publishes all of a step in the order in which it was said.
    pub(super) fn publish_all(&self, step: &mut Step<'_>) {
        let published = std::mem::take(&mut step.published);
        if published.is_empty() {
            return;
        }
        let net = self.net.clone();
        step.work(async move {
            for (topic, sealed) in published {
                if let Err(error) = net.publish(topic, sealed).await {
                    tracing::debug!(%error, "a group message was not published");
                }
            }
            Work::Tried
        });
    }

    /// Something came on a topic. Says where it goes on to: there may be members who have it from us alone.
    pub(in crate::engine) fn gossiped(
        &mut self,
        step: &mut Step<'_>,
        topic: &str,
        sealed: &[u8],
        forwarder: PeerId,
    ) -> GoesOn {
        let Some(group) = self.topics.get(topic).copied() else { return GoesOn::Nowhere };
        let Some(held) = self.groups.get(&group) else { return GoesOn::Nowhere };
        // Whoever was put out still knows the older secrets: what is sealed with one counts on its own topics alone.
        let is_its = |secret: &GroupSecret| secret.topic() == topic || secret.topic_of(&self.me) == topic;
        let opened = secrets(&held.row).filter(is_its).find_map(|secret| Some((secret.open(sealed)?, secret)));
        let Some((opened, secret)) = opened else { return GoesOn::Nowhere };
        let Ok(gossip) = GroupGossip::decode(&opened) else { return GoesOn::Nowhere };
        if matches!(self.hear(step, group, &gossip.message.0, None), Heard::Refused | Heard::Forged) {
            return GoesOn::Nowhere;
        }
        let Some(view) = self.groups.get(&group).and_then(Group::view) else { return GoesOn::Nowhere };
        let has_it = self.met.get(&forwarder).and_then(|met| met.account);
        let others = self.connected_since(Duration::ZERO).filter(|account| Some(**account) != has_it);
        let members: BTreeSet<&AccountId> = others.filter(|account| view.has(account)).collect();
        GoesOn::from_here(&gossip.pass_on, members, &secret, topic)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn what_others_lack_goes_on_from_here_wherever_it_came() {
        let accounts: Vec<AccountId> = (0..200).map(|name| AccountId([name; 32])).collect();
        let (me, others) = accounts.split_first().unwrap();
        let secret = GroupSecret::generate(&mut rng());
        let (of_all, mine) = (secret.topic(), secret.topic_of(me));
        let goes = |unreached: &[AccountId], connected: &[AccountId], topic: &str| {
            GoesOn::from_here(&PassOn::to(unreached), connected.iter().collect(), &secret, topic)
        };
        let each = |to: &[AccountId]| GoesOn::ToEach(to.iter().map(|account| secret.topic_of(account)).collect());
        for topic in [&of_all, &mine] {
            assert_eq!(goes(&others[..3], &others[3..], topic), GoesOn::Nowhere, "others reach them, or nobody");
            assert_eq!(goes(&others[..3], &others[1..], topic), each(&others[1..3]));
            assert_eq!(goes(&others[..30], &others[22..], topic), each(&others[22..30]));
            assert_eq!(goes(&others[..180], &[], topic), GoesOn::Nowhere);
        }
        // To more of them the mesh takes it; where it came on a topic of ours alone there is none.
        assert_eq!(goes(&others[..30], &others[21..], &of_all), GoesOn::ToMesh);
        assert_eq!(goes(&others[..30], &others[21..], &mine), GoesOn::ToEach(vec![of_all.clone()]));
        // Nobody was named: one by one, everybody would send it to those who have it.
        assert_eq!(goes(&others[..180], &others[..2], &of_all), GoesOn::ToMesh);
    }
}
