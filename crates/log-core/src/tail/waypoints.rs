//! Places in a segment from which a walk may begin, so that finding a record
//! does not mean walking over all that lie before it.
//!
//! ```text
//!  stride       0        |   1        |   2        |   3        |
//!  cells    [    ][  ][      ][  ][ ][    ][               ][  ] ...
//!  waypoint              ^1           ^2              ^3, ^4
//! ```
//!
//! There is one for each stride of the region: the first cell that begins in
//! it, or behind it. Whoever publishes a cell that reaches into a stride leaves
//! its waypoint first; a walk leaves those that it finds missing, as they are
//! where cells were there before the tail.
//!
//! A waypoint is a hint: one that is missing costs time. One that is there says
//! what was decided by the reservation and never changes, so all accesses are
//! relaxed: whether the cell in front of it may be read is for the reader to
//! know, who has acquired what is published.

use crate::sync::{AtomicU64, Ordering};
use crate::word::CELL_ALIGN_BYTES;

/// Length of a stride: about a page, so that what lies between two waypoints
/// takes one short walk in memory and one short read from a file.
const STRIDE_SHIFT: u32 = if cfg!(any(log_loom, log_shuttle)) {
    6
} else {
    12
};

const POSITION_SHIFT: u32 = 32;

/// A place between two cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waypoint {
    /// How many records of the segment lie before it.
    pub(super) records: u32,
    /// In bytes from the start of the region.
    pub(super) position: usize,
}

impl Waypoint {
    /// Zero at the very front only, where nobody needs one.
    fn to_bits(self) -> u64 {
        let units = (self.position / CELL_ALIGN_BYTES) as u64;
        units << POSITION_SHIFT | u64::from(self.records)
    }

    fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self {
            records: bits as u32,
            position: (bits >> POSITION_SHIFT) as usize * CELL_ALIGN_BYTES,
        })
    }
}

/// The waypoints of one segment.
#[derive(Debug)]
pub(super) struct Waypoints {
    /// One for each stride but the first; zero if it is missing.
    slots: Box<[AtomicU64]>,
}

impl Waypoints {
    pub(super) fn new(region_bytes: usize) -> Self {
        let strides = region_bytes >> STRIDE_SHIFT;
        Self {
            slots: (0..strides).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Whether cells that reach from `from` to `to` owe a waypoint.
    #[inline]
    pub(super) fn is_due(from: usize, to: usize) -> bool {
        from >> STRIDE_SHIFT != to >> STRIDE_SHIFT
    }

    /// Leaves `waypoint` for the strides that a cell reaches into, which begins
    /// at `from` and ends at `to`.
    pub(super) fn leave(&self, from: usize, to: usize, waypoint: Waypoint) {
        let strides = from >> STRIDE_SHIFT..to >> STRIDE_SHIFT;
        for slot in self.slots.get(strides).unwrap_or_default() {
            // Relaxed, as the store: see the module. Looked at first, because
            // walks come by where everything is there.
            if slot.load(Ordering::Relaxed) == 0 {
                slot.store(waypoint.to_bits(), Ordering::Relaxed);
            }
        }
    }

    /// The last waypoint that is not behind the first `records` records. Looks
    /// at few: where some are missing it may find an earlier one.
    pub(super) fn floor(&self, records: u32) -> Option<Waypoint> {
        let mut found = None;
        let (mut low, mut high) = (0, self.slots.len());
        while low < high {
            let middle = low.midpoint(high);
            // Relaxed: see the module.
            let bits = self.slots[middle].load(Ordering::Relaxed);
            match Waypoint::from_bits(bits).filter(|it| it.records <= records) {
                Some(waypoint) => {
                    found = Some(waypoint);
                    low = middle + 1;
                }
                None => high = middle,
            }
        }
        found
    }

    /// All that are there, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = Waypoint> {
        // Relaxed: see the module.
        let bits = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        bits.filter_map(Waypoint::from_bits)
    }
}

#[cfg(all(test, not(any(log_loom, log_shuttle))))]
mod tests {
    use super::*;

    const STRIDE: usize = 1 << STRIDE_SHIFT;

    fn at(records: u32, position: usize) -> Waypoint {
        Waypoint { records, position }
    }

    #[test]
    fn the_floor_is_the_last_one_that_is_not_behind() {
        let waypoints = Waypoints::new(8 * STRIDE);
        assert_eq!(waypoints.floor(u32::MAX), None, "nothing there yet");
        // A cell that ends in the next stride, one that fills it to its end,
        // and one that reaches over several.
        waypoints.leave(STRIDE - 8, STRIDE + 8, at(10, STRIDE + 8));
        waypoints.leave(STRIDE + 8, 2 * STRIDE, at(11, 2 * STRIDE));
        waypoints.leave(2 * STRIDE, 6 * STRIDE + 16, at(12, 6 * STRIDE + 16));
        for (records, floor) in [
            (9, None),
            (10, Some(at(10, STRIDE + 8))),
            (11, Some(at(11, 2 * STRIDE))),
            (12, Some(at(12, 6 * STRIDE + 16))),
            (1000, Some(at(12, 6 * STRIDE + 16))),
        ] {
            assert_eq!(waypoints.floor(records), floor, "{records} records");
        }
    }

    #[test]
    fn a_missing_one_costs_a_longer_way_and_nothing_else() {
        let waypoints = Waypoints::new(8 * STRIDE);
        for stride in [1, 3, 4, 7] {
            let waypoint = at(stride as u32 * 10, stride * STRIDE);
            waypoints.leave(stride * STRIDE - 24, stride * STRIDE, waypoint);
        }
        for records in 0..100 {
            let floor = waypoints.floor(records);
            assert!(
                floor.is_none_or(|it| it.records <= records),
                "{records} records"
            );
        }
    }

    #[test]
    fn the_farthest_place_of_the_longest_region_fits() {
        let last = at(u32::MAX, crate::REGION_BYTES_MAX);
        assert_eq!(Waypoint::from_bits(last.to_bits()), Some(last));
    }
}
