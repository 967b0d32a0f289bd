//! Frames and headers once more, written from the description of the format
//! and not from the code that reads them: to build what that code refuses to
//! build, and to say what it should answer.

use log_wal::format::HEADER_BYTES;

/// The first byte behind a header, where its checksum ends.
const CRC_AT: usize = HEADER_BYTES - 4;

/// Puts the checksum right.
pub(crate) fn finish_header(bytes: &mut [u8; HEADER_BYTES]) {
    let crc = crc32fast::hash(&bytes[..CRC_AT]);
    bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
}

/// Whether a header with a right checksum makes sense.
pub(crate) fn is_header(bytes: &[u8; HEADER_BYTES]) -> bool {
    let [
        id,
        base,
        capacity_bytes,
        before_id,
        before_end,
        before_position,
    ] = [32, 48, 56, 64, 72, 80].map(|at| u64_at(bytes, at));
    let (version_and_flags, known_flags) = (u64_at(bytes, 8), 0b11 << 32);
    bytes[..8] == *b"STRATALG"
        && version_and_flags & !known_flags == 1
        && before_end == base
        && id > before_id
        && id < u64::MAX
        && capacity_bytes >= 8216
        && base.checked_add(capacity_bytes / 16).is_some()
        && (before_id == 0 || before_position >= 8192 && before_position.is_multiple_of(8))
}

/// What makes a frame belong where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub salt: u64,
    pub position: u64,
    pub lsn: u64,
}

/// The first word of a frame, in parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub payload_bytes: u32,
    pub state: u8,
    pub batch: u8,
    pub kind: u8,
}

impl Word {
    pub(crate) fn of(bits: u64) -> Self {
        Self {
            payload_bytes: bits as u32 & 0x0FFF_FFFF,
            state: (bits >> 28) as u8 & 3,
            batch: (bits >> 30) as u8 & 3,
            kind: (bits >> 32) as u8,
        }
    }

    pub(crate) fn bits(self, salt: u64) -> u64 {
        u64::from(self.payload_bytes & 0x0FFF_FFFF)
            | u64::from(self.state & 3) << 28
            | u64::from(self.batch & 3) << 30
            | u64::from(self.kind) << 32
            | salt << 40
    }

    /// Length of the frame.
    pub(crate) fn frame_bytes(self) -> usize {
        (16 + self.payload_bytes as usize).next_multiple_of(8)
    }

    /// Whether there are such frames.
    fn is_known(self) -> bool {
        match (self.state, self.kind) {
            (2, ..=0x7F) | (3, 0) => true,
            (2, 0x81 | 0x82) => self.payload_bytes == 8,
            _ => false,
        }
    }
}

/// Puts the second word right, for a frame that fills the bytes.
pub(crate) fn finish_frame(bytes: &mut [u8], place: Place) {
    let second = second_word(bytes, place);
    bytes[8..16].copy_from_slice(&second.to_le_bytes());
}

/// Whether the bytes begin with a whole frame that belongs here.
pub(crate) fn is_frame(bytes: &[u8], place: Place) -> bool {
    if bytes.len() < 16 {
        return false;
    }
    let bits = u64_at(bytes, 0);
    let word = Word::of(bits);
    let Some(frame) = bytes.get(..word.frame_bytes()) else {
        return false;
    };
    word.is_known()
        && bits >> 40 == place.salt & 0xFF_FFFF
        && u64_at(bytes, 8) == second_word(frame, place)
}

fn second_word(frame: &[u8], place: Place) -> u64 {
    let Place {
        salt,
        position,
        lsn,
    } = place;
    let mut hasher = crc32fast::Hasher::new();
    for number in [salt, position, u64_at(frame, 0), lsn] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(&frame[16..]);
    u64::from(hasher.finalize()) | lsn << 32
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}
