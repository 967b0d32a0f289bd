//! What does it cost to append to a `Wal`, at each level that does not sync?
//!
//! *Published* is measured between rotations, in memory that was used before,
//! as a log's is once it has rotated twice; the floor is a checksum and a copy
//! into memory that is as warm. *Written* means that the record is in the page
//! cache when the call returns; there the floor is one `pwrite` of the frame.
//! What rotations add is measured beside it, and the longest pauses on their
//! own. `wal_commit` measures *durable*.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use log_benches::contest::{Better, Column, Contest};
use log_benches::effort::Effort;
use log_benches::floor::{HEADER_BYTES, WarmFrames, WrittenFile};
use log_benches::latency::Latencies;
use log_benches::logs::{Log, Open, Strata};
use log_benches::{scratch, writers};
use log_wal::{Level, Lsn};
use tempfile::TempDir;

const PAYLOADS_BYTES: [usize; 3] = [64, 256, 4096];
const WRITERS: [usize; 4] = [1, 2, 4, 8];
const BATCH: usize = 64;
/// What is appended before a log rotates, or a floor begins anew: most of a
/// segment.
const LAP_BYTES: usize = 15 << 20;
const LAPS: u64 = 2;
/// What a turn of a log on disk appends.
const TURN_BYTES: u64 = 32 << 20;

const NS_A_RECORD: &[Column] = &[Column {
    name: "ns a record",
    digits: 1,
}];

fn ns_a_record(time: Duration, records: u64) -> Vec<f64> {
    vec![time.as_nanos() as f64 / records as f64]
}

fn lap_records(payload_bytes: usize) -> u64 {
    (LAP_BYTES / (payload_bytes + HEADER_BYTES)) as u64
}

/// Our log, and the directory it lies in.
struct Laps {
    strata: Strata,
    records: u64,
    _directory: TempDir,
}

impl Laps {
    fn new(effort: &Effort, level: Level, payload_bytes: usize) -> Self {
        let directory = scratch::directory();
        let laps = Self {
            strata: Strata::open(directory.path(), level),
            records: effort.scaled(lap_records(payload_bytes)),
            _directory: directory,
        };
        // All memory that will be used was used before.
        for _ in 0..3 {
            laps.fill(1, &|strata| strata.append(0, &vec![7; payload_bytes]));
        }
        laps
    }

    fn fill(&self, writers: usize, append: &(impl Fn(&Strata) + Sync)) -> Duration {
        let time = writers::timed(writers, self.records, |_| append(&self.strata));
        self.strata.next_lap();
        time
    }

    /// Time per record of laps of which only the appends are timed. A call of
    /// `append` appends `at_once` records.
    fn turn(&self, writers: usize, at_once: usize, append: impl Fn(&Strata) + Sync) -> Vec<f64> {
        let calls = self.records.div_ceil(at_once as u64);
        let mut time = Duration::ZERO;
        for _ in 0..LAPS {
            time += writers::timed(writers, calls, |_| append(&self.strata));
            self.strata.next_lap();
        }
        ns_a_record(time, LAPS * calls * at_once as u64)
    }
}

/// A turn of a log that is opened for it, rotations included.
fn on_disk(
    effort: &Effort,
    open: (Open, Level),
    writers: usize,
    payload_bytes: usize,
    at_once: usize,
) -> Vec<f64> {
    let directory = scratch::directory();
    let log = (open.0)(directory.path(), open.1);
    let payload = vec![7; payload_bytes];
    let payloads = vec![payload.as_slice(); at_once];
    let call = |writer: usize| match at_once {
        1 => log.append(writer, black_box(&payload)),
        _ => log.append_batch(writer, black_box(&payloads)),
    };
    (0..writers).for_each(call);
    let records = effort.scaled(TURN_BYTES / (payload_bytes + HEADER_BYTES) as u64);
    let calls = records.div_ceil(at_once as u64);
    let time = writers::timed(writers, calls, call);
    ns_a_record(time, calls * at_once as u64)
}

#[cfg_attr(not(feature = "peers"), expect(unused_variables))]
fn add_peers<'a>(
    contest: &mut Contest<'a>,
    effort: &'a Effort,
    level: Level,
    writers: usize,
    payload_bytes: usize,
    at_once: usize,
) {
    #[cfg(feature = "peers")]
    for (name, open) in log_benches::peers::at_level(level, writers) {
        contest.add(name, move || {
            on_disk(effort, (open, level), writers, payload_bytes, at_once)
        });
    }
}

