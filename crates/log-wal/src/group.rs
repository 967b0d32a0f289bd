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

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use log_core::Lsn;

use crate::error::CommitError;
use crate::options::Level;
use crate::own_lines::OwnLines;
use crate::sync::{
    Arc, AtomicBool, AtomicU8, AtomicU64, Mutex, MutexGuard, Ordering, Thread, current, lock, park,
    park_timeout, yield_now,
};

use lead::Lead;

/// How long a leader waits for the callers of the last group to come back, at
/// most: about as long as a sync takes on a fast device, so that it can lose
/// no more than it can win. If fewer come, the next leader expects fewer.
const GATHER_MAX: Duration = Duration::from_micros(100);

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

/// A caller that sleeps.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// What it waits for.
    end: Lsn,
    level: Level,
    sleeper: Sleeper,
    /// What it was woken for: one of the constants below.
    call: AtomicU8,
}

/// Where a task keeps its waiter between polls.
pub(crate) type Place = Option<Arc<Waiter>>;

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

/// The end that is waited for where a leader cannot tell whether it is reached,
/// because who waits has a condition of its own. A task that does looks after
/// every turn; a thread gets the lead in the end.
pub(crate) const OWN_JUDGEMENT: Lsn = Lsn(u64::MAX);

const ASLEEP: u8 = 0;
const LOOK_AGAIN: u8 = 1;
const LEAD: u8 = 2;

impl Waiter {
    fn new(end: Lsn, level: Level, sleeper: Sleeper) -> Arc<Self> {
        Arc::new(Self {
            end,
            level,
            sleeper,
            call: AtomicU8::new(ASLEEP),
        })
    }

    fn thread(end: Lsn, level: Level) -> Arc<Self> {
        Self::new(end, level, Sleeper::Thread(current()))
    }

    fn task(end: Lsn, level: Level, waker: &Waker) -> Arc<Self> {
        let task = Task {
            waker: Some(waker.clone()),
            failure: None,
        };
        Self::new(end, level, Sleeper::Task(Mutex::new(task)))
    }

    fn is_task(&self) -> bool {
        matches!(self.sleeper, Sleeper::Task(_))
    }

    fn is_asleep(&self) -> bool {
        // Acquire pairs with the Release in `wake`.
        self.call.load(Ordering::Acquire) == ASLEEP
    }

    /// Sleeps until called; what for.
    fn sleep(&self) -> u8 {
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
    fn be_woken_by(&self, waker: &Waker) {
        if let Sleeper::Task(task) = &self.sleeper {
            lock(task).waker = Some(waker.clone());
        }
    }

    fn failure(&self) -> Option<CommitError> {
        match &self.sleeper {
            Sleeper::Task(task) => lock(task).failure.take(),
            Sleeper::Thread(_) => None,
        }
    }

    fn fail(&self, failure: CommitError) {
        if let Sleeper::Task(task) = &self.sleeper {
            lock(task).failure = Some(failure);
        }
        self.wake(LOOK_AGAIN);
    }

    fn wake(&self, call: u8) {
        // Release pairs with the Acquire in `sleep` and `is_asleep`.
        self.call.store(call, Ordering::Release);
        self.nudge();
    }

    /// Wakes it without a call, to look around.
    fn nudge(&self) {
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
            tasks_of(&state.waiters)
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

    /// Works for everyone who waits. Our caller was made the leader.
    fn lead<R: Fn(Level) -> Lsn>(
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

    fn join(&self, state: &mut State, waiter: &Arc<Waiter>) {
        state.waiters.push(Arc::clone(waiter));
        if state.gathering && state.is_complete() {
            // Relaxed: who sees it comes to the lock.
            self.gathered.store(true, Ordering::Relaxed);
        }
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

fn tasks_of(waiters: &[Arc<Waiter>]) -> Vec<Arc<Waiter>> {
    let tasks = waiters.iter().filter(|waiter| waiter.is_task());
    tasks.cloned().collect()
}

/// How a leader begins.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// It took the lead, and nobody waits. It may have to be counted.
    Taken { own_commits: u64 },
    /// It waits for the callers of the last group.
    Gathers,
    /// It does not.
    Begins,
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
        let poisoned = state.poison.is_some();
        let waiters = std::mem::take(&mut state.waiters);
        let (done, rest): (Vec<_>, Vec<_>) = waiters
            .into_iter()
            .partition(|waiter| poisoned || (self.reached)(waiter.level) >= waiter.end);
        let (failed, rest): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|waiter| self.failure.is_some() && waiter.is_task());
        let (unsure, mut rest): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|waiter| waiter.end == OWN_JUDGEMENT && waiter.is_task());
        let next = rest.iter().position(|waiter| !waiter.is_task());
        let next = next.map(|index| rest.remove(index));
        state.led = next.is_some();
        state.last_group = done.len() + 1;
        state.waiters = rest;
        let committers = match poisoned {
            true => std::mem::take(&mut state.idle),
            false => state.committer_to_call().into_iter().collect(),
        };
        let free = match state.led || state.committers > 0 {
            true => Vec::new(),
            false => tasks_of(&state.waiters),
        };
        let is_left = !state.led && state.waiters.is_empty();
        if is_left && !poisoned && state.last_group == 1 {
            self.group.lead.unlist();
        }
        drop(state);
        // The next leader first: it can begin while the others wake up.
        if let Some(next) = next {
            next.wake(LEAD);
        }
        committers.iter().for_each(Thread::unpark);
        for waiter in done.into_iter().chain(unsure) {
            waiter.wake(LOOK_AGAIN);
        }
        for task in failed {
            if let Some(failure) = &self.failure {
                task.fail(failure.clone());
            }
        }
        free.iter().for_each(|task| task.nudge());
    }
}

#[cfg(all(test, log_loom))]
mod loom_models;

#[cfg(all(test, not(log_loom)))]
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
        many_callers_share_the_work_for(Level::Durable);
        many_callers_share_the_work_for(Level::Written);
    }

    fn many_callers_share_the_work_for(level: Level) {
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
                    assert!(group.commit(Lsn(mine), level, reached, work).is_ok());
                    assert!(
                        reached(level) >= Lsn(mine),
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
