//! Following a log: the records that there are, and then those that come.
//!
//! A subscription has one position, the number of the next record, and asks the
//! engine for what lies between it and the end of what it may show. Whether
//! that comes from a mapped file or from memory is the engine's business, so
//! there is no border between history and live records to be crossed
//! (`INV-F3`). At the end it waits at the bell of its level.
//!
//! It takes some records at once, which it then hands out without looking at
//! the log. It keeps neither the log open nor its records from being dropped.

mod options;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::news::Door;
use crate::shared::Shared;
use crate::{Level, Lsn, ReadError, Record};

pub use options::{StartAt, SubscribeError, SubscribeOptions};

/// How many records are taken at once at most, and after how many bytes no
/// further one is. Held records keep their segment's memory.
const AHEAD_RECORDS: usize = 64;
const AHEAD_BYTES: usize = 1 << 20;

/// Records in order as they are appended, from some record on: made by
/// [`Log::subscribe`](crate::Log::subscribe).
///
/// Delivers every record from its start on exactly once, in the order of their
/// numbers, first those that are there and then those that come (`INV-F3`).
/// Numbers that were given up by their writer have no record and are passed
/// over. If the log dropped records before they were delivered, it says so with
/// one [`ReadError::Truncated`], which names the first that is left, and goes
/// on there.
///
/// It holds nothing up: writers do not wait for it, and retention drops what it
/// has not delivered (a [cursor](crate::Cursor::pin) can prevent that). It costs
/// no thread, and memory for a few records; thousands are fine. It can be moved
/// to another thread, and outlives its [`Log`](crate::Log): when that is closed,
/// a subscription hands out the few records that it has taken and ends. What it
/// has not delivered is in the log when it is opened again, see
/// [`next_lsn`](Self::next_lsn).
///
/// If the log is [truncated](crate::Log::truncate_after) in front of records
/// that were delivered, it says so with [`NextError::Discarded`], and goes on
/// where the log was cut. As an iterator it ends there, until that was said.
///
/// As an iterator it blocks until there is a record, and ends when the log is
/// closed. Any error but [`ReadError::Truncated`] is the last item: it is about
/// the record with number [`next_lsn`](Self::next_lsn), behind which another
/// subscription can go on.
///
/// ```
/// use std::thread;
/// use log_facade::{Log, Lsn, StartAt};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path())?;
/// log.append(b"history")?;
/// let mut subscription = log.subscribe(StartAt::Beginning)?;
/// let consumer = thread::spawn(move || subscription.by_ref().take(2).last());
/// log.append(b"live")?;
/// let last = consumer.join().unwrap().ok_or("closed")??;
/// assert_eq!((last.lsn(), last.payload()), (Lsn(1), &b"live"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Subscription {
    door: Arc<Door>,
    options: SubscribeOptions,
    level: Level,
    /// The number from which on records are still to be taken.
    next: Lsn,
    /// Taken, and not delivered yet.
    ahead: VecDeque<Record>,
    /// The record that was asked for by its number, until one is taken: waited
    /// for, whatever becomes of those before it.
    asked: Option<Lsn>,
    /// How many cuts of the log are accounted for in these.
    cuts_seen: u64,
    /// What was discarded after it was delivered, and not said yet.
    discarded: Option<Range<Lsn>>,
    has_failed: bool,
}

/// Why there is no next record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NextError {
    /// The log was closed, or the subscription has failed before. There is
    /// nothing more to come; open the log and subscribe again.
    #[error("the log was closed, or reading it failed before")]
    Ended,

    /// The log was [truncated](crate::Log::truncate_after): records that this
    /// subscription has delivered, or has passed over, are no longer part of it.
    /// Take back what followed from them, and call again: it goes on at `first`,
    /// where other records get the same numbers.
    #[error("the records from {first} to {next} were discarded after they were delivered")]
    Discarded {
        /// The first record that was discarded.
        first: Lsn,
        /// One past the last record that was delivered or passed over.
        next: Lsn,
    },

    /// [`ReadError::Truncated`]: call again, it goes on behind the gap. Any
    /// other: the record at [`Subscription::next_lsn`] cannot be read, and this
    /// subscription has ended.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What became of taking more records.
pub(crate) enum Taken {
    /// Some, or some numbers were passed over.
    Some,
    /// There are none now.
    None,
    /// The log is closed.
    Closed,
}

/// What there is to be taken.
#[cfg(feature = "tokio")]
pub(crate) enum Found {
    /// Records in memory.
    Hot,
    /// Records in files.
    Cold,
    /// The log is closed, or reading it failed.
    Closed,
}

