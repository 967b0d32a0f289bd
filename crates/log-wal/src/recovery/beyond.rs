//! What lies behind the whole frames of the newest segment.
//!
//! All of the rest is looked at, because a mark anywhere in it can prove that
//! durable records are damaged (`INV-W5`). What the storage knows to be a hole
//! reads as zeros, and has no frame: it is passed over unread.

use std::io;

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
    key: &FrameKey,
    header: &Header,
    from: u64,
    end: u64,
) -> io::Result<Beyond> {
    let mut found = Beyond::default();
    let mut buffer = Vec::new();
    let mut position = from;
    while let Some(data) = next_data(file, position, end)? {
        let piece_bytes = (end - data).min(PIECE_BYTES as u64) as usize;
        let wanted = (end - data).min((PIECE_BYTES + OVERLAP_BYTES) as u64) as usize;
        buffer.resize(wanted, 0);
        let filled = file.read_at(data, &mut buffer)?;
        let bytes = &buffer[..filled];
        let piece = &bytes[..piece_bytes.min(filled)];
        if header.recycled {
            if data == from
                && key.decode_unchecked(bytes, header.base).err() != Some(FrameFault::Absent)
            {
                found.debris_end = Some((from + 8).min(end));
            }
            find_frames(bytes, piece.len(), data, end, key, header, &mut found);
        } else if let Some(last_used) = last_nonzero(piece) {
            let used_end = data + last_used as u64 + 1;
            found.debris_end = found.debris_end.max(Some(used_end));
            find_frames(bytes, piece.len(), data, end, key, header, &mut found);
        }
        if filled < wanted {
            break;
        }
        position = data + piece_bytes as u64;
    }
    Ok(found)
}

/// Where the next byte may lie that is not zero, at or behind `position`; at a
/// place where a frame can begin, if `position` is one.
fn next_data(file: &dyn SegmentFile, position: u64, end: u64) -> io::Result<Option<u64>> {
    if position >= end {
        return Ok(None);
    }
    let data = file.next_data(position)?;
    let data = data.map(|data| (data - data % CELL_ALIGN_BYTES as u64).max(position));
    Ok(data.filter(|data| *data < end))
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

/// Looks at every place in the first `piece_bytes` of `bytes`, which lie at
/// `data`, where a frame of the segment could begin.
///
/// Marks and seals count only if their checksum holds, and that covers salt,
/// place and number: neither an earlier use of the file nor a user's bytes are
/// mistaken for one. They are short, so that no damaged length makes the search
/// long. Other frames tell nothing but that they are there, for which the looks
/// of their header suffice.
fn find_frames(
    bytes: &[u8],
    piece_bytes: usize,
    data: u64,
    end: u64,
    key: &FrameKey,
    header: &Header,
    found: &mut Beyond,
) {
    for at in (0..piece_bytes).step_by(CELL_ALIGN_BYTES) {
        let (rest, position) = (&bytes[at..], data + at as u64);
        let len_bytes = match key.decode_unchecked(rest, header.base) {
            Ok(frame) => {
                let is_record = matches!(frame.kind, FrameKind::Record | FrameKind::Void);
                if !is_record && let Ok(frame) = key.decode_anywhere(rest, position, header.base) {
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
        // Among stale frames one in millions has our tag by chance; it costs
        // no more than a new segment.
        let frame_end = position + len_bytes as u64;
        if frame_end <= end {
            found.debris_end = found.debris_end.max(Some(frame_end));
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

        fn next_data(&self, position: u64) -> io::Result<Option<u64>> {
            if !self.knows {
                return Ok(Some(position));
            }
            let page = |at: usize| at / 4096 * 4096;
            let used = self
                .bytes
                .iter()
                .skip(position as usize)
                .position(|byte| *byte != 0);
            Ok(used.map(|used| (page(position as usize + used) as u64).max(position)))
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
        let (key, end) = (FrameKey::new(SALT), bytes.len() as u64);
        beyond(&file, &key, &header(recycled), FIRST_POSITION, end).expect("memory can be read")
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
