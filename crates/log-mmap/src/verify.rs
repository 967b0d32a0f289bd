//! What a check of a whole log found.

use std::fmt;
use std::path::PathBuf;

use log_wal::Damage;

use crate::index::{self, IndexFault};
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
    /// Everything that is damaged or missing; empty if the log is sound.
    pub damage: Vec<Damage>,
    /// The index of each sealed segment, ascending.
    pub indexes: Vec<IndexCheck>,
}

impl VerifyReport {
    pub(crate) fn new(frames: log_wal::VerifyReport, indexes: Vec<IndexCheck>) -> Self {
        Self {
            segments: frames.segments,
            records: frames.records,
            payload_bytes: frames.payload_bytes,
            damage: frames.damage,
            indexes,
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

/// Holds the index file of a segment against the segment.
pub(crate) fn check_index(segment: &Segment) -> IndexCheck {
    IndexCheck {
        path: segment.index_path(),
        state: index_state(segment),
    }
}

fn index_state(segment: &Segment) -> IndexState {
    let index = match segment.load_index() {
        Ok(index) => index,
        Err(fault) => return IndexState::Unusable(fault),
    };
    let Ok(frames) = segment.frames() else {
        return IndexState::SegmentDamaged;
    };
    let built = index::build(&frames, index.interval_bytes());
    match (built.is_whole, built.index == index) {
        (false, _) => IndexState::SegmentDamaged,
        (true, true) => IndexState::Sound {
            entries: index.len(),
        },
        (true, false) => IndexState::Contradicting,
    }
}
