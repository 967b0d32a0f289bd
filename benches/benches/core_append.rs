//! What does it cost to append to an `AtomicLog`?
//!
//! Nobody reads, or readers spin: each follows what comes as fast as it can.
//! The *floor* is what any such structure has to do: store a value, then
//! publish it with a release store. With `--features peers`, the same values go
//! through other people's structures, side by side in one run. A structure
//! whose writer waits for its readers has them read; nobody else is slowed
//! down by anyone.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use log_core::{AtomicLog, Writer};

const RETAINED: usize = 1 << 16;
const SEGMENT: usize = 1 << 12;
/// Appends from one look at the clock to the next.
const ROUND: u64 = 1 << 10;

/// A value of 64 bytes.
type Large = [u64; 8];

fn large(index: u64) -> Large {
    [index; 8]
}

/// A ring without readers: a value and a release store for each append.
struct Floor<T> {
    ring: Box<[T]>,
    published: AtomicUsize,
}

impl<T: Copy + Default> Floor<T> {
    fn new() -> Self {
        Self {
            ring: vec![T::default(); RETAINED].into(),
            published: AtomicUsize::new(0),
        }
    }

    #[inline]
    fn append(&mut self, value: T) {
        let at = self.published.load(Ordering::Relaxed);
        self.ring[at % RETAINED] = value;
        self.published.store(at + 1, Ordering::Release);
    }
}

/// Measures `append`, for so and so many values.
fn measure<T>(
    c: &mut Criterion,
    group: &str,
    name: &str,
    make: impl Fn(u64) -> T,
    mut append: impl FnMut(T),
) {
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |b| {
        b.iter_custom(|values| {
            let start = Instant::now();
            for index in 0..values {
                append(make(black_box(index)));
            }
            start.elapsed()
        });
    });
}

fn alone<T: Copy + Default + Send + Sync + 'static>(
    c: &mut Criterion,
    group: &str,
    make: fn(u64) -> T,
) {
    let mut floor = Floor::new();
    measure(c, group, "floor", make, |value| floor.append(value));
    let (mut writer, _log) = AtomicLog::new_claimed(RETAINED, SEGMENT);
    measure(c, group, "AtomicLog", make, |value| {
        writer.append(value);
    });
    #[cfg(feature = "peers")]
    peers::alone(c, group, make);
}

fn append_alone(c: &mut Criterion) {
    alone(c, "append u64, no readers", |index| index);
    alone(c, "append 64 B, no readers", large);
}

fn append_rolling(c: &mut Criterion) {
    let group = "append u64, segments of 16";
    let (mut writer, _log) = AtomicLog::new_claimed(1 << 10, 16);
    measure(
        c,
        group,
        "AtomicLog",
        |index| index,
        |value| {
            writer.append(value);
        },
    );
    // One reader that lags: the segments that leave are its wards.
    let (mut writer, log) = AtomicLog::new_claimed(1 << 10, 16);
    let mut snapshot = log.snapshot();
    let mut appended = 0_u64;
    measure(
        c,
        group,
        "AtomicLog, refreshed every 8 segments",
        |index| index,
        |value| {
            writer.append(value);
            appended += 1;
            if appended.is_multiple_of(128) {
                snapshot.refresh();
            }
        },
    );
}

fn append_many(c: &mut Criterion) {
    const BATCH: u64 = 256;
    let mut group = c.benchmark_group("append u64, batches of 256");
    group.throughput(Throughput::Elements(BATCH));
    let values: Vec<u64> = (0..BATCH).collect();
    let mut target = vec![0; RETAINED];
    let mut at = 0;
    group.bench_function("floor (copy)", |b| {
        b.iter(|| {
            target[at..at + values.len()].copy_from_slice(black_box(&values));
            at = (at + values.len()) % RETAINED;
        });
    });
    let (mut writer, _log) = AtomicLog::new_claimed(RETAINED, SEGMENT);
    group.bench_function("AtomicLog, slice", |b| {
        b.iter(|| writer.append_slice(black_box(&values)));
    });
    let (mut writer, _log) = AtomicLog::new_claimed(RETAINED, SEGMENT);
    group.bench_function("AtomicLog, iterator over a slice", |b| {
        b.iter(|| writer.append_batch(black_box(&values).iter().copied()));
    });
    let (mut writer, _log) = AtomicLog::new_claimed(RETAINED, SEGMENT);
    group.bench_function("AtomicLog, range", |b| {
        b.iter(|| writer.append_batch(0..black_box(BATCH)));
    });
    #[cfg(feature = "peers")]
    peers::many(&mut group, BATCH);
}

