//! What stays of a log that was compacted by key.
//!
//! An engine that cannot compact refuses, always, and changes nothing.

use std::collections::BTreeMap;

use super::{Subject, open};
use crate::{CompactError, Log, Lsn, NewRecord, PinBound, ReadError, Record, StartAt, Timestamp};

/// How many keys there are. Every eighth record has none.
const KEYS: u64 = 10;

fn key_of(number: u64) -> Option<[u8; 1]> {
    (!number.is_multiple_of(8)).then_some([(number % KEYS) as u8])
}

/// Appends records with keys until the log has `end` of them.
fn fill(log: &Log, end: u64) {
    for number in log.next_lsn().0..end {
        let payload = number.to_le_bytes();
        let record = NewRecord::new(&payload).timestamp(Timestamp(1000 + number));
        let key = key_of(number);
        let lsn = match &key {
            Some(key) => log.append_record(&record.key(key)),
            None => log.append_record(&record),
        };
        assert_eq!(lsn.expect("appended"), Lsn(number));
    }
}

/// A log with five segments of 40 records; `None` if it cannot be compacted.
fn open_to_compact(subject: &dyn Subject) -> Option<Log> {
    let log = open(subject);
    for segment in 1..=5 {
        fill(&log, segment * 40);
        if segment < 5 {
            assert!(log.rotate().expect("rotated"));
        }
    }
    match log.compact_before(Lsn(0), |_| true) {
        Err(CompactError::NotSupported) => {
            let refused = log.compact_before(Lsn(200), |_| true);
            assert!(matches!(refused, Err(CompactError::NotSupported)));
            assert_eq!(numbers(&log), (0..200).collect::<Vec<_>>());
            None
        }
        nothing => {
            assert_eq!(nothing.expect("compacted").segments, 0);
            Some(log)
        }
    }
}

fn numbers(records: impl IntoIterator<Item = Result<Record, ReadError>>) -> Vec<u64> {
    records
        .into_iter()
        .map(|record| {
            let record = record.expect("readable");
            let number = record.lsn().0;
            assert_eq!(record.payload(), number.to_le_bytes());
            assert_eq!(record.key(), key_of(number).as_ref().map(|key| &key[..]));
            assert_eq!(record.timestamp(), Some(Timestamp(1000 + number)));
            number
        })
        .collect()
}

/// What is left of records up to `next`, compacted in front of `end`.
fn left(end: u64, next: u64) -> Vec<u64> {
    let newest: BTreeMap<_, _> = (0..end).map(|number| (key_of(number), number)).collect();
    let stays = |number: &u64| {
        let key = key_of(*number);
        *number >= end || key.is_none() || newest.get(&key) == Some(number)
    };
    (0..next).filter(stays).collect()
}

/// Under its number, with all that it carries, and found by number, by time and
/// from behind; nothing behind the end is asked.
pub fn of_each_key_the_newest_stays(subject: &dyn Subject) {
    let Some(log) = open_to_compact(subject) else {
        return;
    };
    for (asked, end) in [(79, 40), (80, 80), (80, 80), (u64::MAX, 160)] {
        let before = log.iter().count();
        let report = log.compact_before(Lsn(asked), |_| true).expect("compacted");
        let left = left(end, 200);
        assert_eq!(numbers(&log), left, "{asked}");
        assert_eq!(report.dropped_records as usize, before - left.len());
        assert_eq!((log.first_lsn(), log.next_lsn()), (Lsn(0), Lsn(200)));
        let backwards: Vec<_> = numbers(log.iter().rev());
        assert_eq!(backwards, left.iter().rev().copied().collect::<Vec<_>>());
        for number in 0..200 {
            let found = log.read(Lsn(number)).expect("readable");
            assert_eq!(found.is_some(), left.contains(&number), "{number}");
            let first = left.iter().find(|it| **it >= number).copied().map(Lsn);
            let moment = Timestamp(1000 + number);
            assert_eq!(log.lsn_at_or_after(moment).expect("readable"), first);
        }
    }
    let slice = log.read_slice(Lsn(0), None).expect("readable");
    assert_eq!(
        (slice.records.len(), slice.next_lsn),
        (left(160, 200).len(), Lsn(200))
    );
    fill(&log, 210);
    assert_eq!(
        numbers(log.iter_from(Lsn(160))),
        (160..210).collect::<Vec<_>>()
    );
}

