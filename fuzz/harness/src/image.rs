//! The files of a log as they may be found: built frame by frame as a log
//! would, and then made to lie.
//!
//! Every step keeps checksums right unless it is there to break them, so that
//! what is wrong is met behind the checksums, where chance never comes.

use std::collections::BTreeMap;

use log_core::cell_bytes;
use log_wal::Lsn;
use log_wal::format::{
    FIRST_POSITION, HEADER_BYTES, HEADER_PAGE_BYTES, Header, Predecessor, SegmentName,
};
use serde::{Deserialize, Serialize};

use crate::layout::{self, Place, Word};

/// Length of a segment file, if nothing else is said.
const SEGMENT_BYTES: usize = 16 << 10;

/// No file is longer.
const FILE_BYTES_MAX: usize = 64 << 10;

const SEGMENTS_MAX: usize = 6;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// A record of so many bytes; `batch` holds begin and end.
    Record {
        payload_bytes: u16,
        batch: u8,
    },
    /// A record with these bytes.
    Payload(Vec<u8>),
    Void(u16),
    /// A mark that says that records below the next one, and so many more or
    /// less, were durable.
    Mark(i8),
    /// A seal that says that the segment ends at the next record, and so many
    /// more or less.
    Seal(i8),
    /// A seal, and the next segment: what a log does.
    Rotate,
    /// The next segment, tied to this one.
    Next,
    /// The next segment, which cuts this one so many frames before its end.
    Truncate(u8),
    /// The next segment belongs to another log.
    OtherLog,
    /// Zeros of so many times eight bytes.
    Hole(u8),
    /// The next number is another one.
    Renumber(i8),
    /// A whole frame of an earlier use of the file.
    Stale(u8),
    /// A whole frame with any first word.
    Word {
        bits: u64,
        payload: Vec<u8>,
    },
    Bytes(Vec<u8>),
    /// Eight bytes of the header become others, in both copies or one, under
    /// right checksums.
    Field {
        at: u8,
        value: u64,
        copies: u8,
    },
    /// A byte of a copy of the header is wrong.
    HeaderByte {
        copy: u8,
        at: u8,
        flip: u8,
    },
    /// A bit of the file is wrong.
    Flip {
        at: u16,
        bit: u8,
    },
    /// The file has another length.
    Length(u16),
    /// The file is called otherwise than its header says.
    Name {
        base: u64,
        id: u64,
    },
    /// Another file.
    Stranger(u8),
}

/// Builds the files.
pub(crate) fn build(steps: Vec<Step>) -> BTreeMap<String, Vec<u8>> {
    let mut image = Image {
        files: BTreeMap::new(),
        segment: Segment::new(first_header()),
        segments: 1,
    };
    let is_empty = matches!(steps.first(), None | Some(Step::Stranger(_)));
    for step in steps {
        image.step(step);
    }
    if !(is_empty && image.segment.is_untouched() && image.segments == 1) {
        image.finish_segment();
    }
    image.files
}

fn first_header() -> Header {
    Header {
        log_uuid: *b"the log's own id",
        id: 1,
        salt: 0x5A17_0000_0000_0001,
        base: Lsn(0),
        capacity_bytes: SEGMENT_BYTES as u64,
        recycled: false,
        truncates: false,
        predecessor: None,
    }
}

struct Image {
    files: BTreeMap<String, Vec<u8>>,
    segment: Segment,
    segments: usize,
}

/// The segment that is being built.
struct Segment {
    /// As a log would have written it.
    header: Header,
    bytes: Vec<u8>,
    name: Option<SegmentName>,
    /// Where the next frame lies, and its number.
    position: usize,
    lsn: u64,
    /// The same for every frame so far.
    places: Vec<(usize, u64)>,
}

impl Image {
    fn step(&mut self, step: Step) {
        match step {
            Step::Rotate => {
                self.segment.seal(0);
                self.next(self.segment.end(), false);
            }
            Step::Next => self.next(self.segment.end(), false),
            Step::Truncate(back) => {
                self.next(self.segment.place_before_end(usize::from(back)), true)
            }
            Step::OtherLog => {
                self.next(self.segment.end(), false);
                self.segment.header.log_uuid = *b"some other log's";
                self.segment.write_header();
            }
            Step::Stranger(which) => {
                let names = [
                    "LOCK",
                    "README",
                    "00000000000000000007-0000000009.log.new",
                    "00000000000000000000-0000000001.index",
                    "1-1.log",
                ];
                let name = names[usize::from(which) % names.len()];
                self.files.insert(name.to_owned(), vec![which; 100]);
            }
            other => self.segment.step(other),
        }
    }

    fn next(&mut self, (position, lsn): (usize, u64), truncates: bool) {
        if self.segments == SEGMENTS_MAX {
            return;
        }
        self.segments += 1;
        let before = self.segment.header;
        let header = Header {
            id: before.id.saturating_add(1),
            salt: before.salt.wrapping_add(0x0101_0101),
            base: Lsn(lsn),
            truncates,
            predecessor: Some(Predecessor {
                id: before.id,
                end: Lsn(lsn),
                end_position: position as u64,
            }),
            ..before
        };
        self.finish_segment();
        self.segment = Segment::new(header);
    }

    fn finish_segment(&mut self) {
        let segment = &self.segment;
        let name = segment.name.unwrap_or_else(|| segment.name_in_header());
        self.files.insert(name.to_string(), segment.bytes.clone());
    }
}

impl Segment {
    fn new(header: Header) -> Self {
        let mut segment = Self {
            header,
            bytes: vec![0; SEGMENT_BYTES],
            name: None,
            position: FIRST_POSITION as usize,
            lsn: header.base.0,
            places: Vec::new(),
        };
        segment.write_header();
        segment
    }

