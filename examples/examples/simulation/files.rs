//! Files between friends: some while both are there, some for a recipient who is
//! away, some with deaths of both in the middle; and files in groups, which come from
//! all who have them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use indicatif::ProgressBar;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secure_chat_node::api::{Downloaded, FileState, FileView, Routes};
use serde::Serialize;

use crate::Options;
use crate::groups::Circles;
use crate::world::World;

/// Longer than anything should take, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at a list.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest file between two who are there, in bytes.
const SIZE_MAX_BYTES: usize = 3_000_000;
/// Files that are to break in the middle, or to come from several, have at least this size, in bytes.
const LONG_BYTES: usize = 8_000_000;

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Files {
    pub(crate) shared: usize,
    pub(crate) arrived: usize,
    pub(crate) changed: usize,
    /// Deaths of a sender or recipient in the middle.
    pub(crate) breaks: usize,
    /// How many files came from so many holders; those whose recipient died are not among them.
    pub(crate) by_holders: BTreeMap<usize, usize>,
    pub(crate) direct_bytes: u64,
    pub(crate) relayed_bytes: u64,
    pub(crate) stored_bytes: u64,
}

/// Where a file is to come from, and what is to happen.
#[derive(Debug, Clone, Copy)]
enum Scene {
    Both,
    Away,
    Deaths,
    Group,
}

impl Files {
    fn count(&mut self, done: &Downloaded) {
        let Routes { direct, relayed, stored } = done.routes;
        self.direct_bytes += direct;
        self.relayed_bytes += relayed;
        self.stored_bytes += stored;
        *self.by_holders.entry(done.holders).or_default() += 1;
    }

    fn compare(&mut self, path: &Path, content: &[u8]) -> anyhow::Result<()> {
        if std::fs::read(path)? == content {
            self.arrived += 1
        } else {
            self.changed += 1
        }
        Ok(())
    }
}

/// Shares and fetches all files, one after the other.
pub(crate) async fn play(
    world: &mut World,
    circles: &Circles,
    options: &Options,
    random: &mut ChaCha8Rng,
    bar: &ProgressBar,
) -> anyhow::Result<Files> {
    let (folder, received) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut files = Files::default();
    for number in 0..usize::from(options.files) {
        bar.set_message(format!("file {} of {}", number + 1, options.files));
        let scene = match number % 4 {
            0 => Scene::Both,
            1 => Scene::Away,
            2 if options.kill > 0 => Scene::Deaths,
            2 => Scene::Both,
            _ => Scene::Group,
        };
        let (small, long) = (random.random_range(0..SIZE_MAX_BYTES), LONG_BYTES + random.random_range(0..100_000));
        let size = match scene {
            _ if number == 0 => 0,
            Scene::Both | Scene::Away => small,
            Scene::Deaths | Scene::Group => long,
        };
        let mut content = vec![0; size];
        ChaCha8Rng::seed_from_u64(random.random()).fill_bytes(&mut content);
        let path = folder.path().join(format!("file-{number}.zip"));
        std::fs::write(&path, &content)?;
        let told = || format!("file {number}, {scene:?}");
        if matches!(scene, Scene::Group) {
            let Some((group, members)) = circles.with_members(3, number / 4) else { continue };
            // It counts once for each member who fetches it.
            for done in in_group(world, &group, &members, &path, received.path()).await.with_context(told)? {
                files.shared += 1;
                let put = fetched(&mut files, done);
                files.compare(&put, &content)?;
            }
            continue;
        }
        let from = random.random_range(0..world.peers.len());
        let friends: Vec<usize> =
            world.peers.get(from).map(|peer| peer.friends.iter().copied().collect()).unwrap_or_default();
        let Some(to) = friends.choose(random).copied() else { continue };
        files.shared += 1;
        let (path, folder) = (path.as_path(), received.path());
        let put = match scene {
            Scene::Deaths => {
                files.breaks += 2;
                deaths(world, (from, to), path, folder).await.with_context(told)?
            }
            Scene::Away => fetched(&mut files, one_away(world, (from, to), path, folder).await.with_context(told)?),
            _ => fetched(&mut files, both_there(world, (from, to), path, folder).await.with_context(told)?),
        };
        files.compare(&put, &content)?;
    }
    Ok(files)
}

