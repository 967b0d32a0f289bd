//! Ending segments by count and by age.

use log_facade::Log;

use crate::support::{Bed, MILLISECOND, SECOND, fill};

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
    bed.clock.advance(SECOND * 10);
    fill(&log, 3);
    bed.clock.advance(SECOND * 10);
    assert_eq!(
        bounds(&log).first(),
        Some(&(0, 3)),
        "ten seconds after it was seen at the latest twice the age"
    );
    let rotations = log.stats().housekeeping.rotations;
    assert_eq!(rotations, 1);
    bed.clock.advance(SECOND * 50);
    assert_eq!(log.stats().housekeeping.rotations, rotations);
    fill(&log, 4);
    bed.clock.advance(MILLISECOND);
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
