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
        self.check_length(payload.len())?;
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
            self.check_length(payload.len())?;
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

    pub(crate) fn append_in_place<R>(
        &self,
        payload_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<(Lsn, R), AppendError> {
        self.check_length(payload_bytes)?;
        self.group.check()?;
        let mark = self.marks.take_due(self.progress.durable_end.get());
        let place = self.reserve(need(1, cell_bytes(payload_bytes), mark)?)?;
        let lsn = place.base();
        let mut filling = Filling {
            place: Some(place),
            mark,
            payload_bytes,
        };
        let answer = fill(filling.payload_mut());
        filling.publish(false);
        Ok((lsn, answer))
    }

    fn check_length(&self, bytes: usize) -> Result<(), AppendError> {
        let max = self.options.record_bytes_max;
        if bytes <= max {
            return Ok(());
        }
        Err(AppendError::TooLong { bytes, max })
    }
}

fn need(records: u32, cells_bytes: usize, mark: Option<Lsn>) -> Result<Need, AppendError> {
    Need::new(records, cells_bytes + mark_bytes(mark)).ok_or(AppendError::BatchTooLarge {
        records: records as usize,
        bytes: cells_bytes,
    })
}

fn mark_bytes(mark: Option<Lsn>) -> usize {
    if mark.is_some() { MARK_BYTES } else { 0 }
}

/// A place that the caller fills. If that panics, it becomes a void frame:
/// its number stays taken, and holds nobody up.
struct Filling<'a> {
    /// `None` once it is published.
    place: Option<Reservation<'a, SegmentMeta>>,
    mark: Option<Lsn>,
    payload_bytes: usize,
}

impl Filling<'_> {
    fn payload_mut(&mut self) -> &mut [u8] {
        let mark_bytes = mark_bytes(self.mark);
        match &mut self.place {
            Some(place) => {
                let payload = &mut place.bytes_mut()[mark_bytes + CELL_HEADER_BYTES..];
                &mut payload[..self.payload_bytes]
            }
            None => &mut [],
        }
    }

    fn publish(&mut self, is_void: bool) {
        let Some(mut place) = self.place.take() else {
            return;
        };
        let (lsn, payload_bytes) = (place.base(), self.payload_bytes);
        let mut frames = Frames::new(&mut place, self.mark);
        frames.build(cell_bytes(payload_bytes), |meta, cell, position| {
            meta.key
                .build_in_place(cell, position, lsn, payload_bytes, is_void)
        });
        let first_word = frames.first_word;
        place.publish(first_word);
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        self.publish(true);
    }
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
