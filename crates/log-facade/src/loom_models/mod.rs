//! Models of a subscription that comes to the end of what there is and falls
//! asleep, beside those who have news: each states one rule, and loom tries
//! every interleaving of the threads, and every value that a load may see, up
//! to a bound on preemptions. A wake-up that is lost is a deadlock there.
//!
//! The log, the subscription, the door and the bells are the code that ships.
//! The engine is three marks: what lies beneath it has models of its own in
//! log-core, log-wal and log-mmap.
//!
//! Those with two writers have so many steps that three preemptions are too many
//! to try: they go up to two.

mod engine;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;

use crate::subscribe::Found;
use crate::{Level, Log, Lsn, ReadError, StartAt, SubscribeOptions, Subscription};
use engine::Marks;

/// Explores a model, up to the bound that `LOOM_MAX_PREEMPTIONS` sets.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    explore_up_to(usize::MAX, model);
}

/// The same with at most so many preemptions.
fn explore_up_to(preemptions_max: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    let bound = builder.preemption_bound.unwrap_or(preemptions_max);
    builder.preemption_bound = Some(bound.min(preemptions_max));
    builder.check(model);
}

/// A log with so many records, all of them durable.
fn log_of(records: u64) -> Arc<Log> {
    let engine = Box::new(Marks::new(records));
    Arc::new(Log::options().stamp(false).open_engine(engine).unwrap())
}

fn spawn<R: 'static>(
    log: &Arc<Log>,
    run: impl FnOnce(&Log) -> R + 'static,
) -> thread::JoinHandle<R> {
    let log = Arc::clone(log);
    thread::spawn(move || run(&log))
}

fn subscribed(log: &Log, level: Level) -> Subscription {
    let options = SubscribeOptions::new().level(level);
    log.subscribe_with(StartAt::Beginning, options).unwrap()
}

/// The number of the next record, which is waited for.
fn next(subscription: &mut Subscription) -> u64 {
    let record = subscription.next().expect("the log is open");
    record.expect("nothing was dropped").lsn().0
}

fn append(log: &Log, level: Level) -> Lsn {
    log.append_to(level, b"").unwrap()
}

// ---- from history to live

#[test]
fn a_subscriber_that_came_to_the_end_is_woken_by_a_publish() {
    explore(|| {
        let log = log_of(1);
        let mut subscription = subscribed(&log, Level::Published);
        let writer = spawn(&log, |log| append(log, Level::Published));
        assert_eq!(next(&mut subscription), 0, "INV-F3: history");
        assert_eq!(next(&mut subscription), 1, "INV-F3: live");
        writer.join().unwrap();
        assert!(subscription.try_next().unwrap().is_none(), "each once");
    });
}

#[test]
fn every_record_of_two_writers_is_delivered_once_and_in_order() {
    explore_up_to(2, || {
        let log = log_of(0);
        let mut subscription = subscribed(&log, Level::Published);
        let writers = [0, 1].map(|_| spawn(&log, |log| append(log, Level::Published)));
        assert_eq!(next(&mut subscription), 0);
        assert_eq!(next(&mut subscription), 1);
        for writer in writers {
            writer.join().unwrap();
        }
        assert!(subscription.try_next().unwrap().is_none(), "each once");
    });
}

// ---- what is shown when it is durable

#[test]
fn a_subscriber_of_what_is_durable_is_woken_by_a_sync_and_not_before() {
    explore(|| {
        let log = log_of(1);
        let mut subscription = subscribed(&log, Level::Durable);
        let writer = spawn(&log, |log| {
            append(log, Level::Published);
            log.sync().unwrap();
        });
        assert_eq!(next(&mut subscription), 0, "INV-F3: history");
        assert_eq!(next(&mut subscription), 1, "INV-F3: live");
        assert!(log.watermarks().durable_end >= Lsn(2), "not before");
        writer.join().unwrap();
    });
}

