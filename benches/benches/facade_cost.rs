//! What does `Log` cost over the layer beneath it?
//!
//! The same call on a `Log` and on the `Store` that it stands on, in turns.
//! Appends are *published*, between rotations, in memory that was used before.
//! A `Log` looks at the clock for every record unless it is told not to. The
//! store asks the same clock, so both do the same; and, in a row of its own, is
//! given a time that is known: the difference is what the clock costs.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log_benches::contest::{Better, Column, Contest};
use log_benches::effort::Effort;
use log_benches::scratch;
use log_facade::engine::MemStorage;
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

/// What a log, and the store that it is compared with, stand on.
#[derive(Clone, Copy)]
enum Engine {
    Mapped,
    Unmapped,
    Memory,
}

impl Engine {
    fn title(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Unmapped => "not mapped",
            Self::Memory => "in memory",
        }
    }

    fn log(self, directory: &TempDir, stamps: bool) -> Log {
        let options = Log::options().stamp(stamps);
        let log = match self {
            Self::Mapped => options.open(directory.path()),
            Self::Unmapped => options.mapped_reading(false).open(directory.path()),
            Self::Memory => options.open_in_memory(),
        };
        log.expect("a fresh log opens")
    }

    fn store(self, directory: &TempDir) -> Store {
        let options = StoreOptions::default();
        let store = match self {
            Self::Mapped => Store::open(directory.path(), options),
            Self::Unmapped => Store::open(directory.path(), options.mapped_reading(false)),
            Self::Memory => Store::open_on(Arc::new(MemStorage::new()), options),
        };
        store.expect("a fresh store opens")
    }
}

fn appending(effort: &Effort) {
    for stamps in [false, true] {
        for engine in [Engine::Mapped, Engine::Unmapped, Engine::Memory] {
            let how = match stamps {
                false => "without a time",
                true => "stamped",
            };
            appending_on(
                effort,
                engine,
                stamps,
                &format!("append 256 B, {how}, {}", engine.title()),
            );
        }
    }
}

fn appending_on(effort: &Effort, engine: Engine, stamps: bool, title: &str) {
    if !effort.wants(title) {
        return;
    }
    let stamp = Timestamp(1_790_000_000_000_000_000);
    let (log_directory, store_directory) = (scratch::directory(), scratch::directory());
    let log = engine.log(&log_directory, stamps);
    let store = engine.store(&store_directory);
    let clock = SystemClock::new();
    // What was appended goes, so that memory stays what it is.
    let rotate_log = || {
        assert!(log.rotate().expect("rotated"));
        log.drop_before(log.next_lsn()).expect("dropped");
    };
    let rotate_store = || {
        assert!(store.rotate().expect("rotated"));
        store.drop_before(store.next_lsn()).expect("dropped");
    };
    let append_with = |stamp: Option<Timestamp>| {
        let record = NewRecord::new(black_box(&PAYLOAD));
        let record = match stamp {
            Some(stamp) => record.timestamp(stamp),
            None => record,
        };
        store.append_record(&record).expect("appended");
    };
    let mut contest = Contest::new(title, Better::Lower, NS_A_RECORD);
    // What the last one is compared with comes first.
    if stamps {
        contest.add("Store and the clock", || {
            laps(effort, || append_with(Some(clock.now())), rotate_store)
        });
    }
    contest.add("Store", || {
        laps(
            effort,
            || append_with(stamps.then_some(stamp)),
            rotate_store,
        )
    });
    contest.add("Log", || {
        let append = || {
            log.append(black_box(&PAYLOAD)).expect("appended");
        };
        laps(effort, append, rotate_log)
    });
    contest.hold(effort);
}

fn reading(effort: &Effort) {
    if !["read one by number", "iterate"]
        .iter()
        .any(|title| effort.wants(title))
    {
        return;
    }
    let directory = scratch::directory();
    let log = Engine::Mapped.log(&directory, true);
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
