//! Logs to follow, and what must be shown of them.

use std::path::{Path, PathBuf};

use log_mmap::{FollowError, Follower, Lsn, Record, WalOptions};
use log_wal::Wal;

/// Small segments, so that a test has many.
pub(crate) fn small() -> WalOptions {
    WalOptions::default().segment_bytes(16 << 10)
}

pub(crate) fn wal_in(directory: &Path) -> Wal {
    Wal::open_with(directory, small()).unwrap()
}

/// Record number `lsn`: its length and its bytes follow from the number.
pub(crate) fn payload(lsn: u64) -> Vec<u8> {
    let mixed = lsn.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let length = (mixed >> 32) % 120;
    (0..length)
        .map(|at| (mixed.rotate_left(at as u32) ^ at) as u8)
        .collect()
}

/// Appends the records up to `end`.
pub(crate) fn append_to(wal: &Wal, end: u64) {
    for lsn in wal.next_lsn().0..end {
        assert_eq!(wal.append(&payload(lsn)).unwrap(), Lsn(lsn));
    }
}

/// All that is there now, each as it should be.
pub(crate) fn shown(follower: &mut Follower) -> Vec<u64> {
    std::iter::from_fn(|| follower.poll().unwrap())
        .map(|record| checked(&record))
        .collect()
}

/// The number of a record that is what was appended.
pub(crate) fn checked(record: &Record) -> u64 {
    let lsn = record.lsn().0;
    assert_eq!(record.payload(), payload(lsn), "record {lsn}");
    lsn
}

/// What comes when the follower looks often enough to look at the directory.
pub(crate) fn next_error(follower: &mut Follower) -> FollowError {
    for _ in 0..20_000 {
        match follower.poll() {
            Ok(None) => {}
            Ok(Some(record)) => panic!("record {}", record.lsn()),
            Err(error) => return error,
        }
    }
    panic!("no error");
}

/// The segment files of a log, ascending.
pub(crate) fn segment_paths(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == "log"));
    paths.sort();
    paths
}
