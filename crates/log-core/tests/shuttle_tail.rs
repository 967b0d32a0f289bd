//! The rules of the tail under random schedules: more threads, more rolls and
//! longer runs than loom can exhaust. Shuttle runs atomics sequentially
//! consistent; orderings are loom's.

#![cfg(log_shuttle)]

mod tail_support;

use std::sync::Arc as StdArc;

use log_core::{Bell, CellState, Lsn, Need, Region, Segment, Word};
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;
use tail_support::*;

const REGION_BYTES: usize = 160;

/// Every rule is tried under schedules drawn uniformly, and under schedules
/// that make few but well placed preemptions (Burckhardt and others, "A
/// Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", 2010).
fn check(schedules: usize, rule: impl Fn() + Send + Sync + 'static) {
    let rule = StdArc::new(rule);
    let same = StdArc::clone(&rule);
    shuttle::check_random(move || same(), schedules);
    shuttle::check_pct(move || rule(), schedules, 3);
}

fn record_of(writer: u64, sequence: u64) -> Vec<u8> {
    let mut record = [writer.to_le_bytes(), sequence.to_le_bytes()].concat();
    record.extend(payload(
        writer << 32 | sequence,
        (sequence * 5 % 30) as usize,
    ));
    record
}

fn writer_of(record: &[u8]) -> (usize, u64) {
    let field = |from: usize| u64::from_le_bytes(record[from..from + 8].try_into().unwrap());
    let (writer, sequence) = (field(0), field(8));
    assert_eq!(record, record_of(writer, sequence), "INV-C2: complete");
    (writer as usize, sequence)
}

/// `INV-C1`, `INV-C2`, `INV-C7`
#[test]
fn four_writers_and_two_readers_over_many_rolls_see_one_order() {
    const WRITERS: u64 = 4;
    const RECORDS: u64 = 6;
    check(1_500, || {
        let tail = Arc::new(tail(REGION_BYTES));
        let rolls = Arc::new(AtomicUsize::new(0));
        let writers = (0..WRITERS).map(|writer| {
            let (tail, rolls) = (Arc::clone(&tail), Arc::clone(&rolls));
            thread::spawn(move || {
                let mut previous = None;
                for sequence in 0..RECORDS {
                    let prepare = || {
                        rolls.fetch_add(1, Ordering::SeqCst);
                        fresh(REGION_BYTES)
                    };
                    let lsn = append_into(&tail, &record_of(writer, sequence), prepare).unwrap();
                    assert!(previous < Some(lsn), "INV-C1");
                    assert!(tail.published_end() > lsn, "INV-C7");
                    previous = Some(lsn);
                }
            })
        });
        let mut threads: Vec<_> = writers.collect();
        threads.extend((0..2).map(|_| {
            let tail = Arc::clone(&tail);
            thread::spawn(move || {
                let mut next_of = [0; WRITERS as usize];
                let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
                while cursor.next_lsn() < Lsn(WRITERS * RECORDS) {
                    let next = cursor.next_lsn();
                    tail.wait_published(next, None);
                    let found = read_on(&tail, &mut cursor);
                    assert!(!found.is_empty(), "what is visible can be read");
                    for found in found {
                        let (writer, sequence) = writer_of(&found.payload);
                        assert_eq!(next_of[writer], sequence);
                        next_of[writer] += 1;
                    }
                }
            })
        }));
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(tail.reserved_end(), Lsn(WRITERS * RECORDS));
        let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
        let mut segments = 1;
        while tail.next_span_here(&mut cursor).is_some() && tail.enter_next_segment(&mut cursor) {
            segments += 1;
        }
        assert_eq!(
            rolls.load(Ordering::SeqCst) + 1,
            segments,
            "one roller each"
        );
    });
}

