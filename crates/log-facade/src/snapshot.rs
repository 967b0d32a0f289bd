//! A view of a log that stays as it is.

use std::ops::Range;
use std::sync::Arc;

use crate::floor::Pin;
use crate::records::Records;
use crate::shared::Shared;
use crate::{Level, Lsn, ReadError, Record, Timestamp};

/// The records that a log had at one moment: made by
/// [`Log::snapshot`](crate::Log::snapshot).
///
/// Shows the same records for as long as it is held, whatever is appended
/// behind it. It pins them: retention of this log drops nothing that a snapshot
/// shows, compaction takes nothing out of it (unless it was under way when the
/// snapshot was taken), and the log cannot be truncated meanwhile. So a snapshot
/// that is kept keeps the disk from being freed
/// ([`LogStats::lowest_pin`](crate::LogStats::lowest_pin) says so). Nothing else
/// of the log is held up. It shows what had reached a level when it was taken;
/// below *durable* a crash may still undo what it shows.
///
/// Cheap to take and to clone. All methods may be called by any number of
/// threads. It outlives its [`Log`](crate::Log); the directory stays locked
/// until it is gone too.
///
/// ```
/// use log_facade::{Log, Lsn};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path())?;
/// log.append(b"before")?;
/// let snapshot = log.snapshot();
/// log.append(b"after")?;
/// assert_eq!(snapshot.iter().count(), 1);
/// assert_eq!(snapshot.next_lsn(), Lsn(1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    // Let go first: the log may be closed by the other.
    pin: Pin,
    shared: Arc<Shared>,
    end: Lsn,
}

impl Snapshot {
    pub(crate) fn take(shared: &Arc<Shared>, level: Level) -> Self {
        let pin = shared.floor.pin(Lsn::ZERO, || shared.engine.first_lsn());
        // Behind the pin, or it could end in front of its beginning.
        let end = shared.reached(level).max(pin.at());
        Self {
            pin,
            shared: Arc::clone(shared),
            end,
        }
    }

    /// The number of its first record.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.pin.at()
    }

    /// One past the number of its last record.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.end
    }

    /// Whether it shows no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first_lsn() >= self.end
    }

    /// Record `lsn`; `None` at or beyond its end, and for a number that its
    /// writer gave up half-way.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] in front of its first record, and see
    /// [`ReadError`].
    pub fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        if lsn >= self.end {
            return Ok(None);
        }
        self.check(lsn)?;
        self.shared.engine.read(lsn)
    }

    /// Reads from its first record on.
    #[must_use]
    pub fn iter(&self) -> Records<'_> {
        self.iter_from(self.first_lsn())
    }

    /// Reads from record `lsn` on.
    #[must_use]
    pub fn iter_from(&self, lsn: Lsn) -> Records<'_> {
        self.range(lsn..self.end)
    }

    /// Reads those of its records that `lsns` has.
    #[must_use]
    pub fn range(&self, lsns: Range<Lsn>) -> Records<'_> {
        let asked = lsns.start;
        let lsns = asked.max(self.first_lsn())..lsns.end.min(self.end);
        let is_empty = lsns.is_empty();
        let records = Records::new(self.shared.engine.records(lsns));
        match self.check(asked) {
            Err(error) if !is_empty => records.truncated(error),
            _ => records,
        }
    }

    /// The number of its first record whose timestamp is at or after `moment`,
    /// see [`Log::lsn_at_or_after`](crate::Log::lsn_at_or_after).
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn lsn_at_or_after(&self, moment: Timestamp) -> Result<Option<Lsn>, ReadError> {
        let found = self.shared.engine.lsn_at_or_after(moment)?;
        let found = found.map(|lsn| lsn.max(self.first_lsn()));
        Ok(found.filter(|lsn| *lsn < self.end))
    }

    /// Refuses what lies in front of its first record.
    fn check(&self, requested: Lsn) -> Result<(), ReadError> {
        let first = self.first_lsn();
        match requested < first {
            true => Err(ReadError::Truncated { requested, first }),
            false => Ok(()),
        }
    }
}

impl<'a> IntoIterator for &'a Snapshot {
    type Item = Result<Record, ReadError>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}
