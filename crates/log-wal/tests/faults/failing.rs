//! The disk says no.

use log_wal::storage::sim::{Failure, Fault, Operation, SimError};
use log_wal::{AppendError, CommitError, Level, Lsn, Wal};

use crate::common::{append, count_of_prefix, payload};
use crate::disk::{kill, lose_all, must_recover, new_disk, open, some_outcomes};

/// Headers and seals, and records where those are written by calls.
const WRITES_MIN: u64 = if crate::MAPPED_WRITING { 6 } else { 10 };

/// Appends, commits and rotates until something fails. Returns how many
/// records were acknowledged, how many appended, and the error.
fn work(wal: &Wal) -> (u64, u64, Option<AppendError>) {
    let mut acknowledged = 0;
    for group in 0..8 {
        let from = wal.next_lsn().0;
        append(wal, from, from + 5);
        let done = match group % 3 {
            2 => wal.rotate().map(drop),
            _ => wal.sync().map(drop).map_err(AppendError::from),
        };
        if let Err(error) = done {
            return (acknowledged, wal.next_lsn().0, Some(error));
        }
        acknowledged = wal.next_lsn().0;
    }
    (acknowledged, wal.next_lsn().0, None)
}

fn is_poison(error: &AppendError) -> bool {
    matches!(error, AppendError::Commit(CommitError::Poisoned { .. }))
}

fn nothing_is_acknowledged_again(wal: &Wal) {
    let before = wal.watermarks();
    let appended = wal.next_lsn();
    for _ in 0..3 {
        // That what is durable is durable may be said again.
        if before.durable_end < appended {
            assert!(wal.sync().is_err(), "INV-W6");
            assert!(wal.commit(appended, Level::Durable).is_err(), "INV-W6");
        }
        if before.written_end < appended {
            assert!(wal.flush().is_err(), "INV-W6");
        }
        let later = [
            wal.append(b"late").map(drop),
            wal.append_durable(b"late").map(drop),
            wal.append_batch(&["late".as_bytes(), b"er"]).map(drop),
            wal.rotate().map(drop),
        ];
        for result in later {
            assert!(result.is_err_and(|error| is_poison(&error)), "INV-W6");
        }
    }
    assert_eq!(wal.watermarks(), before, "INV-W6");
    assert_eq!(count_of_prefix(wal.iter()), appended.0, "reads go on");
}

/// Lets each call of an operation fail once, and looks at the log that is left
/// behind by a power loss, and by a restart followed by one. Returns how many
/// calls there were.
fn fail_each(operation: Operation, failure: Failure) -> u64 {
    for calls in 0.. {
        let disk = new_disk();
        let wal = open(&disk);
        disk.inject(Fault::on(operation, failure).after(calls));
        let (acknowledged, appended, error) = work(&wal);
        let Some(error) = error else {
            return calls;
        };
        assert!(is_poison(&error), "{error}");
        nothing_is_acknowledged_again(&wal);
        let left = kill(&disk, wal);
        some_outcomes(&left, |found| {
            must_recover(found, acknowledged, appended);
        });
        // The page cache may show more than the medium has; what is shown once
        // stays.
        for goes_on in [false, true] {
            let left = left.process_death();
            let wal = open(&left);
            let mut shown = wal.next_lsn().0;
            if goes_on {
                append(&wal, shown, shown + 2);
                shown = wal.sync().unwrap().0;
            }
            some_outcomes(&kill(&left, wal), |found| {
                assert_eq!(must_recover(found, shown, shown), shown, "INV-W1");
            });
        }
    }
    unreachable!("every run has an end")
}

#[test]
fn fault_15_after_a_failed_sync_nothing_is_acknowledged_until_the_log_is_opened_again() {
    for failure in [Failure::Refused(SimError::Io), Failure::PagesLost] {
        assert!(fail_each(Operation::Sync, failure) >= 10);
    }
    assert!(fail_each(Operation::SyncDirectory, Failure::Refused(SimError::Io)) >= 2);
}