fn fetched(files: &mut Files, done: Downloaded) -> std::path::PathBuf {
    files.count(&done);
    done.path.into()
}

async fn share(world: &World, from: usize, to: usize, path: &Path) -> anyhow::Result<String> {
    let to = world.peers.get(to).map(|peer| peer.name.clone());
    let path = path.to_string_lossy().into_owned();
    let handle = world.handle(from)?;
    let shared = handle.files_share(path, to, None::<String>, None, None::<String>, None::<bool>).await?;
    Ok(shared.file_id)
}

/// Waits until somebody's list shows a file as wanted.
async fn seen(world: &World, by: usize, file: &str, wanted: impl Fn(&FileView) -> bool) -> anyhow::Result<FileView> {
    let until = Instant::now() + PATIENCE;
    loop {
        let list = world.handle(by)?.files_list(None, None::<String>).await?.files;
        if let Some(view) = list.into_iter().find(|view| view.file_id == file && wanted(view)) {
            return Ok(view);
        }
        ensure!(Instant::now() < until, "peer {by} waited in vain");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn both_there(
    world: &World,
    (from, to): (usize, usize),
    path: &Path,
    folder: &Path,
) -> anyhow::Result<Downloaded> {
    let file = share(world, from, to, path).await?;
    seen(world, to, &file, |_| true).await?;
    fetch(world, to, &file, folder).await
}

async fn fetch(world: &World, by: usize, file: &str, folder: &Path) -> anyhow::Result<Downloaded> {
    let into = Some(folder.to_string_lossy().into_owned());
    Ok(world.handle(by)?.files_download(file, into, None::<bool>).await?)
}

/// The recipient dies while the file comes, and then the sender; it goes on by itself each time.
async fn deaths(
    world: &mut World,
    (from, to): (usize, usize),
    path: &Path,
    folder: &Path,
) -> anyhow::Result<std::path::PathBuf> {
    let file = share(world, from, to, path).await?;
    seen(world, to, &file, |_| true).await?;
    let into = Some(folder.to_string_lossy().into_owned());
    let (handle, id) = (world.handle(to)?, file.clone());
    let fetching = tokio::spawn(async move { handle.files_download(id, into, None::<bool>).await });
    // As soon as the wish is durable.
    seen(world, to, &file, |view| view.state != FileState::Offered).await?;
    world.kill(to).await;
    drop(fetching);
    world.start_peer(to, false).await?;
    world.kill(from).await;
    world.start_peer(from, false).await?;
    let view = seen(world, to, &file, |view| view.state == FileState::Completed).await?;
    Ok(view.path.context("it is nowhere")?.into())
}

/// One member fetches it from its sharer, another one from both.
async fn in_group(
    world: &World,
    group: &str,
    members: &[usize],
    path: &Path,
    folder: &Path,
) -> anyhow::Result<Vec<Downloaded>> {
    let [from, first, second, ..] = members else { return Ok(Vec::new()) };
    let (path, to) = (path.to_string_lossy().into_owned(), Some(group.to_owned()));
    let sharer = world.handle(*from)?;
    let file = sharer.files_share(path, None::<String>, to, None, None::<String>, None::<bool>).await?.file_id;
    let mut fetched = Vec::new();
    for member in [*first, *second] {
        seen(world, member, &file, |_| true).await?;
        fetched.push(fetch(world, member, &file, folder).await?);
    }
    Ok(fetched)
}

/// The sender leaves before the recipient returns: the file comes out of a rendezvous node.
async fn one_away(
    world: &mut World,
    (from, to): (usize, usize),
    path: &Path,
    folder: &Path,
) -> anyhow::Result<Downloaded> {
    world.leave(to).await;
    let file = share(world, from, to, path).await?;
    seen(world, from, &file, |view| view.stored_at > 0).await?;
    // The word of it is in the mailbox a moment later.
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.leave(from).await;
    world.start_peer(to, false).await?;
    seen(world, to, &file, |view| view.stored_at > 0).await?;
    let done = fetch(world, to, &file, folder).await?;
    world.start_peer(from, false).await?;
    Ok(done)
}
