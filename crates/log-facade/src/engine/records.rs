//! Reading in order, from any engine.

use std::fmt;

use log_mmap::Iter;

use crate::{Lsn, ReadError, Record};

/// Records of an engine, in order, each once.
///
/// Yields what is published when it looks, and `None` at the end; called again
/// later it goes on. In front of the first record it yields one
/// [`ReadError::Truncated`], and then goes on at the first. Any other error is
/// the last item.
pub struct Records<'a>(Inner<'a>);

enum Inner<'a> {
    Store(log_mmap::Records<'a>),
    Wal { iter: Iter, end: Lsn },
    Other(Box<dyn Iterator<Item = Result<Record, ReadError>> + Send + 'a>),
}

impl<'a> Records<'a> {
    /// Records that somebody else's engine yields by the rules above.
    #[must_use]
    pub fn new(records: impl Iterator<Item = Result<Record, ReadError>> + Send + 'a) -> Self {
        Self(Inner::Other(Box::new(records)))
    }

    pub(crate) fn of_store(records: log_mmap::Records<'a>) -> Self {
        Self(Inner::Store(records))
    }

    pub(crate) fn of_wal(iter: Iter, end: Lsn) -> Self {
        Self(Inner::Wal { iter, end })
    }
}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner: &dyn fmt::Debug = match &self.0 {
            Inner::Store(records) => records,
            Inner::Wal { iter, .. } => iter,
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
            Inner::Wal { iter, end } => next_below(iter, *end),
            Inner::Other(records) => records.next(),
        }
    }
}

fn next_below(iter: &mut Iter, end: Lsn) -> Option<Result<Record, ReadError>> {
    if iter.next_lsn() >= end {
        return None;
    }
    let record = iter.next()?.and_then(Record::try_from);
    // A number without a record was passed over, and the end with it.
    match record {
        Ok(record) if record.lsn() >= end => None,
        record => Some(record),
    }
}
