//! Reading a log beside its writer, or without one.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log_wal::{Lsn, OpenError, OpenReport, ReadError, SealedSegment, SegmentInfo, WalReader};

use crate::by_time::{self, Recent};
use crate::catalog::{Catalog, Sealed};
use crate::envelope::{Record, Timestamp};
use crate::follow::Follower;
use crate::lookup::Lookup;
use crate::options::{Checks, INDEX_INTERVAL_BYTES_DEFAULT};
use crate::records::{Records, Slice};
use crate::segment::IndexPolicy;
use crate::source::{self, Source};
use crate::verify::VerifyReport;
use crate::way::Way;

/// A record log, open for reading only.
///
/// Takes no lock and writes nothing, not even an index: it works beside a
/// running writer and on a read-only medium. Index files are used where they
/// are valid, and built in memory where not. Shows a prefix of the log: what
/// was handed to the operating system when it was opened. To see more, open
/// another one, or [`follow`](Self::follow) the log.
///
/// All methods take `&self` and may be called by any number of threads.
///
/// ```
/// use log_mmap::{Reader, Store, StoreOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = Store::open(directory.path(), StoreOptions::default())?;
/// store.append(b"written")?;
/// store.flush()?;
///
/// let reader = Reader::open(directory.path())?;
/// let first = reader.iter().next().ok_or("the log is empty")??;
/// assert_eq!(first.payload(), b"written");
/// assert!(reader.is_being_written());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    wal: WalReader,
    catalog: Catalog,
    recent: Recent,
}

impl Reader {
    /// Opens the log in `directory`.
    ///
    /// Blocks for reading the newest segment.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; [`OpenError::NoLog`] if there is none.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(directory, Checks::default())
    }

    /// The same, and says when records in mapped segments are held against
    /// their checksums.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_with(directory: impl AsRef<Path>, checks: Checks) -> Result<Self, OpenError> {
        let directory = directory.as_ref().to_path_buf();
        let wal = WalReader::open(&directory)?;
        let policy = IndexPolicy {
            interval_bytes: INDEX_INTERVAL_BYTES_DEFAULT,
            saves: false,
            checks,
        };
        let catalog = Catalog::new(wal.first_lsn(), &wal, policy);
        Ok(Self {
            directory,
            wal,
            catalog,
            recent: Recent::default(),
        })
    }

    /// What opening found.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        self.wal.report()
    }

    /// Whether somebody has the log open for writing now.
    #[must_use]
    pub fn is_being_written(&self) -> bool {
        self.wal.is_being_written()
    }

    /// The number of the first record, as of opening.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.wal.first_lsn()
    }

    /// One past the number of the last record, as of opening.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.wal.next_lsn()
    }

    /// Every segment, ascending, as of opening.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.wal.segments()
    }

    /// Record `lsn`; `None` at or beyond the end, and for a number that its
    /// writer gave up.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] in front of the first record, and see
    /// [`ReadError`].
    pub fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        source::read(self, lsn)
    }

    /// Looks up many records by number, see [`Lookup`].
    #[must_use]
    pub fn lookup(&self) -> Lookup<'_> {
        Lookup::new(self)
    }

    /// The records from `lsn` on, at most `limit`, see
    /// [`Store::read_slice`](crate::Store::read_slice).
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read), about the first record.
    pub fn read_slice(
        &self,
        lsn: Lsn,
        limit: impl Into<Option<usize>>,
    ) -> Result<Slice, ReadError> {
        Slice::read(self, lsn, limit.into())
    }

    /// The number of the first record whose timestamp is at or after `moment`,
    /// see [`Store::lsn_at_or_after`](crate::Store::lsn_at_or_after).
    ///
    /// # Errors
    ///
    /// See [`ReadError`]: what is damaged may be the record that was asked for.
    pub fn lsn_at_or_after(&self, moment: Timestamp) -> Result<Option<Lsn>, ReadError> {
        by_time::at_or_after(self, moment)
    }

    /// Reads from the first record of the log.
    #[must_use]
    pub fn iter(&self) -> Records<'_> {
        self.iter_from(self.first_lsn())
    }

    /// Reads from record `lsn`, see [`Records`].
    #[must_use]
    pub fn iter_from(&self, lsn: Lsn) -> Records<'_> {
        self.range(lsn..Lsn(u64::MAX))
    }

    /// Reads the records of `lsns` that there are, see [`Records`].
    #[must_use]
    pub fn range(&self, lsns: Range<Lsn>) -> Records<'_> {
        Records::new(self, lsns.start, lsns.end)
    }

    /// Follows the log from record `lsn` on, as its writer goes on: see
    /// [`Follower`]. From [`next_lsn`](Self::next_lsn) on it goes on where this
    /// reader ends.
    ///
    /// # Errors
    ///
    /// See [`Follower::open`].
    pub fn follow(&self, lsn: Lsn) -> Result<Follower, OpenError> {
        Follower::open(&self.directory, lsn)
    }

    /// Checks every frame of every segment, and holds every index file against
    /// its segment. Reports all that is wrong, not just the first.
    ///
    /// Blocks for reading the whole log.
    #[must_use]
    pub fn verify(&self) -> VerifyReport {
        let segments = self.catalog.segments_from(Lsn::ZERO);
        VerifyReport::new(self.wal.verify(), segments.iter().map(Arc::as_ref))
    }
}

impl Sealed for WalReader {
    /// What it found stays as it is.
    fn sealed_count(&self) -> u64 {
        0
    }

    fn sealed_from(&self, lsn: Lsn) -> Vec<SealedSegment> {
        let mut sealed = self.sealed();
        sealed.retain(|segment| segment.end > lsn || segment.base >= lsn);
        sealed
    }
}

impl Source for Reader {
    fn first(&self) -> Lsn {
        self.first_lsn()
    }

    fn end(&self) -> Lsn {
        self.next_lsn()
    }

    fn locate(&self, lsn: Lsn) -> Result<Way, ReadError> {
        match self.catalog.walk_from(lsn) {
            Some(walk) => walk
                .map(Way::from)
                .map_err(|error| self.explained(lsn, error)),
            None => Ok(self.wal.iter_from(lsn).into()),
        }
    }

    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn recent(&self) -> &Recent {
        &self.recent
    }

    /// That the writer has dropped it, if its file is not there and so it is.
    #[cold]
    fn explained(&self, lsn: Lsn, error: ReadError) -> ReadError {
        match &error {
            ReadError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                self.wal.read(lsn).err().unwrap_or(error)
            }
            _ => error,
        }
    }
}
