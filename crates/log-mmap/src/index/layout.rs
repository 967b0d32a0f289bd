//! The bytes of an index file; the drawing is in [the module above](super).

use std::ops::Range;

use log_wal::SealedSegment;
use log_wal::format::FIRST_POSITION;

use super::{Entry, Index, IndexFault};

const MAGIC: Range<usize> = 0..8;
const VERSION: Range<usize> = MAGIC.end..12;
const INTERVAL: Range<usize> = VERSION.end..16;
const LOG_UUID: Range<usize> = INTERVAL.end..32;
const SEGMENT_ID: Range<usize> = LOG_UUID.end..40;
const SALT: Range<usize> = SEGMENT_ID.end..48;
const BASE: Range<usize> = SALT.end..56;
const COUNT: Range<usize> = BASE.end..60;
const CRC: Range<usize> = COUNT.end..HEADER_BYTES;
const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 8;

const THE_MAGIC: [u8; 8] = *b"STRATAIX";
const THE_VERSION: u32 = 1;

/// The longest that an index of a segment with so many records can be.
pub(super) fn len_bytes_max(records: u64) -> u64 {
    records
        .saturating_mul(ENTRY_BYTES as u64)
        .saturating_add(HEADER_BYTES as u64)
}

/// The bytes of the index of `sealed`.
pub(super) fn encode(index: &Index, sealed: &SealedSegment) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes.reserve_exact(index.entries.len() * ENTRY_BYTES);
    bytes[MAGIC].copy_from_slice(&THE_MAGIC);
    bytes[VERSION].copy_from_slice(&THE_VERSION.to_le_bytes());
    bytes[INTERVAL].copy_from_slice(&index.interval_bytes.to_le_bytes());
    bytes[LOG_UUID].copy_from_slice(&sealed.log_uuid);
    bytes[SEGMENT_ID].copy_from_slice(&sealed.name.id.to_le_bytes());
    bytes[SALT].copy_from_slice(&sealed.salt.to_le_bytes());
    bytes[BASE].copy_from_slice(&sealed.base.0.to_le_bytes());
    // A segment has fewer than 2^32 records.
    bytes[COUNT].copy_from_slice(&(index.entries.len() as u32).to_le_bytes());
    for entry in &index.entries {
        bytes.extend(entry.ahead.to_le_bytes());
        bytes.extend(entry.units.to_le_bytes());
    }
    let crc = crc_of(&bytes);
    bytes[CRC].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads the index of `sealed`, and believes it only if it is whole, belongs
/// to it, and stays within it.
pub(super) fn decode(bytes: &[u8], sealed: &SealedSegment) -> Result<Index, IndexFault> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(IndexFault::Short);
    };
    check_kind(header)?;
    let expected_bytes = u64::from(u32_at(header, COUNT)) * ENTRY_BYTES as u64;
    match expected_bytes.cmp(&(rest.len() as u64)) {
        std::cmp::Ordering::Greater => return Err(IndexFault::Short),
        std::cmp::Ordering::Less => return Err(IndexFault::Damaged),
        std::cmp::Ordering::Equal => {}
    }
    if u32_at(header, CRC) != crc_of(bytes) {
        return Err(IndexFault::Damaged);
    }
    check_identity(header, sealed)?;
    let entries: Vec<_> = rest.chunks_exact(ENTRY_BYTES).map(entry_of).collect();
    check_entries(&entries, sealed)?;
    Ok(Index {
        base: sealed.base,
        interval_bytes: u32_at(header, INTERVAL),
        entries,
    })
}

fn check_kind(header: &[u8; HEADER_BYTES]) -> Result<(), IndexFault> {
    if header[MAGIC] != THE_MAGIC {
        return Err(IndexFault::Foreign);
    }
    match u32_at(header, VERSION) {
        THE_VERSION => Ok(()),
        newer if newer > THE_VERSION => Err(IndexFault::NewerVersion),
        _ => Err(IndexFault::Damaged),
    }
}

fn check_identity(header: &[u8; HEADER_BYTES], sealed: &SealedSegment) -> Result<(), IndexFault> {
    if header[LOG_UUID] != sealed.log_uuid || u64_at(header, SEGMENT_ID) != sealed.name.id {
        return Err(IndexFault::Foreign);
    }
    if u64_at(header, SALT) != sealed.salt || u64_at(header, BASE) != sealed.base.0 {
        return Err(IndexFault::Stale);
    }
    Ok(())
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

fn entry_of(bytes: &[u8]) -> Entry {
    Entry {
        ahead: u32_at(bytes, 0..4),
        units: u32_at(bytes, 4..8),
    }
}

/// CRC-32 of everything but the checksum itself.
fn crc_of(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CRC.start]);
    hasher.update(&bytes[CRC.end..]);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], field: Range<usize>) -> u32 {
    bytes[field]
        .first_chunk()
        .map_or(0, |field| u32::from_le_bytes(*field))
}