/// Of two who raise the mark, one may see only what the other has told already.
#[test]
fn a_subscriber_of_what_is_durable_is_woken_by_two_who_commit_at_once() {
    explore_up_to(2, || {
        let log = log_of(0);
        let mut subscription = subscribed(&log, Level::Durable);
        let writers = [0, 1].map(|_| spawn(&log, |log| append(log, Level::Durable)));
        assert_eq!(next(&mut subscription), 0);
        assert_eq!(next(&mut subscription), 1);
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

#[test]
fn a_subscriber_of_what_is_durable_is_woken_by_a_rotation() {
    explore(|| {
        let log = log_of(0);
        let mut subscription = subscribed(&log, Level::Durable);
        let writer = spawn(&log, |log| {
            append(log, Level::Published);
            assert!(log.rotate().unwrap());
        });
        assert_eq!(next(&mut subscription), 0);
        writer.join().unwrap();
    });
}

/// An append that makes room may sync what was there, also if it fails then.
#[test]
fn a_subscriber_of_what_is_durable_is_woken_by_an_append_that_had_to_sync() {
    for bytes in [engine::RECORD_BYTES_MAX, engine::RECORD_BYTES_MAX + 1] {
        explore(move || {
            let log = log_of(0);
            let mut subscription = subscribed(&log, Level::Durable);
            let writer = spawn(&log, move |log| {
                append(log, Level::Published);
                let appended = log.append(&[0; engine::RECORD_BYTES_MAX + 1][..bytes]);
                assert_eq!(appended.is_ok(), bytes == engine::RECORD_BYTES_MAX);
            });
            assert_eq!(next(&mut subscription), 0);
            writer.join().unwrap();
        });
    }
}

// ---- the end

#[test]
fn a_subscriber_that_sleeps_is_woken_when_the_log_is_closed() {
    for level in [Level::Published, Level::Durable] {
        explore(move || {
            let log = log_of(1);
            let mut subscription = subscribed(&log, level);
            let subscriber = thread::spawn(move || {
                let first = subscription.next().map(|record| record.unwrap().lsn());
                assert!(subscription.next().is_none(), "nothing comes");
                (first, subscription.next_lsn())
            });
            let log = Arc::into_inner(log).expect("the only one");
            log.close().unwrap();
            let (first, next_lsn) = subscriber.join().unwrap();
            assert_eq!(next_lsn, Lsn(first.map_or(0, |lsn| lsn.0 + 1)));
        });
    }
}

#[test]
fn what_is_appended_and_not_delivered_when_the_log_is_closed_comes_next() {
    explore(|| {
        let log = log_of(0);
        let mut subscription = subscribed(&log, Level::Published);
        let subscriber = thread::spawn(move || {
            let delivered = subscription.by_ref().map(|record| record.unwrap().lsn().0);
            let delivered: Vec<_> = delivered.collect();
            (delivered, subscription.next_lsn().0)
        });
        append(&log, Level::Published);
        drop(log);
        let (delivered, next_lsn) = subscriber.join().unwrap();
        assert_eq!(delivered, (0..next_lsn).collect::<Vec<_>>(), "no gap");
    });
}

// ---- retention

/// Nothing that retention does makes a record appear, so it wakes nobody; who
/// is overtaken by it is told once, and goes on behind the gap.
#[test]
fn a_subscriber_that_retention_overtakes_is_told_of_the_gap_and_goes_on() {
    explore(|| {
        let log = log_of(2);
        let mut subscription = subscribed(&log, Level::Published);
        let writer = spawn(&log, |log| {
            assert_eq!(log.drop_before(Lsn(1)).unwrap(), 1);
            append(log, Level::Published);
        });
        let mut expected = 0;
        while expected < 3 {
            match subscription.next().expect("the log is open") {
                Ok(record) => assert_eq!(record.lsn(), Lsn(expected), "INV-F3"),
                Err(ReadError::Truncated { requested, first }) => {
                    assert_eq!((expected, requested, first), (0, Lsn(0), Lsn(1)));
                    expected = first.0;
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
            expected += 1;
        }
        writer.join().unwrap();
    });
}

// ---- tasks

/// An ordinary atomic: it is looked at when all others are done.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A subscription that is polled at the end of the log knows that there is
/// something new, or is told, once the others are done.
fn a_task_is_woken_by(level: Level, news: fn(Arc<Log>)) {
    explore(move || {
        let log = log_of(0);
        let subscription = subscribed(&log, level);
        let writer = thread::spawn(move || news(log));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let polled = subscription.poll_find(&Context::from_waker(&waker));
        writer.join().unwrap();
        let is_found = matches!(polled, Poll::Ready(Found::Hot | Found::Closed));
        assert!(is_found || woken.0.load(Ordering::SeqCst));
    });
}

#[test]
fn a_task_that_waits_is_woken_by_a_publish() {
    a_task_is_woken_by(Level::Published, |log| {
        append(&log, Level::Published);
    });
}

#[test]
fn a_task_that_waits_for_what_is_durable_is_woken_by_a_commit() {
    a_task_is_woken_by(Level::Durable, |log| {
        append(&log, Level::Durable);
    });
}

#[test]
fn a_task_that_waits_is_woken_when_the_log_is_closed() {
    a_task_is_woken_by(Level::Published, drop);
    a_task_is_woken_by(Level::Durable, drop);
}
