//! Reading in order, from any engine.

use std::fmt;

use crate::{ReadError, Record};

/// Records of an engine, in order, each once.
///
/// Yields what is published when it looks, and `None` at the end; called again
/// later it goes on. In front of the first record it yields one
/// [`ReadError::Truncated`], and then goes on at the first. Any other error is
/// the last item. From the back it yields what was published at the first call
/// for that, and [`ReadError::Truncated`] comes last.
pub struct Records<'a>(Inner<'a>);

#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the common one, and a box would cost it an allocation"
)]
enum Inner<'a> {
    Store(log_mmap::Records<'a>),
    Other(Box<dyn RecordIterator + 'a>),
}

trait RecordIterator: DoubleEndedIterator<Item = Result<Record, ReadError>> + Send {}

impl<I: DoubleEndedIterator<Item = Result<Record, ReadError>> + Send> RecordIterator for I {}

impl<'a> Records<'a> {
    /// Records that somebody else's engine yields by the rules above.
    #[must_use]
    pub fn new(
        records: impl DoubleEndedIterator<Item = Result<Record, ReadError>> + Send + 'a,
    ) -> Self {
        Self(Inner::Other(Box::new(records)))
    }

    pub(crate) fn of_store(records: log_mmap::Records<'a>) -> Self {
        Self(Inner::Store(records))
    }
}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner: &dyn fmt::Debug = match &self.0 {
            Inner::Store(records) => records,
            Inner::Other(_) => &"of another engine",
        };
        f.debug_tuple("Records").field(inner).finish()
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Inner::Store(records) => records.next(),
            Inner::Other(records) => records.next(),
        }
    }
}

impl DoubleEndedIterator for Records<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Inner::Store(records) => records.next_back(),
            Inner::Other(records) => records.next_back(),
        }
    }
}
