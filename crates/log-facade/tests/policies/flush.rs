//! Flushing by interval, by count, with every record.

use log_facade::{Level, Lsn};

use crate::support::{Bed, MILLISECOND, SECOND, durable_end, fill};

#[test]
fn records_are_durable_when_the_interval_has_passed() {
    let bed = Bed::new();
    let log = bed.open(bed.options().flush_interval(SECOND));
    fill(&log, 3);
    bed.clock.advance(SECOND - MILLISECOND);
    assert_eq!(durable_end(&log), 0, "not yet");
    bed.clock.advance(MILLISECOND);
    assert_eq!(durable_end(&log), 3);
    fill(&log, 5);
    bed.clock.advance(SECOND * 10);
    assert_eq!(durable_end(&log), 5);
    assert_eq!(log.stats().housekeeping.flushes, 2);
}

#[test]
fn an_interval_with_nothing_to_flush_syncs_nothing() {
    let bed = Bed::new();
    let log = bed.open(bed.options().flush_interval(SECOND));
    fill(&log, 1);
    bed.clock.advance(SECOND);
    let syncs = log.stats().engine.syncs;
    for _ in 0..5 {
        bed.clock.advance(SECOND);
    }
    assert_eq!(log.stats().engine.syncs, syncs);
    assert_eq!(log.stats().housekeeping.flushes, 1);
}

#[test]
fn a_flush_by_hand_begins_the_interval_anew() {
    let bed = Bed::new();
    let log = bed.open(bed.options().flush_interval(SECOND));
    fill(&log, 1);
    bed.clock.advance(SECOND - MILLISECOND);
    log.sync().unwrap();
    fill(&log, 2);
    bed.clock.advance(MILLISECOND);
    assert_eq!(
        durable_end(&log),
        1,
        "the old interval is over and does nothing"
    );
    bed.clock.advance(SECOND - MILLISECOND * 2);
    assert_eq!(durable_end(&log), 1);
    bed.clock.advance(MILLISECOND);
    assert_eq!(durable_end(&log), 2, "the new one is over");
}

#[test]
fn a_flush_that_goes_less_far_leaves_the_interval_alone() {
    let bed = Bed::new();
    let log = bed.open(bed.options().flush_interval(SECOND));
    fill(&log, 1);
    bed.clock.advance(SECOND - MILLISECOND);
    log.flush().unwrap();
    assert_eq!(durable_end(&log), 0, "written is not durable");
    bed.clock.advance(MILLISECOND);
    assert_eq!(durable_end(&log), 1);
}

#[test]
fn an_interval_may_flush_to_written_only() {
    let bed = Bed::new();
    let options = bed.options().flush_interval(SECOND);
    let log = bed.open(options.flush_level(Level::Written));
    fill(&log, 2);
    bed.clock.advance(SECOND);
    let marks = log.watermarks();
    assert_eq!((marks.written_end, marks.durable_end), (Lsn(2), Lsn(0)));
}

#[test]
fn never_more_records_are_unflushed_than_allowed() {
    let bed = Bed::new();
    let log = bed.open(bed.options().flush_records(10));
    for end in 1..=35 {
        fill(&log, end);
        assert_eq!(durable_end(&log), end / 10 * 10);
    }
    let batch: Vec<&[u8]> = vec![b"x"; 12];
    log.append_batch(&batch).unwrap();
    assert_eq!(durable_end(&log), 47, "a batch counts as its records");
    log.append_to(Level::Durable, b"x").unwrap();
    fill(&log, 57);
    assert_eq!(durable_end(&log), 48, "nine behind a flush by hand");
    assert!(!log.stats().housekeeping.is_running, "that needs no thread");
}

#[test]
fn every_record_is_flushed_if_the_log_acknowledges_that() {
    let bed = Bed::new();
    let log = bed.open(bed.options().acknowledge(Level::Durable));
    for end in 1..=5 {
        fill(&log, end);
        assert_eq!(durable_end(&log), end, "INV-F1");
    }
}
