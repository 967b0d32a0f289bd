//! Reading records in order, wherever they lie.
//!
//! A record is in memory while its segment is being filled and written, and in
//! a sealed file afterwards. An iterator looks in memory first and on disk
//! second; a segment is in the catalog before it leaves memory, so the second
//! look finds what the first just missed.

use std::sync::Arc;

use bytes::Bytes;
use log_core::{Cursor, Lsn, Segment, Span};

use crate::error::ReadError;
use crate::file_scan::FileScan;
use crate::files::Files;
use crate::found::Found;
use crate::open_files::{OpenFile, Wanted};
use crate::record::{Record, RecordRef};
use crate::segment::SegmentMeta;
use crate::shared::Shared;
use crate::sync;

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
    Files(Arc<Files>),
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

    pub(crate) fn of_files(files: Arc<Files>, next: Lsn) -> Self {
        Self {
            log: Log::Files(files),
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
            Log::Files(files) => {
                let file = files.open(self.next, Wanted::RecordsFrom)?;
                file.map(|file| scan_from(file, self.next)).transpose()
            }
        }
    }

    fn find_live(&self, shared: &Shared, hot_only: bool) -> Result<Option<Place>, ReadError> {
        // Before the look into memory: what is published and not there has left.
        let is_published = self.next < shared.tail.published_end();
        if let Some(hot) = Hot::at(shared, self.next) {
            return Ok(Some(Place::Memory(hot)));
        }
        if hot_only || !is_published {
            return Ok(None);
        }
        let file = shared.open_sealed(self.next, Wanted::RecordsFrom)?;
        scan_from(file, self.next).map(Some)
    }

    /// The next record from where we stand; `None` at the end of that.
    #[inline]
    fn step(&mut self) -> Option<Result<Found, ReadError>> {
        match (&mut self.place, &self.log) {
            (Place::Memory(hot), Log::Live { shared, .. }) => hot.next(shared).map(Ok),
            (Place::File(scan), _) => scan.next().transpose(),
            _ => None,
        }
    }

    /// Goes to the next record, wherever it lies.
    #[inline]
    fn advance(&mut self) -> Option<Result<Found, ReadError>> {
        loop {
            match self.step() {
                Some(Ok(found)) => {
                    self.next = found.next_lsn;
                    return Some(Ok(found));
                }
                Some(Err(error)) => {
                    self.place = Place::Failed;
                    return Some(Err(error));
                }
                None => match self.move_on() {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }

    /// Finds the place behind the one that we are at the end of. Whether there
    /// is one yet.
    #[cold]
    fn move_on(&mut self) -> Result<bool, ReadError> {
        self.next = match &self.place {
            Place::Memory(hot) if !hot.is_left_behind(&self.log) => return Ok(false),
            Place::Memory(hot) => self.next.max(hot.cursor.next_lsn()),
            Place::File(scan) => self.next.max(scan.end_lsn()),
            Place::Nowhere => self.next,
            Place::Failed => return Ok(false),
        };
        let found = self.find_place();
        self.place = match &found {
            Ok(None) => Place::Nowhere,
            Err(ReadError::Truncated { first, .. }) => {
                self.next = *first;
                Place::Nowhere
            }
            _ => Place::Failed,
        };
        match found? {
            Some(place) => {
                self.place = place;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// The frames that the last record was found in.
    #[inline]
    fn frames(&self) -> Option<&Bytes> {
        match &self.place {
            Place::Memory(hot) => Some(&hot.frames),
            Place::File(scan) => Some(scan.frames()),
            Place::Nowhere | Place::Failed => None,
        }
    }

    /// As [`next`](Iterator::next), but the record is only lent, until the next
    /// call: the way to read many records of which none is kept.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let wal = log_wal::Wal::open(directory.path())?;
    /// wal.append_batch(&[b"one".as_slice(), b"three"])?;
    /// let (mut records, mut bytes) = (wal.iter(), 0);
    /// while let Some(record) = records.next_ref() {
    ///     bytes += record?.payload().len();
    /// }
    /// assert_eq!(bytes, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn next_ref(&mut self) -> Option<Result<RecordRef<'_>, ReadError>> {
        match self.advance()? {
            Ok(found) => self.frames().map(|frames| Ok(found.borrowed_in(frames))),
            Err(error) => Some(Err(error)),
        }
    }
}

fn scan_from(file: Arc<OpenFile>, lsn: Lsn) -> Result<Place, ReadError> {
    FileScan::from(file, lsn).map(Place::File)
}

impl Iterator for Iter {
    type Item = Result<Record, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.advance()? {
            Ok(found) => self.frames().map(|frames| Ok(found.record_in(frames))),
            Err(error) => Some(Err(error)),
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
    meta_of: Option<sync::Arc<Segment<SegmentMeta>>>,
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

    #[inline]
    fn next(&mut self, shared: &Shared) -> Option<Found> {
        loop {
            if let Some(segment) = &self.meta_of {
                let rest = &self.frames[self.read..];
                if let Ok(frame) = segment.meta().key.decode_unchecked(rest, self.next) {
                    let found = Found::new(&frame, self.read);
                    self.read += found.len_bytes;
                    self.next = found.next_lsn;
                    if found.is_record() {
                        return Some(found);
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
        self.meta_of = Some(sync::Arc::clone(span.segment()));
        self.frames = Bytes::from_owner(span);
        self.read = 0;
    }

    /// Whether the segment that comes next has left memory.
    fn is_left_behind(&self, log: &Log) -> bool {
        match log {
            Log::Live { shared, .. } => self.cursor.next_lsn() < shared.tail.first_lsn(),
            Log::Files(_) => false,
        }
    }
}
