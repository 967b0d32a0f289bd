//! What lies behind the whole frames of the newest segment.
//!
//! All of the rest is looked at, because a mark anywhere in it can prove that
//! durable records are damaged (`INV-W5`). What the storage knows to be a hole
//! reads as zeros, and has no frame: it is passed over unread.

use std::io;
use std::ops::Range;

use log_core::{CELL_ALIGN_BYTES, Lsn, Word};

use super::scan::PIECE_BYTES;
use crate::format::{FrameFault, FrameKey, FrameKind, Header, MARK_BYTES, SEAL_BYTES, u64_at};
use crate::storage::SegmentFile;

/// What lies behind the whole frames of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// One past the last trace of something that was being written; `None` if
    /// there is no trace.
    pub debris_end: Option<u64>,
    /// The furthest claim of a mark or a seal there, and where it stands.
    pub claim: Option<(Lsn, u64)>,
}

/// A mark or a seal may begin at the end of a piece: so much more is read.
const OVERLAP_BYTES: usize = if MARK_BYTES > SEAL_BYTES {
    MARK_BYTES
} else {
    SEAL_BYTES
};

/// Looks at what lies from `from`, where the whole frames end, to `end`.
///
/// In a file that was made of zeros, any other byte is a trace. In a recycled
/// one only a frame of this segment is, whole or just begun.
pub(crate) fn beyond(
    file: &dyn SegmentFile,
    data: &[Range<u64>],
    key: &FrameKey,
    header: &Header,
    (from, end): (u64, u64),
) -> io::Result<Beyond> {
    let mut found = Beyond::default();
    let mut buffer = Vec::new();
    for range in data {
        // At a place where a frame can begin.
        let mut position = (range.start - range.start % CELL_ALIGN_BYTES as u64).max(from);
        while position < range.end.min(end) {
            let wanted = (end - position).min((PIECE_BYTES + OVERLAP_BYTES) as u64);
            buffer.resize(wanted as usize, 0);
            let filled = file.read_at(position, &mut buffer)?;
            let own_bytes = (range.end.min(end) - position).min(PIECE_BYTES as u64) as usize;
            let piece = Piece {
                bytes: &buffer[..filled],
                own_bytes: own_bytes.min(filled),
                position,
                from,
                end,
            };
            piece.note(key, header, &mut found);
            position += PIECE_BYTES as u64;
        }
    }
    Ok(found)
}

/// A piece of the file, and where it lies.
struct Piece<'a> {
    /// Some more than its own, which belong to the next piece.
    bytes: &'a [u8],
    own_bytes: usize,
    position: u64,
    /// Where the search began, and where the segment ends.
    from: u64,
    end: u64,
}

