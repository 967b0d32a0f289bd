//! Where the open segment stands.
//!
//! Appending threads must reach the open segment without a lock, while another
//! thread replaces it. So there are two bays that live as long as the tail; the
//! open segment stands in one, its predecessor in the other. A thread goes to
//! the bay that it believes is current and tries to reserve there. If it was
//! mistaken the bay is sealed and refuses; if it succeeds, the bay cannot be
//! cleared before its records are published, so that until then it may use the
//! segment that stands there.

use std::ptr::NonNull;

use super::head::{Head, Need, SEALED};
use super::segment::Segment;
use crate::Lsn;
use crate::padded::Padded;
use crate::sync::{Arc, AtomicU64, Ordering, UnsafeCell};

pub(super) struct Bay<M> {
    head: Padded<AtomicU64>,
    /// The base of the segment that stands here, for who asks without a
    /// reservation. Never falls.
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
        // Relaxed: a stale head fails the exchange, which acquires.
        let mut head = Head::from_bits(self.head.0.load(Ordering::Relaxed));
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

    /// The base of the segment that stands here, and its head.
    ///
    /// Waits for nobody: looks again only if a roll has just passed.
    pub(super) fn base_and_head(&self) -> (Lsn, Head) {
        loop {
            // Acquire pairs with the Release in `replace`: who sees the new
            // base does not see the old segment's head any more.
            let base = self.base.load(Ordering::Acquire);
            // Acquire pairs with the Release in `open`: who sees the new head
            // sees the new base below.
            let head = Head::from_bits(self.head.0.load(Ordering::Acquire));
            // Relaxed: behind the head's Acquire already.
            if self.base.load(Ordering::Relaxed) == base {
                return (Lsn(base), head);
            }
        }
    }

    /// One past the last record that was reserved here.
    pub(super) fn reserved_end(&self) -> Lsn {
        let (base, head) = self.base_and_head();
        Lsn(base.0 + u64::from(head.records()))
    }

    /// Refuses further reservations; the final head.
    pub(super) fn seal(&self) -> Head {
        // Relaxed: the roller holds the roll lock, and waits for the records
        // themselves.
        Head::from_bits(self.head.0.fetch_or(SEALED, Ordering::Relaxed))
    }

    /// Refuses further reservations until the answer is dropped, which opens
    /// the head again as it stands there, also while unwinding.
    pub(super) fn pause(&self) -> Paused<'_, M> {
        Paused {
            bay: self,
            head: self.seal(),
        }
    }

    /// Lets reservations in, or in again.
    pub(super) fn open(&self, head: Head) {
        // Release hands the segment to the Acquire in `take`.
        self.head.0.store(head.to_bits(), Ordering::Release);
    }

    /// The segment, for the holder of a reservation in it: alive until the
    /// holder's records are published.
    ///
    /// # Safety
    ///
    /// The caller must have taken room from this bay, and not have published
    /// its records.
    #[inline]
    pub(super) unsafe fn segment(&self) -> Option<NonNull<Segment<M>>> {
        // SAFETY: the bay is not cleared while the caller's records are
        // unpublished.
        let segment = self.segment.with(|place| unsafe { (*place).as_deref() });
        segment.map(NonNull::from)
    }

    /// Puts a segment in, or takes the old one out.
    ///
    /// # Safety
    ///
    /// The caller must hold the roll lock, the bay must be sealed, and every
    /// record that was reserved in it published, with that acquired.
    pub(super) unsafe fn replace(&self, segment: Option<Arc<Segment<M>>>) {
        if let Some(segment) = &segment {
            // Release, in this order: who sees the old segment's records gone
            // sees where they ended (the seal of its successor, if it looks at
            // the other bay), and who sees the new base does not count the old
            // records on top of it. Pair with the Acquires in `base_and_head`.
            self.head.0.store(Head::CLOSED.to_bits(), Ordering::Release);
            self.base.store(segment.base().0, Ordering::Release);
        }
        let old = self.segment.with_mut(|place| {
            // SAFETY: nobody else reads or writes it now, by the contract.
            unsafe { std::mem::replace(&mut *place, segment) }
        });
        drop(old);
    }
}

/// A bay that refuses reservations for a while.
pub(super) struct Paused<'a, M> {
    bay: &'a Bay<M>,
    /// What it goes on with.
    pub(super) head: Head,
}

impl<M> Paused<'_, M> {
    /// Goes on refusing.
    pub(super) fn stay_closed(self) {
        std::mem::forget(self);
    }
}

impl<M> Drop for Paused<'_, M> {
    fn drop(&mut self) {
        self.bay.open(self.head);
    }
}
