//! What does it cost to look at an `AtomicLog`?
//!
//! Taking a snapshot of few or many segments, refreshing one that is up to
//! date or far behind, asking for what is new, and walking over a million
//! values. With `--features peers`, beside structures that can do the same.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use log_core::{AtomicLog, Lsn, Snapshot, Writer};

const SEGMENT: usize = 16;
const MANY: usize = 1 << 20;

/// A log whose window has this many segments, all of them in use.
fn filled(segments: usize) -> (Writer<u64>, AtomicLog<u64>) {
    let (mut writer, log) = AtomicLog::new_claimed((segments - 1).max(1) * SEGMENT, SEGMENT);
    writer.append_batch(0..(segments * SEGMENT) as u64);
    (writer, log)
}

fn snapshot(c: &mut Criterion) {
    let mut group = c.benchmark_group("snapshot, taken and dropped");
    for segments in [1, 10, 100, 1000] {
        let (_writer, log) = filled(segments);
        group.bench_function(BenchmarkId::new("AtomicLog", segments), |b| {
            b.iter(|| drop(black_box(log.snapshot())));
        });
    }
    #[cfg(feature = "peers")]
    peers::load(&mut group);
}

/// Times `act` alone, with something done before each call; less what the
/// clock itself takes.
fn timed_apart(calls: u64, mut before: impl FnMut(), mut act: impl FnMut()) -> Duration {
    let (mut spent, mut clock) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..calls {
        before();
        let start = Instant::now();
        act();
        let end = Instant::now();
        spent += end - start;
        clock += end.elapsed();
    }
    spent.saturating_sub(clock)
}

fn refresh(c: &mut Criterion) {
    let mut group = c.benchmark_group("refresh");
    let (_writer, log) = filled(1000);
    let mut snapshot = log.snapshot();
    group.bench_function("nothing new", |b| b.iter(|| snapshot.refresh()));

    let (mut writer, log) = AtomicLog::new_claimed(1 << 16, 1 << 12);
    let mut snapshot = log.snapshot();
    group.bench_function("1 value, with its append", |b| {
        b.iter(|| {
            writer.append(black_box(1));
            snapshot.refresh()
        });
    });
    for (name, window, behind) in [
        ("1 segment behind", 1000, 1),
        ("1000 segments behind", 1001, 1000),
        ("1000 segments behind, of which it missed some", 100, 1000),
    ] {
        let (mut writer, log) = filled(window);
        let mut snapshot = log.snapshot();
        let values = vec![0; behind * SEGMENT];
        group.bench_function(name, |b| {
            b.iter_custom(|calls| {
                let append = || {
                    black_box(writer.append_slice(&values));
                };
                timed_apart(calls, append, || {
                    black_box(snapshot.refresh());
                })
            });
        });
    }
}

fn poll(c: &mut Criterion) {
    let mut group = c.benchmark_group("poll");
    let (mut writer, log) = AtomicLog::new_claimed(1 << 16, 1 << 12);
    writer.append(0);
    let mut follower = log.snapshot().follow();
    group.bench_function("AtomicLog, nothing new", |b| {
        b.iter(|| black_box(follower.next_slice()).is_ok());
    });
    group.bench_function("AtomicLog, 1 value, with its append", |b| {
        b.iter(|| {
            writer.append(black_box(1));
            let news = follower.next_slice().expect("it keeps up");
            news.map(|news| black_box(news.values()[0]))
        });
    });
    #[cfg(feature = "peers")]
    peers::poll(&mut group);
}

fn full() -> Snapshot<u64> {
    let (mut writer, log) = AtomicLog::new_claimed(MANY, 1 << 12);
    writer.append_batch(0..MANY as u64);
    log.snapshot()
}

fn iterate(c: &mut Criterion) {
    let mut group = c.benchmark_group("sum of a million u64");
    group.throughput(Throughput::Elements(MANY as u64));
    let slice: Vec<u64> = (0..MANY as u64).collect();
    group.bench_function("floor (slice)", |b| b.iter(|| slice.iter().sum::<u64>()));
    let snapshot = full();
    group.bench_function("AtomicLog, flat", |b| {
        b.iter(|| snapshot.iter().sum::<u64>());
    });
    group.bench_function("AtomicLog, flat, a for loop", |b| {
        b.iter(|| {
            let mut sum = 0_u64;
            for value in &snapshot {
                sum = sum.wrapping_add(*value);
            }
            sum
        });
    });
    group.bench_function("AtomicLog, by chunk", |b| {
        b.iter(|| {
            let sums = snapshot
                .chunks()
                .map(|slice| slice.values().iter().sum::<u64>());
            sums.sum::<u64>()
        });
    });
    drop(group);

    let mut group = c.benchmark_group("get");
    for segments in [10, 1000] {
        let (_writer, log) = filled(segments);
        let snapshot = log.snapshot();
        let (start, len) = (snapshot.start().0, snapshot.len() as u64);
        let mut at = 0_u64;
        group.bench_function(BenchmarkId::new("AtomicLog", segments), |b| {
            b.iter_batched(
                || {
                    at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    Lsn(start + (at >> 33) % len)
                },
                |lsn| snapshot.get(lsn).copied(),
                BatchSize::LargeInput,
            );
        });
    }
}

#[cfg(feature = "peers")]
mod peers {
    use std::sync::Arc;

    use arc_swap::ArcSwap;
    use criterion::BenchmarkGroup;
    use criterion::measurement::WallTime;
    use disruptor::{BusySpin, Producer};

    use super::*;

    pub(crate) fn load(group: &mut BenchmarkGroup<'_, WallTime>) {
        let vec = ArcSwap::from_pointee(vec![0_u64; 16_000]);
        group.bench_function("ArcSwap<Vec>", |b| {
            b.iter(|| drop(black_box(vec.load_full())));
        });
    }

    pub(crate) fn poll(group: &mut BenchmarkGroup<'_, WallTime>) {
        let builder = disruptor::build_single_producer(1 << 16, || 0_u64, BusySpin);
        let (mut poller, builder) = builder.new_event_poller();
        let mut producer = builder.build();
        group.bench_function("disruptor, nothing new", |b| {
            b.iter(|| black_box(poller.poll()).is_ok());
        });
        group.bench_function("disruptor, 1 value, with its append", |b| {
            b.iter(|| {
                producer.publish(|event| *event = black_box(1));
                let mut events = poller.poll().expect("there is one");
                (&mut events).next().copied()
            });
        });
        let (sender, mut receiver) = tokio::sync::broadcast::channel(1 << 16);
        group.bench_function("tokio broadcast, nothing new", |b| {
            b.iter(|| black_box(receiver.try_recv()).is_ok());
        });
        group.bench_function("tokio broadcast, 1 value, with its append", |b| {
            b.iter(|| {
                sender.send(black_box(1_u64)).expect("there is a receiver");
                receiver.try_recv()
            });
        });
        let vec = ArcSwap::from_pointee(vec![0_u64; 16]);
        let mut known = vec.load_full();
        group.bench_function("ArcSwap<Vec>, nothing new", |b| {
            b.iter(|| {
                let now = vec.load();
                let news = !Arc::ptr_eq(&now, &known);
                if news {
                    known = Arc::clone(&now);
                }
                news
            });
        });
    }
}

criterion_group!(benches, snapshot, refresh, poll, iterate);
criterion_main!(benches);
