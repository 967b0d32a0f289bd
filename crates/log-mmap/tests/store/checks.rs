//! When records are checked, and what that notices.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use log_mmap::{Checks, Lsn, NewRecord, ReadError, Reader, Store, Timestamp};

use crate::support::{assert_complete, dense, index_paths, make, options, payload, segment_paths};

const RECORDS: u64 = 30;
const END: u64 = 2 * RECORDS;

/// A log with one sealed segment, and its file.
fn log() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 2, RECORDS);
    let segment = segment_paths(directory.path()).remove(0);
    (directory, segment)
}

/// Where record `lsn` of the first segment lies, from its index.
fn position_of(directory: &Path, lsn: u64) -> u64 {
    let index = fs::read(&index_paths(directory)[0]).unwrap();
    let units = index[64 + 8 * lsn as usize..][4..8].try_into().unwrap();
    8 * u64::from(u32::from_le_bytes(units))
}

/// Flips a bit, as a disk or a memory would: mappings show it.
fn flip(file: &Path, position: u64) {
    let file = File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ 4], position).unwrap();
}

fn is_damage<T>(result: &Result<T, ReadError>) -> bool {
    matches!(result, Err(ReadError::Damaged(_)))
}

#[test]
fn a_log_is_read_the_same_whenever_it_is_checked() {
    for interval_bytes in [0, 64, 4096] {
        let directory = tempfile::tempdir().unwrap();
        make(directory.path(), options(interval_bytes), 3, RECORDS);
        let reader = Reader::open_with(directory.path(), Checks::OncePerMapping).unwrap();
        assert_complete(&reader, 3 * RECORDS, "reader");
        let once = options(interval_bytes).checks(Checks::OncePerMapping);
        let store = Store::open(directory.path(), once).unwrap();
        for lsn in 3 * RECORDS..4 * RECORDS {
            store.append(&payload(lsn)).unwrap();
        }
        assert_complete(&store, 4 * RECORDS, "in memory");
        store.rotate().unwrap();
        assert_complete(&store, 4 * RECORDS, "sealed here");
    }
}

#[test]
fn damage_that_was_there_before_is_never_handed_out() {
    for lsn in 0..RECORDS {
        // Behind the header there is the next frame if it has no bytes.
        let bytes = [0, 4, 8, 12, 16];
        let own = if payload(lsn).is_empty() { 4 } else { 5 };
        for byte in &bytes[..own] {
            let (directory, segment) = log();
            flip(&segment, position_of(directory.path(), lsn) + byte);
            let reader = Reader::open_with(directory.path(), Checks::OncePerMapping).unwrap();
            let mut lookup = reader.lookup();
            for other in (0..END).filter(|other| *other != lsn) {
                let record = lookup.read(Lsn(other)).unwrap().unwrap();
                assert_eq!(record.payload(), payload(other), "{other} beside {lsn}");
            }
            let context = format!("byte {byte} of record {lsn}");
            assert!(is_damage(&lookup.read(Lsn(lsn))), "{context}");
            assert!(is_damage(&reader.read(Lsn(lsn))), "{context}");
            let found = reader.iter().find(Result::is_err);
            assert!(found.is_some_and(|it| is_damage(&it)), "{context}");
        }
    }
}

/// What checking once gives up, and what it is quicker for.
#[test]
fn damage_that_comes_later_is_noticed_by_each_read_and_by_verify() {
    let (directory, segment) = log();
    let each = Reader::open(directory.path()).unwrap();
    let once = Reader::open_with(directory.path(), Checks::OncePerMapping).unwrap();
    let lsn = (0..RECORDS).find(|lsn| payload(*lsn).len() > 1).unwrap();
    for reader in [&each, &once] {
        assert_eq!(
            reader.read(Lsn(lsn)).unwrap().unwrap().payload(),
            payload(lsn)
        );
    }
    flip(&segment, position_of(directory.path(), lsn) + 16);
    assert!(is_damage(&each.read(Lsn(lsn))));
    let handed_out = once.read(Lsn(lsn)).unwrap().unwrap();
    assert_ne!(handed_out.payload(), payload(lsn), "it did not look again");
    assert!(!once.verify().is_sound(), "and can");
    drop(handed_out);
    let again = Reader::open_with(directory.path(), Checks::OncePerMapping).unwrap();
    assert!(is_damage(&again.read(Lsn(lsn))), "mapped anew");
}

/// The index of a segment that was just written is made of what was written,
/// and not checked against it: whoever reads does.
#[test]
fn what_rots_before_its_segment_is_indexed_costs_that_record_alone() {
    // Through a mapping it would rot in the writer's own memory.
    if crate::MAPPED_WRITING {
        return;
    }
    let positions = {
        let (directory, _) = log();
        (0..RECORDS)
            .map(|lsn| position_of(directory.path(), lsn))
            .collect::<Vec<_>>()
    };
    for lsn in 0..RECORDS {
        for byte in [0, 2, 3, 4, 8, 12] {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(directory.path(), dense()).unwrap();
            for lsn in 0..RECORDS {
                store.append(&payload(lsn)).unwrap();
            }
            store.flush().unwrap();
            flip(
                &segment_paths(directory.path())[0],
                positions[lsn as usize] + byte,
            );
            store.rotate().unwrap();
            let context = format!("byte {byte} of record {lsn}");
            for other in (0..RECORDS).filter(|other| *other != lsn) {
                let record = store.read(Lsn(other)).unwrap().unwrap();
                assert_eq!(record.payload(), payload(other), "{other} beside {context}");
            }
            assert!(is_damage(&store.read(Lsn(lsn))), "{context}");
        }
    }
}

#[test]
fn a_moment_is_found_whenever_records_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let once = options(64).checks(Checks::OncePerMapping);
    let store = Store::open(directory.path(), once).unwrap();
    for lsn in 0..600 {
        let record = NewRecord::new(b"something").timestamp(Timestamp(lsn * 10));
        store.append_record(&record).unwrap();
        if lsn % 100 == 0 {
            store.rotate().unwrap();
        }
    }
    store.close().unwrap();
    let reader = Reader::open_with(directory.path(), Checks::OncePerMapping).unwrap();
    for moment in 0..=5990 {
        let found = reader.lsn_at_or_after(Timestamp(moment)).unwrap();
        assert_eq!(found, Some(Lsn(moment.div_ceil(10))));
    }
    assert_eq!(reader.lsn_at_or_after(Timestamp(5991)).unwrap(), None);
}
