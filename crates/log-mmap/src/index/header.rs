//! What index files begin with, and how much of them is believed; the drawings
//! are in [the module above](super).

use std::ops::Range;

use log_wal::SealedSegment;

use super::IndexFault;

const MAGIC: Range<usize> = 0..8;
const VERSION: Range<usize> = MAGIC.end..12;
const INTERVAL: Range<usize> = VERSION.end..16;
const LOG_UUID: Range<usize> = INTERVAL.end..32;
const SEGMENT_ID: Range<usize> = LOG_UUID.end..40;
const SALT: Range<usize> = SEGMENT_ID.end..48;
const BASE: Range<usize> = SALT.end..56;
const COUNT: Range<usize> = BASE.end..60;
const CRC: Range<usize> = COUNT.end..HEADER_BYTES;
pub(super) const HEADER_BYTES: usize = 64;

const THE_VERSION: u32 = 1;

/// The longest that a file with so many entries of `N` bytes can be.
pub(super) fn len_bytes_max<const N: usize>(entries: u64) -> u64 {
    entries
        .saturating_mul(N as u64)
        .saturating_add(HEADER_BYTES as u64)
}

/// The bytes of a file with these entries, for `sealed`.
pub(super) fn encode<const N: usize>(
    magic: [u8; 8],
    interval_bytes: u32,
    entries: impl ExactSizeIterator<Item = [u8; N]>,
    sealed: &SealedSegment,
) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes.reserve_exact(entries.len() * N);
    bytes[MAGIC].copy_from_slice(&magic);
    bytes[VERSION].copy_from_slice(&THE_VERSION.to_le_bytes());
    bytes[INTERVAL].copy_from_slice(&interval_bytes.to_le_bytes());
    bytes[LOG_UUID].copy_from_slice(&sealed.log_uuid);
    bytes[SEGMENT_ID].copy_from_slice(&sealed.name.id.to_le_bytes());
    bytes[SALT].copy_from_slice(&sealed.salt.to_le_bytes());
    bytes[BASE].copy_from_slice(&sealed.base.0.to_le_bytes());
    // A segment has fewer than 2^32 records, and no index more entries.
    bytes[COUNT].copy_from_slice(&(entries.len() as u32).to_le_bytes());
    for entry in entries {
        bytes.extend(entry);
    }
    let crc = crc_of(&bytes);
    bytes[CRC].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The interval and the entries of a file, which is believed only if it is
/// whole and belongs to `sealed`.
pub(super) fn decode<'a, const N: usize>(
    magic: [u8; 8],
    bytes: &'a [u8],
    sealed: &SealedSegment,
) -> Result<(u32, &'a [[u8; N]]), IndexFault> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(IndexFault::Short);
    };
    check_kind(header, magic)?;
    let expected_bytes = u64::from(u32_at(header, COUNT)) * N as u64;
    match expected_bytes.cmp(&(rest.len() as u64)) {
        std::cmp::Ordering::Greater => return Err(IndexFault::Short),
        std::cmp::Ordering::Less => return Err(IndexFault::Damaged),
        std::cmp::Ordering::Equal => {}
    }
    if u32_at(header, CRC) != crc_of(bytes) {
        return Err(IndexFault::Damaged);
    }
    check_identity(header, sealed)?;
    Ok((u32_at(header, INTERVAL), rest.as_chunks().0))
}

fn check_kind(header: &[u8; HEADER_BYTES], magic: [u8; 8]) -> Result<(), IndexFault> {
    if header[MAGIC] != magic {
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

/// CRC-32 of everything but the checksum itself.
fn crc_of(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CRC.start]);
    hasher.update(&bytes[CRC.end..]);
    hasher.finalize()
}

pub(super) fn u32_at(bytes: &[u8], field: Range<usize>) -> u32 {
    bytes[field]
        .first_chunk()
        .map_or(0, |field| u32::from_le_bytes(*field))
}

pub(super) fn u64_at(bytes: &[u8], field: Range<usize>) -> u64 {
    bytes[field]
        .first_chunk()
        .map_or(0, |field| u64::from_le_bytes(*field))
}

/// For the tests of what is behind a header.
#[cfg(test)]
pub(super) mod made {
    use super::*;
    use log_wal::Lsn;
    use log_wal::format::SegmentName;
    use std::path::PathBuf;

