//! Segments go from the front, and records from the end.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{dense, index_paths, make, options, payload, segment_paths};
use log_mmap::{Lsn, ReadError, Store};

/// The log has exactly the records `first..end` of [`payload`], and says of
/// what lies in front of them that it is gone.
fn assert_has(store: &Store, first: u64, end: u64, context: &str) {
    assert_eq!(
        (store.first_lsn(), store.next_lsn()),
        (Lsn(first), Lsn(end)),
        "{context}"
    );
    for lsn in first..end {
        let record = store.read(Lsn(lsn)).unwrap().unwrap();
        assert_eq!(record.payload(), payload(lsn), "{context}: record {lsn}");
    }
    for lsn in 0..first {
        match store.read(Lsn(lsn)) {
            Err(ReadError::Truncated {
                requested,
                first: f,
            }) => {
                assert_eq!((requested, f), (Lsn(lsn), Lsn(first)), "{context}: INV-F2");
            }
            other => panic!("{context}: record {lsn} should be gone, got {other:?}"),
        }
    }
    assert_eq!(store.read(Lsn(end)).unwrap(), None, "{context}");
    let all: Vec<_> = store.iter().map(|it| it.unwrap().lsn().0).collect();
    assert_eq!(all, (first..end).collect::<Vec<_>>(), "{context}");
}

/// Fault 39.
#[test]
fn a_held_record_outlives_the_segment_it_is_from() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 6, 20);
    let store = Store::open(directory.path(), dense()).unwrap();
    let held: Vec<_> = store.range(Lsn(0)..Lsn(60)).map(Result::unwrap).collect();
    let mut reading = store.iter();
    assert_eq!(reading.next().unwrap().unwrap().lsn(), Lsn(0));

    assert_eq!(store.drop_before(Lsn(65)).unwrap(), 3);
    // Enough of the log to use the space and the files again, if anybody would.
    for lsn in 120..600 {
        store.append(&payload(lsn)).unwrap();
        if lsn % 20 == 0 {
            store.rotate().unwrap();
        }
    }
    store.sync().unwrap();
    for (lsn, record) in held.iter().enumerate() {
        assert_eq!(
            record.payload(),
            payload(lsn as u64),
            "INV-M5: record {lsn}"
        );
    }
    for lsn in 1..20 {
        let record = reading.next().unwrap().unwrap();
        assert_eq!(record.payload(), payload(lsn), "it finishes its segment");
    }
    // Fault 40.
    match reading.next() {
        Some(Err(ReadError::Truncated { requested, first })) => {
            assert_eq!((requested, first), (Lsn(20), Lsn(60)), "INV-F2");
        }
        other => panic!("expected to be told, got {other:?}"),
    }
    assert_eq!(
        reading.next().unwrap().unwrap().lsn(),
        Lsn(60),
        "then it goes on"
    );
    assert_has(&store, 60, 600, "afterwards");
}

#[test]
fn dropped_segments_go_with_their_indexes_and_the_active_one_stays() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 5, 20);
    let store = Store::open(directory.path(), dense()).unwrap();
    assert_has(&store, 0, 100, "before");
    assert_eq!(index_paths(directory.path()).len(), 4);

    assert_eq!(store.drop_before(Lsn(0)).unwrap(), 0, "nothing lies below");
    assert_eq!(
        store.drop_before(Lsn(19)).unwrap(),
        0,
        "one record is needed"
    );
    assert_eq!(store.drop_before(Lsn(20)).unwrap(), 1);
    assert_eq!(index_paths(directory.path()).len(), 3);
    assert_has(&store, 20, 100, "one less");

    assert_eq!(store.drop_before(Lsn(u64::MAX)).unwrap(), 3);
    assert_eq!(segment_paths(directory.path()).len(), 1);
    assert_eq!(index_paths(directory.path()).len(), 0);
    assert_has(&store, 80, 100, "only the active one");
    store.append(&payload(100)).unwrap();
    store.rotate().unwrap();
    assert_has(&store, 80, 101, "it is found when it is sealed, too");
    store.close().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    assert_has(&store, 80, 101, "opened again");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Fault 41: what a crash leaves is a log that lacks its first few segments,
/// with index files of some of them.
#[test]
fn a_crash_at_any_step_of_retention_leaves_a_log_without_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    make(&whole, dense(), 5, 20);
    assert_has(&Store::open(&whole, dense()).unwrap(), 0, 100, "before");
    for removed in 0..5_usize {
        for indexes_removed in 0..=removed {
            let context = format!("{removed} segments and {indexes_removed} indexes removed");
            let left = directory
                .path()
                .join(format!("{removed}-{indexes_removed}"));
            copy(&whole, &left);
            let segments = segment_paths(&left);
            let indexes = index_paths(&left);
            segments[..removed]
                .iter()
                .for_each(|it| fs::remove_file(it).unwrap());
            let indexes = &indexes[..indexes_removed.min(indexes.len())];
            indexes.iter().for_each(|it| fs::remove_file(it).unwrap());

            let store = Store::open(&left, dense()).unwrap();
            assert_eq!(
                index_paths(&left).len(),
                4_usize.saturating_sub(removed),
                "{context}: none without its segment"
            );
            assert_has(&store, removed as u64 * 20, 100, &context);
        }
    }
}

