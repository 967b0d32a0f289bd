//! Group commit: many callers wait, one of them works for all.
//!
//! Whoever arrives while nobody is at work becomes the *leader*: it brings
//! everything published so far to the disk. Whoever arrives meanwhile waits,
//! each on its own: when the leader is done it wakes those whose records it
//! covered, and hands the lead to one of the others. So the syncs of concurrent
//! callers are shared, nobody who only appends waits for one, and a wake-up
//! costs neither a lock nor a look by anybody whose turn it is not.
//!
//! The callers that were just woken usually come back with their next record,
//! a little later than the new leader starts. If it did not wait for them, the
//! callers would fall into two halves that sync in turn, each at half the rate.
//! So a leader first waits, for a moment, for as many as the last group had. A
//! lone caller, whose last group was of one, never waits.
//!
//! Promises `INV-W1` (what was acknowledged as durable is) and `INV-W6` (after
//! a failed write or sync nothing is acknowledged again). Borrows the callers'
//! threads and has none of its own.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use log_core::Lsn;

use crate::error::CommitError;
use crate::options::Level;

/// How long a leader waits for the callers of the last group to come back, at
/// most: about as long as a sync takes on a fast device, so that it can lose
/// no more than it can win. If fewer come, the next leader expects fewer.
const GATHER_MAX: Duration = Duration::from_micros(100);

#[derive(Debug, Default)]
struct State {
    /// Whether somebody leads, or was told to.
    led: bool,
    /// Those who wait for a leader's work, or to lead.
    waiters: Vec<Arc<Waiter>>,
    /// How many callers the last leader's work was for.
    last_group: usize,
    /// The leader, while it waits for callers.
    gathering: Option<Thread>,
    /// The failure after which nothing is acknowledged.
    poison: Option<CommitError>,
}

/// A caller that sleeps.
#[derive(Debug)]
struct Waiter {
    /// What it waits for.
    end: Lsn,
    level: Level,
    thread: Thread,
    /// What it was woken for: one of the constants below.
    call: AtomicU8,
}

const ASLEEP: u8 = 0;
const LOOK_AGAIN: u8 = 1;
const LEAD: u8 = 2;

impl Waiter {
    fn new(end: Lsn, level: Level) -> Arc<Self> {
        Arc::new(Self {
            end,
            level,
            thread: thread::current(),
            call: AtomicU8::new(ASLEEP),
        })
    }

    /// Sleeps until called; what for.
    fn sleep(&self) -> u8 {
        loop {
            // Acquire pairs with the Release in `wake`.
            match self.call.load(Ordering::Acquire) {
                // A park may end without a reason.
                ASLEEP => thread::park(),
                call => return call,
            }
        }
    }

    fn wake(&self, call: u8) {
        self.call.store(call, Ordering::Release);
        self.thread.unpark();
    }
}

/// Where callers that wait for the disk meet.
#[derive(Debug, Default)]
pub(crate) struct Group {
    state: Mutex<State>,
    /// Whether there is a poison, to look at without the lock.
    poisoned: AtomicBool,
}

impl State {
    fn join(&mut self, end: Lsn, level: Level) -> Arc<Waiter> {
        let waiter = Waiter::new(end, level);
        self.waiters.push(Arc::clone(&waiter));
        if self.is_complete()
            && let Some(leader) = self.gathering.take()
        {
            leader.unpark();
        }
        waiter
    }

    /// The level that the leader and those who wait need.
    fn needed(&self, own_level: Level) -> Level {
        let levels = self.waiters.iter().map(|waiter| waiter.level);
        levels.fold(own_level, Level::max)
    }

    /// Whether as many callers are here, the leader included, as the last group
    /// had.
    fn is_complete(&self) -> bool {
        self.waiters.len() + 1 >= self.last_group
    }
}

impl Group {
    /// Fails if the log is poisoned. One relaxed load if it is not.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), CommitError> {
        // Relaxed: an append that slips in beside a failing sync is published
        // and never acknowledged further; who wants more comes through
        // `commit`, which asks under the lock.
        if !self.poisoned.load(Ordering::Relaxed) {
            return Ok(());
        }
        match &self.state().poison {
            Some(poison) => Err(poison.clone()),
            None => Ok(()),
        }
    }

    /// Returns when `reached` says that `end` is passed at `level`. Does
    /// `work` for it, and for everyone else who waits, if nobody is at it;
    /// `work` is told the level that they need.
    pub(crate) fn commit(
        &self,
        end: Lsn,
        level: Level,
        reached: impl Fn(Level) -> Lsn,
        mut work: impl FnMut(Level) -> Result<(), CommitError>,
    ) -> Result<(), CommitError> {
        while reached(level) < end {
            let mut state = self.state();
            if let Some(poison) = &state.poison {
                return Err(poison.clone());
            }
            if reached(level) >= end {
                return Ok(());
            }
            let leads = if state.led {
                let waiter = state.join(end, level);
                drop(state);
                waiter.sleep() == LEAD
            } else {
                state.led = true;
                drop(state);
                true
            };
            if leads {
                self.lead(level, &reached, &mut work)?;
            }
        }
        Ok(())
    }

    /// Does `work` once, at the next turn.
    pub(crate) fn exclusively(
        &self,
        mut work: impl FnMut() -> Result<(), CommitError>,
    ) -> Result<(), CommitError> {
        let done = std::cell::Cell::new(false);
        let reached = |_| if done.get() { Lsn(u64::MAX) } else { Lsn::ZERO };
        self.commit(Lsn(u64::MAX), Level::Durable, reached, |_| {
            work()?;
            done.set(true);
            Ok(())
        })
    }

    /// Works for everyone who waits. Our caller was made the leader.
    fn lead<R: Fn(Level) -> Lsn>(
        &self,
        own_level: Level,
        reached: &R,
        work: &mut impl FnMut(Level) -> Result<(), CommitError>,
    ) -> Result<(), CommitError> {
        let leadership = Leadership {
            group: self,
            reached,
        };
        let level = self.gather(own_level);
        let result = work(level);
        if let Err(poison @ CommitError::Poisoned { .. }) = &result {
            tracing::error!(error = %poison, "the log acknowledges nothing any more");
            self.poisoned.store(true, Ordering::Relaxed);
            self.state().poison = Some(poison.clone());
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
            state.gathering = Some(thread::current());
            drop(state);
            // Unparked by the last one to come. Waking up for no reason, or for
            // another one's, only makes the group smaller.
            thread::park_timeout(GATHER_MAX);
            state = self.state();
            state.gathering = None;
        }
        state.needed(own_level)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the leader; hands over when it is dropped, also when a panic
/// unwinds.
struct Leadership<'a, R: Fn(Level) -> Lsn> {
    group: &'a Group,
    reached: &'a R,
}

