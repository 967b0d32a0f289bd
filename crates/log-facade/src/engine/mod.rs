//! What a log stands on: one trait, three engines, one set of semantics.
//!
//! | engine | keeps | reads | for |
//! |---|---|---|---|
//! | mapped: [`StoreEngine::open`] | *durable* | mapped and indexed | most logs; the default |
//! | WAL only: the same without mapping | *durable* | through files, nothing beside them | logs that are written often and read seldom |
//! | memory: [`StoreEngine::ephemeral`] | *published* | memory | logs that may vanish with the process |
//!
//! The three are one piece of code that is told what to leave out, so they
//! cannot come to differ. A [`Log`](crate::Log) adds time, policies and
//! background work, and asks its engine for nothing but what stands here. What
//! the rules are that an engine must keep is written down as tests: the module
//! `conformance` (a feature) runs them against any engine, also one of yours,
//! that [`LogOptions::open_engine`](crate::LogOptions::open_engine) takes.

mod encoded;
mod records;
mod store;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub use encoded::EncodedRecord;
pub use records::Records;
pub use store::StoreEngine;

// In these words an engine says what it could not do.
pub use log_mmap::{AppendError, CommitError, CompactError, OpenError, ReadError, TruncateError};
// In these it waits for the disk without a thread.
pub use log_mmap::{Append, Commit, Committer, Room};
// What a log without mapping can lie in.
pub use log_mmap::{MemStorage, Storage};

use crate::{
    CompactReport, Level, Lsn, NewRecord, OpenReport, Record, SegmentInfo, Slice, Stats, Timestamp,
    Watermarks,
};

