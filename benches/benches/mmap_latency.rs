//! How long does it take until another process sees a record?
//!
//! Two processes answer each other as fast as they can, each with a log of its
//! own that the other follows; the time of a round trip is halved. *Mapped*: the
//! follower sees the record when it is published. *By calls*: after the flush
//! that writes it. Records have 256 bytes; the time holds append, copy and both
//! checksums.

use std::env;
use std::hint::spin_loop;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use log_benches::effort::Effort;
use log_benches::latency::Latencies;
use log_benches::scratch;
use log_mmap::{Follower, Lsn, Store, StoreOptions};

/// Tells the second process where the logs lie, and how to write them.
const DIRECTORY: &str = "STRATA_BENCH_LATENCY_DIRECTORY";
const MAPPED: &str = "STRATA_BENCH_LATENCY_MAPPED";

const TRIPS: u64 = 20_000;
const PAYLOAD: [u8; 256] = [7; 256];

/// One end of a connection between processes.
struct End {
    to: Store,
    from: Follower,
    is_mapped: bool,
}

impl End {
    fn open(directory: &Path, to: &str, from: &str, is_mapped: bool) -> Self {
        let options = StoreOptions::default().mapped_writing(is_mapped);
        let to = Store::open(directory.join(to), options).expect("it opens");
        let from = loop {
            // The other process may not have made it yet.
            match Follower::open(directory.join(from), Lsn(0)) {
                Ok(follower) => break follower,
                Err(_) => std::thread::yield_now(),
            }
        };
        Self {
            to,
            from,
            is_mapped,
        }
    }

    fn send(&self) {
        self.to.append(&PAYLOAD).expect("there is room");
        if !self.is_mapped {
            self.to.flush().expect("the disk works");
        }
    }

    fn receive(&mut self) {
        while self.from.poll().expect("the log is sound").is_none() {
            spin_loop();
        }
    }
}

/// The second process.
fn answer(directory: &Path, is_mapped: bool, trips: u64) {
    let mut end = End::open(directory, "back", "there", is_mapped);
    for _ in 0..trips {
        end.receive();
        end.send();
    }
}

fn second_process(directory: &Path, is_mapped: bool) -> Child {
    Command::new(env::current_exe().expect("this runs"))
        .args(env::args().skip(1))
        .env(DIRECTORY, directory)
        .env(MAPPED, is_mapped.to_string())
        .spawn()
        .expect("it starts")
}

fn measure(is_mapped: bool, trips: u64) -> Latencies {
    let directory = scratch::directory();
    let mut other = second_process(directory.path(), is_mapped);
    let mut end = End::open(directory.path(), "there", "back", is_mapped);
    let mut latencies = Latencies::with_capacity(trips as usize);
    for _ in 0..trips {
        let start = Instant::now();
        end.send();
        end.receive();
        latencies.record(start.elapsed() / 2);
    }
    assert!(other.wait().expect("it ran").success());
    latencies
}

fn main() {
    let effort = Effort::from_args();
    let trips = effort.scaled(TRIPS);
    if let Some(directory) = env::var_os(DIRECTORY) {
        let is_mapped = env::var(MAPPED).is_ok_and(|value| value == "true");
        return answer(&PathBuf::from(directory), is_mapped, trips);
    }
    let mut all = [true, false].map(|_| Latencies::with_capacity(0));
    for _ in 0..effort.rounds() {
        for (latencies, is_mapped) in all.iter_mut().zip([true, false]) {
            latencies.extend(measure(is_mapped, trips));
        }
    }
    println!("\n| append in one process to poll in another, 256 B | p50 ns | p99 ns |");
    println!("|---|---:|---:|");
    for (latencies, name) in all.into_iter().zip(["mapped writing", "flushed each time"]) {
        let [p50, p99] = latencies.percentiles_ns([0.5, 0.99]);
        println!("| {name} | {p50} | {p99} |");
    }
}
