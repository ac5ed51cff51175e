//! Groups in the simulation: people join, talk, leave and are removed while others
//! are away or dead, and while the network is cut in two; in the end everybody must agree on who is in, and have
//! everything that was said while they were.

mod partition;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::RngExt;
use rand::seq::IteratorRandom;
use rand_chacha::ChaCha8Rng;
use secure_chat_node::api::{GroupState, JoinPolicy, NodeHandle};
use serde::Serialize;

use crate::world::World;

/// Longer than anything should take, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(90);
/// Members of one group at its beginning.
const MEMBERS: usize = 6;
/// Messages of one group in one round.
const SENT_A_ROUND: usize = 6;

/// What was said in a group, and who was in it then.
struct Said {
    from: usize,
    text: String,
    readers: BTreeSet<usize>,
}

/// A group, as it should be.
struct Circle {
    group: String,
    owner: usize,
    members: BTreeSet<usize>,
    /// Who was removed or left, and how much had been said by then.
    gone: Vec<(usize, usize)>,
    /// Who was out, or not in yet, when which message was sent during a partition.
    hidden: Vec<(usize, usize)>,
    said: Vec<Said>,
}

/// All groups.
#[derive(Default)]
pub(crate) struct Circles(Vec<Circle>);

/// What came of the groups.
#[derive(Debug, Default, Serialize)]
pub(crate) struct GroupReport {
    pub(crate) groups: usize,
    pub(crate) sent: usize,
    /// Each message counts once for each member who was to read it.
    pub(crate) expected: usize,
    pub(crate) delivered: usize,
    pub(crate) duplicated: usize,
    /// Groups whose members name one membership.
    pub(crate) agreed: usize,
    /// Messages that somebody has who was out when they were sent.
    pub(crate) read_by_removed: usize,
    /// Partitions with members on both sides.
    pub(crate) partitions: usize,
    /// Those in which the two sides came to name different memberships.
    pub(crate) apart: usize,
    /// Those after which all came to name one again.
    pub(crate) healed: usize,
    /// The longest time that this took, in milliseconds.
    pub(crate) healing_ms: u64,
}

impl GroupReport {
    pub(crate) fn is_good(&self) -> bool {
        self.delivered == self.expected
            && self.duplicated == 0
            && self.agreed == self.groups
            && self.read_by_removed == 0
            && self.apart == self.partitions
            && self.healed == self.partitions
    }
}

async fn state(handle: &NodeHandle, group: &str) -> anyhow::Result<Option<(GroupState, String)>> {
    let groups = handle.groups_list().await?.groups;
    Ok(groups.into_iter().find(|row| row.group_id == group).map(|row| (row.state, row.view)))
}

async fn texts(handle: &NodeHandle, group: &str) -> anyhow::Result<Vec<String>> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = handle.groups_history(group, before.clone(), Some(500_u32)).await?;
        before = page.messages.first().map(|message| message.message_id.clone());
        all.extend(page.messages.into_iter().map(|message| message.text));
        if !page.more {
            return Ok(all);
        }
    }
}

impl Circles {
    /// Makes groups, in which people come by link.
    pub(crate) async fn start(world: &World, count: u16, random: &mut ChaCha8Rng) -> anyhow::Result<Self> {
        let mut circles = Self::default();
        for number in 0..count {
            let owner = random.random_range(0..world.peers.len());
            let handle = world.handle(owner)?;
            let made =
                handle.groups_create(format!("Group {number}"), None::<String>, false, JoinPolicy::Invite).await?;
            let mut circle = Circle {
                group: made.group_id,
                owner,
                members: BTreeSet::from([owner]),
                gone: Vec::new(),
                hidden: Vec::new(),
                said: Vec::new(),
            };
            let others = (0..world.peers.len()).filter(|peer| *peer != owner);
            for other in others.sample(random, MEMBERS.saturating_sub(1)) {
                circle.join(world, other).await?;
            }
            circles.0.push(circle);
        }
        Ok(circles)
    }

