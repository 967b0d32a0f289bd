//! A log, open for reading only.

use std::ops::Range;
use std::path::Path;

use log_mmap::Reader;

use crate::cursor::without_cursors;
use crate::engine;
use crate::error::OpenError;
use crate::records::Records;
use crate::{
    Follower, Lsn, OpenReport, ReadError, Record, SegmentInfo, Slice, Timestamp, VerifyReport,
};

/// A log, open for reading: beside a running writer, in this process or
/// another, or on a medium that cannot be written.
///
/// Takes no lock and writes nothing. Shows a prefix of the log: what had been
/// *written* when it was opened. To see what is written later,
/// [follow](Self::follow) the log.
///
/// All methods may be called by any number of threads.
///
/// ```
/// use log_facade::{Log, LogReader, Lsn};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path())?;
/// log.append(b"written")?;
/// log.flush()?;
///
/// let reader = LogReader::open(directory.path())?;
/// let record = reader.read(Lsn(0))?.ok_or("not there")?;
/// assert_eq!(record.payload(), b"written");
/// assert!(reader.is_being_written());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LogReader {
    reader: Reader,
    report: OpenReport,
}

impl LogReader {
    /// Opens the log in `directory`.
    ///
    /// Blocks for reading the newest segment.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; [`engine::OpenError::NoLog`] if there is none.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        let directory = directory.as_ref();
        let _span = tracing::info_span!("read log", path = %directory.display()).entered();
        let reader = Reader::open(directory)?;
        let report = without_cursors(reader.report());
        Ok(Self { reader, report })
    }

    /// What opening found.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Whether somebody has the log open for writing now.
    #[must_use]
    pub fn is_being_written(&self) -> bool {
        self.reader.is_being_written()
    }

    /// The number of the first record.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.reader.first_lsn()
    }

    /// One past the number of the last record, as of opening.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.reader.next_lsn()
    }

    /// Every segment, ascending, as of opening.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.reader.segments()
    }

    /// Record `lsn`; `None` at or beyond the end, and for a number that its
    /// writer gave up half-way.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] in front of the first record, and see
    /// [`ReadError`].
    pub fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        self.reader.read(lsn)
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
        Records::new(engine::Records::of_store(self.reader.range(lsns)))
    }

    /// The records from `lsn` on, at most `limit`, and where to read on, as
    /// [`Log::read_slice`](crate::Log::read_slice) gives them.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read), about the first record.
    pub fn read_slice(
        &self,
        lsn: Lsn,
        limit: impl Into<Option<usize>>,
    ) -> Result<Slice, ReadError> {
        self.reader.read_slice(lsn, limit)
    }

    /// The number of the first record whose timestamp is at or after `moment`,
    /// see [`Log::lsn_at_or_after`](crate::Log::lsn_at_or_after). Looks at all
    /// of the newest segment each time.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]: what is damaged may be the record that was asked for.
    pub fn lsn_at_or_after(&self, moment: Timestamp) -> Result<Option<Lsn>, ReadError> {
        self.reader.lsn_at_or_after(moment)
    }

    /// Follows the log from record `lsn` on as its writer goes on, in this
    /// process or another: see [`Follower`]. From [`next_lsn`](Self::next_lsn) on
    /// it goes on where this reader ends.
    ///
    /// It shows what has been *written*, so its writer has to flush; with
    /// [`mapped_writing`](crate::LogOptions::mapped_writing) an append is enough.
    /// Blocks for reading headers, and the segment up to the record.
    ///
    /// ```
    /// use std::time::Duration;
    /// use log_facade::{Log, LogReader};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// let log = Log::open(path)?; // in another process, as a rule
    /// let reader = LogReader::open(path)?;
    /// let mut follower = reader.follow(reader.next_lsn())?;
    /// assert!(follower.poll()?.is_none(), "nothing yet");
    ///
    /// log.append(b"news")?;
    /// log.flush()?;
    /// let news = follower.next_timeout(Duration::from_secs(5))?;
    /// assert_eq!(news.ok_or("late")?.payload(), b"news");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. A record that was dropped is told by the first
    /// [`poll`](Follower::poll).
    pub fn follow(&self, lsn: Lsn) -> Result<Follower, OpenError> {
        Ok(self.reader.follow(lsn)?)
    }

    /// Checks every frame of every segment, and holds every index against its
    /// segment. Reports all that is wrong, not just the first.
    ///
    /// Blocks for reading the whole log.
    #[must_use]
    pub fn verify(&self) -> VerifyReport {
        self.reader.verify()
    }
}

impl<'a> IntoIterator for &'a LogReader {
    type Item = Result<Record, ReadError>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}
