//! Compaction by key: of the records with one key, the newest stays.
//!
//! One pass over the sealed segments below a given number finds the newest
//! record of each key, a second one writes those segments without the others
//! (see [`Wal::compact_sealed`](log_wal::Wal::compact_sealed)), oldest first.
//! What is newer than those segments is not asked: so nothing is given up for
//! the sake of a record that is not durable yet, or that a truncation behind
//! that number could take away.

use std::collections::HashMap;

use log_wal::{CompactError, Lsn, ReadError, SealedSegment};

use crate::envelope::Record;
use crate::leftovers;
use crate::store::Store;

/// What [`Store::compact_before`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactReport {
    /// Segments that were written anew.
    pub segments: usize,
    /// Records that these still have.
    pub kept_records: u64,
    /// Records that were taken out of them.
    pub dropped_records: u64,
    /// Bytes of their files that take no room any more, if the file system
    /// keeps sparse files; also what earlier compactions of them gave back.
    pub hole_bytes: u64,
}

impl Store {
    /// Compacts the sealed segments of which all records lie below `lsn`: of
    /// the records in them that have the same key, only the newest stays.
    /// Records without a key stay, numbers do not change, and nothing from
    /// `lsn` on is touched or looked at.
    ///
    /// `keep` is asked about the newest record of each key whether it stays.
    /// Say `|_| true`, or refuse what only says that its key is gone (a
    /// *tombstone*, however your records say it). A reader that has passed the
    /// older records of that key, and not yet the tombstone, then never sees it:
    /// refuse tombstones when no such reader is left, by their number or their
    /// time.
    ///
    /// A number whose record went has none: [`read`](Self::read) gives `None`,
    /// iteration passes over it. Records that are held stay valid (`INV-M5`).
    /// Who reads a segment meanwhile reads the old one or the new one to the
    /// end. A crash at any moment leaves each segment as it was or compacted,
    /// whole, and the older ones first: never a record without all that
    /// superseded it.
    ///
    /// Appends go on meanwhile. Blocks for reading the segments three times,
    /// writing what stays of those that lose something, and two syncs for each.
    /// Needs memory for every key once, and for the numbers of one segment.
    ///
    /// ```
    /// use log_mmap::{Lsn, NewRecord, Store, StoreOptions};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let store = Store::open(directory.path(), StoreOptions::default())?;
    /// store.append_record(&NewRecord::new(b"1").key(b"a"))?;
    /// store.append_record(&NewRecord::new(b"2").key(b"a"))?;
    /// store.append(b"without a key")?;
    /// store.rotate()?;
    ///
    /// let report = store.compact_before(store.next_lsn(), |_| true)?;
    /// assert_eq!((report.kept_records, report.dropped_records), (2, 1));
    /// let left: Vec<_> = store.iter().map(|it| it.map(|it| it.lsn())).collect::<Result<_, _>>()?;
    /// assert_eq!(left, [Lsn(1), Lsn(2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
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
        self.catalog.refresh(&self.wal);
        let mut segments = self.wal.sealed();
        segments.retain(|segment| segment.end <= lsn && segment.base < segment.end);
        let newest = self.newest_by_key(&segments)?;
        let mut report = CompactReport::default();
        for segment in &segments {
            self.compact_one(segment, &newest, &mut keep, &mut report)?;
        }
        Ok(report)
    }

    /// The number of the newest record of each key in these segments.
    fn newest_by_key(
        &self,
        segments: &[SealedSegment],
    ) -> Result<HashMap<Box<[u8]>, Lsn>, CompactError> {
        let mut newest = HashMap::new();
        if let [first, ..] = segments
            && let [.., last] = segments
        {
            for record in self.range(first.base..last.end) {
                let record = match record {
                    // Dropped meanwhile: it goes on behind that, and what was
                    // dropped superseded nothing.
                    Err(ReadError::Truncated { .. }) => continue,
                    record => record?,
                };
                let Some(key) = record.key() else {
                    continue;
                };
                match newest.get_mut(key) {
                    Some(lsn) => *lsn = record.lsn(),
                    None => _ = newest.insert(Box::from(key), record.lsn()),
                }
            }
        }
        Ok(newest)
    }

    fn compact_one(
        &self,
        segment: &SealedSegment,
        newest: &HashMap<Box<[u8]>, Lsn>,
        keep: &mut impl FnMut(&Record) -> bool,
        report: &mut CompactReport,
    ) -> Result<(), CompactError> {
        let stays = |record: &log_wal::Record| match Record::try_from(record.clone()) {
            Ok(record) => match record.key().and_then(|key| newest.get(key)) {
                Some(lsn) if *lsn == record.lsn() => keep(&record),
                Some(_) => false,
                None => true,
            },
            // The pass before this one could read it.
            Err(_) => true,
        };
        let compacted = self.wal.compact_sealed(segment, stays);
        if !matches!(compacted, Ok(None)) {
            // After an error, too, the new file may be there.
            self.catalog.renew(segment);
            leftovers::remove_indexes_of(segment.name, &segment.path);
        }
        if let Some(compacted) = compacted? {
            report.segments += 1;
            report.kept_records += compacted.kept_records;
            report.dropped_records += compacted.dropped_records;
            report.hole_bytes += compacted.hole_bytes;
        }
        Ok(())
    }
}
