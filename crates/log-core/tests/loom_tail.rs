//! Models of the tail: each states one rule, and loom tries every interleaving
//! and every stale value that the memory model allows, up to a bound on
//! preemptions.
//!
//! A region is raw memory, which loom cannot see; `witness.rs` watches it in
//! loom's place, so a record that is read before it is whole ends a model with
//! a causality violation. A lost wake-up ends one with a deadlock.
//!
//! Which ordering each model needs is listed in `docs/TESTING.md`, from trying.

#![cfg(log_loom)]

use std::convert::Infallible;

use log_core::{
    Bell, Cursor, Lsn, Need, NextSegment, Region, Reservation, Segment, SegmentEnd, Span, Start,
    Tail, Watermark, Word,
};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use loom::thread::{self, JoinHandle};

type PlainTail = Tail<()>;

/// Cells of these models: a header, and nothing or one word of payload.
const EMPTY_BYTES: usize = 16;
const CELL_BYTES: usize = 24;

fn need(records: u32) -> Need {
    Need::new(records, records as usize * CELL_BYTES).unwrap()
}

fn region(cells: usize) -> Region {
    Region::heap(cells * CELL_BYTES).unwrap()
}

fn next(region: Region) -> Result<NextSegment<fn(SegmentEnd)>, Infallible> {
    Ok(NextSegment {
        region,
        first_position: 0,
        open: |_| (),
    })
}

/// Runs `model` with a tail whose first segment has room for `cells` records.
///
/// loom has no scoped threads, so the tail is lent for ever and taken back:
/// `model` joins every thread that it starts.
fn with_tail(cells: usize, model: impl FnOnce(&'static PlainTail)) {
    with_tail_from(Lsn(0), cells, model);
}

fn with_tail_from(base: Lsn, cells: usize, model: impl FnOnce(&'static PlainTail)) {
    let tail = Tail::new(region(cells), Start::fresh(base, 0), ());
    let tail = Box::into_raw(Box::new(tail));
    // SAFETY: just made, and alive until the end of this function.
    model(unsafe { &*tail });
    // SAFETY: made by `into_raw`; every borrower has been joined.
    drop(unsafe { Box::from_raw(tail) });
}

/// Fills a place with records that say their number, and publishes it.
fn fill(mut place: Reservation<'_, ()>) -> Lsn {
    let (base, end) = (place.base(), place.end());
    let words = |lsn: u64| Word::new(8).with_batch(lsn == base.0, lsn + 1 == end.0);
    for (cell, lsn) in place.bytes_mut().chunks_exact_mut(CELL_BYTES).zip(base.0..) {
        cell[..8].copy_from_slice(&words(lsn).to_bits().to_le_bytes());
        cell[8..16].copy_from_slice(&lsn.to_le_bytes());
        cell[16..].copy_from_slice(&(!lsn).to_le_bytes());
    }
    place.publish(words(base.0));
    base
}

fn append(tail: &PlainTail) -> Lsn {
    fill(tail.reserve(need(1)).unwrap())
}

fn append_rolling(tail: &PlainTail, cells: usize) -> Lsn {
    fill(
        tail.reserve_or_roll(need(1), || next(region(cells)))
            .unwrap(),
    )
}

/// The numbers of the records of a span, each of which is checked.
fn numbers(span: &Span<()>) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut rest = span.bytes();
    while !rest.is_empty() {
        let word_at = |from: usize| u64::from_le_bytes(rest[from..from + 8].try_into().unwrap());
        let word = Word::from_bits(word_at(0));
        if word.is_numbered() {
            let lsn = span.base().0 + numbers.len() as u64;
            if word.state() == log_core::CellState::Published {
                assert_eq!((word_at(8), word_at(16)), (lsn, !lsn), "INV-C2: complete");
            }
            numbers.push(lsn);
        }
        rest = &rest[word.cell_bytes()..];
    }
    assert_eq!(span.base().0 + numbers.len() as u64, span.end().0, "INV-C1");
    numbers
}

/// Everything that is visible, from the cursor on.
fn read_on(tail: &PlainTail, cursor: &mut Cursor<()>) -> Vec<u64> {
    let mut read = Vec::new();
    while let Some(span) = tail.next_span(cursor) {
        read.extend(numbers(&span));
    }
    read
}

fn read_all(tail: &PlainTail) -> Vec<u64> {
    read_on(tail, &mut tail.cursor_at(tail.first_lsn()).unwrap())
}

fn joined<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    handles
        .into_iter()
        .map(|handle| handle.join().unwrap())
        .collect()
}

