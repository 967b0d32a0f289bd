//! What becomes of old segments.

use super::{Subject, fill, numbers, open, payload};
use crate::{Log, Lsn, ReadError};

/// A log with five segments of 20 records.
fn open_with_five_segments(subject: &dyn Subject) -> Log {
    let log = open(subject);
    for segment in 1..=5 {
        fill(&log, segment * 20);
        if segment < 5 {
            assert!(log.rotate().expect("rotated"));
        }
    }
    log
}

/// An empty segment is not ended.
pub fn rotating_ends_a_segment_once(subject: &dyn Subject) {
    let log = open(subject);
    assert!(!log.rotate().expect("nothing to rotate"));
    fill(&log, 5);
    assert!(log.rotate().expect("rotated"));
    assert!(!log.rotate().expect("nothing to rotate"));
    fill(&log, 6);
    let bounds: Vec<_> = log
        .segments()
        .iter()
        .map(|segment| (segment.base.0, segment.end.0))
        .collect();
    assert_eq!(bounds, [(0, 5), (5, 6)]);
}

/// `INV-F2`
pub fn whole_segments_go_and_only_from_the_front(subject: &dyn Subject) {
    let log = open_with_five_segments(subject);
    for (before, dropped, first) in [
        (0, 0, 0),
        (19, 0, 0),
        (20, 1, 20),
        (20, 0, 20),
        (79, 2, 60),
        (u64::MAX, 1, 80),
        (u64::MAX, 0, 80),
    ] {
        assert_eq!(
            log.drop_before(Lsn(before)).expect("dropped"),
            dropped,
            "INV-F2: {before}"
        );
        assert_eq!(log.first_lsn(), Lsn(first), "INV-F2: {before}");
        assert_eq!(numbers(log.iter()), (first..100).collect::<Vec<_>>());
    }
    fill(&log, 110);
    assert_eq!(numbers(&log).len(), 30, "it goes on");
}

/// `INV-F2`, fault 40: with the first record that is left, never by a silent
/// skip.
pub fn a_reader_in_front_is_told_where_the_log_begins(subject: &dyn Subject) {
    let log = open_with_five_segments(subject);
    let mut from_the_start = log.iter();
    log.drop_before(Lsn(45)).expect("dropped");
    assert_told(log.read(Lsn(39)).map(drop), 39, 40);
    assert_told(log.read(Lsn(0)).map(drop), 0, 40);

    let mut records = log.range(Lsn(30)..Lsn(60));
    assert_told(records.next().expect("an error").map(drop), 30, 40);
    assert_eq!(
        numbers(records),
        (40..60).collect::<Vec<_>>(),
        "and goes on"
    );

    // An iterator that stands there may still finish what it holds.
    let mut next = 0;
    for record in from_the_start.by_ref() {
        match record {
            Ok(record) => {
                assert_eq!(record.lsn(), Lsn(next));
                next += 1;
            }
            Err(ReadError::Truncated { requested, first }) => {
                assert_eq!((requested, first), (Lsn(next), Lsn(40)));
                next = 40;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(next, 100);
}

fn assert_told(read: Result<(), ReadError>, requested: u64, first: u64) {
    let is_told = matches!(
        &read,
        Err(ReadError::Truncated { requested: r, first: f }) if (r.0, f.0) == (requested, first)
    );
    assert!(
        is_told,
        "record {requested} is gone, the first is {first}: {read:?}"
    );
}

/// `INV-M5`, fault 39: and the log, too.
pub fn a_held_record_outlives_its_segment(subject: &dyn Subject) {
    let log = open_with_five_segments(subject);
    let held: Vec<_> = log.iter().map(|record| record.expect("readable")).collect();
    log.drop_before(Lsn(80)).expect("dropped");
    fill(&log, 400);
    log.close().expect("closed");
    for record in held {
        assert_eq!(record.payload(), payload(record.lsn().0), "INV-M5");
    }
}

/// Nothing that it shows is dropped before it is.
pub fn a_snapshot_keeps_what_it_shows(subject: &dyn Subject) {
    let log = open_with_five_segments(subject);
    log.drop_before(Lsn(20)).expect("dropped");
    let snapshot = log.snapshot();
    assert_eq!(log.drop_before(Lsn(100)).expect("nothing"), 0);
    assert_eq!(numbers(&snapshot), (20..100).collect::<Vec<_>>());
    assert_told(snapshot.read(Lsn(3)).map(drop), 3, 20);
    let mut records = snapshot.iter_from(Lsn(3));
    assert_told(records.next().expect("an error").map(drop), 3, 20);
    assert_eq!(numbers(records).first(), Some(&20));

    let stats = log.stats();
    assert_eq!((stats.pins, stats.lowest_pin), (1, Some(Lsn(20))));
    drop(snapshot);
    assert_eq!(log.drop_before(Lsn(100)).expect("dropped"), 3);
    assert_eq!(log.first_lsn(), Lsn(80));
}