/// `INV-C1`
#[test]
fn batches_marks_and_abandoned_places_go_together() {
    check(1_500, || {
        let tail = Arc::new(tail(REGION_BYTES));
        let batches = (0..2_u64).map(|writer| {
            let tail = Arc::clone(&tail);
            thread::spawn(move || {
                for batch in 0..4 {
                    let records = vec![record_of(writer, batch); 2];
                    let lengths: Vec<_> = records.iter().map(Vec::len).collect();
                    let place = tail.reserve_or_roll(need(&lengths), || fresh(REGION_BYTES));
                    fill(place.unwrap(), &records);
                }
            })
        });
        let mut threads: Vec<_> = batches.collect();
        let (marked, abandoning) = (Arc::clone(&tail), Arc::clone(&tail));
        threads.push(thread::spawn(move || {
            for _ in 0..4 {
                marked.insert_unnumbered(0, |_, _| Word::new(0).with_kind(0x80));
            }
        }));
        threads.push(thread::spawn(move || {
            for _ in 0..4 {
                let place =
                    abandoning.reserve_or_roll(Need::new(3, 48).unwrap(), || fresh(REGION_BYTES));
                drop(place.unwrap());
            }
        }));
        let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
        let mut found = Vec::new();
        while cursor.next_lsn() < Lsn(2 * 4 * 2 + 4 * 3) {
            tail.wait_published(cursor.next_lsn(), None);
            found.extend(read_on(&tail, &mut cursor));
            let ends = found.last().is_none_or(|last: &Found| last.ends_batch);
            assert!(ends, "a reader never sees half a batch");
        }
        for thread in threads {
            thread.join().unwrap();
        }
        let void = found.iter().filter(|found| found.state == CellState::Void);
        assert_eq!(void.count(), 4 * 3);
    });
}

/// `INV-C4`
#[test]
fn regions_go_round_and_never_under_a_span() {
    const WRITERS: u64 = 3;
    const RECORDS: u64 = 8;
    check(1_500, || {
        let tail = Arc::new(tail(REGION_BYTES));
        let free: Arc<Mutex<Vec<Region>>> = Arc::default();
        let writers = (0..WRITERS).map(|writer| {
            let (tail, free) = (Arc::clone(&tail), Arc::clone(&free));
            thread::spawn(move || {
                for sequence in 0..RECORDS {
                    let prepare = || {
                        let recycled = free.lock().unwrap().pop();
                        next(recycled.unwrap_or_else(|| region(REGION_BYTES)))
                    };
                    append_into(&tail, &record_of(writer, sequence), prepare).unwrap();
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        let recycler = {
            let (tail, free) = (Arc::clone(&tail), Arc::clone(&free));
            thread::spawn(move || {
                let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
                let mut released = Vec::new();
                while cursor.next_lsn() < Lsn(WRITERS * RECORDS) {
                    tail.wait_published(cursor.next_lsn(), None);
                    while let Some(span) = tail.next_span(&mut cursor) {
                        released.extend(tail.release_before(span.end()));
                        for segment in std::mem::take(&mut released) {
                            match Segment::into_region(segment) {
                                Ok(region) => free.lock().unwrap().push(region),
                                Err(segment) => released.push(segment),
                            }
                        }
                        thread::yield_now();
                        for found in records(&span) {
                            writer_of(&found.payload);
                        }
                    }
                }
            })
        };
        for thread in writers {
            thread.join().unwrap();
        }
        recycler.join().unwrap();
    });
}

#[test]
fn a_bell_wakes_everyone_who_waits_for_one_of_many_rings() {
    check(3_000, || {
        let shared = Arc::new((Bell::new(), AtomicUsize::new(0)));
        let waiters = (1..=3).map(|least| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let ready = || shared.1.load(Ordering::SeqCst) >= least;
                assert!(shared.0.wait_until(None, ready));
            })
        });
        let waiters: Vec<_> = waiters.collect();
        for _ in 0..3 {
            shared.1.fetch_add(1, Ordering::SeqCst);
            shared.0.ring();
        }
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}
