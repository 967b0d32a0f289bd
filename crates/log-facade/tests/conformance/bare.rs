//! An engine of somebody's own, that does what an engine must, and nothing that
//! it may leave out: no futures, no files beside its segments, no compaction,
//! no truncation.

use std::ops::Range;
use std::time::Duration;

use log_facade::conformance::{RECORD_BYTES_MAX, SEGMENT_BYTES};
use log_facade::engine::{
    AppendError, CommitError, Engine, OpenError, ReadError, Records, StoreEngine,
};
use log_facade::{
    Level, Lsn, NewRecord, OpenReport, Record, SegmentInfo, Slice, Stats, Timestamp, Watermarks,
};
use log_mmap::{StoreOptions, WalOptions};

/// It stands on ours, in memory.
#[derive(Debug)]
pub(crate) struct Bare(StoreEngine);

impl Bare {
    pub(crate) fn new() -> Result<Self, OpenError> {
        let wal = WalOptions::default()
            .segment_bytes(SEGMENT_BYTES)
            .record_bytes_max(RECORD_BYTES_MAX);
        StoreEngine::ephemeral(StoreOptions::default().wal(wal)).map(Self)
    }
}

impl Engine for Bare {
    fn keeps(&self) -> Level {
        self.0.keeps()
    }

    fn report(&self) -> &OpenReport {
        self.0.report()
    }

    fn append(&self, record: &NewRecord<'_>) -> Result<Lsn, AppendError> {
        self.0.append(record)
    }

    fn append_batch(&self, records: &[NewRecord<'_>]) -> Result<Range<Lsn>, AppendError> {
        self.0.append_batch(records)
    }

    fn append_in_place(
        &self,
        record: &NewRecord<'_>,
        payload_bytes: usize,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Lsn, AppendError> {
        self.0.append_in_place(record, payload_bytes, fill)
    }

    fn commit(&self, end: Lsn, level: Level) -> Result<(), CommitError> {
        self.0.commit(end, level)
    }

    fn watermarks(&self) -> Watermarks {
        self.0.watermarks()
    }

    fn first_lsn(&self) -> Lsn {
        self.0.first_lsn()
    }

    fn next_lsn(&self) -> Lsn {
        self.0.next_lsn()
    }

    fn wait_published(&self, lsn: Lsn, timeout: Option<Duration>) -> bool {
        self.0.wait_published(lsn, timeout)
    }

    fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        self.0.read(lsn)
    }

    fn records(&self, lsns: Range<Lsn>) -> Records<'_> {
        Records::new(self.0.records(lsns))
    }

    fn read_slice(&self, lsn: Lsn, limit: Option<usize>) -> Result<Slice, ReadError> {
        self.0.read_slice(lsn, limit)
    }

    fn lsn_at_or_after(&self, moment: Timestamp) -> Result<Option<Lsn>, ReadError> {
        self.0.lsn_at_or_after(moment)
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.0.segments()
    }

    fn sealed_count(&self) -> u64 {
        self.0.sealed_count()
    }

    fn rotate(&self) -> Result<bool, AppendError> {
        self.0.rotate()
    }

    fn drop_before(&self, lsn: Lsn) -> Result<usize, CommitError> {
        self.0.drop_before(lsn)
    }

    fn index_sealed(&self) -> Result<usize, ReadError> {
        self.0.index_sealed()
    }

    fn prepare(&self) -> Result<bool, CommitError> {
        self.0.prepare()
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }

    fn close(self: Box<Self>) -> Result<(), CommitError> {
        Box::new(self.0).close()
    }
}
