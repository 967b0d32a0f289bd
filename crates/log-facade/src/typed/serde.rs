//! Codecs for whatever serde can serialize.
//!
//! Neither guesses at older versions: a payload of postcard does not say what
//! its fields are, so reading it with another schema could give a wrong value
//! without an error. [`Migrated`](super::Migrated) says how.

use ::serde::Serialize;
use ::serde::de::DeserializeOwned;

use super::codec::{BoxError, ValueCodec};

/// Neither the codec's version nor one that it was told how to migrate.
#[derive(Debug, thiserror::Error)]
#[error(
    "schema version {schema_version} has to be migrated to {known}, and the codec is not told how"
)]
struct OlderSchema {
    schema_version: u32,
    known: u32,
}

fn check(schema_version: u32, known: u32) -> Result<(), OlderSchema> {
    match schema_version == known {
        true => Ok(()),
        false => Err(OlderSchema {
            schema_version,
            known,
        }),
    }
}

/// Values as JSON (feature `json`).
///
/// Reads records of its own version only; see [`Migrated`](super::Migrated) for
/// older ones.
#[cfg(feature = "json")]
#[derive(Clone, Copy, Debug)]
pub struct Json {
    schema_version: u32,
}

#[cfg(feature = "json")]
impl Json {
    /// A codec that writes version `schema_version`.
    #[must_use]
    pub fn new(schema_version: u32) -> Self {
        Self { schema_version }
    }
}

#[cfg(feature = "json")]
impl<T: Serialize + DeserializeOwned> ValueCodec<T> for Json {
    fn schema_version(&self) -> u32 {
        self.schema_version
    }

    fn encode(&self, value: &T, payload: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(serde_json::to_writer(payload, value)?)
    }

    fn decode(&self, schema_version: u32, payload: &[u8]) -> Result<T, BoxError> {
        check(schema_version, self.schema_version)?;
        Ok(serde_json::from_slice(payload)?)
    }
}

/// Values in the compact format of postcard (feature `postcard`).
///
/// Reads records of its own version only; see [`Migrated`](super::Migrated) for
/// older ones. Bytes behind the value are refused.
#[cfg(feature = "postcard")]
#[derive(Clone, Copy, Debug)]
pub struct Postcard {
    schema_version: u32,
}

#[cfg(feature = "postcard")]
impl Postcard {
    /// A codec that writes version `schema_version`.
    #[must_use]
    pub fn new(schema_version: u32) -> Self {
        Self { schema_version }
    }
}

#[cfg(feature = "postcard")]
impl<T: Serialize + DeserializeOwned> ValueCodec<T> for Postcard {
    fn schema_version(&self) -> u32 {
        self.schema_version
    }

    fn encode(&self, value: &T, payload: &mut Vec<u8>) -> Result<(), BoxError> {
        *payload = postcard::to_extend(value, std::mem::take(payload))?;
        Ok(())
    }

    fn decode(&self, schema_version: u32, payload: &[u8]) -> Result<T, BoxError> {
        check(schema_version, self.schema_version)?;
        match postcard::take_from_bytes(payload)? {
            (value, []) => Ok(value),
            (_, rest) => Err(format!("{} bytes behind the value", rest.len()).into()),
        }
    }
}
