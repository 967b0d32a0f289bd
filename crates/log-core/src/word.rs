//! The first word of a cell: what it is, how long it is, and whether it is
//! there yet.
//!
//! A cell is this word, a second word that is the caller's own, the payload,
//! and zeros up to the next multiple of eight bytes.

use std::fmt;

/// Bytes of a cell in front of its payload: the publish word and the caller's.
pub const CELL_HEADER_BYTES: usize = 16;

/// Cells begin at multiples of this.
pub const CELL_ALIGN_BYTES: usize = 8;

/// The longest payload that a cell can have: 256 MiB less one byte.
pub const PAYLOAD_BYTES_MAX: usize = (1 << 28) - 1;

/// The longest cell.
pub(crate) const CELL_BYTES_MAX: usize = cell_bytes(PAYLOAD_BYTES_MAX);

const STATE_SHIFT: u32 = 28;
const BEGIN: u64 = 1 << 30;
const END: u64 = 1 << 31;
const KIND_SHIFT: u32 = 32;
const UNNUMBERED: u64 = 1 << 39;
const TAG_SHIFT: u32 = 40;

/// How far a cell has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellState {
    /// Nothing was ever written here.
    Empty = 0,
    /// Somebody owns the place and is still filling it.
    Reserved = 1,
    /// Complete, and never to change again.
    Published = 2,
    /// Given up while it was being filled: it keeps its number and has no
    /// record.
    Void = 3,
}

/// The first word of a cell.
///
/// ```text
///  bit  0                          28    30  31  32         40                    63
///       +--------------------------+-----+---+---+----------+---------------------+
///       | payload bytes            |state| B | E | kind     | tag                 |
///       +--------------------------+-----+---+---+----------+---------------------+
///        28 bits                    2     1   1   8          24
/// ```
///
/// `B` and `E` mark the first and the last record of an atomic batch; a record
/// on its own has both. The highest bit of `kind` says that the cell carries
/// no record and takes no number. Everything else in `kind`, and all of `tag`,
/// belongs to the layer above.
///
/// ```
/// use log_core::{CellState, Word};
///
/// let word = Word::new(5).with_kind(1).with_tag(0xABCDEF);
/// assert_eq!(word.payload_bytes(), 5);
/// assert_eq!(word.cell_bytes(), 24, "16 of header, 5 of payload, 3 of padding");
/// assert_eq!(word.state(), CellState::Published);
/// assert!(word.is_numbered());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word(u64);

impl Word {
    /// A published record of its own (not part of a larger batch) of kind 0.
    ///
    /// Only the low 28 bits of `payload_bytes` are kept; callers check against
    /// [`PAYLOAD_BYTES_MAX`] first.
    #[inline]
    #[must_use]
    pub const fn new(payload_bytes: u32) -> Self {
        let length = payload_bytes as u64 & PAYLOAD_BYTES_MAX as u64;
        Self(length | BEGIN | END).with_state(CellState::Published)
    }

    /// The word as found in memory or in a file.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The word as it lies in memory (then little-endian) and in a file.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The same word in another state.
    #[inline]
    #[must_use]
    pub const fn with_state(self, state: CellState) -> Self {
        Self(self.0 & !(0b11 << STATE_SHIFT) | (state as u64) << STATE_SHIFT)
    }

    /// The same word at another place in its batch.
    #[inline]
    #[must_use]
    pub const fn with_batch(self, begins: bool, ends: bool) -> Self {
        let begin = if begins { BEGIN } else { 0 };
        let end = if ends { END } else { 0 };
        Self(self.0 & !(BEGIN | END) | begin | end)
    }

    /// The same word with another kind. Kinds from `0x80` take no number.
    #[inline]
    #[must_use]
    pub const fn with_kind(self, kind: u8) -> Self {
        Self(self.0 & !(0xFF << KIND_SHIFT) | (kind as u64) << KIND_SHIFT)
    }

    /// The same word with another tag, of which the low 24 bits are kept.
    #[inline]
    #[must_use]
    pub const fn with_tag(self, tag: u32) -> Self {
        Self(self.0 & ((1 << TAG_SHIFT) - 1) | (tag as u64) << TAG_SHIFT)
    }

