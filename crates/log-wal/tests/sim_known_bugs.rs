//! The lab finds what it is there to find: on a disk that lies in one of the
//! ways in which logs have lost data, some history soon breaks a promise.

mod lab;

use lab::{Saboteur, play_sabotaged};
use log_wal::storage::sim::{Call, Failure, Fault, Operation, SimStorage};

/// So many histories must be enough.
const HISTORIES: u64 = 400;

fn found_after(sabotage: Saboteur) -> Option<u64> {
    (0..HISTORIES).find(|seed| play_sabotaged(*seed, sabotage).is_err())
}

fn ignore(disk: &SimStorage, operation: Operation, matches: fn(&Call<'_>) -> bool) {
    let fault = Fault::on(operation, Failure::Ignored).for_ever();
    disk.inject(fault.only_if(matches));
}

fn is_new(call: &Call<'_>) -> bool {
    call.file.ends_with(".new")
}

#[test]
fn an_honest_disk_breaks_no_promise() {
    assert_eq!(found_after(|_| {}), None);
}

#[test]
fn a_disk_that_ignores_all_syncs_is_found() {
    let found = found_after(|disk| ignore(disk, Operation::Sync, |_| true));
    assert!(found.is_some());
}

#[test]
fn a_disk_that_syncs_no_directory_is_found() {
    let found = found_after(|disk| ignore(disk, Operation::SyncDirectory, |_| true));
    assert!(found.is_some());
}

#[test]
fn new_files_that_are_not_synced_before_they_get_their_name_are_found() {
    let found = found_after(|disk| ignore(disk, Operation::Sync, is_new));
    assert!(found.is_some());
}

#[test]
fn records_that_are_not_synced_before_they_are_acknowledged_are_found() {
    let found = found_after(|disk| ignore(disk, Operation::Sync, |call| !is_new(call)));
    assert!(found.is_some());
}

#[test]
fn a_single_sync_that_does_nothing_is_found() {
    let found = found_after(|disk| {
        disk.inject(Fault::on(Operation::Sync, Failure::Ignored).after(5));
    });
    assert!(found.is_some());
}

#[test]
fn a_write_that_is_lost_is_found() {
    let found = found_after(|disk| {
        disk.inject(Fault::on(Operation::Write, Failure::Ignored).after(7));
    });
    assert!(found.is_some());
}

#[test]
fn a_removal_that_is_lost_is_found() {
    let found = found_after(|disk| {
        let fault = Fault::on(Operation::Remove, Failure::Ignored);
        disk.inject(fault.for_ever().only_if(|call| call.file.ends_with(".log")));
    });
    assert!(found.is_some());
}
