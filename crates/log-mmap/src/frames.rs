//! The frames of one mapped segment: step, skip, and find the way again.
//!
//! A frame counts only if its checksum holds, and that covers salt, place and
//! number. So whoever arrives at a wrong place, led there by a bad index or a
//! damaged length, notices it there.
//!
//! Knows bytes and frames; refuses to know files, indexes and the catalog.

use std::ops::Range;

use bytes::Bytes;
use log_wal::format::{FIRST_POSITION, Frame, FrameFault, FrameKey};
use log_wal::{Lsn, ReadError};

use crate::envelope::{Record, RecordRef};

/// Frames begin at multiples of this many bytes.
pub(crate) const FRAME_ALIGN_BYTES: u64 = 8;

/// Where a frame lies, and the number that it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub position: u64,
    pub lsn: Lsn,
}

impl Place {
    /// The place right behind the frame that lies here.
    pub(crate) fn behind(self, frame: &Frame<'_>) -> Self {
        Self {
            position: self.position + frame.len_bytes() as u64,
            lsn: frame.next_lsn(),
        }
    }
}

/// A segment's bytes up to the end of its frames, and what it takes to read
/// them.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    bytes: Bytes,
    key: FrameKey,
    base: Lsn,
    end: Lsn,
}

impl Frames {
    /// The frames of the records `base..end`, in `bytes`: the file from its
    /// start to the end of the last frame.
    pub(crate) fn new(bytes: Bytes, salt: u64, base: Lsn, end: Lsn) -> Self {
        let key = FrameKey::new(salt);
        Self {
            bytes,
            key,
            base,
            end,
        }
    }

    /// Where the first frame lies.
    pub(crate) fn first(&self) -> Place {
        Place {
            position: FIRST_POSITION,
            lsn: self.base,
        }
    }

    /// Where the place behind the last frame is.
    pub(crate) fn end(&self) -> Place {
        Place {
            position: self.bytes.len() as u64,
            lsn: self.end,
        }
    }

    /// The bytes from `position` on; none behind the end.
    fn rest(&self, position: u64) -> &[u8] {
        usize::try_from(position)
            .ok()
            .and_then(|position| self.bytes.get(position..))
            .unwrap_or_default()
    }

    /// The frame at `place`, checked.
    #[inline]
    pub(crate) fn at(&self, place: Place) -> Result<Frame<'_>, FrameFault> {
        let rest = self.rest(place.position);
        self.within(self.key.decode(rest, place.position, place.lsn)?)
    }

    /// The frame at `place`, which was checked before.
    #[inline]
    pub(crate) fn at_unchecked(&self, place: Place) -> Result<Frame<'_>, FrameFault> {
        let rest = self.rest(place.position);
        self.within(self.key.decode_unchecked(rest, place.lsn)?)
    }

    /// A frame behind the last record is not part of the log, however whole it
    /// is: the next segment says where this one ends.
    #[inline]
    fn within<'a>(&self, frame: Frame<'a>) -> Result<Frame<'a>, FrameFault> {
        match frame.next_lsn() <= self.end {
            true => Ok(frame),
            false => Err(FrameFault::Damaged),
        }
    }

    /// Walks from the frame at `from` to that of record `lsn`, by lengths
    /// alone. What it arrives at must be checked, as [`at`](Self::at) does;
    /// `None` if the way ends earlier.
    #[inline]
    pub(crate) fn skip_to(&self, from: Place, lsn: Lsn) -> Option<Place> {
        let mut place = from;
        loop {
            let frame = self.at_unchecked(place).ok()?;
            if place.lsn == lsn && frame.word.is_numbered() {
                return Some(place);
            }
            place = place.behind(&frame);
        }
    }

    /// The first whole frame behind `place`, where the frame is damaged. Its
    /// length cannot be believed, so every place is tried.
    pub(crate) fn whole_behind(&self, place: Place) -> Option<Place> {
        let mut position = place.position + FRAME_ALIGN_BYTES;
        while position < self.end().position {
            let found = self
                .key
                .decode_anywhere(self.rest(position), position, self.base);
            if let Ok(frame) = found
                && (place.lsn..=self.end).contains(&frame.lsn)
            {
                let lsn = frame.lsn;
                return Some(Place { position, lsn });
            }
            position += FRAME_ALIGN_BYTES;
        }
        None
    }

    /// The record in a frame of this segment, lent.
    #[inline]
    pub(crate) fn record<'a>(frame: &Frame<'a>) -> Result<RecordRef<'a>, ReadError> {
        let codec = frame.codec();
        Record::from_parts(frame.lsn, codec, frame.payload)
            .map_err(|fault| fault.of_record(frame.lsn, codec))
    }

    /// Which bytes of this segment a record of it lies in.
    #[inline]
    pub(crate) fn range_of(&self, record: &RecordRef<'_>) -> Record<Range<usize>> {
        let bytes = record.bytes();
        let start = bytes.as_ptr().addr() - self.bytes.as_ptr().addr();
        record.in_bytes(start..start + bytes.len())
    }

    /// The record in these bytes of this segment, lent.
    #[inline]
    pub(crate) fn lend(&self, record: &Record<Range<usize>>) -> RecordRef<'_> {
        let bytes = self.bytes.get(record.bytes().clone());
        record.in_bytes(bytes.unwrap_or_default())
    }

    /// A record of this segment, shared: it keeps the mapping.
    #[inline]
    pub(crate) fn share(&self, record: &RecordRef<'_>) -> Record {
        record.in_bytes(self.bytes.slice_ref(record.bytes()))
    }
}

