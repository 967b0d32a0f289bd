//! How long does it take to open a log, to read all of it, to find one record,
//! and how much memory does that take?
//!
//! Everything is in the page cache. The logs have 1 M records of 256 B (fewer
//! where it says so: a log that syncs for every append takes its time to be
//! made), and times are per million records where they depend on them. The
//! floor of reading is `read` into 256 KiB and a checksum of everything.
//!
//! Memory is the peak of a process of its own that does nothing else.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use log_benches::contest::{Better, Column, Contest};
use log_benches::effort::Effort;
use log_benches::floor::HEADER_BYTES;
use log_benches::memory::{Task, compare, is_second_process};
use log_benches::scratch;
use log_wal::{Lsn, Verify, Wal, WalOptions, WalReader};

const PAYLOAD_BYTES: usize = 256;
const RECORDS: u64 = 1_000_000;
/// Less than fills a segment.
const HOT_RECORDS: u64 = 50_000;
/// How long a turn looks for records.
const SEEKING_MS: u64 = 200;
/// Segments of the logs that differ in nothing else; small, so that making a
/// thousand takes no minute.
const SEGMENTS: [u64; 3] = [1, 100, 1000];
const SMALL_SEGMENT_BYTES: u64 = 64 << 10;
const READ_BYTES: usize = 256 << 10;

const MS_A_MILLION: &[Column] = &[Column {
    name: "ms per 1 M records",
    digits: 2,
}];
const MICROSECONDS: &[Column] = &[Column {
    name: "us",
    digits: 0,
}];
const NANOSECONDS: &[Column] = &[Column {
    name: "ns",
    digits: 0,
}];

/// The time that `work` takes.
fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    let done = black_box(work());
    let time = began.elapsed();
    drop(done);
    time
}

fn ms_a_million(time: Duration, records: u64) -> Vec<f64> {
    vec![time.as_secs_f64() * 1e3 * 1e6 / records as f64]
}

/// Makes a log, and closes it.
fn fill(directory: &Path, options: WalOptions, records: u64) {
    let wal = Wal::open_with(directory, options).expect("a fresh log opens");
    let payload = [7; PAYLOAD_BYTES];
    for _ in 0..records {
        wal.append(&payload).expect("there is room");
    }
    wal.close().expect("the disk works");
}

fn open(directory: &Path, verify: Verify) -> Wal {
    let options = WalOptions::default().verify(verify);
    Wal::open_with(directory, options).expect("it opens")
}

/// Reads everything; how many records and payload bytes that is.
fn replay(wal: &WalReader) -> (u64, u64) {
    wal.iter().fold((0, 0), |(records, bytes), record| {
        let record = record.expect("it is whole");
        (records + 1, bytes + record.payload().len() as u64)
    })
}

/// The same, and keeps none of them.
fn replay_lent(wal: &WalReader) -> (u64, u64) {
    let (mut iter, mut records, mut bytes) = (wal.iter(), 0, 0);
    while let Some(record) = iter.next_ref() {
        records += 1;
        bytes += record.expect("it is whole").payload().len() as u64;
    }
    (records, bytes)
}

/// The segment files of a log, oldest first.
fn files(directory: &Path) -> Vec<PathBuf> {
    let reader = WalReader::open(directory).expect("it opens");
    let segments = reader.segments().into_iter();
    segments.map(|segment| segment.path).collect()
}

/// Reads and checksums all bytes of `files`, whatever they are.
fn checksum(files: &[PathBuf]) -> u32 {
    let mut buffer = vec![0; READ_BYTES];
    let mut checksum = crc32fast::Hasher::new();
    for path in files {
        let mut file = File::open(path).expect("it opens");
        loop {
            let read = file.read(&mut buffer).expect("it can be read");
            if read == 0 {
                break;
            }
            checksum.update(&buffer[..read]);
        }
    }
    checksum.finalize()
}

