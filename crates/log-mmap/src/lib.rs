//! A record log at rest, mapped and indexed: *mapped*.
//!
//! On top of `log-wal`, which makes records durable, this crate makes them
//! findable and readable without a copy. A sealed segment *is* the data file:
//! it is mapped read-only as it lies there, and a sparse index beside it says
//! where to start looking for a record.
//!
//! - [`Store`] is the writer's side: everything the write-ahead log does, and
//!   reads that go to the mapped files where they can.
//! - [`Reader`] reads beside a running writer, takes no lock and writes
//!   nothing.
//! - [`Follower`] goes along with a log that another process is writing.
//!
//! What is promised: a durable record is found at any moment, also while its
//! segment changes from the active one to a mapped one (`INV-M1`); a record
//! that is held stays valid, whatever becomes of the log (`INV-M5`); index
//! files are derived, and losing or damaging them changes how long things take
//! and nothing else (`INV-M3`). Every record that is handed out has passed its
//! checksum, at the read unless you choose otherwise ([`Checks`]).
//!
//! A record may carry a [`Timestamp`], a key, headers and more in front of its
//! payload ([`NewRecord`]); what is not given takes no space. Records are read
//! by number, by time ([`Store::lsn_at_or_after`]), in order, backwards, and
//! in slices; to keep, or lent ([`Store::lookup`], [`Records::next_ref`]).
//!
//! This crate refuses to know when and why to drop segments, what time it is,
//! and has no threads of its own (`INV-F4`).
//!
//! ```
//! use log_mmap::{Lsn, Store, StoreOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let store = Store::open(directory.path(), StoreOptions::default())?;
//! store.append(b"in the first segment")?;
//! store.rotate()?;
//! store.append(b"in the second")?;
//! store.sync()?;
//!
//! let record = store.read(Lsn(0))?.ok_or("not there")?;
//! store.close()?;
//! assert_eq!(record.payload(), b"in the first segment", "mapped for as long as it is held");
//! # Ok(())
//! # }
//! ```
//!
//! # What the operator must not do
//!
//! Nobody else may write to or truncate the segment files of an open log. A
//! file that was cut before it is mapped is reported as damaged; cutting one
//! while it is mapped makes the operating system end the process (`SIGBUS`) at
//! the next look at the missing part. Removing files is safe.

mod compact;
mod options;
mod store;

mod envelope;

mod backward;
mod by_time;
mod follow;
mod lookup;
mod reader;
mod records;
mod salvage;
mod source;
mod verify;
mod way;

mod hand_over;

mod catalog;
mod current;
mod directory;
mod frames;
mod index;
mod leftovers;
mod map;
mod mapped;
mod mapped_storage;
mod segment;
mod sync;
mod version;
mod walk;

pub use compact::CompactReport;
pub use envelope::{EnvelopeFault, Headers, NewRecord, Record, RecordRef, Timestamp};
pub use follow::{FollowError, Follower};
pub use index::IndexFault;
pub use lookup::Lookup;
pub use mapped_storage::MappedStorage;
pub use options::{Checks, StoreOptions};
pub use reader::Reader;
pub use records::{Records, Slice};
pub use salvage::Salvage;
pub use store::Store;
pub use verify::{IndexCheck, IndexState, VerifyReport};

// What records are built from, and what a log without mapping can lie in.
pub use log_wal::storage::Blocks;
pub use log_wal::{
    Append, Bell, Codec, Commit, Committer, FileStorage, MemStorage, Payload, Room, Storage,
};

// The words of the layer beneath that must travel up; API.md lists them.
pub use log_wal::{
    AppendError, CommitError, CompactError, CutReport, Damage, Discarded, Level, Lost, Lsn,
    OpenError, OpenReport, ReadError, RecoveryPolicy, SegmentInfo, SegmentState, Stats, TailState,
    TruncateError, Verify, WalOptions, Watermarks,
};
