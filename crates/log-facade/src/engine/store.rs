//! The engine of every log of ours: mapped, not mapped, or in memory.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use log_mmap::{Codec, FileStorage, Payload, Store, StoreOptions};

use super::{
    Append, AppendError, Commit, CommitError, Committer, Compact, CompactError, EncodedRecord,
    Engine, MemStorage, OpenError, ReadError, Records, Room, Storage, Truncate, TruncateError,
};
use crate::{
    CompactReport, Level, Lsn, NewRecord, OpenReport, Record, SegmentInfo, Slice, Stats, Timestamp,
    Watermarks,
};

/// A log in segments: in files, mapped or not, or in memory.
#[derive(Debug)]
pub struct StoreEngine {
    store: Store,
    storage: Arc<dyn Storage>,
    keeps: Level,
}

impl StoreEngine {
    /// Opens the log in `directory`, making both if they are missing. Sealed
    /// segments are mapped, unless the options say otherwise.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; a refusal changes nothing on disk.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        let store = Store::open(directory, options)?;
        let storage = Arc::new(FileStorage::at(directory));
        Ok(Self::new(store, storage, Level::Durable))
    }

    /// Opens the log in any storage that keeps what is synced. Nothing is
    /// mapped.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_on(storage: Arc<dyn Storage>, options: StoreOptions) -> Result<Self, OpenError> {
        let store = Store::open_on(Arc::clone(&storage), options)?;
        Ok(Self::new(store, storage, Level::Durable))
    }

    /// Makes a log in memory: the same on files that are memory, told to
    /// promise no more than *published*. It is gone when it is closed or
    /// dropped, and nothing bounds it but retention.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]: only for want of memory.
    pub fn ephemeral(options: StoreOptions) -> Result<Self, OpenError> {
        let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
        let store = Store::open_on(Arc::clone(&storage), options)?;
        Ok(Self::new(store, storage, Level::Published))
    }

    fn new(store: Store, storage: Arc<dyn Storage>, keeps: Level) -> Self {
        Self {
            store,
            storage,
            keeps,
        }
    }
}

impl Engine for StoreEngine {
    fn keeps(&self) -> Level {
        self.keeps
    }

    fn report(&self) -> &OpenReport {
        self.store.report()
    }

    #[inline]
    fn append(&self, record: &NewRecord<'_>) -> Result<Lsn, AppendError> {
        self.store.append_record(record)
    }

    fn append_batch(&self, records: &[NewRecord<'_>]) -> Result<Range<Lsn>, AppendError> {
        self.store.append_records(records)
    }

    fn append_in_place(
        &self,
        record: &NewRecord<'_>,
        payload_bytes: usize,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Lsn, AppendError> {
        self.store.append_payload(&InPlace {
            record,
            payload_bytes,
            fill: RefCell::new(fill),
        })
    }

    fn commit(&self, end: Lsn, level: Level) -> Result<(), CommitError> {
        self.store.commit(end, level)
    }

    fn append_async(&self, record: EncodedRecord, level: Level) -> Option<Append<EncodedRecord>> {
        Some(self.store.append_async(record, level))
    }

    fn room_async(&self) -> Option<Room> {
        Some(self.store.room_async())
    }

    fn commit_async(&self, end: Lsn, level: Level) -> Option<Commit> {
        Some(self.store.commit_async(end, level))
    }

    fn committer(&self) -> Option<Committer> {
        Some(self.store.committer())
    }

    fn is_hot(&self, lsn: Lsn) -> bool {
        self.store.is_hot(lsn)
    }

    fn watermarks(&self) -> Watermarks {
        self.store.watermarks()
    }

    fn first_lsn(&self) -> Lsn {
        self.store.first_lsn()
    }

    fn next_lsn(&self) -> Lsn {
        self.store.next_lsn()
    }

    fn wait_published(&self, lsn: Lsn, timeout: Option<Duration>) -> bool {
        self.store.wait_published(lsn, timeout)
    }

    fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        self.store.read(lsn)
    }

    fn records(&self, lsns: Range<Lsn>) -> Records<'_> {
        Records::of_store(self.store.range(lsns))
    }

    fn read_slice(&self, lsn: Lsn, limit: Option<usize>) -> Result<Slice, ReadError> {
        self.store.read_slice(lsn, limit)
    }

    fn lsn_at_or_after(&self, moment: Timestamp) -> Result<Option<Lsn>, ReadError> {
        self.store.lsn_at_or_after(moment)
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.store.segments()
    }

    fn sealed_count(&self) -> u64 {
        self.store.sealed_count()
    }

    fn rotate(&self) -> Result<bool, AppendError> {
        self.store.rotate()
    }

    fn drop_before(&self, lsn: Lsn) -> Result<usize, CommitError> {
        self.store.drop_before(lsn)
    }

    fn compaction(&self) -> Option<&dyn Compact> {
        Some(self)
    }

    fn truncation(&mut self) -> Option<&mut dyn Truncate> {
        Some(self)
    }

    fn index_sealed(&self) -> Result<usize, ReadError> {
        self.store.index_sealed()
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(Arc::clone(&self.storage))
    }

    fn prepare(&self) -> Result<bool, CommitError> {
        self.store.prepare()
    }

    fn stats(&self) -> Stats {
        self.store.stats()
    }

    fn close(self: Box<Self>) -> Result<(), CommitError> {
        match self.keeps {
            // Nobody will look at it.
            Level::Published => Ok(()),
            _ => self.store.close(),
        }
    }
}

impl Compact for StoreEngine {
    fn compact_before(
        &self,
        lsn: Lsn,
        keep: &mut dyn FnMut(&Record) -> bool,
    ) -> Result<CompactReport, CompactError> {
        self.store.compact_before(lsn, keep)
    }
}

impl Truncate for StoreEngine {
    fn truncate_after(&mut self, end: Lsn) -> Result<(), TruncateError> {
        self.store.truncate_after(end)
    }
}

type Fill<'a> = dyn FnMut(&mut [u8]) + 'a;

/// A record of which a part is written where it stays.
struct InPlace<'a> {
    /// What lies in front of that.
    record: &'a NewRecord<'a>,
    payload_bytes: usize,
    fill: RefCell<&'a mut Fill<'a>>,
}

impl Payload for InPlace<'_> {
    fn len_bytes(&self) -> usize {
        self.record.len_bytes().saturating_add(self.payload_bytes)
    }

    fn copy_to(&self, place: &mut [u8]) {
        let (front, payload) = place.split_at_mut(self.record.len_bytes());
        self.record.copy_to(front);
        // It is copied once, by the thread that appends.
        (self.fill.borrow_mut())(payload);
    }

    fn codec(&self) -> Codec {
        self.record.codec()
    }
}
