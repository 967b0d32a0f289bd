//! Indexes are derived: whatever happens to an index file, the answers stay
//! (INV-M3), and the writer puts a good one in its place.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{assert_complete, dense, index_paths, make, options};
use log_mmap::{Checks, IndexFault, IndexState, Reader, Store};

const RECORDS: u64 = 12;
const SEGMENTS: u64 = 3;
const END: u64 = SEGMENTS * RECORDS;

/// Where an entry's position is in an index file: see the drawing in the
/// index module.
const CRC: std::ops::Range<usize> = 60..64;
const FIRST_ENTRY: usize = 64;

/// A log with two sealed segments, and the index of the first.
fn log() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), SEGMENTS, RECORDS);
    let index = index_paths(directory.path()).remove(0);
    (directory, index)
}

/// Both sides answer as if nothing had happened, and the writer repairs the
/// file.
fn assert_harmless(directory: &Path, index: &Path, good: &[u8], context: &str) {
    let bad = fs::read(index).ok();
    for checks in [Checks::EachRead, Checks::OncePerMapping] {
        let reader = Reader::open_with(directory, checks).unwrap();
        assert_complete(&reader, END, context);
    }
    assert_eq!(
        fs::read(index).ok(),
        bad,
        "{context}: a reader writes nothing"
    );

    let store = Store::open(directory, dense()).unwrap();
    assert_complete(&store, END, context);
    drop(store);
    assert_eq!(
        fs::read(index).unwrap(),
        good,
        "INV-M3: {context}: built again"
    );
}

fn state(directory: &Path) -> IndexState {
    Reader::open(directory).unwrap().verify().indexes[0].state
}

fn with_new_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    let covered = [&bytes[..CRC.start], &bytes[CRC.end..]].concat();
    let crc = crc32fast::hash(&covered);
    bytes[CRC].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn every_sealed_segment_gets_an_index_that_says_what_the_segment_says() {
    let (directory, _) = log();
    let report = Reader::open(directory.path()).unwrap().verify();
    assert!(report.is_sound());
    let states: Vec<_> = report.indexes.iter().map(|index| index.state).collect();
    let sound = IndexState::Sound {
        entries: RECORDS as usize,
    };
    assert_eq!(states, [sound, sound], "the third segment is not sealed");
}

#[test]
fn deleting_every_index_changes_no_answer() {
    let (directory, _) = log();
    let before: Vec<_> = index_paths(directory.path())
        .into_iter()
        .map(|path| (fs::read(&path).unwrap(), path))
        .collect();
    for (_, path) in &before {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(
        state(directory.path()),
        IndexState::Unusable(IndexFault::Missing)
    );
    let store = Store::open(directory.path(), dense()).unwrap();
    assert_complete(&store, END, "without indexes");
    for (bytes, path) in before {
        assert_eq!(
            fs::read(path).unwrap(),
            bytes,
            "INV-M3: they are back, the same"
        );
    }
}

#[test]
fn a_flip_of_any_byte_changes_no_answer() {
    let (directory, index) = log();
    let good = fs::read(&index).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        fs::write(&index, bad).unwrap();
        assert!(
            matches!(state(directory.path()), IndexState::Unusable(_)),
            "byte {byte}"
        );
        assert_harmless(
            directory.path(),
            &index,
            &good,
            &format!("byte {byte} flipped"),
        );
    }
}

#[test]
fn a_cut_at_any_byte_changes_no_answer() {
    let (directory, index) = log();
    let good = fs::read(&index).unwrap();
    for kept in (0..good.len()).step_by(7) {
        fs::write(&index, &good[..kept]).unwrap();
        assert_eq!(
            state(directory.path()),
            IndexState::Unusable(IndexFault::Short)
        );
        assert_harmless(
            directory.path(),
            &index,
            &good,
            &format!("{kept} bytes kept"),
        );
    }
}

#[test]
fn zeros_and_foreign_bytes_change_no_answer() {
    let (directory, index) = log();
    let good = fs::read(&index).unwrap();
    let text = b"not an index, but some text that is long enough to be one .....".repeat(2);
    for (bad, context) in [(vec![0; good.len()], "zeros"), (text, "text")] {
        fs::write(&index, bad).unwrap();
        assert!(
            matches!(state(directory.path()), IndexState::Unusable(_)),
            "{context}"
        );
        assert_harmless(directory.path(), &index, &good, context);
    }
}

