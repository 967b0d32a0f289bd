//! A log, open for reading only.

use std::ops::Range;
use std::path::Path;

use log_mmap::Reader;

use crate::cursor::without_cursors;
use crate::engine;
use crate::error::OpenError;
use crate::records::Records;
use crate::{Lsn, OpenReport, ReadError, Record, SegmentInfo, VerifyReport};

/// A log, open for reading: beside a running writer, in this process or
/// another, or on a medium that cannot be written.
///
/// Takes no lock and writes nothing. Shows a prefix of the log: what had been
/// *written* when it was opened. Open another one to see more.
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
