//! What is there the next time.

use super::{Subject, fill, numbers, open, open_with, options};
use crate::{Lsn, TailState, Verify};

/// The same records, the same front, and numbers that go on.
pub fn a_log_is_opened_again_as_it_was(subject: &dyn Subject) {
    if !subject.survives_closing() {
        return assert_gone(subject);
    }
    for opening in 0..4 {
        let log = open_with(subject, options().verify(Verify::All));
        let report = log.report();
        assert_eq!(report.created, opening == 0);
        assert_eq!(report.next_lsn, Lsn(opening * 100));
        assert_eq!(report.tail, TailState::Clean);
        fill(&log, (opening + 1) * 100);
        log.close().expect("closed");
    }
    let log = open(subject);
    log.rotate().expect("rotated");
    log.drop_before(Lsn(250)).expect("dropped");
    let first = log.first_lsn();
    assert!(first > Lsn(0) && first <= Lsn(250));
    log.close().expect("closed");

    let log = open(subject);
    assert_eq!((log.first_lsn(), log.next_lsn()), (first, Lsn(400)));
    assert_eq!(numbers(&log), (first.0..400).collect::<Vec<_>>());
}

/// Nobody has to close it.
pub fn a_dropped_log_keeps_what_was_appended(subject: &dyn Subject) {
    if !subject.survives_closing() {
        return assert_gone(subject);
    }
    let log = open(subject);
    fill(&log, 100);
    drop(log);
    assert_eq!(numbers(&open(subject)).len(), 100);
}

/// A log that vanishes does so whole.
fn assert_gone(subject: &dyn Subject) {
    let log = open(subject);
    fill(&log, 100);
    log.close().expect("closed");
    let log = open(subject);
    assert_eq!(log.next_lsn(), Lsn(0));
    assert!(log.report().created);
}
