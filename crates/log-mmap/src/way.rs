//! A way to read on from a record, as far as it leads.

use log_wal::{Iter, Lsn, ReadError};

use crate::envelope::{Record, RecordRef};
use crate::walk::Walk;

/// Goes from record to record, and shows the one that it has come to.
#[derive(Debug)]
pub(crate) enum Way {
    /// Over a mapped segment.
    Cold(Walk),
    /// Through the write-ahead log.
    Live(Live),
}

/// A way through the write-ahead log, and the record that it has come to.
#[derive(Debug)]
pub(crate) struct Live {
    iter: Iter,
    record: Option<Record>,
}

impl From<Walk> for Way {
    fn from(walk: Walk) -> Self {
        Self::Cold(walk)
    }
}

impl From<Iter> for Way {
    fn from(iter: Iter) -> Self {
        Self::Live(Live { iter, record: None })
    }
}

impl Way {
    /// Goes to the next record, and says its number; `None` where it ends.
    #[inline]
    pub(crate) fn advance(&mut self) -> Option<Result<Lsn, ReadError>> {
        match self {
            Self::Cold(walk) => walk.advance(),
            Self::Live(live) => live.advance(),
        }
    }

    /// The record that it has come to, lent.
    #[inline]
    pub(crate) fn lend(&self) -> Option<RecordRef<'_>> {
        match self {
            Self::Cold(walk) => walk.lend(),
            Self::Live(live) => live.record.as_ref().map(Record::lent),
        }
    }

    /// The record that it has come to, to keep: once.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Record> {
        match self {
            Self::Cold(walk) => walk.share(),
            Self::Live(live) => live.record.take(),
        }
    }

    /// The number of the next record, as far as this way has come.
    pub(crate) fn next_lsn(&self) -> Lsn {
        match self {
            Self::Cold(walk) => walk.next_lsn(),
            Self::Live(live) => live.iter.next_lsn(),
        }
    }
}

impl Live {
    fn advance(&mut self) -> Option<Result<Lsn, ReadError>> {
        let record = match self.iter.next()?.and_then(Record::try_from) {
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(self.record.insert(record).lsn()))
    }
}
