//! Ending segments by count and by age.

use log_facade::{Log, NewRecord, Timestamp};

use crate::support::{Bed, HOUR, MILLISECOND, SECOND, fill};

/// The bounds of each segment.
fn bounds(log: &Log) -> Vec<(u64, u64)> {
    let bounds = log.segments();
    let bounds = bounds.iter().map(|segment| (segment.base.0, segment.end.0));
    bounds.collect()
}

#[test]
fn a_segment_ends_when_it_has_as_many_records_as_it_may() {
    let bed = Bed::new();
    let log = bed.open(bed.options().rotate_records(10));
    fill(&log, 25);
    assert_eq!(bounds(&log), [(0, 10), (10, 20), (20, 25)]);
    let batch: Vec<&[u8]> = vec![b"x"; 12];
    log.append_batch(&batch).unwrap();
    fill(&log, 38);
    assert_eq!(
        bounds(&log)[2..],
        [(20, 37), (37, 38)],
        "a batch stays together"
    );
    log.close().unwrap();

    let log = bed.open(bed.options().rotate_records(5));
    fill(&log, 44);
    assert_eq!(
        bounds(&log)[3..],
        [(37, 42), (42, 44)],
        "also after opening"
    );
}

#[test]
fn a_segment_that_was_full_before_counts_from_its_successor() {
    let bed = Bed::new();
    let log = bed.open(bed.options().rotate_records(100));
    // 16 KiB, less two header pages, hold some 60 records of 116 bytes.
    fill(&log, 400);
    assert!(log.segments().len() >= 6);
    let counts = bounds(&log);
    assert!(
        counts.iter().all(|(base, end)| end - base <= 100),
        "{counts:?}"
    );
}

#[test]
fn a_segment_ends_when_it_is_old_and_has_records() {
    let bed = Bed::new();
    let log = bed.open(bed.options().rotate_age(SECOND * 10));
    bed.clock.advance(SECOND * 100);
    assert_eq!(bounds(&log), [(0, 0)], "an empty one does not age");
    fill(&log, 2);
    bed.clock.advance(SECOND * 10 - MILLISECOND);
    fill(&log, 3);
    assert_eq!(log.stats().housekeeping.rotations, 0);
    bed.clock.advance(MILLISECOND);
    assert_eq!(bounds(&log), [(0, 3), (3, 3)]);
    bed.clock.advance(SECOND * 50);
    assert_eq!(log.stats().housekeeping.rotations, 1);
}

/// The housekeeper looks seldom: a record may be there for long before it is
/// seen.
#[test]
fn the_age_of_a_segment_counts_from_its_first_record_and_not_from_the_first_look() {
    let bed = Bed::new();
    let log = bed.open(bed.options().rotate_age(SECOND * 10));
    for base in [0, 2] {
        bed.clock.advance(SECOND * 4);
        fill(&log, base + 1);
        bed.clock.advance(SECOND * 9);
        fill(&log, base + 2);
        assert_eq!(bounds(&log).last(), Some(&(base, base + 2)));
        bed.clock.advance(SECOND);
        assert_eq!(bounds(&log).last(), Some(&(base + 2, base + 2)));
    }
    assert_eq!(log.stats().housekeeping.rotations, 2);
}

#[test]
fn a_segment_grows_old_while_the_log_is_closed() {
    let bed = Bed::new();
    let options = || bed.options().rotate_age(HOUR);
    for end in 1..=3 {
        let log = bed.open(options());
        fill(&log, end);
        bed.clock.advance(HOUR / 4);
        assert_eq!(bounds(&log), [(0, end)]);
        log.close().unwrap();
    }
    bed.clock.advance(HOUR / 4);
    let log = bed.open(options());
    bed.clock.settle();
    assert_eq!(bounds(&log), [(0, 3), (3, 3)]);
}

#[test]
fn a_segment_whose_records_have_no_time_counts_from_the_first_look() {
    let bed = Bed::new();
    let options = || bed.options().stamp(false).rotate_age(HOUR);
    let log = bed.open(options());
    fill(&log, 1);
    bed.clock.advance(HOUR / 2);
    log.close().unwrap();
    let log = bed.open(options());
    bed.clock.settle();
    bed.clock.advance(HOUR - SECOND);
    assert_eq!(bounds(&log), [(0, 1)]);
    bed.clock.advance(SECOND);
    assert_eq!(bounds(&log), [(0, 1), (1, 1)]);
}

/// Somebody brings records of long ago: they would all be old at once.
#[test]
fn records_with_times_of_long_ago_do_not_end_a_segment_each() {
    let bed = Bed::new();
    let log = bed.open(bed.options().rotate_age(SECOND * 10));
    bed.clock.settle();
    for _ in 0..20 {
        let ancient = NewRecord::new(b"1970").timestamp(Timestamp(1));
        log.append_record(&ancient).unwrap();
        bed.clock.advance(SECOND);
    }
    assert!(log.segments().len() <= 3, "{:?}", bounds(&log));
}

#[test]
fn a_record_with_a_time_to_come_is_as_young_as_can_be() {
    let bed = Bed::new();
    let log = bed.open(bed.options().rotate_age(SECOND * 10));
    let tomorrow = NewRecord::new(b"").timestamp(Timestamp(u64::MAX));
    log.append_record(&tomorrow).unwrap();
    bed.clock.advance(SECOND * 10);
    assert_eq!(bounds(&log), [(0, 1)], "first seen now");
    bed.clock.advance(SECOND * 10);
    assert_eq!(bounds(&log), [(0, 1), (1, 1)]);
}

#[test]
fn the_next_segments_file_is_made_ahead_of_need() {
    let bed = Bed::new();
    let log = bed.open(bed.options().prepare_ahead(true));
    bed.clock.settle();
    assert_eq!(log.stats().housekeeping.files_prepared, 1);
    fill(&log, 3);
    log.rotate().unwrap();
    fill(&log, 4);
    bed.clock.settle();
    assert_eq!(
        log.stats().housekeeping.files_prepared,
        2,
        "the first one was taken"
    );
    assert_eq!(log.stats().housekeeping.failures, 0);
}
