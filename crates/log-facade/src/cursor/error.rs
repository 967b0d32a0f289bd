//! Why a cursor could not be had or moved.

use std::io;
use std::path::PathBuf;

use crate::{CommitError, Lsn};

/// Why a cursor could not be read, made, moved or removed. Its position is what
/// it was, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// Not a name for a cursor. Choose one of 1 to 64 letters, digits, `-`, `_`
    /// and `.` (ASCII), that does not begin with a dot.
    #[error(
        "{name:?} is no name for a cursor: 1 to 64 of a-z A-Z 0-9 - _ . that begin with no dot"
    )]
    Name {
        /// What was asked for.
        name: String,
    },

    /// Its file is not what was written. It was left as it is; to begin anew,
    /// remove the cursor.
    #[error("{}: {fault}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },

    /// It stands behind the end of the log: the log is another one, or was cut.
    /// Records that come now would be missed. Remove the cursor, and decide
    /// where to begin.
    #[error("cursor {name:?} stands at {position}, and the log ends at {next_lsn}")]
    AheadOfLog {
        /// Its name.
        name: String,
        /// Where it stands.
        position: Lsn,
        /// The end of the log.
        next_lsn: Lsn,
    },

    /// The record that was confirmed does not exist yet. Nothing happened.
    #[error("record {lsn} was confirmed, and the log ends at {next_lsn}")]
    NotThere {
        /// Which was confirmed.
        lsn: Lsn,
        /// The end of the log.
        next_lsn: Lsn,
    },

    /// The log was [truncated](crate::Log::truncate_after) since this handle
    /// was made, so record `lsn` need not be the one that its consumer has seen.
    /// Nothing happened; ask for the cursor again, and begin where it stands.
    #[error("record {lsn} was confirmed, and those from {first} on were discarded meanwhile")]
    Discarded {
        /// Which was confirmed.
        lsn: Lsn,
        /// The first record that was discarded.
        first: Lsn,
    },

    /// The log could not be made durable as far as was confirmed. The cursor
    /// does not move before it.
    #[error(transparent)]
    Commit(#[from] CommitError),

    /// The operating system refused. If it was a sync of the directory, either
    /// position may be found after a crash, and no cursor of this log can be
    /// changed until it is opened again; otherwise try again.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },

    /// The cursor was removed. Ask the log for it again to make a new one.
    #[error("cursor {name:?} was removed")]
    Removed {
        /// Its name.
        name: String,
    },

    /// The log was closed. Open it, and ask for the cursor again.
    #[error("the log was closed")]
    Closed,
}
