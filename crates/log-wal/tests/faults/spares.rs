//! What goes wrong while files are made ahead of need, or used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use log_wal::format::Header;
use log_wal::storage::sim::{Call, Failure, Fault, Operation, SimError, SimStorage};
use log_wal::{AppendError, CommitError, Lsn, Wal};

use crate::common::{append, try_append, with_spares};
use crate::disk::{kill, lose_all, must_recover, new_disk, some_outcomes};

fn open(disk: &SimStorage) -> Wal {
    Wal::with_storage(Arc::new(disk.clone()), with_spares()).expect("the log opens")
}

/// Groups over several segments, each dropped two behind the newest, so that
/// files are used again, and others made ahead. Returns how many records are
/// acknowledged, and how many were appended.
fn keep_a_window(wal: &Wal) -> (u64, u64, Option<CommitError>) {
    let (mut acknowledged, mut appended) = (0, 0);
    for group in 0..24 {
        match try_append(wal, appended, appended + 20) {
            Ok(()) => {}
            Err(AppendError::Commit(error)) => {
                return (acknowledged, wal.next_lsn().0, Some(error));
            }
            Err(other) => panic!("{other}"),
        }
        appended += 20;
        let done = wal.sync().and_then(|_| match group % 8 {
            3 => wal.prepare().map(drop),
            7 => wal.checkpoint(Lsn(appended - 130)).map(drop),
            _ => Ok(()),
        });
        acknowledged = wal.watermarks().durable_end.0;
        match done {
            Ok(()) | Err(CommitError::StorageFull { .. } | CommitError::Refused { .. }) => {}
            Err(error) => return (acknowledged, appended, Some(error)),
        }
    }
    (acknowledged, appended, None)
}

fn is_spare(call: &Call<'_>) -> bool {
    call.file.contains(".spare")
}

fn used_again(disk: &SimStorage) -> usize {
    let files = disk.files();
    let headers = files
        .values()
        .filter_map(|bytes| Header::decode(bytes).ok());
    headers.filter(|header| header.recycled).count()
}

#[test]
fn the_window_uses_files_again() {
    let disk = new_disk();
    let wal = open(&disk);
    let (acknowledged, appended, error) = keep_a_window(&wal);
    assert!(error.is_none() && acknowledged == appended);
    assert!(wal.first_lsn() > Lsn(0) && used_again(&disk) > 0);
    wal.close().unwrap();
    assert!(!disk.files().keys().any(|name| name.contains(".spare")));
    assert_eq!(must_recover(&lose_all(&disk), appended, appended), appended);
}

#[test]
fn faults_10_and_20_power_loss_at_each_step_of_making_and_using_files_again_loses_nothing() {
    let whole = new_disk();
    keep_a_window(&open(&whole));
    let (mut with_used, steps) = (0, whole.steps());
    for steps in 0..steps {
        let disk = new_disk();
        disk.power_off_at(steps);
        let Ok(wal) = Wal::with_storage(Arc::new(disk.clone()), with_spares()) else {
            continue;
        };
        let (acknowledged, appended, _) = keep_a_window(&wal);
        with_used += used_again(&disk).min(1);
        some_outcomes(&kill(&disk, wal), |found| {
            must_recover(found, acknowledged, appended);
        });
    }
    assert!(with_used > 15, "{with_used} of {steps}");
}

/// What no record depends on stops nobody.
#[test]
fn fault_18_any_call_for_a_file_without_a_name_may_fail_once_or_for_ever() {
    let failures = [
        (Operation::Create, Failure::Refused(SimError::Full)),
        (Operation::Create, Failure::Refused(SimError::Io)),
        (Operation::Rename, Failure::Refused(SimError::Io)),
        (Operation::Rename, Failure::DoneAll(SimError::Io)),
        (Operation::Remove, Failure::Refused(SimError::Io)),
        (Operation::Open, Failure::Refused(SimError::Io)),
    ];
    for (operation, failure) in failures {
        for calls in 0..6 {
            for for_ever in [false, true] {
                let disk = new_disk();
                let wal = open(&disk);
                let of_spare = move |call: &Call<'_>| match operation {
                    // By which a dropped segment becomes one.
                    Operation::Rename | Operation::Open => call.file.ends_with(".log"),
                    _ => is_spare(call),
                };
                let fault = Fault::on(operation, failure).only_if(of_spare).after(calls);
                disk.inject(if for_ever { fault.for_ever() } else { fault });
                let (acknowledged, appended, error) = keep_a_window(&wal);
                assert!(error.is_none(), "{operation:?}, {calls}: {error:?}");
                assert_eq!(acknowledged, appended, "{operation:?}, {calls}");
                disk.clear_faults();
                must_recover(&lose_all(&kill(&disk, wal)), acknowledged, appended);
            }
        }
    }
}

