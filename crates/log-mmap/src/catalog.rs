//! Which sealed segments there are, for lookups by lsn.
//!
//! A version of the catalog never changes: readers take the current one, and a
//! change publishes another. Every version has its segments in order, each
//! base the end of the one before (`INV-M4`), so a lookup is a binary search.
//!
//! Segments are mapped when they are first read. The number of mappings is
//! bounded: the one that was mapped first goes, and comes back when it is
//! needed again. Whoever holds a record of it keeps it meanwhile (`INV-M5`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use log_wal::{Lsn, ReadError, SealedSegment, Wal};

use crate::segment::{IndexPolicy, Mapped, Segment, Walk};

/// How many segments are mapped at most. One in 64 of the mappings that Linux
/// allows a process (`vm.max_map_count`, 65530): records that are held, and
/// the rest of the process, need some too.
const MAPPED_MAX: usize = 1024;

/// The sealed segments of a log.
#[derive(Debug)]
pub(crate) struct Catalog {
    version: RwLock<Arc<Version>>,
    /// The count of sealed segments that `version` was made from.
    count: AtomicU64,
    /// Held while another version is made, so that versions only move forward.
    refreshing: Mutex<()>,
    /// The mapped segments, in the order in which they were mapped.
    mapped: Mutex<VecDeque<Arc<Segment>>>,
    mapped_max: usize,
    policy: IndexPolicy,
}

impl Catalog {
    /// A catalog of these segments.
    pub(crate) fn new(sealed: Vec<SealedSegment>, policy: IndexPolicy) -> Self {
        let version = Version::default().succeeded_by(sealed);
        Self {
            version: RwLock::new(Arc::new(version)),
            count: AtomicU64::new(0),
            refreshing: Mutex::default(),
            mapped: Mutex::default(),
            mapped_max: MAPPED_MAX,
            policy,
        }
    }

    /// Takes over what the log has sealed since the last time.
    pub(crate) fn refresh(&self, wal: &Wal) {
        // Acquire pairs with the Release below: who sees the count finds the
        // version that belongs to it.
        if wal.sealed_count() == self.count.load(Ordering::Acquire) {
            return;
        }
        let _alone = self
            .refreshing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The count before the list: what is sealed in between is counted
        // again the next time.
        let count = wal.sealed_count();
        let next = Arc::new(self.version().succeeded_by(wal.sealed()));
        *self.version.write().unwrap_or_else(PoisonError::into_inner) = next;
        self.count.store(count, Ordering::Release);
    }

