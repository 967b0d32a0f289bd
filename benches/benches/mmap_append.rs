//! What does it cost to append to a `Store`, by calls and through a mapping?
//!
//! *Published* touches memory only. *Written* means that the record survives the
//! death of the process when the call returns: by calls that is an append and a
//! flush, through a mapping it is the append. Its floor is one `pwrite` of the
//! frame. All rotations are in the time: what a log costs in the long run.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use log_benches::contest::{Better, Column, Contest};
use log_benches::effort::Effort;
use log_benches::floor::{HEADER_BYTES, WrittenFile};
use log_benches::scratch;
use log_mmap::{Level, Lsn, Store, StoreOptions};

const PAYLOAD: [u8; 256] = [7; 256];
/// Twelve segments of 16 MiB.
const RECORDS: u64 = 700_000;
const DURABLE_RECORDS: u64 = 2_000;

const NS_A_RECORD: &[Column] = &[Column {
    name: "ns a record",
    digits: 1,
}];

fn ns_a_record(time: Duration, records: u64) -> Vec<f64> {
    vec![time.as_nanos() as f64 / records as f64]
}

fn options(is_mapped: bool) -> StoreOptions {
    StoreOptions::default().mapped_writing(is_mapped)
}

/// Appends to a fresh store, each record at this level.
fn turn(is_mapped: bool, level: Level, records: u64) -> Vec<f64> {
    let directory = scratch::directory();
    let store = Store::open(directory.path(), options(is_mapped)).expect("it opens");
    appended(&store, level, records)
}

/// The same while another thread makes files ahead of need.
fn turn_prepared(level: Level, records: u64) -> Vec<f64> {
    let directory = scratch::directory();
    let store = Store::open(directory.path(), options(true)).expect("it opens");
    store.prepare().expect("there is room");
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                store.prepare().expect("there is room");
                thread::sleep(Duration::from_millis(1));
            }
        });
        let measured = appended(&store, level, records);
        is_done.store(true, Ordering::Relaxed);
        measured
    })
}

/// Appends to the open segment alone, which has its memory ready or not.
fn turn_within(is_prepared: bool, records: u64) -> Vec<f64> {
    let directory = scratch::directory();
    let store = Store::open(directory.path(), options(true)).expect("it opens");
    store.append(&PAYLOAD).expect("there is room");
    if is_prepared {
        store.prepare().expect("there is room");
    }
    store.rotate().expect("the disk works");
    appended(&store, Level::Published, records)
}

fn appended(store: &Store, level: Level, records: u64) -> Vec<f64> {
    let start = Instant::now();
    for _ in 0..records {
        let lsn = store.append(black_box(&PAYLOAD)).expect("there is room");
        if level > Level::Published {
            store.commit(Lsn(lsn.0 + 1), level).expect("the disk works");
        }
    }
    ns_a_record(start.elapsed(), records)
}

fn floor(records: u64, is_durable: bool) -> Vec<f64> {
    let directory = scratch::directory();
    let frame = [7; HEADER_BYTES + PAYLOAD.len()];
    let bytes = frame.len() as u64 * records.min(60_000);
    let path = directory.path().join("floor");
    let mut file = WrittenFile::create(&path, bytes).expect("there is room");
    let start = Instant::now();
    for _ in 0..records {
        file.write(black_box(&frame)).expect("the disk works");
        if is_durable {
            file.sync().expect("the disk works");
        }
    }
    ns_a_record(start.elapsed(), records)
}

fn appends(effort: &Effort) {
    let records = effort.scaled(RECORDS);
    let mut published = Contest::new("append 256 B, published", Better::Lower, NS_A_RECORD);
    published.add("Store", || turn(false, Level::Published, records));
    published.add("Store, mapped writing (is written)", || {
        turn(true, Level::Published, records)
    });
    published.add("Store, mapped writing, files made ahead", || {
        turn_prepared(Level::Published, records)
    });
    published.hold(effort);

    let in_one = records.min(50_000);
    let title = "append 256 B within a segment, mapped writing";
    let mut within = Contest::new(title, Better::Lower, NS_A_RECORD);
    within.add("file made by the rotation", || turn_within(false, in_one));
    within.add("file made ahead", || turn_within(true, in_one));
    within.hold(effort);

    let mut written = Contest::new("append 256 B, written", Better::Lower, NS_A_RECORD);
    written.add("Store, mapped writing", || {
        turn(true, Level::Written, records)
    });
    written.add("Store, flushed each time", || {
        turn(false, Level::Written, records)
    });
    written.add("floor: pwrite", || floor(records, false));
    add_peers(&mut written, Level::Written, records);
    written.hold(effort);

    let records = effort.scaled(DURABLE_RECORDS);
    let mut durable = Contest::new("append 256 B, durable", Better::Lower, NS_A_RECORD);
    durable.add("Store", || turn(false, Level::Durable, records));
    durable.add("Store, mapped writing", || {
        turn(true, Level::Durable, records)
    });
    durable.add("floor: pwrite, fdatasync", || floor(records, true));
    add_peers(&mut durable, Level::Durable, records);
    durable.hold(effort);
}

/// Peers that can append at this level.
#[cfg(feature = "peers")]
fn add_peers(contest: &mut Contest<'_>, level: Level, records: u64) {
    for (name, open) in log_benches::peers::at_rest(level) {
        contest.add(name, move || {
            let directory = scratch::directory();
            let log = open(directory.path(), level);
            let start = Instant::now();
            for _ in 0..records {
                log.append(0, black_box(&PAYLOAD));
            }
            ns_a_record(start.elapsed(), records)
        });
    }
}

#[cfg(not(feature = "peers"))]
fn add_peers(_: &mut Contest<'_>, _: Level, _: u64) {}

fn main() {
    let effort = Effort::from_args();
    appends(&effort);
}
