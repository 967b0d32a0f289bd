//! Callers wait for a disk that is slow, or for a leader that does not come
//! back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use log_wal::storage::sim::{Failure, Fault, Operation, SimError, SimStorage};
use log_wal::{Level, Lsn, Wal};

use crate::common::{append, count_of_prefix, payload, small};
use crate::disk::{kill, lose_all, must_recover, new_disk, open};

/// Holds the first sync from now on, until told.
struct Gate {
    /// Says that a sync has come.
    arrived: Receiver<()>,
    /// Dropped, or told, to let it go on.
    open: Sender<()>,
}

fn gate(disk: &SimStorage) -> Gate {
    let (arrive, arrived) = channel();
    let (open, opened) = channel();
    let gate = Mutex::new(Some((arrive, opened)));
    disk.before_each_call(move |call| {
        if call.operation != Operation::Sync {
            return;
        }
        let held = gate.lock().unwrap().take();
        if let Some((arrive, opened)) = held {
            arrive.send(()).unwrap();
            // Also goes on when the test has given up.
            let _told: Result<(), _> = opened.recv();
        }
    });
    Gate { arrived, open }
}

#[test]
fn fault_28_a_leader_that_dies_leaves_its_followers_to_another() {
    let disk = new_disk();
    let wal = open(&disk);
    append(&wal, 0, 3);
    wal.sync().unwrap();
    let armed = AtomicBool::new(true);
    let (arrive, arrived) = channel();
    disk.before_each_call(move |call| {
        if call.operation == Operation::Sync && armed.swap(false, Ordering::SeqCst) {
            arrive.send(()).unwrap();
            panic!("injected");
        }
    });
    append(&wal, 3, 6);
    thread::scope(|scope| {
        let leader = scope.spawn(|| wal.sync());
        arrived.recv().unwrap();
        let followers: Vec<_> = (0..4).map(|_| scope.spawn(|| wal.sync())).collect();
        assert!(leader.join().is_err(), "it panicked");
        for follower in followers {
            assert_eq!(follower.join().unwrap().unwrap(), Lsn(6));
        }
    });
    must_recover(&lose_all(&kill(&disk, wal)), 6, 6);
}

#[test]
fn fault_29_while_a_sync_takes_long_memory_is_bounded_and_readers_go_on() {
    const BACKLOG: usize = 2;
    const RECORDS: u64 = 2000;
    let disk = new_disk();
    let options = small().backlog_segments_max(BACKLOG);
    let wal = Wal::with_storage(Arc::new(disk.clone()), options).unwrap();
    let gate = gate(&disk);
    append(&wal, 0, 1);
    thread::scope(|scope| {
        let slow = scope.spawn(|| wal.sync());
        gate.arrived.recv().unwrap();
        let most_segments = AtomicU64::new(0);
        let appender = scope.spawn(|| {
            for lsn in 1..RECORDS {
                wal.append(&payload(lsn)).unwrap();
                most_segments.fetch_max(wal.segments().len() as u64, Ordering::Relaxed);
            }
            most_segments.into_inner()
        });
        // More than one segment takes: appends go on while the sync does not.
        assert!(wal.wait_published(Lsn(150), None));
        assert!(count_of_prefix(wal.iter()) > 150, "readers too");
        assert_eq!(wal.watermarks().durable_end, Lsn(0));
        assert!(wal.segments().len() <= BACKLOG + 1, "memory is bounded");
        drop(gate.open);
        assert!(slow.join().unwrap().is_ok());
        assert!(
            appender.join().unwrap() > 10,
            "they went on when it was over"
        );
    });
    wal.sync().unwrap();
    must_recover(&lose_all(&kill(&disk, wal)), RECORDS, RECORDS);
}

/// Lets many callers wait for one sync, which then ends so.
fn wait_for(failure: Option<Failure>) {
    const CALLERS: usize = 6;
    let disk = new_disk();
    let wal = open(&disk);
    let gate = gate(&disk);
    let results: Vec<_> = thread::scope(|scope| {
        let first = scope.spawn(|| wal.append_durable(b"first").map(drop));
        gate.arrived.recv().unwrap();
        if let Some(failure) = failure {
            disk.inject(Fault::on(Operation::Sync, failure).for_ever());
        }
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let wal = &wal;
                scope.spawn(move || match caller % 3 {
                    0 => wal.append_durable(b"another").map(drop),
                    1 => wal.sync().map(drop).map_err(Into::into),
                    _ => wal.commit(Lsn(1), Level::Durable).map_err(Into::into),
                })
            })
            .collect();
        drop(gate.open);
        let all = callers.into_iter().chain([first]);
        all.map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(results.len(), CALLERS + 1);
    for result in results {
        assert_eq!(result.is_err(), failure.is_some(), "{result:?}");
    }
}

#[test]
fn fault_30_each_waiter_gets_a_result() {
    wait_for(None);
    wait_for(Some(Failure::Refused(SimError::Io)));
    wait_for(Some(Failure::PagesLost));
}

#[test]
fn fault_30_a_log_that_is_dropped_while_readers_wait_lets_them_go_with_what_there_is() {
    let disk = new_disk();
    let wal = Arc::new(open(&disk));
    let waiter = {
        let wal = Arc::clone(&wal);
        thread::spawn(move || wal.wait_published(Lsn(0), None))
    };
    wal.append(b"here").unwrap();
    assert!(waiter.join().unwrap());
    drop(wal);
    assert_eq!(open(&disk).next_lsn(), Lsn(1));
}

#[test]
fn those_who_append_cannot_keep_a_leader_at_work() {
    let disk = new_disk();
    let options = small().backlog_segments_max(1000);
    let wal = Arc::new(Wal::with_storage(Arc::new(disk.clone()), options).unwrap());
    let other = Arc::downgrade(&wal);
    let writes = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&writes);
    disk.before_each_call(move |call| {
        // In the end they stop all the same, so that the test ends.
        if call.operation == Operation::Write && seen.fetch_add(1, Ordering::Relaxed) < 200 {
            // One record for each write, and a segment for each record.
            let wal = other.upgrade().unwrap();
            wal.append(&[7; 8000]).unwrap();
        }
    });
    wal.append(&[7; 8000]).unwrap();
    assert!(wal.sync().unwrap() >= Lsn(1));
    disk.unwatch();
    let writes = writes.load(Ordering::Relaxed);
    assert!(writes < 20, "{writes} writes for one record");
}
