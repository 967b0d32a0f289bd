//! The log: append, wait for the disk, read.

use std::any::Any;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use log_core::{Cursor, Lsn};

use crate::error::{AppendError, CommitError, CompactError, OpenError, ReadError, TruncateError};
use crate::format::{Codec, FIRST_POSITION};
use crate::iter::Iter;
use crate::options::{Level, WalOptions};
use crate::payload::{Parts, Payload};
use crate::record::Record;
use crate::recovery::{examine_or_cut, refuse_strangers};
use crate::report::{
    Compacted, OpenReport, SealedSegment, SegmentInfo, SegmentState, Stats, TailState, Watermarks,
};
use crate::segment::SegmentMeta;
use crate::shared::Shared;
use crate::start::{lock, start};
use crate::storage::{FileStorage, Storage};
use crate::tasks::{Append, Commit, Committer, Room};
use crate::torn::keep_torn_tail;

/// A write-ahead log, open for writing.
///
/// All methods take `&self` and may be called by any number of threads; share
/// it in an [`Arc`]. One process at a time can have a directory open for
/// writing (`INV-W7`).
///
/// Dropping it brings everything appended to the disk as [`close`](Self::close)
/// does, but cannot say whether that worked.
///
/// ```
/// use log_wal::{Lsn, Wal};
///
/// let directory = tempfile::tempdir()?;
/// let wal = Wal::open(directory.path())?;
/// wal.append(b"published: visible to readers")?;
/// wal.append_durable(b"durable: survives power loss")?;
/// wal.close()?;
///
/// let wal = Wal::open(directory.path())?;
/// assert_eq!(wal.next_lsn(), Lsn(2));
/// let first = wal.iter().next().ok_or("the log is empty")??;
/// assert_eq!(first.payload(), b"published: visible to readers");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Wal {
    shared: Arc<Shared>,
    report: OpenReport,
    /// Held until everything is on disk: fields are dropped after `drop`.
    _lock: Box<dyn Any + Send + Sync>,
}

