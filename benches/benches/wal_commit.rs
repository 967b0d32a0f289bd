//! How many durable commits a second, and how long does each take?
//!
//! So many threads append a record of 256 B and wait until it is durable, again
//! and again. The floor is one thread that writes as many frames at once as
//! there are threads, to a file that was written before, and syncs it: every
//! thread in every sync, and nobody to wake. The device's counts include what
//! everybody else on the machine writes.

use std::hint::black_box;
use std::time::Duration;

use log_benches::commits::{COLUMNS, turn};
use log_benches::contest::{Better, Contest};
use log_benches::effort::Effort;
use log_benches::floor::{HEADER_BYTES, WarmFrames, WrittenFile};
use log_benches::logs::{Open, Strata};
use log_benches::{scratch, writers};
use log_wal::Level;

const PAYLOAD_BYTES: usize = 256;
const THREADS: [usize; 5] = [1, 2, 8, 32, 64];
const TURN_MS: u64 = 500;
const FLOOR_FILE_BYTES: u64 = 16 << 20;

fn log_turn(open: Open, threads: usize, time: Duration) -> Vec<f64> {
    let directory = scratch::directory();
    let log = open(directory.path(), Level::Durable);
    let payload = [7; PAYLOAD_BYTES];
    let syncs = || log.syncs();
    turn(directory.path(), time, 1, syncs, |time| {
        let commit = |writer| log.append(writer, black_box(&payload));
        writers::for_a_time(threads, time, commit)
    })
}

fn floor_turn(threads: usize, time: Duration) -> Vec<f64> {
    let directory = scratch::directory();
    let path = directory.path().join("floor");
    let file = WrittenFile::create(&path, FLOOR_FILE_BYTES).expect("a file");
    let frames = WarmFrames::new(threads * (PAYLOAD_BYTES + HEADER_BYTES));
    let floor = std::sync::Mutex::new((file, frames));
    let payload = [7; PAYLOAD_BYTES];
    let no_count = || None;
    turn(directory.path(), time, threads, no_count, |time| {
        writers::for_a_time(1, time, |_| {
            let (file, frames) = &mut *floor.lock().expect("nobody panics");
            (0..threads).for_each(|_| frames.push(black_box(&payload)));
            let synced = file.write(frames.take()).and_then(|()| file.sync());
            synced.expect("the disk works");
        })
    })
}

fn main() {
    let effort = Effort::from_args();
    let time = Duration::from_millis(effort.scaled(TURN_MS));
    for threads in THREADS {
        let title = format!("durable, 256 B, threads: {threads}");
        let mut contest = Contest::new(title, Better::Higher, COLUMNS);
        contest.add("Strata", move || log_turn(Strata::boxed, threads, time));
        contest.add("floor: pwrite, fdatasync", move || {
            floor_turn(threads, time)
        });
        #[cfg(feature = "peers")]
        for (name, open) in log_benches::peers::at_level(Level::Durable, threads) {
            contest.add(name, move || log_turn(open, threads, time));
        }
        contest.hold(&effort);
    }
}
