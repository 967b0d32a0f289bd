//! Takes the bytes of a record apart: finds where each field lies.
//!
//! Believes no length before it is held against the bytes that there are, and
//! allocates nothing.

use log_wal::Codec;

use super::fields::Fields;
use super::{EnvelopeFault, Timestamp, varint};

/// What one record carries, and where its payload begins. The fields between
/// are found again when somebody asks for them, which few do: a record is
/// moved more often than it is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    fields: Fields,
    /// It goes to the end. A record is shorter than 2^28 bytes.
    payload: u32,
}

impl Parts {
    /// Checks the fields that `codec` names.
    #[inline]
    pub(super) fn find(codec: Codec, bytes: &[u8]) -> Result<Self, EnvelopeFault> {
        let fields = Fields::from_codec(codec).ok_or(EnvelopeFault::UnknownFields)?;
        let mut payload = 0;
        if fields.has(Fields::TIMESTAMP) {
            if bytes.len() < size_of::<u64>() {
                return Err(EnvelopeFault::Cut);
            }
            payload = size_of::<u64>() as u32;
        }
        // Most records have no more.
        if fields.with(Fields::TIMESTAMP, true) != Fields::TIMESTAMP {
            payload = check_rest(fields, bytes, payload)?;
        }
        Ok(Self { fields, payload })
    }

    #[inline]
    pub(super) fn timestamp(self, bytes: &[u8]) -> Option<Timestamp> {
        timestamp(self.fields.to_codec(), bytes)
    }

    pub(super) fn schema_version(self, bytes: &[u8]) -> u32 {
        let version = self.field(Fields::SCHEMA_VERSION, bytes);
        version.map_or(0, |mut walk| walk.number().unwrap_or(0))
    }

    pub(super) fn batch_count(self, bytes: &[u8]) -> u32 {
        let count = self.field(Fields::BATCH_COUNT, bytes);
        count.map_or(1, |mut walk| walk.number().unwrap_or(1))
    }

    pub(super) fn key(self, bytes: &[u8]) -> Option<&[u8]> {
        self.field(Fields::KEY, bytes)?.framed().ok()
    }

    /// The headers, without their count.
    pub(super) fn headers(self, bytes: &[u8]) -> &[u8] {
        let envelope = bytes.get(..self.payload as usize).unwrap_or_default();
        let headers = self.field(Fields::HEADERS, envelope);
        headers.map_or(&[], |mut walk| {
            _ = walk.number();
            walk.rest()
        })
    }

    #[inline]
    pub(super) fn payload(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.payload as usize..).unwrap_or_default()
    }

    /// A walk that stands at the given field; `None` if it is not there.
    fn field(self, wanted: Fields, bytes: &[u8]) -> Option<Walk<'_>> {
        if !self.fields.has(wanted) {
            return None;
        }
        let at = match self.fields.has(Fields::TIMESTAMP) {
            true => size_of::<u64>(),
            false => 0,
        };
        let mut walk = Walk { bytes, at };
        for field in [Fields::SCHEMA_VERSION, Fields::BATCH_COUNT, Fields::KEY] {
            if field == wanted {
                break;
            }
            if self.fields.has(field) {
                match field {
                    Fields::KEY => _ = walk.framed().ok()?,
                    _ => _ = walk.number().ok()?,
                }
            }
        }
        Some(walk)
    }
}

/// Checks what lies behind the timestamp, from `start` on. Returns where the
/// payload begins.
fn check_rest(fields: Fields, bytes: &[u8], start: u32) -> Result<u32, EnvelopeFault> {
    // No record of a log is longer.
    if u32::try_from(bytes.len()).is_err() {
        return Err(EnvelopeFault::Cut);
    }
    let at = start as usize;
    let mut walk = Walk { bytes, at };
    if fields.has(Fields::SCHEMA_VERSION) {
        walk.number_but(0)?;
    }
    if fields.has(Fields::BATCH_COUNT) {
        walk.number_but(1)?;
    }
    if fields.has(Fields::KEY) {
        walk.framed()?;
    }
    if fields.has(Fields::HEADERS) {
        walk.headers()?;
    }
    Ok(walk.at as u32)
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
    fn framed(&mut self) -> Result<&'a [u8], EnvelopeFault> {
        let len = self.number()? as usize;
        let (framed, _) = self
            .rest()
            .split_at_checked(len)
            .ok_or(EnvelopeFault::Cut)?;
        self.at += len;
        Ok(framed)
    }

    fn headers(&mut self) -> Result<(), EnvelopeFault> {
        let count = self.number_but(0)?;
        // However many are claimed, each takes two bytes at least: this ends.
        for _ in 0..count {
            std::str::from_utf8(self.framed()?).map_err(|_| EnvelopeFault::Name)?;
            self.framed()?;
        }
        Ok(())
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