// ---- visibility

/// `INV-C2`
#[test]
fn a_visible_record_is_complete() {
    loom::model(|| {
        with_tail(2, |tail| {
            let writer = thread::spawn(|| append(tail));
            let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
            assert!(matches!(read_on(tail, &mut cursor)[..], [] | [0]));
            writer.join().unwrap();
            assert_eq!(read_all(tail), [0]);
        });
    });
}

/// `INV-C1`, `INV-C7`
#[test]
fn two_writers_get_different_numbers_and_return_when_visible() {
    loom::model(|| {
        with_tail(2, |tail| {
            let write_and_read = || {
                let lsn = append(tail);
                let read = read_all(tail);
                assert!(
                    read.len() as u64 > lsn.0,
                    "INV-C7: returned implies visible"
                );
                lsn.0
            };
            let other = thread::spawn(write_and_read);
            let mut lsns = [write_and_read(), other.join().unwrap()];
            lsns.sort_unstable();
            assert_eq!(lsns, [0, 1], "INV-C1");
        });
    });
}

/// `INV-C1`, `INV-C7`
#[test]
fn three_writers_become_visible_in_order() {
    loom::model(|| {
        with_tail(3, |tail| {
            let write = || {
                let lsn = append(tail);
                assert!(tail.published_end() > lsn, "INV-C7");
                lsn.0
            };
            let others = [thread::spawn(write), thread::spawn(write)];
            let mut lsns = joined(others);
            lsns.push(write());
            lsns.sort_unstable();
            assert_eq!(lsns, [0, 1, 2], "INV-C1");
            assert_eq!(read_all(tail), [0, 1, 2]);
        });
    });
}

/// A search begins at a waypoint, which is left before the record in front of
/// it can be seen, and may be used by who has not seen that yet. `INV-C2`
#[test]
fn a_search_beside_a_writer_finds_whole_records() {
    loom::model(|| {
        with_tail(4, |tail| {
            (0..2).for_each(|_| drop(append(tail)));
            // The third cell reaches into the second stride, of 64 bytes.
            let writer = thread::spawn(|| [append(tail), append(tail)]);
            let search = |lsn| tail.span_of(Lsn(lsn)).map(|span| numbers(&span));
            for lsn in [3, 2] {
                assert!(search(lsn).is_none_or(|found| found == [lsn]));
            }
            let mut cursor = tail.cursor_at(tail.published_end()).unwrap();
            let seen = cursor.next_lsn().0;
            assert_eq!(
                read_on(tail, &mut cursor).first().copied().unwrap_or(seen),
                seen
            );
            writer.join().unwrap();
            assert_eq!((search(2), search(3)), (Some(vec![2]), Some(vec![3])));
        });
    });
}

/// Whoever has the turn publishes for those who finished early; a reader must
/// then see their cells as well. `INV-C2`
#[test]
fn a_record_that_another_thread_made_visible_is_complete() {
    loom::model(|| {
        with_tail(2, |tail| {
            let (first, second) = (tail.reserve(need(1)), tail.reserve(need(1)));
            let second = thread::spawn(|| fill(second.unwrap()));
            let first = thread::spawn(|| fill(first.unwrap()));
            let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
            assert!(matches!(read_on(tail, &mut cursor)[..], [] | [0] | [0, 1]));
            joined([first, second]);
            assert_eq!(read_all(tail), [0, 1]);
        });
    });
}

/// `INV-C2`, `INV-C7`
#[test]
fn a_batch_becomes_visible_all_at_once() {
    loom::model(|| {
        with_tail(3, |tail| {
            let batch = thread::spawn(|| fill(tail.reserve(need(2)).unwrap()));
            let single = thread::spawn(|| append(tail));
            let read = read_all(tail).len();
            let batch_base = batch.join().unwrap().0 as usize;
            assert_ne!(read, batch_base + 1, "half of the batch");
            single.join().unwrap();
            assert_eq!(read_all(tail), [0, 1, 2]);
        });
    });
}

