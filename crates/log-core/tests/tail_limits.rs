//! Rules of the last numbers and the last bytes: an error, never a wrap.

#![cfg(not(any(log_loom, log_shuttle)))]

mod tail_support;

use std::panic::catch_unwind;

use log_core::{Lsn, Need, PAYLOAD_BYTES_MAX, RollError, Start, Tail, cell_bytes};
use tail_support::*;

fn start(base: u64, first_position: usize, end: u64, end_position: usize) -> Start {
    Start {
        base: Lsn(base),
        first_position,
        end: Lsn(end),
        end_position,
    }
}

#[test]
fn a_need_is_made_of_whole_cells() {
    for (records, bytes) in [(0, 0), (0, 16), (1, 0), (1, 8), (1, 20), (3, 40)] {
        assert_eq!(
            Need::new(records, bytes),
            None,
            "{records} in {bytes} bytes"
        );
    }
    let longest = cell_bytes(PAYLOAD_BYTES_MAX);
    assert!(Need::new(1, longest).is_some());
    assert_eq!(Need::new(1, longest + 8), None, "no cell is that long");
    let need = Need::new(2, 48).unwrap();
    assert_eq!((need.records(), need.bytes()), (2, 48));
}

#[test]
fn a_start_that_contradicts_itself_is_refused() {
    let wrong = [
        (start(0, 4, 0, 4), "positions between two units"),
        (start(0, 64, 0, 32), "an end before the front"),
        (start(0, 0, 0, 512), "an end behind the region"),
        (start(5, 0, 4, 16), "numbers that fall"),
        (start(0, 0, 2, 16), "more records than cells"),
        (start(u64::MAX - 3, 0, u64::MAX - 3, 0), "numbers run out"),
    ];
    for (start, why) in wrong {
        let made = catch_unwind(|| Tail::new(region(256), start, ()));
        assert!(made.is_err(), "{why}");
    }
}

#[test]
fn the_last_numbers_are_given_and_then_no_successor() {
    let region_bytes = 64;
    let cells = (region_bytes / 16) as u64;
    let base = u64::MAX - 2 * cells;
    let tail = Tail::new(region(region_bytes), Start::fresh(Lsn(base), 0), ());
    for number in 0..cells {
        assert_eq!(append(&tail, b""), Some(Lsn(base + number)));
    }
    assert_eq!(
        append_rolling(&tail, b"", region_bytes),
        Lsn(base + cells),
        "all of a successor's numbers exist"
    );
    for _ in 1..cells {
        append(&tail, b"").unwrap();
    }
    assert_eq!(tail.published_end(), Lsn(u64::MAX));
    let refused = append_into(&tail, b"", || fresh(region_bytes));
    assert_eq!(refused.err(), Some(RollError::NumbersExhausted));
    assert_eq!(tail.reserved_end(), Lsn(u64::MAX), "and nothing wrapped");
    assert_eq!(read_from(&tail, Lsn(u64::MAX - 1)).len(), 1);
}

#[test]
fn the_last_unit_of_a_region_is_used_and_none_behind_it() {
    for region_bytes in [16, 24, 32] {
        let tail = tail(region_bytes);
        assert_eq!(append(&tail, &vec![7; region_bytes - 16]), Some(Lsn(0)));
        assert!(append(&tail, b"").is_none());
    }
    let none = tail(0);
    assert!(append(&none, b"").is_none());
    let enormous = Need::new(u32::MAX, u32::MAX as usize * 16).unwrap();
    assert!(tail(4096).reserve(enormous).is_none());
}

/// Positions need 31 bits of units; this region needs 30 of them. Its pages are
/// not touched but for the first and the last.
#[test]
#[cfg(target_pointer_width = "64")]
#[cfg_attr(miri, ignore = "an interpreter has no untouched pages")]
fn positions_beyond_four_gigabytes_are_kept_whole() {
    let region_bytes = (1 << 32) + 64;
    let end_position = 1 << 32;
    let there = start(0, 0, 1, end_position);
    let Some(memory) = log_core::Region::heap(region_bytes) else {
        return; // a machine that does not promise memory it may not have
    };
    let tail = Tail::new(memory, there, ());
    let place = tail.reserve(need(&[8])).unwrap();
    assert_eq!((place.base(), place.position()), (Lsn(1), end_position));
    fill(place, &[b"far away".to_vec()]);
    assert!(tail.reserve(need(&[32])).is_none());
    append(&tail, &[0; 24]).unwrap();
    assert!(append(&tail, b"").is_none(), "full to the last byte");
}
