//! A place in the log that one thread owns until it publishes it.

use std::fmt;

use super::head::Need;
use super::order::Order;
use super::segment::Segment;
use crate::word::{CELL_ALIGN_BYTES, CELL_HEADER_BYTES};
use crate::{CellState, Lsn, Word};

/// Reserved room for one or more cells, and the numbers of their records.
///
/// Fill [`bytes_mut`](Self::bytes_mut), then [`publish`](Self::publish). Until
/// then no later record of any thread becomes visible, so fill at once.
///
/// Dropped without being published (a panic while filling), it leaves void
/// cells: its numbers stay taken, have no record, and hold nobody up.
#[must_use = "later records stay invisible until this one is published or dropped"]
pub struct Reservation<'a, M> {
    segment: &'a Segment<M>,
    order: &'a Order,
    base: Lsn,
    need: Need,
    position: usize,
}

impl<'a, M> Reservation<'a, M> {
    pub(super) fn new(
        segment: &'a Segment<M>,
        order: &'a Order,
        base: Lsn,
        need: Need,
        position: usize,
    ) -> Self {
        Self {
            segment,
            order,
            base,
            need,
            position,
        }
    }

    /// The segment that the place is in.
    #[must_use]
    pub fn segment(&self) -> &'a Segment<M> {
        self.segment
    }

    /// The number of the first record.
    #[must_use]
    pub fn base(&self) -> Lsn {
        self.base
    }

    /// One past the number of the last record.
    #[must_use]
    pub fn end(&self) -> Lsn {
        Lsn(self.base.0 + u64::from(self.need.records()))
    }

    /// Where the first cell lies in the segment's region, in bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// All bytes of the reserved cells, holding whatever was there before.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let range = self.position..self.position + self.need.bytes();
        // SAFETY:
        // - reserved: the compare-exchange that made this reservation gave the
        //   range to us alone, and it is published only by consuming `self`;
        // - no other reference: this one borrows `self` mutably.
        unsafe { self.segment.region.reserved(range) }
    }

    /// Makes the records visible, all at once, and returns when they are and
    /// everything before them is. `INV-C7`
    ///
    /// `first_word` becomes the first word of the first cell, stored last; the
    /// words of further cells must be in the bytes by now.
    ///
    /// Blocks while an earlier reservation is still being filled.
    #[inline]
    pub fn publish(self, first_word: Word) {
        // SAFETY: reserved and not yet published, as in `bytes_mut`; cells
        // begin at multiples of 8.
        unsafe { self.segment.region.store_word(self.position, first_word) };
        let (order, base, end) = (self.order, self.base, self.end());
        // From here on the place is everybody's, and must not become void.
        std::mem::forget(self);
        order.publish(base, end);
    }

    /// Turns the cells into void ones: empty, but for the last, which takes
    /// the room that is left.
    fn fill_with_void(&mut self) {
        let (records, bytes) = (self.need.records() as usize, self.need.bytes());
        let cells = self.bytes_mut();
        cells.fill(0);
        for index in 0..records {
            let from = index * CELL_HEADER_BYTES;
            let cell_bytes = if index + 1 == records {
                bytes - from
            } else {
                CELL_HEADER_BYTES
            };
            let word = void_word(cell_bytes).with_batch(index == 0, index + 1 == records);
            cells[from..from + CELL_ALIGN_BYTES].copy_from_slice(&word.to_bits().to_le_bytes());
        }
    }
}

fn void_word(cell_bytes: usize) -> Word {
    Word::new((cell_bytes - CELL_HEADER_BYTES) as u32).with_state(CellState::Void)
}

impl<M> Drop for Reservation<'_, M> {
    fn drop(&mut self) {
        self.fill_with_void();
        self.order.publish(self.base, self.end());
    }
}

impl<M> fmt::Debug for Reservation<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("base", &self.base)
            .field("position", &self.position)
            .field("need", &self.need)
            .finish_non_exhaustive()
    }
}
