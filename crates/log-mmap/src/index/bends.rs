//! Where the length of records changes.
//!
//! Logs often have long stretches of records of one length. Within such a
//! stretch two places say where all others are, so that those at which the
//! length changes, the *corners*, stand for the whole index, and are few enough
//! to stay in the nearest caches.

use super::Entry;

/// More corners than that are not worth a list of their own: 8 KiB a segment.
const CORNERS_MAX: usize = 1024;

/// Finds the corners among places that come in order.
#[derive(Debug, Default)]
pub(super) struct Bends {
    corners: Vec<Entry>,
    /// The last place, and how long each record in front of it was.
    last: Option<(Entry, Option<u32>)>,
    are_many: bool,
}

impl Bends {
    /// Takes the next place.
    #[inline]
    pub(super) fn note(&mut self, entry: Entry) {
        if self.are_many {
            return;
        }
        let stride = self.last.and_then(|(last, _)| last.stride(&entry));
        match self.last {
            Some((_, before)) if stride.is_some() && stride == before => {}
            Some((last, _)) => self.push(last),
            None => self.push(entry),
        }
        self.last = Some((entry, stride));
    }

    fn push(&mut self, corner: Entry) {
        if self.corners.last() != Some(&corner) {
            self.corners.push(corner);
        }
        self.are_many = self.corners.len() > CORNERS_MAX;
    }

    /// The corners, the first and the last place among them; none if they are
    /// many, or do not stand for many more places.
    pub(super) fn finish(mut self, places: usize) -> Vec<Entry> {
        if let Some((last, _)) = self.last {
            self.push(last);
        }
        if self.are_many || self.corners.len() > places / 8 {
            return Vec::new();
        }
        self.corners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corners(places: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let mut bends = Bends::default();
        for &(ahead, units) in places {
            bends.note(Entry { ahead, units });
        }
        // As if there were many more.
        let corners = bends.finish(usize::MAX);
        corners.iter().map(|it| (it.ahead, it.units)).collect()
    }

    #[test]
    fn the_places_at_which_the_length_changes_are_the_corners() {
        assert_eq!(corners(&[]), []);
        assert_eq!(corners(&[(0, 9)]), [(0, 9)]);
        assert_eq!(corners(&[(0, 0), (1, 5)]), [(0, 0), (1, 5)]);
        let bent = [(0, 0), (1, 5), (2, 10), (3, 12), (4, 14), (5, 16)];
        assert_eq!(corners(&bent), [(0, 0), (2, 10), (5, 16)]);
    }

    #[test]
    fn a_gap_that_no_length_divides_has_a_corner_on_both_sides() {
        let uneven = [(0, 0), (4, 20), (8, 40), (12, 63), (16, 83), (20, 103)];
        let ends = [(0, 0), (8, 40), (12, 63), (20, 103)];
        assert_eq!(corners(&uneven), ends);
        let twice = [(0, 0), (4, 21), (8, 42)];
        assert_eq!(corners(&twice), twice, "neither of the gaps is even");
    }

    #[test]
    fn many_corners_are_not_kept() {
        let zigzag = |places: u32| {
            let mut bends = Bends::default();
            for ahead in 0..places {
                bends.note(Entry {
                    ahead,
                    units: ahead * 10 + ahead % 2,
                });
            }
            bends.finish(usize::MAX).len()
        };
        assert_eq!(zigzag(1024), 1024);
        assert_eq!(zigzag(2000), 0);
    }
}