/// With everything older of its key, which went before it.
pub fn the_newest_of_a_key_goes_if_it_is_not_to_stay(subject: &dyn Subject) {
    let Some(log) = open_to_compact(subject) else {
        return;
    };
    let mut asked = Vec::new();
    log.compact_before(Lsn(160), |newest| {
        asked.push(newest.lsn().0);
        newest.key() != Some(&[3])
    })
    .expect("compacted");
    let newest: Vec<_> = left(160, 160);
    let keyed = newest
        .iter()
        .copied()
        .filter(|number| key_of(*number).is_some());
    assert_eq!(
        asked,
        keyed.collect::<Vec<_>>(),
        "each newest is asked about once"
    );
    let mut expected = left(160, 200);
    expected.retain(|number| *number >= 160 || key_of(*number) != Some([3]));
    assert_eq!(numbers(&log), expected);
}

/// Neither what a snapshot shows nor what a cursor keeps.
pub fn compaction_goes_no_further_than_a_pin(subject: &dyn Subject) {
    let Some(log) = open_to_compact(subject) else {
        return;
    };
    let compact = || log.compact_before(Lsn(200), |_| true).expect("compacted");
    let snapshot = log.snapshot();
    assert_eq!(compact().segments, 0);
    assert_eq!(numbers(&snapshot), (0..200).collect::<Vec<_>>());
    drop(snapshot);

    let cursor = log.cursor("a").expect("made");
    cursor.confirm(Lsn(99)).expect("confirmed");
    cursor.pin(PinBound::unbounded()).expect("pinned");
    compact();
    assert_eq!(numbers(&log), left(80, 200));
    cursor.unpin().expect("unpinned");
    compact();
    assert_eq!(numbers(&log), left(160, 200));
}

/// `INV-F3`, `INV-M5`: with what it has taken before, and without a word of
/// what is not there any more. A cursor need not stand at a record.
pub fn a_subscription_passes_over_what_was_compacted(subject: &dyn Subject) {
    let Some(log) = open_to_compact(subject) else {
        return;
    };
    let mut subscription = log.subscribe(StartAt::Beginning).expect("subscribed");
    let mut fresh = log.subscribe(StartAt::Beginning).expect("subscribed");
    let mut records = log.iter();
    let mut held: Vec<_> = subscription.by_ref().take(10).collect();
    held.extend(records.by_ref().take(1));
    let cursor = log.cursor("a").expect("made");
    cursor.confirm(Lsn(41)).expect("confirmed");
    log.compact_before(Lsn(160), |_| true).expect("compacted");
    assert_eq!(numbers(held).len(), 11);
    let count = left(160, 200).len();
    assert_eq!(numbers(fresh.by_ref().take(count)), left(160, 200));

    let mut last = 9;
    for number in numbers(
        std::iter::from_fn(|| subscription.try_next().transpose())
            .map(|record| record.map_err(|error| panic!("{error}"))),
    ) {
        assert!(number > last);
        last = number;
    }
    assert_eq!(last, 199);
    let of_iterator = numbers(records);
    assert!(
        left(160, 200)
            .iter()
            .skip(1)
            .all(|number| of_iterator.contains(number))
    );

    let mut at_cursor = log
        .subscribe(StartAt::Cursor("a".to_owned()))
        .expect("subscribed");
    let expected = left(160, 200).into_iter().find(|number| *number >= 42);
    assert_eq!(
        numbers(at_cursor.by_ref().take(1)).first().copied(),
        expected
    );
}

/// `INV-W12`
pub fn what_was_compacted_stays_so(subject: &dyn Subject) {
    if !subject.survives_closing() {
        return;
    }
    let Some(log) = open_to_compact(subject) else {
        return;
    };
    log.compact_before(Lsn(80), |_| true).expect("compacted");
    log.close().expect("closed");
    let mut log = open(subject);
    assert_eq!(numbers(&log), left(80, 200), "INV-W12");
    log.compact_before(Lsn(160), |_| true).expect("compacted");
    if log.truncate_after(Lsn(130)).is_ok() {
        let mut expected = left(160, 200);
        expected.retain(|number| *number < 130);
        assert_eq!(numbers(&log), expected);
    }
    log.drop_before(Lsn(40)).expect("dropped");
    let now = numbers(&log);
    log.close().expect("closed");
    assert_eq!(numbers(&open(subject)), now);
}
