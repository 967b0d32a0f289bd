//! The disk is full, where the memory is the file: then the append that needs
//! the next file says so, and whoever opens a log that needs one.

use std::sync::Arc;

use log_wal::storage::sim::{Failure, Fault, Operation, SimError};
use log_wal::{AppendError, CommitError, Lsn, OpenError, TailState, WalReader};

use crate::common::{append, count_of_prefix, payload, try_append};
use crate::disk::{
    kill, lose_all, must_recover, new_disk, open, some_outcomes, torn_and_full, try_open,
};

fn is_full(error: &AppendError) -> bool {
    matches!(error, AppendError::Commit(CommitError::StorageFull { .. }))
}

#[test]
fn fault_18_a_full_disk_refuses_appends_until_there_is_room() {
    let disk = new_disk();
    let wal = open(&disk);
    let used = disk.files().values().map(Vec::len).sum::<usize>() as u64;
    // Room for this segment and another one.
    disk.set_capacity(Some(used + (16 << 10)));
    let full = try_append(&wal, 0, 1000).unwrap_err();
    assert!(is_full(&full), "{full}");
    let appended = wal.next_lsn().0;
    assert!(appended > 140, "two segments full, {appended} records");
    for _ in 0..3 {
        assert!(is_full(&wal.append(&payload(appended)).unwrap_err()));
    }
    assert_eq!(wal.next_lsn(), Lsn(appended), "none was appended");
    assert_eq!(count_of_prefix(wal.iter()), appended, "reads go on");
    assert_eq!(wal.sync().unwrap(), Lsn(appended), "what was is durable");
    some_outcomes(&disk, |found| {
        found.set_capacity(None);
        must_recover(found, appended, appended);
    });

    disk.set_capacity(None);
    append(&wal, appended, appended + 5);
    wal.sync().unwrap();
    must_recover(&lose_all(&kill(&disk, wal)), appended + 5, appended + 5);
}

#[test]
fn fault_18_room_that_comes_and_goes_loses_nothing() {
    for calls in 0..4 {
        let disk = new_disk();
        let wal = open(&disk);
        let fault = Fault::on(Operation::Create, Failure::Refused(SimError::Full));
        disk.inject(fault.after(calls));
        let mut full = 0;
        while wal.next_lsn() < Lsn(600) {
            let next = wal.next_lsn().0;
            match try_append(&wal, next, next + 10) {
                Ok(()) => assert_eq!(wal.sync().unwrap(), Lsn(next + 10)),
                Err(error) if is_full(&error) => full += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(full, 1);
        wal.sync().unwrap();
        let appended = wal.next_lsn().0;
        must_recover(&lose_all(&kill(&disk, wal)), appended, appended);
    }
}

#[test]
fn fault_19_a_torn_log_can_be_read_on_a_full_disk_and_opens_when_there_is_room() {
    let disk = torn_and_full();
    let before = WalReader::with_storage(Arc::new(disk.clone())).unwrap();
    let refused = try_open(&disk).unwrap_err();
    assert!(matches!(refused, OpenError::Io { .. }), "{refused}");
    let reader = WalReader::with_storage(Arc::new(disk.clone())).unwrap();
    assert_eq!(reader.next_lsn(), before.next_lsn(), "nothing was changed");
    disk.set_capacity(None);
    let wal = open(&disk);
    assert_ne!(wal.report().tail, TailState::Clean);
    let count = wal.next_lsn();
    assert_eq!(reader.next_lsn(), count);
    append(&wal, count.0, count.0 + 1);
    assert_eq!(wal.sync().unwrap(), Lsn(count.0 + 1));
    must_recover(&lose_all(&kill(&disk, wal)), count.0 + 1, count.0 + 1);
}
