//! The sealed segments of a log, for readers.

use std::collections::VecDeque;
use std::sync::PoisonError;

use log_core::Lsn;

use crate::report::SealedSegment;
use crate::sync::{AtomicU64, Ordering, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Every sealed segment, ascending and without a gap.
///
/// A segment is added here before it leaves memory, so that whoever looks in
/// memory first and here second finds every record.
#[derive(Debug)]
pub(crate) struct Catalog {
    sealed: RwLock<VecDeque<SealedSegment>>,
    /// How often that was changed, to see a change without taking the lock.
    changes: AtomicU64,
}

impl Catalog {
    pub(crate) fn new(sealed: Vec<SealedSegment>) -> Self {
        Self {
            changes: AtomicU64::new(sealed.len() as u64),
            sealed: RwLock::new(sealed.into()),
        }
    }

    pub(crate) fn push(&self, segment: SealedSegment) {
        let mut sealed = self.write();
        sealed.push_back(segment);
        // Release pairs with the Acquire in `changes`: who sees the number finds
        // the segment.
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Takes out the oldest segment, if it ends at or before `lsn`.
    pub(crate) fn pop_before(&self, lsn: Lsn) -> Option<SealedSegment> {
        let mut sealed = self.write();
        sealed.front().filter(|oldest| oldest.end <= lsn)?;
        let oldest = sealed.pop_front()?;
        // Release as in `push`.
        self.changes.fetch_add(1, Ordering::Release);
        Some(oldest)
    }

    /// Takes in again what [`pop_before`](Self::pop_before) gave.
    pub(crate) fn put_back(&self, oldest: SealedSegment) {
        let mut sealed = self.write();
        sealed.push_front(oldest);
        // Release as in `push`.
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(crate) fn all(&self) -> Vec<SealedSegment> {
        self.read().iter().cloned().collect()
    }

    /// The segments that end behind `lsn`, or begin there.
    pub(crate) fn from(&self, lsn: Lsn) -> Vec<SealedSegment> {
        let sealed = self.read();
        let is_before = |it: &SealedSegment| it.end <= lsn && it.base < lsn;
        let first = sealed.partition_point(is_before);
        sealed.range(first..).cloned().collect()
    }

    pub(crate) fn first_lsn(&self) -> Option<Lsn> {
        self.read().front().map(|segment| segment.base)
    }

    /// The segment that has `lsn`.
    pub(crate) fn find(&self, lsn: Lsn) -> Option<SealedSegment> {
        let sealed = self.read();
        let after = sealed.partition_point(|segment| segment.base <= lsn);
        // An empty segment has the same base as the next one: skip it.
        let segment = sealed.get(after.checked_sub(1)?)?;
        (lsn < segment.end).then(|| segment.clone())
    }

    fn write(&self) -> RwLockWriteGuard<'_, VecDeque<SealedSegment>> {
        self.sealed.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, VecDeque<SealedSegment>> {
        self.sealed.read().unwrap_or_else(PoisonError::into_inner)
    }
}
