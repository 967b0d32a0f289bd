//! The faults that a log meets as a whole, and what its user is told: that a
//! record is too long, that a disk is full or fails, that a cursor's file is
//! not one. What the layers beneath do is tested there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;

use log_facade::{
    AppendError, CommitError, CompactError, CursorError, Level, Log, LogOptions, LogReader, Lsn,
    NewRecord, StartAt, TruncateError,
};
use log_wal::storage::sim::{Failure, Fault, Operation, SimError, SimStorage};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn small() -> LogOptions {
    Log::options().segment_bytes(16 << 10)
}

fn on(disk: &SimStorage) -> Log {
    small().open_on(Arc::new(disk.clone())).unwrap()
}

fn fill(log: &Log, end: u64) {
    for number in log.next_lsn().0..end {
        let payload = number.to_le_bytes();
        let record = NewRecord::new(&payload).key(b"key");
        log.append_record(&record).unwrap();
    }
}

fn numbers(log: &Log) -> Vec<u64> {
    let records = log.iter().map(Result::unwrap);
    let number = |payload: &[u8]| u64::from_le_bytes(payload.try_into().unwrap());
    records.map(|record| number(record.payload())).collect()
}

/// Fault 6. The time that the log puts on a record does not count.
#[test]
fn a_record_may_be_empty_or_as_long_as_is_accepted_and_no_longer() {
    const MAX: usize = 100_000;
    let directory = tempfile::tempdir().unwrap();
    let options = || small().record_bytes_max(MAX);
    let logs = [
        options().open(directory.path()).unwrap(),
        options().open_in_memory().unwrap(),
    ];
    for log in logs {
        let too_long = vec![1; MAX + 1];
        log.append(b"").unwrap();
        log.append(&too_long[..MAX]).unwrap();
        let refusals = [
            log.append(&too_long).map(drop),
            log.append_batch(&[b"", &too_long]).map(drop),
            log.append_in_place(MAX + 1, |_| panic!("refused before"))
                .map(drop),
        ];
        for refused in refusals {
            assert!(
                matches!(refused, Err(AppendError::TooLong { .. })),
                "{refused:?}"
            );
        }
        log.append(b"").unwrap();
        let lens: Vec<_> = log.iter().map(|it| it.unwrap().payload().len()).collect();
        assert_eq!(lens, [0, MAX, 0]);
    }
}

/// Fault 15: what was acknowledged stays readable, and nothing more is.
#[test]
fn behind_a_failed_sync_nothing_is_acknowledged_and_everything_is_read() {
    let disk = SimStorage::new(1);
    let mut log = on(&disk);
    fill(&log, 10);
    let cursor = log.cursor("a").unwrap();
    cursor.confirm(Lsn(4)).unwrap();
    fill(&log, 12);
    disk.inject(Fault::on(Operation::Sync, Failure::Refused(SimError::Io)));
    let failed = log.append_to(Level::Durable, &12_u64.to_le_bytes());
    let is_poisoned = |error: &CommitError| matches!(error, CommitError::Poisoned { .. });
    assert!(matches!(&failed, Err(AppendError::Commit(error)) if is_poisoned(error)));
    disk.clear_faults();

    assert!(is_poisoned(&log.sync().unwrap_err()), "no second try");
    let refused = log.append_to(Level::Durable, b"x");
    assert!(matches!(&refused, Err(AppendError::Commit(error)) if is_poisoned(error)));
    let refused = cursor.confirm(Lsn(11));
    assert!(matches!(&refused, Err(CursorError::Commit(error)) if is_poisoned(error)));
    assert_eq!(cursor.position(), Lsn(5), "INV-F5");
    let refused = log.truncate_after(Lsn(8));
    assert!(matches!(&refused, Err(TruncateError::Commit(error)) if is_poisoned(error)));
    assert_eq!(log.iter().count() as u64, log.next_lsn().0);
    let mut subscription = log.subscribe(StartAt::Lsn(Lsn(11))).unwrap();
    assert_eq!(subscription.try_next().unwrap().unwrap().lsn(), Lsn(11));
    assert!(is_poisoned(&log.close().unwrap_err()));

    let log = on(&disk);
    assert!(log.next_lsn() >= Lsn(10), "what was acknowledged");
    assert!(log.cursor("a").unwrap().position() <= log.next_lsn());
}

