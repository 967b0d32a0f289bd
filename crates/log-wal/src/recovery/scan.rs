//! How far the whole frames of a segment go.
//!
//! Files are read in pieces that stay in the processor's cache while their
//! frames are checked, so that a check of everything costs what reading and
//! checksums cost, and no fresh memory.

use std::io;
use std::ops::Range;

use log_core::{Lsn, Word};

use super::runs::Run;
use crate::format::{FIRST_POSITION, Frame, FrameFault, FrameKey, FrameKind, u64_at};
use crate::segment::End;
use crate::storage::SegmentFile;

/// No record has this number.
pub(crate) const NO_LIMIT: Lsn = Lsn(u64::MAX);

/// How much is read at a time, if frames are not longer.
pub(crate) const PIECE_BYTES: usize = 128 << 10;

/// What whole frames hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub records: u64,
    /// Numbers without a record.
    pub voids: u64,
    /// Bytes of the records' payloads.
    pub payload_bytes: u64,
}

impl Tally {
    fn count(&mut self, frame: &Frame<'_>) {
        match frame.kind {
            FrameKind::Record => {
                self.records += 1;
                self.payload_bytes += frame.payload.len() as u64;
            }
            FrameKind::Void => self.voids += 1,
            FrameKind::SyncMark(_) | FrameKind::Seal(_) => {}
        }
    }
}

/// The whole frames at the front of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// One past the last record; batches count whole or not at all.
    pub end: Lsn,
    /// One past the last frame that counts, in bytes.
    pub end_position: u64,
    /// Every record below this was durable, says a sync mark in the prefix.
    pub proven_end: Lsn,
    /// Everything before this place was durable, by the same evidence.
    pub proven_position: u64,
    /// Where the last whole frame ends, also if its batch does not.
    pub frames_end: End,
    /// Whether the prefix ends in a seal, which lies at `end_position`.
    pub sealed: bool,
    /// What lies in front of `end`.
    pub tally: Tally,
    /// The same in front of `frames_end`.
    pub frames_tally: Tally,
}

impl Prefix {
    /// That of a segment without a frame.
    pub(crate) fn empty(base: Lsn) -> Self {
        let start = End {
            lsn: base,
            position: FIRST_POSITION,
        };
        Self {
            end: base,
            end_position: FIRST_POSITION,
            proven_end: base,
            proven_position: FIRST_POSITION,
            frames_end: start,
            sealed: false,
            tally: Tally::default(),
            frames_tally: Tally::default(),
        }
    }

    /// What counts of it, as a run that begins at `start`.
    pub(super) fn run(&self, start: End) -> Run {
        Run {
            start,
            end: End {
                lsn: self.end,
                position: self.end_position,
            },
            tally: self.tally,
        }
    }

    /// The same of all frames, where somebody says that a batch may be cut.
    pub(super) fn run_of_frames(&self, start: End) -> Run {
        Run {
            start,
            end: self.frames_end,
            tally: self.frames_tally,
        }
    }
}

/// A walk from frame to frame, that remembers where the last whole batch
/// ended.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Where the next frame should lie, in bytes.
    pub position: u64,
    /// The number that it should carry.
    pub lsn: Lsn,
    /// What counts so far.
    pub whole: Prefix,
    /// Records from here on are in another file, and no part of this one.
    limit: Lsn,
    /// The last sync mark, or the begin of the segment.
    marked: End,
    in_batch: bool,
}

impl Walk {
    /// A walk that begins at a frame in the middle, and goes to no record from
    /// `limit` on.
    pub(crate) fn between(start: End, limit: Lsn) -> Self {
        let mut walk = Self::new(start.lsn);
        walk.limit = limit;
        walk.position = start.position;
        walk.whole.end_position = start.position;
        walk.whole.frames_end = start;
        walk
    }

    pub(crate) fn new(base: Lsn) -> Self {
        let whole = Prefix::empty(base);
        Self {
            position: FIRST_POSITION,
            lsn: base,
            limit: NO_LIMIT,
            marked: whole.frames_end,
            whole,
            in_batch: false,
        }
    }

