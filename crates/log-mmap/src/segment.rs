//! One sealed segment: its file, which is mapped and indexed when it is first
//! needed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use log_wal::format::SegmentName;
use log_wal::{Damage, Lsn, ReadError, SealedSegment};

use crate::envelope::Timestamp;
use crate::frames::{Frames, Place};
use crate::index::{self, Index, IndexFault, Times};
use crate::map::{MapError, map_sealed};
use crate::mapped::{Mapped, Origin};
use crate::options::{Checks, StoreOptions};
use crate::sync::{Mutex, lock};

/// How indexes are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexPolicy {
    /// One entry for so many bytes.
    pub interval_bytes: u32,
    /// Whether built indexes are put beside their segments. Only the log's one
    /// writer may.
    pub saves: bool,
    /// When frames are checked.
    pub checks: Checks,
}

impl IndexPolicy {
    /// What a log's writer goes by.
    pub(crate) fn of(options: &StoreOptions) -> Self {
        Self {
            interval_bytes: options.index_interval_bytes,
            saves: true,
            checks: options.checks,
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
    /// somebody has. `is_written` says that this process has just written it.
    pub(crate) fn map(
        self: &Arc<Self>,
        policy: IndexPolicy,
        is_written: bool,
    ) -> Result<Arc<Mapped>, ReadError> {
        let mut slot = lock(&self.mapped);
        if let Some(mapped) = slot.upgrade() {
            return Ok(mapped);
        }
        let frames = self.frames()?;
        let mapped = match (index::load(&self.sealed), policy.checks) {
            (Ok(index), Checks::EachRead) => {
                Mapped::new(self, frames, (index, None), Origin::File, policy.checks)
            }
            // The file is as it should be, and nobody has looked at the frames.
            (Ok(_), Checks::OncePerMapping) => {
                let saves = false;
                self.build(frames, IndexPolicy { saves, ..policy }, false)
            }
            (Err(fault), _) => {
                note_rebuild(&self.index_path(), fault);
                self.build(frames, policy, is_written)
            }
        };
        let mapped = Arc::new(mapped);
        *slot = Arc::downgrade(&mapped);
        Ok(mapped)
    }

    /// The mapping with an index for which every frame was checked: built now,
    /// unless somebody has it.
    #[cold]
    pub(crate) fn map_again(self: &Arc<Self>, frames: Frames, policy: IndexPolicy) -> Arc<Mapped> {
        let mut slot = lock(&self.mapped);
        if let Some(mapped) = slot.upgrade()
            && mapped.is_final()
        {
            return mapped;
        }
        let path = self.index_path();
        tracing::warn!(path = %path.display(), "a lookup by the index failed; building it again");
        let mapped = Arc::new(self.build(frames, policy, false));
        *slot = Arc::downgrade(&mapped);
        mapped
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

    fn build(self: &Arc<Self>, frames: Frames, policy: IndexPolicy, is_written: bool) -> Mapped {
        let by_lengths = match (is_written, policy.checks) {
            (true, Checks::EachRead) => index::build_by_lengths(&frames, policy.interval_bytes),
            _ => None,
        };
        let (built, origin) = match by_lengths {
            Some(built) => (built, Origin::Lengths),
            None => (
                index::build(&frames, policy.interval_bytes),
                Origin::Segment,
            ),
        };
        self.take(&built, policy);
        let indexes = (built.index, Some(built.times));
        Mapped::new(self, frames, indexes, origin, policy.checks)
    }

    /// Builds both indexes, which takes one pass over the segment.
    pub(crate) fn build_both(&self, frames: &Frames, policy: IndexPolicy) -> index::Built {
        let built = index::build(frames, policy.interval_bytes);
        self.take(&built, policy);
        built
    }

    /// Takes note of what was built, and saves it if it is to be saved.
    fn take(&self, built: &index::Built, policy: IndexPolicy) {
        _ = self.greatest.set(built.times.greatest());
        if policy.saves && built.is_whole {
            let saved = index::save(&built.index, &self.sealed)
                .and_then(|()| index::save_times(&built.times, &self.sealed));
            if let Err(error) = saved {
                let path = self.index_path();
                tracing::warn!(path = %path.display(), %error, "no index file; lookups after the next opening will be slower at first");
            }
        }
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
    pub(crate) fn damaged(&self, place: Place) -> ReadError {
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

/// Tells of an index that is built although there may be a file.
pub(crate) fn note_rebuild(path: &Path, fault: IndexFault) {
    match fault {
        IndexFault::Missing => tracing::debug!(path = %path.display(), "building the index"),
        _ => tracing::warn!(path = %path.display(), %fault, "building the index again"),
    }
}
