//! Manifests that lie, said by a contact with a program of her own: whatever they say,
//! a file lands in the folder for downloads under a safe name, or nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use secure_chat_node::api::{ApiError, Downloaded, ErrorKind, Event, FileState, FileView};
use secure_chat_node::network::PeerStream;
use secure_chat_protocol::crypto::aead::seal_in_place;
use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::crypto::sha256::RunningSha256;
use secure_chat_protocol::file::{ChunkCipher, FileKey, Geometry, Leaves, leaf};
use secure_chat_protocol::id::{AccountId, FileId};
use secure_chat_protocol::limits::MANIFEST_LEAVES_MAX;
use secure_chat_protocol::wire::codec::{self, Bytes, Fixed};
use secure_chat_protocol::wire::transfer::{
    AnswerHeader, FILE_CONTROL_VERSION, FetchRefusal, FetchRequest, FileControl, FileControlIn, Manifest, ManifestKey,
    Preview,
};
use secure_chat_tests::{Persona, TestNet, become_contacts};

use crate::impostor::{question, tell};
use crate::mallory::Mallory;

const CHUNK_BYTES: u32 = 262_144;
/// Longer than any manifest.
const FRAME: usize = 1 << 20;

/// What she answers when somebody fetches.
#[derive(Default)]
struct Kept {
    chunks: BTreeMap<(FileId, u32), Vec<u8>>,
    leaves: BTreeMap<FileId, Vec<u8>>,
}

struct Attack {
    net: TestNet,
    bob: Persona,
    mallory: Mallory,
    bobs: AccountId,
    kept: Arc<Mutex<Kept>>,
    next: u8,
}

async fn serve(mut stream: PeerStream, kept: Arc<Mutex<Kept>>) -> std::io::Result<()> {
    loop {
        match question(&mut stream).await? {
            FetchRequest::Leaves { file } => {
                let body = kept.lock().unwrap().leaves.get(&file).cloned().unwrap_or_default();
                tell(&mut stream, AnswerHeader::Leaves { length: u32::try_from(body.len()).unwrap() }, &body).await?;
            }
            FetchRequest::Chunks { file, first, count } => {
                for index in first..first + u32::from(count) {
                    let Some(body) = kept.lock().unwrap().chunks.get(&(file, index)).cloned() else {
                        tell(&mut stream, AnswerHeader::Refused(FetchRefusal::NotHere), &[]).await?;
                        break;
                    };
                    let length = u32::try_from(body.len()).unwrap();
                    tell(&mut stream, AnswerHeader::Chunk { index, length }, &body).await?;
                }
            }
        }
    }
}

