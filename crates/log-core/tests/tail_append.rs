//! Rules of appending into one segment, and of reading it.

#![cfg(not(any(log_loom, log_shuttle)))]

mod tail_support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use log_core::{CellState, Lsn, Need, Region, Start, Tail, Word, cell_bytes};
use tail_support::*;

#[test]
fn what_was_published_is_read_back() {
    let tail = tail(4096);
    let lengths = [0, 1, 7, 8, 9, 100];
    for (number, length) in lengths.into_iter().enumerate() {
        let lsn = append(&tail, &payload(number as u64, length));
        assert_eq!(
            lsn,
            Some(Lsn(number as u64)),
            "INV-C1: dense, and from zero"
        );
    }
    let found = read_from(&tail, Lsn(0));
    assert_eq!(found.len(), lengths.len());
    for (number, (found, length)) in found.iter().zip(lengths).enumerate() {
        assert_eq!(found.payload, payload(number as u64, length), "INV-C2");
        assert_eq!(found.state, CellState::Published);
    }
}

#[test]
fn nothing_is_visible_before_it_is_published() {
    let tail = tail(4096);
    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    let place = tail.reserve(need(&[5])).unwrap();
    assert_eq!(
        (tail.published_end(), tail.reserved_end()),
        (Lsn(0), Lsn(1)),
        "it has a number, and nothing else"
    );
    assert!(tail.next_span(&mut cursor).is_none());
    assert!(
        tail.cursor_at(Lsn(1)).is_none(),
        "beyond what is published there is no place to stand"
    );

    fill(place, &[b"there".to_vec()]);
    assert_eq!(tail.published_end(), Lsn(1));
    assert_eq!(payloads(&read_on(&tail, &mut cursor)), [b"there"]);
}

#[test]
fn a_batch_becomes_visible_all_at_once_and_marked_at_both_ends() {
    let tail = tail(4096);
    append(&tail, b"before").unwrap();
    let batch = [b"one".to_vec(), Vec::new(), b"three".to_vec()];
    assert_eq!(append_batch(&tail, &batch), Some(Lsn(1)));
    assert_eq!(tail.published_end(), Lsn(4));

    let found = read_from(&tail, Lsn(1));
    assert_eq!(payloads(&found), batch);
    let marks: Vec<_> = found
        .iter()
        .map(|found| (found.begins_batch, found.ends_batch))
        .collect();
    assert_eq!(marks, [(true, false), (false, false), (false, true)]);
}

#[test]
fn a_cursor_yields_each_record_once_and_spans_go_on_where_the_last_one_ended() {
    let tail = tail(4096);
    let mut cursor = tail.cursor_at(Lsn(0)).unwrap();
    for number in 0..20 {
        append(&tail, &payload(number, 3)).unwrap();
        append(&tail, &payload(number, 30)).unwrap();
        let from = cursor.position();
        let span = tail.next_span(&mut cursor).unwrap();
        assert_eq!(
            (span.base(), span.end()),
            (Lsn(2 * number), Lsn(2 * number + 2))
        );
        assert_eq!(span.range(), from..cursor.position());
        assert!(tail.next_span(&mut cursor).is_none(), "nothing twice");
    }
}

#[test]
fn a_cursor_starts_at_any_visible_record() {
    let tail = tail(4096);
    for number in 0..10 {
        append(&tail, &payload(number, number as usize * 5)).unwrap();
    }
    for from in 0..=10 {
        let found = read_from(&tail, Lsn(from));
        let lsns: Vec<_> = found.iter().map(|found| found.lsn.0).collect();
        assert_eq!(lsns, (from..10).collect::<Vec<_>>());
    }
    assert!(tail.cursor_at(Lsn(11)).is_none());
}

#[test]
fn a_dropped_reservation_keeps_its_numbers_as_void_cells() {
    let tail = tail(4096);
    append(&tail, b"before").unwrap();
    drop(tail.reserve(need(&[10, 0, 100])).unwrap());
    append(&tail, b"after").unwrap();

    let found = read_from(&tail, Lsn(0));
    let states: Vec<_> = found.iter().map(|found| found.state).collect();
    use CellState::{Published, Void};
    assert_eq!(states, [Published, Void, Void, Void, Published]);
    assert_eq!(
        found[4].payload, b"after",
        "later records are where they were"
    );
    let bytes: Vec<_> = found[1..4]
        .iter()
        .flat_map(|found| &found.payload)
        .collect();
    assert!(
        bytes.iter().all(|byte| **byte == 0),
        "and nothing of it is left behind"
    );
    assert!(found[1].begins_batch && found[3].ends_batch);
}

