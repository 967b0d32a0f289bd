//! One segment: fixed memory that lives many lives.
//!
//! A segment is allocated once and stays where it is until the whole log goes
//! away (*type-stable* memory). So a reader may look at the pins of a segment
//! that was recycled under its eyes; it learns from them that it came too
//! late. The rest may be read only while something keeps the present life
//! going: a pin on a head in whose window the segment is, or a hold.
//!
//! ```text
//!  one allocation; in front, each side has its cache lines to itself
//!  | pins, holds, link | published, place, next ... | value value value ...
//!    readers write       only the writer writes
//! ```
//!
//! A life: *free* (nothing holds it) -> *head* -> in the *window*, full ->
//! *retired* (only pinned heads hold it) -> *free*.

use std::alloc::{self, Layout};
use std::mem::MaybeUninit;
use std::ops::{Deref, Range};
use std::ptr::NonNull;

use super::pins::Pins;
use crate::padded::Padded;
use crate::sync::{AtomicUsize, Ordering, UnsafeCell};
use crate::witness::Witness;

/// What the witness takes for one value.
const WITNESSED_BYTES: usize = 8;

/// A segment of a log that still exists.
///
/// Whoever keeps one also keeps the log, or is a part of it. That makes it
/// safe to follow for as long as anybody can.
pub(super) struct SegmentRef<T>(NonNull<Segment<T>>);

/// What a segment is in its present life. Set before it becomes the head, and
/// the same until it is free.
pub(super) struct Place<T> {
    /// Which segment of the log this is; the first is 0.
    pub(super) sequence: u64,
    /// The first segment of the window that has this one as its head.
    pub(super) oldest: SegmentRef<T>,
    /// The segment before this one; itself for the very first.
    pub(super) previous: SegmentRef<T>,
    /// The segment that [`skip_sequence`] names, if it is in the window.
    pub(super) skip: Option<SegmentRef<T>>,
}

/// The segment to which a segment keeps a short cut: its own sequence without
/// the lowest set bit, as in a Fenwick tree.
pub(super) const fn skip_sequence(sequence: u64) -> u64 {
    sequence & sequence.saturating_sub(1)
}

/// The memory of a segment; see the [module](self).
pub(super) struct Segment<T> {
    readers: Padded<ReaderSide<T>>,
    writer: Padded<WriterSide<T>>,
}

struct ReaderSide<T> {
    pins: Pins,
    /// Reasons against recycling: one for the window, one for the pins that
    /// it may have had as a head, and one for each pinned head whose ward it
    /// is.
    holds: AtomicUsize,
    /// Next in whichever list the segment is; belongs to the list's owner.
    link: UnsafeCell<Option<SegmentRef<T>>>,
}

struct WriterSide<T> {
    /// How many values are initialised and visible.
    published: AtomicUsize,
    place: UnsafeCell<MaybeUninit<Place<T>>>,
    next: UnsafeCell<Option<SegmentRef<T>>>,
    /// Next in the writer's queue of heads that were pinned.
    next_pinned: UnsafeCell<Option<SegmentRef<T>>>,
    /// Next in the list of all segments of the log.
    allocated_before: Option<SegmentRef<T>>,
    witness: Witness,
}

/// How the segments of a log lie in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) capacity: usize,
    layout: Layout,
}

impl Shape {
    /// Segments with room for `capacity` values, unless that is more than an
    /// address space can have.
    pub(super) fn new<T>(capacity: usize) -> Option<Self> {
        let values = Layout::array::<T>(capacity).ok()?;
        let (layout, values_at) = Layout::new::<Segment<T>>().extend(values).ok()?;
        debug_assert_eq!(values_at, SegmentRef::<T>::VALUES_AT);
        Some(Self { capacity, layout })
    }

    /// Ends the program as any allocation does that finds no memory.
    pub(super) fn out_of_memory(&self) -> ! {
        alloc::handle_alloc_error(self.layout)
    }
}

impl<T> SegmentRef<T> {
    /// How many bytes into a segment its values begin. A constant, so that
    /// their address is known without a look at memory that the writer writes.
    const VALUES_AT: usize = size_of::<Segment<T>>().next_multiple_of(align_of::<T>());

    /// A free segment in new memory, or `None` if there is none to be had.
    pub(super) fn allocate(shape: &Shape, allocated_before: Option<Self>) -> Option<Self> {
        // SAFETY: not empty, because a `Segment` is part of the layout.
        let memory = unsafe { alloc::alloc(shape.layout) };
        let segment = NonNull::new(memory)?.cast::<Segment<T>>();
        let free = Segment::free(shape.capacity, allocated_before);
        // SAFETY: the layout begins with room for a `Segment`, aligned for it.
        unsafe { segment.write(free) };
        Some(Self(segment))
    }

