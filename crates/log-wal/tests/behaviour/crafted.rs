//! Files that nobody wrote by accident: whole checksums over impossible claims.

use std::sync::Arc;

use crate::common::{Files, append, small};
use crate::support::{TestStorage, try_open, try_open_read_only};
use log_wal::format::{FrameKey, Header, HeaderFault, Predecessor};
use log_wal::{
    AppendError, CommitError, Lsn, OpenError, ReadError, RecoveryPolicy, Salvage, TruncateError,
    Verify, Wal, WalReader,
};

const CAPACITY: usize = 16 << 10;

fn header() -> Header {
    Header {
        log_uuid: [7; 16],
        id: 1,
        salt: 5,
        base: Lsn(0),
        capacity_bytes: CAPACITY as u64,
        recycled: false,
        truncates: false,
        predecessor: None,
    }
}

fn segment(header: Header) -> (String, Vec<u8>) {
    let mut bytes = vec![0; CAPACITY];
    for copy in [0, 4096] {
        bytes[copy..copy + 92].copy_from_slice(&header.encode());
    }
    (header.name().to_string(), bytes)
}

fn refused(files: &Files) {
    let opened = try_open(files);
    assert!(matches!(opened, Err(OpenError::Damaged(_))), "{opened:?}");
    let opened = try_open_read_only(files);
    assert!(matches!(opened, Err(OpenError::Damaged(_))), "{opened:?}");
}

#[test]
fn a_header_that_cannot_be_true_is_damage() {
    let headers = [
        Header {
            base: Lsn(u64::MAX - 100),
            ..header()
        },
        Header {
            capacity_bytes: 8,
            ..header()
        },
        Header { id: 0, ..header() },
        // There must be an id for the next segment.
        Header {
            id: u64::MAX,
            ..header()
        },
    ];
    for impossible in headers {
        let (name, bytes) = segment(impossible);
        assert_eq!(Header::decode(&bytes[..92]), Err(HeaderFault::Damaged));
        refused(&[(name, bytes)].into());
    }
}

#[test]
fn a_predecessors_end_is_this_base_also_where_there_is_none() {
    let mut bytes = header().encode();
    bytes[72] = 1;
    let crc = crc32fast::hash(&bytes[..88]);
    bytes[88..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Header::decode(&bytes), Err(HeaderFault::Damaged));
}

#[test]
fn a_log_whose_ids_are_used_up_can_be_read_and_takes_what_fits() {
    let last = Header {
        id: u64::MAX - 1,
        ..header()
    };
    let files: Files = [segment(last)].into();
    let mut wal = try_open(&files).unwrap();
    append(&wal, 0, 2);
    let refused = wal.rotate();
    assert!(
        matches!(refused, Err(AppendError::NumbersExhausted)),
        "{refused:?}"
    );
    let refused = wal.truncate_after(Lsn(1));
    assert!(
        matches!(
            refused,
            Err(TruncateError::Commit(CommitError::Refused { .. }))
        ),
        "{refused:?}"
    );
    append(&wal, 2, 3);
    assert_eq!(crate::common::count_of_prefix(wal.iter()), 3);
    wal.close().unwrap();
}

#[test]
fn a_predecessor_that_ends_inside_of_its_headers_is_damage() {
    for end_position in [0, 104, 8188, 8193] {
        let (name, mut bytes) = segment(header());
        let seal = FrameKey::new(5).seal(end_position, Lsn(0));
        bytes[end_position as usize..][..seal.len()].copy_from_slice(&seal);
        let successor = Header {
            id: 2,
            salt: 6,
            predecessor: Some(Predecessor {
                id: 1,
                end: Lsn(0),
                end_position,
            }),
            ..header()
        };
        refused(&[(name, bytes), segment(successor)].into());
    }
}

#[test]
fn a_record_beyond_the_end_that_the_next_segment_states_is_not_shown() {
    let frame_bytes = 24;
    let second_at = 8192 + frame_bytes;
    // A truncation that counts a frame too many or too few for its number.
    for (end, end_position) in [
        (1, second_at + frame_bytes),
        (2, second_at),
        (2, second_at - 8),
    ] {
        let (name, mut bytes) = segment(header());
        for (lsn, position) in [(0, 8192), (1, second_at)] {
            let cell = &mut bytes[position as usize..][..frame_bytes as usize];
            let key = FrameKey::new(header().salt);
            let word = key.build_record(cell, position, Lsn(lsn), b"record", (true, true));
            cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
        }
        let cut = Header {
            id: 2,
            salt: 6,
            base: Lsn(end),
            truncates: true,
            predecessor: Some(Predecessor {
                id: 1,
                end: Lsn(end),
                end_position,
            }),
            ..header()
        };
        let files: Files = [(name, bytes), segment(cut)].into();
        let reader = try_open_read_only(&files).unwrap();
        let read: Vec<_> = reader.iter().collect();
        let (last, whole) = read.split_last().unwrap();
        assert!(matches!(last, Err(ReadError::Damaged(_))), "{read:?}");
        let mut lsns = whole.iter().map(|record| record.as_ref().unwrap().lsn());
        assert!(lsns.all(|lsn| lsn < Lsn(end)), "{read:?}");
    }
}