#[test]
fn an_opening_removes_nothing_but_index_files_without_a_segment() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 2, 20);
    let orphan = |name: &str| directory.path().join(name);
    let orphans = [
        "00000000000000000000-0000000099.index",
        "00000000000000000000-0000000099.index.new",
        "00000000000000000000-0000000099.timeindex",
        "00000000000000000000-0000000099.timeindex.new",
        "00000000000000000500-0000000001.index",
    ];
    let kept = [
        "99.index",
        "notes.index",
        "00000000000000000000-0000000099.txt",
    ];
    for name in orphans.iter().chain(&kept) {
        fs::write(orphan(name), b"anything").unwrap();
    }
    let with_a_segment = index_paths(directory.path()).remove(0);
    drop(Store::open(directory.path(), dense()).unwrap());
    for name in orphans {
        assert!(!orphan(name).exists(), "{name}");
    }
    for name in kept {
        assert!(orphan(name).exists(), "{name}");
    }
    assert!(with_a_segment.exists());
}

#[test]
fn what_retention_takes_away_under_readers_is_gone_and_never_wrong() {
    const RECORDS: u64 = 12_000;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options(512)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for lsn in 0..RECORDS {
                store.append(&payload(lsn)).unwrap();
                if lsn % 300 == 299 {
                    store.sync().unwrap();
                    store.drop_before(Lsn(lsn.saturating_sub(700))).unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
        for seed in 0..2_u64 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut held = Vec::new();
                let mut state = seed + 1;
                while !done.load(Ordering::Acquire) {
                    let (first, end) = (store.first_lsn().0, store.next_lsn().0);
                    if first == end {
                        continue;
                    }
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let lsn = first + (state >> 33) % (end - first);
                    match store.read(Lsn(lsn)) {
                        Ok(Some(record)) => held.push(record),
                        Ok(None) => panic!("INV-M1: {lsn} of {first}..{end} is not found"),
                        Err(ReadError::Truncated { requested, first }) => {
                            assert!(requested == Lsn(lsn) && first > requested, "INV-F2");
                        }
                        Err(error) => panic!("{error}"),
                    }
                    held.drain(..held.len().saturating_sub(500));
                }
                for record in held {
                    assert_eq!(record.payload(), payload(record.lsn().0), "INV-M5");
                }
            });
        }
    });
    assert!(
        store.first_lsn() > Lsn(RECORDS / 2),
        "something was dropped"
    );
    assert_has(&store, store.first_lsn().0, RECORDS, "afterwards");
}

#[test]
fn segments_that_are_sealed_and_dropped_at_the_same_time_leave_no_gap() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for lsn in 0..150 {
                store.append(&payload(lsn)).unwrap();
                store.rotate().unwrap();
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                store.drop_before(store.next_lsn()).unwrap();
            }
        });
    });
    store.append(&payload(150)).unwrap();
    store.rotate().unwrap();
    assert_eq!(
        store.read(Lsn(150)).unwrap().unwrap().payload(),
        payload(150)
    );
    let sealed = store.segments().len() - 1;
    assert_eq!(
        index_paths(directory.path()).len(),
        sealed,
        "INV-M4: all are known"
    );
}

#[test]
fn truncation_takes_catalog_and_indexes_along() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 5, 20);
    let mut store = Store::open(directory.path(), dense()).unwrap();
    assert_has(&store, 0, 100, "before");
    let held = store.read(Lsn(99)).unwrap().unwrap();
    let cut = store.read(Lsn(45)).unwrap().unwrap();

    store.truncate_after(Lsn(45)).unwrap();
    assert_has(&store, 0, 45, "cut in the middle of a segment");
    for lsn in 45..60 {
        store.append(&payload(lsn)).unwrap();
    }
    store.rotate().unwrap();
    assert_has(&store, 0, 60, "goes on");
    assert_eq!(held.payload(), payload(99), "INV-M5");
    assert_eq!(cut.payload(), payload(45), "INV-M5");
    let segments = segment_paths(directory.path()).len();
    assert_eq!(index_paths(directory.path()).len(), segments - 1);

    store.truncate_after(Lsn(40)).unwrap();
    assert_has(&store, 0, 40, "cut where a segment begins");
    store.truncate_after(Lsn(40)).unwrap();
    assert!(store.truncate_after(Lsn(41)).is_err(), "beyond the end");
    assert_has(&store, 0, 40, "as it was");
    store.close().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    assert_has(&store, 0, 40, "opened again");
}

/// Fault 37: the crash comes before the index files follow.
#[test]
fn an_index_of_what_was_truncated_changes_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 4, 20);
    let mut store = Store::open(directory.path(), dense()).unwrap();
    assert_has(&store, 0, 80, "before");
    let indexes = index_paths(directory.path());
    let before: Vec<_> = indexes.iter().map(|it| fs::read(it).unwrap()).collect();
    store.truncate_after(Lsn(33)).unwrap();
    for lsn in 33..50 {
        store.append(&payload(lsn)).unwrap();
    }
    store.close().unwrap();
    for (path, bytes) in indexes.iter().zip(before) {
        fs::write(path, bytes).unwrap();
    }
    let store = Store::open(directory.path(), dense()).unwrap();
    assert_has(&store, 0, 50, "INV-M3");
}
