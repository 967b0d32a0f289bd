//! The one who appends.

use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;

use super::AtomicLog;
use super::error::{AppendError, AppendErrorCause};
use super::recycler::Recycler;
use super::segment::{Place, SegmentRef, skip_sequence};
use super::shared::Shared;
use crate::Lsn;

/// The claim to append to an [`AtomicLog`]. There is one at a time (`INV-C3`).
///
/// Dropping it gives the claim back and keeps the data; the next writer goes
/// on where this one stopped. To append from several threads, share it through
/// a `Mutex`.
///
/// ```
/// use log_core::{AtomicLog, Lsn};
///
/// let (mut writer, log) = AtomicLog::new_claimed(100, 16);
/// assert_eq!(writer.append("a"), Lsn(0));
/// assert!(log.try_claim_writer().is_none(), "one at a time");
///
/// drop(writer);
/// let mut writer = log.try_claim_writer().expect("the claim is free again");
/// assert_eq!(writer.append("b"), Lsn(1));
/// ```
pub struct Writer<T> {
    head: SegmentRef<T>,
    /// Where the head's values begin.
    values: NonNull<T>,
    /// How many of them are initialised.
    len: usize,
    /// How many the head may have: its capacity, unless the numbers end first.
    limit: usize,
    /// The number of the head's first value.
    first: Lsn,
    books: Recycler<T>,
    log: AtomicLog<T>,
}

impl<T> Writer<T> {
    /// Claims the log, unless somebody has, and goes on where the last writer
    /// stopped.
    pub(super) fn claim(log: &AtomicLog<T>) -> Option<Self> {
        let books = log.shared.try_claim()?;
        let log = log.clone();
        let head = log.shared.head();
        // SAFETY: the claim makes us the writer.
        let sequence = unsafe { head.place() }.sequence;
        let first = log.shared.lsn_at(sequence, 0);
        Some(Self {
            head,
            values: head.values_start(),
            len: head.published(),
            limit: limit(&log.shared, first),
            first,
            books,
            log,
        })
    }

    /// Appends a value and returns its number.
    ///
    /// On return the value is published: every snapshot that is taken or
    /// refreshed from now on shows it and everything before it (`INV-C7`).
    /// Those who wait are woken.
    ///
    /// Takes constant time, blocks for nobody (`INV-C6`), and allocates only
    /// while the log grows to what it retains, or when readers hold on to more
    /// than ever before (`INV-C5`). One append in `segment_capacity` drops the
    /// values of a segment that left retention.
    ///
    /// # Panics
    ///
    /// Where [`try_append`](Self::try_append) has an error: when there is no
    /// memory or no number left. And when a value that left retention panics
    /// as it is dropped: then `value` is dropped, not appended. The log is
    /// whole after either.
    #[inline]
    pub fn append(&mut self, value: T) -> Lsn {
        match self.try_append(value) {
            Ok(lsn) => lsn,
            Err(error) => refused(error.cause),
        }
    }

    /// As [`append`](Self::append), but hands the value back when it cannot be
    /// appended.
    ///
    /// # Errors
    ///
    /// - [`OutOfMemory`](AppendErrorCause::OutOfMemory): try again later.
    /// - [`OutOfNumbers`](AppendErrorCause::OutOfNumbers): this log is full
    ///   for good.
    #[inline]
    pub fn try_append(&mut self, value: T) -> Result<Lsn, AppendError<T>> {
        if self.len == self.limit
            && let Err(cause) = self.roll()
        {
            return Err(AppendError { value, cause });
        }
        let lsn = self.end();
        // SAFETY: below the limit, and not published.
        unsafe { self.write(value) };
        self.publish();
        Ok(lsn)
    }

