//! What does it cost to open a log that is there, by the number of its segments,
//! and to read a first record of it?
//!
//! The logs were closed, are in the page cache, and have segments of 64 KiB.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use log_benches::contest::{Better, Column, Contest};
use log_benches::effort::Effort;
#[cfg(feature = "peers")]
use log_benches::peers::commitlog;
use log_benches::scratch;
use log_mmap::{Follower, Lsn, Reader, Store, StoreOptions, WalOptions};

const PAYLOAD: [u8; 256] = [7; 256];
const SEGMENT_BYTES: u64 = 64 << 10;

const MS: &[Column] = &[Column {
    name: "ms",
    digits: 3,
}];

fn options() -> StoreOptions {
    StoreOptions::default().wal(WalOptions::default().segment_bytes(SEGMENT_BYTES))
}

/// A closed log of so many segments.
fn make(directory: &Path, segments: usize) {
    let store = Store::open(directory, options()).expect("it opens");
    while store.segments().len() < segments {
        store.append(&PAYLOAD).expect("there is room");
    }
    store.close().expect("the disk works");
}

fn timed(open: impl FnOnce()) -> Vec<f64> {
    let start = Instant::now();
    open();
    vec![start.elapsed().as_secs_f64() * 1e3]
}

/// commitlog with as many segments, of records like ours.
#[cfg(feature = "peers")]
fn add_commitlog(contest: &mut Contest<'_>, segments: usize) {
    let directory = scratch::directory();
    let bytes = SEGMENT_BYTES as usize;
    let mut log = commitlog::reopen(directory.path(), Some(bytes));
    let records = segments * bytes / (PAYLOAD.len() + 20);
    commitlog::fill(&mut log, records as u64, &PAYLOAD);
    drop(log);
    contest.add("commitlog", move || {
        timed(|| drop(black_box(commitlog::reopen(directory.path(), Some(bytes)))))
    });
}

fn openings(effort: &Effort, segments: usize) {
    let title = format!("open {segments} segments, page cache");
    if !effort.wants(&title) {
        return;
    }
    let directory = scratch::directory();
    let path = directory.path();
    make(path, segments);
    let mut contest = Contest::new(title, Better::Lower, MS);
    contest.add("Reader", || {
        timed(|| drop(black_box(Reader::open(path).expect("it opens"))))
    });
    contest.add("Reader, and a record of the first segment", || {
        timed(|| {
            let reader = Reader::open(path).expect("it opens");
            assert!(reader.read(Lsn(100)).expect("it is whole").is_some());
        })
    });
    contest.add("Store, and closing it", || {
        timed(|| {
            let store = Store::open(path, options()).expect("it opens");
            store.close().expect("the disk works");
        })
    });
    contest.add("Follower, at the end", || {
        timed(|| {
            drop(black_box(
                Follower::open(path, Lsn(u64::MAX)).expect("it opens"),
            ))
        })
    });
    contest.add("floor: open and stat each file", || {
        timed(|| {
            for entry in fs::read_dir(path).expect("it is there") {
                let file = fs::File::open(entry.expect("it is there").path());
                let metadata = file.expect("it opens").metadata();
                black_box(metadata.expect("it is open").len());
            }
        })
    });
    #[cfg(feature = "peers")]
    add_commitlog(&mut contest, segments);
    contest.hold(effort);
}

fn main() {
    let effort = Effort::from_args();
    for segments in [10, 100, 1_000] {
        openings(&effort, segments);
    }
}
