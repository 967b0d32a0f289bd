//! Walking through what a snapshot shows.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;
use std::slice;

use super::segment::SegmentRef;
use super::snapshot::Snapshot;
use crate::Lsn;

/// Values of one segment, side by side in memory.
pub struct SegmentSlice<'a, T> {
    sequence: u64,
    first_lsn: Lsn,
    values: &'a [T],
}

impl<'a, T> SegmentSlice<'a, T> {
    pub(super) fn new(sequence: u64, first_lsn: Lsn, values: &'a [T]) -> Self {
        Self {
            sequence,
            first_lsn,
            values,
        }
    }

    /// Which segment of the log this is part of; the first is 0, and slices
    /// of neighbouring segments have neighbouring numbers.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The number of the first value here.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.first_lsn
    }

    /// One past the number of the last value here.
    #[must_use]
    pub fn end_lsn(&self) -> Lsn {
        Lsn(self.first_lsn.0 + self.values.len() as u64)
    }

    /// The values; never none.
    #[must_use]
    pub fn values(&self) -> &'a [T] {
        self.values
    }
}

impl<T> Clone for SegmentSlice<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SegmentSlice<'_, T> {}

impl<T: fmt::Debug> fmt::Debug for SegmentSlice<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentSlice")
            .field("sequence", &self.sequence)
            .field("first_lsn", &self.first_lsn)
            .field("values", &self.values)
            .finish()
    }
}

/// What a [`Snapshot`] shows, one [`SegmentSlice`] at a time; made by
/// [`Snapshot::chunks`].
pub struct Chunks<'a, T> {
    snapshot: &'a Snapshot<T>,
    /// The next segment from the front, and the next from the back; both are
    /// shown as long as `sequences` is not empty.
    front: SegmentRef<T>,
    back: SegmentRef<T>,
    sequences: Range<u64>,
    /// Values of the front segment to leave out.
    skip: usize,
}

impl<'a, T> Chunks<'a, T> {
    /// From a segment that `snapshot` shows, without the first `skip` of its
    /// values; there are more of them, or it is the last.
    pub(super) fn new(snapshot: &'a Snapshot<T>, from: u64, skip: usize) -> Self {
        let mut sequences = from..snapshot.sequences_end();
        if sequences.end == from + 1 && skip == snapshot.values_in(from) {
            sequences.end = from;
        }
        let last = sequences.end.max(from + 1) - 1;
        Self {
            snapshot,
            front: snapshot.segment(from),
            back: snapshot.segment(last),
            sequences,
            skip,
        }
    }

    /// How many values are left.
    fn values_left(&self) -> usize {
        let Range { start, end } = self.sequences;
        if start == end {
            return 0;
        }
        let full_segments = (end - 1 - start) as usize;
        full_segments * self.snapshot.values_in(start) + self.snapshot.values_in(end - 1)
            - self.skip
    }
}

impl<'a, T> Iterator for Chunks<'a, T> {
    type Item = SegmentSlice<'a, T>;

    fn next(&mut self) -> Option<SegmentSlice<'a, T>> {
        let sequence = self.sequences.next()?;
        let skip = std::mem::take(&mut self.skip);
        // SAFETY: `front` is the shown segment of this number.
        let slice = unsafe { self.snapshot.slice(self.front, sequence, skip) };
        if !self.sequences.is_empty() {
            // SAFETY: shown, and so is the segment after it.
            self.front = unsafe { self.front.next() };
        }
        Some(slice)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.len();
        (left, Some(left))
    }
}

impl<T> DoubleEndedIterator for Chunks<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let sequence = self.sequences.next_back()?;
        let skip = if self.sequences.is_empty() {
            self.skip
        } else {
            0
        };
        // SAFETY: `back` is the shown segment of this number.
        let slice = unsafe { self.snapshot.slice(self.back, sequence, skip) };
        if !self.sequences.is_empty() {
            // SAFETY: shown, and so is the segment before it.
            self.back = unsafe { self.back.place() }.previous;
        }
        Some(slice)
    }
}

impl<T> ExactSizeIterator for Chunks<'_, T> {
    fn len(&self) -> usize {
        (self.sequences.end - self.sequences.start) as usize
    }
}

impl<T> FusedIterator for Chunks<'_, T> {}

impl<T> Clone for Chunks<'_, T> {
    fn clone(&self) -> Self {
        Self {
            sequences: self.sequences.clone(),
            ..*self
        }
    }
}

impl<T> fmt::Debug for Chunks<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks")
            .field("sequences", &self.sequences)
            .finish_non_exhaustive()
    }
}

/// The values that a [`Snapshot`] shows, in order; made by
/// [`Snapshot::iter`].
pub struct Iter<'a, T> {
    front: slice::Iter<'a, T>,
    chunks: Chunks<'a, T>,
    back: slice::Iter<'a, T>,
}

impl<'a, T> Iter<'a, T> {
    pub(super) fn new(chunks: Chunks<'a, T>) -> Self {
        Self {
            front: [].iter(),
            chunks,
            back: [].iter(),
        }
    }

    #[cold]
    fn next_from_chunks(&mut self) -> Option<&'a T> {
        match self.chunks.next() {
            Some(slice) => {
                self.front = slice.values().iter();
                self.front.next()
            }
            None => self.back.next(),
        }
    }

    #[cold]
    fn next_back_from_chunks(&mut self) -> Option<&'a T> {
        match self.chunks.next_back() {
            Some(slice) => {
                self.back = slice.values().iter();
                self.back.next_back()
            }
            None => self.front.next_back(),
        }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    #[inline]
    fn next(&mut self) -> Option<&'a T> {
        match self.front.next() {
            None => self.next_from_chunks(),
            some => some,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.len();
        (left, Some(left))
    }

    fn count(self) -> usize {
        self.len()
    }

    fn nth(&mut self, mut n: usize) -> Option<&'a T> {
        // Whole slices are stepped over.
        while n >= self.front.len() {
            n -= self.front.len();
            match self.chunks.next() {
                Some(slice) => self.front = slice.values().iter(),
                None => {
                    self.front = [].iter();
                    return self.back.nth(n);
                }
            }
        }
        self.front.nth(n)
    }

    // What `sum`, `for_each`, `max` and the like run on: a plain loop over
    // each slice, without a question in between about where it ends.
    #[inline]
    fn fold<B, F: FnMut(B, &'a T) -> B>(self, init: B, mut f: F) -> B {
        let mut all = self.front.fold(init, &mut f);
        for slice in self.chunks {
            all = slice.values().iter().fold(all, &mut f);
        }
        self.back.fold(all, f)
    }
}

impl<T> DoubleEndedIterator for Iter<'_, T> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        match self.back.next_back() {
            None => self.next_back_from_chunks(),
            some => some,
        }
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {
    fn len(&self) -> usize {
        self.front.len() + self.chunks.values_left() + self.back.len()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self {
            front: self.front.clone(),
            chunks: self.chunks.clone(),
            back: self.back.clone(),
        }
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
