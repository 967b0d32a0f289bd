//! A frame: a record as it lies in memory and on disk.
//!
//! ```text
//!  byte 0                8        12       16             16+len     +pad
//!       +-----------------+--------+--------+--------------+----------+
//!       | w0              | crc32  | lsn,   | payload      | zeros to |
//!       | (publish word)  |        | low 32 |              | 8 bytes  |
//!       +-----------------+--------+--------+--------------+----------+
//! ```
//!
//! `w0` is [`Word`]: length, state, batch marks, kind, and the low 24 bits of
//! the segment's salt. Its state on disk is *published* or *void*.
//!
//! The checksum is CRC-32 (IEEE, as in zlib) of these bytes, one after the
//! other: salt (8), position of the frame in its file (8), w0 (8), the whole
//! lsn (8), payload, zeros. So a frame that lies at another place, in another
//! file, or in an earlier use of its file, fails.
//!
//! Frames that are not records carry the lsn of the next record, and take none:
//!
//! | kind | name | payload |
//! |---|---|---|
//! | `0x00` to `0x7F` | record; the kind is its [`Codec`] | the record's bytes |
//! | `0x81` | sync mark | u64: every record below this lsn was durable when the mark was made |
//! | `0x82` | seal | u64: one past the last record of the segment |

use log_core::{CELL_HEADER_BYTES, CellState, Lsn, Word, cell_bytes};

use super::checksum::Checksum;
use super::codec::Codec;
use super::u64_at;
use crate::payload::Payload;

/// Kinds up to this are records, and the kind is the codec.
const RECORD_MAX: u8 = 0x7F;
const SYNC_MARK: u8 = 0x81;
const SEAL: u8 = 0x82;

/// Length of a sync mark on disk.
pub const MARK_BYTES: usize = cell_bytes(8);

/// Length of a seal on disk.
pub const SEAL_BYTES: usize = cell_bytes(8);

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Carries a record.
    Record,
    /// Keeps the number of a record that was given up while it was written.
    Void,
    /// Says that every record below this lsn was durable when it was made.
    SyncMark(Lsn),
    /// Ends the segment, one past its last record.
    Seal(Lsn),
}

/// A whole frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What it is for.
    pub kind: FrameKind,
    /// Its number, or that of the next record.
    pub lsn: Lsn,
    /// Its first word.
    pub word: Word,
    /// Its payload, without padding.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Its length on disk.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.word.cell_bytes()
    }

    /// How the bytes of the record that it carries are to be read.
    #[must_use]
    #[inline]
    pub fn codec(&self) -> Codec {
        Codec::new(self.word.kind()).unwrap_or_default()
    }

    /// The lsn behind it.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        Lsn(self
            .lsn
            .0
            .saturating_add(u64::from(self.word.is_numbered())))
    }
}

/// Why bytes are not a whole frame of this segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// No frame of this use of the file: zeros, or another salt.
    Absent,
    /// Its length goes beyond the bytes that there are.
    TooLong,
    /// Another number, a failing checksum, or a kind that does not exist.
    Damaged,
}

/// What makes frames of one segment its own: the salt.
#[derive(Clone, Debug)]
pub struct FrameKey {
    salt: u64,
    checksum: Checksum,
}

impl FrameKey {
    /// The key of the segment with this salt.
    #[must_use]
    pub fn new(salt: u64) -> Self {
        let checksum = Checksum::new(salt);
        Self { salt, checksum }
    }

    /// The salt.
    #[must_use]
    pub fn salt(&self) -> u64 {
        self.salt
    }

    fn word(&self, payload_bytes: usize) -> Word {
        Word::new(payload_bytes as u32).with_tag(self.salt as u32)
    }

    /// Builds the frame of a record in `cell`, which is as long as the frame,
    /// for this position and number; all but the first word, which it returns.
    /// `begins` and `ends` say whether it is the first and the last of its
    /// batch.
    #[inline]
    pub fn build_record<P: Payload + ?Sized>(
        &self,
        cell: &mut [u8],
        position: u64,
        lsn: Lsn,
        payload: &P,
        ends: (bool, bool),
    ) -> Word {
        let word = self.record_word(payload.len_bytes(), payload.codec(), ends);
        self.fill_record(cell, position, lsn, word, |place| payload.copy_to(place))
            .0
    }

    /// The first word of a record's frame.
    #[inline]
    pub(crate) fn record_word(
        &self,
        payload_bytes: usize,
        codec: Codec,
        (begins, ends): (bool, bool),
    ) -> Word {
        self.word(payload_bytes)
            .with_kind(codec.number())
            .with_batch(begins, ends)
    }

