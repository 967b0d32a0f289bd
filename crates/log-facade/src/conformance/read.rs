//! What readers see.

use super::{Subject, fill, kept, numbers, open, open_with, options, payload};
use crate::{Level, Lsn, ReadError};

/// The same bytes under the same number.
pub fn what_was_appended_is_read_by_number_and_in_order(subject: &dyn Subject) {
    let log = open(subject);
    fill(&log, 100);
    for number in (0..100).rev() {
        let record = log.read(Lsn(number)).expect("readable").expect("there");
        assert_eq!(
            (record.lsn(), record.payload()),
            (Lsn(number), &payload(number)[..])
        );
        assert_eq!(record.into_payload(), payload(number));
    }
    assert_eq!(numbers(&log), (0..100).collect::<Vec<_>>());
}

/// Half-open, clipped, and empty if it is.
pub fn a_range_has_what_there_is_of_it(subject: &dyn Subject) {
    let log = open(subject);
    fill(&log, 300);
    for (start, end) in [(0, 300), (0, 1), (299, 300), (17, 251), (290, 400)] {
        let expected: Vec<_> = (start..end.min(300)).collect();
        assert_eq!(
            numbers(log.range(Lsn(start)..Lsn(end))),
            expected,
            "{start}..{end}"
        );
    }
    for (start, end) in [(0, 0), (20, 20), (300, 301), (30, 20), (301, 9)] {
        assert_eq!(
            numbers(log.range(Lsn(start)..Lsn(end))),
            [0_u64; 0],
            "{start}..{end}"
        );
    }
    assert_eq!(numbers(log.iter_from(Lsn(297))), [297, 298, 299]);
}

/// That is no error.
pub fn past_the_end_there_is_nothing(subject: &dyn Subject) {
    let log = open(subject);
    assert_eq!(numbers(&log), [0_u64; 0]);
    assert_eq!(log.read(Lsn(0)).expect("readable"), None);
    fill(&log, 3);
    for lsn in [3, 4, 1 << 40, u64::MAX - 1, u64::MAX] {
        assert_eq!(log.read(Lsn(lsn)).expect("readable"), None, "{lsn}");
        assert_eq!(numbers(log.iter_from(Lsn(lsn))), [0_u64; 0], "{lsn}");
    }
}

/// Also across the end of a segment.
pub fn an_iterator_goes_on_with_what_is_appended_later(subject: &dyn Subject) {
    let log = open(subject);
    let mut records = log.iter();
    let mut seen = Vec::new();
    for round in 1..=6 {
        assert!(records.next().is_none());
        fill(&log, round * 50);
        if round == 3 {
            assert!(log.rotate().expect("rotated"));
        }
        seen.extend(numbers(records.by_ref()));
        assert_eq!(seen.len() as u64, round * 50);
    }
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
}

/// Sealed or not, indexed or not.
pub fn records_are_found_across_segments(subject: &dyn Subject) {
    let log = open(subject);
    for segment in 1..=5 {
        fill(&log, segment * 20);
        if segment < 5 {
            assert!(log.rotate().expect("rotated"));
        }
    }
    assert_eq!(log.segments().len(), 5);
    let ends: Vec<_> = log.segments().iter().map(|segment| segment.end.0).collect();
    assert_eq!(ends, [20, 40, 60, 80, 100]);
    for number in [0, 19, 20, 39, 55, 60, 79, 80, 99] {
        let record = log.read(Lsn(number)).expect("readable").expect("there");
        assert_eq!(record.payload(), payload(number));
        let from = numbers(log.iter_from(Lsn(number)));
        assert_eq!(from, (number..100).collect::<Vec<_>>());
    }
}

/// In pieces of any size the log is the same.
pub fn a_slice_says_where_to_read_on(subject: &dyn Subject) {
    let log = open(subject);
    fill(&log, 130);
    log.rotate().expect("rotated");
    fill(&log, 200);
    for limit in [1, 7, 64, 200, 1000] {
        let (mut next, mut seen) = (Lsn(0), Vec::new());
        while next < Lsn(200) {
            let slice = log.read_slice(next, limit).expect("readable");
            assert!(!slice.records.is_empty() && slice.records.len() <= limit);
            next = slice.next_lsn;
            seen.extend(numbers(slice.records.into_iter().map(Ok)));
        }
        assert_eq!(seen, (0..200).collect::<Vec<_>>(), "{limit} at a time");
    }
    let past = log.read_slice(Lsn(200), None).expect("readable");
    assert_eq!((past.records.len(), past.next_lsn), (0, Lsn(200)));
    let all = log.read_slice(Lsn(0), None).expect("readable");
    assert_eq!((all.records.len(), all.next_lsn), (200, Lsn(200)));
}