/// Runs `write` beside threads that call `read` until it is done.
fn beside(
    readers: usize,
    read: impl Fn(&AtomicBool) + Sync,
    write: impl FnOnce() -> Duration,
) -> Duration {
    let done = AtomicBool::new(false);
    let ready = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                ready.fetch_add(1, Ordering::Relaxed);
                read(&done);
            });
        }
        while ready.load(Ordering::Relaxed) < readers {
            thread::yield_now();
        }
        let elapsed = write();
        done.store(true, Ordering::Relaxed);
        elapsed
    })
}

/// Reads all that comes, and does something with it.
fn follow<T: Copy>(log: &AtomicLog<T>, done: &AtomicBool) {
    let mut follower = log.follow();
    while !done.load(Ordering::Relaxed) {
        match follower.next_slice() {
            Ok(Some(news)) => {
                news.values().iter().for_each(|value| {
                    black_box(*value);
                });
            }
            Ok(None) => std::hint::spin_loop(),
            Err(gap) => {
                black_box(gap);
            }
        }
    }
}

fn append_rounds<T>(writer: &mut Writer<T>, values: u64, make: fn(u64) -> T) -> Duration {
    let start = Instant::now();
    for index in 0..values {
        writer.append(make(black_box(index)));
    }
    start.elapsed()
}

fn beside_readers<T: Copy + Default + Send + Sync + 'static>(
    c: &mut Criterion,
    group: &str,
    make: fn(u64) -> T,
) {
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Elements(1));
    for readers in [1, 3] {
        group.bench_function(BenchmarkId::new("AtomicLog", readers), |b| {
            let (mut writer, log) = AtomicLog::new_claimed(RETAINED, SEGMENT);
            b.iter_custom(|values| {
                let read = |done: &AtomicBool| follow(&log, done);
                let values = values.max(ROUND);
                beside(readers, read, || append_rounds(&mut writer, values, make))
            });
        });
        #[cfg(feature = "peers")]
        peers::beside_readers(&mut group, readers, make);
    }
}

fn append_beside(c: &mut Criterion) {
    beside_readers(c, "append u64, busy readers", |index| index);
    beside_readers(c, "append 64 B, busy readers", large);
}

#[cfg(feature = "peers")]
mod peers {
    use std::collections::VecDeque;
    use std::sync::{Arc, RwLock};

    use arc_swap::ArcSwap;
    use criterion::BenchmarkGroup;
    use criterion::measurement::WallTime;
    use disruptor::{BusySpin, EventPoller, Producer, SingleProducerBarrier};

    use super::*;

