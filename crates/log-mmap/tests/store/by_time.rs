//! Finding records by time, in mapped segments and in memory.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{dense, index_paths, make, options, payload, time_index_paths};
use log_mmap::{IndexFault, IndexState, Lsn, NewRecord, ReadError, Reader, Store, Timestamp};

const RECORDS: u64 = 12;
const SEGMENTS: u64 = 3;
const END: u64 = SEGMENTS * RECORDS;

/// When record `lsn` happened: not in order, some at the same moment, some at
/// no time that anybody knows.
fn timestamp(lsn: u64) -> Option<Timestamp> {
    let mixed = lsn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    (!mixed.is_multiple_of(5)).then_some(Timestamp(1000 + 10 * lsn + mixed % 40))
}

fn append(store: &Store, lsn: u64) {
    let payload = payload(lsn);
    let mut record = NewRecord::new(&payload);
    if let Some(timestamp) = timestamp(lsn) {
        record = record.timestamp(timestamp);
    }
    assert_eq!(store.append_record(&record).unwrap(), Lsn(lsn));
}

/// A log of three segments, the last of which is not sealed.
fn log() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    for lsn in 0..END {
        if lsn > 0 && lsn % RECORDS == 0 {
            assert!(store.rotate().unwrap());
        }
        append(&store, lsn);
    }
    store.close().unwrap();
    let index = time_index_paths(directory.path()).remove(0);
    (directory, index)
}

/// The first of records `first..end` at or after `moment`, by looking at all.
fn expected(first: u64, end: u64, moment: Timestamp) -> Option<Lsn> {
    let mut lsns = first..end;
    lsns.find(|lsn| timestamp(*lsn) >= Some(moment)).map(Lsn)
}

/// Every moment that makes a difference.
fn moments(end: u64) -> impl Iterator<Item = Timestamp> {
    let edges = (0..end).filter_map(timestamp);
    let edges = edges.flat_map(|Timestamp(at)| [at - 1, at, at + 1]);
    edges.chain([0, u64::MAX]).map(Timestamp)
}

fn assert_found(
    find: impl Fn(Timestamp) -> Result<Option<Lsn>, ReadError>,
    first: u64,
    end: u64,
    context: &str,
) {
    for moment in moments(end) {
        let found = find(moment).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(found, expected(first, end, moment), "{context}: {moment}");
    }
}

/// Both sides answer as if nothing had happened, and the writer repairs the
/// file.
fn assert_harmless(directory: &Path, index: &Path, good: &[u8], context: &str) {
    let bad = fs::read(index).ok();
    let reader = Reader::open(directory).unwrap();
    assert_found(|moment| reader.lsn_at_or_after(moment), 0, END, context);
    assert_eq!(
        fs::read(index).ok(),
        bad,
        "{context}: readers write nothing"
    );

    let store = Store::open(directory, dense()).unwrap();
    assert_found(|moment| store.lsn_at_or_after(moment), 0, END, context);
    drop(store);
    assert_eq!(
        fs::read(index).unwrap(),
        good,
        "INV-M3: {context}: built again"
    );
}

fn state(directory: &Path) -> IndexState {
    Reader::open(directory).unwrap().verify().time_indexes[0].state
}

#[test]
fn the_first_record_at_or_after_a_moment_is_found_in_files_and_in_memory() {
    for interval_bytes in [0, 1, 300, 4096, u32::MAX] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), options(interval_bytes)).unwrap();
        for lsn in 0..600 {
            append(&store, lsn);
            match lsn {
                150 | 151 | 330 => assert!(store.rotate().unwrap()),
                // It goes on where it left off.
                _ if lsn % 97 == 0 => {
                    let context = format!("{lsn} of interval {interval_bytes}");
                    let find = |moment| store.lsn_at_or_after(moment);
                    assert_found(find, 0, lsn + 1, &context);
                }
                _ => {}
            }
        }
        store.flush().unwrap();
        let reader = Reader::open(directory.path()).unwrap();
        assert_found(|moment| reader.lsn_at_or_after(moment), 0, 600, "read");
        assert_found(|moment| store.lsn_at_or_after(moment), 0, 600, "written");
    }
}

