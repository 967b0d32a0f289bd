//! One segment, read while it may still be written.
//!
//! A look is one load: of the word that will begin the next frame. If it says
//! *published*, the frame is copied, and checked in the copy. Only what passed
//! counts, so it does not matter how the bytes came there: a word may be visible
//! before its record (where the writer uses `pwrite`), or be left over from an
//! earlier use of the file. A batch is shown when its last frame is there
//! (`INV-M6`).
//!
//! Nobody cuts the file meanwhile, because it is held: a word that an earlier
//! use of the file left behind its seal may look like a frame's, and is read.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use log_wal::format::{CellState, FIRST_POSITION, FrameKey, FrameKind, Header, SEAL_BYTES, Word};
use log_wal::storage::open_held;
use log_wal::{Lsn, Record};

use super::chain::read_header;
use crate::frames::Place;
use crate::map::LiveMap;

/// How much is copied at a time, if a batch is not longer.
const FETCH_BYTES: usize = 64 << 10;

/// A segment that is being followed.
#[derive(Debug)]
pub(super) struct LiveSegment {
    map: LiveMap,
    pub header: Header,
    pub path: PathBuf,
    key: FrameKey,
    /// Where the next frame to fetch lies.
    place: Place,
    /// Where the segment ends, if its successor has said so.
    end: Option<Place>,
    /// Memory for copies.
    copy: BytesMut,
    /// Checked frames, and what is left of them to hand out.
    ready: Bytes,
    ready_lsn: Lsn,
}

/// What was found behind the frames that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// More frames.
    Frames,
    /// Nothing yet, or nothing whole.
    Nothing,
    /// The end of the segment.
    End,
}

impl LiveSegment {
    /// Maps the segment with this header; `None` if its file is gone, or is
    /// another segment's by now.
    pub(super) fn open(
        path: &Path,
        header: Header,
        successor: Option<&Header>,
    ) -> io::Result<Option<Self>> {
        let file = match open_held(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if read_header(&file)? != Some(header) {
            return Ok(None);
        }
        let mut segment = Self {
            map: LiveMap::new(&file)?,
            header,
            path: path.to_path_buf(),
            key: FrameKey::new(header.salt),
            place: Place {
                position: FIRST_POSITION,
                lsn: header.base,
            },
            end: None,
            copy: BytesMut::with_capacity(FETCH_BYTES),
            ready: Bytes::new(),
            ready_lsn: header.base,
        };
        if let Some(successor) = successor {
            segment.end_before(successor);
        }
        Ok(Some(segment))
    }

    /// Takes over what the successor says of this segment's end.
    pub(super) fn end_before(&mut self, successor: &Header) -> Option<Place> {
        self.end = successor.predecessor.map(|this| Place {
            position: this.end_position,
            lsn: this.end,
        });
        self.end
    }

    /// Where its successor says that it ends.
    pub(super) fn stated_end(&self) -> Option<Place> {
        self.end
    }

    /// The place behind the frames that were fetched.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The next record of those that were fetched.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Record> {
        while !self.ready.is_empty() {
            let frame = self
                .key
                .decode_unchecked(&self.ready, self.ready_lsn)
                .ok()?;
            let (lsn, behind) = (self.ready_lsn, frame.next_lsn());
            let is_record = frame.kind == FrameKind::Record;
            let (codec, payload) = (frame.codec(), self.ready.slice_ref(frame.payload));
            let rest = frame.len_bytes();
            self.ready = self.ready.slice(rest..);
            self.ready_lsn = behind;
            if is_record {
                return Some(Record::new(lsn, payload).with_codec(codec));
            }
        }
        None
    }

    /// Looks for more frames. Without a system call.
    #[inline]
    pub(super) fn fetch(&mut self) -> Fetched {
        if self
            .end
            .is_some_and(|end| self.place.position >= end.position)
        {
            return Fetched::End;
        }
        let Some(word) = self.published(self.place.position) else {
            return Fetched::Nothing;
        };
        if !word.is_numbered() && self.is_seal(self.place) {
            return Fetched::End;
        }
        self.fetch_from(self.place)
    }

    fn fetch_from(&mut self, from: Place) -> Fetched {
        let limit = self.end.map_or(u64::MAX, |end| end.position);
        let limit = limit.min(self.map.len_bytes() as u64);
        let (mut place, mut whole) = (from, from);
        let mut batch = Batch::default();
        self.copy.clear();
        while (batch.is_open || self.copy.len() < FETCH_BYTES)
            && let Some(word) = self.published(place.position)
            && place.position + word.cell_bytes() as u64 <= limit
            && let Some(frame) = self.copied(place, word)
            && batch.takes(frame.0)
        {
            place = frame.1;
            if !batch.is_open || self.end == Some(place) {
                whole = place;
            }
        }
        if whole == from {
            return Fetched::Nothing;
        }
        let whole_bytes = (whole.position - from.position) as usize;
        self.ready = self.copy.split_to(whole_bytes).freeze();
        self.ready_lsn = from.lsn;
        self.place = whole;
        Fetched::Frames
    }

    /// Copies the frame at `place`, which begins with `word`, behind what was
    /// copied before. Its word, and the place behind it; `None` if it is not
    /// whole, or a seal.
    #[inline]
    fn copied(&mut self, place: Place, word: Word) -> Option<(Word, Place)> {
        let (start, from) = (self.copy.len(), place.position as usize);
        self.map
            .copy(from, from + word.cell_bytes(), &mut self.copy);
        let frame = self.copy.get(start..)?;
        let frame = self.key.decode(frame, place.position, place.lsn).ok()?;
        let is_seal = matches!(frame.kind, FrameKind::Seal(_));
        (!is_seal).then(|| (frame.word, place.behind(&frame)))
    }

    /// The word at `position`, if it is of this segment and complete.
    #[inline]
    fn published(&self, position: u64) -> Option<Word> {
        let word = Word::from_bits(self.map.load(position as usize)?);
        let is_complete = matches!(word.state(), CellState::Published | CellState::Void);
        let is_ours = word.tag() == self.key.salt() as u32 & 0x00FF_FFFF;
        (is_complete && is_ours).then_some(word)
    }

    /// Whether the segment ends at `place` by a seal.
    fn is_seal(&self, place: Place) -> bool {
        let from = place.position as usize;
        let mut copy = BytesMut::new();
        self.map.copy(from, from + SEAL_BYTES, &mut copy);
        let frame = self.key.decode(&copy, place.position, place.lsn);
        frame.is_ok_and(|frame| frame.kind == FrameKind::Seal(place.lsn))
    }
}

/// Follows where batches begin and end.
#[derive(Debug, Default)]
struct Batch {
    is_open: bool,
}

impl Batch {
    /// Steps over a frame; false if it cannot come here.
    fn takes(&mut self, word: Word) -> bool {
        if !word.is_numbered() {
            return true;
        }
        if word.begins_batch() == self.is_open {
            return false;
        }
        self.is_open = !word.ends_batch();
        true
    }
}