/// A thread that is a whole lap of notes ahead must not write over a note that
/// is still needed.
#[test]
fn a_note_is_kept_until_the_mark_has_passed_it() {
    loom::model(|| {
        with_tail(6, |tail| {
            let first = tail.reserve(need(1)).unwrap();
            let batch = tail.reserve(need(4)).unwrap();
            let a_lap_ahead = tail.reserve(need(1)).unwrap();
            let writers = [
                thread::spawn(|| fill(batch)),
                thread::spawn(|| fill(a_lap_ahead)),
            ];
            fill(first);
            joined(writers);
            assert_eq!(read_all(tail), [0, 1, 2, 3, 4, 5]);
        });
    });
}

#[test]
fn an_abandoned_reservation_holds_nobody_up() {
    loom::model(|| {
        with_tail(3, |tail| {
            let writer = thread::spawn(|| append(tail));
            drop(tail.reserve(need(2)).unwrap());
            writer.join().unwrap();
            assert_eq!(read_all(tail), [0, 1, 2], "INV-C1: its numbers are kept");
        });
    });
}

// ---- rolling

/// `INV-C1`
#[test]
fn one_thread_rolls_and_the_other_finds_the_successor() {
    loom::model(|| {
        with_tail(1, |tail| {
            append(tail);
            let rolls = Arc::new(AtomicUsize::new(0));
            let write = |rolls: Arc<AtomicUsize>| {
                let prepare = || {
                    rolls.fetch_add(1, Ordering::Relaxed);
                    next(region(2))
                };
                fill(tail.reserve_or_roll(need(1), prepare).unwrap()).0
            };
            let of_other = Arc::clone(&rolls);
            let other = thread::spawn(move || write(of_other));
            let mut lsns = [write(Arc::clone(&rolls)), other.join().unwrap()];
            lsns.sort_unstable();
            assert_eq!(lsns, [1, 2], "INV-C1");
            assert_eq!(rolls.load(Ordering::Relaxed), 1);
            assert_eq!(read_all(tail), [0, 1, 2]);
        });
    });
}

/// `INV-C1`
#[test]
fn a_roll_at_rest_waits_for_who_still_fills_and_nobody_appends_meanwhile() {
    loom::model(|| {
        with_tail(2, |tail| {
            let other = thread::spawn(|| append_rolling(tail, 2).0);
            let rolled = tail.roll_at_rest(None, |end| {
                assert_eq!(tail.published_end(), end.lsn);
                next(region(2))
            });
            assert!(matches!(rolled, Ok(None)));
            let mut lsns = [append_rolling(tail, 2).0, other.join().unwrap()];
            lsns.sort_unstable();
            assert_eq!(lsns, [0, 1], "INV-C1");
            assert_eq!(read_all(tail), [0, 1]);
        });
    });
}

/// Three segments in two bays: a thread that reserves late must get a place in
/// the segment that stands there by then, and nobody may take a segment from
/// under a thread that still fills it.
#[test]
fn a_bay_is_used_again_only_when_nobody_uses_its_segment() {
    loom::model(|| {
        with_tail(1, |tail| {
            let other = thread::spawn(|| append_rolling(tail, 1).0);
            let mut lsns = vec![append_rolling(tail, 1).0, append_rolling(tail, 1).0];
            lsns.push(other.join().unwrap());
            lsns.sort_unstable();
            assert_eq!(lsns, [0, 1, 2], "INV-C1");
            assert_eq!(read_all(tail), [0, 1, 2]);
        });
    });
}

/// `INV-C1`, `INV-C2`
#[test]
fn a_cursor_crosses_a_roll_without_a_gap_and_without_running_ahead() {
    loom::model(|| {
        with_tail(1, |tail| {
            let writer = thread::spawn(|| {
                append_rolling(tail, 1);
                append_rolling(tail, 1);
            });
            let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
            let mut read = read_on(tail, &mut cursor);
            assert!([0, 1].starts_with(&read));
            writer.join().unwrap();
            read.extend(read_on(tail, &mut cursor));
            assert_eq!(read, [0, 1]);
        });
    });
}

/// Two segments with the same base: the head of the second says nothing about
/// the first.
#[test]
fn a_segment_sealed_without_a_record_is_not_taken_for_its_successor() {
    loom::model(|| {
        with_tail(1, |tail| {
            let writer = thread::spawn(|| {
                let place = tail.reserve_or_roll(need(2), || next(region(3)));
                fill(place.unwrap());
            });
            let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
            let mut read = read_on(tail, &mut cursor);
            writer.join().unwrap();
            read.extend(read_on(tail, &mut cursor));
            assert_eq!(read, [0, 1]);
        });
    });
}

