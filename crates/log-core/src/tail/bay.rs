//! Where the open segment stands.
//!
//! Appending threads must reach the open segment without a lock, while another
//! thread replaces it. So there are two bays that live as long as the tail; the
//! open segment stands in one, its predecessor in the other. A thread goes to
//! the bay that it believes is current and tries to reserve there. If it was
//! mistaken the bay is sealed and refuses; if it succeeds, the bay cannot be
//! cleared before its records are published, so that until then it may use the
//! segment that stands there.

use super::head::{Head, Need, SEALED};
use super::segment::Segment;
use crate::Lsn;
use crate::padded::Padded;
use crate::sync::{Arc, AtomicU64, Ordering, UnsafeCell};

pub(super) struct Bay<M> {
    head: Padded<AtomicU64>,
    /// The base of the segment that stands here, for who asks without a
    /// reservation. Bases only grow, so a base seen before and after a look at
    /// the head says whose head it was.
    base: AtomicU64,
    /// Written by the roller alone, while the head is sealed and no record that
    /// was reserved here is unpublished. Read by who holds such a record.
    segment: UnsafeCell<Option<Arc<Segment<M>>>>,
}

// SAFETY: a bay gives out `&Segment<M>` to many threads and drops an
// `Arc<Segment<M>>` on any of them, which asks for both of `M`.
unsafe impl<M: Send + Sync> Send for Bay<M> {}
// SAFETY: as above; who may touch the cell when is told at the field.
unsafe impl<M: Send + Sync> Sync for Bay<M> {}

impl<M> Bay<M> {
    pub(super) fn empty() -> Self {
        Self {
            head: Padded(AtomicU64::new(Head::CLOSED.to_bits())),
            base: AtomicU64::new(0),
            segment: UnsafeCell::new(None),
        }
    }

    /// Takes room from whatever segment is open here; the head before it.
    #[inline]
    pub(super) fn take(&self, need: Need) -> Option<Head> {
        let mut head = self.head();
        loop {
            let taken = head.take(need.bytes(), need.records())?;
            // Acquire pairs with the Release in `open`: we are about to use the
            // segment. (Every change of an open head is a read-modify-write,
            // which carries that release on.)
            match self.head.0.compare_exchange_weak(
                head.to_bits(),
                taken.to_bits(),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(head),
                Err(now) => head = Head::from_bits(now),
            }
        }
    }

    #[inline]
    fn head(&self) -> Head {
        // Acquire pairs with the Release in `open`: for `base_and_head`, which
        // must not see the head of a later segment with the base of this one.
        Head::from_bits(self.head.0.load(Ordering::Acquire))
    }

    /// The base of the segment that stands here, and its head. `None` while
    /// it is being replaced.
    pub(super) fn base_and_head(&self) -> Option<(Lsn, Head)> {
        // Acquire keeps the look at the head behind this one.
        let base = self.base.load(Ordering::Acquire);
        let head = self.head();
        // Relaxed: behind the head's Acquire already.
        (self.base.load(Ordering::Relaxed) == base).then_some((Lsn(base), head))
    }

    /// Refuses further reservations; the final head.
    pub(super) fn seal(&self) -> Head {
        // Relaxed: the roller holds the roll lock, and waits for the records
        // themselves.
        Head::from_bits(self.head.0.fetch_or(SEALED, Ordering::Relaxed))
    }

    /// Lets reservations in, or in again.
    pub(super) fn open(&self, head: Head) {
        // Release hands the segment to the Acquire in `take`.
        self.head.0.store(head.to_bits(), Ordering::Release);
    }

    /// The segment, for the holder of a reservation in it.
    ///
    /// # Safety
    ///
    /// The caller must have taken room from this bay, and not use the reference
    /// any more when its records are published.
    #[inline]
    pub(super) unsafe fn segment(&self) -> Option<&Segment<M>> {
        // SAFETY: the bay is not cleared while the caller's records are
        // unpublished, and the caller stops before.
        self.segment
            .with(|segment| unsafe { (*segment).as_deref() })
    }

    /// Puts a segment in, or takes the old one out.
    ///
    /// # Safety
    ///
    /// The caller must hold the roll lock, the bay must be sealed, and every
    /// record that was reserved in it published, with that acquired.
    pub(super) unsafe fn replace(&self, segment: Option<Arc<Segment<M>>>) {
        if let Some(segment) = &segment {
            // Handed over by the Release in `open`.
            self.base.store(segment.base().0, Ordering::Relaxed);
        }
        let old = self.segment.with_mut(|place| {
            // SAFETY: nobody else reads or writes it now, by the contract.
            unsafe { std::mem::replace(&mut *place, segment) }
        });
        drop(old);
    }
}
