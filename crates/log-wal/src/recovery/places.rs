//! The segment files of a log in any state: each with a header that can be
//! believed, or without.
//!
//! No record is in two of them: where a later one begins, those before it end,
//! whatever lies in them. What a truncation has discarded is still there, as
//! whole as it was, and must not come back with the header that said so lost
//! (`INV-W8`).

use log_core::Lsn;

use super::chain::{Link, most_numerous, open_link};
use super::scan::NO_LIMIT;
use super::table::BROKEN_CHAIN;
use crate::error::{Damage, OpenError};
use crate::format::SegmentName;
use crate::storage::Storage;

/// A segment file.
#[derive(Debug)]
pub(super) struct Place {
    pub name: SegmentName,
    pub file: File,
}

#[derive(Debug)]
pub(super) enum File {
    /// With a header of this log.
    Good(Box<Link>),
    /// Nothing is known of it but its name.
    Bad(Damage),
    /// It has no place in this log.
    Strange(Damage),
}

impl Place {
    pub(super) fn link(&self) -> Option<&Link> {
        match &self.file {
            File::Good(link) => Some(link),
            File::Bad(_) | File::Strange(_) => None,
        }
    }

    fn becomes_strange(&mut self, storage: &dyn Storage, reason: &str) {
        self.file = File::Strange(foreign(storage, self.name, reason));
    }

    /// From which record on those before it have nothing, in a log of which the
    /// first good header says that it begins at `first`. A name alone may say
    /// what it likes, but not that there is nothing.
    fn limit(&self, first: Lsn) -> Lsn {
        match self.file {
            File::Bad(_) if self.name.base < first => NO_LIMIT,
            File::Good(_) | File::Bad(_) => self.name.base,
            File::Strange(_) => NO_LIMIT,
        }
    }
}

/// Where the log begins: a name alone may say what it likes, but not a later
/// place than the first header.
pub(super) fn first_lsn(places: &[Place]) -> Lsn {
    let is_good = |place: &Place| place.link().is_some();
    let named = places.iter().take_while(|place| !is_good(place));
    let good = places.iter().find(|place| is_good(place));
    let bases = named.chain(good).map(|place| place.name.base);
    bases.min().unwrap_or_default()
}

/// Opens every segment that is not discarded; oldest first.
pub(super) fn places(
    storage: &dyn Storage,
    listed: &[SegmentName],
) -> Result<Vec<Place>, OpenError> {
    let opened = listed.iter().map(|name| open_link(storage, *name, None));
    let opened: Vec<_> = opened.collect();
    // Of segments of several logs the most numerous are the log. The others
    // discard nothing of it.
    let links = opened.iter().flatten();
    let uuids: Vec<_> = links.map(|link| link.header.log_uuid).collect();
    let own = most_numerous(&uuids).map(|(own, _)| own);
    let mut places: Vec<Place> = Vec::new();
    let mut discarded_from = None;
    for (name, opened) in listed.iter().zip(opened).rev() {
        if discarded_from.is_some_and(|from| name.id >= from) {
            continue;
        }
        let strange = |reason| foreign(storage, *name, reason);
        let file = match opened {
            Ok(link) if Some(link.header.log_uuid) != own => {
                File::Strange(strange("it belongs to another log"))
            }
            Ok(link) => {
                if link.header.truncates {
                    // All, if it was cut in front of its first record.
                    discarded_from = Some(link.header.predecessor.map_or(0, |kept| kept.id + 1));
                }
                File::Good(Box::new(link))
            }
            Err(OpenError::Damaged(damage)) => File::Bad(damage),
            Err(OpenError::Foreign { reason, .. }) => File::Bad(strange(reason)),
            Err(error) => return Err(error),
        };
        places.push(Place { name: *name, file });
    }
    places.reverse();
    call_doubles_strange(storage, &mut places);
    call_outlived_strange(storage, &mut places);
    Ok(places)
}

/// The record that each may not come to, because a later one begins there.
pub(super) fn limits(places: &[Place]) -> Vec<Lsn> {
    let first = places.iter().find_map(Place::link);
    let first = first.map_or(Lsn::ZERO, |link| link.header.base);
    let mut limit = NO_LIMIT;
    let mut limits = Vec::with_capacity(places.len());
    for place in places.iter().rev() {
        limits.push(limit);
        limit = limit.min(place.limit(first));
    }
    limits.reverse();
    limits
}

/// Nothing counts of what begins behind where a later one begins: a truncation
/// has discarded it. A cut must not keep it either.
fn call_outlived_strange(storage: &dyn Storage, places: &mut [Place]) {
    let limits = limits(places);
    for (place, limit) in places.iter_mut().zip(limits) {
        if place.link().is_some_and(|link| link.header.base > limit) {
            place.becomes_strange(storage, "a later segment begins in front of it");
        }
    }
}

/// Of several files with the same id one is the segment. It comes last of them:
/// a cut discards by ids, and cannot keep it without the others.
fn call_doubles_strange(storage: &dyn Storage, places: &mut [Place]) {
    for doubles in places.chunk_by_mut(|one, other| one.name.id == other.name.id) {
        let Some(good) = doubles.iter().position(|place| place.link().is_some()) else {
            continue;
        };
        let last = doubles.len() - 1;
        doubles.swap(good, last);
        for double in &mut doubles[..last] {
            double.becomes_strange(storage, "another file has its id");
        }
    }
}

fn foreign(storage: &dyn Storage, name: SegmentName, reason: &str) -> Damage {
    Damage {
        path: storage.path(&name.to_string()),
        position: 0,
        lsn: Some(name.base),
        row: BROKEN_CHAIN,
        reason: reason.to_owned(),
        lost: None,
    }
}
