//! Exactly the values that were appended are dropped, each once, and as soon
//! as nobody can see them.

mod atomic_log_support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use atomic_log_support::Tracker;
use log_core::{AtomicLog, Lsn};

fn panics(act: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(act)).is_err()
}

#[test]
fn values_that_leave_retention_are_dropped_by_the_roll() {
    let tracker = Tracker::new();
    let (mut writer, _log) = AtomicLog::new_claimed(4, 2);
    writer.append_batch((0..6).map(|id| tracker.value(id)));
    assert_eq!(tracker.dropped(), []);
    writer.append(tracker.value(6));
    assert_eq!(tracker.dropped(), [0, 1]);
    writer.append(tracker.value(7));
    assert_eq!(tracker.dropped(), [0, 1]);
    writer.append(tracker.value(8));
    assert_eq!(tracker.dropped(), [0, 1, 2, 3]);
}

#[test]
fn the_last_pin_drops_what_only_it_kept() {
    let tracker = Tracker::new();
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append_batch((0..5).map(|id| tracker.value(id)));
    let first = log.snapshot();
    writer.append_batch((5..9).map(|id| tracker.value(id)));
    let second = log.snapshot();
    let third = second.clone();
    writer.append_batch((9..101).map(|id| tracker.value(id)));
    // The windows are 0..6, 4..10 and 96..101.
    assert_eq!(tracker.dropped(), Vec::from_iter(10..96), "INV-C4");
    drop(first);
    let after_first: Vec<_> = (0..4).chain(10..96).collect();
    assert_eq!(tracker.dropped(), after_first);
    drop(second);
    assert_eq!(tracker.dropped(), after_first, "a clone still shows them");
    drop(third);
    assert_eq!(tracker.dropped(), Vec::from_iter(0..96));
}

#[test]
fn pins_may_go_in_any_order() {
    // Every order in which four snapshots can be dropped; the log rolls on
    // between the drops.
    for order in 0..24 {
        let tracker = Tracker::new();
        let (mut writer, log) = AtomicLog::new_claimed(3, 1);
        let mut end = 0;
        let mut append = |count: usize| {
            writer.append_batch((end..end + count).map(|id| tracker.value(id)));
            end += count;
            end
        };
        let mut held: Vec<_> = (0..4)
            .map(|_| {
                let end = append(2);
                (log.snapshot(), end.saturating_sub(4)..end)
            })
            .collect();
        let mut choice = order;
        for left in (1..=4).rev() {
            drop(held.remove(choice % left));
            choice /= left;
            let end = append(1);
            let visible = |id: &usize| {
                let window = end.saturating_sub(4)..end;
                window.contains(id) || held.iter().any(|(_, shown)| shown.contains(id))
            };
            let gone: Vec<_> = (0..end).filter(|id| !visible(id)).collect();
            assert_eq!(tracker.dropped(), gone, "order {order}, {left} left");
            for (snapshot, shown) in &held {
                assert!(snapshot.iter().map(|value| value.id()).eq(shown.clone()));
            }
        }
    }
}

#[test]
fn what_is_left_is_dropped_with_the_last_handle() {
    let tracker = Tracker::new();
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append_batch((0..9).map(|id| tracker.value(id)));
    let snapshot = log.snapshot();
    let follower = log.follow();
    drop((writer, log, snapshot));
    assert_eq!(tracker.dropped(), Vec::from_iter(0..4));
    drop(follower);
    assert_eq!(tracker.dropped(), Vec::from_iter(0..9));
}

#[test]
fn a_snapshot_held_across_a_thousand_rolls_keeps_its_values_and_then_lets_go() {
    let tracker = Tracker::new();
    let (mut writer, log) = AtomicLog::new_claimed(16, 4);
    writer.append_batch((0..18).map(|id| tracker.value(id)));
    let snapshot = log.snapshot();
    writer.append_batch((18..4018).map(|id| tracker.value(id)));
    assert!(snapshot.iter().map(|value| value.id()).eq(0..18));
    let segments = log.allocated_segments();
    drop(snapshot);
    assert!(tracker.dropped().into_iter().eq(0..4000));
    writer.append_batch((4018..8018).map(|id| tracker.value(id)));
    assert_eq!(log.allocated_segments(), segments, "INV-C5: used again");
}

