//! Files that a stranger has changed: an error that names the place, never
//! wrong bytes and never silence.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::support::{assert_complete, dense, index_paths, make, payload, segment_paths};
use log_mmap::{IndexState, Lsn, OpenError, ReadError, Reader, Salvage, Store};
use log_wal::format::{FrameKey, HEADER_BYTES, Header, Predecessor, SEAL_BYTES};

const RECORDS: u64 = 30;
const END: u64 = 2 * RECORDS;

/// A log with one sealed segment, and its file.
fn log() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 2, RECORDS);
    let segment = segment_paths(directory.path()).remove(0);
    (directory, segment)
}

/// Where record `lsn` of the first segment lies, from its index.
fn position_of(directory: &Path, lsn: u64) -> usize {
    let index = fs::read(&index_paths(directory)[0]).unwrap();
    let entry = 64 + 8 * lsn as usize;
    let units = index[entry + 4..entry + 8].try_into().unwrap();
    8 * u32::from_le_bytes(units) as usize
}

fn damage_of<T: std::fmt::Debug>(result: Result<T, ReadError>) -> log_mmap::Damage {
    match result {
        Err(ReadError::Damaged(damage)) => damage,
        other => panic!("expected damage, got {other:?}"),
    }
}

#[test]
fn a_file_that_was_cut_before_it_is_mapped_is_an_error() {
    let (directory, segment) = log();
    let whole = fs::read(&segment).unwrap();
    let frames_end = position_of(directory.path(), RECORDS - 1) + 16;
    for kept in [
        0,
        1,
        4096,
        8192,
        8200,
        10_000.min(frames_end - 8),
        frames_end - 8,
    ] {
        // Opened first: opening would notice too.
        let store = Store::open(directory.path(), dense()).unwrap();
        let reader = Reader::open(directory.path()).unwrap();
        File::options()
            .write(true)
            .open(&segment)
            .unwrap()
            .set_len(kept as u64)
            .unwrap();
        for result in [
            store.read(Lsn(0)),
            store.read(Lsn(RECORDS - 1)),
            reader.read(Lsn(0)),
            store.iter().next().transpose(),
        ] {
            let damage = damage_of(result);
            assert_eq!(damage.path, segment);
            assert_eq!(damage.position, kept as u64, "where the file ends now");
            assert!(damage.reason.contains("cut"), "{damage}");
        }
        assert!(
            store.read(Lsn(RECORDS)).unwrap().is_some(),
            "the next segment is whole"
        );
        let report = reader.verify();
        assert!(!report.is_sound());
        assert_eq!(report.indexes[0].state, IndexState::SegmentDamaged);
        drop(store);
        fs::write(&segment, &whole).unwrap();
    }
    let store = Store::open(directory.path(), dense()).unwrap();
    assert_complete(&store, END, "put back");
}

#[test]
fn a_file_that_is_gone_is_an_error() {
    let (directory, segment) = log();
    let store = Store::open(directory.path(), dense()).unwrap();
    fs::remove_file(&segment).unwrap();
    match store.read(Lsn(0)) {
        Err(ReadError::Io { path, source, .. }) => {
            assert_eq!(path, segment);
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
        other => panic!("expected an I/O error, got {other:?}"),
    }
}

/// Fault 35: the hole reads as zeros, before the file is mapped and after.
#[test]
fn a_hole_in_a_sealed_segment_is_an_error_for_its_records_alone() {
    use rustix::fs::{FallocateFlags, fallocate};
    const BLOCK: u64 = 4096;
    for is_mapped_before in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        make(directory.path(), dense(), 2, 75);
        let segment = segment_paths(directory.path()).remove(0);
        let position = |lsn| position_of(directory.path(), lsn) as u64;
        let hole = 2 * BLOCK..3 * BLOCK;
        assert!(position(74) > hole.end, "there are records behind it");
        let store = Store::open(directory.path(), dense()).unwrap();
        if is_mapped_before {
            assert_complete(&store, 150, "whole");
        }
        let punched = fallocate(
            File::options().write(true).open(&segment).unwrap(),
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            hole.start,
            BLOCK,
        );
        if punched == Err(rustix::io::Errno::OPNOTSUPP) {
            return;
        }
        punched.unwrap();
        for lsn in 0..74 {
            let (from, to) = (position(lsn), position(lsn + 1));
            let context = format!("record {lsn} at {from}, mapped before: {is_mapped_before}");
            if from < hole.end && to > hole.start {
                let damage = damage_of(store.read(Lsn(lsn)));
                assert_eq!(damage.path, segment, "{context}");
            } else {
                let record = store.read(Lsn(lsn)).unwrap().unwrap();
                assert_eq!(record.payload(), payload(lsn), "{context}");
            }
        }
        assert!(!Reader::open(directory.path()).unwrap().verify().is_sound());
    }
}

