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
/// nothing. A [`RecordRef`] only borrows that memory.
#[derive(Clone, Copy)]
pub struct Record<B = Bytes> {
    lsn: Lsn,
    /// Envelope and payload.
    bytes: B,
    parts: Parts,
}

/// A record where it lies: as a [`Record`] to keep, but borrowed from who read
/// it, and so cheaper by the counting of who holds the memory.
pub type RecordRef<'a> = Record<&'a [u8]>;

impl<B: AsRef<[u8]>> Record<B> {
    /// A record of these bytes, as `codec` says that they are to be read: what
    /// [`NewRecord`](super::NewRecord) gives to an engine of somebody's own.
    ///
    /// # Errors
    ///
    /// See [`EnvelopeFault`].
    #[inline]
    pub fn from_parts(lsn: Lsn, codec: Codec, bytes: B) -> Result<Self, EnvelopeFault> {
        let parts = Parts::find(codec, bytes.as_ref())?;
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
        self.parts.payload(self.bytes.as_ref())
    }

    /// When it happened, if that was said.
    #[must_use]
    #[inline]
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.parts.timestamp(self.bytes.as_ref())
    }

    /// What it is about, if that was said.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.parts.key(self.bytes.as_ref())
    }

    /// Its headers, names and values, in the order in which they were given.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers {
            rest: self.parts.headers(self.bytes.as_ref()),
        }
    }

    /// The version of what its payload is written in; 0 if that was not said.
    #[must_use]
    pub fn schema_version(&self) -> u32 {
        self.parts.schema_version(self.bytes.as_ref())
    }

    /// How many values its payload holds; 1 if that was not said.
    #[must_use]
    pub fn batch_count(&self) -> u32 {
        self.parts.batch_count(self.bytes.as_ref())
    }
}

impl<B> Record<B> {
    /// The same record, whose bytes are these.
    #[inline]
    pub(crate) fn in_bytes<C>(&self, bytes: C) -> Record<C> {
        Record {
            lsn: self.lsn,
            bytes,
            parts: self.parts,
        }
    }

    /// Its bytes, the envelope in front.
    #[inline]
    pub(crate) fn bytes(&self) -> &B {
        &self.bytes
    }
}

impl Record {
    /// Its payload, to keep without a copy.
    #[must_use]
    pub fn into_payload(self) -> Bytes {
        let envelope_bytes = self.bytes.len() - self.payload().len();
        let mut bytes = self.bytes;
        bytes::Buf::advance(&mut bytes, envelope_bytes);
        bytes
    }

    /// The same record, lent.
    #[must_use]
    #[inline]
    pub fn lent(&self) -> RecordRef<'_> {
        self.in_bytes(&self.bytes)
    }
}

impl<'a> RecordRef<'a> {
    /// Its payload, for as long as the record is lent.
    #[must_use]
    #[inline]
    pub fn into_slice(self) -> &'a [u8] {
        self.parts.payload(self.bytes)
    }

    /// The record, to keep: a copy.
    #[must_use]
    pub fn copied(&self) -> Record {
        self.in_bytes(Bytes::copy_from_slice(self.bytes))
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
impl<B: AsRef<[u8]>> PartialEq for Record<B> {
    fn eq(&self, other: &Self) -> bool {
        // There is one way to write a record.
        self.lsn == other.lsn
            && self.parts == other.parts
            && self.bytes.as_ref() == other.bytes.as_ref()
    }
}

impl<B: AsRef<[u8]>> Eq for Record<B> {}

impl<B: AsRef<[u8]>> fmt::Debug for Record<B> {
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
