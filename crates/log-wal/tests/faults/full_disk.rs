//! The disk is full, where appends do not wait for it: the sync says so.

use std::sync::Arc;

use log_wal::storage::sim::{Failure, Fault, Operation, SimError};
use log_wal::{AppendError, CommitError, Lsn, TailState, WalReader};

use crate::common::{append, count_of_prefix};
use crate::disk::{kill, lose_all, must_recover, new_disk, open, some_outcomes, torn_and_full};

#[test]
fn fault_18_a_full_disk_is_told_apart_and_appends_go_on_when_there_is_room() {
    let disk = new_disk();
    let wal = open(&disk);
    let used = disk.files().values().map(Vec::len).sum::<usize>() as u64;
    // Room for this segment and another one.
    disk.set_capacity(Some(used + (16 << 10)));
    let mut appended = 0;
    let full = loop {
        append(&wal, appended, appended + 5);
        appended += 5;
        if let Err(error) = wal.sync() {
            break error;
        }
    };
    assert!(matches!(full, CommitError::StorageFull { .. }), "{full}");
    assert!(appended > 200, "two segments full, {appended} records");
    for _ in 0..3 {
        let again = wal.sync();
        assert!(matches!(again, Err(CommitError::StorageFull { .. })));
    }
    assert_eq!(count_of_prefix(wal.iter()), appended, "reads go on");
    let durable_end = wal.watermarks().durable_end.0;
    some_outcomes(&disk, |found| {
        found.set_capacity(None);
        must_recover(found, durable_end, appended);
    });

    disk.set_capacity(None);
    append(&wal, appended, appended + 5);
    assert_eq!(
        wal.sync().unwrap(),
        Lsn(appended + 5),
        "there is room again"
    );
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
        for group in 0..60 {
            append(&wal, group * 10, group * 10 + 10);
            match wal.sync() {
                Ok(end) => assert_eq!(end, Lsn(group * 10 + 10)),
                Err(CommitError::StorageFull { .. }) => full += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(full, 1);
        let durable_end = wal.watermarks().durable_end.0;
        assert_eq!(durable_end, 600);
        must_recover(&lose_all(&kill(&disk, wal)), 600, 600);
    }
}

#[test]
fn fault_19_a_torn_log_opens_on_a_full_disk_and_takes_records_when_there_is_room() {
    let disk = torn_and_full();
    let reader = WalReader::with_storage(Arc::new(disk.clone())).unwrap();
    let wal = open(&disk);
    assert_ne!(wal.report().tail, TailState::Clean);
    let count = wal.next_lsn();
    assert_eq!(reader.next_lsn(), count);
    assert_eq!(count_of_prefix(wal.iter()), count.0);

    append(&wal, count.0, count.0 + 1);
    let full = wal.sync();
    assert!(
        matches!(full, Err(CommitError::StorageFull { .. })),
        "{full:?}"
    );
    disk.set_capacity(None);
    assert_eq!(wal.sync().unwrap(), Lsn(count.0 + 1));
    must_recover(&lose_all(&kill(&disk, wal)), count.0 + 1, count.0 + 1);
}

#[test]
fn fault_19_waiting_for_room_does_not_keep_an_append_busy() {
    // A torn first record leaves a segment without any behind.
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 1);
    wal.flush().unwrap();
    let torn = kill(&disk, wal);
    let name = torn.files().into_keys().next().unwrap();
    assert!(torn.damage(&name, |file| file[8192 + 20] ^= 1));
    torn.set_capacity(Some(0));

    let wal = open(&torn);
    assert_eq!(wal.next_lsn(), Lsn(0));
    let record = vec![1; 3000];
    let full = (0..100).find_map(|_| wal.append(&record).err());
    assert!(matches!(
        full,
        Some(AppendError::Commit(CommitError::StorageFull { .. }))
    ));
    torn.set_capacity(None);
    wal.append_durable(&record).unwrap();
}