    /// Appends all values and returns their numbers.
    ///
    /// Values become visible in order, a segment's worth at a time, and all
    /// are on return. Much cheaper for each value than
    /// [`append`](Self::append). No values: nothing happens at all.
    ///
    /// # Panics
    ///
    /// As [`append`](Self::append), and when the iterator panics. The values
    /// that came before are appended all the same.
    ///
    /// ```
    /// use log_core::{AtomicLog, Lsn};
    ///
    /// let (mut writer, log) = AtomicLog::new_claimed(100, 16);
    /// assert_eq!(writer.append_batch(10..30), Lsn(0)..Lsn(20));
    /// assert_eq!(log.snapshot().iter().sum::<i32>(), (10..30).sum());
    /// ```
    #[inline]
    pub fn append_batch(&mut self, values: impl IntoIterator<Item = T>) -> Range<Lsn> {
        let start = self.end();
        let mut values = values.into_iter();
        // Asked for one first: no values, no new segment.
        while let Some(value) = values.next() {
            if self.len == self.limit
                && let Err(cause) = self.roll()
            {
                refused(cause);
            }
            self.fill(value, &mut values);
        }
        start..self.end()
    }

    /// Appends copies of all values and returns their numbers; the fastest way
    /// to append many.
    ///
    /// # Panics
    ///
    /// As [`append`](Self::append). The values that fitted are appended.
    ///
    /// ```
    /// use log_core::{AtomicLog, Lsn};
    ///
    /// let (mut writer, log) = AtomicLog::new_claimed(100, 16);
    /// assert_eq!(writer.append_slice(&[7; 40]), Lsn(0)..Lsn(40));
    /// assert_eq!(log.snapshot().len(), 40);
    /// ```
    pub fn append_slice(&mut self, mut values: &[T]) -> Range<Lsn>
    where
        T: Copy,
    {
        let start = self.end();
        while !values.is_empty() {
            if self.len == self.limit
                && let Err(cause) = self.roll()
            {
                refused(cause);
            }
            let (now, later) = values.split_at(values.len().min(self.limit - self.len));
            self.head.witness_write(self.len..self.len + now.len());
            // SAFETY: below the limit, so inside the segment.
            let to = unsafe { self.values.add(self.len) };
            // SAFETY: there is room for as many, not published and so not
            // borrowed; `T` is `Copy`.
            unsafe { to.copy_from_nonoverlapping(NonNull::from(now).cast(), now.len()) };
            self.len += now.len();
            self.publish();
            values = later;
        }
        start..self.end()
    }

    /// The number that the next value gets: one past the last.
    #[inline]
    #[must_use]
    pub fn end(&self) -> Lsn {
        // No overflow: `limit` sees to it that the end exists.
        Lsn(self.first.0 + self.len as u64)
    }

    /// The log that this is the writer of.
    #[must_use]
    pub fn log(&self) -> &AtomicLog<T> {
        &self.log
    }

    /// Writes values into the head until it is full or there are no more, then
    /// publishes them; also when the iterator panics.
    #[inline]
    fn fill(&mut self, first: T, values: &mut impl Iterator<Item = T>) {
        let room = self.limit - self.len - 1;
        let batch = Unpublished(self);
        // SAFETY: the caller made room for one at least.
        unsafe { batch.0.write(first) };
        for value in values.take(room) {
            // SAFETY: as many as there is room for.
            unsafe { batch.0.write(value) };
        }
    }

    /// # Safety
    ///
    /// `len` is below `limit`.
    #[inline(always)]
    unsafe fn write(&mut self, value: T) {
        self.head.witness_write(self.len..self.len + 1);
        // SAFETY: below the limit, so inside the segment.
        let place = unsafe { self.values.add(self.len) };
        // SAFETY: inside the segment, and not published, so that nobody else
        // is there.
        unsafe { place.write(value) };
        self.len += 1;
    }

    /// Makes everything visible that was written.
    #[inline(always)]
    fn publish(&mut self) {
        self.head.publish(self.len);
        self.log.shared.bell().ring();
    }

