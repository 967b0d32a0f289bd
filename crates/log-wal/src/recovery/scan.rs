//! How far the whole frames of a segment go, and what lies behind them.

use log_core::Lsn;

use crate::format::{FIRST_POSITION, FrameKey, FrameKind};

/// The whole frames at the front of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// One past the last record; batches count whole or not at all.
    pub end: Lsn,
    /// One past the last frame that counts, in bytes.
    pub end_position: u64,
    /// Every record below this was durable, says a sync mark in the prefix.
    pub proven_end: Lsn,
    /// Whether the prefix ends in a seal, which lies at `end_position`.
    pub sealed: bool,
    /// Bytes of the payloads in it.
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
    payload_bytes: u64,
    in_batch: bool,
}

impl Walk {
    pub(crate) fn new(base: Lsn) -> Self {
        let whole = Prefix {
            end: base,
            end_position: FIRST_POSITION,
            proven_end: base,
            sealed: false,
            payload_bytes: 0,
        };
        Self {
            position: FIRST_POSITION,
            lsn: base,
            whole,
            payload_bytes: 0,
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
                self.payload_bytes += frame.payload.len() as u64;
            }
            FrameKind::SyncMark(durable_end) => {
                self.whole.proven_end = self.whole.proven_end.max(durable_end);
            }
            FrameKind::Seal(end) => {
                self.whole.sealed = !self.in_batch && end == self.lsn;
                return false;
            }
        }
        self.position += frame.len_bytes() as u64;
        self.lsn = frame.next_lsn();
        if !self.in_batch {
            self.whole.end = self.lsn;
            self.whole.end_position = self.position;
            self.whole.payload_bytes = self.payload_bytes;
        }
        true
    }
}

/// What lies behind the whole frames of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// One past the last trace of a frame of this segment; `None` if there is
    /// no trace.
    pub debris_end: Option<u64>,
    /// The furthest claim of a mark or a seal there, and where it stands.
    pub claim: Option<(Lsn, u64)>,
}

/// Looks for frames of the segment at every place behind `from` where one
/// could begin.
///
/// A frame is taken for one only if its checksum holds, and that covers salt,
/// place and number; so neither zeros nor an earlier use of the file nor a
/// user's bytes are mistaken for one.
pub(crate) fn beyond(bytes: &[u8], key: &FrameKey, base: Lsn, from: u64) -> Beyond {
    let mut found = Beyond::default();
    let mut position = from as usize;
    let at_stop = bytes.get(position..).unwrap_or_default();
    if !matches!(
        key.decode_unchecked(at_stop, base),
        Err(crate::format::FrameFault::Absent)
    ) {
        // A frame of ours was begun exactly where the whole ones end.
        found.debris_end = Some((from + 8).min(bytes.len() as u64));
    }
    while let Some(rest) = bytes.get(position..)
        && !rest.is_empty()
    {
        position += match key.decode_anywhere(rest, position as u64, base) {
            Ok(frame) => {
                found.note(frame.kind, position as u64);
                found.debris_end = Some((position + frame.len_bytes()) as u64);
                frame.len_bytes()
            }
            Err(_) => 8,
        };
    }
    found
}

impl Beyond {
    fn note(&mut self, kind: FrameKind, position: u64) {
        if let FrameKind::SyncMark(end) | FrameKind::Seal(end) = kind
            && self.claim.is_none_or(|(furthest, _)| end > furthest)
        {
            self.claim = Some((end, position));
        }
    }
}
