//! What can go wrong between a value and its record.

use super::codec::BoxError;
use crate::{AppendError, Lsn, NextError, ReadError};

/// Why a value was not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedAppendError {
    /// The codec refused it. Nothing was appended; other values can be.
    #[error("value {index} of type {type_name} cannot be encoded: {source}")]
    Encode {
        /// Its place in the batch; 0 for a single one.
        index: usize,
        /// The type, as Rust calls it.
        type_name: &'static str,
        /// What the codec said.
        source: BoxError,
    },

    /// As for bytes.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Why a record gave no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedReadError {
    /// The record was written with a newer schema than the codec knows. Read it
    /// with a newer build.
    #[error(
        "record {lsn} has version {schema_version} of the schema of {type_name}, this build knows {known} at most"
    )]
    NewerSchema {
        /// The record.
        lsn: Lsn,
        /// The type, as Rust calls it.
        type_name: &'static str,
        /// The version that the record has.
        schema_version: u32,
        /// The version that the codec writes.
        known: u32,
    },

    /// The codec refused the payload, which is as it was appended: it is of
    /// another type, or of a version that the codec has forgotten. Other
    /// records can be read.
    #[error("record {lsn} with schema version {schema_version} is not a {type_name}: {source}")]
    Decode {
        /// The record.
        lsn: Lsn,
        /// The type, as Rust calls it.
        type_name: &'static str,
        /// The version that the record has; 0 for none.
        schema_version: u32,
        /// What the codec said.
        source: BoxError,
    },

    /// As for bytes.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a subscription has no next value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedNextError {
    /// As for [`NextError`].
    #[error(transparent)]
    Next(#[from] NextError),

    /// The record that came gave no value. Call again: the subscription goes on
    /// behind it.
    #[error(transparent)]
    Value(TypedReadError),
}
