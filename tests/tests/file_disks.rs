//! Files and disks that are full, read-only or change under them. Small file systems
//! need root on Linux: elsewhere those tests say so and end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use secure_chat_node::api::{ApiError, Direction, Downloaded, ErrorKind, Event, FileState, FileView};
use secure_chat_tests::{Persona, TestNet, become_contacts};

/// A file system of its own in memory, which goes with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "secure-chat-test"]).arg(folder.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(folder)),
            other => {
                println!("SKIPPED: a small file system needs root on Linux: {other:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read_only(&self) {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status().unwrap();
        assert!(done.success());
    }

    /// Writes until there is no room left.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        while file.write_all(&[0; 65_536]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// A disk that says it has room and takes every write, and has no room when it is to keep what was written: what
/// a broken one does, or one that is promised more often than it is there. Only a sync tells.
struct LyingDisk {
    below: SmallDisk,
    above: tempfile::TempDir,
}

impl LyingDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let (below, above) = (SmallDisk::mount(megabytes)?, tempfile::tempdir().unwrap());
        let image = below.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(256 * 1024 * 1024).unwrap();
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=0"]).arg(&image);
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(&image).arg(above.path());
        for mut command in [make, mount] {
            match command.output() {
                Ok(output) if output.status.success() => {}
                other => {
                    println!("SKIPPED: a disk in a file needs root, loop devices and ext4: {other:?}");
                    return None;
                }
            }
        }
        Some(Self { below, above })
    }

    fn path(&self) -> &Path {
        self.above.path()
    }

    /// It keeps from now on what it takes.
    fn mends(&self) {
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", "remount,size=300m"]).arg(self.below.path()).status().unwrap().success());
    }
}

impl Drop for LyingDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.above.path()).status();
    }
}

fn bytes(length: usize, seed: u64) -> Vec<u8> {
    use rand::{Rng as _, SeedableRng as _};
    let mut bytes = vec![0; length];
    rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// Alice shares a file with Bob, who knows of it.
async fn shared(net: &TestNet, path: &Path) -> (Persona, Persona, FileView) {
    let (mut alice, mut bob) = (net.persona("alice").await.unwrap(), net.persona("bob").await.unwrap());
    become_contacts(&mut alice, &mut bob).await.unwrap();
    let path = path.to_string_lossy().into_owned();
    let to = Some("bob".to_owned());
    let shared = alice.handle().unwrap().files_share(path, to, None::<String>, None, None::<String>, None::<bool>);
    shared.await.unwrap();
    let offered = bob.until(|event| match event {
        Event::FileShared(file) => Some(*file),
        _ => None,
    });
    let file = offered.await.unwrap();
    (alice, bob, file)
}

async fn download(by: &Persona, file: &FileView, to: &Path) -> Result<Downloaded, ApiError> {
    let to = to.to_string_lossy().into_owned();
    by.handle().unwrap().files_download(file.file_id.clone(), Some(to), None::<bool>).await
}

async fn row(of: &Persona, file: &FileView) -> FileView {
    let files = of.handle().unwrap().files_list(None, None::<String>).await.unwrap().files;
    files.into_iter().find(|row| row.file_id == file.file_id).unwrap()
}

async fn moves(by: &mut Persona) {
    by.until(|event| match event {
        Event::FileState(view) => (view.state == FileState::Downloading).then_some(()),
        _ => None,
    })
    .await
    .unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_in_the_middle_keeps_what_came_and_the_rest_follows() {
    let Some(disk) = SmallDisk::mount(96) else { return };
    let (net, folder) = (TestNet::new().unwrap(), tempfile::tempdir().unwrap());
    let content = bytes(64_000_000, 1);
    std::fs::write(folder.path().join("a.zip"), &content).unwrap();
    let (_alice, mut bob, file) = shared(&net, &folder.path().join("a.zip")).await;
    let handle = bob.handle().unwrap().clone();
    let (id, to) = (file.file_id.clone(), disk.path().to_string_lossy().into_owned());
    let waiting = tokio::spawn(async move { handle.files_download(id, Some(to), None::<bool>).await });
    moves(&mut bob).await;
    let filler = disk.fill();
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::DiskFull, "{}", error.message);
    assert!(error.message.contains("retry"), "what to do now: {}", error.message);
    assert_eq!(row(&bob, &file).await.state, FileState::Failed);
    assert!(!names(disk.path()).contains(&"a.zip".to_owned()), "no half file under its name");
    // It lives on: everything else goes its way.
    bob.says("alice", "my disk is full").await.unwrap();
    std::fs::remove_file(filler).unwrap();
    bob.handle().unwrap().files_retry(file.file_id.clone()).await.unwrap();
    let done = bob.until(|event| match event {
        Event::FileCompleted { direction: Direction::Download, downloaded, .. } => downloaded,
        _ => None,
    });
    assert_eq!(std::fs::read(done.await.unwrap().path).unwrap(), content);
    assert_eq!(names(disk.path()), ["a.zip"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_disk_did_not_keep_gets_no_name_and_is_fetched_again() {
    // Once so long that it is synced in the middle, and once only at its end.
    for (length, room) in [(40_000_000, 24), (1_500_000, 12)] {
        let Some(disk) = LyingDisk::mount(room) else { return };
        let (net, folder) = (TestNet::new().unwrap(), tempfile::tempdir().unwrap());
        let content = bytes(length, 1);
        std::fs::write(folder.path().join("a.zip"), &content).unwrap();
        let (_alice, mut bob, file) = shared(&net, &folder.path().join("a.zip")).await;
        let to = disk.path().join("downloads");
        std::fs::create_dir(&to).unwrap();
        if length < 2_000_000 {
            disk.below.fill();
        }
        let error = download(&bob, &file, &to).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::DiskFull | ErrorKind::Storage), "{:?}", error.kind);
        assert!(error.message.contains("did not take") && error.message.contains("anew"), "{}", error.message);
        assert_eq!(row(&bob, &file).await.state, FileState::Failed);
        assert!(names(&to).is_empty(), "what can't be trusted is thrown away: {:?}", names(&to));
        disk.mends();
        bob.handle().unwrap().files_retry(file.file_id.clone()).await.unwrap();
        let done = bob.until(|event| match event {
            Event::FileCompleted { direction: Direction::Download, downloaded, .. } => downloaded,
            _ => None,
        });
        assert_eq!(std::fs::read(done.await.unwrap().path).unwrap(), content);
        assert_eq!(names(&to), ["a.zip"]);
    }
}

#[tokio::test]
async fn a_target_without_room_or_that_is_read_only_is_told_before_anything_moves() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let (net, folder) = (TestNet::new().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("a.zip"), bytes(10_000_000, 1)).unwrap();
    let (_alice, bob, file) = shared(&net, &folder.path().join("a.zip")).await;
    let error = download(&bob, &file, disk.path()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::DiskFull);
    assert!(error.message.contains("10000000"), "how much is needed: {}", error.message);
    disk.read_only();
    let error = download(&bob, &file, disk.path()).await.unwrap_err();
    assert_eq!((error.kind, error.field), (ErrorKind::InvalidInput, Some("path")));
    assert!(names(disk.path()).is_empty(), "nothing was begun");
    let row = row(&bob, &file).await;
    assert_eq!((row.state, row.bytes_done), (FileState::Offered, 0), "and nothing was lost");
    let done = download(&bob, &file, folder.path()).await.unwrap();
    assert_eq!(done.path, folder.path().join("a (1).zip").to_string_lossy(), "the sharer's own stands there");
}

#[tokio::test]
async fn a_source_that_was_deleted_before_is_told_clearly_and_nothing_half_is_left_under_its_name() {
    let (net, folder) = (TestNet::new().unwrap(), tempfile::tempdir().unwrap());
    let (path, to) = (folder.path().join("a.zip"), folder.path().join("to"));
    std::fs::create_dir(&to).unwrap();
    std::fs::write(&path, bytes(600_000, 1)).unwrap();
    let (_alice, bob, file) = shared(&net, &path).await;
    std::fs::remove_file(&path).unwrap();
    let error = download(&bob, &file, &to).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "{}", error.message);
    assert!(!to.join("a.zip").exists());
    assert_eq!(row(&bob, &file).await.state, FileState::Failed);
}

