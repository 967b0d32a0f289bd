//! The many-writer byte tail: records of bytes, appended by any number of
//! threads into regions that somebody else provides.
//!
//! ```text
//!            reserve: one compare-exchange on the head
//!                     |
//!  segment   [cell][cell][cell][ being filled ][cell][   room left        ]
//!                               ^ published_end       ^ reserved_end
//! ```
//!
//! **Append.** A thread takes place and number together, with one
//! compare-exchange on the open segment's head. It fills its cell, stores the
//! cell's first word, and makes it visible in order: `publish` returns when
//! the record and everything before it can be read (`INV-C7`). Neither a lock
//! nor an allocation is on that path.
//!
//! **Roll.** Whoever finds the segment too full rolls: one thread takes a lock,
//! seals the head, and opens a successor in a region that its owner hands over.
//! Numbers go on where the sealed head stopped, so that none is lost or given
//! twice (`INV-C1`). The others meet the seal and wait for the lock.
//!
//! **Read.** A [`Cursor`] walks from cell to cell and yields [`Span`]s:
//! published, unchanging stretches of cells (`INV-C2`), in which the bytes lie
//! exactly as they are to lie in a file. A span holds its segment; a region
//! goes back into use only when nobody holds it (`INV-C4`).
//!
//! The shape is that of Aeron's log buffers (a claim by fetch-and-add, frames
//! published by their first word, readers that walk the frames). Two things
//! differ. The claim is a compare-exchange that never overshoots, because an
//! overshooting sum would have to be kept from wrapping. And visibility has a
//! mark of its own (see `order`), so that regions are recycled without being
//! zeroed, and an `append` that has returned is visible *in order*.
//!
//! Knows nothing of files, checksums or payloads: of a cell it knows the first
//! word ([`Word`](crate::Word)).

mod bay;
mod cursor;
mod head;
mod order;
mod reservation;
mod segment;
mod waypoints;

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

pub use cursor::{Cursor, Span};
pub use head::Need;
pub use reservation::Reservation;
pub use segment::{Segment, SegmentEnd, Start};

use crate::sync::{Arc, AtomicUsize, Mutex, MutexGuard, Ordering, lock};
use crate::word::{CELL_ALIGN_BYTES, CELL_HEADER_BYTES, PAYLOAD_BYTES_MAX, cell_bytes};
use crate::{Lsn, Region, Word};
use bay::Bay;
use head::Head;
use order::Order;
use segment::SegmentId;

/// A successor for a full segment, as [`Tail::reserve_or_roll`] asks for it.
#[derive(Debug)]
pub struct NextSegment<F> {
    /// The memory that it takes.
    pub region: Region,
    /// Where its first cell lies, in bytes; a multiple of 8.
    pub first_position: usize,
    /// Makes its meta, told where the predecessor ended. Cannot fail: at this
    /// point the predecessor is sealed.
    pub open: F,
}

/// Why no successor could be opened. The tail is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollError<E> {
    /// The owner could not provide one.
    Prepare(E),
    /// The region that the owner provided cannot hold what was asked for.
    RegionTooSmall,
    /// The numbers end: a successor could run past the last [`Lsn`].
    NumbersExhausted,
}

/// An append-only log of byte records in memory, for many writers and readers.
///
/// `M` is what the owner keeps with each segment. All methods may be called by
/// any number of threads at the same time.
///
/// ```
/// use log_core::{Lsn, Need, NextSegment, Region, Start, Tail, Word, cell_bytes};
///
/// let region = Region::heap(4096).ok_or("no memory")?;
/// let tail = Tail::new(region, Start::fresh(Lsn(0), 0), ());
///
/// let payload = b"first";
/// let need = Need::new(1, cell_bytes(payload.len())).ok_or("not a cell")?;
/// let mut place = tail.reserve(need).ok_or("segment full")?;
/// place.bytes_mut()[16..][..payload.len()].copy_from_slice(payload);
/// place.publish(Word::new(payload.len() as u32));
///
/// let mut cursor = tail.cursor_at(Lsn(0)).ok_or("not there")?;
/// let span = tail.next_span(&mut cursor).ok_or("nothing new")?;
/// assert_eq!((span.base(), span.end()), (Lsn(0), Lsn(1)));
/// assert_eq!(&span.bytes()[16..21], b"first");
/// # Ok::<(), &str>(())
/// ```
pub struct Tail<M> {
    /// Differs from that of every other tail.
    id: u64,
    order: Order,
    bays: [Bay<M>; 2],
    /// Which bay the open segment stands in.
    current: AtomicUsize,
    /// Held by who rolls or pauses the tail.
    roll: Mutex<()>,
    /// Every segment that can be read, ascending; the last one is open.
    segments: Mutex<VecDeque<Arc<Segment<M>>>>,
}

