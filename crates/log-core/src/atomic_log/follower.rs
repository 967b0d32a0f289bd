//! Reading a log as it grows.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use super::AtomicLog;
use super::error::Gap;
use super::pin::Pin;
use super::segment::SegmentRef;
use super::slices::SegmentSlice;
use super::snapshot::Snapshot;
use crate::Lsn;

/// A place in an [`AtomicLog`] that moves on as it is read.
///
/// Hands out each value once, in order, in slices as long as can be had
/// without copying. When it has fallen behind retention it says so, once, and
/// goes on with what there is. Asking when there is nothing new costs one load.
///
/// Keeps at most one window of segments from being recycled.
///
/// ```
/// use log_core::AtomicLog;
///
/// let (mut writer, log) = AtomicLog::new_claimed(100, 16);
/// let mut follower = log.follow();
/// writer.append_batch(0..3);
/// let news = follower.next_slice()?.expect("there is something new");
/// assert_eq!(news.values(), [0, 1, 2]);
/// assert!(follower.next_slice()?.is_none(), "nothing twice");
/// # Ok::<(), log_core::Gap>(())
/// ```
pub struct Follower<T> {
    /// The newest head that we know.
    head: Pin<T>,
    head_sequence: u64,
    /// Where we read, in the head's window.
    segment: SegmentRef<T>,
    sequence: u64,
    /// How many of the segment's values were read.
    read: usize,
    // After the pin, which needs it when it is dropped.
    log: AtomicLog<T>,
}

impl<T> Follower<T> {
    /// Goes on where `snapshot` ends.
    pub(super) fn after(snapshot: &Snapshot<T>) -> Self {
        let (head_sequence, read) = snapshot.position();
        Self {
            head: snapshot.pin().clone(),
            head_sequence,
            segment: snapshot.pin().head(),
            sequence: head_sequence,
            read,
            log: snapshot.log().clone(),
        }
    }

    /// Begins with a record that `snapshot` shows. The snapshot has not been
    /// refreshed, so that its head alone keeps all that it shows.
    pub(super) fn within(snapshot: &Snapshot<T>, (sequence, read): (u64, usize)) -> Self {
        Self {
            segment: snapshot.segment(sequence),
            sequence,
            read,
            ..Self::after(snapshot)
        }
    }

    /// The values that come next, as far as they lie side by side; `None` when
    /// there is nothing new.
    ///
    /// # Errors
    ///
    /// A [`Gap`] if the values that come next are retained no more. Call again
    /// to go on behind the gap.
    #[inline]
    pub fn next_slice(&mut self) -> Result<Option<SegmentSlice<'_, T>>, Gap> {
        let mut end = self.readable();
        if end == self.read {
            if self.read < self.log.shared.capacity() {
                // Who asks again soon waits for the count and for the value at
                // once, not for one after the other.
                self.segment.prefetch(self.read);
                return Ok(None);
            }
            end = self.step_over()?;
            if end == 0 {
                return Ok(None);
            }
        }
        Ok(Some(self.take(end)))
    }

    /// How many of our segment's values may be read.
    #[inline]
    fn readable(&self) -> usize {
        if self.sequence == self.head_sequence {
            self.segment.published()
        } else {
            self.log.shared.capacity()
        }
    }

    /// Reads up to `end`, which is `readable`.
    #[inline]
    fn take(&mut self, end: usize) -> SegmentSlice<'_, T> {
        let first_lsn = self.position();
        // SAFETY: `readable`; and the head that we pin keeps the segment until
        // the next call, which needs `&mut self`.
        let values = unsafe { self.segment.values(self.read..end) };
        self.read = end;
        SegmentSlice::new(self.sequence, first_lsn, values)
    }

    /// Goes on to the segment after ours, which has been read to its end. Says
    /// how many values may be read there; 0 if there is no such segment yet.
    #[cold]
    #[inline(never)]
    fn step_over(&mut self) -> Result<usize, Gap> {
        // Ours keeps the segment that we come from until we are done.
        let mut _ours = None;
        if self.sequence == self.head_sequence {
            if !self.head.head().pins().is_replaced() {
                return Ok(0);
            }
            let head = self.log.shared.pin_head();
            // SAFETY: we pin it.
            let place = unsafe { head.head().place() };
            let first_sequence = self.log.shared.window_start(place.sequence);
            let missed_from = self.position();
            _ours = Some(std::mem::replace(&mut self.head, head));
            self.head_sequence = place.sequence;
            if first_sequence > self.sequence + 1 {
                (self.segment, self.sequence, self.read) = (place.oldest, first_sequence, 0);
                return Err(Gap {
                    missed_from,
                    resumes_at: self.position(),
                });
            }
        }
        // SAFETY: kept by `_ours` or by the head, and there is a later head.
        self.segment = unsafe { self.segment.next() };
        (self.sequence, self.read) = (self.sequence + 1, 0);
        Ok(self.readable())
    }

    /// The number of the value that comes next.
    #[inline]
    #[must_use]
    pub fn position(&self) -> Lsn {
        self.log.shared.lsn_at(self.sequence, self.read)
    }

    /// Blocks until there is something to read, at most for `timeout` (`None`:
    /// for ever). Says whether there is.
    ///
    /// Looks for a moment before it sleeps. Wake-ups are not lost, whatever
    /// the timing.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let bell = self.log.shared.bell();
        bell.wait_until(timeout, || self.has_news())
    }

    /// Ready when there is something to read; else the task is woken when
    /// there is. Needs no runtime.
    pub fn poll_news(&self, context: &Context<'_>) -> Poll<()> {
        let bell = self.log.shared.bell();
        bell.poll_until(context, || self.has_news())
    }

    fn has_news(&self) -> bool {
        let head_start = self.log.shared.lsn_at(self.head_sequence, 0);
        match self.position().distance_from(head_start) {
            Some(seen) => self.log.shared.has_beyond(&self.head, seen as usize),
            None => true,
        }
    }

    /// The log that is read.
    #[must_use]
    pub fn log(&self) -> &AtomicLog<T> {
        &self.log
    }
}

impl<T> Clone for Follower<T> {
    /// A second place, which moves on by itself.
    fn clone(&self) -> Self {
        Self {
            head: self.head.clone(),
            log: self.log.clone(),
            ..*self
        }
    }
}

impl<T> fmt::Debug for Follower<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
