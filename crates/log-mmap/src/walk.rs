//! A walk over the records of one mapped segment.

use std::sync::Arc;

use log_wal::format::FrameKind;
use log_wal::{Lsn, ReadError};

use crate::envelope::Record;
use crate::frames::Place;
use crate::segment::Mapped;

/// A walk over the records of a segment, in order, each checked. Holds the
/// mapping.
#[derive(Debug)]
pub(crate) struct Walk {
    mapped: Arc<Mapped>,
    place: Place,
    /// Whether the frame at `place` has been checked already.
    is_checked: bool,
}

impl Walk {
    /// Begins at a frame that has passed its checksum.
    #[inline]
    pub(crate) fn new(mapped: Arc<Mapped>, place: Place) -> Self {
        Self {
            mapped,
            place,
            is_checked: true,
        }
    }

    /// The next record; `None` at the end of the segment. After an error the
    /// walk stays where it is.
    #[inline]
    pub(crate) fn step(&mut self) -> Option<Result<Record, ReadError>> {
        let frames = self.mapped.frames();
        while self.place != frames.end() {
            let frame = if self.is_checked {
                frames.at_unchecked(self.place)
            } else {
                frames.at(self.place)
            };
            let Ok(frame) = frame else {
                return Some(Err(self.mapped.damaged(self.place)));
            };
            let lsn = self.place.lsn;
            self.place = self.place.behind(&frame);
            self.is_checked = false;
            if frame.kind == FrameKind::Record {
                return Some(frames.record(lsn, &frame));
            }
        }
        None
    }

    /// The number of the next record, or the end of the segment.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.place.lsn
    }
}
