//! The entries of the index by number: bytes, and which are believed.

use log_wal::SealedSegment;
use log_wal::format::FIRST_POSITION;

use super::header::{self, u32_at};
use super::{Entry, Index, IndexFault};

const ENTRY_BYTES: usize = 8;
const THE_MAGIC: [u8; 8] = *b"STRATAIX";

/// The longest that an index of a segment with so many records can be.
pub(super) fn len_bytes_max(records: u64) -> u64 {
    header::len_bytes_max::<ENTRY_BYTES>(records)
}

/// The bytes of the index of `sealed`.
pub(super) fn encode(index: &Index, sealed: &SealedSegment) -> Vec<u8> {
    let entries = index.entries.iter().map(bytes_of);
    header::encode(THE_MAGIC, index.interval_bytes, entries, sealed)
}

/// Reads the index of `sealed`, and believes it only if it is whole, belongs
/// to it, and stays within it.
pub(super) fn decode(bytes: &[u8], sealed: &SealedSegment) -> Result<Index, IndexFault> {
    let (interval_bytes, entries) = header::decode(THE_MAGIC, bytes, sealed)?;
    let entries: Vec<_> = entries.iter().map(entry_of).collect();
    check_entries(&entries, sealed)?;
    Ok(Index::new(sealed.base, interval_bytes, entries))
}

fn bytes_of(entry: &Entry) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..4].copy_from_slice(&entry.ahead.to_le_bytes());
    bytes[4..].copy_from_slice(&entry.units.to_le_bytes());
    bytes
}

fn entry_of(bytes: &[u8; ENTRY_BYTES]) -> Entry {
    Entry {
        ahead: u32_at(bytes, 0..4),
        units: u32_at(bytes, 4..8),
    }
}

fn check_entries(entries: &[Entry], sealed: &SealedSegment) -> Result<(), IndexFault> {
    let ascends = |pair: &[Entry]| match pair {
        [one, next] => one.ahead < next.ahead && one.units < next.units,
        _ => true,
    };
    if !entries.windows(2).all(ascends) {
        return Err(IndexFault::NotAscending);
    }
    let inside = |entry: &Entry| {
        let place = entry.place(sealed.base);
        place.is_some_and(|place| {
            place.lsn < sealed.end
                && (FIRST_POSITION..sealed.end_position).contains(&place.position)
        })
    };
    // They ascend, so that the outermost two speak for all.
    if ![entries.first(), entries.last()]
        .into_iter()
        .flatten()
        .all(inside)
    {
        return Err(IndexFault::AheadOfData);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::header::made::sealed;
    use super::*;

    fn index_of(entries: &[(u32, u32)]) -> Index {
        let entry = |&(ahead, units)| Entry { ahead, units };
        Index::new(sealed().base, 0x0201, entries.iter().map(entry).collect())
    }

    fn index() -> Index {
        index_of(&[(0, 1024), (0x11, 1200), (99, 2047)])
    }

    #[test]
    fn the_layout_matches_the_drawing() {
        let bytes = encode(&index(), &sealed());
        assert_eq!(&bytes[0..8], b"STRATAIX", "magic");
        assert_eq!(bytes[64..72], [0, 0, 0, 0, 0, 4, 0, 0], "the first entry");
        assert_eq!(bytes[72..80], [0x11, 0, 0, 0, 0xB0, 4, 0, 0], "the second");
        assert_eq!(bytes.len(), 64 + 3 * 8);
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        for index in [index(), index_of(&[])] {
            assert_eq!(decode(&encode(&index, &sealed()), &sealed()), Ok(index));
        }
    }

    #[test]
    fn entries_outside_the_segment_are_refused() {
        let outside = [
            &[(0, 1023)][..], // in the header
            &[(0, 1024), (100, 1100)],
            &[(0, 1024), (u32::MAX, 1100)],
            &[(0, 1024), (1, 2048)],
            &[(0, 1024), (1, u32::MAX)],
        ];
        for entries in outside {
            let bytes = encode(&index_of(entries), &sealed());
            assert_eq!(
                decode(&bytes, &sealed()),
                Err(IndexFault::AheadOfData),
                "{entries:?}"
            );
        }
    }

    #[test]
    fn entries_out_of_order_are_refused() {
        for second in [(5, 1101), (4, 1101), (6, 1100), (6, 1024)] {
            let bytes = encode(&index_of(&[(5, 1100), second]), &sealed());
            assert_eq!(
                decode(&bytes, &sealed()),
                Err(IndexFault::NotAscending),
                "{second:?}"
            );
        }
    }
}