    /// Steps over the frame at the front of `rest`. Returns false, and stays,
    /// if there is none, or a seal, or if it is behind the limit.
    pub(crate) fn step(&mut self, rest: &[u8], key: &FrameKey) -> bool {
        let Ok(frame) = key.decode(rest, self.position, self.lsn) else {
            return false;
        };
        match frame.kind {
            FrameKind::Record | FrameKind::Void => {
                if self.lsn >= self.limit {
                    return false;
                }
                if frame.word.begins_batch() == self.in_batch {
                    return false; // a batch in a batch, or one without a begin
                }
                self.in_batch = !frame.word.ends_batch();
                self.whole.frames_tally.count(&frame);
            }
            FrameKind::SyncMark(durable_end) => self.note_mark(durable_end),
            FrameKind::Seal(end) => {
                self.whole.sealed = !self.in_batch && end == self.lsn;
                return false;
            }
        }
        self.position += frame.len_bytes() as u64;
        self.lsn = frame.next_lsn();
        self.whole.frames_end = End {
            lsn: self.lsn,
            position: self.position,
        };
        if !self.in_batch {
            self.whole.end = self.lsn;
            self.whole.end_position = self.position;
            self.whole.tally = self.whole.frames_tally;
        }
        true
    }

    /// How long the frame at the front of `rest`, which is not whole, says that
    /// it is, if that is more than there is of it.
    fn wants_bytes(&self, rest: &[u8], key: &FrameKey) -> Option<usize> {
        let Some(bits) = u64_at(rest, 0) else {
            return Some(size_of::<u64>());
        };
        match key.decode_unchecked(rest, self.lsn) {
            Err(FrameFault::TooLong) => Some(Word::from_bits(bits).cell_bytes()),
            _ => None,
        }
    }

    fn note_mark(&mut self, durable_end: Lsn) {
        let here = End {
            lsn: self.lsn,
            position: self.position,
        };
        // Only of marks is it known which record lies behind them.
        for known in [self.marked, here] {
            if known.lsn <= durable_end {
                self.whole.proven_position = known.position;
            }
        }
        self.whole.proven_end = self.whole.proven_end.max(durable_end);
        self.marked = here;
    }
}

/// The whole frames of a file up to `end_position`, read through `buffer`,
/// whatever that held before.
pub(crate) fn prefix(
    file: &dyn SegmentFile,
    key: &FrameKey,
    base: Lsn,
    end_position: u64,
    buffer: &mut Vec<u8>,
) -> io::Result<Prefix> {
    let mut walk = Walk::new(base);
    loop {
        // Never beyond the segment, whatever a damaged length says (INV-W10).
        let left = end_position.saturating_sub(walk.position);
        let mut wanted = left.min(PIECE_BYTES as u64) as usize;
        loop {
            if buffer.len() < wanted {
                buffer.resize(wanted, 0);
            }
            let filled = file.read_at(walk.position, &mut buffer[..wanted])?;
            let (piece, start) = (&buffer[..filled], walk.position);
            while let Some(rest) = piece.get((walk.position - start) as usize..)
                && walk.step(rest, key)
            {}
            if walk.position > start {
                break;
            }
            // Only a frame that is longer than the piece asks for more.
            match walk.wants_bytes(piece, key) {
                Some(bytes) if filled == wanted && bytes > wanted && bytes as u64 <= left => {
                    wanted = bytes;
                }
                _ => return Ok(walk.whole),
            }
        }
    }
}

/// The same, of a file that is read into `bytes`, which has as many bytes and
/// zeros in it, and only as far as its frames go. The headers stay out, and so
/// does what is not in the `data` of the file.
pub(crate) fn prefix_into(
    bytes: &mut [u8],
    file: &dyn SegmentFile,
    data: &[Range<u64>],
    key: &FrameKey,
    base: Lsn,
) -> io::Result<Prefix> {
    let mut walk = Walk::new(base);
    let mut filled = FIRST_POSITION as usize;
    loop {
        let rest = bytes
            .get(walk.position as usize..filled)
            .unwrap_or_default();
        if walk.step(rest, key) {
            continue;
        }
        let wanted = walk.wants_bytes(rest, key).unwrap_or_default();
        let wanted_end = walk.position as usize + wanted;
        if wanted_end <= filled || wanted_end > bytes.len() {
            return Ok(walk.whole);
        }
        let piece_end = wanted_end.max(filled + PIECE_BYTES).min(bytes.len());
        for range in data {
            let start = (range.start as usize).max(filled);
            let end = (range.end as usize).min(piece_end);
            if let Some(piece) = bytes.get_mut(start..end) {
                // If it got shorter since its length was asked for: zeros.
                file.read_at(start as u64, piece)?;
            }
        }
        filled = piece_end;
    }
}
