//! The write-ahead log alone: no mapping, and no files beside the segments.
//!
//! In a directory it keeps every level. In memory it is the engine for logs
//! that may vanish: the same code on files that are memory, told to promise no
//! more than *published*. Such a log holds what its segments hold, so only
//! retention bounds it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use log_mmap::{Wal, WalOptions};

use super::{AppendError, CommitError, Engine, MemStorage, OpenError, ReadError, Records, Storage};
use crate::{Level, Lsn, OpenReport, Record, SegmentInfo, Stats, Watermarks};

/// A log that is a write-ahead log and nothing more.
#[derive(Debug)]
pub struct WalEngine {
    wal: Wal,
    keeps: Level,
}

impl WalEngine {
    /// Opens the log in `directory`, making both if they are missing.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; a refusal changes nothing on disk.
    pub fn open(directory: &Path, options: WalOptions) -> Result<Self, OpenError> {
        let wal = Wal::open_with(directory, options)?;
        Ok(Self::new(wal, Level::Durable))
    }

    /// Opens the log in any storage that keeps what is synced.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn with_storage(storage: Arc<dyn Storage>, options: WalOptions) -> Result<Self, OpenError> {
        let wal = Wal::with_storage(storage, options)?;
        Ok(Self::new(wal, Level::Durable))
    }

    /// Makes a log in memory. It keeps level *published* and no other, and is
    /// gone when it is closed or dropped.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]: only for want of memory.
    pub fn ephemeral(options: WalOptions) -> Result<Self, OpenError> {
        let wal = Wal::with_storage(Arc::new(MemStorage::new()), options)?;
        Ok(Self::new(wal, Level::Published))
    }

    fn new(wal: Wal, keeps: Level) -> Self {
        Self { wal, keeps }
    }
}

impl Engine for WalEngine {
    fn keeps(&self) -> Level {
        self.keeps
    }

    fn report(&self) -> &OpenReport {
        self.wal.report()
    }

    #[inline]
    fn append(&self, payload: &[u8]) -> Result<Lsn, AppendError> {
        self.wal.append(payload)
    }

    fn append_batch(&self, payloads: &[&[u8]]) -> Result<Range<Lsn>, AppendError> {
        self.wal.append_batch(payloads)
    }

    fn append_in_place(
        &self,
        payload_bytes: usize,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Lsn, AppendError> {
        let appended = self.wal.append_in_place(payload_bytes, fill);
        appended.map(|(lsn, ())| lsn)
    }

    fn commit(&self, end: Lsn, level: Level) -> Result<(), CommitError> {
        self.wal.commit(end, level)
    }

    fn watermarks(&self) -> Watermarks {
        self.wal.watermarks()
    }

    fn first_lsn(&self) -> Lsn {
        self.wal.first_lsn()
    }

    fn next_lsn(&self) -> Lsn {
        self.wal.next_lsn()
    }

    fn wait_published(&self, lsn: Lsn, timeout: Option<Duration>) -> bool {
        self.wal.wait_published(lsn, timeout)
    }

    fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        let behind = Lsn(lsn.0.saturating_add(1));
        self.records(lsn..behind).next().transpose()
    }

    fn records(&self, lsns: Range<Lsn>) -> Records<'_> {
        Records::of_wal(self.wal.iter_from(lsns.start), lsns.end)
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.wal.segments()
    }

    fn sealed_count(&self) -> u64 {
        self.wal.sealed_count()
    }

    fn rotate(&self) -> Result<bool, AppendError> {
        self.wal.rotate()
    }

    fn drop_before(&self, lsn: Lsn) -> Result<usize, CommitError> {
        self.wal.checkpoint(lsn)
    }

    fn index_sealed(&self) -> Result<usize, ReadError> {
        // It has no index.
        Ok(0)
    }

    fn stats(&self) -> Stats {
        self.wal.stats()
    }

    fn close(self: Box<Self>) -> Result<(), CommitError> {
        match self.keeps {
            // Nobody will look at it.
            Level::Published => Ok(()),
            _ => self.wal.close(),
        }
    }
}
