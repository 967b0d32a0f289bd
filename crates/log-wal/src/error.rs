//! Errors, one type per verb, one variant per thing that the caller can do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log_core::Lsn;

use crate::format::Codec;
use crate::recovery::{DAMAGED_FRAME, Row};

/// Why a log could not be opened. Nothing on disk was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process (or another handle of this one) has the log open for
    /// writing. Wait for it, or read without the lock:
    /// [`WalReader`](crate::WalReader).
    #[error("{path}: another process{} is writing this log; wait for it to end, or open it read-only",
        holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), path = path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it, if it has said so.
        holder: Option<u32>,
    },

    /// There is something at the path, but not a directory.
    #[error("{}: not a directory; a log is a directory of segment files", path.display())]
    NotADirectory {
        /// The path that was given.
        path: PathBuf,
    },

    /// The directory holds other files and no log. Choose an empty or a new
    /// one.
    #[error("{}: not a log: the directory has no segments but other files, such as {example:?}; name a log's directory, or an empty or new one to create a log", path.display())]
    NotALog {
        /// The directory.
        path: PathBuf,
        /// The name of one of the other files.
        example: String,
    },

    /// There is no log to read here.
    #[error("{}: no log here: the directory is missing or empty", path.display())]
    NoLog {
        /// The path that was given.
        path: PathBuf,
    },

    /// The log cannot be written: the medium is read-only, or permission is
    /// missing. Reading works: [`WalReader`](crate::WalReader).
    #[error("{}: cannot write here: {source}; open the log read-only, or get write permission", path.display())]
    NotWritable {
        /// What could not be opened for writing.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// A newer version of this library wrote the file.
    #[error("{}: format version {found}, and this build reads up to {supported}; use a newer build", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// The version it is in.
        found: u32,
        /// The newest version that this build can read.
        supported: u32,
    },

    /// A file has a segment's name and is not a segment of this log.
    #[error("{}: not a segment of this log: {reason}; move it out of the directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How it can be told.
        reason: &'static str,
    },

    /// Data that was acknowledged is damaged or missing. The log is left as it
    /// is.
    #[error(transparent)]
    Damaged(#[from] Damage),

    /// The operating system refused. Opening again may succeed.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl OpenError {
    /// Turns a failed call into the variant that says what can be done. For
    /// layers that make a [`Storage`](crate::Storage) of their own.
    #[must_use]
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                if action != READ =>
            {
                Self::NotWritable { path, source }
            }
            io::ErrorKind::NotADirectory => Self::NotADirectory { path },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}

/// The action of every call that only reads.
pub(crate) const READ: &str = "read";

/// Why a frame is damaged, whoever meets it.
pub(crate) const DIFFERENT_BYTES: &str = "the bytes are not what was written";

/// Proof that acknowledged data is damaged or missing: where, and by which
/// case of the recovery table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub position: u64,
    /// The first record that is affected, if that is known.
    pub lsn: Option<Lsn>,
    /// The row of the recovery table that decided (see `docs/RECOVERY.md`).
    pub row: Row,
    /// What is wrong, in words.
    pub reason: String,
    /// What it takes with it, if that was looked for: by a check of everything,
    /// a [`Salvage`](crate::Salvage) or a cut.
    pub lost: Option<Box<Lost>>,
}

/// What a damage takes with it: everything from [`Damage::position`] and
/// [`Damage::lsn`] on, to where whole frames begin again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// One past the last record that cannot be read; the first one itself if
    /// none is lost. `None` if nothing is left to tell: the newest segment is
    /// missing or unreadable.
    pub end: Option<Lsn>,
    /// How many bytes of the file cannot be read; 0 if the file is missing.
    pub bytes: u64,
}

impl Lost {
    /// Boxed, because errors carry it and should be small.
    pub(crate) fn new(end: Option<Lsn>, bytes: u64) -> Option<Box<Self>> {
        Some(Box::new(Self { end, bytes }))
    }
}

impl Damage {
    /// Damage that was met while reading a sealed segment, here or in a layer
    /// that reads the file itself.
    #[must_use]
    pub fn in_sealed(
        path: &Path,
        position: u64,
        lsn: Option<Lsn>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            path: path.to_path_buf(),
            position,
            lsn,
            row: DAMAGED_FRAME,
            reason: reason.into(),
            lost: None,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: damaged at byte {}",
            self.path.display(),
            self.position
        )?;
        if let Some(lsn) = self.lsn {
            write!(f, ", from record {lsn}")?;
        }
        write!(
            f,
            ": {} (recovery case {}); restore the file from a copy",
            self.reason, self.row
        )
    }
}

impl std::error::Error for Damage {}

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

    /// The log could not write. For [`append`](crate::Wal::append): not
    /// appended. For the variants that wait for a level: the record is
    /// appended, and the level was not reached.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why records did not become written or durable.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
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

    /// The log was closed, or was truncated and goes on under new futures, while
    /// this one waited. What was appended is as far as it was.
    #[error("{}: the log was closed", path.display())]
    Closed {
        /// The log's directory.
        path: PathBuf,
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
}

/// Why a segment was not compacted. It is as it was, and so is the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// Its records cannot be read; nothing of a damaged segment is given up.
    #[error(transparent)]
    Read(#[from] ReadError),

    /// Its new file cannot be written ([`CommitError::Refused`]: make room and
    /// try again), or the log takes no more work. After
    /// [`CommitError::Poisoned`] the new file may be there, whole.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why a log was not truncated.
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

    /// The place of the cut could not be read. Nothing happened.
    #[error(transparent)]
    Read(#[from] ReadError),

    /// The log could not write. Nothing happened, unless it is
    /// [`CommitError::Poisoned`]: then opening it again shows which.
    #[error(transparent)]
    Commit(#[from] CommitError),

    /// The log was truncated, and could not go on. It takes no more records;
    /// open it again.
    #[error("truncated, but not open any more: {0}")]
    Reopen(#[from] OpenError),
}

/// Why a record could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The record was dropped from the front of the log, by retention. Go on
    /// at `first`.
    #[error("record {requested} is no longer in the log, which begins at {first}")]
    Truncated {
        /// The record that was asked for.
        requested: Lsn,
        /// The first record that the log still has.
        first: Lsn,
    },

    /// The bytes on disk are not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),

    /// The record is as it was written, and the layer that was asked for it
    /// cannot take it apart: a newer version, or something else, wrote it. Use
    /// a newer build, or read its bytes from the write-ahead log.
    #[error("record {lsn} (codec {codec}) is whole, and cannot be understood: {reason}")]
    Undecodable {
        /// The record.
        lsn: Lsn,
        /// What it says that its bytes are.
        codec: Codec,
        /// What is wrong with them.
        reason: &'static str,
    },

    /// The operating system refused. Reading again may succeed.
    #[error("{}: cannot read at byte {position}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        position: u64,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
}
