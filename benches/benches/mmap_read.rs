//! What does it cost to read a record by its number, to read all of them, and
//! to find one by its time, when the log is mapped and in the page cache?
//!
//! The records have 256 B and a timestamp, or nothing (then they are plain
//! ones). Floors look at as many bytes in files that are mapped as the log's
//! are, with a checksum over each frame, and without. A machine looks several
//! random places up at once if the next one does not hang on the last, and a
//! record that is given to keep does: who holds the mapping is counted. So
//! there are two floors for that.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use log_benches::contest::{Better, Column, Contest};
use log_benches::effort::Effort;
use log_benches::floor::{HEADER_BYTES, MappedFrames};
#[cfg(feature = "peers")]
use log_benches::peers::commitlog;
use log_benches::scratch;
use log_mmap::{
    Checks, Lsn, NewRecord, Reader, RecordRef, Store, StoreOptions, Timestamp, WalOptions,
};

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

fn first_byte(record: Option<RecordRef<'_>>) -> u8 {
    let record = record.expect("it is there");
    record.payload().first().copied().unwrap_or_default()
}

fn kept(store: &Store, lsn: u64) -> u8 {
    let record = store.read(Lsn(lsn)).expect("it is whole");
    first_byte(record.as_ref().map(log_mmap::Record::lent))
}

fn reopened(directory: &Path, checks: Checks) -> Store {
    let store = Store::open(directory, options(1024).checks(checks)).expect("it opens");
    // Mapped now, and the pages of the mapping found.
    assert!(store.iter().all(|record| record.is_ok()));
    store
}

/// Adds who looks records of 256 B up, of those in `directory`, and the floors.
fn lookups<'a>(
    contest: &mut Contest<'a>,
    records: u64,
    each: &'a Store,
    once: &'a Store,
    frames: &'a MappedFrames,
) {
    for (name, store) in [("", each), (", checked once", once)] {
        contest.add(format!("Strata, lent{name}"), move || {
            let mut lookup = store.lookup();
            seek(records, |lsn| {
                let record = lookup.read(Lsn(lsn)).expect("it is whole");
                black_box(first_byte(record));
            })
        });
        contest.add(format!("Strata, to keep{name}"), move || {
            seek(records, |lsn| _ = black_box(kept(store, lsn)))
        });
    }
    contest.add("floor: mapping, checksum", move || {
        seek(records, |lsn| {
            black_box(crc32fast::hash(frames.get(lsn)));
        })
    });
    contest.add("floor: the same, one behind the other", move || {
        let mut last = 0;
        seek(records, |lsn| {
            // Always 0, and nobody knows before the checksum is there.
            let ahead = u64::from(black_box(last) == u32::MAX);
            last = crc32fast::hash(frames.get((lsn + ahead) % records)) & 0xFFFF;
        })
    });
    contest.add("floor: mapping, first and last byte", move || {
        seek(records, |lsn| {
            let frame = frames.get(lsn);
            black_box(frame[0] ^ frame[FRAME_BYTES - 1]);
        })
    });
}

/// commitlog with as many records.
#[cfg(feature = "peers")]
fn add_commitlog(
    contest: &mut Contest<'_>,
    records: u64,
    turn: fn(&commitlog::CommitLog, u64) -> Vec<f64>,
) {
    let directory = scratch::directory();
    let mut log = commitlog::reopen(directory.path(), None);
    commitlog::fill(&mut log, records, &[7; PAYLOAD_BYTES]);
    contest.add("commitlog", move || {
        _ = &directory;
        turn(&log, records)
    });
}

fn random_reads(effort: &Effort, records: u64) {
    let title = format!("read by number, {records} records of 256 B");
    if !effort.wants(&title) {
        return;
    }
    let (log, floor) = (scratch::directory(), scratch::directory());
    fill(log.path(), options(1024), records, |_| PAYLOAD_BYTES);
    let frames = MappedFrames::create(floor.path(), records, FRAME_BYTES);
    let each = reopened(log.path(), Checks::EachRead);
    // One process at a time has it open for writing.
    let copy = scratch::directory();
    fill(copy.path(), options(1024), records, |_| PAYLOAD_BYTES);
    let once = reopened(copy.path(), Checks::OncePerMapping);
    let mut contest = Contest::new(title, Better::Lower, NANOSECONDS);
    lookups(&mut contest, records, &each, &once, &frames);
    #[cfg(feature = "peers")]
    add_commitlog(&mut contest, records, |log, records| {
        seek(records, |lsn| _ = black_box(commitlog::read(log, lsn)))
    });
    contest.hold(effort);
}

