//! Following the log: from cell to cell, from segment to segment, never past
//! what is published.

use std::fmt;
use std::ops::Range;

use super::segment::{Segment, SegmentEnd};
use crate::Lsn;
use crate::sync::Arc;

/// A reader's place in a tail. Moved by
/// [`Tail::next_span`](super::Tail::next_span).
pub struct Cursor<M> {
    pub(super) segment: Arc<Segment<M>>,
    pub(super) position: usize,
    pub(super) next: Lsn,
}

impl<M> Cursor<M> {
    /// The number of the next record that it will see.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// The segment that it stands in.
    #[must_use]
    pub fn segment(&self) -> &Arc<Segment<M>> {
        &self.segment
    }

    /// Where it stands in the segment's region, in bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// At or before record `lsn`, which is published and in `segment` or right
    /// behind it: where a walk there is short.
    pub(super) fn before(segment: Arc<Segment<M>>, lsn: Lsn) -> Self {
        let place = segment.place_before(lsn);
        Self {
            segment,
            position: place.position,
            next: place.lsn,
        }
    }

    /// Steps over published cells until `until`, which is published and not
    /// beyond this segment's end.
    pub(super) fn walk_to(&mut self, until: Lsn) {
        while self.next < until {
            let from = self.position;
            // SAFETY:
            // - published: `next` is below `until`, so the cell that carries
            //   it (and an unnumbered one in front of it) is visible;
            // - cells begin at multiples of 8.
            let word = unsafe { self.segment.region.load_word(self.position) };
            self.position += word.cell_bytes();
            self.next.0 += u64::from(word.is_numbered());
            self.segment.leave_waypoint(from, word, self.next);
        }
    }

    /// Goes to the end of this segment, which is published.
    pub(super) fn jump_to(&mut self, end: SegmentEnd) {
        self.position = end.position;
        self.next = end.lsn;
    }

    /// Goes on at the front of `segment`.
    pub(super) fn enter(&mut self, segment: Arc<Segment<M>>) {
        self.position = segment.first_position();
        self.next = segment.base();
        self.segment = segment;
    }

    /// Becomes what lies between `from` and here.
    pub(super) fn into_span_since(self, from: usize, base: Lsn) -> Span<M> {
        Span {
            segment: self.segment,
            range: from..self.position,
            base,
            end: self.next,
        }
    }

    /// Cuts off what lies between `from` and here.
    pub(super) fn span_since(&self, from: usize, base: Lsn) -> Span<M> {
        self.clone().into_span_since(from, base)
    }
}

impl<M> Clone for Cursor<M> {
    fn clone(&self) -> Self {
        Self {
            segment: Arc::clone(&self.segment),
            position: self.position,
            next: self.next,
        }
    }
}

impl<M> fmt::Debug for Cursor<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("next", &self.next)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// Published cells that lie side by side in one segment.
///
/// Holds the segment, so that the bytes stay as they are for as long as the
/// span lives. Whole cells only; may hold none that carries a record.
pub struct Span<M> {
    segment: Arc<Segment<M>>,
    range: Range<usize>,
    base: Lsn,
    end: Lsn,
}

impl<M> Span<M> {
    /// The cells, header words and padding included.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: a span is only made of cells that its maker saw published,
        // by `Order::published_end`, and those never change while the segment
        // is held.
        unsafe { self.segment.region.published(self.range.clone()) }
    }

    /// Where the cells lie in the segment's region, in bytes.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The number of the first record in it.
    #[must_use]
    pub fn base(&self) -> Lsn {
        self.base
    }

    /// One past the number of the last record in it.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// The segment that the cells lie in.
    #[must_use]
    pub fn segment(&self) -> &Arc<Segment<M>> {
        &self.segment
    }
}

impl<M> AsRef<[u8]> for Span<M> {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl<M> fmt::Debug for Span<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("base", &self.base)
            .field("end", &self.end)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}
