//! Named cursors: never past what was confirmed (`INV-F5`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::sync::Arc;
use std::thread;

use log_facade::{
    CursorError, Level, Log, LogOptions, LogReader, Lsn, NextError, PinBound, ReadError, StartAt,
    SubscribeError,
};
use log_wal::storage::sim::{Chance, Failure, Fault, Operation, SimError, SimStorage};

fn small() -> LogOptions {
    Log::options().segment_bytes(16 << 10)
}

fn fill(log: &Log, end: u64) {
    for number in log.next_lsn().0..end {
        log.append(&[number as u8; 100]).unwrap();
    }
}

fn on(disk: &SimStorage) -> Log {
    small().open_on(Arc::new(disk.clone())).unwrap()
}

#[test]
fn a_cursor_is_where_its_consumer_confirmed_also_after_the_log_was_closed() {
    let directory = tempfile::tempdir().unwrap();
    let log = small().open(directory.path()).unwrap();
    fill(&log, 10);
    let cursor = log.cursor("billing").unwrap();
    assert_eq!(cursor.position(), Lsn(0));
    cursor.confirm(Lsn(4)).unwrap();
    cursor.confirm(Lsn(2)).unwrap();
    assert_eq!(cursor.position(), Lsn(5), "never back");
    assert_eq!(log.cursor("billing").unwrap().position(), Lsn(5));
    log.close().unwrap();
    assert!(matches!(cursor.confirm(Lsn(5)), Err(CursorError::Closed)));

    let log = small().open(directory.path()).unwrap();
    assert_eq!(log.cursors().unwrap(), ["billing"]);
    let at = StartAt::Cursor("billing".to_owned());
    let mut subscription = log.subscribe(at).unwrap();
    assert_eq!(subscription.try_next().unwrap().unwrap().lsn(), Lsn(5));
    assert_eq!(
        log.cursor("billing").unwrap().position(),
        Lsn(5),
        "delivering is no confirming"
    );
}

#[test]
fn a_log_in_memory_has_cursors_too() {
    let log = small().open_in_memory().unwrap();
    fill(&log, 3);
    log.cursor("a").unwrap().confirm(Lsn(1)).unwrap();
    assert_eq!(log.cursor("a").unwrap().position(), Lsn(2));
    assert!(log.remove_cursor("a").unwrap());
    assert!(!log.remove_cursor("a").unwrap());
    assert_eq!(log.cursor("a").unwrap().position(), Lsn(0), "a new one");
}

/// `INV-F5`
#[test]
fn what_is_confirmed_is_durable_first() {
    let log = on(&SimStorage::new(1));
    fill(&log, 10);
    let cursor = log.cursor("a").unwrap();
    assert_eq!(log.watermarks().durable_end, Lsn(0));
    cursor.confirm(Lsn(3)).unwrap();
    assert!(log.watermarks().durable_end >= Lsn(4));
}

#[test]
fn what_does_not_exist_cannot_be_confirmed() {
    let log = on(&SimStorage::new(1));
    fill(&log, 2);
    let cursor = log.cursor("a").unwrap();
    for lsn in [Lsn(2), Lsn(u64::MAX)] {
        let refused = cursor.confirm(lsn);
        assert!(matches!(
            refused,
            Err(CursorError::NotThere {
                next_lsn: Lsn(2),
                ..
            })
        ));
    }
    assert_eq!(cursor.position(), Lsn(0));
}

#[test]
fn a_cursor_that_was_removed_cannot_be_moved() {
    let log = on(&SimStorage::new(1));
    fill(&log, 2);
    let cursor = log.cursor("a").unwrap();
    assert!(log.remove_cursor("a").unwrap());
    assert_eq!(log.cursors().unwrap(), Vec::<String>::new());
    let refused = cursor.confirm(Lsn(0));
    assert!(matches!(refused, Err(CursorError::Removed { .. })));
}

