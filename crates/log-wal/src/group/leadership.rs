//! A turn of leading: what it begins with, and to whom it hands over.

use std::time::{Duration, Instant};

use log_core::Lsn;

use super::waiter::{LEAD, LOOK_AGAIN, Waiter};
use super::{Counts, Group, OWN_JUDGEMENT, State};
use crate::error::CommitError;
use crate::options::Level;
use crate::sync::{Arc, Ordering, Thread, yield_now};

/// How long a leader waits for the callers of the last group to come back, at
/// most: about as long as a sync takes on a fast device, so that it can lose
/// no more than it can win. If fewer come, the next leader expects fewer.
const GATHER_MAX: Duration = Duration::from_micros(100);

/// How a leader begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// It took the lead, and nobody waits. It may have to be counted.
    Taken { own_commits: u64 },
    /// It waits for the callers of the last group.
    Gathers,
    /// It does not.
    Begins,
}

impl Group {
    /// Works for everyone who waits. Our caller was made the leader.
    pub(super) fn lead<R: Fn(Level) -> Lsn>(
        &self,
        (own_end, own_level): (Lsn, Level),
        reached: &R,
        work: &mut impl FnMut(Level) -> Result<(), CommitError>,
        turn: Turn,
    ) -> Result<(), CommitError> {
        let mut leadership = Leadership {
            group: self,
            reached,
            failure: None,
            counts: Counts::default(),
        };
        let level = match turn {
            Turn::Taken { own_commits } => {
                leadership.counts.commits = own_commits;
                // Perhaps the leader before us served us, too.
                if reached(own_level) >= own_end {
                    return Ok(());
                }
                own_level
            }
            Turn::Gathers => self.gather(own_level),
            Turn::Begins => self.state().needed(own_level),
        };
        let result = work(level);
        match &result {
            Ok(()) => leadership.counts.groups = u64::from(own_end != OWN_JUDGEMENT),
            Err(poison @ CommitError::Poisoned { .. }) => {
                tracing::error!(error = %poison, "the log acknowledges nothing any more");
                self.poison(poison.clone());
            }
            // Threads try for themselves. A task that waits for a committer
            // has no other way to hear of it.
            Err(full @ CommitError::StorageFull { .. }) => leadership.failure = Some(full.clone()),
            _ => {}
        }
        drop(leadership);
        result
    }

    /// Waits a moment for the callers of the last group to come back, if they
    /// wait for a sync; the level that those who are here need.
    fn gather(&self, own_level: Level) -> Level {
        let mut state = self.state();
        // Handing frames to the system takes less time than the wait.
        if state.needed(own_level) == Level::Durable && !state.is_complete() {
            state.gathering = true;
            self.gathered.store(false, Ordering::Relaxed);
            drop(state);
            self.stay_awake();
            state = self.state();
            state.gathering = false;
        }
        state.needed(own_level)
    }

    /// Waits for those who are to be gathered without falling asleep: that would
    /// add the time to wake up to every sync. Steps aside for them.
    fn stay_awake(&self) {
        let began = Instant::now();
        loop {
            yield_now();
            // loom has no time.
            let is_over = cfg!(log_loom) || began.elapsed() >= GATHER_MAX;
            if is_over || self.gathered.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// Held by the leader; hands over when it is dropped, also when a panic
/// unwinds.
struct Leadership<'a, R: Fn(Level) -> Lsn> {
    group: &'a Group,
    reached: &'a R,
    /// What the tasks that were not served are told.
    failure: Option<CommitError>,
    /// What it worked for, as far as that is not counted yet.
    counts: Counts,
}

impl<R: Fn(Level) -> Lsn> Drop for Leadership<'_, R> {
    fn drop(&mut self) {
        self.group.lead.count(self.counts);
        // What was taken, and not listed since.
        if !self.group.lead.give_back() {
            self.hand_over();
        }
    }
}

impl<R: Fn(Level) -> Lsn> Leadership<'_, R> {
    fn hand_over(&self) {
        let mut state = self.group.state();
        let calls = self.whom_to_call(&mut state);
        let is_left = !state.led && state.waiters.is_empty();
        if is_left && state.poison.is_none() && state.last_group == 1 {
            self.group.lead.unlist();
        }
        drop(state);
        calls.make(self.failure.as_ref());
    }

    /// Sorts those who wait, and leaves in the list who goes on waiting.
    fn whom_to_call(&self, state: &mut State) -> Calls {
        let poisoned = state.poison.is_some();
        let waiters = std::mem::take(&mut state.waiters);
        let (mut done, rest): (Vec<_>, Vec<_>) = waiters
            .into_iter()
            .partition(|waiter| poisoned || (self.reached)(waiter.level) >= waiter.end);
        state.last_group = done.len() + 1;
        let (failed, rest): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|waiter| self.failure.is_some() && waiter.is_task());
        let (unsure, mut rest): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|waiter| waiter.end == OWN_JUDGEMENT && waiter.is_task());
        done.extend(unsure);
        let next = rest.iter().position(|waiter| !waiter.is_task());
        let next = next.map(|index| rest.remove(index));
        state.led = next.is_some();
        state.waiters = rest;
        let committers = match poisoned {
            true => std::mem::take(&mut state.idle),
            false => state.committer_to_call().into_iter().collect(),
        };
        let free = match state.led || state.committers > 0 {
            true => Vec::new(),
            false => state.tasks(),
        };
        Calls {
            next,
            committers,
            done,
            failed,
            free,
        }
    }
}

/// Whom a leader wakes when it is done.
struct Calls {
    /// The next leader.
    next: Option<Arc<Waiter>>,
    /// Committers that have something to do, or nothing for ever.
    committers: Vec<Thread>,
    /// Those who may have what they wait for.
    done: Vec<Arc<Waiter>>,
    /// Tasks that hear of a failure.
    failed: Vec<Arc<Waiter>>,
    /// Tasks of which one has to lead.
    free: Vec<Arc<Waiter>>,
}

impl Calls {
    fn make(self, failure: Option<&CommitError>) {
        // The next leader first: it can begin while the others wake up.
        if let Some(next) = self.next {
            next.wake(LEAD);
        }
        self.committers.iter().for_each(Thread::unpark);
        for waiter in self.done {
            waiter.wake(LOOK_AGAIN);
        }
        if let Some(failure) = failure {
            let failed = self.failed.iter();
            failed.for_each(|task| task.fail(failure.clone()));
        }
        self.free.iter().for_each(|task| task.nudge());
    }
}