#[test]
fn a_damaged_record_is_an_error_and_all_others_are_read_with_and_without_an_index() {
    let (directory, segment) = log();
    let index = index_paths(directory.path()).remove(0);
    let (good_file, good_index) = (fs::read(&segment).unwrap(), fs::read(&index).unwrap());
    for lsn in [0, 1, 14, RECORDS - 1] {
        let position = position_of(directory.path(), lsn);
        // Its length, state, salt, checksum and number.
        for byte in [0, 1, 2, 3, 4, 6, 9, 13] {
            let mut bad = good_file.clone();
            bad[position + byte] ^= 0x11;
            fs::write(&segment, &bad).unwrap();
            for has_index in [true, false] {
                match has_index {
                    true => fs::write(&index, &good_index).unwrap(),
                    false => fs::remove_file(&index).unwrap(),
                }
                let store = Store::open(directory.path(), dense()).unwrap();
                let context = format!("record {lsn}, byte {byte}, index {has_index}");
                assert_only_damage(&store, lsn, position, &context);
                drop(store);
                assert_eq!(
                    index.exists(),
                    has_index,
                    "{context}: none is made of damage"
                );
            }
            fs::write(&index, &good_index).unwrap();
        }
    }
}

fn assert_only_damage(store: &Store, bad: u64, position: usize, context: &str) {
    for lsn in 0..END {
        let read = store.read(Lsn(lsn));
        if lsn == bad {
            let damage = damage_of(read);
            assert_eq!(damage.position, position as u64, "{context}");
            assert_eq!(damage.lsn, Some(Lsn(bad)), "{context}");
        } else {
            let record = read.unwrap_or_else(|error| panic!("{context}: {lsn}: {error}"));
            assert_eq!(record.unwrap().payload(), payload(lsn), "INV-M3: {context}");
        }
    }
    let read: Vec<_> = store.iter().collect();
    assert_eq!(
        read.len() as u64,
        bad + 1,
        "{context}: all up to the error, which is the last"
    );
    assert!(read.last().unwrap().is_err(), "{context}");
    let behind = store.iter_from(Lsn(bad + 1)).map(Result::unwrap).count() as u64;
    assert_eq!(behind, END - bad - 1, "{context}: going on behind it");
}

#[test]
fn a_payload_is_never_handed_out_changed() {
    let (directory, segment) = log();
    let good = fs::read(&segment).unwrap();
    let lsn = (0..RECORDS).find(|lsn| payload(*lsn).len() > 64).unwrap();
    let position = position_of(directory.path(), lsn);
    for byte in 0..payload(lsn).len() {
        let mut bad = good.clone();
        bad[position + 16 + byte] ^= 0x80;
        fs::write(&segment, &bad).unwrap();
        let reader = Reader::open(directory.path()).unwrap();
        assert_eq!(
            damage_of(reader.read(Lsn(lsn))).lsn,
            Some(Lsn(lsn)),
            "byte {byte}"
        );
        let report = reader.verify();
        assert_eq!(report.damage.len(), 1, "byte {byte}");
        assert_eq!(report.damage[0].path, segment);
    }
}

