//! A stable view of a log.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use super::AtomicLog;
use super::error::Gap;
use super::follower::Follower;
use super::pin::Pin;
use super::segment::{SegmentRef, skip_sequence};
use super::slices::{Chunks, Iter, SegmentSlice};
use crate::Lsn;

/// What an [`AtomicLog`] held at one moment: a prefix of all that was ever
/// appended, less what retention had dropped.
///
/// Costs the same however much it shows, allocates nothing, and copies no
/// value. What it shows stays as it is, at its address, for as long as it is
/// held (`INV-C4`), and it holds up nobody (`INV-C6`). It keeps at most one
/// window of segments from being recycled, and two after a
/// [`refresh`](Self::refresh).
///
/// ```
/// use log_core::AtomicLog;
///
/// let (mut writer, log) = AtomicLog::new_claimed(100, 16);
/// writer.append_batch(0..5);
/// let mut snapshot = log.snapshot();
/// writer.append(5);
///
/// assert!(snapshot.iter().eq(&[0, 1, 2, 3, 4]));
/// let news = snapshot.refresh();
/// assert_eq!((news.gained, news.missed), (1, 0));
/// assert!(snapshot.iter().eq(&[0, 1, 2, 3, 4, 5]));
/// ```
pub struct Snapshot<T> {
    head: Pin<T>,
    /// The head before the last refresh, whose window is shown as well.
    earlier: Option<Pin<T>>,
    first: SegmentRef<T>,
    first_sequence: u64,
    head_sequence: u64,
    head_values: usize,
    // After the pins, which need it when they are dropped.
    log: AtomicLog<T>,
}

/// What a [`Snapshot::refresh`] changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refresh {
    /// How many values the snapshot shows that it did not show before.
    pub gained: u64,
    /// How many values came and went in between, and were never shown.
    /// Then nothing is shown any more of what was shown before.
    pub missed: u64,
}

impl Refresh {
    /// Whether the values that are shown now go on where the ones before
    /// ended.
    #[must_use]
    pub fn is_continuous(&self) -> bool {
        self.missed == 0
    }
}

impl<T> Snapshot<T> {
    #[inline]
    pub(super) fn of(log: AtomicLog<T>) -> Self {
        let head = log.shared.pin_head();
        // SAFETY: we pin it.
        let place = unsafe { head.head().place() };
        Self {
            head_values: head.head().published(),
            head_sequence: place.sequence,
            first: place.oldest,
            first_sequence: log.shared.window_start(place.sequence),
            earlier: None,
            head,
            log,
        }
    }

    /// Shows what has been appended since, and says how much that is.
    ///
    /// What the snapshot showed when it was taken or last refreshed stays in
    /// view if the new values go on where it ended; nothing older does, so
    /// that a snapshot that is refreshed for ever shows two windows at most.
    /// If values in between are gone already, the snapshot shows the log's
    /// present window, and says how many were missed.
    ///
    /// Takes constant time, whatever has happened in between.
    #[inline]
    pub fn refresh(&mut self) -> Refresh {
        let head = self.head.head();
        let before = self.head_values;
        self.head_values = head.published();
        if self.head_values == self.log.shared.capacity() && self.log.shared.head() != head {
            return self.follow_head(before);
        }
        Refresh {
            gained: (self.head_values - before) as u64,
            missed: 0,
        }
    }

    /// Goes on to the log's head. Ours is full; `before` says how many of its
    /// values the caller has seen.
    #[inline(never)]
    fn follow_head(&mut self, before: usize) -> Refresh {
        let seen_end = self.log.shared.lsn_at(self.head_sequence, before);
        let head = self.log.shared.pin_head();
        // SAFETY: we pin it.
        let place = unsafe { head.head().place() };
        // A segment can be pinned a moment before it is the head for all to
        // see. If ours is such a one, this may be the head before it.
        if place.sequence > self.head_sequence {
            let first_sequence = self.log.shared.window_start(place.sequence);
            let ours = std::mem::replace(&mut self.head, head);
            let our_sequence = std::mem::replace(&mut self.head_sequence, place.sequence);
            self.head_values = self.head.head().published();
            if first_sequence > our_sequence + 1 {
                self.first = place.oldest;
                self.first_sequence = first_sequence;
                self.earlier = None;
            } else {
                // SAFETY: still pinned by `ours`.
                self.first = unsafe { ours.head().place() }.oldest;
                self.first_sequence = self.log.shared.window_start(our_sequence);
                self.earlier = Some(ours);
            }
        }
        let missed = self.start().distance_from(seen_end).unwrap_or(0);
        Refresh {
            gained: self.end().0 - seen_end.0 - missed,
            missed,
        }
    }

