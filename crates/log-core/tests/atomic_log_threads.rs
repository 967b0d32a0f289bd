//! Readers in many threads only ever see prefixes, in order.

use std::sync::{Barrier, Mutex};
use std::thread;

use log_core::{AtomicLog, Lsn, Snapshot};

const VALUES: u64 = if cfg!(miri) { 100 } else { 200_000 };

/// Fails unless the snapshot shows value `n` under number `n`, all of them.
fn check(snapshot: &Snapshot<u64>) -> u64 {
    let (start, end) = (snapshot.start().0, snapshot.end().0);
    assert!(snapshot.iter().copied().eq(start..end), "INV-C2, INV-C4");
    end
}

/// Runs readers beside a writer that appends [`VALUES`] numbers.
fn beside_a_writer(
    retained: usize,
    segment: usize,
    readers: usize,
    read: impl Fn(AtomicLog<u64>) + Sync,
) {
    let (mut writer, log) = AtomicLog::new_claimed(retained, segment);
    let start = Barrier::new(readers + 1);
    thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                start.wait();
                read(log.clone());
            });
        }
        start.wait();
        while writer.end().0 < VALUES {
            let next = writer.end().0;
            match next % 3 {
                0 => assert_eq!(writer.append_batch(next..next + 5).start, Lsn(next)),
                _ => assert_eq!(writer.append(next), Lsn(next)),
            }
        }
    });
    assert_eq!(check(&log.snapshot()), writer.end().0);
}

#[test]
fn snapshots_show_prefixes_that_only_grow() {
    beside_a_writer(64, 8, 3, |log| {
        let mut end = 0;
        while end < VALUES {
            let now = check(&log.snapshot());
            assert!(now >= end, "INV-C1: never backwards");
            end = now;
        }
    });
}

#[test]
fn a_refresh_accounts_for_every_value() {
    beside_a_writer(16, 2, 3, |log| {
        let mut snapshot = log.snapshot();
        let mut end = snapshot.end().0;
        while end < VALUES {
            let news = snapshot.refresh();
            end += news.gained + news.missed;
            assert_eq!(check(&snapshot), end);
        }
    });
}

#[test]
fn followers_read_every_value_once_or_are_told() {
    beside_a_writer(64, 4, 3, |log| {
        let mut follower = log.follow();
        let mut next = follower.position().0;
        while next < VALUES {
            match follower.next_slice() {
                Ok(None) => {
                    follower.wait(None);
                }
                Ok(Some(news)) => {
                    let end = news.end_lsn().0;
                    assert!(news.values().iter().copied().eq(next..end));
                    next = end;
                }
                Err(gap) => {
                    assert_eq!(gap.missed_from.0, next);
                    next = gap.resumes_at.0;
                }
            }
        }
    });
}

#[test]
fn snapshots_of_many_ages_come_and_go() {
    beside_a_writer(6, 2, 2, |log| {
        let mut held: Vec<Snapshot<u64>> = Vec::new();
        let mut turn = 0_usize;
        loop {
            let snapshot = log.snapshot();
            let end = check(&snapshot);
            held.push(snapshot);
            if end >= VALUES {
                break;
            }
            // An arbitrary order in which old ones go, the same at each run.
            while held.len() > 16 {
                turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let old = held.swap_remove((turn >> 33) % held.len());
                check(&old);
            }
        }
        for snapshot in &held {
            check(snapshot);
        }
    });
}

#[test]
fn a_writer_can_be_shared_through_a_mutex() {
    const THREADS: u64 = 4;
    let (writer, log) = AtomicLog::new_claimed(VALUES as usize, 64);
    let writer = Mutex::new(writer);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let writer = &writer;
            scope.spawn(move || {
                for value in 0..VALUES / THREADS {
                    let mut writer = writer.lock().expect("nobody panics");
                    writer.append((thread, value));
                }
            });
        }
    });
    let mut next = [0; THREADS as usize];
    for &(thread, value) in &log.snapshot() {
        let next = &mut next[thread as usize];
        assert_eq!(value, *next, "each thread's values are in its order");
        *next += 1;
    }
    assert_eq!(next, [VALUES / THREADS; THREADS as usize]);
}

#[test]
fn writers_take_turns() {
    const THREADS: u64 = 4;
    let log = AtomicLog::new(64, 8);
    let each = VALUES / 100;
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut left = each;
                while left > 0 {
                    let Some(mut writer) = log.try_claim_writer() else {
                        thread::yield_now();
                        continue;
                    };
                    writer.append(writer.end().0);
                    left -= 1;
                }
            });
        }
    });
    assert_eq!(check(&log.snapshot()), THREADS * each);
}
