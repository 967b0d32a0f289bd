//! The sealed segments of a log, for readers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use log_core::Lsn;

use crate::report::SealedSegment;

/// Every sealed segment, ascending and without a gap.
///
/// A segment is added here before it leaves memory, so that whoever looks in
/// memory first and here second finds every record.
#[derive(Debug)]
pub(crate) struct Catalog {
    sealed: RwLock<Vec<SealedSegment>>,
    /// How many were ever added, to see a change without taking the lock.
    count: AtomicU64,
}

impl Catalog {
    pub(crate) fn new(sealed: Vec<SealedSegment>) -> Self {
        Self {
            count: AtomicU64::new(sealed.len() as u64),
            sealed: RwLock::new(sealed),
        }
    }

    pub(crate) fn push(&self, segment: SealedSegment) {
        let mut sealed = self.sealed.write().unwrap_or_else(PoisonError::into_inner);
        sealed.push(segment);
        // Release pairs with the Acquire in `count`: who sees the number finds
        // the segment.
        self.count.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn all(&self) -> Vec<SealedSegment> {
        self.read().clone()
    }

    pub(crate) fn first_lsn(&self) -> Option<Lsn> {
        self.read().first().map(|segment| segment.base)
    }

    /// One past the last record of the last sealed segment.
    pub(crate) fn end(&self) -> Option<Lsn> {
        self.read().last().map(|segment| segment.end)
    }

    /// The segment that has `lsn`.
    pub(crate) fn find(&self, lsn: Lsn) -> Option<SealedSegment> {
        let sealed = self.read();
        let after = sealed.partition_point(|segment| segment.base <= lsn);
        // An empty segment has the same base as the next one: skip it.
        let segment = sealed.get(after.checked_sub(1)?)?;
        (lsn < segment.end).then(|| segment.clone())
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<SealedSegment>> {
        self.sealed.read().unwrap_or_else(PoisonError::into_inner)
    }
}