/// What a [`Log`](crate::Log) stands on.
///
/// All methods may be called by any number of threads at once. Numbers are
/// dense and begin where the engine says; ends are exclusive.
pub trait Engine: Debug + Send + Sync + 'static {
    /// The highest level that it keeps; does not change. A log on it refuses
    /// what is above.
    fn keeps(&self) -> Level;

    /// What opening found.
    fn report(&self) -> &OpenReport;

    /// Appends a record. On return it is published, and so is everything
    /// before it.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; it was not appended.
    fn append(&self, record: &NewRecord<'_>) -> Result<Lsn, AppendError>;

    /// Appends records that are visible, and recovered, all or none.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; none was appended.
    fn append_batch(&self, records: &[NewRecord<'_>]) -> Result<Range<Lsn>, AppendError>;

    /// Appends a record whose payload of `payload_bytes`, behind that of
    /// `record`, `fill` writes where it stays; it is called once. If it panics,
    /// its number stays without a record.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; `fill` was not called.
    fn append_in_place(
        &self,
        record: &NewRecord<'_>,
        payload_bytes: usize,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Lsn, AppendError>;

    /// Waits until every record below `end` that is published now has reached
    /// `level`, which is at most [`keeps`](Self::keeps).
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    fn commit(&self, end: Lsn, level: Level) -> Result<(), CommitError>;

    /// Appends when first polled, and resolves when the record has reached
    /// `level`; without blocking, as long as there is a
    /// [`committer`](Self::committer) that runs. `None` if it cannot: then
    /// tasks are refused. An engine has this and the two that follow, or none
    /// of them.
    fn append_async(&self, _record: EncodedRecord, _level: Level) -> Option<Append<EncodedRecord>> {
        None
    }

    /// Resolves, in the same way, when a batch finds room to be appended without
    /// blocking.
    fn room_async(&self) -> Option<Room> {
        None
    }

    /// [`commit`](Self::commit) in the same way.
    fn commit_async(&self, _end: Lsn, _level: Level) -> Option<Commit> {
        None
    }

    /// What a thread does for tasks that wait; `None` if it has no such thing.
    fn committer(&self) -> Option<Committer> {
        None
    }

    /// Whether reading on from record `lsn` touches no file. Said too seldom,
    /// it costs tasks a thread; said too often, it blocks them.
    fn is_hot(&self, _lsn: Lsn) -> bool {
        false
    }

    /// How far the log has come.
    fn watermarks(&self) -> Watermarks;

    /// The number of the first record.
    fn first_lsn(&self) -> Lsn;

    /// One past the number of the last published record. Cheap.
    fn next_lsn(&self) -> Lsn;

    /// Blocks until record `lsn` is published, at most for `timeout` (`None`:
    /// for ever). Returns whether it is.
    fn wait_published(&self, lsn: Lsn, timeout: Option<Duration>) -> bool;

    /// Record `lsn`; `None` if there is none yet, or none at all with this
    /// number.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] in front of the first record, and see
    /// [`ReadError`].
    fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError>;

    /// The records of `lsns` that there are when it looks, in order, from
    /// either end.
    fn records(&self, lsns: Range<Lsn>) -> Records<'_>;

    /// The records from `lsn` on, at most `limit`, and where to read on.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read), about the first record.
    fn read_slice(&self, lsn: Lsn, limit: Option<usize>) -> Result<Slice, ReadError>;

    /// The number of the first record whose timestamp is at or after `moment`;
    /// `None` if there is none. Records without one are passed over.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    fn lsn_at_or_after(&self, moment: Timestamp) -> Result<Option<Lsn>, ReadError>;

    /// Every segment, ascending; the last one takes the appends.
    fn segments(&self) -> Vec<SegmentInfo>;

    /// A number that changes whenever a segment is sealed or dropped. Cheap.
    fn sealed_count(&self) -> u64;

    /// Goes on in a new segment, if the active one has a record. Returns
    /// whether it had.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    fn rotate(&self) -> Result<bool, AppendError>;

    /// Drops the sealed segments of which all records lie below `lsn`, oldest
    /// first, and returns how many (`INV-F2`).
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; what was dropped before stays dropped.
    fn drop_before(&self, lsn: Lsn) -> Result<usize, CommitError>;

    /// How it takes superseded records out of sealed segments; `None` if it
    /// cannot.
    fn compaction(&self) -> Option<&dyn Compact> {
        None
    }

    /// How it discards records from its end; `None` if it cannot.
    fn truncation(&mut self) -> Option<&mut dyn Truncate> {
        None
    }

    /// Does ahead of the first reader what reading a sealed segment needs.
    /// Returns for how many segments.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    fn index_sealed(&self) -> Result<usize, ReadError>;

    /// Where small files may lie beside its segments, which live as long as
    /// they do; `None` if it has no such place. Does not change.
    fn storage(&self) -> Option<Arc<dyn Storage>> {
        None
    }

    /// Makes what the next rotation will need, so that it need not wait for
    /// that. Returns whether there was something to make.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; no record depends on it.
    fn prepare(&self) -> Result<bool, CommitError>;

    /// What it did since it was opened.
    fn stats(&self) -> Stats;

    /// Makes everything as safe as it can, and ends. Held records stay valid.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; it is closed all the same.
    fn close(self: Box<Self>) -> Result<(), CommitError>;
}

/// An engine that can be compacted by key.
pub trait Compact {
    /// Compacts the sealed segments of which all records lie below `lsn`: of
    /// those with one key the newest stays, if `keep` says so of it, and numbers
    /// do not change. Records without a key stay, and those that are held stay
    /// valid. Retention may go on beside it.
    ///
    /// # Errors
    ///
    /// See [`CompactError`]; calling again goes on.
    fn compact_before(
        &self,
        lsn: Lsn,
        keep: &mut dyn FnMut(&Record) -> bool,
    ) -> Result<CompactReport, CompactError>;
}

/// An engine that can discard records from its end.
pub trait Truncate {
    /// Discards every record from `end` on, atomically and for good: `end`,
    /// which it has or ends at, is the number that the next record will have.
    /// Records that are held stay valid; futures and committers that were made
    /// before end with [`CommitError::Closed`].
    ///
    /// # Errors
    ///
    /// See [`TruncateError`].
    fn truncate_after(&mut self, end: Lsn) -> Result<(), TruncateError>;
}
