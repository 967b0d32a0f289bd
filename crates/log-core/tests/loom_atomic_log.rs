//! Every schedule of small scenes with an [`AtomicLog`], up to the bound that
//! `LOOM_MAX_PREEMPTIONS` sets. Each model has one property, and fails if an
//! ordering that it is about is weakened.
#![cfg(log_loom)]

use std::sync::Mutex;

use log_core::{AtomicLog, Follower, Snapshot, Writer};
use loom::sync::Arc;
use loom::thread;

/// The smallest log that rolls at every append: two segments of one value.
fn smallest<T>() -> (Writer<T>, AtomicLog<T>) {
    AtomicLog::new_claimed(1, 1)
}

/// Fails unless a snapshot shows consecutive numbers; returns them.
fn shown(snapshot: &Snapshot<u64>) -> Vec<u64> {
    let values: Vec<_> = snapshot.iter().copied().collect();
    let expected: Vec<_> = (snapshot.start().0..snapshot.end().0).collect();
    assert_eq!(values, expected, "INV-C2: complete, and in order");
    values
}

/// Which values were dropped, how often. Plain memory: loom need not know.
#[derive(Clone, Default)]
struct Drops(std::sync::Arc<Mutex<Vec<u64>>>);

impl Drops {
    fn value(&self, id: u64) -> Value {
        Value(id, self.clone())
    }

    fn sorted(&self) -> Vec<u64> {
        let mut ids = self.0.lock().unwrap().clone();
        ids.sort_unstable();
        ids
    }
}

struct Value(u64, Drops);

impl Drop for Value {
    fn drop(&mut self) {
        self.1.0.lock().unwrap().push(self.0);
    }
}

#[test]
fn a_published_value_is_never_half_written() {
    loom::model(|| {
        let (mut writer, log) = AtomicLog::new_claimed(2, 2);
        let reader = thread::spawn(move || shown(&log.snapshot()));
        writer.append(0);
        writer.append(1);
        assert!(reader.join().unwrap().len() <= 2);
    });
}

#[test]
fn a_batch_becomes_visible_in_order() {
    loom::model(|| {
        let (mut writer, log) = AtomicLog::new_claimed(2, 2);
        let reader = thread::spawn(move || shown(&log.snapshot()));
        writer.append_batch(0..3);
        reader.join().unwrap();
    });
}

#[test]
fn a_snapshot_never_shows_a_recycled_segment() {
    loom::model(|| {
        let (mut writer, log) = smallest();
        let reader = thread::spawn(move || {
            let snapshot = log.snapshot();
            let first = shown(&snapshot);
            assert_eq!(shown(&snapshot), first, "INV-C4: it stays");
        });
        writer.append_batch(0..4);
        reader.join().unwrap();
    });
}

#[test]
fn a_refreshed_snapshot_never_shows_a_recycled_segment() {
    loom::model(|| {
        let (mut writer, log) = smallest();
        writer.append(0);
        let mut snapshot = log.snapshot();
        let reader = thread::spawn(move || {
            for _ in 0..2 {
                let before = snapshot.end();
                let news = snapshot.refresh();
                assert_eq!(snapshot.end().0, before.0 + news.missed + news.gained);
                shown(&snapshot);
            }
        });
        writer.append_batch(1..4);
        reader.join().unwrap();
    });
}

#[test]
fn a_follower_sees_every_value_once_or_is_told() {
    fn read(follower: &mut Follower<u64>, next: &mut u64) {
        match follower.next_slice() {
            Ok(None) => {}
            Ok(Some(news)) => {
                for value in news.values() {
                    assert_eq!(value, next, "INV-C1: no gap, nothing twice");
                    *next += 1;
                }
            }
            Err(gap) => {
                assert_eq!(gap.missed_from.0, *next);
                *next = gap.resumes_at.0;
            }
        }
    }
    loom::model(|| {
        let (mut writer, log) = smallest();
        let mut follower = log.follow();
        let reader = thread::spawn(move || {
            let mut next = 0;
            for _ in 0..3 {
                read(&mut follower, &mut next);
            }
            (follower, next)
        });
        writer.append_batch(0..4);
        let (mut follower, mut next) = reader.join().unwrap();
        while next < 4 {
            read(&mut follower, &mut next);
        }
    });
}

