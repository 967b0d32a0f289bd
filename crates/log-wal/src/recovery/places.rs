//! The segment files of a log in any state: each with a header that can be
//! believed, or without.

use std::path::PathBuf;

use log_core::Lsn;

use super::chain::{Link, open_link};
use super::table::BROKEN_CHAIN;
use crate::error::{Damage, OpenError};
use crate::format::SegmentName;
use crate::storage::Storage;

/// A segment file: with a header of this log, or without.
#[derive(Debug)]
pub(super) enum Place {
    Good(Box<Link>),
    Bad(Damage),
}

impl Place {
    pub(super) fn link(&self) -> Option<&Link> {
        match self {
            Self::Good(link) => Some(link),
            Self::Bad(_) => None,
        }
    }

    fn base(&self) -> Lsn {
        match self {
            Self::Good(link) => link.header.base,
            Self::Bad(damage) => damage.lsn.unwrap_or_default(),
        }
    }
}

/// Where the log begins: a name alone may say what it likes, but not a later
/// place than the first header.
pub(super) fn first_lsn(places: &[Place]) -> Lsn {
    let is_good = |place: &Place| matches!(place, Place::Good(_));
    let named = places.iter().take_while(|place| !is_good(place));
    let good = places.iter().find(|place| is_good(place));
    let bases = named.chain(good).map(Place::base);
    bases.min().unwrap_or_default()
}

/// Opens every segment that is not discarded; oldest first.
pub(super) fn places(
    storage: &dyn Storage,
    listed: &[SegmentName],
) -> Result<Vec<Place>, OpenError> {
    let mut places = Vec::new();
    let mut discarded_from = None;
    for name in listed.iter().rev() {
        if discarded_from.is_some_and(|from| name.id >= from) {
            continue;
        }
        let successor = match places.last() {
            Some(Place::Good(next)) => Some(next.header),
            _ => None,
        };
        match open_link(storage, *name, successor.as_ref()) {
            Ok(link) => {
                if link.header.truncates {
                    // All, if it was cut in front of its first record.
                    discarded_from = Some(link.header.predecessor.map_or(0, |kept| kept.id + 1));
                }
                places.push(Place::Good(Box::new(link)));
            }
            Err(OpenError::Damaged(damage)) => places.push(Place::Bad(damage)),
            Err(OpenError::Foreign { path, reason }) => {
                places.push(Place::Bad(foreign(path, *name, reason)));
            }
            Err(error) => return Err(error),
        }
    }
    places.reverse();
    call_strangers(storage, &mut places);
    Ok(places)
}

/// Of segments of several logs the most numerous are the log.
fn call_strangers(storage: &dyn Storage, places: &mut [Place]) {
    let uuids: Vec<_> = places
        .iter()
        .filter_map(|place| match place {
            Place::Good(link) => Some(link.header.log_uuid),
            Place::Bad(_) => None,
        })
        .collect();
    let count = |uuid: &[u8; 16]| uuids.iter().filter(|other| *other == uuid).count();
    let Some(own) = uuids.iter().max_by_key(|uuid| count(uuid)).copied() else {
        return;
    };
    for place in places {
        if let Place::Good(link) = place
            && link.header.log_uuid != own
        {
            let path = storage.path(&link.name.to_string());
            *place = Place::Bad(foreign(path, link.name, "it belongs to another log"));
        }
    }
}

fn foreign(path: PathBuf, name: SegmentName, reason: &str) -> Damage {
    Damage {
        path,
        position: 0,
        lsn: Some(name.base),
        row: BROKEN_CHAIN,
        reason: reason.to_owned(),
        lost: None,
    }
}
