//! Target `header`: a header is believed exactly if it is whole and makes
//! sense, and what was encoded is decoded.

use log_wal::Lsn;
use log_wal::format::{HEADER_BYTES, Header, HeaderFault, Predecessor};
use serde::{Deserialize, Serialize};

use crate::layout;
use crate::script::{self, Script};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// A header that makes sense; the next steps work on its bytes.
    Header {
        before: Option<(u64, u64)>,
        id_ahead: u64,
        salt: u64,
        base: u64,
        capacity_bytes: u64,
        flags: u8,
    },
    /// Eight bytes of it become others, under a right checksum.
    Put {
        at: u8,
        value: u64,
    },
    /// A bit of it is wrong.
    Flip(u16),
    /// It is cut.
    Cut(u8),
    Bytes(Vec<u8>),
}

/// The last id that a segment can have.
const ID_MAX: u64 = u64::MAX - 1;

/// Bases and sizes up to this are never too much together.
const HALF: u64 = u64::MAX / 2;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let mut header = [0; HEADER_BYTES];
    for step in script::read(bytes) {
        take(step, &mut header);
    }
}

fn take(step: Step, header: &mut [u8; HEADER_BYTES]) {
    match step {
        Step::Header {
            before,
            id_ahead,
            salt,
            base,
            capacity_bytes,
            flags,
        } => {
            let before_id = before.map_or(0, |(id, _)| id.clamp(1, ID_MAX - 1));
            let sensible = Header {
                log_uuid: [flags; 16],
                id: before_id.saturating_add(id_ahead.max(1)).min(ID_MAX),
                salt,
                base: Lsn(base & HALF),
                capacity_bytes: (capacity_bytes & HALF).max(8216),
                recycled: flags & 1 != 0,
                truncates: flags & 2 != 0,
                predecessor: before.map(|(_, end_position)| Predecessor {
                    id: before_id,
                    end: Lsn(base & HALF),
                    end_position: end_position.clamp(8192, HALF) / 8 * 8,
                }),
            };
            *header = sensible.encode();
            assert_eq!(Header::decode(header), Ok(sensible));
            assert!(layout::is_header(header));
        }
        Step::Put { at, value } => {
            let at = usize::from(at) % (HEADER_BYTES - 8);
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
            layout::finish_header(header);
            check_checksummed(header);
        }
        Step::Flip(bit) => {
            let bit = usize::from(bit) % (8 * HEADER_BYTES);
            let was_whole = Header::decode(header).is_ok();
            header[bit / 8] ^= 1 << (bit % 8);
            let is_whole = Header::decode(header).is_ok();
            assert!(!(was_whole && is_whole), "bit {bit} was flipped");
            header[bit / 8] ^= 1 << (bit % 8);
        }
        Step::Cut(kept) => {
            let kept = usize::from(kept) % HEADER_BYTES;
            assert!(
                Header::decode(&header[..kept]).is_err(),
                "{kept} bytes kept"
            );
        }
        Step::Bytes(bytes) => check_stable(&bytes),
    }
}

fn check_checksummed(bytes: &[u8; HEADER_BYTES]) {
    let found = Header::decode(bytes);
    assert_eq!(found.is_ok(), layout::is_header(bytes), "{bytes:02x?}");
    let version = layout::u64_at(bytes, 8) as u32;
    let is_newer = bytes[..8] == *b"STRATALG" && version > 1;
    let says_newer = found == Err(HeaderFault::NewerVersion(version));
    assert_eq!(says_newer, is_newer, "{bytes:02x?}");
    check_stable(bytes);
}

/// What was decoded is encoded and decoded to the same.
fn check_stable(bytes: &[u8]) {
    if let Ok(header) = Header::decode(bytes) {
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }
}

#[rustfmt::skip]
impl Script for Step {
    fn named_seeds() -> Vec<(&'static str, Vec<Self>)> {
        let header = |before, flags| Step::Header {
            before,
            id_ahead: 1,
            salt: 0x0123_4567_89AB_CDEF,
            base: 1207,
            capacity_bytes: 16 << 20,
            flags,
        };
        let put = |at, value| Step::Put { at, value };
        vec![
            ("first_segment", vec![header(None, 0), Step::Flip(300), Step::Cut(91)]),
            ("later_segments", (0..4).map(|flags| header(Some((6, 9000)), flags)).collect()),
            ("newer_version", vec![header(None, 0), put(8, 2), Step::Flip(64)]),
            ("no_version", vec![header(None, 0), put(8, 0)]),
            ("unknown_flag", vec![header(None, 0), put(8, 1 | 4 << 32)]),
            ("contradicting_base", vec![header(Some((6, 9000)), 0), put(48, 1208)]),
            ("its_own_predecessor", vec![header(Some((6, 9000)), 0), put(64, 7)]),
            ("extremes", [32, 40, 48, 56, 64, 72, 80].into_iter().flat_map(|at| [header(None, 0), put(at, u64::MAX)]).collect()),
            ("bytes", vec![Step::Bytes(vec![]), Step::Bytes(vec![0; HEADER_BYTES]), Step::Bytes(b"STRATALG".to_vec())]),
        ]
    }
}
