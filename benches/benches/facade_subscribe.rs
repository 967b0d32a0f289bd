//! What does it cost to follow a log, and to append from tasks?
//!
//! Subscriptions are polled as streams by one thread, while the log is appended
//! to by another: a record counts when every one of them has it. Appends of
//! tasks are durable, on one thread, beside a thread that blocks.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use log_benches::contest::{Better, Column, Contest, Turn};
use log_benches::effort::Effort;
use log_benches::latency::Latencies;
use log_benches::scratch;
use log_facade::{AsyncLog, Level, Log, Lsn, StartAt};
use tokio::runtime::{Builder, Runtime};

const PAYLOAD: [u8; 256] = [7; 256];

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn in_memory() -> Log {
    let log = Log::options().retain_records(100_000).open_in_memory();
    log.expect("a fresh log opens")
}

/// Time per record until each of `subscribers` has all of `records`.
fn deliver(subscribers: usize, records: u64) -> Turn {
    let log = AsyncLog::new(in_memory()).expect("a thread");
    let writer = log.clone();
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..records {
                writer.as_log().append(&PAYLOAD).expect("appended");
            }
        });
        runtime().block_on(async {
            let mut tasks = Vec::new();
            for _ in 0..subscribers {
                let mut stream = log.subscribe(StartAt::Beginning).await.expect("begun");
                tasks.push(tokio::spawn(async move {
                    for _ in 0..records {
                        let record = stream.next().await.expect("open").expect("readable");
                        black_box(record.payload().len());
                    }
                }));
            }
            for task in tasks {
                task.await.expect("done");
            }
        });
    });
    let us = start.elapsed().as_nanos() as f64 / 1000.0 / records as f64;
    vec![us, us * 1000.0 / subscribers as f64]
}

/// Time per record if each of `subscribers` waits for each, and has it before
/// the next one is appended.
fn wake(subscribers: u64, records: u64) -> Turn {
    let log = AsyncLog::new(in_memory()).expect("a thread");
    let seen = Arc::new(AtomicU64::new(0));
    let us = runtime().block_on(async {
        for _ in 0..subscribers {
            let mut stream = log.subscribe(StartAt::Beginning).await.expect("begun");
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                while let Some(record) = stream.next().await {
                    black_box(record.expect("readable"));
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        tokio::task::yield_now().await;
        let start = Instant::now();
        for round in 1..=records {
            log.as_log().append(&PAYLOAD).expect("appended");
            while seen.load(Ordering::Relaxed) < round * subscribers {
                tokio::task::yield_now().await;
            }
        }
        start.elapsed().as_nanos() as f64 / 1000.0 / records as f64
    });
    vec![us, us * 1000.0 / subscribers as f64]
}

fn delivering(effort: &Effort) {
    const COLUMNS: &[Column] = &[
        Column {
            name: "us a record",
            digits: 2,
        },
        Column {
            name: "ns a delivery",
            digits: 0,
        },
    ];
    let mut contest = Contest::new("deliver to subscribers", Better::Lower, COLUMNS);
    for (subscribers, records) in [(1, 50_000), (10, 20_000), (1000, 1000)] {
        let records = effort.scaled(records);
        contest.add(format!("{subscribers}"), move || {
            deliver(subscribers, records)
        });
    }
    contest.hold(effort);
    let mut contest = Contest::new("wake subscribers one by one", Better::Lower, COLUMNS);
    for (subscribers, records) in [(1, 50_000), (10, 10_000), (1000, 100)] {
        let records = effort.scaled(records);
        contest.add(format!("{subscribers}"), move || wake(subscribers, records));
    }
    contest.hold(effort);
}

/// From the append in one thread to the sight of it in another, and back.
fn round_trips(rounds: u64, follow: impl FnOnce(&Log, &AtomicU64) + Send) -> Turn {
    let (log, seen) = (in_memory(), AtomicU64::new(0));
    let mut latencies = Latencies::with_capacity(rounds as usize);
    thread::scope(|scope| {
        scope.spawn(|| follow(&log, &seen));
        for round in 1..=rounds {
            let start = Instant::now();
            log.append(&PAYLOAD).expect("appended");
            while seen.load(Ordering::Acquire) < round {
                std::hint::spin_loop();
            }
            latencies.record(start.elapsed());
        }
    });
    latencies.percentiles_ns([0.5, 0.99]).to_vec()
}

fn latency(effort: &Effort) {
    const COLUMNS: &[Column] = &[
        Column {
            name: "p50 ns",
            digits: 0,
        },
        Column {
            name: "p99 ns",
            digits: 0,
        },
    ];
    let rounds = effort.scaled(50_000);
    let mut contest = Contest::new("append to sight", Better::Lower, COLUMNS);
    contest.add("wait_published and read", || {
        round_trips(rounds, |log, seen| {
            for round in 0..rounds {
                assert!(log.wait_published(Lsn(round), None));
                black_box(log.read(Lsn(round)).expect("readable"));
                seen.store(round + 1, Ordering::Release);
            }
        })
    });
    contest.add("subscription", || {
        round_trips(rounds, |log, seen| {
            let mut subscription = log.subscribe(StartAt::Beginning).expect("begun");
            for round in 0..rounds {
                black_box(subscription.next().expect("open").expect("readable"));
                seen.store(round + 1, Ordering::Release);
            }
        })
    });
    contest.hold(effort);
}

fn on_disk() -> (Log, tempfile::TempDir) {
    let directory = scratch::directory();
    let log = Log::open(directory.path()).expect("a fresh log opens");
    (log, directory)
}

fn rate(log: &Log, start: Instant, appends: u64) -> Turn {
    let seconds = start.elapsed().as_secs_f64();
    let syncs = log.stats().engine.syncs;
    vec![appends as f64 / seconds, syncs as f64 / appends as f64]
}

/// Durable appends of so many tasks on one thread.
fn append_from(tasks: u64, appends: u64) -> Turn {
    let (log, _directory) = on_disk();
    let log = AsyncLog::new(log).expect("a thread");
    let each = appends.div_ceil(tasks);
    let start = Instant::now();
    runtime().block_on(async {
        let spawn = |_| {
            let log = log.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    let appended = log.append_to(Level::Durable, &PAYLOAD).await;
                    appended.expect("appended");
                }
            })
        };
        let running: Vec<_> = (0..tasks).map(spawn).collect();
        for task in running {
            task.await.expect("done");
        }
    });
    rate(log.as_log(), start, each * tasks)
}

fn appending(effort: &Effort) {
    const COLUMNS: &[Column] = &[
        Column {
            name: "appends/s",
            digits: 0,
        },
        Column {
            name: "syncs an append",
            digits: 3,
        },
    ];
    let appends = effort.scaled(2000);
    let mut contest = Contest::new("durable appends", Better::Higher, COLUMNS);
    contest.add("one thread that blocks", || {
        let (log, _directory) = on_disk();
        let log = Arc::new(log);
        let start = Instant::now();
        for _ in 0..appends {
            log.append_to(Level::Durable, &PAYLOAD).expect("appended");
        }
        rate(&log, start, appends)
    });
    contest.add("1 task", || append_from(1, appends));
    contest.add("1,000 tasks", || append_from(1000, appends * 20));
    contest.hold(effort);
}

fn main() {
    let effort = Effort::from_args();
    delivering(&effort);
    latency(&effort);
    appending(&effort);
}
