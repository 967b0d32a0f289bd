//! One sealed segment: its file, mapped when it is first needed, its index,
//! and the walk over its records.
//!
//! A lookup takes the index at its word only as far as a place to start from;
//! what lies at the end of the way is checked there. If the way fails and the
//! index came from a file, the index is built again and the lookup repeated:
//! so an answer never depends on an index file (`INV-M3`), and what is then
//! not found is damage of the segment itself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use log_wal::format::{Frame, FrameKind, SegmentName};
use log_wal::{Damage, Lsn, ReadError, SealedSegment};

use crate::envelope::{Record, RecordRef, Timestamp};
use crate::frames::{Frames, Place};
use crate::index::{self, Index, IndexFault, Times, timestamp_of};
use crate::map::{MapError, map_sealed};
use crate::options::StoreOptions;
use crate::sync::{Mutex, lock};
use crate::walk::Walk;

/// How indexes are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexPolicy {
    /// One entry for so many bytes.
    pub interval_bytes: u32,
    /// Whether built indexes are put beside their segments. Only the log's one
    /// writer may.
    pub saves: bool,
}

impl IndexPolicy {
    /// What a log's writer goes by.
    pub(crate) fn of(options: &StoreOptions) -> Self {
        Self {
            interval_bytes: options.index_interval_bytes,
            saves: true,
        }
    }
}

/// A sealed segment.
#[derive(Debug)]
pub(crate) struct Segment {
    sealed: SealedSegment,
    /// Its mapping, for as long as anybody has it. Locked while it is made, so
    /// that it is made once; readers find it in the catalog.
    mapped: Mutex<Weak<Mapped>>,
    /// The greatest timestamp in it, once somebody had to know.
    greatest: OnceLock<Option<Timestamp>>,
}

/// A segment's frames in memory, and its index.
#[derive(Debug)]
pub(crate) struct Mapped {
    segment: Arc<Segment>,
    frames: Frames,
    index: Index,
    origin: Origin,
    /// The index by time, once somebody has asked for a moment.
    times: Mutex<Option<(Arc<Times>, Origin)>>,
}

/// Where an index came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    File,
    Segment,
}

impl Segment {
    pub(crate) fn new(sealed: SealedSegment) -> Self {
        Self {
            sealed,
            mapped: Mutex::new(Weak::new()),
            greatest: OnceLock::new(),
        }
    }

    /// Whether it is the one that `sealed` describes, and as long.
    pub(crate) fn is(&self, sealed: &SealedSegment) -> bool {
        self.sealed == *sealed
    }

    pub(crate) fn id(&self) -> u64 {
        self.sealed.name.id
    }

    pub(crate) fn name(&self) -> SegmentName {
        self.sealed.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.sealed.path
    }

    pub(crate) fn base(&self) -> Lsn {
        self.sealed.base
    }

    pub(crate) fn end(&self) -> Lsn {
        self.sealed.end
    }

    /// Maps it and loads or builds its index, or returns the mapping that
    /// somebody has.
    pub(crate) fn map(self: &Arc<Self>, policy: IndexPolicy) -> Result<Arc<Mapped>, ReadError> {
        let mut slot = lock(&self.mapped);
        if let Some(mapped) = slot.upgrade() {
            return Ok(mapped);
        }
        let frames = self.frames()?;
        let mapped = match index::load(&self.sealed) {
            Ok(index) => Mapped {
                segment: Arc::clone(self),
                frames,
                index,
                origin: Origin::File,
                times: Mutex::new(None),
            },
            Err(fault) => {
                note_rebuild(&self.index_path(), fault);
                self.build(frames, policy)
            }
        };
        let mapped = Arc::new(mapped);
        *slot = Arc::downgrade(&mapped);
        Ok(mapped)
    }

    /// Maps the file as far as there are frames.
    pub(crate) fn frames(&self) -> Result<Frames, ReadError> {
        let sealed = &self.sealed;
        match map_sealed(&sealed.path, sealed.end_position) {
            Ok(bytes) => Ok(Frames::new(bytes, sealed.salt, sealed.base, sealed.end)),
            Err(MapError::Short { found_bytes }) => Err(self.cut(found_bytes)),
            Err(MapError::Io(error)) => Err(ReadError::Io {
                path: sealed.path.clone(),
                position: 0,
                source: Arc::new(error),
            }),
        }
    }

