use super::*;
use crate::expiry::sweep;
use crate::mailbox;
use crate::store::memory::MemoryRows;

const ALICE: Payer = Payer::Account(AccountId([1; 32]));
const READ: Fixed<32> = Fixed([8; 32]);

fn wanted(owner: u8, chunks: u32) -> Create {
    Create {
        owner_hash: Fixed([owner; 32]),
        read_hash: READ,
        chunk_bytes: 1_000,
        chunks,
        expires_hours: 24,
        payer: ALICE,
        token_hash: None,
    }
}

fn made(rows: &mut MemoryRows, wanted: &Create) -> BlobId {
    assert!(matches!(create(rows, &BlobLimits::default(), 0, wanted).unwrap(), Response::Blob(_)));
    blob_id(&wanted.owner_hash, &wanted.read_hash)
}

/// All its chunks come.
fn fill(rows: &mut MemoryRows, wanted: &Create) {
    let blob = blob_id(&wanted.owner_hash, &wanted.read_hash);
    for index in 0..wanted.chunks {
        assert_eq!(chunk_stored(rows, &slot(blob, wanted.owner_hash, index)).unwrap(), Response::Done);
    }
}

fn slot(blob: BlobId, shown: Fixed<32>, index: u32) -> Slot {
    Slot { blob, shown, index }
}

const NOT_FOUND: Response = Response::Refused(Refusal::NotFound);

#[test]
fn what_is_there_is_said_so_that_an_upload_goes_on() {
    let mut rows = MemoryRows::default();
    let wanted = wanted(1, 10);
    let blob = made(&mut rows, &wanted);
    for index in [0, 3, 9] {
        assert_eq!(chunk_stored(&mut rows, &slot(blob, wanted.owner_hash, index)).unwrap(), Response::Done);
    }
    let Response::Blob(state) = create(&mut rows, &BlobLimits::default(), 1, &wanted).unwrap() else { panic!() };
    let there: Vec<u32> = (0..20).filter(|index| state.has(*index)).collect();
    assert_eq!((there, state.is_complete(), state.expires_hours), (vec![0, 3, 9], false, 23));
    let place = |index| place_to_write(&rows, &slot(blob, wanted.owner_hash, index)).unwrap();
    assert_eq!(place(3), Place::Taken { chunk_bytes: 1_000 });
    assert_eq!((place(4), place(10)), (Place::Free { chunk_bytes: 1_000 }, Place::None));
}

#[test]
fn a_wrong_capability_is_told_as_if_nothing_were_there() {
    let mut rows = MemoryRows::default();
    let wanted = wanted(1, 2);
    let blob = made(&mut rows, &wanted);
    chunk_stored(&mut rows, &slot(blob, wanted.owner_hash, 0)).unwrap();
    let before = rows.clone();
    let (owner, wrong) = (wanted.owner_hash, Fixed([0; 32]));
    assert_eq!(place_to_write(&rows, &slot(blob, READ, 1)).unwrap(), Place::None, "readers don't write");
    assert_eq!(place_to_read(&rows, &slot(blob, owner, 0)).unwrap(), Place::None);
    assert_eq!(place_to_read(&rows, &slot(blob, wrong, 0)).unwrap(), Place::None);
    assert_eq!(chunk_stored(&mut rows, &slot(blob, READ, 1)).unwrap(), NOT_FOUND);
    assert_eq!(delete(&mut rows, &blob, &READ).unwrap(), (NOT_FOUND, false), "readers don't delete");
    assert_eq!(count_download(&mut rows, &blob, &wrong, &EnvelopeId([1; 16])).unwrap(), NOT_FOUND);
    assert_eq!(stat(&rows, &blob, &wrong, &wrong, 0).unwrap(), NOT_FOUND);
    assert_eq!(rows, before);
    assert_eq!(place_to_read(&rows, &slot(blob, READ, 0)).unwrap(), Place::Taken { chunk_bytes: 1_000 });
}

#[test]
fn quotas_hold_under_a_flood_and_are_given_back() {
    let mut rows = MemoryRows::default();
    let limits = BlobLimits { bytes: 5_000, payer_bytes: 10_000, expires_hours: 10, node_bytes: 15_000 };
    let full = Response::Refused(Refusal::Full);
    assert_eq!(wanted(1, 6).check(&limits), Err(Refusal::TooLarge { limit_bytes: 5_000 }));
    let made = (0..200).filter(|n| create(&mut rows, &limits, 0, &wanted(*n, 5)).unwrap() != full).count();
    assert_eq!(made, 2, "an account's quota");
    let bob = |owner| Create { payer: Payer::Account(AccountId([2; 32])), ..wanted(owner, 5) };
    assert!(create(&mut rows, &limits, 0, &bob(201)).unwrap() != full);
    assert_eq!(create(&mut rows, &limits, 0, &bob(202)).unwrap(), full, "the node's quota");
    let first = blob_id(&Fixed([0; 32]), &READ);
    assert_eq!(delete(&mut rows, &first, &Fixed([0; 32])).unwrap(), (Response::Done, true));
    assert!(create(&mut rows, &limits, 0, &bob(202)).unwrap() != full);
}

