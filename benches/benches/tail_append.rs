//! What does the tail add to the copying of a record?
//!
//! The *floors* are what no log can do without: the copy itself, and one shared
//! counter that every writer must move. All cases write into memory that is
//! warm: two regions that go round. With several writers a time is that of
//! the whole group divided by its records, so that perfect scaling halves it.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use log_core::{
    CELL_HEADER_BYTES, Lsn, Need, NextSegment, Region, Segment, SegmentEnd, Start, Tail, Word,
    cell_bytes,
};

const PAYLOADS_BYTES: [usize; 2] = [64, 256];
const WRITERS: [u64; 4] = [1, 2, 4, 8];
const REGION_BYTES: usize = 1 << 20;

/// A tail whose regions go round.
struct Recycled {
    tail: Tail<()>,
    region_bytes: usize,
    released: Mutex<Vec<Arc<Segment<()>>>>,
}

impl Recycled {
    fn new(region_bytes: usize) -> Self {
        let region = Region::heap(region_bytes).expect("memory for a region");
        Self {
            tail: Tail::new(region, Start::fresh(Lsn(0), 0), ()),
            region_bytes,
            released: Mutex::default(),
        }
    }

    fn prepare(&self) -> Result<NextSegment<fn(SegmentEnd)>, Infallible> {
        let mut released = self.released.lock().expect("no holder panics");
        released.extend(self.tail.release_before(self.tail.published_end()));
        let mut recycled = None;
        for segment in std::mem::take(&mut *released) {
            match Segment::into_region(segment) {
                Ok(region) => recycled = Some(region),
                Err(segment) => released.push(segment),
            }
        }
        let fresh = || Region::heap(self.region_bytes).expect("memory for a region");
        Ok(NextSegment {
            region: recycled.unwrap_or_else(fresh),
            first_position: 0,
            open: |_end| (),
        })
    }

    #[inline]
    fn append(&self, need: Need, payload: &[u8]) -> Lsn {
        let place = self.tail.reserve_or_roll(need, || self.prepare());
        let mut place = place.expect("a region has room for a record");
        let lsn = place.base();
        let cell = place.bytes_mut();
        cell[8..CELL_HEADER_BYTES].copy_from_slice(&lsn.0.to_le_bytes());
        cell[CELL_HEADER_BYTES..][..payload.len()].copy_from_slice(payload);
        place.publish(Word::new(payload.len() as u32));
        lsn
    }

    /// As `append`, with the checksum that a log on disk needs.
    #[inline]
    fn append_checked(&self, need: Need, payload: &[u8]) -> Lsn {
        let place = self.tail.reserve_or_roll(need, || self.prepare());
        let mut place = place.expect("a region has room for a record");
        let lsn = place.base();
        let cell = place.bytes_mut();
        cell[CELL_HEADER_BYTES..][..payload.len()].copy_from_slice(payload);
        let checksum = crc32fast::hash(&cell[CELL_HEADER_BYTES..]);
        let second_word = u64::from(checksum) | lsn.0 << 32;
        cell[8..CELL_HEADER_BYTES].copy_from_slice(&second_word.to_le_bytes());
        place.publish(Word::new(payload.len() as u32));
        lsn
    }

    fn append_batch(&self, need: Need, payload: &[u8]) {
        let place = self.tail.reserve_or_roll(need, || self.prepare());
        let mut place = place.expect("a region has room for a batch");
        let (base, end) = (place.base().0, place.end().0);
        let word =
            |lsn: u64| Word::new(payload.len() as u32).with_batch(lsn == base, lsn + 1 == end);
        let cells = place.bytes_mut();
        for (cell, lsn) in cells
            .chunks_exact_mut(cell_bytes(payload.len()))
            .zip(base..)
        {
            cell[..8].copy_from_slice(&word(lsn).to_bits().to_le_bytes());
            cell[8..CELL_HEADER_BYTES].copy_from_slice(&lsn.to_le_bytes());
            cell[CELL_HEADER_BYTES..][..payload.len()].copy_from_slice(payload);
        }
        place.publish(word(base));
    }
}

fn one_record(payload_bytes: usize) -> Need {
    Need::new(1, cell_bytes(payload_bytes)).expect("a cell")
}

