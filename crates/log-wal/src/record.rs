//! A record, as readers get it.

use bytes::Bytes;
use log_core::Lsn;

use crate::format::Codec;

/// A record: its number and its bytes.
///
/// The bytes are shared, not copied: they keep the memory that they lie in
/// (a segment's region, or a buffer of a file) for as long as they are held,
/// and stay as they are whatever the log does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    lsn: Lsn,
    codec: Codec,
    payload: Bytes,
}

impl Record {
    /// A record with this number and these bytes, [plain](Codec::PLAIN).
    #[must_use]
    pub fn new(lsn: Lsn, payload: Bytes) -> Self {
        let codec = Codec::PLAIN;
        Self {
            lsn,
            codec,
            payload,
        }
    }

    /// The same record with another codec.
    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Self {
        Self { codec, ..self }
    }

    /// Its number.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// How its bytes are to be read.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Its bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Its bytes, to keep without a copy.
    #[must_use]
    pub fn into_payload(self) -> Bytes {
        self.payload
    }
}

/// A record where it lies: as [`Record`], but borrowed from who read it, and so
/// cheaper by the counting of who holds the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    lsn: Lsn,
    codec: Codec,
    payload: &'a [u8],
}

impl<'a> RecordRef<'a> {
    pub(crate) fn new(lsn: Lsn, codec: Codec, payload: &'a [u8]) -> Self {
        Self {
            lsn,
            codec,
            payload,
        }
    }

    /// Its number.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// How its bytes are to be read.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Its bytes.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}
