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
        let place = self.walk(until);
        (self.position, self.next) = (place.position, place.lsn);
    }

    /// Where that leads.
    pub(super) fn walk(&self, until: Lsn) -> SegmentEnd {
        let (mut position, mut next) = (self.position, self.next);
        while next < until {
            let from = position;
            // SAFETY:
            // - published: `next` is below `until`, so the cell that carries
            //   it (and an unnumbered one in front of it) is visible;
            // - cells begin at multiples of 8.
            let word = unsafe { self.segment.region.load_word(position) };
            position += word.cell_bytes();
            next.0 += u64::from(word.is_numbered());
            self.segment.leave_waypoint(from, word, next);
        }
        SegmentEnd {
            lsn: next,
            position,
        }
    }

    /// Goes behind a span that was [peeked](super::Tail::peek_span_here) at
    /// with this cursor, and begins where it stands.
    ///
    /// # Panics
    ///
    /// If the span begins anywhere else.
    pub fn pass(&mut self, span: &Span<M>) {
        let is_here = Arc::ptr_eq(&self.segment, &span.segment);
        assert!(
            is_here && self.position == span.range.start,
            "the span does not begin at the cursor"
        );
        (self.position, self.next) = (span.range.end, span.end);
    }

    /// Goes on at the front of `segment`.
    pub(super) fn enter(&mut self, segment: Arc<Segment<M>>) {
        self.position = segment.first_position();
        self.next = segment.base();
        self.segment = segment;
    }

    /// What lies between here and `end`, which is published.
    pub(super) fn span_to(&self, end: SegmentEnd) -> Span<M> {
        Span {
            segment: Arc::clone(&self.segment),
            range: self.position..end.position,
            base: self.next,
            end: end.lsn,
        }
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
