//! An append-only record log for Rust: a journal, a write-ahead log, a commit
//! log, and not a logging library.
//!
//! A [`Log`] is a directory. You append bytes, get a number, and can ask for
//! that record, or everything from it on, for as long as the log lives: after
//! a restart, after `kill -9`, after a power cut.
//!
//! ```
//! use log_facade::{Level, Log, NewRecord, StartAt};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("orders.log");
//! let log = Log::open(&path)?;                                   // made if missing
//! let first = log.append(b"3 apples")?;                          // visible to readers
//! log.append_to(Level::Durable, b"paid")?;                       // survives a power cut
//! log.append_batch(&[b"1 pear", b"paid"])?;                      // all or none
//! log.append_record(&NewRecord::new(b"sent").key(b"order 1"))?;  // with a key, and stamped
//! log.close()?;
//!
//! let log = Log::open(&path)?;                                   // after a crash, too
//! let records: Vec<_> = log.iter_from(first).collect::<Result<_, _>>()?;
//! assert_eq!((records.len(), records[1].payload()), (5, &b"paid"[..]));
//!
//! let mailer = log.cursor("mailer")?;                            // durable, by name
//! let mut orders = log.subscribe(StartAt::Cursor("mailer".to_owned()))?;
//! log.append(b"2 plums")?;                                       // history, then live
//! for record in orders.by_ref().take(6) {
//!     mailer.confirm(record?.lsn())?;                            // at least once
//! }
//! assert_eq!(mailer.position(), log.next_lsn());
//! # Ok(())
//! # }
//! ```
//!
//! # What you get
//!
//! - **Honest acknowledgements.** You say what an append waits for, and
//!   [`Level`] says what that survives. Nothing is called durable that a power
//!   cut could take.
//! - **Many writers.** Every method takes `&self`. Appending threads reserve a
//!   place, build their record in it, and meet only where they wait for the
//!   disk: there, one sync serves all of them.
//! - **Records without copies.** A [`Record`] is a slice of shared memory or
//!   of a mapped file. It stays valid and unchanged for as long as you hold
//!   it, also when the log is closed and its files are gone.
//! - **A recovery that can be trusted.** What was being written when the power
//!   went is cut off, and [`Log::report`] says where. What was acknowledged
//!   and is damaged is never cut: opening refuses, and names the file, the
//!   place and the record.
//! - **Readers beside the writer.** A [`LogReader`], in this process or
//!   another, takes no lock and writes nothing, and [follows](LogReader::follow)
//!   what is written without a system call for each record.
//! - **Policies, if you want them.** Flushing by [interval](LogOptions::flush_interval)
//!   and by [count](LogOptions::flush_records); retention by
//!   [age](LogOptions::retain_age), [bytes](LogOptions::retain_bytes) and
//!   [records](LogOptions::retain_records); rotation by
//!   [age](LogOptions::rotate_age). One background thread does it, started only
//!   then; what it could not do is [told](CommitError::Housekeeping).
//! - **Found by number and by time.** Every record is stamped, may carry a key
//!   and headers ([`NewRecord`]), and is found by its number or by
//!   [when it happened](Log::lsn_at_or_after), forwards and backwards.
//! - **Values, if you want them.** A [`TypedLog`] appends and reads a type of
//!   yours through a [codec](ValueCodec), with its schema version in every record.
//! - **Views that stay.** A [`Snapshot`] shows the same records for as long as
//!   you hold it, whatever is appended and whatever retention does.
//! - **Subscriptions.** [`Log::subscribe`] gives the records that there are, and
//!   then those that come, without a gap, at the level that you choose. A
//!   [`Cursor`] remembers durably how far a consumer has come, and can keep
//!   retention from overtaking it.
//! - **Room given back.** [`Log::drop_before`] drops the front,
//!   [`Log::compact_before`] keeps the newest record of each key, and
//!   [`Log::truncate_after`] takes back the end; who read what went is told.
//! - **Tasks, if you want them.** With the feature `tokio`, `AsyncLog` appends
//!   and waits without blocking the runtime, and subscriptions are streams.
//! - **In memory, too.** [The same log without a disk](LogOptions::open_in_memory),
//!   which refuses to promise what it cannot keep.
//! - **No surprises.** No async runtime, and no thread, that you did not ask for; no
//!   `unsafe` in this crate; errors that say what can be done now; a
//!   [clock](ManualClock) that your tests can move.
//!
//! # What survives what
//!
//! | level | the record is | `kill -9` | power cut | costs |
//! |---|---|---|---|---|
//! | [`Level::Published`] | seen by every reader of this `Log` | lost, maybe | lost, maybe | memory only |
//! | [`Level::Written`] | with the operating system; seen by other processes | kept | lost, maybe | a write, shared |
//! | [`Level::Durable`] | on the device, as far as that keeps what it confirms | kept | kept | a sync, shared |
//!
//! A log has a level that [`append`](Log::append) waits for, *published* unless
//! [you choose another](LogOptions::acknowledge); [`append_to`](Log::append_to)
//! waits for the one that it is given. [`flush`](Log::flush) and
//! [`sync`](Log::sync) bring everything so far to *written* and *durable*, as
//! [`flush_interval`](LogOptions::flush_interval) does by itself. A level covers
//! everything in front of the record, too.
//!
//! After a crash there is a prefix of what was appended: all that was
//! acknowledged at a level that the crash spares, perhaps some records behind
//! it, never a gap, never half a batch. Also: a [cursor](Cursor) is where its
//! consumer confirmed (`INV-F5`); a [cut](Log::truncate_after) happened, or did
//! not; a [compacted](Log::compact_before) segment is the old one or the new one.
//!
//! # Engines
//!
//! One API, one set of semantics, and one [suite of tests](engine) that each of
//! them passes:
//!
//! | | in a directory (default) | [`mapped_writing`](LogOptions::mapped_writing) | without [`mapped_reading`](LogOptions::mapped_reading) | [in memory](LogOptions::open_in_memory) |
//! |---|---|---|---|---|
//! | keeps | *durable* | *durable* | *durable* | *published* |
//! | an append alone is | *published* | *written* | *published* | *published* |
//! | reads of full segments | mapped, no copy | mapped, no copy | through `read` | memory |
//! | found by time through | an index | an index | a scan, once | a scan, once |
//! | other processes see | what is written | every append | what is written | nothing |
//! | files, beside the segments | indexes | indexes | none | no files at all |
//! | for | most logs | many small records, `kill -9`, followers | logs seldom read | caches, tests |
//!
//! The same directory can be opened in each of the first three ways, in turn. A
//! [storage](LogOptions::open_on) or an [engine](LogOptions::open_engine) of your
//! own goes in the same place.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `tokio` | `AsyncLog`, and subscriptions as streams |
//! | `json`, `postcard` | codecs for `TypedLog`, for any serde type |
//! | `metrics` | counters and histograms, through the `metrics` facade |
//! | `conformance` | the rules that an engine keeps, as tests for one of yours |
//!
//! # Numbers
//!
//! The first record of a log has [`Lsn`] 0, the next one 1, without gaps, across
//! segments and restarts. Ends are exclusive: [`next_lsn`](Log::next_lsn) is the
//! number that comes next, and the length of a log that has lost nothing from
//! its front.
//!
//! # What it does not do
//!
//! It does not replicate, and it does not run on network file systems that do
//! not honour locks. One process writes to a directory at a time. Nobody else
//! may write to or truncate the files of an open log: see
//! [the layer beneath](log_mmap#what-the-operator-must-not-do).