impl<M: Send + Sync> Tail<M> {
    /// A tail that begins in `region`, empty or behind the cells that
    /// `start` says are there.
    ///
    /// # Panics
    ///
    /// If `start` contradicts itself or the region: positions that are no
    /// multiples of 8, beyond the region or out of order, more records than
    /// fit in between, or numbers that end before the region does. Owners
    /// derive `start` from what they have checked.
    #[must_use]
    pub fn new(region: Region, start: Start, meta: M) -> Self {
        let capacity_bytes = region.len_bytes();
        let records = start.records_within(capacity_bytes);
        let head = Head::open(capacity_bytes - start.end_position, records);
        let id = SegmentId::first();
        let segment = Segment::new(id, region, start.base, start.first_position, meta);
        let tail = Self {
            id: id.tail,
            order: Order::new(start.end),
            bays: [Bay::empty(), Bay::empty()],
            current: AtomicUsize::new(0),
            roll: Mutex::new(()),
            segments: Mutex::new(VecDeque::new()),
        };
        tail.enter(0, Arc::new(segment), head);
        tail
    }

    /// Takes a place for `need` in the open segment, and the numbers that go
    /// with it. `None` if it has no room left: see
    /// [`reserve_or_roll`](Self::reserve_or_roll).
    ///
    /// Never blocks.
    #[inline]
    pub fn reserve(&self, need: Need) -> Option<Reservation<'_, M>> {
        // Relaxed: a stale answer leads to a sealed bay, see `bay`.
        let bay = &self.bays[self.current.load(Ordering::Relaxed)];
        let head = bay.take(need)?;
        self.reservation(bay, head, need)
    }

    /// A reservation of what was just taken from the `head` of `bay`.
    #[inline]
    fn reservation<'a>(
        &'a self,
        bay: &'a Bay<M>,
        head: Head,
        need: Need,
    ) -> Option<Reservation<'a, M>> {
        // SAFETY: taken by our caller, and not yet published.
        let segment = unsafe { bay.segment() }?;
        // SAFETY:
        // - the bay keeps the segment alive until the place is published;
        // - the place is ours: taken from the head, which is moved by
        //   read-modify-writes and by who has sealed it only.
        Some(unsafe { Reservation::new(segment, &self.order, head, need) })
    }

    /// Takes a place for `need`, in a successor of the open segment if it has
    /// no room left.
    ///
    /// Only then `prepare` is called, by one thread at a time. It may block
    /// (those who need the successor wait), and may fail: then the tail is as
    /// it was and smaller records may still fit.
    ///
    /// Blocks until the records of the segment before the open one are
    /// published; so `prepare`, and whoever else holds a reservation, must not
    /// wait for this call.
    ///
    /// # Errors
    ///
    /// See [`RollError`].
    ///
    /// # Panics
    ///
    /// If `prepare` does, or gives a first position that is no multiple of 8.
    /// The tail is as it was, then.
    pub fn reserve_or_roll<E, F>(
        &self,
        need: Need,
        prepare: impl FnOnce() -> Result<NextSegment<F>, E>,
    ) -> Result<Reservation<'_, M>, RollError<E>>
    where
        F: FnOnce(SegmentEnd) -> M,
    {
        if let Some(place) = self.reserve(need) {
            return Ok(place);
        }
        let _rolling = lock(&self.roll);
        // While we waited for the lock somebody else may have rolled.
        if let Some(place) = self.reserve(need) {
            return Ok(place);
        }
        let (bay, head) = self.roll_locked(Some(need), prepare)?;
        // The new head was opened with our need taken already.
        match self.reservation(bay, head, need) {
            Some(place) => Ok(place),
            None => unreachable!("a bay that was just entered has a segment"),
        }
    }

    /// Seals the open segment and goes on in a successor. Does nothing, and
    /// returns false, if the open segment has no record yet.
    ///
    /// Blocks, and panics, as [`reserve_or_roll`](Self::reserve_or_roll) does.
    ///
    /// # Errors
    ///
    /// See [`RollError`].
    pub fn roll<E, F>(
        &self,
        prepare: impl FnOnce() -> Result<NextSegment<F>, E>,
    ) -> Result<bool, RollError<E>>
    where
        F: FnOnce(SegmentEnd) -> M,
    {
        let _rolling = lock(&self.roll);
        if self.reserved_end() == self.open_segment().base() {
            return Ok(false);
        }
        self.roll_locked(None, prepare).map(|_| true)
    }

    /// Like [`roll`](Self::roll), but also leaves an empty segment behind. Its
    /// successor then has the same base.
    ///
    /// # Errors
    ///
    /// See [`RollError`].
    pub fn roll_even_if_empty<E, F>(
        &self,
        prepare: impl FnOnce() -> Result<NextSegment<F>, E>,
    ) -> Result<(), RollError<E>>
    where
        F: FnOnce(SegmentEnd) -> M,
    {
        let _rolling = lock(&self.roll);
        self.roll_locked(None, prepare).map(|_| ())
    }

    /// Goes on in a successor that is made while the tail rests: everything that
    /// was reserved is published, and `prepare` is told where the open segment
    /// ends. With a need that the open segment has room for it does nothing;
    /// without one it always rolls. Returns the place for the need.
    ///
    /// For owners who must have finished one segment before anything appears in
    /// the next. Until `prepare` returns nobody can reserve, not even what would
    /// still fit. If it fails the tail goes on as it was.
    ///
    /// Blocks until everything that is reserved is published; so `prepare`, and
    /// whoever holds a reservation, must not wait for this call.
    ///
    /// # Errors
    ///
    /// See [`RollError`].
    ///
    /// # Panics
    ///
    /// As [`reserve_or_roll`](Self::reserve_or_roll) does.
    pub fn roll_at_rest<E, F>(
        &self,
        need: Option<Need>,
        prepare: impl FnOnce(SegmentEnd) -> Result<NextSegment<F>, E>,
    ) -> Result<Option<Reservation<'_, M>>, RollError<E>>
    where
        F: FnOnce(SegmentEnd) -> M,
    {
        let _rolling = lock(&self.roll);
        // While we waited for the lock somebody else may have rolled.
        if let Some(place) = need.and_then(|need| self.reserve(need)) {
            return Ok(Some(place));
        }
        let old = self.open_segment();
        // Relaxed: it changes under the lock that we hold.
        let paused = self.bays[self.current.load(Ordering::Relaxed)].pause();
        let end = old.end_at(paused.head);
        self.order
            .wait_until(None, || self.order.published_end() >= end.lsn);
        // Goes on by itself, until the successor is sure to be opened.
        let mut paused = Some(paused);
        let closing = &mut paused;
        let (bay, head) = self.roll_locked(need, || {
            let next = prepare(end)?;
            let open = move |end| {
                if let Some(paused) = closing.take() {
                    paused.stay_closed();
                }
                (next.open)(end)
            };
            Ok(NextSegment {
                region: next.region,
                first_position: next.first_position,
                open,
            })
        })?;
        // The new head was opened with the need taken already.
        Ok(need.and_then(|need| self.reservation(bay, head, need)))
    }

    /// Opens a successor, with room for `need` taken; its bay, and its head
    /// before that.
    fn roll_locked<E, F>(
        &self,
        need: Option<Need>,
        prepare: impl FnOnce() -> Result<NextSegment<F>, E>,
    ) -> Result<(&Bay<M>, Head), RollError<E>>
    where
        F: FnOnce(SegmentEnd) -> M,
    {
        let old = self.open_segment();
        // Relaxed: it changes under the lock that we hold.
        let current = self.current.load(Ordering::Relaxed);
        self.clear_other_bay(current, old.base());

        let next = prepare().map_err(RollError::Prepare)?;
        assert!(
            next.first_position.is_multiple_of(CELL_ALIGN_BYTES),
            "a first position of {} bytes is no multiple of {CELL_ALIGN_BYTES}",
            next.first_position
        );
        let room_bytes = next.region.len_bytes().checked_sub(next.first_position);
        let empty = Head::open(room_bytes.ok_or(RollError::RegionTooSmall)?, 0);
        let taken = match need {
            Some(need) => empty.take(need.bytes(), need.records()),
            None => Some(empty),
        };
        let taken = taken.ok_or(RollError::RegionTooSmall)?;
        numbers_suffice(&old, next.region.len_bytes()).ok_or(RollError::NumbersExhausted)?;

        // From here on nothing fails.
        let last = self.bays[current].seal();
        old.seal(last);
        let end = old.end_at(last);
        let meta = (next.open)(end);
        let id = old.id.successor();
        let segment = Segment::new(id, next.region, end.lsn, next.first_position, meta);
        let entered = self.enter(1 - current, Arc::new(segment), taken);
        Ok((entered, empty))
    }

    /// Lets go of the segment before the open one, which the other bay still
    /// holds, once all of its records are published.
    fn clear_other_bay(&self, current: usize, open_base: Lsn) {
        let published = || self.order.published_end() >= open_base;
        self.order.wait_until(None, published);
        // SAFETY:
        // - the roll lock is held by our caller;
        // - the other bay is sealed: only the current one is ever open;
        // - its segment's records all lie below the base of the open one, so
        //   they are published, which the look above acquired.
        unsafe { self.bays[1 - current].replace(None) };
    }

    /// Puts a segment into an empty bay and opens it.
    fn enter(&self, index: usize, segment: Arc<Segment<M>>, head: Head) -> &Bay<M> {
        let bay = &self.bays[index];
        // Readable before the first record in it can be.
        lock(&self.segments).push_back(Arc::clone(&segment));
        // SAFETY: our caller holds the roll lock (or the only reference to a
        // new tail); the bay was cleared, or never used, and is sealed.
        unsafe { bay.replace(Some(segment)) };
        bay.open(head);
        // Relaxed: whoever sees it goes through the bay's head.
        self.current.store(index, Ordering::Relaxed);
        bay
    }

    /// Puts a cell that carries no record behind everything reserved so far.
    /// Returns where it lies, or `None` if the segment has no room for it.
    ///
    /// `fill` gets the whole cell, its position, and the lsn of the next
    /// record, and returns the cell's first word, of an unnumbered kind.
    ///
    /// Blocks until everything reserved before is published, and holds up
    /// appends meanwhile ([`reserve`](Self::reserve) finds no room): for
    /// moments of rest.
    ///
    /// # Panics
    ///
    /// If `fill` does, or if the word is of a numbered kind, of another length,
    /// or neither published nor void. Then nothing is inserted.
    pub fn insert_unnumbered(
        &self,
        payload_bytes: usize,
        fill: impl FnOnce(&mut [u8], SegmentEnd) -> Word,
    ) -> Option<SegmentEnd> {
        let _rolling = lock(&self.roll);
        // Relaxed: it changes under the lock that we hold.
        let bay = &self.bays[self.current.load(Ordering::Relaxed)];
        let segment = self.open_segment();
        // A roll that panicked has left a sealed segment, for the next roll.
        if payload_bytes > PAYLOAD_BYTES_MAX || segment.end().is_some() {
            return None;
        }
        let mut paused = bay.pause();
        let place = segment.end_at(paused.head);
        self.order
            .wait_until(None, || self.order.published_end() >= place.lsn);

        let cell_bytes = cell_bytes(payload_bytes);
        let after = paused.head.take(cell_bytes, 0)?;
        let range = place.position..place.position + cell_bytes;
        // SAFETY: the head is sealed and we alone may open it again, so the
        // room behind it is ours.
        let cell = unsafe { segment.region.reserved(range) };
        let word = fill(cell, place);
        assert!(
            !word.is_numbered() && word.is_complete() && word.cell_bytes() == cell_bytes,
            "{word:?} is no unnumbered cell of {cell_bytes} bytes"
        );
        segment.leave_waypoint(place.position, word, place.lsn);
        // SAFETY: as above; cells begin at multiples of 8.
        unsafe { segment.region.store_word(place.position, word) };
        paused.head = after;
        Some(place)
    }

    /// One past the last record that is visible. `INV-C2`
    #[inline]
    #[must_use]
    pub fn published_end(&self) -> Lsn {
        self.order.published_end()
    }

    /// One past the last record that has a number.
    #[must_use]
    pub fn reserved_end(&self) -> Lsn {
        // Not by `current`, which a roll may overtake: the bay that is not
        // open has the lower end.
        let [one, other] = self.bays.each_ref().map(Bay::reserved_end);
        one.max(other)
    }

    /// Blocks until a record at or beyond `lsn` is visible, at most for
    /// `timeout` (`None`: for ever). Returns whether one is.
    pub fn wait_published(&self, lsn: Lsn, timeout: Option<Duration>) -> bool {
        self.order
            .wait_until(timeout, || self.published_end() > lsn)
    }

    /// The same for a task: woken when something was published. Needs no
    /// runtime.
    pub fn poll_published(&self, lsn: Lsn, context: &Context<'_>) -> Poll<()> {
        self.order
            .poll_until(context, || self.published_end() > lsn)
    }

    /// The open segment.
    #[must_use]
    pub fn open_segment(&self) -> Arc<Segment<M>> {
        match self.segments_locked().back() {
            Some(segment) => Arc::clone(segment),
            // `enter` puts the first one in, and `release_before` leaves the
            // last one.
            None => unreachable!("a tail has an open segment"),
        }
    }

    /// How many segments it has, the open one included.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.segments_locked().len()
    }

    /// The number of the first record that can still be read.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.segments_locked()
            .front()
            .map_or(self.published_end(), |first| first.base())
    }

    /// A cursor whose next record is `lsn`. `None` if its segment was released
    /// or `lsn` is beyond what is published.
    ///
    /// Walks over the cells of some 4 KiB; over more the first time in a
    /// segment that had cells before the tail was made.
    #[must_use]
    pub fn cursor_at(&self, lsn: Lsn) -> Option<Cursor<M>> {
        if lsn > self.published_end() {
            return None;
        }
        let mut cursor = Cursor::before(self.segment_of(lsn)?, lsn);
        cursor.walk_to(lsn);
        Some(cursor)
    }

    /// The cell of record `lsn`, and unnumbered ones in front of it. `None` if
    /// its segment was released or it is not published.
    ///
    /// Takes as long as [`cursor_at`](Self::cursor_at), however much is behind
    /// the record.
    #[must_use]
    pub fn span_of(&self, lsn: Lsn) -> Option<Span<M>> {
        let behind = lsn.checked_add(1)?;
        if behind > self.published_end() {
            return None;
        }
        let mut cursor = Cursor::before(self.segment_of(lsn)?, lsn);
        cursor.walk_to(lsn);
        Some(cursor.span_to(cursor.walk(behind)))
    }

    /// The segment that `lsn` is in, or will be in.
    fn segment_of(&self, lsn: Lsn) -> Option<Arc<Segment<M>>> {
        let segments = self.segments_locked();
        let after = segments.partition_point(|segment| segment.base() <= lsn);
        segments.get(after.checked_sub(1)?).cloned()
    }

    /// What is published behind the cursor, in the segment that it stands in
    /// or else in the next one; moves the cursor behind it. `None` if there is
    /// nothing new, or the next segment was released: then
    /// [`next_lsn`](Cursor::next_lsn) lies before [`first_lsn`](Self::first_lsn).
    ///
    /// One call costs the same however much there is to yield, unless other
    /// threads are appending: then it steps from cell to cell, to the last one
    /// that is published.
    ///
    /// # Panics
    ///
    /// If the cursor is another tail's.
    pub fn next_span(&self, cursor: &mut Cursor<M>) -> Option<Span<M>> {
        loop {
            if let Some(span) = self.next_span_here(cursor) {
                return Some(span);
            }
            if !self.enter_next_segment(cursor) {
                return None;
            }
        }
    }

    /// Like [`next_span`](Self::next_span), but stays in the cursor's segment.
    ///
    /// # Panics
    ///
    /// If the cursor is another tail's.
    pub fn next_span_here(&self, cursor: &mut Cursor<M>) -> Option<Span<M>> {
        let span = self.peek_span_here(cursor)?;
        cursor.pass(&span);
        Some(span)
    }

    /// What [`next_span_here`](Self::next_span_here) would yield. The cursor
    /// stays where it is, for who is not sure to be done with the span: later it
    /// can [`pass`](Cursor::pass) it.
    ///
    /// # Panics
    ///
    /// If the cursor is another tail's.
    #[must_use]
    pub fn peek_span_here(&self, cursor: &Cursor<M>) -> Option<Span<M>> {
        self.assert_own(cursor);
        // Before the look at the segment's end: if records of a later segment
        // are published, then so is the seal of this one.
        let published_end = self.published_end();
        let end = cursor
            .segment
            .end()
            .or_else(|| self.open_end(&cursor.segment));
        let until = match end {
            Some(end) if end.lsn <= published_end => end,
            _ => cursor.walk(published_end),
        };
        (until.position > cursor.position).then(|| cursor.span_to(until))
    }

    /// Moves a cursor that stands at the end of a sealed segment to the front
    /// of the next one. Returns whether it did.
    ///
    /// # Panics
    ///
    /// If the cursor is another tail's.
    pub fn enter_next_segment(&self, cursor: &mut Cursor<M>) -> bool {
        self.assert_own(cursor);
        let at_end = |end: &SegmentEnd| end.position == cursor.position;
        let Some(end) = cursor.segment.end().filter(at_end) else {
            return false;
        };
        debug_assert_eq!(cursor.next, end.lsn, "INV-C1: no record is skipped");
        let next = self.successor_of(&cursor.segment, end.lsn);
        next.map(|next| cursor.enter(next)).is_some()
    }

    /// What is published here says nothing about another tail's memory.
    fn assert_own(&self, cursor: &Cursor<M>) {
        let other = cursor.segment.id.tail;
        assert_eq!(other, self.id, "the cursor is another tail's");
    }

    /// Where the cells of the open segment end, if all that are reserved are
    /// published.
    fn open_end(&self, segment: &Segment<M>) -> Option<SegmentEnd> {
        // Relaxed: what follows says whose head it is.
        let bay = &self.bays[self.current.load(Ordering::Relaxed)];
        let (base, head) = bay.base_and_head();
        // The head of a predecessor is sealed. A successor may have the same
        // base, but if this were its head, we would now see our segment's end.
        if base != segment.base() || head.is_sealed() || segment.end().is_some() {
            return None;
        }
        let end = segment.end_at(head);
        (end.lsn <= self.published_end()).then_some(end)
    }

    /// The segment behind this one, which ended at `end`, if it is there and no
    /// record in between was released.
    fn successor_of(&self, segment: &Segment<M>, end: Lsn) -> Option<Arc<Segment<M>>> {
        let segments = self.segments_locked();
        let first = segments.front()?.id.ordinal;
        // Saturating: what was released may have been a segment with no record.
        let index = segment.id.successor().ordinal.saturating_sub(first);
        let next = segments.get(usize::try_from(index).ok()?)?;
        (next.base() == end).then(|| Arc::clone(next))
    }

    /// Forgets sealed segments that end at or before `lsn`, oldest first, and
    /// returns them. Spans and cursors that hold one keep it; when nobody does,
    /// its region can be taken back. So does the tail itself keep the
    /// predecessor of the open segment, until the next roll.
    pub fn release_before(&self, lsn: Lsn) -> Vec<Arc<Segment<M>>> {
        let mut segments = self.segments_locked();
        let released = segments
            .iter()
            .take_while(|segment| segment.end().is_some_and(|end| end.lsn <= lsn))
            .count();
        // The last one is the open one, or about to be replaced.
        let released = released.min(segments.len().saturating_sub(1));
        segments.drain(..released).collect()
    }

    fn segments_locked(&self) -> MutexGuard<'_, VecDeque<Arc<Segment<M>>>> {
        lock(&self.segments)
    }
}

