//! What does it cost to read a record by its number, to read all of them, and
//! to find one by its time, when the log is mapped and in the page cache?
//!
//! The records have 256 B and a timestamp, or nothing (then they are plain
//! ones). Floors walk as many bytes in plain memory, with a checksum over each
//! frame, and without: lower than any log can reach through a mapping, because
//! the system gives large pieces of plain memory larger pages than it gives a
//! mapped file.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use log_benches::contest::{Better, Column, Contest};
use log_benches::effort::Effort;
use log_benches::floor::HEADER_BYTES;
use log_benches::scratch;
use log_mmap::{Lsn, NewRecord, Reader, Record, Store, StoreOptions, Timestamp, WalOptions};

const PAYLOAD_BYTES: usize = 256;
const FRAME_BYTES: usize = HEADER_BYTES + PAYLOAD_BYTES;
const RECORDS: u64 = 1_000_000;
const SEGMENT_BYTES: u64 = 32 << 20;
/// How long a turn looks for records.
const SEEKING: Duration = Duration::from_millis(100);
const BATCH: u64 = 1000;

const NANOSECONDS: &[Column] = &[Column {
    name: "ns",
    digits: 0,
}];
const MILLIONS: &[Column] = &[Column {
    name: "M records/s",
    digits: 1,
}];

/// Numbers in no order that a machine could see through.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(end)) >> 64) as u64
    }
}

/// The time that one look takes, by many.
fn seek(records: u64, mut look: impl FnMut(u64)) -> Vec<f64> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (began, mut looks) = (Instant::now(), 0);
    while began.elapsed() < SEEKING {
        for _ in 0..BATCH {
            look(random.below(records));
        }
        looks += BATCH;
    }
    vec![began.elapsed().as_secs_f64() * 1e9 / looks as f64]
}

fn rate(records: u64, read: impl FnOnce() -> u64) -> Vec<f64> {
    let began = Instant::now();
    assert_eq!(black_box(read()), records);
    vec![records as f64 / began.elapsed().as_secs_f64() / 1e6]
}

fn options(index_interval_bytes: u32) -> StoreOptions {
    StoreOptions::default()
        .wal(WalOptions::default().segment_bytes(SEGMENT_BYTES))
        .index_interval_bytes(index_interval_bytes)
}

/// A log of sealed segments; `length` says how long each record is.
fn fill(directory: &Path, options: StoreOptions, records: u64, length: impl Fn(u64) -> usize) {
    let store = Store::open(directory, options).expect("a fresh log opens");
    let payload = [7; 4 * PAYLOAD_BYTES];
    for lsn in 0..records {
        let record = NewRecord::new(&payload[..length(lsn)]).timestamp(Timestamp(lsn));
        store.append_record(&record).expect("there is room");
    }
    store.rotate().expect("the disk works");
    store.close().expect("the disk works");
}

fn checked(record: Option<Record>) -> u8 {
    let record = record.expect("it is there");
    record.payload().first().copied().unwrap_or_default()
}

/// A slice of frames as the floors see them.
fn floor_bytes(records: u64) -> Vec<u8> {
    vec![7; records as usize * FRAME_BYTES]
}

