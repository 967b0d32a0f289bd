//! Cutting the end of a log: what a crash leaves, and who goes on. What every
//! engine does is among the conformance rules.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use log_facade::{
    AsyncLog, Json, Log, LogOptions, Lsn, ManualClock, StartAt, TruncateError, TypedLog,
};
use log_wal::storage::sim::{Chance, Failure, Fault, Operation, SimError, SimStorage};
use tokio::runtime::Builder;

fn small() -> LogOptions {
    Log::options().segment_bytes(16 << 10)
}

fn on(disk: &SimStorage) -> Log {
    small().open_on(Arc::new(disk.clone())).unwrap()
}

fn fill(log: &Log, end: u64) {
    for number in log.next_lsn().0..end {
        log.append(&number.to_le_bytes()).unwrap();
    }
}

/// Fault 31, `INV-W8`, `INV-F5`: never a cursor behind the end of what is left, which
/// would pass over records that come later. Loses power at every step.
#[test]
fn a_power_loss_during_a_cut_leaves_all_or_nothing_and_no_cursor_behind_the_end() {
    let prepare = || {
        let disk = SimStorage::new(7);
        let log = on(&disk);
        fill(&log, 40);
        for (name, confirmed) in [("ahead", 35), ("behind", 5), ("also-ahead", 39)] {
            log.cursor(name).unwrap().confirm(Lsn(confirmed)).unwrap();
        }
        (disk, log)
    };
    let (disk, mut log) = prepare();
    let before = disk.steps();
    log.truncate_after(Lsn(20)).unwrap();
    let steps = before..disk.steps();
    assert!(steps.end - steps.start > 5);
    let mut outcomes = [0, 0];
    for step in steps {
        for seed in 0..4 {
            let (disk, mut log) = prepare();
            disk.power_off_at(step);
            let _cut = log.truncate_after(Lsn(20));
            drop(log);
            let log = on(&disk.power_loss(&mut Chance::seeded(seed)));
            let is_cut = log.next_lsn() == Lsn(20);
            outcomes[usize::from(is_cut)] += 1;
            assert!(
                is_cut || log.next_lsn() == Lsn(40),
                "step {step}, seed {seed}"
            );
            assert_eq!(log.iter().count() as u64, log.next_lsn().0);
            for (name, confirmed) in [("ahead", 36), ("behind", 6), ("also-ahead", 40)] {
                let position = log.cursor(name).unwrap().position();
                let stood = Lsn(confirmed);
                let is_fine = position == stood.min(Lsn(20)) || position == stood && !is_cut;
                assert!(is_fine, "step {step}, seed {seed}: {name} at {position}");
            }
        }
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "{outcomes:?}");
}

#[test]
fn a_cursor_that_cannot_be_set_back_keeps_the_log_from_being_cut() {
    let disk = SimStorage::new(1);
    let mut log = on(&disk);
    fill(&log, 10);
    log.cursor("a").unwrap().confirm(Lsn(8)).unwrap();
    disk.inject(Fault::on(Operation::Write, Failure::Refused(SimError::Io)));
    let failed = log.truncate_after(Lsn(5));
    assert!(
        matches!(failed, Err(TruncateError::Cursor(_))),
        "{failed:?}"
    );
    disk.clear_faults();
    assert_eq!(log.iter().count(), 10);
    assert_eq!(log.cursor("a").unwrap().position(), Lsn(9));
    log.truncate_after(Lsn(5)).unwrap();
    assert_eq!(log.cursor("a").unwrap().position(), Lsn(5));
}

/// Nobody can begin at it anyway, and its owner finds it as it was.
#[test]
fn a_damaged_cursor_does_not_keep_the_log_from_being_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.cursor");
    let mut log = small().open(directory.path()).unwrap();
    fill(&log, 10);
    std::fs::write(&path, b"no cursor").unwrap();
    log.truncate_after(Lsn(5)).unwrap();
    assert_eq!(log.next_lsn(), Lsn(5));
    assert_eq!(std::fs::read(&path).unwrap(), b"no cursor");
}

#[test]
fn what_a_log_does_by_itself_it_does_behind_a_cut_too() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = small()
        .clock(clock.clone())
        .flush_interval(Duration::from_secs(1))
        .rotate_records(10);
    let mut log = options.open(directory.path()).unwrap();
    fill(&log, 35);
    for end in [33, 15] {
        log.truncate_after(Lsn(end)).unwrap();
        assert!(log.stats().housekeeping.is_running);
        fill(&log, end + 1);
        assert_eq!(log.watermarks().durable_end, Lsn(end));
        clock.advance(Duration::from_secs(1));
        assert_eq!(log.watermarks().durable_end, Lsn(end + 1));
        fill(&log, 45);
        let records = log.segments().into_iter().map(|it| it.end.0 - it.base.0);
        assert!(records.max().unwrap() <= 10);
    }
    let snapshot = log.snapshot();
    assert!(matches!(
        log.truncate_after(Lsn(15)),
        Err(TruncateError::InUse)
    ));
    drop(snapshot);
    log.append(b"x").unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        log.watermarks().durable_end,
        log.next_lsn(),
        "it was not stopped"
    );
}

#[test]
fn values_are_cut_by_who_has_them_alone() {
    let log = small().open_in_memory().unwrap();
    let mut values = TypedLog::new(log, Json::new(1));
    values.append_batch(&[1, 2, 3]).unwrap();
    let clone = values.clone();
    assert!(matches!(
        values.truncate_after(Lsn(1)),
        Err(TruncateError::InUse)
    ));
    drop(clone);
    values.truncate_after(Lsn(1)).unwrap();
    values.append(&7).unwrap();
    let left: Vec<_> = values.iter().map(|it| it.unwrap().value).collect();
    assert_eq!(left, [1, 7]);
}

#[test]
fn a_log_of_tasks_is_cut_when_no_task_has_it() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(cut_between_tasks());
}

async fn cut_between_tasks() {
    let directory = tempfile::tempdir().unwrap();
    let log = AsyncLog::open(small(), directory.path()).await.unwrap();
    for number in 0..10_u8 {
        log.append(&[number]).await.unwrap();
    }
    let clone = log.clone();
    let log = log.into_log().await.unwrap_err();
    drop(clone);
    let mut stream = log.subscribe(StartAt::Beginning).await.unwrap();
    for number in 0..10 {
        assert_eq!(stream.next().await.unwrap().unwrap().lsn(), Lsn(number));
    }
    let mut log = log.into_log().await.unwrap();
    log.truncate_after(Lsn(4)).unwrap();
    let log = AsyncLog::new(log).unwrap();
    assert!(
        stream.next().await.is_none(),
        "it has delivered what is gone"
    );
    assert_eq!(log.append(b"x").await.unwrap(), Lsn(4));
    log.sync().await.unwrap();
    let mut stream = log.subscribe(StartAt::Lsn(Lsn(3))).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().payload(), [3]);
    assert_eq!(stream.next().await.unwrap().unwrap().payload(), b"x");
}
