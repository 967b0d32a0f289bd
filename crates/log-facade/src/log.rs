//! A log, open for writing and reading.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::{AppendError, CommitError, OpenError};
use crate::housekeeper::Housekeeper;
use crate::options::LogOptions;
use crate::policy::Policies;
use crate::records::Records;
use crate::retention;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::stats::LogStats;
use crate::{Level, Lsn, OpenReport, ReadError, Record, SegmentInfo, Watermarks};

/// An append-only record log, open for writing and reading.
///
/// It lies in a directory, or in memory. All methods take `&self` and may be
/// called by any number of threads; share it in an [`Arc`]. One process at a
/// time can have a directory open for writing; any number can read it beside,
/// see [`LogReader`](crate::LogReader).
///
/// Dropping it stops its housekeeper, and brings everything appended to the
/// disk as [`close`](Self::close) does, but cannot say whether that worked.
#[derive(Debug)]
pub struct Log {
    // Stopped first: it works on the other.
    housekeeper: Option<Housekeeper>,
    shared: Arc<Shared>,
}

impl Log {
    /// Opens the log in `directory` with default options, making both if they
    /// are missing.
    ///
    /// Blocks for the recovery of the newest segment: its time does not depend
    /// on the length of the log. What it found is in [`report`](Self::report).
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; a refusal changes nothing on disk.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::options().open(directory)
    }

    /// Options to open a log with.
    pub fn options() -> LogOptions {
        LogOptions::default()
    }

    pub(crate) fn start(
        engine: Box<dyn Engine>,
        policies: Policies,
        read_level: Level,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::new(engine, policies, read_level, clock));
        let housekeeper = Housekeeper::start(&shared).map_err(OpenError::Housekeeper)?;
        Ok(Self {
            housekeeper,
            shared,
        })
    }

    /// Appends a record and returns its number, once the record has reached
    /// the level that this log [acknowledges](LogOptions::acknowledge) at:
    /// *published* unless chosen otherwise. Then every reader of this log sees
    /// it, and everything before it.
    ///
    /// - `payload`: 0 to [`record_bytes_max`](LogOptions::record_bytes_max)
    ///   bytes. Copied, so the buffer is free again at once.
    /// - Blocks, at level *published*, only while so many full segments wait
    ///   for the disk that memory would grow beyond its bound; at the other
    ///   levels for a write or a sync, which concurrent callers share.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]. The record was not appended, except for
    /// [`AppendError::Commit`] at a level above *published*: then it may be,
    /// and is not acknowledged.
    pub fn append(&self, payload: &[u8]) -> Result<Lsn, AppendError> {
        self.append_to(self.level(), payload)
    }

    /// Appends a record and returns its number once it has reached `level`
    /// (`INV-F1`), otherwise as [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    pub fn append_to(&self, level: Level, payload: &[u8]) -> Result<Lsn, AppendError> {
        let one = |engine: &dyn Engine| engine.append(payload).map(only);
        let lsns = self.shared.append_with(level, one)?;
        Ok(lsns.start)
    }

    /// Appends records that readers see, and recovery finds, all or none.
    /// Returns their numbers, which follow one another, once they have reached
    /// the level that this log acknowledges at. Does nothing for an empty
    /// batch.
    ///
    /// Blocks as [`append`](Self::append) does.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append); and [`AppendError::BatchTooLarge`] for
    /// a batch that cannot be atomic.
    pub fn append_batch(&self, payloads: &[&[u8]]) -> Result<Range<Lsn>, AppendError> {
        self.append_batch_to(self.level(), payloads)
    }

    /// Appends records as [`append_batch`](Self::append_batch) does, and
    /// returns once they have reached `level` (`INV-F1`).
    ///
    /// # Errors
    ///
    /// As for [`append_batch`](Self::append_batch).
    pub fn append_batch_to(
        &self,
        level: Level,
        payloads: &[&[u8]],
    ) -> Result<Range<Lsn>, AppendError> {
        self.shared
            .append_with(level, |engine| engine.append_batch(payloads))
    }

    /// Appends a record of `payload_bytes` that `fill` writes where it will
    /// stay: no copy is made. Returns its number as [`append`](Self::append)
    /// does.
    ///
    /// `fill` gets the record's memory with whatever was there before, and must
    /// write all of it. No later record of any thread is visible before it is
    /// done, so it should do nothing but write, and must not use this log. If
    /// it panics, its number stays taken and has no record: readers pass over
    /// it.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append); `fill` was not called if the record was
    /// not appended.
    pub fn append_in_place(
        &self,
        payload_bytes: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<Lsn, AppendError> {
        let mut fill = Some(fill);
        // The engine calls it once.
        let mut fill = |place: &mut [u8]| {
            if let Some(fill) = fill.take() {
                fill(place);
            }
        };
        let one = |engine: &dyn Engine| engine.append_in_place(payload_bytes, &mut fill).map(only);
        let lsns = self.shared.append_with(self.level(), one)?;
        Ok(lsns.start)
    }

    fn level(&self) -> Level {
        self.shared.policies.acknowledge
    }

    /// Hands everything appended so far to the operating system: it survives
    /// the death of this process. Returns the end of what does.
    ///
    /// Blocks for a write.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn flush(&self) -> Result<Lsn, CommitError> {
        self.shared.flush_to(Level::Written)
    }

    /// Makes everything appended so far durable: it survives loss of power.
    /// Returns the end of what does.
    ///
    /// Blocks for a sync; and, if segments became full since the last time and
    /// there is no housekeeper, for indexing them.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn sync(&self) -> Result<Lsn, CommitError> {
        let durable_end = self.shared.flush_to(Level::Durable)?;
        if self.housekeeper.is_none() {
            self.shared.index_sealed();
        }
        Ok(durable_end)
    }

    /// Ends the active segment, if it has a record, and goes on in a new one.
    /// Returns whether it had. Everything appended before is durable then, if
    /// this log keeps that level.
    ///
    /// Blocks for several syncs.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    pub fn rotate(&self) -> Result<bool, AppendError> {
        self.shared.admit(Level::Published)?;
        Ok(self.shared.engine.rotate()?)
    }

    /// Drops the sealed segments of which all records lie below `lsn`, oldest
    /// first, and returns how many (`INV-F2`): what retention does by itself.
    /// Never the active segment, and none that a [`Snapshot`] shows; so records
    /// below `lsn` may stay.
    ///
    /// Records that are held stay valid. A crash at any moment leaves a log
    /// without a gap; blocks for a sync of the directory per segment.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; what was dropped before stays dropped.
    pub fn drop_before(&self, lsn: Lsn) -> Result<usize, CommitError> {
        self.shared.admit(Level::Published)?;
        Ok(retention::drop_before(&self.shared, lsn)?)
    }

    /// Record `lsn`; `None` at or beyond the end of what is
    /// [shown](LogOptions::read_level), and for a number that its writer gave
    /// up half-way.
    ///
    /// Blocks for the disk only if the record is in a full segment that the
    /// page cache does not hold, or that has no index yet.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] for a record that was dropped from the front,
    /// with the first that is left (`INV-F2`), and see [`ReadError`].
    pub fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        if self.shared.read_level > Level::Published && lsn >= self.next_lsn() {
            return Ok(None);
        }
        self.shared.engine.read(lsn)
    }

    /// Reads from the first record on.
    #[must_use]
    pub fn iter(&self) -> Records<'_> {
        self.iter_from(self.first_lsn())
    }

    /// Reads from record `lsn` on.
    #[must_use]
    pub fn iter_from(&self, lsn: Lsn) -> Records<'_> {
        self.range(lsn..Lsn(u64::MAX))
    }

    /// Reads those records of `lsns` that there are.
    #[must_use]
    pub fn range(&self, lsns: Range<Lsn>) -> Records<'_> {
        let engine = self.shared.engine.as_ref();
        let first = lsns.start;
        Records::new(engine.records(lsns)).gated(engine, self.shared.read_level, first)
    }

    /// The records that are [shown](LogOptions::read_level) now, to be read
    /// for as long as it is held.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.shared, self.shared.read_level)
    }

    /// The records that have reached `level` now, and so survive what it says.
    #[must_use]
    pub fn snapshot_at(&self, level: Level) -> Snapshot {
        Snapshot::take(&self.shared, level)
    }

    /// Blocks until record `lsn` is published, at most for `timeout` (`None`:
    /// for ever). Returns whether it is.
    pub fn wait_published(&self, lsn: Lsn, timeout: Option<Duration>) -> bool {
        self.shared.engine.wait_published(lsn, timeout)
    }

    /// What opening found: how many segments, the first and the next number,
    /// and whether a torn tail was cut.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        self.shared.engine.report()
    }

    /// The number of the first record.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.shared.engine.first_lsn()
    }

    /// One past the last record that is [shown](LogOptions::read_level): unless
    /// chosen otherwise, the number that the next record will have, if nobody
    /// else appends.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.shared.reached(self.shared.read_level)
    }

    /// How far the log has come, at each level. The levels that it does not
    /// keep mean nothing.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        self.shared.engine.watermarks()
    }

    /// The highest level that this log keeps: [`Level::Durable`] in a
    /// directory, [`Level::Published`] in memory.
    #[must_use]
    pub fn keeps(&self) -> Level {
        self.shared.engine.keeps()
    }

    /// Every segment, ascending; the last one takes the appends.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.engine.segments()
    }

    /// What the log did since it was opened.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        self.shared.stats()
    }

    /// Stops the housekeeper, makes everything durable, indexes full segments,
    /// and leaves a mark by which the next opening knows that nothing is
    /// missing at the end. Records that are held stay valid.
    ///
    /// While a [`Snapshot`] of it is held, the directory stays locked and the
    /// mark waits for that to go; everything is durable all the same.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. The log is closed all the same.
    pub fn close(self) -> Result<(), CommitError> {
        let Self {
            housekeeper,
            shared,
        } = self;
        drop(housekeeper);
        let told = shared.health.tell();
        shared.close()?;
        Ok(told?)
    }
}

/// The range of one record.
fn only(lsn: Lsn) -> Range<Lsn> {
    // No record has the last number that there is, so this has an end.
    lsn..Lsn(lsn.0.saturating_add(1))
}

impl<'a> IntoIterator for &'a Log {
    type Item = Result<Record, ReadError>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}
