//! Many lookups by number, without counting who holds what.

use log_wal::{Lsn, ReadError};

use crate::current::Watch;
use crate::envelope::{Record, RecordRef};
use crate::source::{self, Source};
use crate::version::Version;

/// Reads records by number and lends them: made by `lookup` of
/// [`Store`](crate::Store) and [`Reader`](crate::Reader), for a thread that
/// looks up many.
///
/// Gives the answers of `read`. A record in a segment that is mapped is found
/// without a store to memory that other threads look at, so that lookups cost
/// no more when all cores make them; others cost what `read` does.
///
/// Keeps the segments mapped that were so at its last look, also those that
/// were dropped since: let it go when there is nothing more to look up.
#[derive(Debug)]
pub struct Lookup<'a> {
    source: &'a dyn Source,
    version: Watch<Version>,
    /// The record that was lent last, if it is in no mapping that we hold.
    held: Option<Record>,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        Self {
            version: source.catalog().watch(),
            source,
            held: None,
        }
    }

    /// Record `lsn`, lent until the next call; `None` as from `read`.
    ///
    /// ```
    /// use log_mmap::{Lsn, Store, StoreOptions};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let store = Store::open(directory.path(), StoreOptions::default())?;
    /// store.append_batch(&[b"one", b"two"])?;
    /// let mut lookup = store.lookup();
    /// for (lsn, payload) in [(Lsn(1), b"two"), (Lsn(0), b"one")] {
    ///     let record = lookup.read(lsn)?.ok_or("not there")?;
    ///     assert_eq!(record.payload(), payload);
    /// }
    /// assert!(lookup.read(Lsn(2))?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As from `read`.
    #[inline]
    pub fn read(&mut self, lsn: Lsn) -> Result<Option<RecordRef<'_>>, ReadError> {
        let mapped = self.version.newest().mapped(lsn);
        if let Some(found) = mapped.and_then(|mapped| mapped.record(lsn)) {
            return found;
        }
        self.held = source::read(self.source, lsn)?;
        Ok(self.held.as_ref().map(Record::lent))
    }
}