/// Segments made by hand, for the tests of this crate's parts.
#[cfg(test)]
pub(crate) mod made {
    use super::*;

    pub(crate) const SALT: u64 = 0x5EED_0000_0042;

    /// A segment with these records, and a sync mark behind the first.
    pub(crate) fn segment(base: Lsn, payloads: &[&[u8]]) -> Vec<u8> {
        let key = FrameKey::new(SALT);
        let mut file = vec![0; FIRST_POSITION as usize];
        let mut lsn = base;
        for payload in payloads {
            let position = file.len() as u64;
            let mut cell = vec![0; 16 + payload.len().next_multiple_of(8)];
            let word = key.build_record(&mut cell, position, lsn, payload, (true, true));
            cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
            file.extend(cell);
            if lsn == base {
                mark(&key, &mut file, Lsn(lsn.0 + 1));
            }
            lsn = Lsn(lsn.0 + 1);
        }
        file
    }

    fn mark(key: &FrameKey, file: &mut Vec<u8>, lsn: Lsn) {
        let position = file.len() as u64;
        let mut cell = [0; log_wal::format::MARK_BYTES];
        let word = key.build_mark(&mut cell, position, lsn, lsn);
        cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
        file.extend(cell);
    }

    /// The segment without its first record, as compaction writes it.
    #[cfg(log_loom)]
    pub(crate) fn without_first(mut file: Vec<u8>, base: Lsn) -> Vec<u8> {
        let frame = &mut file[FIRST_POSITION as usize..];
        let bits = frame
            .first_chunk()
            .map_or(0, |bits| u64::from_le_bytes(*bits));
        let word = log_wal::format::Word::from_bits(bits);
        let cell = &mut frame[..word.cell_bytes()];
        let word = FrameKey::new(SALT).build_void(cell, FIRST_POSITION, base, word);
        cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
        file
    }

    pub(crate) fn frames(file: Vec<u8>, base: Lsn, records: u64) -> Frames {
        Frames::new(Bytes::from(file), SALT, base, Lsn(base.0 + records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log_wal::format::FrameKind;

    const PAYLOADS: [&[u8]; 4] = [b"zero", b"", b"two, which is longer", b"three"];
    const BASE: Lsn = Lsn(100);

    fn frames() -> Frames {
        made::frames(made::segment(BASE, &PAYLOADS), BASE, 4)
    }

    #[test]
    fn every_record_is_reached_from_the_first_frame() {
        let frames = frames();
        for (ahead, payload) in PAYLOADS.iter().enumerate() {
            let lsn = Lsn(BASE.0 + ahead as u64);
            let place = frames.skip_to(frames.first(), lsn).unwrap();
            let frame = frames.at(place).unwrap();
            assert_eq!(
                frame.kind,
                FrameKind::Record,
                "not the mark that carries its number"
            );
            let record = frames.share(&Frames::record(&frame).unwrap());
            assert_eq!((record.lsn(), record.payload()), (lsn, *payload));
        }
        assert_eq!(frames.skip_to(frames.first(), Lsn(104)), None, "the end");
    }

    #[test]
    fn steps_lead_from_the_first_place_to_the_end() {
        let frames = frames();
        let mut place = frames.first();
        while place != frames.end() {
            place = place.behind(&frames.at(place).unwrap());
        }
    }

    #[test]
    fn the_frame_behind_a_damaged_one_is_found_again() {
        let whole = frames();
        let damaged = whole.skip_to(whole.first(), Lsn(101)).unwrap();
        let next = whole.skip_to(whole.first(), Lsn(102)).unwrap();
        for byte in 0..16 {
            let mut file = made::segment(BASE, &PAYLOADS);
            file[damaged.position as usize + byte] ^= 0xFF;
            let frames = made::frames(file, BASE, 4);
            assert!(frames.at(damaged).is_err(), "byte {byte}");
            assert_eq!(frames.whole_behind(damaged), Some(next), "byte {byte}");
        }
    }

    #[test]
    fn nothing_is_found_behind_the_last_frame() {
        let frames = frames();
        let last = frames.skip_to(frames.first(), Lsn(103)).unwrap();
        assert_eq!(frames.whole_behind(last), None);
        assert!(frames.at(frames.end()).is_err());
        let far = Place {
            position: u64::MAX - 7,
            lsn: BASE,
        };
        assert!(frames.at(far).is_err(), "beyond all bytes");
    }
}
