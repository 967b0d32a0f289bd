//! Reading in order, forwards and backwards, across mapped segments and what is
//! still in memory.

use log_wal::{Lsn, ReadError};

use crate::backward::Backward;
use crate::envelope::{Record, RecordRef};
use crate::source::Source;
use crate::way::Way;

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
///
/// [`next_ref`](Self::next_ref) lends the records, which is cheaper.
///
/// It can be read from the back too, `range(..).rev()`: the first call for that
/// settles where the end is, for both directions. A step back costs little more
/// than a step forward: what lies in front of a record is found by the index,
/// several records at a time. Going back, [`ReadError::Truncated`] comes last.
#[derive(Debug)]
pub struct Records<'a> {
    source: &'a dyn Source,
    /// The number of the next record.
    next: Lsn,
    /// Stops in front of this.
    end: Lsn,
    state: State,
    /// What was read ahead of a step back.
    backward: Option<Backward>,
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
            backward: None,
        }
    }

    /// The number of the next record; after an error, of the one that could not
    /// be read.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// As [`next`](Iterator::next), but the record is only lent, until the next
    /// call: the way to read many records of which none is kept.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # use log_mmap::{Store, StoreOptions};
    /// # let store = Store::open(directory.path(), StoreOptions::default())?;
    /// store.append_batch(&[b"one", b"three"])?;
    /// let (mut records, mut bytes) = (store.iter(), 0);
    /// while let Some(record) = records.next_ref() {
    ///     bytes += record?.payload().len();
    /// }
    /// assert_eq!(bytes, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn next_ref(&mut self) -> Option<Result<RecordRef<'_>, ReadError>> {
        match self.advance()? {
            Ok(_) => self.way()?.lend().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    /// Goes to the next record, and says its number; `None` at the end.
    #[inline]
    fn advance(&mut self) -> Option<Result<Lsn, ReadError>> {
        if self.next >= self.end {
            return None;
        }
        match self.find_next() {
            Ok(None) => None,
            Ok(Some(lsn)) if lsn >= self.end => {
                self.next = self.end;
                None
            }
            Ok(Some(lsn)) => {
                self.next = Lsn(lsn.0.saturating_add(1));
                Some(Ok(lsn))
            }
            Err(error) => Some(Err(self.failed(error))),
        }
    }

    #[cold]
    fn failed(&mut self, error: ReadError) -> ReadError {
        self.state = State::Failed;
        match &error {
            ReadError::Truncated { first, .. } => {
                self.next = *first;
                self.state = State::Seeking;
            }
            // The one record that it is about.
            ReadError::Undecodable { lsn, .. } => self.next = *lsn,
            _ => {}
        }
        error
    }

    /// Goes to the next record that there is; `None` at the end.
    #[inline]
    fn find_next(&mut self) -> Result<Option<Lsn>, ReadError> {
        let mut sought = None;
        loop {
            match &mut self.state {
                State::Failed => return Ok(None),
                State::Seeking => {}
                State::On(way) => {
                    let step = way.advance();
                    if !matches!(step, Some(Ok(_))) {
                        self.next = self.next.max(way.next_lsn());
                    }
                    if let Some(found) = step {
                        return found.map(Some);
                    }
                }
            }
            if !self.seek(&mut sought)? {
                return Ok(None);
            }
        }
    }

    /// Finds the way to the next record, which is not `sought` for the first
    /// time if it was. Whether there is one.
    #[cold]
    fn seek(&mut self, sought: &mut Option<Lsn>) -> Result<bool, ReadError> {
        let is_at_end = self.next >= self.end.min(self.source.end());
        // There are only numbers without a record if a way that was just found
        // leads nowhere.
        if is_at_end || *sought == Some(self.next) {
            return Ok(false);
        }
        self.state = State::On(self.source.locate(self.next)?);
        *sought = Some(self.next);
        Ok(true)
    }

    fn way(&mut self) -> Option<&mut Way> {
        match &mut self.state {
            State::On(way) => Some(way),
            State::Seeking | State::Failed => None,
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.advance()? {
            Ok(_) => self.way()?.take().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}

impl DoubleEndedIterator for Records<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if matches!(self.state, State::Failed) {
            return None;
        }
        let source = self.source;
        let end = self.end;
        let backward = self
            .backward
            .get_or_insert_with(|| Backward::from(end.min(source.end())));
        let found = backward.step(source, self.next);
        self.end = backward.end();
        if matches!(found, Some(Err(_))) {
            self.state = State::Failed;
        }
        found
    }
}

/// Some records, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// In order, each the next that there is.
    pub records: Vec<Record>,
    /// Where to read on: behind the last of `records`, or the end of the log if
    /// they reach to it.
    pub next_lsn: Lsn,
}

impl Slice {
    /// The records from `lsn` on, at most `limit`.
    pub(crate) fn read(
        source: &dyn Source,
        lsn: Lsn,
        limit: Option<usize>,
    ) -> Result<Self, ReadError> {
        let end = source.end();
        let mut records = Records::new(source, lsn, end);
        let mut slice = Self {
            records: Vec::new(),
            // In front of `lsn`, if the log ends there.
            next_lsn: lsn.min(end),
        };
        while limit.is_none_or(|limit| slice.records.len() < limit) {
            match records.next() {
                Some(Ok(record)) => {
                    slice.records.push(record);
                    slice.next_lsn = records.next_lsn();
                }
                Some(Err(error)) if slice.records.is_empty() => return Err(error),
                // Whoever goes on there meets it.
                Some(Err(_)) => break,
                None => {
                    slice.next_lsn = end;
                    break;
                }
            }
        }
        Ok(slice)
    }
}