    /// Gives the memory back. Drops no values.
    ///
    /// # Safety
    ///
    /// `shape` is what the segment was allocated with, and nobody follows this
    /// reference or a copy of it afterwards.
    pub(super) unsafe fn deallocate(self, shape: &Shape) {
        // SAFETY: initialised by `allocate`; the caller ends its use.
        unsafe { self.0.drop_in_place() };
        // SAFETY: allocated with this layout, and given back once.
        unsafe { alloc::dealloc(self.0.as_ptr().cast(), shape.layout) };
    }

    /// Drops all values and leaves none. If one of them panics as it drops,
    /// the others are dropped all the same.
    ///
    /// # Safety
    ///
    /// Nobody else can see the values any more.
    pub(super) unsafe fn drop_values(self) {
        let side = &self.writer.0;
        // Relaxed, both: whoever may drop has taken the segment over already.
        let count = side.published.load(Ordering::Relaxed);
        side.published.store(0, Ordering::Relaxed);
        side.witness.write(witnessed(&(0..count)));
        let values = NonNull::slice_from_raw_parts(self.values_start(), count);
        // SAFETY:
        // - initialised: as many as were published;
        // - once: the count is gone already, also when a drop panics;
        // - unseen: says the caller.
        unsafe { values.drop_in_place() };
    }

    /// Where the values begin.
    #[inline]
    pub(super) fn values_start(self) -> NonNull<T> {
        // SAFETY: inside the segment's allocation, or at its end.
        let values = unsafe { self.0.byte_add(Self::VALUES_AT) };
        values.cast()
    }

    /// Brings the memory of a value near, whether or not it is written yet.
    #[inline(always)]
    pub(super) fn prefetch(self, index: usize) {
        let value = self.values_start().as_ptr().wrapping_add(index);
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint that reads nothing, wherever it points.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(value.cast()) };
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _no_such_hint = value;
    }

    pub(super) fn as_ptr(self) -> *mut Segment<T> {
        self.0.as_ptr()
    }

    /// The reverse of [`as_ptr`](Self::as_ptr).
    pub(super) fn from_ptr(pointer: *mut Segment<T>) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    /// Values of the segment, as a slice.
    ///
    /// # Safety
    ///
    /// The caller has seen that the values in `range` are published, and the
    /// segment's present life lasts for all of `'a`.
    #[inline]
    pub(super) unsafe fn values<'a>(self, range: Range<usize>) -> &'a [T]
    where
        T: 'a,
    {
        self.writer.0.witness.read(witnessed(&range));
        // SAFETY: published values lie inside the segment.
        let first = unsafe { self.values_start().add(range.start) };
        // SAFETY:
        // - initialised: published values are, and the caller saw that;
        // - unchanging: the writer writes only above what is published, and
        //   values are dropped only when the life is over (INV-C2, INV-C4).
        unsafe { std::slice::from_raw_parts(first.as_ptr(), range.len()) }
    }
}

impl<T> Segment<T> {
    fn free(capacity: usize, allocated_before: Option<SegmentRef<T>>) -> Self {
        Self {
            readers: Padded(ReaderSide {
                pins: Pins::new(),
                holds: AtomicUsize::new(0),
                link: UnsafeCell::new(None),
            }),
            writer: Padded(WriterSide {
                published: AtomicUsize::new(0),
                place: UnsafeCell::new(MaybeUninit::uninit()),
                next: UnsafeCell::new(None),
                next_pinned: UnsafeCell::new(None),
                allocated_before,
                witness: Witness::new(capacity * WITNESSED_BYTES),
            }),
        }
    }

    #[inline]
    pub(super) fn pins(&self) -> &Pins {
        &self.readers.0.pins
    }

    /// How many values may be seen by who pins this head.
    #[inline]
    pub(super) fn published(&self) -> usize {
        // Acquire pairs with the Release in `publish`: who sees the count sees
        // the values. `INV-C2`
        self.writer.0.published.load(Ordering::Acquire)
    }

    /// Makes the first `values` values visible; only for the writer.
    #[inline]
    pub(super) fn publish(&self, values: usize) {
        // Release hands the values to the Acquire in `published`.
        self.writer.0.published.store(values, Ordering::Release);
    }

    /// Tells a model checker that the writer writes these values.
    #[inline(always)]
    pub(super) fn witness_write(&self, range: Range<usize>) {
        self.writer.0.witness.write(witnessed(&range));
    }

    /// What the segment is in its present life.
    ///
    /// # Safety
    ///
    /// The caller pins a head in whose window this is, or holds the segment,
    /// or is the writer and the segment is not free.
    #[inline]
    pub(super) unsafe fn place(&self) -> Place<T> {
        self.writer.0.place.with(|place| {
            // SAFETY: not written as long as the life lasts.
            let place = unsafe { &*place };
            // SAFETY: written when the life began.
            unsafe { place.assume_init() }
        })
    }

