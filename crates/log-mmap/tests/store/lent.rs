//! What is lent is what is given to keep, and a lookup that is kept shows the
//! log as it is now.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use log_mmap::{Codec, Lsn, NewRecord, Payload, ReadError, Reader, Store, Timestamp};

use crate::support::{dense, index_paths, make, options, payload};

/// A record that says it has an envelope of a later version.
struct Unknown;

impl Payload for Unknown {
    fn len_bytes(&self) -> usize {
        1
    }

    fn copy_to(&self, place: &mut [u8]) {
        place.fill(7);
    }

    fn codec(&self) -> Codec {
        Codec::new(0x7F).unwrap()
    }
}

#[test]
fn a_lookup_shows_what_was_appended_sealed_and_dropped_since_it_was_made() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 3, 20);
    let store = Store::open(directory.path(), dense()).unwrap();
    let mut lookup = store.lookup();
    let mut shows = |lsn: u64| {
        let record = lookup.read(Lsn(lsn))?;
        Ok::<_, ReadError>(record.map(|record| record.into_slice().to_vec()))
    };
    assert_eq!(shows(5).unwrap(), Some(payload(5)), "not mapped before");
    assert_eq!(shows(5).unwrap(), Some(payload(5)), "mapped now");
    assert_eq!(shows(60).unwrap(), None);
    store.append(&payload(60)).unwrap();
    assert_eq!(shows(60).unwrap(), Some(payload(60)), "in memory");
    store.rotate().unwrap();
    assert_eq!(shows(60).unwrap(), Some(payload(60)), "sealed");
    assert_eq!(shows(61).unwrap(), None);

    assert_eq!(store.drop_before(Lsn(20)).unwrap(), 1);
    let gone = shows(5);
    assert!(
        matches!(gone, Err(ReadError::Truncated { first: Lsn(20), .. })),
        "INV-F2: {gone:?}"
    );
    assert_eq!(shows(20).unwrap(), Some(payload(20)));
}

#[test]
fn what_a_lookup_has_lent_stays_while_it_is_lent() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 4, 20);
    let store = Store::open(directory.path(), dense()).unwrap();
    let mut lookup = store.lookup();
    lookup.read(Lsn(5)).unwrap();
    let lent = lookup.read(Lsn(5)).unwrap().unwrap();
    assert_eq!(store.drop_before(Lsn(60)).unwrap(), 3);
    for lsn in 80..400 {
        store.append(&payload(lsn)).unwrap();
        if lsn % 20 == 0 {
            store.rotate().unwrap();
        }
    }
    assert_eq!(lent.payload(), payload(5), "INV-M5");
    let kept = lent.copied();
    assert!(lookup.read(Lsn(5)).is_err(), "gone at the next look");
    assert_eq!(kept.payload(), payload(5));
}

#[test]
fn lookups_beside_retention_show_the_record_or_where_the_log_begins() {
    const SEGMENT: u64 = 10;
    const END: u64 = 600;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for seed in 0..2 {
            let (store, is_done) = (&store, &is_done);
            scope.spawn(move || {
                let (mut lookup, mut mixed) = (store.lookup(), seed);
                while !is_done.load(Ordering::Relaxed) {
                    mixed = (mixed + 7) % END;
                    let end = store.next_lsn();
                    match lookup.read(Lsn(mixed)) {
                        Ok(Some(record)) => assert_eq!(record.payload(), payload(mixed)),
                        Ok(None) => assert!(Lsn(mixed) >= end, "INV-M1: record {mixed}"),
                        Err(ReadError::Truncated { first, .. }) => assert!(first > Lsn(mixed)),
                        Err(error) => panic!("record {mixed}: {error}"),
                    }
                }
            });
        }
        for lsn in 0..END {
            store.append(&payload(lsn)).unwrap();
            if lsn % SEGMENT == SEGMENT - 1 {
                store.rotate().unwrap();
                store.drop_before(Lsn(lsn.saturating_sub(100))).unwrap();
            }
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(store.first_lsn() > Lsn(0));
}

#[test]
fn a_record_that_cannot_be_taken_apart_is_told_of_and_ends_what_is_lent() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    store.append(b"zero").unwrap();
    store.append_payload(&Unknown).unwrap();
    store.append(b"two").unwrap();
    // In memory, and sealed.
    for _ in 0..2 {
        let mut records = store.iter();
        assert_eq!(records.next_ref().unwrap().unwrap().payload(), b"zero");
        let told = records.next_ref().map(|record| record.map(|it| it.lsn()));
        assert!(
            matches!(told, Some(Err(ReadError::Undecodable { lsn: Lsn(1), .. }))),
            "{told:?}"
        );
        assert!(records.next_ref().is_none(), "it ends there");
        let mut lookup = store.lookup();
        for _ in 0..2 {
            let told = lookup.read(Lsn(1)).map(|_| ());
            assert!(
                matches!(told, Err(ReadError::Undecodable { lsn: Lsn(1), .. })),
                "{told:?}"
            );
        }
        let two = lookup.read(Lsn(2)).unwrap().unwrap();
        assert_eq!(two.payload(), b"two");
        store.rotate().unwrap();
    }
}

/// Lengths that change at times, with marks of syncs between records: what the
/// index makes of stretches of one length, and what lies between them.
#[test]
fn every_record_is_found_where_lengths_change_now_and_then() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options(256)).unwrap();
    let bytes = |lsn: u64| vec![lsn as u8; if lsn % 300 < 150 { 24 } else { 40 }];
    for lsn in 0..1500 {
        let bytes = bytes(lsn);
        let record = NewRecord::new(&bytes).timestamp(Timestamp(lsn));
        store.append_record(&record).unwrap();
        if lsn % 90 == 0 {
            store.sync().unwrap();
        }
    }
    store.close().unwrap();
    for is_loaded in [true, false] {
        if !is_loaded {
            for index in index_paths(directory.path()) {
                std::fs::remove_file(index).unwrap();
            }
        }
        let reader = Reader::open(directory.path()).unwrap();
        let mut lookup = reader.lookup();
        for lsn in (0..1500).chain((0..1500).rev()) {
            let record = lookup.read(Lsn(lsn)).unwrap().unwrap();
            assert_eq!(
                (record.lsn(), record.payload()),
                (Lsn(lsn), &bytes(lsn)[..])
            );
            assert_eq!(record.timestamp(), Some(Timestamp(lsn)));
        }
        assert!(lookup.read(Lsn(1500)).unwrap().is_none());
    }
}
