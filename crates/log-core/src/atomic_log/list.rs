//! Lists of segments, strung on the segments themselves: no list allocates.

use super::segment::{Segment, SegmentRef};
use crate::sync::{AtomicPtr, Ordering};

/// Segments that belong to one owner, last in, first out.
pub(super) struct List<T>(Option<SegmentRef<T>>);

impl<T> List<T> {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// # Safety
    ///
    /// The segment's link is the caller's to write, and in no other list.
    pub(super) unsafe fn push(&mut self, segment: SegmentRef<T>) {
        // SAFETY: the link is ours, says the caller.
        unsafe { segment.set_link(self.0) };
        self.0 = Some(segment);
    }

    pub(super) fn pop(&mut self) -> Option<SegmentRef<T>> {
        let first = self.0?;
        // SAFETY: it is in our list.
        self.0 = unsafe { first.link() };
        Some(first)
    }
}

/// Segments that any thread puts down and one thread picks up, all at once.
///
/// Treiber's stack without its ABA problem: nobody ever takes a single one.
pub(super) struct Stack<T>(AtomicPtr<Segment<T>>);

impl<T> Stack<T> {
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// # Safety
    ///
    /// As for [`List::push`].
    pub(super) unsafe fn push(&self, segment: SegmentRef<T>) {
        let mut first = self.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: the link is ours, says the caller, until the exchange.
            unsafe { segment.set_link(SegmentRef::from_ptr(first)) };
            // Release hands the segment to the Acquire in `take_all`.
            let pushed = self.0.compare_exchange_weak(
                first,
                segment.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            );
            match pushed {
                Ok(_) => return,
                Err(seen) => first = seen,
            }
        }
    }

    pub(super) fn take_all(&self) -> List<T> {
        // Relaxed: only the swap takes anything over.
        if self.0.load(Ordering::Relaxed).is_null() {
            return List::new();
        }
        // Acquire pairs with every `push` whose segment is taken: each later
        // one continues the release sequence of those before.
        let first = self.0.swap(std::ptr::null_mut(), Ordering::Acquire);
        List(SegmentRef::from_ptr(first))
    }
}

/// Heads that were pinned when they were replaced, oldest first; the writer's.
pub(super) struct PinnedHeads<T> {
    ends: Option<(SegmentRef<T>, SegmentRef<T>)>,
}

impl<T> PinnedHeads<T> {
    pub(super) const fn new() -> Self {
        Self { ends: None }
    }

    /// # Safety
    ///
    /// The caller is the writer, and the head is not in the queue.
    pub(super) unsafe fn push_back(&mut self, head: SegmentRef<T>) {
        // SAFETY: the caller is the writer.
        unsafe { head.set_next_pinned(None) };
        let first = match self.ends {
            None => head,
            Some((first, last)) => {
                // SAFETY: the caller is the writer.
                unsafe { last.set_next_pinned(Some(head)) };
                first
            }
        };
        self.ends = Some((first, head));
    }

    /// # Safety
    ///
    /// The caller is the writer.
    pub(super) unsafe fn pop_front(&mut self) -> Option<SegmentRef<T>> {
        let (first, last) = self.ends?;
        // SAFETY: the caller is the writer.
        let next = unsafe { first.next_pinned() };
        self.ends = next.map(|next| (next, last));
        Some(first)
    }
}