    /// Begins a new head, and lets go of the segment that thereby leaves the
    /// window.
    #[cold]
    #[inline(never)]
    fn roll(&mut self) -> Result<(), AppendErrorCause> {
        let log = self.log.clone();
        let first = self.first.checked_add(log.shared.capacity() as u64);
        let first = first.ok_or(AppendErrorCause::OutOfNumbers)?;
        let limit = limit(&log.shared, first);
        if limit == 0 {
            return Err(AppendErrorCause::OutOfNumbers);
        }
        let new = log.shared.take_free(&mut self.books);
        let new = new.ok_or(AppendErrorCause::OutOfMemory)?;
        let leaving = self.begin(new);
        self.values = new.values_start();
        (self.len, self.limit, self.first) = (0, limit, first);
        if let Some(leaving) = leaving {
            self.retire(leaving);
        }
        Ok(())
    }

    /// Makes a free segment the head. Returns the segment that is in the new
    /// head's window no more.
    fn begin(&mut self, new: SegmentRef<T>) -> Option<SegmentRef<T>> {
        let old = self.head;
        // SAFETY: we are the writer.
        let before = unsafe { old.place() };
        let sequence = before.sequence + 1;
        let leaving = (sequence >= self.log.shared.window()).then_some(before.oldest);
        // SAFETY: we are the writer, this is the head, and `new` is still free.
        unsafe { old.set_next(new) };
        let oldest = match leaving {
            // SAFETY: in the window, and not the last in it.
            Some(leaving) => unsafe { leaving.next() },
            None => before.oldest,
        };
        let place = Place {
            sequence,
            oldest,
            previous: old,
            skip: self.skip_from(sequence, oldest),
        };
        // SAFETY: free, and taken by us.
        unsafe { new.begin(place) };
        self.log.shared.set_head(new);
        self.head = new;
        // SAFETY: we are the writer, and the new head is there for all to see.
        unsafe { self.books.replaced(old) };
        leaving
    }

    /// Where the short cut of the segment after the head leads.
    fn skip_from(&self, sequence: u64, oldest: SegmentRef<T>) -> Option<SegmentRef<T>> {
        let target = skip_sequence(sequence);
        // SAFETY: we are the writer, and it is in the window.
        if target < unsafe { oldest.place() }.sequence {
            return None;
        }
        let mut segment = self.head;
        loop {
            // SAFETY: as above: not below `target`.
            let place = unsafe { segment.place() };
            if place.sequence == target {
                return Some(segment);
            }
            // The short cuts of what lies between meet at `target`, because
            // they clear one trailing bit after the other.
            segment = place.skip?;
        }
    }

    /// Lets go of a segment that left the window: for good if nobody sees it,
    /// else its readers will.
    fn retire(&mut self, leaving: SegmentRef<T>) {
        // SAFETY: we are the writer, it was the oldest of the window, and
        // every head that was replaced is in the books.
        if unsafe { self.books.retire(leaving) } {
            // SAFETY: free, and ours.
            unsafe { self.books.put_back(leaving) };
            // Last, because it may panic.
            // SAFETY: nobody holds it, so nobody sees its values.
            unsafe { leaving.drop_values() };
        }
    }
}

/// How many values the segment may have that begins at `first`: the end of the
/// log must have a number too.
fn limit<T>(log: &Shared<T>, first: Lsn) -> usize {
    let numbers = usize::try_from(u64::MAX - first.0).unwrap_or(usize::MAX);
    log.capacity().min(numbers)
}

#[cold]
#[inline(never)]
fn refused(cause: AppendErrorCause) -> ! {
    panic!("append to AtomicLog: {cause}")
}

/// Publishes what was written, come what may.
struct Unpublished<'a, T>(&'a mut Writer<T>);

impl<T> Drop for Unpublished<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.publish();
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        let books = std::mem::replace(&mut self.books, Recycler::new());
        // SAFETY: the claim is ours, and given back with the books.
        unsafe { self.log.shared.release_claim(books) };
    }
}

impl<T> fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

// SAFETY: a writer may go to another thread with all it refers to: values are
// read and dropped by many threads, and written by whichever has the writer.
unsafe impl<T: Send + Sync> Send for Writer<T> {}

// SAFETY: a shared writer only tells its end and its log.
unsafe impl<T: Send + Sync> Sync for Writer<T> {}
