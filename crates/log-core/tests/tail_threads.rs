//! Rules that hold whatever the threads do: checked here with real ones, and in
//! the models one interleaving at a time.

#![cfg(not(any(log_loom, log_shuttle)))]

mod tail_support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use log_core::{CellState, Lsn, Region, Segment, Word};
use tail_support::*;

const WRITERS: u64 = 4;
const RECORDS: u64 = if cfg!(miri) { 40 } else { 20_000 };
const REGION_BYTES: usize = 1024;

/// Who wrote it, its number among that thread's, and noise.
fn record_of(writer: u64, sequence: u64) -> Vec<u8> {
    let mut record = [writer.to_le_bytes(), sequence.to_le_bytes()].concat();
    record.extend(payload(
        writer << 32 | sequence,
        (sequence * 7 % 90) as usize,
    ));
    record
}

/// Checks that what a reader found is one of those records.
fn writer_and_sequence(record: &[u8]) -> (u64, u64) {
    let field = |from: usize| u64::from_le_bytes(record[from..from + 8].try_into().unwrap());
    let (writer, sequence) = (field(0), field(8));
    assert_eq!(record, record_of(writer, sequence), "INV-C2: complete");
    (writer, sequence)
}

#[test]
fn every_number_is_given_once_and_every_record_is_read_once_in_order() {
    let tail = tail(REGION_BYTES);
    let rolls = AtomicUsize::new(0);
    let total = WRITERS * RECORDS;
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (tail, rolls) = (&tail, &rolls);
            scope.spawn(move || {
                let mut previous = None;
                for sequence in 0..RECORDS {
                    let prepare = || {
                        rolls.fetch_add(1, Ordering::Relaxed);
                        fresh(REGION_BYTES)
                    };
                    let lsn = append_into(tail, &record_of(writer, sequence), prepare).unwrap();
                    assert!(previous < Some(lsn), "INV-C1: numbers only grow");
                    assert!(
                        tail.published_end() > lsn,
                        "INV-C7: returned implies visible"
                    );
                    previous = Some(lsn);
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let mut next_of = [0; WRITERS as usize];
                let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
                while cursor.next_lsn() < Lsn(total) {
                    let next = cursor.next_lsn();
                    assert!(tail.wait_published(next, None));
                    let found = read_on(&tail, &mut cursor);
                    assert!(!found.is_empty(), "what is visible can be read");
                    assert_eq!(found[0].lsn, next, "INV-C1: no gap");
                    for found in found {
                        let (writer, sequence) = writer_and_sequence(&found.payload);
                        assert_eq!(next_of[writer as usize], sequence, "in order");
                        next_of[writer as usize] += 1;
                    }
                }
                assert_eq!(next_of, [RECORDS; WRITERS as usize]);
            });
        }
    });
    assert_eq!(
        (tail.published_end(), tail.reserved_end()),
        (Lsn(total), Lsn(total))
    );
    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    let mut segments = 1;
    while tail.next_span_here(&mut cursor).is_some() && tail.enter_next_segment(&mut cursor) {
        segments += 1;
    }
    assert_eq!(
        rolls.into_inner() + 1,
        segments,
        "one roller, one successor"
    );
}

#[test]
fn batches_are_never_torn_apart_nor_mixed() {
    let tail = tail(4096);
    thread::scope(|scope| {
        for writer in 0..3_u64 {
            let tail = &tail;
            scope.spawn(move || {
                for batch in 0..RECORDS / 10 {
                    let size = 1 + (batch + writer) % 5;
                    let batch: Vec<_> = (0..size).map(|_| record_of(writer, batch)).collect();
                    let lengths: Vec<_> = batch.iter().map(Vec::len).collect();
                    let place = tail.reserve_or_roll(need(&lengths), || fresh(4096));
                    fill(place.unwrap(), &batch);
                }
            });
        }
        let total: u64 = (0..3)
            .flat_map(|writer| (0..RECORDS / 10).map(move |batch| 1 + (batch + writer) % 5))
            .sum();
        let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
        while cursor.next_lsn() < Lsn(total) {
            tail.wait_published(cursor.next_lsn(), None);
            let mut open_batch = None;
            for found in read_on(&tail, &mut cursor) {
                let written = writer_and_sequence(&found.payload);
                assert_eq!(found.begins_batch, open_batch.is_none());
                assert_eq!(*open_batch.get_or_insert(written), written);
                if found.ends_batch {
                    open_batch = None;
                }
            }
            assert_eq!(open_batch, None, "a reader never sees half a batch");
        }
    });
}

