//! What an append does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{RECORD_BYTES_MAX, Subject, fill, numbers, open, payload};
use crate::{AppendError, Lsn};

/// `INV-C1`
pub fn numbers_are_dense_and_begin_at_zero(subject: &dyn Subject) {
    let log = open(subject);
    assert_eq!((log.first_lsn(), log.next_lsn()), (Lsn(0), Lsn(0)));
    fill(&log, 300);
    assert!(log.segments().len() > 2, "over several segments");
    let batch = log.append_batch(&[b"", b"x"]).expect("appended");
    assert_eq!(batch, Lsn(300)..Lsn(302));
    assert_eq!(log.next_lsn(), Lsn(302));
}

/// It has no number to return.
pub fn an_empty_batch_changes_nothing(subject: &dyn Subject) {
    let log = open(subject);
    fill(&log, 1);
    assert_eq!(log.append_batch(&[]).expect("nothing"), Lsn(1)..Lsn(1));
    assert_eq!(log.next_lsn(), Lsn(1));
}

/// Readers that look all the time never see a part of one.
pub fn a_batch_is_visible_all_or_none(subject: &dyn Subject) {
    const BATCHES: u64 = 300;
    const RECORDS: u64 = 7;
    let log = open(subject);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                assert_eq!(log.next_lsn().0 % RECORDS, 0);
                assert_eq!(log.snapshot().iter().count() as u64 % RECORDS, 0);
            }
        });
        for batch in 0..BATCHES {
            let payloads: Vec<_> = (batch * RECORDS..(batch + 1) * RECORDS)
                .map(payload)
                .collect();
            let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
            log.append_batch(&payloads).expect("appended");
        }
        is_over.store(true, Ordering::Release);
    });
    assert_eq!(numbers(&log).len() as u64, BATCHES * RECORDS);
}

/// Built where it stays.
pub fn a_record_written_in_place_reads_like_any_other(subject: &dyn Subject) {
    let log = open(subject);
    for number in 0..200 {
        let payload = payload(number);
        let lsn = log.append_in_place(payload.len(), |place| place.copy_from_slice(&payload));
        assert_eq!(lsn.expect("appended"), Lsn(number));
    }
    assert_eq!(numbers(&log), (0..200).collect::<Vec<_>>());
}

/// A writer that panics half-way keeps its number and has no record.
pub fn a_number_that_was_given_up_is_passed_over(subject: &dyn Subject) {
    let log = open(subject);
    fill(&log, 2);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        // As a panic without a message on stderr.
        log.append_in_place(40, |_| std::panic::resume_unwind(Box::new("given up")))
    }));
    assert!(panicked.is_err());
    assert_eq!(log.next_lsn(), Lsn(3));
    fill(&log, 5);
    assert_eq!(log.read(Lsn(2)).expect("readable"), None);
    assert_eq!(numbers(&log), [0, 1, 3, 4]);
    assert_eq!(numbers(log.range(Lsn(2)..Lsn(4))), [3]);
    assert_eq!(numbers(log.range(Lsn(2)..Lsn(3))), [0_u64; 0]);
}

/// Nothing of it is left.
pub fn a_record_that_is_too_long_is_refused_and_changes_nothing(subject: &dyn Subject) {
    const TOO_LONG: usize = RECORD_BYTES_MAX + RECORD_BYTES_MAX / 2;
    let log = open(subject);
    fill(&log, 1);
    let refused = log.append(&[0; TOO_LONG]);
    assert!(
        matches!(refused, Err(AppendError::TooLong { .. })),
        "{refused:?}"
    );
    let refused = log.append_batch(&[b"short", &[0; TOO_LONG]]);
    assert!(
        matches!(refused, Err(AppendError::TooLong { .. })),
        "{refused:?}"
    );
    let refused = log.append_in_place(TOO_LONG, |_| panic!("not to be filled"));
    assert!(
        matches!(refused, Err(AppendError::TooLong { .. })),
        "{refused:?}"
    );
    fill(&log, 3);
    assert_eq!(numbers(&log), [0, 1, 2]);
}

/// Each number is given once, and the log is what the writers say.
pub fn many_writers_get_a_number_each_and_all_is_read(subject: &dyn Subject) {
    const WRITERS: u64 = 4;
    const RECORDS: u64 = 300;
    let log = open(subject);
    let write = |writer: u64| {
        let says = move |record: u64| format!("{writer}/{record}").into_bytes();
        let append = |record| log.append(&says(record)).map(|lsn| (lsn, says(record)));
        let appended: Result<Vec<_>, _> = (0..RECORDS).map(append).collect();
        appended.expect("appended")
    };
    let mut appended = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(writer)))
            .collect();
        let joined = writers.into_iter().flat_map(|writer| writer.join());
        joined.flatten().collect::<Vec<_>>()
    });
    appended.sort();
    let read: Vec<_> = log
        .iter()
        .map(|record| record.expect("readable"))
        .map(|record| (record.lsn(), record.payload().to_vec()))
        .collect();
    assert_eq!(read.len() as u64, WRITERS * RECORDS);
    assert_eq!(read, appended);
}