fn published(effort: &Effort) {
    for payload_bytes in PAYLOADS_BYTES {
        let payload = vec![7; payload_bytes];
        let title = format!("published, {payload_bytes} B, writers: 1");
        if !effort.wants(&title) {
            continue;
        }
        let laps = Laps::new(effort, Level::Published, payload_bytes);
        let mut contest = Contest::new(title, Better::Lower, NS_A_RECORD);
        contest.add("Strata", || {
            laps.turn(1, 1, |strata| strata.append(0, black_box(&payload)))
        });
        contest.add("Strata, in place", || {
            laps.turn(1, 1, |strata| {
                let fill = |place: &mut [u8]| place.copy_from_slice(black_box(&payload));
                let appended = strata.wal().append_in_place(payload_bytes, fill);
                appended.expect("there is room");
            })
        });
        contest.add("Strata, batches of 64", || {
            let batch = vec![payload.as_slice(); BATCH];
            laps.turn(1, BATCH, |strata| strata.append_batch(0, black_box(&batch)))
        });
        contest.add("floor: checksum and copy", || {
            let mut frames = WarmFrames::new(LAP_BYTES);
            let records = effort.scaled(LAPS * lap_records(payload_bytes));
            let began = Instant::now();
            for _ in 0..records {
                frames.push(black_box(&payload));
            }
            ns_a_record(began.elapsed(), records)
        });
        contest.hold(effort);
    }
}

fn published_by_many(effort: &Effort) {
    for payload_bytes in PAYLOADS_BYTES {
        let payload = vec![7; payload_bytes];
        let title = format!("published, {payload_bytes} B, by writers");
        if !effort.wants(&title) {
            continue;
        }
        let laps = Laps::new(effort, Level::Published, payload_bytes);
        let mut contest = Contest::new(title, Better::Lower, NS_A_RECORD);
        for writers in WRITERS {
            let (laps, payload) = (&laps, &payload);
            contest.add(format!("Strata, writers: {writers}"), move || {
                laps.turn(writers, 1, |strata| strata.append(0, black_box(payload)))
            });
        }
        contest.hold(effort);
    }
}

fn written(effort: &Effort) {
    for payload_bytes in PAYLOADS_BYTES {
        for writers in WRITERS {
            let title = format!("written, {payload_bytes} B, writers: {writers}");
            if !effort.wants(&title) {
                continue;
            }
            let payload = &vec![7; payload_bytes];
            let laps = Laps::new(effort, Level::Written, payload_bytes);
            let mut contest = Contest::new(title, Better::Lower, NS_A_RECORD);
            contest.add("Strata", || {
                laps.turn(writers, 1, |strata| strata.append(0, black_box(payload)))
            });
            contest.add("Strata, rotations included", || {
                let open = (Strata::boxed as Open, Level::Written);
                on_disk(effort, open, writers, payload_bytes, 1)
            });
            if writers == 1 {
                add_floor(&mut contest, effort, payload_bytes, 1);
            }
            add_peers(
                &mut contest,
                effort,
                Level::Written,
                writers,
                payload_bytes,
                1,
            );
            contest.hold(effort);
        }
    }
}

fn written_in_batches(effort: &Effort) {
    for payload_bytes in PAYLOADS_BYTES {
        let title = format!("written, {payload_bytes} B, batches of 64");
        if !effort.wants(&title) {
            continue;
        }
        let payload = vec![7; payload_bytes];
        let batch = &vec![payload.as_slice(); BATCH];
        let laps = Laps::new(effort, Level::Written, payload_bytes);
        let mut contest = Contest::new(title, Better::Lower, NS_A_RECORD);
        contest.add("Strata", || {
            laps.turn(1, BATCH, |strata| strata.append_batch(0, black_box(batch)))
        });
        contest.add("Strata, rotations included", || {
            let open = (Strata::boxed as Open, Level::Written);
            on_disk(effort, open, 1, payload_bytes, BATCH)
        });
        add_floor(&mut contest, effort, payload_bytes, BATCH);
        add_peers(
            &mut contest,
            effort,
            Level::Written,
            1,
            payload_bytes,
            BATCH,
        );
        contest.hold(effort);
    }
}

/// Frames built and written, so many `at_once`, to a file that was written
/// before.
fn add_floor<'a>(
    contest: &mut Contest<'a>,
    effort: &'a Effort,
    payload_bytes: usize,
    at_once: usize,
) {
    let directory = scratch::directory();
    let path = directory.path().join("floor");
    let mut file = WrittenFile::create(&path, LAP_BYTES as u64).expect("a file");
    let mut frames = WarmFrames::new(at_once * (payload_bytes + HEADER_BYTES));
    let payload = vec![7; payload_bytes];
    let calls = effort.scaled(LAPS * lap_records(payload_bytes)) / at_once as u64 + 1;
    contest.add("floor: checksum, copy, pwrite", move || {
        let _ = &directory;
        let began = Instant::now();
        for _ in 0..calls {
            (0..at_once).for_each(|_| frames.push(black_box(&payload)));
            file.write(frames.take()).expect("the disk works");
        }
        ns_a_record(began.elapsed(), calls * at_once as u64)
    });
}