    /// A group and those who are in it, if there is one that is large enough; another one for each number.
    pub(crate) fn with_members(&self, least: usize, number: usize) -> Option<(String, Vec<usize>)> {
        let large: Vec<&Circle> = self.0.iter().filter(|circle| circle.members.len() >= least).collect();
        let circle = large.get(number.checked_rem(large.len())?)?;
        Some((circle.group.clone(), circle.members.iter().copied().collect()))
    }

    /// One round: those who are there talk, and now and then somebody goes.
    pub(crate) async fn round(&mut self, world: &World, round: u32, random: &mut ChaCha8Rng) -> anyhow::Result<()> {
        for circle in &mut self.0 {
            circle.talk(world, SENT_A_ROUND / 2, random).await?;
            match round % 4 {
                1 => circle.put_out(world, random).await?,
                2 => circle.leave(world, random).await?,
                3 => circle.come_back(world).await?,
                _ => {}
            }
            circle.talk(world, SENT_A_ROUND / 2, random).await?;
        }
        Ok(())
    }

    /// Everybody is back: the network falls in two under each group and heals; then waits for all
    /// to arrive, and looks into every vault.
    pub(crate) async fn report(&mut self, world: &World, random: &mut ChaCha8Rng) -> anyhow::Result<GroupReport> {
        let mut report = GroupReport { groups: self.0.len(), ..GroupReport::default() };
        for circle in &mut self.0 {
            circle.part(world, random, &mut report).await?;
        }
        for circle in &self.0 {
            let until = Instant::now() + PATIENCE;
            while Instant::now() < until && !circle.is_settled(world).await? {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            circle.count(world, &mut report).await?;
        }
        Ok(report)
    }
}

impl Circle {
    async fn join(&mut self, world: &World, peer: usize) -> anyhow::Result<()> {
        self.join_by(world, self.owner, peer).await
    }