#[test]
fn an_index_of_another_segment_or_log_changes_no_answer() {
    let (directory, index) = log();
    let (_other, of_other_log) = log();
    let of_other_segment = index_paths(directory.path()).remove(1);
    let good = fs::read(&index).unwrap();
    for other in [of_other_segment, of_other_log] {
        fs::copy(other, &index).unwrap();
        assert_eq!(
            state(directory.path()),
            IndexState::Unusable(IndexFault::Foreign)
        );
        assert_harmless(directory.path(), &index, &good, "foreign");
    }
}

#[test]
fn an_index_of_an_earlier_use_of_the_segment_changes_no_answer() {
    const SALT: usize = 40;
    let (directory, index) = log();
    let good = fs::read(&index).unwrap();
    let mut stale = good.clone();
    stale[SALT] ^= 1;
    fs::write(&index, with_new_crc(stale)).unwrap();
    assert_eq!(
        state(directory.path()),
        IndexState::Unusable(IndexFault::Stale)
    );
    assert_harmless(directory.path(), &index, &good, "stale");
}

#[test]
fn an_index_ahead_of_its_segment_changes_no_answer() {
    let (directory, index) = log();
    let good = fs::read(&index).unwrap();
    let last_entry = good.len() - 8;
    let mut ahead = good.clone();
    ahead[last_entry] += 1; // the number of the last record, plus one
    fs::write(&index, with_new_crc(ahead)).unwrap();
    assert_eq!(
        state(directory.path()),
        IndexState::Unusable(IndexFault::AheadOfData)
    );
    assert_harmless(directory.path(), &index, &good, "ahead by a record");

    // More entries than the segment has records: not even read to the end.
    let long = [&good[..], &[0xFF; 80]].concat();
    fs::write(&index, long).unwrap();
    assert_eq!(
        state(directory.path()),
        IndexState::Unusable(IndexFault::AheadOfData)
    );
    assert_harmless(directory.path(), &index, &good, "too long");
}

#[test]
fn a_whole_index_that_lies_is_found_out_at_the_first_wrong_place() {
    let (directory, index) = log();
    let good = fs::read(&index).unwrap();
    let entries = (good.len() - FIRST_ENTRY) / 8;
    for entry in 0..entries {
        for place in [-1_i32, 1] {
            let at = FIRST_ENTRY + 8 * entry + 4;
            let mut lie = good.clone();
            let units = u32::from_le_bytes(lie[at..at + 4].try_into().unwrap());
            lie[at..at + 4].copy_from_slice(&units.wrapping_add_signed(place).to_le_bytes());
            fs::write(&index, with_new_crc(lie)).unwrap();
            assert!(
                !matches!(state(directory.path()), IndexState::Sound { .. }),
                "entry {entry}, {place}"
            );
            let context = format!("entry {entry} is off by {}", 8 * place);
            assert_harmless(directory.path(), &index, &good, &context);
        }
    }
}

#[test]
fn something_that_is_no_file_in_its_place_changes_no_answer() {
    let (directory, index) = log();
    fs::remove_file(&index).unwrap();
    fs::create_dir(&index).unwrap();
    assert_eq!(
        state(directory.path()),
        IndexState::Unusable(IndexFault::Foreign)
    );
    let store = Store::open(directory.path(), dense()).unwrap();
    assert_complete(&store, END, "no index can be written");
    drop(store);
    assert!(index.is_dir(), "left alone");
    assert_eq!(
        index_paths(directory.path()).len(),
        2,
        "nothing half-made stays behind"
    );
}

#[test]
fn an_index_with_another_interval_is_used_as_it_is() {
    let (directory, index) = log();
    let good = fs::read(&index).unwrap();
    for interval_bytes in [0, 256, u32::MAX] {
        let store = Store::open(directory.path(), options(interval_bytes)).unwrap();
        assert_complete(&store, END, "another interval");
        drop(store);
        assert_eq!(fs::read(&index).unwrap(), good, "{interval_bytes}");

        fs::remove_file(&index).unwrap();
        let store = Store::open(directory.path(), options(interval_bytes)).unwrap();
        assert_complete(&store, END, "a new one with this interval");
        drop(store);
        assert!(matches!(state(directory.path()), IndexState::Sound { .. }));
        fs::write(&index, &good).unwrap();
    }
}
