//! What all handles of a log share.

use super::arena::Arena;
use super::pin::Pin;
use super::recycler::{Recycler, Returned};
use super::segment::{Place, Segment, SegmentRef, Shape};
use super::settlement::Settlement;
use super::thorough::for_each_thoroughly;
use crate::padded::Padded;
use crate::sync::{AtomicBool, AtomicPtr, Ordering, UnsafeCell};
use crate::{Bell, Lsn};

/// A log: its segments, and where readers find the newest.
pub(super) struct Shared<T> {
    /// Written at every roll, read for every snapshot.
    head: Padded<AtomicPtr<Segment<T>>>,
    /// Looked at for every append, hardly ever written.
    steady: Padded<Steady<T>>,
    returned: Padded<Returned<T>>,
    claim: Padded<Claim<T>>,
}

struct Steady<T> {
    bell: Bell,
    base: Lsn,
    capacity: usize,
    window: u64,
    arena: Arena<T>,
}

struct Claim<T> {
    taken: AtomicBool,
    /// Lie here when nobody has the claim.
    books: UnsafeCell<Recycler<T>>,
}

impl<T> Shared<T> {
    /// An empty log that begins at `base` and retains `window` segments.
    pub(super) fn new(base: Lsn, window: u64, shape: Shape) -> Self {
        let arena = Arena::new(shape);
        let Some(head) = arena.allocate() else {
            arena.out_of_memory()
        };
        let place = Place {
            sequence: 0,
            oldest: head,
            previous: head,
            skip: None,
        };
        // SAFETY: new, and ours.
        unsafe { head.begin(place) };
        Self {
            head: Padded(AtomicPtr::new(head.as_ptr())),
            steady: Padded(Steady {
                bell: Bell::new(),
                base,
                capacity: shape.capacity,
                window,
                arena,
            }),
            returned: Padded(Returned::new()),
            claim: Padded(Claim {
                taken: AtomicBool::new(false),
                books: UnsafeCell::new(Recycler::new()),
            }),
        }
    }

    #[inline]
    pub(super) fn bell(&self) -> &Bell {
        &self.steady.0.bell
    }

