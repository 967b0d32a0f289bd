//! What opening found, and what a log consists of.

use std::fmt;
use std::path::PathBuf;

use log_core::Lsn;

use crate::error::Damage;
use crate::format::SegmentName;
use crate::recovery::{Row, Tally};

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// Whether the log was made just now.
    pub created: bool,
    /// How many segments it has.
    pub segments: usize,
    /// The number of its first record.
    pub first_lsn: Lsn,
    /// One past the number of its last record.
    pub next_lsn: Lsn,
    /// How its end was found.
    pub tail: TailState,
    /// Names in the directory that are not segments; left alone.
    pub ignored_files: Vec<String>,
    /// Where the bytes of a torn tail were copied to; only with
    /// [`WalOptions::keep_torn_tail`](crate::WalOptions::keep_torn_tail).
    pub torn_file: Option<PathBuf>,
    /// What was discarded because of damage; only with
    /// [`RecoveryPolicy::CutToLastGood`](crate::RecoveryPolicy::CutToLastGood).
    pub cut: Option<CutReport>,
}

/// A log that was cut in front of its first damage, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutReport {
    /// Where the log now ends: the number of the next record.
    pub end: Lsn,
    /// The segment file that it ends in; `None` if nothing was left.
    pub path: Option<PathBuf>,
    /// Where in that file, in bytes.
    pub position: u64,
    /// Every damage, ascending; the first is where the cut is.
    pub damage: Vec<Damage>,
    /// Everything that was discarded, ascending, damaged or not.
    pub discarded: Vec<Discarded>,
}

/// What a cut took from one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// The file.
    pub path: PathBuf,
    /// The number of the first record.
    pub lsn: Lsn,
    /// One past the last; `None` if nobody knows.
    pub end: Option<Lsn>,
    /// Bytes of frames, whole or not.
    pub bytes: u64,
    /// How many of the records were whole.
    pub whole_records: u64,
}

/// How the end of a log was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailState {
    /// Whole.
    Clean,
    /// Frames that were being written when the log stopped, and were not yet
    /// durable, were cut off.
    ///
    /// If they had been acknowledged as durable, a later sync mark would
    /// normally prove it and opening would have been refused. Only for what was
    /// synced last (one group, or two if records were appended while the first
    /// was synced) there is no later mark: damage to that on the medium looks
    /// like this too.
    Truncated {
        /// The segment file.
        path: PathBuf,
        /// Where the cut is, in bytes.
        position: u64,
        /// The number of the first record that was cut off, to be given again.
        lsn: Lsn,
        /// How many bytes the cut leaves behind: up to the last frame that was
        /// found, or the torn one.
        bytes: u64,
        /// Every record before this one is proven to have been durable; those
        /// from here to `lsn` are whole.
        proven_end: Lsn,
        /// The row of the recovery table that decided.
        row: Row,
    },
}

impl fmt::Display for TailState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("clean"),
            Self::Truncated {
                path,
                position,
                lsn,
                bytes,
                row,
                ..
            } => write!(
                f,
                "torn tail cut at record {lsn}: {bytes} bytes from byte {position} of {} were being written, and nothing proves that they were durable (recovery case {row})",
                path.display()
            ),
        }
    }
}

/// A segment that takes no more records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its name.
    pub name: SegmentName,
    /// Its file.
    pub path: PathBuf,
    /// The salt of its frames.
    pub salt: u64,
    /// The log that it belongs to.
    pub log_uuid: [u8; 16],
    /// The number of its first record.
    pub base: Lsn,
    /// One past the number of its last record.
    pub end: Lsn,
    /// Where its frames end and its seal lies, in bytes. They begin at
    /// [`FIRST_POSITION`](crate::format::FIRST_POSITION).
    pub end_position: u64,
    /// Length of its file.
    pub file_bytes: u64,
}

/// What [`Wal::compact_sealed`](crate::Wal::compact_sealed) did to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Records that it still has.
    pub kept_records: u64,
    /// Records that were taken out.
    pub dropped_records: u64,
    /// Bytes of its file that were not written, in whole blocks of 4096: on a
    /// file system with sparse files they take no room.
    pub hole_bytes: u64,
}

/// Whether a segment takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// The newest: records are appended here.
    Active,
    /// Takes no more records, and waits in memory to be written and sealed.
    Full,
    /// Complete on disk. Its file is never written to again: a compaction puts
    /// another one in its place.
    Sealed,
}

/// One segment, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its name.
    pub name: SegmentName,
    /// Its file.
    pub path: PathBuf,
    /// The number of its first record.
    pub base: Lsn,
    /// One past the number of its last record.
    pub end: Lsn,
    /// Bytes of its frames, headers and padding included.
    pub data_bytes: u64,
    /// Length of its file.
    pub file_bytes: u64,
    /// Whether it takes records.
    pub state: SegmentState,
}

/// What a check of every frame found.
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
}

impl VerifyReport {
    pub(crate) fn add(&mut self, tally: Tally) {
        self.records += tally.records;
        self.payload_bytes += tally.payload_bytes;
        self.voids += tally.voids;
    }
}

/// How far the log has come: exclusive ends, each at or below the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// Records have a number.
    pub reserved_end: Lsn,
    /// Records are visible.
    pub published_end: Lsn,
    /// Records survive the death of the process.
    pub written_end: Lsn,
    /// Records survive power loss.
    pub durable_end: Lsn,
}

/// What a log did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records appended.
    pub records_appended: u64,
    /// Writes of frames to segment files.
    pub writes: u64,
    /// Bytes written: frames, headers, seals, and the zeros of new files.
    pub bytes_written: u64,
    /// Syncs of files and of the directory (`fdatasync`, `fsync`).
    pub syncs: u64,
    /// Segments sealed.
    pub rotations: u64,
    /// Calls and futures that asked for a level that their records had not
    /// reached, and so waited for the disk, or worked for it.
    pub commits: u64,
    /// Turns of work on the disk that were done for them: each wrote what was
    /// published, and synced if one of them had asked for that. So `commits /
    /// groups` callers shared one turn.
    pub groups: u64,
}