impl Subscription {
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        door: &Arc<Door>,
        start: StartAt,
        options: SubscribeOptions,
    ) -> Result<Self, SubscribeError> {
        let level = options.level_in(shared)?;
        let asked = match start {
            StartAt::Lsn(lsn) => Some(lsn),
            _ => None,
        };
        let next = start.resolve(shared, door, level)?;
        Ok(Self {
            door: Arc::clone(door),
            options,
            level,
            next,
            ahead: VecDeque::new(),
            asked,
            cuts_seen: shared.news.cuts.count(),
            discarded: None,
            has_failed: false,
        })
    }

    /// The number of the next record that it will look at: everything below it
    /// was delivered, was not wanted, has no record or was said to be dropped.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.ahead.front().map_or(self.next, Record::lsn)
    }

    /// What records must have reached to be delivered.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The next record, if it is there. Does not wait for one; blocks for the
    /// disk as [`Log::read`](crate::Log::read) does.
    ///
    /// # Errors
    ///
    /// See [`NextError`].
    pub fn try_next(&mut self) -> Result<Option<Record>, NextError> {
        loop {
            if let Some(record) = self.deliver() {
                return Ok(Some(record));
            }
            match self.refill()? {
                Taken::Some => {}
                Taken::None => return Ok(None),
                Taken::Closed => return Err(NextError::Ended),
            }
        }
    }

    /// The next record; `None` if there was none for `timeout`, on the
    /// machine's clock.
    ///
    /// # Errors
    ///
    /// See [`NextError`].
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Record>, NextError> {
        // One too far away for the clock is never.
        self.next_until(Instant::now().checked_add(timeout))
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Record>, NextError> {
        loop {
            if let Some(record) = self.try_next()? {
                return Ok(Some(record));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if !self.wait(left) {
                return Ok(None);
            }
        }
    }

    /// Blocks until there is news, or returns false after `timeout`.
    fn wait(&self, timeout: Option<Duration>) -> bool {
        let inside = self.door.enter();
        let Some(shared) = inside.log() else {
            return true;
        };
        let has_news = || self.has_news(shared);
        shared.news.bell(self.level).wait_until(timeout, has_news)
    }

    /// Whether there is a reason to look at the log, or to come out of it.
    fn has_news(&self, shared: &Shared) -> bool {
        let news = &shared.news;
        shared.reached(self.level) > self.next || news.wants_all_out() || self.has_cuts()
    }

    /// Whether there are records to be had that have not been taken; if not,
    /// has the task woken when there are.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_find(&self, context: &Context<'_>) -> Poll<Found> {
        let inside = self.door.enter();
        let Some(shared) = inside.log().filter(|_| !self.has_failed) else {
            return Poll::Ready(Found::Closed);
        };
        let news = &shared.news;
        let has_news = || self.has_news(shared);
        ready!(news.bell(self.level).poll_until(context, has_news));
        Poll::Ready(match (news.is_closed(), shared.engine.is_hot(self.next)) {
            (true, _) => Found::Closed,
            (false, true) => Found::Hot,
            (false, false) => Found::Cold,
        })
    }

    /// Whether records were taken that are not delivered, and can be.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_ahead(&self) -> bool {
        !self.ahead.is_empty() && !self.has_cuts()
    }

    /// The next of the records that were taken that is wanted.
    pub(crate) fn deliver(&mut self) -> Option<Record> {
        if self.has_cuts() {
            // Some of them may be gone.
            return None;
        }
        loop {
            let record = self.ahead.pop_front()?;
            if self.options.wants(&record) {
                return Some(record);
            }
        }
    }

    /// Takes the records that follow those that were taken.
    pub(crate) fn refill(&mut self) -> Result<Taken, NextError> {
        if self.has_failed {
            return Err(NextError::Ended);
        }
        let inside = self.door.enter();
        // From here on the log is not cut.
        if self.has_cuts() {
            drop(inside);
            return self.heed_cuts();
        }
        let Some(shared) = inside.log() else {
            return Ok(Taken::Closed);
        };
        let end = shared.reached(self.level);
        if self.next >= end {
            return Ok(Taken::None);
        }
        let mut bytes = 0;
        let mut records = shared.engine.records(self.next..end);
        while self.ahead.len() < AHEAD_RECORDS && bytes < AHEAD_BYTES {
            match records.next() {
                Some(Ok(record)) => {
                    self.next = Lsn(record.lsn().0.saturating_add(1));
                    bytes += record.payload().len();
                    self.ahead.push_back(record);
                }
                // The others were given up.
                None => {
                    self.next = end;
                    break;
                }
                // Met again when those in front of it are delivered.
                Some(Err(_)) if !self.ahead.is_empty() => break,
                Some(Err(error)) => {
                    match error {
                        ReadError::Truncated { first, .. } => self.next = first,
                        _ => self.has_failed = true,
                    }
                    return Err(error.into());
                }
            }
        }
        Ok(Taken::Some)
    }

    /// Whether the log was cut, and that is not accounted for, or not said.
    #[inline]
    fn has_cuts(&self) -> bool {
        self.door.cuts().count() != self.cuts_seen || self.discarded.is_some()
    }

    /// Lets go of what was discarded since it was taken, and says so if some of
    /// it was delivered.
    #[cold]
    fn heed_cuts(&mut self) -> Result<Taken, NextError> {
        if let Some((count, first)) = self.door.cuts().lowest_since(self.cuts_seen) {
            self.cuts_seen = count;
            let position = self.next_lsn();
            let is_untouched = self.asked == Some(position);
            self.ahead.retain(|record| record.lsn() < first);
            if is_untouched {
                self.next = self.next.min(first.max(position));
            } else {
                // It may come to stand there again, having delivered it.
                self.asked = None;
                self.next = self.next.min(first);
                let told = self.discarded.take().unwrap_or(position..position);
                let lost = first.min(told.start)..told.end;
                self.discarded = Some(lost).filter(|lost| !lost.is_empty());
            }
        }
        match self.discarded.take() {
            Some(Range { start, end }) => Err(NextError::Discarded {
                first: start,
                next: end,
            }),
            None => Ok(Taken::Some),
        }
    }
}

impl Iterator for Subscription {
    type Item = Result<Record, ReadError>;

    /// Blocks until there is a record.
    fn next(&mut self) -> Option<Self::Item> {
        match self.next_until(None) {
            Ok(record) => record.map(Ok),
            Err(NextError::Read(error)) => Some(Err(error)),
            Err(NextError::Discarded { first, next }) => {
                self.discarded = Some(first..next);
                None
            }
            Err(NextError::Ended) => None,
        }
    }
}
