//! What a check of a whole log found.

use std::fmt;
use std::path::PathBuf;

use log_wal::Damage;

use crate::index::{self, Built, IndexFault};
use crate::segment::Segment;

/// What a check of every frame and every index found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segments looked at.
    pub segments: usize,
    /// Whole records found.
    pub records: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Numbers that have no record, and are not lost: given up while they were
    /// appended, or taken out by compaction.
    pub voids: u64,
    /// Everything that is damaged or missing; empty if the log is sound.
    pub damage: Vec<Damage>,
    /// The index of each sealed segment, ascending.
    pub indexes: Vec<IndexCheck>,
    /// The time index of each.
    pub time_indexes: Vec<IndexCheck>,
}

impl VerifyReport {
    pub(crate) fn new<'a>(
        frames: log_wal::VerifyReport,
        segments: impl Iterator<Item = &'a Segment>,
    ) -> Self {
        let (indexes, time_indexes) = segments.map(check_indexes).unzip();
        Self {
            segments: frames.segments,
            records: frames.records,
            payload_bytes: frames.payload_bytes,
            voids: frames.voids,
            damage: frames.damage,
            indexes,
            time_indexes,
        }
    }

    /// Whether every record is there and whole. Indexes do not count: they are
    /// built again when they are needed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

/// The index of one sealed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexCheck {
    /// Its file.
    pub path: PathBuf,
    /// What was found.
    pub state: IndexState,
}

/// What was found of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexState {
    /// It says what its segment says.
    Sound {
        /// How many records it has the places of.
        entries: usize,
    },
    /// It cannot be used, and will be built again.
    Unusable(IndexFault),
    /// It is whole and says something else than its segment. Lookups notice
    /// it, and build it again.
    Contradicting,
    /// Its segment is damaged, so that there is nothing to hold it against.
    SegmentDamaged,
}

impl fmt::Display for IndexState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound { entries } => write!(f, "sound, {entries} entries"),
            Self::Unusable(fault) => fault.fmt(f),
            Self::Contradicting => f.write_str("contradicts its segment"),
            Self::SegmentDamaged => f.write_str("not compared: its segment is damaged"),
        }
    }
}

/// Holds the index files of a segment against the segment: by number, by time.
fn check_indexes(segment: &Segment) -> (IndexCheck, IndexCheck) {
    let (index, times) = (segment.load_index(), segment.load_times());
    let mut truth = Truth {
        segment,
        built: None,
    };
    let index = IndexCheck {
        path: segment.index_path(),
        state: state(index.as_ref(), |index| {
            let built = truth.at(index.interval_bytes())?;
            Some((built.index == *index, index.len()))
        }),
    };
    let times = IndexCheck {
        path: segment.times_path(),
        state: state(times.as_ref(), |times| {
            let built = truth.at(times.interval_bytes())?;
            Some((built.times == *times, times.len()))
        }),
    };
    (index, times)
}

/// What the segment says, read no oftener than necessary.
struct Truth<'a> {
    segment: &'a Segment,
    built: Option<(u32, Built)>,
}

impl Truth<'_> {
    /// Its indexes with this interval, if it has no damage.
    fn at(&mut self, interval_bytes: u32) -> Option<&Built> {
        if !matches!(&self.built, Some((interval, _)) if *interval == interval_bytes) {
            let frames = self.segment.frames().ok()?;
            self.built = Some((interval_bytes, index::build(&frames, interval_bytes)));
        }
        let (_, built) = self.built.as_ref()?;
        built.is_whole.then_some(built)
    }
}

/// `compare` says whether an index is right and how many entries it has, if
/// there is something to hold it against.
fn state<T>(
    loaded: Result<&T, &IndexFault>,
    compare: impl FnOnce(&T) -> Option<(bool, usize)>,
) -> IndexState {
    match loaded {
        Err(fault) => IndexState::Unusable(*fault),
        Ok(loaded) => match compare(loaded) {
            Some((true, entries)) => IndexState::Sound { entries },
            Some((false, _)) => IndexState::Contradicting,
            None => IndexState::SegmentDamaged,
        },
    }
}
