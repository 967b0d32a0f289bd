//! One version of the catalog, which never changes.
//!
//! It has two lists, both in order: every segment, each base the end of the
//! one before (`INV-M4`), and those that are mapped. A lookup is a binary
//! search in the second, and if that fails in the first, with a segment to map.

use std::sync::Arc;

use log_wal::Lsn;

use crate::directory::Directory;
use crate::mapped::Mapped;
use crate::segment::Segment;

#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub directory: Directory,
    /// The count of sealed segments that `directory` was made from.
    pub count: u64,
    /// In the order of their records.
    mapped: Vec<Seat>,
    /// How many mappings there have been.
    turns: u64,
}

/// The place of a mapping.
#[derive(Clone, Debug)]
struct Seat {
    mapped: Arc<Mapped>,
    /// Its segment's, so that a search does not touch each mapping.
    base: Lsn,
    end: Lsn,
    /// Who came first, goes first.
    turn: u64,
}

/// Where a record lies.
pub(crate) enum Found {
    Mapped(Arc<Mapped>),
    Unmapped(Arc<Segment>),
}

impl Version {
    /// One of a log that begins at `first`, without segments.
    pub(crate) fn empty_at(first: Lsn) -> Self {
        Self {
            directory: Directory::empty_at(first),
            count: 0,
            mapped: Vec::new(),
            turns: 0,
        }
    }

    /// The mapping that has record `lsn`.
    #[inline]
    pub(crate) fn mapped(&self, lsn: Lsn) -> Option<&Arc<Mapped>> {
        let at = self.mapped.partition_point(|seat| seat.end <= lsn);
        let seat = self.mapped.get(at)?;
        (seat.base <= lsn).then_some(&seat.mapped)
    }

    /// The segment that has record `lsn`.
    pub(crate) fn find(&self, lsn: Lsn) -> Option<Found> {
        if let Some(mapped) = self.mapped(lsn) {
            return Some(Found::Mapped(Arc::clone(mapped)));
        }
        let segment = self.directory.find(lsn)?;
        Some(Found::Unmapped(Arc::clone(segment)))
    }

    /// How many segments are mapped.
    #[cfg(test)]
    pub(crate) fn mapped_count(&self) -> usize {
        self.mapped.len()
    }

    /// The version with these segments. Those that are not among them lose
    /// their mapping.
    pub(crate) fn with(&self, directory: Directory, count: u64) -> Self {
        let mut mapped = self.mapped.clone();
        mapped.retain(|seat| directory.has(seat.mapped.segment()));
        Self {
            directory,
            count,
            mapped,
            turns: self.turns,
        }
    }

    /// The version that has this mapping too, and at most `mapped_max`. `None`
    /// if it has it, or has its segment no more.
    pub(crate) fn seating(&self, mapped: &Arc<Mapped>, mapped_max: usize) -> Option<Self> {
        let segment = mapped.segment();
        if !self.directory.has(segment) {
            return None;
        }
        let mut next = self.clone();
        let seat = Seat {
            mapped: Arc::clone(mapped),
            base: segment.base(),
            end: segment.end(),
            turn: self.turns,
        };
        match self.seat_of(segment) {
            Ok(at) if Arc::ptr_eq(&self.mapped[at].mapped, mapped) => return None,
            Ok(at) => next.mapped[at] = seat,
            Err(at) => next.mapped.insert(at, seat),
        }
        next.turns += 1;
        while next.mapped.len() > mapped_max
            && let Some(oldest) = next.oldest()
        {
            next.mapped.remove(oldest);
        }
        Some(next)
    }

    fn seat_of(&self, segment: &Segment) -> Result<usize, usize> {
        let id = |seat: &Seat| seat.mapped.segment().id();
        self.mapped.binary_search_by_key(&segment.id(), id)
    }

    fn oldest(&self) -> Option<usize> {
        let turns = self.mapped.iter().enumerate();
        let oldest = turns.min_by_key(|(_, seat)| seat.turn)?;
        Some(oldest.0)
    }
}
