//! Errors, one type per verb, one variant per thing that the caller can do.
//!
//! The engine's words, and what only this layer can refuse: options that
//! contradict each other, a level that the engine does not keep, and work in
//! the background that failed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::engine;
use crate::{CursorError, Level, Lsn, ReadError};

/// Why a log could not be opened. Nothing on disk was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The options cannot be met. Choose others.
    #[error(transparent)]
    Options(#[from] OptionsError),

    /// The thread for the log's background work could not be started.
    #[error("cannot start the log's housekeeper: {0}")]
    Housekeeper(#[source] io::Error),

    /// What lies there cannot be opened: by somebody else's lock, by damage,
    /// by the operating system.
    #[error(transparent)]
    Engine(#[from] engine::OpenError),
}

/// Options that cannot be met, found before anything is opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The engine does not keep what the log is told to wait for or to flush
    /// to. Choose another engine or a lower level.
    #[error(
        "the log is told to bring records to level {asked:?}, and its engine keeps {kept:?} at most"
    )]
    LevelNotKept {
        /// What the options ask for.
        asked: Level,
        /// The highest level that the engine keeps.
        kept: Level,
    },

    /// Retention or rotation by age needs records that have a time. Turn
    /// [`stamp`](crate::LogOptions::stamp) on, or drop by size.
    #[error("{policy} needs to know how old records are, and this log does not stamp them")]
    NoTimestamps {
        /// Which policy.
        policy: &'static str,
    },

    /// A bound of zero: it would never let a record be, or keep a thread busy.
    #[error("{option} is zero; leave it out for none")]
    Zero {
        /// Which option.
        option: &'static str,
    },
}

/// Why a record was not appended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The record is longer than the log accepts. Nothing happened; send less.
    #[error("a record of {bytes} bytes is longer than the {max} that this log accepts")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that is accepted.
        max: usize,
    },

    /// A batch has too many records or bytes to be one reservation. Nothing
    /// happened; split it.
    #[error("a batch of {records} records and {bytes} bytes is too large to be atomic; split it")]
    BatchTooLarge {
        /// How many records it has.
        records: usize,
        /// How many bytes.
        bytes: usize,
    },

    /// There is no memory for another segment. Not appended; try again later.
    #[error("no memory for a segment of {bytes} bytes")]
    OutOfMemory {
        /// How much was asked for.
        bytes: u64,
    },

    /// The record numbers of this log, or the ids of its segments, are used up.
    #[error("the record numbers or segment ids of this log are used up")]
    NumbersExhausted,

    /// The log could not write, does not keep the level, or failed in the
    /// background. At level *published*, and always for
    /// [`CommitError::LevelNotKept`] and [`CommitError::Housekeeping`]: not
    /// appended. Otherwise the record may be appended, and is not
    /// acknowledged.
    #[error(transparent)]
    Commit(#[from] CommitError),

    /// The engine refused for a reason of its own. Not appended.
    #[error(transparent)]
    Engine(engine::AppendError),
}

impl From<engine::AppendError> for AppendError {
    fn from(error: engine::AppendError) -> Self {
        use engine::AppendError as E;
        match error {
            E::TooLong { bytes, max } => Self::TooLong { bytes, max },
            E::BatchTooLarge { records, bytes } => Self::BatchTooLarge { records, bytes },
            E::OutOfMemory { bytes } => Self::OutOfMemory { bytes },
            E::NumbersExhausted => Self::NumbersExhausted,
            E::Commit(error) => Self::Commit(error.into()),
            other => Self::Engine(other),
        }
    }
}