/// Appends at a steady rate that any disk keeps up with, each of them timed.
fn pauses(effort: &Effort) {
    const COLUMNS: &[Column] = &[
        Column {
            name: "p50, ns",
            digits: 0,
        },
        Column {
            name: "p99, ns",
            digits: 0,
        },
        Column {
            name: "p99.9, ns",
            digits: 0,
        },
        Column {
            name: "p99.99, us",
            digits: 1,
        },
        Column {
            name: "longest, us",
            digits: 1,
        },
    ];
    /// Six segments.
    const RECORDS: u64 = 400_000;
    const EVERY: Duration = Duration::from_micros(10);
    let title = "pauses: 256 B, a record every 10 us, rotations included";
    if !effort.wants(title) {
        return;
    }
    let mut contest = Contest::new(title, Better::Lower, COLUMNS);
    let records = effort.scaled(RECORDS);
    let turn = move |open: Open, level| {
        let directory = scratch::directory();
        let log = open(directory.path(), level);
        percentiles(at_a_rate(records, EVERY, || {
            log.append(0, black_box(&[7; 256]));
        }))
    };
    for (name, flushing) in [
        ("Strata, published, a thread syncs", Flushing::ByThread),
        (
            "Strata, published, every 1000th flushes",
            Flushing::Every(1000),
        ),
        ("Strata, published, nobody flushes", Flushing::Never),
    ] {
        contest.add(name, move || {
            percentiles(published_at_a_rate(records, EVERY, flushing))
        });
    }
    contest.add("Strata, written", move || {
        turn(Strata::boxed, Level::Written)
    });
    #[cfg(feature = "peers")]
    for (name, open) in log_benches::peers::at_level(Level::Written, 1) {
        contest.add(format!("{name}, written"), move || {
            turn(open, Level::Written)
        });
    }
    contest.hold(effort);
}

/// Who brings published records to the disk.
#[derive(Clone, Copy)]
enum Flushing {
    /// A thread that does nothing else, and prepares files.
    ByThread,
    /// The appender: so many appends, one `flush`, which is not timed.
    Every(u64),
    Never,
}

fn published_at_a_rate(records: u64, every: Duration, flushing: Flushing) -> Latencies {
    const PAUSE: Duration = Duration::from_millis(5);
    let directory = scratch::directory();
    let strata = Strata::open(directory.path(), Level::Published);
    let wal = strata.wal();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        if let Flushing::ByThread = flushing {
            // Relaxed: the scope ends when both have.
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    wal.sync().expect("the disk works");
                    let _made = wal.prepare().expect("there is room");
                    thread::sleep(PAUSE);
                }
            });
        }
        let mut latencies = Latencies::with_capacity(records as usize);
        let mut due = Instant::now();
        for record in 0..records {
            spin_until(due);
            let began = Instant::now();
            strata.append(0, black_box(&[7; 256]));
            latencies.record(began.elapsed());
            due = began + every;
            if let Flushing::Every(appends) = flushing
                && record % appends == 0
            {
                wal.flush().expect("the disk works");
            }
        }
        is_over.store(true, Ordering::Relaxed);
        latencies
    })
}

fn spin_until(due: Instant) {
    while Instant::now() < due {
        std::hint::spin_loop();
    }
}

fn percentiles(latencies: Latencies) -> Vec<f64> {
    let [p50, p99, p999, p9999, longest] =
        latencies.percentiles_ns([0.5, 0.99, 0.999, 0.9999, 1.0]);
    vec![p50, p99, p999, p9999 / 1e3, longest / 1e3]
}

fn at_a_rate(calls: u64, every: Duration, call: impl Fn()) -> Latencies {
    let mut latencies = Latencies::with_capacity(calls as usize);
    let mut due = Instant::now();
    for _ in 0..calls {
        let mut began = Instant::now();
        while began < due {
            std::hint::spin_loop();
            began = Instant::now();
        }
        call();
        latencies.record(began.elapsed());
        due = began.max(due) + every;
    }
    latencies
}

/// Whatever is measured here can be read back.
fn check() {
    let directory = scratch::directory();
    let strata = Strata::open(directory.path(), Level::Written);
    strata.append(0, b"a record");
    let record = strata.wal().iter_from(Lsn(0)).next();
    let record = record.expect("it is there").expect("it can be read");
    assert_eq!(record.payload(), b"a record");
}

fn main() {
    let effort = Effort::from_args();
    check();
    published(&effort);
    published_by_many(&effort);
    written(&effort);
    written_in_batches(&effort);
    pauses(&effort);
}
