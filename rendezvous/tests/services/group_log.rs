use secure_chat_protocol::crypto::secret::Secret;
use secure_chat_protocol::group_log::{LogKeys, log_as_mailbox, work as subject};
use secure_chat_protocol::limits::{ENVELOPE_MAX_BYTES, WORK_MIN_BITS};
use secure_chat_protocol::wire::codec::{Bytes, Fixed};
use secure_chat_protocol::wire::rendezvous::{GroupLogRequest, LogStamp, Refusal, Request, Response};
use secure_chat_protocol::work;
use secure_chat_rendezvous::quota::Rate;

use crate::start;
use crate::support::{Client, envelope_id, loopback_node, memory_node, now, refused, stranger};

fn keys(byte: u8) -> LogKeys {
    LogKeys::derive(&Secret::from_bytes([byte; 32]))
}

/// An entry as a member sends it; with a stamp when `bits` says how strong.
pub(crate) fn append(client: &Client, keys: &LogKeys, id: u64, bytes: usize, bits: Option<u8>) -> GroupLogRequest {
    let (id, sealed, node) = (envelope_id(id), vec![7; bytes], client.server.to_bytes());
    let mailbox = log_as_mailbox(keys.log_id());
    let stamp = bits.map(|bits| {
        let stamp = work::solve(&subject(&node, &mailbox, &id, &sealed), now(), bits, u64::MAX).unwrap();
        LogStamp { hour: stamp.hour, nonce: stamp.nonce }
    });
    GroupLogRequest::Append {
        write_key: keys.write_key(),
        read_hash: keys.read_hash(),
        id,
        signature: keys.sign_append(&node, &id, &sealed),
        sealed: Bytes(sealed),
        stamp,
    }
}

async fn put(client: &Client, keys: &LogKeys, id: u64, bits: Option<u8>) -> Response {
    client.ask(&Request::GroupLog(append(client, keys, id, 500, bits))).await
}

async fn read(client: &Client, keys: &LogKeys, after: u64) -> Vec<(u64, u64)> {
    let request =
        GroupLogRequest::Read { log: keys.log_id(), read_token: keys.read_token(), after, max_bytes: 1 << 20 };
    match client.ask(&Request::GroupLog(request)).await {
        Response::Log { entries, more: false } => entries
            .iter()
            .map(|entry| (entry.position, u64::from_be_bytes(entry.id.0[..8].try_into().unwrap())))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_member_reads_all_entries_from_its_own_place_also_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let (node, address) = start(loopback_node(directory.path())).await;
    // Each over a throw-away connection of its own: nobody registers.
    let (alice, bob) = (Client::connect(stranger(1), &address).await, Client::connect(stranger(2), &address).await);
    let keys = keys(1);
    assert!(matches!(put(&alice, &keys, 1, Some(WORK_MIN_BITS)).await, Response::Appended { .. }));
    assert!(matches!(put(&bob, &keys, 2, None).await, Response::Appended { .. }), "the log is there: no work");
    let all = read(&bob, &keys, 0).await;
    assert_eq!(all.iter().map(|(_, id)| *id).collect::<Vec<_>>(), [1, 2]);
    // The answer was lost, the member sends again.
    assert_eq!(put(&alice, &keys, 1, None).await, Response::Appended { position: all[0].0 });
    node.abort().await;

    let (_node, address) = start(loopback_node(directory.path())).await;
    let carol = Client::connect(stranger(3), &address).await;
    assert_eq!(read(&carol, &keys, 0).await, all);
    assert_eq!(read(&carol, &keys, all[0].0).await, all[1..]);
    assert!(read(&carol, &keys, all[1].0).await.is_empty());
}

#[tokio::test]
async fn without_the_group_s_secret_nobody_writes_reads_or_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let (_node, address) = start(memory_node(directory.path())).await;
    let member = Client::connect(stranger(1), &address).await;
    let outsider = Client::connect(stranger(2), &address).await;
    let (group, other) = (keys(1), keys(2));
    put(&member, &group, 1, Some(WORK_MIN_BITS)).await;
    let forge = |change: fn(&mut GroupLogRequest)| {
        let mut request = append(&outsider, &other, 9, 100, None);
        let GroupLogRequest::Append { write_key, .. } = &mut request else { unreachable!() };
        *write_key = group.write_key();
        change(&mut request);
        Request::GroupLog(request)
    };
    assert_eq!(outsider.ask(&forge(|_| ())).await, refused(Refusal::Invalid), "signed by another key");
    // What a member sent to this node, with another content, id or read hash.
    let tampered: [fn(&mut GroupLogRequest); 3] = [
        |request| {
            let GroupLogRequest::Append { sealed, .. } = request else { unreachable!() };
            sealed.0[0] ^= 1;
        },
        |request| {
            let GroupLogRequest::Append { id, .. } = request else { unreachable!() };
            id.0[0] ^= 1;
        },
        |request| {
            let GroupLogRequest::Append { read_hash, .. } = request else { unreachable!() };
            read_hash.0[0] ^= 1;
        },
    ];
    for change in tampered {
        let mut request = append(&member, &group, 2, 100, None);
        change(&mut request);
        assert_eq!(outsider.ask(&Request::GroupLog(request)).await, refused(Refusal::Invalid));
    }
    let wrong = |token| GroupLogRequest::Read { log: group.log_id(), read_token: token, after: 0, max_bytes: 1 << 20 };
    let guess = outsider.ask(&Request::GroupLog(wrong(Fixed([0; 32])))).await;
    assert_eq!(guess, refused(Refusal::NotFound));
    assert_eq!(
        outsider.ask(&Request::GroupLog(wrong(group.read_hash()))).await,
        guess,
        "a stolen database reads nothing"
    );
    assert_eq!(read(&member, &group, 0).await.len(), 1);
}

