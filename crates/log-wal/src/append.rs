//! Appending: reserve a place, build the frames in it, publish.
//!
//! Frames are built where they will be written from, byte for byte as they
//! will lie in the file, by the thread that appends: no lock, no second copy,
//! no framing step later.

use std::ops::Range;

use log_core::{CELL_ALIGN_BYTES, CELL_HEADER_BYTES, Lsn, Need, Reservation, Word, cell_bytes};

use crate::error::AppendError;
use crate::format::MARK_BYTES;
use crate::segment::SegmentMeta;
use crate::shared::Shared;

/// The longest batch, in bytes of frames: half of what a segment can be.
const BATCH_BYTES_MAX: usize = 1 << 31;

impl Shared {
    #[inline]
    pub(crate) fn append(&self, payload: &[u8]) -> Result<Lsn, AppendError> {
        self.check_length(payload)?;
        self.group.check()?;
        let mark = self.marks.take_due(self.progress.durable_end.get());
        let cell = cell_bytes(payload.len());
        let mut place = self.reserve(need(1, cell, mark)?)?;
        let lsn = place.base();
        let mut frames = Frames::new(&mut place, mark);
        frames.push(lsn, payload, (true, true));
        let first_word = frames.first_word;
        place.publish(first_word);
        Ok(lsn)
    }

    pub(crate) fn append_batch(&self, payloads: &[&[u8]]) -> Result<Range<Lsn>, AppendError> {
        self.group.check()?;
        if payloads.is_empty() {
            let end = self.tail.published_end();
            return Ok(end..end);
        }
        let mut bytes = 0_usize;
        for payload in payloads {
            self.check_length(payload)?;
            bytes = bytes.saturating_add(cell_bytes(payload.len()));
        }
        let too_large = || AppendError::BatchTooLarge {
            records: payloads.len(),
            bytes,
        };
        let records = u32::try_from(payloads.len()).map_err(|_| too_large())?;
        if bytes > BATCH_BYTES_MAX {
            return Err(too_large());
        }
        let mark = self.marks.take_due(self.progress.durable_end.get());
        let mut place = self.reserve(need(records, bytes, mark)?)?;
        let lsns = place.base()..place.end();
        let mut frames = Frames::new(&mut place, mark);
        let last = payloads.len() - 1;
        for (index, payload) in payloads.iter().enumerate() {
            let lsn = Lsn(lsns.start.0 + index as u64);
            frames.push(lsn, payload, (index == 0, index == last));
        }
        let first_word = frames.first_word;
        place.publish(first_word);
        Ok(lsns)
    }

    fn check_length(&self, payload: &[u8]) -> Result<(), AppendError> {
        let max = self.options.record_bytes_max;
        if payload.len() <= max {
            return Ok(());
        }
        Err(AppendError::TooLong {
            bytes: payload.len(),
            max,
        })
    }
}

fn need(records: u32, cells_bytes: usize, mark: Option<Lsn>) -> Result<Need, AppendError> {
    let mark_bytes = if mark.is_some() { MARK_BYTES } else { 0 };
    Need::new(records, cells_bytes + mark_bytes).ok_or(AppendError::BatchTooLarge {
        records: records as usize,
        bytes: cells_bytes,
    })
}

/// Builds frames one behind the other in a reserved place.
struct Frames<'a> {
    meta: &'a SegmentMeta,
    rest: &'a mut [u8],
    position: u64,
    /// The word that `publish` stores last, once the first frame is built.
    first_word: Word,
    is_first: bool,
}

impl<'a> Frames<'a> {
    #[inline]
    fn new(place: &'a mut Reservation<'_, SegmentMeta>, mark: Option<Lsn>) -> Self {
        let (position, lsn) = (place.position() as u64, place.base());
        let (meta, rest) = place.meta_and_bytes_mut();
        let mut frames = Self {
            meta,
            rest,
            position,
            first_word: Word::new(0),
            is_first: true,
        };
        if let Some(durable_end) = mark {
            frames.build(MARK_BYTES, |meta, cell, position| {
                meta.key.build_mark(cell, position, lsn, durable_end)
            });
        }
        frames
    }

    #[inline]
    fn push(&mut self, lsn: Lsn, payload: &[u8], ends: (bool, bool)) {
        self.build(cell_bytes(payload.len()), |meta, cell, position| {
            meta.key.build_record(cell, position, lsn, payload, ends)
        });
    }

    #[inline]
    fn build(
        &mut self,
        cell_bytes: usize,
        build: impl FnOnce(&SegmentMeta, &mut [u8], u64) -> Word,
    ) {
        debug_assert!(cell_bytes >= CELL_HEADER_BYTES);
        let (cell, rest) = std::mem::take(&mut self.rest).split_at_mut(cell_bytes);
        let word = build(self.meta, cell, self.position);
        if self.is_first {
            self.first_word = word;
        } else {
            cell[..CELL_ALIGN_BYTES].copy_from_slice(&word.to_bits().to_le_bytes());
        }
        self.is_first = false;
        self.position += cell_bytes as u64;
        self.rest = rest;
    }
}
