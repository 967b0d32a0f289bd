//! Of the records with one key, the newest stays.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{dense, index_paths, options, segment_paths};
use log_mmap::{Lsn, NewRecord, Reader, Store, Timestamp};

const KEYS: u64 = 13;

/// What record `lsn` is: its key if it has one, and its bytes.
fn key(lsn: u64) -> Option<u64> {
    let mixed = lsn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    (!mixed.is_multiple_of(11)).then_some(mixed % KEYS)
}

fn bytes(lsn: u64) -> Vec<u8> {
    vec![lsn as u8; (lsn * 31 % 200) as usize]
}

fn append(store: &Store, lsns: std::ops::Range<u64>) {
    for lsn in lsns {
        let (bytes, key) = (bytes(lsn), key(lsn).map(u64::to_le_bytes));
        let mut record = NewRecord::new(&bytes).timestamp(Timestamp(lsn * 10));
        if let Some(key) = &key {
            record = record.key(key);
        }
        assert_eq!(store.append_record(&record).unwrap(), Lsn(lsn));
    }
}

/// The numbers that have a record after a compaction up to `compacted_end`.
fn expected(compacted_end: u64, end: u64) -> Vec<u64> {
    let newest: BTreeMap<_, _> = (0..compacted_end).map(|lsn| (key(lsn), lsn)).collect();
    let stays = |lsn: &u64| {
        *lsn >= compacted_end || key(*lsn).is_none() || newest.get(&key(*lsn)) == Some(lsn)
    };
    (0..end).filter(stays).collect()
}

fn check(store: &Store, expected: &[u64], end: u64) {
    let found: Vec<_> = store.iter().map(Result::unwrap).collect();
    for record in &found {
        let lsn = record.lsn().0;
        assert_eq!(record.payload(), bytes(lsn));
        let found_key = record.key().map(|key| key.try_into().unwrap());
        assert_eq!(found_key.map(u64::from_le_bytes), key(lsn));
    }
    let lsns: Vec<_> = found.iter().map(|it| it.lsn().0).collect();
    assert_eq!(lsns, expected);
    let mut backward: Vec<_> = store.iter().rev().map(|it| it.unwrap().lsn().0).collect();
    backward.reverse();
    assert_eq!(backward, expected);
    let mut lookup = store.lookup();
    for lsn in 0..end {
        let at = expected.partition_point(|it| *it < lsn);
        let next = expected.get(at).copied();
        let read = store.read(Lsn(lsn)).unwrap().map(|it| it.lsn().0);
        assert_eq!(read, next.filter(|it| *it == lsn), "record {lsn}");
        let lent = lookup.read(Lsn(lsn)).unwrap().map(|it| it.lsn().0);
        assert_eq!(lent, read, "record {lsn}, lent");
        let behind = store.iter_from(Lsn(lsn)).next();
        assert_eq!(behind.map(|it| it.unwrap().lsn().0), next, "from {lsn}");
        let by_time = store.lsn_at_or_after(Timestamp(lsn * 10)).unwrap();
        assert_eq!(by_time.map(|it| it.0), next, "by time, {lsn}");
    }
}

#[test]
fn the_newest_record_of_each_key_stays_and_all_without_a_key() {
    for interval_bytes in [0, 4096] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), options(interval_bytes)).unwrap();
        append(&store, 0..1000);
        store.sync().unwrap();
        let all: Vec<_> = (0..1000).collect();
        // Everything is mapped and indexed as it was.
        check(&store, &all, 1000);
        let held: Vec<_> = store.iter().map(Result::unwrap).collect();

        let report = store.compact_before(Lsn(700), |_| true).unwrap();
        let sealed_end = |lsn: u64| {
            let segments = store.segments();
            let before = segments.iter().filter(|it| it.end.0 <= lsn);
            before.map(|it| it.end.0).max().unwrap()
        };
        let end = sealed_end(700);
        let left = expected(end, 1000);
        assert_eq!(report.dropped_records, 1000 - left.len() as u64);
        assert!(report.segments > 3);
        check(&store, &left, 1000);
        let again = store.compact_before(Lsn(700), |_| true).unwrap();
        assert_eq!(again.segments, 0, "nothing is left to do");

        append(&store, 1000..1500);
        store.rotate().unwrap();
        store.compact_before(Lsn(1500), |_| true).unwrap();
        let left = expected(1500, 1500);
        check(&store, &left, 1500);
        for (lsn, record) in held.iter().enumerate() {
            assert_eq!(record.payload(), bytes(lsn as u64), "INV-M5");
        }
        store.close().unwrap();

        let reader = Reader::open(directory.path()).unwrap();
        assert!(reader.verify().is_sound(), "{:?}", reader.verify());
        let store = Store::open(directory.path(), options(interval_bytes)).unwrap();
        check(&store, &left, 1500);
    }
}

