//! Sources that change, shrink or vanish while somebody fetches them: what is fetched is held in the middle, so
//! that it is the middle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use secure_chat_node::api::{ApiError, Direction, Downloaded, ErrorKind, Event, FileState, FileView};
use secure_chat_tests::hold::{Transfers, WRITTEN};
use secure_chat_tests::{Persona, TestNet, become_contacts};
use tokio::task::JoinHandle;

const CHUNK_BYTES: usize = 262_144;
/// More than memory and the wire hold of it while it stands.
const CHUNKS: usize = 200;
/// Longest that anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand_chacha::ChaCha8Rng::seed_from_u64(1).fill_bytes(&mut bytes);
    bytes
}

async fn shared(net: &TestNet, path: &Path) -> (Persona, Persona, String) {
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let (path, to) = (path.to_string_lossy().into_owned(), Some("bob".to_owned()));
    let shared = alice.handle().unwrap().files_share(path, to, None::<String>, None, None::<String>, None::<bool>);
    let file = shared.await.unwrap().file_id;
    bob.until(|event| matches!(event, Event::FileShared(_)).then_some(())).await.unwrap();
    (alice, bob, file)
}

/// Asks for a file, and waits apart.
fn download(by: &Persona, file: &str, to: &Path) -> JoinHandle<Result<Downloaded, ApiError>> {
    let (handle, file, to) = (by.handle().unwrap().clone(), file.to_owned(), to.to_string_lossy().into_owned());
    tokio::spawn(async move { handle.files_download(file, Some(to), None::<bool>).await })
}

async fn answered(waiting: JoinHandle<Result<Downloaded, ApiError>>) -> Result<Downloaded, ApiError> {
    tokio::time::timeout(PATIENCE, waiting).await.expect("no answer").unwrap()
}

async fn row(of: &Persona, file: &str) -> FileView {
    let files = of.handle().unwrap().files_list(None, None::<String>).await.unwrap().files;
    files.into_iter().find(|row| row.file_id == file).unwrap()
}

async fn in_state(of: &mut Persona, file: &str, wanted: FileState) {
    of.until(|event| match event {
        Event::FileState(view) => (view.file_id == file && view.state == wanted).then_some(()),
        _ => None,
    })
    .await
    .unwrap();
}

/// Tries again, until all is here.
async fn retried(by: &mut Persona, file: &str) -> Downloaded {
    by.handle().unwrap().files_retry(file.to_owned()).await.unwrap();
    by.until(|event| match event {
        Event::FileCompleted { direction: Direction::Download, downloaded, .. } => downloaded,
        _ => None,
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_changes_or_shrinks_in_the_middle_stops_the_transfer_and_as_it_was_it_goes_on() {
    let content = bytes(CHUNKS * CHUNK_BYTES);
    for shrinks in [false, true] {
        let transfers = Transfers::of_this_process().await;
        let (net, folder) = (TestNet::new().unwrap(), tempfile::tempdir().unwrap());
        let (path, to) = (folder.path().join("a.txt"), folder.path().join("to"));
        std::fs::create_dir(&to).unwrap();
        std::fs::write(&path, &content).unwrap();
        let (mut alice, mut bob, file) = shared(&net, &path).await;
        transfers.hold_at(WRITTEN, Some(10));
        let waiting = download(&bob, &file, &to);
        transfers.standing(1).await;
        // What is open at the sharer is open still, and is another file now.
        let mut source = std::fs::File::options().write(true).open(&path).unwrap();
        if shrinks {
            source.set_len((CHUNKS / 2 * CHUNK_BYTES) as u64).unwrap();
        } else {
            source.seek(SeekFrom::Start((CHUNKS / 2 * CHUNK_BYTES) as u64)).unwrap();
            source.write_all(&[content[CHUNKS / 2 * CHUNK_BYTES] ^ 1]).unwrap();
        }
        transfers.release();
        let error = answered(waiting).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{}", error.message);
        assert!(error.message.contains("changed"), "{}", error.message);
        assert!(!to.join("a.txt").exists(), "nothing that is not whole has its name");
        let failed = row(&bob, &file).await;
        assert_eq!(failed.state, FileState::Failed);
        let kept = failed.bytes_done;
        assert!(kept >= 10 * CHUNK_BYTES as u64 && kept < content.len() as u64, "it was the middle: {kept}");
        // Its sharer is told as well.
        in_state(&mut alice, &file, FileState::Changed).await;
        std::fs::write(&path, &content).unwrap();
        let done = retried(&mut bob, &file).await;
        assert_eq!(std::fs::read(&done.path).unwrap(), content);
        in_state(&mut alice, &file, FileState::Shared).await;
        // What came before the change did not come again, but for what was in flight.
        let most = content.len() as u64 * 5 / 4;
        assert!(done.routes.direct < most, "{:?} of {most}", done.routes);
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_deleted_in_the_middle_is_whole_for_who_has_it_open_and_told_to_who_comes_after() {
    let transfers = Transfers::of_this_process().await;
    let content = bytes(CHUNKS * CHUNK_BYTES);
    let (net, folder) = (TestNet::new().unwrap(), tempfile::tempdir().unwrap());
    let (path, to) = (folder.path().join("a.txt"), folder.path().join("to"));
    std::fs::create_dir(&to).unwrap();
    std::fs::write(&path, &content).unwrap();
    let (_alice, mut bob, file) = shared(&net, &path).await;
    transfers.hold_at(WRITTEN, Some(10));
    let waiting = download(&bob, &file, &to);
    transfers.standing(1).await;
    // He halts it in the middle, and it is gone when he goes on.
    bob.handle().unwrap().files_pause(file.clone()).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    transfers.release();
    bob.handle().unwrap().files_resume(file.clone()).await.unwrap();
    let error = answered(waiting).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "{}", error.message);
    assert!(error.message.contains("Ask for it to be shared again"), "what to do now: {}", error.message);
    assert!(!to.join("a.txt").exists());
    assert_eq!(row(&bob, &file).await.state, FileState::Failed);
    // It is put back, and deleted once more under a stream that has it open.
    std::fs::write(&path, &content).unwrap();
    transfers.hold_at(WRITTEN, None);
    bob.handle().unwrap().files_retry(file.clone()).await.unwrap();
    transfers.standing(1).await;
    std::fs::remove_file(&path).unwrap();
    transfers.release();
    let done = bob.until(|event| match event {
        Event::FileCompleted { direction: Direction::Download, downloaded, .. } => downloaded,
        _ => None,
    });
    assert_eq!(std::fs::read(&done.await.unwrap().path).unwrap(), content);
}
