//! Which sealed segments there are, and which of them are mapped, for lookups
//! by lsn.
//!
//! A [`Version`] of the catalog never changes, and readers look at the current
//! one without a lock. If it does not have the segment mapped, they map it.
//!
//! Segments are mapped when they are first read. The number of mappings is
//! bounded: the one that was mapped first goes, and comes back when it is
//! needed again. Whoever holds a record of it keeps it meanwhile (`INV-M5`).

use std::sync::Arc;

use log_wal::{Lsn, ReadError, SealedSegment, Wal};

use crate::current::{Current, Watch};
use crate::directory::Directory;
use crate::envelope::{Record, Timestamp};
use crate::leftovers;
use crate::mapped::Mapped;
use crate::segment::{IndexPolicy, Segment};
use crate::version::{Found, Version};
use crate::walk::Walk;

/// How many segments are mapped at most. One in 64 of the mappings that Linux
/// allows a process (`vm.max_map_count`, 65530): records that are held, and
/// the rest of the process, need some too.
const MAPPED_MAX: usize = 1024;

/// What a catalog follows.
pub(crate) trait Sealed {
    /// A number that changes whenever the sealed segments do.
    fn sealed_count(&self) -> u64;

    /// The sealed segments from that with record `lsn` on.
    fn sealed_from(&self, lsn: Lsn) -> Vec<SealedSegment>;
}

impl Sealed for Wal {
    fn sealed_count(&self) -> u64 {
        Self::sealed_count(self)
    }

    fn sealed_from(&self, lsn: Lsn) -> Vec<SealedSegment> {
        Self::sealed_from(self, lsn)
    }
}

/// The sealed segments of a log.
#[derive(Debug)]
pub(crate) struct Catalog {
    current: Current<Version>,
    mapped_max: usize,
    policy: IndexPolicy,
    /// Whether it takes segments in. One that does not leaves all of them to
    /// the write-ahead log.
    follows: bool,
}

impl Catalog {
    /// A catalog of the sealed segments of a log that begins at `first`.
    pub(crate) fn new(first: Lsn, log: &impl Sealed, policy: IndexPolicy) -> Self {
        let mut catalog = Self::without_segments(first, policy);
        catalog.follows = true;
        catalog.reload(first, log);
        catalog
    }

    /// A catalog that has no segment and takes none in, of a log that begins at
    /// `first`.
    pub(crate) fn without_segments(first: Lsn, policy: IndexPolicy) -> Self {
        Self {
            current: Current::new(Version::empty_at(first)),
            mapped_max: MAPPED_MAX,
            policy,
            follows: false,
        }
    }

    /// Takes over what the log has sealed since the last time.
    pub(crate) fn refresh(&self, log: &impl Sealed) {
        if !self.follows || self.current.look(|version| version.count) == log.sealed_count() {
            return;
        }
        self.current.change(|version| {
            // The count before the list: what is sealed in between is counted
            // again the next time.
            let count = log.sealed_count();
            let news = log.sealed_from(version.directory.end());
            let extended = version.directory.extended_by(news);
            (joined(extended).map(|it| version.with(it, count)), ())
        });
    }

    /// Takes over what the log has, after it lost something: the segments that
    /// are no part of it any more.
    pub(crate) fn reload(&self, first: Lsn, log: &impl Sealed) -> Vec<Arc<Segment>> {
        if !self.follows {
            return Vec::new();
        }
        self.current.change(|version| {
            let count = log.sealed_count();
            let all = log.sealed_from(Lsn::ZERO);
            let replaced = version.directory.replaced_by(first, all);
            let Some(directory) = joined(replaced) else {
                return (None, Vec::new());
            };
            let gone = version.directory.iter().filter(|it| !directory.has(it));
            let gone = gone.map(Arc::clone).collect();
            (Some(version.with(directory, count)), gone)
        })
    }

    /// Forgets the segments that end at or before `lsn`: which those are, and
    /// where the last one ends that it knows of.
    pub(crate) fn drop_before(&self, lsn: Lsn) -> (Vec<Arc<Segment>>, Lsn) {
        if !self.follows {
            // It leads nobody anywhere: any segment may go.
            return (Vec::new(), Lsn(u64::MAX));
        }
        self.current.change(|version| {
            let gone: Vec<_> = version.directory.before(lsn).map(Arc::clone).collect();
            let rest = version.directory.without_before(lsn);
            let end = rest.end();
            let next = (!gone.is_empty()).then(|| version.with(rest, version.count));
            (next, (gone, end))
        })
    }

    /// Forgets what is known of a segment, because another file has its name
    /// now. Whoever has the old one mapped keeps it (`INV-M5`).
    pub(crate) fn renew(&self, sealed: &SealedSegment) {
        self.current.change(|version| {
            let renewed = version.directory.renewed(sealed);
            (renewed.map(|it| version.with(it, version.count)), ())
        });
    }

    /// The segments that end behind record `lsn`.
    pub(crate) fn segments_from(&self, lsn: Lsn) -> Vec<Arc<Segment>> {
        self.current
            .look(|version| version.directory.from(lsn).map(Arc::clone).collect())
    }

