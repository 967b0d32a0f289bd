//! One segment of a tail: a region, the number of its first record, and where
//! it ended.

use std::fmt;

use super::head::Head;
use super::waypoints::{Waypoint, Waypoints};
use crate::sync::{Arc, AtomicU64, Ordering};
use crate::{Lsn, Region, Word};

/// A place between two cells, as where a sealed segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEnd {
    /// One past the last record before it: at the end, the base of the
    /// segment's successor.
    pub lsn: Lsn,
    /// One past the last cell, in bytes from the start of the region.
    pub position: usize,
}

/// Where a tail begins to append: at the front of a fresh segment, or behind
/// cells that are there already.
#[derive(Debug)]
pub struct Start {
    /// The number of the segment's first record.
    pub base: Lsn,
    /// Where the segment's first cell lies, in bytes; a multiple of 8. What is
    /// before it is the owner's (a file's header, say).
    pub first_position: usize,
    /// One past the last record that is there.
    pub end: Lsn,
    /// One past the last cell that is there; a multiple of 8.
    pub end_position: usize,
}

impl Start {
    /// A segment with no records yet.
    #[must_use]
    pub fn fresh(base: Lsn, first_position: usize) -> Self {
        Self {
            base,
            first_position,
            end: base,
            end_position: first_position,
        }
    }
}

/// Which segment of which tail. Not its base: a segment that was sealed without
/// a record shares that with its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentId {
    /// Of all tails of the process.
    pub(super) tail: u64,
    /// How many segments the tail had before.
    pub(super) ordinal: u64,
}

impl SegmentId {
    /// The first segment of a new tail.
    pub(super) fn first() -> Self {
        // Not of `crate::sync`: it orders nothing, and only has to differ.
        static TAILS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        Self {
            tail: TAILS.fetch_add(1, Ordering::Relaxed),
            ordinal: 0,
        }
    }

    pub(super) fn successor(self) -> Self {
        Self {
            ordinal: self.ordinal + 1,
            ..self
        }
    }
}

/// A region in which records are, or were, appended, with what its owner knows
/// of it in `meta`.
///
/// Shared by the tail and by every [`Span`](super::Span) of it that is held;
/// the region can be taken back with [`into_region`](Self::into_region) when
/// nobody holds it.
pub struct Segment<M> {
    pub(super) id: SegmentId,
    pub(super) region: Region,
    base: Lsn,
    first_position: usize,
    /// The head when it was sealed; all zeros while it is open.
    sealed: AtomicU64,
    waypoints: Waypoints,
    meta: M,
}

impl<M> Segment<M> {
    pub(super) fn new(
        id: SegmentId,
        region: Region,
        base: Lsn,
        first_position: usize,
        meta: M,
    ) -> Self {
        Self {
            id,
            waypoints: Waypoints::new(region.len_bytes()),
            region,
            base,
            first_position,
            sealed: AtomicU64::new(0),
            meta,
        }
    }

    /// The number of the first record.
    #[must_use]
    pub fn base(&self) -> Lsn {
        self.base
    }

    /// Where the first cell lies, in bytes.
    #[must_use]
    pub fn first_position(&self) -> usize {
        self.first_position
    }

    /// Length of the region, in bytes.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.region.len_bytes()
    }

    /// What the owner gave along.
    #[must_use]
    pub fn meta(&self) -> &M {
        &self.meta
    }

    /// Where it ends, once it takes no more records.
    #[must_use]
    pub fn end(&self) -> Option<SegmentEnd> {
        // Acquire pairs with the Release in `seal`, for a reader that has not
        // acquired a later record.
        let head = Head::from_bits(self.sealed.load(Ordering::Acquire));
        head.is_sealed().then(|| self.end_at(head))
    }

    pub(super) fn seal(&self, head: Head) {
        // Release pairs with the Acquire in `end`.
        self.sealed
            .store(head.to_bits() | super::head::SEALED, Ordering::Release);
    }

    /// Lsn and position that `head` stands for.
    pub(super) fn end_at(&self, head: Head) -> SegmentEnd {
        SegmentEnd {
            lsn: Lsn(self.base.0 + u64::from(head.records())),
            position: self.region.len_bytes() - head.room_bytes(),
        }
    }

    /// A place from which the way to `lsn`, which is published, is short.
    pub(super) fn place_before(&self, lsn: Lsn) -> SegmentEnd {
        let records = lsn.distance_from(self.base).unwrap_or_default();
        let waypoint = self.waypoints.floor(records as u32);
        waypoint.map_or(
            SegmentEnd {
                lsn: self.base,
                position: self.first_position,
            },
            |waypoint| self.place_of(waypoint),
        )
    }

    fn place_of(&self, waypoint: Waypoint) -> SegmentEnd {
        SegmentEnd {
            lsn: Lsn(self.base.0 + u64::from(waypoint.records)),
            position: waypoint.position,
        }
    }

    /// Remembers where the cell at `from` leads, which begins with `word`, if a
    /// walk should be able to begin near it. `next` is the number of the next
    /// record.
    #[inline]
    pub(super) fn leave_waypoint(&self, from: usize, word: Word, next: Lsn) {
        let to = from + word.cell_bytes();
        if Waypoints::is_due(from, to) {
            // Of a record, and what belongs to it is in front of it.
            let position = if word.is_numbered() { to } else { from };
            let records = (next.0 - self.base.0) as u32;
            self.waypoints
                .leave(from, to, Waypoint { records, position });
        }
    }

    /// Places between records, ascending, at distances of some 4 KiB: from
    /// which to look for a record, in a copy of the region too. Some may be
    /// missing, and those beyond [`end`](Self::end) count for nothing.
    pub fn waypoints(&self) -> impl Iterator<Item = SegmentEnd> {
        self.waypoints
            .iter()
            .map(|waypoint| self.place_of(waypoint))
    }

    /// Takes the region back, to be used again, if nobody else holds the
    /// segment: no [`Span`](super::Span), no [`Cursor`](super::Cursor), and
    /// not the tail, which keeps the predecessor of the open segment until
    /// the next roll. `INV-C4`
    ///
    /// # Errors
    ///
    /// Gives the segment back if somebody does.
    #[cfg(not(log_loom))]
    pub fn into_region(self: Arc<Self>) -> Result<Region, Arc<Self>> {
        Self::unwrap_region(self)
    }

    /// The same, for an `Arc` that cannot be a `self`, as loom's.
    ///
    /// # Errors
    ///
    /// Gives the segment back if somebody holds it.
    #[cfg(log_loom)]
    pub fn into_region(segment: Arc<Self>) -> Result<Region, Arc<Self>> {
        Self::unwrap_region(segment)
    }

    fn unwrap_region(segment: Arc<Self>) -> Result<Region, Arc<Self>> {
        // Whoever let go of the segment did so by a release on its count,
        // which `try_unwrap` acquires: nobody reads the region any more.
        Arc::try_unwrap(segment).map(|segment| segment.region)
    }
}

impl<M> fmt::Debug for Segment<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("base", &self.base)
            .field("capacity_bytes", &self.capacity_bytes())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}
