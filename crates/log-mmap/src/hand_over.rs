//! Where a record is found while its segment changes from the active one to a
//! mapped one.
//!
//! The write-ahead log lists a segment as sealed before it lets go of its
//! memory. So who looks in the catalog, then in memory, and finds a record in
//! neither, has met the hand-over between the two looks, and a second look at
//! the refreshed catalog finds it (`INV-M1`). If it does not, the record lies in
//! front of the first one.

use log_wal::{Iter, Lsn, Wal};

use crate::catalog::{Catalog, Sealed};

/// A log whose newest records are in memory.
pub(crate) trait Live: Sealed {
    /// A way to read on from a record in memory.
    type Hot;

    /// The way to record `lsn`, if it is in memory.
    fn hot(&self, lsn: Lsn) -> Option<Self::Hot>;
}

impl Live for Wal {
    type Hot = Iter;

    fn hot(&self, lsn: Lsn) -> Option<Iter> {
        self.iter_hot(lsn)
    }
}

/// Where a record lies.
#[derive(Debug)]
pub(crate) enum Whereabouts<C, H> {
    /// In a sealed segment.
    Cold(C),
    /// In memory.
    Hot(H),
    /// In front of the first record, unless the catalog could not be read.
    Gone,
}

/// Finds record `lsn` of `log`, which is published. `look` is how the catalog
/// is looked at.
pub(crate) fn find<L: Live, C>(
    catalog: &Catalog,
    log: &L,
    look: impl Fn(&Catalog) -> Option<C>,
    lsn: Lsn,
) -> Whereabouts<C, L::Hot> {
    if let Some(found) = look(catalog) {
        return Whereabouts::Cold(found);
    }
    if let Some(hot) = log.hot(lsn) {
        return Whereabouts::Hot(hot);
    }
    catalog.refresh(log);
    look(catalog).map_or(Whereabouts::Gone, Whereabouts::Cold)
}
