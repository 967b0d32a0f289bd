//! Waiting for news, at the price of one relaxed load for who brings them.
//!
//! A [`Bell`] belongs to a condition that another thread makes true with an
//! atomic store (a mark that rises, a record that is published). Whoever waits
//! says so in a counter, looks at the condition once more, and sleeps. Whoever
//! made news looks at the counter and rings only if somebody sleeps.
//!
//! Both sides store and then load what the other stored, which is the one
//! pattern that acquire and release cannot order. The waiter pays: it issues a
//! process-wide barrier before its second look, so that the ringer needs none
//! (see `sync::asymmetric`). Only the first one of those who wait together pays:
//! a ringer that missed the first came before that barrier, and so its news are
//! seen by whoever takes the lock behind it; a ringer that did not comes for the
//! lock.
//!
//! Promises that no wake-up is lost: a waiter that goes to sleep was counted
//! before the news, or saw the news.

use std::collections::HashSet;
use std::fmt;
use std::sync::PoisonError;
use std::task::{Context, Poll, RawWakerVTable, Waker};
use std::time::{Duration, Instant};

use crate::sync::asymmetric::{self, Fences};
use crate::sync::{AtomicU32, Condvar, Mutex, MutexGuard, Ordering, lock, spin_loop, yield_now};

/// Looks before a waiter begins to yield its processor, and yields before it
/// sleeps. A publish takes tens of nanoseconds and a sleep microseconds, so a
/// short look first is worth it; on a busy machine the yields let the thread
/// that is waited for run.
const SPINS: u32 = if cfg!(any(log_loom, log_shuttle)) {
    0
} else {
    64
};
const YIELDS: u32 = if cfg!(any(log_loom, log_shuttle)) {
    0
} else {
    4
};

/// A place to wait for a condition that other threads make true.
///
/// Any number of threads and tasks may wait; all of them are woken and look
/// again. Ringing when nobody waits costs one relaxed load.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use log_core::Bell;
///
/// let (bell, ready) = (Bell::new(), AtomicBool::new(false));
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         ready.store(true, Ordering::Release);
///         bell.ring();
///     });
///     assert!(bell.wait_until(None, || ready.load(Ordering::Acquire)));
/// });
/// ```
pub struct Bell {
    /// How many threads and tasks the next ring is to wake, as the ringer sees
    /// it; and [`FENCE_FIRST`] where that is needed. Changes under the lock.
    waiting: AtomicU32,
    waiters: Mutex<Waiters>,
    rung: Condvar,
    fences: Fences,
}

/// Those whom the next ring is to wake.
#[derive(Default)]
struct Waiters {
    wakers: Vec<Waker>,
    /// Of each of these tasks, what tells it from others.
    tasks: HashSet<TaskKey>,
    sleepers: u32,
    /// How often somebody was woken: tells a sleeper whether it is still
    /// counted.
    rings: u64,
}

/// Equal for wakers that wake the same task, as `Waker::will_wake` says it: to
/// be looked up, where a thousand tasks wait.
type TaskKey = (usize, usize);

fn task_key(waker: &Waker) -> TaskKey {
    let vtable: *const RawWakerVTable = waker.vtable();
    (waker.data().addr(), vtable.addr())
}

impl Waiters {
    /// Has the task woken at the next ring. Returns false if that is so
    /// already.
    fn add_task(&mut self, waker: &Waker) -> bool {
        let is_new = self.tasks.insert(task_key(waker));
        if is_new {
            self.wakers.push(waker.clone());
        }
        is_new
    }

    fn take_wakers(&mut self) -> Vec<Waker> {
        self.tasks.clear();
        std::mem::take(&mut self.wakers)
    }

    fn count(&self) -> u32 {
        self.sleepers + self.wakers.len() as u32
    }
}

/// In `waiting`, always, where a ringer must issue a fence before it can know
/// whether anybody waits. So the one look at `waiting` covers that as well.
const FENCE_FIRST: u32 = 1 << 31;

impl Bell {
    /// A bell that nobody waits at.
    #[must_use]
    pub fn new() -> Self {
        let fences = Fences::new();
        Self {
            waiting: AtomicU32::new(waiting_word(fences, 0)),
            waiters: Mutex::new(Waiters::default()),
            rung: Condvar::new(),
            fences,
        }
    }

