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
//! Where nobody meets there is nothing to hand over: a caller that finds nobody
//! there takes the lead, and gives it back, by one word (see `lead`).
//!
//! A *task* (a future that is polled) waits in the same list as a thread, with
//! a waker instead of a parked thread. It is never handed the lead, because
//! nobody knows when it will be polled again: where no thread waits the lead
//! falls free, every task is woken, and the first poll takes it. So a task that
//! is dropped, or never polled again, holds nobody up. A task that finds nobody
//! at work stands back once, so that the others of its executor come along. Or
//! there are *committers*, threads that lead for the tasks: then no poll does
//! any work.
//!
//! Promises `INV-W1` (what was acknowledged as durable is) and `INV-W6` (after
//! a failed write or sync nothing is acknowledged again). Borrows the callers'
//! threads and has none of its own.

mod lead;
mod leadership;
mod waiter;

use std::task::{Context, Poll};
use std::time::Duration;

use log_core::Lsn;

use crate::error::CommitError;
use crate::options::Level;
use crate::own_lines::OwnLines;
use crate::sync::{
    Arc, AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, Thread, current, lock, park_timeout,
    yield_now,
};

use lead::Lead;
use leadership::Turn;
use waiter::{LEAD, Waiter};

/// How often a caller that waits for a write steps aside before it falls asleep,
/// where the lead is listed. If the leader is at a sync, it sleeps soon enough.
const WRITTEN_YIELDS: u32 = if cfg!(log_loom) { 0 } else { 16 };

#[derive(Debug, Default)]
struct State {
    /// Whether somebody leads, or was told to. Tells only while the lead is
    /// listed, as it is while anybody is in `waiters`.
    led: bool,
    /// Those who wait for a leader's work, or to lead.
    waiters: Vec<Arc<Waiter>>,
    /// How many callers the last leader's work was for.
    last_group: usize,
    /// Whether the leader waits for callers.
    gathering: bool,
    /// How many committers there are, and those of them that sleep.
    committers: usize,
    idle: Vec<Thread>,
    /// The failure after which nothing is acknowledged.
    poison: Option<CommitError>,
}

/// How many callers shared how much work.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Callers that had to wait, or to work, for a level.
    pub commits: u64,
    /// Turns in which a leader did that work.
    pub groups: u64,
}

/// Where a task keeps its waiter between polls.
pub(crate) type Place = Option<Arc<Waiter>>;

/// The end that is waited for where a leader cannot tell whether it is reached,
/// because who waits has a condition of its own. A task that does looks after
/// every turn; a thread gets the lead in the end.
pub(crate) const OWN_JUDGEMENT: Lsn = Lsn(u64::MAX);

/// Where callers that wait for the disk meet.
#[derive(Debug, Default)]
pub(crate) struct Group {
    lead: OwnLines<Lead>,
    state: Mutex<State>,
    /// Whether all that the leader waits for have come.
    gathered: AtomicBool,
    /// Whether there is a poison, to look at without the lock.
    poisoned: AtomicBool,
    /// Callers that had to wait. Relaxed: for people.
    waited: OwnLines<AtomicU64>,
}

