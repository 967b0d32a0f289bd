//! Histories of crashes: whatever was promised is kept, and the log goes on.

mod lab;

use std::sync::Arc;
use std::thread;

use lab::{Tally, Writing, play};
use log_wal::storage::sim::{Chance, SimStorage};
use log_wal::{Lsn, Wal, WalOptions};

fn played(histories: u64, writing: Writing) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..histories {
        match play(seed, writing) {
            Ok(more) => tally += more,
            Err(broken) => panic!("{broken}"),
        }
    }
    println!("{tally:?}");
    tally
}

// A lab in which nothing happens proves nothing: that is what the counts are
// asserted for.

#[test]
fn no_history_of_crashes_breaks_a_promise() {
    let tally = played(1500, Writing::Calls);
    assert!(tally.power_losses > 2000 && tally.second_crashes > 500);
    assert!(tally.acknowledged > 10_000 && tally.discarded > 5_000);
    assert!(tally.torn_tails > 200 && tally.rotations > 500);
    assert!(tally.poisoned > 100 && tally.disk_full > 20);
    assert!(tally.recycled > 100);
    assert!(tally.rotten > 100 && tally.cuts > 20);
}

#[test]
fn no_history_of_crashes_breaks_a_promise_of_mapped_writing() {
    let tally = played(1500, Writing::Mapped);
    assert!(tally.power_losses > 2000 && tally.second_crashes > 500);
    assert!(tally.acknowledged > 10_000 && tally.discarded > 5_000);
    assert!(tally.torn_tails > 200 && tally.rotations > 500);
    assert!(tally.poisoned > 100 && tally.disk_full > 20);
    assert!(tally.recycled > 100 && tally.mapped == tally.states);
}

/// Several threads append until the power goes. Which of them is how far is not
/// repeatable; that each finds what was acknowledged to it is no matter of luck.
#[test]
fn what_was_acknowledged_to_any_thread_is_there_after_the_power_went() {
    const THREADS: u8 = 4;
    let options = WalOptions::default().segment_bytes(16 << 10);
    for steps in 0..120 {
        let disk = SimStorage::new(steps);
        let wal = Wal::with_storage(Arc::new(disk.clone()), options.clone()).unwrap();
        disk.power_off_at(disk.steps() + steps);
        let append = |thread: u8| {
            let mut acknowledged: Vec<(Lsn, Vec<u8>)> = Vec::new();
            for record in 0_u32.. {
                let mut payload = vec![thread; 400];
                payload[..4].copy_from_slice(&record.to_le_bytes());
                match wal.append_durable(&payload) {
                    Ok(lsn) => acknowledged.push((lsn, payload)),
                    Err(_) => break,
                }
            }
            acknowledged
        };
        let acknowledged: Vec<_> = thread::scope(|scope| {
            let writers: Vec<_> = (0..THREADS)
                .map(|thread| scope.spawn(move || append(thread)))
                .collect();
            let joined = writers.into_iter().map(|writer| writer.join().unwrap());
            joined.flatten().collect()
        });
        drop(wal);
        let found = disk.power_loss(&mut Chance::seeded(steps));
        let wal = Wal::with_storage(Arc::new(found), options.clone()).unwrap();
        for (lsn, payload) in acknowledged {
            let record = wal.iter_from(lsn).next();
            let record = record.unwrap_or_else(|| panic!("INV-W1: record {lsn} is gone"));
            assert_eq!(record.unwrap().payload(), payload, "INV-W1: record {lsn}");
        }
    }
}
