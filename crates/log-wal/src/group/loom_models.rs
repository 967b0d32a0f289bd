//! Models of group commit: each states one rule, and loom tries every
//! interleaving of the threads, and every value that a load may see, up to a
//! bound on preemptions. A lost wake-up, or a lead that nobody takes, ends a
//! model with a deadlock.
//!
//! The disk is two counters here: how far records are appended, and how far
//! the last sync took them. What the real one does is the business of one
//! thread at a time, and of the simulated disk.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Wake, Waker};

use loom::sync::atomic::AtomicU64;
use loom::thread;

use super::*;
use crate::sync::park;

/// A group, and a log that is not there.
#[derive(Debug)]
struct Log {
    group: Group,
    appended: AtomicU64,
    durable: AtomicU64,
    syncs: AtomicU64,
    working: AtomicBool,
    breaks: Breaks,
}

/// What happens to the first sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaks {
    No,
    Fails,
    Panics,
}

impl Log {
    fn new(breaks: Breaks) -> Arc<Self> {
        Arc::new(Self {
            group: Group::default(),
            appended: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            working: AtomicBool::new(false),
            breaks,
        })
    }

    fn append(&self) -> Lsn {
        // AcqRel as the tail's publish, on which a leader's look relies.
        Lsn(self.appended.fetch_add(1, Ordering::AcqRel) + 1)
    }

    fn reached(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    fn sync(&self) -> Result<(), CommitError> {
        let alone = !self.working.swap(true, Ordering::Relaxed);
        assert!(alone, "one leader at a time");
        let end = self.appended.load(Ordering::Acquire);
        let is_first = self.syncs.fetch_add(1, Ordering::Relaxed) == 0;
        self.working.store(false, Ordering::Relaxed);
        match self.breaks {
            Breaks::Fails if is_first => return Err(failure()),
            Breaks::Panics if is_first => panic!("injected"),
            _ => {}
        }
        self.durable.fetch_max(end, Ordering::Release);
        Ok(())
    }

    fn commit(&self, end: Lsn) -> Result<(), CommitError> {
        let (reached, work) = (|_| self.reached(), |_| self.sync());
        self.group.commit(end, Level::Durable, reached, work)
    }

    fn poll(
        &self,
        place: &mut Place,
        context: &Context<'_>,
        end: Lsn,
    ) -> Poll<Result<(), CommitError>> {
        let wanted = (end, Level::Durable);
        let (reached, work) = (|_| self.reached(), |_| self.sync());
        self.group
            .poll_commit(place, context, wanted, reached, work)
    }

    /// Polls until it is done, on a thread that sleeps in between.
    fn wait(&self, end: Lsn) -> Result<(), CommitError> {
        self.wait_at(Place::default(), end)
    }

    fn wait_at(&self, mut place: Place, end: Lsn) -> Result<(), CommitError> {
        let waker = waker();
        let future = std::future::poll_fn(|context| self.poll(&mut place, context, end));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(result) => return result,
                Poll::Pending => park(),
            }
        }
    }
}

fn failure() -> CommitError {
    CommitError::Poisoned {
        path: "segment".into(),
        action: "sync",
        first_unsure: Lsn(0),
        source: std::sync::Arc::new(io::Error::other("injected")),
    }
}

/// Wakes a thread that polls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

fn waker() -> Waker {
    std::sync::Arc::new(Unpark(current())).into()
}

fn spawn<R: 'static>(
    log: &Arc<Log>,
    run: impl FnOnce(&Log) -> R + 'static,
) -> thread::JoinHandle<R> {
    let log = Arc::clone(log);
    thread::spawn(move || run(&log))
}

#[test]
fn two_callers_are_durable_when_they_return_and_sync_at_most_twice() {
    loom::model(|| {
        let log = Log::new(Breaks::No);
        let append = |log: &Log| {
            let end = log.append();
            assert!(log.commit(end).is_ok());
            assert!(log.reached() >= end, "INV-W1, INV-F1");
        };
        let other = spawn(&log, append);
        append(&log);
        other.join().unwrap();
        assert!(log.syncs.load(Ordering::Relaxed) <= 2);
    });
}

