//! Reading the frames of a segment file, every checksum verified.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use log_core::{Lsn, Word};

use crate::error::{Damage, ReadError};
use crate::format::{FIRST_POSITION, FrameFault, FrameKey, FrameKind, u64_at};
use crate::record::Record;
use crate::report::SealedSegment;
use crate::storage::{SegmentFile, Storage};

/// How much is read at a time, if records are not longer.
const BUFFER_BYTES: u64 = 256 << 10;

/// A walk through the frames of one file.
#[derive(Debug)]
pub(crate) struct FileScan {
    file: Box<dyn SegmentFile>,
    path: PathBuf,
    key: FrameKey,
    /// Where the next frame lies, and what it carries.
    position: u64,
    lsn: Lsn,
    /// Where the frames end.
    end_position: u64,
    end_lsn: Lsn,
    /// A piece of the file, and where it lies.
    buffer: Bytes,
    buffer_position: u64,
}

/// A frame, taken out of the buffer.
struct Decoded {
    record: Option<Record>,
    len_bytes: usize,
    next_lsn: Lsn,
}

impl FileScan {
    /// A walk that begins at record `lsn`, which the segment has.
    pub(crate) fn open(
        storage: &dyn Storage,
        segment: &SealedSegment,
        lsn: Lsn,
    ) -> Result<Self, ReadError> {
        let path = segment.path.clone();
        let file = storage.open(&segment.name.to_string(), false);
        let file = file.map_err(|error| unreadable(&path, 0, error))?;
        let mut scan = Self {
            file,
            path,
            key: FrameKey::new(segment.salt),
            position: FIRST_POSITION,
            lsn: segment.base,
            end_position: segment.end_position,
            end_lsn: segment.end,
            buffer: Bytes::new(),
            buffer_position: FIRST_POSITION,
        };
        while scan.lsn < lsn {
            if scan.step()?.is_none() {
                break;
            }
        }
        Ok(scan)
    }

    /// One past the last record of the segment.
    pub(crate) fn end_lsn(&self) -> Lsn {
        self.end_lsn
    }

    /// Where the next frame lies, in bytes.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next record; `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, ReadError> {
        while let Some(step) = self.step()? {
            if let Some(record) = step {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The next frame: a record or not, or `None` behind the last one.
    #[expect(
        clippy::option_option,
        reason = "the end, or a frame that may carry a record"
    )]
    fn step(&mut self) -> Result<Option<Option<Record>>, ReadError> {
        if self.position >= self.end_position {
            // Frames may be whole, and fewer than the next segment says.
            return match self.lsn == self.end_lsn {
                true => Ok(None),
                false => Err(self.damage()),
            };
        }
        let mut decoded = self.decode();
        // Once for the word that says how long the frame is, once for the rest.
        for _ in 0..2 {
            if let Err(FrameFault::Absent | FrameFault::TooLong) = decoded {
                self.refill()?;
                decoded = self.decode();
            }
        }
        // Or more: those are not part of the log.
        let counts = decoded.ok().filter(|it| it.next_lsn <= self.end_lsn);
        let Some(decoded) = counts else {
            return Err(self.damage());
        };
        self.position += decoded.len_bytes as u64;
        self.lsn = decoded.next_lsn;
        Ok(Some(decoded.record))
    }

    fn decode(&self) -> Result<Decoded, FrameFault> {
        let at = (self.position - self.buffer_position) as usize;
        let rest = self.buffer.get(at..).unwrap_or_default();
        let frame = self.key.decode(rest, self.position, self.lsn)?;
        let is_record = frame.kind == FrameKind::Record;
        let payload = is_record.then(|| self.buffer.slice_ref(frame.payload));
        Ok(Decoded {
            record: payload
                .map(|payload| Record::new(frame.lsn, payload).with_codec(frame.codec())),
            len_bytes: frame.len_bytes(),
            next_lsn: frame.next_lsn(),
        })
    }

    /// Reads the piece that begins with the next frame, and holds all of it.
    fn refill(&mut self) -> Result<(), ReadError> {
        let at = (self.position - self.buffer_position) as usize;
        let word = u64_at(self.buffer.get(at..).unwrap_or_default(), 0);
        let frame_bytes = word.map_or(0, |bits| Word::from_bits(bits).cell_bytes() as u64);
        // Never beyond the segment, whatever a damaged length says (INV-W10).
        let left = self.end_position - self.position;
        let wanted = frame_bytes.max(BUFFER_BYTES).min(left) as usize;
        let mut buffer = match std::mem::take(&mut self.buffer).try_into_mut() {
            Ok(free) => free,
            // Records of it are still held.
            Err(_held) => BytesMut::new(),
        };
        buffer.resize(wanted, 0);
        let read = self.file.read_at(self.position, &mut buffer);
        let filled = read.map_err(|error| unreadable(&self.path, self.position, error))?;
        buffer.truncate(filled);
        self.buffer = buffer.freeze();
        self.buffer_position = self.position;
        Ok(())
    }

    fn damage(&self) -> ReadError {
        let reason = "the bytes are not what was written";
        Damage::in_sealed(&self.path, self.position, Some(self.lsn), reason).into()
    }
}

fn unreadable(path: &std::path::Path, position: u64, error: io::Error) -> ReadError {
    ReadError::Io {
        path: path.to_path_buf(),
        position,
        source: Arc::new(error),
    }
}
