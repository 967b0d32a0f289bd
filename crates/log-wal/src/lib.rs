//! A write-ahead log: *durable*.
//!
//! An append-only log of records (a journal, a commit log; not a logging
//! library) in a directory of segment files. It takes records from any number
//! of threads, says truthfully how safe each of them is, and after a crash
//! gives back exactly what it promised.
//!
//! ```
//! use log_wal::{Level, Wal};
//!
//! let directory = tempfile::tempdir()?;
//! let wal = Wal::open(directory.path())?;
//!
//! let lsn = wal.append(b"balance: 100")?; // visible, in memory
//! wal.flush()?;                           // survives kill -9
//! wal.sync()?;                            // survives power loss
//!
//! for record in wal.iter_from(lsn) {
//!     assert_eq!(record?.payload(), b"balance: 100");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! - **Append** (`append`): a thread reserves a place in the segment's memory
//!   and a number, builds the frame there as it will lie in the file, and
//!   publishes it. No lock, no system call.
//! - **Commit** (`group`, `disk`): whoever needs more than *published* meets in
//!   a group; one of them writes the new frames with one call and syncs once
//!   for all.
//! - **Rotate** (`disk`): full segments are finished in an order that leaves
//!   exactly one unsealed segment, and a crash at any step leaves a log that
//!   opens.
//! - **Recover** (`recovery`, `start`): a table turns what is found into a
//!   verdict; what was being written is cut, and what is provably damaged is
//!   refused.
//! - **Read** (`iter`): from memory or from files, while writers append.
//!
//! The bytes on disk are described in [`format`](mod@format).
//!
//! This crate keeps no threads (a check of every frame uses several, which end
//! with the call), knows no clocks (`INV-F4`), and maps no files.

#![forbid(unsafe_code)]

pub mod format;
pub mod storage;

mod options;
mod own_lines;
mod payload;
mod record;

mod append;
mod catalog;
mod compact;
mod disk;
mod group;
mod regions;
mod segment;
mod segment_file;
mod shared;
mod spares;
mod sync;
mod tasks;

mod recovery;
mod start;
mod torn;
mod truncate;

mod file_scan;
mod files;
mod found;
mod iter;
mod open_files;
mod read;
mod waypoints;

mod error;
mod reader;
mod report;
mod salvage;
mod wal;

#[cfg(all(test, log_loom))]
mod loom_models;

pub use error::{
    AppendError, CommitError, CompactError, Damage, Lost, OpenError, ReadError, TruncateError,
};
pub use format::Codec;
pub use iter::Iter;
pub use log_core::{Bell, Lsn, atomic_log};
pub use options::{Level, RecoveryPolicy, Verify, WalOptions};
pub use payload::{Parts, Payload};
pub use reader::WalReader;
pub use record::{Record, RecordRef};
pub use recovery::Row;
pub use report::{
    Compacted, CutReport, Discarded, OpenReport, SealedSegment, SegmentInfo, SegmentState, Stats,
    TailState, VerifyReport, Watermarks,
};
pub use salvage::{Salvage, SalvageIter};
pub use storage::{FileStorage, MemStorage, Storage};
pub use tasks::{Append, Commit, Committer, Room};
pub use wal::Wal;