/// A sealed segment of two whole records in a log whose next segment says that
/// it ends elsewhere.
fn crafted(end: u64, end_position: u64) -> tempfile::TempDir {
    const FRAME_BYTES: usize = 24;
    let first = Header {
        log_uuid: [7; 16],
        id: 1,
        salt: 5,
        base: Lsn(0),
        capacity_bytes: 16 << 10,
        recycled: false,
        truncates: false,
        predecessor: None,
    };
    let mut file = segment_file(&first);
    let key = FrameKey::new(first.salt);
    for lsn in 0..2 {
        let position = 8192 + lsn * FRAME_BYTES;
        let cell = &mut file[position..][..FRAME_BYTES];
        let lsn = Lsn(lsn as u64);
        let word = key.build_record(cell, position as u64, lsn, b"record", (true, true));
        cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
    }
    let predecessor = Predecessor {
        id: 1,
        end: Lsn(end),
        end_position,
    };
    let second = Header {
        id: 2,
        salt: 6,
        base: Lsn(end),
        truncates: true,
        predecessor: Some(predecessor),
        ..first
    };
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(first.name().to_string()), file).unwrap();
    let path = directory.path().join(second.name().to_string());
    fs::write(path, segment_file(&second)).unwrap();
    directory
}

fn segment_file(header: &Header) -> Vec<u8> {
    let mut bytes = vec![0; header.capacity_bytes as usize];
    for copy in [0, 4096] {
        bytes[copy..copy + 92].copy_from_slice(&header.encode());
    }
    bytes
}

#[test]
fn a_record_beyond_the_end_that_the_next_segment_states_is_not_shown() {
    let second_at = 8192 + 24;
    for (end, end_position) in [(1, second_at + 24), (2, second_at), (2, second_at - 8)] {
        let directory = crafted(end, end_position);
        let reader = Reader::open(directory.path()).unwrap();
        let read: Vec<_> = reader.iter().collect();
        let (last, whole) = read.split_last().unwrap();
        assert!(matches!(last, Err(ReadError::Damaged(_))), "{read:?}");
        let mut lsns = whole.iter().map(|record| record.as_ref().unwrap().lsn());
        assert!(lsns.all(|lsn| lsn < Lsn(end)), "{read:?}");
        assert!(!reader.verify().is_sound());
        assert!(index_paths(directory.path()).is_empty());
    }
}

#[test]
fn fault_38_a_flip_in_a_seal_is_refused_by_name_and_costs_no_record() {
    let (directory, segment) = log();
    let whole = fs::read(&segment).unwrap();
    let seal = end_position_of(directory.path());
    for at in seal..seal + SEAL_BYTES {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&segment, bytes).unwrap();
        let refused = [
            Store::open(directory.path(), dense()).err(),
            Reader::open(directory.path()).err(),
        ];
        for error in refused {
            match error {
                Some(OpenError::Damaged(damage)) => {
                    assert_eq!(
                        (damage.path, damage.row.to_string()),
                        (segment.clone(), "H".into())
                    );
                }
                other => panic!("byte {at}: {other:?}"),
            }
        }
        // What lies in front of the seal is whole, and found by reading it.
        let salvage = Salvage::open(directory.path()).unwrap();
        let (read, lost): (Vec<_>, Vec<_>) = salvage.iter().partition(Result::is_ok);
        let lsns = read.into_iter().map(|record| record.unwrap().lsn().0);
        assert!(lsns.eq(0..END), "byte {at}");
        assert_eq!(lost.len(), 1, "the seal");
    }
}

/// Where the frames of the first segment end.
fn end_position_of(directory: &Path) -> usize {
    let next = fs::read(&segment_paths(directory)[1]).unwrap();
    let header = Header::decode(next.first_chunk::<HEADER_BYTES>().unwrap()).unwrap();
    header.predecessor.unwrap().end_position as usize
}