#[test]
fn fault_16_a_sync_that_failed_after_the_data_was_on_the_medium_may_bring_back_whole_batches() {
    assert!(fail_each(Operation::Sync, Failure::DoneAll(SimError::Io)) >= 10);

    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 5);
    wal.sync().unwrap();
    let payloads: Vec<_> = (5..30).map(payload).collect();
    let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    wal.append_batch(&slices).unwrap();
    disk.inject(Fault::on(Operation::Sync, Failure::DoneAll(SimError::Io)));
    assert!(wal.sync().is_err());
    let left = kill(&disk, wal);
    assert_eq!(
        must_recover(&lose_all(&left), 5, 30),
        30,
        "all of the batch"
    );
}

#[test]
fn fault_17_a_failed_or_torn_write_stops_the_log_and_leaves_a_prefix() {
    for error in [SimError::Io, SimError::WroteNothing] {
        for failure in [Failure::Refused(error), Failure::Torn(error)] {
            assert!(fail_each(Operation::Write, failure) >= WRITES_MIN);
        }
    }
}

#[test]
fn a_name_that_cannot_be_given_stops_the_log() {
    for failure in [
        Failure::Refused(SimError::Io),
        Failure::DoneAll(SimError::Io),
    ] {
        assert!(fail_each(Operation::Rename, failure) >= 2);
    }
}

#[test]
fn fault_18_no_room_behind_a_file_that_was_made_stops_the_log_until_it_is_opened_again() {
    for (operation, calls_min) in [(Operation::Write, WRITES_MIN), (Operation::Sync, 10)] {
        assert!(fail_each(operation, Failure::Refused(SimError::Full)) >= calls_min);
    }
}

#[test]
fn a_read_error_while_opening_is_not_taken_for_a_torn_tail() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 30);
    wal.close().unwrap();
    for calls in 0.. {
        disk.clear_faults();
        let fault = Fault::on(Operation::Read, Failure::Refused(SimError::Io));
        disk.inject(fault.after(calls));
        let before = disk.files();
        match crate::disk::try_open(&disk) {
            Err(log_wal::OpenError::Io { .. }) => {
                assert_eq!(disk.files(), before, "a refusal changes nothing");
            }
            Err(other) => panic!("{other}"),
            Ok(wal) => {
                assert!(calls > 0 && wal.next_lsn() == Lsn(30), "INV-W5");
                return;
            }
        }
    }
}

#[test]
fn a_checkpoint_that_cannot_remove_a_file_removes_no_later_one() {
    let disk = new_disk();
    let wal = open(&disk);
    for segment in 0..4 {
        append(&wal, segment * 10, segment * 10 + 10);
        wal.rotate().unwrap();
    }
    disk.inject(Fault::on(Operation::Remove, Failure::Refused(SimError::Io)).after(1));
    let refused = wal.checkpoint(Lsn(30));
    assert!(
        matches!(refused, Err(CommitError::Refused { .. })),
        "{refused:?}"
    );
    assert_eq!(wal.first_lsn(), Lsn(10), "one was dropped");
    assert_eq!(wal.checkpoint(Lsn(30)).unwrap(), 2, "the others are now");
    let wal = open(&lose_all(&kill(&disk, wal)));
    assert_eq!(
        (wal.first_lsn(), wal.next_lsn()),
        (Lsn(30), Lsn(40)),
        "INV-F2"
    );
}

#[test]
fn a_truncation_that_meets_a_full_disk_can_be_tried_again() {
    let disk = new_disk();
    let mut wal = open(&disk);
    append(&wal, 0, 20);
    disk.inject(Fault::on(
        Operation::Create,
        Failure::Refused(SimError::Full),
    ));
    assert!(wal.truncate_after(Lsn(10)).is_err());
    assert_eq!(wal.next_lsn(), Lsn(20), "nothing happened");
    // The log goes on as if it had not been tried.
    wal.rotate().unwrap();
    append(&wal, 20, 25);
    wal.sync().unwrap();
    must_recover(&lose_all(&disk), 25, 25);
    wal.truncate_after(Lsn(10)).unwrap();
    must_recover(&lose_all(&kill(&disk, wal)), 10, 10);
}