/// What `reserved_end` counts is never less than what the caller reserved, and
/// never more than what was reserved at all, also while a bay changes hands.
#[test]
fn reserved_end_never_counts_a_record_twice() {
    loom::model(|| {
        with_tail(1, |tail| {
            append(tail);
            append_rolling(tail, 1);
            // The next roll puts a third segment where the first one stood.
            let writer = thread::spawn(|| append_rolling(tail, 1));
            let seen = tail.reserved_end().0;
            assert!((2..=3).contains(&seen), "{seen} of 2 or 3");
            let later = tail.reserved_end().0;
            assert!((seen..=3).contains(&later), "{later} after {seen}");
            writer.join().unwrap();
            assert_eq!(tail.reserved_end(), Lsn(3));
        });
    });
}

/// For a thread that has seen nothing of two rolls but an emptied bay. (The
/// writer publishes last: under loom, ringing is a fence, and would hide what
/// the bays themselves order.)
#[test]
fn reserved_end_never_falls() {
    loom::model(|| {
        with_tail(1, |tail| {
            append(tail);
            let writer = thread::spawn(|| {
                let place = tail.reserve_or_roll(need(1), || next(region(1)));
                tail.roll(|| next(region(1))).unwrap();
                fill(place.unwrap());
            });
            let mut seen = 1;
            for _ in 0..2 {
                let now = tail.reserved_end().0;
                assert!((seen..=2).contains(&now), "{now} after {seen}");
                seen = now;
            }
            writer.join().unwrap();
        });
    });
}

/// Who takes a segment out of its bay has not rung, nor slept, since its last
/// record was published: the look at the mark is all that tells it so.
#[test]
fn a_segment_leaves_its_bay_when_its_last_record_is_published() {
    loom::model(|| {
        with_tail(1, |tail| {
            let writer = thread::spawn(|| append_rolling(tail, 1));
            let place = tail.reserve_or_roll(need(1), || next(region(1))).unwrap();
            if place.base() == Lsn(1) {
                tail.roll(|| next(region(1))).unwrap();
            }
            fill(place);
            writer.join().unwrap();
            assert_eq!(read_all(tail), [0, 1]);
        });
    });
}

#[test]
fn a_thread_finds_its_own_reservation_counted() {
    loom::model(|| {
        with_tail(1, |tail| {
            append(tail);
            let writer = thread::spawn(|| append_rolling(tail, 1));
            let place = tail.reserve_or_roll(need(1), || next(region(1))).unwrap();
            assert!(tail.reserved_end() >= place.end());
            fill(place);
            writer.join().unwrap();
        });
    });
}

// ---- cells without a number

fn mark(tail: &PlainTail) -> Option<SegmentEnd> {
    tail.insert_unnumbered(0, |cell, place| {
        cell[8..16].copy_from_slice(&place.lsn.0.to_le_bytes());
        Word::new(0).with_kind(0x80)
    })
}

#[test]
fn a_mark_and_an_append_never_share_a_place() {
    loom::model(|| {
        with_tail(3, |tail| {
            append(tail);
            let writer = thread::spawn(|| append_rolling(tail, 1));
            let place = mark(tail);
            let lsn = writer.join().unwrap();
            assert_eq!(lsn, Lsn(1), "INV-C1: a mark takes no number");
            assert!(place.is_some_and(|place| place.lsn <= Lsn(2)));
            assert_eq!(read_all(tail), [0, 1]);
        });
    });
}

/// The reader acquires the mark by nothing but the segment's head, or its end.
#[test]
fn a_visible_mark_is_complete() {
    loom::model(|| {
        with_tail(3, |tail| {
            append(tail);
            let writer = thread::spawn(|| {
                mark(tail).unwrap();
                tail.roll(|| next(region(1))).unwrap();
            });
            let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
            let read_bytes = |cursor: &mut Cursor<()>| {
                let mut bytes = 0;
                while let Some(span) = tail.next_span(cursor) {
                    numbers(&span);
                    bytes += span.bytes().len();
                }
                bytes
            };
            let mut bytes = read_bytes(&mut cursor);
            assert!([CELL_BYTES, CELL_BYTES + EMPTY_BYTES].contains(&bytes));
            writer.join().unwrap();
            bytes += read_bytes(&mut cursor);
            assert_eq!(bytes, CELL_BYTES + EMPTY_BYTES);
        });
    });
}

