//! Takes the bytes of a record apart: finds where each field lies.
//!
//! Believes no length before it is held against the bytes that there are, and
//! allocates nothing.

use std::ops::Range;

use log_wal::Codec;

use super::fields::Fields;
use super::{EnvelopeFault, Timestamp, varint};

/// Where the fields of one record lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) fields: Fields,
    pub(super) schema_version: u32,
    pub(super) batch_count: u32,
    key: Place,
    headers: Place,
    /// Where the payload begins, which goes to the end.
    payload: u32,
}

/// A stretch of a record, which is shorter than 2^28 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    start: u32,
    end: u32,
}

impl Place {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Parts {
    /// Finds the fields that `codec` names.
    #[inline]
    pub(super) fn find(codec: Codec, bytes: &[u8]) -> Result<Self, EnvelopeFault> {
        let fields = Fields::from_codec(codec).ok_or(EnvelopeFault::UnknownFields)?;
        let mut parts = Self {
            fields,
            batch_count: 1,
            ..Self::default()
        };
        if fields.has(Fields::TIMESTAMP) {
            if bytes.len() < size_of::<u64>() {
                return Err(EnvelopeFault::Cut);
            }
            parts.payload = size_of::<u64>() as u32;
        }
        // Most records have no more.
        if fields.with(Fields::TIMESTAMP, true) != Fields::TIMESTAMP {
            parts.find_rest(bytes)?;
        }
        Ok(parts)
    }

    fn find_rest(&mut self, bytes: &[u8]) -> Result<(), EnvelopeFault> {
        // No record of a log is longer.
        if u32::try_from(bytes.len()).is_err() {
            return Err(EnvelopeFault::Cut);
        }
        let mut walk = Walk {
            bytes,
            at: self.payload as usize,
        };
        if self.fields.has(Fields::SCHEMA_VERSION) {
            self.schema_version = walk.number_but(0)?;
        }
        if self.fields.has(Fields::BATCH_COUNT) {
            self.batch_count = walk.number_but(1)?;
        }
        if self.fields.has(Fields::KEY) {
            self.key = walk.framed()?;
        }
        if self.fields.has(Fields::HEADERS) {
            self.headers = walk.headers()?;
        }
        self.payload = walk.at as u32;
        Ok(())
    }

    #[inline]
    pub(super) fn timestamp(&self, bytes: &[u8]) -> Option<Timestamp> {
        timestamp(self.fields.to_codec(), bytes)
    }

    pub(super) fn key<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let is_there = self.fields.has(Fields::KEY);
        is_there.then(|| bytes.get(self.key.range()).unwrap_or_default())
    }

    /// The headers, without their count.
    pub(super) fn headers<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.headers.range()).unwrap_or_default()
    }

    #[inline]
    pub(super) fn payload<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.payload as usize..).unwrap_or_default()
    }
}

/// The timestamp of a record, whatever else it carries; `None` if it has none,
/// or if its codec is not known.
#[inline]
pub(crate) fn timestamp(codec: Codec, bytes: &[u8]) -> Option<Timestamp> {
    if !Fields::from_codec(codec)?.has(Fields::TIMESTAMP) {
        return None;
    }
    let bytes = bytes.first_chunk()?;
    Some(Timestamp(u64::from_le_bytes(*bytes)))
}

/// A walk over the fields of one record.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn number(&mut self) -> Result<u32, EnvelopeFault> {
        let rest = self.rest();
        let Some((number, behind)) = varint::read(rest) else {
            // Whether its end is there.
            let ends = rest.iter().take(5).any(|byte| byte & 0x80 == 0);
            return Err(match ends || rest.len() >= 5 {
                true => EnvelopeFault::NotCanonical,
                false => EnvelopeFault::Cut,
            });
        };
        self.at += rest.len() - behind.len();
        Ok(number)
    }

    /// A number that is not written if it is `none`.
    fn number_but(&mut self, none: u32) -> Result<u32, EnvelopeFault> {
        let number = self.number()?;
        match number == none {
            true => Err(EnvelopeFault::NotCanonical),
            false => Ok(number),
        }
    }

    /// Bytes behind their length.
    fn framed(&mut self) -> Result<Place, EnvelopeFault> {
        let len = self.number()? as usize;
        if len > self.rest().len() {
            return Err(EnvelopeFault::Cut);
        }
        let start = self.at as u32;
        self.at += len;
        Ok(Place {
            start,
            end: self.at as u32,
        })
    }

    fn headers(&mut self) -> Result<Place, EnvelopeFault> {
        let count = self.number_but(0)?;
        let start = self.at as u32;
        // However many are claimed, each takes two bytes at least: this ends.
        for _ in 0..count {
            let name = self.framed()?;
            let name = self.bytes.get(name.range()).unwrap_or_default();
            std::str::from_utf8(name).map_err(|_| EnvelopeFault::Name)?;
            self.framed()?;
        }
        Ok(Place {
            start,
            end: self.at as u32,
        })
    }
}

/// The first of `headers`, and what is behind it. They have been walked over
/// before, so that `None` is the end.
pub(super) fn split_header(headers: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let (name, rest) = split_framed(headers)?;
    let (value, rest) = split_framed(rest)?;
    Some((std::str::from_utf8(name).ok()?, value, rest))
}

fn split_framed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = varint::read(bytes)?;
    rest.split_at_checked(len as usize)
}