fn opening(effort: &Effort, directory: &Path, records: u64, peers: &Peers) {
    let title = "open, every record verified";
    let files = files(directory);
    let mut contest = Contest::new(title, Better::Lower, MS_A_MILLION);
    contest.add("Strata, Verify::All", || {
        ms_a_million(time(|| open(directory, Verify::All)), records)
    });
    contest.add("floor: read, checksum", || {
        ms_a_million(time(|| checksum(&files)), records)
    });
    peers.add_to_opening(&mut contest);
    contest.hold(effort);
}

fn opening_by_segments(effort: &Effort, large: &Path) {
    let title = "open, Verify::Tail";
    let logs: Vec<_> = SEGMENTS
        .iter()
        .map(|segments| {
            let directory = scratch::directory();
            let frames_bytes = effort.scaled(*segments) * SMALL_SEGMENT_BYTES;
            // The last one is half full.
            let records =
                (frames_bytes - SMALL_SEGMENT_BYTES / 2) / (PAYLOAD_BYTES + HEADER_BYTES) as u64;
            let options = WalOptions::default().segment_bytes(SMALL_SEGMENT_BYTES);
            fill(directory.path(), options, records);
            directory
        })
        .collect();
    let mut contest = Contest::new(title, Better::Lower, MICROSECONDS);
    let paths = logs.iter().map(|log| (log.path(), "64 KiB"));
    for (path, size) in paths.chain([(large, "16 MiB")]) {
        let files = files(path);
        let count = files.len();
        contest.add(format!("Strata, {count} segments of {size}"), move || {
            vec![time(|| open(path, Verify::Tail)).as_secs_f64() * 1e6]
        });
        contest.add(
            format!("floor: open, stat, read 4 KiB, {count} files"),
            move || vec![time(|| files.iter().for_each(|path| touch(path))).as_secs_f64() * 1e6],
        );
    }
    contest.hold(effort);
}

/// What nobody who looks at a file at all can do without.
fn touch(path: &Path) {
    let file = File::open(path).expect("it opens");
    black_box(file.metadata().expect("it has a size").len());
    let mut page = [0; 4096];
    file.read_exact_at(&mut page, 0).expect("it can be read");
    black_box(page);
}

fn replaying(effort: &Effort, directory: &Path, records: u64, peers: &Peers) {
    let files = files(directory);
    let reader = WalReader::open(directory).expect("it opens");
    let mut contest = Contest::new("replay", Better::Lower, MS_A_MILLION);
    let expected = (records, records * PAYLOAD_BYTES as u64);
    contest.add("Strata, records lent", || {
        let time = time(|| assert_eq!(replay_lent(&reader), expected, "all of it"));
        ms_a_million(time, records)
    });
    contest.add("Strata, records to keep", || {
        let time = time(|| assert_eq!(replay(&reader), expected, "all of it"));
        ms_a_million(time, records)
    });
    contest.add("floor: read, checksum", || {
        ms_a_million(time(|| checksum(&files)), records)
    });
    peers.add_to_replay(&mut contest);
    contest.hold(effort);
}

/// The time of a call of `seek`, for records all over the log.
fn seeks(effort: &Effort, records: u64, mut seek: impl FnMut(u64)) -> Vec<f64> {
    let enough = Duration::from_millis(effort.scaled(SEEKING_MS));
    // Steps of the golden ratio: every part of the log, in no order.
    let step = (records as f64 * 0.618) as u64 | 1;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < enough {
        seek((count * step) % records);
        count += 1;
    }
    vec![began.elapsed().as_nanos() as f64 / count as f64]
}

