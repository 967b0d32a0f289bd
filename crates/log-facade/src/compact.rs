//! Compaction by key, as far as nobody has been promised what would go.

use crate::error::CompactError;
use crate::{CompactReport, Level, Log, Lsn, Record};

impl Log {
    /// Compacts the sealed segments of which all records lie below `lsn`: of
    /// the records in them that have the same [key](crate::NewRecord::key), only
    /// the newest stays. Records without a key stay, numbers do not change, and
    /// nothing from `lsn` on is touched or looked at.
    ///
    /// `keep` is asked about the newest record of each key whether it stays.
    /// Say `|_| true`, or refuse what only says that its key is gone (a
    /// *tombstone*, however your records say it). A reader that has passed the
    /// older records of that key, and not yet the tombstone, then never sees it:
    /// refuse tombstones when no such reader is left, by their number or their
    /// time. It must not use this log.
    ///
    /// Goes no further than what a [`Snapshot`](crate::Snapshot) shows or a
    /// [pinned](crate::Cursor::pin) cursor keeps. A snapshot that is taken
    /// meanwhile may lose to it what is superseded. A number whose record went
    /// has none: [`read`](Self::read) gives `None`, and iterators and
    /// subscriptions pass over it. Records that are held stay valid (`INV-M5`).
    ///
    /// A crash at any moment leaves each segment as it was or compacted, whole,
    /// the older ones first: never a record without all that superseded it
    /// (`INV-W12`). Appends go on meanwhile. Blocks for reading the segments
    /// three times, writing what stays of those that lose something, and two
    /// syncs for each. Needs memory for every key once.
    ///
    /// ```
    /// use log_facade::{Log, Lsn, NewRecord};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path())?;
    /// for price in [b"12", b"11", b"14"] {
    ///     log.append_record(&NewRecord::new(price).key(b"apples"))?;
    /// }
    /// log.rotate()?;
    /// let report = log.compact_before(log.next_lsn(), |_| true)?;
    /// assert_eq!((report.kept_records, report.dropped_records), (1, 2));
    /// let left: Vec<_> = log.iter().collect::<Result<_, _>>()?;
    /// assert_eq!((left[0].lsn(), left[0].payload()), (Lsn(2), &b"14"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`CompactError`]. Segments that were compacted before it are so; the
    /// others are as they were, and calling again goes on.
    pub fn compact_before(
        &self,
        lsn: Lsn,
        mut keep: impl FnMut(&Record) -> bool,
    ) -> Result<CompactReport, CompactError> {
        let (shared, _) = self.parts();
        shared.admit(Level::Published)?;
        let engine = shared.engine.as_ref();
        let compaction = engine.compaction().ok_or(CompactError::NotSupported)?;
        let by_cursors = shared
            .cursors
            .lowest_pin(&engine.segments(), engine.next_lsn());
        let pins = shared.floor.lowest().into_iter().chain(by_cursors);
        let end = pins.fold(lsn, Lsn::min);
        let report = compaction.compact_before(end, &mut keep)?;
        if report.segments > 0 {
            tracing::info!(
                segments = report.segments,
                dropped_records = report.dropped_records,
                "segments compacted"
            );
        }
        Ok(report)
    }
}
