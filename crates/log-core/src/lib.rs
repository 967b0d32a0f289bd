//! A segmented, append-only record log in memory: *published*.

mod sync;

mod bell;
mod lsn;
mod watermark;

pub use bell::Bell;
pub use lsn::Lsn;
pub use watermark::Watermark;
