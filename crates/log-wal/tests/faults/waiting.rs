//! Callers wait for a disk that is slow, or for a leader that does not come
//! back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use log_wal::storage::sim::{Failure, Fault, Operation, SimError, SimStorage};
use log_wal::{Level, Lsn};

use crate::common::append;
use crate::disk::{kill, lose_all, must_recover, new_disk, open};

/// Holds the first sync from now on, until told.
pub(crate) struct Gate {
    /// Says that a sync has come.
    pub arrived: Receiver<()>,
    /// Dropped, or told, to let it go on.
    pub open: Sender<()>,
}

pub(crate) fn gate(disk: &SimStorage) -> Gate {
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
