//! A record stays valid for as long as it is held.

use std::fs;

use crate::support::{assert_complete, dense, make, payload, segment_paths};
use log_mmap::{Lsn, Reader, Store};

#[test]
fn a_record_outlives_its_log_and_its_files() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 3, 20);
    let store = Store::open(directory.path(), dense()).unwrap();
    let records: Vec<_> = store.iter().map(Result::unwrap).collect();
    assert_eq!(records.len(), 60);
    store.close().unwrap();
    let from_reader = {
        let reader = Reader::open(directory.path()).unwrap();
        reader.read(Lsn(3)).unwrap().unwrap()
    };
    directory.close().unwrap();
    for (lsn, record) in records.into_iter().enumerate() {
        assert_eq!(
            record.into_payload(),
            payload(lsn as u64),
            "INV-M5: record {lsn}"
        );
    }
    assert_eq!(from_reader.payload(), payload(3), "INV-M5");
}

#[test]
fn a_record_from_memory_outlives_the_hand_over_of_its_segment() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    store.append(&payload(0)).unwrap();
    let held = store.read(Lsn(0)).unwrap().unwrap();
    // Enough rotations to have its memory used again, if anybody would.
    for lsn in 1..20 {
        store.append(&payload(lsn)).unwrap();
        store.rotate().unwrap();
    }
    assert_eq!(held.payload(), payload(0), "INV-M5");
    assert_complete(&store, 20, "beside it");
}

#[test]
fn a_sealed_file_never_changes() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 4, 20);
    let mut sealed = segment_paths(directory.path());
    sealed.pop();
    let before: Vec<_> = sealed.iter().map(|path| fs::read(path).unwrap()).collect();

    for opening in 0..3 {
        let store = Store::open(directory.path(), dense()).unwrap();
        assert_complete(&store, 80 + opening * 20, "mapped");
        for lsn in 0..20 {
            store.append(&payload(80 + opening * 20 + lsn)).unwrap();
        }
        store.rotate().unwrap();
        store.close().unwrap();
    }
    for (path, before) in sealed.iter().zip(before) {
        assert!(
            fs::read(path).unwrap() == before,
            "INV-M2: {}",
            path.display()
        );
    }
}
