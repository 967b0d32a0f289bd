//! Dropping old segments by bytes, by records and by age.

use log_facade::{Clock, Log, Lsn, NewRecord, Timestamp};

use crate::support::{Bed, HOUR, MILLISECOND, SECOND, fill};

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
    // The housekeeper was rung too, and may still be at it.
    bed.clock.settle();
    assert!(log.first_lsn() > Lsn(4_000));
    assert_eq!(log.iter().count() as u64, 5_000 - log.first_lsn().0);
}

/// A log that keeps an hour, with 10 records a segment.
fn open_for_an_hour(bed: &Bed) -> Log {
    let options = bed.options().retain_age(HOUR).rotate_records(10);
    bed.open(options.retention_interval(SECOND * 60))
}

#[test]
fn a_segment_goes_when_its_youngest_record_is_too_old() {
    let bed = Bed::new();
    let log = open_for_an_hour(&bed);
    fill(&log, 5);
    bed.clock.advance(HOUR / 2);
    fill(&log, 25);
    bed.clock.advance(HOUR / 2 + SECOND * 60);
    assert_eq!(log.first_lsn(), Lsn(0), "5 to 9 are half as old");
    bed.clock.advance(HOUR / 2 - SECOND * 60);
    assert_eq!(log.first_lsn(), Lsn(0), "an hour old is not older");
    bed.clock.advance(SECOND * 60);
    assert_eq!(log.first_lsn(), Lsn(20), "INV-F2: never the active segment");
    fill(&log, 31);
    bed.clock.advance(HOUR * 3);
    assert_eq!(log.first_lsn(), Lsn(30));
}

#[test]
fn a_log_that_grows_slowly_lets_go_by_rotating() {
    let bed = Bed::new();
    let options = bed.options().retain_age(HOUR).rotate_age(HOUR / 4);
    let log = bed.open(options.retention_interval(SECOND * 60));
    for _ in 0..100 {
        log.append(b"once in ten minutes").unwrap();
        bed.clock.advance(SECOND * 600);
    }
    let kept = log.next_lsn().0 - log.first_lsn().0;
    // An hour of them, and what shares a segment with the oldest.
    assert!((6..=10).contains(&kept), "{kept} records");
}

#[test]
fn a_log_grows_old_while_it_is_closed() {
    let bed = Bed::new();
    let log = open_for_an_hour(&bed);
    fill(&log, 35);
    log.close().unwrap();
    bed.clock.advance(HOUR * 100);
    let log = open_for_an_hour(&bed);
    bed.clock.settle();
    assert_eq!(log.first_lsn(), Lsn(30));
}

/// Fault 42: the clock is set a year ahead, and back.
#[test]
fn a_clock_that_jumps_deletes_nothing_and_changes_no_order() {
    let bed = Bed::new();
    let log = open_for_an_hour(&bed);
    fill(&log, 35);
    bed.clock.advance(SECOND * 60);
    let right = bed.clock.now();
    let year = Timestamp(right.0 + 365 * 86_400 * 1_000_000_000);
    bed.clock.set_now(year);
    fill(&log, 55);
    for _ in 0..10 {
        bed.clock.advance(SECOND * 60);
    }
    assert_eq!(log.first_lsn(), Lsn(0), "they are eleven minutes old");
    assert_eq!(log.stats().housekeeping.clock_jumps, 1);

    bed.clock
        .set_now(Timestamp(right.0 - 86_400 * 1_000_000_000));
    fill(&log, 75);
    bed.clock.advance(SECOND * 60);
    assert_eq!(log.first_lsn(), Lsn(0), "a day back");
    let lsns: Vec<_> = log.iter().map(|record| record.unwrap().lsn().0).collect();
    assert_eq!(
        lsns,
        (0..75).collect::<Vec<_>>(),
        "INV-C1, whatever the stamps"
    );
}

/// Fault 42: what was there at the jump is old when an hour has passed since,
/// by any clock.
#[test]
fn a_clock_that_was_set_right_is_believed_in_the_end() {
    let bed = Bed::new();
    let log = open_for_an_hour(&bed);
    fill(&log, 35);
    bed.clock.advance(SECOND * 60);
    bed.clock.set_now(Timestamp(
        bed.clock.now().0 + 1_000 * 86_400 * 1_000_000_000,
    ));
    bed.clock.advance(SECOND * 60);
    bed.clock.advance(HOUR - SECOND * 180);
    assert_eq!(log.first_lsn(), Lsn(0));
    for _ in 0..4 {
        bed.clock.advance(SECOND * 60);
    }
    assert_eq!(log.first_lsn(), Lsn(30));
}

#[test]
fn a_record_without_a_timestamp_is_as_old_as_the_next_one_that_has_one() {
    let bed = Bed::new();
    let log = bed.open(bed.options().stamp(false).rotate_records(10));
    fill(&log, 20);
    log.close().unwrap();

    let log = open_for_an_hour(&bed);
    bed.clock.advance(HOUR * 2);
    assert_eq!(log.first_lsn(), Lsn(0), "nothing says how old they are");
    fill(&log, 31);
    bed.clock.advance(HOUR / 2);
    assert_eq!(log.first_lsn(), Lsn(0));
    bed.clock.advance(HOUR / 2 + SECOND * 60);
    assert_eq!(log.first_lsn(), Lsn(30));
}

#[test]
fn age_goes_by_the_time_that_a_record_came_with() {
    let bed = Bed::new();
    let log = open_for_an_hour(&bed);
    let yesterday = Timestamp(bed.clock.now().0 - 86_400 * 1_000_000_000);
    for _ in 0..11 {
        let old = NewRecord::new(b"imported").timestamp(yesterday);
        log.append_record(&old).unwrap();
    }
    bed.clock.advance(SECOND * 60);
    assert_eq!(log.first_lsn(), Lsn(10));
    assert_eq!(
        log.read(Lsn(10)).unwrap().unwrap().timestamp(),
        Some(yesterday)
    );
}

/// `INV-F2`: held together, whatever lets go first goes first.
#[test]
fn several_bounds_hold_together() {
    let bed = Bed::new();
    let options = bed
        .options()
        .retain_age(HOUR)
        .retain_records(50)
        .rotate_records(10);
    let log = bed.open(options.retention_interval(SECOND * 60));
    fill(&log, 45);
    bed.clock.advance(SECOND * 60);
    assert_eq!(log.first_lsn(), Lsn(0));
    // No further than the append that seals: whether the housekeeper looks
    // before the records behind it, or after, is up to the machine.
    fill(&log, 91);
    bed.clock.advance(SECOND * 60 - MILLISECOND);
    assert_eq!(
        log.first_lsn(),
        Lsn(40),
        "by records, when segments were sealed"
    );
    bed.clock.advance(HOUR + SECOND * 60);
    assert_eq!(log.first_lsn(), Lsn(90), "by age");
}
