//! Target `frame`: whatever lies there, reading a frame gives what the
//! description of the format says, and looks at nothing behind it; and what
//! was built is read back.

use log_core::cell_bytes;
use log_wal::Lsn;
use log_wal::format::{Frame, FrameFault, FrameKey, FrameKind};
use serde::{Deserialize, Serialize};

use crate::layout::{self, Place, Word};
use crate::script::{self, Script};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    Salt(u64),
    Position(u64),
    Lsn(u64),
    /// Built by the log; `batch` holds begin and end.
    Record {
        payload: Vec<u8>,
        batch: u8,
    },
    Void(u16),
    Mark(u64),
    Seal(u64),
    /// Any first word of this segment, under a right checksum.
    Checksummed {
        payload_bytes: u32,
        state: u8,
        batch: u8,
        kind: u8,
        payload: Vec<u8>,
    },
    /// A bit of the last frame is wrong.
    Flip(u16),
    /// The last frame is looked for from a base that lies so far behind.
    Search(u64),
    Bytes(Vec<u8>),
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let mut bench = Bench {
        place: Place {
            salt: 0x0123_4567_89AB_CDEF,
            position: 8192,
            lsn: 0,
        },
        last: Vec::new(),
    };
    for step in script::read(bytes) {
        bench.step(step);
    }
}

struct Bench {
    place: Place,
    /// The last frame that was built, and is whole at this place.
    last: Vec<u8>,
}

impl Bench {
    fn step(&mut self, step: Step) {
        match step {
            Step::Salt(salt) => self.move_to(Place { salt, ..self.place }),
            Step::Position(position) => self.move_to(Place {
                position,
                ..self.place
            }),
            Step::Lsn(lsn) => self.move_to(Place { lsn, ..self.place }),
            Step::Record { payload, batch } => self.record(&payload, batch),
            Step::Void(payload_bytes) => self.void(usize::from(payload_bytes)),
            Step::Mark(end) => self.mark(Lsn(end)),
            Step::Seal(end) => {
                // A seal carries the number that it says.
                self.place.lsn = end;
                let frame = self.key().seal(self.place.position, Lsn(end)).to_vec();
                self.built(frame, FrameKind::Seal(Lsn(end)), &end.to_le_bytes());
            }
            Step::Checksummed {
                payload_bytes,
                state,
                batch,
                kind,
                payload,
            } => {
                let word = Word {
                    payload_bytes,
                    state,
                    batch,
                    kind,
                };
                self.checksummed(word, &payload);
            }
            Step::Flip(bit) => self.flip(usize::from(bit)),
            Step::Search(behind) => self.search(behind),
            Step::Bytes(bytes) => {
                let _checked = self.any(&bytes);
            }
        }
    }

    fn key(&self) -> FrameKey {
        FrameKey::new(self.place.salt)
    }

    fn move_to(&mut self, place: Place) {
        self.place = place;
        let elsewhere = std::mem::take(&mut self.last);
        // What is whole in one place is hardly ever so in another.
        let _checked = self.any(&elsewhere);
    }

    fn record(&mut self, payload: &[u8], batch: u8) {
        let Place { position, lsn, .. } = self.place;
        let mut frame = vec![0xEE; cell_bytes(payload.len())];
        let marks = (batch & 1 != 0, batch & 2 != 0);
        let word = self
            .key()
            .build_record(&mut frame, position, Lsn(lsn), payload, marks);
        assert_eq!((word.begins_batch(), word.ends_batch()), marks);
        frame[..8].copy_from_slice(&word.to_bits().to_le_bytes());
        self.built(frame, FrameKind::Record, payload);
    }

    fn void(&mut self, payload_bytes: usize) {
        let Place { position, lsn, .. } = self.place;
        let mut frame = vec![0xEE; cell_bytes(payload_bytes)];
        let word = log_core::Word::new(payload_bytes as u32);
        let word = self.key().build_void(&mut frame, position, Lsn(lsn), word);
        frame[..8].copy_from_slice(&word.to_bits().to_le_bytes());
        self.built(frame, FrameKind::Void, &vec![0; payload_bytes]);
    }

    fn mark(&mut self, durable_end: Lsn) {
        let Place { position, lsn, .. } = self.place;
        let mut frame = vec![0xEE; cell_bytes(8)];
        let word = self
            .key()
            .build_mark(&mut frame, position, Lsn(lsn), durable_end);
        frame[..8].copy_from_slice(&word.to_bits().to_le_bytes());
        self.built(
            frame,
            FrameKind::SyncMark(durable_end),
            &durable_end.0.to_le_bytes(),
        );
    }

