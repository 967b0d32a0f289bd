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

/// How many segments are mapped at most. A sixtieth of the mappings that Linux
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
        while mapped.len() > MAPPED_MAX
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
        match self
            .segments
            .binary_search_by_key(&sealed.name.id, |segment| segment.id())
        {
            Ok(at) => Arc::clone(&self.segments[at]),
            Err(_) => Arc::new(Segment::new(sealed)),
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