#[test]
fn after_a_failed_sync_nobody_is_acknowledged() {
    loom::model(|| {
        let log = Log::new(Breaks::Fails);
        let append = |log: &Log| {
            let end = log.append();
            assert!(log.commit(end).is_err(), "INV-W6");
        };
        let other = spawn(&log, append);
        append(&log);
        other.join().unwrap();
        assert_eq!(log.syncs.load(Ordering::Relaxed), 1, "INV-W6: no retry");
        assert!(log.group.check().is_err(), "INV-W6: nor an append");
    });
}

#[test]
fn a_leader_that_panics_hands_the_lead_over() {
    // loom's threads are one to the standard library: while one of them
    // panics, a lock that another one lets go is poisoned. With more
    // preemptions it comes to that.
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let log = Log::new(Breaks::Panics);
        let append = |log: &Log| {
            let end = log.append();
            let committed = catch_unwind(AssertUnwindSafe(|| log.commit(end)));
            let is_ok = committed.is_ok_and(|result| result.is_ok());
            assert!(!is_ok || log.reached() >= end, "INV-F1");
            usize::from(is_ok)
        };
        let other = spawn(&log, append);
        let mine = append(&log);
        assert_eq!(mine + other.join().unwrap(), 1, "one panicked, fault 28");
    });
}

#[test]
fn the_wake_up_of_a_task_is_never_lost() {
    loom::model(|| {
        let log = Log::new(Breaks::No);
        let task = spawn(&log, |log| {
            let end = log.append();
            assert!(log.wait(end).is_ok());
            assert!(log.reached() >= end, "INV-F1");
        });
        let end = log.append();
        assert!(log.commit(end).is_ok());
        task.join().unwrap();
    });
}

#[test]
fn a_task_that_changes_its_waker_while_the_leader_ends_is_woken() {
    loom::model(|| {
        let log = Log::new(Breaks::No);
        let task = spawn(&log, |log| {
            let (end, mut place) = (log.append(), Place::default());
            // By an executor that is gone by now.
            let gone = Context::from_waker(Waker::noop());
            if log.poll(&mut place, &gone, end).is_pending() {
                assert!(log.wait_at(place, end).is_ok());
            }
            assert!(log.reached() >= end, "INV-F1");
        });
        let end = log.append();
        assert!(log.commit(end).is_ok());
        task.join().unwrap();
    });
}

#[test]
fn two_tasks_wake_each_other_where_no_thread_leads() {
    loom::model(|| {
        let log = Log::new(Breaks::No);
        let append = |log: &Log| {
            let end = log.append();
            assert!(log.wait(end).is_ok());
            assert!(log.reached() >= end, "INV-F1");
        };
        // To loom, a late unpark would look like the end of a join: so the
        // thread that joins is never unparked.
        let tasks = [spawn(&log, append), spawn(&log, append)];
        for task in tasks {
            task.join().unwrap();
        }
    });
}

#[test]
fn a_task_that_waits_when_the_sync_fails_is_told() {
    loom::model(|| {
        let log = Log::new(Breaks::Fails);
        let task = spawn(&log, |log| {
            let end = log.append();
            assert!(log.wait(end).is_err(), "INV-W6");
        });
        let end = log.append();
        assert!(log.commit(end).is_err(), "INV-W6");
        task.join().unwrap();
    });
}

#[test]
fn a_task_that_is_dropped_costs_nobody_the_lead() {
    loom::model(|| {
        let log = Log::new(Breaks::No);
        let task = spawn(&log, |log| {
            let (end, waker) = (log.append(), waker());
            let mut place = Place::default();
            // Once to join; woken or not, it is not polled again.
            let _first = log.poll(&mut place, &Context::from_waker(&waker), end);
            log.group.leave(&mut place);
        });
        let end = log.append();
        assert!(log.wait(end).is_ok(), "fault 28");
        task.join().unwrap();
        let state = log.group.state();
        assert!(!state.led && state.waiters.is_empty());
    });
}

#[test]
fn a_task_that_goes_with_its_last_committer_wakes_up() {
    loom::model(|| {
        let log = Log::new(Breaks::No);
        log.group.add_committer();
        let task = spawn(&log, |log| {
            let end = log.append();
            assert!(log.wait(end).is_ok());
        });
        log.group.remove_committer();
        task.join().unwrap();
    });
}
