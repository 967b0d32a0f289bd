//! Places in a sealed segment from which the way to a record is short.
//!
//! They are those that the tail kept while the segment was in memory, or, of a
//! segment that was found on disk, come from one walk by the lengths of its
//! frames. Hints: what is found by them is believed by its own checksum alone,
//! which covers place and number.

use std::ops::Range;

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

    /// The way to record `lsn`.
    pub(crate) fn to(&self, lsn: Lsn) -> Way {
        let records = lsn.distance_from(self.base).unwrap_or_default();
        let index = self.behind(records);
        let floor = index.checked_sub(1).map(|floor| self.points[floor]);
        let next = self.points.get(index).copied();
        Way {
            floor: floor.map(|waypoint| End {
                lsn: Lsn(self.base.0 + u64::from(waypoint.records)),
                position: waypoint.position(),
            }),
            next: next.map(Waypoint::position),
            guess: floor.zip(next).and_then(|(floor, next)| {
                let ahead = records - u64::from(floor.records);
                let frame_bytes = even_share(floor, next)?;
                let position = floor.position() + ahead * frame_bytes;
                Some(position..position + frame_bytes)
            }),
        }
    }

    /// How many places are not behind the first `records` records.
    fn behind(&self, records: u64) -> usize {
        let points = &self.points;
        let is_not_behind = |point: &Waypoint| u64::from(point.records) <= records;
        // Where it is if records are about as long everywhere: a table of many
        // segments is in no cache.
        let last = points.last().map_or(0, |last| u64::from(last.records));
        let guess = records.min(last) as usize * points.len() / (last as usize + 1);
        let (low, high) = (guess.saturating_sub(1), guess + 2);
        if let Some(near) = points.get(low..high)
            && near.first().is_some_and(is_not_behind)
            && !near.last().is_some_and(is_not_behind)
        {
            return low + near.partition_point(is_not_behind);
        }
        points.partition_point(is_not_behind)
    }
}

/// The length of a frame between the two, if they can all have the same.
fn even_share(floor: Waypoint, next: Waypoint) -> Option<u64> {
    let records = next.records.checked_sub(floor.records)?;
    let units = next.position_units.checked_sub(floor.position_units)?;
    let is_even = units.checked_rem(records)? == 0;
    is_even.then(|| u64::from(units / records) * UNIT_BYTES)
}

/// How to come to a record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    /// The last place that is known not to be behind it.
    pub floor: Option<End>,
    /// The position of the next place that is.
    pub next: Option<u64>,
    /// Where it lies if the frames in between have the same length.
    pub guess: Option<Range<u64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waypoints(places: &[(u64, u64)]) -> Waypoints {
        let mut waypoints = Waypoints::new(Lsn(100));
        for (records, position) in places {
            waypoints.push(End {
                lsn: Lsn(100 + records),
                position: *position,
            });
        }
        waypoints
    }

    #[test]
    fn the_way_begins_at_the_last_place_before_the_record() {
        // Lengths that make every guess of the index wrong, and right ones.
        let uneven = (0..200).map(|it| (it * it, (it + 2) * STRIDE_BYTES));
        let even = (0..200).map(|it| (it * 15, (it + 2) * STRIDE_BYTES));
        for places in [uneven.collect::<Vec<_>>(), even.collect()] {
            let waypoints = waypoints(&places);
            for records in 0..=places[199].0 + 100 {
                let after = places.iter().position(|(before, _)| *before > records);
                let (_, floor) = places[after.unwrap_or(200) - 1];
                let way = waypoints.to(Lsn(100 + records));
                assert_eq!(way.floor.map(|floor| floor.position), Some(floor));
                assert_eq!(way.next, after.map(|after| places[after].1));
            }
        }
        assert_eq!(waypoints(&[]).to(Lsn(100)).floor, None);
    }

    #[test]
    fn records_of_one_length_are_found_at_once_and_others_are_not_guessed() {
        let waypoints = waypoints(&[(10, 8192), (26, 8192 + 16 * 272), (29, 17000)]);
        assert_eq!(waypoints.to(Lsn(115)).guess, Some(9552..9824));
        assert_eq!(waypoints.to(Lsn(127)).guess, None, "no even share");
        assert_eq!(waypoints.to(Lsn(130)).guess, None, "no end");
    }

    #[test]
    fn places_that_are_near_each_other_are_one() {
        let way = waypoints(&[(1, 4096), (2, 4200), (3, 8200)]).to(Lsn(102));
        assert_eq!(way.floor.map(|floor| floor.lsn), Some(Lsn(101)));
    }
}
