//! Appending: reserve a place, build the frames in it, publish.
//!
//! Frames are built where they will be written from, byte for byte as they
//! will lie in the file, by the thread that appends: no lock, no second copy,
//! no framing step later.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use log_core::{CELL_ALIGN_BYTES, CELL_HEADER_BYTES, Lsn, Need, Reservation, Word, cell_bytes};

use crate::error::AppendError;
use crate::format::{Codec, MARK_BYTES};
use crate::payload::Payload;
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

    pub(crate) fn append_payload<P: Payload + ?Sized>(
        &self,
        payload: &P,
    ) -> Result<Lsn, AppendError> {
        let codec = payload.codec();
        let filled = self.append_filled(payload.len_bytes(), codec, |place| payload.copy_to(place));
        filled.map(|(lsn, ())| lsn)
    }

    pub(crate) fn append_batch<P: Payload>(
        &self,
        payloads: &[P],
    ) -> Result<Range<Lsn>, AppendError> {
        self.group.check()?;
        if payloads.is_empty() {
            let end = self.tail.published_end();
            return Ok(end..end);
        }
        let mut bytes = 0_usize;
        for payload in payloads {
            self.check_length(payload.len_bytes())?;
            bytes = bytes.saturating_add(cell_bytes(payload.len_bytes()));
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
        let place = self.reserve(need(records, bytes, mark)?)?;
        let lsns = place.base()..place.end();
        let last = payloads.len() - 1;
        fill_and_publish(place, mark, |frames| {
            for (index, payload) in payloads.iter().enumerate() {
                let lsn = Lsn(lsns.start.0 + index as u64);
                frames.push(lsn, payload, (index == 0, index == last));
            }
        });
        Ok(lsns)
    }

    /// Appends a record of `payload_bytes` that `fill` writes.
    pub(crate) fn append_filled<R>(
        &self,
        payload_bytes: usize,
        codec: Codec,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<(Lsn, R), AppendError> {
        self.check_length(payload_bytes)?;
        self.group.check()?;
        let mark = self.marks.take_due(self.progress.durable_end.get());
        let place = self.reserve(need(1, cell_bytes(payload_bytes), mark)?)?;
        let lsn = place.base();
        let answer = fill_and_publish(place, mark, |frames| {
            frames.push_filled(lsn, payload_bytes, codec, (true, true), fill)
        });
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

/// Publishes the frames that `build` makes of the caller's payloads. If that
/// panics, they become void ones: their numbers stay taken, and hold nobody up.
fn fill_and_publish<R>(
    mut place: Reservation<'_, SegmentMeta>,
    mark: Option<Lsn>,
    build: impl FnOnce(&mut Frames<'_>) -> R,
) -> R {
    let filled = catch_unwind(AssertUnwindSafe(|| {
        let mut frames = Frames::new(&mut place, mark);
        let answer = build(&mut frames);
        assert!(
            frames.rest.is_empty(),
            "a payload's length changed while it was appended"
        );
        (frames.first_word, answer)
    }));
    match filled {
        Ok((first_word, answer)) => {
            place.publish(first_word);
            answer
        }
        Err(panic) => {
            give_up(place);
            resume_unwind(panic)
        }
    }
}

/// Publishes void frames. A mark that was to come along is lost, and with it
/// nothing but a proof.
#[cold]
fn give_up(mut place: Reservation<'_, SegmentMeta>) {
    let (words, base) = (place.void_words(), place.base());
    let mut frames = Frames::new(&mut place, None);
    for (index, (_, word)) in words.enumerate() {
        let lsn = Lsn(base.0 + index as u64);
        frames.build(word.cell_bytes(), |meta, cell, position| {
            (meta.key.build_void(cell, position, lsn, word), ())
        });
    }
    let first_word = frames.first_word;
    place.publish(first_word);
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
                (meta.key.build_mark(cell, position, lsn, durable_end), ())
            });
        }
        frames
    }

    #[inline]
    fn push<P: Payload + ?Sized>(&mut self, lsn: Lsn, payload: &P, ends: (bool, bool)) {
        let fill = |place: &mut [u8]| payload.copy_to(place);
        self.push_filled(lsn, payload.len_bytes(), payload.codec(), ends, fill);
    }

    #[inline]
    fn push_filled<R>(
        &mut self,
        lsn: Lsn,
        payload_bytes: usize,
        codec: Codec,
        ends: (bool, bool),
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        self.build(cell_bytes(payload_bytes), |meta, cell, position| {
            let word = meta.key.record_word(payload_bytes, codec, ends);
            meta.key.fill_record(cell, position, lsn, word, fill)
        })
    }

    #[inline]
    fn build<R>(
        &mut self,
        cell_bytes: usize,
        build: impl FnOnce(&SegmentMeta, &mut [u8], u64) -> (Word, R),
    ) -> R {
        debug_assert!(cell_bytes >= CELL_HEADER_BYTES);
        let (cell, rest) = std::mem::take(&mut self.rest).split_at_mut(cell_bytes);
        let (word, answer) = build(self.meta, cell, self.position);
        if self.is_first {
            self.first_word = word;
        } else {
            cell[..CELL_ALIGN_BYTES].copy_from_slice(&word.to_bits().to_le_bytes());
        }
        self.is_first = false;
        self.position += cell_bytes as u64;
        self.rest = rest;
        answer
    }
}
