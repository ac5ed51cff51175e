//! The chat: rounds in which some are away, and somebody dies.

use indicatif::ProgressBar;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::Options;
use crate::groups::Circles;
use crate::world::World;

/// Rounds of a run; who is away changes between them.
const ROUNDS: u32 = 8;

/// Plays all rounds.
pub(crate) async fn play(
    world: &mut World,
    circles: &mut Circles,
    options: &Options,
    random: &mut ChaCha8Rng,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let count = world.peers.len();
    let mut kills = options.kill;
    for round in 0..ROUNDS {
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(random);
        let away = (count * usize::from(options.offline) / 100).min(count.saturating_sub(1));
        let (leaving, staying) = order.split_at(away);
        for number in staying {
            if world.handle(*number).is_err() {
                world.start_peer(*number, false).await?;
            }
        }
        for number in leaving {
            world.leave(*number).await;
        }
        bar.set_message(format!("round {} of {ROUNDS}: {} online, {away} away", round + 1, staying.len()));
        let share = options.messages / ROUNDS + u32::from(round < options.messages % ROUNDS);
        let dying = (kills > 0 && round > 0).then(|| staying.choose(random).copied()).flatten();
        for sent in 0..share {
            if round == ROUNDS / 2 && sent == share / 2 && options.kill > 0 {
                world.kill_host().await?;
            }
            if let Some(number) = dying.filter(|_| sent == share / 2) {
                kills -= 1;
                world.kill(number).await;
                world.start_peer(number, false).await?;
            }
            let from = staying.choose(random).copied().unwrap_or_default();
            let friends: Vec<usize> =
                world.peers.get(from).map(|peer| peer.friends.iter().copied().collect()).unwrap_or_default();
            if friends.is_empty() {
                continue;
            }
            let to = friends.get(random.random_range(0..friends.len())).copied().unwrap_or_default();
            world.send(from, to).await?;
            bar.inc(1);
        }
        circles.round(world, round, random).await?;
    }
    Ok(())
}