/// Across segments, in ranges, and meeting a reader from the front.
pub fn what_is_read_backwards_is_the_same_in_reverse(subject: &dyn Subject) {
    let log = open(subject);
    fill(&log, 130);
    log.rotate().expect("rotated");
    fill(&log, 200);
    assert_eq!(
        numbers(log.iter().rev()),
        (0..200).rev().collect::<Vec<_>>()
    );
    let range = log.range(Lsn(120)..Lsn(140)).rev();
    assert_eq!(numbers(range), (120..140).rev().collect::<Vec<_>>());
    assert_eq!(
        numbers(log.iter().rev().take(3)),
        [199, 198, 197],
        "the newest"
    );

    let mut records = log.range(Lsn(60)..Lsn(160));
    let (mut front, mut back) = (60, 160);
    while let Some(record) = records.next() {
        assert_eq!(record.expect("readable").lsn(), Lsn(front));
        front += 1;
        if let Some(record) = records.next_back() {
            back -= 1;
            assert_eq!(record.expect("readable").lsn(), Lsn(back));
        }
    }
    assert_eq!((front, back), (110, 110), "each once");
    assert!(records.next_back().is_none());

    log.drop_before(Lsn(130)).expect("dropped");
    let mut records = log.range(Lsn(100)..Lsn(150)).rev();
    let there: Vec<_> = records.by_ref().take(20).collect();
    assert_eq!(numbers(there).last(), Some(&130));
    let told = records.next();
    let is_told = matches!(
        told,
        Some(Err(ReadError::Truncated {
            first: Lsn(130),
            ..
        }))
    );
    assert!(is_told, "INV-F2: {told:?}");
}

/// Nobody sees what can still be undone, if so chosen.
pub fn nothing_is_shown_below_the_read_level(subject: &dyn Subject) {
    let probe = open(subject);
    let levels: Vec<_> = kept(&probe)
        .filter(|level| *level > Level::Published)
        .collect();
    probe.close().expect("closed");
    for level in levels {
        let log = open_with(subject, options().read_level(level));
        let old = log.next_lsn().0;
        let mut records = log.iter_from(Lsn(old));
        fill_behind(&log, old, 3);
        if super::reached(&log, level) > Lsn(old) {
            // An engine may bring records there as it publishes them; then
            // there is nothing to hold back.
            drop(records);
            log.close().expect("closed");
            continue;
        }
        assert_eq!(log.next_lsn(), Lsn(old), "{level:?}");
        assert!(records.next().is_none());
        assert!(log.range(Lsn(old)..Lsn(old + 3)).next_back().is_none());
        let slice = log.read_slice(Lsn(old), None).expect("readable");
        assert_eq!((slice.records.len(), slice.next_lsn), (0, Lsn(old)));
        assert_eq!(log.read(Lsn(old)).expect("readable"), None);
        assert!(
            log.snapshot()
                .range(Lsn(old)..Lsn(old + 3))
                .next()
                .is_none()
        );
        assert_eq!(
            numbers(log.snapshot_at(Level::Published).iter_from(Lsn(old))).len(),
            3
        );

        log.append_to(level, &payload(old + 3)).expect("appended");
        assert_eq!(log.next_lsn(), Lsn(old + 4));
        assert_eq!(
            numbers(records.by_ref()),
            (old..old + 4).collect::<Vec<_>>()
        );
        assert!(log.read(Lsn(old)).expect("readable").is_some());
        drop(records);
        log.close().expect("closed");
    }
}

/// Appends records that are not shown yet.
fn fill_behind(log: &crate::Log, first: u64, count: u64) {
    for number in first..first + count {
        let lsn = log.append_to(Level::Published, &payload(number));
        assert_eq!(lsn.expect("appended"), Lsn(number));
    }
}

/// Whatever is appended behind it.
pub fn a_snapshot_stays_as_it_is(subject: &dyn Subject) {
    let log = open(subject);
    assert!(log.snapshot().is_empty());
    fill(&log, 100);
    let snapshot = log.snapshot();
    let clone = snapshot.clone();
    fill(&log, 300);
    for view in [&snapshot, &clone] {
        assert_eq!((view.first_lsn(), view.next_lsn()), (Lsn(0), Lsn(100)));
        assert_eq!(numbers(view), (0..100).collect::<Vec<_>>());
        assert_eq!(numbers(view.iter_from(Lsn(98))), [98, 99]);
        assert_eq!(numbers(view.range(Lsn(97)..Lsn(200))), [97, 98, 99]);
        assert_eq!(view.read(Lsn(100)).expect("readable"), None);
        assert!(view.read(Lsn(99)).expect("readable").is_some());
    }
    drop(log);
    assert_eq!(numbers(&snapshot).len(), 100, "it outlives its log");
}
