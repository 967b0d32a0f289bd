//! Reading the frames of a segment file, every checksum verified.
//!
//! A scan that is to begin in the middle goes there unverified: by a guess if
//! frames look as if they had the same length, or else by a waypoint and the
//! lengths of the frames behind it. That is no risk: the checksum of the frame
//! where it arrives covers place and number (`INV-W11`). If that one fails, the
//! scan goes there again by the next better way; the last one is from the
//! front, frame by frame, and finds what is wrong.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use log_core::{Lsn, Word};

use crate::error::ReadError;
use crate::format::{FIRST_POSITION, Frame, FrameFault, u64_at};
use crate::found::Found;
use crate::open_files::OpenFile;
use crate::record::Record;
use crate::segment::End;
use crate::waypoints::{Way, Waypoints};

/// How much is read at a time at most, if records are not longer.
const BUFFER_BYTES: u64 = 256 << 10;
/// How much is read first, if it is not known how much is needed: who looks
/// for one record may want no more.
const FIRST_BUFFER_BYTES: u64 = 16 << 10;

/// A walk through the frames of one file.
#[derive(Debug)]
pub(crate) struct FileScan {
    file: Arc<OpenFile>,
    /// Where the next frame lies, and what it carries.
    at: End,
    /// How it came there, if no frame was verified since.
    unproven: Option<By>,
    /// A piece of the file, and where it lies.
    buffer: Bytes,
    buffer_position: u64,
    /// How much the next piece has.
    piece_bytes: u64,
}

/// What led to a frame that is not verified yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Guess,
    Lengths,
}

impl FileScan {
    /// A walk from the first record on.
    pub(crate) fn from_front(file: Arc<OpenFile>) -> Self {
        Self {
            at: front_of(&file),
            unproven: None,
            buffer: Bytes::new(),
            buffer_position: FIRST_POSITION,
            piece_bytes: BUFFER_BYTES,
            file,
        }
    }

    /// A walk from record `lsn` on, which the segment has.
    pub(crate) fn from(file: Arc<OpenFile>, lsn: Lsn) -> Result<Self, ReadError> {
        let way = file.way_to(lsn);
        let mut scan = Self::from_front(file);
        match way.guess {
            Some(guess) => {
                let position = guess.start;
                scan.jump_to(End { lsn, position }, By::Guess, guess.end - position);
            }
            None => scan.skip_to(lsn, &way)?,
        }
        Ok(scan)
    }

    /// Goes on elsewhere, with so many bytes at first.
    fn jump_to(&mut self, place: End, by: By, piece_bytes: u64) {
        self.at = place;
        self.unproven = Some(by);
        self.buffer.clear();
        self.buffer_position = place.position;
        self.piece_bytes = piece_bytes;
    }

    /// Goes to record `lsn` by lengths.
    fn skip_to(&mut self, lsn: Lsn, way: &Way) -> Result<(), ReadError> {
        let from = way.floor.unwrap_or(front_of(&self.file));
        let piece_bytes = way.next.and_then(|next| next.checked_sub(from.position));
        let piece_bytes = piece_bytes.unwrap_or(FIRST_BUFFER_BYTES);
        self.jump_to(from, By::Lengths, piece_bytes);
        while self.at.lsn < lsn {
            if !self.skip()? {
                return self.walk_to(lsn);
            }
        }
        Ok(())
    }

    /// The same, every frame on the way verified: for who relies on the place.
    pub(crate) fn proven_from(file: Arc<OpenFile>, lsn: Lsn) -> Result<Self, ReadError> {
        let mut scan = Self::from_front(file);
        scan.walk_to(lsn)?;
        Ok(scan)
    }

    /// Goes to record `lsn` from the front, verifying.
    #[cold]
    fn walk_to(&mut self, lsn: Lsn) -> Result<(), ReadError> {
        *self = Self::from_front(Arc::clone(&self.file));
        while self.at.lsn < lsn && self.step()?.is_some() {}
        Ok(())
    }

    /// Goes to where it stands again, by a better way.
    #[cold]
    fn come_again(&mut self, by: By) -> Result<(), ReadError> {
        let lsn = self.at.lsn;
        match by {
            By::Guess => self.skip_to(lsn, &self.file.way_to(lsn)),
            By::Lengths => self.walk_to(lsn),
        }
    }

    /// The waypoints of the file, from here on, as far as lengths lead.
    pub(crate) fn survey(mut self) -> Waypoints {
        let mut waypoints = Waypoints::new(self.file.segment.base);
        // What cannot be read now costs whoever comes there a longer way.
        while let Ok(true) = self.skip() {
            waypoints.push(self.at);
        }
        waypoints
    }

    /// One past the last record of the segment.
    pub(crate) fn end_lsn(&self) -> Lsn {
        self.file.segment.end
    }

    /// Where the next frame lies, in bytes.
    pub(crate) fn position(&self) -> u64 {
        self.at.position
    }

