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
//! (see `sync::asymmetric`).
//!
//! Promises that no wake-up is lost: a waiter that goes to sleep was counted
//! before the news, or saw the news.

use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::sync::asymmetric::{self, Fences};
use crate::sync::{AtomicU32, Condvar, Mutex, MutexGuard, Ordering, lock, spin_loop, yield_now};

/// Looks before a waiter begins to yield its processor, and yields before it
/// sleeps. A publish takes tens of nanoseconds and a sleep microseconds, so a
/// short look first is worth it; on a busy machine the yields let the thread
/// that is waited for run. Source: `benches/core_wait.rs`.
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
    /// Threads asleep plus wakers kept, as the ringer sees it; and
    /// [`FENCE_FIRST`] where that is needed.
    waiting: AtomicU32,
    wakers: Mutex<Vec<Waker>>,
    rung: Condvar,
    fences: Fences,
}

/// In `waiting`, always, where a ringer must issue a fence before it can know
/// whether anybody waits. So the one look at `waiting` covers that as well.
const FENCE_FIRST: u32 = 1 << 31;

impl Bell {
    /// A bell that nobody waits at.
    #[must_use]
    pub fn new() -> Self {
        let fences = Fences::new();
        let nobody = if fences.light_is_free() {
            0
        } else {
            FENCE_FIRST
        };
        Self {
            waiting: AtomicU32::new(nobody),
            wakers: Mutex::new(Vec::new()),
            rung: Condvar::new(),
            fences,
        }
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
        // As above, for where it is not free.
        self.fences.light();
        if self.waiting.load(Ordering::Relaxed) & !FENCE_FIRST != 0 {
            self.wake_everyone();
        }
    }

    fn wake_everyone(&self) {
        let wakers = {
            let mut wakers = lock(&self.wakers);
            let kept = std::mem::take(&mut *wakers);
            self.waiting.fetch_sub(kept.len() as u32, Ordering::Relaxed);
            // A sleeper holds the lock from its last look until it sleeps, so
            // that this cannot fall between the two.
            self.rung.notify_all();
            kept
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
        let mut wakers = lock(&self.wakers);
        self.announce();
        let answer = loop {
            if ready() {
                break true;
            }
            match self.sleep(wakers, deadline) {
                Some(held) => wakers = held,
                None => break ready(),
            }
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        answer
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
            let mut wakers = lock(&self.wakers);
            if !wakers.iter().any(|kept| kept.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
                self.announce();
            }
        }
        // The waker stays behind if this says yes; one wake too many is allowed.
        if ready() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Counts this waiter, and makes sure that a ringer sees the count or that
    /// our next look sees its news.
    fn announce(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.fences.heavy(); // pairs with `light` in `ring`
    }

    /// Sleeps until rung, or returns `None` when the deadline has passed.
    fn sleep<'a>(
        &self,
        wakers: MutexGuard<'a, Vec<Waker>>,
        deadline: Option<Instant>,
    ) -> Option<MutexGuard<'a, Vec<Waker>>> {
        let Some(deadline) = deadline else {
            let woken = self.rung.wait(wakers);
            return Some(woken.unwrap_or_else(std::sync::PoisonError::into_inner));
        };
        let left = deadline.checked_duration_since(Instant::now())?;
        let woken = self.rung.wait_timeout(wakers, left);
        Some(woken.unwrap_or_else(std::sync::PoisonError::into_inner).0)
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
