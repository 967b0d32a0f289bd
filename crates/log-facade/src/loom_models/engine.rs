//! An engine of which a model sees every step: three marks, and nothing else.
//! A record is its number, and a segment of its own.
//!
//! Of the accesses to an atomic, loom remembers the last one: a thread that
//! loads it before it stores to it hides that another one had loaded it as well,
//! and loom does not try the other order. So retention and reading, which both
//! load and store, count their steps in an atomic that they only add to.

use std::iter;
use std::ops::Range;
use std::time::Duration;

use log_mmap::Payload;
use log_wal::format::SegmentName;
use loom::sync::atomic::{AtomicU64, Ordering};

use crate::engine::{AppendError, CommitError, Engine, Records};
use crate::{
    Codec, Level, Lsn, NewRecord, OpenReport, ReadError, Record, SegmentInfo, SegmentState, Slice,
    Stats, TailState, Timestamp, Watermarks,
};

/// For a record as long as this, the engine makes room first, and so settles
/// what is there. What is longer is refused, as late as can be: behind that.
pub(super) const RECORD_BYTES_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Marks {
    first: AtomicU64,
    published: AtomicU64,
    durable: AtomicU64,
    steps: AtomicU64,
    report: OpenReport,
}

impl Marks {
    /// A log with so many records, all of them durable.
    pub(super) fn new(records: u64) -> Self {
        Self {
            first: AtomicU64::new(0),
            published: AtomicU64::new(records),
            durable: AtomicU64::new(records),
            steps: AtomicU64::new(0),
            report: OpenReport {
                created: false,
                segments: 1,
                first_lsn: Lsn::ZERO,
                next_lsn: Lsn(records),
                tail: TailState::Clean,
                ignored_files: Vec::new(),
                cut: None,
                torn_file: None,
            },
        }
    }

    /// Lets loom switch threads, whatever the other one does here.
    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn first(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// The next of `lsns`, which begin behind it.
    fn take(&self, lsns: &mut Range<u64>) -> Option<Result<Record, ReadError>> {
        self.step();
        let (first, requested) = (self.first(), lsns.start);
        if requested >= lsns.end.min(self.published()) {
            return None;
        }
        lsns.start = first.max(requested + 1);
        Some(match requested < first {
            true => Err(ReadError::Truncated {
                requested: Lsn(requested),
                first: Lsn(first),
            }),
            false => Ok(record(requested)),
        })
    }
}

fn record(lsn: u64) -> Record {
    let record = Record::from_parts(Lsn(lsn), Codec::PLAIN, Default::default());
    record.expect("nothing to take apart")
}

fn segment(base: u64, end: u64, state: SegmentState) -> SegmentInfo {
    SegmentInfo {
        name: SegmentName {
            base: Lsn(base),
            id: base + 1,
        },
        path: "a model".into(),
        base: Lsn(base),
        end: Lsn(end),
        data_bytes: 0,
        file_bytes: 0,
        state,
    }
}

impl Engine for Marks {
    fn keeps(&self) -> Level {
        Level::Durable
    }

    fn report(&self) -> &OpenReport {
        &self.report
    }

    fn append(&self, record: &NewRecord<'_>) -> Result<Lsn, AppendError> {
        let (bytes, max) = (record.len_bytes(), RECORD_BYTES_MAX);
        if bytes >= max {
            self.rotate()?;
        }
        if bytes > max {
            return Err(AppendError::TooLong { bytes, max });
        }
        Ok(Lsn(self.published.fetch_add(1, Ordering::AcqRel)))
    }

    fn append_batch(&self, records: &[NewRecord<'_>]) -> Result<Range<Lsn>, AppendError> {
        let count = records.len() as u64;
        let first = self.published.fetch_add(count, Ordering::AcqRel);
        Ok(Lsn(first)..Lsn(first + count))
    }

    fn append_in_place(
        &self,
        record: &NewRecord<'_>,
        _payload_bytes: usize,
        _fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Lsn, AppendError> {
        self.append(record)
    }

    fn commit(&self, end: Lsn, _level: Level) -> Result<(), CommitError> {
        let end = end.0.min(self.published());
        self.durable.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    fn is_hot(&self, _lsn: Lsn) -> bool {
        true
    }

    fn watermarks(&self) -> Watermarks {
        let durable_end = Lsn(self.durable());
        let published_end = Lsn(self.published());
        Watermarks {
            reserved_end: published_end,
            published_end,
            written_end: durable_end,
            durable_end,
        }
    }

    fn first_lsn(&self) -> Lsn {
        Lsn(self.first())
    }

    fn next_lsn(&self) -> Lsn {
        Lsn(self.published())
    }

    fn wait_published(&self, lsn: Lsn, _timeout: Option<Duration>) -> bool {
        lsn < self.next_lsn()
    }

    fn read(&self, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        self.take(&mut (lsn.0..lsn.0.saturating_add(1))).transpose()
    }

    fn records(&self, lsns: Range<Lsn>) -> Records<'_> {
        let mut left = lsns.start.0..lsns.end.0;
        // From the back nobody reads here.
        let records = iter::from_fn(move || self.take(&mut left));
        Records::new(Forwards(records))
    }

    fn read_slice(&self, lsn: Lsn, _limit: Option<usize>) -> Result<Slice, ReadError> {
        Ok(Slice {
            records: Vec::new(),
            next_lsn: lsn,
        })
    }

    fn lsn_at_or_after(&self, _moment: Timestamp) -> Result<Option<Lsn>, ReadError> {
        Ok(None)
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        let (durable, published) = (self.durable(), self.published());
        let sealed = self.first()..durable;
        let sealed = sealed.map(|lsn| segment(lsn, lsn + 1, SegmentState::Sealed));
        let active = segment(durable, published, SegmentState::Active);
        sealed.chain([active]).collect()
    }

    fn sealed_count(&self) -> u64 {
        0
    }

    fn rotate(&self) -> Result<bool, AppendError> {
        self.commit(Lsn(u64::MAX), Level::Durable)?;
        Ok(true)
    }

    fn drop_before(&self, lsn: Lsn) -> Result<usize, CommitError> {
        self.step();
        let first = self.first.fetch_max(lsn.0, Ordering::AcqRel);
        Ok(lsn.0.saturating_sub(first) as usize)
    }

    fn index_sealed(&self) -> Result<usize, ReadError> {
        Ok(0)
    }

    fn prepare(&self) -> Result<bool, CommitError> {
        Ok(false)
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn close(self: Box<Self>) -> Result<(), CommitError> {
        self.commit(Lsn(u64::MAX), Level::Durable)
    }
}

/// Records that are only asked for from the front.
struct Forwards<I>(I);

impl<I: Iterator> Iterator for Forwards<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }
}

impl<I: Iterator> DoubleEndedIterator for Forwards<I> {
    fn next_back(&mut self) -> Option<I::Item> {
        unreachable!("no model reads from the back")
    }
}
