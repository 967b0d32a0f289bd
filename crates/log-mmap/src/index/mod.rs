//! The indexes of a sealed segment: by number, from the number of a record to
//! a place in front of it, and by time, from a moment to a place in front of
//! the first record at or after it.
//!
//! Derived from the segment, and never evidence about it (`INV-M3`): an index
//! is believed only if it is whole and belongs to this use of this segment,
//! what it leads to is checked there, and in any doubt it is built again.
//!
//! ```text
//!  byte 0        8        12        16                     32
//!       +--------+--------+---------+----------------------+
//!       | magic  | version| interval| log uuid             |
//!       +--------+--------+---------+----------------------+
//!       32       40       48       56              60      64
//!       +--------+--------+--------+---------------+-------+
//!       | id     | salt   | base   | entries, count| crc32 |
//!       +--------+--------+--------+---------------+-------+
//!
//!  by number: the segment's name with .index for .log, magic STRATAIX
//!
//!       64                68                  72
//!       +-----------------+-------------------+---   ---+
//!       | lsn - base      | position / 8      |   ...   |    one entry each 8 bytes
//!       +-----------------+-------------------+---   ---+
//!
//!  by time: with .timeindex for .log, magic STRATATX
//!
//!       64                72                76                  80
//!       +-----------------+-----------------+-------------------+---   ---+
//!       | timestamp       | lsn - base      | position / 8      |   ...   |
//!       +-----------------+-----------------+-------------------+---   ---+
//! ```
//!
//! Little-endian; lsn and position are u32 in an entry, and so is everything
//! in the header that takes four bytes. The checksum is CRC-32 of all other
//! bytes, in order. Entries ascend strictly in every column.
//!
//! **By number.** The first record of the segment has an entry, and then each
//! record that lies at least `interval` bytes behind the one with the last
//! entry.
//!
//! **By time.** An entry says that its timestamp is the greatest of all
//! records in front of its place. The first record behind one with a timestamp
//! has an entry, then each that lies at least four intervals behind the one
//! before, and the end of the segment; of several with the same timestamp there
//! is the last only. So the last entry has the greatest timestamp of the
//! segment, and a segment without timestamps has no entries. The first record
//! at or after a moment lies no further than four intervals behind the last
//! entry before that moment, however much timestamps are out of order.
//!
//! `header` and `layout` and `times` have the bytes, `build` makes both from a
//! segment, `file` loads and saves them, `bends` shortens the one by number for
//! records of one length.

mod bends;
mod header;
mod layout;
mod steps;
mod times;

mod build;

mod file;

use std::fmt;
use std::io;

use log_wal::Lsn;

use crate::frames::{FRAME_ALIGN_BYTES, Place};

use bends::Bends;

pub(crate) use build::{Built, build, build_by_lengths, timestamp_of};
pub(crate) use file::{load, load_times, path_beside, save, save_times, times_path_beside};
pub(crate) use steps::Steps;
pub(crate) use times::Times;

/// Places of some records of a segment, in order.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    base: Lsn,
    interval_bytes: u32,
    entries: Vec<Entry>,
    /// The places at which the length of records changes, if these are few.
    corners: Vec<Entry>,
    /// Whether all of this was just read from the segment, every frame checked:
    /// what it says of a place is then so, and the corners are those of all
    /// records.
    is_exact: bool,
}

/// Where a record should lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guess {
    pub place: Place,
    /// Whether it does.
    pub is_sure: bool,
}

/// The place of one record, relative to the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Its number less the segment's base.
    ahead: u32,
    /// Its position in units of eight bytes.
    units: u32,
}

impl Entry {
    /// `None` for a place that cannot be in a segment.
    fn new(base: Lsn, place: Place) -> Option<Self> {
        let ahead = place.lsn.distance_from(base)?;
        Some(Self {
            ahead: u32::try_from(ahead).ok()?,
            units: u32::try_from(place.position / FRAME_ALIGN_BYTES).ok()?,
        })
    }

    fn place(self, base: Lsn) -> Option<Place> {
        Some(Place {
            position: u64::from(self.units) * FRAME_ALIGN_BYTES,
            lsn: base.checked_add(u64::from(self.ahead))?,
        })
    }

    /// How long each record from here to the entry `next` is, if they are as
    /// long as one another; `None` if they cannot be.
    #[inline]
    fn stride(self, next: &Self) -> Option<u32> {
        let records = next.ahead.checked_sub(self.ahead)?;
        let units = next.units.checked_sub(self.units)?;
        let stride = units.checked_div(records)?;
        (stride * records == units).then_some(stride)
    }
}

