//! What the housekeeper cannot do is told.

use log_facade::{
    AppendError, CommitError, HousekeepingCause, HousekeepingError, Log, Lsn, Task, engine,
};
use log_wal::storage::sim::{Failure, Fault, Operation, SimError};

use crate::support::{Bed, SECOND, durable_end, fill};

/// The failure that an append told.
fn told(result: Result<Lsn, AppendError>) -> HousekeepingError {
    match result {
        Err(AppendError::Commit(CommitError::Housekeeping(error))) => error,
        other => panic!("{other:?}"),
    }
}

/// A log with two segments, of which the first should go, and could not.
fn open_with_a_segment_that_stays(bed: &Bed) -> Log {
    let options = bed.options().retain_records(5).rotate_records(10);
    // Nothing is kept to be used again, so what goes is removed.
    let options = options.retention_interval(SECOND).spare_segments_max(0);
    let log = bed.open(options);
    let io = Failure::Refused(SimError::Io);
    bed.disk.inject(Fault::on(Operation::Remove, io));
    fill(&log, 10);
    // In one call: the housekeeper is told of the first segment at its end, and
    // what fails then is not told to another append.
    log.append_batch(&[b"five".as_slice(); 5]).unwrap();
    bed.clock.settle();
    log
}

/// Fault 15, in the background.
#[test]
fn a_sync_that_fails_in_the_background_is_told_and_nothing_is_acknowledged_again() {
    let bed = Bed::new();
    let log = bed.open(bed.options().flush_interval(SECOND));
    fill(&log, 3);
    let io = Failure::Refused(SimError::Io);
    bed.disk.inject(Fault::on(Operation::Sync, io));
    bed.clock.advance(SECOND);

    let error = told(log.append(b"x"));
    assert_eq!(error.task, Task::Flush);
    assert!(matches!(
        error.cause,
        HousekeepingCause::Commit(engine::CommitError::Poisoned { .. })
    ));
    assert_eq!(log.next_lsn(), Lsn(3), "the call that was told did nothing");
    let poisoned = log.sync();
    assert!(
        matches!(poisoned, Err(CommitError::Poisoned { .. })),
        "INV-W6: {poisoned:?}"
    );

    for _ in 0..5 {
        bed.clock.advance(SECOND);
    }
    let stats = log.stats().housekeeping;
    assert_eq!(stats.failures, 1, "it does not try again");
    assert_eq!(
        stats.last_failure.map(|failure| failure.task),
        Some(Task::Flush)
    );
    assert_eq!(durable_end(&log), 0);
    assert_eq!(log.iter().count(), 3, "reads go on");
}

/// Fault 41, in the background.
#[test]
fn a_segment_that_cannot_be_removed_is_told_of_and_tried_again() {
    let bed = Bed::new();
    let log = open_with_a_segment_that_stays(&bed);

    assert_eq!(log.first_lsn(), Lsn(0), "INV-F2: still there, and whole");
    let error = told(log.append(b"x"));
    assert_eq!(error.task, Task::Retain);
    assert!(
        error.to_string().contains("dropping old segments"),
        "{error}"
    );
    assert_eq!(log.next_lsn(), Lsn(15));
    fill(&log, 16);
    assert_eq!(
        log.iter().count(),
        16,
        "told once, and nothing else is wrong"
    );

    bed.clock.advance(SECOND);
    assert_eq!(log.first_lsn(), Lsn(10), "tried again");
    assert_eq!(log.stats().housekeeping.failures, 1);
}

/// Fault 18, in the background: not a failure of the log.
#[test]
fn a_full_disk_is_told_and_the_log_goes_on_when_there_is_room() {
    let bed = Bed::new();
    let log = bed.open(bed.options().rotate_age(SECOND));
    fill(&log, 3);
    log.sync().unwrap();
    bed.disk.set_capacity(Some(16 << 10));
    bed.clock.advance(SECOND * 2);
    let error = told(log.append(b"x"));
    assert_eq!(error.task, Task::Rotate);
    fill(&log, 5);
    bed.disk.set_capacity(None);
    bed.clock.advance(SECOND * 4);
    log.sync().unwrap();
    assert_eq!((durable_end(&log), log.iter().count()), (5, 5));
    log.close().unwrap();
}

#[test]
fn closing_tells_what_nobody_was_told() {
    let bed = Bed::new();
    let log = open_with_a_segment_that_stays(&bed);
    let closed = log.close();
    assert!(
        matches!(&closed, Err(CommitError::Housekeeping(error)) if error.task == Task::Retain),
        "{closed:?}"
    );
    let log = bed.open(bed.options());
    assert_eq!(log.next_lsn(), Lsn(15), "closed all the same");
}

/// A defect in a clock, or in us: the log goes on without its housekeeper.
#[test]
fn a_panic_in_the_background_is_told() {
    use log_facade::{Alarm, Clock, ManualClock, Timestamp};
    use std::time::Duration;

    #[derive(Debug)]
    struct Broken(ManualClock);
    impl Clock for Broken {
        fn now(&self) -> Timestamp {
            self.0.now()
        }
        fn uptime(&self) -> Duration {
            self.0.uptime()
        }
        fn wait(&self, _: &Alarm, _: Option<Duration>) {
            // As a panic without a message on stderr.
            std::panic::resume_unwind(Box::new("a clock without hands"));
        }
        fn attach(&self, alarm: &std::sync::Arc<Alarm>) {
            self.0.attach(alarm);
        }
    }

    let directory = tempfile::tempdir().unwrap();
    let manual = ManualClock::new();
    let options = Log::options().clock(Broken(manual.clone()));
    let log = options
        .flush_interval(SECOND)
        .open(directory.path())
        .unwrap();
    manual.settle();
    assert!(!log.stats().housekeeping.is_running);
    let error = told(log.append(b"x"));
    assert!(
        error.to_string().contains("a clock without hands"),
        "{error}"
    );
    assert_eq!(log.append(b"x").unwrap(), Lsn(0));
    log.close().unwrap();
}
