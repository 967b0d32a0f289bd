//! Places in a sealed segment from which the way to a record is short.
//!
//! They are those that the tail kept while the segment was in memory, or, of a
//! segment that was found on disk, come from one walk by the lengths of its
//! frames. Hints: what is found by them is believed by its own checksum alone,
//! which covers place and number.

use log_core::{Lsn, SegmentEnd};

use crate::segment::End;

/// About how far they are apart: what is read to find one record.
const STRIDE_BYTES: u64 = 4096;

/// A place between two records.
#[derive(Clone, Copy, Debug)]
struct Waypoint {
    /// How many records of the segment lie before it.
    records: u32,
    /// In units of eight bytes: as the positions of the longest region, it
    /// fits.
    position_units: u32,
}

const UNIT_BYTES: u64 = 8;

impl Waypoint {
    fn position(self) -> u64 {
        u64::from(self.position_units) * UNIT_BYTES
    }
}

/// The waypoints of one segment, ascending.
#[derive(Debug)]
pub(crate) struct Waypoints {
    base: Lsn,
    points: Vec<Waypoint>,
}

impl Waypoints {
    /// None yet, of a segment that begins with record `base`.
    pub(crate) fn new(base: Lsn) -> Self {
        let points = Vec::new();
        Self { base, points }
    }

    /// Those that the tail kept.
    pub(crate) fn kept(base: Lsn, places: impl Iterator<Item = SegmentEnd>) -> Self {
        let mut waypoints = Self::new(base);
        for place in places {
            waypoints.push(End {
                lsn: place.lsn,
                position: place.position as u64,
            });
        }
        waypoints
    }

    /// Adds a place behind all others, if it is far enough from the last one.
    pub(crate) fn push(&mut self, place: End) {
        let last = self.points.last().map_or(0, |last| last.position());
        let records = place.lsn.distance_from(self.base);
        if let Some(records) = records.and_then(|it| u32::try_from(it).ok())
            && let Ok(position_units) = u32::try_from(place.position / UNIT_BYTES)
            && place.position / STRIDE_BYTES > last / STRIDE_BYTES
        {
            self.points.push(Waypoint {
                records,
                position_units,
            });
        }
    }

    /// The last place that is not behind record `lsn`, and where the next one
    /// lies.
    pub(crate) fn around(&self, lsn: Lsn) -> (Option<End>, Option<u64>) {
        let records = lsn.distance_from(self.base).unwrap_or_default();
        let behind = |waypoint: &Waypoint| u64::from(waypoint.records) <= records;
        let index = self.points.partition_point(behind);
        let floor = index.checked_sub(1).map(|floor| self.points[floor]);
        let floor = floor.map(|waypoint| End {
            lsn: Lsn(self.base.0 + u64::from(waypoint.records)),
            position: waypoint.position(),
        });
        (floor, self.points.get(index).map(|next| next.position()))
    }
}
