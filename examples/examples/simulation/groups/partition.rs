//! The network falls in two, with members of a group on both sides. Each side talks and changes
//! who is in: here the owner puts out somebody who is over there, there an admin takes in somebody
//! of whom nobody here hears. Then it heals, and all must come to one view and one set of messages.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rand::seq::IteratorRandom;
use rand_chacha::ChaCha8Rng;
use secure_chat_node::api::{GroupState, Role};

use super::{Circle, GroupReport, PATIENCE, Said, state};
use crate::world::World;

/// Fewer members than this don't make two sides.
const MEMBERS_LEAST: usize = 3;

/// Who is where.
struct Sides {
    near: BTreeSet<usize>,
    far: BTreeSet<usize>,
    /// Of those over there, who may change who is in.
    admin: usize,
    /// Of those over there, whom the owner puts out.
    put_out: usize,
    /// Who comes in over there, if there is anybody who is not in.
    newcomer: Option<usize>,
}

impl Circle {
    /// One partition, and its healing.
    pub(super) async fn part(
        &mut self,
        world: &World,
        random: &mut ChaCha8Rng,
        report: &mut GroupReport,
    ) -> anyhow::Result<()> {
        self.agree(world).await?;
        let Some(sides) = self.sides(world, random).await? else { return Ok(()) };
        let owner = world.handle(self.owner)?;
        owner.groups_set_role(self.group.clone(), world.name(sides.admin), Role::Admin).await?;
        self.agree(world).await?;
        let over_there: BTreeSet<usize> = sides.far.iter().copied().chain(sides.newcomer).collect();
        world.cut(&over_there).await?;
        report.partitions += 1;
        let began = self.said.len();
        self.here(world, &sides).await?;
        self.there(world, &sides, began).await?;
        let (near, far) = (views(self, world, &sides.near).await?, views(self, world, &over_there).await?);
        report.apart += usize::from(near.is_disjoint(&far));
        world.heal();
        let healing = Instant::now();
        self.members.remove(&sides.put_out);
        report.healed += usize::from(self.agree(world).await?);
        report.healing_ms = report.healing_ms.max(u64::try_from(healing.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.went(sides.put_out);
        Ok(())
    }

    async fn sides(&self, world: &World, random: &mut ChaCha8Rng) -> anyhow::Result<Option<Sides>> {
        if self.members.len() < MEMBERS_LEAST {
            return Ok(None);
        }
        let others = self.members.iter().copied().filter(|peer| *peer != self.owner);
        let over_there = others.sample(random, (self.members.len() / 2).max(2));
        let (Some(admin), Some(put_out)) = (over_there.first().copied(), over_there.get(1).copied()) else {
            return Ok(None);
        };
        let far: BTreeSet<usize> = over_there.into_iter().collect();
        let near = self.members.difference(&far).copied().collect();
        let mut newcomer = None;
        for peer in (0..world.peers.len()).filter(|peer| !self.members.contains(peer)) {
            let standing = state(&world.handle(peer)?, &self.group).await?;
            if newcomer.is_none() && matches!(standing, None | Some((GroupState::Left, _))) {
                newcomer = Some(peer);
            }
        }
        Ok(Some(Sides { near, far, admin, put_out, newcomer }))
    }

    /// What those on the owner's side do.
    async fn here(&mut self, world: &World, sides: &Sides) -> anyhow::Result<()> {
        let mut readers = self.members.clone();
        for from in &sides.near {
            self.say(world, *from, &readers, sides.newcomer).await?;
        }
        let owner = world.handle(self.owner)?;
        owner.groups_remove_member(self.group.clone(), world.name(sides.put_out)).await?;
        readers.remove(&sides.put_out);
        one_view(self, world, &sides.near).await?;
        for from in &sides.near {
            self.say(world, *from, &readers, sides.newcomer).await?;
            self.hidden.push((sides.put_out, self.said.len().saturating_sub(1)));
        }
        Ok(())
    }

    /// What those on the other side do, of whom one is out already and does not know.
    async fn there(&mut self, world: &World, sides: &Sides, began: usize) -> anyhow::Result<()> {
        let mut readers = self.members.clone();
        for from in &sides.far {
            self.say(world, *from, &readers, sides.newcomer).await?;
        }
        let Some(newcomer) = sides.newcomer else { return Ok(()) };
        self.hidden.extend((began..self.said.len()).map(|said| (newcomer, said)));
        self.gone.retain(|(peer, _)| *peer != newcomer);
        self.join_by(world, sides.admin, newcomer).await?;
        readers.insert(newcomer);
        one_view(self, world, &sides.far).await?;
        for from in [sides.admin, newcomer] {
            self.say(world, from, &readers, None).await?;
        }
        Ok(())
    }

    /// Says something that `readers` are to have in the end.
    async fn say(
        &mut self,
        world: &World,
        from: usize,
        readers: &BTreeSet<usize>,
        but: Option<usize>,
    ) -> anyhow::Result<()> {
        let text = format!("group message {} of {}", self.said.len(), self.group);
        world.handle(from)?.groups_send(self.group.clone(), text.clone(), None::<String>).await?;
        let readers = readers.iter().copied().filter(|reader| *reader != from && Some(*reader) != but).collect();
        self.said.push(Said { from, text, readers });
        Ok(())
    }
}

async fn views(circle: &Circle, world: &World, side: &BTreeSet<usize>) -> anyhow::Result<BTreeSet<String>> {
    let mut views = BTreeSet::new();
    for peer in side {
        views.extend(state(&world.handle(*peer)?, &circle.group).await?.map(|(_, view)| view));
    }
    Ok(views)
}

/// Waits until those on one side name one membership.
async fn one_view(circle: &Circle, world: &World, side: &BTreeSet<usize>) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    while views(circle, world, side).await?.len() > 1 {
        anyhow::ensure!(Instant::now() < until, "one side of a partition does not agree on who is in");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

impl World {
    /// The name of a peer.
    pub(crate) fn name(&self, number: usize) -> String {
        self.peers.get(number).map(|peer| peer.name.clone()).unwrap_or_default()
    }

    /// Cuts the network in two: these peers and the second half of the rendezvous nodes on one
    /// side, everybody else on the other. Returns when no connection is left across.
    pub(crate) async fn cut(&self, far: &BTreeSet<usize>) -> anyhow::Result<()> {
        let mut ids = Vec::new();
        for number in 0..self.peers.len() {
            let id = self.handle(number)?.network_status().await?.peer_id;
            ids.push((far.contains(&number), id));
        }
        let nodes = self.nodes();
        let first = nodes.len().div_ceil(2);
        ids.extend(nodes.into_iter().enumerate().map(|(number, id)| (number >= first, id)));
        for (number, peer) in self.peers.iter().enumerate() {
            let others = ids.iter().filter(|(there, _)| *there != far.contains(&number));
            let others: Vec<_> = others.filter_map(|(_, id)| id.parse().ok()).collect();
            peer.partition.cut(others);
        }
        let until = Instant::now() + PATIENCE;
        for number in 0..self.peers.len() {
            let across: BTreeSet<&str> =
                ids.iter().filter(|(there, _)| *there != far.contains(&number)).map(|(_, id)| id.as_str()).collect();
            let handle = self.handle(number)?;
            while handle
                .network_connections()
                .await?
                .connections
                .iter()
                .any(|one| across.contains(one.peer_id.as_str()))
            {
                anyhow::ensure!(Instant::now() < until, "a connection across a partition did not end");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }

    /// Everybody can reach everybody again.
    pub(crate) fn heal(&self) {
        for peer in &self.peers {
            peer.partition.heal();
        }
    }

    /// The peer ids of the rendezvous nodes.
    fn nodes(&self) -> Vec<String> {
        let last = |address: String| address.rsplit_once("/p2p/").map(|(_, id)| id.to_owned()).unwrap_or_default();
        self.homes().into_iter().map(last).collect()
    }
}