#[test]
fn a_record_behind_a_mark_shows_the_mark_too() {
    loom::model(|| {
        with_tail(3, |tail| {
            let marker = thread::spawn(|| mark(tail).unwrap());
            let writer = thread::spawn(|| append_rolling(tail, 1));
            read_all(tail);
            marker.join().unwrap();
            writer.join().unwrap();
            assert_eq!(read_all(tail), [0]);
        });
    });
}

// ---- recycling

/// `INV-C4`
#[test]
fn a_region_is_never_used_again_under_a_span() {
    loom::model(|| {
        with_tail(1, |tail| {
            append(tail);
            append_rolling(tail, 1);
            append_rolling(tail, 1);
            let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
            let reader = thread::spawn(move || {
                let span = tail.next_span(&mut cursor).unwrap();
                drop(cursor);
                assert_eq!(numbers(&span), [0]);
            });
            for segment in tail.release_before(Lsn(1)) {
                if let Ok(mut region) = Segment::into_region(segment) {
                    region.bytes_mut().fill(0xFF);
                }
            }
            reader.join().unwrap();
        });
    });
}

/// A reader finds the next segment, or learns that it is gone: never another
/// one, never a gap. `INV-C1`
#[test]
fn a_release_never_leads_a_cursor_astray() {
    loom::model(|| {
        with_tail(1, |tail| {
            append(tail);
            append_rolling(tail, 1);
            append_rolling(tail, 1);
            let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
            let other = thread::spawn(|| tail.release_before(Lsn(2)).len());
            let read = read_on(tail, &mut cursor);
            assert!([0, 1, 2].starts_with(&read));
            assert!(read.len() == 3 || cursor.next_lsn() < tail.first_lsn());
            assert_eq!(other.join().unwrap(), 2);
        });
    });
}

// ---- waiting

#[test]
fn no_wake_up_is_lost_by_who_waits_for_a_record() {
    loom::model(|| {
        with_tail(2, |tail| {
            let writer = thread::spawn(|| append(tail));
            assert!(tail.wait_published(Lsn(0), None));
            assert_eq!(read_all(tail), [0]);
            writer.join().unwrap();
        });
    });
}

#[test]
fn no_wake_up_is_lost_at_a_bell() {
    loom::model(|| {
        let room = newsroom();
        let ringer = ringer(&room);
        let ready = || room.1.load(Ordering::Acquire);
        assert!(room.0.wait_until(None, ready));
        ringer.join().unwrap();
    });
}

#[test]
fn all_who_wait_at_a_bell_are_woken() {
    loom::model(|| {
        let bell = Arc::new((Bell::new(), AtomicU64::new(0)));
        let waiters = [1, 1].map(|value| {
            let bell = Arc::clone(&bell);
            thread::spawn(move || {
                let ready = || bell.1.load(Ordering::Acquire) >= value;
                assert!(bell.0.wait_until(None, ready));
            })
        });
        bell.1.store(1, Ordering::Release);
        bell.0.ring();
        joined(waiters);
    });
}

