//! What a store and a reader have in common: where records are looked up, and
//! how.

use std::fmt::Debug;

use log_wal::{Lsn, ReadError};

use crate::by_time::Recent;
use crate::catalog::Catalog;
use crate::envelope::Record;
use crate::records::Records;
use crate::way::Way;

/// Where records can be looked up.
pub(crate) trait Source: Debug + Send + Sync {
    /// The number of the first record that there is.
    fn first(&self) -> Lsn;

    /// One past the last record that can be read now.
    fn end(&self) -> Lsn;

    /// The way to record `lsn`, which is below [`end`](Self::end).
    fn locate(&self, lsn: Lsn) -> Result<Way, ReadError>;

    /// Its sealed segments.
    fn catalog(&self) -> &Catalog;

    /// How far time has come behind those.
    fn recent(&self) -> &Recent;

    /// What to say of record `lsn` in a sealed segment that cannot be read.
    fn explained(&self, lsn: Lsn, error: ReadError) -> ReadError;
}

/// Record `lsn`, if there is one.
#[inline]
pub(crate) fn read(source: &dyn Source, lsn: Lsn) -> Result<Option<Record>, ReadError> {
    match source.catalog().record(lsn) {
        Some(found) => found.map_err(|error| source.explained(lsn, error)),
        None => {
            let behind = Lsn(lsn.0.saturating_add(1));
            Records::new(source, lsn, behind).next().transpose()
        }
    }
}