#[test]
fn abandoned_reservations_hold_nobody_up_and_lose_no_number() {
    let tail = tail(REGION_BYTES);
    let abandoned = AtomicUsize::new(0);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (tail, abandoned) = (&tail, &abandoned);
            scope.spawn(move || {
                for sequence in 0..RECORDS / 4 {
                    let record = record_of(writer, sequence);
                    let place = tail.reserve_or_roll(need(&[record.len()]), || fresh(REGION_BYTES));
                    let place = place.unwrap();
                    if (sequence + writer).is_multiple_of(3) {
                        abandoned.fetch_add(1, Ordering::Relaxed);
                        drop(place);
                    } else {
                        fill(place, &[record]);
                    }
                }
            });
        }
    });
    let found = read_from(&tail, Lsn(0));
    assert_eq!(found.len() as u64, WRITERS * (RECORDS / 4));
    let void = found
        .iter()
        .filter(|found| found.state == CellState::Void)
        .count();
    assert_eq!(void, abandoned.into_inner());
}

/// `INV-C4`, `INV-C5`: regions go round while readers hold spans of them.
#[test]
fn recycled_regions_are_never_reused_under_a_reader() {
    let tail = tail(REGION_BYTES);
    let free: Mutex<Vec<Region>> = Mutex::new(Vec::new());
    let allocated = AtomicUsize::new(1);
    let total = WRITERS * RECORDS / 2;
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (tail, free, allocated) = (&tail, &free, &allocated);
            scope.spawn(move || {
                for sequence in 0..RECORDS / 2 {
                    let prepare = || {
                        let recycled = free.lock().unwrap().pop();
                        next(recycled.unwrap_or_else(|| {
                            allocated.fetch_add(1, Ordering::Relaxed);
                            region(REGION_BYTES)
                        }))
                    };
                    append_into(tail, &record_of(writer, sequence), prepare).unwrap();
                }
            });
        }
        let mut next_of = [0; WRITERS as usize];
        let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
        let mut released: Vec<Arc<Segment<()>>> = Vec::new();
        while cursor.next_lsn() < Lsn(total) {
            tail.wait_published(cursor.next_lsn(), None);
            while let Some(span) = tail.next_span(&mut cursor) {
                // Released while it is held: the bytes must stay.
                released.extend(tail.release_before(span.end()));
                thread::yield_now();
                for found in records(&span) {
                    let (writer, sequence) = writer_and_sequence(&found.payload);
                    assert_eq!(next_of[writer as usize], sequence);
                    next_of[writer as usize] += 1;
                }
            }
            for segment in std::mem::take(&mut released) {
                match Segment::into_region(segment) {
                    Ok(region) => free.lock().unwrap().push(region),
                    Err(segment) => released.push(segment),
                }
            }
        }
        assert_eq!(next_of, [RECORDS / 2; WRITERS as usize]);
    });
    assert!(allocated.into_inner() > 1);
}

#[test]
fn marks_between_appends_take_no_number_and_lose_none() {
    let tail = tail(REGION_BYTES);
    let marks = AtomicUsize::new(0);
    thread::scope(|scope| {
        for writer in 0..2 {
            let tail = &tail;
            scope.spawn(move || {
                for sequence in 0..RECORDS / 2 {
                    append_rolling(tail, &record_of(writer, sequence), REGION_BYTES);
                }
            });
        }
        scope.spawn(|| {
            while tail.published_end() < Lsn(RECORDS) {
                let mark = tail.insert_unnumbered(8, |cell, place| {
                    cell[8..16].copy_from_slice(&place.lsn.0.to_le_bytes());
                    cell[16..24].fill(0xEE);
                    Word::new(8).with_kind(0x81)
                });
                marks.fetch_add(usize::from(mark.is_some()), Ordering::Relaxed);
                thread::yield_now();
            }
        });
    });
    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    let (mut numbered, mut unnumbered) = (0, 0);
    while let Some(span) = tail.next_span(&mut cursor) {
        numbered += records(&span).len() as u64;
        let mut position = 0;
        while position < span.bytes().len() {
            let word = span.bytes()[position..][..8].try_into().unwrap();
            let word = Word::from_bits(u64::from_le_bytes(word));
            unnumbered += usize::from(!word.is_numbered());
            position += word.cell_bytes();
        }
    }
    assert_eq!(numbered, RECORDS);
    assert_eq!(unnumbered, marks.into_inner(), "each mark is there once");
}