    /// How many values are shown.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.end().0 - self.start().0) as usize
    }

    /// Whether no values are shown: none were ever appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start() == self.end()
    }

    /// The number of the first value shown, equal to [`end`](Self::end) if
    /// there is none.
    #[must_use]
    pub fn start(&self) -> Lsn {
        self.log.shared.lsn_at(self.first_sequence, 0)
    }

    /// One past the number of the last value shown.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.log.shared.lsn_at(self.head_sequence, self.head_values)
    }

    /// The value with this number, if it is shown.
    ///
    /// Takes a number of steps that grows with the logarithm of the number of
    /// segments.
    #[must_use]
    pub fn get(&self, lsn: Lsn) -> Option<&T> {
        if lsn < self.start() || lsn >= self.end() {
            return None;
        }
        let (sequence, offset) = self.log.shared.locate(lsn)?;
        let segment = self.segment(sequence);
        // SAFETY: of what is shown.
        let slice = unsafe { self.slice(segment, sequence, offset) };
        slice.values().first()
    }

    /// The values shown, in order.
    ///
    /// `sum`, `for_each` and all that rest on `fold` run as fast as over one
    /// slice.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self.chunks())
    }

    /// The values shown from `lsn` on; none if that is the end or beyond.
    ///
    /// # Errors
    ///
    /// A [`Gap`] if `lsn` is below the first value shown.
    pub fn iter_from(&self, lsn: Lsn) -> Result<Iter<'_, T>, Gap> {
        self.chunks_from(lsn).map(Iter::new)
    }

    /// The values shown, in order, as one slice for each segment.
    ///
    /// ```
    /// use log_core::{AtomicLog, Lsn};
    ///
    /// let (mut writer, log) = AtomicLog::new_claimed(100, 4);
    /// writer.append_batch(0..6);
    /// let snapshot = log.snapshot();
    /// let mut chunks = snapshot.chunks();
    /// assert_eq!(chunks.next().unwrap().values(), [0, 1, 2, 3]);
    /// let second = chunks.next().unwrap();
    /// assert_eq!((second.first_lsn(), second.values()), (Lsn(4), &[4, 5][..]));
    /// assert!(chunks.next().is_none());
    /// ```
    #[must_use]
    pub fn chunks(&self) -> Chunks<'_, T> {
        Chunks::new(self, self.first_sequence, 0)
    }

    /// As [`chunks`](Self::chunks), from `lsn` on.
    ///
    /// # Errors
    ///
    /// A [`Gap`] if `lsn` is below the first value shown.
    pub fn chunks_from(&self, lsn: Lsn) -> Result<Chunks<'_, T>, Gap> {
        if lsn >= self.end() {
            return Ok(Chunks::new(self, self.head_sequence, self.head_values));
        }
        match self.log.shared.locate(lsn) {
            Some((sequence, offset)) if sequence >= self.first_sequence => {
                Ok(Chunks::new(self, sequence, offset))
            }
            _ => Err(Gap {
                missed_from: lsn,
                resumes_at: self.start(),
            }),
        }
    }

    /// Blocks until the log has values beyond those shown, at most for
    /// `timeout` (`None`: for ever). Says whether it has.
    ///
    /// Looks for a moment before it sleeps. Wake-ups are not lost, whatever
    /// the timing.
    ///
    /// ```
    /// use log_core::AtomicLog;
    ///
    /// let (mut writer, log) = AtomicLog::new_claimed(100, 16);
    /// let mut snapshot = log.snapshot();
    /// let appender = std::thread::spawn(move || writer.append("news"));
    /// assert!(snapshot.wait(None));
    /// snapshot.refresh();
    /// assert!(snapshot.iter().eq(&["news"]));
    /// # appender.join().unwrap();
    /// ```
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let bell = self.log.shared.bell();
        bell.wait_until(timeout, || self.has_news())
    }

    /// Ready when the log has values beyond those shown; else the task is
    /// woken when there are more. Needs no runtime.
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use log_core::{AtomicLog, Snapshot};
    ///
    /// async fn next_len(snapshot: &mut Snapshot<u8>) -> usize {
    ///     poll_fn(|context| snapshot.poll_news(context)).await;
    ///     snapshot.refresh();
    ///     snapshot.len()
    /// }
    /// # let (mut writer, log) = AtomicLog::new_claimed(100, 16);
    /// # let mut snapshot = log.snapshot();
    /// # writer.append(1);
    /// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// # let future = std::pin::pin!(next_len(&mut snapshot));
    /// # assert_eq!(future.poll(&mut context), std::task::Poll::Ready(1));
    /// ```
    pub fn poll_news(&self, context: &Context<'_>) -> Poll<()> {
        let bell = self.log.shared.bell();
        bell.poll_until(context, || self.has_news())
    }

    fn has_news(&self) -> bool {
        self.log.shared.has_beyond(&self.head, self.head_values)
    }

    /// The log that this shows.
    #[must_use]
    pub fn log(&self) -> &AtomicLog<T> {
        &self.log
    }

    /// A follower that goes on where this snapshot ends: history first, then
    /// what comes, without a gap and nothing twice.
    #[must_use]
    pub fn follow(&self) -> Follower<T> {
        Follower::after(self)
    }

    pub(super) fn pin(&self) -> &Pin<T> {
        &self.head
    }

    /// The head's sequence, and how many of its values are shown.
    pub(super) fn position(&self) -> (u64, usize) {
        (self.head_sequence, self.head_values)
    }

    /// How many values are shown of a shown segment.
    pub(super) fn values_in(&self, sequence: u64) -> usize {
        if sequence == self.head_sequence {
            self.head_values
        } else {
            self.log.shared.capacity()
        }
    }

    /// The first segment shown.
    pub(super) fn sequences_start(&self) -> u64 {
        self.first_sequence
    }

    /// One past the last segment of which values are shown.
    pub(super) fn sequences_end(&self) -> u64 {
        self.head_sequence + u64::from(self.head_values > 0)
    }

    /// The segment with this number, which is one of those shown.
    pub(super) fn segment(&self, sequence: u64) -> SegmentRef<T> {
        if sequence <= self.first_sequence {
            return self.first;
        }
        let (mut at, mut segment) = (self.head_sequence, self.head.head());
        while at > sequence {
            // SAFETY: shown, by what follows.
            let place = unsafe { segment.place() };
            // Where they lead lies no lower than `sequence`, so it is shown.
            (at, segment) = match place.skip {
                Some(skip) if skip_sequence(at) >= sequence => (skip_sequence(at), skip),
                _ => (at - 1, place.previous),
            };
        }
        segment
    }

    /// The values of a segment that are shown, without the first `skip`.
    ///
    /// # Safety
    ///
    /// `segment` is one of those shown and has this sequence; `skip` is at
    /// most the number of its values that are shown.
    pub(super) unsafe fn slice(
        &self,
        segment: SegmentRef<T>,
        sequence: u64,
        skip: usize,
    ) -> SegmentSlice<'_, T> {
        let shown = skip..self.values_in(sequence);
        // SAFETY: the head's values were counted with `published`; the others
        // were full before we saw their successor. They stay for as long as
        // `self` pins heads whose windows they are in.
        let values = unsafe { segment.values(shown) };
        SegmentSlice::new(sequence, self.log.shared.lsn_at(sequence, skip), values)
    }
}

impl<T> From<&AtomicLog<T>> for Snapshot<T> {
    fn from(log: &AtomicLog<T>) -> Self {
        log.snapshot()
    }
}

impl<'a, T> IntoIterator for &'a Snapshot<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for Snapshot<T> {
    /// A second view of the same values.
    fn clone(&self) -> Self {
        Self {
            head: self.head.clone(),
            earlier: self.earlier.clone(),
            log: self.log.clone(),
            ..*self
        }
    }
}

impl<T> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("start", &self.start())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}
