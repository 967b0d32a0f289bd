//! What does `Log` cost over the layer beneath it?
//!
//! The same call on a `Log` and on the `Store` that it stands on, in turns.
//! Appends are *published*, between rotations, in memory that was used before.
//! A `Log` looks at the clock for every record unless it is told not to. The
//! store is given a time that is known, so both write the same bytes; and, in a
//! column of its own, asks the same clock: the difference is what that costs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use log_benches::contest::{Better, Column, Contest};
use log_benches::effort::Effort;
use log_benches::scratch;
use log_facade::{Clock, Log, Lsn, NewRecord, SystemClock, Timestamp};
use log_mmap::{Store, StoreOptions};
use tempfile::TempDir;

const PAYLOAD: [u8; 256] = [7; 256];
/// Most of a segment.
const LAP_RECORDS: u64 = (12 << 20) / 280;
const LAPS: u64 = 4;
const READ_RECORDS: u64 = 200_000;

const NS_A_RECORD: &[Column] = &[Column {
    name: "ns a record",
    digits: 1,
}];

fn ns_a_record(time: Duration, records: u64) -> Vec<f64> {
    vec![time.as_nanos() as f64 / records as f64]
}

/// Time per record of laps of which only the appends are timed.
fn laps(effort: &Effort, append: impl Fn(), rotate: impl Fn()) -> Vec<f64> {
    let records = effort.scaled(LAP_RECORDS);
    let mut time = Duration::ZERO;
    for _ in 0..LAPS {
        let start = Instant::now();
        (0..records).for_each(|_| append());
        time += start.elapsed();
        rotate();
    }
    ns_a_record(time, LAPS * records)
}

/// A log and the directory it lies in.
fn open_log(stamps: bool) -> (Log, TempDir) {
    let directory = scratch::directory();
    let log = Log::options().stamp(stamps).open(directory.path());
    (log.expect("a fresh log opens"), directory)
}

fn open_store() -> (Store, TempDir) {
    let directory = scratch::directory();
    let store = Store::open(directory.path(), StoreOptions::default());
    (store.expect("a fresh store opens"), directory)
}

fn appending(effort: &Effort) {
    let stamp = Timestamp(1_790_000_000_000_000_000);
    for stamps in [false, true] {
        let title = match stamps {
            false => "append 256 B, without a time",
            true => "append 256 B, stamped",
        };
        if !effort.wants(title) {
            continue;
        }
        let (log, _log_directory) = open_log(stamps);
        let (store, _store_directory) = open_store();
        let clock = SystemClock::new();
        let rotate_log = || assert!(log.rotate().expect("rotated"));
        let rotate_store = || assert!(store.rotate().expect("rotated"));
        let mut contest = Contest::new(title, Better::Lower, NS_A_RECORD);
        contest.add("Store", || {
            let append = || {
                let record = NewRecord::new(black_box(&PAYLOAD));
                let record = if stamps {
                    record.timestamp(stamp)
                } else {
                    record
                };
                store.append_record(&record).expect("appended");
            };
            laps(effort, append, rotate_store)
        });
        if stamps {
            contest.add("Store and the clock", || {
                let append = || {
                    let record = NewRecord::new(black_box(&PAYLOAD)).timestamp(clock.now());
                    store.append_record(&record).expect("appended");
                };
                laps(effort, append, rotate_store)
            });
        }
        contest.add("Log", || {
            let append = || {
                log.append(black_box(&PAYLOAD)).expect("appended");
            };
            laps(effort, append, rotate_log)
        });
        contest.hold(effort);
    }
}

fn reading(effort: &Effort) {
    if !["read one by number", "iterate"]
        .iter()
        .any(|title| effort.wants(title))
    {
        return;
    }
    let (log, directory) = open_log(true);
    let records = effort.scaled(READ_RECORDS);
    for _ in 0..records {
        log.append(&PAYLOAD).expect("appended");
    }
    log.rotate().expect("rotated");
    log.close().expect("closed");
    // One after the other: a directory has one writer.
    let store = Store::open(directory.path(), StoreOptions::default()).expect("opens");
    let copy = scratch::directory();
    for entry in std::fs::read_dir(directory.path()).expect("a directory") {
        let entry = entry.expect("a file");
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copied");
    }
    let log = Log::open(copy.path()).expect("opens");

    let lsns: Vec<Lsn> = (0..records).map(|at| Lsn(at * 7919 % records)).collect();
    let each = |read: &dyn Fn(Lsn) -> usize| {
        let start = Instant::now();
        let bytes: usize = lsns.iter().map(|lsn| read(*lsn)).sum();
        assert_eq!(bytes, lsns.len() * PAYLOAD.len());
        ns_a_record(start.elapsed(), records)
    };
    let mut contest = Contest::new("read one by number", Better::Lower, NS_A_RECORD);
    contest.add("Store", || {
        each(&|lsn| {
            store
                .read(lsn)
                .expect("readable")
                .map_or(0, |it| it.payload().len())
        })
    });
    contest.add("Log", || {
        each(&|lsn| {
            log.read(lsn)
                .expect("readable")
                .map_or(0, |it| it.payload().len())
        })
    });
    contest.hold(effort);

    let mut contest = Contest::new("iterate", Better::Lower, NS_A_RECORD);
    contest.add("Store", || {
        let start = Instant::now();
        let read = store.iter().map(|it| it.expect("readable").payload().len());
        assert_eq!(read.sum::<usize>() as u64, records * PAYLOAD.len() as u64);
        ns_a_record(start.elapsed(), records)
    });
    contest.add("Log", || {
        let start = Instant::now();
        let read = log.iter().map(|it| it.expect("readable").payload().len());
        assert_eq!(read.sum::<usize>() as u64, records * PAYLOAD.len() as u64);
        ns_a_record(start.elapsed(), records)
    });
    contest.hold(effort);
}

fn main() {
    let effort = Effort::from_args();
    appending(&effort);
    reading(&effort);
}
