//! The log, open for writing, with its sealed segments mapped.
//!
//! Appends and durability are the write-ahead log's; this adds where to find
//! things (see `catalog` and `hand_over`), and takes index files along with the
//! segments that they belong to.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use log_wal::{
    Append, AppendError, Commit, CommitError, Committer, Level, Lsn, OpenError, OpenReport,
    Payload, ReadError, Room, SegmentInfo, Stats, Storage, TruncateError, Wal, Watermarks,
};

use crate::by_time::{self, Recent};
use crate::catalog::Catalog;
use crate::envelope::{NewRecord, Record, Timestamp};
use crate::hand_over::{self, Whereabouts};
use crate::leftovers;
use crate::lookup::Lookup;
use crate::mapped_storage::MappedStorage;
use crate::options::StoreOptions;
use crate::records::{Records, Slice};
use crate::segment::IndexPolicy;
use crate::source::{self, Source};
use crate::way::Way;

/// A record log, open for writing, whose sealed segments are mapped.
///
/// All methods take `&self` and may be called by any number of threads. One
/// process at a time can have a directory open for writing.
///
/// Dropping it brings everything appended to the disk as [`close`](Self::close)
/// does, but cannot say whether that worked.
#[derive(Debug)]
pub struct Store {
    pub(crate) wal: Wal,
    pub(crate) catalog: Catalog,
    /// How far segments have been indexed as they were sealed. Locked while
    /// that is done.
    indexed: Mutex<Indexed>,
    recent: Recent,
}

/// How far segments have been indexed as they were sealed.
#[derive(Debug)]
struct Indexed {
    /// Segments in front of this record were, or were there on opening.
    end: Lsn,
    /// The log's count of sealed segments at that time.
    count: u64,
}

impl Indexed {
    /// What is sealed now is left to its first reader.
    fn all_of(wal: &Wal) -> Self {
        // The count before the list: what is sealed in between is looked for
        // the next time.
        Self {
            count: wal.sealed_count(),
            end: wal.sealed().last().map_or(Lsn::ZERO, |sealed| sealed.end),
        }
    }
}

impl Store {
    /// Opens the log in `directory`, making both if they are missing.
    ///
    /// Blocks for the recovery of the newest segment. Maps nothing yet, and
    /// looks at no index: sealed segments are mapped, and indexes loaded or
    /// built, when they are first read, so that opening does not get slower as
    /// the log grows.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; a refusal changes nothing on disk. Never because of
    /// an index.
    pub fn open(directory: impl AsRef<Path>, options: StoreOptions) -> Result<Self, OpenError> {
        let directory = directory.as_ref();
        let policy = IndexPolicy::of(&options);
        let wal = match options.mapped_writing {
            false => Wal::open_with(directory, options.wal)?,
            true => {
                let storage = MappedStorage::create(directory)
                    .map_err(|error| OpenError::io("create", directory, error))?;
                Wal::with_storage(Arc::new(storage), options.wal)?
            }
        };
        let catalog = if options.mapped_reading {
            leftovers::remove_orphans(directory);
            Catalog::new(wal.first_lsn(), &wal, policy)
        } else {
            Catalog::without_segments(wal.first_lsn(), policy)
        };
        Ok(Self::new(wal, catalog))
    }