    /// What was built is read back, also with more behind it, and not from
    /// less.
    fn built(&mut self, frame: Vec<u8>, kind: FrameKind, payload: &[u8]) {
        let more = [&frame[..], &[0xFF; 16]].concat();
        for bytes in [&frame, &more] {
            let found = self.any(bytes).expect("what was built is whole");
            assert_eq!((found.kind, found.payload), (kind, payload));
            assert_eq!(found.len_bytes(), frame.len());
        }
        for kept in [0, 7, 8, frame.len() - 1] {
            assert!(self.any(&frame[..kept]).is_err(), "{kept} bytes kept");
        }
        self.last = frame;
    }

    fn checksummed(&mut self, word: Word, payload: &[u8]) {
        let mut frame = vec![0; 16 + payload.len().next_multiple_of(8)];
        frame[..8].copy_from_slice(&word.bits(self.place.salt).to_le_bytes());
        frame[16..][..payload.len()].copy_from_slice(payload);
        let whole_bytes = word.frame_bytes().min(frame.len());
        layout::finish_frame(&mut frame[..whole_bytes], self.place);
        if self.any(&frame).is_ok() {
            self.last = frame;
        }
    }

    fn flip(&mut self, bit: usize) {
        let mut frame = self.last.clone();
        if let Some(byte) = frame.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
            let frame_bytes = Word::of(layout::u64_at(&self.last, 0)).frame_bytes();
            let found = self.any(&frame);
            assert!(
                found.is_err() || bit / 8 >= frame_bytes,
                "bit {bit} was flipped"
            );
        }
    }

    fn search(&mut self, behind: u64) {
        let Place { position, lsn, .. } = self.place;
        let base = Lsn(lsn.saturating_sub(behind));
        let found = self.key().decode_anywhere(&self.last, position, base);
        let is_near = lsn - base.0 <= u64::from(u32::MAX);
        if !self.last.is_empty() {
            assert_eq!(found.is_ok(), is_near, "searched from {base}");
        }
        assert!(found.is_ok_and(|frame| frame.lsn == Lsn(lsn)) || !is_near || self.last.is_empty());
    }

    /// Reads bytes in all three ways, and holds the answers against the
    /// description of the format and each other.
    fn any<'a>(&self, bytes: &'a [u8]) -> Result<Frame<'a>, FrameFault> {
        let Place { position, lsn, .. } = self.place;
        let key = self.key();
        let found = key.decode(bytes, position, Lsn(lsn));
        assert_eq!(
            found.is_ok(),
            layout::is_frame(bytes, self.place),
            "{bytes:02x?}"
        );
        let unchecked = key.decode_unchecked(bytes, Lsn(lsn));
        if let Ok(frame) = &found {
            assert!(frame.len_bytes() <= bytes.len());
            let payload = unchecked.expect("it was whole").payload;
            assert_eq!(payload, frame.payload);
            let near = key.decode_anywhere(bytes, position, Lsn(lsn));
            assert_eq!(near.map(|near| near.payload), Ok(payload));
        } else if let Ok(frame) = unchecked {
            assert!(frame.payload.len() < bytes.len());
        }
        // From any base: a frame that is found is whole under its number.
        if let Ok(frame) = key.decode_anywhere(bytes, position, Lsn(lsn ^ 0xFFFF)) {
            let place = Place {
                lsn: frame.lsn.0,
                ..self.place
            };
            assert!(layout::is_frame(bytes, place));
        }
        found
    }
}

#[rustfmt::skip]
impl Script for Step {
    fn named_seeds() -> Vec<(&'static str, Vec<Self>)> {
        let record = |payload: &[u8]| Step::Record {
            payload: payload.to_vec(),
            batch: 3,
        };
        let checksummed = |state, kind, payload_bytes| Step::Checksummed {
            payload_bytes,
            state,
            batch: 3,
            kind,
            payload: vec![7; 8],
        };
        vec![
            ("records", vec![record(b""), record(b"a record"), Step::Flip(77), Step::Lsn(1), record(b"another, of the next number")]),
            ("batch", (0..4).map(|batch| Step::Record { payload: vec![batch; 3], batch }).collect()),
            ("marks_and_seals", vec![Step::Lsn(9), Step::Mark(7), Step::Flip(1), Step::Search(9), Step::Seal(9), Step::Search(1 << 33)]),
            ("void", vec![Step::Void(0), Step::Void(21), Step::Search(0)]),
            ("other_places", vec![record(b"x"), Step::Salt(5), record(b"x"), Step::Position(16), record(b"x"), Step::Lsn(u64::MAX), record(b"x"), Step::Search(u64::from(u32::MAX))]),
            ("strange_words", vec![checksummed(1, 0, 8), checksummed(0, 0, 8), checksummed(2, 0x81, 7), checksummed(2, 0x83, 8), checksummed(3, 0x82, 8), checksummed(2, 0, 0x0FFF_FFFF)]),
            ("bytes", vec![Step::Bytes(vec![]), Step::Bytes(vec![0; 24]), Step::Bytes(vec![0xFF; 24])]),
        ]
    }
}