#[test]
fn a_tombstone_goes_with_what_it_stands_for_when_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    for round in 0..3_u64 {
        for key in [b"a", b"b"] {
            let payload = round.to_le_bytes();
            let is_gone = round == 2 && key == b"a";
            let payload = if is_gone { &[][..] } else { &payload[..] };
            let record = NewRecord::new(payload).key(key);
            store.append_record(&record).unwrap();
        }
        store.rotate().unwrap();
    }
    let left = || -> Vec<_> { store.iter().map(|it| it.unwrap().lsn().0).collect() };
    store.compact_before(Lsn(6), |_| true).unwrap();
    assert_eq!(left(), [4, 5], "kept until nobody needs it");
    store
        .compact_before(Lsn(6), |newest| !newest.payload().is_empty())
        .unwrap();
    assert_eq!(left(), [5]);
}

#[test]
fn nothing_goes_for_the_sake_of_what_lies_behind() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path(), dense()).unwrap();
    for _ in 0..2 {
        store.append_record(&NewRecord::new(b"").key(b"k")).unwrap();
        store.rotate().unwrap();
    }
    let report = store.compact_before(Lsn(1), |_| true).unwrap();
    assert_eq!(report.segments, 0);
    store.truncate_after(Lsn(1)).unwrap();
    assert!(store.read(Lsn(0)).unwrap().is_some());
}

#[test]
fn who_reads_while_it_is_compacted_sees_the_old_or_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    append(&store, 0..1200);
    store.rotate().unwrap();
    let newest = expected(1200, 1200);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    let seen: Vec<_> = store.iter().map(Result::unwrap).collect();
                    assert!(seen.iter().all(|it| it.payload() == bytes(it.lsn().0)));
                    let mut seen = seen.iter().map(|it| it.lsn().0);
                    assert!(newest.iter().all(|lsn| seen.any(|it| it == *lsn)));
                    for lsn in &newest {
                        assert!(store.read(Lsn(*lsn)).unwrap().is_some(), "{lsn}");
                    }
                }
            });
        }
        scope.spawn(|| append(&store, 1200..1400));
        for end in (100..=1200).step_by(100) {
            store.compact_before(Lsn(end), |_| true).unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    let mut left = newest;
    left.extend(1200..1400);
    check(&store, &left, 1400);
}

#[test]
fn segments_that_are_dropped_meanwhile_keep_no_other_from_being_compacted() {
    const END: u64 = 2000;
    for round in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), dense()).unwrap();
        append(&store, 0..END);
        store.rotate().unwrap();
        thread::scope(|scope| {
            let store = &store;
            scope.spawn(move || {
                for end in (0..END / 2).step_by(50) {
                    store.drop_before(Lsn(end)).unwrap();
                }
            });
            scope.spawn(move || store.compact_before(Lsn(END), |_| true).unwrap());
        });
        let first = store.first_lsn().0;
        let found: Vec<_> = store.iter().map(|it| it.unwrap().lsn().0).collect();
        let mut left = expected(END, END);
        left.retain(|lsn| *lsn >= first);
        assert_eq!(found, left, "round {round}");
    }
}

#[test]
fn what_is_dropped_before_its_turn_is_not_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    append(&store, 0..600);
    store.rotate().unwrap();
    let mut dropped = 0;
    let report = store.compact_before(Lsn(600), |_| {
        dropped += store.drop_before(Lsn(500)).unwrap();
        true
    });
    assert!(report.is_ok() && dropped > 2, "{report:?}");
    let first = store.first_lsn().0;
    let found: Vec<_> = store.iter().map(|it| it.unwrap().lsn().0).collect();
    let mut left = expected(600, 600);
    left.retain(|lsn| *lsn >= first);
    assert_eq!(found, left);
}

#[test]
fn indexes_of_the_old_files_change_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    append(&store, 0..1000);
    store.rotate().unwrap();
    store.sync().unwrap();
    let old = index_paths(directory.path());
    let old: Vec<_> = old
        .into_iter()
        .map(|it| (std::fs::read(&it).unwrap(), it))
        .collect();
    assert_eq!(old.len(), segment_paths(directory.path()).len() - 1);
    store.compact_before(Lsn(1000), |_| true).unwrap();
    store.close().unwrap();
    for (bytes, path) in old {
        std::fs::write(path, bytes).unwrap();
    }
    let store = Store::open(directory.path(), dense()).unwrap();
    check(&store, &expected(1000, 1000), 1000);
}
