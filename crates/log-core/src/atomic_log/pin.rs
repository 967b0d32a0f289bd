//! A reader's hold on a head, and thereby on the window behind it.

use std::ptr::NonNull;

use super::segment::SegmentRef;
use super::shared::Shared;

/// Keeps a head, and every segment of its window, as they are (`INV-C4`).
pub(super) struct Pin<T> {
    head: SegmentRef<T>,
    /// Whoever keeps a pin keeps its log for longer.
    log: NonNull<Shared<T>>,
}

impl<T> Pin<T> {
    /// Makes a value of a pin that was taken.
    ///
    /// # Safety
    ///
    /// The head is one of `log`'s and was pinned for us. `log` outlives the
    /// value and all its clones.
    #[inline]
    pub(super) unsafe fn adopt(head: SegmentRef<T>, log: &Shared<T>) -> Self {
        Self {
            head,
            log: NonNull::from(log),
        }
    }

    #[inline]
    pub(super) fn head(&self) -> SegmentRef<T> {
        self.head
    }
}

impl<T> Clone for Pin<T> {
    fn clone(&self) -> Self {
        self.head.pins().pin_again();
        Self { ..*self }
    }
}

impl<T> Drop for Pin<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the log outlives the pin, by the contract of `adopt`.
        let log = unsafe { self.log.as_ref() };
        // SAFETY: ours, and not used again.
        unsafe { log.unpin(self.head) };
    }
}

// SAFETY: a pin gives what the log itself gives, wherever it is: reading
// values, and dropping them when it is the last.
unsafe impl<T: Send + Sync> Send for Pin<T> {}

// SAFETY: a shared pin can only be cloned, which is atomic.
unsafe impl<T: Send + Sync> Sync for Pin<T> {}
