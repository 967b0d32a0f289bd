//! Reading in order.

use log_mmap::{ReadError, Record};

/// Records in order, each once: made by `iter`, `iter_from` and `range` of
/// [`Log`](crate::Log) and [`LogReader`](crate::LogReader).
///
/// Yields what is there when it looks, in memory and in files alike, while
/// others append. At the end there is `None`; called again later, it goes on
/// with what was appended meanwhile.
///
/// In front of the first record there is one [`ReadError::Truncated`], and then
/// it goes on at the first. Any other error is the last item; to go on behind
/// it, ask for another iterator from there.
#[derive(Debug)]
pub struct Records<'a>(log_mmap::Records<'a>);

impl<'a> Records<'a> {
    pub(crate) fn new(records: log_mmap::Records<'a>) -> Self {
        Self(records)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}
