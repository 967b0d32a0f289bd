//! The segment header.
//!
//! ```text
//!  byte 0       8        12       16                      32
//!       +--------+--------+--------+-----------------------+
//!       | magic  | version| flags  | log uuid              |
//!       +--------+--------+--------+-----------------------+
//!       32       40       48       56                     64
//!       +--------+--------+--------+-----------------------+
//!       | id     | salt   | base   | capacity, bytes       |
//!       +--------+--------+--------+-----------------------+
//!       64                72                 80                      88       92
//!       +-----------------+------------------+------------------------+-------+
//!       | predecessor: id | its end lsn      | its end position       | crc32 |
//!       +-----------------+------------------+------------------------+-------+
//!       |<----------------------- covered by crc32 ------------------>|
//! ```
//!
//! Flag bit 0, *recycled*: the file held another segment before, so that behind
//! the last frame there may be old ones, which fail the salt. Without it there
//! are zeros. Flag bit 1, *truncates*: the predecessor may have more than this
//! header lets it count, and may lack a seal at its end; segments between the
//! two were discarded with it. No other flag is set.
//!
//! The first 12 bytes, and that the checksum of 92 bytes stands at byte 88,
//! stay the same in every version to come, so that an older build can say that
//! a file is newer.
//!
//! The predecessor's end is what ties segments together: it says how far the
//! predecessor counts, and so both proves a loss (the predecessor has less) and
//! cuts (it has more).

use log_core::{CELL_ALIGN_BYTES, CELL_HEADER_BYTES, Lsn};

use super::{FIRST_POSITION, SEAL_BYTES, u64_at};

/// The version that this build writes.
pub const FORMAT_VERSION: u32 = 1;

/// Length of a header, checksum included.
pub const HEADER_BYTES: usize = 92;

const RECYCLED: u32 = 1;
const TRUNCATES: u32 = 2;

const MAGIC: [u8; 8] = *b"STRATALG";
const CRC_AT: usize = 88;

/// No segment is smaller than its headers and its seal.
const SEGMENT_BYTES_LEAST: u64 = FIRST_POSITION + SEAL_BYTES as u64;

/// The segment that came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// Its id.
    pub id: u64,
    /// One past its last record that counts: this segment's base.
    pub end: Lsn,
    /// Where its seal lies, in bytes.
    pub end_position: u64,
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The log that it belongs to.
    pub log_uuid: [u8; 16],
    /// Its id, never used twice in a log; the first is 1.
    pub id: u64,
    /// Random, and new at every use of the file: frames of an earlier use fail
    /// their checksum.
    pub salt: u64,
    /// The number of its first record.
    pub base: Lsn,
    /// Length of the file when it was made.
    pub capacity_bytes: u64,
    /// Whether the file held another segment before this one; if not, there
    /// were zeros.
    pub recycled: bool,
    /// Whether it was begun to discard what lies behind its predecessor's end.
    pub truncates: bool,
    /// The segment before it; `None` for the first of a log.
    pub predecessor: Option<Predecessor>,
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// Nothing was written here: all zeros, or no bytes at all.
    Blank,
    /// Not the magic of a segment: somebody else's file, or damage.
    Magic,
    /// A whole header, of this version.
    NewerVersion(u32),
    /// The checksum fails, or a field contradicts another.
    Damaged,
}