    fn build(self: &Arc<Self>, frames: Frames, policy: IndexPolicy) -> Mapped {
        let built = self.build_both(&frames, policy);
        Mapped {
            segment: Arc::clone(self),
            frames,
            index: built.index,
            origin: Origin::Segment,
            times: Mutex::new(Some((Arc::new(built.times), Origin::Segment))),
        }
    }

    /// Builds both indexes, which takes one pass over the segment, and saves
    /// them if they are to be saved.
    fn build_both(&self, frames: &Frames, policy: IndexPolicy) -> index::Built {
        let built = index::build(frames, policy.interval_bytes);
        _ = self.greatest.set(built.times.greatest());
        if policy.saves && built.is_whole {
            let saved = index::save(&built.index, &self.sealed)
                .and_then(|()| index::save_times(&built.times, &self.sealed));
            if let Err(error) = saved {
                let path = self.index_path();
                tracing::warn!(path = %path.display(), %error, "no index file; lookups after the next opening will be slower at first");
            }
        }
        built
    }

    /// Where its index lies.
    pub(crate) fn index_path(&self) -> PathBuf {
        index::path_beside(&self.sealed.path)
    }

    /// Where its time index lies.
    pub(crate) fn times_path(&self) -> PathBuf {
        index::times_path_beside(&self.sealed.path)
    }

    /// Its time index, from the file.
    pub(crate) fn load_times(&self) -> Result<Times, IndexFault> {
        let times = index::load_times(&self.sealed)?;
        _ = self.greatest.set(times.greatest());
        Ok(times)
    }

    /// Whether its greatest timestamp is known.
    pub(crate) fn knows_greatest(&self) -> bool {
        self.greatest.get().is_some()
    }

    /// Whether it may have a record at or after `moment`, as far as that is
    /// known without reading anything.
    pub(crate) fn may_reach(&self, moment: Timestamp) -> bool {
        let known = self.greatest.get();
        known.is_none_or(|greatest| *greatest >= Some(moment))
    }

    /// Its index, from the file.
    pub(crate) fn load_index(&self) -> Result<Index, IndexFault> {
        index::load(&self.sealed)
    }

    /// No whole frame of the record at `place` lies there.
    #[cold]
    fn damaged(&self, place: Place) -> ReadError {
        let reason = match place.lsn < self.sealed.end {
            true => "the frame here fails its checksum, or is not the one that belongs here",
            false => "the frames do not lead to the end of the segment",
        };
        let damage = Damage::in_sealed(&self.sealed.path, place.position, Some(place.lsn), reason);
        damage.into()
    }

    /// The file is shorter than its frames.
    #[cold]
    fn cut(&self, found_bytes: u64) -> ReadError {
        let reason = format!(
            "the file ends here, and its records reach to byte {}: it was cut from outside",
            self.sealed.end_position
        );
        Damage::in_sealed(&self.sealed.path, found_bytes, None, reason).into()
    }
}

impl Mapped {
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// A walk from record `lsn` on, which is in this segment; `None` if the
    /// index does not lead there.
    #[inline]
    pub(crate) fn walk_from(self: &Arc<Self>, lsn: Lsn) -> Option<Walk> {
        let (place, _) = self.find(lsn)?;
        Some(Walk::new(Arc::clone(self), place))
    }