/// How many entries are for records up to `ahead` of the base.
///
/// Records of similar length make entries that lie evenly, so the search
/// begins where the entry should be, and widens by powers of two. A plain
/// binary search reads some sixteen places that no cache holds.
#[inline]
fn up_to(entries: &[Entry], ahead: u64) -> usize {
    let is_below = |at: usize| entries.get(at).is_some_and(|e| u64::from(e.ahead) <= ahead);
    let Some(last) = entries.last() else {
        return 0;
    };
    let records = u64::from(last.ahead).max(1);
    let share = ahead.min(records) * (entries.len() as u64 - 1) / records;
    // The answer lies in `low..=high`; everything before `low` is below.
    let (mut low, mut high) = (share as usize, entries.len());
    let mut step = 1;
    if is_below(low) {
        while is_below(low + step) {
            low += step;
            step *= 2;
        }
        high = high.min(low + step);
    } else {
        while low > 0 && !is_below(low) {
            high = low;
            low = low.saturating_sub(step);
            step *= 2;
        }
    }
    let between = &entries[low..high];
    low + between.partition_point(|entry| u64::from(entry.ahead) <= ahead)
}

impl Index {
    /// One of entries that somebody wrote down.
    fn new(base: Lsn, interval_bytes: u32, entries: Vec<Entry>) -> Self {
        let mut bends = Bends::default();
        entries.iter().for_each(|entry| bends.note(*entry));
        Self {
            base,
            interval_bytes,
            corners: bends.finish(entries.len()),
            entries,
            is_exact: false,
        }
    }

    /// The nearest place that is known at or in front of record `lsn`.
    #[inline]
    pub(crate) fn floor(&self, lsn: Lsn) -> Option<Place> {
        let ahead = lsn.distance_from(self.base)?;
        let above = up_to(&self.entries, ahead);
        self.entries.get(above.checked_sub(1)?)?.place(self.base)
    }

    /// Where record `lsn` lies if all frames between the places around it are
    /// as long as one another; `None` if they cannot be.
    #[inline]
    pub(crate) fn guess(&self, lsn: Lsn) -> Option<Guess> {
        let has_corners = !self.corners.is_empty();
        let entries = match has_corners {
            true => &self.corners,
            false => &self.entries,
        };
        let ahead = lsn.distance_from(self.base)?;
        let above = up_to(entries, ahead);
        let floor = entries.get(above.checked_sub(1)?)?;
        let steps = ahead - u64::from(floor.ahead);
        let mut units = u64::from(floor.units);
        if steps > 0 {
            let stride = floor.stride(entries.get(above)?)?;
            units += steps * u64::from(stride);
        }
        Some(Guess {
            place: Place {
                position: units * FRAME_ALIGN_BYTES,
                lsn,
            },
            is_sure: self.is_exact && (has_corners || steps == 0),
        })
    }

    /// Whether it was just read from the segment, every frame checked.
    pub(crate) fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// One entry stands for this many bytes.
    pub(crate) fn interval_bytes(&self) -> u32 {
        self.interval_bytes
    }

    /// How many entries it has.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Two indexes are the same if they say the same in a file.
impl PartialEq for Index {
    fn eq(&self, other: &Self) -> bool {
        self.base == other.base
            && self.interval_bytes == other.interval_bytes
            && self.entries == other.entries
    }
}

impl Eq for Index {}

/// Why an index file is not used. The index is then built from its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IndexFault {
    /// There is no file.
    Missing,
    /// It could not be read.
    Unreadable(io::ErrorKind),
    /// It is not an index, or that of another log or segment.
    Foreign,
    /// A newer version of this library wrote it.
    NewerVersion,
    /// It was made for an earlier use of the segment.
    Stale,
    /// It has fewer bytes than it should.
    Short,
    /// Its checksum fails.
    Damaged,
    /// It names records or places that the segment does not have.
    AheadOfData,
    /// Its entries do not ascend.
    NotAscending,
}

