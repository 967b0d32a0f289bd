//! What lies on disk, version 1.
//!
//! ```text
//!  segment file, {base lsn, 20 digits}-{segment id, 10 digits}.log
//!
//!  byte 0         4096        8192                                    capacity
//!       +-----------+-----------+-------+-------+---   ---+------+--------+
//!       | header    | header,   | frame | frame |   ...   | seal | zeros  |
//!       |           | its copy  |       |       |         |      |        |
//!       +-----------+-----------+-------+-------+---   ---+------+--------+
//! ```
//!
//! All numbers are little-endian. The header stands twice, in two pages, so
//! that no torn or rotten page can take both. Frames begin at multiples of
//! eight bytes and lie side by side; behind the last one are zeros, or, in a
//! file that was used before, frames that fail this segment's salt.
//!
//! `header` has the layout of the header, `frame` that of a frame, `name` that
//! of a file's name.

mod checksum;
mod codec;
mod frame;
mod header;
mod name;

pub use codec::Codec;
/// The first word of a frame, and how far the frame has come.
pub use log_core::{CellState, Word};

pub use frame::{Frame, FrameFault, FrameKey, FrameKind, MARK_BYTES, SEAL_BYTES};
pub use header::{FORMAT_VERSION, HEADER_BYTES, Header, HeaderFault, Predecessor};
pub use name::SegmentName;

/// Where the first frame of every segment lies.
pub const FIRST_POSITION: u64 = 2 * HEADER_PAGE_BYTES;

/// Each copy of the header has a page of this size to itself.
pub const HEADER_PAGE_BYTES: u64 = 4096;

/// The smallest segment file.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 16 << 10;

/// How much of a segment file may be filled with records: the rest is kept
/// for the seal.
pub(crate) const fn region_bytes(capacity_bytes: u64) -> u64 {
    capacity_bytes - SEAL_BYTES as u64
}

/// Reads the little-endian `u64` at `at`, if it is there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*field))
}
