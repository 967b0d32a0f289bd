//! What is left to do when the last pin of a replaced head goes: letting go of
//! the wards that the pins kept.

use super::segment::SegmentRef;

/// Lets go of the wards of a head, then of the head; yields each segment that
/// thereby became free.
///
/// The wards are the oldest segments of the head's window, as many as were
/// retired while it was pinned. Each step is a few loads, and nobody waits for
/// it, so it may be done at leisure and by anyone, but by one.
pub(super) struct Settlement<T> {
    head: Option<SegmentRef<T>>,
    ward: SegmentRef<T>,
    wards_left: u64,
}

impl<T> Settlement<T> {
    /// # Safety
    ///
    /// The last pin of this replaced head is gone, and the caller is the only
    /// one to settle it.
    pub(super) unsafe fn of(head: SegmentRef<T>) -> Self {
        // SAFETY: the head is held for its pins, until we let go of it.
        let place = unsafe { head.place() };
        Self {
            head: Some(head),
            ward: place.oldest,
            wards_left: head.pins().wards(),
        }
    }
}

impl<T> Iterator for Settlement<T> {
    type Item = SegmentRef<T>;

    fn next(&mut self) -> Option<SegmentRef<T>> {
        while self.wards_left > 0 {
            let ward = self.ward;
            self.wards_left -= 1;
            if self.wards_left > 0 {
                // SAFETY: held, as our ward; and the next ward is after it.
                self.ward = unsafe { ward.next() };
            }
            if ward.let_go() {
                return Some(ward);
            }
        }
        let head = self.head.take()?;
        head.let_go().then_some(head)
    }
}
