//! Rules of going from segment to segment, and of using regions again.

#![cfg(not(any(log_loom, log_shuttle)))]

mod tail_support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use log_core::{Lsn, NextSegment, Region, RollError, Segment, SegmentEnd, Start, Tail, Word};
use tail_support::*;

#[test]
fn a_full_segment_is_followed_by_another_and_numbers_go_on() {
    let tail = tail(128);
    for number in 0..50 {
        let lsn = append_rolling(&tail, &payload(number, 20), 128);
        assert_eq!(lsn, Lsn(number), "INV-C1");
    }
    let found = read_from(&tail, Lsn(0));
    assert_eq!(found.len(), 50);
    for (number, found) in found.iter().enumerate() {
        assert_eq!(found.lsn, Lsn(number as u64));
        assert_eq!(found.payload, payload(number as u64, 20));
    }
}

#[test]
fn a_segment_knows_its_end_once_it_is_sealed() {
    let tail = tail(128);
    append(&tail, &[1; 20]).unwrap();
    let first = tail.open_segment();
    assert_eq!(first.end(), None);
    assert_eq!(tail.roll(|| fresh(128)), Ok(true));
    let end = SegmentEnd {
        lsn: Lsn(1),
        position: 40,
    };
    assert_eq!(first.end(), Some(end));
    assert_eq!(tail.open_segment().base(), Lsn(1));
}

#[test]
fn rolling_a_segment_without_records_does_nothing() {
    let tail = tail(128);
    let unused = || -> Prepared { unreachable!("nothing to make room for") };
    assert_eq!(tail.roll(unused), Ok(false));
    append(&tail, b"one").unwrap();
    assert_eq!(tail.roll(|| fresh(128)), Ok(true));
    assert_eq!(tail.roll(unused), Ok(false));
    assert_eq!(tail.open_segment().base(), Lsn(1));
}

#[test]
fn the_successor_is_told_where_its_predecessor_ended() {
    let tail = Tail::new(region(128), Start::fresh(Lsn(5), 16), None);
    drop(tail.reserve(need(&[8])).unwrap());
    let prepared = tail.reserve_or_roll(need(&[100]), || {
        Ok::<_, ()>(NextSegment {
            region: region(256),
            first_position: 32,
            open: Some,
        })
    });
    let place = prepared.unwrap();
    let told = place.segment().meta().unwrap();
    assert_eq!((told.lsn, told.position), (Lsn(6), 40));
    assert_eq!((place.base(), place.position()), (Lsn(6), 32));
}

#[test]
fn a_successor_that_cannot_be_prepared_leaves_the_tail_as_it_was() {
    let tail = tail(128);
    append(&tail, &[1; 60]).unwrap();
    let refused = tail.reserve_or_roll(
        need(&[60]),
        || -> Result<NextSegment<fn(SegmentEnd)>, &str> { Err("disk full") },
    );
    assert_eq!(refused.err(), Some(RollError::Prepare("disk full")));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = tail.reserve_or_roll(need(&[60]), || -> Prepared { panic!("no disk") });
    }));
    assert!(panicked.is_err());

    assert_eq!(tail.reserved_end(), Lsn(1), "no number was lost");
    assert_eq!(
        append(&tail, &[2; 16]),
        Some(Lsn(1)),
        "smaller records still fit"
    );
    assert_eq!(append_rolling(&tail, &[3; 60], 128), Lsn(2));
    assert_eq!(read_from(&tail, Lsn(0)).len(), 3);
}

#[test]
fn a_region_too_small_for_what_is_asked_for_is_refused() {
    let tail = tail(64);
    append(&tail, &[1; 40]).unwrap();
    let refused = append_into(&tail, &[2; 60], || fresh(64));
    assert_eq!(refused.err(), Some(RollError::RegionTooSmall));

    let too_far_in = || {
        Ok::<_, ()>(NextSegment {
            region: region(64),
            first_position: 72,
            open: |_| (),
        })
    };
    assert_eq!(tail.roll(too_far_in), Err(RollError::RegionTooSmall));
    assert_eq!(append_rolling(&tail, &[2; 40], 64), Lsn(1), "still usable");
}

#[test]
fn a_first_position_between_two_units_is_refused_before_anything_is_sealed() {
    let tail = tail(64);
    append(&tail, &[1; 40]).unwrap();
    let crooked = || {
        Ok::<_, ()>(NextSegment {
            region: region(64),
            first_position: 12,
            open: |_| (),
        })
    };
    let rolled = catch_unwind(AssertUnwindSafe(|| tail.roll(crooked)));
    assert!(rolled.is_err());
    assert_eq!(tail.open_segment().end(), None);
}

