//! A segmented, append-only record log in memory: *published*.

mod sync;

pub mod atomic_log;
mod bell;
mod lsn;
mod padded;
mod region;
mod tail;
mod watermark;
mod witness;
mod word;

pub use atomic_log::{
    AppendError, AppendErrorCause, AtomicLog, Chunks, Follower, Gap, Iter, Refresh, SegmentSlice,
    Snapshot, Writer,
};
pub use bell::Bell;
pub use lsn::Lsn;
pub use region::{REGION_BYTES_MAX, Region};
pub use tail::{
    Cursor, Need, NextSegment, Reservation, RollError, Segment, SegmentEnd, Span, Start, Tail,
};
pub use watermark::Watermark;
pub use word::{
    CELL_ALIGN_BYTES, CELL_HEADER_BYTES, CellState, PAYLOAD_BYTES_MAX, Word, cell_bytes,
};
