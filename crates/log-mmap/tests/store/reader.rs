//! Reading beside a running writer.

use std::fs;
use std::path::Path;

use crate::support::{assert_complete, dense, index_paths, make, names, payload, segment_paths};
use log_mmap::{IndexState, Lsn, OpenError, ReadError, Reader, Store};

fn contents(directory: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let read = |path: std::path::PathBuf| (path.clone(), fs::read(path).unwrap());
    names(directory).into_iter().map(read).collect()
}

#[test]
fn a_reader_sees_what_was_written_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 2, 20);
    let store = Store::open(directory.path(), dense()).unwrap();
    for lsn in 40..60 {
        store.append(&payload(lsn)).unwrap();
    }
    store.flush().unwrap();
    fs::remove_file(&index_paths(directory.path())[0]).unwrap();
    let before = contents(directory.path());

    let reader = Reader::open(directory.path()).unwrap();
    assert!(reader.is_being_written());
    assert_complete(&reader, 60, "beside the writer");
    assert!(reader.verify().is_sound());
    assert!(
        contents(directory.path()) == before,
        "it writes nothing, no index either"
    );

    store.append(&payload(60)).unwrap();
    store.rotate().unwrap();
    assert_complete(&reader, 60, "as of opening");
    assert_complete(&Reader::open(directory.path()).unwrap(), 61, "opened again");
    store.close().unwrap();
    assert!(!reader.is_being_written());
}

#[test]
fn a_reader_before_the_first_record_is_told_where_the_log_begins() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 3, 10);
    for path in [
        segment_paths(directory.path()),
        index_paths(directory.path()),
    ] {
        fs::remove_file(&path[0]).unwrap();
    }
    let reader = Reader::open(directory.path()).unwrap();
    let store = Store::open(directory.path(), dense()).unwrap();
    assert_eq!((reader.first_lsn(), store.first_lsn()), (Lsn(10), Lsn(10)));
    for mut records in [reader.iter_from(Lsn(3)), store.iter_from(Lsn(3))] {
        match records.next() {
            Some(Err(ReadError::Truncated { requested, first })) => {
                assert_eq!((requested, first), (Lsn(3), Lsn(10)), "INV-F2");
            }
            other => panic!("expected an error, got {other:?}"),
        }
        let rest: Vec<_> = records.map(|record| record.unwrap().lsn().0).collect();
        assert_eq!(rest, (10..30).collect::<Vec<_>>(), "then it goes on");
    }
    assert!(matches!(
        store.read(Lsn(9)),
        Err(ReadError::Truncated { .. })
    ));
    assert!(store.read(Lsn(10)).unwrap().is_some());
}

#[test]
fn ranges_are_half_open_and_end_where_the_log_does() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 3, 10);
    let reader = Reader::open(directory.path()).unwrap();
    let range = |start, end| {
        let records = reader.range(Lsn(start)..Lsn(end));
        records
            .map(|record| record.unwrap().lsn().0)
            .collect::<Vec<_>>()
    };
    assert_eq!(range(8, 12), [8, 9, 10, 11], "across segments");
    assert_eq!(range(10, 10), []);
    assert_eq!(range(12, 8), []);
    assert_eq!(range(28, 99), [28, 29]);
    assert_eq!(range(30, 99), []);
    assert_eq!(range(u64::MAX, u64::MAX), []);
}

#[test]
fn verify_reports_an_index_that_cannot_be_used_and_calls_the_log_sound() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 3, 10);
    let indexes = index_paths(directory.path());
    fs::write(&indexes[0], b"short").unwrap();
    let report = Reader::open(directory.path()).unwrap().verify();
    assert!(report.is_sound(), "INV-M3");
    assert_eq!((report.segments, report.records), (3, 30));
    assert_eq!(report.indexes[0].path, indexes[0]);
    assert!(matches!(report.indexes[0].state, IndexState::Unusable(_)));
    assert_eq!(report.indexes[1].state, IndexState::Sound { entries: 10 });
}

#[test]
fn a_log_that_is_not_there_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for path in [
        directory.path().join("missing"),
        directory.path().to_path_buf(),
    ] {
        let error = Reader::open(path).unwrap_err();
        assert!(matches!(error, OpenError::NoLog { .. }), "{error}");
    }
}

/// Fault 40, in another process: what it has not mapped yet is gone, and said
/// to be.
#[test]
fn what_the_writer_drops_beside_a_reader_is_truncated_for_it() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), dense(), 3, 20);
    let store = Store::open(directory.path(), dense()).unwrap();
    let reader = Reader::open(directory.path()).unwrap();
    assert_eq!(store.drop_before(Lsn(40)).unwrap(), 2);
    let truncated = |error: &ReadError, lsn| {
        matches!(error, ReadError::Truncated { requested, first }
            if (*requested, *first) == (lsn, Lsn(40)))
    };
    let error = reader.read(Lsn(5)).unwrap_err();
    assert!(truncated(&error, Lsn(5)), "{error}");
    let mut records = reader.iter_from(Lsn(30));
    let error = records.next().unwrap().unwrap_err();
    assert!(truncated(&error, Lsn(30)), "{error}");
    let next = records.next().unwrap().unwrap();
    assert_eq!((next.lsn(), next.payload()), (Lsn(40), &payload(40)[..]));
}
