//! A writer that dies, in a process of its own.

use std::time::Duration;

use log_mmap::{Follower, Lsn, Store, TailState};

use crate::support::{count, given_directory, payload, said, small, started};

/// Appends for ever, never flushes, and says what was appended.
#[test]
#[ignore = "a role for other tests"]
fn role_appends() {
    let Some(directory) = given_directory() else {
        return;
    };
    let store = Store::open(directory, small()).unwrap();
    println!("ready {}", store.next_lsn());
    for lsn in store.next_lsn().0.. {
        assert_eq!(store.append(&payload(lsn)).unwrap(), Lsn(lsn));
        assert!(store.watermarks().written_end > Lsn(lsn));
        println!("appended {}", lsn + 1);
    }
}

#[test]
fn what_append_returned_survives_kill_9_without_a_flush() {
    let directory = tempfile::tempdir().unwrap();
    let mut appended = 0;
    for round in 1..=5 {
        let (mut child, mut output) = started("deaths::role_appends", directory.path());
        assert!(said(&mut output, "ready") >= appended);
        for _ in 0..300 * round {
            appended = said(&mut output, "appended");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(directory.path(), small()).unwrap();
        assert!(store.next_lsn() >= Lsn(appended), "{appended} were written");
        assert_eq!(count(&store), store.next_lsn().0);
        drop(store);
    }
    assert!(appended >= 4_500);
}

#[test]
fn a_follower_sees_what_is_published_and_goes_on_over_the_writers_death() {
    let directory = tempfile::tempdir().unwrap();
    let mut follower = None;
    for _ in 0..4 {
        let (mut child, mut output) = started("deaths::role_appends", directory.path());
        said(&mut output, "ready");
        let follower =
            follower.get_or_insert_with(|| Follower::open(directory.path(), Lsn(0)).unwrap());
        for _ in 0..1_000 {
            let next = follower.next_lsn();
            let record = follower.next_timeout(Duration::from_secs(60)).unwrap();
            let record = record.expect("it comes without a flush");
            assert_eq!(record.lsn(), next, "INV-M6");
            assert_eq!(record.payload(), payload(next.0));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let shown = follower.unwrap().next_lsn();
    let store = Store::open(directory.path(), small()).unwrap();
    assert!(store.next_lsn() >= shown, "nothing that was shown is gone");
}

#[test]
fn a_log_may_be_written_through_a_mapping_today_and_by_calls_tomorrow() {
    let directory = tempfile::tempdir().unwrap();
    let mut end = 0;
    for round in 0..6 {
        let options = small().mapped_writing(round % 2 == 0);
        let store = Store::open(directory.path(), options).unwrap();
        assert_eq!(store.report().tail, TailState::Clean);
        assert_eq!(count(&store), end);
        for lsn in end..end + 250 {
            store.append(&payload(lsn)).unwrap();
        }
        end += 250;
        store.close().unwrap();
    }
}
