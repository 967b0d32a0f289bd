//! The head of an open segment: how much room is left, and how many records
//! it has, in one word.
//!
//! ```text
//!  bit  0                      32                          63
//!       +----------------------+---------------------------+-+
//!       | records              | room left, 8-byte units   |S|
//!       +----------------------+---------------------------+-+
//! ```
//!
//! One compare-exchange on it reserves place and number together. It counts
//! the room that is *left*, not the place that is reached: so the word alone
//! says whether a cell fits, without a look at the segment's capacity, and a
//! thread that slept through a roll cannot be fooled by a word of the same
//! look. `S`, sealed, refuses every reservation.

use crate::word::{CELL_ALIGN_BYTES, CELL_BYTES_MAX, CELL_HEADER_BYTES};

const ROOM_SHIFT: u32 = 32;
const ROOM_UNITS_MAX: u64 = (1 << 31) - 1;
const RECORDS_MASK: u64 = (1 << ROOM_SHIFT) - 1;

/// Refuses every reservation.
pub(super) const SEALED: u64 = 1 << 63;

/// What a reservation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    records: u32,
    bytes: usize,
}

impl Need {
    /// Room for `records` records (at least one) in cells of `bytes` bytes
    /// together: a multiple of 8, at least 16 a record, and no more than cells
    /// can have. `None` if it is not so.
    #[must_use]
    pub const fn new(records: u32, bytes: usize) -> Option<Self> {
        let least = records as usize * CELL_HEADER_BYTES;
        let most = records as usize * CELL_BYTES_MAX;
        if bytes < least || bytes > most || !bytes.is_multiple_of(CELL_ALIGN_BYTES) {
            return None;
        }
        if records == 0 {
            return None;
        }
        Some(Self { records, bytes })
    }

    /// How many numbers it takes.
    #[must_use]
    pub const fn records(self) -> u32 {
        self.records
    }

    /// How many bytes of cells it takes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.bytes
    }
}

/// See the module's drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head(u64);

impl Head {
    /// A head that nothing can be reserved from.
    pub(super) const CLOSED: Head = Head(SEALED);

    /// `room_bytes` is at most the longest region, which fits in 31 bits of
    /// units by its own limit.
    pub(super) const fn open(room_bytes: usize, records: u32) -> Self {
        let units = (room_bytes / CELL_ALIGN_BYTES) as u64;
        debug_assert!(units <= ROOM_UNITS_MAX);
        Self(units << ROOM_SHIFT | records as u64)
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn to_bits(self) -> u64 {
        self.0
    }

    pub(super) const fn is_sealed(self) -> bool {
        self.0 & SEALED != 0
    }

    pub(super) const fn records(self) -> u32 {
        (self.0 & RECORDS_MASK) as u32
    }

    pub(super) const fn room_bytes(self) -> usize {
        (self.0 >> ROOM_SHIFT & ROOM_UNITS_MAX) as usize * CELL_ALIGN_BYTES
    }

    /// The head after a reservation, or `None` if it is sealed or too full.
    ///
    /// The record count cannot overflow: each record takes at least two units
    /// of a room that has fewer than 2^31.
    pub(super) const fn take(self, bytes: usize, records: u32) -> Option<Self> {
        if self.is_sealed() || bytes > self.room_bytes() {
            return None;
        }
        Some(Self::open(
            self.room_bytes() - bytes,
            self.records() + records,
        ))
    }
}

#[cfg(all(test, not(any(log_loom, log_shuttle))))]
mod tests {
    use super::*;
    use crate::region::REGION_BYTES_MAX;

    #[test]
    fn a_reservation_takes_room_and_numbers_together() {
        let head = Head::open(64, 7)
            .take(24, 1)
            .and_then(|head| head.take(40, 2));
        assert_eq!(head, Some(Head::open(0, 10)));
        assert_eq!(
            Head::open(0, 10).take(16, 1),
            None,
            "no room, no reservation"
        );
    }

    #[test]
    fn a_sealed_head_refuses_everything() {
        let sealed = Head::from_bits(Head::open(64, 7).to_bits() | SEALED);
        assert_eq!(sealed.take(16, 1), None);
        assert_eq!(
            (sealed.room_bytes(), sealed.records()),
            (64, 7),
            "and forgets nothing"
        );
    }

    #[test]
    fn the_longest_region_fits() {
        let head = Head::open(REGION_BYTES_MAX, 0);
        assert_eq!(head.room_bytes(), REGION_BYTES_MAX);
        assert!(!head.is_sealed());
    }

    #[test]
    fn a_need_that_cells_cannot_have_is_refused() {
        let too_long = CELL_BYTES_MAX + CELL_ALIGN_BYTES;
        for (records, bytes) in [(0, 0), (0, 16), (1, 8), (2, 24), (1, 20), (1, too_long)] {
            assert_eq!(
                Need::new(records, bytes),
                None,
                "{records} records in {bytes} bytes"
            );
        }
        for (records, bytes) in [(2, 32), (1, CELL_BYTES_MAX), (2, 2 * CELL_BYTES_MAX)] {
            assert!(
                Need::new(records, bytes).is_some(),
                "{records} records in {bytes} bytes"
            );
        }
    }
}