impl Header {
    /// The bytes on disk.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let predecessor = self.predecessor.unwrap_or(Predecessor {
            id: 0,
            end: self.base,
            end_position: 0,
        });
        let numbers = [
            self.id,
            self.salt,
            self.base.0,
            self.capacity_bytes,
            predecessor.id,
            predecessor.end.0,
            predecessor.end_position,
        ];
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = flag(self.recycled, RECYCLED) | flag(self.truncates, TRUNCATES);
        bytes[12..16].copy_from_slice(&flags.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.log_uuid);
        for (field, number) in bytes[32..CRC_AT].chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header, and believes it only if it is whole.
    ///
    /// # Errors
    ///
    /// See [`HeaderFault`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(HeaderFault::Blank);
        }
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(HeaderFault::Damaged)?;
        if bytes[..8] != MAGIC {
            return Err(HeaderFault::Magic);
        }
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        if bytes[CRC_AT..] != crc.to_le_bytes() {
            return Err(HeaderFault::Damaged);
        }
        let version = bytes[8..]
            .first_chunk()
            .map_or(0, |field| u32::from_le_bytes(*field));
        match version {
            FORMAT_VERSION => Self::from_fields(bytes).ok_or(HeaderFault::Damaged),
            newer if newer > FORMAT_VERSION => Err(HeaderFault::NewerVersion(newer)),
            _ => Err(HeaderFault::Damaged),
        }
    }

    /// Whether its fields can all be true: there is room for a seal, numbers for
    /// all records that fit, an id for the next segment, and the predecessor
    /// ends where this one begins.
    pub(crate) fn is_consistent(&self) -> bool {
        let records_max = self.capacity_bytes / CELL_HEADER_BYTES as u64;
        (1..u64::MAX).contains(&self.id)
            && self.capacity_bytes >= SEGMENT_BYTES_LEAST
            && self.base.checked_add(records_max).is_some()
            && self.predecessor.is_none_or(|predecessor| {
                predecessor.end == self.base
                    && predecessor.id < self.id
                    && predecessor.end_position >= FIRST_POSITION
                    && predecessor
                        .end_position
                        .is_multiple_of(CELL_ALIGN_BYTES as u64)
            })
    }

    fn from_fields(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let number = |index: usize| u64_at(bytes, 32 + 8 * index);
        let flags = u32::from_le_bytes(*bytes[12..].first_chunk()?);
        let base = Lsn(number(2)?);
        let predecessor = Predecessor {
            id: number(4)?,
            end: Lsn(number(5)?),
            end_position: number(6)?,
        };
        let header = Self {
            log_uuid: *bytes[16..].first_chunk()?,
            id: number(0)?,
            salt: number(1)?,
            base,
            capacity_bytes: number(3)?,
            recycled: flags & RECYCLED != 0,
            truncates: flags & TRUNCATES != 0,
            predecessor: (predecessor.id != 0).then_some(predecessor),
        };
        let is_known = flags & !(RECYCLED | TRUNCATES) == 0 && predecessor.end == base;
        (is_known && header.is_consistent()).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            log_uuid: *b"0123456789abcdef",
            id: 0x0201,
            salt: 0x0403,
            base: Lsn(0x0605),
            capacity_bytes: 0x0008_0807,
            recycled: true,
            truncates: true,
            predecessor: Some(Predecessor {
                id: 0x00FF,
                end: Lsn(0x0605),
                end_position: 0x0C08_0B08,
            }),
        }
    }

    #[test]
    fn the_layout_matches_the_drawing() {
        let bytes = header().encode();
        assert_eq!(&bytes[0..8], b"STRATALG", "magic");
        assert_eq!(bytes[8..12], [1, 0, 0, 0], "version");
        assert_eq!(bytes[12..16], [3, 0, 0, 0], "flags");
        assert_eq!(&bytes[16..32], b"0123456789abcdef", "log uuid");
        assert_eq!(bytes[32..40], [1, 2, 0, 0, 0, 0, 0, 0], "id");
        assert_eq!(bytes[40..48], [3, 4, 0, 0, 0, 0, 0, 0], "salt");
        assert_eq!(bytes[48..56], [5, 6, 0, 0, 0, 0, 0, 0], "base");
        assert_eq!(bytes[56..64], [7, 8, 8, 0, 0, 0, 0, 0], "capacity");
        assert_eq!(
            bytes[64..72],
            [0xFF, 0, 0, 0, 0, 0, 0, 0],
            "predecessor's id"
        );
        assert_eq!(
            bytes[72..80],
            [5, 6, 0, 0, 0, 0, 0, 0],
            "predecessor's end lsn"
        );
        assert_eq!(
            bytes[80..88],
            [8, 0x0B, 8, 0x0C, 0, 0, 0, 0],
            "predecessor's end position"
        );
        assert_eq!(
            bytes[88..92],
            crc32fast::hash(&bytes[..88]).to_le_bytes(),
            "crc32"
        );
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let first = Header {
            predecessor: None,
            recycled: false,
            truncates: false,
            ..header()
        };
        for header in [header(), first] {
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let good = header().encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_whole_header_of_a_newer_version_is_called_newer() {
        let mut bytes = header().encode();
        bytes[8] = 9;
        assert_eq!(
            Header::decode(&bytes),
            Err(HeaderFault::Damaged),
            "a lie is damage"
        );
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderFault::NewerVersion(9)));
    }

    #[test]
    fn zeros_are_blank_and_short_bytes_are_damaged() {
        assert_eq!(Header::decode(&[]), Err(HeaderFault::Blank));
        assert_eq!(Header::decode(&[0; 4096]), Err(HeaderFault::Blank));
        assert_eq!(
            Header::decode(&header().encode()[..91]),
            Err(HeaderFault::Damaged)
        );
    }
}