fn seeking(effort: &Effort, directory: &Path, records: u64, peers: &Peers) {
    let reader = WalReader::open(directory).expect("it opens");
    let oldest = files(directory).into_iter().next().expect("there is one");
    let file = File::open(oldest).expect("it opens");
    let frame_bytes = (PAYLOAD_BYTES + HEADER_BYTES) as u64;
    let frames = file.metadata().expect("it has a size").len() / frame_bytes;
    let hot_directory = scratch::directory();
    let hot = Wal::open(hot_directory.path()).expect("a fresh log opens");
    let hot_records = effort.scaled(HOT_RECORDS);
    for _ in 0..hot_records {
        hot.append(&[7; PAYLOAD_BYTES]).expect("there is room");
    }
    let mut contest = Contest::new("seek and read one", Better::Lower, NANOSECONDS);
    // Once in each segment: what that learns is kept.
    for segment in reader.segments() {
        reader.read(segment.base).expect("it is whole");
        reader.read(Lsn(segment.end.0 - 1)).expect("it is whole");
    }
    contest.add("Strata, from a file", || {
        seeks(effort, records, |lsn| {
            let record = reader.read(Lsn(lsn)).expect("it is whole");
            assert_eq!(record.map(|record| record.lsn()), Some(Lsn(lsn)));
        })
    });
    contest.add("Strata, from a file, by an iterator", || {
        seeks(effort, records, |lsn| {
            let record = reader.iter_from(Lsn(lsn)).next();
            let record = record.expect("it is there").expect("it is whole");
            assert_eq!(record.lsn(), Lsn(lsn));
        })
    });
    contest.add("Strata, from memory", || {
        seeks(effort, hot_records, |lsn| {
            let record = hot.read(Lsn(lsn)).expect("it is whole");
            assert_eq!(record.map(|record| record.lsn()), Some(Lsn(lsn)));
        })
    });
    contest.add("floor: pread, checksum", || {
        seeks(effort, frames, |frame| {
            let mut buffer = [0; PAYLOAD_BYTES + HEADER_BYTES];
            file.read_exact_at(&mut buffer, frame * frame_bytes)
                .expect("it can be read");
            black_box(crc32fast::hash(&buffer));
        })
    });
    peers.add_to_seek(&mut contest);
    contest.hold(effort);
}

/// What a process of its own does.
const TASKS: &[Task] = &[
    Task {
        name: "nothing",
        run: |_| Box::new(()),
    },
    Task {
        name: "open",
        run: |directory| Box::new(WalReader::open(directory).expect("it opens")),
    },
    Task {
        name: "open and verify",
        run: |directory| Box::new(open(directory, Verify::All)),
    },
    Task {
        name: "replay",
        run: |directory| {
            let reader = WalReader::open(directory).expect("it opens");
            black_box(replay(&reader));
            Box::new(reader)
        },
    },
    Task {
        name: "open to write",
        run: |directory| Box::new(open(directory, Verify::Tail)),
    },
];

/// Without the feature: nobody.
#[cfg(not(feature = "peers"))]
struct Peers;

#[cfg(not(feature = "peers"))]
impl Peers {
    fn new(_effort: &Effort) -> Self {
        Self
    }