impl State {
    fn leave(&mut self, waiter: &Arc<Waiter>) {
        self.waiters.retain(|other| !Arc::ptr_eq(other, waiter));
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

    fn tasks(&self) -> Vec<Arc<Waiter>> {
        let tasks = self.waiters.iter().filter(|waiter| waiter.is_task());
        tasks.cloned().collect()
    }

    /// The committer that is to be woken, if a task has nobody who works for
    /// it.
    fn committer_to_call(&mut self) -> Option<Thread> {
        let is_needed = !self.led && self.waiters.iter().any(|waiter| waiter.is_task());
        is_needed.then(|| self.idle.pop()).flatten()
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

    /// From now on nothing is acknowledged. Only for the leader, which tells
    /// everyone who waits when it is done.
    pub(crate) fn poison(&self, poison: CommitError) {
        // Listed for good: nobody takes the lead any more.
        let mut state = self.listed();
        self.poisoned.store(true, Ordering::Relaxed);
        state.poison = Some(poison);
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
        let mut is_counted = end == OWN_JUDGEMENT;
        let mut patience = match level {
            Level::Written => WRITTEN_YIELDS,
            _ => 0,
        };
        while reached(level) < end {
            if self.lead.take() {
                let own_commits = u64::from(!std::mem::replace(&mut is_counted, true));
                let turn = Turn::Taken { own_commits };
                self.lead((end, level), &reached, &mut work, turn)?;
                continue;
            }
            self.count_waiting(&mut is_counted);
            if level == Level::Written && self.lead.stand_by(|| reached(level) >= end) {
                continue;
            }
            let mut state = self.listed();
            if let Some(poison) = &state.poison {
                return Err(poison.clone());
            }
            if reached(level) >= end {
                return Ok(());
            }
            if state.led && patience > 0 {
                drop(state);
                patience -= 1;
                yield_now();
                continue;
            }
            let leads = if state.led {
                let waiter = Waiter::thread(end, level);
                self.join(&mut state, &waiter);
                drop(state);
                waiter.sleep() == LEAD
            } else {
                state.led = true;
                drop(state);
                true
            };
            if leads {
                self.lead((end, level), &reached, &mut work, Turn::Gathers)?;
            }
        }
        Ok(())
    }

    /// The same for a task. `place` is where it keeps its place in the list
    /// between polls; who drops that [leaves](Self::leave) first.
    pub(crate) fn poll_commit(
        &self,
        place: &mut Place,
        context: &Context<'_>,
        (end, level): (Lsn, Level),
        reached: impl Fn(Level) -> Lsn,
        mut work: impl FnMut(Level) -> Result<(), CommitError>,
    ) -> Poll<Result<(), CommitError>> {
        // With a place it was counted when it took that.
        let mut is_counted = end == OWN_JUDGEMENT || place.is_some();
        loop {
            if let Some(waiter) = place {
                // Before the look, so that no wake-up falls in between.
                waiter.be_woken_by(context.waker());
                if !waiter.is_asleep() {
                    let failure = waiter.failure();
                    *place = None;
                    if let Some(failure) = failure {
                        return Poll::Ready(Err(failure));
                    }
                }
            }
            if reached(level) >= end {
                self.leave(place);
                return Poll::Ready(Ok(()));
            }
            let mut state = self.listed();
            if let Some(poison) = state.poison.clone() {
                drop(state);
                self.leave(place);
                return Poll::Ready(Err(poison));
            }
            // Under the lock, where a leader that was done since has been.
            if reached(level) >= end {
                drop(state);
                self.leave(place);
                return Poll::Ready(Ok(()));
            }
            self.count_waiting(&mut is_counted);
            let Some(waiter) = place.as_ref().filter(|waiter| waiter.is_asleep()) else {
                let waiter = Waiter::task(end, level, context.waker());
                self.join(&mut state, &waiter);
                *place = Some(waiter);
                let committer = state.committer_to_call();
                let is_mine = !state.led && state.committers == 0;
                drop(state);
                if let Some(committer) = committer {
                    committer.unpark();
                }
                if is_mine {
                    // Stands back once.
                    context.waker().wake_by_ref();
                }
                return Poll::Pending;
            };
            if state.led || state.committers > 0 {
                return Poll::Pending;
            }
            state.led = true;
            state.leave(waiter);
            drop(state);
            *place = None;
            // Those that it could wait for may need this very thread.
            if let Err(failure) = self.lead((end, level), &reached, &mut work, Turn::Begins) {
                return Poll::Ready(Err(failure));
            }
        }
    }

    /// Gives up a task's place.
    pub(crate) fn leave(&self, place: &mut Place) {
        // Who was called is in the list no more.
        if let Some(waiter) = place.take()
            && waiter.is_asleep()
        {
            self.state().leave(&waiter);
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = self.lead.counts();
        counts.commits += self.waited.load(Ordering::Relaxed);
        counts
    }

    /// Counts a caller, once.
    fn count_waiting(&self, is_counted: &mut bool) {
        if !std::mem::replace(is_counted, true) {
            self.waited.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_committer(&self) {
        self.state().committers += 1;
    }

    /// With the last one gone, tasks look after themselves.
    pub(crate) fn remove_committer(&self) {
        let mut state = self.state();
        state.committers -= 1;
        let tasks = if state.committers == 0 {
            state.tasks()
        } else {
            Vec::new()
        };
        drop(state);
        tasks.iter().for_each(|task| task.nudge());
    }

    /// A committer's turn: leads if a task has nobody who works for it, and
    /// waits for that to happen at most for `timeout`. Whether it did.
    pub(crate) fn lead_for_tasks(
        &self,
        timeout: Duration,
        reached: impl Fn(Level) -> Lsn,
        mut work: impl FnMut(Level) -> Result<(), CommitError>,
    ) -> Result<bool, CommitError> {
        for is_last in [false, true] {
            let mut state = self.state();
            if let Some(poison) = &state.poison {
                return Err(poison.clone());
            }
            if !state.led && state.waiters.iter().any(|waiter| waiter.is_task()) {
                state.led = true;
                drop(state);
                // For nothing of its own, and at the lowest level that there is.
                let own = (Lsn::ZERO, Level::Written);
                return self
                    .lead(own, &reached, &mut work, Turn::Gathers)
                    .map(|()| true);
            }
            if is_last {
                break;
            }
            let this = current();
            let id = this.id();
            state.idle.push(this);
            drop(state);
            park_timeout(timeout);
            self.state().idle.retain(|other| other.id() != id);
        }
        Ok(false)
    }

    /// Does `work` once, at the next turn.
    pub(crate) fn exclusively(
        &self,
        mut work: impl FnMut() -> Result<(), CommitError>,
    ) -> Result<(), CommitError> {
        let done = std::cell::Cell::new(false);
        let reached = |_| if done.get() { Lsn(u64::MAX) } else { Lsn::ZERO };
        self.commit(OWN_JUDGEMENT, Level::Durable, reached, |_| {
            work()?;
            done.set(true);
            Ok(())
        })
    }

    fn join(&self, state: &mut State, waiter: &Arc<Waiter>) {
        state.waiters.push(Arc::clone(waiter));
        if state.gathering && state.is_complete() {
            // Relaxed: who sees it comes to the lock.
            self.gathered.store(true, Ordering::Relaxed);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The state, for who must know whether somebody leads.
    fn listed(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.led |= self.lead.list();
        state
    }
}

#[cfg(all(test, log_loom))]
mod loom_models;

#[cfg(all(test, not(log_loom)))]
mod tests;
