//! A process that is killed while it compacts.

use std::thread::sleep;
use std::time::Duration;

use crate::support::{Other, append_to, check_gaps, checked, given_directory, options, say};
use log_mmap::{Lsn, Reader, Store};

/// Appended between two compactions.
const RECORDS: u64 = 120;

/// Appends, compacts, and says how far it came, until it is killed.
#[test]
#[ignore = "plays the other process of a test"]
fn role_compacts() {
    let Some(directory) = given_directory() else {
        return;
    };
    let store = Store::open(directory, options()).unwrap();
    loop {
        append_to(&store, store.next_lsn().0 + RECORDS);
        store.rotate().unwrap();
        let end = store.next_lsn();
        // The parent may be gone before it has read all.
        if !say(end.0) {
            return;
        }
        store.compact_before(end, |_| true).unwrap();
    }
}

#[test]
fn a_kill_while_it_is_compacted_leaves_every_segment_old_or_new() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..12_u64 {
        let mut other = Other::plays("kills::role_compacts", directory.path());
        let said = (0..=round % 3).map_while(|_| other.says()).last();
        // Somewhere in the compaction that it has begun by then.
        let mixed = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        sleep(Duration::from_micros(mixed % 4000));
        let end = other.kill().or(said).unwrap();

        let reader = Reader::open(directory.path()).unwrap();
        let report = reader.verify();
        assert!(report.is_sound(), "round {round}: {:?}", report.damage);
        let store = Store::open(directory.path(), options()).unwrap();
        assert!(!has_left_over(directory.path()), "opening tidies up");
        assert!(store.next_lsn() >= Lsn(end), "INV-W1: {end} was reached");
        check(&store);
        // Indexes of the old files may be there.
        for lsn in (0..store.next_lsn().0).rev() {
            if let Some(record) = store.read(Lsn(lsn)).unwrap() {
                assert_eq!(checked(&record), lsn);
            }
        }
        store.compact_before(store.next_lsn(), |_| true).unwrap();
        check(&store);
        store.close().unwrap();
    }
}

fn check(store: &Store) {
    let found = store.iter().map(|record| checked(&record.unwrap()));
    let end = store.next_lsn().0;
    check_gaps(&found.collect::<Vec<_>>(), end, end);
}

/// Whether there is a segment file that has no name yet.
fn has_left_over(directory: &std::path::Path) -> bool {
    let mut entries = std::fs::read_dir(directory).unwrap();
    entries.any(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().ends_with(".log.new")
    })
}