/// Fault 18: nothing is lost, everything is read, and all goes on when there is
/// room.
#[test]
fn on_a_full_disk_each_verb_says_so_and_can_be_called_again() {
    let disk = SimStorage::new(1);
    let mut log = on(&disk);
    fill(&log, 50);
    log.rotate().unwrap();
    fill(&log, 80);
    log.sync().unwrap();
    let cursor = log.cursor("a").unwrap();
    disk.set_capacity(Some(0));

    assert!(log.rotate().is_err());
    let confirmed = cursor.confirm(Lsn(70));
    let Err(CursorError::Io { source, .. }) = confirmed else {
        panic!("{confirmed:?}");
    };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(cursor.position(), Lsn(0));
    let compacted = log.compact_before(Lsn(50), |_| true);
    assert!(
        matches!(
            compacted,
            Err(CompactError::Commit(CommitError::Refused { .. }))
        ),
        "{compacted:?}"
    );
    let cut = log.truncate_after(Lsn(60));
    assert!(
        matches!(
            cut,
            Err(TruncateError::Commit(
                CommitError::Refused { .. } | CommitError::StorageFull { .. }
            ))
        ),
        "{cut:?}"
    );
    assert_eq!(numbers(&log), (0..80).collect::<Vec<_>>());

    disk.set_capacity(None);
    cursor.confirm(Lsn(70)).unwrap();
    log.truncate_after(Lsn(60)).unwrap();
    assert_eq!(log.cursor("a").unwrap().position(), Lsn(60));
    assert_eq!(
        log.compact_before(Lsn(50), |_| true)
            .unwrap()
            .dropped_records,
        49
    );
    fill(&log, 90);
    assert!(log.rotate().unwrap());
    assert_eq!(numbers(&log), (49..90).collect::<Vec<_>>());
    log.close().unwrap();
    assert_eq!(numbers(&on(&disk)), (49..90).collect::<Vec<_>>());
}

/// Faults 49, 50: whatever the file of a cursor holds, it is not believed.
#[test]
fn no_bytes_of_somebody_else_are_taken_for_a_cursor() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.cursor");
    let log = small().open(directory.path()).unwrap();
    fill(&log, 10);
    log.cursor("a").unwrap().confirm(Lsn(5)).unwrap();
    let whole = fs::read(&path).unwrap();
    log.close().unwrap();
    let mut random = StdRng::seed_from_u64(7);
    for round in 0..60 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes = vec![0; round * 3],
            1 => bytes.truncate(random.random_range(0..whole.len())),
            _ => {
                bytes = (0..random.random_range(0..400))
                    .map(|_| random.random())
                    .collect()
            }
        }
        fs::write(&path, &bytes).unwrap();
        let log = small().open(directory.path()).unwrap();
        let refused = log.cursor("a");
        assert!(
            matches!(refused, Err(CursorError::Damaged { .. })),
            "{round}: {refused:?}"
        );
        assert_eq!(log.iter().count(), 10);
    }
}

/// Fault 51: none of them is followed, waited for, or removed by mistake.
#[test]
fn what_is_no_file_in_place_of_a_cursor_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target");
    let log = small().open(directory.path()).unwrap();
    fill(&log, 3);
    log.cursor("real").unwrap();
    fs::copy(path("real.cursor"), &target).unwrap();
    fs::create_dir(path("directory.cursor")).unwrap();
    symlink(&target, path("link.cursor")).unwrap();
    let made = Command::new("mkfifo")
        .arg(path("pipe.cursor"))
        .status()
        .unwrap();
    assert!(made.success());
    log.close().unwrap();

    let mut log = small().open(directory.path()).unwrap();
    assert_eq!(log.cursors().unwrap(), ["real"]);
    for name in ["directory", "link", "pipe"] {
        let refused = log.cursor(name);
        assert!(
            matches!(refused, Err(CursorError::Damaged { .. })),
            "{name}: {refused:?}"
        );
    }
    log.truncate_after(Lsn(1)).unwrap();
    assert!(target.is_file());
}

/// Fault 52: others' files are left alone, and named. Fault 44: who comes second
/// is refused at once, and is told who came first; readers are not.
#[test]
fn a_strange_file_is_named_and_a_second_writer_refused() {
    let directory = tempfile::tempdir().unwrap();
    let log = small().open(directory.path()).unwrap();
    fill(&log, 3);
    log.sync().unwrap();
    for name in [
        "notes.txt",
        "00000000000000000007.log",
        "a.log",
        "a.cursor.old",
    ] {
        fs::write(directory.path().join(name), b"x").unwrap();
    }
    let refused = small().open(directory.path()).unwrap_err();
    let said = refused.to_string();
    assert!(said.contains(&std::process::id().to_string()), "{said}");
    let reader = LogReader::open(directory.path()).unwrap();
    assert_eq!(reader.iter().count(), 3);
    drop(log);
    let log = small().open(directory.path()).unwrap();
    let named = [
        "00000000000000000007.log",
        "a.cursor.old",
        "a.log",
        "notes.txt",
    ];
    assert_eq!(log.report().ignored_files, named);
    assert_eq!(reader.report().ignored_files, named);
}