impl<R: Fn(Level) -> Lsn> Drop for Leadership<'_, R> {
    fn drop(&mut self) {
        let mut state = self.group.state();
        let poisoned = state.poison.is_some();
        let waiters = std::mem::take(&mut state.waiters);
        let (done, mut rest): (Vec<_>, Vec<_>) = waiters
            .into_iter()
            .partition(|waiter| poisoned || (self.reached)(waiter.level) >= waiter.end);
        let next = (!rest.is_empty()).then(|| rest.remove(0));
        state.led = next.is_some();
        state.last_group = done.len() + 1;
        state.waiters = rest;
        drop(state);
        // The next leader first: it can begin while the others wake up.
        if let Some(next) = next {
            next.wake(LEAD);
        }
        for waiter in done {
            waiter.wake(LOOK_AGAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    fn failure() -> CommitError {
        CommitError::Poisoned {
            path: "segment".into(),
            action: "sync",
            first_unsure: Lsn(0),
            source: Arc::new(io::Error::other("injected")),
        }
    }

    #[test]
    fn nobody_works_for_what_is_there_already() {
        let worked = Cell::new(false);
        let result = Group::default().commit(
            Lsn(3),
            Level::Durable,
            |_| Lsn(3),
            |_| {
                worked.set(true);
                Ok(())
            },
        );
        assert!(result.is_ok() && !worked.get());
    }

    #[test]
    fn many_callers_share_the_work_of_few() {
        const CALLERS: u64 = 8;
        let (group, end, works) = (Group::default(), AtomicU64::new(0), AtomicU64::new(0));
        let appended = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    let mine = appended.fetch_add(1, Ordering::SeqCst) + 1;
                    let work = |_| {
                        works.fetch_add(1, Ordering::SeqCst);
                        end.store(appended.load(Ordering::SeqCst), Ordering::SeqCst);
                        Ok(())
                    };
                    let reached = |_| Lsn(end.load(Ordering::SeqCst));
                    assert!(
                        group
                            .commit(Lsn(mine), Level::Durable, reached, work)
                            .is_ok()
                    );
                    assert!(
                        reached(Level::Durable) >= Lsn(mine),
                        "INV-F1: acknowledged means reached"
                    );
                });
            }
        });
        assert!(
            works.into_inner() <= CALLERS,
            "never more work than callers"
        );
    }

    #[test]
    fn after_a_failure_nothing_is_acknowledged_again() {
        let group = Group::default();
        let failed = group.commit(Lsn(1), Level::Durable, |_| Lsn(0), |_| Err(failure()));
        assert!(failed.is_err());
        let later = group.commit(
            Lsn(1),
            Level::Durable,
            |_| Lsn(0),
            |_| unreachable!("nobody may lead"),
        );
        assert!(later.is_err(), "INV-W6");
        assert!(group.check().is_err(), "INV-W6");
    }

    #[test]
    fn a_full_disk_poisons_nothing() {
        let group = Group::default();
        let full = || CommitError::StorageFull {
            path: "segment".into(),
            source: Arc::new(io::ErrorKind::StorageFull.into()),
        };
        let end = Cell::new(Lsn(0));
        assert!(
            group
                .commit(Lsn(1), Level::Durable, |_| end.get(), |_| Err(full()))
                .is_err()
        );
        let work = |_| {
            end.set(Lsn(1));
            Ok(())
        };
        assert!(
            group
                .commit(Lsn(1), Level::Durable, |_| end.get(), work)
                .is_ok(),
            "there is room again"
        );
    }

    #[test]
    fn a_leader_that_panics_leaves_the_lead_to_others() {
        let group = Group::default();
        let end = Cell::new(Lsn(0));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            group.commit(
                Lsn(1),
                Level::Durable,
                |_| end.get(),
                |_| panic!("injected"),
            )
        }));
        assert!(panicked.is_err());
        let work = |_| {
            end.set(Lsn(1));
            Ok(())
        };
        assert!(
            group
                .commit(Lsn(1), Level::Durable, |_| end.get(), work)
                .is_ok()
        );
    }
}
