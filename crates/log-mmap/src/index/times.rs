//! The index of a segment by time: bytes, and which are believed.

use std::ops::Range;

use log_wal::SealedSegment;
use log_wal::format::FIRST_POSITION;

use super::header::{self, u32_at, u64_at};
use super::steps::Steps;
use super::{Entry, IndexFault};
use crate::envelope::Timestamp;
use crate::frames::Place;

const TIMESTAMP: Range<usize> = 0..8;
const AHEAD: Range<usize> = 8..12;
const UNITS: Range<usize> = 12..ENTRY_BYTES;
const ENTRY_BYTES: usize = 16;

const THE_MAGIC: [u8; 8] = *b"STRATATX";

/// How far time had come at places of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(super) interval_bytes: u32,
    pub(super) steps: Steps<Place>,
}

impl Times {
    /// The last place that is known to have no record at or after `moment` in
    /// front of it; `None` if that is the first.
    #[inline]
    pub(crate) fn before(&self, moment: Timestamp) -> Option<Place> {
        self.steps.before(moment)
    }

    /// The greatest timestamp in the segment.
    pub(crate) fn greatest(&self) -> Option<Timestamp> {
        self.steps.greatest()
    }

    /// One entry stands for this many bytes.
    pub(crate) fn interval_bytes(&self) -> u32 {
        self.interval_bytes
    }

    /// How many entries it has.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }
}

/// The longest that an index of a segment with so many records can be.
pub(super) fn len_bytes_max(records: u64) -> u64 {
    header::len_bytes_max::<ENTRY_BYTES>(records)
}

/// The bytes of the time index of `sealed`.
pub(super) fn encode(times: &Times, sealed: &SealedSegment) -> Vec<u8> {
    let bytes_of = |(greatest, place): &(Timestamp, Place)| bytes_of(*greatest, *place, sealed);
    let entries: Vec<_> = times.steps.iter().filter_map(bytes_of).collect();
    header::encode(THE_MAGIC, times.interval_bytes, entries.into_iter(), sealed)
}

fn bytes_of(
    greatest: Timestamp,
    place: Place,
    sealed: &SealedSegment,
) -> Option<[u8; ENTRY_BYTES]> {
    let entry = Entry::new(sealed.base, place)?;
    let mut bytes = [0; ENTRY_BYTES];
    bytes[TIMESTAMP].copy_from_slice(&greatest.0.to_le_bytes());
    bytes[AHEAD].copy_from_slice(&entry.ahead.to_le_bytes());
    bytes[UNITS].copy_from_slice(&entry.units.to_le_bytes());
    Some(bytes)
}

/// Reads the time index of `sealed`, and believes it only if it is whole,
/// belongs to it, and ends where it ends.
pub(super) fn decode(bytes: &[u8], sealed: &SealedSegment) -> Result<Times, IndexFault> {
    let (interval_bytes, entries) = header::decode(THE_MAGIC, bytes, sealed)?;
    let step = |entry| step_of(entry, sealed).ok_or(IndexFault::AheadOfData);
    let steps: Vec<_> = entries.iter().map(step).collect::<Result<_, _>>()?;
    check(&steps, sealed)?;
    Ok(Times {
        interval_bytes,
        steps: Steps::from_vec(steps),
    })
}

fn step_of(bytes: &[u8; ENTRY_BYTES], sealed: &SealedSegment) -> Option<(Timestamp, Place)> {
    let entry = Entry {
        ahead: u32_at(bytes, AHEAD),
        units: u32_at(bytes, UNITS),
    };
    let greatest = Timestamp(u64_at(bytes, TIMESTAMP));
    Some((greatest, entry.place(sealed.base)?))
}

fn check(steps: &[(Timestamp, Place)], sealed: &SealedSegment) -> Result<(), IndexFault> {
    let ascends = |pair: &[(Timestamp, Place)]| match pair {
        [(greatest, one), (later, next)] => {
            greatest < later && one.lsn < next.lsn && one.position < next.position
        }
        _ => true,
    };
    if !steps.windows(2).all(ascends) {
        return Err(IndexFault::NotAscending);
    }
    let (Some((_, first)), Some((_, last))) = (steps.first(), steps.last()) else {
        return Ok(());
    };
    if last.lsn > sealed.end || last.position > sealed.end_position {
        return Err(IndexFault::AheadOfData);
    }
    // The first entry is behind a record at least. The last one is always at
    // the end, or the segment was another one when it was made.
    let ends = (last.lsn, last.position) == (sealed.end, sealed.end_position);
    match ends && first.lsn > sealed.base && first.position > FIRST_POSITION {
        true => Ok(()),
        false => Err(IndexFault::Stale),
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::made::sealed;
    use super::*;

    const END: (u64, u32, u32) = (0x2222, 100, 2048);

    fn times_of(entries: &[(u64, u32, u32)]) -> Times {
        let step = |&(greatest, ahead, units)| {
            let place = Entry { ahead, units }.place(sealed().base).unwrap();
            (Timestamp(greatest), place)
        };
        Times {
            interval_bytes: 0x0201,
            steps: Steps::from_vec(entries.iter().map(step).collect()),
        }
    }

    fn decoded(entries: &[(u64, u32, u32)]) -> Result<Times, IndexFault> {
        decode(&encode(&times_of(entries), &sealed()), &sealed())
    }

    #[test]
    fn the_layout_matches_the_drawing() {
        let bytes = encode(&times_of(&[(0x1111, 0x11, 1200), END]), &sealed());
        assert_eq!(&bytes[0..8], b"STRATATX", "magic");
        assert_eq!(bytes[64..72], [0x11, 0x11, 0, 0, 0, 0, 0, 0], "timestamp");
        assert_eq!(bytes[72..76], [0x11, 0, 0, 0], "lsn - base");
        assert_eq!(bytes[76..80], [0xB0, 4, 0, 0], "position / 8");
        assert_eq!(bytes.len(), 64 + 2 * 16);
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        for entries in [&[][..], &[END], &[(7, 1, 1030), (8, 2, 1040), END]] {
            assert_eq!(decoded(entries), Ok(times_of(entries)));
        }
    }

    #[test]
    fn entries_outside_the_segment_or_out_of_order_are_refused() {
        let refused = [
            (&[(7, 1, 1030)][..], IndexFault::Stale), // does not reach the end
            (&[(7, 0, 1030), END], IndexFault::Stale), // in front of all records
            (&[(7, 1, 1024), END], IndexFault::Stale),
            (&[(7, 101, 2048)], IndexFault::AheadOfData),
            (&[(7, 100, 2049)], IndexFault::AheadOfData),
            (&[(7, u32::MAX, u32::MAX)], IndexFault::AheadOfData),
            (&[(0x2222, 1, 1030), END], IndexFault::NotAscending),
            (&[(7, 100, 1030), END], IndexFault::NotAscending),
            (&[(7, 1, 2048), END], IndexFault::NotAscending),
        ];
        for (entries, fault) in refused {
            assert_eq!(decoded(entries), Err(fault), "{entries:?}");
        }
    }

    #[test]
    fn the_index_by_number_is_no_index_by_time() {
        let bytes = super::super::layout::encode(
            &super::super::Index::new(sealed().base, 0, Vec::new()),
            &sealed(),
        );
        assert_eq!(decode(&bytes, &sealed()), Err(IndexFault::Foreign));
    }
}