impl Wal {
    /// Opens the log in `directory` with default options, making both if they
    /// are missing.
    ///
    /// Blocks for reading the newest segment, and for a few syncs.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; a refusal changes nothing on disk.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(directory, WalOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_with(directory: impl AsRef<Path>, options: WalOptions) -> Result<Self, OpenError> {
        let directory = directory.as_ref();
        let storage = FileStorage::create(directory)
            .map_err(|error| OpenError::io("create", directory, error))?;
        Self::with_storage(Arc::new(storage), options)
    }

    /// The same in any [`Storage`].
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn with_storage(storage: Arc<dyn Storage>, options: WalOptions) -> Result<Self, OpenError> {
        let span = tracing::debug_span!("open", path = %storage.path("").display());
        let _entered = span.enter();
        // Before the lock, which leaves a file behind: somebody else's
        // directory stays as it is.
        refuse_strangers(storage.as_ref())?;
        let lock = lock(storage.as_ref())?;
        let (examined, cut) = examine_or_cut(storage.as_ref(), &options)?;
        let torn_file = match options.keep_torn_tail {
            true => keep_torn_tail(storage.as_ref(), &examined)?,
            false => None,
        };
        let report = OpenReport {
            torn_file,
            cut,
            ..examined.report()
        };
        let wal = Self {
            shared: Arc::new(start(storage, options, examined)?),
            report,
            _lock: lock,
        };
        wal.continue_after_cut()?;
        tracing::info!(
            segments = wal.report.segments,
            next_lsn = %wal.report.next_lsn,
            tail = %wal.report.tail,
            "log opened"
        );
        Ok(wal)
    }

    /// After a torn tail was cut, the log goes on in a new segment, with a new
    /// salt, so that nothing that was discarded can come back (`INV-W8`).
    fn continue_after_cut(&self) -> Result<(), OpenError> {
        if self.report.tail == TailState::Clean {
            return Ok(());
        }
        tracing::warn!(tail = %self.report.tail, "torn tail");
        let path = self.shared.storage.path("");
        let refused = |error: AppendError| OpenError::Io {
            action: "begin a segment in",
            path: path.clone(),
            source: std::io::Error::other(error),
        };
        self.shared.roll_after_cut().map_err(refused)?;
        match self
            .shared
            .group
            .exclusively(|| self.shared.advance(Level::Durable))
        {
            // It can be read; and it can be written when there is room.
            Ok(()) | Err(CommitError::StorageFull { .. }) => Ok(()),
            Err(error) => Err(refused(error.into())),
        }
    }

    /// What opening found.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Appends a record. On return it is *published*: it has its number, and
    /// readers of this log see it, and everything before it. It is lost when
    /// the process dies, unless a level was waited for.
    ///
    /// Copies `payload` and touches memory only, except when the segment is
    /// full and [`backlog_segments_max`](WalOptions::backlog_segments_max)
    /// others still wait for the disk: then it waits too. Keeps `INV-C1` and
    /// `INV-C7`.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; the record was not appended.
    #[inline]
    pub fn append(&self, payload: &[u8]) -> Result<Lsn, AppendError> {
        self.shared.append(payload)
    }

    /// Appends a record and waits until it has reached `level`.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]. After [`AppendError::Commit`] the record may be
    /// appended, and is not acknowledged.
    pub fn append_to<P: Payload + ?Sized>(
        &self,
        level: Level,
        payload: &P,
    ) -> Result<Lsn, AppendError> {
        let lsn = self.append_payload(payload)?;
        self.commit(Lsn(lsn.0 + 1), level)?;
        Ok(lsn)
    }

    /// The same as [`append`](Self::append) for anything that can write itself,
    /// with the [`Codec`] that it names.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; the record was not appended.
    ///
    /// # Panics
    ///
    /// If the payload does, or says another length than before: see
    /// [`Payload`].
    pub fn append_payload<P: Payload + ?Sized>(&self, payload: &P) -> Result<Lsn, AppendError> {
        self.shared.append_payload(payload)
    }

    /// The same for one record in several pieces, which are not put together
    /// elsewhere first.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let wal = log_wal::Wal::open(directory.path())?;
    /// let lsn = wal.append_vectored(&[b"key", b"=", b"value"])?;
    /// let record = wal.iter_from(lsn).next().ok_or("not there")??;
    /// assert_eq!(record.payload(), b"key=value");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; the record was not appended.
    pub fn append_vectored(&self, parts: &[&[u8]]) -> Result<Lsn, AppendError> {
        self.append_payload(&Parts(parts))
    }

    /// Appends records that are visible, and recovered, all or none: their
    /// numbers, which are consecutive. Nothing for an empty batch.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; none was appended.
    ///
    /// # Panics
    ///
    /// If a payload does: then none of them is a record. See [`Payload`].
    pub fn append_batch<P: Payload>(&self, payloads: &[P]) -> Result<Range<Lsn>, AppendError> {
        self.shared.append_batch(payloads)
    }

    /// The same, and waits until they have reached `level`.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]. After [`AppendError::Commit`] they may be appended,
    /// and are not acknowledged.
    pub fn append_batch_to<P: Payload>(
        &self,
        level: Level,
        payloads: &[P],
    ) -> Result<Range<Lsn>, AppendError> {
        let lsns = self.append_batch(payloads)?;
        self.commit(lsns.end, level)?;
        Ok(lsns)
    }

    /// Appends a record of `payload_bytes` that `fill` writes where it will
    /// stay: no copy is made. Returns its number, and what `fill` returns.
    ///
    /// `fill` gets the record's memory with whatever was there before, and must
    /// write all of it. No later record of any thread is visible before it is
    /// done, so it should do nothing but write, and must not use this log.
    ///
    /// If `fill` panics, its number stays taken and has no record: readers pass
    /// over it.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let wal = log_wal::Wal::open(directory.path())?;
    /// let price = 1207_u64;
    /// let (lsn, ()) = wal.append_in_place(8, |payload| {
    ///     payload.copy_from_slice(&price.to_le_bytes());
    /// })?;
    /// let record = wal.iter_from(lsn).next().ok_or("not there")??;
    /// assert_eq!(record.payload(), price.to_le_bytes());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; `fill` was not called.
    pub fn append_in_place<R>(
        &self,
        payload_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<(Lsn, R), AppendError> {
        self.shared.append_filled(payload_bytes, Codec::PLAIN, fill)
    }

    /// Appends a record and waits until it is durable: it survives power loss.
    ///
    /// Concurrent callers share a sync.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]. After [`AppendError::Commit`] the record may be
    /// appended, and is not acknowledged.
    pub fn append_durable(&self, payload: &[u8]) -> Result<Lsn, AppendError> {
        let lsn = self.append(payload)?;
        self.commit(Lsn(lsn.0 + 1), Level::Durable)?;
        Ok(lsn)
    }

    /// Waits until every record below `end` that is published now has reached
    /// `level`.
    ///
    /// The caller's thread does the work, for everyone who waits, or waits for
    /// another that does.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn commit(&self, end: Lsn, level: Level) -> Result<(), CommitError> {
        self.shared.commit(end, level)
    }

    /// The same as [`commit`](Self::commit), as a future that needs no runtime
    /// and does not borrow the log: see [`Commit`].
    ///
    /// While there is a [`committer`](Self::committer), polling it touches
    /// memory only. Without one, a poll that finds nobody at work stands back
    /// once, so that other tasks come along, and then does the work itself: it
    /// blocks for a write or a sync, for all of them.
    pub fn commit_async(&self, end: Lsn, level: Level) -> Commit {
        Commit::new(Arc::clone(&self.shared), end, level)
    }

    /// Appends `payload` when first polled, and resolves when it has reached
    /// `level`: see [`Append`], also for what dropping it means.
    ///
    /// Polling it blocks as for [`commit_async`](Self::commit_async). If too
    /// many full segments wait for the disk, it waits for room without blocking
    /// before it appends; a poll can be held up by a thread that waits for room
    /// in an [`append`](Self::append) at the same moment, and, where segments
    /// lie in memory that the storage provides, by a rotation.
    ///
    /// ```
    /// use std::time::Duration;
    /// use log_wal::{Level, Wal};
    ///
    /// # fn block_on<F: Future>(future: F) -> F::Output {
    /// #     struct Unpark(std::thread::Thread);
    /// #     impl std::task::Wake for Unpark {
    /// #         fn wake(self: std::sync::Arc<Self>) {
    /// #             self.0.unpark();
    /// #         }
    /// #     }
    /// #     let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    /// #     let mut future = std::pin::pin!(future);
    /// #     loop {
    /// #         match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
    /// #             std::task::Poll::Ready(output) => return output,
    /// #             std::task::Poll::Pending => std::thread::park(),
    /// #         }
    /// #     }
    /// # }
    /// # let directory = tempfile::tempdir()?;
    /// let wal = Wal::open(directory.path())?;
    /// let append = wal.append_async(b"from a task", Level::Durable);
    /// let lsn = block_on(append)?;
    /// assert!(wal.watermarks().durable_end > lsn);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append_async<P: Payload>(&self, payload: P, level: Level) -> Append<P> {
        Append::new(Arc::clone(&self.shared), payload, level)
    }

    /// Waits as [`append_async`](Self::append_async) does for room in memory,
    /// and appends nothing: behind it, in the same poll, a batch is appended
    /// without blocking, unless somebody else takes the room at that moment.
    pub fn room_async(&self) -> Room {
        Room::new(Arc::clone(&self.shared))
    }

    /// Promises that a thread will work for futures, so that no poll of theirs
    /// has to: see [`Committer`]. Who makes one and does not
    /// [`run`](Committer::run) it lets them wait for as long as it is held.
    ///
    /// It belongs to the log as it is now: after
    /// [`truncate_after`](Self::truncate_after) make another.
    #[must_use]
    pub fn committer(&self) -> Committer {
        Committer::new(Arc::clone(&self.shared))
    }

    /// Hands everything published so far to the operating system: it survives
    /// the death of this process. Returns the end of what does.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn flush(&self) -> Result<Lsn, CommitError> {
        self.commit(Lsn(u64::MAX), Level::Written)?;
        Ok(self.shared.reached(Level::Written))
    }

    /// Makes everything published so far durable: it survives power loss.
    /// Returns the end of what does.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn sync(&self) -> Result<Lsn, CommitError> {
        self.commit(Lsn(u64::MAX), Level::Durable)?;
        Ok(self.shared.progress.durable_end.get())
    }

    /// Seals the active segment and goes on in a new one. Does nothing and
    /// returns false if it has no record.
    ///
    /// Blocks for several syncs.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    pub fn rotate(&self) -> Result<bool, AppendError> {
        self.shared.group.check()?;
        let rolled = self.shared.roll()?;
        if rolled {
            self.shared
                .group
                .exclusively(|| self.shared.advance(Level::Durable))?;
        }
        Ok(rolled)
    }

    /// Makes the file that the next rotation will need, unless there is one
    /// already, or none is to be kept
    /// ([`spare_segments_max`](WalOptions::spare_segments_max)). Returns whether
    /// it made one. If the storage is [mapped](crate::Storage::is_mapped), also
    /// makes the file's memory ready to be stored to.
    ///
    /// For a thread that has the time. Without one the callers who lead groups
    /// make it, a piece at a time. Blocks for writing as much as a segment
    /// holds, if the log is synced often, and holds nobody up for longer than a
    /// small piece of that takes.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; never [`CommitError::Poisoned`], as no record
    /// depends on it.
    pub fn prepare(&self) -> Result<bool, CommitError> {
        self.shared.prepare()
    }

    /// Drops every sealed segment of which all records lie below `lsn`, oldest
    /// first, and returns how many. Never the active one: records below `lsn`
    /// may stay.
    ///
    /// Call it when a checkpoint, a snapshot or a consumer has made the records
    /// unnecessary. Iterators that are reading a dropped segment finish it. Each
    /// removal is durable before the next is begun, so that a crash leaves a log
    /// without a gap; blocks for a sync of the directory per segment. Files that
    /// nobody reads may be used again, see
    /// [`spare_segments_max`](WalOptions::spare_segments_max).
    ///
    /// # Errors
    ///
    /// See [`CommitError`]: [`CommitError::Refused`] if a file could not be
    /// removed; it is still part of the log, and so is what lies behind it.
    pub fn checkpoint(&self, lsn: Lsn) -> Result<usize, CommitError> {
        self.shared.checkpoint(lsn)
    }

    /// Takes the records out of a [sealed](Self::sealed) segment that `keep`
    /// refuses, and gives their room back to the file system. Numbers do not
    /// change: those of the records that went have none any more. `None` if
    /// none went, or the segment is no part of the log any more.
    ///
    /// For who knows which records nobody will want again: the older ones of a
    /// key, say. `keep` is asked once for each record, in order, before anything
    /// is written.
    ///
    /// The records that stay are written to a new file, which takes the old
    /// one's name when it is durable: a crash at any moment leaves one of them,
    /// whole (`INV-W12`). Who reads the segment meanwhile reads one of them to
    /// the end; records that are held stay valid. A file of a compacted segment
    /// is never used again for another.
    ///
    /// Blocks for reading the segment twice, writing what stays, and two syncs.
    /// Appends go on meanwhile. Needs memory for one byte per number of the
    /// segment.
    ///
    /// ```
    /// use log_wal::{Lsn, Wal};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let wal = Wal::open(directory.path())?;
    /// wal.append_batch(&["a = 1".as_bytes(), b"b = 1", b"a = 2"])?;
    /// wal.rotate()?;
    ///
    /// let segment = wal.sealed().remove(0);
    /// wal.compact_sealed(&segment, |record| record.payload() != b"a = 1")?;
    /// assert_eq!(wal.read(Lsn(0))?, None);
    /// assert_eq!(wal.read(Lsn(2))?.ok_or("not there")?.payload(), b"a = 2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`CompactError`].
    pub fn compact_sealed(
        &self,
        segment: &SealedSegment,
        keep: impl FnMut(&Record) -> bool,
    ) -> Result<Option<Compacted>, CompactError> {
        self.shared.compact(segment, keep)
    }

    /// Discards every record from `end` on: `end` is the number that the next
    /// record will have. May cut through a batch.
    ///
    /// Atomic: after a crash at any moment the log has all of its old records,
    /// or none of the discarded ones, for good (`INV-W8`). Blocks for several
    /// syncs, and for reading one segment.
    ///
    /// Needs the log to itself. Futures and committers that were made before end
    /// with [`CommitError::Closed`]. Iterators that were made before show the log as
    /// it was, and may fail where it was discarded. [`stats`](Self::stats) begin
    /// anew.
    ///
    /// ```
    /// use log_wal::{Lsn, Wal};
    ///
    /// let directory = tempfile::tempdir()?;
    /// let mut wal = Wal::open(directory.path())?;
    /// wal.append_batch(&["agreed".as_bytes(), b"not agreed"])?;
    /// wal.truncate_after(Lsn(1))?;
    /// assert_eq!(wal.append(b"agreed later")?, Lsn(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`TruncateError`].
    pub fn truncate_after(&mut self, end: Lsn) -> Result<(), TruncateError> {
        match self.shared.truncated_after(end) {
            Ok(None) => Ok(()),
            Ok(Some(shared)) => {
                tracing::info!(%end, "log truncated");
                self.shared = Arc::new(shared);
                Ok(())
            }
            Err(error) => {
                if let TruncateError::Reopen(_) = &error {
                    self.shared.give_up(&error);
                }
                Err(error)
            }
        }
    }

    /// How far the log has come.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        let shared = &self.shared;
        // The lowest first: each later one can only be higher.
        let durable_end = shared.progress.durable_end.get();
        let written_end = shared.reached(Level::Written).max(durable_end);
        let published_end = shared.tail.published_end();
        Watermarks {
            reserved_end: shared.tail.reserved_end(),
            published_end,
            written_end,
            durable_end,
        }
    }

    /// The number of the first record in the log.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.shared.first_lsn()
    }

    /// The number that the next record will have, if nobody else appends.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.shared.tail.published_end()
    }

    /// Blocks until record `lsn` is published, at most for `timeout` (`None`:
    /// for ever). Returns whether it is.
    pub fn wait_published(&self, lsn: Lsn, timeout: Option<Duration>) -> bool {
        self.shared.tail.wait_published(lsn, timeout)
    }

    /// Reads record `lsn`. `None` if it is not published yet, or its number was
    /// given up (by a panic in [`append_in_place`](Self::append_in_place)).
    ///
    /// From memory, or else from its file, with its checksum verified: touches
    /// some 4 KiB, except for the first record that is wanted of a segment that
    /// was sealed before the log was opened: that reads all of it. Segments
    /// that were read last stay open, 64 of them at most. Never waits for
    /// appends or for a sync.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let wal = log_wal::Wal::open(directory.path())?;
    /// let lsn = wal.append(b"found again")?;
    /// let record = wal.read(lsn)?.ok_or("not there")?;
    /// assert_eq!(record.payload(), b"found again");
    /// assert_eq!(wal.read(wal.next_lsn())?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReadError`]; [`ReadError::Truncated`] if it lies before
    /// [`first_lsn`](Self::first_lsn).
    pub fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        self.shared.read(lsn)
    }

    /// Reads from the first record of the log.
    #[must_use]
    pub fn iter(&self) -> Iter {
        self.iter_from(self.first_lsn())
    }

    /// Reads from record `lsn`, see [`Iter`].
    #[must_use]
    pub fn iter_from(&self, lsn: Lsn) -> Iter {
        Iter::of_log(Arc::clone(&self.shared), lsn)
    }

    /// Reads from record `lsn` if that is still in memory, as every record is
    /// that is not in [`sealed`](Self::sealed) yet. Ends for good where memory
    /// was given back before it was read.
    #[must_use]
    pub fn iter_hot(&self, lsn: Lsn) -> Option<Iter> {
        Iter::of_memory(Arc::clone(&self.shared), lsn)
    }

    /// The sealed segments, ascending and without a gap.
    #[must_use]
    pub fn sealed(&self) -> Vec<SealedSegment> {
        self.shared.catalog.all()
    }

    /// The [`sealed`](Self::sealed) segments from record `lsn` on: that which
    /// has it, and what lies behind. One without records that begins there is
    /// among them.
    #[must_use]
    pub fn sealed_from(&self, lsn: Lsn) -> Vec<SealedSegment> {
        self.shared.catalog.from(lsn)
    }

    /// A number that changes whenever [`sealed`](Self::sealed) does, and is
    /// cheap to look at.
    #[must_use]
    pub fn sealed_count(&self) -> u64 {
        self.shared.catalog.changes()
    }

    /// Every segment, ascending; the last one is active.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let tail = &self.shared.tail;
        let mut infos: Vec<_> = self.sealed().into_iter().map(SegmentInfo::from).collect();
        let sealed_end = infos.last().map_or(tail.first_lsn(), |last| last.end);
        let mut cursor = tail.cursor_at(sealed_end);
        while let Some(here) = &mut cursor {
            while tail.next_span_here(here).is_some() {}
            infos.push(self.in_memory(here));
            if !tail.enter_next_segment(here) {
                break;
            }
        }
        infos
    }

    /// The segment that a cursor stands at the end of.
    fn in_memory(&self, cursor: &Cursor<SegmentMeta>) -> SegmentInfo {
        let header = cursor.segment().meta().header;
        let is_full = cursor.segment().end().is_some();
        SegmentInfo {
            name: header.name(),
            path: self.shared.storage.path(&header.name().to_string()),
            base: header.base,
            end: cursor.next_lsn(),
            data_bytes: cursor.position() as u64 - FIRST_POSITION,
            file_bytes: header.capacity_bytes,
            state: if is_full {
                SegmentState::Full
            } else {
                SegmentState::Active
            },
        }
    }

    /// What the log did since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let appended = shared.tail.published_end().distance_from(shared.opened_at);
        let counters = &shared.progress.counters;
        counters.stats(appended.unwrap_or_default(), shared.group.counts())
    }

    /// Makes everything durable, and leaves a mark that says so: the next
    /// opening will know that nothing is missing at the end.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. The log is closed all the same: futures that still
    /// wait end with [`CommitError::Closed`].
    pub fn close(self) -> Result<(), CommitError> {
        // Dropping it closes again, and finds nothing left to do.
        self.shared.close()
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        // Does nothing after `close`; and who cares for the result calls that.
        if let Err(error) = self.shared.close() {
            tracing::warn!(%error, "the log was dropped, and not everything is durable");
        }
    }
}

impl From<SealedSegment> for SegmentInfo {
    fn from(sealed: SealedSegment) -> Self {
        Self {
            name: sealed.name,
            path: sealed.path,
            base: sealed.base,
            end: sealed.end,
            data_bytes: sealed.end_position - FIRST_POSITION,
            file_bytes: sealed.file_bytes,
            state: SegmentState::Sealed,
        }
    }
}