    /// Whether somebody waits: for who must find out first whether there is
    /// news. Call it after the store that may have made some, as
    /// [`ring`](Self::ring). A false is sure: whoever comes to wait later sees
    /// what was stored.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        // Pairs with `heavy` in `announce`, as in `ring`.
        asymmetric::light_where_free();
        self.waiting.load(Ordering::Relaxed) != 0 && self.is_awaited_indeed()
    }

    #[cold]
    #[inline(never)]
    fn is_awaited_indeed(&self) -> bool {
        // As above, for where it is not free.
        self.fences.light();
        self.waiting.load(Ordering::Relaxed) & !FENCE_FIRST != 0
    }

    /// Wakes everyone who waits. Call it after the store that made news.
    #[inline]
    pub fn ring(&self) {
        // Pairs with `heavy` in `announce`: either that waiter's next look
        // sees our store, or this load sees that waiter.
        asymmetric::light_where_free();
        if self.waiting.load(Ordering::Relaxed) != 0 {
            self.ring_slowly();
        }
    }

    #[cold]
    #[inline(never)]
    fn ring_slowly(&self) {
        if self.is_awaited_indeed() {
            self.wake_everyone();
        }
    }

    fn wake_everyone(&self) {
        let wakers = {
            let mut waiters = lock(&self.waiters);
            let wakers = waiters.take_wakers();
            // Not left to the sleepers: until one has been given a processor,
            // every ringer would pay for waking it again.
            waiters.sleepers = 0;
            waiters.rings += 1;
            self.count(&waiters);
            // A sleeper holds the lock from its last look until it sleeps, so
            // that this cannot fall between the two.
            self.rung.notify_all();
            wakers
        };
        // Outside the lock: a waker is foreign code and may come back to us.
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Blocks until `ready` returns true, at most for `timeout` (`None`: for
    /// ever). Returns the last answer of `ready`.
    ///
    /// `ready` is called from this thread, several times, also while an inner
    /// lock is held: it must be short and must not use this bell.
    pub fn wait_until(&self, timeout: Option<Duration>, mut ready: impl FnMut() -> bool) -> bool {
        if look_a_while(&mut ready) {
            return true;
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut waiters = lock(&self.waiters);
        loop {
            waiters.sleepers += 1;
            let counted_at = waiters.rings;
            self.announce(&waiters);
            let mut answer = ready();
            let mut expired = false;
            if !answer {
                (waiters, expired) = self.sleep(waiters, deadline);
                answer = ready();
            }
            if waiters.rings == counted_at {
                waiters.sleepers -= 1;
                self.count(&waiters);
            }
            if answer || expired {
                return answer;
            }
        }
    }

    /// Asks once, and has the task woken at the next ring if the answer is no.
    ///
    /// Needs no runtime. A waker is kept until the next ring, also when its
    /// task is gone by then.
    pub fn poll_until(&self, context: &Context<'_>, mut ready: impl FnMut() -> bool) -> Poll<()> {
        if ready() {
            return Poll::Ready(());
        }
        {
            let mut waiters = lock(&self.waiters);
            if waiters.add_task(context.waker()) {
                self.announce(&waiters);
            }
        }
        // The waker stays behind if this says yes; one wake too many is allowed.
        if ready() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Makes sure that a ringer sees the waiter that was just counted, or that
    /// the waiter's next look sees the ringer's news. Called with the lock held.
    fn announce(&self, waiters: &Waiters) {
        self.count(waiters);
        // Behind the first, the lock does: see above.
        if waiters.count() == 1 {
            self.fences.heavy(); // pairs with `light` in `ring`
        }
    }

    /// Tells ringers how many wait. Called with the lock held.
    fn count(&self, waiters: &Waiters) {
        let word = waiting_word(self.fences, waiters.count());
        self.waiting.store(word, Ordering::Relaxed);
    }

    /// Sleeps until rung, or returns true when the deadline has passed.
    fn sleep<'a>(
        &self,
        waiters: MutexGuard<'a, Waiters>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, Waiters>, bool) {
        let Some(deadline) = deadline else {
            let woken = self.rung.wait(waiters);
            return (woken.unwrap_or_else(PoisonError::into_inner), false);
        };
        let Some(left) = deadline.checked_duration_since(Instant::now()) else {
            return (waiters, true);
        };
        let woken = self.rung.wait_timeout(waiters, left);
        (woken.unwrap_or_else(PoisonError::into_inner).0, false)
    }
}

/// What `waiting` holds when `waiting` of them wait.
fn waiting_word(fences: Fences, waiting: u32) -> u32 {
    match fences.light_is_free() {
        true => waiting,
        false => waiting | FENCE_FIRST,
    }
}

/// Looks for a moment before anything expensive is tried.
pub(crate) fn look_a_while(ready: &mut impl FnMut() -> bool) -> bool {
    for _ in 0..SPINS {
        if ready() {
            return true;
        }
        spin_loop();
    }
    for _ in 0..YIELDS {
        if ready() {
            return true;
        }
        yield_now();
    }
    ready()
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}