#[test]
fn a_panic_while_filling_leaves_void_cells() {
    let tail = tail(4096);
    let mut place = tail.reserve(need(&[64])).unwrap();
    let filling = catch_unwind(AssertUnwindSafe(move || {
        place.bytes_mut().fill(0xAB);
        panic!("half way");
    }));
    assert!(filling.is_err());
    assert_eq!(append(&tail, b"after"), Some(Lsn(1)));
    let found = read_from(&tail, Lsn(0));
    assert_eq!(found[0].state, CellState::Void);
    assert_eq!(found[0].payload, vec![0; 64]);
    assert_eq!(found[1].payload, b"after");
}

#[test]
fn cells_that_do_not_fill_their_place_are_refused_and_become_void() {
    let tail = tail(4096);
    let right = Word::new(40);
    let wrong = [
        Word::new(16),
        Word::new(48),
        Word::new(1 << 27),
        right.with_kind(0x80),
        right.with_state(CellState::Empty),
        right.with_state(CellState::Reserved),
    ];
    for word in wrong {
        let mut place = tail.reserve(need(&[40])).unwrap();
        place.bytes_mut().fill(0);
        let published = catch_unwind(AssertUnwindSafe(|| place.publish(word)));
        assert!(published.is_err(), "{word:?} does not fill 40 bytes");
    }
    // Two records of which the second leads astray, or is missing.
    for second in [Word::new(1000), Word::from_bits(0), Word::new(8)] {
        let mut place = tail.reserve(need(&[0, 24])).unwrap();
        place.bytes_mut().fill(0);
        place.bytes_mut()[16..24].copy_from_slice(&second.to_bits().to_le_bytes());
        let first = Word::new(0).with_batch(true, false);
        let published = catch_unwind(AssertUnwindSafe(|| place.publish(first)));
        assert!(published.is_err(), "{second:?} does not end the batch");
    }
    append(&tail, b"after").unwrap();
    let found = read_from(&tail, Lsn(0));
    assert_eq!(found.len(), 6 + 3 * 2 + 1);
    let (after, before) = found.split_last().unwrap();
    assert!(before.iter().all(|found| found.state == CellState::Void));
    assert_eq!(after.payload, b"after");
}

#[test]
fn a_full_segment_refuses_and_smaller_records_still_fit() {
    let tail = tail(64);
    assert!(
        tail.reserve(need(&[56])).is_none(),
        "72 bytes of cell in 64"
    );
    append(&tail, &[1; 16]).unwrap();
    assert!(tail.reserve(need(&[24])).is_none());
    append(&tail, &[2; 16]).unwrap();
    assert!(tail.reserve(need(&[0])).is_none(), "full to the last byte");
    assert_eq!(
        tail.reserved_end(),
        Lsn(2),
        "what was refused has no number"
    );
    assert_eq!(read_from(&tail, Lsn(0)).len(), 2);
}

#[test]
fn a_recycled_region_never_shows_its_old_cells() {
    let mut memory = region(4096);
    let old = Word::new(8).to_bits().to_le_bytes();
    for word in memory.bytes_mut().chunks_exact_mut(8) {
        word.copy_from_slice(&old);
    }
    let tail = Tail::new(memory, Start::fresh(Lsn(7), 64), ());
    let mut cursor = tail.cursor_at(Lsn(7)).unwrap();
    assert!(tail.next_span(&mut cursor).is_none());
    append(&tail, b"new").unwrap();
    let place = tail.reserve(need(&[8])).unwrap();
    assert_eq!(payloads(&read_on(&tail, &mut cursor)), [b"new"]);
    assert!(tail.next_span(&mut cursor).is_none());
    drop(place);
}

#[test]
fn an_unnumbered_cell_takes_room_and_no_number() {
    let tail = tail(256);
    append(&tail, b"before").unwrap();
    let place = tail.insert_unnumbered(8, |cell, place| {
        assert_eq!((cell.len(), place.lsn), (24, Lsn(1)));
        cell.fill(0xEE);
        Word::new(8).with_kind(0x80)
    });
    let place = place.unwrap();
    assert_eq!((place.lsn, place.position), (Lsn(1), 24));
    assert_eq!(append(&tail, b"after"), Some(Lsn(1)));

    let found = read_from(&tail, Lsn(0));
    assert_eq!(payloads(&found), [&b"before"[..], b"after"]);
    let from_behind = tail.cursor_at(Lsn(1)).unwrap();
    assert_eq!(
        from_behind.position(),
        24,
        "a cursor stands in front of the cells that its record follows"
    );
}

