//! Discarding records from the end.

use std::sync::Arc;

use crate::common::{append, count_of_prefix, payload, payloads, small};
use crate::support::{TestStorage, open};
use log_wal::{Lsn, TruncateError, Verify, Wal, WalReader};

fn log_of(records: u64) -> (TestStorage, Wal) {
    let storage = TestStorage::new();
    let wal = open(&storage);
    append(&wal, 0, records);
    (storage, wal)
}

fn check_whole(storage: &TestStorage, records: u64) {
    let reader = WalReader::with_storage(Arc::new(storage.clone())).unwrap();
    assert_eq!(count_of_prefix(reader.iter()), records);
    let damage = reader.verify().damage;
    assert!(damage.is_empty(), "{damage:?}");
    let wal = Wal::with_storage(Arc::new(storage.clone()), small().verify(Verify::All)).unwrap();
    assert_eq!(count_of_prefix(wal.iter()), records);
}

#[test]
fn the_log_ends_where_it_was_truncated_and_goes_on_there() {
    for end in [0, 1, 150, 299, 777, 998, 999, 1000] {
        let (storage, mut wal) = log_of(1000);
        wal.truncate_after(Lsn(end)).unwrap();
        assert_eq!(wal.next_lsn(), Lsn(end));
        assert_eq!(count_of_prefix(wal.iter()), end);
        append(&wal, end, end + 400);
        assert_eq!(count_of_prefix(wal.iter()), end + 400);
        wal.close().unwrap();
        check_whole(&storage, end + 400);
    }
}

#[test]
fn truncating_again_and_again_leaves_one_log() {
    let (storage, mut wal) = log_of(600);
    for end in [590, 400, 401, 250, 250, 10, 0] {
        append(&wal, wal.next_lsn().0, wal.next_lsn().0 + 30);
        wal.truncate_after(Lsn(end)).unwrap();
        assert_eq!(count_of_prefix(wal.iter()), end);
    }
    append(&wal, 0, 50);
    wal.close().unwrap();
    check_whole(&storage, 50);
    assert!(
        storage.files().len() < 6,
        "what was discarded is gone: {:?}",
        storage.files().keys()
    );
}

#[test]
fn a_truncation_may_cut_through_a_batch() {
    let (storage, mut wal) = log_of(3);
    let batch: Vec<_> = (3..9).map(payload).collect();
    wal.append_batch(&batch.iter().map(Vec::as_slice).collect::<Vec<_>>())
        .unwrap();
    wal.truncate_after(Lsn(6)).unwrap();
    append(&wal, 6, 8);
    wal.close().unwrap();
    check_whole(&storage, 8);
}

#[test]
fn what_was_discarded_never_comes_back() {
    let (storage, mut wal) = log_of(40);
    wal.sync().unwrap();
    wal.truncate_after(Lsn(20)).unwrap();
    let new: Vec<_> = (20..30).map(|lsn| vec![b'n'; payload(lsn).len()]).collect();
    for record in &new {
        wal.append(record).unwrap();
    }
    wal.flush().unwrap();
    // The process dies.
    let killed = TestStorage::with_files(storage.files());
    let found = payloads(open(&killed).iter());
    assert_eq!(found[..20], (0..20).map(payload).collect::<Vec<_>>());
    assert_eq!(found[20..], new, "INV-W8");
}

#[test]
fn an_end_outside_the_log_is_refused() {
    let (_storage, mut wal) = log_of(1000);
    wal.sync().unwrap();
    wal.checkpoint(Lsn(500)).unwrap();
    let first = wal.first_lsn();
    assert!(first > Lsn(0));
    for end in [first.0 - 1, 1001, u64::MAX] {
        let refused = wal.truncate_after(Lsn(end));
        assert!(
            matches!(refused, Err(TruncateError::OutOfRange { .. })),
            "{refused:?}"
        );
    }
    wal.truncate_after(first).unwrap();
    assert_eq!(
        (wal.first_lsn(), wal.next_lsn()),
        (first, first),
        "an empty log keeps its place"
    );
    assert_eq!(wal.append(b"next").unwrap(), first);
}

#[test]
fn a_record_that_is_held_outlives_its_truncation() {
    let (_storage, mut wal) = log_of(10);
    let held = wal.iter_from(Lsn(9)).next().unwrap().unwrap();
    wal.truncate_after(Lsn(5)).unwrap();
    append(&wal, 5, 600);
    wal.sync().unwrap();
    assert_eq!(held.payload(), payload(9), "INV-C4");
}
