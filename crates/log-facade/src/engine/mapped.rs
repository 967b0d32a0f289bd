//! The default engine: sealed segments mapped and indexed.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use log_mmap::{Store, StoreOptions};

use super::{AppendError, CommitError, Engine, OpenError, ReadError, Records};
use crate::{Level, Lsn, OpenReport, Record, SegmentInfo, Stats, Watermarks};

/// A log whose sealed segments are mapped, and found through indexes.
#[derive(Debug)]
pub struct MappedEngine {
    store: Store,
}

impl MappedEngine {
    /// Opens the log in `directory`, making both if they are missing.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; a refusal changes nothing on disk.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        let store = Store::open(directory, options)?;
        Ok(Self { store })
    }
}

impl Engine for MappedEngine {
    fn keeps(&self) -> Level {
        Level::Durable
    }

    fn report(&self) -> &OpenReport {
        self.store.report()
    }

    #[inline]
    fn append(&self, payload: &[u8]) -> Result<Lsn, AppendError> {
        self.store.append(payload)
    }

    fn append_batch(&self, payloads: &[&[u8]]) -> Result<Range<Lsn>, AppendError> {
        self.store.append_batch(payloads)
    }

    fn append_in_place(
        &self,
        payload_bytes: usize,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Lsn, AppendError> {
        let appended = self.store.append_in_place(payload_bytes, fill);
        appended.map(|(lsn, ())| lsn)
    }

    fn commit(&self, end: Lsn, level: Level) -> Result<(), CommitError> {
        self.store.commit(end, level)
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

    fn index_sealed(&self) -> Result<usize, ReadError> {
        self.store.index_sealed()
    }

    fn stats(&self) -> Stats {
        self.store.stats()
    }

    fn close(self: Box<Self>) -> Result<(), CommitError> {
        self.store.close()
    }
}