#[test]
fn an_unnumbered_cell_at_the_end_is_yielded_too() {
    let tail = tail(256);
    append(&tail, b"before").unwrap();
    let mut cursor = tail.cursor_at(Lsn(1)).unwrap();
    tail.insert_unnumbered(0, |_, _| Word::new(0).with_kind(0xFF))
        .unwrap();
    let span = tail.next_span(&mut cursor).unwrap();
    assert_eq!((span.base(), span.end()), (Lsn(1), Lsn(1)));
    assert_eq!(span.bytes().len(), 16);
}

#[test]
fn an_unnumbered_cell_that_does_not_fit_changes_nothing() {
    let tail = tail(64);
    append(&tail, b"before").unwrap();
    for payload_bytes in [32, 1 << 28, usize::MAX] {
        let place = tail.insert_unnumbered(payload_bytes, |_, _| unreachable!("no room"));
        assert_eq!(place, None, "{payload_bytes} bytes");
    }
    assert_eq!(append(&tail, b"after"), Some(Lsn(1)));
    assert_eq!(
        payloads(&read_from(&tail, Lsn(0))),
        [&b"before"[..], b"after"]
    );
}

#[test]
fn a_failed_insertion_of_an_unnumbered_cell_leaves_the_segment_open() {
    let tail = tail(256);
    append(&tail, b"before").unwrap();
    let words = [
        None,
        Some(Word::new(8)),
        Some(Word::new(16).with_kind(0x80)),
        Some(Word::from_bits(0).with_kind(0x80)),
    ];
    for word in words {
        let inserted = catch_unwind(AssertUnwindSafe(|| {
            tail.insert_unnumbered(8, |cell, _| {
                cell.fill(0xEE);
                word.expect("a panic while filling")
            })
        }));
        assert!(inserted.is_err(), "{word:?}");
    }
    assert_eq!(append(&tail, b"after"), Some(Lsn(1)));
    assert_eq!(
        payloads(&read_from(&tail, Lsn(0))),
        [&b"before"[..], b"after"]
    );
}

#[test]
fn a_tail_goes_on_behind_the_cells_that_are_there() {
    let mut memory = region(512);
    let word = Word::new(8).to_bits().to_le_bytes();
    for record in 0..2_u64 {
        let cell = &mut memory.bytes_mut()[64 + 24 * record as usize..][..24];
        cell[..8].copy_from_slice(&word);
        cell[8..16].copy_from_slice(&(100 + record).to_le_bytes());
    }
    let start = Start {
        base: Lsn(100),
        first_position: 64,
        end: Lsn(102),
        end_position: 112,
    };
    let tail = Tail::new(memory, start, ());
    assert_eq!(
        (tail.first_lsn(), tail.published_end(), tail.reserved_end()),
        (Lsn(100), Lsn(102), Lsn(102))
    );
    assert_eq!(append(&tail, b"new"), Some(Lsn(102)));
    let lsns: Vec<_> = read_from(&tail, Lsn(100))
        .iter()
        .map(|found| found.lsn.0)
        .collect();
    assert_eq!(lsns, [100, 101, 102]);
}

#[test]
#[should_panic(expected = "the cursor is another tail's")]
fn a_cursor_of_another_tail_is_refused() {
    let (ahead, behind) = (tail(4096), tail(4096));
    append(&ahead, b"published here only").unwrap();
    let mut cursor = behind.cursor_at(Lsn(0)).unwrap();
    let _ = ahead.next_span(&mut cursor);
}

#[test]
fn a_region_is_a_whole_number_of_units() {
    for len_bytes in [1, 7, 12] {
        assert!(Region::heap(len_bytes).is_none(), "{len_bytes} bytes");
    }
    assert!(Region::heap(log_core::REGION_BYTES_MAX + 8).is_none());
    let mut region = region(64);
    region.shorten(100);
    assert_eq!(region.len_bytes(), 64, "longer than it is: no change");
    region.shorten(45);
    assert_eq!(region.len_bytes(), 40);
    assert_eq!(region.bytes_mut().len(), 40);
}

#[test]
fn a_reservation_tells_where_it_is() {
    let tail = Tail::new(region(512), Start::fresh(Lsn(9), 128), "meta");
    let first = tail.reserve(need(&[8])).unwrap();
    let batch = tail.reserve(need(&[8, 8])).unwrap();
    assert_eq!((first.base(), first.end()), (Lsn(9), Lsn(10)));
    assert_eq!((batch.base(), batch.end()), (Lsn(10), Lsn(12)));
    assert_eq!((first.position(), batch.position()), (128, 152));
    assert_eq!(*batch.segment().meta(), "meta");
    assert_eq!(
        Need::new(2, 2 * cell_bytes(8)).unwrap(),
        need(&[8, 8]),
        "a need is records and bytes"
    );
    drop(first);
    drop(batch);
}
