use super::*;
use crate::expiry::sweep;
use crate::store::memory::MemoryRows;

const LOG: LogId = LogId([1; 32]);
const READ: [u8; 32] = [2; 32];

fn entry(id: u8, bytes: usize) -> Append {
    Append { log: LOG, read_hash: READ, id: EnvelopeId([id; 16]), sealed: vec![id; bytes], paid: true, work_bits: 16 }
}

fn put(rows: &mut MemoryRows, hour: u64, id: u8) -> Appended {
    append(rows, &LogLimits::default(), hour, &entry(id, 100)).unwrap()
}

fn ids(rows: &MemoryRows, after: u64) -> Vec<u8> {
    let asked = ReadLog { log: LOG, read_hash: READ, after, max_bytes: 1 << 20 };
    match read(rows, &asked).unwrap() {
        Response::Log { entries, .. } => entries.iter().map(|entry| entry.id.0[0]).collect(),
        other => panic!("{other:?}"),
    }
}

fn position(appended: Appended) -> u64 {
    match appended {
        Appended::Stored { position, .. } | Appended::Double { position } => position,
        Appended::Refused(refusal) => panic!("{refusal:?}"),
    }
}

#[test]
fn each_reader_reads_everything_in_order_from_where_it_stood() {
    let mut rows = MemoryRows::default();
    let second = (1..=2).map(|id| position(put(&mut rows, 0, id))).last().unwrap();
    put(&mut rows, 0, 3);
    assert_eq!(ids(&rows, 0), [1, 2, 3]);
    assert_eq!(ids(&rows, second), [3]);
    assert_eq!(ids(&rows, 0), [1, 2, 3], "reading takes nothing away");
}

#[test]
fn a_double_stands_where_it_stood_and_costs_nothing() {
    let mut rows = MemoryRows::default();
    let first = position(put(&mut rows, 0, 1));
    put(&mut rows, 0, 2);
    let before = rows.clone();
    let again = append(&mut rows, &LogLimits::default(), 5, &Append { paid: false, ..entry(1, 100) }).unwrap();
    assert_eq!(again, Appended::Double { position: first });
    assert_eq!(rows, before);
}

#[test]
fn a_wrong_capability_reads_and_writes_nothing_and_learns_nothing() {
    let mut rows = MemoryRows::default();
    put(&mut rows, 0, 1);
    let before = rows.clone();
    let asked = ReadLog { log: LOG, read_hash: [9; 32], after: 0, max_bytes: 100 };
    let wrong = read(&rows, &asked).unwrap();
    assert_eq!(wrong, Response::Refused(Refusal::NotFound));
    let none = ReadLog { log: LogId([7; 32]), ..asked };
    assert_eq!(read(&rows, &none).unwrap(), wrong, "as if there were no log");
    let other = Append { read_hash: [9; 32], ..entry(2, 10) };
    let refused = append(&mut rows, &LogLimits::default(), 0, &other).unwrap();
    assert_eq!((refused, rows), (Appended::Refused(Refusal::Invalid), before));
}

#[test]
fn a_new_log_costs_work_and_a_further_entry_does_not() {
    let mut rows = MemoryRows::default();
    let unpaid = |id| Append { paid: false, ..entry(id, 10) };
    let limits = LogLimits::default();
    let refused = append(&mut rows, &limits, 0, &unpaid(1)).unwrap();
    assert_eq!(refused, Appended::Refused(Refusal::WorkNeeded { bits: 16 }));
    assert_eq!(rows, MemoryRows::default());
    put(&mut rows, 0, 1);
    assert!(matches!(append(&mut rows, &limits, 0, &unpaid(2)).unwrap(), Appended::Stored { new: false, .. }));
}

#[test]
fn quotas_hold_and_are_given_back_by_expiry() {
    let mut rows = MemoryRows::default();
    let limits = LogLimits { entries: 3, bytes: 1_000, expires_hours: 10, node_bytes: 1_200 };
    for id in 1..=3 {
        assert!(matches!(append(&mut rows, &limits, 0, &entry(id, 100)).unwrap(), Appended::Stored { .. }));
    }
    let full = Appended::Refused(Refusal::Full);
    assert_eq!(append(&mut rows, &limits, 0, &entry(4, 1)).unwrap(), full, "entries");
    let other = |id, bytes| Append { log: LogId([5; 32]), ..entry(id, bytes) };
    assert_eq!(append(&mut rows, &limits, 0, &other(1, 1_001)).unwrap(), full, "bytes of a log");
    assert_eq!(append(&mut rows, &limits, 0, &other(1, 901)).unwrap(), full, "bytes of the node");
    sweep(&mut rows, 10).unwrap();
    assert!(matches!(append(&mut rows, &limits, 10, &other(1, 901)).unwrap(), Appended::Stored { .. }));
}

#[test]
fn entries_end_with_their_time_and_leave_nothing_behind() {
    let mut rows = MemoryRows::default();
    let hours = LogLimits::default().expires_hours;
    put(&mut rows, 0, 1);
    let second = position(put(&mut rows, 5, 2));
    sweep(&mut rows, hours - 1).unwrap();
    assert_eq!(ids(&rows, 0), [1, 2]);
    sweep(&mut rows, hours).unwrap();
    assert_eq!(ids(&rows, 0), [2]);
    sweep(&mut rows, hours + 5).unwrap();
    for table in [Table::Logs, Table::LogEntries, Table::LogSeen, Table::Expiry] {
        assert_eq!(rows.count(table), 0, "{table:?}");
    }
    assert_eq!(ServiceTotals::load(&rows).unwrap(), ServiceTotals::default());
    // Whoever read up to the end misses nothing of a log that is made anew.
    assert!(position(put(&mut rows, hours + 5, 3)) > second);
    assert_eq!(ids(&rows, second), [3]);
}

#[test]
fn an_answer_is_bounded_and_always_moves_on() {
    let mut rows = MemoryRows::default();
    for id in 1..=4 {
        put(&mut rows, 0, id);
    }
    let asked = ReadLog { log: LOG, read_hash: READ, after: 0, max_bytes: 1 };
    let Response::Log { entries, more } = read(&rows, &asked).unwrap() else { panic!() };
    assert_eq!((entries.len(), more), (1, true));
    let asked = ReadLog { max_bytes: 300, ..asked };
    let Response::Log { entries, more } = read(&rows, &asked).unwrap() else { panic!() };
    assert_eq!((entries.len(), more), (2, true));
}
