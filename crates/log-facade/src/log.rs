//! A log, open for writing and reading.

use std::ops::Range;
use std::path::{Path, PathBuf};

use log_mmap::{
    AppendError, CommitError, Level, Lsn, OpenError, OpenReport, ReadError, Record, SegmentInfo,
    Stats, Store, StoreOptions, Watermarks,
};

use crate::options::LogOptions;
use crate::records::Records;

/// An append-only record log in a directory, open for writing and reading.
///
/// All methods take `&self` and may be called by any number of threads; share
/// it in an [`Arc`](std::sync::Arc). One process at a time can have a directory
/// open for writing; any number can read it beside, see
/// [`LogReader`](crate::LogReader).
///
/// Dropping it brings everything appended to the disk as [`close`](Self::close)
/// does, but cannot say whether that worked.
#[derive(Debug)]
pub struct Log {
    store: Store,
    directory: PathBuf,
    acknowledge: Level,
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

    pub(crate) fn open_with(
        directory: &Path,
        options: StoreOptions,
        acknowledge: Level,
    ) -> Result<Self, OpenError> {
        let _span = tracing::info_span!("open log", path = %directory.display()).entered();
        Ok(Self {
            store: Store::open(directory, options)?,
            directory: directory.to_path_buf(),
            acknowledge,
        })
    }

    /// What opening found: how many segments, the first and the next number,
    /// and whether a torn tail was cut.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        self.store.report()
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
        self.append_to(self.acknowledge, payload)
    }

    /// Appends a record and returns its number once it has reached `level`
    /// (`INV-F1`), otherwise as [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    pub fn append_to(&self, level: Level, payload: &[u8]) -> Result<Lsn, AppendError> {
        let lsn = self.store.append(payload)?;
        // No record has the last number that there is, so this has an end.
        self.wait_for(level, Lsn(lsn.0.saturating_add(1)))?;
        Ok(lsn)
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
        self.append_batch_to(self.acknowledge, payloads)
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
        let lsns = self.store.append_batch(payloads)?;
        if !lsns.is_empty() {
            self.wait_for(level, lsns.end)?;
        }
        Ok(lsns)
    }

    fn wait_for(&self, level: Level, end: Lsn) -> Result<(), CommitError> {
        match level {
            // Appending has done that.
            Level::Published => Ok(()),
            level => self.store.commit(end, level),
        }
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
        self.store.flush()
    }

    /// Makes everything appended so far durable: it survives loss of power.
    /// Returns the end of what does.
    ///
    /// Blocks for a sync; and, if segments became full since the last time,
    /// for indexing them.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn sync(&self) -> Result<Lsn, CommitError> {
        self.store.sync()
    }

    /// Record `lsn`; `None` at or beyond the end, and for a number that its
    /// writer gave up half-way.
    ///
    /// Blocks for the disk only if the record is in a full segment that the
    /// page cache does not hold, or that has no index yet.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] for a record that was dropped from the front,
    /// with the first that is left (`INV-F2`), and see [`ReadError`].
    pub fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        self.store.read(lsn)
    }

    /// Reads from the first record on.
    #[must_use]
    pub fn iter(&self) -> Records<'_> {
        Records::new(self.store.iter())
    }

    /// Reads from record `lsn` on.
    #[must_use]
    pub fn iter_from(&self, lsn: Lsn) -> Records<'_> {
        Records::new(self.store.iter_from(lsn))
    }

    /// Reads those records of `lsns` that there are.
    #[must_use]
    pub fn range(&self, lsns: Range<Lsn>) -> Records<'_> {
        Records::new(self.store.range(lsns))
    }

    /// The number of the first record.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.store.first_lsn()
    }

    /// The number that the next record will have, if nobody else appends.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.store.next_lsn()
    }

    /// How far the log has come, at each level.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        self.store.watermarks()
    }

    /// Every segment, ascending; the last one takes the appends.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.store.segments()
    }

    /// What the log did since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// Makes everything durable, indexes full segments, and leaves a mark by
    /// which the next opening knows that nothing is missing at the end.
    /// Records that are held stay valid.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. The log is closed all the same.
    pub fn close(self) -> Result<(), CommitError> {
        let _span = tracing::info_span!("close log", path = %self.directory.display()).entered();
        self.store.close()
    }
}

impl<'a> IntoIterator for &'a Log {
    type Item = Result<Record, ReadError>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}