#[test]
fn a_damaged_cursor_is_refused_by_name_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("billing.cursor");
    let log = small().open(directory.path()).unwrap();
    fill(&log, 3);
    log.cursor("billing").unwrap().confirm(Lsn(1)).unwrap();
    log.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[16] ^= 1;
    fs::write(&path, &bytes).unwrap();

    let log = small().open(directory.path()).unwrap();
    let refused = log.cursor("billing");
    assert!(matches!(refused, Err(CursorError::Damaged { path: named, .. }) if named == path));
    let refused = log.subscribe(StartAt::Cursor("billing".to_owned()));
    assert!(matches!(refused, Err(SubscribeError::Cursor(_))));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(log.iter().count(), 3, "the log does not need it");
    assert!(log.remove_cursor("billing").unwrap());
    assert_eq!(log.cursor("billing").unwrap().position(), Lsn(0));
}

/// Nor is one that a crash left half-made.
#[test]
fn a_cursors_file_is_not_somebody_elses() {
    let directory = tempfile::tempdir().unwrap();
    let log = small().open(directory.path()).unwrap();
    fill(&log, 3);
    log.cursor("billing").unwrap();
    log.close().unwrap();
    for name in ["half-made.cursor.new", "note.txt", ".cursor", "ä.cursor"] {
        fs::write(directory.path().join(name), b"x").unwrap();
    }
    let strange = [".cursor", "note.txt", "ä.cursor"];
    let reader = LogReader::open(directory.path()).unwrap();
    assert_eq!(reader.report().ignored_files, strange);
    let log = small().open(directory.path()).unwrap();
    assert_eq!(log.report().ignored_files, strange);
}

#[test]
fn a_cursor_of_a_longer_log_is_refused() {
    let (long, short) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = small().open(long.path()).unwrap();
    fill(&log, 10);
    log.cursor("a").unwrap().confirm(Lsn(8)).unwrap();
    let log = small().open(short.path()).unwrap();
    fill(&log, 8);
    fs::copy(long.path().join("a.cursor"), short.path().join("a.cursor")).unwrap();
    let refused = log.cursor("a");
    assert!(matches!(
        refused,
        Err(CursorError::AheadOfLog {
            position: Lsn(9),
            next_lsn: Lsn(8),
            ..
        })
    ));
}

/// `INV-F5`. Loses power at every step of a few confirmations, with several outcomes for
/// what was not synced.
#[test]
fn after_a_power_loss_a_cursor_is_between_what_was_acknowledged_and_what_was_asked_for() {
    let steps = {
        let disk = SimStorage::new(7);
        confirm_some(&disk);
        disk.steps()
    };
    let mut moved = 0;
    for step in 0..steps {
        for seed in 0..4 {
            let disk = SimStorage::new(7);
            disk.power_off_at(step);
            let (acknowledged, asked) = confirm_some(&disk);
            let disk = disk.power_loss(&mut Chance::seeded(seed));
            let Ok(log) = small().open_on(Arc::new(disk)) else {
                panic!("step {step}, seed {seed}");
            };
            let position = log.cursor("a").unwrap().position();
            assert!(position >= acknowledged, "step {step}, seed {seed}");
            assert!(position <= asked, "step {step}, seed {seed}");
            assert!(position <= log.next_lsn(), "step {step}, seed {seed}");
            moved += u64::from(position > Lsn(0));
        }
    }
    assert!(moved > 0);
}

/// Appends and confirms until the power goes. Returns the last position that
/// was acknowledged, and the last that was asked for.
fn confirm_some(disk: &SimStorage) -> (Lsn, Lsn) {
    let (mut acknowledged, mut asked) = (Lsn(0), Lsn(0));
    let Ok(log) = small().open_on(Arc::new(disk.clone())) else {
        return (acknowledged, asked);
    };
    let Ok(cursor) = log.cursor("a") else {
        return (acknowledged, asked);
    };
    for round in 0..4 {
        for _ in 0..3 {
            if log.append(&[round; 50]).is_err() {
                return (acknowledged, asked);
            }
        }
        let last = Lsn(log.next_lsn().0 - 2);
        asked = Lsn(last.0 + 1);
        if cursor.confirm(last).is_err() {
            return (acknowledged, asked);
        }
        acknowledged = asked;
    }
    (acknowledged, asked)
}