impl Start {
    /// How many records lie between base and end.
    fn records_within(&self, capacity_bytes: usize) -> u32 {
        let positions = [self.first_position, self.end_position, capacity_bytes];
        assert!(
            positions.is_sorted() && positions.iter().all(|position| position % 8 == 0),
            "the positions of {self:?} do not fit a region of {capacity_bytes} bytes"
        );
        let records = self.end.distance_from(self.base);
        let fitting = (self.end_position - self.first_position) / CELL_HEADER_BYTES;
        let records = records.filter(|records| *records <= fitting as u64);
        let room = self
            .base
            .checked_add((capacity_bytes / CELL_HEADER_BYTES) as u64);
        match (records, room) {
            (Some(records), Some(_)) => records as u32,
            _ => panic!("the numbers of {self:?} do not fit its positions"),
        }
    }
}

/// Whether numbers suffice for all that `open` and a successor of
/// `capacity_bytes` could hold.
fn numbers_suffice<M>(open: &Segment<M>, capacity_bytes: usize) -> Option<Lsn> {
    let cells = open.capacity_bytes() / CELL_HEADER_BYTES + capacity_bytes / CELL_HEADER_BYTES;
    open.base().checked_add(cells as u64)
}

impl<M: Send + Sync> fmt::Debug for Tail<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("published_end", &self.published_end())
            .field("reserved_end", &self.reserved_end())
            .finish_non_exhaustive()
    }
}