    /// The segment after this one.
    ///
    /// # Safety
    ///
    /// As for [`place`](Self::place); and the caller knows of a later segment.
    #[inline]
    pub(super) unsafe fn next(&self) -> SegmentRef<T> {
        self.writer.0.next.with(|next| {
            // SAFETY: written once in a life, before there was a later one.
            let next = unsafe { *next };
            debug_assert!(next.is_some());
            // SAFETY: written, since there is a later one.
            unsafe { next.unwrap_unchecked() }
        })
    }

    /// Says which segment comes next.
    ///
    /// # Safety
    ///
    /// The caller is the writer, this is the head, and `next` has not begun
    /// its life.
    pub(super) unsafe fn set_next(&self, next: SegmentRef<T>) {
        let cell = &self.writer.0.next;
        // SAFETY: nobody follows `next` before it has begun.
        cell.with_mut(|cell| unsafe { *cell = Some(next) });
    }

    /// Begins a life as the head to be. Readers may pin it from here on.
    ///
    /// # Safety
    ///
    /// The segment is free and the caller's own.
    pub(super) unsafe fn begin(&self, place: Place<T>) {
        let cell = &self.writer.0.place;
        // SAFETY: nobody reads the place of a free segment.
        cell.with_mut(|cell| unsafe { *cell = MaybeUninit::new(place) });
        // Relaxed, both: the `open` hands them over.
        self.writer.0.published.store(0, Ordering::Relaxed);
        // One for the window, one for pins.
        self.readers.0.holds.store(2, Ordering::Relaxed);
        self.pins().open();
    }

    /// Adds a reason against recycling, for a caller that has one already.
    pub(super) fn hold(&self) {
        // Relaxed: what is held stays; nothing is handed over (as in `Arc`).
        self.readers.0.holds.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a reason away. True if it was the last: nobody but the caller
    /// has the segment now.
    #[must_use]
    pub(super) fn let_go(&self) -> bool {
        let holds = &self.readers.0.holds;
        // Only who has a hold can add one: with the last one in our hands, no
        // read-modify-write is needed. Acquire as below.
        if holds.load(Ordering::Acquire) == 1 {
            return true;
        }
        // Release hands our reads, and those that were handed to us, to who
        // lets go last; Acquire is for the last.
        holds.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Takes away the hold for pins, of which there were none.
    pub(super) fn let_go_unpinned(&self) {
        // Relaxed: nobody but the writer has this segment's holds, as nobody
        // pins it and it has not been a ward.
        self.readers.0.holds.store(1, Ordering::Relaxed);
    }

    /// The next segment in the list that this one is in.
    ///
    /// # Safety
    ///
    /// The caller owns the list.
    pub(super) unsafe fn link(&self) -> Option<SegmentRef<T>> {
        // SAFETY: the owner is alone here.
        self.readers.0.link.with(|link| unsafe { *link })
    }

    /// Changes what [`link`](Self::link) says.
    ///
    /// # Safety
    ///
    /// The caller owns the segment, or the list that it is in.
    pub(super) unsafe fn set_link(&self, to: Option<SegmentRef<T>>) {
        let cell = &self.readers.0.link;
        // SAFETY: the owner is alone here.
        cell.with_mut(|cell| unsafe { *cell = to });
    }

    /// The next pinned head in the writer's queue.
    ///
    /// # Safety
    ///
    /// The caller is the writer.
    pub(super) unsafe fn next_pinned(&self) -> Option<SegmentRef<T>> {
        // SAFETY: the writer is alone here.
        self.writer.0.next_pinned.with(|next| unsafe { *next })
    }

    /// Changes what [`next_pinned`](Self::next_pinned) says.
    ///
    /// # Safety
    ///
    /// The caller is the writer.
    pub(super) unsafe fn set_next_pinned(&self, to: Option<SegmentRef<T>>) {
        let cell = &self.writer.0.next_pinned;
        // SAFETY: the writer is alone here.
        cell.with_mut(|cell| unsafe { *cell = to });
    }

    /// The segment that was allocated before this one.
    pub(super) fn allocated_before(&self) -> Option<SegmentRef<T>> {
        self.writer.0.allocated_before
    }
}

fn witnessed(values: &Range<usize>) -> Range<usize> {
    values.start * WITNESSED_BYTES..values.end * WITNESSED_BYTES
}

impl<T> Deref for SegmentRef<T> {
    type Target = Segment<T>;

    #[inline]
    fn deref(&self) -> &Segment<T> {
        // SAFETY: the log exists, by what a `SegmentRef` is, and with it every
        // segment that it ever allocated.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Clone for SegmentRef<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SegmentRef<T> {}

impl<T> PartialEq for SegmentRef<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Clone for Place<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Place<T> {}

// SAFETY: whoever has a segment may read its values (`Sync`), and drop them
// when it lets go last (`Send`). The rest of a segment is atomics, and cells
// whose owner changes by those.
unsafe impl<T: Send + Sync> Send for SegmentRef<T> {}

// SAFETY: it is a pointer; sharing it gives no more than copying it.
unsafe impl<T: Send + Sync> Sync for SegmentRef<T> {}