#[test]
fn an_iterator_that_panics_half_way_leaves_what_it_gave_before() {
    for at in 0..9 {
        let tracker = Tracker::new();
        let (mut writer, log) = AtomicLog::new_claimed(100, 4);
        writer.append(tracker.value(100));
        let values = (0..9).map(|id| {
            assert_ne!(id, at, "on purpose");
            tracker.value(id)
        });
        assert!(panics(|| {
            let _ = writer.append_batch(values);
        }));
        let shown = [100].into_iter().chain(0..at);
        assert!(log.snapshot().iter().map(|value| value.id()).eq(shown));
        assert_eq!(writer.append(tracker.value(101)), Lsn(at as u64 + 1));
        drop((writer, log));
        assert_eq!(tracker.dropped().len(), at + 2);
    }
}

#[test]
fn a_value_that_panics_as_it_is_dropped_does_not_keep_the_others() {
    let tracker = Tracker::new();
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append(tracker.bomb(0));
    writer.append_batch((1..6).map(|id| tracker.value(id)));
    assert!(panics(|| {
        let _ = writer.append(tracker.value(6));
    }));
    assert_eq!(tracker.dropped(), [0, 1, 6], "6 was not appended");
    assert_eq!(writer.append(tracker.value(7)), Lsn(6));
    assert!(
        log.snapshot()
            .iter()
            .map(|value| value.id())
            .eq([2, 3, 4, 5, 7])
    );
    writer.append_batch((8..20).map(|id| tracker.value(id)));
    drop((writer, log));
    assert_eq!(tracker.dropped(), Vec::from_iter(0..20));
}

#[test]
fn a_snapshot_whose_drop_panics_lets_go_of_everything() {
    let tracker = Tracker::new();
    let (mut writer, log) = AtomicLog::new_claimed(6, 2);
    writer.append_batch((0..2).map(|id| tracker.value(id)));
    writer.append(tracker.bomb(2));
    writer.append_batch((3..8).map(|id| tracker.value(id)));
    let snapshot = log.snapshot();
    writer.append_batch((8..100).map(|id| tracker.value(id)));
    let segments = log.allocated_segments();
    assert!(panics(|| drop(snapshot)));
    assert_eq!(tracker.dropped(), Vec::from_iter(0..92));
    let again = log.snapshot();
    writer.append_batch((100..300).map(|id| tracker.value(id)));
    assert_eq!(log.allocated_segments(), segments, "all memory came back");
    drop((again, writer, log));
    assert_eq!(tracker.dropped(), Vec::from_iter(0..300));
}

#[test]
fn a_refresh_whose_drop_panics_leaves_a_whole_snapshot() {
    let tracker = Tracker::new();
    let (mut writer, log) = AtomicLog::new_claimed(2, 1);
    writer.append(tracker.bomb(0));
    let mut snapshot = log.snapshot();
    writer.append_batch((1..9).map(|id| tracker.value(id)));
    assert!(panics(|| {
        let _ = snapshot.refresh();
    }));
    assert!(snapshot.iter().map(|value| value.id()).eq(6..9));
    assert_eq!(tracker.dropped(), Vec::from_iter(0..6));
}

#[test]
fn the_last_handle_drops_everything_even_if_a_value_panics() {
    let tracker = Tracker::new();
    let (mut writer, log) = AtomicLog::new_claimed(20, 2);
    for id in 0..10 {
        writer.append(if id == 5 {
            tracker.bomb(id)
        } else {
            tracker.value(id)
        });
    }
    drop(writer);
    assert!(panics(|| drop(log)));
    assert_eq!(tracker.dropped(), Vec::from_iter(0..10));
}

#[test]
fn a_value_that_cannot_be_appended_is_not_dropped_by_the_log() {
    let tracker = Tracker::new();
    let log = AtomicLog::starting_at(Lsn(u64::MAX), 4, 2);
    let mut writer = log.try_claim_writer().expect("nobody has it");
    let error = writer.try_append(tracker.value(0)).expect_err("no number");
    assert_eq!(tracker.dropped(), []);
    drop(error);
    drop((writer, log));
    assert_eq!(tracker.dropped(), [0]);
}
