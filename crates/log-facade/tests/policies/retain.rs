//! Dropping old segments by bytes and by records.

use log_facade::{Log, Lsn};

use crate::support::{Bed, SECOND, fill};

/// Bytes of frames in the log.
fn data_bytes(log: &Log) -> u64 {
    log.segments()
        .iter()
        .map(|segment| segment.data_bytes)
        .sum()
}

#[test]
fn what_exceeds_the_bytes_that_stay_goes_in_whole_segments() {
    const STAY: u64 = 20_000;
    let bed = Bed::new();
    let log = bed.open(bed.options().retain_bytes(STAY).retention_interval(SECOND));
    for round in 1..=20 {
        fill(&log, round * 60);
        log.sync().unwrap();
        bed.clock.advance(SECOND);
        let segments = log.segments();
        assert_eq!(segments[0].base, log.first_lsn(), "INV-F2");
        let without_the_first = data_bytes(&log) - segments[0].data_bytes;
        assert!(without_the_first < STAY, "no segment more than needed");
        assert!(log.first_lsn() == Lsn(0) || data_bytes(&log) >= STAY);
    }
    assert!(log.first_lsn() > Lsn(900));
    let dropped = log.stats().housekeeping.segments_dropped;
    assert!(dropped > 10);
}

#[test]
fn as_many_records_stay_as_are_to_stay() {
    let bed = Bed::new();
    let options = bed.options().retain_records(100).rotate_records(30);
    let log = bed.open(options.retention_interval(SECOND));
    fill(&log, 300);
    bed.clock.advance(SECOND);
    assert_eq!(
        log.first_lsn(),
        Lsn(180),
        "INV-F2: 180 + 100 <= 300 < 210 + 100"
    );
    fill(&log, 309);
    bed.clock.advance(SECOND);
    assert_eq!(log.first_lsn(), Lsn(180));
    fill(&log, 310);
    bed.clock.advance(SECOND);
    assert_eq!(log.first_lsn(), Lsn(210));
}

#[test]
fn retention_looks_as_soon_as_the_log_is_opened() {
    let bed = Bed::new();
    let log = bed.open(bed.options().rotate_records(30));
    fill(&log, 100);
    log.close().unwrap();
    let log = bed.open(bed.options().retain_records(1));
    bed.clock.settle();
    assert_eq!(log.first_lsn(), Lsn(90));
}

#[test]
fn retention_looks_whenever_a_segment_was_sealed() {
    let bed = Bed::new();
    let log = bed.open(bed.options().retain_records(10).rotate_records(10));
    fill(&log, 101);
    bed.clock.settle();
    assert_eq!(log.first_lsn(), Lsn(90), "no time has passed");
}

#[test]
fn a_snapshot_holds_retention_up_and_lets_it_go_on() {
    let bed = Bed::new();
    let options = bed.options().retain_records(10).rotate_records(10);
    let log = bed.open(options.retention_interval(SECOND));
    fill(&log, 35);
    bed.clock.settle();
    let snapshot = log.snapshot();
    assert_eq!(snapshot.first_lsn(), Lsn(20));
    fill(&log, 135);
    bed.clock.advance(SECOND);
    assert_eq!(log.first_lsn(), Lsn(20));
    assert_eq!(snapshot.iter().count(), 15);
    drop(snapshot);
    bed.clock.advance(SECOND);
    assert_eq!(log.first_lsn(), Lsn(120));
}

/// Nothing else bounds it, so it does not wait for the housekeeper.
#[test]
fn a_memory_log_is_never_larger_than_it_may_be() {
    let bed = Bed::new();
    let log = bed.options().retain_bytes(50_000).open_in_memory().unwrap();
    for end in 1..=5_000 {
        fill(&log, end);
        let bytes: u64 = log
            .segments()
            .iter()
            .map(|segment| segment.file_bytes)
            .sum();
        // What stays, one that is about to go, and those that are not sealed.
        assert!(
            bytes <= 50_000 * 2 + 5 * (16 << 10),
            "{bytes} bytes at {end}"
        );
    }
    assert!(log.first_lsn() > Lsn(4_000));
    assert_eq!(log.iter().count() as u64, 5_000 - log.first_lsn().0);
}