    /// The same in any [`Storage`]: nothing is mapped, as without
    /// [`mapped_reading`](StoreOptions::mapped_reading).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use log_mmap::{Lsn, MemStorage, Store, StoreOptions};
    ///
    /// let store = Store::open_on(Arc::new(MemStorage::new()), StoreOptions::default())?;
    /// store.append(b"in memory")?;
    /// assert!(store.read(Lsn(0))?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_on(storage: Arc<dyn Storage>, options: StoreOptions) -> Result<Self, OpenError> {
        let policy = IndexPolicy::of(&options);
        let wal = Wal::with_storage(storage, options.wal)?;
        let catalog = Catalog::without_segments(wal.first_lsn(), policy);
        Ok(Self::new(wal, catalog))
    }

    fn new(wal: Wal, catalog: Catalog) -> Self {
        Self {
            indexed: Mutex::new(Indexed::all_of(&wal)),
            wal,
            catalog,
            recent: Recent::default(),
        }
    }

    /// What opening found.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        self.wal.report()
    }

    /// Appends a record, see [`Wal::append`]. On return it is *published*:
    /// readers of this store see it, and everything before it. It is lost when
    /// the process dies.
    ///
    /// Touches memory only, except when so many full segments wait for the
    /// disk that memory would grow beyond its bound.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; the record was not appended.
    pub fn append(&self, payload: &[u8]) -> Result<Lsn, AppendError> {
        self.wal.append(payload)
    }

    /// Appends records that are visible, and recovered, all or none. Blocks as
    /// [`append`](Self::append) does.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; none was appended.
    pub fn append_batch(&self, payloads: &[&[u8]]) -> Result<Range<Lsn>, AppendError> {
        self.wal.append_batch(payloads)
    }

    /// Appends a record with a timestamp, a key or whatever else it carries,
    /// otherwise as [`append`](Self::append) does.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; the record was not appended. What it carries counts
    /// for how long it may be.
    pub fn append_record(&self, record: &NewRecord<'_>) -> Result<Lsn, AppendError> {
        self.wal.append_payload(record)
    }

    /// Appends such records, visible, and recovered, all or none. Blocks as
    /// [`append`](Self::append) does.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; none was appended.
    pub fn append_records(&self, records: &[NewRecord<'_>]) -> Result<Range<Lsn>, AppendError> {
        self.wal.append_batch(records)
    }

    /// Appends a record that writes itself, see [`Wal::append_payload`]. What
    /// its codec says must be how its bytes are to be taken apart.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; the record was not appended.
    pub fn append_payload<P: Payload + ?Sized>(&self, payload: &P) -> Result<Lsn, AppendError> {
        self.wal.append_payload(payload)
    }

    /// Appends when first polled, and resolves when the record has reached
    /// `level`, see [`Wal::append_async`].
    pub fn append_async<P: Payload>(&self, payload: P, level: Level) -> Append<P> {
        self.wal.append_async(payload, level)
    }

    /// Resolves when an append finds room in memory, see [`Wal::room_async`].
    pub fn room_async(&self) -> Room {
        self.wal.room_async()
    }

    /// The same as [`commit`](Self::commit) as a future, see
    /// [`Wal::commit_async`].
    pub fn commit_async(&self, end: Lsn, level: Level) -> Commit {
        self.wal.commit_async(end, level)
    }

    /// Promises that a thread will work for futures, see [`Wal::committer`].
    /// After [`truncate_after`](Self::truncate_after) make another.
    #[must_use]
    pub fn committer(&self) -> Committer {
        self.wal.committer()
    }

    /// Whether record `lsn` is in memory, or would be if it were there: reading
    /// on from it touches no file.
    #[must_use]
    pub fn is_hot(&self, lsn: Lsn) -> bool {
        self.wal.iter_hot(lsn).is_some()
    }

    /// Waits until every record below `end` that is published now has reached
    /// `level`. Concurrent callers share the work.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn commit(&self, end: Lsn, level: Level) -> Result<(), CommitError> {
        self.wal.commit(end, level)
    }

    /// Hands everything published so far to the operating system: it survives
    /// the death of this process. Returns the end of what does.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn flush(&self) -> Result<Lsn, CommitError> {
        self.wal.flush()
    }

    /// Makes everything published so far durable: it survives power loss.
    /// Returns the end of what does.
    ///
    /// Then maps and indexes what has been sealed meanwhile, as
    /// [`index_sealed`](Self::index_sealed) does, unless another thread is at
    /// it. If that fails, the next reader tries again.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn sync(&self) -> Result<Lsn, CommitError> {
        let durable_end = self.wal.sync()?;
        self.index_unless_busy();
        Ok(durable_end)
    }

    /// Seals the active segment, maps and indexes it, and goes on in a new
    /// one. Does nothing and returns false if it has no record. Everything
    /// published before is durable then.
    ///
    /// Blocks for several syncs, and for reading the segment once.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    pub fn rotate(&self) -> Result<bool, AppendError> {
        let rotated = self.wal.rotate()?;
        self.index_unless_busy();
        Ok(rotated)
    }

    /// Makes the file that the next rotation will need, see [`Wal::prepare`].
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; no record depends on it.
    pub fn prepare(&self) -> Result<bool, CommitError> {
        self.wal.prepare()
    }

    /// Maps and indexes the segments that were sealed since the last time, and
    /// returns how many that were. [`sync`](Self::sync), [`rotate`](Self::rotate)
    /// and [`close`](Self::close) do it too; what nobody did is done when the
    /// segment is first read.
    ///
    /// Blocks for reading each of them once, and for another thread that is at
    /// it.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. An index file that cannot be written is no error:
    /// `tracing` gets a warning.
    pub fn index_sealed(&self) -> Result<usize, ReadError> {
        let indexed = self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
        self.index_from(indexed)
    }

    fn index_unless_busy(&self) {
        let indexed = match self.indexed.try_lock() {
            Ok(indexed) => indexed,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if let Err(error) = self.index_from(indexed) {
            tracing::warn!(%error, "a sealed segment was not indexed");
        }
    }

    fn index_from(&self, mut indexed: MutexGuard<'_, Indexed>) -> Result<usize, ReadError> {
        let count = self.wal.sealed_count();
        if count == indexed.count {
            return Ok(0);
        }
        self.catalog.refresh(&self.wal);
        let segments = self.catalog.segments_from(indexed.end);
        for segment in &segments {
            // Before trying: one that fails is left to its first reader.
            indexed.end = segment.end();
            self.catalog.prepare(segment)?;
        }
        indexed.count = count;
        Ok(segments.len())
    }

    /// Drops every sealed segment of which all records lie below `lsn`, oldest
    /// first, with its index, and returns how many. Never the active one:
    /// records below `lsn` may stay. So may a segment that is sealed meanwhile,
    /// until the next time.
    ///
    /// Records that are held stay valid (`INV-M5`). A reader that stands in a
    /// dropped segment finishes it, and is then told by
    /// [`ReadError::Truncated`] where the log begins, as is everybody who asks
    /// for what was dropped. A crash at any moment leaves a log without a gap;
    /// blocks for a sync of the directory per segment.
    ///
    /// ```
    /// use log_mmap::{Lsn, ReadError, Store, StoreOptions};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let store = Store::open(directory.path(), StoreOptions::default())?;
    /// store.append(b"needed until it is applied")?;
    /// store.rotate()?;
    /// store.append(b"still needed")?;
    ///
    /// let held = store.read(Lsn(0))?.ok_or("not there")?;
    /// assert_eq!(store.drop_before(Lsn(1))?, 1);
    /// assert_eq!(held.payload(), b"needed until it is applied");
    /// let gone = store.read(Lsn(0));
    /// assert!(matches!(gone, Err(ReadError::Truncated { first: Lsn(1), .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Wal::checkpoint`]. What could not be dropped is part of the log,
    /// and is read as before.
    pub fn drop_before(&self, lsn: Lsn) -> Result<usize, CommitError> {
        self.catalog.refresh(&self.wal);
        // The catalog first: nobody is led to a file that is about to go.
        let (gone, known_end) = self.catalog.drop_before(lsn);
        // What was sealed since then stays until the next time: the catalog
        // would miss it in between (INV-M4).
        let dropped = self.wal.checkpoint(lsn.min(known_end));
        let first = self.wal.first_lsn();
        if dropped.is_err() {
            self.catalog.reload(first, &self.wal);
        }
        let gone = gone.iter().filter(|segment| segment.end() <= first);
        leftovers::remove_indexes(gone.map(Arc::as_ref));
        dropped
    }

    /// Discards every record from `end` on, atomically and for good: `end` is
    /// the number that the next record will have. See [`Wal::truncate_after`].
    ///
    /// Blocks for several syncs, and for reading one segment. The segment that
    /// was cut is indexed when it is next read. Records that are held stay
    /// valid (`INV-M5`).
    ///
    /// # Errors
    ///
    /// See [`TruncateError`].
    pub fn truncate_after(&mut self, end: Lsn) -> Result<(), TruncateError> {
        let truncated = self.wal.truncate_after(end);
        let gone = self.catalog.reload(self.wal.first_lsn(), &self.wal);
        leftovers::remove_indexes(gone.iter().map(Arc::as_ref));
        self.recent = Recent::default();
        let indexed = Indexed::all_of(&self.wal);
        *self
            .indexed
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner) = indexed;
        truncated
    }

    /// Record `lsn`; `None` at or beyond the end, and for a number that its
    /// writer gave up.
    ///
    /// Blocks for the disk only if the record is in a sealed segment that the
    /// page cache does not hold, and for reading that segment once if it has
    /// no index yet.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] in front of the first record, and see
    /// [`ReadError`].
    pub fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        source::read(self, lsn)
    }

    /// Looks up many records by number, see [`Lookup`].
    #[must_use]
    pub fn lookup(&self) -> Lookup<'_> {
        Lookup::new(self)
    }

    /// The records from `lsn` on, at most `limit`, and where to read on. Ends
    /// early in front of a record that cannot be read, which the next call is
    /// told about. At or beyond the end of the log there are none, and one
    /// reads on at the end.
    ///
    /// ```
    /// use log_mmap::{Lsn, Store, StoreOptions};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let store = Store::open(directory.path(), StoreOptions::default())?;
    /// store.append_batch(&[b"one", b"two", b"three"])?;
    /// let slice = store.read_slice(Lsn(0), 2)?;
    /// assert_eq!((slice.records.len(), slice.next_lsn), (2, Lsn(2)));
    /// let rest = store.read_slice(slice.next_lsn, None)?;
    /// assert_eq!((rest.records.len(), rest.next_lsn), (1, Lsn(3)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read), about the first record.
    pub fn read_slice(
        &self,
        lsn: Lsn,
        limit: impl Into<Option<usize>>,
    ) -> Result<Slice, ReadError> {
        Slice::read(self, lsn, limit.into())
    }

    /// The number of the first record whose timestamp is at or after `moment`;
    /// `None` if there is none. Timestamps need not ascend: of the records
    /// behind it, some may be earlier. Records without a timestamp are passed
    /// over.
    ///
    /// Sealed segments are found by their time indexes; of the records behind
    /// them, each is looked at once, and then a few.
    ///
    /// Blocks as [`read`](Self::read) does.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]: what is damaged may be the record that was asked for.
    pub fn lsn_at_or_after(&self, moment: Timestamp) -> Result<Option<Lsn>, ReadError> {
        self.catalog.refresh(&self.wal);
        by_time::at_or_after(self, moment)
    }

    /// Reads from the first record of the log.
    #[must_use]
    pub fn iter(&self) -> Records<'_> {
        self.iter_from(self.first_lsn())
    }

    /// Reads from record `lsn`, see [`Records`].
    #[must_use]
    pub fn iter_from(&self, lsn: Lsn) -> Records<'_> {
        self.range(lsn..Lsn(u64::MAX))
    }

    /// Reads the records of `lsns` that there are, see [`Records`].
    #[must_use]
    pub fn range(&self, lsns: Range<Lsn>) -> Records<'_> {
        Records::new(self, lsns.start, lsns.end)
    }

    /// The number of the first record in the log.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.wal.first_lsn()
    }

    /// The number that the next record will have, if nobody else appends.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.wal.next_lsn()
    }

    /// How far the log has come.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        self.wal.watermarks()
    }

    /// Blocks until record `lsn` is published, at most for `timeout` (`None`:
    /// for ever). Returns whether it is.
    pub fn wait_published(&self, lsn: Lsn, timeout: Option<Duration>) -> bool {
        self.wal.wait_published(lsn, timeout)
    }

    /// Every segment, ascending; the last one is active.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.wal.segments()
    }

    /// A number that changes whenever a segment is sealed or dropped, and is
    /// cheap to look at.
    #[must_use]
    pub fn sealed_count(&self) -> u64 {
        self.wal.sealed_count()
    }

    /// What the log did since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.wal.stats()
    }

    /// Makes everything durable, indexes what was sealed, and leaves a mark
    /// that nothing is missing at the end. Records that are held stay valid.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. The log is closed all the same.
    pub fn close(self) -> Result<(), CommitError> {
        let synced = self.sync().map(drop);
        let closed = self.wal.close();
        synced.and(closed)
    }
}

impl Source for Store {
    fn first(&self) -> Lsn {
        self.first_lsn()
    }

    fn end(&self) -> Lsn {
        self.next_lsn()
    }

    fn locate(&self, lsn: Lsn) -> Result<Way, ReadError> {
        let look = |catalog: &Catalog| catalog.walk_from(lsn);
        match hand_over::find(&self.catalog, &self.wal, look, lsn) {
            Whereabouts::Cold(walk) => walk.map(Way::from),
            Whereabouts::Hot(iter) => Ok(iter.into()),
            // It says what the first record is.
            Whereabouts::Gone => Ok(self.wal.iter_from(lsn).into()),
        }
    }

    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn recent(&self) -> &Recent {
        &self.recent
    }

    /// As it is: the catalog goes by what this writer drops.
    fn explained(&self, _lsn: Lsn, error: ReadError) -> ReadError {
        error
    }
}