/// The older one has given its only number up, and the next one says that it
/// has none, and gives the number again.
#[test]
fn of_two_segments_with_the_same_numbers_the_newer_one_counts() {
    let (name, mut bytes) = segment(header());
    let key = FrameKey::new(header().salt);
    let cell = &mut bytes[8192..8208];
    let word = key.build_record(cell, 8192, Lsn(0), b"", (true, true));
    let word = key.build_void(cell, 8192, Lsn(0), word);
    bytes[8192..8200].copy_from_slice(&word.to_bits().to_le_bytes());
    let seal = key.seal(8208, Lsn(0));
    bytes[8208..8208 + seal.len()].copy_from_slice(&seal);
    let next = Header {
        id: 2,
        salt: 6,
        predecessor: Some(Predecessor {
            id: 1,
            end: Lsn(0),
            end_position: 8208,
        }),
        ..header()
    };
    let files: Files = [(name, bytes), segment_of_one(next)].into();

    let storage = Arc::new(TestStorage::with_files(files));
    let salvage = Salvage::with_storage(storage.clone()).unwrap();
    assert_eq!(salvage.cut_plan().unwrap().end, Lsn(0), "INV-C1");
    let read: Vec<_> = salvage.iter().filter_map(Result::ok).collect();
    assert_eq!((read.len(), read[0].payload()), (1, &b"record"[..]));
    assert_eq!(salvage.report().records, 1);
}

/// A segment whose only record has the first number that it can have.
fn segment_of_one(header: Header) -> (String, Vec<u8>) {
    let (name, mut bytes) = segment(header);
    let cell = &mut bytes[8192..8216];
    let word =
        FrameKey::new(header.salt).build_record(cell, 8192, header.base, b"record", (true, true));
    cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
    (name, bytes)
}

#[test]
fn a_segment_outlives_those_before_it_that_begin_behind_it() {
    let segments = [(1, 3), (2, 5), (3, 1)].map(|(id, base)| {
        segment_of_one(Header {
            id,
            salt: id,
            base: Lsn(base),
            ..header()
        })
    });
    let storage = Arc::new(TestStorage::with_files(segments.into()));
    let salvage = Salvage::with_storage(storage.clone()).unwrap();
    let read: Vec<_> = salvage.iter().filter_map(Result::ok).collect();
    let lsns: Vec<_> = read.iter().map(log_wal::Record::lsn).collect();
    assert_eq!(lsns, [Lsn(1)], "INV-C1");
    // Or the cut log would be refused again.
    let wal = Wal::with_storage(storage, small().recovery(RecoveryPolicy::CutToLastGood));
    assert_eq!(wal.unwrap().next_lsn(), Lsn(1));
}

/// Each says of the one before that it is as long as a file can be.
#[test]
fn ends_beyond_every_file_are_damage_and_cost_no_more_than_the_files() {
    let segments = [1, 2, 3].map(|id| {
        let before = (id > 1).then(|| Predecessor {
            id: id - 1,
            end: Lsn(0),
            end_position: u64::MAX - 7,
        });
        segment(Header {
            id,
            salt: id,
            predecessor: before,
            ..header()
        })
    });
    let files: Files = segments.into();
    let storage = Arc::new(TestStorage::with_files(files));
    let all = small().verify(Verify::All);
    let opened = Wal::with_storage(storage.clone(), all);
    assert!(matches!(opened, Err(OpenError::Damaged(_))), "{opened:?}");
    let salvage = Salvage::with_storage(storage).unwrap();
    let losses = salvage
        .report()
        .damage
        .iter()
        .filter_map(|it| it.lost.as_ref());
    let lost: Vec<_> = losses.map(|lost| lost.bytes).collect();
    assert_eq!(lost, [CAPACITY as u64 - 8192; 2]);
}

#[test]
fn lengths_that_overlap_do_not_make_the_search_for_frames_long() {
    // Each place claims a frame that reaches to the end: a checksum over each
    // would be 2^37 bytes.
    let capacity = 4 << 20;
    let (name, mut bytes) = segment(Header {
        capacity_bytes: capacity as u64,
        ..header()
    });
    bytes.resize(capacity, 0);
    for at in (8192..capacity).step_by(16) {
        let word = (capacity - at - 16) as u64 | 2 << 28 | 3 << 30 | 5 << 40;
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    let files: Files = [(name, bytes)].into();
    assert_eq!(try_open_read_only(&files).unwrap().next_lsn(), Lsn(0));
}

#[test]
fn removals_of_a_truncation_may_reach_the_disk_in_any_order() {
    let storage = TestStorage::new();
    let mut wal = crate::support::open(&storage);
    for lsn in 0..5 {
        append(&wal, lsn, lsn + 1);
        if lsn < 4 {
            wal.rotate().unwrap();
        }
    }
    wal.sync().unwrap();
    let before = storage.files();
    wal.truncate_after(Lsn(1)).unwrap();
    drop(wal);
    let after = storage.files();
    let discarded: Vec<_> = before
        .keys()
        .filter(|name| !after.contains_key(*name))
        .collect();
    assert!(discarded.len() >= 3);
    for kept in 0..1_u32 << discarded.len() {
        let mut files = after.clone();
        for (index, name) in discarded.iter().enumerate() {
            if kept >> index & 1 != 0 {
                files.insert((*name).clone(), before[*name].clone());
            }
        }
        assert_eq!(
            try_open(&files).unwrap().next_lsn(),
            Lsn(1),
            "kept {kept:b}"
        );
        let reader: WalReader = try_open_read_only(&files).unwrap();
        assert_eq!(reader.next_lsn(), Lsn(1), "kept {kept:b}");
    }
}
