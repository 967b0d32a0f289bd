//! One sealed segment: its file, mapped when it is first needed, its index,
//! and the walk over its records.
//!
//! A lookup takes the index at its word only as far as a place to start from;
//! what lies at the end of the way is checked there. If the way fails and the
//! index came from a file, the index is built again and the lookup repeated:
//! so an answer never depends on an index file (`INV-M3`), and what is then
//! not found is damage of the segment itself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use log_wal::format::{FrameKind, SegmentName};
use log_wal::{Damage, Lsn, ReadError, Record, SealedSegment};

use crate::frames::{Frames, Place};
use crate::index::{self, Index, IndexFault};
use crate::map::{MapError, map_sealed};
use crate::sync::{Mutex, lock};

/// How indexes are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexPolicy {
    /// One entry for so many bytes.
    pub interval_bytes: u32,
    /// Whether built indexes are put beside their segments. Only the log's one
    /// writer may.
    pub saves: bool,
}

/// A sealed segment.
#[derive(Debug)]
pub(crate) struct Segment {
    sealed: SealedSegment,
    /// Its mapping, for as long as anybody has it. Locked while it is made, so
    /// that it is made once; readers find it in the catalog.
    mapped: Mutex<Weak<Mapped>>,
}

/// A segment's frames in memory, and its index.
#[derive(Debug)]
pub(crate) struct Mapped {
    segment: Arc<Segment>,
    frames: Frames,
    index: Index,
    origin: Origin,
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
            },
            Err(fault) => {
                self.note_rebuild(fault);
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
        let built = index::build(&frames, policy.interval_bytes);
        if policy.saves && built.is_whole {
            self.save(&built.index);
        }
        Mapped {
            segment: Arc::clone(self),
            frames,
            index: built.index,
            origin: Origin::Segment,
        }
    }

    fn save(&self, index: &Index) {
        if let Err(error) = index::save(index, &self.sealed) {
            let path = self.index_path();
            tracing::warn!(path = %path.display(), %error, "no index file; lookups after the next opening will be slower at first");
        }
    }

    fn note_rebuild(&self, fault: IndexFault) {
        let path = self.index_path();
        match fault {
            IndexFault::Missing => tracing::debug!(path = %path.display(), "building the index"),
            _ => tracing::warn!(path = %path.display(), %fault, "building the index again"),
        }
    }

    /// Where its index lies.
    pub(crate) fn index_path(&self) -> PathBuf {
        index::path_beside(&self.sealed.path)
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

    /// A walk from record `lsn` on, which is in this segment; `None` if the
    /// index does not lead there.
    #[inline]
    pub(crate) fn walk_from(self: &Arc<Self>, lsn: Lsn) -> Option<Walk> {
        let place = self.find(lsn)?;
        Some(Walk {
            mapped: Arc::clone(self),
            place,
            is_checked: true,
        })
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

    /// Where the frame of record `lsn` lies; it has passed its checksum.
    #[inline]
    fn find(&self, lsn: Lsn) -> Option<Place> {
        let place = self.frames.skip_to(self.start_for(lsn), lsn)?;
        self.frames.at(place).is_ok().then_some(place)
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
}

/// A walk over the records of a segment, in order, each checked. Holds the
/// mapping.
#[derive(Debug)]
pub(crate) struct Walk {
    mapped: Arc<Mapped>,
    place: Place,
    /// Whether the frame at `place` has been checked already.
    is_checked: bool,
}

impl Walk {
    /// The next record; `None` at the end of the segment. After an error the
    /// walk stays where it is.
    #[inline]
    pub(crate) fn step(&mut self) -> Option<Result<Record, ReadError>> {
        let frames = &self.mapped.frames;
        while self.place != frames.end() {
            let frame = if self.is_checked {
                frames.at_unchecked(self.place)
            } else {
                frames.at(self.place)
            };
            let Ok(frame) = frame else {
                return Some(Err(self.mapped.segment.damaged(self.place)));
            };
            let lsn = self.place.lsn;
            self.place = self.place.behind(&frame);
            self.is_checked = false;
            if frame.kind == FrameKind::Record {
                return Some(Ok(Record::new(lsn, frames.payload(&frame))));
            }
        }
        None
    }

    /// The number of the next record, or the end of the segment.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.place.lsn
    }
}
