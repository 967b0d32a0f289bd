//! Somebody who sleeps until a leader is done: a thread, or a task.

use std::task::Waker;

use log_core::Lsn;

use crate::error::CommitError;
use crate::options::Level;
use crate::sync::{Arc, AtomicU8, Mutex, Ordering, Thread, current, lock, park};

/// A caller that sleeps.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// What it waits for.
    pub(super) end: Lsn,
    pub(super) level: Level,
    sleeper: Sleeper,
    /// What it was woken for: one of the constants below.
    call: AtomicU8,
}

#[derive(Debug)]
enum Sleeper {
    Thread(Thread),
    Task(Mutex<Task>),
}

#[derive(Debug)]
struct Task {
    /// Of the latest poll; `None` once it was used.
    waker: Option<Waker>,
    /// Why the work that it waited for was not done.
    failure: Option<CommitError>,
}

const ASLEEP: u8 = 0;
pub(super) const LOOK_AGAIN: u8 = 1;
pub(super) const LEAD: u8 = 2;

impl Waiter {
    fn new(end: Lsn, level: Level, sleeper: Sleeper) -> Arc<Self> {
        Arc::new(Self {
            end,
            level,
            sleeper,
            call: AtomicU8::new(ASLEEP),
        })
    }

    pub(super) fn thread(end: Lsn, level: Level) -> Arc<Self> {
        Self::new(end, level, Sleeper::Thread(current()))
    }

    pub(super) fn task(end: Lsn, level: Level, waker: &Waker) -> Arc<Self> {
        let task = Task {
            waker: Some(waker.clone()),
            failure: None,
        };
        Self::new(end, level, Sleeper::Task(Mutex::new(task)))
    }

    pub(super) fn is_task(&self) -> bool {
        matches!(self.sleeper, Sleeper::Task(_))
    }

    pub(super) fn is_asleep(&self) -> bool {
        // Acquire pairs with the Release in `wake`.
        self.call.load(Ordering::Acquire) == ASLEEP
    }

    /// Sleeps until called; what for.
    pub(super) fn sleep(&self) -> u8 {
        loop {
            // Acquire pairs with the Release in `wake`.
            match self.call.load(Ordering::Acquire) {
                // A park may end without a reason.
                ASLEEP => park(),
                call => return call,
            }
        }
    }

    /// Asks for `waker` to be used from now on.
    pub(super) fn be_woken_by(&self, waker: &Waker) {
        if let Sleeper::Task(task) = &self.sleeper {
            lock(task).waker = Some(waker.clone());
        }
    }

    pub(super) fn failure(&self) -> Option<CommitError> {
        match &self.sleeper {
            Sleeper::Task(task) => lock(task).failure.take(),
            Sleeper::Thread(_) => None,
        }
    }

    pub(super) fn fail(&self, failure: CommitError) {
        if let Sleeper::Task(task) = &self.sleeper {
            lock(task).failure = Some(failure);
        }
        self.wake(LOOK_AGAIN);
    }

    pub(super) fn wake(&self, call: u8) {
        // Release pairs with the Acquire in `sleep` and `is_asleep`.
        self.call.store(call, Ordering::Release);
        self.nudge();
    }

    /// Wakes it without a call, to look around.
    pub(super) fn nudge(&self) {
        match &self.sleeper {
            Sleeper::Thread(thread) => thread.unpark(),
            Sleeper::Task(task) => {
                let waker = lock(task).waker.take();
                // Without the lock: it may poll at once.
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
    }
}