    /// The same as [`build_record`](Self::build_record) with `word`, for a
    /// payload that `fill` writes.
    #[inline]
    pub(crate) fn fill_record<R>(
        &self,
        cell: &mut [u8],
        position: u64,
        lsn: Lsn,
        word: Word,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> (Word, R) {
        let answer = fill(&mut cell[CELL_HEADER_BYTES..][..word.payload_bytes()]);
        (self.finish(cell, position, lsn, word), answer)
    }

    /// The same for a sync mark.
    pub fn build_mark(&self, cell: &mut [u8], position: u64, lsn: Lsn, durable_end: Lsn) -> Word {
        let word = self.word(8).with_kind(SYNC_MARK);
        self.build(cell, position, lsn, &durable_end.0.to_le_bytes(), word)
    }

    /// A whole seal, first word included.
    #[must_use]
    pub fn seal(&self, position: u64, end: Lsn) -> [u8; SEAL_BYTES] {
        let mut cell = [0; SEAL_BYTES];
        let word = self.word(8).with_kind(SEAL);
        let word = self.build(&mut cell, position, end, &end.0.to_le_bytes(), word);
        cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
        cell
    }

    /// The same for a record that was given up. `word` says how long it is and
    /// where in its batch; whatever is in the cell is wiped.
    pub fn build_void(&self, cell: &mut [u8], position: u64, lsn: Lsn, word: Word) -> Word {
        let word = self
            .word(word.payload_bytes())
            .with_batch(word.begins_batch(), word.ends_batch())
            .with_state(CellState::Void);
        cell[CELL_HEADER_BYTES..].fill(0);
        self.finish(cell, position, lsn, word)
    }

    #[inline]
    fn build(&self, cell: &mut [u8], position: u64, lsn: Lsn, payload: &[u8], word: Word) -> Word {
        cell[CELL_HEADER_BYTES..][..payload.len()].copy_from_slice(payload);
        self.finish(cell, position, lsn, word)
    }

    /// Completes a cell that has its payload, but for its first word.
    #[inline]
    fn finish(&self, cell: &mut [u8], position: u64, lsn: Lsn, word: Word) -> Word {
        let (header, body) = cell.split_at_mut(CELL_HEADER_BYTES);
        body[word.payload_bytes()..].fill(0);
        let crc = self.checksum.of(position, word, lsn, body);
        header[8..12].copy_from_slice(&crc.to_le_bytes());
        header[12..16].copy_from_slice(&(lsn.0 as u32).to_le_bytes());
        word
    }

    /// Reads the frame at the front of `bytes`, which lies at `position` of its
    /// file and should carry `lsn`.
    ///
    /// Believes nothing before the checksum has passed, and never looks beyond
    /// `bytes`.
    ///
    /// # Errors
    ///
    /// See [`FrameFault`].
    #[inline]
    pub fn decode<'a>(
        &self,
        bytes: &'a [u8],
        position: u64,
        lsn: Lsn,
    ) -> Result<Frame<'a>, FrameFault> {
        let frame = self.decode_unchecked(bytes, lsn)?;
        let body = &bytes[CELL_HEADER_BYTES..frame.len_bytes()];
        let found = u64_at(bytes, 8).unwrap_or_default();
        let expected = u64::from(self.checksum.of(position, frame.word, lsn, body));
        if found != expected | u64::from(lsn.0 as u32) << 32 {
            return Err(FrameFault::Damaged);
        }
        Ok(frame)
    }

    /// The same without looking at number and checksum: for bytes that were
    /// checked before, or never left memory.
    ///
    /// # Errors
    ///
    /// As for [`decode`](Self::decode), as far as the first word shows it.
    #[inline]
    pub fn decode_unchecked<'a>(&self, bytes: &'a [u8], lsn: Lsn) -> Result<Frame<'a>, FrameFault> {
        let word = Word::from_bits(u64_at(bytes, 0).ok_or(FrameFault::Absent)?);
        if word.state() == CellState::Empty || word.tag() != self.salt as u32 & 0x00FF_FFFF {
            return Err(FrameFault::Absent);
        }
        let cell = bytes.get(..word.cell_bytes()).ok_or(FrameFault::TooLong)?;
        let payload = &cell[CELL_HEADER_BYTES..][..word.payload_bytes()];
        let kind = kind_of(word, payload).ok_or(FrameFault::Damaged)?;
        Ok(Frame {
            kind,
            lsn,
            word,
            payload,
        })
    }

    /// Reads a frame of which not even the number is known: for a search behind
    /// damage. `base` is that of the segment.
    ///
    /// # Errors
    ///
    /// As for [`decode`](Self::decode).
    pub fn decode_anywhere<'a>(
        &self,
        bytes: &'a [u8],
        position: u64,
        base: Lsn,
    ) -> Result<Frame<'a>, FrameFault> {
        let low = u64_at(bytes, 8).ok_or(FrameFault::Absent)? >> 32;
        // A segment has fewer than 2^32 records, so base and the low half tell
        // the whole.
        let ahead = (low as u32).wrapping_sub(base.0 as u32);
        let lsn = base
            .checked_add(u64::from(ahead))
            .ok_or(FrameFault::Damaged)?;
        self.decode(bytes, position, lsn)
    }
}