fn u64_at(bytes: &[u8], field: Range<usize>) -> u64 {
    bytes[field]
        .first_chunk()
        .map_or(0, |field| u64::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use log_wal::Lsn;
    use log_wal::format::SegmentName;
    use std::path::PathBuf;

    fn sealed() -> SealedSegment {
        let name = SegmentName {
            base: Lsn(0x0807),
            id: 0x0403,
        };
        SealedSegment {
            path: PathBuf::from(name.to_string()),
            name,
            salt: 0x0605,
            log_uuid: *b"0123456789abcdef",
            base: Lsn(0x0807),
            end: Lsn(0x0807 + 100),
            end_position: 16 << 10,
            file_bytes: 16 << 10,
        }
    }

    fn index_of(entries: &[(u32, u32)]) -> Index {
        let entry = |&(ahead, units)| Entry { ahead, units };
        Index {
            base: sealed().base,
            interval_bytes: 0x0201,
            entries: entries.iter().map(entry).collect(),
        }
    }

    fn index() -> Index {
        index_of(&[(0, 1024), (0x11, 1200), (99, 2047)])
    }

    /// Bytes that are whole, whatever they say.
    fn with_new_crc(mut bytes: Vec<u8>) -> Vec<u8> {
        let crc = crc_of(&bytes);
        bytes[CRC].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn the_layout_matches_the_drawing() {
        let bytes = encode(&index(), &sealed());
        assert_eq!(&bytes[0..8], b"STRATAIX", "magic");
        assert_eq!(bytes[8..12], [1, 0, 0, 0], "version");
        assert_eq!(bytes[12..16], [1, 2, 0, 0], "interval");
        assert_eq!(&bytes[16..32], b"0123456789abcdef", "log uuid");
        assert_eq!(bytes[32..40], [3, 4, 0, 0, 0, 0, 0, 0], "id");
        assert_eq!(bytes[40..48], [5, 6, 0, 0, 0, 0, 0, 0], "salt");
        assert_eq!(bytes[48..56], [7, 8, 0, 0, 0, 0, 0, 0], "base");
        assert_eq!(bytes[56..60], [3, 0, 0, 0], "entries");
        assert_eq!(bytes[64..72], [0, 0, 0, 0, 0, 4, 0, 0], "the first entry");
        assert_eq!(bytes[72..80], [0x11, 0, 0, 0, 0xB0, 4, 0, 0], "the second");
        assert_eq!(bytes.len(), 64 + 3 * 8);
        let covered = [&bytes[..60], &bytes[64..]].concat();
        assert_eq!(
            bytes[60..64],
            crc32fast::hash(&covered).to_le_bytes(),
            "crc32"
        );
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        for index in [index(), index_of(&[])] {
            assert_eq!(decode(&encode(&index, &sealed()), &sealed()), Ok(index));
        }
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let good = encode(&index(), &sealed());
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes, &sealed()).is_err(), "INV-M3: bit {bit}");
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused() {
        let good = encode(&index(), &sealed());
        for kept in 0..good.len() {
            assert_eq!(
                decode(&good[..kept], &sealed()),
                Err(IndexFault::Short),
                "{kept} bytes"
            );
        }
        let long = [&good[..], &[0; 8]].concat();
        assert_eq!(decode(&long, &sealed()), Err(IndexFault::Damaged));
        assert_eq!(
            decode(&[0; 64], &sealed()),
            Err(IndexFault::Foreign),
            "zeros"
        );
    }

    #[test]
    fn an_index_of_something_else_is_refused() {
        let bytes = encode(&index(), &sealed());
        let other_log = SealedSegment {
            log_uuid: [7; 16],
            ..sealed()
        };
        assert_eq!(decode(&bytes, &other_log), Err(IndexFault::Foreign));
        let mut other_segment = sealed();
        other_segment.name.id += 1;
        assert_eq!(decode(&bytes, &other_segment), Err(IndexFault::Foreign));
        let other_use = SealedSegment {
            salt: 1,
            ..sealed()
        };
        assert_eq!(decode(&bytes, &other_use), Err(IndexFault::Stale));
        let other_base = SealedSegment {
            base: Lsn(0),
            ..sealed()
        };
        assert_eq!(decode(&bytes, &other_base), Err(IndexFault::Stale));
    }

    #[test]
    fn a_whole_index_of_a_newer_version_is_called_newer() {
        let mut bytes = encode(&index(), &sealed());
        bytes[VERSION][0] = 2;
        assert_eq!(
            decode(&with_new_crc(bytes), &sealed()),
            Err(IndexFault::NewerVersion)
        );
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
