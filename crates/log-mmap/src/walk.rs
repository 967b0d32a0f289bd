//! A walk over the records of one mapped segment.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use log_wal::format::FrameKind;
use log_wal::{Lsn, ReadError};

use crate::envelope::{Record, RecordRef};
use crate::frames::{Frames, Place};
use crate::mapped::Mapped;

/// A walk over the records of a segment, in order, each checked. Holds the
/// mapping.
pub(crate) struct Walk {
    mapped: Arc<Mapped>,
    place: Place,
    /// Whether the frame at `place` has been checked already.
    is_checked: bool,
    /// The record that it has come to, and which bytes it lies in.
    found: Option<Record<Range<usize>>>,
}

impl Walk {
    /// Begins at a frame that has passed its checksum.
    #[inline]
    pub(crate) fn new(mapped: Arc<Mapped>, place: Place) -> Self {
        Self {
            mapped,
            place,
            is_checked: true,
            found: None,
        }
    }

    /// Goes to the next record, and says its number; `None` at the end of the
    /// segment. After damage the walk stays where it is.
    #[inline]
    pub(crate) fn advance(&mut self) -> Option<Result<Lsn, ReadError>> {
        let frames = self.mapped.frames();
        while self.place != frames.end() {
            let frame = if self.is_checked {
                frames.at_unchecked(self.place)
            } else {
                self.mapped.frame(self.place)
            };
            let Ok(frame) = frame else {
                return Some(Err(self.mapped.damaged(self.place)));
            };
            self.place = self.place.behind(&frame);
            self.is_checked = false;
            if frame.kind == FrameKind::Record {
                let record = match Frames::record(&frame) {
                    Ok(record) => record,
                    Err(error) => return Some(Err(error)),
                };
                self.found = Some(frames.range_of(&record));
                return Some(Ok(record.lsn()));
            }
        }
        None
    }

    /// The record that it has come to, lent.
    #[inline]
    pub(crate) fn lend(&self) -> Option<RecordRef<'_>> {
        let found = self.found.as_ref()?;
        Some(self.mapped.frames().lend(found))
    }

    /// The record that it has come to, to keep.
    #[inline]
    pub(crate) fn share(&self) -> Option<Record> {
        Some(self.mapped.frames().share(&self.lend()?))
    }

    /// The number of the next record, or the end of the segment.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.place.lsn
    }

    /// Goes to the next record and shares it.
    #[cfg(test)]
    pub(crate) fn step(&mut self) -> Option<Result<Record, ReadError>> {
        self.advance()?.map(|_| self.share()).transpose()
    }
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk")
            .field("mapped", &self.mapped)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
