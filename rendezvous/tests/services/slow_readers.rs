//! Whoever asks for much and does not take it is cut off, and holds up nobody.

use std::time::Instant;

use secure_chat_protocol::limits::BLOB_CHUNK_MAX_BYTES;
use secure_chat_protocol::wire::codec::Bytes;
use secure_chat_protocol::wire::rendezvous::{BlobCharge, BlobRequest, Request, Response};
use secure_chat_rendezvous::metrics::Fault;

use crate::blobs::keys;
use crate::start;
use crate::support::{Client, Frame, PATIENCE, Person, frame, loopback_node, stranger};

#[tokio::test]
async fn a_peer_that_does_not_read_its_answers_is_cut_off_while_others_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let (node, address) = start(loopback_node(directory.path())).await;
    let (alices, keys) = (Person::new("alice", 1).join(&address).await, keys(1));
    let create = BlobRequest::Create {
        owner_hash: keys.owner_hash(),
        read_hash: keys.read_hash(),
        chunk_bytes: u32::try_from(BLOB_CHUNK_MAX_BYTES).unwrap(),
        chunks: 1,
        expires_hours: 1,
        charge: BlobCharge::Account,
    };
    assert!(matches!(alices.ask(&Request::Blob(create)).await, Response::Blob(_)));
    let sealed = Bytes(vec![1; BLOB_CHUNK_MAX_BYTES]);
    let put = BlobRequest::Put { blob: keys.blob_id(), owner_token: keys.owner_token(), index: 0, sealed };
    assert_eq!(alices.ask(&Request::Blob(put)).await, Response::Done);

    let get = Request::Blob(BlobRequest::Get { blob: keys.blob_id(), read_token: keys.read_token(), index: 0 });
    let mut rogue = Client::connect(stranger(2), &address).await;
    // The whole request, then nothing: the answer fills the stream's window and stays there.
    let unread: Vec<_> = (0..8).map(|_| rogue.begin(Frame::Hang(frame(&get)))).collect();
    for _ in 0..5 {
        assert!(matches!(alices.ask(&get).await, Response::Chunk { .. }), "others are served meanwhile");
    }
    let deadline = Instant::now() + PATIENCE;
    while node.metrics().fault_count(Fault::Slow) < 8 {
        assert!(Instant::now() < deadline, "{} slow readers", node.metrics().fault_count(Fault::Slow));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    rogue.wait_closed().await;
    assert!(matches!(alices.ask(&get).await, Response::Chunk { .. }));
    drop(unread);
}