    /// Length of the payload, without padding.
    #[inline]
    #[must_use]
    pub const fn payload_bytes(self) -> usize {
        (self.0 & PAYLOAD_BYTES_MAX as u64) as usize
    }

    /// Length of the whole cell: header, payload and padding.
    #[inline]
    #[must_use]
    pub const fn cell_bytes(self) -> usize {
        cell_bytes(self.payload_bytes())
    }

    /// How far the cell has come.
    #[inline]
    #[must_use]
    pub const fn state(self) -> CellState {
        match (self.0 >> STATE_SHIFT) & 0b11 {
            0 => CellState::Empty,
            1 => CellState::Reserved,
            2 => CellState::Published,
            _ => CellState::Void,
        }
    }

    /// Whether the cell is never to change again.
    #[inline]
    #[must_use]
    pub(crate) const fn is_complete(self) -> bool {
        matches!(self.state(), CellState::Published | CellState::Void)
    }

    /// Whether the cell is the first of its batch.
    #[inline]
    #[must_use]
    pub const fn begins_batch(self) -> bool {
        self.0 & BEGIN != 0
    }

    /// Whether the cell is the last of its batch.
    #[inline]
    #[must_use]
    pub const fn ends_batch(self) -> bool {
        self.0 & END != 0
    }

    /// The caller's kind.
    #[inline]
    #[must_use]
    pub const fn kind(self) -> u8 {
        (self.0 >> KIND_SHIFT) as u8
    }

    /// Whether the cell takes a number, as every record does.
    #[inline]
    #[must_use]
    pub const fn is_numbered(self) -> bool {
        self.0 & UNNUMBERED == 0
    }

    /// The caller's tag, 24 bits.
    #[inline]
    #[must_use]
    pub const fn tag(self) -> u32 {
        (self.0 >> TAG_SHIFT) as u32
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("payload_bytes", &self.payload_bytes())
            .field("state", &self.state())
            .field("begins_batch", &self.begins_batch())
            .field("ends_batch", &self.ends_batch())
            .field("kind", &self.kind())
            .field("tag", &self.tag())
            .finish()
    }
}

/// Length of a cell with a payload of `payload_bytes`.
#[inline]
#[must_use]
pub const fn cell_bytes(payload_bytes: usize) -> usize {
    CELL_HEADER_BYTES + payload_bytes.next_multiple_of(CELL_ALIGN_BYTES)
}

#[cfg(all(test, not(any(log_loom, log_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_layout_matches_the_drawing() {
        let word = Word::new(0x0ABC_DEF0)
            .with_state(CellState::Void)
            .with_batch(true, false)
            .with_kind(0x5A)
            .with_tag(0x00C0_FFEE);
        assert_eq!(word.to_bits() & 0x0FFF_FFFF, 0x0ABC_DEF0, "bits 0..28");
        assert_eq!(word.to_bits() >> 28 & 0b11, 3, "bits 28..30");
        assert_eq!(word.to_bits() >> 30 & 0b11, 0b01, "bits 30 and 31");
        assert_eq!(word.to_bits() >> 32 & 0xFF, 0x5A, "bits 32..40");
        assert_eq!(word.to_bits() >> 40, 0x00C0_FFEE, "bits 40..64");
    }

    #[test]
    fn setting_one_field_leaves_the_others() {
        let word = Word::new(77).with_kind(0xFF).with_tag(0xFF_FFFF);
        let changed = word.with_kind(0x81).with_state(CellState::Reserved);
        assert_eq!(changed.payload_bytes(), 77);
        assert_eq!(changed.tag(), 0xFF_FFFF);
        assert!(changed.begins_batch() && changed.ends_batch());
        assert!(!changed.is_numbered(), "kinds from 0x80 take no number");
    }

    #[test]
    fn every_length_is_padded_to_eight_bytes() {
        let expected = [
            (0, 16),
            (1, 24),
            (8, 24),
            (9, 32),
            (PAYLOAD_BYTES_MAX, (1 << 28) + 16),
        ];
        for (payload, cell) in expected {
            assert_eq!(cell_bytes(payload), cell);
        }
    }

    #[test]
    fn memory_that_was_never_written_is_an_empty_cell() {
        assert_eq!(Word::from_bits(0).state(), CellState::Empty);
    }
}
