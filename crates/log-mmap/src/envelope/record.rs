//! A record, as readers get it.

use std::fmt;

use bytes::Bytes;
use log_wal::{Codec, Lsn, ReadError};

use super::parts::{Parts, split_header};
use super::{EnvelopeFault, Timestamp};

/// A record: its number, its payload, and what it carries.
///
/// Everything is a slice of the memory that the record lies in, the mapping of
/// its segment or the region that it was built in, which it keeps for as long
/// as it is held (`INV-M5`). Nothing was copied, and taking it apart allocates
/// nothing.
#[derive(Clone)]
pub struct Record {
    lsn: Lsn,
    /// Envelope and payload.
    bytes: Bytes,
    parts: Parts,
}

impl Record {
    /// A record of these bytes, as `codec` says that they are to be read: what
    /// [`NewRecord`](super::NewRecord) gives to an engine of somebody's own.
    ///
    /// # Errors
    ///
    /// See [`EnvelopeFault`].
    #[inline]
    pub fn from_parts(lsn: Lsn, codec: Codec, bytes: Bytes) -> Result<Self, EnvelopeFault> {
        let parts = Parts::find(codec, &bytes)?;
        Ok(Self { lsn, bytes, parts })
    }

    /// Its number.
    #[must_use]
    #[inline]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// What was appended, without what it carries.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.parts.payload(&self.bytes)
    }

    /// Its payload, to keep without a copy.
    #[must_use]
    pub fn into_payload(self) -> Bytes {
        let envelope_bytes = self.bytes.len() - self.payload().len();
        let mut bytes = self.bytes;
        bytes::Buf::advance(&mut bytes, envelope_bytes);
        bytes
    }

    /// When it happened, if that was said.
    #[must_use]
    #[inline]
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.parts.timestamp(&self.bytes)
    }

    /// What it is about, if that was said.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.parts.key(&self.bytes)
    }

    /// Its headers, names and values, in the order in which they were given.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers {
            rest: self.parts.headers(&self.bytes),
        }
    }

    /// The version of what its payload is written in; 0 if that was not said.
    #[must_use]
    pub fn schema_version(&self) -> u32 {
        self.parts.schema_version
    }

    /// How many values its payload holds; 1 if that was not said.
    #[must_use]
    pub fn batch_count(&self) -> u32 {
        self.parts.batch_count
    }
}

impl TryFrom<log_wal::Record> for Record {
    type Error = ReadError;

    /// Takes apart what the write-ahead log hands out.
    #[inline]
    fn try_from(record: log_wal::Record) -> Result<Self, ReadError> {
        let (lsn, codec) = (record.lsn(), record.codec());
        Self::from_parts(lsn, codec, record.into_payload())
            .map_err(|fault| fault.of_record(lsn, codec))
    }
}

/// Two records are the same if they have the same number and say the same.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        // There is one way to write a record.
        self.lsn == other.lsn && self.parts == other.parts && self.bytes == other.bytes
    }
}

impl Eq for Record {}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Record");
        shown.field("lsn", &self.lsn);
        if let Some(timestamp) = self.timestamp() {
            shown.field("timestamp", &timestamp.0);
        }
        if let Some(key) = self.key() {
            shown.field("key", &Bytes::copy_from_slice(key));
        }
        shown
            .field("headers", &self.headers().count())
            .field("payload", &Bytes::copy_from_slice(self.payload()))
            .finish_non_exhaustive()
    }
}

/// The headers of a [`Record`]: names and values.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value, rest) = split_header(self.rest)?;
        self.rest = rest;
        Some((name, value))
    }
}

impl std::iter::FusedIterator for Headers<'_> {}
