//! A place in the log that one thread owns until it publishes it.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::head::{Head, Need};
use super::order::Order;
use super::segment::Segment;
use super::waypoints::Waypoints;
use crate::word::{CELL_ALIGN_BYTES, CELL_BYTES_MAX, CELL_HEADER_BYTES, PAYLOAD_BYTES_MAX};
use crate::{CellState, Lsn, Word};

/// Reserved room for one or more cells, and the numbers of their records.
///
/// Fill [`bytes_mut`](Self::bytes_mut), then [`publish`](Self::publish). Until
/// then no later record of any thread becomes visible, so fill at once. A
/// thread that holds two publishes them in their order, and does not reserve a
/// third in between: a roll waits for the first, and would never end.
///
/// Dropped without being published (a panic while filling), it leaves void
/// cells: its numbers stay taken, have no record, and hold nobody up.
#[must_use = "later records stay invisible until this one is published or dropped"]
pub struct Reservation<'a, M> {
    /// Alive until the place is published, and no longer: hence no reference.
    segment: NonNull<Segment<M>>,
    order: &'a Order,
    base: Lsn,
    need: Need,
    position: usize,
    _tail: PhantomData<&'a Segment<M>>,
}

// SAFETY: stands for a `&Segment<M>` (through `segment`) and the exclusive use
// of some bytes of it, which no thread is tied to.
unsafe impl<M: Send + Sync> Send for Reservation<'_, M> {}
// SAFETY: as above; `&Reservation` gives out nothing but `&Segment<M>`.
unsafe impl<M: Send + Sync> Sync for Reservation<'_, M> {}

impl<'a, M> Reservation<'a, M> {
    /// Of the place that `head` was before `need` was taken from it.
    ///
    /// # Safety
    ///
    /// `segment` must stay alive until `order` has published the place, and
    /// the place must be the caller's alone.
    #[inline]
    pub(super) unsafe fn new(
        segment: NonNull<Segment<M>>,
        order: &'a Order,
        head: Head,
        need: Need,
    ) -> Self {
        // SAFETY: alive, by the contract.
        let place = unsafe { segment.as_ref() }.end_at(head);
        Self {
            segment,
            order,
            base: place.lsn,
            need,
            position: place.position,
            _tail: PhantomData,
        }
    }

    /// The segment that the place is in.
    #[must_use]
    pub fn segment(&self) -> &Segment<M> {
        // SAFETY: alive until the place is published, for which `self` must be
        // given away.
        unsafe { self.segment.as_ref() }
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
        unsafe { self.segment().region.reserved(range) }
    }

    /// What the owner keeps with the segment, and all bytes of the reserved
    /// cells, side by side.
    #[inline]
    pub fn meta_and_bytes_mut(&mut self) -> (&M, &mut [u8]) {
        // SAFETY: alive until the place is published, and `self` is borrowed
        // for as long as what we return.
        let segment = unsafe { self.segment.as_ref() };
        let range = self.position..self.position + self.need.bytes();
        // SAFETY: as in `bytes_mut`; the meta lies outside of the region.
        let bytes = unsafe { segment.region.reserved(range) };
        (segment.meta(), bytes)
    }

    /// Makes the records visible, all at once, and returns when they are and
    /// everything before them is. `INV-C7`
    ///
    /// `first_word` becomes the first word of the first cell, stored last; the
    /// words of further cells must be in the bytes by now.
    ///
    /// Blocks while an earlier reservation is still being filled.
    ///
    /// # Panics
    ///
    /// If the cells do not fill the place exactly with as many numbered ones
    /// as were reserved, all published or void. The place becomes void then.
    #[inline]
    pub fn publish(mut self, first_word: Word) {
        assert!(
            self.is_filled_behind(first_word),
            "the cells that were filled are not those that were reserved: {self:?}"
        );
        self.leave_waypoints(first_word);
        self.store_first(first_word);
        let (order, base, end) = (self.order, self.base, self.end());
        // From here on the place is everybody's, and must not become void.
        std::mem::forget(self);
        order.publish(base, end);
    }

