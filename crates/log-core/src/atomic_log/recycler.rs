//! Where the writer gets its next segment from, and what it does with the
//! oldest.
//!
//! Refuses to wait for anyone: a segment that somebody may still see is left
//! to that somebody, and the writer takes another, in new memory if need be
//! (`INV-C6`). What was once allocated is used again (`INV-C5`).

use super::arena::Arena;
use super::list::{List, PinnedHeads, Stack};
use super::segment::SegmentRef;
use super::settlement::Settlement;

/// What readers hand back to the writer.
pub(super) struct Returned<T> {
    /// Segments that nobody sees any more, without values.
    pub(super) free: Stack<T>,
    /// Replaced heads whose last pin is gone, not yet settled.
    pub(super) unpinned: Stack<T>,
}

impl<T> Returned<T> {
    pub(super) fn new() -> Self {
        Self {
            free: Stack::new(),
            unpinned: Stack::new(),
        }
    }
}

/// The writer's books about segments.
pub(super) struct Recycler<T> {
    free: List<T>,
    unpinned: List<T>,
    settling: Option<Settlement<T>>,
    /// Those of which a part of the window has not been retired yet.
    pinned: PinnedHeads<T>,
}

impl<T> Recycler<T> {
    pub(super) fn new() -> Self {
        Self {
            free: List::new(),
            unpinned: List::new(),
            settling: None,
            pinned: PinnedHeads::new(),
        }
    }

    /// A free segment: a recycled one if there is any, else a new one, or
    /// `None` if there is no memory.
    pub(super) fn take(
        &mut self,
        returned: &Returned<T>,
        arena: &Arena<T>,
    ) -> Option<SegmentRef<T>> {
        loop {
            if let Some(free) = self.free.pop() {
                return Some(free);
            }
            if let Some(free) = self.settling.as_mut().and_then(Iterator::next) {
                return Some(free);
            }
            // SAFETY: unpinned for good, and handed to us alone.
            let settle = |head| unsafe { Settlement::of(head) };
            self.settling = self.unpinned.pop().map(settle);
            if self.settling.is_none() {
                self.free = returned.free.take_all();
                self.unpinned = returned.unpinned.take_all();
                if self.free.is_empty() && self.unpinned.is_empty() {
                    return arena.allocate();
                }
            }
        }
    }

    /// Keeps a free segment for later.
    ///
    /// # Safety
    ///
    /// The segment is free, and was the caller's.
    pub(super) unsafe fn put_back(&mut self, free: SegmentRef<T>) {
        // SAFETY: ours, says the caller.
        unsafe { self.free.push(free) };
    }

    /// Takes note that `head` has been replaced, and remembers it if readers
    /// pin it.
    ///
    /// # Safety
    ///
    /// The caller is the writer, and readers can find the next head.
    pub(super) unsafe fn replaced(&mut self, head: SegmentRef<T>) {
        if head.pins().replace() {
            // SAFETY: the caller is the writer; a head is replaced once.
            unsafe { self.pinned.push_back(head) };
        } else {
            head.let_go_unpinned();
        }
    }

    /// Makes a segment that has left the window a ward of every pinned head in
    /// whose window it still is. True if there is none: it is free.
    ///
    /// # Safety
    ///
    /// The caller is the writer, `retired` was the oldest of the window, and
    /// every head that was replaced went through [`replaced`](Self::replaced).
    pub(super) unsafe fn retire(&mut self, retired: SegmentRef<T>) -> bool {
        let mut heads = std::mem::replace(&mut self.pinned, PinnedHeads::new());
        // SAFETY: the caller is the writer.
        while let Some(head) = unsafe { heads.pop_front() } {
            // Held first: the head may be settled as soon as it has the ward.
            retired.hold();
            if !head.pins().add_ward() {
                let last = retired.let_go();
                debug_assert!(!last, "held by the window as well");
            } else if head != retired {
                // SAFETY: the caller is the writer; the head was just taken out.
                unsafe { self.pinned.push_back(head) };
            }
        }
        retired.let_go()
    }
}