/// What denser and sparser indexes are worth.
fn intervals(effort: &Effort) {
    let records = effort.scaled(RECORDS);
    let mixed = |lsn: u64| 128 + (lsn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize;
    for (name, length) in [
        ("256 B", (|_| PAYLOAD_BYTES) as fn(u64) -> usize),
        ("128 to 383 B", mixed),
    ] {
        let title = format!("index interval, records of {name}");
        if !effort.wants(&title) {
            continue;
        }
        let logs = [1024, 4096, 512, 0].map(|interval| {
            let directory = scratch::directory();
            fill(directory.path(), options(interval), records, length);
            let store = Store::open(directory.path(), options(interval)).expect("it opens");
            (directory, store, interval)
        });
        let mut contest = Contest::new(title, Better::Lower, NANOSECONDS);
        for (_, store, interval) in &logs {
            contest.add(format!("{interval} bytes"), || {
                let mut lookup = store.lookup();
                seek(records, |lsn| {
                    let record = lookup.read(Lsn(lsn)).expect("it is whole");
                    black_box(first_byte(record));
                })
            });
        }
        contest.hold(effort);
    }
}

fn read_lent(reader: &Reader) -> u64 {
    let (mut records, mut read) = (reader.iter(), 0);
    while let Some(record) = records.next_ref() {
        black_box(record.expect("it is whole").payload().first());
        read += 1;
    }
    read
}

fn read_kept(reader: &Reader) -> u64 {
    let mut read = 0;
    for record in reader.iter() {
        black_box(record.expect("it is whole").payload().first());
        read += 1;
    }
    read
}

fn all_in_order(effort: &Effort) {
    let title = "read all";
    if !effort.wants(title) {
        return;
    }
    let records = effort.scaled(RECORDS);
    let (log, floor) = (scratch::directory(), scratch::directory());
    fill(log.path(), StoreOptions::default(), records, |_| {
        PAYLOAD_BYTES
    });
    let frames = MappedFrames::create(floor.path(), records, FRAME_BYTES);
    let each = Reader::open(log.path()).expect("it opens");
    let once = Reader::open_with(log.path(), Checks::OncePerMapping).expect("it opens");
    assert_eq!(read_kept(&once), records, "mapped now");
    let mut contest = Contest::new(title, Better::Higher, MILLIONS);
    contest.add("Strata, lent", || rate(records, || read_lent(&each)));
    contest.add("Strata, to keep", || rate(records, || read_kept(&each)));
    contest.add("Strata, lent, checked once", || {
        rate(records, || read_lent(&once))
    });
    contest.add("Strata, to keep, checked once", || {
        rate(records, || read_kept(&once))
    });
    contest.add("Strata, backwards", || {
        rate(records, || {
            let mut read = 0;
            for record in each.iter().rev() {
                black_box(record.expect("it is whole").payload().first());
                read += 1;
            }
            read
        })
    });
    contest.add("floor: mapping, checksum", || {
        rate(records, || {
            (0..records).for_each(|index| {
                black_box(crc32fast::hash(frames.get(index)));
            });
            records
        })
    });
    contest.add("floor: mapping, headers only", || {
        rate(records, || {
            (0..records).for_each(|index| {
                black_box(frames.get(index)[0]);
            });
            records
        })
    });
    #[cfg(feature = "peers")]
    add_commitlog(&mut contest, records, |log, records| {
        rate(records, || commitlog::replay(log))
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
    fill(log.path(), options(1024), records, |_| PAYLOAD_BYTES);
    let store = Store::open(log.path(), options(1024)).expect("it opens");
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
    fill(stamped.path(), options(1024), records, |_| PAYLOAD_BYTES);
    let plain = scratch::directory();
    let store = Store::open(plain.path(), options(1024)).expect("a fresh log opens");
    for _ in 0..records {
        store.append(&[7; PAYLOAD_BYTES]).expect("there is room");
    }
    store.rotate().expect("the disk works");
    store.close().expect("the disk works");
    let mut contest = Contest::new(title, Better::Lower, BYTES);
    contest.add("Strata, plain", || size(plain.path()));
    contest.add("Strata, with a timestamp", || size(stamped.path()));
    #[cfg(feature = "peers")]
    contest.add(
        "commitlog, without the room that its index has left",
        || {
            let directory = scratch::directory();
            let mut log = commitlog::reopen(directory.path(), None);
            commitlog::fill(&mut log, records, &[7; PAYLOAD_BYTES]);
            drop(log);
            let files = fs::read_dir(directory.path().join("log")).expect("it can be listed");
            let sizes = files.filter_map(|file| {
                let file = file.ok()?;
                let is_index = file.path().extension().is_some_and(|it| it == "index");
                (!is_index).then(|| file.metadata().ok().map(|it| it.len()))?
            });
            // Eight bytes of index for each.
            vec![sizes.sum::<u64>() as f64 / records as f64 + 8.0]
        },
    );
    contest.hold(effort);
}

fn main() {
    let effort = Effort::from_args();
    random_reads(&effort, effort.scaled(RECORDS));
    // Ten times as many take a disk, and a while: only if they are asked for.
    if effort.names("10000000") {
        random_reads(&effort, effort.scaled(10 * RECORDS));
    }
    intervals(&effort);
    all_in_order(&effort);
    by_time(&effort);
    sizes(&effort);
}