#[test]
fn a_tail_outlives_a_panic_of_who_opens_a_successor() {
    let tail = tail(64);
    append(&tail, &[1; 16]).unwrap();
    let panics = || {
        Ok::<_, ()>(NextSegment {
            region: region(64),
            first_position: 0,
            open: |_| panic!("no meta"),
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(|| tail.roll(panics))).is_err());

    let unused = |_: &mut [u8], _| unreachable!("the segment is sealed already");
    assert_eq!(tail.insert_unnumbered(0, unused), None);
    assert_eq!(append(&tail, b"x"), None, "sealed stays sealed");
    assert_eq!(append_rolling(&tail, &[2; 16], 64), Lsn(1));
    assert_eq!(read_from(&tail, Lsn(0)).len(), 2);
}

#[test]
fn a_segment_that_was_sealed_without_a_record_is_passed_through() {
    let tail = tail(64);
    append(&tail, &[0; 40]).unwrap();
    assert_eq!(tail.roll(|| fresh(32)), Ok(true));
    // Nothing in it yet but a mark, and too small for what comes.
    let mark = Word::new(0).with_kind(0x80);
    tail.insert_unnumbered(0, |_, _| mark).unwrap();
    assert_eq!(append_rolling(&tail, &[1; 60], 128), Lsn(1));
    assert_eq!(append(&tail, &[2; 8]), Some(Lsn(2)));

    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    let mut seen = Vec::new();
    while let Some(span) = tail.next_span(&mut cursor) {
        seen.push((span.base().0, span.end().0, span.bytes().len()));
    }
    let expected = [(0, 1, 56), (1, 1, 16), (1, 3, 80 + 24)];
    assert_eq!(seen, expected, "no segment is left out");
    assert_eq!(read_from(&tail, Lsn(1)).len(), 2);
}

#[test]
fn a_cursor_goes_on_when_a_segment_without_a_record_was_released_before_it() {
    let tail = tail(64);
    append(&tail, &[0; 40]).unwrap();
    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    assert_eq!(read_on(&tail, &mut cursor).len(), 1);
    assert_eq!(tail.roll(|| fresh(32)), Ok(true));
    append_rolling(&tail, &[1; 60], 128);
    assert_eq!(tail.release_before(Lsn(1)).len(), 2);
    assert_eq!(read_on(&tail, &mut cursor).len(), 1, "nothing was missed");
}

#[test]
fn a_cursor_that_stays_in_its_segment_is_led_to_the_next_one_only_when_told() {
    let tail = tail(64);
    append(&tail, &[1; 40]).unwrap();
    append_rolling(&tail, &[2; 40], 64);
    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    assert!(!tail.enter_next_segment(&mut cursor), "not at the end yet");
    assert_eq!(tail.next_span_here(&mut cursor).unwrap().end(), Lsn(1));
    assert!(tail.next_span_here(&mut cursor).is_none());
    assert!(tail.enter_next_segment(&mut cursor));
    assert_eq!((cursor.next_lsn(), cursor.position()), (Lsn(1), 0));
    assert_eq!(tail.next_span_here(&mut cursor).unwrap().end(), Lsn(2));
    assert!(
        !tail.enter_next_segment(&mut cursor),
        "there is no next one"
    );
}

#[test]
fn a_span_that_was_peeked_at_comes_again_until_it_is_passed() {
    let tail = tail(64);
    append(&tail, &[1; 20]).unwrap();
    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    let first = tail.peek_span_here(&cursor).unwrap();
    let again = tail.peek_span_here(&cursor).unwrap();
    assert_eq!((first.range(), first.end()), (again.range(), Lsn(1)));
    cursor.pass(&again);
    assert_eq!((cursor.next_lsn(), cursor.position()), (Lsn(1), 40));
    assert!(tail.peek_span_here(&cursor).is_none());
}

#[test]
#[should_panic(expected = "the span does not begin at the cursor")]
fn a_span_that_begins_elsewhere_is_not_passed() {
    let tail = tail(64);
    append(&tail, &[1; 20]).unwrap();
    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    let span = tail.next_span_here(&mut cursor).unwrap();
    cursor.pass(&span);
}

#[test]
fn only_whole_sealed_segments_are_released_oldest_first() {
    let tail = tail(64);
    for number in 0..4 {
        append_rolling(&tail, &payload(number, 40), 64);
    }
    let bases = |released: Vec<std::sync::Arc<Segment<()>>>| -> Vec<u64> {
        released.iter().map(|segment| segment.base().0).collect()
    };
    assert_eq!(bases(tail.release_before(Lsn(0))), []);
    assert_eq!(bases(tail.release_before(Lsn(2))), [0, 1]);
    assert_eq!(tail.first_lsn(), Lsn(2));
    assert_eq!(
        bases(tail.release_before(Lsn(u64::MAX))),
        [2],
        "never the open one"
    );
    assert_eq!(tail.first_lsn(), Lsn(3));
    assert!(tail.cursor_at(Lsn(2)).is_none());
    assert_eq!(read_from(&tail, Lsn(3)).len(), 1);
}

#[test]
fn a_cursor_overtaken_by_a_release_can_tell() {
    let tail = tail(64);
    append(&tail, &[1; 40]).unwrap();
    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    for number in 1..4 {
        append_rolling(&tail, &payload(number, 40), 64);
    }
    tail.release_before(Lsn(3));
    let held = tail.next_span(&mut cursor).unwrap();
    assert_eq!(payloads(&records(&held)), [[1; 40]], "INV-C4");
    assert!(tail.next_span(&mut cursor).is_none());
    assert!(cursor.next_lsn() < tail.first_lsn());
}

#[test]
fn a_region_is_taken_back_when_nobody_holds_it() {
    let tail = tail(64);
    append(&tail, &[1; 40]).unwrap();
    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    let span = tail.next_span(&mut cursor).unwrap();
    append_rolling(&tail, &[2; 40], 64);
    append_rolling(&tail, &[3; 40], 64);
    drop(cursor);
    let released = tail.release_before(Lsn(1)).pop().unwrap();
    let released = Segment::into_region(released).expect_err("a span holds it");
    drop(span);
    assert_eq!(Segment::into_region(released).unwrap().len_bytes(), 64);
}

/// `INV-C4`: what is held stays, and stays as it was, however many regions are
/// used again around it.
#[test]
fn held_spans_keep_their_bytes_through_a_thousand_recycled_rolls() {
    let region_bytes = 256;
    let tail = tail(region_bytes);
    let mut free: Vec<Region> = Vec::new();
    let mut allocated = 1;
    let mut held = Vec::new();
    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    let mut released = Vec::new();
    let mut rolls = 0;
    while rolls < if cfg!(miri) { 30 } else { 1_000 } {
        let number = tail.reserved_end().0;
        let prepare = || {
            rolls += 1;
            let recycled = free.pop();
            allocated += usize::from(recycled.is_none());
            next(recycled.unwrap_or_else(|| region(region_bytes)))
        };
        let bytes = payload(number, number as usize % 60);
        append_into(&tail, &bytes, prepare).unwrap();

        let span = tail.next_span(&mut cursor).unwrap();
        for found in records(&span) {
            let expected = payload(found.lsn.0, found.lsn.0 as usize % 60);
            assert_eq!(found.payload, expected, "a stale cell was taken for news");
        }
        if number.is_multiple_of(400) {
            held.push((span.bytes().to_vec(), span));
        }
        released.extend(tail.release_before(tail.published_end()));
        for segment in std::mem::take(&mut released) {
            match Segment::into_region(segment) {
                Ok(region) => free.push(region),
                Err(segment) => released.push(segment),
            }
        }
    }
    let least = if cfg!(miri) { 1 } else { 6 };
    assert!(held.len() >= least, "{} held", held.len());
    for (bytes, span) in &held {
        assert_eq!(span.bytes(), bytes);
    }
    assert!(
        allocated <= held.len() + 4,
        "{allocated} regions: recycled ones are used"
    );
}

#[test]
fn a_roll_at_rest_is_told_the_end_while_nobody_can_append() {
    let tail = tail(128);
    append(&tail, &[1; 20]).unwrap();
    let place = tail.roll_at_rest(Some(need(&[90])), |end| {
        assert_eq!((end.lsn, end.position), (Lsn(1), 40));
        assert_eq!(tail.published_end(), Lsn(1));
        assert_eq!(append(&tail, &[2; 1]), None, "though it would fit");
        fresh(128)
    });
    let place = place.unwrap().expect("a place in the successor");
    assert_eq!((place.base(), place.position()), (Lsn(1), 0));
    drop(place);

    let fits = tail.roll_at_rest(Some(need(&[0])), |_| -> Prepared {
        unreachable!("there is room")
    });
    drop(fits.unwrap().expect("a place in the open segment"));
    assert!(matches!(tail.roll_at_rest(None, |_| fresh(128)), Ok(None)));
    assert_eq!(tail.open_segment().base(), Lsn(3));
}

#[test]
fn a_roll_at_rest_that_fails_leaves_the_tail_as_it_was() {
    let tail = tail(128);
    append(&tail, &[1; 60]).unwrap();
    let refused = tail.roll_at_rest(
        Some(need(&[60])),
        |_| -> Result<NextSegment<fn(SegmentEnd)>, &str> { Err("disk full") },
    );
    assert_eq!(refused.err(), Some(RollError::Prepare("disk full")));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = tail.roll_at_rest(None, |_| -> Prepared { panic!("no disk") });
    }));
    assert!(panicked.is_err());
    assert_eq!(
        append(&tail, &[2; 16]),
        Some(Lsn(1)),
        "smaller ones still fit"
    );
    assert_eq!(append_rolling(&tail, &[3; 60], 128), Lsn(2));
    assert_eq!(read_from(&tail, Lsn(0)).len(), 3);
}
