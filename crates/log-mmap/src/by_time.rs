//! Finding the first record at or after a moment.
//!
//! Sealed segments are passed over by the greatest timestamp in each, and the
//! one that reaches the moment is entered by its index. Behind them are the
//! records that have no index yet: of those, how far time had come is noted as
//! somebody looks, so that each is looked at once.

use log_wal::{Lsn, ReadError};

use crate::envelope::Timestamp;
use crate::index::Steps;
use crate::records::Records;
use crate::source::Source;
use crate::sync::{Mutex, lock};

/// Of so many records that have no index, one is noted.
const RECORDS_A_STEP: u64 = 256;

/// The number of the first record whose timestamp is at or after `moment`.
pub(crate) fn at_or_after(
    source: &dyn Source,
    moment: Timestamp,
) -> Result<Option<Lsn>, ReadError> {
    let catalog = source.catalog();
    let sealed_end = catalog.end();
    let mut from = Lsn::ZERO;
    while let Some(segment) = catalog.first_reaching(moment, from) {
        from = segment.end();
        match catalog.at_or_after(moment, &segment) {
            Ok(None) => {}
            // It was dropped from the front meanwhile.
            Err(_) if segment.end() <= source.first() => {}
            found => return found,
        }
    }
    source.recent().at_or_after(source, sealed_end, moment)
}

/// How far time has come in the records that have no index yet.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// Locked while records are looked at.
    seen: Mutex<Seen>,
}

/// What is known of the records `base..end`.
#[derive(Debug, Default)]
struct Seen {
    base: Lsn,
    end: Lsn,
    greatest: Option<Timestamp>,
    steps: Steps<Lsn>,
    /// The next record to be noted.
    due: Lsn,
}

impl Recent {
    fn at_or_after(
        &self,
        source: &dyn Source,
        base: Lsn,
        moment: Timestamp,
    ) -> Result<Option<Lsn>, ReadError> {
        let start = {
            let mut seen = lock(&self.seen);
            seen.catch_up(source, base)?;
            if seen.greatest < Some(moment) {
                return Ok(None);
            }
            seen.steps.before(moment).unwrap_or(base)
        };
        let mut found = None;
        each(source, start, source.end(), |lsn, timestamp| {
            found = (timestamp >= Some(moment)).then_some(lsn);
            found.is_none()
        })?;
        Ok(found)
    }
}

impl Seen {
    /// Looks at the records from `base` on that it has not seen.
    fn catch_up(&mut self, source: &dyn Source, base: Lsn) -> Result<(), ReadError> {
        let end = source.end();
        // Others were sealed since, or records were discarded.
        if self.base != base || self.end > end {
            *self = Self {
                base,
                end: base,
                due: base,
                ..Self::default()
            };
        }
        each(source, self.end, end, |lsn, timestamp| {
            if lsn >= self.due
                && let Some(greatest) = self.greatest
            {
                self.due = Lsn(lsn.0 + RECORDS_A_STEP);
                self.steps.note(greatest, lsn);
            }
            self.greatest = self.greatest.max(timestamp);
            self.end = Lsn(lsn.0 + 1);
            true
        })
    }
}

/// Shows the records of `lsns` that there are, as long as `goes_on`. One that
/// cannot be taken apart has no timestamp that anybody knows.
fn each(
    source: &dyn Source,
    start: Lsn,
    end: Lsn,
    mut goes_on: impl FnMut(Lsn, Option<Timestamp>) -> bool,
) -> Result<(), ReadError> {
    let mut records = Records::new(source, start, end);
    while let Some(record) = records.next_ref() {
        match record {
            Ok(record) if goes_on(record.lsn(), record.timestamp()) => {}
            Ok(_) => break,
            Err(ReadError::Truncated { .. }) => {}
            Err(ReadError::Undecodable { lsn, .. }) => {
                records = Records::new(source, Lsn(lsn.0.saturating_add(1)), end);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