#[test]
fn what_one_reader_has_read_is_not_written_before_the_other_has_left() {
    loom::model(|| {
        let (mut writer, log) = smallest();
        writer.append(0);
        let readers = [log.snapshot(), log.snapshot()].map(|snapshot| {
            thread::spawn(move || {
                shown(&snapshot);
            })
        });
        // The third of these goes into the memory that value 0 was in.
        writer.append_batch(1..4);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn values_are_dropped_once_and_as_soon_as_nobody_sees_them() {
    loom::model(|| {
        let drops = Drops::default();
        let (mut writer, log) = smallest();
        writer.append(drops.value(0));
        let snapshot = log.snapshot();
        let reader = thread::spawn(move || {
            assert_eq!(snapshot.iter().next().unwrap().0, 0, "INV-C4");
            drop(snapshot);
        });
        writer.append(drops.value(1));
        writer.append(drops.value(2));
        reader.join().unwrap();
        assert_eq!(drops.sorted(), [0], "the last to leave has dropped it");
        drop((writer, log));
        assert_eq!(drops.sorted(), [0, 1, 2]);
    });
}

#[test]
fn a_ward_of_two_heads_is_free_only_when_both_let_go() {
    loom::model(|| {
        let drops = Drops::default();
        let (mut writer, log) = AtomicLog::new_claimed(2, 1);
        writer.append(drops.value(0));
        writer.append(drops.value(1));
        // Neither pins the segment of value 0, and both show it.
        let first = log.snapshot();
        writer.append(drops.value(2));
        let second = log.snapshot();
        let reader = thread::spawn(move || drop(first));
        writer.append(drops.value(3));
        reader.join().unwrap();
        assert_eq!(drops.sorted(), [], "INV-C4: it is still shown");
        drop(second);
        assert_eq!(drops.sorted(), [0]);
    });
}

#[test]
fn pins_of_neighbouring_heads_may_go_at_once() {
    loom::model(|| {
        let drops = Drops::default();
        let (mut writer, log) = smallest();
        let readers = [0, 1].map(|id| {
            writer.append(drops.value(id));
            let snapshot = log.snapshot();
            thread::spawn(move || {
                assert_eq!(snapshot.iter().next_back().unwrap().0, id);
                drop(snapshot);
            })
        });
        writer.append(drops.value(2));
        writer.append(drops.value(3));
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(drops.sorted(), [0, 1], "the last to leave has dropped them");
        drop((writer, log));
        assert_eq!(drops.sorted(), [0, 1, 2, 3]);
    });
}

#[test]
fn a_segment_that_a_reader_freed_is_used_again() {
    loom::model(|| {
        let drops = Drops::default();
        let (mut writer, log) = smallest();
        writer.append(drops.value(0));
        let snapshot = log.snapshot();
        let reader = thread::spawn(move || drop(snapshot));
        for id in 1..4 {
            writer.append(drops.value(id));
        }
        reader.join().unwrap();
        let segments = log.allocated_segments();
        for id in 4..8 {
            writer.append(drops.value(id));
        }
        assert_eq!(log.allocated_segments(), segments, "INV-C5");
        assert!(segments <= 4, "INV-C6: a window, what the reader held, one");
    });
}

#[test]
fn a_snapshot_is_not_kept_from_pinning_for_ever() {
    // The reader may be held up between looking at the head and pinning it,
    // for as long as it takes the segment to become the head again.
    loom::model(|| {
        let (mut writer, log) = smallest();
        let reader = thread::spawn(move || {
            let mut snapshot = log.snapshot();
            let end = snapshot.end();
            snapshot.refresh();
            assert!(snapshot.end() >= end, "INV-C1: never backwards");
            shown(&snapshot);
        });
        writer.append_batch(0..4);
        reader.join().unwrap();
    });
}

#[test]
fn a_new_writer_goes_on_where_the_old_one_stopped() {
    fn append_if_claimed(log: &AtomicLog<u64>) -> u64 {
        let Some(mut writer) = log.try_claim_writer() else {
            return 0;
        };
        for _ in 0..2 {
            writer.append(writer.end().0);
        }
        2
    }
    loom::model(|| {
        let log = AtomicLog::new(1, 1);
        let other = {
            let log = log.clone();
            thread::spawn(move || append_if_claimed(&log))
        };
        let appended = append_if_claimed(&log) + other.join().unwrap();
        let mut writer = log.try_claim_writer().expect("INV-C3: both gave it back");
        assert_eq!(writer.end().0, appended, "INV-C1: dense");
        writer.append(appended);
        shown(&log.snapshot());
    });
}

#[test]
fn the_last_handle_drops_everything_once() {
    loom::model(|| {
        let drops = Drops::default();
        let (mut writer, log) = smallest();
        writer.append(drops.value(0));
        let snapshot = log.snapshot();
        let handles = thread::spawn(move || drop((snapshot, log)));
        writer.append(drops.value(1));
        drop(writer);
        handles.join().unwrap();
        assert_eq!(drops.sorted(), [0, 1]);
    });
}

#[test]
fn a_reader_that_waits_is_woken_by_the_next_append() {
    loom::model(|| {
        let (mut writer, log) = smallest();
        writer.append(0);
        let mut snapshot = log.snapshot();
        let reader = thread::spawn(move || {
            // A lost wake-up is a deadlock, which loom reports.
            assert!(snapshot.wait(None));
            assert_eq!(snapshot.refresh().gained, 1);
        });
        writer.append(1);
        reader.join().unwrap();
    });
}

#[test]
fn a_follower_that_waits_is_woken_by_the_next_append() {
    loom::model(|| {
        let (mut writer, log) = AtomicLog::new_claimed(2, 2);
        let mut follower = log.follow();
        let reader = thread::spawn(move || {
            assert!(follower.wait(None));
            assert!(follower.next_slice().unwrap().is_some());
        });
        writer.append(0);
        reader.join().unwrap();
    });
}

#[test]
fn a_published_value_happens_before_the_wake_up() {
    loom::model(|| {
        let (mut writer, log) = AtomicLog::new_claimed(2, 2);
        let beside = Arc::new(loom::cell::UnsafeCell::new(0));
        let other_side = beside.clone();
        let snapshot = log.snapshot();
        let reader = thread::spawn(move || {
            assert!(snapshot.wait(None));
            // SAFETY: written before the append, and not after; loom looks.
            assert_eq!(beside.with(|cell| unsafe { *cell }), 7);
        });
        // SAFETY: read only after the append; loom looks.
        other_side.with_mut(|cell| unsafe { *cell = 7 });
        writer.append(0);
        reader.join().unwrap();
    });
}