    /// Whether cells, the first of which begins with `first_word`, lead from
    /// the front of the place to its end and take all of its numbers. Readers
    /// go from cell to cell, and must not be led astray.
    #[inline]
    fn is_filled_behind(&mut self, first_word: Word) -> bool {
        let need = self.need;
        let mut complete = first_word.is_complete();
        let mut numbered = u32::from(first_word.is_numbered());
        let mut position = first_word.cell_bytes();
        if position < need.bytes() {
            let cells = self.bytes_mut();
            while let Some(word) = cells.get(position..).and_then(<[u8]>::first_chunk) {
                let word = Word::from_bits(u64::from_le_bytes(*word));
                complete &= word.is_complete();
                numbered += u32::from(word.is_numbered());
                position += word.cell_bytes();
            }
        }
        complete && numbered == need.records() && position == need.bytes()
    }

    /// Remembers where the cells lie, before anybody looks for them.
    #[inline]
    fn leave_waypoints(&mut self, first_word: Word) {
        if Waypoints::is_due(self.position, self.position + self.need.bytes()) {
            self.leave_due_waypoints(first_word);
        }
    }

    #[cold]
    fn leave_due_waypoints(&mut self, first_word: Word) {
        let (start, mut next) = (self.position, self.base);
        // SAFETY: alive until the place is published, and `self` is borrowed
        // for as long as we use it.
        let segment = unsafe { self.segment.as_ref() };
        let (mut position, mut word) = (0, first_word);
        loop {
            next.0 += u64::from(word.is_numbered());
            segment.leave_waypoint(start + position, word, next);
            position += word.cell_bytes();
            let cells = self.bytes_mut();
            match cells.get(position..).and_then(<[u8]>::first_chunk) {
                Some(bits) => word = Word::from_bits(u64::from_le_bytes(*bits)),
                None => return,
            }
        }
    }

    fn store_first(&mut self, word: Word) {
        // SAFETY: reserved and not yet published, as in `bytes_mut`; cells
        // begin at multiples of 8.
        unsafe { self.segment().region.store_word(self.position, word) };
    }

    /// How the place can be given up by whoever needs more in a cell than its
    /// first word: where void cells begin, counted from the front of the place,
    /// and their first words. They take all of its numbers and lead to its end.
    pub fn void_words(&self) -> impl Iterator<Item = (usize, Word)> + use<M> {
        void_words(self.need)
    }

    /// Turns the cells into void ones.
    fn fill_with_void(&mut self) {
        let mut words = void_words(self.need);
        let first = words.next();
        let cells = self.bytes_mut();
        cells.fill(0);
        for (position, word) in words {
            cells[position..position + CELL_ALIGN_BYTES]
                .copy_from_slice(&word.to_bits().to_le_bytes());
        }
        if let Some((_, word)) = first {
            self.leave_waypoints(word);
            self.store_first(word);
        }
    }
}

/// Where the void cells begin that take the place of `need`, and their first
/// words. They are empty, but for the last (or last few), which take the room
/// that is left.
fn void_words(need: Need) -> impl Iterator<Item = (usize, Word)> {
    let records = need.records() as usize;
    let mut position = 0;
    (0..records).map(move |index| {
        let behind_bytes_max = (records - index - 1) * CELL_BYTES_MAX;
        let left_bytes = need.bytes() - position;
        let cell_bytes = left_bytes
            .saturating_sub(behind_bytes_max)
            .max(CELL_HEADER_BYTES);
        // Shorter than the room by the padding of the longest payload.
        let payload_bytes = (cell_bytes - CELL_HEADER_BYTES).min(PAYLOAD_BYTES_MAX);
        let word = Word::new(payload_bytes as u32)
            .with_state(CellState::Void)
            .with_batch(index == 0, index + 1 == records);
        let from = position;
        position += cell_bytes;
        (from, word)
    })
}

impl<M> Drop for Reservation<'_, M> {
    fn drop(&mut self) {
        self.fill_with_void();
        self.order.publish(self.base, self.end());
    }
}

#[cfg(all(test, not(any(log_loom, log_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn void_cells_lead_to_the_end_of_their_place_however_long_it_is() {
        let places = [
            (1, 16),
            (1, 4096),
            (3, 48),
            (3, 1024),
            (1, CELL_BYTES_MAX),
            (2, CELL_BYTES_MAX + 16),
            (2, 2 * CELL_BYTES_MAX - 8),
            (3, 3 * CELL_BYTES_MAX),
        ];
        for (records, bytes) in places {
            let need = Need::new(records, bytes).unwrap();
            let mut expected = 0;
            for (position, word) in void_words(need) {
                assert_eq!(position, expected, "{need:?}");
                expected += word.cell_bytes();
            }
            assert_eq!(expected, bytes, "{need:?}");
            assert_eq!(void_words(need).count(), records as usize);
        }
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