impl fmt::Display for IndexFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self {
            Self::Missing => "missing",
            Self::Unreadable(kind) => return write!(f, "unreadable: {kind}"),
            Self::Foreign => "foreign: not an index of this segment",
            Self::NewerVersion => "written by a newer version",
            Self::Stale => "stale: made for an earlier use of the segment",
            Self::Short => "short",
            Self::Damaged => "damaged: its checksum fails",
            Self::AheadOfData => "ahead of its segment",
            Self::NotAscending => "out of order",
        };
        f.write_str(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_the_nearest_entry_at_or_in_front_of_a_record() {
        let entries = [(0, 1024), (5, 1100), (9, 2000)];
        let entries = entries.map(|(ahead, units)| Entry { ahead, units });
        let index = Index::new(Lsn(1000), 64, entries.to_vec());
        let floor = |lsn| {
            index
                .floor(Lsn(lsn))
                .map(|place| (place.lsn.0, place.position))
        };
        assert_eq!(floor(999), None);
        assert_eq!(floor(1000), Some((1000, 8192)));
        assert_eq!(floor(1004), Some((1000, 8192)));
        assert_eq!(floor(1005), Some((1005, 8800)));
        assert_eq!(floor(1008), Some((1005, 8800)));
        assert_eq!(floor(u64::MAX), Some((1009, 16000)));
    }

    #[test]
    fn the_search_finds_what_a_scan_would_however_uneven_the_entries_are() {
        let even: Vec<u32> = (0..300).collect();
        let sparse: Vec<u32> = (0..300).map(|at| at * 7).collect();
        let crowded_in_front: Vec<u32> = (0..300).chain([100_000, u32::MAX]).collect();
        let crowded_behind: Vec<u32> = [0, 90_000].into_iter().chain(100_000..100_300).collect();
        let growing: Vec<u32> = (0..32).map(|bit| 1 << bit).collect();
        for aheads in [
            vec![],
            vec![0],
            vec![5],
            even,
            sparse,
            crowded_in_front,
            crowded_behind,
            growing,
        ] {
            let entry = |&ahead: &u32| Entry { ahead, units: 0 };
            let entries: Vec<_> = aheads.iter().map(entry).collect();
            let near = aheads
                .iter()
                .flat_map(|at| [at.saturating_sub(1), *at, at.saturating_add(1)]);
            for ahead in near.chain([0, u32::MAX]).map(u64::from).chain([u64::MAX]) {
                let scanned = aheads.iter().filter(|at| u64::from(**at) <= ahead).count();
                assert_eq!(up_to(&entries, ahead), scanned, "{ahead} in {aheads:?}");
            }
        }
    }

    /// Entries for every fourth record, and where each record lies, of frames
    /// with these lengths in units.
    fn entries_and_places(lengths: &[u32]) -> (Vec<Entry>, Vec<u32>) {
        let mut entries = Vec::new();
        let (mut units, mut places) = (1024, Vec::new());
        for (ahead, length) in (0..).zip(lengths) {
            if ahead % 4 == 0 {
                entries.push(Entry { ahead, units });
            }
            places.push(units);
            units += length;
        }
        (entries, places)
    }

    #[test]
    fn where_lengths_seldom_change_few_entries_place_every_record() {
        let mut lengths = vec![34; 400];
        lengths.extend([7; 400]);
        lengths[200] += 3; // a mark behind it
        let (entries, places) = entries_and_places(&lengths);
        let index = Index::new(Lsn(50), 1024, entries);
        assert_eq!(index.corners.len(), 5, "{:?}", index.corners);
        for (ahead, units) in (0..).zip(places) {
            let guessed = index.guess(Lsn(50 + ahead));
            if let Some(Guess { place, is_sure }) = guessed {
                assert_eq!(place.position, u64::from(units) * 8, "record {ahead}");
                assert!(!is_sure, "nobody has seen what lies between");
            }
            // Behind the mark up to the next entry, and behind the last one.
            let is_unsure = (201..204).contains(&ahead) || ahead > 796;
            assert_eq!(guessed.is_none(), is_unsure, "record {ahead}");
        }
    }

    #[test]
    fn where_lengths_often_change_no_second_list_is_kept() {
        let lengths: Vec<_> = (0..800_u32)
            .map(|at| 3 + at.wrapping_mul(2_654_435_761) % 40)
            .collect();
        let (entries, places) = entries_and_places(&lengths);
        let index = Index::new(Lsn(0), 1024, entries);
        assert!(index.corners.is_empty());
        for (ahead, units) in (0..).zip(places).step_by(4) {
            let place = index.guess(Lsn(ahead)).map(|guess| guess.place.position);
            assert_eq!(place, Some(u64::from(units) * 8), "its own entry");
        }
    }
}