    fn is_untouched(&self) -> bool {
        self.places.is_empty() && self.position == FIRST_POSITION as usize
    }

    fn end(&self) -> (usize, u64) {
        (self.position, self.lsn)
    }

    fn place_before_end(&self, back: usize) -> (usize, u64) {
        match self.places.len().checked_sub(back) {
            Some(at) if back > 0 => self.places[at],
            _ => self.end(),
        }
    }

    fn step(&mut self, step: Step) {
        let record = |payload_bytes: usize, state, batch| Word {
            payload_bytes: payload_bytes as u32,
            state,
            batch,
            kind: 0,
        };
        match step {
            Step::Record {
                payload_bytes,
                batch,
            } => {
                let payload = vec![self.lsn as u8 | 1; usize::from(payload_bytes) % SEGMENT_BYTES];
                self.frame(record(payload.len(), 2, batch), &payload);
            }
            Step::Payload(payload) => self.frame(record(payload.len(), 2, 3), &payload),
            Step::Void(payload_bytes) => {
                let payload = vec![0; usize::from(payload_bytes) % SEGMENT_BYTES];
                self.frame(record(payload.len(), 3, 3), &payload);
            }
            Step::Mark(shift) => self.claim(0x81, shift),
            Step::Seal(shift) => self.seal(shift),
            Step::Hole(units) => self.position += 8 * usize::from(units),
            Step::Renumber(shift) => self.lsn = self.lsn.wrapping_add_signed(shift.into()),
            Step::Stale(payload_bytes) => {
                let salt = std::mem::replace(&mut self.header.salt, 7);
                let payload = vec![9; usize::from(payload_bytes)];
                self.frame(record(payload.len(), 2, 3), &payload);
                self.header.salt = salt;
            }
            Step::Word { bits, payload } => self.frame(Word::of(bits), &payload),
            Step::Bytes(bytes) => self.put(self.position, &bytes),
            Step::Field { at, value, copies } => self.set_field(usize::from(at), value, copies),
            Step::HeaderByte { copy, at, flip } => {
                let at = usize::from(copy & 1) * HEADER_PAGE_BYTES as usize + usize::from(at);
                self.flip(at, flip);
            }
            Step::Flip { at, bit } => self.flip(usize::from(at), 1 << (bit % 8)),
            Step::Length(bytes) => self.bytes.resize(usize::from(bytes).min(FILE_BYTES_MAX), 0),
            Step::Name { base, id } => {
                self.name = Some(SegmentName {
                    base: Lsn(base),
                    id,
                });
            }
            Step::Rotate | Step::Next | Step::Truncate(_) | Step::OtherLog | Step::Stranger(_) => {}
        }
    }

    fn claim(&mut self, kind: u8, shift: i8) {
        let word = Word {
            payload_bytes: 8,
            state: 2,
            batch: 3,
            kind,
        };
        let claim = self.lsn.wrapping_add_signed(shift.into());
        self.frame(word, &claim.to_le_bytes());
    }

    /// A seal, behind which a log puts nothing.
    fn seal(&mut self, shift: i8) {
        let end = self.position;
        self.claim(0x82, shift);
        self.position = end;
        self.places.pop();
    }

    /// Puts a frame with a right checksum, if there is room.
    fn frame(&mut self, word: Word, payload: &[u8]) {
        let mut frame = vec![0; cell_bytes(payload.len())];
        frame[..8].copy_from_slice(&word.bits(self.header.salt).to_le_bytes());
        frame[16..][..payload.len()].copy_from_slice(payload);
        let place = Place {
            salt: self.header.salt,
            position: self.position as u64,
            lsn: self.lsn,
        };
        layout::finish_frame(&mut frame, place);
        if self.position + frame.len() > self.bytes.len() {
            return;
        }
        self.put(self.position, &frame);
        self.places.push((self.position, self.lsn));
        self.position += frame.len();
        self.lsn = self.lsn.wrapping_add(u64::from(word.kind < 0x80));
    }

    fn put(&mut self, position: usize, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(position..) {
            let filled = room.len().min(bytes.len());
            room[..filled].copy_from_slice(&bytes[..filled]);
        }
    }

    fn flip(&mut self, at: usize, bits: u8) {
        if let Some(byte) = self.bytes.get_mut(at) {
            *byte ^= bits;
        }
    }

    fn write_header(&mut self) {
        let bytes = self.header.encode();
        self.put(0, &bytes);
        self.put(HEADER_PAGE_BYTES as usize, &bytes);
    }

    fn header_copy(&self, copy: usize) -> [u8; HEADER_BYTES] {
        let page = self.bytes.get(copy * HEADER_PAGE_BYTES as usize..);
        let bytes = page.and_then(<[u8]>::first_chunk);
        bytes.copied().unwrap_or([0; HEADER_BYTES])
    }

    fn set_field(&mut self, at: usize, value: u64, copies: u8) {
        let at = at % (HEADER_BYTES - 8);
        for copy in 0..2 {
            if copies % 3 == 2 - copy as u8 {
                continue;
            }
            let mut bytes = self.header_copy(copy);
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            layout::finish_header(&mut bytes);
            self.put(copy * HEADER_PAGE_BYTES as usize, &bytes);
        }
        // What follows is built as the header says now.
        if let Ok(header) = Header::decode(&self.header_copy(0)) {
            if self.is_untouched() {
                self.lsn = header.base.0;
            }
            self.header = header;
        }
    }

    fn name_in_header(&self) -> SegmentName {
        self.header.name()
    }
}