#[test]
fn a_log_without_timestamps_has_no_moment() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 3, 20);
    let store = Store::open(directory.path(), dense()).unwrap();
    assert_eq!(store.lsn_at_or_after(Timestamp(0)).unwrap(), None);
}

#[test]
fn what_was_dropped_from_the_front_is_not_found() {
    let (directory, _) = log();
    let store = Store::open(directory.path(), dense()).unwrap();
    assert_found(|moment| store.lsn_at_or_after(moment), 0, END, "all");
    assert_eq!(store.drop_before(Lsn(RECORDS)).unwrap(), 1);
    let find = |moment| store.lsn_at_or_after(moment);
    assert_found(find, RECORDS, END, "without the first segment");
    assert_eq!(time_index_paths(directory.path()).len(), 1);
    assert_eq!(index_paths(directory.path()).len(), 1);
}

#[test]
fn what_was_discarded_is_not_found_and_what_comes_instead_is() {
    let (directory, _) = log();
    let mut store = Store::open(directory.path(), dense()).unwrap();
    assert_found(|moment| store.lsn_at_or_after(moment), 0, END, "all");
    for end in [END - 3, RECORDS + 5, RECORDS - 1] {
        store.truncate_after(Lsn(end)).unwrap();
        let find = |moment| store.lsn_at_or_after(moment);
        assert_found(find, 0, end, &format!("cut at {end}"));
        // Longer than it was, so that nothing gives the cut away.
        let other = NewRecord::new(b"other").timestamp(Timestamp(5));
        for lsn in end..=END {
            assert_eq!(store.append_record(&other).unwrap(), Lsn(lsn));
        }
        let find = |moment| store.lsn_at_or_after(Timestamp(1000).max(moment));
        for moment in moments(END).filter(|moment| moment.0 >= 1000) {
            assert_eq!(find(moment).unwrap(), expected(0, end, moment), "{moment}");
        }
        store.truncate_after(Lsn(end)).unwrap();
    }
}

