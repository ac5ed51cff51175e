//! What lies on the node's disk after a scripted run: no name, no type, no text, no exact size, no
//! capability that opens anything, and nothing that ties a reader or a log to an account.

use std::path::Path;

use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::group_log::LogKeys;
use secure_chat_protocol::limits::WORK_MIN_BITS;
use secure_chat_protocol::wire::rendezvous::{BlobCharge, BlobRequest, GroupLogRequest, Request, Response};

use crate::start;
use crate::support::{Client, Person, loopback_node, stranger};
use crate::{blobs, group_log};

fn all_bytes(path: &Path, into: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(path).unwrap().flatten() {
        if entry.path().is_dir() {
            all_bytes(&entry.path(), into);
        } else {
            into.push((entry.path(), std::fs::read(entry.path()).unwrap()));
        }
    }
}

fn holds(files: &[(std::path::PathBuf, Vec<u8>)], needle: &[u8]) -> bool {
    files.iter().any(|(path, bytes)| {
        let named = path.to_string_lossy().into_owned();
        bytes.windows(needle.len()).any(|window| window == needle)
            || std::str::from_utf8(needle).is_ok_and(|needle| named.contains(needle))
    })
}

#[tokio::test]
async fn the_disk_holds_no_capability_no_reader_and_no_exact_size() {
    let directory = tempfile::tempdir().unwrap();
    let (node, address) = start(loopback_node(directory.path())).await;
    let bob = Person::new("bob_the_builder", 1);
    let bobs = bob.connect(&address).await;
    bobs.open(&bob.mailbox).await;
    assert_eq!(bobs.ask(&Request::AddTokens { hashes: bob.tokens.hashes(0..1) }).await, Response::Done);

    // A file for Bob from somebody unknown, and a log of a group that nobody registered for.
    let (sender, reader) = (Client::connect(stranger(2), &address).await, Client::connect(stranger(3), &address).await);
    let (file, log) = (blobs::keys(1), LogKeys::derive(&Secret::from_bytes([9; 32])));
    let charge = BlobCharge::Mailbox { mailbox: bob.mailbox.mailbox_id(), token: bob.tokens.token(0) };
    assert!(matches!(sender.ask(&blobs::create(&file, 3, charge)).await, Response::Blob(_)));
    for index in 0..3 {
        assert_eq!(sender.ask(&blobs::put(&file, index)).await, Response::Done);
    }
    let get = BlobRequest::Get { blob: file.blob_id(), read_token: file.read_token(), index: 0 };
    assert!(matches!(reader.ask(&Request::Blob(get)).await, Response::Chunk { .. }));
    let entry = group_log::append(&sender, &log, 1, 512, Some(WORK_MIN_BITS));
    assert!(matches!(sender.ask(&Request::GroupLog(entry)).await, Response::Appended { .. }));
    let read = GroupLogRequest::Read { log: log.log_id(), read_token: log.read_token(), after: 0, max_bytes: 1 << 16 };
    assert!(matches!(reader.ask(&Request::GroupLog(read)).await, Response::Log { .. }));
    let (senders, readers) = (sender.peer_id.to_bytes(), reader.peer_id.to_bytes());
    node.stop().await;

    let mut files = Vec::new();
    all_bytes(directory.path(), &mut files);
    assert!(holds(&files, file.blob_id().as_bytes()), "the search finds what is there");
    assert!(holds(&files, log.log_id().as_bytes()));
    let secrets: [(&str, &[u8]); 5] = [
        ("the owner's token", &file.owner_token().0),
        ("the readers' token of a file", &file.read_token().0),
        ("the readers' token of a log", &log.read_token().0),
        ("the key that writes a log", &log.write_key().0),
        ("a delivery token", &bob.tokens.token(0).0),
    ];
    for (what, secret) in secrets {
        assert!(!holds(&files, secret), "the disk holds {what}");
    }
    for (what, trace) in [("the sender", &senders[2..]), ("the reader", &readers[2..])] {
        assert!(!holds(&files, trace), "the disk holds the peer id of {what}");
    }
    assert!(!holds(&files, b"bob_the_builder"), "Bob did not register: his name is nowhere");
    let chunks = files.iter().filter(|(path, _)| path.starts_with(directory.path().join("chunks")));
    let sizes: Vec<usize> = chunks.map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(sizes, [3 * 16 * 1024], "whole chunks only");
}
