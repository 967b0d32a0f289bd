//! Reading in order, across mapped segments and what is still in memory.

use log_wal::{Iter, Lsn, ReadError, Record};

use crate::segment::Walk;

/// Where records can be looked up.
pub(crate) trait Source: std::fmt::Debug + Send + Sync {
    /// One past the last record that can be read now.
    fn end(&self) -> Lsn;

    /// The way to record `lsn`, which is below [`end`](Self::end).
    fn locate(&self, lsn: Lsn) -> Result<Way, ReadError>;
}

/// A way to read on from a record, as far as it leads.
#[derive(Debug)]
pub(crate) enum Way {
    /// Over a mapped segment.
    Cold(Walk),
    /// Through the write-ahead log.
    Live(Iter),
}

/// Records in order, each once: made by `iter`, `iter_from` and `range` of
/// [`Store`](crate::Store) and [`Reader`](crate::Reader).
///
/// Every record from a mapped segment has passed its checksum, and is a slice
/// of the mapping, not a copy. At the end of the log there is `None`; called
/// again later, the iterator goes on with what was appended meanwhile. Numbers
/// that were given up by their writer are passed over.
///
/// In front of the first record there is one [`ReadError::Truncated`], and then
/// it goes on at the first. Any other error is the last item; to go on behind
/// it, ask for another iterator from there.
#[derive(Debug)]
pub struct Records<'a> {
    source: &'a dyn Source,
    /// The number of the next record.
    next: Lsn,
    /// Stops in front of this.
    end: Lsn,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The way to the next record is not known.
    Seeking,
    On(Way),
    /// A record could not be read.
    Failed,
}

impl<'a> Records<'a> {
    pub(crate) fn new(source: &'a dyn Source, first: Lsn, end: Lsn) -> Self {
        Self {
            source,
            next: first,
            end,
            state: State::Seeking,
        }
    }

    /// The next record that there is; `None` at the end.
    fn advance(&mut self) -> Result<Option<Record>, ReadError> {
        let mut sought = None;
        loop {
            match &mut self.state {
                State::Failed => return Ok(None),
                State::Seeking => {}
                State::On(way) => match way.step() {
                    Some(record) => return record.map(Some),
                    None => self.next = self.next.max(way.next_lsn()),
                },
            }
            let is_at_end = self.next >= self.end.min(self.source.end());
            // There are only numbers without a record if a way that was just
            // found leads nowhere.
            if is_at_end || sought == Some(self.next) {
                return Ok(None);
            }
            self.state = State::On(self.source.locate(self.next)?);
            sought = Some(self.next);
        }
    }
}

impl Way {
    fn step(&mut self) -> Option<Result<Record, ReadError>> {
        match self {
            Self::Cold(walk) => walk.step(),
            Self::Live(iter) => iter.next(),
        }
    }

    /// The number of the next record, as far as this way has come.
    fn next_lsn(&self) -> Lsn {
        match self {
            Self::Cold(walk) => walk.next_lsn(),
            Self::Live(iter) => iter.next_lsn(),
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        match self.advance() {
            Ok(None) => None,
            Ok(Some(record)) if record.lsn() >= self.end => {
                self.next = self.end;
                None
            }
            Ok(Some(record)) => {
                self.next = Lsn(record.lsn().0.saturating_add(1));
                Some(Ok(record))
            }
            Err(error) => {
                self.state = State::Failed;
                if let ReadError::Truncated { first, .. } = &error {
                    self.next = *first;
                    self.state = State::Seeking;
                }
                Some(Err(error))
            }
        }
    }
}