    pub(crate) fn alone<T: Copy + Default + Send + Sync + 'static>(
        c: &mut Criterion,
        group: &str,
        make: fn(u64) -> T,
    ) {
        let (mut producer, mut poller) = disruptor_pair::<T>();
        let mut appended = 0;
        // It is never full: what it holds is taken away now and then.
        measure(c, group, "disruptor", make, |value| {
            producer.publish(|event| *event = value);
            appended += 1;
            if appended % (RETAINED / 2) == 0 {
                drop(poller.poll());
            }
        });
        let (sender, receiver) = crossbeam_channel::bounded(RETAINED);
        measure(c, group, "crossbeam-channel", make, |value| {
            if let Err(full) = sender.try_send(value) {
                receiver.try_iter().take(RETAINED / 2).for_each(|value| {
                    black_box(value);
                });
                sender
                    .try_send(full.into_inner())
                    .expect("half of it is free");
            }
        });
        let (sender, _receiver) = tokio::sync::broadcast::channel(RETAINED);
        measure(c, group, "tokio broadcast", make, |value| {
            let _ = black_box(sender.send(value));
        });
        let deque = RwLock::new(VecDeque::with_capacity(RETAINED));
        measure(c, group, "RwLock<VecDeque>", make, |value| {
            let mut deque = deque.write().expect("nobody panics");
            if deque.len() == RETAINED {
                deque.pop_front();
            }
            deque.push_back(value);
        });
        // Copies all there is for each append, so there is less of it.
        let vec = ArcSwap::from_pointee(Vec::<T>::new());
        measure(c, group, "ArcSwap<Vec>, 256 values", make, |value| {
            let mut next = Vec::clone(&vec.load());
            if next.len() == 256 {
                next.clear();
            }
            next.push(value);
            vec.store(Arc::new(next));
        });
    }

    type Poller<T> = EventPoller<T, SingleProducerBarrier>;

    fn disruptor_pair<T: Copy + Default + Send + Sync + 'static>() -> (impl Producer<T>, Poller<T>)
    {
        let builder = disruptor::build_single_producer(RETAINED, T::default, BusySpin);
        let (poller, builder) = builder.new_event_poller();
        (builder.build(), poller)
    }

    pub(crate) fn many(group: &mut BenchmarkGroup<'_, WallTime>, batch: u64) {
        let (mut producer, mut poller) = disruptor_pair::<u64>();
        group.bench_function("disruptor", |b| {
            b.iter(|| {
                producer.batch_publish(batch as usize, |events| {
                    for (event, value) in events.zip(0..black_box(batch)) {
                        *event = value;
                    }
                });
                drop(poller.poll());
            });
        });
    }

    pub(crate) fn beside_readers<T: Copy + Default + Send + Sync + 'static>(
        group: &mut BenchmarkGroup<'_, WallTime>,
        readers: usize,
        make: fn(u64) -> T,
    ) {
        group.bench_function(BenchmarkId::new("disruptor", readers), |b| {
            b.iter_custom(|values| disruptor_beside(readers, values.max(ROUND), make));
        });
        group.bench_function(BenchmarkId::new("tokio broadcast", readers), |b| {
            let (sender, receiver) = tokio::sync::broadcast::channel(RETAINED);
            b.iter_custom(|values| {
                let read = |done: &AtomicBool| {
                    let mut receiver = receiver.resubscribe();
                    while !done.load(Ordering::Relaxed) {
                        let _ = black_box(receiver.try_recv());
                    }
                };
                beside(readers, read, || {
                    let start = Instant::now();
                    for index in 0..values.max(ROUND) {
                        let _ = black_box(sender.send(make(black_box(index))));
                    }
                    start.elapsed()
                })
            });
        });
    }

    fn disruptor_beside<T: Copy + Default + Send + Sync + 'static>(
        readers: usize,
        values: u64,
        make: fn(u64) -> T,
    ) -> Duration {
        fn spin<T>(mut poller: Poller<T>, done: &AtomicBool) {
            while !done.load(Ordering::Relaxed) {
                if let Ok(mut events) = poller.poll() {
                    for event in &mut events {
                        black_box(event);
                    }
                }
            }
        }
        fn time<T>(mut producer: impl Producer<T>, values: u64, make: fn(u64) -> T) -> Duration {
            let start = Instant::now();
            for index in 0..values {
                let value = make(black_box(index));
                producer.publish(|event| *event = value);
            }
            start.elapsed()
        }
        let builder = disruptor::build_single_producer(RETAINED, T::default, BusySpin);
        let (first, builder) = builder.new_event_poller();
        let pollers = std::sync::Mutex::new(vec![first]);
        let take = || {
            pollers
                .lock()
                .expect("nobody panics")
                .pop()
                .expect("one each")
        };
        let read = |done: &AtomicBool| spin(take(), done);
        if readers == 1 {
            let producer = builder.build();
            return beside(1, read, || time(producer, values, make));
        }
        let (second, builder) = builder.new_event_poller();
        let (third, builder) = builder.new_event_poller();
        pollers
            .lock()
            .expect("nobody panics")
            .extend([second, third]);
        let producer = builder.build();
        beside(readers, read, || time(producer, values, make))
    }
}

criterion_group!(
    benches,
    append_alone,
    append_rolling,
    append_many,
    append_beside
);
criterion_main!(benches);
