//! A frame that was found in some frames, and where it lies there.

use bytes::Bytes;
use log_core::{CELL_HEADER_BYTES, Lsn};

use crate::format::{Codec, Frame, FrameKind};
use crate::record::{Record, RecordRef};

/// Borrows nothing, so that who found it can go on before it is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub lsn: Lsn,
    pub next_lsn: Lsn,
    pub len_bytes: usize,
    is_record: bool,
    codec: Codec,
    payload_position: usize,
    payload_bytes: usize,
}

impl Found {
    /// Of a frame that begins at `position`.
    #[inline]
    pub(crate) fn new(frame: &Frame<'_>, position: usize) -> Self {
        Self {
            lsn: frame.lsn,
            next_lsn: frame.next_lsn(),
            len_bytes: frame.len_bytes(),
            is_record: frame.kind == FrameKind::Record,
            codec: frame.codec(),
            payload_position: position + CELL_HEADER_BYTES,
            payload_bytes: frame.payload.len(),
        }
    }

    #[inline]
    pub(crate) fn is_record(&self) -> bool {
        self.is_record
    }

    /// The record, to keep: it shares the frames.
    #[inline]
    pub(crate) fn record_in(&self, frames: &Bytes) -> Record {
        let payload = self.payload_position..self.payload_position + self.payload_bytes;
        Record::new(self.lsn, frames.slice(payload)).with_codec(self.codec)
    }

    /// The record where it lies.
    #[inline]
    pub(crate) fn borrowed_in<'a>(&self, frames: &'a Bytes) -> RecordRef<'a> {
        let payload = self.payload_position..self.payload_position + self.payload_bytes;
        RecordRef::new(self.lsn, self.codec, &frames[payload])
    }
}
