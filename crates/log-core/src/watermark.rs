//! A mark that only rises.

use crate::Lsn;
use crate::sync::{AtomicU64, Ordering};

/// An exclusive end that only rises: everything below it has some property.
///
/// A log has four of them: `reserved_end >= published_end >= written_end >=
/// durable_end`. Any number of threads may read and raise one at the same
/// time.
///
/// ```
/// use log_core::{Lsn, Watermark};
///
/// let durable_end = Watermark::new(Lsn(3));
/// durable_end.advance_to(Lsn(5));
/// durable_end.advance_to(Lsn(4)); // a late, lower value changes nothing
/// assert_eq!(durable_end.get(), Lsn(5));
/// ```
#[derive(Debug)]
pub struct Watermark(AtomicU64);

impl Watermark {
    /// A mark that starts at `end`.
    #[must_use]
    pub fn new(end: Lsn) -> Self {
        Self(AtomicU64::new(end.0))
    }

    /// One past the last record that has the property. Whatever the thread
    /// that raised the mark did before is visible afterwards. `INV-C2`
    #[inline]
    #[must_use]
    pub fn get(&self) -> Lsn {
        // Acquire pairs with the Release in `advance_to`: who sees the new end
        // sees what was written before it moved.
        Lsn(self.0.load(Ordering::Acquire))
    }

    /// Raises the mark to `end`; a lower value is ignored. `INV-C1`
    #[inline]
    pub fn advance_to(&self, end: Lsn) {
        // Release hands every earlier write of this thread to the Acquire in
        // `get`. `max` keeps the mark rising when two threads arrive out of
        // order.
        self.0.fetch_max(end.0, Ordering::Release);
    }
}
