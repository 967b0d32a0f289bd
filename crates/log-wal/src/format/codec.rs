//! What a record's bytes are.

use std::fmt;

/// How the bytes of a record are to be read. The log carries it beside the
/// record and does not look into the bytes.
///
/// [`PLAIN`](Self::PLAIN) means the user's bytes and nothing else. The other
/// numbers belong to whoever stands on this log: log-mmap takes 1 to `0x1F` for
/// an envelope in front of the payload, a bit for each field of it.
///
/// ```
/// use log_wal::Codec;
///
/// assert_eq!(Codec::new(0), Some(Codec::PLAIN));
/// assert_eq!(Codec::new(0x80), None, "those are no records");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Codec(u8);

impl Codec {
    /// The user's bytes.
    pub const PLAIN: Self = Self(0);

    /// The codec with this number, 0 to `0x7F`.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 0x80 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Its number, which is the kind of the record's frame.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
