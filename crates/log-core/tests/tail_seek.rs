//! Finding a record in the middle of a segment.

#![cfg(not(any(log_loom, log_shuttle)))]

mod tail_support;

use log_core::{Lsn, Region, Start, Tail, Word, cell_bytes};
use proptest::prelude::*;
use tail_support::*;

const REGION_BYTES: usize = 256 << 10;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<usize>),
    Abandon(Vec<usize>),
    Mark,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![4 => 0..600_usize, 1 => 0..12_000_usize];
    let lengths = prop::collection::vec(length, 1..8);
    let step = prop_oneof![
        8 => lengths.clone().prop_map(Step::Append),
        1 => lengths.prop_map(Step::Abandon),
        3 => Just(Step::Mark),
    ];
    prop::collection::vec(step, 1..80)
}

/// Takes the steps, as far as there is room.
fn fill_by(tail: &PlainTail, steps: &[Step]) {
    for step in steps {
        let number = tail.reserved_end().0;
        match step {
            Step::Append(lengths) => {
                let payloads: Vec<_> = (number..)
                    .zip(lengths)
                    .map(|(number, length)| payload(number, *length))
                    .collect();
                append_batch(tail, &payloads);
            }
            Step::Abandon(lengths) => drop(tail.reserve(need(lengths))),
            Step::Mark => {
                tail.insert_unnumbered(8, |_, _| Word::new(8).with_kind(0x80));
            }
        }
    }
}

fn every_record_is_found(tail: &PlainTail, expected: &[Found]) {
    let end = tail.published_end();
    for found in expected.iter().rev().step_by(7).chain(expected) {
        let span = tail.span_of(found.lsn).expect("it is published");
        assert_eq!((span.base(), span.end().0), (found.lsn, found.lsn.0 + 1));
        assert_eq!(records(&span), std::slice::from_ref(found));
        let cursor = tail.cursor_at(found.lsn).expect("it is published");
        assert_eq!(cursor.next_lsn(), found.lsn);
    }
    assert!(tail.span_of(end).is_none(), "nothing is there yet");
    assert!(tail.cursor_at(end).is_some(), "something will be");
}

/// The places of the open segment from which a search may begin.
fn waypoints(tail: &PlainTail) -> Vec<(Lsn, usize)> {
    let segment = tail.open_segment();
    segment
        .waypoints()
        .map(|place| (place.lsn, place.position))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever lies in between: long records, batches, void cells, marks.
    #[test]
    fn every_record_is_found_from_where_the_search_begins(steps in steps()) {
        let tail = tail(REGION_BYTES);
        fill_by(&tail, &steps);
        let expected = read_from(&tail, Lsn(0));
        prop_assert_eq!(expected.len() as u64, tail.published_end().0);
        every_record_is_found(&tail, &expected);
    }

    /// Cells that were there before the tail have no waypoints at first.
    #[test]
    fn also_among_cells_that_were_there_before(before in steps(), behind in steps()) {
        let first = tail(REGION_BYTES);
        fill_by(&first, &before);
        let (end, mut cells) = (first.published_end(), vec![0; REGION_BYTES]);
        let mut cursor = first.cursor_at(Lsn(0)).unwrap();
        if let Some(span) = first.next_span(&mut cursor) {
            cells[span.range()].copy_from_slice(span.bytes());
        }

        let mut again = Region::heap(REGION_BYTES).unwrap();
        again.bytes_mut().copy_from_slice(&cells);
        let start = Start {
            base: Lsn(0),
            first_position: 0,
            end,
            end_position: cursor.position(),
        };
        let tail = Tail::new(again, start, ());
        fill_by(&tail, &behind);
        every_record_is_found(&tail, &read_from(&tail, Lsn(0)));
        every_record_is_found(&tail, &read_from(&tail, Lsn(0)));
    }
}

#[test]
fn a_search_may_begin_at_every_page() {
    let tail = tail(REGION_BYTES);
    while append(&tail, &[7; 256]).is_some() {}
    let places = waypoints(&tail);
    assert_eq!(
        places.len(),
        REGION_BYTES / 4096 - 1,
        "one for each, but the first"
    );
    for (page, (lsn, position)) in (1..).zip(places) {
        assert_eq!(position as u64, lsn.0 * cell_bytes(256) as u64);
        assert!((page * 4096..(page + 1) * 4096).contains(&position));
    }
}

#[test]
fn a_walk_leaves_what_the_next_one_can_use() {
    let first = tail(REGION_BYTES);
    while append(&first, &[7; 256]).is_some() {}
    let mut cursor = first.cursor_at(Lsn(0)).unwrap();
    let span = first.next_span(&mut cursor).unwrap();
    let mut again = Region::heap(REGION_BYTES).unwrap();
    again.bytes_mut()[span.range()].copy_from_slice(span.bytes());
    let start = Start {
        base: Lsn(0),
        first_position: 0,
        end: span.end(),
        end_position: cursor.position(),
    };
    let tail: PlainTail = Tail::new(again, start, ());
    assert_eq!(waypoints(&tail), []);
    tail.cursor_at(Lsn(500)).unwrap();
    assert_eq!(waypoints(&tail).len(), 500 * cell_bytes(256) / 4096);
    tail.cursor_at(tail.published_end()).unwrap();
    assert_eq!(waypoints(&tail), waypoints(&first));
}
