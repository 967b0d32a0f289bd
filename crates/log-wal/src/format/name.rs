//! A segment's file name says what is in it.

use std::fmt;

use log_core::Lsn;

/// The name of a segment file: its base lsn and its id.
///
/// Fixed widths, so that sorting by name sorts by number. Ids are never used
/// again, so that no two segments ever have the same name.
///
/// ```
/// use log_wal::{Lsn, format::SegmentName};
///
/// let name = SegmentName { base: Lsn(1207), id: 3 };
/// assert_eq!(name.to_string(), "00000000000000001207-0000000003.log");
/// assert_eq!(SegmentName::parse("00000000000000001207-0000000003.log"), Some(name));
/// assert_eq!(SegmentName::parse("1207-3.log"), None, "only the one spelling");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The number of the segment's first record.
    pub base: Lsn,
    /// The segment's id; the first of a log is 1.
    pub id: u64,
}

impl SegmentName {
    /// Reads a name, in the one spelling that [`Display`](fmt::Display)
    /// writes. Anything else is somebody else's file.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (base, id) = name.strip_suffix(".log")?.split_once('-')?;
        let parsed = Self {
            base: Lsn(base.parse().ok()?),
            id: id.parse().ok()?,
        };
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:010}.log", self.base.0, self.id)
    }
}