    /// A segment of a hundred records that is 16 KiB long.
    pub(in super::super) fn sealed() -> SealedSegment {
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
}

#[cfg(test)]
mod tests {
    use super::made::sealed;
    use super::*;
    use log_wal::Lsn;

    const MAGIC_HERE: [u8; 8] = *b"MAGICAL!";
    const ENTRIES: [[u8; 12]; 3] = [[0x11; 12], [0x22; 12], [0x33; 12]];

    fn encoded() -> Vec<u8> {
        encode(MAGIC_HERE, 0x0201, ENTRIES.into_iter(), &sealed())
    }

    fn decoded<'a>(bytes: &'a [u8], sealed: &SealedSegment) -> Result<&'a [[u8; 12]], IndexFault> {
        decode(MAGIC_HERE, bytes, sealed).map(|(_, entries)| entries)
    }

    /// Bytes that are whole, whatever they say.
    fn with_new_crc(mut bytes: Vec<u8>) -> Vec<u8> {
        let crc = crc_of(&bytes);
        bytes[CRC].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn the_layout_matches_the_drawing() {
        let bytes = encoded();
        assert_eq!(&bytes[0..8], b"MAGICAL!", "magic");
        assert_eq!(bytes[8..12], [1, 0, 0, 0], "version");
        assert_eq!(bytes[12..16], [1, 2, 0, 0], "interval");
        assert_eq!(&bytes[16..32], b"0123456789abcdef", "log uuid");
        assert_eq!(bytes[32..40], [3, 4, 0, 0, 0, 0, 0, 0], "id");
        assert_eq!(bytes[40..48], [5, 6, 0, 0, 0, 0, 0, 0], "salt");
        assert_eq!(bytes[48..56], [7, 8, 0, 0, 0, 0, 0, 0], "base");
        assert_eq!(bytes[56..60], [3, 0, 0, 0], "entries");
        assert_eq!(bytes[64..76], [0x11; 12], "the first entry");
        assert_eq!(bytes.len(), 64 + 3 * 12);
        let covered = [&bytes[..60], &bytes[64..]].concat();
        assert_eq!(
            bytes[60..64],
            crc32fast::hash(&covered).to_le_bytes(),
            "crc32"
        );
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let bytes = encoded();
        let found = decode(MAGIC_HERE, &bytes, &sealed());
        assert_eq!(found, Ok((0x0201, &ENTRIES[..])));
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let good = encoded();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decoded(&bytes, &sealed()).is_err(), "INV-M3: bit {bit}");
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused() {
        let good = encoded();
        for kept in 0..good.len() {
            let found = decoded(&good[..kept], &sealed());
            assert_eq!(found, Err(IndexFault::Short), "{kept} bytes");
        }
        let long = [&good[..], &[0; 12]].concat();
        assert_eq!(decoded(&long, &sealed()), Err(IndexFault::Damaged));
        let zeros = decoded(&[0; 64], &sealed());
        assert_eq!(zeros, Err(IndexFault::Foreign), "zeros");
    }

    #[test]
    fn an_index_of_something_else_is_refused() {
        let bytes = encoded();
        let other_log = SealedSegment {
            log_uuid: [7; 16],
            ..sealed()
        };
        assert_eq!(decoded(&bytes, &other_log), Err(IndexFault::Foreign));
        let mut other_segment = sealed();
        other_segment.name.id += 1;
        assert_eq!(decoded(&bytes, &other_segment), Err(IndexFault::Foreign));
        let other_use = SealedSegment {
            salt: 1,
            ..sealed()
        };
        assert_eq!(decoded(&bytes, &other_use), Err(IndexFault::Stale));
        let other_base = SealedSegment {
            base: Lsn(0),
            ..sealed()
        };
        assert_eq!(decoded(&bytes, &other_base), Err(IndexFault::Stale));
        let other_kind = decode::<12>(*b"another!", &bytes, &sealed());
        assert_eq!(other_kind, Err(IndexFault::Foreign));
    }

    #[test]
    fn a_whole_index_of_a_newer_version_is_called_newer() {
        let mut bytes = encoded();
        bytes[VERSION][0] = 2;
        let bytes = with_new_crc(bytes);
        let found = decoded(&bytes, &sealed());
        assert_eq!(found, Err(IndexFault::NewerVersion));
    }
}