/// Runs `records` calls of `append` on `writers` threads; from the first to the
/// last of them.
fn timed(writers: u64, records: u64, append: impl Fn() + Sync) -> Duration {
    let start_line = Barrier::new(writers as usize + 1);
    thread::scope(|scope| {
        for writer in 0..writers {
            let (start_line, append) = (&start_line, &append);
            let share = (records + writer) / writers;
            scope.spawn(move || {
                start_line.wait();
                (0..share).for_each(|_| append());
            });
        }
        // The clock starts before the last thread is let go, and stops when
        // the scope has joined all of them.
        let start = Instant::now();
        start_line.wait();
        start
    })
    .elapsed()
}

fn floors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tail_append/floor");
    group.throughput(Throughput::Elements(1));
    for payload_bytes in PAYLOADS_BYTES {
        let payload = vec![7; payload_bytes];
        let mut region = Region::heap(2 * REGION_BYTES).expect("memory for a region");
        let memory = region.bytes_mut();
        memory.fill(1);
        let (cell, mut at) = (cell_bytes(payload_bytes), 0);
        group.bench_function(BenchmarkId::new("copy", payload_bytes), |bencher| {
            bencher.iter(|| {
                if at + cell > memory.len() {
                    at = 0;
                }
                memory[at + CELL_HEADER_BYTES..at + cell].copy_from_slice(black_box(&payload));
                at += cell;
            });
            black_box(&*memory);
        });
    }
    for writers in WRITERS {
        let counter = AtomicU64::new(0);
        group.bench_function(BenchmarkId::new("fetch_add", writers), |bencher| {
            bencher.iter_custom(|records| {
                timed(writers, records, || {
                    counter.fetch_add(1, Ordering::Relaxed);
                })
            });
        });
    }
    group.finish();
}

fn append(criterion: &mut Criterion) {
    for payload_bytes in PAYLOADS_BYTES {
        let payload = vec![7; payload_bytes];
        let need = one_record(payload_bytes);
        let mut group = criterion.benchmark_group(format!("tail_append/{payload_bytes}B"));
        group.throughput(Throughput::Elements(1));
        for writers in WRITERS {
            let log = Recycled::new(REGION_BYTES);
            group.bench_function(BenchmarkId::new("writers", writers), |bencher| {
                bencher.iter_custom(|records| {
                    timed(writers, records, || {
                        black_box(log.append(need, black_box(&payload)));
                    })
                });
            });
        }
        for writers in WRITERS {
            let log = Recycled::new(REGION_BYTES);
            group.bench_function(BenchmarkId::new("with_checksum", writers), |bencher| {
                bencher.iter_custom(|records| {
                    timed(writers, records, || {
                        black_box(log.append_checked(need, black_box(&payload)));
                    })
                });
            });
        }
        group.finish();
    }
}

fn batch(criterion: &mut Criterion) {
    const RECORDS: u32 = 64;
    let mut group = criterion.benchmark_group("tail_append/batch_of_64");
    group.throughput(Throughput::Elements(u64::from(RECORDS)));
    for payload_bytes in PAYLOADS_BYTES {
        let payload = vec![7; payload_bytes];
        let bytes = RECORDS as usize * cell_bytes(payload_bytes);
        let need = Need::new(RECORDS, bytes).expect("a batch");
        let log = Recycled::new(REGION_BYTES);
        group.bench_function(BenchmarkId::from_parameter(payload_bytes), |bencher| {
            bencher.iter(|| log.append_batch(need, black_box(&payload)));
        });
    }
    group.finish();
}

fn roll_heavy(criterion: &mut Criterion) {
    const RECORDS_A_SEGMENT: usize = 16;
    let payload = [7; 64];
    let mut group = criterion.benchmark_group("tail_append/roll_every_16");
    group.throughput(Throughput::Elements(1));
    for writers in WRITERS {
        let log = Recycled::new(RECORDS_A_SEGMENT * cell_bytes(payload.len()));
        group.bench_function(BenchmarkId::new("writers", writers), |bencher| {
            bencher.iter_custom(|records| {
                timed(writers, records, || {
                    black_box(log.append(one_record(payload.len()), black_box(&payload)));
                })
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30);
    targets = floors, append, batch, roll_heavy
}
criterion_main!(benches);
