//! Reading backwards.
//!
//! Frames lead forwards only. So a stretch that ends where the reader stands is
//! found by the index, read forwards, and handed out from its back. Stretches
//! grow while somebody goes on, so that finding them costs less and less of a
//! step.

use log_wal::{Lsn, ReadError};

use crate::envelope::Record;
use crate::records::Records;
use crate::source::Source;

/// How many records a first stretch has, and how many the longest.
const STRETCH_MIN: u64 = 16;
const STRETCH_MAX: u64 = 1024;

/// A reader that goes backwards.
#[derive(Debug)]
pub(crate) struct Backward {
    /// Everything from here on was handed out.
    end: Lsn,
    /// The records of a stretch that were not handed out yet, ascending.
    records: Vec<Record>,
    /// What is to be said in front of those.
    error: Option<ReadError>,
    /// Where the stretch begins, and how long the next one shall be.
    start: Lsn,
    next_len: u64,
}

impl Backward {
    /// Stands behind the last record in front of `end`.
    pub(crate) fn from(end: Lsn) -> Self {
        Self {
            end,
            records: Vec::new(),
            error: None,
            start: end,
            next_len: STRETCH_MIN,
        }
    }

    /// Everything from here on was handed out.
    pub(crate) fn end(&self) -> Lsn {
        self.end
    }

    /// The record in front of those that were handed out, if there is one at or
    /// behind `first`.
    pub(crate) fn step(
        &mut self,
        source: &dyn Source,
        first: Lsn,
    ) -> Option<Result<Record, ReadError>> {
        while self.end > first {
            if let Some(record) = self.records.pop() {
                self.end = record.lsn();
                return (record.lsn() >= first).then_some(Ok(record));
            }
            if let Some(error) = self.error.take() {
                return Some(Err(error));
            }
            self.end = self.start;
            if self.end > first {
                self.read_stretch(source, first);
            }
        }
        None
    }

    /// Reads the stretch that ends at `self.end`.
    fn read_stretch(&mut self, source: &dyn Source, first: Lsn) {
        let log_first = source.first();
        if self.end <= log_first {
            self.error = Some(ReadError::Truncated {
                requested: Lsn(self.end.0.saturating_sub(1)),
                first: log_first,
            });
            return;
        }
        let start = Lsn(self.end.0.saturating_sub(self.next_len));
        self.start = start.max(first).max(log_first);
        self.next_len = (self.next_len * 2).min(STRETCH_MAX);
        let mut from = self.start;
        // Behind what cannot be read there may be more.
        while from < self.end {
            let mut records = Records::new(source, from, self.end);
            let Some(failed) = self.take_up_to_error(&mut records) else {
                return;
            };
            from = Lsn(failed.0.saturating_add(1));
        }
    }

    /// Takes the records that there are; of those in front of an error, none.
    /// Returns where one stopped.
    fn take_up_to_error(&mut self, records: &mut Records<'_>) -> Option<Lsn> {
        for record in &mut *records {
            match record {
                Ok(record) => self.records.push(record),
                Err(error) => {
                    self.records.clear();
                    let is_over = !matches!(error, ReadError::Truncated { .. });
                    self.error = Some(error);
                    if is_over {
                        return Some(records.next_lsn());
                    }
                }
            }
        }
        None
    }
}
