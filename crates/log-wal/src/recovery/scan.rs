//! How far the whole frames of a segment go, and what lies behind them.

use log_core::{CELL_ALIGN_BYTES, Lsn};

use crate::format::{FIRST_POSITION, FrameFault, FrameKey, FrameKind, Header};
use crate::segment::End;

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
    /// Bytes of the payloads in its frames.
    pub payload_bytes: u64,
}

/// Walks the frames of the segment in `bytes` (the file from its start) up to
/// the first that is not whole, or to the seal.
pub(crate) fn prefix(bytes: &[u8], key: &FrameKey, base: Lsn) -> Prefix {
    let mut walk = Walk::new(base);
    while let Some(rest) = bytes.get(walk.position as usize..)
        && walk.step(rest, key)
    {}
    walk.whole
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
    /// The last sync mark, or the begin of the segment.
    marked: End,
    in_batch: bool,
}

impl Walk {
    pub(crate) fn new(base: Lsn) -> Self {
        let start = End {
            lsn: base,
            position: FIRST_POSITION,
        };
        let whole = Prefix {
            end: base,
            end_position: FIRST_POSITION,
            proven_end: base,
            proven_position: FIRST_POSITION,
            frames_end: start,
            sealed: false,
            payload_bytes: 0,
        };
        Self {
            position: FIRST_POSITION,
            lsn: base,
            whole,
            marked: start,
            in_batch: false,
        }
    }

    /// Steps over the frame at the front of `rest`. Returns false, and stays,
    /// if there is none, or a seal.
    pub(crate) fn step(&mut self, rest: &[u8], key: &FrameKey) -> bool {
        let Ok(frame) = key.decode(rest, self.position, self.lsn) else {
            return false;
        };
        match frame.kind {
            FrameKind::Record | FrameKind::Void => {
                if frame.word.begins_batch() == self.in_batch {
                    return false; // a batch in a batch, or one without a begin
                }
                self.in_batch = !frame.word.ends_batch();
                self.whole.payload_bytes += frame.payload.len() as u64;
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
        }
        true
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

/// What lies behind the whole frames of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// One past the last trace of something that was being written; `None` if
    /// there is no trace.
    pub debris_end: Option<u64>,
    /// The furthest claim of a mark or a seal there, and where it stands.
    pub claim: Option<(Lsn, u64)>,
}

/// Looks at what lies behind `from`, where the whole frames end.
///
/// In a file that was made of zeros, any other byte is a trace. In a recycled
/// one only a frame of this segment is, whole or just begun.
pub(crate) fn beyond(bytes: &[u8], key: &FrameKey, header: &Header, from: u64) -> Beyond {
    let rest = bytes.get(from as usize..).unwrap_or_default();
    let mut found = Beyond::default();
    if header.recycled {
        let begun = key.decode_unchecked(rest, header.base).err() != Some(FrameFault::Absent);
        found.debris_end = begun.then_some((from + 8).min(bytes.len() as u64));
    } else {
        let last_used = last_nonzero(rest);
        let Some(last_used) = last_used else {
            return found;
        };
        found.debris_end = Some(from + last_used as u64 + 1);
    }
    find_frames(bytes, key, header, from, &mut found);
    found
}

/// Where the last byte lies that is not zero.
fn last_nonzero(bytes: &[u8]) -> Option<usize> {
    const PAGE: usize = 4096;
    let mut pages = bytes.chunks(PAGE);
    // A whole page at a time, which is as fast as memory can be read.
    let page = pages.rposition(|page| page.iter().fold(0, |any, byte| any | byte) != 0)?;
    let start = page * PAGE;
    let end = (start + PAGE).min(bytes.len());
    let inside = bytes[start..end].iter().rposition(|byte| *byte != 0)?;
    Some(start + inside)
}

/// Looks at every place behind `from` where a frame of the segment could begin.
///
/// Marks and seals count only if their checksum holds, and that covers salt,
/// place and number: neither an earlier use of the file nor a user's bytes are
/// mistaken for one. They are short, so that no damaged length makes the search
/// long. Other frames tell nothing but that they are there, for which the looks
/// of their header suffice.
fn find_frames(bytes: &[u8], key: &FrameKey, header: &Header, from: u64, found: &mut Beyond) {
    for position in (from as usize..bytes.len()).step_by(CELL_ALIGN_BYTES) {
        let rest = &bytes[position..];
        let Ok(frame) = key.decode_unchecked(rest, header.base) else {
            continue;
        };
        let is_record = matches!(frame.kind, FrameKind::Record | FrameKind::Void);
        if !is_record && let Ok(frame) = key.decode_anywhere(rest, position as u64, header.base) {
            found.note_claim(frame.kind, position as u64);
        }
        // Among stale frames one in millions has our tag by chance; it costs
        // no more than a new segment.
        let end = (position + frame.len_bytes()) as u64;
        found.debris_end = found.debris_end.max(Some(end));
    }
}

impl Beyond {
    fn note_claim(&mut self, kind: FrameKind, position: u64) {
        if let FrameKind::SyncMark(end) | FrameKind::Seal(end) = kind
            && self.claim.is_none_or(|(furthest, _)| end > furthest)
        {
            self.claim = Some((end, position));
        }
    }
}
