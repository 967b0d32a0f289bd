//! Where the end of the log was cut while it was open.
//!
//! The numbers behind a cut are given to other records. Whoever has seen the
//! old ones must not take the new ones for what follows: subscriptions and
//! cursors remember how many cuts there had been when they were made, and ask
//! here for the lowest of those that came since.

use std::sync::PoisonError;

use crate::Lsn;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// The cuts of a log, since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    count: AtomicU64,
    /// Those behind which no lower one came, with their numbers: ascending in
    /// both.
    lowest: Mutex<Vec<(u64, Lsn)>>,
}

impl Cuts {
    /// How many there have been.
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        // Acquire pairs with the Release in `add`, for those who look without
        // the door.
        self.count.load(Ordering::Acquire)
    }

    /// Takes down that records from `end` on were discarded.
    pub(crate) fn add(&self, end: Lsn) {
        let mut lowest = self.lowest.lock().unwrap_or_else(PoisonError::into_inner);
        while lowest.last().is_some_and(|(_, before)| *before >= end) {
            lowest.pop();
        }
        let number = self.count();
        lowest.push((number, end));
        self.count.store(number + 1, Ordering::Release);
    }

    /// How many there have been, and the lowest of those behind the first
    /// `seen`, if there are any: every record in front of it is what it was
    /// then.
    pub(crate) fn lowest_since(&self, seen: u64) -> Option<(u64, Lsn)> {
        if self.count() == seen {
            return None;
        }
        let lowest = self.lowest.lock().unwrap_or_else(PoisonError::into_inner);
        let since = lowest.iter().find(|(number, _)| *number >= seen);
        // The count changes under the lock.
        since.map(|(_, end)| (self.count(), *end))
    }
}

#[cfg(all(test, not(log_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_cut_since_then_counts() {
        let cuts = Cuts::default();
        assert_eq!(cuts.lowest_since(0), None);
        for end in [50, 20, 30, 40, 30] {
            cuts.add(Lsn(end));
        }
        let since = |seen| cuts.lowest_since(seen).map(|(_, end)| end.0);
        assert_eq!(cuts.count(), 5);
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(since),
            [Some(20), Some(20), Some(30), Some(30), Some(30), None]
        );
    }
}