#![forbid(unsafe_code)]

mod compact;
mod log;
mod options;
mod policy;
mod truncate;

mod reader;
mod records;
mod snapshot;
mod subscribe;
mod typed;

mod cuts;
mod news;
mod shared;
mod sync;

mod clock;
mod cursor;
mod housekeeper;
mod retention;

mod floor;
mod health;
mod meters;
mod stats;

pub mod engine;
mod error;

#[cfg(feature = "conformance")]
pub mod conformance;

#[cfg(feature = "tokio")]
mod tasks;

#[cfg(all(test, log_loom))]
mod loom_models;

pub use clock::{Alarm, Clock, ManualClock, SystemClock};
pub use cursor::{Cursor, CursorError, PinBound};
pub use error::{
    AppendError, CommitError, CompactError, HousekeepingCause, HousekeepingError, OpenError,
    OptionsError, Task, TruncateError,
};
pub use log::Log;
pub use options::LogOptions;
pub use reader::LogReader;
pub use records::Records;
pub use snapshot::Snapshot;
pub use stats::{HousekeepingStats, LogStats};
pub use subscribe::{NextError, StartAt, SubscribeError, SubscribeOptions, Subscription};
#[cfg(feature = "tokio")]
pub use tasks::{AsyncLog, SubscriptionStream};

#[cfg(feature = "json")]
pub use typed::Json;
#[cfg(feature = "postcard")]
pub use typed::Postcard;
pub use typed::{
    BoxError, Migrated, TypedAppendError, TypedLog, TypedNextError, TypedReadError, TypedRecord,
    TypedRecords, TypedSubscription, ValueCodec,
};

// The words of the layers beneath that are part of this API; API.md lists
// them.
pub use log_mmap::{
    Codec, CompactReport, CutReport, Damage, Discarded, EnvelopeFault, FollowError, Follower,
    Headers, IndexCheck, IndexFault, IndexState, Level, Lost, Lsn, NewRecord, OpenReport,
    ReadError, Record, RecoveryPolicy, Salvage, SegmentInfo, SegmentState, Slice, Stats, TailState,
    Timestamp, Verify, VerifyReport, Watermarks,
};

/// The READMEs' examples, tested.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../README.md")]
struct Readme;