    /// A walk from record `lsn` on, to the end of its segment; `None` if the
    /// record is in none.
    pub(crate) fn walk_from(&self, lsn: Lsn) -> Option<Result<Walk, ReadError>> {
        let mapped = match self.find(lsn)? {
            Ok(mapped) => mapped,
            Err(error) => return Some(Err(error)),
        };
        let walk = mapped.walk_from(lsn);
        Some(walk.map_or_else(|| self.walk_by_a_new_index(&mapped, lsn), Ok))
    }

    /// Record `lsn`, if it is in a segment; and if it is not there, although its
    /// number is, none.
    ///
    /// Looks it up while the version cannot go away, which is cheaper than to
    /// take hold of the mapping.
    #[inline]
    pub(crate) fn record(&self, lsn: Lsn) -> Option<Result<Option<Record>, ReadError>> {
        let found = self.current.look(|version| {
            let mapped = version.mapped(lsn)?;
            mapped.record_to_keep(lsn)
        });
        found.or_else(|| self.record_by_another_way(lsn))
    }

    /// The same if its segment is not mapped, or the index does not lead there.
    #[cold]
    fn record_by_another_way(&self, lsn: Lsn) -> Option<Result<Option<Record>, ReadError>> {
        let mapped = match self.find(lsn)? {
            Ok(mapped) => mapped,
            Err(error) => return Some(Err(error)),
        };
        let found = mapped.record_to_keep(lsn);
        Some(found.unwrap_or_else(|| {
            let rebuilt = self.reindexed(&mapped, lsn)?;
            let found = rebuilt.record_to_keep(lsn);
            found.unwrap_or_else(|| Err(rebuilt.damage_before(lsn)))
        }))
    }

    /// The versions that there will be, for a reader that looks often.
    pub(crate) fn watch(&self) -> Watch<Version> {
        self.current.watch()
    }

    /// The first segment that ends behind record `from` and may have a record
    /// at or after `moment`.
    pub(crate) fn first_reaching(&self, moment: Timestamp, from: Lsn) -> Option<Arc<Segment>> {
        self.current.look(|version| {
            let mut segments = version.directory.from(from);
            segments.find(|segment| segment.may_reach(moment)).cloned()
        })
    }

    /// The number of the first record at or after `moment` in `segment`.
    pub(crate) fn at_or_after(
        &self,
        moment: Timestamp,
        segment: &Arc<Segment>,
    ) -> Result<Option<Lsn>, ReadError> {
        // What its time index says is often enough, and needs no mapping.
        if !segment.knows_greatest() && segment.load_times().is_ok() && !segment.may_reach(moment) {
            return Ok(None);
        }
        self.map(segment)?.at_or_after(moment, self.policy)
    }

    /// Where the sealed segments end.
    pub(crate) fn end(&self) -> Lsn {
        self.current.look(|version| version.directory.end())
    }

    #[cold]
    fn walk_by_a_new_index(&self, mapped: &Mapped, lsn: Lsn) -> Result<Walk, ReadError> {
        let rebuilt = self.reindexed(mapped, lsn)?;
        let walk = rebuilt.walk_from(lsn);
        walk.ok_or_else(|| rebuilt.damage_before(lsn))
    }

    #[cold]
    fn reindexed(&self, mapped: &Mapped, lsn: Lsn) -> Result<Arc<Mapped>, ReadError> {
        let rebuilt = mapped.reindexed(lsn, self.policy)?;
        self.seat(&rebuilt);
        Ok(rebuilt)
    }

    /// The mapping of the segment that has record `lsn`, made if necessary.
    pub(crate) fn find(&self, lsn: Lsn) -> Option<Result<Arc<Mapped>, ReadError>> {
        loop {
            let segment = match self.current.look(|version| version.find(lsn))? {
                Found::Mapped(mapped) => return Some(Ok(mapped)),
                Found::Unmapped(segment) => segment,
            };
            match self.map(&segment) {
                // It was dropped, and its file went before it was mapped.
                Err(_) if !self.has(&segment) => {}
                mapped => return Some(mapped),
            }
        }
    }

    fn has(&self, segment: &Arc<Segment>) -> bool {
        self.current.look(|version| version.directory.has(segment))
    }

