//! What a record carries beside its payload.

use std::time::Duration;

use super::{Subject, open, open_with, options};
use crate::{Clock, Lsn, ManualClock, NewRecord, Record, Timestamp};

/// Key, headers, version, count and time, and an empty payload is one.
pub fn a_record_comes_back_with_all_that_it_carries(subject: &dyn Subject) {
    let log = open(subject);
    let full = NewRecord::new(b"payload")
        .timestamp(Timestamp(17))
        .key(b"key")
        .header("one", b"1")
        .header("none", b"")
        .header("one", b"again")
        .schema_version(300)
        .batch_count(12);
    let bare = NewRecord::new(b"");
    log.append_record(&full).expect("appended");
    log.append_records(&[bare.clone(), full.clone().key(b"")])
        .expect("appended");
    log.rotate().expect("rotated");
    let records: Vec<Record> = log.iter().map(|it| it.expect("readable")).collect();
    let keys: Vec<_> = records.iter().map(Record::key).collect();
    assert_eq!(keys, [Some(&b"key"[..]), None, Some(&b""[..])]);
    for full in [&records[0], &records[2]] {
        assert_eq!(full.payload(), b"payload");
        assert_eq!(full.timestamp(), Some(Timestamp(17)));
        let headers: Vec<_> = full.headers().collect();
        assert_eq!(
            headers,
            [("one", &b"1"[..]), ("none", b""), ("one", b"again")]
        );
        assert_eq!((full.schema_version(), full.batch_count()), (300, 12));
    }
    assert_eq!(
        (records[1].payload(), records[1].headers().count()),
        (&b""[..], 0)
    );
}

/// Behind a payload of its own, if it has one.
pub fn a_record_written_in_place_carries_as_much(subject: &dyn Subject) {
    let log = open(subject);
    let full = NewRecord::new(b"front, ")
        .timestamp(Timestamp(17))
        .key(b"key")
        .header("one", b"1")
        .schema_version(300)
        .batch_count(12);
    let fill = |place: &mut [u8]| place.copy_from_slice(b"behind");
    let lsn = log.append_record_in_place(&full, 6, fill);
    assert_eq!(lsn.expect("appended"), Lsn(0));
    let lsn = log.append_record_in_place_to(log.keeps(), &NewRecord::new(b"").key(b"k"), 6, fill);
    assert_eq!(lsn.expect("appended"), Lsn(1));
    assert_eq!(super::reached(&log, log.keeps()), Lsn(2), "INV-F1");
    log.rotate().expect("rotated");
    let records: Vec<Record> = log.iter().map(|it| it.expect("readable")).collect();
    assert_eq!(records[0].payload(), b"front, behind");
    assert_eq!(records[0].timestamp(), Some(Timestamp(17)));
    assert_eq!(records[0].key(), Some(&b"key"[..]));
    assert_eq!(
        records[0].headers().collect::<Vec<_>>(),
        [("one", &b"1"[..])]
    );
    let version_and_count = (records[0].schema_version(), records[0].batch_count());
    assert_eq!(version_and_count, (300, 12));
    assert_eq!(records[1].payload(), b"behind");
    assert_eq!(records[1].key(), Some(&b"k"[..]));
    assert!(records[1].timestamp().is_some(), "by the log's clock");
}

/// Each kind of append; one that it has stays.
pub fn a_record_without_a_time_gets_the_clocks(subject: &dyn Subject) {
    let clock = ManualClock::new();
    let log = open_with(subject, options().clock(clock.clone()));
    let mut expected = Vec::new();
    let mut tick = |count: usize| {
        clock.advance(Duration::from_secs(1));
        expected.extend(std::iter::repeat_n(clock.now(), count));
    };
    tick(1);
    log.append(b"x").expect("appended");
    tick(2);
    log.append_batch(&[b"x", b"y"]).expect("appended");
    tick(1);
    log.append_in_place(1, |place| place.fill(b'x'))
        .expect("appended");
    tick(1);
    log.append_record(&NewRecord::new(b"x").key(b"k"))
        .expect("appended");
    tick(1);
    let own = Timestamp(5);
    log.append_records(&[NewRecord::new(b"x"), NewRecord::new(b"x").timestamp(own)])
        .expect("appended");
    log.append_record(&NewRecord::new(b"x").timestamp(own))
        .expect("appended");
    expected.extend([own, own]);
    assert_eq!(
        times(&log),
        expected.into_iter().map(Some).collect::<Vec<_>>()
    );
}

fn times(log: &crate::Log) -> Vec<Option<Timestamp>> {
    let time = |record: Result<Record, _>| record.expect("readable").timestamp();
    log.iter().map(time).collect()
}

/// If so chosen.
pub fn a_log_may_leave_records_without_a_time(subject: &dyn Subject) {
    let log = open_with(subject, options().stamp(false));
    log.append(b"x").expect("appended");
    log.append_in_place(1, |place| place.fill(b'x'))
        .expect("appended");
    let own = NewRecord::new(b"x").timestamp(Timestamp(5));
    log.append_records(&[NewRecord::new(b"x"), own])
        .expect("appended");
    assert_eq!(times(&log), [None, None, None, Some(Timestamp(5))]);
}

/// The first at or after the moment, in any segment.
pub fn records_are_found_by_time(subject: &dyn Subject) {
    let log = open(subject);
    assert_eq!(log.lsn_at_or_after(Timestamp(0)).expect("readable"), None);
    for number in 0..300 {
        let record = NewRecord::new(b"payload of some length, so that segments fill up");
        let record = record.timestamp(Timestamp(1000 + number * 10));
        log.append_record(&record).expect("appended");
    }
    assert!(log.segments().len() > 1);
    for (moment, lsn) in [
        (0, Some(0)),
        (1000, Some(0)),
        (1001, Some(1)),
        (2455, Some(146)),
        (2460, Some(146)),
        (3990, Some(299)),
        (3991, None),
        (u64::MAX, None),
    ] {
        let found = log.lsn_at_or_after(Timestamp(moment)).expect("readable");
        assert_eq!(found, lsn.map(Lsn), "{moment}");
    }
    log.rotate().expect("rotated");
    log.drop_before(Lsn(290)).expect("dropped");
    let first = log.first_lsn();
    assert!(first > Lsn(0));
    let found = log.lsn_at_or_after(Timestamp(0)).expect("readable");
    assert_eq!(found.unwrap_or(log.next_lsn()), first);
}

/// A clock may jump.
pub fn records_are_found_by_time_whatever_the_order_of_times(subject: &dyn Subject) {
    let log = open(subject);
    let times: Vec<u64> = (0..300).map(|number| number * 7919 % 1009).collect();
    for time in &times {
        let record = NewRecord::new(b"payload of some length, so that segments fill up");
        log.append_record(&record.timestamp(Timestamp(*time)))
            .expect("appended");
    }
    for moment in (0..1020).step_by(17) {
        let expected = times.iter().position(|time| *time >= moment);
        let found = log.lsn_at_or_after(Timestamp(moment)).expect("readable");
        assert_eq!(found, expected.map(|at| Lsn(at as u64)), "{moment}");
    }
}