impl Attack {
    /// Mallory is a contact of Bob's, who takes files of every type.
    async fn begin() -> Self {
        let net = TestNet::new().unwrap();
        let mut bob = net.persona("bob").await.unwrap();
        bob.handle().unwrap().settings_set("file_policy", serde_json::json!("all")).await.unwrap();
        let mallory = Mallory::start();
        let invite = bob.handle().unwrap().account_invite().await.unwrap().invite;
        let bobs = mallory.request(&invite).await;
        let request = bob.until(|event| match event {
            Event::ContactRequest(request) => Some(request.request_id),
            _ => None,
        });
        let request = request.await.unwrap();
        bob.handle().unwrap().contacts_accept(request).await.unwrap();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let (mut streams, shared) = (mallory.streams(), kept.clone());
        tokio::spawn(async move {
            while let Some(stream) = streams.recv().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { net, bob, mallory, bobs, kept, next: 1 }
    }

    /// A file of hers, and a manifest that says so many bytes, which fits it in everything else.
    fn file(&mut self, name: &str, content: &[u8], says: u64) -> Manifest {
        let (file, key) = (FileId([self.next; 32]), [self.next; 32]);
        self.next += 1;
        let geometry = Geometry::new(says, CHUNK_BYTES).unwrap();
        let cipher = ChunkCipher::new(FileKey::from_bytes(key), file, geometry);
        let mut leaves = Vec::new();
        for index in 0..geometry.count() {
            let from = content.len().min(index as usize * CHUNK_BYTES as usize);
            let part = &content[from..content.len().min(from + CHUNK_BYTES as usize)];
            let sealed = seal(&cipher, key, index, part);
            leaves.push(leaf(&sealed));
            self.kept.lock().unwrap().chunks.insert((file, index), sealed);
        }
        let leaves = Leaves::new(leaves, &geometry).unwrap();
        let inline = geometry.count() <= MANIFEST_LEAVES_MAX;
        self.kept.lock().unwrap().leaves.insert(file, leaves.to_bytes());
        Manifest {
            file,
            key: ManifestKey::of(&FileKey::from_bytes(key)),
            name: name.to_owned(),
            mime: "text/plain".to_owned(),
            size: says,
            chunk_bytes: CHUNK_BYTES,
            root: Fixed(leaves.root()),
            leaves: Bytes(if inline { leaves.to_bytes() } else { Vec::new() }),
            sha256: Fixed(sha256(content)),
            caption: String::new(),
            preview: None,
            expires: None,
        }
    }

    /// Says a manifest, well formed or not.
    async fn says(&self, manifest: &Manifest) {
        let body = FileControl::Shared(Box::new(manifest.clone()));
        let payload = codec::encode(&FileControlIn { version: FILE_CONTROL_VERSION, body }, FRAME).unwrap();
        self.mallory.tell_of_file(self.bobs, payload).await;
    }

    /// Says it, and Bob takes it for a file.
    async fn offers(&mut self, manifest: &Manifest) -> FileView {
        self.says(manifest).await;
        let offered = self.bob.until(|event| match event {
            Event::FileShared(file) => Some(*file),
            _ => None,
        });
        offered.await.unwrap()
    }

    async fn download(&self, manifest: &Manifest, confirm: Option<bool>) -> Result<Downloaded, ApiError> {
        self.bob.handle().unwrap().files_download(manifest.file.to_string(), None::<String>, confirm).await
    }

    /// Says it; when it is acknowledged, it is in no list, and Bob was told that somebody says such things.
    async fn is_refused(&self, manifest: &Manifest) {
        self.says(manifest).await;
        assert!(self.row(manifest).await.is_none(), "a file that can't be is in the list");
        assert!(self.alerted("file.malformed").await);
    }

    async fn row(&self, manifest: &Manifest) -> Option<FileView> {
        let files = self.bob.handle().unwrap().files_list(None, None::<String>).await.unwrap().files;
        files.into_iter().find(|file| file.file_id == manifest.file.to_string())
    }

    /// Whether Bob was told; what happens again is one alert with a count.
    async fn alerted(&self, kind: &str) -> bool {
        let alerts = self.bob.handle().unwrap().security_alerts().await.unwrap().alerts;
        alerts.iter().any(|alert| alert.kind == kind)
    }

    /// All went as it should: a good file still arrives.
    async fn goes_on(&mut self) {
        let good = self.file("good.txt", b"good", 4);
        self.offers(&good).await;
        let done = self.download(&good, None).await.unwrap();
        assert_eq!(std::fs::read(done.path).unwrap(), b"good");
    }

    fn downloads(&self) -> BTreeSet<String> {
        let names = std::fs::read_dir(self.bob.dir().join("downloads")).unwrap().map(Result::unwrap);
        names.map(|name| name.file_name().into_string().unwrap()).collect()
    }
}

/// An encrypted chunk, also one that is longer or shorter than the manifest says: as `docs/protocol.md`
/// has it, and with the padding that is left.
fn seal(cipher: &ChunkCipher, key: [u8; 32], index: u32, part: &[u8]) -> Vec<u8> {
    let geometry = *cipher.geometry();
    let mut chunk = part.to_vec();
    chunk.resize(geometry.padded_bytes(index), 0);
    let last = u32::from(index + 1 == geometry.count());
    let nonce = [u64::from(index).to_le_bytes().as_slice(), &last.to_le_bytes()].concat();
    let (count, size) = (geometry.count().to_le_bytes(), geometry.size().to_le_bytes());
    let associated = [cipher.file().as_bytes().as_slice(), &index.to_le_bytes(), &count, &size].concat();
    let tag = seal_in_place(&Secret::from_bytes(key), &nonce.try_into().unwrap(), &associated, &mut chunk);
    chunk.extend_from_slice(&tag);
    chunk
}

fn sha256(content: &[u8]) -> [u8; 32] {
    let mut hash = RunningSha256::default();
    hash.update(content);
    hash.finish()
}

/// All files that were made outside of the folder for downloads and of vaults.
fn elsewhere(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().unwrap().to_str().unwrap() {
            "downloads" | "accounts" => {}
            _ if path.is_dir() => found.extend(elsewhere(&path)),
            _ => found.push(path),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_contact_calls_a_file_it_lands_under_a_safe_name_in_the_folder_for_downloads() {
    let mut attack = Attack::begin().await;
    let before = elsewhere(attack.bob.dir().parent().unwrap());
    let names = [
        ("../../up.txt", "up.txt"),
        ("/etc/cron.d/absolute.txt", "absolute.txt"),
        ("..\\..\\windows.txt", "windows.txt"),
        ("C:\\drive.txt", "drive.txt"),
        ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
        ("con\u{1}tr\no\u{7f}l\0\u{9b}.txt", "control.txt"),
        ("\u{200b}\u{feff}", "file"),
        ("..", "file (1)"),
        ("", "file (2)"),
        (".bashrc", "_bashrc"),
        ("con.txt", "_con.txt"),
        ("NUL", "_NUL"),
        ("a.txt:stream", "a.txt_stream"),
        ("  .part", "_part"),
    ];
    for (name, safe) in names {
        let manifest = attack.file(name, name.as_bytes(), name.len() as u64);
        let offered = attack.offers(&manifest).await;
        assert!(!offered.name.contains(['/', '\\', '\n', '\u{202e}']), "{name:?} is shown as {:?}", offered.name);
        let done = attack.download(&manifest, None).await.unwrap();
        assert_eq!(Path::new(&done.path), attack.bob.dir().join("downloads").join(safe), "{name:?}");
        assert_eq!(std::fs::read(&done.path).unwrap(), name.as_bytes());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&done.path).unwrap().permissions().mode();
            assert_eq!(mode & 0o111, 0, "{name:?} can be run");
        }
    }
    let shown: BTreeSet<String> = names.into_iter().map(|(_, safe)| safe.to_owned()).collect();
    assert_eq!(attack.downloads(), shown, "and nothing else lies there");
    assert_eq!(elsewhere(attack.bob.dir().parent().unwrap()), before, "nor anywhere else");
    // 255 bytes are a name, 300 are none.
    let long = format!("{}.txt", "n".repeat(251));
    let manifest = attack.file(&long, b"x", 1);
    attack.offers(&manifest).await;
    assert!(attack.download(&manifest, None).await.unwrap().path.ends_with(&long));
    let manifest = attack.file(&format!("{}.txt", "n".repeat(296)), b"x", 1);
    attack.is_refused(&manifest).await;
    attack.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_and_hashes_that_lie_leave_nothing_behind() {
    let mut attack = Attack::begin().await;
    // Not to be cut at all, or by a multiple of nothing; hashes of another file, or of none.
    for wrong in [
        (|it| it.size = u64::MAX) as fn(&mut Manifest),
        |it| it.chunk_bytes = 0,
        |it| it.chunk_bytes = 262_143,
        |it| it.chunk_bytes = 1 << 31,
        |it| it.size = 1 << 20,
        |it| it.root = Fixed([7; 32]),
        |it| it.leaves = Bytes(Vec::new()),
        |it| it.leaves.0.extend([0; 32]),
        |it| it.mime = "m".repeat(1_000),
        |it| it.caption = "c".repeat(20_000),
    ] {
        let mut manifest = attack.file("wrong.txt", b"content", 7);
        wrong(&mut manifest);
        attack.is_refused(&manifest).await;
    }
    // More than it says, less than it says, and something else.
    let more = attack.file("more.txt", &[7; 100], 10);
    let mut else_ = attack.file("else.txt", b"content", 7);
    else_.sha256 = Fixed(sha256(b"another"));
    let mut missing = attack.file("missing.txt", &[7; 600_000], 600_000);
    missing.key = ManifestKey::of(&FileKey::from_bytes([99; 32]));
    // Too many chunks for the manifest: the hashes are asked for, and are those of nothing.
    let mut rootless = attack.file("rootless.txt", b"", 513 * u64::from(CHUNK_BYTES));
    rootless.root = Fixed([7; 32]);
    for manifest in [more, else_, missing, rootless] {
        attack.offers(&manifest).await;
        let error = attack.download(&manifest, None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{}: {}", manifest.name, error.message);
        assert_eq!(attack.row(&manifest).await.unwrap().state, FileState::Failed);
        attack.bob.handle().unwrap().files_delete(manifest.file.to_string()).await.unwrap();
    }
    assert!(attack.alerted("file.forged").await);
    // Legal, and longer than any disk: asked about first, and told before anything is fetched.
    let mut vast = attack.file("vast.zip", b"", 513 * u64::from(CHUNK_BYTES));
    (vast.size, vast.chunk_bytes) = (200 << 30, 4 << 20);
    attack.offers(&vast).await;
    assert_eq!(attack.download(&vast, None).await.unwrap_err().kind, ErrorKind::ConfirmationRequired);
    assert_eq!(attack.download(&vast, Some(true)).await.unwrap_err().kind, ErrorKind::DiskFull);
    attack.goes_on().await;
    assert_eq!(attack.downloads(), ["good.txt".to_owned()].into(), "nothing of the others, whole or in part");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_under_the_number_of_another_s_is_not_taken_and_told() {
    let mut attack = Attack::begin().await;
    let mut alice = attack.net.persona("alice").await.unwrap();
    become_contacts(&mut alice, &mut attack.bob).await.unwrap();
    let path = alice.dir().join("hers.txt");
    std::fs::write(&path, b"what Alice shares").unwrap();
    let (path, none) = (path.display().to_string(), None::<String>);
    let shared = alice.handle().unwrap().files_share(path, "bob".to_owned(), none.clone(), None, none, None::<bool>);
    let hers = shared.await.unwrap().file_id;
    let offered = attack.bob.until(|event| matches!(event, Event::FileShared(_)).then_some(()));
    offered.await.unwrap();
    let mut manifest = attack.file("mine.txt", b"what Mallory shares", 19);
    manifest.file = hers.parse().unwrap();
    attack.says(&manifest).await;
    assert!(attack.alerted("file.conflict").await);
    let row = attack.row(&manifest).await.unwrap();
    assert_eq!((row.name.as_str(), row.from.as_str()), ("hers.txt", "alice"));
    let done = attack.download(&manifest, None).await.unwrap();
    assert_eq!(std::fs::read(done.path).unwrap(), b"what Alice shares");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_list_of_files_is_told_and_takes_no_more() {
    let mut attack = Attack::begin().await;
    attack.bob.away().await;
    attack.bob.bounds.files_max = 3;
    attack.bob.back().await.unwrap();
    attack.mallory.finds_again(attack.bobs, &attack.bob.handle().unwrap().network_status().await.unwrap().listen);
    for number in 0..3 {
        let name = format!("{number}.txt");
        let manifest = attack.file(&name, b"words", 5);
        attack.offers(&manifest).await;
    }
    assert!(!attack.alerted("files.full").await);
    let manifest = attack.file("one-too-many.txt", b"words", 5);
    attack.says(&manifest).await;
    assert!(attack.alerted("files.full").await);
    assert!(attack.row(&manifest).await.is_none());
    // Room is made by who deletes.
    let files = attack.bob.handle().unwrap().files_list(None, None::<String>).await.unwrap().files;
    attack.bob.handle().unwrap().files_delete(files[0].file_id.clone()).await.unwrap();
    let manifest = attack.file("again.txt", b"words", 5);
    attack.offers(&manifest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_that_is_a_bomb_is_handed_on_as_it_came_and_decoded_by_nobody_here() {
    let mut attack = Attack::begin().await;
    // A JPEG of 65,500 × 65,500 pixels, in as many bytes as a preview may have.
    let frame = [0xff, 0xc0, 0, 17, 8, 0xff, 0xdc, 0xff, 0xdc, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];
    let mut jpeg = [[0xff, 0xd8].as_slice(), &frame].concat();
    jpeg.resize(10 * 1024, 0);
    let mut manifest = attack.file("bomb.jpg", b"no picture", 10);
    manifest.preview = Some(Preview { width: 320, height: 320, jpeg: Bytes(jpeg.clone()) });
    let offered = attack.offers(&manifest).await;
    assert!(offered.preview);
    let shown = attack.bob.handle().unwrap().files_preview(offered.file_id).await.unwrap();
    assert_eq!((shown.mime.as_str(), shown.width, shown.height), ("image/jpeg", 320, 320));
    assert_eq!(data_encoding::BASE64.decode(shown.data.as_bytes()).unwrap(), jpeg);
    for (width, height, bytes) in [(321, 1, 1), (1, u16::MAX, 1), (1, 1, 10 * 1024 + 1)] {
        let mut manifest = attack.file("bomb.jpg", b"no picture", 10);
        manifest.preview = Some(Preview { width, height, jpeg: Bytes(vec![0; bytes]) });
        attack.is_refused(&manifest).await;
    }
    attack.goes_on().await;
}
