//! Rules of waiting: for a record, with a limit, and as a task.

#![cfg(not(any(log_loom, log_shuttle)))]

mod tail_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use log_core::{Bell, Lsn};
use tail_support::*;

#[derive(Default)]
struct CountedWakes(AtomicUsize);

impl Wake for CountedWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl CountedWakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn waiting_for_what_is_there_returns_at_once() {
    let tail = tail(4096);
    append(&tail, b"one").unwrap();
    assert!(tail.wait_published(Lsn(0), None));
}

#[test]
fn waiting_for_what_does_not_come_ends_with_its_timeout() {
    let tail = tail(4096);
    append(&tail, b"one").unwrap();
    for timeout in [Duration::ZERO, Duration::from_millis(2)] {
        assert!(!tail.wait_published(Lsn(1), Some(timeout)));
    }
}

#[test]
fn whoever_waits_for_a_record_is_woken_by_it() {
    let tail = tail(4096);
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| tail.wait_published(Lsn(1), None)))
            .collect();
        append(&tail, b"not this one").unwrap();
        append(&tail, b"this one").unwrap();
        for waiter in waiters {
            assert!(waiter.join().unwrap());
        }
    });
    let forever = Some(Duration::MAX);
    assert!(tail.wait_published(Lsn(0), forever), "no limit overflows");
}

#[test]
#[cfg_attr(miri, ignore = "where two wakers of one task may look different")]
fn a_task_is_woken_once_for_the_record_that_it_polled_for() {
    let tail = tail(4096);
    let wakes = Arc::new(CountedWakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let context = Context::from_waker(&waker);

    assert_eq!(tail.poll_published(Lsn(0), &context), Poll::Pending);
    assert_eq!(
        tail.poll_published(Lsn(0), &context),
        Poll::Pending,
        "asking twice keeps one waker"
    );
    append(&tail, b"news").unwrap();
    assert_eq!(wakes.count(), 1);
    assert_eq!(tail.poll_published(Lsn(0), &context), Poll::Ready(()));
    append(&tail, b"more news").unwrap();
    assert_eq!(wakes.count(), 1, "nobody waits any more");
}

#[test]
fn every_task_is_woken() {
    let bell = Bell::default();
    let tasks: Vec<_> = (0..5).map(|_| Arc::new(CountedWakes::default())).collect();
    for task in &tasks {
        let waker = Waker::from(Arc::clone(task));
        let context = Context::from_waker(&waker);
        assert_eq!(bell.poll_until(&context, || false), Poll::Pending);
    }
    bell.ring();
    assert!(tasks.iter().all(|task| task.count() == 1));
    bell.ring();
    assert!(tasks.iter().all(|task| task.count() == 1));
}

#[test]
fn an_abandoned_reservation_wakes_who_waits_behind_it() {
    let tail = tail(4096);
    let place = tail.reserve(need(&[8])).unwrap();
    thread::scope(|scope| {
        let behind = scope.spawn(|| append(&tail, b"behind"));
        let reader = scope.spawn(|| tail.wait_published(Lsn(1), None));
        drop(place);
        assert_eq!(behind.join().unwrap(), Some(Lsn(1)));
        assert!(reader.join().unwrap());
    });
}

/// Whoever has the turn may carry others along: all of them must return, not
/// only the last.
#[test]
fn an_append_returns_although_a_later_one_is_still_being_filled() {
    let tail = tail(1 << 16);
    for _ in 0..200 {
        let places: Vec<_> = (0..4).map(|_| tail.reserve(need(&[8])).unwrap()).collect();
        let last = tail.reserve(need(&[8])).unwrap();
        let behind_last = tail.reserve(need(&[8])).unwrap();
        thread::scope(|scope| {
            let helper = scope.spawn(|| fill(behind_last, &[vec![9; 8]]));
            let early: Vec<_> = places
                .into_iter()
                .rev()
                .map(|place| scope.spawn(|| fill(place, &[vec![1; 8]])))
                .collect();
            // Only when all of the early ones have returned, the last is filled.
            for early in early {
                early.join().unwrap();
            }
            fill(last, &[vec![2; 8]]);
            helper.join().unwrap();
        });
        let end = tail.published_end();
        assert_eq!(end.0 % 6, 0, "all six of each round are visible");
    }
}

#[test]
fn a_bell_that_rings_before_anyone_waits_leaves_nothing_behind() {
    let (bell, ready) = (Bell::new(), AtomicBool::new(false));
    bell.ring();
    let limit = Some(Duration::from_millis(1));
    assert!(!bell.wait_until(limit, || ready.load(Ordering::Acquire)));
    ready.store(true, Ordering::Release);
    assert!(bell.wait_until(None, || ready.load(Ordering::Acquire)));
}
