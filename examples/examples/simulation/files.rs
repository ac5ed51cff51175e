//! Files between friends: some while both are there, some for a recipient who is
//! away, some with a death in the middle.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use indicatif::ProgressBar;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secure_chat_node::api::{FileState, FileView, Routes};
use serde::Serialize;

use crate::Options;
use crate::world::World;

/// Longer than anything should take, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at a list.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest file, in bytes.
const SIZE_MAX_BYTES: usize = 3_000_000;

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Files {
    pub(crate) shared: usize,
    pub(crate) arrived: usize,
    pub(crate) changed: usize,
    pub(crate) direct_bytes: u64,
    pub(crate) relayed_bytes: u64,
    pub(crate) stored_bytes: u64,
}

impl Files {
    fn count(&mut self, routes: Routes) {
        self.direct_bytes += routes.direct;
        self.relayed_bytes += routes.relayed;
        self.stored_bytes += routes.stored;
    }
}

/// Shares and fetches all files, one after the other.
pub(crate) async fn play(
    world: &mut World,
    options: &Options,
    random: &mut ChaCha8Rng,
    bar: &ProgressBar,
) -> anyhow::Result<Files> {
    let (folder, received) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut files = Files::default();
    for number in 0..options.files {
        bar.set_message(format!("file {} of {}", number + 1, options.files));
        let from = random.random_range(0..world.peers.len());
        let friends: Vec<usize> =
            world.peers.get(from).map(|peer| peer.friends.iter().copied().collect()).unwrap_or_default();
        let Some(to) = friends.choose(random).copied() else { continue };
        let size = if number == 0 { 0 } else { random.random_range(0..SIZE_MAX_BYTES) };
        let mut content = vec![0; size];
        ChaCha8Rng::seed_from_u64(random.random()).fill_bytes(&mut content);
        let path = folder.path().join(format!("file-{number}.zip"));
        std::fs::write(&path, &content)?;
        files.shared += 1;
        let (fetched, routes) = match number % 3 {
            0 => both_there(world, (from, to), &path, received.path(), false).await,
            1 => one_away(world, (from, to), &path, received.path()).await,
            _ => both_there(world, (from, to), &path, received.path(), options.kill > 0).await,
        }
        .with_context(|| format!("file {number} from peer {from} to peer {to}"))?;
        files.count(routes);
        if std::fs::read(fetched)? == content { files.arrived += 1 } else { files.changed += 1 }
    }
    Ok(files)
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

type Fetched = (std::path::PathBuf, Routes);

async fn both_there(
    world: &mut World,
    (from, to): (usize, usize),
    path: &Path,
    folder: &Path,
    death: bool,
) -> anyhow::Result<Fetched> {
    let file = share(world, from, to, path).await?;
    seen(world, to, &file, |_| true).await?;
    let into = Some(folder.to_string_lossy().into_owned());
    let fetching = {
        let (handle, file, into) = (world.handle(to)?, file.clone(), into.clone());
        tokio::spawn(async move { handle.files_download(file, into, None::<bool>).await })
    };
    if !death {
        let done = fetching.await??;
        return Ok((done.path.into(), done.routes));
    }
    // As soon as the wish is durable, the recipient dies; it goes on by itself.
    seen(world, to, &file, |view| view.state != FileState::Offered).await?;
    world.kill(to).await;
    drop(fetching);
    world.start_peer(to, false).await?;
    let view = seen(world, to, &file, |view| view.state == FileState::Completed).await?;
    Ok((view.path.context("it is nowhere")?.into(), Routes::default()))
}

/// The sender leaves before the recipient returns: the file comes out of a rendezvous node.
async fn one_away(
    world: &mut World,
    (from, to): (usize, usize),
    path: &Path,
    folder: &Path,
) -> anyhow::Result<Fetched> {
    world.leave(to).await;
    let file = share(world, from, to, path).await?;
    seen(world, from, &file, |view| view.stored_at > 0).await?;
    // The word of it is in the mailbox a moment later.
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.leave(from).await;
    world.start_peer(to, false).await?;
    seen(world, to, &file, |view| view.stored_at > 0).await?;
    let into = Some(folder.to_string_lossy().into_owned());
    let done = world.handle(to)?.files_download(file, into, None::<bool>).await?;
    world.start_peer(from, false).await?;
    Ok((done.path.into(), done.routes))
}
