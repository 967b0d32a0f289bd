//! Reading records in order, wherever they lie.
//!
//! A record is in memory while its segment is being filled and written, and in
//! a sealed file afterwards. An iterator looks in memory first and on disk
//! second; a segment is in the catalog before it leaves memory, so the second
//! look finds what the first just missed.

use std::sync::Arc;

use bytes::Bytes;
use log_core::{Cursor, Lsn, Span};

use crate::error::ReadError;
use crate::file_scan::FileScan;
use crate::format::FrameKind;
use crate::record::Record;
use crate::report::SealedSegment;
use crate::segment::SegmentMeta;
use crate::shared::Shared;
use crate::storage::Storage;

/// Reads records in order.
///
/// Yields what is published when it looks. At the end it returns `None`, and
/// goes on when it is asked again after more was appended, so that a loop with
/// [`wait_published`](crate::Wal::wait_published) follows the log. An iterator
/// that was overtaken by retention, or asked for less than there is, yields one
/// [`ReadError::Truncated`] and then goes on at the first record that there is.
/// Any other error is its last item; what lies behind it can be asked for by
/// number.
///
/// Needs memory for one buffer of 256 KiB (or of the longest record), and keeps
/// the segment that it reads from in memory.
#[derive(Debug)]
pub struct Iter {
    log: Log,
    next: Lsn,
    place: Place,
}

/// What an iterator reads.
#[derive(Debug)]
enum Log {
    /// A log that this process writes; only its memory, if so asked.
    Live { shared: Arc<Shared>, hot_only: bool },
    /// Files as they were found.
    Files {
        storage: Arc<dyn Storage>,
        segments: Arc<[SealedSegment]>,
    },
}

/// Where the next record comes from.
#[derive(Debug)]
enum Place {
    /// Not looked for yet.
    Nowhere,
    Memory(Hot),
    File(FileScan),
    /// A record could not be read.
    Failed,
}

impl Iter {
    pub(crate) fn of_log(shared: Arc<Shared>, next: Lsn) -> Self {
        Self {
            log: Log::Live {
                shared,
                hot_only: false,
            },
            next,
            place: Place::Nowhere,
        }
    }

    pub(crate) fn of_memory(shared: Arc<Shared>, next: Lsn) -> Option<Self> {
        let hot = Hot::at(&shared, next)?;
        Some(Self {
            log: Log::Live {
                shared,
                hot_only: true,
            },
            next,
            place: Place::Memory(hot),
        })
    }

    pub(crate) fn of_files(
        storage: Arc<dyn Storage>,
        segments: Arc<[SealedSegment]>,
        next: Lsn,
    ) -> Self {
        Self {
            log: Log::Files { storage, segments },
            next,
            place: Place::Nowhere,
        }
    }

    /// The number of the record that comes next.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// Finds where `next` lies. `None` if it is not there yet.
    fn find_place(&self) -> Result<Option<Place>, ReadError> {
        match &self.log {
            Log::Live { shared, hot_only } => self.find_live(shared, *hot_only),
            Log::Files { storage, segments } => {
                if let Some(first) = segments.first()
                    && self.next < first.base
                {
                    return Err(truncated(self.next, first.base));
                }
                let after = segments.partition_point(|segment| segment.end <= self.next);
                let Some(segment) = segments.get(after) else {
                    return Ok(None);
                };
                let scan = FileScan::open(storage.as_ref(), segment, self.next)?;
                Ok(Some(Place::File(scan)))
            }
        }
    }

    fn find_live(&self, shared: &Shared, hot_only: bool) -> Result<Option<Place>, ReadError> {
        if let Some(hot) = Hot::at(shared, self.next) {
            return Ok(Some(Place::Memory(hot)));
        }
        if hot_only || self.next >= shared.tail.published_end() {
            return Ok(None);
        }
        while let Some(segment) = shared.catalog.find(self.next) {
            match FileScan::open(shared.storage.as_ref(), &segment, self.next) {
                // It was dropped, and its file went before it was opened.
                Err(_) if shared.catalog.find(self.next).as_ref() != Some(&segment) => {}
                scan => return scan.map(Place::File).map(Some),
            }
        }
        Err(truncated(self.next, shared.first_lsn()))
    }

    /// The next record from where we stand; `None` at the end of that.
    fn step(&mut self) -> Option<Result<Record, ReadError>> {
        match (&mut self.place, &self.log) {
            (Place::Memory(hot), Log::Live { shared, .. }) => hot.next(shared).map(Ok),
            (Place::File(scan), _) => scan.next().transpose(),
            _ => None,
        }
    }
}

fn truncated(requested: Lsn, first: Lsn) -> ReadError {
    ReadError::Truncated { requested, first }
}

impl Iterator for Iter {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.step() {
                Some(Ok(record)) => {
                    self.next = Lsn(record.lsn().0.saturating_add(1));
                    return Some(Ok(record));
                }
                Some(Err(error)) => {
                    self.place = Place::Failed;
                    return Some(Err(error));
                }
                None => {}
            }
            self.next = match &self.place {
                Place::Memory(hot) if !hot.is_left_behind(&self.log) => return None,
                Place::Memory(hot) => self.next.max(hot.cursor.next_lsn()),
                Place::File(scan) => self.next.max(scan.end_lsn()),
                Place::Nowhere => self.next,
                Place::Failed => return None,
            };
            match self.find_place() {
                Ok(Some(place)) => self.place = place,
                Ok(None) => {
                    self.place = Place::Nowhere;
                    return None;
                }
                Err(error) => {
                    self.place = match &error {
                        ReadError::Truncated { first, .. } => {
                            self.next = *first;
                            Place::Nowhere
                        }
                        _ => Place::Failed,
                    };
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Reads from memory: frames that this process has built, and so need no check.
#[derive(Debug)]
struct Hot {
    cursor: Cursor<SegmentMeta>,
    /// The frames that are at hand, and those of them that were read.
    frames: Bytes,
    read: usize,
    /// The number of the next record in `frames`.
    next: Lsn,
    meta_of: Option<Arc<log_core::Segment<SegmentMeta>>>,
}

impl Hot {
    fn at(shared: &Shared, lsn: Lsn) -> Option<Self> {
        let cursor = shared.tail.cursor_at(lsn)?;
        Some(Self {
            next: cursor.next_lsn(),
            cursor,
            frames: Bytes::new(),
            read: 0,
            meta_of: None,
        })
    }

    fn next(&mut self, shared: &Shared) -> Option<Record> {
        loop {
            if let Some(segment) = &self.meta_of {
                let rest = &self.frames[self.read..];
                if let Ok(frame) = segment.meta().key.decode_unchecked(rest, self.next) {
                    self.read += frame.len_bytes();
                    self.next = frame.next_lsn();
                    if frame.kind == FrameKind::Record {
                        let payload = self.frames.slice_ref(frame.payload);
                        return Some(Record::new(frame.lsn, payload).with_codec(frame.codec()));
                    }
                    continue;
                }
            }
            let span = shared.tail.next_span(&mut self.cursor)?;
            self.take(span);
        }
    }

    fn take(&mut self, span: Span<SegmentMeta>) {
        self.next = span.base();
        self.meta_of = Some(Arc::clone(span.segment()));
        self.frames = Bytes::from_owner(span);
        self.read = 0;
    }

    /// Whether the segment that comes next has left memory.
    fn is_left_behind(&self, log: &Log) -> bool {
        match log {
            Log::Live { shared, .. } => self.cursor.next_lsn() < shared.tail.first_lsn(),
            Log::Files { .. } => false,
        }
    }
}