    /// Somebody comes in by a link of an admin.
    async fn join_by(&mut self, world: &World, admin: usize, peer: usize) -> anyhow::Result<()> {
        let admin = world.handle(admin)?;
        let link = admin.groups_invite(self.group.clone(), None::<String>, None).await?.invite.context("a link")?;
        let handle = world.handle(peer)?;
        handle.groups_join(None::<String>, Some(link)).await?;
        let until = Instant::now() + PATIENCE;
        while !matches!(state(&handle, &self.group).await?, Some((GroupState::Joined, _))) {
            anyhow::ensure!(Instant::now() < until, "peer {peer} was not let into a group in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.members.insert(peer);
        Ok(())
    }

    async fn talk(&mut self, world: &World, count: usize, random: &mut ChaCha8Rng) -> anyhow::Result<()> {
        self.agree(world).await?;
        for _ in 0..count {
            let there = self.members.iter().copied().filter(|peer| world.handle(*peer).is_ok());
            let Some(from) = there.choose(random) else { return Ok(()) };
            let text = format!("group message {} of {}", self.said.len(), self.group);
            world.handle(from)?.groups_send(self.group.clone(), text.clone(), None::<String>).await?;
            let readers = self.members.iter().copied().filter(|reader| *reader != from).collect();
            self.said.push(Said { from, text, readers });
        }
        Ok(())
    }

    /// The owner removes somebody; from then on only the owner's own words are looked for.
    async fn put_out(&mut self, world: &World, random: &mut ChaCha8Rng) -> anyhow::Result<()> {
        let Ok(owner) = world.handle(self.owner) else { return Ok(()) };
        let others = self.members.iter().copied().filter(|peer| *peer != self.owner);
        let Some(peer) = others.choose(random).filter(|_| self.members.len() > 2) else { return Ok(()) };
        let name = world.peers.get(peer).map(|peer| peer.name.clone()).unwrap_or_default();
        owner.groups_remove_member(self.group.clone(), name).await?;
        self.members.remove(&peer);
        // A message leaves under the membership that its sender knows: wait until those who are there know.
        self.agree(world).await?;
        self.went(peer);
        Ok(())
    }

    /// What was said before may not have reached them, and never will. And what they said
    /// themselves is refused by those who know that they are out before they hear it: else
    /// somebody who was removed could go on, with words that look older.
    fn went(&mut self, peer: usize) {
        for said in &mut self.said {
            said.readers.remove(&peer);
            if said.from == peer {
                said.readers.clear();
            }
        }
        self.gone.push((peer, self.said.len()));
    }

    async fn leave(&mut self, world: &World, random: &mut ChaCha8Rng) -> anyhow::Result<()> {
        let there = self.members.iter().copied().filter(|peer| *peer != self.owner && world.handle(*peer).is_ok());
        let Some(peer) = there.choose(random).filter(|_| self.members.len() > 2) else { return Ok(()) };
        world.handle(peer)?.groups_leave(self.group.clone()).await?;
        self.members.remove(&peer);
        self.agree(world).await?;
        self.went(peer);
        Ok(())
    }

    /// Somebody who went comes back, by a link.
    async fn come_back(&mut self, world: &World) -> anyhow::Result<()> {
        let away =
            |(_, (peer, _)): &(usize, &(usize, usize))| world.handle(*peer).is_ok() && !self.members.contains(peer);
        let found = self.gone.iter().enumerate().find(away).map(|(place, (peer, _))| (place, *peer));
        let Some((place, peer)) = found.filter(|_| world.handle(self.owner).is_ok()) else { return Ok(()) };
        let left = state(&world.handle(peer)?, &self.group).await?;
        if matches!(left, Some((GroupState::Left, _))) {
            self.gone.remove(place);
            self.join(world, peer).await?;
            self.agree(world).await?;
        }
        Ok(())
    }

    /// Waits until those who are there name one membership.
    async fn agree(&self, world: &World) -> anyhow::Result<bool> {
        let until = Instant::now() + PATIENCE;
        loop {
            if self.views(world).await?.len() <= 1 {
                return Ok(true);
            }
            if Instant::now() > until {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn views(&self, world: &World) -> anyhow::Result<BTreeSet<String>> {
        let mut views = BTreeSet::new();
        for peer in &self.members {
            if let Ok(handle) = world.handle(*peer) {
                views.extend(state(&handle, &self.group).await?.map(|(_, view)| view));
            }
        }
        Ok(views)
    }

    async fn is_settled(&self, world: &World) -> anyhow::Result<bool> {
        let mut report = GroupReport::default();
        self.count(world, &mut report).await?;
        Ok(report.agreed == 1 && report.delivered == report.expected)
    }

    async fn count(&self, world: &World, report: &mut GroupReport) -> anyhow::Result<()> {
        report.sent += self.said.len();
        report.agreed += usize::from(self.views(world).await?.len() == 1);
        for peer in 0..world.peers.len() {
            let handle = world.handle(peer)?;
            if state(&handle, &self.group).await?.is_none() {
                continue;
            }
            let has = texts(&handle, &self.group).await?;
            for said in &self.said {
                let times = has.iter().filter(|text| **text == said.text).count();
                report.duplicated += times.saturating_sub(1);
                // Whoever went meanwhile may have gone before it came.
                if said.readers.contains(&peer) && self.members.contains(&peer) {
                    report.expected += 1;
                    report.delivered += usize::from(times > 0);
                }
            }
            let gone = self.gone.iter().filter(|(who, _)| *who == peer && !self.members.contains(&peer));
            for (_, from) in gone {
                let later = self.said.get(*from..).unwrap_or_default();
                report.read_by_removed += later.iter().filter(|said| has.contains(&said.text)).count();
            }
            let hidden = self.hidden.iter().filter(|(who, _)| *who == peer);
            let hidden = hidden.filter_map(|(_, number)| self.said.get(*number));
            report.read_by_removed += hidden.filter(|said| has.contains(&said.text)).count();
        }
        Ok(())
    }
}