    fn add_to_opening(&self, _contest: &mut Contest<'_>) {}
    fn add_to_replay(&self, _contest: &mut Contest<'_>) {}
    fn add_to_seek(&self, _contest: &mut Contest<'_>) {}
}

#[cfg(feature = "peers")]
use with_peers::Peers;

#[cfg(feature = "peers")]
mod with_peers {
    use log_benches::logs::Log;
    use log_benches::peers::{okaywal, raft_engine, wal_db, walogs};
    use log_wal::Level;
    use tempfile::TempDir;

    use super::*;

    /// okaywal keeps its log in one file of this size.
    const OKAYWAL_BYTES: u32 = 400 << 20;
    /// walogs syncs for every record.
    const WALOGS_SHARE: u64 = 50;
    const BATCH: usize = 1000;

    /// Their logs.
    pub(crate) struct Peers<'a> {
        effort: &'a Effort,
        records: u64,
        wal_db: TempDir,
        raft_engine: TempDir,
        okaywal: TempDir,
        walogs: TempDir,
    }

    impl<'a> Peers<'a> {
        pub(crate) fn new(effort: &'a Effort) -> Self {
            let records = effort.scaled(RECORDS);
            let peers = Self {
                effort,
                records,
                wal_db: scratch::directory(),
                raft_engine: scratch::directory(),
                okaywal: scratch::directory(),
                walogs: scratch::directory(),
            };
            let written = Level::Written;
            fill_one_by_one(&*wal_db::open(peers.wal_db.path(), written), records);
            fill_one_by_one(
                &*raft_engine::open(peers.raft_engine.path(), written),
                records,
            );
            let walogs = walogs::open(peers.walogs.path(), Level::Durable);
            fill_one_by_one(&*walogs, peers.walogs_records());
            let okaywal = okaywal::open_keeping(peers.okaywal.path(), OKAYWAL_BYTES);
            let payload: &[u8] = &[7; PAYLOAD_BYTES];
            for _ in 0..records / BATCH as u64 {
                okaywal.append_batch(0, &[payload; BATCH]);
            }
            peers
        }

        fn walogs_records(&self) -> u64 {
            self.records / WALOGS_SHARE
        }

        fn whole(&self, replayed: (u64, u64)) {
            let expected = (self.records, self.records * PAYLOAD_BYTES as u64);
            assert_eq!(replayed, expected, "all of it");
        }

        pub(crate) fn add_to_opening<'b>(&'b self, contest: &mut Contest<'b>) {
            contest.add("wal-db", || {
                let time = time(|| wal_db::reopen(self.wal_db.path()));
                ms_a_million(time, self.records)
            });
            contest.add("raft-engine", || {
                let time = time(|| raft_engine::reopen(self.raft_engine.path()));
                ms_a_million(time, self.records)
            });
            contest.add("okaywal, with replay", || {
                let recover = || okaywal::recover(self.okaywal.path(), OKAYWAL_BYTES);
                ms_a_million(time(|| self.whole(recover())), self.records)
            });
            contest.add("walogs, 20 k records", || {
                let time = time(|| walogs::reopen(self.walogs.path()));
                ms_a_million(time, self.walogs_records())
            });
        }

        pub(crate) fn add_to_replay<'b>(&'b self, contest: &mut Contest<'b>) {
            let wal_db = wal_db::reopen(self.wal_db.path());
            contest.add("wal-db", move || {
                let time = time(|| self.whole(wal_db::replay(&wal_db)));
                ms_a_million(time, self.records)
            });
            let raft_engine = raft_engine::reopen(self.raft_engine.path());
            contest.add("raft-engine", move || {
                let time = time(|| self.whole(raft_engine::replay(&raft_engine)));
                ms_a_million(time, self.records)
            });
            contest.add("okaywal, with opening", || {
                let recover = || okaywal::recover(self.okaywal.path(), OKAYWAL_BYTES);
                ms_a_million(time(|| self.whole(recover())), self.records)
            });
            let walogs = walogs::reopen(self.walogs.path());
            contest.add("walogs, 20 k records", move || {
                let time = time(|| walogs::replay(&walogs));
                ms_a_million(time, self.walogs_records())
            });
        }

        pub(crate) fn add_to_seek<'b>(&'b self, contest: &mut Contest<'b>) {
            let wal_db = wal_db::reopen(self.wal_db.path());
            let positions = wal_db::positions(&wal_db);
            contest.add("wal-db, by position", move || {
                seeks(self.effort, self.records, |lsn| {
                    black_box(wal_db::read_one(&wal_db, positions[lsn as usize]));
                })
            });
            let raft_engine = raft_engine::reopen(self.raft_engine.path());
            contest.add("raft-engine, by its index in memory", move || {
                seeks(self.effort, self.records, |lsn| {
                    black_box(raft_engine::read_one(&raft_engine, lsn));
                })
            });
        }
    }

    fn fill_one_by_one(log: &dyn Log, records: u64) {
        let payload = [7; PAYLOAD_BYTES];
        (0..records).for_each(|_| log.append(0, &payload));
    }
}

fn main() {
    if is_second_process(TASKS) {
        return;
    }
    let effort = Effort::from_args();
    let records = effort.scaled(RECORDS);
    let directory = scratch::directory();
    fill(directory.path(), WalOptions::default(), records);
    let peers = Peers::new(&effort);
    opening(&effort, directory.path(), records, &peers);
    opening_by_segments(&effort, directory.path());
    replaying(&effort, directory.path(), records, &peers);
    seeking(&effort, directory.path(), records, &peers);
    compare(&effort, "memory, 1 M records", TASKS, directory.path());
}