    fn version(&self) -> Arc<Version> {
        Arc::clone(&self.version.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The segments from that with record `lsn` on.
    pub(crate) fn segments_from(&self, lsn: Lsn) -> Vec<Arc<Segment>> {
        self.version().from(lsn).to_vec()
    }

    /// A walk from record `lsn` on, to the end of its segment; `None` if the
    /// record is in none.
    pub(crate) fn walk_from(&self, lsn: Lsn) -> Option<Result<Walk, ReadError>> {
        let segment = {
            let version = self.version.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(version.find(lsn)?)
        };
        let walk = self
            .map(&segment)
            .and_then(|mapped| segment.walk_from(mapped, lsn, self.policy));
        Some(walk)
    }

    /// The segment's mapping and index, made if necessary.
    pub(crate) fn map(&self, segment: &Arc<Segment>) -> Result<Arc<Mapped>, ReadError> {
        if let Some(mapped) = segment.mapped() {
            return Ok(mapped);
        }
        let (mapped, is_new) = segment.map(self.policy)?;
        if is_new {
            self.make_room_for(Arc::clone(segment));
        }
        Ok(mapped)
    }

    fn make_room_for(&self, segment: Arc<Segment>) {
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        mapped.push_back(segment);
        while mapped.len() > self.mapped_max
            && let Some(oldest) = mapped.pop_front()
        {
            oldest.unmap();
        }
    }
}

/// Segments in order, without gap or overlap.
#[derive(Debug, Default)]
struct Version {
    segments: Vec<Arc<Segment>>,
}

impl Version {
    /// The version with these segments; those that this one has too are the
    /// same ones, with their mappings. A list with a gap is not taken over:
    /// what this version lacks is then read through the log.
    fn succeeded_by(&self, sealed: Vec<SealedSegment>) -> Self {
        if !is_contiguous(&sealed) {
            tracing::error!(
                ?sealed,
                "the sealed segments do not join; the catalog stays as it is"
            );
            debug_assert!(false, "INV-M4: {sealed:?}");
            let segments = self.segments.clone();
            return Self { segments };
        }
        let segments = sealed.into_iter().map(|sealed| self.kept_or_new(sealed));
        Self {
            segments: segments.collect(),
        }
    }

    fn kept_or_new(&self, sealed: SealedSegment) -> Arc<Segment> {
        let at = self
            .segments
            .binary_search_by_key(&sealed.name.id, |segment| segment.id());
        let known = at.ok().and_then(|at| self.segments.get(at));
        match known {
            // Not if it was cut since, or is another file by now.
            Some(segment) if segment.is(&sealed) => Arc::clone(segment),
            _ => Arc::new(Segment::new(sealed)),
        }
    }

    fn from(&self, lsn: Lsn) -> &[Arc<Segment>] {
        // A segment without records ends where it begins: never the answer.
        let at = self
            .segments
            .partition_point(|segment| segment.end() <= lsn);
        &self.segments[at..]
    }

    fn find(&self, lsn: Lsn) -> Option<&Arc<Segment>> {
        self.from(lsn)
            .first()
            .filter(|segment| segment.base() <= lsn)
    }
}

/// Keeps `INV-M4`.
fn is_contiguous(sealed: &[SealedSegment]) -> bool {
    sealed.iter().all(|segment| segment.base <= segment.end)
        && sealed.windows(2).all(|pair| match pair {
            [one, next] => one.end == next.base && one.name.id < next.name.id,
            _ => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use log_wal::format::SegmentName;

    const POLICY: IndexPolicy = IndexPolicy {
        interval_bytes: 0,
        saves: false,
    };

    /// Segments with these ends, without files.
    fn sealed(base: u64, ends: &[u64]) -> Vec<SealedSegment> {
        let bases = std::iter::once(&base).chain(ends);
        let segment = |((base, end), id): ((&u64, &u64), u64)| SealedSegment {
            name: SegmentName {
                base: Lsn(*base),
                id,
            },
            path: format!("segment {id}").into(),
            salt: id,
            log_uuid: [0; 16],
            base: Lsn(*base),
            end: Lsn(*end),
            end_position: 8192,
            file_bytes: 8192,
        };
        bases.zip(ends).zip(1..).map(segment).collect()
    }

    fn found(version: &Version, lsn: u64) -> Option<u64> {
        version.find(Lsn(lsn)).map(|segment| segment.id())
    }

    #[test]
    fn every_lsn_is_in_the_one_segment_that_has_it() {
        let version = Version::default().succeeded_by(sealed(10, &[12, 12, 12, 20]));
        let expected = [
            (9, None),
            (10, Some(1)),
            (11, Some(1)),
            (12, Some(4)),
            (19, Some(4)),
        ];
        for (lsn, segment) in expected {
            assert_eq!(found(&version, lsn), segment, "INV-M4: record {lsn}");
        }
        assert_eq!(found(&version, 20), None);
        assert_eq!(found(&Version::default(), 0), None);
    }

    #[test]
    fn segments_that_do_not_join_are_noticed() {
        let whole = sealed(0, &[10, 20, 30]);
        assert!(is_contiguous(&whole));
        assert!(is_contiguous(&[]));
        let without_the_middle = [whole[0].clone(), whole[2].clone()];
        assert!(!is_contiguous(&without_the_middle), "INV-M4: a gap");
        let twice = [whole[0].clone(), whole[0].clone()];
        assert!(!is_contiguous(&twice), "INV-M4: an overlap");
        let backwards = [whole[1].clone(), whole[0].clone()];
        assert!(!is_contiguous(&backwards), "INV-M4: out of order");
    }

    #[test]
    fn a_segment_stays_itself_from_version_to_version() {
        let first = Version::default().succeeded_by(sealed(0, &[10, 20]));
        let second = first.succeeded_by(sealed(0, &[10, 20, 30]));
        for (one, next) in first.segments.iter().zip(&second.segments) {
            assert!(Arc::ptr_eq(one, next), "with its mapping");
        }
        let mut shorter = sealed(0, &[10, 20, 30]);
        shorter.remove(0);
        let third = second.succeeded_by(shorter);
        assert!(
            Arc::ptr_eq(&second.segments[1], &third.segments[0]),
            "dropped from the front"
        );
        let cut = third.succeeded_by(sealed(0, &[10, 15]));
        assert_eq!(
            cut.segments[1].end(),
            Lsn(15),
            "a segment that was cut is another"
        );
    }

    #[test]
    fn no_more_segments_are_mapped_than_allowed_and_all_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let wal = Wal::open(directory.path()).unwrap();
        for lsn in 0..6_u64 {
            wal.append(&lsn.to_le_bytes()).unwrap();
            wal.rotate().unwrap();
        }
        let catalog = Catalog {
            mapped_max: 2,
            ..Catalog::new(Vec::new(), POLICY)
        };
        catalog.refresh(&wal);
        let mut held = Vec::new();
        for lsn in (0..6).chain((0..6).rev()) {
            let mut walk = catalog.walk_from(Lsn(lsn)).unwrap().unwrap();
            held.push(walk.step().unwrap().unwrap());
            let segments = catalog.segments_from(Lsn(0));
            let mapped = segments
                .iter()
                .filter(|segment| segment.mapped().is_some())
                .count();
            assert!(mapped <= 2, "{mapped} are mapped");
        }
        for record in held {
            assert_eq!(record.payload(), record.lsn().0.to_le_bytes(), "INV-M5");
        }
    }
}
