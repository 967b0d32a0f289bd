//! What a codec is, and how one learns to read what its predecessors wrote.

use std::error::Error;
use std::fmt;

/// What a codec fails with.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Turns values into payloads and back.
pub trait ValueCodec<T> {
    /// The version of the schema that [`encode`](Self::encode) writes, stored
    /// with every record. 0 says that there are no versions.
    fn schema_version(&self) -> u32;

    /// Appends the payload of `value` to `payload`, which comes empty.
    ///
    /// # Errors
    ///
    /// For a value that cannot be encoded.
    fn encode(&self, value: &T, payload: &mut Vec<u8>) -> Result<(), BoxError>;

    /// The value of a payload that was written with `schema_version`: the
    /// codec's own or an older one, never a newer one; 0 for a record that was
    /// appended without any.
    ///
    /// # Errors
    ///
    /// For bytes that are not a value, or a version that the codec has
    /// forgotten. It must not panic: these are bytes from a disk.
    fn decode(&self, schema_version: u32, payload: &[u8]) -> Result<T, BoxError>;
}

/// A codec with a way to read what older versions of the schema wrote.
///
/// Records of the codec's own version go to it; older ones go to the function,
/// with their version.
#[derive(Clone)]
pub struct Migrated<C, F> {
    codec: C,
    migrate: F,
}

impl<C, F> Migrated<C, F> {
    /// `codec`, with `migrate(schema_version, payload)` for older records.
    pub fn new<T>(codec: C, migrate: F) -> Self
    where
        C: ValueCodec<T>,
        F: Fn(u32, &[u8]) -> Result<T, BoxError>,
    {
        Self { codec, migrate }
    }
}

impl<C: fmt::Debug, F> fmt::Debug for Migrated<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Migrated");
        shown.field("codec", &self.codec).finish_non_exhaustive()
    }
}

impl<T, C, F> ValueCodec<T> for Migrated<C, F>
where
    C: ValueCodec<T>,
    F: Fn(u32, &[u8]) -> Result<T, BoxError>,
{
    fn schema_version(&self) -> u32 {
        self.codec.schema_version()
    }

    fn encode(&self, value: &T, payload: &mut Vec<u8>) -> Result<(), BoxError> {
        self.codec.encode(value, payload)
    }

    fn decode(&self, schema_version: u32, payload: &[u8]) -> Result<T, BoxError> {
        if schema_version == self.codec.schema_version() {
            return self.codec.decode(schema_version, payload);
        }
        (self.migrate)(schema_version, payload)
    }
}