/// Why records did not become written or durable, or were not dropped.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// This log's engine does not keep that level. Nothing happened; ask for
    /// less, or open the log with another engine.
    #[error("level {asked:?} was asked for, and this log keeps {kept:?} at most")]
    LevelNotKept {
        /// What was asked for.
        asked: Level,
        /// The highest level that the engine keeps.
        kept: Level,
    },

    /// This log's engine cannot wait without blocking. Nothing happened; call
    /// the log itself, from a thread.
    #[error("this log's engine cannot wait without blocking")]
    NoFutures,

    /// Something failed in the background since the last call. This call did
    /// nothing; calling again goes on. Each failure is told once; the last one
    /// also stays in [`LogStats`](crate::LogStats).
    #[error(transparent)]
    Housekeeping(#[from] HousekeepingError),

    /// The disk is full. Nothing is lost and nothing was acknowledged: the
    /// records wait in memory, reads go on, and calling again when there is
    /// room continues where this stopped.
    #[error("{}: no room on the disk for the next segment: {source}; make room and try again", path.display())]
    StorageFull {
        /// The file that could not be made.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },

    /// The operating system refused something that no record depends on.
    /// Nothing is lost; trying again may succeed.
    #[error("{}: cannot {action}: {source}", path.display())]
    Refused {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },

    /// A write or a sync failed, now or earlier. After a failed sync the page
    /// cache may claim a success that never happened, so this log acknowledges
    /// nothing any more (`INV-W6`). Reads go on. Reopen it to find out what
    /// survived.
    #[error("{}: cannot {action}: {source}; records from {first_unsure} on may be lost, reopen the log to find out", path.display())]
    Poisoned {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Every record before this one is durable.
        first_unsure: Lsn,
        /// What the operating system said.
        source: Arc<io::Error>,
    },

    /// The engine refused for a reason of its own.
    #[error(transparent)]
    Engine(engine::CommitError),
}

impl From<engine::CommitError> for CommitError {
    fn from(error: engine::CommitError) -> Self {
        use engine::CommitError as E;
        match error {
            E::StorageFull { path, source } => Self::StorageFull { path, source },
            E::Refused {
                action,
                path,
                source,
            } => Self::Refused {
                action,
                path,
                source,
            },
            E::Poisoned {
                path,
                action,
                first_unsure,
                source,
            } => Self::Poisoned {
                path,
                action,
                first_unsure,
                source,
            },
            other => Self::Engine(other),
        }
    }
}

/// Why a log was not [compacted](crate::Log::compact_before), or not all of it.
/// What was done before stays done; nothing else is touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// This log's engine cannot take records out of its segments. Nothing
    /// happened.
    #[error("this log's engine cannot take records out of its segments")]
    NotSupported,

    /// A segment cannot be read; nothing of it is given up.
    #[error(transparent)]
    Read(#[from] ReadError),

    /// A new file cannot be written ([`CommitError::Refused`]: make room and
    /// try again), or something failed in the background, or the log takes no
    /// more work.
    #[error(transparent)]
    Commit(#[from] CommitError),

    /// The engine refused for a reason of its own.
    #[error(transparent)]
    Engine(engine::CompactError),
}

impl From<engine::CompactError> for CompactError {
    fn from(error: engine::CompactError) -> Self {
        use engine::CompactError as E;
        match error {
            E::Read(error) => Self::Read(error),
            E::Commit(error) => Self::Commit(error.into()),
            other => Self::Engine(other),
        }
    }
}

/// Why a log was not [truncated](crate::Log::truncate_after). It has all of its
/// records, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TruncateError {
    /// The end that was asked for is not in the log. Nothing happened.
    #[error("the log cannot end at record {end}: it has {first} to {next}")]
    OutOfRange {
        /// What was asked for.
        end: Lsn,
        /// The number of the first record that the log has.
        first: Lsn,
        /// One past the last.
        next: Lsn,
    },

    /// Somebody else holds the log: a [`Snapshot`](crate::Snapshot), which
    /// promises to stay as it is, or a clone. Nothing happened; have it dropped,
    /// and try again.
    #[error("the log cannot be truncated while a snapshot or a clone of it is held")]
    InUse,

    /// This log's engine cannot discard records from its end. Nothing happened.
    #[error("this log's engine cannot discard records from its end")]
    NotSupported,

    /// A cursor that stands behind the cut could not be set back. No record was
    /// discarded; others may have been set back, and their consumers will see
    /// some records again.
    #[error("a cursor could not be set back: {0}")]
    Cursor(#[from] CursorError),

    /// The place of the cut could not be read. No record was discarded; cursors
    /// may have been set back.
    #[error(transparent)]
    Read(#[from] ReadError),

    /// The log could not write, or failed in the background. No record was
    /// discarded, unless it is [`CommitError::Poisoned`]: then opening it again
    /// shows which. Cursors may have been set back.
    #[error(transparent)]
    Commit(#[from] CommitError),

    /// The log was truncated, and could not go on. It takes no more records;
    /// open it again.
    #[error("truncated, but not open any more: {0}")]
    Reopen(#[source] engine::OpenError),

    /// The log was truncated, and its housekeeper could not be started again:
    /// what it does by itself it does no more until it is opened again.
    #[error("truncated, but cannot start the log's housekeeper: {0}")]
    Housekeeper(#[source] io::Error),

    /// The engine refused for a reason of its own.
    #[error(transparent)]
    Engine(engine::TruncateError),
}

impl From<engine::TruncateError> for TruncateError {
    fn from(error: engine::TruncateError) -> Self {
        use engine::TruncateError as E;
        match error {
            E::OutOfRange { end, first, next } => Self::OutOfRange { end, first, next },
            E::Read(error) => Self::Read(error),
            E::Commit(error) => Self::Commit(error.into()),
            E::Reopen(error) => Self::Reopen(error),
            other => Self::Engine(other),
        }
    }
}

/// Something that the log's housekeeper tried and could not do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{task} in the background failed: {cause}")]
pub struct HousekeepingError {
    /// What it was doing.
    pub task: Task,
    /// How long the log had been open, by its clock.
    pub at: Duration,
    /// Why it failed.
    #[source]
    pub cause: HousekeepingCause,
}

/// Work that is done in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// Bringing records to the disk at an interval.
    Flush,
    /// Dropping old segments.
    Retain,
    /// Beginning a new segment because of the old one's age.
    Rotate,
    /// Mapping and indexing sealed segments.
    Index,
    /// Making the next segment's file ahead of need.
    Prepare,
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Flush => "flushing",
            Self::Retain => "dropping old segments",
            Self::Rotate => "rotating by age",
            Self::Index => "indexing a sealed segment",
            Self::Prepare => "preparing the next segment",
        })
    }
}

/// Why something in the background failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HousekeepingCause {
    /// The log could not write or remove.
    #[error(transparent)]
    Commit(#[from] engine::CommitError),
    /// The log could not go on in a new segment.
    #[error(transparent)]
    Append(#[from] engine::AppendError),
    /// A record could not be read.
    #[error(transparent)]
    Read(#[from] crate::ReadError),
    /// A defect of this library: the housekeeper panicked, and is gone.
    #[error("the housekeeper panicked: {0}")]
    Panicked(Arc<str>),
}