    /// How many values a segment has room for.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.steady.0.capacity
    }

    /// How many segments are retained, the head among them.
    pub(super) fn window(&self) -> u64 {
        self.steady.0.window
    }

    /// The first segment of the window that has this head.
    #[inline]
    pub(super) fn window_start(&self, head_sequence: u64) -> u64 {
        (head_sequence + 1).saturating_sub(self.window())
    }

    pub(super) fn arena(&self) -> &Arena<T> {
        &self.steady.0.arena
    }

    /// The number of the record that lies `offset` values into a segment that
    /// exists, or of the end of it.
    #[inline]
    pub(super) fn lsn_at(&self, sequence: u64, offset: usize) -> Lsn {
        // No overflow: the writer begins no segment whose first number does
        // not exist, and does not fill it beyond the last.
        Lsn(self.steady.0.base.0 + sequence * self.capacity() as u64 + offset as u64)
    }

    /// In which segment a record lies, and how many values into it, whether
    /// or not it exists by now. `None` below the base of the log.
    pub(super) fn locate(&self, lsn: Lsn) -> Option<(u64, usize)> {
        let index = lsn.distance_from(self.steady.0.base)?;
        let capacity = self.capacity() as u64;
        Some((index / capacity, (index % capacity) as usize))
    }

    #[inline]
    pub(super) fn head(&self) -> SegmentRef<T> {
        // Acquire pairs with the Release in `set_head`: who sees a segment
        // sees that it was allocated, and that the one before it is full.
        let head = self.head.0.load(Ordering::Acquire);
        // SAFETY: there is a head from the very beginning.
        unsafe { SegmentRef::from_ptr(head).unwrap_unchecked() }
    }

    /// Shows a new head to readers; only for the writer.
    pub(super) fn set_head(&self, head: SegmentRef<T>) {
        // Release hands the segment to the Acquire in `head`.
        self.head.0.store(head.as_ptr(), Ordering::Release);
    }

    /// Pins the head, and with it its window (`INV-C4`). Tries again only
    /// when a new head came in between.
    #[inline]
    pub(super) fn pin_head(&self) -> Pin<T> {
        loop {
            let head = self.head();
            if head.pins().try_pin() {
                // SAFETY: pinned. A pin lives in a value that has a handle of
                // the log as well, and drops that later.
                return unsafe { Pin::adopt(head, self) };
            }
        }
    }

    /// Whether there are values beyond the first `seen` of a pinned head.
    pub(super) fn has_beyond(&self, pin: &Pin<T>, seen: usize) -> bool {
        let ours = pin.head();
        if ours.published() > seen {
            return true;
        }
        // A head that is not full has no successor. A successor without values
        // is one to which the writer is about to append, and to ring then.
        // Unpinned, it may be recycled under our eyes, but not without having
        // had values.
        seen == self.capacity() && ours.pins().is_replaced() && self.head().published() > 0
    }

    /// Takes away a pin of this head, and sees to what nobody can see any
    /// more.
    ///
    /// # Safety
    ///
    /// The caller has the pin and does not use it again.
    #[inline]
    pub(super) unsafe fn unpin(&self, head: SegmentRef<T>) {
        if head.pins().unpin() {
            // SAFETY: the last pin, and it was ours.
            unsafe { self.unpinned(head) };
        }
    }

    /// # Safety
    ///
    /// The caller took away the last pin of this replaced head.
    #[inline(never)]
    unsafe fn unpinned(&self, head: SegmentRef<T>) {
        let returned = &self.returned.0;
        if !std::mem::needs_drop::<T>() {
            // There is nothing to drop now. The writer settles when it wants
            // a segment, so that one who was a thousand segments behind lets
            // go as quickly as one who was up to date.
            // SAFETY: unpinned once, and held until it is settled.
            unsafe { returned.unpinned.push(head) };
            return;
        }
        // SAFETY: the last pin is gone, and the settlement ours.
        let freed = unsafe { Settlement::of(head) };
        for_each_thoroughly(freed, |segment| {
            let give_back = GiveBack { segment, returned };
            // SAFETY: nobody holds it, so nobody sees its values.
            unsafe { give_back.segment.drop_values() };
        });
    }

    /// Takes the writer's claim and books, if nobody has them.
    pub(super) fn try_claim(&self) -> Option<Recycler<T>> {
        let claim = &self.claim.0;
        // Acquire pairs with the Release in `release_claim`: a new writer goes
        // on where the old one stopped. `INV-C3`
        claim
            .taken
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        Some(claim.books.with_mut(|books| {
            // SAFETY: the claim makes them ours alone.
            let books = unsafe { &mut *books };
            std::mem::replace(books, Recycler::new())
        }))
    }

    /// Gives claim and books back.
    ///
    /// # Safety
    ///
    /// The caller has the claim, and the books that came with it.
    pub(super) unsafe fn release_claim(&self, returned: Recycler<T>) {
        let claim = &self.claim.0;
        claim.books.with_mut(|books| {
            // SAFETY: the claim is still the caller's.
            unsafe { *books = returned };
        });
        // Release hands head and books to the Acquire in `try_claim`.
        claim.taken.store(false, Ordering::Release);
    }

    pub(super) fn is_claimed(&self) -> bool {
        // Relaxed: the answer may be out of date at once in any case.
        self.claim.0.taken.load(Ordering::Relaxed)
    }

    /// A free segment for the writer; `None` if there is no memory.
    pub(super) fn take_free(&self, books: &mut Recycler<T>) -> Option<SegmentRef<T>> {
        books.take(&self.returned.0, self.arena())
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if std::mem::needs_drop::<T>() {
            self.steady.0.arena.drop_values();
        }
    }
}

/// Gives a free segment back to the writer, also when a drop panicked.
struct GiveBack<'a, T> {
    segment: SegmentRef<T>,
    returned: &'a Returned<T>,
}

impl<T> Drop for GiveBack<'_, T> {
    fn drop(&mut self) {
        // SAFETY: free, and ours.
        unsafe { self.returned.free.push(self.segment) };
    }
}

// SAFETY: values may be read by many threads (`Sync`) and dropped by any
// (`Send`). The books belong to the holder of the claim, and everything
// else is atomics.
unsafe impl<T: Send + Sync> Send for Shared<T> {}

// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}
