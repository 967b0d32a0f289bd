//! Threads that do the same at the same time.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::latency::Latencies;

/// The time from when the first of `writers` began until the last was done.
/// They share `calls` of `call`, which gets the number of its writer.
pub fn timed(writers: usize, calls: u64, call: impl Fn(usize) + Sync) -> Duration {
    let share = calls.div_ceil(writers as u64);
    let spans = together(writers, |writer| {
        let began = Instant::now();
        for _ in 0..share {
            call(writer);
        }
        (began, Instant::now())
    });
    let began = spans.iter().map(|span| span.0).min();
    let done = spans.iter().map(|span| span.1).max();
    began
        .zip(done)
        .map_or(Duration::ZERO, |(began, done)| done - began)
}

/// The time of each call that `writers` made within `time`, one after the
/// other.
pub fn for_a_time(writers: usize, time: Duration, call: impl Fn(usize) + Sync) -> Latencies {
    let notes = together(writers, |writer| {
        let mut latencies = Latencies::with_capacity(1 << 16);
        let began = Instant::now();
        let mut now = began;
        while now - began < time {
            call(writer);
            let done = Instant::now();
            latencies.record(done - now);
            now = done;
        }
        latencies
    });
    let mut all = Latencies::default();
    notes
        .into_iter()
        .for_each(|latencies| all.extend(latencies));
    all
}

/// Runs `work` in so many threads, which begin together.
fn together<T: Send>(writers: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (barrier, work) = (Barrier::new(writers), &work);
    thread::scope(|scope| {
        let spawn = |writer| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                work(writer)
            })
        };
        let threads: Vec<_> = (0..writers).map(spawn).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|result| result.expect("a writer panicked"))
            .collect()
    })
}
