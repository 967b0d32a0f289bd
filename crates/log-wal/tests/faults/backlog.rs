//! Appends go on in memory while the disk is slow. Not where the memory is the
//! file: there the append that finds a segment full waits for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use log_wal::storage::sim::Operation;
use log_wal::{Lsn, Wal};

use crate::common::{append, count_of_prefix, payload, small};
use crate::disk::{kill, lose_all, must_recover, new_disk};
use crate::waiting::gate;

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