impl Piece<'_> {
    fn note(&self, key: &FrameKey, header: &Header, found: &mut Beyond) {
        if header.recycled {
            let begun = key.decode_unchecked(self.bytes, header.base).err();
            if self.position == self.from && begun != Some(FrameFault::Absent) {
                found.debris_end = Some((self.from + 8).min(self.end));
            }
            self.find_frames(key, header, found);
        } else if let Some(last_used) = last_nonzero(&self.bytes[..self.own_bytes]) {
            let used_end = self.position + last_used as u64 + 1;
            found.debris_end = found.debris_end.max(Some(used_end));
            self.find_frames(key, header, found);
        }
    }

    /// Looks at every place where a frame of the segment could begin.
    ///
    /// Marks and seals count only if their checksum holds, and that covers
    /// salt, place and number: neither an earlier use of the file nor a user's
    /// bytes are mistaken for one. They are short, so that no damaged length
    /// makes the search long. Other frames tell nothing but that they are
    /// there, for which the looks of their header suffice.
    fn find_frames(&self, key: &FrameKey, header: &Header, found: &mut Beyond) {
        for at in (0..self.own_bytes).step_by(CELL_ALIGN_BYTES) {
            let (rest, position) = (&self.bytes[at..], self.position + at as u64);
            let len_bytes = match key.decode_unchecked(rest, header.base) {
                Ok(frame) => {
                    if matches!(frame.kind, FrameKind::SyncMark(_) | FrameKind::Seal(_))
                        && let Ok(frame) = key.decode_anywhere(rest, position, header.base)
                    {
                        found.note_claim(frame.kind, position);
                    }
                    frame.len_bytes()
                }
                // It goes on in the next piece.
                Err(FrameFault::TooLong) => {
                    u64_at(rest, 0).map_or(0, |bits| Word::from_bits(bits).cell_bytes())
                }
                Err(FrameFault::Absent | FrameFault::Damaged) => continue,
            };
            // Among stale frames one in millions has our tag by chance; it
            // costs no more than a new segment.
            let frame_end = position + len_bytes as u64;
            if frame_end <= self.end {
                found.debris_end = found.debris_end.max(Some(frame_end));
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::FIRST_POSITION;

    /// A file in memory that knows where it has data, by pages.
    #[derive(Debug)]
    struct Sparse {
        bytes: Vec<u8>,
        knows: bool,
    }

    impl SegmentFile for Sparse {
        fn len_bytes(&self) -> io::Result<u64> {
            Ok(self.bytes.len() as u64)
        }

        fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let rest = self.bytes.get(position as usize..).unwrap_or_default();
            let filled = rest.len().min(buffer.len());
            buffer[..filled].copy_from_slice(&rest[..filled]);
            Ok(filled)
        }

        fn data_ranges(&self, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
            if !self.knows {
                return Ok(vec![range]);
            }
            let pages = range.step_by(4096);
            let used = pages.filter(|page| {
                let rest = self.bytes.get(*page as usize..).unwrap_or_default();
                rest.iter().take(4096).any(|byte| *byte != 0)
            });
            Ok(used.map(|page| page..page + 4096).collect())
        }

        fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn sync(&self) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn shrink(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    const SALT: u64 = 0x0102_0304_0506;
    const FILE_BYTES: usize = 3 * PIECE_BYTES;

    fn header(recycled: bool) -> Header {
        Header {
            log_uuid: [1; 16],
            id: 1,
            salt: SALT,
            base: Lsn(10),
            capacity_bytes: FILE_BYTES as u64,
            recycled,
            truncates: false,
            predecessor: None,
        }
    }

    fn found(bytes: &[u8], recycled: bool, knows: bool) -> Beyond {
        let file = Sparse {
            bytes: bytes.to_vec(),
            knows,
        };
        let (key, range) = (FrameKey::new(SALT), FIRST_POSITION..bytes.len() as u64);
        let data = file.data_ranges(range.clone()).expect("memory can be read");
        let found = beyond(
            &file,
            &data,
            &key,
            &header(recycled),
            (range.start, range.end),
        );
        found.expect("memory can be read")
    }

    fn put_mark(bytes: &mut [u8], position: usize, claim: Lsn) {
        let cell = &mut bytes[position..position + MARK_BYTES];
        let word = FrameKey::new(SALT).build_mark(cell, position as u64, Lsn(12), claim);
        cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
    }

    #[test]
    fn a_mark_is_found_wherever_it_begins() {
        // Around the end of each piece, and where a page begins behind a hole.
        let first = FIRST_POSITION as usize;
        let ends = [first + PIECE_BYTES, first + 2 * PIECE_BYTES, 40 * 4096];
        for position in ends
            .into_iter()
            .flat_map(|end| (end - 40..end + 40).step_by(8))
        {
            let mut bytes = vec![0; FILE_BYTES];
            put_mark(&mut bytes, position, Lsn(99));
            for (recycled, knows) in [(false, false), (false, true), (true, false), (true, true)] {
                let found = found(&bytes, recycled, knows);
                assert_eq!(found.claim, Some((Lsn(99), position as u64)), "INV-W5");
                let mark_end = (position + MARK_BYTES) as u64;
                assert_eq!(found.debris_end, Some(mark_end), "{recycled} {knows}");
            }
        }
    }

    #[test]
    fn a_single_byte_behind_a_hole_is_a_trace_where_there_were_zeros() {
        for position in [FIRST_POSITION as usize, 100_001, FILE_BYTES - 1] {
            let mut bytes = vec![0; FILE_BYTES];
            bytes[position] = 1;
            for knows in [false, true] {
                let traced = found(&bytes, false, knows).debris_end;
                assert_eq!(traced, Some(position as u64 + 1));
            }
        }
        assert_eq!(found(&vec![0; FILE_BYTES], false, true), Beyond::default());
    }

    #[test]
    fn the_furthest_of_many_claims_counts() {
        let mut bytes = vec![0; FILE_BYTES];
        for (position, claim) in [(8192, 20), (PIECE_BYTES + 64, 90), (2 * PIECE_BYTES, 50)] {
            put_mark(&mut bytes, position, Lsn(claim));
        }
        let claim = found(&bytes, false, true).claim;
        assert_eq!(claim, Some((Lsn(90), PIECE_BYTES as u64 + 64)));
    }
}