/// Remembers that it was woken. An ordinary atomic: it is only looked at when
/// the ringer is done.
#[derive(Default)]
struct Woken(std::sync::atomic::AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A bell, and whether there is news.
type Newsroom = Arc<(Bell, AtomicBool)>;

fn newsroom() -> Newsroom {
    Arc::new((Bell::new(), AtomicBool::new(false)))
}

/// A thread that makes news.
fn ringer(room: &Newsroom) -> thread::JoinHandle<()> {
    let room = Arc::clone(room);
    thread::spawn(move || {
        room.1.store(true, Ordering::Release);
        room.0.ring();
    })
}

/// Polls once. Returns how to ask, when the ringer is done, whether the task
/// knows of the news.
fn poll_once(room: &Newsroom) -> impl Fn() -> bool + use<> {
    use std::task::{Context, Waker};

    let woken = std::sync::Arc::new(Woken::default());
    let waker = Waker::from(std::sync::Arc::clone(&woken));
    let ready = || room.1.load(Ordering::Acquire);
    let polled = room.0.poll_until(&Context::from_waker(&waker), ready);
    move || polled.is_ready() || woken.0.load(Ordering::SeqCst)
}

/// A task that was told "not yet" is woken, or its next look would say yes.
#[test]
fn no_wake_up_is_lost_by_a_task() {
    loom::model(|| {
        let room = newsroom();
        let ringer = ringer(&room);
        let knows = poll_once(&room);
        ringer.join().unwrap();
        assert!(knows());
    });
}

/// Only the first of those who wait issues a barrier.
#[test]
fn no_wake_up_is_lost_by_the_second_of_two_tasks() {
    loom::model(|| {
        let room = newsroom();
        let ringer = ringer(&room);
        let (first, second) = (poll_once(&room), poll_once(&room));
        ringer.join().unwrap();
        assert!(first() && second());
    });
}

/// Whichever of the two comes first.
#[test]
fn no_wake_up_is_lost_by_a_task_and_a_sleeper() {
    loom::model(|| {
        let room = newsroom();
        let sleeper = {
            let room = Arc::clone(&room);
            thread::spawn(move || {
                let ready = || room.1.load(Ordering::Acquire);
                assert!(room.0.wait_until(None, ready));
            })
        };
        let ringer = ringer(&room);
        let knows = poll_once(&room);
        ringer.join().unwrap();
        assert!(knows());
        sleeper.join().unwrap();
    });
}

/// A task that moved to another thread keeps its one waker.
#[test]
fn a_second_poll_loses_no_wake_up() {
    use std::task::{Context, Poll, Waker};

    loom::model(|| {
        let bell = Arc::new((Bell::new(), AtomicBool::new(false)));
        let poller = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || {
                let context = Context::from_waker(Waker::noop());
                let ready = || bell.1.load(Ordering::Acquire);
                let first = bell.0.poll_until(&context, ready);
                (first, bell.0.poll_until(&context, ready))
            })
        };
        bell.1.store(true, Ordering::Release);
        bell.0.ring();
        let (first, second) = poller.join().unwrap();
        assert!(first == Poll::Pending || second == Poll::Ready(()));
        let context = Context::from_waker(Waker::noop());
        let ready = || bell.1.load(Ordering::Acquire);
        assert_eq!(bell.0.poll_until(&context, ready), Poll::Ready(()));
    });
}

/// The thread that leaves a note may fall asleep at the very moment at which
/// its turn comes.
#[test]
fn no_turn_is_lost_by_who_falls_asleep_behind_another() {
    loom::model(|| {
        with_tail(2, |tail| {
            let (first, second) = (tail.reserve(need(1)), tail.reserve(need(1)));
            let second = thread::spawn(|| fill(second.unwrap()));
            fill(first.unwrap());
            second.join().unwrap();
            assert_eq!(tail.published_end(), Lsn(2));
        });
    });
}

/// Those who finished early return as soon as they are visible, although a
/// later record is not.
#[test]
fn nobody_sleeps_on_behind_a_record_that_is_visible() {
    loom::model(|| {
        with_tail(4, |tail| {
            let (first, second) = (tail.reserve(need(1)), tail.reserve(need(1)));
            let gap = tail.reserve(need(1)).unwrap();
            let second = thread::spawn(|| fill(second.unwrap()));
            let first = thread::spawn(|| fill(first.unwrap()));
            joined([first, second]);
            assert_eq!(tail.published_end(), Lsn(2));
            fill(gap);
        });
    });
}

// ---- marks

#[test]
fn who_sees_a_watermark_sees_what_it_stands_for() {
    loom::model(|| {
        let shared = Arc::new((Watermark::new(Lsn(0)), AtomicU64::new(0)));
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.1.store(7, Ordering::Relaxed);
                shared.0.advance_to(Lsn(1));
            })
        };
        if shared.0.get() == Lsn(1) {
            assert_eq!(shared.1.load(Ordering::Relaxed), 7, "INV-C2");
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_watermark_only_rises() {
    loom::model(|| {
        let mark = Arc::new(Watermark::new(Lsn(0)));
        let raisers = [1, 2].map(|end| {
            let mark = Arc::clone(&mark);
            thread::spawn(move || mark.advance_to(Lsn(end)))
        });
        let first = mark.get();
        assert!(mark.get() >= first);
        joined(raisers);
        assert_eq!(mark.get(), Lsn(2));
    });
}
