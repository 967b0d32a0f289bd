//! Why the bytes of a record are not an envelope and a payload.

use std::fmt;

use log_wal::{Codec, Lsn, ReadError};

/// Why the bytes of a record cannot be taken apart. They are as they were
/// written: a newer version, or something other than this library, wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EnvelopeFault {
    /// The codec names fields that this version does not know.
    UnknownFields,
    /// A field goes beyond the record.
    Cut,
    /// A number is not written in its shortest form, or a value is written
    /// that is as good as none.
    NotCanonical,
    /// A header's name is not UTF-8.
    Name,
}

impl EnvelopeFault {
    /// Says which record it is about.
    #[cold]
    pub(crate) fn of_record(self, lsn: Lsn, codec: Codec) -> ReadError {
        ReadError::Undecodable {
            lsn,
            codec,
            reason: self.reason(),
        }
    }

    /// What is wrong, in words.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnknownFields => "its codec names fields that this version does not know",
            Self::Cut => "a field of its envelope goes beyond it",
            Self::NotCanonical => "its envelope has a number that nobody writes so",
            Self::Name => "the name of a header is not UTF-8",
        }
    }
}

impl fmt::Display for EnvelopeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for EnvelopeFault {}