#[tokio::test]
async fn a_log_costs_a_stranger_work_and_quotas_hold_under_a_flood() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = memory_node(directory.path());
    config.limits.log_entries = 20;
    config.limits.log_bytes = 8_000;
    let (_node, address) = start(config).await;
    let client = Client::connect(stranger(1), &address).await;
    let group = keys(1);
    let work_needed = refused(Refusal::WorkNeeded { bits: WORK_MIN_BITS });
    assert_eq!(put(&client, &group, 1, None).await, work_needed);
    assert_eq!(put(&client, &group, 1, Some(4)).await, work_needed, "too little");
    put(&client, &group, 1, Some(WORK_MIN_BITS)).await;
    let mut stored = 1;
    for id in 2..60 {
        match put(&client, &group, id, None).await {
            Response::Appended { .. } => stored += 1,
            other => assert_eq!(other, refused(Refusal::Full)),
        }
    }
    assert_eq!(stored, 8_000 / 500, "bytes of a log");
    let long = append(&client, &group, 99, ENVELOPE_MAX_BYTES + 1, None);
    let too_large = refused(Refusal::TooLarge { limit_bytes: u32::try_from(ENVELOPE_MAX_BYTES).unwrap() });
    assert_eq!(client.ask(&Request::GroupLog(long)).await, too_large);
    assert_eq!(read(&client, &group, 0).await.len(), stored);
}

#[tokio::test]
async fn a_flood_of_new_logs_makes_each_further_one_dearer_and_entries_stay_free() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = memory_node(directory.path());
    // The price rises far enough that luck with the first stamps does not hide it.
    config.limits.rates.strangers_in_all = Rate::new(1, 0);
    let (_node, address) = start(config).await;
    let client = Client::connect(stranger(1), &address).await;
    let mut bits = WORK_MIN_BITS;
    let mut prices = Vec::new();
    for group in 0..12 {
        loop {
            match put(&client, &keys(group), 1, Some(bits)).await {
                Response::Appended { .. } => break,
                Response::Refused(Refusal::WorkNeeded { bits: dearer }) => {
                    assert!(dearer > bits, "the node names what would do");
                    bits = dearer;
                }
                other => panic!("{other:?}"),
            }
        }
        prices.push(bits);
    }
    assert_eq!(prices.first(), Some(&WORK_MIN_BITS));
    assert!(bits > WORK_MIN_BITS, "{prices:?}");
    assert!(matches!(put(&client, &keys(0), 2, None).await, Response::Appended { .. }), "its log is there");
}