    /// Maps and indexes a segment that this process has just sealed for its
    /// first reader, if it was not dropped.
    pub(crate) fn prepare(&self, segment: &Arc<Segment>) -> Result<(), ReadError> {
        match segment.map(self.policy, true) {
            Ok(mapped) => self.seat(&mapped),
            Err(error) if self.has(segment) => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    /// The segment's mapping and index, made if necessary.
    fn map(&self, segment: &Arc<Segment>) -> Result<Arc<Mapped>, ReadError> {
        let mapped = segment.map(self.policy, false)?;
        self.seat(&mapped);
        Ok(mapped)
    }

    /// Lets readers find a mapping, in place of an earlier one of its segment.
    /// If that was dropped meanwhile, its index files go after it.
    fn seat(&self, mapped: &Arc<Mapped>) {
        let segment = mapped.segment();
        let is_dropped = self.current.change(|version| {
            let is_dropped = !version.directory.has(segment);
            (version.seating(mapped, self.mapped_max), is_dropped)
        });
        if is_dropped && self.policy.saves {
            leftovers::remove_indexes([&**segment]);
        }
    }

    /// The same with another bound for the mappings.
    #[cfg(test)]
    pub(crate) fn bounded(self, mapped_max: usize) -> Self {
        Self { mapped_max, ..self }
    }

    /// The segment that has record `lsn`, without mapping it.
    #[cfg(all(test, log_loom))]
    pub(crate) fn id_of_segment(&self, lsn: Lsn) -> Option<u64> {
        self.current
            .look(|version| version.directory.find(lsn).map(|segment| segment.id()))
    }

    /// How many segments are mapped.
    #[cfg(test)]
    pub(crate) fn mapped_count(&self) -> usize {
        self.current.look(|version| version.mapped_count())
    }
}

/// A list with a gap is not taken over: what the catalog lacks is then read
/// through the log.
fn joined(directory: Option<Directory>) -> Option<Directory> {
    if directory.is_none() {
        tracing::error!("the sealed segments do not join; the catalog stays as it is");
        debug_assert!(false, "INV-M4");
    }
    directory
}

#[cfg(all(test, not(log_loom)))]
mod tests {
    use super::*;
    use crate::options::Checks;

    const POLICY: IndexPolicy = IndexPolicy {
        interval_bytes: 0,
        saves: false,
        checks: Checks::EachRead,
    };

    fn six_segments(wal: &Wal) -> Catalog {
        for lsn in 0..6_u64 {
            wal.append(&lsn.to_le_bytes()).unwrap();
            wal.rotate().unwrap();
        }
        Catalog::new(Lsn::ZERO, wal, POLICY).bounded(2)
    }

    #[test]
    fn no_more_segments_are_mapped_than_allowed_and_all_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let wal = Wal::open(directory.path()).unwrap();
        let catalog = six_segments(&wal);
        let mut held = Vec::new();
        for lsn in (0..6).chain((0..6).rev()) {
            let mut walk = catalog.walk_from(Lsn(lsn)).unwrap().unwrap();
            held.push(walk.step().unwrap().unwrap());
            assert!(catalog.mapped_count() <= 2);
        }
        for record in held {
            assert_eq!(record.payload(), record.lsn().0.to_le_bytes(), "INV-M5");
        }
    }

    #[test]
    fn the_mapping_that_was_made_first_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let wal = Wal::open(directory.path()).unwrap();
        let catalog = six_segments(&wal);
        let map = |lsn| Arc::downgrade(&catalog.find(Lsn(lsn)).unwrap().unwrap());
        let (five, one) = (map(5), map(1));
        assert!(five.upgrade().is_some() && one.upgrade().is_some());
        let three = map(3);
        assert!(five.upgrade().is_none(), "it made room, at once");
        assert!(one.upgrade().is_some() && three.upgrade().is_some());
    }

    #[test]
    fn a_segment_that_goes_before_it_is_mapped_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let wal = Wal::open(directory.path()).unwrap();
        let catalog = six_segments(&wal);
        let [dropped, damaged] = [1, 4].map(|lsn| catalog.segments_from(Lsn(lsn)).remove(0));
        std::fs::remove_file(dropped.path()).unwrap();
        std::fs::remove_file(damaged.path()).unwrap();
        assert!(catalog.find(Lsn(1)).unwrap().is_err(), "part of the log");
        catalog.drop_before(Lsn(2));
        assert!(catalog.find(Lsn(1)).is_none());
        assert!(catalog.find(Lsn(4)).unwrap().is_err());
    }

    #[test]
    fn what_is_dropped_is_neither_found_nor_mapped_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let wal = Wal::open(directory.path()).unwrap();
        let catalog = six_segments(&wal);
        let mapped = Arc::downgrade(&catalog.find(Lsn(1)).unwrap().unwrap());
        let late = catalog.segments_from(Lsn(1)).remove(0);
        let (gone, end) = catalog.drop_before(Lsn(3));
        assert_eq!(end, Lsn(6), "all that it knows of");
        let gone: Vec<_> = gone.iter().map(|it| it.id()).collect();
        assert_eq!(gone, [1, 2, 3]);
        assert!(mapped.upgrade().is_none(), "its mapping went with it");
        assert!(catalog.find(Lsn(2)).is_none());
        assert!(catalog.find(Lsn(3)).is_some());
        // Who was about to map it still can, and nobody else finds that.
        assert!(catalog.map(&late).is_ok());
        assert!(catalog.find(Lsn(1)).is_none(), "INV-M4");
        catalog.refresh(&wal);
        assert!(
            catalog.find(Lsn(1)).is_none(),
            "the log has it still; we do not"
        );
        assert!(catalog.drop_before(Lsn(3)).0.is_empty());
        assert!(catalog.reload(wal.first_lsn(), &wal).is_empty());
        assert!(catalog.find(Lsn(1)).is_some(), "as the log has it");
    }
}