#[test]
fn fault_18_a_spare_that_cannot_be_written_or_synced_is_dropped_and_stops_nobody() {
    const RECORDS: u64 = 1000;
    let failures = [
        (Operation::Write, Failure::Refused(SimError::Io)),
        (Operation::Write, Failure::Refused(SimError::Full)),
        (Operation::Write, Failure::Torn(SimError::Io)),
        (Operation::Sync, Failure::Refused(SimError::Io)),
        (Operation::Sync, Failure::PagesLost),
    ];
    for (operation, failure) in failures {
        let disk = new_disk();
        // Half of one is more than 100 syncs.
        let options = with_spares().segment_bytes(32 << 10);
        let wal = Wal::with_storage(Arc::new(disk.clone()), options).unwrap();
        // With its header a file is the rotation's business.
        let has_header = Arc::new(AtomicBool::new(false));
        let notes = Arc::clone(&has_header);
        disk.before_each_call(move |call| match call.operation {
            Operation::Create => notes.store(false, Ordering::Relaxed),
            Operation::Write if is_spare(call) && call.bytes.iter().any(|it| *it != 0) => {
                notes.store(true, Ordering::Relaxed);
            }
            _ => {}
        });
        let struck = Arc::new(AtomicU64::new(0));
        let strikes = Arc::clone(&struck);
        let while_made = move |call: &Call<'_>| {
            let strikes_now = is_spare(call) && !has_header.load(Ordering::Relaxed);
            strikes.fetch_add(u64::from(strikes_now), Ordering::Relaxed);
            strikes_now
        };
        let fault = Fault::on(operation, failure).only_if(while_made);
        disk.inject(fault.for_ever());
        // So many syncs that the next file is made of written zeros.
        for lsn in 0..RECORDS {
            append(&wal, lsn, lsn + 1);
            wal.sync().expect("nobody else is told");
        }
        assert!(wal.sealed().len() > 1);
        let tries = struck.load(Ordering::Relaxed);
        assert!((1..=4).contains(&tries), "once a segment: {tries}");
        let left = disk.files().into_keys().filter(|it| it.contains(".spare"));
        assert_eq!(left.count(), 0, "{operation:?}, {failure:?}");
        disk.clear_faults();
        wal.prepare().expect("it is tried again");
        must_recover(&lose_all(&kill(&disk, wal)), RECORDS, RECORDS);
    }
}

#[test]
fn fault_18_a_disk_that_is_full_for_spares_alone_stops_nobody_and_says_so_when_asked() {
    let disk = new_disk();
    let wal = open(&disk);
    disk.set_capacity(Some(2 * (16 << 10) - 4096));
    append(&wal, 0, 60);
    wal.sync().unwrap();
    let full = wal.prepare();
    assert!(matches!(full, Err(CommitError::StorageFull { .. })));
    append(&wal, 60, 65);
    wal.sync().expect("nobody else is told");
    disk.set_capacity(None);
    assert!(wal.prepare().unwrap() && !wal.prepare().unwrap());
}

#[test]
fn a_rotation_with_a_spare_needs_no_room() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 5);
    wal.sync().unwrap();
    wal.prepare().unwrap();
    disk.set_capacity(Some(0));
    wal.rotate().unwrap();
    append(&wal, 5, 10);
    wal.sync().unwrap();
    must_recover(&lose_all(&kill(&disk, wal)), 10, 10);
}

/// A leader that finds the segment half full writes a small piece of the next
/// file, behind its own work; nobody writes it whole.
#[test]
fn callers_make_the_next_file_piece_by_piece() {
    const PIECE_BYTES: u64 = 256 << 10;
    let disk = new_disk();
    let options = with_spares().segment_bytes(4 << 20);
    let wal = Wal::with_storage(Arc::new(disk.clone()), options).unwrap();
    let (written, syncs) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counters = (Arc::clone(&written), Arc::clone(&syncs));
    disk.before_each_call(move |call| {
        if is_spare(call) {
            match call.operation {
                Operation::Write => counters
                    .0
                    .fetch_add(call.bytes.len() as u64, Ordering::SeqCst),
                Operation::Sync => counters.1.fetch_add(1, Ordering::SeqCst),
                _ => 0,
            };
        }
    });
    let record = vec![7; 16_000];
    let (mut most, mut rotations) = (0, 0);
    while rotations == 0 {
        let before = written.load(Ordering::SeqCst);
        wal.append_durable(&record).unwrap();
        most = most.max(written.load(Ordering::SeqCst) - before);
        rotations = wal.stats().rotations;
    }
    // Its header, and all of it.
    assert_eq!(written.load(Ordering::SeqCst), (4 << 20) + 2 * 92);
    assert_eq!(syncs.load(Ordering::SeqCst), (4 << 20) / PIECE_BYTES + 1);
    assert_eq!(most, PIECE_BYTES);
}

#[test]
fn a_spare_that_somebody_tidied_away_is_made_anew() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 5);
    wal.prepare().unwrap();
    let files = disk.files();
    let spare = files.keys().find(|name| name.contains(".spare")).unwrap();
    log_wal::Storage::remove(&disk, spare).unwrap();
    wal.rotate().unwrap();
    append(&wal, 5, 10);
    wal.sync().unwrap();
    must_recover(&lose_all(&kill(&disk, wal)), 10, 10);
}
