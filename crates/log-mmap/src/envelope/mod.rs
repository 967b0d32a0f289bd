//! What a record carries in front of its payload: timestamp, schema version,
//! batch count, key and headers, each only if it was given.
//!
//! The frame says by its codec which of them there are, one bit each. So a
//! record with none of them has no envelope and costs nothing, and codec 0 is
//! plain bytes for every layer. They lie in the order of their bits:
//!
//! ```text
//!  bit of the codec:
//!    0                1           2          3              4
//!  +----------------+-----------+----------+--------------+--- ... ---+---------+
//!  | timestamp      | schema    | batch    | key          | headers   | payload |
//!  | 8 bytes        | version   | count    |              |           |         |
//!  +----------------+-----------+----------+--------------+--- ... ---+---------+
//!                     varint      varint     varint length  varint count, then for each:
//!                     not 0       not 1      and bytes      length and name, length and value
//! ```
//!
//! A varint is a u32 in groups of seven bits, the lowest first, all but the
//! last with their top bit set, in as few bytes as can be. The timestamp is
//! little-endian. A value that is as good as none is not written: so there is
//! one way to write a record, and bytes that were read and are written again
//! are the same.
//!
//! The clock belongs to the caller: nothing here asks for the time.
//!
//! `new_record` writes envelopes, `parts` reads them, `record` is what readers
//! get.

mod fields;
mod varint;

mod new_record;

mod fault;
mod parts;
mod record;

use std::fmt;

pub use fault::EnvelopeFault;
pub use new_record::NewRecord;
pub use record::{Headers, Record, RecordRef};

pub(crate) use parts::timestamp;

/// A moment: nanoseconds since the Unix epoch. Whoever appends a record says
/// what time it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns", self.0)
    }
}