#[test]
fn a_record_of_a_later_version_has_no_timestamp_that_anybody_knows() {
    struct Later;
    impl log_wal::Payload for Later {
        fn len_bytes(&self) -> usize {
            8
        }
        fn copy_to(&self, place: &mut [u8]) {
            place.fill(0xFF);
        }
        fn codec(&self) -> log_wal::Codec {
            log_wal::Codec::new(0x41).unwrap()
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let wal = log_wal::Wal::open(directory.path()).unwrap();
    for _ in 0..2 {
        wal.append(b"plain").unwrap();
        wal.append_payload(&Later).unwrap();
        let late = NewRecord::new(b"late").timestamp(Timestamp(7));
        wal.append_payload(&late).unwrap();
        wal.rotate().unwrap();
    }
    wal.append_payload(&Later).unwrap();
    let later = NewRecord::new(b"later").timestamp(Timestamp(9));
    wal.append_payload(&later).unwrap();
    wal.close().unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    for lsn in [1, 4, 6] {
        let read = store.read(Lsn(lsn));
        match read {
            Err(ReadError::Undecodable {
                lsn: named, codec, ..
            }) => {
                assert_eq!((named, codec.number()), (Lsn(lsn), 0x41));
            }
            other => panic!("{other:?}"),
        }
    }
    let find = |moment| store.lsn_at_or_after(Timestamp(moment)).unwrap();
    assert_eq!(find(7), Some(Lsn(2)));
    assert_eq!(find(8), Some(Lsn(7)));
    assert_eq!(find(10), None);
    let read: Vec<_> = store.iter_from(Lsn(2)).collect();
    assert_eq!(read.len(), 3, "up to the next that cannot be understood");
    assert!(store.read(Lsn(5)).unwrap().is_some());
}

#[test]
fn every_sealed_segment_gets_a_time_index_that_says_what_the_segment_says() {
    let (directory, _) = log();
    let report = Reader::open(directory.path()).unwrap().verify();
    let states = report.time_indexes.iter().map(|index| index.state);
    let sound = |state| matches!(state, IndexState::Sound { entries: 2.. });
    assert_eq!(states.filter(|state| sound(*state)).count(), 2);
}

/// Fault 36, fault 37: the log is there and its indexes are not.
#[test]
fn deleting_every_time_index_changes_no_answer() {
    let (directory, index) = log();
    let good = fs::read(&index).unwrap();
    for path in time_index_paths(directory.path()) {
        fs::remove_file(path).unwrap();
    }
    let missing = IndexState::Unusable(IndexFault::Missing);
    assert_eq!(state(directory.path()), missing);
    assert_harmless(directory.path(), &index, &good, "missing");
    for path in index_paths(directory.path()) {
        fs::remove_file(path).unwrap();
    }
    assert_harmless(directory.path(), &index, &good, "only by time");
}

/// Fault 36.
#[test]
fn a_flip_of_any_byte_of_a_time_index_changes_no_answer() {
    let (directory, index) = log();
    let good = fs::read(&index).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        fs::write(&index, bad).unwrap();
        let found = state(directory.path());
        assert!(matches!(found, IndexState::Unusable(_)), "byte {byte}");
        let context = format!("byte {byte} flipped");
        assert_harmless(directory.path(), &index, &good, &context);
    }
}

/// Fault 36.
#[test]
fn a_cut_or_foreign_time_index_changes_no_answer() {
    let (directory, index) = log();
    let (_other, of_other_log) = log();
    let good = fs::read(&index).unwrap();
    let mut others = vec![
        vec![0; good.len()],
        b"some text".repeat(20),
        [&good[..], &[0xFF; 16]].concat(),
        fs::read(of_other_log).unwrap(),
        fs::read(&time_index_paths(directory.path())[1]).unwrap(),
        fs::read(&index_paths(directory.path())[0]).unwrap(),
    ];
    others.extend((0..good.len()).step_by(9).map(|kept| good[..kept].to_vec()));
    for (which, other) in others.iter().enumerate() {
        fs::write(&index, other).unwrap();
        assert_harmless(directory.path(), &index, &good, &format!("other {which}"));
    }
}

/// Fault 36: a time index that is whole and leads to other places than it did.
#[test]
fn a_whole_time_index_that_leads_astray_is_found_out() {
    const CRC: std::ops::Range<usize> = 60..64;
    let (directory, index) = log();
    let good = fs::read(&index).unwrap();
    // The last one ends the segment, and is refused when it is loaded.
    for entry in 0..(good.len() - 64) / 16 - 1 {
        for off in [-1_i32, 1] {
            let at = 64 + 16 * entry + 12;
            let mut lie = good.clone();
            let units = u32::from_le_bytes(lie[at..at + 4].try_into().unwrap());
            lie[at..at + 4].copy_from_slice(&units.wrapping_add_signed(off).to_le_bytes());
            let crc = crc32fast::hash(&[&lie[..60], &lie[64..]].concat());
            lie[CRC].copy_from_slice(&crc.to_le_bytes());
            fs::write(&index, &lie).unwrap();
            assert_eq!(state(directory.path()), IndexState::Contradicting);
            let context = format!("entry {entry} is off by {}", 8 * off);
            assert_harmless(directory.path(), &index, &good, &context);
        }
    }
}

/// Fault 35: a damaged record may be the one that was asked for.
#[test]
fn a_moment_behind_damage_is_an_error_that_names_the_place() {
    let (directory, _) = log();
    let segment = crate::support::segment_paths(directory.path()).remove(0);
    let mut file = fs::read(&segment).unwrap();
    file[8192 + 9] ^= 1;
    fs::write(&segment, file).unwrap();
    for path in time_index_paths(directory.path()) {
        fs::remove_file(path).unwrap();
    }
    let store = Store::open(directory.path(), dense()).unwrap();
    match store.lsn_at_or_after(Timestamp(0)) {
        Err(ReadError::Damaged(damage)) => {
            assert_eq!((damage.path, damage.position), (segment, 8192));
            assert_eq!(damage.lsn, Some(Lsn(0)));
        }
        other => panic!("expected damage, got {other:?}"),
    }
}
