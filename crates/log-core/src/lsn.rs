//! The number of a record.

use std::fmt;

/// Number of a record in a log: dense, the first is 0. Kafka calls it offset.
///
/// An `Lsn` counts records, never bytes. Ranges of them are half-open: an
/// *end* is one past the last record, so that an empty log has an end (equal
/// to its start) and needs no "none".
///
/// ```
/// use log_core::Lsn;
///
/// let first = Lsn::ZERO;
/// assert_eq!(first.checked_add(2), Some(Lsn(2)));
/// assert_eq!(Lsn(u64::MAX).checked_add(1), None, "numbers never wrap");
/// assert_eq!(Lsn(7).distance_from(Lsn(5)), Some(2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The number of the first record of a log.
    pub const ZERO: Lsn = Lsn(0);

    /// The number `records` further on, or `None` past the last number that
    /// exists.
    #[must_use]
    pub const fn checked_add(self, records: u64) -> Option<Lsn> {
        match self.0.checked_add(records) {
            Some(number) => Some(Lsn(number)),
            None => None,
        }
    }

    /// How many records lie from `earlier` up to `self`, or `None` if
    /// `earlier` is in fact later.
    #[must_use]
    pub const fn distance_from(self, earlier: Lsn) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u64> for Lsn {
    fn from(number: u64) -> Self {
        Lsn(number)
    }
}

impl From<Lsn> for u64 {
    fn from(lsn: Lsn) -> Self {
        lsn.0
    }
}
