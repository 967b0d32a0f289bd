//! The rules of the typed log under random schedules: more threads, larger
//! windows and longer runs than loom can exhaust. Shuttle runs atomics
//! sequentially consistent; orderings are loom's.

#![cfg(log_shuttle)]

use std::sync::{Arc as StdArc, Mutex as StdMutex};

use log_core::{AtomicLog, Follower, Snapshot, Writer};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

/// Under schedules drawn uniformly, and under schedules that make few but well
/// placed preemptions (Burckhardt and others, "A Randomized Scheduler with
/// Probabilistic Guarantees of Finding Bugs", 2010).
fn check(schedules: usize, rule: impl Fn() + Send + Sync + 'static) {
    let rule = StdArc::new(rule);
    let same = StdArc::clone(&rule);
    shuttle::check_random(move || same(), schedules);
    shuttle::check_pct(move || rule(), schedules, 3);
}

/// Which values were dropped, how often.
#[derive(Clone, Default)]
struct Drops(StdArc<StdMutex<Vec<u64>>>);

impl Drops {
    fn values(&self, ids: std::ops::Range<u64>) -> impl Iterator<Item = Value> + '_ {
        ids.map(|id| Value(id, self.clone()))
    }

    fn sorted(&self) -> Vec<u64> {
        let mut ids = self.0.lock().expect("nobody panics").clone();
        ids.sort_unstable();
        ids
    }
}

struct Value(u64, Drops);

impl Drop for Value {
    fn drop(&mut self) {
        self.1.0.lock().expect("nobody panics").push(self.0);
    }
}

/// Fails unless a snapshot shows value `n` under number `n`, all of them.
fn shown(snapshot: &Snapshot<Value>) -> u64 {
    let (start, end) = (snapshot.start().0, snapshot.end().0);
    let values = snapshot.iter().map(|value| value.0);
    assert!(values.eq(start..end), "INV-C2, INV-C4");
    end
}

fn append(writer: &mut Writer<Value>, drops: &Drops, values: u64) {
    let next = writer.end().0;
    writer.append_batch(drops.values(next..next + values));
}

/// `INV-C2`, `INV-C4`, `INV-C6`
#[test]
fn readers_that_come_and_go_at_will_see_prefixes_and_leave_nothing_behind() {
    const VALUES: u64 = 24;
    check(1_500, || {
        let drops = Drops::default();
        let (mut writer, log) = AtomicLog::new_claimed(4, 2);
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let log = log.clone();
                thread::spawn(move || {
                    let mut held = vec![log.snapshot()];
                    for _ in 0..8 {
                        let which = thread_rng().gen_range(0..held.len());
                        match thread_rng().gen_range(0..4) {
                            0 => held.push(log.snapshot()),
                            1 => held.push(held[which].clone()),
                            2 if held.len() > 1 => drop(held.swap_remove(which)),
                            _ => {
                                held[which].refresh();
                            }
                        }
                        held.iter().for_each(|snapshot| {
                            shown(snapshot);
                        });
                    }
                })
            })
            .collect();
        for _ in 0..VALUES / 3 {
            append(&mut writer, &drops, 3);
        }
        for reader in readers {
            reader.join().expect("its checks hold");
        }
        // The window begins with the segment of value 18.
        assert!(
            drops.sorted().into_iter().eq(0..VALUES - 6),
            "nobody sees them"
        );
        drop((writer, log));
        assert!(drops.sorted().into_iter().eq(0..VALUES), "each once");
    });
}

/// `INV-C1`
#[test]
fn followers_that_wait_read_every_value_once_or_are_told() {
    fn read_all(mut follower: Follower<u64>, end: u64) {
        let mut next = follower.position().0;
        while next < end {
            assert!(follower.wait(None), "a lost wake-up is a deadlock");
            match follower.next_slice() {
                Ok(None) => {}
                Ok(Some(news)) => {
                    let until = news.end_lsn().0;
                    assert!(news.values().iter().copied().eq(next..until));
                    next = until;
                }
                Err(gap) => {
                    assert_eq!(gap.missed_from.0, next);
                    next = gap.resumes_at.0;
                }
            }
        }
    }
    const VALUES: u64 = 20;
    check(1_500, || {
        let (mut writer, log) = AtomicLog::new_claimed(6, 2);
        let readers = [log.follow(), log.follow(), log.snapshot().follow()]
            .map(|follower| thread::spawn(move || read_all(follower, VALUES)));
        for value in 0..VALUES {
            writer.append(value);
        }
        for reader in readers {
            reader.join().expect("its checks hold");
        }
    });
}

/// `INV-C1`, `INV-C3`
#[test]
fn writers_that_take_turns_leave_no_gap() {
    const WRITERS: u64 = 3;
    check(1_500, || {
        let drops = Drops::default();
        let log = AtomicLog::new(2, 1);
        let turns = Arc::new(Mutex::new(0));
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (log, drops, turns) = (log.clone(), drops.clone(), Arc::clone(&turns));
                thread::spawn(move || {
                    let _old = log.snapshot();
                    for _ in 0..4 {
                        if let Some(mut writer) = log.try_claim_writer() {
                            append(&mut writer, &drops, 2);
                            *turns.lock().expect("nobody panics") += 1;
                        }
                        shown(&log.snapshot());
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("its checks hold");
        }
        let appended = 2 * *turns.lock().expect("nobody panics");
        assert_eq!(shown(&log.snapshot()), appended);
        drop(log);
        assert!(drops.sorted().into_iter().eq(0..appended), "each once");
    });
}
