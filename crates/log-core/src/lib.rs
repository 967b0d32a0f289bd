//! A segmented, append-only record log in memory: *published*.
//!
//! Two logs that rest on the same ideas: fixed segments, a release store to
//! publish, an acquire load to observe, memory that is used again.
//!
//! - [`AtomicLog`]: one writer, many readers, typed values. Readers take
//!   snapshots that stay as they are and cost the same however much they show,
//!   or follow what is appended. The [`atomic_log`] module tells how it works.
//! - [`Tail`]: many writers, bytes, in regions of memory that somebody else
//!   provides, laid out as they will lie in a file. Visible in order.
//!
//! And what both need: [`Lsn`], the number of a record; [`Watermark`], a mark
//! that only rises; and [`Bell`], at which to wait for news.
//!
//! Knows nothing of files, checksums, clocks, or threads of its own.
//!
//! ```
//! use log_core::AtomicLog;
//!
//! let (mut writer, log) = AtomicLog::new_claimed(1000, 64);
//! let mut follower = log.follow();
//! writer.append_batch(["one", "two"]);
//! let news = follower.next_slice()?.expect("two values");
//! assert_eq!(news.values(), ["one", "two"]);
//! # Ok::<(), log_core::Gap>(())
//! ```

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