fn random_reads(effort: &Effort, records: u64) {
    let title = format!("read by number, {records} records");
    if !effort.wants(&title) {
        return;
    }
    let logs = [4096, 1024, 512, 0].map(|interval| {
        let directory = scratch::directory();
        fill(directory.path(), options(interval), records, |_| {
            PAYLOAD_BYTES
        });
        (directory, interval)
    });
    let mixed = scratch::directory();
    let length = |lsn: u64| 128 + (lsn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize;
    fill(mixed.path(), StoreOptions::default(), records, length);
    let stores: Vec<_> = logs
        .iter()
        .map(|(directory, interval)| {
            let store = Store::open(directory.path(), options(*interval));
            (store.expect("it opens"), *interval)
        })
        .collect();
    let mixed = Store::open(mixed.path(), StoreOptions::default()).expect("it opens");
    let bytes = floor_bytes(records);
    let frame = |lsn: u64| &bytes[lsn as usize * FRAME_BYTES..][..FRAME_BYTES];
    let mut contest = Contest::new(&*title, Better::Lower, NANOSECONDS);
    for (store, interval) in &stores {
        contest.add(format!("Strata, index interval {interval}"), || {
            seek(records, |lsn| {
                black_box(checked(store.read(Lsn(lsn)).expect("it is whole")));
            })
        });
    }
    contest.add("Strata, default, records of 128 to 383 B", || {
        seek(records, |lsn| {
            black_box(checked(mixed.read(Lsn(lsn)).expect("it is whole")));
        })
    });
    contest.add("floor: slice, checksum", || {
        seek(records, |lsn| {
            black_box(crc32fast::hash(frame(lsn)));
        })
    });
    contest.add("floor: slice, first and last byte", || {
        seek(records, |lsn| {
            let frame = frame(lsn);
            black_box(frame[0] ^ frame[FRAME_BYTES - 1]);
        })
    });
    contest.hold(effort);
}

fn all_in_order(effort: &Effort) {
    let title = "read all";
    if !effort.wants(title) {
        return;
    }
    let records = effort.scaled(RECORDS);
    let log = scratch::directory();
    fill(log.path(), StoreOptions::default(), records, |_| {
        PAYLOAD_BYTES
    });
    let reader = Reader::open(log.path()).expect("it opens");
    let bytes = floor_bytes(records);
    let count = |records: &mut dyn Iterator<Item = u8>| {
        records.fold(0, |count, byte| {
            black_box(byte);
            count + 1
        })
    };
    let mut contest = Contest::new(title, Better::Higher, MILLIONS);
    contest.add("Strata, forwards", || {
        rate(records, || {
            let mut read = 0;
            for record in reader.iter() {
                black_box(record.expect("it is whole").payload().first());
                read += 1;
            }
            read
        })
    });
    contest.add("Strata, backwards", || {
        rate(records, || {
            let mut read = 0;
            for record in reader.iter().rev() {
                black_box(record.expect("it is whole").payload().first());
                read += 1;
            }
            read
        })
    });
    contest.add("floor: slice, checksum", || {
        let mut frames = bytes.chunks_exact(FRAME_BYTES);
        rate(records, || {
            count(&mut frames.by_ref().map(|frame| crc32fast::hash(frame) as u8))
        })
    });
    contest.add("floor: slice, headers only", || {
        let mut frames = bytes.chunks_exact(FRAME_BYTES);
        rate(records, || {
            count(&mut frames.by_ref().map(|frame| frame[0]))
        })
    });
    contest.hold(effort);
}

fn by_time(effort: &Effort) {
    let title = "find by time";
    if !effort.wants(title) {
        return;
    }
    let records = effort.scaled(RECORDS);
    let log = scratch::directory();
    fill(log.path(), options(4096), records, |_| PAYLOAD_BYTES);
    let store = Store::open(log.path(), options(4096)).expect("it opens");
    let mut contest = Contest::new(title, Better::Lower, NANOSECONDS);
    contest.add("Strata", || {
        seek(records, |moment| {
            let found = store.lsn_at_or_after(Timestamp(moment));
            assert_eq!(found.expect("it is whole"), Some(Lsn(moment)));
        })
    });
    contest.hold(effort);
}

/// What a record takes on disk, indexes included.
fn sizes(effort: &Effort) {
    let title = "bytes on disk per record of 256 B";
    if !effort.wants(title) {
        return;
    }
    const BYTES: &[Column] = &[Column {
        name: "bytes",
        digits: 1,
    }];
    let records = effort.scaled(RECORDS);
    let size = |directory: &Path| {
        let files = fs::read_dir(directory).expect("it can be listed");
        let bytes: u64 = files
            .filter_map(|file| Some(file.ok()?.metadata().ok()?.len()))
            .sum();
        // The active segment is empty, and has its room.
        vec![(bytes - SEGMENT_BYTES) as f64 / records as f64]
    };
    let stamped = scratch::directory();
    fill(stamped.path(), options(4096), records, |_| PAYLOAD_BYTES);
    let plain = scratch::directory();
    let store = Store::open(plain.path(), options(4096)).expect("a fresh log opens");
    for _ in 0..records {
        store.append(&[7; PAYLOAD_BYTES]).expect("there is room");
    }
    store.rotate().expect("the disk works");
    store.close().expect("the disk works");
    let mut contest = Contest::new(title, Better::Lower, BYTES);
    contest.add("Strata, plain", || size(plain.path()));
    contest.add("Strata, with a timestamp", || size(stamped.path()));
    contest.hold(effort);
}

fn main() {
    let effort = Effort::from_args();
    random_reads(&effort, effort.scaled(RECORDS));
    all_in_order(&effort);
    by_time(&effort);
    sizes(&effort);
}
