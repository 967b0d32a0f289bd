//! Waiting for news.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use log_core::AtomicLog;

#[derive(Default)]
struct Counted(AtomicUsize);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counted {
    fn new() -> (Arc<Self>, Waker) {
        let counted = Arc::new(Self::default());
        (counted.clone(), Waker::from(counted))
    }

    fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn waiting_ends_with_the_timeout_if_nothing_comes() {
    let (_writer, log) = AtomicLog::<u8>::new_claimed(4, 2);
    let timeout = Some(Duration::from_millis(1));
    assert!(!log.snapshot().wait(timeout));
    assert!(!log.follow().wait(timeout));
}

#[test]
fn a_timeout_longer_than_time_itself_is_for_ever() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    let snapshot = log.snapshot();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| snapshot.wait(Some(Duration::MAX)));
        writer.append(0);
        assert!(waiter.join().expect("it did not panic"));
    });
}

#[test]
fn news_that_are_there_already_are_not_waited_for() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    let mut snapshot = log.snapshot();
    let mut follower = log.follow();
    for value in 0..20 {
        writer.append(value);
        assert!(snapshot.wait(None));
        assert_eq!(snapshot.refresh().gained, 1);
        assert!(!snapshot.wait(Some(Duration::ZERO)));
        assert!(follower.wait(None));
        assert_eq!(follower.next_slice().unwrap().unwrap().values(), [value]);
        assert!(!follower.wait(Some(Duration::ZERO)));
    }
}

#[test]
fn everyone_who_waits_is_woken_every_time() {
    const ROUNDS: u64 = if cfg!(miri) { 5 } else { 2000 };
    let (mut writer, log) = AtomicLog::new_claimed(1000, 3);
    let (mut answers, answer_log) = AtomicLog::new_claimed(1000, 3);
    thread::scope(|scope| {
        // Each side waits for the other, so that a lost wake-up hangs.
        scope.spawn(|| {
            let mut questions = log.follow();
            for round in 0..ROUNDS {
                questions.wait(None);
                let question = questions.next_slice().unwrap().unwrap();
                assert_eq!(question.values(), [round]);
                answers.append(round);
            }
        });
        let mut replies = answer_log.follow();
        for round in 0..ROUNDS {
            writer.append(round);
            replies.wait(None);
            let reply = replies.next_slice().unwrap().unwrap();
            assert_eq!(reply.values(), [round]);
        }
    });
}

#[test]
fn a_task_is_woken_once_for_the_news_it_asked_for() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    let mut snapshot = log.snapshot();
    for value in 0..10 {
        let (wakes, waker) = Counted::new();
        let context = Context::from_waker(&waker);
        assert_eq!(snapshot.poll_news(&context), Poll::Pending);
        assert_eq!(wakes.wakes(), 0);
        writer.append(value);
        assert_eq!(wakes.wakes(), 1);
        assert_eq!(snapshot.poll_news(&context), Poll::Ready(()));
        assert_eq!(snapshot.refresh().gained, 1);
    }
}

#[test]
fn tasks_and_threads_wait_side_by_side() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    let (first, first_waker) = Counted::new();
    let (second, second_waker) = Counted::new();
    let follower = log.follow();
    let snapshot = log.snapshot();
    for waker in [&first_waker, &second_waker] {
        let context = Context::from_waker(waker);
        assert_eq!(follower.poll_news(&context), Poll::Pending);
    }
    thread::scope(|scope| {
        let waiter = scope.spawn(|| snapshot.wait(None));
        writer.append_batch([0, 1, 2]);
        assert!(waiter.join().expect("it did not panic"));
    });
    assert_eq!((first.wakes(), second.wakes()), (1, 1));
}

#[test]
fn a_reader_can_be_a_future() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    let mut follower = log.follow();
    let (wakes, waker) = Counted::new();
    let mut context = Context::from_waker(&waker);
    let mut next = pin!(async {
        poll_fn(|context| follower.poll_news(context)).await;
        follower.next_slice().unwrap().unwrap().values().to_vec()
    });
    assert_eq!(next.as_mut().poll(&mut context), Poll::Pending);
    writer.append_batch([7, 8]);
    assert_eq!(wakes.wakes(), 1);
    assert_eq!(next.as_mut().poll(&mut context), Poll::Ready(vec![7, 8]));
}
