//! The lab finds what it is there to find: on a disk that lies in one of the
//! ways in which logs have lost data, some history soon breaks a promise.

mod lab;

use lab::{Saboteur, Writing, play_sabotaged};
use log_wal::storage::sim::{Call, Failure, Fault, Operation, SimStorage};

/// So many histories must be enough.
const HISTORIES: u64 = 400;

fn found_in(writing: Writing, sabotage: Saboteur) -> Option<u64> {
    (0..HISTORIES).find(|seed| play_sabotaged(*seed, writing, sabotage).is_err())
}

fn is_found(sabotage: Saboteur) {
    for writing in Writing::BOTH {
        let found = found_in(writing, sabotage);
        assert!(found.is_some(), "{writing:?}");
    }
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
    for writing in Writing::BOTH {
        assert_eq!(found_in(writing, |_| {}), None, "{writing:?}");
    }
}

#[test]
fn a_disk_that_ignores_all_syncs_is_found() {
    is_found(|disk| ignore(disk, Operation::Sync, |_| true));
}

#[test]
fn a_disk_that_syncs_no_directory_is_found() {
    is_found(|disk| ignore(disk, Operation::SyncDirectory, |_| true));
}

#[test]
fn new_files_that_are_not_synced_before_they_get_their_name_are_found() {
    is_found(|disk| ignore(disk, Operation::Sync, is_new));
}

#[test]
fn records_that_are_not_synced_before_they_are_acknowledged_are_found() {
    is_found(|disk| ignore(disk, Operation::Sync, |call| !is_new(call)));
}

#[test]
fn a_single_sync_that_does_nothing_is_found() {
    is_found(|disk| {
        disk.inject(Fault::on(Operation::Sync, Failure::Ignored).after(5));
    });
}

#[test]
fn a_write_that_is_lost_is_found() {
    is_found(|disk| {
        disk.inject(Fault::on(Operation::Write, Failure::Ignored).after(7));
    });
}

#[test]
fn a_removal_that_is_lost_is_found() {
    is_found(|disk| {
        let fault = Fault::on(Operation::Remove, Failure::Ignored);
        disk.inject(fault.for_ever().only_if(|call| call.file.ends_with(".log")));
    });
}