#[test]
fn sizes_that_are_none_are_refused() {
    let limits = BlobLimits::default();
    let with = |chunk_bytes, chunks, expires_hours| {
        Create { chunk_bytes, chunks, expires_hours, ..wanted(1, 1) }.check(&limits).is_err()
    };
    assert!(with(0, 1, 1) && with(1, 0, 1) && with(1, 1, 0));
    assert!(with(u32::MAX, 1, 1) && with(1, u32::MAX, 1) && with(1, BLOB_CHUNKS_MAX + 1, 1));
    assert!(!with(1, BLOB_CHUNKS_MAX, 1) && !with(BLOB_CHUNK_MAX_BYTES as u32, 50, 1));
}

#[test]
fn a_download_is_counted_once_and_the_count_is_bounded() {
    let mut rows = MemoryRows::default();
    let blob = made(&mut rows, &wanted(1, 1));
    for n in 0..(BLOB_DOWNLOADS_MAX + 50) {
        let mut receipt = [0; 16];
        receipt[..4].copy_from_slice(&n.to_le_bytes());
        for _ in 0..2 {
            count_download(&mut rows, &blob, &READ, &EnvelopeId(receipt)).unwrap();
        }
        if n == 2 {
            let Response::Blob(state) = stat(&rows, &blob, &READ, &READ, 0).unwrap() else { panic!() };
            assert_eq!(state.downloads, 3);
        }
    }
    assert_eq!(rows.count(Table::BlobReceipts), BLOB_DOWNLOADS_MAX as usize);
}

#[test]
fn a_blob_ends_with_its_time_and_leaves_no_row() {
    let mut rows = MemoryRows::default();
    let wanted = wanted(1, 3);
    let blob = made(&mut rows, &wanted);
    fill(&mut rows, &wanted);
    count_download(&mut rows, &blob, &READ, &EnvelopeId([1; 16])).unwrap();
    assert!(sweep(&mut rows, 2).unwrap().blobs.is_empty());
    assert!(sweep(&mut rows, 23).unwrap().blobs.is_empty());
    assert_eq!(sweep(&mut rows, 24).unwrap().blobs, [blob]);
    for table in [Table::Blobs, Table::BlobPayers, Table::BlobReceipts, Table::Expiry] {
        assert_eq!(rows.count(table), 0, "{table:?}");
    }
    assert_eq!(ServiceTotals::load(&rows).unwrap(), ServiceTotals::default());
}

#[test]
fn the_former_expiry_of_a_blob_made_anew_does_not_delete_it() {
    let mut rows = MemoryRows::default();
    let wanted = wanted(1, 3);
    let blob = made(&mut rows, &wanted);
    delete(&mut rows, &blob, &wanted.owner_hash).unwrap();
    create(&mut rows, &BlobLimits::default(), 10, &wanted).unwrap();
    fill(&mut rows, &wanted);
    assert!(sweep(&mut rows, 24).unwrap().blobs.is_empty());
    assert_eq!(sweep(&mut rows, 34).unwrap().blobs, [blob]);
}

#[test]
fn room_for_which_nothing_comes_is_given_back_after_two_hours() {
    let mut rows = MemoryRows::default();
    let (idle, grows) = (wanted(1, 3), wanted(2, 3));
    let (first, second) = (made(&mut rows, &idle), made(&mut rows, &grows));
    assert!(sweep(&mut rows, 1).unwrap().blobs.is_empty());
    chunk_stored(&mut rows, &slot(second, grows.owner_hash, 0)).unwrap();
    assert_eq!(sweep(&mut rows, 2).unwrap().blobs, [first]);
    chunk_stored(&mut rows, &slot(second, grows.owner_hash, 1)).unwrap();
    assert!(sweep(&mut rows, 4).unwrap().blobs.is_empty(), "it grows");
    assert_eq!(sweep(&mut rows, 6).unwrap().blobs, [second], "it does no more");
    for table in [Table::Blobs, Table::BlobPayers, Table::Expiry] {
        assert_eq!(rows.count(table), 0, "{table:?}");
    }
    assert_eq!(ServiceTotals::load(&rows).unwrap(), ServiceTotals::default());
}

#[test]
fn a_blob_that_grows_for_ever_is_deleted_after_a_day() {
    let mut rows = MemoryRows::default();
    let slow = Create { expires_hours: 100, ..wanted(1, 50) };
    let blob = made(&mut rows, &slow);
    let gone = (0..50).find(|index| {
        chunk_stored(&mut rows, &slot(blob, slow.owner_hash, *index)).unwrap();
        sweep(&mut rows, u64::from(*index) * 2 + 2).unwrap().blobs == [blob]
    });
    assert_eq!(gone, Some(11), "after 24 hours");
}

#[test]
fn a_recipient_s_token_pays_once() {
    let mut rows = MemoryRows::default();
    let (mailbox, hash) = (MailboxId([5; 32]), [6; 32]);
    mailbox::open(&mut rows, 10, 0, &mailbox).unwrap();
    mailbox::add_tokens(&mut rows, &mailbox, &[hash]).unwrap();
    let paid = |owner| Create { payer: Payer::Mailbox(mailbox), token_hash: Some(hash), ..wanted(owner, 1) };
    let limits = BlobLimits::default();
    assert!(matches!(create(&mut rows, &limits, 0, &paid(1)).unwrap(), Response::Blob(_)));
    assert!(matches!(create(&mut rows, &limits, 0, &paid(1)).unwrap(), Response::Blob(_)), "the same again");
    assert_eq!(create(&mut rows, &limits, 0, &paid(2)).unwrap(), NOT_FOUND);
}
