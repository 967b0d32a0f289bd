//! Other processes read a log while it is compacted.

use std::time::Duration;

use crate::support::{Other, append_to, check_gaps, checked, given_directory, options, say};
use log_mmap::{Follower, Lsn, Reader, Record, Store};

/// How many records the log has in the end.
const RECORDS: u64 = 4_000;

/// Of a round: append, compact.
const ROUND: u64 = 100;

/// Long enough for any machine; nothing waits so long if all is well.
const LONG: Duration = Duration::from_secs(60);

/// Appends all records, and compacts what is sealed all the time.
fn append_and_compact(store: &Store) {
    while store.next_lsn() < Lsn(RECORDS) {
        append_to(store, store.next_lsn().0 + ROUND);
        store.rotate().unwrap();
        let end = store.next_lsn();
        store.compact_before(end, |_| true).unwrap();
    }
    store.flush().unwrap();
}

/// Opens the log, reads all of it and holds it, again and again until the end.
#[test]
#[ignore = "a role for other tests"]
fn role_reader() {
    let Some(directory) = given_directory() else {
        return;
    };
    let mut held: Vec<Record> = Vec::new();
    for turn in 1.. {
        let reader = Reader::open(&directory).unwrap();
        let end = reader.next_lsn().0;
        let records: Vec<_> = reader.iter().map(Result::unwrap).collect();
        let found: Vec<_> = records.iter().map(checked).collect();
        // What it did not meet was superseded by then.
        let newest_end = Reader::open(&directory).unwrap().next_lsn().0;
        check_gaps(&found, end, newest_end);
        for lsn in (0..end).rev().step_by(37) {
            if let Some(record) = reader.read(Lsn(lsn)).unwrap() {
                assert_eq!(checked(&record), lsn);
            }
        }
        held.extend(records.into_iter().step_by(23));
        say(turn);
        if end == RECORDS {
            break;
        }
    }
    for record in &held {
        checked(record);
    }
    say(0);
}

/// Follows the log from its first record to its last.
#[test]
#[ignore = "a role for other tests"]
fn role_follower() {
    let Some(directory) = given_directory() else {
        return;
    };
    let mut follower = Follower::open(directory, Lsn(0)).unwrap();
    say(1);
    let mut shown = Vec::new();
    while shown.last() != Some(&(RECORDS - 1)) {
        let record = follower.next_timeout(LONG).unwrap().expect("it comes");
        shown.push(checked(&record));
    }
    check_gaps(&shown, RECORDS, RECORDS);
    say(0);
}

fn reads_across_compaction(role: &str, others: usize) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options()).unwrap();
    append_to(&store, ROUND);
    store.flush().unwrap();
    let start = |_| Other::plays(role, directory.path());
    let mut others: Vec<_> = (0..others).map(start).collect();
    for other in &mut others {
        assert!(other.says().is_some_and(|turn| turn > 0));
    }
    append_and_compact(&store);
    for mut other in others {
        while other.says().expect("it read all, and all was right") > 0 {}
    }
}

#[test]
fn a_reader_in_another_process_sees_each_segment_old_or_new() {
    reads_across_compaction("readers::role_reader", 2);
}

#[test]
fn a_follower_in_another_process_goes_on_across_compaction() {
    reads_across_compaction("readers::role_follower", 2);
}
