//! A record is found at any moment, also while its segment changes from memory
//! to a mapped file.

use std::thread;

use crate::support::{assert_complete, index_paths, options, payload};
use log_mmap::{Lsn, SegmentInfo, SegmentState, Store};

/// Some 60 bytes each: about a hundred segments.
const RECORDS: u64 = 20_000;

#[test]
fn every_published_record_is_found_while_segments_are_handed_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options(512)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for lsn in 0..RECORDS {
                assert_eq!(store.append(&payload(lsn)).unwrap(), Lsn(lsn));
                match lsn % 400 {
                    150 => drop(store.flush().unwrap()),
                    399 => drop(store.sync().unwrap()),
                    _ => {}
                }
            }
        });
        for reader in 0..2 {
            let store = &store;
            scope.spawn(move || read_near_the_end(store, reader));
        }
        scope.spawn(|| follow(&store));
    });
    assert!(
        store.segments().len() > 50,
        "there was something to hand over"
    );
    assert_complete(&store, RECORDS, "afterwards");
}

/// Reads single records, most of them where segments are being sealed.
fn read_near_the_end(store: &Store, seed: u64) {
    let mut state = seed + 1;
    loop {
        let end = store.next_lsn().0;
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let back = (state >> 33) % 600;
        if let Some(lsn) = end.checked_sub(back + 1) {
            let record = store.read(Lsn(lsn)).unwrap();
            let record = record.unwrap_or_else(|| panic!("INV-M1: {lsn} of {end} is not found"));
            assert_eq!(record.payload(), payload(lsn));
        }
        if end == RECORDS {
            return;
        }
    }
}

/// Reads everything once, in order, as it comes.
fn follow(store: &Store) {
    let mut records = store.iter();
    for lsn in 0..RECORDS {
        assert!(store.wait_published(Lsn(lsn), None));
        let record = records
            .next()
            .unwrap_or_else(|| panic!("INV-M1: {lsn} is not found"));
        let record = record.unwrap();
        assert_eq!(record.lsn(), Lsn(lsn), "no gap and no duplicate");
        assert_eq!(record.payload(), payload(lsn));
    }
    assert!(records.next().is_none());
}

#[test]
fn an_iterator_that_stopped_goes_on_after_its_segment_was_handed_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options(0)).unwrap();
    store.append(&payload(0)).unwrap();
    let mut records = store.iter();
    assert_eq!(records.next().unwrap().unwrap().lsn(), Lsn(0));
    assert!(records.next().is_none(), "the end, for now");
    for lsn in 1..50 {
        store.append(&payload(lsn)).unwrap();
        store.rotate().unwrap();
    }
    let rest: Vec<_> = records
        .by_ref()
        .map(|record| record.unwrap().lsn().0)
        .collect();
    assert_eq!(
        rest,
        (1..50).collect::<Vec<_>>(),
        "INV-M1: all that came meanwhile"
    );
    store.append(&payload(50)).unwrap();
    assert_eq!(
        records.next().unwrap().unwrap().lsn(),
        Lsn(50),
        "and the live end"
    );
}

#[test]
fn what_a_flush_sealed_is_indexed_when_asked_for_beside_readers() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options(0)).unwrap();
    for lsn in 0..3000 {
        store.append(&payload(lsn)).unwrap();
    }
    store.flush().unwrap();
    let segments = store.segments();
    let is_sealed = |info: &&SegmentInfo| info.state == SegmentState::Sealed;
    let sealed = segments.iter().filter(is_sealed).count();
    assert!(sealed > 5);
    assert_eq!(
        index_paths(directory.path()).len(),
        0,
        "a flush does not read what it wrote"
    );

    let indexed = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_complete(&store, 3000, "while indexes are made"));
        }
        let indexing = [(); 2].map(|()| scope.spawn(|| store.index_sealed().unwrap()));
        indexing.map(|thread| thread.join().unwrap())
    });
    assert_eq!(indexed.iter().sum::<usize>(), sealed, "each once");
    assert_eq!(index_paths(directory.path()).len(), sealed);
    assert_eq!(store.index_sealed().unwrap(), 0, "nothing is left to do");
}

#[test]
fn a_sync_and_a_rotation_index_what_they_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options(0)).unwrap();
    store.append(&payload(0)).unwrap();
    assert!(store.rotate().unwrap());
    assert_eq!(index_paths(directory.path()).len(), 1);
    assert!(!store.rotate().unwrap(), "nothing to seal");
    for lsn in 1..1000 {
        store.append(&payload(lsn)).unwrap();
    }
    store.sync().unwrap();
    assert_eq!(
        index_paths(directory.path()).len(),
        store.segments().len() - 1
    );
}
