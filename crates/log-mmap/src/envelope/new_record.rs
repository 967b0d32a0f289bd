//! A record that is to be appended.

use log_wal::{Codec, Payload};

use super::fields::Fields;
use super::{Timestamp, varint};

/// A record that is to be appended, with what it carries in front of its
/// payload. Borrows everything: it is copied once, into the log.
///
/// What is not given takes no space. A timestamp takes 8 bytes, so that the
/// payload stays 8-aligned; the others take what they need and a byte or two.
/// Together with the payload they are at most as long as the log accepts.
///
/// ```
/// use log_mmap::{NewRecord, Store, StoreOptions, Timestamp};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = Store::open(directory.path(), StoreOptions::default())?;
/// let order = NewRecord::new(b"{\"item\": 7}")
///     .timestamp(Timestamp(1_790_000_000_000_000_000))
///     .key(b"customer 12")
///     .header("content-type", b"application/json")
///     .schema_version(3);
/// let lsn = store.append_record(&order)?;
///
/// let record = store.read(lsn)?.ok_or("not there")?;
/// assert_eq!(record.payload(), b"{\"item\": 7}");
/// assert_eq!(record.key(), Some(&b"customer 12"[..]));
/// assert_eq!(record.schema_version(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord<'a> {
    timestamp: Option<Timestamp>,
    schema_version: u32,
    batch_count: Option<u32>,
    key: Option<&'a [u8]>,
    headers: Vec<(&'a str, &'a [u8])>,
    payload: &'a [u8],
}

impl<'a> NewRecord<'a> {
    /// A record with this payload and nothing else.
    #[must_use]
    #[inline]
    pub fn new(payload: &'a [u8]) -> Self {
        Self {
            payload,
            ..Self::default()
        }
    }

    /// When it happened, by the caller's clock. Need not ascend from record to
    /// record.
    #[must_use]
    #[inline]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Whether it was said when it happened.
    #[must_use]
    #[inline]
    pub fn has_timestamp(&self) -> bool {
        self.timestamp.is_some()
    }

    /// The version of what the payload is written in; 0 is none.
    #[must_use]
    pub fn schema_version(mut self, version: u32) -> Self {
        self.schema_version = version;
        self
    }

    /// How many values the payload holds, for a caller that packs several into
    /// one record; 1 if not said. (An atomic batch of several records is
    /// [`append_records`](crate::Store::append_records).)
    #[must_use]
    pub fn batch_count(mut self, count: u32) -> Self {
        self.batch_count = (count != 1).then_some(count);
        self
    }

    /// What it is about. May be empty, which is not the same as none.
    #[must_use]
    pub fn key(mut self, key: &'a [u8]) -> Self {
        self.key = Some(key);
        self
    }

    /// One more header. Names may be repeated; the order is kept.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: &'a [u8]) -> Self {
        self.headers.push((name, value));
        self
    }

    /// How many bytes it takes in front of its payload.
    #[must_use]
    #[inline]
    pub fn envelope_bytes(&self) -> usize {
        let mut bytes = 0;
        if self.timestamp.is_some() {
            bytes += size_of::<u64>();
        }
        if self.schema_version != 0 {
            bytes += varint::len_bytes(self.schema_version as usize);
        }
        if let Some(count) = self.batch_count {
            bytes += varint::len_bytes(count as usize);
        }
        if let Some(key) = self.key {
            bytes += framed_bytes(key);
        }
        if !self.headers.is_empty() {
            bytes += varint::len_bytes(self.headers.len());
            for (name, value) in &self.headers {
                // The same memory many times can sum up to more than there is.
                bytes = bytes.saturating_add(framed_bytes(name.as_bytes()));
                bytes = bytes.saturating_add(framed_bytes(value));
            }
        }
        bytes
    }

    #[inline]
    fn fields(&self) -> Fields {
        Fields::default()
            .with(Fields::TIMESTAMP, self.timestamp.is_some())
            .with(Fields::SCHEMA_VERSION, self.schema_version != 0)
            .with(Fields::BATCH_COUNT, self.batch_count.is_some())
            .with(Fields::KEY, self.key.is_some())
            .with(Fields::HEADERS, !self.headers.is_empty())
    }
}

/// What the log needs to know to build its frame.
impl Payload for NewRecord<'_> {
    #[inline]
    fn len_bytes(&self) -> usize {
        self.envelope_bytes().saturating_add(self.payload.len())
    }

    #[inline]
    fn codec(&self) -> Codec {
        self.fields().to_codec()
    }

    #[inline]
    fn copy_to(&self, mut place: &mut [u8]) {
        if let Some(timestamp) = self.timestamp {
            place = put(&timestamp.0.to_le_bytes(), place);
        }
        if self.schema_version != 0 {
            place = varint::write(self.schema_version as usize, place);
        }
        if let Some(count) = self.batch_count {
            place = varint::write(count as usize, place);
        }
        if let Some(key) = self.key {
            place = put_framed(key, place);
        }
        if !self.headers.is_empty() {
            place = varint::write(self.headers.len(), place);
            for (name, value) in &self.headers {
                place = put_framed(name.as_bytes(), place);
                place = put_framed(value, place);
            }
        }
        place.copy_from_slice(self.payload);
    }
}

fn framed_bytes(bytes: &[u8]) -> usize {
    varint::len_bytes(bytes.len()) + bytes.len()
}

#[inline]
fn put<'a>(bytes: &[u8], place: &'a mut [u8]) -> &'a mut [u8] {
    let (front, rest) = place.split_at_mut(bytes.len());
    front.copy_from_slice(bytes);
    rest
}

fn put_framed<'a>(bytes: &[u8], place: &'a mut [u8]) -> &'a mut [u8] {
    put(bytes, varint::write(bytes.len(), place))
}