    /// Record `lsn`, which is in this segment; without a record if its number
    /// was given up, and `None` if the index does not lead there.
    #[inline]
    pub(crate) fn record(&self, lsn: Lsn) -> Option<Result<Option<RecordRef<'_>>, ReadError>> {
        let (_, frame) = self.find(lsn)?;
        Some(match frame.kind {
            FrameKind::Record => Frames::record(&frame).map(Some),
            _ => Ok(None),
        })
    }

    /// The same, shared: the record keeps the mapping.
    #[inline]
    pub(crate) fn record_to_keep(&self, lsn: Lsn) -> Option<Result<Option<Record>, ReadError>> {
        let found = self.record(lsn)?;
        Some(found.map(|record| record.map(|record| self.frames.share(&record))))
    }

    /// The same mapping with an index that was built and not loaded, for when
    /// the way to record `lsn` failed.
    ///
    /// # Errors
    ///
    /// Damage of the segment, if this index was built already.
    #[cold]
    pub(crate) fn reindexed(&self, lsn: Lsn, policy: IndexPolicy) -> Result<Arc<Self>, ReadError> {
        if self.origin == Origin::Segment {
            return Err(self.damage_before(lsn));
        }
        let mut slot = lock(&self.segment.mapped);
        if let Some(now) = slot.upgrade()
            && now.origin == Origin::Segment
        {
            return Ok(now);
        }
        let path = self.segment.index_path();
        tracing::warn!(path = %path.display(), "a lookup by the index failed; building it again");
        let rebuilt = Arc::new(self.segment.build(self.frames.clone(), policy));
        *slot = Arc::downgrade(&rebuilt);
        Ok(rebuilt)
    }

    /// What keeps record `lsn` from being found.
    #[cold]
    pub(crate) fn damage_before(&self, lsn: Lsn) -> ReadError {
        self.segment.damaged(self.fault_before(lsn))
    }

    /// No whole frame of the record at `place` lies there.
    #[cold]
    pub(crate) fn damaged(&self, place: Place) -> ReadError {
        self.segment.damaged(place)
    }

    /// The frame of record `lsn`, and where it lies; it has passed its
    /// checksum, which covers salt, position and number: so it is that record,
    /// whatever led here. What is passed on the way is not checked.
    #[inline]
    fn find(&self, lsn: Lsn) -> Option<(Place, Frame<'_>)> {
        // Where it lies if all of the interval are as long as one another, as
        // records often are: that saves walking from one to the next.
        if let Some(place) = self.index.guess(lsn)
            && let Ok(frame) = self.frames.at(place)
            && frame.word.is_numbered()
        {
            return Some((place, frame));
        }
        let place = self.frames.skip_to(self.start_for(lsn), lsn)?;
        Some((place, self.frames.at(place).ok()?))
    }

    #[inline]
    fn start_for(&self, lsn: Lsn) -> Place {
        self.index.floor(lsn).unwrap_or_else(|| self.frames.first())
    }

    /// The first place on the way to record `lsn` where no whole frame lies.
    #[cold]
    fn fault_before(&self, lsn: Lsn) -> Place {
        let mut place = self.start_for(lsn);
        while let Ok(frame) = self.frames.at(place) {
            place = place.behind(&frame);
        }
        place
    }

    /// The number of the first record at or after `moment`; `None` if it has
    /// none.
    pub(crate) fn at_or_after(
        &self,
        moment: Timestamp,
        policy: IndexPolicy,
    ) -> Result<Option<Lsn>, ReadError> {
        let (times, origin) = self.times(policy);
        let found = self.walk_to(moment, &times);
        if origin == Origin::Segment || matches!(found, Ok(Some(_))) {
            return found;
        }
        // It is not there, or the way there is not: the file is to blame, or
        // the segment is damaged.
        let times = self.build_times(policy);
        self.walk_to(moment, &times)
    }

    fn walk_to(&self, moment: Timestamp, times: &Times) -> Result<Option<Lsn>, ReadError> {
        if times.greatest() < Some(moment) {
            return Ok(None);
        }
        let first = self.frames.first();
        let mut place = times.before(moment).unwrap_or(first);
        while place != self.frames.end() {
            let frame = self.frames.at(place).map_err(|_| self.damaged(place))?;
            if timestamp_of(&frame) >= Some(moment) {
                return Ok(Some(place.lsn));
            }
            place = place.behind(&frame);
        }
        Ok(None)
    }

    /// The index by time, loaded or built if nobody has asked for it yet.
    fn times(&self, policy: IndexPolicy) -> (Arc<Times>, Origin) {
        let mut slot = lock(&self.times);
        let times = slot.get_or_insert_with(|| match self.segment.load_times() {
            Ok(times) => (Arc::new(times), Origin::File),
            Err(fault) => {
                note_rebuild(&self.segment.times_path(), fault);
                let built = self.segment.build_both(&self.frames, policy);
                (Arc::new(built.times), Origin::Segment)
            }
        });
        times.clone()
    }

    #[cold]
    fn build_times(&self, policy: IndexPolicy) -> Arc<Times> {
        let mut slot = lock(&self.times);
        let path = self.segment.times_path();
        tracing::warn!(path = %path.display(), "a lookup by time failed; building the index again");
        let built = self.segment.build_both(&self.frames, policy);
        let times = Arc::new(built.times);
        *slot = Some((Arc::clone(&times), Origin::Segment));
        times
    }
}

fn note_rebuild(path: &Path, fault: IndexFault) {
    match fault {
        IndexFault::Missing => tracing::debug!(path = %path.display(), "building the index"),
        _ => tracing::warn!(path = %path.display(), %fault, "building the index again"),
    }
}