fn kind_of(word: Word, payload: &[u8]) -> Option<FrameKind> {
    let lsn = || {
        (payload.len() == 8)
            .then(|| u64_at(payload, 0).map(Lsn))
            .flatten()
    };
    match (word.state(), word.kind()) {
        (CellState::Published, ..=RECORD_MAX) => Some(FrameKind::Record),
        (CellState::Void, 0) => Some(FrameKind::Void),
        (CellState::Published, SYNC_MARK) => lsn().map(FrameKind::SyncMark),
        (CellState::Published, SEAL) => lsn().map(FrameKind::Seal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: u64 = 8192;

    fn frame(key: &FrameKey, lsn: Lsn, payload: &[u8]) -> Vec<u8> {
        let mut cell = vec![0xEE; cell_bytes(payload.len())];
        let word = key.build_record(&mut cell, POSITION, lsn, payload, (true, true));
        cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
        cell
    }

    #[test]
    fn the_layout_matches_the_drawing() {
        let key = FrameKey::new(0x1122_3344_5566_7788);
        let lsn = Lsn(0x0A0B_0C0D_0102_0304);
        let bytes = frame(&key, lsn, b"hello");
        assert_eq!(bytes.len(), 24);
        assert_eq!(
            bytes[0..4],
            [5, 0, 0, 0b1110_0000],
            "length, published, begin and end"
        );
        assert_eq!(bytes[4], 0, "kind: record");
        assert_eq!(bytes[5..8], [0x88, 0x77, 0x66], "low 24 bits of the salt");
        assert_eq!(bytes[12..16], [4, 3, 2, 1], "low half of the lsn");
        assert_eq!(&bytes[16..21], b"hello");
        assert_eq!(bytes[21..], [0; 3], "padding");

        let mut covered = Vec::new();
        covered.extend(0x1122_3344_5566_7788_u64.to_le_bytes());
        covered.extend(POSITION.to_le_bytes());
        covered.extend(&bytes[0..8]);
        covered.extend(lsn.0.to_le_bytes());
        covered.extend(&bytes[16..]);
        assert_eq!(
            bytes[8..12],
            crc32fast::hash(&covered).to_le_bytes(),
            "crc32"
        );
    }

    #[test]
    fn no_flipped_bit_of_a_frame_goes_unnoticed() {
        let key = FrameKey::new(7);
        let good = frame(&key, Lsn(3), b"thirteen bytes");
        assert!(key.decode(&good, POSITION, Lsn(3)).is_ok());
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(key.decode(&bytes, POSITION, Lsn(3)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_at_another_place_or_of_another_use_is_refused() {
        let key = FrameKey::new(7);
        let good = frame(&key, Lsn(3), b"payload");
        assert!(
            key.decode(&good, POSITION + 8, Lsn(3)).is_err(),
            "another position"
        );
        assert!(
            key.decode(&good, POSITION, Lsn(4)).is_err(),
            "another number"
        );
        let beyond = Lsn(3 + (1 << 32));
        assert!(
            key.decode(&good, POSITION, beyond).is_err(),
            "the same low half"
        );
        let same_tag = FrameKey::new(7 + (1 << 24));
        assert!(
            same_tag.decode(&good, POSITION, Lsn(3)).is_err(),
            "the same tag"
        );
    }

    #[test]
    fn a_length_beyond_the_bytes_is_refused_before_anything_is_read() {
        let key = FrameKey::new(7);
        let good = frame(&key, Lsn(0), b"payload");
        for kept in 0..good.len() {
            let fault = key.decode(&good[..kept], POSITION, Lsn(0)).err();
            let expected = if kept < 8 {
                FrameFault::Absent
            } else {
                FrameFault::TooLong
            };
            assert_eq!(fault, Some(expected), "{kept} bytes kept");
        }
    }

    #[test]
    fn a_frame_is_found_without_knowing_its_number() {
        let key = FrameKey::new(7);
        let base = Lsn(u64::from(u32::MAX) - 1);
        let lsn = Lsn(base.0 + 5);
        let bytes = frame(&key, lsn, b"behind the hole");
        let found = key.decode_anywhere(&bytes, POSITION, base);
        assert_eq!(
            found.map(|frame| frame.lsn),
            Ok(lsn),
            "also where the low half wraps"
        );
    }

    #[test]
    fn a_seal_ends_a_segment_and_takes_no_number() {
        let key = FrameKey::new(7);
        let bytes = key.seal(POSITION, Lsn(9));
        let frame = key
            .decode(&bytes, POSITION, Lsn(9))
            .map(|frame| (frame.kind, frame.next_lsn()));
        assert_eq!(frame, Ok((FrameKind::Seal(Lsn(9)), Lsn(9))));
    }
}
