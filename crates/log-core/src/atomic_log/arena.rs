//! All segments that a log ever allocated. It only grows; what it has is
//! recycled, and goes away with the log.

use super::segment::{Segment, SegmentRef, Shape};
use super::thorough::for_each_thoroughly;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};

/// The memory of a log.
pub(super) struct Arena<T> {
    shape: Shape,
    /// The newest segment; each knows the one before it.
    last: AtomicPtr<Segment<T>>,
    segments: AtomicUsize,
}

impl<T> Arena<T> {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            last: AtomicPtr::new(std::ptr::null_mut()),
            segments: AtomicUsize::new(0),
        }
    }

    /// One more segment, free; `None` if there is no memory for it. Only for
    /// the writer.
    #[cold]
    pub(super) fn allocate(&self) -> Option<SegmentRef<T>> {
        // Relaxed, all: the claim orders one writer after the other, and
        // others only look at the count.
        let last = SegmentRef::from_ptr(self.last.load(Ordering::Relaxed));
        let segment = SegmentRef::allocate(&self.shape, last)?;
        self.last.store(segment.as_ptr(), Ordering::Relaxed);
        self.segments.fetch_add(1, Ordering::Relaxed);
        Some(segment)
    }

    /// How many segments there are.
    pub(super) fn segments(&self) -> usize {
        self.segments.load(Ordering::Relaxed)
    }

    /// Ends the program as any allocation does that finds no memory.
    pub(super) fn out_of_memory(&self) -> ! {
        self.shape.out_of_memory()
    }

    /// Drops the values of all segments, also when some panic as they drop.
    pub(super) fn drop_values(&mut self) {
        for_each_thoroughly(self.all(), |segment| {
            // SAFETY: `&mut`: the last handle of the log is going away, and
            // with the handles went every snapshot.
            unsafe { segment.drop_values() };
        });
    }

    fn all(&self) -> impl Iterator<Item = SegmentRef<T>> + use<T> {
        let last = SegmentRef::from_ptr(self.last.load(Ordering::Relaxed));
        // Asks a segment for its successor before it yields it: see `drop`.
        std::iter::successors(last, |segment| segment.allocated_before())
    }
}

impl<T> Drop for Arena<T> {
    fn drop(&mut self) {
        for segment in self.all() {
            // SAFETY:
            // - allocated by us, with this shape;
            // - the log is going away, and nobody is left to follow it.
            unsafe { segment.deallocate(&self.shape) };
        }
    }
}
