//! Each sync is there for a reason: a disk that swallows it loses something
//! that was promised.

use std::sync::{Arc, Mutex};

use log_wal::Wal;
use log_wal::format::SEAL_BYTES;
use log_wal::storage::sim::{Call, Failure, Fault, Operation, SimStorage};

use crate::common::append;
use crate::disk::{kill, new_disk, open, recovered, some_outcomes};

/// A sync of a rotation, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Swallowed {
    Nothing,
    /// Of the records in the old file.
    Records,
    /// Of the new file, which has no name yet.
    NewFile,
    /// Of the directory, when it has.
    Name,
    /// Of the old file's seal.
    Seal,
}

/// What was written last to a file that has its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Records,
    Seal,
}

const SEAL_KIND: u8 = 0x82;

/// Makes the disk ignore one sync of each rotation, and say that it was made.
fn swallow(disk: &SimStorage, swallowed: Swallowed) {
    let last = Arc::new(Mutex::new(Last::Records));
    let seen = Arc::clone(&last);
    disk.before_each_call(move |call| {
        if call.operation == Operation::Write {
            let is_seal = call.bytes.len() == SEAL_BYTES && call.bytes[4] == SEAL_KIND;
            *seen.lock().unwrap() = if is_seal { Last::Seal } else { Last::Records };
        }
    });
    let is_new = |call: &Call<'_>| call.file.ends_with(".new");
    let ignore = |operation| Fault::on(operation, Failure::Ignored).for_ever();
    let fault = match swallowed {
        Swallowed::Nothing => return,
        Swallowed::Name => ignore(Operation::SyncDirectory),
        Swallowed::NewFile => ignore(Operation::Sync).only_if(is_new),
        Swallowed::Records | Swallowed::Seal => {
            let wanted = if swallowed == Swallowed::Seal {
                Last::Seal
            } else {
                Last::Records
            };
            ignore(Operation::Sync)
                .only_if(move |call| !is_new(call) && *last.lock().unwrap() == wanted)
        }
    };
    disk.inject(fault);
}

/// Appends and rotates. Nothing but the rotation syncs, up to the last record,
/// which is acknowledged from the new file.
fn rotate_once(wal: &Wal, disk: &SimStorage) -> u64 {
    append(wal, 0, 12);
    if wal.rotate().is_err() {
        return wal.watermarks().durable_end.0;
    }
    let promised = wal.watermarks().durable_end.0;
    // The new file's own records are not what is tried here.
    disk.clear_faults();
    append(wal, 12, 14);
    wal.sync().map_or(promised, |end| end.0)
}

/// What is lost at some step of a rotation, if anything ever is.
fn loss(swallowed: Swallowed) -> Option<String> {
    for step in 0.. {
        let disk = new_disk();
        let wal = open(&disk);
        swallow(&disk, swallowed);
        disk.power_off_at(disk.steps() + step);
        let promised = rotate_once(&wal, &disk);
        let is_over = !disk.is_off();
        let mut lost = None;
        some_outcomes(&kill(&disk, wal), |found| {
            lost = lost.take().or(recovered(found, promised, 14).err());
        });
        if lost.is_some() || is_over {
            return lost;
        }
    }
    None
}

#[test]
fn fault_21_without_any_one_sync_of_a_rotation_something_is_lost() {
    assert_eq!(loss(Swallowed::Nothing), None);
    for swallowed in [
        Swallowed::Records,
        Swallowed::NewFile,
        Swallowed::Name,
        Swallowed::Seal,
    ] {
        let lost = loss(swallowed);
        assert!(
            lost.is_some(),
            "nothing notices that {swallowed:?} is not synced"
        );
    }
}

#[test]
fn fault_21_without_the_sync_of_its_name_a_new_log_is_lost() {
    let lost = |ignored: bool| {
        let disk = new_disk();
        if ignored {
            swallow(&disk, Swallowed::Name);
        }
        let wal = open(&disk);
        append(&wal, 0, 3);
        wal.sync().unwrap();
        let mut lost = false;
        some_outcomes(&kill(&disk, wal), |found| {
            lost |= recovered(found, 3, 3).is_err();
        });
        lost
    };
    assert!(!lost(false) && lost(true));
}

#[test]
fn fault_21_without_the_sync_on_opening_what_was_shown_is_lost() {
    let lost = |ignored: bool| {
        let disk = new_disk();
        let wal = open(&disk);
        append(&wal, 0, 9);
        wal.flush().unwrap();
        let left = kill(&disk, wal);
        if ignored {
            left.inject(Fault::on(Operation::Sync, Failure::Ignored).for_ever());
        }
        let wal = open(&left);
        let shown = wal.next_lsn().0;
        assert_eq!(shown, 9);
        let mut lost = false;
        some_outcomes(&kill(&left, wal), |found| {
            lost |= recovered(found, shown, 9).is_err();
        });
        lost
    };
    assert!(!lost(false) && lost(true));
}