#[cfg(unix)]
#[tokio::test]
async fn only_ordinary_files_are_shared_and_names_that_mislead_are_made_plain() {
    let (net, folder) = (TestNet::new().unwrap(), tempfile::tempdir().unwrap());
    let plain = folder.path().join("a.txt");
    std::fs::write(&plain, b"").unwrap();
    let (alice, mut bob, _) = shared(&net, &plain).await;
    let handle = alice.handle().unwrap();
    let share = |path: PathBuf| {
        let path = path.to_string_lossy().into_owned();
        handle.files_share(path, Some("bob".to_owned()), None::<String>, None, None::<String>, None::<bool>)
    };
    let pipe = folder.path().join("pipe.txt");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let socket = folder.path().join("socket.txt");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let device = folder.path().join("device.txt");
    std::os::unix::fs::symlink("/dev/zero", &device).unwrap();
    for path in [pipe, socket, device] {
        let error = share(path.clone()).await.unwrap_err();
        assert_eq!((error.kind, error.field), (ErrorKind::InvalidInput, Some("path")), "{path:?}");
        assert!(error.message.contains("ordinary"), "{}", error.message);
    }
    let long = format!("{}.txt", "n".repeat(300));
    let error = share(folder.path().join(long)).await.unwrap_err();
    assert_eq!(error.field, Some("path"), "a name that no disk has: {}", error.message);
    for (name, safe) in [
        ("invoice\u{202e}fdp.txt", "invoicefdp.txt"),
        ("a\u{1}b\nc.txt", "abc.txt"),
        ("..\\..\\boot.txt", "boot.txt"),
        (" con.txt", "_con.txt"),
    ] {
        std::fs::write(folder.path().join(name), b"x").unwrap();
        share(folder.path().join(name)).await.unwrap();
        let offered = bob.until(|event| match event {
            Event::FileShared(file) => Some(*file),
            _ => None,
        });
        let file = offered.await.unwrap();
        assert_eq!(file.name, safe);
        let to = tempfile::tempdir().unwrap();
        let done = download(&bob, &file, to.path()).await.unwrap();
        assert_eq!(done.path, to.path().join(safe).to_string_lossy());
    }
}
