//! Logs to test with, and what must be read from them.

use std::fs;
use std::path::{Path, PathBuf};

use log_mmap::{Lookup, Lsn, ReadError, Reader, Record, Records, Store, StoreOptions, WalOptions};

/// Small segments, so that a test has many.
pub(crate) const SEGMENT_BYTES: u64 = 16 << 10;

/// Every record has an index entry.
pub(crate) fn dense() -> StoreOptions {
    options(0)
}

pub(crate) fn options(index_interval_bytes: u32) -> StoreOptions {
    StoreOptions::default()
        .wal(WalOptions::default().segment_bytes(SEGMENT_BYTES))
        .index_interval_bytes(index_interval_bytes)
        .mapped_writing(crate::MAPPED_WRITING)
}

/// Record number `lsn`: its length and its bytes follow from the number.
pub(crate) fn payload(lsn: u64) -> Vec<u8> {
    let mixed = lsn.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let length = (mixed >> 32) % 120;
    (0..length)
        .map(|at| (mixed.rotate_left(at as u32) ^ at) as u8)
        .collect()
}

/// A log of `segments` segments with `records` each; the last one is not
/// sealed.
pub(crate) fn make(directory: &Path, options: StoreOptions, segments: u64, records: u64) {
    let store = Store::open(directory, options).unwrap();
    for segment in 0..segments {
        if segment > 0 {
            assert!(store.rotate().unwrap());
        }
        for lsn in segment * records..(segment + 1) * records {
            assert_eq!(store.append(&payload(lsn)).unwrap(), Lsn(lsn));
        }
    }
    store.close().unwrap();
}

/// The index files of a log, ascending.
pub(crate) fn index_paths(directory: &Path) -> Vec<PathBuf> {
    with_extension(directory, "index")
}

/// The time index files of a log, ascending.
pub(crate) fn time_index_paths(directory: &Path) -> Vec<PathBuf> {
    with_extension(directory, "timeindex")
}

/// The segment files of a log, ascending.
pub(crate) fn segment_paths(directory: &Path) -> Vec<PathBuf> {
    with_extension(directory, "log")
}

fn with_extension(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut paths = names(directory);
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths
}

/// Everything in a directory, in order.
pub(crate) fn names(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What a store and a reader have in common.
pub(crate) trait Readable {
    fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError>;
    fn lookup(&self) -> Lookup<'_>;
    fn range(&self, lsns: std::ops::Range<Lsn>) -> Records<'_>;
    fn next_lsn(&self) -> Lsn;
}

impl Readable for Store {
    fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        Store::read(self, lsn)
    }
    fn lookup(&self) -> Lookup<'_> {
        Store::lookup(self)
    }
    fn range(&self, lsns: std::ops::Range<Lsn>) -> Records<'_> {
        Store::range(self, lsns)
    }
    fn next_lsn(&self) -> Lsn {
        Store::next_lsn(self)
    }
}

impl Readable for Reader {
    fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        Reader::read(self, lsn)
    }
    fn lookup(&self) -> Lookup<'_> {
        Reader::lookup(self)
    }
    fn range(&self, lsns: std::ops::Range<Lsn>) -> Records<'_> {
        Reader::range(self, lsns)
    }
    fn next_lsn(&self) -> Lsn {
        Reader::next_lsn(self)
    }
}

/// The log has exactly the records `0..end` of [`payload`], one by one and in
/// order, to keep and lent.
pub(crate) fn assert_complete(log: &impl Readable, end: u64, context: &str) {
    assert_eq!(log.next_lsn(), Lsn(end), "{context}");
    let mut lookup = log.lookup();
    let mut look = |lsn| {
        let found = lookup
            .read(Lsn(lsn))
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        let found = found.map(|record| (record.lsn(), record.into_slice()));
        let expected = (Lsn(lsn), &payload(lsn)[..]);
        assert_eq!(found, Some(expected), "{context}: record {lsn}, lent");
    };
    for lsn in (0..end).rev() {
        // Each is the first now and then.
        if lsn % 2 == 0 {
            look(lsn);
        }
        let record = log
            .read(Lsn(lsn))
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        let found = record
            .as_ref()
            .map(|record| (record.lsn(), record.payload()));
        assert_eq!(
            found,
            Some((Lsn(lsn), &payload(lsn)[..])),
            "{context}: record {lsn}"
        );
        look(lsn);
    }
    assert_eq!(log.read(Lsn(end)).unwrap(), None, "{context}: the end");
    let mut next = 0;
    for record in log.range(Lsn(0)..Lsn(u64::MAX)) {
        let record = record.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(record.lsn(), Lsn(next), "{context}: no gap, no duplicate");
        assert_eq!(record.payload(), payload(next), "{context}");
        next += 1;
    }
    assert_eq!(next, end, "{context}: all of them");
    let mut records = log.range(Lsn(0)..Lsn(u64::MAX));
    for lsn in 0..end {
        let record = records.next_ref().map(Result::unwrap);
        let found = record.map(|record| (record.lsn(), record.into_slice()));
        let expected = (Lsn(lsn), &payload(lsn)[..]);
        assert_eq!(found, Some(expected), "{context}: lent");
    }
    assert!(records.next_ref().is_none(), "{context}: the end");
}