#[test]
fn a_failed_write_of_a_cursor_leaves_it_where_it_was_and_can_be_tried_again() {
    let disk = SimStorage::new(1);
    let log = on(&disk);
    fill(&log, 5);
    let cursor = log.cursor("a").unwrap();
    log.sync().unwrap();
    disk.inject(Fault::on(Operation::Write, Failure::Refused(SimError::Io)));
    let failed = cursor.confirm(Lsn(3));
    assert!(matches!(failed, Err(CursorError::Io { .. })), "{failed:?}");
    assert_eq!(cursor.position(), Lsn(0));
    disk.clear_faults();
    cursor.confirm(Lsn(3)).unwrap();
    assert_eq!(cursor.position(), Lsn(4));
}

#[test]
fn a_failed_sync_of_the_directory_is_not_tried_again() {
    let disk = SimStorage::new(1);
    let log = on(&disk);
    fill(&log, 5);
    let cursor = log.cursor("a").unwrap();
    log.sync().unwrap();
    disk.inject(Fault::on(
        Operation::SyncDirectory,
        Failure::Refused(SimError::Io),
    ));
    assert!(cursor.confirm(Lsn(3)).is_err());
    disk.clear_faults();
    assert!(matches!(
        cursor.confirm(Lsn(3)),
        Err(CursorError::Io { action: "sync", .. })
    ));
    assert_eq!(cursor.position(), Lsn(0), "nothing was acknowledged");
}

#[test]
fn a_pinned_cursor_keeps_what_is_not_confirmed_also_when_nobody_has_asked_for_it_yet() {
    let disk = SimStorage::new(1);
    let log = on(&disk);
    fill(&log, 300);
    let cursor = log.cursor("a").unwrap();
    cursor.confirm(Lsn(199)).unwrap();
    cursor.pin(PinBound::unbounded()).unwrap();
    assert_eq!(log.stats().lowest_pin, Some(Lsn(200)));
    log.close().unwrap();

    let log = on(&disk);
    fill(&log, 1000);
    log.sync().unwrap();
    log.rotate().unwrap();
    log.drop_before(Lsn(1000)).unwrap();
    assert!(log.first_lsn() <= Lsn(200));
    assert!(log.first_lsn() > Lsn(0), "what is confirmed may go");
    let at = StartAt::Cursor("a".to_owned());
    let mut subscription = log.subscribe(at).unwrap();
    assert_eq!(subscription.try_next().unwrap().unwrap().lsn(), Lsn(200));

    log.cursor("a").unwrap().unpin().unwrap();
    log.drop_before(Lsn(1000)).unwrap();
    assert!(log.first_lsn() > Lsn(200));
}

/// Fault 40: the consumer was away for longer than was agreed.
#[test]
fn beyond_its_bound_a_pin_keeps_nothing_and_the_consumer_is_told() {
    for bound in [
        PinBound::unbounded().records(300),
        PinBound::unbounded().bytes(50_000),
    ] {
        let log = on(&SimStorage::new(1));
        let cursor = log.cursor("a").unwrap();
        cursor.pin(bound).unwrap();
        fill(&log, 1000);
        log.sync().unwrap();
        log.rotate().unwrap();
        log.drop_before(Lsn(1000)).unwrap();
        let first = log.first_lsn();
        assert!((Lsn(1)..=Lsn(700)).contains(&first), "{first}");
        let at = StartAt::Cursor("a".to_owned());
        let told = log.subscribe(at).unwrap().try_next();
        let Err(NextError::Read(ReadError::Truncated {
            requested,
            first: said,
        })) = told
        else {
            panic!("{told:?}");
        };
        assert_eq!((requested, said), (Lsn(0), first));
    }
}

#[test]
fn cursors_are_confirmed_by_many_threads_beside_each_other() {
    let log = on(&SimStorage::new(1));
    fill(&log, 100);
    thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                let shared = log.cursor("shared").unwrap();
                let own = log.cursor(&format!("own-{thread}")).unwrap();
                for lsn in (thread..100).step_by(7) {
                    shared.confirm(Lsn(lsn)).unwrap();
                    own.confirm(Lsn(lsn)).unwrap();
                    assert!(shared.position() > Lsn(lsn));
                    assert_eq!(own.position(), Lsn(lsn + 1));
                }
            });
        }
    });
    assert_eq!(log.cursors().unwrap().len(), 5);
    let durable = log.snapshot_at(Level::Durable);
    assert!(durable.next_lsn() >= log.cursor("shared").unwrap().position());
}