    /// The next record; `None` behind the last one.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Found>, ReadError> {
        while let Some(found) = self.step()? {
            if found.is_record() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The record at which the scan stands; `None` if its number was given up.
    pub(crate) fn one(&mut self) -> Result<Option<Record>, ReadError> {
        let wanted = self.at.lsn;
        while self.at.lsn == wanted
            && let Some(found) = self.step()?
        {
            if found.is_record() {
                return Ok(Some(found.record_in(&self.buffer)));
            }
        }
        Ok(None)
    }

    /// What the records lie in that were just found.
    #[inline]
    pub(crate) fn frames(&self) -> &Bytes {
        &self.buffer
    }

    /// The next frame, verified: a record or not, or `None` behind the last
    /// one.
    #[inline]
    fn step(&mut self) -> Result<Option<Found>, ReadError> {
        loop {
            let found = self.whole_frame(|scan, rest| {
                let at = scan.at;
                scan.file.key.decode(rest, at.position, at.lsn)
            });
            match (found, self.unproven) {
                (Err(ReadError::Damaged(_)), Some(by)) => self.come_again(by)?,
                (found, _) => {
                    self.unproven = None;
                    return found;
                }
            }
        }
    }

    /// Passes over the next frame by its length. Whether there was one.
    fn skip(&mut self) -> Result<bool, ReadError> {
        let skipped = self.whole_frame(|scan, rest| {
            let lsn = scan.at.lsn;
            scan.file.key.decode_unchecked(rest, lsn)
        });
        match skipped {
            Ok(found) => Ok(found.is_some()),
            Err(error @ ReadError::Io { .. }) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Steps over the frame that `decode` finds at the front of what it is
    /// given, once all of it is in the buffer.
    #[inline]
    fn whole_frame(
        &mut self,
        decode: impl for<'a> Fn(&Self, &'a [u8]) -> Result<Frame<'a>, FrameFault>,
    ) -> Result<Option<Found>, ReadError> {
        let segment = &self.file.segment;
        let (end, end_position) = (segment.end, segment.end_position);
        if self.at.position >= end_position {
            // Frames may be whole, and fewer than the next segment says.
            return match self.at.lsn == end {
                true => Ok(None),
                false => Err(self.file.damage(self.at)),
            };
        }
        let mut found = self.find(&decode);
        // Once for the word that says how long the frame is, once for the rest.
        for _ in 0..2 {
            if let Err(FrameFault::Absent | FrameFault::TooLong) = found {
                self.refill()?;
                found = self.find(&decode);
            }
        }
        // Or more: those are not part of the log.
        let Some(found) = found.ok().filter(|it| it.next_lsn <= end) else {
            return Err(self.file.damage(self.at));
        };
        self.at.position += found.len_bytes as u64;
        self.at.lsn = found.next_lsn;
        Ok(Some(found))
    }

    #[inline]
    fn find(
        &self,
        decode: &impl for<'a> Fn(&Self, &'a [u8]) -> Result<Frame<'a>, FrameFault>,
    ) -> Result<Found, FrameFault> {
        let at = (self.at.position - self.buffer_position) as usize;
        let rest = self.buffer.get(at..).unwrap_or_default();
        decode(self, rest).map(|frame| Found::new(&frame, at))
    }

    /// Reads the piece that begins with the next frame, and holds all of it.
    #[cold]
    fn refill(&mut self) -> Result<(), ReadError> {
        let at = (self.at.position - self.buffer_position) as usize;
        let word = u64_at(self.buffer.get(at..).unwrap_or_default(), 0);
        let frame_bytes = word.map_or(0, |bits| Word::from_bits(bits).cell_bytes() as u64);
        // Never beyond the segment, whatever a damaged length says (INV-W10).
        let left = self.file.segment.end_position - self.at.position;
        let piece_bytes = self.piece_bytes.clamp(HEADER_BYTES, BUFFER_BYTES);
        let wanted = frame_bytes.max(piece_bytes).min(left) as usize;
        // Who has read this much will read on.
        self.piece_bytes = (2 * piece_bytes).max(FIRST_BUFFER_BYTES);
        let mut buffer = match std::mem::take(&mut self.buffer).try_into_mut() {
            Ok(free) => free,
            // Records of it are still held.
            Err(_held) => BytesMut::new(),
        };
        buffer.resize(wanted, 0);
        let filled = self.file.read_at(self.at.position, &mut buffer)?;
        buffer.truncate(filled);
        self.buffer = buffer.freeze();
        self.buffer_position = self.at.position;
        Ok(())
    }
}

/// Where the first frame lies.
fn front_of(file: &OpenFile) -> End {
    End {
        lsn: file.segment.base,
        position: FIRST_POSITION,
    }
}

const HEADER_BYTES: u64 = log_core::CELL_HEADER_BYTES as u64;
